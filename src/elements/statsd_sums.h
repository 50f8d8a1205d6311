/* elements/statsd_sums.h: what StatsD keeps of each name between two flushes, and what it says then. Pure.
 *
 *   counter  TALLY                 NAME.count (TALLY), NAME.rate (per second)
 *   gauge    SAMPLE, DELTA         NAME
 *   timer    SAMPLE LIST           NAME.count .count_ps .lower .upper .sum .sum_squares .mean .median .std,
 *                                  and for each percentile p .count_p .mean_p .upper_p .sum_p (.lower_p when negative)
 *   set      FACT                  NAME.count: how many different ones
 *
 * Values as etsy/statsd (lib/process_metrics.js) computes them: a rate given with a timer scales its count alone. One
 * thread. */
#ifndef ELEMENTS_STATSD_SUMS_H
#define ELEMENTS_STATSD_SUMS_H

#include <yarder/batch.h>

#include "elements/table.h"

enum yd_statsd_kind { YD_STATSD_COUNTER, YD_STATSD_GAUGE, YD_STATSD_TIMER, YD_STATSD_SET, YD_STATSD_KINDS };
#define YD_STATSD_PERCENTILES_MAX 16

struct yd_statsd_sums_options {
    uint64_t series_max;  /* of each kind */
    uint32_t values_max;  /* of a timer in a flush: what comes beyond counts everywhere but in percentiles and median */
    uint32_t members_max; /* of a set in a flush */
    bool send_idle;       /* names that nothing came for: counters and sets 0, timers' counts 0, gauges their value */
    int64_t forget_ns;    /* how long at most */
    struct {
        double percent;
        char suffix[16]; /* "90", "99_9", "top10" */
    } percentiles[YD_STATSD_PERCENTILES_MAX];
    uint32_t percentile_count;
    const char *prefixes[YD_STATSD_KINDS]; /* in front of the metric, or "" */
    struct yd_alloc *alloc;
};
struct yd_statsd_sums {
    struct yd_statsd_sums_options options;
    struct yd_table tables[YD_STATSD_KINDS];
    struct yd_table peers; /* who brought names; more of them than fit are not known */
    uint64_t over;         /* values beyond values_max and members beyond members_max, since asked */
    uint64_t unsaid;       /* of a flush: not a finite number, or its name would be too long; since asked */
};
void yd_statsd_sums_init(struct yd_statsd_sums *sums, const struct yd_statsd_sums_options *options);
void yd_statsd_sums_fini(struct yd_statsd_sums *sums);

/* Record `index` of a batch made by yd_statsd_parse. 0; YD_EFULL: too many names; YD_ENOMEM; YD_EINVAL: it is none of
 * the four kinds (events and checks). now_ns: monotonic, for forgetting. */
int yd_statsd_sums_add(struct yd_statsd_sums *sums, const struct yd_batch *batch, uint32_t index, int64_t now_ns);
/* Says all of it at time_ns, over the seconds since the last flush, and begins anew. say: one value; TALLY or SAMPLE;
 * `peer` is who brought its name first, size 0: not known. */
void yd_statsd_sums_flush(struct yd_statsd_sums *sums, double seconds, int64_t now_ns,
                          void (*say)(void *arg, struct yd_str name, struct yd_str peer, enum yd_kind kind,
                                      double value),
                          void *arg);

#endif
