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
#include "elements/rejects.h"
#include "elements/streams_in.h"

enum { OUTPUT, REJECTS };
enum { REASON_REFUSED = YD_PICKLE_REASON_COUNT };

struct state {
    struct yd_element *element;
    bool rejects_wired;
    struct yd_spread spread;
    struct yd_pickle *fed; /* of feed, made when first needed */
    struct yd_out *out;    /* of the feed at hand */
};

struct pump {
    struct yd_pump *pump;
    struct yd_streams_in in;
    struct yd_pickle *pickle;
    struct yd_rejects *rejects; /* NULL: not wired */
    const char *from;           /* whose frame is at hand */
};

static const char *const reasons[] = {
#define REASON(name, text) text,
    YD_PICKLE_REASONS(REASON)
#undef REASON
        "connection refused: too many",
    NULL};

static const struct yd_port_class ports[] = {
    {.name = "output", .direction = YD_OUT, .mode = YD_PUSH, .kinds = YD_KIND_BIT(YD_SAMPLE), .doc = "The samples."},
    {.name = "rejects",
     .direction = YD_OUT,
     .mode = YD_PUSH,
     .kinds = YD_KIND_BIT(YD_ROW),
     .flags = YD_PORT_OPTIONAL_REJECTS,
     .doc = "Points and frames that were not understood: one row for those refused together: `reason`, `peer` and "
            "`line` (the path, or up to 4096 "
            "bytes of the frame)."},
    {0}};

static const struct yd_param_class params[] = {
    {.name = "listen",
     .type = YD_PARAM_TEXT,
     .initial = "\"127.0.0.1:2004\"",
     .flags = YD_PARAM_LISTENS,
     .doc = "TCP address, or `unix:/path`."},
    YD_CONNECTIONS_PARAM("1024", "More peers at once are refused. Each may keep a frame of up to 1 MiB in memory."),
    {.name = "idle",
     .type = YD_PARAM_DURATION,
     .initial = "1h",
     .max = 3.2e18,
     .doc = "A peer that sends nothing for so long is closed; `0s`: never."},
    YD_SPREAD_PARAM("connections"),
    {0}};

/* ---- the element ---- */

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
    if (records > 1) yd_pump_count_rejected(pump->pump, reason, records - 1, sample, yd_str_of(pump->from));
    if (records) yd_reject(pump->pump, pump->rejects, REJECTS, reason, reasons[reason], sample, yd_str_of(pump->from));
}

static int64_t take(void *arg, struct yd_streams_peer *peer, struct yd_str bytes)
{
    struct pump *pump = arg;
    size_t used;
    pump->from = peer->name;
    yd_pickle_origin(pump->pickle, yd_address_host(yd_str_of(peer->name)));
    int r = yd_pickle_take(pump->pickle, bytes, yd_pump_wall(pump->pump), &used);
    return r < 0 ? r : (int64_t)used;
}

static void ended(void *arg, struct yd_streams_peer *peer, struct yd_str rest, bool in_order)
{
    struct pump *pump = arg;
    (void)in_order;
    pump->from = peer->name;
    on_reject(pump, YD_PICKLE_CUT_SHORT, 1, rest);
}

static void read_ends(void *arg)
{
    struct pump *pump = arg;
    yd_pickle_flush(pump->pickle);
    yd_rejects_send(pump->pump, pump->rejects, REJECTS);
}

/* ---- life of the pump ---- */

static void free_all(struct pump *pump)
{
    yd_streams_in_close(&pump->in);
    yd_pickle_destroy(pump->pickle);
    yd_rejects_destroy(pump->rejects);
    pump->pickle = NULL;
    pump->rejects = NULL;
}

static int start(struct yd_pump *yd_pump, void *opaque, void *element_state)
{
    struct pump *pump = opaque;
    struct state *state = element_state;
    const struct yd_args *args = yd_pump_args(yd_pump);
    pump->pump = yd_pump;
    pump->from = "";
    struct yd_pickle_options options = {.sink = {pump, on_batch, on_reject},
                                        .seed = yd_loop_random(yd_pump_loop(yd_pump))};
    struct yd_streams_in_options in = {.pump = yd_pump,
                                       .spread = &state->spread,
                                       .what = "Graphite pickles",
                                       .connections_max = (unsigned)yd_args_int(args, "max_connections"),
                                       .reason_refused = REASON_REFUSED,
                                       .idle_ns = yd_args_int(args, "idle"),
                                       .take = take,
                                       .ended = ended,
                                       .read_ends = read_ends,
                                       .arg = pump};
    int r = yd_pickle_create(&options, &pump->pickle);
    if (r == 0 && state->rejects_wired) r = yd_rejects_create(yd_pump_element(yd_pump), &pump->rejects);
    r = r < 0 ? yd_pump_fail(yd_pump, r, "out of memory")
              : yd_streams_in_open(&pump->in, &in, yd_args_text(args, "listen"));
    if (r < 0) free_all(pump);
    return r;
}

static void stopped(void *arg)
{
    struct pump *pump = arg;
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
    yd_streams_in_pause(&pump->in, paused);
}

static const struct yd_pump_class pump_class = {
    .state_size = sizeof(struct pump), .start = start, .stop = stop, .pause = pause_, .spread = yd_spread_wanted};

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
