/* Streams and sealed chunks; see codec.h for the picture. */
#include <math.h>

#include "store/codec.h"
#include "store/words.h"

static const double powers[YD__DECIMALS_MAX + 1] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
static const int64_t units[4] = {1, 1000, 1000000, 1000000000};

static inline unsigned bytes_of(uint64_t x)
{
    return x ? (71 - (unsigned)__builtin_clzll(x)) / 8 : 0;
}

/* v as an integer of `decimals` decimals, if that is exactly v. Below 2^51 adding 1.5 * 2^52 rounds to an integer that
 * stands in the low bits, and an integer over a power of ten is rounded correctly: so the check by bits is the proof.
 */
static inline bool decimal(uint64_t bits, unsigned decimals, int64_t *ret)
{
    const double magic = 0x1.8p52;
    double v = yd__bits_f64(bits), scaled = v * powers[decimals];
    if (!(fabs(scaled) < 0x1p51)) return false;
    int64_t i = (int64_t)(yd__f64_bits(scaled + magic) - yd__f64_bits(magic));
    double again = decimals ? (double)i / powers[decimals] : (double)i;
    if (yd__f64_bits(again) != bits) return false;
    *ret = i;
    return true;
}

/* ---- streams ---- */

/* By the control's high half: bytes of the time's change of change, and their unit. */
static const uint8_t time_bytes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 1, 2, 0};
static const int64_t time_units[16] = {1, 1,       1,       1,       1,       1,          1,          1,
                                       1, 1000000, 1000000, 1000000, 1000000, 1000000000, 1000000000, 1};
/* By its low half: bytes of the value's change, and by how much they are shifted. */
static const uint8_t value_bytes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 0};
static const uint8_t value_shifts[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 56, 48, 40, 32, 24, 16, 0};
static const uint64_t masks[9] = {
    0, 0xff, 0xffff, 0xffffff, 0xffffffff, 0xffffffffff, 0xffffffffffff, 0xffffffffffffff, 0xffffffffffffffff};
#define CONTROL_MODE 0xf0

static int64_t power10(unsigned exponent)
{
    int64_t power = 1;
    while (exponent--) power *= 10;
    return power;
}

/* The state's value in another mode: any guess does that writer and reader make alike; a good one is short. */
static uint64_t convert(uint64_t value, unsigned from, unsigned to)
{
    if (from == YD__MODE_RAW || from == YD__MODE_BOOL || to == YD__MODE_RAW || to == YD__MODE_BOOL) return 0;
    unsigned have = from <= YD__DECIMALS_MAX ? from : 0, want = to <= YD__DECIMALS_MAX ? to : 0;
    if (want >= have) return value * (uint64_t)power10(want - have);
    return (uint64_t)((int64_t)value / power10(have - want));
}

/* The mode for a double, and the integer it becomes there. */
static unsigned choose_mode(unsigned mode, uint64_t bits, int64_t *ret)
{
    if (mode == YD__MODE_RAW) return mode; /* once given up, not tried again in this stream */
    for (unsigned decimals = mode <= YD__DECIMALS_MAX ? mode : 0; decimals <= YD__DECIMALS_MAX; decimals++)
        if (decimal(bits, decimals, ret)) return decimals;
    return YD__MODE_RAW;
}

static inline unsigned put_time(uint8_t *to, uint64_t change)
{
    int64_t d = (int64_t)change;
    if (d == 0) return 0;
    if (d % 1000000 == 0) {
        int64_t ms = d / 1000000;
        uint64_t z = yd__zigzag((uint64_t)ms);
        if (ms % 1000 == 0) {
            uint64_t zs = yd__zigzag((uint64_t)(ms / 1000));
            if (zs <= 0xffff) {
                yd__store_word(to, zs);
                return zs <= 0xff ? 13 : 14;
            }
        }
        if (z <= 0xffffffff) {
            yd__store_word(to, z);
            return 8 + bytes_of(z);
        }
    }
    uint64_t z = yd__zigzag(change);
    yd__store_word(to, z);
    return bytes_of(z);
}

uint32_t yd__stream_put(uint8_t *to, struct yd__stream *stream, int64_t time, uint8_t type, uint64_t bits)
{
    uint8_t *at = to;
    int64_t integer = (int64_t)bits;
    unsigned mode;
    switch (type) {
    case YD_F64:
        mode = choose_mode(stream->mode, bits, &integer);
        break;
    case YD_I64:
        mode = YD__MODE_I64;
        break;
    case YD_U64:
        mode = YD__MODE_U64;
        break;
    default:
        mode = YD__MODE_BOOL;
        break;
    }
    if (YD_UNLIKELY(mode != stream->mode)) {
        *at++ = CONTROL_MODE;
        *at++ = (uint8_t)mode;
        stream->value = convert(stream->value, stream->mode, mode);
        stream->mode = (uint8_t)mode;
    }
    uint8_t *control = at++;
    uint64_t delta = (uint64_t)time - (uint64_t)stream->time;
    unsigned high = put_time(at, delta - (uint64_t)stream->delta);
    at += time_bytes[high];
    stream->time = time;
    stream->delta = (int64_t)delta;

    unsigned low;
    if (mode != YD__MODE_RAW) {
        uint64_t z = yd__zigzag((uint64_t)integer - stream->value);
        yd__store_word(at, z);
        low = bytes_of(z);
        stream->value = (uint64_t)integer;
    } else {
        uint64_t change = bits ^ stream->value;
        low = bytes_of(change);
        unsigned trailing = change ? (unsigned)__builtin_ctzll(change) / 8 : 0;
        if (low > 8 - trailing && 8 - trailing <= 6) {
            yd__store_word(at, change >> trailing * 8);
            low = 8 + 8 - trailing;
        } else {
            yd__store_word(at, change);
        }
        stream->value = bits;
    }
    at += value_bytes[low];
    *control = (uint8_t)(high << 4 | low);
    return (uint32_t)(at - to);
}

static inline uint8_t mode_type(unsigned mode)
{
    return mode <= YD__MODE_RAW ? YD_F64 : mode == YD__MODE_I64 ? YD_I64 : mode == YD__MODE_U64 ? YD_U64 : YD_BOOL;
}
static inline uint64_t mode_bits(unsigned mode, uint64_t value)
{
    return mode <= YD__DECIMALS_MAX ? yd__f64_bits((double)(int64_t)value / powers[mode]) : value;
}
static inline double mode_number(unsigned mode, uint64_t value)
{
    if (mode <= YD__DECIMALS_MAX) return (double)(int64_t)value / powers[mode];
    return yd__number(mode_type(mode), value);
}

uint8_t yd__stream_last(const struct yd__stream *stream, uint64_t *ret_bits)
{
    *ret_bits = mode_bits(stream->mode, stream->value);
    return mode_type(stream->mode);
}

/* One token: moves the stream on by a point. */
static inline const uint8_t *next(const uint8_t *at, struct yd__stream *stream)
{
    unsigned control = *at++;
    while (YD_UNLIKELY(control == CONTROL_MODE)) {
        unsigned mode = *at++;
        stream->value = convert(stream->value, stream->mode, mode);
        stream->mode = (uint8_t)mode;
        control = *at++;
    }
    unsigned high = control >> 4, low = control & 15;
    uint64_t change = yd__unzigzag(yd__load_word(at) & masks[time_bytes[high]]) * (uint64_t)time_units[high];
    at += time_bytes[high];
    stream->delta = (int64_t)((uint64_t)stream->delta + change);
    stream->time = (int64_t)((uint64_t)stream->time + (uint64_t)stream->delta);
    uint64_t value = (yd__load_word(at) & masks[value_bytes[low]]) << value_shifts[low];
    at += value_bytes[low];
    stream->value = stream->mode == YD__MODE_RAW ? stream->value ^ value : stream->value + yd__unzigzag(value);
    return at;
}

void yd__stream_points(const uint8_t *from, uint32_t count, int64_t first, struct yd__points *points)
{
    struct yd__stream stream = {.time = first, .mode = *from++};
    for (uint32_t i = points->count, end = i + count; i < end; i++) {
        from = next(from, &stream);
        points->times[i] = stream.time;
        points->bits[i] = mode_bits(stream.mode, stream.value);
        points->types[i] = mode_type(stream.mode);
    }
    points->count += count;
}

void yd__stream_numbers(const uint8_t *from, uint32_t count, int64_t first, struct yd__numbers *numbers)
{
    struct yd__stream stream = {.time = first, .mode = *from++};
    for (uint32_t i = numbers->count, end = i + count; i < end; i++) {
        from = next(from, &stream);
        numbers->times[i] = stream.time;
        numbers->values[i] = mode_number(stream.mode, stream.value);
    }
    numbers->count += count;
}

/* ---- sealed chunks ---- */

static unsigned unit_of(const int64_t *times, uint32_t count)
{
    unsigned unit = 3;
    for (uint32_t i = 1; i < count && unit; i++)
        while ((int64_t)((uint64_t)times[i] - (uint64_t)times[0]) % units[unit] != 0) unit--;
    return unit;
}

/* Doubles as integers of one scale. Returns the decimals, or YD__MODE_RAW. */
static unsigned decimals_of(const uint64_t *bits, uint32_t count, int64_t *integers)
{
    unsigned decimals = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (YD_LIKELY(decimal(bits[i], decimals, &integers[i]))) continue;
        do decimals++;
        while (decimals <= YD__DECIMALS_MAX && !decimal(bits[i], decimals, &integers[i]));
        if (decimals > YD__DECIMALS_MAX) return YD__MODE_RAW;
        i = UINT32_MAX; /* from the start, at the finer scale */
    }
    return decimals;
}

/* One type for all: as they are; or doubles, when the others are exact as such. false: they stay apart. */
static bool one_type(const struct yd__points *points, uint32_t from, uint32_t count, uint8_t *ret_type, uint64_t *bits)
{
    uint8_t type = points->types[from];
    bool same = true;
    for (uint32_t i = 1; i < count; i++) same &= points->types[from + i] == type;
    memcpy(bits, points->bits + from, (size_t)count * 8);
    *ret_type = type;
    if (same) return true;
    *ret_type = YD_F64;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t own = points->types[from + i];
        int64_t value = (int64_t)bits[i];
        if (own == YD_F64) continue;
        if (own == YD_BOOL || value >= INT64_C(1) << 51 || value <= -(INT64_C(1) << 51)) return false;
        bits[i] = yd__f64_bits((double)value);
    }
    return true;
}

static uint32_t put_stream(uint8_t *to, const struct yd__points *points, uint32_t from, uint32_t count)
{
    struct yd__stream stream = {.time = points->times[from]};
    uint32_t size = 1;
    to[0] = 0;
    for (uint32_t i = from; i < from + count; i++)
        size += yd__stream_put(to + size, &stream, points->times[i], points->types[i], points->bits[i]);
    return size;
}

#define COLUMNS_ROOM (2 * (32 + YD__CHUNK_MAX * 8 + YD__CHUNK_MAX / 32))
#define STREAM_ROOM  (1 + YD__CHUNK_MAX * YD__TOKEN_MAX + YD__STREAM_SLACK)

static struct yd__chunk *make(struct yd_alloc *alloc, const struct yd__chunk *head, const uint8_t *data)
{
    struct yd__chunk *chunk = yd_alloc_get(alloc, yd__chunk_bytes(head));
    if (!chunk) return NULL;
    *chunk = *head;
    memcpy(chunk->data, data, head->size);
    memset(chunk->data + head->size, 0, YD__STREAM_SLACK);
    return chunk;
}

/* The column of times, from the first on, in the coarsest unit. `integers` is room for them. */
static size_t put_times(uint8_t *to, struct yd__chunk *head, const int64_t *times, int64_t *integers)
{
    uint32_t count = head->count;
    head->unit = (uint8_t)unit_of(times, count);
    for (uint32_t i = 0; i < count; i++)
        integers[i] = (int64_t)((uint64_t)times[i] - (uint64_t)times[0]) / units[head->unit];
    return yd__column_put(to, integers, count);
}

static struct yd__chunk *build(struct yd_alloc *alloc, const struct yd__points *points, uint32_t from, uint32_t count,
                               bool tight)
{
    uint64_t bits[YD__CHUNK_MAX];
    int64_t integers[YD__CHUNK_MAX];
    uint8_t data[YD_MAX(COLUMNS_ROOM, STREAM_ROOM)], type;
    const int64_t *times = points->times + from;
    struct yd__chunk head = {.first = times[0], .last = times[count - 1], .count = (uint16_t)count};
    size_t size;
    YD_ASSERT(count > 0 && count <= YD__CHUNK_MAX);

    if (one_type(points, from, count, &type, bits)) {
        const int64_t *column = (const int64_t *)bits;
        size = put_times(data, &head, times, integers);
        if (tight) size = yd__tight_put(data, size, integers, count, false);
        if (type == YD_F64) {
            head.kind = (uint8_t)decimals_of(bits, count, integers);
            if (head.kind == YD__MODE_RAW) {
                uint64_t any = 0;
                for (uint32_t i = 0; i < count; i++) any |= bits[i];
                head.scale = any ? (uint8_t)__builtin_ctzll(any) : 0;
                for (uint32_t i = 0; i < count; i++) integers[i] = (int64_t)(bits[i] >> head.scale);
            }
            column = integers;
        } else {
            head.kind = type == YD_I64 ? YD__MODE_I64 : type == YD_U64 ? YD__MODE_U64 : YD__MODE_BOOL;
        }
        size_t values = yd__column_put(data + size, column, count);
        if (tight) values = yd__tight_put(data + size, values, column, count, head.kind == YD__MODE_RAW);
        size += values;
    } else {
        head.kind = YD__MODE_COUNT;
        size = put_stream(data, points, from, count);
    }
    head.size = (uint16_t)size;
    return make(alloc, &head, data);
}

struct yd__chunk *yd__chunk_build(struct yd_alloc *alloc, const struct yd__points *points, uint32_t from,
                                  uint32_t count)
{
    return build(alloc, points, from, count, false);
}

struct yd__chunk *yd__chunk_build_tight(struct yd_alloc *alloc, const struct yd__points *points, uint32_t from,
                                        uint32_t count)
{
    return build(alloc, points, from, count, true);
}

struct yd__chunk *yd__chunk_seal(struct yd_alloc *alloc, const uint8_t *from, uint32_t count, int64_t first,
                                 struct yd__points *scratch)
{
    struct yd__stream stream = {.time = first, .mode = from[0]};
    const uint8_t *at = from + 1;
    int64_t *times = scratch->times, *values = (int64_t *)scratch->bits;
    uint8_t data[COLUMNS_ROOM];
    if (count > YD__CHUNK_MAX) return NULL;
    if (*at == CONTROL_MODE) { /* the mode byte was an earlier stream's */
        stream.mode = at[1];
        at += 2;
    }
    uint64_t uneven = 0;
    bool long_way = stream.mode == YD__MODE_RAW;
    for (uint32_t i = 0; i < count && !long_way; i++) {
        int64_t delta = stream.delta;
        long_way = *at == CONTROL_MODE; /* not of one mode */
        at = next(at, &stream);
        uneven |= i > 1 ? (uint64_t)(delta ^ stream.delta) : 0;
        times[i] = stream.time;
        values[i] = (int64_t)stream.value;
    }
    if (long_way) {
        scratch->count = 0;
        yd__stream_points(from, count, first, scratch);
        return yd__chunk_build(alloc, scratch, 0, count);
    }
    struct yd__chunk head = {.first = first, .last = stream.time, .count = (uint16_t)count, .kind = stream.mode};
    int64_t integers[YD__CHUNK_MAX];
    size_t size;
    if (uneven) {
        size = put_times(data, &head, times, integers);
    } else {
        while (count > 1 && head.unit < 3 && stream.delta % units[head.unit + 1] == 0) head.unit++;
        size = yd__line_put(data, 0, count > 1 ? stream.delta / units[head.unit] : 0);
    }
    size += yd__column_put(data + size, values, count);
    head.size = (uint16_t)size;
    return make(alloc, &head, data);
}
_Static_assert(COLUMNS_ROOM <= UINT16_MAX && STREAM_ROOM <= UINT16_MAX, "sizes fit their field");

#define DOUBLES_MAX 512

size_t yd__doubles_put(uint8_t *to, const double *values, uint32_t count)
{
    uint64_t bits[DOUBLES_MAX], any = 0;
    int64_t integers[DOUBLES_MAX];
    YD_ASSERT(count > 0 && count <= DOUBLES_MAX);
    bits[0] = 0;
    for (uint32_t i = 0; i < count; i++) any |= bits[i] = yd__f64_bits(values[i]);
    unsigned kind = decimals_of(bits, count, integers), scale = 0;
    if (kind == YD__MODE_RAW) {
        scale = any ? (unsigned)__builtin_ctzll(any) : 0;
        for (uint32_t i = 0; i < count; i++) integers[i] = (int64_t)(bits[i] >> scale);
    }
    to[0] = (uint8_t)kind;
    to[1] = (uint8_t)scale;
    size_t size = yd__column_put(to + 2, integers, count);
    return 2 + yd__tight_put(to + 2, size, integers, count, kind == YD__MODE_RAW);
}

const uint8_t *yd__doubles_get(const uint8_t *from, uint32_t count, double *values)
{
    int64_t integers[DOUBLES_MAX + 32];
    unsigned kind = from[0], scale = from[1];
    from = yd__column_get(from + 2, count, integers);
    for (uint32_t i = 0; i < count; i++)
        values[i] = kind <= YD__DECIMALS_MAX ? (double)integers[i] / powers[kind]
                                             : yd__bits_f64((uint64_t)integers[i] << (scale & 63));
    return from;
}

static const uint8_t *get_times(const struct yd__chunk *chunk, const uint8_t *data, int64_t *times)
{
    const uint8_t *at = yd__column_get(data, chunk->count, times);
    uint64_t first = (uint64_t)chunk->first, unit = (uint64_t)units[chunk->unit];
    for (uint32_t i = 0; i < chunk->count; i++) times[i] = (int64_t)(first + (uint64_t)times[i] * unit);
    return at;
}

void yd__chunk_points_at(const struct yd__chunk *chunk, const uint8_t *data, struct yd__points *points)
{
    uint32_t from = points->count, count = chunk->count;
    if (chunk->kind == YD__MODE_COUNT) {
        yd__stream_points(data, count, chunk->first, points);
        return;
    }
    const uint8_t *at = get_times(chunk, data, points->times + from);
    uint64_t *bits = points->bits + from;
    (void)yd__column_get(at, count, (int64_t *)bits); /* its end is the chunk's */
    if (chunk->kind <= YD__DECIMALS_MAX) {
        double power = powers[chunk->kind];
        for (uint32_t i = 0; i < count; i++) bits[i] = yd__f64_bits((double)(int64_t)bits[i] / power);
    } else if (chunk->kind == YD__MODE_RAW) {
        for (uint32_t i = 0; i < count; i++) bits[i] <<= chunk->scale;
    }
    memset(points->types + from, mode_type(chunk->kind), count);
    points->count += count;
}

/* The first of rising times that is `time` or later. */
static uint32_t time_find(const int64_t *times, uint32_t count, int64_t time)
{
    uint32_t low = 0;
    while (low < count) {
        uint32_t middle = low + (count - low) / 2;
        if (times[middle] < time)
            low = middle + 1;
        else
            count = middle;
    }
    return low;
}

void yd__chunk_numbers_in(const struct yd__chunk *chunk, const uint8_t *data, int64_t from, int64_t until,
                          struct yd__numbers *numbers)
{
    uint32_t first = 0, end = chunk->count;
    if (chunk->kind == YD__MODE_COUNT) {
        yd__stream_numbers(data, end, chunk->first, numbers);
        return;
    }
    int64_t integers[YD__CHUNK_MAX + 32], *times = numbers->times;
    const uint8_t *at = get_times(chunk, data, times);
    if (chunk->first < from) first = time_find(times, end, from);
    if (chunk->last > until) end = until == INT64_MAX ? end : time_find(times, end, until + 1);
    if (first >= end) return;
    /* What is behind the end need not be decoded; what is before the beginning must be, for differences add up. */
    (void)yd__column_get(at, *at & YD__HEAD_TIGHT ? chunk->count : end, integers);
    double *values = numbers->values;
    const int64_t *wanted = integers + first;
    uint32_t count = end - first;
    if (first) memmove(times, times + first, count * sizeof *times);
    if (chunk->kind == 0 || chunk->kind == YD__MODE_I64 || chunk->kind == YD__MODE_BOOL) {
        for (uint32_t i = 0; i < count; i++) values[i] = (double)wanted[i];
    } else if (chunk->kind <= YD__DECIMALS_MAX) {
        double power = powers[chunk->kind];
        for (uint32_t i = 0; i < count; i++) values[i] = (double)wanted[i] / power;
    } else if (chunk->kind == YD__MODE_U64) {
        for (uint32_t i = 0; i < count; i++) values[i] = (double)(uint64_t)wanted[i];
    } else {
        for (uint32_t i = 0; i < count; i++) values[i] = yd__bits_f64((uint64_t)wanted[i] << chunk->scale);
    }
    numbers->count = count;
}
