/* Forgetting names, and forgetting a part of their past; see cuts.h.
 *
 *   yd_history_forget: each series that matches ─▶ nothing at `until` or later? ─▶ removed, with its id, for good
 *                                              └▶ else points in memory go, and a cut says so of the blocks
 *
 * What can fail: memory. Then some series are done, and doing it again does the others. */
#include <stdlib.h>

#include <yarder/name.h>

#include "store/internal.h"

/* ---- the list ---- */

int yd__cuts_add(struct yd__cuts *cuts, struct yd_alloc *alloc, const struct yd__cut *cut)
{
    if (cuts->count == cuts->room) {
        uint32_t room = cuts->room ? cuts->room * 2 : 16;
        struct yd__cut *items = yd_alloc_resize(alloc, cuts->items, cuts->room * sizeof *items, room * sizeof *items);
        if (!items) return YD_ENOMEM;
        cuts->items = items;
        cuts->room = room;
    }
    cuts->items[cuts->count++] = *cut;
    return YD_OK;
}

static int by_id_and_flush(const void *a, const void *b)
{
    const struct yd__cut *x = a, *y = b;
    if (x->id != y->id) return x->id < y->id ? -1 : 1;
    return (x->flush > y->flush) - (x->flush < y->flush);
}

void yd__cuts_settle(struct yd__cuts *cuts)
{
    uint32_t kept = 0;
    if (!cuts->count) return;
    qsort(cuts->items, cuts->count, sizeof *cuts->items, by_id_and_flush);
    for (uint32_t i = 0; i < cuts->count; i++) {
        const struct yd__cut *cut = &cuts->items[i];
        while (kept && cuts->items[kept - 1].id == cut->id && cuts->items[kept - 1].before <= cut->before) kept--;
        cuts->items[kept++] = *cut;
    }
    cuts->count = kept;
}

void yd__cuts_fini(struct yd__cuts *cuts, struct yd_alloc *alloc)
{
    if (cuts->items) yd_alloc_put(alloc, cuts->items, cuts->room * sizeof *cuts->items);
    *cuts = (struct yd__cuts){0};
}

int64_t yd__cuts_from(const struct yd__cuts *cuts, uint32_t id, uint64_t hi)
{
    if (!cuts || !cuts->count) return INT64_MIN;
    uint32_t low = 0, high = cuts->count; /* the first of that id with this flush or a later one */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct yd__cut *at = &cuts->items[middle];
        if (at->id < id || (at->id == id && at->flush < hi))
            low = middle + 1;
        else
            high = middle;
    }
    /* Settled, `before` falls with the flush: the first one says the most. */
    return low < cuts->count && cuts->items[low].id == id ? cuts->items[low].before : INT64_MIN;
}

/* ---- of a series in memory ---- */

static bool memory_has(const struct yd__series *series, int64_t from, int64_t to)
{
    const struct yd__past *past = series->past;
    if (series->stream.count && series->first <= to && series->stream.time >= from) return true;
    uint32_t at = yd__chunk_find(past, from);
    if (past && at < past->count && past->chunks[at]->first <= to) return true;
    at = yd__side_find(past, from);
    return past && at < past->side_count && past->side[at].time <= to;
}

/* The chunk without what is before; NULL: out of memory. */
static struct yd__chunk *shorten(struct yd_history *history, const struct yd__chunk *chunk, int64_t before)
{
    struct yd__points *points = history->scratch[0];
    uint32_t first = 0;
    points->count = 0;
    yd__chunk_points(chunk, points);
    while (first < points->count && points->times[first] < before) first++;
    return yd__chunk_build(&history->column_meter.alloc, points, first, points->count - first);
}

static int cut_memory(struct yd_history *history, uint32_t id, int64_t before)
{
    struct yd__series *series = yd__series_at(history, id);
    int error = YD_OK;
    if (series->past && series->past->side_count) error = yd__series_merge(history, id);
    if (!error && series->stream.count && series->first < before && series->stream.time >= before)
        error = yd__series_seal(history, series);
    if (error) return error;
    if (series->stream.count && series->stream.time < before) {
        history->counts.evicted_samples += series->stream.count;
        yd__series_open_free(history, series);
    }
    struct yd__past *past = series->past;
    uint32_t kept = 0;
    for (uint32_t i = 0; past && i < past->count; i++) {
        struct yd__chunk *chunk = past->chunks[i];
        if (!error && chunk->last < before) {
            history->counts.evicted_samples += chunk->count;
            yd__series_chunk_free(history, chunk);
            continue;
        }
        if (!error && chunk->first < before) {
            struct yd__chunk *shorter = shorten(history, chunk, before);
            if (shorter) {
                history->counts.evicted_samples += (uint64_t)chunk->count - shorter->count;
                history->counts.chunks++;
                yd__series_chunk_free(history, chunk);
                chunk = shorter;
            } else {
                error = YD_ENOMEM;
            }
        }
        past->chunks[kept++] = chunk;
    }
    if (past) past->count = kept;
    if (past && !kept && !past->side_count) yd__series_past_free(history, series);
    return error;
}

/* ---- forgetting ---- */

/* Is there something of the series in blocks, at `until` or later, or before? Rows of a part that begins before cannot
 * be told apart: they count as before. */
static bool blocks_have(const struct yd_history *history, uint32_t id, int64_t until, bool before)
{
    for (uint32_t i = history->block_count; i-- > 0;) {
        struct yd__block *block = history->blocks[i];
        const struct yd__block_header *head = &block->head;
        const struct yd__entry *entries;
        if (before ? head->time_min >= until : head->time_max < until) continue;
        const uint32_t count = yd__block_series(block, id, &entries);
        if (!count) continue;
        const int64_t begin = yd__cuts_from(&history->cuts, id, head->hi);
        if (head->kind != YD__BLOCK_RAW) {
            if (head->part_from >= begin && before == (head->part_from < until)) return true;
            continue;
        }
        const uint32_t at = yd__entry_find(entries, count, YD_MAX(begin, before ? INT64_MIN : until));
        if (at < count && (!before || YD_MAX(entries[at].chunk.first, begin) < until)) return true;
    }
    return false;
}

static uint64_t last_flush(const struct yd_history *history)
{
    uint64_t last = 0;
    for (uint32_t i = 0; i < history->block_count; i++) last = YD_MAX(last, history->blocks[i]->head.hi);
    return last;
}

/* 1: something of it was forgotten. `fresh`: the cuts that come of it. */
static int forget_series(struct yd_history *history, struct yd__series *series, int64_t until, struct yd__cuts *fresh)
{
    const uint32_t id = series->label->id;
    const bool all = until == INT64_MAX;
    const bool in_blocks = all || blocks_have(history, id, until, true);
    yd__notes_cut(history, yd_history_tsuid(yd__label_name(series->label)), until);
    if (!in_blocks && (until == INT64_MIN || !memory_has(series, INT64_MIN, until - 1))) return 0;
    if (all || !(memory_has(series, until, INT64_MAX) || blocks_have(history, id, until, false))) {
        history->counts.evicted_samples += yd__series_points(series);
        yd__store_heap_remove(history, id);
        yd__index_remove(history, id);
        return 1;
    }
    int error = YD_OK;
    if (in_blocks)
        error = yd__cuts_add(fresh, &history->index_meter.alloc,
                             &(struct yd__cut){.id = id, .flush = last_flush(history), .before = until});
    if (!error) error = cut_memory(history, id, until);
    return error ? error : 1;
}

/* From here on they are not read; the next flush stores them. Out of memory: what was done again says the same. */
static int take_cuts(struct yd_history *history, const struct yd__cuts *fresh)
{
    struct yd_alloc *alloc = &history->index_meter.alloc;
    int error = YD_OK;
    for (uint32_t i = 0; i < fresh->count && !error; i++) {
        error = yd__cuts_add(&history->flush.cuts, alloc, &fresh->items[i]);
        if (!error) error = yd__cuts_add(&history->cuts, alloc, &fresh->items[i]);
    }
    yd__cuts_settle(&history->cuts);
    return error;
}

int yd_history_forget(struct yd_history *history, const struct yd_pattern *pattern, int64_t until_ns,
                      uint64_t *ret_gone)
{
    struct yd__cuts fresh = {0};
    uint64_t gone = 0;
    int error = YD_OK;
    YD_ASSERT(until_ns == INT64_MAX || history->flush.phase == YD__FLUSH_IDLE);
    for (uint32_t id = 0; id < history->id_count && error >= 0; id++) {
        if (!history->pages[id / YD__PAGE]) continue;
        struct yd__series *series = yd__series_get(history, id);
        if (!series || !yd_pattern_match(pattern, yd__label_name(series->label))) continue;
        error = forget_series(history, series, until_ns, &fresh);
        gone += error > 0;
    }
    int taken = take_cuts(history, &fresh);
    yd__cuts_fini(&fresh, &history->index_meter.alloc);
    *ret_gone = gone;
    return error < 0 ? error : taken;
}
