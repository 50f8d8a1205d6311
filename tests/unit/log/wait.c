/* Readers that sleep: woken by the writer, by another thread, by a writer that came back; never by a clock. */
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "log_test.h"

struct sleeper {
    struct yd_log_reader *reader;
    uint64_t want, seen;
    int error;
    bool cut; /* was told "cut back" */
};

/* Reads until it has `want` records, sleeping whenever there is nothing. */
static void *read_asleep(void *arg)
{
    struct sleeper *sleeper = arg;
    while (sleeper->seen < sleeper->want && !sleeper->error) {
        struct yd_batch *batch;
        struct yd_log_gap gap;
        int error = yd_log_reader_next(sleeper->reader, &batch, &gap);
        if (error == 0) {
            sleeper->seen += batch->header.count;
            yd_batch_unref(batch);
        } else if (error == YD_EAGAIN) {
            sleeper->error = yd_log_reader_wait(sleeper->reader, 20 * YD_NS_PER_S);
        } else if (error == YD_EGAP) {
            sleeper->cut |= strcmp(gap.reason, "cut back") == 0;
        } else {
            sleeper->error = error;
        }
    }
    return NULL;
}

static struct yd_log_reader *direct_reader(struct world *world, enum yd_log_from from)
{
    struct yd_log_start start = {.from = from};
    struct yd_log_reader *reader;
    assert_int_equal(yd_log_reader_open_dir(NULL, world->dir, &start, &reader, NULL), 0);
    return reader;
}

static void a_sleeping_reader_gets_every_record(void **state)
{
    struct world *world = *state;
    struct yd_log_options options = world_options(world);
    options.segment_size_min = options.segment_size_max = 64 << 10; /* rolls on the way */
    struct yd_log *log = world_open(world, &options, NULL);
    assert_int_equal(yd_log_start(log), 0);
    struct sleeper sleepers[4] = {{0}};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        sleepers[i] = (struct sleeper){.want = 2000};
        sleepers[i].reader =
            i % 2 ? direct_reader(world, YD_FROM_OLDEST) : open_reader(log, YD_FROM_OLDEST, 0, i ? YD_ACK_WRITTEN : 0);
        pthread_create(&threads[i], NULL, read_asleep, &sleepers[i]);
    }
    for (int i = 0; i < 400; i++) {
        uint64_t next = append(log, 5, i % 7 ? 0 : 3000);
        if (i % 3 == 0) assert_int_equal(yd_log_wait(log, next, YD_ACK_DURABLE), 0); /* they fall asleep meanwhile */
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(sleepers[i].error, 0);
        assert_int_equal(sleepers[i].seen, 2000);
        yd_log_reader_close(sleepers[i].reader);
    }
    assert_int_equal(world_close(world, log), 0);
}

static void a_wait_ends_in_time_and_uses_no_cpu(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    append(log, 3, 0);
    assert_int_equal(yd_log_flush(log), 0);
    struct yd_log_reader *reader = direct_reader(world, YD_FROM_TAIL);
    struct timespec from, to;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
    assert_int_equal(yd_log_reader_wait(reader, 200 * YD_NS_PER_MS), YD_ETIMEOUT);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
    assert_true((to.tv_sec - from.tv_sec) * YD_NS_PER_S + to.tv_nsec - from.tv_nsec < 20 * YD_NS_PER_MS);
    yd_log_reader_close(reader);
    assert_int_equal(world_close(world, log), 0);
}

static void *wake_later(void *arg)
{
    usleep(20000);
    yd_log_reader_wake(arg);
    return NULL;
}

static void a_reader_is_woken_by_another_thread_once(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    struct yd_log_reader *reader = direct_reader(world, YD_FROM_OLDEST);
    pthread_t thread;
    pthread_create(&thread, NULL, wake_later, reader);
    assert_int_equal(yd_log_reader_wait(reader, -1), YD_ECANCELED);
    pthread_join(thread, NULL);
    assert_int_equal(yd_log_reader_wait(reader, 1), YD_ETIMEOUT);
    yd_log_reader_wake(reader); /* before it sleeps: not lost */
    assert_int_equal(yd_log_reader_wait(reader, -1), YD_ECANCELED);
    yd_log_reader_close(reader);
    assert_int_equal(world_close(world, log), 0);
}

static void a_wait_on_a_log_that_closes_ends(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    struct sleeper sleeper = {.reader = open_reader(log, YD_FROM_TAIL, 0, 0), .want = 1};
    pthread_t thread;
    pthread_create(&thread, NULL, read_asleep, &sleeper);
    usleep(20000);
    assert_int_equal(world_close(world, log), 0);
    pthread_join(thread, NULL);
    assert_int_equal(sleeper.error, YD_ECLOSED);
    yd_log_reader_close(sleeper.reader);
}

/* The child appends until it is killed; a second one goes on. The reader sleeps through both. */
static void a_reader_follows_a_writer_that_was_killed_and_came_back(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    append(log, 1, 0);
    assert_int_equal(world_close(world, log), 0);
    struct sleeper sleeper = {.reader = direct_reader(world, YD_FROM_OLDEST), .want = 300};
    pthread_t thread;
    pthread_create(&thread, NULL, read_asleep, &sleeper);
    for (int round = 0; round < 4; round++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            struct yd_log_options options = world_options(world);
            if (yd_log_open(&options, &log, NULL, NULL)) _exit(2);
            for (int i = 0; i < 50; i++)
                if (yd_log_wait(log, append(log, 2, 100), YD_ACK_DURABLE)) _exit(3);
            kill(getpid(), SIGKILL);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
    }
    pthread_join(thread, NULL);
    assert_int_equal(sleeper.error, 0);
    assert_true(sleeper.seen >= 300);
    assert_false(sleeper.cut); /* what is durable is never cut */
    yd_log_reader_close(sleeper.reader);
}

/* Rolls and retention in between; some batches are held until long after their segment is gone. */
static void mapped_and_copied_readings_are_the_same(void **state)
{
    struct world *world = *state;
    struct yd_log_options options = world_options(world);
    options.segment_size_min = options.segment_size_max = 64 << 10;
    options.retain_bytes = 512 << 10;
    struct yd_log *log = world_open(world, &options, NULL);
    append(log, 1, 0);
    assert_int_equal(yd_log_flush(log), 0);
    struct yd_log_start start = {.from = YD_FROM_OLDEST};
    struct yd_log_reader *readers[2];
    struct yd_batch *held[64] = {NULL};
    for (int i = 0; i < 2; i++) {
        start.copy = i;
        assert_int_equal(yd_log_reader_open_dir(world->fs, world->dir, &start, &readers[i], NULL), 0);
    }
    uint64_t batches = 0;
    for (int round = 0; round < 600; round++) {
        append(log, 1 + (uint32_t)(yd_rng_next(&world->rng) % 30), (size_t)(yd_rng_next(&world->rng) % 9000));
        assert_int_equal(yd_log_flush(log), 0);
        if (round % 5 == 0) assert_int_equal(yd_log_maintain(log), 0);
        if (yd_rng_next(&world->rng) % 3) continue;
        for (int error = 0; error != YD_EAGAIN;) {
            struct yd_batch *batch[2] = {NULL, NULL};
            struct yd_log_gap gap;
            error = yd_log_reader_next(readers[0], &batch[0], &gap);
            assert_int_equal(yd_log_reader_next(readers[1], &batch[1], &gap), error);
            if (error) continue;
            assert_memory_equal(&batch[0]->header, &batch[1]->header, sizeof batch[0]->header);
            assert_memory_equal(batch[0]->body->data, batch[1]->body->data, batch[0]->header.body_size);
            yd_batch_unref(batch[1]);
            struct yd_batch **slot = &held[batches++ % YD_COUNT(held)];
            if (*slot) check_marks(*slot);
            yd_batch_unref(*slot);
            *slot = batch[0];
        }
    }
    for (int i = 0; i < 2; i++) yd_log_reader_close(readers[i]);
    assert_int_equal(world_close(world, log), 0);
    for (size_t i = 0; i < YD_COUNT(held); i++) {
        if (held[i]) check_marks(held[i]);
        yd_batch_unref(held[i]);
    }
    assert_true(batches > 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_sleeping_reader_gets_every_record, world_setup_linux, world_teardown),
        cmocka_unit_test_setup_teardown(a_wait_ends_in_time_and_uses_no_cpu, world_setup_linux, world_teardown),
        cmocka_unit_test_setup_teardown(a_reader_is_woken_by_another_thread_once, world_setup_linux, world_teardown),
        cmocka_unit_test_setup_teardown(a_wait_on_a_log_that_closes_ends, world_setup_linux, world_teardown),
        cmocka_unit_test_setup_teardown(mapped_and_copied_readings_are_the_same, world_setup_linux, world_teardown),
        cmocka_unit_test_setup_teardown(a_reader_follows_a_writer_that_was_killed_and_came_back, world_setup_linux,
                                        world_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
