/* elements/pickle_frames.h: Graphite's pickle protocol in memory to batches. Pure.
 *
 *   frame = size 32, big-endian; pickle of [(path, (timestamp, value)), …]
 *
 * A pickle is a program for a stack machine. This machine knows data only: numbers, texts, lists, tuples, a memo. What
 * would name or call something (GLOBAL, REDUCE, BUILD, …) ends its frame, counted by a reason of its own; nothing is
 * ever run or looked up. A frame's points are taken when all of it was understood; then a bad point costs itself only.
 * Sources: the comments of pickletools.py of Python; Graphite's "Feeding In Your Data".
 *
 * One thread. */
#ifndef ELEMENTS_PICKLE_FRAMES_H
#define ELEMENTS_PICKLE_FRAMES_H

#include "elements/spellings.h"

#define YD_PICKLE_FRAME_MAX ((size_t)1 << 20) /* without its size: what carbon takes */

#define YD_PICKLE_REASONS(X)                                                                                           \
    X(TOO_LARGE, "frame larger than 1 MiB")                                                                            \
    X(CODE, "pickle with code refused")                                                                                \
    X(BAD_PICKLE, "bad pickle")                                                                                        \
    X(NOT_A_POINT, "not a point")                                                                                      \
    X(BAD_VALUE, "bad value")                                                                                          \
    X(NOT_FINITE, "value not finite")                                                                                  \
    X(BAD_TIMESTAMP, "bad timestamp")                                                                                  \
    X(BAD_NAME, "bad name")                                                                                            \
    X(NOT_UTF8, "name not UTF-8")                                                                                      \
    X(CUT_SHORT, "connection lost inside a frame")                                                                     \
    X(NO_MEMORY, "out of memory")

enum yd_pickle_reason {
#define YD_PICKLE_ENUM(name, text) YD_PICKLE_##name,
    YD_PICKLE_REASONS(YD_PICKLE_ENUM)
#undef YD_PICKLE_ENUM
        YD_PICKLE_REASON_COUNT
};
extern const char *const yd_pickle_reasons[]; /* by enum yd_pickle_reason, ending in NULL */

struct yd_pickle_sink {
    void *arg;
    void (*batch)(void *arg, struct yd_batch *batch); /* takes it */
    void (*reject)(void *arg, enum yd_pickle_reason reason, uint64_t records, struct yd_str sample);
};
struct yd_pickle_options {
    struct yd_pickle_sink sink;
    size_t batch_bytes; /* of a sealed frame; 0: 1 MiB */
    size_t cache_bytes; /* of the name cache; 0: 64 MiB */
    uint64_t seed;      /* of its hashes: random in the product */
    struct yd_alloc *alloc;
};
struct yd_pickle;
int yd_pickle_create(const struct yd_pickle_options *options, struct yd_pickle **ret_pickle);
void yd_pickle_destroy(struct yd_pickle *pickle); /* NULL is quiet */
/* The whole frames at the front of `bytes`: returns the bytes used. YD_ETOOBIG: what comes next says that it is larger
 * than a frame may be, which was rejected: there is no way to go on. */
int yd_pickle_take(struct yd_pickle *pickle, struct yd_str bytes, int64_t now_ns, size_t *ret_used);
/* One pickle without its size. Times -1 and 0 are now_ns. What is gathered stays until yd_pickle_flush. */
void yd_pickle_parse(struct yd_pickle *pickle, struct yd_str text, int64_t now_ns);
/* Whose bytes come next: names that these bring first are this peer's (yd_batch_origin). */
void yd_pickle_origin(struct yd_pickle *pickle, struct yd_str peer);
void yd_pickle_flush(struct yd_pickle *pickle);

#endif
