/* elements/table.h: items by name, for elements that remember something about each name: added, found, removed, walked.
 *
 *   hash of the name --> slots (open addressing) --> items[] (dense, each an allocation of its own with its name)
 *
 * An item begins with struct yd_table_item; what follows is the element's and is zeroed. Removing moves the last item
 * into the gap, so whoever removes while walking walks from the end. The order is that of the calls alone: the same
 * calls give the same order. One thread. Full: YD_EFULL at count_max; memory: YD_ENOMEM, nothing is changed. */
#ifndef ELEMENTS_TABLE_H
#define ELEMENTS_TABLE_H

#include "base/hash.h"

struct yd_table_item {
    uint64_t hash;
    struct yd_str name; /* its own copy, terminated */
    uint32_t index;     /* in items */
};
struct yd_table {
    struct yd_alloc *alloc;
    struct yd_table_item **items;
    uint32_t *slots; /* index + 1; 0: free */
    uint32_t count, capacity, slot_count;
    size_t item_size;
    uint64_t count_max;
    uint64_t bytes; /* of items and names */
};
void yd_table_init(struct yd_table *table, struct yd_alloc *alloc, size_t item_size, uint64_t count_max);
void yd_table_fini(struct yd_table *table);
void *yd_table_find(const struct yd_table *table, struct yd_str name, uint64_t hash); /* NULL: not there */
/* Returns 1 when new, 0 when it was there. */
int yd_table_add(struct yd_table *table, struct yd_str name, uint64_t hash, void *ret_item);
void yd_table_remove(struct yd_table *table, void *item);

#endif
