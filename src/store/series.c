/* One series: its open stream, the sealed chunks behind it, and the few points that came out of order.
 *
 *   chunks[0] … chunks[n-1] | open stream          side: points not later than the stream's last, by time
 *   each of up to 1,024 points, apart in time        at most 64; then they are merged into the chunks they belong to
 *
 * A stream is sealed at 256 points or 1 KiB; small neighbours become one, so that headers stay rare. A point beside
 * always came after the one of the same time in a chunk or stream (those had passed that time), so it wins. What can
 * fail is memory: every step builds the new before it lets go of the old. */
#include "store/internal.h"

#define OPEN_FIRST 32

static struct yd_alloc *memory(struct yd_history *history)
{
    return &history->column_meter.alloc;
}

static size_t past_size(uint32_t room)
{
    return sizeof(struct yd__past) + room * sizeof(struct yd__chunk *);
}

static int past_reserve(struct yd_history *history, struct yd__series *series, uint32_t more)
{
    struct yd__past *past = series->past;
    uint32_t count = past ? past->count : 0, old = past ? past->room : 0;
    if (past && count + more <= old) return YD_OK;
    uint32_t room = YD_MAX(count + more, old + old / 2);
    past = yd_alloc_resize(memory(history), past, past ? past_size(old) : 0, past_size(room));
    if (!past) return YD_ENOMEM;
    if (!series->past) *past = (struct yd__past){0};
    past->room = room;
    series->past = past;
    return YD_OK;
}

void yd__series_chunk_free(struct yd_history *history, struct yd__chunk *chunk)
{
    yd_alloc_put(memory(history), chunk, yd__chunk_bytes(chunk));
    history->counts.chunks--;
}

void yd__series_open_free(struct yd_history *history, struct yd__series *series)
{
    if (series->open) yd_alloc_put(memory(history), series->open, series->stream.room + YD__STREAM_SLACK);
    series->open = NULL;
    series->stream.room = series->stream.used = series->stream.count = 0;
}

static void side_free(struct yd_history *history, struct yd__past *past)
{
    yd_alloc_put(memory(history), past->side, past->side_room * sizeof *past->side);
    past->side = NULL;
    past->side_count = past->side_room = 0;
}

/* The first chunk that ends at `time` or later. */
uint32_t yd__chunk_find(const struct yd__past *past, int64_t time)
{
    uint32_t low = 0, high = past ? past->count : 0;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (past->chunks[middle]->last < time)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint32_t yd__side_find(const struct yd__past *past, int64_t time)
{
    uint32_t low = 0, high = past ? past->side_count : 0;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (past->side[middle].time < time)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---- sealing ---- */

/* Two small chunks at the end become one. Failing is harmless: it is tried again later. */
static void compact(struct yd_history *history, struct yd__past *past)
{
    while (past->count > 1) {
        struct yd__chunk **last = past->chunks + past->count - 2;
        if (last[0]->count + last[1]->count > YD__OPEN_MAX) return;
        struct yd__points *both = history->scratch[0];
        both->count = 0;
        yd__chunk_points(last[0], both);
        yd__chunk_points(last[1], both);
        struct yd__chunk *chunk = yd__chunk_build(memory(history), both, 0, both->count);
        if (!chunk) return;
        yd__series_chunk_free(history, last[0]);
        yd__series_chunk_free(history, last[1]);
        last[0] = chunk;
        past->count--;
        history->counts.chunks++;
    }
}

static int push(struct yd_history *history, struct yd__series *series, struct yd__chunk *chunk)
{
    if (!chunk) return YD_ENOMEM;
    history->counts.chunks++;
    int error = past_reserve(history, series, 1);
    if (error) {
        yd__series_chunk_free(history, chunk);
        return error;
    }
    series->past->chunks[series->past->count++] = chunk;
    return YD_OK;
}

/* After a seal: two thirds of what this stream took, since the next will be as long and grows by half when it is. So
 * what is held open is near to what is used, and the allocator is called twice a chunk. */
static void open_shrink(struct yd_history *history, struct yd__series *series)
{
    struct yd__stream *stream = &series->stream;
    uint16_t room = (uint16_t)YD_MAX(YD_ALIGN_UP(stream->used * 2u / 3 + YD__TOKEN_MAX, 16), OPEN_FIRST);
    stream->count = stream->used = 0;
    if (room >= stream->room) return;
    uint8_t *open =
        yd_alloc_resize(memory(history), series->open, stream->room + YD__STREAM_SLACK, room + YD__STREAM_SLACK);
    if (!open) return; /* it stays as it is */
    series->open = open;
    stream->room = room;
}

int yd__series_seal(struct yd_history *history, struct yd__series *series)
{
    int error =
        push(history, series,
             yd__chunk_seal(memory(history), series->open, series->stream.count, series->first, history->scratch[0]));
    if (error) return error;
    open_shrink(history, series);
    compact(history, series->past);
    return YD_OK;
}

/* ---- out of order ---- */

/* Points and later ones beside them, as one. Returns how many replaced another and were not yet counted. */
static uint32_t overlay(const struct yd__points *base, const struct yd__side *side, uint32_t side_count,
                        struct yd__points *ret)
{
    uint32_t duplicates = 0, out = 0, i = 0, j = 0;
    while (i < base->count || j < side_count) {
        if (j == side_count || (i < base->count && base->times[i] < side[j].time)) {
            ret->times[out] = base->times[i];
            ret->bits[out] = base->bits[i];
            ret->types[out++] = base->types[i++];
            continue;
        }
        if (i < base->count && base->times[i] == side[j].time) {
            duplicates += !side[j].counted;
            i++;
        }
        ret->times[out] = side[j].time;
        ret->bits[out] = side[j].bits;
        ret->types[out++] = side[j++].type;
    }
    ret->count = out;
    return duplicates;
}

static void side_consume(struct yd__past *past, uint32_t count)
{
    past->side_count -= count;
    memmove(past->side, past->side + count, past->side_count * sizeof *past->side);
}

/* The points beside that belong to chunk `at` go into it; if it becomes too large it is halved. */
static int merge_chunk(struct yd_history *history, struct yd__series *series, uint32_t at)
{
    struct yd__points *base = history->scratch[0], *all = history->scratch[1];
    struct yd__chunk *old = series->past->chunks[at], *halves[2] = {NULL, NULL};
    uint32_t side_count = yd__side_find(series->past, old->last);
    if (side_count < series->past->side_count && series->past->side[side_count].time == old->last) side_count++;
    int error = past_reserve(history, series, 1);
    if (error) return error;
    struct yd__past *past = series->past;
    base->count = 0;
    yd__chunk_points(old, base);
    uint32_t duplicates = overlay(base, past->side, side_count, all);
    uint32_t first = all->count > YD__CHUNK_MAX ? all->count / 2 : all->count;
    halves[0] = yd__chunk_build(memory(history), all, 0, first);
    if (!halves[0]) return YD_ENOMEM;
    history->counts.chunks++;
    if (first < all->count) {
        halves[1] = yd__chunk_build(memory(history), all, first, all->count - first);
        if (!halves[1]) {
            yd__series_chunk_free(history, halves[0]);
            return YD_ENOMEM;
        }
        history->counts.chunks++;
        memmove(past->chunks + at + 2, past->chunks + at + 1, (past->count - at - 1) * sizeof *past->chunks);
        past->chunks[at + 1] = halves[1];
        past->count++;
    }
    past->chunks[at] = halves[0];
    yd__series_chunk_free(history, old);
    side_consume(past, side_count);
    history->counts.duplicate += duplicates;
    return YD_OK;
}

/* All that wait beside go where they belong; what is later than every chunk is sealed together with the stream. */
int yd__series_merge(struct yd_history *history, uint32_t id)
{
    struct yd__series *series = yd__series_at(history, id);
    struct yd__past *past = series->past;
    while (past->side_count) {
        uint32_t at = yd__chunk_find(past, past->side[0].time);
        if (at < past->count) {
            int error = merge_chunk(history, series, at);
            if (error) return error;
            past = series->past;
            continue;
        }
        struct yd__points *base = history->scratch[0], *all = history->scratch[1];
        base->count = 0;
        if (series->stream.count) yd__stream_points(series->open, series->stream.count, series->first, base);
        uint32_t duplicates = overlay(base, past->side, past->side_count, all);
        int error = push(history, series, yd__chunk_build(memory(history), all, 0, all->count));
        if (error) return error;
        past = series->past;
        series->stream.count = series->stream.used = 0;
        past->side_count = 0;
        history->counts.duplicate += duplicates;
    }
    yd__heap_fix(history, id);
    return YD_OK;
}

static int set_aside(struct yd_history *history, uint32_t id, int64_t time, uint8_t type, uint64_t bits)
{
    struct yd__series *series = yd__series_at(history, id);
    int error = past_reserve(history, series, 0);
    if (!error && series->past->side_count == YD__SIDE_MAX) error = yd__series_merge(history, id);
    if (error) return error;
    struct yd__past *past = series->past;
    uint32_t at = yd__side_find(past, time);
    if (at < past->side_count && past->side[at].time == time) {
        past->side[at].bits = bits;
        past->side[at].type = type;
        history->counts.duplicate++;
        return YD_OK;
    }
    if (past->side_count == past->side_room) {
        uint16_t room = past->side_room ? (uint16_t)(past->side_room * 4) : 4;
        struct yd__side *side =
            yd_alloc_resize(memory(history), past->side, past->side_room * sizeof *side, room * sizeof *side);
        if (!side) return YD_ENOMEM;
        past->side = side;
        past->side_room = room;
    }
    /* The commonest repetition is that of the newest point: known without looking into a chunk. */
    bool again = time == series->stream.time &&
                 (series->stream.count || (past->count && past->chunks[past->count - 1]->last == time));
    memmove(past->side + at + 1, past->side + at, (past->side_count - at) * sizeof *past->side);
    past->side[at] = (struct yd__side){time, bits, type, again};
    past->side_count++;
    history->counts.duplicate += again;
    return YD_OK;
}

/* ---- appending ---- */

int yd__series_append(struct yd_history *history, uint32_t id, int64_t time, uint8_t type, uint64_t bits)
{
    struct yd__series *series = yd__series_at(history, id);
    struct yd__stream *stream = &series->stream;
    if (!yd__series_holds(series)) {
        int error = yd__store_heap_add(history, id, time);
        if (error) return error;
    }
    if (time <= stream->time) return set_aside(history, id, time, type, bits);
    if (stream->count >= YD__OPEN_MAX || stream->used + 1 + YD__TOKEN_MAX > YD__STREAM_CAP) {
        int error = yd__series_seal(history, series);
        if (error) return error;
    }
    while (stream->used + 1 + YD__TOKEN_MAX > stream->room) {
        uint32_t half = stream->room + stream->room / 2u, least = OPEN_FIRST;
        uint16_t room = (uint16_t)YD_MIN(YD_MAX(YD_ALIGN_UP(half, 16), least), YD__STREAM_CAP);
        uint8_t *open = yd_alloc_resize(memory(history), series->open,
                                        series->open ? stream->room + YD__STREAM_SLACK : 0, room + YD__STREAM_SLACK);
        if (!open) return YD_ENOMEM;
        memset(open + stream->room, 0, room + YD__STREAM_SLACK - stream->room);
        series->open = open;
        stream->room = room;
    }
    if (stream->count == 0) {
        series->first = stream->time = time;
        stream->delta = 0;
        stream->value = 0;
        stream->used = 1;
        series->open[0] = stream->mode;
    }
    stream->used = (uint16_t)(stream->used + yd__stream_put(series->open + stream->used, stream, time, type, bits));
    stream->count++;
    return YD_OK;
}

/* ---- letting go ---- */

bool yd__series_oldest(const struct yd__series *series, int64_t *ret_time)
{
    if (!series->label || !yd__series_holds(series)) return false;
    const struct yd__past *past = series->past;
    if (past && past->count)
        *ret_time = past->chunks[0]->last;
    else if (series->stream.count)
        *ret_time = series->stream.time;
    else
        *ret_time = past->side[past->side_count - 1].time;
    return true;
}

void yd__series_evict(struct yd_history *history, uint32_t id)
{
    struct yd__series *series = yd__series_at(history, id);
    struct yd__past *past = series->past;
    uint32_t side_count = past ? past->side_count : 0;
    uint64_t gone = 0;
    if (past && past->count) {
        struct yd__chunk *oldest = past->chunks[0];
        side_count = yd__side_find(past, oldest->last);
        if (side_count < past->side_count && past->side[side_count].time == oldest->last) side_count++;
        gone += oldest->count;
        yd__series_chunk_free(history, oldest);
        memmove(past->chunks, past->chunks + 1, --past->count * sizeof *past->chunks);
    } else {
        gone += series->stream.count;
        yd__series_open_free(history, series);
    }
    if (side_count) {
        /* Those that replace a point here and were counted as duplicates are one point with it. */
        for (uint32_t i = 0; i < side_count; i++) gone += !past->side[i].counted;
        side_consume(past, side_count);
        if (!past->side_count) side_free(history, past);
    }
    history->counts.evicted_samples += gone;
}

void yd__series_past_free(struct yd_history *history, struct yd__series *series)
{
    struct yd__past *past = series->past;
    side_free(history, past);
    yd_alloc_put(memory(history), past, past_size(past->room));
    series->past = NULL;
}

void yd__series_clear(struct yd_history *history, struct yd__series *series)
{
    struct yd__past *past = series->past;
    yd__series_open_free(history, series);
    if (!past) return;
    for (uint32_t i = 0; i < past->count; i++) yd__series_chunk_free(history, past->chunks[i]);
    yd__series_past_free(history, series);
}

uint64_t yd__series_points(const struct yd__series *series)
{
    const struct yd__past *past = series->past;
    uint64_t points = series->stream.count;
    for (uint32_t i = 0; past && i < past->count; i++) points += past->chunks[i]->count;
    for (uint32_t i = 0; past && i < past->side_count; i++) points += !past->side[i].counted;
    return points;
}
