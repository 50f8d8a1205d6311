/* elements/framing.h: where a packet begins and ends in a stream of bytes, for Tcp and Serial. Pure and incremental:
 * bytes in pieces of any size give the same frames, the same bad ones and the same skipped bytes.
 *
 *   bytes --take--> scan by the family's rule --> sink.frame
 *                        |   \--not one: reason --> sink.bad, once a frame; the search goes on behind its first byte
 *                        \--between frames, outside of any --> sink.skipped, in bytes
 *
 *   fixed         each `size` bytes                          length        a field says how long it is
 *   sync          a word, then fixed or by a field           space_packet  CCSDS 133.0-B: primary header
 *   tm_frame      CCSDS 131.0-B marker, 132.0-B frame        mavlink       MAVLink 1 and 2, with their checksum
 *   cobs, slip    stuffed, with a delimiter                  lines         newline
 *
 * Every byte is in a good frame, in a bad one, skipped, or waits for more. What waits is at most the largest frame. */
#ifndef ELEMENTS_FRAMING_H
#define ELEMENTS_FRAMING_H

#include <yarder/element.h>

#include "base/alloc.h"
#include "decom/checksum.h"

enum yd_framing_family {
    YD_FRAMING_FIXED,
    YD_FRAMING_LENGTH,
    YD_FRAMING_SYNC,
    YD_FRAMING_SPACE_PACKET,
    YD_FRAMING_TM_FRAME,
    YD_FRAMING_MAVLINK,
    YD_FRAMING_COBS,
    YD_FRAMING_SLIP,
    YD_FRAMING_LINES,
};

#define YD_FRAMING_REASONS(X)                                                                                          \
    X(LENGTH, "length field out of range")                                                                             \
    X(TOO_LARGE, "larger than max_size")                                                                               \
    X(CODING, "badly stuffed")                                                                                         \
    X(HEADER, "header of another protocol or version")                                                                 \
    X(CHECKSUM, "checksum wrong")                                                                                      \
    X(CUT_SHORT, "cut short: the stream ended inside")                                                                 \
    X(SKIPPED, "bytes outside of frames, each of them counted")                                                        \
    X(MEMORY, "out of memory")
enum yd_framing_reason {
#define YD_FRAMING_REASON(name, text) YD_UNFRAMED_##name,
    YD_FRAMING_REASONS(YD_FRAMING_REASON)
#undef YD_FRAMING_REASON
        YD_FRAMING_REASON_COUNT
};

#define YD_FRAMING_EXTRAS_MAX 64

struct yd_framing_options {
    enum yd_framing_family family;
    uint32_t size_max;         /* of a frame as it is given out, before `strip` */
    uint32_t size;             /* FIXED, TM_FRAME: of each frame; SYNC: with its word, 0: by the length field */
    uint32_t strip;            /* leading bytes that are not given out */
    enum yd_checksum checksum; /* the last bytes, of all before them (but for the sync word) */
    bool checksum_little;      /* they are lowest byte first */
    struct {
        uint32_t offset, size; /* from the frame's first byte; 1 to 4 bytes */
        bool little;
        int32_t more; /* what is added to its value to have the size of the whole frame */
    } length;
    uint8_t sync[8];
    uint32_t sync_size;
    bool slides; /* what has no sync word, after a bad length or header: try the next byte. Else: YD_EFORMAT */
    struct {
        uint32_t message;
        uint8_t extra;
    } extras[YD_FRAMING_EXTRAS_MAX]; /* MAVLink's CRC_EXTRA of messages beyond the usual ones */
    uint32_t extra_count;
};

struct yd_framing_sink {
    void *arg;
    void (*frame)(void *arg, struct yd_str frame);
    void (*bad)(void *arg, enum yd_framing_reason reason, struct yd_str bytes); /* its bytes, as far as they are here */
    void (*skipped)(void *arg, struct yd_str bytes);
};

struct yd_framing;
int yd_framing_create(const struct yd_framing_options *options, struct yd_framing_sink sink, struct yd_framing **ret);
void yd_framing_destroy(struct yd_framing *framing); /* NULL is quiet */
/* YD_EFORMAT: nobody knows where the next frame begins: end the connection (then the rest is forgotten, counted). What
 * had no memory is `bad` by that reason. */
int yd_framing_take(struct yd_framing *framing, struct yd_str bytes);
/* The stream has ended, and may begin anew. in_order: a last line without its newline is one. */
void yd_framing_end(struct yd_framing *framing, bool in_order);

/* ---- the parameters of Tcp and Serial ---- */
extern const char *const yd_framing_words[];
#define YD_FRAMING_PARAMS                                                                                              \
    {.name = "framing",                                                                                                \
     .type = YD_PARAM_TEXT,                                                                                            \
     .flags = YD_PARAM_REQUIRED,                                                                                       \
     .oneof = yd_framing_words,                                                                                        \
     .doc = "Where a packet begins and ends."},                                                                        \
        {.name = "size",                                                                                               \
         .type = YD_PARAM_INT,                                                                                         \
         .initial = "0",                                                                                               \
         .max = 1 << 20,                                                                                               \
         .doc = "Bytes of each packet: `fixed`, `tm_frame` (without its marker), `sync` (with it; 0: by the length "   \
                "field)."},                                                                                            \
        {.name = "sync",                                                                                               \
         .type = YD_PARAM_TEXT,                                                                                        \
         .initial = "\"\"",                                                                                            \
         .doc = "The word, in hex, 1 to 8 bytes; of `tm_frame` it is 1acffc1d unless given."},                         \
        {.name = "length_offset",                                                                                      \
         .type = YD_PARAM_INT,                                                                                         \
         .initial = "0",                                                                                               \
         .max = 4096,                                                                                                  \
         .doc = "Where the length field is, from the packet's first byte (that of the sync word, if there is one)."},  \
        {.name = "length_size", .type = YD_PARAM_INT, .initial = "2", .min = 1, .max = 4, .doc = "Its bytes."},        \
        {.name = "length_order",                                                                                       \
         .type = YD_PARAM_TEXT,                                                                                        \
         .initial = "\"big\"",                                                                                         \
         .oneof = yd_framing_orders,                                                                                   \
         .doc = "Its byte order."},                                                                                    \
        {.name = "length_counts",                                                                                      \
         .type = YD_PARAM_TEXT,                                                                                        \
         .initial = "\"rest\"",                                                                                        \
         .oneof = yd_framing_counts,                                                                                   \
         .doc = "What it says: the bytes behind the field, or those of the whole packet with its header."},            \
        {.name = "length_adjust",                                                                                      \
         .type = YD_PARAM_INT,                                                                                         \
         .initial = "0",                                                                                               \
         .min = -65536,                                                                                                \
         .max = 65536,                                                                                                 \
         .doc = "Added to what it says."},                                                                             \
        {.name = "checksum",                                                                                           \
         .type = YD_PARAM_TEXT,                                                                                        \
         .initial = "\"none\"",                                                                                        \
         .oneof = yd_framing_checksums,                                                                                \
         .doc = "What the last bytes of a packet are, of what is before them and behind the sync word: `crc16_ccitt` " \
                "(`ccitt`; CRC-16/CCITT-FALSE), `crc32` (IEEE 802.3), `crc32c`, sums and others of docs/ydm.md."},     \
        {.name = "checksum_order",                                                                                     \
         .type = YD_PARAM_TEXT,                                                                                        \
         .initial = "\"big\"",                                                                                         \
         .oneof = yd_framing_orders,                                                                                   \
         .doc = "Its byte order."},                                                                                    \
        {.name = "crc_extra",                                                                                          \
         .type = YD_PARAM_MAP,                                                                                         \
         .initial = "{}",                                                                                              \
         .doc = "`mavlink`: CRC_EXTRA of messages by id, `{m147: 154}`, beyond those that are known; a message "       \
                "without one is checked against all 256."},                                                            \
        {.name = "strip",                                                                                              \
         .type = YD_PARAM_INT,                                                                                         \
         .initial = "0",                                                                                               \
         .max = 4096,                                                                                                  \
         .doc = "Leading bytes of each packet that are left out."},                                                    \
    {                                                                                                                  \
        .name = "max_size", .type = YD_PARAM_SIZE, .initial = "64KiB", .min = 16, .max = 1 << 20,                      \
        .doc = "Larger packets are rejected, and what comes behind them is found again."                               \
    }
extern const char *const yd_framing_orders[], *const yd_framing_counts[], *const yd_framing_checksums[];
/* From those parameters; why not, in words, for a class's check. */
int yd_framing_options_from(const struct yd_args *args, struct yd_framing_options *ret, char *why, size_t why_size);

#endif
