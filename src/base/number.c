/* Numbers to and from text, correctly rounded both ways.
 *
 * Reading: up to 19 digits are gathered into an integer. If that and the power of ten are doubles exactly, one
 * multiplication or division rounds once, hence correctly. Else one or two multiplications with a 128-bit power of ten
 * decide (Eisel and Lemire). What they cannot decide (more digits than 19 that matter, about one in 10^19 else) goes to
 * strtod, rewritten so that the user's locale has no say.
 *
 * Printing: Schubfach (Giulietti). Scale the value and its two rounding limits by a power of ten so that about 17
 * digits are left of the point; the shortest number between the limits is there or with one digit less. */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "pow10_table.h"

/* Enough digits to decide every rounding (767 suffice for a double); what follows only matters as "not zero". */
#define DIGITS_MAX    800
#define FRACTION_BITS 52
#define EXPONENT_MAX  0x7ff

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

static inline double double_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* digits * 10^exponent, correctly rounded, or false: undecided. Infinite when it is too large. */
static bool scale(uint64_t digits, int64_t exponent, double *ret)
{
    if (digits == 0 || exponent < POW10_MIN) return *ret = 0, true;
    if (exponent > 308) return *ret = __builtin_inf(), true;
    const struct pow10 *power = &pow10_table[exponent - POW10_MIN];
    bool exact = exponent >= 0 && exponent <= 55;
    int zeros = __builtin_clzll(digits);
    digits <<= zeros;
    unsigned __int128 product = (unsigned __int128)digits * power->high;
    if (((uint64_t)(product >> 64) & 0x1ff) == 0x1ff) {
        /* The bits below the result are all ones: the lower half of the power may carry into it. The table is rounded
         * up; here it must be rounded down, but for small negative exponents. */
        uint64_t low = power->low - !(exact || (exponent < 0 && exponent >= -27));
        product += (uint64_t)((unsigned __int128)digits * low >> 64);
        if ((uint64_t)product == UINT64_MAX && (exponent < -27 || exponent > 55)) return false;
    }
    uint64_t high = (uint64_t)(product >> 64), low = (uint64_t)product;
    int top = (int)(high >> 63), shift = top + 64 - FRACTION_BITS - 3;
    uint64_t fraction = high >> shift; /* with one bit more, to round by */
    int64_t power2 = ((217706 * exponent) >> 16) + 63 + top - zeros + 1023;
    if (power2 <= 0) { /* subnormal */
        if (power2 <= -63) return *ret = 0, true;
        fraction >>= 1 - power2;
        fraction = (fraction + (fraction & 1)) >> 1;
        return *ret = double_of(fraction), true; /* a carry makes it the smallest normal number by itself */
    }
    /* Exactly half way between two doubles: to the even one. Only these exponents can get there. */
    if (low <= 1 && exponent >= -4 && exponent <= 23 && (fraction & 3) == 1 && fraction << shift == high)
        fraction &= ~UINT64_C(1);
    fraction = (fraction + (fraction & 1)) >> 1;
    if (fraction >> (FRACTION_BITS + 1)) fraction >>= 1, power2++;
    if (power2 >= EXPONENT_MAX) return *ret = __builtin_inf(), true;
    fraction &= (UINT64_C(1) << FRACTION_BITS) - 1;
    return *ret = double_of((uint64_t)power2 << FRACTION_BITS | fraction), true;
}

/* Digits beyond the 19th: if the next integer gives the same double, they do not matter. */
static double scale_any(const struct decimal *d)
{
    double value, next;
    if (scale(d->digits, d->exponent, &value) &&
        (!d->cut || (scale(d->digits + 1, d->exponent, &next) && next == value)))
        return value;
    return slow(d);
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
        value = scale_any(&d);
        if (value > 1.7976931348623157e308) return YD_ERANGE;
    }
    *ret = negative ? -value : value;
    return 0;
}

size_t yd_text_put_u64(char *to, uint64_t value)
{
    static const char pairs[] =
        "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243"
        "4445464748495051525354555657585960616263646566676869707172737475767778798081828384858687"
        "888990919293949596979899";
    char text[20];
    size_t at = sizeof text;
    for (; value >= 100; value /= 100) memcpy(text + (at -= 2), pairs + value % 100 * 2, 2);
    if (value >= 10)
        memcpy(text + (at -= 2), pairs + value * 2, 2);
    else
        text[--at] = (char)('0' + value);
    memcpy(to, text + at, sizeof text - at);
    return sizeof text - at;
}

size_t yd_text_put_i64(char *to, int64_t value)
{
    if (value >= 0) return yd_text_put_u64(to, (uint64_t)value);
    *to = '-';
    return 1 + yd_text_put_u64(to + 1, -(uint64_t)value);
}

/* (power * factor) >> 128, with its lowest bit set if anything was cut: comparisons stay right. */
static inline uint64_t multiply_odd(const struct pow10 *power, uint64_t factor)
{
    unsigned __int128 product = (unsigned __int128)power->high * factor;
    product += (uint64_t)((unsigned __int128)power->low * factor >> 64);
    return (uint64_t)(product >> 64) | ((uint64_t)product > 1);
}

/* The shortest decimal that reads back as this finite double > 0, of those the closest: result * 10^exponent. */
static uint64_t shortest(double value, int *ret_exponent)
{
    /* Thousandths are what most values are. Up to 15 digits name one double each, so if they give it, they are it. */
    if (value < 1e12 && value >= 1e-3) {
        uint64_t thousandths = (uint64_t)(value * 1000 + 0.5);
        if ((double)thousandths / 1000 == value) return *ret_exponent = -3, thousandths;
    }
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint64_t fraction = bits & ((UINT64_C(1) << FRACTION_BITS) - 1);
    int exponent = (int)(bits >> FRACTION_BITS);
    uint64_t c = exponent ? fraction | UINT64_C(1) << FRACTION_BITS : fraction;
    int q = (exponent ? exponent : 1) - 1075;    /* value = c * 2^q */
    bool narrow = fraction == 0 && exponent > 1; /* at a power of two the neighbour below is nearer */
    int k = (q * 1262611 - (narrow ? 524031 : 0)) >> 22;
    int h = q + ((-k * 1741647) >> 19) + 1;
    const struct pow10 *power = &pow10_table[-k - POW10_MIN];
    /* Four times: the value and half way to its neighbours. An even c wins ties, so its limits are inside. */
    uint64_t below = multiply_odd(power, (4 * c - 2 + narrow) << h) + (c & 1);
    uint64_t at = multiply_odd(power, (4 * c) << h);
    uint64_t above = multiply_odd(power, (4 * c + 2) << h) - (c & 1);
    uint64_t s = at / 4;
    if (s >= 10) {
        uint64_t tens = s / 10;
        bool low_inside = below <= 40 * tens, high_inside = 40 * tens + 40 <= above;
        if (low_inside != high_inside) return *ret_exponent = k + 1, tens + high_inside;
    }
    *ret_exponent = k;
    bool low_inside = below <= 4 * s, high_inside = 4 * s + 4 <= above;
    if (low_inside != high_inside) return s + high_inside;
    uint64_t middle = 4 * s + 2;
    return s + (at > middle || (at == middle && (s & 1)));
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
    int exponent;
    int size = (int)yd_text_put_u64(digits, shortest(value, &exponent));
    int point = size + exponent; /* value = 0.DIGITS * 10^point */
    while (digits[size - 1] == '0') size--;
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
