/* sim_replica: a leader and its followers on disks that crash, thousands of times, each from a seed.
 *
 *   seed -> 3 nodes, each a log on a simulated disk; steps: append, flush, move parts of files to followers, cut and
 *           make links, power loss and kill -9 at any call of any node, failed syncs and writes, closing in order,
 *           retention, compression, promoting, deposed leaders that go on appending and come back as followers
 *        -> beside it, for each node, what it must hold: a chain of marks, each of which knows the one before it
 *
 * What is checked: what a node called durable is there after every crash, in order, once; nothing else but what was
 * appended somewhere, at its place, behind what it was appended behind; `replicated` only when so many others have it
 * durably, and then whoever is promoted has it, but for what retention took at one of them; a follower never loses
 * anything but by being told to cut, and then it is in quarantine; in the end all are alike, sealed files byte for
 * byte.
 *
 *   sim_replica --seeds A..B        a range         sim_replica --random N     N new seeds, printed
 *   sim_replica --mutants [N]       leaves out one check at a time: a seed among N must fail for each
 *   --steps K, --without MASK       of one seed: the first K steps, without some kinds of faults
 * A seed that fails is shrunk: the fewest steps, then the fewest kinds of faults that still fail are printed. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../unit/log/pump.h"
#include "base/hash.h"
#include "io/sim_file.h"
#include "log/internal.h"

unsigned yd__log_skips;

#define NODES     3
#define MARKS_MAX 3000
#define UNKNOWN   UINT64_MAX
#define DIR       "data/streams/s/0"

enum { CRASH = 1, CUT = 2, DISK = 4, LINK = 8, PROMOTE = 16, RETAIN = 32, TWIN = 64, CLOSE = 128 };

struct mark {                     /* a batch, wherever it is */
    uint64_t first, next, before; /* before: the mark in front of it; 0: none; UNKNOWN: that was retired */
    bool committed;
};
struct node {
    uint32_t index;
    struct yd_fs *fs;
    struct yd_log *log;
    bool leads, lost_count_known;
    uint64_t chain[MARKS_MAX]; /* of what it has, oldest kept first */
    uint32_t count;
    uint64_t told, replicated; /* durable, as it said; replicated, as looked at */
    struct pump pump;
    bool linked;
    uint32_t linked_to;
    uint64_t cuts;
};
struct sim {
    uint64_t seed, steps, mark_count;
    unsigned without;
    struct yd_rng rng;
    int64_t now;
    struct node nodes[NODES];
    uint32_t leader;
    unsigned replicas;
    struct yd_log_options options[NODES];
    struct mark marks[MARKS_MAX + 1];
    bool verbose, twins, retains;
    uint64_t crashes, promotions, cuts, anews, committed;
};

__attribute__((format(printf, 2, 3), noreturn)) static void violation(struct sim *sim, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("%sseed %" PRIu64 ": ", yd__log_skips ? "# " : "", sim->seed);
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
    vprintf(format, args);
    va_end(args);
    printf("\n");
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
    return ((struct sim *)arg)->now;
}

static struct yd_batch *make_batch(uint64_t mark, uint32_t count, uint32_t fill)
{
    static struct yd_builder *builder;
    static char text[16384];
    if (!builder) YD_ASSERT(yd_builder_create(&(struct yd_builder_options){.size_max = 1 << 20}, &builder) == 0);
    uint32_t name;
    YD_ASSERT(yd_builder_name(builder, YD_STR("mark"), &name) == 0);
    for (uint32_t i = 0; i < count; i++) {
        union yd_value value = {.u64 = mark};
        YD_ASSERT(yd_builder_add(builder, (int64_t)mark, name, YD_SAMPLE, YD_U64, 0, value) == 0);
    }
    memset(text, 'a' + (int)(mark % 26), fill);
    if (fill)
        YD_ASSERT(
            yd_builder_add_bytes(builder, (int64_t)mark, name, YD_EVENT, YD_BLOB, 0, (struct yd_str){text, fill}) == 0);
    struct yd_batch *batch;
    YD_ASSERT(yd_builder_seal(builder, &batch) == 0);
    return batch;
}

/* ---- what a node holds ---- */

static bool faulty(const struct node *node)
{
    const struct yd_sim_faults *faults = yd_sim_fs_faults(node->fs);
    return faults->sync_fails || faults->write_fails || faults->meta_fails || faults->sync_dir_fails;
}

/* Reads all it has, at a level, and checks each mark's place. false: its disk went in the middle. */
static bool read_chain(struct sim *sim, struct node *node, enum yd_ack level, uint64_t *to, uint32_t *ret_count)
{
    struct yd_log_start start = {.from = YD_FROM_OLDEST, .level = level};
    struct yd_log_reader *reader;
    CHECK(sim, yd_log_reader_open(node->log, &start, &reader) == 0, "no reader");
    uint32_t count = 0;
    bool good = true;
    for (;;) {
        struct yd_batch *batch;
        struct yd_log_gap gap = {0};
        int error = yd_log_reader_next(reader, &batch, &gap);
        if (error == YD_EAGAIN) break;
        if (error == YD_ECLOSED || error == YD_EIO) {
            good = false;
            break;
        }
        struct yd_log_position position;
        yd_log_position(node->log, &position);
        if (error == YD_EGAP && position.failed) { /* what a failed sync took */
            good = false;
            break;
        }
        CHECK(sim, error == 0, "node %u: reading: %s, %s from %" PRIu64 " to %" PRIu64, node->index,
              yd_error_name(error), error == YD_EGAP ? gap.reason : "", gap.from, gap.to);
        uint64_t id = batch->view.records[0].value.u64;
        CHECK(sim, id > 0 && id <= sim->mark_count, "node %u holds what was never appended", node->index);
        const struct mark *mark = &sim->marks[id];
        CHECK(sim, mark->first == batch->header.base_seqno && mark->next == mark->first + batch->header.count,
              "node %u holds mark %" PRIu64 " at %" PRIu64 ", not %" PRIu64, node->index, id, batch->header.base_seqno,
              mark->first);
        CHECK(sim, count == 0 || mark->before == to[count - 1] || mark->before == UNKNOWN,
              "node %u holds mark %" PRIu64 " behind %" PRIu64 ", not behind %" PRIu64, node->index, id, to[count - 1],
              mark->before);
        to[count++] = id;
        yd_batch_unref(batch);
    }
    yd_log_reader_close(reader);
    *ret_count = count;
    return good;
}

/* What it had as `upto`, but for what retention took, it has still. */
static void check_kept(struct sim *sim, struct node *node, const uint64_t *now, uint32_t count, uint64_t upto)
{
    struct yd_log_position position;
    yd_log_position(node->log, &position);
    uint32_t at = 0;
    for (uint32_t i = 0; i < node->count; i++) {
        struct mark *mark = &sim->marks[node->chain[i]];
        /* Retired at one of those who made it replicated, it is promised no longer: one whose retention went further
         * than its next leader has come begins anew, and then has it no more. */
        if (mark->next <= position.first) mark->committed = false;
        if (mark->next <= position.first || mark->next > upto) continue;
        while (at < count && sim->marks[now[at]].first < mark->first) at++;
        CHECK(sim, at < count && now[at] == node->chain[i],
              "node %u had mark %" PRIu64 " at %" PRIu64 ", durably, and has it no more", node->index, node->chain[i],
              mark->first);
    }
}

static bool refresh(struct sim *sim, struct node *node, uint64_t upto)
{
    static uint64_t now[MARKS_MAX];
    uint32_t count;
    if (!read_chain(sim, node, YD_ACK_MEMORY, now, &count)) return false;
    check_kept(sim, node, now, count, upto);
    memcpy(node->chain, now, count * sizeof *now);
    node->count = count;
    struct yd_log_position position;
    yd_log_position(node->log, &position);
    node->told = position.durable;
    return true;
}

static bool has(const struct sim *sim, const struct node *node, uint64_t id, uint64_t upto)
{
    for (uint32_t i = node->count; i > 0; i--)
        if (node->chain[i - 1] == id) return sim->marks[id].next <= upto;
    return false;
}

static void look_at_replicated(struct sim *sim, struct node *node)
{
    struct yd_log_position position;
    yd_log_position(node->log, &position);
    if (!node->leads || position.replicated <= node->replicated) return;
    node->replicated = position.replicated;
    for (uint32_t i = 0; i < node->count; i++) {
        struct mark *mark = &sim->marks[node->chain[i]];
        if (mark->committed || mark->next > position.replicated || mark->next <= position.first) continue;
        unsigned others = 0;
        for (uint32_t n = 0; n < NODES; n++) {
            const struct node *other = &sim->nodes[n];
            bool retired = other->count > 0 && mark->next <= sim->marks[other->chain[0]].first;
            others += other != node && (retired || has(sim, other, node->chain[i], other->told));
        }
        CHECK(sim, others >= sim->replicas, "mark %" PRIu64 " is called replicated, and %u others have it",
              node->chain[i], others);
        mark->committed = true;
        sim->committed++;
    }
}

/* ---- life and death ---- */

static void unlink_node(struct node *node)
{
    if (!node->linked) return;
    pump_close(&node->pump);
    node->linked = false;
}

static void unlink_all(struct sim *sim, struct node *node)
{
    for (uint32_t n = 0; n < NODES; n++)
        if (sim->nodes[n].linked && (sim->nodes[n].linked_to == node->index || n == node->index))
            unlink_node(&sim->nodes[n]);
}

static void no_faults(struct node *node)
{
    *yd_sim_fs_faults(node->fs) = (struct yd_sim_faults){.tear = 8, .write_back = 16};
    yd_sim_fs_cut_after(node->fs, UINT64_MAX);
}

static void open_node(struct sim *sim, struct node *node)
{
    struct yd_trail trail = {0};
    for (int attempt = 0;; attempt++) {
        no_faults(node);
        if (attempt < 3 && chance(sim, 4) && !(sim->without & CUT)) yd_sim_fs_cut_after(node->fs, below(sim, 60));
        sim->options[node->index].follower = !node->leads;
        yd_trail_clear(&trail);
        int error = yd_log_open(&sim->options[node->index], &node->log, NULL, &trail);
        if (error == 0) break;
        say(sim, "  node %u: open: %s", node->index, yd_error_name(error));
        if (error == YD_EEPOCH && node->leads) {
            node->leads = false; /* it knows that it was deposed */
            continue;
        }
        CHECK(sim, attempt < 3, "node %u cannot be opened: %s (%s)", node->index, yd_error_name(error),
              yd_trail_text(&trail));
        yd_sim_fs_crash(node->fs);
    }
    no_faults(node);
    struct yd_log_position position;
    yd_log_position(node->log, &position);
    if (node->count == 0) node->told = 0; /* where a leader's files begin: there was no record yet */
    CHECK(sim, position.durable >= node->told, "node %u recovered to %" PRIu64 ", but %" PRIu64 " was durable",
          node->index, position.durable, node->told);
    node->replicated = position.first;
    refresh(sim, node, node->told);
    say(sim, "  node %u: open as %s, [%" PRIu64 ", %" PRIu64 "), epoch %u", node->index,
        node->leads ? "leader" : "follower", position.first, position.durable, position.epoch);
}

static void crash(struct sim *sim, struct node *node)
{
    say(sim, "node %u crashes", node->index);
    unlink_all(sim, node);
    if (chance(sim, 3))
        yd_sim_fs_kill(node->fs);
    else
        yd_sim_fs_crash(node->fs);
    (void)yd_log_close(node->log);
    node->log = NULL;
    sim->crashes++;
    open_node(sim, node);
}

static void close_node(struct sim *sim, struct node *node)
{
    unlink_all(sim, node);
    yd_sim_fs_cut_after(node->fs, UINT64_MAX);
    if (yd_log_close(node->log)) yd_sim_fs_crash(node->fs);
    node->log = NULL;
}

/* A node whose disk has failed it starts again. */
static void nurse(struct sim *sim, struct node *node)
{
    struct yd_log_position position;
    yd_log_position(node->log, &position);
    if (position.failed) crash(sim, node);
}

/* ---- steps ---- */

static void append(struct sim *sim, struct node *node)
{
    if (!node->leads || sim->mark_count + 20 >= MARKS_MAX) return;
    uint64_t id = sim->mark_count + 1;
    uint32_t count = 1 + (uint32_t)below(sim, 5), fill = (uint32_t)below(sim, chance(sim, 8) ? 16000 : 1200);
    struct yd_batch *batch = make_batch(id, count, fill);
    struct yd_log_appended appended;
    int error = yd_log_append(node->log, batch, -1, UINT64_MAX, &appended);
    yd_batch_unref(batch);
    if (error) return;
    uint64_t before = node->count ? node->chain[node->count - 1] : appended.first ? UNKNOWN : 0;
    sim->marks[id] = (struct mark){appended.first, appended.next, before, false};
    sim->mark_count = id;
    node->chain[node->count++] = id;
}

static void flush(struct sim *sim, struct node *node)
{
    (void)yd_log_flush(node->log);
    struct yd_log_position position;
    yd_log_position(node->log, &position);
    CHECK(sim, position.durable >= node->told, "node %u: durable went back", node->index);
    node->told = position.durable;
    look_at_replicated(sim, node);
}

static int quarantined(struct node *node, uint32_t *ret_files);

/* Where they part, as their leader says: cut, or begun anew. */
static void cut_back(struct sim *sim, struct node *node, bool anew, uint64_t common)
{
    uint64_t edge = 0;
    uint32_t before, after;
    struct yd_log_position old, now;
    (void)quarantined(node, &before); /* of a disk that has gone: then the cut fails, too */
    yd_log_position(node->log, &old);
    int error = anew ? 0 : yd_log_follow_cut(node->log, common, &edge);
    if (error == YD_ENOENT || (error == 0 && edge > common)) anew = true; /* it has nothing that far back */
    if (anew) error = yd_log_follow_anew(node->log);
    say(sim, "node %u: %s to %" PRIu64 ": %s", node->index, anew ? "anew" : "cut", edge, yd_error_name(error));
    /* Whatever came of it: what it has below the edge it keeps. Where that is a cut that failed does not say: in front
     * of the batch that reaches over `common`. */
    if (error) edge = common;
    for (uint32_t i = 0; i < node->count && error; i++) {
        const struct mark *mark = &sim->marks[node->chain[i]];
        if (mark->first < common && mark->next > common) edge = mark->first;
    }
    node->told = YD_MIN(node->told, anew ? 0 : YD_MIN(common, edge));
    if (error) {
        if (anew || error == YD_ENOENT) node->told = 0;
        struct yd_log_position position;
        yd_log_position(node->log, &position);
        for (uint32_t i = node->count; i > 0 && sim->marks[node->chain[i - 1]].next > node->told; i--) node->count--;
        if (position.failed || error == YD_ECLOSED) crash(sim, node);
        return;
    }
    yd_log_position(node->log, &now);
    bool spare = old.durable == now.durable || old.first == old.durable || faulty(node);
    anew ? sim->anews++ : sim->cuts++;
    if (quarantined(node, &after)) { /* the disk went just behind the cut: what it kept outlives that */
        crash(sim, node);
        CHECK(sim, quarantined(node, &after) == 0, "node %u: its quarantine cannot be listed", node->index);
    }
    CHECK(sim, spare || after > before, "node %u cut from %" PRIu64 " to %" PRIu64 ", and nothing came to quarantine",
          node->index, old.durable, now.durable);
    refresh(sim, node, node->told);
}

static void link_node(struct sim *sim, struct node *node, struct node *leader)
{
    if (node->leads || node == leader || !leader->leads) return;
    unlink_node(node);
    for (int round = 0; round < 6; round++) {
        uint64_t common = 0;
        int error = pump_open(&node->pump, leader->log, node->log, "f", &common);
        say(sim, "node %u asks %u: %s, %" PRIu64, node->index, leader->index, yd_error_name(error), common);
        if (error == 0) {
            node->linked = true;
            node->linked_to = leader->index;
            return;
        }
        pump_close(&node->pump);
        if (error == YD_EEPOCH) { /* it is told */
            struct yd_log_place place;
            yd_log_place(node->log, &place);
            (void)yd_log_fence(leader->log, place.known_epoch); /* told again when it does not last */
            CHECK(sim, leader->index != sim->leader, "the leader was taken for a deposed one");
            return;
        }
        if (error != YD_EGAP && error != YD_ENOENT) return; /* a disk */
        struct yd_log_position position;
        yd_log_position(leader->log, &position);
        error = error == YD_ENOENT;
        int led = yd_log_follow_leader(node->log, position.epoch);
        if (led) {
            say(sim, "node %u: follow_leader: %s", node->index, yd_error_name(led));
            return;
        }
        cut_back(sim, node, error, common);
        if (!node->log) return;
    }
}

static void move(struct sim *sim, struct node *node, uint64_t parts)
{
    if (!node->linked) return;
    struct node *leader = &sim->nodes[node->linked_to];
    int error = 0;
    while (parts-- > 0 && error == 0) {
        error = pump_step(&node->pump);
        if (error == YD_EFULL) {
            flush(sim, node);
            error = 0;
        }
    }
    bool seen = refresh(sim, node, node->told);
    if (chance(sim, 2)) flush(sim, node);
    struct yd_log_position position;
    yd_log_position(node->log, &position);
    if (chance(sim, 2) && !position.failed && seen) {
        uint64_t durable = YD__SKIPS(YD__SKIP_FOLLOWED) ? position.memory : position.durable;
        yd_log_replica_durable(node->pump.replica, durable);
        look_at_replicated(sim, leader);
    }
    if (error && error != YD_EAGAIN) {
        say(sim, "node %u: %s", node->index, yd_error_name(error));
        unlink_node(node);
    }
}

/* All others know that there will be another leader; then the one that is furthest is made it, also when that is one
 * deposed before, who may not know it yet and may have gone on for himself. */
static void promote(struct sim *sim)
{
    struct node *old = &sim->nodes[sim->leader], *best = NULL;
    struct yd_log_end furthest = {0};
    uint32_t known = 0;
    for (uint32_t n = 0; n < NODES; n++) {
        struct node *node = &sim->nodes[n];
        if (node == old) continue;
        unlink_node(node);
        no_faults(node);
        nurse(sim, node);
        flush(sim, node);
        if (!refresh(sim, node, node->told)) return;
        struct yd_log_end end;
        yd_log_end(node->log, &end);
        known = YD_MAX(known, end.known_epoch);
        say(sim, "node %u ends at %" PRIu64 " of epoch %u, and knows %u", n, end.durable, end.last_epoch,
            end.known_epoch);
        if (end.log_id == 0) return;
        if (best && yd_log_end_compare(&end, &furthest) <= 0) continue;
        best = node;
        furthest = end;
    }
    uint32_t epoch = yd_log_next_epoch(known, best->index);
    for (uint32_t n = 0; n < NODES; n++)
        if (&sim->nodes[n] != old && &sim->nodes[n] != best && yd_log_fence(sim->nodes[n].log, epoch))
            return; /* refused: a peer that would forget it could follow the old leader again */
    bool isolated = chance(sim, 2);
    if (!isolated) (void)yd_log_fence(old->log, epoch); /* whether it lasts or not: nobody follows it */
    close_node(sim, best);
    struct yd_trail trail = {0};
    uint32_t got = 0;
    int error = yd_log_promote_dir(best->fs, DIR, known, best->index, &got, &trail);
    CHECK(sim, error == 0 && got == epoch, "promoting node %u: %s, epoch %u", best->index, yd_trail_text(&trail), got);
    say(sim, "node %u is promoted, epoch %u, at %" PRIu64, best->index, epoch, furthest.durable);
    best->leads = true;
    sim->leader = best->index;
    sim->promotions++;
    open_node(sim, best);
    struct yd_log_position position;
    yd_log_position(best->log, &position);
    for (uint64_t id = 1; id <= sim->mark_count; id++)
        if (sim->marks[id].committed && sim->marks[id].next > position.first)
            CHECK(sim, has(sim, best, id, best->told), "mark %" PRIu64 " was replicated, and node %u has it not", id,
                  best->index);
}

/* A leader of the past comes back as a follower. */
static void demote(struct sim *sim, struct node *node)
{
    if (!node->leads || node->index == sim->leader) return;
    no_faults(node);
    close_node(sim, node);
    node->leads = false;
    open_node(sim, node);
}

static void disk_fault(struct sim *sim, struct node *node)
{
    struct yd_sim_faults *faults = yd_sim_fs_faults(node->fs);
    no_faults(node);
    switch (below(sim, 5)) {
    case 0:
        faults->sync_fails = 15;
        break;
    case 1:
        faults->write_fails = 30;
        break;
    case 2:
        faults->meta_fails = 15;
        break;
    case 3:
        faults->allocate_fails = 4;
        break;
    default:
        faults->sync_dir_fails = 10;
        break;
    }
}

static void step(struct sim *sim)
{
    sim->now += (int64_t)below(sim, 500) * YD_NS_PER_MS;
    struct node *node = &sim->nodes[below(sim, NODES)];
    struct node *leader = &sim->nodes[sim->leader];
    uint64_t what = below(sim, 100);
    bool flip = chance(sim, 4);
    if (what < 26)
        append(sim, flip ? node : leader);
    else if (what < 40)
        flush(sim, flip ? node : leader);
    else if (what < 68)
        move(sim, node, 1 + below(sim, 8));
    else if (what < 76)
        (void)yd_log_maintain(node->log);
    else if (what < 86)
        link_node(sim, node, flip ? &sim->nodes[below(sim, NODES)] : leader);
    else if (what < 88 && !(sim->without & LINK))
        unlink_node(node);
    else if (what < 91 && !(sim->without & CRASH))
        crash(sim, node);
    else if (what < 93 && !(sim->without & CUT))
        yd_sim_fs_cut_after(node->fs, below(sim, 40));
    else if (what < 95 && !(sim->without & DISK))
        flip ? disk_fault(sim, node) : no_faults(node);
    else if (what < 96 && !(sim->without & PROMOTE))
        promote(sim);
    else if (what < 98)
        demote(sim, node);
    else if (what < 99 && !(sim->without & CLOSE)) {
        no_faults(node);
        nurse(sim, node);
        close_node(sim, node);
        open_node(sim, node);
    }
    for (uint32_t n = 0; n < NODES; n++) nurse(sim, &sim->nodes[n]);
}

/* ---- the end: all are alike ---- */

struct count {
    uint32_t files;
};
static int count_file(void *arg, const char *name, enum yd_file_type type)
{
    (void)name;
    ((struct count *)arg)->files += type == YD_NODE_FILE;
    return 0;
}
/* 0, or why it cannot be said. */
static int quarantined(struct node *node, uint32_t *ret_files)
{
    struct count count = {0};
    int error = yd_fs_list(node->fs, DIR "/quarantine", count_file, &count);
    *ret_files = count.files;
    return error == YD_ENOENT ? 0 : error;
}

static void compare_files(struct sim *sim, struct node *one, struct node *other)
{
    for (uint32_t i = 0; i < one->log->segment_count; i++) {
        const struct yd__segment *segment = one->log->segments[i];
        int at = yd__log_find(other->log, segment->base);
        if (at < 0 || other->log->segments[at]->base != segment->base || !segment->sealed) continue;
        struct yd_file *files[2];
        struct yd_stat stats[2];
        CHECK(sim, yd__segment_open(one->fs, DIR, segment->base, &files[0]) == 0, "no segment");
        CHECK(sim, yd__segment_open(other->fs, DIR, segment->base, &files[1]) == 0, "no segment");
        (void)yd_file_stat(files[0], &stats[0]);
        (void)yd_file_stat(files[1], &stats[1]);
        CHECK(sim, stats[0].size == stats[1].size, "segment %" PRIu64 " has %" PRIu64 " bytes at %u, %" PRIu64 " at %u",
              segment->base, stats[0].size, one->index, stats[1].size, other->index);
        char *bytes[2] = {malloc(stats[0].size), malloc(stats[0].size)};
        size_t have;
        for (int f = 0; f < 2; f++) (void)yd_file_read(files[f], bytes[f], stats[f].size, 0, &have);
        uint64_t at_byte = 0;
        while (at_byte < stats[0].size && bytes[0][at_byte] == bytes[1][at_byte]) at_byte++;
        if (at_byte < stats[0].size)
            for (uint64_t b = at_byte; b < stats[0].size; b++)
                if (bytes[0][b] != bytes[1][b])
                    say(sim, "%" PRIu64 " %02x %02x", b, bytes[0][b] & 255, bytes[1][b] & 255);
        CHECK(sim, at_byte == stats[0].size,
              "segment %" PRIu64 " differs between %u and %u at %" PRIu64 " of %" PRIu64 ", data ends at %" PRIu64,
              segment->base, one->index, other->index, at_byte, stats[0].size, segment->data_end);
        for (int f = 0; f < 2; f++) {
            free(bytes[f]);
            yd_file_close(files[f]);
        }
    }
}

static void heal(struct sim *sim)
{
    sim->without |= CUT;
    struct node *leader = &sim->nodes[sim->leader];
    for (uint32_t n = 0; n < NODES; n++) {
        no_faults(&sim->nodes[n]);
        crash(sim, &sim->nodes[n]);
        no_faults(&sim->nodes[n]);
    }
    CHECK(sim, leader->leads, "the leader was deposed by nobody");
    (void)yd_log_maintain(leader->log);
    append(sim, leader);
    flush(sim, leader);
    (void)yd_log_maintain(leader->log);
    for (uint32_t n = 0; n < NODES; n++) {
        struct node *node = &sim->nodes[n];
        if (node == leader) continue;
        demote(sim, node);
        no_faults(node);
        int error = 0;
        for (int round = 0; round < 4 && error != YD_EAGAIN; round++) {
            nurse(sim, node);
            link_node(sim, node, leader);
            if (!node->linked && round < 3) continue;
            CHECK(sim, node->linked, "node %u cannot follow", n);
            while ((error = pump_step(&node->pump)) == 0 || error == YD_EFULL)
                if (error) flush(sim, node);
            if (error != YD_EAGAIN) unlink_node(node);
        }
        CHECK(sim, error == YD_EAGAIN, "node %u cannot catch up: %s", n, yd_error_name(error));
        flush(sim, node);
        refresh(sim, node, node->told);
        struct yd_log_position here, there;
        yd_log_position(node->log, &here);
        yd_log_position(leader->log, &there);
        CHECK(sim, here.durable == there.durable, "node %u ends at %" PRIu64 ", its leader at %" PRIu64, n,
              here.durable, there.durable);
        CHECK(sim, node->count > 0 && node->chain[node->count - 1] == leader->chain[leader->count - 1],
              "node %u ends with another batch", n);
        compare_files(sim, leader, node);
    }
    struct yd_log_position position;
    yd_log_position(leader->log, &position);
    for (uint64_t id = 1; id <= sim->mark_count; id++)
        if (sim->marks[id].committed && sim->marks[id].next > position.first)
            CHECK(sim, has(sim, leader, id, leader->told), "mark %" PRIu64 " was replicated, and is nowhere", id);
}

static void run_seed(uint64_t seed, uint64_t steps_max, unsigned without, bool verbose)
{
    struct sim *sim = calloc(1, sizeof *sim);
    YD_ASSERT(sim);
    sim->seed = seed;
    sim->without = without;
    sim->verbose = verbose;
    yd_rng_init(&sim->rng, seed);
    sim->now = INT64_C(1700000000) * YD_NS_PER_S;
    sim->replicas = 1 + (unsigned)below(sim, NODES - 1);
    sim->retains = chance(sim, 3) && !(without & RETAIN);
    sim->twins = chance(sim, 3) && !(without & TWIN);
    for (uint32_t n = 0; n < NODES; n++) {
        struct node *node = &sim->nodes[n];
        node->index = n;
        node->leads = n == 0;
        YD_ASSERT(yd_sim_fs_create(seed * NODES + n, &node->fs) == 0);
        sim->options[n] = (struct yd_log_options){
            .fs = node->fs,
            .dir = DIR,
            .stream = "s/0",
            .random = sim_random,
            .wall = sim_wall,
            .clock_arg = sim,
            .segment_size_min = (8 + 8 * below(sim, 4)) << 10,
            .segment_size_max = (32 + 8 * below(sim, 4)) << 10,
            .memory_bytes_max = 1 + below(sim, 30000),
            .queue_bytes_max = 20000 + below(sim, 100000),
            .retain_bytes = sim->retains && chance(sim, 2) ? 60000 + below(sim, 100000) : 0,
            .compress_after_ns = sim->twins && chance(sim, 2) ? 1 : 0,
            .replicas = sim->replicas,
            .replica_lag_ns = 5 * YD_NS_PER_S,
        };
        open_node(sim, node);
    }
    sim->steps = 100 + below(sim, 500);
    for (uint64_t i = 0; i < sim->steps && i < steps_max; i++) step(sim);
    heal(sim);
    for (uint32_t n = 0; n < NODES; n++) unlink_all(sim, &sim->nodes[n]);
    for (uint32_t n = 0; n < NODES; n++) {
        (void)yd_log_close(sim->nodes[n].log);
        yd_sim_fs_destroy(sim->nodes[n].fs);
    }
    static uint64_t totals[5];
    totals[0] += sim->crashes, totals[1] += sim->promotions, totals[2] += sim->cuts, totals[3] += sim->anews,
        totals[4] += sim->committed;
    if (verbose || seed % 100 == 0)
        printf("# up to seed %" PRIu64 ": %" PRIu64 " crashes, %" PRIu64 " promotions, %" PRIu64 " cut back, %" PRIu64
               " begun anew, %" PRIu64 " batches replicated\n",
               seed, totals[0], totals[1], totals[2], totals[3], totals[4]);
    free(sim);
}

/* ---- running, shrinking, mutants ---- */

static bool fails(uint64_t from, uint64_t to, uint64_t steps, unsigned without, bool quiet)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        if (quiet && !freopen("/dev/null", "w", stdout)) _exit(1);
        for (uint64_t seed = from; seed <= to; seed++) run_seed(seed, steps, without, false);
        fflush(stdout);
        _exit(0);
    }
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child) return false;
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static void shrink(uint64_t from, uint64_t to)
{
    uint64_t seed = from, low = 0, high = 1024;
    while (seed < to && !fails(seed, seed, UINT64_MAX, 0, true)) seed++;
    while (low + 1 < high) { /* fewest steps, if it is monotonous: else some */
        uint64_t middle = (low + high) / 2;
        *(fails(seed, seed, middle, 0, true) ? &high : &low) = middle;
    }
    unsigned without = 0;
    for (unsigned bit = 1; bit <= CLOSE; bit <<= 1)
        if (fails(seed, seed, high, without | bit, true)) without |= bit;
    printf("# smallest: sim_replica --seeds %" PRIu64 " --steps %" PRIu64 " --without %u --verbose\n", seed, high,
           without);
    (void)fails(seed, seed, high, without, false);
}

static const struct {
    unsigned skip;
    const char *name;
} mutants[] = {
    {YD__SKIP_DATA_SYNC, "no sync of the data"},
    {YD__SKIP_HEAD_SYNC, "a segment is named before its head is durable"},
    {YD__SKIP_CHAIN, "the chain is not looked at"},
    {YD__SKIP_FENCE, "older epochs are not refused"},
    {YD__SKIP_CUT_ORDER, "what is cut is not kept"},
    {YD__SKIP_EPOCH_TABLE, "a follower does not note epochs"},
    {YD__SKIP_LAST_EPOCH, "the longest copy is promoted"},
    {YD__SKIP_TERM, "batches of an earlier term are counted by themselves"},
    {YD__SKIP_RANK, "replicated counts those that have it not"},
    {YD__SKIP_FOLLOWED, "a follower says durable before its sync"},
    {YD__SKIP_PUBLISH_LATE, "durable is published before the sync"},
};

static int run_mutants(uint64_t seeds)
{
    int missed = 0;
    printf("1..%zu\n", YD_COUNT(mutants));
    for (size_t i = 0; i < YD_COUNT(mutants); i++) {
        yd__log_skips = mutants[i].skip;
        uint64_t found = 0;
        for (uint64_t seed = 1; seed <= seeds && !found; seed += 20)
            if (fails(seed, seed + 19, UINT64_MAX, 0, true)) found = seed;
        yd__log_skips = 0;
        printf("%s %zu - %s: %s\n", found ? "ok" : "not ok", i + 1, mutants[i].name,
               found ? "a seed fails" : "no seed noticed");
        missed += !found;
    }
    return missed ? 1 : 0;
}

int main(int argc, char **argv)
{
    uint64_t from = 1, to = 300, steps = UINT64_MAX;
    unsigned without = 0;
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
        } else if (strcmp(argv[i], "--mutants") == 0) {
            return run_mutants(i + 1 < argc ? strtoull(argv[i + 1], NULL, 10) : 400);
        } else if (strcmp(argv[i], "--steps") == 0 && i + 1 < argc) {
            steps = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--without") == 0 && i + 1 < argc) {
            without = (unsigned)strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--verbose") == 0) {
            verbose = true;
        } else {
            fprintf(stderr,
                    "usage: sim_replica [--seeds A..B | --random N | --mutants [N]] [--steps K] [--without MASK] "
                    "[--verbose]\n");
            return 2;
        }
    }
    if (from == to) {
        run_seed(from, steps, without, verbose);
    } else {
        for (uint64_t seed = from; seed <= to; seed += 20) {
            uint64_t last = YD_MIN(seed + 19, to);
            if (!fails(seed, last, steps, without, false)) continue;
            shrink(seed, last);
            return 3;
        }
    }
    printf("# %" PRIu64 " seeds, no violation\n", to - from + 1);
    return 0;
}
