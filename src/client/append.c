/* client/append.c: each append is in the stream once, and none is missing between two that are.
 *
 *   told   | sent, waiting for its answer | not sent yet
 *   -------+------------------------------+--------------
 *          first                          sent           end
 *
 * Each gets the producer's next number; it is stamped into the header as the frame is made. Every frame says what the
 * number before its first must be, so the server takes it only directly behind the one before: when one is refused, all
 * that were sent behind it are refused too. Then nothing more is sent until everything that went is answered, the one
 * that was refused is told why (or kept, when it may be tried again), and sending goes on from the oldest that was not
 * told. After a lost connection the same: what the server has already, it knows by its number, and says so.
 *
 * When the server knows less than it has acknowledged, it died with things in its memory: of appends at level memory
 * that is what was promised, and we go on from there; of others the next append is told YD_EGAP, once. */
#include "client/internal.h"

#define COALESCE_BYTES ((size_t)256 << 10)
#define COALESCE_COUNT 4096
#define GAPS_MOST      3
#define RETRY_LEAST_MS 10

static struct yd__append *entry(const struct yd_client_stream *stream, uint64_t index)
{
    return &stream->ring[index & stream->mask];
}

/* ---- telling ---- */

static void pop(struct yd_client_stream *stream)
{
    while (stream->first != stream->end && entry(stream, stream->first)->told) stream->first++;
    stream->sent = YD_MAX(stream->sent, stream->first);
}

/* The callback may append: afterwards the ring may be another. */
static void tell(struct yd_client_stream *stream, uint64_t index, int error, const struct yd_client_appended *appended)
{
    struct yd_client *client = stream->client;
    struct yd__append append = *entry(stream, index);
    entry(stream, index)->told = true;
    client->in_flight -= append.batch->header.size;
    if (index >= stream->sent) stream->unsent_bytes -= append.batch->header.size;
    yd_batch_unref(append.batch);
    if (error && !client->worst) client->worst = error;
    client->callbacks++;
    if (append.done) append.done(append.arg, error, appended);
}

void yd__append_fail(struct yd_client_stream *stream, int error)
{
    /* Only what is there now: a callback that appends again is not failed for ever. */
    for (uint64_t index = stream->first, end = stream->end; index != end; index++)
        if (!entry(stream, index)->told) tell(stream, index, error, NULL);
    pop(stream);
}

bool yd__append_expire(struct yd_client_stream *stream)
{
    bool any = false;
    while (stream->first != stream->end && entry(stream, stream->first)->deadline <= stream->client->now) {
        (void)yd__trouble(stream->client, YD_ETIMEOUT, "%s: an append was not acknowledged in time", stream->name);
        tell(stream, stream->first, YD_ETIMEOUT, NULL);
        pop(stream);
        any = true;
    }
    return any;
}

/* ---- adding ---- */

static int grow(struct yd_client_stream *stream)
{
    uint64_t capacity = stream->ring ? (uint64_t)stream->mask + 1 : 0;
    if (stream->end - stream->first < capacity) return 0;
    uint64_t larger = capacity ? capacity * 2 : 16;
    if (larger > UINT32_C(1) << 30) return YD_EFULL;
    struct yd__append *ring = yd_alloc_get(stream->client->alloc, larger * sizeof *ring);
    if (!ring) return YD_ENOMEM;
    for (uint64_t i = stream->first; i != stream->end; i++) ring[i & (larger - 1)] = *entry(stream, i);
    yd_alloc_put(stream->client->alloc, stream->ring, capacity * sizeof *ring);
    stream->ring = ring;
    stream->mask = (uint32_t)larger - 1;
    return 0;
}

int yd_client_append_async(struct yd_client_stream *stream, const struct yd_batch *batch,
                           const struct yd_client_append_options *options,
                           void (*done)(void *arg, int error, const struct yd_client_appended *appended), void *arg)
{
    static const struct yd_client_append_options defaults;
    struct yd_client *client = stream->client;
    const struct yd_header *header = &batch->header;
    if (!options) options = &defaults;
    if (client->fatal) return client->fatal;
    if (options->level < 0 || options->level > YD_ACK_REPLICATED || options->replicas_wait_ns < 0)
        return yd__trouble(client, YD_EINVAL, "%s: no such level of acknowledgement", stream->name);
    if (client->in_flight && client->in_flight + header->size > client->in_flight_max) return YD_EFULL;
    uint64_t seq = options->plain ? 0 : header->producer_seq ? header->producer_seq : stream->last_seq + 1;
    if (!options->plain && seq <= stream->last_seq)
        return yd__trouble(client, YD_EDUP, "%s: number %llu was given before; the last one is %llu", stream->name,
                           (unsigned long long)seq, (unsigned long long)stream->last_seq);
    int error = grow(stream);
    if (error) return error;
    if (!options->plain) stream->last_seq = seq;
    *entry(stream, stream->end++) = (struct yd__append){
        .batch = yd_batch_ref((struct yd_batch *)(uintptr_t)batch),
        .done = done,
        .arg = arg,
        .seq = seq,
        .expect_seqno = options->expect_seqno,
        .deadline = yd__client_by(client),
        .replicas_wait_ms = (uint32_t)YD_MIN(options->replicas_wait_ns / YD_NS_PER_MS, (int64_t)UINT32_MAX),
        .level = (uint8_t)(options->level ? options->level : YD_ACK_DURABLE),
        .sole = options->sole};
    client->in_flight += header->size;
    stream->unsent_bytes += header->size;
    if (!client->running && stream->unsent_bytes >= YD__SEND_AT) yd__connection_send(client);
    return 0;
}

/* ---- sending ---- */

bool yd__append_ready(const struct yd_client_stream *stream)
{
    return stream->sent != stream->end && stream->state == YD__STREAM_OPEN && !stream->rewinding &&
           stream->client->now >= stream->retry_at;
}

/* Do they go in one frame? The server takes each directly behind the one before, so all of them are known to it
 * already, or none is. */
static bool together(const struct yd__append *first, const struct yd__append *next, uint64_t chain)
{
    return next->seq && first->seq && !next->sole && !first->sole && !next->told && next->level == first->level &&
           next->replicas_wait_ms == first->replicas_wait_ms && (next->seq <= chain) == (first->seq <= chain);
}

static char *put_batch(const struct yd_client_stream *stream, const struct yd__append *append, char *to)
{
    const struct yd_batch *batch = append->batch;
    struct yd_header header = batch->header;
    header.producer_id = append->seq ? stream->client->producer_id : 0;
    header.producer_epoch = append->seq ? stream->epoch : 0;
    header.producer_seq = append->seq;
    header.header_crc = yd_header_crc(&header);
    memcpy(to, &header, sizeof header);
    memcpy(to + sizeof header, batch->body->data, header.body_size);
    memset(to + sizeof header + header.body_size, 0, header.size - sizeof header - header.body_size);
    return to + header.size;
}

void yd__append_fill(struct yd_client_stream *stream)
{
    struct yd_client *client = stream->client;
    const uint64_t chain = stream->chain;
    while (stream->sent != stream->end && entry(stream, stream->sent)->told) stream->sent++;
    if (stream->sent == stream->end) return;
    const uint64_t at = stream->sent;
    const struct yd__append *first = entry(stream, at);
    size_t bytes = first->batch->header.size, most = client->frame_max - sizeof(struct yd_frame) - 64;
    if (bytes > most) {
        stream->sent++;
        stream->unsent_bytes -= bytes;
        (void)yd__trouble(client, YD_ETOOBIG, "%s: a batch of %zu bytes, the server takes at most %zu", stream->name,
                          bytes, most);
        tell(stream, at, YD_ETOOBIG, NULL);
        pop(stream);
        return;
    }
    most = YD_MIN(most, COALESCE_BYTES);
    uint32_t count = 1;
    for (; at + count != stream->end && count < COALESCE_COUNT; count++) {
        const struct yd__append *next = entry(stream, at + count);
        if (!together(first, next, chain) || bytes + next->batch->header.size > most) break;
        bytes += next->batch->header.size;
    }
    uint64_t correlation;
    struct yd_msg_append append = {.handle = stream->handle,
                                   .level = first->level,
                                   .flags = first->sole  ? YD_APPEND_EXPECT_SEQNO
                                            : first->seq ? YD_APPEND_EXPECT_PREV
                                                         : 0,
                                   .count = (uint16_t)count,
                                   .expect_seqno = first->expect_seqno,
                                   .expect_prev_seq = chain,
                                   .replicas_wait_ms = first->replicas_wait_ms};
    const struct yd__part part = {&append, sizeof append};
    const struct yd__request request = {.kind = YD__APPEND, .count = count, .stream = stream, .at = at};
    char *to = NULL;
    if (yd__request_add(client, &request, &correlation) == 0)
        to = yd__frame_put(client, YD_MSG_APPEND, correlation, &part, 1, bytes);
    if (!to) {
        client->out.failed = true;
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        to = put_batch(stream, entry(stream, at + i), to);
        stream->chain = YD_MAX(stream->chain, entry(stream, at + i)->seq);
    }
    stream->sent = at + count;
    stream->unsent_bytes -= bytes;
    stream->frames++;
}

/* ---- answers ---- */

/* Sending goes on at the oldest that was not told. */
static void rewind_to(struct yd_client_stream *stream, uint64_t chain)
{
    pop(stream);
    stream->rewinding = false;
    stream->refusal = 0;
    stream->sent = stream->first;
    stream->chain = chain;
    stream->unsent_bytes = 0;
    for (uint64_t i = stream->sent; i != stream->end; i++)
        if (!entry(stream, i)->told) stream->unsent_bytes += entry(stream, i)->batch->header.size;
}

/* The server knows less, or more, than we thought. What of ours is the last that it has? */
static void settle_gap(struct yd_client_stream *stream, uint64_t culprit)
{
    struct yd_client *client = stream->client;
    uint64_t known = stream->refusal_detail, seq = entry(stream, culprit)->seq;
    if (++stream->gaps > GAPS_MOST || known >= seq) {
        /* It says so again and again, or what cannot be. */
        (void)yd__trouble(client, YD_EGAP, "%s: the server expects number %llu of this producer, we had %llu",
                          stream->name, (unsigned long long)known + 1, (unsigned long long)seq);
        stream->gaps = 0;
        tell(stream, culprit, YD_EGAP, NULL);
        rewind_to(stream, stream->acked);
        return;
    }
    if (known < stream->acked_strong) {
        (void)yd__trouble(client, YD_EGAP,
                          "%s: the server has lost what it acknowledged: it knows %llu of us, it had %llu",
                          stream->name, (unsigned long long)known, (unsigned long long)stream->acked_strong);
        tell(stream, culprit, YD_EGAP, NULL);
        stream->acked_strong = known;
    }
    if (known < stream->acked) {
        (void)yd__trouble(client, YD_EGAP, "%s: the server lost what was only in its memory: %llu to %llu of us",
                          stream->name, (unsigned long long)known + 1, (unsigned long long)stream->acked);
        stream->acked = known;
    }
    rewind_to(stream, known);
}

static void settle(struct yd_client_stream *stream)
{
    int error = stream->refusal;
    uint64_t culprit = stream->culprit;
    bool told = culprit < stream->first || entry(stream, culprit)->told;
    if (error == YD_EGAP && !told && !entry(stream, culprit)->sole && entry(stream, culprit)->seq) {
        settle_gap(stream, culprit);
        return;
    }
    bool again = stream->refusal_retry_ms || error == YD_EFULL || error == YD_EBUSY || error == YD_EAGAIN;
    if (again) {
        uint32_t wait = YD_MIN(YD_MAX(stream->refusal_retry_ms, RETRY_LEAST_MS), UINT32_C(60000));
        stream->retry_at = stream->client->now + (int64_t)wait * YD_NS_PER_MS;
    } else if (!told) {
        tell(stream, culprit, error, NULL);
    }
    rewind_to(stream, stream->acked);
}

void yd__append_refused(struct yd_client_stream *stream, const struct yd__request *request,
                        const struct yd_msg_refused *refused)
{
    if (!stream->rewinding) {
        stream->rewinding = true;
        stream->refusal = refused->error;
        stream->refusal_detail = refused->detail;
        stream->refusal_retry_ms = refused->retry_after_ms;
        stream->culprit = request->at + YD_MIN(refused->detail2, (uint64_t)request->count - 1);
    }
    stream->frames--;
    if (stream->frames == 0) settle(stream);
}

int yd__append_done(struct yd_client_stream *stream, const struct yd__request *request,
                    const struct yd_msg_appended *answer)
{
    if (answer->next < answer->first || answer->duplicates > request->count || answer->level > YD_ACK_REPLICATED)
        return YD_EFORMAT;
    uint64_t records = 0, at = answer->first;
    for (uint64_t i = request->at; i != request->at + request->count; i++)
        if (i >= stream->first && !entry(stream, i)->told) records += entry(stream, i)->batch->header.count;
    /* Side by side in the stream: then each one's place is known. */
    bool exact = answer->duplicates == 0 && answer->next - answer->first == records;
    for (uint32_t i = 0; i < request->count; i++) {
        uint64_t index = request->at + i;
        if (index < stream->first || entry(stream, index)->told) continue; /* it was told YD_ETIMEOUT */
        const struct yd__append *append = entry(stream, index);
        struct yd_client_appended appended = {.first = exact ? at : answer->first,
                                              .next = exact ? at + append->batch->header.count : answer->next,
                                              .level = answer->level,
                                              .in_sync = answer->in_sync,
                                              .duplicate = i < answer->duplicates};
        at += append->batch->header.count;
        stream->acked = YD_MAX(stream->acked, append->seq);
        if (answer->level >= YD_ACK_WRITTEN) stream->acked_strong = YD_MAX(stream->acked_strong, append->seq);
        tell(stream, index, 0, &appended);
    }
    stream->gaps = 0;
    pop(stream);
    stream->frames--;
    if (stream->frames == 0 && stream->rewinding) settle(stream);
    return 0;
}

void yd__append_lost(struct yd_client_stream *stream)
{
    stream->frames = 0;
    /* Those without numbers that went may be there or not: sending them again could make them two. */
    for (uint64_t index = stream->first, end = stream->sent; index < end; index++)
        if (!entry(stream, index)->told && entry(stream, index)->seq == 0) tell(stream, index, YD_ECANCELED, NULL);
    rewind_to(stream, stream->acked);
}

/* ---- waiting ---- */

struct waiting {
    bool done;
    int error;
    struct yd_client_appended appended;
};

static void waited(void *arg, int error, const struct yd_client_appended *appended)
{
    struct waiting *waiting = arg;
    waiting->done = true;
    waiting->error = error;
    if (appended) waiting->appended = *appended;
}

int yd_client_append(struct yd_client_stream *stream, const struct yd_batch *batch,
                     const struct yd_client_append_options *options, struct yd_client_appended *ret)
{
    struct yd_client *client = stream->client;
    struct waiting waiting = {0};
    if (client->running) return YD_EBUSY;
    int64_t deadline = yd__client_by(client);
    int error, worst = client->worst;
    while ((error = yd_client_append_async(stream, batch, options, waited, &waiting)) == YD_EFULL) {
        if (client->now >= deadline) return yd__trouble(client, YD_ETIMEOUT, "%s: too much is in flight", stream->name);
        int ran = yd_client_run(client, deadline - client->now);
        if (ran < 0) return ran;
    }
    if (error) return error;
    error = yd__client_wait(client, &waiting.done, INT64_MAX, "appending"); /* it has a deadline of its own */
    client->worst = worst;                                                  /* flush tells of the others */
    if (!waiting.done) {                                                    /* it goes on without us */
        for (uint64_t i = stream->first; i != stream->end; i++)
            if (entry(stream, i)->arg == &waiting) entry(stream, i)->done = NULL;
        return error;
    }
    if (!waiting.error && ret) *ret = waiting.appended;
    return waiting.error;
}
