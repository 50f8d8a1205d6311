/* Allocators, arenas, buffers, interning, errors. */
#include <errno.h>

#include "base/large.h"
#include "testing.h"

static void every_error_has_a_name_and_a_text(void **state)
{
    (void)state;
    for (int error = 0; error >= -30; error--) {
        assert_string_not_equal(yd_error_name(error), "E?");
        assert_string_not_equal(yd_error_text(error), "unknown error");
    }
    assert_string_equal(yd_error_name(YD_EINVAL), "EINVAL");
    assert_string_equal(yd_error_text(YD_EINVAL), "invalid argument");
    assert_string_equal(yd_error_name(-31), "E?");
    assert_string_equal(yd_error_name(1), "E?");
    assert_string_equal(yd_error_text(-1000), "unknown error");
    assert_int_equal(yd_error_from_errno(ENOSPC), YD_ENOSPC);
    assert_int_equal(yd_error_from_errno(EACCES), YD_EPERM);
    assert_int_equal(yd_error_from_errno(ELOOP), YD_EIO);
    assert_int_equal(yd_error_from_errno(0), 0);
}

static void arena_pieces_are_aligned_apart_and_die_together(void **state)
{
    (void)state;
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    struct yd_alloc_failing failing;
    yd_alloc_failing_init(&failing, 0);
    struct yd_arena arena;
    yd_arena_init(&arena, &failing.alloc);
    for (int round = 0; round < 5; round++) {
        enum { COUNT = 2000 };
        unsigned char *pieces[COUNT];
        size_t sizes[COUNT];
        for (int i = 0; i < COUNT; i++) {
            sizes[i] = yd_rng_chance(&rng, 50) ? yd_rng_below(&rng, 100000) : yd_rng_below(&rng, 100);
            pieces[i] = yd_arena_get(&arena, sizes[i]);
            assert_int_equal((uintptr_t)pieces[i] % 16, 0);
            memset(pieces[i], i & 255, sizes[i]);
        }
        for (int i = 0; i < COUNT; i++)
            for (size_t j = 0; j < sizes[i]; j++)
                if (pieces[i][j] != (i & 255)) fail_msg("piece %d was written over", i);
        assert_true(arena.bytes == (size_t)failing.bytes_out);
        yd_arena_reset(&arena);
    }
    assert_text(yd_arena_str(&arena, YD_STR("abc")), "abc");
    assert_string_equal(yd_arena_cstr(&arena, YD_STR("abc")), "abc");
    assert_string_equal(yd_arena_printf(&arena, "%s-%d", "x", 7), "x-7");
    assert_non_null(yd_arena_str(&arena, (struct yd_str){0}).data);
    assert_null(yd_arena_get(&arena, SIZE_MAX));
    assert_null(yd_arena_get(&arena, SIZE_MAX - 8));
    failing.fail_at = 1;
    assert_null(yd_arena_zero(&arena, 1 << 24));
    assert_null(yd_arena_str(&arena, (struct yd_str){"", 1 << 24}).data);
    yd_arena_fini(&arena);
    assert_true(failing.bytes_out == 0);
}

static void buffer_grows_and_its_failure_sticks(void **state)
{
    (void)state;
    struct yd_alloc_failing failing;
    yd_alloc_failing_init(&failing, 0);
    struct yd_buf buf;
    yd_buf_init(&buf, &failing.alloc);
    for (int i = 0; i < 1000; i++) yd_buf_printf(&buf, "%d,", i);
    yd_buf_str(&buf, YD_STR("end"));
    yd_buf_char(&buf, '!');
    yd_buf_cstr(&buf, "");
    yd_buf_add(&buf, NULL, 0);
    assert_int_equal(buf.size, 3894);
    yd_buf_consume(&buf, 3886);
    assert_text(yd_buf_view(&buf), "999,end!");
    yd_buf_clear(&buf);
    yd_buf_printf(&buf, "%0500d", 7); /* longer than the first try */
    assert_int_equal(buf.size, 500);
    assert_int_equal(buf.data[499], '7');
    yd_buf_consume(&buf, 500);
    assert_int_equal(buf.size, 0);

    failing.fail_at = failing.calls + 1;
    assert_non_null(yd_buf_reserve(&buf, 10));
    assert_null(yd_buf_reserve(&buf, 1 << 20));
    assert_true(buf.failed);
    yd_buf_char(&buf, 'x');
    assert_int_equal(buf.size, 0);
    yd_buf_clear(&buf);
    assert_false(buf.failed);
    yd_buf_fini(&buf);
    assert_true(failing.bytes_out == 0);

    yd_buf_init(&buf, NULL);
    buf.size_max = 100;
    for (int i = 0; i < 10; i++) yd_buf_add(&buf, "0123456789", 10);
    assert_false(buf.failed);
    assert_int_equal(buf.size, 100);
    yd_buf_char(&buf, 'x');
    assert_true(buf.failed);
    assert_int_equal(buf.size, 100);
    yd_buf_clear(&buf);
    assert_null(yd_buf_reserve(&buf, SIZE_MAX));
    yd_buf_fini(&buf);
}

static void interning_gives_dense_ids_and_finds_them_again(void **state)
{
    (void)state;
    struct yd_intern intern;
    yd_intern_init(&intern, NULL, 0);
    assert_int_equal(yd_intern_find(&intern, YD_STR("nobody")), YD_INTERN_NONE);
    char text[32];
    for (int round = 0; round < 2; round++) {
        for (int pass = 0; pass < 2; pass++)
            for (uint32_t i = 0; i < 20000; i++) {
                int size = snprintf(text, sizeof text, "%u", i * 7);
                struct yd_str s = {text, (size_t)size};
                uint32_t id;
                yd_intern_prefetch(&intern, yd_hash_str(s));
                assert_int_equal(yd_intern_add(&intern, s, &id), pass == 0);
                assert_int_equal(id, i);
                assert_true(yd_str_eq(intern.strings[id], s));
                assert_int_equal(yd_intern_find(&intern, s), i);
            }
        assert_int_equal(yd_intern_find(&intern, YD_STR("x")), YD_INTERN_NONE);
        yd_intern_reset(&intern);
        assert_int_equal(intern.count, 0);
        assert_int_equal(yd_intern_find(&intern, YD_STR("0")), YD_INTERN_NONE);
    }
    uint32_t a, b, c;
    assert_int_equal(yd_intern_add_hashed(&intern, YD_STR("a"), 1, &a), 1);
    assert_int_equal(yd_intern_add_hashed(&intern, YD_STR("b"), 1, &b), 1);
    assert_int_equal(yd_intern_add_hashed(&intern, YD_STR(""), 1, &c), 1);
    assert_int_equal(yd_intern_find_hashed(&intern, YD_STR("b"), 1), b);
    assert_int_equal(yd_intern_find_hashed(&intern, YD_STR(""), 1), c);
    yd_intern_fini(&intern);

    yd_intern_init(&intern, NULL, 2);
    assert_int_equal(yd_intern_add(&intern, YD_STR("a"), &a), 1);
    assert_int_equal(yd_intern_add(&intern, YD_STR("b"), &b), 1);
    assert_int_equal(yd_intern_add(&intern, YD_STR("c"), &c), YD_EFULL);
    assert_int_equal(yd_intern_add(&intern, YD_STR("a"), &a), 0);
    yd_intern_fini(&intern);
}

static void interning_survives_each_failing_allocation(void **state)
{
    (void)state;
    for (uint64_t fail_at = 1;; fail_at++) {
        struct yd_alloc_failing failing;
        yd_alloc_failing_init(&failing, fail_at);
        struct yd_intern intern;
        yd_intern_init(&intern, &failing.alloc, 0);
        uint32_t added = 0, id;
        char text[32];
        int r = 1;
        for (; added < 500; added++) {
            int size = snprintf(text, sizeof text, "string %u", added);
            r = yd_intern_add(&intern, (struct yd_str){text, (size_t)size}, &id);
            if (r < 0) break;
        }
        failing.fail_at = 0;
        for (uint32_t i = 0; i < added; i++) {
            int size = snprintf(text, sizeof text, "string %u", i);
            assert_int_equal(yd_intern_find(&intern, (struct yd_str){text, (size_t)size}), i);
        }
        if (r < 0) {
            assert_int_equal(r, YD_ENOMEM);
            int size = snprintf(text, sizeof text, "string %u", added);
            assert_int_equal(yd_intern_add(&intern, (struct yd_str){text, (size_t)size}, &id), 1);
            assert_int_equal(id, added);
        }
        yd_intern_fini(&intern);
        assert_true(failing.bytes_out == 0);
        if (r > 0) break;
    }
}

/* Under a sanitizer all of it is the C library's: then nothing is ever spare. */
static void large_memory_comes_back_to_whoever_asks_next(void **state)
{
    (void)state;
    struct yd_alloc *alloc = yd_alloc_large();
    const size_t mib = (size_t)1 << 20;
    yd_large_trim();
    char *first = yd_alloc_get(alloc, 16 * mib);
    assert_non_null(first);
    first[0] = 'a', first[16 * mib - 1] = 'z';
    yd_alloc_put(alloc, first, 16 * mib);
    size_t spare = yd_large_spare();
    assert_true(spare == 16 * mib || spare == 0);
    char *second = yd_alloc_get(alloc, 15 * mib);
    assert_non_null(second);
    if (spare) assert_ptr_equal(second, first);
    assert_int_equal(yd_large_spare(), 0);
    yd_alloc_put(alloc, second, 15 * mib);
    yd_large_trim();
    assert_int_equal(yd_large_spare(), 0);
}

static void large_memory_keeps_its_bytes_through_every_size(void **state)
{
    (void)state;
    static const size_t sizes[] = {100, 5000, 1 << 20, 3 << 20, 9 << 20, 4 << 20, (1 << 20) - 1, 200, 6 << 20};
    struct yd_alloc *alloc = yd_alloc_large();
    size_t size = 64;
    char *memory = yd_alloc_get(alloc, size);
    assert_non_null(memory);
    for (size_t i = 0; i < size; i++) memory[i] = (char)i;
    for (size_t at = 0; at < YD_COUNT(sizes); at++) {
        memory = yd_alloc_resize(alloc, memory, size, sizes[at]);
        assert_non_null(memory);
        size = sizes[at];
        memory[size - 1] = (char)(size - 1 < 64 ? size - 1 : 0x55);
        for (size_t i = 0; i < 64; i++) assert_int_equal(memory[i], (char)i);
    }
    yd_alloc_put(alloc, memory, size);
    yd_large_trim();
}

static void large_memory_spare_is_bounded(void **state)
{
    (void)state;
    void *memory[24];
    for (size_t round = 1; round <= 2; round++) {
        size_t size = round * 5 << 20;
        for (size_t i = 0; i < YD_COUNT(memory); i++) assert_non_null(memory[i] = yd_large_get(size));
        for (size_t i = 0; i < YD_COUNT(memory); i++) yd_large_put(memory[i], size);
        assert_true(yd_large_spare() <= (size_t)32 << 20);
    }
    void *huge = yd_large_get((size_t)80 << 20);
    assert_non_null(huge);
    yd_large_put(huge, (size_t)80 << 20);
    assert_true(yd_large_spare() <= (size_t)32 << 20);
    yd_large_trim();
    assert_null(yd_large_get(SIZE_MAX - 100));
    assert_null(yd_alloc_get(yd_alloc_large(), SIZE_MAX / 2));
    yd_large_put(NULL, 1 << 20);
}

/* What a sanitizer asks for: more memory than there can be is refused, as the C library does, not the program's end. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "allocator_may_return_null=1";
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_a_name_and_a_text),
        cmocka_unit_test(arena_pieces_are_aligned_apart_and_die_together),
        cmocka_unit_test(buffer_grows_and_its_failure_sticks),
        cmocka_unit_test(interning_gives_dense_ids_and_finds_them_again),
        cmocka_unit_test(interning_survives_each_failing_allocation),
        cmocka_unit_test(large_memory_comes_back_to_whoever_asks_next),
        cmocka_unit_test(large_memory_keeps_its_bytes_through_every_size),
        cmocka_unit_test(large_memory_spare_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
