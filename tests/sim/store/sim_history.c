/* A history on a disk that fails and crashes, beside a model of all its points.
 *
 *   fold (in order, late, twice, forgotten, in part) ─ flush ─ merge ─ retention … ─ cut, kill, crash, rot ─ open ─
 * check ─ replay
 *
 * The stream is played by a list of what was folded since the last flush that was acknowledged. After a crash each
 * point must be what it was at that flush or anything folded there since: nothing acknowledged is missing, nothing is
 * invented. Then the list is folded again, and all must be as if nothing had happened, each point once.
 *
 * sim_history --seeds A..B | --random N */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "io/sim_file.h"
#include "store/internal.h"
#include "store/keeper.h"

#define SERIES 24
#define SLOTS  300
#define EPOCH  (1700000000 * YD_NS_PER_S)

struct value {
    uint8_t type; /* YD_NIL: no point */
    uint64_t bits;
};
typedef struct value table[SERIES][SLOTS];
struct op {
    uint16_t series, slot; /* slot SLOTS: the series is forgotten; SLOTS + n: what it has before slot n is */
    struct value value;
};
struct world {
    uint64_t seed;
    int64_t step; /* between slots: hours in all, or days, which have rollups */
    struct yd_rng rng;
    struct yd_fs *fs;
    struct yd_history *history;
    struct yd_keeper *keeper;
    table now, acknowledged;
    struct op *ops; /* since `acknowledged` */
    size_t count, room;
    size_t begun; /* of ops, when the flush began */
    bool rotten;  /* points may be missing */
    uint64_t flushes, merges, crashes, failed, said, retired, cuts;
};

static _Noreturn void fail(const struct world *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "seed %" PRIu64 ": ", w->seed);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    abort();
}
#define CHECK(w, condition, ...)                                                                                       \
    do                                                                                                                 \
        if (!(condition)) fail(w, __VA_ARGS__);                                                                        \
    while (0)

static uint64_t below(struct world *w, uint64_t n)
{
    return yd_rng_below(&w->rng, n);
}

static void name_of(unsigned series, char *name, size_t size)
{
    snprintf(name, size, "m%u host=h%u,rack=r%u", series % 5, series, series % 3);
}

/* ---- folding ---- */

static void forget_until(struct world *w, const struct op *op)
{
    struct yd_pattern *pattern;
    char name[64];
    uint64_t gone;
    name_of(op->series, name, sizeof name);
    CHECK(w, yd_pattern_compile(yd_str_of(name), &pattern) == 0, "pattern");
    int r = yd_history_forget(w->history, pattern, EPOCH + (op->slot - SLOTS) * w->step, &gone);
    CHECK(w, r == 0 && gone <= 1, "forget: %d", r);
    if (getenv("SIM_VERBOSE")) fprintf(stderr, "forget %u until %u: %d\n", op->series, op->slot - SLOTS, (int)gone);
    w->cuts += gone;
    yd_pattern_destroy(pattern);
}

static void fold_ops(struct world *w, const struct op *ops, size_t count)
{
    struct yd_builder *builder;
    struct yd_batch *batch;
    char name[64];
    size_t until = 0;
    while (until < count && ops[until].slot <= SLOTS) until++;
    if (until < count) {
        fold_ops(w, ops, until);
        forget_until(w, &ops[until]);
        fold_ops(w, ops + until + 1, count - until - 1);
        return;
    }
    if (!count) return;
    CHECK(w, yd_builder_create(NULL, &builder) == 0, "builder");
    for (size_t i = 0; i < count; i++) {
        uint32_t index;
        bool forget = ops[i].slot == SLOTS;
        name_of(ops[i].series, name, sizeof name);
        (void)yd_builder_name(builder, yd_str_of(name), &index);
        union yd_value value = {.bits = ops[i].value.bits};
        int r =
            yd_builder_add(builder, EPOCH + ops[i].slot * w->step, index, YD_SAMPLE,
                           forget ? YD_I64 : (enum yd_type)ops[i].value.type, forget ? YD_RECORD_TOMBSTONE : 0, value);
        CHECK(w, r >= 0, "add: %d", r);
    }
    CHECK(w, yd_builder_seal(builder, &batch) == 0, "seal");
    CHECK(w, yd_history_fold(w->history, batch, 0, NULL) == 0, "fold");
    yd_batch_unref(batch);
    yd_builder_destroy(builder);
}

static void apply(table *t, const struct op *op)
{
    if (op->slot > SLOTS) {
        memset((*t)[op->series], 0, (op->slot - SLOTS) * sizeof(*t)[0][0]);
        return;
    }
    if (op->slot < SLOTS) {
        (*t)[op->series][op->slot] = op->value;
        return;
    }
    if (getenv("SIM_VERBOSE")) fprintf(stderr, "forget %u\n", op->series);
    memset((*t)[op->series], 0, sizeof(*t)[op->series]);
}

static struct op random_op(struct world *w, unsigned at)
{
    struct op op = {.series = (uint16_t)below(w, SERIES), .slot = (uint16_t)(at + below(w, 6))};
    if (below(w, 8) == 0) op.slot = (uint16_t)below(w, SLOTS); /* late, or again */
    if (op.slot >= SLOTS) op.slot = SLOTS - 1;
    if (below(w, 400) == 0) op.slot = SLOTS;
    /* The caller lets no part of the past go while a flush is under way. */
    if (below(w, 200) == 0 && w->history->flush.phase == YD__FLUSH_IDLE)
        op.slot = (uint16_t)(SLOTS + 1 + below(w, at + 5 < SLOTS ? at + 5 : SLOTS));
    union yd_value value;
    switch (op.series % 4) { /* integers below 2^51 among doubles would come back as doubles: kinds stay apart here */
    case 0:
        op.value = (struct value){YD_I64, yd_rng_next(&w->rng)};
        break;
    case 1:
        value.f64 = (double)below(w, 1000) / 10;
        op.value = (struct value){YD_F64, value.bits};
        break;
    case 2:
        value.f64 = (double)yd_rng_next(&w->rng) * 1e-7;
        op.value = (struct value){YD_F64, value.bits};
        break;
    default:
        op.value = (struct value){below(w, 2) ? YD_U64 : YD_BOOL, below(w, 2)};
        break;
    }
    return op;
}

static void fold_random(struct world *w, unsigned at)
{
    size_t count = 1 + below(w, 120), first = w->count;
    if (w->count + count > w->room) {
        w->room = (w->count + count) * 2;
        w->ops = realloc(w->ops, w->room * sizeof *w->ops);
    }
    for (size_t i = 0; i < count; i++) {
        struct op op = random_op(w, at);
        w->ops[w->count++] = op;
        apply(&w->now, &op);
    }
    fold_ops(w, w->ops + first, count);
}

/* ---- reading ---- */

static void read_series(struct world *w, unsigned series, struct value *ret)
{
    char name[64];
    memset(ret, 0, SLOTS * sizeof *ret);
    name_of(series, name, sizeof name);
    uint32_t id = yd__index_find(w->history, yd_str_of(name), yd_hash_str(yd_str_of(name)));
    if (id == YD__NONE) return;
    struct yd__cursor cursor = {INT64_MIN, INT64_MAX, false};
    struct yd__points *points = malloc(sizeof *points);
    int64_t last = INT64_MIN;
    while (yd__series_exact(w->history, yd__series_at(w->history, id), &cursor, points)) {
        for (uint32_t i = 0; i < points->count; i++) {
            int64_t slot = (points->times[i] - EPOCH) / w->step;
            CHECK(w, points->times[i] > last, "series %u: times do not rise", series);
            CHECK(w, slot >= 0 && slot < SLOTS && EPOCH + slot * w->step == points->times[i],
                  "a time that nobody wrote");
            last = points->times[i];
            ret[slot] = (struct value){points->types[i], points->bits[i]};
        }
    }
    free(points);
}

static bool same(struct value a, struct value b)
{
    return a.type == b.type && (a.type == YD_NIL || a.bits == b.bits);
}

static void check_all(struct world *w, const char *when)
{
    struct value got[SLOTS];
    for (unsigned s = 0; s < SERIES; s++) {
        read_series(w, s, got);
        for (unsigned k = 0; k < SLOTS; k++) {
            bool missing = w->rotten && got[k].type == YD_NIL;
            CHECK(w, missing || w->rotten || same(got[k], w->now[s][k]),
                  "%s: series %u slot %u is %u:%" PRIx64 " instead of %u:%" PRIx64, when, s, k, got[k].type,
                  got[k].bits, w->now[s][k].type, w->now[s][k].bits);
        }
    }
}

/* After a crash, before the replay. */
static void check_survivors(struct world *w)
{
    struct value got[SLOTS];
    for (unsigned s = 0; s < SERIES; s++) {
        read_series(w, s, got);
        for (unsigned k = 0; k < SLOTS; k++) {
            bool good = same(got[k], w->acknowledged[s][k]) || (w->rotten && got[k].type == YD_NIL);
            for (size_t i = 0; i < w->count && !good; i++) {
                if (w->ops[i].series != s) continue;
                if (w->ops[i].slot == SLOTS) good = got[k].type == YD_NIL;
                if (w->ops[i].slot > SLOTS && w->ops[i].slot - SLOTS > (int)k) good = good || got[k].type == YD_NIL;
                if (w->ops[i].slot == k) good = same(got[k], w->ops[i].value);
            }
            if (!good && getenv("SIM_VERBOSE")) {
                char name[64];
                name_of(s, name, sizeof name);
                fprintf(stderr, "id %u of %u; %u blocks\n",
                        yd__index_find(w->history, yd_str_of(name), yd_hash_str(yd_str_of(name))), w->history->id_count,
                        w->history->block_count);
                for (uint32_t b = 0; b < w->history->block_count; b++)
                    fprintf(stderr, "  %" PRIu64 ": level %u flushes %" PRIu64 "..%" PRIu64 " damaged %" PRIu64 "\n",
                            w->history->blocks[b]->number, w->history->blocks[b]->head.level,
                            w->history->blocks[b]->head.lo, w->history->blocks[b]->head.hi,
                            w->history->blocks[b]->damaged);
            }
            CHECK(w, good || w->rotten,
                  "after the crash: series %u slot %u is %u:%" PRIx64 ", acknowledged %u:%" PRIx64, s, k, got[k].type,
                  got[k].bits, w->acknowledged[s][k].type, w->acknowledged[s][k].bits);
        }
    }
}

/* ---- life ---- */

static void said(void *arg, const char *text)
{
    struct world *w = arg;
    w->said++;
    if (getenv("SIM_VERBOSE")) fprintf(stderr, "said: %s\n", text);
}

static int open_world(struct world *w)
{
    struct yd_history_options options = {.durable = true};
    struct yd_keeper_options keeping = {.fs = w->fs, .folder = "history"};
    struct yd_trail trail = {0};
    CHECK(w, yd_history_create(&options, &w->history) == 0, "create");
    int error = yd_keeper_open(&keeping, w->history, said, w, &w->keeper, &trail);
    if (error < 0) {
        if (getenv("SIM_VERBOSE")) fprintf(stderr, "open: %s\n", yd_trail_text(&trail));
        yd_history_destroy(w->history);
        w->history = NULL;
    }
    return error;
}

static void close_world(struct world *w)
{
    if (w->history) yd_history_destroy(w->history);
    yd_keeper_close(w->keeper);
    w->history = NULL;
    w->keeper = NULL;
}

static void installed(struct world *w, struct yd_store_change *change)
{
    if (!change) return;
    CHECK(w, yd_history_install(w->history, change) == 0, "install");
    yd_keeper_retire(w->keeper, change);
}

static void settle(struct world *w)
{
    while (yd_history_settle(w->history))
        ;
}

static void flush(struct world *w, unsigned at)
{
    struct yd_flush_piece *piece;
    struct yd_store_change *change;
    struct yd_trail trail = {0};
    table snapshot;
    int r;
    w->begun = w->count;
    memcpy(snapshot, w->now, sizeof snapshot);
    yd_history_flush_begin(w->history);
    do {
        r = yd_history_flush_step(w->history, &piece);
        CHECK(w, r >= 0, "flush step: %d", r);
        if (piece) (void)yd_keeper_take(w->keeper, piece);
        if (below(w, 3) == 0) fold_random(w, at);
    } while (r > 0);
    if (below(w, 3) == 0) fold_random(w, at); /* while it is being written */
    r = yd_keeper_commit(w->keeper, yd_history_newest(w->history), &change, &trail);
    if (r == 0) installed(w, change);
    yd_history_flush_end(w->history, r == 0);
    if (below(w, 4) == 0) fold_random(w, at);
    settle(w);
    if (getenv("SIM_VERBOSE")) fprintf(stderr, "flush: %s %s\n", yd_error_text(r), yd_trail_text(&trail));
    if (r < 0) {
        w->failed++;
        return;
    }
    w->flushes++;
    memcpy(w->acknowledged, snapshot, sizeof snapshot);
    memmove(w->ops, w->ops + w->begun, (w->count - w->begun) * sizeof *w->ops);
    w->count -= w->begun;
}

static void work(struct world *w, unsigned at)
{
    struct yd_store_change *change;
    struct yd_trail trail = {0};
    for (int i = 0; i < 200; i++) {
        int r = yd_keeper_work(w->keeper, yd_history_newest(w->history), &change, &trail);
        if (r < 0 && getenv("SIM_VERBOSE")) fprintf(stderr, "work: %s\n", yd_trail_text(&trail));
        if (change) {
            w->merges++;
            if (getenv("SIM_VERBOSE")) fprintf(stderr, "merged\n");
            if (below(w, 3) == 0) check_all(w, "a change is waiting");
            if (below(w, 4) == 0) fold_random(w, at);
            installed(w, change);
            settle(w);
        }
        if (r <= 0) break;
    }
}

static void reopen(struct world *w)
{
    struct yd_sim_faults *faults = yd_sim_fs_faults(w->fs), before = *faults;
    *faults = (struct yd_sim_faults){.tear = 8, .write_back = 16};
    int error = open_world(w);
    CHECK(w, error == 0, "it does not open after a crash: %s", yd_error_text(error));
    check_survivors(w);
    *faults = before;
    for (size_t at = 0; at < w->count;) { /* the stream sends what was not acknowledged again */
        size_t some = 1 + below(w, 200);
        if (some > w->count - at) some = w->count - at;
        fold_ops(w, w->ops + at, some);
        at += some;
    }
    check_all(w, "after the replay");
}

static void break_down(struct world *w, bool power)
{
    w->crashes++;
    if (getenv("SIM_VERBOSE")) fprintf(stderr, "%s, %zu ops behind\n", power ? "power" : "kill", w->count);
    if (power)
        yd_sim_fs_crash(w->fs);
    else
        yd_sim_fs_kill(w->fs);
    close_world(w);
    reopen(w);
}

static void set_faults(struct world *w)
{
    struct yd_sim_faults *faults = yd_sim_fs_faults(w->fs);
    *faults = (struct yd_sim_faults){.tear = 8, .write_back = 16};
    if (below(w, 3)) return;
    uint32_t often = 5 + (uint32_t)below(w, 60);
    switch (below(w, 5)) {
    case 0:
        faults->sync_fails = often;
        break;
    case 1:
        faults->sync_dir_fails = often;
        break;
    case 2:
        faults->write_fails = often;
        break;
    case 3:
        faults->meta_fails = often;
        break;
    default:
        faults->read_fails = often;
        break;
    }
}

static void run(uint64_t seed, bool say)
{
    struct world *w = calloc(1, sizeof *w);
    w->seed = seed;
    w->step = (seed % 2 ? 40 : 2000) * YD_NS_PER_S;
    yd_rng_init(&w->rng, seed);
    CHECK(w, yd_sim_fs_create(seed, &w->fs) == 0, "disk");
    CHECK(w, open_world(w) == 0, "first open");
    unsigned steps = 60 + (unsigned)below(w, 120), slots = SLOTS - 10;
    for (unsigned i = 0; i < steps; i++) {
        unsigned at = i * slots / steps;
        fold_random(w, at);
        if (below(w, 8) == 0) set_faults(w);
        if (below(w, 60) == 0) yd_sim_fs_cut_after(w->fs, below(w, 60));
        if (below(w, 3)) flush(w, at);
        if (below(w, 4) == 0) work(w, at);
        if (below(w, 6) == 0) check_all(w, "on the way");
        if (below(w, 15) == 0) break_down(w, below(w, 3) > 0);
    }
    yd_sim_fs_cut_after(w->fs, UINT64_MAX);
    break_down(w, true);
    if (say)
        printf("seed %" PRIu64 ": %" PRIu64 " flushes, %" PRIu64 " failed, %" PRIu64 " merges, %" PRIu64
               " crashes, said %" PRIu64 ", %" PRIu64 " cuts\n",
               seed, w->flushes, w->failed, w->merges, w->crashes, w->said, w->cuts);
    close_world(w);
    yd_sim_fs_destroy(w->fs);
    free(w->ops);
    free(w);
}

int main(int argc, char **argv)
{
    uint64_t from = 1, to = 100;
    if (argc == 3 && strcmp(argv[1], "--random") == 0) {
        FILE *source = fopen("/dev/urandom", "r");
        if (!source || fread(&from, sizeof from, 1, source) != 1) return 1;
        fclose(source);
        from >>= 8;
        to = from + strtoull(argv[2], NULL, 0) - 1;
        printf("seeds %" PRIu64 "..%" PRIu64 "\n", from, to);
        fflush(stdout);
    } else if (argc == 3 && strcmp(argv[1], "--seeds") == 0) {
        char *dots;
        from = strtoull(argv[2], &dots, 0);
        to = dots[0] == '.' ? strtoull(dots + 2, NULL, 0) : from;
    } else {
        fprintf(stderr, "usage: sim_history --seeds A..B | --random N\n");
        return 2;
    }
    for (uint64_t seed = from; seed <= to; seed++) run(seed, from == to || seed % 100 == 0);
    return 0;
}
