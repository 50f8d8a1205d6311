/* elements/ask.h: the op schema "series": what is asked of a History, and what comes back. Said once, for both sides.
 *
 * A question is one ROW, a MAP with `op` and what belongs to it (absent: as zero):
 *
 *   series  start, end (ns), metric, aggregator, rate, counter, drop_resets, counter_max, reset_value, interval (ns),
 *           downsampler, fill, edges, filters, explicit_tags, tsuids, show_tsuids, show_notes, milliseconds,
 *           points_max, series_max, read_max, any_metric, index
 *
 *      for each group, under its canonical name: a FACT, a MAP of `aggregateTags`, `index`. If asked: a FACT of U64 for
 *      each of its series, its tsuid; an EVENT for each of their annotations (notes.h), by start.
 *      Then its SAMPLEs by time. NaN is a gap that was filled
 *
 *   suggest what (metrics, tagk, tagv), prefix, substring, max
 *
 *      FACTs of TEXT, sorted
 *
 *   lookup  metric, filters, max
 *
 *      FACTs of NIL named like the series; one ROW, a MAP with `total`
 *
 *   last    pattern; or metric, filters; or tsuids. start (ns; 0: any): not older. max
 *
 *      the newest SAMPLE of each series that is meant. More than max: by pattern those, else YD_ETOOBIG (a
 *      million is the most)
 *
 *   notes   tsuids, global; start, end (ns; both are needed); max
 *
 *      an EVENT for each annotation that starts within (notes.h). More than max: YD_ETOOBIG
 *
 *   counts
 *
 *      one ROW, a MAP of the history's counts
 *
 *   nodes   pattern, from
 *
 *      FACTs of TEXT named `leaf` or `branch`: paths; one ROW, a MAP with `next`: ask again with it as `from`, and all
 *      the same; 0: that was all
 *
 *   tags    key, prefix, of_metric, filters, from
 *
 *      FACTs of TEXT, each followed by a FACT of I64, how many series have it; `next` as above
 *
 *   find    filters, from
 *
 *      FACTs of NIL named like the series; `next`
 *
 * edges: a BLOB of int64, in place of interval: where buckets begin, and the last one ends.
 * filters: a LIST of MAPs {type, key, expression, group_by, of_metric}; type by its OpenTSDB name. tsuids: a LIST of
 * U64. An aggregator by its name.
 * Errors: YD_ENOENT (no such name), YD_ETOOBIG (narrow it), YD_EINVAL (not understood), with the reason as text. */
#ifndef ELEMENTS_ASK_H
#define ELEMENTS_ASK_H

#include "store/history.h"

enum yd_ask_op {
    YD_ASK_SERIES,
    YD_ASK_SUGGEST,
    YD_ASK_LOOKUP,
    YD_ASK_LAST,
    YD_ASK_COUNTS,
    YD_ASK_NOTES,
    YD_ASK_NODES,
    YD_ASK_TAGS,
    YD_ASK_FIND,
    YD_ASK_OP_COUNT
};

struct yd_ask {
    enum yd_ask_op op;
    struct yd_series_query series; /* SERIES; LOOKUP: its metric and filters; LAST: these, tsuids and start, or…; TAGS,
                                      FIND: its filters */
    enum yd_suggest what;          /* SUGGEST */
    struct yd_str text;            /* SUGGEST, TAGS: the prefix; LAST: … the pattern; NODES: the pattern */
    struct yd_str key;             /* TAGS */
    bool of_metric;                /* TAGS */
    bool substring;                /* SUGGEST: the text is anywhere in it */
    bool global;                   /* NOTES; series: its tsuids, start and end */
    uint64_t max;                  /* SUGGEST, LOOKUP, LAST */
    uint32_t from;                 /* NODES, TAGS, FIND */
};

int yd_ask_encode(const struct yd_ask *ask, struct yd_batch **ret_batch);
/* Slices and filters live as long as batch and arena. The trail says what is not understood. */
int yd_ask_decode(const struct yd_batch *batch, struct yd_arena *arena, struct yd_ask *ret_ask, struct yd_trail *trail);

/* Filters by OpenTSDB's names: literal_or, iliteral_or, not_literal_or, not_iliteral_or, wildcard, iwildcard, regexp,
 * not_key. Sorted; NULL ends the list. Rows know two more: nodes,
 * not_regexp. */
extern const char *const yd_filter_names[];
const char *yd_filter_type_name(enum yd_filter_type type); /* "" when unknown */
int yd_filter_type_find(struct yd_str name, enum yd_filter_type *ret_type);

#endif
