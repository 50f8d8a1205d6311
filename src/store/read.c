/* Reading a series; see read.h for the picture. Nothing can fail: a damaged chunk is passed over (block.h counts it).
 */
#include "store/read.h"

/* ---- windows ---- */

static void offer(struct yd__window *w, int64_t to, const struct yd__piece *piece)
{
    if (piece->first > w->until) {
        w->more |= piece->first <= to;
        return;
    }
    w->pieces[w->count++] = *piece;
    w->until = YD_MIN(w->until, piece->last);
}

static void offer_memory(struct yd__window *w, const struct yd__series *series, int64_t from, int64_t to)
{
    const struct yd__past *past = series->past;
    uint32_t at = yd__chunk_find(past, from);
    if (past && at < past->count) {
        const struct yd__chunk *chunk = past->chunks[at];
        offer(w, to, &(struct yd__piece){.first = chunk->first, .last = chunk->last, .chunk = chunk});
    } else if (series->stream.count && series->stream.time >= from) {
        offer(w, to, &(struct yd__piece){.first = series->first, .last = series->stream.time, .stream = series});
    }
    at = yd__side_find(past, from);
    if (past && at < past->side_count)
        offer(
            w, to,
            &(struct yd__piece){
                .first = past->side[at].time, .last = past->side[past->side_count - 1].time, .side = past, .from = at});
}

bool yd__window_open(struct yd__block *const *blocks, uint32_t block_count, uint32_t id,
                     const struct yd__series *series, int64_t from, int64_t to, struct yd__window *w)
{
    w->count = 0;
    w->until = to;
    w->more = false;
    for (uint32_t i = 0; i < block_count; i++) {
        struct yd__block *block = blocks[i];
        const struct yd__entry *entries;
        if (block->head.kind != YD__BLOCK_RAW || block->head.time_max < from || block->head.time_min > to) continue;
        if (block->head.time_min > w->until) {
            w->more = true; /* perhaps: looked at when it is its turn */
            continue;
        }
        const int64_t begin = yd__cuts_from(w->cuts, id, block->head.hi);
        uint32_t count = yd__block_series(block, id, &entries);
        uint32_t at = count ? yd__entry_find(entries, count, YD_MAX(from, begin)) : 0;
        if (at >= count) continue;
        offer(w, to,
              &(struct yd__piece){.first = YD_MAX(entries[at].chunk.first, begin),
                                  .last = entries[at].chunk.last,
                                  .begin = begin,
                                  .block = block,
                                  .entry = &entries[at]});
    }
    if (series) offer_memory(w, series, from, to);
    /* Those that begin behind the end that was found last. */
    uint32_t kept = 0;
    for (uint32_t i = 0; i < w->count; i++) {
        if (w->pieces[i].first <= w->until)
            w->pieces[kept++] = w->pieces[i];
        else
            w->more = true;
    }
    w->count = kept;
    return kept > 0 || w->more;
}

bool yd__piece_points(const struct yd__piece *piece, struct yd__points *points)
{
    if (piece->chunk) {
        yd__chunk_points(piece->chunk, points);
    } else if (piece->stream) {
        yd__stream_points(piece->stream->open, piece->stream->stream.count, piece->stream->first, points);
    } else if (piece->side) {
        for (uint32_t i = piece->from; i < piece->side->side_count; i++) {
            points->times[points->count] = piece->side->side[i].time;
            points->bits[points->count] = piece->side->side[i].bits;
            points->types[points->count++] = piece->side->side[i].type;
        }
    } else {
        const uint8_t *data = yd__block_data(piece->block, piece->entry);
        if (!data) return false;
        yd__chunk_points_at(&piece->entry->chunk, data, points);
    }
    return true;
}

static void keep(struct yd__points *points, uint32_t from, uint32_t end)
{
    uint32_t count = end - from;
    if (from && count) {
        memmove(points->times, points->times + from, count * sizeof *points->times);
        memmove(points->bits, points->bits + from, count * sizeof *points->bits);
        memmove(points->types, points->types + from, count);
    }
    points->count = count;
}

/* Only [from, until]. */
static void trim(struct yd__points *points, int64_t from, int64_t until)
{
    uint32_t first = 0, end = points->count;
    while (first < end && points->times[first] < from) first++;
    while (end > first && points->times[end - 1] > until) end--;
    keep(points, first, end);
}

/* Two lines as one; at most YD__CHUNK_MAX points: what is beyond is left for the next window. */
static void overlay(const struct yd__points *below, const struct yd__points *above, struct yd__points *ret,
                    int64_t *until)
{
    uint32_t out = 0, i = 0, j = 0;
    while ((i < below->count || j < above->count) && out < YD__CHUNK_MAX) {
        bool lower = j == above->count || (i < below->count && below->times[i] < above->times[j]);
        const struct yd__points *from = lower ? below : above;
        uint32_t at = lower ? i : j;
        if (!lower && i < below->count && below->times[i] == above->times[j]) i++;
        if (lower)
            i++;
        else
            j++;
        ret->times[out] = from->times[at];
        ret->bits[out] = from->bits[at];
        ret->types[out++] = from->types[at];
    }
    ret->count = out;
    if (i < below->count || j < above->count) *until = ret->times[out - 1];
}

struct yd__points *yd__window_points(struct yd__window *w, int64_t from, struct yd__points *const work[3])
{
    struct yd__points *have = work[0], *next = work[1], *both = work[2];
    have->count = 0;
    for (uint32_t i = 0; i < w->count; i++) {
        next->count = 0;
        if (!yd__piece_points(&w->pieces[i], next)) continue;
        trim(next, w->pieces[i].block ? YD_MAX(from, w->pieces[i].begin) : from, w->until);
        if (!have->count) {
            struct yd__points *swap = have;
            have = next;
            next = swap;
            continue;
        }
        int64_t until = w->until;
        overlay(have, next, both, &until);
        w->more |= until < w->until;
        w->until = until;
        struct yd__points *swap = have;
        have = both;
        both = swap;
    }
    trim(have, from, w->until); /* the end may have moved since the first were taken */
    return have;
}

/* ---- of a history ---- */

bool yd__blocks_may_have(const struct yd_history *history, uint32_t id, int64_t from, int64_t to)
{
    const struct yd__entry *entries;
    for (uint32_t i = history->block_count; i-- > 0;) {
        struct yd__block *block = history->blocks[i];
        if (block->head.time_max < from || block->head.time_min > to) continue;
        uint32_t count = yd__block_series(block, id, &entries);
        const int64_t begin = count ? yd__cuts_from(&history->cuts, id, block->head.hi) : INT64_MIN;
        if (count && (begin == INT64_MIN || (begin <= to && yd__entry_find(entries, count, begin) < count)))
            return true;
    }
    return false;
}

static void advance(struct yd__cursor *cursor, int64_t until)
{
    cursor->done = until >= cursor->to;
    if (!cursor->done) cursor->from = until + 1;
}

static bool open_next(const struct yd_history *history, const struct yd__series *series,
                      const struct yd__cursor *cursor, struct yd__window *window)
{
    return !cursor->done && cursor->from <= cursor->to &&
           yd__window_open(history->blocks, history->block_count, series->label->id, series, cursor->from, cursor->to,
                           window);
}

bool yd__series_exact(struct yd_history *history, const struct yd__series *series, struct yd__cursor *cursor,
                      struct yd__points *ret)
{
    struct yd__window window = {.pieces = history->pieces, .cuts = &history->cuts};
    while (open_next(history, series, cursor, &window)) {
        struct yd__points *points = yd__window_points(
            &window, cursor->from,
            (struct yd__points *const[]){history->scratch[0], history->scratch[2], history->scratch[3]});
        advance(cursor, window.until);
        if (!points->count) continue;
        ret->count = points->count;
        memcpy(ret->times, points->times, points->count * sizeof *ret->times);
        memcpy(ret->bits, points->bits, points->count * sizeof *ret->bits);
        memcpy(ret->types, points->types, points->count);
        return true;
    }
    cursor->done = true;
    return false;
}

static void to_numbers(const struct yd__points *points, struct yd__numbers *ret)
{
    ret->count = points->count;
    memcpy(ret->times, points->times, points->count * sizeof *ret->times);
    for (uint32_t i = 0; i < points->count; i++) ret->values[i] = yd__number(points->types[i], points->bits[i]);
}

/* A window of one piece: decoded straight into numbers. */
static void single(const struct yd__piece *piece, int64_t from, int64_t until, struct yd__numbers *ret)
{
    ret->count = 0;
    if (piece->chunk) {
        yd__chunk_numbers_in(piece->chunk, piece->chunk->data, from, until, ret);
    } else if (piece->stream) {
        yd__stream_numbers(piece->stream->open, piece->stream->stream.count, piece->stream->first, ret);
    } else {
        const uint8_t *data = yd__block_data(piece->block, piece->entry);
        if (data) yd__chunk_numbers_in(&piece->entry->chunk, data, from, until, ret);
    }
}

bool yd__series_numbers(struct yd_history *history, const struct yd__series *series, struct yd__cursor *cursor,
                        struct yd__numbers *ret)
{
    struct yd__window window = {.pieces = history->pieces, .cuts = &history->cuts};
    while (open_next(history, series, cursor, &window)) {
        if (window.count == 1 && !window.pieces[0].side) {
            single(&window.pieces[0], cursor->from, window.until, ret);
        } else {
            to_numbers(yd__window_points(
                           &window, cursor->from,
                           (struct yd__points *const[]){history->scratch[0], history->scratch[2], history->scratch[3]}),
                       ret);
        }
        uint32_t first = 0, end = ret->count;
        const bool alone = window.count == 1 && window.pieces[0].block;
        const int64_t begin = alone ? YD_MAX(cursor->from, window.pieces[0].begin) : cursor->from;
        while (first < end && ret->times[first] < begin) first++;
        while (end > first && ret->times[end - 1] > window.until) end--;
        if (first && end > first) {
            memmove(ret->times, ret->times + first, (end - first) * sizeof *ret->times);
            memmove(ret->values, ret->values + first, (end - first) * sizeof *ret->values);
        }
        ret->count = end - first;
        advance(cursor, window.until);
        if (ret->count) return true;
    }
    cursor->done = true;
    return false;
}

/* The newest point in memory. */
static bool last_in_memory(struct yd_history *history, const struct yd__series *series, int64_t *ret_time,
                           uint8_t *ret_type, uint64_t *ret_bits)
{
    const struct yd__past *past = series->past;
    const struct yd__side *side = past && past->side_count ? &past->side[past->side_count - 1] : NULL;
    int64_t time = INT64_MIN;
    if (series->stream.count) {
        time = series->stream.time;
        *ret_type = yd__stream_last(&series->stream, ret_bits);
    } else if (past && past->count) {
        struct yd__points *points = history->scratch[0];
        points->count = 0;
        yd__chunk_points(past->chunks[past->count - 1], points);
        time = points->times[points->count - 1];
        *ret_type = points->types[points->count - 1];
        *ret_bits = points->bits[points->count - 1];
    } else if (!side) {
        return false;
    }
    if (side && side->time >= time) {
        time = side->time;
        *ret_type = side->type;
        *ret_bits = side->bits;
    }
    *ret_time = time;
    return true;
}

bool yd__series_last(struct yd_history *history, const struct yd__series *series, int64_t *ret_time, uint8_t *ret_type,
                     uint64_t *ret_bits)
{
    bool found = last_in_memory(history, series, ret_time, ret_type, ret_bits);
    int64_t newest = found ? *ret_time : INT64_MIN;
    for (uint32_t i = history->block_count; i-- > 0;) { /* the latest flushed first: of the same time it wins */
        struct yd__block *block = history->blocks[i];
        const struct yd__entry *entries;
        if (block->head.kind != YD__BLOCK_RAW || block->head.time_max <= newest) continue;
        uint32_t count = yd__block_series(block, series->label->id, &entries);
        const int64_t begin = count ? yd__cuts_from(&history->cuts, series->label->id, block->head.hi) : INT64_MIN;
        while (count && entries[count - 1].chunk.last > newest && entries[count - 1].chunk.last >= begin) {
            const struct yd__entry *entry = &entries[--count];
            const uint8_t *data = yd__block_data(block, entry);
            if (!data) continue; /* damaged: the one before it */
            struct yd__points *points = history->scratch[0];
            points->count = 0;
            yd__chunk_points_at(&entry->chunk, data, points);
            uint32_t last = points->count - 1;
            newest = *ret_time = points->times[last];
            *ret_type = points->types[last];
            *ret_bits = points->bits[last];
            found = true;
        }
    }
    return found;
}
