/* Lines; see line.h. Whatever comes out has rising times. */
#include <math.h>

#include "store/line.h"

void yd__line_init(struct yd__line *line, struct yd_alloc *alloc, const struct yd__line_plan *plan)
{
    *line = (struct yd__line){.alloc = alloc, .plan = plan};
}

static void release(struct yd__line *line)
{
    yd_alloc_put(line->alloc, line->times, line->room * sizeof *line->times);
    yd_alloc_put(line->alloc, line->values, line->room * sizeof *line->values);
    yd_alloc_put(line->alloc, line->types, line->room);
}

void yd__line_fini(struct yd__line *line)
{
    release(line);
    yd_alloc_put(line->alloc, line->collect, line->collect_room * sizeof *line->collect);
    *line = (struct yd__line){0};
}

void yd__line_open(struct yd__line *line)
{
    const struct yd__line_plan *plan = line->plan;
    line->count = 0;
    line->cursor = (struct yd__cursor){plan->read_from, plan->read_to, false};
    if (plan->reduce == YD__REDUCE_ALL) line->cursor = (struct yd__cursor){plan->start, plan->end, false};
    line->any = line->open = line->primed = false;
    /* Gaps are filled from one bucket before the first that can be given out: the rate wants a predecessor. */
    line->next_edge = 0;
    if (plan->reduce == YD__REDUCE_EDGES)
        line->filled = plan->edges[0];
    else if (plan->fill)
        line->filled = yd__floor(plan->start, plan->interval) - plan->interval;
}

static int reserve(struct yd__line *line, uint64_t more)
{
    if (line->count + more <= line->room) return YD_OK;
    if (line->count + more > line->plan->points_max) return YD_ETOOBIG;
    uint64_t room = YD_MAX(line->room * 2, line->count + more);
    struct yd__line fresh = *line;
    fresh.times = yd_alloc_get(line->alloc, room * sizeof *fresh.times);
    fresh.values = yd_alloc_get(line->alloc, room * sizeof *fresh.values);
    fresh.types = yd_alloc_get(line->alloc, room);
    fresh.room = room;
    if (!fresh.times || !fresh.values || !fresh.types) {
        release(&fresh);
        return YD_ENOMEM;
    }
    if (line->count) {
        memcpy(fresh.times, line->times, line->count * sizeof *line->times);
        memcpy(fresh.values, line->values, line->count * sizeof *line->values);
        memcpy(fresh.types, line->types, line->count);
    }
    release(line);
    *line = fresh;
    return YD_OK;
}

/* ---- rate ---- */

/* The difference of two points; of integers exactly. */
static double difference(uint8_t type, uint64_t bits, uint8_t before_type, uint64_t before_bits)
{
    if (type == before_type && type == YD_I64) return (double)((__int128)(int64_t)bits - (int64_t)before_bits);
    if (type == before_type && type == YD_U64)
        return bits >= before_bits ? (double)(bits - before_bits) : -(double)(before_bits - bits);
    return yd__number(type, bits) - yd__number(before_type, before_bits);
}

/* false: no rate here (the first point, or a reset that is dropped). */
static bool rate(struct yd__line *line, int64_t time, uint8_t type, uint64_t bits, double *ret)
{
    const struct yd_rate_options *options = &line->plan->rate_options;
    bool primed = line->primed;
    double seconds = (double)(uint64_t)((uint64_t)time - (uint64_t)line->before) / 1e9, change = 0;
    if (primed) change = difference(type, bits, line->before_type, line->before_bits);
    bool reset = options->counter && change < 0;
    if (reset && !options->drop_resets) {
        double max = options->counter_max != 0 ? options->counter_max : 0x1p63;
        change = max - yd__number(line->before_type, line->before_bits) + yd__number(type, bits);
    }
    line->primed = true;
    line->before = time;
    line->before_type = type;
    line->before_bits = bits;
    if (!primed || (reset && options->drop_resets)) return false;
    *ret = change / seconds;
    if (reset && options->reset_value > 0 && *ret > options->reset_value) *ret = 0;
    return true;
}

static int put(struct yd__line *line, int64_t time, uint8_t type, uint64_t bits)
{
    if (line->plan->rate) {
        double value;
        if (!rate(line, time, type, bits, &value)) return YD_OK;
        type = YD_F64;
        bits = yd__f64_bits(value);
    }
    if (YD_UNLIKELY(line->count == line->room)) {
        int error = reserve(line, 256);
        if (error) return error;
    }
    line->times[line->count] = time;
    line->values[line->count].bits = bits;
    line->types[line->count++] = type;
    return YD_OK;
}

/* ---- buckets ---- */

static int fill_to(struct yd__line *line, int64_t until)
{
    const struct yd__line_plan *plan = line->plan;
    int error = YD_OK;
    if (plan->reduce == YD__REDUCE_EDGES) {
        for (; !error && line->filled < until; line->filled = plan->edges[++line->next_edge])
            error = put(line, line->filled, YD_F64, yd__f64_bits(plan->fill_value));
        return error;
    }
    for (; !error && line->filled < until; line->filled += plan->interval)
        error = put(line, line->filled, YD_F64, yd__f64_bits(plan->fill_value));
    return error;
}

static int close_bucket(struct yd__line *line)
{
    const struct yd__line_plan *plan = line->plan;
    if (!line->open) return YD_OK;
    line->open = false;
    if (plan->fill) {
        if (line->bucket < line->filled) return YD_OK; /* before anything that can be given out */
        int error = fill_to(line, line->bucket);
        if (error) return error;
        if (plan->reduce == YD__REDUCE_EDGES)
            line->filled = plan->edges[++line->next_edge];
        else
            line->filled = line->bucket + plan->interval;
    }
    if (plan->exact && line->points == 1) return put(line, line->bucket, line->only_type, line->only_bits);
    double value = yd__cell_value(&line->cell, plan->reducer, line->collect);
    return put(line, line->bucket, YD_F64, yd__f64_bits(value));
}

static int collect(struct yd__line *line, const double *values, uint32_t count)
{
    uint64_t have = line->cell.count;
    if (have + count > line->collect_room) {
        if (have + count > line->plan->points_max) return YD_ETOOBIG;
        uint64_t room = YD_MAX(line->collect_room * 2, have + count);
        double *grown =
            yd_alloc_resize(line->alloc, line->collect, line->collect_room * sizeof *grown, room * sizeof *grown);
        if (!grown) return YD_ENOMEM;
        line->collect = grown;
        line->collect_room = room;
    }
    for (uint32_t i = 0; i < count; i++)
        if (values[i] == values[i]) line->collect[line->cell.count++] = values[i];
    return YD_OK;
}

/* The same among edges; outside of them it starts at INT64_MIN. */
static int64_t edge_of(const struct yd__line_plan *plan, int64_t time, int64_t *ret_start)
{
    size_t low = 0, high = plan->edge_count;
    while (low < high) { /* the first one behind `time` */
        size_t middle = low + (high - low) / 2;
        if (plan->edges[middle] <= time)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_start = low == 0 || low == plan->edge_count ? INT64_MIN : plan->edges[low - 1];
    return low == plan->edge_count ? INT64_MAX : plan->edges[low];
}

/* The end (not included) of the bucket that holds `time`, and its start. */
static int64_t bucket_of(const struct yd__line_plan *plan, int64_t time, int64_t *ret_start)
{
    int64_t end;
    if (plan->reduce == YD__REDUCE_EDGES) return edge_of(plan, time, ret_start);
    if (plan->reduce == YD__REDUCE_ALL) {
        *ret_start = plan->start;
        return INT64_MAX;
    }
    *ret_start = yd__floor(time, plan->interval);
    return __builtin_add_overflow(*ret_start, plan->interval, &end) ? INT64_MAX : end;
}

/* The first of `count` times, from `from` + 1 on, that is `end` or later. Mostly they are evenly apart, and a guess is
 * right. */
static uint32_t bucket_end(const int64_t *times, uint32_t from, uint32_t count, int64_t end)
{
    uint32_t i = from + 1;
    if (times[count - 1] < end) return count;
    if (count - from > 8) {
        uint64_t step = (uint64_t)times[i] - (uint64_t)times[from], room = (uint64_t)end - (uint64_t)times[from];
        uint64_t guess = from + (room + step - 1) / step;
        if (guess > from && guess < count && times[guess - 1] < end && times[guess] >= end) return (uint32_t)guess;
    }
    while (times[i] < end) i++;
    return i;
}

static int reduce(struct yd__line *line, const int64_t *times, const double *values, uint32_t count)
{
    const struct yd__line_plan *plan = line->plan;
    for (uint32_t i = 0; i < count;) {
        int64_t start, end = bucket_of(plan, times[i], &start);
        uint32_t from = i;
        i = bucket_end(times, from, count, end);
        if (plan->reduce == YD__REDUCE_EDGES && start == INT64_MIN) continue; /* in no bucket */
        if (!line->open || line->bucket != start) {
            int error = close_bucket(line);
            if (error) return error;
            line->open = true;
            line->bucket = start;
            line->points = 0;
            line->cell = (struct yd__cell){0};
        }
        line->points += i - from;
        if (yd__op_collects(plan->reducer->op)) {
            int error = collect(line, values + from, i - from);
            if (error) return error;
        } else {
            yd__cell_add_all(&line->cell, plan->reducer->op, values + from, i - from);
        }
    }
    return YD_OK;
}

/* Rows instead of the points they were made of. */
static int reduce_rows(struct yd__line *line, const struct yd__rows *rows)
{
    const struct yd__line_plan *plan = line->plan;
    for (uint32_t i = 0; i < rows->count; i++) {
        int64_t start;
        (void)bucket_of(plan, rows->times[i], &start);
        if (!line->open || line->bucket != start) {
            int error = close_bucket(line);
            if (error) return error;
            line->open = true;
            line->bucket = start;
            line->points = 0;
            line->cell = (struct yd__cell){0};
        }
        struct yd__cell *cell = &line->cell;
        line->points += (uint64_t)rows->counts[i];
        if (!rows->counts[i]) continue;
        switch (plan->reducer->op) {
        case YD__OP_MIN:
            if (!cell->count || rows->least[i] < cell->a) cell->a = rows->least[i];
            break;
        case YD__OP_MAX:
            if (!cell->count || rows->greatest[i] > cell->a) cell->a = rows->greatest[i];
            break;
        default: /* sum, average; of a count the cell's count */
            cell->a += rows->sums[i];
            break;
        }
        cell->count += (uint32_t)rows->counts[i];
    }
    return YD_OK;
}

/* The kind of rows that will do instead of points; YD__BLOCK_RAW: none. */
static unsigned rows_for(const struct yd__line_plan *plan)
{
    uint8_t op = plan->reducer ? plan->reducer->op : YD__OP_NONE;
    bool adds = op == YD__OP_SUM || op == YD__OP_AVG || op == YD__OP_MIN || op == YD__OP_MAX || op == YD__OP_COUNT;
    if (plan->reduce != YD__REDUCE_BUCKETS || plan->exact || !adds) return YD__BLOCK_RAW;
    return plan->interval % YD__HOUR == 0     ? YD__BLOCK_HOURS
           : plan->interval % YD__MINUTE == 0 ? YD__BLOCK_MINUTES
                                              : YD__BLOCK_RAW;
}

/* ---- steps ---- */

static int take_exact(struct yd__line *line, const struct yd__points *points)
{
    int error = YD_OK;
    for (uint32_t i = 0; i < points->count && !error; i++) {
        if (line->plan->reduce == YD__REDUCE_NOT) {
            error = put(line, points->times[i], points->types[i], points->bits[i]);
            continue;
        }
        double number = yd__number(points->types[i], points->bits[i]);
        error = reduce(line, &points->times[i], &number, 1);
        line->only_type = points->types[i];
        line->only_bits = points->bits[i];
    }
    return error;
}

/* Points as they are. */
static int take_run(struct yd__line *line, const int64_t *times, const double *values, uint32_t count)
{
    int error = YD_OK;
    if (!count) return YD_OK;
    if (line->plan->rate) {
        for (uint32_t i = 0; i < count && !error; i++) error = put(line, times[i], YD_F64, yd__f64_bits(values[i]));
        return error;
    }
    error = reserve(line, count);
    if (error) return error;
    memcpy(line->times + line->count, times, count * sizeof *times);
    memcpy(line->values + line->count, values, count * sizeof *values);
    memset(line->types + line->count, YD_F64, count);
    line->count += count;
    return YD_OK;
}

static bool whole_seconds(const int64_t *times, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (times[i] % YD_NS_PER_S) return false;
    return true;
}

static int take_numbers(struct yd__line *line, const struct yd__numbers *numbers)
{
    const int64_t *times = numbers->times;
    const double *values = numbers->values;
    uint32_t count = numbers->count;
    if (line->plan->reduce == YD__REDUCE_NOT) return take_run(line, times, values, count);
    if (line->plan->reduce != YD__REDUCE_SECONDS || !whole_seconds(times, count))
        return reduce(line, times, values, count);
    /* Nothing to collapse, but the first with what came before and the last with what comes after: those two go the
     * long way. */
    if (line->open) {
        int error = reduce(line, times++, values++, 1);
        if (error || --count == 0) return error;
    }
    int error = close_bucket(line);
    if (!error) error = take_run(line, times, values, count - 1);
    return error ? error : reduce(line, times + count - 1, values + count - 1, 1);
}

int yd__line_step(struct yd__line *line, struct yd_history *history, const struct yd__series *series)
{
    const struct yd__line_plan *plan = line->plan;
    int error;
    if (series && plan->exact) {
        struct yd__points *points = history->scratch[1];
        if (yd__series_exact(history, series, &line->cursor, points)) {
            line->read += points->count;
            line->any = true;
            error = take_exact(line, points);
            return error ? error : 1;
        }
    } else if (series && history->has_rows && rows_for(plan) != YD__BLOCK_RAW) {
        struct yd__numbers numbers;
        struct yd__rows rows;
        int what = yd__series_reduced(history, series, &line->cursor, rows_for(plan), &numbers, &rows);
        if (what) {
            line->read += what == 1 ? numbers.count : rows.count;
            line->any = true;
            error = what == 1 ? take_numbers(line, &numbers) : reduce_rows(line, &rows);
            return error ? error : 1;
        }
    } else if (series) {
        struct yd__numbers numbers;
        if (yd__series_numbers(history, series, &line->cursor, &numbers)) {
            line->read += numbers.count;
            line->any = true;
            error = take_numbers(line, &numbers);
            return error ? error : 1;
        }
    }
    error = close_bucket(line);
    if (error || !plan->fill || !line->any) return error;
    if (plan->reduce == YD__REDUCE_EDGES) return fill_to(line, plan->edges[plan->edge_count - 1]);
    /* One bucket beyond the last that can be given out: what stands between points reaches to there. */
    return fill_to(line, yd__floor(plan->end, plan->interval) + 2 * plan->interval);
}
