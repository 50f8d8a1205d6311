/* Sums, moments, percentiles and rates: see window_sum.h. */
#include "elements/window_sum.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "elements/saved.h"

const char *const yd_stat_names[YD_STAT_COUNT] = {"n", "min", "max", "sum", "mean", "median", "variance", "stddev"};

/* ---- in ---- */

static void floats_from_now_on(struct yd_sum *sum)
{
    sum->floats = true;
    sum->fsum = (double)sum->sum;
    sum->lost = (double)(sum->sum - (__int128)sum->fsum);
    sum->fmin = (double)sum->min;
    sum->fmax = (double)sum->max;
}

static void float_points_from_now_on(struct yd_sum *sum, bool counter)
{
    sum->float_points = true;
    for (uint32_t i = 0; i < sum->point_count; i++) {
        struct yd_point *point = &sum->points[i];
        point->f64 = counter ? (double)point->u64 : (double)point->i64;
    }
}

static int add_point(struct yd_sum *sum, int64_t time_ns, enum yd_type type, union yd_value value, bool counter,
                     struct yd_alloc *alloc, size_t room, size_t *ret_bytes)
{
    if (sum->point_count == sum->point_capacity) {
        uint32_t capacity = sum->point_capacity ? sum->point_capacity * 2 : 4;
        size_t more = (capacity - sum->point_capacity) * sizeof *sum->points;
        if (more > room || capacity > (UINT32_C(1) << 27)) return YD_EFULL;
        void *points = yd_alloc_resize(alloc, sum->points, sum->point_capacity * sizeof *sum->points,
                                       capacity * sizeof *sum->points);
        if (!points) return YD_ENOMEM;
        sum->points = points;
        sum->point_capacity = capacity;
        *ret_bytes = more;
    }
    bool fits = type == YD_F64   ? false
                : type == YD_U64 ? counter || value.u64 <= INT64_MAX
                                 : !counter || value.i64 >= 0;
    if (!fits && !sum->float_points) float_points_from_now_on(sum, counter);
    struct yd_point *point = &sum->points[sum->point_count++];
    point->time_ns = time_ns;
    if (!sum->float_points)
        point->u64 = value.u64;
    else
        point->f64 = type == YD_F64 ? value.f64 : type == YD_U64 ? (double)value.u64 : (double)value.i64;
    return 0;
}

int yd_sum_add(struct yd_sum *sum, int64_t time_ns, enum yd_type type, union yd_value value, bool points, bool counter,
               struct yd_alloc *alloc, size_t room, size_t *ret_bytes)
{
    *ret_bytes = 0;
    if (type == YD_BOOL) type = YD_U64;
    if (type != YD_I64 && type != YD_U64 && (type != YD_F64 || !isfinite(value.f64))) return YD_EINVAL;
    if (points) {
        int error = add_point(sum, time_ns, type, value, counter, alloc, room, ret_bytes);
        if (error < 0) return error;
    }
    double number = type == YD_F64 ? value.f64 : type == YD_U64 ? (double)value.u64 : (double)value.i64;
    if (type == YD_F64 && !sum->floats) floats_from_now_on(sum);
    if (!sum->floats) {
        __int128 whole = type == YD_U64 ? (__int128)value.u64 : (__int128)value.i64;
        sum->min = sum->n == 0 || whole < sum->min ? whole : sum->min;
        sum->max = sum->n == 0 || whole > sum->max ? whole : sum->max;
        sum->sum += whole;
    } else {
        double total = sum->fsum + number;
        sum->lost += fabs(sum->fsum) >= fabs(number) ? (sum->fsum - total) + number : (number - total) + sum->fsum;
        sum->fsum = total;
        sum->fmin = sum->n == 0 || number < sum->fmin ? number : sum->fmin;
        sum->fmax = sum->n == 0 || number > sum->fmax ? number : sum->fmax;
    }
    sum->n++;
    double delta = number - sum->mean;
    if (isfinite(delta)) {
        sum->mean += delta / (double)sum->n;
        sum->square += delta * (number - sum->mean);
    } else { /* the difference of two finite numbers need not be one: by halves */
        delta = number / 2 - sum->mean / 2;
        sum->mean += 2 * (delta / (double)sum->n);
        sum->square = HUGE_VAL;
    }
    return 0;
}

void yd_sum_fini(struct yd_sum *sum, struct yd_alloc *alloc)
{
    yd_alloc_put(alloc, sum->points, sum->point_capacity * sizeof *sum->points);
    sum->points = NULL;
    sum->point_count = sum->point_capacity = 0;
}

/* ---- out ---- */

static double bounded(double value)
{
    if (isnan(value)) return 0; /* infinities cancelled out: nothing is known of it */
    return value > 1.7976931348623157e308    ? 1.7976931348623157e308
           : value < -1.7976931348623157e308 ? -1.7976931348623157e308
                                             : value;
}

static void put_float(double value, enum yd_type *ret_type, union yd_value *ret_value)
{
    *ret_type = YD_F64;
    ret_value->f64 = bounded(value);
}

static void put_whole(__int128 value, enum yd_type *ret_type, union yd_value *ret_value)
{
    if (value >= INT64_MIN && value <= INT64_MAX) {
        *ret_type = YD_I64;
        ret_value->i64 = (int64_t)value;
    } else if (value > 0 && value <= (__int128)UINT64_MAX) {
        *ret_type = YD_U64;
        ret_value->u64 = (uint64_t)value;
    } else {
        put_float((double)value, ret_type, ret_value);
    }
}

void yd_sum_stat(const struct yd_sum *sum, enum yd_summary stat, enum yd_type *ret_type, union yd_value *ret_value)
{
    double n = (double)sum->n, variance = sum->n ? bounded(sum->square) / n : 0;
    switch (stat) {
    case YD_STAT_N:
        put_whole((__int128)sum->n, ret_type, ret_value);
        return;
    case YD_STAT_MIN:
        sum->floats ? put_float(sum->fmin, ret_type, ret_value) : put_whole(sum->min, ret_type, ret_value);
        return;
    case YD_STAT_MAX:
        sum->floats ? put_float(sum->fmax, ret_type, ret_value) : put_whole(sum->max, ret_type, ret_value);
        return;
    case YD_STAT_SUM:
        sum->floats ? put_float(sum->fsum + sum->lost, ret_type, ret_value) : put_whole(sum->sum, ret_type, ret_value);
        return;
    case YD_STAT_MEAN:
        if (sum->floats)
            put_float(isfinite(sum->fsum + sum->lost) ? (sum->fsum + sum->lost) / n : sum->mean, ret_type, ret_value);
        else
            put_float((double)((long double)sum->sum / (long double)sum->n), ret_type, ret_value);
        return;
    case YD_STAT_MEDIAN:
        yd_sum_median(sum, ret_type, ret_value);
        return;
    case YD_STAT_VARIANCE:
        put_float(variance < 0 ? 0 : variance, ret_type, ret_value);
        return;
    default:
        put_float(variance < 0 ? 0 : sqrt(variance), ret_type, ret_value);
        return;
    }
}

static int by_whole(const void *a, const void *b)
{
    const struct yd_point *x = a, *y = b;
    return (x->i64 > y->i64) - (x->i64 < y->i64);
}

static int by_float(const void *a, const void *b)
{
    const struct yd_point *x = a, *y = b;
    return (x->f64 > y->f64) - (x->f64 < y->f64);
}

void yd_sum_sort(struct yd_sum *sum)
{
    if (sum->point_count > 1)
        qsort(sum->points, sum->point_count, sizeof *sum->points, sum->float_points ? by_float : by_whole);
}

static void put_point(const struct yd_sum *sum, uint32_t at, enum yd_type *ret_type, union yd_value *ret_value)
{
    if (sum->float_points)
        put_float(sum->points[at].f64, ret_type, ret_value);
    else
        put_whole(sum->points[at].i64, ret_type, ret_value);
}

void yd_sum_percentile(const struct yd_sum *sum, double percent, enum yd_type *ret_type, union yd_value *ret_value)
{
    double rank = ceil(percent / 100 * sum->point_count - 1e-9);
    uint32_t at = rank < 1 ? 0 : rank > sum->point_count ? sum->point_count - 1 : (uint32_t)rank - 1;
    put_point(sum, at, ret_type, ret_value);
}

void yd_sum_median(const struct yd_sum *sum, enum yd_type *ret_type, union yd_value *ret_value)
{
    uint32_t half = sum->point_count / 2;
    if (sum->point_count % 2) {
        put_point(sum, half, ret_type, ret_value);
        return;
    }
    const struct yd_point *low = &sum->points[half - 1], *high = &sum->points[half];
    if (sum->float_points) {
        put_float(low->f64 / 2 + high->f64 / 2, ret_type, ret_value);
        return;
    }
    __int128 both = (__int128)low->i64 + high->i64;
    if (both % 2 == 0)
        put_whole(both / 2, ret_type, ret_value);
    else
        put_float((double)((long double)both / 2), ret_type, ret_value);
}

/* ---- rates ---- */

static int by_time_whole(const void *a, const void *b)
{
    const struct yd_point *x = a, *y = b;
    if (x->time_ns != y->time_ns) return x->time_ns < y->time_ns ? -1 : 1;
    return (x->u64 > y->u64) - (x->u64 < y->u64);
}

static int by_time_float(const void *a, const void *b)
{
    const struct yd_point *x = a, *y = b;
    if (x->time_ns != y->time_ns) return x->time_ns < y->time_ns ? -1 : 1;
    return (x->f64 > y->f64) - (x->f64 < y->f64);
}

static void sort_by_time(struct yd_sum *sum)
{
    bool sorted = true;
    for (uint32_t i = 1; sorted && i < sum->point_count; i++)
        sorted = sum->points[i - 1].time_ns < sum->points[i].time_ns;
    if (!sorted)
        qsort(sum->points, sum->point_count, sizeof *sum->points, sum->float_points ? by_time_float : by_time_whole);
}

static double fell(double from, double to, enum yd_wrap wrap, uint16_t *flags)
{
    double bits32 = 4294967296.0;
    bool is_32 =
        wrap == YD_WRAP_32 || (wrap == YD_WRAP_AUTO && from < bits32 && from >= bits32 * 0.75 && to < bits32 / 4);
    if (is_32 && from < bits32 && to >= 0) {
        *flags |= YD_RECORD_ROLLOVER;
        return to + (bits32 - from);
    }
    *flags |= YD_RECORD_QUALITY;
    return to > 0 ? to : 0;
}

static double whole_fell(uint64_t from, uint64_t to, enum yd_wrap wrap, uint16_t *flags)
{
    bool is_64 = wrap == YD_WRAP_64 || (wrap == YD_WRAP_AUTO && from >= UINT64_C(3) << 62 && to < UINT64_C(1) << 62);
    if (!is_64) return fell((double)from, (double)to, wrap, flags);
    *flags |= YD_RECORD_ROLLOVER;
    return (double)(to - from); /* modulo 2^64 */
}

static double increase(const struct yd_point *from, bool from_float, const struct yd_point *to, bool to_float,
                       enum yd_wrap wrap, uint16_t *flags)
{
    if (!from_float && !to_float)
        return to->u64 >= from->u64 ? (double)(to->u64 - from->u64) : whole_fell(from->u64, to->u64, wrap, flags);
    double a = from_float ? from->f64 : (double)from->u64, b = to_float ? to->f64 : (double)to->u64;
    return b >= a ? bounded(b - a) : fell(a, b, wrap, flags);
}

bool yd_sum_rate(struct yd_sum *sum, struct yd_counter *counter, enum yd_wrap wrap, double *ret_per_ns,
                 uint16_t *ret_flags)
{
    double total = 0;
    int64_t first = 0;
    struct yd_counter last = *counter;
    *ret_flags = 0;
    if (sum->point_count == 0) return false;
    sort_by_time(sum);
    if (last.known) first = last.point.time_ns;
    for (uint32_t i = 0; i < sum->point_count; i++) {
        const struct yd_point *point = &sum->points[i];
        if (i + 1 < sum->point_count && point[1].time_ns == point->time_ns) continue; /* superseded */
        if (last.known && point->time_ns <= last.point.time_ns) continue;
        if (last.known)
            total += increase(&last.point, last.is_float, point, sum->float_points, wrap, ret_flags);
        else
            first = point->time_ns;
        last = (struct yd_counter){*point, true, sum->float_points};
    }
    *counter = last;
    double elapsed = (double)last.point.time_ns - (double)first;
    *ret_per_ns = elapsed > 0 ? bounded(bounded(total) / elapsed) : 0;
    return elapsed > 0;
}

/* ---- saved ---- */

struct saved_sum {
    uint64_t n;
    __int128 sum, min, max;
    double fsum, lost, fmin, fmax, mean, square;
    uint32_t points, flags;
};

void yd_sum_save(const struct yd_sum *sum, struct yd_saver *saver)
{
    struct saved_sum saved;
    memset(&saved, 0, sizeof saved);
    saved.n = sum->n;
    saved.sum = sum->sum, saved.min = sum->min, saved.max = sum->max;
    saved.fsum = sum->fsum, saved.lost = sum->lost, saved.fmin = sum->fmin, saved.fmax = sum->fmax;
    saved.mean = sum->mean, saved.square = sum->square;
    saved.points = sum->point_count;
    saved.flags = (sum->floats ? 1u : 0u) | (sum->float_points ? 2u : 0u);
    yd_save_bytes(saver, &saved, sizeof saved);
    if (sum->point_count) yd_save_bytes(saver, sum->points, sum->point_count * sizeof *sum->points);
}

bool yd_sum_load(struct yd_sum *sum, struct yd_str *from, struct yd_alloc *alloc, int *ret_error)
{
    struct saved_sum saved;
    *ret_error = YD_EFORMAT;
    if (!yd_saved_bytes(from, &saved, sizeof saved) || saved.flags > 3) return false;
    size_t size = (size_t)saved.points * sizeof *sum->points;
    if (from->size < size || !isfinite(saved.fmin) || !isfinite(saved.fmax) || saved.n == 0) return false;
    *sum = (struct yd_sum){.n = saved.n,
                           .floats = saved.flags & 1,
                           .sum = saved.sum,
                           .min = saved.min,
                           .max = saved.max,
                           .fsum = saved.fsum,
                           .lost = saved.lost,
                           .fmin = saved.fmin,
                           .fmax = saved.fmax,
                           .mean = saved.mean,
                           .square = saved.square,
                           .float_points = (saved.flags & 2) != 0};
    if (size) {
        sum->points = yd_alloc_get(alloc, size);
        *ret_error = YD_ENOMEM;
        if (!sum->points) return false;
        sum->point_count = sum->point_capacity = saved.points;
        (void)yd_saved_bytes(from, sum->points, size);
    }
    return true;
}
