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

int yd_history_lookup(struct yd_history *history, struct yd_str metric, const struct yd_filter *filters,
                      size_t filter_count, uint64_t limit, void (*visit)(void *arg, struct yd_str name), void *arg,
                      uint64_t *ret_total)
{
    uint32_t metric_id = YD__NONE, ids[64], count;
    if (metric.size && !yd_str_eq(metric, YD_STR("*"))) {
        metric_id = yd_intern_find(&history->index.metrics, metric);
        if (metric_id == YD_INTERN_NONE) return YD_ENOENT;
    }
    for (size_t i = 0; i < filter_count; i++)
        if (yd_intern_find(&history->index.keys, filters[i].key) == YD_INTERN_NONE) return YD_ENOENT;
    struct yd__filters *set;
    int error = yd__filters_create(history, filters, filter_count, false, &set, NULL);
    if (error) return error;
    struct yd__candidates candidates;
    uint64_t total = 0;
    error = yd__candidates_open(&candidates, history, metric_id, set, NULL);
    while (!error && (count = yd__candidates_next(&candidates, history, ids, YD_COUNT(ids)))) {
        for (uint32_t i = 0; i < count && !error; i++) {
            const struct yd__label *label = yd__series_at(history, ids[i])->label;
            int r = yd__filters_match(set, history, label, NULL);
            if (r < 0)
                error = r;
            else if (r && total++ < limit)
                visit(arg, yd__label_name(label));
        }
    }
    yd__candidates_close(&candidates);
    yd__filters_destroy(set);
    if (!error) *ret_total = total;
    return error;
}

static int meant(struct yd_history *history, const struct yd_series_query *query, struct yd__filters *filters,
                 struct yd__candidates *candidates, struct yd_trail *trail)
{
    uint32_t metric;
    uint64_t unknown;
    if (query->tsuid_count)
        return yd__candidates_of(candidates, history, query->tsuids, query->tsuid_count, false, &unknown, trail);
    metric = yd_intern_find(&history->index.metrics, query->metric);
    if (metric == YD_INTERN_NONE)
        return yd_trail_add(trail, YD_ENOENT, "No such name for 'metrics': '%.*s'", YD_STR_FMT(query->metric));
    return yd__candidates_open(candidates, history, metric, filters, trail);
}

int yd_history_last_of(struct yd_history *history, const struct yd_series_query *query, uint64_t limit,
                       void (*visit)(void *arg, struct yd_str name, int64_t time_ns, enum yd_type type,
                                     union yd_value value),
                       void *arg, struct yd_trail *trail)
{
    struct yd__filters *filters;
    struct yd__candidates candidates;
    uint32_t ids[64], count;
    size_t filter_count = query->tsuid_count ? 0 : query->filter_count;
    int error = yd__filters_create(history, query->filters, filter_count, false, &filters, trail);
    if (error) return error;
    error = meant(history, query, filters, &candidates, trail);
    if (error) {
        yd__filters_destroy(filters);
        return error;
    }
    while (!error && (count = yd__candidates_next(&candidates, history, ids, YD_COUNT(ids)))) {
        for (uint32_t i = 0; i < count && !error; i++) {
            const struct yd__series *series = yd__series_at(history, ids[i]);
            int64_t time;
            uint8_t type;
            uint64_t bits;
            int r = yd__filters_match(filters, history, series->label, trail);
            if (r < 0) error = r;
            if (r <= 0 || !yd__series_may_have(history, series, query->start_ns, INT64_MAX)) continue;
            if (!yd__series_last(history, series, &time, &type, &bits) || time < query->start_ns) continue;
            if (limit-- == 0)
                error = yd_trail_add(trail, YD_ETOOBIG, "too many series match: add tags, or ask for some of them");
            else
                visit(arg, yd__label_name(series->label), time, (enum yd_type)type, (union yd_value){.bits = bits});
        }
    }
    yd__candidates_close(&candidates);
    yd__filters_destroy(filters);
    return error;
}

int yd_history_last(struct yd_history *history, const struct yd_pattern *pattern, uint64_t limit,
                    void (*visit)(void *arg, struct yd_str name, int64_t time_ns, enum yd_type type,
                                  union yd_value value),
                    void *arg)
{
    for (uint32_t id = 0; id < history->id_count && limit; id++) {
        const struct yd__series *series = yd__series_get(history, id);
        int64_t time;
        uint8_t type;
        uint64_t bits;
        if (!series) continue;
        struct yd_str name = yd__label_name(series->label);
        if (pattern && !yd_pattern_match(pattern, name)) continue;
        if (!yd__series_last(history, series, &time, &type, &bits)) continue;
        visit(arg, name, time, (enum yd_type)type, (union yd_value){.bits = bits});
        limit--;
    }
    return YD_OK;
}
