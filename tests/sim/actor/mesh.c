/* A mesh of processes that do everything at random: cast, ask, answer twice, late or never, crash, stop, kill, spawn,
 * watch, set and cancel timers, overfill each other. For some hundred seeds:
 *   - each request has exactly one outcome in the life that asked
 *   - of each sender's casts to one receiver none comes twice or out of order
 *   - sent = received + refused + undeliverable + expired, exactly; replies too
 *   - a timer never fires early, twice, or after it was cancelled; a monitor tells exactly once
 *   - the same seed gives the same run
 *
 *   sim-actor-mesh [FIRST_SEED [COUNT]] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actor/actor.h"
#include "base/hash.h"
#include "io/sim_net.h"

#define CHECK(condition) ((condition) ? (void)0 : failed(#condition, __LINE__))

enum { ACTORS = 12, OPEN = 64, TIMERS = 6, WATCHES = 32, T_CAST = YD_ENV_USER, T_ASK, T_ANSWER };

static uint64_t current_seed;
static _Noreturn void failed(const char *what, int line)
{
    printf("not ok 1 - seed %llu: %s (line %d)\n", (unsigned long long)current_seed, what, line);
    exit(1);
}

struct world;
struct actor {
    struct world *world;
    unsigned index;
    /* of this life */
    uint64_t open[OPEN];
    uint32_t open_count;
    int64_t due[TIMERS];
    yd_pid watched[WATCHES];
    uint32_t watched_count;
    unsigned again; /* MORE so often with this envelope */
};
struct world {
    struct yd_system *system;
    struct actor actors[ACTORS];
    yd_pid pids[ACTORS];
    bool quiet;                    /* no new load: let everything end */
    uint64_t next[ACTORS][ACTORS]; /* casts are numbered by sender and receiver */
    struct seen {
        yd_pid from;
        uint64_t next; /* at least */
    } seen[ACTORS][ACTORS];
    uint64_t sent, received, replies, replies_received, budget, hash;
    uint64_t outcomes[4], crashes, downs, fired;
};

/* What a turn wants to count; counted when it does not fail. */
struct tally {
    uint64_t sent, replies;
};

static uint64_t dice(struct yd_outbox *out, uint64_t sides)
{
    return yd_out_random(out) % sides;
}

static void cast(struct actor *self, struct yd_outbox *out, struct tally *tally, uint64_t *next)
{
    struct world *world = self->world;
    unsigned to = (unsigned)dice(out, ACTORS);
    struct yd_envelope *envelope = yd_out_new(out, world->pids[to], T_CAST, YD_CAST);
    envelope->arg[0] = self->index;
    envelope->arg[1] = next[to]++;
    envelope->cost = (uint32_t)dice(out, 3000);
    tally->sent++;
}

static void ask(struct actor *self, struct yd_outbox *out, struct tally *tally)
{
    if (self->open_count == OPEN) return;
    yd_pid to = dice(out, 16) ? self->world->pids[dice(out, ACTORS)] : (yd_pid)1 << 48 | 99 << 24 | dice(out, 100);
    struct yd_envelope *request = yd_out_request(out, to, T_ASK, 1 + (int64_t)dice(out, 200000));
    self->open[self->open_count++] = request->correlation;
    tally->sent++;
}

static void timer(struct actor *self, struct yd_outbox *out)
{
    uint64_t id = dice(out, TIMERS);
    if (dice(out, 3)) {
        self->due[id] = yd_out_mono(out) + 1 + (int64_t)dice(out, 100000);
        yd_out_timer(out, id, self->due[id]);
    } else {
        self->due[id] = 0;
        yd_out_timer_cancel(out, id);
    }
}

static void watch(struct actor *self, struct yd_outbox *out)
{
    yd_pid pid = self->world->pids[dice(out, ACTORS)];
    for (uint32_t i = 0; i < self->watched_count; i++)
        if (self->watched[i] == pid) return;
    if (self->watched_count == WATCHES || pid == yd_self(out)) return;
    self->watched[self->watched_count++] = pid;
    yd_out_monitor(out, pid);
}

static void note_outcome(struct actor *self, const struct yd_envelope *envelope)
{
    uint32_t i = 0;
    while (i < self->open_count && self->open[i] != envelope->correlation) i++;
    CHECK(i < self->open_count); /* one outcome, and of a request of this life */
    self->open[i] = self->open[--self->open_count];
    if (envelope->type == T_ANSWER)
        self->world->outcomes[0]++;
    else if (envelope->type == YD_ENV_TIMEOUT)
        self->world->outcomes[1]++;
    else
        self->world->outcomes[(int64_t)envelope->arg[0] == YD_EBUSY ? 2 : 3]++;
}

static void note(struct actor *self, const struct yd_envelope *envelope, struct yd_outbox *out)
{
    struct world *world = self->world;
    switch (envelope->type) {
    case T_CAST:
        if (envelope->from != YD_NOBODY) {
            struct seen *seen = &world->seen[self->index][envelope->arg[0]];
            CHECK(seen->from != envelope->from || envelope->arg[1] >= seen->next);
            *seen = (struct seen){envelope->from, envelope->arg[1] + 1};
        }
        world->received++;
        break;
    case T_ASK:
        CHECK(envelope->deadline_ns >= yd_out_mono(out));
        world->received++;
        break;
    case T_ANSWER:
        world->replies_received++;
        note_outcome(self, envelope);
        break;
    case YD_ENV_TIMEOUT:
    case YD_ENV_UNDELIVERABLE:
        note_outcome(self, envelope);
        break;
    case YD_ENV_TIMER:
        CHECK(envelope->arg[0] < TIMERS && self->due[envelope->arg[0]]);
        CHECK(yd_out_mono(out) >= self->due[envelope->arg[0]]);
        self->due[envelope->arg[0]] = 0;
        world->fired++;
        break;
    case YD_ENV_DOWN: {
        uint32_t i = 0;
        while (i < self->watched_count && self->watched[i] != envelope->from) i++;
        CHECK(i < self->watched_count);
        self->watched[i] = self->watched[--self->watched_count];
        world->downs++;
        break;
    }
    default:
        CHECK(!"a known type");
    }
}

static enum yd_turn act(struct actor *self, struct yd_envelope *envelope, struct yd_outbox *out, struct tally *tally)
{
    struct world *world = self->world;
    uint64_t next[ACTORS], budget = world->quiet ? 0 : dice(out, 5);
    memcpy(next, world->next[self->index], sizeof next);
    if (envelope->type == T_ASK) {
        for (uint64_t times = dice(out, 8); times && times < 7; times >>= 2) { /* 0, 1 or 2 */
            yd_out_reply(out, envelope, T_ANSWER);
            tally->replies++;
        }
    }
    while (budget-- && world->budget) {
        world->budget--;
        uint64_t what = dice(out, 16);
        if (what < 7)
            cast(self, out, tally, next);
        else if (what < 12)
            ask(self, out, tally);
        else if (what < 14)
            timer(self, out);
        else if (what < 15)
            watch(self, out);
        else
            (void)yd_kill(world->system, world->pids[dice(out, ACTORS)]); /* any thread may, a receive should not */
    }
    uint64_t mood = dice(out, 100);
    if (mood < 3) return YD_TURN_FAIL;
    memcpy(world->next[self->index], next, sizeof next);
    if (mood < 4) return YD_TURN_STOP;
    if (mood < 8 && self->again < 3) return YD_TURN_MORE;
    return YD_TURN_DONE;
}

static enum yd_turn receive(void *state, struct yd_envelope *envelope, struct yd_outbox *out)
{
    struct actor *self = state;
    struct world *world = self->world;
    struct tally tally = {0};
    if (!self->again) note(self, envelope, out);
    enum yd_turn turn = act(self, envelope, out, &tally);
    self->again = turn == YD_TURN_MORE ? self->again + 1 : 0;
    world->hash = (world->hash ^ (yd_self(out) + envelope->type * 31 + turn + (uint64_t)yd_out_mono(out))) *
                  UINT64_C(0x9e3779b97f4a7c15);
    if (turn == YD_TURN_FAIL) {
        world->crashes++;
        return turn;
    }
    world->sent += tally.sent;
    world->replies += tally.replies;
    return turn;
}

static int init(void *state, void *arg, struct yd_outbox *out)
{
    struct actor *self = state;
    (void)arg, (void)out;
    self->open_count = self->watched_count = self->again = 0;
    memset(self->due, 0, sizeof self->due);
    return dice(out, 20) ? 0 : YD_EFAIL;
}

static const struct yd_process_class ordinary = {.name = "ordinary", .init = init, .receive = receive};
static const struct yd_process_class computing = {
    .name = "computing", .init = init, .receive = receive, .compute = true};

static void spawn_again(struct world *world, unsigned index)
{
    struct actor *actor = &world->actors[index];
    *actor = (struct actor){.world = world, .index = index};
    struct yd_process_options options = {.executor = -1,
                                         .arg = actor,
                                         .mailbox_max = index % 3 ? 1000 : 4,
                                         .mailbox_bytes_max = index % 4 ? 0 : 8000,
                                         .group = index % 2 ? "odd" : NULL,
                                         .weight = index % 2 ? 3 : 0,
                                         .restart = index % 5 ? YD_RESTART_ON_FAIL : YD_RESTART_NEVER,
                                         .restart_max = 3,
                                         .backoff_min_ns = 1000};
    CHECK(yd_spawn(world->system, index % 4 == 1 ? &computing : &ordinary, &options, &world->pids[index]) == 0);
}

static int find(void *arg, const struct yd_process_stat *stat)
{
    return stat->pid == *(yd_pid *)arg;
}

static void post(struct world *world, unsigned to)
{
    struct yd_envelope *envelope = yd_envelope_new(world->system, world->pids[to], T_CAST, YD_CAST);
    world->sent++;
    (void)yd_send(world->system, envelope); /* a refusal is counted, and that is checked */
}

static int sum_queued(void *arg, const struct yd_process_stat *stat)
{
    *(uint64_t *)arg += stat->mailbox;
    return 0;
}

struct outcome {
    uint64_t hash, trace;
    struct world world;
    struct yd_system_stat stat;
};

static void run(uint64_t seed, struct outcome *ret)
{
    static struct world world;
    struct yd_sim *sim;
    struct yd_loop *loops[4];
    unsigned executors = 1 + (unsigned)(seed % 4);
    current_seed = seed;
    memset(&world, 0, sizeof world);
    CHECK(yd_sim_create(seed, &sim) == 0);
    for (unsigned i = 0; i < executors; i++) CHECK(yd_sim_loop_create(sim, "node", &loops[i]) == 0);
    struct yd_system_options options = {
        .executors = executors, .sim_loops = loops, .sim_seed = seed, .turn_messages = 1 + (uint32_t)(seed % 9)};
    CHECK(yd_system_create(&options, &world.system) == 0);
    world.budget = 20000;
    for (unsigned i = 0; i < ACTORS; i++) spawn_again(&world, i);
    struct yd_rng rng;
    yd_rng_init(&rng, seed);
    for (int round = 0; round < 300; round++) {
        for (int i = 0; i < 6; i++) post(&world, (unsigned)yd_rng_below(&rng, ACTORS));
        for (uint64_t i = yd_rng_below(&rng, 60); i && yd_system_step(world.system); i--) continue;
        if (yd_rng_chance(&rng, 3)) /* time passes with mailboxes full */
            yd_sim_run_until(sim, yd_sim_now(sim) + (int64_t)yd_rng_below(&rng, 60000));
        for (unsigned i = 0; i < ACTORS; i++)
            if (!yd_system_visit(world.system, find, &world.pids[i]))
                spawn_again(&world, i); /* in the place of one that ended */
    }
    world.quiet = true;
    do {
        while (yd_system_step(world.system)) continue;
    } while (yd_sim_step(sim));
    uint64_t queued = 0;
    (void)yd_system_visit(world.system, sum_queued, &queued);
    yd_system_stat(world.system, &ret->stat);
    CHECK(queued == 0);
    for (unsigned i = 0; i < ACTORS; i++) {
        struct actor *actor = &world.actors[i];
        if (!yd_system_visit(world.system, find, &world.pids[i])) continue;
        CHECK(actor->open_count == 0);                      /* every request was told its outcome */
        for (uint32_t k = 0; k < actor->watched_count; k++) /* whoever was not told of still lives */
            CHECK(yd_system_visit(world.system, find, &actor->watched[k]));
        for (int k = 0; k < TIMERS; k++) CHECK(!actor->due[k]);
    }
    CHECK(world.sent == world.received + ret->stat.undeliverable + ret->stat.refused + ret->stat.expired);
    CHECK(world.replies == world.replies_received + ret->stat.late);
    ret->hash = world.hash;
    ret->trace = yd_system_trace(world.system);
    ret->world = world;
    yd_system_destroy(world.system);
    for (unsigned i = 0; i < executors; i++) yd_loop_destroy(loops[i]);
    yd_sim_destroy(sim);
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1, count = argc > 2 ? strtoull(argv[2], NULL, 10) : 300;
    static struct outcome outcome, again;
    uint64_t sent = 0, crashes = 0, refused = 0, expired = 0, late = 0, downs = 0, fired = 0, outcomes[4] = {0};
    printf("1..1\n");
    for (uint64_t seed = first; seed < first + count; seed++) {
        run(seed, &outcome);
        if (seed % 10 == 0) {
            run(seed, &again);
            CHECK(outcome.hash == again.hash && outcome.trace == again.trace);
        }
        sent += outcome.world.sent, crashes += outcome.world.crashes, refused += outcome.stat.refused;
        expired += outcome.stat.expired, late += outcome.stat.late, downs += outcome.world.downs;
        fired += outcome.world.fired;
        for (int i = 0; i < 4; i++) outcomes[i] += outcome.world.outcomes[i];
    }
    printf("# seeds %llu to %llu\n", (unsigned long long)first, (unsigned long long)(first + count - 1));
    printf("# sent %llu, crashes %llu, refused %llu, expired %llu, late %llu, downs %llu, timers %llu\n",
           (unsigned long long)sent, (unsigned long long)crashes, (unsigned long long)refused,
           (unsigned long long)expired, (unsigned long long)late, (unsigned long long)downs, (unsigned long long)fired);
    printf("# requests: answered %llu, timed out %llu, busy %llu, undeliverable %llu\n",
           (unsigned long long)outcomes[0], (unsigned long long)outcomes[1], (unsigned long long)outcomes[2],
           (unsigned long long)outcomes[3]);
    printf("ok 1 - every request has one outcome, every envelope is accounted for, every seed replays\n");
    return 0;
}
