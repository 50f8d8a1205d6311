/* elements/lines.h: metric lines in memory to batches; what Graphite's plaintext and OpenTSDB's telnet put share.
 *
 *   bytes --find line ends, 64 bytes a step--> groups of some 16 lines
 *     --a format's parser: time, value, where the name's bytes are, their hash-->   (slots prefetched)
 *     --while the group before is written: the name cache's slots-->                (entries prefetched)
 *     --name cache: index in this batch-->
 *     --> records in the builder --full, or yd_lines_flush--> sink.batch
 *
 * Pure: no clock, no socket. Every call to the sink comes in the order of the lines; a bad line never sinks its
 * neighbours. Scanning is by AVX2 where the CPU has it; the portable way gives the same records (tested).
 * A line ends with LF or CR LF. Bare CR ends lines too, found when a whole burst brings no LF. Empty lines are nothing.
 *
 * One thread. */
#ifndef ELEMENTS_LINES_H
#define ELEMENTS_LINES_H

#include <yarder/name.h>

#include "elements/spellings.h"

/* Why a line was rejected. The texts are what the counters are called. */
#define YD_LINE_REASONS(X)                                                                                             \
    X(TOO_LONG, "line too long")                                                                                       \
    X(NO_VALUE, "no value")                                                                                            \
    X(BAD_VALUE, "bad value")                                                                                          \
    X(NOT_FINITE, "value not finite")                                                                                  \
    X(BAD_TIMESTAMP, "bad timestamp")                                                                                  \
    X(BAD_NAME, "bad name")                                                                                            \
    X(NAME_TOO_LONG, "name too long")                                                                                  \
    X(BAD_TAG, "bad tag")                                                                                              \
    X(DUPLICATE_TAG, "tag given twice")                                                                                \
    X(NOT_UTF8, "name not UTF-8")                                                                                      \
    X(HTTP, "HTTP request on a line port")                                                                             \
    X(COMMAND, "unknown command")                                                                                      \
    X(CUT_SHORT, "connection lost inside a line")                                                                      \
    X(NO_MEMORY, "out of memory")

enum yd_line_reason {
#define YD_LINE_ENUM(name, text) YD_LINE_##name,
    YD_LINE_REASONS(YD_LINE_ENUM)
#undef YD_LINE_ENUM
        YD_LINE_REASON_COUNT
};
extern const char *const yd_line_reasons[]; /* by enum yd_line_reason, ending in NULL */

struct yd_lines_sink {
    void *arg;
    void (*batch)(void *arg, struct yd_batch *batch); /* takes it */
    void (*reject)(void *arg, enum yd_line_reason reason, struct yd_str line);
    void (*command)(void *arg, struct yd_str line); /* a line that is no data: a format with commands only */
};

struct yd_lines_format; /* yd_graphite_format, yd_opentsdb_format */

struct yd_lines_options {
    const struct yd_lines_format *format;
    struct yd_lines_sink sink;
    size_t line_max;    /* bytes without the line's end; 0: 64 KiB */
    size_t batch_bytes; /* of a sealed frame; 0: 1 MiB */
    size_t cache_bytes; /* of the name cache; 0: YD_RAW_NAMES_BYTES */
    uint64_t seed;      /* of its hashes: random in the product */
    bool portable;      /* no AVX2, whatever the CPU has: for tests */
    struct yd_alloc *alloc;
};
struct yd_lines;

int yd_lines_create(const struct yd_lines_options *options, struct yd_lines **ret_lines);
void yd_lines_destroy(struct yd_lines *lines);
void yd_lines_set_now(struct yd_lines *lines, int64_t wall_ns); /* for lines that say "now" */

/* Parses the whole lines in data; returns the bytes used, up to and with the last line's end. */
size_t yd_lines_parse(struct yd_lines *lines, const char *data, size_t size);
/* All of it, a last line without an end included: a datagram, a text fed by a test. */
void yd_lines_parse_all(struct yd_lines *lines, const char *data, size_t size);
/* Seals what has been gathered and gives it to the sink. Nothing gathered: nothing happens. */
void yd_lines_flush(struct yd_lines *lines);
/* Lines seen, empty ones not counted: records + rejects + commands. */
uint64_t yd_lines_count(const struct yd_lines *lines);

/* ---- a byte stream that comes in pieces ---- */

/* What a connection keeps between reads: an unfinished line, most often nothing. */
struct yd_lines_tail {
    char *data;
    size_t size, capacity;
    bool skipping; /* inside a line over the limit: resynchronises at its end */
};
/* Where to read into: one buffer shared by all connections, their tail put before it. Valid until yd_lines_data, which
 * must come before the next yd_lines_room of any connection (libuv asks right before it reads). */
void yd_lines_room(struct yd_lines *lines, struct yd_lines_tail *tail, char **ret_to, size_t *ret_size);
void yd_lines_origin(struct yd_lines *lines, struct yd_str peer); /* whose lines come from here on: yd_builder_origin */
void yd_lines_data(struct yd_lines *lines, struct yd_lines_tail *tail, size_t size);
/* The peer is done: in order, a last line without an end counts; else it was cut short and is rejected. Frees. */
void yd_lines_ended(struct yd_lines *lines, struct yd_lines_tail *tail, bool in_order);

/* ---- what a format provides ---- */

enum yd_line_state { YD_LINE_RECORD, YD_LINE_REJECTED, YD_LINE_COMMANDED, YD_LINE_EMPTY };
struct yd_line {
    const char *start;
    uint32_t size; /* without its end */
    uint8_t state; /* enum yd_line_state */
    uint8_t reason;
    uint8_t type;                /* of the value */
    bool careful;                /* near the ends of the buffer: no reading beyond the line */
    uint8_t value_size;          /* of the value's text, between parse_group's two passes */
    struct yd_str first, second; /* the name's raw bytes */
    uint64_t hash;               /* of them */
    int64_t time_ns;
    union yd_value value;
    const char *value_end; /* like value_size */
    struct yd_raw_name *entry;
    uint32_t index; /* of the name in the batch */
};
#define YD_LINE_GROUP 16 /* lines gathered before they are parsed; one more step may bring 64 */
#define YD_LINE_PAD   64 /* a line at least so far from the buffer's ends may be read around */

struct yd_lines_format {
    const char *name;
    /* Fills state and reason, or type, first, second, time and value: the exact grammar. */
    void (*parse)(const struct yd_lines *lines, struct yd_line *line);
    /* The same for a group by AVX2, hashes and all; `parse` decides over lines that are careful or not of the common
     * shape. In two passes, where fields are and then values: chains of a line are short then, and more lines are
     * under way in the processor at once. NULL where there is none. */
    void (*parse_group)(const struct yd_lines *lines, struct yd_line *group, size_t count);
    /* The canonical name of first and second into `to` (YD_NAME_SIZE_MAX bytes): 0 or yd__line_reason. */
    int (*canonical)(struct yd_str first, struct yd_str second, char *to, size_t *ret_size);
};
int64_t yd__lines_now(const struct yd_lines *lines);
static inline int yd__line_reason(enum yd_line_reason reason)
{
    return -1 - (int)reason;
}

/* "GET /x HTTP/1.1" and its like. */
bool yd_line_is_http(struct yd_str line);
/* 0 or yd__line_reason. */
int yd__line_f64(struct yd_str text, double *ret);
/* Seconds since 1970, perhaps with a fraction: to the nanosecond where they are plain digits. */
int yd__line_seconds(struct yd_str text, int64_t *ret_ns);
/* The canonical name of a metric and tags, all of them as they are, not escaped: 0 or yd__line_reason. Tags with an
 * empty key or value are left out. */
#define YD_LINE_TAGS_MAX 128
int yd__line_name(struct yd_str metric, const struct yd_tag *tags, size_t tag_count, char *to, size_t *ret_size);
void yd__line_prepare(const struct yd_lines *lines, struct yd_line *line); /* hash and prefetch */
/* `parse`, then prepare: what parse_group does with a line that is not of the common shape. */
void yd__line_slowly(const struct yd_lines *lines, struct yd_line *line);
const struct yd_raw_names *yd__lines_names(const struct yd_lines *lines);

extern const struct yd_lines_format yd_graphite_format, yd_opentsdb_format;

#endif
