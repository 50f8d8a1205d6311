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
/* `put metric timestamp value tags` with single spaces, a whole timestamp, a value below 16 characters without
 * exponent. The metric's end is searched; timestamp and value, their spaces and all, are within 32 bytes from there. */
YD_LINE_TARGET static inline bool split_common(struct yd_line *line, struct yd_last_time *last)
{
    const char *p = line->start, *end = p + line->size;
    if (yd__load32(p) != yd__load32("put ")) return false;
    const char *metric = p + 4, *space = yd_space_after(metric, end);
    if (space == metric || space >= end) return false;
    __m256i fields = _mm256_loadu_si256((const void *)space);
    unsigned spaces = (unsigned)_mm256_movemask_epi8(_mm256_cmpeq_epi8(fields, _mm256_set1_epi8(' ')));
    unsigned size = last->size;
    if (YD_UNLIKELY(!yd_last_time_again(last, _mm256_castsi256_si128(fields)))) {
        struct yd_field timestamp;
        size = _tzcnt_u32(spaces >> 1);
        if (size - 1 >= 13 || space + 1 + size >= end) return false;
        yd_field_at(space + 1 + size, size, &timestamp);
        if (!yd_field_digits(&timestamp) || timestamp.whole - 1 >= (uint64_t)MILLISECONDS_MAX) return false;
        last->mask = yd_field_first(size + 2);
        last->bytes = _mm_and_si128(_mm256_castsi256_si128(fields), last->mask);
        last->size = size;
        last->whole = timestamp.whole * ((int64_t)timestamp.whole > SECONDS_MAX ? YD_NS_PER_MS : YD_NS_PER_S);
    }
    const char *value = space + size + 2, *after = value + _tzcnt_u32(spaces >> (size + 2));
    if (after > end) after = end;
    if ((size_t)(after - value - 1) >= 15) return false;
    line->value_end = after;
    line->value_size = (uint8_t)(after - value);
    line->time_ns = (int64_t)last->whole;
    line->first = (struct yd_str){metric, (size_t)(space - metric)};
    line->second = after < end ? (struct yd_str){after + 1, (size_t)(end - after - 1)} : YD_STR("");
    return true;
}

YD_LINE_TARGET static inline bool value_common(struct yd_line *line)
{
    struct yd_field value;
    struct yd_decimal decimal;
    yd_field_at(line->value_end, line->value_size, &value);
    if (!yd_field_decimal(&value, &decimal)) return false;
    line->type = decimal.pointed ? YD_F64 : YD_I64;
    if (decimal.pointed)
        line->value.f64 = decimal.value;
    else
        line->value.i64 = decimal.sum;
    return true;
}

YD_LINE_TARGET static void parse_group(const struct yd_lines *lines, struct yd_line *group, size_t count)
{
    const struct yd_raw_names *names = yd__lines_names(lines);
    struct yd_last_time last = yd_last_time_none();
    for (size_t i = 0; i < count; i++) {
        struct yd_line *line = &group[i];
        if (YD_UNLIKELY(line->careful) || YD_UNLIKELY(line->state != YD_LINE_RECORD) ||
            YD_UNLIKELY(!split_common(line, &last))) {
            line->value_size = 0;
            yd__line_slowly(lines, line);
            continue;
        }
        line->hash = yd__raw_hash_two(names->seed, line->first, line->second);
        yd_raw_names_prefetch(names, line->hash);
    }
    for (size_t i = 0; i < count; i++)
        if (YD_LIKELY(group[i].value_size) && YD_UNLIKELY(!value_common(&group[i]))) yd__line_slowly(lines, &group[i]);
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
