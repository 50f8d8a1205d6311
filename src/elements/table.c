/* Items by name: see table.h. Linear probing at a load of at most a half; removal shifts back, so there are no graves.
 */
#include "elements/table.h"

#include <string.h>

#define SLOTS_FIRST 64

void yd_table_init(struct yd_table *table, struct yd_alloc *alloc, size_t item_size, uint64_t count_max)
{
    *table = (struct yd_table){.alloc = alloc ? alloc : yd_alloc_default(),
                               .item_size = item_size,
                               .count_max = count_max && count_max < UINT32_MAX / 4 ? count_max : UINT32_MAX / 4};
}

static size_t size_of(const struct yd_table *table, struct yd_str name)
{
    return table->item_size + name.size + 1;
}

void yd_table_fini(struct yd_table *table)
{
    for (uint32_t i = 0; i < table->count; i++)
        yd_alloc_put(table->alloc, table->items[i], size_of(table, table->items[i]->name));
    yd_alloc_put(table->alloc, table->items, table->capacity * sizeof *table->items);
    yd_alloc_put(table->alloc, table->slots, table->slot_count * sizeof *table->slots);
    table->items = NULL;
    table->slots = NULL;
    table->count = table->capacity = table->slot_count = 0;
    table->bytes = 0;
}

/* The slot of that name, or the free one where it would go. */
static uint32_t slot_of(const struct yd_table *table, struct yd_str name, uint64_t hash)
{
    uint32_t mask = table->slot_count - 1, at = (uint32_t)(hash >> 7) & mask;
    for (; table->slots[at]; at = (at + 1) & mask) {
        const struct yd_table_item *item = table->items[table->slots[at] - 1];
        if (item->hash == hash && yd_str_eq(item->name, name)) break;
    }
    return at;
}

void *yd_table_find(const struct yd_table *table, struct yd_str name, uint64_t hash)
{
    if (table->slot_count == 0) return NULL;
    uint32_t at = table->slots[slot_of(table, name, hash)];
    return at ? table->items[at - 1] : NULL;
}

static int grow(struct yd_table *table)
{
    if (table->count == table->capacity) {
        uint32_t capacity = table->capacity ? table->capacity * 2 : SLOTS_FIRST / 2;
        void *items = yd_alloc_resize(table->alloc, table->items, table->capacity * sizeof *table->items,
                                      capacity * sizeof *table->items);
        if (!items) return YD_ENOMEM;
        table->items = items;
        table->capacity = capacity;
    }
    if (table->count < table->slot_count / 2) return 0;
    uint32_t slot_count = table->slot_count ? table->slot_count * 2 : SLOTS_FIRST;
    uint32_t *slots = yd_alloc_zero(table->alloc, slot_count * sizeof *slots);
    if (!slots) return YD_ENOMEM;
    for (uint32_t i = 0; i < table->count; i++) {
        uint32_t at = (uint32_t)(table->items[i]->hash >> 7) & (slot_count - 1);
        while (slots[at]) at = (at + 1) & (slot_count - 1);
        slots[at] = i + 1;
    }
    yd_alloc_put(table->alloc, table->slots, table->slot_count * sizeof *table->slots);
    table->slots = slots;
    table->slot_count = slot_count;
    return 0;
}

int yd_table_add(struct yd_table *table, struct yd_str name, uint64_t hash, void *ret_item)
{
    struct yd_table_item *item = yd_table_find(table, name, hash);
    if (item) {
        memcpy(ret_item, &item, sizeof item);
        return 0;
    }
    if (table->count >= table->count_max) return YD_EFULL;
    int error = grow(table);
    if (error < 0) return error;
    item = yd_alloc_get(table->alloc, size_of(table, name));
    if (!item) return YD_ENOMEM;
    memset(item, 0, table->item_size);
    char *copy = (char *)item + table->item_size;
    if (name.size) memcpy(copy, name.data, name.size);
    copy[name.size] = 0;
    item->hash = hash;
    item->name = (struct yd_str){copy, name.size};
    item->index = table->count;
    table->slots[slot_of(table, name, hash)] = item->index + 1;
    table->items[table->count++] = item;
    table->bytes += size_of(table, name);
    memcpy(ret_item, &item, sizeof item);
    return 1;
}

/* Whoever stands behind the gap and could have stood in it moves forward, and so on. */
static void close_gap(struct yd_table *table, uint32_t gap)
{
    uint32_t mask = table->slot_count - 1;
    for (uint32_t at = (gap + 1) & mask; table->slots[at]; at = (at + 1) & mask) {
        uint32_t home = (uint32_t)(table->items[table->slots[at] - 1]->hash >> 7) & mask;
        if (((at - home) & mask) < ((at - gap) & mask)) continue;
        table->slots[gap] = table->slots[at];
        gap = at;
    }
    table->slots[gap] = 0;
}

void yd_table_remove(struct yd_table *table, void *which)
{
    struct yd_table_item *item = which, *last = table->items[table->count - 1];
    uint32_t last_slot = slot_of(table, last->name, last->hash), slot = slot_of(table, item->name, item->hash);
    table->slots[last_slot] = item->index + 1;
    table->items[item->index] = last;
    last->index = item->index;
    /* The gap is closed by the hashes of those that stay; the item's own slot may have been the last one's. */
    table->count--;
    close_gap(table, slot);
    table->bytes -= size_of(table, item->name);
    yd_alloc_put(table->alloc, item, size_of(table, item->name));
}
