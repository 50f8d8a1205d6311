/* What the tests of the native server share: a simulation with one server and any number of clients that speak frames
 * by hand, on a simulated disk. */
#ifndef NATIVE_WORLD_H
#define NATIVE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/text.h"
#include "io/file.h"
#include "io/pool.h"
#include "io/sim_file.h"
#include "io/sim_net.h"
#include "serve/native.h"
#include <yarder/batch.h>
#include <yarder/protocol.h>

struct world {
    struct yd_sim *sim;
    struct yd_loop *server_loop, *client_loop;
    struct yd_fs *fs;
    struct yd_pool *pool;
    struct yd_streams *streams;
    struct yd_native *native;
    struct yd_native_options options;
    struct yd_address at;
    struct yd_rng rng;
    uint64_t counts[4], reasons[YD_NATIVE_REASON_COUNT];
    bool stopped;
    char said[400];
    struct client *clients; /* that are open: a test that fails leaves them */
};

struct client {
    struct world *world;
    struct client *next;
    struct yd_stream *stream;
    struct yd_buf in;
    char room[65536];
    bool ended, connected;
    int error;
    char *body; /* of the last frame taken */
    struct yd_frame frame;
};

static inline uint64_t world_random(void *arg)
{
    return yd_rng_next(&((struct world *)arg)->rng);
}
static inline int64_t world_wall(void *arg)
{
    return INT64_C(1700000000) * YD_NS_PER_S + yd_sim_now(((struct world *)arg)->sim);
}
static inline void world_counted(void *arg, enum yd_native_count what, enum yd_native_reason reason, uint64_t records,
                                 const char *peer)
{
    struct world *world = arg;
    (void)peer;
    world->counts[what] += records;
    if (what >= YD_NATIVE_REJECTED) world->reasons[reason] += records;
}
static inline void world_said(void *arg, int level, const char *text)
{
    (void)level;
    (void)snprintf(((struct world *)arg)->said, 400, "%s", text);
}
static inline void world_stopped(void *arg)
{
    ((struct world *)arg)->stopped = true;
}

static inline struct world *world_create(uint64_t seed)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    yd_rng_init(&world->rng, seed);
    assert_int_equal(yd_sim_create(seed, &world->sim), 0);
    assert_int_equal(yd_sim_loop_create(world->sim, "server", &world->server_loop), 0);
    assert_int_equal(yd_sim_loop_create(world->sim, "client", &world->client_loop), 0);
    assert_int_equal(yd_sim_fs_create(seed, &world->fs), 0);
    assert_int_equal(yd_pool_create_sim(world->server_loop, &world->pool), 0);
    assert_int_equal(yd_streams_create(&world->streams), 0);
    world->options = (struct yd_native_options){.loop = world->server_loop,
                                                .pool = world->pool,
                                                .fs = world->fs,
                                                .streams = world->streams,
                                                .data = "data",
                                                .listen = "10.0.0.1:4280",
                                                .open = true,
                                                .create = true,
                                                .simulated = true,
                                                .random = world_random,
                                                .wall = world_wall,
                                                .world_arg = world,
                                                .counted = world_counted,
                                                .said = world_said,
                                                .arg = world};
    return world;
}

static inline void world_start(struct world *world)
{
    struct yd_trail trail = {0};
    int error = yd_native_start(&world->options, &world->native, &trail);
    if (error) print_message("# start: %s\n", yd_trail_text(&trail));
    assert_int_equal(error, 0);
    yd_native_address(world->native, false, &world->at);
}

static inline void world_run(struct world *world, int64_t ns)
{
    yd_sim_run_until(world->sim, yd_sim_now(world->sim) + ns);
}

static inline void world_stop(struct world *world)
{
    if (!world->native) return;
    world->stopped = false;
    yd_native_stop(world->native, world_stopped, world);
    for (int i = 0; i < 100000 && !world->stopped; i++) (void)yd_sim_step(world->sim);
    assert_true(world->stopped);
    world->native = NULL;
}

static inline void client_close(struct client *client)
{
    struct client **at = &client->world->clients;
    while (*at != client) at = &(*at)->next;
    *at = client->next;
    yd_stream_close(client->stream);
    yd_buf_fini(&client->in);
    free(client->body);
    free(client);
}

static inline void world_destroy(struct world *world)
{
    while (world->clients) client_close(world->clients);
    world_stop(world);
    world_run(world, YD_NS_PER_S);
    yd_streams_destroy(world->streams);
    yd_pool_destroy(world->pool);
    yd_loop_destroy(world->server_loop);
    yd_loop_destroy(world->client_loop);
    yd_sim_fs_destroy(world->fs);
    yd_sim_destroy(world->sim);
    free(world);
}

/* ---- a client ---- */

static inline void client_room(void *arg, char **ret_to, size_t *ret_size)
{
    *ret_to = ((struct client *)arg)->room;
    *ret_size = sizeof((struct client *)arg)->room;
}
static inline void client_data(void *arg, size_t size)
{
    struct client *client = arg;
    yd_buf_add(&client->in, client->room, size);
}
static inline void client_ended(void *arg, int error)
{
    struct client *client = arg;
    client->ended = true;
    client->error = error;
}
static inline void client_connected(void *arg)
{
    ((struct client *)arg)->connected = true;
}

static inline struct client *client_connect(struct world *world)
{
    static const struct yd_stream_ops ops = {
        .room = client_room, .data = client_data, .ended = client_ended, .connected = client_connected};
    struct client *client = calloc(1, sizeof *client);
    client->world = world;
    client->next = world->clients;
    world->clients = client;
    yd_buf_init(&client->in, NULL);
    assert_int_equal(yd_connect(world->client_loop, &world->at, &ops, client, &client->stream, NULL), 0);
    yd_stream_limit(client->stream, (size_t)1 << 30);
    return client;
}

static inline void client_raw(struct client *client, const void *bytes, size_t size)
{
    (void)yd_stream_write(client->stream, (struct yd_str){bytes, size}); /* the server may have ended it */
}

static inline void client_send(struct client *client, unsigned type, uint64_t correlation, const void *body,
                               size_t body_size, struct yd_str behind)
{
    static const char zeros[8];
    size_t size = (sizeof(struct yd_frame) + body_size + behind.size + 7) & ~(size_t)7;
    struct yd_frame frame = {(uint32_t)size, (uint16_t)type, 0, correlation};
    client_raw(client, &frame, sizeof frame);
    if (body_size) client_raw(client, body, body_size);
    if (behind.size) client_raw(client, behind.data, behind.size);
    if (size > sizeof frame + body_size + behind.size)
        client_raw(client, zeros, size - sizeof frame - body_size - behind.size);
}

/* Takes the next frame that has come, if any. */
static inline bool client_take(struct client *client)
{
    if (client->in.size < sizeof client->frame) return false;
    memcpy(&client->frame, client->in.data, sizeof client->frame);
    assert_true(client->frame.size >= 16 && client->frame.size % 8 == 0);
    if (client->in.size < client->frame.size) return false;
    free(client->body);
    size_t size = client->frame.size - sizeof client->frame;
    client->body = malloc(size + 1);
    memcpy(client->body, client->in.data + sizeof client->frame, size);
    client->body[size] = '\0';
    yd_buf_consume(&client->in, client->frame.size);
    return true;
}

/* The next frame, stepping the simulation; GOODBYE is one too. 0: the connection ended. Pings are answered. */
static inline unsigned client_next(struct client *client)
{
    for (int i = 0; i < 2000000; i++) {
        while (client_take(client)) {
            if (client->frame.type != YD_MSG_PING) return client->frame.type;
            client_send(client, YD_MSG_PONG, client->frame.correlation, NULL, 0, (struct yd_str){0});
        }
        if (client->ended) return 0;
        if (!yd_sim_step(client->world->sim)) break;
    }
    fail_msg("nothing comes");
    return 0;
}

static inline void client_expect(struct client *client, unsigned type, uint64_t correlation)
{
    unsigned got = client_next(client);
    if (got == YD_MSG_REFUSED && type != YD_MSG_REFUSED)
        print_message("# refused: %s\n", client->body + sizeof(struct yd_msg_refused));
    assert_int_equal(got, type);
    assert_int_equal(client->frame.correlation, correlation);
}

static inline const struct yd_msg_refused *client_refused(struct client *client, uint64_t correlation, int error)
{
    client_expect(client, YD_MSG_REFUSED, correlation);
    const struct yd_msg_refused *refused = (const void *)client->body;
    assert_int_equal(refused->error, error);
    assert_true(refused->text_size > 0);
    return refused;
}

static inline void client_goodbye(struct client *client, int error)
{
    assert_int_equal(client_next(client), YD_MSG_GOODBYE);
    assert_int_equal(((const struct yd_msg_refused *)(const void *)client->body)->error, error);
    assert_int_equal(client_next(client), 0);
}

static inline void client_say_hello(struct client *client, const char *token)
{
    char texts[256];
    int size = snprintf(texts, sizeof texts, "me%s", token);
    struct yd_msg_hello hello = {.magic = YD_PROTOCOL_MAGIC,
                                 .version_min = 1,
                                 .version_max = 1,
                                 .name_size = 2,
                                 .token_size = (uint16_t)strlen(token)};
    client_send(client, YD_MSG_HELLO, 1, &hello, sizeof hello, (struct yd_str){texts, (size_t)size});
}

static inline struct client *client_open(struct world *world)
{
    struct client *client = client_connect(world);
    client_say_hello(client, "");
    client_expect(client, YD_MSG_WELCOME, 1);
    return client;
}

static inline void client_ask_open(struct client *client, uint64_t correlation, const char *stream, bool create,
                                   uint64_t producer)
{
    struct yd_msg_open open = {
        .stream_size = (uint16_t)strlen(stream), .flags = create ? YD_OPEN_CREATE_STREAM : 0, .producer_id = producer};
    client_send(client, YD_MSG_OPEN, correlation, &open, sizeof open, yd_str_of(stream));
}

static inline struct yd_msg_opened client_stream(struct client *client, const char *stream)
{
    client_ask_open(client, 2, stream, true, 0);
    client_expect(client, YD_MSG_OPENED, 2);
    return *(const struct yd_msg_opened *)(const void *)client->body;
}

/* ---- batches ---- */

static inline struct yd_batch *make_named(const char *name, uint64_t mark, uint32_t count, size_t fill)
{
    struct yd_builder *builder;
    struct yd_builder_options options = {.size_max = YD_BATCH_SIZE_MAX};
    uint32_t index;
    struct yd_batch *batch;
    assert_int_equal(yd_builder_create(&options, &builder), 0);
    assert_int_equal(yd_builder_name(builder, yd_str_of(name), &index), 0);
    for (uint32_t i = 0; i < count; i++) {
        union yd_value value = {.u64 = mark + i};
        assert_int_equal(yd_builder_add(builder, (int64_t)(mark + i) * YD_NS_PER_S, index, YD_SAMPLE, YD_U64, 0, value),
                         0);
    }
    if (fill) {
        char *bytes = calloc(1, fill);
        assert_int_equal(yd_builder_add_bytes(builder, (int64_t)mark * YD_NS_PER_S, index, YD_EVENT, YD_BLOB, 0,
                                              (struct yd_str){bytes, fill}),
                         0);
        free(bytes);
    }
    assert_int_equal(yd_builder_seal(builder, &batch), 0);
    yd_builder_destroy(builder);
    return batch;
}

static inline struct yd_batch *make_batch(uint64_t mark, uint32_t count, size_t fill)
{
    return make_named("mark", mark, count, fill);
}

static inline struct yd_batch *of_producer(struct yd_batch *batch, uint64_t id, uint32_t epoch, uint64_t seq)
{
    struct yd_header header = batch->header;
    struct yd_batch *other;
    header.producer_id = id;
    header.producer_epoch = epoch;
    header.producer_seq = seq;
    header.header_crc = yd_header_crc(&header);
    assert_int_equal(yd_batch_restamp(batch, &header, &other), 0);
    yd_batch_unref(batch);
    return other;
}

/* Sends an APPEND of these; takes the references. */
static inline void client_append(struct client *client, uint64_t correlation, struct yd_msg_append message,
                                 struct yd_batch **batches, uint16_t count)
{
    struct yd_buf bytes;
    yd_buf_init(&bytes, NULL);
    message.count = count;
    if (!message.level) message.level = YD_ACK_DURABLE;
    for (uint16_t i = 0; i < count; i++) {
        yd_batch_to_bytes(batches[i], yd_buf_reserve(&bytes, batches[i]->header.size));
        bytes.size += batches[i]->header.size;
        yd_batch_unref(batches[i]);
    }
    client_send(client, YD_MSG_APPEND, correlation, &message, sizeof message, yd_buf_view(&bytes));
    yd_buf_fini(&bytes);
}

static inline struct yd_msg_appended client_appended(struct client *client, uint64_t correlation)
{
    client_expect(client, YD_MSG_APPENDED, correlation);
    return *(const struct yd_msg_appended *)(const void *)client->body;
}

static inline struct yd_msg_appended client_put(struct client *client, uint32_t handle, struct yd_batch *batch)
{
    client_append(client, 7, (struct yd_msg_append){.handle = handle}, &batch, 1);
    return client_appended(client, 7);
}

static inline void client_subscribe(struct client *client, uint64_t correlation, struct yd_msg_subscribe message,
                                    const char *names, const char *cursor)
{
    char texts[512];
    if (!message.until) message.until = UINT64_MAX;
    if (!message.count) message.count = UINT64_MAX;
    if (!message.credit) message.credit = UINT64_C(1) << 40;
    message.names_size = (uint16_t)strlen(names);
    message.cursor_size = (uint16_t)strlen(cursor);
    int size = snprintf(texts, sizeof texts, "%s%s", names, cursor);
    client_send(client, YD_MSG_SUBSCRIBE, correlation, &message, sizeof message, (struct yd_str){texts, (size_t)size});
}

/* Checks the frame at hand: BATCHES of marks that are their seqnos, from *at on or behind; returns records. */
static inline uint64_t client_batches(struct client *client, uint64_t *at)
{
    uint64_t records = 0, next = ((const struct yd_msg_batches *)(const void *)client->body)->next;
    const char *bytes = client->body + sizeof(struct yd_msg_batches);
    size_t size = client->frame.size - sizeof client->frame - sizeof(struct yd_msg_batches);
    while (size > 0) {
        struct yd_batch *batch;
        assert_int_equal(yd_batch_from_bytes(bytes, size, &batch), 0);
        assert_true(batch->header.base_seqno + batch->header.count > *at); /* the first may have begun before */
        *at = batch->header.base_seqno + batch->header.count;
        for (uint32_t i = 0; i < batch->view.count; i++)
            if (batch->view.records[i].type == YD_U64)
                assert_int_equal(batch->view.records[i].value.u64, batch->header.base_seqno + i);
        records += batch->header.count;
        bytes += batch->header.size;
        size -= batch->header.size;
        yd_batch_unref(batch);
    }
    assert_true(next >= *at);
    *at = next;
    return records;
}

struct got {
    uint64_t records, frames, gaps, missing, next;
    int error;
};
/* Everything up to the END of a subscription. */
static inline struct got client_to_end(struct client *client, uint64_t correlation)
{
    struct got got = {0};
    uint64_t at = 0;
    for (;;) {
        unsigned type = client_next(client);
        assert_int_equal(client->frame.correlation, correlation);
        if (type == YD_MSG_BATCHES) {
            got.records += client_batches(client, &at);
            got.frames++;
        } else if (type == YD_MSG_GAP) {
            const struct yd_msg_gap *gap = (const void *)client->body;
            got.gaps++;
            if (gap->to > gap->from) got.missing += gap->to - gap->from;
            at = gap->to;
        } else {
            assert_int_equal(type, YD_MSG_END);
            const struct yd_msg_end *end = (const void *)client->body;
            got.error = end->error;
            got.next = end->next;
            return got;
        }
    }
}

#endif
