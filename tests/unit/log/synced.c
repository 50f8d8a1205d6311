/* Each sync and each comparison that one of the other tests would not miss: what it alone stands for, over many
 * crashes. `tests/mutate/log.py` takes them out one at a time; here is who notices. */
#include "../sparse.h"
#include "log/internal.h"
#include "log_test.h"
#include "pump.h"

#define SEEDS YD_MAX(60 / UNIT_SPARSE, 12)

/* A disk of its own for each seed, the last one's log closed. */
static void new_disk(struct world *world, uint64_t seed)
{
    yd_sim_fs_destroy(world->fs);
    assert_int_equal(yd_sim_fs_create(seed, &world->fs), 0);
    yd_rng_init(&world->rng, 1);
}

static char *read_file(struct world *world, const char *path, size_t *ret_size)
{
    char *bytes;
    assert_int_equal(yd_fs_read_all(world->fs, path, (size_t)64 << 20, &bytes, ret_size), 0);
    return bytes;
}

static uint64_t latest_checkpoint(struct world *world)
{
    char path[300];
    size_t size;
    struct yd__checkpoint latest;
    bool sure;
    (void)snprintf(path, sizeof path, "%s/control", world->dir);
    char *bytes = read_file(world, path, &size);
    assert_int_equal(size, YD__CONTROL_SIZE);
    assert_int_equal(yd__control_latest((const void *)bytes, &latest, &sure), 0);
    free(bytes);
    return latest.number;
}

/* The page in the cache has a checkpoint that the device never got, and calls it clean. The next one overwrites the
 * slot that the device has: torn, there would be none but the one before. */
static void after_a_failed_checkpoint_the_device_never_goes_back(void **state)
{
    struct world *world = *state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        for (uint64_t calls = 0; calls < 40; calls += 2) {
            new_disk(world, seed);
            struct yd_log *log = world_open(world, NULL, NULL);
            append(log, 4, 100);
            assert_int_equal(yd_log_flush(log), 0);
            uint64_t known = latest_checkpoint(world);
            *yd_sim_fs_faults(world->fs) = (struct yd_sim_faults){.sync_fails = 1};
            assert_int_equal(world_close(world, log), YD_EREADONLY);
            *yd_sim_fs_faults(world->fs) = (struct yd_sim_faults){.tear = 2};
            yd_sim_fs_kill(world->fs);
            struct yd_log_options options = world_options(world);
            yd_sim_fs_cut_after(world->fs, calls);
            int error = yd_log_open(&options, &log, NULL, NULL);
            yd_sim_fs_crash(world->fs);
            if (!error) (void)yd_log_close(log);
            assert_true(latest_checkpoint(world) >= known);
            if (!error) break;
        }
}

/* Seen after a restart, the position may be acted upon: it stays, though the save itself had failed. */
static void a_cursor_that_was_seen_after_a_restart_stays(void **state)
{
    struct world *world = *state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        new_disk(world, seed);
        struct yd_log *log = world_open(world, NULL, NULL);
        struct yd_cursor cursor;
        append(log, 8, 100);
        assert_int_equal(yd_log_flush(log), 0);
        assert_int_equal(yd_log_cursor_save(log, "reader", 3), 0);
        yd_sim_fs_faults(world->fs)->write_back = 0;
        yd_sim_fs_faults(world->fs)->sync_dir_fails = 1;
        assert_int_not_equal(yd_log_cursor_save(log, "reader", 7), 0);
        yd_sim_fs_faults(world->fs)->sync_dir_fails = 0;
        yd_sim_fs_kill(world->fs);
        (void)world_close(world, log);
        log = world_open(world, NULL, NULL);
        assert_int_equal(yd_log_cursor_load(log, "reader", &cursor), 0);
        uint64_t seen = cursor.seqno;
        yd_sim_fs_crash(world->fs);
        (void)world_close(world, log);
        log = world_open(world, NULL, NULL);
        assert_int_equal(yd_log_cursor_load(log, "reader", &cursor), 0);
        assert_int_equal(cursor.seqno, seen);
        assert_int_equal(world_close(world, log), 0);
    }
}

static void a_removed_cursor_does_not_come_back(void **state)
{
    struct world *world = *state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        new_disk(world, seed);
        yd_sim_fs_faults(world->fs)->write_back = 0;
        struct yd_log *log = world_open(world, NULL, NULL);
        struct yd_cursor cursor;
        append(log, 8, 100);
        assert_int_equal(yd_log_flush(log), 0);
        assert_int_equal(yd_log_cursor_save(log, "reader", 3), 0);
        assert_int_equal(yd_log_cursor_remove(log, "reader"), 0);
        yd_sim_fs_crash(world->fs);
        (void)world_close(world, log);
        log = world_open(world, NULL, NULL);
        assert_int_equal(yd_log_cursor_load(log, "reader", &cursor), YD_ENOENT);
        assert_int_equal(world_close(world, log), 0);
    }
}

struct kept {
    struct world *world;
    char path[600];
    uint32_t count;
};

static int find_kept(void *arg, const char *name, enum yd_file_type node)
{
    struct kept *kept = arg;
    if (node != YD_NODE_FILE) return 0;
    kept->count++;
    (void)snprintf(kept->path, sizeof kept->path, "%s/quarantine/%s", kept->world->dir, name);
    return 0;
}

/* The tail was overwritten with zeros: the copy is all there is of it. */
static void what_was_cut_is_in_quarantine_after_a_crash_too(void **state)
{
    struct world *world = *state;
    uint32_t cut = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        new_disk(world, seed);
        yd_sim_fs_faults(world->fs)->write_back = 0;
        struct yd_log *log = world_open(world, NULL, NULL);
        append(log, 4, 100);
        assert_int_equal(yd_log_flush(log), 0);
        yd_sim_fs_ignore(world->fs, YD_SIM_SYNC_FILE, NULL);
        for (uint32_t i = 0; i < 10; i++) append(log, 4, 3000);
        assert_int_equal(yd_log_flush(log), 0);
        yd_sim_fs_crash(world->fs);
        yd_sim_fs_ignore(world->fs, 0, NULL);
        (void)world_close(world, log);
        char path[300], dir[300];
        size_t size, copy_size;
        segment_path(world, 0, ".ylog", path, sizeof path);
        char *before = read_file(world, path, &size);
        struct yd_log_recovery recovery;
        log = world_open(world, NULL, &recovery);
        yd_sim_fs_crash(world->fs); /* at once */
        (void)world_close(world, log);
        struct kept kept = {.world = world};
        (void)snprintf(dir, sizeof dir, "%s/quarantine", world->dir);
        int error = yd_fs_list(world->fs, dir, find_kept, &kept);
        if (recovery.torn_bytes > 0) {
            cut++;
            assert_int_equal(error, 0);
            assert_int_equal(kept.count, 1);
            char *copy = read_file(world, kept.path, &copy_size);
            assert_int_equal(copy_size, recovery.torn_bytes);
            const char *name = strrchr(kept.path, '/') + 1;
            uint64_t from = strtoull(name + 21, NULL, 10);
            assert_true(from + copy_size <= size);
            assert_memory_equal(copy, before + from, copy_size);
            free(copy);
        }
        free(before);
    }
    assert_true(cut > SEEDS / 2);
}

/* A frame whose place, seqno, checksums and log_id are right, and that followed another: one that a failed sync left on
 * the device, which the cache had as zeros while the tail was cut. */
static void a_frame_left_from_before_a_cut_is_not_taken_for_the_next(void **state)
{
    struct world *world = *state;
    char path[300], *stale = NULL;
    uint64_t frame = 0;
    for (int life = 0; life < 2; life++) {
        new_disk(world, 5);
        struct yd_log *log = world_open(world, NULL, NULL);
        for (uint64_t i = 0; i < 3; i++) {
            if (life == 1 && i == 2) break;
            /* The second batch differs, in its times alone. */
            int64_t time = life == 1 && i == 1 ? 77 : 0;
            struct yd_batch *batch = make_batch(i * 4, 4, 500, time);
            struct yd_log_appended appended;
            assert_int_equal(yd_log_append(log, batch, -1, UINT64_MAX, &appended), 0);
            frame = batch->header.size;
            yd_batch_unref(batch);
            assert_int_equal(yd_log_flush(log), 0);
        }
        yd_sim_fs_crash(world->fs);
        (void)world_close(world, log);
        segment_path(world, 0, ".ylog", path, sizeof path);
        if (life == 0) {
            size_t size;
            stale = read_file(world, path, &size);
        }
    }
    uint64_t offset = 4096 + 2 * frame;
    struct yd_file *file;
    assert_int_equal(yd_fs_open(world->fs, path, YD_OPEN_READ | YD_OPEN_WRITE, &file), 0);
    assert_int_equal(yd_file_write(file, stale + offset, frame, offset), 0);
    yd_file_close(file);
    free(stale);
    struct yd_log_recovery recovery;
    struct yd_log *log = world_open(world, NULL, &recovery);
    assert_int_equal(recovery.cut_to, 8);
    assert_true(recovery.torn_bytes > 0);
    assert_int_equal(read_from_oldest(log, NULL), 8);
    assert_int_equal(world_close(world, log), 0);
}

static int index_fault(struct yd_file *file, uint64_t log_id)
{
    struct yd__footer footer;
    struct yd__index_entry *entries = NULL;
    int error = yd__footer_read(file, log_id, &footer, &entries);
    if (!error) free(entries);
    return error;
}

/* An index with a wrong bit is none: a place or a summary of names in it would let readers pass by what is there. */
static void every_flipped_bit_of_a_sealed_index_is_found(void **state)
{
    struct world *world = *state;
    struct yd_log_options options = world_options(world);
    options.segment_size_min = options.segment_size_max = 64 << 10;
    options.memory_bytes_max = 1;
    struct yd_log *log = world_open(world, &options, NULL);
    for (int i = 0; i < 60; i++) append(log, 4, 3000);
    assert_int_equal(yd_log_flush(log), 0);
    assert_int_equal(yd_log_maintain(log), 0);
    struct yd_log_position position;
    yd_log_position(log, &position);
    char path[300];
    size_t size;
    segment_path(world, 0, ".ylog", path, sizeof path);
    char *bytes = read_file(world, path, &size);
    struct yd__footer footer;
    memcpy(&footer, bytes + size - sizeof footer, sizeof footer);
    assert_int_equal(footer.magic, YD__FOOTER_MAGIC);
    assert_true(footer.index_count > 0);
    struct yd_file *file;
    assert_int_equal(yd_fs_open(world->fs, path, YD_OPEN_READ | YD_OPEN_WRITE, &file), 0);
    assert_int_equal(index_fault(file, position.log_id), 0);
    for (uint64_t at = footer.data_end; at < size - sizeof footer; at++) {
        char wrong = (char)(bytes[at] ^ (1 << at % 8));
        assert_int_equal(yd_file_write(file, &wrong, 1, at), 0);
        assert_int_equal(index_fault(file, position.log_id), YD_ENOENT);
        /* Names are skipped by summaries: here is one that says "nothing of the kind". */
        if (at % 32 >= 24) {
            struct yd_log_start start = {.from = YD_FROM_OLDEST, .names = "mark", .copy = true};
            struct yd_log_reader *reader;
            assert_int_equal(yd_log_reader_open(log, &start, &reader), 0);
            uint64_t missing, records = read_all(reader, &missing);
            assert_int_equal(records, 240);
            assert_int_equal(missing, 0);
            yd_log_reader_close(reader);
        }
        assert_int_equal(yd_file_write(file, bytes + at, 1, at), 0);
    }
    yd_file_close(file);
    free(bytes);
    assert_int_equal(world_close(world, log), 0);
}

/* Fills the first segment up to where its footer will reach beyond it, so that nothing is cut off behind, and begins
 * the next. */
static void fill_to_the_brim(struct yd_log *log)
{
    append(log, 4, 3000);
    assert_int_equal(yd_log_flush(log), 0);
    struct yd__segment *first = log->segments[0];
    for (uint64_t left; (left = first->file_size - first->data_end) >= 128;) {
        size_t fill = left > 8000 ? 3000 : 1;
        struct yd_batch *like;
        for (; left <= 8000; fill += 16) {
            like = make_batch(0, 4, fill, 0);
            uint32_t size = like->header.size;
            yd_batch_unref(like);
            if (size + 64 >= left) break;
        }
        append(log, 4, fill);
        assert_int_equal(yd_log_flush(log), 0);
        assert_int_equal(log->segment_count, 1);
    }
    append(log, 4, 3000);
    assert_int_equal(yd_log_flush(log), 0);
    assert_int_equal(log->segment_count, 2);
}

/* Of the first segment. */
static bool has_footer(struct world *world, const char *dir, uint64_t log_id)
{
    char path[300];
    struct yd_file *file;
    struct yd__footer footer;
    (void)snprintf(path, sizeof path, "%s/%020d.ylog", dir, 0);
    assert_int_equal(yd_fs_open(world->fs, path, YD_OPEN_READ, &file), 0);
    bool whole = yd__footer_read(file, log_id, &footer, NULL) == 0;
    if (whole) assert_int_equal(index_fault(file, log_id), 0);
    yd_file_close(file);
    return whole;
}

/* Opening believes a footer without reading its index, and followers are sent both. */
static void a_footer_that_is_whole_has_its_index(void **state)
{
    struct world *world = *state;
    uint32_t sealed = 0, not_sealed = 0;
    for (uint64_t seed = 1; seed <= 4 * SEEDS; seed++) {
        new_disk(world, seed);
        struct yd_log_options options = world_options(world);
        options.segment_size_min = options.segment_size_max = 64 << 10;
        struct yd_log *log = world_open(world, &options, NULL);
        fill_to_the_brim(log);
        struct yd_log_position position;
        yd_log_position(log, &position);
        *yd_sim_fs_faults(world->fs) = (struct yd_sim_faults){.tear = 8};
        yd_sim_fs_cut_after(world->fs, 3 + seed % 8);
        (void)yd_log_maintain(log);
        yd_sim_fs_crash(world->fs);
        (void)world_close(world, log);
        *(has_footer(world, world->dir, position.log_id) ? &sealed : &not_sealed) += 1;
    }
    assert_true(sealed > SEEDS && not_sealed > SEEDS / 2);
}

/* The same of a follower's, which is cut to where it ends after it was written. */
static void a_followers_footer_that_is_whole_has_its_index(void **state)
{
    struct world *world = *state;
    uint32_t sealed = 0, not_sealed = 0;
    for (uint64_t seed = 1; seed <= 6 * SEEDS; seed++) {
        new_disk(world, seed);
        struct yd_log_options options = world_options(world);
        options.segment_size_min = options.segment_size_max = 64 << 10;
        options.dir = "d/leader";
        struct yd_log *leader = world_open(world, &options, NULL);
        options.dir = "d/follower";
        options.follower = true;
        struct yd_log *follower = world_open(world, &options, NULL);
        fill_to_the_brim(leader);
        assert_int_equal(yd_log_maintain(leader), 0);
        struct pump pump;
        uint64_t common, log_id = leader->log_id;
        assert_int_equal(pump_open(&pump, leader, follower, "f", &common), 0);
        for (;;) {
            const void *bytes;
            assert_int_equal(
                yd_log_source_next(pump.source, &pump.part, &pump.base, &pump.segment_size, &bytes, &pump.size), 0);
            pump.bytes = bytes;
            pump.at = 0;
            if (pump.part == YD_LOG_SEAL) break;
            assert_int_equal(pump_give(&pump), 0);
        }
        assert_int_equal(yd_log_flush(follower), 0);
        *yd_sim_fs_faults(world->fs) = (struct yd_sim_faults){.tear = 8};
        yd_sim_fs_cut_after(world->fs, 3 + seed % 4);
        (void)pump_give(&pump);
        yd_sim_fs_crash(world->fs);
        pump_close(&pump);
        (void)world_close(world, leader);
        (void)world_close(world, follower);
        *(has_footer(world, "d/follower", log_id) ? &sealed : &not_sealed) += 1;
    }
    assert_true(sealed > SEEDS && not_sealed > SEEDS);
}

/* The next segment had its name, and nothing in it, when the power went; what was to fill the one before it was lost.
 * The stream goes on in that one, past where the next began: the name must not come back then. */
static void an_empty_segment_dropped_behind_the_end_does_not_come_back(void **state)
{
    struct world *world = *state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        new_disk(world, seed);
        yd_sim_fs_faults(world->fs)->write_back = 0;
        struct yd_log *log = world_open(world, NULL, NULL);
        append(log, 4, 100);
        assert_int_equal(yd_log_flush(log), 0);
        yd_sim_fs_crash(world->fs);
        (void)world_close(world, log);
        char path[300];
        struct yd_file *file;
        segment_path(world, 10, ".ylog", path, sizeof path);
        assert_int_equal(yd_fs_open(world->fs, path, YD_OPEN_WRITE | YD_OPEN_CREATE, &file), 0);
        assert_int_equal(yd_file_allocate(file, 0, 64 << 10), 0);
        assert_int_equal(yd_file_sync(file), 0);
        yd_file_close(file);
        assert_int_equal(yd_fs_sync_dir(world->fs, world->dir), 0);
        struct yd_log_recovery recovery;
        struct yd_stat now;
        log = world_open(world, NULL, &recovery);
        assert_int_equal(recovery.cut_to, 4);
        assert_int_equal(yd_fs_stat(world->fs, path, &now), YD_ENOENT);
        for (int i = 0; i < 5; i++) append(log, 4, 100);
        assert_int_equal(yd_log_flush(log), 0);
        yd_sim_fs_crash(world->fs);
        (void)world_close(world, log);
        log = world_open(world, NULL, &recovery);
        uint64_t missing;
        assert_int_equal(recovery.cut_to, 24);
        assert_int_equal(read_from_oldest(log, &missing), 24);
        assert_int_equal(missing, 0);
        assert_int_equal(world_close(world, log), 0);
    }
}

/* The same process number, begun at the same tick of another boot, is somebody else. */
static void a_writer_of_another_boot_is_not_alive(void **state)
{
    struct yd__control control = {.magic = YD__CONTROL_MAGIC, .state = YD__STATE_OPEN};
    (void)state;
    yd__writer_identity(&control.writer_pid, &control.writer_start, control.boot_id);
    assert_true(yd__writer_alive(&control));
    for (int i = 0; i < 16; i++) {
        control.boot_id[i] ^= 1;
        assert_false(yd__writer_alive(&control));
        control.boot_id[i] ^= 1;
    }
    control.writer_start++;
    assert_false(yd__writer_alive(&control));
    control.writer_start--;
    control.state = YD__STATE_CLOSED;
    assert_false(yd__writer_alive(&control));
}

#define WORLD(test) cmocka_unit_test_setup_teardown(test, world_setup_sim, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(after_a_failed_checkpoint_the_device_never_goes_back),
        WORLD(a_cursor_that_was_seen_after_a_restart_stays),
        WORLD(a_removed_cursor_does_not_come_back),
        WORLD(what_was_cut_is_in_quarantine_after_a_crash_too),
        WORLD(a_frame_left_from_before_a_cut_is_not_taken_for_the_next),
        WORLD(every_flipped_bit_of_a_sealed_index_is_found),
        WORLD(a_footer_that_is_whole_has_its_index),
        WORLD(a_followers_footer_that_is_whole_has_its_index),
        WORLD(an_empty_segment_dropped_behind_the_end_does_not_come_back),
        WORLD(a_writer_of_another_boot_is_not_alive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
