/* Packets to batches: see packets.h. */
#include "elements/packets.h"

int yd_packets_open(struct yd_packets *packets, struct yd_str name, struct yd_packets_sink sink)
{
    /* Room for the largest packet, or for some thousands of usual ones. */
    struct yd_builder_options options = {.size_max = YD_PACKET_SIZE_MAX + (64u << 10)};
    *packets = (struct yd_packets){.name = name, .sink = sink};
    return yd_builder_create(&options, &packets->builder);
}

void yd_packets_close(struct yd_packets *packets)
{
    yd_builder_destroy(packets->builder);
    packets->builder = NULL;
}

static int add(struct yd_packets *packets, int64_t time_ns, struct yd_str bytes)
{
    uint32_t name;
    int r = yd_builder_name(packets->builder, packets->name, &name);
    return r < 0 ? r : yd_builder_add_bytes(packets->builder, time_ns, name, YD_PACKET, YD_BLOB, 0, bytes);
}

void yd_packets_add(struct yd_packets *packets, int64_t time_ns, struct yd_str bytes)
{
    int r = add(packets, time_ns, bytes);
    if (r == YD_EFULL) {
        yd_packets_flush(packets);
        r = add(packets, time_ns, bytes);
    }
    if (r < 0) packets->sink.lost(packets->sink.arg, 1);
}

void yd_packets_flush(struct yd_packets *packets)
{
    struct yd_batch *batch;
    uint32_t count = packets->builder ? yd_builder_count(packets->builder) : 0;
    if (count == 0) return;
    if (yd_builder_seal(packets->builder, &batch) == 0)
        packets->sink.batch(packets->sink.arg, batch);
    else
        packets->sink.lost(packets->sink.arg, count);
}
