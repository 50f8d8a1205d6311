/* store/aggregate.h: OpenTSDB's aggregators, as functions of values that come one after the other. Of this floor only.
 */
#ifndef STORE_AGGREGATE_H
#define STORE_AGGREGATE_H

#include "base/alloc.h"

enum yd__op {
    YD__OP_SUM,
    YD__OP_MIN,
    YD__OP_MAX,
    YD__OP_AVG,
    YD__OP_COUNT,
    YD__OP_DEV,
    YD__OP_MULT,
    YD__OP_FIRST,
    YD__OP_LAST,
    YD__OP_SQUARES,
    YD__OP_DIFF,
    YD__OP_NONE,
    YD__OP_MEDIAN,
    YD__OP_PERCENTILE, /* these need all the values */
};
/* What a series without a point at some time contributes there, between its first and last. */
enum yd__between { YD__BETWEEN_LINE, YD__BETWEEN_ZERO, YD__BETWEEN_NOTHING, YD__BETWEEN_PREVIOUS };

struct yd__aggregator {
    uint8_t op, between;
    uint8_t estimate; /* of a percentile: 0 the classic (n + 1) p, 3 and 7 as R numbers them */
    double percent;
};
const struct yd__aggregator *yd__aggregator(uint32_t index); /* NULL: no such */

static inline bool yd__op_collects(uint8_t op)
{
    return op >= YD__OP_MEDIAN;
}
/* The value of a single value is that value. */
static inline bool yd__op_passes(uint8_t op)
{
    return op != YD__OP_COUNT && op != YD__OP_DEV && op != YD__OP_SQUARES && op != YD__OP_DIFF;
}

/* The state of an aggregation, all zero at the start. For those that collect, `count` alone is kept here. */
struct yd__cell {
    double a, b;
    uint32_t count;
    bool touched; /* by a point, not only by what is between points */
};

/* NaN is no value, but for first, last and mult, as there. */
static inline void yd__cell_add(struct yd__cell *cell, uint8_t op, double value)
{
    switch (op) {
    case YD__OP_FIRST:
        if (!cell->count++) cell->a = value;
        return;
    case YD__OP_LAST:
    case YD__OP_NONE:
        cell->a = value;
        cell->count++;
        return;
    case YD__OP_MULT:
        cell->a = cell->count++ ? cell->a * value : value;
        return;
    default:
        break;
    }
    if (value != value) return;
    uint32_t before = cell->count++;
    switch (op) {
    case YD__OP_SUM:
    case YD__OP_AVG:
        cell->a += value;
        break;
    case YD__OP_MIN:
        if (!before || value < cell->a) cell->a = value;
        break;
    case YD__OP_MAX:
        if (!before || value > cell->a) cell->a = value;
        break;
    case YD__OP_DEV: { /* Welford: mean in a, sum of squares in b */
        double mean = cell->a + (value - cell->a) / (before + 1.0);
        cell->b += (value - cell->a) * (value - mean);
        cell->a = mean;
        break;
    }
    case YD__OP_SQUARES:
        cell->a += value * value;
        break;
    case YD__OP_DIFF:
        if (!before) cell->b = value;
        cell->a = value;
        break;
    default:
        break; /* counted */
    }
}

/* Many at once: the downsampler's inner loop. */
void yd__cell_add_all(struct yd__cell *cell, uint8_t op, const double *values, uint32_t count);
/* The result; `values` are those collected (sorted in place), if the operation collects. */
double yd__cell_value(const struct yd__cell *cell, const struct yd__aggregator *aggregator, double *values);

#endif
