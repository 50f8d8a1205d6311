/* The interning table: open addressing over 8-byte slots, at most half full, so that a lookup is one cache line of
 * slots, one of hashes' tags (in the slot itself) and the string. Ids are dense: a caller keeps his own arrays by id.
 */
#include "base/hash.h"

#define SLOTS_MIN 16
#define COUNT_MAX (1u << 30)

struct yd_intern_slot {
    uint32_t tag;     /* high half of the hash; the low half chose the slot */
    uint32_t id_plus; /* id + 1; 0: free */
};

void yd_intern_init(struct yd_intern *intern, struct yd_alloc *alloc, uint32_t count_max)
{
    *intern = (struct yd_intern){.count_max = count_max && count_max < COUNT_MAX ? count_max : COUNT_MAX};
    yd_arena_init(&intern->arena, alloc);
}

void yd_intern_fini(struct yd_intern *intern)
{
    struct yd_alloc *alloc = intern->arena.alloc;
    size_t slots = intern->slots ? (size_t)intern->slot_mask + 1 : 0;
    yd_alloc_put(alloc, intern->slots, slots * sizeof *intern->slots);
    yd_alloc_put(alloc, intern->strings, intern->capacity * sizeof *intern->strings);
    yd_alloc_put(alloc, intern->hashes, intern->capacity * sizeof *intern->hashes);
    yd_arena_fini(&intern->arena);
    yd_intern_init(intern, alloc, intern->count_max);
}

void yd_intern_reset(struct yd_intern *intern)
{
    if (intern->slots) memset(intern->slots, 0, ((size_t)intern->slot_mask + 1) * sizeof *intern->slots);
    intern->count = 0;
    yd_arena_reset(&intern->arena);
}

/* The slot of the string, or the free one where it belongs. There is always a free slot. */
static struct yd_intern_slot *probe(const struct yd_intern *intern, struct yd_str s, uint64_t hash)
{
    uint32_t tag = (uint32_t)(hash >> 32);
    for (uint32_t i = (uint32_t)hash & intern->slot_mask;; i = (i + 1) & intern->slot_mask) {
        struct yd_intern_slot *slot = &intern->slots[i];
        if (slot->id_plus == 0) return slot;
        if (slot->tag == tag && yd_str_eq(intern->strings[slot->id_plus - 1], s)) return slot;
    }
}

/* Twice the slots. The old table stays in force until the new one is complete. */
static bool grow_slots(struct yd_intern *intern)
{
    struct yd_alloc *alloc = intern->arena.alloc;
    size_t old_count = intern->slots ? (size_t)intern->slot_mask + 1 : 0, count = old_count ? old_count * 2 : SLOTS_MIN;
    struct yd_intern_slot *slots = yd_alloc_zero(alloc, count * sizeof *slots);
    if (!slots) return false;
    uint32_t mask = (uint32_t)(count - 1);
    for (uint32_t id = 0; id < intern->count; id++) {
        uint32_t i = (uint32_t)intern->hashes[id] & mask;
        while (slots[i].id_plus) i = (i + 1) & mask;
        slots[i] = (struct yd_intern_slot){(uint32_t)(intern->hashes[id] >> 32), id + 1};
    }
    yd_alloc_put(alloc, intern->slots, old_count * sizeof *slots);
    intern->slots = slots;
    intern->slot_mask = mask;
    return true;
}

static bool grow_ids(struct yd_intern *intern)
{
    struct yd_alloc *alloc = intern->arena.alloc;
    uint32_t capacity = intern->capacity ? intern->capacity * 2 : SLOTS_MIN;
    /* Two arrays grow by one step each: if only the first can, its memory is given back to its old size. */
    struct yd_str *strings = yd_alloc_get(alloc, capacity * sizeof *strings);
    uint64_t *hashes = yd_alloc_get(alloc, capacity * sizeof *hashes);
    if (!strings || !hashes) {
        yd_alloc_put(alloc, strings, capacity * sizeof *strings);
        yd_alloc_put(alloc, hashes, capacity * sizeof *hashes);
        return false;
    }
    if (intern->count) {
        memcpy(strings, intern->strings, intern->count * sizeof *strings);
        memcpy(hashes, intern->hashes, intern->count * sizeof *hashes);
    }
    yd_alloc_put(alloc, intern->strings, intern->capacity * sizeof *strings);
    yd_alloc_put(alloc, intern->hashes, intern->capacity * sizeof *hashes);
    intern->strings = strings;
    intern->hashes = hashes;
    intern->capacity = capacity;
    return true;
}

int yd_intern_add_hashed(struct yd_intern *intern, struct yd_str s, uint64_t hash, uint32_t *ret_id)
{
    struct yd_intern_slot *slot = intern->slots ? probe(intern, s, hash) : NULL;
    if (slot && slot->id_plus) {
        *ret_id = slot->id_plus - 1;
        return 0;
    }
    if (intern->count >= intern->count_max) return YD_EFULL;
    if (intern->count == intern->capacity && !grow_ids(intern)) return YD_ENOMEM;
    if (!slot || (intern->count + 1) * 2 > intern->slot_mask) {
        if (!grow_slots(intern)) return YD_ENOMEM;
        slot = probe(intern, s, hash);
    }
    struct yd_str copy = yd_arena_str(&intern->arena, s);
    if (!copy.data) return YD_ENOMEM;
    uint32_t id = intern->count++;
    intern->strings[id] = copy;
    intern->hashes[id] = hash;
    *slot = (struct yd_intern_slot){(uint32_t)(hash >> 32), id + 1};
    *ret_id = id;
    return 1;
}

int yd_intern_add(struct yd_intern *intern, struct yd_str s, uint32_t *ret_id)
{
    return yd_intern_add_hashed(intern, s, yd_hash_str(s), ret_id);
}

uint32_t yd_intern_find_hashed(const struct yd_intern *intern, struct yd_str s, uint64_t hash)
{
    if (!intern->slots) return YD_INTERN_NONE;
    struct yd_intern_slot *slot = probe(intern, s, hash);
    return slot->id_plus ? slot->id_plus - 1 : YD_INTERN_NONE;
}

uint32_t yd_intern_find(const struct yd_intern *intern, struct yd_str s)
{
    return yd_intern_find_hashed(intern, s, yd_hash_str(s));
}

void yd_intern_prefetch(const struct yd_intern *intern, uint64_t hash)
{
    if (intern->slots) __builtin_prefetch(&intern->slots[(uint32_t)hash & intern->slot_mask]);
}
