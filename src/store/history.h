/* store/history.h: current and past values by series: names interned, an inverted tag index, compressed columns in
 * memory under a cap, and the query engine over them. Pure: no clock, no disk, no threads of its own; it is rebuilt from
 * its stream. One thread at a time. */
#ifndef STORE_HISTORY_H
#define STORE_HISTORY_H

#include <yarder/batch.h>
#include <yarder/name.h>

#include "base/hash.h"
#include "base/text.h"

struct yd_history;
struct yd_history_options {
    uint64_t memory_max;   /* columns, names and index together; 0: 512 MiB. At the cap new series are refused; samples of
                              known ones push out the oldest chunks of all */
    uint64_t series_max;   /* 0: no limit but memory */
    int64_t keep_ns;       /* by record time against the newest of all; 0: as long as memory lasts */
    struct yd_alloc *alloc;
};
struct yd_history_counts {
    uint64_t stored, duplicate, refused_series, refused_samples, late, ignored, evicted_samples;
    uint64_t series, chunks, memory_bytes;
    int64_t time_min, time_max;
};
int yd_history_create(const struct yd_history_options *options, struct yd_history **ret_history);
void yd_history_destroy(struct yd_history *history);
/* Folds a batch in: SAMPLE, TALLY, DELTA with numbers; what is not numeric is ignored and counted. A name is looked up
 * once per batch, in groups with prefetch. Points may come in any order; of two with the same time the later counts.
 * keep_going false: stop after about a millisecond's worth, *ret_done says up to which record (for turns). */
int yd_history_fold(struct yd_history *history, const struct yd_batch *batch, uint32_t from, uint32_t *ret_done);
void yd_history_counts(const struct yd_history *history, struct yd_history_counts *ret);

/* ---- queries, in OpenTSDB's sense (the contract's fuller half comes later, the semantics are final) ---- */
enum yd_filter_type {
    YD_FILTER_LITERAL_OR, YD_FILTER_ILITERAL_OR, YD_FILTER_NOT_LITERAL_OR, YD_FILTER_NOT_ILITERAL_OR,
    YD_FILTER_WILDCARD, YD_FILTER_IWILDCARD, YD_FILTER_REGEXP, YD_FILTER_NOT_KEY,
};
struct yd_filter {
    enum yd_filter_type type;
    struct yd_str key, expression;
    bool group_by;
};
enum yd_fill { YD_FILL_NONE, YD_FILL_NAN, YD_FILL_NULL, YD_FILL_ZERO };
struct yd_downsample {
    int64_t interval_ns; /* 0: no downsampling; INT64_MAX: "0all" */
    uint32_t aggregator; /* index into yd_aggregators */
    enum yd_fill fill;
};
struct yd_rate_options {
    bool counter, drop_resets;
    double counter_max, reset_value;
};
struct yd_series_query {
    int64_t start_ns, end_ns; /* inclusive both, as OpenTSDB */
    struct yd_str metric;
    uint32_t aggregator;
    bool none;          /* aggregator "none": one result per series */
    bool rate;
    struct yd_rate_options rate_options;
    struct yd_downsample downsample;
    const struct yd_filter *filters;
    size_t filter_count;
    bool explicit_tags;
    bool milliseconds;  /* false: points of one second collapse by the downsampler's or the query's aggregator */
    uint64_t points_max, series_max; /* 0: defaults; over them YD_ETOOBIG with what to narrow in the trail */
};
/* Aggregators by name, sorted; NULL ends the list. */
extern const char *const yd_aggregators[];
int yd_aggregator_find(struct yd_str name, uint32_t *ret_index);

/* Results come as batches: SAMPLE records in order of time, one name per result group:
 *   name = canonical `metric tag=value,…` of the group's common tags; then a FACT record under the same name with a MAP
 *   {aggregateTags: [..], query: index} precedes its samples. NaN stands for a filled gap.
 * A query may be run in slices: MORE until done. */
struct yd_query_run;
int yd_query_start(struct yd_history *history, const struct yd_series_query *query, struct yd_query_run **ret_run,
                   struct yd_trail *trail); /* YD_ENOENT: no such metric name */
/* 1: more to come (a batch may have been produced), 0: done (the last batch), negative: error. */
int yd_query_step(struct yd_query_run *run, struct yd_batch **ret_batch, struct yd_trail *trail);
void yd_query_destroy(struct yd_query_run *run);

enum yd_suggest { YD_SUGGEST_METRICS, YD_SUGGEST_TAGK, YD_SUGGEST_TAGV };
/* Prefix match, sorted, at most max. */
int yd_history_suggest(struct yd_history *history, enum yd_suggest what, struct yd_str prefix, uint32_t max,
                       void (*visit)(void *arg, struct yd_str text), void *arg);
/* Series of a metric ("" or "*": all) whose tags match: `key=*`, `key=value`. Stops at limit; *ret_total counts all. */
int yd_history_lookup(struct yd_history *history, struct yd_str metric, const struct yd_filter *filters,
                      size_t filter_count, uint64_t limit, void (*visit)(void *arg, struct yd_str name), void *arg,
                      uint64_t *ret_total);
/* The newest value of series that match a name pattern. */
int yd_history_last(struct yd_history *history, const struct yd_pattern *pattern, uint64_t limit,
                    void (*visit)(void *arg, struct yd_str name, int64_t time_ns, enum yd_type type, union yd_value value),
                    void *arg);

#endif
