/* Filters: compiled once a query, with their verdicts remembered; see filter.h. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

#include "store/filter.h"
#include "store/nodes.h"

/* A regular expression that needs more than this on one value is refused: it would hold everybody else up. */
#define MATCH_LIMIT 200000
#define DEPTH_LIMIT 1000

enum verdict { UNSEEN, YES, NO };

struct filter {
    enum yd_filter_type type;
    uint32_t key; /* YD__NONE: no series has it */
    struct yd_str expression;
    uint8_t *verdicts; /* by the pair's ordinal, or by the metric */
    uint32_t verdict_room;
    bool of_metric;
    const struct yd__nodes *nodes;
    pcre2_code *code;
};
struct yd__filters {
    struct yd_alloc *alloc;
    struct yd_arena arena;
    pcre2_match_data *match_data;
    pcre2_match_context *match_context;
    bool explicit_tags;
    uint32_t count, group_count, key_count;
    uint32_t *group_keys, *keys; /* distinct */
    struct filter filters[];
};

static void add_distinct(uint32_t *keys, uint32_t *count, uint32_t key)
{
    for (uint32_t i = 0; i < *count; i++)
        if (keys[i] == key && key != YD__NONE) return;
    keys[(*count)++] = key;
}

static bool is_regexp(enum yd_filter_type type)
{
    return type == YD_FILTER_REGEXP || type == YD_FILTER_NOT_REGEXP;
}

/* Those that a missing key passes. */
static bool is_not(enum yd_filter_type type)
{
    return type == YD_FILTER_NOT_KEY || type == YD_FILTER_NOT_LITERAL_OR || type == YD_FILTER_NOT_ILITERAL_OR ||
           type == YD_FILTER_NOT_REGEXP;
}

static int compile_regexp(struct yd__filters *all, struct filter *filter, struct yd_trail *trail)
{
    int code;
    PCRE2_SIZE offset;
    filter->code =
        pcre2_compile((PCRE2_SPTR)filter->expression.data, filter->expression.size, PCRE2_UTF, &code, &offset, NULL);
    if (!filter->code) {
        PCRE2_UCHAR text[128] = "";
        (void)pcre2_get_error_message(code, text, sizeof text); /* cut when long */
        return yd_trail_add(trail, YD_EFORMAT, "regular expression '%.*s', at %zu: %s", YD_STR_FMT(filter->expression),
                            (size_t)offset, (const char *)text);
    }
    (void)pcre2_jit_compile(filter->code, PCRE2_JIT_COMPLETE); /* without it, it is interpreted */
    if (!all->match_data) all->match_data = pcre2_match_data_create(1, NULL);
    if (!all->match_context) all->match_context = pcre2_match_context_create(NULL);
    if (!all->match_data || !all->match_context) return YD_ENOMEM;
    pcre2_set_match_limit(all->match_context, MATCH_LIMIT);
    pcre2_set_depth_limit(all->match_context, DEPTH_LIMIT);
    return YD_OK;
}

int yd__filters_create(const struct yd_history *history, const struct yd_filter *filters, size_t count,
                       bool explicit_tags, struct yd__filters **ret_filters, struct yd_trail *trail)
{
    struct yd_alloc *alloc = history->options.alloc;
    if (count > 1000) return yd_trail_add(trail, YD_ETOOBIG, "%zu filters: at most 1000", count);
    struct yd__filters *all = yd_alloc_zero(alloc, sizeof *all + count * sizeof all->filters[0]);
    if (!all) return YD_ENOMEM;
    all->alloc = alloc;
    all->count = (uint32_t)count;
    all->explicit_tags = explicit_tags;
    yd_arena_init(&all->arena, alloc);
    int error = YD_ENOMEM;
    all->group_keys = yd_arena_get(&all->arena, (count + 1) * sizeof *all->group_keys);
    all->keys = yd_arena_get(&all->arena, (count + 1) * sizeof *all->keys);
    if (!all->group_keys || !all->keys) goto fail;
    for (uint32_t i = 0; i < count; i++) {
        struct filter *filter = &all->filters[i];
        filter->type = filters[i].type;
        filter->of_metric = filters[i].of_metric;
        filter->key = filter->of_metric ? YD__NONE : yd_intern_find(&history->index.keys, filters[i].key);
        filter->expression = yd_arena_str(&all->arena, filters[i].expression);
        error = YD_ENOMEM;
        if (!filter->expression.data) goto fail;
        if (is_regexp(filter->type) || filter->type == YD_FILTER_NODES) {
            error = is_regexp(filter->type) ? compile_regexp(all, filter, trail)
                                            : yd__nodes_compile(filter->expression, &all->arena, &filter->nodes, trail);
            if (error) goto fail;
        }
        if (filter->of_metric) continue;
        add_distinct(all->keys, &all->key_count, filter->key);
        if (filters[i].group_by && filter->type != YD_FILTER_NOT_KEY)
            add_distinct(all->group_keys, &all->group_count, filter->key);
    }
    *ret_filters = all;
    return YD_OK;
fail:
    yd__filters_destroy(all);
    return error;
}

void yd__filters_destroy(struct yd__filters *all)
{
    if (!all) return;
    for (uint32_t i = 0; i < all->count; i++) {
        pcre2_code_free(all->filters[i].code);
        yd_alloc_put(all->alloc, all->filters[i].verdicts, all->filters[i].verdict_room);
    }
    pcre2_match_data_free(all->match_data);
    pcre2_match_context_free(all->match_context);
    yd_arena_fini(&all->arena);
    yd_alloc_put(all->alloc, all, sizeof *all + all->count * sizeof all->filters[0]);
}

uint32_t yd__filters_group_keys(const struct yd__filters *filters, const uint32_t **ret_keys)
{
    *ret_keys = filters->group_keys;
    return filters->group_count;
}

/* ---- one value ---- */

static inline char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool same(const char *a, const char *b, size_t size, bool fold)
{
    if (!fold) return memcmp(a, b, size) == 0;
    for (size_t i = 0; i < size; i++)
        if (lower(a[i]) != lower(b[i])) return false;
    return true;
}

/* Cuts the next value off a list joined by "|". */
static bool next_word(struct yd_str *rest, struct yd_str *ret)
{
    if (!rest->data) return false;
    const char *bar = memchr(rest->data, '|', rest->size);
    *ret = (struct yd_str){rest->data, bar ? (size_t)(bar - rest->data) : rest->size};
    *rest = bar ? (struct yd_str){bar + 1, rest->size - ret->size - 1} : (struct yd_str){NULL, 0};
    return true;
}

static bool in_list(struct yd_str list, struct yd_str value, bool fold)
{
    struct yd_str word;
    while (next_word(&list, &word))
        if (word.size == value.size && same(word.data, value.data, value.size, fold)) return true;
    return false;
}

/* Where `part` stands in text from `from` on; SIZE_MAX. */
static size_t find(struct yd_str text, size_t from, struct yd_str part, bool fold)
{
    for (; from + part.size <= text.size; from++)
        if (same(text.data + from, part.data, part.size, fold)) return from;
    return SIZE_MAX;
}

/* The pieces between stars, in order: the first at the start, the last at the end, the others each as early as can be.
 */
static bool wildcard(struct yd_str pattern, struct yd_str text, bool fold)
{
    size_t at = 0, from = 0;
    const char *star;
    while ((star = memchr(pattern.data + from, '*', pattern.size - from))) {
        struct yd_str part = {pattern.data + from, (size_t)(star - pattern.data) - from};
        size_t found = find(text, at, part, fold);
        if (found == SIZE_MAX || (from == 0 && found != 0)) return false;
        at = found + part.size;
        from = (size_t)(star - pattern.data) + 1;
    }
    struct yd_str tail = {pattern.data + from, pattern.size - from};
    if (from == 0) return tail.size == text.size && same(tail.data, text.data, text.size, fold);
    return text.size - at >= tail.size && same(text.data + text.size - tail.size, tail.data, tail.size, fold);
}

static int judge(const struct yd__filters *all, const struct filter *filter, struct yd_str value,
                 struct yd_trail *trail)
{
    switch (filter->type) {
    case YD_FILTER_LITERAL_OR:
        return in_list(filter->expression, value, false);
    case YD_FILTER_ILITERAL_OR:
        return in_list(filter->expression, value, true);
    case YD_FILTER_NOT_LITERAL_OR:
        return !in_list(filter->expression, value, false);
    case YD_FILTER_NOT_ILITERAL_OR:
        return !in_list(filter->expression, value, true);
    case YD_FILTER_WILDCARD:
        return wildcard(filter->expression, value, false);
    case YD_FILTER_IWILDCARD:
        return wildcard(filter->expression, value, true);
    case YD_FILTER_REGEXP:
    case YD_FILTER_NOT_REGEXP:
        break;
    case YD_FILTER_NOT_KEY:
        return 0;
    case YD_FILTER_NODES: {
        size_t end;
        return yd__nodes_match(filter->nodes, value, &end) && end == value.size;
    }
    }
    int inverted = filter->type == YD_FILTER_NOT_REGEXP;
    int r = pcre2_match(filter->code, (PCRE2_SPTR)value.data, value.size, 0, 0, all->match_data, all->match_context);
    if (r >= 0) return !inverted;
    if (r == PCRE2_ERROR_NOMATCH) return inverted;
    if (r == PCRE2_ERROR_NOMEMORY) return YD_ENOMEM;
    if (r <= PCRE2_ERROR_UTF8_ERR1 && r >= PCRE2_ERROR_UTF8_ERR21) return inverted; /* a value that is not text */
    return yd_trail_add(trail, YD_ETOOBIG, "regular expression '%.*s' needs too many steps on '%.*s': simplify it",
                        YD_STR_FMT(filter->expression), YD_STR_FMT(value));
}

/* of: a pair with the filter's key, or a metric. */
static int verdict(const struct yd__filters *all, struct filter *filter, const struct yd__index *index, uint32_t of,
                   struct yd_trail *trail)
{
    uint32_t ordinal = filter->of_metric ? of : index->pairs[of].ordinal;
    if (ordinal >= filter->verdict_room) {
        uint32_t known = filter->of_metric ? index->metrics.count : index->key_pairs[filter->key].count;
        uint32_t room = YD_MAX(known, ordinal + 1);
        uint8_t *verdicts = yd_alloc_resize(all->alloc, filter->verdicts, filter->verdict_room, room);
        if (!verdicts) return YD_ENOMEM;
        memset(verdicts + filter->verdict_room, UNSEEN, room - filter->verdict_room);
        filter->verdicts = verdicts;
        filter->verdict_room = room;
    }
    if (filter->verdicts[ordinal] == UNSEEN) {
        struct yd_str value = filter->of_metric ? index->metrics.strings[of] : yd__pair_value(index, of);
        int r = judge(all, filter, value, trail);
        if (r < 0) return r;
        filter->verdicts[ordinal] = r ? YES : NO;
    }
    return filter->verdicts[ordinal] == YES;
}

static bool keys_are_exactly(const struct yd__filters *all, const struct yd__index *index,
                             const struct yd__label *label)
{
    if (label->tag_count != all->key_count) return false;
    for (uint32_t i = 0; i < all->key_count; i++)
        if (all->keys[i] == YD__NONE || yd__label_pair(index, label, all->keys[i]) == YD__NONE) return false;
    return true;
}

int yd__filters_match(struct yd__filters *all, const struct yd_history *history, const struct yd__label *label,
                      struct yd_trail *trail)
{
    const struct yd__index *index = &history->index;
    for (uint32_t i = 0; i < all->count; i++) {
        struct filter *filter = &all->filters[i];
        uint32_t of = filter->of_metric         ? label->metric
                      : filter->key == YD__NONE ? YD__NONE
                                                : yd__label_pair(index, label, filter->key);
        int r = of == YD__NONE ? is_not(filter->type) : verdict(all, filter, index, of, trail);
        if (r <= 0) return r;
    }
    return !all->explicit_tags || keys_are_exactly(all, index, label);
}

/* ---- candidates ---- */

/* A filter is tried on all values of its key beforehand when they are few; and what it leaves is listed when that is
 * little. Both bound what a start may take to about a millisecond. */
#define JUDGED_MAX   32768
#define REGEXPS_MAX  8192
#define NARROW_MAX   16384
#define LITERALS_MAX 64 /* of a list, looked up one by one */

/* How many series the filter leaves, of all metrics; UINT64_MAX when that costs too much to know, or is over `most`. */
static int weigh(struct yd__filters *all, struct filter *filter, const struct yd__index *index, uint64_t most,
                 uint64_t *ret_count, struct yd_trail *trail)
{
    *ret_count = UINT64_MAX;
    if (is_not(filter->type)) return YD_OK;
    uint64_t count = 0;
    if (filter->of_metric) {
        uint32_t judged_max = filter->type == YD_FILTER_REGEXP ? REGEXPS_MAX : JUDGED_MAX;
        if (index->metrics.count > judged_max) return YD_OK;
        for (uint32_t i = 0; i < index->metrics.count && i < index->metric_room && count <= most; i++) {
            int r = verdict(all, filter, index, i, trail);
            if (r < 0) return r;
            if (r) count += index->metric_series[i].count;
        }
    }
    if (filter->key != YD__NONE) {
        const struct yd__posting *pairs = &index->key_pairs[filter->key];
        uint32_t judged_max = filter->type == YD_FILTER_REGEXP ? REGEXPS_MAX : JUDGED_MAX;
        if (pairs->count > judged_max || pairs->count > most) return YD_OK;
        for (uint32_t i = 0; i < pairs->count && count <= most; i++) {
            int r = verdict(all, filter, index, pairs->ids[i], trail);
            if (r < 0) return r;
            if (r) count += index->pairs[pairs->ids[i]].series.count;
        }
    }
    if (count <= most) *ret_count = count;
    return YD_OK;
}

/* A few literals among very many values: found without looking at the others. The pairs there are, each once;
 * UINT32_MAX: not that kind of filter. */
static uint32_t literals(const struct filter *filter, const struct yd__index *index, uint32_t pairs[LITERALS_MAX],
                         uint64_t *ret_series)
{
    uint32_t count = 0;
    struct yd_str rest = filter->expression, word;
    *ret_series = 0;
    if (filter->type != YD_FILTER_LITERAL_OR || filter->key == YD__NONE) return UINT32_MAX;
    while (next_word(&rest, &word)) {
        uint32_t value = yd_intern_find(&index->values, word), i = 0;
        uint32_t pair = value == YD_INTERN_NONE ? YD__NONE : yd__index_pair(index, filter->key, value);
        if (pair == YD__NONE) continue;
        while (i < count && pairs[i] != pair) i++;
        if (i < count) continue;
        if (count == LITERALS_MAX) return UINT32_MAX;
        pairs[count++] = pair;
        *ret_series += index->pairs[pair].series.count;
    }
    return count;
}

static int by_id(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void list_one(struct yd__candidates *candidates, const struct yd__posting *list, uint32_t *lists)
{
    if (!list->count) return;
    memcpy(candidates->ids + candidates->count, list->ids, list->count * sizeof *candidates->ids);
    candidates->count += list->count;
    ++*lists;
}

static int list_metrics(struct yd__candidates *candidates, const struct yd__index *index, const uint8_t *verdicts,
                        uint64_t count)
{
    candidates->narrowed = true;
    candidates->count = 0;
    if (!count) return YD_OK;
    candidates->ids = yd_alloc_get(candidates->alloc, count * sizeof *candidates->ids);
    if (!candidates->ids) return YD_ENOMEM;
    uint32_t lists = 0;
    for (uint32_t i = 0; i < index->metrics.count && i < index->metric_room; i++)
        if (verdicts[i] == YES) list_one(candidates, &index->metric_series[i], &lists);
    if (lists > 1) qsort(candidates->ids, candidates->count, sizeof *candidates->ids, by_id);
    return YD_OK;
}

static int list_pairs(struct yd__candidates *candidates, const struct yd__index *index, const uint32_t *pairs,
                      uint32_t pair_count, const uint8_t *verdicts, uint64_t count)
{
    candidates->narrowed = true;
    candidates->count = 0;
    if (!count) return YD_OK;
    candidates->ids = yd_alloc_get(candidates->alloc, count * sizeof *candidates->ids);
    if (!candidates->ids) return YD_ENOMEM;
    candidates->room = (uint32_t)count;
    uint32_t lists = 0;
    for (uint32_t i = 0; i < pair_count; i++) {
        const struct yd__pair *pair = &index->pairs[pairs[i]];
        if (verdicts && verdicts[pair->ordinal] != YES) continue;
        list_one(candidates, &pair->series, &lists);
    }
    if (lists > 1) qsort(candidates->ids, candidates->count, sizeof *candidates->ids, by_id);
    return YD_OK;
}

int yd__candidates_open(struct yd__candidates *candidates, const struct yd_history *history, uint32_t metric,
                        struct yd__filters *filters, struct yd_trail *trail)
{
    const struct yd__index *index = &history->index;
    uint64_t all = metric == YD__NONE ? history->live : index->metric_series[metric].count, best = UINT64_MAX;
    struct filter *choice = NULL;
    *candidates = (struct yd__candidates){.metric = metric, .alloc = filters->alloc};
    for (uint32_t i = 0; i < filters->count; i++) {
        struct filter *filter = &filters->filters[i];
        uint32_t pairs[LITERALS_MAX], pair_count;
        uint64_t count;
        pair_count = literals(filter, index, pairs, &count);
        if (pair_count != UINT32_MAX && count <= all / 2 && (pair_count <= 1 || count <= NARROW_MAX)) /* good enough */
            return list_pairs(candidates, index, pairs, pair_count, NULL, count);
        int error = weigh(filters, filter, index, YD_MAX(all / 2, 64), &count, trail);
        if (error) return error;
        if (count < best) {
            best = count;
            choice = filter;
        }
    }
    if (!choice || best > NARROW_MAX) return YD_OK;
    if (choice->of_metric) return list_metrics(candidates, index, choice->verdicts, best);
    const struct yd__posting none = {0};
    const struct yd__posting *pairs = choice->key == YD__NONE ? &none : &index->key_pairs[choice->key];
    return list_pairs(candidates, index, pairs->ids, pairs->count, choice->verdicts, best);
}

int yd__candidates_of(struct yd__candidates *candidates, const struct yd_history *history, const uint64_t *tsuids,
                      size_t count, bool one_metric, uint64_t *ret_unknown, struct yd_trail *trail)
{
    struct yd_alloc *alloc = history->options.alloc;
    *ret_unknown = 0;
    *candidates = (struct yd__candidates){.metric = YD__NONE, .alloc = alloc, .narrowed = true};
    if (!count) return YD_OK;
    uint32_t *ids = yd_alloc_get(alloc, count * sizeof *ids), kept = 0;
    if (!ids) return YD_ENOMEM;
    candidates->ids = ids;
    candidates->room = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        uint32_t id = yd__index_find_hash(history, tsuids[i]);
        if (id == YD__NONE) {
            *ret_unknown = tsuids[i];
            continue;
        }
        uint32_t metric = yd__series_at(history, id)->label->metric;
        if (one_metric && candidates->count && metric != candidates->metric) {
            yd__candidates_close(candidates);
            return yd_trail_add(trail, YD_EINVAL, "One or more time series IDs had a different metric");
        }
        if (one_metric) candidates->metric = metric;
        ids[candidates->count++] = id;
    }
    qsort(ids, candidates->count, sizeof *ids, by_id);
    for (uint32_t i = 0; i < candidates->count; i++)
        if (!i || ids[i] != ids[i - 1]) ids[kept++] = ids[i];
    candidates->count = kept;
    return YD_OK;
}

void yd__candidates_close(struct yd__candidates *candidates)
{
    if (candidates->ids) yd_alloc_put(candidates->alloc, candidates->ids, candidates->room * sizeof *candidates->ids);
    candidates->ids = NULL;
}

static uint32_t lower_bound(const uint32_t *ids, uint32_t count, uint32_t id)
{
    uint32_t low = 0;
    while (low < count) {
        uint32_t middle = low + (count - low) / 2;
        if (ids[middle] < id)
            low = middle + 1;
        else
            count = middle;
    }
    return low;
}

uint32_t yd__candidates_next(struct yd__candidates *candidates, const struct yd_history *history, uint32_t *ids,
                             uint32_t room)
{
    const struct yd__index *index = &history->index;
    uint32_t found = 0;
    if (candidates->metric == YD__NONE && !candidates->narrowed) {
        for (; candidates->next < history->id_count && found < room; candidates->next++)
            if (yd__series_get(history, candidates->next)) ids[found++] = candidates->next;
        return found;
    }
    const struct yd__posting own = {candidates->ids, candidates->count, candidates->room};
    const struct yd__posting *list = candidates->narrowed ? &own : &index->metric_series[candidates->metric];
    const uint32_t ahead = 12; /* heads, then labels, are on their way when their turn comes */
    uint32_t at = lower_bound(list->ids, list->count, candidates->next);
    for (; at < list->count && found < room; at++) {
        if (at + ahead < list->count && history->pages[list->ids[at + ahead] / YD__PAGE])
            __builtin_prefetch(yd__series_at(history, list->ids[at + ahead]));
        if (at + ahead / 2 < list->count) {
            const struct yd__series *later = yd__series_get(history, list->ids[at + ahead / 2]);
            if (later) __builtin_prefetch(later->label);
        }
        const struct yd__series *series = yd__series_get(history, list->ids[at]);
        candidates->next = list->ids[at] + 1;
        if (!series || (candidates->metric != YD__NONE && series->label->metric != candidates->metric)) continue;
        ids[found++] = list->ids[at];
    }
    return found;
}
