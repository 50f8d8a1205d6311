/* Frames with a delimiter: COBS, SLIP and lines. See framing.h.
 *
 * Sources: COBS: S. Cheshire, M. Baker, "Consistent Overhead Byte Stuffing", IEEE/ACM Transactions on Networking 7(2),
 * 1999: zero ends a frame; each block is a code byte n, n - 1 bytes that are not zero, and a zero unless n is 255 or
 * the frame ends. SLIP: RFC 1055: END 192 (also in front of a frame: empty ones are nothing), ESC 219, then 220 for END
 * or 221 for ESC. A frame that is too large is bad once, up to its delimiter, however far that is: what is longer on
 * the wire than any good one can be need not be kept. */
#include "elements/framing_inner.h"

#define SLIP_END     0xc0
#define SLIP_ESC     0xdb
#define SLIP_ESC_END 0xdc
#define SLIP_ESC_ESC 0xdd

/* < 0: badly stuffed; more than the room: too large. */
static int64_t unstuff_cobs(struct yd__scan *scan, struct yd_str bytes)
{
    size_t size = 0, room = scan->options->size_max;
    for (size_t at = 0; at < bytes.size;) {
        size_t code = (uint8_t)bytes.data[at++], count = code - 1;
        if (count > bytes.size - at) return -1;
        if (size <= room && count <= room - size) memcpy(scan->room + size, bytes.data + at, count);
        size += count;
        at += count;
        if (code == 0xff || at == bytes.size) continue;
        if (size < room) scan->room[size] = 0;
        size++;
    }
    return (int64_t)size;
}

static int64_t unstuff_slip(struct yd__scan *scan, struct yd_str bytes)
{
    size_t size = 0, room = scan->options->size_max;
    for (size_t at = 0; at < bytes.size; at++) {
        uint8_t byte = (uint8_t)bytes.data[at];
        if (byte == SLIP_ESC) {
            byte = ++at < bytes.size ? (uint8_t)bytes.data[at] : 0;
            if (byte != SLIP_ESC_END && byte != SLIP_ESC_ESC) return -1;
            byte = byte == SLIP_ESC_END ? SLIP_END : SLIP_ESC;
        }
        if (size < room) scan->room[size] = (char)byte;
        size++;
    }
    return (int64_t)size;
}

static int64_t unstuff_line(struct yd__scan *scan, struct yd_str bytes)
{
    (void)scan;
    return (int64_t)(bytes.size && bytes.data[bytes.size - 1] == '\r' ? bytes.size - 1 : bytes.size);
}

/* wire_max: what the largest good frame may have, stuffed, without its delimiter. */
static struct yd__found scan_stuffed(struct yd__scan *scan, struct yd_str bytes, int delimiter, size_t wire_max,
                                     int64_t (*unstuff)(struct yd__scan *scan, struct yd_str bytes))
{
    const char *end = memchr(bytes.data + scan->looked, delimiter, bytes.size - scan->looked);
    size_t size = end ? (size_t)(end - bytes.data) : bytes.size, used = size + (end != NULL);
    struct yd_str shown = {bytes.data, YD_MIN(size, wire_max)};
    if (scan->skipping) {
        scan->skipping = !end;
        return yd__found_pass(used);
    }
    if (size > wire_max) {
        scan->skipping = !end;
        return yd__found_bad(used, shown, YD_UNFRAMED_TOO_LARGE);
    }
    if (!end) return yd__found_more(size);
    if (size == 0) return yd__found_pass(used);
    int64_t got = unstuff(scan, shown);
    if (got < 0) return yd__found_bad(used, shown, YD_UNFRAMED_CODING);
    if ((uint64_t)got > scan->options->size_max) return yd__found_bad(used, shown, YD_UNFRAMED_TOO_LARGE);
    if (got == 0) return yd__found_pass(used);
    struct yd_str frame = {scan->room ? scan->room : bytes.data, (size_t)got};
    if (!yd__is_intact(scan->options, frame)) return yd__found_bad(used, shown, YD_UNFRAMED_CHECKSUM);
    return yd__found_frame(used, frame);
}

struct yd__found yd__scan_cobs(struct yd__scan *scan, struct yd_str bytes)
{
    size_t most = scan->options->size_max;
    return scan_stuffed(scan, bytes, 0, most + most / 254 + 1, unstuff_cobs);
}

struct yd__found yd__scan_slip(struct yd__scan *scan, struct yd_str bytes)
{
    return scan_stuffed(scan, bytes, SLIP_END, 2 * (size_t)scan->options->size_max, unstuff_slip);
}

struct yd__found yd__scan_lines(struct yd__scan *scan, struct yd_str bytes)
{
    return scan_stuffed(scan, bytes, '\n', (size_t)scan->options->size_max + 1, unstuff_line);
}
