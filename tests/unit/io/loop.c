/* The Linux loop: timers, waking, posts from other threads, descriptors, signals, child processes; addresses. */
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/un.h>

#include "base/hash.h"
#include "io/loop.h"
#include "tap.h"

static struct yd_loop *loop;

static int with_loop(void **state)
{
    (void)state;
    assert_error(0, yd_loop_create_uv(&loop));
    return 0;
}
static int without_loop(void **state)
{
    (void)state;
    yd_loop_destroy(loop);
    return 0;
}

/* Runs the loop until *flag, at most ten seconds. */
static void run_until(const int *flag)
{
    int64_t end = yd_clock_mono() + 10 * YD_NS_PER_S;
    while (!*flag && yd_clock_mono() < end) (void)yd_loop_run(loop, 100 * YD_NS_PER_MS);
    assert_true(*flag);
}

static void count_up(void *arg)
{
    ++*(int *)arg;
}

/* ---- timers ---- */

static int64_t fired[400];
static int fired_count;
struct alarm_clock {
    struct yd_timer *timer;
    int64_t at;
};
static void note_fired(void *arg)
{
    fired[fired_count++] = ((struct alarm_clock *)arg)->at;
    assert_true(yd_loop_mono(loop) >= ((struct alarm_clock *)arg)->at);
}

static void timers_fire_in_the_order_of_their_times_and_stopped_ones_do_not(void **state)
{
    enum { TIMERS = 300 };
    static struct alarm_clock clocks[TIMERS];
    struct yd_rng rng;
    int stopped = 0;
    (void)state;
    fired_count = 0;
    yd_rng_init(&rng, 1);
    int64_t now = yd_loop_mono(loop);
    for (int i = 0; i < TIMERS; i++) assert_error(0, yd_timer_create(loop, note_fired, &clocks[i], &clocks[i].timer));
    for (int step = 0; step < 2000; step++) {
        struct alarm_clock *clock = &clocks[yd_rng_below(&rng, TIMERS)];
        clock->at = yd_rng_chance(&rng, 4) ? 0 : now - 1000000 + (int64_t)yd_rng_below(&rng, 5000000);
        if (clock->at)
            yd_timer_start(clock->timer, clock->at);
        else
            yd_timer_stop(clock->timer);
    }
    for (int i = 0; i < TIMERS; i++) stopped += clocks[i].at == 0;
    int64_t end = yd_clock_mono() + 10 * YD_NS_PER_S;
    while (fired_count < TIMERS - stopped && yd_clock_mono() < end) (void)yd_loop_run(loop, -1);
    assert_int_equal(fired_count, TIMERS - stopped);
    for (int i = 1; i < fired_count; i++) assert_true(fired[i - 1] <= fired[i]);
    for (int i = 0; i < TIMERS; i++) yd_timer_close(clocks[i].timer);
    yd_timer_close(NULL);
}

static struct yd_timer *self;
static int self_fired;
static void start_again(void *arg)
{
    (void)arg;
    if (++self_fired < 3) yd_timer_start(self, 0);
}
static void close_self(void *arg)
{
    (void)arg;
    yd_timer_close(self);
}

static void a_timer_started_in_its_own_fire_waits_for_the_next_turn(void **state)
{
    (void)state;
    self_fired = 0;
    assert_error(0, yd_timer_create(loop, start_again, NULL, &self));
    yd_timer_start(self, 0);
    assert_int_equal(yd_loop_run(loop, 0), 1);
    assert_int_equal(yd_loop_run(loop, -1), 1);
    assert_int_equal(yd_loop_run(loop, -1), 1);
    assert_int_equal(yd_loop_run(loop, 0), 0);
    yd_timer_close(self);
    assert_error(0, yd_timer_create(loop, close_self, NULL, &self));
    yd_timer_start(self, 0);
    assert_int_equal(yd_loop_run(loop, -1), 1);
}

static void a_wait_ends_at_its_timeout(void **state)
{
    int64_t start = yd_clock_mono();
    (void)state;
    assert_int_equal(yd_loop_run(loop, 20 * YD_NS_PER_MS), 0);
    assert_in_range(yd_clock_mono() - start, 19 * YD_NS_PER_MS, YD_NS_PER_S);
}

/* ---- waking and posting ---- */

static void a_wake_before_the_wait_is_not_lost_and_many_are_one(void **state)
{
    int64_t start = yd_clock_mono();
    (void)state;
    for (int i = 0; i < 100; i++) yd_loop_wake(loop);
    assert_int_equal(yd_loop_run(loop, 10 * YD_NS_PER_S), 0);
    assert_true(yd_clock_mono() - start < 5 * YD_NS_PER_S);
    start = yd_clock_mono();
    assert_int_equal(yd_loop_run(loop, 10 * YD_NS_PER_MS), 0); /* the wakes are used up */
    assert_true(yd_clock_mono() - start > 5 * YD_NS_PER_MS);
}

enum { POSTERS = 4, POSTS = 3000 };
struct poster {
    pthread_t thread;
    int next, posted; /* `next` belongs to the loop's thread */
    struct posted_number {
        struct poster *by;
        int number;
    } numbers[POSTS];
};
static int arrived;

static void number_arrived(void *arg)
{
    struct posted_number *number = arg;
    assert_int_equal(number->number, number->by->next++);
    arrived++;
}

static void *post_numbers(void *arg)
{
    struct poster *poster = arg;
    for (int i = 0; i < POSTS; i++) {
        poster->numbers[i] = (struct posted_number){poster, i};
        if (yd_loop_post(loop, number_arrived, &poster->numbers[i])) abort();
        if (i % 7 == 0) yd_loop_wake(loop);
    }
    return NULL;
}

static void posts_of_four_threads_all_arrive_each_thread_in_its_order(void **state)
{
    static struct poster posters[POSTERS];
    (void)state;
    arrived = 0;
    memset(posters, 0, sizeof posters);
    for (int i = 0; i < POSTERS; i++)
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_numbers, &posters[i]), 0);
    int64_t end = yd_clock_mono() + 20 * YD_NS_PER_S;
    while (arrived < POSTERS * POSTS && yd_clock_mono() < end)
        (void)yd_loop_run(loop, -1); /* sleeps: a lost wake hangs */
    for (int i = 0; i < POSTERS; i++) pthread_join(posters[i].thread, NULL);
    assert_int_equal(arrived, POSTERS * POSTS);
}

static void a_post_by_the_loop_itself_runs_in_the_next_turn_and_at_destroy_at_the_latest(void **state)
{
    int count = 0;
    (void)state;
    assert_error(0, yd_loop_post(loop, count_up, &count));
    assert_int_equal(count, 0);
    assert_int_equal(yd_loop_run(loop, -1), 1);
    assert_int_equal(count, 1);
    assert_error(0, yd_loop_post(loop, count_up, &count));
    yd_loop_destroy(loop);
    assert_int_equal(count, 2);
    assert_error(0, yd_loop_create_uv(&loop));
}

/* ---- descriptors, signals ---- */

static void a_watch_tells_that_a_descriptor_is_readable_and_leaves_it_open(void **state)
{
    int count = 0, fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    eventfd_t value;
    struct yd_watch *watch;
    (void)state;
    assert_error(0, yd_watch_open(loop, fd, count_up, &count, &watch));
    assert_int_equal(yd_loop_run(loop, 0), 0);
    eventfd_write(fd, 1);
    assert_int_equal(yd_loop_run(loop, -1), 1);
    assert_int_equal(yd_loop_run(loop, -1), 1); /* until somebody reads it */
    eventfd_read(fd, &value);
    assert_int_equal(yd_loop_run(loop, 0), 0);
    yd_watch_close(watch);
    assert_int_equal(eventfd_write(fd, 1), 0);
    assert_int_equal(yd_loop_run(loop, 0), 0);
    assert_true(yd_watch_open(loop, 12345, count_up, &count, &watch) < 0);
    close(fd);
}

static void note_signal(void *arg, int signal)
{
    *(int *)arg = signal;
}

static void a_signal_of_the_process_comes_as_a_callback(void **state)
{
    int number = 0;
    struct yd_signal *handle;
    (void)state;
    assert_error(0, yd_signal_open(loop, SIGUSR1, note_signal, &number, &handle));
    kill(getpid(), SIGUSR1);
    run_until(&number);
    assert_int_equal(number, SIGUSR1);
    yd_signal_close(handle);
    assert_true(yd_signal_open(loop, 999, note_signal, &number, &handle) < 0);
}

/* ---- child processes ---- */

struct talk {
    struct yd_child *child;
    char out[200000], err[100];
    size_t out_size, err_size;
    int exited;
    int64_t status;
    int signal;
};
static void talk_output(void *arg, struct yd_str bytes, bool is_stderr)
{
    struct talk *talk = arg;
    char *to = is_stderr ? talk->err + talk->err_size : talk->out + talk->out_size;
    assert_false(talk->exited);
    memcpy(to, bytes.data, bytes.size);
    *(is_stderr ? &talk->err_size : &talk->out_size) += bytes.size;
}
static void talk_exited(void *arg, int64_t status, int signal)
{
    struct talk *talk = arg;
    talk->exited = 1, talk->status = status, talk->signal = signal;
}
static const struct yd_child_ops talk_ops = {talk_output, talk_exited};

static struct talk *start_talk(const char *script)
{
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    struct talk *talk = calloc(1, sizeof *talk);
    assert_error(0, yd_child_start(loop, argv, &talk_ops, talk, &talk->child, NULL));
    return talk;
}
static void end_talk(struct talk *talk)
{
    yd_child_close(talk->child);
    (void)yd_loop_run(loop, 0);
    free(talk);
}

static void a_child_gets_its_input_and_exits_after_all_its_output(void **state)
{
    struct talk *talk = start_talk("cat; echo wrong >&2; exit 3");
    static char block[150000];
    (void)state;
    memset(block, 'x', sizeof block);
    assert_error(0, yd_child_write(talk->child, (struct yd_str){block, sizeof block}));
    assert_error(0, yd_child_write(talk->child, YD_STR("end")));
    yd_child_end_input(talk->child);
    assert_error(YD_ECLOSED, yd_child_write(talk->child, YD_STR("late")));
    run_until(&talk->exited);
    assert_int_equal(talk->out_size, sizeof block + 3);
    assert_memory_equal(talk->out + sizeof block, "end", 3);
    assert_int_equal(talk->err_size, 6);
    assert_int_equal(talk->status, 3);
    for (int i = 0; i < 3; i++) (void)yd_loop_run(loop, 0); /* its handles are gone, it is still ours to close */
    assert_error(YD_ECLOSED, yd_child_write(talk->child, YD_STR("late")));
    yd_child_kill(talk->child, SIGTERM);
    end_talk(talk);
}

static void a_killed_child_says_by_which_signal(void **state)
{
    struct talk *talk = start_talk("exec cat");
    (void)state;
    yd_child_kill(talk->child, SIGTERM);
    run_until(&talk->exited);
    assert_int_equal(talk->signal, SIGTERM);
    end_talk(talk);
}

static void a_grandchild_that_keeps_the_output_does_not_hold_up_the_exit(void **state)
{
    struct talk *talk = start_talk("sleep 60 & echo started; exit 0");
    (void)state;
    run_until(&talk->exited);
    assert_int_equal(talk->out_size, 8);
    end_talk(talk);
}

static void closing_a_living_child_kills_it_and_nothing_is_said_after(void **state)
{
    struct talk *talk = start_talk("echo hello; exec sleep 60");
    (void)state;
    yd_child_close(talk->child);
    yd_loop_destroy(loop); /* waits until it is reaped */
    assert_int_equal(talk->out_size + (size_t)talk->exited, 0);
    free(talk);
    assert_error(0, yd_loop_create_uv(&loop));
}

static void a_program_that_is_not_there_is_refused_with_its_name(void **state)
{
    const char *argv[] = {"/no/such/program", NULL};
    struct yd_trail trail;
    struct yd_child *child = NULL;
    (void)state;
    yd_trail_clear(&trail);
    assert_error(YD_ENOENT, yd_child_start(loop, argv, &talk_ops, NULL, &child, &trail));
    assert_null(child);
    assert_non_null(strstr(yd_trail_text(&trail), "/no/such/program"));
}

/* ---- addresses ---- */

static void addresses_are_read_and_written_back(void **state)
{
    static const char *const cases[][2] = {{"127.0.0.1:2003", NULL},
                                           {"[::1]:2003", NULL},
                                           {":2003", NULL},
                                           {"0.0.0.0:0", NULL},
                                           {"unix:/tmp/x", NULL},
                                           {"unix:x", NULL},
                                           {"localhost:1", "127.0.0.1:1"},
                                           {"[::]:65535", ":65535"},
                                           {"[2001:db8::1]:80", NULL}};
    static const bool loopback[] = {true, true, false, false, true, true, true, false, false};
    char text[160];
    (void)state;
    for (size_t i = 0; i < YD_COUNT(cases); i++) {
        struct yd_address address;
        assert_error(0, yd_address_parse(yd_str_of(cases[i][0]), &address, NULL));
        size_t size = yd_address_put(&address, text, sizeof text);
        assert_string_equal(text, cases[i][1] ? cases[i][1] : cases[i][0]);
        assert_int_equal(size, strlen(text));
        assert_int_equal(yd_address_loopback(&address), loopback[i]);
    }
    struct yd_address nobody = {0};
    assert_int_equal(yd_address_put(&nobody, text, sizeof text), 1);
}

static void wrong_addresses_are_refused_with_a_reason(void **state)
{
    static const char *const wrong[] = {
        "",           "2003",         "127.0.0.1",      "127.0.0.1:",    "127.0.0.1:x", "1.2.3:4",     "::1:2003",
        "[::1:2003",  "[]:1",         "example.org:80", "1.2.3.4:70000", "unix:",       "[1.2.3.4]:5", "a b:1",
        "1.2.3.4: 5", "[localhost]:1"};
    char path[300] = "unix:/";
    struct yd_trail trail;
    struct yd_address address;
    (void)state;
    for (size_t i = 0; i < YD_COUNT(wrong); i++) {
        yd_trail_clear(&trail);
        if (yd_address_parse(yd_str_of(wrong[i]), &address, &trail) != YD_EFORMAT) fail_msg("%s is taken", wrong[i]);
        assert_true(trail.size > 0);
    }
    memset(path + 6, 'x', 200);
    assert_error(YD_ETOOBIG, yd_address_parse(yd_str_of(path), &address, &trail));
}

#define LOOP(test) cmocka_unit_test_setup_teardown(test, with_loop, without_loop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP(timers_fire_in_the_order_of_their_times_and_stopped_ones_do_not),
        LOOP(a_timer_started_in_its_own_fire_waits_for_the_next_turn),
        LOOP(a_wait_ends_at_its_timeout),
        LOOP(a_wake_before_the_wait_is_not_lost_and_many_are_one),
        LOOP(posts_of_four_threads_all_arrive_each_thread_in_its_order),
        LOOP(a_post_by_the_loop_itself_runs_in_the_next_turn_and_at_destroy_at_the_latest),
        LOOP(a_watch_tells_that_a_descriptor_is_readable_and_leaves_it_open),
        LOOP(a_signal_of_the_process_comes_as_a_callback),
        LOOP(a_child_gets_its_input_and_exits_after_all_its_output),
        LOOP(a_killed_child_says_by_which_signal),
        LOOP(a_grandchild_that_keeps_the_output_does_not_hold_up_the_exit),
        LOOP(closing_a_living_child_kills_it_and_nothing_is_said_after),
        LOOP(a_program_that_is_not_there_is_refused_with_its_name),
        cmocka_unit_test(addresses_are_read_and_written_back),
        cmocka_unit_test(wrong_addresses_are_refused_with_a_reason),
    };
    return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
