/* bench-hop: what a process costs. Each figure stands beside its floor, interleaved with it in the same run.
 *
 *   bench-hop [--json] [--quick] [NAME …]
 *
 * hop        envelope to a process on the same executor     | function call through a pointer and an intrusive queue
 * pingpong   round trips of two processes on one executor
 * across     round trip and one-way rate between executors  | round trip of two threads through a pair of pipes
 * chain      three pass-through processes, batches of 1,000 records: by reference, and reading every record
 * lend       work that is all at home on one of two executors
 * ring, spawn, fanin   as the classic benchmarks of Erlang have them
 *
 * What runs on one executor (hop, chain) is timed in CPU time of this program, so a busy machine distorts it less; the
 * rest by the clock on the wall. `best` is the best round. */
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "actor/actor.h"

#define ROUNDS_MAX 32
#define T_BALL     YD_ENV_USER
#define T_DONE     (YD_ENV_USER + 1)

static bool json, quick;
static int rounds = 11;
static bool first_line = true;

static double seconds(void)
{
    return (double)yd_clock_mono() / 1e9;
}

static double cpu_seconds(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

/* ---- results ---- */
struct series {
    const char *name, *unit;
    double value[ROUNDS_MAX];
    int count;
};

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double print(struct series *series, const char *note)
{
    qsort(series->value, (size_t)series->count, sizeof series->value[0], by_value);
    double median = series->value[series->count / 2], low = series->value[series->count / 10];
    double high = series->value[series->count - 1 - series->count / 10];
    bool rate = strchr(series->unit, '/') != NULL; /* more is better */
    double best = series->value[rate ? series->count - 1 : 0];
    if (json) {
        printf("%s{\"name\":\"%s\",\"unit\":\"%s\",\"median\":%.6g,\"best\":%.6g,\"p10\":%.6g,\"p90\":%.6g,\"note\":\"%"
               "s\"}",
               first_line ? "" : ",\n", series->name, series->unit, median, best, low, high, note);
        first_line = false;
    } else {
        printf("%-34s %10.2f %-12s best %.2f (%.2f .. %.2f)  %s\n", series->name, median, series->unit, best, low, high,
               note);
    }
    fflush(stdout);
    return median;
}

static void add(struct series *series, double value)
{
    if (series->count < ROUNDS_MAX) series->value[series->count++] = value;
}

/* ---- processes ---- */
static sem_t done;

struct player {
    yd_pid peer;
    uint64_t left;
    uint64_t sum;
};

static enum yd_turn play(void *state, struct yd_envelope *envelope, struct yd_outbox *out)
{
    struct player *player = state;
    if (envelope->type == T_DONE) player->left = envelope->arg[0];
    if (player->left == 0) return YD_TURN_DONE;
    if (--player->left == 0) {
        sem_post(&done);
        return YD_TURN_DONE;
    }
    yd_out_new(out, player->peer, T_BALL, YD_SYSTEM);
    return YD_TURN_DONE;
}
static enum yd_turn bounce(void *state, struct yd_envelope *envelope, struct yd_outbox *out)
{
    (void)state;
    yd_out_new(out, envelope->from, T_BALL, YD_SYSTEM);
    return YD_TURN_DONE;
}
static enum yd_turn forward(void *state, struct yd_envelope *envelope, struct yd_outbox *out)
{
    struct player *player = state;
    if (envelope->arg[0] == 0) {
        sem_post(&done);
        return YD_TURN_DONE;
    }
    yd_out_new(out, player->peer, T_BALL, YD_SYSTEM)->arg[0] = envelope->arg[0] - 1;
    return YD_TURN_DONE;
}
static enum yd_turn sink(void *state, struct yd_envelope *envelope, struct yd_outbox *out)
{
    struct player *player = state;
    (void)out;
    if (envelope->type == T_DONE)
        player->left = envelope->arg[0];
    else if (--player->left == 0)
        sem_post(&done);
    return YD_TURN_DONE;
}
static enum yd_turn burst(void *state, struct yd_envelope *envelope, struct yd_outbox *out)
{
    struct player *player = state;
    (void)envelope;
    for (int i = 0; i < 100 && player->left; i++, player->left--) yd_out_new(out, player->peer, T_BALL, YD_SYSTEM);
    if (player->left) yd_out_new(out, yd_self(out), T_BALL, YD_SYSTEM);
    return YD_TURN_DONE;
}

static const struct yd_process_class player_class = {.name = "player", .receive = play};
static const struct yd_process_class bounce_class = {.name = "bounce", .receive = bounce};
static const struct yd_process_class forward_class = {.name = "forward", .receive = forward};
static const struct yd_process_class sink_class = {.name = "sink", .receive = sink};
static const struct yd_process_class burst_class = {.name = "burst", .receive = burst};

static struct yd_system *start(unsigned executors)
{
    struct yd_system *system;
    if (yd_system_create(&(struct yd_system_options){.executors = executors, .compute = 1}, &system) < 0 ||
        yd_system_start(system) < 0) {
        fprintf(stderr, "bench-hop: cannot start a system\n");
        exit(1);
    }
    return system;
}

static yd_pid spawn(struct yd_system *system, const struct yd_process_class *class, void *arg, int executor)
{
    struct yd_process_options options = {.executor = executor, .arg = arg, .mailbox_max = 1 << 22};
    yd_pid pid;
    if (yd_spawn(system, class, &options, &pid) < 0) exit(1);
    return pid;
}

static void tell(struct yd_system *system, yd_pid to, uint32_t type, uint64_t arg)
{
    struct yd_envelope *envelope = yd_envelope_new(system, to, type, YD_SYSTEM);
    envelope->arg[0] = arg;
    (void)yd_send(system, envelope);
}

static double wait_done(double begin)
{
    while (sem_wait(&done)) continue;
    return seconds() - begin;
}

/* ---- floors ---- */
struct node {
    struct node *next;
    void (*fn)(struct node *node);
    uint64_t payload[12];
};
static struct node *queue_first, *queue_last, *node_free;
static void floor_push(struct node *node)
{
    node->next = NULL;
    if (queue_first)
        queue_last->next = node;
    else
        queue_first = node;
    queue_last = node;
}
static void floor_receive(struct node *node)
{
    struct node *reply = node_free;
    node_free = reply->next;
    memset(reply->payload, 0, sizeof reply->payload);
    reply->fn = node->fn;
    floor_push(reply);
    node->next = node_free;
    node_free = node;
}

/* A block from a free list, cleared, queued, taken, passed to a function through a pointer, given back. */
static double floor_call_ns(uint64_t count)
{
    static struct node nodes[4];
    queue_first = queue_last = node_free = NULL;
    for (int i = 0; i < 4; i++) {
        nodes[i].fn = floor_receive;
        nodes[i].next = node_free;
        node_free = &nodes[i];
    }
    struct node *node = node_free;
    node_free = node->next;
    floor_push(node);
    double begin = cpu_seconds();
    for (uint64_t i = 0; i < count; i++) {
        node = queue_first;
        queue_first = node->next;
        node->fn(node);
    }
    return (cpu_seconds() - begin) * 1e9 / (double)count;
}

static int to_child[2], to_parent[2];
static void *echo_thread(void *arg)
{
    char c;
    (void)arg;
    while (read(to_child[0], &c, 1) == 1)
        if (write(to_parent[1], &c, 1) != 1) break;
    return NULL;
}
static double floor_pipe_us(uint64_t count)
{
    pthread_t thread;
    char c = 0;
    if (pipe(to_child) || pipe(to_parent) || pthread_create(&thread, NULL, echo_thread, NULL)) exit(1);
    double begin = seconds();
    for (uint64_t i = 0; i < count; i++)
        if (write(to_child[1], &c, 1) != 1 || read(to_parent[0], &c, 1) != 1) exit(1);
    double us = (seconds() - begin) * 1e6 / (double)count;
    close(to_child[1]);
    pthread_join(thread, NULL);
    close(to_child[0]), close(to_parent[0]), close(to_parent[1]);
    return us;
}

/* ---- the benchmarks ---- */
static double pingpong_s(struct yd_system *system, uint64_t trips, int a, int b)
{
    struct player one = {.left = 0}, two = {.left = 0};
    two.peer = spawn(system, &bounce_class, &two, b);
    one.peer = two.peer;
    yd_pid pid = spawn(system, &player_class, &one, a);
    double begin = seconds();
    tell(system, pid, T_DONE, trips + 1);
    double took = wait_done(begin);
    yd_kill(system, pid);
    yd_kill(system, two.peer);
    return took;
}

static void bench_hop(void)
{
    uint64_t trips = quick ? 100000 : 1000000;
    struct series floor = {"floor: call and queue", "ns"}, one = {"hop: same executor, one at a time", "ns"},
                  many = {"hop: same executor, bursts of 100", "ns"}, rate = {"pingpong: round trips", "M/s"};
    struct yd_system *system = start(1);
    for (int round = 0; round < rounds; round++) {
        add(&floor, floor_call_ns(trips * 2));
        double cpu = cpu_seconds(), took = pingpong_s(system, trips, 0, 0);
        add(&one, (cpu_seconds() - cpu) * 1e9 / (double)trips / 2);
        add(&rate, (double)trips / took / 1e6);
        struct player to = {.left = 0}, from = {.left = trips};
        from.peer = spawn(system, &sink_class, &to, 0);
        tell(system, from.peer, T_DONE, trips);
        yd_pid pid = spawn(system, &burst_class, &from, 0);
        cpu = cpu_seconds();
        tell(system, pid, T_BALL, 0);
        (void)wait_done(0);
        add(&many, (cpu_seconds() - cpu) * 1e9 / (double)trips);
        yd_kill(system, pid);
        yd_kill(system, from.peer);
    }
    yd_system_destroy(system);
    print(&floor, "");
    print(&one, "goal <= 40");
    print(&many, "");
    print(&rate, "Erlang 25: 2.7");
}

static void bench_across(void)
{
    uint64_t trips = quick ? 2000 : 20000, flood = quick ? 200000 : 2000000;
    struct series floor = {"floor: pipes between threads", "us"}, trip = {"across: round trip", "us"},
                  rate = {"across: one way", "M/s"}, saturated = {"across: 64 balls in flight", "M hops/s"};
    struct yd_system *system = start(2);
    for (int round = 0; round < rounds; round++) {
        add(&floor, floor_pipe_us(trips));
        add(&trip, pingpong_s(system, trips, 0, 1) * 1e6 / (double)trips);
        struct player to = {.left = 0}, from = {.left = flood};
        from.peer = spawn(system, &sink_class, &to, 1);
        tell(system, from.peer, T_DONE, flood);
        yd_pid pid = spawn(system, &burst_class, &from, 0);
        double begin = seconds();
        tell(system, pid, T_BALL, 0);
        add(&rate, (double)flood / wait_done(begin) / 1e6);
        yd_kill(system, pid);
        yd_kill(system, from.peer);

        struct player ring[2];
        ring[0].peer = spawn(system, &forward_class, &ring[1], 1);
        ring[1].peer = spawn(system, &forward_class, &ring[0], 0);
        begin = seconds();
        for (int i = 0; i < 64; i++) tell(system, ring[0].peer, T_BALL, flood / 64);
        double took = 0;
        for (int i = 0; i < 64; i++) took = wait_done(begin);
        add(&saturated, (double)flood / took / 1e6);
        yd_kill(system, ring[0].peer);
        yd_kill(system, ring[1].peer);
    }
    yd_system_destroy(system);
    print(&floor, "");
    print(&trip, "");
    print(&rate, "");
    print(&saturated, "");
}

struct stage {
    yd_pid next; /* YD_NOBODY: the last */
    bool read;
    uint64_t left, sum;
};
static enum yd_turn pass(void *state, struct yd_envelope *envelope, struct yd_outbox *out)
{
    struct stage *stage = state;
    struct yd_batch *batch = envelope->batch;
    if (stage->read)
        for (uint32_t i = 0; i < batch->view.count; i++) stage->sum += batch->view.records[i].value.bits;
    if (stage->next == YD_NOBODY) {
        if (--stage->left == 0) sem_post(&done);
        return YD_TURN_DONE;
    }
    struct yd_envelope *on = yd_out_new(out, stage->next, T_BALL, YD_CAST);
    on->batch = batch;
    on->cost = envelope->cost;
    envelope->batch = NULL;
    return YD_TURN_DONE;
}
static enum yd_turn feed(void *state, struct yd_envelope *envelope, struct yd_outbox *out)
{
    struct stage *stage = state;
    for (int i = 0; i < 32 && stage->left; i++, stage->left--) {
        struct yd_envelope *on = yd_out_new(out, stage->next, T_BALL, YD_CAST);
        on->batch = yd_batch_ref(envelope->batch);
        on->cost = (uint32_t)yd_batch_cost(envelope->batch);
    }
    return stage->left ? YD_TURN_MORE : YD_TURN_DONE;
}
static const struct yd_process_class pass_class = {.name = "pass", .receive = pass};
static const struct yd_process_class feed_class = {.name = "feed", .receive = feed};

static struct yd_batch *thousand(void)
{
    struct yd_builder *builder;
    struct yd_batch *batch;
    uint32_t name;
    if (yd_builder_create(&(struct yd_builder_options){0}, &builder) < 0 ||
        yd_builder_name(builder, YD_STR("engine.temperature stand=1"), &name) < 0)
        exit(1);
    for (int i = 0; i < 1000; i++)
        if (yd_builder_add(builder, i, name, YD_SAMPLE, YD_F64, 0, (union yd_value){.f64 = i}) < 0) exit(1);
    if (yd_builder_seal(builder, &batch) < 0) exit(1);
    yd_builder_destroy(builder);
    return batch;
}

static void bench_chain(void)
{
    uint64_t batches = quick ? 20000 : 200000;
    struct series by_reference = {"chain of 3: by reference", "M records/s"},
                  reading = {"chain of 3: reading every record", "M records/s"};
    struct yd_system *system = start(1);
    struct yd_batch *batch = thousand();
    for (int round = 0; round < rounds; round++) {
        for (int reads = 0; reads < 2; reads++) {
            uint64_t count = reads ? batches / 20 : batches;
            struct stage stage[4] = {{.left = count}, {.read = reads}, {.read = reads}, {.read = reads, .left = count}};
            for (int i = 2; i >= 0; i--) stage[i].next = spawn(system, &pass_class, &stage[i + 1], 0);
            yd_pid pid = spawn(system, &feed_class, &stage[0], 0);
            struct yd_envelope *go = yd_envelope_new(system, pid, T_BALL, YD_CAST);
            go->batch = yd_batch_ref(batch);
            double cpu = cpu_seconds();
            (void)yd_send(system, go);
            (void)wait_done(0);
            add(reads ? &reading : &by_reference, (double)count * 1000 / (cpu_seconds() - cpu) / 1e6);
            for (int i = 0; i < 3; i++) yd_kill(system, stage[i].next);
            yd_kill(system, pid);
        }
    }
    yd_system_destroy(system);
    yd_batch_unref(batch);
    print(&by_reference, "goal >= 50");
    print(&reading, "");
}

static void bench_ring(void)
{
    enum { RING = 1000 };
    uint64_t hops = quick ? 200000 : 2000000;
    struct series rate = {"ring of 1,000: hops", "M/s"};
    static struct player players[RING];
    struct yd_system *system = start(0);
    for (int round = 0; round < rounds; round++) {
        yd_pid pids[RING];
        for (int i = 0; i < RING; i++) pids[i] = spawn(system, &forward_class, &players[i], -1);
        /* Neighbours on one executor, as anybody would who has a choice: the others are the other half of the ring. */
        int order[RING], count = 0;
        for (unsigned e = 0; e < yd_system_executors(system); e++)
            for (int i = 0; i < RING; i++)
                if (yd_pid_executor(system, pids[i]) == e) order[count++] = i;
        for (int i = 0; i < count; i++) players[order[i]].peer = pids[order[(i + 1) % count]];
        double begin = seconds();
        tell(system, pids[order[0]], T_BALL, hops);
        add(&rate, (double)hops / wait_done(begin) / 1e6);
        for (int i = 0; i < RING; i++) yd_kill(system, pids[i]);
    }
    yd_system_destroy(system);
    print(&rate, "Erlang 25: 5.9");
}

struct parent {
    uint64_t left, alive, count;
};
static enum yd_turn child_receive(void *state, struct yd_envelope *envelope, struct yd_outbox *out)
{
    (void)state;
    yd_out_new(out, envelope->from, T_DONE, YD_SYSTEM);
    return YD_TURN_STOP;
}
static const struct yd_process_class child_class = {.name = "child", .state_size = 64, .receive = child_receive};
static enum yd_turn parent_receive(void *state, struct yd_envelope *envelope, struct yd_outbox *out)
{
    struct parent *parent = state;
    if (envelope->type == T_DONE && --parent->alive == 0 && parent->left == 0) {
        sem_post(&done); /* from here on the parent's memory belongs to the next round */
        return YD_TURN_DONE;
    }
    while (parent->left && parent->alive < 1000) {
        yd_pid child;
        if (yd_out_spawn(out, &child_class, NULL, &child) < 0) exit(1);
        yd_out_new(out, child, T_BALL, YD_CAST);
        parent->left--;
        parent->alive++;
    }
    return YD_TURN_DONE;
}
static const struct yd_process_class parent_class = {.name = "parent", .receive = parent_receive};

static void bench_spawn(void)
{
    uint64_t count = quick ? 50000 : 500000;
    struct series rate = {"spawn, one message, reply, end", "M/s"};
    struct yd_system *system = start(0);
    for (int round = 0; round < rounds; round++) {
        struct parent parent = {.left = count};
        yd_pid pid = spawn(system, &parent_class, &parent, 0);
        double begin = seconds();
        tell(system, pid, T_BALL, 0);
        add(&rate, (double)count / wait_done(begin) / 1e6);
        yd_kill(system, pid);
    }
    yd_system_destroy(system);
    print(&rate, "Erlang 25: 2.1");
}

static void bench_fanin(void)
{
    enum { SENDERS = 100 };
    uint64_t each = quick ? 2000 : 20000;
    struct series rate = {"fan-in 100 to 1", "M/s"};
    static struct player senders[SENDERS];
    struct yd_system *system = start(0);
    for (int round = 0; round < rounds; round++) {
        struct player to = {.left = 0};
        yd_pid pids[SENDERS], pid = spawn(system, &sink_class, &to, -1);
        tell(system, pid, T_DONE, each * SENDERS);
        for (int i = 0; i < SENDERS; i++) {
            senders[i] = (struct player){.peer = pid, .left = each};
            pids[i] = spawn(system, &burst_class, &senders[i], -1);
        }
        double begin = seconds();
        for (int i = 0; i < SENDERS; i++) tell(system, pids[i], T_BALL, 0);
        add(&rate, (double)(each * SENDERS) / wait_done(begin) / 1e6);
        for (int i = 0; i < SENDERS; i++) yd_kill(system, pids[i]);
        yd_kill(system, pid);
    }
    yd_system_destroy(system);
    print(&rate, "Erlang 25: 6.3");
}

/* Eight processes at home on one of two executors, each receive 50 us: pinned there, or lent when the other is idle. */
static enum yd_turn toil(void *state, struct yd_envelope *envelope, struct yd_outbox *out)
{
    struct player *player = state;
    (void)envelope, (void)out;
    for (int64_t until = yd_clock_mono() + 50 * YD_NS_PER_US; yd_clock_mono() < until;) continue;
    if (--player->left == 0) sem_post(&done);
    return YD_TURN_DONE;
}
static const struct yd_process_class toil_class = {.name = "toil", .receive = toil};

static void bench_lend(void)
{
    enum { TOILERS = 8 };
    uint64_t each = quick ? 50 : 250;
    struct series pinned = {"uneven load: pinned to one", "k receives/s"},
                  roaming = {"uneven load: lent to the idle one", "k receives/s"};
    static struct player toilers[TOILERS];
    struct yd_system *system = start(2);
    for (int round = 0; round < rounds * 2; round++) {
        yd_pid pids[TOILERS];
        for (int i = 0; i < TOILERS; i++) {
            struct yd_process_options options = {.executor = 0, .roams = round % 2, .arg = &toilers[i]};
            toilers[i] = (struct player){.left = each};
            if (yd_spawn(system, &toil_class, &options, &pids[i]) < 0) exit(1);
        }
        double begin = seconds(), took = 0;
        for (uint64_t k = 0; k < each; k++)
            for (int i = 0; i < TOILERS; i++) tell(system, pids[i], T_BALL, 0);
        for (int i = 0; i < TOILERS; i++) took = wait_done(begin);
        add(round % 2 ? &roaming : &pinned, (double)(each * TOILERS) / took / 1e3);
        for (int i = 0; i < TOILERS; i++) yd_kill(system, pids[i]);
    }
    yd_system_destroy(system);
    print(&pinned, "");
    print(&roaming, "");
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } all[] = {{"hop", bench_hop},     {"across", bench_across}, {"chain", bench_chain}, {"ring", bench_ring},
               {"spawn", bench_spawn}, {"lend", bench_lend},     {"fanin", bench_fanin}};
    bool named = false;
    sem_init(&done, 0, 0);
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--json"))
            json = true;
        else if (!strcmp(argv[i], "--quick"))
            quick = true, rounds = 3;
        else
            named = true;
    }
    if (json) printf("[\n");
    for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) {
        bool wanted = !named;
        for (int i = 1; i < argc; i++) wanted |= !strcmp(argv[i], all[k].name);
        if (wanted) all[k].run();
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    if (json)
        printf("\n]\n");
    else
        printf("resident at most %ld KiB\n", usage.ru_maxrss);
    return 0;
}
