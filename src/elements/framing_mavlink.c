/* MAVLink 1 and 2 out of a stream. See framing.h.
 *
 *   v1: FE, payload size, sequence, system, component, message (1),                                payload, checksum
 * (2) v2: FD, payload size, incompatible flags, compatible flags, sequence, system, component, message (3), payload,
 *       checksum (2), and a signature of 13 bytes if flag 01 is set
 *
 * Source: mavlink.io, "Packet Serialization" and "Message Signing". The checksum is CRC-16/MCRF4XX (X.25 without its
 * final complement), low byte first, of all between the start and the checksum, and of one byte more, CRC_EXTRA, which
 * comes from the message's definition. Of a message whose CRC_EXTRA is not known, here or by the user, it is checked
 * that one of the 256 possible bytes fits: random bytes do in one case of 256. Other flags than 01 make a packet that
 * nobody but their inventor can read: it is refused, as the specification demands. */
#include "elements/framing_inner.h"

#define V1_HEADER     6
#define V2_HEADER     10
#define CHECKSUM      2
#define SIGNATURE     13
#define SIGNED        0x01
#define EXTRA_UNKNOWN -1

/* Of messages that all dialects have in common: message, CRC_EXTRA. */
static const struct {
    uint8_t message, extra;
} usual[] = {{0, 50},   {1, 124},  {2, 137},  {4, 237},  {5, 217},  {6, 104},  {7, 119},  {11, 89},  {20, 214},
             {21, 159}, {22, 220}, {23, 168}, {24, 24},  {26, 170}, {27, 144}, {29, 115}, {30, 39},  {31, 246},
             {32, 185}, {33, 104}, {34, 237}, {35, 244}, {39, 254}, {40, 230}, {42, 28},  {43, 132}, {44, 221},
             {45, 232}, {47, 153}, {66, 148}, {69, 243}, {74, 20},  {76, 152}, {77, 143}};

static int extra_of(const struct yd_framing_options *options, uint32_t message)
{
    for (uint32_t i = 0; i < options->extra_count; i++)
        if (options->extras[i].message == message) return options->extras[i].extra;
    for (size_t i = 0; i < YD_COUNT(usual); i++)
        if (usual[i].message == message) return usual[i].extra;
    return EXTRA_UNKNOWN;
}

static uint16_t add(uint16_t crc, uint8_t byte)
{
    uint8_t x = (uint8_t)(byte ^ (uint8_t)crc);
    x ^= (uint8_t)(x << 4);
    return (uint16_t)(crc >> 8 ^ x << 8 ^ x << 3 ^ x >> 4);
}

static bool is_intact(const struct yd_framing_options *options, struct yd_str covered, uint32_t message)
{
    const uint8_t *data = (const uint8_t *)covered.data;
    uint16_t crc = 0xffff, said = (uint16_t)(data[covered.size] | data[covered.size + 1] << 8);
    for (size_t i = 0; i < covered.size; i++) crc = add(crc, data[i]);
    int extra = extra_of(options, message);
    if (extra != EXTRA_UNKNOWN) return add(crc, (uint8_t)extra) == said;
    for (int any = 0; any < 256; any++)
        if (add(crc, (uint8_t)any) == said) return true;
    return false;
}

struct yd__found yd__scan_mavlink(struct yd__scan *scan, struct yd_str bytes)
{
    const uint8_t *data = (const uint8_t *)bytes.data;
    size_t skip = 0;
    while (skip < bytes.size && data[skip] != 0xfe && data[skip] != 0xfd) skip++;
    if (skip) return yd__found_skip(skip);
    bool v2 = data[0] == 0xfd;
    size_t header = v2 ? V2_HEADER : V1_HEADER;
    if (bytes.size < header) return yd__found_more(0);
    if (v2 && data[2] & ~SIGNED) return yd__found_bad(1, (struct yd_str){bytes.data, header}, YD_UNFRAMED_HEADER);
    size_t covered = header - 1 + data[1], size = 1 + covered + CHECKSUM + (v2 && data[2] & SIGNED ? SIGNATURE : 0);
    uint32_t message = v2 ? data[7] | (uint32_t)data[8] << 8 | (uint32_t)data[9] << 16 : data[5];
    if (bytes.size < size) return yd__found_more(0);
    struct yd_str frame = {bytes.data, size};
    if (!is_intact(scan->options, (struct yd_str){bytes.data + 1, covered}, message))
        return yd__found_bad(1, frame, YD_UNFRAMED_CHECKSUM);
    if (size > scan->options->size_max) return yd__found_bad(size, frame, YD_UNFRAMED_TOO_LARGE);
    return yd__found_frame(size, frame);
}
