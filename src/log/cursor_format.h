/* log/cursor_format.h: the file cursors/NAME: a reader's acknowledged position. Replaced whole (new file, sync, rename,
 * sync of the folder), so that after a crash it is the old one or the new one.
 *
 * | off | size | field    | meaning                                                        |
 * |-----|------|----------|----------------------------------------------------------------|
 * |   0 |    4 | magic    | "YDCU"                                                         |
 * |   4 |    2 | version  | 1                                                              |
 * |   6 |    2 | reserved | zero                                                           |
 * |   8 |    4 | crc      | CRC32C of these 64 bytes with this field zero                  |
 * |  12 |    4 | epoch    | of the stream when it was saved                                |
 * |  16 |    8 | seqno    | everything below is acknowledged, and was durable when saved   |
 * |  24 |    8 | log_id   | of the stream: a cursor of another incarnation is not taken    |
 * |  32 |    8 | saved_at | the server's clock, ns                                         |
 * |  40 |   24 | reserved | zero                                                           |
 */
#ifndef LOG_CURSOR_FORMAT_H
#define LOG_CURSOR_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define YD__CURSOR_MAGIC   UINT32_C(0x55434459) /* "YDCU" */
#define YD__CURSOR_VERSION 1

struct yd__cursor_file {
    uint32_t magic;
    uint16_t version, reserved0;
    uint32_t crc;
    uint32_t epoch;
    uint64_t seqno;
    uint64_t log_id;
    int64_t saved_at;
    uint8_t reserved[24];
};

_Static_assert(sizeof(struct yd__cursor_file) == 64 && offsetof(struct yd__cursor_file, seqno) == 16 &&
                   offsetof(struct yd__cursor_file, saved_at) == 32,
               "the cursor's layout is the format");

#endif
