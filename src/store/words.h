/* store/words.h: integers as the codec writes them: words at any address, small numbers in few bytes, negative ones as
 * small ones. */
#ifndef STORE_WORDS_H
#define STORE_WORDS_H

#include <stdint.h>
#include <string.h>

static inline uint64_t yd__load_word(const uint8_t *from)
{
    uint64_t word;
    memcpy(&word, from, sizeof word);
    return word;
}
static inline void yd__store_word(uint8_t *to, uint64_t word)
{
    memcpy(to, &word, sizeof word);
}
static inline uint64_t yd__zigzag(uint64_t x)
{
    return x << 1 ^ (uint64_t)((int64_t)x >> 63);
}
static inline uint64_t yd__unzigzag(uint64_t z)
{
    return z >> 1 ^ -(z & 1);
}
static inline uint8_t *yd__put_varint(uint8_t *to, uint64_t x)
{
    for (; x >= 0x80; x >>= 7) *to++ = (uint8_t)(x | 0x80);
    *to++ = (uint8_t)x;
    return to;
}
/* Up to a byte without its high bit: the caller knows that there is one. */
static inline const uint8_t *yd__get_varint(const uint8_t *from, uint64_t *ret)
{
    uint64_t x = 0;
    for (unsigned shift = 0;; shift += 7) {
        x |= (uint64_t)(*from & 0x7f) << (shift & 63);
        if (!(*from++ & 0x80)) break;
    }
    *ret = x;
    return from;
}

#endif
