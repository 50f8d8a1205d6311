/* serve/native_follow.c: followers of a stream: FOLLOW, FOLLOWED, FENCE.
 *
 *   FOLLOW, its place ─▶ on the chain? ── no ─▶ FOLLOWING: cut back, begin anew, or: I am deposed
 *                          | yes
 *                          v
 *   a job reads the next part (yd_log_source) ─▶ SEGMENT, BATCHES, SEAL ─▶ and so on, until there is nothing more
 *   FOLLOWED ─▶ yd_log_replica_durable ─▶ `replicated` moves, and its acknowledgements go out
 *
 * One job at a time for each follower, never while it leaves more than BACKLOG_MAX unread: a follower that does not
 * read stops itself alone, and leaves the set when it is too far behind. */
#include <stdlib.h>
#include <string.h>

#include "serve/native_internal.h"

#define BACKLOG_MAX ((size_t)2 << 20)

struct follower {
    struct yd__native_handle *handle; /* NULL: it has gone */
    struct yd_log *log;
    struct yd_lane *lane;
    struct yd_log_source *source;
    struct yd_log_replica *replica;
    struct yd__native_job job;
    uint64_t correlation;
    bool busy, again;
    /* the job */
    bool checking;
    struct yd_log_place place;
    uint64_t common, base, segment_size;
    enum yd_log_part part;
    const void *bytes;
    size_t size;
    int error;
    char id[64];
};

static void free_follower(struct follower *follower)
{
    yd_log_source_close(follower->source);
    yd_log_replica_leave(follower->replica);
    yd_lane_close(follower->lane);
    yd_log_unref(follower->log);
    free(follower);
}

void yd__native_follow_close(struct yd__native_handle *handle)
{
    struct follower *follower = handle->follower;
    if (!follower) return;
    handle->follower = NULL;
    handle->peer->follows--;
    follower->handle = NULL;
    yd_log_replica_leave(follower->replica);
    follower->replica = NULL;
    if (!follower->busy) free_follower(follower);
}

static void answer(struct follower *follower, int error)
{
    struct yd_log_position position;
    yd_log_position(follower->log, &position);
    struct yd_msg_following message = {
        .error = error, .epoch = position.epoch, .common = follower->common, .log_id = position.log_id};
    yd__native_send(follower->handle->peer, YD_MSG_FOLLOWING, 0, follower->correlation, &message, sizeof message,
                    (struct yd_str){0});
}

static void work(struct yd__native_job *job)
{
    struct follower *follower = YD_CONTAINER(job, struct follower, job);
    if (follower->checking) {
        follower->error = yd_log_follow_check(follower->log, &follower->place, &follower->common);
        /* In memory it holds at once; the follower tells again when it did not last. */
        if (follower->error == YD_EEPOCH) (void)yd_log_fence(follower->log, follower->place.known_epoch);
        return;
    }
    follower->error = yd_log_source_next(follower->source, &follower->part, &follower->base, &follower->segment_size,
                                         &follower->bytes, &follower->size);
}

static uint64_t next_of(const struct follower *follower)
{
    const struct yd_header *header = NULL;
    for (size_t at = 0; at < follower->size; at += header->size)
        header = (const void *)((const char *)follower->bytes + at);
    return header ? header->base_seqno + header->count : 0;
}

static void send_part(struct follower *follower)
{
    struct yd__native_peer *peer = follower->handle->peer;
    union {
        struct yd_msg_segment segment;
        struct yd_msg_seal seal;
        struct yd_msg_batches batches;
    } body = {0};
    static const char zeros[8];
    size_t body_size, pad = -follower->size & 7;
    enum yd_message type;
    if (follower->part == YD_LOG_HEAD) {
        body.segment = (struct yd_msg_segment){follower->base, follower->segment_size};
        type = YD_MSG_SEGMENT;
        body_size = sizeof body.segment;
    } else if (follower->part == YD_LOG_SEAL) {
        body.seal = (struct yd_msg_seal){follower->base, follower->size};
        type = YD_MSG_SEAL;
        body_size = sizeof body.seal;
    } else {
        body.batches = (struct yd_msg_batches){next_of(follower)};
        type = YD_MSG_BATCHES;
        body_size = sizeof body.batches;
    }
    if (yd__native_begin(peer, type, 0, follower->correlation, &body, body_size, follower->size + pad)) return;
    int error = yd_stream_write(peer->stream, (struct yd_str){follower->bytes, follower->size});
    if (!error && pad) error = yd_stream_write(peer->stream, (struct yd_str){zeros, pad});
    if (error) yd__native_peer_close(peer); /* half a frame */
}

static void run(struct follower *follower);

static void stop_sending(struct follower *follower)
{
    yd_log_source_close(follower->source);
    follower->source = NULL;
    yd_log_replica_leave(follower->replica);
    follower->replica = NULL;
}

/* What a job has found out. true: there may be more to do. The peer may have gone when it returns. */
static bool take(struct follower *follower)
{
    int error = follower->error;
    if (follower->checking) {
        follower->checking = false;
        if (!error) error = yd_log_source_open(follower->log, &follower->place, &follower->source);
        if (!error) error = yd_log_replica_join(follower->log, follower->id, follower->place.copy, &follower->replica);
        if (error) stop_sending(follower);
        answer(follower, error);
        return !error;
    }
    if (!error) {
        send_part(follower);
        return true;
    }
    if (error == YD_EAGAIN) return follower->again;
    struct yd_log_position position;
    yd_log_position(follower->log, &position);
    follower->common = position.first;
    stop_sending(follower);
    if (error != YD_ENOENT)
        yd__native_say(follower->handle->peer->native, 2, "follower %s of %s: its next batches cannot be read: %s",
                       follower->id, follower->handle->stream->name, yd_error_text(error));
    answer(follower, error);
    return false;
}

static void done(struct yd__native_job *job)
{
    struct follower *follower = YD_CONTAINER(job, struct follower, job);
    bool more = follower->handle && !job->peer->dead && take(follower);
    follower->busy = false; /* until here nobody frees it */
    if (!follower->handle)
        free_follower(follower);
    else if (more)
        run(follower);
}

static void submit(struct follower *follower)
{
    struct yd__native_peer *peer = follower->handle->peer;
    follower->busy = yd__native_submit(peer->native, follower->lane, peer, &follower->job) == 0;
    if (!follower->busy) yd__native_goodbye(peer, YD_ENOMEM, "out of memory");
}

static void run(struct follower *follower)
{
    struct yd__native_peer *peer = follower->handle->peer;
    if (follower->busy || follower->checking || !follower->source || peer->dead) {
        follower->again = true;
        return;
    }
    if (yd_stream_backlog(peer->stream) > BACKLOG_MAX) return; /* drained: yd__native_follow_run */
    follower->again = false;
    submit(follower);
}

void yd__native_follow_moved(struct yd__native_handle *handle, const struct yd_log_position *position)
{
    struct follower *follower = handle->follower;
    if (!follower) return;
    if (position->closed)
        yd__native_follow_close(handle);
    else
        run(follower);
}

void yd__native_follow_run(struct yd__native_peer *peer)
{
    for (uint32_t i = 0; peer->follows > 0 && !peer->dead && i < peer->handle_count; i++)
        if (peer->handles[i]->follower) run(peer->handles[i]->follower);
}

int yd__native_follow(struct yd__native_peer *peer, const struct yd__native_frame *frame)
{
    const struct yd_msg_follow *message = (const void *)frame->body;
    size_t at = sizeof *message;
    struct yd_str id;
    if (!yd__native_text(frame, &at, message->id_size, &id)) return YD_EFORMAT;
    struct yd__native_handle *handle = yd__native_handle(peer, message->handle);
    if (!handle || handle->stream->gone) {
        yd__native_refuse(peer, frame->head.correlation, &(struct yd_msg_refused){.error = YD_ENOENT},
                          "this handle is of no open stream");
        return 0;
    }
    if (yd__native_refuse_whole(handle, frame->head.correlation, "follow each of")) return 0;
    struct follower *follower = handle->follower;
    if (follower && follower->busy) {
        yd__native_refuse(peer, frame->head.correlation, &(struct yd_msg_refused){.error = YD_EBUSY},
                          "the answer to the last FOLLOW is on its way");
        return 0;
    }
    yd__native_follow_close(handle);
    follower = calloc(1, sizeof *follower);
    if (!follower || yd_lane_open(peer->native->options.pool, &follower->lane)) {
        free(follower);
        yd__native_goodbye(peer, YD_ENOMEM, "out of memory");
        return 0;
    }
    follower->handle = handle;
    follower->log = yd_log_ref(handle->stream->log);
    follower->correlation = frame->head.correlation;
    follower->job = (struct yd__native_job){.work = work, .done = done};
    follower->checking = true;
    follower->place = (struct yd_log_place){
        .log_id = message->log_id,
        .seqno = message->seqno,
        .segment = message->segment,
        .offset = message->offset,
        .epoch = message->epoch,
        .last_crc = message->last_crc,
        .known_epoch = message->known_epoch,
        .copy = message->copy,
        .epoch_start = message->epoch_start,
    };
    size_t size = YD_MIN(id.size, sizeof follower->id - 1);
    if (size) memcpy(follower->id, id.data, size);
    handle->follower = follower;
    peer->follows++;
    submit(follower);
    return 0;
}

int yd__native_followed(struct yd__native_peer *peer, const struct yd__native_frame *frame)
{
    const struct yd_msg_followed *message = (const void *)frame->body;
    struct yd__native_handle *handle = yd__native_handle(peer, message->handle);
    struct follower *follower = handle ? handle->follower : NULL;
    if (follower && follower->replica) yd_log_replica_durable(follower->replica, message->durable);
    return 0; /* else it crossed with the stream's end */
}

/* ---- FENCE ---- */

struct fence {
    struct yd__native_job job;
    struct yd_log *log;
    uint64_t correlation;
    uint32_t handle, epoch;
    int error;
};

static void fence_work(struct yd__native_job *job)
{
    struct fence *fence = YD_CONTAINER(job, struct fence, job);
    fence->error = yd_log_fence(fence->log, fence->epoch);
}

static void fence_done(struct yd__native_job *job)
{
    struct fence *fence = YD_CONTAINER(job, struct fence, job);
    struct yd_log_place place;
    yd_log_place(fence->log, &place);
    struct yd_msg_fence message = {fence->handle, place.known_epoch};
    if (!job->peer->dead && fence->error)
        yd__native_refuse(job->peer, fence->correlation, &(struct yd_msg_refused){.error = fence->error},
                          "the fence would not outlive a crash");
    else if (!job->peer->dead)
        yd__native_send(job->peer, YD_MSG_FENCE, 0, fence->correlation, &message, sizeof message, (struct yd_str){0});
    yd_log_unref(fence->log);
    free(fence);
}

int yd__native_fence(struct yd__native_peer *peer, const struct yd__native_frame *frame)
{
    const struct yd_msg_fence *message = (const void *)frame->body;
    struct yd__native_handle *handle = yd__native_handle(peer, message->handle);
    struct fence *fence = handle && !handle->stream->gone ? calloc(1, sizeof *fence) : NULL;
    if (!fence) {
        yd__native_refuse(peer, frame->head.correlation, &(struct yd_msg_refused){.error = YD_ENOENT},
                          "this handle is of no open stream");
        return 0;
    }
    *fence = (struct fence){.job = {.work = fence_work, .done = fence_done},
                            .log = yd_log_ref(handle->stream->log),
                            .correlation = frame->head.correlation,
                            .handle = message->handle,
                            .epoch = message->epoch};
    if (yd__native_submit(peer->native, peer->native->lane, peer, &fence->job)) {
        yd_log_unref(fence->log);
        free(fence);
        yd__native_goodbye(peer, YD_ENOMEM, "out of memory");
    }
    return 0;
}
