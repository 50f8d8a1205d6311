/* live/triple_format.h: one writer, one reader, the latest value. Two regions: buffers, which only the writer writes,
 * and control, which both do.
 *
 *   buffers (sealed):   header, 512 | buffer 0 | buffer 1 | buffer 2       each a multiple of 128 bytes
 *   control:              a bell's page, its word 0 the control word          bell_format.h
 *
 *   control word: bits 1..0 index of the middle buffer, bit 2: dirty (the middle is newer than what the reader has),
 *                 bit 3: the reader waits
 *
 * {writer's, middle, reader's} is always a permutation of {0, 1, 2}; at first 0, 1, 2. Each side gives one buffer and
 * takes one by a single exchange: nobody ever waits for the other, and either may die at any instruction. Then the
 * regions are replaced, not repaired. A reader that scribbles on the control word gets torn values, and the writer none
 * of it: it takes two bits of it, and an impossible index is counted and mended.
 *
 * parameters of the buffers, at 256: | 256 | 8 | buffer_size | 264 | 4 | value_size |
 *
 * buffer: | seq 8 | time 8 | meta 8 | value | as a slot of the table; seq 1, 2, 3 …: a gap is what was overwritten */
#ifndef LIVE_TRIPLE_FORMAT_H
#define LIVE_TRIPLE_FORMAT_H

#include "live/bell_format.h"
#include "live/table_format.h"

#define YD__TRIPLE_INDEX  UINT32_C(3)
#define YD__TRIPLE_DIRTY  UINT32_C(4)
#define YD__TRIPLE_WAITER UINT32_C(8)
#define YD__TRIPLE_START  UINT32_C(1) /* writer 0, middle 1, reader 2 */

struct yd__triple {
    struct yd__live_header header;
    uint64_t buffer_size; /* a multiple of 128 */
    uint32_t value_size;  /* room; at most buffer_size - 24 */
    uint8_t reserved[YD__LIVE_CONTENT - YD__LIVE_PARAMETERS - 12];
};

_Static_assert(sizeof(struct yd__triple) == YD__LIVE_CONTENT && offsetof(struct yd__triple, buffer_size) == 256 &&
                   offsetof(struct yd__triple, value_size) == 264,
               "the triple buffer's layout is the format");

#endif
