/* sim_follow: leader and followers over the wire: the real server and the real follower, on a simulated network.
 *
 *   seed -> 3 nodes, each a loop, a disk, a pool, a native server, and a follower unless it leads; on one network
 *           steps: append at who leads; let time pass; reset connections, keep nodes apart, lose one direction;
 *           power loss and kill -9 of any node, or of all; disks that fail a sync; promoting the furthest follower
 *           while the old leader goes on, who comes back as a follower
 *        -> beside it, as in sim_replica: a chain of marks, each of which knows the one before it
 *
 * What is checked after each step: a node holds only what was appended, behind what it was appended behind; what it
 * called durable it keeps, but when its leader told it to cut; `replicated` only when so many others have it durably;
 * whoever is promoted has all of that; in the end all are alike, byte for byte.
 *
 *   sim_follow --seeds A..B     sim_follow --random N     [--steps K] [--verbose] */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/text.h"
#include "io/pool.h"
#include "io/sim_file.h"
#include "io/sim_net.h"
#include "serve/follower.h"
#include "serve/native.h"
#include <yarder/batch.h>

#define NODES     3
#define MARKS_MAX 1500
#define DIR       "data/streams/s/0"
#define EPOCH_NS  (INT64_C(1700000000) * YD_NS_PER_S)
#define UNKNOWN   UINT64_MAX

struct mark {
    uint64_t first, next, before; /* before: the mark in front of it; 0: none; UNKNOWN: it was retired */
    bool committed;
};
struct node {
    struct sim *sim;
    uint32_t index;
    char name[2], address[20];
    struct yd_loop *loop;
    struct yd_fs *fs;
    struct yd_pool *pool;
    struct yd_streams *streams;
    struct yd_log *log;
    struct yd_native *native;
    struct yd_follower *follower;
    bool leads, native_gone, follower_gone, was_apart;
    uint64_t chain[MARKS_MAX];
    uint32_t count;
    uint64_t told, cuts; /* durable as it said; how often it was told to cut until then */
};
struct sim {
    uint64_t seed, mark_count, committed_count, crashes, cut_count, promotions;
    struct yd_rng rng;
    struct yd_sim *net;
    struct node nodes[NODES];
    uint32_t leader;
    unsigned replicas;
    uint64_t segment_size, retain;
    struct mark marks[MARKS_MAX + 1];
    bool verbose;
};

__attribute__((format(printf, 2, 3), noreturn)) static void violation(struct sim *sim, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("seed %" PRIu64 ": ", sim->seed);
    vprintf(format, args);
    printf("\n");
    fflush(stdout);
    va_end(args);
    _exit(3);
}
#define CHECK(sim, condition, ...) ((condition) ? (void)0 : violation(sim, __VA_ARGS__))

__attribute__((format(printf, 2, 3))) static void say(const struct sim *sim, const char *format, ...)
{
    if (!sim->verbose) return;
    va_list args;
    va_start(args, format);
    printf("%9.3f ", (double)yd_sim_now(sim->net) / 1e9);
    vprintf(format, args);
    printf("\n");
    va_end(args);
}

static uint64_t below(struct sim *sim, uint64_t bound)
{
    return yd_rng_below(&sim->rng, bound);
}
static bool chance(struct sim *sim, uint32_t one_in)
{
    return yd_rng_chance(&sim->rng, one_in);
}
static uint64_t sim_random(void *arg)
{
    return yd_rng_next(&((struct sim *)arg)->rng);
}
static int64_t sim_wall(void *arg)
{
    return EPOCH_NS + yd_sim_now(((struct sim *)arg)->net);
}
static struct node *any_node(struct sim *sim)
{
    return &sim->nodes[below(sim, NODES)];
}

static struct yd_batch *make_batch(uint64_t mark, uint32_t count, uint32_t fill)
{
    static struct yd_builder *builder;
    static char text[16384];
    if (!builder) YD_ASSERT(yd_builder_create(&(struct yd_builder_options){.size_max = 1 << 20}, &builder) == 0);
    uint32_t name;
    YD_ASSERT(yd_builder_name(builder, YD_STR("mark"), &name) == 0);
    for (uint32_t i = 0; i < count; i++)
        YD_ASSERT(yd_builder_add(builder, (int64_t)mark, name, YD_SAMPLE, YD_U64, 0, (union yd_value){.u64 = mark}) ==
                  0);
    memset(text, 'a' + (int)(mark % 26), fill);
    if (fill)
        YD_ASSERT(
            yd_builder_add_bytes(builder, (int64_t)mark, name, YD_EVENT, YD_BLOB, 0, (struct yd_str){text, fill}) == 0);
    struct yd_batch *batch;
    YD_ASSERT(yd_builder_seal(builder, &batch) == 0);
    return batch;
}

/* ---- what a node holds ---- */

static bool read_chain(struct sim *sim, struct node *node, uint64_t *to, uint32_t *ret_count)
{
    struct yd_log_start start = {.from = YD_FROM_OLDEST, .level = YD_ACK_MEMORY};
    struct yd_log_reader *reader;
    CHECK(sim, yd_log_reader_open(node->log, &start, &reader) == 0, "no reader");
    uint32_t count = 0;
    bool good = true;
    for (;;) {
        struct yd_batch *batch;
        struct yd_log_gap gap = {0};
        int error = yd_log_reader_next(reader, &batch, &gap);
        if (error == YD_EAGAIN) break;
        struct yd_log_position position;
        yd_log_position(node->log, &position);
        good = error != YD_ECLOSED && error != YD_EIO && !(error == YD_EGAP && position.failed);
        if (!good) break; /* its disk has gone, or what a failed sync took */
        CHECK(sim, error == 0, "node %s: reading: %s, %s from %" PRIu64 " to %" PRIu64, node->name,
              yd_error_name(error), error == YD_EGAP ? gap.reason : "", gap.from, gap.to);
        uint64_t id = batch->view.records[0].value.u64;
        CHECK(sim, id > 0 && id <= sim->mark_count, "node %s holds what was never appended", node->name);
        const struct mark *mark = &sim->marks[id];
        CHECK(sim, mark->first == batch->header.base_seqno && mark->next == mark->first + batch->header.count,
              "node %s holds mark %" PRIu64 " at %" PRIu64 ", not %" PRIu64, node->name, id, batch->header.base_seqno,
              mark->first);
        CHECK(sim, count == 0 || mark->before == to[count - 1] || mark->before == UNKNOWN,
              "node %s holds mark %" PRIu64 " behind %" PRIu64 ", not behind %" PRIu64, node->name, id, to[count - 1],
              mark->before);
        to[count++] = id;
        yd_batch_unref(batch);
    }
    yd_log_reader_close(reader);
    *ret_count = count;
    return good;
}

static uint64_t cuts_of(const struct node *node)
{
    struct yd_follower_stat stat = {0};
    if (node->follower) yd_follower_stat(node->follower, &stat);
    return stat.cuts + stat.begun_anew;
}

/* Reads it again: what it called durable is there, but for what retention took and what it was told to cut. */
static void refresh(struct sim *sim, struct node *node, bool may_cut)
{
    static uint64_t now[MARKS_MAX];
    uint32_t count, at = 0;
    struct yd_log_position position;
    yd_log_position(node->log, &position);
    if (!read_chain(sim, node, now, &count)) return;
    for (uint32_t i = 0; i < node->count && !may_cut; i++) {
        const struct mark *mark = &sim->marks[node->chain[i]];
        if (mark->next <= position.first || mark->next > node->told) continue;
        while (at < count && sim->marks[now[at]].first < mark->first) at++;
        CHECK(sim, at < count && now[at] == node->chain[i],
              "node %s had mark %" PRIu64 " at %" PRIu64 ", durably, and has it no more", node->name, node->chain[i],
              mark->first);
    }
    CHECK(sim, may_cut || position.durable >= node->told, "node %s: durable went from %" PRIu64 " to %" PRIu64,
          node->name, node->told, position.durable);
    memcpy(node->chain, now, count * sizeof *now);
    node->count = count;
    node->told = position.durable;
}

static bool has(const struct sim *sim, const struct node *node, uint64_t id)
{
    for (uint32_t i = node->count; i > 0; i--)
        if (node->chain[i - 1] == id) return sim->marks[id].next <= node->told;
    return node->count > 0 && sim->marks[id].next <= sim->marks[node->chain[0]].first; /* retired since */
}

static void look(struct sim *sim)
{
    for (uint32_t n = 0; n < NODES; n++) {
        struct node *node = &sim->nodes[n];
        uint64_t cuts = cuts_of(node);
        struct yd_log_position position;
        yd_log_position(node->log, &position);
        /* Cut, though not yet counted: the order has come, and its job has run. */
        bool cut = cuts != node->cuts || (node->follower && position.durable < node->told);
        if (cut) say(sim, "node %s was cut from %" PRIu64 " to %" PRIu64, node->name, node->told, position.durable);
        sim->cut_count += cuts != node->cuts;
        refresh(sim, node, cut);
        node->cuts = cuts;
    }
    struct node *leader = &sim->nodes[sim->leader];
    struct yd_log_position position;
    yd_log_position(leader->log, &position);
    for (uint32_t i = 0; i < leader->count; i++) {
        struct mark *mark = &sim->marks[leader->chain[i]];
        if (mark->committed || mark->next > position.replicated || mark->next <= position.first) continue;
        unsigned others = 0;
        for (uint32_t n = 0; n < NODES; n++) others += n != sim->leader && has(sim, &sim->nodes[n], leader->chain[i]);
        CHECK(sim, others >= sim->replicas, "mark %" PRIu64 " is called replicated, and %u others have it",
              leader->chain[i], others);
        mark->committed = true;
        sim->committed_count++;
    }
}

/* ---- life and death ---- */

static void native_stopped(void *arg)
{
    ((struct node *)arg)->native_gone = true;
}
static void follower_stopped(void *arg)
{
    ((struct node *)arg)->follower_gone = true;
}
static void said(void *arg, int level, const char *text)
{
    const struct node *node = arg;
    (void)level;
    say(node->sim, "node %s: %s", node->name, text);
}

static void follow(struct sim *sim, struct node *node, const struct node *leader)
{
    struct yd_follower_options options = {.loop = node->loop,
                                          .pool = node->pool,
                                          .log = node->log,
                                          .from = leader->address,
                                          .stream = "s/0",
                                          .id = "f", /* all have the same name: that is no matter */
                                          .inbox_max = 1 + below(sim, 100000),
                                          .silence_ns = 3 * YD_NS_PER_S,
                                          .said = said,
                                          .arg = node};
    struct yd_trail trail = {0};
    CHECK(sim, yd_follower_start(&options, &node->follower, &trail) == 0, "no follower: %s", yd_trail_text(&trail));
}

static void no_faults(struct node *node)
{
    *yd_sim_fs_faults(node->fs) = (struct yd_sim_faults){.tear = 8, .write_back = 16};
    yd_sim_fs_cut_after(node->fs, UINT64_MAX);
}

static void open_node(struct sim *sim, struct node *node)
{
    no_faults(node);
    struct yd_log_options options = {.fs = node->fs,
                                     .dir = DIR,
                                     .stream = "s/0",
                                     .random = sim_random,
                                     .wall = sim_wall,
                                     .mono = sim_wall,
                                     .clock_arg = sim,
                                     .segment_size_min = sim->segment_size,
                                     .segment_size_max = sim->segment_size * 4,
                                     .memory_bytes_max = 20000,
                                     .retain_bytes = sim->retain,
                                     .replicas = sim->replicas,
                                     .replica_lag_ns = 2 * YD_NS_PER_S,
                                     .follower = !node->leads};
    struct yd_trail trail = {0};
    int error = yd_log_open(&options, &node->log, NULL, &trail);
    if (error == YD_EEPOCH && node->leads && node->index != sim->leader) { /* it knows that it was deposed */
        node->leads = false;
        options.follower = true;
        error = yd_log_open(&options, &node->log, NULL, &trail);
    }
    CHECK(sim, error == 0, "node %s cannot be opened: %s", node->name, yd_trail_text(&trail));
    refresh(sim, node, false);
    YD_ASSERT(yd_streams_put(node->streams, "s/0", node->log) == 0);
    struct yd_native_options native = {.loop = node->loop,
                                       .pool = node->pool,
                                       .fs = node->fs,
                                       .streams = node->streams,
                                       .data = "data",
                                       .listen = node->address,
                                       .open = true,
                                       .simulated = true,
                                       .random = sim_random,
                                       .wall = sim_wall,
                                       .world_arg = sim};
    CHECK(sim, yd_native_start(&native, &node->native, &trail) == 0, "no server: %s", yd_trail_text(&trail));
    if (!node->leads) follow(sim, node, &sim->nodes[sim->leader]);
    say(sim, "node %s is open as %s, durable to %" PRIu64, node->name, node->leads ? "leader" : "follower", node->told);
}

/* Ends all of its objects; the others live on meanwhile. Dead: nothing of it reaches a disk or anybody any more. */
static void end_node(struct sim *sim, struct node *node, bool dead)
{
    node->native_gone = false;
    node->follower_gone = !node->follower;
    if (dead) {
        yd_sim_fs_cut_after(node->fs, 0);
        yd_sim_apart(sim->net, node->name, NULL, true);
        yd_sim_cut(sim->net, node->name, NULL);
    }
    if (node->follower) yd_follower_stop(node->follower, follower_stopped, node);
    node->follower = NULL;
    node->cuts = 0;
    yd_native_stop(node->native, native_stopped, node);
    for (int i = 0; i < 1000000 && !(node->native_gone && node->follower_gone); i++) (void)yd_sim_step(sim->net);
    CHECK(sim, node->native_gone && node->follower_gone, "node %s does not stop", node->name);
    node->native = NULL;
    yd_streams_remove(node->streams, "s/0");
    if (!dead) { /* what came while it was told to stop counts */
        bool cut = false;
        struct yd_log_position position;
        yd_log_position(node->log, &position);
        cut = !node->leads && position.durable < node->told;
        refresh(sim, node, cut);
    }
    int error = yd_log_close(node->log);
    node->log = NULL;
    if (dead)
        chance(sim, 3) ? yd_sim_fs_kill(node->fs) : yd_sim_fs_crash(node->fs);
    else if (error)
        yd_sim_fs_crash(node->fs);
    if (dead) yd_sim_apart(sim->net, node->name, NULL, node->was_apart);
    no_faults(node);
}

static void crash(struct sim *sim, struct node *node)
{
    say(sim, "node %s crashes", node->name);
    /* Killed in the middle of a cut: it was told to. */
    struct yd_log_position position;
    yd_log_position(node->log, &position);
    if (!node->leads && (cuts_of(node) != node->cuts || position.durable < node->told || position.failed))
        node->told = 0;
    end_node(sim, node, true);
    sim->crashes++;
    if (!node->leads) node->told = YD_MIN(node->told, position.durable);
    open_node(sim, node);
}

/* ---- steps ---- */

static void append(struct sim *sim, struct node *node)
{
    if (!node->leads || sim->mark_count + 2 >= MARKS_MAX) return;
    uint64_t id = sim->mark_count + 1;
    uint32_t fill = (uint32_t)below(sim, chance(sim, 8) ? 16000 : 1200);
    struct yd_batch *batch = make_batch(id, 1 + (uint32_t)below(sim, 5), fill);
    struct yd_log_appended appended;
    int error = yd_log_append(node->log, batch, -1, UINT64_MAX, &appended);
    yd_batch_unref(batch);
    if (error) return;
    sim->marks[id] = (struct mark){appended.first, appended.next,
                                   node->count      ? node->chain[node->count - 1]
                                   : appended.first ? UNKNOWN
                                                    : 0,
                                   false};
    sim->mark_count = id;
    node->chain[node->count++] = id;
    if (chance(sim, 2)) (void)yd_log_flush(node->log);
}

static void pass(struct sim *sim, int64_t ns)
{
    yd_sim_run_until(sim->net, yd_sim_now(sim->net) + ns);
    for (uint32_t n = 0; n < NODES; n++) {
        (void)yd_log_flush(sim->nodes[n].log);
        if (chance(sim, 4)) (void)yd_log_maintain(sim->nodes[n].log);
    }
    look(sim);
}

static void all_together(struct sim *sim)
{
    for (uint32_t n = 0; n < NODES; n++) {
        yd_sim_apart(sim->net, sim->nodes[n].name, NULL, false);
        sim->nodes[n].was_apart = false;
        for (uint32_t m = 0; m < NODES; m++) yd_sim_lose(sim->net, sim->nodes[n].name, sim->nodes[m].name, false);
    }
}

/* The furthest of the others, all of which are fenced before, also when that is one deposed before who does not know it
 * yet; the old leader goes on and knows nothing. */
static void promote(struct sim *sim)
{
    struct node *old = &sim->nodes[sim->leader], *best = NULL;
    struct yd_log_end furthest = {0};
    uint32_t known = 0;
    look(sim);
    for (uint32_t n = 0; n < NODES; n++) {
        struct node *node = &sim->nodes[n];
        if (node == old) continue;
        struct yd_log_position position;
        struct yd_log_end end;
        yd_log_position(node->log, &position);
        yd_log_end(node->log, &end);
        known = YD_MAX(known, end.known_epoch);
        say(sim, "node %s ends at %" PRIu64 " of epoch %u, and knows %u", node->name, end.durable, end.last_epoch,
            end.known_epoch);
        /* Without a batch nobody can say how far it is: it lets some more come. */
        if (position.failed || !end.last_epoch) return;
        if (best && yd_log_end_compare(&end, &furthest) <= 0) continue;
        best = node;
        furthest = end;
    }
    uint32_t epoch = yd_log_next_epoch(known, best->index), got;
    for (uint32_t n = 0; n < NODES; n++) {
        struct node *node = &sim->nodes[n];
        if (node == old || node == best || yd_log_fence(node->log, epoch) == 0) continue;
        crash(sim, node); /* it may have forgotten; it is asked until it has not */
        CHECK(sim, yd_log_fence(node->log, epoch) == 0, "node %s cannot be fenced", node->name);
    }
    end_node(sim, best, false);
    struct yd_trail trail = {0};
    int error = yd_log_promote_dir(best->fs, DIR, known, best->index, &got, &trail);
    CHECK(sim, error == 0 && got == epoch, "promoting node %s: %s, epoch %u", best->name, yd_trail_text(&trail), got);
    best->leads = true;
    sim->leader = best->index;
    sim->promotions++;
    say(sim, "node %s is promoted, epoch %u", best->name, epoch);
    open_node(sim, best);
    struct yd_log_position position;
    yd_log_position(best->log, &position);
    for (uint64_t id = 1; id <= sim->mark_count; id++)
        CHECK(sim, !sim->marks[id].committed || sim->marks[id].next <= position.first || has(sim, best, id),
              "mark %" PRIu64 " was replicated, and node %s has it not", id, best->name);
    for (uint32_t n = 0; n < NODES; n++) { /* those that follow are told whom */
        struct node *node = &sim->nodes[n];
        if (node->leads || chance(sim, 3)) continue;
        end_node(sim, node, false);
        open_node(sim, node);
    }
}

/* A leader of the past comes back as a follower; a follower that follows somebody else is told better. */
static void rejoin(struct sim *sim, struct node *node)
{
    if (node->index == sim->leader) return;
    end_node(sim, node, false);
    node->leads = false;
    open_node(sim, node);
}

static void step(struct sim *sim)
{
    struct node *node = any_node(sim), *other = any_node(sim), *leader = &sim->nodes[sim->leader];
    uint64_t what = below(sim, 100);
    if (what < 45) {
        for (uint64_t i = below(sim, 6); i > 0; i--) append(sim, chance(sim, 5) ? node : leader);
        pass(sim, (int64_t)below(sim, 100) * YD_NS_PER_MS);
    } else if (what < 60) {
        pass(sim, (int64_t)below(sim, 3000) * YD_NS_PER_MS);
    } else if (what < 68) {
        yd_sim_cut(sim->net, node->name, chance(sim, 2) ? NULL : other->name);
    } else if (what < 76) {
        node->was_apart = !node->was_apart;
        yd_sim_apart(sim->net, node->name, NULL, node->was_apart);
    } else if (what < 82) {
        if (node != other) yd_sim_lose(sim->net, node->name, other->name, chance(sim, 2));
    } else if (what < 85) {
        all_together(sim);
    } else if (what < 91) {
        crash(sim, node);
    } else if (what < 92) {
        for (uint32_t n = 0; n < NODES; n++) crash(sim, &sim->nodes[n]);
    } else if (what < 94) {
        yd_sim_fs_faults(node->fs)->sync_fails = 20;
    } else if (what < 96) {
        promote(sim);
    } else {
        rejoin(sim, node);
    }
    for (uint32_t n = 0; n < NODES; n++) {
        struct yd_log_position position;
        yd_log_position(sim->nodes[n].log, &position);
        if (position.failed) crash(sim, &sim->nodes[n]); /* a node whose disk has failed it starts again */
    }
}

/* ---- the end ---- */

struct comparison {
    struct sim *sim;
    struct node *one, *other;
    uint32_t files;
};
/* Zeros behind the last batch may be more or fewer. */
static int compare(void *arg, const char *name, enum yd_file_type type)
{
    struct comparison *comparison = arg;
    char path[300], *bytes[2];
    size_t sizes[2];
    if (type != YD_NODE_FILE || !strstr(name, ".ylog")) return 0;
    (void)snprintf(path, sizeof path, DIR "/%s", name);
    if (yd_fs_read_all(comparison->other->fs, path, 64 << 20, &bytes[1], &sizes[1]) < 0) return 0; /* retired there */
    CHECK(comparison->sim, yd_fs_read_all(comparison->one->fs, path, 64 << 20, &bytes[0], &sizes[0]) == 0, "no %s",
          name);
    for (int i = 0; i < 2; i++)
        while (sizes[i] > 0 && bytes[i][sizes[i] - 1] == 0) sizes[i]--;
    CHECK(comparison->sim, sizes[0] == sizes[1] && memcmp(bytes[0], bytes[1], sizes[0]) == 0,
          "%s differs between %s and %s", name, comparison->one->name, comparison->other->name);
    free(bytes[0]);
    free(bytes[1]);
    comparison->files++;
    return 0;
}

static bool alike(struct sim *sim)
{
    struct yd_log_position leader, position;
    yd_log_position(sim->nodes[sim->leader].log, &leader);
    for (uint32_t n = 0; n < NODES; n++) {
        yd_log_position(sim->nodes[n].log, &position);
        if (position.durable != leader.memory) return false;
    }
    return leader.in_sync == NODES - 1;
}

static void heal(struct sim *sim)
{
    struct node *leader = &sim->nodes[sim->leader];
    *yd_sim_net_faults(sim->net) = (struct yd_sim_net_faults){.delay_max_ns = YD_NS_PER_MS};
    all_together(sim);
    for (uint32_t n = 0; n < NODES; n++) crash(sim, &sim->nodes[n]);
    for (uint32_t n = 0; n < NODES; n++) rejoin(sim, &sim->nodes[n]);
    append(sim, leader);
    for (int i = 0; i < 120 && !alike(sim); i++) pass(sim, YD_NS_PER_S / 2);
    for (uint32_t n = 0; n < NODES; n++) {
        struct node *node = &sim->nodes[n];
        CHECK(sim, node->told == leader->told, "node %s ends at %" PRIu64 ", its leader at %" PRIu64, node->name,
              node->told, leader->told);
        CHECK(sim, node->chain[node->count - 1] == leader->chain[leader->count - 1], "node %s ends with another batch",
              node->name);
        struct comparison comparison = {sim, leader, node, 0};
        if (node != leader) YD_ASSERT(yd_fs_list(leader->fs, DIR, compare, &comparison) == 0);
    }
    CHECK(sim, alike(sim), "not all are in the set, with nothing that keeps them");
    struct yd_log_position position;
    yd_log_position(leader->log, &position);
    for (uint64_t id = 1; id <= sim->mark_count; id++)
        CHECK(sim, !sim->marks[id].committed || sim->marks[id].next <= position.first || has(sim, leader, id),
              "mark %" PRIu64 " was replicated, and is nowhere", id);
}

static void run_seed(uint64_t seed, uint64_t steps_max, bool verbose)
{
    struct sim *sim = calloc(1, sizeof *sim);
    YD_ASSERT(sim);
    sim->seed = seed;
    sim->verbose = verbose;
    yd_rng_init(&sim->rng, seed);
    sim->replicas = 1 + (unsigned)below(sim, NODES - 1);
    sim->segment_size = (8 + 8 * below(sim, 4)) << 10;
    sim->retain = chance(sim, 4) ? 60000 + below(sim, 100000) : 0;
    YD_ASSERT(yd_sim_create(seed, &sim->net) == 0);
    struct yd_sim_net_faults *faults = yd_sim_net_faults(sim->net);
    faults->delay_max_ns = (int64_t)(1 + below(sim, 50)) * YD_NS_PER_MS;
    faults->small_read = chance(sim, 2) ? 50 : 0;
    faults->cut = chance(sim, 3) ? 200 : 0;
    faults->refuse = chance(sim, 3) ? 5 : 0;
    for (uint32_t n = 0; n < NODES; n++) {
        struct node *node = &sim->nodes[n];
        *node = (struct node){.sim = sim, .index = n, .leads = n == 0, .name = {(char)('a' + n), '\0'}};
        (void)snprintf(node->address, sizeof node->address, "10.0.0.%u:4280", n + 1);
        YD_ASSERT(yd_sim_loop_create(sim->net, node->name, &node->loop) == 0);
        YD_ASSERT(yd_sim_fs_create(seed * NODES + n, &node->fs) == 0);
        YD_ASSERT(yd_pool_create_sim(node->loop, &node->pool) == 0);
        YD_ASSERT(yd_streams_create(&node->streams) == 0);
        open_node(sim, node);
    }
    uint64_t steps = 50 + below(sim, 150);
    for (uint64_t i = 0; i < steps && i < steps_max; i++) step(sim);
    heal(sim);
    for (uint32_t n = 0; n < NODES; n++) end_node(sim, &sim->nodes[n], false);
    yd_sim_run_until(sim->net, yd_sim_now(sim->net) + 60 * YD_NS_PER_S);
    for (uint32_t n = 0; n < NODES; n++) {
        struct node *node = &sim->nodes[n];
        yd_streams_destroy(node->streams);
        yd_pool_destroy(node->pool);
        yd_loop_destroy(node->loop);
        yd_sim_fs_destroy(node->fs);
    }
    yd_sim_destroy(sim->net);
    static uint64_t totals[4];
    totals[0] += sim->crashes, totals[1] += sim->promotions, totals[2] += sim->cut_count,
        totals[3] += sim->committed_count;
    if (verbose || seed % 50 == 0)
        printf("# up to seed %" PRIu64 ": %" PRIu64 " crashes, %" PRIu64 " promotions, %" PRIu64 " cut back, %" PRIu64
               " batches replicated\n",
               seed, totals[0], totals[1], totals[2], totals[3]);
    free(sim);
}

static bool fails(uint64_t from, uint64_t to, uint64_t steps, bool quiet)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        if (quiet && !freopen("/dev/null", "w", stdout)) _exit(1);
        for (uint64_t seed = from; seed <= to; seed++) run_seed(seed, steps, false);
        fflush(stdout);
        _exit(0);
    }
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child) return false;
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static void shrink(uint64_t from, uint64_t to)
{
    uint64_t seed = from, low = 0, high = 256;
    while (seed < to && !fails(seed, seed, UINT64_MAX, true)) seed++;
    while (low + 1 < high) {
        uint64_t middle = (low + high) / 2;
        *(fails(seed, seed, middle, true) ? &high : &low) = middle;
    }
    printf("# smallest: sim_follow --seeds %" PRIu64 " --steps %" PRIu64 " --verbose\n", seed, high);
    (void)fails(seed, seed, high, false);
}

int main(int argc, char **argv)
{
    uint64_t from = 1, to = 200, steps = UINT64_MAX;
    bool verbose = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc) {
            int got = sscanf(argv[++i], "%" SCNu64 "..%" SCNu64, &from, &to);
            if (got == 1)
                to = from;
            else if (got != 2)
                return 2;
        } else if (strcmp(argv[i], "--random") == 0 && i + 1 < argc) {
            uint64_t count = strtoull(argv[++i], NULL, 10);
            if (getrandom(&from, sizeof from, 0) != sizeof from) return 1;
            from >>= 16;
            to = from + count - 1;
            printf("# random seeds %" PRIu64 "..%" PRIu64 "\n", from, to);
        } else if (strcmp(argv[i], "--steps") == 0 && i + 1 < argc) {
            steps = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--verbose") == 0) {
            verbose = true;
        } else {
            (void)fprintf(stderr, "usage: sim_follow [--seeds A..B | --random N] [--steps K] [--verbose]\n");
            return 2;
        }
    }
    if (from == to) {
        run_seed(from, steps, verbose);
    } else {
        for (uint64_t seed = from; seed <= to; seed += 20) {
            uint64_t last = YD_MIN(seed + 19, to);
            if (!fails(seed, last, steps, false)) continue;
            shrink(seed, last);
            return 3;
        }
    }
    printf("# %" PRIu64 " seeds, no violation\n", to - from + 1);
    return 0;
}
