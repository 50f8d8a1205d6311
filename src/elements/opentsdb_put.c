/* /api/put: see opentsdb_put.h. A first pass over the body sees whether it is JSON at all, so that a damaged body
 * stores nothing; the second one takes the points:
 *
 *   survey: each point of the usual shape --opentsdb_scan.h--> time, value, hash of metric and tags as sent, looked up
 *           each other one is skipped by tokens, and remembered as it stands
 *   then:   known spelling --> record;   new: its tags by tokens, then remembered;   other: all of it by tokens
 *
 * A body that the survey does not understand goes the long way: twice through the tokenizer, which also knows where it
 * is damaged. A point's mistakes are looked for in OpenTSDB's order and said in its words: metric, timestamp, value,
 * tags. */
#include "elements/opentsdb_put.h"

#include "elements/opentsdb_lines.h"
#include "elements/opentsdb_scan.h"
#include "elements/spellings.h"
#include "serve/json_in.h"

#define SEEN_MAX (1 << 18) /* a body with more is taken by the tokenizer: 20 MiB at most are kept for this */
#define AHEAD    12        /* points between asking for a name's memory and looking at it */

/* A point as the survey saw it. */
struct seen {
    const char *from;
    uint32_t size, tags_size;
    struct yd_str metric;
    const char *tags;
    uint64_t hash;
    struct yd_raw_name *name; /* NULL: a new spelling */
    int64_t time_ns;
    union yd_value value;
    uint8_t type;
    bool usual;
};

struct yd_put {
    struct yd_alloc *alloc;
    struct yd_spellings spellings;
    struct seen *seen; /* of the body at hand */
    size_t count, room;
};

struct point {
    struct yd_str metric, timestamp, value;
    bool metric_is_text, has_tags, bad_tags;
    struct yd_tag tags[YD_LINE_TAGS_MAX];
    size_t tag_count;
};

struct work {
    struct yd_put *put;
    const struct yd_put_options *options;
    struct yd_put_result *result;
    struct yd_json_in in;
    struct yd_arena arena;
};

/* ---- life ---- */

static int canonical(void *arg, struct yd_str metric, struct yd_str tags, char *to, size_t *ret_size);

int yd_put_create(struct yd_alloc *alloc, size_t batch_bytes, size_t cache_bytes, uint64_t seed,
                  struct yd_put **ret_put)
{
    struct yd_put *put = yd_alloc_zero(alloc, sizeof *put);
    if (!put) return YD_ENOMEM;
    put->alloc = alloc;
    int r = yd_spellings_init(&put->spellings, alloc, batch_bytes, cache_bytes, seed);
    if (r < 0) {
        yd_alloc_put(alloc, put, sizeof *put);
        return r;
    }
    put->spellings.canonical = canonical;
    *ret_put = put;
    return 0;
}

void yd_put_destroy(struct yd_put *put)
{
    if (!put) return;
    yd_spellings_fini(&put->spellings);
    yd_alloc_put(put->alloc, put->seen, put->room * sizeof *put->seen);
    yd_alloc_put(put->alloc, put, sizeof *put);
}

void yd_put_origin(struct yd_put *put, struct yd_str peer)
{
    yd_builder_origin(put->spellings.builder, peer);
}

uint32_t yd_put_count(const struct yd_put *put)
{
    return yd_builder_count(put->spellings.builder);
}

int yd_put_seal(struct yd_put *put, struct yd_batch **ret_batch)
{
    return yd_spellings_seal(&put->spellings, ret_batch);
}

/* ---- names ---- */

/* Tags as they stand in the body: how many there are; < 0: no whole object of strings and numbers. */
static int tags_of(struct yd_str text, struct yd_tag *tags)
{
    struct yd_json_in in;
    struct yd_json_token token;
    struct yd_str key = YD_STR("");
    int count = 0;
    yd_json_open(&in, text, NULL); /* without escapes nothing is allocated */
    if (yd_json_next(&in, &token) != YD_JSON_OBJECT) return -1;
    for (;;) {
        switch (yd_json_next(&in, &token)) {
        case YD_JSON_OBJECT_END:
            return in.at == in.end ? count : -1;
        case YD_JSON_KEY:
            key = token.text;
            break;
        case YD_JSON_STRING:
        case YD_JSON_NUMBER:
            if (count == YD_LINE_TAGS_MAX) return -1;
            tags[count++] = (struct yd_tag){key, token.text};
            break;
        default:
            return -1;
        }
    }
}

/* Of a metric and its tags as sent; of a canonical name and nothing: itself. */
static int canonical(void *arg, struct yd_str metric, struct yd_str tags, char *to, size_t *ret_size)
{
    struct yd_tag split[YD_LINE_TAGS_MAX];
    (void)arg;
    if (tags.size == 0) {
        memcpy(to, metric.data, metric.size);
        *ret_size = metric.size;
        return 0;
    }
    int count = tags_of(tags, split);
    return count <= 0 ? yd__line_reason(YD_LINE_BAD_TAG) : yd__line_name(metric, split, (size_t)count, to, ret_size);
}

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
    struct yd_spellings *spellings = &work->put->spellings;
    const struct yd_str nothing = YD_STR("");
    uint32_t index;
    int refused, r = yd_spellings_name(spellings, name, nothing, yd_raw_names_hash(&spellings->names, name, nothing),
                                       &index, &refused);
    return r < 0 ? r : yd_builder_add(spellings->builder, time_ns, index, YD_SAMPLE, type, 0, value);
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

/* ---- the usual way ---- */

static struct seen *new_seen(struct yd_put *put)
{
    if (put->count == SEEN_MAX) return NULL;
    if (put->count == put->room) {
        size_t room = put->room ? 2 * put->room : 1024;
        struct seen *grown = yd_alloc_resize(put->alloc, put->seen, put->room * sizeof *grown, room * sizeof *grown);
        if (!grown) return NULL;
        put->seen = grown;
        put->room = room;
    }
    return &put->seen[put->count++];
}

static inline struct yd_str tags_seen(const struct seen *seen)
{
    return (struct yd_str){seen->tags, seen->tags_size};
}

/* Its slot and entry are in the cache by now. False: where its tags end is not known after all. */
static bool look_up(struct yd_put *put, struct seen *seen)
{
    struct yd_tag tags[YD_LINE_TAGS_MAX];
    if (!seen->usual) return true;
    seen->name = yd_raw_names_find(&put->spellings.names, seen->hash, seen->metric, tags_seen(seen));
    /* A known spelling has been looked into when it was new. */
    return seen->name || tags_of(tags_seen(seen), tags) > 0;
}

/* The point or whatever it is at p. What stands behind it, or NULL: ask the tokenizer. */
static const char *survey_point(struct work *work, const char *p, const char *end)
{
    struct yd_put *put = work->put;
    struct seen *seen = new_seen(put);
    struct yd_put_shape shape;
    struct yd_json_token token;
    if (!seen) return NULL;
    const char *behind = *p == '{' ? yd__put_scan(p, end, &shape) : NULL;
    seen->usual = behind != NULL;
    seen->from = p;
    if (behind) {
        seen->metric = shape.metric;
        seen->tags = shape.tags.data;
        seen->tags_size = (uint32_t)shape.tags.size;
        seen->time_ns = shape.time_ns;
        seen->value = shape.value;
        seen->type = (uint8_t)shape.type;
        seen->hash = yd_raw_names_hash(&put->spellings.names, shape.metric, shape.tags);
        yd_raw_names_prefetch(&put->spellings.names, seen->hash);
    } else {
        yd_arena_reset(&work->arena);
        yd_json_open(&work->in, (struct yd_str){p, (size_t)(end - p)}, &work->arena);
        work->in.depth = 1, work->in.arrays = 2; /* within the array */
        enum yd_json_type type = yd_json_next(&work->in, &token);
        if (type == YD_JSON_ERROR || !yd_json_skip(&work->in, &token)) return NULL;
        behind = work->in.at;
    }
    seen->size = (uint32_t)(behind - p);
    return behind;
}

static const char *skip_space(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r')) p++;
    return p;
}

/* All points of an array, none stored. False: it is none, damaged, or not to be understood this way. */
static bool survey(struct work *work, struct yd_str body)
{
    struct yd_put *put = work->put;
    const char *p = body.data, *end = body.data + body.size;
    put->count = 0;
    if (work->options->tokens || body.size >= UINT32_MAX) return false;
    p = skip_space(p, end);
    if (p == end || *p != '[') return false;
    for (p++;; p++) {
        p = skip_space(p, end);
        if (p == end) return false;
        p = survey_point(work, p, end);
        if (!p) return false;
        if (put->count > AHEAD / 2 && put->seen[put->count - 1 - AHEAD / 2].usual)
            (void)yd_raw_names_likely(&put->spellings.names, put->seen[put->count - 1 - AHEAD / 2].hash);
        if (put->count > AHEAD && !look_up(put, &put->seen[put->count - 1 - AHEAD])) return false;
        p = skip_space(p, end);
        if (p == end || (*p != ',' && *p != ']')) return false;
        if (*p == ']') break;
    }
    if (skip_space(p + 1, end) != end) return false;
    for (size_t i = put->count > AHEAD ? put->count - AHEAD : 0; i < put->count; i++)
        if (!look_up(put, &put->seen[i])) return false;
    return true;
}

static int add_usual(struct work *work, const struct seen *seen, uint64_t resets)
{
    struct yd_spellings *spellings = &work->put->spellings;
    uint32_t index;
    int refused = 0;
    int r = seen->name && spellings->names.resets == resets
                ? yd__spellings_known(spellings, seen->name, &index)
                : yd_spellings_name(spellings, seen->metric, tags_seen(seen), seen->hash, &index, &refused);
    if (r < 0 || refused) return r < 0 ? r : YD_EINVAL;
    return yd_builder_add(spellings->builder, seen->time_ns, index, YD_SAMPLE, (enum yd_type)seen->type, 0,
                          seen->value);
}

static void take_seen(struct work *work)
{
    struct yd_json_token token;
    const struct yd_put *put = work->put;
    uint64_t resets = put->spellings.names.resets;
    for (size_t i = 0; i < put->count; i++) {
        const struct seen *seen = &put->seen[i];
        int r = seen->usual ? add_usual(work, seen, resets) : YD_EINVAL;
        if (r == YD_EFULL) {
            work->options->full(work->options->arg);
            r = add_usual(work, seen, resets);
        }
        if (YD_LIKELY(r >= 0)) {
            work->result->success++;
            continue;
        }
        yd_arena_reset(&work->arena);
        yd_json_open(&work->in, (struct yd_str){seen->from, seen->size}, &work->arena);
        if (yd_json_next(&work->in, &token) == YD_JSON_ERROR) { /* out of memory for an escaped string */
            work->result->fatal = "Out of memory";
            return;
        }
        take_point(work, &token);
    }
}

/* ---- the long way ---- */

static bool is_whole(struct work *work, struct yd_str body, uint32_t *ret_values)
{
    struct yd_json_token token;
    enum yd_json_type type;
    uint32_t values = 0;
    yd_arena_reset(&work->arena);
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

static void take_by_tokens(struct work *work, struct yd_str body)
{
    struct yd_put_result *ret = work->result;
    struct yd_json_token token;
    uint32_t values = 0;
    if (!is_whole(work, body, &values)) {
        ret->fatal = "Unable to parse the given JSON";
        return;
    }
    yd_arena_reset(&work->arena);
    yd_json_open(&work->in, body, &work->arena);
    enum yd_json_type type = yd_json_next(&work->in, &token);
    if (type == YD_JSON_OBJECT) {
        take_point(work, &token);
    } else if (type == YD_JSON_ARRAY && values > 2) {
        while (yd_json_next(&work->in, &token) != YD_JSON_ARRAY_END) {
            if (token.type == YD_JSON_ERROR) break; /* out of memory for an escaped string: what is left is not taken */
            take_point(work, &token);
            yd_arena_reset(&work->arena);
        }
        if (token.type == YD_JSON_ERROR) ret->fatal = "Out of memory";
    } else {
        ret->fatal = type == YD_JSON_ARRAY ? "No datapoints found in content" : "Unable to parse the given JSON";
    }
}

void yd_opentsdb_put(struct yd_put *put, struct yd_str body, const struct yd_put_options *options,
                     struct yd_put_result *ret)
{
    struct work work = {.put = put, .options = options, .result = ret};
    *ret = (struct yd_put_result){0};
    yd_buf_init(&ret->errors, NULL);
    yd_arena_init(&work.arena, NULL);
    if (survey(&work, body))
        take_seen(&work);
    else
        take_by_tokens(&work, body);
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
