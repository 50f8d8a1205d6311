/* elements/graphite_series.h: series of /render: values a step apart, and how they are brought to one step. Pure.
 *
 * Times are whole seconds; a value stands for [its time, its time + step); NaN is a gap. What a request holds is
 * counted in values: beyond its room YD_ETOOBIG, and beyond that of all requests together YD_EBUSY. */
#ifndef ELEMENTS_GRAPHITE_SERIES_H
#define ELEMENTS_GRAPHITE_SERIES_H

#include <yarder/name.h>

#include "base/text.h"

#define YD_GVALUES_MAX     (UINT64_C(8) << 20)  /* of a request: 64 MiB */
#define YD_GVALUES_ALL_MAX (UINT64_C(32) << 20) /* of all at once */

#define YD_GNAME_MAX 16384 /* bytes of a name */

enum yd_gfold {
    YD_GFOLD_AVG,
    YD_GFOLD_SUM,
    YD_GFOLD_MIN,
    YD_GFOLD_MAX,
    YD_GFOLD_FIRST,
    YD_GFOLD_LAST,
    YD_GFOLD_COUNT,
    YD_GFOLD_DIFF,
    YD_GFOLD_MULTIPLY,
    YD_GFOLD_RANGE,
    YD_GFOLD_STDDEV,
    YD_GFOLD_MEDIAN,
};
/* By its names in Graphite: average, avg, avg_zero is not there; sum, total; min; max; …; a `Series` behind is cut. */
int yd_gfold_find(struct yd_str name, enum yd_gfold *ret);
const char *yd_gfold_name(enum yd_gfold fold); /* as in "averageSeries": average, sum, … */
/* Of the values that are no gaps; NaN when there are none. May sort them. */
double yd_gfold(enum yd_gfold fold, double *values, size_t count);

struct yd_gseries {
    struct yd_str name, path; /* path: what it was asked by, for names of what is made of it */
    struct yd_tag *tags;      /* plain, sorted by key, `name` among them */
    uint32_t tag_count;
    enum yd_gfold fold; /* how several values become one */
    int64_t start, step;
    size_t count;
    double *values;
};
struct yd_glist {
    struct yd_gseries **items;
    size_t count, room;
};

/* What a request holds. */
struct yd_gpool {
    struct yd_arena *arena; /* names and the like */
    struct yd_arena values;
    uint64_t used, *all; /* all: of all requests */
    struct yd_trail *trail;
};
void yd_gpool_init(struct yd_gpool *pool, struct yd_arena *arena, uint64_t *all);
void yd_gpool_fini(struct yd_gpool *pool);
int yd_gpool_take(struct yd_gpool *pool, uint64_t values);  /* counts them */
void yd_gpool_give(struct yd_gpool *pool, uint64_t values); /* some of what was taken */
int yd_glist_add(struct yd_gpool *pool, struct yd_glist *list, struct yd_gseries *series);
/* Gaps from start on. YD_ETOOBIG, YD_EBUSY, YD_ENOMEM. */
int yd_gseries_make(struct yd_gpool *pool, int64_t start, int64_t step, size_t count, struct yd_gseries **ret);
/* Whether a name of this size may be, and counts it; YD_ETOOBIG, YD_EBUSY. */
int yd_gpool_name(struct yd_gpool *pool, size_t size);
/* name := format; the path too. */
int yd_gseries_name(struct yd_gpool *pool, struct yd_gseries *series, const char *format, ...) YD_PRINTF(3, 4);

/* The next step of 1, 2, 5, 10, 15, 30 seconds, minutes …, days that is not below. */
int64_t yd_gstep_above(int64_t seconds);
/* The step of points that stand at these places, unit apart: the usual distance, a little jitter forgiven. 0: there are
 * not two. */
int64_t yd_gstep_of(const uint32_t *places, size_t count, int64_t unit);
/* To a longer step whose multiples the times then are; a first value of which a part is cut off goes, but not the only
 * one. YD_EINVAL: to a shorter one. */
int yd_gseries_coarsen(struct yd_gseries *series, int64_t step);
/* All of them to one start, step and count. */
int yd_glist_align(struct yd_gpool *pool, struct yd_glist *list);

static inline int64_t yd_gfloor(int64_t time, int64_t step)
{
    int64_t rest = time % step;
    return time - (rest < 0 ? rest + step : rest);
}

#endif
