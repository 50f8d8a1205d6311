/* store/history.h: current and past values by series: names interned, an inverted tag index, compressed columns in
 * memory under a cap, and the query engine over them. Pure: no clock, no disk, no threads of its own; it is rebuilt
 * from its stream. One thread at a time. */
#ifndef STORE_HISTORY_H
#define STORE_HISTORY_H

#include <yarder/batch.h>
#include <yarder/name.h>

#include "base/hash.h"
#include "base/text.h"

struct yd_history;
struct yd_history_options {
    uint64_t memory_max; /* columns, names and index together; 0: 512 MiB. At the cap samples push out the oldest chunks
                            of all. Names and index may take half of it; beyond that new series are refused */
    uint64_t series_max; /* new ones beyond are refused; 0: no limit but memory */
    int64_t keep_ns;     /* by record time against the newest of all; 0: as long as memory lasts. A record counts as
                            newest at most ten minutes ahead of its batch's append time, where there is one */
    bool durable; /* points leave memory for blocks on disk (keeper.h); nothing is evicted, whatever the cap: the caller
                     flushes when yd_history_wants_flush says so, and stops folding while yd_history_is_full */
    struct yd_alloc *alloc;
};
/* Every record of a fold is in exactly one of stored, refused_samples, late and ignored.
 * Points held = stored - duplicate - evicted_samples, once those out of order have been merged. */
struct yd_history_counts {
    uint64_t stored;
    uint64_t duplicate;       /* replaced one of the same time; those out of order are found when they are merged */
    uint64_t refused_series;  /* names turned away (once a batch), */
    uint64_t refused_samples; /* and their samples */
    uint64_t late;            /* older than keep_ns on arrival */
    uint64_t ignored;         /* not a number, not a name, or a tombstone */
    uint64_t evicted_samples; /* pushed out, aged out, or forgotten by a tombstone */
    uint64_t series, chunks, memory_bytes;
    int64_t time_min, time_max; /* of all that was ever stored; min > max: nothing */
};
int yd_history_create(const struct yd_history_options *options, struct yd_history **ret_history);
void yd_history_destroy(struct yd_history *history); /* no query run may be left; NULL is quiet */
/* Folds a batch in, from record `from` on: SAMPLE, TALLY and DELTA with BOOL, I64, U64 or F64. Points may come in any
 * order; of two with the same time the later counts. A record with the tombstone flag forgets its series.
 * ret_done NULL: all of it. Else it stops after about a millisecond, and *ret_done (always set) is the first record
 * not folded: call again with it, with the same batch, to go on. YD_ENOMEM: the records before *ret_done are in.
 * YD_ENOTSUP: a compressed batch. YD_EINVAL: `from` is beyond the end. */
int yd_history_fold(struct yd_history *history, const struct yd_batch *batch, uint32_t from, uint32_t *ret_done);
/* The same up to record `to`. */
int yd_history_fold_to(struct yd_history *history, const struct yd_batch *batch, uint32_t from, uint32_t to,
                       uint32_t *ret_done);
/* Forgets what series whose names match have before until_ns, in memory and in blocks; *ret_gone: of how many.
 * INT64_MAX: all of it. A series of which nothing stays is removed. What is folded later counts, whatever its time. Of
 * rows of minutes and hours those go that cannot be told apart: of the part of time in which until_ns lies. Not sliced:
 * about 50 ns a series, a microsecond for one that matches. With another time than INT64_MAX not while a flush is under
 * way (between yd_history_flush_begin and the 0 of yd_history_settle). YD_ENOMEM: some are done; call it again. */
int yd_history_forget(struct yd_history *history, const struct yd_pattern *pattern, int64_t until_ns,
                      uint64_t *ret_gone);
void yd_history_counts(const struct yd_history *history, struct yd_history_counts *ret);

/* ---- queries, in OpenTSDB's sense ----
 *
 * Per series: downsample → rate; then over the series of a group: interpolate and aggregate.
 * As OpenTSDB does, whole hours around [start, end] are read, so that the first rate has a predecessor and lines reach
 * over the edges; what is given out lies within [start, end]. A downsampling bucket is named by its start and holds all
 * of its points: the bucket in which `start` lies is not given out unless start is its beginning, the one in which
 * `end` lies is. */
enum yd_filter_type {
    YD_FILTER_LITERAL_OR,
    YD_FILTER_ILITERAL_OR,
    YD_FILTER_NOT_LITERAL_OR,
    YD_FILTER_NOT_ILITERAL_OR,
    YD_FILTER_WILDCARD,
    YD_FILTER_IWILDCARD,
    YD_FILTER_REGEXP,
    YD_FILTER_NOT_KEY,
    YD_FILTER_NOT_REGEXP,
    YD_FILTER_NODES,
};
/* Filters are ANDed. NOT_… match where the key is missing too. *LITERAL_OR: values joined by "|". *WILDCARD: "*" is any
 * run, nothing else is special. REGEXP: Perl's, found anywhere in the value. I…: ASCII letters in either case.
 * NODES: Graphite's pattern over all of the dotted nodes (nodes.h). */
struct yd_filter {
    enum yd_filter_type type;
    struct yd_str key, expression; /* plain text, not escaped */
    bool group_by;                 /* series that lack the key form a group of their own */
    bool of_metric;                /* of the metric, not of a tag; then key means nothing, and it does not group */
};
enum yd_fill { YD_FILL_NONE, YD_FILL_NAN, YD_FILL_NULL, YD_FILL_ZERO };
struct yd_downsample {
    int64_t interval_ns; /* 0: no downsampling; INT64_MAX: "0all": one point, at start */
    uint32_t aggregator; /* index into yd_aggregators; "none" takes the last */
    enum yd_fill fill;   /* NAN and NULL are told apart by whoever writes the answer */
    /* Not 0 of them: buckets begin at these times instead, which rise, and the last one is where the last bucket ends.
     * They reach from before the bucket that holds the query's start to behind the one that holds its end. */
    const int64_t *edges;
    size_t edge_count;
};
struct yd_rate_options {
    bool counter, drop_resets;
    double counter_max, reset_value; /* 0: 2^63 - 1; never */
};
struct yd_series_query {
    int64_t start_ns, end_ns; /* inclusive both */
    struct yd_str metric;     /* plain text */
    bool any_metric;          /* not `metric` but all that the filters leave: only with `none` */
    uint32_t aggregator;      /* index into yd_aggregators */
    bool none;                /* as aggregator "none": one result per series */
    bool rate;
    struct yd_rate_options rate_options;
    struct yd_downsample downsample;
    const struct yd_filter *filters; /* all that the query points to is needed during yd_query_start only */
    size_t filter_count;
    const uint64_t
        *tsuids; /* not 0 of them: these series of one metric, as one group; metric and filters say nothing */
    size_t tsuid_count;
    bool explicit_tags; /* only series whose keys are exactly those of the filters */
    bool milliseconds;  /* false: the points of a second collapse, by the downsampler's aggregator when it is finer than
                           a second, else by the query's, and times are whole seconds */
    uint32_t index;     /* given back in each result's FACT */
    bool show_tsuids;   /* of each group's series with points, in FACTs */
    bool show_notes;    /* their annotations (notes.h) that start within what is asked, in EVENTs by start */
    /* Over these YD_ETOOBIG, with what to narrow in the trail. 0: a million series; ten million points of one answer or
     * in work at once; 2^30 points read. */
    uint64_t series_max, points_max, read_max;
};
/* Aggregators by name, sorted; NULL ends the list. */
extern const char *const yd_aggregators[];
int yd_aggregator_find(struct yd_str name, uint32_t *ret_index);

/* Results come as batches, group after group in the order in which their series came first. Of a group:
 *   a FACT whose value is a MAP {aggregateTags: LIST of TEXT, sorted, plain; index: U64}, then SAMPLE records by time;
 *   all named canonically by what the series have in common: `metric tag=value,…`. Between them, if they are asked for,
 *   the tsuids of its series: a FACT of U64 each; and their annotations, an EVENT each.
 * Values are F64, NaN for a filled gap; points of a single series, neither downsampled nor rated, keep their type (all
 * 64 bits of an integer). A group without points is left out. Its samples may go on in the next batch.
 *
 * A run is sliced: each step takes about a millisecond. Folds may come between: a series is read chunk by chunk as it
 * is at that moment, so points folded in meanwhile may or may not be seen; none is seen twice or torn. Points that were
 * there at the start are seen unless they are evicted first. */
struct yd_query_run;
/* YD_ENOENT: no such metric, or tsuid. YD_EINVAL: start after end, unknown aggregator, a bad interval, tsuids of more
 * than one metric. YD_EFORMAT: a regular expression that is none. YD_ETOOBIG, YD_ENOMEM. */
int yd_query_start(struct yd_history *history, const struct yd_series_query *query, struct yd_query_run **ret_run,
                   struct yd_trail *trail);
/* 1: more to come (call again), 0: done, negative: error, and the answer is incomplete. *ret_batch is a batch or,
 * often, NULL. */
int yd_query_step(struct yd_query_run *run, struct yd_batch **ret_batch, struct yd_trail *trail);
/* Is what the next steps read perhaps not in memory? Then *ret_warming (keeper.h) is to be done, by a thread that may
 * wait for the disk, before them; and this to be asked again before each step. */
struct yd_warming;
bool yd_query_is_cold(struct yd_query_run *run, struct yd_warming **ret_warming);
void yd_query_destroy(struct yd_query_run *run);

/* A series' number for those outside, as OpenTSDB's TSUID: the hash of its canonical name, the same for ever. */
static inline uint64_t yd_history_tsuid(struct yd_str name)
{
    return yd_hash_str(name);
}

enum yd_suggest { YD_SUGGEST_METRICS, YD_SUGGEST_TAGK, YD_SUGGEST_TAGV };
/* Words that start with the text, or have it anywhere, plain, sorted, at most max. */
int yd_history_suggest(struct yd_history *history, enum yd_suggest what, struct yd_str text, bool anywhere,
                       uint32_t max, void (*visit)(void *arg, struct yd_str text), void *arg);
/* ---- series by name: what is there, and what it is now ----
 *
 * A run is sliced, as a query is: each step looks at some thousands of series, a millisecond or a few. Series that come
 * meanwhile are found or not, those that go likewise; none is found twice. */
struct yd_names_run;
/* Those of a metric ("" or "*": all) whose tags match; of the query metric and filters count. YD_ENOENT: no such
 * metric, or no such key of a filter. Errors as those of filters. */
int yd_lookup_start(struct yd_history *history, const struct yd_series_query *query, struct yd_names_run **ret_run,
                    struct yd_trail *trail);
/* The newest value of those that are meant by metric and filters, or by tsuids (what nobody has is passed over), unless
 * it is older than `start_ns`; nothing else of the query counts. YD_ENOENT: no such metric. */
int yd_last_start(struct yd_history *history, const struct yd_series_query *query, struct yd_names_run **ret_run,
                  struct yd_trail *trail);
/* … of those whose names match a pattern; "": of all. YD_EFORMAT: it is none. */
int yd_last_start_all(struct yd_history *history, struct yd_str pattern, struct yd_names_run **ret_run);
/* By canonical name; type YD_NIL: its value was not asked for. false: no more of them. */
typedef bool yd_names_visit(void *arg, struct yd_str name, int64_t time_ns, enum yd_type type, union yd_value value);
/* 1: more to come (call again), 0: done, negative: error. */
int yd_names_step(struct yd_names_run *run, yd_names_visit *visit, void *arg, struct yd_trail *trail);
void yd_names_destroy(struct yd_names_run *run); /* NULL is quiet; before its history */

/* ---- what Graphite asks: names as trees of dotted nodes, and tags ----
 *
 * Each call looks at some tens of thousands of words or series, a few milliseconds at most, and says in *ret_next where
 * to go on: call again with that as `from`; 0: that was all. What is found twice in one call is visited once, but
 * calls know nothing of each other. Errors as those of filters. */
/* Nodes of metrics: path is as many nodes as the pattern has; leaf: a metric ends there, otherwise it goes on. */
int yd_history_nodes(struct yd_history *history, struct yd_str pattern, uint32_t from,
                     void (*visit)(void *arg, struct yd_str path, bool leaf), void *arg, uint32_t *ret_next,
                     struct yd_trail *trail);
/* Of the series that match all filters: their keys (key ""), their values of that key, or with of_metric their metrics;
 * those that start with prefix, and how many series have each (keys without filters: 0, they are not counted). */
struct yd_tags_query {
    const struct yd_filter *filters;
    size_t filter_count;
    struct yd_str key, prefix;
    bool of_metric;
};
int yd_history_tags(struct yd_history *history, const struct yd_tags_query *query, uint32_t from,
                    void (*visit)(void *arg, struct yd_str text, uint64_t count), void *arg, uint32_t *ret_next,
                    struct yd_trail *trail);
/* The canonical names of series that match all filters. */
int yd_history_find(struct yd_history *history, const struct yd_filter *filters, size_t filter_count, uint32_t from,
                    void (*visit)(void *arg, struct yd_str name), void *arg, uint32_t *ret_next,
                    struct yd_trail *trail);

#endif
