/* What opening does with what a crash, a failing device or rot left; on the simulated disk, one case each. */
#include "log_test.h"

/* Bytes of one small frame here: 128 + 4 × 24 + names. */
static void crash_with_unsynced_tail(struct world *world, struct yd_log *log, uint32_t batches)
{
    yd_sim_fs_ignore(world->fs, YD_SIM_SYNC_FILE, NULL);
    for (uint32_t i = 0; i < batches; i++) append(log, 4, 3000);
    assert_int_equal(yd_log_flush(log), 0);
    yd_sim_fs_crash(world->fs);
    yd_sim_fs_ignore(world->fs, 0, NULL);
    (void)world_close(world, log);
}

static void recover_cuts_a_torn_tail_and_keeps_the_batches_before(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    for (int i = 0; i < 10; i++) append(log, 4, 100);
    assert_int_equal(yd_log_flush(log), 0);
    struct yd_log_position before;
    yd_log_position(log, &before);
    crash_with_unsynced_tail(world, log, 20);
    struct yd_log_recovery recovery;
    log = world_open(world, NULL, &recovery);
    assert_false(recovery.clean);
    assert_true(recovery.epoch_raised);
    assert_true(recovery.cut_to >= 40 && recovery.cut_to < 120);
    assert_true(recovery.torn_bytes > 0);
    struct yd_log_position after;
    yd_log_position(log, &after);
    assert_true(after.epoch > before.epoch);
    uint64_t missing;
    assert_int_equal(read_from_oldest(log, &missing), recovery.cut_to);
    assert_int_equal(missing, 0);
    append(log, 4, 100);
    assert_int_equal(yd_log_flush(log), 0);
    assert_int_equal(read_from_oldest(log, &missing), recovery.cut_to + 4);
    assert_int_equal(world_close(world, log), 0);
    assert_int_equal(yd_log_verify_dir(world->fs, world->dir, NULL, NULL, NULL), 0);
}

static int count_files(void *arg, const char *name, enum yd_file_type node)
{
    (void)name;
    (void)node;
    ++*(int *)arg;
    return 0;
}

static int quarantined(struct world *world)
{
    char path[300];
    int count = 0;
    (void)snprintf(path, sizeof path, "%s/quarantine", world->dir);
    int error = yd_fs_list(world->fs, path, count_files, &count);
    return error ? 0 : count;
}

static void a_torn_tail_is_kept_in_quarantine(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    append(log, 4, 100);
    assert_int_equal(yd_log_flush(log), 0);
    crash_with_unsynced_tail(world, log, 20);
    struct yd_log_recovery recovery;
    log = world_open(world, NULL, &recovery);
    assert_true(recovery.torn_bytes > 0);
    assert_true(quarantined(world) >= 1);
    assert_int_equal(world_close(world, log), 0);
}

static void a_reader_ahead_of_a_cut_is_moved_back_and_told(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    append(log, 10, 0);
    assert_int_equal(yd_log_flush(log), 0);
    append(log, 10, 0); /* in memory only */
    struct yd_log_position before;
    yd_log_position(log, &before);
    yd_sim_fs_crash(world->fs);
    (void)world_close(world, log);
    log = world_open(world, NULL, NULL);
    append(log, 10, 0);
    append(log, 10, 0);
    assert_int_equal(yd_log_flush(log), 0);
    /* It had read to 20 in the old epoch: 10 to 20 are other records now. */
    struct yd_log_start start = {.from = YD_FROM_SEQNO, .seqno = 20, .epoch = before.epoch};
    struct yd_log_reader *reader;
    assert_int_equal(yd_log_reader_open(log, &start, &reader), 0);
    struct yd_batch *batch;
    struct yd_log_gap gap;
    assert_int_equal(yd_log_reader_next(reader, &batch, &gap), YD_EGAP);
    assert_string_equal(gap.reason, "cut back");
    assert_int_equal(gap.from, 20);
    assert_int_equal(gap.to, 10);
    assert_int_equal(read_all(reader, NULL), 20);
    yd_log_reader_close(reader);
    start = (struct yd_log_start){.from = YD_FROM_SEQNO, .seqno = 99};
    assert_int_equal(yd_log_reader_open(log, &start, &reader), 0);
    assert_int_equal(yd_log_reader_next(reader, &batch, &gap), YD_EGAP);
    assert_int_equal(gap.to, 30);
    yd_log_reader_close(reader);
    assert_int_equal(world_close(world, log), 0);
}

/* The offset of batch `index` in the first segment, when all are alike. */
static uint64_t frame_offset(const struct yd_batch *like, uint32_t index)
{
    return 4096 + (uint64_t)like->header.size * index;
}

static void rot_below_the_checkpoint_costs_that_batch_alone(void **state)
{
    struct world *world = *state;
    struct yd_log_options options = world_options(world);
    options.memory_bytes_max = 1;
    struct yd_log *log = world_open(world, &options, NULL);
    for (int i = 0; i < 10; i++) append(log, 4, 500);
    struct yd_batch *like = make_batch(0, 4, 500, 0);
    assert_int_equal(yd_log_flush(log), 0);
    assert_int_equal(yd_log_maintain(log), 0);
    char path[300];
    segment_path(world, 0, ".ylog", path, sizeof path);
    assert_int_equal(yd_sim_fs_rot(world->fs, path, frame_offset(like, 3) + 40, 4, 1), 0);  /* a header */
    assert_int_equal(yd_sim_fs_rot(world->fs, path, frame_offset(like, 6) + 200, 4, 1), 0); /* a body */
    struct yd_log_reader *reader = open_reader(log, YD_FROM_OLDEST, 0, 0);
    struct yd_batch *batch;
    struct yd_log_gap gap;
    for (uint64_t at = 0; at < 40; at += 4) {
        int error = yd_log_reader_next(reader, &batch, &gap);
        if (at == 12 || at == 24) {
            assert_int_equal(error, YD_EGAP);
            assert_string_equal(gap.reason, "rotten");
            assert_int_equal(gap.from, at);
            assert_int_equal(gap.to, at + 4);
        } else {
            assert_int_equal(error, 0);
            assert_int_equal(batch->header.base_seqno, at);
            yd_batch_unref(batch);
        }
    }
    yd_log_reader_close(reader);
    assert_int_equal(yd_log_maintain(log), 0);
    assert_int_equal(quarantined(world), 2);
    yd_sim_fs_crash(world->fs);
    (void)world_close(world, log);
    struct yd_log_recovery recovery;
    log = world_open(world, &options, &recovery);
    assert_int_equal(recovery.torn_bytes, 0);
    uint64_t missing;
    assert_int_equal(read_from_oldest(log, &missing), 32);
    assert_int_equal(missing, 8);
    assert_int_equal(world_close(world, log), 0);
    yd_batch_unref(like);
}

static void rot_above_the_checkpoint_is_known_by_later_headers(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    for (int i = 0; i < 10; i++) {
        append(log, 4, 500);
        assert_int_equal(yd_log_flush(log), 0); /* each batch's header knows the one before as durable */
    }
    struct yd_batch *like = make_batch(0, 4, 500, 0);
    char path[300];
    segment_path(world, 0, ".ylog", path, sizeof path);
    assert_int_equal(yd_sim_fs_rot(world->fs, path, frame_offset(like, 4) + 40, 4, 1), 0);
    yd_sim_fs_crash(world->fs);
    (void)world_close(world, log);
    struct yd_log_recovery recovery;
    log = world_open(world, NULL, &recovery);
    assert_int_equal(recovery.rotten_batches, 1);
    assert_int_equal(recovery.torn_bytes, 0);
    assert_int_equal(recovery.cut_to, 40);
    uint64_t missing;
    assert_int_equal(read_from_oldest(log, &missing), 36);
    assert_int_equal(missing, 4);
    assert_int_equal(quarantined(world), 1);
    assert_int_equal(world_close(world, log), 0);
    yd_batch_unref(like);
}

static void a_failed_sync_is_final_until_opened_again(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    append(log, 4, 0);
    assert_int_equal(yd_log_flush(log), 0);
    append(log, 4, 0);
    yd_sim_fs_faults(world->fs)->sync_fails = 1;
    assert_int_equal(yd_log_flush(log), YD_EREADONLY);
    yd_sim_fs_faults(world->fs)->sync_fails = 0;
    assert_int_equal(yd_log_flush(log), YD_EREADONLY);
    assert_int_equal(yd_log_maintain(log), YD_EREADONLY);
    assert_int_equal(yd_log_wait(log, 8, YD_ACK_DURABLE), YD_EREADONLY);
    struct yd_log_position position;
    yd_log_position(log, &position);
    assert_int_equal(position.failed, YD_EIO);
    assert_int_equal(position.durable, 4);
    struct yd_batch *batch = make_batch(0, 1, 0, 0);
    struct yd_log_appended appended;
    assert_int_equal(yd_log_append(log, batch, -1, UINT64_MAX, &appended), YD_EREADONLY);
    yd_batch_unref(batch);
    assert_int_equal(read_from_oldest(log, NULL), 4); /* readers go on */
    assert_int_equal(world_close(world, log), YD_EREADONLY);
    log = world_open(world, NULL, NULL);
    append(log, 4, 0);
    assert_int_equal(yd_log_flush(log), 0);
    assert_int_equal(world_close(world, log), 0);
}

static void a_full_disk_is_said_and_retried_and_nothing_is_lost(void **state)
{
    struct world *world = *state;
    struct yd_log_options options = world_options(world);
    options.segment_size_min = options.segment_size_max = 64 << 10;
    options.queue_bytes_max = 100 << 10;
    struct yd_log *log = world_open(world, &options, NULL);
    append(log, 4, 0);
    assert_int_equal(yd_log_flush(log), 0);
    yd_sim_fs_capacity(world->fs, 1);
    uint64_t next = 4;
    struct yd_batch *batch = make_batch(0, 1, 3000, 0);
    struct yd_log_appended appended = {.next = next};
    int error = 0;
    while ((error = yd_log_append(log, batch, -1, UINT64_MAX, &appended)) == 0)
        if (appended.next % 8 == 0) (void)yd_log_flush(log);
    assert_int_equal(error, YD_EFULL);
    assert_int_equal(yd_log_flush(log), YD_ENOSPC);
    struct yd_log_position position;
    yd_log_position(log, &position);
    assert_true(position.no_space);
    assert_int_equal(position.failed, 0);
    assert_int_equal(read_from_oldest(log, NULL), position.durable);
    yd_sim_fs_capacity(world->fs, UINT64_C(1) << 40);
    while (yd_log_flush(log) == 0 && position.durable < appended.next) yd_log_position(log, &position);
    yd_log_position(log, &position);
    assert_false(position.no_space);
    assert_int_equal(position.durable, position.memory);
    assert_int_equal(read_from_oldest(log, NULL), position.memory);
    yd_batch_unref(batch);
    assert_int_equal(world_close(world, log), 0);
}

static void a_deleted_or_garbled_index_is_rebuilt(void **state)
{
    struct world *world = *state;
    for (int how = 0; how < 3; how++) {
        struct yd_log_options options = world_options(world);
        options.memory_bytes_max = 1;
        struct yd_log *log = world_open(world, &options, NULL);
        struct yd_log_position position;
        for (int i = 0; i < 30; i++) append(log, 4, 10000);
        struct yd_batch *batch = with_producer(make_batch(0, 1, 0, 0), 77, 1, 5 + (uint64_t)how);
        struct yd_log_appended appended;
        assert_int_equal(yd_log_append(log, batch, -1, UINT64_MAX, &appended), 0);
        yd_batch_unref(batch);
        assert_int_equal(world_close(world, log), 0);
        char path[300];
        segment_path(world, 0, ".yidx", path, sizeof path);
        if (how == 0) assert_int_equal(yd_fs_unlink(world->fs, path), 0);
        if (how == 1) assert_int_equal(yd_sim_fs_rot(world->fs, path, 0, 300, 5), 0);
        log = world_open(world, &options, NULL);
        yd_log_position(log, &position);
        uint32_t epoch;
        uint64_t seq;
        assert_int_equal(yd_log_producer(log, 77, &epoch, &seq), 0);
        assert_int_equal(seq, 5 + how);
        struct yd_log_reader *reader = open_reader(log, YD_FROM_SEQNO, position.memory - 50, 0);
        uint64_t records = 0;
        struct yd_batch *read;
        while (yd_log_reader_next(reader, &read, NULL) == 0) {
            records += read->header.count;
            yd_batch_unref(read);
        }
        assert_true(records >= 50 && records < 54);
        yd_log_reader_close(reader);
        assert_int_equal(world_close(world, log), 0);
    }
}

static void a_garbled_footer_is_found_by_verify_and_rebuilt_by_opening(void **state)
{
    struct world *world = *state;
    struct yd_log_options options = world_options(world);
    options.segment_size_min = options.segment_size_max = 64 << 10;
    options.memory_bytes_max = 1;
    struct yd_log *log = world_open(world, &options, NULL);
    for (int i = 0; i < 100; i++) append(log, 4, 3000);
    assert_int_equal(yd_log_flush(log), 0);
    assert_int_equal(yd_log_maintain(log), 0);
    assert_int_equal(world_close(world, log), 0);
    char path[300];
    segment_path(world, 0, ".ylog", path, sizeof path);
    struct yd_stat now;
    assert_int_equal(yd_fs_stat(world->fs, path, &now), 0);
    assert_int_equal(yd_sim_fs_rot(world->fs, path, now.size - 200, 4, 1), 0);
    struct yd_log_verify_report report;
    assert_int_equal(yd_log_verify_dir(world->fs, world->dir, &report, NULL, NULL), YD_ECORRUPT);
    assert_int_equal(report.bad_batches, 0);
    log = world_open(world, &options, NULL);
    uint64_t missing;
    assert_int_equal(read_from_oldest(log, &missing), 400);
    assert_int_equal(missing, 0);
    assert_int_equal(world_close(world, log), 0);
    assert_int_equal(yd_log_verify_dir(world->fs, world->dir, NULL, NULL, NULL), 0);
}

static void a_lost_control_page_is_survived(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    struct yd_log_position before, after;
    for (int i = 0; i < 10; i++) append(log, 4, 500);
    assert_int_equal(yd_log_flush(log), 0);
    yd_log_position(log, &before);
    assert_int_equal(world_close(world, log), 0);
    char path[300];
    (void)snprintf(path, sizeof path, "%s/control", world->dir);
    assert_int_equal(yd_fs_unlink(world->fs, path), 0);
    struct yd_log_recovery recovery;
    log = world_open(world, NULL, &recovery);
    yd_log_position(log, &after);
    assert_int_equal(after.log_id, before.log_id);
    assert_true(after.epoch > before.epoch);
    assert_int_equal(recovery.cut_to, 40);
    assert_int_equal(read_from_oldest(log, NULL), 40);
    assert_int_equal(world_close(world, log), 0);
}

static void a_tail_that_cannot_be_read_is_not_cut(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    for (int i = 0; i < 10; i++) append(log, 4, 2000);
    assert_int_equal(yd_log_flush(log), 0);
    yd_sim_fs_crash(world->fs);
    (void)world_close(world, log);
    char path[300];
    segment_path(world, 0, ".ylog", path, sizeof path);
    assert_int_equal(yd_sim_fs_bad(world->fs, path, 4096 + 8192, 4096), 0);
    struct yd_log_options options = world_options(world);
    struct yd_trail trail = {0};
    assert_int_equal(yd_log_open(&options, &log, NULL, &trail), YD_EIO);
    assert_int_equal(yd_sim_fs_bad(world->fs, path, 0, 0), 0);
    log = world_open(world, NULL, NULL);
    assert_int_equal(read_from_oldest(log, NULL), 40);
    assert_int_equal(world_close(world, log), 0);
}

static void a_bad_sector_in_old_data_is_a_gap_and_not_an_end(void **state)
{
    struct world *world = *state;
    struct yd_log_options options = world_options(world);
    options.memory_bytes_max = 1;
    struct yd_log *log = world_open(world, &options, NULL);
    for (int i = 0; i < 40; i++) append(log, 4, 2000);
    assert_int_equal(yd_log_flush(log), 0);
    assert_int_equal(yd_log_maintain(log), 0);
    char path[300];
    segment_path(world, 0, ".ylog", path, sizeof path);
    assert_int_equal(yd_sim_fs_bad(world->fs, path, 4096 + 8192, 4096), 0);
    uint64_t missing, records = read_from_oldest(log, &missing);
    assert_int_equal(records + missing, 160);
    assert_true(missing > 0 && missing <= 16);
    assert_int_equal(world_close(world, log), 0);
}

static void a_cut_recovery_is_recovered(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    for (int i = 0; i < 10; i++) append(log, 4, 100);
    assert_int_equal(yd_log_flush(log), 0);
    crash_with_unsynced_tail(world, log, 20);
    struct yd_log_options options = world_options(world);
    struct yd_log_recovery recovery;
    int error;
    uint64_t calls = 0;
    do { /* each time a call later */
        yd_sim_fs_cut_after(world->fs, calls++);
        error = yd_log_open(&options, &log, &recovery, NULL);
        if (error) yd_sim_fs_crash(world->fs);
        assert_true(calls < 1000);
    } while (error);
    world->opened++;
    yd_sim_fs_cut_after(world->fs, UINT64_MAX);
    assert_true(recovery.cut_to >= 40);
    uint64_t missing;
    assert_int_equal(read_from_oldest(log, &missing), recovery.cut_to);
    assert_int_equal(missing, 0);
    assert_int_equal(world_close(world, log), 0);
}

static void an_empty_segment_too_small_for_a_batch_is_replaced(void **state)
{
    struct world *world = *state;
    struct yd_log_options options = world_options(world);
    options.segment_size_min = options.segment_size_max = 8192;
    options.memory_bytes_max = 1;
    struct yd_log *log = world_open(world, &options, NULL);
    append(log, 1, 0);
    yd_sim_fs_faults(world->fs)->sync_fails = 1; /* its first batch is lost, its name and head stay */
    (void)yd_log_flush(log);
    yd_sim_fs_faults(world->fs)->sync_fails = 0;
    yd_sim_fs_crash(world->fs);
    (void)world_close(world, log);
    log = world_open(world, &options, NULL);
    struct yd_log_position position;
    yd_log_position(log, &position);
    uint64_t first = append(log, 2, 20000);
    assert_int_equal(first, position.memory);
    for (int i = 0; i < 5; i++) append(log, 2, 20000);
    assert_int_equal(yd_log_flush(log), 0);
    assert_int_equal(yd_log_maintain(log), 0);
    uint64_t missing;
    assert_int_equal(read_from_oldest(log, &missing), first + 12);
    assert_int_equal(missing, 0);
    assert_int_equal(world_close(world, log), 0);
}

static void an_unknown_version_is_refused_by_name(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    append(log, 4, 100);
    assert_int_equal(world_close(world, log), 0);
    char path[300];
    segment_path(world, 0, ".ylog", path, sizeof path);
    struct yd_file *file;
    assert_int_equal(yd_fs_open(world->fs, path, YD_OPEN_READ | YD_OPEN_WRITE, &file), 0);
    char head[4096];
    size_t have;
    assert_int_equal(yd_file_read(file, head, sizeof head, 0, &have), 0);
    head[4] = 9;
    memset(head + 8, 0, 4);
    uint32_t crc = yd_crc32c(0, head, sizeof head);
    memcpy(head + 8, &crc, 4);
    assert_int_equal(yd_file_write(file, head, sizeof head, 0), 0);
    yd_file_close(file);
    struct yd_log_options options = world_options(world);
    struct yd_trail trail = {0};
    assert_int_equal(yd_log_open(&options, &log, NULL, &trail), YD_EVERSION);
    assert_non_null(strstr(yd_trail_text(&trail), "version"));
}

#define WORLD(test) cmocka_unit_test_setup_teardown(test, world_setup_sim, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(recover_cuts_a_torn_tail_and_keeps_the_batches_before),
        WORLD(a_torn_tail_is_kept_in_quarantine),
        WORLD(a_reader_ahead_of_a_cut_is_moved_back_and_told),
        WORLD(rot_below_the_checkpoint_costs_that_batch_alone),
        WORLD(rot_above_the_checkpoint_is_known_by_later_headers),
        WORLD(a_failed_sync_is_final_until_opened_again),
        WORLD(a_full_disk_is_said_and_retried_and_nothing_is_lost),
        WORLD(a_deleted_or_garbled_index_is_rebuilt),
        WORLD(a_garbled_footer_is_found_by_verify_and_rebuilt_by_opening),
        WORLD(a_lost_control_page_is_survived),
        WORLD(a_tail_that_cannot_be_read_is_not_cut),
        WORLD(a_bad_sector_in_old_data_is_a_gap_and_not_an_end),
        WORLD(a_cut_recovery_is_recovered),
        WORLD(an_empty_segment_too_small_for_a_batch_is_replaced),
        WORLD(an_unknown_version_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
