/* log/footer_format.h: the end of a sealed segment.
 *
 *   … frames | index entries (80 × n, index_format.h) | footer (256 bytes) | end of the file
 *            ^ data_end
 *
 * Written when the segment is full and all its frames are durable; the zeros that were left behind it are cut then.
 * A segment without a good footer at its very end is not sealed: it is walked and sealed again.
 *
 * | off | size | field        | meaning                                                                      |
 * |-----|------|--------------|------------------------------------------------------------------------------|
 * |   0 |    4 | magic        | "YDFT"                                                                       |
 * |   4 |    2 | version      | 2                                                                            |
 * |   6 |    2 | reserved     | zero                                                                         |
 * |   8 |    4 | crc          | CRC32C of these 256 bytes with this field zero                               |
 * |  12 |    4 | index_crc    | CRC32C of the entries                                                        |
 * |  16 |    4 | index_count  | entries                                                                      |
 * |  20 |    4 | epoch        | of the last batch                                                            |
 * |  24 |    8 | log_id       |                                                                              |
 * |  32 |    8 | base_seqno   | of the first record                                                          |
 * |  40 |    8 | next_seqno   | behind the last record                                                       |
 * |  48 |    8 | data_end     | file offset behind the last frame                                            |
 * |  56 |    8 | batches      |                                                                              |
 * |  64 |    8 | time_min     | of the records, ns                                                           |
 * |  72 |    8 | time_max     |                                                                              |
 * |  80 |    8 | append_min   | the server's clock, ns                                                       |
 * |  88 |    8 | append_max   | what retention by age looks at                                               |
 * |  96 |    4 | last_crc     | header_crc of the last batch: the end of the chain                           |
 * | 100 |    4 | headers_crc  | whole-file checksum: CRC32C over all frame headers as written, in order. Each|
 * |     |      |              | header holds its body's checksum and its own: every byte is covered, and the |
 * |     |      |              | sum is kept while appending without touching a body again                    |
 * | 104 |    8 | names        | union of the entries' summaries                                              |
 * | 112 |    8 | kinds        | union of the batches' kinds                                                  |
 * | 120 |   64 | name_min     | the first bytes of the least and of the greatest name, compared byte by byte,|
 * | 184 |   64 | name_max     | padded with zeros; min zeros and max all ones: not kept                      |
 * | 248 |    8 | reserved     | zero                                                                         |
 */
#ifndef LOG_FOOTER_FORMAT_H
#define LOG_FOOTER_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#include "log/index_format.h"

#define YD__FOOTER_MAGIC   UINT32_C(0x54464459) /* "YDFT" */
#define YD__FOOTER_VERSION 2

struct yd__footer {
    uint32_t magic;
    uint16_t version, reserved0;
    uint32_t crc;
    uint32_t index_crc;
    uint32_t index_count;
    uint32_t epoch;
    uint64_t log_id;
    uint64_t base_seqno, next_seqno;
    uint64_t data_end;
    uint64_t batches;
    int64_t time_min, time_max;
    int64_t append_min, append_max;
    uint32_t last_crc;
    uint32_t headers_crc;
    uint64_t names;
    uint64_t kinds;
    uint8_t name_min[YD__RANGE_NAME_SIZE], name_max[YD__RANGE_NAME_SIZE];
    uint64_t reserved1;
};

_Static_assert(sizeof(struct yd__footer) == 256 && offsetof(struct yd__footer, log_id) == 24 &&
                   offsetof(struct yd__footer, data_end) == 48 && offsetof(struct yd__footer, time_min) == 64 &&
                   offsetof(struct yd__footer, last_crc) == 96 && offsetof(struct yd__footer, name_min) == 120,
               "the footer's layout is the format");

#endif
