/* Checksums, hashes, randomness. */
#include "testing.h"

static void crc32c_has_its_check_values(void **state)
{
    (void)state;
    unsigned char bytes[32];
    assert_int_equal(yd_crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(yd_crc32c_portable(0, "123456789", 9), 0xe3069283);
    assert_int_equal(yd_crc32c(0, "", 0), 0);
    /* RFC 3720, B.4 */
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(yd_crc32c(0, bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    assert_int_equal(yd_crc32c(0, bytes, 32), 0x62a8ab43);
    for (int i = 0; i < 32; i++) bytes[i] = (unsigned char)i;
    assert_int_equal(yd_crc32c(0, bytes, 32), 0x46dd794e);
}

static void crc32c_is_the_same_by_instruction_by_table_and_while_copying(void **state)
{
    (void)state;
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    enum { SIZE = 40000 };
    char *from = malloc(SIZE), *to = malloc(SIZE + 8);
    for (int i = 0; i < SIZE; i++) from[i] = (char)yd_rng_next(&rng);
    for (int i = 0; i < 4000; i++) {
        /* Every small size, and sizes around those where the interleaved loops begin. */
        size_t size = i < 1000 ? (size_t)i : yd_rng_below(&rng, SIZE), offset = yd_rng_below(&rng, SIZE - size + 1);
        uint32_t start = (uint32_t)yd_rng_next(&rng), expected = yd_crc32c_portable(start, from + offset, size);
        assert_int_equal(yd_crc32c(start, from + offset, size), expected);
        size_t shift = yd_rng_below(&rng, 8);
        to[shift + size] = 77;
        assert_int_equal(yd_crc32c_copy(start, to + shift, from + offset, size), expected);
        if (size) assert_memory_equal(to + shift, from + offset, size);
        assert_int_equal(to[shift + size], 77);
        size_t cut = yd_rng_below(&rng, size + 1);
        uint32_t chained = yd_crc32c(yd_crc32c(start, from + offset, cut), from + offset + cut, size - cut);
        assert_int_equal(chained, expected);
    }
    free(from);
    free(to);
}

static void hash_is_xxh3(void **state)
{
    (void)state;
    assert_true(yd_hash("", 0) == UINT64_C(0x2d06800538d394c2)); /* as published for seed 0 */
    assert_true(yd_hash_str(YD_STR("ab")) != yd_hash_str(YD_STR("ba")));
}

static void randomness_is_repeatable_and_bounded(void **state)
{
    (void)state;
    struct yd_rng a, b;
    yd_rng_init(&a, 5);
    yd_rng_init(&b, 5);
    unsigned counts[10] = {0}, hits = 0;
    for (int i = 0; i < 100000; i++) {
        uint64_t bound = 1 + yd_rng_next(&a) % 1000000;
        (void)yd_rng_next(&b);
        assert_true(yd_rng_below(&b, bound) < bound);
        counts[yd_rng_below(&a, 10)]++;
        hits += yd_rng_chance(&a, 4);
        assert_false(yd_rng_chance(&a, 0));
    }
    for (int i = 0; i < 10; i++) assert_in_range(counts[i], 9500, 10500);
    assert_in_range(hits, 24000, 26000);
    yd_rng_init(&a, 9);
    yd_rng_init(&b, 9);
    for (int i = 0; i < 100; i++) assert_true(yd_rng_next(&a) == yd_rng_next(&b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32c_has_its_check_values),
        cmocka_unit_test(crc32c_is_the_same_by_instruction_by_table_and_while_copying),
        cmocka_unit_test(hash_is_xxh3),
        cmocka_unit_test(randomness_is_repeatable_and_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
