/* Series of /render: see graphite_series.h. */
#include "elements/graphite_series.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- folding several values into one ---- */

static const struct {
    const char *name;
    enum yd_gfold fold;
} fold_names[] = {{"average", YD_GFOLD_AVG},  {"avg", YD_GFOLD_AVG},       {"sum", YD_GFOLD_SUM},
                  {"total", YD_GFOLD_SUM},    {"min", YD_GFOLD_MIN},       {"max", YD_GFOLD_MAX},
                  {"first", YD_GFOLD_FIRST},  {"last", YD_GFOLD_LAST},     {"current", YD_GFOLD_LAST},
                  {"count", YD_GFOLD_COUNT},  {"diff", YD_GFOLD_DIFF},     {"multiply", YD_GFOLD_MULTIPLY},
                  {"range", YD_GFOLD_RANGE},  {"rangeOf", YD_GFOLD_RANGE}, {"stddev", YD_GFOLD_STDDEV},
                  {"median", YD_GFOLD_MEDIAN}};

int yd_gfold_find(struct yd_str name, enum yd_gfold *ret)
{
    if (name.size > 6 && memcmp(name.data + name.size - 6, "Series", 6) == 0) name.size -= 6;
    for (size_t i = 0; i < YD_COUNT(fold_names); i++) {
        if (!yd_str_eq(name, yd_str_of(fold_names[i].name))) continue;
        *ret = fold_names[i].fold;
        return 0;
    }
    return YD_ENOENT;
}

const char *yd_gfold_name(enum yd_gfold fold)
{
    for (size_t i = 0; i < YD_COUNT(fold_names); i++)
        if (fold_names[i].fold == fold) return fold_names[i].name;
    return "";
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double deviation(const double *values, size_t count, double mean)
{
    double squares = 0;
    for (size_t i = 0; i < count; i++) squares += (values[i] - mean) * (values[i] - mean);
    return sqrt(squares / (double)count);
}

double yd_gfold(enum yd_gfold fold, double *values, size_t count)
{
    size_t kept = 0;
    double sum = 0, product = 1, least = INFINITY, most = -INFINITY;
    for (size_t i = 0; i < count; i++) {
        if (isnan(values[i])) continue;
        double value = values[i];
        values[kept++] = value;
        sum += value;
        product *= value;
        least = value < least ? value : least;
        most = value > most ? value : most;
    }
    if (!kept) return NAN;
    switch (fold) {
    case YD_GFOLD_AVG:
        return sum / (double)kept;
    case YD_GFOLD_SUM:
        return sum;
    case YD_GFOLD_MIN:
        return least;
    case YD_GFOLD_MAX:
        return most;
    case YD_GFOLD_FIRST:
        return values[0];
    case YD_GFOLD_LAST:
        return values[kept - 1];
    case YD_GFOLD_COUNT:
        return (double)kept;
    case YD_GFOLD_DIFF:
        return values[0] - (sum - values[0]);
    case YD_GFOLD_MULTIPLY:
        return product;
    case YD_GFOLD_RANGE:
        return most - least;
    case YD_GFOLD_STDDEV:
        return deviation(values, kept, sum / (double)kept);
    case YD_GFOLD_MEDIAN:
        break;
    }
    qsort(values, kept, sizeof *values, by_value);
    return kept % 2 ? values[kept / 2] : (values[kept / 2 - 1] + values[kept / 2]) / 2;
}

/* ---- memory ---- */

void yd_gpool_init(struct yd_gpool *pool, struct yd_arena *arena, uint64_t *all)
{
    *pool = (struct yd_gpool){.arena = arena, .all = all};
    yd_arena_init(&pool->values, NULL);
}

void yd_gpool_fini(struct yd_gpool *pool)
{
    if (!pool->arena) return;
    if (pool->all) *pool->all -= pool->used;
    yd_arena_fini(&pool->values);
    *pool = (struct yd_gpool){0};
}

int yd_gpool_take(struct yd_gpool *pool, uint64_t values)
{
    if (values > YD_GVALUES_MAX - YD_MIN(pool->used, YD_GVALUES_MAX))
        return yd_trail_add(pool->trail, YD_ETOOBIG,
                            "the request needs more than %llu values: shorten the time range, choose fewer series, or "
                            "ask for fewer points",
                            (unsigned long long)YD_GVALUES_MAX);
    if (pool->all && values > YD_GVALUES_ALL_MAX - YD_MIN(*pool->all, YD_GVALUES_ALL_MAX))
        return yd_trail_add(pool->trail, YD_EBUSY, "other requests hold too many values: try again");
    pool->used += values;
    if (pool->all) *pool->all += values;
    return 0;
}

void yd_gpool_give(struct yd_gpool *pool, uint64_t values)
{
    pool->used -= values;
    if (pool->all) *pool->all -= values;
}

int yd_glist_add(struct yd_gpool *pool, struct yd_glist *list, struct yd_gseries *series)
{
    if (list->count == list->room) {
        size_t room = YD_MAX(list->room * 2, (size_t)16);
        struct yd_gseries **items = yd_arena_get(pool->arena, room * sizeof *items);
        if (!items) return YD_ENOMEM;
        if (list->count) memcpy(items, list->items, list->count * sizeof *items);
        list->items = items;
        list->room = room;
    }
    list->items[list->count++] = series;
    return 0;
}

int yd_gseries_make(struct yd_gpool *pool, int64_t start, int64_t step, size_t count, struct yd_gseries **ret)
{
    int r = yd_gpool_take(pool, count);
    if (r < 0) return r;
    struct yd_gseries *series = yd_arena_zero(pool->arena, sizeof *series);
    double *values = yd_arena_get(&pool->values, (count + 1) * sizeof *values);
    if (!series || !values) return YD_ENOMEM;
    for (size_t i = 0; i < count; i++) values[i] = NAN;
    series->start = start;
    series->step = step;
    series->count = count;
    series->values = values;
    *ret = series;
    return 0;
}

int yd_gpool_name(struct yd_gpool *pool, size_t size)
{
    if (size > YD_GNAME_MAX)
        return yd_trail_add(pool->trail, YD_ETOOBIG, "a series' name of more than %d bytes: give it an alias",
                            YD_GNAME_MAX);
    return yd_gpool_take(pool, size / sizeof(double) + 1);
}

int yd_gseries_name(struct yd_gpool *pool, struct yd_gseries *series, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    int r = size < 0 ? YD_ENOMEM : yd_gpool_name(pool, (size_t)size);
    if (r < 0) return r;
    char *to = yd_arena_get(pool->arena, (size_t)size + 1);
    if (!to) return YD_ENOMEM;
    va_start(args, format);
    (void)vsnprintf(to, (size_t)size + 1, format, args);
    va_end(args);
    series->name = series->path = (struct yd_str){to, (size_t)size};
    return 0;
}

/* ---- steps ---- */

static const int64_t steps[] = {1,   2,   5,    10,   15,   30,    60,    120,   300,
                                600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400};

int64_t yd_gstep_above(int64_t seconds)
{
    for (size_t i = 0; i < YD_COUNT(steps); i++)
        if (steps[i] >= seconds) return steps[i];
    return (seconds + 86399) / 86400 * 86400;
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

int64_t yd_gstep_of(const uint32_t *places, size_t count, int64_t unit)
{
    enum { LOOKED_AT = 256 };
    uint32_t distances[LOOKED_AT];
    size_t n = 0;
    if (count < 2) return 0;
    for (size_t i = count > LOOKED_AT ? count - LOOKED_AT : 1; i < count; i++)
        distances[n++] = places[i] - places[i - 1];
    qsort(distances, n, sizeof *distances, by_size);
    int64_t usual = (int64_t)distances[n / 2] * unit, above = yd_gstep_above(usual);
    return (above - usual) * 8 <= above ? above : usual;
}

int yd_gseries_coarsen(struct yd_gseries *series, int64_t step)
{
    if (step < series->step) return YD_EINVAL; /* it would need more room than there is */
    int64_t start = yd_gfloor(series->start, step), last = series->start + ((int64_t)series->count - 1) * series->step;
    if (!series->count) {
        series->start = start;
        series->step = step;
        return 0;
    }
    size_t count = (size_t)((last - start) / step + 1), most = (size_t)(step / series->step) + 2;
    double *scratch = yd_alloc_get(NULL, most * sizeof *scratch);
    if (!scratch) return YD_ENOMEM;
    size_t from = 0, kept = 0;
    for (size_t i = 0; i < count; i++) {
        size_t n = 0;
        int64_t until = start + (int64_t)(i + 1) * step;
        for (; from < series->count && series->start + (int64_t)from * series->step < until && n < most; from++)
            scratch[n++] = series->values[from];
        if (i == 0 && count > 1 && start != series->start) continue; /* a part of it is not here */
        series->values[kept++] = yd_gfold(series->fold, scratch, n); /* kept <= from: it has been read */
    }
    yd_alloc_put(NULL, scratch, most * sizeof *scratch);
    if (kept < count) start += step;
    series->start = start;
    series->step = step;
    series->count = kept;
    return 0;
}

static int64_t common(int64_t a, int64_t b)
{
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

int yd_glist_align(struct yd_gpool *pool, struct yd_glist *list)
{
    int64_t step = 1, start = INT64_MAX, end = INT64_MIN, longest = 1;
    bool alike = true;
    for (size_t i = 0; i < list->count; i++) {
        const struct yd_gseries *series = list->items[i], *first = list->items[0];
        longest = YD_MAX(longest, series->step);
        /* Steps that do not go together, or wrap around: the longest will do. */
        bool wraps = __builtin_mul_overflow(step / common(step, series->step), series->step, &step);
        if (wraps || step > 366 * 86400) step = longest;
        alike &= series->start == first->start && series->step == first->step && series->count == first->count;
    }
    if (alike) return 0;
    for (size_t i = 0; i < list->count; i++) {
        struct yd_gseries *series = list->items[i];
        int r = series->step == step ? 0 : yd_gseries_coarsen(series, step);
        if (r < 0) return r;
        start = YD_MIN(start, series->start);
        end = YD_MAX(end, series->start + (int64_t)series->count * step);
    }
    for (size_t i = 0; i < list->count; i++) {
        struct yd_gseries *series = list->items[i];
        size_t count = (size_t)((end - start) / step), at = (size_t)((series->start - start) / step);
        struct yd_gseries *moved;
        if (series->start == start && series->count == count) continue;
        int r = yd_gseries_make(pool, start, step, count, &moved);
        if (r < 0) return r;
        if (series->count)
            memcpy(moved->values + at, series->values, YD_MIN(series->count, count - at) * sizeof(double));
        series->values = moved->values;
        series->start = start;
        series->count = count;
    }
    return 0;
}
