/* fixture.h: a simulated system on a few loops, and processes that are a function and a log of what they received. */
#ifndef TESTS_ACTOR_FIXTURE_H
#define TESTS_ACTOR_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "actor/actor.h"
#include "base/hash.h"
#include "io/sim_net.h"

#define LOOPS_MAX 4
#define SEEN_MAX  4096
#define T_HELLO   (YD_ENV_USER + 0)
#define T_ASK     (YD_ENV_USER + 1)
#define T_ANSWER  (YD_ENV_USER + 2)
#define T_GO      (YD_ENV_USER + 3)

struct fixture {
    struct yd_sim *sim;
    struct yd_loop *loops[LOOPS_MAX];
    unsigned count;
    struct yd_system *system;
};

static inline void fixture_open(struct fixture *f, unsigned executors, struct yd_system_options options)
{
    memset(f, 0, sizeof *f);
    f->count = executors;
    assert_int_equal(yd_sim_create(1, &f->sim), 0);
    for (unsigned i = 0; i < executors; i++) assert_int_equal(yd_sim_loop_create(f->sim, "node", &f->loops[i]), 0);
    options.executors = executors;
    options.sim_loops = f->loops;
    if (!options.sim_seed) options.sim_seed = 1;
    assert_int_equal(yd_system_create(&options, &f->system), 0);
}

static inline void fixture_close(struct fixture *f)
{
    yd_system_destroy(f->system);
    for (unsigned i = 0; i < f->count; i++) yd_loop_destroy(f->loops[i]);
    yd_sim_destroy(f->sim);
}

/* Steps until nothing is ready; time stands still. */
static inline void settle(struct fixture *f)
{
    while (yd_system_step(f->system)) continue;
}

/* Steps and lets time pass until nothing is ready and no timer is left. */
static inline void run_all(struct fixture *f)
{
    do settle(f);
    while (yd_sim_step(f->sim));
}
static inline int64_t now(struct fixture *f)
{
    return yd_sim_now(f->sim);
}

/* A process that is a function. Its state is this struct itself. */
struct actor {
    enum yd_turn (*fn)(struct actor *self, struct yd_envelope *envelope, struct yd_outbox *out);
    int (*on_init)(struct actor *self, struct yd_outbox *out);
    yd_pid pid, peer;
    uint64_t arg[4];
    void *ctx;
    uint32_t inits, finis, seen_count;
    struct seen {
        uint32_t type;
        yd_pid from;
        uint64_t correlation, arg0, arg1;
        int64_t at;
    } seen[SEEN_MAX];
};

static inline void actor_note(struct actor *self, const struct yd_envelope *envelope, const struct yd_outbox *out)
{
    if (self->seen_count < SEEN_MAX)
        self->seen[self->seen_count] = (struct seen){envelope->type,   envelope->from,   envelope->correlation,
                                                     envelope->arg[0], envelope->arg[1], yd_out_mono(out)};
    self->seen_count++;
}

static int actor_init(void *state, void *arg, struct yd_outbox *out)
{
    struct actor *self = state;
    (void)arg;
    self->inits++;
    return self->on_init ? self->on_init(self, out) : 0;
}
static enum yd_turn actor_receive(void *state, struct yd_envelope *envelope, struct yd_outbox *out)
{
    struct actor *self = state;
    actor_note(self, envelope, out);
    return self->fn ? self->fn(self, envelope, out) : YD_TURN_DONE;
}
static void actor_fini(void *state)
{
    ((struct actor *)state)->finis++;
}

static const struct yd_process_class actor_class = {
    .name = "actor", .init = actor_init, .receive = actor_receive, .fini = actor_fini};

static inline void actor_spawn(struct fixture *f, struct actor *actor, struct yd_process_options options)
{
    options.arg = actor;
    assert_int_equal(yd_spawn(f->system, &actor_class, &options, &actor->pid), 0);
}
#define ANYWHERE ((struct yd_process_options){.executor = -1})

static inline int post(struct fixture *f, yd_pid to, uint32_t type, enum yd_delivery delivery, uint64_t arg0)
{
    struct yd_envelope *envelope = yd_envelope_new(f->system, to, type, delivery);
    assert_non_null(envelope);
    envelope->arg[0] = arg0;
    return yd_send(f->system, envelope);
}

/* A sender's hand: on T_GO it does what ctx (a function) says. */
typedef void hand_fn(struct actor *self, struct yd_outbox *out);
static inline enum yd_turn hand(struct actor *self, struct yd_envelope *envelope, struct yd_outbox *out)
{
    if (envelope->type == T_GO && self->ctx) (*(hand_fn **)self->ctx)(self, out);
    return YD_TURN_DONE;
}

#endif
