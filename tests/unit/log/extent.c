/* Runs of frames as they lie in files: the same bytes and seqnos as the reader gives, whatever sizes are asked for, and
 * nothing beyond damage. And stream.json. */
#include "log_test.h"

#include "log/extent.h"
#include "log/layout.h"

#define BATCHES 60

/* Batches of 3 records, some large, in several segments, and nothing of it in memory. */
static struct yd_log *make_stream(struct world *world)
{
    struct yd_log_options options = world_options(world);
    options.segment_size_min = options.segment_size_max = 256 << 10;
    options.memory_bytes_max = 1;
    struct yd_log *log = world_open(world, &options, NULL);
    for (uint64_t i = 0; i < BATCHES; i++) {
        (void)append(log, 3, i % 5 ? 2000 : 50000);
        assert_int_equal(yd_log_flush(log), 0);
    }
    assert_int_equal(yd_log_maintain(log), 0);
    return reopen(world, log, NULL);
}

/* Checks every byte of an extent as batches; returns records. */
static uint64_t check_extent(const struct yd_log_extent *extent)
{
    char *bytes = malloc(extent->size);
    size_t got;
    uint64_t records = 0, seqno = extent->first;
    assert_int_equal(yd_file_read(extent->file, bytes, extent->size, extent->offset, &got), 0);
    assert_int_equal(got, extent->size);
    for (size_t at = 0; at < extent->size;) {
        struct yd_batch *batch;
        assert_int_equal(yd_batch_from_bytes(bytes + at, extent->size - at, &batch), 0);
        assert_int_equal(batch->header.base_seqno, seqno);
        check_marks(batch);
        seqno += batch->header.count;
        records += batch->header.count;
        at += batch->header.size;
        yd_batch_unref(batch);
    }
    assert_int_equal(seqno, extent->next);
    assert_int_equal(records, extent->records);
    free(bytes);
    return records;
}

static uint64_t read_by_extents(struct yd_log *log, uint64_t from, uint64_t bytes_max, uint64_t until,
                                uint64_t *ret_missing)
{
    struct yd_log_reader *reader = open_reader(log, YD_FROM_SEQNO, from, 0);
    uint64_t records = 0;
    *ret_missing = 0;
    while (yd_log_reader_seqno(reader) < until) {
        struct yd_log_extent extent;
        uint64_t before = yd_log_reader_seqno(reader);
        int error = yd_log_reader_extent(reader, bytes_max, until, false, &extent);
        if (error == 0) {
            assert_true(extent.first <= before && extent.next > before);
            assert_int_equal(extent.next, yd_log_reader_seqno(reader));
            records += check_extent(&extent);
            yd_file_close(extent.file);
            continue;
        }
        assert_int_equal(error, YD_EAGAIN);
        struct yd_batch *batch;
        struct yd_log_gap gap;
        error = yd_log_reader_next(reader, &batch, &gap);
        if (error == YD_EAGAIN) break;
        if (error == YD_EGAP) {
            *ret_missing += gap.to - gap.from;
            continue;
        }
        assert_int_equal(error, 0);
        records += batch->header.count;
        yd_batch_unref(batch);
    }
    yd_log_reader_close(reader);
    return records;
}

static void extents_are_what_the_reader_gives(void **state)
{
    struct world *world = *state;
    struct yd_log *log = make_stream(world);
    uint64_t missing;
    static const uint64_t sizes[] = {1, 3000, 100000, 1 << 20};
    for (size_t i = 0; i < YD_COUNT(sizes); i++) {
        assert_int_equal(read_by_extents(log, 0, sizes[i], UINT64_MAX, &missing), BATCHES * 3);
        assert_int_equal(missing, 0);
    }
    assert_int_equal(read_by_extents(log, 91, 20000, UINT64_MAX, &missing), BATCHES * 3 - 90); /* whole batches */
    assert_int_equal(read_by_extents(log, 30, 20000, 61, &missing), 33);
    assert_int_equal(read_by_extents(log, BATCHES * 3, 20000, UINT64_MAX, &missing), 0);
    assert_int_equal(world_close(world, log), 0);
}

static void extents_stop_before_damage(void **state)
{
    struct world *world = *state;
    struct yd_log *log = make_stream(world);
    struct yd_log_reader *reader = open_reader(log, YD_FROM_SEQNO, 30, 0);
    struct yd_log_extent extent;
    assert_int_equal(yd_log_reader_extent(reader, 1, UINT64_MAX, false, &extent), 0);
    yd_log_reader_close(reader);
    yd_file_close(extent.file);
    /* The segment that holds it: its base is the last one at or below. */
    struct yd_file *file = NULL;
    for (uint64_t base = 31; base-- > 0 && !file;) {
        char path[512];
        segment_path(world, base, ".ylog", path, sizeof path);
        (void)yd_fs_open(world->fs, path, YD_OPEN_READ | YD_OPEN_WRITE, &file);
    }
    assert_non_null(file);
    assert_int_equal(yd_file_write(file, "damage", 6, extent.offset + 40), 0); /* in the header */
    yd_file_close(file);
    uint64_t missing;
    assert_int_equal(read_by_extents(log, 0, 1 << 20, UINT64_MAX, &missing), BATCHES * 3 - 3);
    assert_int_equal(missing, 3);
    assert_int_equal(world_close(world, log), 0);
}

static void memory_and_closed_logs_have_no_extents(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    (void)append(log, 3, 0);
    assert_int_equal(yd_log_flush(log), 0);
    struct yd_log_reader *reader = open_reader(log, YD_FROM_OLDEST, 0, 0);
    struct yd_log_extent extent;
    assert_int_equal(yd_log_reader_extent(reader, 1000, UINT64_MAX, false, &extent), YD_EAGAIN);
    assert_int_equal(world_close(world, log), 0);
    assert_int_equal(yd_log_reader_extent(reader, 1000, UINT64_MAX, false, &extent), YD_EAGAIN);
    yd_log_reader_close(reader);
}

/* ---- stream.json ---- */

static void layouts_are_kept_and_damage_is_told(void **state)
{
    struct world *world = *state;
    struct yd_layout layout, kept = {.partitions = 7, .by = YD_LAYOUT_BY_PRODUCER, .keep_ns = 5, .size_bytes = 1 << 20};
    assert_int_equal(yd_layout_load(world->fs, "d", "s", &layout), YD_ENOENT);
    assert_int_equal(yd_layout_save(world->fs, "d", "s", &kept), 0);
    assert_int_equal(yd_layout_load(world->fs, "d", "s", &layout), 0);
    assert_int_equal(layout.partitions, 7);
    assert_int_equal(layout.by, YD_LAYOUT_BY_PRODUCER);
    assert_int_equal(layout.keep_ns, 5);
    assert_int_equal(layout.size_bytes, 1 << 20);
    static const char *const bad[] = {"",
                                      "[]",
                                      "{\"partitions\": 0}",
                                      "{\"partitions\": x}",
                                      "{\"partitions\": 4000000}",
                                      "{\"by\": \"colour\"}",
                                      "{\"partitions\": -3}"};
    for (size_t i = 0; i < YD_COUNT(bad); i++) {
        assert_int_equal(yd_fs_replace(world->fs, "d/streams/s/stream.json", bad[i], strlen(bad[i])), 0);
        assert_int_equal(yd_layout_load(world->fs, "d", "s", &layout), YD_ECORRUPT);
    }
    static const char plain[] = "{ \"by\" : \"name\", \"partitions\" : 2 }";
    assert_int_equal(yd_fs_replace(world->fs, "d/streams/s/stream.json", plain, sizeof plain - 1), 0);
    assert_int_equal(yd_layout_load(world->fs, "d", "s", &layout), 0);
    assert_int_equal(layout.partitions, 2);
}

static void partitions_are_chosen_evenly(void **state)
{
    (void)state;
    struct yd_layout layout = {.partitions = 5};
    unsigned by_name[5] = {0}, by_producer[5] = {0};
    for (uint64_t i = 0; i < 5000; i++) {
        char name[32];
        int size = snprintf(name, sizeof name, "cpu host=%llu", (unsigned long long)i);
        by_name[yd_layout_of_name(&layout, yd_hash(name, (size_t)size))]++;
        by_producer[yd_layout_of_producer(&layout, i)]++;
    }
    for (int i = 0; i < 5; i++) {
        assert_in_range(by_name[i], 800, 1200);
        assert_in_range(by_producer[i], 800, 1200);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(extents_are_what_the_reader_gives, world_setup_linux, world_teardown),
        cmocka_unit_test_setup_teardown(extents_are_what_the_reader_gives, world_setup_sim, world_teardown),
        cmocka_unit_test_setup_teardown(extents_stop_before_damage, world_setup_linux, world_teardown),
        cmocka_unit_test_setup_teardown(memory_and_closed_logs_have_no_extents, world_setup_sim, world_teardown),
        cmocka_unit_test_setup_teardown(layouts_are_kept_and_damage_is_told, world_setup_sim, world_teardown),
        cmocka_unit_test(partitions_are_chosen_evenly),
    };
    return cmocka_run_group_tests_name("log / extent", tests, NULL, NULL);
}
