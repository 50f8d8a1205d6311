/* live/table_write.h: the writer's end of a current-value table (table_format.h).
 *
 *   yd_live_table_create ─▶ yd_live_table_add_bell … ─▶ yd_live_table_declare … ─▶ yd_live_table_publish …
 *
 * One thread at a time. Publishing is wait-free: a bounded number of steps whatever readers do, no allocation, no
 * system call while nobody waits. Names may be declared at any time; memory for them is reserved, and taken when they
 * come. */
#ifndef LIVE_TABLE_WRITE_H
#define LIVE_TABLE_WRITE_H

#include <yarder/live.h>

#include "base/alloc.h"
#include "live/bell.h"
#include "live/table_format.h"

#define YD_LIVE_BELLS_MAX 16

struct yd_live_table_options {
    uint64_t generation, id;
    int64_t now_ns;
    uint32_t capacity;   /* measurements; 0: 65,536 */
    uint64_t names_size; /* reserved for names; 0: 64 bytes for each */
    uint64_t cells_size; /* reserved for values; 0: 512 bytes for each */
    uint32_t slots;      /* N, a power of two; 0: 4 */
    bool is_dense;       /* cells without lines of their own */
    bool is_names;       /* names alone, without values */
    bool is_unsearched;  /* the caller declares each name once by himself: no index over them is kept */
};

struct yd_live_table;
/* What a value of such room takes of cells_size. */
static inline uint64_t yd_live_table_cell_size(uint32_t value_max, uint32_t slots, bool is_dense)
{
    uint64_t slot = yd__slot_size(value_max < 8 ? 8 : value_max, is_dense);
    return yd__cell_unit(is_dense) + slot * (slots ? slots : YD__TABLE_SLOTS);
}

int yd_live_table_create(const struct yd_live_table_options *options, struct yd_alloc *alloc,
                         struct yd_live_table **ret_table);
void yd_live_table_destroy(struct yd_live_table *table); /* bells stay the caller's; NULL is quiet */
/* From now on a client may sleep on it; rung with every publication. YD_EFULL: there are YD_LIVE_BELLS_MAX. */
int yd_live_table_add_bell(struct yd_live_table *table, struct yd_live_bell *bell);
void yd_live_table_remove_bell(struct yd_live_table *table, struct yd_live_bell *bell);

/* *ret_index of a name, known already (0) or new (1). value_size: room for a value; BOOL, I64, U64 and F64 have 8
 * whatever is said. A known name keeps its type and room: YD_EINVAL when more room is asked for than it has. YD_EFULL:
 * no room for the name or its values: a new generation is needed. YD_EINVAL: name. YD_ETOOBIG: value_size. */
int yd_live_table_declare(struct yd_live_table *table, struct yd_str name, enum yd_type type, uint32_t value_size,
                          uint32_t *ret_index);
/* Before READY: all names there are now were taken from the table of that generation, with their newest values as value
 * 1; those of its names that are not there were left out. So that its readers go on behind what they had got. */
void yd_live_table_set_copied(struct yd_live_table *table, uint64_t generation);
/* READY for readers; then yd_live_table_set_state tells them of an end. Rings all bells. */
void yd_live_table_set_state(struct yd_live_table *table, enum yd__live_state state);

/* A new value, complete before it is seen. YD_EINVAL: index; YD_ETOOBIG: does not fit the room declared. */
int yd_live_table_publish(struct yd_live_table *table, uint32_t index, int64_t time_ns, enum yd_type type,
                          uint16_t flags, const void *bytes, uint32_t size);
/* The same without ringing: for many, then yd_live_table_ring, which rings each word concerned once. Values are to be
 * read at once; only sleepers wait for the ring. */
int yd_live_table_set(struct yd_live_table *table, uint32_t index, int64_t time_ns, enum yd_type type, uint16_t flags,
                      const void *bytes, uint32_t size);
/* A scalar's bits. */
int yd_live_table_set_bits(struct yd_live_table *table, uint32_t index, int64_t time_ns, enum yd_type type,
                           uint16_t flags, uint64_t bits);
void yd_live_table_ring(struct yd_live_table *table);

const struct yd_live_region *yd_live_table_region(const struct yd_live_table *table);
/* As yd_live_region_forget_fd: once the only reader there will be has his. */
void yd_live_table_forget_fd(struct yd_live_table *table);
uint32_t yd_live_table_count(const struct yd_live_table *table);
/* YD_ENOENT, or the index. */
int yd_live_table_find(const struct yd_live_table *table, struct yd_str name, uint32_t *ret_index);
/* Sequence of the newest value of a measurement: how many were published. */
uint64_t yd_live_table_published(const struct yd_live_table *table, uint32_t index);

#endif
