/* log/twin_format.h: the compressed twin of a sealed segment, BASE.yzst beside or instead of BASE.ylog.
 *
 *   0        128
 *   | head  | block | block | … | block | table | footer | table | footer |
 *              each: `block_size` bytes of the segment file (the last one fewer), as one zstd frame, or as they are
 *
 * Decompressed, one block behind the other, it is the segment file byte for byte: its head, frames, index and footer.
 * So who opens a twin reads the segment, and every checksum inside counts as before. The twin has checksums of its own
 * in order that damage is found before it is decompressed.
 *
 * Without its table a twin is nothing, and it may be all there is of a segment. So table and footer are there twice:
 * the last footer leads to the last table; when one of these is damaged, the head or the footer tells how long a table
 * is, and so where the first pair lies. Any one damaged place costs a block at most.
 *
 * head:
 * | off | size | field      | meaning                                        |
 * |-----|------|------------|------------------------------------------------|
 * |   0 |    4 | magic      | "YDTW"                                         |
 * |   4 |    2 | version    | 1                                              |
 * |   6 |    2 | level      | of zstd, for people                            |
 * |   8 |    4 | crc        | CRC32C of the 128 bytes with this field zero   |
 * |  12 |    4 | block_size | a power of two, 64 KiB to 4 MiB                |
 * |  16 |    8 | log_id     |                                                |
 * |  24 |    8 | base_seqno | of the segment                                 |
 * |  32 |    4 | blocks     | as in the footer; written last                 |
 * |  36 |   92 | reserved   | zero                                           |
 *
 * table entry:
 * |   0 |    8 | offset     | of the block's stored bytes                    |
 * |   8 |    4 | size       | of them; as many as raw: stored as they are    |
 * |  12 |    4 | crc        | CRC32C of them                                 |
 *
 * footer, the last 64 bytes:
 * |   0 |    4 | magic      | "YDTF"                                         |
 * |   4 |    4 | crc        | CRC32C of the 64 bytes with this field zero    |
 * |   8 |    8 | table      | offset of the table before this footer         |
 * |  16 |    8 | raw_size   | of the segment file                            |
 * |  24 |    4 | blocks     | raw_size / block_size, rounded up              |
 * |  28 |    4 | table_crc  |                                                |
 * |  32 |    4 | raw_crc    | CRC32C of the whole segment file               |
 * |  36 |    4 | block_size | as in the head                                 |
 * |  40 |    8 | log_id     |                                                |
 * |  48 |    8 | base_seqno |                                                |
 * |  56 |    8 | reserved   | zero                                           |
 */
#ifndef LOG_TWIN_FORMAT_H
#define LOG_TWIN_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define YD__TWIN_MAGIC        UINT32_C(0x57544459) /* "YDTW" */
#define YD__TWIN_FOOTER_MAGIC UINT32_C(0x46544459) /* "YDTF" */
#define YD__TWIN_VERSION      1
#define YD__TWIN_BLOCK        (UINT32_C(256) << 10)
#define YD__TWIN_BLOCK_MIN    (UINT32_C(64) << 10)
#define YD__TWIN_BLOCK_MAX    (UINT32_C(4) << 20)
#define YD__TWIN_BLOCKS_MAX   (UINT32_C(1) << 20)

struct yd__twin_head {
    uint32_t magic;
    uint16_t version, level;
    uint32_t crc;
    uint32_t block_size;
    uint64_t log_id, base_seqno;
    uint32_t blocks;
    uint8_t reserved[92];
};

struct yd__twin_entry {
    uint64_t offset;
    uint32_t size, crc;
};

struct yd__twin_footer {
    uint32_t magic;
    uint32_t crc;
    uint64_t table, raw_size;
    uint32_t blocks, table_crc;
    uint32_t raw_crc, block_size;
    uint64_t log_id, base_seqno;
    uint64_t reserved1;
};

_Static_assert(sizeof(struct yd__twin_head) == 128 && sizeof(struct yd__twin_entry) == 16 &&
                   sizeof(struct yd__twin_footer) == 64 && offsetof(struct yd__twin_footer, raw_crc) == 32 &&
                   offsetof(struct yd__twin_head, log_id) == 16,
               "the twin's layout is the format");

#endif
