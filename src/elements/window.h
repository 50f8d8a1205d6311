/* elements/window.h: what a Window holds, for its two files: window.c (records in, windows out) and window_saved.c. */
#ifndef ELEMENTS_WINDOW_H
#define ELEMENTS_WINDOW_H

#include <yarder/element.h>

#include "elements/clock.h"
#include "elements/table.h"
#include "elements/window_sum.h"

enum { SAMPLES, TALLIES, DELTAS, TABLES };
#define PERCENTILES_MAX 16
#define SUFFIX_MAX      16

struct cell {
    struct series *series; /* NULL: forgotten meanwhile */
    struct window *window;
    struct cell *next; /* of the series */
    struct yd_sum sum;
};
struct series {
    struct yd_table_item head;
    struct cell *cells;
    struct yd_counter counter;
};
struct window {
    int64_t start;
    struct cell **cells;
    uint32_t count, capacity, said;
};
struct yd__window {
    struct yd_table tables[TABLES]; /* of struct series */
    struct window **windows;        /* by start */
    uint32_t window_count, window_capacity;
    int64_t every, grace, ahead, per;
    int64_t closed_upto; /* windows that end here or before are closed */
    uint64_t memory, memory_max, series_max;
    uint32_t stats; /* 1 << enum yd_summary */
    struct {
        double percent;
        char name[SUFFIX_MAX];
    } percentiles[PERCENTILES_MAX];
    unsigned percentile_count;
    enum yd_wrap wrap;
    bool at_end, ended;
    struct yd_clock clock;
    int64_t armed;
    struct yd_builder *builder;
    struct yd_buf cache; /* struct series * by kind and name of the batch at hand */
};

int64_t yd__window_start_of(const struct yd__window *state, int64_t time_ns);
bool yd__window_keeps_points(const struct yd__window *state, int table);
int yd__window_table_of(const struct yd__window *state, const struct series *series);
/* YD_ETOOBIG: its results could not be named; YD_EFULL; YD_ENOMEM. */
int yd__window_find_series(struct yd__window *state, int table, struct yd_str name, uint64_t hash,
                           struct series **ret_series);
int yd__window_add_cell(struct yd__window *state, struct series *series, int64_t start, struct cell **ret_cell);

int yd__window_save(const void *state, uint32_t key_group, struct yd_saver *saver);
int yd__window_load(void *state, uint32_t key_group, struct yd_str saved);

#endif
