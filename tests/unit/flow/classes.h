/* Small element classes for the runtime's tests. What they did is kept in `seen_of(name)`, which outlives them. */
#ifndef TESTS_FLOW_CLASSES_H
#define TESTS_FLOW_CLASSES_H

#include "world.h"

#define SEEN_VALUES 200000
struct seen {
    char name[32];
    uint32_t opens, starts, batches;
    uint64_t count; /* values taken in */
    int64_t values[SEEN_VALUES];
    uint64_t acks, acks_failed, replies, errors, timers, answered, blocked, unblocked;
    int last_error;
    int64_t total;
    uint64_t fails;
    bool out_of_order;
};
struct seen *seen_of(const char *name);
void seen_clear(void);

/* batches, records: how much it makes; every: ns between two (0: at once); level: of asking (0: does not);
 * endless: does not end by itself. Out 0. */
extern const struct yd_element_class source_class;
/* In 0 push, out 1 push. fail_at: FAILs at a batch that begins with this value; fails: how often (0: always). */
extern const struct yd_element_class pass_class;
/* Makes two batches of each: slices. In 0, out 1. REPEATS. */
extern const struct yd_element_class halves_class;
/* In 0 push, 1 query: answers with {count} records in `batches` replies; asides: so often it is first put
 * aside for a while; until: works on an answer until so many
 * batches have come. Holds for `hold` ns. fail_at, fails as above. */
extern const struct yd_element_class sink_class;
/* Asks every `every` ns; in 2 push is passed to 1 push; out 0 query. */
extern const struct yd_element_class asker_class;
/* STATEFUL, REPEATS: sums; emits the running total. In 0, out 1. fail_at, fails. */
extern const struct yd_element_class counter_class;
/* A Log. In 0, out 1 (cursor). fail_at, fails; reopen_fails: so often it cannot be opened again. */
extern const struct yd_element_class log_class;
/* A source with a pump in the loop: emits `batches` of `records`, one each `every` ns. Out 0. */
extern const struct yd_element_class pumped_class;
/* A source with a files pump. Out 0. */
extern const struct yd_element_class file_pumped_class;
/* Two pumps, where there are two executors. `batches` of `records` each by each; `refuse`: the pump of that index does
 * not start; `crash`: receive fails once, after that time. What they did, since the last clear: */
extern const struct yd_element_class spread_class;
struct spread_seen {
    atomic_int starts, stops, pauses, wrong;
};
extern struct spread_seen spread_seen;

#endif
