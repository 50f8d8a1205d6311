/* live/table_read.c: reading current values. libc only.
 *
 *   head, acquire ─▶ slot.seq is what is wanted, acquire ─▶ words ─ acquire fence ─▶ slot.seq is still that: good
 *
 * Sequences are compared by difference. A copy fails only when the writer came round to that very slot meanwhile, with
 * N slots N-1 values later; then head is read again. A dead writer stops nothing: head names a complete value always.
 */
#include "live/table_read.h"

#include <yarder/error.h>

#include "live/atomic.h"
#include "live/bell_format.h"

#define TRIES_MAX  1000
#define NEXT_TRIES 8 /* at the oldest value, before going to the newest */

uint64_t yd__live_fnv(uint64_t hash, const void *bytes, size_t size)
{
    const unsigned char *at = (const unsigned char *)bytes;
    for (size_t i = 0; i < size; i++) hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    return hash;
}

int yd_live_table_view_open(const struct yd_live_mapping *mapping, struct yd_live_table_view *ret_view)
{
    const struct yd__table *table = (const struct yd__table *)mapping->header;
    uint64_t places[5]; /* directory_offset … cells_size */
    yd__copy_once(places, &table->directory_offset, sizeof places);
    uint64_t directory = places[0], names = places[1], names_size = places[2], cells = places[3],
             cells_size = places[4];
    uint32_t capacity = __atomic_load_n(&table->capacity, __ATOMIC_RELAXED); /* once, too */
    if (capacity == 0 || capacity > YD__TABLE_CAPACITY_MAX ||
        !yd__live_inside(mapping->size, directory, (uint64_t)capacity * sizeof(struct yd__table_entry),
                         YD__LIVE_LINE) ||
        !yd__live_inside(mapping->size, names, names_size, 1) ||
        !yd__live_inside(mapping->size, cells, cells_size, YD__LIVE_LINE))
        return YD_EFORMAT;
    *ret_view =
        (struct yd_live_table_view){.table = table,
                                    .directory = (const struct yd__table_entry *)((const char *)table + directory),
                                    .names = (const char *)table + names,
                                    .cells = (const char *)table + cells,
                                    .names_size = names_size,
                                    .cells_size = cells_size,
                                    .copied_from = __atomic_load_n(&table->copied_from, __ATOMIC_RELAXED),
                                    .capacity = capacity,
                                    .copied = __atomic_load_n(&table->copied, __ATOMIC_RELAXED)};
    return 0;
}

uint32_t yd_live_table_view_count(const struct yd_live_table_view *view)
{
    /* Pairs with the release in write_entry (table_write.c): entries below it are complete. */
    uint32_t count = yd__load(&view->table->count, ACQUIRE);
    return count > view->capacity ? view->capacity : count;
}

int yd_live_table_view_cell(const struct yd_live_table_view *view, uint32_t index, struct yd_live_cell *ret_cell)
{
    if (index >= yd_live_table_view_count(view)) return YD_ENOENT;
    struct yd__table_entry entry;
    yd__copy_once(&entry, &view->directory[index], sizeof entry);
    unsigned log2 = entry.shape & YD__SHAPE_LOG2;
    int is_dense = (entry.shape & YD__SHAPE_DENSE) != 0;
    if (entry.value_size == 0) return YD_ENOENT;
    if (log2 < 1 || log2 > 10 || entry.value_size < 8 || entry.value_size > YD__TABLE_VALUE_MAX) return YD_EFORMAT;
    uint32_t unit = yd__cell_unit(is_dense), slot_size = yd__slot_size(entry.value_size, is_dense);
    uint64_t offset = (uint64_t)entry.cell * unit, size = unit + ((uint64_t)slot_size << log2);
    if (offset > view->cells_size || size > view->cells_size - offset) return YD_EFORMAT;
    const uint64_t *cell = (const uint64_t *)(const void *)(view->cells + offset);
    *ret_cell = (struct yd_live_cell){.head = cell,
                                      .slots = cell + unit / 8,
                                      .slot_words = slot_size / 8,
                                      .slot_mask = (UINT32_C(1) << log2) - 1,
                                      .value_size = entry.value_size,
                                      .index = index,
                                      .bell = yd__bell_of(entry.name_hash),
                                      .type = entry.type};
    return 0;
}

int yd_live_table_view_name(const struct yd_live_table_view *view, uint32_t index, const char **ret_name,
                            uint32_t *ret_size)
{
    if (index >= yd_live_table_view_count(view)) return YD_ENOENT;
    struct yd__table_entry entry;
    yd__copy_once(&entry, &view->directory[index], sizeof entry);
    uint64_t offset = entry.name_offset;
    uint32_t size = entry.name_size;
    if (size > YD__TABLE_NAME_MAX || offset > view->names_size || size > view->names_size - offset) return YD_EFORMAT;
    *ret_name = view->names + offset;
    *ret_size = size;
    return 0;
}

int yd_live_table_view_find(const struct yd_live_table_view *view, const char *name, uint32_t size, uint32_t from,
                            uint32_t *ret_index)
{
    uint64_t hash = yd__live_fnv(YD__LIVE_FNV_START, name, size);
    uint32_t count = yd_live_table_view_count(view);
    for (uint32_t index = from; index < count; index++) {
        if (view->directory[index].name_hash != hash) continue;
        const char *known;
        uint32_t known_size;
        if (yd_live_table_view_name(view, index, &known, &known_size)) continue;
        if (known_size != size || memcmp(known, name, size) != 0) continue;
        *ret_index = index;
        return 0;
    }
    return YD_ENOENT;
}

int yd_live_table_view_chain(const struct yd_live_table_view *view, uint32_t index, uint64_t *ret_chain)
{
    if (index >= yd_live_table_view_count(view)) return YD_ENOENT;
    *ret_chain = view->directory[index].chain;
    return 0;
}

/* Value `seq`, if it is still there: 1; 0: it is not, or not any more. */
static int copy_slot(const struct yd_live_cell *cell, uint64_t seq, void *to, uint32_t room,
                     struct yd_live_value *ret_value)
{
    const uint64_t *slot = cell->slots + (size_t)(seq & cell->slot_mask) * cell->slot_words;
    /* Pairs with the release of seq in end_slot (table_write.c): the words of that value are there. */
    if (yd__load(&slot[YD__SLOT_SEQ], ACQUIRE) != seq) return 0;
    int64_t time_ns = (int64_t)yd__load(&slot[YD__SLOT_TIME], RELAXED);
    uint64_t meta = yd__load(&slot[YD__SLOT_META], RELAXED);
    uint64_t bits = yd__load(&slot[YD__SLOT_VALUE], RELAXED);
    uint32_t size = YD__META_SIZE(meta);
    if (size > cell->value_size) size = cell->value_size; /* torn or damaged: told below */
    if (size > room) size = room;
    if (to) yd__words_out(to, slot + YD__SLOT_VALUE, size);
    /* Pairs with the release fence in begin_slot: if any word above came from a later value, seq is not `seq` any more.
     * Without it the load below could be done before them. */
    yd__fence(ACQUIRE);
    if (yd__load(&slot[YD__SLOT_SEQ], RELAXED) != seq) return 0;
    if (YD__META_SIZE(meta) > cell->value_size) return YD_EFORMAT;
    ret_value->seq = seq;
    ret_value->bits = YD__META_SIZE(meta) ? bits : 0; /* of an empty one nothing was written there */
    ret_value->time_ns = time_ns;
    ret_value->size = YD__META_SIZE(meta);
    ret_value->flags = YD__META_FLAGS(meta);
    ret_value->type = YD__META_TYPE(meta);
    return 1;
}

int yd_live_cell_get(const struct yd_live_cell *cell, struct yd_live_cursor *cursor, void *to, uint32_t room,
                     struct yd_live_value *ret_value)
{
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        /* Pairs with the release of head in end_slot: the slot it names is complete, or was overwritten since. */
        uint64_t head = yd__load(cell->head, ACQUIRE);
        if (head == cursor->seq) return head ? 0 : YD_EAGAIN;
        if (head == 0) return YD_EFORMAT;
        int got = copy_slot(cell, head, to, room, ret_value);
        if (got == 0) continue;
        if (got < 0) return got;
        ret_value->missed = cursor->seq ? head - cursor->seq - 1 : 0;
        cursor->seq = head;
        return 1;
    }
    return YD_EBUSY;
}

int yd_live_cell_next(const struct yd_live_cell *cell, struct yd_live_cursor *cursor, void *to, uint32_t room,
                      struct yd_live_value *ret_value)
{
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        /* Pairs as in get. */
        uint64_t head = yd__load(cell->head, ACQUIRE);
        uint64_t ahead = head - cursor->seq;
        if (ahead == 0) return head ? 0 : YD_EAGAIN;
        if (head == 0) return YD_EFORMAT;
        uint64_t kept = (uint64_t)cell->slot_mask + 1;
        /* The value wanted; if it went, the oldest there is; if that goes under our hands again and again, the newest.
         */
        uint64_t lost = ahead > kept ? ahead - kept : 0;
        if (tries >= NEXT_TRIES) lost = ahead - 1;
        uint64_t seq = cursor->seq + 1 + lost;
        int got = copy_slot(cell, seq, to, room, ret_value);
        if (got == 0) continue;
        if (got < 0) return got;
        ret_value->missed = cursor->seq ? lost : 0;
        cursor->seq = seq;
        return 1;
    }
    return YD_EBUSY;
}
