/* log/index_format.h: index entries, and the file NAME.yidx beside the active segment.
 *
 * Entries stand in memory and in NAME.yidx while a segment is active, and in its footer once it is sealed: one for
 * about each 64 KiB of frames. A cache: lost or damaged it is rebuilt from the frames, and it is never evidence.
 * NAME.yidx also keeps the producers as known at `covered`, so that opening walks only what came behind it.
 *
 *   | yidx head (256) | entries (80 × n) | producers (40 × n) |
 *
 * entry:
 * | off | size | field    | meaning                                                                  |
 * |-----|------|----------|--------------------------------------------------------------------------|
 * |   0 |    8 | seqno    | of the first record of the frame at `offset`                             |
 * |   8 |    8 | offset   | in the file                                                              |
 * |  16 |    8 | time_max | greatest record time from the segment's begin up to the next entry       |
 * |  24 |    8 | time_low | least and greatest record time of the frames up to the next entry        |
 * |  32 |    8 | time_high|                                                                          |
 * |  40 |    8 | names    | bit (hash >> 58) of each name up to the next entry; all ones: not kept   |
 * |  48 |   16 | name_min | the first bytes of the least and of the greatest name up to the next     |
 * |  64 |   16 | name_max | entry, padded with zeros; zeros and all ones: not kept                   |
 *
 * yidx head:
 * | off | size | field          | meaning                                                            |
 * |-----|------|----------------|--------------------------------------------------------------------|
 * |   0 |    4 | magic          | "YDIX"                                                             |
 * |   4 |    2 | version        | 2                                                                  |
 * |   6 |    2 | reserved       | zero                                                               |
 * |   8 |    4 | crc            | CRC32C of the whole file with this field zero                      |
 * |  12 |    4 | count          | entries                                                            |
 * |  16 |    8 | log_id         |                                                                    |
 * |  24 |    8 | base_seqno     | of the segment                                                     |
 * |  32 |    8 | covered        | file offset: the frames below are indexed                          |
 * |  40 |    8 | covered_seqno  | next seqno there                                                   |
 * |  48 |    4 | covered_crc    | header_crc of the last frame below                                 |
 * |  52 |    4 | headers_crc    | running digest there, as in the footer                             |
 * |  56 |    4 | producer_count |                                                                    |
 * |  60 |    4 | batches        | frames below                                                       |
 * |  64 |    8 | time_min       | of their records                                                   |
 * |  72 |    8 | append_min     | the server's clock                                                 |
 * |  80 |    8 | append_max     |                                                                    |
 * |  88 |    8 | names          | union of the summaries                                             |
 * |  96 |    8 | kinds          | union                                                              |
 * | 104 |   64 | name_min       | least and greatest name of the frames below, as in the footer      |
 * | 168 |   64 | name_max       |                                                                    |
 * | 232 |   24 | reserved       | zero                                                               |
 */
#ifndef LOG_INDEX_FORMAT_H
#define LOG_INDEX_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define YD__INDEX_MAGIC     UINT32_C(0x58494459) /* "YDIX" */
#define YD__INDEX_VERSION   2
#define YD__INDEX_STEP      (UINT64_C(64) << 10) /* bytes of frames for an entry */
#define YD__INDEX_NAMES_MAX 64                   /* batches with more names have no bits */
#define YD__INDEX_RANGE_MAX 1024                 /* batches with more names have no range */
#define YD__INDEX_NAME_SIZE 16
#define YD__RANGE_NAME_SIZE 64

struct yd__index_entry {
    uint64_t seqno;
    uint64_t offset;
    int64_t time_max;
    int64_t time_low, time_high;
    uint64_t names;
    uint8_t name_min[YD__INDEX_NAME_SIZE], name_max[YD__INDEX_NAME_SIZE];
};

struct yd__index_head {
    uint32_t magic;
    uint16_t version, reserved;
    uint32_t crc;
    uint32_t count;
    uint64_t log_id;
    uint64_t base_seqno;
    uint64_t covered;
    uint64_t covered_seqno;
    uint32_t covered_crc;
    uint32_t headers_crc;
    uint32_t producer_count;
    uint32_t batches;
    int64_t time_min;
    int64_t append_min, append_max;
    uint64_t names, kinds;
    uint8_t name_min[YD__RANGE_NAME_SIZE], name_max[YD__RANGE_NAME_SIZE];
    uint64_t reserved1[3];
};

_Static_assert(sizeof(struct yd__index_entry) == 80, "index entries are 80 bytes");
_Static_assert(sizeof(struct yd__index_head) == 256 && offsetof(struct yd__index_head, log_id) == 16 &&
                   offsetof(struct yd__index_head, covered_crc) == 48 &&
                   offsetof(struct yd__index_head, time_min) == 64,
               "the yidx head's layout is the format");

#endif
