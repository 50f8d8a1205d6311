/* store/codec.h: how samples are kept in memory. Of this floor only.
 *
 * Two forms of the same points. The *stream* takes one more point at its end and is decoded from its start:
 *
 *   mode byte | token token …        token = control (1) | time change (0-8) | value change (0-8)
 *                                     control 0xf0, mode byte: the mode changes from here on
 *
 * The *chunk* is sealed: two columns of integers, each as levels or differences in groups of 32 with a width of their
 * own. Doubles that are short decimals are kept as integers of that scale, exactly;
 * others as their bits. A chunk that would come out larger than its stream keeps the stream.
 *
 * All of it is exact: bits in, the same bits out, but for one thing: integers below 2^51 between doubles of one chunk
 * come back as doubles of the same value. Times and integers wrap, so no value overflows anything. One thread. */
#ifndef STORE_CODEC_H
#define STORE_CODEC_H

#include <yarder/batch.h>

#include "base/alloc.h"

#define YD__CHUNK_MAX    2048 /* points of a sealed chunk */
#define YD__OPEN_MAX     256  /* points of a stream before it is sealed */
#define YD__SIDE_MAX     64   /* points out of order that wait beside a series */
#define YD__POINTS_MAX   (YD__CHUNK_MAX + YD__SIDE_MAX)
#define YD__POINTS_ROOM  (YD__POINTS_MAX + 32) /* columns are unpacked in groups of 32 */
#define YD__TOKEN_MAX    19                    /* bytes: mode change, control, time, value */
#define YD__STREAM_SLACK 8                     /* bytes that may be written and read past a stream's end */
#define YD__STREAM_CAP   1024                  /* bytes of an open stream */

/* Modes: 0-15 doubles as integers of that many decimals, then */
enum { YD__MODE_RAW = 16, YD__MODE_I64, YD__MODE_U64, YD__MODE_BOOL, YD__MODE_COUNT };
#define YD__DECIMALS_MAX 15

/* Where a stream stands: enough to add the next point, or to read it. */
struct yd__stream {
    int64_t time, delta;
    uint64_t value; /* an integer, or a double's bits in YD__MODE_RAW */
    uint8_t mode;
    uint8_t spare;              /* the keeper's: a byte of the name's hash */
    uint16_t count, used, room; /* the keeper's: points, bytes, and bytes there are */
};

/* Points as they came: bits and types. */
struct yd__points {
    uint32_t count;
    int64_t times[YD__POINTS_ROOM];
    uint64_t bits[YD__POINTS_ROOM];
    uint8_t types[YD__POINTS_ROOM];
};
/* Points as numbers. */
struct yd__numbers {
    uint32_t count;
    int64_t times[YD__POINTS_ROOM];
    double values[YD__POINTS_ROOM];
};

/* A sealed chunk: this header, then its bytes and YD__STREAM_SLACK more. */
struct yd__chunk {
    int64_t first, last; /* times */
    uint16_t count, size;
    uint8_t kind;    /* a mode for columns; YD__MODE_COUNT: a stream */
    uint8_t scale;   /* YD__MODE_RAW: bits shifted out */
    uint8_t unit;    /* of time: index into 1, 1e3, 1e6, 1e9 ns */
    uint8_t leaving; /* the keeper's, in memory: it is on its way into a block. On disk 0 */
    uint8_t data[];
};
_Static_assert(sizeof(struct yd__chunk) == 24, "headers are most of small chunks");

static inline double yd__bits_f64(uint64_t bits)
{
    union yd_value value = {.bits = bits};
    return value.f64;
}
static inline uint64_t yd__f64_bits(double f64)
{
    union yd_value value = {.f64 = f64};
    return value.bits;
}
/* A value as a number. */
static inline double yd__number(uint8_t type, uint64_t bits)
{
    return type == YD_F64 ? yd__bits_f64(bits) : type == YD_U64 ? (double)bits : (double)(int64_t)bits;
}

/* Writes one token at `to`; time is later than the stream's (or its first). Up to YD__TOKEN_MAX bytes, and
 * YD__STREAM_SLACK behind them may be overwritten. Returns the bytes used. A stream starts with time = the first
 * point's, all else zero, mode whatever it was: the caller has written that as the mode byte. */
uint32_t yd__stream_put(uint8_t *to, struct yd__stream *stream, int64_t time, uint8_t type, uint64_t bits);
/* The stream's last value as it came. */
uint8_t yd__stream_last(const struct yd__stream *stream, uint64_t *ret_bits);
/* `from` is the mode byte. Appends at ->count. */
void yd__stream_points(const uint8_t *from, uint32_t count, int64_t first, struct yd__points *points);
void yd__stream_numbers(const uint8_t *from, uint32_t count, int64_t first, struct yd__numbers *numbers);

/* Seals 1 to YD__CHUNK_MAX points [from, from + count), times rising. NULL: out of memory. */
struct yd__chunk *yd__chunk_build(struct yd_alloc *alloc, const struct yd__points *points, uint32_t from,
                                  uint32_t count);
/* The same of a whole stream, without going through points where it has one mode. */
struct yd__chunk *yd__chunk_seal(struct yd_alloc *alloc, const uint8_t *from, uint32_t count, int64_t first,
                                 struct yd__points *scratch);
/* For chunks that stay: entropy-coded where that is shorter. About ten times the work of a build, twice that of a read.
 */
struct yd__chunk *yd__chunk_build_tight(struct yd_alloc *alloc, const struct yd__points *points, uint32_t from,
                                        uint32_t count);
static inline size_t yd__chunk_bytes(const struct yd__chunk *chunk)
{
    return sizeof *chunk + chunk->size + YD__STREAM_SLACK;
}
/* Appends a chunk's points at ->count. `data`: the chunk's own, or elsewhere (of a block, YD__STREAM_SLACK readable
 * bytes behind it). */
void yd__chunk_points_at(const struct yd__chunk *chunk, const uint8_t *data, struct yd__points *points);
/* Those in [from, until] into empty numbers; perhaps others besides. */
void yd__chunk_numbers_in(const struct yd__chunk *chunk, const uint8_t *data, int64_t from, int64_t until,
                          struct yd__numbers *numbers);
static inline void yd__chunk_points(const struct yd__chunk *chunk, struct yd__points *points)
{
    yd__chunk_points_at(chunk, chunk->data, points);
}
static inline void yd__chunk_numbers(const struct yd__chunk *chunk, struct yd__numbers *numbers)
{
    yd__chunk_numbers_in(chunk, chunk->data, INT64_MIN, INT64_MAX, numbers);
}

/* Columns of integers, for tests too. put: `to` has room for yd__column_room(count); returns the bytes. get: `values`
 * has room for count rounded up to 32, and 8 bytes past the column may be read; returns the column's end. */
static inline size_t yd__column_room(uint32_t count)
{
    return 32 + (size_t)count * 8 + (count + 31) / 32;
}
size_t yd__column_put(uint8_t *to, const int64_t *values, uint32_t count);
/* Replaces the column of `size` bytes at `to` by a tight one if that is shorter; returns the bytes. bits: doubles. */
size_t yd__tight_put(uint8_t *to, size_t size, const int64_t *values, uint32_t count, bool bits);
/* A column of doubles, tight: how they are coded in two bytes, then the column. Up to 512. `to`: 64 + 9 bytes each. */
size_t yd__doubles_put(uint8_t *to, const double *values, uint32_t count);
const uint8_t *yd__doubles_get(const uint8_t *from, uint32_t count, double *values); /* room rounded up to 32 */
#define YD__HEAD_TIGHT 0x18 /* of a column's first byte: it is a tight one */
const uint8_t *yd__tight_get(const uint8_t *from, uint32_t count, int64_t *values);
size_t yd__line_put(uint8_t *to, int64_t first, int64_t step); /* the column first, first + step, … */
const uint8_t *yd__column_get(const uint8_t *from, uint32_t count, int64_t *values);

#endif
