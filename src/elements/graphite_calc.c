/* Graphite's functions of values: see graphite_functions.c's table. Those of one series work in place. */
#include <math.h>
#include <stdlib.h>

#include "base/hash.h"
#include "elements/graphite_calls.h"
#include "elements/graphite_form.h"

/* ---- several into one ---- */

#define COMBINED_MAX 4096 /* bytes of a name, roughly: paths behind that are `...` */

/* name(path,path): each path once, in their order. */
static int combined_name(struct yd__gcall *call, const struct yd_glist *list, const char *name, struct yd_str *ret)
{
    struct yd_intern paths;
    struct yd_buf buf;
    uint32_t id;
    int r = 0;
    yd_intern_init(&paths, NULL, 0);
    yd_buf_init(&buf, NULL);
    yd_buf_printf(&buf, "%s(", name);
    for (size_t i = 0; i < list->count && r >= 0; i++) {
        r = yd_intern_add(&paths, list->items[i]->path, &id);
        if (r != 1) continue;
        if (id) yd_buf_char(&buf, ',');
        bool much = id && buf.size + list->items[i]->path.size > COMBINED_MAX;
        yd_buf_str(&buf, much ? YD_STR("...") : list->items[i]->path);
        if (much) break;
    }
    yd_buf_char(&buf, ')');
    if (r >= 0) r = yd_gpool_name(call->pool, buf.size);
    *ret = r < 0 || buf.failed ? (struct yd_str){NULL, 0} : yd_arena_str(call->pool->arena, yd_buf_view(&buf));
    yd_buf_fini(&buf);
    yd_intern_fini(&paths);
    return r < 0 ? r : ret->data ? 0 : YD_ENOMEM;
}

static int by_key(const void *a, const void *b)
{
    return yd_str_cmp(((const struct yd_tag *)a)->key, ((const struct yd_tag *)b)->key);
}

/* The tags that all have, with the same value; and what was made of them, and how. */
static int common_tags(struct yd__gcall *call, const struct yd_glist *list, struct yd_str name, enum yd_gfold fold,
                       struct yd_gseries *to)
{
    bool named = false;
    const struct yd_gseries *first = list->items[0];
    to->tags = yd_arena_get(call->pool->arena, (first->tag_count + 2) * sizeof *to->tags);
    if (!to->tags) return YD_ENOMEM;
    for (uint32_t i = 0; i < first->tag_count; i++) {
        bool all = !yd_str_eq(first->tags[i].key, YD_STR("aggregatedBy"));
        for (size_t k = 1; k < list->count && all; k++) {
            const struct yd_gseries *other = list->items[k];
            uint32_t at = 0;
            while (at < other->tag_count && !yd_str_eq(other->tags[at].key, first->tags[i].key)) at++;
            all = at < other->tag_count && yd_str_eq(other->tags[at].value, first->tags[i].value);
        }
        if (all) to->tags[to->tag_count++] = first->tags[i];
        named |= all && yd_str_eq(first->tags[i].key, YD_STR("name"));
    }
    if (!named) to->tags[to->tag_count++] = (struct yd_tag){YD_STR("name"), name};
    to->tags[to->tag_count++] = (struct yd_tag){YD_STR("aggregatedBy"), yd_str_of(yd_gfold_name(fold))};
    qsort(to->tags, to->tag_count, sizeof *to->tags, by_key);
    return 0;
}

int yd__gcombine(struct yd__gcall *call, struct yd_glist *list, enum yd_gfold fold, const char *name,
                 struct yd_gseries **ret)
{
    struct yd_gseries *made = NULL;
    struct yd_str text = YD_STR("");
    int r = combined_name(call, list, name, &text);
    if (r == 0) r = yd_glist_align(call->pool, list);
    const struct yd_gseries *first = list->items[0];
    if (r == 0) r = yd_gseries_make(call->pool, first->start, first->step, first->count, &made);
    if (r == 0) r = common_tags(call, list, text, fold, made);
    double *row = r == 0 ? yd_alloc_get(NULL, list->count * sizeof *row) : NULL;
    if (r == 0 && !row) r = YD_ENOMEM;
    if (r < 0) return r;
    for (size_t i = 0; i < made->count; i++) {
        for (size_t k = 0; k < list->count; k++) row[k] = list->items[k]->values[i];
        bool gap = false;
        for (size_t k = 0; k < list->count && fold == YD_GFOLD_MULTIPLY; k++) gap |= isnan(row[k]);
        made->values[i] = gap ? (double)NAN : yd_gfold(fold, row, list->count);
    }
    yd_alloc_put(NULL, row, list->count * sizeof *row);
    made->fold = first->fold;
    made->name = made->path = text;
    *ret = made;
    return 0;
}

void yd__gcombined(enum yd_gfold fold, bool own, char *to)
{
    const char *behind = own && fold == YD_GFOLD_RANGE ? "OfSeries" : "Series";
    struct yd_str word = yd_str_of(yd_gfold_name(fold));
    memcpy(to, word.data, word.size);
    memcpy(to + word.size, behind, strlen(behind) + 1);
}

int yd__gf_combine(struct yd__gcall *call)
{
    enum yd_gfold fold = (enum yd_gfold)call->function->fold;
    struct yd_gseries *made;
    char name[32];
    if (call->function->run == yd__gf_combine && call->function->series == 1) { /* aggregate */
        int r = yd__garg_fold(call, 1, "func", NULL, &fold);
        if (r < 0) return r;
    }
    if (!call->list->count) return 0;
    yd__gcombined(fold, call->function->series != 1, name);
    size_t count = call->list->count;
    int r = yd__gcombine(call, call->list, fold, name, &made);
    if (r < 0) return r;
    /* countSeries counts them, wherever they have values; aggregate counts values. */
    for (size_t i = 0; i < made->count && call->function->series != 1 && fold == YD_GFOLD_COUNT; i++)
        made->values[i] = (double)count;
    call->list->count = 0;
    return yd_glist_add(call->pool, call->list, made);
}

static struct yd_gnode *second(struct yd__gcall *call)
{
    return call->node->first ? call->node->first->next : NULL;
}

/* values[i] = dividend / divisor * factor, where both are there and the divisor is not 0. */
static int divide(struct yd__gcall *call, struct yd_gseries **dividend, struct yd_gseries *divisor, double factor,
                  const char *name)
{
    struct yd_gseries *copy, *whole;
    struct yd_glist both = {0};
    struct yd_gseries *from = *dividend;
    int r = yd_gseries_make(call->pool, divisor->start, divisor->step, divisor->count, &copy);
    if (r < 0) return r;
    memcpy(copy->values, divisor->values, divisor->count * sizeof(double));
    copy->fold = divisor->fold;
    r = yd_glist_add(call->pool, &both, from);
    if (r == 0) r = yd_glist_add(call->pool, &both, copy);
    if (r == 0) r = yd_glist_align(call->pool, &both);
    if (r == 0) r = yd_gseries_make(call->pool, from->start, from->step, from->count, &whole);
    if (r < 0) return r;
    for (size_t i = 0; i < from->count; i++)
        whole->values[i] = copy->values[i] != 0 ? from->values[i] / copy->values[i] * factor : (double)NAN;
    whole->tags = from->tags;
    whole->tag_count = from->tag_count;
    whole->fold = from->fold;
    *dividend = whole;
    return yd_gseries_name(call->pool, whole, "%s(%.*s,%.*s)", name, YD_STR_FMT(from->name), YD_STR_FMT(divisor->name));
}

int yd__gf_divide(struct yd__gcall *call)
{
    struct yd_glist divisor = {0};
    struct yd_gnode *argument = second(call);
    if (!argument) return yd__garg_refuse(call, "divisorSeries is missing");
    int r = yd__geval_argument(call, argument, &divisor);
    if (r == 0 && divisor.count == 0) {
        call->list->count = 0;
        return 0;
    }
    if (r == 0 && divisor.count != 1) return yd__garg_refuse(call, "divisorSeries must be exactly one series");
    for (size_t i = 0; i < call->list->count && r == 0; i++)
        r = divide(call, &call->list->items[i], divisor.items[0], 1, "divideSeries");
    return r;
}

int yd__gf_as_percent(struct yd__gcall *call)
{
    struct yd_gnode *argument = second(call);
    struct yd_gseries *total = NULL;
    struct yd_glist list = {0};
    int r = 0;
    if (!call->list->count) return 0;
    if (argument && argument->kind == YD_G_NUMBER) {
        for (size_t i = 0; i < call->list->count && r == 0; i++) {
            struct yd_gseries *series = call->list->items[i];
            for (size_t k = 0; k < series->count; k++)
                series->values[k] = argument->number != 0 ? series->values[k] / argument->number * 100 : (double)NAN;
            r = yd_gseries_name(call->pool, series, "asPercent(%.*s,%g)", YD_STR_FMT(series->name), argument->number);
        }
        return r;
    }
    if (argument && argument->kind != YD_G_NONE) {
        r = yd__geval_argument(call, argument, &list);
        if (r < 0) return r;
        if (list.count != 1) return yd__garg_refuse(call, "total must be a number or exactly one series");
        total = list.items[0];
    } else {
        r = yd__gcombine(call, call->list, YD_GFOLD_SUM, "sumSeries", &total);
    }
    for (size_t i = 0; i < call->list->count && r == 0; i++)
        r = divide(call, &call->list->items[i], total, 100, "asPercent");
    return r;
}

/* ---- one by one ---- */

static int renamed(struct yd__gcall *call, struct yd_gseries *series)
{
    return yd_gseries_name(call->pool, series, "%s(%.*s)", call->function->name, YD_STR_FMT(series->name));
}

int yd__gf_scale(struct yd__gcall *call)
{
    double factor;
    int r = yd__garg_number(call, 1, "factor", NULL, &factor);
    for (size_t i = 0; i < call->list->count && r == 0; i++) {
        struct yd_gseries *series = call->list->items[i];
        for (size_t k = 0; k < series->count; k++) series->values[k] *= factor;
        r = yd_gseries_name(call->pool, series, "scale(%.*s,%g)", YD_STR_FMT(series->name), factor);
    }
    return r;
}

int yd__gf_offset(struct yd__gcall *call)
{
    double factor;
    int r = yd__garg_number(call, 1, "factor", NULL, &factor);
    for (size_t i = 0; i < call->list->count && r == 0; i++) {
        struct yd_gseries *series = call->list->items[i];
        for (size_t k = 0; k < series->count; k++) series->values[k] += factor;
        r = yd_gseries_name(call->pool, series, "offset(%.*s,%g)", YD_STR_FMT(series->name), factor);
    }
    return r;
}

int yd__gf_absolute(struct yd__gcall *call)
{
    int r = 0;
    for (size_t i = 0; i < call->list->count && r == 0; i++) {
        struct yd_gseries *series = call->list->items[i];
        for (size_t k = 0; k < series->count; k++) series->values[k] = fabs(series->values[k]);
        r = renamed(call, series);
    }
    return r;
}

/* The difference to the value right before; with `counter` not below 0, but around `most` when that is a number. */
static void differences(struct yd_gseries *series, bool counter, double most, double divisor)
{
    double before = NAN;
    for (size_t k = 0; k < series->count; k++) {
        double now = series->values[k], by = now - before;
        if (counter && by < 0) by = now >= 0 && before <= most ? most - before + now + 1 : (double)NAN;
        if (counter && !isnan(most) && now > most) by = NAN;
        series->values[k] = by / divisor;
        before = now;
    }
}

int yd__gf_derivative(struct yd__gcall *call)
{
    int r = 0;
    for (size_t i = 0; i < call->list->count && r == 0; i++) {
        differences(call->list->items[i], false, NAN, 1);
        r = renamed(call, call->list->items[i]);
    }
    return r;
}

static int rates(struct yd__gcall *call, bool by_second)
{
    const double none = NAN;
    double most;
    int r = yd__garg_number(call, 1, "maxValue", &none, &most);
    for (size_t i = 0; i < call->list->count && r == 0; i++) {
        struct yd_gseries *series = call->list->items[i];
        differences(series, true, most, by_second ? (double)series->step : 1);
        r = renamed(call, series);
    }
    return r;
}

int yd__gf_non_negative(struct yd__gcall *call)
{
    return rates(call, false);
}

int yd__gf_per_second(struct yd__gcall *call)
{
    return rates(call, true);
}

int yd__gf_integral(struct yd__gcall *call)
{
    int r = 0;
    for (size_t i = 0; i < call->list->count && r == 0; i++) {
        struct yd_gseries *series = call->list->items[i];
        double sum = 0;
        for (size_t k = 0; k < series->count; k++)
            if (!isnan(series->values[k])) series->values[k] = sum += series->values[k];
        r = renamed(call, series);
    }
    return r;
}

int yd__gf_keep_last(struct yd__gcall *call)
{
    const double none = INFINITY;
    double limit;
    int r = yd__garg_number(call, 1, "limit", &none, &limit);
    for (size_t i = 0; i < call->list->count && r == 0; i++) {
        struct yd_gseries *series = call->list->items[i];
        size_t from = 0; /* of the gap */
        for (size_t k = 0; k <= series->count; k++) {
            if (k < series->count && isnan(series->values[k])) continue;
            if (from && k > from && (double)(k - from) <= limit)
                for (size_t at = from; at < k; at++) series->values[at] = series->values[from - 1];
            from = k + 1;
        }
        r = renamed(call, series);
    }
    return r;
}

int yd__gf_transform_null(struct yd__gcall *call)
{
    const double zero = 0;
    double value;
    int r = yd__garg_number(call, 1, "default", &zero, &value);
    for (size_t i = 0; i < call->list->count && r == 0; i++) {
        struct yd_gseries *series = call->list->items[i];
        for (size_t k = 0; k < series->count; k++)
            if (isnan(series->values[k])) series->values[k] = value;
        r = yd_gseries_name(call->pool, series, "transformNull(%.*s,%g)", YD_STR_FMT(series->name), value);
    }
    return r;
}

/* ---- windows ---- */

/* values[k] = of the `window` values before it; then what lies before `from` goes. */
static int move(struct yd__gcall *call, struct yd_gseries *series, size_t window)
{
    enum yd_gfold fold = (enum yd_gfold)call->function->fold;
    size_t size = YD_MIN(window, series->count) + 1;
    int r = yd__gwork(call->eval, (uint64_t)series->count * size);
    double *scratch = r == 0 ? yd_alloc_get(NULL, size * sizeof *scratch) : NULL;
    if (r < 0) return r;
    if (!scratch) return YD_ENOMEM;
    for (size_t k = series->count; k-- > 0;) { /* from the end, so that what is read has not changed */
        size_t n = YD_MIN(window, k);
        memcpy(scratch, series->values + k - n, n * sizeof *scratch);
        series->values[k] = yd_gfold(fold, scratch, n);
    }
    yd_alloc_put(NULL, scratch, size * sizeof *scratch);
    int64_t before = call->from - series->start;
    size_t cut = before < 0 ? 0 : (size_t)(before / series->step + 1);
    cut = YD_MIN(cut, series->count);
    series->values += cut;
    series->count -= cut;
    series->start += (int64_t)cut * series->step;
    return 0;
}

int yd__gf_moving(struct yd__gcall *call)
{
    const struct yd_gnode *window = yd_gtarget_argument(call->node, 1, "windowSize");
    const char *quote = window && window->kind == YD_G_STRING ? "\"" : "";
    int r = 0;
    if (!window) return yd__garg_refuse(call, "windowSize is missing");
    for (size_t i = 0; i < call->list->count && r == 0; i++) {
        struct yd_gseries *series = call->list->items[i];
        size_t size = 0;
        r = yd__garg_window(call, 1, "windowSize", series->step, &size);
        if (r == 0) r = move(call, series, size);
        if (r == 0)
            r = yd_gseries_name(call->pool, series, "%s(%.*s,%s%.*s%s)", call->function->name, YD_STR_FMT(series->name),
                                quote, YD_STR_FMT(window->text), quote);
    }
    return r;
}

/* Intervals that begin at `from`. */
static int summarize_from(struct yd__gcall *call, struct yd_gseries **series, int64_t interval, enum yd_gfold fold)
{
    struct yd_gseries *old = *series, *made;
    int64_t start = old->start, last = old->start + ((int64_t)old->count - 1) * old->step;
    size_t count = old->count && last >= start ? (size_t)((last - start) / interval + 1) : 0;
    size_t most = (size_t)YD_MIN((int64_t)old->count, interval / old->step + 2);
    int r = yd_gseries_make(call->pool, start, interval, count, &made);
    double *scratch = r == 0 ? yd_alloc_get(NULL, (most + 1) * sizeof *scratch) : NULL;
    if (r == 0 && !scratch) r = YD_ENOMEM;
    if (r < 0) return r;
    for (size_t i = 0, from = 0; i < count; i++) {
        size_t n = 0;
        for (; from < old->count && old->start + (int64_t)from * old->step < start + (int64_t)(i + 1) * interval;
             from++)
            if (n < most) scratch[n++] = old->values[from];
        made->values[i] = yd_gfold(fold, scratch, n);
    }
    yd_alloc_put(NULL, scratch, (most + 1) * sizeof *scratch);
    made->name = old->name;
    made->tags = old->tags;
    made->tag_count = old->tag_count;
    *series = made;
    return 0;
}

static int summarize_one(struct yd__gcall *call, struct yd_gseries **series, int64_t interval, enum yd_gfold fold,
                         bool from_start)
{
    struct yd_gseries *one = *series;
    if (call->node->summarized) return 0;
    if (from_start) return summarize_from(call, series, interval, fold);
    if (interval < one->step) return 0; /* nothing to sum up: the points are farther apart */
    enum yd_gfold before = one->fold;
    one->fold = fold;
    int64_t start = one->start;
    if (one->count &&
        one->start != yd_gfloor(one->start, interval)) { /* coarsen leaves out a first part: it is whole */
        struct yd_gseries *longer;
        size_t lead = (size_t)((start - yd_gfloor(start, interval) + one->step - 1) / one->step);
        int r = yd_gseries_make(call->pool, yd_gfloor(start, interval), one->step, one->count + lead, &longer);
        if (r < 0) return r;
        memcpy(longer->values + lead, one->values, one->count * sizeof(double));
        one->values = longer->values;
        one->count += lead;
        one->start = longer->start;
    }
    int r = yd_gseries_coarsen(one, interval);
    one->fold = before;
    return r;
}

int yd__gf_summarize(struct yd__gcall *call)
{
    struct yd_str text;
    int64_t interval;
    enum yd_gfold fold;
    bool from_start = yd__garg_true(call->node, 3, "alignToFrom");
    int r = yd__garg_text(call, 1, "intervalString", NULL, &text);
    if (r == 0 && yd_graphite_duration(text, &interval) < 0)
        return yd__garg_refuse(call, "intervalString must be a time like '1h'");
    if (r == 0) r = yd__garg_fold(call, 2, "func", "sum", &fold);
    struct yd_str func = YD_STR("sum");
    if (r == 0) r = yd__garg_text(call, 2, "func", "sum", &func);
    for (size_t i = 0; i < call->list->count && r == 0; i++) {
        r = summarize_one(call, &call->list->items[i], interval, fold, from_start);
        struct yd_gseries *series = call->list->items[i];
        if (r == 0)
            r = yd_gseries_name(call->pool, series, "summarize(%.*s, \"%.*s\", \"%.*s\"%s)", YD_STR_FMT(series->name),
                                YD_STR_FMT(text), YD_STR_FMT(func), from_start ? ", true" : "");
    }
    return r;
}

/* ---- others ---- */

int yd__gf_consolidate_by(struct yd__gcall *call)
{
    enum yd_gfold fold;
    struct yd_str text;
    int r = yd__garg_fold(call, 1, "consolidationFunc", NULL, &fold);
    if (r == 0) r = yd__garg_text(call, 1, "consolidationFunc", NULL, &text);
    for (size_t i = 0; i < call->list->count && r == 0; i++) {
        struct yd_gseries *series = call->list->items[i];
        series->fold = fold == YD_GFOLD_COUNT ? YD_GFOLD_SUM : fold;
        r = yd_gseries_name(call->pool, series, "consolidateBy(%.*s,\"%.*s\")", YD_STR_FMT(series->name),
                            YD_STR_FMT(text));
    }
    return r;
}

int yd__gf_constant_line(struct yd__gcall *call)
{
    const struct yd_gplan *plan = call->eval->plan;
    struct yd_gseries *series;
    double value;
    int64_t step = YD_MAX((plan->until - plan->from) / 2, INT64_C(1));
    int r = yd__garg_number(call, 0, "value", NULL, &value);
    if (r == 0) r = yd_gseries_make(call->pool, plan->from, step, 3, &series);
    if (r < 0) return r;
    for (size_t i = 0; i < series->count; i++) series->values[i] = value;
    char text[40];
    int size = (int)yd_text_put_f64(text, value);
    r = yd_gseries_name(call->pool, series, "%.*s", size, text);
    if (r == 0) r = yd_glist_add(call->pool, call->list, series);
    return r;
}

int yd__gf_limit(struct yd__gcall *call)
{
    double n;
    int r = yd__garg_number(call, 1, "n", NULL, &n);
    if (r == 0 && n < (double)call->list->count) call->list->count = n < 0 ? 0 : (size_t)n;
    return r;
}

struct ranked {
    struct yd_gseries *series;
    double value;
    size_t place;
};

static int by_rank(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->value != y->value) return x->value < y->value ? 1 : -1;
    return (x->place > y->place) - (x->place < y->place);
}

int yd__gf_highest(struct yd__gcall *call)
{
    const double one = 1;
    double n;
    size_t count = call->list->count;
    int r = yd__garg_number(call, 1, "n", &one, &n);
    struct ranked *ranked = yd_arena_get(call->pool->arena, (count + 1) * sizeof *ranked);
    if (r < 0) return r;
    if (!ranked) return YD_ENOMEM;
    for (size_t i = 0; i < count; i++) {
        struct yd_gseries *series = call->list->items[i];
        double *values = yd_alloc_get(NULL, (series->count + 1) * sizeof *values);
        if (!values) return YD_ENOMEM;
        memcpy(values, series->values, series->count * sizeof *values);
        double value = yd_gfold((enum yd_gfold)call->function->fold, values, series->count);
        yd_alloc_put(NULL, values, (series->count + 1) * sizeof *values);
        ranked[i] = (struct ranked){series, isnan(value) ? -INFINITY : value, i};
    }
    qsort(ranked, count, sizeof *ranked, by_rank);
    call->list->count = n < 0 ? 0 : (size_t)YD_MIN(n, (double)count);
    for (size_t i = 0; i < call->list->count; i++) call->list->items[i] = ranked[i].series;
    return 0;
}

int yd__gf_group(struct yd__gcall *call)
{
    (void)call; /* they are in one list already */
    return 0;
}
