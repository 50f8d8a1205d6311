/* Compressed twins: made behind the writer, checked, and then all there is; whatever crashes or rots. */
#include <unistd.h>

#include "log/reader.h"
#include "log/twin.h"
#include "log_test.h"

#define RECORDS (60 * 20) /* of fill(log, 60) */
#define AGE     (INT64_C(60) * YD_NS_PER_S)

static struct yd_log *open_compressing(struct world *world, int64_t after)
{
    struct yd_log_options options = world_options(world);
    options.segment_size_min = options.segment_size_max = 64 << 10;
    options.compress_after_ns = after;
    return world_open(world, &options, NULL);
}

static void fill(struct yd_log *log, int batches)
{
    for (int i = 0; i < batches; i++) {
        append(log, 20, 3000);
        assert_int_equal(yd_log_flush(log), 0);
    }
}

/* Maintains until nothing more happens. */
static void settle(struct yd_log *log)
{
    for (int i = 0; i < 200; i++) assert_int_equal(yd_log_maintain(log), 0);
}

static bool there(struct world *world, uint64_t base, const char *suffix)
{
    char path[512];
    struct yd_stat now;
    segment_path(world, base, suffix, path, sizeof path);
    return yd_fs_stat(world->fs, path, &now) == 0;
}

/* How many segments are only twins, only files, both. */
static void census(struct world *world, int counts[3])
{
    uint64_t *bases;
    uint32_t count;
    counts[0] = counts[1] = counts[2] = 0;
    assert_int_equal(yd__list_segments(world->fs, world->dir, &bases, &count), 0);
    for (uint32_t i = 0; i < count; i++) {
        bool raw = there(world, bases[i], ".ylog"), twin = there(world, bases[i], ".yzst");
        counts[raw && twin ? 2 : raw]++;
    }
    free(bases);
}

static void a_twin_takes_the_segments_place_and_gives_the_same_records(void **state)
{
    struct world *world = *state;
    struct yd_log *log = open_compressing(world, 1);
    fill(log, 60);
    settle(log);
    int counts[3];
    census(world, counts);
    assert_true(counts[0] >= 3);    /* only twins */
    assert_int_equal(counts[1], 1); /* the active one */
    uint64_t missing, all = read_from_oldest(log, &missing);
    assert_int_equal(all, RECORDS);
    assert_int_equal(missing, 0);
    struct yd_log_verify_report report;
    assert_int_equal(yd_log_verify_dir(world->fs, world->dir, &report, NULL, NULL), 0);
    assert_int_equal(report.records, RECORDS);
    assert_true(report.twins >= 3);
    struct yd_log_position position;
    struct yd_log_stat stat;
    yd_log_position(log, &position);
    assert_int_equal(yd_log_stat_dir(world->fs, world->dir, &stat, NULL), 0);
    assert_int_equal(position.bytes, stat.bytes);
    assert_int_equal(stat.twins, report.twins);
    log = reopen(world, log, NULL);
    assert_int_equal(read_from_oldest(log, &missing), RECORDS);
    assert_int_equal(missing, 0);
    assert_int_equal(world_close(world, log), 0);
}

static void a_twin_decompresses_to_the_segments_bytes(void **state)
{
    struct world *world = *state;
    struct yd_log *log = open_compressing(world, AGE);
    fill(log, 30);
    settle(log);
    int counts[3];
    census(world, counts);
    assert_true(counts[2] >= 1);
    char path[512], *raw, *bytes;
    size_t size, have;
    struct yd_file *twin;
    segment_path(world, 0, ".ylog", path, sizeof path);
    assert_int_equal(yd_fs_read_all(world->fs, path, 1 << 20, &raw, &size), 0);
    segment_path(world, 0, ".yzst", path, sizeof path);
    assert_int_equal(yd__twin_open(world->fs, path, NULL, &twin), 0);
    bytes = malloc(size + 64);
    for (size_t step = 1; step < size; step = step * 5 + 3) /* any size at any place */
        for (size_t at = 0; at < size + 10; at += step * 7 / 3 + 1) {
            assert_int_equal(yd_file_read(twin, bytes, step, at, &have), 0);
            assert_int_equal(have, at >= size ? 0 : YD_MIN(step, size - at));
            assert_memory_equal(bytes, raw + YD_MIN(at, size), have);
        }
    yd_file_close(twin);
    free(bytes);
    free(raw);
    assert_int_equal(world_close(world, log), 0);
}

static void a_segment_stays_until_it_is_old(void **state)
{
    struct world *world = *state;
    struct yd_log *log = open_compressing(world, AGE);
    fill(log, 60);
    settle(log);
    int counts[3];
    census(world, counts);
    assert_int_equal(counts[0], 0);
    assert_true(counts[2] >= 3);
    world->now += 2 * AGE;
    settle(log);
    census(world, counts);
    assert_true(counts[0] >= 3);
    assert_int_equal(counts[2], 0);
    assert_int_equal(world_close(world, log), 0);
}

/* Flips a byte of a file, through the file system. */
static void flip(struct world *world, uint64_t base, const char *suffix, uint64_t offset)
{
    char path[512], byte;
    struct yd_file *file;
    size_t have;
    segment_path(world, base, suffix, path, sizeof path);
    assert_int_equal(yd_fs_open(world->fs, path, YD_OPEN_READ | YD_OPEN_WRITE, &file), 0);
    assert_int_equal(yd_file_read(file, &byte, 1, offset, &have), 0);
    byte ^= 0x10;
    assert_int_equal(yd_file_write(file, &byte, 1, offset), 0);
    yd_file_close(file);
}

static uint64_t size_of(struct world *world, uint64_t base, const char *suffix)
{
    char path[512];
    struct yd_stat now;
    segment_path(world, base, suffix, path, sizeof path);
    assert_int_equal(yd_fs_stat(world->fs, path, &now), 0);
    return now.size;
}

static void a_segment_does_not_go_when_its_twin_has_rotted(void **state)
{
    struct world *world = *state;
    struct yd_log *log = open_compressing(world, AGE);
    fill(log, 60);
    settle(log);
    assert_true(there(world, 0, ".yzst"));
    flip(world, 0, ".yzst", size_of(world, 0, ".yzst") / 2);
    assert_int_equal(yd_log_verify_dir(world->fs, world->dir, NULL, NULL, NULL), YD_ECORRUPT);
    world->now += 2 * AGE;
    settle(log);
    assert_true(there(world, 0, ".ylog"));
    uint64_t missing;
    assert_int_equal(read_from_oldest(log, &missing), RECORDS);
    assert_int_equal(missing, 0);
    assert_int_equal(world_close(world, log), 0);
}

static void every_flipped_byte_of_a_twin_is_found_and_costs_its_block_alone(void **state)
{
    struct world *world = *state;
    struct yd_log *log = open_compressing(world, 1);
    fill(log, 60);
    settle(log);
    assert_int_equal(world_close(world, log), 0);
    uint64_t size = size_of(world, 0, ".yzst");
    uint64_t blocks_end = size - 2 * (sizeof(struct yd__twin_entry) + sizeof(struct yd__twin_footer));
    for (uint64_t at = 0; at < size; at += at < 200 || at + 400 > size ? 1 : 61) {
        flip(world, 0, ".yzst", at);
        assert_int_equal(yd_log_verify_dir(world->fs, world->dir, NULL, NULL, NULL), YD_ECORRUPT);
        log = open_compressing(world, 1);
        uint64_t missing, read = read_from_oldest(log, &missing);
        assert_int_equal(read + missing, RECORDS);
        /* The segment has one block; the others are served. What is not in it costs nothing: it is there twice. */
        bool in_block = at >= sizeof(struct yd__twin_head) && at < blocks_end;
        assert_true(in_block ? missing > 0 && read > RECORDS / 2 : missing == 0);
        assert_int_equal(world_close(world, log), 0);
        flip(world, 0, ".yzst", at);
    }
    assert_int_equal(yd_log_verify_dir(world->fs, world->dir, NULL, NULL, NULL), 0);
}

static uint64_t read_folder(struct world *world, uint64_t *ret_missing, uint64_t *ret_healed)
{
    struct yd_log_start start = {.from = YD_FROM_OLDEST};
    struct yd_log_reader *reader;
    assert_int_equal(yd_log_reader_open_dir(world->fs, world->dir, &start, &reader, NULL), 0);
    uint64_t records = read_all(reader, ret_missing);
    *ret_healed = reader->healed;
    yd_log_reader_close(reader);
    return records;
}

/* A header, a body, the padding's neighbours: wherever the file has rotted, its twin has the batch. */
static void what_has_rotted_in_a_segment_is_given_from_its_twin(void **state)
{
    struct world *world = *state;
    struct yd_log *log = open_compressing(world, AGE);
    fill(log, 60);
    settle(log);
    assert_true(there(world, 0, ".yzst"));
    assert_int_equal(world_close(world, log), 0);
    static const uint64_t places[] = {YD__SEGMENT_ALIGN + 3, YD__SEGMENT_ALIGN + 40, YD__SEGMENT_ALIGN + 200, 20000};
    for (size_t i = 0; i < YD_COUNT(places); i++) {
        flip(world, 0, ".ylog", places[i]);
        uint64_t missing, healed;
        assert_int_equal(read_folder(world, &missing, &healed), RECORDS);
        assert_int_equal(missing, 0);
        assert_int_equal(healed, 1);
        log = open_compressing(world, AGE);
        assert_int_equal(read_from_oldest(log, &missing), RECORDS);
        assert_int_equal(missing, 0);
        struct yd_log_position position;
        yd_log_position(log, &position);
        assert_int_equal(position.healed, 1);
        assert_int_equal(position.rotten, 0);
        assert_int_equal(world_close(world, log), 0);
        flip(world, 0, ".ylog", places[i]);
    }
}

static void what_has_rotted_in_both_is_a_gap(void **state)
{
    struct world *world = *state;
    struct yd_log *log = open_compressing(world, AGE);
    fill(log, 60);
    settle(log);
    flip(world, 0, ".ylog", 20000);
    flip(world, 0, ".yzst", size_of(world, 0, ".yzst") / 2);
    uint64_t missing, healed;
    assert_int_equal(read_folder(world, &missing, &healed), RECORDS - 20);
    assert_int_equal(missing, 20);
    assert_int_equal(healed, 0);
    assert_int_equal(world_close(world, log), 0);
}

/* Rolls, retention and compression under a reader of the folder, which lists it when the last segment has ended. */
static void a_reader_of_a_folder_lists_it_once_and_then_by_the_last_segment(void **state)
{
    struct world *world = *state;
    struct yd_log *log = open_compressing(world, 1);
    fill(log, 60);
    settle(log);
    struct yd_log_start start = {.from = YD_FROM_OLDEST};
    struct yd_log_reader *reader;
    assert_int_equal(yd_log_reader_open_dir(world->fs, world->dir, &start, &reader, NULL), 0);
    uint64_t missing, all = read_all(reader, &missing);
    assert_int_equal(all, RECORDS);
    assert_int_equal(reader->listings, 1);
    for (int i = 0; i < 3; i++) {
        fill(log, 60);
        settle(log);
        uint64_t before = reader->listings;
        all += read_all(reader, &missing);
        assert_int_equal(missing, 0);
        assert_int_equal(all, RECORDS * (uint64_t)(i + 2));
        assert_true(reader->listings > before && reader->listings <= before + 3);
    }
    yd_log_reader_close(reader);
    assert_int_equal(world_close(world, log), 0);
}

/* Times go up and down from segment to segment: the first batch that may hold one is found by footers. */
static void a_time_is_found_where_segments_are_not_in_its_order(void **state)
{
    struct world *world = *state;
    struct yd_log *log = open_compressing(world, 0);
    static const int64_t times[] = {50, 20, 90, 10, 70, 200};
    uint64_t seqno_of[YD_COUNT(times)] = {0};
    for (uint32_t i = 0; i < YD_COUNT(times) * 40; i++) {
        struct yd_batch *batch = make_batch(i * 2, 2, 3000, times[i / 40]);
        struct yd_log_appended appended;
        assert_int_equal(yd_log_append(log, batch, -1, UINT64_MAX, &appended), 0);
        assert_int_equal(yd_log_flush(log), 0);
        if (i % 40 == 0) seqno_of[i / 40] = appended.first;
        yd_batch_unref(batch);
    }
    settle(log);
    static const int64_t asked[] = {1, 50, 51, 91, 200};
    static const int found_in[] = {0, 0, 2, 5, 5};
    for (size_t i = 0; i < YD_COUNT(asked); i++)
        for (int by_log = 0; by_log < 2; by_log++) {
            struct yd_log_start start = {.from = YD_FROM_TIME, .time_ns = asked[i]};
            struct yd_log_reader *reader;
            struct yd_batch *batch;
            int error = by_log ? yd_log_reader_open(log, &start, &reader)
                               : yd_log_reader_open_dir(world->fs, world->dir, &start, &reader, NULL);
            assert_int_equal(error, 0);
            assert_int_equal(yd_log_reader_next(reader, &batch, NULL), 0);
            assert_int_equal(batch->header.base_seqno, seqno_of[found_in[i]]);
            yd_batch_unref(batch);
            yd_log_reader_close(reader);
        }
    assert_int_equal(world_close(world, log), 0);
}

static void a_reader_inside_a_segment_does_not_notice_that_it_goes(void **state)
{
    struct world *world = *state;
    struct yd_log *log = open_compressing(world, AGE);
    fill(log, 60);
    settle(log);
    struct yd_log_start start = {.from = YD_FROM_OLDEST};
    struct yd_log_reader *reader;
    assert_int_equal(yd_log_reader_open_dir(world->fs, world->dir, &start, &reader, NULL), 0);
    struct yd_batch *batch, *kept;
    assert_int_equal(yd_log_reader_next(reader, &kept, NULL), 0);
    world->now += 2 * AGE;
    settle(log);
    assert_false(there(world, 0, ".ylog"));
    uint64_t expected = kept->header.count;
    while (yd_log_reader_next(reader, &batch, NULL) == 0) {
        assert_int_equal(batch->header.base_seqno, expected);
        check_marks(batch);
        expected += batch->header.count;
        yd_batch_unref(batch);
    }
    assert_int_equal(expected, RECORDS);
    check_marks(kept);
    yd_batch_unref(kept);
    yd_log_reader_close(reader);
    assert_int_equal(world_close(world, log), 0);
}

static void retention_takes_twins_too(void **state)
{
    struct world *world = *state;
    struct yd_log_options options = world_options(world);
    options.segment_size_min = options.segment_size_max = 64 << 10;
    options.compress_after_ns = 1;
    options.retain_ns = AGE;
    struct yd_log *log = world_open(world, &options, NULL);
    fill(log, 60);
    settle(log);
    world->now += 2 * AGE;
    fill(log, 1);
    settle(log);
    int counts[3];
    census(world, counts);
    assert_int_equal(counts[0] + counts[2], 0);
    assert_int_equal(counts[1], 1);
    struct yd_log_position position;
    struct yd_log_stat stat;
    yd_log_position(log, &position);
    assert_int_equal(yd_log_stat_dir(world->fs, world->dir, &stat, NULL), 0);
    assert_int_equal(position.bytes, stat.bytes);
    assert_int_equal(world_close(world, log), 0);
}

/* Durations of a century and more are before all clocks, one that stands before 1970 too: nothing is that old. */
static void centuries_are_no_reason_to_go(void **state)
{
    static const int64_t ages[] = {INT64_C(36500) * 24 * 3600 * YD_NS_PER_S, INT64_C(9200000000000000000), INT64_MAX};
    static const int64_t clocks[] = {YD_NS_PER_S, -INT64_C(4000) * 24 * 3600 * YD_NS_PER_S};
    struct world *world = *state;
    for (size_t i = 0; i < YD_COUNT(ages) * YD_COUNT(clocks); i++) {
        struct yd_log_options options = world_options(world);
        options.segment_size_min = options.segment_size_max = 64 << 10;
        options.compress_after_ns = options.retain_ns = options.cursor_expiry_ns = options.replica_lag_ns = ages[i / 2];
        world->now = clocks[i % 2];
        world->dir[strlen(world->dir) - 1] = (char)('0' + i);
        struct yd_log *log = world_open(world, &options, NULL);
        fill(log, 60);
        assert_int_equal(yd_log_cursor_save(log, "reader", 3), 0);
        settle(log);
        world->now += AGE;
        fill(log, 1);
        settle(log);
        int counts[3];
        struct yd_log_position position;
        census(world, counts);
        yd_log_position(log, &position);
        assert_int_equal(position.first, 0);
        assert_true(counts[2] > 1); /* compressed, and all as it came, too */
        assert_int_equal(world_close(world, log), 0);
    }
}

/* Everything that happens to a disk until the twins are all there is, cut off after each call in turn. */
static void a_crash_at_any_moment_leaves_one_good_of_the_two(void **state)
{
    (void)state;
    for (uint64_t cut = 0;; cut += 1 + cut / 60) {
        struct world world = {0};
        struct yd_fs *fs;
        assert_int_equal(yd_sim_fs_create(cut + 7, &fs), 0);
        world.fs = fs;
        world.now = INT64_C(1700000000) * YD_NS_PER_S;
        yd_rng_init(&world.rng, 1);
        (void)snprintf(world.dir, sizeof world.dir, "data/s/0");
        struct yd_log *log = open_compressing(&world, 1);
        fill(log, 40);
        yd_sim_fs_cut_after(fs, cut);
        int error = 0;
        for (int i = 0; i < 100 && !error; i++) error = yd_log_maintain(log);
        bool done = error == 0;
        if (done) yd_sim_fs_cut_after(fs, UINT64_MAX);
        (void)yd_log_close(log); /* the disk may be gone */
        if (!done || cut % 2) yd_sim_fs_crash(fs);
        log = open_compressing(&world, 1);
        uint64_t missing;
        assert_int_equal(read_from_oldest(log, &missing), 40 * 20);
        assert_int_equal(missing, 0);
        settle(log);
        assert_int_equal(yd_log_close(log), 0);
        assert_int_equal(yd_log_verify_dir(fs, world.dir, NULL, NULL, NULL), 0);
        yd_sim_fs_destroy(fs);
        if (done) break;
    }
}

/* Somebody may read it for long after it was closed, while it is open anew. */
static void a_closed_log_leaves_the_half_made_twin_of_its_successor_alone(void **state)
{
    struct world *world = *state;
    struct yd_log *log[2];
    struct yd_log_options options = world_options(world);
    options.segment_size_min = options.segment_size_max = 1 << 20;
    options.compress_after_ns = 1;
    for (int life = 0; life < 2; life++) {
        log[life] = world_open(world, &options, NULL);
        for (int i = 0; i < 12; i++) {
            append(log[life], 20, 30000);
            assert_int_equal(yd_log_flush(log[life]), 0);
        }
        settle(log[life]);
        assert_true(there(world, 0, ".yzst.tmp"));
        if (life) break;
        (void)yd_log_ref(log[0]);
        assert_int_equal(world_close(world, log[0]), 0);
        assert_false(there(world, 0, ".yzst.tmp"));
    }
    yd_log_unref(log[0]);
    assert_true(there(world, 0, ".yzst.tmp"));
    assert_int_equal(world_close(world, log[1]), 0);
}

#define WORLD(test) cmocka_unit_test_setup_teardown(test, world_setup_linux, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(a_closed_log_leaves_the_half_made_twin_of_its_successor_alone),
        WORLD(a_twin_takes_the_segments_place_and_gives_the_same_records),
        WORLD(a_twin_decompresses_to_the_segments_bytes),
        WORLD(a_segment_stays_until_it_is_old),
        WORLD(a_segment_does_not_go_when_its_twin_has_rotted),
        WORLD(every_flipped_byte_of_a_twin_is_found_and_costs_its_block_alone),
        WORLD(what_has_rotted_in_a_segment_is_given_from_its_twin),
        cmocka_unit_test_setup_teardown(what_has_rotted_in_a_segment_is_given_from_its_twin, world_setup_sim,
                                        world_teardown),
        WORLD(what_has_rotted_in_both_is_a_gap),
        WORLD(a_reader_of_a_folder_lists_it_once_and_then_by_the_last_segment),
        WORLD(a_time_is_found_where_segments_are_not_in_its_order),
        WORLD(a_reader_inside_a_segment_does_not_notice_that_it_goes),
        WORLD(retention_takes_twins_too),
        WORLD(centuries_are_no_reason_to_go),
        cmocka_unit_test(a_crash_at_any_moment_leaves_one_good_of_the_two),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
