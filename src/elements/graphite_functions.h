/* elements/graphite_functions.h: what targets may call, and what it makes of series. Pure.
 *
 *   yd_gplan: which paths are fetched, from when, how finely ─► the caller fetches ─► yd_geval: the target's series
 *
 * How finely: as many points as are asked for, unless a function on the way needs the points themselves (a rate, a
 * moving window): then down to a 100,000th of the range. A `summarize` right over a path is done by the history. */
#ifndef ELEMENTS_GRAPHITE_FUNCTIONS_H
#define ELEMENTS_GRAPHITE_FUNCTIONS_H

#include "elements/graphite_series.h"
#include "elements/graphite_target.h"

#define YD_GFETCHES_MAX 128
#define YD_GWORK_MAX    (UINT64_C(256) << 20) /* values gone over in one request */

struct yd_gfetch {
    struct yd_gnode *node; /* a PATH or a call of seriesByTag */
    int64_t from, until;   /* seconds; what is given out lies in (from, until], or if fixed in [from, until] */
    int64_t unit;          /* points are folded to this */
    bool fixed;            /* and the series' step is just that */
    enum yd_gfold fold;
};
struct yd_gplan {
    int64_t from, until, shown, fine; /* shown, fine: units for what is only shown, for what is computed with */
    struct yd_gfetch fetches[YD_GFETCHES_MAX];
    uint32_t fetch_count;
};
/* max_points 0: as they are. */
void yd_gplan_init(struct yd_gplan *plan, int64_t from, int64_t until, uint64_t max_points);
/* Adds the target's fetches. YD_EINVAL: no such function, bad arguments; YD_ETOOBIG. */
int yd_gplan_target(struct yd_gplan *plan, struct yd_gnode *target, struct yd_trail *trail);

struct yd_geval {
    struct yd_gpool *pool;
    struct yd_trail *trail;
    const struct yd_gplan *plan;
    struct yd_glist *fetched; /* by fetch; each is used once */
    uint64_t work;
};
int yd_geval(struct yd_geval *eval, struct yd_gnode *target, struct yd_glist *ret);

/* All of them as /functions tells, or the one of this name; false: there is none. */
bool yd_gfunctions_put(struct yd_buf *to, struct yd_str name);

#endif
