/* OpenTSDB's answers: see opentsdb_answer.h.
 *
 *   [ {"metric":…,"tags":{…},"aggregateTags":[…],"query":{…},"tsuids":[…],
 *     "annotations":[…],"globalAnnotations":[…],"dps":{"time":value,…}}, … ]
 *
 * A FACT opens an element, its samples follow, the next FACT or the end closes it; so an element may spread over many
 * batches and nothing is gathered. Numbers that JSON does not know: a gap filled with NaN is "NaN" as OpenTSDB writes
 * it, every other one is null. */
#include "elements/opentsdb_answer.h"

#include <math.h>
#include <stdio.h>

#include "elements/ask.h"
#include "elements/opentsdb_notes.h"

void yd_tsdb_put_string(struct yd_buf *to, struct yd_str text)
{
    struct yd_json json;
    yd_json_init(&json, to, false);
    yd_json_str(&json, text);
}

static void put_unescaped(struct yd_buf *to, struct yd_str text)
{
    char plain[2 * YD_NAME_SIZE_MAX];
    if (text.size > YD_NAME_SIZE_MAX) text.size = YD_NAME_SIZE_MAX;
    yd_tsdb_put_string(to, (struct yd_str){plain, yd_name_unescape(text, plain)});
}

void yd_tsdb_put_name(struct yd_buf *to, struct yd_str text)
{
    struct yd_name name;
    if (yd_name_parse(text, &name, NULL) < 0) name = (struct yd_name){.metric = text};
    yd_buf_cstr(to, "\"metric\":");
    put_unescaped(to, name.metric);
    yd_buf_cstr(to, ",\"tags\":{");
    for (uint32_t i = 0; i < name.tag_count; i++) {
        if (i) yd_buf_char(to, ',');
        put_unescaped(to, name.tags[i].key);
        yd_buf_char(to, ':');
        put_unescaped(to, name.tags[i].value);
    }
    yd_buf_char(to, '}');
}

/* ---- /api/query ---- */

void yd_tsdb_answer_begin(struct yd_tsdb_answer *answer, const struct yd_tsdb_plan *plan)
{
    *answer = (struct yd_tsdb_answer){.plan = plan};
    yd_buf_init(&answer->buf, NULL);
    yd_buf_init(&answer->globals, NULL);
    yd_buf_char(&answer->buf, '[');
}

void yd_tsdb_answer_fini(struct yd_tsdb_answer *answer)
{
    yd_buf_fini(&answer->buf);
    yd_buf_fini(&answer->globals);
}

static void put_notes(struct yd_buf *to, const char *before, const struct yd_view *view, uint32_t index)
{
    struct yd_note note;
    unsigned given;
    if (!yd_note_read(view, index, &note, &given)) return;
    yd_buf_cstr(to, before);
    yd_tsdb_put_note(to, &note);
}

void yd_tsdb_answer_global(struct yd_tsdb_answer *answer, const struct yd_batch *batch)
{
    for (uint32_t i = 0; i < batch->view.count; i++)
        put_notes(&answer->globals, answer->globals.size ? "," : "", &batch->view, i);
    answer->buf.failed |= answer->globals.failed;
}

void yd_tsdb_answer_sub(struct yd_tsdb_answer *answer, const struct yd_tsdb_sub *sub)
{
    answer->sub = sub;
}

static void put_key_string(struct yd_buf *to, const char *key, struct yd_str text)
{
    yd_buf_printf(to, "\"%s\":", key);
    yd_tsdb_put_string(to, text);
}

static void put_filter(struct yd_buf *to, const struct yd_filter *filter)
{
    const char *type = yd_filter_type_name(filter->type);
    yd_buf_char(to, '{');
    put_key_string(to, "tagk", filter->key);
    yd_buf_char(to, ',');
    put_key_string(to, "filter", filter->expression);
    yd_buf_printf(to, ",\"type\":\"%s\",\"groupBy\":%s}", type, filter->group_by ? "true" : "false");
}

static void put_rate_options(struct yd_buf *to, const struct yd_rate_options *options)
{
    char max[64], reset[64];
    double counter_max = options->counter_max != 0 ? options->counter_max : 0x1p63;
    size_t max_size = yd_text_put_f64(max, counter_max), reset_size = yd_text_put_f64(reset, options->reset_value);
    yd_buf_printf(to, ",\"rateOptions\":{\"counter\":%s,\"counterMax\":%.*s,\"resetValue\":%.*s,\"dropResets\":%s}",
                  options->counter ? "true" : "false", (int)max_size, max, (int)reset_size, reset,
                  options->drop_resets ? "true" : "false");
}

static void put_query(struct yd_buf *to, const struct yd_tsdb_sub *sub)
{
    const struct yd_series_query *query = &sub->query;
    yd_buf_printf(to, ",\"query\":{\"index\":%u,\"aggregator\":\"%s\",", sub->query.index,
                  query->none ? "none" : yd_aggregators[query->aggregator]);
    yd_buf_cstr(to, "\"metric\":");
    if (query->metric.size)
        yd_tsdb_put_string(to, query->metric);
    else
        yd_buf_cstr(to, "null");
    yd_buf_cstr(to, ",\"tsuids\":");
    for (size_t i = 0; i < query->tsuid_count; i++)
        yd_buf_printf(to, "%s\"" YD_TSDB_TSUID "\"", i ? "," : "[", (unsigned long long)query->tsuids[i]);
    yd_buf_cstr(to, query->tsuid_count ? "],\"downsample\":" : "null,\"downsample\":");
    if (sub->downsample.size)
        yd_tsdb_put_string(to, sub->downsample);
    else
        yd_buf_cstr(to, "null");
    if (query->rate) put_rate_options(to, &query->rate_options);
    yd_buf_printf(to, ",\"rate\":%s,\"explicitTags\":%s,\"filters\":[", query->rate ? "true" : "false",
                  query->explicit_tags ? "true" : "false");
    for (size_t i = 0; i < query->filter_count; i++) {
        if (i) yd_buf_char(to, ',');
        put_filter(to, &query->filters[i]);
    }
    yd_buf_cstr(to, "],\"tags\":{");
    bool any = false;
    for (size_t i = 0; i < query->filter_count; i++) {
        if (!query->filters[i].group_by) continue;
        if (any) yd_buf_char(to, ',');
        any = true;
        yd_tsdb_put_string(to, query->filters[i].key);
        yd_buf_char(to, ':');
        yd_tsdb_put_string(to, query->filters[i].expression);
    }
    yd_buf_cstr(to, "}}");
}

/* What comes between the group's name and its points is over. */
static void head_end(struct yd_tsdb_answer *answer)
{
    if (answer->headed) return;
    answer->headed = true;
    if (answer->tsuids && !answer->notes) yd_buf_char(&answer->buf, ']');
    if (answer->notes) yd_buf_char(&answer->buf, ']');
    if (answer->globals.size) {
        yd_buf_cstr(&answer->buf, ",\"globalAnnotations\":[");
        yd_buf_str(&answer->buf, yd_buf_view(&answer->globals));
        yd_buf_char(&answer->buf, ']');
    }
    yd_buf_cstr(&answer->buf, answer->plan->arrays ? ",\"dps\":[" : ",\"dps\":{");
}

static void put_tsuid(struct yd_tsdb_answer *answer, uint64_t tsuid)
{
    if (answer->headed) return;
    yd_buf_printf(&answer->buf, "%s\"" YD_TSDB_TSUID "\"", answer->tsuids++ ? "," : ",\"tsuids\":[",
                  (unsigned long long)tsuid);
}

static void put_note(struct yd_tsdb_answer *answer, const struct yd_view *view, uint32_t index)
{
    if (answer->headed) return;
    if (answer->tsuids && !answer->notes) yd_buf_char(&answer->buf, ']');
    put_notes(&answer->buf, answer->notes++ ? "," : ",\"annotations\":[", view, index);
}

static void close_group(struct yd_tsdb_answer *answer)
{
    if (answer->open) head_end(answer);
    if (answer->open) yd_buf_cstr(&answer->buf, answer->plan->arrays ? "]" : "}");
    if (answer->open && answer->plan->show_stats)
        yd_buf_printf(&answer->buf, ",\"stats\":{\"emittedDPs\":%llu}",
                      (unsigned long long)(answer->points - answer->points_before));
    if (answer->open) yd_buf_char(&answer->buf, '}');
    answer->open = false;
}

static void open_group(struct yd_tsdb_answer *answer, const struct yd_view *view, const struct yd_record *fact)
{
    struct yd_buf *to = &answer->buf;
    const struct yd_cell *tags = fact->type == YD_MAP ? yd_view_find(view, fact->value, YD_STR("aggregateTags")) : NULL;
    close_group(answer);
    if (answer->any) yd_buf_char(to, ',');
    answer->any = answer->open = true;
    answer->any_point = answer->headed = false;
    answer->tsuids = answer->notes = 0;
    answer->points_before = answer->points;
    answer->series++;
    yd_buf_char(to, '{');
    yd_tsdb_put_name(to, yd_view_name(view, fact->name));
    yd_buf_cstr(to, ",\"aggregateTags\":[");
    const struct yd_cells *cells = tags && tags->type == YD_LIST ? yd_view_cells(view, tags->value) : NULL;
    for (uint32_t i = 0; cells && i < cells->count; i++) {
        if (i) yd_buf_char(to, ',');
        yd_tsdb_put_string(to, cells->cell[i].type == YD_TEXT ? yd_view_bytes(view, cells->cell[i].value) : YD_STR(""));
    }
    yd_buf_char(to, ']');
    if (answer->plan->show_query) put_query(to, answer->sub);
}

static size_t put_value(char *p, const struct yd_tsdb_answer *answer, const struct yd_record *record)
{
    double value;
    if (record->type == YD_I64) return yd_text_put_i64(p, record->value.i64);
    if (record->type == YD_U64) return yd_text_put_u64(p, record->value.u64);
    if (yd_value_number(record->type, record->value, &value) && isfinite(value)) return yd_text_put_f64(p, value);
    const struct yd_downsample *down = &answer->sub->query.downsample;
    if (answer->plan->nan == YD_TSDB_NAN_STRING && (down->interval_ns || down->edge_count) && down->fill == YD_FILL_NAN)
        return memcpy(p, "\"NaN\"", 5), 5;
    return memcpy(p, "null", 4), 4;
}

static void put_point(struct yd_tsdb_answer *answer, const struct yd_record *record)
{
    double number;
    head_end(answer);
    if (answer->plan->nan == YD_TSDB_NAN_OMIT &&
        !(yd_value_number((enum yd_type)record->type, record->value, &number) && isfinite(number)))
        return;
    char *start = yd_buf_reserve(&answer->buf, 96), *p = start;
    if (!start) return;
    bool arrays = answer->plan->arrays;
    int64_t unit = answer->plan->milliseconds ? YD_NS_PER_MS : YD_NS_PER_S, time = record->time_ns / unit;
    time -= record->time_ns % unit < 0;
    if (answer->any_point) *p++ = ',';
    answer->any_point = true;
    *p++ = arrays ? '[' : '"';
    p += yd_text_put_i64(p, time);
    if (!arrays) *p++ = '"';
    *p++ = arrays ? ',' : ':';
    p += put_value(p, answer, record);
    if (arrays) *p++ = ']';
    answer->buf.size += (size_t)(p - start);
    answer->points++;
}

void yd_tsdb_answer_add(struct yd_tsdb_answer *answer, const struct yd_batch *batch)
{
    const struct yd_view *view = &batch->view;
    for (uint32_t i = 0; i < view->count; i++) {
        const struct yd_record *record = &view->records[i];
        if (record->kind == YD_FACT && record->type == YD_U64 && answer->open)
            put_tsuid(answer, record->value.u64);
        else if (record->kind == YD_EVENT && answer->open)
            put_note(answer, view, i);
        else if (record->kind == YD_FACT)
            open_group(answer, view, record);
        else if (answer->open && record->kind == YD_SAMPLE)
            put_point(answer, record);
    }
}

void yd_tsdb_answer_end(struct yd_tsdb_answer *answer)
{
    struct yd_buf *to = &answer->buf;
    close_group(answer);
    if (answer->plan->show_summary)
        yd_buf_printf(to, "%s{\"statsSummary\":{\"emittedDPs\":%llu,\"queriedSeries\":%llu}}", answer->any ? "," : "",
                      (unsigned long long)answer->points, (unsigned long long)answer->series);
    yd_buf_char(to, ']');
}

/* ---- /api/suggest, /api/search/lookup ---- */

void yd_tsdb_suggest_add(struct yd_buf *to, bool *any, const struct yd_batch *batch)
{
    for (uint32_t i = 0; i < batch->view.count; i++) {
        const struct yd_record *record = &batch->view.records[i];
        if (record->type != YD_TEXT) continue;
        yd_buf_char(to, *any ? ',' : '[');
        *any = true;
        yd_tsdb_put_string(to, yd_view_bytes(&batch->view, record->value));
    }
}

void yd_tsdb_lookup_begin(struct yd_buf *to, const struct yd_series_query *query, uint64_t limit)
{
    yd_buf_cstr(to, "{\"type\":\"LOOKUP\",");
    put_key_string(to, "metric", query->metric.size ? query->metric : YD_STR("*"));
    yd_buf_cstr(to, ",\"tags\":[");
    for (size_t i = 0; i < query->filter_count; i++) {
        yd_buf_cstr(to, i ? ",{" : "{");
        put_key_string(to, "key", query->filters[i].key);
        yd_buf_char(to, ',');
        put_key_string(to, "value", query->filters[i].expression);
        yd_buf_char(to, '}');
    }
    yd_buf_printf(to, "],\"limit\":%llu,\"startIndex\":0,\"results\":[", (unsigned long long)limit);
}

void yd_tsdb_lookup_add(struct yd_buf *to, bool *any, uint64_t *total, const struct yd_batch *batch)
{
    const struct yd_view *view = &batch->view;
    for (uint32_t i = 0; i < view->count; i++) {
        const struct yd_record *record = &view->records[i];
        struct yd_str name = yd_view_name(view, record->name);
        if (record->kind == YD_FACT) {
            yd_buf_cstr(to, *any ? ",{\"tsuid\":" : "{\"tsuid\":");
            *any = true;
            yd_buf_printf(to, "\"" YD_TSDB_TSUID "\",", (unsigned long long)yd_history_tsuid(name));
            yd_tsdb_put_name(to, name);
            yd_buf_char(to, '}');
        } else if (record->type == YD_MAP) {
            const struct yd_cell *cell = yd_view_find(view, record->value, YD_STR("total"));
            if (cell && cell->type == YD_I64) *total = cell->value.u64;
        }
    }
}

void yd_tsdb_lookup_end(struct yd_buf *to, uint64_t total)
{
    yd_buf_printf(to, "],\"totalResults\":%llu,\"time\":0}", (unsigned long long)total);
}

/* ---- what never changes ---- */

void yd_tsdb_put_aggregators(struct yd_buf *to)
{
    bool none = false;
    yd_buf_char(to, '[');
    for (size_t i = 0; yd_aggregators[i]; i++) {
        bool is_none = !strcmp(yd_aggregators[i], "none");
        if (!none && (is_none || strcmp(yd_aggregators[i], "none") > 0)) {
            yd_buf_printf(to, "%s\"none\"", i ? "," : "");
            none = true;
            if (is_none) continue;
            yd_buf_printf(to, ",\"%s\"", yd_aggregators[i]);
        } else {
            yd_buf_printf(to, "%s\"%s\"", i ? "," : "", yd_aggregators[i]);
        }
    }
    yd_buf_cstr(to, none ? "]" : ",\"none\"]");
}

void yd_tsdb_put_filters(struct yd_buf *to)
{
    static const struct {
        const char *name, *examples, *description;
    } filters[] = {
        {"iliteral_or", "host=iliteral_or(web01|web02)", "One of these values, whatever their case"},
        {"iwildcard", "host=iwildcard(web*)", "A pattern of * for any run of characters, whatever their case"},
        {"literal_or", "host=literal_or(web01|web02)", "One of these values"},
        {"not_iliteral_or", "host=not_iliteral_or(web01)",
         "None of these values, whatever their case; a missing tag matches"},
        {"not_key", "host=not_key()", "The tag is not there"},
        {"not_literal_or", "host=not_literal_or(web01)", "None of these values; a missing tag matches"},
        {"regexp", "host=regexp(web[0-9]+)", "A regular expression, found anywhere in the value"},
        {"wildcard", "host=wildcard(web*)", "A pattern of * for any run of characters"},
    };
    yd_buf_char(to, '{');
    for (size_t i = 0; i < YD_COUNT(filters); i++)
        yd_buf_printf(to, "%s\"%s\":{\"examples\":\"%s\",\"description\":\"%s\"}", i ? "," : "", filters[i].name,
                      filters[i].examples, filters[i].description);
    yd_buf_char(to, '}');
}
