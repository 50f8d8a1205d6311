/* The current-value table: declared, published, read through a mapping of its own. */
#include "testing.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "live/bell_wait.h"
#include "live/table_read.h"
#include "live/table_write.h"

struct both {
    struct yd_live_table *table;
    struct yd_live_mapping mapping;
    struct yd_live_table_view view;
};

static void open_reader(struct both *both)
{
    int fd;
    assert_int_equal(yd_live_region_reader_fd(yd_live_table_region(both->table), &fd), 0);
    assert_int_equal(yd_live_mapping_open(fd, YD__LIVE_TABLE, &both->mapping), 0);
    close(fd);
    assert_int_equal(yd_live_table_view_open(&both->mapping, &both->view), 0);
}

static struct both open_both(uint32_t capacity, uint32_t slots)
{
    struct both both = {0};
    struct yd_live_table_options options = {
        .generation = 7, .id = 5, .now_ns = 1, .capacity = capacity, .slots = slots};
    assert_int_equal(yd_live_table_create(&options, NULL, &both.table), 0);
    yd_live_table_set_state(both.table, YD__LIVE_READY);
    open_reader(&both);
    return both;
}

static void close_both(struct both *both)
{
    yd_live_mapping_close(&both->mapping);
    yd_live_table_destroy(both->table);
}

static void what_is_published_is_got_with_time_type_flags_and_sequence(void **state)
{
    (void)state;
    struct both both = open_both(10, 0);
    uint32_t volts, text;
    assert_int_equal(yd_live_table_declare(both.table, YD_STR("volts"), YD_F64, 0, &volts), 1);
    assert_int_equal(yd_live_table_declare(both.table, YD_STR("text"), YD_TEXT, 40, &text), 1);
    struct yd_live_cell cell, texts;
    struct yd_live_cursor cursor = {0}, text_cursor = {0};
    struct yd_live_value value;
    assert_int_equal(yd_live_table_view_cell(&both.view, volts, &cell), 0);
    assert_int_equal(yd_live_table_view_cell(&both.view, text, &texts), 0);
    assert_int_equal(yd_live_cell_get(&cell, &cursor, NULL, 0, &value), YD_EAGAIN);
    double number = 3.25;
    uint64_t bits;
    memcpy(&bits, &number, 8);
    assert_int_equal(yd_live_table_set_bits(both.table, volts, 42, YD_F64, YD_RECORD_QUALITY, bits), 0);
    assert_int_equal(yd_live_cell_changed(&cell, &cursor), 1);
    assert_int_equal(yd_live_cell_get(&cell, &cursor, NULL, 0, &value), 1);
    assert_true(value.bits == bits && value.seq == 1 && value.time_ns == 42 && value.missed == 0);
    assert_true(value.type == YD_F64 && value.flags == YD_RECORD_QUALITY && value.size == 8);
    assert_int_equal(yd_live_cell_get(&cell, &cursor, NULL, 0, &value), 0);
    assert_int_equal(yd_live_cell_changed(&cell, &cursor), 0);
    for (uint64_t i = 0; i < 10; i++)
        assert_int_equal(yd_live_table_publish(both.table, volts, (int64_t)i, YD_U64, 0, &i, 8), 0);
    assert_int_equal(yd_live_cell_get(&cell, &cursor, NULL, 0, &value), 1);
    assert_true(value.bits == 9 && value.seq == 11 && value.missed == 9);
    char to[64] = "";
    assert_int_equal(yd_live_table_publish(both.table, text, -5, YD_TEXT, 0, "thirteen chrs", 13), 0);
    assert_int_equal(yd_live_cell_get(&texts, &text_cursor, to, sizeof to, &value), 1);
    assert_true(value.size == 13 && value.time_ns == -5);
    assert_memory_equal(to, "thirteen chrs", 14);
    memset(to, 'x', sizeof to);
    assert_int_equal(yd_live_table_publish(both.table, text, 0, YD_TEXT, 0, "thirteen chrs", 13), 0);
    assert_int_equal(yd_live_cell_get(&texts, &text_cursor, to, 4, &value), 1);
    assert_int_equal(value.size, 13);
    assert_memory_equal(to, "thirx", 5);
    close_both(&both);
}

static void next_gives_every_value_and_counts_the_overrun_exactly(void **state)
{
    (void)state;
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    for (uint32_t slots = 4; slots <= 64; slots *= 2) {
        struct both both = open_both(3, slots);
        uint32_t index;
        assert_int_equal(yd_live_table_declare(both.table, YD_STR("n"), YD_U64, 0, &index), 1);
        struct yd_live_cell cell;
        assert_int_equal(yd_live_table_view_cell(&both.view, index, &cell), 0);
        struct yd_live_cursor cursor = {0};
        struct yd_live_value value;
        uint64_t published = 0, seen = 0;
        for (int round = 0; round < 2000; round++) {
            uint64_t more = yd_rng_below(&rng, slots * 2);
            for (uint64_t i = 0; i < more; i++)
                assert_int_equal(yd_live_table_set_bits(both.table, index, 0, YD_U64, 0, ++published * 3), 0);
            uint64_t reads = yd_rng_below(&rng, slots * 2);
            for (uint64_t i = 0; i < reads && published; i++) {
                int got = yd_live_cell_next(&cell, &cursor, NULL, 0, &value);
                assert_int_equal(got, seen < published);
                if (!got) break;
                uint64_t expected = published - seen > slots ? published - slots + 1 : seen + 1;
                assert_true(value.seq == expected && value.bits == expected * 3);
                assert_true(value.missed == (seen ? expected - seen - 1 : 0));
                seen = expected;
            }
        }
        close_both(&both);
    }
}

static void names_are_added_under_readers_and_keep_their_indexes_in_a_new_generation(void **state)
{
    (void)state;
    struct both both = open_both(300, 0), newer = open_both(300, 0);
    for (uint32_t i = 0; i < 300; i++) {
        char name[32];
        struct yd_str text = {name, (size_t)snprintf(name, sizeof name, "m%u unit=V", i)};
        uint32_t index = 0, found = 0;
        assert_int_equal(yd_live_table_view_count(&both.view), i);
        assert_int_equal(yd_live_table_declare(both.table, text, YD_I64, 0, &index), 1);
        assert_int_equal(index, i);
        assert_int_equal(yd_live_table_declare(both.table, text, YD_I64, 0, &index), 0);
        assert_int_equal(yd_live_table_view_find(&both.view, text.data, (uint32_t)text.size, i ? i - 1 : 0, &found), 0);
        assert_int_equal(found, i);
        assert_int_equal(yd_live_table_declare(newer.table, text, YD_I64, i == 200 ? 100 : 0, &index), 1);
        uint64_t a, b;
        assert_int_equal(yd_live_table_view_chain(&both.view, i, &a), 0);
        assert_int_equal(yd_live_table_view_chain(&newer.view, i, &b), 0);
        assert_true(a == b);
    }
    uint32_t index;
    assert_int_equal(yd_live_table_declare(both.table, YD_STR("one more"), YD_I64, 0, &index), YD_EFULL);
    assert_int_equal(yd_live_table_view_find(&both.view, "one more", 8, 0, &index), YD_ENOENT);
    assert_int_equal(yd_live_table_declare(both.table, YD_STR(""), YD_I64, 0, &index), YD_EINVAL);
    close_both(&both);
    close_both(&newer);
}

static void dense_cells_and_names_alone_are_read_as_they_were_written(void **state)
{
    (void)state;
    for (int names = 0; names < 2; names++) {
        struct yd_live_table_options options = {
            .capacity = 500, .slots = 2, .is_dense = true, .is_names = names, .is_unsearched = names};
        struct both both;
        assert_int_equal(yd_live_table_create(&options, NULL, &both.table), 0);
        yd_live_table_set_state(both.table, YD__LIVE_READY);
        open_reader(&both);
        for (uint32_t i = 0; i < 500; i++) {
            char text[32];
            struct yd_str name = {text, (size_t)snprintf(text, sizeof text, "dense.%u", i)};
            uint32_t index, found, size;
            struct yd_live_cell cell;
            struct yd_live_cursor cursor = {0};
            struct yd_live_value value;
            assert_int_equal(yd_live_table_declare(both.table, name, YD_BLOB, 1 + i % 70, &index), 1);
            assert_int_equal(yd_live_table_view_find(&both.view, name.data, (uint32_t)name.size, i, &found), 0);
            assert_true(index == i && found == i);
            assert_int_equal(yd_live_table_view_name(&both.view, i, &name.data, &size), 0);
            assert_int_equal(yd_live_table_view_cell(&both.view, i, &cell), names ? YD_ENOENT : 0);
            assert_int_equal(yd_live_table_set_bits(both.table, i, 7, YD_U64, 0, i), names ? YD_EINVAL : 0);
            assert_int_equal(yd_live_table_published(both.table, i), names ? 0 : 1);
            if (names) continue;
            assert_true(cell.value_size == YD_MAX(1 + i % 70, 8) && cell.slot_mask == 1);
            for (uint64_t more = 0; more < 5; more++) {
                assert_int_equal(yd_live_table_set_bits(both.table, i, 7, YD_U64, 0, i + more), 0);
                assert_int_equal(yd_live_cell_get(&cell, &cursor, NULL, 0, &value), 1);
                assert_true(value.bits == i + more && value.seq == more + 2 && value.missed == 0);
            }
        }
        close_both(&both);
    }
}

static void what_does_not_fit_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    struct both both = open_both(2, 0);
    uint32_t index;
    char large[128] = "";
    assert_int_equal(yd_live_table_declare(both.table, YD_STR("x"), YD_BLOB, 20, &index), 1);
    assert_int_equal(yd_live_table_publish(both.table, index, 0, YD_BLOB, 0, large, 21), YD_ETOOBIG);
    assert_int_equal(yd_live_table_publish(both.table, index + 1, 0, YD_BLOB, 0, large, 1), YD_EINVAL);
    assert_int_equal(yd_live_table_publish(both.table, index, 0, YD_BLOB, 0, large, 20), 0);
    assert_int_equal(yd_live_table_declare(both.table, YD_STR("x"), YD_BLOB, 21, &index), YD_EINVAL);
    assert_int_equal(yd_live_table_declare(both.table, YD_STR("y"), YD_BLOB, UINT32_C(2) << 20, &index), YD_ETOOBIG);
    assert_int_equal(yd_live_table_published(both.table, index), 1);
    close_both(&both);
}

static void a_bell_is_rung_once_a_word_for_a_batch_and_wakes_only_its_own(void **state)
{
    (void)state;
    struct both both = open_both(200, 0);
    struct yd_live_bell bell;
    assert_int_equal(yd_live_bell_create(5, 7, 1, &bell), 0);
    assert_int_equal(yd_live_table_add_bell(both.table, &bell), 0);
    struct yd_live_mapping page;
    assert_int_equal(yd_live_mapping_open(bell.region.fd, YD__LIVE_BELL, &page), 0);
    uint32_t index[130], word[130];
    for (int i = 0; i < 130; i++) {
        struct yd_live_cell cell;
        char name[16];
        struct yd_str text = {name, (size_t)snprintf(name, sizeof name, "m%d", i)};
        assert_int_equal(yd_live_table_declare(both.table, text, YD_I64, 0, &index[i]), 1);
        assert_int_equal(yd_live_table_view_cell(&both.view, index[i], &cell), 0);
        word[i] = cell.bell;
        assert_true(word[i] < YD__BELL_NAMES);
    }
    assert_int_not_equal(word[3], word[4]);
    struct yd_live_sleep mine = yd_live_bell_arm(&page, word[3]), other = yd_live_bell_arm(&page, word[4]);
    for (int i = 0; i < 130; i++)
        if (word[i] != word[4]) assert_int_equal(yd_live_table_set_bits(both.table, index[i], 0, YD_I64, 0, 1), 0);
    assert_int_equal(bell.wakes, 0);
    yd_live_table_ring(both.table);
    assert_int_equal(bell.wakes, 1);
    assert_int_equal(*yd_live_bell_word(&page, word[3]), YD__BELL_STEP);
    assert_int_equal(*yd_live_bell_word(&page, YD__BELL_NAMES), YD__BELL_STEP);
    assert_int_equal(*yd_live_bell_word(&page, word[4]), YD__BELL_WAITER);
    assert_int_equal(yd_live_bell_sleep(&mine, 1, INT64_MAX), 0);
    assert_int_equal(yd_live_bell_sleep(&other, 1, 0), YD_ETIMEOUT);
    /* The waiter's bit is gone: somebody who was killed costs one wake. */
    yd_live_table_ring(both.table);
    assert_int_equal(yd_live_table_publish(both.table, index[3], 0, YD_I64, 0, "12345678", 8), 0);
    assert_int_equal(bell.wakes, 1);
    /* A scribbled page is mended word by word. */
    memset((void *)(uintptr_t)page.header, 0xff, page.size);
    assert_int_equal(yd_live_table_publish(both.table, index[3], 0, YD_I64, 0, "12345678", 8), 0);
    assert_int_equal(bell.wakes, 2);
    assert_int_equal(*yd_live_bell_word(&page, word[3]), 3 * YD__BELL_STEP);
    yd_live_table_remove_bell(both.table, &bell);
    assert_int_equal(yd_live_table_publish(both.table, index[3], 0, YD_I64, 0, "12345678", 8), 0);
    assert_int_equal(*yd_live_bell_word(&page, word[3]), 3 * YD__BELL_STEP);
    yd_live_mapping_close(&page);
    yd_live_bell_destroy(&bell);
    close_both(&both);
}

static void an_empty_value_has_no_bits_of_older_ones(void **state)
{
    (void)state;
    struct both both = open_both(10, 0);
    struct yd_live_cell cell;
    struct yd_live_cursor cursor = {0};
    struct yd_live_value value;
    uint32_t index;
    assert_int_equal(yd_live_table_declare(both.table, YD_STR("x"), YD_TEXT, 64, &index), 1);
    assert_int_equal(yd_live_table_view_cell(&both.view, index, &cell), 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(yd_live_table_publish(both.table, index, 0, YD_TEXT, 0, "12345678", 8), 0);
    assert_int_equal(yd_live_table_publish(both.table, index, 0, YD_TEXT, 0, "", 0), 0);
    assert_int_equal(yd_live_cell_get(&cell, &cursor, NULL, 0, &value), 1);
    assert_int_equal(value.size, 0);
    assert_int_equal(value.bits, 0);
    close_both(&both);
}

static void names_end_where_their_room_ends(void **state)
{
    (void)state;
    struct yd_live_table *table;
    const struct yd_live_table_options options = {.capacity = 16, .names_size = 64};
    struct yd_str one = YD_STR("a name of exactly forty bytes of letters"),
                  two = YD_STR("another name of forty bytes of letters..");
    uint32_t index;
    assert_int_equal(yd_live_table_create(&options, NULL, &table), 0);
    const struct yd__table *shared = (const struct yd__table *)yd_live_table_region(table)->header;
    uint64_t names_size = shared->names_size;
    assert_true(one.size == 40 && two.size == 40 && names_size >= 64 && names_size < 80);
    assert_int_equal(yd_live_table_declare(table, one, YD_U64, 8, &index), 1);
    assert_int_equal(yd_live_table_declare(table, two, YD_U64, 8, &index), YD_EFULL);
    assert_int_equal(yd_live_table_declare(table, YD_STR("short"), YD_U64, 8, &index), 1);
    assert_int_equal(yd_live_table_count(table), 2);
    yd_live_table_destroy(table);
}

/* What a slot says of its size is no reason to leave the memory: behind it is a page that nobody may touch. */
static void a_value_that_says_it_is_larger_than_its_room_is_refused(void **state)
{
    (void)state;
    struct yd_live_table *table;
    struct yd_live_table_view view;
    struct yd_live_cell cell;
    struct yd_live_cursor cursor = {0};
    struct yd_live_value value;
    uint32_t index;
    static char to[1 << 20];
    assert_int_equal(yd_live_table_create(&(struct yd_live_table_options){.capacity = 4}, NULL, &table), 0);
    yd_live_table_set_state(table, YD__LIVE_READY);
    assert_int_equal(yd_live_table_declare(table, YD_STR("x"), YD_BLOB, 64, &index), 1);
    assert_int_equal(yd_live_table_publish(table, index, 0, YD_BLOB, 0, "12345678", 8), 0);
    const struct yd_live_region *region = yd_live_table_region(table);
    uint8_t *room = mmap(NULL, region->size + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(room, MAP_FAILED);
    assert_int_equal(mprotect(room + region->size, 4096, PROT_NONE), 0);
    memcpy(room, region->header, region->size);
    struct yd_live_mapping mapping = {(const struct yd__live_header *)(const void *)room, region->size, false};
    assert_int_equal(yd_live_table_view_open(&mapping, &view), 0);
    assert_int_equal(yd_live_table_view_cell(&view, index, &cell), 0);
    uint64_t *slot = (uint64_t *)(uintptr_t)(cell.slots + (1 & cell.slot_mask) * cell.slot_words);
    assert_int_equal(slot[YD__SLOT_SEQ], 1);
    slot[YD__SLOT_META] = YD__META(sizeof to, YD_BLOB, 0);
    assert_int_equal(yd_live_cell_get(&cell, &cursor, to, sizeof to, &value), YD_EFORMAT);
    assert_int_equal(munmap(room, region->size + 4096), 0);
    yd_live_table_destroy(table);
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    for (uint64_t fail_at = 1;; fail_at++) {
        struct yd_alloc_failing failing;
        yd_alloc_failing_init(&failing, fail_at);
        struct yd_live_table_options options = {.capacity = 200};
        struct yd_live_table *table = NULL;
        int error = yd_live_table_create(&options, &failing.alloc, &table);
        for (int i = 0; i < 150 && !error; i++) {
            char name[16];
            struct yd_str text = {name, (size_t)snprintf(name, sizeof name, "m%d", i)};
            uint32_t index = 77;
            error = yd_live_table_declare(table, text, YD_I64, 0, &index);
            if (error > 0) error = 0;
            if (error) {
                assert_int_equal(index, 77);
                assert_int_equal(yd_live_table_count(table), i);
                failing.fail_at = 0;
                assert_int_equal(yd_live_table_declare(table, text, YD_I64, 0, &index), 1);
                assert_int_equal(index, i);
            }
        }
        yd_live_table_destroy(table);
        assert_true(failing.bytes_out == 0);
        if (!error) break;
        assert_int_equal(error, YD_ENOMEM);
        assert_true(fail_at < 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_published_is_got_with_time_type_flags_and_sequence),
        cmocka_unit_test(next_gives_every_value_and_counts_the_overrun_exactly),
        cmocka_unit_test(names_are_added_under_readers_and_keep_their_indexes_in_a_new_generation),
        cmocka_unit_test(dense_cells_and_names_alone_are_read_as_they_were_written),
        cmocka_unit_test(what_does_not_fit_is_refused_and_changes_nothing),
        cmocka_unit_test(a_bell_is_rung_once_a_word_for_a_batch_and_wakes_only_its_own),
        cmocka_unit_test(an_empty_value_has_no_bits_of_older_ones),
        cmocka_unit_test(names_end_where_their_room_ends),
        cmocka_unit_test(a_value_that_says_it_is_larger_than_its_room_is_refused),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
