/* elements/remote_samples.h: Prometheus remote write 1.0 in memory to batches. Pure.
 *
 *   WriteRequest = TimeSeries {Label {name, value} …, Sample {value, milliseconds} …} …      protocol buffers, inflated
 *
 * Each sample is a SAMPLE named by the label __name__ with the others as tags. The message is looked through before
 * anything of it is taken: a malformed one is refused whole; then a bad series or sample costs itself only. Sources:
 * "Prometheus Remote-Write 1.0 specification", prompb/remote.proto and types.proto.
 *
 * One thread. */
#ifndef ELEMENTS_REMOTE_SAMPLES_H
#define ELEMENTS_REMOTE_SAMPLES_H

#include "elements/spellings.h"

#define YD_REMOTE_REASONS(X)                                                                                           \
    X(BAD_MESSAGE, "bad message")                                                                                      \
    X(NO_NAME, "series without a name")                                                                                \
    X(BAD_NAME, "bad name")                                                                                            \
    X(DUPLICATE_LABEL, "label given twice")                                                                            \
    X(NOT_UTF8, "not UTF-8")                                                                                           \
    X(BAD_TIMESTAMP, "bad timestamp")                                                                                  \
    X(NOT_FINITE, "value not finite")                                                                                  \
    X(STALE, "staleness marker")                                                                                       \
    X(HISTOGRAM, "native histogram")                                                                                   \
    X(NO_MEMORY, "out of memory")

enum yd_remote_reason {
#define YD_REMOTE_ENUM(name, text) YD_REMOTE_##name,
    YD_REMOTE_REASONS(YD_REMOTE_ENUM)
#undef YD_REMOTE_ENUM
        YD_REMOTE_REASON_COUNT
};
extern const char *const yd_remote_reasons[]; /* by enum yd_remote_reason, ending in NULL */

struct yd_remote_sink {
    void *arg;
    void (*batch)(void *arg, struct yd_batch *batch, uint32_t records); /* takes it */
    void (*reject)(void *arg, enum yd_remote_reason reason, uint64_t records, struct yd_str sample);
};
struct yd_remote_options {
    struct yd_remote_sink sink;
    size_t batch_bytes; /* of a sealed frame; 0: 4 MiB */
    size_t cache_bytes; /* of the name cache; 0: YD_RAW_NAMES_BYTES */
    uint64_t seed;      /* of its hashes: random in the product */
    struct yd_alloc *alloc;
};
struct yd_remote;
int yd_remote_create(const struct yd_remote_options *options, struct yd_remote **ret_remote);
void yd_remote_destroy(struct yd_remote *remote); /* NULL is quiet */
/* A WriteRequest. What is gathered stays until yd_remote_flush. YD_EFORMAT: it is none; said to the sink as well. */
int yd_remote_parse(struct yd_remote *remote, struct yd_str message);
void yd_remote_flush(struct yd_remote *remote);
void yd_remote_origin(struct yd_remote *remote,
                      struct yd_str peer); /* whose names come from here on: yd_builder_origin */

#endif
