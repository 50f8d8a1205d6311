/* A query: series are chosen and grouped, each is made a line, the lines of a group are aggregated, the answer goes out
 * as batches. It is a machine of phases, so that a step can end anywhere after about a millisecond:
 *
 *   SELECT ─► GROUP ─► READ (one line per series) ─► [READ again] ─► EMIT ─► GROUP of the next … ─► DONE
 *
 * How a group's lines come together (`way`):
 *   ONE    a single series: its line is the answer
 *   GRID   downsampled: a cell per bucket, each line adds to the cells between its first and last point
 *   UNION  not downsampled: a first reading finds the times at which any series has a point, a second one adds, as
 * above
 *
 * Memory: a line, the cells, and all values of each cell for aggregators that need them (median, percentiles): each
 * bounded by points_max. What can fail: limits, memory, and a group's series going away, which is no failure. */
#include <math.h>
#include <stdlib.h>

#include "store/filter.h"
#include "store/keeper.h"
#include "store/line.h"
#include "store/notes.h"

#define SLICE_UNITS 200000 /* of about 5 ns */
#define COST_CHUNK  60
#define COST_SERIES 60
#define COST_MATCH  40

#define SERIES_MAX 1000000
#define POINTS_MAX 10000000
#define EDGES_MAX  100000
#define READ_MAX   (UINT64_C(1) << 30)
#define HOUR       (3600 * YD_NS_PER_S)
#define TIME_LIMIT (INT64_MAX - INT64_MAX / 64) /* leaves room for buckets and hours around */

enum phase { SELECT, GROUP, READ, EMIT, DONE };
enum way { ONE, GRID, UNION_TIMES, UNION_CELLS };

struct yd_query_run {
    struct yd_history *history;
    struct yd_alloc *alloc;
    struct yd__line_plan plan;
    const struct yd__aggregator *aggregator;
    bool each; /* aggregator none: every series its own group */
    bool seconds, show_tsuids, show_notes;
    uint32_t index;
    int64_t *edges;
    size_t edge_count;
    uint64_t series_max, points_max, read_max;
    struct yd__filters *filters;
    struct yd__candidates candidates;
    enum phase phase;
    bool index_warm; /* has been seen to */
    uint32_t warm;   /* ids before it have been */
    uint64_t budget; /* units left of this step */
    int error;       /* sticks */

    /* chosen series, and the group of each; then by group */
    uint32_t *ids, *groups; /* once sorted, groups says of each id if it has joined */
    uint32_t id_count, id_room;
    uint32_t *starts; /* of each group in ids, and the end */
    uint32_t group_count;
    /* group keys → group */
    const uint32_t *keys;
    uint32_t key_count;
    uint32_t *group_keys; /* key_count pairs a group */
    uint32_t group_room;
    uint32_t *group_slots; /* group + 1 */
    uint32_t slot_count;

    /* the group at work */
    uint32_t group, at; /* at: in ids */
    bool reading;       /* line is open for ids[at] */
    enum way way;
    struct yd__line line;
    struct yd__cell *cells;
    uint64_t cell_count, cell_room;
    int64_t first;          /* GRID: time of cells[0] */
    int64_t *times, *spare; /* UNION: of the cells */
    uint64_t time_room, spare_room;
    double *matrix; /* width values a cell */
    uint64_t matrix_room;
    uint32_t width;
    uint64_t work;
    /* what the group's series have in common */
    uint32_t members;
    uint32_t metric;
    uint32_t common[YD_NAME_TAGS_MAX], common_count;
    uint32_t *differing, differing_count, differing_room;

    /* the answer */
    struct yd_builder *builder;
    uint64_t emitted; /* cells or points gone over */
    uint32_t listed;  /* in ids: members gone over */
    uint32_t noted;   /* annotations given out */
    bool headed;
    uint32_t name;
    char name_text[YD_NAME_SIZE_MAX + 1];
    size_t name_size;
};

/* ---- starting ---- */

static bool good_interval(int64_t interval)
{
    return interval == 0 || interval == INT64_MAX || (interval > 0 && interval <= INT64_MAX / 256);
}

static int64_t clamp(__int128 time)
{
    return time < -TIME_LIMIT ? -TIME_LIMIT : time > TIME_LIMIT ? TIME_LIMIT : (int64_t)time;
}

/* Whole hours around what is asked, the bucket of the end included. */
static void plan_range(struct yd__line_plan *plan)
{
    int64_t from = yd__floor(plan->start, YD_NS_PER_S), to = yd__floor(plan->end, YD_NS_PER_S);
    if (plan->reduce == YD__REDUCE_EDGES) {
        from = clamp(plan->edges[0]);
        to = clamp(plan->edges[plan->edge_count - 1]);
    } else if (plan->reduce == YD__REDUCE_BUCKETS) {
        from = yd__floor(from, plan->interval);
        to = clamp((__int128)yd__floor(to, plan->interval) + plan->interval);
    } else {
        to = clamp((__int128)to + YD_NS_PER_S);
    }
    plan->read_from = yd__floor(from, HOUR);
    plan->read_to = clamp((__int128)yd__floor(to - 1, HOUR) + HOUR) - 1;
}

static int copy_edges(struct yd_query_run *run, const struct yd_downsample *downsample, struct yd_trail *trail)
{
    size_t count = downsample->edge_count;
    bool good = count >= 2 && count <= EDGES_MAX;
    for (size_t i = 1; good && i < count; i++) good = downsample->edges[i - 1] < downsample->edges[i];
    if (!good) return yd_trail_add(trail, YD_EINVAL, "the edges of buckets must be 2 to %d rising times", EDGES_MAX);
    run->edges = yd_alloc_get(run->alloc, count * sizeof *run->edges);
    if (!run->edges) return YD_ENOMEM;
    run->edge_count = count;
    memcpy(run->edges, downsample->edges, count * sizeof *run->edges);
    run->plan.edges = run->edges;
    run->plan.edge_count = count;
    return YD_OK;
}

static int plan(struct yd_query_run *run, const struct yd_series_query *query, struct yd_trail *trail)
{
    struct yd__line_plan *plan = &run->plan;
    const struct yd__aggregator *down = yd__aggregator(query->downsample.aggregator);
    int64_t interval = query->downsample.interval_ns;
    run->aggregator = yd__aggregator(query->aggregator);
    if (!run->aggregator || !down) return yd_trail_add(trail, YD_EINVAL, "no such aggregator");
    if (query->start_ns > query->end_ns) return yd_trail_add(trail, YD_EINVAL, "the start is after the end");
    if (!good_interval(interval)) return yd_trail_add(trail, YD_EINVAL, "downsampling interval out of range");
    run->each = query->none || run->aggregator->op == YD__OP_NONE;
    run->seconds = !query->milliseconds;
    plan->start = clamp(query->start_ns);
    plan->end = clamp(query->end_ns);
    plan->rate = query->rate;
    plan->rate_options = query->rate_options;
    if (query->downsample.edge_count) {
        int error = copy_edges(run, &query->downsample, trail);
        if (error) return error;
        plan->reduce = YD__REDUCE_EDGES;
        plan->reducer = down;
        plan->fill = query->downsample.fill != YD_FILL_NONE;
        plan->fill_value = query->downsample.fill == YD_FILL_ZERO ? 0 : NAN;
    } else if (interval == INT64_MAX) {
        plan->reduce = YD__REDUCE_ALL;
        plan->reducer = down;
    } else if (interval) {
        plan->reduce = YD__REDUCE_BUCKETS;
        plan->interval = run->seconds ? YD_MAX(interval, YD_NS_PER_S) : interval;
        plan->reducer = down;
        plan->fill = query->downsample.fill != YD_FILL_NONE;
        plan->fill_value = query->downsample.fill == YD_FILL_ZERO ? 0 : NAN;
    } else {
        uint32_t average = 0;
        (void)yd_aggregator_find(YD_STR("avg"), &average); /* it is there */
        plan->reduce = run->seconds ? YD__REDUCE_SECONDS : YD__REDUCE_NOT;
        plan->interval = YD_NS_PER_S;
        plan->reducer = yd__op_passes(run->aggregator->op) ? run->aggregator : yd__aggregator(average);
    }
    if (run->seconds) plan->start = yd__floor(plan->start, YD_NS_PER_S);
    plan_range(plan);
    plan->points_max = run->points_max;
    return YD_OK;
}

static int open_candidates(struct yd_query_run *run, const struct yd_series_query *query, uint32_t metric,
                           struct yd_trail *trail)
{
    uint64_t unknown;
    if (!query->tsuid_count) return yd__candidates_open(&run->candidates, run->history, metric, run->filters, trail);
    int error =
        yd__candidates_of(&run->candidates, run->history, query->tsuids, query->tsuid_count, true, &unknown, trail);
    if (error || !unknown) return error;
    return yd_trail_add(trail, YD_ENOENT, "No such unique ID for 'tsuids': '%016llX'", (unsigned long long)unknown);
}

int yd_query_start(struct yd_history *history, const struct yd_series_query *query, struct yd_query_run **ret_run,
                   struct yd_trail *trail)
{
    struct yd_alloc *alloc = history->options.alloc;
    uint32_t metric = YD__NONE;
    bool by_tsuid = query->tsuid_count != 0;
    if (query->any_metric && !query->none)
        return yd_trail_add(trail, YD_EINVAL, "several metrics are not aggregated: the aggregator is none");
    if (!by_tsuid && !query->any_metric) metric = yd_intern_find(&history->index.metrics, query->metric);
    if (!by_tsuid && !query->any_metric && metric == YD_INTERN_NONE)
        return yd_trail_add(trail, YD_ENOENT, "No such name for 'metrics': '%.*s'", YD_STR_FMT(query->metric));
    struct yd_query_run *run = yd_alloc_zero(alloc, sizeof *run);
    if (!run) return YD_ENOMEM;
    run->history = history;
    run->alloc = alloc;
    run->index = query->index;
    run->show_tsuids = query->show_tsuids;
    run->show_notes = query->show_notes;
    run->series_max = YD_MIN(query->series_max ? query->series_max : SERIES_MAX, (uint64_t)UINT32_MAX / 4);
    run->points_max = query->points_max ? query->points_max : POINTS_MAX;
    run->read_max = query->read_max ? query->read_max : READ_MAX;
    yd__line_init(&run->line, alloc, &run->plan);
    int error = plan(run, query, trail);
    if (!error)
        error = yd__filters_create(history, query->filters, by_tsuid ? 0 : query->filter_count,
                                   query->explicit_tags && !by_tsuid, &run->filters, trail);
    if (!error) error = open_candidates(run, query, metric, trail);
    if (!error) error = yd_builder_create(&(struct yd_builder_options){.alloc = alloc}, &run->builder);
    if (error) {
        yd_query_destroy(run);
        return error;
    }
    run->key_count = run->each ? 0 : yd__filters_group_keys(run->filters, &run->keys);
    *ret_run = run;
    return YD_OK;
}

void yd_query_destroy(struct yd_query_run *run)
{
    if (!run) return;
    struct yd_alloc *alloc = run->alloc;
    yd__candidates_close(&run->candidates);
    yd__filters_destroy(run->filters);
    yd_builder_destroy(run->builder);
    yd__line_fini(&run->line);
    yd_alloc_put(alloc, run->edges, run->edge_count * sizeof *run->edges);
    yd_alloc_put(alloc, run->ids, run->id_room * sizeof *run->ids);
    yd_alloc_put(alloc, run->groups, run->id_room * sizeof *run->groups);
    if (run->starts) yd_alloc_put(alloc, run->starts, ((size_t)run->group_count + 1) * sizeof *run->starts);
    yd_alloc_put(alloc, run->group_keys, (size_t)run->group_room * run->key_count * sizeof *run->group_keys);
    yd_alloc_put(alloc, run->group_slots, run->slot_count * sizeof *run->group_slots);
    yd_alloc_put(alloc, run->cells, run->cell_room * sizeof *run->cells);
    yd_alloc_put(alloc, run->times, run->time_room * sizeof *run->times);
    yd_alloc_put(alloc, run->spare, run->spare_room * sizeof *run->spare);
    yd_alloc_put(alloc, run->matrix, run->matrix_room * sizeof *run->matrix);
    yd_alloc_put(alloc, run->differing, run->differing_room * sizeof *run->differing);
    yd_alloc_put(alloc, run, sizeof *run);
}

static void spend(struct yd_query_run *run, uint64_t units)
{
    run->budget = run->budget > units ? run->budget - units : 0;
}

static int too_many_points(const struct yd_query_run *run, struct yd_trail *trail)
{
    return yd_trail_add(trail, YD_ETOOBIG,
                        "the query needs more than %llu points at once: downsample more coarsely, shorten the time "
                        "range, or choose fewer series",
                        (unsigned long long)run->points_max);
}

/* ---- choosing and grouping ---- */

static int grow_slots(struct yd_query_run *run)
{
    uint32_t count = run->slot_count ? run->slot_count * 2 : 64;
    uint32_t *slots = yd_alloc_zero(run->alloc, count * sizeof *slots);
    if (!slots) return YD_ENOMEM;
    for (uint32_t group = 0; group < run->group_count; group++) {
        const uint32_t *keys = run->group_keys + (size_t)group * run->key_count;
        uint32_t at = (uint32_t)yd_hash(keys, run->key_count * sizeof *keys) & (count - 1);
        while (slots[at]) at = (at + 1) & (count - 1);
        slots[at] = group + 1;
    }
    yd_alloc_put(run->alloc, run->group_slots, run->slot_count * sizeof *slots);
    run->group_slots = slots;
    run->slot_count = count;
    return YD_OK;
}

/* The group of a series: by its values of the keys to group by. */
static int group_of(struct yd_query_run *run, const struct yd__label *label, uint32_t *ret_group)
{
    uint32_t values[1000];
    if (run->each || !run->key_count) {
        *ret_group = run->each ? run->group_count++ : 0;
        if (!run->each) run->group_count = 1;
        return YD_OK;
    }
    for (uint32_t i = 0; i < run->key_count; i++)
        values[i] = run->keys[i] == YD__NONE ? YD__NONE : yd__label_pair(&run->history->index, label, run->keys[i]);
    size_t size = run->key_count * sizeof values[0];
    if ((run->group_count + 1) * 2 > run->slot_count) {
        int error = grow_slots(run);
        if (error) return error;
    }
    uint32_t at = (uint32_t)yd_hash(values, size) & (run->slot_count - 1);
    for (; run->group_slots[at]; at = (at + 1) & (run->slot_count - 1)) {
        uint32_t group = run->group_slots[at] - 1;
        if (memcmp(run->group_keys + (size_t)group * run->key_count, values, size) == 0) {
            *ret_group = group;
            return YD_OK;
        }
    }
    if (run->group_count == run->group_room) {
        uint32_t room = run->group_room ? run->group_room * 2 : 16;
        uint32_t *keys = yd_alloc_resize(run->alloc, run->group_keys, run->group_room * size, room * size);
        if (!keys) return YD_ENOMEM;
        run->group_keys = keys;
        run->group_room = room;
    }
    memcpy(run->group_keys + (size_t)run->group_count * run->key_count, values, size);
    *ret_group = run->group_count++;
    run->group_slots[at] = *ret_group + 1;
    return YD_OK;
}

static int reserve_ids(struct yd_query_run *run)
{
    if (run->id_count < run->id_room) return YD_OK;
    uint32_t room = run->id_room ? run->id_room * 2 : 256;
    uint32_t *ids = yd_alloc_get(run->alloc, room * sizeof *ids);
    uint32_t *groups = yd_alloc_get(run->alloc, room * sizeof *groups);
    if (!ids || !groups) {
        yd_alloc_put(run->alloc, ids, room * sizeof *ids);
        yd_alloc_put(run->alloc, groups, room * sizeof *groups);
        return YD_ENOMEM;
    }
    if (run->id_count) {
        memcpy(ids, run->ids, run->id_count * sizeof *ids);
        memcpy(groups, run->groups, run->id_count * sizeof *groups);
    }
    yd_alloc_put(run->alloc, run->ids, run->id_room * sizeof *ids);
    yd_alloc_put(run->alloc, run->groups, run->id_room * sizeof *groups);
    run->ids = ids;
    run->groups = groups;
    run->id_room = room;
    return YD_OK;
}

/* ids in order of their groups, each group's in order of coming. */
static int sort_by_group(struct yd_query_run *run)
{
    uint32_t *starts = yd_alloc_zero(run->alloc, ((size_t)run->group_count + 1) * sizeof *starts);
    if (!starts) return YD_ENOMEM;
    run->starts = starts;
    if (run->group_count <= 1 || run->each) {
        for (uint32_t group = 0; group <= run->group_count; group++)
            starts[group] = run->each ? group : group * run->id_count;
        return YD_OK;
    }
    uint32_t *sorted = yd_alloc_get(run->alloc, run->id_room * sizeof *sorted);
    if (!sorted) return YD_ENOMEM;
    for (uint32_t i = 0; i < run->id_count; i++) starts[run->groups[i] + 1]++;
    for (uint32_t group = 0; group < run->group_count; group++) starts[group + 1] += starts[group];
    for (uint32_t i = 0; i < run->id_count; i++) sorted[starts[run->groups[i]]++] = run->ids[i];
    /* Each start has moved to the next one's place: move them back. */
    memmove(starts + 1, starts, run->group_count * sizeof *starts);
    starts[0] = 0;
    yd_alloc_put(run->alloc, run->ids, run->id_room * sizeof *run->ids);
    run->ids = sorted;
    return YD_OK;
}

static int choose(struct yd_query_run *run, struct yd_trail *trail)
{
    struct yd_history *history = run->history;
    uint32_t ids[64], count;
    while (run->budget && (count = yd__candidates_next(&run->candidates, history, ids, YD_COUNT(ids)))) {
        spend(run, count * COST_MATCH);
        for (uint32_t i = 0; i < count; i++) {
            const struct yd__series *series = yd__series_at(history, ids[i]);
            if (!yd__series_may_have(history, series, run->plan.read_from, run->plan.read_to)) continue;
            int r = yd__filters_match(run->filters, history, series->label, trail);
            if (r < 0) return r;
            if (!r) continue;
            if (run->id_count >= run->series_max)
                return yd_trail_add(trail, YD_ETOOBIG, "the query matches more than %llu series: add or narrow filters",
                                    (unsigned long long)run->series_max);
            int error = reserve_ids(run);
            if (!error) error = group_of(run, series->label, &run->groups[run->id_count]);
            if (error) return error;
            run->ids[run->id_count++] = ids[i];
        }
    }
    if (!run->budget) return YD_OK;
    run->phase = GROUP;
    int error = sort_by_group(run);
    if (run->id_count) memset(run->groups, 0, run->id_count * sizeof *run->groups);
    return error;
}

/* ---- what a group has in common ---- */

static int differs(struct yd_query_run *run, uint32_t key)
{
    for (uint32_t i = 0; i < run->differing_count; i++)
        if (run->differing[i] == key) return YD_OK;
    if (run->differing_count == run->differing_room) {
        uint32_t room = run->differing_room ? run->differing_room * 2 : 16;
        uint32_t *keys =
            yd_alloc_resize(run->alloc, run->differing, run->differing_room * sizeof *keys, room * sizeof *keys);
        if (!keys) return YD_ENOMEM;
        run->differing = keys;
        run->differing_room = room;
    }
    run->differing[run->differing_count++] = key;
    return YD_OK;
}

static bool has_pair(const uint32_t *pairs, uint32_t count, uint32_t pair)
{
    for (uint32_t i = 0; i < count; i++)
        if (pairs[i] == pair) return true;
    return false;
}

static int join(struct yd_query_run *run, const struct yd__label *label)
{
    const struct yd__pair *pairs = run->history->index.pairs;
    if (run->members++ == 0) {
        run->metric = label->metric;
        run->common_count = label->tag_count;
        memcpy(run->common, label->pairs, label->tag_count * sizeof run->common[0]);
        return YD_OK;
    }
    int error = YD_OK;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < run->common_count && !error; i++) {
        if (has_pair(label->pairs, label->tag_count, run->common[i]))
            run->common[kept++] = run->common[i];
        else
            error = differs(run, pairs[run->common[i]].key);
    }
    if (error) return error;
    run->common_count = kept;
    for (uint32_t i = 0; i < label->tag_count && !error; i++)
        if (!has_pair(run->common, kept, label->pairs[i])) error = differs(run, pairs[label->pairs[i]].key);
    return error;
}

/* ---- a group ---- */

/* Cells from the first bucket that can be given out to the last; without filling, only where there is data at all. */
static bool grid(struct yd_query_run *run, uint64_t *ret_count)
{
    const struct yd__line_plan *plan = &run->plan;
    int64_t first = yd__floor(plan->start, plan->interval), last = yd__floor(plan->end, plan->interval);
    if (first < plan->start) first += plan->interval;
    if (!plan->fill) {
        const struct yd_history_counts *counts = &run->history->counts;
        first = YD_MAX(first, yd__floor(clamp(counts->time_min), plan->interval));
        last = YD_MIN(last, yd__floor(clamp(counts->time_max), plan->interval));
    }
    run->first = first;
    *ret_count = first > last ? 0 : (uint64_t)(((__int128)last - first) / plan->interval) + 1;
    return *ret_count <= run->points_max;
}

static int reserve_cells(struct yd_query_run *run, uint64_t count, uint32_t series, struct yd_trail *trail)
{
    if (count > run->points_max) return too_many_points(run, trail);
    if (count > run->cell_room) {
        yd_alloc_put(run->alloc, run->cells, run->cell_room * sizeof *run->cells);
        run->cell_room = 0;
        run->cells = yd_alloc_get(run->alloc, count * sizeof *run->cells);
        if (!run->cells) return YD_ENOMEM;
        run->cell_room = count;
    }
    if (count) memset(run->cells, 0, count * sizeof *run->cells);
    run->cell_count = count;
    run->width = 0;
    if (!yd__op_collects(run->aggregator->op) || !count) return YD_OK;
    if (series > run->points_max / count) return too_many_points(run, trail);
    run->width = series;
    if (count * series > run->matrix_room) {
        yd_alloc_put(run->alloc, run->matrix, run->matrix_room * sizeof *run->matrix);
        run->matrix_room = 0;
        run->matrix = yd_alloc_get(run->alloc, count * series * sizeof *run->matrix);
        if (!run->matrix) return YD_ENOMEM;
        run->matrix_room = count * series;
    }
    return YD_OK;
}

static int group_open(struct yd_query_run *run, struct yd_trail *trail)
{
    if (run->group == run->group_count) {
        run->phase = DONE;
        return YD_OK;
    }
    uint32_t series = run->starts[run->group + 1] - run->starts[run->group];
    uint64_t count = 0;
    run->at = run->listed = run->starts[run->group];
    run->reading = run->headed = false;
    run->members = run->common_count = run->differing_count = 0;
    run->emitted = run->cell_count = run->noted = 0;
    run->phase = READ;
    bool raw = run->plan.reduce == YD__REDUCE_NOT || run->plan.reduce == YD__REDUCE_SECONDS;
    run->plan.exact = raw && (series == 1 || run->plan.rate);
    if (series == 1) {
        run->way = ONE;
        if (run->plan.fill && run->plan.interval && !grid(run, &count)) return too_many_points(run, trail);
        return YD_OK;
    }
    if (run->plan.reduce == YD__REDUCE_BUCKETS && grid(run, &count)) {
        run->way = GRID;
        return reserve_cells(run, count, series, trail);
    }
    if (run->plan.fill && run->plan.interval) return too_many_points(run, trail);
    run->way = UNION_TIMES;
    return YD_OK;
}

/* The times of a line join those of the group. Mostly they are the same. */
static int unite(struct yd_query_run *run, uint64_t from, uint64_t end, struct yd_trail *trail)
{
    uint64_t count = end - from, have = run->cell_count, i = 0, j = 0, out = 0;
    spend(run, (have + count) / 2);
    if (count == 0) return YD_OK;
    const int64_t *line = run->line.times + from;
    if (count == have && memcmp(run->times, line, count * sizeof *line) == 0) return YD_OK;
    if (have + count > run->points_max) return too_many_points(run, trail);
    if (have + count > run->spare_room) {
        uint64_t room = (have + count) + (have + count) / 2;
        yd_alloc_put(run->alloc, run->spare, run->spare_room * sizeof *run->spare);
        run->spare_room = 0;
        run->spare = yd_alloc_get(run->alloc, room * sizeof *run->spare);
        if (!run->spare) return YD_ENOMEM;
        run->spare_room = room;
    }
    while (i < have || j < count) {
        int64_t a = i < have ? run->times[i] : INT64_MAX, b = j < count ? line[j] : INT64_MAX;
        run->spare[out++] = YD_MIN(a, b);
        i += a <= b;
        j += b <= a;
    }
    int64_t *times = run->times;
    uint64_t room = run->time_room;
    run->times = run->spare;
    run->time_room = run->spare_room;
    run->spare = times;
    run->spare_room = room;
    run->cell_count = out;
    return YD_OK;
}

static inline void cell_add(struct yd_query_run *run, uint64_t at, double value)
{
    struct yd__cell *cell = &run->cells[at];
    if (YD_UNLIKELY(run->width) && value == value) {
        if (cell->count < run->width) run->matrix[at * run->width + cell->count++] = value;
        return;
    }
    yd__cell_add(cell, run->aggregator->op, value);
}

static inline int64_t cell_time(const struct yd_query_run *run, uint64_t at)
{
    if (run->way != GRID) return run->times[at];
    return (int64_t)((uint64_t)run->first + at * (uint64_t)run->plan.interval); /* over more than 292 years, too */
}

/* The first cell at `time` or later. */
static uint64_t cell_find(const struct yd_query_run *run, int64_t time)
{
    uint64_t low = 0, high = run->cell_count;
    if (run->way == GRID) {
        if (time <= run->first) return 0;
        uint64_t steps =
            ((uint64_t)time - (uint64_t)run->first + (uint64_t)run->plan.interval - 1) / (uint64_t)run->plan.interval;
        return YD_MIN(steps, high);
    }
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (run->times[middle] < time)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* What stands between two points of a line, at `time`; false: nothing. */
static bool between(const struct yd_query_run *run, int64_t time, uint64_t before, double *ret)
{
    const struct yd__line *line = &run->line;
    uint8_t how = run->plan.rate ? YD__BETWEEN_PREVIOUS : run->aggregator->between;
    double y0 = yd__line_number(line, before);
    switch (how) {
    case YD__BETWEEN_ZERO:
        *ret = 0;
        return true;
    case YD__BETWEEN_PREVIOUS:
        *ret = y0;
        return true;
    case YD__BETWEEN_NOTHING:
        return false;
    default:
        break;
    }
    double y1 = yd__line_number(line, before + 1);
    double x = (double)((uint64_t)time - (uint64_t)line->times[before]);
    double width = (double)((uint64_t)line->times[before + 1] - (uint64_t)line->times[before]);
    *ret = y0 + x * (y1 - y0) / width;
    return true;
}

/* A complete line adds to the cells from its first point to its last. */
static void add_line(struct yd_query_run *run)
{
    const struct yd__line *line = &run->line;
    if (!line->count || !run->cell_count) return;
    uint64_t cell = cell_find(run, line->times[0]), point = 0;
    int64_t last = line->times[line->count - 1];
    spend(run, line->count);
    while (cell < run->cell_count) {
        int64_t time = cell_time(run, cell);
        if (time > last) return;
        while (point + 1 < line->count && line->times[point + 1] <= time) point++;
        if (line->times[point] == time) {
            cell_add(run, cell, yd__line_number(line, point));
            run->cells[cell].touched = true;
        } else {
            double value;
            if (between(run, time, point, &value)) cell_add(run, cell, value);
        }
        cell++;
        run->work++;
    }
}

/* The part of the line that lies within what is asked. */
static void line_range(const struct yd_query_run *run, uint64_t *ret_from, uint64_t *ret_end)
{
    const struct yd__line *line = &run->line;
    uint64_t from = 0, end = line->count;
    while (from < end && line->times[from] < run->plan.start) from++;
    while (end > from && line->times[end - 1] > run->plan.end) end--;
    *ret_from = from;
    *ret_end = end;
}

static int line_done(struct yd_query_run *run, const struct yd__series *series, struct yd_trail *trail)
{
    uint64_t from, end;
    int error = YD_OK;
    if (run->line.any && run->way != UNION_CELLS && series) {
        error = join(run, series->label);
        run->groups[run->at] = 1;
    }
    if (error) return error;
    switch (run->way) {
    case ONE:
        return YD_OK;
    case UNION_TIMES:
        line_range(run, &from, &end);
        error = unite(run, from, end, trail);
        return error;
    case GRID:
    case UNION_CELLS:
        break;
    }
    uint64_t before = run->work;
    add_line(run);
    spend(run, run->work - before);
    /* Series times distinct times: what OpenTSDB would silently work through. */
    if (run->work > run->read_max * 4)
        return yd_trail_add(trail, YD_ETOOBIG,
                            "the points of the query's series share too few times: downsample, or choose fewer series");
    return YD_OK;
}

static int read_group(struct yd_query_run *run, struct yd_trail *trail)
{
    uint32_t end = run->starts[run->group + 1];
    while (run->budget) {
        if (run->at == end) {
            if (run->way == UNION_TIMES) { /* once more, now that all times are known */
                int error = reserve_cells(run, run->cell_count, end - run->starts[run->group], trail);
                if (error) return error;
                run->way = UNION_CELLS;
                run->at = run->starts[run->group];
                continue;
            }
            run->phase = EMIT;
            return YD_OK;
        }
        const struct yd__series *series = yd__series_get(run->history, run->ids[run->at]);
        if (!run->reading) {
            yd__line_open(&run->line);
            run->reading = true;
            spend(run, COST_SERIES);
            if (run->at + 4 < end) {
                const struct yd__series *later = yd__series_get(run->history, run->ids[run->at + 4]);
                if (later) __builtin_prefetch(later->past);
            }
        }
        uint64_t before = run->line.read;
        int r = yd__line_step(&run->line, run->history, series);
        if (r == YD_ETOOBIG) return too_many_points(run, trail);
        if (r < 0) return r;
        spend(run, run->line.read - before + COST_CHUNK);
        if (run->line.read > run->read_max)
            return yd_trail_add(trail, YD_ETOOBIG,
                                "the query reads more than %llu points: shorten the time range or choose fewer series",
                                (unsigned long long)run->read_max);
        if (r) continue;
        r = line_done(run, series, trail);
        if (r < 0) return r;
        run->reading = false;
        run->at++;
    }
    return YD_OK;
}

/* ---- the answer ---- */

static int by_text(const void *a, const void *b)
{
    return yd_str_cmp(*(const struct yd_str *)a, *(const struct yd_str *)b);
}

/* The canonical name of what the group has in common. It is no longer than any member's. */
static int make_name(struct yd_query_run *run)
{
    const struct yd__index *index = &run->history->index;
    char text[2 * YD_NAME_SIZE_MAX + 2];
    struct yd_str metric = index->metrics.strings[run->metric];
    size_t size = yd_name_escape(metric, text);
    if (size > YD_NAME_SIZE_MAX) return YD_ETOOBIG;
    memcpy(run->name_text, text, size);
    for (uint32_t i = 0; i < run->common_count; i++) {
        const struct yd__pair *pair = &index->pairs[run->common[i]];
        struct yd_str parts[2] = {index->keys.strings[pair->key], index->values.strings[pair->value]};
        for (int k = 0; k < 2; k++) {
            run->name_text[size++] = k ? '=' : i ? ',' : ' ';
            size_t part = yd_name_escape(parts[k], text);
            if (size + part > YD_NAME_SIZE_MAX - 1) return YD_ETOOBIG;
            memcpy(run->name_text + size, text, part);
            size += part;
        }
    }
    run->name_size = size;
    return YD_OK;
}

static int put_head(struct yd_query_run *run)
{
    const struct yd__index *index = &run->history->index;
    struct yd_builder *builder = run->builder;
    struct yd_str *keys = yd_alloc_get(run->alloc, (run->differing_count + 1) * sizeof *keys);
    if (!keys) return YD_ENOMEM;
    for (uint32_t i = 0; i < run->differing_count; i++) keys[i] = index->keys.strings[run->differing[i]];
    qsort(keys, run->differing_count, sizeof *keys, by_text);
    struct yd_str none = {NULL, 0};
    int error = yd_builder_begin(builder, run->plan.start, run->name, YD_FACT, 0, YD_MAP);
    if (error >= 0) error = yd_builder_nest(builder, YD_STR("aggregateTags"), YD_LIST);
    for (uint32_t i = 0; i < run->differing_count && error >= 0; i++)
        error = yd_builder_cell_bytes(builder, none, YD_TEXT, keys[i]);
    if (error >= 0) error = yd_builder_end(builder);
    if (error >= 0) error = yd_builder_cell(builder, YD_STR("index"), YD_U64, (union yd_value){.u64 = run->index});
    if (error >= 0) error = yd_builder_end(builder);
    yd_alloc_put(run->alloc, keys, (run->differing_count + 1) * sizeof *keys);
    return error < 0 ? error : YD_OK;
}

/* The next point of the group; false: there is none. */
static bool next_point(struct yd_query_run *run, int64_t *ret_time, uint8_t *ret_type, union yd_value *ret_value)
{
    *ret_type = YD_F64;
    if (run->way == ONE) {
        struct yd__line *line = &run->line;
        while (run->emitted < line->count && line->times[run->emitted] < run->plan.start) run->emitted++;
        if (run->emitted >= line->count || line->times[run->emitted] > run->plan.end) return false;
        uint64_t at = run->emitted++;
        *ret_time = line->times[at];
        *ret_value = line->values[at];
        *ret_type = line->types[at];
        if (run->each || yd__op_passes(run->aggregator->op)) return true;
        struct yd__cell cell = {0};
        double value = yd__line_number(line, at);
        *ret_type = YD_F64;
        yd__cell_add(&cell, run->aggregator->op, value);
        ret_value->f64 = yd__cell_value(&cell, run->aggregator, &value);
        return true;
    }
    while (run->emitted < run->cell_count && !run->cells[run->emitted].touched) run->emitted++;
    if (run->emitted >= run->cell_count) return false;
    uint64_t at = run->emitted++;
    *ret_time = cell_time(run, at);
    ret_value->f64 =
        yd__cell_value(&run->cells[at], run->aggregator, run->width ? run->matrix + at * run->width : NULL);
    return true;
}

/* The tsuids of those that have joined. */
static int put_members(struct yd_query_run *run)
{
    uint32_t end = run->starts[run->group + 1];
    for (; run->show_tsuids && run->listed < end; run->listed++) {
        const struct yd__series *series = yd__series_get(run->history, run->ids[run->listed]);
        if (!series || !run->groups[run->listed]) continue;
        union yd_value tsuid = {.u64 = yd_history_tsuid(yd__label_name(series->label))};
        int error = yd_builder_add(run->builder, run->plan.start, run->name, YD_FACT, YD_U64, 0, tsuid);
        if (error < 0) return error;
        spend(run, 8);
    }
    return YD_OK;
}

/* The annotations of those that have joined. When a batch is full they are looked for again, behind those that went
 * out. */
static int put_notes(struct yd_query_run *run)
{
    struct yd_history *history = run->history;
    uint32_t from = run->starts[run->group], count, all = run->starts[run->group + 1] - from;
    struct yd__note **notes;
    if (!run->show_notes || !history->notes.count || run->noted == UINT32_MAX) return YD_OK;
    spend(run, all * (uint64_t)COST_MATCH);
    int error =
        yd__notes_of(history, run->ids + from, run->groups + from, all, run->plan.start, run->plan.end, &notes, &count);
    while (!error && run->noted < count) {
        struct yd_note note = yd__note_view(notes[run->noted]);
        unsigned given = YD_NOTE_END | YD_NOTE_DESCRIPTION | YD_NOTE_NOTES | YD_NOTE_CUSTOM;
        error = yd_note_put(run->builder, (struct yd_str){run->name_text, run->name_size}, &note, given);
        if (error >= 0) error = YD_OK;
        if (error == YD_ETOOBIG) error = YD_OK; /* more than a batch may be: not with its bounds */
        if (!error) run->noted++;
    }
    yd_alloc_put(run->alloc, notes, count * sizeof(*notes));
    if (!error) run->noted = UINT32_MAX; /* once a group */
    return error;
}

static int emit_group(struct yd_query_run *run)
{
    while (run->budget) {
        union yd_value value;
        int64_t time;
        uint8_t type;
        uint64_t before = run->emitted;
        bool more = next_point(run, &time, &type, &value);
        if (!more) {
            run->group++;
            run->phase = GROUP;
            return YD_OK;
        }
        int error = YD_OK;
        if (!run->headed) {
            error = make_name(run);
            if (error) return error;
        }
        /* The name's number is good for the batch under construction only. */
        if (!run->headed || yd_builder_count(run->builder) == 0)
            error = yd_builder_name(run->builder, (struct yd_str){run->name_text, run->name_size}, &run->name);
        if (error >= 0 && !run->headed) {
            error = put_head(run);
            run->headed = error >= 0;
        }
        if (error >= 0) error = put_members(run);
        if (error >= 0) error = put_notes(run);
        if (error >= 0) {
            if (run->seconds) time = yd__floor(time, YD_NS_PER_S);
            error = yd_builder_add(run->builder, time, run->name, YD_SAMPLE, (enum yd_type)type, 0, value);
        }
        if (error < 0) {
            run->emitted = before;
            return error; /* YD_EFULL: the batch goes out, and this point comes again */
        }
        spend(run, 8);
    }
    return YD_OK;
}

int yd_query_step(struct yd_query_run *run, struct yd_batch **ret_batch, struct yd_trail *trail)
{
    *ret_batch = NULL;
    run->budget = SLICE_UNITS;
    int error = run->error;
    while (!error && run->budget && run->phase != DONE) {
        switch (run->phase) {
        case SELECT:
            error = choose(run, trail);
            break;
        case GROUP:
            spend(run, COST_SERIES);
            error = group_open(run, trail);
            break;
        case READ:
            error = read_group(run, trail);
            break;
        case EMIT:
            error = emit_group(run);
            break;
        case DONE:
            break;
        }
    }
    if (error == YD_EFULL)
        error = yd_builder_seal(run->builder, ret_batch) < 0 ? YD_ENOMEM : YD_OK;
    else if (!error && run->phase == DONE && yd_builder_count(run->builder))
        error = yd_builder_seal(run->builder, ret_batch);
    run->error = error;
    if (error < 0) return error;
    return run->phase != DONE;
}

/* ---- what is not in memory ---- */

#define WARM_IDS 2048 /* series seen to at once */

/* Blocks the query may read of that are colder than that; the first `room` of them into `ret`. The keeper's thread
 * warms meanwhile: asked once more there may be fewer. */
static uint32_t colder(const struct yd_query_run *run, enum yd__warm than, struct yd__block **ret, uint32_t room)
{
    const struct yd_history *history = run->history;
    uint32_t count = 0;
    for (uint32_t i = 0; i < history->block_count; i++) {
        struct yd__block *block = history->blocks[i];
        if (block->head.time_max < run->plan.read_from || block->head.time_min > run->plan.read_to) continue;
        if (yd__block_warm(block) >= than) continue;
        if (count < room) ret[count] = block;
        count++;
    }
    return count;
}

/* NULL: nothing is colder than that. What cannot be had (memory) is read when it is met, by whoever meets it. */
static struct yd_warming *warming_of(struct yd_query_run *run, enum yd__warm than, const uint32_t *ids,
                                     uint32_t id_count)
{
    uint32_t room = colder(run, than, NULL, 0);
    struct yd_warming *warming = room ? yd_alloc_zero(run->alloc, sizeof *warming) : NULL;
    if (!warming) return NULL;
    *warming = (struct yd_warming){.alloc = run->alloc,
                                   .block_room = room,
                                   .id_count = id_count,
                                   .from = run->plan.read_from,
                                   .to = run->plan.read_to};
    warming->blocks = yd_alloc_get(run->alloc, room * sizeof *warming->blocks);
    if (id_count) warming->ids = yd_alloc_get(run->alloc, id_count * sizeof *ids);
    if (!warming->blocks || (id_count && !warming->ids)) {
        yd_warming_free(warming);
        return NULL;
    }
    warming->block_count = YD_MIN(colder(run, than, warming->blocks, room), room);
    if (id_count) memcpy(warming->ids, ids, id_count * sizeof *ids);
    return warming;
}

bool yd_query_is_cold(struct yd_query_run *run, struct yd_warming **ret_warming)
{
    *ret_warming = NULL;
    if (!run->index_warm) {
        run->index_warm = true;
        *ret_warming = warming_of(run, YD__WARM_INDEX, NULL, 0);
        return *ret_warming != NULL;
    }
    if (run->phase != READ && run->phase != GROUP) return false;
    uint32_t at = run->phase == READ              ? run->at
                  : run->group < run->group_count ? run->starts[run->group]
                                                  : run->id_count;
    if (at < run->warm || at >= run->id_count) return false;
    uint32_t ids = YD_MIN(run->id_count - at, WARM_IDS);
    run->warm = at + ids;
    *ret_warming = warming_of(run, YD__WARM, run->ids + at, ids);
    return *ret_warming != NULL;
}
