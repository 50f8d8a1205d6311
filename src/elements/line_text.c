/* What the line formats share beyond the engine: values, HTTP look-alikes, and canonical names out of what was sent.
 *
 * Nothing here is on the way of a line whose name is known: a name comes here once per spelling. */
#include <math.h>

#include "base/text.h"
#include "elements/lines.h"

bool yd_line_is_http(struct yd_str line)
{
    size_t verb = 0;
    while (verb < line.size && verb < 8 && line.data[verb] >= 'A' && line.data[verb] <= 'Z') verb++;
    if (verb < 3 || line.size < verb + 2 + 9 || line.data[verb] != ' ') return false;
    const char *version = line.data + line.size - 9; /* the end decides, so that no line with a number there is meant */
    return memcmp(version, " HTTP/", 6) == 0 && version[7] == '.' && memchr("/*h", line.data[verb + 1], 3);
}

int yd__line_f64(struct yd_str text, double *ret)
{
    double value;
    int r = yd_text_f64(text, true, &value);
    if (r < 0) return yd__line_reason(r == YD_ERANGE ? YD_LINE_NOT_FINITE : YD_LINE_BAD_VALUE);
    if (value - value != 0) return yd__line_reason(YD_LINE_NOT_FINITE);
    *ret = value;
    return 0;
}

int yd__line_seconds(struct yd_str text, int64_t *ret_ns)
{
    const char *point = text.size ? memchr(text.data, '.', text.size) : NULL;
    struct yd_str whole = {text.data, point ? (size_t)(point - text.data) : text.size};
    struct yd_str digits = point ? (struct yd_str){point + 1, text.size - whole.size - 1} : YD_STR("");
    int64_t seconds;
    uint64_t fraction = 0;
    double number;
    if (digits.size <= 9 && yd_text_i64(whole, &seconds) == 0 &&
        (digits.size == 0 || yd_text_u64(digits, &fraction) == 0)) {
        for (size_t i = digits.size; i < 9; i++) fraction *= 10;
        int64_t part = *text.data == '-' ? -(int64_t)fraction : (int64_t)fraction;
        if (__builtin_mul_overflow(seconds, YD_NS_PER_S, ret_ns) || __builtin_add_overflow(*ret_ns, part, ret_ns))
            return yd__line_reason(YD_LINE_BAD_TIMESTAMP);
        return 0;
    }
    if (yd_text_f64(text, false, &number) < 0 || !(fabs(number) < 9e9)) return yd__line_reason(YD_LINE_BAD_TIMESTAMP);
    *ret_ns = llround(number * 1e3) * YD_NS_PER_MS;
    return 0;
}

static int check_bytes(struct yd_str text, enum yd_line_reason otherwise)
{
    for (size_t i = 0; i < text.size; i++)
        if ((unsigned char)text.data[i] < 0x20) return yd__line_reason(otherwise);
    return yd_text_utf8(text) ? 0 : yd__line_reason(YD_LINE_NOT_UTF8);
}

int yd__line_name(struct yd_str metric, const struct yd_tag *tags, size_t tag_count, char *to, size_t *ret_size)
{
    struct yd_name name = {.sorted = false};
    char escaped[2 * YD_NAME_SIZE_MAX];
    size_t room = YD_NAME_SIZE_MAX, used = 0; /* room counts unescaped bytes: twice as many are there */
    if (metric.size == 0) return yd__line_reason(YD_LINE_BAD_NAME);
    if (metric.size > room) return yd__line_reason(YD_LINE_NAME_TOO_LONG);
    int r = check_bytes(metric, YD_LINE_BAD_NAME);
    if (r < 0) return r;
    used = yd_name_escape(metric, escaped);
    room -= metric.size;
    name.metric = (struct yd_str){escaped, used};
    for (size_t i = 0; i < tag_count; i++) {
        const struct yd_tag *tag = &tags[i];
        if (tag->key.size == 0 || tag->value.size == 0) continue;
        if (name.tag_count == YD_NAME_TAGS_MAX) return yd__line_reason(YD_LINE_NAME_TOO_LONG);
        if (tag->key.size + tag->value.size > room) return yd__line_reason(YD_LINE_NAME_TOO_LONG);
        room -= tag->key.size + tag->value.size;
        if ((r = check_bytes(tag->key, YD_LINE_BAD_TAG)) < 0 || (r = check_bytes(tag->value, YD_LINE_BAD_TAG)) < 0)
            return r;
        struct yd_tag *out = &name.tags[name.tag_count++];
        out->key.data = escaped + used;
        used += out->key.size = yd_name_escape(tag->key, escaped + used);
        out->value.data = escaped + used;
        used += out->value.size = yd_name_escape(tag->value, escaped + used);
    }
    r = yd_name_format(&name, to, ret_size);
    if (r == YD_EDUP) return yd__line_reason(YD_LINE_DUPLICATE_TAG);
    if (r == YD_ETOOBIG) return yd__line_reason(YD_LINE_NAME_TOO_LONG);
    return r < 0 ? yd__line_reason(YD_LINE_BAD_NAME) : 0;
}
