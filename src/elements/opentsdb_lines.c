/* OpenTSDB's telnet put: `put metric timestamp value tagk=tagv …`; every other first word is a command.
 *
 * The grammar that is accepted (SP: one or more spaces or tabs; around a line they are nothing):
 *
 *   line      := "put" SP metric SP timestamp SP value { SP tag }
 *   timestamp := digits: above 0; up to 4294967295 seconds, above it milliseconds (up to the year 2262, where a
 *                record's time ends; OpenTSDB: up to 9999999999999)
 *              | digits "." digits: seconds (up to 4294967295) and their fraction, kept to the nanosecond
 *   value     := [+-] digits: an integer, exactly (over 64 bits: rejected)
 *              | a decimal number as in graphite_lines.c; NaN and infinities are rejected
 *   tag       := key "=" value, the first "=" divides; an empty key or value leaves that tag out
 *
 * Zero tags are taken, and up to YD_NAME_TAGS_MAX. A key twice with the same value is one, with another is rejected.
 * Metric, keys and values are any UTF-8 without control characters (OpenTSDB: letters, digits and -_./ only).
 * The common shape goes by 16- and 32-byte steps; anything else is decided by `parse`. */
#include "elements/opentsdb_lines.h"
#include "base/text.h"
#include "elements/line_simd.h"

#define SECONDS_MAX      INT64_C(4294967295)
#define MILLISECONDS_MAX INT64_C(9223372036853)

static inline bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct yd_str first_word(struct yd_str *text)
{
    size_t start = 0;
    while (start < text->size && is_space(text->data[start])) start++;
    size_t end = start;
    while (end < text->size && !is_space(text->data[end])) end++;
    struct yd_str word = {text->data + start, end - start};
    text->data += end, text->size -= end;
    return word;
}

static void refuse(struct yd_line *line, enum yd_line_reason reason)
{
    line->state = YD_LINE_REJECTED;
    line->reason = (uint8_t)reason;
}

int yd_opentsdb_time(struct yd_str text, int64_t *ret_ns)
{
    const char *point = text.size ? memchr(text.data, '.', text.size) : NULL;
    uint64_t whole;
    struct yd_str digits = {text.data, point ? (size_t)(point - text.data) : text.size};
    if (yd_text_u64(digits, &whole) < 0) return YD_EFORMAT;
    if (!point) {
        if (whole == 0 || whole > MILLISECONDS_MAX) return YD_ERANGE;
        *ret_ns = (int64_t)whole * (whole > SECONDS_MAX ? YD_NS_PER_MS : YD_NS_PER_S);
        return 0;
    }
    int64_t fraction = 0, scale = YD_NS_PER_S;
    if (whole > SECONDS_MAX) return YD_ERANGE;
    for (const char *p = point + 1; p < text.data + text.size; p++) {
        if (*p < '0' || *p > '9') return YD_EFORMAT;
        scale /= 10;
        fraction += (*p - '0') * scale; /* beyond nanoseconds: nothing */
    }
    if (point + 1 == text.data + text.size) return YD_EFORMAT;
    if (whole == 0 && fraction == 0) return YD_ERANGE;
    *ret_ns = (int64_t)whole * YD_NS_PER_S + fraction;
    return 0;
}

int yd_opentsdb_value(struct yd_str text, enum yd_type *ret_type, union yd_value *ret)
{
    bool integer = text.size > 0;
    for (size_t i = 0; i < text.size; i++)
        integer &= (text.data[i] >= '0' && text.data[i] <= '9') ||
                   (i == 0 && text.size > 1 && (text.data[i] == '-' || text.data[i] == '+'));
    if (!integer) {
        *ret_type = YD_F64;
        return yd__line_f64(text, &ret->f64);
    }
    *ret_type = YD_I64;
    return yd_text_i64(text, &ret->i64) < 0 ? yd__line_reason(YD_LINE_BAD_VALUE) : 0;
}

static void parse(const struct yd_lines *lines, struct yd_line *line)
{
    (void)lines;
    struct yd_str rest = {line->start, line->size};
    struct yd_str verb = first_word(&rest);
    if (verb.size == 0) {
        line->state = YD_LINE_EMPTY;
        return;
    }
    if (!yd_str_eq(verb, YD_STR("put"))) {
        line->state = YD_LINE_COMMANDED;
        return;
    }
    struct yd_str metric = first_word(&rest), timestamp = first_word(&rest), value = first_word(&rest);
    if (value.size == 0) {
        refuse(line, YD_LINE_NO_VALUE);
        return;
    }
    if (yd_opentsdb_time(timestamp, &line->time_ns) < 0) {
        refuse(line, YD_LINE_BAD_TIMESTAMP);
        return;
    }
    enum yd_type type = YD_NIL;
    int r = yd_opentsdb_value(value, &type, &line->value);
    if (r < 0) {
        refuse(line, (enum yd_line_reason)(-1 - r));
        return;
    }
    line->type = (uint8_t)type;
    line->first = metric;
    while (rest.size && is_space(*rest.data)) rest.data++, rest.size--;
    while (rest.size && is_space(rest.data[rest.size - 1])) rest.size--;
    line->second = rest;
}

#ifdef YD_LINE_SIMD
/* Where the spaces are in the 64 bytes from p on, a bit each. */
YD_LINE_TARGET static inline uint64_t spaces_of(const char *p)
{
    const __m256i space = _mm256_set1_epi8(' ');
    __m256i low = _mm256_cmpeq_epi8(_mm256_loadu_si256((const void *)p), space);
    __m256i high = _mm256_cmpeq_epi8(_mm256_loadu_si256((const void *)(p + 32)), space);
    return (uint32_t)_mm256_movemask_epi8(low) | (uint64_t)(uint32_t)_mm256_movemask_epi8(high) << 32;
}

/* `put metric timestamp value` and tags, single spaces, the value's end within 64 bytes, numbers below 16 characters.
 */
YD_LINE_TARGET static inline bool parse_common(struct yd_line *line)
{
    const char *p = line->start, *end = p + line->size;
    struct yd_field field;
    struct yd_decimal decimal;
    if (yd__load32(p) != yd__load32("put ")) return false;
    uint64_t spaces = spaces_of(p) & ~UINT64_C(15);
    unsigned metric_end = (unsigned)_tzcnt_u64(spaces);
    spaces = _blsr_u64(spaces);
    unsigned timestamp_end = (unsigned)_tzcnt_u64(spaces);
    spaces = _blsr_u64(spaces);
    unsigned value_end = (unsigned)_tzcnt_u64(spaces);  /* 64: none there */
    if (value_end > line->size) value_end = line->size; /* no tags */
    /* Sizes one lower, so that empty ones are huge. */
    unsigned timestamp_size = timestamp_end - metric_end - 1, value_size = value_end - timestamp_end - 1;
    if (metric_end < 5 || timestamp_end >= line->size || value_end >= 64 || timestamp_size - 1 >= 13 ||
        value_size - 1 >= 15)
        return false;
    yd_field_at(p + metric_end + 1, timestamp_size, &field);
    if (!yd_field_digits(&field) || field.whole - 1 >= (uint64_t)MILLISECONDS_MAX) return false;
    line->time_ns = (int64_t)field.whole * ((int64_t)field.whole > SECONDS_MAX ? YD_NS_PER_MS : YD_NS_PER_S);
    yd_field_at(p + timestamp_end + 1, value_size, &field);
    if (!yd_field_decimal(&field, &decimal)) return false;
    line->type = decimal.pointed ? YD_F64 : YD_I64;
    if (decimal.pointed)
        line->value.f64 = decimal.value;
    else
        line->value.i64 = decimal.sum;
    line->first = (struct yd_str){p + 4, metric_end - 4};
    const char *tags = p + value_end + 1;
    line->second = tags < end ? (struct yd_str){tags, (size_t)(end - tags)} : YD_STR("");
    return true;
}

YD_LINE_TARGET static void parse_group(const struct yd_lines *lines, struct yd_line *group, size_t count)
{
    const struct yd_raw_names *names = yd__lines_names(lines);
    for (size_t i = 0; i < count; i++) {
        struct yd_line *line = &group[i];
        if (YD_UNLIKELY(line->careful) || YD_UNLIKELY(line->state != YD_LINE_RECORD) ||
            YD_UNLIKELY(!parse_common(line))) {
            yd__line_slowly(lines, line);
            continue;
        }
        line->hash = yd__raw_hash_two(names->seed, line->first, line->second);
        yd_raw_names_prefetch(names, line->hash);
    }
}
#endif

static int canonical(struct yd_str first, struct yd_str second, char *to, size_t *ret_size)
{
    struct yd_tag tags[YD_LINE_TAGS_MAX];
    size_t count = 0;
    for (;;) {
        struct yd_str word = first_word(&second);
        if (word.size == 0) break;
        const char *equals = memchr(word.data, '=', word.size);
        if (!equals) return yd__line_reason(YD_LINE_BAD_TAG);
        if (count == YD_LINE_TAGS_MAX) return yd__line_reason(YD_LINE_NAME_TOO_LONG);
        size_t key = (size_t)(equals - word.data);
        tags[count++] = (struct yd_tag){{word.data, key}, {equals + 1, word.size - key - 1}};
    }
    return yd__line_name(first, tags, count, to, ret_size);
}

const struct yd_lines_format yd_opentsdb_format = {
    .name = "opentsdb",
    .parse = parse,
    .canonical = canonical,
#ifdef YD_LINE_SIMD
    .parse_group = parse_group,
#endif
};
