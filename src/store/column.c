/* Columns: integers as residuals of 0, 1 or 2 differences, in groups of 32 with a width of their own.
 *
 *   byte: order (2 bits) | zigzag (1) | flat (1)
 *   varint: first value (order >= 1), first difference (order 2), base (no zigzag)
 *   unless flat: per 32 residuals a width byte and width * 4 bytes (the last group: as many as its residuals need)
 *
 * A steady clock, a constant and a straight line are flat: a few bytes whatever their length. Residuals are either what
 * exceeds the smallest (noise around a level) or zigzag (a walk, with the odd jump that only its own group pays for).
 * All arithmetic wraps at 64 bits. */
#include "store/codec.h"

#define GROUP 32

static inline uint64_t load64(const uint8_t *from)
{
    uint64_t word;
    memcpy(&word, from, sizeof word);
    return word;
}
static inline void store64(uint8_t *to, uint64_t word)
{
    memcpy(to, &word, sizeof word);
}
static inline uint64_t zigzag(uint64_t x)
{
    return x << 1 ^ (uint64_t)((int64_t)x >> 63);
}
static inline uint64_t unzigzag(uint64_t z)
{
    return z >> 1 ^ -(z & 1);
}

static uint8_t *put_varint(uint8_t *to, uint64_t x)
{
    for (; x >= 0x80; x >>= 7) *to++ = (uint8_t)(x | 0x80);
    *to++ = (uint8_t)x;
    return to;
}
static const uint8_t *get_varint(const uint8_t *from, uint64_t *ret)
{
    uint64_t x = 0;
    for (unsigned shift = 0;; shift += 7) {
        x |= (uint64_t)(*from & 0x7f) << shift;
        if (!(*from++ & 0x80)) break;
    }
    *ret = x;
    return from;
}

static unsigned width_of(uint64_t bits)
{
    unsigned width = bits ? 64 - (unsigned)__builtin_clzll(bits) : 0;
    return width > 56 ? 64 : width; /* up to 56 bits are reached by one load at a byte's address */
}

static size_t packed_size(uint32_t count, unsigned width)
{
    return ((size_t)count * width + 7) / 8;
}

/* What the residuals cost in bytes, and their widths. */
static size_t measure(const uint64_t *residuals, uint32_t count, uint8_t *widths, bool *ret_flat)
{
    size_t size = 0;
    uint64_t any = 0;
    for (uint32_t at = 0, group = 0; at < count; at += GROUP, group++) {
        uint64_t bits = 0;
        uint32_t end = YD_MIN(at + GROUP, count);
        for (uint32_t i = at; i < end; i++) bits |= residuals[i];
        any |= bits;
        widths[group] = (uint8_t)width_of(bits);
        size += 1 + packed_size(end - at, widths[group]);
    }
    *ret_flat = any == 0;
    return any ? size : 0;
}

static uint8_t *pack(uint8_t *to, const uint64_t *residuals, uint32_t count, unsigned width)
{
    if (width == 64) {
        memcpy(to, residuals, (size_t)count * 8);
        return to + (size_t)count * 8;
    }
    unsigned __int128 word = 0;
    unsigned filled = 0;
    for (uint32_t i = 0; i < count; i++) {
        word |= (unsigned __int128)residuals[i] << filled;
        filled += width;
        if (filled >= 64) {
            store64(to, (uint64_t)word);
            to += 8;
            word >>= 64;
            filled -= 64;
        }
    }
    for (; filled; filled = filled > 8 ? filled - 8 : 0, word >>= 8) *to++ = (uint8_t)word;
    return to;
}

/* Without a branch in the loop; always whole groups, so the loop's length is a constant. */
static inline void unpack(const uint8_t *from, unsigned width, uint64_t *residuals)
{
    if (width == 64) {
        memcpy(residuals, from, GROUP * 8);
        return;
    }
    uint64_t mask = (UINT64_C(1) << width) - 1;
    for (unsigned i = 0, bit = 0; i < GROUP; i++, bit += width)
        residuals[i] = load64(from + (bit >> 3)) >> (bit & 7) & mask;
}

struct plan {
    size_t size;
    uint64_t base;
    uint8_t order;
    bool zigzag, flat;
    uint8_t widths[(YD__POINTS_ROOM + GROUP - 1) / GROUP];
};

/* Tries one way to store: fills residuals, keeps the plan if it is smaller. */
static bool attempt(struct plan *best, const uint64_t *differences, uint32_t count, uint8_t order, bool zig,
                    uint64_t *residuals)
{
    struct plan plan = {.order = order, .zigzag = zig};
    if (zig) {
        for (uint32_t i = 0; i < count; i++) residuals[i] = zigzag(differences[i]);
    } else {
        int64_t least = count ? (int64_t)differences[0] : 0;
        for (uint32_t i = 1; i < count; i++)
            if ((int64_t)differences[i] < least) least = (int64_t)differences[i];
        plan.base = (uint64_t)least;
        for (uint32_t i = 0; i < count; i++) residuals[i] = differences[i] - plan.base;
    }
    plan.size = measure(residuals, count, plan.widths, &plan.flat) + order * 2;
    if (best->size <= plan.size) return false;
    *best = plan;
    return true;
}

size_t yd__column_put(uint8_t *to, const int64_t *values, uint32_t count)
{
    uint64_t differences[YD__POINTS_ROOM], scratch[2][YD__POINTS_ROOM];
    struct plan best = {.size = SIZE_MAX};
    uint64_t *kept = scratch[0], *spare = scratch[1];
    uint64_t first = (uint64_t)values[0], step = count > 1 ? (uint64_t)values[1] - first : 0;
    for (unsigned order = 0; order <= 2 && order <= count; order++) {
        uint32_t left = count - order;
        if (order == 0)
            memcpy(differences, values, (size_t)count * 8);
        else
            for (uint32_t i = 0; i < left; i++) differences[i] = differences[i + 1] - differences[i];
        for (int zig = order == 2; zig <= (order > 0); zig++) {
            if (!attempt(&best, differences, left, (uint8_t)order, zig != 0, spare)) continue;
            uint64_t *swap = kept;
            kept = spare;
            spare = swap;
        }
        if (best.flat) break;
    }

    uint8_t *at = to;
    *at++ = (uint8_t)(best.order | best.zigzag << 2 | best.flat << 3);
    if (best.order >= 1) at = put_varint(at, zigzag(first));
    if (best.order == 2) at = put_varint(at, zigzag(step));
    if (!best.zigzag) at = put_varint(at, zigzag(best.base));
    uint32_t left = count - best.order;
    for (uint32_t i = 0, group = 0; !best.flat && i < left; i += GROUP, group++) {
        *at++ = best.widths[group];
        at = pack(at, kept + i, YD_MIN(left - i, (uint32_t)GROUP), best.widths[group]);
    }
    return (size_t)(at - to);
}

const uint8_t *yd__column_get(const uint8_t *from, uint32_t count, int64_t *values)
{
    unsigned head = *from++, order = head & 3;
    bool zig = head & 4, flat = head & 8;
    uint64_t first = 0, step = 0, base = 0;
    if (order >= 1) from = get_varint(from, &first);
    if (order == 2) from = get_varint(from, &step);
    if (!zig) from = get_varint(from, &base);
    first = unzigzag(first);
    step = unzigzag(step);
    base = unzigzag(base);

    /* Residuals go where their values will stand; a group is unpacked whole into a place of its own, because the last
     * one may be shorter than what the loop writes. */
    uint64_t *out = (uint64_t *)values;
    uint64_t group[GROUP];
    uint64_t value = first;
    uint32_t left = count - order, done = 0;
    if (order >= 1) *out++ = first;
    if (order == 2) *out++ = value = first + step;
    if (flat) memset(group, 0, sizeof group);
    for (; done < left; done += GROUP) {
        uint32_t here = YD_MIN(left - done, (uint32_t)GROUP);
        if (!flat) {
            unsigned width = *from++;
            if (here == GROUP) {
                unpack(from, width, group);
            } else {
                uint8_t tail[GROUP * 8 + 8] = {0}; /* the last group may end with the allocation */
                memcpy(tail, from, packed_size(here, width));
                unpack(tail, width, group);
            }
            from += packed_size(here, width);
        }
        if (zig)
            for (unsigned i = 0; i < GROUP; i++) group[i] = unzigzag(group[i]);
        if (order == 0) {
            for (uint32_t i = 0; i < here; i++) out[i] = group[i] + base;
        } else if (order == 1) {
            for (uint32_t i = 0; i < here; i++) out[i] = value += group[i] + base;
        } else {
            for (uint32_t i = 0; i < here; i++) out[i] = value += step += group[i] + base;
        }
        out += here;
    }
    return from;
}
