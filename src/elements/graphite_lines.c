/* Graphite's plaintext, `path value [timestamp]`, split from the right.
 *
 * The grammar that is accepted (SP: one or more spaces or tabs; around a line they are nothing):
 *
 *   line      := path SP value [ SP timestamp ]            two fields: no timestamp
 *   path      := metric { ";" [ key "=" value ] }          spaces inside count as one space each run
 *              | metric "{" [ key '="' value '"' { "," … } ] "}"
 *   value     := [+-] digits [ "." digits ] [ e[+-]digits ]     also ".5" and "5."; NaN and infinities are rejected
 *   timestamp := seconds since 1970; a fraction is cut off; -1, 0 and none: now; others below 0 are rejected
 *
 * Keys have none of ; ! ^ =, values no ; and do not begin with ~. An empty key or value leaves that tag out; a tag
 * without "=" rejects the line, as does a key given twice with different values. With three fields or more the last two
 * are value and timestamp: `a b 1` has the bad value "b", not the path "a b".
 * The common shape goes by 16-byte steps from the line's end backwards; anything else is decided by `parse`. */
#include "base/text.h"
#include "elements/line_simd.h"
#include "elements/lines.h"

static inline bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

/* Takes the last field off; size 0: there is none. */
static struct yd_str last_field(struct yd_str *text)
{
    size_t end = text->size;
    while (end && (is_space(text->data[end - 1]) || text->data[end - 1] == '\r')) end--;
    size_t start = end;
    while (start && !is_space(text->data[start - 1])) start--;
    text->size = start;
    return (struct yd_str){text->data + start, end - start};
}

static void refuse(struct yd_line *line, enum yd_line_reason reason)
{
    line->state = YD_LINE_REJECTED;
    line->reason = (uint8_t)reason;
}

static bool take_timestamp(const struct yd_lines *lines, struct yd_line *line, struct yd_str text)
{
    double seconds;
    if (yd_text_f64(text, false, &seconds) < 0 || seconds <= -2 || seconds >= 9223372036.0 ||
        (seconds < 0 && seconds != -1)) {
        refuse(line, YD_LINE_BAD_TIMESTAMP);
        return false;
    }
    int64_t whole = (int64_t)seconds;
    line->time_ns = whole > 0 ? whole * YD_NS_PER_S : yd__lines_now(lines);
    return true;
}

/* A whole number that a double would round is kept to its last digit, as far as 64 bits go. */
static void keep_digits(struct yd_line *line, struct yd_str text)
{
    int64_t whole;
    uint64_t positive;
    if (yd_text_i64(text, &whole) == 0) {
        line->value.i64 = whole;
        line->type = YD_I64;
    } else if (yd_text_u64(text, &positive) == 0) {
        line->value.u64 = positive;
        line->type = YD_U64;
    }
}

static void parse(const struct yd_lines *lines, struct yd_line *line)
{
    struct yd_str rest = {line->start, line->size};
    while (rest.size && is_space(*rest.data)) rest.data++, rest.size--;
    struct yd_str third = last_field(&rest);
    if (third.size == 0) {
        line->state = YD_LINE_EMPTY;
        return;
    }
    if (yd_line_is_http((struct yd_str){line->start, line->size})) {
        refuse(line, YD_LINE_HTTP);
        return;
    }
    struct yd_str value = last_field(&rest), path = rest;
    if (value.size == 0) {
        refuse(line, YD_LINE_NO_VALUE);
        return;
    }
    while (path.size && is_space(path.data[path.size - 1])) path.size--;
    if (path.size == 0) { /* two fields */
        path = value;
        value = third;
        line->time_ns = yd__lines_now(lines);
    } else if (!take_timestamp(lines, line, third)) {
        return;
    }
    int r = yd__line_f64(value, &line->value.f64);
    if (r < 0) {
        refuse(line, (enum yd_line_reason)(-1 - r));
        return;
    }
    line->type = YD_F64;
    if (line->value.f64 >= 0x1p53 || line->value.f64 <= -0x1p53) keep_digits(line, value);
    line->first = path;
}

#ifdef YD_LINE_SIMD
/* `path value timestamp` with single spaces, a value below 16 characters without exponent, whole seconds. */
YD_LINE_TARGET static inline bool split_common(struct yd_line *line, struct yd_last_time *last)
{
    const char *end = line->start + line->size;
    if (YD_UNLIKELY(!yd_last_time_again(last, _mm_loadu_si128((const void *)(end - 16))))) {
        struct yd_field timestamp;
        if (!yd_field_before(end, &timestamp) || !yd_field_digits(&timestamp)) return false;
        if (timestamp.whole - 1 > UINT64_C(9223372034)) return false;
        last->mask = yd__field_cut(_mm_set1_epi8(-1), timestamp.before - 1);
        last->bytes = _mm_and_si128(timestamp.bytes, last->mask);
        last->size = 16 - timestamp.before;
        last->whole = timestamp.whole;
    }
    struct yd_field value;
    line->value_end = end - last->size - 1;
    if (!yd_field_before(line->value_end, &value)) return false;
    if (value.start - 1 <= line->start || YD_UNLIKELY((unsigned char)*line->start <= ' ')) return false;
    line->value_size = (uint8_t)(16 - value.before);
    line->time_ns = (int64_t)last->whole * YD_NS_PER_S;
    line->first = (struct yd_str){line->start, (size_t)(value.start - 1 - line->start)};
    return true;
}
YD_LINE_TARGET static inline bool value_common(struct yd_line *line)
{
    struct yd_field value;
    struct yd_decimal decimal;
    yd_field_at(line->value_end, line->value_size, &value);
    if (!yd_field_decimal(&value, &decimal)) return false;
    line->value.f64 = decimal.value;
    line->type = YD_F64;
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
        line->hash = yd__raw_hash(names->seed, line->first.data, line->first.size);
        yd_raw_names_prefetch(names, line->hash);
    }
    for (size_t i = 0; i < count; i++)
        if (YD_LIKELY(group[i].value_size) && YD_UNLIKELY(!value_common(&group[i]))) yd__line_slowly(lines, &group[i]);
}
#endif

/* ---- names ---- */

/* Runs of spaces and tabs become one space. Returns the size. */
static size_t squeeze(struct yd_str path, char *to)
{
    size_t size = 0;
    for (size_t i = 0; i < path.size; i++) {
        if (!is_space(path.data[i]))
            to[size++] = path.data[i];
        else if (size && to[size - 1] != ' ')
            to[size++] = ' ';
    }
    while (size && to[size - 1] == ' ') size--;
    return size;
}

static bool good_tag(const struct yd_tag *tag)
{
    for (size_t i = 0; i < tag->key.size; i++)
        if (memchr(";!^=", tag->key.data[i], 4)) return false;
    return tag->value.size == 0 || tag->value.data[0] != '~';
}

/* key=value;key=value */
static int split_tags(struct yd_str text, struct yd_tag *tags, size_t *count)
{
    while (text.size) {
        const char *semicolon = memchr(text.data, ';', text.size);
        size_t size = semicolon ? (size_t)(semicolon - text.data) : text.size;
        const char *equals = memchr(text.data, '=', size);
        if (size && !equals) return yd__line_reason(YD_LINE_BAD_TAG);
        if (size) {
            if (*count == YD_LINE_TAGS_MAX) return yd__line_reason(YD_LINE_NAME_TOO_LONG);
            size_t key = (size_t)(equals - text.data);
            struct yd_tag *tag = &tags[(*count)++];
            *tag = (struct yd_tag){{text.data, key}, {equals + 1, size - key - 1}};
            if (!good_tag(tag)) return yd__line_reason(YD_LINE_BAD_TAG);
        }
        size += semicolon != NULL;
        text.data += size, text.size -= size;
    }
    return 0;
}

/* key="value", …; a backslash inside quotes takes the next character as it is, in place. */
static int split_braces(char *p, char *end, struct yd_tag *tags, size_t *count)
{
    for (;;) {
        while (p < end && (*p == ' ' || *p == ',')) p++;
        if (p == end) return 0;
        char *equals = memchr(p, '=', (size_t)(end - p));
        if (!equals || equals + 1 == end || equals[1] != '"') return yd__line_reason(YD_LINE_BAD_TAG);
        struct yd_str key = {p, (size_t)(equals - p)};
        while (key.size && key.data[key.size - 1] == ' ') key.size--;
        char *from = equals + 2, *to = from;
        struct yd_str value = {from, 0};
        for (; from < end && *from != '"'; from++) {
            if (*from == '\\' && from + 1 < end) from++;
            *to++ = *from;
        }
        if (from == end || *count == YD_LINE_TAGS_MAX) return yd__line_reason(YD_LINE_BAD_TAG);
        value.size = (size_t)(to - value.data);
        struct yd_tag *tag = &tags[(*count)++];
        *tag = (struct yd_tag){key, value};
        if (!good_tag(tag)) return yd__line_reason(YD_LINE_BAD_TAG);
        p = from + 1;
        if (p < end && *p != ',' && *p != ' ') return yd__line_reason(YD_LINE_BAD_TAG);
    }
}

static int canonical(struct yd_str first, struct yd_str second, char *to, size_t *ret_size)
{
    (void)second;
    char text[2 * YD_NAME_SIZE_MAX];
    struct yd_tag tags[YD_LINE_TAGS_MAX];
    size_t count = 0;
    if (first.size > sizeof text) return yd__line_reason(YD_LINE_NAME_TOO_LONG);
    struct yd_str path = {text, squeeze(first, text)};
    char *brace = path.size && text[path.size - 1] == '}' ? memchr(text, '{', path.size) : NULL;
    const char *semicolon = memchr(path.data, ';', path.size);
    int r = 0;
    if (brace && (!semicolon || semicolon > brace)) {
        r = split_braces(brace + 1, text + path.size - 1, tags, &count);
        path.size = (size_t)(brace - text);
        while (path.size && text[path.size - 1] == ' ') path.size--;
    } else if (semicolon) {
        size_t metric = (size_t)(semicolon - path.data);
        r = split_tags((struct yd_str){semicolon + 1, path.size - metric - 1}, tags, &count);
        path.size = metric;
    }
    if (r < 0) return r;
    return yd__line_name(path, tags, count, to, ret_size);
}

const struct yd_lines_format yd_graphite_format = {
    .name = "graphite",
    .parse = parse,
    .canonical = canonical,
#ifdef YD_LINE_SIMD
    .parse_group = parse_group,
#endif
};
