/* Datagrams that bring records: see datagrams_in.h. */
#include "elements/datagrams_in.h"

#define LOOK_EVERY YD_NS_PER_S

static void count_drops(struct yd_datagrams_in *in, uint64_t drops)
{
    if (drops <= in->kernel_drops) return;
    yd_pump_count_dropped(in->options.pump, in->options.reason_kernel, drops - in->kernel_drops);
    in->kernel_drops = drops;
}

static void received(void *arg, const struct yd_datagram *datagrams, size_t count, uint64_t kernel_drops)
{
    struct yd_datagrams_in *in = arg;
    const struct yd_datagrams_in_options *options = &in->options;
    for (size_t i = 0; i < count; i++) {
        (void)yd_address_put(&datagrams[i].from, in->from, sizeof in->from);
        options->datagram(options->arg, datagrams[i].bytes);
    }
    if (options->burst_ends) options->burst_ends(options->arg);
    yd_rejects_send(options->pump, options->rejects, options->rejects_port);
    count_drops(in, kernel_drops);
}

/* A burst whose end did not fit is told though nothing follows it. */
static void look(void *arg)
{
    struct yd_datagrams_in *in = arg;
    count_drops(in, yd_datagrams_drops(in->datagrams));
    yd_timer_start(in->look, yd_pump_mono(in->options.pump) + LOOK_EVERY);
}

static void tell_start(struct yd_datagrams_in *in)
{
    const struct yd_datagrams_in_options *options = &in->options;
    size_t granted = yd_datagrams_buffer(in->datagrams);
    char text[128], has[32], asked[32];
    struct yd_address at;
    yd_datagrams_address(in->datagrams, &at);
    (void)yd_address_put(&at, text, sizeof text);
    yd_pump_listens(options->pump, options->what, text);
    if (granted >= options->receive_buffer) return;
    has[yd_text_put_size(has, sizeof has - 1, granted)] = 0;
    asked[yd_text_put_size(asked, sizeof asked - 1, options->receive_buffer)] = 0;
    yd_pump_say(options->pump, 1,
                "the kernel grants a receive buffer of %s on %s, though %s were asked for: raise net.core.rmem_max",
                has, text, asked);
}

static int open_at(struct yd_datagrams_in *in, struct yd_str where, struct yd_trail *trail)
{
    static const struct yd_datagrams_ops ops = {.received = received};
    const struct yd_datagrams_in_options *options = &in->options;
    struct yd_loop *loop = yd_pump_loop(options->pump);
    struct yd_datagrams_options own = {.receive_buffer = options->receive_buffer};
    struct yd_address at;
    bool first = yd_pump_index(options->pump) == 0;
    int r = yd_address_parse(where, &at, trail);
    if (r < 0) return r;
    if (options->spread && yd_pump_count(options->pump) > 1 && at.storage.ss_family != AF_UNIX &&
        !yd_address_multicast(&at))
        own.share = first ? YD_DATAGRAMS_FIRST : YD_DATAGRAMS_JOIN;
    else if (!first)
        return 0; /* the first one's alone */
    if (own.share == YD_DATAGRAMS_JOIN) at = options->spread->datagrams_at;
    r = yd_datagrams_open_with(loop, &at, &own, &ops, in, &in->datagrams, trail);
    if (r < 0) return r;
    r = yd_timer_create(loop, look, in, &in->look);
    if (r < 0) return yd_trail_add(trail, r, "out of memory");
    if (own.share == YD_DATAGRAMS_FIRST) yd_datagrams_address(in->datagrams, &options->spread->datagrams_at);
    yd_timer_start(in->look, yd_pump_mono(options->pump) + LOOK_EVERY);
    if (first) tell_start(in);
    return 0;
}

int yd_datagrams_in_open(struct yd_datagrams_in *in, const struct yd_datagrams_in_options *options, struct yd_str where)
{
    struct yd_trail trail = {0};
    *in = (struct yd_datagrams_in){.options = *options};
    int r = open_at(in, where, &trail);
    if (r == 0) return 0;
    yd_datagrams_in_close(in);
    return yd_pump_fail(options->pump, r, "%s", yd_trail_text(&trail));
}

void yd_datagrams_in_finish(struct yd_datagrams_in *in)
{
    if (in->datagrams) yd_datagrams_finish(in->datagrams);
}

void yd_datagrams_in_close(struct yd_datagrams_in *in)
{
    if (in->datagrams) {
        count_drops(in, yd_datagrams_drops(in->datagrams));
        yd_datagrams_close(in->datagrams);
    }
    yd_timer_close(in->look);
    in->datagrams = NULL;
    in->look = NULL;
}

void yd_datagrams_in_pause(struct yd_datagrams_in *in, bool paused)
{
    if (in->datagrams) yd_datagrams_pause(in->datagrams, paused);
}
