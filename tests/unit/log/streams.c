/* Logs that others hold: references, watches, the registry by name, and a closing that all of them outlive. */
#include <pthread.h>

#include "log_test.h"

static void put(struct yd_log *log, uint64_t mark, int expected)
{
    struct yd_batch *batch = make_batch(mark, 3, 0, 0);
    struct yd_log_appended appended;
    assert_int_equal(yd_log_append(log, batch, -1, UINT64_MAX, &appended), expected);
    yd_batch_unref(batch);
}

static void closed_log_answers_closed_until_the_last_reference_goes(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    put(log, 1, 0);
    assert_int_equal(yd_log_flush(log), 0);
    put(log, 4, 0);
    struct yd_log_start start = {.from = YD_FROM_OLDEST};
    struct yd_log_reader *reader;
    assert_int_equal(yd_log_reader_open(log, &start, &reader), 0);
    (void)yd_log_ref(log);
    assert_int_equal(world_close(world, log), 0);

    struct yd_batch *batch;
    assert_int_equal(yd_log_reader_next(reader, &batch, NULL), YD_ECLOSED);
    struct yd_log_reader *other;
    assert_int_equal(yd_log_reader_open(log, &start, &other), YD_ECLOSED);
    put(log, 7, YD_ECLOSED);
    assert_int_equal(yd_log_flush(log), YD_ECLOSED);
    assert_int_equal(yd_log_maintain(log), YD_ECLOSED);
    assert_int_equal(yd_log_cursor_save(log, "x", 3), YD_ECLOSED);
    assert_int_equal(yd_log_wait(log, 7, YD_ACK_DURABLE), YD_ECLOSED);
    assert_int_equal(yd_log_wait(log, 6, YD_ACK_DURABLE), 0); /* closing wrote what was queued */
    struct yd_log_position position;
    yd_log_position(log, &position);
    assert_true(position.closed);
    assert_int_equal(position.durable, 6);

    /* The folder is free again, though references are out. */
    struct yd_log *again = world_open(world, NULL, NULL);
    yd_log_position(again, &position);
    assert_int_equal(position.durable, 6);
    assert_false(position.closed);
    assert_int_equal(world_close(world, again), 0);

    yd_log_unref(log);
    yd_log_reader_close(reader);
}

static void count_call(void *arg)
{
    (*(unsigned *)arg)++;
}

static void watches_are_told_of_positions_and_of_closing(void **state)
{
    struct world *world = *state;
    struct yd_log *log = yd_log_ref(world_open(world, NULL, NULL));
    unsigned runner = 0, first = 0, second = 0;
    struct yd_log_watch *watches[2];
    yd_log_on_progress(log, count_call, &runner);
    assert_int_equal(yd_log_watch(log, count_call, &first, &watches[0]), 0);
    assert_int_equal(yd_log_watch(log, count_call, &second, &watches[1]), 0);
    put(log, 1, 0);
    assert_int_equal(yd_log_flush(log), 0);
    assert_int_equal(runner, 2); /* written, durable */
    assert_int_equal(first, 2);
    yd_log_unwatch(watches[0]);
    assert_int_equal(yd_log_flush(log), 0);
    assert_int_equal(second, 2); /* nothing moved */
    assert_int_equal(world_close(world, log), 0);
    assert_int_equal(first, 2);
    assert_int_equal(second, 3);
    assert_int_equal(runner, 2); /* whoever runs it knows */
    yd_log_unwatch(watches[1]);
    yd_log_unwatch(NULL);
    yd_log_unref(log);
    yd_log_unref(NULL);
}

static int visit(void *arg, const char *stream, struct yd_log *log)
{
    char **at = arg;
    assert_non_null(log);
    *at = stpcpy(stpcpy(*at, stream), " ");
    return strcmp(stream, "c/1") == 0 ? 7 : 0;
}

static void registry_finds_by_name_and_lists_in_order(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    struct yd_streams *streams;
    assert_int_equal(yd_streams_create(&streams), 0);
    static const char *const names[] = {"c/0", "a/0", "c/1", "b/10"};
    for (size_t i = 0; i < YD_COUNT(names); i++) assert_int_equal(yd_streams_put(streams, names[i], log), 0);
    assert_int_equal(yd_streams_put(streams, "a/0", log), YD_EEXIST);
    char text[64], *at = text;
    assert_int_equal(yd_streams_list(streams, visit, &at), 7);
    assert_string_equal(text, "a/0 b/10 c/0 c/1 ");
    yd_streams_remove(streams, "c/1");
    yd_streams_remove(streams, "nobody");
    at = text;
    assert_int_equal(yd_streams_list(streams, visit, &at), 0);
    assert_string_equal(text, "a/0 b/10 c/0 ");
    assert_null(yd_streams_find(streams, "c/1"));
    struct yd_log *found = yd_streams_find(streams, "b/10");
    assert_ptr_equal(found, log);
    assert_int_equal(world_close(world, log), 0);
    put(found, 1, YD_ECLOSED);
    yd_log_unref(found);
    yd_streams_destroy(streams); /* with three references inside */
    yd_streams_destroy(NULL);
}

/* ---- threads: who finds, appends, reads and watches while it is closed and opened again ---- */

struct shared {
    struct yd_streams *streams;
    atomic_bool done;
    atomic_uint moved, appended, read;
};

static void note(void *arg)
{
    atomic_fetch_add(&((struct shared *)arg)->moved, 1);
}

static void *run_user(void *arg)
{
    struct shared *shared = arg;
    while (!atomic_load(&shared->done)) {
        struct yd_log *log = yd_streams_find(shared->streams, "s/0");
        if (!log) {
            sched_yield();
            continue;
        }
        struct yd_log_watch *watch;
        assert_int_equal(yd_log_watch(log, note, shared, &watch), 0);
        struct yd_log_start start = {.from = YD_FROM_OLDEST, .level = YD_ACK_WRITTEN};
        struct yd_log_reader *reader = NULL;
        int error = yd_log_reader_open(log, &start, &reader);
        for (int i = 0; i < 20 && !error; i++) {
            struct yd_batch *batch = make_batch(1, 2, 0, 0), *got = NULL;
            struct yd_log_appended appended;
            error = yd_log_append(log, batch, -1, UINT64_MAX, &appended);
            yd_batch_unref(batch);
            if (!error) atomic_fetch_add(&shared->appended, 2);
            if (error == YD_EFULL) error = 0;
            int got_error = yd_log_reader_next(reader, &got, NULL);
            assert_true(got_error == 0 || got_error == YD_EAGAIN || got_error == YD_ECLOSED);
            if (got_error == 0) yd_batch_unref(got);
            if (got_error == 0) atomic_fetch_add(&shared->read, 1);
            if (!error && i == 10) error = yd_log_wait(log, appended.next, YD_ACK_DURABLE);
        }
        assert_true(error == 0 || error == YD_ECLOSED);
        yd_log_unwatch(watch);
        yd_log_reader_close(reader);
        yd_log_unref(log);
    }
    return NULL;
}

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

static void users_outlive_closings_under_them(void **state)
{
    struct world *world = *state;
    struct shared shared = {0};
    assert_int_equal(yd_streams_create(&shared.streams), 0);
    pthread_t users[3];
    for (int i = 0; i < 3; i++) assert_int_equal(pthread_create(&users[i], NULL, run_user, &shared), 0);
    struct yd_log_options options = world_options(world);
    options.random = locked_random;
    options.wall = still;
    options.memory_bytes_max = 4096;
    for (int i = 0; i < 12; i++) {
        struct yd_log *log = world_open(world, &options, NULL);
        assert_int_equal(yd_log_start(log), 0);
        assert_int_equal(yd_streams_put(shared.streams, "s/0", log), 0);
        unsigned before = atomic_load(&shared.appended);
        while (atomic_load(&shared.appended) < before + 50) sched_yield();
        yd_streams_remove(shared.streams, "s/0");
        assert_int_equal(world_close(world, log), 0);
    }
    atomic_store(&shared.done, true);
    for (int i = 0; i < 3; i++) pthread_join(users[i], NULL);
    yd_streams_destroy(shared.streams);
    assert_true(atomic_load(&shared.moved) > 0 && atomic_load(&shared.read) > 0);
    struct yd_log *log = world_open(world, &options, NULL);
    struct yd_log_position position;
    yd_log_position(log, &position);
    assert_int_equal(position.durable, atomic_load(&shared.appended)); /* what was taken was written by closing */
    assert_int_equal(world_close(world, log), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(closed_log_answers_closed_until_the_last_reference_goes, world_setup_linux,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(watches_are_told_of_positions_and_of_closing, world_setup_sim, world_teardown),
        cmocka_unit_test_setup_teardown(registry_finds_by_name_and_lists_in_order, world_setup_sim, world_teardown),
        cmocka_unit_test_setup_teardown(users_outlive_closings_under_them, world_setup_linux, world_teardown),
    };
    return cmocka_run_group_tests_name("log / streams", tests, NULL, NULL);
}
