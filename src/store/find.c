/* What Graphite asks of the names: nodes, tags, series; see history.h.
 *
 * Nothing is remembered between two calls but the number of a word or of a series, which only ever rise, so names may
 * come and go between them. Words stay in the dictionaries when their series have gone: each is looked at for one that
 * lives before it is said. */
#include "store/filter.h"
#include "store/nodes.h"

#define WORDS_MAX  65536 /* of a call, looked at */
#define SERIES_MAX 16384
#define FOUND_MAX  8192

static bool lives(const struct yd_history *history, const struct yd__posting *list)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (yd__series_get(history, list->ids[i])) return true;
    return false;
}

static uint64_t living(const struct yd_history *history, const struct yd__posting *list)
{
    uint64_t count = 0;
    if (!history->index.dead) return list->count;
    for (uint32_t i = 0; i < list->count; i++) count += yd__series_get(history, list->ids[i]) != NULL;
    return count;
}

static bool metric_lives(const struct yd_history *history, uint32_t metric)
{
    return metric < history->index.metric_room && lives(history, &history->index.metric_series[metric]);
}

/* ---- nodes ---- */

int yd_history_nodes(struct yd_history *history, struct yd_str pattern, uint32_t from,
                     void (*visit)(void *arg, struct yd_str path, bool leaf), void *arg, uint32_t *ret_next,
                     struct yd_trail *trail)
{
    const struct yd_intern *words = &history->index.metrics;
    const struct yd__nodes *nodes;
    struct yd_intern branches;
    struct yd_arena arena;
    uint32_t looked = 0, found = 0, id = from, unused;
    yd_arena_init(&arena, history->options.alloc);
    yd_intern_init(&branches, history->options.alloc, 0);
    int error = yd__nodes_compile(pattern, &arena, &nodes, trail);
    for (; error >= 0 && id < words->count && looked < WORDS_MAX && found < FOUND_MAX; id++, looked++) {
        struct yd_str word = words->strings[id];
        size_t end;
        if (!yd__nodes_match(nodes, word, &end) || !metric_lives(history, id)) continue;
        struct yd_str path = {word.data, end};
        error = end == word.size ? 1 : yd_intern_add(&branches, path, &unused);
        if (error != 1) continue;
        found++;
        visit(arg, path, end == word.size);
    }
    *ret_next = id < words->count ? id : 0;
    yd_intern_fini(&branches);
    yd_arena_fini(&arena);
    return error < 0 ? error : 0;
}

/* ---- tags ---- */

static bool key_lives(const struct yd_history *history, uint32_t key)
{
    const struct yd__index *index = &history->index;
    if (key >= index->key_room) return false;
    for (uint32_t i = 0; i < index->key_pairs[key].count; i++)
        if (lives(history, &index->pairs[index->key_pairs[key].ids[i]].series)) return true;
    return false;
}

/* Without filters the dictionaries have it all. */
static void all_tags(struct yd_history *history, const struct yd_tags_query *query, uint32_t from,
                     void (*visit)(void *arg, struct yd_str text, uint64_t count), void *arg, uint32_t *ret_next)
{
    const struct yd__index *index = &history->index;
    const struct yd__posting none = {0}, *pairs = &none;
    uint32_t looked = 0, found = 0, at = from;
    if (!query->of_metric && query->key.size) {
        uint32_t key = yd_intern_find(&index->keys, query->key);
        if (key != YD_INTERN_NONE && key < index->key_room) pairs = &index->key_pairs[key];
    }
    bool keys = !query->of_metric && !query->key.size;
    uint32_t count = query->of_metric ? index->metrics.count : keys ? index->keys.count : pairs->count;
    for (; at < count && looked < WORDS_MAX && found < FOUND_MAX; at++, looked++) {
        struct yd_str text = query->of_metric ? index->metrics.strings[at]
                             : keys           ? index->keys.strings[at]
                                              : yd__pair_value(index, pairs->ids[at]);
        if (!yd_str_starts(text, query->prefix)) continue;
        if (keys ? !key_lives(history, at) : query->of_metric && !metric_lives(history, at)) continue;
        uint64_t series =
            keys ? 0
                 : living(history, query->of_metric ? &index->metric_series[at] : &index->pairs[pairs->ids[at]].series);
        if (!keys && !series) continue;
        found++;
        visit(arg, text, series);
    }
    *ret_next = at < count ? at : 0;
}

struct tally {
    struct yd_intern words;
    uint64_t *counts;
    uint32_t room;
};

static int add(struct tally *tally, struct yd_alloc *alloc, struct yd_str text, struct yd_str prefix)
{
    uint32_t id;
    if (!yd_str_starts(text, prefix)) return 0;
    int r = yd_intern_add(&tally->words, text, &id);
    if (r < 0) return r;
    if (id >= tally->room) {
        uint32_t room = YD_MAX(tally->room * 2, 256);
        uint64_t *counts = yd_alloc_resize(alloc, tally->counts, tally->room * sizeof *counts, room * sizeof *counts);
        if (!counts) return YD_ENOMEM;
        tally->counts = counts;
        tally->room = room;
    }
    tally->counts[id] = r == 1 ? 1 : tally->counts[id] + 1;
    return 0;
}

static int add_label(struct tally *tally, const struct yd_history *history, const struct yd_tags_query *query,
                     uint32_t key, const struct yd__label *label)
{
    const struct yd__index *index = &history->index;
    struct yd_alloc *alloc = history->options.alloc;
    if (query->of_metric) return add(tally, alloc, index->metrics.strings[label->metric], query->prefix);
    if (query->key.size) {
        uint32_t pair = key == YD_INTERN_NONE ? YD__NONE : yd__label_pair(index, label, key);
        return pair == YD__NONE ? 0 : add(tally, alloc, yd__pair_value(index, pair), query->prefix);
    }
    int r = 0;
    for (uint32_t i = 0; i < label->tag_count && r >= 0; i++)
        r = add(tally, alloc, index->keys.strings[index->pairs[label->pairs[i]].key], query->prefix);
    return r;
}

/* ---- series that match ---- */

/* One call's walk: take(label) of each that matches; negative: stop with it. */
static int walk(struct yd_history *history, const struct yd_filter *filters, size_t filter_count, uint32_t from,
                int (*take)(void *arg, const struct yd__label *label), void *arg, uint32_t limit, uint32_t *ret_next,
                struct yd_trail *trail)
{
    uint32_t ids[64], count, looked = 0, taken = 0;
    struct yd__filters *set;
    struct yd__candidates candidates;
    *ret_next = 0;
    int error = yd__filters_create(history, filters, filter_count, false, &set, trail);
    if (error < 0) return error;
    error = yd__candidates_open(&candidates, history, YD__NONE, set, trail);
    if (error < 0) {
        yd__filters_destroy(set);
        return error;
    }
    candidates.next = from;
    while (looked < SERIES_MAX && taken < limit && error >= 0) {
        count = yd__candidates_next(&candidates, history, ids, YD_COUNT(ids));
        if (!count) break;
        looked += count;
        *ret_next = ids[count - 1] + 1;
        for (uint32_t i = 0; i < count && error >= 0; i++) {
            const struct yd__label *label = yd__series_at(history, ids[i])->label;
            error = yd__filters_match(set, history, label, trail);
            if (error <= 0) continue;
            taken++;
            error = take(arg, label);
        }
    }
    if (error < 0 || (looked < SERIES_MAX && taken < limit)) *ret_next = 0;
    yd__candidates_close(&candidates);
    yd__filters_destroy(set);
    return error < 0 ? error : 0;
}

struct tag_walk {
    struct tally tally;
    struct yd_history *history;
    const struct yd_tags_query *query;
    uint32_t key;
};

static int take_tags(void *arg, const struct yd__label *label)
{
    struct tag_walk *work = arg;
    return add_label(&work->tally, work->history, work->query, work->key, label);
}

int yd_history_tags(struct yd_history *history, const struct yd_tags_query *query, uint32_t from,
                    void (*visit)(void *arg, struct yd_str text, uint64_t count), void *arg, uint32_t *ret_next,
                    struct yd_trail *trail)
{
    if (!query->filter_count) {
        all_tags(history, query, from, visit, arg, ret_next);
        return 0;
    }
    struct yd_alloc *alloc = history->options.alloc;
    struct tag_walk work = {.history = history, .query = query, .key = YD_INTERN_NONE};
    yd_intern_init(&work.tally.words, alloc, 0);
    if (query->key.size) work.key = yd_intern_find(&history->index.keys, query->key);
    int error = walk(history, query->filters, query->filter_count, from, take_tags, &work, UINT32_MAX, ret_next, trail);
    for (uint32_t i = 0; error == 0 && i < work.tally.words.count; i++)
        visit(arg, work.tally.words.strings[i], work.tally.counts[i]);
    yd_intern_fini(&work.tally.words);
    yd_alloc_put(alloc, work.tally.counts, work.tally.room * sizeof *work.tally.counts);
    return error;
}

struct find_walk {
    void (*visit)(void *arg, struct yd_str name);
    void *arg;
};

static int take_name(void *arg, const struct yd__label *label)
{
    struct find_walk *work = arg;
    work->visit(work->arg, yd__label_name(label));
    return 0;
}

int yd_history_find(struct yd_history *history, const struct yd_filter *filters, size_t filter_count, uint32_t from,
                    void (*visit)(void *arg, struct yd_str name), void *arg, uint32_t *ret_next, struct yd_trail *trail)
{
    struct find_walk work = {visit, arg};
    return walk(history, filters, filter_count, from, take_name, &work, FOUND_MAX, ret_next, trail);
}
