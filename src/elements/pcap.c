/* Pcap: a capture replayed: the UDP datagrams in it become PACKET records, at its pace, faster, or at once.
 *
 *   file --read in blocks--> pcap_file.h --due?--> batch --> output; at the end: END
 *                                 \--other packets, fragments, cut ones: counted by reason
 *
 * A packet is due when as much time has passed since the first one as between the two in the capture, divided by
 * `speed`. What can fail: a file that is none or is damaged ends the replay there, said and counted; one that was cut
 * short is replayed as far as it goes. */
#include <stdio.h>

#include "base/alloc.h"
#include "elements/classes.h"
#include "elements/own_name.h"
#include "elements/packets.h"
#include "elements/pcap_file.h"
#include "io/file.h"

#define BLOCK_SIZE  (256u << 10)
#define TURN        4096 /* packets before the clock is looked at again by others */
#define SLEEP_LEAST (YD_NS_PER_MS / 2)

enum { OUTPUT };
enum {
    REASON_LINK = YD_PCAP_LINK,
    REASON_OTHER = YD_PCAP_OTHER,
    REASON_MALFORMED = YD_PCAP_MALFORMED,
    REASON_FRAGMENT = YD_PCAP_FRAGMENT,
    REASON_CUT = YD_PCAP_CUT,
    REASON_PORT,
    REASON_BLOCK,
    REASON_FILE,
    REASON_FILE_CUT,
    REASON_MEMORY
};

struct replay { /* what both the pump and a test's feed do */
    struct yd_pump *pump;
    struct yd_out *out; /* of a feed */
    struct yd_packets packets;
    struct yd_pcap pcap;
    uint16_t port; /* 0: all */
    bool original_times;
    double speed; /* 0: at once */
    int64_t begin_mono_ns, begin_ns;
    bool begun;
};

struct state {
    struct yd_element *element;
};

struct pump {
    struct replay replay;
    struct yd_file *file;
    const char *path;
    uint64_t offset;
    struct yd_buf rest; /* read and not replayed yet */
    bool at_end;
};

static const char *const reasons[] = {[REASON_LINK] = "link type that is not read",
                                      [REASON_OTHER] = "not UDP over IP",
                                      [REASON_MALFORMED] = "malformed header",
                                      [REASON_FRAGMENT] = "fragment of an IP packet",
                                      [REASON_CUT] = "cut short by its capture",
                                      [REASON_PORT] = "to another port",
                                      [REASON_BLOCK] = "in a block without a time (pcapng)",
                                      [REASON_FILE] = "not a capture, or damaged from here on",
                                      [REASON_FILE_CUT] = "cut short: the file ended inside a packet",
                                      [REASON_MEMORY] = "out of memory",
                                      NULL};

static const struct yd_port_class ports[] = {{.name = "output",
                                              .direction = YD_OUT,
                                              .mode = YD_PUSH,
                                              .kinds = YD_KIND_BIT(YD_PACKET),
                                              .flags = YD_PORT_REQUIRED,
                                              .doc = "A PACKET for each datagram: its payload, and its time."},
                                             {0}};

static const char *const times_words[] = {"original", "now", NULL};
static const struct yd_param_class params[] = {
    {.name = "path", .type = YD_PARAM_TEXT, .flags = YD_PARAM_REQUIRED, .doc = "The capture: pcap or pcapng."},
    {.name = "speed",
     .type = YD_PARAM_FLOAT,
     .initial = "1.0",
     .max = 1e6,
     .doc = "1.0: as it was captured; 10.0: ten times as fast; 0.0: as fast as it is taken."},
    {.name = "port", .type = YD_PARAM_INT, .initial = "0", .max = 65535, .doc = "Only datagrams to it; 0: all."},
    {.name = "times",
     .type = YD_PARAM_TEXT,
     .initial = "\"original\"",
     .oneof = times_words,
     .doc = "The records' times: those of the capture, or when they are replayed."},
    {.name = "name", .type = YD_PARAM_TEXT, .initial = "\"packet\"", .doc = "The name of the records."},
    {0}};

static int check(const struct yd_args *args, char *why, size_t why_size)
{
    return yd_own_name_check(args, "name", why, why_size);
}

/* ---- the replay ---- */

static void count(struct replay *replay, unsigned reason, uint64_t records, struct yd_str sample)
{
    if (replay->pump)
        yd_pump_count_rejected(replay->pump, reason, records, sample, (struct yd_str){0});
    else
        yd_count_rejected(replay->out, reason, records, sample);
}

static void on_batch(void *arg, struct yd_batch *batch)
{
    struct replay *replay = arg;
    if (replay->pump)
        (void)yd_pump_emit(replay->pump, OUTPUT, batch); /* run is not called while there is enough */
    else
        (void)yd_emit(replay->out, OUTPUT, batch);
}

static void on_lost(void *arg, uint32_t packets)
{
    count(arg, REASON_MEMORY, packets, (struct yd_str){0});
}

static int begin(struct replay *replay, const struct yd_args *args)
{
    replay->port = (uint16_t)yd_args_int(args, "port");
    replay->original_times = yd_str_eq(yd_args_text(args, "times"), YD_STR("original"));
    replay->speed = yd_args_float(args, "speed");
    return yd_packets_open(&replay->packets, yd_args_text(args, "name"),
                           (struct yd_packets_sink){replay, on_batch, on_lost});
}

/* How long to wait for it; 0: now. */
static int64_t due_in(struct replay *replay, int64_t time_ns)
{
    if (!replay->pump || replay->speed == 0) return 0;
    int64_t now = yd_pump_mono(replay->pump);
    if (!replay->begun) {
        replay->begun = true;
        replay->begin_mono_ns = now;
        replay->begin_ns = time_ns;
    }
    double wait = ((double)time_ns - (double)replay->begin_ns) / replay->speed;
    wait -= (double)(now - replay->begin_mono_ns);
    return wait < (double)SLEEP_LEAST ? 0 : (int64_t)YD_MIN(wait, 3600e9);
}

static void replay_one(struct replay *replay, const struct yd_pcap_packet *packet, int64_t wall_ns)
{
    struct yd_pcap_udp udp;
    enum yd_pcap_reason reason;
    if (!yd_pcap_udp(packet, &udp, &reason))
        count(replay, reason, 1, packet->bytes);
    else if (replay->port && udp.to_port != replay->port)
        count(replay, REASON_PORT, 1, (struct yd_str){0});
    else
        yd_packets_add(&replay->packets, replay->original_times ? packet->time_ns : wall_ns, udp.payload);
}

/* Returns how many bytes are done with; *ret: 0 go on, > 0 sleep so long, YD_EAGAIN more bytes, YD_EFORMAT no more. */
static size_t replay_some(struct replay *replay, struct yd_str bytes, int64_t wall_ns, int64_t *ret)
{
    size_t at = 0, used;
    *ret = 0;
    for (unsigned i = 0; i < TURN; i++) {
        struct yd_pcap_packet packet;
        int r = yd_pcap_next(&replay->pcap, (struct yd_str){bytes.data + at, bytes.size - at}, &used, &packet);
        if (r == YD_EAGAIN || r == YD_EFORMAT) {
            *ret = r;
            break;
        }
        if (r == 1 && (*ret = due_in(replay, packet.time_ns)) > 0) break;
        if (r == 1) replay_one(replay, &packet, wall_ns);
        if (r == YD_ENOTSUP) count(replay, REASON_BLOCK, 1, (struct yd_str){0});
        at += used;
    }
    yd_packets_flush(&replay->packets);
    return at;
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

/* A whole capture, at once. */
static int feed(void *state, struct yd_str bytes, struct yd_out *out, int64_t wall_ns)
{
    struct replay *replay = yd_alloc_zero(NULL, sizeof *replay);
    if (!replay) return YD_ENOMEM;
    replay->out = out;
    int r = begin(replay, yd_element_args(((struct state *)state)->element));
    int64_t next = r;
    while (next == 0) {
        size_t used = replay_some(replay, bytes, wall_ns, &next);
        bytes = (struct yd_str){bytes.data + used, bytes.size - used};
    }
    if (next == YD_EFORMAT) count(replay, REASON_FILE, 1, bytes);
    if (next == YD_EAGAIN && bytes.size) count(replay, REASON_FILE_CUT, 1, bytes);
    yd_packets_close(&replay->packets);
    yd_alloc_put(NULL, replay, sizeof *replay);
    return r;
}

/* ---- the pump, on a file thread ---- */

static int start(struct yd_pump *yd_pump, void *opaque, void *element_state)
{
    struct pump *pump = opaque;
    const struct yd_args *args = yd_pump_args(yd_pump);
    (void)element_state;
    pump->replay.pump = yd_pump;
    pump->path = yd_args_text(args, "path").data;
    yd_buf_init(&pump->rest, NULL);
    int r = yd_fs_open(yd_pump_fs(yd_pump), pump->path, YD_OPEN_READ, &pump->file);
    if (r < 0) return yd_pump_fail(yd_pump, r, "cannot read %s: %s", pump->path, yd_error_text(r));
    r = begin(&pump->replay, args);
    if (r < 0) yd_file_close(pump->file);
    return r < 0 ? yd_pump_fail(yd_pump, r, "%s", yd_error_text(r)) : 0;
}

static void stop(void *opaque)
{
    struct pump *pump = opaque;
    yd_file_close(pump->file);
    yd_buf_fini(&pump->rest);
    yd_packets_close(&pump->replay.packets);
    yd_pump_stopped(pump->replay.pump);
}

static void finish(struct pump *pump, int error)
{
    struct yd_pump *yd_pump = pump->replay.pump;
    struct yd_str rest = yd_buf_view(&pump->rest);
    if (error == YD_EFORMAT) {
        count(&pump->replay, REASON_FILE, 1, rest);
        yd_pump_say(yd_pump, 2, "%s is no capture, or damaged at byte %llu: the replay ends there", pump->path,
                    (unsigned long long)(pump->offset - rest.size));
    } else if (error == YD_EEOF && rest.size) {
        count(&pump->replay, REASON_FILE_CUT, 1, rest);
        yd_pump_say(yd_pump, 1, "%s was cut short: it ends inside a packet", pump->path);
    } else if (error == YD_EEOF && !pump->replay.pcap.begun) {
        yd_pump_say(yd_pump, 1, "%s is empty: there is no capture in it", pump->path);
    } else if (error != YD_EEOF) {
        yd_pump_say(yd_pump, 2, "%s: %s; the replay ends here", pump->path, yd_error_text(error));
    }
    yd_buf_clear(&pump->rest);
    yd_pump_end(yd_pump);
}

static int read_more(struct pump *pump)
{
    size_t size = 0;
    char *to = yd_buf_reserve(&pump->rest, BLOCK_SIZE);
    int r = to ? yd_file_read(pump->file, to, BLOCK_SIZE, pump->offset, &size) : YD_ENOMEM;
    if (r == 0 && size == 0) r = YD_EEOF;
    if (r < 0) return r;
    pump->rest.size += size;
    pump->offset += size;
    return 0;
}

static void run(void *opaque)
{
    struct pump *pump = opaque;
    int64_t next;
    size_t used = replay_some(&pump->replay, yd_buf_view(&pump->rest), yd_pump_wall(pump->replay.pump), &next);
    yd_buf_consume(&pump->rest, used);
    if (next > 0) yd_pump_sleep(pump->replay.pump, next);
    int r = next == YD_EAGAIN ? read_more(pump) : next < 0 ? (int)next : 0;
    if (r < 0) finish(pump, r);
}

static const struct yd_pump_class pump_class = {
    .state_size = sizeof(struct pump), .files = true, .start = start, .stop = stop, .run = run};

const struct yd_element_class yd_class_pcap = {
    .abi = YD_ELEMENT_ABI,
    .flags = YD_CLASS_SOURCE,
    .name = "Pcap",
    .summary = "replays the UDP datagrams of a capture, at its pace or faster",
    .doc = "Classic pcap (microseconds and nanoseconds, both byte orders) and pcapng; link types Ethernet (with VLAN "
           "tags),\n"
           "raw IP, Linux cooked (SLL, SLL2) and loopback; IPv4 and IPv6. Says END at its end.\n\n"
           "- Fragments are not put together; they are counted, as is all that is not UDP, was cut short by its "
           "capture, or\n"
           "  went to another port.\n"
           "- A file that was cut short is replayed as far as it goes; a damaged one up to the damage.\n",
    .example = "again :: Pcap(path: \"flight.pcap\", speed: 10.0, port: 5000, name: \"rocket\")\n"
               "again -> raw :: Log(stream: \"raw\")\n",
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
