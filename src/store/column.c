/* Columns: integers, or their differences, as residuals in groups of 32 with a width of their own.
 *
 *   byte: differences (bit 0) | zigzag (bit 1) | flat (bit 2)
 *   varint: first value (of differences), base (unless zigzag)
 *   (or a tight one, tight.c)
 *   unless flat: per 32 residuals a width byte and width * 4 bytes (the last group: as many as its residuals need)
 *
 * A steady clock, a constant and a straight line are flat: a few bytes whatever their length. Residuals are either what
 * exceeds the smallest (noise around a level, counters) or zigzag (a walk; an odd jump costs its own group only). Which
 * is shortest is known from the least and greatest of each group, in one pass. All arithmetic wraps at 64 bits. */
#include "store/codec.h"
#include "store/words.h"

#define GROUP 32

static unsigned width_of(uint64_t bits)
{
    unsigned width = bits ? 64 - (unsigned)__builtin_clzll(bits) : 0;
    return width > 56 ? 64 : width; /* up to 56 bits are reached by one load at a byte's address */
}

static size_t packed_size(uint32_t count, unsigned width)
{
    return ((size_t)count * width + 7) / 8;
}

/* One store at a byte's address per value; what is beyond the last is written over by whatever comes next. */
static uint8_t *pack(uint8_t *to, const uint64_t *residuals, uint32_t count, unsigned width)
{
    if (width == 64) {
        memcpy(to, residuals, (size_t)count * 8);
        return to + (size_t)count * 8;
    }
    uint64_t word = 0;
    unsigned filled = 0;
    uint8_t *end = to + packed_size(count, width);
    for (uint32_t i = 0; i < count; i++) {
        word |= residuals[i] << filled;
        filled += width;
        yd__store_word(to, word);
        to += filled >> 3;
        word >>= filled & ~7u;
        filled &= 7;
    }
    return end;
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
        residuals[i] = yd__load_word(from + (bit >> 3)) >> (bit & 7) & mask;
}

enum { LEVELS, DIFFERENCES, WALK, PLANS };
#define HEAD_DIFFERENCES 1
#define HEAD_ZIGZAG      2
#define HEAD_FLAT        4
static const uint8_t heads[PLANS] = {0, HEAD_DIFFERENCES, HEAD_DIFFERENCES | HEAD_ZIGZAG};

struct range {
    int64_t least, greatest;
};
static inline struct range widen(struct range range, int64_t value)
{
    range.least = YD_MIN(range.least, value);
    range.greatest = YD_MAX(range.greatest, value);
    return range;
}
static struct range range_of(const int64_t *values, uint32_t count)
{
    struct range range = {values[0], values[0]};
    for (uint32_t i = 1; i < count; i++) range = widen(range, values[i]);
    return range;
}

/* Bytes that the residuals of one plan take, and the width of each group. */
static size_t measure(const struct range *ranges, uint32_t count, int64_t base, bool zig, uint8_t *widths)
{
    size_t size = 0;
    for (uint32_t at = 0, group = 0; at < count; at += GROUP, group++) {
        uint64_t bits = zig ? yd__zigzag((uint64_t)ranges[group].least) | yd__zigzag((uint64_t)ranges[group].greatest)
                            : (uint64_t)ranges[group].greatest - (uint64_t)base;
        widths[group] = (uint8_t)width_of(bits);
        size += 1 + packed_size(YD_MIN(count - at, (uint32_t)GROUP), widths[group]);
    }
    return size;
}

size_t yd__line_put(uint8_t *to, int64_t first, int64_t step)
{
    uint8_t *at = to;
    *at++ = step ? HEAD_DIFFERENCES | HEAD_FLAT : HEAD_FLAT;
    at = yd__put_varint(at, yd__zigzag((uint64_t)first));
    if (step) at = yd__put_varint(at, yd__zigzag((uint64_t)step));
    return (size_t)(at - to);
}

#define GROUPS (YD__CHUNK_MAX / GROUP)

size_t yd__column_put(uint8_t *to, const int64_t *values, uint32_t count)
{
    int64_t differences[YD__CHUNK_MAX], base[PLANS] = {values[0], 0, 0};
    struct range ranges[2][GROUPS];
    uint8_t widths[PLANS][GROUPS];
    uint32_t lefts[PLANS] = {count, count - 1, count - 1};

    /* A line? Then nothing else is looked at. */
    uint64_t step = count > 1 ? (uint64_t)values[1] - (uint64_t)values[0] : 0, bent = 0;
    for (uint32_t i = 0; i + 1 < count; i++) {
        differences[i] = (int64_t)((uint64_t)values[i + 1] - (uint64_t)values[i]);
        bent |= (uint64_t)differences[i] ^ step;
    }
    if (!bent) return yd__line_put(to, values[0], (int64_t)step);

    base[1] = differences[0];
    for (uint32_t i = 0, group = 0; i < count; i += GROUP, group++) {
        ranges[0][group] = range_of(values + i, YD_MIN(count - i, (uint32_t)GROUP));
        base[0] = YD_MIN(base[0], ranges[0][group].least);
        if (i >= count - 1) break;
        ranges[1][group] = range_of(differences + i, YD_MIN(count - 1 - i, (uint32_t)GROUP));
        base[1] = YD_MIN(base[1], ranges[1][group].least);
    }
    unsigned best = 0;
    size_t best_size = SIZE_MAX;
    for (unsigned plan = 0; plan < PLANS; plan++) {
        size_t size = measure(ranges[plan > 0], lefts[plan], base[plan], plan == WALK, widths[plan]);
        if (size < best_size) best = plan;
        best_size = YD_MIN(best_size, size);
    }

    uint8_t *at = to;
    *at++ = heads[best];
    if (best != LEVELS) at = yd__put_varint(at, yd__zigzag((uint64_t)values[0]));
    if (best != WALK) at = yd__put_varint(at, yd__zigzag((uint64_t)base[best]));
    const int64_t *from = best == LEVELS ? values : differences;
    for (uint32_t i = 0, group = 0; i < lefts[best]; i += GROUP, group++) {
        uint64_t residuals[GROUP];
        uint32_t here = YD_MIN(lefts[best] - i, (uint32_t)GROUP);
        if (best == WALK)
            for (uint32_t k = 0; k < here; k++) residuals[k] = yd__zigzag((uint64_t)from[i + k]);
        else
            for (uint32_t k = 0; k < here; k++) residuals[k] = (uint64_t)from[i + k] - (uint64_t)base[best];
        *at++ = widths[best][group];
        at = pack(at, residuals, here, widths[best][group]);
    }
    return (size_t)(at - to);
}

const uint8_t *yd__column_get(const uint8_t *from, uint32_t count, int64_t *values)
{
    if (*from & YD__HEAD_TIGHT) return yd__tight_get(from, count, values);
    unsigned head = *from++;
    uint64_t first = 0, base = 0, group[GROUP];
    if (head & HEAD_DIFFERENCES) from = yd__get_varint(from, &first);
    if (!(head & HEAD_ZIGZAG)) from = yd__get_varint(from, &base);
    uint64_t value = yd__unzigzag(first), *out = (uint64_t *)values;
    base = yd__unzigzag(base);
    if (head & HEAD_FLAT) {
        if (head & HEAD_DIFFERENCES)
            for (uint32_t i = 0; i < count; i++) out[i] = value + i * base;
        else
            for (uint32_t i = 0; i < count; i++) out[i] = base;
        return from;
    }
    uint32_t left = count;
    if (head & HEAD_DIFFERENCES) {
        *out++ = value;
        left--;
    }
    for (uint32_t done = 0; done < left; done += GROUP) {
        uint32_t here = YD_MIN(left - done, (uint32_t)GROUP);
        unsigned width = *from++;
        if (here == GROUP) {
            unpack(from, width, group);
        } else { /* the last group may end with the allocation */
            uint8_t tail[GROUP * 8 + 8];
            memcpy(tail, from, packed_size(here, width));
            memset(tail + packed_size(here, width), 0, sizeof tail - packed_size(here, width));
            unpack(tail, width, group);
        }
        from += packed_size(here, width);
        if (!(head & HEAD_DIFFERENCES)) {
            for (uint32_t i = 0; i < here; i++) out[i] = group[i] + base;
        } else if (head & HEAD_ZIGZAG) {
            for (uint32_t i = 0; i < here; i++) out[i] = value += yd__unzigzag(group[i]);
        } else {
            for (uint32_t i = 0; i < here; i++) out[i] = value += group[i] + base;
        }
        out += here;
    }
    return from;
}
