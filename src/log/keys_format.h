/* log/keys_format.h: the file BASE.ykey beside a sealed segment: which names are in it, and at which seqnos.
 *
 *   | head (128) | table, sorted by name (32 × n) | heap of the names | postings |
 *
 * A cache, and never evidence: it is bound to exactly the segment's frames by their whole-file checksum (the footer's
 * headers_crc); missing, damaged or of other frames it is not used, and made anew. It is made only when every frame of
 * the segment is good and not compressed, so a name that is not in it is not in the segment, even if that rots later.
 *
 * head:
 * | off | size | field         | meaning                                                           |
 * |-----|------|---------------|-------------------------------------------------------------------|
 * |   0 |    4 | magic         | "YDKY"                                                            |
 * |   4 |    2 | version       | 1                                                                 |
 * |   6 |    2 | reserved      | zero                                                              |
 * |   8 |    4 | crc           | CRC32C of the 128 bytes with this field zero                      |
 * |  12 |    4 | table_crc     | CRC32C of table and heap                                          |
 * |  16 |    8 | log_id        |                                                                   |
 * |  24 |    8 | base_seqno    | of the segment                                                    |
 * |  32 |    8 | next_seqno    | behind its last record                                            |
 * |  40 |    4 | headers_crc   | the footer's: of exactly these frames                             |
 * |  44 |    4 | name_count    | entries                                                           |
 * |  48 |    8 | heap_size     | bytes                                                             |
 * |  56 |    8 | postings_size | bytes; the file ends there                                        |
 * |  64 |   64 | reserved      | zero                                                              |
 *
 * table entry:
 * |   0 |    8 | hash          | XXH3 of the name                                                  |
 * |   8 |    4 | name          | offset in the heap; the names stand there in the table's order    |
 * |  12 |    4 | size          | of the name                                                       |
 * |  16 |    8 | postings      | offset in the postings; the list ends where the next one begins   |
 * |  24 |    4 | count         | records of that name                                              |
 * |  28 |    4 | crc           | CRC32C of the list                                                |
 *
 * A list is the seqnos, rising, each as the difference to the one before (the first: to base_seqno) in 7-bit groups,
 * lowest first, the high bit says that more follow.
 */
#ifndef LOG_KEYS_FORMAT_H
#define LOG_KEYS_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define YD__KEYS_MAGIC     UINT32_C(0x594b4459) /* "YDKY" */
#define YD__KEYS_VERSION   1
#define YD__KEYS_NAMES_MAX (UINT32_C(1) << 20)  /* a segment with more of them, or with more bytes of names, */
#define YD__KEYS_HEAP_MAX  (UINT64_C(32) << 20) /* has no index */
#define YD__KEYS_LIST_MAX  (UINT64_C(64) << 20) /* nor one with so long a list */

struct yd__keys_head {
    uint32_t magic;
    uint16_t version, reserved0;
    uint32_t crc;
    uint32_t table_crc;
    uint64_t log_id;
    uint64_t base_seqno, next_seqno;
    uint32_t headers_crc;
    uint32_t name_count;
    uint64_t heap_size, postings_size;
    uint8_t reserved1[64];
};

struct yd__keys_entry {
    uint64_t hash;
    uint32_t name, size;
    uint64_t postings;
    uint32_t count, crc;
};

_Static_assert(sizeof(struct yd__keys_head) == 128 && offsetof(struct yd__keys_head, log_id) == 16 &&
                   offsetof(struct yd__keys_head, headers_crc) == 40 &&
                   offsetof(struct yd__keys_head, postings_size) == 56 && sizeof(struct yd__keys_entry) == 32 &&
                   offsetof(struct yd__keys_entry, postings) == 16,
               "the name index's layout is the format");

#endif
