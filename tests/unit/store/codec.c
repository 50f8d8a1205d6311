/* Streams and chunks give back what was put in, bit by bit. */
#include "testing.h"

#include <math.h>

#include "store/codec.h"

static uint64_t any_value(struct yd_rng *rng, unsigned flavour, uint64_t last, uint8_t *type)
{
    static const uint64_t extremes[] = {0, 1, UINT64_MAX, INT64_MAX, (uint64_t)INT64_MIN, UINT64_C(1) << 53};
    uint64_t random = yd_rng_next(rng);
    *type = YD_F64;
    switch (flavour) {
    case 0:
        *type = YD_I64;
        return last + random % 7 - 3;
    case 1:
        *type = YD_U64;
        return extremes[random % YD_COUNT(extremes)];
    case 2:
        *type = YD_I64;
        return extremes[random % YD_COUNT(extremes)];
    case 3:
        return yd__f64_bits((double)(random % 10000) / 100);
    case 4:
        return yd__f64_bits((double)(int64_t)random / 3);
    case 5:
        return yd__f64_bits((float)((double)random / 1e10));
    case 6:
        return random; /* any bits: NaNs, infinities, denormals */
    case 7: {
        static const double odd[] = {0.0, -0.0, INFINITY, -INFINITY, NAN, 1e300, 5e-324, 0.1, 1e15, 123456789.125};
        return yd__f64_bits(odd[random % YD_COUNT(odd)]);
    }
    case 8:
        *type = YD_BOOL;
        return random & 1;
    default:
        return any_value(rng, (unsigned)(random % 9), last, type);
    }
}

static int64_t any_step(struct yd_rng *rng, unsigned flavour)
{
    uint64_t random = yd_rng_next(rng);
    switch (flavour) {
    case 0:
        return 10 * SECOND;
    case 1:
        return 10 * SECOND + ((int64_t)(random % 11) - 5) * YD_NS_PER_MS;
    case 2:
        return 1 + (int64_t)(random % 1000000);
    case 3:
        return SECOND * (int64_t)(1 + random % 100000);
    default:
        return yd_rng_chance(rng, 20) ? (int64_t)(random >> 12) : 1000;
    }
}

/* As yd__chunk_build may: an integer between doubles comes back as the same number. */
static void assert_same(uint8_t type, uint64_t bits, uint8_t got_type, uint64_t got_bits, bool may_become_f64)
{
    if (type == got_type) {
        assert_true(bits == got_bits);
        return;
    }
    assert_true(may_become_f64 && got_type == YD_F64);
    assert_true(yd__bits_f64(got_bits) == yd__number(type, bits));
}

static void fill(struct yd_rng *rng, struct yd__points *points, uint32_t count)
{
    unsigned values = (unsigned)yd_rng_below(rng, 10), steps = (unsigned)yd_rng_below(rng, 5);
    int64_t time = (int64_t)(yd_rng_next(rng) >> 8) * (yd_rng_chance(rng, 2) ? 1 : -1) / SECOND * SECOND;
    uint64_t last = yd_rng_next(rng) % 100000;
    for (uint32_t i = 0; i < count; i++) {
        points->times[i] = time;
        points->bits[i] = last = any_value(rng, values, last, &points->types[i]);
        time += any_step(rng, steps);
    }
    points->count = count;
}

static void column_gives_back_what_was_put(void **state)
{
    (void)state;
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    int64_t values[YD__CHUNK_MAX], got[YD__CHUNK_MAX + 32];
    static uint8_t bytes[2 * YD__CHUNK_MAX * 9 + 64];
    for (int round = 0; round < 4000; round++) {
        uint32_t count = 1 + (uint32_t)yd_rng_below(&rng, YD__CHUNK_MAX);
        unsigned shift = (unsigned)yd_rng_below(&rng, 64), walk = (unsigned)yd_rng_below(&rng, 3);
        uint64_t value = yd_rng_next(&rng), step = yd_rng_next(&rng);
        for (uint32_t i = 0; i < count; i++) {
            uint64_t random = yd_rng_next(&rng) >> shift;
            step += walk == 2 ? random : 0;
            value = walk ? value + (walk == 2 ? step : random) : random;
            values[i] = (int64_t)value;
        }
        size_t size = yd__column_put(bytes, values, count);
        assert_true(size <= yd__column_room(count));
        assert_ptr_equal(yd__column_get(bytes, count, got), bytes + size);
        assert_memory_equal(values, got, count * sizeof values[0]);
    }
}

static void constants_and_lines_cost_a_few_bytes(void **state)
{
    (void)state;
    int64_t values[YD__CHUNK_MAX];
    uint8_t bytes[YD__CHUNK_MAX * 9 + 64];
    for (int i = 0; i < YD__CHUNK_MAX; i++) values[i] = 42;
    assert_true(yd__column_put(bytes, values, YD__CHUNK_MAX) <= 4);
    for (int i = 0; i < YD__CHUNK_MAX; i++) values[i] = 1000000 + 17 * i;
    assert_true(yd__column_put(bytes, values, YD__CHUNK_MAX) <= 8);
}

static void stream_gives_back_every_bit(void **state)
{
    (void)state;
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    struct yd__points *points = calloc(1, sizeof *points), *got = calloc(1, sizeof *got);
    struct yd__numbers *numbers = calloc(1, sizeof *numbers);
    uint8_t *bytes = malloc(YD__CHUNK_MAX * YD__TOKEN_MAX + 16);
    for (int round = 0; round < 3000; round++) {
        uint32_t count = 1 + (uint32_t)yd_rng_below(&rng, YD__OPEN_MAX), size = 1;
        fill(&rng, points, count);
        struct yd__stream stream = {.time = points->times[0], .mode = (uint8_t)yd_rng_below(&rng, YD__MODE_COUNT)};
        bytes[0] = stream.mode;
        for (uint32_t i = 0; i < count; i++) {
            uint32_t token = yd__stream_put(bytes + size, &stream, points->times[i], points->types[i], points->bits[i]);
            assert_true(token <= YD__TOKEN_MAX);
            size += token;
            uint64_t bits;
            uint8_t type = yd__stream_last(&stream, &bits);
            assert_same(points->types[i], points->bits[i], type, bits, false);
        }
        got->count = numbers->count = 0;
        yd__stream_points(bytes, count, points->times[0], got);
        yd__stream_numbers(bytes, count, points->times[0], numbers);
        assert_int_equal(got->count, count);
        assert_memory_equal(got->times, points->times, count * sizeof points->times[0]);
        assert_memory_equal(numbers->times, points->times, count * sizeof points->times[0]);
        for (uint32_t i = 0; i < count; i++) {
            assert_same(points->types[i], points->bits[i], got->types[i], got->bits[i], false);
            double number = yd__number(points->types[i], points->bits[i]);
            assert_true(number == numbers->values[i] || (isnan(number) && isnan(numbers->values[i])));
        }
    }
    free(points);
    free(got);
    free(numbers);
    free(bytes);
}

static void chunk_gives_back_every_value(void **state)
{
    (void)state;
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed() + 1);
    struct yd__points *points = calloc(1, sizeof *points), *got = calloc(1, sizeof *got);
    struct yd__numbers *numbers = calloc(1, sizeof *numbers);
    for (int round = 0; round < 3000; round++) {
        uint32_t total = 1 + (uint32_t)yd_rng_below(&rng, YD__CHUNK_MAX), from = (uint32_t)yd_rng_below(&rng, total);
        fill(&rng, points, total);
        uint32_t count = total - from;
        struct yd__chunk *chunk = yd__chunk_build(yd_alloc_default(), points, from, count);
        assert_non_null(chunk);
        assert_int_equal(chunk->count, count);
        assert_true(chunk->first == points->times[from] && chunk->last == points->times[total - 1]);
        got->count = numbers->count = 0;
        yd__chunk_points(chunk, got);
        yd__chunk_numbers(chunk, numbers);
        assert_int_equal(got->count, count);
        assert_int_equal(numbers->count, count);
        for (uint32_t i = 0; i < count; i++) {
            assert_true(got->times[i] == points->times[from + i] && numbers->times[i] == points->times[from + i]);
            assert_same(points->types[from + i], points->bits[from + i], got->types[i], got->bits[i], true);
            double number = yd__number(points->types[from + i], points->bits[from + i]);
            assert_true(number == numbers->values[i] || (isnan(number) && isnan(numbers->values[i])));
        }
        /* A part of it: all of that, in order; what else comes is not in it. */
        int64_t a = points->times[from + yd_rng_below(&rng, count)],
                b = points->times[from + yd_rng_below(&rng, count)];
        a -= (int64_t)yd_rng_below(&rng, 2), b += (int64_t)yd_rng_below(&rng, 2);
        numbers->count = 0;
        yd__chunk_numbers_in(chunk, chunk->data, a, b, numbers);
        uint32_t k = 0;
        for (uint32_t i = 0; i < count; i++) {
            int64_t time = points->times[from + i];
            if (time < a || time > b) continue;
            while (k < numbers->count && numbers->times[k] < time) k++;
            assert_true(k < numbers->count && numbers->times[k] == time);
            double number = yd__number(points->types[from + i], points->bits[from + i]);
            assert_true(number == numbers->values[k] || (isnan(number) && isnan(numbers->values[k])));
            k++;
        }
        yd_alloc_put(yd_alloc_default(), chunk, yd__chunk_bytes(chunk));
    }
    free(points);
    free(got);
    free(numbers);
}

static void steady_gauge_costs_less_than_a_byte(void **state)
{
    (void)state;
    struct yd_rng rng;
    yd_rng_init(&rng, 7);
    struct yd__points *points = calloc(1, sizeof *points);
    int64_t level = 5000;
    for (uint32_t i = 0; i < YD__CHUNK_MAX; i++) {
        points->times[i] = i * 10 * SECOND;
        points->bits[i] = yd__f64_bits((double)(level += (int64_t)yd_rng_below(&rng, 7) - 3) / 100);
        points->types[i] = YD_F64;
    }
    points->count = YD__CHUNK_MAX;
    struct yd__chunk *chunk = yd__chunk_build(yd_alloc_default(), points, 0, points->count);
    assert_true(chunk->size < YD__CHUNK_MAX / 2);
    assert_int_equal(chunk->kind, 2);
    yd_alloc_put(yd_alloc_default(), chunk, yd__chunk_bytes(chunk));
    free(points);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(column_gives_back_what_was_put),      cmocka_unit_test(constants_and_lines_cost_a_few_bytes),
        cmocka_unit_test(stream_gives_back_every_bit),         cmocka_unit_test(chunk_gives_back_every_value),
        cmocka_unit_test(steady_gauge_costs_less_than_a_byte),
    };
    return cmocka_run_group_tests_name("store/codec", tests, NULL, NULL);
}
