/* A Window's saved state: counters, then each open window with its cells. What does not fit is refused whole.
 *
 *   head | counters: {name, point} … | windows: {start, count, cells: {table, name, sum, points} …} … */
#include "base/text.h"
#include "elements/saved.h"
#include "elements/window.h"

#define SAVED_FORM 1

struct saved_head {
    uint32_t form, windows;
    int64_t every, closed_upto, now;
};
struct saved_counter {
    int64_t time;
    uint64_t bits;
    uint8_t known, is_float, reserved[6];
};

int yd__window_save(const void *opaque, uint32_t key_group, struct yd_saver *saver)
{
    const struct yd__window *state = opaque;
    const struct saved_head head = {SAVED_FORM, state->window_count, state->every, state->closed_upto,
                                    state->clock.now};
    if (key_group != 0) return 0;
    yd_save_bytes(saver, &head, sizeof head);
    yd_save_bytes(saver, &state->tables[DELTAS].count, sizeof state->tables[DELTAS].count);
    for (uint32_t i = 0; i < state->tables[DELTAS].count; i++) {
        const struct series *series = (const struct series *)state->tables[DELTAS].items[i];
        const struct saved_counter counter = {.time = series->counter.point.time_ns,
                                              .bits = series->counter.point.u64,
                                              .known = series->counter.known,
                                              .is_float = series->counter.is_float};
        yd_save_text(saver, series->head.name);
        yd_save_bytes(saver, &counter, sizeof counter);
    }
    for (uint32_t w = 0; w < state->window_count; w++) {
        const struct window *window = state->windows[w];
        uint32_t count = 0;
        for (uint32_t i = window->said; i < window->count; i++)
            count += window->cells[i]->series && window->cells[i]->sum.n;
        yd_save_bytes(saver, &window->start, sizeof window->start);
        yd_save_bytes(saver, &count, sizeof count);
        for (uint32_t i = window->said; i < window->count; i++) {
            const struct cell *cell = window->cells[i];
            if (!cell->series || !cell->sum.n) continue;
            uint32_t table = (uint32_t)yd__window_table_of(state, cell->series);
            yd_save_bytes(saver, &table, sizeof table);
            yd_save_text(saver, cell->series->head.name);
            yd_sum_save(&cell->sum, saver);
        }
    }
    return 0;
}

static int load_counter(struct yd__window *state, struct yd_str *saved)
{
    struct saved_counter counter;
    struct yd_str name;
    struct series *series;
    if (!yd_saved_text(saved, &name) || !yd_saved_bytes(saved, &counter, sizeof counter)) return YD_EFORMAT;
    if (counter.known > 1 || counter.is_float > 1 || !yd_text_utf8(name)) return YD_EFORMAT;
    int error = yd__window_find_series(state, DELTAS, name, yd_hash_str(name), &series);
    if (error < 0) return error == YD_ENOMEM ? error : YD_EFORMAT;
    series->counter =
        (struct yd_counter){{.time_ns = counter.time, .u64 = counter.bits}, counter.known, counter.is_float};
    return 0;
}

static int load_cell(struct yd__window *state, int64_t start, struct yd_str *saved)
{
    uint32_t table;
    struct yd_str name;
    struct series *series;
    struct cell *cell;
    struct yd_sum sum = {0};
    int error;
    if (!yd_saved_bytes(saved, &table, sizeof table) || table >= TABLES || !yd_saved_text(saved, &name) ||
        !yd_text_utf8(name))
        return YD_EFORMAT;
    error = yd__window_find_series(state, (int)table, name, yd_hash_str(name), &series);
    if (error < 0) return error == YD_ENOMEM ? error : YD_EFORMAT;
    if (!yd_sum_load(&sum, saved, NULL, &error)) return error;
    state->memory += sum.point_capacity * sizeof(struct yd_point);
    error = !sum.points && yd__window_keeps_points(state, (int)table)
                ? YD_EFORMAT
                : yd__window_add_cell(state, series, start, &cell);
    if (error < 0) {
        yd_sum_fini(&sum, NULL);
        return error;
    }
    cell->sum = sum;
    return 0;
}

int yd__window_load(void *opaque, uint32_t key_group, struct yd_str saved)
{
    struct yd__window *state = opaque;
    struct saved_head head;
    uint32_t count = 0;
    (void)key_group;
    if (!yd_saved_bytes(&saved, &head, sizeof head)) return YD_EFORMAT;
    if (head.form != SAVED_FORM) return YD_EVERSION;
    if (head.every != state->every) return YD_EINVAL; /* these windows lie elsewhere */
    state->closed_upto = head.closed_upto;
    state->clock.now = head.now;
    if (!yd_saved_bytes(&saved, &count, sizeof count)) return YD_EFORMAT;
    for (uint32_t i = 0; i < count; i++) {
        int error = load_counter(state, &saved);
        if (error < 0) return error;
    }
    for (uint32_t w = 0; w < head.windows; w++) {
        int64_t start;
        if (!yd_saved_bytes(&saved, &start, sizeof start) || !yd_saved_bytes(&saved, &count, sizeof count))
            return YD_EFORMAT;
        if (start < INT64_MIN / 2 || start > INT64_MAX / 2 || yd__window_start_of(state, start) != start)
            return YD_EFORMAT;
        for (uint32_t i = 0; i < count; i++) {
            int error = load_cell(state, start, &saved);
            if (error < 0) return error;
        }
    }
    return saved.size ? YD_EFORMAT : 0;
}
