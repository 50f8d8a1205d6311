/* Mending: what was damaged is back byte for byte, what was good was not touched, what is lost is told. */
#include "log_test.h"

#include "log/footer_format.h"
#include "log/internal.h"
#include "log/mend.h"
#include "log/segment_format.h"

#define BATCHES 12
#define RECORDS 3

static void copy_file(struct yd_fs *fs, const char *from, const char *to)
{
    char *data;
    size_t size;
    struct yd_file *file;
    assert_int_equal(yd_fs_read_all(fs, from, SIZE_MAX / 2, &data, &size), 0);
    assert_int_equal(yd_fs_open(fs, to, YD_OPEN_WRITE | YD_OPEN_CREATE | YD_OPEN_TRUNCATE, &file), 0);
    assert_int_equal(yd_file_write(file, data, size, 0), 0);
    assert_int_equal(yd_file_sync(file), 0);
    yd_file_close(file);
    free(data);
}

struct copying {
    struct yd_fs *fs;
    const char *from, *to;
    uint32_t segments;
};

static int copy_visit(void *arg, const char *name, enum yd_file_type node)
{
    struct copying *copying = arg;
    char from[512], to[512];
    if (node != YD_NODE_FILE) return 0;
    (void)snprintf(from, sizeof from, "%s/%s", copying->from, name);
    (void)snprintf(to, sizeof to, "%s/%s", copying->to, name);
    copy_file(copying->fs, from, to);
    copying->segments += strstr(name, ".ylog") != NULL;
    return 0;
}

static uint32_t copy_dir(struct yd_fs *fs, const char *from, const char *to)
{
    struct copying copying = {fs, from, to, 0};
    assert_int_equal(yd_fs_make_dirs(fs, to), 0);
    assert_int_equal(yd_fs_list(fs, from, copy_visit, &copying), 0);
    assert_int_equal(yd_fs_sync_dir(fs, to), 0);
    return copying.segments;
}

static void assert_same_file(struct yd_fs *fs, const char *one, const char *other)
{
    char *a, *b;
    size_t size_a, size_b;
    assert_int_equal(yd_fs_read_all(fs, one, SIZE_MAX / 2, &a, &size_a), 0);
    assert_int_equal(yd_fs_read_all(fs, other, SIZE_MAX / 2, &b, &size_b), 0);
    assert_int_equal(size_a, size_b);
    assert_memory_equal(a, b, size_a);
    free(a);
    free(b);
}

/* Several sealed segments and the active one, closed in order; and a copy of it all. */
static void make_stream(struct world *world, char *copy, size_t size, uint64_t *ret_size)
{
    struct yd_log_options options = world_options(world);
    options.segment_size_min = options.segment_size_max = 16384;
    struct yd_log *log = world_open(world, &options, NULL);
    for (int i = 0; i < BATCHES; i++) {
        append(log, RECORDS, 3000);
        assert_int_equal(yd_log_flush(log), 0);
        assert_int_equal(yd_log_maintain(log), 0);
    }
    assert_int_equal(world_close(world, log), 0);
    (void)snprintf(copy, size, "%s-copy", world->dir);
    assert_true(copy_dir(world->fs, world->dir, copy) >= 2);
    char path[300];
    segment_path(world, 0, ".ylog", path, sizeof path);
    struct yd_stat now;
    assert_int_equal(yd_fs_stat(world->fs, path, &now), 0);
    *ret_size = now.size;
}

static void flip(struct yd_fs *fs, const char *path, uint64_t offset, unsigned bit)
{
    struct yd_file *file;
    size_t have;
    char byte;
    assert_int_equal(yd_fs_open(fs, path, YD_OPEN_READ | YD_OPEN_WRITE, &file), 0);
    assert_int_equal(yd_file_read(file, &byte, 1, offset, &have), 0);
    byte = (char)(byte ^ 1 << bit);
    assert_int_equal(yd_file_write(file, &byte, 1, offset), 0);
    yd_file_close(file);
}

static int repair(struct world *world, const char *from, bool dry, struct yd_log_repair_report *ret)
{
    struct yd_log_repair how = {.fs = world->fs, .dir = world->dir, .from_dir = from, .dry_run = dry};
    struct yd_trail trail = {0};
    int error = yd_log_repair_dir(&how, ret, &trail);
    if (error && error != YD_ECORRUPT) print_message("# %s\n", yd_trail_text(&trail));
    return error;
}

static void every_flipped_byte_of_a_sealed_segment_comes_back_from_a_copy(void **state)
{
    struct world *world = *state;
    char copy[300], path[300], good[400];
    uint64_t size;
    make_stream(world, copy, sizeof copy, &size);
    segment_path(world, 0, ".ylog", path, sizeof path);
    (void)snprintf(good, sizeof good, "%s/%020d.ylog", copy, 0);
    for (uint64_t offset = 0; offset < size; offset += offset % 4096 < 500 || offset + 400 > size ? 7 : 61) {
        flip(world->fs, path, offset, (unsigned)(offset % 8));
        struct yd_log_repair_report report;
        int error = repair(world, copy, false, &report);
        if (error) print_message("# offset %llu\n", (unsigned long long)offset);
        assert_int_equal(error, 0);
        assert_int_equal(report.mended, 1);
        assert_same_file(world->fs, path, good);
    }
    assert_int_equal(yd_log_verify_dir(world->fs, world->dir, NULL, NULL, NULL), 0);
    struct yd_log_repair_report report;
    assert_int_equal(repair(world, copy, false, &report), 0);
    assert_int_equal(report.mended + report.lost + report.later, 0);
}

static void a_dry_run_writes_nothing_and_says_the_same(void **state)
{
    struct world *world = *state;
    char copy[300], path[300], before[400];
    uint64_t size;
    make_stream(world, copy, sizeof copy, &size);
    segment_path(world, 0, ".ylog", path, sizeof path);
    flip(world->fs, path, 5000, 3);
    (void)snprintf(before, sizeof before, "%s-damaged", copy);
    copy_file(world->fs, path, before);
    struct yd_log_repair_report report;
    assert_int_equal(repair(world, copy, true, &report), 0);
    assert_int_equal(report.mended, 1);
    assert_same_file(world->fs, path, before);
}

static void what_no_copy_has_is_told_and_left_as_it_is(void **state)
{
    struct world *world = *state;
    char copy[300], path[300], other[400], before[400];
    uint64_t size;
    make_stream(world, copy, sizeof copy, &size);
    segment_path(world, 0, ".ylog", path, sizeof path);
    (void)snprintf(other, sizeof other, "%s/%020d.ylog", copy, 0);
    (void)snprintf(before, sizeof before, "%s-damaged", copy);
    flip(world->fs, path, 5000, 3);
    flip(world->fs, other, 5001, 3); /* the same batch, in both */
    copy_file(world->fs, path, before);
    struct yd_log_repair_report report;
    assert_int_equal(repair(world, copy, false, &report), YD_ECORRUPT);
    assert_int_equal(report.lost, 1);
    assert_int_equal(report.lost_records, RECORDS);
    assert_int_equal(report.mended, 0);
    assert_same_file(world->fs, path, before);
    assert_int_equal(repair(world, NULL, false, &report), YD_ECORRUPT);
    assert_same_file(world->fs, path, before);
}

static void a_copy_of_another_history_is_not_taken(void **state)
{
    struct world *world = *state;
    char copy[300], path[300], before[400];
    uint64_t size;
    make_stream(world, copy, sizeof copy, &size);
    segment_path(world, 0, ".ylog", path, sizeof path);
    char dir[256];
    memcpy(dir, world->dir, sizeof dir);
    (void)snprintf(world->dir, sizeof world->dir, "d/other/0");
    make_stream(world, copy, sizeof copy, &size); /* another log_id */
    memcpy(world->dir, dir, sizeof dir);
    flip(world->fs, path, 5000, 3);
    (void)snprintf(before, sizeof before, "%s-damaged", copy);
    copy_file(world->fs, path, before);
    struct yd_log_repair_report report;
    assert_int_equal(repair(world, copy, false, &report), YD_ECORRUPT);
    assert_int_equal(report.mended, 0);
    assert_same_file(world->fs, path, before);
}

/* Of one stream two copies went on, the other one with larger segments: its second reaches over our third. */
static void a_copy_that_reaches_beyond_the_next_segment_is_not_taken(void **state)
{
    struct world *world = *state;
    char dir[256], path[300], theirs[300];
    const char other[] = "d/larger/0";
    struct yd_log_options options = world_options(world);
    options.segment_size_min = options.segment_size_max = 16384;
    struct yd_log *log = world_open(world, &options, NULL);
    append(log, RECORDS, 3000);
    assert_int_equal(yd_log_flush(log), 0);
    assert_int_equal(world_close(world, log), 0);
    (void)copy_dir(world->fs, world->dir, other);
    memcpy(dir, world->dir, sizeof dir);
    for (int larger = 0; larger < 2; larger++) {
        if (larger) (void)snprintf(world->dir, sizeof world->dir, "%s", other);
        options = world_options(world);
        options.segment_size_min = options.segment_size_max = larger ? 65536 : 16384;
        log = world_open(world, &options, NULL);
        for (int i = 0; i < 3 * BATCHES; i++) {
            append(log, RECORDS, 3000);
            assert_int_equal(yd_log_flush(log), 0);
            assert_int_equal(yd_log_maintain(log), 0);
        }
        assert_int_equal(world_close(world, log), 0);
    }
    memcpy(world->dir, dir, sizeof dir);
    uint64_t *bases, log_id;
    uint32_t count;
    struct yd_log_stat stat;
    struct yd__footer footer;
    struct yd_file *file;
    assert_int_equal(yd_log_stat_dir(world->fs, world->dir, &stat, NULL), 0);
    log_id = stat.log_id;
    assert_int_equal(yd__list_segments(world->fs, world->dir, &bases, &count), 0);
    assert_true(count >= 4 && bases[0] == 0);
    (void)snprintf(theirs, sizeof theirs, "%s/%020llu.ylog", other, (unsigned long long)bases[1]);
    assert_int_equal(yd_fs_open(world->fs, theirs, YD_OPEN_READ, &file), 0);
    assert_int_equal(yd__footer_read(file, log_id, &footer, NULL), 0);
    yd_file_close(file);
    assert_true(footer.next_seqno > bases[2]); /* it is what it is to be */
    /* Ours is lost, and of the next one the head, so that nothing but where it begins speaks against theirs. */
    segment_path(world, bases[2], ".ylog", path, sizeof path);
    for (uint64_t at = 0; at < YD__SEGMENT_ALIGN + 256; at += 16) flip(world->fs, path, at, 2);
    segment_path(world, bases[1], ".ylog", path, sizeof path);
    assert_int_equal(yd_fs_unlink(world->fs, path), 0);
    struct yd_log_repair_report report;
    assert_int_equal(repair(world, other, false, &report), YD_ECORRUPT);
    if (yd_fs_open(world->fs, path, YD_OPEN_READ, &file) == 0) {
        if (yd__footer_read(file, log_id, &footer, NULL) == 0) assert_true(footer.next_seqno <= bases[2]);
        yd_file_close(file);
    }
    free(bases);
}

static void swapped_and_stale_blocks_and_lost_files_come_back(void **state)
{
    struct world *world = *state;
    char copy[300], path[300], good[400], *data;
    uint64_t size;
    size_t all;
    make_stream(world, copy, sizeof copy, &size);
    segment_path(world, 0, ".ylog", path, sizeof path);
    (void)snprintf(good, sizeof good, "%s/%020d.ylog", copy, 0);
    struct yd_batch *like = make_batch(0, RECORDS, 3000, 0);
    uint32_t frame = like->header.size;
    yd_batch_unref(like);
    struct yd_log_repair_report report;
    struct yd_file *file;
    assert_int_equal(yd_fs_read_all(world->fs, path, SIZE_MAX / 2, &data, &all), 0);
    /* Two batches in each other's place. */
    assert_int_equal(yd_fs_open(world->fs, path, YD_OPEN_WRITE, &file), 0);
    assert_int_equal(yd_file_write(file, data + 4096 + frame, frame, 4096), 0);
    assert_int_equal(yd_file_write(file, data + 4096, frame, 4096 + frame), 0);
    assert_int_equal(yd_log_verify_dir(world->fs, world->dir, NULL, NULL, NULL), YD_ECORRUPT);
    assert_int_equal(repair(world, copy, false, &report), 0);
    assert_same_file(world->fs, path, good);
    /* A whole batch again where the next one was. */
    assert_int_equal(yd_file_write(file, data + 4096, frame, 4096 + frame), 0);
    assert_int_equal(yd_log_verify_dir(world->fs, world->dir, NULL, NULL, NULL), YD_ECORRUPT);
    assert_int_equal(repair(world, copy, false, &report), 0);
    assert_same_file(world->fs, path, good);
    /* Zeros, and the end cut off. */
    for (uint64_t cut = 0; cut < size; cut += 509) {
        assert_int_equal(yd_file_truncate(file, cut), 0);
        assert_int_equal(repair(world, copy, false, &report), 0);
        assert_same_file(world->fs, path, good);
    }
    yd_file_close(file);
    free(data);
    assert_int_equal(yd_fs_unlink(world->fs, path), 0);
    assert_int_equal(repair(world, copy, false, &report), 0);
    assert_same_file(world->fs, path, good);
    assert_int_equal(yd_log_verify_dir(world->fs, world->dir, NULL, NULL, NULL), 0);
}

/* The same, compressed: with `keep` the segments stay beside their twins. */
static void make_twins(struct world *world, char *copy, size_t size, bool keep)
{
    struct yd_log_options options = world_options(world);
    options.segment_size_min = options.segment_size_max = 16384;
    options.compress_after_ns = keep ? 3600 * YD_NS_PER_S : 1;
    struct yd_log *log = world_open(world, &options, NULL);
    for (int i = 0; i < BATCHES; i++) {
        append(log, RECORDS, 3000);
        assert_int_equal(yd_log_flush(log), 0);
        world->now += YD_NS_PER_S;
        for (int round = 0; round < 4; round++) assert_int_equal(yd_log_maintain(log), 0);
    }
    assert_int_equal(world_close(world, log), 0);
    (void)snprintf(copy, size, "%s-copy", world->dir);
    (void)copy_dir(world->fs, world->dir, copy);
    char path[300];
    struct yd_stat now;
    segment_path(world, 0, ".yzst", path, sizeof path);
    assert_int_equal(yd_fs_stat(world->fs, path, &now), 0);
    segment_path(world, 0, ".ylog", path, sizeof path);
    assert_int_equal(yd_fs_stat(world->fs, path, &now), keep ? 0 : YD_ENOENT);
}

static void a_damaged_segment_comes_back_from_its_twin(void **state)
{
    struct world *world = *state;
    char copy[300], path[300], good[400];
    make_twins(world, copy, sizeof copy, true);
    segment_path(world, 0, ".ylog", path, sizeof path);
    (void)snprintf(good, sizeof good, "%s/%020d.ylog", copy, 0);
    struct yd_stat now;
    assert_int_equal(yd_fs_stat(world->fs, path, &now), 0);
    for (uint64_t offset = 0; offset < now.size; offset += offset % 4096 < 300 || offset + 300 > now.size ? 11 : 101) {
        flip(world->fs, path, offset, (unsigned)(offset % 8));
        struct yd_log_repair_report report;
        int error = repair(world, NULL, false, &report);
        if (error) print_message("# offset %llu\n", (unsigned long long)offset);
        assert_int_equal(error, 0);
        assert_int_equal(report.mended, 1);
        assert_same_file(world->fs, path, good);
    }
}

static void a_damaged_twin_is_mended_from_a_copy_or_its_segment(void **state)
{
    struct world *world = *state;
    char copy[300], path[300];
    make_twins(world, copy, sizeof copy, false);
    segment_path(world, 0, ".yzst", path, sizeof path);
    struct yd_stat now;
    assert_int_equal(yd_fs_stat(world->fs, path, &now), 0);
    struct yd_fs *damaged = world->fs;
    for (uint64_t offset = 0; offset < now.size; offset += offset < 128 || offset + 100 > now.size ? 5 : 97) {
        assert_int_equal(yd_sim_fs_clone(damaged, offset, &world->fs), 0);
        flip(world->fs, path, offset, (unsigned)(offset % 8));
        struct yd_log_repair_report report;
        int verified = yd_log_verify_dir(world->fs, world->dir, NULL, NULL, NULL);
        int error = repair(world, copy, false, &report);
        if (error || verified != YD_ECORRUPT)
            print_message("# offset %llu: verify %d\n", (unsigned long long)offset, verified);
        assert_int_equal(error, 0);
        assert_int_equal(yd_log_verify_dir(world->fs, world->dir, NULL, NULL, NULL), 0);
        struct yd_log *log = world_open(world, NULL, NULL);
        uint64_t missing;
        assert_int_equal(read_from_oldest(log, &missing), BATCHES * RECORDS);
        assert_int_equal(missing, 0);
        assert_int_equal(world_close(world, log), 0);
        yd_sim_fs_destroy(world->fs);
    }
    world->fs = damaged;
    struct yd_log_backup_report report;
    assert_int_equal(yd_log_backup_dir(world->fs, world->dir, "d/backup", &report, NULL), 0);
    assert_int_equal(yd_log_restore_dir(world->fs, "d/backup", "d/back/0", NULL, NULL), 0);
    assert_int_equal(yd_log_verify_dir(world->fs, "d/back/0", NULL, NULL, NULL), 0);
}

/* Every call may be the last one: whatever is cut there, running again mends it, and what was kept is kept. */
static void a_repair_that_is_cut_anywhere_is_repaired_again(void **state)
{
    struct world *world = *state;
    char copy[300], path[300], good[400];
    uint64_t size;
    make_stream(world, copy, sizeof copy, &size);
    segment_path(world, 0, ".ylog", path, sizeof path);
    (void)snprintf(good, sizeof good, "%s/%020d.ylog", copy, 0);
    flip(world->fs, path, 5000, 3);
    flip(world->fs, path, 150, 3);
    struct yd_file *file;
    assert_int_equal(yd_fs_open(world->fs, path, YD_OPEN_WRITE, &file), 0);
    assert_int_equal(yd_file_sync(file), 0);
    yd_file_close(file);
    yd_sim_fs_crash(world->fs); /* what was there is on the device */
    struct yd_fs *damaged = world->fs;
    bool done = false;
    for (uint64_t calls = 0; !done; calls += calls < 60 ? 1 : 3) {
        assert_true(calls < 2000);
        assert_int_equal(yd_sim_fs_clone(damaged, calls, &world->fs), 0);
        yd_sim_fs_cut_after(world->fs, calls);
        struct yd_log_repair_report report;
        done = repair(world, copy, false, &report) == 0;
        if (calls % 2)
            yd_sim_fs_kill(world->fs);
        else
            yd_sim_fs_crash(world->fs);
        yd_sim_fs_cut_after(world->fs, UINT64_MAX);
        assert_int_equal(repair(world, copy, false, &report), 0);
        assert_same_file(world->fs, path, good);
        yd_sim_fs_destroy(world->fs);
    }
    world->fs = damaged;
}

struct salvaged {
    uint64_t batches, others;
};
static int count_batch(void *arg, uint64_t offset, const struct yd_batch *batch)
{
    (void)offset;
    check_marks(batch);
    ((struct salvaged *)arg)->batches++;
    return 0;
}
static void count_other(void *arg, uint64_t from, uint64_t to)
{
    assert_true(to > from);
    ((struct salvaged *)arg)->others++;
}

static void salvage_finds_every_good_batch_at_any_offset(void **state)
{
    struct world *world = *state;
    char copy[300], path[300], *data;
    uint64_t size;
    size_t all;
    make_stream(world, copy, sizeof copy, &size);
    segment_path(world, 0, ".ylog", path, sizeof path);
    assert_int_equal(yd_fs_read_all(world->fs, path, SIZE_MAX / 2, &data, &all), 0);
    struct salvaged whole = {0};
    struct yd_log_salvage how = {.batch = count_batch, .other = count_other, .arg = &whole};
    assert_int_equal(yd_log_salvage_file(world->fs, path, &how, NULL, NULL), 0);
    assert_true(whole.batches >= 2);
    for (unsigned shift = 1; shift < 70; shift += 13) {
        struct yd_file *file;
        assert_int_equal(yd_fs_open(world->fs, "d/image", YD_OPEN_WRITE | YD_OPEN_CREATE | YD_OPEN_TRUNCATE, &file), 0);
        assert_int_equal(yd_file_write(file, "garbage, YDSG and \x01YDB", 20, 0), 0);
        assert_int_equal(yd_file_write(file, data, all, 20 + shift), 0);
        yd_file_close(file);
        flip(world->fs, "d/image", 20 + shift + 4096 + 200, 1); /* the first batch */
        struct salvaged salvaged = {0};
        struct yd_log_salvage_report report;
        how.arg = &salvaged;
        assert_int_equal(yd_log_salvage_file(world->fs, "d/image", &how, &report, NULL), 0);
        assert_int_equal(salvaged.batches, whole.batches - 1);
        assert_int_equal(report.records, salvaged.batches * RECORDS);
    }
    free(data);
}

static void what_was_salvaged_is_a_stream_with_a_gap(void **state)
{
    struct world *world = *state;
    char copy[300], path[300];
    uint64_t size, missing;
    make_stream(world, copy, sizeof copy, &size);
    segment_path(world, 0, ".ylog", path, sizeof path);
    struct yd_batch *like = make_batch(0, RECORDS, 3000, 0);
    flip(world->fs, path, 4096 + like->header.size + 200, 1); /* the second batch */
    yd_batch_unref(like);
    struct yd_log_salvage_report report;
    assert_int_equal(yd_log_salvage_dir(world->fs, path, 0, "d/out/0", "s/0", &report, NULL), 0);
    assert_int_equal(yd_log_salvage_dir(world->fs, path, 0, "d/out/0", "s/0", NULL, NULL), YD_EEXIST);
    (void)snprintf(world->dir, sizeof world->dir, "d/out/0");
    struct yd_log_recovery recovery;
    struct yd_log *log = world_open(world, NULL, &recovery);
    assert_int_equal(read_from_oldest(log, &missing), report.records);
    assert_int_equal(missing, RECORDS);
    append(log, RECORDS, 0);
    assert_int_equal(yd_log_flush(log), 0);
    assert_int_equal(world_close(world, log), 0);
    assert_int_equal(yd_log_salvage_dir(world->fs, copy, 0, "d/none/0", "s/0", NULL, NULL) < 0, true);
}

static void a_backup_of_a_live_stream_restores_to_the_same_records(void **state)
{
    struct world *world = *state;
    struct yd_log_options options = world_options(world);
    options.segment_size_min = options.segment_size_max = 16384;
    struct yd_log *log = world_open(world, &options, NULL);
    struct yd_log_backup_report report, restored;
    struct yd_trail trail = {0};
    uint64_t copied = 0;
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 5; i++) {
            append(log, RECORDS, 3000);
            assert_int_equal(yd_log_flush(log), 0);
            assert_int_equal(yd_log_maintain(log), 0);
        }
        assert_int_equal(yd_log_cursor_save(log, "reader", (uint64_t)(round * 5) * RECORDS), 0);
        append(log, RECORDS, 0); /* not durable: not in it */
        int error = yd_log_backup_dir(world->fs, world->dir, "d/backup", &report, &trail);
        if (error) print_message("# %s\n", yd_trail_text(&trail));
        assert_int_equal(error, 0);
        struct yd_log_position position;
        yd_log_position(log, &position);
        assert_int_equal(report.next, position.durable);
        assert_true(round == 0 || report.copied < report.files); /* sealed ones are there already */
        copied += report.copied;
        assert_int_equal(yd_log_flush(log), 0);
    }
    char dir[256];
    memcpy(dir, world->dir, sizeof dir);
    assert_int_equal(yd_log_restore_dir(world->fs, "d/backup", "d/back/0", &restored, &trail), 0);
    assert_int_equal(yd_log_restore_dir(world->fs, "d/backup", "d/back/0", &restored, &trail), YD_EEXIST);
    assert_int_equal(restored.next, report.next);
    assert_int_equal(yd_log_verify_dir(world->fs, "d/back/0", NULL, NULL, NULL), 0);
    assert_int_equal(world_close(world, log), 0);
    (void)snprintf(world->dir, sizeof world->dir, "d/back/0");
    struct yd_log_recovery recovery;
    log = world_open(world, &options, &recovery);
    uint64_t missing;
    assert_true(recovery.epoch_raised);
    assert_int_equal(recovery.cut_to, report.next);
    assert_int_equal(read_from_oldest(log, &missing), report.next);
    assert_int_equal(missing, 0);
    struct yd_cursor cursor;
    assert_int_equal(yd_log_cursor_load(log, "reader", &cursor), 0);
    assert_int_equal(cursor.seqno, 15 * RECORDS);
    append(log, RECORDS, 0);
    assert_int_equal(world_close(world, log), 0);
    assert_true(copied > 0);
}

static void a_damaged_backup_is_refused_and_leaves_nothing_behind(void **state)
{
    struct world *world = *state;
    char copy[300], path[300];
    uint64_t size;
    make_stream(world, copy, sizeof copy, &size);
    assert_int_equal(yd_log_backup_dir(world->fs, world->dir, "d/backup", NULL, NULL), 0);
    struct yd_stat now;
    for (uint64_t offset = 0; offset < size; offset += 311) {
        (void)snprintf(path, sizeof path, "d/backup/%020d.ylog", 0);
        flip(world->fs, path, offset, 2);
        assert_int_equal(yd_log_restore_dir(world->fs, "d/backup", "d/back/0", NULL, NULL), YD_ECORRUPT);
        assert_int_equal(yd_fs_stat(world->fs, "d/back/0", &now), YD_ENOENT);
        flip(world->fs, path, offset, 2);
    }
    assert_int_equal(yd_fs_stat(world->fs, "d/backup/manifest.json", &now), 0);
    for (uint64_t offset = 0; offset < now.size - 3; offset += 3) { /* behind the checksum: a bracket, a newline */
        flip(world->fs, "d/backup/manifest.json", offset, 2);
        int error = yd_log_restore_dir(world->fs, "d/backup", "d/back/0", NULL, NULL);
        if (error == 0) print_message("# manifest offset %llu\n", (unsigned long long)offset);
        assert_int_equal(error, YD_ECORRUPT);
        flip(world->fs, "d/backup/manifest.json", offset, 2);
    }
    assert_int_equal(yd_log_restore_dir(world->fs, "d/backup", "d/back/0", NULL, NULL), 0);
}

static void a_backup_that_is_cut_leaves_the_one_before_good(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    append(log, RECORDS, 3000);
    assert_int_equal(yd_log_flush(log), 0);
    assert_int_equal(yd_log_backup_dir(world->fs, world->dir, "d/backup", NULL, NULL), 0);
    append(log, RECORDS, 3000);
    assert_int_equal(yd_log_flush(log), 0);
    assert_int_equal(world_close(world, log), 0);
    struct yd_fs *before = world->fs;
    bool done = false;
    for (uint64_t calls = 0; !done; calls++) {
        assert_true(calls < 500);
        assert_int_equal(yd_sim_fs_clone(before, calls, &world->fs), 0);
        yd_sim_fs_cut_after(world->fs, calls);
        done = yd_log_backup_dir(world->fs, world->dir, "d/backup", NULL, NULL) == 0;
        yd_sim_fs_crash(world->fs);
        yd_sim_fs_cut_after(world->fs, UINT64_MAX);
        struct yd_log_backup_report report;
        struct yd_trail trail = {0};
        int error = yd_log_restore_dir(world->fs, "d/backup", "d/back/0", &report, &trail);
        if (error) print_message("# %llu: %s\n", (unsigned long long)calls, yd_trail_text(&trail));
        assert_int_equal(error, 0);
        assert_true(report.next == RECORDS || report.next == 2 * RECORDS);
        yd_sim_fs_destroy(world->fs);
    }
    world->fs = before;
}

static void a_tombstone_covers_what_it_names_and_was_before(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    append(log, RECORDS, 0);
    struct yd_tombstone tombstone = {
        .names = YD_STR("mark"), .until_seqno = UINT64_MAX, .until_time = INT64_MAX, .reason = YD_STR("asked for")};
    struct yd_batch *batch;
    assert_int_equal(yd_tombstone_batch(&tombstone, 1, &batch), 0);
    struct yd_log_appended appended;
    assert_int_equal(yd_log_append(log, batch, -1, UINT64_MAX, &appended), 0);
    yd_batch_unref(batch);
    append(log, RECORDS, 0);
    tombstone.names = YD_STR("other*");
    assert_int_equal(yd_tombstone_batch(&tombstone, 1, &batch), 0);
    assert_int_equal(yd_log_append(log, batch, -1, UINT64_MAX, &appended), 0);
    yd_batch_unref(batch);
    tombstone.names = YD_STR("bad[name ==");
    assert_true(yd_tombstone_batch(&tombstone, 1, &batch) < 0);
    assert_int_equal(world_close(world, log), 0);

    struct yd_forgotten *forgotten;
    assert_int_equal(yd_forgotten_create(&forgotten), 0);
    assert_int_equal(yd_forgotten_load(forgotten, world->fs, world->dir, NULL), 0);
    assert_int_equal(yd_forgotten_count(forgotten), 2);
    struct yd_log_start start = {.from = YD_FROM_OLDEST};
    struct yd_log_reader *reader;
    assert_int_equal(yd_log_reader_open_dir(world->fs, world->dir, &start, &reader, NULL), 0);
    struct yd_log_gap gap;
    unsigned hidden = 0, shown = 0;
    while (yd_log_reader_next(reader, &batch, &gap) == 0) {
        for (uint32_t i = 0; i < batch->header.count; i++) {
            bool covered = yd_forgotten_covers(forgotten, batch, i);
            assert_int_equal(covered, batch->header.base_seqno + i < RECORDS);
            hidden += covered;
            shown += !covered;
        }
        yd_batch_unref(batch);
    }
    assert_int_equal(hidden, RECORDS);
    assert_int_equal(shown, RECORDS + 2);
    yd_log_reader_close(reader);
    yd_forgotten_destroy(forgotten);
}

/* ---- tombstones in damaged files ---- */

static void forget_marks(struct yd_log *log)
{
    struct yd_tombstone tombstone = {.names = YD_STR("mark"), .until_seqno = UINT64_MAX, .until_time = INT64_MAX};
    struct yd_log_appended appended;
    struct yd_batch *batch;
    assert_int_equal(yd_tombstone_batch(&tombstone, 1, &batch), 0);
    assert_int_equal(yd_log_append(log, batch, -1, UINT64_MAX, &appended), 0);
    assert_int_equal(appended.first, 2 * RECORDS);
    yd_batch_unref(batch);
    assert_int_equal(yd_log_flush(log), 0);
}

/* Two batches, a tombstone of them as the third, more; the first segment has a twin beside it. */
static void make_forgotten(struct world *world, uint64_t *ret_offset)
{
    struct yd_log_options options = world_options(world);
    options.segment_size_min = options.segment_size_max = 16384;
    options.compress_after_ns = 3600 * YD_NS_PER_S;
    struct yd_log *log = world_open(world, &options, NULL);
    for (int i = 0; i < BATCHES; i++) {
        append(log, RECORDS, 3000);
        assert_int_equal(yd_log_flush(log), 0);
        if (i == 1) forget_marks(log);
        for (int round = 0; round < 4; round++) assert_int_equal(yd_log_maintain(log), 0);
    }
    assert_int_equal(world_close(world, log), 0);
    struct yd_batch *like = make_batch(0, RECORDS, 3000, 0);
    *ret_offset = YD__SEGMENT_ALIGN + 2 * (uint64_t)like->header.size;
    yd_batch_unref(like);
}

/* Opened anew: what of the first batch is hidden. */
static uint32_t hidden_anew(struct world *world)
{
    struct yd_log_options options = world_options(world);
    options.segment_size_min = options.segment_size_max = 16384;
    options.compress_after_ns = 3600 * YD_NS_PER_S;
    struct yd_log *log = world_open(world, &options, NULL);
    struct yd_batch *batch = make_batch(0, RECORDS, 3000, 0);
    uint32_t hidden;
    uint8_t *keep;
    assert_int_equal(yd_log_hidden_load(log, 0), 0);
    assert_int_equal(yd_log_hidden(log, YD_ACK_DURABLE, batch, &keep, &hidden), 0);
    free(keep);
    yd_batch_unref(batch);
    assert_int_equal(world_close(world, log), 0);
    return hidden;
}

static uint32_t tombstones_of(struct world *world)
{
    struct yd_forgotten *forgotten;
    assert_int_equal(yd_forgotten_create(&forgotten), 0);
    assert_int_equal(yd_forgotten_load(forgotten, world->fs, world->dir, NULL), 0);
    uint32_t count = yd_forgotten_count(forgotten);
    yd_forgotten_destroy(forgotten);
    return count;
}

static void a_tombstone_that_rotted_is_known_from_the_twin(void **state)
{
    struct world *world = *state;
    char path[300];
    uint64_t at;
    struct yd_stat now;
    make_forgotten(world, &at);
    segment_path(world, 0, ".yzst", path, sizeof path);
    assert_int_equal(yd_fs_stat(world->fs, path, &now), 0);
    segment_path(world, 0, ".ylog", path, sizeof path);
    assert_int_equal(yd_fs_stat(world->fs, path, &now), 0);
    /* Nothing, its header, its body; the batch before, after which it is noted from both; the head; the footer. */
    const uint64_t places[] = {0, at + 8, at + 40, at + sizeof(struct yd_header) + 3, at - 200, 9, now.size - 9};
    for (size_t i = 0; i < YD_COUNT(places); i++) {
        if (i) flip(world->fs, path, places[i], 3);
        assert_int_equal(tombstones_of(world), 1);
        assert_int_equal(hidden_anew(world), RECORDS);
        if (i) flip(world->fs, path, places[i], 3);
    }
}

static void a_tombstone_that_no_device_gives_is_known_from_the_twin_or_stops_nobody(void **state)
{
    struct world *world = *state;
    char raw[300], twin[300];
    uint64_t at;
    make_forgotten(world, &at);
    segment_path(world, 0, ".ylog", raw, sizeof raw);
    segment_path(world, 0, ".yzst", twin, sizeof twin);
    struct yd_stat now;
    assert_int_equal(yd_fs_stat(world->fs, raw, &now), 0);
    const uint64_t from[] = {at, YD__SEGMENT_ALIGN, 0}; /* some blocks; all frames; all there is */
    for (size_t i = 0; i < YD_COUNT(from); i++) {
        assert_int_equal(yd_sim_fs_bad(world->fs, raw, from[i], now.size - from[i] - (i < 2 ? 4096 : 0)), 0);
        assert_int_equal(tombstones_of(world), 1);
        if (i < 2) assert_int_equal(hidden_anew(world), RECORDS);
    }
    assert_int_equal(yd_sim_fs_bad(world->fs, twin, 0, UINT64_C(1) << 30), 0);
    assert_int_equal(tombstones_of(world), 0); /* nobody sees what it was, and all else is read */
    assert_int_equal(hidden_anew(world), 0);
}

struct told {
    const char *wanted;
    bool there;
};
static void hear(void *arg, const char *file, uint64_t offset, const char *what)
{
    struct told *told = arg;
    (void)file, (void)offset;
    told->there |= strstr(what, told->wanted) != NULL;
}

/* The first segment as `bytes` say; verify has to find what is `wanted`. */
static void assert_verify_tells(struct world *world, const char *path, const char *bytes, size_t size,
                                const char *wanted)
{
    struct yd_file *file;
    struct told told = {.wanted = wanted};
    assert_int_equal(yd_fs_open(world->fs, path, YD_OPEN_WRITE, &file), 0);
    assert_int_equal(yd_file_write(file, bytes, size, 0), 0);
    yd_file_close(file);
    assert_int_equal(yd_log_verify_dir(world->fs, world->dir, NULL, hear, &told), YD_ECORRUPT);
    if (!told.there) fail_msg("nobody said: %s", wanted);
}

/* What is checked by its own checksum, and is not what stands beside it. */
static void verify_finds_what_is_whole_and_does_not_fit(void **state)
{
    struct world *world = *state;
    char copy[300], path[400], *bytes;
    uint64_t stream_size;
    size_t size;
    make_stream(world, copy, sizeof copy, &stream_size);
    (void)snprintf(path, sizeof path, "%s/%020d.ylog", world->dir, 0);
    assert_int_equal(yd_fs_read_all(world->fs, path, SIZE_MAX / 2, &bytes, &size), 0);
    char *changed = malloc(size);
    const size_t words[] = {offsetof(struct yd__footer, headers_crc), offsetof(struct yd__footer, last_crc)};
    for (size_t i = 0; i < YD_COUNT(words); i++) {
        struct yd__footer footer;
        memcpy(changed, bytes, size);
        changed[size - sizeof footer + words[i]] ^= 1;
        memcpy(&footer, changed + size - sizeof footer, sizeof footer);
        footer.crc = 0;
        footer.crc = yd_crc32c(0, &footer, sizeof footer);
        memcpy(changed + size - sizeof footer, &footer, sizeof footer);
        assert_verify_tells(world, path, changed, size, "the whole-file checksum does not fit");
    }
    struct yd__segment_head head;
    struct yd_header header;
    memcpy(&head, bytes, sizeof head);
    memcpy(&header, bytes + head.data_start, sizeof header);
    size_t second = head.data_start + header.size;
    memcpy(changed, bytes, size);
    memcpy(&header, changed + second, sizeof header);
    header.prev_crc ^= 1;
    header.header_crc = yd_header_crc(&header);
    memcpy(changed + second, &header, sizeof header);
    assert_verify_tells(world, path, changed, size, "the chain to the batch before is broken");
    struct yd_file *file;
    assert_int_equal(yd_fs_open(world->fs, path, YD_OPEN_WRITE, &file), 0);
    assert_int_equal(yd_file_write(file, bytes, size, 0), 0);
    yd_file_close(file);
    assert_int_equal(yd_log_verify_dir(world->fs, world->dir, NULL, NULL, NULL), 0);
    free(changed);
    free(bytes);
}

#define WORLD(test) cmocka_unit_test_setup_teardown(test, world_setup_sim, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(verify_finds_what_is_whole_and_does_not_fit),
        WORLD(every_flipped_byte_of_a_sealed_segment_comes_back_from_a_copy),
        WORLD(a_dry_run_writes_nothing_and_says_the_same),
        WORLD(what_no_copy_has_is_told_and_left_as_it_is),
        WORLD(a_copy_of_another_history_is_not_taken),
        WORLD(a_copy_that_reaches_beyond_the_next_segment_is_not_taken),
        WORLD(swapped_and_stale_blocks_and_lost_files_come_back),
        WORLD(a_damaged_segment_comes_back_from_its_twin),
        WORLD(a_damaged_twin_is_mended_from_a_copy_or_its_segment),
        WORLD(a_repair_that_is_cut_anywhere_is_repaired_again),
        WORLD(salvage_finds_every_good_batch_at_any_offset),
        WORLD(what_was_salvaged_is_a_stream_with_a_gap),
        WORLD(a_backup_of_a_live_stream_restores_to_the_same_records),
        WORLD(a_damaged_backup_is_refused_and_leaves_nothing_behind),
        WORLD(a_backup_that_is_cut_leaves_the_one_before_good),
        WORLD(a_tombstone_covers_what_it_names_and_was_before),
        WORLD(a_tombstone_that_rotted_is_known_from_the_twin),
        WORLD(a_tombstone_that_no_device_gives_is_known_from_the_twin_or_stops_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
