/* Numbers to and from text.
 *
 * Decimals: up to 19 digits are gathered into an integer. If that fits a double exactly and the power of ten does too
 * (|exponent| <= 22), one multiplication or division rounds once, hence correctly. Everything else goes, rewritten
 * without regard to the user's locale, to strtod. */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"

/* Enough digits to decide every rounding (767 suffice for a double); what follows only matters as "not zero". */
#define DIGITS_MAX 800

static inline bool is_digit(char c)
{
    return (unsigned char)(c - '0') < 10;
}

int yd_text_u64(struct yd_str s, uint64_t *ret)
{
    uint64_t value = 0;
    if (s.size == 0) return YD_EFORMAT;
    bool over = false;
    for (size_t i = 0; i < s.size; i++) {
        if (!is_digit(s.data[i])) return YD_EFORMAT;
        over |= __builtin_mul_overflow(value, 10, &value);
        over |= __builtin_add_overflow(value, (uint64_t)(s.data[i] - '0'), &value);
    }
    if (over) return YD_ERANGE;
    *ret = value;
    return 0;
}

int yd_text_i64(struct yd_str s, int64_t *ret)
{
    bool negative = s.size && s.data[0] == '-';
    if (negative || (s.size && s.data[0] == '+')) s = (struct yd_str){s.data + 1, s.size - 1};
    uint64_t magnitude;
    int r = yd_text_u64(s, &magnitude);
    if (r < 0) return r;
    if (magnitude > (uint64_t)INT64_MAX + negative) return YD_ERANGE;
    *ret = (int64_t)(negative ? -magnitude : magnitude);
    return 0;
}

static const double powers_of_ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                       1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

struct decimal {
    uint64_t digits;       /* the first up to 19 significant ones */
    int64_t exponent;      /* value = digits * 10^exponent, if not cut */
    bool cut;              /* there were more significant digits */
    const char *from, *to; /* the digits and the point in the text */
};

/* [digits][.digits][e[+-]digits], all of it. */
static int scan(const char *p, const char *end, struct decimal *d)
{
    int count = 0; /* significant digits taken */
    bool any = false, point = false;
    *d = (struct decimal){.from = p};
    for (; p < end; p++) {
        if (is_digit(*p)) {
            any = true;
            if (count < 19) {
                d->digits = d->digits * 10 + (uint64_t)(*p - '0');
                count += d->digits != 0;
                d->exponent -= point;
            } else {
                d->cut |= *p != '0';
                d->exponent += !point;
            }
        } else if (*p == '.' && !point) {
            point = true;
        } else {
            break;
        }
    }
    d->to = p;
    if (!any) return YD_EFORMAT;
    if (p == end) return 0;
    if (*p != 'e' && *p != 'E') return YD_EFORMAT;
    p++;
    bool negative = p < end && *p == '-';
    p += p < end && (*p == '-' || *p == '+');
    if (p == end) return YD_EFORMAT;
    int64_t exponent = 0;
    for (; p < end; p++) {
        if (!is_digit(*p)) return YD_EFORMAT;
        if (exponent < INT64_C(1) << 50) exponent = exponent * 10 + (*p - '0');
    }
    d->exponent += negative ? -exponent : exponent;
    return 0;
}

static locale_t c_locale(void)
{
    static locale_t locale; /* glibc hands out one constant object for "C": a race stores it twice */
    locale_t have = __atomic_load_n(&locale, __ATOMIC_RELAXED);
    if (!have) {
        have = newlocale(LC_ALL_MASK, "C", (locale_t)0);
        __atomic_store_n(&locale, have, __ATOMIC_RELAXED);
    }
    return have;
}

/* The correct and slow way: "DIGITSe±N" to strtod. */
static double slow(const struct decimal *d)
{
    char text[DIGITS_MAX + 32];
    size_t size = 0;
    bool rest = false, point = false;
    /* d->exponent belongs to the first 19 digits: take off what the text added for those, add what is so for these. */
    int64_t shift = 0, shift19 = 0;
    int count = 0;
    for (const char *p = d->from; p < d->to; p++) {
        if (*p == '.') {
            point = true;
            continue;
        }
        bool significant = size || *p != '0';
        if (significant && size < DIGITS_MAX)
            text[size++] = *p, shift -= point;
        else if (significant)
            rest |= *p != '0', shift += !point;
        else
            shift -= point;
        if (count < 19)
            count += significant, shift19 -= point;
        else
            shift19 += !point;
    }
    int64_t exponent = d->exponent - shift19 + shift;
    if (rest) text[size++] = '1', exponent--;
    if (size == 0) return 0;
    if (exponent > 100000) exponent = 100000; /* infinite, or zero, all the same */
    if (exponent < -100000) exponent = -100000;
    (void)snprintf(text + size, sizeof text - size, "e%d", (int)exponent);
    locale_t locale = c_locale();
    return locale ? strtod_l(text, NULL, locale) : strtod(text, NULL);
}

static bool word_is(const char *p, const char *end, const char *word)
{
    for (; p < end && *word; p++, word++)
        if ((*p | 0x20) != *word) return false;
    return p == end && !*word;
}

int yd_text_f64(struct yd_str s, bool special, double *ret)
{
    const char *p = s.data, *end = s.data + s.size;
    bool negative = s.size && *p == '-';
    p += s.size && (*p == '-' || *p == '+');
    struct decimal d;
    if (YD_UNLIKELY(scan(p, end, &d) < 0)) {
        bool nan = word_is(p, end, "nan"), inf = word_is(p, end, "inf") || word_is(p, end, "infinity");
        if (!nan && !inf) return YD_EFORMAT;
        if (!special) return YD_ERANGE;
        double value = nan ? __builtin_nan("") : __builtin_inf();
        *ret = negative ? -value : value;
        return 0;
    }
    double value;
    if (YD_LIKELY(!d.cut && d.digits <= UINT64_C(1) << 53 && d.exponent >= -22 && d.exponent <= 22)) {
        value = (double)d.digits;
        value = d.exponent < 0 ? value / powers_of_ten[-d.exponent] : value * powers_of_ten[d.exponent];
    } else {
        value = slow(&d);
        if (value > 1.7976931348623157e308) return YD_ERANGE;
    }
    *ret = negative ? -value : value;
    return 0;
}

size_t yd_text_put_u64(char *to, uint64_t value)
{
    char text[20];
    size_t at = sizeof text;
    do text[--at] = (char)('0' + value % 10);
    while (value /= 10);
    memcpy(to, text + at, sizeof text - at);
    return sizeof text - at;
}

size_t yd_text_put_i64(char *to, int64_t value)
{
    if (value >= 0) return yd_text_put_u64(to, (uint64_t)value);
    *to = '-';
    return 1 + yd_text_put_u64(to + 1, -(uint64_t)value);
}

/* The shortest digits of a finite value > 0, and where the point is: value = 0.DIGITS * 10^point. */
static size_t shortest(double value, char digits[20], int *ret_point)
{
    /* Up to 15 digits identify a decimal uniquely, so if value is an integer over 10^k that small, that is it. */
    if (value < 1e15 && value >= 1e-5) {
        for (int k = 0; k <= 22; k++) {
            double scaled = value * powers_of_ten[k];
            if (scaled >= 1e15) break;
            uint64_t integer = (uint64_t)(scaled + 0.5);
            if ((double)integer / powers_of_ten[k] != value) continue;
            size_t size = yd_text_put_u64(digits, integer);
            *ret_point = (int)size - k;
            while (size > 1 && digits[size - 1] == '0') size--;
            return size;
        }
    }
    char text[64];
    for (int precision = 14;; precision++) {
        (void)snprintf(text, sizeof text, "%.*e", precision, value);
        /* The point is the locale's, so take digits and skip what is not. */
        size_t size = 0;
        const char *p = text;
        for (; *p && *p != 'e'; p++)
            if (is_digit(*p)) digits[size++] = *p;
        int exponent = *p ? atoi(p + 1) : 0;
        while (size > 1 && digits[size - 1] == '0') size--;
        struct decimal d = {.from = digits, .to = digits + size, .exponent = exponent + 1 - (int)size};
        *ret_point = exponent + 1;
        if (precision == 16 || slow(&d) == value) return size;
    }
}

size_t yd_text_put_f64(char *to, double value)
{
    if (value != value) return memcpy(to, "nan", 3), 3;
    char *p = to;
    if (__builtin_signbit(value)) {
        *p++ = '-';
        value = -value;
    }
    if (value > 1.7976931348623157e308) return memcpy(p, "inf", 3), (size_t)(p + 3 - to);
    if (value == 0) return *p++ = '0', (size_t)(p - to);
    if (value < 9007199254740992.0 && value == (double)(uint64_t)value)
        return (size_t)(p - to) + yd_text_put_u64(p, (uint64_t)value);
    char digits[20];
    int point;
    int size = (int)shortest(value, digits, &point);
    if (point > 21 || point < -5) {
        *p++ = digits[0];
        if (size > 1) {
            *p++ = '.';
            memcpy(p, digits + 1, (size_t)size - 1);
            p += size - 1;
        }
        *p++ = 'e';
        p += yd_text_put_i64(p, point - 1);
    } else if (point <= 0) {
        memcpy(p, "0.00000", 7);
        p += 2 - point;
        memcpy(p, digits, (size_t)size);
        p += size;
    } else {
        int whole = point < size ? point : size;
        memcpy(p, digits, (size_t)whole);
        memset(p + whole, '0', (size_t)(point - whole));
        p += point;
        if (size > point) {
            *p++ = '.';
            memcpy(p, digits + point, (size_t)(size - point));
            p += size - point;
        }
    }
    return (size_t)(p - to);
}
