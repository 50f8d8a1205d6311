/* Words with units: booleans, durations, sizes, rates; and times of the calendar. */
#include <stdio.h>

#include "base/text.h"

struct unit {
    const char *name;
    uint64_t factor;
};

static inline bool is_digit(char c)
{
    return (unsigned char)(c - '0') < 10;
}

static struct yd_str skip(struct yd_str s, size_t size)
{
    return (struct yd_str){s.data + size, s.size - size};
}

int yd_text_bool(struct yd_str s, bool *ret)
{
    if (yd_str_eq(s, YD_STR("true")))
        *ret = true;
    else if (yd_str_eq(s, YD_STR("false")))
        *ret = false;
    else
        return YD_EFORMAT;
    return 0;
}

/* Takes "12" or "1.25" off the front: value = number / scale. At most 18 fraction digits. */
struct number {
    uint64_t whole, fraction, scale;
};
static int take_number(struct yd_str *s, struct number *ret)
{
    size_t i = 0;
    *ret = (struct number){.scale = 1};
    for (; i < s->size && is_digit(s->data[i]); i++)
        if (__builtin_mul_overflow(ret->whole, 10, &ret->whole) ||
            __builtin_add_overflow(ret->whole, (uint64_t)(s->data[i] - '0'), &ret->whole))
            return YD_ERANGE;
    if (i == 0) return YD_EFORMAT;
    if (i < s->size && s->data[i] == '.') {
        size_t start = ++i;
        for (; i < s->size && is_digit(s->data[i]); i++) {
            if (i - start >= 18) return YD_ERANGE;
            ret->fraction = ret->fraction * 10 + (uint64_t)(s->data[i] - '0');
            ret->scale *= 10;
        }
        if (i == start) return YD_EFORMAT;
    }
    *s = skip(*s, i);
    return 0;
}

/* number × factor, which must be whole. */
static int multiply(struct number number, uint64_t factor, uint64_t *ret)
{
    unsigned __int128 part = (unsigned __int128)number.fraction * factor;
    if (part % number.scale) return YD_EFORMAT;
    unsigned __int128 total = (unsigned __int128)number.whole * factor + part / number.scale;
    if (total > UINT64_MAX) return YD_ERANGE;
    *ret = (uint64_t)total;
    return 0;
}

/* The unit that is the run of letters (and µ) at the front; NULL if unknown. */
static const struct unit *take_unit(struct yd_str *s, const struct unit *units)
{
    size_t size = 0;
    while (size < s->size && !is_digit(s->data[size]) && s->data[size] != '.') size++;
    for (const struct unit *unit = units; unit->name; unit++)
        if (yd_str_eq((struct yd_str){s->data, size}, yd_str_of(unit->name))) {
            *s = skip(*s, size);
            return unit;
        }
    return NULL;
}

static const struct unit durations[] = {{"w", UINT64_C(604800000000000)},
                                        {"d", UINT64_C(86400000000000)},
                                        {"h", UINT64_C(3600000000000)},
                                        {"m", UINT64_C(60000000000)},
                                        {"s", 1000000000},
                                        {"ms", 1000000},
                                        {"us", 1000},
                                        {"\xc2\xb5s", 1000}, /* µs */
                                        {"ns", 1},
                                        {NULL, 0}};

int yd_text_duration(struct yd_str s, int64_t *ret_ns)
{
    bool negative = s.size && s.data[0] == '-';
    if (negative) s = skip(s, 1);
    if (s.size == 0) return YD_EFORMAT;
    uint64_t total = 0, last = UINT64_MAX;
    while (s.size) {
        struct number number;
        uint64_t part;
        int r = take_number(&s, &number);
        if (r < 0) return r;
        const struct unit *unit = take_unit(&s, durations);
        if (!unit || unit->factor >= last) return YD_EFORMAT; /* units fall: 1h30m, not 30m1h */
        last = unit->factor;
        r = multiply(number, unit->factor, &part);
        if (r < 0) return r;
        if (__builtin_add_overflow(total, part, &total)) return YD_ERANGE;
    }
    if (total > (uint64_t)INT64_MAX + negative) return YD_ERANGE;
    *ret_ns = (int64_t)(negative ? -total : total);
    return 0;
}

int yd_text_size(struct yd_str s, uint64_t *ret)
{
    static const struct unit units[] = {{"", 1},
                                        {"B", 1},
                                        {"KiB", UINT64_C(1) << 10},
                                        {"MiB", UINT64_C(1) << 20},
                                        {"GiB", UINT64_C(1) << 30},
                                        {"TiB", UINT64_C(1) << 40},
                                        {"PiB", UINT64_C(1) << 50},
                                        {"EiB", UINT64_C(1) << 60},
                                        {"kB", 1000},
                                        {"MB", 1000000},
                                        {"GB", 1000000000},
                                        {"TB", UINT64_C(1000000000000)},
                                        {"PB", UINT64_C(1000000000000000)},
                                        {NULL, 0}};
    struct number number;
    int r = take_number(&s, &number);
    if (r < 0) return r;
    const struct unit *unit = take_unit(&s, units);
    if (!unit || s.size) return YD_EFORMAT;
    return multiply(number, unit->factor, ret);
}

int yd_text_rate(struct yd_str s, double *ret_per_s)
{
    static const struct unit units[] = {{"", 1}, {"k", 1000}, {"M", 1000000}, {"G", 1000000000}, {NULL, 0}};
    const char *slash = s.size ? memchr(s.data, '/', s.size) : NULL;
    if (!slash) return YD_EFORMAT;
    struct yd_str amount = {s.data, (size_t)(slash - s.data)}, per = skip(s, amount.size + 1);
    size_t number_size = amount.size;
    while (number_size && !is_digit(amount.data[number_size - 1]) && amount.data[number_size - 1] != '.') number_size--;
    struct yd_str suffix = skip(amount, number_size);
    const struct unit *factor = take_unit(&suffix, units), *interval = take_unit(&per, durations);
    double value;
    if (!factor || suffix.size || !interval || per.size) return YD_EFORMAT;
    int r = yd_text_f64((struct yd_str){amount.data, number_size}, false, &value);
    if (r < 0) return r;
    if (value < 0) return YD_ERANGE;
    value = value * (double)factor->factor * 1e9 / (double)interval->factor;
    if (value - value != 0) return YD_ERANGE;
    *ret_per_s = value;
    return 0;
}

/* Copies text to a bounded place; returns how much fitted. */
static size_t put(char *to, size_t size, const char *text, size_t text_size)
{
    size = YD_MIN(size, text_size);
    memcpy(to, text, size);
    return size;
}

/* value / scale with as many fraction digits as it has; scale is a power of ten. */
static size_t put_fraction(char *to, uint64_t value, uint64_t scale)
{
    size_t size = yd_text_put_u64(to, value / scale);
    uint64_t rest = value % scale;
    if (!rest) return size;
    to[size++] = '.';
    for (; rest; rest %= scale) {
        scale /= 10;
        to[size++] = (char)('0' + rest / scale);
    }
    return size;
}

size_t yd_text_put_duration(char *to, size_t size, int64_t ns)
{
    char text[64];
    char *p = text;
    uint64_t rest = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;
    if (ns < 0) *p++ = '-';
    if (rest == 0 || rest >= (uint64_t)YD_NS_PER_S) {
        for (const struct unit *unit = durations + 1; unit->factor > (uint64_t)YD_NS_PER_S; unit++) {
            if (rest < unit->factor) continue;
            p += yd_text_put_u64(p, rest / unit->factor);
            *p++ = unit->name[0];
            rest %= unit->factor;
        }
        if (rest || ns == 0) {
            p += put_fraction(p, rest, (uint64_t)YD_NS_PER_S);
            *p++ = 's';
        }
    } else {
        uint64_t scale = rest >= (uint64_t)YD_NS_PER_MS ? (uint64_t)YD_NS_PER_MS : rest >= 1000 ? 1000 : 1;
        p += put_fraction(p, rest, scale);
        *p++ = scale == 1 ? 'n' : scale == 1000 ? 'u' : 'm';
        *p++ = 's';
    }
    return put(to, size, text, (size_t)(p - text));
}

size_t yd_text_put_size(char *to, size_t size, uint64_t bytes)
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    char text[48];
    unsigned unit = 0;
    while (unit + 1 < YD_COUNT(names) && bytes >> (10 * (unit + 1))) unit++;
    /* One digit after the point, by the nearest tenth; 1023.97 must not become "1024.0KiB". */
    uint64_t tenths =
        (uint64_t)((((unsigned __int128)bytes * 10) + (unit ? (UINT64_C(1) << (10 * unit)) / 2 : 0)) >> (10 * unit));
    if (tenths >= 10240 && unit + 1 < YD_COUNT(names)) tenths = 10, unit++;
    size_t text_size = put_fraction(text, tenths, 10);
    size_t name_size = strlen(names[unit]);
    memcpy(text + text_size, names[unit], name_size);
    return put(to, size, text, text_size + name_size);
}

/* Days since 1970-01-01 and back, proleptic Gregorian. Years start in March, so that the leap day comes last. */
static int64_t days_of(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400, of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void date_of(int64_t days, int64_t *ret_year, int *ret_month, int *ret_day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097, of_era = days - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int month = (int)((5 * of_year + 2) / 153);
    *ret_day = (int)(of_year - (153 * month + 2) / 5 + 1);
    *ret_month = month < 10 ? month + 3 : month - 9;
    *ret_year = year + era * 400 + (*ret_month <= 2);
}

size_t yd_text_put_time(char *to, size_t size, int64_t time_ns)
{
    int64_t seconds = time_ns / YD_NS_PER_S, ns = time_ns % YD_NS_PER_S;
    if (ns < 0) ns += YD_NS_PER_S, seconds--;
    int64_t days = seconds / 86400, rest = seconds % 86400, year;
    if (rest < 0) rest += 86400, days--;
    int month, day;
    date_of(days, &year, &month, &day);
    char text[128];
    int used = snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d", (int)year, month, day, (int)(rest / 3600),
                        (int)(rest / 60 % 60), (int)(rest % 60));
    if (ns) {
        int digits = ns % 1000 ? 9 : ns % 1000000 ? 6 : 3;
        used += snprintf(text + used, sizeof text - (size_t)used, ".%0*d", digits,
                         (int)(digits == 9   ? ns
                               : digits == 6 ? ns / 1000
                                             : ns / 1000000));
    }
    text[used++] = 'Z';
    return put(to, size, text, (size_t)used);
}

/* Exactly `count` digits off the front. */
static bool take_digits(struct yd_str *s, int count, int *ret)
{
    int value = 0;
    if (s->size < (size_t)count) return false;
    for (int i = 0; i < count; i++) {
        if (!is_digit(s->data[i])) return false;
        value = value * 10 + (s->data[i] - '0');
    }
    *s = skip(*s, (size_t)count);
    *ret = value;
    return true;
}

static bool take_char(struct yd_str *s, char c)
{
    if (s->size == 0 || s->data[0] != c) return false;
    *s = skip(*s, 1);
    return true;
}

/* ".digits", to nanoseconds; digits beyond nine are dropped. */
static bool take_fraction(struct yd_str *s, int64_t *ret_ns)
{
    int64_t ns = 0, unit = YD_NS_PER_S / 10;
    *ret_ns = 0;
    if (!take_char(s, '.')) return true;
    if (s->size == 0 || !is_digit(s->data[0])) return false;
    for (; s->size && is_digit(s->data[0]); *s = skip(*s, 1), unit /= 10) ns += (s->data[0] - '0') * unit;
    *ret_ns = ns;
    return true;
}

static int to_ns(__int128 seconds, int64_t ns, int64_t *ret_ns)
{
    __int128 total = seconds * YD_NS_PER_S + ns;
    if (total < INT64_MIN || total > INT64_MAX) return YD_ERANGE;
    *ret_ns = (int64_t)total;
    return 0;
}

static int unix_time(struct yd_str s, int64_t *ret_ns)
{
    bool negative = take_char(&s, '-');
    size_t digits = 0;
    while (digits < s.size && is_digit(s.data[digits])) digits++;
    uint64_t seconds;
    int64_t ns;
    int r = yd_text_u64((struct yd_str){s.data, digits}, &seconds);
    if (r < 0) return r;
    s = skip(s, digits);
    if (!take_fraction(&s, &ns) || s.size) return YD_EFORMAT;
    return negative ? to_ns(-(__int128)seconds, -ns, ret_ns) : to_ns(seconds, ns, ret_ns);
}

static int month_days(int year, int month)
{
    static const signed char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

int yd_text_time(struct yd_str s, int64_t *ret_ns)
{
    if (s.size < 10 || s.data[4] != '-') return unix_time(s, ret_ns);
    int year, month, day, hour = 0, minute = 0, second = 0, offset = 0;
    int64_t ns = 0;
    if (!take_digits(&s, 4, &year) || !take_char(&s, '-') || !take_digits(&s, 2, &month) || !take_char(&s, '-') ||
        !take_digits(&s, 2, &day))
        return YD_EFORMAT;
    if (s.size) {
        if (!take_char(&s, 'T') && !take_char(&s, 't') && !take_char(&s, ' ')) return YD_EFORMAT;
        if (!take_digits(&s, 2, &hour) || !take_char(&s, ':') || !take_digits(&s, 2, &minute)) return YD_EFORMAT;
        if (take_char(&s, ':') && (!take_digits(&s, 2, &second) || !take_fraction(&s, &ns))) return YD_EFORMAT;
        if (s.size && !take_char(&s, 'Z') && !take_char(&s, 'z')) {
            int hours, minutes, sign = s.data[0] == '+' ? 1 : s.data[0] == '-' ? -1 : 0;
            s = skip(s, 1);
            if (!sign || !take_digits(&s, 2, &hours) || !take_char(&s, ':') || !take_digits(&s, 2, &minutes))
                return YD_EFORMAT;
            if (hours > 23 || minutes > 59) return YD_ERANGE;
            offset = sign * (hours * 60 + minutes);
        }
        if (s.size) return YD_EFORMAT;
    }
    if (month < 1 || month > 12 || day < 1 || day > month_days(year, month) || hour > 23 || minute > 59 || second > 59)
        return YD_ERANGE;
    return to_ns(days_of(year, month, day) * 86400 + hour * 3600 + (minute - offset) * 60 + second, ns, ret_ns);
}
