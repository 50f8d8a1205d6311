/* Requests, timers, monitors, restarts: what comes back, when, and how often. Simulated. */
#include "fixture.h"

#define MS YD_NS_PER_MS

static struct yd_system_options defaults(void)
{
    return (struct yd_system_options){0};
}

/* ---- requests ---- */
static void ask(struct actor *self, struct yd_outbox *out)
{
    struct yd_envelope *request = yd_out_request(out, self->peer, T_ASK, (int64_t)self->arg[0]);
    self->arg[1] = request->correlation;
}

static enum yd_turn answer_times(struct actor *self, struct yd_envelope *envelope, struct yd_outbox *out)
{
    for (uint64_t i = 0; envelope->type == T_ASK && i < self->arg[0]; i++)
        yd_out_reply(out, envelope, T_ANSWER)->arg[0] = i;
    return YD_TURN_DONE;
}

static hand_fn *ask_fn = ask;

static void request_is_answered_once_even_if_the_reply_comes_twice(void **state)
{
    (void)state;
    struct fixture f;
    struct yd_system_stat stat;
    struct actor b = {.fn = answer_times, .arg = {3}}, a = {.fn = hand, .ctx = &ask_fn, .arg = {(uint64_t)MS}};
    fixture_open(&f, 2, defaults());
    actor_spawn(&f, &b, ANYWHERE);
    a.peer = b.pid;
    actor_spawn(&f, &a, ANYWHERE);
    post(&f, a.pid, T_GO, YD_CAST, 0);
    run_all(&f);
    assert_int_equal(a.seen_count, 2);
    assert_int_equal(a.seen[1].type, T_ANSWER);
    assert_int_equal(a.seen[1].arg0, 0);
    assert_true(a.seen[1].correlation == a.arg[1] && a.arg[1]);
    yd_system_stat(f.system, &stat);
    assert_int_equal(stat.late, 2);
    fixture_close(&f);
}

static void request_to_nobody_is_told_at_once(void **state)
{
    (void)state;
    struct fixture f;
    struct actor a = {.fn = hand, .ctx = &ask_fn, .peer = (yd_pid)1 << 48 | 9 << 24 | 77};
    fixture_open(&f, 1, defaults());
    actor_spawn(&f, &a, ANYWHERE);
    post(&f, a.pid, T_GO, YD_CAST, 0);
    settle(&f);
    assert_int_equal(a.seen_count, 2);
    assert_int_equal(a.seen[1].type, YD_ENV_UNDELIVERABLE);
    assert_int_equal((int64_t)a.seen[1].arg0, YD_EUNDELIVERABLE);
    assert_true(a.seen[1].correlation == a.arg[1]);
    run_all(&f);
    assert_int_equal(a.seen_count, 2); /* and no timeout after it */
    fixture_close(&f);
}

static void request_to_a_full_one_is_told_busy_and_when_to_try_again(void **state)
{
    (void)state;
    struct fixture f;
    struct actor b = {0}, a = {.fn = hand, .ctx = &ask_fn};
    fixture_open(&f, 1, defaults());
    actor_spawn(&f, &a, ANYWHERE);
    settle(&f);
    actor_spawn(&f, &b, (struct yd_process_options){.executor = -1, .mailbox_max = 1});
    a.peer = b.pid;
    post(&f, b.pid, T_HELLO, YD_CAST, 0);
    post(&f, a.pid, T_GO, YD_CAST, 0);
    for (int i = 0; i < 3 && a.seen_count < 2; i++) yd_system_step(f.system);
    settle(&f);
    run_all(&f);
    assert_int_equal(a.seen_count, 2);
    if (a.seen[1].type == YD_ENV_UNDELIVERABLE) { /* unless b went first */
        assert_int_equal((int64_t)a.seen[1].arg0, YD_EBUSY);
        assert_true((int64_t)a.seen[1].arg1 >= MS);
    } else {
        assert_int_equal(a.seen[1].type, YD_ENV_TIMEOUT);
    }
    fixture_close(&f);
}

static void request_without_reply_times_out_at_its_deadline(void **state)
{
    (void)state;
    struct fixture f;
    struct actor b = {0}, a = {.fn = hand, .ctx = &ask_fn, .arg = {(uint64_t)(5 * MS)}};
    fixture_open(&f, 2, defaults());
    actor_spawn(&f, &b, ANYWHERE);
    a.peer = b.pid;
    actor_spawn(&f, &a, ANYWHERE);
    post(&f, a.pid, T_GO, YD_CAST, 0);
    int64_t begin = now(&f);
    run_all(&f);
    assert_int_equal(a.seen_count, 2);
    assert_int_equal(a.seen[1].type, YD_ENV_TIMEOUT);
    assert_true(a.seen[1].correlation == a.arg[1]);
    assert_int_equal(a.seen[1].at, begin + 5 * MS);
    assert_int_equal(b.seen_count, 1);
    fixture_close(&f);
}

static enum yd_turn nap(struct actor *self, struct yd_envelope *envelope, struct yd_outbox *out)
{
    (void)self;
    (void)out;
    return envelope->type == T_HELLO ? YD_TURN_FAIL : YD_TURN_DONE;
}

static void expired_request_is_dropped_before_it_is_received(void **state)
{
    (void)state;
    struct fixture f;
    struct yd_system_stat stat;
    struct actor b = {.fn = nap}, a = {.fn = hand, .ctx = &ask_fn, .arg = {(uint64_t)(5 * MS)}};
    fixture_open(&f, 1, defaults());
    actor_spawn(&f, &b, (struct yd_process_options){.executor = -1, .restart = YD_RESTART_ON_FAIL});
    a.peer = b.pid;
    actor_spawn(&f, &a, ANYWHERE);
    post(&f, b.pid, T_HELLO, YD_CAST, 0); /* down for 100 ms */
    settle(&f);
    post(&f, a.pid, T_GO, YD_CAST, 0);
    run_all(&f);
    assert_int_equal(a.seen_count, 2);
    assert_int_equal(a.seen[1].type, YD_ENV_TIMEOUT);
    assert_int_equal(b.inits, 2);
    assert_int_equal(b.seen_count, 1);
    yd_system_stat(f.system, &stat);
    assert_int_equal(stat.expired, 1);
    fixture_close(&f);
}

static enum yd_turn always_fail(struct actor *self, struct yd_envelope *envelope, struct yd_outbox *out)
{
    if (envelope->type == T_ASK) yd_out_reply(out, envelope, T_ANSWER);
    (void)self;
    return YD_TURN_FAIL;
}

static void request_on_which_the_receiver_crashes_is_told(void **state)
{
    (void)state;
    for (int restart = 0; restart < 2; restart++) {
        struct fixture f;
        struct actor b = {.fn = always_fail}, a = {.fn = hand, .ctx = &ask_fn};
        fixture_open(&f, 2, defaults());
        actor_spawn(&f, &b, (struct yd_process_options){.executor = -1, .restart = (enum yd_restart)restart});
        a.peer = b.pid;
        actor_spawn(&f, &a, ANYWHERE);
        post(&f, a.pid, T_GO, YD_CAST, 0);
        run_all(&f);
        assert_int_equal(a.seen_count, 2);
        assert_int_equal(a.seen[1].type, YD_ENV_UNDELIVERABLE);
        assert_int_equal((int64_t)a.seen[1].arg0, YD_EFAIL);
        fixture_close(&f);
    }
}

static void requests_waiting_in_a_mailbox_are_told_when_its_process_ends(void **state)
{
    (void)state;
    struct fixture f;
    struct actor b = {.fn = always_fail}, a = {.fn = hand, .ctx = &ask_fn};
    fixture_open(&f, 1, defaults());
    actor_spawn(&f, &b, (struct yd_process_options){.executor = -1, .restart = YD_RESTART_ON_FAIL});
    post(&f, b.pid, T_HELLO, YD_CAST, 0);
    settle(&f); /* b is down */
    a.peer = b.pid;
    actor_spawn(&f, &a, ANYWHERE);
    post(&f, a.pid, T_GO, YD_CAST, 0);
    settle(&f);
    assert_int_equal(a.seen_count, 1);
    yd_kill(f.system, b.pid);
    settle(&f);
    assert_int_equal(a.seen_count, 2);
    assert_int_equal((int64_t)a.seen[1].arg0, YD_EUNDELIVERABLE);
    fixture_close(&f);
}

/* ---- timers ---- */
enum { TIMER_IDS = 40 };
struct plan {
    struct actor actor;
    struct yd_rng rng;
    int64_t due[TIMER_IDS]; /* 0: not running */
    uint64_t order[TIMER_IDS], next_order, fired;
    int64_t last_at;
    uint64_t last_order;
};

/* The model: due times by id. What fires must be the earliest started of the earliest due, exactly then. */
static enum yd_turn random_timers(struct actor *self, struct yd_envelope *envelope, struct yd_outbox *out)
{
    struct plan *plan = self->ctx;
    if (envelope->type == YD_ENV_TIMER) {
        uint64_t id = envelope->arg[0];
        assert_true(id < TIMER_IDS && plan->due[id]);
        assert_int_equal(plan->due[id], yd_out_mono(out));
        assert_true(plan->due[id] > plan->last_at || plan->order[id] > plan->last_order);
        plan->last_at = plan->due[id];
        plan->last_order = plan->order[id];
        plan->due[id] = 0;
        plan->fired++;
    }
    for (uint64_t i = yd_rng_below(&plan->rng, 4); i-- && plan->next_order < 3000;) {
        uint64_t id = yd_rng_below(&plan->rng, TIMER_IDS);
        if (yd_rng_chance(&plan->rng, 4)) {
            yd_out_timer_cancel(out, id);
            plan->due[id] = 0;
        } else {
            plan->due[id] = yd_out_mono(out) + 1 + (int64_t)yd_rng_below(&plan->rng, 50);
            plan->order[id] = ++plan->next_order;
            yd_out_timer(out, id, plan->due[id]);
        }
    }
    return YD_TURN_DONE;
}

static void timers_fire_exactly_once_on_time_and_in_order_as_in_a_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct fixture f;
        static struct plan plan;
        memset(&plan, 0, sizeof plan);
        yd_rng_init(&plan.rng, seed);
        plan.actor.fn = random_timers;
        plan.actor.ctx = &plan;
        fixture_open(&f, 1 + seed % 3, (struct yd_system_options){.sim_seed = seed});
        actor_spawn(&f, &plan.actor, ANYWHERE);
        for (int i = 0; i < 10; i++) {
            post(&f, plan.actor.pid, T_GO, YD_CAST, 0);
            run_all(&f);
            for (int id = 0; id < TIMER_IDS; id++) assert_int_equal(plan.due[id], 0);
        }
        assert_true(plan.fired > 5);
        fixture_close(&f);
    }
}

static enum yd_turn cancel_on_go(struct actor *self, struct yd_envelope *envelope, struct yd_outbox *out)
{
    if (envelope->type == T_HELLO) yd_out_timer(out, 5, yd_out_mono(out) + 10);
    if (envelope->type == T_GO && envelope->arg[0])
        yd_out_timer(out, 5, yd_out_mono(out) + 1000);
    else if (envelope->type == T_GO)
        yd_out_timer_cancel(out, 5);
    (void)self;
    return YD_TURN_DONE;
}

static void timer_that_fired_but_was_not_received_is_taken_back(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 60; seed++) {
        for (uint64_t move = 0; move < 2; move++) {
            struct fixture f;
            struct actor a = {.fn = cancel_on_go};
            fixture_open(&f, 2, (struct yd_system_options){.sim_seed = seed});
            actor_spawn(&f, &a, ANYWHERE);
            post(&f, a.pid, T_HELLO, YD_CAST, 0);
            settle(&f);
            int64_t begin = now(&f);
            (void)yd_sim_step(f.sim); /* it is due, and nobody has looked */
            post(&f, a.pid, T_GO, YD_CAST, move);
            run_all(&f);
            /* The cast is sorted in before the timer fires, so the timer stands behind it. */
            assert_int_equal(a.seen_count, 2 + move);
            if (move) assert_int_equal(a.seen[2].at, begin + 10 + 1000);
            fixture_close(&f);
        }
    }
}

static int arm_three(struct actor *self, struct yd_outbox *out)
{
    (void)self;
    for (uint64_t id = 0; id < 3; id++) yd_out_timer(out, id, yd_out_mono(out) + (int64_t)id + 1);
    return 0;
}

static void timers_end_with_their_process(void **state)
{
    (void)state;
    struct fixture f;
    struct actor a = {.on_init = arm_three}, b = {.on_init = arm_three};
    fixture_open(&f, 1, defaults());
    actor_spawn(&f, &a, ANYWHERE);
    actor_spawn(&f, &b, ANYWHERE);
    settle(&f);
    yd_kill(f.system, a.pid);
    run_all(&f);
    assert_int_equal(a.seen_count, 0);
    assert_int_equal(b.seen_count, 3);
    fixture_close(&f);
}

/* ---- monitors ---- */
static void watch(struct actor *self, struct yd_outbox *out)
{
    yd_out_monitor(out, self->peer);
    yd_out_monitor(out, self->peer); /* twice is once */
}
static hand_fn *watch_fn = watch;

static enum yd_turn stop_or_fail(struct actor *self, struct yd_envelope *envelope, struct yd_outbox *out)
{
    (void)self;
    (void)out;
    return envelope->type == YD_ENV_STOP ? YD_TURN_STOP : envelope->type == T_HELLO ? YD_TURN_FAIL : YD_TURN_DONE;
}

static void monitors_are_told_once_how_it_ended(void **state)
{
    (void)state;
    enum yd_exit reasons[] = {YD_EXIT_STOPPED, YD_EXIT_FAILED, YD_EXIT_KILLED, YD_EXIT_GONE, YD_EXIT_RESTARTING};
    for (size_t i = 0; i < YD_COUNT(reasons); i++) {
        struct fixture f;
        struct actor a = {.fn = hand, .ctx = &watch_fn}, b = {.fn = stop_or_fail};
        fixture_open(&f, 2, (struct yd_system_options){.sim_seed = i + 1});
        actor_spawn(&f, &b, (struct yd_process_options){.executor = -1, .restart = reasons[i] == YD_EXIT_RESTARTING});
        a.peer = b.pid;
        actor_spawn(&f, &a, ANYWHERE);
        settle(&f);
        if (reasons[i] == YD_EXIT_GONE) yd_kill(f.system, b.pid);
        settle(&f);
        post(&f, a.pid, T_GO, YD_CAST, 0);
        settle(&f);
        if (reasons[i] == YD_EXIT_STOPPED)
            post(&f, b.pid, YD_ENV_STOP, YD_SYSTEM, 0);
        else if (reasons[i] == YD_EXIT_KILLED)
            yd_kill(f.system, b.pid);
        else if (reasons[i] != YD_EXIT_GONE)
            post(&f, b.pid, T_HELLO, YD_CAST, 0);
        run_all(&f);
        assert_int_equal(a.seen_count, 2);
        assert_int_equal(a.seen[1].type, YD_ENV_DOWN);
        assert_int_equal(a.seen[1].arg0, reasons[i]);
        assert_true(a.seen[1].from == b.pid);
        assert_int_equal(b.finis, 1);
        yd_kill(f.system, b.pid);
        settle(&f);
        assert_int_equal(a.seen_count, 2);
        fixture_close(&f);
    }
}

static void watcher_that_ended_is_forgotten(void **state)
{
    (void)state;
    struct fixture f;
    struct actor b = {0};
    fixture_open(&f, 2, defaults());
    actor_spawn(&f, &b, ANYWHERE);
    for (int i = 0; i < 100; i++) {
        struct actor a = {.fn = hand, .ctx = &watch_fn, .peer = b.pid};
        actor_spawn(&f, &a, ANYWHERE);
        post(&f, a.pid, T_GO, YD_CAST, 0);
        settle(&f);
        yd_kill(f.system, a.pid);
        settle(&f);
        assert_int_equal(a.finis, 1);
    }
    yd_kill(f.system, b.pid);
    settle(&f);
    fixture_close(&f);
}

/* ---- restarts ---- */
struct poison {
    int count, last_times;
    uint64_t arg0[64];
};
static void note_poison(void *arg, const struct yd_envelope *poison, bool will_restart)
{
    struct poison *note = ((struct actor *)arg)->ctx;
    note->arg0[note->count++] = poison ? poison->arg[0] : 0;
    note->last_times += !will_restart;
}

static enum yd_turn fail_on_odd(struct actor *self, struct yd_envelope *envelope, struct yd_outbox *out)
{
    (void)self;
    (void)out;
    return envelope->arg[0] % 2 ? YD_TURN_FAIL : YD_TURN_DONE;
}

static void restarted_one_keeps_pid_name_and_mailbox_but_for_the_poison(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 30; seed++) {
        struct fixture f;
        struct poison note = {0};
        struct actor a = {.fn = fail_on_odd, .ctx = &note};
        fixture_open(&f, 2, (struct yd_system_options){.sim_seed = seed});
        actor_spawn(&f, &a,
                    (struct yd_process_options){
                        .executor = -1, .name = "phoenix", .restart = YD_RESTART_ON_FAIL, .on_fail = note_poison});
        for (uint64_t i = 0; i < 6; i++) post(&f, a.pid, T_HELLO, YD_CAST, i);
        int64_t begin = now(&f);
        run_all(&f);
        assert_int_equal(a.seen_count, 6); /* each once, the odd ones as poison */
        for (uint64_t i = 0; i < 6; i++) assert_int_equal(a.seen[i].arg0, i);
        assert_int_equal(a.inits, 4);
        assert_int_equal(a.finis, 3);
        assert_int_equal(note.count, 3);
        assert_int_equal(note.last_times, 0);
        assert_int_equal(note.arg0[2], 5);
        assert_true(yd_whereis(f.system, NULL, "phoenix") == a.pid);
        assert_int_equal(a.seen[2].at, begin + 100 * MS); /* back-off, doubling */
        assert_int_equal(a.seen[4].at, begin + 300 * MS);
        fixture_close(&f);
    }
}

static void too_many_fails_in_the_window_and_it_stays_down(void **state)
{
    (void)state;
    struct fixture f;
    struct poison note = {0};
    struct actor a = {.fn = fail_on_odd, .ctx = &note};
    fixture_open(&f, 1, defaults());
    actor_spawn(&f, &a,
                (struct yd_process_options){.executor = -1,
                                            .name = "lemming",
                                            .restart = YD_RESTART_ON_FAIL,
                                            .restart_max = 3,
                                            .on_fail = note_poison});
    for (uint64_t i = 0; i < 10; i++) post(&f, a.pid, T_HELLO, YD_CAST, 1);
    run_all(&f);
    assert_int_equal(a.inits, 4);
    assert_int_equal(a.finis, 4);
    assert_int_equal(note.count, 4);
    assert_int_equal(note.last_times, 1);
    assert_true(yd_whereis(f.system, NULL, "lemming") == YD_NOBODY);
    assert_int_equal(post(&f, a.pid, T_HELLO, YD_CAST, 1), YD_EUNDELIVERABLE);
    fixture_close(&f);
}

static void fails_that_are_far_apart_never_add_up(void **state)
{
    (void)state;
    struct fixture f;
    struct actor a = {.fn = fail_on_odd};
    fixture_open(&f, 1, defaults());
    actor_spawn(&f, &a,
                (struct yd_process_options){
                    .executor = -1, .restart = YD_RESTART_ON_FAIL, .restart_max = 1, .restart_window_ns = 50 * MS});
    for (uint64_t i = 0; i < 10; i++) {
        post(&f, a.pid, T_HELLO, YD_CAST, 1);
        run_all(&f); /* the back-off alone is longer than the window */
    }
    assert_int_equal(a.inits, 11);
    fixture_close(&f);
}

static int refuse_to_live(struct actor *self, struct yd_outbox *out)
{
    (void)out;
    return self->inits < 3 ? YD_EIO : 0;
}

static void init_that_fails_counts_as_a_fail_and_has_no_fini(void **state)
{
    (void)state;
    struct fixture f;
    struct actor a = {.on_init = refuse_to_live}, b = {.on_init = refuse_to_live};
    fixture_open(&f, 1, defaults());
    actor_spawn(&f, &a, (struct yd_process_options){.executor = -1, .restart = YD_RESTART_ON_FAIL});
    actor_spawn(&f, &b, ANYWHERE);
    run_all(&f);
    assert_int_equal(a.inits, 3);
    assert_int_equal(a.finis, 0);
    assert_int_equal(b.inits, 1);
    assert_int_equal(b.finis, 0);
    assert_int_equal(post(&f, a.pid, T_HELLO, YD_CAST, 0), 0);
    assert_int_equal(post(&f, b.pid, T_HELLO, YD_CAST, 0), YD_EUNDELIVERABLE);
    settle(&f);
    fixture_close(&f);
}

static enum yd_turn ask_then_fail(struct actor *self, struct yd_envelope *envelope, struct yd_outbox *out)
{
    if (envelope->type == T_GO) {
        yd_out_request(out, self->peer, T_ASK, 50 * MS);
        yd_out_timer(out, 1, yd_out_mono(out) + 20 * MS);
    }
    return envelope->type == T_HELLO ? YD_TURN_FAIL : YD_TURN_DONE;
}

static void new_life_hears_nothing_of_the_old_ones_requests_and_timers(void **state)
{
    (void)state;
    struct fixture f;
    struct actor a = {.fn = ask_then_fail}, b = {.fn = answer_times, .arg = {0}};
    fixture_open(&f, 2, defaults());
    actor_spawn(&f, &b, ANYWHERE);
    a.peer = b.pid;
    actor_spawn(&f, &a, (struct yd_process_options){.executor = -1, .restart = YD_RESTART_ON_FAIL});
    post(&f, a.pid, T_GO, YD_CAST, 0);
    settle(&f);
    post(&f, a.pid, T_HELLO, YD_CAST, 0);
    run_all(&f);
    assert_int_equal(a.inits, 2);
    assert_int_equal(a.seen_count, 2);
    fixture_close(&f);
}

/* ---- out of memory ---- */
static enum yd_turn do_everything(struct actor *self, struct yd_envelope *envelope, struct yd_outbox *out)
{
    if (envelope->type != T_GO) return YD_TURN_DONE;
    struct yd_process_options options = {.executor = -1, .arg = self->ctx, .restart = YD_RESTART_ON_FAIL};
    yd_pid child;
    yd_out_timer(out, envelope->arg[0], yd_out_mono(out) + 5);
    yd_out_monitor(out, self->peer);
    struct yd_envelope *request = yd_out_request(out, self->peer, T_ASK, 10);
    if (!request || yd_out_spawn(out, &actor_class, &options, &child) < 0) return YD_TURN_FAIL;
    for (int i = 0; i < 300; i++)
        if (!yd_out_new(out, self->peer, T_HELLO, YD_CAST)) return YD_TURN_FAIL;
    return YD_TURN_DONE;
}

static bool life_with(struct yd_alloc *alloc, uint64_t seed)
{
    struct yd_sim *sim;
    struct yd_loop *loops[2];
    struct yd_system *system;
    static struct actor a, b, child;
    bool complete = false;
    assert_int_equal(yd_sim_create(seed, &sim), 0);
    for (int i = 0; i < 2; i++) assert_int_equal(yd_sim_loop_create(sim, "node", &loops[i]), 0);
    struct yd_system_options options = {.executors = 2, .sim_loops = loops, .sim_seed = seed, .alloc = alloc};
    if (yd_system_create(&options, &system) < 0) goto out;
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    memset(&child, 0, sizeof child);
    a = (struct actor){.fn = do_everything, .ctx = &child};
    struct yd_process_options of_a = {
        .executor = -1, .arg = &a, .group = "g", .name = "a", .restart = YD_RESTART_ON_FAIL};
    struct yd_process_options of_b = {.executor = -1, .arg = &b, .name = "b"};
    if (yd_spawn(system, &actor_class, &of_b, &b.pid) < 0) goto destroy;
    a.peer = b.pid;
    if (yd_spawn(system, &actor_class, &of_a, &a.pid) < 0) goto destroy;
    complete = true;
    for (uint64_t i = 0; i < 3; i++) {
        struct yd_envelope *envelope = yd_envelope_new(system, a.pid, T_GO, YD_CAST);
        if (!envelope) {
            complete = false;
            continue;
        }
        envelope->arg[0] = i;
        yd_send(system, envelope);
        do
            while (yd_system_step(system)) continue;
        while (yd_sim_step(sim));
    }
    complete = complete && b.seen_count == 903 && !a.finis;
destroy:
    yd_system_destroy(system);
out:
    for (int i = 0; i < 2; i++) yd_loop_destroy(loops[i]);
    yd_sim_destroy(sim);
    return complete;
}

static void every_failing_allocation_is_survived_and_nothing_leaks(void **state)
{
    (void)state;
    struct yd_alloc_failing failing;
    uint64_t at = 0;
    bool complete = false;
    while (!complete) {
        yd_alloc_failing_init(&failing, ++at);
        complete = life_with(&failing.alloc, 3);
        assert_int_equal(failing.bytes_out, 0);
        assert_true(at < 10000);
    }
    assert_true(at > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_is_answered_once_even_if_the_reply_comes_twice),
        cmocka_unit_test(request_to_nobody_is_told_at_once),
        cmocka_unit_test(request_to_a_full_one_is_told_busy_and_when_to_try_again),
        cmocka_unit_test(request_without_reply_times_out_at_its_deadline),
        cmocka_unit_test(expired_request_is_dropped_before_it_is_received),
        cmocka_unit_test(request_on_which_the_receiver_crashes_is_told),
        cmocka_unit_test(requests_waiting_in_a_mailbox_are_told_when_its_process_ends),
        cmocka_unit_test(timers_fire_exactly_once_on_time_and_in_order_as_in_a_model),
        cmocka_unit_test(timer_that_fired_but_was_not_received_is_taken_back),
        cmocka_unit_test(timers_end_with_their_process),
        cmocka_unit_test(monitors_are_told_once_how_it_ended),
        cmocka_unit_test(watcher_that_ended_is_forgotten),
        cmocka_unit_test(restarted_one_keeps_pid_name_and_mailbox_but_for_the_poison),
        cmocka_unit_test(too_many_fails_in_the_window_and_it_stays_down),
        cmocka_unit_test(fails_that_are_far_apart_never_add_up),
        cmocka_unit_test(init_that_fails_counts_as_a_fail_and_has_no_fini),
        cmocka_unit_test(new_life_hears_nothing_of_the_old_ones_requests_and_timers),
        cmocka_unit_test(every_failing_allocation_is_survived_and_nothing_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
