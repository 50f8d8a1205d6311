/* The table of items by name, against a plain list, and without memory. */
#include "testing.h"

#include "elements/table.h"

struct item {
    struct yd_table_item head;
    uint64_t value;
};

static void a_table_says_what_a_list_says_whatever_is_added_and_removed(void **state)
{
    (void)state;
    enum { NAMES = 300 };
    struct yd_rng rng;
    struct yd_table table;
    uint64_t values[NAMES] = {0};
    yd_rng_init(&rng, test_seed());
    yd_table_init(&table, NULL, sizeof(struct item), 0);
    for (int step = 0; step < 200000; step++) {
        char text[16];
        uint32_t n = (uint32_t)yd_rng_below(&rng, NAMES);
        struct yd_str name = {text, (size_t)snprintf(text, sizeof text, "n%u", n)};
        uint64_t hash = yd_hash_str(name) & (n % 3 ? UINT64_MAX : 0xff); /* some stand in one heap */
        struct item *item = yd_table_find(&table, name, hash);
        assert_int_equal(item != NULL, values[n] != 0);
        if (item) assert_int_equal(item->value, values[n]);
        if (item && yd_rng_chance(&rng, 2)) {
            yd_table_remove(&table, item);
            values[n] = 0;
        } else {
            assert_int_equal(yd_table_add(&table, name, hash, &item), values[n] == 0);
            item->value = values[n] = (uint64_t)step + 1;
        }
    }
    uint32_t count = 0;
    for (int n = 0; n < NAMES; n++) count += values[n] != 0;
    assert_int_equal(table.count, count);
    for (uint32_t i = 0; i < table.count; i++) assert_int_equal(table.items[i]->index, i);
    yd_table_fini(&table);
}

static void a_full_table_refuses_new_names_and_knows_the_old(void **state)
{
    (void)state;
    struct yd_table table;
    struct item *item;
    yd_table_init(&table, NULL, sizeof *item, 2);
    assert_int_equal(yd_table_add(&table, YD_STR("a"), 1, &item), 1);
    assert_int_equal(yd_table_add(&table, YD_STR("b"), 1, &item), 1);
    assert_int_equal(yd_table_add(&table, YD_STR("c"), 1, &item), YD_EFULL);
    assert_int_equal(yd_table_add(&table, YD_STR("a"), 1, &item), 0);
    yd_table_remove(&table, item);
    assert_int_equal(yd_table_add(&table, YD_STR("c"), 1, &item), 1);
    yd_table_fini(&table);
}

static void each_allocation_that_fails_changes_nothing_and_leaks_nothing(void **state)
{
    (void)state;
    for (uint64_t at = 1;; at++) {
        struct yd_alloc_failing failing;
        struct yd_table table;
        struct item *item;
        int error = 0;
        yd_alloc_failing_init(&failing, at);
        yd_table_init(&table, &failing.alloc, sizeof *item, 0);
        for (uint32_t i = 0; i < 200 && error >= 0; i++) {
            char text[16];
            struct yd_str name = {text, (size_t)snprintf(text, sizeof text, "n%u", i)};
            error = yd_table_add(&table, name, yd_hash_str(name), &item);
            assert_true(error == 1 || error == YD_ENOMEM);
            assert_int_equal(table.count, error == 1 ? i + 1 : i);
            assert_int_equal(yd_table_find(&table, name, yd_hash_str(name)) != NULL, error == 1);
        }
        yd_table_fini(&table);
        assert_int_equal(failing.bytes_out, 0);
        if (error == 1) break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_says_what_a_list_says_whatever_is_added_and_removed),
        cmocka_unit_test(a_full_table_refuses_new_names_and_knows_the_old),
        cmocka_unit_test(each_allocation_that_fails_changes_nothing_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
