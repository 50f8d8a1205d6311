/* elements/raw_names.h: from the bytes of a name as sent to its index in the batch at hand.
 *
 * A client sends the same few names again and again, spelled alike. So what is costly about a name (tags sorted, bytes
 * escaped, UTF-8 checked, hashed) is done once per spelling and remembered over batches:
 *
 *   raw bytes --cheap hash--> slot {16 bits of hash, pointer} --> entry {raw bytes, canonical bytes, XXH3,
 *                                                                        generation, index in that batch}
 *
 * An entry whose generation is the batch's knows its index; another asks the builder once. A name is two runs of bytes
 * (Graphite: the path and nothing; telnet put: the metric and the tags). Memory is bounded: when full, everything is
 * forgotten at once and learned again (`resets` rises: pointers to entries are gone). One thread. */
#ifndef ELEMENTS_RAW_NAMES_H
#define ELEMENTS_RAW_NAMES_H

#include "base/hash.h"

struct yd_raw_name {
    uint64_t hash;       /* of the raw bytes, seeded */
    uint64_t name_hash;  /* XXH3 of the canonical name */
    uint32_t generation; /* of the batch that `index` belongs to; 0: none */
    uint32_t index;
    uint16_t first_size, second_size;
    uint16_t name_at; /* the canonical name: this far behind `raw` */
    uint16_t name_size : 15;
    uint16_t shared : 1; /* another spelling has the same canonical name */
    char raw[];          /* first, second, then the canonical name where it differs; readable to the next 64 */
};

struct yd_raw_names {
    struct yd_alloc *alloc;
    uint64_t *slots; /* tag << 48 | entry; 0: free */
    size_t slot_mask, count;
    uint64_t *by_name;           /* the same by canonical name: one entry of each */
    struct yd_raw_block *blocks; /* where entries lie */
    char *next, *end;
    size_t bytes, bytes_max;
    uint64_t seed, resets;
};

/* A client that goes round more names than are remembered finds none of them: forgetting costs more than the memory, of
 * which nothing is taken before there are names. 1.6 million of 40 bytes. */
#define YD_RAW_NAMES_BYTES ((size_t)256 << 20)
#define YD_RAW_NAME_MAX    4096 /* longer spellings are not remembered */

int yd_raw_names_init(struct yd_raw_names *names, struct yd_alloc *alloc, size_t bytes_max, uint64_t seed);
void yd_raw_names_fini(struct yd_raw_names *names);
void yd_raw_names_forget(struct yd_raw_names *names);
/* Remembers; NULL when it cannot (too long, out of memory): do without. When another spelling of the same canonical
 * name is known, both become `shared` and *ret_other is that one; NULL otherwise. */
struct yd_raw_name *yd_raw_names_add(struct yd_raw_names *names, uint64_t hash, struct yd_str first,
                                     struct yd_str second, struct yd_str canonical, uint64_t name_hash,
                                     struct yd_raw_name **ret_other);

static inline struct yd_str yd_raw_name_canonical(const struct yd_raw_name *entry)
{
    return (struct yd_str){entry->raw + entry->name_at, entry->name_size};
}

/* ---- the lookup, in three steps so that a group of names can hide each other's cache misses ---- */

static inline uint64_t yd__load64(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline uint64_t yd__load32(const char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline uint64_t yd__mum(uint64_t a, uint64_t b)
{
    unsigned __int128 m = (unsigned __int128)a * b;
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

#define YD_RAW_K1 UINT64_C(0x9e3779b97f4a7c15)
#define YD_RAW_K2 UINT64_C(0xd6e8feb86659fd93)

static inline uint64_t yd__raw_hash(uint64_t seed, const char *p, size_t size)
{
    uint64_t h = seed ^ (size * YD_RAW_K1), a, b;
    if (YD_LIKELY(size > 16)) {
        size_t at = 0;
        for (; at + 16 < size; at += 16) h = yd__mum(yd__load64(p + at) ^ YD_RAW_K1, yd__load64(p + at + 8) ^ h);
        a = yd__load64(p + size - 16), b = yd__load64(p + size - 8);
    } else if (size >= 8) {
        a = yd__load64(p), b = yd__load64(p + size - 8);
    } else if (size >= 4) {
        a = yd__load32(p), b = yd__load32(p + size - 4);
    } else if (size) {
        a = (uint64_t)(unsigned char)p[0] << 16 | (uint64_t)(unsigned char)p[size / 2] << 8 |
            (unsigned char)p[size - 1];
        b = 0;
    } else {
        return h;
    }
    return yd__mum(a ^ YD_RAW_K2, b ^ h);
}
/* Of both parts, each by itself: so neither waits for the other. */
static inline uint64_t yd__raw_hash_two(uint64_t seed, struct yd_str first, struct yd_str second)
{
    uint64_t a = yd__raw_hash(seed, first.data, first.size);
    if (second.size == 0) return a;
    uint64_t b = yd__raw_hash(seed ^ YD_RAW_K2, second.data, second.size);
    return (a ^ (b << 23 | b >> 41)) + b;
}
static inline uint64_t yd_raw_names_hash(const struct yd_raw_names *names, struct yd_str first, struct yd_str second)
{
    return yd__raw_hash_two(names->seed, first, second);
}

#define YD_RAW_TAG UINT64_C(0xffff000000000000)

static inline void yd_raw_names_prefetch(const struct yd_raw_names *names, uint64_t hash)
{
    __builtin_prefetch(&names->slots[hash & names->slot_mask]);
}
/* The likely entry, prefetched, or NULL. Not compared yet. */
static inline struct yd_raw_name *yd_raw_names_likely(const struct yd_raw_names *names, uint64_t hash)
{
    size_t at = hash & names->slot_mask;
    uint64_t slot;
    while ((slot = names->slots[at]) != 0 && ((slot ^ hash) & YD_RAW_TAG)) at = (at + 1) & names->slot_mask;
    if (!slot) return NULL;
    struct yd_raw_name *entry = (struct yd_raw_name *)(uintptr_t)(slot & ~YD_RAW_TAG);
    __builtin_prefetch(entry);
    __builtin_prefetch((const char *)entry + 64);
    return entry;
}
/* The exact one, or NULL. */
struct yd_raw_name *yd_raw_names_find(const struct yd_raw_names *names, uint64_t hash, struct yd_str first,
                                      struct yd_str second);
struct yd_raw_name *yd_raw_names_find_name(const struct yd_raw_names *names, struct yd_str canonical, uint64_t hash);

#endif
