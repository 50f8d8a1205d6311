/* Window: numbers by name and by the window of time they belong to, said once when the window is over.
 *
 *   record {name, time, value} --> series --> cell of [time / every] --> sums, points
 *                                                |
 *   clock past the window's end + grace --------> closed: its cells are said, one after the other, and gone
 *
 * Windows lie at multiples of `every` since 1970. A record counts in the window of its own time, however late it comes,
 * while that is open; after it, it is dropped and counted. Windows are closed by the time of the stream (clock.h)
 * before the batch at hand is counted: read again after a crash, the same stream fills and closes the same windows.
 * Only when nothing comes, a timer closes them. What can fail: memory (`memory`, `series`): the record is rejected by
 * reason. */
#include <yarder/element.h>
#include <yarder/name.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "elements/rows.h"
#include "elements/window.h"

enum { PORT_INPUT, PORT_OUTPUT, PORT_QUERY };
enum { TIMER_CLOSE = 1 };
enum { REASON_LATE, REASON_AHEAD, REASON_SERIES, REASON_MEMORY, REASON_VALUE, REASON_NAME };
#define WINDOWS_MAX  10000
#define SAID_AT_ONCE 8192 /* cells a turn */

static const enum yd_kind kinds[TABLES] = {YD_SAMPLE, YD_TALLY, YD_DELTA};

/* ---- parameters ---- */

static const char *const wrap_words[] = {"auto", "none", "32", "64", NULL};

static int stat_of(const struct yd_arg *word)
{
    for (int i = 0; word->type == YD_PARAM_TEXT && i < YD_STAT_COUNT; i++)
        if (yd_str_eq(word->text, yd_str_of(yd_stat_names[i]))) return i;
    return -1;
}

static bool percent_of(const struct yd_arg *arg, double *ret)
{
    if (arg->type != YD_PARAM_INT && arg->type != YD_PARAM_FLOAT) return false;
    *ret = arg->type == YD_PARAM_INT ? (double)arg->i64 : arg->f64;
    return *ret > 0 && *ret <= 100;
}

static int check(const struct yd_args *args, char *why, size_t why_size)
{
    const struct yd_arg *outputs = yd_args_find(args, "outputs"), *percentiles = yd_args_find(args, "percentiles");
    const char *wrong = NULL;
    double percent;
    for (size_t i = 0; outputs && i < outputs->list.count; i++)
        if (stat_of(&outputs->list.items[i]) < 0)
            wrong = "outputs: a list of n, min, max, sum, mean, median, variance, stddev";
    for (size_t i = 0; percentiles && i < percentiles->list.count; i++)
        if (!percent_of(&percentiles->list.items[i], &percent)) wrong = "percentiles: numbers above 0, up to 100";
    if (percentiles && percentiles->list.count > PERCENTILES_MAX) wrong = "percentiles: at most 16";
    if ((yd_args_int(args, "grace") + yd_args_int(args, "ahead")) / yd_args_int(args, "every") > WINDOWS_MAX)
        wrong = "grace and ahead are more than 10000 windows";
    if (!wrong) return 0;
    snprintf(why, why_size, "%s", wrong);
    return YD_EINVAL;
}

static void open_percentiles(struct yd__window *state, const struct yd_arg *list)
{
    for (size_t i = 0; list && i < list->list.count; i++) {
        char number[32], *name = state->percentiles[i].name;
        (void)percent_of(&list->list.items[i], &state->percentiles[i].percent);
        number[yd_text_put_f64(number, state->percentiles[i].percent)] = 0;
        number[SUFFIX_MAX - 2] = 0;
        name[0] = 'p';
        strcpy(name + 1, number);
        for (char *at = name; *at; at++)
            if (*at == '.') *at = '_'; /* a dot would be a level of the name */
        state->percentile_count++;
    }
}

static int open_window(struct yd_element *element, void *opaque)
{
    struct yd__window *state = opaque;
    const struct yd_args *args = yd_element_args(element);
    const struct yd_arg *outputs = yd_args_find(args, "outputs");
    state->every = yd_args_int(args, "every");
    state->grace = yd_args_int(args, "grace");
    state->ahead = yd_args_int(args, "ahead");
    state->per = yd_args_int(args, "per");
    state->memory_max = (uint64_t)yd_args_int(args, "memory");
    state->series_max = (uint64_t)yd_args_int(args, "series");
    state->at_end = yd_args_bool(args, "at_end");
    state->closed_upto = INT64_MIN;
    for (int i = 0; wrap_words[i]; i++)
        if (yd_str_eq(yd_args_text(args, "wrap"), yd_str_of(wrap_words[i]))) state->wrap = (enum yd_wrap)i;
    for (size_t i = 0; outputs && i < outputs->list.count; i++) state->stats |= 1u << stat_of(&outputs->list.items[i]);
    open_percentiles(state, yd_args_find(args, "percentiles"));
    for (int i = 0; i < TABLES; i++) yd_table_init(&state->tables[i], NULL, sizeof(struct series), 0);
    yd_buf_init(&state->cache, NULL);
    return yd_builder_create(NULL, &state->builder);
}

static void free_window(struct yd__window *state, struct window *window)
{
    for (uint32_t i = window->said; i < window->count; i++) {
        yd_sum_fini(&window->cells[i]->sum, NULL);
        free(window->cells[i]);
    }
    state->memory -= sizeof *window + window->capacity * sizeof(struct cell *);
    free(window->cells);
    free(window);
}

static void close_window(void *opaque)
{
    struct yd__window *state = opaque;
    for (uint32_t i = 0; i < state->window_count; i++) free_window(state, state->windows[i]);
    free(state->windows);
    for (int i = 0; i < TABLES; i++) yd_table_fini(&state->tables[i]);
    yd_buf_fini(&state->cache);
    yd_builder_destroy(state->builder);
}

/* ---- in ---- */

int64_t yd__window_start_of(const struct yd__window *state, int64_t time_ns)
{
    int64_t over = time_ns % state->every;
    return time_ns - (over < 0 ? over + state->every : over);
}

/* The window that begins there, opened when it is new. */
static int find_window(struct yd__window *state, int64_t start, struct window **ret_window)
{
    uint32_t at = state->window_count;
    while (at > 0 && state->windows[at - 1]->start > start) at--;
    if (at > 0 && state->windows[at - 1]->start == start) {
        *ret_window = state->windows[at - 1];
        return 0;
    }
    if (state->window_count == state->window_capacity) {
        uint32_t capacity = state->window_capacity ? state->window_capacity * 2 : 8;
        struct window **windows = realloc(state->windows, capacity * sizeof *windows);
        if (!windows) return YD_ENOMEM;
        state->windows = windows;
        state->window_capacity = capacity;
    }
    struct window *window = calloc(1, sizeof *window);
    if (!window) return YD_ENOMEM;
    window->start = start;
    memmove(state->windows + at + 1, state->windows + at, (state->window_count - at) * sizeof *state->windows);
    state->windows[at] = window;
    state->window_count++;
    state->memory += sizeof *window;
    *ret_window = window;
    return 0;
}

int yd__window_add_cell(struct yd__window *state, struct series *series, int64_t start, struct cell **ret_cell)
{
    struct window *window;
    if (state->memory + sizeof **ret_cell > state->memory_max) return YD_EFULL;
    int error = find_window(state, start, &window);
    if (error < 0) return error;
    if (window->count == window->capacity) {
        uint32_t capacity = window->capacity ? window->capacity * 2 : 16;
        struct cell **cells = realloc(window->cells, capacity * sizeof(struct cell *));
        if (!cells) return YD_ENOMEM;
        state->memory += (capacity - window->capacity) * sizeof(struct cell *);
        window->cells = cells;
        window->capacity = capacity;
    }
    struct cell *cell = calloc(1, sizeof *cell);
    if (!cell) return YD_ENOMEM;
    *cell = (struct cell){.series = series, .window = window, .next = series->cells};
    series->cells = cell;
    window->cells[window->count++] = cell;
    state->memory += sizeof *cell;
    *ret_cell = cell;
    return 0;
}

/* YD_ETOOBIG: its results could not be named; YD_EFULL; YD_ENOMEM. */
int yd__window_find_series(struct yd__window *state, int table, struct yd_str name, uint64_t hash,
                           struct series **ret_series)
{
    struct yd_table *in = &state->tables[table];
    struct series *series = yd_table_find(in, name, hash);
    if (!series) {
        uint64_t count = 0;
        for (int i = 0; i < TABLES; i++) count += state->tables[i].count;
        if (name.size > YD_NAME_SIZE_MAX - SUFFIX_MAX - 1) return YD_ETOOBIG;
        if (count >= state->series_max) return YD_EFULL;
        uint64_t before = in->bytes;
        int error = yd_table_add(in, name, hash, &series);
        if (error < 0) return error;
        state->memory += in->bytes - before;
    }
    *ret_series = series;
    return 0;
}

static void remove_series(struct yd__window *state, int table, struct series *series)
{
    uint64_t before = state->tables[table].bytes;
    yd_table_remove(&state->tables[table], series);
    state->memory -= before - state->tables[table].bytes;
}

bool yd__window_keeps_points(const struct yd__window *state, int table)
{
    return table == DELTAS || (table == SAMPLES && (state->percentile_count || state->stats & 1u << YD_STAT_MEDIAN));
}

static void refuse(struct yd_out *out, unsigned reason, const struct yd_view *view, const struct yd_record *record)
{
    yd_count_rejected(out, reason, 1, yd_view_name(view, record->name));
}

/* The series of a record, and its cell if it is the newest one of the series: the way of most records. */
static void take(struct yd__window *state, const struct yd_view *view, const struct yd_record *record, int table,
                 struct yd_out *out)
{
    struct series **cache = (struct series **)(void *)state->cache.data, *series;
    series = cache[(size_t)record->name * TABLES + (size_t)table];
    int64_t time = record->time_ns;
    int error = 0;
    if (time < INT64_MIN / 2 || time > INT64_MAX / 2 || time > state->clock.now + state->ahead) {
        refuse(out, REASON_AHEAD, view, record);
        return;
    }
    if (time < state->closed_upto) { /* its window has been said */
        yd_count_dropped(out, REASON_LATE, 1);
        return;
    }
    if (!series) {
        error = yd__window_find_series(state, table, yd_view_name(view, record->name), view->names[record->name].hash,
                                       &series);
        if (error < 0) {
            refuse(out,
                   error == YD_ETOOBIG ? REASON_NAME
                   : error == YD_EFULL ? REASON_SERIES
                                       : REASON_MEMORY,
                   view, record);
            return;
        }
        cache[(size_t)record->name * TABLES + (size_t)table] = series;
    }
    struct cell *cell = series->cells;
    while (cell && (time < cell->window->start || time - cell->window->start >= state->every)) cell = cell->next;
    if (!cell) error = yd__window_add_cell(state, series, yd__window_start_of(state, time), &cell);
    if (error < 0) {
        refuse(out, REASON_MEMORY, view, record);
        return;
    }
    union yd_value value = record->value, one = {.u64 = 1};
    bool counts = table == TALLIES && record->type == YD_NIL; /* a tally without a number is one */
    size_t grown, room = state->memory < state->memory_max ? state->memory_max - state->memory : 0;
    error = yd_sum_add(&cell->sum, time, counts ? YD_U64 : (enum yd_type)record->type, counts ? one : value,
                       yd__window_keeps_points(state, table), table == DELTAS, NULL, room, &grown);
    state->memory += grown;
    if (error < 0) refuse(out, error == YD_EINVAL ? REASON_VALUE : REASON_MEMORY, view, record);
}

/* ---- out ---- */

/* `metric.suffix tags`. */
static struct yd_str with_suffix(struct yd_str name, const char *suffix, char *to)
{
    size_t at = 0, size = strlen(suffix);
    while (at < name.size && name.data[at] != ' ') at += name.data[at] == '\\' ? 2 : 1;
    if (at > name.size) at = name.size;
    memcpy(to, name.data, at);
    to[at] = '.';
    memcpy(to + at + 1, suffix, size);
    memcpy(to + at + 1 + size, name.data + at, name.size - at);
    return (struct yd_str){to, name.size + size + 1};
}

static int emit_built(struct yd__window *state, struct yd_out *out)
{
    struct yd_batch *batch;
    int error = yd_builder_seal(state->builder, &batch);
    if (error == YD_EAGAIN) return 0;
    return error < 0 ? error : yd_emit(out, PORT_OUTPUT, batch);
}

static int add_once(struct yd__window *state, struct yd_str name, int64_t time, enum yd_kind kind, enum yd_type type,
                    uint16_t flags, union yd_value value)
{
    uint32_t index;
    int error = yd_builder_name(state->builder, name, &index);
    return error < 0 ? error : yd_builder_add(state->builder, time, index, kind, type, flags, value);
}

static int add_out(struct yd__window *state, struct yd_str name, int64_t time, enum yd_kind kind, enum yd_type type,
                   uint16_t flags, union yd_value value, struct yd_out *out)
{
    int error = add_once(state, name, time, kind, type, flags, value);
    if (error != YD_EFULL) return error;
    error = emit_built(state, out);
    return error < 0 ? error : add_once(state, name, time, kind, type, flags, value);
}

static int say_samples(struct yd__window *state, struct cell *cell, struct yd_out *out)
{
    char name[YD_NAME_SIZE_MAX + 1];
    enum yd_type type;
    union yd_value value;
    int error = 0;
    if (yd__window_keeps_points(state, SAMPLES)) yd_sum_sort(&cell->sum);
    for (int i = 0; i < YD_STAT_COUNT && error == 0; i++) {
        if (!(state->stats & 1u << i)) continue;
        yd_sum_stat(&cell->sum, (enum yd_summary)i, &type, &value);
        error = add_out(state, with_suffix(cell->series->head.name, yd_stat_names[i], name), cell->window->start,
                        YD_SAMPLE, type, 0, value, out);
    }
    for (unsigned i = 0; i < state->percentile_count && error == 0; i++) {
        yd_sum_percentile(&cell->sum, state->percentiles[i].percent, &type, &value);
        error = add_out(state, with_suffix(cell->series->head.name, state->percentiles[i].name, name),
                        cell->window->start, YD_SAMPLE, type, 0, value, out);
    }
    return error;
}

static int say(struct yd__window *state, struct cell *cell, int table, struct yd_out *out)
{
    char name[YD_NAME_SIZE_MAX + 1];
    enum yd_type type;
    union yd_value value;
    uint16_t flags;
    double rate;
    if (cell->sum.n == 0) return 0; /* what was to go in was refused */
    if (table == SAMPLES) return say_samples(state, cell, out);
    if (table == TALLIES) {
        yd_sum_stat(&cell->sum, YD_STAT_SUM, &type, &value);
        return add_out(state, cell->series->head.name, cell->window->start, YD_TALLY, type, 0, value, out);
    }
    if (!yd_sum_rate(&cell->sum, &cell->series->counter, state->wrap, &rate, &flags)) return 0;
    value.f64 = rate * (double)state->per;
    if (value.f64 > 1e308) value.f64 = 1e308;
    return add_out(state, with_suffix(cell->series->head.name, "rate", name), cell->window->start, YD_SAMPLE, YD_F64,
                   flags, value, out);
}

int yd__window_table_of(const struct yd__window *state, const struct series *series)
{
    for (int i = 0; i < TABLES; i++)
        if (series->head.index < state->tables[i].count && state->tables[i].items[series->head.index] == &series->head)
            return i;
    return SAMPLES;
}

static void free_cell(struct yd__window *state, struct cell *cell)
{
    struct series *series = cell->series;
    if (series) {
        struct cell **link = &series->cells;
        while (*link != cell) link = &(*link)->next;
        *link = cell->next;
        int table = yd__window_table_of(state, series);
        if (!series->cells && table != DELTAS) remove_series(state, table, series);
    }
    state->memory -= sizeof *cell + cell->sum.point_capacity * sizeof(struct yd_point);
    yd_sum_fini(&cell->sum, NULL);
    free(cell);
}

/* Counters that said nothing in a whole window: their next point begins anew. */
static void forget_counters(struct yd__window *state, int64_t start)
{
    struct yd_table *table = &state->tables[DELTAS];
    for (uint32_t i = table->count; i-- > 0;) {
        struct series *series = (struct series *)table->items[i];
        if (!series->cells && (!series->counter.known || series->counter.point.time_ns < start))
            remove_series(state, DELTAS, series);
    }
}

static bool has_closed(const struct yd__window *state)
{
    return state->window_count && state->windows[0]->start + state->every <= state->closed_upto;
}

/* Says closed windows, the oldest first, a good piece a turn; 1: there is more. */
static int say_closed(struct yd__window *state, struct yd_out *out)
{
    for (uint32_t said = 0; has_closed(state);) {
        struct window *window = state->windows[0];
        for (; window->said < window->count; window->said++) {
            if (said++ == SAID_AT_ONCE) {
                int error = emit_built(state, out);
                return error < 0 ? error : 1;
            }
            struct cell *cell = window->cells[window->said];
            int error = cell->series ? say(state, cell, yd__window_table_of(state, cell->series), out) : 0;
            if (error < 0) return error;
            free_cell(state, cell);
        }
        forget_counters(state, window->start);
        free_window(state, window);
        state->window_count--;
        memmove(state->windows, state->windows + 1, state->window_count * sizeof *state->windows);
    }
    return emit_built(state, out);
}

static void close_upto(struct yd__window *state, int64_t now)
{
    if (now < INT64_MIN / 2) return;
    int64_t upto = yd__window_start_of(state, now - state->grace);
    if (upto > state->closed_upto) state->closed_upto = upto;
}

/* ---- turns ---- */

static void arm(struct yd__window *state, struct yd_input *input, struct yd_out *out)
{
    if (!state->window_count) return;
    int64_t at = input->mono_ns, over = state->windows[0]->start + state->every + state->grace + YD_CLOCK_IDLE;
    if (!has_closed(state)) at = yd_clock_mono(&state->clock, over, input->mono_ns, input->wall_ns);
    if (state->armed && state->armed <= at) return;
    state->armed = at;
    yd_timer_at(out, TIMER_CLOSE, at);
}

static enum yd_turn_result failed(struct yd__window *state)
{
    yd_builder_abandon(state->builder);
    return YD_FAIL;
}

/* Forgotten names: what is in open windows goes with them, and whoever comes behind is told. */
static int forget(struct yd__window *state, const struct yd_view *view, uint32_t index, struct yd_pattern *pattern,
                  uint32_t of_kinds, struct yd_out *out)
{
    struct yd_str name = yd_view_name(view, view->records[index].name);
    for (int t = 0; t < TABLES; t++) {
        if (!(of_kinds & YD_KIND_BIT(kinds[t]))) continue;
        for (uint32_t i = state->tables[t].count; i-- > 0;) {
            struct series *series = (struct series *)state->tables[t].items[i];
            bool gone = pattern ? yd_pattern_match(pattern, series->head.name) : yd_str_eq(series->head.name, name);
            if (!gone) continue;
            for (struct cell *cell = series->cells; cell; cell = cell->next) cell->series = NULL;
            remove_series(state, t, series);
        }
    }
    if (state->cache.size) memset(state->cache.data, 0, state->cache.size);
    int error = yd_builder_copy(state->builder, view, index);
    if (error != YD_EFULL) return error;
    error = emit_built(state, out);
    return error < 0 ? error : yd_builder_copy(state->builder, view, index);
}

static int take_other(struct yd__window *state, const struct yd_view *view, uint32_t index, uint64_t *folded,
                      struct yd_out *out)
{
    struct yd_pattern *pattern;
    uint32_t of_kinds = 0;
    int tombstone = yd_tombstone_read(view, index, &pattern, &of_kinds);
    if (tombstone <= 0) {
        *folded += tombstone == 0;
        return tombstone;
    }
    int error = forget(state, view, index, pattern, of_kinds, out);
    yd_pattern_destroy(pattern);
    return error;
}

static enum yd_turn_result on_batch(struct yd__window *state, struct yd_input *input, struct yd_out *out)
{
    const struct yd_view *view = &input->batch->view;
    uint64_t folded = 0;
    int error = 0;
    if (!input->again) {
        yd_clock_batch(&state->clock, input);
        close_upto(state, state->clock.now);
    }
    int more = say_closed(state, out);
    if (more) return more < 0 ? failed(state) : YD_MORE;
    size_t size = (size_t)view->name_count * TABLES * sizeof(struct series *);
    yd_buf_clear(&state->cache);
    char *cache = yd_buf_reserve(&state->cache, size + 1);
    if (!cache) return YD_FAIL;
    memset(cache, 0, size);
    state->cache.size = size;
    for (uint32_t i = 0; i < view->count && error == 0; i++) {
        const struct yd_record *record = &view->records[i];
        if (record->kind <= YD_DELTA && !(record->flags & YD_RECORD_TOMBSTONE))
            take(state, view, record, (int)record->kind - YD_SAMPLE, out);
        else
            error = take_other(state, view, i, &folded, out);
    }
    if (error == 0) error = emit_built(state, out);
    if (error < 0) return failed(state);
    if (folded) yd_count_folded(out, folded);
    arm(state, input, out);
    return YD_DONE;
}

static enum yd_turn_result on_timer(struct yd__window *state, struct yd_input *input, struct yd_out *out)
{
    struct yd_clock clock = state->clock; /* the wall's time is not the stream's: only this turn goes by it */
    int64_t again = 0;
    state->armed = 0;
    if (state->ended) return YD_DONE;
    if (!input->again && yd_clock_wall(&clock, input, &again)) {
        close_upto(state, clock.now - YD_CLOCK_IDLE);
    } else if (!has_closed(state)) {
        state->armed = again;
        yd_timer_at(out, TIMER_CLOSE, again);
        return YD_DONE;
    }
    int more = say_closed(state, out);
    if (more) return more < 0 ? failed(state) : YD_MORE;
    arm(state, input, out);
    return YD_DONE;
}

static int fill(struct yd_builder *builder, const void *arg)
{
    const struct cell *cell = arg;
    int error = yd_rows_cell_i64(builder, "start", cell->window->start);
    return error < 0 ? error : yd_rows_cell_u64(builder, "n", cell->sum.n);
}

static enum yd_turn_result answer(struct yd__window *state, struct yd_input *input, struct yd_out *out)
{
    struct yd_rows rows;
    if (!yd_rows_op(input->batch, "windows")) return yd_rows_unknown(input, out, "windows");
    yd_rows_begin(&rows, input, out);
    for (uint32_t w = 0; w < state->window_count; w++)
        for (uint32_t i = state->windows[w]->said; i < state->windows[w]->count && rows.error == 0; i++) {
            const struct cell *cell = state->windows[w]->cells[i];
            if (cell->series && yd_rows_match(&rows, cell->series->head.name))
                yd_rows_add(&rows, cell->series->head.name, cell->window->start, fill, cell);
        }
    return yd_rows_end(&rows);
}

static enum yd_turn_result receive(void *opaque, struct yd_input *input, struct yd_out *out)
{
    struct yd__window *state = opaque;
    switch (input->type) {
    case YD_INPUT_START:
        yd_clock_start(&state->clock, input);
        arm(state, input, out);
        return YD_DONE;
    case YD_INPUT_BATCH:
        return on_batch(state, input, out);
    case YD_INPUT_TIMER:
        return on_timer(state, input, out);
    case YD_INPUT_QUERY:
        return answer(state, input, out);
    case YD_INPUT_BLOCKED:
        state->clock.blocked = input->error != 0;
        return YD_DONE;
    default:
        return YD_DONE;
    }
}

static enum yd_turn_result drain(void *opaque, struct yd_out *out)
{
    struct yd__window *state = opaque;
    state->ended = true;
    if (!state->at_end) return YD_DONE; /* saved, and gone on with after the next start */
    if (state->window_count) {
        int64_t end = state->windows[state->window_count - 1]->start + state->every;
        if (end > state->closed_upto) state->closed_upto = end;
    }
    int more = say_closed(state, out);
    return more < 0 ? failed(state) : more ? YD_MORE : YD_DONE;
}

static const struct yd_port_class ports[] = {
    [PORT_INPUT] = {.name = "input",
                    .direction = YD_IN,
                    .mode = YD_PUSH,
                    .kinds = YD_KINDS_ALL,
                    .needs = YD_KINDS_NUMERIC,
                    .flags = YD_PORT_REQUIRED,
                    .doc = "Samples, tallies and deltas. Other records are passed over, and counted as folded."},
    [PORT_OUTPUT] = {.name = "output",
                     .direction = YD_OUT,
                     .mode = YD_PUSH,
                     .kinds = YD_KINDS_NUMERIC | YD_KIND_BIT(YD_ROW),
                     .flags = YD_PORT_REQUIRED,
                     .doc = "The windows that are over, at the time of their beginning. And tombstones."},
    [PORT_QUERY] = {.name = "query",
                    .direction = YD_IN,
                    .mode = YD_QUERY,
                    .schema = "rows",
                    .doc = "Answers `windows` (`match`, a pattern; `max`): what is open, name, start, n."},
    {.name = NULL},
};

static const struct yd_param_class params[] = {
    {.name = "every",
     .type = YD_PARAM_DURATION,
     .flags = YD_PARAM_REQUIRED,
     .min = 1e6,
     .max = 1e17,
     .doc = "How long a window is. They begin at multiples of it since 1970, UTC."},
    {.name = "grace",
     .type = YD_PARAM_DURATION,
     .initial = "15s",
     .min = 0,
     .max = 1e17,
     .doc = "How long after its end a window waits for what is late."},
    {.name = "ahead",
     .type = YD_PARAM_DURATION,
     .initial = "1m",
     .min = 0,
     .max = 1e17,
     .doc = "A record whose time is further ahead than this is rejected: its clock is wrong."},
    {.name = "outputs",
     .type = YD_PARAM_LIST,
     .initial = "[n, min, max, sum, mean, stddev]",
     .doc = "Of samples, as `NAME.min` and so on: n, min, max, sum, mean, median, variance, stddev."},
    {.name = "percentiles",
     .type = YD_PARAM_LIST,
     .doc = "Of samples, `[50, 95, 99.9]` as `NAME.p50`, `NAME.p99_9`: the value at the nearest rank."},
    {.name = "per",
     .type = YD_PARAM_DURATION,
     .initial = "1s",
     .min = 1,
     .max = 1e17,
     .doc = "The unit of rates: of deltas, as `NAME.rate`."},
    {.name = "wrap",
     .type = YD_PARAM_TEXT,
     .initial = "\"auto\"",
     .oneof = wrap_words,
     .doc = "Counters that fall: went beyond 32 or 64 bits, or were set back to zero; `auto` tells by the numbers."},
    {.name = "series",
     .type = YD_PARAM_INT,
     .initial = "1000000",
     .min = 1,
     .max = 1e9,
     .doc = "At most so many at once; records of more are rejected and counted."},
    {.name = "memory",
     .type = YD_PARAM_SIZE,
     .initial = "256MiB",
     .flags = YD_PARAM_MEMORY,
     .min = 1 << 16,
     .max = (double)(UINT64_C(1) << 46),
     .doc = "For names, sums and points. What does not fit is rejected and counted."},
    {.name = "at_end",
     .type = YD_PARAM_BOOL,
     .initial = "false",
     .doc = "Say the open windows when the input has ended, instead of keeping them for the next start."},
    {.name = NULL},
};

static const char *const reasons[] = {[REASON_LATE] = "late: its window was closed",
                                      [REASON_AHEAD] = "too far ahead",
                                      [REASON_SERIES] = "too many series",
                                      [REASON_MEMORY] = "out of memory",
                                      [REASON_VALUE] = "not a finite number",
                                      [REASON_NAME] = "name too long",
                                      NULL};

const struct yd_element_class yd_class_window = {
    .abi = YD_ELEMENT_ABI,
    .flags = YD_CLASS_STATEFUL | YD_CLASS_WATCHES,
    .name = "Window",
    .summary = "sums up numbers by name and window of time",
    .doc =
        "SAMPLEs become their n, min, max, sum, mean, median, variance, stddev and percentiles; TALLYs one TALLY, "
        "their "
        "sum, under the same name; DELTAs (counters that grow) a rate. All at the window's beginning.\n\n"
        "- A record belongs to the window of its own time, however late it comes, until `grace` after its end. Later "
        "ones are dropped and counted.\n"
        "- Integers stay exact integers; what is not a finite number is rejected, and nothing said ever is.\n"
        "- A rate goes from the last point before the window to the last one in it. A counter that wraps is marked "
        "`rollover`, one that was set back `suspect`. One point alone has no rate.\n"
        "- Open windows survive a crash together with the position they were filled up to: behind a Log nothing is "
        "lost "
        "or counted twice. A window said just before a crash (200 ms) may be said again, alike: same name, time, "
        "values.\n"
        "- Windows close by the time at which records were appended to the Log in front, so a backlog is not late; by "
        "the clock a second later when nothing comes.\n"
        "- A tombstone (`Forget`) takes names out of the open windows.\n",
    .example = "metrics -> Window(every: 1m, outputs: [n, mean, max], percentiles: [99]) -> Print()",
    .ports = ports,
    .params = params,
    .reasons = reasons,
    .state_size = sizeof(struct yd__window),
    .check = check,
    .open = open_window,
    .close = close_window,
    .receive = receive,
    .drain = drain,
    .save = yd__window_save,
    .load = yd__window_load,
};
