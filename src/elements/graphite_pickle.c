/* GraphitePickle: Graphite's pickle protocol over TCP, as carbon relays send it, becomes SAMPLE records.
 *
 * Happy path: a peer's bytes are gathered until a frame is whole (pickle_frames.h), its points go on as a batch with
 * what else was read. There are no answers. What can fail: a bad frame is counted and costs itself; a frame that says
 * it is larger than 1 MiB costs its connection, for nobody knows where the next one begins; peers that are silent for
 * `idle`, or too many, are closed. A peer keeps up to one frame in memory. */
#include <stdio.h>

#include "base/text.h"
#include "elements/classes.h"
#include "elements/pickle_frames.h"
#include "io/loop.h"

#define READ_SIZE ((size_t)64 << 10)

enum { OUTPUT };
enum { REASON_REFUSED = YD_PICKLE_REASON_COUNT };

struct state {
    struct yd_element *element;
    struct yd_pickle *fed; /* of feed, made when first needed */
    struct yd_out *out;    /* of the feed at hand */
};

struct peer {
    struct pump *pump;
    struct yd_stream *stream;
    struct peer *next, *prev;
    struct yd_buf bytes; /* not yet a whole frame */
    int64_t last_ns;     /* of its last bytes */
    char name[64];
};

struct pump {
    struct yd_pump *pump;
    struct yd_loop *loop;
    struct yd_listener *listener;
    struct yd_timer *sweep;
    struct yd_pickle *pickle;
    struct peer *peers, *current;
    unsigned count, connections_max;
    int64_t idle_ns;
    bool paused;
};

static const char *const reasons[] = {
#define REASON(name, text) text,
    YD_PICKLE_REASONS(REASON)
#undef REASON
        "connection refused: too many",
    NULL};

static const struct yd_port_class ports[] = {
    {.name = "output", .direction = YD_OUT, .mode = YD_PUSH, .kinds = YD_KIND_BIT(YD_SAMPLE), .doc = "The samples."},
    {0}};

static const struct yd_param_class params[] = {
    {.name = "listen",
     .type = YD_PARAM_TEXT,
     .initial = "\"127.0.0.1:2004\"",
     .flags = YD_PARAM_LISTENS,
     .doc = "TCP address, or `unix:/path`."},
    {.name = "max_connections",
     .type = YD_PARAM_INT,
     .initial = "1024",
     .min = 1,
     .max = 1 << 20,
     .doc = "More peers at once are refused. Each may keep a frame of up to 1 MiB in memory."},
    {.name = "idle",
     .type = YD_PARAM_DURATION,
     .initial = "1h",
     .doc = "A peer that sends nothing for so long is closed; `0s`: never."},
    {0}};

/* ---- the element ---- */

static int open(struct yd_element *element, void *opaque)
{
    ((struct state *)opaque)->element = element;
    return 0;
}

static void close(void *opaque)
{
    struct state *state = opaque;
    yd_pickle_destroy(state->fed);
    state->fed = NULL;
}

static void fed_batch(void *arg, struct yd_batch *batch)
{
    struct state *state = arg;
    (void)yd_emit(state->out, OUTPUT, batch); /* unwired: counted there */
}

static void fed_reject(void *arg, enum yd_pickle_reason reason, uint64_t records, struct yd_str sample)
{
    struct state *state = arg;
    yd_count_rejected(state->out, reason, records, sample);
}

/* Frames, whole ones. */
static int feed(void *opaque, struct yd_str bytes, struct yd_out *out, int64_t wall_ns)
{
    struct state *state = opaque;
    size_t used;
    if (!state->fed) {
        struct yd_pickle_options options = {.sink = {state, fed_batch, fed_reject},
                                            .seed = yd_element_random(state->element)};
        int r = yd_pickle_create(&options, &state->fed);
        if (r < 0) return r;
    }
    state->out = out;
    if (yd_pickle_take(state->fed, bytes, wall_ns, &used) == 0 && used < bytes.size)
        yd_count_rejected(out, YD_PICKLE_CUT_SHORT, 1, (struct yd_str){bytes.data + used, bytes.size - used});
    yd_pickle_flush(state->fed);
    state->out = NULL;
    return 0;
}

/* ---- peers ---- */

static void on_batch(void *arg, struct yd_batch *batch)
{
    struct pump *pump = arg;
    (void)yd_pump_emit(pump->pump, OUTPUT, batch); /* `pause` comes in any case */
}

static void on_reject(void *arg, enum yd_pickle_reason reason, uint64_t records, struct yd_str sample)
{
    struct pump *pump = arg;
    yd_pump_count_rejected(pump->pump, reason, records, sample, yd_str_of(pump->current ? pump->current->name : ""));
}

static void close_peer(struct peer *peer, bool say_rest)
{
    struct pump *pump = peer->pump;
    if (say_rest && peer->bytes.size)
        yd_pump_count_rejected(pump->pump, YD_PICKLE_CUT_SHORT, 1, yd_buf_view(&peer->bytes), yd_str_of(peer->name));
    if (peer->next) peer->next->prev = peer->prev;
    if (peer->prev)
        peer->prev->next = peer->next;
    else
        pump->peers = peer->next;
    pump->count--;
    yd_stream_close(peer->stream);
    yd_buf_fini(&peer->bytes);
    yd_alloc_put(NULL, peer, sizeof *peer);
}

static void peer_room(void *arg, char **ret_to, size_t *ret_size)
{
    struct peer *peer = arg;
    *ret_to = yd_buf_reserve(&peer->bytes, READ_SIZE);
    *ret_size = *ret_to ? READ_SIZE : 0;
}

static void peer_data(void *arg, size_t size)
{
    struct peer *peer = arg;
    struct pump *pump = peer->pump;
    size_t used;
    peer->bytes.size += size;
    peer->last_ns = yd_loop_mono(pump->loop);
    pump->current = peer;
    int r = yd_pickle_take(pump->pickle, yd_buf_view(&peer->bytes), yd_pump_wall(pump->pump), &used);
    pump->current = NULL;
    yd_pickle_flush(pump->pickle);
    if (r < 0)
        close_peer(peer, false);
    else
        yd_buf_consume(&peer->bytes, used);
}

static void peer_ended(void *arg, int error)
{
    (void)error;
    close_peer(arg, true);
}

static void on_accept(void *arg, struct yd_stream *stream, const struct yd_address *from)
{
    static const struct yd_stream_ops ops = {.room = peer_room, .data = peer_data, .ended = peer_ended};
    struct pump *pump = arg;
    struct peer *peer = pump->count < pump->connections_max ? yd_alloc_zero(NULL, sizeof *peer) : NULL;
    if (!peer) {
        yd_pump_count_dropped(pump->pump, REASON_REFUSED, 0);
        yd_pump_say(pump->pump, 1, "%u connections are open, max_connections is %u: another one is refused",
                    pump->count, pump->connections_max);
        yd_stream_close(stream);
        return;
    }
    peer->pump = pump;
    peer->stream = stream;
    peer->last_ns = yd_loop_mono(pump->loop);
    yd_buf_init(&peer->bytes, NULL);
    (void)yd_address_put(from, peer->name, sizeof peer->name);
    peer->next = pump->peers;
    if (peer->next) peer->next->prev = peer;
    pump->peers = peer;
    pump->count++;
    if (pump->paused) yd_stream_pause(stream, true);
    yd_stream_start(stream, &ops, peer);
}

static void on_sweep(void *arg)
{
    struct pump *pump = arg;
    int64_t now = yd_loop_mono(pump->loop);
    struct peer *next;
    for (struct peer *peer = pump->peers; peer; peer = next) {
        next = peer->next;
        /* Paused, it is us who do not listen. */
        if (!pump->paused && now - peer->last_ns >= pump->idle_ns) close_peer(peer, true);
    }
    yd_timer_start(pump->sweep, now + pump->idle_ns / 4 + YD_NS_PER_MS);
}

/* ---- life of the pump ---- */

static int listen_tcp(struct pump *pump, struct yd_str where)
{
    static const struct yd_listener_ops ops = {.accept = on_accept};
    struct yd_trail trail = {0};
    struct yd_address at;
    char text[128];
    int r = yd_address_parse(where, &at, &trail);
    if (r == 0) r = yd_listen(pump->loop, &at, &ops, pump, &pump->listener, &trail);
    if (r < 0) return yd_pump_fail(pump->pump, r, "%s", yd_trail_text(&trail));
    yd_listener_address(pump->listener, &at);
    (void)yd_address_put(&at, text, sizeof text);
    yd_pump_listens(pump->pump, "Graphite pickles", text);
    return 0;
}

static void free_all(struct pump *pump)
{
    if (pump->listener) yd_listener_close(pump->listener);
    yd_timer_close(pump->sweep);
    while (pump->peers) close_peer(pump->peers, true);
    yd_pickle_destroy(pump->pickle);
    pump->listener = NULL;
    pump->sweep = NULL;
    pump->pickle = NULL;
}

static int start(struct yd_pump *yd_pump, void *opaque, void *element_state)
{
    struct pump *pump = opaque;
    const struct yd_args *args = yd_pump_args(yd_pump);
    (void)element_state;
    pump->pump = yd_pump;
    pump->loop = yd_pump_loop(yd_pump);
    pump->connections_max = (unsigned)yd_args_int(args, "max_connections");
    pump->idle_ns = yd_args_int(args, "idle");
    struct yd_pickle_options options = {.sink = {pump, on_batch, on_reject}, .seed = yd_loop_random(pump->loop)};
    int r = yd_pickle_create(&options, &pump->pickle);
    if (r == 0 && pump->idle_ns) {
        r = yd_timer_create(pump->loop, on_sweep, pump, &pump->sweep);
        if (r == 0) yd_timer_start(pump->sweep, yd_loop_mono(pump->loop) + pump->idle_ns / 4);
    }
    if (r < 0)
        r = yd_pump_fail(yd_pump, r, "out of memory");
    else
        r = listen_tcp(pump, yd_args_text(args, "listen"));
    if (r < 0) free_all(pump);
    return r;
}

static void stop(void *opaque)
{
    struct pump *pump = opaque;
    free_all(pump);
    yd_pump_stopped(pump->pump);
}

static void pause_(void *opaque, bool paused)
{
    struct pump *pump = opaque;
    pump->paused = paused;
    for (struct peer *peer = pump->peers; peer; peer = peer->next) yd_stream_pause(peer->stream, paused);
}

static const struct yd_pump_class pump_class = {
    .state_size = sizeof(struct pump), .start = start, .stop = stop, .pause = pause_};

const struct yd_element_class yd_class_graphite_pickle = {
    .abi = YD_ELEMENT_ABI,
    .flags = YD_CLASS_SOURCE,
    .name = "GraphitePickle",
    .summary = "takes Graphite's pickle protocol over TCP",
    .doc = "Frames of up to 1 MiB: their size in four bytes, then a pickle of `[(path, (timestamp, value)), …]`, of\n"
           "protocols 0 to 5. Paths, tags and times are read as those of Graphite's lines (element Graphite).\n\n"
           "- Tuples or lists; paths as text or bytes; numbers of any type, or texts of one.\n"
           "- Nothing in a pickle is ever run: one that names or calls something is refused and counted.\n"
           "- A bad point is counted by its reason, and its neighbours are kept; a bad pickle costs its frame; a frame "
           "that is\n"
           "  too large costs its connection.\n",
    .example = "pickles :: GraphitePickle(listen: \"127.0.0.1:2004\") -> metrics :: Log(stream: \"metrics\")\n",
    .ports = ports,
    .params = params,
    .reasons = reasons,
    .state_size = sizeof(struct state),
    .open = open,
    .close = close,
    .feed = feed,
    .pump = &pump_class,
};
