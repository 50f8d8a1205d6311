/* elements/packets.h: raw packets become PACKET records: what Udp, Tcp, Serial and Pcap share.
 *
 *   bytes, time --add--> builder --full, or flush--> sink.batch
 *                           \--no memory--> sink.lost: how many, for the caller to count
 *
 * One name for all, a record a packet, its bytes as they came. Nothing is taken from the heap for a packet, only for a
 * batch. One thread. */
#ifndef ELEMENTS_PACKETS_H
#define ELEMENTS_PACKETS_H

#include <yarder/batch.h>

#define YD_PACKET_SIZE_MAX (UINT32_C(1) << 20) /* of one; more is lost */

struct yd_packets_sink {
    void *arg;
    void (*batch)(void *arg, struct yd_batch *batch);
    void (*lost)(void *arg, uint32_t packets);
};
struct yd_packets {
    struct yd_packets_sink sink;
    struct yd_str name; /* the caller's: canonical */
    struct yd_builder *builder;
};
int yd_packets_open(struct yd_packets *packets, struct yd_str name, struct yd_packets_sink sink);
void yd_packets_close(struct yd_packets *packets); /* what is not flushed is forgotten; not open: quiet */
void yd_packets_add(struct yd_packets *packets, int64_t time_ns, struct yd_str bytes);
void yd_packets_flush(struct yd_packets *packets); /* not open: quiet */

#endif
