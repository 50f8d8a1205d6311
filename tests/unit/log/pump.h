/* Following without a wire: a leader's bytes are handed to a follower in the same thread. */
#ifndef LOG_PUMP_H
#define LOG_PUMP_H

#include "base/text.h"
#include <yarder/log.h>

struct pump {
    struct yd_log *leader, *follower;
    struct yd_log_source *source;
    struct yd_log_replica *replica;
    /* a part that the follower had no room for */
    enum yd_log_part part;
    uint64_t base, segment_size;
    const char *bytes;
    size_t size, at;
    bool pending;
};

/* 0: agreed. YD_EGAP: cut to *ret_common; YD_ENOENT: begin anew; YD_EEPOCH: one of the two is deposed. */
static inline int pump_open(struct pump *pump, struct yd_log *leader, struct yd_log *follower, const char *id,
                            uint64_t *ret_common)
{
    *pump = (struct pump){.leader = leader, .follower = follower};
    struct yd_log_place place;
    struct yd_log_position position;
    yd_log_place(follower, &place);
    yd_log_position(leader, &position);
    int error = yd_log_follow_check(leader, &place, ret_common);
    if (!error) error = yd_log_follow_leader(follower, position.epoch);
    if (!error) error = yd_log_source_open(leader, &place, &pump->source);
    if (!error) error = yd_log_replica_join(leader, id, place.copy, &pump->replica);
    return error;
}

static inline void pump_close(struct pump *pump)
{
    yd_log_source_close(pump->source);
    yd_log_replica_leave(pump->replica);
    *pump = (struct pump){0};
}

static inline int pump_give(struct pump *pump)
{
    if (pump->part == YD_LOG_HEAD)
        return yd_log_follow_segment(pump->follower, pump->bytes, pump->size, pump->segment_size);
    if (pump->part == YD_LOG_SEAL) return yd_log_follow_seal(pump->follower, pump->base, pump->bytes, pump->size);
    while (pump->at < pump->size) {
        struct yd_batch *batch;
        int error = yd_batch_from_bytes(pump->bytes + pump->at, pump->size - pump->at, &batch);
        if (error) return error;
        error = yd_log_follow_batch(pump->follower, batch);
        uint32_t size = batch->header.size;
        yd_batch_unref(batch);
        if (error) return error;
        pump->at += size;
    }
    return 0;
}

/* Moves one part. YD_EAGAIN: nothing more. */
static inline int pump_step(struct pump *pump)
{
    if (!pump->pending) {
        const void *bytes;
        int error =
            yd_log_source_next(pump->source, &pump->part, &pump->base, &pump->segment_size, &bytes, &pump->size);
        if (error) return error;
        pump->bytes = bytes;
        pump->at = 0;
        pump->pending = true;
    }
    int error = pump_give(pump);
    if (!error) pump->pending = false;
    return error;
}

#endif
