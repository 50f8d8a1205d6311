/* bench-history: what a fold costs a point, what a series and a sample cost in memory, how long queries take. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/hash.h"
#include "store/history.h"

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void die(const char *what, int error)
{
    (void)fprintf(stderr, "bench-history: %s: %s\n", what, yd_error_text(error));
    exit(1);
}

#define START (INT64_C(1700000000) * YD_NS_PER_S)
#define STEP  (10 * YD_NS_PER_S)

struct load {
    uint32_t series, ticks; /* each series once a tick */
    uint32_t metrics;       /* 0: 100 */
    double *level;
    struct yd_rng rng;
};

/* One tick: names in batches of at most 100 k; gauges that walk, counters, percentages of two decimals. */
static void tick(struct load *load, uint32_t at, struct yd_builder *builder, struct yd_batch **batches, uint32_t *count)
{
    *count = 0;
    for (uint32_t i = 0; i < load->series; i++) {
        char text[128];
        uint32_t metrics = load->metrics ? load->metrics : 100, host = i / metrics;
        int size = snprintf(text, sizeof text, "metric.%u dc=dc%u,host=web%05u,rack=r%02u", i % metrics, host % 4, host,
                            host % 50);
        uint32_t name;
        int error = yd_builder_name(builder, (struct yd_str){text, (size_t)size}, &name);
        if (error == YD_EFULL) {
            error = yd_builder_seal(builder, &batches[(*count)++]);
            if (error < 0) die("seal", error);
            error = yd_builder_name(builder, (struct yd_str){text, (size_t)size}, &name);
        }
        if (error < 0) die("name", error);
        double *level = &load->level[i];
        enum yd_type type = YD_F64;
        union yd_value value;
        uint64_t random = yd_rng_next(&load->rng);
        switch (i % 4) {
        case 0: /* a gauge that walks */
            *level += (double)(random % 7) - 3;
            type = YD_I64;
            value.i64 = (int64_t)*level;
            break;
        case 1: /* a counter */
            *level += (double)(random % 1000);
            type = YD_I64;
            value.i64 = (int64_t)*level;
            break;
        case 2: /* a percentage that walks, two decimals */
            *level += ((double)(random % 101) - 50) / 100;
            value.f64 = (double)(int64_t)(*level * 100) / 100;
            break;
        default:
            value.f64 = i % 8 == 3 ? 1.0 : (double)(random % 3);
            break; /* mostly constant */
        }
        error = yd_builder_add(builder, START + at * STEP, name, YD_SAMPLE, type, 0, value);
        if (error == YD_EFULL) {
            error = yd_builder_seal(builder, &batches[(*count)++]);
            if (error < 0) die("seal", error);
            i--;
            continue;
        }
        if (error < 0) die("add", error);
    }
    int error = yd_builder_seal(builder, &batches[(*count)++]);
    if (error < 0) die("seal", error);
}

static struct yd_history *fold(struct load *load)
{
    struct yd_history *history;
    int error = yd_history_create(&(struct yd_history_options){.memory_max = UINT64_C(8) << 30}, &history);
    if (error) die("create", error);
    struct yd_builder *builder;
    error = yd_builder_create(&(struct yd_builder_options){.size_max = 32 << 20, .names_max = 1 << 20}, &builder);
    if (error) die("builder", error);
    load->level = calloc(load->series, sizeof *load->level);
    for (uint32_t i = 0; i < load->series; i++) load->level[i] = (double)(i % 977);
    yd_rng_init(&load->rng, 1);
    double first = 0, rest = 0;
    uint64_t rest_points = 0;
    for (uint32_t at = 0; at < load->ticks; at++) {
        struct yd_batch *batches[64];
        uint32_t count;
        tick(load, at, builder, batches, &count);
        double begin = now();
        for (uint32_t i = 0; i < count; i++) {
            error = yd_history_fold(history, batches[i], 0, NULL);
            if (error) die("fold", error);
        }
        double took = now() - begin;
        if (at == 0) {
            first = took;
        } else {
            rest += took;
            rest_points += load->series;
        }
        for (uint32_t i = 0; i < count; i++) yd_batch_unref(batches[i]);
    }
    struct yd_history_counts counts;
    yd_history_counts(history, &counts);
    printf("fold %8u series x %4u: %6.1f ns/point known, %7.1f ns/point new; %6.0f bytes/series, %5.2f bytes/sample\n",
           load->series, load->ticks, rest * 1e9 / (double)rest_points, first * 1e9 / load->series,
           (double)counts.memory_bytes / (double)counts.series, (double)counts.memory_bytes / (double)counts.stored);
    yd_builder_destroy(builder);
    free(load->level);
    return history;
}

/* Few names, many points of each in a batch. */
static void fold_dense(uint32_t series, uint32_t per_batch, uint32_t batches)
{
    struct yd_history *history;
    int error = yd_history_create(&(struct yd_history_options){.memory_max = UINT64_C(8) << 30}, &history);
    if (error) die("create", error);
    struct yd_builder *builder;
    error = yd_builder_create(&(struct yd_builder_options){.size_max = 32 << 20}, &builder);
    if (error) die("builder", error);
    struct yd_rng rng;
    yd_rng_init(&rng, 2);
    double total = 0;
    for (uint32_t b = 0; b < batches; b++) {
        for (uint32_t p = 0; p < per_batch; p++)
            for (uint32_t i = 0; i < series; i++) {
                char text[64];
                int size = snprintf(text, sizeof text, "m%u host=h%u", i % 10, i / 10);
                uint32_t name;
                error = yd_builder_name(builder, (struct yd_str){text, (size_t)size}, &name);
                union yd_value value = {.f64 = (double)(yd_rng_next(&rng) % 1000) / 10};
                if (!error)
                    error = yd_builder_add(builder, START + ((int64_t)b * per_batch + p) * STEP, name, YD_SAMPLE,
                                           YD_F64, 0, value);
                if (error < 0) die("dense", error);
            }
        struct yd_batch *batch;
        error = yd_builder_seal(builder, &batch);
        if (error < 0) die("seal", error);
        double begin = now();
        error = yd_history_fold(history, batch, 0, NULL);
        total += now() - begin;
        if (error) die("fold", error);
        yd_batch_unref(batch);
    }
    struct yd_history_counts counts;
    yd_history_counts(history, &counts);
    printf("fold %8u series, %u points of each a batch: %6.1f ns/point; %5.2f bytes/sample\n", series, per_batch,
           total * 1e9 / (double)counts.stored, (double)counts.memory_bytes / (double)counts.stored);
    yd_builder_destroy(builder);
    yd_history_destroy(history);
}

/* ---- queries ---- */

struct took {
    double p50, p99;
    uint64_t points, groups;
};

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct took ask(struct yd_history *history, const struct yd_series_query *query, uint32_t rounds)
{
    double *times = calloc(rounds, sizeof *times);
    struct took took = {0};
    for (uint32_t i = 0; i < rounds; i++) {
        struct yd_query_run *run;
        struct yd_batch *batch;
        took.points = took.groups = 0;
        double begin = now();
        int more = yd_query_start(history, query, &run, NULL);
        if (more) die("query", more);
        do {
            more = yd_query_step(run, &batch, NULL);
            if (batch) took.points += batch->view.count;
            yd_batch_unref(batch);
        } while (more > 0);
        if (more < 0) die("step", more);
        yd_query_destroy(run);
        times[i] = now() - begin;
    }
    qsort(times, rounds, sizeof *times, by_value);
    took.p50 = times[rounds / 2];
    took.p99 = times[(uint64_t)rounds * 99 / 100];
    free(times);
    return took;
}

static uint32_t aggregator(const char *name)
{
    uint32_t index;
    if (yd_aggregator_find(yd_str_of(name), &index)) die(name, YD_ENOENT);
    return index;
}

/* 100 k series, 10 k to a metric: one of them, ten, all of a metric. */
static void queries(struct load *load, uint32_t more)
{
    struct yd_history *history = fold(load);
    int64_t end = START + (int64_t)load->ticks * STEP;
    struct yd_filter one[] = {{YD_FILTER_LITERAL_OR, YD_STR("host"), YD_STR("web00007"), true}};
    struct yd_filter ten[] = {{YD_FILTER_WILDCARD, YD_STR("host"), YD_STR("web0012*"), true}};
    struct yd_filter by_dc[] = {{YD_FILTER_WILDCARD, YD_STR("dc"), YD_STR("*"), true}};
    struct {
        const char *what, *metric;
        struct yd_filter *filters;
        int64_t interval;
        uint32_t rounds;
    } cases[] = {
        {"1 series, raw", "metric.1", one, 0, 400},
        {"1 series, 1m-avg", "metric.1", one, 60 * YD_NS_PER_S, 400},
        {"10 series, by host, 1m-avg", "metric.1", ten, 60 * YD_NS_PER_S, 400},
        {"all of a metric, by dc, 1m-avg", "metric.2", by_dc, 60 * YD_NS_PER_S, 50},
        {"all of a metric, by dc, raw", "metric.2", by_dc, 0, 50},
    };
    for (size_t i = 0; i < YD_COUNT(cases); i++) {
        struct yd_series_query query = {.start_ns = START,
                                        .end_ns = end,
                                        .metric = yd_str_of(cases[i].metric),
                                        .aggregator = aggregator("sum"),
                                        .downsample = {cases[i].interval, aggregator("avg"), YD_FILL_NONE},
                                        .filters = cases[i].filters,
                                        .filter_count = 1};
        struct took took = ask(history, &query, cases[i].rounds * more);
        printf("query %-32s %8.3f ms p50, %8.3f ms p99, %llu records\n", cases[i].what, took.p50 * 1e3, took.p99 * 1e3,
               (unsigned long long)took.points);
    }
    yd_history_destroy(history);
}

int main(int argc, char **argv)
{
    const char *only = argc > 1 ? argv[1] : "all";
    bool all = !strcmp(only, "all"), quick = !strcmp(only, "quick");
    if (all || quick || !strcmp(only, "dense")) fold_dense(1000, 100, quick ? 5 : 60);
    struct load loads[] = {{.series = 1000, .ticks = 2000},
                           {.series = 100000, .ticks = quick ? 60 : 360},
                           {.series = 1000000, .ticks = quick ? 3 : 20}};
    const char *names[] = {"1k", "100k", "1m"};
    for (size_t i = 0; i < YD_COUNT(loads); i++)
        if (all || quick || !strcmp(only, names[i])) yd_history_destroy(fold(&loads[i]));
    if (all || quick || !strcmp(only, "query")) {
        struct load load = {.series = 100000, .ticks = quick ? 60 : 360, .metrics = 10};
        queries(&load, argc > 2 ? (uint32_t)atoi(argv[2]) : 1);
    }
    return 0;
}
