/* Streams of bytes to packets: see framed_in.h. */
#include "elements/framed_in.h"

#include "elements/own_name.h"

static void on_batch(void *arg, struct yd_batch *batch)
{
    struct yd_framed_in *in = arg;
    if (in->pump)
        (void)yd_pump_emit(in->pump, in->port, batch); /* `pause` comes in any case */
    else
        (void)yd_emit(in->out, in->port, batch);
}

static void reject(struct yd_framed_in *in, enum yd_framing_reason reason, uint64_t records, struct yd_str sample)
{
    if (in->pump)
        yd_pump_count_rejected(in->pump, reason, records, sample, yd_str_of(in->from));
    else
        yd_count_rejected(in->out, reason, records, sample);
}

static void on_lost(void *arg, uint32_t packets)
{
    reject(arg, YD_UNFRAMED_MEMORY, packets, YD_STR(""));
}

static void on_frame(void *arg, struct yd_str frame)
{
    struct yd_framed_in *in = arg;
    yd_packets_add(&in->packets, in->time_ns, frame);
}

static void on_bad(void *arg, enum yd_framing_reason reason, struct yd_str bytes)
{
    reject(arg, reason, 1, bytes);
}

static void on_skipped(void *arg, struct yd_str bytes)
{
    reject(arg, YD_UNFRAMED_SKIPPED, bytes.size, bytes);
}

int yd_framed_in_check(const struct yd_args *args, char *why, size_t why_size)
{
    struct yd_framing_options options;
    int r = yd_framing_options_from(args, &options, why, why_size);
    return r < 0 ? r : yd_own_name_check(args, "name", why, why_size);
}

int yd_framed_in_open(struct yd_framed_in *in, const struct yd_args *args, bool slides)
{
    char why[200];
    in->from = "";
    int r = yd_framing_options_from(args, &in->framing, why, sizeof why);
    in->framing.slides = slides;
    if (r < 0) return r;
    return yd_packets_open(&in->packets, yd_args_text(args, "name"), (struct yd_packets_sink){in, on_batch, on_lost});
}

void yd_framed_in_close(struct yd_framed_in *in)
{
    yd_packets_close(&in->packets);
}

int yd_framed_in_begin(struct yd_framed_in *in, struct yd_framing **ret)
{
    return yd_framing_create(&in->framing, (struct yd_framing_sink){in, on_frame, on_bad, on_skipped}, ret);
}

int yd_framed_in_feed(const struct yd_args *args, unsigned port, struct yd_str bytes, struct yd_out *out,
                      int64_t wall_ns)
{
    struct yd_framed_in in = {.out = out, .port = port, .time_ns = wall_ns};
    struct yd_framing *framing = NULL;
    int r = yd_framed_in_open(&in, args, true);
    if (r == 0) r = yd_framed_in_begin(&in, &framing);
    if (r == 0) {
        (void)yd_framing_take(framing, bytes); /* it slides, so nothing is lost */
        yd_framing_end(framing, true);
        yd_packets_flush(&in.packets);
    }
    yd_framing_destroy(framing);
    yd_framed_in_close(&in);
    return r;
}
