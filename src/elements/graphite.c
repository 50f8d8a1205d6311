/* Graphite: lines of `path value [timestamp]` over TCP and UDP become SAMPLE records.
 *
 * The pump does all the work (line_server.h); receive has nothing to do. The grammar is graphite_lines.c's. */
#include <stdio.h>

#include "base/text.h"
#include "elements/classes.h"
#include "elements/datagrams_in.h"
#include "elements/line_feed.h"
#include "elements/line_server.h"

enum { OUTPUT, REJECTS };
enum { REASON_REFUSED = YD_LINE_REASON_COUNT, REASON_KERNEL };

struct state {
    struct yd_element *element;
    bool rejects_wired;
    struct yd_spread spread;
    struct yd_line_feed *feed;
};

struct pump {
    struct yd_pump *pump;
    struct yd_line_server *server;
};

static const char *const reasons[] = {
#define REASON(name, text) text,
    YD_LINE_REASONS(REASON)
#undef REASON
        "connection refused: too many",
    "datagram dropped by the kernel", NULL};

static const struct yd_port_class ports[] = {
    {.name = "output", .direction = YD_OUT, .mode = YD_PUSH, .kinds = YD_KIND_BIT(YD_SAMPLE), .doc = "The samples."},
    YD_REJECTS_PORT("Lines that were not understood"),
    {0}};

static const struct yd_param_class params[] = {{.name = "listen",
                                                .type = YD_PARAM_TEXT,
                                                .initial = "\"127.0.0.1:2003\"",
                                                .flags = YD_PARAM_LISTENS,
                                                .doc = "TCP address, or `unix:/path`; `\"\"`: none."},
                                               {.name = "udp",
                                                .type = YD_PARAM_TEXT,
                                                .initial = "\"\"",
                                                .flags = YD_PARAM_LISTENS_DATAGRAM,
                                                .doc = "UDP address; `\"\"`: none."},
                                               {.name = "max_line",
                                                .type = YD_PARAM_SIZE,
                                                .initial = "64KiB",
                                                .min = 64,
                                                .max = 16 << 20,
                                                .doc = "Longer lines are rejected; parsing goes on at the next line."},
                                               YD_CONNECTIONS_PARAM("16384", "More peers at once are refused."),
                                               {.name = "idle",
                                                .type = YD_PARAM_DURATION,
                                                .initial = "1h",
                                                .max = 3.2e18,
                                                .doc = "A peer that sends nothing for so long is closed; `0s`: never."},
                                               YD_SPREAD_PARAM("connections and datagrams"),
                                               YD_RECEIVE_BUFFER_PARAM,
                                               {0}};

static int check(const struct yd_args *args, char *why, size_t why_size)
{
    if (yd_args_text(args, "listen").size || yd_args_text(args, "udp").size) return 0;
    (void)snprintf(why, why_size, "neither `listen` nor `udp` is given: nothing can come in");
    return YD_EINVAL;
}

static int open(struct yd_element *element, void *opaque)
{
    struct state *state = opaque;
    state->element = element;
    state->rejects_wired = yd_element_wired(element, REJECTS);
    return 0;
}

static void close(void *opaque)
{
    struct state *state = opaque;
    yd_line_feed_destroy(state->feed);
    state->feed = NULL;
}

static enum yd_turn_result receive(void *state, struct yd_input *input, struct yd_out *out)
{
    (void)state, (void)input, (void)out;
    return YD_DONE;
}

static int feed(void *opaque, struct yd_str bytes, struct yd_out *out, int64_t wall_ns)
{
    struct state *state = opaque;
    const struct yd_line_feed_options options = {
        .format = &yd_graphite_format,
        .element = yd_element_name(state->element),
        .line_max = (size_t)yd_args_int(yd_element_args(state->element), "max_line"),
        .output = OUTPUT,
        .rejects = REJECTS,
    };
    return yd_line_feed(&state->feed, &options, bytes, out, wall_ns);
}

/* ---- the pump ---- */

static void rejected(void *arg, struct yd_line_peer *peer, enum yd_line_reason reason, struct yd_str line)
{
    (void)arg, (void)line;
    if (reason != YD_LINE_HTTP || !peer) return;
    static const char answer[] =
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 82\r\nConnection: close\r\n\r\n"
        "This port takes Graphite lines (`path value timestamp`), not HTTP. See OpenTsdb.\r\n";
    yd_line_peer_write(peer, YD_STR(answer));
    peer->closing = true;
}

static int start(struct yd_pump *pump, void *opaque, void *element_state)
{
    struct pump *state = opaque;
    struct state *element = element_state;
    const struct yd_args *args = yd_pump_args(pump);
    state->pump = pump;
    struct yd_line_server_options options = {
        .pump = pump,
        .spread = &element->spread,
        .receive_buffer = (size_t)yd_args_int(args, "receive_buffer"),
        .format = &yd_graphite_format,
        .listen = yd_args_text(args, "listen"),
        .udp = yd_args_text(args, "udp"),
        .what = "Graphite lines",
        .line_max = (size_t)yd_args_int(args, "max_line"),
        .connections_max = (unsigned)yd_args_int(args, "max_connections"),
        .idle_ns = yd_args_int(args, "idle"),
        .output = OUTPUT,
        .rejects = REJECTS,
        .rejects_wired = element->rejects_wired,
        .reason_refused = REASON_REFUSED,
        .reason_kernel = REASON_KERNEL,
        .rejected = rejected,
        .arg = state,
    };
    return yd_line_server_start(&options, &state->server);
}

static void stopped(void *arg)
{
    yd_pump_stopped(((struct pump *)arg)->pump);
}

static void stop(void *opaque)
{
    struct pump *state = opaque;
    struct yd_line_server *server = state->server;
    state->server = NULL;
    if (server) yd_line_server_stop(server, stopped, state);
}

static void pause_(void *opaque, bool paused)
{
    struct pump *state = opaque;
    if (state->server) yd_line_server_pause(state->server, paused);
}

static const struct yd_pump_class pump_class = {
    .state_size = sizeof(struct pump), .start = start, .stop = stop, .pause = pause_, .spread = yd_spread_wanted};

const struct yd_element_class yd_class_graphite = {
    .abi = YD_ELEMENT_ABI,
    .flags = YD_CLASS_SOURCE,
    .name = "Graphite",
    .summary = "takes Graphite's plaintext lines over TCP and UDP",
    .doc = "One line is one sample: `path value [timestamp]`, split from the right, so a path may hold spaces. Tags "
           "stand in\n"
           "the path, as `path;key=value;key=value` or `path{key=\"value\"}`, and become tags of the qualified name, "
           "sorted.\n\n"
           "- The timestamp is whole seconds since 1970; a fraction is cut off; `-1`, `0` and none mean now.\n"
           "- `NaN` and infinities are rejected, and counted as that.\n"
           "- Whole numbers beyond 2^53 are kept to the last digit, as far as 64 bits go.\n"
           "- Lines end with LF or CR LF, or with CR alone when a peer sends nothing else. The last line of a "
           "connection or\n"
           "  datagram needs no end.\n"
           "- A bad line is counted by its reason and shown in `yarder top`; its neighbours are kept.\n"
           "- HTTP on this port is refused and named.\n",
    .example = "graphite :: Graphite(listen: \"127.0.0.1:2003\", udp: \"127.0.0.1:2003\")\n"
               "graphite -> metrics :: Log(stream: \"metrics\")\n",
    .ports = ports,
    .params = params,
    .reasons = reasons,
    .state_size = sizeof(struct state),
    .check = check,
    .open = open,
    .close = close,
    .receive = receive,
    .feed = feed,
    .pump = &pump_class,
};
