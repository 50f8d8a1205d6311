/* A queue of items and a map of numbers: what the wrapper keeps. Both grow, neither shrinks. */
#include <stdlib.h>

#include "flow/runtime.h"

static bool ring_grow(struct yd__ring *ring)
{
    uint32_t capacity = ring->capacity ? ring->capacity * 2 : 16;
    struct yd__item *items = malloc(capacity * sizeof *items);
    if (!items) return false;
    for (uint32_t i = 0; i < ring->count; i++) items[i] = ring->items[(ring->first + i) & (ring->capacity - 1)];
    free(ring->items);
    ring->items = items;
    ring->first = 0;
    ring->capacity = capacity;
    return true;
}

bool yd__ring_push(struct yd__ring *ring, const struct yd__item *item)
{
    if (ring->count == ring->capacity && !ring_grow(ring)) return false;
    ring->items[(ring->first + ring->count) & (ring->capacity - 1)] = *item;
    ring->count++;
    return true;
}

bool yd__ring_push_front(struct yd__ring *ring, const struct yd__item *item)
{
    if (ring->count == ring->capacity && !ring_grow(ring)) return false;
    ring->first--;
    ring->count++;
    *yd__ring_front(ring) = *item;
    return true;
}

void yd__ring_fini(struct yd__ring *ring)
{
    free(ring->items);
    *ring = (struct yd__ring){0};
}

static uint32_t home(const struct yd__dict *map, uint64_t key)
{
    return (uint32_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (map->capacity - 1);
}

uint64_t *yd__dict_find(struct yd__dict *map, uint64_t key)
{
    if (map->count == 0) return NULL;
    for (uint32_t at = home(map, key);; at = (at + 1) & (map->capacity - 1)) {
        if (map->slots[at].key == key) return &map->slots[at].value;
        if (map->slots[at].key == 0) return NULL;
    }
}

static bool map_grow(struct yd__dict *map)
{
    struct yd__dict old = *map;
    uint32_t capacity = old.capacity ? old.capacity * 2 : 16;
    struct yd__dict_slot *slots = calloc(capacity, sizeof *slots);
    if (!slots) return false;
    *map = (struct yd__dict){slots, 0, capacity};
    for (uint32_t i = 0; i < old.capacity; i++)
        if (old.slots[i].key) *yd__dict_add(map, old.slots[i].key) = old.slots[i].value;
    free(old.slots);
    return true;
}

uint64_t *yd__dict_add(struct yd__dict *map, uint64_t key)
{
    if (map->count * 2 >= map->capacity && !map_grow(map)) return NULL;
    uint32_t at = home(map, key);
    while (map->slots[at].key && map->slots[at].key != key) at = (at + 1) & (map->capacity - 1);
    if (map->slots[at].key == 0) {
        map->slots[at] = (struct yd__dict_slot){key, 0};
        map->count++;
    }
    return &map->slots[at].value;
}

bool yd__dict_remove(struct yd__dict *map, uint64_t key)
{
    uint64_t *value = yd__dict_find(map, key);
    if (!value) return false;
    uint32_t mask = map->capacity - 1, hole = (uint32_t)(YD_CONTAINER(value, struct yd__dict_slot, value) - map->slots);
    /* Close the gap: whoever behind it may not stand before its home moves up. */
    for (uint32_t at = (hole + 1) & mask; map->slots[at].key; at = (at + 1) & mask) {
        uint32_t wants = home(map, map->slots[at].key);
        if (((at - wants) & mask) >= ((at - hole) & mask)) {
            map->slots[hole] = map->slots[at];
            hole = at;
        }
    }
    map->slots[hole].key = 0;
    map->count--;
    return true;
}

void yd__dict_clear(struct yd__dict *map)
{
    if (map->slots) memset(map->slots, 0, map->capacity * sizeof *map->slots);
    map->count = 0;
}

void yd__dict_fini(struct yd__dict *map)
{
    free(map->slots);
    *map = (struct yd__dict){0};
}
