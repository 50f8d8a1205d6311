/* elements/influx_lines.h: Influx line protocol in memory to batches. Pure.
 *
 *   measurement[,key=value…] SP key=value[,key=value…] [SP timestamp]
 *
 * A line is one record for each of its fields, named MEASUREMENT SEPARATOR FIELD with the line's tags, at the line's
 * time: numbers and booleans (1, 0) are SAMPLEs, strings EVENTs. A line is taken whole or rejected whole, but for a
 * field that no batch can hold; the next one begins after its line feed. Rejects keep no order among lines. Source of
 * the grammar: InfluxData's "Line protocol" reference for 1.8 and 2.x (its EBNF) and the parser tests of Telegraf;
 * where they differ is said in influx_lines.c.
 *
 * One thread. */
#ifndef ELEMENTS_INFLUX_LINES_H
#define ELEMENTS_INFLUX_LINES_H

#include "elements/spellings.h"

/* Why a line was rejected. The texts are what the counters and the peers are told. */
#define YD_INFLUX_REASONS(X)                                                                                           \
    X(NO_FIELDS, "no fields")                                                                                          \
    X(BAD_MEASUREMENT, "bad measurement")                                                                              \
    X(BAD_TAG, "bad tag")                                                                                              \
    X(DUPLICATE_TAG, "tag given twice")                                                                                \
    X(BAD_FIELD, "bad field")                                                                                          \
    X(BAD_VALUE, "bad value")                                                                                          \
    X(OPEN_STRING, "string not closed")                                                                                \
    X(BAD_TIMESTAMP, "bad timestamp")                                                                                  \
    X(NAME_TOO_LONG, "name too long")                                                                                  \
    X(NOT_UTF8, "not UTF-8")                                                                                           \
    X(TOO_LARGE, "string too large for a batch")                                                                       \
    X(NO_MEMORY, "out of memory")

enum yd_influx_reason {
#define YD_INFLUX_ENUM(name, text) YD_INFLUX_##name,
    YD_INFLUX_REASONS(YD_INFLUX_ENUM)
#undef YD_INFLUX_ENUM
        YD_INFLUX_REASON_COUNT
};
extern const char *const yd_influx_reasons[]; /* by enum yd_influx_reason, ending in NULL */

struct yd_influx_sink {
    void *arg;
    void (*batch)(void *arg, struct yd_batch *batch, uint32_t records); /* takes it */
    void (*reject)(void *arg, enum yd_influx_reason reason, struct yd_str line);
};

struct yd_influx;
struct yd_influx_options {
    struct yd_influx_sink sink;
    struct yd_str separator; /* between measurement and field, up to 8 bytes; kept by the caller */
    bool drop_strings;       /* string fields make no record; those are counted by yd_influx_strings */
    size_t batch_bytes;      /* of a sealed frame; 0: 4 MiB */
    size_t cache_bytes;      /* of the name cache; 0: YD_RAW_NAMES_BYTES */
    uint64_t seed;           /* of its hashes: random in the product */
    struct yd_alloc *alloc;
};
int yd_influx_create(const struct yd_influx_options *options, struct yd_influx **ret_influx);
void yd_influx_destroy(struct yd_influx *influx); /* NULL is quiet */

/* Nanoseconds of a unit: "ns" ("n"), "us" ("u", "µ"), "ms", "s", "m", "h"; "auto": 0, guessed by the number's size, as
 * VictoriaMetrics does. YD_EINVAL: no such unit. */
int yd_influx_precision(struct yd_str text, int64_t *ret_unit_ns);

/* All lines of a body or a datagram; the last one needs no end. Lines without a time get now_ns. What is gathered stays
 * until yd_influx_flush. Returns the lines seen, comments and empty ones not counted. */
uint64_t yd_influx_parse(struct yd_influx *influx, struct yd_str text, int64_t unit_ns, int64_t now_ns);
void yd_influx_flush(struct yd_influx *influx);
void yd_influx_origin(struct yd_influx *influx,
                      struct yd_str peer);            /* whose names come from here on: yd_builder_origin */
uint64_t yd_influx_strings(struct yd_influx *influx); /* dropped since the last call */

#endif
