/* /render: targets to series to JSON; see graphite_web.h.
 *
 *   target by target: parse, plan ─► path by path: ask `series` ─► points, gathered ─► series of one step each
 *                     └─ functions over them (graphite_functions.h) ─► results ─► JSON, piece by piece
 *
 * Every target is parsed and planned before anything is asked, so that a mistake costs nothing. A series' step is the
 * usual distance of its points; one with few points takes that of its neighbours. What can fail: the targets (400),
 * more values than there is room for (413, with what to narrow), or too many requests at once (503). */
#include <math.h>
#include <stdlib.h>

#include "elements/graphite_functions.h"
#include "elements/graphite_parts.h"

#define TARGETS_MAX    128
#define SERIES_MAX     10000 /* of one path */
#define READ_MAX       (UINT64_C(1) << 28)
#define FEW            5 /* points: fewer say little about their step */
#define FROM_OTHERWISE 86400
#define EARLIEST       INT64_C(-9200000000) /* seconds */

/* What was asked for, as it comes in: points by their place, a unit apart. */
struct raw {
    struct yd_str name; /* canonical */
    uint32_t *places;
    double *values;
    size_t count, room;
};

struct target {
    struct yd_gnode *tree;
    uint32_t first, end; /* of its fetches */
};

struct render {
    struct yd_gpool pool;
    struct yd_gplan plan;
    struct target targets[TARGETS_MAX];
    size_t target_count, target;
    struct yd_glist fetched[YD_GFETCHES_MAX];
    uint32_t fetch;
    struct raw *raws; /* of this fetch */
    size_t raw_count, raw_room;
    int64_t base; /* of the places, seconds */
    struct yd_glist results;
    uint64_t max_points, work;
    bool no_nulls;
    size_t written;
    bool begun;
};

/* ---- asking ---- */

static int tag_filters(struct yd_gweb *web, struct yd_str tags, struct yd_filter *filters, size_t *count)
{
    (void)web;
    while (tags.size) {
        const char *end = memchr(tags.data, ';', tags.size);
        size_t size = end ? (size_t)(end - tags.data) : tags.size;
        const char *equals = memchr(tags.data, '=', size);
        if (!equals) return YD_EINVAL;
        filters[(*count)++] = (struct yd_filter){.type = YD_FILTER_LITERAL_OR,
                                                 .key = {tags.data, (size_t)(equals - tags.data)},
                                                 .expression = {equals + 1, size - (size_t)(equals + 1 - tags.data)}};
        size += end != NULL;
        tags = (struct yd_str){tags.data + size, tags.size - size};
    }
    return 0;
}

/* A path without anything special is a metric; else a pattern. Behind a semicolon stand tags. */
static int ask_path(struct yd_gweb *web, const struct yd_gnode *node, struct yd_series_query *query,
                    struct yd_trail *trail)
{
    struct yd_str path = node->text;
    size_t semicolons = 0, count = 0;
    for (size_t i = 0; i < path.size; i++) semicolons += path.data[i] == ';';
    struct yd_filter *filters = yd_arena_zero(web->arena, (semicolons + 2) * sizeof *filters);
    if (!filters) return YD_ENOMEM;
    const char *semicolon = memchr(path.data, ';', path.size);
    struct yd_str metric = {path.data, semicolon ? (size_t)(semicolon - path.data) : path.size};
    bool special = false;
    for (size_t i = 0; i < metric.size; i++) special |= strchr("*?[]{}\\", metric.data[i]) != NULL;
    if (special) {
        filters[count++] = (struct yd_filter){.type = YD_FILTER_NODES, .expression = metric, .of_metric = true};
        query->any_metric = true;
    } else {
        query->metric = metric;
    }
    struct yd_str tags = {metric.data + metric.size, path.size - metric.size};
    if (tags.size) tags = (struct yd_str){tags.data + 1, tags.size - 1};
    if (tag_filters(web, tags, filters, &count) < 0)
        return yd_trail_add(trail, YD_EINVAL, "KEY=VALUE is expected behind a semicolon: '%.*s'",
                            (int)YD_MIN(path.size, (size_t)200), path.data);
    query->filters = filters;
    query->filter_count = count;
    return 0;
}

static int ask_tags(struct yd_gweb *web, const struct yd_gnode *node, struct yd_series_query *query,
                    struct yd_trail *trail)
{
    struct yd_filter *filters = yd_arena_zero(web->arena, (node->count + 1) * sizeof *filters);
    bool any = false;
    int r = 0;
    if (!filters) return YD_ENOMEM;
    for (const struct yd_gnode *argument = node->first; argument && r == 0; argument = argument->next) {
        bool needs = false;
        if (argument->kind != YD_G_STRING)
            return yd_trail_add(trail, YD_EINVAL, "seriesByTag: texts like 'name=disk.used' are expected");
        r = yd_graphite_tag_expression(argument->text, web->arena, &filters[query->filter_count++], &needs, trail);
        any |= needs;
    }
    if (r < 0) return r;
    if (!any)
        return yd_trail_add(trail, YD_EINVAL,
                            "seriesByTag: at least one tagspec must require a non-empty value, like 'name=~cpu'");
    query->filters = filters;
    query->any_metric = true;
    return 0;
}

static const char *aggregator_of(enum yd_gfold fold)
{
    switch (fold) {
    case YD_GFOLD_SUM:
        return "sum";
    case YD_GFOLD_MIN:
        return "min";
    case YD_GFOLD_MAX:
        return "max";
    case YD_GFOLD_FIRST:
        return "first";
    case YD_GFOLD_LAST:
        return "last";
    case YD_GFOLD_COUNT:
        return "count";
    default:
        return "avg";
    }
}

static int ask_series(struct yd_gweb *web, struct yd_ask *ret_ask, struct yd_trail *trail)
{
    struct render *render = web->own;
    const struct yd_gfetch *fetch = &render->plan.fetches[render->fetch];
    int64_t start = yd_gfloor(fetch->from, fetch->unit);
    struct yd_series_query query = {.none = true, .series_max = SERIES_MAX, .read_max = READ_MAX};
    int r = fetch->node->kind == YD_G_PATH ? ask_path(web, fetch->node, &query, trail)
                                           : ask_tags(web, fetch->node, &query, trail);
    if (r < 0) return r;
    query.start_ns = YD_MAX(start, EARLIEST) * YD_NS_PER_S; /* windows reach back before what fits */
    query.end_ns = fetch->until * YD_NS_PER_S;
    query.downsample.interval_ns = fetch->unit * YD_NS_PER_S;
    (void)yd_aggregator_find(yd_str_of(aggregator_of(fetch->fold)), &query.downsample.aggregator); /* it is there */
    render->base = start;
    *ret_ask = (struct yd_ask){.op = YD_ASK_SERIES, .series = query};
    return 1;
}

/* ---- what comes back ---- */

static int add_raw(struct yd_gweb *web, struct yd_str name)
{
    struct render *render = web->own;
    if (render->raw_count == render->raw_room) {
        size_t room = YD_MAX(render->raw_room * 2, (size_t)64);
        struct raw *raws = yd_alloc_resize(NULL, render->raws, render->raw_room * sizeof *raws, room * sizeof *raws);
        if (!raws) return YD_ENOMEM;
        render->raws = raws;
        render->raw_room = room;
    }
    struct yd_str copy = yd_arena_str(web->arena, name);
    if (!copy.data) return YD_ENOMEM;
    render->raws[render->raw_count++] = (struct raw){.name = copy};
    return 0;
}

/* A point costs as much as two values. */
static int add_point(struct render *render, struct raw *raw, uint32_t place, double value)
{
    if (raw->count == raw->room) {
        size_t room = YD_MAX(raw->room * 2, (size_t)16);
        int r = yd_gpool_take(&render->pool, 2 * (room - raw->room));
        if (r < 0) return r;
        uint32_t *places = yd_alloc_resize(NULL, raw->places, raw->room * sizeof *places, room * sizeof *places);
        double *values = yd_alloc_get(NULL, room * sizeof *values);
        if (places) raw->places = places;
        if (!places || !values) {
            yd_gpool_give(&render->pool, 2 * (room - raw->room));
            yd_alloc_put(NULL, values, room * sizeof *values);
            return YD_ENOMEM;
        }
        if (raw->count) memcpy(values, raw->values, raw->count * sizeof *values);
        yd_alloc_put(NULL, raw->values, raw->room * sizeof *values);
        raw->values = values;
        raw->room = room;
    }
    raw->places[raw->count] = place;
    raw->values[raw->count++] = value;
    return 0;
}

static void drop_raws(struct render *render)
{
    for (size_t i = 0; i < render->raw_count; i++) {
        struct raw *raw = &render->raws[i];
        yd_alloc_put(NULL, raw->places, raw->room * sizeof *raw->places);
        yd_alloc_put(NULL, raw->values, raw->room * sizeof *raw->values);
        yd_gpool_give(&render->pool, 2 * raw->room);
    }
    render->raw_count = 0;
}

static int add(struct yd_gweb *web, const struct yd_batch *batch, struct yd_trail *trail)
{
    struct render *render = web->own;
    const struct yd_view *view = &batch->view;
    int64_t unit = render->plan.fetches[render->fetch].unit;
    int r = 0;
    render->pool.trail = trail;
    for (uint32_t i = 0; i < view->count && r == 0; i++) {
        const struct yd_record *record = &view->records[i];
        double value;
        if (record->kind == YD_FACT) {
            r = add_raw(web, yd_view_name(view, record->name));
        } else if (record->kind == YD_SAMPLE && render->raw_count &&
                   yd_value_number(record->type, record->value, &value) && isfinite(value)) {
            int64_t place = (record->time_ns / YD_NS_PER_S - render->base) / unit;
            if (place >= 0 && place < UINT32_MAX)
                r = add_point(render, &render->raws[render->raw_count - 1], (uint32_t)place, value);
        }
    }
    return r;
}

/* ---- points to series ---- */

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The step of those that say little themselves: what is usual among those with enough points, or with any. */
static int usual_step(struct render *render, const struct yd_gfetch *fetch, int64_t *ret_step)
{
    int64_t *found = yd_alloc_get(NULL, (render->raw_count + 1) * sizeof *found);
    size_t count = 0;
    if (!found) return YD_ENOMEM;
    for (size_t least = FEW; !count && least; least = least == FEW ? 2 : 0) {
        for (size_t i = 0; i < render->raw_count; i++) {
            const struct raw *raw = &render->raws[i];
            int64_t step = raw->count >= least ? yd_gstep_of(raw->places, raw->count, fetch->unit) : 0;
            if (step) found[count++] = step;
        }
    }
    if (count) qsort(found, count, sizeof *found, by_number);
    *ret_step = count ? found[count / 2] : YD_MAX(fetch->unit, render->plan.shown);
    yd_alloc_put(NULL, found, (render->raw_count + 1) * sizeof *found);
    return 0;
}

static struct yd_str plain(struct yd_arena *arena, struct yd_str escaped)
{
    char *to = yd_arena_get(arena, 2 * escaped.size + 1);
    if (!to) return (struct yd_str){NULL, 0};
    return (struct yd_str){to, yd_name_unescape(escaped, to)};
}

static int by_key(const void *a, const void *b)
{
    return yd_str_cmp(((const struct yd_tag *)a)->key, ((const struct yd_tag *)b)->key);
}

static int name_series(struct yd_gweb *web, struct yd_gseries *series, struct yd_str canonical)
{
    struct yd_name name;
    struct yd_buf buf;
    if (yd_name_parse(canonical, &name, NULL) < 0) name = (struct yd_name){.metric = canonical};
    series->tags = yd_arena_get(web->arena, (name.tag_count + 1) * sizeof *series->tags);
    if (!series->tags) return YD_ENOMEM;
    series->tags[0] = (struct yd_tag){YD_STR("name"), plain(web->arena, name.metric)};
    series->tag_count = 1;
    for (uint32_t i = 0; i < name.tag_count; i++) {
        struct yd_tag tag = {plain(web->arena, name.tags[i].key), plain(web->arena, name.tags[i].value)};
        if (!yd_str_eq(tag.key, YD_STR("name"))) series->tags[series->tag_count++] = tag;
    }
    qsort(series->tags, series->tag_count, sizeof *series->tags, by_key);
    yd_buf_init(&buf, NULL);
    yd_graphite_put_name(&buf, canonical);
    series->name = buf.failed ? (struct yd_str){NULL, 0} : yd_arena_str(web->arena, yd_buf_view(&buf));
    yd_buf_fini(&buf);
    return series->name.data ? 0 : YD_ENOMEM;
}

static int settle_raw(struct yd_gweb *web, const struct yd_gfetch *fetch, const struct raw *raw, int64_t step,
                      struct yd_str path, struct yd_glist *list)
{
    struct render *render = web->own;
    struct yd_gseries *series;
    int64_t start = yd_gfloor(fetch->from, step) + (fetch->fixed ? 0 : step), last = yd_gfloor(fetch->until, step);
    size_t count = last >= start ? (size_t)((last - start) / step) + 1 : 0;
    int r = yd_gseries_make(&render->pool, start, step, count, &series);
    if (r < 0) return r;
    enum yd_gfold fold = fetch->fold == YD_GFOLD_COUNT ? YD_GFOLD_SUM : fetch->fold;
    for (size_t i = 0, end; i < raw->count; i = end) {
        int64_t time = yd_gfloor(render->base + (int64_t)raw->places[i] * fetch->unit, step);
        for (end = i + 1; end < raw->count; end++)
            if (render->base + (int64_t)raw->places[end] * fetch->unit >= time + step) break;
        int64_t at = (time - start) / step;
        if (time >= start && at < (int64_t)count) series->values[at] = yd_gfold(fold, raw->values + i, end - i);
    }
    series->fold = fold;
    series->path = path;
    r = name_series(web, series, raw->name);
    return r < 0 ? r : yd_glist_add(&render->pool, list, series);
}

/* What series are called that were asked for by this. */
static int path_text(struct yd_gweb *web, const struct yd_gnode *node, struct yd_str *ret)
{
    struct yd_buf buf;
    *ret = node->text;
    if (node->kind == YD_G_PATH) return 0;
    yd_buf_init(&buf, NULL);
    yd_buf_cstr(&buf, "seriesByTag(");
    for (const struct yd_gnode *argument = node->first; argument; argument = argument->next) {
        yd_buf_char(&buf, '\'');
        yd_buf_str(&buf, argument->text);
        yd_buf_cstr(&buf, argument->next ? "'," : "'");
    }
    yd_buf_char(&buf, ')');
    *ret = buf.failed ? (struct yd_str){NULL, 0} : yd_arena_str(web->arena, yd_buf_view(&buf));
    yd_buf_fini(&buf);
    return ret->data ? 0 : YD_ENOMEM;
}

static int settle_fetch(struct yd_gweb *web, struct yd_trail *trail)
{
    struct render *render = web->own;
    const struct yd_gfetch *fetch = &render->plan.fetches[render->fetch];
    struct yd_str path;
    int64_t usual = fetch->unit;
    render->pool.trail = trail;
    int r = path_text(web, fetch->node, &path);
    if (r == 0 && !fetch->fixed) r = usual_step(render, fetch, &usual);
    for (size_t i = 0; i < render->raw_count && r == 0; i++) {
        const struct raw *raw = &render->raws[i];
        int64_t step = usual;
        if (!fetch->fixed && raw->count >= FEW) step = yd_gstep_of(raw->places, raw->count, fetch->unit);
        if (raw->count) r = settle_raw(web, fetch, raw, step, path, &render->fetched[render->fetch]);
    }
    drop_raws(render);
    return r;
}

static int by_name(const void *a, const void *b)
{
    const struct yd_gseries *x = *(struct yd_gseries *const *)a, *y = *(struct yd_gseries *const *)b;
    return yd_str_cmp(x->name, y->name);
}

static int evaluate(struct yd_gweb *web, struct yd_trail *trail)
{
    struct render *render = web->own;
    struct target *target = &render->targets[render->target++];
    for (uint32_t i = target->first; i < target->end; i++)
        if (render->fetched[i].count)
            qsort(render->fetched[i].items, render->fetched[i].count, sizeof *render->fetched[i].items, by_name);
    struct yd_geval eval = {
        .pool = &render->pool, .trail = trail, .plan = &render->plan, .fetched = render->fetched, .work = render->work};
    int r = yd_geval(&eval, target->tree, &render->results);
    render->work = eval.work;
    return r;
}

/* Targets whose paths have all been fetched are evaluated; then the next path. */
static int go_on(struct yd_gweb *web, struct yd_ask *ret_ask, struct yd_trail *trail)
{
    struct render *render = web->own;
    int r = 0;
    while (r == 0 && render->target < render->target_count && render->targets[render->target].end <= render->fetch)
        r = evaluate(web, trail);
    if (r < 0) return r;
    return render->fetch < render->plan.fetch_count ? ask_series(web, ret_ask, trail) : 0;
}

static int next(struct yd_gweb *web, struct yd_ask *ret_ask, struct yd_trail *trail)
{
    struct render *render = web->own;
    int r = settle_fetch(web, trail);
    render->fetch++;
    return r < 0 ? r : go_on(web, ret_ask, trail);
}

/* ---- starting ---- */

static int read_times(struct yd_gweb *web, int64_t *ret_from, int64_t *ret_until, struct yd_trail *trail)
{
    int64_t now = web->now_ns / YD_NS_PER_S;
    struct yd_str from = yd_graphite_field(&web->form, "from"), until = yd_graphite_field(&web->form, "until");
    *ret_from = now - FROM_OTHERWISE;
    *ret_until = now;
    if (from.size && yd_graphite_time(from, now, ret_from) < 0)
        return yd_trail_add(trail, YD_EINVAL, "Invalid value for from: '%.*s'", (int)YD_MIN(from.size, (size_t)100),
                            from.data);
    if (until.size && yd_graphite_time(until, now, ret_until) < 0)
        return yd_trail_add(trail, YD_EINVAL, "Invalid value for until: '%.*s'", (int)YD_MIN(until.size, (size_t)100),
                            until.data);
    if (*ret_from >= *ret_until)
        return yd_trail_add(trail, YD_EINVAL, "Invalid empty time range: from is not before until");
    return 0;
}

static int plan_targets(struct yd_gweb *web, struct yd_trail *trail)
{
    struct render *render = web->own;
    struct yd_str *texts;
    size_t count;
    int r = yd_graphite_fields(&web->form, "target", "target[]", web->arena, &texts, &count);
    if (r < 0) return r;
    if (count > TARGETS_MAX)
        return yd_trail_add(trail, YD_ETOOBIG, "%zu targets: at most %d in one request", count, TARGETS_MAX);
    for (size_t i = 0; i < count && r == 0; i++) {
        struct target *target = &render->targets[render->target_count];
        if (!texts[i].size) continue;
        target->first = render->plan.fetch_count;
        r = yd_gtarget_parse(texts[i], web->arena, &target->tree, trail);
        if (r == 0) r = yd_gplan_target(&render->plan, target->tree, trail);
        target->end = render->plan.fetch_count;
        render->target_count++;
    }
    return r;
}

static int start(struct yd_gweb *web, struct yd_ask *ret_ask, struct yd_trail *trail)
{
    struct render *render = web->own;
    struct yd_str format = yd_graphite_field(&web->form, "format");
    int64_t from, until;
    yd_gpool_init(&render->pool, web->arena, web->values_all);
    if (format.size && !yd_str_eq(format, YD_STR("json")))
        return yd_trail_add(trail, YD_EINVAL, "Invalid value for parameter 'format': json is there");
    int r = read_times(web, &from, &until, trail);
    if (r < 0) return r;
    render->max_points = yd__gweb_number(web, "maxDataPoints", 0, 1000000);
    render->no_nulls = yd__gweb_flag(web, "noNullPoints", false);
    yd_gplan_init(&render->plan, from, until, render->max_points);
    r = plan_targets(web, trail);
    return r < 0 ? r : go_on(web, ret_ask, trail);
}

/* ---- the answer ---- */

/* As many points as were asked for, the usual way of the series; one point stands for all. */
static int consolidate(const struct render *render, struct yd_gseries *series)
{
    if (!render->max_points || series->count <= render->max_points) return 0;
    if (render->max_points == 1) {
        series->values[0] = yd_gfold(series->fold, series->values, series->count);
        series->step *= (int64_t)series->count;
        series->count = 1;
        return 0;
    }
    int64_t each = (int64_t)((series->count + render->max_points - 1) / render->max_points);
    return yd_gseries_coarsen(series, series->step * each);
}

static void put_points(const struct render *render, const struct yd_gseries *series, struct yd_buf *to)
{
    bool any = false;
    for (size_t i = 0; i < series->count; i++) {
        double value = series->values[i];
        if (render->no_nulls && !isfinite(value)) continue;
        char *p = yd_buf_reserve(to, 96), *start_ = p;
        if (!p) return;
        if (any) *p++ = ',';
        any = true;
        *p++ = '[';
        if (isfinite(value))
            p += yd_text_put_f64(p, value);
        else
            p = (char *)memcpy(p, "null", 4) + 4;
        *p++ = ',';
        p += yd_text_put_i64(p, series->start + (int64_t)i * series->step);
        *p++ = ']';
        to->size += (size_t)(p - start_);
    }
}

static void put_series(const struct render *render, const struct yd_gseries *series, struct yd_buf *to)
{
    struct yd_json json;
    yd_json_init(&json, to, false);
    yd_json_object(&json);
    yd_json_key(&json, "target");
    yd_json_str(&json, series->name);
    yd_json_key(&json, "tags");
    yd_json_object(&json);
    for (uint32_t i = 0; i < series->tag_count; i++) {
        yd_json_key_str(&json, series->tags[i].key);
        yd_json_str(&json, series->tags[i].value);
    }
    yd_json_object_end(&json);
    yd_buf_cstr(to, ",\"datapoints\":[");
    put_points(render, series, to);
    yd_buf_cstr(to, "]}");
}

static bool write(struct yd_gweb *web, struct yd_buf *to, size_t size)
{
    struct render *render = web->own;
    if (!render->begun) yd_buf_char(to, '[');
    render->begun = true;
    while (render->written < render->results.count && to->size < size && !to->failed) {
        struct yd_gseries *series = render->results.items[render->written];
        if (render->written++) yd_buf_char(to, ',');
        if (consolidate(render, series) < 0) to->failed = true;
        put_series(render, series, to);
    }
    if (render->written < render->results.count) return true;
    yd_buf_char(to, ']');
    return false;
}

static void free_render(struct yd_gweb *web)
{
    struct render *render = web->own;
    if (render->pool.arena) drop_raws(render);
    yd_alloc_put(NULL, render->raws, render->raw_room * sizeof *render->raws);
    yd_gpool_fini(&render->pool);
}

const struct yd__gweb_ops yd__gweb_render = {.path = "render",
                                             .size = sizeof(struct render),
                                             .start = start,
                                             .add = add,
                                             .next = next,
                                             .write = write,
                                             .free = free_render};
