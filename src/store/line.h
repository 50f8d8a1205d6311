/* store/line.h: one series' way through a query: read → collapse or downsample → rate → a line of points.
 * Of this floor only.
 *
 *   numbers or exact points ──► bucket ──► rate ──► times[], values[] (types[] when a point is kept as it was stored)
 */
#ifndef STORE_LINE_H
#define STORE_LINE_H

#include "base/text.h"
#include "store/aggregate.h"
#include "store/internal.h"
#include "store/rollup.h"

enum yd__reduce { YD__REDUCE_NOT, YD__REDUCE_SECONDS, YD__REDUCE_BUCKETS, YD__REDUCE_EDGES, YD__REDUCE_ALL };

struct yd__line_plan {          /* of a query: the same for all of its series */
    int64_t read_from, read_to; /* whole hours around what is asked */
    int64_t start, end;         /* what is asked */
    enum yd__reduce reduce;
    int64_t interval;
    const int64_t *edges; /* REDUCE_EDGES */
    size_t edge_count;
    const struct yd__aggregator *reducer; /* for seconds: one of which a single value is that value */
    bool fill;
    double fill_value;
    bool rate;
    struct yd_rate_options rate_options;
    bool exact; /* read bits and types; not with YD__REDUCE_BUCKETS, _EDGES or _ALL */
    uint64_t points_max;
};

struct yd__line {
    struct yd_alloc *alloc;
    const struct yd__line_plan *plan;
    int64_t *times;
    union yd_value *values; /* f64, or as types[] says */
    uint8_t *types;         /* YD_F64 unless plan->exact */
    uint64_t count, room;
    uint64_t read; /* points read so far, of all lines */
    uint64_t collect_room;
    double *collect; /* of the open bucket, for what needs all values */
    /* where this series is */
    struct yd__cursor cursor;
    bool any; /* a point was read in [read_from, read_to] */
    /* the open bucket */
    bool open;
    int64_t bucket, filled; /* filled: up to here, gaps have been filled */
    size_t next_edge;       /* REDUCE_EDGES: of `filled` */
    struct yd__cell cell;
    uint64_t points;   /* in it, NaN or not */
    uint8_t only_type; /* of the bucket's last point */
    uint64_t only_bits;
    /* the rate's predecessor */
    bool primed;
    int64_t before;
    uint8_t before_type;
    uint64_t before_bits;
};

void yd__line_init(struct yd__line *line, struct yd_alloc *alloc, const struct yd__line_plan *plan);
void yd__line_fini(struct yd__line *line);
void yd__line_open(struct yd__line *line); /* for the next series */
/* A chunk's worth. 1: more; 0: the line is complete; YD_ENOMEM, YD_ETOOBIG. */
int yd__line_step(struct yd__line *line, struct yd_history *history, const struct yd__series *series);

static inline double yd__line_number(const struct yd__line *line, uint64_t at)
{
    return line->types[at] == YD_F64 ? line->values[at].f64 : yd__number(line->types[at], line->values[at].bits);
}
/* The greatest multiple of `interval` not above `time`. */
static inline int64_t yd__floor(int64_t time, int64_t interval)
{
    int64_t rest = time % interval;
    return time - (rest < 0 ? rest + interval : rest);
}

#endif
