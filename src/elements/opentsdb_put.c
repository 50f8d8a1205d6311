/* /api/put: see opentsdb_put.h. A first pass over the body sees whether it is JSON at all, so that a damaged body
 * stores nothing; the second one takes the points. A point's mistakes are looked for in OpenTSDB's order and said in
 * its words: metric, timestamp, value, tags. */
#include "elements/opentsdb_put.h"

#include "elements/opentsdb_lines.h"
#include "serve/json_in.h"

struct point {
    struct yd_str metric, timestamp, value;
    bool metric_is_text, has_tags, bad_tags;
    struct yd_tag tags[YD_LINE_TAGS_MAX];
    size_t tag_count;
};

struct work {
    const struct yd_put_options *options;
    struct yd_put_result *result;
    struct yd_json_in in;
    struct yd_arena arena;
};

/* ---- one point out of its tokens ---- */

static bool read_tags(struct work *work, struct point *point)
{
    struct yd_json_token token;
    struct yd_str key = YD_STR("");
    point->has_tags = true;
    for (;;) {
        switch (yd_json_next(&work->in, &token)) {
        case YD_JSON_OBJECT_END:
            return true;
        case YD_JSON_ERROR:
        case YD_JSON_END:
            return false;
        case YD_JSON_KEY:
            key = token.text;
            break;
        case YD_JSON_STRING:
        case YD_JSON_NUMBER:
            if (point->tag_count < YD_LINE_TAGS_MAX)
                point->tags[point->tag_count++] = (struct yd_tag){key, token.text};
            else
                point->bad_tags = true;
            break;
        default:
            point->bad_tags = true;
            if (!yd_json_skip(&work->in, &token)) return false;
        }
    }
}

static bool read_point(struct work *work, struct point *point)
{
    struct yd_json_token token;
    struct yd_str key = YD_STR("");
    memset(point, 0, offsetof(struct point, tags));
    point->metric = point->timestamp = point->value = YD_STR("");
    point->tag_count = 0;
    for (;;) {
        enum yd_json_type type = yd_json_next(&work->in, &token);
        bool scalar = type == YD_JSON_STRING || type == YD_JSON_NUMBER;
        if (type == YD_JSON_OBJECT_END) return true;
        if (type == YD_JSON_ERROR || type == YD_JSON_END) return false;
        if (type == YD_JSON_KEY) {
            key = token.text;
        } else if (scalar && yd_str_eq(key, YD_STR("metric"))) {
            point->metric = token.text;
        } else if (scalar && yd_str_eq(key, YD_STR("timestamp"))) {
            point->timestamp = token.text;
        } else if (scalar && yd_str_eq(key, YD_STR("value"))) {
            point->value = token.text;
        } else if (type == YD_JSON_OBJECT && yd_str_eq(key, YD_STR("tags"))) {
            if (!read_tags(work, point)) return false;
        } else if (!yd_json_skip(&work->in, &token)) {
            return false;
        }
    }
}

/* ---- taking it ---- */

static const char *name_fault(int r)
{
    switch ((enum yd_line_reason)(-1 - r)) {
    case YD_LINE_NAME_TOO_LONG:
        return "The name is too long";
    case YD_LINE_DUPLICATE_TAG:
        return "A tag is given twice with different values";
    case YD_LINE_NOT_UTF8:
        return "The name is not UTF-8";
    case YD_LINE_BAD_NAME:
        return "Invalid metric name";
    default:
        return "Invalid tag";
    }
}

static int add(struct work *work, struct yd_str name, int64_t time_ns, enum yd_type type, union yd_value value)
{
    struct yd_builder *builder = work->options->builder;
    uint32_t index;
    int r = yd_builder_name(builder, name, &index);
    return r < 0 ? r : yd_builder_add(builder, time_ns, index, YD_SAMPLE, type, 0, value);
}

/* NULL: taken. Else why not, in the words that OpenTSDB's clients know. */
static const char *take(struct work *work, const struct point *point, enum yd_line_reason *ret_reason)
{
    char name[YD_NAME_SIZE_MAX];
    size_t size;
    int64_t time_ns;
    enum yd_type type;
    union yd_value value;
    *ret_reason = YD_LINE_BAD_NAME;
    if (point->metric.size == 0) return "Metric name was empty";
    *ret_reason = YD_LINE_BAD_TIMESTAMP;
    if (yd_opentsdb_time(point->timestamp, &time_ns) < 0) return "Invalid timestamp";
    *ret_reason = YD_LINE_NO_VALUE;
    if (point->value.size == 0) return "Empty value";
    *ret_reason = YD_LINE_BAD_TAG;
    if (!point->has_tags || (point->tag_count == 0 && !point->bad_tags)) return "Missing tags";
    if (point->bad_tags) return "Invalid tag";
    int r = yd_opentsdb_value(point->value, &type, &value);
    *ret_reason = (enum yd_line_reason)(-1 - r);
    if (r < 0) return "Unable to parse value to a number";
    r = yd__line_name(point->metric, point->tags, point->tag_count, name, &size);
    *ret_reason = (enum yd_line_reason)(-1 - r);
    if (r < 0) return name_fault(r);
    r = add(work, (struct yd_str){name, size}, time_ns, type, value);
    if (r == YD_EFULL) {
        work->options->full(work->options->arg);
        r = add(work, (struct yd_str){name, size}, time_ns, type, value);
    }
    *ret_reason = YD_LINE_NO_MEMORY;
    return r < 0 ? "Out of memory" : NULL;
}

static void put_point(struct yd_json *json, const struct point *point)
{
    int64_t number;
    yd_json_object(json);
    yd_json_key(json, "metric");
    yd_json_str(json, point->metric);
    yd_json_key(json, "timestamp");
    if (yd_text_i64(point->timestamp, &number) == 0)
        yd_json_i64(json, number);
    else
        yd_json_str(json, point->timestamp);
    yd_json_key(json, "value");
    yd_json_str(json, point->value);
    yd_json_key(json, "tags");
    yd_json_object(json);
    for (size_t i = 0; i < point->tag_count; i++) {
        yd_json_key_str(json, point->tags[i].key);
        yd_json_str(json, point->tags[i].value);
    }
    yd_json_object_end(json);
    yd_json_object_end(json);
}

static void fail(struct work *work, const struct point *point, const char *why, enum yd_line_reason reason,
                 struct yd_str raw)
{
    struct yd_put_result *result = work->result;
    result->failed++;
    work->options->rejected(work->options->arg, reason, raw);
    if (!work->options->details) return;
    struct yd_json json;
    if (result->errors.size) yd_buf_char(&result->errors, ',');
    yd_json_init(&json, &result->errors, false);
    yd_json_object(&json);
    yd_json_key(&json, "error");
    yd_json_cstr(&json, why);
    yd_json_key(&json, "datapoint");
    put_point(&json, point);
    yd_json_object_end(&json);
}

static void take_point(struct work *work, const struct yd_json_token *first)
{
    static const struct point empty = {.metric = {"", 0}, .timestamp = {"", 0}, .value = {"", 0}};
    struct point point;
    enum yd_line_reason reason;
    if (first->type != YD_JSON_OBJECT) {
        (void)yd_json_skip(&work->in, first); /* it was seen to be whole */
        fail(work, &empty, "Not a data point", YD_LINE_NO_VALUE,
             (struct yd_str){first->from, (size_t)(work->in.at - first->from)});
        return;
    }
    (void)read_point(work, &point); /* likewise */
    const char *why = take(work, &point, &reason);
    if (why)
        fail(work, &point, why, reason, (struct yd_str){first->from, (size_t)(work->in.at - first->from)});
    else
        work->result->success++;
}

static bool is_whole(struct work *work, struct yd_str body, uint32_t *ret_values)
{
    struct yd_json_token token;
    enum yd_json_type type;
    uint32_t values = 0;
    yd_json_open(&work->in, body, &work->arena);
    while ((type = yd_json_next(&work->in, &token)) != YD_JSON_END) {
        if (type == YD_JSON_ERROR) {
            (void)yd_trail_add(&work->result->trail, YD_EFORMAT, "at byte %zu: %s",
                               (size_t)(work->in.at - work->in.start), work->in.why);
            return false;
        }
        values++;
    }
    *ret_values = values;
    return true;
}

void yd_opentsdb_put(struct yd_str body, const struct yd_put_options *options, struct yd_put_result *ret)
{
    struct work work = {.options = options, .result = ret};
    struct yd_json_token token;
    uint32_t values = 0;
    *ret = (struct yd_put_result){0};
    yd_buf_init(&ret->errors, NULL);
    yd_arena_init(&work.arena, NULL);
    if (!is_whole(&work, body, &values)) {
        ret->fatal = "Unable to parse the given JSON";
    } else {
        yd_arena_reset(&work.arena);
        yd_json_open(&work.in, body, &work.arena);
        enum yd_json_type type = yd_json_next(&work.in, &token);
        if (type == YD_JSON_OBJECT) {
            take_point(&work, &token);
        } else if (type == YD_JSON_ARRAY && values > 2) {
            while (yd_json_next(&work.in, &token) != YD_JSON_ARRAY_END) {
                if (token.type == YD_JSON_ERROR)
                    break; /* out of memory for an escaped string: what is left is not taken */
                take_point(&work, &token);
                yd_arena_reset(&work.arena);
            }
            if (token.type == YD_JSON_ERROR) ret->fatal = "Out of memory";
        } else {
            ret->fatal = type == YD_JSON_ARRAY ? "No datapoints found in content" : "Unable to parse the given JSON";
        }
    }
    yd_arena_fini(&work.arena);
}

void yd_put_summary(const struct yd_put_result *result, int64_t timeouts, bool details, struct yd_buf *to)
{
    yd_buf_printf(to, "{\"success\":%llu,\"failed\":%llu", (unsigned long long)result->success,
                  (unsigned long long)result->failed);
    if (timeouts >= 0) yd_buf_printf(to, ",\"timeouts\":%lld", (long long)timeouts);
    if (details) {
        yd_buf_cstr(to, ",\"errors\":[");
        yd_buf_str(to, yd_buf_view(&result->errors));
        yd_buf_char(to, ']');
    }
    yd_buf_char(to, '}');
}

void yd_opentsdb_error(struct yd_buf *to, unsigned code, struct yd_str message, struct yd_str details)
{
    struct yd_json json;
    yd_json_init(&json, to, false);
    yd_json_object(&json);
    yd_json_key(&json, "error");
    yd_json_object(&json);
    yd_json_key(&json, "code");
    yd_json_u64(&json, code);
    yd_json_key(&json, "message");
    yd_json_str(&json, message);
    if (details.size) {
        yd_json_key(&json, "details");
        yd_json_str(&json, details);
    }
    yd_json_object_end(&json);
    yd_json_object_end(&json);
}
