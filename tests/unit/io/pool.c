/* File threads: a lane keeps its order, lanes run side by side, completions come through the loop. */
#include <pthread.h>
#include <stdatomic.h>

#include "io/pool.h"
#include "tap.h"

static struct yd_loop *loop;
static struct yd_pool *pool;

static int with_pool(void **state)
{
    (void)state;
    assert_error(0, yd_loop_create_uv(&loop));
    assert_error(0, yd_pool_create(3, "a name that is too long", &pool));
    return 0;
}
static int without_pool(void **state)
{
    (void)state;
    yd_pool_destroy(pool);
    yd_loop_destroy(loop);
    return 0;
}

enum { LANES = 5, JOBS = 400 };
struct lane_state {
    struct yd_lane *lane;
    int worked, done;   /* `worked` is the lane's, `done` the loop's: neither needs an atomic */
    atomic_int running; /* must never be two */
};
struct job {
    struct lane_state *lane;
    int number;
};
static pthread_t main_thread;

static void work(void *arg)
{
    struct job *job = arg;
    if (atomic_fetch_add(&job->lane->running, 1) != 0 || job->lane->worked++ != job->number) abort();
    if (pthread_equal(pthread_self(), main_thread)) abort();
    atomic_fetch_sub(&job->lane->running, 1);
}
static void done(void *arg)
{
    struct job *job = arg;
    assert_true(pthread_equal(pthread_self(), main_thread));
    assert_int_equal(job->lane->done++, job->number);
    free(job);
}

static void each_lane_works_and_completes_in_its_order(void **state)
{
    struct lane_state lanes[LANES];
    (void)state;
    main_thread = pthread_self();
    memset(lanes, 0, sizeof lanes);
    for (int l = 0; l < LANES; l++) assert_error(0, yd_lane_open(pool, &lanes[l].lane));
    for (int j = 0; j < JOBS; j++)
        for (int l = 0; l < LANES; l++) {
            struct job *job = malloc(sizeof *job);
            *job = (struct job){&lanes[l], j};
            assert_error(0, yd_lane_submit(lanes[l].lane, work, loop, done, job));
        }
    int64_t end = yd_clock_mono() + 20 * YD_NS_PER_S;
    for (int l = 0; l < LANES; l++)
        while (lanes[l].done < JOBS && yd_clock_mono() < end) (void)yd_loop_run(loop, -1);
    for (int l = 0; l < LANES; l++) {
        assert_int_equal(lanes[l].done, JOBS);
        yd_lane_close(lanes[l].lane);
    }
    yd_lane_close(NULL);
}

static atomic_int met;
static void meet(void *arg)
{
    (void)arg;
    atomic_fetch_add(&met, 1);
    int64_t end = yd_clock_mono() + 10 * YD_NS_PER_S;
    while (atomic_load(&met) < 3 && yd_clock_mono() < end) sched_yield(); /* needs the other lanes to be running */
}

static void different_lanes_run_side_by_side(void **state)
{
    struct yd_lane *lanes[3];
    (void)state;
    atomic_store(&met, 0);
    for (int l = 0; l < 3; l++) {
        assert_error(0, yd_lane_open(pool, &lanes[l]));
        assert_error(0, yd_lane_submit(lanes[l], meet, loop, NULL, NULL));
    }
    for (int l = 0; l < 3; l++) yd_lane_close(lanes[l]);
    assert_int_equal(atomic_load(&met), 3);
}

static void slow(void *arg)
{
    usleep(1000);
    atomic_fetch_add((atomic_int *)arg, 1);
}
static void count(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1000);
}

static void closing_a_lane_waits_for_its_jobs_and_their_done_still_comes(void **state)
{
    struct yd_lane *lane;
    atomic_int counter = 0;
    (void)state;
    assert_error(0, yd_lane_open(pool, &lane));
    for (int i = 0; i < 10; i++) assert_error(0, yd_lane_submit(lane, slow, loop, count, &counter));
    yd_lane_close(lane);
    assert_int_equal(atomic_load(&counter) % 1000, 10);
    while (atomic_load(&counter) < 10010) (void)yd_loop_run(loop, -1);
}

struct told {
    struct yd_histogram spent[YD_WAIT_SYNC + 1];
    unsigned count;
};
static void tell(void *arg, const struct yd_wait *wait)
{
    struct told *told = arg;
    assert_string_equal(wait->of, "file threads \"a name that is \"");
    told->spent[wait->what] = *wait->spent;
    told->count++;
}

static atomic_bool held, released;
static void hold(void *arg)
{
    (void)arg;
    atomic_store(&held, true);
    while (!atomic_load(&released)) usleep(200);
}

static void how_long_jobs_waited_and_took_is_told(void **state)
{
    struct yd_lane *lane;
    atomic_int counter = 0;
    struct told told = {0};
    (void)state;
    yd_pool_waits(pool, &(struct yd_wait_visit){tell, &told});
    assert_int_equal(told.spent[YD_WAIT_QUEUE].total + told.spent[YD_WAIT_WORK].total, 0);
    assert_error(0, yd_lane_open(pool, &lane));
    atomic_store(&held, false);
    atomic_store(&released, false);
    assert_error(0, yd_lane_submit(lane, hold, loop, NULL, NULL));
    for (int i = 0; i < 10; i++) assert_error(0, yd_lane_submit(lane, slow, loop, NULL, &counter));
    int64_t end = yd_clock_mono() + 20 * YD_NS_PER_S;
    while (!atomic_load(&held) && yd_clock_mono() < end) usleep(200); /* on a busy machine its thread comes late */
    usleep(5000); /* so long the first works and all others are in its queue, at least */
    atomic_store(&released, true);
    yd_lane_close(lane);
    yd_pool_waits(pool, &(struct yd_wait_visit){tell, &told});
    assert_int_equal(told.count, 6); /* the queue, the work, the lock; twice */
    assert_int_equal(told.spent[YD_WAIT_QUEUE].total, 11);
    assert_int_equal(told.spent[YD_WAIT_WORK].total, 11);
    assert_true(told.spent[YD_WAIT_WORK].sum_ns >= 15.0 * YD_NS_PER_MS);
    assert_true(told.spent[YD_WAIT_QUEUE].sum_ns >= 50.0 * YD_NS_PER_MS);
}

static void there_is_one_pool_for_each_disk(void **state)
{
    struct yd_pools *pools;
    struct yd_pool *one, *two, *three;
    (void)state;
    assert_error(0, yd_pools_create(1, &pools));
    assert_error(0, yd_pools_for(pools, yd_fs_linux(), "/tmp", &one));
    assert_error(0, yd_pools_for(pools, yd_fs_linux(), "/tmp/not/there/yet", &two));
    assert_error(0, yd_pools_for(pools, yd_fs_linux(), "/proc", &three));
    assert_ptr_equal(one, two);
    assert_ptr_not_equal(one, three);
    yd_pools_destroy(pools);
    yd_pools_destroy(NULL);
}

static void a_pool_without_threads_is_refused(void **state)
{
    struct yd_pool *none = NULL;
    (void)state;
    assert_error(YD_EINVAL, yd_pool_create(0, "x", &none));
    assert_error(YD_EINVAL, yd_pool_create_sim(loop, &none));
    assert_null(none);
}

#define POOL(test) cmocka_unit_test_setup_teardown(test, with_pool, without_pool)

int main(void)
{
    const struct CMUnitTest tests[] = {
        POOL(each_lane_works_and_completes_in_its_order),
        POOL(different_lanes_run_side_by_side),
        POOL(closing_a_lane_waits_for_its_jobs_and_their_done_still_comes),
        POOL(how_long_jobs_waited_and_took_is_told),
        POOL(there_is_one_pool_for_each_disk),
        POOL(a_pool_without_threads_is_refused),
    };
    return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
