/* elements/calendar.h: days, weeks, months and years as a time zone has them: where their beginnings lie. Pure: a zone
 * is the bytes of its file (TZif, RFC 8536), which somebody else has read: changes, and behind the last of them the
 * rule at its end (zone_rule.h). Leap seconds ("right/…") are passed over. */
#ifndef ELEMENTS_CALENDAR_H
#define ELEMENTS_CALENDAR_H

#include "base/alloc.h"
#include "base/text.h"
#include "elements/zone_rule.h"

struct yd_zone {                                /* all zero: UTC */
    const unsigned char *times, *kinds, *types; /* in the file */
    uint32_t count, type_count;
    bool ruled; /* behind the last change the rule says it; else what that changed to stays */
    struct yd_zone_rule rule;
};
/* The file's bytes are needed as long as the zone. YD_EFORMAT: no such file. */
int yd_zone_open(struct yd_str file, struct yd_zone *ret_zone);
int64_t yd_zone_offset(const struct yd_zone *zone, int64_t utc_s); /* seconds east of UTC */
/* The first moment that clocks there show as this; where they never do, the one after the gap. */
int64_t yd_zone_to_utc(const struct yd_zone *zone, int64_t local_s);
/* "Europe/Berlin": letters, digits and - + _ / without dots, so that it names a file of the zones' folder. */
bool yd_zone_name_is_good(struct yd_str name);

struct yd_calendar {
    char unit; /* h d w n y; 0: none */
    uint32_t count;
};
/* Where buckets begin, rising: from the one before that which holds `from`, to the one behind that which holds `to`,
 * and where that ends. Weeks begin on Sunday, and several of them are counted from that of 1970-01-04; several hours
 * from midnight, days from the first of January, months and years from year 0. YD_ETOOBIG: more than `most`; YD_ERANGE:
 * no such calendar reaches there; YD_ENOMEM. */
int yd_calendar_edges(const struct yd_zone *zone, struct yd_calendar calendar, int64_t from_ns, int64_t to_ns,
                      size_t most, struct yd_arena *arena, int64_t **ret_edges, size_t *ret_count);

#endif
