/* elements/opentsdb_put.h: the body of /api/put: one data point or an array of them, to records. Pure. */
#ifndef ELEMENTS_OPENTSDB_PUT_H
#define ELEMENTS_OPENTSDB_PUT_H

#include <yarder/batch.h>

#include "base/text.h"

struct yd_put_result {
    uint64_t success, failed;
    const char *fatal;     /* the body is no data point at all: nothing was taken; says why */
    struct yd_trail trail; /* and where */
    struct yd_buf errors;  /* with `details`: the items of "errors", separated by commas; the caller's to fini */
};
struct yd_put_options {
    bool details;
    bool tokens; /* all points by way of the tokenizer: for tests */
    void *arg;
    void (*full)(void *arg);                                                /* the batch is full: seal it */
    void (*rejected)(void *arg, unsigned line_reason, struct yd_str point); /* for counters and samples */
};

struct yd_put; /* a batch being built, and a memory of names as clients spell them */
int yd_put_create(struct yd_alloc *alloc, size_t batch_bytes, size_t cache_bytes, uint64_t seed,
                  struct yd_put **ret_put);
void yd_put_destroy(struct yd_put *put);
uint32_t yd_put_count(const struct yd_put *put); /* records in the batch */
int yd_put_seal(struct yd_put *put, struct yd_batch **ret_batch);
/* Points that are good are in the batch, whatever became of the others. */
void yd_put_origin(struct yd_put *put, struct yd_str peer); /* whose points come from here on: yd_builder_origin */
void yd_opentsdb_put(struct yd_put *put, struct yd_str body, const struct yd_put_options *options,
                     struct yd_put_result *ret);
/* The answer's body: {"success":…,"failed":…}; timeouts < 0: not asked for. */
void yd_put_summary(const struct yd_put_result *result, int64_t timeouts, bool details, struct yd_buf *to);
/* {"error":{"code":…,"message":…,"details":…}} */
void yd_opentsdb_error(struct yd_buf *to, unsigned code, struct yd_str message, struct yd_str details);

#endif
