/* elements/opentsdb_last.h: /api/query/last: the newest point of each series that is meant. Pure, like
 * opentsdb_query.h.
 *
 *   GET  ?timeseries=metric{key=value,…}&…&tsuids=A,B&resolve&back_scan=24
 *   POST {"queries":[{"metric":…,"tags":{…}},{"tsuids":[…]}],"resolveNames":true,"backScan":24}
 *
 * Each becomes one `last` question; the answers go into one array. Beyond OpenTSDB's letter: a tag's value may be a
 * pattern or any filter, and pairs may be left out, which means all series that have the others. */
#ifndef ELEMENTS_OPENTSDB_LAST_H
#define ELEMENTS_OPENTSDB_LAST_H

#include "elements/opentsdb_query.h"

struct yd_tsdb_last {
    struct yd_series_query *queries; /* metric and filters, or tsuids; start_ns */
    size_t count;
    bool resolve;
};
/* body "": from the arguments. Everything lives in the arena, or in the texts given. */
int yd_tsdb_last_plan(struct yd_str body, const struct yd_tsdb_argument *arguments, size_t count, int64_t now_ns,
                      struct yd_arena *arena, struct yd_tsdb_last *ret, struct yd_trail *trail);
/* Replies to `last`. */
void yd_tsdb_last_add(struct yd_buf *to, bool *any, bool resolve, const struct yd_batch *batch);

#endif
