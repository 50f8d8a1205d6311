/* StatsD and DogStatsD lines: see statsd_lines.h.
 *
 *   line --first ':' behind the tags of the name--> name | values | type | extras   (again from ':' for `a:1|c:2|ms`)
 *
 * A line is taken apart twice: first all of it is checked, then its records are written, so that it is taken whole or
 * not at all. A name's spelling with its tags is remembered (spellings.h): what it means is worked out once.
 *
 * - As StatsD does it, white space in a name becomes `_` and `/` becomes `-`; other characters stay.
 * - A rate is above 0 and at most 1. `@0` would be an infinity: rejected.
 * - Timers are not negative; a sign before a gauge makes it a difference.
 * - An unknown type is a mistake (StatsD itself counts those). A tag without a value has the value "true".
 * - The container, external data and cardinality of DogStatsD 1.2 and later are read over. */
#include "elements/statsd_lines.h"

#include <string.h>

#include "base/text.h"
#include "elements/lines.h"

#define BATCH_BYTES ((size_t)1 << 20)
#define CACHE_BYTES ((size_t)64 << 20)
#define LINE_MAX    ((size_t)64 << 10)
#define VALUES_MAX  8192 /* of a line */

const char *const yd_statsd_reasons[] = {
#define YD_STATSD_TEXT(name, text) text,
    YD_STATSD_REASONS(YD_STATSD_TEXT)
#undef YD_STATSD_TEXT
        NULL};

enum type { COUNTER, GAUGE, TIMER, SET };

/* A record of the line at hand, checked. */
struct point {
    enum type type;
    bool difference;
    double value, weight;
    struct yd_str member; /* SET */
};

struct yd_statsd {
    struct yd_statsd_options options;
    struct yd_spellings spellings;
    struct point *points; /* VALUES_MAX */
    size_t count;
    int64_t time_ns; /* of the line at hand */
};

static int canonical(void *arg, struct yd_str name, struct yd_str tags, char *to, size_t *ret_size);

int yd_statsd_create(const struct yd_statsd_options *options, struct yd_statsd **ret_statsd)
{
    struct yd_statsd *statsd = yd_alloc_zero(options->alloc, sizeof *statsd);
    if (!statsd) return YD_ENOMEM;
    statsd->options = *options;
    statsd->points = yd_alloc_get(options->alloc, VALUES_MAX * sizeof *statsd->points);
    int r = statsd->points ? yd_spellings_init(&statsd->spellings, options->alloc,
                                               options->batch_bytes ? options->batch_bytes : BATCH_BYTES,
                                               options->cache_bytes ? options->cache_bytes : CACHE_BYTES, options->seed)
                           : YD_ENOMEM;
    if (r < 0) {
        yd_alloc_put(options->alloc, statsd->points, VALUES_MAX * sizeof *statsd->points);
        yd_alloc_put(options->alloc, statsd, sizeof *statsd);
        return r;
    }
    statsd->spellings.canonical = canonical;
    statsd->spellings.arg = statsd;
    *ret_statsd = statsd;
    return 0;
}

void yd_statsd_destroy(struct yd_statsd *statsd)
{
    if (!statsd) return;
    yd_spellings_fini(&statsd->spellings);
    yd_alloc_put(statsd->options.alloc, statsd->points, VALUES_MAX * sizeof *statsd->points);
    yd_alloc_put(statsd->options.alloc, statsd, sizeof *statsd);
}

void yd_statsd_origin(struct yd_statsd *statsd, struct yd_str peer)
{
    yd_builder_origin(statsd->spellings.builder, peer);
}

void yd_statsd_flush(struct yd_statsd *statsd)
{
    struct yd_batch *batch;
    uint32_t records = yd_builder_count(statsd->spellings.builder);
    if (records == 0) return;
    if (yd_spellings_seal(&statsd->spellings, &batch) == 0)
        statsd->options.sink.batch(statsd->options.sink.arg, batch, records);
    else /* lost, and it is said how many: one reject each, without a sample */
        for (uint32_t i = 0; i < records; i++)
            statsd->options.sink.reject(statsd->options.sink.arg, YD_STATSD_NO_MEMORY, YD_STR(""));
}

static int refuse(enum yd_statsd_reason reason)
{
    return -1 - (int)reason;
}

/* Takes what stands before the first c, or all of it; `found`: there was one. */
static struct yd_str cut(struct yd_str *text, char c, bool *ret_found)
{
    const char *at = text->size ? memchr(text->data, c, text->size) : NULL;
    struct yd_str before = {text->data, at ? (size_t)(at - text->data) : text->size};
    size_t used = before.size + (at != NULL);
    text->data += used, text->size -= used;
    if (ret_found) *ret_found = at != NULL;
    return before;
}

static bool begins(struct yd_str text, const char *with)
{
    size_t size = strlen(with);
    return text.size >= size && memcmp(text.data, with, size) == 0;
}

/* ---- names ---- */

/* key=value or key:value, by comma; a key alone is "true". */
static int split_tags(struct yd_str text, char equals, struct yd_tag *tags, size_t *count)
{
    while (text.size) {
        struct yd_str value = cut(&text, ',', NULL);
        bool valued;
        if (value.size == 0) continue;
        struct yd_str key = cut(&value, equals, &valued);
        if (key.size == 0 || (equals == '=' && (!valued || value.size == 0))) return refuse(YD_STATSD_BAD_TAG);
        if (*count == YD_LINE_TAGS_MAX) return refuse(YD_STATSD_NAME_TOO_LONG);
        tags[(*count)++] = (struct yd_tag){key, valued && value.size ? value : YD_STR("true")};
    }
    return 0;
}

/* The metric, and the tags that stand in the name. */
static int split_name(struct yd_str name, struct yd_str *ret_metric, struct yd_tag *tags, size_t *count)
{
    size_t at = 0;
    while (at < name.size && name.data[at] != ',' && name.data[at] != '#' && name.data[at] != '[') at++;
    *ret_metric = (struct yd_str){name.data, at};
    if (at == name.size) return 0;
    struct yd_str text = {name.data + at + 1, name.size - at - 1};
    if (name.data[at] != '[') {
        if (memchr(text.data, name.data[at] == ',' ? '#' : '[', text.size)) return refuse(YD_STATSD_TWO_STYLES);
        return split_tags(text, '=', tags, count);
    }
    /* name[k=v]rest: the rest belongs to the name. It is no better than elsewhere: only nothing, here. */
    if (text.size == 0 || text.data[text.size - 1] != ']') return refuse(YD_STATSD_BAD_TAG);
    text.size--;
    return split_tags(text, '=', tags, count);
}

static int refusal_of(int line_reason)
{
    switch ((enum yd_line_reason)(-1 - line_reason)) {
    case YD_LINE_NAME_TOO_LONG:
        return refuse(YD_STATSD_NAME_TOO_LONG);
    case YD_LINE_DUPLICATE_TAG:
        return refuse(YD_STATSD_DUPLICATE_TAG);
    case YD_LINE_NOT_UTF8:
        return refuse(YD_STATSD_NOT_UTF8);
    case YD_LINE_BAD_TAG:
        return refuse(YD_STATSD_BAD_TAG);
    default:
        return refuse(YD_STATSD_BAD_NAME);
    }
}

static int canonical(void *arg, struct yd_str name, struct yd_str tag_text, char *to, size_t *ret_size)
{
    char text[YD_NAME_SIZE_MAX];
    struct yd_tag tags[YD_LINE_TAGS_MAX];
    struct yd_str metric;
    size_t count = 0;
    (void)arg;
    int r = split_name(name, &metric, tags, &count);
    if (r < 0) return r;
    if (count && tag_text.size) return refuse(YD_STATSD_TWO_STYLES);
    r = split_tags(tag_text, ':', tags, &count);
    if (r < 0) return r;
    if (metric.size > sizeof text) return refuse(YD_STATSD_NAME_TOO_LONG);
    for (size_t i = 0; i < metric.size; i++) {
        char c = metric.data[i];
        text[i] = (char)(c == ' ' || c == '\t' ? '_' : c == '/' ? '-' : c);
    }
    r = yd__line_name((struct yd_str){text, metric.size}, tags, count, to, ret_size);
    return r < 0 ? refusal_of(r) : 0;
}

/* ---- writing ---- */

static int index_of(struct yd_statsd *statsd, struct yd_str name, struct yd_str tags, uint32_t *ret_index)
{
    int refused;
    uint64_t hash = yd_raw_names_hash(&statsd->spellings.names, name, tags);
    int r = yd_spellings_name(&statsd->spellings, name, tags, hash, ret_index, &refused);
    return refused ? refused : r == YD_EFULL ? 1 : r < 0 ? refuse(YD_STATSD_NAME_TOO_LONG) : 0;
}

static int add_point(struct yd_statsd *statsd, uint32_t name, const struct point *point)
{
    struct yd_builder *builder = statsd->spellings.builder;
    union yd_value value = {.f64 = point->value};
    switch (point->type) {
    case COUNTER:
        return yd_builder_add(builder, statsd->time_ns, name, YD_TALLY, YD_F64, 0, value);
    case GAUGE:
        return yd_builder_add(builder, statsd->time_ns, name, point->difference ? YD_DELTA : YD_SAMPLE, YD_F64, 0,
                              value);
    case SET:
        return yd_builder_add_bytes(builder, statsd->time_ns, name, YD_FACT, YD_TEXT, 0, point->member);
    case TIMER:
        break;
    }
    if (statsd->options.plain) return yd_builder_add(builder, statsd->time_ns, name, YD_SAMPLE, YD_F64, 0, value);
    int r = yd_builder_begin(builder, statsd->time_ns, name, YD_SAMPLE, 0, YD_LIST);
    if (r == 0) r = yd_builder_cell(builder, YD_STR(""), YD_F64, value);
    if (r == 0) r = yd_builder_cell(builder, YD_STR(""), YD_F64, (union yd_value){.f64 = point->weight});
    return r == 0 ? yd_builder_end(builder) : r;
}

static int reason_of(int error)
{
    return refuse(error == YD_EFORMAT   ? YD_STATSD_NOT_UTF8
                  : error == YD_ETOOBIG ? YD_STATSD_TOO_LONG
                                        : YD_STATSD_NO_MEMORY);
}

/* What a callback adds under a name, in the next batch when this one is full. */
static int write_one(struct yd_statsd *statsd, struct yd_str name, struct yd_str tags,
                     int (*add)(struct yd_statsd *statsd, uint32_t name, const void *item), const void *item)
{
    uint32_t index;
    int r = YD_EFULL;
    for (int turn = 0; turn < 2 && r == YD_EFULL; turn++) {
        if (turn) yd_statsd_flush(statsd);
        int named = index_of(statsd, name, tags, &index);
        if (named < 0) return named;
        r = named ? YD_EFULL : add(statsd, index, item);
    }
    return r < 0 ? reason_of(r) : 0;
}

static int add_any_point(struct yd_statsd *statsd, uint32_t name, const void *item)
{
    return add_point(statsd, name, item);
}

/* ---- a metric's line ---- */

static int type_of(struct yd_str text, enum type *ret)
{
    static const struct {
        const char *text;
        enum type type;
    } types[] = {{"c", COUNTER}, {"C", COUNTER}, {"g", GAUGE}, {"ms", TIMER}, {"h", TIMER}, {"d", TIMER}, {"s", SET}};
    if (text.size == 0) return refuse(YD_STATSD_NO_TYPE);
    for (size_t i = 0; i < YD_COUNT(types); i++) {
        if (!yd_str_eq(text, yd_str_of(types[i].text))) continue;
        *ret = types[i].type;
        return 0;
    }
    return refuse(YD_STATSD_BAD_TYPE);
}

static int take_value(struct yd_statsd *statsd, enum type type, struct yd_str text)
{
    if (statsd->count == VALUES_MAX) return refuse(YD_STATSD_TOO_LONG);
    struct point *point = &statsd->points[statsd->count++];
    *point = (struct point){.type = type, .weight = 1, .member = text};
    if (text.size == 0) return refuse(YD_STATSD_NO_VALUE);
    if (type == SET) return yd_text_utf8(text) ? 0 : refuse(YD_STATSD_NOT_UTF8);
    if (yd__line_f64(text, &point->value) < 0 || (type == TIMER && point->value < 0))
        return refuse(YD_STATSD_BAD_VALUE);
    point->difference = type == GAUGE && (*text.data == '+' || *text.data == '-');
    return 0;
}

/* `values` by colon; members of sets may hold colons. */
static int take_values(struct yd_statsd *statsd, enum type type, struct yd_str values)
{
    bool more = type != SET;
    if (type == SET) return take_value(statsd, type, values);
    while (more) {
        int r = take_value(statsd, type, cut(&values, ':', &more));
        if (r < 0) return r;
    }
    return 0;
}

/* One of `@rate`, `#tags`, `c:`, `T`, `e:`, `card:`. */
static int take_extra(struct yd_statsd *statsd, struct yd_str extra, size_t from, struct yd_str *tags)
{
    double rate;
    int64_t seconds;
    if (begins(extra, "@")) {
        extra.data++, extra.size--;
        if (yd__line_f64(extra, &rate) < 0 || !(rate > 0 && rate <= 1)) return refuse(YD_STATSD_BAD_RATE);
        if (from < statsd->count && statsd->points[from].weight > 1)
            return refuse(YD_STATSD_BAD_RATE); /* a second one */
        for (size_t i = from; i < statsd->count; i++) {
            struct point *point = &statsd->points[i];
            if (point->type == COUNTER) point->value /= rate;
            point->weight = 1 / rate;
            if (point->value - point->value != 0 || point->weight - point->weight != 0)
                return refuse(YD_STATSD_BAD_RATE);
        }
        return 0;
    }
    if (begins(extra, "#")) {
        if (tags->size) return refuse(YD_STATSD_BAD_TAG);
        *tags = (struct yd_str){extra.data + 1, extra.size - 1};
        return 0;
    }
    if (begins(extra, "T")) {
        if (yd_text_i64((struct yd_str){extra.data + 1, extra.size - 1}, &seconds) < 0 || seconds <= 0 ||
            seconds > INT64_MAX / YD_NS_PER_S)
            return refuse(YD_STATSD_BAD_TIMESTAMP);
        statsd->time_ns = seconds * YD_NS_PER_S;
        return 0;
    }
    return begins(extra, "c:") || begins(extra, "e:") || begins(extra, "card:") ? 0 : refuse(YD_STATSD_BAD_EXTRA);
}

/* values|type[|extra…]; `rest` keeps what follows a ':' behind the type or a rate: the next values of this name. */
static int take_group(struct yd_statsd *statsd, struct yd_str *rest, struct yd_str *tags)
{
    enum type type;
    size_t from = statsd->count;
    bool typed, more;
    struct yd_str values = cut(rest, '|', &typed);
    if (!typed) return refuse(YD_STATSD_NO_TYPE);
    size_t size = 0;
    while (size < rest->size && rest->data[size] != '|' && rest->data[size] != ':') size++;
    int r = type_of((struct yd_str){rest->data, size}, &type);
    if (r == 0) r = take_values(statsd, type, values);
    if (r < 0) return r;
    rest->data += size, rest->size -= size;
    while (rest->size && *rest->data == '|') {
        rest->data++, rest->size--;
        if (begins(*rest, "@")) { /* a rate ends at a colon, too */
            size = 0;
            while (size < rest->size && rest->data[size] != '|' && rest->data[size] != ':') size++;
            r = take_extra(statsd, (struct yd_str){rest->data, size}, from, tags);
            rest->data += size, rest->size -= size;
        } else {
            r = take_extra(statsd, cut(rest, '|', &more), from, tags);
            if (more) rest->data--, rest->size++;
        }
        if (r < 0) return r;
    }
    if (rest->size == 0) return 0;
    rest->data++, rest->size--; /* the colon */
    return rest->size ? 0 : refuse(YD_STATSD_NO_VALUE);
}

static int take_metric(struct yd_statsd *statsd, struct yd_str line)
{
    struct yd_str rest = line, tags = YD_STR("");
    size_t at = 0;
    while (at < line.size && line.data[at] != ':' && line.data[at] != '[' && line.data[at] != '|') at++;
    if (at < line.size && line.data[at] == '[') /* a colon in brackets is the tags' */
        while (at < line.size && line.data[at] != ']') at++;
    const char *colon = at < line.size ? memchr(line.data + at, ':', line.size - at) : NULL;
    const char *bar = memchr(line.data, '|', line.size);
    if (!colon || (bar && bar < colon)) return refuse(YD_STATSD_NO_VALUE);
    struct yd_str name = {line.data, (size_t)(colon - line.data)};
    rest.data += name.size + 1, rest.size -= name.size + 1;
    if (name.size == 0) return refuse(YD_STATSD_BAD_NAME);
    if (rest.size == 0) return refuse(YD_STATSD_NO_VALUE);
    statsd->count = 0;
    while (rest.size) {
        int r = take_group(statsd, &rest, &tags);
        if (r < 0) return r;
    }
    for (size_t i = 0; i < statsd->count; i++) {
        int r = write_one(statsd, name, tags, add_any_point, &statsd->points[i]);
        if (r < 0) return r;
    }
    return 0;
}

/* ---- events and service checks ---- */

struct said {
    struct yd_str text;
    enum yd_kind kind;
    uint16_t flags;
};

static int add_said(struct yd_statsd *statsd, uint32_t name, const void *item)
{
    const struct said *said = item;
    return yd_builder_add_bytes(statsd->spellings.builder, statsd->time_ns, name, said->kind, YD_TEXT, said->flags,
                                said->text);
}

/* Line feeds come as the two characters \n. Into `to`, of text.size bytes. */
static struct yd_str with_line_feeds(struct yd_str text, char *to)
{
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        bool feed = text.data[i] == '\\' && i + 1 < text.size && text.data[i + 1] == 'n';
        to[size++] = (char)(feed ? '\n' : text.data[i]);
        i += feed;
    }
    return (struct yd_str){to, size};
}

/* Tags and what else is said, as tags `host`, `alert`, `priority`, `source` and `key` where it is given. */
struct extras {
    char tags[2048];
    size_t size;
    struct yd_str message;
};

static bool add_tag(struct extras *extras, const char *key, struct yd_str value)
{
    size_t need = value.size + (key ? strlen(key) + 1 : 0) + 1;
    if (value.size == 0) return true;
    if (extras->size + need > sizeof extras->tags) return false;
    if (extras->size) extras->tags[extras->size++] = ',';
    for (const char *p = key; p && *p; p++) extras->tags[extras->size++] = *p;
    if (key) extras->tags[extras->size++] = ':';
    for (size_t i = 0; i < value.size; i++) /* a comma would end the value */
        extras->tags[extras->size++] = (char)(key && value.data[i] == ',' ? ';' : value.data[i]);
    return true;
}

static int take_said_extras(struct yd_statsd *statsd, struct yd_str rest, const char *const (*keys)[2],
                            struct extras *extras)
{
    bool more = rest.size > 0;
    while (more) {
        struct yd_str extra = cut(&rest, '|', &more);
        int64_t seconds;
        bool fits = true, known = false;
        if (begins(extra, "d:")) {
            if (yd_text_i64((struct yd_str){extra.data + 2, extra.size - 2}, &seconds) < 0 || seconds <= 0 ||
                seconds > INT64_MAX / YD_NS_PER_S)
                return refuse(YD_STATSD_BAD_TIMESTAMP);
            statsd->time_ns = seconds * YD_NS_PER_S;
            known = true;
        } else if (begins(extra, "#")) {
            fits = add_tag(extras, NULL, (struct yd_str){extra.data + 1, extra.size - 1});
            known = true;
        } else if (begins(extra, "m:")) {
            /* A check's message is its last field, bars and all. */
            extras->message = (struct yd_str){extra.data + 2, extra.size - 2 + (more ? rest.size + 1 : 0)};
            more = false;
            known = true;
        }
        for (size_t i = 0; !known && keys[i][0]; i++) {
            if (!begins(extra, keys[i][0])) continue;
            known = true;
            size_t skip = strlen(keys[i][0]);
            if (keys[i][1]) fits = add_tag(extras, keys[i][1], (struct yd_str){extra.data + skip, extra.size - skip});
        }
        if (!known) return refuse(YD_STATSD_BAD_EXTRA);
        if (!fits) return refuse(YD_STATSD_NAME_TOO_LONG);
    }
    return 0;
}

/* A name as an event's title may be anything: what would be tags in it is not. */
static int write_said(struct yd_statsd *statsd, struct yd_str name, const struct extras *extras,
                      const struct said *said)
{
    char plain[512];
    if (name.size > sizeof plain) return refuse(YD_STATSD_NAME_TOO_LONG);
    for (size_t i = 0; i < name.size; i++) plain[i] = (char)(memchr(",#[\n", name.data[i], 4) ? '_' : name.data[i]);
    return write_one(statsd, (struct yd_str){plain, name.size}, (struct yd_str){extras->tags, extras->size}, add_said,
                     said);
}

/* _e{TITLE SIZE,TEXT SIZE}:TITLE|TEXT|… ; the sizes count escaped bytes. */
static int take_event(struct yd_statsd *statsd, struct yd_str line)
{
    static const char *const keys[][2] = {{"h:", "host"},   {"k:", "key"},   {"p:", "priority"},
                                          {"s:", "source"}, {"t:", "alert"}, {"c:", NULL},
                                          {"e:", NULL},     {"card:", NULL}, {NULL, NULL}};
    struct extras extras = {.size = 0};
    struct yd_str rest = {line.data + 3, line.size - 3};
    bool closed;
    struct yd_str sizes = cut(&rest, '}', &closed), first = cut(&sizes, ',', NULL);
    uint64_t title_size, text_size;
    if (!closed || !begins(rest, ":") || yd_text_u64(first, &title_size) < 0 || yd_text_u64(sizes, &text_size) < 0)
        return refuse(YD_STATSD_BAD_EVENT);
    rest.data++, rest.size--;
    if (title_size == 0 || title_size > rest.size || text_size > rest.size || title_size + 1 + text_size > rest.size ||
        rest.data[title_size] != '|')
        return refuse(YD_STATSD_BAD_EVENT);
    struct yd_str title = {rest.data, title_size}, text = {rest.data + title_size + 1, text_size};
    size_t used = title_size + 1 + text_size;
    rest.data += used, rest.size -= used;
    if (rest.size && *rest.data != '|') return refuse(YD_STATSD_BAD_EVENT);
    if (rest.size) rest.data++, rest.size--;
    int r = take_said_extras(statsd, rest, keys, &extras);
    if (r < 0) return r;
    char *plain = yd_alloc_get(statsd->options.alloc, text.size + 1);
    if (!plain) return refuse(YD_STATSD_NO_MEMORY);
    struct said said = {.text = with_line_feeds(text, plain), .kind = YD_EVENT};
    r = write_said(statsd, title, &extras, &said);
    yd_alloc_put(statsd->options.alloc, plain, text.size + 1);
    return r;
}

/* _sc|NAME|CODE|… */
static int take_check(struct yd_statsd *statsd, struct yd_str line)
{
    static const char *const keys[][2] = {{"h:", "host"}, {"c:", NULL}, {"e:", NULL}, {"card:", NULL}, {NULL, NULL}};
    struct extras extras = {.size = 0, .message = YD_STR("")};
    struct yd_str rest = {line.data + 4, line.size - 4};
    bool coded;
    struct yd_str name = cut(&rest, '|', &coded), code = cut(&rest, '|', NULL);
    if (!coded || name.size == 0 || code.size != 1 || *code.data < '0' || *code.data > '3')
        return refuse(YD_STATSD_BAD_CHECK);
    int r = take_said_extras(statsd, rest, keys, &extras);
    if (r < 0) return r;
    char *plain = yd_alloc_get(statsd->options.alloc, extras.message.size + 1);
    if (!plain) return refuse(YD_STATSD_NO_MEMORY);
    struct said said = {.text = with_line_feeds(extras.message, plain),
                        .kind = YD_STATE,
                        .flags = (uint16_t)((unsigned)(*code.data - '0') & YD_RECORD_CODE_MASK)};
    r = write_said(statsd, name, &extras, &said);
    yd_alloc_put(statsd->options.alloc, plain, extras.message.size + 1);
    return r;
}

uint64_t yd_statsd_parse(struct yd_statsd *statsd, struct yd_str text, int64_t now_ns)
{
    uint64_t lines = 0;
    while (text.size) {
        struct yd_str line = cut(&text, '\n', NULL);
        if (line.size && line.data[line.size - 1] == '\r') line.size--;
        if (line.size == 0) continue;
        lines++;
        statsd->time_ns = now_ns;
        int r = line.size > LINE_MAX   ? refuse(YD_STATSD_TOO_LONG)
                : begins(line, "_e{")  ? take_event(statsd, line)
                : begins(line, "_sc|") ? take_check(statsd, line)
                                       : take_metric(statsd, line);
        if (r < 0) statsd->options.sink.reject(statsd->options.sink.arg, (enum yd_statsd_reason)(-1 - r), line);
    }
    return lines;
}
