/* serve/native_append.c: APPEND, and when it is answered.
 *
 *   frame ─▶ its batches, all checked ─▶ yd_log_append, one after another ─▶ a place among those that wait
 *                                          | YD_EFULL: the rest waits here, and the connection is not read
 *   positions moved ─▶ APPENDED to all that are reached, in order, for each level
 *
 * The batches of a large frame share the bytes it was received in. A refusal in the middle says how many were taken:
 * those are in the stream. */
#include "serve/native_internal.h"

#include <stdlib.h>

#include <yarder/batch.h>

#define ACKS_MAX    65536 /* of one connection */
#define ON_STACK    64
#define RETRY_MS    1000
#define REPLICAS_NS (INT64_C(10) * YD_NS_PER_S)

/* ---- who waits for what ---- */

static int add_ack(struct yd__native_acks *acks, const struct yd__native_ack *ack)
{
    if (acks->count == acks->capacity) {
        uint32_t capacity = acks->capacity ? acks->capacity * 2 : 64;
        struct yd__native_ack *items = malloc(capacity * sizeof *items);
        if (!items) return YD_ENOMEM;
        for (uint32_t i = 0; i < acks->count; i++) items[i] = acks->items[(acks->first + i) & (acks->capacity - 1)];
        free(acks->items);
        *acks = (struct yd__native_acks){items, 0, acks->count, capacity};
    }
    acks->items[(acks->first + acks->count++) & (acks->capacity - 1)] = *ack;
    return 0;
}

static void pop_ack(struct yd__native_handle *handle, struct yd__native_acks *acks)
{
    acks->first = (acks->first + 1) & (acks->capacity - 1);
    acks->count--;
    handle->peer->ack_count--;
}

void yd__native_acks_fini(struct yd__native_handle *handle)
{
    for (size_t level = 0; level < YD_COUNT(handle->acks); level++) {
        handle->peer->ack_count -= handle->acks[level].count;
        free(handle->acks[level].items);
        handle->acks[level] = (struct yd__native_acks){0};
    }
}

static void answer(struct yd__native_handle *handle, const struct yd__native_ack *ack, enum yd_ack level,
                   unsigned in_sync)
{
    struct yd_msg_appended appended = {.first = ack->first,
                                       .next = ack->next,
                                       .level = (uint8_t)level,
                                       .in_sync = (uint16_t)in_sync,
                                       .duplicates = ack->duplicates};
    yd__native_send(handle->peer, YD_MSG_APPENDED, 0, ack->correlation, &appended, sizeof appended, (struct yd_str){0});
}

/* What level has it reached, of the one asked for? 0: not yet. */
static enum yd_ack reached(const struct yd__native_ack *ack, enum yd_ack level, const struct yd_log_position *position,
                           int64_t now)
{
    if (level == YD_ACK_WRITTEN) return position->written >= ack->next ? YD_ACK_WRITTEN : 0;
    if (position->durable < ack->next) return 0;
    if (level == YD_ACK_DURABLE) return YD_ACK_DURABLE;
    if (position->replicated >= ack->next) return position->replicas ? YD_ACK_REPLICATED : YD_ACK_DURABLE;
    return position->in_sync < position->replicas || now >= ack->until_ns ? YD_ACK_DURABLE : 0;
}

void yd__native_acks_moved(struct yd__native_handle *handle, const struct yd_log_position *position)
{
    struct yd__native_peer *peer = handle->peer;
    int64_t now = yd_loop_mono(peer->native->loop);
    int failed = position->failed ? YD_EREADONLY : position->closed ? YD_ECLOSED : position->deposed ? YD_EEPOCH : 0;
    for (unsigned level = YD_ACK_WRITTEN; level <= YD_ACK_REPLICATED; level++) {
        struct yd__native_acks *acks = &handle->acks[level];
        while (!peer->dead && acks->count) {
            struct yd__native_ack ack = acks->items[acks->first];
            enum yd_ack got = reached(&ack, level, position, now);
            if (!got && !failed) break;
            pop_ack(handle, acks);
            if (got)
                answer(handle, &ack, got, position->in_sync);
            else
                yd__native_refuse(peer, ack.correlation,
                                  &(struct yd_msg_refused){.error = failed, .detail = ack.next, .detail2 = 0},
                                  "it was taken, and will not reach the level: %s", yd_error_text(failed));
        }
    }
    if (!peer->dead && peer->ack_count < ACKS_MAX / 2) yd__native_peer_go_on(peer, YD__NATIVE_HOLD_ACKS);
}

void yd__native_acks_sweep(struct yd__native_handle *handle, int64_t now)
{
    const struct yd__native_acks *acks = &handle->acks[YD_ACK_REPLICATED];
    if (!acks->count || now < acks->items[acks->first].until_ns) return;
    struct yd_log_position position;
    yd_log_position(handle->stream->log, &position);
    yd__native_acks_moved(handle, &position);
}

/* ---- taking ---- */

void yd__native_append_free(struct yd__native_append *append)
{
    if (!append) return;
    for (uint32_t i = append->at; i < append->message.count; i++) yd_batch_unref(append->batches[i]);
    free(append->batches);
    free(append);
}

static void acknowledge(struct yd__native_handle *handle, const struct yd__native_append *append)
{
    struct yd__native_peer *peer = handle->peer;
    struct yd__native_ack ack = {.correlation = append->correlation,
                                 .first = append->first,
                                 .next = append->next,
                                 .duplicates = append->duplicates};
    if (append->message.level == YD_ACK_MEMORY) {
        answer(handle, &ack, YD_ACK_MEMORY, 0);
        return;
    }
    ack.until_ns = yd_loop_mono(peer->native->loop) +
                   (append->message.replicas_wait_ms ? append->message.replicas_wait_ms * YD_NS_PER_MS : REPLICAS_NS);
    struct yd__native_acks *acks = &handle->acks[append->message.level];
    if (add_ack(acks, &ack)) {
        yd__native_refuse(peer, ack.correlation,
                          &(struct yd_msg_refused){.error = YD_ENOMEM, .detail2 = append->message.count},
                          "it was taken; there is no memory to wait for its level");
        return;
    }
    peer->ack_count++;
    if (peer->ack_count >= ACKS_MAX) yd__native_peer_hold(peer, YD__NATIVE_HOLD_ACKS);
    if (acks->count > 1) return; /* behind others */
    struct yd_log_position position;
    yd_log_position(handle->stream->log, &position);
    /* A duplicate's level may have been reached long ago, and nothing moves any more. */
    if (ack.next <= position.durable || position.closed || position.failed) yd__native_acks_moved(handle, &position);
}

static void refuse_append(struct yd__native_handle *handle, const struct yd__native_append *append, int error)
{
    struct yd__native_peer *peer = handle->peer;
    struct yd_log *log = handle->stream->log;
    const struct yd_header *header = &append->batches[append->at]->header;
    struct yd_log_position position;
    struct yd_msg_refused why = {.error = error, .detail2 = append->at};
    enum yd_native_reason reason = YD_NATIVE_NOT_HERE;
    enum yd_native_count what = YD_NATIVE_REJECTED;
    uint32_t epoch = 0;
    uint64_t seq = 0;
    yd_log_position(log, &position);
    if (header->producer_id) (void)yd_log_producer(log, header->producer_id, &epoch, &seq); /* unknown: 0 */
    if (error == YD_EGAP) {
        bool by_seq = (append->message.flags & YD_APPEND_EXPECT_PREV) && seq != append->message.expect_prev_seq;
        why.detail = by_seq ? seq : position.memory;
        reason = YD_NATIVE_GAP;
    } else if (error == YD_EEPOCH) {
        why.detail = position.deposed ? position.epoch : epoch;
        reason = YD_NATIVE_EPOCH;
    } else if (error == YD_EREADONLY) {
        reason = YD_NATIVE_READONLY;
        what = YD_NATIVE_DROPPED;
    } else if (error == YD_ENOSPC || error == YD_ENOMEM) {
        why.retry_after_ms = RETRY_MS;
        reason = YD_NATIVE_FULL;
        what = YD_NATIVE_DROPPED;
    }
    uint64_t records = 0;
    for (uint32_t i = append->at; i < append->message.count; i++) records += append->batches[i]->header.count;
    yd__native_count(peer->native, what, reason, records, peer);
    yd__native_refuse(peer, append->correlation, &why, "%s: %s", handle->stream->name, yd_error_text(error));
}

/* Goes on with an append where it is: true when it is over, in one way or another. */
static bool go_on(struct yd__native_handle *handle, struct yd__native_append *append)
{
    struct yd_native *native = handle->peer->native;
    struct yd_msg_append *message = &append->message;
    int error = 0;
    while (append->at < message->count && !error) {
        struct yd_batch *batch = append->batches[append->at];
        struct yd_log_appended appended;
        error = yd_log_append(handle->stream->log, batch,
                              message->flags & YD_APPEND_EXPECT_PREV ? (int64_t)message->expect_prev_seq : -1,
                              message->flags & YD_APPEND_EXPECT_SEQNO ? message->expect_seqno : UINT64_MAX, &appended);
        if (error) break;
        if (append->at == 0) append->first = appended.first;
        append->next = appended.next;
        append->duplicates += appended.duplicate;
        native->stat.batches++;
        if (appended.duplicate) native->stat.duplicates++;
        if (!appended.duplicate) native->stat.records += batch->header.count;
        if (!appended.duplicate) message->expect_seqno = appended.next;
        message->expect_prev_seq = batch->header.producer_seq;
        yd__native_count(native, appended.duplicate ? YD_NATIVE_FOLDED : YD_NATIVE_TAKEN, 0, batch->header.count,
                         handle->peer);
        yd_batch_unref(batch);
        append->at++;
    }
    if (append->at > 0) yd__native_appended(handle->stream);
    if (error == YD_EFULL) {
        struct yd_log_position position;
        yd_log_position(handle->stream->log, &position);
        if (!position.no_space) return false;
        error = YD_ENOSPC;
    }
    if (error)
        refuse_append(handle, append, error);
    else
        acknowledge(handle, append);
    return true;
}

void yd__native_append_again(struct yd__native_peer *peer)
{
    struct yd__native_append *append = peer->stalled;
    if (!append || !go_on(peer->handles[append->message.handle], append)) return;
    if (peer->dead) return; /* it went with the peer */
    peer->stalled = NULL;
    yd__native_append_free(append);
    yd__native_peer_go_on(peer, YD__NATIVE_HOLD_APPEND);
}

static void stall(struct yd__native_peer *peer, const struct yd__native_append *append)
{
    struct yd__native_append *kept = malloc(sizeof *kept);
    struct yd_batch **batches = malloc(append->message.count * sizeof *batches);
    if (!kept || !batches) {
        free(kept);
        free(batches);
        refuse_append(peer->handles[append->message.handle], append, YD_ENOMEM);
        for (uint32_t i = append->at; i < append->message.count; i++) yd_batch_unref(append->batches[i]);
        return;
    }
    memcpy(batches, append->batches, append->message.count * sizeof *batches);
    *kept = *append;
    kept->batches = batches;
    peer->stalled = kept;
    yd__native_peer_hold(peer, YD__NATIVE_HOLD_APPEND);
}

/* ---- the frame ---- */

struct shared_body {
    struct yd_body body;
    struct yd__native_block *block;
};

static void release_body(struct yd_body *body)
{
    struct shared_body *shared = YD_CONTAINER(body, struct shared_body, body);
    yd__native_block_unref(shared->block);
    free(shared);
}

/* The batch at `bytes`; of a block: without copying its body. */
static int make_batch(const struct yd__native_frame *frame, const char *bytes, size_t size, struct yd_batch **ret)
{
    struct yd_header header;
    memcpy(&header, bytes, sizeof header);
    if (!frame->block || header.body_size < 4096) return yd_batch_from_bytes(bytes, size, ret);
    int error = yd_header_check(&header, size);
    if (error) return error;
    for (const char *at = bytes + sizeof header + header.body_size; at < bytes + header.size; at++)
        if (*at) return YD_EFORMAT;
    struct shared_body *shared = malloc(sizeof *shared);
    if (!shared) return YD_ENOMEM;
    *shared = (struct shared_body){
        {.refs = 1, .size = header.body_size, .data = bytes + sizeof header, .release = release_body}, frame->block};
    atomic_fetch_add_explicit(&frame->block->refs, 1, memory_order_relaxed); /* the frame has one meanwhile */
    error = yd_batch_from_body(&header, &shared->body, true, ret);
    yd_body_unref(&shared->body);
    return error;
}

/* All batches of the frame. YD_EFORMAT and the like: one of them is not good, *ret_taken is how many were before. */
static int take_batches(const struct yd__native_frame *frame, const struct yd_msg_append *message,
                        struct yd_batch **batches, uint32_t *ret_count)
{
    size_t at = sizeof *message;
    uint32_t count = 0;
    int error = 0;
    while (count < message->count && !error) {
        if (frame->size - at < sizeof(struct yd_header)) {
            error = YD_EFORMAT;
            break;
        }
        error = make_batch(frame, frame->body + at, frame->size - at, &batches[count]);
        if (error == YD_EAGAIN) error = YD_EFORMAT; /* it claims more than there is */
        if (error) break;
        const struct yd_header *header = &batches[count++]->header;
        at += header->size;
        if (header->codec != YD_CODEC_NONE) error = YD_ENOTSUP;
        if (header->producer_id != batches[0]->header.producer_id) error = YD_EINVAL;
    }
    if (!error && at != frame->size) error = YD_EFORMAT; /* something behind the last one */
    *ret_count = count;
    return error;
}

static void refuse_batches(struct yd__native_peer *peer, const struct yd__native_frame *frame, int error, uint32_t good)
{
    /* How many records it was meant to be nobody can know: one. */
    yd__native_count(peer->native, YD_NATIVE_REJECTED, YD_NATIVE_BAD_BATCH, 1, peer);
    if (error == YD_ENOTSUP)
        yd__native_refuse(peer, frame->head.correlation, &(struct yd_msg_refused){.error = error},
                          "batch %u is compressed: the log takes plain ones", good);
    else if (error == YD_EINVAL)
        yd__native_refuse(peer, frame->head.correlation, &(struct yd_msg_refused){.error = error},
                          "batch %u is another producer's: an APPEND is of one", good);
    else
        yd__native_refuse(peer, frame->head.correlation, &(struct yd_msg_refused){.error = error},
                          "batch %u is not good (%s): none of them was taken", good + 1, yd_error_text(error));
}

int yd__native_append(struct yd__native_peer *peer, const struct yd__native_frame *frame)
{
    struct yd__native_append append = {.correlation = frame->head.correlation};
    memcpy(&append.message, frame->body, sizeof append.message);
    const struct yd_msg_append *message = &append.message;
    struct yd__native_handle *handle = yd__native_handle(peer, message->handle);
    const struct yd_msg_refused invalid = {.error = YD_EINVAL};
    if (!handle || message->level < YD_ACK_MEMORY || message->level > YD_ACK_REPLICATED || message->count == 0 ||
        message->expect_prev_seq > INT64_MAX) {
        yd__native_count(peer->native, YD_NATIVE_REJECTED, YD_NATIVE_BAD_BATCH, 1, peer);
        yd__native_refuse(peer, append.correlation, &invalid,
                          !handle ? "there is no such handle" : "a level from 1 to 4, and one batch at least");
        return 0;
    }
    if ((size_t)message->count * (sizeof(struct yd_header) + YD_BATCH_ALIGN) > frame->size) return YD_EFORMAT;
    struct yd_batch *few[ON_STACK];
    append.batches = message->count <= ON_STACK ? few : malloc(message->count * sizeof *append.batches);
    if (!append.batches) {
        yd__native_refuse(peer, append.correlation,
                          &(struct yd_msg_refused){.error = YD_ENOMEM, .retry_after_ms = RETRY_MS}, "out of memory");
        return 0;
    }
    peer->native->stat.appends++;
    uint32_t count = 0;
    int error = take_batches(frame, message, append.batches, &count);
    if (error) {
        refuse_batches(peer, frame, error, count);
        for (uint32_t i = 0; i < count; i++) yd_batch_unref(append.batches[i]);
    } else if (handle->whole) {
        uint64_t records = 0;
        for (uint32_t i = 0; i < count; i++) records += append.batches[i]->header.count;
        yd__native_count(peer->native, YD_NATIVE_REJECTED, YD_NATIVE_PARTITION, records, peer);
        for (uint32_t i = 0; i < count; i++) yd_batch_unref(append.batches[i]);
        (void)yd__native_refuse_whole(handle, append.correlation, "append to");
    } else if (!go_on(handle, &append)) {
        stall(peer, &append);
    } else {
        for (uint32_t i = append.at; i < count; i++) yd_batch_unref(append.batches[i]);
    }
    if (append.batches != few) free(append.batches);
    return 0;
}
