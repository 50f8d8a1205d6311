/* bench-blocks: bytes a sample on disk after all merges, by kind of data; the same points as Graphite lines for a peer.
 *
 *   bench-blocks FOLDER            flushes every 15 min of the data's time, merges, prints bytes a sample of each kind
 *   bench-blocks --lines KIND      the points of a kind as lines, to stdout
 *   bench-blocks --restart FOLDER SERIES    makes a history of so many series; then the time to open it
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/hash.h"
#include "store/history.h"
#include "store/keeper.h"

#define SERIES 100
#define TICKS  8640 /* a day, 10 s each */
#define STEP   10

static const char *const kinds[] = {"tsbs", "counter", "decimal", "noise", NULL};

static void die(const char *what, int error)
{
    (void)fprintf(stderr, "bench-blocks: %s: %s\n", what, yd_error_text(error));
    exit(1);
}

static double now(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double uniform(struct yd_rng *rng)
{
    return (double)(yd_rng_next(rng) >> 11) * 0x1p-53;
}

static double normal(struct yd_rng *rng) /* twelve dice */
{
    double sum = -6;
    for (int i = 0; i < 12; i++) sum += uniform(rng);
    return sum;
}

/* The next value of a series: tsbs: a walk between 0 and 100 with steps N(0, 1), cut to integers, as its cpu-only
 * generator has them; counter: bytes of an interface; decimal: a temperature with two decimals; noise: all 53 bits. */
static double next(unsigned kind, double *level, struct yd_rng *rng)
{
    switch (kind) {
    case 0:
        *level += normal(rng);
        if (*level < 0) *level = 0;
        if (*level > 100) *level = 100;
        return (double)(int)*level;
    case 1:
        return *level += (double)(uint64_t)(50000 * uniform(rng));
    case 2:
        *level += (double)(int64_t)(normal(rng) * 8);
        return *level / 100;
    default:
        return *level = *level * 0.9 + normal(rng);
    }
}

static void first(struct yd_rng *rng, unsigned kind, double *levels)
{
    yd_rng_init(rng, 1000 + kind);
    for (unsigned s = 0; s < SERIES; s++) levels[s] = kind == 0 ? 100 * uniform(rng) : kind == 2 ? 2000 : 0;
}

static int64_t began(void)
{
    return 1767225600; /* 2026-01-01 */
}

static int lines(const char *word)
{
    unsigned kind = 0;
    double levels[SERIES];
    struct yd_rng rng;
    while (kinds[kind] && strcmp(kinds[kind], word) != 0) kind++;
    if (!kinds[kind]) return 2;
    first(&rng, kind, levels);
    for (unsigned t = 0; t < TICKS; t++)
        for (unsigned s = 0; s < SERIES; s++)
            printf("%s;host=host_%u %.17g %lld\n", kinds[kind], s, next(kind, &levels[s], &rng),
                   (long long)(began() + t * STEP));
    return 0;
}

struct store {
    struct yd_history *history;
    struct yd_keeper *keeper;
    double fold, flush, merge;
};

static void settle(struct store *store)
{
    while (yd_history_settle(store->history))
        ;
}

static void install(struct store *store, struct yd_store_change *change)
{
    if (!change) return;
    int error = yd_history_install(store->history, change);
    if (error < 0) die("install", error);
    yd_keeper_retire(store->keeper, change);
    settle(store);
}

static void flush(struct store *store)
{
    struct yd_flush_piece *piece;
    struct yd_store_change *change;
    double start = now(CLOCK_THREAD_CPUTIME_ID);
    int r;
    yd_history_flush_begin(store->history);
    do {
        r = yd_history_flush_step(store->history, &piece);
        if (piece) (void)yd_keeper_take(store->keeper, piece);
    } while (r > 0);
    r = yd_keeper_commit(store->keeper, yd_history_newest(store->history), &change, NULL);
    if (r < 0) die("commit", r);
    install(store, change);
    yd_history_flush_end(store->history, true);
    settle(store);
    double middle = now(CLOCK_THREAD_CPUTIME_ID);
    store->flush += middle - start;
    do {
        r = yd_keeper_work(store->keeper, yd_history_newest(store->history), &change, NULL);
        if (r < 0) die("merge", r);
        install(store, change);
    } while (r > 0);
    store->merge += now(CLOCK_THREAD_CPUTIME_ID) - middle;
}

static void open_store(struct store *store, const char *folder)
{
    struct yd_trail trail = {0};
    struct yd_keeper_options options = {.fs = yd_fs_linux(), .folder = folder};
    int error = yd_history_create(&(struct yd_history_options){.durable = true, .memory_max = UINT64_C(8) << 30},
                                  &store->history);
    if (error < 0) die("create", error);
    error = yd_keeper_open(&options, store->history, NULL, NULL, &store->keeper, &trail);
    if (error < 0) die(yd_trail_text(&trail), error);
}

static void close_store(struct store *store)
{
    yd_history_destroy(store->history);
    yd_keeper_close(store->keeper);
}

static void fold(struct store *store, struct yd_builder *builder)
{
    struct yd_batch *batch;
    int error = yd_builder_seal(builder, &batch);
    if (error < 0) die("seal", error);
    double start = now(CLOCK_THREAD_CPUTIME_ID);
    error = yd_history_fold(store->history, batch, 0, NULL);
    if (error < 0) die("fold", error);
    store->fold += now(CLOCK_THREAD_CPUTIME_ID) - start;
    yd_batch_unref(batch);
}

static void add(struct yd_builder *builder, const char *name, int64_t seconds, double value)
{
    uint32_t index;
    int error = yd_builder_name(builder, yd_str_of(name), &index);
    if (error >= 0)
        error =
            yd_builder_add(builder, seconds * YD_NS_PER_S, index, YD_SAMPLE, YD_F64, 0, (union yd_value){.f64 = value});
    if (error < 0) die("add", error);
}

static void measure(const char *folder, unsigned kind)
{
    char path[4096];
    double levels[SERIES];
    struct yd_rng rng;
    struct store store = {0};
    struct yd_builder *builder;
    (void)snprintf(path, sizeof path, "%s/%s", folder, kinds[kind]);
    open_store(&store, path);
    if (yd_builder_create(NULL, &builder) < 0) die("builder", YD_ENOMEM);
    first(&rng, kind, levels);
    for (unsigned t = 0; t < TICKS; t++) {
        for (unsigned s = 0; s < SERIES; s++) {
            char name[64];
            (void)snprintf(name, sizeof name, "%s host=host_%u", kinds[kind], s);
            add(builder, name, began() + t * STEP, next(kind, &levels[s], &rng));
        }
        fold(&store, builder);
        if (t % 90 == 89) flush(&store);
    }
    /* A day later: the day lies behind and becomes one block. */
    for (int i = 0; i < 64; i++) {
        add(builder, "later host=x", began() + 2 * 86400 + i, 1);
        fold(&store, builder);
        flush(&store);
    }
    struct yd_keeper_counts counts;
    yd_keeper_counts(store.keeper, &counts);
    double points = (double)SERIES * TICKS;
    printf("%-8s %.3f bytes a sample, names, indexes and the small blocks of another day included; %llu files; a "
           "point: fold %.0f ns, flush %.0f ns, "
           "merge %.0f ns\n",
           kinds[kind], (double)counts.bytes / points, (unsigned long long)(counts.blocks + counts.names),
           store.fold / points * 1e9, store.flush / points * 1e9, store.merge / points * 1e9);
    yd_builder_destroy(builder);
    close_store(&store);
}

static int restart(const char *folder, unsigned series)
{
    struct store store = {0};
    struct yd_builder *builder;
    open_store(&store, folder);
    if (yd_keeper_fresh(store.keeper)) {
        if (yd_builder_create(NULL, &builder) < 0) die("builder", YD_ENOMEM);
        for (unsigned t = 0; t < 10; t++) {
            for (unsigned s = 0; s < series; s++) {
                char name[96];
                (void)snprintf(name, sizeof name, "cpu.usage dc=dc%u,host=host_%u,rack=r%u,service=s%u", s % 5, s,
                               s % 100, s % 33);
                add(builder, name, began() + t * STEP, s);
                if (s % 5000 == 4999) fold(&store, builder);
            }
            if (yd_builder_count(builder)) fold(&store, builder);
            flush(&store);
        }
        yd_builder_destroy(builder);
    }
    close_store(&store);
    for (int i = 0; i < 3; i++) {
        double start = now(CLOCK_MONOTONIC);
        open_store(&store, folder);
        printf("%u series: open in %.0f ms\n", series, (now(CLOCK_MONOTONIC) - start) * 1e3);
        close_store(&store);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--lines") == 0) return lines(argv[2]);
    if (argc == 4 && strcmp(argv[1], "--restart") == 0) return restart(argv[2], (unsigned)atoi(argv[3]));
    if (argc != 2) return 2;
    for (unsigned kind = 0; kinds[kind]; kind++) measure(argv[1], kind);
    return 0;
}
