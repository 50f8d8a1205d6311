/* store/internal.h: what the files of this floor share.
 *
 *   names ── slots ──► id ──► series head (64 bytes: the open stream's state) ──► label (metric, tags, name)
 *                                  │ open: stream of up to 256 points
 *                                  └ past: sealed chunks by time, and points out of order that wait
 *   index: metric → ids, (key, value) → ids, both rising
 */
#ifndef STORE_INTERNAL_H
#define STORE_INTERNAL_H

#include "base/hash.h"
#include "store/block.h"
#include "store/codec.h"
#include "store/cuts.h"
#include "store/history.h"

#define YD__NONE UINT32_MAX

/* An allocator that counts what it gives out, as the C library would round it. */
struct yd__meter {
    struct yd_alloc alloc;
    struct yd_alloc *below;
    uint64_t bytes;
};

/* What a series is called: never changes, freed with the series. */
struct yd__label {
    uint32_t metric;
    uint16_t tag_count, name_size;
    uint32_t hash; /* its high half: the slot's tag */
    uint32_t id;
    uint32_t pairs[]; /* in the name's order; then the name's bytes */
};
static inline struct yd_str yd__label_name(const struct yd__label *label)
{
    return (struct yd_str){(const char *)(label->pairs + label->tag_count), label->name_size};
}

struct yd__side { /* a point out of order */
    int64_t time;
    uint64_t bits;
    uint8_t type;
    bool counted; /* as duplicate */
};
struct yd__past {
    uint32_t count, room;
    struct yd__side *side; /* by time */
    uint16_t side_count, side_room;
    struct yd__chunk *chunks[]; /* by time, apart from each other */
};

/* The hot state: one cache line a series. */
struct yd__series {
    struct yd__stream stream; /* .time: of the newest point ever; INT64_MIN before the first */
    uint8_t *open;
    int64_t first;           /* time of the open stream's first point */
    struct yd__label *label; /* NULL: no such series (any more) */
    struct yd__past *past;
};
_Static_assert(sizeof(struct yd__series) == 64, "one line");

/* What one place holds of a series at some time (read.h). */
struct yd__piece {
    int64_t first, last;
    int64_t begin;                 /* of a block: what is before is forgotten */
    struct yd__block *block;       /* with entry */
    const struct yd__entry *entry; /* of a block */
    const struct yd__chunk *chunk; /* in memory */
    const struct yd__series *stream;
    const struct yd__past *side; /* points beside, from `from` on */
    uint32_t from;
};
#define YD__PIECES_MEMORY 2 /* chunk or open stream, and points beside */

#define YD__PAGE 4096 /* series of a page */

struct yd__posting { /* ids, rising */
    uint32_t *ids;
    uint32_t count, room;
};
struct yd__pair { /* a key with a value */
    uint32_t key, value;
    uint32_t ordinal; /* among its key's pairs */
    struct yd__posting series;
};
struct yd__slot {
    uint32_t tag, id_plus;
};
/* The name that was added last. Neither metrics nor pairs ever go. */
struct yd__recent {
    uint32_t metric; /* YD__NONE: none yet */
    uint32_t count, pairs[8];
};
struct yd__index {
    struct yd_alloc *alloc;
    struct yd__recent recent;
    struct yd__slot *slots; /* by the tag's top bits, so that doubling keeps their order */
    unsigned slot_bits;
    struct yd_intern metrics, keys, values;
    struct yd__posting *metric_series; /* by metric */
    struct yd__posting *key_pairs;     /* by key: pairs in order of coming */
    struct yd__pair *pairs;
    uint32_t *pair_slots; /* pair + 1 */
    uint32_t metric_room, key_room, pair_room, pair_count, pair_bits;
    uint32_t dead; /* ids in postings whose series are gone, about */
};

struct yd__oldest {
    int64_t key; /* not above the last time of the series' oldest chunk */
    uint32_t id;
};
struct yd__heap { /* series by age, built when something must go for the first time */
    struct yd__oldest *entries;
    uint32_t *places; /* by id; YD__NONE: not in */
    uint32_t count, room, place_room;
    bool built;
};

/* Points on their way into a block, and what goes with them (flush.c). */
struct yd__flush {
    enum { YD__FLUSH_IDLE, YD__FLUSH_TAKING, YD__FLUSH_WRITING, YD__FLUSH_STORED, YD__FLUSH_FAILED } phase;
    uint32_t next, limit; /* ids: where the walk is, and where it ends */
    uint32_t named;       /* ids below this have had their names stored */
    uint32_t naming;      /* … or are on their way */
    uint32_t *dead;       /* ids below `naming` that went and are not yet stored as gone */
    uint32_t dead_count, dead_room, dead_taken;
    struct yd__cuts cuts; /* not yet stored, or on their way */
    uint32_t cuts_taken;
    bool sweeping; /* a block went: series may be without points now */
    uint32_t sweep;
    uint64_t residue; /* bytes of columns that the last one left in memory */
};

struct yd__note;
struct yd__notes { /* annotations, sorted: global ones first, then by tsuid, by start (notes.h) */
    struct yd__note **items;
    uint32_t count, room;
    uint64_t bytes, lost;
    bool changed;
};

struct yd_history {
    struct yd_history_options options;
    struct yd__meter index_meter, column_meter;
    struct yd__index index;
    struct yd__series **pages;
    uint16_t *page_live;
    uint32_t page_count, page_room;
    uint32_t id_count, live; /* ids given so far; series there are */
    struct yd__heap heap;
    struct yd_history_counts counts;
    int64_t newest;      /* for keep_ns */
    uint64_t generation; /* changes when a series goes */
    /* of the batch being folded: name → id */
    uint32_t *map;
    uint32_t map_room;
    const struct yd_batch *map_batch;
    uint32_t map_next, map_crc, map_count;
    uint32_t last_found; /* id */
    bool in_order;       /* names come in the order of their ids */
    struct yd__points *scratch[4];
    /* on disk */
    struct yd__block **blocks; /* of two with a point of one time the later in here wins */
    uint32_t block_count, block_room;
    bool has_rows;            /* some blocks are rollups */
    struct yd__cuts cuts;     /* what of them is forgotten */
    struct yd__piece *pieces; /* a window's: block_room and YD__PIECES_MEMORY */
    struct yd__flush flush;
    bool unflushed; /* something was folded since the last flush began */
    struct yd__notes notes;
};

static inline struct yd__series *yd__series_at(const struct yd_history *history, uint32_t id)
{
    return &history->pages[id / YD__PAGE][id % YD__PAGE];
}
/* NULL: it is gone. */
static inline struct yd__series *yd__series_get(const struct yd_history *history, uint32_t id)
{
    struct yd__series *page = history->pages[id / YD__PAGE];
    return page && page[id % YD__PAGE].label ? &page[id % YD__PAGE] : NULL;
}
static inline uint64_t yd__memory(const struct yd_history *history)
{
    return history->index_meter.bytes + history->column_meter.bytes;
}
static inline bool yd__series_holds(const struct yd__series *series)
{
    return series->stream.count || (series->past && (series->past->count || series->past->side_count));
}

/* series.c */
/* The slow half of an append: opens, grows, seals, or sets aside. YD_ENOMEM leaves all as it was. */
int yd__series_append(struct yd_history *history, uint32_t id, int64_t time, uint8_t type, uint64_t bits);
/* The last time of the oldest chunk (or stream); false: it holds nothing. */
bool yd__series_oldest(const struct yd__series *series, int64_t *ret_time);
/* Drops the oldest chunk (or stream) and what waits beside it; counts. */
void yd__series_evict(struct yd_history *history, uint32_t id);
void yd__series_clear(struct yd_history *history, struct yd__series *series); /* all of its points, uncounted */
uint64_t yd__series_points(const struct yd__series *series);
int yd__series_seal(struct yd_history *history, struct yd__series *series); /* the open stream becomes a chunk */
int yd__series_merge(struct yd_history *history, uint32_t id);              /* points beside go where they belong */
void yd__series_chunk_free(struct yd_history *history, struct yd__chunk *chunk);
void yd__series_past_free(struct yd_history *history, struct yd__series *series); /* it holds nothing */
void yd__series_open_free(struct yd_history *history, struct yd__series *series);
/* The first chunk that ends at `time` or later; the first point beside at `time` or later. */
uint32_t yd__chunk_find(const struct yd__past *past, int64_t time);
uint32_t yd__side_find(const struct yd__past *past, int64_t time);

/* read.c */
/* Time of the newest point, its type and bits. */
bool yd__series_last(struct yd_history *history, const struct yd__series *series, int64_t *ret_time, uint8_t *ret_type,
                     uint64_t *ret_bits);
/* The points from *from to `to`, a chunk's worth at a time and never none: false when there are no more. *from moves
 * behind what was read; *done is set when nothing can follow. */
struct yd__cursor {
    int64_t from, to;
    bool done;
};
bool yd__series_numbers(struct yd_history *history, const struct yd__series *series, struct yd__cursor *cursor,
                        struct yd__numbers *ret);
bool yd__series_exact(struct yd_history *history, const struct yd__series *series, struct yd__cursor *cursor,
                      struct yd__points *ret);
/* False: surely no point in [from, to]. */
bool yd__blocks_may_have(const struct yd_history *history, uint32_t id, int64_t from, int64_t to);
static inline bool yd__series_may_have(const struct yd_history *history, const struct yd__series *series, int64_t from,
                                       int64_t to)
{
    if (series->stream.time >= from) {
        if (series->past && (series->past->count || series->past->side_count)) return true;
        if (series->stream.count && series->first <= to) return true;
    }
    return history->block_count && yd__blocks_may_have(history, series->label->id, from, to);
}

/* heap.c */
int yd__store_heap_add(struct yd_history *history, uint32_t id, int64_t key); /* when built and not in; YD_ENOMEM */
void yd__heap_fix(struct yd_history *history, uint32_t id); /* its oldest chunk may have become older */
void yd__store_heap_remove(struct yd_history *history, uint32_t id);
/* Drops chunks, oldest first, until memory is below `memory_max` and none is older than `time`. */
int yd__heap_evict(struct yd_history *history, uint64_t memory_max, int64_t time);
void yd__heap_fini(struct yd_history *history);

/* What is to be read of blocks before a query's steps. */
struct yd_warming {
    struct yd_alloc *alloc;
    struct yd__block **blocks;
    uint32_t *ids;
    uint32_t block_count, block_room, id_count;
    int64_t from, to;
};

/* flush.c */
void yd__flush_gone(struct yd_history *history, uint32_t id); /* a series left the index */
void yd__flush_fini(struct yd_history *history);

/* notes.c */
/* Those of the series that have joined, starting within [from, to], by start; an array of exactly *ret_count. */
int yd__notes_of(struct yd_history *history, const uint32_t *ids, const uint32_t *joined, uint32_t count, int64_t from,
                 int64_t to, struct yd__note ***ret_notes, uint32_t *ret_count);
struct yd_note;
struct yd_note yd__note_view(const struct yd__note *note);
/* A series is forgotten, or what it had before `until` (INT64_MAX: all): so are its annotations that start there. */
void yd__notes_cut(struct yd_history *history, uint64_t tsuid, int64_t until);
void yd__notes_fini(struct yd_history *history);

/* index.c */
void yd__index_init(struct yd__index *index, struct yd_alloc *alloc);
void yd__index_fini(struct yd__index *index);
static inline void yd__index_prefetch(const struct yd__index *index, uint64_t hash)
{
    if (index->slots) __builtin_prefetch(&index->slots[(uint32_t)(hash >> 32) >> (32 - index->slot_bits)]);
}
/* The id that the first slot of this hash suggests, for prefetching; YD__NONE. */
static inline uint32_t yd__index_guess(const struct yd__index *index, uint64_t hash)
{
    if (!index->slots) return YD__NONE;
    return index->slots[(uint32_t)(hash >> 32) >> (32 - index->slot_bits)].id_plus - 1;
}
uint32_t yd__index_find(const struct yd_history *history, struct yd_str name, uint64_t hash);
uint32_t yd__index_find_hash(const struct yd_history *history, uint64_t hash); /* whoever has it first; YD__NONE */
/* A new series, not yet there: `name` is what the canonical `text` says, `hash` its XXH3, `id` above all given so far.
 * YD_EFULL: refused; YD_ENOMEM. */
struct yd_name;
int yd__index_add(struct yd_history *history, const struct yd_name *name, struct yd_str text, uint64_t hash,
                  uint32_t id);
/* One that has an id, above all given so far. YD_EFORMAT, YD_ENOMEM. */
int yd__index_restore(struct yd_history *history, struct yd_str name, uint32_t id);
void yd__index_remove(struct yd_history *history, uint32_t id); /* the series holds nothing any more */
uint32_t yd__index_pair(const struct yd__index *index, uint32_t key, uint32_t value); /* YD__NONE */
static inline struct yd_str yd__pair_value(const struct yd__index *index, uint32_t pair)
{
    return index->values.strings[index->pairs[pair].value];
}

#endif
