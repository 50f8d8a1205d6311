/* store/rollup.h: what the points of a minute or an hour come to. Of this floor only.
 *
 *   row: the time at which it begins; how many points; their least, greatest and sum (NaN is no point)
 *
 * Rows are kept as chunks of blocks of their own kind (block.h), five columns each. They are made when a part of time
 * lies behind and is merged, out of all of its points; they count as long as nothing younger came for a series in that
 * part, and are kept on when the points themselves go. */
#ifndef STORE_ROLLUP_H
#define STORE_ROLLUP_H

#include "store/block.h"
#include "store/internal.h"

#define YD__ROWS_MAX 512
#define YD__MINUTE   (60 * YD_NS_PER_S)
#define YD__HOUR     (3600 * YD_NS_PER_S)

struct yd__rows {
    uint32_t count;
    int64_t times[YD__ROWS_MAX + 32];
    int64_t counts[YD__ROWS_MAX + 32];
    double least[YD__ROWS_MAX + 32], greatest[YD__ROWS_MAX + 32], sums[YD__ROWS_MAX + 32];
};

static inline int64_t yd__rollup_unit(unsigned kind)
{
    return kind == YD__BLOCK_HOURS ? YD__HOUR : YD__MINUTE;
}
/* The points of a series, times rising, go into rows; full rows are put into the writer. */
int yd__rows_add(struct yd__rows *rows, unsigned kind, const struct yd__points *points,
                 int (*full)(void *arg, struct yd__rows *rows), void *arg);
int yd__rows_put(const struct yd__rows *rows, uint32_t id, struct yd__block_writer *writer);
bool yd__rows_get(struct yd__block *block, const struct yd__entry *entry, struct yd__rows *rows);

/* What comes next of a series for buckets that are multiples of the kind's unit: 1: numbers, 2: rows, 0: no more. */
int yd__series_reduced(struct yd_history *history, const struct yd__series *series, struct yd__cursor *cursor,
                       unsigned kind, struct yd__numbers *numbers, struct yd__rows *rows);

#endif
