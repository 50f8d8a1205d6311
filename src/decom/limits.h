/* decom/limits.h: red, yellow and green, told when they change.
 *
 *   clause (text) --> rule (one clause for each named set) --> item: the state of one measurement
 *                                                                |  reading, or silence
 *                                                                `--> change {old, new, value, time, reason}
 *
 *   limits [set NAME] [yellow RANGE] [red RANGE] [yellow|red rate RANGE] [yellow|red delta RANGE]
 *          [yellow|red is VALUE {, VALUE}] [persist N | persist DURATION] [hysteresis NUMBER]
 *          [stale DURATION [yellow|red]]
 *   RANGE is LOW..HIGH, LOW.. or ..HIGH; its ends belong to it. VALUE is a number, a text in quotes, true or false.
 *   limits yellow 10..90 red 0..100 persist 3 hysteresis 2          limits red is "FAULT", "OFF"    limits red is true
 *
 * Outside of the red range is red, outside of the yellow one yellow, else green; the worst of range, rate (change a
 * second), delta (change from value to value) and `is` counts. `persist`: so many values in a row, or values for so
 * long, must say so before it changes, to better as to worse; it then becomes what all of them were beyond (getting
 * worse: the least of them; getting better: the most). `hysteresis`: better only once so far inside the bound that was
 * crossed. The first value, and the first after silence, is judged at once. `stale`: without a value for so long it is
 * stale: red, yellow, or unknown. Time comes in as an argument, so the same readings give the same changes. One thread.
 */
#ifndef DECOM_LIMITS_H
#define DECOM_LIMITS_H

#include "decom/mistake.h"
#include "decom/reading.h"

enum yd_limit_state {
    YD_LIMIT_UNKNOWN, /* nothing came yet, or stale and no colour was said */
    YD_LIMIT_GREEN,
    YD_LIMIT_YELLOW, /* `is` */
    YD_LIMIT_YELLOW_LOW,
    YD_LIMIT_YELLOW_HIGH,
    YD_LIMIT_RED,
    YD_LIMIT_RED_LOW,
    YD_LIMIT_RED_HIGH,
    YD_LIMIT_STATE_COUNT
};
const char *yd_limit_state_name(enum yd_limit_state state); /* "green", "red high" */
unsigned yd_limit_state_code(enum yd_limit_state state);    /* of YD_RECORD_CODE_MASK: OK, WARNING, CRITICAL, UNKNOWN */

enum yd_limit_reason {
    YD_LIMIT_BY_RANGE,
    YD_LIMIT_BY_RATE,
    YD_LIMIT_BY_DELTA,
    YD_LIMIT_BY_VALUE, /* `is` */
    YD_LIMIT_BY_SILENCE,
    YD_LIMIT_BY_RETURN, /* the first value, or the first one after silence, and green */
    YD_LIMIT_BY_SET,    /* other limits are in use, and green by them */
};
const char *yd_limit_reason_name(enum yd_limit_reason reason); /* "range", "rate" … */

#define YD_LIMIT_VALUES_MAX 32
struct yd_limit_range {
    double low, high; /* -INFINITY, INFINITY: open */
    bool given;
};
struct yd_limit_value {
    struct yd_reading value; /* TEXT lies in the clause's text, without escapes */
    bool red;
};
struct yd_limit_clause {
    struct yd_str set; /* empty: the one in use when no set is */
    struct yd_limit_range yellow, red, yellow_rate, red_rate, yellow_delta, red_delta;
    uint32_t persist; /* values; 0 and 1: at once */
    int64_t persist_ns;
    double hysteresis;
    int64_t stale_ns;                /* 0: never */
    enum yd_limit_state stale_state; /* UNKNOWN, YELLOW or RED */
    uint32_t value_count;
    struct yd_limit_value values[YD_LIMIT_VALUES_MAX];
};
/* One clause; the word `limits` may be missing. ret_used as in yd_expression_compile: NULL: all of the text. YD_EFORMAT
 * (not understood), YD_EINVAL (ranges that contradict each other), YD_ETOOBIG, with a mistake (may be NULL). */
int yd_limit_parse(struct yd_str text, size_t *ret_used, struct yd_limit_clause *ret_clause,
                   struct yd_mistake *mistake);

struct yd_limits;
int yd_limits_create(struct yd_alloc *alloc, struct yd_limits **ret_limits);
void yd_limits_destroy(struct yd_limits *limits); /* NULL is quiet */
#define YD_LIMIT_NEW UINT32_MAX
/* Adds a clause to a rule; *rule YD_LIMIT_NEW: to a new one, whose number it becomes. Copies its texts. YD_EEXIST: the
 * rule has a clause for this set; YD_EFULL: 64 sets; YD_ENOMEM. */
int yd_limits_define(struct yd_limits *limits, uint32_t *rule, const struct yd_limit_clause *clause);
/* A measurement under a rule. YD_ENOMEM, YD_EFULL. Numbers of items given up are used again. */
int yd_limits_watch(struct yd_limits *limits, uint32_t rule, uint32_t *ret_item);
void yd_limits_unwatch(struct yd_limits *limits, uint32_t item);
/* From here on the clauses of this set count, in rules that have none for it those without a set, if there are any:
 * otherwise all is green. Each item is judged by them with its next value, persist and hysteresis aside. False: no rule
 * knows it. */
bool yd_limits_use(struct yd_limits *limits, struct yd_str set);
struct yd_str yd_limits_set(const struct yd_limits *limits); /* in use; empty: none */

struct yd_limit_change {
    uint32_t item;
    enum yd_limit_state old_state, state;
    bool was_stale, stale, first; /* first: nothing was known before */
    enum yd_limit_reason reason;
    struct yd_reading value; /* NIL by silence; TEXT is the reading's */
    double rate;             /* BY_RATE, BY_DELTA: what it was */
    double bound;            /* which bound was crossed; NAN: none */
    int64_t time_ns;         /* the value's, or when silence was too long */
};
/* A reading of an item: true when that changed its state. time_ns: the value's, heard_ns: the time by which silence is
 * judged (clock.h), which only goes forward. A reading without a value is not judged and breaks no silence; one older
 * than the last counts as heard only, until for a minute nothing else came: then its clock was set back. */
bool yd_limits_update(struct yd_limits *limits, uint32_t item, const struct yd_reading *reading, int64_t time_ns,
                      int64_t heard_ns, struct yd_limit_change *ret_change);
/* Who is silent for too long by now, one a call, in the order in which they are due; false: nobody. */
bool yd_limits_silent(struct yd_limits *limits, int64_t now_ns, struct yd_limit_change *ret_change);
int64_t yd_limits_deadline(struct yd_limits *limits); /* when yd_limits_silent is next due; INT64_MAX: never */
struct yd_limit_status {
    enum yd_limit_state state;
    bool stale, known;
    int64_t time_ns, since_ns; /* of the last value judged; of the last change */
};
void yd_limits_status(const struct yd_limits *limits, uint32_t item, struct yd_limit_status *ret_status);
/* "red high: 105.2 above 100", "green", "no value for more than 10s". Returns the size, at most size - 1, terminated.
 */
size_t yd_limit_change_text(const struct yd_limits *limits, const struct yd_limit_change *change, char *to,
                            size_t size);

/* An item's state as bytes, and back into an item under the same rule: YD_EFORMAT: not as saved; YD_EINVAL: of a rule
 * with other clauses. In both the item is as new. */
void yd_limits_save(const struct yd_limits *limits, uint32_t item, struct yd_buf *to);
int yd_limits_load(struct yd_limits *limits, uint32_t item, struct yd_str saved);

#endif
