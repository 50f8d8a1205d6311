/* Frames out of a stream: see framing.h. Here: gathering, and the families that a header or a word tells.
 *
 * Sources: CCSDS 133.0-B-2 (space packet: three bits of version 000, a data length that is one less than the bytes
 * behind the six of the primary header), CCSDS 131.0-B-5 (attached sync marker 1ACFFC1D), CCSDS 132.0-B-3 (TM frame:
 * two bits of version 00; its error control field is the CRC of 4.1.6: x^16 + x^12 + x^5 + 1, begun with ones, which is
 * `crc16_ccitt`). Checksums: decom/checksum.h. */
#include "elements/framing_inner.h"

#define SPACE_HEADER 6
#define PATIENCE     16 /* bytes checked in vain for each byte that comes, at most: see be_patient */

struct yd_framing {
    struct yd_framing_options options;
    struct yd_framing_sink sink;
    struct yd__scan scan;
    struct yd_buf rest; /* begun, and not whole yet */
    uint64_t patience;  /* in bytes */
    bool lost;          /* nobody knows where the next one begins */
};

int yd_framing_create(const struct yd_framing_options *options, struct yd_framing_sink sink, struct yd_framing **ret)
{
    struct yd_framing *framing = yd_alloc_zero(NULL, sizeof *framing);
    if (!framing) return YD_ENOMEM;
    framing->options = *options;
    framing->sink = sink;
    framing->scan.options = &framing->options;
    framing->patience = (uint64_t)PATIENCE * options->size_max;
    yd_buf_init(&framing->rest, NULL);
    bool stuffed = options->family == YD_FRAMING_COBS || options->family == YD_FRAMING_SLIP;
    if (stuffed && !(framing->scan.room = yd_alloc_get(NULL, options->size_max))) {
        yd_alloc_put(NULL, framing, sizeof *framing);
        return YD_ENOMEM;
    }
    *ret = framing;
    return 0;
}

void yd_framing_destroy(struct yd_framing *framing)
{
    if (!framing) return;
    yd_buf_fini(&framing->rest);
    yd_alloc_put(NULL, framing->scan.room, framing->options.size_max);
    yd_alloc_put(NULL, framing, sizeof *framing);
}

/* ---- headers and words ---- */

bool yd__is_intact(const struct yd_framing_options *options, struct yd_str frame)
{
    if (options->checksum == YD_CHECKSUM_NONE) return true;
    uint32_t bytes = yd_checksum_bits(options->checksum) / 8, said = 0;
    if (frame.size < bytes) return false;
    const uint8_t *at = (const uint8_t *)frame.data + frame.size - bytes;
    for (uint32_t i = 0; i < bytes; i++) said = said << 8 | at[options->checksum_little ? bytes - 1 - i : i];
    return said == yd_checksum(options->checksum, frame.data, frame.size - bytes);
}

static struct yd__found no_frame(const struct yd_framing_options *options, struct yd_str shown,
                                 enum yd_framing_reason reason)
{
    struct yd__found found = yd__found_bad(1, shown, reason);
    if (!options->slides) found.what = YD__LOST;
    return found;
}

static uint64_t field(const struct yd_framing_options *options, const char *from)
{
    uint64_t value = 0;
    for (uint32_t i = 0; i < options->length.size; i++)
        value = value << 8 | (uint8_t)from[options->length.little ? options->length.size - 1 - i : i];
    return value;
}

/* 0: impossible. */
static size_t size_by_field(const struct yd_framing_options *options, struct yd_str bytes, size_t header)
{
    int64_t size = (int64_t)field(options, bytes.data + options->length.offset) + options->length.more;
    return size < (int64_t)header || size == 0 || size > options->size_max ? 0 : (size_t)size;
}

static struct yd__found scan_fixed(const struct yd_framing_options *options, struct yd_str bytes)
{
    if (bytes.size < options->size) return yd__found_more(0);
    struct yd_str frame = {bytes.data, options->size};
    return yd__is_intact(options, frame) ? yd__found_frame(frame.size, frame)
                                         : yd__found_bad(frame.size, frame, YD_UNFRAMED_CHECKSUM);
}

static struct yd__found scan_length(const struct yd_framing_options *options, struct yd_str bytes)
{
    size_t header = options->length.offset + options->length.size;
    if (bytes.size < header) return yd__found_more(0);
    size_t size = size_by_field(options, bytes, header);
    if (size == 0) return no_frame(options, (struct yd_str){bytes.data, header}, YD_UNFRAMED_LENGTH);
    if (bytes.size < size) return yd__found_more(0);
    struct yd_str frame = {bytes.data, size};
    return yd__is_intact(options, frame) ? yd__found_frame(size, frame)
                                         : yd__found_bad(size, frame, YD_UNFRAMED_CHECKSUM);
}

static struct yd__found scan_space_packet(const struct yd_framing_options *options, struct yd_str bytes)
{
    if (bytes.size == 0) return yd__found_more(0);
    if ((uint8_t)bytes.data[0] >> 5) return no_frame(options, bytes, YD_UNFRAMED_HEADER);
    if (bytes.size < SPACE_HEADER) return yd__found_more(0);
    size_t size = SPACE_HEADER + 1 + ((size_t)(uint8_t)bytes.data[4] << 8 | (uint8_t)bytes.data[5]);
    if (size > options->size_max)
        return no_frame(options, (struct yd_str){bytes.data, SPACE_HEADER}, YD_UNFRAMED_TOO_LARGE);
    if (bytes.size < size) return yd__found_more(0);
    struct yd_str frame = {bytes.data, size};
    return yd__is_intact(options, frame) ? yd__found_frame(size, frame)
                                         : yd__found_bad(size, frame, YD_UNFRAMED_CHECKSUM);
}

/* How many bytes at the front do not begin the word, as far as they are here. */
static size_t before_word(const struct yd_framing_options *options, struct yd_str bytes)
{
    size_t at = 0;
    while (at < bytes.size) {
        const char *first = memchr(bytes.data + at, options->sync[0], bytes.size - at);
        if (!first) return bytes.size;
        at = (size_t)(first - bytes.data);
        if (memcmp(first, options->sync, YD_MIN(options->sync_size, bytes.size - at)) == 0) return at;
        at++;
    }
    return at;
}

static struct yd__found scan_sync(const struct yd_framing_options *options, struct yd_str bytes)
{
    size_t skip = before_word(options, bytes), header = options->length.offset + options->length.size;
    if (skip) return yd__found_skip(skip);
    if (bytes.size < options->sync_size) return yd__found_more(0);
    size_t size = options->size;
    if (size == 0) {
        if (bytes.size < header) return yd__found_more(0);
        size = size_by_field(options, bytes, YD_MAX(header, options->sync_size));
        if (size == 0) return yd__found_bad(1, (struct yd_str){bytes.data, header}, YD_UNFRAMED_LENGTH);
    }
    if (bytes.size < size) return yd__found_more(0);
    struct yd_str frame = {bytes.data, size};
    struct yd_str behind = {bytes.data + options->sync_size, size - options->sync_size};
    return yd__is_intact(options, behind) ? yd__found_frame(size, frame)
                                          : yd__found_bad(1, frame, YD_UNFRAMED_CHECKSUM);
}

static struct yd__found scan_tm_frame(const struct yd_framing_options *options, struct yd_str bytes)
{
    size_t skip = before_word(options, bytes), whole = options->sync_size + options->size;
    if (skip) return yd__found_skip(skip);
    if (bytes.size <= options->sync_size) return yd__found_more(0);
    if ((uint8_t)bytes.data[options->sync_size] >> 6)
        return yd__found_bad(1, (struct yd_str){bytes.data, options->sync_size + 1}, YD_UNFRAMED_HEADER);
    if (bytes.size < whole) return yd__found_more(0);
    struct yd_str frame = {bytes.data + options->sync_size, options->size};
    return yd__is_intact(options, frame) ? yd__found_frame(whole, frame)
                                         : yd__found_bad(1, frame, YD_UNFRAMED_CHECKSUM);
}

static struct yd__found scan(struct yd__scan *scan, struct yd_str bytes)
{
    switch (scan->options->family) {
    case YD_FRAMING_FIXED:
        return scan_fixed(scan->options, bytes);
    case YD_FRAMING_LENGTH:
        return scan_length(scan->options, bytes);
    case YD_FRAMING_SYNC:
        return scan_sync(scan->options, bytes);
    case YD_FRAMING_SPACE_PACKET:
        return scan_space_packet(scan->options, bytes);
    case YD_FRAMING_TM_FRAME:
        return scan_tm_frame(scan->options, bytes);
    case YD_FRAMING_MAVLINK:
        return yd__scan_mavlink(scan, bytes);
    case YD_FRAMING_COBS:
        return yd__scan_cobs(scan, bytes);
    case YD_FRAMING_SLIP:
        return yd__scan_slip(scan, bytes);
    case YD_FRAMING_LINES:
        return yd__scan_lines(scan, bytes);
    }
    YD_ASSERT(false);
    return yd__found_more(0);
}

/* ---- the stream ---- */

static void give(struct yd_framing *framing, struct yd_str frame)
{
    size_t strip = YD_MIN(framing->options.strip, frame.size);
    framing->sink.frame(framing->sink.arg, (struct yd_str){frame.data + strip, frame.size - strip});
}

/* Behind a wrong checksum the next byte may begin a good frame; where every byte seems to begin one, each would cost a
 * checksum over all of it. So patience is bounded: without it the frame goes as a whole. It depends on the bytes alone,
 * not on their pieces. */
static void be_patient(struct yd_framing *framing, const char *begin, struct yd__found *found)
{
    if (found->what == YD__BAD && found->reason == YD_UNFRAMED_CHECKSUM && found->used == 1) {
        if (framing->patience < found->frame.size)
            found->used = (size_t)(found->frame.data + found->frame.size - begin);
        else
            framing->patience -= found->frame.size;
    }
    framing->patience =
        YD_MIN(framing->patience + PATIENCE * found->used, (uint64_t)PATIENCE * framing->options.size_max);
}

/* Returns how many bytes are done with. */
static size_t go_through(struct yd_framing *framing, struct yd_str bytes)
{
    size_t at = 0;
    while (at < bytes.size && !framing->lost) {
        struct yd_str left = {bytes.data + at, bytes.size - at};
        struct yd__found found = scan(&framing->scan, left);
        framing->scan.looked = found.what == YD__MORE ? found.used : 0;
        if (found.what == YD__MORE) break;
        be_patient(framing, left.data, &found);
        if (found.what == YD__FRAME) give(framing, found.frame);
        if (found.what == YD__BAD || found.what == YD__LOST)
            framing->sink.bad(framing->sink.arg, found.reason, found.frame);
        if (found.what == YD__SKIP) framing->sink.skipped(framing->sink.arg, (struct yd_str){left.data, found.used});
        framing->lost = found.what == YD__LOST;
        at += found.used;
    }
    return at;
}

int yd_framing_take(struct yd_framing *framing, struct yd_str bytes)
{
    if (framing->lost) return YD_EFORMAT;
    if (framing->rest.size) {
        yd_buf_str(&framing->rest, bytes);
        if (!framing->rest.failed) {
            yd_buf_consume(&framing->rest, go_through(framing, yd_buf_view(&framing->rest)));
            if (framing->rest.size == 0) yd_buf_fini(&framing->rest); /* many peers, each with little */
        }
    } else {
        size_t used = go_through(framing, bytes);
        yd_buf_add(&framing->rest, bytes.data + used, bytes.size - used);
    }
    if (framing->rest.failed) { /* the frame at hand, and what of the next ones was here */
        framing->sink.bad(framing->sink.arg, YD_UNFRAMED_MEMORY, bytes);
        yd_buf_fini(&framing->rest);
        yd_buf_init(&framing->rest, NULL);
        framing->scan.looked = 0;
    }
    return framing->lost ? YD_EFORMAT : 0;
}

void yd_framing_end(struct yd_framing *framing, bool in_order)
{
    struct yd_str rest = yd_buf_view(&framing->rest);
    if (framing->lost) {
        if (rest.size) framing->sink.skipped(framing->sink.arg, rest);
    } else if (rest.size && in_order && framing->options.family == YD_FRAMING_LINES) {
        if (rest.data[rest.size - 1] == '\r') rest.size--;
        if (rest.size > framing->options.size_max)
            framing->sink.bad(framing->sink.arg, YD_UNFRAMED_TOO_LARGE, rest);
        else if (rest.size)
            give(framing, rest);
    } else if (rest.size) {
        framing->sink.bad(framing->sink.arg, YD_UNFRAMED_CUT_SHORT, rest);
    }
    yd_buf_fini(&framing->rest);
    yd_buf_init(&framing->rest, NULL);
    framing->scan.looked = 0;
    framing->lost = framing->scan.skipping = false;
}
