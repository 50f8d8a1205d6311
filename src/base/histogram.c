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
    histogram->sum_ns += (double)ns * (double)count;
    histogram->max_ns = YD_MAX(histogram->max_ns, ns);
}

/* Relaxed, but for the total: a copy that sees it has the buckets it counts. Release pairs with the acquire in copy. */
void yd_histogram_add_shared(struct yd_histogram *histogram, int64_t ns)
{
    uint64_t *bucket = &histogram->counts[yd_histogram_bucket(ns)];
    __atomic_store_n(bucket, *bucket + 1, __ATOMIC_RELAXED);
    double sum_ns = histogram->sum_ns + (double)ns;
    __atomic_store(&histogram->sum_ns, &sum_ns, __ATOMIC_RELAXED);
    if (ns > histogram->max_ns) __atomic_store_n(&histogram->max_ns, ns, __ATOMIC_RELAXED);
    __atomic_store_n(&histogram->total, histogram->total + 1, __ATOMIC_RELEASE);
}

void yd_histogram_copy(struct yd_histogram *to, const struct yd_histogram *live)
{
    to->total = __atomic_load_n(&live->total, __ATOMIC_ACQUIRE);
    __atomic_load(&live->sum_ns, &to->sum_ns, __ATOMIC_RELAXED);
    to->max_ns = __atomic_load_n(&live->max_ns, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < YD_HISTOGRAM_BUCKETS; i++)
        to->counts[i] = __atomic_load_n(&live->counts[i], __ATOMIC_RELAXED);
}

void yd_histogram_since(struct yd_histogram *histogram, const struct yd_histogram *before)
{
    histogram->total -= before->total;
    histogram->sum_ns -= before->sum_ns;
    for (unsigned i = 0; i < YD_HISTOGRAM_BUCKETS; i++) histogram->counts[i] -= before->counts[i];
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
