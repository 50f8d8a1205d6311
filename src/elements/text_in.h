/* elements/text_in.h: lines of a grammar that is chosen by name, to batches: for those who take several. Pure.
 *
 *   "bolo" bolo_lines.h | "graphite", "opentsdb" lines.h | "influx" influx_lines.h | "prometheus" exposition.h
 *
 * Whatever the grammar, a bad line is rejected by one of enum yd_text_reason and its neighbours are kept. One thread.
 */
#ifndef ELEMENTS_TEXT_IN_H
#define ELEMENTS_TEXT_IN_H

#include "elements/lines.h"

/* Those of lines first, by the same numbers. */
#define YD_TEXT_REASONS(X)                                                                                             \
    X(BAD_LINE, "bad line")                                                                                            \
    X(NO_FIELDS, "no fields")                                                                                          \
    X(BAD_MEASUREMENT, "bad measurement")                                                                              \
    X(BAD_FIELD, "bad field")                                                                                          \
    X(OPEN_STRING, "string not closed")                                                                                \
    X(BAD_TYPE, "bad type")

enum yd_text_reason {
    YD_TEXT_BEFORE = YD_LINE_REASON_COUNT - 1,
#define YD_TEXT_ENUM(name, text) YD_TEXT_##name,
    YD_TEXT_REASONS(YD_TEXT_ENUM)
#undef YD_TEXT_ENUM
        YD_TEXT_REASON_COUNT
};
/* For a class's own list of reasons: the texts, each with a comma. */
#define YD_TEXT_REASON_TEXT(name, text) text,
#define YD_TEXT_REASON_TEXTS            YD_LINE_REASONS(YD_TEXT_REASON_TEXT) YD_TEXT_REASONS(YD_TEXT_REASON_TEXT)
extern const char *const yd_text_reasons[]; /* by enum yd_text_reason, ending in NULL */
extern const char *const yd_text_formats[]; /* ending in NULL */

struct yd_text_sink {
    void *arg;
    void (*batch)(void *arg, struct yd_batch *batch, uint32_t records); /* takes it */
    void (*reject)(void *arg, unsigned reason, struct yd_str line);
};
struct yd_text_in;
struct yd_text_in_options {
    const char *format;
    struct yd_text_sink sink;
    size_t line_max; /* of bolo, graphite, opentsdb; 0: 64 KiB */
    uint64_t seed;
};
int yd_text_in_create(const struct yd_text_in_options *options, struct yd_text_in **ret_in);
void yd_text_in_destroy(struct yd_text_in *in); /* NULL is quiet */
/* All lines; the last one needs no end. What is gathered goes to the sink. */
void yd_text_in_parse(struct yd_text_in *in, struct yd_str text, int64_t now_ns);

#endif
