/* live/table_format.h: the current-value table: names, and of each the newest values.
 *
 *   header page | directory: capacity × entry | names | cells
 *
 *   cell:   | head, a line | slot | slot | slot | slot |      N slots, a power of two, at least 4
 *   slot:   | seq 8 | time 8 | meta 8 | value, whole words |
 *
 * parameters, at 256:
 * | off | size | field            | meaning                                                                 |
 * |-----|------|------------------|-------------------------------------------------------------------------|
 * | 256 |    4 | capacity         | entries there is room for                                               |
 * | 264 |    8 | directory_offset |                                                                         |
 * | 272 |    8 | names_offset     |                                                                         |
 * | 280 |    8 | names_size       | reserved                                                                |
 * | 288 |    8 | cells_offset     |                                                                         |
 * | 296 |    8 | cells_size       | reserved                                                                |
 * | 384 |    4 | count            | entries that are complete: stored with release, only grows               |
 *
 * The directory only grows, within memory that was reserved (and costs nothing until it is used): new names need no new
 * generation until it is full. An entry below `count` never changes. Its `chain` covers all names up to and with its
 * own: a reader that finds in a new generation, at the last index it knew, the chain it knew, keeps all its indexes.
 *
 * A table that takes over from another of the same id and writer has its names at the same indexes, and of each that
 * had a value the newest as value 1: who had got it goes on behind it.
 *
 * value v of a measurement (1, 2, 3 …) is in slot v mod N. Slot.seq is 0 while it is being written, then v. `head` is
 * the newest complete v; 0: none yet. With N slots the last N values are there to be read, or N-1 while the next is
 * being written; a reader that copies one can be overtaken only by N-1 newer ones, and notices. */
#ifndef LIVE_TABLE_FORMAT_H
#define LIVE_TABLE_FORMAT_H

#include "live/region_format.h"

#define YD__TABLE_SLOTS_MIN    4
#define YD__TABLE_SLOTS_MAX    1024
#define YD__TABLE_VALUE_MAX    (UINT32_C(1) << 20) /* bytes of one value */
#define YD__TABLE_NAME_MAX     4095
#define YD__TABLE_CAPACITY_MAX (UINT32_C(1) << 24)
#define YD__SLOT_BUSY          0
#define YD__SLOT_HEADER        24

struct yd__table_entry {
    uint64_t name_offset; /* from the region's start, as all offsets */
    uint32_t name_size;
    uint8_t type;       /* enum yd_type as declared; NIL: any */
    uint8_t slots_log2; /* N = 1 << this */
    uint16_t bell;      /* word of its bells */
    uint64_t name_hash; /* FNV-1a, 64 bits */
    uint64_t chain;     /* FNV-1a over all names so far, each with a zero byte behind it */
    uint64_t cell_offset;
    uint32_t slot_size;  /* a multiple of 8 */
    uint32_t value_size; /* room for a value; at most slot_size - 24 */
    uint64_t reserved[2];
};

struct yd__table {
    struct yd__live_header header;
    uint32_t capacity;
    uint32_t reserved0;
    uint64_t directory_offset;
    uint64_t names_offset, names_size;
    uint64_t cells_offset, cells_size;
    uint8_t reserved1[80];
    uint32_t count;
    uint8_t reserved2[124];
};

struct yd__cell_head {
    uint64_t head;
    uint8_t reserved[YD__LIVE_LINE - 8];
};

/* In 64-bit words: seq, time_ns, meta, value. */
enum { YD__SLOT_SEQ, YD__SLOT_TIME, YD__SLOT_META, YD__SLOT_VALUE };

_Static_assert(sizeof(struct yd__table_entry) == 64 && offsetof(struct yd__table_entry, name_hash) == 16 &&
                   offsetof(struct yd__table_entry, cell_offset) == 32 &&
                   offsetof(struct yd__table_entry, value_size) == 44,
               "the entry's layout is the format");
_Static_assert(offsetof(struct yd__table, directory_offset) == 264 && offsetof(struct yd__table, cells_size) == 296 &&
                   offsetof(struct yd__table, count) == 384 && sizeof(struct yd__table) == 512,
               "the table's layout is the format");
_Static_assert(sizeof(struct yd__cell_head) == YD__LIVE_LINE, "a head has a line of its own");

#endif
