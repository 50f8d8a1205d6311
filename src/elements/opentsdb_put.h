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
    struct yd_builder *builder;
    bool details;
    void *arg;
    void (*full)(void *arg);                                                /* the builder is full: seal it */
    void (*rejected)(void *arg, unsigned line_reason, struct yd_str point); /* for counters and samples */
};
/* Points that are good are in the builder, whatever became of the others. */
void yd_opentsdb_put(struct yd_str body, const struct yd_put_options *options, struct yd_put_result *ret);
/* The answer's body: {"success":…,"failed":…}; timeouts < 0: not asked for. */
void yd_put_summary(const struct yd_put_result *result, int64_t timeouts, bool details, struct yd_buf *to);
/* {"error":{"code":…,"message":…,"details":…}} */
void yd_opentsdb_error(struct yd_buf *to, unsigned code, struct yd_str message, struct yd_str details);

#endif
