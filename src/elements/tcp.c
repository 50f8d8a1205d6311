/* Tcp: packets out of streams: of those who connect to us, or of one that we connect to, each with its own framing.
 *
 *   listen  --streams_in.h--> a framing each --\
 *                                               framed_in.h --> batch at the end of each read --> output
 *   connect --> one framing, anew after each --/
 *
 * Happy path: bytes come in pieces of any size, frames go on whole. What can fail: a frame is counted and looked
 * behind; where nothing tells a beginning (a length that cannot be) the connection is closed, so that the peer begins
 * anew; who was connected to goes away: tried again after 100 ms, twice as long each time, up to `retry_max`. */
#include <stdio.h>

#include "elements/classes.h"
#include "elements/framed_in.h"
#include "elements/sources.h"
#include "elements/streams_in.h"

#define RETRY_MIN (100 * YD_NS_PER_MS)
#define ROOM      ((size_t)64 << 10)

enum { OUTPUT };
enum { REASON_REFUSED = YD_FRAMING_REASON_COUNT, REASON_SOURCE };

struct state {
    struct yd_element *element;
    struct yd_spread spread; /* of one pump */
};

struct pump {
    struct yd_pump *pump;
    struct yd_framed_in framed;
    struct yd_sources sources;
    struct yd_streams_in in; /* listen */
    /* connect: */
    struct yd_address to;
    char peer[128];
    struct yd_stream *stream; /* NULL: not now */
    struct yd_framing *framing;
    struct yd_timer *retry;
    char *room;
    int64_t retry_ns, retry_max, idle_ns, last_ns; /* last: when something came */
    bool paused, said;
};

static const char *const reasons[] = {
    YD_FRAMED_REASONS[REASON_REFUSED] = "connection refused: too many", [REASON_SOURCE] = "source not allowed", NULL};

static const struct yd_port_class ports[] = {{.name = "output",
                                              .direction = YD_OUT,
                                              .mode = YD_PUSH,
                                              .kinds = YD_KIND_BIT(YD_PACKET),
                                              .doc = "A PACKET for each frame: its bytes, and when its last one came."},
                                             {0}};

static const struct yd_param_class params[] = {
    {.name = "listen",
     .type = YD_PARAM_TEXT,
     .initial = "\"\"",
     .flags = YD_PARAM_LISTENS,
     .doc = "TCP address, or `unix:/path`, to be connected to; this or `connect`."},
    {.name = "connect",
     .type = YD_PARAM_TEXT,
     .initial = "\"\"",
     .doc = "Address to connect to, numeric or localhost, or `unix:/path`; again when the connection is lost."},
    {.name = "name", .type = YD_PARAM_TEXT, .initial = "\"packet\"", .doc = "The name of the records."},
    YD_FRAMING_PARAMS,
    {.name = "sources",
     .type = YD_PARAM_LIST,
     .initial = "[]",
     .doc = "Who may connect: addresses and networks; none: everybody."},
    YD_CONNECTIONS_PARAM("64", "More peers at once are refused. Each may keep up to twice `max_size` in memory."),
    {.name = "idle",
     .type = YD_PARAM_DURATION,
     .initial = "0s",
     .max = 3.2e18,
     .doc =
         "A connection on which nothing comes for so long is closed, and one that we made is made anew; `0s`: never. "
         "A peer that does not even answer the system is noticed after two minutes in any case."},
    {.name = "retry_max",
     .type = YD_PARAM_DURATION,
     .initial = "10s",
     .min = 1e8,
     .max = 3.6e12,
     .doc = "The longest pause before `connect` is tried again."},
    {0}};

static int check(const struct yd_args *args, char *why, size_t why_size)
{
    struct yd_str listen = yd_args_text(args, "listen"), to = yd_args_text(args, "connect");
    struct yd_trail trail = {0};
    struct yd_address address;
    struct yd_sources sources;
    if (!listen.size == !to.size) {
        snprintf(why, why_size, "give `listen` or `connect`, one of them");
        return YD_EINVAL;
    }
    if (yd_address_parse(listen.size ? listen : to, &address, &trail) < 0) {
        snprintf(why, why_size, "%s: %s", listen.size ? "listen" : "connect", yd_trail_text(&trail));
        return YD_EINVAL;
    }
    int r = yd_sources_parse(yd_args_find(args, "sources"), &sources, why, why_size);
    return r < 0 ? r : yd_framed_in_check(args, why, why_size);
}

/* ---- the element ---- */

static int open(struct yd_element *element, void *state)
{
    ((struct state *)state)->element = element;
    return 0;
}

static enum yd_turn_result receive(void *state, struct yd_input *input, struct yd_out *out)
{
    (void)state, (void)input, (void)out;
    return YD_DONE;
}

static int feed(void *state, struct yd_str bytes, struct yd_out *out, int64_t wall_ns)
{
    return yd_framed_in_feed(yd_element_args(((struct state *)state)->element), OUTPUT, bytes, out, wall_ns);
}

/* ---- those who connect to us ---- */

static int begins(void *arg, struct yd_streams_peer *peer)
{
    struct pump *pump = arg;
    struct yd_framing *framing;
    struct yd_trail trail = {0};
    struct yd_address from;
    bool known = yd_address_parse(yd_str_of(peer->name), &from, &trail) == 0;
    if (!known) from = (struct yd_address){.storage.ss_family = AF_UNIX};
    if (!yd_sources_allow(&pump->sources, &from)) {
        yd_pump_count_rejected(pump->pump, REASON_SOURCE, 0, YD_STR("a connection"), yd_str_of(peer->name));
        yd_pump_say(pump->pump, 1, "%s may not connect: it is none of `sources`", peer->name);
        return YD_EPERM;
    }
    int r = yd_framed_in_begin(&pump->framed, &framing);
    if (r == 0) peer->own = framing;
    return r;
}

static void begin_read(struct pump *pump, const char *from)
{
    pump->framed.from = from;
    pump->framed.time_ns = yd_pump_wall(pump->pump);
}

static int64_t take(void *arg, struct yd_streams_peer *peer, struct yd_str bytes)
{
    struct pump *pump = arg;
    begin_read(pump, peer->name);
    int r = yd_framing_take(peer->own, bytes);
    if (r < 0) yd_pump_say(pump->pump, 1, "%s is closed: its stream makes no sense any more", peer->name);
    return r < 0 ? r : (int64_t)bytes.size;
}

static void ended(void *arg, struct yd_streams_peer *peer, struct yd_str rest, bool in_order)
{
    (void)arg, (void)peer, (void)rest, (void)in_order; /* the framing keeps what is not whole: see gone */
}

static void read_ends(void *arg)
{
    yd_packets_flush(&((struct pump *)arg)->framed.packets);
}

static void gone(void *arg, struct yd_streams_peer *peer, bool in_order)
{
    struct pump *pump = arg;
    if (!peer->own) return;
    begin_read(pump, peer->name);
    yd_framing_end(peer->own, in_order);
    yd_packets_flush(&pump->framed.packets);
    yd_framing_destroy(peer->own);
    peer->own = NULL;
}

static int listen_at(struct pump *pump, const struct yd_args *args, struct yd_spread *spread)
{
    struct yd_streams_in_options options = {.pump = pump->pump,
                                            .spread = spread,
                                            .what = "packets (TCP)",
                                            .connections_max = (unsigned)yd_args_int(args, "max_connections"),
                                            .reason_refused = REASON_REFUSED,
                                            .idle_ns = yd_args_int(args, "idle"),
                                            .take = take,
                                            .ended = ended,
                                            .read_ends = read_ends,
                                            .begins = begins,
                                            .gone = gone,
                                            .arg = pump};
    return yd_streams_in_open(&pump->in, &options, yd_args_text(args, "listen"));
}

/* ---- one that we connect to ---- */

static void lend(void *arg, char **ret_to, size_t *ret_size)
{
    struct pump *pump = arg;
    *ret_to = pump->room;
    *ret_size = ROOM;
}

static void hang_up(struct pump *pump, bool in_order)
{
    if (!pump->stream) return;
    begin_read(pump, pump->peer);
    yd_framing_end(pump->framing, in_order);
    yd_packets_flush(&pump->framed.packets);
    yd_stream_close(pump->stream);
    pump->stream = NULL;
}

static void try_later(struct pump *pump, const char *why)
{
    if (!pump->said) yd_pump_say(pump->pump, 1, "%s: %s; it is tried again and again", pump->peer, why);
    pump->said = true;
    yd_timer_start(pump->retry, yd_pump_mono(pump->pump) + pump->retry_ns);
    pump->retry_ns = YD_MIN(pump->retry_ns * 2, pump->retry_max);
}

static void data(void *arg, size_t size)
{
    struct pump *pump = arg;
    pump->last_ns = yd_pump_mono(pump->pump);
    begin_read(pump, pump->peer);
    int r = yd_framing_take(pump->framing, (struct yd_str){pump->room, size});
    yd_packets_flush(&pump->framed.packets);
    if (r == 0) {
        pump->retry_ns = RETRY_MIN;
        return;
    }
    hang_up(pump, false);
    try_later(pump, "its stream makes no sense any more");
}

static void connection_ended(void *arg, int error)
{
    struct pump *pump = arg;
    hang_up(pump, error == YD_EEOF);
    try_later(pump, yd_error_text(error));
}

/* As often as it takes to notice silence a quarter too late at most. */
static void look_again(struct pump *pump)
{
    if (pump->idle_ns) yd_timer_start(pump->retry, yd_pump_mono(pump->pump) + pump->idle_ns / 4 + YD_NS_PER_MS);
}

static void connected(void *arg)
{
    struct pump *pump = arg;
    pump->last_ns = yd_pump_mono(pump->pump);
    look_again(pump);
    if (pump->said) yd_pump_say(pump->pump, 0, "%s: connected", pump->peer);
    pump->said = false;
}

static void dial(void *arg)
{
    static const struct yd_stream_ops ops = {
        .room = lend, .data = data, .ended = connection_ended, .connected = connected};
    struct pump *pump = arg;
    struct yd_trail trail = {0};
    int r = yd_connect(yd_pump_loop(pump->pump), &pump->to, &ops, pump, &pump->stream, &trail);
    if (r < 0) {
        pump->stream = NULL;
        try_later(pump, yd_trail_text(&trail));
    } else if (pump->paused) {
        yd_stream_pause(pump->stream, true);
    }
}

static void look(void *arg)
{
    struct pump *pump = arg;
    if (!pump->stream) {
        dial(pump);
    } else if (!pump->paused && yd_pump_mono(pump->pump) - pump->last_ns >= pump->idle_ns) {
        hang_up(pump, false);
        try_later(pump, "it was silent for longer than `idle`");
    } else {
        look_again(pump);
    }
}

static int connect_to(struct pump *pump, const struct yd_args *args)
{
    struct yd_trail trail = {0};
    int r = yd_address_parse(yd_args_text(args, "connect"), &pump->to, &trail);
    if (r == 0) r = yd_framed_in_begin(&pump->framed, &pump->framing);
    if (r == 0 && !(pump->room = yd_alloc_get(NULL, ROOM))) r = YD_ENOMEM;
    if (r == 0) r = yd_timer_create(yd_pump_loop(pump->pump), look, pump, &pump->retry);
    if (r < 0) return yd_pump_fail(pump->pump, r, "%s", trail.size ? yd_trail_text(&trail) : yd_error_text(r));
    (void)yd_address_put(&pump->to, pump->peer, sizeof pump->peer);
    dial(pump);
    return 0;
}

/* ---- life of the pump ---- */

static void free_all(struct pump *pump)
{
    yd_streams_in_close(&pump->in);
    hang_up(pump, false);
    yd_timer_close(pump->retry);
    yd_framing_destroy(pump->framing);
    yd_alloc_put(NULL, pump->room, ROOM);
    yd_framed_in_close(&pump->framed);
    pump->retry = NULL;
    pump->framing = NULL;
    pump->room = NULL;
}

static int start(struct yd_pump *yd_pump, void *opaque, void *element_state)
{
    struct pump *pump = opaque;
    const struct yd_args *args = yd_pump_args(yd_pump);
    bool listens = yd_args_text(args, "listen").size > 0;
    char why[200];
    pump->pump = pump->framed.pump = yd_pump;
    pump->framed.port = OUTPUT;
    pump->retry_ns = RETRY_MIN;
    pump->retry_max = yd_args_int(args, "retry_max");
    pump->idle_ns = yd_args_int(args, "idle");
    int r = yd_sources_parse(yd_args_find(args, "sources"), &pump->sources, why, sizeof why);
    if (r == 0) r = yd_framed_in_open(&pump->framed, args, false);
    r = r < 0 ? yd_pump_fail(yd_pump, r, "%s", yd_error_text(r))
              : (listens ? listen_at(pump, args, &((struct state *)element_state)->spread) : connect_to(pump, args));
    if (r < 0) free_all(pump);
    return r;
}

static void stopped(void *opaque)
{
    struct pump *pump = opaque;
    free_all(pump);
    yd_pump_stopped(pump->pump);
}

static void stop(void *opaque)
{
    struct pump *pump = opaque;
    if (yd_streams_in_part(&pump->in, stopped)) stopped(pump);
}

static void pause_(void *opaque, bool paused)
{
    struct pump *pump = opaque;
    pump->paused = paused;
    yd_streams_in_pause(&pump->in, paused);
    if (!pump->stream) return;
    if (!paused) pump->last_ns = yd_pump_mono(pump->pump); /* until now the silence was ours */
    yd_stream_pause(pump->stream, paused);
}

static const struct yd_pump_class pump_class = {
    .state_size = sizeof(struct pump), .start = start, .stop = stop, .pause = pause_};

const struct yd_element_class yd_class_tcp = {
    .abi = YD_ELEMENT_ABI,
    .flags = YD_CLASS_SOURCE,
    .name = "Tcp",
    .summary = "takes packets out of TCP streams, framed in one of nine ways",
    .doc = "`framing` says where a packet begins and ends:\n\n"
           "- `fixed`: each has `size` bytes. `lines`: newline, which is left out.\n"
           "- `length`: a field at `length_offset` says how long it is. One that cannot be closes the connection.\n"
           "- `sync`: begins with the word `sync`, then `size` bytes in all, or as the length field says.\n"
           "- `cobs`, `slip`: given out unstuffed.\n"
           "- `space_packet`: CCSDS space packets. `tm_frame`: CCSDS TM transfer frames of `size` bytes behind their "
           "marker,\n"
           "  which is left out. `mavlink`: MAVLink 1 and 2, with their checksum.\n\n"
           "Bad frames are counted by reason, and what is behind them is found again; bytes between frames are counted "
           "each.\n"
           "What is not read waits with the peer.\n",
    .example = "station :: Tcp(connect: \"127.0.0.1:5001\", framing: \"tm_frame\", size: 1115, name: \"tm\")\n"
               "station -[full: drop_old]-> raw :: Log(stream: \"raw\")\n",
    .ports = ports,
    .params = params,
    .reasons = reasons,
    .state_size = sizeof(struct state),
    .check = check,
    .open = open,
    .receive = receive,
    .feed = feed,
    .pump = &pump_class,
};
