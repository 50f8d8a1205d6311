/* Processes, mailboxes, outboxes, names: on a simulated system, one thread. */
#include "../sparse.h"
#include "fixture.h"

static struct yd_system_options defaults(void)
{
    return (struct yd_system_options){0};
}

static void envelope_arrives_with_all_it_carries(void **state)
{
    (void)state;
    struct fixture f;
    struct actor a = {0};
    fixture_open(&f, 1, defaults());
    actor_spawn(&f, &a, ANYWHERE);
    assert_int_equal(post(&f, a.pid, T_HELLO, YD_CAST, 42), 0);
    settle(&f);
    assert_int_equal(a.inits, 1);
    assert_int_equal(a.seen_count, 1);
    assert_int_equal(a.seen[0].type, T_HELLO);
    assert_int_equal(a.seen[0].arg0, 42);
    assert_true(a.seen[0].from == YD_NOBODY);
    fixture_close(&f);
    assert_int_equal(a.finis, 1);
}

static enum yd_turn send_two_then_fail(struct actor *self, struct yd_envelope *envelope, struct yd_outbox *out)
{
    struct actor *peer = self->ctx;
    yd_out_new(out, self->peer, T_HELLO, YD_CAST);
    yd_out_new(out, self->peer, T_HELLO, YD_CAST);
    yd_out_timer(out, 1, yd_out_mono(out) + 1);
    self->arg[0] = peer->seen_count; /* nothing has left yet */
    return envelope->arg[0] ? YD_TURN_FAIL : YD_TURN_DONE;
}

static void nothing_leaves_the_outbox_of_a_failed_turn(void **state)
{
    (void)state;
    for (int fail = 0; fail < 2; fail++) {
        struct fixture f;
        struct actor a = {.fn = send_two_then_fail}, b = {0};
        fixture_open(&f, 2, defaults());
        actor_spawn(&f, &a, ANYWHERE);
        actor_spawn(&f, &b, ANYWHERE);
        a.peer = b.pid;
        a.ctx = &b;
        post(&f, a.pid, T_GO, YD_CAST, (uint64_t)fail);
        settle(&f);
        assert_int_equal(a.arg[0], 0);
        assert_int_equal(b.seen_count, fail ? 0 : 2);
        if (!fail) assert_true(b.seen[0].from == a.pid);
        fixture_close(&f);
    }
}

static void full_mailbox_refuses_casts_and_requests_but_no_system_envelope(void **state)
{
    (void)state;
    struct fixture f;
    struct actor a = {0};
    fixture_open(&f, 1, defaults());
    actor_spawn(&f, &a, (struct yd_process_options){.executor = -1, .mailbox_max = 3});
    for (int i = 0; i < 3; i++) assert_int_equal(post(&f, a.pid, T_HELLO, YD_CAST, 0), 0);
    assert_int_equal(post(&f, a.pid, T_HELLO, YD_CAST, 0), YD_EBUSY);
    assert_int_equal(post(&f, a.pid, T_ASK, YD_REQUEST, 0), YD_EBUSY);
    for (int i = 0; i < 10; i++) assert_int_equal(post(&f, a.pid, T_ANSWER, YD_SYSTEM, 0), 0);
    settle(&f);
    assert_int_equal(a.seen_count, 13);
    assert_int_equal(post(&f, a.pid, T_HELLO, YD_CAST, 0), 0);
    settle(&f);
    assert_int_equal(a.seen_count, 14);
    fixture_close(&f);
}

static int count_undeliverable(void *arg, const struct yd_process_stat *stat)
{
    *(uint64_t *)arg += stat->undeliverable;
    return 0;
}

static void full_by_bytes_but_one_that_is_larger_than_the_bound_enters_an_empty_mailbox(void **state)
{
    (void)state;
    struct fixture f;
    struct actor a = {0};
    uint64_t refused = 0;
    fixture_open(&f, 1, defaults());
    actor_spawn(&f, &a, (struct yd_process_options){.executor = -1, .mailbox_bytes_max = 10000});
    int outcome[] = {0, YD_EBUSY};
    for (int i = 0; i < 2; i++) {
        struct yd_envelope *large = yd_envelope_new(f.system, a.pid, T_HELLO, YD_CAST);
        large->cost = 1000000;
        assert_int_equal(yd_send(f.system, large), outcome[i]);
    }
    assert_int_equal(post(&f, a.pid, T_HELLO, YD_CAST, 0), YD_EBUSY);
    settle(&f);
    assert_int_equal(a.seen_count, 1);
    assert_int_equal(yd_system_visit(f.system, count_undeliverable, &refused), 0);
    assert_int_equal(refused, 2);
    fixture_close(&f);
}

static void flood(struct actor *self, struct yd_outbox *out)
{
    for (uint64_t i = 0; i < self->arg[0]; i++) yd_out_new(out, self->peer, T_HELLO, YD_CAST)->arg[0] = self->arg[1]++;
}

/* Several senders, several executors, random seeds: each sender's envelopes come in order, none lost, none twice. */
static void order_of_each_sender_is_kept_on_every_path(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed += YD_MIN(UNIT_SPARSE, 5)) {
        struct fixture f;
        static struct actor sender[6], sink;
        hand_fn *flood_fn = flood;
        memset(sender, 0, sizeof sender);
        memset(&sink, 0, sizeof sink);
        fixture_open(&f, 1 + seed % 4, (struct yd_system_options){.sim_seed = seed, .turn_messages = 1 + seed % 7});
        actor_spawn(&f, &sink, ANYWHERE);
        for (int i = 0; i < 6; i++) {
            sender[i] = (struct actor){.fn = hand, .ctx = &flood_fn, .peer = sink.pid, .arg = {7}};
            actor_spawn(&f, &sender[i], ANYWHERE);
            for (int k = 0; k < 20; k++) post(&f, sender[i].pid, T_GO, YD_CAST, 0);
        }
        settle(&f);
        uint64_t next[6] = {0};
        if (sink.seen_count != 6 * 20 * 7) printf("# seed %llu\n", (unsigned long long)seed);
        assert_int_equal(sink.seen_count, 6 * 20 * 7);
        for (uint32_t i = 0; i < sink.seen_count; i++) {
            int from = 0;
            while (sender[from].pid != sink.seen[i].from) from++;
            assert_int_equal(sink.seen[i].arg0, next[from]++);
        }
        fixture_close(&f);
    }
}

static enum yd_turn three_times(struct actor *self, struct yd_envelope *envelope, struct yd_outbox *out)
{
    (void)envelope;
    yd_out_new(out, self->peer, T_HELLO, YD_CAST);
    return ++self->arg[0] % 3 ? YD_TURN_MORE : YD_TURN_DONE;
}

static void more_gets_the_same_envelope_again_and_flushes_each_time(void **state)
{
    (void)state;
    struct fixture f;
    struct actor a = {.fn = three_times}, b = {0};
    fixture_open(&f, 2, defaults());
    actor_spawn(&f, &b, ANYWHERE);
    a.peer = b.pid;
    actor_spawn(&f, &a, ANYWHERE);
    for (uint64_t i = 0; i < 4; i++) post(&f, a.pid, T_GO, YD_CAST, i);
    settle(&f);
    assert_int_equal(a.seen_count, 12);
    assert_int_equal(b.seen_count, 12);
    for (uint64_t i = 0; i < 12; i++) assert_int_equal(a.seen[i].arg0, i / 3);
    fixture_close(&f);
}

static enum yd_turn to_self(struct actor *self, struct yd_envelope *envelope, struct yd_outbox *out)
{
    if (envelope->arg[0]) yd_out_new(out, yd_self(out), T_HELLO, YD_CAST)->arg[0] = envelope->arg[0] - 1;
    (void)self;
    return YD_TURN_DONE;
}

static void one_that_sends_itself_without_end_does_not_starve_others(void **state)
{
    (void)state;
    struct fixture f;
    struct actor a = {.fn = to_self}, b = {0};
    fixture_open(&f, 1, defaults());
    actor_spawn(&f, &a, (struct yd_process_options){.executor = -1, .mailbox_max = 1});
    actor_spawn(&f, &b, ANYWHERE);
    post(&f, a.pid, T_HELLO, YD_CAST, 1000);
    for (int i = 0; i < 20; i++) yd_system_step(f.system);
    assert_in_range(a.seen_count, 1, 20); /* one at a time: what it sends itself waits for its next turn */
    post(&f, b.pid, T_HELLO, YD_CAST, 0);
    for (int i = 0; i < 100 && !b.seen_count; i++) yd_system_step(f.system);
    assert_int_equal(b.seen_count, 1);
    settle(&f);
    assert_int_equal(a.seen_count, 1001);
    fixture_close(&f);
}

static void pid_of_one_that_ended_reaches_nobody_even_when_its_slot_lives_again(void **state)
{
    (void)state;
    struct fixture f;
    struct actor old = {0}, young = {0};
    struct yd_system_stat stat;
    fixture_open(&f, 1, defaults());
    actor_spawn(&f, &old, ANYWHERE);
    settle(&f);
    assert_int_equal(yd_kill(f.system, old.pid), 0);
    settle(&f);
    assert_int_equal(old.finis, 1);
    actor_spawn(&f, &young, ANYWHERE);
    assert_true(old.pid != young.pid);
    assert_int_equal(old.pid & 0xffffff, young.pid & 0xffffff); /* the same slot */
    assert_int_equal(post(&f, old.pid, T_HELLO, YD_CAST, 0), YD_EUNDELIVERABLE);
    assert_int_equal(post(&f, YD_NOBODY, T_HELLO, YD_CAST, 0), YD_EUNDELIVERABLE);
    assert_int_equal(post(&f, ~UINT64_C(0), T_HELLO, YD_CAST, 0), YD_EUNDELIVERABLE);
    settle(&f);
    assert_int_equal(young.seen_count, 0);
    yd_system_stat(f.system, &stat);
    assert_int_equal(stat.undeliverable, 3);
    assert_int_equal(yd_kill(f.system, old.pid), YD_ENOENT);
    fixture_close(&f);
}

static void names_are_unique_found_and_free_again(void **state)
{
    (void)state;
    struct fixture f;
    struct actor a = {0};
    char text[64];
    yd_pid pid = 0, other;
    fixture_open(&f, 1, defaults());
    actor_spawn(&f, &a, (struct yd_process_options){.executor = -1, .group = "stand", .name = "decom"});
    struct yd_process_options same = {.executor = -1, .group = "stand", .name = "decom", .arg = &a};
    assert_int_equal(yd_spawn(f.system, &actor_class, &same, &other), YD_EEXIST);
    same.name = "a@b";
    assert_int_equal(yd_spawn(f.system, &actor_class, &same, &other), YD_EINVAL);
    assert_true(yd_whereis(f.system, "stand", "decom") == a.pid);
    assert_true(yd_whereis(f.system, "stand", "decon") == YD_NOBODY);
    assert_true(yd_whereis(f.system, NULL, "decom") == YD_NOBODY);
    assert_int_equal(yd_pid_put(f.system, a.pid, text, sizeof text), strlen("stand::decom@local"));
    assert_string_equal(text, "stand::decom@local");
    assert_int_equal(yd_pid_parse(f.system, yd_str_of(text), &pid), 0);
    assert_true(pid == a.pid);
    assert_int_equal(yd_pid_parse(f.system, YD_STR("stand::decom"), &pid), 0);
    assert_int_equal(yd_pid_parse(f.system, YD_STR("stand::decom@elsewhere"), &pid), YD_ENOENT);
    assert_int_equal(yd_pid_parse(f.system, YD_STR("stand:decom"), &pid), YD_EFORMAT);
    assert_int_equal(yd_pid_parse(f.system, YD_STR(""), &pid), YD_EFORMAT);
    assert_int_equal(yd_pid_parse(f.system, YD_STR("@local"), &pid), YD_EFORMAT);
    assert_int_equal(yd_pid_parse(f.system, YD_STR("::x"), &pid), YD_ENOENT);
    assert_int_equal(yd_pid_put(f.system, a.pid, text, 6), 5);
    assert_string_equal(text, "stand");
    settle(&f);
    yd_kill(f.system, a.pid);
    settle(&f);
    assert_true(yd_whereis(f.system, "stand", "decom") == YD_NOBODY);
    struct actor b = {0};
    actor_spawn(&f, &b, (struct yd_process_options){.executor = -1, .group = "stand", .name = "decom"});
    assert_true(yd_whereis(f.system, "stand", "decom") == b.pid);
    fixture_close(&f);
}

static void unnamed_pids_have_a_text_that_reads_back(void **state)
{
    (void)state;
    struct fixture f;
    struct actor a = {0};
    char text[64];
    yd_pid pid = 0, elsewhere = (yd_pid)7 << 48 | 1 << 24 | 5;
    fixture_open(&f, 1, defaults());
    actor_spawn(&f, &a, ANYWHERE);
    yd_pid_put(f.system, a.pid, text, sizeof text);
    assert_int_equal(text[0], '#');
    assert_int_equal(yd_pid_parse(f.system, yd_str_of(text), &pid), 0);
    assert_true(pid == a.pid);
    yd_pid_put(f.system, elsewhere, text, sizeof text);
    assert_int_equal(yd_pid_parse(f.system, yd_str_of(text), &pid), 0);
    assert_true(pid == elsewhere);
    assert_int_equal(yd_pid_parse(f.system, YD_STR("#1"), &pid), YD_EFORMAT);
    assert_int_equal(yd_pid_parse(f.system, YD_STR("#99999999.1"), &pid), YD_EFORMAT);
    assert_int_equal(yd_pid_parse(f.system, YD_STR("#1.0"), &pid), YD_EFORMAT);
    fixture_close(&f);
}

static void names_by_the_thousand_come_and_go_as_in_a_model(void **state)
{
    (void)state;
    enum { NAMES = 300 };
    struct fixture f;
    static struct actor dummy;
    yd_pid model[NAMES] = {0};
    struct yd_rng rng;
    yd_rng_init(&rng, 7);
    fixture_open(&f, 1, defaults());
    for (int step = 0; step < 5000; step++) {
        char name[16];
        unsigned i = (unsigned)yd_rng_below(&rng, NAMES);
        snprintf(name, sizeof name, "n%u", i);
        assert_true(yd_whereis(f.system, i % 2 ? "g" : NULL, name) == model[i]);
        if (model[i]) {
            assert_int_equal(yd_kill(f.system, model[i]), 0);
            settle(&f);
            model[i] = YD_NOBODY;
        } else {
            struct yd_process_options options = {
                .executor = -1, .group = i % 2 ? "g" : NULL, .name = name, .arg = &dummy};
            assert_int_equal(yd_spawn(f.system, &actor_class, &options, &model[i]), 0);
            settle(&f);
        }
    }
    fixture_close(&f);
}

static void atoms_are_small_and_stay(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, 1, defaults());
    yd_atom a = yd_atom_of(f.system, YD_STR("alpha")), b = yd_atom_of(f.system, YD_STR("beta"));
    assert_true(a && b && a != b);
    assert_int_equal(yd_atom_of(f.system, YD_STR("alpha")), a);
    assert_int_equal(yd_atom_of(f.system, YD_STR("")), 0);
    assert_true(yd_str_eq(yd_atom_text(f.system, b), YD_STR("beta")));
    assert_int_equal(yd_atom_text(f.system, 12345).size, 0);
    fixture_close(&f);
}

static void have_child(struct actor *self, struct yd_outbox *out)
{
    struct yd_process_options options = {.executor = -1, .arg = self->arg[1] ? (void *)(uintptr_t)self->arg[1] : NULL};
    assert_int_equal(yd_out_spawn(out, &actor_class, &options, &self->peer), 0);
    yd_out_new(out, self->peer, T_HELLO, YD_CAST);
    yd_out_monitor(out, self->peer);
}

static enum yd_turn spawn_and(struct actor *self, struct yd_envelope *envelope, struct yd_outbox *out)
{
    if (envelope->type == T_GO) have_child(self, out);
    return envelope->type == T_GO && envelope->arg[0] ? YD_TURN_FAIL : YD_TURN_DONE;
}

static void child_is_born_at_the_flush_and_never_if_the_turn_fails(void **state)
{
    (void)state;
    for (int fail = 0; fail < 2; fail++) {
        struct fixture f;
        static struct actor child;
        memset(&child, 0, sizeof child);
        struct actor a = {.fn = spawn_and, .arg = {0, (uint64_t)(uintptr_t)&child}};
        fixture_open(&f, 3, defaults());
        actor_spawn(&f, &a, ANYWHERE);
        post(&f, a.pid, T_GO, YD_CAST, (uint64_t)fail);
        settle(&f);
        assert_int_equal(child.inits, fail ? 0 : 1);
        assert_int_equal(child.seen_count, fail ? 0 : 1);
        assert_int_equal(post(&f, a.peer, T_HELLO, YD_CAST, 0), fail ? YD_EUNDELIVERABLE : 0);
        fixture_close(&f);
        assert_int_equal(child.finis, child.inits);
    }
}

static char deferred[8], digit[3][2] = {"1", "2", "3"};
static void defer_a(void *arg)
{
    strcat(deferred, arg);
}
static void defer_some(struct actor *self, struct yd_outbox *out)
{
    (void)self;
    yd_out_defer(out, defer_a, digit[0]);
    yd_out_defer(out, defer_a, digit[1]);
    deferred[0] = 0;
    yd_out_defer(out, defer_a, digit[2]);
}

static void deferred_calls_run_after_the_flush_in_order(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 50; seed++) { /* lent or not */
        struct fixture f;
        hand_fn *fn = defer_some;
        struct actor a = {.fn = hand, .ctx = &fn};
        fixture_open(&f, 2, (struct yd_system_options){.sim_seed = seed});
        actor_spawn(&f, &a, ANYWHERE);
        post(&f, a.pid, T_GO, YD_CAST, 0);
        settle(&f);
        assert_string_equal(deferred, "123");
        fixture_close(&f);
    }
}

static int freed;
static void count_free(void *data)
{
    free(data);
    freed++;
}

static void destroy_finishes_all_and_releases_every_envelope(void **state)
{
    (void)state;
    struct fixture f;
    struct actor a = {0}, b = {0};
    freed = 0;
    fixture_open(&f, 2, defaults());
    actor_spawn(&f, &a, ANYWHERE);
    actor_spawn(&f, &b, ANYWHERE);
    settle(&f);
    for (int i = 0; i < 10; i++) {
        struct yd_envelope *envelope = yd_envelope_new(f.system, i % 2 ? a.pid : b.pid, T_HELLO, YD_CAST);
        envelope->data = malloc(10);
        envelope->data_release = count_free;
        yd_send(f.system, envelope);
        if (i == 4) yd_system_step(f.system);
    }
    fixture_close(&f);
    assert_int_equal(freed, 10);
    assert_int_equal(a.finis, 1);
    assert_int_equal(b.finis, 1);
}

static enum yd_turn take_data(struct actor *self, struct yd_envelope *envelope, struct yd_outbox *out)
{
    (void)out;
    self->ctx = envelope->data;
    envelope->data = NULL;
    return YD_TURN_DONE;
}

static void data_that_was_taken_is_not_released_and_inline_data_travels_along(void **state)
{
    (void)state;
    struct fixture f;
    struct actor a = {.fn = take_data}, b = {.fn = take_data};
    freed = 0;
    fixture_open(&f, 1, defaults());
    actor_spawn(&f, &a, ANYWHERE);
    actor_spawn(&f, &b, ANYWHERE);
    struct yd_envelope *envelope = yd_envelope_new(f.system, a.pid, T_HELLO, YD_CAST);
    envelope->data = malloc(10);
    envelope->data_release = count_free;
    yd_send(f.system, envelope);
    envelope = yd_envelope_new_sized(f.system, b.pid, T_HELLO, YD_CAST, 5000);
    memset(envelope->data, 1, 5000);
    yd_send(f.system, envelope);
    settle(&f);
    assert_int_equal(freed, 0);
    free(a.ctx);
    assert_non_null(b.ctx);
    yd_envelope_free(NULL);
    fixture_close(&f);
}

static int remote_count;
static int to_remote(void *arg, struct yd_envelope *envelope)
{
    (void)arg;
    remote_count++;
    yd_envelope_free(envelope);
    return 0;
}

static void envelopes_to_other_nodes_go_to_the_hook(void **state)
{
    (void)state;
    struct fixture f;
    yd_pid elsewhere = (yd_pid)9 << 48 | 1 << 24 | 1;
    fixture_open(&f, 1, defaults());
    assert_int_equal(post(&f, elsewhere, T_HELLO, YD_CAST, 0), YD_EUNDELIVERABLE);
    fixture_close(&f);
    fixture_open(&f, 1, (struct yd_system_options){.remote = to_remote});
    assert_int_equal(post(&f, elsewhere, T_HELLO, YD_CAST, 0), 0);
    assert_int_equal(remote_count, 1);
    fixture_close(&f);
}

static void options_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    struct fixture f;
    yd_pid pid;
    fixture_open(&f, 2, defaults());
    struct yd_process_options options = {.executor = 2};
    assert_int_equal(yd_spawn(f.system, &actor_class, &options, &pid), YD_EINVAL);
    struct yd_process_class deaf = {.name = "deaf"};
    assert_int_equal(yd_spawn(f.system, &deaf, NULL, &pid), YD_EINVAL);
    assert_int_equal(yd_system_start(f.system), YD_ENOTSUP);
    assert_null(yd_system_loop(f.system, 2));
    fixture_close(&f);
    struct yd_system *system;
    assert_int_equal(yd_system_create(&(struct yd_system_options){.executors = 100000}, &system), YD_EINVAL);
    yd_system_destroy(NULL);
}

static enum yd_turn busy_forever(struct actor *self, struct yd_envelope *envelope, struct yd_outbox *out)
{
    (void)envelope;
    for (uint64_t i = 0; i < 64; i++) yd_out_new(out, yd_self(out), T_HELLO, YD_CAST);
    self->arg[0]++;
    return YD_TURN_DONE;
}

static void groups_share_by_weight_whatever_the_number_of_their_processes(void **state)
{
    (void)state;
    struct fixture f;
    static struct actor few, many[5];
    uint64_t of_many = 0;
    few = (struct actor){.fn = busy_forever};
    fixture_open(&f, 1, defaults());
    actor_spawn(&f, &few, (struct yd_process_options){.executor = -1, .group = "few", .weight = 3, .mailbox_max = 200});
    post(&f, few.pid, T_HELLO, YD_CAST, 0);
    for (int i = 0; i < 5; i++) {
        many[i] = (struct actor){.fn = busy_forever};
        actor_spawn(&f, &many[i], (struct yd_process_options){.executor = -1, .group = "many", .mailbox_max = 200});
        post(&f, many[i].pid, T_HELLO, YD_CAST, 0);
    }
    for (int i = 0; i < 3000; i++) yd_system_step(f.system);
    for (int i = 0; i < 5; i++) of_many += many[i].seen_count;
    assert_in_range(few.seen_count, of_many * 5 / 2, of_many * 7 / 2);
    fixture_close(&f);
}

static void seeded_runs_repeat_exactly_and_other_seeds_differ(void **state)
{
    (void)state;
    uint64_t trace[4];
    for (int run = 0; run < 4; run++) {
        struct fixture f;
        static struct actor a[8];
        memset(a, 0, sizeof a);
        fixture_open(&f, 3, (struct yd_system_options){.sim_seed = run < 2 ? 5 : 5 + (uint64_t)run});
        for (int i = 0; i < 8; i++) {
            a[i].fn = busy_forever;
            actor_spawn(&f, &a[i], (struct yd_process_options){.executor = -1, .mailbox_max = 100});
            post(&f, a[i].pid, T_HELLO, YD_CAST, 0);
        }
        for (int i = 0; i < 1000; i++) yd_system_step(f.system);
        trace[run] = yd_system_trace(f.system);
        fixture_close(&f);
    }
    assert_true(trace[0] == trace[1]);
    assert_true(trace[0] != trace[2]);
    assert_true(trace[2] != trace[3]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(envelope_arrives_with_all_it_carries),
        cmocka_unit_test(nothing_leaves_the_outbox_of_a_failed_turn),
        cmocka_unit_test(full_mailbox_refuses_casts_and_requests_but_no_system_envelope),
        cmocka_unit_test(full_by_bytes_but_one_that_is_larger_than_the_bound_enters_an_empty_mailbox),
        cmocka_unit_test(order_of_each_sender_is_kept_on_every_path),
        cmocka_unit_test(more_gets_the_same_envelope_again_and_flushes_each_time),
        cmocka_unit_test(one_that_sends_itself_without_end_does_not_starve_others),
        cmocka_unit_test(pid_of_one_that_ended_reaches_nobody_even_when_its_slot_lives_again),
        cmocka_unit_test(names_are_unique_found_and_free_again),
        cmocka_unit_test(unnamed_pids_have_a_text_that_reads_back),
        cmocka_unit_test(names_by_the_thousand_come_and_go_as_in_a_model),
        cmocka_unit_test(atoms_are_small_and_stay),
        cmocka_unit_test(child_is_born_at_the_flush_and_never_if_the_turn_fails),
        cmocka_unit_test(deferred_calls_run_after_the_flush_in_order),
        cmocka_unit_test(destroy_finishes_all_and_releases_every_envelope),
        cmocka_unit_test(data_that_was_taken_is_not_released_and_inline_data_travels_along),
        cmocka_unit_test(envelopes_to_other_nodes_go_to_the_hook),
        cmocka_unit_test(options_that_make_no_sense_are_refused),
        cmocka_unit_test(groups_share_by_weight_whatever_the_number_of_their_processes),
        cmocka_unit_test(seeded_runs_repeat_exactly_and_other_seeds_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
