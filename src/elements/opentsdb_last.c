/* /api/query/last: see opentsdb_last.h. Grammar: OpenTSDB 2.4, HTTP API, /api/query/last. */
#include "elements/opentsdb_last.h"

#include "elements/ask.h"
#include "elements/opentsdb_answer.h"
#include "serve/json_in.h"

#define QUERIES_MAX    256
#define BACK_HOURS_MAX (INT64_C(1000000))

struct planner {
    struct yd_arena *arena;
    struct yd_trail *trail;
    struct yd_tsdb_last *plan;
    size_t room;
    int64_t start_ns;
};

static int set_back_scan(struct planner *planner, struct yd_str hours, int64_t now_ns)
{
    int64_t count;
    planner->start_ns = 0;
    if (hours.size == 0) return 0;
    if (yd_text_i64(hours, &count) < 0 || count < 0 || count > BACK_HOURS_MAX)
        return yd_trail_add(planner->trail, YD_EINVAL, "Invalid back_scan, hours are wanted: %.*s",
                            (int)YD_MIN(hours.size, (size_t)60), hours.data);
    if (count) planner->start_ns = now_ns - count * 3600 * YD_NS_PER_S;
    return 0;
}

static int add(struct planner *planner, const struct yd_series_query *query)
{
    struct yd_tsdb_last *plan = planner->plan;
    if (plan->count == QUERIES_MAX) return yd_trail_add(planner->trail, YD_EINVAL, "Too many sub queries");
    if (plan->count == planner->room) {
        size_t room = planner->room ? planner->room * 2 : 8;
        struct yd_series_query *queries = yd_arena_get(planner->arena, room * sizeof *queries);
        if (!queries) return YD_ENOMEM;
        if (plan->count) memcpy(queries, plan->queries, plan->count * sizeof *queries);
        plan->queries = queries;
        planner->room = room;
    }
    plan->queries[plan->count] = *query;
    plan->queries[plan->count++].start_ns = planner->start_ns;
    return 0;
}

static int json_query(struct planner *planner, const struct yd_json_value *item)
{
    struct yd_series_query query = {.metric = yd_json_text(yd_json_get(item, "metric"))};
    const struct yd_json_value *tags = yd_json_get(item, "tags");
    int r = yd_tsdb_tsuids_json(yd_json_get(item, "tsuids"), planner->arena, &query, planner->trail);
    if (r < 0) return r;
    if (query.metric.size == 0 && query.tsuid_count == 0)
        return yd_trail_add(planner->trail, YD_EINVAL, "Missing metric or tsuids in a sub query");
    if (tags && tags->type == YD_JSON_OBJECT && tags->count) {
        struct yd_filter *filters = yd_arena_zero(planner->arena, tags->count * sizeof *filters);
        if (!filters) return YD_ENOMEM;
        for (const struct yd_json_value *tag = tags->first; tag && r == 0; tag = tag->next)
            r = yd_tsdb_tag_filter(tag->key, yd_json_text(tag), &filters[query.filter_count++], planner->trail);
        query.filters = filters;
    }
    return r < 0 ? r : add(planner, &query);
}

static int plan_json(struct planner *planner, struct yd_str body, int64_t now_ns)
{
    struct yd_json_value *root;
    int r = yd_json_read(body, planner->arena, &root, planner->trail);
    if (r == YD_EFORMAT || (r == 0 && root->type != YD_JSON_OBJECT))
        return yd_trail_add(planner->trail, YD_EINVAL, "Unable to parse the given JSON");
    if (r < 0) return r;
    planner->plan->resolve = yd_json_true(yd_json_get(root, "resolveNames"));
    r = set_back_scan(planner, yd_json_text(yd_json_get(root, "backScan")), now_ns);
    const struct yd_json_value *queries = yd_json_get(root, "queries");
    if (r == 0 && (!queries || queries->type != YD_JSON_ARRAY || queries->count == 0))
        return yd_trail_add(planner->trail, YD_EINVAL, "Missing sub queries");
    for (const struct yd_json_value *item = queries ? queries->first : NULL; item && r == 0; item = item->next)
        r = json_query(planner, item);
    return r;
}

static int plan_url(struct planner *planner, const struct yd_tsdb_argument *arguments, size_t count, int64_t now_ns)
{
    int r = 0;
    for (size_t i = 0; i < count && r == 0; i++) {
        if (yd_str_eq(arguments[i].name, YD_STR("back_scan"))) r = set_back_scan(planner, arguments[i].value, now_ns);
        if (yd_str_eq(arguments[i].name, YD_STR("resolve")))
            planner->plan->resolve = !yd_str_eq(arguments[i].value, YD_STR("false"));
    }
    for (size_t i = 0; i < count && r == 0; i++) {
        struct yd_series_query query = {0};
        if (yd_str_eq(arguments[i].name, YD_STR("timeseries"))) {
            r = yd_tsdb_lookup(arguments[i].value, planner->arena, &query, planner->trail);
            if (r == 0 && query.metric.size == 0)
                r = yd_trail_add(planner->trail, YD_EINVAL, "Missing the metric of timeseries=");
        } else if (yd_str_eq(arguments[i].name, YD_STR("tsuids"))) {
            r = yd_tsdb_tsuids(arguments[i].value, planner->arena, &query, planner->trail);
        } else {
            continue;
        }
        if (r == 0) r = add(planner, &query);
    }
    if (r == 0 && planner->plan->count == 0)
        r = yd_trail_add(planner->trail, YD_EINVAL, "Missing sub queries: timeseries= or tsuids=");
    return r;
}

int yd_tsdb_last_plan(struct yd_str body, const struct yd_tsdb_argument *arguments, size_t count, int64_t now_ns,
                      struct yd_arena *arena, struct yd_tsdb_last *ret, struct yd_trail *trail)
{
    struct planner planner = {.arena = arena, .trail = trail, .plan = ret};
    *ret = (struct yd_tsdb_last){0};
    return body.size ? plan_json(&planner, body, now_ns) : plan_url(&planner, arguments, count, now_ns);
}

/* A value as text, as OpenTSDB gives it here. Numbers that JSON does not know are Java's words. */
static void put_value(struct yd_buf *to, const struct yd_record *record)
{
    char text[64];
    size_t size = 0;
    double value;
    if (record->type == YD_I64)
        size = yd_text_put_i64(text, record->value.i64);
    else if (record->type == YD_U64)
        size = yd_text_put_u64(text, record->value.u64);
    else if (!yd_value_number((enum yd_type)record->type, record->value, &value) || value != value)
        size = 3, memcpy(text, "NaN", 3);
    else if (value - value != 0)
        yd_buf_cstr(to, value < 0 ? "-Infinity" : "Infinity");
    else
        size = yd_text_put_f64(text, value);
    yd_buf_add(to, text, size);
}

void yd_tsdb_last_add(struct yd_buf *to, bool *any, bool resolve, const struct yd_batch *batch)
{
    const struct yd_view *view = &batch->view;
    for (uint32_t i = 0; i < view->count; i++) {
        const struct yd_record *record = &view->records[i];
        if (record->kind != YD_SAMPLE) continue;
        struct yd_str name = yd_view_name(view, record->name);
        int64_t ms = record->time_ns / YD_NS_PER_MS - (record->time_ns % YD_NS_PER_MS < 0);
        yd_buf_cstr(to, *any ? ",{" : "[{");
        *any = true;
        if (resolve) {
            yd_tsdb_put_name(to, name);
            yd_buf_char(to, ',');
        }
        yd_buf_printf(to, "\"timestamp\":%lld,\"value\":\"", (long long)ms);
        put_value(to, record);
        yd_buf_printf(to, "\",\"tsuid\":\"" YD_TSDB_TSUID "\"}", (unsigned long long)yd_history_tsuid(name));
    }
}
