/* elements/pcap_file.h: captures, and the datagrams in their packets. Pure: bytes in, packets out.
 *
 *   bytes --next--> packet: time, link type, bytes --udp--> addresses, ports, payload
 *
 * Classic pcap of both byte orders, in microseconds and nanoseconds; pcapng: its section, interface and enhanced packet
 * blocks; others are passed over, and those that hold packets in another way are named. */
#ifndef ELEMENTS_PCAP_FILE_H
#define ELEMENTS_PCAP_FILE_H

#include "base/base.h"

#define YD_PCAP_PACKET_MAX     (UINT32_C(256) << 10) /* of a captured packet, and of any pcapng block */
#define YD_PCAP_INTERFACES_MAX 256

struct yd_pcap_interface {
    uint16_t link;
    uint8_t resolution; /* as if_tsresol says: a power of ten, or with its high bit of two */
    int64_t offset_s;
};
struct yd_pcap { /* all zero at the beginning of a file */
    bool begun, is_ng, is_swapped;
    uint32_t interface_count;
    struct yd_pcap_interface interfaces[YD_PCAP_INTERFACES_MAX]; /* classic: one */
};
struct yd_pcap_packet {
    int64_t time_ns;
    uint16_t link;
    bool is_cut;         /* less was captured than there was */
    struct yd_str bytes; /* in what was given */
};
/* One step: *ret_used bytes are done with, and with 1 there is a packet in them, with 0 there is none. YD_EAGAIN: more
 * bytes are needed (at most YD_PCAP_PACKET_MAX and a little); YD_ENOTSUP: passed over, but it held a packet;
 * YD_EFORMAT: no capture, or damaged: nobody knows how to go on. */
int yd_pcap_next(struct yd_pcap *pcap, struct yd_str bytes, size_t *ret_used, struct yd_pcap_packet *ret);

enum yd_pcap_reason { YD_PCAP_LINK, YD_PCAP_OTHER, YD_PCAP_MALFORMED, YD_PCAP_FRAGMENT, YD_PCAP_CUT };
struct yd_pcap_udp {
    uint16_t from_port, to_port;
    struct yd_str payload;
};
/* 1: it is one. Else 0 and the reason. */
int yd_pcap_udp(const struct yd_pcap_packet *packet, struct yd_pcap_udp *ret, enum yd_pcap_reason *ret_reason);

#endif
