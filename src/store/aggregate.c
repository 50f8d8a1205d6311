/* The table of aggregators, and their results. */
#include <math.h>
#include <stdlib.h>

#include "store/aggregate.h"
#include "store/history.h"

#define LIST(X)                                                                                                        \
    X("avg", AVG, LINE, 0, 0)                                                                                          \
    X("count", COUNT, ZERO, 0, 0)                                                                                      \
    X("dev", DEV, LINE, 0, 0)                                                                                          \
    X("diff", DIFF, LINE, 0, 0)                                                                                        \
    X("ep50r3", PERCENTILE, LINE, 3, 50)                                                                               \
    X("ep50r7", PERCENTILE, LINE, 7, 50)                                                                               \
    X("ep75r3", PERCENTILE, LINE, 3, 75)                                                                               \
    X("ep75r7", PERCENTILE, LINE, 7, 75)                                                                               \
    X("ep90r3", PERCENTILE, LINE, 3, 90)                                                                               \
    X("ep90r7", PERCENTILE, LINE, 7, 90)                                                                               \
    X("ep95r3", PERCENTILE, LINE, 3, 95)                                                                               \
    X("ep95r7", PERCENTILE, LINE, 7, 95)                                                                               \
    X("ep999r3", PERCENTILE, LINE, 3, 99.9)                                                                            \
    X("ep999r7", PERCENTILE, LINE, 7, 99.9)                                                                            \
    X("ep99r3", PERCENTILE, LINE, 3, 99)                                                                               \
    X("ep99r7", PERCENTILE, LINE, 7, 99)                                                                               \
    X("first", FIRST, ZERO, 0, 0)                                                                                      \
    X("last", LAST, ZERO, 0, 0)                                                                                        \
    X("max", MAX, LINE, 0, 0)                                                                                          \
    X("median", MEDIAN, LINE, 0, 0)                                                                                    \
    X("mimmax", MAX, NOTHING, 0, 0)                                                                                    \
    X("mimmin", MIN, NOTHING, 0, 0)                                                                                    \
    X("min", MIN, LINE, 0, 0)                                                                                          \
    X("mult", MULT, LINE, 0, 0)                                                                                        \
    X("none", NONE, NOTHING, 0, 0)                                                                                     \
    X("p50", PERCENTILE, LINE, 0, 50)                                                                                  \
    X("p75", PERCENTILE, LINE, 0, 75)                                                                                  \
    X("p90", PERCENTILE, LINE, 0, 90)                                                                                  \
    X("p95", PERCENTILE, LINE, 0, 95)                                                                                  \
    X("p99", PERCENTILE, LINE, 0, 99)                                                                                  \
    X("p999", PERCENTILE, LINE, 0, 99.9)                                                                               \
    X("pfsum", SUM, PREVIOUS, 0, 0)                                                                                    \
    X("squareSum", SQUARES, ZERO, 0, 0)                                                                                \
    X("sum", SUM, LINE, 0, 0)                                                                                          \
    X("zimsum", SUM, ZERO, 0, 0)

#define NAME(name, op, between, estimate, percent) name,
#define ROW(name, op, between, estimate, percent)  {YD__OP_##op, YD__BETWEEN_##between, estimate, percent},

const char *const yd_aggregators[] = {LIST(NAME) NULL};
static const struct yd__aggregator aggregators[] = {LIST(ROW)};

int yd_aggregator_find(struct yd_str name, uint32_t *ret_index)
{
    for (uint32_t i = 0; i < YD_COUNT(aggregators); i++)
        if (yd_str_eq(name, yd_str_of(yd_aggregators[i]))) {
            *ret_index = i;
            return YD_OK;
        }
    return YD_ENOENT;
}

const struct yd__aggregator *yd__aggregator(uint32_t index)
{
    return index < YD_COUNT(aggregators) ? &aggregators[index] : NULL;
}

/* Four at once, as the processor can. A NaN among them makes the sum one, and is found by that. */
#define LANES 4
#define MANY  16 /* fewer are not worth it */

static double sum_of(const double *values, uint32_t count)
{
    double lanes[LANES] = {0};
    uint32_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (uint32_t k = 0; k < LANES; k++) lanes[k] += values[i + k];
    for (; i < count; i++) lanes[0] += values[i];
    return lanes[0] + lanes[1] + (lanes[2] + lanes[3]);
}

/* The greatest of values * sign; false: one is no number. */
static bool greatest(const double *values, uint32_t count, double sign, double *ret)
{
    double lanes[LANES] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY}, zero[LANES] = {0};
    uint32_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (uint32_t k = 0; k < LANES; k++) {
            double value = values[i + k] * sign;
            lanes[k] = value > lanes[k] ? value : lanes[k];
            zero[k] += value * 0; /* of NaN (and of infinities: they go the other way, too) NaN */
        }
    for (; i < count; i++) {
        lanes[0] = values[i] * sign > lanes[0] ? values[i] * sign : lanes[0];
        zero[0] += values[i] * 0;
    }
    for (uint32_t k = 1; k < LANES; k++) lanes[0] = lanes[k] > lanes[0] ? lanes[k] : lanes[0];
    *ret = lanes[0] * sign;
    return zero[0] + zero[1] + zero[2] + zero[3] == 0;
}

static bool add_many(struct yd__cell *cell, uint8_t op, const double *values, uint32_t count)
{
    double found;
    switch (op) {
    case YD__OP_SUM:
    case YD__OP_AVG:
        found = sum_of(values, count);
        if (found != found) return false;
        cell->a += found;
        break;
    case YD__OP_MIN:
        if (!greatest(values, count, -1, &found)) return false;
        if (!cell->count || found < cell->a) cell->a = found;
        break;
    case YD__OP_MAX:
        if (!greatest(values, count, 1, &found)) return false;
        if (!cell->count || found > cell->a) cell->a = found;
        break;
    default:
        return false;
    }
    cell->count += count;
    return true;
}

void yd__cell_add_all(struct yd__cell *cell, uint8_t op, const double *values, uint32_t count)
{
    if (count >= MANY && add_many(cell, op, values, count)) return;
    struct yd__cell work = *cell; /* in registers: the loops below are the downsampler's speed */
    switch (op) {
    case YD__OP_SUM:
    case YD__OP_AVG:
        for (uint32_t i = 0; i < count; i++) {
            bool number = values[i] == values[i];
            work.a += number ? values[i] : 0;
            work.count += number;
        }
        break;
    case YD__OP_COUNT:
        for (uint32_t i = 0; i < count; i++) work.count += values[i] == values[i];
        break;
    case YD__OP_LAST:
    case YD__OP_NONE:
        if (count) work.a = values[count - 1];
        work.count += count;
        break;
    case YD__OP_MIN:
        for (uint32_t i = 0; i < count; i++) yd__cell_add(&work, YD__OP_MIN, values[i]);
        break;
    case YD__OP_MAX:
        for (uint32_t i = 0; i < count; i++) yd__cell_add(&work, YD__OP_MAX, values[i]);
        break;
    default:
        for (uint32_t i = 0; i < count; i++) yd__cell_add(&work, op, values[i]);
        break;
    }
    *cell = work;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Where the percentile stands among `count` sorted values, counted from 1. */
static double place(const struct yd__aggregator *aggregator, double count)
{
    double p = aggregator->percent / 100;
    switch (aggregator->estimate) {
    case 3:
        return p <= 0.5 / count ? 0 : rint(count * p);
    case 7:
        return p <= 0 ? 0 : p >= 1 ? count : 1 + (count - 1) * p;
    default:
        return p * (count + 1);
    }
}

double yd__cell_value(const struct yd__cell *cell, const struct yd__aggregator *aggregator, double *values)
{
    uint32_t count = cell->count;
    if (aggregator->op == YD__OP_COUNT) return count;
    if (!count) return NAN;
    switch (aggregator->op) {
    case YD__OP_AVG:
        return cell->a / count;
    case YD__OP_DEV:
        return count < 2 ? 0 : sqrt(cell->b / count);
    case YD__OP_DIFF:
        return cell->a - cell->b;
    case YD__OP_MEDIAN:
        qsort(values, count, sizeof *values, compare);
        return values[count / 2]; /* of two in the middle the upper, as there */
    case YD__OP_PERCENTILE: {
        qsort(values, count, sizeof *values, compare);
        double at = place(aggregator, count), below = floor(at);
        if (at < 1) return values[0];
        if (at >= count) return values[count - 1];
        double low = values[(uint32_t)below - 1], high = values[(uint32_t)below];
        return low + (at - below) * (high - low);
    }
    default:
        return cell->a;
    }
}
