/* Connections that bring records: see streams_in.h. */
#include "elements/streams_in.h"

#define READ_SIZE ((size_t)64 << 10)

static void forget(struct yd_streams_peer *peer, bool in_order)
{
    struct yd_streams_in *in = peer->in;
    if (in->options.gone) in->options.gone(in->options.arg, peer, in_order);
    if (peer->next) peer->next->prev = peer->prev;
    if (peer->prev)
        peer->prev->next = peer->next;
    else
        in->peers = peer->next;
    yd_spread_leave(in->options.spread, in->index);
    yd_stream_close(peer->stream);
    yd_buf_fini(&peer->rest);
    yd_alloc_put(NULL, peer, sizeof *peer);
}

static void close_peer(struct yd_streams_peer *peer, bool in_order)
{
    struct yd_streams_in *in = peer->in;
    if (peer->rest.size) in->options.ended(in->options.arg, peer, yd_buf_view(&peer->rest), in_order);
    if (peer->rest.size) in->options.read_ends(in->options.arg);
    forget(peer, in_order);
}

static void peer_room(void *arg, char **ret_to, size_t *ret_size)
{
    struct yd_streams_peer *peer = arg;
    *ret_to = peer->in->room;
    *ret_size = READ_SIZE;
}

static void peer_data(void *arg, size_t size)
{
    struct yd_streams_peer *peer = arg;
    struct yd_streams_in *in = peer->in;
    struct yd_str bytes = {in->room, size};
    bool kept = peer->rest.size > 0;
    peer->last_ns = yd_loop_mono(in->loop);
    if (kept) {
        yd_buf_str(&peer->rest, bytes);
        bytes = yd_buf_view(&peer->rest);
    }
    int64_t used = peer->rest.failed ? YD_ENOMEM : in->options.take(in->options.arg, peer, bytes);
    if (used >= 0 && !kept) {
        yd_buf_add(&peer->rest, bytes.data + used, bytes.size - (size_t)used);
    } else if (used >= 0) {
        yd_buf_consume(&peer->rest, (size_t)used);
        if (peer->rest.size == 0) yd_buf_fini(&peer->rest); /* many peers, each with little */
    }
    in->options.read_ends(in->options.arg);
    if (used == YD_ENOMEM || peer->rest.failed)
        yd_pump_say(in->options.pump, 2, "out of memory: %s is closed", peer->name);
    if (used < 0 || peer->rest.failed) forget(peer, false);
}

static void peer_ended(void *arg, int error)
{
    close_peer(arg, error == YD_EEOF);
}

/* One that is admitted: here, or where there are fewer. */
static void take(void *arg, struct yd_stream *stream, const struct yd_address *from)
{
    static const struct yd_stream_ops ops = {.room = peer_room, .data = peer_data, .ended = peer_ended};
    struct yd_streams_in *in = arg;
    struct yd_streams_peer *peer = yd_alloc_zero(NULL, sizeof *peer);
    if (!peer) {
        yd_pump_say(in->options.pump, 2, "out of memory: another connection is closed");
        yd_stream_close(stream);
        yd_spread_leave(in->options.spread, in->index);
        return;
    }
    peer->in = in;
    peer->stream = stream;
    peer->last_ns = yd_loop_mono(in->loop);
    yd_buf_init(&peer->rest, NULL);
    (void)yd_address_put(from, peer->name, sizeof peer->name);
    peer->next = in->peers;
    if (peer->next) peer->next->prev = peer;
    in->peers = peer;
    if (in->paused) yd_stream_pause(stream, true);
    if (in->options.begins && in->options.begins(in->options.arg, peer) < 0) {
        forget(peer, false);
        return;
    }
    yd_stream_start(stream, &ops, peer);
}

static void on_accept(void *arg, struct yd_stream *stream, const struct yd_address *from)
{
    struct yd_streams_in *in = arg;
    const struct yd_streams_in_options *options = &in->options;
    unsigned open;
    if (!yd_spread_admit(options->spread, in->index, options->connections_max, &open)) {
        yd_pump_count_dropped(options->pump, options->reason_refused, 0);
        yd_pump_say(options->pump, 1, "%u connections are open, max_connections is %u: another one is refused", open,
                    options->connections_max);
        yd_stream_close(stream);
    } else if (!yd_spread_hand(options->spread, in->index, stream, from)) {
        take(in, stream, from);
    }
}

static void on_sweep(void *arg)
{
    struct yd_streams_in *in = arg;
    int64_t now = yd_loop_mono(in->loop);
    struct yd_streams_peer *next;
    for (struct yd_streams_peer *peer = in->peers; peer; peer = next) {
        next = peer->next;
        /* Paused, it is us who do not listen. */
        if (!in->paused && now - peer->last_ns >= in->options.idle_ns) close_peer(peer, false);
    }
    yd_timer_start(in->sweep, now + in->options.idle_ns / 4 + YD_NS_PER_MS);
}

int yd_streams_in_open(struct yd_streams_in *in, const struct yd_streams_in_options *options, struct yd_str where)
{
    static const struct yd_listener_ops ops = {.accept = on_accept};
    struct yd_trail trail = {0};
    struct yd_address at;
    char text[128];
    *in = (struct yd_streams_in){
        .options = *options, .loop = yd_pump_loop(options->pump), .index = yd_pump_index(options->pump)};
    int r = yd_address_parse(where, &at, &trail);
    if (r == 0 && in->index == 0) r = yd_listen(in->loop, &at, &ops, in, &in->listener, &trail);
    if (r == 0 && !(in->room = yd_alloc_get(NULL, READ_SIZE))) r = YD_ENOMEM;
    if (r == 0 && options->idle_ns) r = yd_timer_create(in->loop, on_sweep, in, &in->sweep);
    if (r < 0) {
        yd_streams_in_close(in);
        return yd_pump_fail(options->pump, r, "%s", trail.size ? yd_trail_text(&trail) : yd_error_text(r));
    }
    if (in->sweep) yd_timer_start(in->sweep, yd_loop_mono(in->loop) + options->idle_ns / 4);
    yd_spread_join(options->spread, in->index, in->loop, take, in);
    if (in->index) return 0;
    yd_listener_address(in->listener, &at);
    (void)yd_address_put(&at, text, sizeof text);
    yd_pump_listens(options->pump, options->what, text);
    return 0;
}

static void parted(void *arg)
{
    struct yd_streams_in *in = arg;
    in->parted(in->options.arg);
}

bool yd_streams_in_part(struct yd_streams_in *in, void (*then)(void *arg))
{
    if (!in->room) return true;
    if (in->listener) yd_listener_close(in->listener);
    in->listener = NULL;
    in->parted = then;
    return yd_spread_part(in->options.spread, in->index, parted);
}

void yd_streams_in_close(struct yd_streams_in *in)
{
    if (in->listener) yd_listener_close(in->listener);
    yd_timer_close(in->sweep);
    while (in->peers) close_peer(in->peers, false);
    yd_alloc_put(NULL, in->room, READ_SIZE);
    in->listener = NULL;
    in->sweep = NULL;
    in->room = NULL;
}

void yd_streams_in_pause(struct yd_streams_in *in, bool paused)
{
    in->paused = paused;
    for (struct yd_streams_peer *peer = in->peers; peer; peer = peer->next) {
        if (!paused) peer->last_ns = yd_loop_mono(in->loop); /* his time of silence begins now: until now it was ours */
        yd_stream_pause(peer->stream, paused);
    }
}
