/* serve/native_peer.c: one connection: bytes to frames, frames to what the table says, answers back.
 *
 *   socket ─▶ a buffer of 4 to 64 KiB ─▶ whole frames, in place ─▶ messages[type]
 *                 └▶ a larger frame: a block of its own, grown as its bytes come, shared by the batches in it
 *
 * Everything in a frame is checked before it is used, its size before memory is taken. While a peer is held (its
 * APPEND waits for room, its answers are not read, its turn is over) nothing is read from it: the kernel's buffers
 * fill, and it waits. */
#include "io/tls.h"
#include "serve/native_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <yarder/batch.h>

#define BUFFER_FIRST  ((size_t)4 << 10)
#define BUFFER_MAX    ((size_t)64 << 10)
#define BLOCK_FIRST   ((size_t)1 << 20) /* taken at once; more only as it comes */
#define OTHERS_MAX    ((size_t)1 << 20) /* frames that are not APPEND */
#define HELLO_MAX     (sizeof(struct yd_frame) + sizeof(struct yd_msg_hello) + 2 * YD_PROTOCOL_TEXT_MAX + 8)
#define ANSWERS_MAX   ((size_t)4 << 20) /* not read by the peer: then it is not read either */
#define BACKLOG_LIMIT ((size_t)1 << 30) /* never met: each sender looks at the backlog before */
#define FRAMES_A_TURN 512
#define LINGER_NS     (2 * YD_NS_PER_S) /* for a GOODBYE to be read */

/* ---- life ---- */

void yd__native_peer_pin(struct yd__native_peer *peer)
{
    peer->pins++;
}

void yd__native_peer_unpin(struct yd__native_peer *peer)
{
    if (--peer->pins > 0 || !peer->dead) return;
    free(peer->bytes);
    free(peer);
}

void yd__native_block_unref(struct yd__native_block *block)
{
    if (!block) return;
    /* Release and acquire: the last one sees all that the others did with the bytes. */
    if (atomic_fetch_sub_explicit(&block->refs, 1, memory_order_acq_rel) > 1) return;
    free(block->data);
    free(block);
}

static void drop_block(struct yd__native_peer *peer)
{
    if (!peer->block) return;
    peer->native->stat.receiving_bytes -= peer->block->capacity;
    yd__native_block_unref(peer->block);
    peer->block = NULL;
}

void yd__native_peer_close(struct yd__native_peer *peer)
{
    if (peer->dead) return;
    struct yd_native *native = peer->native;
    yd__native_peer_pin(peer);
    peer->dead = true;
    *peer->at = peer->next;
    if (peer->next) peer->next->at = peer->at;
    native->stat.connections--;
    yd_stream_close(peer->stream);
    peer->stream = NULL;
    yd__native_subs_close(peer);
    yd__native_questions_drop(peer);
    for (uint32_t i = 0; i < peer->handle_count; i++) yd__native_handle_close(peer->handles[i]);
    free(peer->handles);
    peer->handles = NULL;
    peer->handle_count = 0;
    yd__native_append_free(peer->stalled);
    peer->stalled = NULL;
    drop_block(peer);
    yd__native_peer_unpin(peer);
}

struct yd__native_handle *yd__native_handle(struct yd__native_peer *peer, uint32_t index)
{
    return index < peer->handle_count ? peer->handles[index] : NULL;
}

/* ---- answering ---- */

static int write_bytes(struct yd__native_peer *peer, const void *bytes, size_t size)
{
    if (peer->dead) return YD_ECLOSED;
    int error = yd_stream_write(peer->stream, (struct yd_str){bytes, size});
    /* A frame that is not whole must not be followed by others. YD_ECLOSED: `ended` comes. */
    if (error && error != YD_ECLOSED) yd__native_peer_close(peer);
    return error;
}

void yd__native_send(struct yd__native_peer *peer, enum yd_message type, unsigned flags, uint64_t correlation,
                     const void *body, size_t body_size, struct yd_str text)
{
    char bytes[sizeof(struct yd_frame) + 128 + YD_PROTOCOL_TEXT_MAX + 8] = {0};
    YD_ASSERT(body_size <= 128 && text.size <= YD_PROTOCOL_TEXT_MAX);
    size_t size = (sizeof(struct yd_frame) + body_size + text.size + 7) & ~(size_t)7;
    struct yd_frame frame = {(uint32_t)size, (uint16_t)type, (uint16_t)flags, correlation};
    memcpy(bytes, &frame, sizeof frame);
    if (body_size) memcpy(bytes + sizeof frame, body, body_size);
    if (text.size) memcpy(bytes + sizeof frame + body_size, text.data, text.size);
    (void)write_bytes(peer, bytes, size); /* on failure the peer ends */
}

int yd__native_begin(struct yd__native_peer *peer, enum yd_message type, unsigned flags, uint64_t correlation,
                     const void *body, size_t body_size, uint64_t behind)
{
    char bytes[sizeof(struct yd_frame) + 64];
    YD_ASSERT(body_size <= 64 && body_size % 8 == 0);
    struct yd_frame frame = {(uint32_t)(sizeof frame + body_size + behind), (uint16_t)type, (uint16_t)flags,
                             correlation};
    memcpy(bytes, &frame, sizeof frame);
    if (body_size) memcpy(bytes + sizeof frame, body, body_size);
    return write_bytes(peer, bytes, sizeof frame + body_size);
}

static void release_batch(void *arg)
{
    yd_batch_unref(arg);
}

int yd__native_write_batch(struct yd__native_peer *peer, struct yd_batch *batch)
{
    static const char zeros[YD_BATCH_ALIGN];
    const struct yd_header *header = &batch->header;
    int error = write_bytes(peer, header, sizeof *header);
    if (error) return error;
    if (header->body_size < 16384) {
        error = write_bytes(peer, batch->body->data, header->body_size);
    } else {
        struct yd_str body = {batch->body->data, header->body_size};
        error = yd_stream_write_shared(peer->stream, body, release_batch, yd_batch_ref(batch));
        if (error) yd_batch_unref(batch);
        if (error && error != YD_ECLOSED) yd__native_peer_close(peer);
    }
    size_t pad = header->size - sizeof *header - header->body_size;
    return error || !pad ? error : write_bytes(peer, zeros, pad);
}

void yd__native_refuse(struct yd__native_peer *peer, uint64_t correlation, const struct yd_msg_refused *why,
                       const char *format, ...)
{
    char text[300];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    struct yd_msg_refused body = *why;
    body.text_size = (uint16_t)YD_MIN((size_t)YD_MAX(size, 0), sizeof text - 1);
    yd__native_send(peer, YD_MSG_REFUSED, 0, correlation, &body, sizeof body, (struct yd_str){text, body.text_size});
}

void yd__native_goodbye(struct yd__native_peer *peer, int error, const char *format, ...)
{
    char text[300];
    if (peer->dead || peer->phase == YD__NATIVE_CLOSING) return;
    va_list args;
    va_start(args, format);
    int size = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    struct yd_msg_refused body = {.error = error,
                                  .text_size = (uint16_t)YD_MIN((size_t)YD_MAX(size, 0), sizeof text - 1)};
    yd__native_send(peer, YD_MSG_GOODBYE, 0, 0, &body, sizeof body, (struct yd_str){text, body.text_size});
    if (peer->dead) return;
    drop_block(peer);
    yd__native_subs_close(peer);
    peer->phase = YD__NATIVE_CLOSING;
    peer->since_ns = yd_loop_mono(peer->native->loop);
    yd_stream_shutdown(peer->stream);
    if (peer->holds) yd_stream_pause(peer->stream, false); /* its end must be seen */
    peer->holds = 0;
}

/* ---- the session ---- */

bool yd__native_text(const struct yd__native_frame *frame, size_t *at, size_t size, struct yd_str *ret)
{
    if (size > YD_PROTOCOL_TEXT_MAX || size > frame->size - *at) return false;
    *ret = (struct yd_str){frame->body + *at, size};
    *at += size;
    return yd_text_utf8(*ret);
}

/* As long for every wrong one. */
static bool same_secret(struct yd_str given, const char *secret)
{
    size_t size = strlen(secret);
    unsigned different = given.size != size;
    for (size_t i = 0; i < given.size; i++)
        different |= (unsigned)(unsigned char)given.data[i] ^ (unsigned)(unsigned char)secret[size ? i % size : 0];
    return different == 0;
}

static bool allowed(const struct yd__native_peer *peer, struct yd_str token)
{
    const struct yd_native *native = peer->native;
    uint32_t uid;
    if (peer->unix_socket && yd_stream_peer_user(peer->stream, &uid) && (uid == 0 || uid == (uint32_t)geteuid()))
        return true;
    if (native->token) return same_secret(token, native->token);
    if (peer->unix_socket) return native->options.simulated;    /* another user of this machine */
    if (peer->tls && native->options.certificates) return true; /* the handshake has seen to it */
    return peer->local || native->options.open;
}

static int hello(struct yd__native_peer *peer, const struct yd__native_frame *frame)
{
    const struct yd_msg_hello *hello = (const void *)frame->body;
    struct yd_str name, token;
    size_t at = sizeof *hello;
    if (peer->phase != YD__NATIVE_FRESH) return YD_EFORMAT;
    if (hello->magic != YD_PROTOCOL_MAGIC || !yd__native_text(frame, &at, hello->name_size, &name) ||
        !yd__native_text(frame, &at, hello->token_size, &token))
        return YD_EFORMAT;
    if (hello->version_min > YD_PROTOCOL_VERSION || hello->version_max < YD_PROTOCOL_VERSION) {
        yd__native_goodbye(peer, YD_EVERSION, "this server speaks version %d of the protocol", YD_PROTOCOL_VERSION);
        return 0;
    }
    if (!allowed(peer, token)) {
        yd__native_say(peer->native, 1, "%s: refused, its token is not ours", peer->name);
        yd__native_goodbye(peer, YD_EPERM, token.size ? "that is not the token" : "a token is needed");
        return 0;
    }
    static const char server[] = "yarder " YARDER_VERSION;
    struct yd_msg_welcome welcome = {.version = YD_PROTOCOL_VERSION,
                                     .frame_max = peer->native->options.frame_max,
                                     .server_id = peer->native->server_id,
                                     .name_size = sizeof server - 1};
    peer->phase = YD__NATIVE_READY;
    yd__native_send(peer, YD_MSG_WELCOME, 0, frame->head.correlation, &welcome, sizeof welcome, YD_STR(server));
    return 0;
}

static int goodbye(struct yd__native_peer *peer, const struct yd__native_frame *frame)
{
    (void)frame;
    yd__native_peer_close(peer);
    return 0;
}

static int ping(struct yd__native_peer *peer, const struct yd__native_frame *frame)
{
    if (yd__native_begin(peer, YD_MSG_PONG, 0, frame->head.correlation, NULL, 0, frame->size) == 0 && frame->size)
        (void)write_bytes(peer, frame->body, frame->size); /* on failure the peer ends */
    return 0;
}

static int nothing(struct yd__native_peer *peer, const struct yd__native_frame *frame)
{
    (void)peer;
    (void)frame;
    return 0;
}

static const struct {
    yd__native_message *take;
    size_t size; /* of its struct */
} messages[] = {
    [YD_MSG_HELLO] = {hello, sizeof(struct yd_msg_hello)},
    [YD_MSG_GOODBYE] = {goodbye, 0},
    [YD_MSG_PING] = {ping, 0},
    [YD_MSG_PONG] = {nothing, 0},
    [YD_MSG_OPEN] = {yd__native_open, sizeof(struct yd_msg_open)},
    [YD_MSG_APPEND] = {yd__native_append, sizeof(struct yd_msg_append)},
    [YD_MSG_SUBSCRIBE] = {yd__native_subscribe, sizeof(struct yd_msg_subscribe)},
    [YD_MSG_CREDIT] = {yd__native_credit, sizeof(struct yd_msg_credit)},
    [YD_MSG_CANCEL] = {yd__native_cancel, 0},
    [YD_MSG_QUERY] = {yd__native_query, 0},
    [YD_MSG_FOLLOW] = {yd__native_follow, sizeof(struct yd_msg_follow)},
    [YD_MSG_FOLLOWED] = {yd__native_followed, sizeof(struct yd_msg_followed)},
    [YD_MSG_FENCE] = {yd__native_fence, sizeof(struct yd_msg_fence)},
};

static void bad_frame(struct yd__native_peer *peer, int error, const char *what)
{
    yd__native_count(peer->native, YD_NATIVE_REJECTED, YD_NATIVE_BAD_FRAME, 1, peer);
    yd__native_goodbye(peer, error, "%s", what);
}

static void take_frame(struct yd__native_peer *peer, const struct yd__native_frame *frame)
{
    unsigned type = frame->head.type;
    peer->native->stat.frames++;
    if (type >= YD_COUNT(messages) || !messages[type].take) {
        yd__native_refuse(peer, frame->head.correlation, &(struct yd_msg_refused){.error = YD_ENOTSUP},
                          "no message of type %u is known here", type);
        return;
    }
    if (frame->size < messages[type].size || messages[type].take(peer, frame))
        bad_frame(peer, YD_EFORMAT, "a frame that cannot be: its parts do not agree");
}

/* ---- reading ---- */

/* Can a frame of this head be? Tells the peer when not. */
static bool head_good(struct yd__native_peer *peer, const struct yd_frame *head)
{
    const struct yd_native_options *options = &peer->native->options;
    if (head->size < sizeof *head || head->size % 8) {
        bad_frame(peer, YD_EFORMAT, "a frame's size is at least 16 and a multiple of 8");
    } else if (peer->phase == YD__NATIVE_FRESH && (head->type != YD_MSG_HELLO || head->size > HELLO_MAX)) {
        bad_frame(peer, YD_EFORMAT, "the first frame must be HELLO");
    } else if (head->size > options->frame_max || (head->type != YD_MSG_APPEND && head->size > OTHERS_MAX)) {
        bad_frame(peer, YD_ETOOBIG, "the frame is larger than this server takes");
    } else {
        return true;
    }
    return false;
}

static bool grow_block(struct yd__native_peer *peer, size_t capacity)
{
    struct yd_native *native = peer->native;
    struct yd__native_block *block = peer->block;
    if (native->stat.receiving_bytes + capacity - block->capacity > native->options.receive_max) {
        yd__native_goodbye(peer, YD_EFULL, "the server receives too much at once: try again later");
        return false;
    }
    char *data = realloc(block->data, capacity);
    if (!data) {
        yd__native_goodbye(peer, YD_ENOMEM, "out of memory");
        return false;
    }
    native->stat.receiving_bytes += capacity - block->capacity;
    block->data = data;
    block->capacity = capacity;
    return true;
}

/* A frame larger than the buffer: what is there of it moves into a block of its own. */
static void begin_block(struct yd__native_peer *peer, size_t size)
{
    struct yd__native_block *block = calloc(1, sizeof *block);
    if (!block) {
        yd__native_goodbye(peer, YD_ENOMEM, "out of memory");
        return;
    }
    atomic_init(&block->refs, 1);
    block->wanted = size;
    peer->block = block;
    if (!grow_block(peer, YD_MIN(size, BLOCK_FIRST))) return;
    block->size = peer->end - peer->begin; /* less than BUFFER_MAX */
    memcpy(block->data, peer->bytes + peer->begin, block->size);
    peer->begin = peer->end = 0;
}

static void take_block(struct yd__native_peer *peer)
{
    struct yd__native_block *block = peer->block;
    struct yd__native_frame frame = {
        .body = block->data + sizeof frame.head, .size = block->size - sizeof frame.head, .block = block};
    memcpy(&frame.head, block->data, sizeof frame.head);
    peer->native->stat.receiving_bytes -= block->capacity;
    peer->block = NULL;
    take_frame(peer, &frame);
    yd__native_block_unref(block);
}

/* One frame, when it is all there. */
static bool take_next(struct yd__native_peer *peer)
{
    if (peer->block) {
        if (peer->block->size < peer->block->wanted) return false;
        take_block(peer);
        return true;
    }
    size_t have = peer->end - peer->begin;
    struct yd__native_frame frame = {0};
    if (have < sizeof frame.head) return false;
    memcpy(&frame.head, peer->bytes + peer->begin, sizeof frame.head);
    if (!head_good(peer, &frame.head)) return false;
    if (frame.head.size > BUFFER_MAX) {
        begin_block(peer, frame.head.size);
        return false;
    }
    if (have < frame.head.size) return false;
    frame.body = peer->bytes + peer->begin + sizeof frame.head;
    frame.size = frame.head.size - sizeof frame.head;
    peer->begin += frame.head.size;
    take_frame(peer, &frame);
    return true;
}

static void take_frames(struct yd__native_peer *peer)
{
    for (int i = 0; !peer->dead && !peer->holds && peer->phase != YD__NATIVE_CLOSING; i++) {
        if (yd_stream_backlog(peer->stream) > ANSWERS_MAX) {
            yd__native_peer_hold(peer, YD__NATIVE_HOLD_BACKLOG);
        } else if (i == FRAMES_A_TURN) {
            yd__native_peer_hold(peer, YD__NATIVE_HOLD_TURN);
            yd__native_want_turn(peer);
        } else if (!take_next(peer)) {
            return;
        }
    }
}

static bool make_room(struct yd__native_peer *peer)
{
    if (peer->begin == peer->end) peer->begin = peer->end = 0;
    if (peer->begin > 0 && peer->capacity - peer->end < BUFFER_FIRST) {
        memmove(peer->bytes, peer->bytes + peer->begin, peer->end - peer->begin);
        peer->end -= peer->begin;
        peer->begin = 0;
    }
    if (peer->end < peer->capacity) return true;
    size_t capacity = peer->capacity ? YD_MIN(peer->capacity * 4, BUFFER_MAX) : BUFFER_FIRST;
    char *bytes = capacity > peer->capacity ? realloc(peer->bytes, capacity) : NULL;
    if (!bytes) return false;
    peer->bytes = bytes;
    peer->capacity = capacity;
    return true;
}

static void peer_room(void *arg, char **ret_to, size_t *ret_size)
{
    struct yd__native_peer *peer = arg;
    struct yd__native_block *block = peer->block;
    *ret_to = NULL;
    *ret_size = 0;
    if (peer->phase == YD__NATIVE_CLOSING) peer->begin = peer->end = 0; /* read, to see its end, and forgotten */
    if (block) {
        if (block->size == block->capacity && !grow_block(peer, YD_MIN(block->wanted, block->capacity * 2))) {
            peer_room(arg, ret_to, ret_size); /* it was told to go: the block is gone */
            return;
        }
        *ret_to = block->data + block->size;
        *ret_size = block->capacity - block->size;
    } else if (make_room(peer)) {
        *ret_to = peer->bytes + peer->end;
        *ret_size = peer->capacity - peer->end;
    }
}

static void peer_data(void *arg, size_t size)
{
    struct yd__native_peer *peer = arg;
    peer->heard_ns = yd_loop_mono(peer->native->loop);
    peer->pinged = false;
    if (peer->phase == YD__NATIVE_CLOSING) return;
    if (peer->block)
        peer->block->size += size;
    else
        peer->end += size;
    yd__native_peer_pin(peer);
    take_frames(peer);
    yd__native_peer_unpin(peer);
}

static void peer_ended(void *arg, int error)
{
    struct yd__native_peer *peer = arg;
    if (peer->phase == YD__NATIVE_READY && error == YD_EEOF && (peer->block || peer->end > peer->begin) && !peer->holds)
        yd__native_count(peer->native, YD_NATIVE_REJECTED, YD_NATIVE_BAD_FRAME, 1, peer); /* half of one */
    yd__native_peer_close(peer);
}

static void peer_drained(void *arg)
{
    struct yd__native_peer *peer = arg;
    yd__native_peer_go_on(peer, YD__NATIVE_HOLD_BACKLOG);
    if (!peer->dead && (peer->subs || peer->follows)) yd__native_want_turn(peer);
}

static const struct yd_stream_ops peer_ops = {
    .room = peer_room, .data = peer_data, .ended = peer_ended, .drained = peer_drained};

void yd__native_peer_hold(struct yd__native_peer *peer, unsigned hold)
{
    if (peer->dead) return;
    if (!peer->holds) yd_stream_pause(peer->stream, true);
    peer->holds |= hold;
}

void yd__native_peer_go_on(struct yd__native_peer *peer, unsigned hold)
{
    if (peer->dead || !(peer->holds & hold)) return;
    peer->holds &= ~hold;
    if (peer->holds) return;
    yd_stream_pause(peer->stream, false);
    yd__native_want_turn(peer); /* for the frames that are in the buffer already */
}

/* ---- turns and timeouts ---- */

void yd__native_peer_turn(struct yd__native_peer *peer)
{
    if (peer->dead) return;
    if (peer->holds & YD__NATIVE_HOLD_TURN) {
        peer->holds &= ~(unsigned)YD__NATIVE_HOLD_TURN;
        if (!peer->holds) yd_stream_pause(peer->stream, false);
    }
    take_frames(peer);
    if (!peer->dead && yd__native_subs_run(peer)) yd__native_want_turn(peer);
    if (!peer->dead) yd__native_follow_run(peer);
}

void yd__native_peer_sweep(struct yd__native_peer *peer, int64_t now)
{
    const struct yd_native_options *options = &peer->native->options;
    if (peer->phase == YD__NATIVE_CLOSING) {
        if (now - peer->since_ns >= LINGER_NS) yd__native_peer_close(peer);
        return;
    }
    for (uint32_t i = 0; i < peer->handle_count; i++) yd__native_acks_sweep(peer->handles[i], now);
    if (peer->dead || peer->holds) return; /* it is us who do not listen */
    bool begun = peer->block || peer->end > peer->begin;
    if (peer->phase == YD__NATIVE_FRESH && now - peer->since_ns >= options->hello_ns) {
        yd__native_goodbye(peer, YD_ETIMEOUT, "no HELLO in time");
    } else if (begun && now - peer->heard_ns >= options->frame_ns) {
        bad_frame(peer, YD_ETIMEOUT, "half a frame, and silence");
    } else if (now - peer->heard_ns >= options->idle_ns) {
        yd__native_goodbye(peer, YD_ETIMEOUT, "silent for too long");
    } else if (now - peer->heard_ns >= options->idle_ns / 2 && !peer->pinged && peer->phase == YD__NATIVE_READY) {
        peer->pinged = true;
        yd__native_send(peer, YD_MSG_PING, 0, 0, NULL, 0, (struct yd_str){0});
    }
}

void yd__native_peer_accept(struct yd_native *native, struct yd_stream *stream, const struct yd_address *from,
                            bool unix_socket)
{
    bool tls = native->options.tls && !unix_socket;
    int error = tls ? yd_stream_secure(&stream, native->options.tls, NULL) : 0;
    struct yd__native_peer *peer = error ? NULL : calloc(1, sizeof *peer);
    if (!peer) {
        yd_stream_close(stream);
        return;
    }
    peer->tls = tls;
    peer->native = native;
    peer->unix_socket = unix_socket;
    peer->local = unix_socket || yd_address_loopback(from);
    peer->since_ns = peer->heard_ns = yd_loop_mono(native->loop);
    if (unix_socket)
        (void)snprintf(peer->name, sizeof peer->name, "unix socket");
    else
        (void)yd_address_put(from, peer->name, sizeof peer->name);
    peer->stream = stream;
    peer->at = &native->peers;
    peer->next = native->peers;
    if (peer->next) peer->next->at = &peer->next;
    native->peers = peer;
    native->stat.connections++;
    native->stat.connected++;
    yd_stream_limit(stream, BACKLOG_LIMIT);
    yd_stream_start(stream, &peer_ops, peer);
}
