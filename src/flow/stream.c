/* The log behind an element or a spill: who flushes it, and who is told when it has got further.
 *
 * On real threads the log has its own (yd_log_start). In a simulation a lane of the simulated pool flushes it, once
 * something was appended. Either way progress comes here, in the flushing thread, and becomes at most one envelope on
 * its way to each who wants to know. */
#include <stdlib.h>

#include "base/drd.h"
#include "flow/runtime.h"

#define MAINTAIN_EVERY YD_NS_PER_S

static void tell(struct yd__stream *stream, struct yd__stream_sub *sub)
{
    /* The subscriber clears it (acquire, release) before it looks at the positions: what moves after that is told
     * again. */
    YD_DRD_BEFORE(&sub->told);
    if (atomic_exchange_explicit(&sub->told, true, memory_order_acq_rel)) return;
    if (yd__tell(stream->run, sub->pid, YD__ENV_MOVED, sub->key, 0) == YD_ENOMEM)
        atomic_store_explicit(&sub->told, false, memory_order_release); /* the next progress tells */
}

static void progress(void *arg)
{
    struct yd__stream *stream = arg;
    for (size_t i = 0; i < stream->sub_count; i++) tell(stream, &stream->subs[i]);
}

void yd__stream_took(struct yd__stream_sub *sub)
{
    atomic_exchange_explicit(&sub->told, false, memory_order_acq_rel);
    YD_DRD_AFTER(&sub->told);
}

int yd__stream_up(struct yd__stream *stream, struct yd_run *run, struct yd_log *log)
{
    stream->run = run;
    stream->log = log;
    stream->memory_seen = UINT64_MAX;
    if (!log) return YD_EINVAL;
    yd_log_on_progress(log, progress, stream);
    if (!run->options.simulated) return yd_log_start(log);
    atomic_store_explicit(&stream->flushing, false, memory_order_relaxed);
    return stream->lane ? 0 : yd_lane_open(run->options.pool, &stream->lane);
}

static void flush(void *arg)
{
    struct yd__stream *stream = arg;
    atomic_store_explicit(&stream->flushing, false, memory_order_relaxed); /* simulated: one thread */
    if (!stream->log) return;
    (void)yd_log_flush(stream->log); /* what failed is in the positions, and progress tells */
    int64_t now = yd__run_mono(stream->run);
    if (now < stream->maintain_at) return;
    stream->maintain_at = now + MAINTAIN_EVERY;
    (void)yd_log_maintain(stream->log); /* tried again in a second */
}

void yd__stream_appended(struct yd__stream *stream)
{
    if (!stream->log) return;
    bool memory_readers = false;
    for (size_t i = 0; i < stream->sub_count; i++) memory_readers |= stream->subs[i].level == YD_ACK_MEMORY;
    if (!stream->run->options.simulated && !memory_readers) return;
    struct yd_log_position position;
    yd_log_position(stream->log, &position);
    if (position.memory != stream->memory_seen) {
        stream->memory_seen = position.memory;
        for (size_t i = 0; i < stream->sub_count; i++)
            if (stream->subs[i].level == YD_ACK_MEMORY) tell(stream, &stream->subs[i]);
    }
    if (!stream->run->options.simulated || position.durable == position.memory || position.failed) return;
    if (atomic_exchange_explicit(&stream->flushing, true, memory_order_relaxed)) return;
    if (yd_lane_submit(stream->lane, flush, NULL, NULL, stream) < 0)
        atomic_store_explicit(&stream->flushing, false, memory_order_relaxed);
}

void yd__stream_fini(struct yd__stream *stream)
{
    stream->log = NULL;
}
