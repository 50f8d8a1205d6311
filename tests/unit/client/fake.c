/* fake.c: the server in memory. It does what src/serve does, in the plainest way. */
#include "fake.h"

#include <stdio.h>
#include <stdlib.h>

#define FAKE(n) YD_CONTAINER(n, struct fake, net)

/* ---- the line ---- */

static void hang_up(struct fake *fake)
{
    fake->fd = -1;
    fake->closed = false;
    fake->greeted = 0;
    yd_buf_clear(&fake->to_client);
    yd_buf_clear(&fake->to_server);
    memset(fake->subs, 0, sizeof fake->subs);
    fake->ack_count = 0;
}

static size_t last_of(const struct fake *fake, uint64_t producer, uint64_t *ret_seq, uint32_t *ret_epoch)
{
    *ret_seq = 0;
    *ret_epoch = 0;
    for (size_t i = fake->count; i-- > 0;)
        if (fake->entries[i].batch->header.producer_id == producer) {
            *ret_seq = fake->entries[i].batch->header.producer_seq;
            *ret_epoch = fake->entries[i].batch->header.producer_epoch;
            return i;
        }
    return SIZE_MAX;
}

void fake_kill(struct fake *fake)
{
    size_t keep = fake->loses_written ? fake->durable : fake->written;
    while (fake->count > keep) yd_batch_unref(fake->entries[--fake->count].batch);
    fake->written = fake->durable = fake->count;
    fake->server_id++;
    fake->epoch++;
    hang_up(fake);
    fake->fd = -2; /* the client has a descriptor that is dead */
}

static bool dies(struct fake *fake)
{
    if (fake->die_in == 0 || --fake->die_in) return false;
    fake_kill(fake);
    return true;
}

static int fake_connect(struct yd_net *net, const char *address, unsigned attempt, int *ret_fd, struct yd_trail *trail)
{
    struct fake *fake = FAKE(net);
    (void)attempt;
    if (fake->refusing) return yd_trail_add(trail, YD_ECONNREFUSED, "%s: nobody is there", address);
    hang_up(fake);
    fake->connections++;
    *ret_fd = fake->fd = 3 + (int)fake->connections;
    return 0;
}

static int fake_finish(struct yd_net *net, int fd)
{
    return FAKE(net)->fd == fd ? 0 : YD_ECONNREFUSED;
}

static void acknowledge(struct fake *fake, bool all)
{
    size_t kept = 0;
    for (size_t i = 0; i < fake->ack_count; i++) {
        struct fake_ack *ack = &fake->acks[i];
        size_t have = ack->level == YD_ACK_MEMORY    ? fake->count
                      : ack->level == YD_ACK_WRITTEN ? fake->written
                                                     : fake->durable;
        if (have < ack->end || (!all && kept)) {
            fake->acks[kept++] = *ack;
            continue;
        }
        struct yd_msg_appended appended = {
            .first = ack->first, .next = ack->next, .level = ack->level, .duplicates = ack->duplicates};
        fake_send(fake, YD_MSG_APPENDED, 0, ack->correlation, &appended, sizeof appended);
    }
    fake->ack_count = kept;
}

/* What the server does by itself, when it gets time. */
static void work(struct fake *fake)
{
    fake->written = fake->count;
    if (!fake->lazy || yd_rng_chance(&fake->rng, 2)) fake->durable = fake->written;
    acknowledge(fake, true);
}

static void subs_run(struct fake *fake)
{
    for (size_t s = 0; s < YD_COUNT(fake->subs); s++) {
        struct fake_sub *sub = &fake->subs[s];
        for (size_t i = 0; i < fake->durable && sub->used && sub->credit > 0; i++) {
            struct yd_batch *batch = fake->entries[i].batch;
            uint64_t end = batch->header.base_seqno + batch->header.count;
            if (end <= sub->at || batch->header.base_seqno >= sub->until) continue;
            size_t size = sizeof(struct yd_msg_batches) + batch->header.size;
            char *body = malloc(size);
            struct yd_msg_batches batches = {end};
            memcpy(body, &batches, sizeof batches);
            yd_batch_to_bytes(batch, body + sizeof batches);
            fake_send(fake, YD_MSG_BATCHES, 0, sub->correlation, body, size);
            free(body);
            sub->at = end;
            sub->credit -= (int64_t)size;
        }
        if (!sub->used) continue;
        uint64_t next = (uint64_t)fake_seqno(fake);
        if (sub->at >= sub->until || (sub->stop && sub->at >= next)) {
            struct yd_msg_end end = {.next = sub->at};
            fake_send(fake, YD_MSG_END, 0, sub->correlation, &end, sizeof end);
            sub->used = false;
        }
    }
}

static void serve(struct fake *fake)
{
    struct yd_frame frame;
    while (fake->fd >= 0 && !fake->deaf && !fake->closed && fake->to_server.size >= sizeof frame) {
        memcpy(&frame, fake->to_server.data, sizeof frame);
        assert_true(frame.size >= sizeof frame && frame.size % 8 == 0);
        if (fake->to_server.size < frame.size) break;
        char *body = malloc(frame.size);
        memcpy(body, fake->to_server.data, frame.size);
        yd_buf_consume(&fake->to_server, frame.size);
        (fake->frame ? fake->frame : fake_serve)(fake, &frame,
                                                 (struct yd_str){body + sizeof frame, frame.size - sizeof frame});
        free(body);
    }
    if (fake->fd >= 0 && !fake->deaf && !fake->frame) subs_run(fake);
}

static int fake_poll(struct yd_net *net, int fd, short events, int64_t timeout_ns, short *ret_events)
{
    struct fake *fake = FAKE(net);
    *ret_events = 0;
    if (fd >= 0 && fd != fake->fd) {
        *ret_events = POLLIN | POLLHUP;
        return 0;
    }
    if (fd >= 0) {
        serve(fake);
        *ret_events = (short)(events & POLLOUT);
        if (timeout_ns != 0 && (events & POLLIN) && !fake->to_client.size && !fake->deaf) work(fake), serve(fake);
        if ((events & POLLIN) && (fake->to_client.size || fake->closed)) *ret_events |= POLLIN;
    }
    if (*ret_events == 0 && timeout_ns != 0) {
        assert_true(timeout_ns > 0); /* nobody would ever wake up */
        fake->now += timeout_ns;
    }
    return 0;
}

static size_t limit(struct fake *fake, size_t size)
{
    if (!fake->chunk) return size;
    size_t most = 1 + (size_t)yd_rng_below(&fake->rng, fake->chunk);
    return YD_MIN(size, most);
}

static int fake_send_bytes(struct yd_net *net, int fd, const struct iovec *parts, int part_count, size_t *ret_size)
{
    struct fake *fake = FAKE(net);
    assert_int_equal(part_count, 1);
    if (fd != fake->fd || fake->closed) return YD_ECONNRESET;
    if (fake->to_server.size > 1 << 20) return YD_EAGAIN;
    *ret_size = limit(fake, parts[0].iov_len);
    yd_buf_add(&fake->to_server, parts[0].iov_base, *ret_size);
    if (dies(fake)) return 0;
    return 0;
}

static int fake_recv(struct yd_net *net, int fd, void *to, size_t size, size_t *ret_size)
{
    struct fake *fake = FAKE(net);
    if (fd != fake->fd) return YD_ECONNRESET;
    serve(fake);
    if (dies(fake)) return YD_ECONNRESET;
    if (fake->to_client.size == 0) return fake->closed ? YD_EEOF : YD_EAGAIN;
    *ret_size = limit(fake, YD_MIN(size, fake->to_client.size));
    memcpy(to, fake->to_client.data, *ret_size);
    yd_buf_consume(&fake->to_client, *ret_size);
    return 0;
}

static void fake_close(struct yd_net *net, int fd)
{
    if (FAKE(net)->fd == fd) hang_up(FAKE(net));
}

static int64_t fake_mono(struct yd_net *net)
{
    return FAKE(net)->now += 1000;
}

static uint64_t fake_random(struct yd_net *net)
{
    return yd_rng_next(&FAKE(net)->rng);
}

/* ---- the server ---- */

void fake_send(struct fake *fake, uint16_t type, uint16_t flags, uint64_t correlation, const void *body, size_t size)
{
    static const char zero[8];
    size_t padded = YD_ALIGN_UP(size, 8);
    struct yd_frame frame = {(uint32_t)(sizeof frame + padded), type, flags, correlation};
    yd_buf_add(&fake->to_client, &frame, sizeof frame);
    yd_buf_add(&fake->to_client, body, size);
    yd_buf_add(&fake->to_client, zero, padded - size);
}

static void refuse(struct fake *fake, uint64_t correlation, int error, uint64_t detail, uint64_t detail2,
                   uint32_t retry)
{
    struct {
        struct yd_msg_refused head;
        char text[8];
    } body = {{error, retry, detail, detail2, 7, 0, 0}, "because"};
    fake_send(fake, YD_MSG_REFUSED, 0, correlation, &body, sizeof body);
}

int64_t fake_seqno(const struct fake *fake)
{
    if (fake->count == 0) return 0;
    const struct yd_header *last = &fake->entries[fake->count - 1].batch->header;
    return (int64_t)(last->base_seqno + last->count);
}

static void push(struct fake *fake, const struct yd_batch *batch)
{
    struct yd_header header = batch->header;
    header.base_seqno = (uint64_t)fake_seqno(fake);
    header.epoch = fake->epoch;
    if (fake->count == fake->capacity) {
        fake->capacity = fake->capacity ? fake->capacity * 2 : 64;
        fake->entries = realloc(fake->entries, fake->capacity * sizeof *fake->entries);
    }
    assert_int_equal(yd_batch_restamp(batch, &header, &fake->entries[fake->count].batch), 0);
    fake->count++;
}

void fake_add(struct fake *fake, const struct yd_batch *batch)
{
    push(fake, batch);
    fake->written = fake->durable = fake->count;
}

static void take_append(struct fake *fake, const struct yd_frame *frame, struct yd_str body)
{
    struct yd_msg_append append;
    memcpy(&append, body.data, sizeof append);
    struct yd_str rest = {body.data + sizeof append, body.size - sizeof append};
    struct fake_ack ack = {.correlation = frame->correlation, .level = append.level, .first = UINT64_MAX};
    uint64_t prev = append.expect_prev_seq, taken = 0;
    fake->appends++;
    fake->last_append_count = (uint8_t)append.count;
    if (append.handle != 42) { /* a flipped bit made it so */
        assert_non_null(fake->frame);
        refuse(fake, frame->correlation, YD_EINVAL, 0, 0, 0);
        return;
    }
    if (fake->refuse_count) {
        fake->refuse_count--;
        refuse(fake, frame->correlation, fake->refuse_append, 0, 0, fake->refuse_retry_ms);
        return;
    }
    for (; rest.size; taken++) {
        struct yd_batch *batch;
        assert_int_equal(yd_batch_from_bytes(rest.data, rest.size, &batch), 0);
        const struct yd_header *header = &batch->header;
        rest = (struct yd_str){rest.data + header->size, rest.size - header->size};
        uint64_t known, seqno = (uint64_t)fake_seqno(fake), seq = header->producer_seq;
        uint32_t epoch;
        int error = 0;
        size_t at = header->producer_id ? last_of(fake, header->producer_id, &known, &epoch) : SIZE_MAX;
        uint64_t detail = 0;
        bool duplicate = at != SIZE_MAX && seq <= known;
        if (header->producer_id == 0) known = 0;
        if (at != SIZE_MAX && header->producer_epoch < epoch) error = YD_EEPOCH, detail = epoch;
        if (!error && fake->forget != UINT64_MAX) error = YD_EGAP, detail = fake->forget, fake->forget = UINT64_MAX;
        if (!error && !duplicate && (append.flags & YD_APPEND_EXPECT_PREV) && known != prev)
            error = YD_EGAP, detail = known;
        if (!error && !duplicate && (append.flags & YD_APPEND_EXPECT_SEQNO) && append.expect_seqno != seqno)
            error = YD_EGAP, detail = seqno;
        prev = seq;
        if (error) {
            yd_batch_unref(batch);
            refuse(fake, frame->correlation, error, detail, taken, 0);
            return;
        }
        if (duplicate) {
            ack.duplicates++;
            const struct yd_header *there = &fake->entries[at].batch->header;
            ack.first = YD_MIN(ack.first, there->base_seqno);
            ack.next = YD_MAX(ack.next, there->base_seqno + there->count);
            ack.end = YD_MAX(ack.end, at + 1);
        } else {
            push(fake, batch);
            ack.first = YD_MIN(ack.first, seqno);
            ack.next = (uint64_t)fake_seqno(fake);
            ack.end = fake->count;
        }
        yd_batch_unref(batch);
    }
    assert_int_equal(taken, append.count);
    if (fake->ack_count == fake->ack_capacity) {
        fake->ack_capacity = fake->ack_capacity ? fake->ack_capacity * 2 : 64;
        fake->acks = realloc(fake->acks, fake->ack_capacity * sizeof *fake->acks);
    }
    fake->acks[fake->ack_count++] = ack;
    if (!fake->lazy) work(fake);
    acknowledge(fake, true);
}

static void take_subscribe(struct fake *fake, const struct yd_frame *frame, struct yd_str body)
{
    struct yd_msg_subscribe subscribe;
    memcpy(&subscribe, body.data, sizeof subscribe);
    fake->subscribes++;
    fake->said_epoch = subscribe.epoch;
    struct fake_sub *sub = fake->subs;
    while (sub->used) sub++;
    uint64_t next = (uint64_t)fake_seqno(fake);
    *sub = (struct fake_sub){.used = true,
                             .correlation = frame->correlation,
                             .at = subscribe.from == YD_FROM_SEQNO  ? subscribe.seqno
                                   : subscribe.from == YD_FROM_TAIL ? next
                                                                    : 0,
                             .until = subscribe.until,
                             .credit = (int64_t)subscribe.credit,
                             .stop = subscribe.flags & YD_SUBSCRIBE_STOP};
    if (sub->at > next) {
        struct yd_msg_gap gap = {.from = sub->at, .to = next, .reason_size = 8};
        char bytes[sizeof gap + 8];
        memcpy(bytes, &gap, sizeof gap);
        memcpy(bytes + sizeof gap, "cut back", 8);
        fake_send(fake, YD_MSG_GAP, 0, frame->correlation, bytes, sizeof bytes);
        sub->at = next;
    }
    struct yd_msg_batches batches = {sub->at};
    fake_send(fake, YD_MSG_BATCHES, 0, frame->correlation, &batches, sizeof batches);
    sub->credit -= (int64_t)sizeof batches;
}

static void take_query(struct fake *fake, const struct yd_frame *frame, struct yd_str body)
{
    struct yd_batch *batch;
    fake->queries++;
    assert_int_equal(yd_batch_from_bytes(body.data, body.size, &batch), 0);
    union yd_value map = batch->view.records[0].value;
    const struct yd_cell *op = yd_view_find(&batch->view, map, YD_STR("op"));
    assert_non_null(op);
    if (yd_str_eq(yd_view_bytes(&batch->view, op->value), YD_STR("cursor_save"))) {
        struct yd_str name = yd_view_bytes(&batch->view, yd_view_find(&batch->view, map, YD_STR("cursor"))->value);
        snprintf(fake->cursor, sizeof fake->cursor, "%.*s", YD_STR_FMT(name));
        fake->cursor_seqno = yd_view_find(&batch->view, map, YD_STR("seqno"))->value.u64;
        fake_send(fake, YD_MSG_REPLY, 0, frame->correlation, NULL, 0);
    } else { /* echoes it, in two frames */
        fake_send(fake, YD_MSG_REPLY, YD_FRAME_MORE, frame->correlation, body.data, body.size);
        fake_send(fake, YD_MSG_REPLY, 0, frame->correlation, body.data, body.size);
    }
    yd_batch_unref(batch);
}

void fake_serve(struct fake *fake, const struct yd_frame *frame, struct yd_str body)
{
    switch (frame->type) {
    case YD_MSG_HELLO: {
        struct yd_msg_hello hello;
        memcpy(&hello, body.data, sizeof hello);
        assert_int_equal(hello.magic, YD_PROTOCOL_MAGIC);
        snprintf(fake->said_token, sizeof fake->said_token, "%.*s", hello.token_size,
                 body.data + sizeof hello + hello.name_size);
        if (fake->refuse_hello) {
            refuse(fake, frame->correlation, fake->refuse_hello, 0, 0, 0);
            fake->closed = true;
            return;
        }
        struct yd_msg_welcome welcome = {.version = 1, .frame_max = fake->frame_max, .server_id = fake->server_id};
        fake_send(fake, YD_MSG_WELCOME, 0, frame->correlation, &welcome, sizeof welcome);
        fake->greeted = 1;
        return;
    }
    case YD_MSG_OPEN: {
        struct yd_msg_open open;
        struct yd_msg_opened opened = {.handle = 42, .partitions = 1, .epoch = fake->epoch};
        memcpy(&open, body.data, sizeof open);
        fake->opens++;
        if (fake->refuse_open) {
            refuse(fake, frame->correlation, fake->refuse_open, 0, 0, 0);
            return;
        }
        (void)last_of(fake, open.producer_id, &opened.producer_seq, &opened.producer_epoch);
        fake_send(fake, YD_MSG_OPENED, 0, frame->correlation, &opened, sizeof opened);
        return;
    }
    case YD_MSG_APPEND:
        take_append(fake, frame, body);
        return;
    case YD_MSG_SUBSCRIBE:
        take_subscribe(fake, frame, body);
        return;
    case YD_MSG_CREDIT:
    case YD_MSG_CANCEL:
        fake->credits += frame->type == YD_MSG_CREDIT;
        for (size_t i = 0; i < YD_COUNT(fake->subs); i++) {
            uint64_t bytes;
            if (!fake->subs[i].used || fake->subs[i].correlation != frame->correlation) continue;
            if (frame->type == YD_MSG_CANCEL) {
                fake->subs[i].used = false;
                continue;
            }
            memcpy(&bytes, body.data, sizeof bytes);
            fake->subs[i].credit += (int64_t)bytes;
        }
        return;
    case YD_MSG_QUERY:
        take_query(fake, frame, body);
        return;
    case YD_MSG_PING:
        fake_send(fake, YD_MSG_PONG, 0, frame->correlation, body.data, body.size);
        return;
    case YD_MSG_PONG:
        return;
    default:
        fail_msg("a frame of type %u", frame->type);
    }
}

/* ---- life ---- */

void fake_init(struct fake *fake, uint64_t seed)
{
    static const struct yd_net_ops ops = {fake_connect, fake_finish, fake_poll, fake_send_bytes,
                                          fake_recv,    fake_close,  fake_mono, fake_random};
    memset(fake, 0, sizeof *fake);
    fake->net.ops = &ops;
    fake->fd = -1;
    fake->epoch = 1;
    fake->frame_max = YD_PROTOCOL_FRAME_MAX;
    fake->forget = UINT64_MAX;
    fake->now = YD_NS_PER_S;
    yd_rng_init(&fake->rng, seed);
    yd_buf_init(&fake->to_server, NULL);
    yd_buf_init(&fake->to_client, NULL);
}

void fake_fini(struct fake *fake)
{
    for (size_t i = 0; i < fake->count; i++) yd_batch_unref(fake->entries[i].batch);
    free(fake->entries);
    free(fake->acks);
    yd_buf_fini(&fake->to_server);
    yd_buf_fini(&fake->to_client);
}

struct yd_client *fake_client(struct fake *fake, const struct yd_client_options *options)
{
    struct yd_client *client;
    struct yd_trail trail;
    yd_trail_clear(&trail);
    assert_int_equal(yd__client_open(options, &fake->net, NULL, &client, &trail), 0);
    return client;
}

struct yd_batch *fake_batch(uint64_t mark, unsigned count)
{
    static struct yd_builder *builder;
    struct yd_batch *batch;
    uint32_t names[2];
    if (!builder) assert_int_equal(yd_builder_create(&(struct yd_builder_options){0}, &builder), 0);
    assert_int_equal(yd_builder_name(builder, YD_STR("even"), &names[0]), 0);
    assert_int_equal(yd_builder_name(builder, YD_STR("odd"), &names[1]), 0);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(yd_builder_add(builder, (int64_t)i, names[i % 2], i % 2 ? YD_TALLY : YD_SAMPLE, YD_U64, 0,
                                        (union yd_value){.u64 = mark ? mark : i}),
                         0);
    assert_int_equal(yd_builder_seal(builder, &batch), 0);
    if (count == UINT32_MAX) yd_builder_destroy(builder);
    return batch;
}

uint64_t fake_mark(const struct yd_batch *batch)
{
    return batch->view.records[0].value.u64;
}
