/* client/stream.c: streams and their handles. A handle is of one connection: with the next one the stream is opened
 * again, and only then do its appends and subscriptions go on. */
#include <unistd.h>

#include "base/hash.h"
#include "client/internal.h"

static void put_text(struct yd_alloc *alloc, char *text)
{
    if (text) yd_alloc_put(alloc, text, strlen(text) + 1);
}

void yd__stream_destroy(struct yd_client_stream *stream)
{
    struct yd_alloc *alloc = stream->client->alloc;
    if (stream->ring) yd_alloc_put(alloc, stream->ring, (stream->mask + (size_t)1) * sizeof *stream->ring);
    put_text(alloc, stream->name);
    put_text(alloc, stream->dir);
    yd_alloc_put(alloc, stream, sizeof *stream);
}

static struct yd_client_stream *create(struct yd_client *client, const char *name)
{
    struct yd_client_stream *stream = yd_alloc_zero(client->alloc, sizeof *stream);
    if (!stream) return NULL;
    stream->client = client;
    stream->name = yd_alloc_get(client->alloc, strlen(name) + 1);
    if (!stream->name) {
        yd__stream_destroy(stream);
        return NULL;
    }
    strcpy(stream->name, name);
    stream->next = client->streams;
    client->streams = stream;
    return stream;
}

static void forget(struct yd_client_stream *stream)
{
    struct yd_client_stream **at = &stream->client->streams;
    while (*at != stream) at = &(*at)->next;
    *at = stream->next;
    /* An OPEN that may still be answered: its request must not find a stream that is gone. */
    struct yd_client *client = stream->client;
    for (uint64_t i = client->request_first; i != client->request_end; i++) {
        struct yd__request *request = &client->requests[i & client->requests_mask];
        if (request->stream == stream) request->stream = NULL;
    }
    yd__stream_destroy(stream);
}

int yd_client_stream(struct yd_client *client, const char *name, struct yd_client_stream **ret_stream)
{
    if (!name || !*name) return yd__trouble(client, YD_EINVAL, "a stream has a name");
    if (strlen(name) > 255) return yd__trouble(client, YD_ETOOBIG, "a stream's name has at most 255 bytes");
    if (client->running) return YD_EBUSY;
    if (client->fatal) return client->fatal;
    for (struct yd_client_stream *stream = client->streams; stream; stream = stream->next)
        if (strcmp(stream->name, name) == 0) {
            *ret_stream = stream;
            return 0;
        }
    struct yd_client_stream *stream = create(client, name);
    if (!stream) return YD_ENOMEM;
    stream->wanted = true;
    int error = yd__client_wait(client, &stream->settled, yd__client_by(client), "opening the stream took too long");
    if (!error) error = stream->refused;
    if (error) {
        forget(stream);
        return error;
    }
    *ret_stream = stream;
    return 0;
}

void yd_client_info(struct yd_client_stream *stream, struct yd_client_info *ret)
{
    *ret = stream->info;
}

uint32_t yd_client_partition(const struct yd_client_info *info, struct yd_str name, uint64_t producer_id)
{
    return yd_partition_of(info->by_producer ? yd_hash_id(producer_id) : yd_hash_str(name), info->partitions);
}

uint64_t yd_client_producer_seq(const struct yd_client_stream *stream)
{
    return stream->acked;
}

/* Streams that somebody needs: what has nothing to send and nobody who listens can wait. */
static bool needed(const struct yd_client_stream *stream)
{
    if (stream->wanted || stream->first != stream->end) return true;
    for (const struct yd_subscription *sub = stream->client->subscriptions; sub; sub = sub->next)
        if (sub->stream == stream && sub->state != YD__SUB_ENDED && !sub->closed) return true;
    return false;
}

bool yd__stream_ready(const struct yd_client_stream *stream)
{
    return stream->state == YD__STREAM_CLOSED && stream->client->now >= stream->retry_at && needed(stream);
}

void yd__stream_fill(struct yd_client_stream *stream)
{
    struct yd_client *client = stream->client;
    uint64_t correlation;
    if (!yd__stream_ready(stream)) return;
    struct yd_msg_open open = {.stream_size = (uint16_t)strlen(stream->name),
                               .flags = client->create ? YD_OPEN_CREATE_STREAM : 0,
                               .producer_id = client->producer_id};
    const struct yd__part parts[] = {{&open, sizeof open}, {stream->name, open.stream_size}};
    if (yd__request_add(client, &(struct yd__request){.kind = YD__OPEN, .stream = stream}, &correlation) < 0) {
        client->out.failed = true;
        return;
    }
    stream->state = YD__STREAM_ASKED;
    (void)yd__frame_put(client, YD_MSG_OPEN, correlation, parts, 2, 0); /* out.failed tells */
}

static void set_dir(struct yd_client_stream *stream, struct yd_str dir)
{
    struct yd_alloc *alloc = stream->client->alloc;
    char path[YD_PROTOCOL_TEXT_MAX + 16], *kept;
    put_text(alloc, stream->dir);
    stream->dir = NULL;
    stream->info.dir = NULL;
    /* Relative to the server's working directory it would be somewhere else here. */
    if (dir.size == 0 || dir.data[0] != '/' || memchr(dir.data, 0, dir.size)) return;
    /* The server believes that we are on its machine: its control page here proves it as well as we need. */
    memcpy(path, dir.data, dir.size);
    memcpy(path + dir.size, "/control", sizeof "/control");
    if (access(path, R_OK) < 0 || !(kept = yd_alloc_get(alloc, dir.size + 1))) return;
    memcpy(kept, dir.data, dir.size);
    kept[dir.size] = 0;
    stream->info.dir = stream->dir = kept;
}

int yd__stream_opened(struct yd_client_stream *stream, struct yd_str body)
{
    struct yd_msg_opened opened;
    struct yd_str rest, dir;
    int error = yd__body_take(body, &opened, sizeof opened, &rest);
    if (!error) error = yd__body_text(&rest, opened.dir_size, &dir);
    if (error || !stream) return error;
    stream->state = YD__STREAM_OPEN;
    stream->handle = opened.handle;
    stream->info = (struct yd_client_info){.first = opened.first,
                                           .written = opened.written,
                                           .durable = opened.durable,
                                           .replicated = opened.replicated,
                                           .log_id = opened.log_id,
                                           .epoch = opened.epoch,
                                           .partitions = opened.partitions,
                                           .follower = opened.flags & YD_OPENED_FOLLOWER,
                                           .by_name = opened.flags & YD_OPENED_BY_NAME,
                                           .by_producer = opened.flags & YD_OPENED_BY_PRODUCER};
    set_dir(stream, dir);
    if (!stream->ever_open) {
        /* Where an earlier life of this producer got to. */
        stream->last_seq = stream->acked = stream->chain = opened.producer_seq;
        stream->epoch = stream->client->producer_epoch ? stream->client->producer_epoch
                        : opened.producer_seq          ? opened.producer_epoch + 1
                                                       : 1;
        stream->ever_open = true;
    }
    if (stream->wanted) stream->wanted = false, stream->settled = true, stream->refused = 0;
    return 0;
}

void yd__stream_refused(struct yd_client_stream *stream, int error, uint32_t retry_ms)
{
    if (!stream) return;
    stream->state = YD__STREAM_CLOSED;
    if (retry_ms) {
        stream->retry_at = stream->client->now + (int64_t)YD_MIN(retry_ms, UINT32_C(60000)) * YD_NS_PER_MS;
        return;
    }
    if (stream->wanted) stream->wanted = false, stream->settled = true, stream->refused = error;
    yd__append_fail(stream, error);
    for (struct yd_subscription *sub = stream->client->subscriptions; sub; sub = sub->next)
        if (sub->stream == stream) yd__subscription_end(sub, error);
}

void yd__stream_lost(struct yd_client_stream *stream)
{
    stream->state = YD__STREAM_CLOSED;
    stream->retry_at = 0;
    yd__append_lost(stream);
}
