/* Data points of the usual shape: see opentsdb_scan.h. */
#include "elements/opentsdb_scan.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "elements/opentsdb_lines.h"

enum { METRIC = 1, TIMESTAMP = 2, VALUE = 4, TAGS = 8, ALL = 15 };

#define KEY_ROOM 16 /* bytes that can be looked at for a key: a point's last ones are not so few */

static inline const char *skip_space(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r')) p++;
    return p;
}

/* The first `stop` from p on; NULL when a backslash, a control character or one beyond ASCII stands before it. */
static inline const char *plain_until(const char *p, const char *end, char stop)
{
#if defined(__x86_64__)
    const __m128i stops = _mm_set1_epi8(stop), escapes = _mm_set1_epi8('\\'), first = _mm_set1_epi8(0x20);
    for (; end - p >= 16; p += 16) {
        __m128i bytes = _mm_loadu_si128((const void *)p);
        /* signed: below a space are control characters and all beyond ASCII */
        __m128i odd = _mm_or_si128(_mm_cmpeq_epi8(bytes, escapes), _mm_cmplt_epi8(bytes, first));
        __m128i hits = _mm_or_si128(odd, _mm_cmpeq_epi8(bytes, stops));
        unsigned bits = (unsigned)_mm_movemask_epi8(hits);
        if (!bits) continue;
        p += __builtin_ctz(bits);
        return *p == stop ? p : NULL;
    }
#endif
    for (; p < end; p++) {
        if (*p == stop) return p;
        if (*p == '\\' || (signed char)*p < 0x20) return NULL;
    }
    return NULL;
}

/* A number and its digits as one integer, as long as these are few. */
struct number {
    struct yd_str text;
    uint64_t digits;
    unsigned count, fraction; /* digits in all, and of them behind the point */
    bool negative, exponent;
};

static inline const char *digits(const char *p, const char *end, struct number *number)
{
    for (; p < end && (unsigned char)(*p - '0') < 10; p++) {
        number->digits = number->digits * 10 + (unsigned char)(*p - '0'); /* of too many nothing is made */
        number->count++;
    }
    return p;
}

/* A number as JSON has them. Returns what is behind it; NULL: none. */
static inline const char *take_number(const char *p, const char *end, struct number *number)
{
    const char *from = p, *first;
    *number = (struct number){.negative = p < end && *p == '-'};
    first = p += number->negative;
    p = digits(p, end, number);
    if (p == first || (*first == '0' && p - first > 1)) return NULL;
    if (p < end && *p == '.') {
        first = ++p;
        p = digits(p, end, number);
        if (p == first) return NULL;
        number->fraction = (unsigned)(p - first);
    }
    if (YD_UNLIKELY(p < end && (*p | 0x20) == 'e')) {
        struct number power = {0};
        p++;
        p += p < end && (*p == '+' || *p == '-');
        first = p;
        p = digits(p, end, &power);
        if (p == first) return NULL;
        number->exponent = true;
    }
    number->text = (struct yd_str){from, (size_t)(p - from)};
    return p;
}

/* A number, or a string that may hold one, which is then not taken apart (count 0). Returns what is behind it. */
static inline const char *take_scalar(const char *p, const char *end, struct number *number)
{
    if (*p != '"') return take_number(p, end, number);
    const char *to = plain_until(p + 1, end, '"');
    if (!to) return NULL;
    *number = (struct number){.text = {p + 1, (size_t)(to - p - 1)}};
    return to + 1;
}

#define SECONDS_MAX UINT64_C(4294967295)

static inline bool time_of(const struct number *number, int64_t *ret_ns)
{
    bool plain = number->count && number->count <= 10 && !number->fraction && !number->negative && !number->exponent;
    if (YD_UNLIKELY(!plain || number->digits == 0 || number->digits > SECONDS_MAX))
        return yd_opentsdb_time(number->text, ret_ns) == 0;
    *ret_ns = (int64_t)number->digits * YD_NS_PER_S;
    return true;
}

/* Up to 15 digits are below 2^53 and the powers of ten here are exact: the one division rounds correctly. */
static inline bool value_of(const struct number *number, enum yd_type *ret_type, union yd_value *ret)
{
    static const double tens[16] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    if (YD_UNLIKELY(!number->count || number->count > 15 || number->exponent))
        return number->text.size && yd_opentsdb_value(number->text, ret_type, ret) == 0;
    if (number->fraction) {
        double value = (double)number->digits / tens[number->fraction];
        *ret_type = YD_F64;
        ret->f64 = number->negative ? -value : value;
    } else {
        *ret_type = YD_I64;
        ret->i64 = number->negative ? -(int64_t)number->digits : (int64_t)number->digits;
    }
    return true;
}

/* The key at p and its size with the quotes; 0: another one. */
static inline unsigned key_at(const char *p, size_t *ret_size)
{
    if (!memcmp(p, "\"metric\"", 8)) return *ret_size = 8, METRIC;
    if (!memcmp(p, "\"timestamp\"", 11)) return *ret_size = 11, TIMESTAMP;
    if (!memcmp(p, "\"value\"", 7)) return *ret_size = 7, VALUE;
    if (!memcmp(p, "\"tags\"", 6)) return *ret_size = 6, TAGS;
    return 0;
}

/* The value of a key, p on its first byte. */
static inline const char *member(const char *p, const char *end, unsigned key, struct yd_put_shape *shape)
{
    struct number number;
    const char *to;
    switch (key) {
    case METRIC:
        to = *p == '"' ? plain_until(p + 1, end, '"') : NULL;
        if (!to || to == p + 1) return NULL;
        shape->metric = (struct yd_str){p + 1, (size_t)(to - p - 1)};
        return to + 1;
    case TAGS:
        to = *p == '{' ? plain_until(p + 1, end, '}') : NULL;
        if (!to) return NULL;
        shape->tags = (struct yd_str){p, (size_t)(to + 1 - p)};
        return to + 1;
    case TIMESTAMP:
        to = take_scalar(p, end, &number);
        return to && time_of(&number, &shape->time_ns) ? to : NULL;
    default:
        to = take_scalar(p, end, &number);
        return to && value_of(&number, &shape->type, &shape->value) ? to : NULL;
    }
}

const char *yd__put_scan(const char *from, const char *end, struct yd_put_shape *shape)
{
    unsigned seen = 0;
    for (const char *p = from + 1;;) {
        size_t size;
        p = skip_space(p, end);
        if (end - p < KEY_ROOM) return NULL;
        unsigned key = key_at(p, &size);
        if (!key || seen & key) return NULL;
        seen |= key;
        p = skip_space(p + size, end);
        if (p == end || *p != ':') return NULL;
        p = skip_space(p + 1, end);
        if (p == end) return NULL;
        p = member(p, end, key, shape);
        if (!p) return NULL;
        p = skip_space(p, end);
        if (p == end) return NULL;
        if (*p == '}') return seen == ALL ? p + 1 : NULL;
        if (*p++ != ',') return NULL;
    }
}
