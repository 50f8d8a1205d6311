/* elements/exposition.h: what Prometheus' targets expose, in memory to batches. Pure.
 *
 *   # TYPE http_requests_total counter
 *   http_requests_total{method="post",code="200"} 1027 [time] [# exemplar]
 *
 * A line is one record named by the metric with its labels and the target's own as tags. Counters, and what histograms
 * and summaries count, are DELTAs (counters that grow); the rest are SAMPLEs. A bad line is rejected by one reason and
 * its neighbours are kept. A label that the target's own labels have, too, becomes `exported_LABEL`. Both forms are
 * taken; where they differ is said by `openmetrics`: times are seconds instead of milliseconds, and the last line is
 * "# EOF". Sources: "Exposition formats" of the Prometheus documentation (text format 0.0.4, with the quoted names of
 * 1.0.0) and "OpenMetrics 1.0".
 *
 * One thread. */
#ifndef ELEMENTS_EXPOSITION_H
#define ELEMENTS_EXPOSITION_H

#include <yarder/name.h>

#include "elements/spellings.h"

#define YD_EXPOSITION_REASONS(X)                                                                                       \
    X(BAD_LINE, "bad line")                                                                                            \
    X(BAD_NAME, "bad name")                                                                                            \
    X(BAD_LABEL, "bad label")                                                                                          \
    X(DUPLICATE_LABEL, "label given twice")                                                                            \
    X(NAME_TOO_LONG, "name too long")                                                                                  \
    X(NOT_UTF8, "not UTF-8")                                                                                           \
    X(NO_VALUE, "no value")                                                                                            \
    X(BAD_VALUE, "bad value")                                                                                          \
    X(NOT_FINITE, "value not finite")                                                                                  \
    X(BAD_TIMESTAMP, "bad timestamp")                                                                                  \
    X(BAD_TYPE, "bad type")                                                                                            \
    X(NO_MEMORY, "out of memory")

enum yd_exposition_reason {
#define YD_EXPOSITION_ENUM(name, text) YD_EXPOSITION_##name,
    YD_EXPOSITION_REASONS(YD_EXPOSITION_ENUM)
#undef YD_EXPOSITION_ENUM
        YD_EXPOSITION_REASON_COUNT
};
extern const char *const yd_exposition_reasons[]; /* by enum yd_exposition_reason, ending in NULL */

struct yd_exposition_sink {
    void *arg;
    void (*batch)(void *arg, struct yd_batch *batch, uint32_t records); /* takes it */
    void (*reject)(void *arg, enum yd_exposition_reason reason, struct yd_str line);
};
struct yd_exposition_options {
    struct yd_exposition_sink sink;
    const struct yd_tag *labels; /* the target's own, not escaped, each key once; kept by the caller */
    size_t label_count;
    bool honor_labels;  /* of a label that both have the line's counts, and none is renamed */
    bool ignore_times;  /* all lines are of `now` */
    size_t batch_bytes; /* of a sealed frame; 0: 1 MiB */
    size_t cache_bytes; /* of the name cache; 0: 16 MiB */
    uint64_t seed;      /* of its hashes: random in the product */
    struct yd_alloc *alloc;
};
struct yd_exposition;
int yd_exposition_create(const struct yd_exposition_options *options, struct yd_exposition **ret_exposition);
void yd_exposition_destroy(struct yd_exposition *exposition); /* NULL is quiet */

/* OpenMetrics says where it ends: false: it was cut short. */
bool yd_exposition_whole(struct yd_str text);
/* All lines; the last one needs no end. What is gathered stays until yd_exposition_flush. Returns the samples seen,
 * the rejected ones included; a bad TYPE is rejected and no sample. */
uint64_t yd_exposition_parse(struct yd_exposition *exposition, struct yd_str text, bool openmetrics, int64_t now_ns);
void yd_exposition_flush(struct yd_exposition *exposition);

#endif
