/* The op schema "series" as rows, there and back: see ask.h. */
#include "elements/ask.h"

const char *const yd_filter_names[] = {"iliteral_or",     "iwildcard", "literal_or",
                                       "not_iliteral_or", "not_key",   "not_literal_or",
                                       "regexp",          "wildcard",  NULL};
/* Behind OpenTSDB's, of rows only. */
static const char *const more_filter_names[] = {"nodes", "not_regexp"};
static const enum yd_filter_type more_filter_types[] = {YD_FILTER_NODES, YD_FILTER_NOT_REGEXP};
static const enum yd_filter_type filter_types[] = {
    YD_FILTER_ILITERAL_OR, YD_FILTER_IWILDCARD,      YD_FILTER_LITERAL_OR, YD_FILTER_NOT_ILITERAL_OR,
    YD_FILTER_NOT_KEY,     YD_FILTER_NOT_LITERAL_OR, YD_FILTER_REGEXP,     YD_FILTER_WILDCARD};

static const char *const op_names[] = {"series", "suggest", "lookup", "last", "counts",
                                       "notes",  "nodes",   "tags",   "find"};
static const char *const what_names[] = {"metrics", "tagk", "tagv"};
static const char *const fill_names[] = {"none", "nan", "null", "zero"};

static int find(const char *const *names, size_t count, struct yd_str name)
{
    for (size_t i = 0; i < count; i++)
        if (yd_str_eq(name, yd_str_of(names[i]))) return (int)i;
    return YD_ENOENT;
}

int yd_filter_type_find(struct yd_str name, enum yd_filter_type *ret_type)
{
    int i = find(yd_filter_names, YD_COUNT(filter_types), name);
    if (i < 0) return i;
    *ret_type = filter_types[i];
    return 0;
}

const char *yd_filter_type_name(enum yd_filter_type type)
{
    for (size_t i = 0; i < YD_COUNT(filter_types); i++)
        if (filter_types[i] == type) return yd_filter_names[i];
    for (size_t i = 0; i < YD_COUNT(more_filter_types); i++)
        if (more_filter_types[i] == type) return more_filter_names[i];
    return "";
}

/* ---- there ---- */

struct writer {
    struct yd_builder *builder;
    int error; /* the first one */
};

static void note(struct writer *to, int r)
{
    if (to->error == 0 && r < 0) to->error = r;
}
static void put_text(struct writer *to, const char *key, struct yd_str text)
{
    if (text.size && to->error == 0) note(to, yd_builder_cell_bytes(to->builder, yd_str_of(key), YD_TEXT, text));
}
static void put_int(struct writer *to, const char *key, int64_t value)
{
    if (value && to->error == 0)
        note(to, yd_builder_cell(to->builder, yd_str_of(key), YD_I64, (union yd_value){.i64 = value}));
}
static void put_float(struct writer *to, const char *key, double value)
{
    if (value != 0 && to->error == 0)
        note(to, yd_builder_cell(to->builder, yd_str_of(key), YD_F64, (union yd_value){.f64 = value}));
}
static void put_bool(struct writer *to, const char *key, bool value)
{
    if (value && to->error == 0)
        note(to, yd_builder_cell(to->builder, yd_str_of(key), YD_BOOL, (union yd_value){.bits = 1}));
}

static void put_filters(struct writer *to, const struct yd_series_query *query)
{
    if (query->filter_count == 0 || to->error) return;
    note(to, yd_builder_nest(to->builder, YD_STR("filters"), YD_LIST));
    for (size_t i = 0; i < query->filter_count && to->error == 0; i++) {
        const struct yd_filter *filter = &query->filters[i];
        note(to, yd_builder_nest(to->builder, YD_STR(""), YD_MAP));
        put_text(to, "type", yd_str_of(yd_filter_type_name(filter->type)));
        put_text(to, "key", filter->key);
        put_text(to, "expression", filter->expression);
        put_bool(to, "group_by", filter->group_by);
        put_bool(to, "of_metric", filter->of_metric);
        if (to->error == 0) note(to, yd_builder_end(to->builder));
    }
    if (to->error == 0) note(to, yd_builder_end(to->builder));
}

static void put_tsuids(struct writer *to, const struct yd_series_query *query)
{
    if (query->tsuid_count == 0 || to->error) return;
    note(to, yd_builder_nest(to->builder, YD_STR("tsuids"), YD_LIST));
    for (size_t i = 0; i < query->tsuid_count && to->error == 0; i++)
        note(to, yd_builder_cell(to->builder, YD_STR(""), YD_U64, (union yd_value){.u64 = query->tsuids[i]}));
    if (to->error == 0) note(to, yd_builder_end(to->builder));
}

static void put_series(struct writer *to, const struct yd_series_query *query)
{
    put_int(to, "start", query->start_ns);
    put_int(to, "end", query->end_ns);
    put_text(to, "metric", query->metric);
    put_bool(to, "any_metric", query->any_metric);
    put_text(to, "aggregator", yd_str_of(query->none ? "none" : yd_aggregators[query->aggregator]));
    put_bool(to, "rate", query->rate);
    put_bool(to, "counter", query->rate_options.counter);
    put_bool(to, "drop_resets", query->rate_options.drop_resets);
    put_float(to, "counter_max", query->rate_options.counter_max);
    put_float(to, "reset_value", query->rate_options.reset_value);
    if (query->downsample.edge_count && to->error == 0) {
        struct yd_str edges = {(const char *)query->downsample.edges,
                               query->downsample.edge_count * sizeof *query->downsample.edges};
        note(to, yd_builder_cell_bytes(to->builder, YD_STR("edges"), YD_BLOB, edges));
    }
    if (query->downsample.interval_ns || query->downsample.edge_count) {
        put_int(to, "interval", query->downsample.interval_ns);
        put_text(to, "downsampler", yd_str_of(yd_aggregators[query->downsample.aggregator]));
        put_text(to, "fill", yd_str_of(fill_names[query->downsample.fill]));
    }
    put_filters(to, query);
    put_tsuids(to, query);
    put_bool(to, "explicit_tags", query->explicit_tags);
    put_bool(to, "show_tsuids", query->show_tsuids);
    put_bool(to, "show_notes", query->show_notes);
    put_bool(to, "milliseconds", query->milliseconds);
    put_int(to, "points_max", (int64_t)query->points_max);
    put_int(to, "series_max", (int64_t)query->series_max);
    put_int(to, "read_max", (int64_t)query->read_max);
    put_int(to, "index", query->index);
}

static void put_ask(struct writer *to, const struct yd_ask *ask)
{
    put_text(to, "op", yd_str_of(op_names[ask->op]));
    if (ask->op == YD_ASK_SERIES) put_series(to, &ask->series);
    if (ask->op == YD_ASK_SUGGEST) {
        put_text(to, "what", yd_str_of(what_names[ask->what]));
        put_text(to, "prefix", ask->text);
        put_bool(to, "substring", ask->substring);
    }
    if (ask->op == YD_ASK_LOOKUP) {
        put_text(to, "metric", ask->series.metric);
        put_filters(to, &ask->series);
    }
    if (ask->op == YD_ASK_LAST || ask->op == YD_ASK_NODES) put_text(to, "pattern", ask->text);
    if (ask->op == YD_ASK_LAST) {
        put_text(to, "metric", ask->series.metric);
        put_tsuids(to, &ask->series);
        put_int(to, "start", ask->series.start_ns);
    }
    if (ask->op == YD_ASK_NOTES) {
        put_tsuids(to, &ask->series);
        put_bool(to, "global", ask->global);
        put_int(to, "start", ask->series.start_ns);
        put_int(to, "end", ask->series.end_ns);
    }
    if (ask->op == YD_ASK_TAGS) {
        put_text(to, "key", ask->key);
        put_text(to, "prefix", ask->text);
        put_bool(to, "of_metric", ask->of_metric);
    }
    if (ask->op == YD_ASK_TAGS || ask->op == YD_ASK_FIND || ask->op == YD_ASK_LAST) put_filters(to, &ask->series);
    put_int(to, "from", ask->from);
    put_int(to, "max", (int64_t)ask->max);
}

int yd_ask_encode(const struct yd_ask *ask, struct yd_batch **ret_batch)
{
    struct writer to = {0};
    uint32_t name;
    int r = yd_builder_create(NULL, &to.builder);
    if (r < 0) return r;
    note(&to, yd_builder_name(to.builder, YD_STR("ask"), &name));
    if (to.error == 0) note(&to, yd_builder_begin(to.builder, 0, name, YD_ROW, 0, YD_MAP));
    put_ask(&to, ask);
    if (to.error == 0) note(&to, yd_builder_end(to.builder));
    if (to.error == 0) note(&to, yd_builder_seal(to.builder, ret_batch));
    yd_builder_destroy(to.builder);
    return to.error;
}

/* ---- and back: from anybody, so nothing is trusted but the batch's own structure ---- */

struct reader {
    const struct yd_view *view;
    union yd_value map;
    struct yd_trail *trail;
    int error;
};

static void refuse(struct reader *from, const char *key, const char *what)
{
    if (from->error == 0) from->error = yd_trail_add(from->trail, YD_EINVAL, "`%s` %s", key, what);
}
static const struct yd_cell *get(struct reader *from, const char *key)
{
    return yd_view_find(from->view, from->map, yd_str_of(key));
}
static struct yd_str get_text(struct reader *from, const char *key)
{
    const struct yd_cell *cell = get(from, key);
    if (!cell) return YD_STR("");
    if (cell->type == YD_TEXT) return yd_view_bytes(from->view, cell->value);
    refuse(from, key, "must be text");
    return YD_STR("");
}
static double get_float(struct reader *from, const char *key)
{
    const struct yd_cell *cell = get(from, key);
    double value = 0;
    if (cell && !yd_value_number(cell->type, cell->value, &value)) refuse(from, key, "must be a number");
    return value;
}
static int64_t get_int(struct reader *from, const char *key)
{
    const struct yd_cell *cell = get(from, key);
    if (!cell) return 0;
    if (cell->type == YD_I64 || (cell->type == YD_U64 && cell->value.u64 <= INT64_MAX)) return cell->value.i64;
    refuse(from, key, "must be an integer");
    return 0;
}
static uint64_t get_count(struct reader *from, const char *key)
{
    int64_t value = get_int(from, key);
    if (value < 0) refuse(from, key, "must not be negative");
    return value < 0 ? 0 : (uint64_t)value;
}
static bool get_bool(struct reader *from, const char *key)
{
    const struct yd_cell *cell = get(from, key);
    if (cell && cell->type != YD_BOOL) refuse(from, key, "must be true or false");
    return cell && cell->type == YD_BOOL && cell->value.bits;
}
static int get_word(struct reader *from, const char *key, const char *const *names, size_t count)
{
    struct yd_str text = get_text(from, key);
    int i = text.size ? find(names, count, text) : 0;
    if (i < 0) refuse(from, key, "is none of the known words");
    return i < 0 ? 0 : i;
}
static uint32_t get_aggregator(struct reader *from, const char *key, bool *ret_none)
{
    uint32_t index = 0;
    struct yd_str text = get_text(from, key);
    *ret_none = yd_str_eq(text, YD_STR("none"));
    int r = yd_aggregator_find(text.size ? text : YD_STR("avg"), &index);
    if (r < 0 && !*ret_none) refuse(from, key, "is no aggregator");
    return index;
}

static int find_filter(struct yd_str name, enum yd_filter_type *ret_type)
{
    int i = find(more_filter_names, YD_COUNT(more_filter_names), name);
    if (i < 0) return yd_filter_type_find(name, ret_type);
    *ret_type = more_filter_types[i];
    return 0;
}

static void get_filters(struct reader *from, struct yd_arena *arena, struct yd_series_query *query)
{
    const struct yd_cell *cell = get(from, "filters");
    if (!cell) return;
    if (cell->type != YD_LIST) {
        refuse(from, "filters", "must be a list");
        return;
    }
    const struct yd_cells *cells = yd_view_cells(from->view, cell->value);
    struct yd_filter *filters = yd_arena_zero(arena, (cells->count + 1) * sizeof *filters);
    if (!filters) {
        from->error = YD_ENOMEM;
        return;
    }
    for (uint32_t i = 0; i < cells->count; i++) {
        struct reader one = {from->view, cells->cell[i].value, from->trail, from->error};
        if (cells->cell[i].type != YD_MAP) {
            refuse(from, "filters", "must be a list of maps");
            return;
        }
        struct yd_str type = get_text(&one, "type");
        if (type.size && find_filter(type, &filters[i].type) < 0) refuse(&one, "type", "is no filter");
        filters[i].key = get_text(&one, "key");
        filters[i].expression = get_text(&one, "expression");
        filters[i].group_by = get_bool(&one, "group_by");
        filters[i].of_metric = get_bool(&one, "of_metric");
        from->error = one.error;
    }
    query->filters = filters;
    query->filter_count = cells->count;
}

static void get_tsuids(struct reader *from, struct yd_arena *arena, struct yd_series_query *query)
{
    const struct yd_cell *cell = get(from, "tsuids");
    if (!cell) return;
    if (cell->type != YD_LIST) {
        refuse(from, "tsuids", "must be a list");
        return;
    }
    const struct yd_cells *cells = yd_view_cells(from->view, cell->value);
    uint64_t *tsuids = yd_arena_get(arena, (cells->count + 1) * sizeof *tsuids);
    if (!tsuids) {
        from->error = YD_ENOMEM;
        return;
    }
    for (uint32_t i = 0; i < cells->count; i++) {
        if (cells->cell[i].type != YD_U64) refuse(from, "tsuids", "must be a list of U64");
        tsuids[i] = cells->cell[i].value.u64;
    }
    query->tsuids = tsuids;
    query->tsuid_count = cells->count;
}

static void get_series(struct reader *from, struct yd_arena *arena, struct yd_series_query *query)
{
    bool none;
    query->start_ns = get_int(from, "start");
    query->end_ns = get_int(from, "end");
    query->metric = get_text(from, "metric");
    query->any_metric = get_bool(from, "any_metric");
    query->aggregator = get_aggregator(from, "aggregator", &query->none);
    query->rate = get_bool(from, "rate");
    query->rate_options.counter = get_bool(from, "counter");
    query->rate_options.drop_resets = get_bool(from, "drop_resets");
    query->rate_options.counter_max = get_float(from, "counter_max");
    query->rate_options.reset_value = get_float(from, "reset_value");
    query->downsample.interval_ns = get_int(from, "interval");
    if (query->downsample.interval_ns < 0) refuse(from, "interval", "must not be negative");
    const struct yd_cell *edges = get(from, "edges");
    if (edges && (edges->type != YD_BLOB || edges->value.heap.size % sizeof(int64_t)))
        refuse(from, "edges", "must be a blob of 64-bit times");
    else if (edges && edges->value.heap.size) {
        query->downsample.edges = (const int64_t *)(const void *)yd_view_bytes(from->view, edges->value).data;
        query->downsample.edge_count = edges->value.heap.size / sizeof(int64_t); /* aligned, as everything there */
    }
    if (query->downsample.interval_ns || query->downsample.edge_count) {
        query->downsample.aggregator = get_aggregator(from, "downsampler", &none);
        query->downsample.fill = (enum yd_fill)get_word(from, "fill", fill_names, YD_COUNT(fill_names));
    }
    get_filters(from, arena, query);
    get_tsuids(from, arena, query);
    query->explicit_tags = get_bool(from, "explicit_tags");
    query->show_tsuids = get_bool(from, "show_tsuids");
    query->show_notes = get_bool(from, "show_notes");
    query->milliseconds = get_bool(from, "milliseconds");
    query->points_max = get_count(from, "points_max");
    query->series_max = get_count(from, "series_max");
    query->read_max = get_count(from, "read_max");
    query->index = (uint32_t)get_count(from, "index");
}

int yd_ask_decode(const struct yd_batch *batch, struct yd_arena *arena, struct yd_ask *ret_ask, struct yd_trail *trail)
{
    const struct yd_view *view = &batch->view;
    if (view->count != 1 || view->records[0].kind != YD_ROW || view->records[0].type != YD_MAP)
        return yd_trail_add(trail, YD_EINVAL, "a question is one row, a map with `op`");
    struct reader from = {.view = view, .map = view->records[0].value, .trail = trail};
    struct yd_ask ask = {0};
    struct yd_str op = get_text(&from, "op");
    int i = find(op_names, YD_COUNT(op_names), op);
    if (i < 0)
        return yd_trail_add(trail, YD_EINVAL,
                            "unknown op `%.*s`: series, suggest, lookup, last, notes, counts, nodes, tags, find "
                            "are known",
                            (int)YD_MIN(op.size, (size_t)64), op.data);
    ask.op = (enum yd_ask_op)i;
    if (ask.op == YD_ASK_SERIES) get_series(&from, arena, &ask.series);
    if (ask.op == YD_ASK_SUGGEST) {
        ask.what = (enum yd_suggest)get_word(&from, "what", what_names, YD_COUNT(what_names));
        ask.text = get_text(&from, "prefix");
        ask.substring = get_bool(&from, "substring");
    }
    if (ask.op == YD_ASK_LOOKUP) {
        ask.series.metric = get_text(&from, "metric");
        get_filters(&from, arena, &ask.series);
    }
    if (ask.op == YD_ASK_LAST || ask.op == YD_ASK_NODES) ask.text = get_text(&from, "pattern");
    if (ask.op == YD_ASK_LAST) {
        ask.series.metric = get_text(&from, "metric");
        get_tsuids(&from, arena, &ask.series);
        ask.series.start_ns = get_int(&from, "start");
    }
    if (ask.op == YD_ASK_NOTES) {
        get_tsuids(&from, arena, &ask.series);
        ask.global = get_bool(&from, "global");
        ask.series.start_ns = get_int(&from, "start");
        ask.series.end_ns = get_int(&from, "end");
    }
    if (ask.op == YD_ASK_TAGS) {
        ask.key = get_text(&from, "key");
        ask.text = get_text(&from, "prefix");
        ask.of_metric = get_bool(&from, "of_metric");
    }
    if (ask.op == YD_ASK_TAGS || ask.op == YD_ASK_FIND || ask.op == YD_ASK_LAST) get_filters(&from, arena, &ask.series);
    uint64_t start = get_count(&from, "from");
    if (start > UINT32_MAX) refuse(&from, "from", "must be what `next` was");
    ask.from = (uint32_t)start;
    ask.max = get_count(&from, "max");
    if (from.error) return from.error;
    *ret_ask = ask;
    return 0;
}
