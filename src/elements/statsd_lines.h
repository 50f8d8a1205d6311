/* elements/statsd_lines.h: StatsD and DogStatsD lines in memory to batches. Pure.
 *
 *   name:value|type[|@rate][|#tag:value,tag]        what comes out is a record of the kind that says what it means:
 *
 *   c, C        TALLY    F64    value / rate
 *   g           SAMPLE   F64; with a sign: DELTA F64
 *   ms, h, d    SAMPLE   LIST [value, 1 / rate]; with options.plain: F64
 *   s           FACT     TEXT   one member
 *   _e{…}       EVENT    TEXT   named by its title
 *   _sc|…       STATE    TEXT   its message, with the state code in the flags
 *
 * Several values of a name: `a:1|c:200|ms` (StatsD) and `a:1:2:3|h` (DogStatsD 1.1). Tags: `|#k:v,flag` (DogStatsD),
 * `name,k=v:` (Influx), `name#k=v:` (Librato), `name[k=v]:` (SignalFx); two styles in one line are a mistake.
 * Sources: etsy/statsd docs/metric_types.md and stats.js (packed values, names), Datadog's "DogStatsD datagram format"
 * (1.0 to 1.3), prometheus/statsd_exporter (the tag styles). What is a line's mistake rejects that line alone.
 *
 * One thread. */
#ifndef ELEMENTS_STATSD_LINES_H
#define ELEMENTS_STATSD_LINES_H

#include "elements/spellings.h"

/* Why a line was rejected. The texts are what the counters are called. */
#define YD_STATSD_REASONS(X)                                                                                           \
    X(NO_VALUE, "no value")                                                                                            \
    X(BAD_VALUE, "bad value")                                                                                          \
    X(NO_TYPE, "no type")                                                                                              \
    X(BAD_TYPE, "unknown type")                                                                                        \
    X(BAD_RATE, "bad sample rate")                                                                                     \
    X(BAD_TIMESTAMP, "bad timestamp")                                                                                  \
    X(BAD_EXTRA, "unknown field")                                                                                      \
    X(BAD_NAME, "bad name")                                                                                            \
    X(NAME_TOO_LONG, "name too long")                                                                                  \
    X(BAD_TAG, "bad tag")                                                                                              \
    X(DUPLICATE_TAG, "tag given twice")                                                                                \
    X(TWO_STYLES, "two styles of tags")                                                                                \
    X(BAD_EVENT, "bad event")                                                                                          \
    X(BAD_CHECK, "bad service check")                                                                                  \
    X(NOT_UTF8, "not UTF-8")                                                                                           \
    X(TOO_LONG, "line too long")                                                                                       \
    X(NO_MEMORY, "out of memory")

enum yd_statsd_reason {
#define YD_STATSD_ENUM(name, text) YD_STATSD_##name,
    YD_STATSD_REASONS(YD_STATSD_ENUM)
#undef YD_STATSD_ENUM
        YD_STATSD_REASON_COUNT
};
extern const char *const yd_statsd_reasons[]; /* by enum yd_statsd_reason, ending in NULL */

struct yd_statsd_sink {
    void *arg;
    void (*batch)(void *arg, struct yd_batch *batch, uint32_t records); /* takes it */
    void (*reject)(void *arg, enum yd_statsd_reason reason, struct yd_str line);
};

struct yd_statsd;
struct yd_statsd_options {
    struct yd_statsd_sink sink;
    bool plain;         /* timers without their weight */
    size_t batch_bytes; /* of a sealed frame; 0: 1 MiB */
    size_t cache_bytes; /* of the name cache; 0: 64 MiB */
    uint64_t seed;
    struct yd_alloc *alloc;
};
int yd_statsd_create(const struct yd_statsd_options *options, struct yd_statsd **ret_statsd);
void yd_statsd_destroy(struct yd_statsd *statsd); /* NULL is quiet */

/* All lines of a text, a datagram's; the last one needs no end. Returns the lines seen, empty ones not counted. Records
 * have the time now_ns, or their own (DogStatsD's T and d:). What is gathered stays until yd_statsd_flush. */
uint64_t yd_statsd_parse(struct yd_statsd *statsd, struct yd_str text, int64_t now_ns);
/* Whose bytes come next: names that these bring first are this peer's (yd_batch_origin). */
void yd_statsd_origin(struct yd_statsd *statsd, struct yd_str peer);
void yd_statsd_flush(struct yd_statsd *statsd);

#endif
