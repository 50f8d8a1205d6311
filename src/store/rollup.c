/* Rows of minutes and hours: made, stored, read instead of points; see rollup.h. */
#include "store/rollup.h"
#include "store/read.h"

static int64_t floor_to(int64_t time, int64_t unit)
{
    int64_t rest = time % unit;
    if (rest < 0) rest += unit;
    return time < INT64_MIN + rest ? INT64_MIN : time - rest;
}

/* ---- made ---- */

int yd__rows_add(struct yd__rows *rows, unsigned kind, const struct yd__points *points,
                 int (*full)(void *arg, struct yd__rows *rows), void *arg)
{
    int64_t unit = yd__rollup_unit(kind);
    for (uint32_t i = 0; i < points->count; i++) {
        int64_t time = floor_to(points->times[i], unit);
        if (!rows->count || rows->times[rows->count - 1] != time) {
            if (rows->count == YD__ROWS_MAX) {
                int error = full(arg, rows);
                if (error < 0) return error;
                rows->count = 0;
            }
            uint32_t at = rows->count++;
            rows->times[at] = time;
            rows->counts[at] = 0;
            rows->least[at] = rows->greatest[at] = rows->sums[at] = 0;
        }
        uint32_t at = rows->count - 1;
        double value = yd__number(points->types[i], points->bits[i]);
        if (value != value) continue;
        if (!rows->counts[at] || value < rows->least[at]) rows->least[at] = value;
        if (!rows->counts[at] || value > rows->greatest[at]) rows->greatest[at] = value;
        rows->sums[at] += value;
        rows->counts[at]++;
    }
    return YD_OK;
}

int yd__rows_put(const struct yd__rows *rows, uint32_t id, struct yd__block_writer *writer)
{
    uint8_t data[5 * (64 + YD__ROWS_MAX * 9)], *at = data;
    int64_t integers[YD__ROWS_MAX];
    uint32_t count = rows->count;
    if (!count) return YD_OK;
    struct yd__chunk head = {.first = rows->times[0], .last = rows->times[count - 1], .count = (uint16_t)count};
    for (uint32_t i = 0; i < count; i++) integers[i] = (rows->times[i] - rows->times[0]) / YD__MINUTE;
    size_t size = yd__column_put(at, integers, count);
    at += yd__tight_put(at, size, integers, count, false);
    size = yd__column_put(at, rows->counts, count);
    at += yd__tight_put(at, size, rows->counts, count, false);
    at += yd__doubles_put(at, rows->least, count);
    at += yd__doubles_put(at, rows->greatest, count);
    at += yd__doubles_put(at, rows->sums, count);
    head.size = (uint16_t)(at - data);
    return yd__block_add(writer, id, &head, data);
}

bool yd__rows_get(struct yd__block *block, const struct yd__entry *entry, struct yd__rows *rows)
{
    const uint8_t *at = entry->chunk.count <= YD__ROWS_MAX ? yd__block_data(block, entry) : NULL;
    if (!at) return false;
    uint32_t count = rows->count = entry->chunk.count;
    at = yd__column_get(at, count, rows->times);
    for (uint32_t i = 0; i < count; i++) rows->times[i] = entry->chunk.first + rows->times[i] * YD__MINUTE;
    at = yd__column_get(at, count, rows->counts);
    at = yd__doubles_get(at, count, rows->least);
    at = yd__doubles_get(at, count, rows->greatest);
    (void)yd__doubles_get(at, count, rows->sums);
    return true;
}

/* ---- read ---- */

/* Has the series points in the block's part of time that are younger than it? */
static bool outdated(const struct yd_history *history, const struct yd__series *series, const struct yd__block *rollup)
{
    int64_t from = rollup->head.part_from, end = rollup->head.part_end;
    const struct yd__past *past = series->past;
    const struct yd__entry *entries;
    if (series->stream.count && series->first <= end && series->stream.time >= from) return true;
    uint32_t at = yd__chunk_find(past, from);
    if (past && at < past->count && past->chunks[at]->first <= end) return true;
    at = yd__side_find(past, from);
    if (past && at < past->side_count && past->side[at].time <= end) return true;
    for (uint32_t i = history->block_count; i-- > 0 && history->blocks[i]->head.hi > rollup->head.hi;) {
        struct yd__block *block = history->blocks[i];
        if (block->head.kind != YD__BLOCK_RAW || block->head.time_max < from || block->head.time_min > end) continue;
        uint32_t count = yd__block_series(block, series->label->id, &entries);
        uint32_t first = count ? yd__entry_find(entries, count, from) : 0;
        if (first < count && entries[first].chunk.first <= end) return true;
    }
    return false;
}

/* The rollup of the first part at `from` or later that counts for this series. */
static struct yd__block *rollup_at(const struct yd_history *history, const struct yd__series *series, unsigned kind,
                                   int64_t from, int64_t to, const struct yd__entry **ret_entries, uint32_t *ret_count)
{
    struct yd__block *found = NULL;
    for (uint32_t i = 0; i < history->block_count; i++) {
        struct yd__block *block = history->blocks[i];
        if (block->head.kind != kind || block->head.part_end < from || block->head.part_from > to) continue;
        if (found && block->head.part_from >= found->head.part_from) continue;
        const struct yd__entry *entries;
        uint32_t count = yd__block_series(block, series->label->id, &entries);
        if (!count || outdated(history, series, block)) continue;
        /* A row knows nothing of the points in it: up to the end of the part that is cut they are read themselves. */
        if (block->head.part_from < yd__cuts_from(&history->cuts, series->label->id, block->head.hi)) continue;
        found = block;
        *ret_entries = entries;
        *ret_count = count;
    }
    return found;
}

static void advance(struct yd__cursor *cursor, int64_t until)
{
    cursor->done = until >= cursor->to;
    if (!cursor->done) cursor->from = until + 1;
}

/* The rows of one chunk from the cursor on; false: the part is through. */
static bool take_rows(struct yd__block *block, const struct yd__entry *entries, uint32_t count, unsigned kind,
                      struct yd__cursor *cursor, struct yd__rows *rows)
{
    for (uint32_t at = yd__entry_find(entries, count, cursor->from); at < count; at++) {
        if (entries[at].chunk.first > cursor->to) break;
        if (!yd__rows_get(block, &entries[at], rows)) continue;
        uint32_t first = 0, end = rows->count;
        while (first < end && rows->times[first] < cursor->from) first++;
        while (end > first && rows->times[end - 1] > cursor->to) end--;
        if (first == end) continue;
        rows->count = end - first;
        memmove(rows->times, rows->times + first, rows->count * sizeof *rows->times);
        memmove(rows->counts, rows->counts + first, rows->count * sizeof *rows->counts);
        memmove(rows->least, rows->least + first, rows->count * sizeof *rows->least);
        memmove(rows->greatest, rows->greatest + first, rows->count * sizeof *rows->greatest);
        memmove(rows->sums, rows->sums + first, rows->count * sizeof *rows->sums);
        advance(cursor, rows->times[rows->count - 1] + yd__rollup_unit(kind) - 1);
        return true;
    }
    advance(cursor, block->head.part_end);
    return false;
}

int yd__series_reduced(struct yd_history *history, const struct yd__series *series, struct yd__cursor *cursor,
                       unsigned kind, struct yd__numbers *numbers, struct yd__rows *rows)
{
    int64_t unit = yd__rollup_unit(kind);
    while (!cursor->done && cursor->from <= cursor->to) {
        const struct yd__entry *entries;
        uint32_t count;
        struct yd__block *block = rollup_at(history, series, kind, cursor->from, cursor->to, &entries, &count);
        int64_t limit = cursor->to, aligned = floor_to(cursor->from, unit);
        if (block && block->head.part_from <= cursor->from && aligned == cursor->from) {
            if (take_rows(block, entries, count, kind, cursor, rows)) return 2;
            continue;
        }
        /* Points, up to where rows can begin. */
        if (block)
            limit =
                YD_MIN(limit, block->head.part_from > cursor->from ? block->head.part_from - 1 : aligned + unit - 1);
        struct yd__cursor part = {cursor->from, limit, false};
        bool any = yd__series_numbers(history, series, &part, numbers);
        if (!any || part.done)
            advance(cursor, limit);
        else
            cursor->from = part.from;
        if (any) return 1;
    }
    cursor->done = true;
    return 0;
}
