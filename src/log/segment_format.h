/* log/segment_format.h: the head of a segment file, NAME.ylog, named by its first seqno in 20 digits.
 *
 *   0            4096 × n                                             data_end
 *   | head, producers | frame | frame | … | frame (64-byte aligned) | footer (footer_format.h) |
 *                                                                   | or zeros, while it is the active one |
 *
 * | off | size | field          | meaning                                                                     |
 * |-----|------|----------------|-----------------------------------------------------------------------------|
 * |   0 |    4 | magic          | "YDSG"                                                                      |
 * |   4 |    2 | version        | 1                                                                           |
 * |   6 |    2 | flags          | zero                                                                        |
 * |   8 |    4 | crc            | CRC32C of all data_start bytes with this field zero                         |
 * |  12 |    4 | epoch          | when the segment was begun                                                  |
 * |  16 |    8 | base_seqno     | of its first record; also evidence: everything below was durable then       |
 * |  24 |    8 | log_id         | this incarnation of the stream                                              |
 * |  32 |    8 | generation     | one more than the segment before                                            |
 * |  40 |    4 | prev_crc       | header_crc of the last batch before: the chain goes on across files         |
 * |  44 |    4 | data_start     | where the first frame begins: a multiple of 4096                            |
 * |  48 |    8 | created_at     | the server's clock, ns                                                      |
 * |  56 |    4 | producer_count | entries that follow at 320, as many as are known and not expired            |
 * |  60 |    4 | reserved       | zero                                                                        |
 * |  64 |  256 | stream         | "metrics/0", NUL-padded                                                     |
 * | 320 | 40×n | producers      | struct yd__producer_entry; more than 94 make the head longer than 4 KiB     |
 */
#ifndef LOG_SEGMENT_FORMAT_H
#define LOG_SEGMENT_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define YD__SEGMENT_MAGIC    UINT32_C(0x47534459) /* "YDSG" */
#define YD__SEGMENT_VERSION  1
#define YD__SEGMENT_ALIGN    4096 /* the head is a multiple of this */
#define YD__SEGMENT_HEAD_MAX (UINT32_C(4) << 20)
#define YD__PRODUCERS_MAX    65536
#define YD__STREAM_NAME_SIZE 256

struct yd__producer_entry {
    uint64_t id;
    uint64_t seq;        /* the last of its input consumed by a batch in the stream */
    uint64_t next_seqno; /* behind that batch */
    int64_t append_time; /* of that batch: what expiry looks at */
    uint32_t epoch;
    uint32_t count; /* records of that batch: it has [next_seqno - count, next_seqno) */
};

struct yd__segment_head {
    uint32_t magic;
    uint16_t version, flags;
    uint32_t crc;
    uint32_t epoch;
    uint64_t base_seqno;
    uint64_t log_id;
    uint64_t generation;
    uint32_t prev_crc;
    uint32_t data_start;
    int64_t created_at;
    uint32_t producer_count;
    uint32_t reserved;
    char stream[YD__STREAM_NAME_SIZE];
    struct yd__producer_entry producers[];
};

_Static_assert(sizeof(struct yd__producer_entry) == 40, "producer entries are 40 bytes");
_Static_assert(offsetof(struct yd__segment_head, crc) == 8 && offsetof(struct yd__segment_head, base_seqno) == 16 &&
                   offsetof(struct yd__segment_head, prev_crc) == 40 &&
                   offsetof(struct yd__segment_head, created_at) == 48 &&
                   offsetof(struct yd__segment_head, stream) == 64 && sizeof(struct yd__segment_head) == 320,
               "the head's layout is the format");
_Static_assert(320 + 40 * YD__PRODUCERS_MAX <= YD__SEGMENT_HEAD_MAX, "all producers fit");

#endif
