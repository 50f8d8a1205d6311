/* The history's half of keeping: what is in memory leaves it for a block; see keeper.h for the way.
 *
 *   TAKING   ids in order: points beside are merged, the open stream is sealed, each chunk is copied into a piece and
 *            marked as leaving. It stays readable: until the block is installed it is only here.
 *   WRITING  the keeper writes
 *   STORED   ids once more: chunks that are marked are dropped; what was merged into since is not marked any more, it
 *            stays and goes with the next flush
 *   FAILED   the marks are taken off
 *
 * What can fail: memory; then the step is called again. */
#include "store/flush.h"
#include "store/internal.h"

#define PIECE       (1 << 20)
#define SLICE_UNITS 100000 /* of about 10 ns */
#define COST_IDLE   1
#define COST_CHUNK  60
#define COST_NAME   10

void yd__flush_fini(struct yd_history *history)
{
    struct yd__flush *flush = &history->flush;
    yd_alloc_put(&history->index_meter.alloc, flush->dead, flush->dead_room * sizeof *flush->dead);
    flush->dead = NULL;
    yd__cuts_fini(&flush->cuts, &history->index_meter.alloc);
}

void yd__flush_gone(struct yd_history *history, uint32_t id)
{
    struct yd__flush *flush = &history->flush;
    if (!history->options.durable || id >= flush->naming) return;
    if (flush->dead_count == flush->dead_room) {
        uint32_t room = flush->dead_room ? flush->dead_room * 2 : 16;
        uint32_t *dead = yd_alloc_resize(&history->index_meter.alloc, flush->dead, flush->dead_room * sizeof *dead,
                                         room * sizeof *dead);
        if (!dead)
            return; /* it comes back with the next start, without its newest points' series: as if forgotten late */
        flush->dead = dead;
        flush->dead_room = room;
    }
    flush->dead[flush->dead_count++] = id;
}

/* ---- pieces ---- */

void yd_flush_piece_free(struct yd_flush_piece *piece)
{
    if (!piece) return;
    yd_buf_fini(&piece->names);
    yd_buf_fini(&piece->dead);
    yd_buf_fini(&piece->cuts);
    yd_buf_fini(&piece->chunks);
    yd_alloc_put(piece->alloc, piece, sizeof *piece);
}

static struct yd_flush_piece *piece_create(struct yd_alloc *alloc)
{
    struct yd_flush_piece *piece = yd_alloc_zero(alloc, sizeof *piece);
    if (!piece) return NULL;
    piece->alloc = alloc;
    yd_buf_init(&piece->names, alloc);
    yd_buf_init(&piece->dead, alloc);
    yd_buf_init(&piece->cuts, alloc);
    yd_buf_init(&piece->chunks, alloc);
    return piece;
}

/* ---- taking ---- */

static uint64_t columns_max(const struct yd_history *history)
{
    uint64_t max = history->options.memory_max, index = history->index_meter.bytes;
    return index < max ? max - index : 0;
}

/* What a flush cannot set free, open streams above all, neither asks for the next one nor stops the folding. */
static bool above(const struct yd_history *history, uint64_t limit)
{
    uint64_t bytes = history->column_meter.bytes;
    return bytes > limit && bytes > history->flush.residue + columns_max(history) / 8;
}

bool yd_history_wants_flush(const struct yd_history *history)
{
    return above(history, columns_max(history) / 2);
}

bool yd_history_is_full(const struct yd_history *history)
{
    return above(history, columns_max(history));
}

int64_t yd_history_newest(const struct yd_history *history)
{
    return history->newest;
}

bool yd_history_has_unflushed(const struct yd_history *history)
{
    return history->unflushed || history->flush.dead_count || history->flush.cuts.count;
}

void yd_history_flush_begin(struct yd_history *history)
{
    struct yd__flush *flush = &history->flush;
    YD_ASSERT(flush->phase == YD__FLUSH_IDLE);
    flush->phase = YD__FLUSH_TAKING;
    flush->next = 0;
    flush->limit = history->id_count;
    flush->naming = flush->limit;
    flush->dead_taken = flush->dead_count;
    flush->cuts_taken = flush->cuts.count;
    history->unflushed = false;
}

static int take_series(struct yd_history *history, struct yd__series *series, struct yd_flush_piece *piece,
                       uint32_t *cost)
{
    uint32_t id = series->label->id;
    int error = YD_OK;
    *cost += COST_IDLE;
    if (series->past && series->past->side_count) error = yd__series_merge(history, id);
    if (!error && series->stream.count)
        error = yd__series_seal(history, series);
    else if (!error && series->open)
        yd__series_open_free(history, series); /* idle since the last flush */
    if (error) return error;
    const struct yd__past *past = series->past;
    for (uint32_t i = 0; past && i < past->count; i++) {
        struct yd__chunk *chunk = past->chunks[i];
        size_t before = piece->chunks.size;
        yd_buf_add(&piece->chunks, &id, sizeof id);
        yd_buf_add(&piece->chunks, chunk, sizeof *chunk + chunk->size);
        if (piece->chunks.failed) {
            piece->chunks.size = before; /* what was taken before it stays good */
            piece->chunks.failed = false;
            return YD_ENOMEM;
        }
        chunk->leaving = 1;
        *cost += COST_CHUNK;
    }
    return YD_OK;
}

static int take_name(const struct yd__label *label, struct yd_flush_piece *piece)
{
    struct yd_str name = yd__label_name(label);
    uint16_t size = (uint16_t)name.size;
    size_t before = piece->names.size;
    yd_buf_add(&piece->names, &label->id, sizeof label->id);
    yd_buf_add(&piece->names, &size, sizeof size);
    yd_buf_str(&piece->names, name);
    if (!piece->names.failed) return YD_OK;
    piece->names.size = before;
    piece->names.failed = false;
    return YD_ENOMEM;
}

static size_t sizes(const struct yd_flush_piece *piece)
{
    return piece->chunks.size + piece->names.size + piece->dead.size + piece->cuts.size;
}

int yd_history_flush_step(struct yd_history *history, struct yd_flush_piece **ret_piece)
{
    struct yd__flush *flush = &history->flush;
    uint32_t cost = 0;
    int error = YD_OK;
    *ret_piece = NULL;
    YD_ASSERT(flush->phase == YD__FLUSH_TAKING);
    struct yd_flush_piece *piece = piece_create(history->options.alloc);
    if (!piece) return YD_ENOMEM;
    if (flush->next == 0) {
        if (flush->dead_taken) yd_buf_add(&piece->dead, flush->dead, flush->dead_taken * sizeof *flush->dead);
        if (flush->cuts_taken)
            yd_buf_add(&piece->cuts, flush->cuts.items, flush->cuts_taken * sizeof *flush->cuts.items);
        if (piece->dead.failed || piece->cuts.failed) {
            yd_flush_piece_free(piece);
            return YD_ENOMEM;
        }
    }
    while (!error && flush->next < flush->limit && cost < SLICE_UNITS &&
           piece->chunks.size + piece->names.size < PIECE) {
        uint32_t id = flush->next;
        if (!history->pages[id / YD__PAGE]) {
            flush->next = YD_MIN((id / YD__PAGE + 1) * YD__PAGE, flush->limit);
            continue;
        }
        struct yd__series *series = yd__series_get(history, id);
        if (series) {
            /* A series that is half taken is taken again as a whole: its chunks may then be in the piece twice. */
            size_t chunks = piece->chunks.size, names = piece->names.size;
            if (id >= flush->named) {
                error = take_name(series->label, piece);
                cost += COST_NAME;
            }
            if (!error) error = take_series(history, series, piece, &cost);
            if (error) {
                piece->chunks.size = chunks;
                piece->names.size = names;
                break;
            }
        }
        flush->next++;
    }
    if (error && sizes(piece) == 0) {
        yd_flush_piece_free(piece);
        return error;
    }
    /* An empty piece is handed on, too, if it is the first with the dead and the cuts; others are not. */
    if (sizes(piece) == 0) {
        yd_flush_piece_free(piece);
        piece = NULL;
    }
    *ret_piece = piece;
    if (flush->next < flush->limit) return 1;
    flush->phase = YD__FLUSH_WRITING;
    return 0;
}

/* ---- afterwards ---- */

void yd_history_flush_end(struct yd_history *history, bool stored)
{
    struct yd__flush *flush = &history->flush;
    flush->phase = stored ? YD__FLUSH_STORED : YD__FLUSH_FAILED;
    flush->next = 0;
    if (stored) {
        flush->named = flush->naming;
        flush->dead_count -= flush->dead_taken;
        if (flush->dead_count)
            memmove(flush->dead, flush->dead + flush->dead_taken, flush->dead_count * sizeof *flush->dead);
        struct yd__cuts *cuts = &flush->cuts;
        cuts->count -= flush->cuts_taken;
        if (cuts->count) memmove(cuts->items, cuts->items + flush->cuts_taken, cuts->count * sizeof *cuts->items);
    } else {
        history->unflushed = true;
    }
    flush->dead_taken = flush->cuts_taken = 0;
}

static void settle_series(struct yd_history *history, struct yd__series *series, bool stored)
{
    struct yd__past *past = series->past;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < past->count; i++) {
        struct yd__chunk *chunk = past->chunks[i];
        if (stored && chunk->leaving) {
            yd__series_chunk_free(history, chunk);
            continue;
        }
        chunk->leaving = 0;
        past->chunks[kept++] = chunk;
    }
    past->count = kept;
    if (!kept && !past->side_count) yd__series_past_free(history, series);
}

static bool has_points(const struct yd_history *history, const struct yd__series *series)
{
    return yd__series_holds(series) || yd__blocks_may_have(history, series->label->id, INT64_MIN, INT64_MAX);
}

int yd_history_settle(struct yd_history *history)
{
    struct yd__flush *flush = &history->flush;
    uint32_t cost = 0;
    bool marks = flush->phase == YD__FLUSH_STORED || flush->phase == YD__FLUSH_FAILED;
    while (marks && flush->next < flush->limit && cost < SLICE_UNITS) {
        struct yd__series *series = yd__series_get(history, flush->next++);
        cost += COST_IDLE;
        if (!series || !series->past) continue;
        settle_series(history, series, flush->phase == YD__FLUSH_STORED);
        cost += COST_CHUNK / 4;
    }
    if (marks && flush->next >= flush->limit) {
        if (flush->phase == YD__FLUSH_STORED) flush->residue = history->column_meter.bytes;
        flush->phase = YD__FLUSH_IDLE;
        marks = false;
    }
    while (!marks && flush->sweeping && cost < SLICE_UNITS) {
        if (flush->sweep >= history->id_count) {
            flush->sweeping = false;
            break;
        }
        struct yd__series *series = yd__series_get(history, flush->sweep++);
        cost += COST_IDLE;
        if (!series) continue;
        cost += history->block_count;
        if (!has_points(history, series)) yd__index_remove(history, series->label->id);
    }
    return marks || flush->sweeping;
}

void yd_history_blocks(const struct yd_history *history, struct yd_history_blocks *ret)
{
    *ret = (struct yd_history_blocks){.blocks = history->block_count};
    for (uint32_t i = 0; i < history->block_count; i++) {
        const struct yd__block *block = history->blocks[i];
        ret->bytes += block->size;
        *(block->head.kind == YD__BLOCK_RAW ? &ret->points : &ret->rows) += block->head.points;
        ret->damaged += __atomic_load_n(&block->damaged, __ATOMIC_RELAXED);
    }
}

const char *yd_history_damage(const struct yd_history *history, uint64_t *seen)
{
    const char *path = NULL;
    uint64_t total = 0;
    for (uint32_t i = 0; i < history->block_count; i++) {
        uint64_t damaged = __atomic_load_n(&history->blocks[i]->damaged, __ATOMIC_RELAXED);
        if (damaged && (!path || total + damaged > *seen)) path = history->blocks[i]->path;
        total += damaged;
    }
    bool more = total > *seen;
    *seen = total;
    return more ? path : NULL;
}

int yd_history_install(struct yd_history *history, const struct yd_store_change *change)
{
    if (change->count > history->block_room) {
        uint32_t room = change->count + 16;
        struct yd_alloc *alloc = history->options.alloc;
        struct yd__block **blocks = yd_alloc_get(alloc, room * sizeof *blocks);
        struct yd__piece *pieces = yd_alloc_get(alloc, ((size_t)room + YD__PIECES_MEMORY) * sizeof *pieces);
        if (!blocks || !pieces) {
            if (blocks) yd_alloc_put(alloc, blocks, room * sizeof *blocks);
            if (pieces) yd_alloc_put(alloc, pieces, ((size_t)room + YD__PIECES_MEMORY) * sizeof *pieces);
            return YD_ENOMEM;
        }
        if (history->blocks) yd_alloc_put(alloc, history->blocks, history->block_room * sizeof *blocks);
        yd_alloc_put(alloc, history->pieces,
                     ((size_t)history->block_room + YD__PIECES_MEMORY) * sizeof *history->pieces);
        history->blocks = blocks;
        history->pieces = pieces;
        history->block_room = room;
    }
    struct yd_history_counts *counts = &history->counts;
    history->has_rows = false;
    for (uint32_t i = 0; i < change->count; i++) {
        history->has_rows |= change->blocks[i]->head.kind != YD__BLOCK_RAW;
        const struct yd__block_header *head = &change->blocks[i]->head;
        history->blocks[i] = change->blocks[i];
        counts->time_min = YD_MIN(counts->time_min, head->time_min);
        counts->time_max = YD_MAX(counts->time_max, head->time_max);
    }
    history->block_count = change->count;
    if (change->points_gone) {
        history->flush.sweeping = true;
        history->flush.sweep = 0;
    }
    return YD_OK;
}
