/* Captures: whatever is in the file, reading it ends, stays inside, and a file that is longer tells the same first. */
#include "elements/pcap_file.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t read_all(struct yd_str bytes, uint64_t limit)
{
    struct yd_pcap *pcap = calloc(1, sizeof *pcap);
    const char *end = bytes.data + bytes.size;
    uint64_t packets = 0, size = bytes.size + 1; /* each step uses some */
    int r = 0;
    YD_ASSERT(pcap);
    for (uint64_t steps = 0; (r >= 0 || r == YD_ENOTSUP) && packets < limit; steps++) {
        struct yd_pcap_packet packet;
        struct yd_pcap_udp udp;
        enum yd_pcap_reason reason;
        size_t used = 0;
        YD_ASSERT(steps <= size);
        r = yd_pcap_next(pcap, bytes, &used, &packet);
        if (r < 0 && r != YD_ENOTSUP) break;
        YD_ASSERT(used <= bytes.size);
        packets += r == 1;
        if (r == 1 && yd_pcap_udp(&packet, &udp, &reason))
            YD_ASSERT(udp.payload.data >= bytes.data && udp.payload.data + udp.payload.size <= end);
        bytes = (struct yd_str){bytes.data + used, bytes.size - used};
    }
    free(pcap);
    return packets;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct yd_str bytes = {(const char *)data, size};
    uint64_t all = read_all(bytes, UINT64_MAX), some = read_all((struct yd_str){bytes.data, size / 2}, UINT64_MAX);
    YD_ASSERT(some <= all);
    return 0;
}
