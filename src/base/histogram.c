/* base/histogram.c: see histogram.h. */
#include "base/histogram.h"

#define FIRST_BITS 10 /* of the first bucket: 1,024 ns */
#define STEP_BITS  3
#define LAST_BITS  42

unsigned yd_histogram_bucket(int64_t ns)
{
    if (ns < 1 << FIRST_BITS) return 0;
    unsigned octave = 63 - (unsigned)__builtin_clzll((unsigned long long)ns);
    if (octave >= LAST_BITS) return YD_HISTOGRAM_BUCKETS - 1;
    unsigned step = (unsigned)(ns >> (octave - STEP_BITS)) & ((1 << STEP_BITS) - 1);
    return 1 + ((octave - FIRST_BITS) << STEP_BITS) + step;
}

int64_t yd_histogram_bound_ns(unsigned bucket)
{
    if (bucket == 0) return 1 << FIRST_BITS;
    if (bucket >= YD_HISTOGRAM_BUCKETS - 1) return INT64_MAX;
    unsigned octave = FIRST_BITS + ((bucket - 1) >> STEP_BITS), step = (bucket - 1) & ((1 << STEP_BITS) - 1);
    return (int64_t)((1 << STEP_BITS) + step + 1) << (octave - STEP_BITS);
}

void yd_histogram_add(struct yd_histogram *histogram, int64_t ns, uint64_t count)
{
    histogram->counts[yd_histogram_bucket(ns)] += count;
    histogram->total += count;
    histogram->max_ns = YD_MAX(histogram->max_ns, ns);
}

int64_t yd_histogram_quantile_ns(const struct yd_histogram *histogram, double share)
{
    uint64_t below = 0, wanted = (uint64_t)(share * (double)histogram->total + 0.5);
    for (unsigned i = 0; i < YD_HISTOGRAM_BUCKETS; i++) {
        below += histogram->counts[i];
        if (below > 0 && below >= wanted) return YD_MIN(yd_histogram_bound_ns(i), histogram->max_ns);
    }
    return 0;
}
