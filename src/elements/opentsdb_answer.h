/* elements/opentsdb_answer.h: what a History replies, as OpenTSDB's JSON. Pure; written as it comes, built once. */
#ifndef ELEMENTS_OPENTSDB_ANSWER_H
#define ELEMENTS_OPENTSDB_ANSWER_H

#include "elements/opentsdb_query.h"

struct yd_tsdb_answer {
    struct yd_buf buf; /* what was written and not yet taken away */
    const struct yd_tsdb_plan *plan;
    const struct yd_tsdb_sub *sub; /* whose replies come now */
    bool any, open, any_point;
    bool headed;                            /* what precedes the group's points is written */
    uint64_t tsuids, notes;                 /* of the group, written */
    struct yd_buf globals;                  /* global annotations, by comma */
    uint64_t points, series, points_before; /* before: the group at hand */
};
void yd_tsdb_answer_begin(struct yd_tsdb_answer *answer, const struct yd_tsdb_plan *plan);
void yd_tsdb_answer_fini(struct yd_tsdb_answer *answer);
void yd_tsdb_answer_global(struct yd_tsdb_answer *answer, const struct yd_batch *batch); /* before the first sub */
void yd_tsdb_answer_sub(struct yd_tsdb_answer *answer, const struct yd_tsdb_sub *sub);
void yd_tsdb_answer_add(struct yd_tsdb_answer *answer, const struct yd_batch *batch);
void yd_tsdb_answer_end(struct yd_tsdb_answer *answer);

/* Replies to `suggest`, to `lookup`. */
void yd_tsdb_suggest_add(struct yd_buf *to, bool *any, const struct yd_batch *batch);
void yd_tsdb_lookup_begin(struct yd_buf *to, const struct yd_series_query *query, uint64_t limit);
void yd_tsdb_lookup_add(struct yd_buf *to, bool *any, uint64_t *total, const struct yd_batch *batch);
void yd_tsdb_lookup_end(struct yd_buf *to, uint64_t total);

/* A canonical name as "metric":…,"tags":{…} */
void yd_tsdb_put_name(struct yd_buf *to, struct yd_str name);
void yd_tsdb_put_string(struct yd_buf *to, struct yd_str text);
void yd_tsdb_put_filters(struct yd_buf *to); /* /api/config/filters */
void yd_tsdb_put_aggregators(struct yd_buf *to);

#endif
