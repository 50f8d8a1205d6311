/* The name cache: see raw_names.h. Open addressing, linear probes, at most half full; entries lie in large blocks, each
 * on cache lines of its own, and never move. A second table of the same size finds a spelling by its canonical name: so
 * whoever has an entry that is not `shared` knows that no other entry leads to the same name.
 * What can fail is memory, and then the cache just does not learn. */
#include "elements/raw_names.h"

#include "base/large.h"

#define SLOTS_MIN   4096
#define LINE        64
#define BLOCK_FIRST (UINT32_C(128) << 10)
#define BLOCK       (UINT32_C(8) << 20)

struct yd_raw_block {
    struct yd_raw_block *next;
    size_t size;
};

/* Entries lie anywhere: each is asked for a while before it is looked at, or growing stalls the line for a miss each.
 */
#define AHEAD 16

/* Both tables in one piece. */
static uint64_t *make_tables(struct yd_raw_names *names, size_t slots)
{
    uint64_t *tables = yd_alloc_get(names->alloc, 2 * slots * sizeof *tables);
    if (!tables) return NULL;
    yd_advise_huge(tables, 2 * slots * sizeof *tables);
    memset(tables, 0, 2 * slots * sizeof *tables);
    return tables;
}

static size_t tables_size(const struct yd_raw_names *names)
{
    return 2 * (names->slot_mask + 1) * sizeof(uint64_t);
}

int yd_raw_names_init(struct yd_raw_names *names, struct yd_alloc *alloc, size_t bytes_max, uint64_t seed)
{
    *names = (struct yd_raw_names){.alloc = alloc, .slot_mask = SLOTS_MIN - 1, .seed = seed, .bytes_max = bytes_max};
    names->slots = make_tables(names, SLOTS_MIN);
    if (!names->slots) return YD_ENOMEM;
    names->by_name = names->slots + SLOTS_MIN;
    return 0;
}

static void drop_blocks(struct yd_raw_names *names)
{
    struct yd_raw_block *next;
    for (struct yd_raw_block *block = names->blocks; block; block = next) {
        next = block->next;
        yd_alloc_put(names->alloc, block, block->size);
    }
    names->blocks = NULL;
    names->next = names->end = NULL;
    names->bytes = 0;
}

void yd_raw_names_fini(struct yd_raw_names *names)
{
    if (!names->slots) return;
    yd_alloc_put(names->alloc, names->slots, tables_size(names));
    drop_blocks(names);
    names->slots = NULL;
}

void yd_raw_names_forget(struct yd_raw_names *names)
{
    memset(names->slots, 0, tables_size(names));
    drop_blocks(names);
    names->count = 0;
    names->resets++;
}

static void place(uint64_t *slots, size_t mask, uint64_t hash, const struct yd_raw_name *entry)
{
    size_t at = hash & mask;
    while (slots[at]) at = (at + 1) & mask;
    slots[at] = (hash & YD_RAW_TAG) | (uint64_t)(uintptr_t)entry;
}

static struct yd_raw_name *entry_of(uint64_t slot)
{
    return (struct yd_raw_name *)(uintptr_t)(slot & ~YD_RAW_TAG);
}

static bool grow(struct yd_raw_names *names)
{
    size_t old = names->slot_mask + 1, wide = old * 2;
    uint64_t *slots = make_tables(names, wide), *by_name = slots + wide;
    if (!slots) return false;
    for (size_t i = 0; i < old; i++) { /* of a free slot nothing is asked: a hint to nowhere is harmless */
        if (i + AHEAD < old) __builtin_prefetch(entry_of(names->slots[i + AHEAD]));
        if (i + AHEAD < old) __builtin_prefetch(entry_of(names->by_name[i + AHEAD]));
        if (names->slots[i]) place(slots, wide - 1, entry_of(names->slots[i])->hash, entry_of(names->slots[i]));
        if (names->by_name[i])
            place(by_name, wide - 1, entry_of(names->by_name[i])->name_hash, entry_of(names->by_name[i]));
    }
    yd_alloc_put(names->alloc, names->slots, tables_size(names));
    names->slots = slots;
    names->by_name = by_name;
    names->slot_mask = wide - 1;
    return true;
}

static bool add_block(struct yd_raw_names *names)
{
    size_t size = names->blocks ? BLOCK : BLOCK_FIRST;
    struct yd_raw_block *block = yd_alloc_get(names->alloc, size);
    if (!block) return false;
    if (size == BLOCK) yd_advise_huge(block, size);
    *block = (struct yd_raw_block){names->blocks, size};
    names->blocks = block;
    names->bytes += size;
    names->next = (char *)YD_ALIGN_UP((uintptr_t)(block + 1), LINE);
    names->end = (char *)block + size;
    return true;
}

struct yd_raw_name *yd_raw_names_find_name(const struct yd_raw_names *names, struct yd_str canonical, uint64_t hash)
{
    uint64_t slot;
    for (size_t at = hash & names->slot_mask; (slot = names->by_name[at]) != 0; at = (at + 1) & names->slot_mask) {
        if ((slot ^ hash) & YD_RAW_TAG) continue;
        struct yd_raw_name *entry = entry_of(slot);
        if (entry->name_hash == hash && yd_str_eq(yd_raw_name_canonical(entry), canonical)) return entry;
    }
    return NULL;
}

struct yd_raw_name *yd_raw_names_add(struct yd_raw_names *names, uint64_t hash, struct yd_str first,
                                     struct yd_str second, struct yd_str canonical, uint64_t name_hash,
                                     struct yd_raw_name **ret_other)
{
    *ret_other = NULL;
    if (first.size + second.size > YD_RAW_NAME_MAX) return NULL;
    bool same = second.size == 0 && yd_str_eq(first, canonical);
    size_t raw_size = first.size + second.size;
    size_t size = YD_ALIGN_UP(sizeof(struct yd_raw_name) + raw_size + (same ? 0 : canonical.size), LINE);
    bool needs_block = (size_t)(names->end - names->next) < size;
    if (names->count * 2 > names->slot_mask && !grow(names)) return NULL;
    if (needs_block && names->bytes + BLOCK + tables_size(names) > names->bytes_max) yd_raw_names_forget(names);
    if (needs_block && !add_block(names)) return NULL;
    struct yd_raw_name *entry = (void *)names->next;
    names->next += size;
    *entry = (struct yd_raw_name){.hash = hash,
                                  .name_hash = name_hash,
                                  .first_size = (uint16_t)first.size,
                                  .second_size = (uint16_t)second.size,
                                  .name_at = same ? 0 : (uint16_t)raw_size,
                                  .name_size = canonical.size & 0x7fff};
    memcpy(entry->raw, first.data, first.size);
    if (second.size) memcpy(entry->raw + first.size, second.data, second.size);
    if (!same) memcpy(entry->raw + raw_size, canonical.data, canonical.size);
    place(names->slots, names->slot_mask, hash, entry);
    names->count++;
    *ret_other = yd_raw_names_find_name(names, canonical, name_hash);
    if (*ret_other)
        (*ret_other)->shared = entry->shared = true;
    else
        place(names->by_name, names->slot_mask, name_hash, entry);
    return entry;
}

struct yd_raw_name *yd_raw_names_find(const struct yd_raw_names *names, uint64_t hash, struct yd_str first,
                                      struct yd_str second)
{
    for (size_t at = hash & names->slot_mask; names->slots[at]; at = (at + 1) & names->slot_mask) {
        if ((names->slots[at] ^ hash) & YD_RAW_TAG) continue;
        struct yd_raw_name *entry = entry_of(names->slots[at]);
        if (entry->hash == hash && entry->first_size == first.size && entry->second_size == second.size &&
            memcmp(entry->raw, first.data, first.size) == 0 &&
            (second.size == 0 || memcmp(entry->raw + first.size, second.data, second.size) == 0))
            return entry;
    }
    return NULL;
}
