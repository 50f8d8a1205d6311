/* Udp: datagrams become PACKET records, each stamped with the time at which the kernel received it.
 *
 *   socket --recvmmsg, 64 at a time--> filter by source and size --> one batch a turn of the loop --> output
 *      \--what the kernel had no room for--> counted by its own counter: with the datagrams, and each second without
 *
 * A multicast address is joined. What can fail: the kernel gives less room than asked for (said), drops what is not
 * read in time (counted, said), and when the element stops what the kernel still has is read first, so everything that
 * arrived is a record or counted. */
#include <netinet/in.h>
#include <stdio.h>

#include "elements/classes.h"
#include "elements/own_name.h"
#include "elements/packets.h"
#include "elements/sources.h"
#include "io/loop.h"

#define LOOK_EVERY (1 * YD_NS_PER_S)
#define SAY_EVERY  (10 * YD_NS_PER_S)

enum { OUTPUT };
enum { REASON_KERNEL, REASON_SOURCE, REASON_SHORT, REASON_LONG, REASON_MEMORY };

struct state {
    struct yd_element *element;
};

struct limits {
    size_t least, most;
};

struct pump {
    struct yd_pump *pump;
    struct yd_datagrams *datagrams;
    struct yd_timer *timer;
    struct yd_packets packets;
    struct yd_sources sources;
    struct limits limits;
    uint64_t drops, drops_said;
    int64_t said_ns;
};

static const char *const reasons[] = {[REASON_KERNEL] = "dropped by the kernel: not read in time",
                                      [REASON_SOURCE] = "source not allowed",
                                      [REASON_SHORT] = "smaller than min_size",
                                      [REASON_LONG] = "larger than max_size",
                                      [REASON_MEMORY] = "out of memory",
                                      NULL};

static const struct yd_port_class ports[] = {{.name = "output",
                                              .direction = YD_OUT,
                                              .mode = YD_PUSH,
                                              .kinds = YD_KIND_BIT(YD_PACKET),
                                              .doc = "A PACKET for each datagram: its bytes, and when it came."},
                                             {0}};

static const struct yd_param_class params[] = {
    {.name = "listen",
     .type = YD_PARAM_TEXT,
     .flags = YD_PARAM_REQUIRED | YD_PARAM_LISTENS_DATAGRAM,
     .doc = "UDP address, or `unix:/path`. A multicast group (`239.1.2.3:5000`, `[ff15::7]:5000`) is joined."},
    {.name = "interface",
     .type = YD_PARAM_TEXT,
     .initial = "\"\"",
     .doc = "Where a group is joined: `eth0`; `\"\"`: where the kernel routes it."},
    {.name = "name", .type = YD_PARAM_TEXT, .initial = "\"packet\"", .doc = "The name of the records."},
    {.name = "sources",
     .type = YD_PARAM_LIST,
     .initial = "[]",
     .doc = "Who may send: addresses and networks, `[\"10.0.0.7\", \"fd00::/8\"]`; none: everybody."},
    {.name = "min_size", .type = YD_PARAM_SIZE, .initial = "1B", .max = 65535, .doc = "Smaller ones are rejected."},
    {.name = "max_size", .type = YD_PARAM_SIZE, .initial = "65535B", .max = 65535, .doc = "Larger ones are rejected."},
    {.name = "receive_buffer",
     .type = YD_PARAM_SIZE,
     .initial = "8MiB",
     .min = 4096,
     .max = 1 << 30,
     .doc = "What the kernel is asked to keep until it is read; without privileges it gives at most "
            "`net.core.rmem_max`."},
    {0}};

static struct yd_str listen_of(const struct yd_args *args)
{
    return yd_args_text(args, "listen");
}

static int check(const struct yd_args *args, char *why, size_t why_size)
{
    struct yd_trail trail = {0};
    struct yd_address at;
    struct yd_sources sources;
    const char *wrong = NULL;
    if (yd_address_parse(listen_of(args), &at, &trail) < 0) {
        snprintf(why, why_size, "listen: %s", yd_trail_text(&trail));
        return YD_EINVAL;
    }
    if (yd_args_text(args, "interface").size && !yd_address_multicast(&at))
        wrong = "interface: only a multicast group is joined at an interface, and listen is none";
    else if (yd_args_int(args, "min_size") > yd_args_int(args, "max_size"))
        wrong = "min_size is above max_size";
    if (wrong) {
        snprintf(why, why_size, "%s", wrong);
        return YD_EINVAL;
    }
    int r = yd_sources_parse(yd_args_find(args, "sources"), &sources, why, why_size);
    return r < 0 ? r : yd_own_name_check(args, "name", why, why_size);
}

static struct limits limits_of(const struct yd_args *args)
{
    return (struct limits){(size_t)yd_args_int(args, "min_size"), (size_t)yd_args_int(args, "max_size")};
}

/* < 0: it is good. */
static int why_not(const struct limits *limits, size_t size)
{
    if (size < limits->least) return REASON_SHORT;
    return size > limits->most ? REASON_LONG : -1;
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

static void fed_batch(void *out, struct yd_batch *batch)
{
    (void)yd_emit(out, OUTPUT, batch);
}

static void fed_lost(void *out, uint32_t count)
{
    yd_count_dropped(out, REASON_MEMORY, count);
}

/* One datagram. */
static int feed(void *opaque, struct yd_str bytes, struct yd_out *out, int64_t wall_ns)
{
    const struct yd_args *args = yd_element_args(((struct state *)opaque)->element);
    struct limits limits = limits_of(args);
    struct yd_packets packets;
    int reason = why_not(&limits, bytes.size);
    if (reason >= 0) {
        yd_count_rejected(out, (unsigned)reason, 1, bytes);
        return 0;
    }
    int r = yd_packets_open(&packets, yd_args_text(args, "name"), (struct yd_packets_sink){out, fed_batch, fed_lost});
    if (r < 0) return r;
    yd_packets_add(&packets, wall_ns, bytes);
    yd_packets_flush(&packets);
    yd_packets_close(&packets);
    return 0;
}

/* ---- the pump ---- */

static void on_batch(void *arg, struct yd_batch *batch)
{
    (void)yd_pump_emit(((struct pump *)arg)->pump, OUTPUT, batch); /* `pause` comes in any case */
}

static void on_lost(void *arg, uint32_t count)
{
    yd_pump_count_dropped(((struct pump *)arg)->pump, REASON_MEMORY, count);
}

static void count_drops(struct pump *pump, uint64_t drops)
{
    if (drops <= pump->drops) return;
    yd_pump_count_dropped(pump->pump, REASON_KERNEL, drops - pump->drops);
    pump->drops = drops;
}

static void reject(struct pump *pump, unsigned reason, const struct yd_datagram *datagram)
{
    char peer[64];
    size_t size = yd_address_put(&datagram->from, peer, sizeof peer);
    yd_pump_count_rejected(pump->pump, reason, 1, datagram->bytes, (struct yd_str){peer, size});
}

static void received(void *arg, const struct yd_datagram *datagrams, size_t count, uint64_t drops)
{
    struct pump *pump = arg;
    for (size_t i = 0; i < count; i++) {
        const struct yd_datagram *datagram = &datagrams[i];
        int reason = why_not(&pump->limits, datagram->bytes.size);
        if (!yd_sources_allow(&pump->sources, &datagram->from)) reason = REASON_SOURCE;
        if (reason >= 0)
            reject(pump, (unsigned)reason, datagram);
        else
            yd_packets_add(&pump->packets, datagram->time_ns, datagram->bytes);
    }
    count_drops(pump, drops);
}

static void turn_ends(void *arg)
{
    yd_packets_flush(&((struct pump *)arg)->packets);
}

static void look(void *arg)
{
    struct pump *pump = arg;
    int64_t now = yd_pump_mono(pump->pump);
    count_drops(pump, yd_datagrams_drops(pump->datagrams));
    if (pump->drops > pump->drops_said && now - pump->said_ns >= SAY_EVERY) {
        yd_pump_say(pump->pump, 1,
                    "%llu datagrams were dropped by the kernel since this was last said: what is behind is too slow, "
                    "or receive_buffer too small",
                    (unsigned long long)(pump->drops - pump->drops_said));
        pump->drops_said = pump->drops;
        pump->said_ns = now;
    }
    yd_timer_start(pump->timer, now + LOOK_EVERY);
}

static void free_all(struct pump *pump)
{
    yd_datagrams_close(pump->datagrams);
    yd_timer_close(pump->timer);
    yd_packets_close(&pump->packets);
    pump->datagrams = NULL;
    pump->timer = NULL;
}

static int open_socket(struct pump *pump, const struct yd_args *args, struct yd_trail *trail)
{
    static const struct yd_datagrams_ops ops = {received, turn_ends};
    struct yd_loop *loop = yd_pump_loop(pump->pump);
    struct yd_str interface = yd_args_text(args, "interface");
    struct yd_datagrams_options options = {.receive_buffer = (size_t)yd_args_int(args, "receive_buffer"),
                                           .interface = interface.size ? interface.data : NULL};
    struct yd_address at;
    char text[128];
    int r = yd_address_parse(listen_of(args), &at, trail);
    if (r == 0) r = yd_datagrams_open_with(loop, &at, &options, &ops, pump, &pump->datagrams, trail);
    if (r < 0) return r;
    yd_datagrams_address(pump->datagrams, &at);
    (void)yd_address_put(&at, text, sizeof text);
    yd_pump_listens(pump->pump, "packets (UDP)", text);
    size_t given = yd_datagrams_buffer(pump->datagrams);
    if (given < options.receive_buffer)
        yd_pump_say(pump->pump, 1, "the kernel keeps %zu bytes, not the %zu of receive_buffer: raise net.core.rmem_max",
                    given, options.receive_buffer);
    return 0;
}

static int start(struct yd_pump *yd_pump, void *opaque, void *element_state)
{
    struct pump *pump = opaque;
    const struct yd_args *args = yd_pump_args(yd_pump);
    struct yd_trail trail = {0};
    char why[200];
    (void)element_state;
    pump->pump = yd_pump;
    pump->limits = limits_of(args);
    pump->said_ns = yd_pump_mono(yd_pump) - SAY_EVERY;
    struct yd_packets_sink sink = {pump, on_batch, on_lost};
    int r = yd_sources_parse(yd_args_find(args, "sources"), &pump->sources, why, sizeof why);
    if (r == 0) r = yd_packets_open(&pump->packets, yd_args_text(args, "name"), sink);
    if (r == 0) r = yd_timer_create(yd_pump_loop(yd_pump), look, pump, &pump->timer);
    if (r == 0) r = open_socket(pump, args, &trail);
    if (r < 0) {
        free_all(pump);
        return yd_pump_fail(yd_pump, r, "%s", trail.size ? yd_trail_text(&trail) : yd_error_text(r));
    }
    yd_timer_start(pump->timer, yd_pump_mono(yd_pump) + LOOK_EVERY);
    return 0;
}

static void stop(void *opaque)
{
    struct pump *pump = opaque;
    if (pump->datagrams) {
        yd_datagrams_finish(pump->datagrams);
        count_drops(pump, yd_datagrams_drops(pump->datagrams));
    }
    free_all(pump);
    yd_pump_stopped(pump->pump);
}

static void pause_(void *opaque, bool paused)
{
    struct pump *pump = opaque;
    if (pump->datagrams) yd_datagrams_pause(pump->datagrams, paused);
}

static const struct yd_pump_class pump_class = {
    .state_size = sizeof(struct pump), .start = start, .stop = stop, .pause = pause_};

const struct yd_element_class yd_class_udp = {
    .abi = YD_ELEMENT_ABI,
    .flags = YD_CLASS_SOURCE,
    .name = "Udp",
    .summary = "takes datagrams, unicast or multicast, as raw packets",
    .doc =
        "Each datagram is a PACKET: its bytes as they came, stamped with the time at which the kernel received it.\n"
        "\n"
        "- What the kernel had to drop for want of room is counted by its own counter, also when nothing comes after "
        "it.\n"
        "- Datagrams of other sources than `sources`, smaller than `min_size` or larger than `max_size` are rejected\n"
        "  and counted.\n"
        "- Wire it to its Log with `full: drop_old` or `full: spill_drop`: then a Log that is slow or cannot write\n"
        "  stops nobody, and what it missed is counted.\n",
    .example = "rocket :: Udp(listen: \"127.0.0.1:5000\", name: \"rocket\")\n"
               "rocket -[full: drop_old]-> raw :: Log(stream: \"raw\")\n",
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
