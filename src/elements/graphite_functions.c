/* The table of Graphite's functions, planning and evaluating: see graphite_functions.h. What each does is described in
 * graphite-web's documentation, "Functions"; what differs here is said in its row. */
#include "elements/graphite_calls.h"

#include <math.h>

#include "elements/graphite_form.h"

#define ALL        255
#define FINE_PARTS 100000

/* clang-format off */
const struct yd__gfunction yd__gfunctions[] = {
    {"absolute", yd__gf_absolute, "seriesList:seriesList!", "Transform", "The absolute value of each.", 1, YD__G_SHOWN, 0, false},
    {"aggregate", yd__gf_combine, "seriesList:seriesList! func:aggFunc!", "Combine", "One series by the function: average, sum, min, max, median, count, diff, multiply, range, stddev, last, first.", 1, YD__G_SHOWN, ALL, false},
    {"alias", yd__gf_alias, "seriesList:seriesList! newName:string!", "Alias", "Another name.", 1, YD__G_SHOWN, 0, true},
    {"aliasByNode", yd__gf_alias_by_node, "seriesList:seriesList! nodes:nodeOrTag!*", "Alias", "Named by nodes of the path, counted from 0, or by tags.", 1, YD__G_SHOWN, 0, true},
    {"aliasByTags", yd__gf_alias_by_node, "seriesList:seriesList! tags:nodeOrTag!*", "Alias", "Named by tags, or by nodes of the path.", 1, YD__G_SHOWN, 0, true},
    {"aliasSub", yd__gf_alias_sub, "seriesList:seriesList! search:string! replace:string!", "Alias", "What the regular expression finds in the name is replaced; \\\\1 is its first group.", 1, YD__G_SHOWN, 0, true},
    {"asPercent", yd__gf_as_percent, "seriesList:seriesList! total:any", "Combine", "Of the total: a number, one series, or the sum of all.", 1, YD__G_SHOWN, 0, false},
    {"averageSeries", yd__gf_combine, "seriesLists:seriesList!*", "Combine", "The average of all.", ALL, YD__G_SHOWN, YD_GFOLD_AVG, false},
    {"avg", yd__gf_combine, "seriesLists:seriesList!*", "Combine", "As averageSeries.", ALL, YD__G_SHOWN, YD_GFOLD_AVG, false},
    {"consolidateBy", yd__gf_consolidate_by, "seriesList:seriesList! consolidationFunc:aggFunc!", "Special", "How several points become one when there are more than are shown: average, sum, min, max, first, last.", 1, YD__G_CONSOLIDATE, 0, true},
    {"constantLine", yd__gf_constant_line, "value:float!", "Special", "A line at this value.", 0, YD__G_SHOWN, 0, false},
    {"countSeries", yd__gf_combine, "seriesLists:seriesList!*", "Combine", "How many there are.", ALL, YD__G_SHOWN, YD_GFOLD_COUNT, false},
    {"derivative", yd__gf_derivative, "seriesList:seriesList!", "Transform", "The difference to the value before.", 1, YD__G_FINE, 0, false},
    {"diffSeries", yd__gf_combine, "seriesLists:seriesList!*", "Combine", "The first without all others.", ALL, YD__G_SHOWN, YD_GFOLD_DIFF, false},
    {"divideSeries", yd__gf_divide, "dividendSeriesList:seriesList! divisorSeries:seriesList!", "Combine", "Each by the one series behind.", 1, YD__G_SHOWN, 0, false},
    {"exclude", yd__gf_exclude, "seriesList:seriesList! pattern:string!", "Filter Series", "Those whose name the regular expression is not found in.", 1, YD__G_SHOWN, 0, true},
    {"grep", yd__gf_grep, "seriesList:seriesList! pattern:string!", "Filter Series", "Those whose name the regular expression is found in.", 1, YD__G_SHOWN, 0, true},
    {"group", yd__gf_group, "seriesLists:seriesList!*", "Combine", "All of them, as one list.", ALL, YD__G_SHOWN, 0, true},
    {"groupByNode", yd__gf_group_by_node, "seriesList:seriesList! nodeNum:nodeOrTag! callback:aggFunc=average", "Combine", "Those that have a node or tag in common, each group as one series.", 1, YD__G_SHOWN, 0, false},
    {"groupByNodes", yd__gf_group_by_nodes, "seriesList:seriesList! callback:aggFunc! nodes:nodeOrTag!*", "Combine", "As groupByNode, by several nodes or tags.", 1, YD__G_SHOWN, 0, false},
    {"groupByTags", yd__gf_group_by_tags, "seriesList:seriesList! callback:aggFunc! tags:tag!*", "Combine", "As groupByNodes, named like a tagged series.", 1, YD__G_SHOWN, 0, false},
    {"highestAverage", yd__gf_highest, "seriesList:seriesList! n:integer=1", "Filter Series", "The n of the highest average.", 1, YD__G_SHOWN, YD_GFOLD_AVG, false},
    {"highestCurrent", yd__gf_highest, "seriesList:seriesList! n:integer=1", "Filter Series", "The n of the highest last value.", 1, YD__G_SHOWN, YD_GFOLD_LAST, false},
    {"highestMax", yd__gf_highest, "seriesList:seriesList! n:integer=1", "Filter Series", "The n of the highest maximum.", 1, YD__G_SHOWN, YD_GFOLD_MAX, false},
    {"integral", yd__gf_integral, "seriesList:seriesList!", "Transform", "The sum of all so far.", 1, YD__G_FINE, 0, false},
    {"keepLastValue", yd__gf_keep_last, "seriesList:seriesList! limit:integer", "Transform", "Gaps of at most `limit` values get the value before.", 1, YD__G_SHOWN, 0, false},
    {"limit", yd__gf_limit, "seriesList:seriesList! n:integer!", "Filter Series", "The first n.", 1, YD__G_SHOWN, 0, false},
    {"max", yd__gf_combine, "seriesLists:seriesList!*", "Combine", "As maxSeries.", ALL, YD__G_SHOWN, YD_GFOLD_MAX, false},
    {"maxSeries", yd__gf_combine, "seriesLists:seriesList!*", "Combine", "The greatest of all.", ALL, YD__G_SHOWN, YD_GFOLD_MAX, false},
    {"min", yd__gf_combine, "seriesLists:seriesList!*", "Combine", "As minSeries.", ALL, YD__G_SHOWN, YD_GFOLD_MIN, false},
    {"minSeries", yd__gf_combine, "seriesLists:seriesList!*", "Combine", "The least of all.", ALL, YD__G_SHOWN, YD_GFOLD_MIN, false},
    {"movingAverage", yd__gf_moving, "seriesList:seriesList! windowSize:intOrInterval!", "Calculate", "The average of the values before, so many or over such a time.", 1, YD__G_WINDOW, YD_GFOLD_AVG, false},
    {"movingMax", yd__gf_moving, "seriesList:seriesList! windowSize:intOrInterval!", "Calculate", "The greatest of the values before.", 1, YD__G_WINDOW, YD_GFOLD_MAX, false},
    {"movingMedian", yd__gf_moving, "seriesList:seriesList! windowSize:intOrInterval!", "Calculate", "The median of the values before.", 1, YD__G_WINDOW, YD_GFOLD_MEDIAN, false},
    {"movingMin", yd__gf_moving, "seriesList:seriesList! windowSize:intOrInterval!", "Calculate", "The least of the values before.", 1, YD__G_WINDOW, YD_GFOLD_MIN, false},
    {"movingSum", yd__gf_moving, "seriesList:seriesList! windowSize:intOrInterval!", "Calculate", "The sum of the values before.", 1, YD__G_WINDOW, YD_GFOLD_SUM, false},
    {"multiplySeries", yd__gf_combine, "seriesLists:seriesList!*", "Combine", "The product of all.", ALL, YD__G_SHOWN, YD_GFOLD_MULTIPLY, false},
    {"nonNegativeDerivative", yd__gf_non_negative, "seriesList:seriesList! maxValue:float", "Transform", "The difference to the value before; a gap where it falls, unless it wraps at maxValue.", 1, YD__G_FINE, 0, false},
    {"offset", yd__gf_offset, "seriesList:seriesList! factor:float!", "Transform", "So much added.", 1, YD__G_SHOWN, 0, false},
    {"perSecond", yd__gf_per_second, "seriesList:seriesList! maxValue:float", "Transform", "nonNegativeDerivative by the second.", 1, YD__G_FINE, 0, false},
    {"rangeOfSeries", yd__gf_combine, "seriesLists:seriesList!*", "Combine", "From the least to the greatest of all.", ALL, YD__G_SHOWN, YD_GFOLD_RANGE, false},
    {"scale", yd__gf_scale, "seriesList:seriesList! factor:float!", "Transform", "So many times each value.", 1, YD__G_SHOWN, 0, false},
    {"seriesByTag", NULL, "tagExpressions:string!*", "Special", "Series by their tags: 'name=disk.used', 'dc!=eu', 'host=~web'.", 0, YD__G_SHOWN, 0, false},
    {"sortByName", yd__gf_sort_by_name, "seriesList:seriesList!", "Sorting", "By name.", 1, YD__G_SHOWN, 0, true},
    {"stddevSeries", yd__gf_combine, "seriesLists:seriesList!*", "Combine", "The standard deviation of all.", ALL, YD__G_SHOWN, YD_GFOLD_STDDEV, false},
    {"sum", yd__gf_combine, "seriesLists:seriesList!*", "Combine", "As sumSeries.", ALL, YD__G_SHOWN, YD_GFOLD_SUM, false},
    {"sumSeries", yd__gf_combine, "seriesLists:seriesList!*", "Combine", "The sum of all.", ALL, YD__G_SHOWN, YD_GFOLD_SUM, false},
    {"summarize", yd__gf_summarize, "seriesList:seriesList! intervalString:interval! func:aggFunc=sum alignToFrom:boolean=false", "Transform", "One value for each interval.", 1, YD__G_SUMMARIZE, 0, false},
    {"transformNull", yd__gf_transform_null, "seriesList:seriesList! default:float=0", "Transform", "Gaps become this value.", 1, YD__G_SHOWN, 0, false},
};
/* clang-format on */
const size_t yd__gfunction_count = YD_COUNT(yd__gfunctions);

static const struct yd__gfunction *find(struct yd_str name)
{
    for (size_t i = 0; i < yd__gfunction_count; i++)
        if (yd_str_eq(name, yd_str_of(yd__gfunctions[i].name))) return &yd__gfunctions[i];
    return NULL;
}

/* ---- arguments ---- */

int yd__garg_refuse(const struct yd__gcall *call, const char *what)
{
    return yd_trail_add(call->eval->trail, YD_EINVAL, "%s: %s", call->function->name, what);
}

int yd__garg_number(const struct yd__gcall *call, uint32_t place, const char *key, const double *otherwise, double *ret)
{
    const struct yd_gnode *node = yd_gtarget_argument(call->node, place, key);
    if ((!node || node->kind == YD_G_NONE) && otherwise) {
        *ret = *otherwise;
        return 0;
    }
    if (node && (node->kind == YD_G_NUMBER || node->kind == YD_G_BOOL)) {
        *ret = node->number;
        return 0;
    }
    if (node && node->kind == YD_G_STRING && yd_text_f64(node->text, false, ret) == 0) return 0;
    return yd_trail_add(call->eval->trail, YD_EINVAL, "%s: %s must be a number", call->function->name, key);
}

int yd__garg_text(const struct yd__gcall *call, uint32_t place, const char *key, const char *otherwise,
                  struct yd_str *ret)
{
    const struct yd_gnode *node = yd_gtarget_argument(call->node, place, key);
    if ((!node || node->kind == YD_G_NONE) && otherwise) {
        *ret = yd_str_of(otherwise);
        return 0;
    }
    if (!node || node->kind == YD_G_CALL || node->kind == YD_G_NONE)
        return yd_trail_add(call->eval->trail, YD_EINVAL, "%s: %s must be a text", call->function->name, key);
    *ret = node->text;
    return 0;
}

bool yd__garg_true(const struct yd_gnode *node, uint32_t place, const char *key)
{
    const struct yd_gnode *argument = yd_gtarget_argument(node, place, key);
    if (!argument) return false;
    if (argument->kind == YD_G_STRING) return yd_str_eq(argument->text, YD_STR("true"));
    return argument->number != 0;
}

int yd__garg_fold(const struct yd__gcall *call, uint32_t place, const char *key, const char *otherwise,
                  enum yd_gfold *ret)
{
    struct yd_str text;
    int r = yd__garg_text(call, place, key, otherwise, &text);
    if (r < 0) return r;
    if (yd_gfold_find(text, ret) == 0) return 0;
    return yd_trail_add(call->eval->trail, YD_EINVAL,
                        "%s: unknown function '%.*s': average, sum, min, max, median, count, diff, multiply, range, "
                        "stddev, first, last are there",
                        call->function->name, (int)YD_MIN(text.size, (size_t)100), text.data);
}

int yd__garg_window(const struct yd__gcall *call, uint32_t place, const char *key, int64_t step, size_t *ret)
{
    const struct yd_gnode *node = yd_gtarget_argument(call->node, place, key);
    int64_t seconds;
    if (node && node->kind == YD_G_NUMBER && node->number >= 1 && node->number <= 1e6) {
        *ret = (size_t)node->number;
        return 0;
    }
    if (!node || node->kind == YD_G_NUMBER || yd_graphite_duration(node->text, &seconds) < 0)
        return yd_trail_add(call->eval->trail, YD_EINVAL, "%s: %s must be a number of points or a time like '5min'",
                            call->function->name, key);
    *ret = (size_t)YD_MAX(seconds / step, INT64_C(1));
    return 0;
}

int yd__gwork(struct yd_geval *eval, uint64_t values)
{
    eval->work += values;
    if (eval->work <= YD_GWORK_MAX) return 0;
    return yd_trail_add(eval->trail, YD_ETOOBIG,
                        "the functions go over more than %llu values: shorten the time range or the window, or choose "
                        "fewer series",
                        (unsigned long long)YD_GWORK_MAX);
}

/* ---- planning ---- */

struct view { /* how a part of the target is looked at */
    int64_t from, unit;
    bool fixed;
    enum yd_gfold fold;
};

void yd_gplan_init(struct yd_gplan *plan, int64_t from, int64_t until, uint64_t max_points)
{
    int64_t range = until - from;
    uint64_t points = max_points ? YD_MAX(max_points, UINT64_C(100)) : FINE_PARTS; /* few: folded once more, evenly */
    plan->from = from;
    plan->until = until;
    plan->fine = yd_gstep_above((range + FINE_PARTS - 1) / FINE_PARTS);
    plan->shown = yd_gstep_above((int64_t)(((uint64_t)range + points - 1) / points));
    plan->shown = YD_MAX(plan->shown, plan->fine);
    plan->fetch_count = 0;
}

static bool is_by_tag(const struct yd_gnode *node)
{
    return node->kind == YD_G_CALL && yd_str_eq(node->text, YD_STR("seriesByTag"));
}

static bool is_source(const struct yd_gnode *node)
{
    return node->kind == YD_G_PATH || is_by_tag(node);
}

/* Whether a summarize may be done where the points are: nothing between changes values. */
static bool reaches_source(const struct yd_gnode *node)
{
    if (is_source(node)) return true;
    const struct yd__gfunction *function = node->kind == YD_G_CALL ? find(node->text) : NULL;
    if (!function || !function->transparent || function->need == YD__G_CONSOLIDATE) return false;
    uint32_t at = 0;
    for (const struct yd_gnode *argument = node->first; argument && at < function->series;
         argument = argument->next, at++)
        if (!reaches_source(argument)) return false;
    return true;
}

static bool folds_of_folds(enum yd_gfold fold)
{
    return fold <= YD_GFOLD_COUNT;
}

static bool interval_of(const struct yd_gnode *node, int64_t *ret_s)
{
    const struct yd_gnode *interval = yd_gtarget_argument(node, 1, "intervalString");
    return interval && interval->kind != YD_G_CALL && yd_graphite_duration(interval->text, ret_s) == 0;
}

static void view_of_summarize(const struct yd_gplan *plan, struct yd_gnode *node, struct view *view)
{
    const struct yd_gnode *func = yd_gtarget_argument(node, 2, "func");
    enum yd_gfold fold = YD_GFOLD_SUM;
    int64_t interval;
    view->unit = plan->fine;
    view->fold = YD_GFOLD_AVG;
    view->fixed = false;
    if (!interval_of(node, &interval)) return; /* said when it is evaluated */
    bool from_start = yd__garg_true(node, 3, "alignToFrom");
    if (func && yd_gfold_find(func->text, &fold) < 0) return;
    if (from_start || !folds_of_folds(fold) || !reaches_source(node->first)) return;
    node->summarized = true;
    view->from = yd_gfloor(view->from, interval); /* the history gives whole intervals */
    view->fixed = true;
    view->unit = interval;
    view->fold = fold;
}

static void view_of_window(const struct yd_gplan *plan, const struct yd_gnode *node, struct view *view)
{
    const struct yd_gnode *window = yd_gtarget_argument(node, 1, "windowSize");
    int64_t seconds = 0;
    if (!window) return;
    if (window->kind == YD_G_NUMBER && window->number >= 1 && window->number <= 1e6)
        seconds = (int64_t)window->number * YD_MAX(plan->fine, INT64_C(60)); /* their step is not known yet */
    else if (window->kind != YD_G_CALL)
        (void)yd_graphite_duration(window->text, &seconds); /* a bad one is said when it is evaluated */
    view->from -= YD_MIN(seconds, INT64_C(366) * 86400);
}

static void view_within(const struct yd_gplan *plan, const struct yd__gfunction *function, struct yd_gnode *node,
                        struct view *view)
{
    const struct yd_gnode *fold = yd_gtarget_argument(node, 1, "consolidationFunc");
    switch ((enum yd__gneed)function->need) {
    case YD__G_SHOWN:
        return;
    case YD__G_CONSOLIDATE:
        if (!view->fixed && fold) (void)yd_gfold_find(fold->text, &view->fold); /* said when it is evaluated */
        return;
    case YD__G_SUMMARIZE:
        view_of_summarize(plan, node, view);
        return;
    case YD__G_WINDOW:
        view_of_window(plan, node, view);
        break;
    case YD__G_FINE:
        break;
    }
    view->unit = plan->fine;
    view->fixed = false;
    view->fold = YD_GFOLD_AVG;
}

static int no_series(const struct yd_gnode *node, struct yd_trail *trail)
{
    return yd_trail_add(trail, YD_EINVAL, "a value where series are expected: '%.*s'",
                        (int)YD_MIN(node->text.size, (size_t)100), node->text.data);
}

static int plan_node(struct yd_gplan *plan, struct yd_gnode *node, struct view view, struct yd_trail *trail)
{
    if (is_source(node)) {
        if (plan->fetch_count == YD_GFETCHES_MAX)
            return yd_trail_add(trail, YD_ETOOBIG, "more than %d paths in one request", YD_GFETCHES_MAX);
        node->fetch = plan->fetch_count;
        plan->fetches[plan->fetch_count++] = (struct yd_gfetch){.node = node,
                                                                .from = view.from,
                                                                .until = plan->until,
                                                                .unit = view.unit,
                                                                .fixed = view.fixed,
                                                                .fold = view.fold};
        return 0;
    }
    if (node->kind != YD_G_CALL) return no_series(node, trail);
    const struct yd__gfunction *function = find(node->text);
    if (!function)
        return yd_trail_add(trail, YD_EINVAL, "unknown function '%.*s': /functions lists those that are there",
                            (int)YD_MIN(node->text.size, (size_t)100), node->text.data);
    if (function->series && !node->count)
        return yd_trail_add(trail, YD_EINVAL, "%s: series are missing", function->name);
    view_within(plan, function, node, &view);
    uint32_t at = 0;
    int r = 0;
    for (struct yd_gnode *argument = node->first; argument && r == 0; argument = argument->next, at++) {
        bool second = at == 1 && (function->run == yd__gf_divide || function->run == yd__gf_as_percent);
        if (at < function->series || (second && (is_source(argument) || argument->kind == YD_G_CALL)))
            r = plan_node(plan, argument, view, trail);
    }
    return r;
}

int yd_gplan_target(struct yd_gplan *plan, struct yd_gnode *target, struct yd_trail *trail)
{
    return plan_node(plan, target, (struct view){plan->from, plan->shown, false, YD_GFOLD_AVG}, trail);
}

/* ---- evaluating ---- */

static int evaluate(struct yd_geval *eval, struct yd_gnode *node, struct view view, struct yd_glist *ret);

int yd__geval_argument(struct yd__gcall *call, struct yd_gnode *argument, struct yd_glist *ret)
{
    return evaluate(call->eval, argument, (struct view){.from = call->from, .fold = call->fold}, ret);
}

static int evaluate(struct yd_geval *eval, struct yd_gnode *node, struct view view, struct yd_glist *ret)
{
    if (is_source(node)) {
        struct yd_glist *fetched = &eval->fetched[node->fetch];
        int r = 0;
        for (size_t i = 0; i < fetched->count && r == 0; i++) r = yd_glist_add(eval->pool, ret, fetched->items[i]);
        return r;
    }
    if (node->kind != YD_G_CALL) return no_series(node, eval->trail);
    struct yd_glist list = {0};
    struct yd__gcall call = {.eval = eval,
                             .pool = eval->pool,
                             .node = node,
                             .function = find(node->text),
                             .list = &list,
                             .from = view.from,
                             .fold = view.fold};
    if (!call.function) return YD_EINVAL; /* the plan has refused it */
    uint32_t at = 0;
    int r = 0;
    view_within(eval->plan, call.function, node, &view);
    for (struct yd_gnode *argument = node->first; argument && r == 0 && at < call.function->series;
         argument = argument->next, at++)
        r = evaluate(eval, argument, view, &list);
    uint64_t values = 0;
    for (size_t i = 0; i < list.count; i++) values += list.items[i]->count + 1;
    if (r == 0) r = yd__gwork(eval, values);
    if (r == 0) r = call.function->run(&call);
    for (size_t i = 0; i < list.count && r == 0; i++) r = yd_glist_add(eval->pool, ret, list.items[i]);
    return r;
}

int yd_geval(struct yd_geval *eval, struct yd_gnode *target, struct yd_glist *ret)
{
    eval->pool->trail = eval->trail;
    return evaluate(eval, target, (struct view){.from = eval->plan->from, .fold = YD_GFOLD_AVG}, ret);
}

/* ---- /functions ---- */

static struct yd_str cut(struct yd_str *rest, char separator)
{
    const char *at = rest->size ? memchr(rest->data, separator, rest->size) : NULL;
    struct yd_str part = {rest->data, at ? (size_t)(at - rest->data) : rest->size};
    size_t used = part.size + (at != NULL);
    *rest = (struct yd_str){rest->data + used, rest->size - used};
    return part;
}

static void put_options(struct yd_json *json)
{
    static const char *const options[] = {"average", "count", "diff",     "first", "last",   "max",
                                          "median",  "min",   "multiply", "range", "stddev", "sum"};
    yd_json_key(json, "options");
    yd_json_array(json);
    for (size_t i = 0; i < YD_COUNT(options); i++) yd_json_cstr(json, options[i]);
    yd_json_array_end(json);
}

static void put_param(struct yd_json *json, struct yd_str param)
{
    struct yd_str name = cut(&param, ':'), type = cut(&param, '=');
    bool multiple = type.size && type.data[type.size - 1] == '*';
    type.size -= multiple;
    bool required = type.size && type.data[type.size - 1] == '!';
    type.size -= required;
    yd_json_object(json);
    yd_json_key(json, "name");
    yd_json_str(json, name);
    yd_json_key(json, "type");
    yd_json_str(json, type);
    yd_json_key(json, "required");
    yd_json_bool(json, required);
    if (multiple) {
        yd_json_key(json, "multiple");
        yd_json_bool(json, true);
    }
    if (yd_str_eq(type, YD_STR("aggFunc"))) put_options(json);
    if (param.size) {
        yd_json_key(json, "default");
        yd_json_str(json, param);
    }
    yd_json_object_end(json);
}

static void put_function(struct yd_json *json, const struct yd__gfunction *function)
{
    struct yd_str params = yd_str_of(function->params), rest = params;
    char text[256];
    size_t size = 0;
    yd_json_object(json);
    yd_json_key(json, "name");
    yd_json_cstr(json, function->name);
    yd_json_key(json, "function");
    while (rest.size && size < sizeof text - 64) {
        struct yd_str param = cut(&rest, ' '), name = cut(&param, ':');
        memcpy(text + size, name.data, name.size);
        size += name.size;
        if (rest.size) memcpy(text + size, ", ", 2), size += 2;
    }
    struct yd_buf buf;
    yd_buf_init(&buf, NULL);
    yd_buf_printf(&buf, "%s(%.*s)", function->name, (int)size, text);
    yd_json_str(json, yd_buf_view(&buf));
    yd_buf_fini(&buf);
    yd_json_key(json, "description");
    yd_json_cstr(json, function->doc);
    yd_json_key(json, "module");
    yd_json_cstr(json, "graphite.render.functions");
    yd_json_key(json, "group");
    yd_json_cstr(json, function->group);
    yd_json_key(json, "params");
    yd_json_array(json);
    while (params.size) put_param(json, cut(&params, ' '));
    yd_json_array_end(json);
    yd_json_object_end(json);
}

bool yd_gfunctions_put(struct yd_buf *to, struct yd_str name)
{
    struct yd_json json;
    yd_json_init(&json, to, false);
    if (name.size) {
        const struct yd__gfunction *function = find(name);
        if (function) put_function(&json, function);
        return function != NULL;
    }
    yd_json_object(&json);
    for (size_t i = 0; i < yd__gfunction_count; i++) {
        yd_json_key(&json, yd__gfunctions[i].name);
        put_function(&json, &yd__gfunctions[i]);
    }
    yd_json_object_end(&json);
    return true;
}
