/* elements/window_sum.h: what a Window keeps of one series in one window, and what it says of it in the end. Pure.
 *
 * Integers stay integers: n, sum, min, max and percentiles of integers are exact (a sum beyond 64 bits is said as a
 * float). Variance by Welford's recurrence, sums of floats by Neumaier's: neither loses what is small beside what is
 * large (B. P. Welford, Technometrics 4, 1962; A. Neumaier, ZAMM 54, 1974). A percentile is the value at the nearest
 * rank, one that was there; the median of an even number is the middle of the two. Nothing said is ever nan or
 * infinite. One thread. */
#ifndef ELEMENTS_WINDOW_SUM_H
#define ELEMENTS_WINDOW_SUM_H

#include <yarder/element.h>

#include "base/alloc.h"

enum yd_summary {
    YD_STAT_N,
    YD_STAT_MIN,
    YD_STAT_MAX,
    YD_STAT_SUM,
    YD_STAT_MEAN,
    YD_STAT_MEDIAN,
    YD_STAT_VARIANCE,
    YD_STAT_STDDEV,
    YD_STAT_COUNT
};
extern const char *const yd_stat_names[YD_STAT_COUNT];

struct yd_point {
    int64_t time_ns;
    union {
        int64_t i64;
        uint64_t u64; /* counters */
        double f64;
    };
};
struct yd_sum {
    uint64_t n;
    bool floats; /* at least one value was no integer */
    __int128 sum, min, max;
    double fsum, lost, fmin, fmax; /* fsum + lost is the sum */
    double mean, square;
    struct yd_point *points; /* only when asked for: percentiles, counters */
    uint32_t point_count, point_capacity;
    bool float_points;
};
/* YD_EINVAL: no number, or not a finite one. YD_EFULL: more than `room` bytes for points would be needed. YD_ENOMEM.
 * ret_bytes: by how much it grew. counter: integers are kept unsigned. */
int yd_sum_add(struct yd_sum *sum, int64_t time_ns, enum yd_type type, union yd_value value, bool points, bool counter,
               struct yd_alloc *alloc, size_t room, size_t *ret_bytes);
void yd_sum_fini(struct yd_sum *sum, struct yd_alloc *alloc);
/* n > 0. */
void yd_sum_stat(const struct yd_sum *sum, enum yd_summary stat, enum yd_type *ret_type, union yd_value *ret_value);
void yd_sum_sort(struct yd_sum *sum); /* by value, before: */
void yd_sum_percentile(const struct yd_sum *sum, double percent, enum yd_type *ret_type, union yd_value *ret_value);
void yd_sum_median(const struct yd_sum *sum, enum yd_type *ret_type, union yd_value *ret_value);

/* Rates of counters that wrap and are set back. */
enum yd_wrap { YD_WRAP_AUTO, YD_WRAP_NONE, YD_WRAP_32, YD_WRAP_64 };
struct yd_counter { /* the last point of the window before */
    struct yd_point point;
    bool known, is_float;
};
/* Increase per ns of the window's points, from the one before the window if it is known. false: fewer than two points
 * at different times. flags: YD_RECORD_ROLLOVER, YD_RECORD_QUALITY (set back: it began at zero again). Points are
 * sorted by time; of two with one time the larger one counts, in whatever order they came. The last one becomes
 * `counter`. AUTO: a fall from the upper quarter of 32 or of 64 bits into the lower one is a wrap, any other one a
 * reset. */
bool yd_sum_rate(struct yd_sum *sum, struct yd_counter *counter, enum yd_wrap wrap, double *ret_per_ns,
                 uint16_t *ret_flags);

void yd_sum_save(const struct yd_sum *sum, struct yd_saver *saver);
bool yd_sum_load(struct yd_sum *sum, struct yd_str *saved, struct yd_alloc *alloc, int *ret_error);

#endif
