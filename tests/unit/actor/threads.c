/* Real threads and loops: many executors, threads from outside, a compute pool, all at once. Runs under TSan too: the
 * load is what makes its silence worth something. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "actor/internal.h"
#include "base/hash.h"
#include "io/loop_inner.h"

#define T_DATA   YD_ENV_USER
#define T_ASK    (YD_ENV_USER + 1)
#define T_ANSWER (YD_ENV_USER + 2)
#define T_GO     (YD_ENV_USER + 3)

static sem_t done;
static void wait_done(void)
{
    while (sem_wait(&done)) continue;
}

static struct yd_system *start(struct yd_system_options options)
{
    struct yd_system *system;
    assert_int_equal(yd_system_create(&options, &system), 0);
    assert_int_equal(yd_system_start(system), 0);
    return system;
}

static yd_pid spawn(struct yd_system *system, const struct yd_process_class *class, struct yd_process_options options,
                    void *arg)
{
    yd_pid pid;
    options.arg = arg;
    assert_int_equal(yd_spawn(system, class, &options, &pid), 0);
    return pid;
}
#define ANYWHERE ((struct yd_process_options){.executor = -1})

static int post(struct yd_system *system, yd_pid to, uint32_t type, uint64_t a, uint64_t b)
{
    struct yd_envelope *envelope = yd_envelope_new(system, to, type, YD_CAST);
    assert_non_null(envelope);
    envelope->arg[0] = a;
    envelope->arg[1] = b;
    return yd_send(system, envelope);
}

/* ---- order and exactness under load ---- */
enum { SOURCES = 12, OUTSIDE = 4, EACH = 4000 };
struct sink {
    uint64_t next[SOURCES + OUTSIDE], received;
    bool wrong;
};
/* Each source numbers what it sends. */
static enum yd_turn sink_receive(void *state, struct yd_envelope *envelope, struct yd_outbox *out)
{
    struct sink *sink = state;
    (void)out;
    if (envelope->arg[1] != sink->next[envelope->arg[0]]++) sink->wrong = true;
    if (++sink->received == (uint64_t)(SOURCES + OUTSIDE) * EACH) sem_post(&done);
    return YD_TURN_DONE;
}
struct source {
    yd_pid sink;
    uint64_t index, sent;
};
static enum yd_turn source_receive(void *state, struct yd_envelope *envelope, struct yd_outbox *out)
{
    struct source *source = state;
    (void)envelope;
    for (int i = 0; i < 7 && source->sent < EACH; i++) {
        struct yd_envelope *data = yd_out_new(out, source->sink, T_DATA, YD_CAST);
        data->arg[0] = source->index;
        data->arg[1] = source->sent++;
    }
    if (source->sent < EACH) yd_out_new(out, yd_self(out), T_GO, YD_CAST);
    return YD_TURN_DONE;
}
static const struct yd_process_class sink_class = {.name = "sink", .receive = sink_receive};
static const struct yd_process_class source_class = {.name = "source", .receive = source_receive};
static const struct yd_process_class computed_source = {.name = "source", .receive = source_receive, .compute = true};

struct outsider {
    struct yd_system *system;
    yd_pid sink;
    uint64_t index;
};
static void *outsider_main(void *arg)
{
    struct outsider *outsider = arg;
    for (uint64_t i = 0; i < EACH; i++) {
        struct yd_envelope *data = yd_envelope_new(outsider->system, outsider->sink, T_DATA, YD_CAST);
        data->arg[0] = outsider->index;
        data->arg[1] = i;
        if (yd_send(outsider->system, data) < 0) return arg;
    }
    return NULL;
}

static void order_of_each_sender_is_kept_between_threads_and_nothing_is_lost(void **state)
{
    (void)state;
    struct yd_system *system = start((struct yd_system_options){.executors = 3, .compute = 2});
    struct sink sink = {0};
    struct source sources[SOURCES];
    struct outsider outsiders[OUTSIDE];
    pthread_t threads[OUTSIDE];
    yd_pid pid = spawn(system, &sink_class, (struct yd_process_options){.executor = -1, .mailbox_max = 1 << 20}, &sink);
    for (uint64_t i = 0; i < SOURCES; i++) {
        sources[i] = (struct source){pid, i, 0};
        yd_pid source = spawn(system, i % 3 ? &source_class : &computed_source, ANYWHERE, &sources[i]);
        assert_int_equal(post(system, source, T_GO, 0, 0), 0);
    }
    for (uint64_t i = 0; i < OUTSIDE; i++) {
        outsiders[i] = (struct outsider){system, pid, SOURCES + i};
        assert_int_equal(pthread_create(&threads[i], NULL, outsider_main, &outsiders[i]), 0);
    }
    for (int i = 0; i < OUTSIDE; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    wait_done();
    yd_system_stop(system);
    assert_false(sink.wrong);
    for (int i = 0; i < SOURCES + OUTSIDE; i++) assert_int_equal(sink.next[i], EACH);
    yd_system_destroy(system);
}

/* ---- exactly one outcome ---- */
enum { ASKERS = 8, QUESTIONS = 1500 };
struct asker {
    yd_pid peers[4];
    uint64_t asked, outcome[4]; /* answer, busy, timeout, nobody or crashed */
    uint64_t open[64];          /* correlations */
    uint32_t open_count;
    bool wrong;
};
static void ask_some(struct asker *asker, struct yd_outbox *out)
{
    while (asker->open_count < 8 && asker->asked < QUESTIONS) {
        struct yd_envelope *request =
            yd_out_request(out, asker->peers[yd_out_random(out) % 4], T_ASK, 200 * YD_NS_PER_US);
        asker->open[asker->open_count++] = request->correlation;
        asker->asked++;
    }
}
static enum yd_turn asker_receive(void *state, struct yd_envelope *envelope, struct yd_outbox *out)
{
    struct asker *asker = state;
    if (envelope->type != T_GO) {
        uint32_t i = 0;
        while (i < asker->open_count && asker->open[i] != envelope->correlation) i++;
        if (i == asker->open_count) {
            asker->wrong = true; /* a second outcome, or one of nothing */
            return YD_TURN_DONE;
        }
        asker->open[i] = asker->open[--asker->open_count];
        if (envelope->type == T_ANSWER)
            asker->outcome[0]++;
        else if (envelope->type == YD_ENV_TIMEOUT)
            asker->outcome[2]++;
        else if (envelope->type == YD_ENV_UNDELIVERABLE)
            asker->outcome[(int64_t)envelope->arg[0] == YD_EBUSY ? 1 : 3]++;
        else
            asker->wrong = true;
    }
    ask_some(asker, out);
    if (asker->asked == QUESTIONS && asker->open_count == 0) sem_post(&done);
    return YD_TURN_DONE;
}
/* Answers most, keeps silent, crashes or dawdles now and then. */
static enum yd_turn moody_receive(void *state, struct yd_envelope *envelope, struct yd_outbox *out)
{
    (void)state;
    uint64_t mood = yd_out_random(out) % 64;
    if (mood == 0) return YD_TURN_FAIL;
    if (mood == 1) return YD_TURN_DONE;
    if (mood == 2)
        for (int64_t until = yd_clock_mono() + 300 * YD_NS_PER_US; yd_clock_mono() < until;) continue;
    yd_out_reply(out, envelope, T_ANSWER);
    if (mood == 3) yd_out_reply(out, envelope, T_ANSWER);
    return YD_TURN_DONE;
}
static const struct yd_process_class asker_class = {.name = "asker", .receive = asker_receive};
static const struct yd_process_class moody_class = {.name = "moody", .receive = moody_receive};
static const struct yd_process_class moody_compute = {.name = "moody", .receive = moody_receive, .compute = true};

static void every_request_has_exactly_one_outcome_between_threads(void **state)
{
    (void)state;
    struct yd_system *system = start((struct yd_system_options){.executors = 3, .compute = 1});
    struct asker askers[ASKERS];
    yd_pid peers[4], pids[ASKERS];
    int unused;
    for (int i = 0; i < 3; i++) {
        struct yd_process_options options = {.executor = -1,
                                             .mailbox_max = i ? 16 : 2,
                                             .restart = YD_RESTART_ON_FAIL,
                                             .restart_max = 1000000,
                                             .backoff_min_ns = 100 * YD_NS_PER_US,
                                             .backoff_max_ns = YD_NS_PER_MS};
        peers[i] = spawn(system, i == 1 ? &moody_compute : &moody_class, options, &unused);
    }
    peers[3] = (yd_pid)1 << 48 | 77 << 24 | 5; /* nobody */
    for (int i = 0; i < ASKERS; i++) {
        askers[i] = (struct asker){.peers = {peers[0], peers[1], peers[2], peers[3]}};
        pids[i] = spawn(system, &asker_class, ANYWHERE, &askers[i]);
    }
    for (int i = 0; i < ASKERS; i++) post(system, pids[i], T_GO, 0, 0);
    for (int i = 0; i < ASKERS; i++) wait_done();
    yd_system_stop(system);
    for (int i = 0; i < ASKERS; i++) {
        uint64_t *outcome = askers[i].outcome;
        assert_false(askers[i].wrong);
        assert_int_equal(outcome[0] + outcome[1] + outcome[2] + outcome[3], QUESTIONS);
        assert_true(outcome[3] > 0);
    }
    yd_system_destroy(system);
}

/* One thread plays them all: when the question wakes the other executor, that one and the asker's home have their turn
 * before the worker that the asker was lent to goes on. */
static struct yd_system *staged;
static struct {
    yd_pid peer;
    uint32_t answered, other;
} curious;
static enum yd_turn curious_receive(void *state, struct yd_envelope *envelope, struct yd_outbox *out)
{
    (void)state;
    if (envelope->type == T_GO)
        (void)yd_out_request(out, curious.peer, T_ASK, 0);
    else if (envelope->type == T_ANSWER)
        curious.answered++;
    else
        curious.other++;
    return YD_TURN_DONE;
}
static enum yd_turn prompt_receive(void *state, struct yd_envelope *envelope, struct yd_outbox *out)
{
    (void)state;
    (void)yd_out_reply(out, envelope, T_ANSWER);
    return YD_TURN_DONE;
}
static const struct yd_process_class curious_class = {.name = "curious", .receive = curious_receive, .compute = true};
static const struct yd_process_class prompt_class = {.name = "prompt", .receive = prompt_receive};

static void have_a_turn(unsigned index)
{
    struct yd__executor *executor = &staged->executor[index];
    (void)yd__inbox_take(executor);
    while (yd__executor_dispatch(executor)) continue;
    yd__outbound_flush(&executor->worker, NULL);
}
static void compute_has_a_turn(void)
{
    struct yd__process *process = yd__compute_take(staged);
    assert_non_null(process);
    (void)yd__turn_lent(&staged->compute[0], process);
}
static void wake_is_slow(struct yd_loop *loop)
{
    (void)loop;
    have_a_turn(1);
    have_a_turn(0);
}

static void an_answer_never_overtakes_the_record_that_expects_it(void **state)
{
    (void)state;
    struct yd_system_stat stat;
    int unused;
    assert_int_equal(yd_system_create(&(struct yd_system_options){.executors = 2, .compute = 1}, &staged), 0);
    curious.peer = spawn(staged, &prompt_class, (struct yd_process_options){.executor = 1}, &unused);
    yd_pid asker = spawn(staged, &curious_class, (struct yd_process_options){.executor = 0}, &unused);
    have_a_turn(1);
    have_a_turn(0);
    compute_has_a_turn(); /* its init */
    post(staged, asker, T_GO, 0, 0);
    have_a_turn(0);
    struct yd_loop *loop = staged->executor[1].loop;
    const struct yd__loop_ops *ops = loop->ops;
    struct yd__loop_ops slow = *ops;
    slow.wake = wake_is_slow;
    loop->ops = &slow;
    atomic_store(&staged->executor[1].inbox, YD__PARKED);
    compute_has_a_turn(); /* asks */
    loop->ops = ops;
    have_a_turn(0);
    compute_has_a_turn(); /* hears */
    assert_int_equal(curious.answered, 1);
    assert_int_equal(curious.other, 0);
    yd_system_stat(staged, &stat);
    assert_int_equal(stat.late, 0);
    yd_system_destroy(staged);
}

/* ---- spawn and kill from everywhere ---- */
static atomic_int born, finished;
static int mortal_init(void *state, void *arg, struct yd_outbox *out)
{
    (void)state, (void)arg;
    if (atomic_fetch_add(&born, 1) == 1000) sem_post(&done);
    yd_out_timer(out, 1, yd_out_mono(out) + (int64_t)(yd_out_random(out) % (200 * YD_NS_PER_US)));
    return 0;
}
static enum yd_turn mortal_receive(void *state, struct yd_envelope *envelope, struct yd_outbox *out)
{
    yd_pid child;
    (void)state;
    if (envelope->type == YD_ENV_TIMER) return yd_out_random(out) % 2 ? YD_TURN_STOP : YD_TURN_FAIL;
    if (envelope->type == T_GO && envelope->arg[0]) {
        extern const struct yd_process_class mortal_class;
        assert_int_equal(yd_out_spawn(out, &mortal_class, NULL, &child), 0);
        yd_out_monitor(out, child);
        yd_out_new(out, child, T_GO, YD_CAST)->arg[0] = envelope->arg[0] - 1;
    }
    return YD_TURN_DONE;
}
static void mortal_fini(void *state)
{
    (void)state;
    atomic_fetch_add(&finished, 1);
}
extern const struct yd_process_class mortal_class;
const struct yd_process_class mortal_class = {
    .name = "mortal", .state_size = 32, .init = mortal_init, .receive = mortal_receive, .fini = mortal_fini};

static void *killer_main(void *arg)
{
    struct yd_system *system = arg;
    yd_pid pids[32] = {0};
    for (unsigned i = 0; i < 1500; i++) {
        yd_pid *pid = &pids[i * 7 % 32];
        if (*pid && i % 3 == 0) (void)yd_kill(system, *pid); /* it may have ended by itself */
        assert_int_equal(yd_spawn(system, &mortal_class, NULL, pid), 0);
        post(system, *pid, T_GO, i % 3, 0);
    }
    return NULL;
}

static int count_alive(void *arg, const struct yd_process_stat *stat)
{
    assert_string_equal(stat->class_name, "mortal");
    ++*(int *)arg;
    return 0;
}

static void births_and_deaths_from_all_threads_balance(void **state)
{
    (void)state;
    struct yd_system *system = start((struct yd_system_options){.executors = 3, .compute = 1});
    pthread_t threads[3];
    int alive = 0;
    for (int i = 0; i < 3; i++) assert_int_equal(pthread_create(&threads[i], NULL, killer_main, system), 0);
    for (int i = 0; i < 50; i++) assert_int_equal(yd_system_visit(system, count_alive, &alive), 0);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    wait_done(); /* a third at most is killed before its first turn */
    yd_system_stop(system);
    yd_system_destroy(system);
    assert_int_equal(atomic_load(&born), atomic_load(&finished));
}

/* ---- lending ---- */
static atomic_int together, most_together;
struct worker {
    atomic_int inside;
    int left;
    bool wrong;
};
static enum yd_turn toil(void *state, struct yd_envelope *envelope, struct yd_outbox *out)
{
    struct worker *worker = state;
    (void)envelope, (void)out;
    if (atomic_fetch_add(&worker->inside, 1) != 0) worker->wrong = true;
    int now = atomic_fetch_add(&together, 1) + 1, most = atomic_load(&most_together);
    while (now > most && !atomic_compare_exchange_weak(&most_together, &most, now)) continue;
    for (int64_t until = yd_clock_mono() + 50 * YD_NS_PER_US; yd_clock_mono() < until;) continue;
    atomic_fetch_sub(&together, 1);
    atomic_fetch_sub(&worker->inside, 1);
    if (--worker->left == 0) sem_post(&done);
    return YD_TURN_DONE;
}
static const struct yd_process_class toil_class = {.name = "toil", .receive = toil};
static const struct yd_process_class toil_compute = {.name = "toil", .receive = toil, .compute = true};

static void idle_executors_get_work_of_a_busy_one_and_no_process_runs_twice_at_once(void **state)
{
    (void)state;
    enum { WORKERS = 6, TASKS = 60 };
    struct worker workers[WORKERS];
    struct yd_system *system = start((struct yd_system_options){.executors = 2, .compute = 2, .turn_messages = 4});
    for (int pass = 0; pass < 3; pass++) { /* roaming, pinned, compute */
        struct yd_process_options options = {.executor = 0, .roams = pass == 0};
        yd_pid pids[WORKERS];
        struct yd_executor_stat before, after;
        atomic_store(&most_together, 0);
        yd_executor_stat(system, 1, &before);
        for (int i = 0; i < WORKERS; i++) {
            workers[i] = (struct worker){.left = TASKS};
            pids[i] = spawn(system, pass == 2 ? &toil_compute : &toil_class, options, &workers[i]);
            assert_int_equal(yd_pid_executor(system, pids[i]), 0);
        }
        for (int k = 0; k < TASKS; k++)
            for (int i = 0; i < WORKERS; i++) assert_int_equal(post(system, pids[i], T_DATA, 0, 0), 0);
        for (int i = 0; i < WORKERS; i++) wait_done();
        yd_executor_stat(system, 1, &after);
        if (pass == 0) assert_true(after.steals > before.steals);
        if (pass == 1) assert_int_equal(after.steals, before.steals);
        if (pass == 1) assert_int_equal(atomic_load(&most_together), 1);
        for (int i = 0; i < WORKERS; i++) assert_false(workers[i].wrong);
    }
    yd_system_stop(system);
    yd_system_destroy(system);
}

/* ---- the watchdog ---- */
static atomic_bool let_go;
static atomic_int still, returned;
static char overrun_name[64];
static void on_overrun(void *arg, const char *process, int64_t ns, bool still_running)
{
    (void)arg;
    if (ns < 5 * YD_NS_PER_MS) return;
    if (still_running) {
        snprintf(overrun_name, sizeof overrun_name, "%s", process);
        atomic_fetch_add(&still, 1);
        atomic_store(&let_go, true);
    } else {
        atomic_fetch_add(&returned, 1);
        sem_post(&done);
    }
}
static enum yd_turn hang(void *state, struct yd_envelope *envelope, struct yd_outbox *out)
{
    (void)state, (void)envelope, (void)out;
    while (!atomic_load(&let_go)) continue;
    return YD_TURN_DONE;
}
static const struct yd_process_class hang_class = {.name = "hang", .receive = hang};

static void receive_that_does_not_return_is_named_while_it_runs_and_again_after(void **state)
{
    (void)state;
    int unused;
    struct yd_system *system =
        start((struct yd_system_options){.executors = 1, .overrun_ns = 5 * YD_NS_PER_MS, .on_overrun = on_overrun});
    struct yd_process_options options = {.executor = 0, .group = "stand", .name = "stuck"};
    yd_pid pid = spawn(system, &hang_class, options, &unused);
    post(system, pid, T_GO, 0, 0);
    wait_done();
    yd_system_stop(system);
    assert_int_equal(atomic_load(&still), 1);
    assert_int_equal(atomic_load(&returned), 1);
    assert_string_equal(overrun_name, "stand::stuck@local");
    yd_system_destroy(system);
}

/* ---- loops ---- */
struct alarm {
    int64_t due[20], late_most;
    int fired;
    bool wrong;
};
static int alarm_init(void *state, void *arg, struct yd_outbox *out)
{
    struct alarm *alarm = state;
    (void)arg;
    for (uint64_t i = 0; i < 20; i++) {
        alarm->due[i] = yd_out_mono(out) + (int64_t)i * YD_NS_PER_MS / 2;
        yd_out_timer(out, i, alarm->due[i]);
    }
    return 0;
}
static enum yd_turn alarm_receive(void *state, struct yd_envelope *envelope, struct yd_outbox *out)
{
    struct alarm *alarm = state;
    if (envelope->arg[0] != (uint64_t)alarm->fired) alarm->wrong = true;
    if (yd_out_mono(out) < alarm->due[alarm->fired]) alarm->wrong = true;
    if (++alarm->fired == 20) sem_post(&done);
    return YD_TURN_DONE;
}
static const struct yd_process_class alarm_class = {.name = "alarm", .init = alarm_init, .receive = alarm_receive};

static void timers_fire_in_order_and_never_early_on_parked_executors(void **state)
{
    (void)state;
    struct alarm alarms[2] = {0};
    struct yd_system *system = start((struct yd_system_options){.executors = 2});
    for (int i = 0; i < 2; i++) spawn(system, &alarm_class, (struct yd_process_options){.executor = i}, &alarms[i]);
    wait_done();
    wait_done();
    yd_system_stop(system);
    for (int i = 0; i < 2; i++) assert_false(alarms[i].wrong);
    yd_system_destroy(system);
}

static atomic_int loop_calls;
struct busybody {
    struct yd_loop *loop;
    struct yd_system *system;
};
static void from_loop(void *arg)
{
    struct busybody *busybody = arg;
    if (atomic_fetch_add(&loop_calls, 1) == 100)
        sem_post(&done);
    else
        (void)yd_loop_post(busybody->loop, from_loop, busybody);
}
static enum yd_turn spin(void *state, struct yd_envelope *envelope, struct yd_outbox *out)
{
    (void)state, (void)envelope;
    yd_out_new(out, yd_self(out), T_GO, YD_CAST);
    return YD_TURN_DONE;
}
static const struct yd_process_class spin_class = {.name = "spin", .receive = spin};

static void loop_is_polled_while_processes_are_always_ready(void **state)
{
    (void)state;
    int unused;
    struct yd_system *system = start((struct yd_system_options){.executors = 1});
    struct busybody busybody = {yd_system_loop(system, 0), system};
    post(system, spawn(system, &spin_class, ANYWHERE, &unused), T_GO, 0, 0);
    assert_int_equal(yd_loop_post(busybody.loop, from_loop, &busybody), 0);
    wait_done();
    yd_system_destroy(system); /* stops by itself, in the middle of it */
}

static void idle_system_parks_and_is_not_woken_per_message(void **state)
{
    (void)state;
    struct yd_executor_stat stat;
    struct sink sink = {0};
    struct yd_system *system = start((struct yd_system_options){.executors = 1});
    yd_pid pid = spawn(system, &sink_class, (struct yd_process_options){.executor = -1, .mailbox_max = 1 << 20}, &sink);
    uint64_t sent = (uint64_t)(SOURCES + OUTSIDE) * EACH;
    for (uint64_t i = 0; i < sent; i++) post(system, pid, T_DATA, 0, i);
    wait_done();
    yd_executor_stat(system, 0, &stat);
    assert_true(stat.wakes < sent / 2);
    assert_false(sink.wrong);
    yd_system_destroy(system);
}

/* A source that gets something now and then: what ends its executor's sleep is work at a socket, not sleep. */
enum { WORK_MS = 5, ARRIVALS = 20 };
static void toil_at_a_socket(void *arg)
{
    char byte;
    if (read(*(int *)arg, &byte, 1) != 1) return;
    for (int64_t until = yd_clock_mono() + WORK_MS * YD_NS_PER_MS; yd_clock_mono() < until;) continue;
    sem_post(&done);
}

static void what_ends_a_sleep_is_counted_as_work_at_sockets(void **state)
{
    (void)state;
    struct yd_system *system;
    struct yd_executor_stat stat;
    struct yd_watch *watch;
    int ends[2];
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    assert_int_equal(yd_system_create(&(struct yd_system_options){.executors = 1}, &system), 0);
    assert_int_equal(yd_watch_open(yd_system_loop(system, 0), ends[0], toil_at_a_socket, &ends[0], &watch), 0);
    int64_t begun = yd_clock_mono();
    assert_int_equal(yd_system_start(system), 0);
    for (int i = 0; i < ARRIVALS; i++) {
        assert_int_equal(write(ends[1], "", 1), 1);
        wait_done();
        struct timespec a_moment = {.tv_nsec = YD_NS_PER_MS}; /* in which it falls asleep, mostly */
        nanosleep(&a_moment, NULL);
    }
    yd_system_stop(system);
    int64_t passed = yd_clock_mono() - begun, worked = (int64_t)ARRIVALS * WORK_MS * YD_NS_PER_MS;
    yd_executor_stat(system, 0, &stat);
    assert_true(stat.polling_ns >= worked * 98 / 100); /* the two clocks are not quite one */
    assert_true(stat.parked_ns > 0 && stat.parked_ns <= passed - worked);
    yd_watch_close(watch);
    yd_system_destroy(system);
    close(ends[0]);
    close(ends[1]);
}

static void stop_with_everything_in_flight_releases_all(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct yd_system *system = start((struct yd_system_options){.executors = 2, .compute = 1});
        struct source sources[6];
        struct sink sink = {0};
        yd_pid pid = spawn(system, &sink_class, ANYWHERE, &sink);
        for (uint64_t i = 0; i < 6; i++) {
            sources[i] = (struct source){pid, i, 0};
            yd_pid source = spawn(system, i % 2 ? &source_class : &computed_source, ANYWHERE, &sources[i]);
            post(system, source, T_GO, 0, 0);
        }
        yd_system_stop(system);
        assert_true(post(system, pid, T_DATA, 0, 0) <= 0); /* released at the latest by destroy */
        yd_system_destroy(system);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_of_each_sender_is_kept_between_threads_and_nothing_is_lost),
        cmocka_unit_test(every_request_has_exactly_one_outcome_between_threads),
        cmocka_unit_test(an_answer_never_overtakes_the_record_that_expects_it),
        cmocka_unit_test(births_and_deaths_from_all_threads_balance),
        cmocka_unit_test(idle_executors_get_work_of_a_busy_one_and_no_process_runs_twice_at_once),
        cmocka_unit_test(receive_that_does_not_return_is_named_while_it_runs_and_again_after),
        cmocka_unit_test(timers_fire_in_order_and_never_early_on_parked_executors),
        cmocka_unit_test(loop_is_polled_while_processes_are_always_ready),
        cmocka_unit_test(idle_system_parks_and_is_not_woken_per_message),
        cmocka_unit_test(what_ends_a_sleep_is_counted_as_work_at_sockets),
        cmocka_unit_test(stop_with_everything_in_flight_releases_all),
    };
    sem_init(&done, 0, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
