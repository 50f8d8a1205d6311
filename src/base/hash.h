/* base/hash.h: checksums, hashes, seeded randomness, and the interning table. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/alloc.h"

/* CRC32C (Castagnoli, reflected; check value of "123456789": 0xe3069283). Start with crc = 0 and chain:
 * crc32c(crc32c(0, a), b) == crc32c(0, ab). By the CPU's instruction where there is one. Any thread. */
uint32_t yd_crc32c(uint32_t crc, const void *data, size_t size);
uint32_t yd_crc32c_portable(uint32_t crc, const void *data, size_t size); /* the fallback, for tests */
/* Copies and checksums in one pass over memory. */
uint32_t yd_crc32c_copy(uint32_t crc, void *to, const void *from, size_t size);

uint64_t yd_hash(const void *data, size_t size); /* XXH3, 64 bits, seed 0: the hash of the names table */
static inline uint64_t yd_hash_str(struct yd_str s)
{
    return yd_hash(s.data, s.size);
}

/* Which partition of a stream something belongs to, by its hash: the upper bits, spread evenly. The lower ones choose
 * slots in the tables of who reads a partition. On disk and between nodes for good: it never changes. */
static inline uint32_t yd_partition_of(uint64_t hash, uint32_t partitions)
{
    return partitions < 2 ? 0 : (uint32_t)((hash >> 32) * partitions >> 32);
}
/* The hash of a producer's id, or of whatever tells senders apart. */
static inline uint64_t yd_hash_id(uint64_t id)
{
    return id * UINT64_C(0x9E3779B97F4A7C15);
}

/* Seeded randomness (xoshiro256**). The seed comes from io/ in the product and is printed by every test. */
struct yd_rng {
    uint64_t s[4];
};
void yd_rng_init(struct yd_rng *rng, uint64_t seed);
uint64_t yd_rng_next(struct yd_rng *rng);
uint64_t yd_rng_below(struct yd_rng *rng, uint64_t bound); /* 0 <= result < bound; bound > 0 */
bool yd_rng_chance(struct yd_rng *rng, uint32_t one_in);   /* true once in `one_in`; 0: never */

/* Interning: byte strings to dense ids 0, 1, 2 … and back. Strings are copied into an arena. One thread. */
struct yd_intern {
    struct yd_arena arena;
    struct yd_intern_slot *slots; /* open addressing, power of two */
    struct yd_str *strings;       /* by id */
    uint64_t *hashes;             /* by id */
    uint32_t count, capacity, slot_mask, count_max;
};
#define YD_INTERN_NONE UINT32_MAX
void yd_intern_init(struct yd_intern *intern, struct yd_alloc *alloc, uint32_t count_max); /* 0: no limit */
void yd_intern_fini(struct yd_intern *intern);
void yd_intern_reset(struct yd_intern *intern); /* forgets the strings, keeps the memory */
/* *ret_id; returns 1 if new, 0 if known, YD_ENOMEM, or YD_EFULL at count_max. */
int yd_intern_add(struct yd_intern *intern, struct yd_str s, uint32_t *ret_id);
int yd_intern_add_hashed(struct yd_intern *intern, struct yd_str s, uint64_t hash, uint32_t *ret_id);
uint32_t yd_intern_find(const struct yd_intern *intern, struct yd_str s); /* YD_INTERN_NONE if not there */
uint32_t yd_intern_find_hashed(const struct yd_intern *intern, struct yd_str s, uint64_t hash);
/* Prefetches the slot that a find of this hash will read, for lookups in groups. */
void yd_intern_prefetch(const struct yd_intern *intern, uint64_t hash);

#endif
