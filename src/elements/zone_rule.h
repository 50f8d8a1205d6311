/* elements/zone_rule.h: how a time zone goes on for ever: the rule that ends its file (TZif, RFC 8536, section 3.3:
 * POSIX TZ, extended), "CET-1CEST,M3.5.0,M10.5.0/3". Pure. */
#ifndef ELEMENTS_ZONE_RULE_H
#define ELEMENTS_ZONE_RULE_H

#include "base/text.h"

/* A day of each year, and the seconds of its clocks' change from its midnight. */
struct yd_zone_day {
    char form;           /* 'J': 1 … 365, never a leap day; 'N': 0 … 365; 'M': month, week, day of the week */
    uint16_t day;        /* of 'M' 0 … 6, from Sunday */
    uint8_t month, week; /* of 'M' 1 … 12; 1 … 5, 5: the last */
    int32_t seconds;     /* -167 h … 167 h */
};
struct yd_zone_rule {
    int32_t standard, summer; /* seconds east of UTC */
    bool changes;             /* else always standard */
    struct yd_zone_day to_summer, to_standard;
};
/* YD_EFORMAT: it is none. */
int yd_zone_rule_parse(struct yd_str text, struct yd_zone_rule *ret_rule);
int64_t yd_zone_rule_offset(const struct yd_zone_rule *rule, int64_t utc_s);

/* Days since 1970-01-01; month 1 … 12. */
int64_t yd_civil_days(int64_t year, int64_t month, int64_t day);
/* Months since year 0 of the month that holds the day. */
int64_t yd_civil_month(int64_t days);

#endif
