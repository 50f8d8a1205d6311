/* A lock counts what it was waited for, and nothing else. */
#include <pthread.h>
#include <stdatomic.h>

#include "io/lock.h"
#include "io/loop.h"
#include "tap.h"

static struct yd_lock lock;
static atomic_bool stop;
static int guarded; /* what the lock protects */

static int with_lock(void **state)
{
    (void)state;
    yd_lock_init(&lock);
    atomic_store(&stop, false);
    guarded = 0;
    return 0;
}
static int without_lock(void **state)
{
    (void)state;
    yd_lock_fini(&lock);
    return 0;
}

static uint64_t in_buckets(const struct yd_histogram *histogram)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < YD_HISTOGRAM_BUCKETS; i++) total += histogram->counts[i];
    return total;
}

static void a_lock_that_is_free_counts_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++) {
        yd_lock_take(&lock);
        yd_lock_give(&lock);
    }
    assert_int_equal(lock.waits.total, 0);
    assert_int_equal(lock.waits.max_ns, 0);
}

static void *take_and_give(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop)) {
        yd_lock_take(&lock);
        guarded++;
        yd_lock_give(&lock);
        sched_yield();
    }
    return NULL;
}

static void who_finds_it_taken_is_counted_with_the_time_it_took(void **state)
{
    (void)state;
    pthread_t thread;
    struct yd_histogram seen = {0};
    int64_t begun = yd_clock_mono();
    yd_lock_take(&lock); /* before it begins: it waits at least once, for as long as this is held from then on */
    assert_int_equal(pthread_create(&thread, NULL, take_and_give, NULL), 0);
    while (seen.total == 0 && yd_clock_mono() < begun + 20 * YD_NS_PER_S) {
        struct timespec a_moment = {.tv_nsec = 5 * YD_NS_PER_MS};
        nanosleep(&a_moment, NULL);
        yd_lock_give(&lock);
        sched_yield();
        yd_lock_take(&lock);
        yd_histogram_copy(&seen, &lock.waits);
    }
    atomic_store(&stop, true);
    yd_lock_give(&lock);
    pthread_join(thread, NULL);
    int64_t passed = yd_clock_mono() - begun;
    yd_histogram_copy(&seen, &lock.waits);
    assert_true(seen.total > 0);
    assert_int_equal(in_buckets(&seen), seen.total);
    assert_true(seen.max_ns > 0 && seen.sum_ns >= (double)seen.max_ns);
    assert_true(seen.sum_ns <= 2 * (double)passed); /* two threads */
}

struct told {
    unsigned count;
    enum yd_wait_what what;
    char of[40], part[40];
    uint64_t total;
};
static void tell(void *arg, const struct yd_wait *wait)
{
    struct told *told = arg;
    told->count++;
    told->what = wait->what;
    snprintf(told->of, sizeof told->of, "%s", wait->of);
    snprintf(told->part, sizeof told->part, "%s", wait->part);
    told->total = wait->spent->total;
    assert_true(in_buckets(wait->spent) >= wait->spent->total);
}

static void others_may_look_while_many_fight_over_it(void **state)
{
    (void)state;
    enum { FIGHTERS = 4 };
    pthread_t threads[FIGHTERS];
    struct told told = {0};
    struct yd_wait_visit visit = {tell, &told};
    for (int i = 0; i < FIGHTERS; i++) assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, NULL), 0);
    for (int i = 0; i < 300; i++) {
        yd_wait_lock(&visit, "stream x/0", "files", &lock);
        sched_yield();
    }
    atomic_store(&stop, true);
    for (int i = 0; i < FIGHTERS; i++) pthread_join(threads[i], NULL);
    yd_wait_lock(&visit, "stream x/0", "files", &lock);
    assert_int_equal(told.count, 301);
    assert_int_equal(told.what, YD_WAIT_LOCK);
    assert_string_equal(told.of, "stream x/0");
    assert_string_equal(told.part, "files");
    assert_int_equal(told.total, lock.waits.total);
    assert_int_equal(in_buckets(&lock.waits), lock.waits.total);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_lock_that_is_free_counts_nothing, with_lock, without_lock),
        cmocka_unit_test_setup_teardown(who_finds_it_taken_is_counted_with_the_time_it_took, with_lock, without_lock),
        cmocka_unit_test_setup_teardown(others_may_look_while_many_fight_over_it, with_lock, without_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
