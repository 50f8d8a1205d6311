/* Datagrams that bring records: see datagrams_in.h. */
#include "elements/datagrams_in.h"

void yd_reject(struct yd_pump *pump, struct yd_rejects *rejects, unsigned port, unsigned reason, const char *text,
               struct yd_str sample, struct yd_str peer)
{
    yd_pump_count_rejected(pump, reason, 1, sample, peer);
    if (!rejects) return;
    struct yd_batch *full = yd_rejects_add(rejects, yd_pump_wall(pump), text, peer, sample);
    if (full) (void)yd_pump_emit(pump, port, full); /* `pause` comes in any case */
}

void yd_rejects_send(struct yd_pump *pump, struct yd_rejects *rejects, unsigned port)
{
    struct yd_batch *batch = rejects ? yd_rejects_take(rejects) : NULL;
    if (batch) (void)yd_pump_emit(pump, port, batch);
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
    if (kernel_drops <= in->kernel_drops) return;
    yd_pump_count_dropped(options->pump, options->reason_kernel, kernel_drops - in->kernel_drops);
    in->kernel_drops = kernel_drops;
}

int yd_datagrams_in_open(struct yd_datagrams_in *in, const struct yd_datagrams_in_options *options, struct yd_str where)
{
    static const struct yd_datagrams_ops ops = {.received = received};
    struct yd_trail trail = {0};
    struct yd_address at;
    char text[128];
    *in = (struct yd_datagrams_in){.options = *options};
    int r = yd_address_parse(where, &at, &trail);
    if (r == 0) r = yd_datagrams_open(yd_pump_loop(options->pump), &at, &ops, in, &in->datagrams, &trail);
    if (r < 0) return yd_pump_fail(options->pump, r, "%s", yd_trail_text(&trail));
    yd_datagrams_address(in->datagrams, &at);
    (void)yd_address_put(&at, text, sizeof text);
    yd_pump_listens(options->pump, options->what, text);
    return 0;
}

void yd_datagrams_in_close(struct yd_datagrams_in *in)
{
    if (in->datagrams) yd_datagrams_close(in->datagrams);
    in->datagrams = NULL;
}

void yd_datagrams_in_pause(struct yd_datagrams_in *in, bool paused)
{
    if (in->datagrams) yd_datagrams_pause(in->datagrams, paused);
}
