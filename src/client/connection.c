/* client/connection.c: one connection after the other.
 *
 *   IDLE ─▶ CONNECTING ─▶ (SECURING) ─▶ GREETING ─▶ READY
 *     ▲          │             │            │          │  lost
 *     └──────────┴── before the first READY ┘          ▼
 *                                            WAITING (50 ms … 5 s) ─▶ CONNECTING
 *
 * A round fills the output with what may be sent, sends, receives, and handles whole frames where they lie. Out of the
 * other side's sizes nothing is allocated beforehand: the input grows as bytes come, up to one frame. A peer that is
 * silent while we wait is asked (PING), and given up when it does not answer. */
#include <stdio.h>

#include "client/internal.h"

#define BACKOFF_FIRST (50 * YD_NS_PER_MS)
#define BACKOFF_MOST  (5 * YD_NS_PER_S)
#define GREETING_TIME (10 * YD_NS_PER_S)
#define SILENCE       (15 * YD_NS_PER_S)   /* then it is asked */
#define SILENCE_MOST  (30 * YD_NS_PER_S)   /* and after so long given up */
#define FRAME_FIRST   (UINT32_C(64) << 10) /* before WELCOME */
#define IN_STEP       ((size_t)256 << 10)
#define KEEP          ((size_t)1 << 20) /* larger buffers are given back */

void yd__connection_drop(struct yd_client *client, int error)
{
    yd__session_destroy(client->session);
    client->session = NULL;
    if (client->fd >= 0) client->net->ops->close(client->net, client->fd);
    client->fd = -1;
    client->state = YD__IDLE;
    client->more = client->pinged = false;
    client->broken = 0;
    client->in_at = client->out_at = 0;
    yd_buf_clear(&client->in);
    yd_buf_clear(&client->out);
    client->request_first = client->request_end;
    for (struct yd_client_stream *stream = client->streams; stream; stream = stream->next) yd__stream_lost(stream);
    for (struct yd_subscription *sub = client->subscriptions; sub; sub = sub->next) yd__subscription_lost(sub);
    if (client->call && client->call->sent) yd__call_end(client, error == YD_ECANCELED ? error : YD_ECONNRESET);
}

/* The trouble was told by the caller. */
static void lost(struct yd_client *client, int error)
{
    bool refused = client->state <= YD__GREETING && (error == YD_EPERM || error == YD_EVERSION);
    yd__connection_drop(client, error);
    if (client->was_ready && client->once) error = client->fatal = YD_ECLOSED;
    if (!client->was_ready || client->once || refused) {
        yd__client_fail_all(client, error);
        return;
    }
    uint64_t jitter = client->net->ops->random(client->net) % 256;
    client->state = YD__WAITING;
    client->retry_at = client->now + client->backoff_ns / 512 * (int64_t)(384 + jitter);
    client->backoff_ns = YD_MIN(client->backoff_ns * 2, BACKOFF_MOST);
}

static void lost_saying(struct yd_client *client, int error, const char *what)
{
    (void)yd__trouble(client, error, "%s%s: %s: %s", client->host ? "tls:" : "", client->address, what,
                      yd_error_text(error));
    lost(client, error);
}

/* ---- making it ---- */

static void greet(struct yd_client *client)
{
    struct yd_msg_hello hello = {.magic = YD_PROTOCOL_MAGIC,
                                 .version_min = YD_PROTOCOL_VERSION,
                                 .version_max = YD_PROTOCOL_VERSION,
                                 .name_size = (uint16_t)strlen(client->name),
                                 .token_size = (uint16_t)strlen(client->token)};
    const struct yd__part parts[] = {
        {&hello, sizeof hello}, {client->name, hello.name_size}, {client->token, hello.token_size}};
    client->state = YD__GREETING;
    client->frame_max = FRAME_FIRST;
    if (!yd__frame_put(client, YD_MSG_HELLO, 0, parts, 3, 0)) lost_saying(client, YD_ENOMEM, "greeting");
}

static void connected(struct yd_client *client)
{
    if (!client->tls) {
        greet(client);
        return;
    }
    int error = yd__session_create(client->tls, client->net, client->fd, client->host, &client->session);
    if (error)
        lost_saying(client, error, "TLS");
    else
        client->state = YD__SECURING;
}

static void begin(struct yd_client *client)
{
    struct yd_trail trail;
    yd_trail_clear(&trail);
    client->state_by = client->now + GREETING_TIME;
    int error = client->net->ops->connect(client->net, client->address, client->attempt++, &client->fd, &trail);
    if (error) {
        client->fd = -1;
        (void)yd__trouble(client, error, "connecting: %s", yd_trail_text(&trail));
        lost(client, error);
        return;
    }
    client->state = YD__CONNECTING;
}

static bool finish(struct yd_client *client)
{
    short events = 0;
    int error = client->net->ops->poll(client->net, client->fd, POLLOUT, 0, &events);
    if (!error && events == 0) return false;
    if (!error) error = client->net->ops->finish(client->net, client->fd);
    if (error)
        lost_saying(client, error, "connecting");
    else
        connected(client);
    return true;
}

static bool handshake(struct yd_client *client)
{
    struct yd_trail trail;
    yd_trail_clear(&trail);
    int error = yd__session_handshake(client->session, &trail);
    if (error == YD_EAGAIN) return false;
    if (error) {
        (void)yd__trouble(client, error, "tls:%s: %s", client->address, yd_trail_text(&trail));
        lost(client, error);
    } else {
        greet(client);
    }
    return true;
}

int yd__connection_welcomed(struct yd_client *client, struct yd_str body)
{
    struct yd_msg_welcome welcome;
    struct yd_str rest;
    int error = yd__body_take(body, &welcome, sizeof welcome, &rest);
    if (error) return error;
    if (welcome.version != YD_PROTOCOL_VERSION)
        return yd__trouble(client, YD_EVERSION, "%s: the server speaks version %u of the protocol, this library %d",
                           client->address, welcome.version, YD_PROTOCOL_VERSION);
    if (welcome.frame_max < 4096) return YD_EFORMAT;
    client->frame_max = YD_MIN(welcome.frame_max, YD_PROTOCOL_FRAME_MAX);
    client->server_id = welcome.server_id;
    client->state = YD__READY;
    client->heard_at = client->now;
    if (!client->was_ready) client->backoff_ns = BACKOFF_FIRST;
    client->was_ready = true;
    return 0;
}

static bool step(struct yd_client *client)
{
    enum yd__client_state before = client->state;
    switch (client->state) {
    case YD__IDLE:
        if (client->fatal || !yd__client_wanted(client)) return false;
        begin(client);
        return true;
    case YD__WAITING:
        if (client->now < client->retry_at || !yd__client_wanted(client)) return false;
        begin(client);
        return true;
    case YD__CONNECTING:
    case YD__SECURING:
        if (before == YD__CONNECTING ? finish(client) : handshake(client)) return true;
        break;
    case YD__GREETING:
        break;
    case YD__READY:
        return false;
    }
    if (client->now < client->state_by) return false;
    lost_saying(client, YD_ETIMEOUT,
                before == YD__CONNECTING ? "connecting"
                : before == YD__SECURING ? "TLS handshake"
                                         : "it did not answer HELLO");
    return true;
}

/* ---- out ---- */

static bool room(const struct yd_client *client)
{
    return client->out.size - client->out_at < YD__OUT_TARGET;
}

static bool work(const struct yd_client *client)
{
    if (client->call && !client->call->sent) return true;
    for (const struct yd_client_stream *stream = client->streams; stream; stream = stream->next)
        if (yd__append_ready(stream) || yd__stream_ready(stream)) return true;
    for (const struct yd_subscription *sub = client->subscriptions; sub; sub = sub->next)
        if (yd__subscription_ready(sub)) return true;
    return false;
}

/* One frame of each stream in turn, so that none waits behind another's backlog. */
static void fill(struct yd_client *client)
{
    yd__call_fill(client);
    for (struct yd_subscription *sub = client->subscriptions; sub; sub = sub->next) yd__subscription_fill(sub);
    for (struct yd_client_stream *stream = client->streams; stream; stream = stream->next) yd__stream_fill(stream);
    for (bool any = true; any && room(client);) {
        any = false;
        for (struct yd_client_stream *stream = client->streams; stream && room(client); stream = stream->next) {
            if (!yd__append_ready(stream)) continue;
            yd__append_fill(stream);
            any = true;
        }
        if (client->out.failed) break;
    }
}

static int flush(struct yd_client *client, bool *ret_moved)
{
    while (client->out_at < client->out.size) {
        size_t sent = 0;
        struct iovec part = {client->out.data + client->out_at, client->out.size - client->out_at};
        int error = client->session ? yd__session_send(client->session, part.iov_base, part.iov_len, &sent)
                                    : client->net->ops->send(client->net, client->fd, &part, 1, &sent);
        if (error == YD_EAGAIN) break;
        if (error) return error;
        client->out_at += sent;
        *ret_moved = true;
    }
    if (client->out_at == client->out.size) {
        client->out_at = 0;
        if (client->out.capacity > KEEP) {
            yd_buf_fini(&client->out);
            yd_buf_init(&client->out, client->alloc);
        }
        yd_buf_clear(&client->out);
    } else if (client->out_at > client->out.size / 2) {
        yd_buf_consume(&client->out, client->out_at);
        client->out_at = 0;
    }
    return 0;
}

static int fill_and_flush(struct yd_client *client, bool *ret_moved)
{
    for (;;) {
        if (client->state == YD__READY && room(client)) fill(client);
        if (client->out.failed) return YD_ENOMEM;
        int error = flush(client, ret_moved);
        if (error || client->out.size || client->state != YD__READY || !work(client)) return error;
        if (client->out.failed) return YD_ENOMEM;
    }
}

void yd__connection_send(struct yd_client *client)
{
    bool moved = false;
    if (client->state != YD__READY || client->broken) return;
    client->broken = fill_and_flush(client, &moved);
}

/* ---- in ---- */

/* Whole frames, where they lie. What is wrong ends the connection. */
static int frames(struct yd_client *client)
{
    struct yd_frame frame;
    while (client->in.size - client->in_at >= sizeof frame) {
        memcpy(&frame, client->in.data + client->in_at, sizeof frame);
        if (frame.size < sizeof frame || frame.size % 8 ||
            (client->state != YD__READY && frame.size > client->frame_max))
            return yd__trouble(client, YD_EFORMAT, "%s: that is not a yarder server: a frame of %u bytes",
                               client->address, frame.size);
        if (frame.size > client->frame_max)
            return yd__trouble(client, YD_ETOOBIG, "%s: a frame of %u bytes, at most %u are allowed", client->address,
                               frame.size, client->frame_max);
        if (client->in.size - client->in_at < frame.size) break;
        struct yd_str body = {client->in.data + client->in_at + sizeof frame, frame.size - sizeof frame};
        client->in_at += frame.size;
        unsigned told = client->troubles;
        int error = yd__client_frame(client, &frame, body);
        if (error && client->troubles == told)
            return yd__trouble(client, error, "%s: a frame of type %u that cannot be: %s", client->address, frame.type,
                               yd_error_text(error));
        if (error) return error;
        if (frame.type != YD_MSG_WELCOME) client->backoff_ns = BACKOFF_FIRST; /* it is of use */
    }
    return 0;
}

/* Room for the next read: as much as has come, at least a step, at most what the frame still needs. */
static char *room_to_read(struct yd_client *client, size_t *ret_size)
{
    if (client->in_at == client->in.size) {
        client->in_at = 0;
        if (client->in.capacity > 4 * KEEP) {
            yd_buf_fini(&client->in);
            yd_buf_init(&client->in, client->alloc);
        }
        yd_buf_clear(&client->in);
    } else if (client->in_at) {
        yd_buf_consume(&client->in, client->in_at);
        client->in_at = 0;
    }
    size_t have = client->in.size, want = IN_STEP;
    struct yd_frame frame;
    if (have >= sizeof frame) {
        memcpy(&frame, client->in.data, sizeof frame);
        if (frame.size > have) want = YD_MAX(YD_MIN(frame.size - have, have), IN_STEP);
    }
    *ret_size = want;
    return yd_buf_reserve(&client->in, want);
}

static int receive(struct yd_client *client, bool *ret_moved)
{
    size_t size, got = 0;
    char *to = room_to_read(client, &size);
    if (!to) return YD_ENOMEM;
    int error = client->session ? yd__session_recv(client->session, to, size, &got)
                                : client->net->ops->recv(client->net, client->fd, to, size, &got);
    client->more = error == 0;
    if (error == YD_EAGAIN) return 0;
    if (error)
        return yd__trouble(client, error == YD_EEOF ? YD_ECONNRESET : error, "%s: %s", client->address,
                           error == YD_EEOF ? "the server closed the connection" : yd_error_text(error));
    *ret_moved = true;
    client->in.size += got;
    client->heard_at = client->now;
    client->pinged = false;
    return frames(client);
}

static int keep_alive(struct yd_client *client)
{
    if (client->state != YD__READY || !yd__client_wanted(client)) return 0;
    if (client->pinged) {
        if (client->now - client->ping_at < SILENCE_MOST) return 0;
        return yd__trouble(client, YD_ETIMEOUT, "%s: the server is silent", client->address);
    }
    if (client->now - client->heard_at < SILENCE) return 0;
    uint64_t correlation;
    int error = yd__request_add(client, &(struct yd__request){.kind = YD__PING}, &correlation);
    if (error) return error;
    client->pinged = true;
    client->ping_at = client->now;
    return yd__frame_put(client, YD_MSG_PING, correlation, NULL, 0, 0) ? 0 : YD_ENOMEM;
}

bool yd__connection_round(struct yd_client *client)
{
    bool moved = step(client);
    if (client->state < YD__GREETING) return moved;
    int error = client->broken;
    if (!error) error = keep_alive(client);
    if (!error) error = fill_and_flush(client, &moved);
    if (!error) {
        error = receive(client, &moved);
        if (error) {
            lost(client, error);
            return true;
        }
    }
    if (error) {
        /* What the server had to say before it closed is more useful than a broken pipe. */
        int reason = receive(client, &moved);
        if (reason && reason != YD_EEOF && reason != YD_ECONNRESET)
            lost(client, reason);
        else if (client->state >= YD__GREETING)
            lost_saying(client, error, "sending");
        return true;
    }
    return moved;
}

int64_t yd__connection_deadline(const struct yd_client *client)
{
    if (client->broken || client->more) return 0;
    switch (client->state) {
    case YD__IDLE:
        return !client->fatal && yd__client_wanted(client) ? 0 : INT64_MAX;
    case YD__WAITING:
        return yd__client_wanted(client) ? client->retry_at : INT64_MAX;
    case YD__CONNECTING:
    case YD__SECURING:
    case YD__GREETING:
        return client->state_by;
    case YD__READY:
        break;
    }
    if (!yd__client_wanted(client)) return INT64_MAX;
    return client->pinged ? client->ping_at + SILENCE_MOST : client->heard_at + SILENCE;
}

short yd__connection_events(const struct yd_client *client)
{
    if (client->state == YD__CONNECTING) return POLLOUT;
    if (client->state == YD__SECURING) return yd__session_writes(client->session) ? POLLOUT : POLLIN;
    bool out = client->out.size > client->out_at || (client->state == YD__READY && work(client));
    return (short)(POLLIN | (out ? POLLOUT : 0));
}
