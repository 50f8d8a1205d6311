/* Influx line protocol: see influx_lines.h.
 *
 * The bytes up to a line's first unescaped space are its series key: they are looked up as they stand, and taken apart
 * only when that spelling is new. Fields are gathered over some lines first, their names' slots prefetched, and written
 * as a group: so the misses of one name are served while others are parsed.
 *
 *   line --key--> hash --fields--> pending {key, field, hash, value} … --group full--> look up all --> records
 *
 * Where the sources differ, or are silent:
 * - `\` escapes a comma, a space and (not in a measurement) `=`; before anything else it is a backslash.
 * - A quoted string may hold line feeds; in it `\` escapes `"` and `\` only.
 * - Tags with an empty key or value, and an unescaped `=` in a tag's value, reject the line.
 * - A tag given twice with the same value is one tag. A field given twice: both are records, and the later one wins.
 * - CR before LF belongs to the line's end; CR alone is a byte like any other.
 * - NaN and infinities are bad values. Integers beyond 64 bits too. Times outside 1677 to 2262 are bad timestamps. */
#include "elements/influx_lines.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/text.h"
#include "elements/lines.h"

#define GROUP       64
#define BATCH_BYTES ((size_t)4 << 20)

const char *const yd_influx_reasons[] = {
#define YD_INFLUX_TEXT(name, text) text,
    YD_INFLUX_REASONS(YD_INFLUX_TEXT)
#undef YD_INFLUX_TEXT
        NULL};

/* A field that waits to be written. */
struct pending {
    struct yd_str key, field, line;
    uint64_t hash;
    int64_t time_ns;
    struct yd_str string; /* TEXT: as sent, without the quotes */
    union yd_value value;
    enum yd_type type;
};

struct yd_influx {
    struct yd_influx_options options;
    struct yd_spellings spellings;
    struct pending *pending;
    size_t count, capacity;
    uint64_t strings;
    struct yd_buf text; /* a string without its escapes */
};

/* ---- life ---- */

static int canonical(void *arg, struct yd_str key, struct yd_str field, char *to, size_t *ret_size);

int yd_influx_create(const struct yd_influx_options *options, struct yd_influx **ret_influx)
{
    struct yd_influx *influx = yd_alloc_zero(options->alloc, sizeof *influx);
    if (!influx) return YD_ENOMEM;
    influx->options = *options;
    yd_buf_init(&influx->text, options->alloc);
    int r =
        yd_spellings_init(&influx->spellings, options->alloc, options->batch_bytes ? options->batch_bytes : BATCH_BYTES,
                          options->cache_bytes ? options->cache_bytes : YD_RAW_NAMES_BYTES, options->seed);
    if (r < 0) {
        yd_alloc_put(options->alloc, influx, sizeof *influx);
        return r;
    }
    influx->spellings.canonical = canonical;
    influx->spellings.arg = influx;
    *ret_influx = influx;
    return 0;
}

void yd_influx_destroy(struct yd_influx *influx)
{
    if (!influx) return;
    yd_spellings_fini(&influx->spellings);
    yd_buf_fini(&influx->text);
    yd_alloc_put(influx->options.alloc, influx->pending, influx->capacity * sizeof *influx->pending);
    yd_alloc_put(influx->options.alloc, influx, sizeof *influx);
}

uint64_t yd_influx_strings(struct yd_influx *influx)
{
    uint64_t strings = influx->strings;
    influx->strings = 0;
    return strings;
}

int yd_influx_precision(struct yd_str text, int64_t *ret_unit_ns)
{
    static const struct {
        const char *name;
        int64_t unit_ns;
    } units[] = {{"ns", 1},          {"n", 1},
                 {"us", 1000},       {"u", 1000},
                 {"\xc2\xb5", 1000}, {"ms", YD_NS_PER_MS},
                 {"s", YD_NS_PER_S}, {"m", 60 * YD_NS_PER_S},
                 {"auto", 0},        {"h", 3600 * YD_NS_PER_S}};
    for (size_t i = 0; i < YD_COUNT(units); i++) {
        if (!yd_str_eq(text, yd_str_of(units[i].name))) continue;
        *ret_unit_ns = units[i].unit_ns;
        return 0;
    }
    return YD_EINVAL;
}

/* ---- names ---- */

static int refuse(enum yd_influx_reason reason)
{
    return -1 - (int)reason;
}

static int refusal_of(int line_reason, enum yd_influx_reason otherwise)
{
    switch ((enum yd_line_reason)(-1 - line_reason)) {
    case YD_LINE_NAME_TOO_LONG:
        return refuse(YD_INFLUX_NAME_TOO_LONG);
    case YD_LINE_DUPLICATE_TAG:
        return refuse(YD_INFLUX_DUPLICATE_TAG);
    case YD_LINE_NOT_UTF8:
        return refuse(YD_INFLUX_NOT_UTF8);
    case YD_LINE_BAD_TAG:
        return refuse(YD_INFLUX_BAD_TAG);
    default:
        return refuse(otherwise);
    }
}

/* Up to an unescaped one of `ends`: copied without its escapes. Returns the bytes used. */
static size_t unescape(struct yd_str from, const char *ends, const char *escaped, char *to, size_t *ret_size)
{
    size_t i = 0, size = 0;
    for (; i < from.size; i++) {
        char c = from.data[i];
        if (c == '\\' && i + 1 < from.size && strchr(escaped, from.data[i + 1]))
            c = from.data[++i];
        else if (c && strchr(ends, c))
            break;
        to[size++] = c;
    }
    *ret_size = size;
    return i;
}

/* Takes the series key apart: measurement, then tags. */
static int split_key(struct yd_influx *influx, struct yd_str key, struct yd_str field, char *text,
                     struct yd_str *ret_metric, struct yd_tag *tags, size_t *ret_count)
{
    const struct yd_str separator = influx->options.separator;
    size_t used, size, count = 0;
    char *to = text;
    used = unescape(key, ",", ", ", to, &size);
    if (size == 0) return refuse(YD_INFLUX_BAD_MEASUREMENT);
    to += size;
    memcpy(to, separator.data, separator.size);
    to += separator.size;
    (void)unescape(field, "", ",= ", to, &size);
    to += size;
    *ret_metric = (struct yd_str){text, (size_t)(to - text)};
    while (used < key.size) {
        struct yd_str rest = {key.data + used + 1, key.size - used - 1}; /* behind the comma */
        if (count == YD_LINE_TAGS_MAX) return refuse(YD_INFLUX_NAME_TOO_LONG);
        struct yd_tag *tag = &tags[count++];
        size_t name = unescape(rest, ",=", ",= ", to, &tag->key.size);
        tag->key.data = to;
        to += tag->key.size;
        if (name == rest.size || rest.data[name] != '=' || tag->key.size == 0) return refuse(YD_INFLUX_BAD_TAG);
        rest.data += name + 1, rest.size -= name + 1;
        size_t value = unescape(rest, ",=", ",= ", to, &tag->value.size);
        tag->value.data = to;
        to += tag->value.size;
        if ((value < rest.size && rest.data[value] == '=') || tag->value.size == 0) return refuse(YD_INFLUX_BAD_TAG);
        used += 1 + name + 1 + value;
    }
    *ret_count = count;
    return 0;
}

static int canonical(void *arg, struct yd_str key, struct yd_str field, char *to, size_t *ret_size)
{
    struct yd_influx *influx = arg;
    char text[2 * YD_NAME_SIZE_MAX];
    struct yd_str metric;
    struct yd_tag tags[YD_LINE_TAGS_MAX];
    size_t count = 0;
    if (key.size + field.size + influx->options.separator.size > sizeof text) return refuse(YD_INFLUX_NAME_TOO_LONG);
    int r = split_key(influx, key, field, text, &metric, tags, &count);
    if (r < 0) return r;
    r = yd__line_name(metric, tags, count, to, ret_size);
    return r < 0 ? refusal_of(r, YD_INFLUX_BAD_MEASUREMENT) : 0;
}

/* ---- records ---- */

void yd_influx_origin(struct yd_influx *influx, struct yd_str peer)
{
    yd_builder_origin(influx->spellings.builder, peer);
}

void yd_influx_flush(struct yd_influx *influx)
{
    struct yd_batch *batch;
    uint32_t records = yd_builder_count(influx->spellings.builder);
    if (records == 0) return;
    int r = yd_spellings_seal(&influx->spellings, &batch);
    if (r == 0)
        influx->options.sink.batch(influx->options.sink.arg, batch, records);
    else /* lost, and it is said how many: one reject each, without a sample */
        for (uint32_t i = 0; i < records; i++)
            influx->options.sink.reject(influx->options.sink.arg, YD_INFLUX_NO_MEMORY, YD_STR(""));
}

/* The string without its escapes, or as it is. */
static struct yd_str plain(struct yd_influx *influx, struct yd_str string)
{
    if (!memchr(string.data, '\\', string.size)) return string;
    yd_buf_clear(&influx->text);
    for (size_t i = 0; i < string.size; i++) {
        char c = string.data[i];
        if (c == '\\' && i + 1 < string.size && (string.data[i + 1] == '"' || string.data[i + 1] == '\\'))
            c = string.data[++i];
        yd_buf_char(&influx->text, c);
    }
    return influx->text.failed ? (struct yd_str){0} : yd_buf_view(&influx->text);
}

static int add(struct yd_influx *influx, const struct pending *field, int *ret_refused)
{
    uint32_t index;
    int r = yd_spellings_name(&influx->spellings, field->key, field->field, field->hash, &index, ret_refused);
    if (r < 0 || *ret_refused) return r;
    if (field->type != YD_TEXT)
        return yd_builder_add(influx->spellings.builder, field->time_ns, index, YD_SAMPLE, field->type, 0,
                              field->value);
    struct yd_str text = plain(influx, field->string);
    if (!text.data) return YD_ENOMEM;
    return yd_builder_add_bytes(influx->spellings.builder, field->time_ns, index, YD_EVENT, YD_TEXT, 0, text);
}

static enum yd_influx_reason reason_of(int error)
{
    switch (error) {
    case YD_EFORMAT:
        return YD_INFLUX_NOT_UTF8;
    case YD_ETOOBIG:
        return YD_INFLUX_TOO_LARGE;
    case YD_EINVAL:
        return YD_INFLUX_BAD_TIMESTAMP;
    default:
        return YD_INFLUX_NO_MEMORY;
    }
}

/* All pending fields, looked up together. A key that is refused is refused for each of its fields: said once. */
static void write_pending(struct yd_influx *influx)
{
    const char *refused_line = NULL;
    for (size_t i = 0; i < influx->count; i++)
        (void)yd_raw_names_likely(&influx->spellings.names, influx->pending[i].hash); /* for its prefetch */
    for (size_t i = 0; i < influx->count; i++) {
        const struct pending *field = &influx->pending[i];
        int refused = 0;
        int r = add(influx, field, &refused);
        if (r == YD_EFULL) {
            yd_influx_flush(influx);
            r = add(influx, field, &refused);
        }
        if (refused && field->line.data != refused_line)
            influx->options.sink.reject(influx->options.sink.arg, (enum yd_influx_reason)(-1 - refused), field->line);
        if (refused)
            refused_line = field->line.data;
        else if (r < 0)
            influx->options.sink.reject(influx->options.sink.arg, reason_of(r), field->line);
    }
    influx->count = 0;
}

/* ---- a line ---- */

/* The first byte at or after p that is one of five; end when there is none. */
static inline const char *find(const char *p, const char *end, char a, char b, char c, char d, char e)
{
#if defined(__x86_64__)
    const __m128i va = _mm_set1_epi8(a), vb = _mm_set1_epi8(b), vc = _mm_set1_epi8(c), vd = _mm_set1_epi8(d),
                  ve = _mm_set1_epi8(e);
    for (; end - p >= 16; p += 16) {
        __m128i bytes = _mm_loadu_si128((const void *)p);
        __m128i hits = _mm_or_si128(_mm_cmpeq_epi8(bytes, va), _mm_cmpeq_epi8(bytes, vb));
        hits = _mm_or_si128(hits, _mm_or_si128(_mm_cmpeq_epi8(bytes, vc), _mm_cmpeq_epi8(bytes, vd)));
        unsigned bits = (unsigned)_mm_movemask_epi8(_mm_or_si128(hits, _mm_cmpeq_epi8(bytes, ve)));
        if (bits) return p + __builtin_ctz(bits);
    }
#endif
    while (p < end && *p != a && *p != b && *p != c && *p != d && *p != e) p++;
    return p;
}

/* The end of a part: an unescaped a, b, c or line feed. A line feed ends it even behind a backslash. */
static inline const char *part_end(const char *p, const char *end, char a, char b, char c)
{
    for (;;) {
        p = find(p, end, a, b, c, '\n', '\\');
        if (p == end || *p != '\\') return p;
        p++;
        if (p < end && *p != '\n') p++;
    }
}

static bool take_bool(struct yd_str text, struct pending *field)
{
    static const char *const words[] = {"t", "T", "true", "True", "TRUE", "f", "F", "false", "False", "FALSE"};
    for (size_t i = 0; i < YD_COUNT(words); i++) {
        if (!yd_str_eq(text, yd_str_of(words[i]))) continue;
        field->type = YD_I64;
        field->value.i64 = i < 5;
        return true;
    }
    return false;
}

static bool take_number(struct yd_str text, struct pending *field)
{
    char last = text.size ? text.data[text.size - 1] : 0;
    struct yd_str digits = {text.data, text.size - 1};
    if (last == 'i') {
        field->type = YD_I64;
        return text.data[0] != '+' && yd_text_i64(digits, &field->value.i64) == 0;
    }
    if (last == 'u') {
        field->type = YD_U64;
        return yd_text_u64(digits, &field->value.u64) == 0;
    }
    field->type = YD_F64;
    if (yd__line_f64(text, &field->value.f64) == 0) return true;
    return take_bool(text, field);
}

static struct pending *room_for(struct yd_influx *influx)
{
    if (influx->count == influx->capacity) {
        size_t capacity = influx->capacity ? 2 * influx->capacity : 2 * GROUP;
        struct pending *grown = yd_alloc_resize(influx->options.alloc, influx->pending,
                                                influx->capacity * sizeof *grown, capacity * sizeof *grown);
        if (!grown) return NULL;
        influx->pending = grown;
        influx->capacity = capacity;
    }
    return &influx->pending[influx->count++];
}

/* One field from *at on, up to what ends it. */
static int take_field(struct yd_influx *influx, const char **at, const char *end, struct yd_str key, uint64_t key_hash)
{
    const char *start = *at, *p = part_end(start, end, '=', ',', ' ');
    struct pending *field = room_for(influx);
    *at = p;
    if (!field) return refuse(YD_INFLUX_NO_MEMORY);
    if (p == end || *p != '=' || p == start) return refuse(YD_INFLUX_BAD_FIELD);
    *field = (struct pending){.key = key, .field = {start, (size_t)(p - start)}};
    uint64_t hash = yd__raw_hash(influx->spellings.names.seed ^ YD_RAW_K2, field->field.data, field->field.size);
    field->hash = (key_hash ^ (hash << 23 | hash >> 41)) + hash; /* as yd_raw_names_hash of both */
    const char *value = ++p;
    if (p < end && *p == '"') {
        for (p++; p < end && *p != '"'; p++)
            if (*p == '\\' && p + 1 < end) p++;
        *at = p;
        if (p >= end) return refuse(YD_INFLUX_OPEN_STRING);
        field->type = YD_TEXT;
        field->string = (struct yd_str){value + 1, (size_t)(p - value - 1)};
        *at = p + 1;
        if (!influx->options.drop_strings) return 0;
        influx->count--;
        influx->strings++;
        return 0;
    }
    p = find(p, end, ',', ' ', '\n', '\n', '\n');
    *at = p;
    struct yd_str text = {value, (size_t)(p - value)};
    if (text.size && (p == end || *p == '\n') && text.data[text.size - 1] == '\r') text.size--;
    if (text.size == 0 || !take_number(text, field)) return refuse(YD_INFLUX_BAD_VALUE);
    yd_raw_names_prefetch(&influx->spellings.names, field->hash);
    return 0;
}

static int64_t guess_unit(int64_t number)
{
    uint64_t size = number < 0 ? -(uint64_t)number : (uint64_t)number;
    return size < UINT64_C(100000000000)         ? YD_NS_PER_S /* up to the year 5138 */
           : size < UINT64_C(100000000000000)    ? YD_NS_PER_MS
           : size < UINT64_C(100000000000000000) ? 1000
                                                 : 1;
}

static int take_time(struct yd_str text, int64_t unit_ns, int64_t *ret_ns)
{
    int64_t number;
    if (text.data[0] == '+' || yd_text_i64(text, &number) < 0) return refuse(YD_INFLUX_BAD_TIMESTAMP);
    if (unit_ns == 0) unit_ns = guess_unit(number);
    return __builtin_mul_overflow(number, unit_ns, ret_ns) ? refuse(YD_INFLUX_BAD_TIMESTAMP) : 0;
}

static const char *skip_spaces(const char *p, const char *end)
{
    while (p < end && *p == ' ') p++;
    return p;
}

/* A line from p on that is neither empty nor a comment. *ret_end: its line feed, or end; after a refusal, where it was
 * noticed. 0, or why not; what it left pending is the caller's to forget. */
static int take_line(struct yd_influx *influx, const char *p, const char *end, int64_t unit_ns, int64_t now_ns,
                     const char **ret_end)
{
    size_t first = influx->count;
    int64_t time_ns = now_ns;
    const char *start = p;
    p = part_end(p, end, ' ', ' ', ' ');
    *ret_end = p;
    struct yd_str key = {start, (size_t)(p - start)};
    if (key.size == 0 || *start == ',') return refuse(YD_INFLUX_BAD_MEASUREMENT);
    p = skip_spaces(p, end);
    if (p == end || *p == '\n' || (*p == '\r' && (p + 1 == end || p[1] == '\n'))) return refuse(YD_INFLUX_NO_FIELDS);
    uint64_t key_hash = yd__raw_hash(influx->spellings.names.seed, key.data, key.size);
    for (;;) {
        int r = take_field(influx, &p, end, key, key_hash);
        *ret_end = p;
        if (r < 0) return r;
        if (p == end || *p != ',') break;
        p++;
    }
    if (p < end && *p == '\r' && (p + 1 == end || p[1] == '\n')) p++;
    if (p < end && *p != ' ' && *p != '\n') return refuse(YD_INFLUX_BAD_FIELD); /* behind a string */
    p = skip_spaces(p, end);
    if (p < end && *p != '\n') {
        const char *lf = memchr(p, '\n', (size_t)(end - p)), *last = lf ? lf : end;
        *ret_end = last;
        struct yd_str text = {p, (size_t)(last - p)};
        while (text.size && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\r')) text.size--;
        p = last;
        int r = text.size ? take_time(text, unit_ns, &time_ns) : 0;
        if (r < 0) return r;
    }
    *ret_end = p;
    for (size_t i = first; i < influx->count; i++) {
        influx->pending[i].time_ns = time_ns;
        influx->pending[i].line = (struct yd_str){start, (size_t)(p - start)};
    }
    return 0;
}

uint64_t yd_influx_parse(struct yd_influx *influx, struct yd_str text, int64_t unit_ns, int64_t now_ns)
{
    const char *p = text.data, *end = text.data + text.size;
    uint64_t lines = 0;
    while (p < end) {
        while (p < end && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n')) p++;
        if (p == end) break;
        const char *start = p, *at = end;
        if (*p == '#') {
            const char *lf = memchr(p, '\n', (size_t)(end - p));
            p = lf ? lf : end;
            continue;
        }
        size_t count = influx->count;
        uint64_t strings = influx->strings;
        int r = take_line(influx, p, end, unit_ns, now_ns, &at);
        lines++;
        if (r < 0) {
            /* The next line begins at the next line feed: with an open string, at the first inside it. */
            const char *from = -1 - r == YD_INFLUX_OPEN_STRING ? start : at;
            const char *lf = from < end ? memchr(from, '\n', (size_t)(end - from)) : NULL;
            at = lf ? lf : end;
            influx->count = count;
            influx->strings = strings;
            influx->options.sink.reject(influx->options.sink.arg, (enum yd_influx_reason)(-1 - r),
                                        (struct yd_str){start, (size_t)(at - start)});
        }
        p = at;
        if (influx->count >= GROUP) write_pending(influx);
    }
    write_pending(influx);
    return lines;
}
