/* CRC32C.
 *
 * The CPU's instruction takes 3 cycles but starts every cycle, so one stream of it gets a third of what the CPU can
 * do. Long inputs are therefore cut in three parts of equal size whose checksums are computed side by side:
 *
 *      a ---------> | b ---------> | c --------->      crc(abc) = zeros(zeros(crc a) ^ crc b) ^ crc c
 *
 * where zeros() carries a checksum over one part's length of zero bytes: linear, hence four table lookups. The copying
 * form does the same and stores what it loaded. Without the instruction: eight tables, eight bytes a step. */
#include "base/hash.h"
#include "crc_table.h"

uint32_t yd_crc32c_portable(uint32_t crc, const void *data, size_t size)
{
    const uint8_t *p = data;
    crc = ~crc;
    for (; size >= 8; size -= 8, p += 8) {
        uint32_t lo = crc ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
        crc = crc_slices[7][lo & 255] ^ crc_slices[6][lo >> 8 & 255] ^ crc_slices[5][lo >> 16 & 255] ^
              crc_slices[4][lo >> 24] ^ crc_slices[3][p[4]] ^ crc_slices[2][p[5]] ^ crc_slices[1][p[6]] ^
              crc_slices[0][p[7]];
    }
    for (; size; size--) crc = crc_slices[0][(crc ^ *p++) & 255] ^ (crc >> 8);
    return ~crc;
}

#if defined(__x86_64__)
#include <nmmintrin.h>

static inline uint32_t zeros(const uint32_t table[4][256], uint32_t crc)
{
    return table[0][crc & 255] ^ table[1][crc >> 8 & 255] ^ table[2][crc >> 16 & 255] ^ table[3][crc >> 24];
}

static inline uint64_t load(const char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

/* One word: into the checksum and, when there is a `to`, into the copy. `to` is a constant where this is inlined. */
static inline __attribute__((always_inline, target("sse4.2"))) uint64_t step(uint64_t crc, char *to, const char *from)
{
    uint64_t word = load(from);
    if (to) memcpy(to, &word, sizeof word);
    return _mm_crc32_u64(crc, word);
}

static inline __attribute__((always_inline, target("sse4.2"))) uint64_t
triple(uint64_t crc, char *to, const char *from, size_t part, const uint32_t table[4][256])
{
    uint64_t b = 0, c = 0;
    for (size_t i = 0; i < part; i += 8) {
        crc = step(crc, to ? to + i : NULL, from + i);
        b = step(b, to ? to + part + i : NULL, from + part + i);
        c = step(c, to ? to + 2 * part + i : NULL, from + 2 * part + i);
    }
    return zeros(table, zeros(table, (uint32_t)crc) ^ (uint32_t)b) ^ (uint32_t)c;
}

static inline __attribute__((always_inline, target("sse4.2"))) uint32_t run(uint32_t start, char *to, const char *from,
                                                                            size_t size)
{
    uint64_t crc = (uint32_t)~start;
    for (; size >= 3 * CRC_LONG; size -= 3 * CRC_LONG, from += 3 * CRC_LONG) {
        crc = triple(crc, to, from, CRC_LONG, crc_zeros_long);
        if (to) to += 3 * CRC_LONG;
    }
    for (; size >= 3 * CRC_SHORT; size -= 3 * CRC_SHORT, from += 3 * CRC_SHORT) {
        crc = triple(crc, to, from, CRC_SHORT, crc_zeros_short);
        if (to) to += 3 * CRC_SHORT;
    }
    for (; size >= 8; size -= 8, from += 8) {
        crc = step(crc, to, from);
        if (to) to += 8;
    }
    for (; size; size--, from++) {
        if (to) *to++ = *from;
        crc = _mm_crc32_u8((uint32_t)crc, (uint8_t)*from);
    }
    return ~(uint32_t)crc;
}

static __attribute__((target("sse4.2"))) uint32_t fast(uint32_t crc, const void *data, size_t size)
{
    return run(crc, NULL, data, size);
}

static __attribute__((target("sse4.2"))) uint32_t fast_copy(uint32_t crc, void *to, const void *from, size_t size)
{
    return run(crc, to, from, size);
}

static inline bool have_fast(void)
{
    return __builtin_cpu_supports("sse4.2");
}
#else
static inline bool have_fast(void)
{
    return false;
}
#define fast                           yd_crc32c_portable
#define fast_copy(crc, to, from, size) 0
#endif

uint32_t yd_crc32c(uint32_t crc, const void *data, size_t size)
{
    return YD_LIKELY(have_fast()) ? fast(crc, data, size) : yd_crc32c_portable(crc, data, size);
}

uint32_t yd_crc32c_copy(uint32_t crc, void *to, const void *from, size_t size)
{
    if (YD_LIKELY(have_fast() && to)) return fast_copy(crc, to, from, size);
    if (size) memcpy(to, from, size);
    return yd_crc32c_portable(crc, from, size);
}
