/* live/ring_format.h: records in order, one writer, any number of readers.
 *
 *   header | claimed, head, marks | data: a power of two
 *
 * parameters, at 256:
 * | off  | size | field       | meaning                                                                      |
 * |------|------|-------------|------------------------------------------------------------------------------|
 * |  256 |    8 | data_offset |                                                                              |
 * |  264 |    8 | data_size   | a power of two                                                               |
 * |  272 |    4 | lossless    | 1: the writer never overtakes the credit of its one reader (credit region)   |
 * |  512 |    8 | claimed     | the writer may be writing below this position                                |
 * |  640 |    8 | head        | records below this position are complete: stored with release                |
 * |  648 |    8 | before      | ordinal of the record that will begin at head; stored before head            |
 * |  656 |    8 | after       | the same, stored after it: equal ones fit the head read between them         |
 * | 1024 | 64×8 | marks       | position of the first record that begins in each 64th of the ring            |
 *
 * Positions count bytes since the ring began and never wrap; position p is data[p mod data_size]. A record does not
 * cross the end of the data: what is left there is filled by one of index ~0.
 *
 * record, whole 8 bytes:
 * | off | size | field   | meaning                                                                           |
 * |-----|------|---------|-----------------------------------------------------------------------------------|
 * |   0 |    8 | size 32, index 32 | bytes of the whole record; the measurement's index, ~0: filling         |
 * |   8 |    8 | ordinal | 0, 1, 2 … without gaps: what is missing was overrun                               |
 * |  16 |    8 | time_ns |                                                                                   |
 * |  24 |    8 | meta    | as a slot's: size of the value, type, flags                                       |
 * |  32 |      | value   |                                                                                   |
 *
 * Overrun: before the writer overwrites it stores `claimed`, a 64th of the ring ahead at a time; a reader that copied
 * looks at it afterwards: if position + data_size is below it, what was copied may be torn and is thrown away. It goes
 * on at a mark in the newer half.
 *
 * The credit region (kind 5) belongs to a lossless ring's reader: 512: position up to which he has consumed; 640: a
 * bell word on which the writer sleeps or asks to be called. */
#ifndef LIVE_RING_FORMAT_H
#define LIVE_RING_FORMAT_H

#include "live/region_format.h"

#define YD__RING_SIZE_MIN      4096
#define YD__RING_SIZE_MAX      (UINT64_C(1) << 36)
#define YD__RING_MARKS         64
#define YD__RING_RECORD_HEADER 32
#define YD__RING_FILLING       UINT32_MAX
#define YD__RING_NO_MARK       UINT64_MAX

#define YD__RECORD_WORD(size, index) ((uint64_t)(uint32_t)(size) | (uint64_t)(uint32_t)(index) << 32)

struct yd__ring {
    struct yd__live_header header;
    uint64_t data_offset, data_size;
    uint32_t lossless;
    uint8_t reserved0[YD__LIVE_CONTENT - YD__LIVE_PARAMETERS - 20];
    uint64_t claimed;
    uint8_t reserved1[120];
    uint64_t head, before, after;
    uint8_t reserved2[360];
    uint64_t marks[YD__RING_MARKS];
    uint8_t reserved3[512];
};

struct yd__credit {
    struct yd__live_header header;
    uint8_t reserved0[YD__LIVE_CONTENT - YD__LIVE_PARAMETERS];
    uint64_t consumed;
    uint8_t reserved1[120];
    uint32_t room; /* a bell word: rung by the reader */
    uint8_t reserved2[YD__LIVE_PAGE - YD__LIVE_CONTENT - 128 - 4];
};

_Static_assert(offsetof(struct yd__ring, claimed) == 512 && offsetof(struct yd__ring, head) == 640 &&
                   offsetof(struct yd__ring, after) == 656 && offsetof(struct yd__ring, marks) == 1024 &&
                   sizeof(struct yd__ring) == 2048,
               "the ring's layout is the format");
_Static_assert(offsetof(struct yd__credit, consumed) == 512 && offsetof(struct yd__credit, room) == 640 &&
                   sizeof(struct yd__credit) == YD__LIVE_PAGE,
               "the credit's layout is the format");

#endif
