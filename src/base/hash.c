/* XXH3, and randomness from a seed. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/hash.h"

uint64_t yd_hash(const void *data, size_t size)
{
    return XXH3_64bits(data, size);
}

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void yd_rng_init(struct yd_rng *rng, uint64_t seed)
{
    for (int i = 0; i < 4; i++) rng->s[i] = splitmix(&seed);
}

static inline uint64_t rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

uint64_t yd_rng_next(struct yd_rng *rng)
{
    uint64_t *s = rng->s, result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t yd_rng_below(struct yd_rng *rng, uint64_t bound)
{
    YD_ASSERT(bound > 0);
    /* Multiply and keep the high half; the low half tells when the remainder would favour small numbers. */
    unsigned __int128 product = (unsigned __int128)yd_rng_next(rng) * bound;
    if ((uint64_t)product < bound) {
        uint64_t threshold = -bound % bound;
        while ((uint64_t)product < threshold) product = (unsigned __int128)yd_rng_next(rng) * bound;
    }
    return (uint64_t)(product >> 64);
}

bool yd_rng_chance(struct yd_rng *rng, uint32_t one_in)
{
    return one_in && yd_rng_below(rng, one_in) == 0;
}
