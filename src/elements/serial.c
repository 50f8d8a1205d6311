/* Serial: packets out of what a serial device says, framed as streams are.
 *
 *   device --raw, read when there is something--> framed_in.h --> batch at the end of each read --> output
 *      \--gone, or not there yet: looked for again after 100 ms, twice as long each time, up to `retry_max`
 *
 * What can fail: the device goes (said; what was begun is cut short, counted), is none (the element does not start), or
 * its driver loses characters, which is counted as far as the driver counts. A simulated run has no devices: there the
 * element is silent. */
#include <stdio.h>

#include "elements/classes.h"
#include "elements/framed_in.h"
#include "io/loop.h"
#include "io/serial.h"

#define RETRY_MIN  (100 * YD_NS_PER_MS)
#define LOOK_EVERY (1 * YD_NS_PER_S)
#define ROOM       ((size_t)16 << 10)

enum { OUTPUT };
enum { REASON_DRIVER = YD_FRAMING_REASON_COUNT };

struct state {
    struct yd_element *element;
};

struct pump {
    struct yd_pump *pump;
    struct yd_framed_in framed;
    struct yd_framing *framing;
    struct yd_serial_options options;
    const char *device;
    int fd; /* < 0: not there now */
    struct yd_watch *watch;
    struct yd_timer *timer;
    int64_t retry_ns, retry_max;
    uint64_t lost; /* as its driver has counted */
    char *room;
    bool paused, said;
};

static const char *const reasons[] = {
    YD_FRAMED_REASONS[REASON_DRIVER] = "characters lost by the driver: overrun, parity, framing", NULL};

static const struct yd_port_class ports[] = {{.name = "output",
                                              .direction = YD_OUT,
                                              .mode = YD_PUSH,
                                              .kinds = YD_KIND_BIT(YD_PACKET),
                                              .doc = "A PACKET for each frame: its bytes, and when its last one came."},
                                             {0}};

static const char *const parities[] = {
    [YD_PARITY_NONE] = "none", [YD_PARITY_EVEN] = "even", [YD_PARITY_ODD] = "odd", NULL};
static const struct yd_param_class params[] = {
    {.name = "device",
     .type = YD_PARAM_TEXT,
     .flags = YD_PARAM_REQUIRED,
     .doc = "The device: `/dev/ttyUSB0`. It need not be there yet."},
    {.name = "baud", .type = YD_PARAM_INT, .initial = "115200", .min = 300, .max = 4000000, .doc = "Bits a second."},
    {.name = "parity", .type = YD_PARAM_TEXT, .initial = "\"none\"", .oneof = parities, .doc = "The parity bit."},
    {.name = "stop_bits", .type = YD_PARAM_INT, .initial = "1", .min = 1, .max = 2, .doc = "Stop bits."},
    {.name = "hardware_flow", .type = YD_PARAM_BOOL, .initial = "false", .doc = "Whether RTS and CTS are used."},
    {.name = "name", .type = YD_PARAM_TEXT, .initial = "\"packet\"", .doc = "The name of the records."},
    YD_FRAMING_PARAMS,
    {.name = "retry_max",
     .type = YD_PARAM_DURATION,
     .initial = "5s",
     .min = 1e8,
     .max = 3.6e12,
     .doc = "The longest pause before a device that is not there is looked for again."},
    {0}};

static int check(const struct yd_args *args, char *why, size_t why_size)
{
    if (!yd_serial_knows_baud((uint32_t)yd_args_int(args, "baud"))) {
        snprintf(why, why_size, "baud: one of the usual rates: 9600, 57600, 115200, 921600, …");
        return YD_EINVAL;
    }
    return yd_framed_in_check(args, why, why_size);
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

/* ---- the device ---- */

static void begin_read(struct pump *pump)
{
    pump->framed.from = pump->device;
    pump->framed.time_ns = yd_pump_wall(pump->pump);
}

static void count_lost(struct pump *pump)
{
    uint64_t lost = yd_serial_lost(pump->fd);
    if (lost > pump->lost) yd_pump_count_dropped(pump->pump, REASON_DRIVER, lost - pump->lost);
    pump->lost = lost;
}

static void stop_watching(struct pump *pump)
{
    yd_watch_close(pump->watch);
    pump->watch = NULL;
}

static void leave_device(struct pump *pump)
{
    if (pump->fd < 0) return;
    stop_watching(pump);
    count_lost(pump);
    yd_serial_close(pump->fd);
    pump->fd = -1;
    begin_read(pump);
    yd_framing_end(pump->framing, false); /* a line without its end was cut, not finished */
    yd_packets_flush(&pump->framed.packets);
}

static void try_later(struct pump *pump, const char *why)
{
    if (!pump->said) yd_pump_say(pump->pump, 1, "%s; it is looked for again and again", why);
    pump->said = true;
    yd_timer_start(pump->timer, yd_pump_mono(pump->pump) + pump->retry_ns);
    pump->retry_ns = YD_MIN(pump->retry_ns * 2, pump->retry_max);
}

static void ready(void *arg)
{
    struct pump *pump = arg;
    size_t size;
    int r = yd_serial_read(pump->fd, pump->room, ROOM, &size);
    if (r == YD_EAGAIN) return;
    if (r == 0) {
        begin_read(pump);
        (void)yd_framing_take(pump->framing,
                              (struct yd_str){pump->room, size}); /* it slides: nothing is lost for good */
        yd_packets_flush(&pump->framed.packets);
        return;
    }
    char why[300];
    snprintf(why, sizeof why, "%s has gone: %s", pump->device, yd_error_text(r));
    leave_device(pump);
    try_later(pump, why);
}

static int watch(struct pump *pump)
{
    if (pump->watch || pump->paused) return 0;
    return yd_watch_open(yd_pump_loop(pump->pump), pump->fd, ready, pump, &pump->watch);
}

static int find_device(struct pump *pump, struct yd_trail *trail)
{
    int r = yd_serial_open(pump->device, &pump->options, &pump->fd, trail);
    if (r < 0) {
        pump->fd = -1;
        return r;
    }
    pump->lost = yd_serial_lost(pump->fd); /* those of others before us */
    r = watch(pump);
    if (r < 0) {
        leave_device(pump);
        return yd_trail_add(trail, r, "%s: %s", pump->device, yd_error_text(r));
    }
    if (pump->said) yd_pump_say(pump->pump, 0, "%s: is there", pump->device);
    pump->said = false;
    pump->retry_ns = RETRY_MIN;
    yd_timer_start(pump->timer, yd_pump_mono(pump->pump) + LOOK_EVERY);
    return 0;
}

static void look(void *arg)
{
    struct pump *pump = arg;
    struct yd_trail trail = {0};
    if (pump->fd >= 0) {
        count_lost(pump);
        yd_timer_start(pump->timer, yd_pump_mono(pump->pump) + LOOK_EVERY);
    } else if (find_device(pump, &trail) < 0) {
        try_later(pump, yd_trail_text(&trail));
    }
}

/* ---- life of the pump ---- */

static void free_all(struct pump *pump)
{
    leave_device(pump);
    yd_timer_close(pump->timer);
    yd_framing_destroy(pump->framing);
    yd_framed_in_close(&pump->framed);
    yd_alloc_put(NULL, pump->room, ROOM);
    pump->timer = NULL;
    pump->framing = NULL;
    pump->room = NULL;
}

static struct yd_serial_options options_of(const struct yd_args *args)
{
    struct yd_serial_options options = {.baud = (uint32_t)yd_args_int(args, "baud"),
                                        .two_stop_bits = yd_args_int(args, "stop_bits") == 2,
                                        .hardware_flow = yd_args_bool(args, "hardware_flow")};
    while (!yd_str_eq(yd_args_text(args, "parity"), yd_str_of(parities[options.parity]))) options.parity++;
    return options;
}

static int start(struct yd_pump *yd_pump, void *opaque, void *element_state)
{
    struct pump *pump = opaque;
    const struct yd_args *args = yd_pump_args(yd_pump);
    struct yd_trail trail = {0};
    pump->pump = pump->framed.pump = yd_pump;
    pump->framed.port = OUTPUT;
    pump->fd = -1;
    pump->device = yd_args_text(args, "device").data;
    pump->options = options_of(args);
    pump->retry_ns = RETRY_MIN;
    pump->retry_max = yd_args_int(args, "retry_max");
    int r = yd_framed_in_open(&pump->framed, args, true);
    if (r == 0) r = yd_framed_in_begin(&pump->framed, &pump->framing);
    if (r == 0 && !(pump->room = yd_alloc_get(NULL, ROOM))) r = YD_ENOMEM;
    if (r == 0) r = yd_timer_create(yd_pump_loop(yd_pump), look, pump, &pump->timer);
    if (r < 0) {
        free_all(pump);
        return yd_pump_fail(yd_pump, r, "%s", yd_error_text(r));
    }
    if (yd_element_simulated(((struct state *)element_state)->element)) return 0;
    r = find_device(pump, &trail);
    if (r == YD_EINVAL) { /* what is there is none: nobody should wait for it to become one */
        free_all(pump);
        return yd_pump_fail(yd_pump, r, "%s", yd_trail_text(&trail));
    }
    if (r < 0) try_later(pump, yd_trail_text(&trail));
    return 0;
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
    if (pump->fd < 0) return;
    if (paused) {
        stop_watching(pump);
    } else if (watch(pump) < 0) { /* no memory: from the beginning, a little later */
        leave_device(pump);
        try_later(pump, "out of memory");
    }
}

static const struct yd_pump_class pump_class = {
    .state_size = sizeof(struct pump), .start = start, .stop = stop, .pause = pause_};

const struct yd_element_class yd_class_serial = {
    .abi = YD_ELEMENT_ABI,
    .flags = YD_CLASS_SOURCE,
    .name = "Serial",
    .summary = "takes packets from a serial device, framed as those of Tcp",
    .doc = "The device is read raw, eight bits. `framing` and what goes with it: as of Tcp.\n\n"
           "- A device that goes away, or is not there yet, is looked for again.\n"
           "- A frame that makes no sense is counted by reason, and the next one is found again, byte by byte where "
           "there is\n"
           "  no sync word.\n"
           "- Characters that the driver lost are counted as far as it counts them itself.\n",
    .example = "radio :: Serial(device: \"/dev/ttyUSB0\", baud: 57600, framing: \"mavlink\", name: \"radio\")\n"
               "radio -[full: drop_old]-> raw :: Log(stream: \"raw\")\n",
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
