/* Tsdp: TSDP submissions over TCP and UDP become records of the six kinds; heartbeats tell what was lost on the way.
 *
 *   messages --tsdp_packets.h--> batch --> output
 *       \--> of each sender (address and port): messages since its last heartbeat, against what it says it has sent
 *
 * A heartbeat counts every message its sender has sent; what did not come between two of them is counted as dropped and
 * said. Whether a sender counts its heartbeats themselves is seen by what comes: one more than it says means that it
 * does not. A count that begins again, as said or as seen, begins anew. What can fail: a message that is none is
 * counted and costs itself; one larger than 64 KiB costs its connection. */
#include <stdio.h>

#include "base/text.h"
#include "elements/classes.h"
#include "elements/datagrams_in.h"
#include "elements/streams_in.h"
#include "elements/table.h"
#include "elements/tsdp_packets.h"

#define SENDERS_MAX 65536
#define SENDER_LIFE (600 * YD_NS_PER_S) /* of silence, when there is no room for another */

enum { OUTPUT, REJECTS };
enum { REASON_LOST = YD_TSDP_REASON_COUNT, REASON_KERNEL, REASON_REFUSED };

struct state {
    struct yd_element *element;
    bool rejects_wired;
    struct yd_spread spread;
    struct yd_tsdp *fed; /* of feed, made when first needed */
    struct yd_out *out;  /* of the feed at hand */
};

struct sender {
    struct yd_table_item item;
    uint64_t came, sent; /* since and at its last heartbeat */
    int64_t last_ns;
    bool primed, uncounted; /* it has sent one; it does not count those */
};

struct pump {
    struct yd_pump *pump;
    struct yd_datagrams_in in;
    struct yd_streams_in streams;
    struct yd_tsdp *tsdp;
    struct yd_rejects *rejects; /* NULL: not wired */
    struct yd_table senders;
    int64_t swept_ns;
    const char *from; /* whose message is at hand */
};

static const char *const reasons[] = {
#define REASON(name, text) text,
    YD_TSDP_REASONS(REASON)
#undef REASON
        "lost on the way, as its sender's heartbeats tell",
    "datagram dropped by the kernel", "connection refused: too many", NULL};

static const struct yd_port_class ports[] = {
    {.name = "output",
     .direction = YD_OUT,
     .mode = YD_PUSH,
     .kinds = YD_KINDS_NUMERIC | YD_KIND_BIT(YD_STATE) | YD_KIND_BIT(YD_EVENT) | YD_KIND_BIT(YD_FACT),
     .doc = "What was submitted."},
    YD_REJECTS_PORT("Messages that were not understood"),
    {0}};

static const struct yd_param_class params[] = {
    {.name = "listen",
     .type = YD_PARAM_TEXT,
     .initial = "\"127.0.0.1:2999\"",
     .flags = YD_PARAM_LISTENS,
     .doc = "TCP address, or `unix:/path`; `\"\"`: none."},
    {.name = "udp",
     .type = YD_PARAM_TEXT,
     .initial = "\"\"",
     .flags = YD_PARAM_LISTENS_DATAGRAM,
     .doc = "UDP address; `\"\"`: none. A datagram holds whole messages."},
    {.name = "metric",
     .type = YD_PARAM_TEXT,
     .initial = "\"tsdp\"",
     .doc = "Of names that are pairs alone: `host=web1,type=cpu` becomes `tsdp host=web1,type=cpu`."},
    YD_CONNECTIONS_PARAM("4096", "More peers at once are refused."),
    {.name = "idle",
     .type = YD_PARAM_DURATION,
     .initial = "1h",
     .max = 3.2e18,
     .doc = "A peer that sends nothing for so long is closed; `0s`: never."},
    YD_SPREAD_PARAM("datagrams and connections"),
    YD_RECEIVE_BUFFER_PARAM,
    {0}};

static int check(const struct yd_args *args, char *why, size_t why_size)
{
    const char *wrong = NULL;
    if (!yd_args_text(args, "listen").size && !yd_args_text(args, "udp").size)
        wrong = "neither `listen` nor `udp` is given: nothing can come in";
    else if (!yd_args_text(args, "metric").size || !yd_text_utf8(yd_args_text(args, "metric")))
        wrong = "`metric` is no name";
    if (!wrong) return 0;
    (void)snprintf(why, why_size, "%s", wrong);
    return YD_EINVAL;
}

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
    yd_tsdp_destroy(state->fed);
    state->fed = NULL;
}

static enum yd_turn_result receive(void *state, struct yd_input *input, struct yd_out *out)
{
    (void)state, (void)input, (void)out;
    return YD_DONE;
}

static void fed_batch(void *arg, struct yd_batch *batch, uint32_t records)
{
    (void)records;
    (void)yd_emit(((struct state *)arg)->out, OUTPUT, batch);
}

static void fed_reject(void *arg, enum yd_tsdp_reason reason, struct yd_str message)
{
    yd_count_rejected(((struct state *)arg)->out, reason, 1, message);
}

static void fed_message(void *arg)
{
    (void)arg;
}

static void fed_heartbeat(void *arg, uint64_t sent, bool rolled)
{
    (void)arg, (void)sent, (void)rolled; /* a test's text has no sender */
}

/* Messages, whole ones. */
static int feed(void *opaque, struct yd_str bytes, struct yd_out *out, int64_t wall_ns)
{
    struct state *state = opaque;
    struct yd_tsdp_options options = {.sink = {state, fed_batch, fed_reject, fed_message, fed_heartbeat},
                                      .metric = yd_args_text(yd_element_args(state->element), "metric")};
    int r = state->fed ? 0 : yd_tsdp_create(&options, &state->fed);
    size_t used;
    if (r < 0) return r;
    state->out = out;
    if (yd_tsdp_take(state->fed, bytes, wall_ns, &used) == 0 && used < bytes.size)
        fed_reject(state, YD_TSDP_CUT_SHORT, (struct yd_str){bytes.data + used, bytes.size - used});
    yd_tsdp_flush(state->fed);
    return 0;
}

/* ---- senders ---- */

static void forget_silent(struct pump *pump, int64_t now)
{
    if (now - pump->swept_ns < SENDER_LIFE / 10) return;
    pump->swept_ns = now;
    for (uint32_t i = pump->senders.count; i-- > 0;) {
        struct sender *sender = (struct sender *)pump->senders.items[i];
        if (now - sender->last_ns > SENDER_LIFE) yd_table_remove(&pump->senders, sender);
    }
}

/* NULL: too many, or no memory: what this one loses is not known. */
static struct sender *sender_of(struct pump *pump)
{
    struct yd_str name = yd_str_of(pump->from);
    struct sender *sender;
    int64_t now = yd_pump_mono(pump->pump);
    if (pump->senders.count >= SENDERS_MAX) forget_silent(pump, now);
    if (yd_table_add(&pump->senders, name, yd_hash_str(name), &sender) < 0) return NULL;
    sender->last_ns = now;
    return sender;
}

static void on_message(void *arg)
{
    struct sender *sender = sender_of(arg);
    if (sender) sender->came++;
}

static void on_heartbeat(void *arg, uint64_t sent, bool rolled)
{
    struct pump *pump = arg;
    struct sender *sender = sender_of(pump);
    if (!sender) return;
    uint64_t since = sent - sender->sent, came = sender->came; /* this one with it */
    /* A jump that no sender makes between two heartbeats is one who began anew, or lies: nobody's counters follow it.
     */
    bool again = !sender->primed || rolled || sent < sender->sent || since > UINT32_MAX;
    if (!again && came == since + 1) sender->uncounted = true;
    if (sender->uncounted) came--;
    uint64_t lost = again || came >= since ? 0 : since - came;
    sender->primed = true;
    sender->sent = sent;
    sender->came = 0;
    if (!lost) return;
    yd_pump_count_dropped(pump->pump, REASON_LOST, lost);
    yd_pump_say(pump->pump, 1, "%s: %llu of %llu messages did not arrive", pump->from, (unsigned long long)lost,
                (unsigned long long)since);
}

/* ---- the pump ---- */

static void on_batch(void *arg, struct yd_batch *batch, uint32_t records)
{
    struct pump *pump = arg;
    (void)records;
    (void)yd_pump_emit(pump->pump, OUTPUT, batch); /* `pause` comes in any case */
}

static void on_reject(void *arg, enum yd_tsdp_reason reason, struct yd_str message)
{
    struct pump *pump = arg;
    yd_reject(pump->pump, pump->rejects, REJECTS, reason, reasons[reason], message, yd_str_of(pump->from));
}

static int64_t take(void *arg, struct yd_streams_peer *peer, struct yd_str bytes)
{
    struct pump *pump = arg;
    size_t used;
    pump->from = peer->name;
    yd_tsdp_origin(pump->tsdp, yd_address_host(yd_str_of(peer->name)));
    int r = yd_tsdp_take(pump->tsdp, bytes, yd_pump_wall(pump->pump), &used);
    return r < 0 ? r : (int64_t)used;
}

static void ended(void *arg, struct yd_streams_peer *peer, struct yd_str rest, bool in_order)
{
    struct pump *pump = arg;
    (void)in_order;
    pump->from = peer->name;
    on_reject(pump, YD_TSDP_CUT_SHORT, rest);
}

static void on_datagram(void *arg, struct yd_str bytes)
{
    struct pump *pump = arg;
    size_t used;
    pump->from = pump->in.from;
    yd_tsdp_origin(pump->tsdp, yd_address_host(yd_str_of(pump->from)));
    if (yd_tsdp_take(pump->tsdp, bytes, yd_pump_wall(pump->pump), &used) == 0 && used < bytes.size)
        on_reject(pump, YD_TSDP_CUT_SHORT, (struct yd_str){bytes.data + used, bytes.size - used});
}

static void burst_ends(void *arg)
{
    yd_tsdp_flush(((struct pump *)arg)->tsdp);
}

static void read_ends(void *arg)
{
    struct pump *pump = arg;
    yd_tsdp_flush(pump->tsdp);
    yd_rejects_send(pump->pump, pump->rejects, REJECTS);
}

static void free_all(struct pump *pump)
{
    yd_datagrams_in_close(&pump->in);
    yd_streams_in_close(&pump->streams);
    yd_tsdp_destroy(pump->tsdp);
    yd_rejects_destroy(pump->rejects);
    yd_table_fini(&pump->senders);
    pump->tsdp = NULL;
    pump->rejects = NULL;
}

static int listen_both(struct pump *pump, const struct yd_args *args, struct yd_spread *spread)
{
    struct yd_streams_in_options tcp = {.pump = pump->pump,
                                        .spread = spread,
                                        .what = "TSDP",
                                        .connections_max = (unsigned)yd_args_int(args, "max_connections"),
                                        .reason_refused = REASON_REFUSED,
                                        .idle_ns = yd_args_int(args, "idle"),
                                        .take = take,
                                        .ended = ended,
                                        .read_ends = read_ends,
                                        .arg = pump};
    struct yd_datagrams_in_options udp = {.pump = pump->pump,
                                          .spread = spread,
                                          .receive_buffer = (size_t)yd_args_int(args, "receive_buffer"),
                                          .what = "TSDP (UDP)",
                                          .reason_kernel = REASON_KERNEL,
                                          .rejects = pump->rejects,
                                          .rejects_port = REJECTS,
                                          .datagram = on_datagram,
                                          .burst_ends = burst_ends,
                                          .arg = pump};
    struct yd_str listen = yd_args_text(args, "listen"), datagrams = yd_args_text(args, "udp");
    int r = listen.size ? yd_streams_in_open(&pump->streams, &tcp, listen) : 0;
    return r == 0 && datagrams.size ? yd_datagrams_in_open(&pump->in, &udp, datagrams) : r;
}

static int start(struct yd_pump *yd_pump, void *opaque, void *element_state)
{
    struct pump *pump = opaque;
    struct state *state = element_state;
    const struct yd_args *args = yd_pump_args(yd_pump);
    pump->pump = yd_pump;
    pump->from = "";
    yd_table_init(&pump->senders, NULL, sizeof(struct sender), SENDERS_MAX);
    struct yd_tsdp_options options = {.sink = {pump, on_batch, on_reject, on_message, on_heartbeat},
                                      .metric = yd_args_text(args, "metric"),
                                      .seed = yd_loop_random(yd_pump_loop(yd_pump))};
    int r = yd_tsdp_create(&options, &pump->tsdp);
    if (r == 0 && state->rejects_wired) r = yd_rejects_create(yd_pump_element(yd_pump), &pump->rejects);
    r = r < 0 ? yd_pump_fail(yd_pump, r, "out of memory") : listen_both(pump, args, &state->spread);
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
    yd_datagrams_in_finish(&pump->in);
    if (yd_streams_in_part(&pump->streams, stopped)) stopped(pump);
}

static void pause_(void *opaque, bool paused)
{
    struct pump *pump = opaque;
    yd_datagrams_in_pause(&pump->in, paused);
    yd_streams_in_pause(&pump->streams, paused);
}

static const struct yd_pump_class pump_class = {
    .state_size = sizeof(struct pump), .start = start, .stop = stop, .pause = pause_, .spread = yd_spread_wanted};

const struct yd_element_class yd_class_tsdp = {
    .abi = YD_ELEMENT_ABI,
    .flags = YD_CLASS_SOURCE,
    .name = "Tsdp",
    .summary = "takes TSDP submissions over TCP and UDP, and tells by heartbeats what was lost",
    .doc = "SAMPLE, TALLY, DELTA, STATE, EVENT and FACT of TSDP become records of those kinds; a SAMPLE of several "
           "numbers\n"
           "several records. Names are `metric key=value,key=value`; a key alone has the value `true`.\n\n"
           "- What a sender (address and port) says by HEARTBEAT that it has sent, and what came, are compared: the\n"
           "  difference is counted as dropped, and said.\n"
           "- A message that is none is counted by its reason and changes nothing. BROADCAST, FORGET, REPLAY and "
           "SUBSCRIBE\n"
           "  are not served here.\n"
           "- A STATE's interval is not kept: freshness is what a State element is told.\n",
    .example = "tsdp :: Tsdp(listen: \"127.0.0.1:2999\", udp: \"127.0.0.1:2999\") -> bolo :: Log(stream: \"bolo\")\n",
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
