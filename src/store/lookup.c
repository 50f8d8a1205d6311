/* What is there: words that start with a prefix, series by their tags, newest values. */
#include <stdlib.h>

#include "store/filter.h"

/* Keeps the smallest `max` words in a heap whose top is the greatest: one pass, no order to maintain between calls. */
static void sift(const struct yd_str *words, uint32_t *heap, uint32_t count, uint32_t at)
{
    for (;;) {
        uint32_t greatest = at;
        for (uint32_t child = at * 2 + 1; child <= at * 2 + 2 && child < count; child++)
            if (yd_str_cmp(words[heap[child]], words[heap[greatest]]) > 0) greatest = child;
        if (greatest == at) return;
        uint32_t swap = heap[at];
        heap[at] = heap[greatest];
        heap[greatest] = swap;
        at = greatest;
    }
}

static bool holds(struct yd_str word, struct yd_str text)
{
    return text.size == 0 || (word.size >= text.size && memmem(word.data, word.size, text.data, text.size));
}

int yd_history_suggest(struct yd_history *history, enum yd_suggest what, struct yd_str text, bool anywhere,
                       uint32_t max, void (*visit)(void *arg, struct yd_str text), void *arg)
{
    const struct yd_intern *words = what == YD_SUGGEST_METRICS ? &history->index.metrics
                                    : what == YD_SUGGEST_TAGK  ? &history->index.keys
                                                               : &history->index.values;
    max = YD_MIN(max, words->count);
    if (!max) return YD_OK;
    struct yd_alloc *alloc = history->options.alloc;
    uint32_t *heap = yd_alloc_get(alloc, max * sizeof *heap), count = 0;
    if (!heap) return YD_ENOMEM;
    for (uint32_t id = 0; id < words->count; id++) {
        if (anywhere ? !holds(words->strings[id], text) : !yd_str_starts(words->strings[id], text)) continue;
        if (count < max) {
            heap[count++] = id;
            if (count == max)
                for (uint32_t i = max / 2; i-- > 0;) sift(words->strings, heap, count, i);
        } else if (yd_str_cmp(words->strings[id], words->strings[heap[0]]) < 0) {
            heap[0] = id;
            sift(words->strings, heap, count, 0);
        }
    }
    if (count < max)
        for (uint32_t i = count / 2; i-- > 0;) sift(words->strings, heap, count, i);
    for (uint32_t left = count; left > 1;) { /* the greatest to the end, again and again */
        uint32_t swap = heap[0];
        heap[0] = heap[--left];
        heap[left] = swap;
        sift(words->strings, heap, left, 0);
    }
    for (uint32_t i = 0; i < count; i++) visit(arg, words->strings[heap[i]]);
    yd_alloc_put(alloc, heap, max * sizeof *heap);
    return YD_OK;
}

/* ---- series one after the other ---- */

#define LOOKED_MAX 16384 /* series of a step */
#define NEWEST_MAX 1024  /* of them those whose newest point is read: of a block, some microseconds each */

struct yd_names_run {
    struct yd_history *history;
    struct yd__filters *filters;
    struct yd__candidates candidates;
    struct yd_pattern *pattern;
    bool newest;
    int64_t start_ns;
};

void yd_names_destroy(struct yd_names_run *run)
{
    if (!run) return;
    if (run->filters) {
        yd__candidates_close(&run->candidates);
        yd__filters_destroy(run->filters);
    }
    yd_pattern_destroy(run->pattern);
    yd_alloc_put(run->history->options.alloc, run, sizeof *run);
}

static int names_open(struct yd_names_run *run, const struct yd_series_query *query, uint32_t metric,
                      struct yd_trail *trail)
{
    struct yd_history *history = run->history;
    struct yd__filters *filters;
    uint64_t unknown;
    int error = yd__filters_create(history, query->filters, query->tsuid_count ? 0 : query->filter_count, false,
                                   &filters, trail);
    if (error) return error;
    if (query->tsuid_count)
        error = yd__candidates_of(&run->candidates, history, query->tsuids, query->tsuid_count, false, &unknown, trail);
    else
        error = yd__candidates_open(&run->candidates, history, metric, filters, trail);
    if (error)
        yd__filters_destroy(filters);
    else
        run->filters = filters; /* and with it the candidates */
    return error;
}

static int names_start(struct yd_history *history, const struct yd_series_query *query, uint32_t metric,
                       struct yd_names_run **ret_run, struct yd_trail *trail)
{
    struct yd_names_run *run = yd_alloc_zero(history->options.alloc, sizeof *run);
    if (!run) return YD_ENOMEM;
    run->history = history;
    int error = names_open(run, query, metric, trail);
    if (error)
        yd_names_destroy(run);
    else
        *ret_run = run;
    return error;
}

/* Of the metric; YD__NONE: of all. */
static int metric_of(const struct yd_history *history, struct yd_str name, uint32_t *ret_metric, struct yd_trail *trail)
{
    *ret_metric = yd_intern_find(&history->index.metrics, name);
    if (*ret_metric != YD_INTERN_NONE) return YD_OK;
    return yd_trail_add(trail, YD_ENOENT, "No such name for 'metrics': '%.*s'", YD_STR_FMT(name));
}

int yd_lookup_start(struct yd_history *history, const struct yd_series_query *query, struct yd_names_run **ret_run,
                    struct yd_trail *trail)
{
    uint32_t metric = YD__NONE;
    int error = YD_OK;
    if (query->metric.size && !yd_str_eq(query->metric, YD_STR("*")))
        error = metric_of(history, query->metric, &metric, trail);
    for (size_t i = 0; i < query->filter_count && !error; i++)
        if (yd_intern_find(&history->index.keys, query->filters[i].key) == YD_INTERN_NONE) error = YD_ENOENT;
    if (error) return error;
    struct yd_series_query names = {.filters = query->filters, .filter_count = query->filter_count};
    return names_start(history, &names, metric, ret_run, trail);
}

int yd_last_start(struct yd_history *history, const struct yd_series_query *query, struct yd_names_run **ret_run,
                  struct yd_trail *trail)
{
    uint32_t metric = YD__NONE;
    int error = query->tsuid_count ? YD_OK : metric_of(history, query->metric, &metric, trail);
    if (!error) error = names_start(history, query, metric, ret_run, trail);
    if (error) return error;
    (*ret_run)->newest = true;
    (*ret_run)->start_ns = query->start_ns;
    return YD_OK;
}

int yd_last_start_all(struct yd_history *history, struct yd_str pattern, struct yd_names_run **ret_run)
{
    struct yd_names_run *run;
    int error = names_start(history, &(struct yd_series_query){0}, YD__NONE, &run, NULL);
    if (!error && pattern.size && (error = yd_pattern_compile(pattern, &run->pattern)) < 0) yd_names_destroy(run);
    if (error) return error;
    run->newest = true;
    run->start_ns = INT64_MIN;
    *ret_run = run;
    return YD_OK;
}

/* 1: it is meant and has been visited. */
static int names_take(struct yd_names_run *run, uint32_t id, yd_names_visit *visit, void *arg, struct yd_trail *trail)
{
    struct yd_history *history = run->history;
    const struct yd__series *series = yd__series_at(history, id);
    const struct yd_str name = yd__label_name(series->label);
    int64_t time = 0;
    uint8_t type = YD_NIL;
    uint64_t bits = 0;
    int r = run->pattern ? yd_pattern_match(run->pattern, name)
                         : yd__filters_match(run->filters, history, series->label, trail);
    if (r <= 0) return r;
    if (run->newest) {
        if (!yd__series_may_have(history, series, run->start_ns, INT64_MAX)) return 0;
        if (!yd__series_last(history, series, &time, &type, &bits) || time < run->start_ns) return 0;
    }
    return visit(arg, name, time, (enum yd_type)type, (union yd_value){.bits = bits}) ? 1 : YD_ECANCELED;
}

int yd_names_step(struct yd_names_run *run, yd_names_visit *visit, void *arg, struct yd_trail *trail)
{
    uint32_t ids[64], looked = 0, taken = 0;
    while (looked < LOOKED_MAX && (!run->newest || taken < NEWEST_MAX)) {
        uint32_t count = yd__candidates_next(&run->candidates, run->history, ids, YD_COUNT(ids));
        if (!count) return 0;
        looked += count;
        for (uint32_t i = 0; i < count; i++) {
            int r = names_take(run, ids[i], visit, arg, trail);
            if (r == YD_ECANCELED) return 0;
            if (r < 0) return r;
            taken += (uint32_t)r;
        }
    }
    return 1;
}
