/* Shared by the files of this floor only. */
#ifndef BATCH_BATCH_INTERNAL_H
#define BATCH_BATCH_INTERNAL_H

#include <yarder/batch.h>

#include "base/alloc.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the format is read in place: little-endian machines only");

#define YD__HEAP_ALIGN 8
#define YD__HEAP_TYPES (1u << YD_TEXT | 1u << YD_BLOB | 1u << YD_LIST | 1u << YD_MAP)

static inline uint64_t yd__heap_up(uint64_t size)
{
    return (size + (YD__HEAP_ALIGN - 1)) & ~(uint64_t)(YD__HEAP_ALIGN - 1);
}

/* What one pass over records tells. Start with YD__FACTS_EMPTY; chunks may follow each other. */
struct yd__facts {
    int64_t time_min, time_max, time_last;
    uint32_t kinds, types; /* bit sets */
    bool unsorted, bad;    /* bad: a name, kind, type, flag, or a scalar that cannot be */
};
#define YD__FACTS_EMPTY ((struct yd__facts){.time_min = INT64_MAX, .time_max = INT64_MIN, .time_last = INT64_MIN})
/* What yd__facts_add says of one record. */
bool yd__record_is_bad(const struct yd_record *record, uint32_t name_count);
void yd__facts_add(struct yd__facts *facts, const struct yd_record *records, uint32_t count, uint32_t name_count);

/* A body in a heap block of ours: this, then the bytes. */
struct yd__block {
    struct yd_body body;
    struct yd_alloc *alloc;
    size_t capacity; /* of the bytes */
};
static inline char *yd__block_data(struct yd__block *block)
{
    return (char *)(block + 1);
}
struct yd__block *yd__block_create(struct yd_alloc *alloc, size_t capacity);
/* NULL on failure: block is as it was. Only while nobody else has it. */
struct yd__block *yd__block_resize(struct yd__block *block, size_t capacity);
void yd__block_destroy(struct yd__block *block); /* one that was never handed out; NULL is quiet */

/* What a batch really is: it remembers where it came from. */
struct yd__box {
    struct yd_batch batch;
    struct yd_alloc *alloc;
};

/* Names from `first` on, up to the next run's. */
struct yd__origin_run {
    uint32_t first;
    uint8_t size;
    char text[62];
};
struct yd_origins {
    struct yd_alloc *alloc;
    uint32_t count; /* at least one */
    struct yd__origin_run runs[];
};
struct yd_origins *yd__origins_create(struct yd_alloc *alloc, const struct yd__origin_run *runs, uint32_t count);
void yd__origins_destroy(struct yd_origins *origins); /* NULL is quiet */
/* Of a part: names[old index] is the index in it, or YD_NO_NAME; `count` of them are. */
void yd__origins_select(const struct yd_batch *batch, const uint32_t *names, uint32_t count, struct yd_batch *part);

/* A batch around header and body, taking over the caller's reference to the body; on failure he keeps it. */
int yd__batch_wrap(struct yd_alloc *alloc, const struct yd_header *header, struct yd_body *body,
                   const struct yd_view *view, struct yd_batch **ret_batch);
/* These records, in this order, as a part of a stream's partition: with the whole's producer_*. */
int yd__batch_pick(const struct yd_batch *batch, const uint32_t *list, uint32_t count, struct yd_batch **ret_batch);

/* Fills what the producer sets, from the facts; header_crc last. Log's and producer's fields are zero. */
void yd__header_fill(struct yd_header *header, const struct yd__facts *facts, uint32_t count, uint32_t names,
                     uint32_t body_size, uint32_t body_crc);

/* The view of a body that we laid out ourselves. */
static inline struct yd_view yd__view_of(const void *data, uint32_t count, uint32_t names, uint32_t heap_size)
{
    struct yd_view view = {.records = data, .count = count, .name_count = names, .heap_size = heap_size};
    view.names = (const struct yd_name_entry *)(const void *)(view.records + count);
    view.heap = (const char *)(view.names + names);
    return view;
}

#endif
