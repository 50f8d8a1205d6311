/* elements/opentsdb_query.h: what /api/query and /api/search/lookup ask, from JSON or from URL arguments. Pure.
 *
 * Accepted beyond OpenTSDB's letter, because clients send it: `tags: []`, unknown keys, a trailing `-` in downsample,
 * metrics joined by `|`, numbers as strings and strings as numbers. */
#ifndef ELEMENTS_OPENTSDB_QUERY_H
#define ELEMENTS_OPENTSDB_QUERY_H

#include "elements/calendar.h"
#include "store/history.h"

struct yd_tsdb_argument { /* of a URL */
    struct yd_str name, value;
};

struct yd_tsdb_sub {
    struct yd_series_query query;
    struct yd_str downsample;    /* as asked, for showQuery; "" none */
    struct yd_calendar calendar; /* of it, before yd_tsdb_plan_calendar */
    bool joined;                 /* one of several metrics in one sub-query: it may be unknown */
};
/* What stands for a number that JSON does not know: OpenTSDB's "NaN" where fill policy `nan` says so, and null; always
 * null; or no point at all. */
enum yd_tsdb_nan { YD_TSDB_NAN_STRING, YD_TSDB_NAN_NULL, YD_TSDB_NAN_OMIT };
struct yd_tsdb_plan {
    enum yd_tsdb_nan nan;
    struct yd_tsdb_sub *subs;
    size_t sub_count;
    bool milliseconds, arrays, show_query, show_summary, show_tsuids, no_notes, global_notes, show_stats;
    struct yd_str timezone;                    /* "": UTC */
    bool use_calendar, local_start, local_end; /* these are dates, as the time zone has them */
};

/* Everything lives in the arena, or in the texts given. YD_EINVAL with OpenTSDB's words in the trail. */
int yd_tsdb_plan_json(struct yd_str body, int64_t now_ns, struct yd_arena *arena, struct yd_tsdb_plan *ret,
                      struct yd_trail *trail);
int yd_tsdb_plan_url(const struct yd_tsdb_argument *arguments, size_t count, int64_t now_ns, struct yd_arena *arena,
                     struct yd_tsdb_plan *ret, struct yd_trail *trail);

/* What needs the time zone: where calendar buckets begin, and times given as dates. `zone_file`: of plan->timezone, if
 * that is not "". YD_EINVAL, YD_ETOOBIG. */
int yd_tsdb_plan_calendar(struct yd_tsdb_plan *plan, struct yd_str zone_file, struct yd_arena *arena,
                          struct yd_trail *trail);

/* metric{key=value,…}: every pair one filter that does not group, `*` for any. */
int yd_tsdb_lookup(struct yd_str text, struct yd_arena *arena, struct yd_series_query *ret, struct yd_trail *trail);

/* A series' number: 16 hexadecimal digits, as lookup gives it. A list by commas, a JSON array of texts (none: 0 of
 * them). */
#define YD_TSDB_TSUID "%016llX"
int yd_tsdb_tsuid(struct yd_str text, uint64_t *ret);
int yd_tsdb_tsuids(struct yd_str text, struct yd_arena *arena, struct yd_series_query *to, struct yd_trail *trail);
struct yd_json_value;
int yd_tsdb_tsuids_json(const struct yd_json_value *list, struct yd_arena *arena, struct yd_series_query *to,
                        struct yd_trail *trail);

/* "now", "1h-ago", "2013/01/01-00:00:00", seconds (up to 10 digits), milliseconds, "123ms", "1234567890.123". */
int yd_tsdb_time(struct yd_str text, int64_t now_ns, int64_t *ret_ns);
int yd_tsdb_duration(struct yd_str text, int64_t *ret_ns); /* 500ms 10s 5m 1h 1d 1w 1n 1y */
/* ret_calendar: what remains to be said by edges; its unit 0: nothing. */
int yd_tsdb_downsample(struct yd_str text, bool use_calendar, struct yd_downsample *ret,
                       struct yd_calendar *ret_calendar, struct yd_trail *trail);
/* A filter out of a value of `tags`: literal, a|b, *, glob, type(expression). */
int yd_tsdb_tag_filter(struct yd_str key, struct yd_str value, struct yd_filter *ret, struct yd_trail *trail);

#endif
