/* Calendars: see calendar.h. Days are counted from 1970-01-01, in the zone's own time; each beginning is then turned
 * into UTC. Civil dates from day numbers and back: the well-known arithmetic of 400-year eras. */
#include "elements/calendar.h"

#define DAY         INT64_C(86400)
#define YEARS_MAX   9000 /* from 1970, either way: beyond that ns do not reach */
#define HEADER_SIZE 44

/* ---- zones ---- */

static uint32_t big32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static int64_t big64(const unsigned char *p)
{
    return (int64_t)((uint64_t)big32(p) << 32 | big32(p + 4));
}

struct counts {
    uint64_t utc, standard, leaps, times, types, letters;
};

static bool read_header(const unsigned char *at, size_t size, struct counts *ret)
{
    if (size < HEADER_SIZE || memcmp(at, "TZif", 4) != 0) return false;
    const unsigned char *p = at + 20;
    *ret = (struct counts){big32(p), big32(p + 4), big32(p + 8), big32(p + 12), big32(p + 16), big32(p + 20)};
    return ret->types && ret->types <= 256;
}

/* Behind the contents: a line with the rule of all times behind the last change, perhaps an empty one. */
static bool read_rule(struct yd_str rest, struct yd_zone *zone)
{
    if (rest.size < 2 || rest.data[0] != '\n') return false;
    const char *end = memchr(rest.data + 1, '\n', rest.size - 1);
    if (!end) return false;
    struct yd_str text = {rest.data + 1, (size_t)(end - rest.data - 1)};
    zone->ruled = text.size != 0;
    return !zone->ruled || yd_zone_rule_parse(text, &zone->rule) == 0;
}

/* The file has its contents twice: with times of four bytes and, from version 2 on, of eight. */
int yd_zone_open(struct yd_str file, struct yd_zone *ret_zone)
{
    const unsigned char *at = (const unsigned char *)file.data;
    struct counts n;
    *ret_zone = (struct yd_zone){0};
    if (!read_header(at, file.size, &n) || at[4] < '2') return YD_EFORMAT;
    uint64_t first = HEADER_SIZE + n.times * 5 + n.types * 6 + n.letters + n.leaps * 8 + n.standard + n.utc;
    if (first > file.size || !read_header(at + first, file.size - first, &n)) return YD_EFORMAT;
    at += first + HEADER_SIZE;
    uint64_t left = file.size - first - HEADER_SIZE;
    if (n.times * 9 + n.types * 6 > left) return YD_EFORMAT;
    struct yd_zone zone = {.times = at,
                           .kinds = at + n.times * 8,
                           .types = at + n.times * 9,
                           .count = (uint32_t)n.times,
                           .type_count = (uint32_t)n.types};
    for (uint32_t i = 0; i < zone.count; i++)
        if (zone.kinds[i] >= n.types || (i && big64(zone.times + i * 8) <= big64(zone.times + (i - 1) * 8)))
            return YD_EFORMAT;
    for (uint32_t i = 0; i < n.types; i++) {
        int32_t offset = (int32_t)big32(zone.types + i * 6);
        if (offset < -2 * DAY || offset > 2 * DAY) return YD_EFORMAT;
    }
    if (n.letters + n.leaps * 12 + n.standard + n.utc > left - (n.times * 9 + n.types * 6)) return YD_EFORMAT;
    const char *rest = (const char *)zone.types + n.types * 6 + n.letters + n.leaps * 12 + n.standard + n.utc;
    if (!read_rule((struct yd_str){rest, (size_t)(file.data + file.size - rest)}, &zone)) return YD_EFORMAT;
    *ret_zone = zone;
    return 0;
}

int64_t yd_zone_offset(const struct yd_zone *zone, int64_t utc_s)
{
    uint32_t low = 0, high = zone->count;
    if (!zone->type_count) return 0;
    if (zone->ruled && (!high || big64(zone->times + (size_t)(high - 1) * 8) <= utc_s))
        return yd_zone_rule_offset(&zone->rule, utc_s);
    while (low < high) { /* the first change behind it */
        uint32_t middle = low + (high - low) / 2;
        if (big64(zone->times + (size_t)middle * 8) <= utc_s)
            low = middle + 1;
        else
            high = middle;
    }
    return (int32_t)big32(zone->types + (size_t)(low ? zone->kinds[low - 1] : 0) * 6);
}

int64_t yd_zone_to_utc(const struct yd_zone *zone, int64_t local_s)
{
    int64_t before = yd_zone_offset(zone, local_s - 2 * DAY), after = yd_zone_offset(zone, local_s + 2 * DAY);
    if (yd_zone_offset(zone, local_s - before) == before) return local_s - before;
    if (yd_zone_offset(zone, local_s - after) == after) return local_s - after;
    return local_s - before;
}

bool yd_zone_name_is_good(struct yd_str name)
{
    if (name.size == 0 || name.size > 64 || name.data[0] == '/' || name.data[name.size - 1] == '/') return false;
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        if (!((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && !(c >= '0' && c <= '9') && !memchr("-+_/", c, 4)) return false;
    }
    return true;
}

/* ---- dates ---- */

static int64_t floor_div(int64_t value, int64_t by)
{
    return value / by - (value % by < 0);
}

static int64_t days_of_month(int64_t months)
{
    int64_t year = floor_div(months, 12);
    return yd_civil_days(year, months - year * 12 + 1, 1);
}

/* The beginning, in seconds of the zone's own time, of the bucket that holds `local`; or of the next one. */
static int64_t begin_of(struct yd_calendar calendar, int64_t local, bool next)
{
    int64_t days = floor_div(local, DAY), count = calendar.count, start, limit;
    switch (calendar.unit) {
    case 'h':
        start = floor_div(local - days * DAY, 3600 * count) * 3600 * count;
        if (!next) return days * DAY + start;
        return days * DAY + YD_MIN(start + 3600 * count, DAY); /* each day anew */
    case 'w':
        start = floor_div(days - 3, 7 * count) * 7 * count + 3; /* day 3 was a Sunday */
        return (start + next * 7 * count) * DAY;
    case 'n':
        return days_of_month((floor_div(yd_civil_month(days), count) + next) * count) * DAY;
    case 'y':
        return days_of_month((floor_div(floor_div(yd_civil_month(days), 12), count) + next) * count * 12) * DAY;
    default:
        start = days_of_month(floor_div(yd_civil_month(days), 12) * 12);
        limit = days_of_month((floor_div(yd_civil_month(days), 12) + 1) * 12);
        start += (days - start) / count * count;
        return (next ? YD_MIN(start + count, limit) : start) * DAY; /* each year anew */
    }
}

static int add(int64_t **edges, size_t *count, size_t *room, int64_t utc_s, struct yd_arena *arena)
{
    int64_t ns;
    if (__builtin_mul_overflow(utc_s, YD_NS_PER_S, &ns)) return YD_ERANGE;
    if (*count && (*edges)[*count - 1] >= ns) return 0; /* a gap has swallowed it */
    if (*count == *room) {
        size_t more = *room ? *room * 2 : 64;
        int64_t *grown = yd_arena_get(arena, more * sizeof *grown);
        if (!grown) return YD_ENOMEM;
        if (*count) memcpy(grown, *edges, *count * sizeof *grown);
        *edges = grown;
        *room = more;
    }
    (*edges)[(*count)++] = ns;
    return 0;
}

int yd_calendar_edges(const struct yd_zone *zone, struct yd_calendar calendar, int64_t from_ns, int64_t to_ns,
                      size_t most, struct yd_arena *arena, int64_t **ret_edges, size_t *ret_count)
{
    int64_t *edges = NULL, to = floor_div(to_ns, YD_NS_PER_S), from = floor_div(from_ns, YD_NS_PER_S);
    const int64_t years = 250 * 366 * DAY; /* ns reach 292 */
    size_t count = 0, room = 0;
    if (calendar.count == 0 || calendar.count > YEARS_MAX || from < -years || to > years) return YD_ERANGE;
    int64_t local = begin_of(calendar, from + yd_zone_offset(zone, from), false);
    while (yd_zone_to_utc(zone, local) > from) local = begin_of(calendar, local - 1, false);
    local = begin_of(calendar, local - 1, false);
    for (unsigned behind = 0; behind < 2; local = begin_of(calendar, local, true)) {
        int64_t utc = yd_zone_to_utc(zone, local);
        if (count > most) return YD_ETOOBIG;
        int r = add(&edges, &count, &room, utc, arena);
        if (r < 0) return r;
        behind += utc > to;
    }
    *ret_edges = edges;
    *ret_count = count;
    return 0;
}
