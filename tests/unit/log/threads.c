/* The log's own threads: appends from many threads, readers that fall behind and catch up, waiters. Meant for TSan. */
#include <pthread.h>

#include "log_test.h"

#define APPENDERS 3
#define BATCHES   400
#define RECORDS   5

struct shared {
    struct world *world;
    struct yd_log *log;
    atomic_uint done;
    uint32_t number;
};

static uint64_t locked_random(void *arg)
{
    (void)arg;
    return 42;
}
static int64_t still(void *arg)
{
    (void)arg;
    return INT64_C(1700000000) * YD_NS_PER_S;
}

struct appender {
    struct shared *shared;
    uint64_t id, last_next;
};

static void *run_appender(void *arg)
{
    struct appender *appender = arg;
    struct yd_log *log = appender->shared->log;
    for (uint64_t i = 1; i <= BATCHES; i++) {
        struct yd_batch *batch = with_producer(make_batch(i, RECORDS, i % 7 ? 0 : 5000, 0), appender->id, 1, i);
        struct yd_log_appended appended;
        int error;
        while ((error = yd_log_append(log, batch, (int64_t)i - 1, UINT64_MAX, &appended)) == YD_EFULL)
            assert_int_equal(yd_log_wait(log, 1, YD_ACK_DURABLE), 0);
        assert_int_equal(error, 0);
        appender->last_next = appended.next;
        if (i % 16 == 0) assert_int_equal(yd_log_wait(log, appended.next, i % 32 ? YD_ACK_DURABLE : YD_ACK_WRITTEN), 0);
        yd_batch_unref(batch);
    }
    assert_int_equal(yd_log_wait(log, appender->last_next, YD_ACK_DURABLE), 0);
    atomic_fetch_add(&appender->shared->done, 1);
    return NULL;
}

struct reading {
    struct shared *shared;
    enum yd_ack level;
    bool slow;
    uint64_t records;
};

static void *run_reader(void *arg)
{
    struct reading *reading = arg;
    struct shared *shared = reading->shared;
    struct yd_log_reader *reader = open_reader(shared->log, YD_FROM_OLDEST, 0, reading->level);
    uint64_t seq[APPENDERS + 1] = {0}, at = 0;
    for (;;) {
        bool done = atomic_load(&shared->done) == APPENDERS;
        struct yd_batch *batch;
        int error = yd_log_reader_next(reader, &batch, NULL);
        if (error == YD_EAGAIN) {
            if (done) break;
            usleep(reading->slow ? 3000 : 100);
            continue;
        }
        assert_int_equal(error, 0);
        assert_int_equal(batch->header.base_seqno, at);
        at += batch->header.count;
        assert_int_equal(batch->header.producer_seq, ++seq[batch->header.producer_id]);
        reading->records += batch->header.count;
        if (reading->slow && at % 64 == 0) usleep(1000);
        yd_batch_unref(batch);
    }
    yd_log_reader_close(reader);
    return NULL;
}

static void readers_cross_between_memory_and_files_while_many_append(void **state)
{
    struct world *world = *state;
    struct yd_log_options options = world_options(world);
    options.random = locked_random;
    options.wall = still;
    options.segment_size_min = 64 << 10;
    options.segment_size_max = 256 << 10;
    options.memory_bytes_max = 20000;
    options.queue_bytes_max = 200000;
    struct shared shared = {.world = world, .log = world_open(world, &options, NULL)};
    assert_int_equal(yd_log_start(shared.log), 0);
    pthread_t appenders[APPENDERS], readers[3];
    struct appender appending[APPENDERS];
    struct reading reading[3] = {
        {&shared, YD_ACK_MEMORY, false, 0}, {&shared, YD_ACK_DURABLE, true, 0}, {&shared, YD_ACK_WRITTEN, false, 0}};
    for (int i = 0; i < 3; i++) assert_int_equal(pthread_create(&readers[i], NULL, run_reader, &reading[i]), 0);
    for (uint64_t i = 0; i < APPENDERS; i++) {
        appending[i] = (struct appender){&shared, i + 1, 0};
        assert_int_equal(pthread_create(&appenders[i], NULL, run_appender, &appending[i]), 0);
    }
    for (int i = 0; i < 5; i++) {
        assert_int_equal(yd_log_cursor_save(shared.log, "x", (uint64_t)i * 100), 0);
        assert_int_equal(yd_log_maintain(shared.log), 0);
    }
    for (int i = 0; i < APPENDERS; i++) pthread_join(appenders[i], NULL);
    for (int i = 0; i < 3; i++) {
        pthread_join(readers[i], NULL);
        assert_int_equal(reading[i].records, APPENDERS * BATCHES * RECORDS);
    }
    assert_int_equal(world_close(world, shared.log), 0);
    assert_int_equal(yd_log_verify_dir(world->fs, world->dir, NULL, NULL, NULL), 0);
}

struct mapped {
    struct world *world;
    atomic_bool end;
    uint64_t records, missing, checked_again;
};

/* Reads the folder from its first record to the end, holding a few batches of segments that may be gone by now. */
static void *run_mapped(void *arg)
{
    struct mapped *mapped = arg;
    struct yd_log_start start = {.from = YD_FROM_OLDEST};
    struct yd_log_reader *reader;
    struct yd_batch *held[8] = {0};
    assert_int_equal(yd_log_reader_open_dir(mapped->world->fs, mapped->world->dir, &start, &reader, NULL), 0);
    for (uint32_t taken = 0;;) {
        bool ended = atomic_load(&mapped->end);
        struct yd_batch *batch;
        struct yd_log_gap gap;
        int error = yd_log_reader_next(reader, &batch, &gap);
        if (error == YD_EAGAIN && ended) break;
        if (error == YD_EAGAIN) {
            (void)yd_log_reader_wait(reader, 20 * YD_NS_PER_MS);
            continue;
        }
        if (error == YD_EGAP) {
            assert_string_equal(gap.reason, "retention");
            mapped->missing += gap.to - gap.from;
            continue;
        }
        assert_int_equal(error, 0);
        check_marks(batch);
        mapped->records += batch->header.count;
        struct yd_batch **place = &held[taken++ % YD_COUNT(held)];
        if (*place) {
            check_marks(*place); /* its pages are held, whatever became of the file */
            mapped->checked_again++;
            yd_batch_unref(*place);
        }
        *place = batch;
    }
    for (size_t i = 0; i < YD_COUNT(held); i++)
        if (held[i]) yd_batch_unref(held[i]);
    yd_log_reader_close(reader);
    return NULL;
}

static void mapped_readers_see_all_while_twins_ballast_and_retention_work(void **state)
{
    struct world *world = *state;
    struct yd_log_options options = world_options(world);
    options.random = locked_random;
    options.wall = still;
    options.segment_size_min = options.segment_size_max = 64 << 10;
    options.compress_after_ns = 1;
    options.index_names = true;
    options.ballast_bytes = 128 << 10;
    options.retain_bytes = 1 << 20;
    struct yd_log *log = world_open(world, &options, NULL);
    assert_int_equal(yd_log_start(log), 0);
    struct mapped mapped[2] = {{.world = world}, {.world = world}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&threads[i], NULL, run_mapped, &mapped[i]), 0);
    uint64_t next = 0;
    for (uint64_t i = 0; i < 1500; i++) {
        next = append(log, 20, 3000) + 20;
        if (i % 8 == 0) assert_int_equal(yd_log_wait(log, next, YD_ACK_DURABLE), 0);
        if (i % 100 == 99)
            assert_int_equal(yd_log_maintain(log), 0); /* twins, ballast, retention, by this thread too */
    }
    assert_int_equal(yd_log_wait(log, next, YD_ACK_DURABLE), 0);
    for (int i = 0; i < 2; i++) atomic_store(&mapped[i].end, true);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(mapped[i].records + mapped[i].missing, next);
        assert_true(mapped[i].checked_again > 0);
    }
    assert_int_equal(world_close(world, log), 0);
    assert_int_equal(yd_log_verify_dir(world->fs, world->dir, NULL, NULL, NULL), 0);
}

static void a_waiter_without_the_logs_thread_flushes_itself(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    append(log, 3, 0);
    assert_int_equal(yd_log_wait(log, 3, YD_ACK_DURABLE), 0);
    assert_int_equal(yd_log_wait(log, 4, YD_ACK_DURABLE), YD_EAGAIN);
    assert_int_equal(world_close(world, log), 0);
}

static void starting_twice_is_refused_and_closing_stops(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    assert_int_equal(yd_log_start(log), 0);
    assert_int_equal(yd_log_start(log), YD_EEXIST);
    append(log, 3, 0);
    assert_int_equal(world_close(world, log), 0);
    log = world_open(world, NULL, NULL);
    assert_int_equal(read_from_oldest(log, NULL), 3);
    assert_int_equal(world_close(world, log), 0);
}

/* ---- one cursor that two save: an element's and a client's of one name ---- */

#define SAVES 50

struct saving {
    struct yd_log *log;
    atomic_uint failed;
};

static void *save_often(void *arg)
{
    struct saving *saving = arg;
    for (uint64_t i = 1; i <= SAVES; i++)
        if (yd_log_cursor_save(saving->log, "one", i)) atomic_fetch_add(&saving->failed, 1);
    return NULL;
}

static void a_cursor_that_two_save_at_once_is_one_of_theirs(void **state)
{
    struct world *world = *state;
    struct yd_log_options options = world_options(world);
    options.random = locked_random;
    options.wall = still;
    struct saving saving = {.log = world_open(world, &options, NULL)};
    struct yd_cursor cursor;
    pthread_t threads[2];
    append(saving.log, SAVES, 0);
    assert_int_equal(yd_log_flush(saving.log), 0);
    for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&threads[i], NULL, save_often, &saving), 0);
    for (int i = 0; i < 2; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&saving.failed), 0);
    assert_int_equal(yd_log_cursor_load(saving.log, "one", &cursor), 0);
    assert_int_equal(cursor.seqno, SAVES);
    assert_int_equal(world_close(world, saving.log), 0);
}

#define WORLD(test) cmocka_unit_test_setup_teardown(test, world_setup_linux, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(readers_cross_between_memory_and_files_while_many_append),
        WORLD(mapped_readers_see_all_while_twins_ballast_and_retention_work),
        WORLD(a_waiter_without_the_logs_thread_flushes_itself),
        WORLD(starting_twice_is_refused_and_closing_stops),
        WORLD(a_cursor_that_two_save_at_once_is_one_of_theirs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
