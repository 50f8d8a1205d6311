/* base/histogram.h: durations counted by size, so that quantiles can be told without keeping them.
 *
 *   up to 1,024 ns one bucket; from there eight an octave, to 2^42 ns (73 minutes) and one for all beyond
 *
 * What a quantile says is the upper bound of its bucket: at most 12.5 % more than it was. Adding costs a few ns. One
 * thread writes; copies may be read anywhere. With add_shared and copy others may look while it is written to (one
 * writer at a time still): each number is whole, and they are told so that the total is never more than the buckets. */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include "base/base.h"

#define YD_HISTOGRAM_BUCKETS 258

struct yd_histogram {
    uint64_t total; /* of all buckets */
    double sum_ns;  /* of all that was added */
    int64_t max_ns; /* since the start, exact */
    uint64_t counts[YD_HISTOGRAM_BUCKETS];
};

unsigned yd_histogram_bucket(int64_t ns);       /* below 0 counts as 0 */
int64_t yd_histogram_bound_ns(unsigned bucket); /* everything in it is shorter; the last one: INT64_MAX */
void yd_histogram_add(struct yd_histogram *histogram, int64_t ns, uint64_t count);
void yd_histogram_add_shared(struct yd_histogram *histogram, int64_t ns); /* one */
void yd_histogram_copy(struct yd_histogram *to, const struct yd_histogram *live);
/* What was added since `before`, an older copy of it. max_ns stays that of all: an upper bound. */
void yd_histogram_since(struct yd_histogram *histogram, const struct yd_histogram *before);
/* The bound under which `share` (0 to 1) of what was counted lies; never above max_ns. 0: nothing was counted. */
int64_t yd_histogram_quantile_ns(const struct yd_histogram *histogram, double share);

#endif
