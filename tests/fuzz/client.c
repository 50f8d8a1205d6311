/* Any bytes from a server: an append, a subscription and a question run against them. Nothing may crash, every append
 * is told once, and what is held stays below the bounds. */
#include <stdlib.h>

#include "client/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct line {
    struct yd_net net;
    const uint8_t *data;
    size_t size, chunk;
    int64_t now;
    unsigned connections;
};
#define LINE(n) YD_CONTAINER(n, struct line, net)

static int begin(struct yd_net *net, const char *address, unsigned attempt, int *ret_fd, struct yd_trail *trail)
{
    (void)address;
    (void)attempt;
    if (++LINE(net)->connections > 4) return yd_trail_add(trail, YD_ECONNREFUSED, "enough");
    *ret_fd = 3;
    return 0;
}
static int finish(struct yd_net *net, int fd)
{
    (void)net;
    (void)fd;
    return 0;
}
static int wait(struct yd_net *net, int fd, short events, int64_t timeout_ns, short *ret_events)
{
    (void)fd;
    if (timeout_ns > 0) LINE(net)->now += timeout_ns;
    *ret_events = events;
    return 0;
}
static int give(struct yd_net *net, int fd, const struct iovec *parts, int part_count, size_t *ret_size)
{
    (void)net;
    (void)fd;
    (void)part_count;
    *ret_size = parts[0].iov_len;
    return 0;
}
static int take(struct yd_net *net, int fd, void *to, size_t size, size_t *ret_size)
{
    struct line *line = LINE(net);
    (void)fd;
    if (line->size == 0) return YD_EAGAIN;
    *ret_size = YD_MIN(YD_MIN(size, line->size), line->chunk);
    memcpy(to, line->data, *ret_size);
    line->data += *ret_size;
    line->size -= *ret_size;
    return 0;
}
static void end(struct yd_net *net, int fd)
{
    (void)net;
    (void)fd;
}
static int64_t mono(struct yd_net *net)
{
    return LINE(net)->now += YD_NS_PER_MS;
}
static uint64_t seven(struct yd_net *net)
{
    (void)net;
    return 7;
}

static void count(void *arg, int error, const struct yd_client_appended *appended)
{
    (void)error;
    (void)appended;
    ++*(unsigned *)arg;
}

static struct yd_batch *one(void)
{
    static struct yd_batch *batch;
    if (batch) return batch;
    struct yd_builder *builder;
    uint32_t name;
    if (yd_builder_create(&(struct yd_builder_options){0}, &builder) || yd_builder_name(builder, YD_STR("n"), &name) ||
        yd_builder_add(builder, 1, name, YD_SAMPLE, YD_U64, 0, (union yd_value){.u64 = 1}) ||
        yd_builder_seal(builder, &batch))
        abort();
    yd_builder_destroy(builder);
    return batch;
}

/* The first byte: how the bytes are cut, and whether a proper greeting and opening come before them. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct yd_net_ops ops = {begin, finish, wait, give, take, end, mono, seven};
    struct {
        struct yd_frame welcome_frame;
        struct yd_msg_welcome welcome;
        struct yd_frame opened_frame;
        struct yd_msg_opened opened;
    } greeting = {{40, YD_MSG_WELCOME, 0, 0},
                  {.version = 1, .frame_max = 1 << 20},
                  {96, YD_MSG_OPENED, 0, 1},
                  {.handle = 1, .partitions = 1}};
    if (size == 0) return 0;
    uint8_t first = data[0];
    size_t proper = first & 1 ? sizeof greeting : 0;
    uint8_t *bytes = malloc(proper + size);
    if (!bytes) return 0;
    memcpy(bytes, &greeting, proper);
    memcpy(bytes + proper, data + 1, size - 1);
    struct line line = {.net = {&ops}, .data = bytes, .size = proper + size - 1, .chunk = first & 2 ? 7 : 65536};
    const struct yd_client_options options = {.timeout_ns = 2 * YD_NS_PER_S, .producer_id = 1};
    struct yd_client *client;
    struct yd_client_stream *stream;
    struct yd_subscription *sub;
    struct yd_received got;
    unsigned told = 0, asked = 0;
    if (yd__client_open(&options, &line.net, NULL, &client, NULL)) abort();
    if (yd_client_stream(client, "s", &stream) == 0) {
        asked += yd_client_append_async(stream, one(), NULL, count, &told) == 0;
        asked += yd_client_append_async(stream, one(), NULL, count, &told) == 0;
        struct yd_subscribe_options wanted = {.start = {.names = first & 4 ? "n*" : NULL},
                                              .count = first & 8 ? 3 : 0,
                                              .credit_bytes = 4096,
                                              .notify = first & 16};
        if (yd_client_subscribe(stream, &wanted, NULL, NULL, &sub) == 0) {
            for (int i = 0; i < 20 && yd_subscription_next(sub, YD_NS_PER_S, &got) == 0; i++) yd_batch_unref(got.batch);
            YD_ASSERT(sub->queued <= 4096 + (1 << 20));
        }
        (void)yd_client_query(client, one(), NULL, NULL);
        (void)yd_client_flush(client);
    }
    YD_ASSERT(client->in.capacity <= 4 << 20);
    yd_client_close(client);
    YD_ASSERT(told == asked);
    free(bytes);
    return 0;
}
