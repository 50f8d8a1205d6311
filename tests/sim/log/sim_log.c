/* sim_log: a log on a disk that crashes, thousands of times, each from a seed.
 *
 *   seed -> options, faults, steps: append, flush, maintain, read, cursors, rot, a full disk, failed syncs,
 *           power loss and kill -9 anywhere (also inside recovery, and in the recovery of that)
 *        -> beside it a model, a plain array of what was appended
 *
 * What is checked: what was called durable is there after every crash, in order, once; nothing else is, but for what
 * was appended and not yet durable, as a prefix; nobody sees beyond his read level; only what rotted and no good twin
 * has is missing, and readers are told; a reader with a pattern misses nothing that matches; the epoch rises unless the
 * log was closed in order; cursors are never ahead of durable, and retention never of cursors; a producer that sends
 * again after a crash is written once.
 *
 *   sim_log --seeds A..B     a range          sim_log --random N     N new seeds, printed
 *   sim_log --mutants [N]    leaves out one ordering at a time: a seed among N must fail for each
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/hash.h"
#include "io/sim_file.h"
#include "log/internal.h"
#include "log/twin.h"

unsigned yd__log_skips;

#define DIR       "data/streams/s/0"
#define PRODUCERS 3
#define ITEMS_MAX 2000
#define READERS   3
#define CURSORS   2
#define NOBODY    99

struct item { /* a batch in the stream */
    uint64_t first;
    uint32_t count;
    uint64_t mark;
    uint32_t producer;
    uint64_t seq;
    bool rotten;
    uint64_t beside; /* rotten in the segment's file alone, its twin is good: the segment's base + 1; 0: not */
};
struct sent { /* a batch of a producer */
    uint64_t seq, prev, mark, next;
    uint32_t count, fill;
    bool in_stream; /* accepted, and not lost since */
};
struct producer {
    uint32_t epoch;
    struct sent sent[ITEMS_MAX];
    uint32_t count, to_send; /* those from to_send on are sent (again) */
};
struct cursor {
    uint64_t saved, tried[16]; /* any may be found */
    uint32_t tries;
    bool exists, rotten;
    bool behind; /* it was set where retention had been already */
    int64_t saved_at;
};

struct sim {
    uint64_t seed;
    struct yd_fs *fs;
    struct yd_rng rng;
    int64_t now;
    struct yd_log_options options;
    struct yd_log *log;
    struct item items[ITEMS_MAX];
    uint32_t item_count;
    uint64_t next;    /* of the model */
    uint64_t durable; /* the greatest ever told */
    uint64_t durable_this_life;
    uint32_t epoch;
    bool closed_in_order, may_be_clean, rot_control, rot_data;
    struct producer producers[PRODUCERS];
    struct yd_log_reader *readers[READERS];
    uint64_t reader_at[READERS];
    enum yd_ack reader_level[READERS];
    struct cursor cursors[CURSORS];
    uint64_t checkpointed; /* durable position of the last maintenance that succeeded */
    uint64_t mark;
    bool full;
    bool fill_more; /* batches of tens of KiB are common */
    bool verbose;
    uint64_t batches_read, opens, crashes, torn, rots, gaps, dups, failed_syncs, passed, healed;
};

static struct sim *current;

__attribute__((format(printf, 2, 3), noreturn)) static void violation(struct sim *sim, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("%sseed %" PRIu64 ": ", yd__log_skips ? "# " : "", sim->seed); /* TAP's comment, when it is wanted */
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

/* ---- batches that say who they are ---- */

/* In runs, so that segments and parts of them have other names than those before. */
#define NAME_RUN 12

static void name_of(uint64_t mark, char to[16])
{
    (void)snprintf(to, 16, "m%02" PRIu64, mark / NAME_RUN % 100);
}

static struct yd_batch *make_batch(uint64_t mark, uint32_t count, uint32_t fill)
{
    static struct yd_builder *builder;
    if (!builder) YD_ASSERT(yd_builder_create(&(struct yd_builder_options){.size_max = 1 << 20}, &builder) == 0);
    uint32_t name;
    char named[16];
    name_of(mark, named);
    YD_ASSERT(yd_builder_name(builder, yd_str_of(named), &name) == 0);
    static char text[65536];
    for (uint32_t i = 0; i < count; i++) {
        union yd_value value = {.u64 = mark * 64 + i};
        YD_ASSERT(yd_builder_add(builder, (int64_t)mark, name, YD_SAMPLE, YD_U64, 0, value) == 0);
    }
    if (fill) {
        memset(text, 'a' + (int)(mark % 26), fill);
        YD_ASSERT(
            yd_builder_add_bytes(builder, (int64_t)mark, name, YD_EVENT, YD_BLOB, 0, (struct yd_str){text, fill}) == 0);
    }
    struct yd_batch *batch;
    YD_ASSERT(yd_builder_seal(builder, &batch) == 0);
    return batch;
}

/* ---- the model against what is read ---- */

static struct item *item_at(struct sim *sim, uint64_t seqno)
{
    uint32_t low = 0, high = sim->item_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (sim->items[middle].first + sim->items[middle].count <= seqno)
            low = middle + 1;
        else
            high = middle;
    }
    return low < sim->item_count && sim->items[low].first <= seqno ? &sim->items[low] : NULL;
}

static void check_batch(struct sim *sim, const struct yd_batch *batch)
{
    const struct yd_header *header = &batch->header;
    const struct item *item = item_at(sim, header->base_seqno);
    CHECK(sim, item, "a batch at %" PRIu64 " was never appended", header->base_seqno);
    CHECK(sim, item->first == header->base_seqno && item->count == header->count,
          "batch %" PRIu64 "+%u is %" PRIu64 "+%u", item->first, item->count, header->base_seqno, header->count);
    CHECK(sim, batch->view.records[0].value.u64 == item->mark * 64,
          "batch %" PRIu64 " holds mark %" PRIu64 ", not %" PRIu64, item->first, batch->view.records[0].value.u64 / 64,
          item->mark);
    sim->batches_read++;
}

static bool any_faults(struct sim *sim)
{
    const struct yd_sim_faults *faults = yd_sim_fs_faults(sim->fs);
    return faults->sync_fails || faults->sync_dir_fails || faults->write_fails || faults->read_fails ||
           faults->meta_fails || faults->allocate_fails;
}

/* What a twin still has is given, but where reading it fails at this moment. */
static bool may_miss(struct sim *sim, const struct item *item)
{
    return item->rotten || (item->beside && yd_sim_fs_faults(sim->fs)->read_fails);
}

/* Everything in [from, to) is rotten or was retired, or a failed sync took it before it was durable. */
static void check_gap(struct sim *sim, const struct yd_log_gap *gap, uint64_t first)
{
    struct yd_log_position position;
    yd_log_position(sim->log, &position);
    sim->gaps++;
    if (strcmp(gap->reason, "retention") == 0) {
        CHECK(sim, gap->to <= first, "retention gap to %" PRIu64 ", but the oldest is %" PRIu64, gap->to, first);
        return;
    }
    CHECK(sim, strcmp(gap->reason, "rotten") == 0, "a gap for %s", gap->reason);
    for (uint64_t at = gap->from; at < gap->to;) {
        const struct item *item = item_at(sim, at);
        CHECK(sim, item && (may_miss(sim, item) || (position.failed && at >= position.durable)),
              "records %" PRIu64 " to %" PRIu64 " were told missing, %" PRIu64 " is sound", gap->from, gap->to, at);
        at = item->first + item->count;
    }
}

/* Reads on; `exact`: up to `end`, where it must stop. */
static void read_some(struct sim *sim, struct yd_log_reader *reader, uint64_t *at, uint64_t end, uint64_t first,
                      uint64_t steps, bool may_fail)
{
    while (steps-- > 0) {
        struct yd_batch *batch;
        struct yd_log_gap gap;
        int error = yd_log_reader_next(reader, &batch, &gap);
        if (error == YD_EAGAIN) {
            CHECK(sim, *at >= end, "a reader at %" PRIu64 " sees nothing more, but the end is %" PRIu64, *at, end);
            return;
        }
        if (error == YD_EGAP) {
            CHECK(sim, gap.from == *at, "a gap from %" PRIu64 " for a reader at %" PRIu64, gap.from, *at);
            check_gap(sim, &gap, first);
            *at = gap.to;
            continue;
        }
        if (error == YD_ECLOSED || (may_fail && error)) return; /* the disk went in the middle of this */
        CHECK(sim, error == 0, "reading at %" PRIu64 ": %s", *at, yd_error_name(error));
        check_batch(sim, batch);
        CHECK(sim, batch->header.base_seqno == *at, "a reader at %" PRIu64 " got %" PRIu64, *at,
              batch->header.base_seqno);
        CHECK(sim, batch->header.base_seqno + batch->header.count <= end,
              "a reader got %" PRIu64 "+%u beyond its level %" PRIu64, batch->header.base_seqno, batch->header.count,
              end);
        *at = batch->header.base_seqno + batch->header.count;
        yd_batch_unref(batch);
    }
}

/* With a pattern: every sound batch that matches, in order, once. Of what is passed over no gap is told. */
static void check_matching(struct sim *sim)
{
    struct yd_log_position position;
    struct yd_log_reader *reader;
    char pattern[16];
    name_of(1 + below(sim, sim->mark + NAME_RUN), pattern); /* perhaps one that is not there */
    if (chance(sim, 2)) (void)snprintf(pattern + 2, 2, "*");
    struct yd_log_start start = {.from = YD_FROM_OLDEST, .names = pattern};
    yd_log_position(sim->log, &position);
    CHECK(sim, yd_log_reader_open(sim->log, &start, &reader) == 0, "no reader");
    bool may_fail = any_faults(sim);
    uint64_t at = position.first;
    int error = 0;
    for (;;) {
        struct yd_batch *batch = NULL;
        struct yd_log_gap gap;
        error = yd_log_reader_next(reader, &batch, &gap);
        if (error && error != YD_EGAP && error != YD_EAGAIN) break;
        uint64_t to = error == YD_EAGAIN ? position.durable : error ? gap.from : batch->header.base_seqno;
        CHECK(sim, to >= at, "a reader of %s at %" PRIu64 " went back to %" PRIu64, pattern, at, to);
        for (const struct item *item; at < to; at = item->first + item->count) {
            char name[16];
            item = item_at(sim, at);
            if (!item) break; /* retired since */
            name_of(item->mark, name);
            bool matches = pattern[2] == '*' ? strncmp(name, pattern, 2) == 0 : strcmp(name, pattern) == 0;
            CHECK(sim, !matches || may_miss(sim, item), "a reader of %s missed batch %" PRIu64 ", named %s", pattern,
                  item->first, name);
        }
        if (error == YD_EAGAIN) break;
        if (error) check_gap(sim, &gap, position.first);
        if (!error) check_batch(sim, batch);
        at = error ? gap.to : batch->header.base_seqno + batch->header.count;
        if (!error) yd_batch_unref(batch);
    }
    CHECK(sim, error == YD_EAGAIN || error == YD_ECLOSED || may_fail, "reading %s: %s", pattern, yd_error_name(error));
    sim->passed += yd_log_reader_passed(reader);
    yd_log_reader_close(reader);
}

/* What the log says it takes is what its segments take. */
static void check_bytes(struct sim *sim)
{
    uint64_t bytes = 0;
    yd_lock_take(&sim->log->mutex);
    for (uint32_t i = 0; i < sim->log->segment_count; i++) bytes += yd__segment_bytes(sim->log->segments[i]);
    uint64_t told = sim->log->bytes;
    yd_lock_give(&sim->log->mutex);
    CHECK(sim, bytes == told, "%" PRIu64 " bytes are told, the segments take %" PRIu64, told, bytes);
}

static void check_all(struct sim *sim)
{
    struct yd_log_position position;
    yd_log_position(sim->log, &position);
    struct yd_log_start start = {.from = YD_FROM_OLDEST};
    struct yd_log_reader *reader;
    CHECK(sim, yd_log_reader_open(sim->log, &start, &reader) == 0, "no reader");
    uint64_t at = position.first;
    read_some(sim, reader, &at, position.durable, position.first, UINT64_MAX, any_faults(sim));
    yd_log_reader_close(reader);
    check_matching(sim);
}

/* ---- life and death ---- */

static void drop_readers(struct sim *sim)
{
    for (int i = 0; i < READERS; i++) {
        yd_log_reader_close(sim->readers[i]);
        sim->readers[i] = NULL;
    }
}

static void note_position(void *arg)
{
    struct sim *sim = arg;
    struct yd_log_position position;
    yd_log_position(sim->log, &position);
    CHECK(sim, position.durable <= position.written && position.written <= position.memory, "positions out of order");
    CHECK(sim, position.durable >= sim->durable_this_life, "durable went back");
    sim->durable_this_life = position.durable;
    sim->durable = YD_MAX(sim->durable, position.durable);
}

static void no_faults(struct sim *sim)
{
    struct yd_sim_faults *faults = yd_sim_fs_faults(sim->fs);
    *faults = (struct yd_sim_faults){.tear = 8, .write_back = 16};
    yd_sim_fs_cut_after(sim->fs, UINT64_MAX);
}

static void some_faults(struct sim *sim)
{
    struct yd_sim_faults *faults = yd_sim_fs_faults(sim->fs);
    no_faults(sim);
    faults->evict = chance(sim, 2) ? 20 : 0;
    switch (below(sim, 6)) {
    case 0:
        faults->sync_fails = 20;
        break;
    case 1:
        faults->write_fails = 40;
        break;
    case 2:
        faults->meta_fails = 20;
        break;
    case 3:
        faults->sync_dir_fails = 10;
        break;
    case 4:
        faults->allocate_fails = 4;
        break;
    default:
        faults->read_fails = 40;
        break;
    }
}

static void die(struct sim *sim)
{
    if (chance(sim, 3))
        yd_sim_fs_kill(sim->fs);
    else
        yd_sim_fs_crash(sim->fs);
    sim->crashes++;
}

/* The model after recovery: what lies behind the cut is gone, and its producers know that they must send it again. */
static void cut_model(struct sim *sim, uint64_t end)
{
    CHECK(sim, end >= sim->durable, "cut to %" PRIu64 ", but %" PRIu64 " was durable", end, sim->durable);
    CHECK(sim, end <= sim->next, "recovered to %" PRIu64 ", but only %" PRIu64 " were appended", end, sim->next);
    while (sim->item_count > 0 && sim->items[sim->item_count - 1].first + sim->items[sim->item_count - 1].count > end) {
        const struct item *item = &sim->items[--sim->item_count];
        CHECK(sim, item->first >= end, "batch %" PRIu64 "+%u was cut in the middle at %" PRIu64, item->first,
              item->count, end);
        if (item->producer != NOBODY)
            for (uint32_t i = 0; i < sim->producers[item->producer].count; i++)
                if (sim->producers[item->producer].sent[i].seq == item->seq)
                    sim->producers[item->producer].sent[i].in_stream = false;
    }
    sim->next = end;
    /* A producer sends again all that it has not seen acknowledged, whether the stream has it or not. */
    for (int p = 0; p < PRODUCERS; p++) {
        struct producer *producer = &sim->producers[p];
        producer->to_send = 0;
        while (producer->to_send < producer->count && producer->sent[producer->to_send].in_stream &&
               producer->sent[producer->to_send].next <= sim->durable)
            producer->to_send++;
        producer->epoch++;
    }
}

static void check_epoch(struct sim *sim, const struct yd_log_recovery *recovery, uint32_t epoch)
{
    if (sim->closed_in_order && !sim->rot_control)
        CHECK(sim, recovery->clean, "closed in order, but the next opening was not clean");
    if (recovery->clean) {
        CHECK(sim, sim->may_be_clean || sim->opens == 0, "a clean opening after a crash");
        CHECK(sim, epoch == sim->epoch || sim->opens == 0, "the epoch changed from %u to %u without a cut", sim->epoch,
              epoch);
    } else {
        CHECK(sim, epoch > sim->epoch, "the epoch was %u and is %u after a cut", sim->epoch, epoch);
    }
    sim->epoch = epoch;
}

static void check_cursors(struct sim *sim)
{
    for (int i = 0; i < CURSORS; i++) {
        struct cursor *known = &sim->cursors[i];
        char name[8];
        (void)snprintf(name, sizeof name, "c%d", i);
        struct yd_cursor cursor;
        int error = yd_log_cursor_load(sim->log, name, &cursor);
        if (known->rotten && error == YD_ECORRUPT) continue;
        if (error == YD_ENOENT) {
            CHECK(sim, !known->exists, "cursor %s is gone", name);
            continue;
        }
        if (error == YD_ECLOSED || (error == YD_EIO && any_faults(sim))) continue;
        CHECK(sim, error == 0, "cursor %s: %s", name, yd_error_name(error));
        bool expected = known->exists && cursor.seqno == known->saved;
        for (uint32_t t = 0; t < YD_MIN(known->tries, 16); t++) expected |= cursor.seqno == known->tried[t];
        CHECK(sim, expected, "cursor %s is %" PRIu64 ", saved was %" PRIu64, name, cursor.seqno, known->saved);
        CHECK(sim, cursor.seqno <= sim->next, "cursor %s is ahead", name);
        struct yd_log_position position;
        yd_log_position(sim->log, &position);
        bool behind = known->behind || cursor.seqno < position.first;
        *known = (struct cursor){.saved = cursor.seqno, .exists = true, .saved_at = cursor.saved_at, .behind = behind};
    }
}

static void set_full(struct sim *sim, bool full)
{
    sim->full = full;
    yd_sim_fs_capacity(sim->fs, full ? 1 + below(sim, 400000) : UINT64_C(1) << 40);
}

/* Opens, with crashes and faults inside, until it succeeds. */
static void open_log(struct sim *sim)
{
    struct yd_log_recovery recovery;
    struct yd_trail trail;
    for (int attempt = 0;; attempt++) {
        no_faults(sim);
        if (attempt >= 4)
            set_full(sim, false);
        else if (chance(sim, 6))
            some_faults(sim);
        else if (chance(sim, 3))
            yd_sim_fs_cut_after(sim->fs, below(sim, 60));
        /* What cannot be read for long is taken for rot where nothing is cut by that: its producers may be forgotten.
         */
        if (yd_sim_fs_faults(sim->fs)->read_fails) sim->rots++;
        yd_trail_clear(&trail);
        int error = yd_log_open(&sim->options, &sim->log, &recovery, &trail);
        if (error == 0) break;
        say(sim, "  open: %s (%s)", yd_error_name(error), yd_trail_text(&trail));
        CHECK(sim, attempt < 4, "cannot open: %s (%s)", yd_error_name(error), yd_trail_text(&trail));
        sim->closed_in_order = false; /* it need not be clean any more */
        die(sim);
    }
    yd_log_on_progress(sim->log, note_position, sim);
    struct yd_log_position position;
    yd_log_position(sim->log, &position);
    say(sim, "opened: clean %d, first %" PRIu64 ", end %" PRIu64 ", epoch %u, torn %" PRIu64 ", rotten %" PRIu64,
        recovery.clean, position.first, position.memory, position.epoch, recovery.torn_bytes, recovery.rotten_batches);
    CHECK(sim,
          position.memory == position.durable && position.durable == position.written &&
              recovery.cut_to == position.memory,
          "positions after opening differ");
    check_epoch(sim, &recovery, position.epoch);
    cut_model(sim, position.memory);
    sim->durable_this_life = position.durable;
    sim->durable = position.durable;
    sim->checkpointed = position.durable;
    sim->closed_in_order = sim->may_be_clean = sim->rot_control = false;
    sim->opens++;
    sim->torn += recovery.torn_bytes > 0;
    if (chance(sim, 4)) yd_sim_fs_cut_after(sim->fs, 30 + below(sim, 300));
    check_cursors(sim);
    if (!any_faults(sim) && chance(sim, 2)) {
        yd_sim_fs_cut_after(sim->fs, UINT64_MAX);
        check_all(sim);
    }
}

static void count_healed(struct sim *sim)
{
    struct yd_log_position position;
    yd_log_position(sim->log, &position);
    sim->healed += position.healed;
}

static void crash(struct sim *sim)
{
    say(sim, "crash");
    count_healed(sim);
    drop_readers(sim);
    die(sim);
    (void)yd_log_close(sim->log); /* its disk is gone */
    open_log(sim);
}

static void print_fault(void *arg, const char *file, uint64_t offset, const char *what)
{
    say(arg, "  verify: %s at %" PRIu64 ": %s", file, offset, what);
}

static void close_and_open(struct sim *sim)
{
    drop_readers(sim);
    count_healed(sim);
    struct yd_log_position position;
    yd_log_position(sim->log, &position);
    uint64_t memory = position.memory;
    int error = yd_log_close(sim->log);
    say(sim, "close: %s", yd_error_name(error));
    sim->may_be_clean = true; /* also when only the last sync failed */
    if (error == 0) {
        sim->durable = memory;
        sim->closed_in_order = true;
        if (chance(sim, 2)) yd_sim_fs_crash(sim->fs);
        if (chance(sim, 8)) {
            struct yd_log_verify_report report;
            no_faults(sim);
            int found = yd_log_verify_dir(sim->fs, DIR, &report, print_fault, sim);
            CHECK(sim, found == 0 || sim->rots > 0, "verify finds %s after closing in order", yd_error_name(found));
        }
    } else {
        die(sim);
    }
    open_log(sim);
}

/* ---- steps ---- */

static void push_item(struct sim *sim, uint64_t first, uint32_t count, uint64_t mark, uint32_t producer, uint64_t seq)
{
    CHECK(sim, first == sim->next, "appended at %" PRIu64 ", expected %" PRIu64, first, sim->next);
    sim->items[sim->item_count++] = (struct item){first, count, mark, producer, seq, false, 0};
    sim->next = first + count;
}

static void append_plain(struct sim *sim)
{
    uint32_t fill = chance(sim, 3) ? (uint32_t)below(sim, chance(sim, sim->fill_more ? 2 : 10) ? 40000 : 3000) : 0;
    uint32_t count = 1 + (uint32_t)below(sim, 20);
    uint64_t mark = ++sim->mark;
    struct yd_batch *batch = make_batch(mark, count, fill);
    struct yd_log_appended appended;
    int error = yd_log_append(sim->log, batch, -1, chance(sim, 2) ? sim->next : UINT64_MAX, &appended);
    if (error == 0)
        push_item(sim, appended.first, batch->header.count, mark, NOBODY, 0);
    else
        CHECK(sim, error == YD_EFULL || error == YD_EREADONLY, "append: %s", yd_error_name(error));
    yd_batch_unref(batch);
}

static bool producer_has(struct sim *sim, uint32_t p, uint64_t seq, uint64_t next)
{
    for (uint32_t i = 0; i < sim->item_count; i++)
        if (sim->items[i].producer == p && sim->items[i].seq == seq)
            return sim->items[i].first + sim->items[i].count <= next;
    return false;
}

static void append_producer(struct sim *sim)
{
    uint32_t p = (uint32_t)below(sim, PRODUCERS);
    struct producer *producer = &sim->producers[p];
    if (producer->to_send == producer->count) { /* something new */
        struct sent *sent = &producer->sent[producer->count];
        uint64_t prev = producer->count ? producer->sent[producer->count - 1].seq : 0;
        *sent = (struct sent){.seq = prev + 1 + below(sim, 30),
                              .prev = prev,
                              .mark = ++sim->mark,
                              .count = 1 + (uint32_t)below(sim, 10),
                              .fill = chance(sim, 3) ? (uint32_t)below(sim, 2000) : 0};
        producer->count++;
    }
    struct sent *sent = &producer->sent[producer->to_send];
    struct yd_batch *plain = make_batch(sent->mark, sent->count, sent->fill), *batch;
    struct yd_header header = plain->header;
    header.producer_id = p + 1;
    header.producer_epoch = producer->epoch;
    header.producer_seq = sent->seq;
    header.header_crc = yd_header_crc(&header);
    YD_ASSERT(yd_batch_restamp(plain, &header, &batch) == 0);
    struct yd_log_appended appended;
    int error = yd_log_append(sim->log, batch, (int64_t)sent->prev, UINT64_MAX, &appended);
    if (error == YD_EGAP && sim->rots > 0) error = yd_log_append(sim->log, batch, -1, UINT64_MAX, &appended);
    if (error == 0 && appended.duplicate) {
        sim->dups++;
        CHECK(sim, sent->in_stream && producer_has(sim, p, sent->seq, appended.next),
              "producer %u seq %" PRIu64 " is called a duplicate, but it is not in the stream", p, sent->seq);
        producer->to_send++;
    } else if (error == 0) {
        CHECK(sim, !sent->in_stream || sim->rots > 0, "producer %u seq %" PRIu64 " was taken twice", p, sent->seq);
        push_item(sim, appended.first, batch->header.count, sent->mark, p, sent->seq);
        sent->in_stream = true;
        sent->next = appended.next;
        producer->to_send++;
    } else {
        CHECK(sim, error == YD_EFULL || error == YD_EREADONLY, "producer %u, seq %" PRIu64 " after %" PRIu64 ": %s", p,
              sent->seq, sent->prev, yd_error_name(error));
    }
    yd_batch_unref(plain);
    yd_batch_unref(batch);
}

static void flush(struct sim *sim)
{
    int error = yd_log_flush(sim->log);
    note_position(sim);
    struct yd_log_position position;
    yd_log_position(sim->log, &position);
    say(sim, "flush: %s, durable %" PRIu64 " of %" PRIu64, yd_error_name(error), position.durable, position.memory);
    if (error == 0) CHECK(sim, position.queued_bytes == 0, "a flush left something");
    if (error == YD_ENOSPC) CHECK(sim, position.no_space, "no space is not told");
    if (position.failed) sim->failed_syncs++;
    if (error == 0 && !any_faults(sim)) CHECK(sim, position.durable == position.memory, "flushed and not durable");
}

static void maintain(struct sim *sim)
{
    if (chance(sim, 8)) yd_sim_fs_cut_after(sim->fs, below(sim, 60)); /* in the middle of what follows */
    int error = yd_log_maintain(sim->log);
    /* A twin gets its name in one round and its segment goes in the next: also with nothing in between. */
    if (sim->options.compress_after_ns && chance(sim, 3))
        for (int i = 0; i < 6 && !error; i++) {
            if (chance(sim, 6)) yd_sim_fs_cut_after(sim->fs, below(sim, 20));
            error = yd_log_maintain(sim->log);
        }
    note_position(sim);
    say(sim, "maintain: %s", yd_error_name(error));
    check_bytes(sim);
    if (error == 0) sim->checkpointed = sim->durable_this_life;
    struct yd_log_position position;
    yd_log_position(sim->log, &position);
    for (int i = 0; i < CURSORS; i++) {
        const struct cursor *known = &sim->cursors[i];
        bool named = sim->options.hold && i == 0;
        if (named && !known->exists && !known->tries && !known->rotten)
            CHECK(sim, position.first == 0, "retention did not wait for a cursor that was never saved: oldest %" PRIu64,
                  position.first);
        if (!known->exists || known->tries || known->rotten ||
            (!named && known->saved_at < sim->now - sim->options.cursor_expiry_ns))
            continue;
        if (known->saved < position.first) {
            CHECK(sim, known->behind, "retention passed cursor %d at %" PRIu64 ": oldest %" PRIu64, i, known->saved,
                  position.first);
        }
    }
}

static void use_reader(struct sim *sim)
{
    uint32_t r = (uint32_t)below(sim, READERS);
    struct yd_log_position position;
    yd_log_position(sim->log, &position);
    if (!sim->readers[r]) {
        enum yd_ack level = (enum yd_ack)(YD_ACK_MEMORY + below(sim, 3));
        struct yd_log_start start = {.from = YD_FROM_OLDEST, .level = level};
        uint64_t at = position.first;
        const struct item *item = sim->item_count ? &sim->items[below(sim, sim->item_count)] : NULL;
        if (chance(sim, 2) && item && item->first >= position.first && item->first <= position.memory) {
            start.from = YD_FROM_SEQNO;
            start.seqno = at = item->first;
            start.epoch = chance(sim, 2) ? sim->epoch : 0;
        } else if (chance(sim, 3)) {
            start.from = YD_FROM_TAIL;
            at = position.memory;
        }
        CHECK(sim, yd_log_reader_open(sim->log, &start, &sim->readers[r]) == 0, "no reader");
        sim->reader_at[r] = at;
        sim->reader_level[r] = level;
    }
    uint64_t end = sim->reader_level[r] == YD_ACK_MEMORY    ? position.memory
                   : sim->reader_level[r] == YD_ACK_WRITTEN ? position.written
                                                            : position.durable;
    bool may_fail = any_faults(sim) || position.failed;
    read_some(sim, sim->readers[r], &sim->reader_at[r], end, position.first, 1 + below(sim, 40), may_fail);
    if (may_fail || chance(sim, 10)) {
        yd_log_reader_close(sim->readers[r]);
        sim->readers[r] = NULL;
    }
}

static void save_cursor(struct sim *sim)
{
    uint32_t c = (uint32_t)below(sim, CURSORS);
    struct cursor *known = &sim->cursors[c];
    char name[8];
    (void)snprintf(name, sizeof name, "c%u", c);
    uint64_t seqno = below(sim, sim->next + 10);
    struct yd_log_position position;
    yd_log_position(sim->log, &position);
    int error = yd_log_cursor_save(sim->log, name, seqno);
    uint64_t kept = YD_MIN(seqno, position.durable);
    bool behind = kept < position.first;
    if (error == 0)
        *known = (struct cursor){.saved = kept, .exists = true, .saved_at = sim->now, .behind = behind};
    else
        known->tried[known->tries++ % 16] = kept, known->behind |= behind;
}

/* ---- rot: bits flip where they may: in what a checkpoint covers ---- */

struct rot_place {
    struct sim *sim;
    uint64_t bases[64];
    uint32_t count;
};

static int visit_segment(void *arg, const char *name, enum yd_file_type node)
{
    struct rot_place *place = arg;
    uint64_t base;
    if (node == YD_NODE_FILE && yd__segment_name(name, ".ylog", &base) && place->count < 64)
        place->bases[place->count++] = base;
    return 0;
}

/* Marks the item whose frame holds `offset`, if it is one that may rot. */
static bool may_rot(struct sim *sim, const char *path, uint64_t offset, struct item **ret_item)
{
    struct yd_file *file;
    *ret_item = NULL;
    if (yd_fs_open(sim->fs, path, YD_OPEN_READ, &file)) return false;
    struct yd__window window;
    yd__window_init(&window, file, 1 << 16);
    struct yd__segment_head *head = NULL;
    uint64_t at = yd__head_read(file, &head) == 0 ? head->data_start : YD__SEGMENT_ALIGN;
    bool may = offset < at && head; /* a head: nothing is lost */
    free(head);
    while (!may) {
        struct yd_header header;
        int found = yd__frame_at(&window, at, sim->log->log_id, false, &header);
        struct yd__footer footer;
        if (found != YD__FOUND_FRAME) {
            may = yd__footer_read(file, sim->log->log_id, &footer, NULL) == 0 && footer.data_end == at;
            break;
        }
        if (offset < at + header.size) {
            may = header.base_seqno + header.count <= sim->checkpointed;
            *ret_item = item_at(sim, header.base_seqno);
            break;
        }
        at += header.size;
    }
    yd__window_fini(&window);
    yd_file_close(file);
    return may;
}

/* Has the segment a twin that can stand in for its file: named durably, every block good, of the same frames? */
static bool twin_covers(struct sim *sim, uint64_t base)
{
    char path[128], part[4096];
    struct yd__twin_about about;
    struct yd_file *raw, *twin;
    struct yd__footer ours, theirs;
    yd__segment_path(path, sizeof path, DIR, base, ".yzst");
    if (yd__twin_open(sim->fs, path, &about, &twin)) return false;
    bool good = !about.damaged && yd__segment_open(sim->fs, DIR, base, &raw) == 0;
    if (good) {
        good = yd__footer_read(raw, sim->log->log_id, &ours, NULL) == 0 &&
               yd__footer_read(twin, sim->log->log_id, &theirs, NULL) == 0 && ours.last_crc == theirs.last_crc;
        yd_file_close(raw);
    }
    size_t have = 1;
    for (uint64_t at = 0; good && have > 0; at += have) good = yd_file_read(twin, part, sizeof part, at, &have) == 0;
    yd_file_close(twin);
    return good && yd_fs_sync_dir(sim->fs, DIR) == 0;
}

/* What only a twin had, nobody may have any more. */
static void lose_beside(struct sim *sim, uint64_t base)
{
    for (uint32_t i = 0; i < sim->item_count; i++) sim->items[i].rotten |= sim->items[i].beside == base + 1;
}

static void rot(struct sim *sim)
{
    no_faults(sim);
    uint64_t what = below(sim, 10);
    if (what == 0 && !sim->rot_data && !sim->rot_control) { /* one checkpoint slot: the other one is left */
        if (yd_sim_fs_rot(sim->fs, DIR "/control", 1024 + 1024 * below(sim, 2), 1024, 3) == 0) sim->rot_control = true;
        return;
    }
    if (what == 1) {
        char path[128];
        uint32_t c = (uint32_t)below(sim, CURSORS);
        (void)snprintf(path, sizeof path, DIR "/cursors/c%u", c);
        if (yd_sim_fs_rot(sim->fs, path, 0, 64, 1) == 0) sim->cursors[c].rotten = true;
        return;
    }
    struct rot_place place = {.sim = sim};
    (void)yd_fs_list(sim->fs, DIR, visit_segment, &place);
    if (place.count == 0 || sim->rot_control) return;
    uint64_t base = place.bases[below(sim, place.count)];
    char path[128];
    if (what == 5 && sim->options.index_names) { /* a name index: costs time */
        struct yd_stat index;
        yd__segment_path(path, sizeof path, DIR, base, ".ykey");
        if (yd_fs_stat(sim->fs, path, &index) == 0 && yd_sim_fs_rot(sim->fs, path, 0, index.size, 1) == 0)
            sim->rots++; /* verify finds it */
        return;
    }
    if (what == 4) { /* a twin, while its segment is there: which then must stay */
        struct yd_stat twin;
        yd__segment_path(path, sizeof path, DIR, base, ".yzst");
        if (yd_fs_stat(sim->fs, path, &twin) == 0 && yd_sim_fs_rot(sim->fs, path, 0, twin.size, 1) == 0) {
            sim->rots++; /* verify finds it */
            lose_beside(sim, base);
            say(sim, "rot in %s", path);
        }
        return;
    }
    yd__segment_path(path, sizeof path, DIR, base, what == 2 ? ".yidx" : ".ylog");
    struct yd_stat now;
    if (yd_fs_stat(sim->fs, path, &now)) return;
    if (what == 2) {
        (void)yd_sim_fs_rot(sim->fs, path, 0, now.size, 2);
        return;
    }
    uint64_t offset = what == 3 ? below(sim, 4096) : below(sim, now.size);
    struct item *item;
    if (!may_rot(sim, path, offset, &item)) return;
    sim->rots++;
    sim->rot_data = true;
    if (item && twin_covers(sim, base))
        item->beside = base + 1;
    else if (item)
        item->rotten = true;
    else
        lose_beside(sim, base); /* a footer made anew may say less than the twin's */
    if (yd_sim_fs_rot(sim->fs, path, offset, 1, 1) != 0) return;
    say(sim, "rot in %s at %" PRIu64 ", batch %" PRIu64, path, offset, item ? item->first : UINT64_MAX);
    if (item)
        drop_readers(sim); /* what they have read ahead is still sound: told as sound or as missing, both are right */
}

static void step(struct sim *sim)
{
    sim->now += (int64_t)below(sim, 1000) * YD_NS_PER_MS;
    uint64_t what = below(sim, 100);
    if (sim->item_count + 10 >= ITEMS_MAX) what = 99;
    if (what < 30)
        append_plain(sim);
    else if (what < 48)
        append_producer(sim);
    else if (what < 66)
        flush(sim);
    else if (what < 72)
        maintain(sim);
    else if (what < 82)
        use_reader(sim);
    else if (what < 84)
        save_cursor(sim);
    else if (what < 86)
        set_full(sim, !sim->full && chance(sim, 2));
    else if (what < 88)
        (chance(sim, 2) ? some_faults : no_faults)(sim);
    else if (what < 91)
        rot(sim);
    else if (what < 92)
        yd_sim_fs_cut_after(sim->fs, below(sim, 40));
    else if (what < 93)
        close_and_open(sim);
    else if (what < 97)
        crash(sim);
    else if (!any_faults(sim) && chance(sim, 3)) {
        yd_sim_fs_cut_after(sim->fs, UINT64_MAX);
        check_all(sim);
    }
}

static void run_seed(uint64_t seed, bool verbose)
{
    struct sim *sim = calloc(1, sizeof *sim);
    YD_ASSERT(sim);
    current = sim;
    sim->seed = seed;
    sim->verbose = verbose;
    yd_rng_init(&sim->rng, seed);
    sim->now = INT64_C(1700000000) * YD_NS_PER_S;
    YD_ASSERT(yd_sim_fs_create(seed, &sim->fs) == 0);
    sim->options = (struct yd_log_options){
        .fs = sim->fs,
        .dir = DIR,
        .stream = "s/0",
        .random = sim_random,
        .wall = sim_wall,
        .clock_arg = sim,
        .segment_size_min = (8 + 8 * below(sim, 4)) << 10,
        .segment_size_max = (32 + 8 * below(sim, 4)) << 10,
        .memory_bytes_max = 1 + below(sim, 30000),
        .queue_bytes_max = 20000 + below(sim, 100000),
        .retain_ns = chance(sim, 3) ? (int64_t)(1 + below(sim, 60)) * YD_NS_PER_S : 0,
        .retain_bytes = chance(sim, 3) ? below(sim, 200000) : 0,
        .cursor_expiry_ns = 20 * YD_NS_PER_S,
    };
    static const char *const hold[] = {"c0", NULL};
    if (chance(sim, 3)) sim->options.hold = hold;
    if (chance(sim, 3)) sim->options.ballast_bytes = 4096 * (1 + below(sim, 40));
    if (chance(sim, 2)) sim->options.compress_after_ns = chance(sim, 2) ? 1 : (int64_t)below(sim, 30) * YD_NS_PER_S;
    sim->options.index_names = chance(sim, 3);
    if (chance(sim, 6)) { /* segments of several index entries */
        sim->options.segment_size_min = sim->options.segment_size_max = 160 << 10;
        sim->fill_more = true;
    }
    open_log(sim);
    check_bytes(sim);
    uint64_t steps = 40 + below(sim, 160);
    for (uint64_t i = 0; i < steps; i++) step(sim);
    crash(sim);
    no_faults(sim);
    set_full(sim, false);
    struct yd_log_position position;
    yd_log_position(sim->log, &position);
    if (position.failed) crash(sim);
    no_faults(sim);
    flush(sim);
    check_all(sim);
    drop_readers(sim);
    count_healed(sim);
    yd_sim_fs_crash(sim->fs);
    (void)yd_log_close(sim->log);
    yd_sim_fs_destroy(sim->fs);
    static uint64_t totals[10];
    totals[0] += sim->opens, totals[1] += sim->crashes, totals[2] += sim->torn, totals[3] += sim->rots,
        totals[4] += sim->gaps;
    totals[5] += sim->dups, totals[6] += sim->batches_read, totals[7] += sim->failed_syncs;
    totals[8] += sim->passed;
    totals[9] += sim->healed;
    if (verbose || seed % 1000 == 0)
        printf("# up to seed %" PRIu64 ": %" PRIu64 " openings, %" PRIu64 " crashes, %" PRIu64 " torn tails, %" PRIu64
               " rots, %" PRIu64 " gaps, %" PRIu64 " duplicates, %" PRIu64 " batches read, %" PRIu64 " failed, %" PRIu64
               " records passed over, %" PRIu64 " batches given from twins\n",
               seed, totals[0], totals[1], totals[2], totals[3], totals[4], totals[5], totals[6], totals[7], totals[8],
               totals[9]);
    free(sim);
}

/* ---- proof that it would notice ---- */

static const struct {
    unsigned skip;
    const char *name;
} mutants[] = {
    {YD__SKIP_DATA_SYNC, "no sync of the data"},
    {YD__SKIP_DIR_SYNC, "no sync of the folder after naming a segment"},
    {YD__SKIP_EPOCH_SYNC, "the raised epoch is not made durable"},
    {YD__SKIP_ROLL_SYNC, "the next segment is begun before the last one is durable"},
    {YD__SKIP_PUBLISH_LATE, "durable is published before the sync"},
    {YD__SKIP_RECOVERY_SYNC, "what recovery kept or zeroed is not synced"},
    {YD__SKIP_REWRITE, "what recovery read is taken to be on the device"},
    {YD__SKIP_TWIN_SYNC, "a twin is not synced before its segment goes"},
    {YD__SKIP_TWIN_DIR_SYNC, "a twin's name is not synced before its segment goes"},
    {YD__SKIP_TWIN_CHECK, "a twin is not read again before its segment goes"},
};

/* Twins alone: segments get theirs, and lose their files, cut off at one call after the other. */
static void run_twin_seed(uint64_t seed)
{
    struct sim *sim = calloc(1, sizeof *sim);
    YD_ASSERT(sim);
    current = sim;
    sim->seed = seed;
    yd_rng_init(&sim->rng, seed);
    sim->now = INT64_C(1700000000) * YD_NS_PER_S;
    YD_ASSERT(yd_sim_fs_create(seed, &sim->fs) == 0);
    sim->options = (struct yd_log_options){.fs = sim->fs,
                                           .dir = DIR,
                                           .stream = "s/0",
                                           .random = sim_random,
                                           .wall = sim_wall,
                                           .clock_arg = sim,
                                           .segment_size_min = 8 << 10,
                                           .segment_size_max = 8 << 10,
                                           .compress_after_ns = 1};
    open_log(sim);
    no_faults(sim);
    struct yd_log_position position;
    for (yd_log_position(sim->log, &position); position.failed; yd_log_position(sim->log, &position)) {
        crash(sim); /* opening met a fault */
        no_faults(sim);
    }
    for (int i = 0; i < 20; i++) {
        append_plain(sim);
        flush(sim);
    }
    (void)yd_log_maintain(sim->log);           /* a log that has failed makes no twins, and loses nothing */
    yd_sim_fs_faults(sim->fs)->write_back = 0; /* nothing becomes durable by itself */
    yd_sim_fs_cut_after(sim->fs, seed % 200);
    for (int i = 0; i < 60 && yd_log_maintain(sim->log) == 0; i++) continue;
    drop_readers(sim);
    yd_sim_fs_crash(sim->fs);
    (void)yd_log_close(sim->log); /* its disk is gone */
    open_log(sim);
    no_faults(sim);
    check_all(sim);
    yd_sim_fs_crash(sim->fs);
    (void)yd_log_close(sim->log);
    yd_sim_fs_destroy(sim->fs);
    free(sim);
}

/* In a child, as a violation ends the process. Returns the seed's number, 0 when all held. */
static uint64_t first_failure(unsigned skip, uint64_t seeds)
{
    for (uint64_t seed = 1; seed <= seeds; seed += 50) {
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            yd__log_skips = skip;
            bool twins = skip & (YD__SKIP_TWIN_SYNC | YD__SKIP_TWIN_DIR_SYNC);
            for (uint64_t s = seed; s < seed + 50; s++) twins ? run_twin_seed(s) : run_seed(s, false);
            _exit(0);
        }
        int status;
        if (child < 0 || waitpid(child, &status, 0) != child) return 0;
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return seed;
    }
    return 0;
}

static int run_mutants(uint64_t seeds)
{
    for (uint64_t seed = 1; seed <= 1000; seed++) run_twin_seed(seed); /* these hold when nothing is left out */
    int missed = 0;
    printf("1..%zu\n", YD_COUNT(mutants));
    for (size_t i = 0; i < YD_COUNT(mutants); i++) {
        uint64_t seed = first_failure(mutants[i].skip, seeds);
        printf("%s %zu - %s: %s\n", seed ? "ok" : "not ok", i + 1, mutants[i].name,
               seed ? "a seed fails" : "no seed noticed");
        missed += !seed;
    }
    return missed ? 1 : 0;
}

int main(int argc, char **argv)
{
    uint64_t from = 1, to = 2000;
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
            return run_mutants(i + 1 < argc ? strtoull(argv[i + 1], NULL, 10) : 3000);
        } else if (strcmp(argv[i], "--verbose") == 0) {
            verbose = true;
        } else {
            fprintf(stderr, "usage: sim_log [--seeds A..B | --random N | --mutants [N]] [--verbose]\n");
            return 2;
        }
    }
    for (uint64_t seed = from; seed <= to; seed++) run_seed(seed, verbose);
    printf("# %" PRIu64 " seeds, no violation\n", to - from + 1);
    return 0;
}
