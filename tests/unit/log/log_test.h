/* What the tests of the log share: a folder of their own, a clock that stands still, batches that say who they are. */
#ifndef LOG_TEST_H
#define LOG_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/hash.h"
#include "io/sim_file.h"
#include <yarder/log.h>

#include "base/text.h"
#include "io/file.h"

struct world {
    struct yd_fs *fs;
    struct yd_rng rng;
    int64_t now, mono; /* mono: for tests that give it to the log */
    char dir[256];
    bool sim;
    uint32_t opened, closed;
};

static inline uint64_t world_random(void *arg)
{
    return yd_rng_next(&((struct world *)arg)->rng);
}
static inline int64_t world_wall(void *arg)
{
    return ((struct world *)arg)->now;
}

static inline int64_t world_mono(void *arg)
{
    return ((struct world *)arg)->mono;
}

static inline int world_setup_linux(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    char path[] = "/tmp/yd_log_XXXXXX";
    if (!world || !mkdtemp(path)) return -1;
    world->fs = yd_fs_linux();
    yd_rng_init(&world->rng, 1);
    world->now = INT64_C(1700000000) * YD_NS_PER_S;
    (void)snprintf(world->dir, sizeof world->dir, "%s/s/0", path);
    *state = world;
    return 0;
}

static inline int world_setup_sim(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    if (!world || yd_sim_fs_create(7, &world->fs) != 0) return -1;
    yd_rng_init(&world->rng, 1);
    world->now = INT64_C(1700000000) * YD_NS_PER_S;
    world->sim = true;
    (void)snprintf(world->dir, sizeof world->dir, "d/s/0");
    *state = world;
    return 0;
}

static inline int world_teardown(void **state)
{
    struct world *world = *state;
    if (world->sim) {
        /* A test that failed left its log open, and the disk asserts that it is not; its message matters more. */
        if (world->opened == world->closed) yd_sim_fs_destroy(world->fs);
    } else {
        char command[512];
        world->dir[strlen(world->dir) - 4] = '\0';
        (void)snprintf(command, sizeof command, "rm -rf '%s'", world->dir);
        if (system(command) != 0) return -1;
    }
    free(world);
    return 0;
}

static inline struct yd_log_options world_options(struct world *world)
{
    return (struct yd_log_options){.fs = world->fs,
                                   .dir = world->dir,
                                   .stream = "s/0",
                                   .random = world_random,
                                   .wall = world_wall,
                                   .clock_arg = world};
}

static inline struct yd_log *world_open(struct world *world, const struct yd_log_options *options,
                                        struct yd_log_recovery *ret)
{
    struct yd_log_options plain = world_options(world);
    struct yd_log *log = NULL;
    struct yd_trail trail = {0};
    int error = yd_log_open(options ? options : &plain, &log, ret, &trail);
    if (error) print_message("# open: %s %s\n", yd_error_name(error), yd_trail_text(&trail));
    assert_int_equal(error, 0);
    world->opened++;
    return log;
}

static inline int world_close(struct world *world, struct yd_log *log)
{
    world->closed++;
    return yd_log_close(log);
}

/* `count` samples of one name, values mark, mark + 1, …; `fill` bytes more in an event's text. */
static inline struct yd_batch *make_batch(uint64_t mark, uint32_t count, size_t fill, int64_t time_ns)
{
    struct yd_builder *builder;
    struct yd_builder_options options = {.size_max = YD_BATCH_SIZE_MAX};
    assert_int_equal(yd_builder_create(&options, &builder), 0);
    uint32_t name;
    assert_int_equal(yd_builder_name(builder, YD_STR("mark"), &name), 0);
    for (uint32_t i = 0; i < count; i++) {
        if (i + 1 == count && fill > 0) {
            char *text = malloc(fill);
            memset(text, 'a' + (int)(mark % 26), fill);
            assert_int_equal(
                yd_builder_add_bytes(builder, time_ns, name, YD_EVENT, YD_BLOB, 0, (struct yd_str){text, fill}), 0);
            free(text);
        } else {
            union yd_value value = {.u64 = mark + i};
            assert_int_equal(yd_builder_add(builder, time_ns, name, YD_SAMPLE, YD_U64, 0, value), 0);
        }
    }
    struct yd_batch *batch;
    assert_int_equal(yd_builder_seal(builder, &batch), 0);
    yd_builder_destroy(builder);
    return batch;
}

static inline struct yd_batch *with_producer(struct yd_batch *batch, uint64_t id, uint32_t epoch, uint64_t seq)
{
    struct yd_header header = batch->header;
    header.producer_id = id;
    header.producer_epoch = epoch;
    header.producer_seq = seq;
    header.header_crc = yd_header_crc(&header);
    struct yd_batch *other;
    assert_int_equal(yd_batch_restamp(batch, &header, &other), 0);
    yd_batch_unref(batch);
    return other;
}

/* Appends one batch of `count` records marked with their own seqnos; returns the first seqno. */
static inline uint64_t append(struct yd_log *log, uint32_t count, size_t fill)
{
    struct yd_log_position position;
    yd_log_position(log, &position);
    struct yd_batch *batch = make_batch(position.memory, count, fill, (int64_t)position.memory * YD_NS_PER_S);
    struct yd_log_appended appended;
    assert_int_equal(yd_log_append(log, batch, -1, UINT64_MAX, &appended), 0);
    yd_batch_unref(batch);
    return appended.first;
}

/* Every record's value is its seqno, but for fills. */
static inline void check_marks(const struct yd_batch *batch)
{
    for (uint32_t i = 0; i < batch->view.count; i++)
        if (batch->view.records[i].type == YD_U64)
            assert_int_equal(batch->view.records[i].value.u64, batch->header.base_seqno + i);
}

static inline struct yd_log_reader *open_reader(struct yd_log *log, enum yd_log_from from, uint64_t seqno,
                                                enum yd_ack level)
{
    struct yd_log_start start = {.from = from, .seqno = seqno, .level = level};
    struct yd_log_reader *reader;
    assert_int_equal(yd_log_reader_open(log, &start, &reader), 0);
    return reader;
}

/* Reads all there is; returns the records read. Gaps are counted. */
static inline uint64_t read_all(struct yd_log_reader *reader, uint64_t *ret_missing)
{
    uint64_t records = 0, missing = 0;
    for (;;) {
        struct yd_batch *batch;
        struct yd_log_gap gap;
        int error = yd_log_reader_next(reader, &batch, &gap);
        if (error == YD_EAGAIN) break;
        if (error == YD_EGAP) {
            if (gap.to > gap.from) missing += gap.to - gap.from;
            continue;
        }
        assert_int_equal(error, 0);
        assert_int_equal(batch->header.base_seqno + batch->header.count, yd_log_reader_seqno(reader));
        check_marks(batch);
        records += batch->header.count;
        yd_batch_unref(batch);
    }
    if (ret_missing) *ret_missing = missing;
    return records;
}

static inline uint64_t read_from_oldest(struct yd_log *log, uint64_t *ret_missing)
{
    struct yd_log_reader *reader = open_reader(log, YD_FROM_OLDEST, 0, 0);
    uint64_t records = read_all(reader, ret_missing);
    yd_log_reader_close(reader);
    return records;
}

/* Forgets what memory keeps, by closing and opening again. */
static inline struct yd_log *reopen(struct world *world, struct yd_log *log, struct yd_log_recovery *ret)
{
    assert_int_equal(world_close(world, log), 0);
    return world_open(world, NULL, ret);
}

static inline void segment_path(const struct world *world, uint64_t base, const char *suffix, char *to, size_t size)
{
    (void)snprintf(to, size, "%s/%020llu%s", world->dir, (unsigned long long)base, suffix);
}

#endif
