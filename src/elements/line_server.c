/* Sockets that bring lines: see line_server.h.
 *
 * Happy path: accept, read until the peer ends, parse what is whole, keep the rest of at most one line per peer.
 * A peer that is silent for `idle` is closed, one that does not read what it is told too; peers over the limit are
 * refused, counted and said. Nothing a peer sends can stop the server or touch another peer's lines. */
#include "elements/line_server.h"

#include <stdio.h>

#include "elements/datagrams_in.h"

#define BATCH_SIZE  ((size_t)16 << 20)  /* of one burst: at 100,000 series a name is in it several times */
#define BURST_SIZE  ((size_t)128 << 10) /* who brings so much at once has more waiting */
#define BACKLOG_MAX ((size_t)256 << 10) /* what a peer may leave unread of what it is told */

struct yd_line_server {
    struct yd_line_server_options options;
    struct yd_loop *loop;
    struct yd_lines *lines;
    struct yd_rejects *rejects;
    struct yd_listener *listener;
    struct yd_datagrams_in in; /* its rejects are ours */
    struct yd_timer *sweep;
    struct yd_line_peer *peers;
    unsigned index;               /* of the pump */
    uint64_t lines_told;          /* to the other servers */
    struct yd_line_peer *current; /* whose bytes are being parsed; else those of the datagram at hand */
    bool paused, posted, stopping, burst, awaited;
    void (*stopped)(void *arg);
    void *stopped_arg;
};

/* ---- from the lines ---- */

static void pause_all(struct yd_line_server *server, bool paused);

static void on_batch(void *arg, struct yd_batch *batch)
{
    struct yd_line_server *server = arg;
    if (yd_pump_emit(server->options.pump, server->options.output, batch)) pause_all(server, true);
}

static void emit_rejects(struct yd_line_server *server, struct yd_batch *batch)
{
    if (batch && yd_pump_emit(server->options.pump, server->options.rejects, batch)) pause_all(server, true);
}

static void on_reject(void *arg, enum yd_line_reason reason, struct yd_str line)
{
    struct yd_line_server *server = arg;
    struct yd_line_peer *peer = server->current;
    if (peer && peer->closing) return; /* the rest of what somebody sent who is being shown out */
    struct yd_str from = yd_str_of(peer ? peer->name : server->in.from);
    yd_pump_count_rejected(server->options.pump, reason, 1, line, from);
    if (server->rejects)
        emit_rejects(server, yd_rejects_add(server->rejects, yd_pump_wall(server->options.pump),
                                            yd_line_reasons[reason], from, line));
    if (server->options.rejected) server->options.rejected(server->options.arg, peer, reason, line);
}

static void on_command(void *arg, struct yd_str line)
{
    struct yd_line_server *server = arg;
    if (server->current && server->current->closing) return;
    if (server->options.command) server->options.command(server->options.arg, server->current, line);
}

/* ---- what was gathered in a turn of the loop goes on at its end ---- */

static void tell_lines(struct yd_line_server *server)
{
    struct yd_spread *spread = server->options.spread;
    uint64_t lines = yd_lines_count(server->lines);
    pthread_mutex_lock(&spread->lock);
    spread->lines += lines - server->lines_told;
    pthread_mutex_unlock(&spread->lock);
    server->lines_told = lines;
}

static void send_on(struct yd_line_server *server)
{
    tell_lines(server);
    yd_lines_flush(server->lines);
    if (server->rejects) emit_rejects(server, yd_rejects_take(server->rejects));
}

static void end(struct yd_line_server *server);

static void turn_ends(void *arg)
{
    struct yd_line_server *server = arg;
    server->posted = false;
    /* Sockets that were full when they were read have more: that goes into the same batch, for a name stands in it once
     * however often it comes. At the first turn that brought less, or when the batch is full, it is sent on. */
    if (server->burst && !server->paused && !server->stopping) {
        server->burst = false;
        server->posted = yd_loop_post(server->loop, turn_ends, server) == 0;
        if (server->posted) return;
    }
    send_on(server);
    if (server->stopping && !server->awaited) end(server);
}

static void want_send(struct yd_line_server *server)
{
    if (server->posted) return;
    server->posted = yd_loop_post(server->loop, turn_ends, server) == 0;
    if (!server->posted) send_on(server); /* no memory for a later time: now */
}

/* ---- peers ---- */

static void forget_peer(struct yd_line_peer *peer)
{
    struct yd_line_server *server = peer->server;
    if (peer->next) peer->next->prev = peer->prev;
    if (peer->prev)
        peer->prev->next = peer->next;
    else
        server->peers = peer->next;
    yd_alloc_put(NULL, peer, sizeof *peer);
}

static void close_peer(struct yd_line_peer *peer, bool in_order)
{
    struct yd_line_server *server = peer->server;
    if (peer->closing) peer->tail.size = 0; /* of one who was told to go, nothing more counts */
    server->current = peer;
    yd_lines_origin(server->lines, yd_address_host(yd_str_of(peer->name)));
    yd_lines_ended(server->lines, &peer->tail, in_order);
    server->current = NULL;
    yd_stream_close(peer->stream);
    forget_peer(peer);
    yd_spread_leave(server->options.spread, server->index);
    want_send(server);
}

static void peer_room(void *arg, char **ret_to, size_t *ret_size)
{
    struct yd_line_peer *peer = arg;
    if (peer->closing) { /* its last words are on their way: what it still sends is not read */
        *ret_to = NULL;
        *ret_size = 0;
        return;
    }
    yd_lines_room(peer->server->lines, &peer->tail, ret_to, ret_size);
}

static void peer_data(void *arg, size_t size)
{
    struct yd_line_peer *peer = arg;
    struct yd_line_server *server = peer->server;
    if (peer->closing) return;
    peer->last_ns = yd_loop_mono(server->loop);
    yd_lines_set_now(server->lines, yd_pump_wall(server->options.pump));
    server->current = peer;
    yd_lines_origin(server->lines, yd_address_host(yd_str_of(peer->name)));
    yd_lines_data(server->lines, &peer->tail, size);
    server->current = NULL;
    if (size >= BURST_SIZE) server->burst = true;
    want_send(server);
    if (!peer->closing) return;
    yd_stream_shutdown(peer->stream);
    if (peer->dead || yd_stream_backlog(peer->stream) == 0) close_peer(peer, true);
}

static void peer_ended(void *arg, int error)
{
    close_peer(arg, error == YD_EEOF);
}

static void peer_drained(void *arg)
{
    struct yd_line_peer *peer = arg;
    if (peer->closing) close_peer(peer, true);
}

static const struct yd_stream_ops peer_ops = {
    .room = peer_room, .data = peer_data, .ended = peer_ended, .drained = peer_drained};

void yd_line_peer_write(struct yd_line_peer *peer, struct yd_str text)
{
    if (!peer || peer->closing) return;
    int r = yd_stream_write(peer->stream, text);
    if (r == YD_EFULL || r == YD_ENOMEM) {
        yd_pump_say(peer->server->options.pump, 1, "%s does not read what it is told: closed", peer->name);
        peer->closing = peer->dead = true;
    }
}

static struct yd_line_peer *add_peer(struct yd_line_server *server, struct yd_stream *stream,
                                     const struct yd_address *from)
{
    struct yd_line_peer *peer = yd_alloc_zero(NULL, sizeof *peer);
    if (!peer) return NULL;
    peer->server = server;
    peer->stream = stream;
    peer->from = *from;
    peer->last_ns = yd_loop_mono(server->loop);
    (void)yd_address_put(from, peer->name, sizeof peer->name);
    peer->next = server->peers;
    if (peer->next) peer->next->prev = peer;
    server->peers = peer;
    yd_stream_limit(stream, BACKLOG_MAX);
    return peer;
}

static void start_peer(struct yd_line_peer *peer)
{
    if (peer->server->paused) yd_stream_pause(peer->stream, true);
    yd_stream_start(peer->stream, &peer_ops, peer);
}

/* One that brings lines, admitted and not among the peers: here, or where there are fewer. */
static void take(void *arg, struct yd_stream *stream, const struct yd_address *from)
{
    struct yd_line_server *server = arg;
    struct yd_line_peer *peer = add_peer(server, stream, from);
    if (peer) {
        start_peer(peer);
        return;
    }
    yd_pump_say(server->options.pump, 2, "out of memory: another connection is closed");
    yd_stream_close(stream);
    yd_spread_leave(server->options.spread, server->index);
}

/* First bytes tell HTTP from lines: the connection is shown to us before anybody reads from it. */
static void on_first(void *arg, struct yd_str bytes, int error)
{
    struct yd_line_peer *peer = arg;
    struct yd_line_server *server = peer->server;
    struct yd_stream *stream = peer->stream;
    struct yd_address from = peer->from;
    peer->fresh = false;
    if (error) {
        close_peer(peer, true);
    } else if (bytes.data[0] >= 'A' && bytes.data[0] <= 'Z') {
        forget_peer(peer);
        yd_spread_leave(server->options.spread, server->index);
        server->options.http(server->options.arg, stream, &from);
    } else if (yd_spread_hand(server->options.spread, server->index, stream, &from)) {
        forget_peer(peer);
    } else {
        start_peer(peer);
    }
}

static void on_accept(void *arg, struct yd_stream *stream, const struct yd_address *from)
{
    struct yd_line_server *server = arg;
    const struct yd_line_server_options *options = &server->options;
    unsigned open;
    if (!yd_spread_admit(options->spread, server->index, options->connections_max, &open)) {
        yd_pump_count_dropped(options->pump, options->reason_refused, 0);
        yd_pump_say(options->pump, 1, "%u connections are open, max_connections is %u: another one is refused", open,
                    options->connections_max);
        yd_stream_close(stream);
    } else if (!options->http) {
        if (!yd_spread_hand(options->spread, server->index, stream, from)) take(server, stream, from);
    } else {
        struct yd_line_peer *peer = add_peer(server, stream, from);
        if (!peer) {
            yd_stream_close(stream);
            yd_spread_leave(options->spread, server->index);
            return;
        }
        peer->fresh = true;
        if (yd_stream_peek(stream, on_first, peer) < 0) close_peer(peer, true);
    }
}

/* ---- datagrams ---- */

static void on_datagram(void *arg, struct yd_str bytes)
{
    struct yd_line_server *server = arg;
    yd_lines_set_now(server->lines, yd_pump_wall(server->options.pump));
    yd_lines_origin(server->lines, yd_address_host(yd_str_of(server->in.from)));
    yd_lines_parse_all(server->lines, bytes.data, bytes.size);
}

static void on_burst(void *arg)
{
    want_send(arg);
}

/* ---- life ---- */

static void pause_all(struct yd_line_server *server, bool paused)
{
    if (server->paused == paused) return;
    server->paused = paused;
    for (struct yd_line_peer *peer = server->peers; peer; peer = peer->next)
        if (!peer->fresh) yd_stream_pause(peer->stream, paused);
    yd_datagrams_in_pause(&server->in, paused);
}

void yd_line_server_pause(struct yd_line_server *server, bool paused)
{
    pause_all(server, paused);
}
bool yd_line_server_paused(const struct yd_line_server *server)
{
    return server->paused;
}

static void on_sweep(void *arg)
{
    struct yd_line_server *server = arg;
    int64_t now = yd_loop_mono(server->loop);
    struct yd_line_peer *next;
    for (struct yd_line_peer *peer = server->peers; peer; peer = next) {
        next = peer->next;
        /* Paused, it is us who do not listen. */
        if (!server->paused && now - peer->last_ns >= server->options.idle_ns) close_peer(peer, true);
    }
    yd_timer_start(server->sweep, now + server->options.idle_ns / 4 + YD_NS_PER_MS);
}

static void free_server(struct yd_line_server *server)
{
    yd_rejects_destroy(server->rejects);
    yd_lines_destroy(server->lines);
    yd_alloc_put(NULL, server, sizeof *server);
}

static void end(struct yd_line_server *server)
{
    void (*stopped)(void *arg) = server->stopped;
    void *arg = server->stopped_arg;
    free_server(server);
    stopped(arg);
}

static void close_sockets(struct yd_line_server *server)
{
    if (server->listener) yd_listener_close(server->listener);
    yd_datagrams_in_close(&server->in);
    yd_timer_close(server->sweep);
    server->listener = NULL;
    server->sweep = NULL;
    while (server->peers) close_peer(server->peers, true);
}

/* No connection is on its way to us any longer. */
static void parted(void *arg)
{
    struct yd_line_server *server = arg;
    server->awaited = false;
    if (!server->posted) end(server);
}

void yd_line_server_stop(struct yd_line_server *server, void (*stopped)(void *arg), void *arg)
{
    server->stopped = stopped;
    server->stopped_arg = arg;
    server->stopping = true;
    yd_datagrams_in_finish(&server->in);
    close_sockets(server);
    send_on(server);
    server->awaited = !yd_spread_part(server->options.spread, server->index, parted);
    if (!server->posted && !server->awaited) end(server);
}

static int listen_tcp(struct yd_line_server *server)
{
    static const struct yd_listener_ops ops = {.accept = on_accept};
    struct yd_address at;
    struct yd_trail trail = {0};
    char text[128];
    int r = yd_address_parse(server->options.listen, &at, &trail);
    if (r == 0) r = yd_listen(server->loop, &at, &ops, server, &server->listener, &trail);
    if (r < 0) return yd_pump_fail(server->options.pump, r, "%s", yd_trail_text(&trail));
    yd_listener_address(server->listener, &at);
    (void)yd_address_put(&at, text, sizeof text);
    yd_pump_listens(server->options.pump, server->options.what, text);
    return 0;
}

static int listen_udp(struct yd_line_server *server, char *what, size_t what_size)
{
    const struct yd_line_server_options *options = &server->options;
    (void)snprintf(what, what_size, "%s (UDP)", options->what);
    struct yd_datagrams_in_options in = {.pump = options->pump,
                                         .spread = options->spread,
                                         .what = what,
                                         .receive_buffer = options->receive_buffer,
                                         .reason_kernel = options->reason_kernel,
                                         .datagram = on_datagram,
                                         .burst_ends = on_burst,
                                         .arg = server};
    return yd_datagrams_in_open(&server->in, &in, options->udp);
}

/* The first of the element's has the door. */
static int listen_all(struct yd_line_server *server)
{
    const struct yd_line_server_options *options = &server->options;
    char what[64];
    int r = 0;
    if (options->listen.size && server->index == 0) r = listen_tcp(server);
    if (r == 0 && options->udp.size) r = listen_udp(server, what, sizeof what);
    if (r == 0 && options->idle_ns) {
        r = yd_timer_create(server->loop, on_sweep, server, &server->sweep);
        if (r < 0) return yd_pump_fail(options->pump, r, "out of memory");
        yd_timer_start(server->sweep, yd_loop_mono(server->loop) + options->idle_ns / 4);
    }
    return r;
}

int yd_line_server_start(const struct yd_line_server_options *options, struct yd_line_server **ret_server)
{
    struct yd_line_server *server = yd_alloc_zero(NULL, sizeof *server);
    if (!server) return yd_pump_fail(options->pump, YD_ENOMEM, "out of memory");
    server->options = *options;
    server->loop = yd_pump_loop(options->pump);
    server->index = yd_pump_index(options->pump);
    struct yd_lines_options lines = {.format = options->format,
                                     .sink = {server, on_batch, on_reject, on_command},
                                     .line_max = options->line_max,
                                     .batch_bytes = BATCH_SIZE,
                                     .seed = yd_loop_random(server->loop)};
    int r = yd_lines_create(&lines, &server->lines);
    if (r == 0 && options->rejects_wired) r = yd_rejects_create(yd_pump_element(options->pump), &server->rejects);
    r = r < 0 ? yd_pump_fail(options->pump, r, "out of memory") : listen_all(server);
    if (r < 0) {
        close_sockets(server);
        free_server(server);
        return r;
    }
    if (options->listen.size) yd_spread_join(options->spread, server->index, server->loop, take, server);
    *ret_server = server;
    return 0;
}

uint64_t yd_line_server_lines(struct yd_line_server *server)
{
    struct yd_spread *spread = server->options.spread;
    tell_lines(server);
    pthread_mutex_lock(&spread->lock);
    uint64_t lines = spread->lines;
    pthread_mutex_unlock(&spread->lock);
    return lines;
}
unsigned yd_line_server_connections(struct yd_line_server *server)
{
    return yd_spread_connections(server->options.spread);
}
void yd_line_server_address(const struct yd_line_server *server, struct yd_address *ret)
{
    yd_listener_address(server->listener, ret);
}
