/* Appending, reading, positions, producers, finding, cursors, retention: what a healthy log does. */
#include "log_test.h"

static void append_flush_and_read_give_the_same_records_in_order(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    uint64_t next = 0;
    for (uint32_t i = 1; i <= 50; i++) {
        assert_int_equal(append(log, i, i * 37), next);
        next += i;
        if (i % 7 == 0) assert_int_equal(yd_log_flush(log), 0);
    }
    assert_int_equal(yd_log_flush(log), 0);
    uint64_t missing;
    assert_int_equal(read_from_oldest(log, &missing), next);
    assert_int_equal(missing, 0);
    struct yd_log_recovery recovery;
    log = reopen(world, log, &recovery);
    assert_true(recovery.clean);
    assert_false(recovery.epoch_raised);
    assert_int_equal(read_from_oldest(log, &missing), next);
    assert_int_equal(missing, 0);
    assert_int_equal(append(log, 3, 0), next);
    assert_int_equal(world_close(world, log), 0);
}

static void a_reader_sees_a_stream_up_to_its_level(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    append(log, 4, 0);
    struct yd_log_reader *durable = open_reader(log, YD_FROM_OLDEST, 0, 0);
    struct yd_log_reader *memory = open_reader(log, YD_FROM_OLDEST, 0, YD_ACK_MEMORY);
    assert_int_equal(read_all(durable, NULL), 0);
    assert_int_equal(read_all(memory, NULL), 4);
    assert_int_equal(yd_log_flush(log), 0);
    assert_int_equal(read_all(durable, NULL), 4);
    struct yd_log_position position;
    yd_log_position(log, &position);
    assert_int_equal(position.memory, 4);
    assert_int_equal(position.written, 4);
    assert_int_equal(position.durable, 4);
    yd_log_reader_close(durable);
    yd_log_reader_close(memory);
    assert_int_equal(world_close(world, log), 0);
}

static void segments_roll_and_readers_cross_them_from_any_seqno(void **state)
{
    struct world *world = *state;
    struct yd_log_options options = world_options(world);
    options.segment_size_min = options.segment_size_max = 64 << 10;
    options.memory_bytes_max = 1;
    struct yd_log *log = world_open(world, &options, NULL);
    for (int i = 0; i < 200; i++) {
        append(log, 5, 3000);
        if (i % 3 == 0) assert_int_equal(yd_log_flush(log), 0);
        if (i % 50 == 0) assert_int_equal(yd_log_maintain(log), 0);
    }
    assert_int_equal(yd_log_flush(log), 0);
    struct yd_log_position position;
    yd_log_position(log, &position);
    assert_true(position.segments > 5);
    for (uint64_t from = 0; from < 1000; from += 33) {
        struct yd_log_reader *reader = open_reader(log, YD_FROM_SEQNO, from, 0);
        assert_true(yd_log_reader_cold(reader));
        uint64_t missing, records = read_all(reader, &missing);
        assert_int_equal(records, 1000 - from / 5 * 5);
        assert_int_equal(missing, 0);
        yd_log_reader_close(reader);
    }
    assert_int_equal(world_close(world, log), 0);
    struct yd_log_verify_report report;
    assert_int_equal(yd_log_verify_dir(world->fs, world->dir, &report, NULL, NULL), 0);
    assert_int_equal(report.records, 1000);
    struct yd_log_stat stat;
    assert_int_equal(yd_log_stat_dir(world->fs, world->dir, &stat, NULL), 0);
    assert_string_equal(stat.stream, "s/0");
    assert_int_equal(stat.durable, 1000);
    assert_int_equal(stat.time_max, 995 * YD_NS_PER_S);
    assert_false(stat.live);
}

static void memory_keeps_what_a_reader_has_yet_to_take_and_little_of_what_all_have(void **state)
{
    struct world *world = *state;
    struct yd_log_options options = world_options(world);
    options.memory_bytes_max = 64 << 10;
    struct yd_log *log = world_open(world, &options, NULL);
    struct yd_log_reader *behind = open_reader(log, YD_FROM_OLDEST, 0, 0);
    for (int i = 0; i < 10; i++) append(log, 1, 3000);
    assert_int_equal(yd_log_flush(log), 0);
    assert_false(yd_log_reader_cold(behind)); /* 30 KiB of 64 */
    assert_int_equal(read_all(behind, NULL), 10);
    assert_int_equal(yd_log_maintain(log), 0);
    struct yd_log_reader *late = open_reader(log, YD_FROM_OLDEST, 0, 0);
    assert_true(yd_log_reader_cold(late)); /* 8 KiB were kept when nobody wanted more */
    assert_int_equal(read_all(late, NULL), 10);
    yd_log_reader_close(late);
    for (int i = 0; i < 10; i++) append(log, 1, 3000);
    assert_int_equal(yd_log_flush(log), 0);
    assert_false(yd_log_reader_cold(behind));
    for (int i = 0; i < 30; i++) append(log, 1, 3000);
    assert_int_equal(yd_log_flush(log), 0);
    assert_true(yd_log_reader_cold(behind)); /* the limit holds for those who are behind, too */
    uint64_t missing;
    assert_int_equal(read_all(behind, &missing), 40);
    assert_int_equal(missing, 0);
    assert_int_equal(world_close(world, log), 0);
    yd_log_reader_close(behind); /* after its log: allowed */
}

static void a_batch_larger_than_a_segment_gets_a_segment_of_its_own(void **state)
{
    struct world *world = *state;
    struct yd_log_options options = world_options(world);
    options.segment_size_min = options.segment_size_max = 16 << 10;
    options.memory_bytes_max = 1;
    struct yd_log *log = world_open(world, &options, NULL);
    append(log, 2, 100);
    append(log, 2, 300 << 10);
    append(log, 2, 100);
    assert_int_equal(yd_log_flush(log), 0);
    assert_int_equal(read_from_oldest(log, NULL), 6);
    assert_int_equal(world_close(world, log), 0);
}

static void finding_by_time_gives_the_first_batch_that_may_hold_it(void **state)
{
    struct world *world = *state;
    struct yd_log_options options = world_options(world);
    options.segment_size_min = options.segment_size_max = 64 << 10;
    options.memory_bytes_max = 1;
    struct yd_log *log = world_open(world, &options, NULL);
    for (int i = 0; i < 100; i++) append(log, 5, 3000); /* a batch's time is its first seqno, in seconds */
    assert_int_equal(yd_log_flush(log), 0);
    assert_int_equal(yd_log_maintain(log), 0);
    for (uint64_t second = 0; second < 600; second += 17) {
        struct yd_log_start start = {.from = YD_FROM_TIME, .time_ns = (int64_t)second * YD_NS_PER_S};
        struct yd_log_reader *reader;
        assert_int_equal(yd_log_reader_open(log, &start, &reader), 0);
        uint64_t first = second > 495 ? 500 : (second + 4) / 5 * 5;
        assert_int_equal(read_all(reader, NULL), 500 - first);
        yd_log_reader_close(reader);
    }
    assert_int_equal(world_close(world, log), 0);
}

static void finding_by_time_also_looks_at_what_is_only_in_memory(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    append(log, 5, 0);
    assert_int_equal(yd_log_flush(log), 0);
    append(log, 5, 0);
    struct yd_log_start start = {.from = YD_FROM_TIME, .time_ns = YD_NS_PER_S, .level = YD_ACK_MEMORY};
    struct yd_log_reader *reader;
    assert_int_equal(yd_log_reader_open(log, &start, &reader), 0);
    assert_int_equal(read_all(reader, NULL), 5);
    assert_int_equal(yd_log_reader_seqno(reader), 10);
    yd_log_reader_close(reader);
    assert_int_equal(world_close(world, log), 0);
}

static void a_resent_range_is_written_once_also_after_a_restart(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    struct yd_batch *batch = with_producer(make_batch(0, 4, 0, 0), 9, 1, 100);
    struct yd_log_appended appended;
    assert_int_equal(yd_log_append(log, batch, 0, UINT64_MAX, &appended), 0);
    assert_false(appended.duplicate);
    assert_int_equal(yd_log_append(log, batch, 0, UINT64_MAX, &appended), 0);
    assert_true(appended.duplicate);
    assert_int_equal(appended.first, 0);
    assert_int_equal(appended.next, 4);
    assert_int_equal(yd_log_flush(log), 0);
    log = reopen(world, log, NULL);
    assert_int_equal(yd_log_append(log, batch, 0, UINT64_MAX, &appended), 0);
    assert_true(appended.duplicate);
    assert_int_equal(appended.next, 4);
    uint32_t epoch;
    uint64_t seq;
    assert_int_equal(yd_log_producer(log, 9, &epoch, &seq), 0);
    assert_int_equal(seq, 100);
    assert_int_equal(yd_log_producer(log, 8, &epoch, &seq), YD_ENOENT);
    yd_batch_unref(batch);
    assert_int_equal(world_close(world, log), 0);
}

static void a_producers_gap_and_a_stale_epoch_are_refused(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    struct yd_log_appended appended;
    struct yd_batch *first = with_producer(make_batch(0, 1, 0, 0), 9, 2, 10);
    assert_int_equal(yd_log_append(log, first, -1, UINT64_MAX, &appended), 0);
    struct yd_batch *stale = with_producer(make_batch(0, 1, 0, 0), 9, 1, 20);
    assert_int_equal(yd_log_append(log, stale, -1, UINT64_MAX, &appended), YD_EEPOCH);
    struct yd_batch *gap = with_producer(make_batch(0, 1, 0, 0), 9, 2, 20);
    assert_int_equal(yd_log_append(log, gap, 15, UINT64_MAX, &appended), YD_EGAP);
    assert_int_equal(yd_log_append(log, gap, 10, UINT64_MAX, &appended), 0);
    yd_batch_unref(first);
    yd_batch_unref(stale);
    yd_batch_unref(gap);
    assert_int_equal(world_close(world, log), 0);
}

static void many_producers_survive_in_segment_heads_until_they_expire(void **state)
{
    struct world *world = *state;
    struct yd_log_options options = world_options(world);
    options.segment_size_min = options.segment_size_max = 64 << 10;
    options.producer_expiry_ns = 1000;
    struct yd_log *log = world_open(world, &options, NULL);
    struct yd_log_appended appended;
    for (uint64_t id = 1; id <= 500; id++) {
        struct yd_batch *batch = with_producer(make_batch(id - 1, 1, 400, 0), id, 1, id);
        assert_int_equal(yd_log_append(log, batch, -1, UINT64_MAX, &appended), 0);
        yd_batch_unref(batch);
        if (id % 50 == 0) assert_int_equal(yd_log_flush(log), 0);
    }
    assert_int_equal(world_close(world, log), 0);
    log = world_open(world, &options, NULL);
    uint32_t epoch;
    uint64_t seq;
    for (uint64_t id = 1; id <= 500; id++) assert_int_equal(yd_log_producer(log, id, &epoch, &seq), 0);
    world->now += 2000;
    assert_int_equal(yd_log_producer(log, 7, &epoch, &seq), YD_ENOENT);
    assert_int_equal(world_close(world, log), 0);
}

static void a_sole_producer_may_state_the_seqno(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    struct yd_log_appended appended;
    struct yd_batch *batch = make_batch(0, 3, 0, 0);
    assert_int_equal(yd_log_append(log, batch, -1, 0, &appended), 0);
    assert_int_equal(yd_log_append(log, batch, -1, 0, &appended), YD_EGAP);
    assert_int_equal(yd_log_append(log, batch, -1, 3, &appended), 0);
    yd_batch_unref(batch);
    assert_int_equal(world_close(world, log), 0);
}

static void a_full_queue_is_said_and_drains(void **state)
{
    struct world *world = *state;
    struct yd_log_options options = world_options(world);
    options.queue_bytes_max = 4096;
    struct yd_log *log = world_open(world, &options, NULL);
    struct yd_batch *large = make_batch(0, 1, 10000, 0);
    struct yd_log_appended appended;
    assert_int_equal(yd_log_append(log, large, -1, UINT64_MAX, &appended), 0); /* alone, it is taken */
    assert_int_equal(yd_log_append(log, large, -1, UINT64_MAX, &appended), YD_EFULL);
    assert_int_equal(yd_log_flush(log), 0);
    assert_int_equal(yd_log_append(log, large, -1, UINT64_MAX, &appended), 0);
    yd_batch_unref(large);
    assert_int_equal(world_close(world, log), 0);
}

static void a_second_opening_is_refused_and_names_the_holder(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL), *other;
    struct yd_log_options options = world_options(world);
    struct yd_trail trail = {0};
    char pid[32];
    int own = 0; /* as /proc tells it: in a container that may be another than getpid's */
    FILE *stat = fopen("/proc/self/stat", "r");
    assert_non_null(stat);
    assert_int_equal(fscanf(stat, "%d", &own), 1);
    (void)fclose(stat);
    (void)snprintf(pid, sizeof pid, "process %d", own);
    assert_int_equal(yd_log_open(&options, &other, NULL, &trail), YD_ELOCKED);
    assert_non_null(strstr(yd_trail_text(&trail), pid));
    assert_int_equal(world_close(world, log), 0);
    log = world_open(world, NULL, NULL);
    assert_int_equal(world_close(world, log), 0);
}

static void another_streams_folder_is_refused(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    append(log, 1, 0);
    assert_int_equal(world_close(world, log), 0);
    struct yd_log_options options = world_options(world);
    options.stream = "other/0";
    struct yd_trail trail = {0};
    assert_int_equal(yd_log_open(&options, &log, NULL, &trail), YD_ECORRUPT);
    assert_non_null(strstr(yd_trail_text(&trail), "belongs to stream s/0"));
}

static void a_cursor_is_kept_never_ahead_of_durable(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    append(log, 10, 0);
    assert_int_equal(yd_log_flush(log), 0);
    append(log, 10, 0);
    struct yd_cursor cursor;
    assert_int_equal(yd_log_cursor_load(log, "a", &cursor), YD_ENOENT);
    assert_int_equal(yd_log_cursor_save(log, "a", 15), 0);
    assert_int_equal(yd_log_cursor_load(log, "a", &cursor), 0);
    assert_int_equal(cursor.seqno, 10);
    log = reopen(world, log, NULL);
    assert_int_equal(yd_log_cursor_load(log, "a", &cursor), 0);
    assert_int_equal(cursor.seqno, 10);
    assert_int_equal(yd_log_cursor_save(log, "../x", 1), YD_EINVAL);
    assert_int_equal(yd_log_cursor_save(log, ".x", 1), YD_EINVAL);
    assert_int_equal(yd_log_cursor_save(log, "", 1), YD_EINVAL);
    assert_int_equal(yd_log_cursor_remove(log, "a"), 0);
    assert_int_equal(yd_log_cursor_load(log, "a", &cursor), YD_ENOENT);
    assert_int_equal(world_close(world, log), 0);
}

static void retention_takes_whole_old_segments_but_not_what_a_cursor_holds(void **state)
{
    struct world *world = *state;
    struct yd_log_options options = world_options(world);
    options.segment_size_min = options.segment_size_max = 64 << 10;
    options.memory_bytes_max = 1;
    options.retain_ns = 100 * YD_NS_PER_S;
    options.cursor_expiry_ns = 1000 * YD_NS_PER_S;
    struct yd_log *log = world_open(world, &options, NULL);
    struct yd_log_reader *slow = open_reader(log, YD_FROM_OLDEST, 0, 0);
    for (int i = 0; i < 100; i++) {
        append(log, 1, 3000);
        world->now += YD_NS_PER_S;
        assert_int_equal(yd_log_flush(log), 0);
    }
    assert_int_equal(yd_log_cursor_save(log, "holder", 0), 0);
    struct yd_log_position position;
    world->now += 500 * YD_NS_PER_S;
    assert_int_equal(yd_log_maintain(log), 0);
    yd_log_position(log, &position);
    assert_int_equal(position.first, 0);
    world->now += 600 * YD_NS_PER_S;
    assert_int_equal(yd_log_maintain(log), 0);
    yd_log_position(log, &position);
    assert_true(position.first > 0);
    assert_int_equal(position.segments, 1); /* the active one stays */
    struct yd_batch *batch;
    struct yd_log_gap gap;
    assert_int_equal(yd_log_reader_next(slow, &batch, &gap), YD_EGAP);
    assert_string_equal(gap.reason, "retention");
    assert_int_equal(gap.to, position.first);
    assert_int_equal(read_all(slow, NULL), 100 - position.first);
    yd_log_reader_close(slow);
    assert_int_equal(world_close(world, log), 0);
    log = world_open(world, &options, NULL);
    struct yd_log_position after;
    yd_log_position(log, &after);
    assert_int_equal(after.first, position.first);
    assert_int_equal(world_close(world, log), 0);
}

static void a_wall_clock_that_steps_back_loses_and_repeats_nothing(void **state)
{
    struct world *world = *state;
    struct yd_log_options options = world_options(world);
    options.segment_size_min = options.segment_size_max = 64 << 10;
    options.memory_bytes_max = 1;
    options.retain_ns = 100 * YD_NS_PER_S;
    struct yd_log *log = world_open(world, &options, NULL);
    struct yd_log_position position;
    for (int i = 0; i < 200; i++) {
        if (i == 100) world->now -= 10000 * YD_NS_PER_S;
        append(log, 1, 3000);
        assert_int_equal(yd_log_flush(log), 0);
        if (i % 10 == 0) assert_int_equal(yd_log_maintain(log), 0);
    }
    assert_int_equal(yd_log_cursor_save(log, "reader", 150), 0);
    assert_int_equal(world_close(world, log), 0);
    world->now -= 10000 * YD_NS_PER_S;
    log = world_open(world, &options, NULL);
    yd_log_position(log, &position);
    assert_int_equal(position.first, 0);
    struct yd_cursor cursor;
    assert_int_equal(yd_log_cursor_load(log, "reader", &cursor), 0);
    assert_int_equal(cursor.seqno, 150);
    assert_int_equal(read_from_oldest(log, NULL), 200);
    assert_int_equal(world_close(world, log), 0);
}

/* Retention goes by the server's clock: what is older than `keep` by a clock that is wrong goes as well. A living
 * reader's cursor holds what he has not acknowledged. */
static void a_wall_clock_that_steps_forward_retires_early_but_not_what_a_reader_needs(void **state)
{
    struct world *world = *state;
    struct yd_log_options options = world_options(world);
    options.segment_size_min = options.segment_size_max = 64 << 10;
    options.memory_bytes_max = 1;
    options.retain_ns = 100 * YD_NS_PER_S;
    options.cursor_expiry_ns = 20000 * YD_NS_PER_S;
    struct yd_log *log = world_open(world, &options, NULL);
    for (int i = 0; i < 200; i++) {
        append(log, 1, 3000);
        assert_int_equal(yd_log_flush(log), 0);
    }
    assert_int_equal(yd_log_cursor_save(log, "reader", 100), 0);
    world->now += 10000 * YD_NS_PER_S;
    assert_int_equal(yd_log_maintain(log), 0);
    struct yd_log_position position;
    yd_log_position(log, &position);
    assert_true(position.first > 0 && position.first <= 100);
    assert_int_equal(position.durable, 200);
    assert_int_equal(world_close(world, log), 0);
}

static uint64_t first_after_maintaining(struct yd_log *log)
{
    struct yd_log_position position;
    assert_int_equal(yd_log_maintain(log), 0);
    yd_log_position(log, &position);
    return position.first;
}

static void a_wall_clock_that_steps_forward_ages_records_at_a_bounded_speed(void **state)
{
    struct world *world = *state;
    struct yd_log_options options = world_options(world);
    options.segment_size_min = options.segment_size_max = 64 << 10;
    options.retain_ns = 6000 * YD_NS_PER_S;
    options.mono = world_mono;
    world->mono = 500 * YD_NS_PER_S;
    struct yd_log *log = world_open(world, &options, NULL);
    for (int i = 0; i < 200; i++) {
        append(log, 1, 3000);
        assert_int_equal(yd_log_flush(log), 0);
    }
    assert_int_equal(first_after_maintaining(log), 0);
    const int64_t right = world->now, year = INT64_C(365) * 24 * 3600 * YD_NS_PER_S;
    world->now = right + year;
    for (int i = 0; i < 9; i++) { /* 90 s: not yet 6000 s at 60 times the speed */
        world->now += 10 * YD_NS_PER_S;
        world->mono += 10 * YD_NS_PER_S;
        assert_int_equal(first_after_maintaining(log), 0);
    }
    world->now = right + 100 * YD_NS_PER_S; /* it was noticed, and nothing is lost */
    world->mono += 10 * YD_NS_PER_S;
    assert_int_equal(first_after_maintaining(log), 0);
    /* A start after a long stop: the same, from the newest record on. Then the clock is believed. */
    assert_int_equal(world_close(world, log), 0);
    world->now = right + year;
    log = world_open(world, &options, NULL);
    assert_int_equal(first_after_maintaining(log), 0);
    world->mono += 99 * YD_NS_PER_S;
    assert_int_equal(first_after_maintaining(log), 0);
    world->mono += 2 * YD_NS_PER_S;
    assert_true(first_after_maintaining(log) > 100);
    assert_int_equal(world_close(world, log), 0);
}

static void retention_by_size_keeps_the_newest(void **state)
{
    struct world *world = *state;
    struct yd_log_options options = world_options(world);
    options.segment_size_min = options.segment_size_max = 64 << 10;
    options.retain_bytes = 200 << 10;
    struct yd_log *log = world_open(world, &options, NULL);
    for (int i = 0; i < 200; i++) {
        append(log, 1, 3000);
        assert_int_equal(yd_log_flush(log), 0);
        if (i % 20 == 0) assert_int_equal(yd_log_maintain(log), 0);
    }
    assert_int_equal(yd_log_maintain(log), 0);
    struct yd_log_position position;
    yd_log_position(log, &position);
    assert_true(position.first > 100 && position.bytes <= (200 << 10));
    assert_int_equal(read_from_oldest(log, NULL), 200 - position.first);
    assert_int_equal(world_close(world, log), 0);
}

static void a_folder_is_read_without_its_writer_live_and_stopped(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    append(log, 10, 100);
    assert_int_equal(yd_log_flush(log), 0);
    append(log, 10, 100);
    struct yd_log_start start = {.from = YD_FROM_OLDEST};
    struct yd_log_reader *reader;
    assert_int_equal(yd_log_reader_open_dir(world->fs, world->dir, &start, &reader, NULL), 0);
    assert_int_equal(read_all(reader, NULL), 10);
    assert_int_equal(yd_log_flush(log), 0);
    assert_int_equal(read_all(reader, NULL), 10);
    assert_int_equal(world_close(world, log), 0);
    assert_int_equal(read_all(reader, NULL), 0);
    yd_log_reader_close(reader);
    assert_int_equal(yd_log_reader_open_dir(world->fs, world->dir, &start, &reader, NULL), 0);
    assert_int_equal(read_all(reader, NULL), 20);
    yd_log_reader_close(reader);
    struct yd_log_options options = world_options(world);
    options.readonly = true;
    log = world_open(world, &options, NULL);
    assert_int_equal(read_from_oldest(log, NULL), 20);
    struct yd_batch *batch = make_batch(0, 1, 0, 0);
    struct yd_log_appended appended;
    assert_int_equal(yd_log_append(log, batch, -1, UINT64_MAX, &appended), YD_EPERM);
    yd_batch_unref(batch);
    assert_int_equal(world_close(world, log), 0);
    struct yd_trail trail = {0};
    assert_int_equal(yd_log_reader_open_dir(world->fs, "/nonexistent", &start, &reader, &trail), YD_ENOENT);
}

static void bad_options_are_refused(void **state)
{
    struct world *world = *state;
    struct yd_log *log;
    struct yd_log_options options = world_options(world);
    options.stream = "";
    assert_int_equal(yd_log_open(&options, &log, NULL, NULL), YD_EINVAL);
    options = world_options(world);
    options.segment_size_min = 1000;
    assert_int_equal(yd_log_open(&options, &log, NULL, NULL), YD_EINVAL);
    options = world_options(world);
    options.dir = NULL;
    assert_int_equal(yd_log_open(&options, &log, NULL, NULL), YD_EINVAL);
}

#define WORLD(test) cmocka_unit_test_setup_teardown(test, world_setup_linux, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(append_flush_and_read_give_the_same_records_in_order),
        WORLD(a_reader_sees_a_stream_up_to_its_level),
        WORLD(segments_roll_and_readers_cross_them_from_any_seqno),
        WORLD(memory_keeps_what_a_reader_has_yet_to_take_and_little_of_what_all_have),
        WORLD(a_batch_larger_than_a_segment_gets_a_segment_of_its_own),
        WORLD(finding_by_time_gives_the_first_batch_that_may_hold_it),
        WORLD(finding_by_time_also_looks_at_what_is_only_in_memory),
        WORLD(a_resent_range_is_written_once_also_after_a_restart),
        WORLD(a_producers_gap_and_a_stale_epoch_are_refused),
        WORLD(many_producers_survive_in_segment_heads_until_they_expire),
        WORLD(a_sole_producer_may_state_the_seqno),
        WORLD(a_full_queue_is_said_and_drains),
        WORLD(a_second_opening_is_refused_and_names_the_holder),
        WORLD(another_streams_folder_is_refused),
        WORLD(a_cursor_is_kept_never_ahead_of_durable),
        WORLD(retention_takes_whole_old_segments_but_not_what_a_cursor_holds),
        WORLD(retention_by_size_keeps_the_newest),
        WORLD(a_wall_clock_that_steps_back_loses_and_repeats_nothing),
        WORLD(a_wall_clock_that_steps_forward_retires_early_but_not_what_a_reader_needs),
        WORLD(a_wall_clock_that_steps_forward_ages_records_at_a_bounded_speed),
        WORLD(a_folder_is_read_without_its_writer_live_and_stopped),
        WORLD(bad_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
