/* Captures: see pcap_file.h.
 *
 * Sources: draft-ietf-opsawg-pcap (classic: a header of 24 bytes, then 16 and the bytes of each packet),
 * draft-ietf-opsawg-pcapng (blocks: type, length, body, length again; a section's byte order is told by its magic), the
 * list of link types at tcpdump.org; IPv4: RFC 791; IPv6 and its extension headers: RFC 8200; UDP: RFC 768; VLAN tags:
 * IEEE 802.1Q. Sizes are what the headers say, within what is there: bytes behind a datagram (padding of Ethernet) are
 * not its own. */
#include "elements/pcap_file.h"

#define CLASSIC_HEADER 24
#define RECORD_HEADER  16
#define BLOCK_LEAST    12

enum { BLOCK_INTERFACE = 1, BLOCK_OBSOLETE = 2, BLOCK_SIMPLE = 3, BLOCK_ENHANCED = 6 };
#define BLOCK_SECTION UINT32_C(0x0a0d0d0a)
#define BYTE_ORDER_IS UINT32_C(0x1a2b3c4d)

enum {
    LINK_NULL = 0,
    LINK_ETHERNET = 1,
    LINK_RAW_BSD = 12,
    LINK_RAW_OPENBSD = 14,
    LINK_RAW = 101,
    LINK_LOOP = 108,
    LINK_SLL = 113,
    LINK_IPV4 = 228,
    LINK_IPV6 = 229,
    LINK_SLL2 = 276
};

static uint32_t u32(const struct yd_pcap *pcap, const char *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return pcap->is_swapped ? __builtin_bswap32(value) : value;
}

static uint16_t u16(const struct yd_pcap *pcap, const char *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return pcap->is_swapped ? __builtin_bswap16(value) : value;
}

/* ---- the file ---- */

static bool begin_classic(struct yd_pcap *pcap, struct yd_str bytes)
{
    static const uint32_t micro = 0xa1b2c3d4, nano = 0xa1b23c4d;
    uint32_t magic = u32(pcap, bytes.data);
    pcap->is_swapped = magic == __builtin_bswap32(micro) || magic == __builtin_bswap32(nano);
    if (pcap->is_swapped) magic = __builtin_bswap32(magic);
    if (magic != micro && magic != nano) return false;
    pcap->interfaces[0] =
        (struct yd_pcap_interface){.link = (uint16_t)u32(pcap, bytes.data + 20), .resolution = magic == nano ? 9 : 6};
    pcap->interface_count = 1;
    return true;
}

static int next_classic(struct yd_pcap *pcap, struct yd_str bytes, size_t *ret_used, struct yd_pcap_packet *ret)
{
    if (bytes.size < RECORD_HEADER) return YD_EAGAIN;
    bool nano = pcap->interfaces[0].resolution == 9;
    uint32_t seconds = u32(pcap, bytes.data), fraction = u32(pcap, bytes.data + 4), size = u32(pcap, bytes.data + 8);
    if (size > YD_PCAP_PACKET_MAX || fraction >= (nano ? 1000000000u : 1000000u)) return YD_EFORMAT;
    if (bytes.size < RECORD_HEADER + (size_t)size) return YD_EAGAIN;
    *ret = (struct yd_pcap_packet){.time_ns = seconds * YD_NS_PER_S + (int64_t)fraction * (nano ? 1 : 1000),
                                   .link = pcap->interfaces[0].link,
                                   .is_cut = u32(pcap, bytes.data + 12) > size,
                                   .bytes = {bytes.data + RECORD_HEADER, size}};
    *ret_used = RECORD_HEADER + (size_t)size;
    return 1;
}

static void read_options(const struct yd_pcap *pcap, struct yd_str options, struct yd_pcap_interface *to)
{
    while (options.size >= 4) {
        uint16_t code = u16(pcap, options.data), size = u16(pcap, options.data + 2);
        size_t padded = 4 + YD_ALIGN_UP((size_t)size, 4);
        if (code == 0 || padded > options.size) return;
        const char *value = options.data + 4;
        if (code == 9 && size == 1) to->resolution = (uint8_t)*value;
        if (code == 14 && size == 8) {
            uint32_t low = u32(pcap, value + (pcap->is_swapped ? 4 : 0)),
                     high = u32(pcap, value + (pcap->is_swapped ? 0 : 4));
            to->offset_s = (int64_t)((uint64_t)high << 32 | low);
        }
        options.data += padded;
        options.size -= padded;
    }
}

static int add_interface(struct yd_pcap *pcap, struct yd_str body)
{
    if (body.size < 8 || pcap->interface_count == YD_PCAP_INTERFACES_MAX) return YD_EFORMAT;
    struct yd_pcap_interface *interface = &pcap->interfaces[pcap->interface_count++];
    *interface = (struct yd_pcap_interface){.link = u16(pcap, body.data), .resolution = 6};
    read_options(pcap, (struct yd_str){body.data + 8, body.size - 8}, interface);
    return 0;
}

/* false: it does not fit. */
static bool time_of(const struct yd_pcap_interface *interface, uint64_t ticks, int64_t *ret_ns)
{
    unsigned __int128 ns = ticks;
    unsigned power = interface->resolution & 0x7f;
    if (interface->resolution & 0x80) {
        if (power > 63) return false;
        ns = ns * (uint64_t)YD_NS_PER_S >> power;
    } else {
        for (; power < 9; power++) ns *= 10;
        for (; power > 9; power--) ns /= 10;
    }
    if (ns > INT64_MAX / 2 || interface->offset_s > INT64_MAX / 4 / YD_NS_PER_S ||
        interface->offset_s < -(INT64_MAX / 4 / YD_NS_PER_S))
        return false;
    *ret_ns = (int64_t)ns + interface->offset_s * YD_NS_PER_S;
    return true;
}

static int read_packet(const struct yd_pcap *pcap, struct yd_str body, struct yd_pcap_packet *ret)
{
    if (body.size < 20) return YD_EFORMAT;
    uint32_t interface = u32(pcap, body.data), size = u32(pcap, body.data + 12);
    uint64_t ticks = (uint64_t)u32(pcap, body.data + 4) << 32 | u32(pcap, body.data + 8);
    if (interface >= pcap->interface_count || size > body.size - 20) return YD_EFORMAT;
    *ret = (struct yd_pcap_packet){.link = pcap->interfaces[interface].link,
                                   .is_cut = u32(pcap, body.data + 16) > size,
                                   .bytes = {body.data + 20, size}};
    return time_of(&pcap->interfaces[interface], ticks, &ret->time_ns) ? 1 : YD_EFORMAT;
}

static int next_block(struct yd_pcap *pcap, struct yd_str bytes, size_t *ret_used, struct yd_pcap_packet *ret)
{
    if (bytes.size < BLOCK_LEAST) return YD_EAGAIN;
    uint32_t type = u32(pcap, bytes.data);
    if (type == BLOCK_SECTION) { /* it reads the same in both orders */
        pcap->is_swapped = false;
        pcap->is_swapped = u32(pcap, bytes.data + 8) == __builtin_bswap32(BYTE_ORDER_IS);
        if (u32(pcap, bytes.data + 8) != BYTE_ORDER_IS) return YD_EFORMAT;
        pcap->interface_count = 0;
    }
    uint32_t size = u32(pcap, bytes.data + 4);
    if (size < BLOCK_LEAST || size % 4 || size > YD_PCAP_PACKET_MAX + 4096) return YD_EFORMAT;
    if (bytes.size < size) return YD_EAGAIN;
    if (u32(pcap, bytes.data + size - 4) != size) return YD_EFORMAT;
    struct yd_str body = {bytes.data + 8, size - BLOCK_LEAST};
    *ret_used = size;
    if (type == BLOCK_INTERFACE) return add_interface(pcap, body);
    if (type == BLOCK_ENHANCED) return read_packet(pcap, body, ret);
    return type == BLOCK_OBSOLETE || type == BLOCK_SIMPLE ? YD_ENOTSUP : 0;
}

int yd_pcap_next(struct yd_pcap *pcap, struct yd_str bytes, size_t *ret_used, struct yd_pcap_packet *ret)
{
    if (!pcap->begun) {
        if (bytes.size < 4) return YD_EAGAIN;
        pcap->is_ng = u32(pcap, bytes.data) == BLOCK_SECTION;
        if (!pcap->is_ng && bytes.size < CLASSIC_HEADER) return YD_EAGAIN;
        if (!pcap->is_ng && !begin_classic(pcap, bytes)) return YD_EFORMAT;
        pcap->begun = true;
        *ret_used = pcap->is_ng ? 0 : CLASSIC_HEADER;
        if (!pcap->is_ng) return 0;
    }
    return pcap->is_ng ? next_block(pcap, bytes, ret_used, ret) : next_classic(pcap, bytes, ret_used, ret);
}

/* ---- the packet ---- */

static uint16_t net16(const char *at)
{
    return (uint16_t)((uint8_t)at[0] << 8 | (uint8_t)at[1]);
}

static bool skip(struct yd_str *bytes, size_t size)
{
    if (bytes->size < size) return false;
    bytes->data += size;
    bytes->size -= size;
    return true;
}

/* What is too short is so because it was cut, or because it is malformed. */
struct reading {
    struct yd_str rest;
    bool is_cut;
    enum yd_pcap_reason reason;
};

static int short_of(struct reading *r)
{
    r->reason = r->is_cut ? YD_PCAP_CUT : YD_PCAP_MALFORMED;
    return 0;
}

static int other(struct reading *r, enum yd_pcap_reason reason)
{
    r->reason = reason;
    return 0;
}

static int read_udp(struct reading *r, size_t size, struct yd_pcap_udp *ret)
{
    if (size < 8) return other(r, YD_PCAP_MALFORMED);
    if (r->rest.size < 8) return short_of(r);
    size_t said = net16(r->rest.data + 4);
    if (said < 8 || said > size) return other(r, YD_PCAP_MALFORMED);
    if (r->rest.size < said) return short_of(r);
    *ret = (struct yd_pcap_udp){net16(r->rest.data), net16(r->rest.data + 2), {r->rest.data + 8, said - 8}};
    return 1;
}

static int read_v4(struct reading *r, struct yd_pcap_udp *ret)
{
    if (r->rest.size < 20) return short_of(r);
    const char *ip = r->rest.data;
    size_t header = (size_t)((uint8_t)ip[0] & 15) * 4, size = net16(ip + 2);
    if (header < 20 || size < header) return other(r, YD_PCAP_MALFORMED);
    if (net16(ip + 6) & 0x3fff) return other(r, YD_PCAP_FRAGMENT); /* more follow, or an offset */
    if (ip[9] != 17) return other(r, YD_PCAP_OTHER);
    if (!skip(&r->rest, header)) return short_of(r);
    return read_udp(r, size - header, ret);
}

static int read_v6(struct reading *r, struct yd_pcap_udp *ret)
{
    if (r->rest.size < 40) return short_of(r);
    size_t size = net16(r->rest.data + 4);
    uint8_t next = (uint8_t)r->rest.data[6];
    (void)skip(&r->rest, 40);
    while (next == 0 || next == 43 || next == 60 || next == 44) { /* hop by hop, routing, destination, fragment */
        if (r->rest.size < 8) return short_of(r);
        if (next == 44 && net16(r->rest.data + 2) & 0xfff9) return other(r, YD_PCAP_FRAGMENT);
        size_t header = next == 44 ? 8 : ((size_t)(uint8_t)r->rest.data[1] + 1) * 8;
        next = (uint8_t)r->rest.data[0];
        if (header > size) return other(r, YD_PCAP_MALFORMED);
        if (!skip(&r->rest, header)) return short_of(r);
        size -= header;
    }
    if (next != 17) return other(r, YD_PCAP_OTHER);
    return read_udp(r, size, ret);
}

static int read_ip(struct reading *r, struct yd_pcap_udp *ret)
{
    if (r->rest.size == 0) return short_of(r);
    unsigned version = (uint8_t)r->rest.data[0] >> 4;
    if (version != 4 && version != 6) return other(r, YD_PCAP_OTHER);
    return version == 4 ? read_v4(r, ret) : read_v6(r, ret);
}

static int read_type(struct reading *r, uint16_t type, struct yd_pcap_udp *ret)
{
    while (type == 0x8100 || type == 0x88a8) { /* VLAN tags */
        if (r->rest.size < 4) return short_of(r);
        type = net16(r->rest.data + 2);
        (void)skip(&r->rest, 4);
    }
    return type == 0x0800 || type == 0x86dd ? read_ip(r, ret) : other(r, YD_PCAP_OTHER);
}

/* A header of `size` bytes with the type of what is behind it at `at`. */
static int read_link(struct reading *r, size_t size, size_t at, struct yd_pcap_udp *ret)
{
    if (r->rest.size < size) return short_of(r);
    uint16_t type = net16(r->rest.data + at);
    (void)skip(&r->rest, size);
    return read_type(r, type, ret);
}

int yd_pcap_udp(const struct yd_pcap_packet *packet, struct yd_pcap_udp *ret, enum yd_pcap_reason *ret_reason)
{
    struct reading r = {packet->bytes, packet->is_cut, YD_PCAP_LINK};
    int found = 0;
    switch (packet->link) {
    case LINK_ETHERNET:
        found = read_link(&r, 14, 12, ret);
        break;
    case LINK_SLL:
        found = read_link(&r, 16, 14, ret);
        break;
    case LINK_SLL2:
        found = read_link(&r, 20, 0, ret);
        break;
    case LINK_NULL:
    case LINK_LOOP: /* an address family, whose numbers differ by system: the version tells as well */
        found = skip(&r.rest, 4) ? read_ip(&r, ret) : short_of(&r);
        break;
    case LINK_RAW_BSD:
    case LINK_RAW_OPENBSD:
    case LINK_RAW:
    case LINK_IPV4:
    case LINK_IPV6:
        found = read_ip(&r, ret);
        break;
    default:
        break;
    }
    if (!found) *ret_reason = r.reason;
    return found;
}
