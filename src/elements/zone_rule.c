/* Rules of time zones: see zone_rule.h. What can fail: the text. Civil dates from day numbers and back: the well-known
 * arithmetic of 400-year eras. */
#include "elements/zone_rule.h"

#include <string.h>

#define DAY INT64_C(86400)

/* ---- dates ---- */

static int64_t floor_div(int64_t value, int64_t by)
{
    return value / by - (value % by < 0);
}

int64_t yd_civil_days(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = floor_div(year, 400), of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

int64_t yd_civil_month(int64_t days)
{
    days += 719468;
    int64_t era = floor_div(days, 146097), of_era = days - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100), month = (5 * of_year + 2) / 153;
    month += month < 10 ? 3 : -9;
    return (year + era * 400 + (month <= 2)) * 12 + month - 1;
}

/* ---- the text ---- */

struct reader {
    const char *at, *end;
    bool bad;
};

static bool take(struct reader *from, char c)
{
    if (from->at == from->end || *from->at != c) return false;
    from->at++;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int32_t number(struct reader *from, int32_t least, int32_t most)
{
    int32_t value = 0;
    const char *start = from->at;
    while (from->at < from->end && is_digit(*from->at) && from->at - start < 4) value = value * 10 + *from->at++ - '0';
    if (from->at == start || value < least || value > most) from->bad = true;
    return value;
}

/* Letters, or anything of letters, digits and signs within <>: three at least. What it is does not matter here. */
static void name(struct reader *from)
{
    bool quoted = take(from, '<');
    const char *start = from->at;
    for (; from->at < from->end; from->at++) {
        char c = *from->at;
        bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
        if (!letter && !(quoted && (is_digit(c) || c == '+' || c == '-'))) break;
    }
    if (from->at - start < 3 || (quoted && !take(from, '>'))) from->bad = true;
}

/* [+-]hh[:mm[:ss]] in seconds. */
static int32_t clock(struct reader *from, int32_t hours_max)
{
    int32_t sign = take(from, '-') ? -1 : 1;
    if (sign > 0) (void)take(from, '+');
    int32_t seconds = 3600 * number(from, 0, hours_max);
    if (take(from, ':')) {
        seconds += 60 * number(from, 0, 59);
        if (take(from, ':')) seconds += number(from, 0, 59);
    }
    return sign * seconds;
}

static struct yd_zone_day day(struct reader *from)
{
    struct yd_zone_day made = {.form = 'N', .seconds = 7200};
    if (!take(from, ',')) from->bad = true;
    if (take(from, 'M')) {
        made.form = 'M';
        made.month = (uint8_t)number(from, 1, 12);
        if (!take(from, '.')) from->bad = true;
        made.week = (uint8_t)number(from, 1, 5);
        if (!take(from, '.')) from->bad = true;
        made.day = (uint16_t)number(from, 0, 6);
    } else if (take(from, 'J')) {
        made.form = 'J';
        made.day = (uint16_t)number(from, 1, 365);
    } else {
        made.day = (uint16_t)number(from, 0, 365);
    }
    if (take(from, '/')) made.seconds = clock(from, 167);
    return made;
}

int yd_zone_rule_parse(struct yd_str text, struct yd_zone_rule *ret_rule)
{
    struct reader from = {text.data, text.data + text.size, text.size == 0};
    struct yd_zone_rule rule = {0};
    if (from.bad) return YD_EFORMAT;
    name(&from);
    rule.standard = -clock(&from, 24); /* POSIX counts to the west */
    if (!from.bad && from.at < from.end) {
        rule.changes = true;
        name(&from);
        rule.summer = rule.standard + 3600;
        if (from.at < from.end && *from.at != ',') rule.summer = -clock(&from, 24);
        rule.to_summer = day(&from);
        rule.to_standard = day(&from);
    }
    if (from.bad || from.at != from.end) return YD_EFORMAT;
    *ret_rule = rule;
    return 0;
}

/* ---- what it says ---- */

/* In seconds since 1970 of the clocks before the change. */
static int64_t change(const struct yd_zone_day *day, int64_t year)
{
    int64_t first = yd_civil_days(year, 1, 1), days = first + day->day;
    bool leap = yd_civil_days(year + 1, 1, 1) - first == 366;
    if (day->form == 'J') days = first + day->day - 1 + (leap && day->day >= 60);
    if (day->form == 'M') {
        int64_t month = yd_civil_days(year, day->month, 1);
        int64_t next = day->month == 12 ? yd_civil_days(year + 1, 1, 1) : yd_civil_days(year, day->month + 1, 1);
        int64_t weekday = (month + 4) - floor_div(month + 4, 7) * 7; /* 1970 began on a Thursday */
        days = month + (day->day - weekday + 7) % 7 + (day->week - 1) * 7;
        if (days >= next) days -= 7;
    }
    return days * DAY + day->seconds;
}

int64_t yd_zone_rule_offset(const struct yd_zone_rule *rule, int64_t utc_s)
{
    if (!rule->changes) return rule->standard;
    int64_t year = floor_div(yd_civil_month(floor_div(utc_s + rule->standard, DAY)), 12);
    int64_t begins = change(&rule->to_summer, year) - rule->standard;
    int64_t ends = change(&rule->to_standard, year) - rule->summer;
    bool summer = begins < ends ? utc_s >= begins && utc_s < ends : utc_s >= begins || utc_s < ends;
    return summer ? rule->summer : rule->standard;
}
