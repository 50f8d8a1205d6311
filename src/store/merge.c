/* Merging: several blocks become one, in slices.
 *
 *   level 0: a flush each ─ 8 ─▶ level 1: any times ─ 8 ─▶ level 2: split at parts of time (a day, less if `keep` is
 *   short) ─ 6 of one part ─▶ level 3 … and when a part lies behind, all of it ─▶ one block
 *
 * Always the oldest first and neighbours only, so that of two points of one time the later flushed still wins. Chunks
 * of 1,024 points and more that overlap nothing are copied as they are; smaller ones are joined. A damaged chunk ends
 * here, and is said. */
#include <stdio.h>

#include "store/keeper_internal.h"

#define FAN_IN      8
#define FAN_IN_PART 6
#define LARGE       1024                /* points: a chunk that is copied */
#define OUTPUT_MAX  (UINT64_C(1) << 30) /* bytes of data; then another block is begun */
#define SLICE_UNITS (8 << 20)           /* points or bytes, about */
#define PARTED      2                   /* levels from here on lie within a part */
#define SETTLED     4                   /* a part that lies behind, as one */

/* ---- choosing ---- */

static void begin(struct yd_keeper *keeper, uint16_t level, bool split, int64_t part_from, int64_t part_end)
{
    struct yd__merge *m = &keeper->merge;
    m->active = true;
    m->split = split;
    m->head = (struct yd__block_header){.kind = YD__BLOCK_RAW,
                                        .level = level,
                                        .lo = m->inputs[0]->head.lo,
                                        .hi = m->inputs[m->input_count - 1]->head.hi,
                                        .part_from = part_from,
                                        .part_end = part_end};
    m->from = INT64_MAX;
    m->end = INT64_MAX;
    m->damaged = 0;
    for (uint32_t i = 0; i < m->input_count; i++) {
        m->head.lo = YD_MIN(m->head.lo, m->inputs[i]->head.lo);
        m->head.hi = YD_MAX(m->head.hi, m->inputs[i]->head.hi);
        m->from = YD_MIN(m->from, m->inputs[i]->head.time_min);
        m->damaged += __atomic_load_n(&m->inputs[i]->damaged, __ATOMIC_RELAXED);
    }
    m->next = INT64_MAX;
    m->id = 0;
    m->output_count = 0;
    m->rolls = false;
}

static bool pick_level(struct yd_keeper *keeper, uint16_t level)
{
    struct yd__merge *m = &keeper->merge;
    m->input_count = 0;
    for (uint32_t i = 0; i < keeper->block_count && m->input_count < YD__MERGE_MAX; i++)
        if (keeper->blocks[i]->head.level == level && keeper->blocks[i]->head.kind == YD__BLOCK_RAW)
            m->inputs[m->input_count++] = keeper->blocks[i];
    /* Few, but soon too old: they must come into their parts before, so that rows are made of them. */
    int64_t from = INT64_MIN;
    bool ages = keeper->keep_ns > 0 && keeper->newest != INT64_MIN &&
                !__builtin_sub_overflow(keeper->newest, keeper->keep_ns / 2, &from) && m->input_count &&
                m->inputs[0]->head.time_max < from;
    if (m->input_count < FAN_IN && !ages) return false;
    begin(keeper, (uint16_t)(level + 1), level + 1 == PARTED, 0, 0);
    return true;
}

static bool same_part(const struct yd__block *a, const struct yd__block *b)
{
    return a->head.level >= PARTED && b->head.level >= PARTED && a->head.part_from == b->head.part_from &&
           a->head.part_end == b->head.part_end;
}

/* The part's blocks with points, oldest first; level 0: all. Large ones stay out of what is not all. */
static void gather(struct yd_keeper *keeper, const struct yd__block *of, uint16_t level, uint64_t *ret_settled,
                   uint64_t *ret_other)
{
    struct yd__merge *m = &keeper->merge;
    m->input_count = 0;
    *ret_settled = *ret_other = 0;
    for (uint32_t i = 0; i < keeper->block_count && m->input_count < YD__MERGE_MAX; i++) {
        struct yd__block *block = keeper->blocks[i];
        if (block->head.kind != YD__BLOCK_RAW || !same_part(block, of)) continue;
        if (level && (block->head.level != level || block->head.data_size > OUTPUT_MAX / 2)) continue;
        m->inputs[m->input_count++] = block;
        *(block->head.level >= SETTLED ? ret_settled : ret_other) += block->head.data_size;
    }
}

static bool has_rows(const struct yd_keeper *keeper, const struct yd__block *of)
{
    for (uint32_t i = 0; i < keeper->block_count; i++)
        if (keeper->blocks[i]->head.kind == YD__BLOCK_MINUTES && same_part(keeper->blocks[i], of)) return true;
    return false;
}

/* Inputs are neighbours when nothing that was flushed between them has points in their time. */
static bool neighbours(const struct yd_keeper *keeper)
{
    const struct yd__merge *m = &keeper->merge;
    uint64_t first = m->inputs[0]->head.hi, last = m->inputs[m->input_count - 1]->head.hi;
    int64_t from = INT64_MAX, end = INT64_MIN;
    for (uint32_t i = 0; i < m->input_count; i++) {
        from = YD_MIN(from, m->inputs[i]->head.time_min);
        end = YD_MAX(end, m->inputs[i]->head.time_max);
    }
    for (uint32_t i = 0; i < keeper->block_count; i++) {
        const struct yd__block *block = keeper->blocks[i];
        bool input = false;
        for (uint32_t k = 0; k < m->input_count; k++) input |= m->inputs[k] == block;
        if (!input && block->head.kind == YD__BLOCK_RAW && block->head.hi >= first && block->head.hi <= last &&
            block->head.time_max >= from && block->head.time_min <= end)
            return false;
    }
    return true;
}

static bool pick_part(struct yd_keeper *keeper, const struct yd__block *of)
{
    struct yd__merge *m = &keeper->merge;
    uint64_t settled, other;
    int64_t part_end = of->head.part_end, kept = INT64_MIN;
    bool behind = keeper->newest != INT64_MIN && part_end < INT64_MAX - keeper->part_ns &&
                  part_end + keeper->part_ns / 8 < keeper->newest,
         rows = has_rows(keeper, of);
    if (keeper->keep_ns > 0 && keeper->newest != INT64_MIN &&
        __builtin_sub_overflow(keeper->newest, keeper->keep_ns, &kept))
        kept = INT64_MIN;
    /* All of it when it lies behind, and its rows with it. Once points of it may have gone, the rows that are there
     * know more than what is left. */
    gather(keeper, of, 0, &settled, &other);
    bool all = m->input_count < YD__MERGE_MAX;
    bool worth = !rows || (other && (m->input_count >= 2 * FAN_IN || other * 8 >= settled));
    if (behind && all && worth && (!rows || of->head.part_from >= kept) && neighbours(keeper)) {
        begin(keeper, SETTLED, false, of->head.part_from, part_end);
        m->rolls = true;
        return true;
    }
    if (of->head.level >= SETTLED) return false;
    gather(keeper, of, of->head.level, &settled, &other);
    if (m->input_count < FAN_IN_PART || !neighbours(keeper)) return false;
    begin(keeper, (uint16_t)YD_MIN(of->head.level + 1, SETTLED - 1), false, of->head.part_from, part_end);
    return true;
}

static int rooms(struct yd_keeper *keeper)
{
    struct yd__merge *m = &keeper->merge;
    bool ok = true;
    for (unsigned i = 0; i < YD_COUNT(m->work); i++) {
        if (!m->work[i]) m->work[i] = yd_alloc_get(keeper->alloc, sizeof *m->work[i]);
        ok = ok && m->work[i];
    }
    for (unsigned kind = YD__BLOCK_MINUTES; kind < YD__BLOCK_KINDS; kind++) {
        if (!m->rollups[kind].rows) m->rollups[kind].rows = yd_alloc_get(keeper->alloc, sizeof *m->rollups[kind].rows);
        ok = ok && m->rollups[kind].rows;
    }
    if (!m->pending) m->pending = yd_alloc_get(keeper->alloc, sizeof *m->pending);
    if (!m->pieces) m->pieces = yd_alloc_get(keeper->alloc, (YD__MERGE_MAX + YD__PIECES_MEMORY) * sizeof *m->pieces);
    return ok && m->pending && m->pieces ? YD_OK : YD_ENOMEM;
}

int yd__merge_pick(struct yd_keeper *keeper)
{
    int error = rooms(keeper);
    if (error) return error;
    if (pick_level(keeper, 1) || pick_level(keeper, 0)) return 1;
    for (uint32_t i = 0; i < keeper->block_count; i++)
        if (keeper->blocks[i]->head.kind == YD__BLOCK_RAW && keeper->blocks[i]->head.level >= PARTED &&
            pick_part(keeper, keeper->blocks[i]))
            return 1;
    return 0;
}

/* ---- a pass ---- */

static int64_t floor_to(int64_t time, int64_t interval)
{
    int64_t rest = time % interval;
    if (rest < 0) rest += interval;
    return time < INT64_MIN + rest ? INT64_MIN : time - rest;
}

static void open_pass(struct yd_keeper *keeper)
{
    struct yd__merge *m = &keeper->merge;
    if (!m->split) return;
    m->from = floor_to(m->from, keeper->part_ns);
    if (__builtin_add_overflow(m->from, keeper->part_ns - 1, &m->end)) m->end = INT64_MAX;
    m->head.part_from = m->from;
    m->head.part_end = m->end;
}

static int writer_open(struct yd_keeper *keeper)
{
    struct yd__merge *m = &keeper->merge;
    if (m->writer) return YD_OK;
    m->number = keeper->next_number++;
    return yd__block_writer_create(keeper->fs, keeper->alloc, keeper->folder, m->number, &m->writer);
}

static int writer_close(struct yd_keeper *keeper)
{
    struct yd__merge *m = &keeper->merge;
    if (!m->writer) return YD_OK;
    struct yd__block_writer *writer = m->writer;
    int error = yd__keeper_grow(keeper, (void **)&m->outputs, m->output_count, &m->output_room, sizeof *m->outputs);
    if (error) return error;
    m->writer = NULL;
    error = yd__block_finish(writer, &m->head);
    if (error == YD_EAGAIN) return YD_OK;
    if (!error) m->outputs[m->output_count++] = m->number;
    return error;
}

/* The blocks of rows, if there are any. */
static int rollups_close(struct yd_keeper *keeper)
{
    struct yd__merge *m = &keeper->merge;
    for (unsigned kind = YD__BLOCK_MINUTES; kind < YD__BLOCK_KINDS; kind++) {
        struct yd__block_writer *writer = m->rollups[kind].writer;
        if (!writer) continue;
        int error = yd__keeper_grow(keeper, (void **)&m->outputs, m->output_count, &m->output_room, sizeof *m->outputs);
        if (error) return error;
        struct yd__block_header head = m->head;
        head.kind = (uint16_t)kind;
        m->rollups[kind].writer = NULL;
        error = yd__block_finish(writer, &head);
        if (error < 0) return error;
        m->outputs[m->output_count++] = m->rollups[kind].number;
    }
    return YD_OK;
}

static void drop_front(struct yd__points *points, uint32_t count)
{
    points->count -= count;
    memmove(points->times, points->times + count, points->count * sizeof *points->times);
    memmove(points->bits, points->bits + count, points->count * sizeof *points->bits);
    memmove(points->types, points->types + count, points->count);
}

/* What waits becomes a chunk of up to YD__CHUNK_MAX points. */
static int put_pending(struct yd_keeper *keeper, uint32_t id)
{
    struct yd__merge *m = &keeper->merge;
    uint32_t count = YD_MIN(m->pending->count, (uint32_t)YD__CHUNK_MAX);
    if (!count) return YD_OK;
    int error = writer_open(keeper);
    if (error < 0) return error;
    struct yd__chunk *chunk = yd__chunk_build_tight(keeper->alloc, m->pending, 0, count);
    if (!chunk) return YD_ENOMEM;
    error = yd__block_add(m->writer, id, chunk, chunk->data);
    yd_alloc_put(keeper->alloc, chunk, yd__chunk_bytes(chunk));
    drop_front(m->pending, count);
    return error;
}

static int add_points(struct yd_keeper *keeper, uint32_t id, const struct yd__points *points)
{
    struct yd__points *pending = keeper->merge.pending;
    for (uint32_t at = 0; at < points->count;) {
        uint32_t count = YD_MIN(points->count - at, YD__CHUNK_MAX - pending->count);
        memcpy(pending->times + pending->count, points->times + at, count * sizeof *points->times);
        memcpy(pending->bits + pending->count, points->bits + at, count * sizeof *points->bits);
        memcpy(pending->types + pending->count, points->types + at, count);
        pending->count += count;
        at += count;
        if (pending->count < YD__CHUNK_MAX) break;
        int error = put_pending(keeper, id);
        if (error < 0) return error;
    }
    return YD_OK;
}

/* A window of one large chunk that lies within the pass and has nothing waiting before it but a large one. */
static bool copies(const struct yd__merge *m, const struct yd__window *w, int64_t from)
{
    const struct yd__piece *piece = &w->pieces[0];
    return w->count == 1 && !m->rolls && piece->entry->chunk.count >= LARGE && piece->first >= from &&
           piece->entry->chunk.first >= piece->begin && piece->last <= w->until &&
           (m->pending->count == 0 || m->pending->count >= LARGE);
}

struct roll {
    struct yd_keeper *keeper;
    unsigned kind;
};

static int put_rows(void *arg, struct yd__rows *rows)
{
    struct roll *roll = arg;
    struct yd_keeper *keeper = roll->keeper;
    struct yd__merge *m = &keeper->merge;
    struct yd__block_writer **writer = &m->rollups[roll->kind].writer;
    int error = YD_OK;
    if (!rows->count) return YD_OK;
    if (!*writer) {
        m->rollups[roll->kind].number = keeper->next_number++;
        error =
            yd__block_writer_create(keeper->fs, keeper->alloc, keeper->folder, m->rollups[roll->kind].number, writer);
        if (error < 0) *writer = NULL;
    }
    if (error >= 0) error = yd__rows_put(rows, m->rollups[roll->kind].id, *writer);
    rows->count = 0;
    return error;
}

/* points NULL: the series has ended. */
static int roll(struct yd_keeper *keeper, uint32_t id, const struct yd__points *points)
{
    struct yd__merge *m = &keeper->merge;
    int error = YD_OK;
    for (unsigned kind = YD__BLOCK_MINUTES; m->rolls && kind < YD__BLOCK_KINDS && error >= 0; kind++) {
        struct roll arg = {keeper, kind};
        m->rollups[kind].id = id;
        error = points ? yd__rows_add(m->rollups[kind].rows, kind, points, put_rows, &arg)
                       : put_rows(&arg, m->rollups[kind].rows);
    }
    return error;
}

static int merge_series(struct yd_keeper *keeper, uint32_t id, uint64_t *cost)
{
    struct yd__merge *m = &keeper->merge;
    struct yd__window window = {.pieces = m->pieces, .cuts = &keeper->cuts};
    int64_t from = m->from;
    int error = YD_OK;
    m->pending->count = 0;
    for (unsigned kind = YD__BLOCK_MINUTES; kind < YD__BLOCK_KINDS; kind++) m->rollups[kind].rows->count = 0;
    while (error >= 0 && yd__window_open(m->inputs, m->input_count, id, NULL, from, m->end, &window)) {
        if (window.count && copies(m, &window, from)) {
            const struct yd__entry *entry = window.pieces[0].entry;
            const uint8_t *data = yd__block_data(window.pieces[0].block, entry);
            error = put_pending(keeper, id);
            if (error >= 0 && data) error = writer_open(keeper);
            if (error >= 0 && data) error = yd__block_add(m->writer, id, &entry->chunk, data);
            *cost += entry->chunk.size;
        } else {
            struct yd__points *points = yd__window_points(&window, from, m->work);
            error = add_points(keeper, id, points);
            if (error >= 0) error = roll(keeper, id, points);
            *cost += points->count * 8;
        }
        if (window.until >= m->end) break;
        from = window.until + 1;
    }
    if (error >= 0) error = roll(keeper, id, NULL);
    return error < 0 ? error : put_pending(keeper, id);
}

/* Where the series goes on behind this pass. */
static void look_ahead(struct yd__merge *m, uint32_t id)
{
    for (uint32_t i = 0; i < m->input_count && m->end < INT64_MAX; i++) {
        const struct yd__entry *entries;
        uint32_t count = yd__block_series(m->inputs[i], id, &entries);
        uint32_t at = count ? yd__entry_find(entries, count, m->end + 1) : 0;
        if (at >= count) continue;
        if (entries[at].chunk.first > m->end) {
            m->next = YD_MIN(m->next, entries[at].chunk.first);
            continue;
        }
        const uint8_t *data = yd__block_data(m->inputs[i], &entries[at]);
        if (!data) { /* what comes behind it may be whole */
            if (at + 1 < count) m->next = YD_MIN(m->next, entries[at + 1].chunk.first);
            continue;
        }
        m->work[0]->count = 0;
        yd__chunk_points_at(&entries[at].chunk, data, m->work[0]);
        for (uint32_t k = 0; k < m->work[0]->count; k++)
            if (m->work[0]->times[k] > m->end) {
                m->next = YD_MIN(m->next, m->work[0]->times[k]);
                break;
            }
    }
}

static uint32_t next_id(const struct yd__merge *m, uint32_t id)
{
    uint32_t next = UINT32_MAX;
    for (uint32_t i = 0; i < m->input_count; i++) next = YD_MIN(next, yd__block_next(m->inputs[i], id));
    return next;
}

/* ---- steps ---- */

static void abandon(struct yd_keeper *keeper)
{
    struct yd__merge *m = &keeper->merge;
    yd__block_writer_abandon(m->writer);
    m->writer = NULL;
    for (unsigned kind = YD__BLOCK_MINUTES; kind < YD__BLOCK_KINDS; kind++) {
        yd__block_writer_abandon(m->rollups[kind].writer);
        m->rollups[kind].writer = NULL;
    }
    m->active = false;
}

void yd__merge_fini(struct yd_keeper *keeper)
{
    struct yd__merge *m = &keeper->merge;
    abandon(keeper);
    for (unsigned i = 0; i < YD_COUNT(m->work); i++)
        if (m->work[i]) yd_alloc_put(keeper->alloc, m->work[i], sizeof *m->work[i]);
    for (unsigned kind = YD__BLOCK_MINUTES; kind < YD__BLOCK_KINDS; kind++)
        if (m->rollups[kind].rows) yd_alloc_put(keeper->alloc, m->rollups[kind].rows, sizeof *m->rollups[kind].rows);
    if (m->pending) yd_alloc_put(keeper->alloc, m->pending, sizeof *m->pending);
    if (m->pieces) yd_alloc_put(keeper->alloc, m->pieces, (YD__MERGE_MAX + YD__PIECES_MEMORY) * sizeof *m->pieces);
    if (m->outputs) yd_alloc_put(keeper->alloc, m->outputs, m->output_room * sizeof *m->outputs);
}

static int complete(struct yd_keeper *keeper, struct yd_store_change **ret_change, struct yd_trail *trail)
{
    struct yd__merge *m = &keeper->merge;
    uint64_t damaged = 0;
    for (uint32_t i = 0; i < m->input_count; i++) damaged += __atomic_load_n(&m->inputs[i]->damaged, __ATOMIC_RELAXED);
    struct yd__block *gone[YD__MERGE_MAX + 8];
    uint32_t gone_count = m->input_count;
    memcpy(gone, m->inputs, m->input_count * sizeof *gone);
    for (uint32_t i = 0; m->rolls && i < keeper->block_count && gone_count < YD_COUNT(gone); i++)
        if (keeper->blocks[i]->head.kind != YD__BLOCK_RAW && same_part(keeper->blocks[i], m->inputs[0]))
            gone[gone_count++] = keeper->blocks[i]; /* rows that these replace */
    int error = yd__keeper_replace(keeper, gone, gone_count, m->outputs, m->output_count, ret_change, trail);
    m->active = false; /* also if it failed: then its files are strays */
    if (error < 0) return error;
    keeper->counts.merges++;
    if (damaged > m->damaged)
        yd__keeper_say(keeper, "%s: %llu damaged places were met while merging; what was in them is gone",
                       keeper->folder, (unsigned long long)(damaged - m->damaged));
    return 1;
}

static void give_up(struct yd_keeper *keeper)
{
    struct yd__merge *m = &keeper->merge;
    /* Complete outputs that no manifest names: removed by the next manifest that stands. */
    for (uint32_t i = 0; i < m->output_count; i++) {
        if (yd__keeper_grow(keeper, (void **)&keeper->strays, keeper->stray_count, &keeper->stray_room,
                            sizeof *keeper->strays))
            break;
        keeper->strays[keeper->stray_count++] = m->outputs[i];
    }
    abandon(keeper);
}

int yd__merge_step(struct yd_keeper *keeper, struct yd_store_change **ret_change, struct yd_trail *trail)
{
    struct yd__merge *m = &keeper->merge;
    uint64_t cost = 0;
    int error = YD_OK;
    if (m->id == 0) open_pass(keeper);
    while (error >= 0 && cost < SLICE_UNITS) {
        m->id = next_id(m, m->id);
        if (m->id == UINT32_MAX) break;
        error = merge_series(keeper, m->id, &cost);
        if (error >= 0 && m->split) look_ahead(m, m->id);
        if (error >= 0 && m->writer && yd__block_written(m->writer) > OUTPUT_MAX) error = writer_close(keeper);
        m->id++;
        cost += 64 * m->input_count;
    }
    if (error >= 0 && m->id != UINT32_MAX) return 1;
    if (error >= 0) error = writer_close(keeper);
    if (error >= 0 && m->split && m->next != INT64_MAX) { /* the next part */
        m->from = m->next;
        m->next = INT64_MAX;
        m->id = 0;
        return 1;
    }
    if (error >= 0) error = rollups_close(keeper);
    if (error >= 0) return complete(keeper, ret_change, trail); /* its numbers are strays if it fails */
    (void)yd_trail_add(trail, error, "cannot merge blocks in %s: %s", keeper->folder, yd_error_text(error));
    give_up(keeper);
    return error;
}
