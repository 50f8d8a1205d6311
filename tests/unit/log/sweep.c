/* Every single bit of a small stream, flipped: found by verify, that batch alone lost, the rest served. */
#include "../sparse.h"
#include "log_test.h"

#include "log/mend.h"
#include "log/segment_format.h"

#define BATCHES 6
#define RECORDS 3

struct faults {
    uint32_t count;
};

static void count_fault(void *arg, const char *file, uint64_t offset, const char *what)
{
    (void)file;
    (void)offset;
    (void)what;
    ((struct faults *)arg)->count++;
}

/* What a reader of the folder gets: a bit for each batch. */
static unsigned served(struct world *world, uint64_t *ret_missing)
{
    struct yd_log_start start = {.from = YD_FROM_OLDEST};
    struct yd_log_reader *reader;
    unsigned got = 0;
    *ret_missing = 0;
    assert_int_equal(yd_log_reader_open_dir(world->fs, world->dir, &start, &reader, NULL), 0);
    for (;;) {
        struct yd_batch *batch;
        struct yd_log_gap gap;
        int error = yd_log_reader_next(reader, &batch, &gap);
        if (error == YD_EAGAIN) break;
        if (error == YD_EGAP) {
            *ret_missing += gap.to - gap.from;
            continue;
        }
        assert_int_equal(error, 0);
        check_marks(batch);
        got |= 1u << batch->header.base_seqno / RECORDS;
        yd_batch_unref(batch);
    }
    yd_log_reader_close(reader);
    return got;
}

static void flip(struct world *world, const char *path, uint64_t offset, unsigned bit)
{
    struct yd_file *file;
    size_t have;
    char byte;
    assert_int_equal(yd_fs_open(world->fs, path, YD_OPEN_READ | YD_OPEN_WRITE, &file), 0);
    assert_int_equal(yd_file_read(file, &byte, 1, offset, &have), 0);
    byte = (char)(byte ^ 1 << bit);
    assert_int_equal(yd_file_write(file, &byte, 1, offset), 0);
    yd_file_close(file);
}

static void every_flipped_bit_is_found_and_costs_its_batch_alone(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    uint32_t size = 0, used = 0;
    for (int i = 0; i < BATCHES; i++) {
        struct yd_batch *like = make_batch(0, RECORDS, 37, 0);
        size = like->header.size;
        used = (uint32_t)sizeof like->header + like->header.body_size;
        yd_batch_unref(like);
        append(log, RECORDS, 37);
    }
    assert_int_equal(world_close(world, log), 0);
    char path[300];
    segment_path(world, 0, ".ylog", path, sizeof path);
    for (uint64_t offset = 0; offset < YD__SEGMENT_ALIGN + (uint64_t)size * BATCHES; offset += UNIT_SPARSE) {
        unsigned bit = (unsigned)(offset * 5 % 8);
        if (offset < YD__SEGMENT_ALIGN && offset > 400 && offset % 64)
            continue; /* the head's zeros: a sample of them */
        flip(world, path, offset, bit);
        struct faults faults = {0};
        assert_int_equal(yd_log_verify_dir(world->fs, world->dir, NULL, count_fault, &faults), YD_ECORRUPT);
        assert_true(faults.count > 0);
        uint64_t missing;
        unsigned expected = (1u << BATCHES) - 1;
        if (offset >= YD__SEGMENT_ALIGN && (offset - YD__SEGMENT_ALIGN) % size < used)
            expected &= ~(1u << (offset - YD__SEGMENT_ALIGN) / size);
        unsigned got = served(world, &missing);
        if (got != expected) print_message("# offset %llu\n", (unsigned long long)offset);
        assert_int_equal(got, expected);
        assert_int_equal(missing, expected == (1u << BATCHES) - 1 ? 0 : RECORDS);
        flip(world, path, offset, bit);
    }
    assert_int_equal(yd_log_verify_dir(world->fs, world->dir, NULL, NULL, NULL), 0);
}

/* The same through recovery: the log was not closed in order, every header before the last knows more durable. */
static void every_flipped_byte_below_durable_survives_recovery(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    struct yd_batch *like = make_batch(0, RECORDS, 37, 0);
    uint32_t size = like->header.size, used = (uint32_t)sizeof like->header + like->header.body_size;
    yd_batch_unref(like);
    for (int i = 0; i < BATCHES; i++) {
        append(log, RECORDS, 37);
        assert_int_equal(yd_log_flush(log), 0);
    }
    yd_sim_fs_crash(world->fs);
    (void)world_close(world, log);
    char path[300];
    segment_path(world, 0, ".ylog", path, sizeof path);
    for (uint64_t at = 0; at < (uint64_t)size * (BATCHES - 1); at += 3 * UNIT_SPARSE) {
        struct yd_fs *before = world->fs, *copy;
        assert_int_equal(yd_sim_fs_clone(before, at, &copy), 0);
        world->fs = copy;
        flip(world, path, YD__SEGMENT_ALIGN + at, (unsigned)(at % 8));
        struct yd_log_recovery recovery;
        log = world_open(world, NULL, &recovery);
        unsigned batch = (unsigned)(at / size);
        bool hurt = at % size < used;
        assert_int_equal(recovery.cut_to, BATCHES * RECORDS);
        assert_int_equal(recovery.rotten_batches, hurt);
        assert_int_equal(recovery.torn_bytes, 0);
        uint64_t missing;
        assert_int_equal(read_from_oldest(log, &missing), BATCHES * RECORDS - (hurt ? RECORDS : 0));
        assert_int_equal(missing, hurt ? RECORDS : 0);
        (void)batch;
        assert_int_equal(world_close(world, log), 0);
        yd_sim_fs_destroy(copy);
        world->fs = before;
    }
}

static uint64_t file_size(struct world *world, const char *path)
{
    struct yd_stat now;
    assert_int_equal(yd_fs_stat(world->fs, path, &now), 0);
    return now.size;
}

/* The control page is two checkpoints and words for readers: with any byte of it wrong the stream opens, whole. */
static void every_flipped_byte_of_the_control_page_costs_nothing(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    for (int i = 0; i < BATCHES; i++) append(log, RECORDS, 37);
    assert_int_equal(world_close(world, log), 0);
    char path[300];
    (void)snprintf(path, sizeof path, "%s/control", world->dir);
    uint64_t size = file_size(world, path);
    for (uint64_t at = 0; at < size; at = at % 1024 < 200 ? at + UNIT_SPARSE : YD_MIN(at + 37, YD_ALIGN_UP(at, 1024))) {
        struct yd_fs *before = world->fs, *copy;
        assert_int_equal(yd_sim_fs_clone(before, at, &copy), 0);
        world->fs = copy;
        flip(world, path, at, (unsigned)(at % 8));
        struct yd_log_verify_report report;
        int verified = yd_log_verify_dir(world->fs, world->dir, &report, NULL, NULL);
        assert_true(verified == 0 || verified == YD_ECORRUPT);
        struct yd_log_recovery recovery;
        log = world_open(world, NULL, &recovery);
        uint64_t missing;
        uint64_t got = read_from_oldest(log, &missing);
        if (got != BATCHES * RECORDS) print_message("# byte %llu\n", (unsigned long long)at);
        assert_int_equal(got, BATCHES * RECORDS);
        assert_int_equal(missing, 0);
        assert_int_equal(world_close(world, log), 0);
        assert_int_equal(yd_log_verify_dir(world->fs, world->dir, NULL, NULL, NULL), 0);
        yd_sim_fs_destroy(copy);
        world->fs = before;
    }
}

static void every_flipped_byte_and_length_of_a_cursor_is_found(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    append(log, RECORDS, 37);
    assert_int_equal(yd_log_flush(log), 0);
    assert_int_equal(yd_log_cursor_save(log, "reader", 2), 0);
    char path[300];
    (void)snprintf(path, sizeof path, "%s/cursors/reader", world->dir);
    uint64_t size = file_size(world, path), count;
    struct yd_cursor cursor;
    for (uint64_t at = 0; at < size; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            flip(world, path, at, bit);
            assert_int_equal(yd_log_cursor_load(log, "reader", &cursor), YD_ECORRUPT);
            struct faults faults = {0};
            assert_int_equal(yd_log_verify_cursors(world->fs, world->dir, &count, count_fault, &faults), YD_ECORRUPT);
            assert_int_equal(faults.count, 1);
            flip(world, path, at, bit);
        }
    }
    struct yd_file *file;
    for (uint64_t length = size; length-- > 0;) {
        assert_int_equal(yd_fs_open(world->fs, path, YD_OPEN_WRITE, &file), 0);
        assert_int_equal(yd_file_truncate(file, length), 0);
        yd_file_close(file);
        assert_int_equal(yd_log_cursor_load(log, "reader", &cursor), YD_ECORRUPT);
    }
    assert_int_equal(world_close(world, log), 0);
}

/* The saved index is a cache: wrong in any byte, of any length, or of another stream, nothing is lost by it. */
static void a_saved_index_is_harmless_whatever_is_in_it(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    for (int i = 0; i < BATCHES; i++) append(log, RECORDS, 37);
    assert_int_equal(yd_log_flush(log), 0);
    assert_int_equal(yd_log_maintain(log), 0);
    yd_sim_fs_kill(world->fs);
    (void)world_close(world, log);
    char path[300];
    segment_path(world, 0, ".yidx", path, sizeof path);
    uint64_t size = file_size(world, path);
    for (uint64_t at = 0; at < 2 * size; at += UNIT_SPARSE) {
        struct yd_fs *before = world->fs, *copy;
        assert_int_equal(yd_sim_fs_clone(before, at, &copy), 0);
        world->fs = copy;
        if (at < size) {
            flip(world, path, at, (unsigned)(at % 8));
        } else {
            struct yd_file *file;
            assert_int_equal(yd_fs_open(world->fs, path, YD_OPEN_WRITE, &file), 0);
            assert_int_equal(yd_file_truncate(file, at - size), 0);
            yd_file_close(file);
        }
        log = world_open(world, NULL, NULL);
        uint64_t missing;
        assert_int_equal(read_from_oldest(log, &missing), BATCHES * RECORDS);
        assert_int_equal(missing, 0);
        assert_int_equal(world_close(world, log), 0);
        assert_int_equal(yd_log_verify_dir(world->fs, world->dir, NULL, NULL, NULL), 0);
        yd_sim_fs_destroy(copy);
        world->fs = before;
    }
}

/* A stopped stream cut at any length: told, never invented, and it opens. */
static void every_truncation_is_told_and_opens(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    struct yd_batch *like = make_batch(0, RECORDS, 37, 0);
    uint32_t size = like->header.size;
    yd_batch_unref(like);
    for (int i = 0; i < BATCHES; i++) append(log, RECORDS, 37);
    assert_int_equal(world_close(world, log), 0);
    char path[300];
    segment_path(world, 0, ".ylog", path, sizeof path);
    uint64_t end = YD__SEGMENT_ALIGN + (uint64_t)size * BATCHES;
    for (uint64_t length = 0; length < end; length += length % size < 8 ? 1 : 61) {
        struct yd_fs *before = world->fs, *copy;
        assert_int_equal(yd_sim_fs_clone(before, length, &copy), 0);
        world->fs = copy;
        struct yd_file *file;
        assert_int_equal(yd_fs_open(world->fs, path, YD_OPEN_WRITE, &file), 0);
        assert_int_equal(yd_file_truncate(file, length), 0);
        yd_file_close(file);
        struct faults faults = {0};
        /* Of the last batch only padding may be missing: zeros, which is what stands behind the end of a file. */
        if (end - length >= YD_BATCH_ALIGN)
            assert_int_equal(yd_log_verify_dir(world->fs, world->dir, NULL, count_fault, &faults), YD_ECORRUPT);
        uint64_t missing;
        (void)served(world, &missing);
        log = world_open(world, NULL, NULL);
        assert_true(read_from_oldest(log, &missing) <= BATCHES * RECORDS);
        append(log, RECORDS, 0);
        assert_int_equal(world_close(world, log), 0);
        yd_sim_fs_destroy(copy);
        world->fs = before;
    }
}

#define WORLD(test) cmocka_unit_test_setup_teardown(test, world_setup_sim, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(every_flipped_bit_is_found_and_costs_its_batch_alone),
        WORLD(every_flipped_byte_below_durable_survives_recovery),
        WORLD(every_flipped_byte_of_the_control_page_costs_nothing),
        WORLD(every_flipped_byte_and_length_of_a_cursor_is_found),
        WORLD(a_saved_index_is_harmless_whatever_is_in_it),
        WORLD(every_truncation_is_told_and_opens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
