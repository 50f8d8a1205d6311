/* live/table_read.h: a reader's end of a current-value table (table_format.h). libc only, no allocation; a table and
 * its cells are read-only and may be used by any number of threads; a cursor belongs to one. */
#ifndef LIVE_TABLE_READ_H
#define LIVE_TABLE_READ_H

#include <yarder/live.h>

#include "live/region_read.h"
#include "live/table_format.h"

struct yd_live_table_view {
    const struct yd__table *table;
    const struct yd__table_entry *directory;
    const char *names, *cells;
    uint64_t names_size, cells_size;
    uint64_t copied_from; /* generation whose names and newest values the first `copied` entries began with */
    uint32_t capacity, copied;
};

/* One measurement, its entry checked and copied: what lies in shared memory is not believed twice. */
struct yd_live_cell {
    const uint64_t *head;
    const uint64_t *slots;
    uint32_t slot_words, slot_mask;
    uint32_t value_size; /* room: enough for any of its values */
    uint32_t index;
    uint16_t bell;
    uint8_t type; /* as declared */
};

/* What a reader knows of a measurement. Zeroed: nothing yet. */
struct yd_live_cursor {
    uint64_t seq; /* of the value got last */
};

/* `mapping` is of kind TABLE and stays the caller's. YD_EFORMAT: what it says does not fit its size. */
int yd_live_table_view_open(const struct yd_live_mapping *mapping, struct yd_live_table_view *ret_view);
uint32_t yd_live_table_view_count(const struct yd_live_table_view *view);
/* YD_ENOENT: index not below count, or no cell: a name alone. YD_EFORMAT: a damaged entry. The name lies in the region,
 * never terminated. */
int yd_live_table_view_cell(const struct yd_live_table_view *view, uint32_t index, struct yd_live_cell *ret_cell);
int yd_live_table_view_name(const struct yd_live_table_view *view, uint32_t index, const char **ret_name,
                            uint32_t *ret_size);
/* Looks through the directory from `from` on (0: all of it). YD_ENOENT. */
int yd_live_table_view_find(const struct yd_live_table_view *view, const char *name, uint32_t size, uint32_t from,
                            uint32_t *ret_index);
/* Chain of the names up to and with `index`: equal in a new generation means the same indexes. YD_ENOENT. */
int yd_live_table_view_chain(const struct yd_live_table_view *view, uint32_t index, uint64_t *ret_chain);
uint64_t yd__live_fnv(uint64_t hash, const void *bytes, size_t size);
#define YD__LIVE_FNV_START UINT64_C(0xcbf29ce484222325)

/* Is there something newer than what was got? One load. */
static inline int yd_live_cell_changed(const struct yd_live_cell *cell, const struct yd_live_cursor *cursor)
{
    return __atomic_load_n(cell->head, __ATOMIC_RELAXED) != cursor->seq;
}

/* The newest value: 1 and *ret_value, its bytes in `to` (which has `room`; more are cut off, ret_value->size says how
 * many there are; NULL for scalars). 0: nothing newer than what was got; outputs untouched. YD_EAGAIN: it never had a
 * value. YD_EBUSY: overtaken a thousand times in a row. YD_EFORMAT: damaged. */
int yd_live_cell_get(const struct yd_live_cell *cell, struct yd_live_cursor *cursor, void *to, uint32_t room,
                     struct yd_live_value *ret_value);
/* The value after the one got last, or the oldest that is still there: `missed` is exactly how many were overwritten in
 * between. The first call begins with the oldest that is there. Otherwise as get. */
int yd_live_cell_next(const struct yd_live_cell *cell, struct yd_live_cursor *cursor, void *to, uint32_t room,
                      struct yd_live_value *ret_value);

#endif
