/* The logs behind an element (one for each partition of its stream) or a spill: who flushes them, and who is told when
 * they have got further.
 *
 * On real threads each log has its own (yd_log_start). In a simulation a lane of the simulated pool flushes them, once
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

int yd__stream_up(struct yd__stream *stream, struct yd_run *run, struct yd_log *const *logs, unsigned count)
{
    if (count == 0 || count > YD_PARTITIONS_MAX || (stream->count && count != stream->count)) return YD_EINVAL;
    stream->run = run;
    stream->count = count;
    stream->up = true;
    int error = 0;
    for (unsigned i = 0; i < count; i++) {
        stream->logs[i] = logs[i];
        stream->memory_seen[i] = UINT64_MAX;
        yd_log_on_progress(logs[i], progress, stream);
    }
    for (unsigned i = 0; i < count && !run->options.simulated && !error; i++) error = yd_log_start(logs[i]);
    if (error < 0 || !run->options.simulated) return error;
    atomic_store_explicit(&stream->flushing, false, memory_order_relaxed);
    return stream->lane ? 0 : yd_lane_open(run->options.pool, &stream->lane);
}

static void flush(void *arg)
{
    struct yd__stream *stream = arg;
    atomic_store_explicit(&stream->flushing, false, memory_order_relaxed); /* simulated: one thread */
    if (!stream->up) return;
    /* What failed is in the positions, and progress tells. */
    for (unsigned i = 0; i < stream->count; i++) (void)yd_log_flush(stream->logs[i]);
    int64_t now = yd__run_mono(stream->run);
    if (now < stream->maintain_at) return;
    stream->maintain_at = now + MAINTAIN_EVERY;
    for (unsigned i = 0; i < stream->count; i++) (void)yd_log_maintain(stream->logs[i]); /* again in a second */
}

void yd__stream_appended(struct yd__stream *stream)
{
    if (!stream->up) return;
    bool memory_readers = false, more = false, to_flush = false;
    for (size_t i = 0; i < stream->sub_count; i++) memory_readers |= stream->subs[i].level == YD_ACK_MEMORY;
    if (!stream->run->options.simulated && !memory_readers) return;
    for (unsigned i = 0; i < stream->count; i++) {
        struct yd_log_position position;
        yd_log_position(stream->logs[i], &position);
        more |= position.memory != stream->memory_seen[i];
        to_flush |= position.durable != position.memory && !position.failed;
        stream->memory_seen[i] = position.memory;
    }
    for (size_t i = 0; more && i < stream->sub_count; i++)
        if (stream->subs[i].level == YD_ACK_MEMORY) tell(stream, &stream->subs[i]);
    if (!stream->run->options.simulated || !to_flush) return;
    if (atomic_exchange_explicit(&stream->flushing, true, memory_order_relaxed)) return;
    if (yd_lane_submit(stream->lane, flush, NULL, NULL, stream) < 0)
        atomic_store_explicit(&stream->flushing, false, memory_order_relaxed);
}

void yd__stream_fini(struct yd__stream *stream)
{
    stream->up = false;
}
