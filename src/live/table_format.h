/* live/table_format.h: the current-value table: names, and of each the newest values.
 *
 *   header | directory: capacity × entry | names | cells
 *
 *   cell:   | head, a line | slot | slot | slot | slot |      N slots, a power of two, at least 2
 *   dense:  | head 8 | slot | slot |                          without lines of their own: little room for many names
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
 * | 304 |    8 | copied_from      | generation of the table that the first entries were taken from, with    |
 * |     |      |                  | their newest values; 0: of none. Since ABI 2.1                          |
 * | 312 |    4 | copied           | so many entries; 0: none                                                |
 * | 384 |    4 | count            | entries that are complete: stored with release, only grows               |
 *
 * entry, 32 bytes:
 * | off | size | field       | meaning                                                                      |
 * |-----|------|-------------|------------------------------------------------------------------------------|
 * |   0 |    8 | name_hash   | FNV-1a, 64 bits. Its word of the bells is this mod 63                        |
 * |   8 |    8 | chain       | FNV-1a over all names so far, each with a zero byte behind it                |
 * |  16 |    4 | name_offset | from names_offset                                                            |
 * |  20 |    4 | cell        | from cells_offset, in lines of 64 bytes, of a dense cell in words of 8       |
 * |  24 |    4 | value_size  | room for a value; 0: a name alone, without a cell                            |
 * |  28 |    2 | name_size   |                                                                              |
 * |  30 |    1 | type        | enum yd_type as declared; NIL: any                                           |
 * |  31 |    1 | shape       | bits 3..0: N = 1 << this; bit 7: dense                                       |
 *
 * A slot has room for its header and value_size in whole words; one that is not dense and larger than 32 bytes in whole
 * lines.
 *
 * The directory only grows, within memory that was reserved (and costs nothing until it is used): new names need no new
 * generation until it is full. An entry below `count` never changes. Its `chain` covers all names up to and with its
 * own: a reader that finds in a new generation, at the last index it knew, the chain it knew, keeps all its indexes.
 *
 * A table that takes over from another of the same id and writer begins with names of that one, in their order, and has
 * of each that had a value the newest as value 1: who had got it there goes on behind it. Names may have been left out
 * (of what is not measured any more), so an entry at `copied` or behind has values of its own alone, also where an
 * older table had that name; and value 1 of a copied entry is what a reader had got only if he comes from
 * `copied_from`: it may have been published in a table that he never saw.
 *
 * value v of a measurement (1, 2, 3 …) is in slot v mod N. Slot.seq is 0 while it is being written, then v. `head` is
 * the newest complete v; 0: none yet. With N slots the last N values are there to be read, or N-1 while the next is
 * being written; a reader that copies one can be overtaken only by N-1 newer ones, and notices. */
#ifndef LIVE_TABLE_FORMAT_H
#define LIVE_TABLE_FORMAT_H

#include "live/region_format.h"

#define YD__TABLE_SLOTS_MIN    2
#define YD__TABLE_SLOTS        4 /* where nothing else is said */
#define YD__TABLE_SLOTS_MAX    1024
#define YD__TABLE_VALUE_MAX    (UINT32_C(1) << 20) /* bytes of one value */
#define YD__TABLE_NAME_MAX     4095
#define YD__TABLE_CAPACITY_MAX (UINT32_C(1) << 24)
#define YD__SLOT_BUSY          0
#define YD__SLOT_HEADER        24
#define YD__SHAPE_LOG2         0x0f
#define YD__SHAPE_DENSE        0x80

struct yd__table_entry {
    uint64_t name_hash, chain;
    uint32_t name_offset, cell;
    uint32_t value_size;
    uint16_t name_size;
    uint8_t type, shape;
};

/* Bytes of a slot with room for such values. */
static inline uint32_t yd__slot_size(uint32_t value_size, int is_dense)
{
    uint32_t size = (YD__SLOT_HEADER + value_size + 7) / 8 * 8;
    if (is_dense) return size;
    return size <= 32 ? 32 : (size + YD__LIVE_LINE - 1) / YD__LIVE_LINE * YD__LIVE_LINE;
}

/* How far the first slot is behind the head, in bytes; and what cells are counted in. */
static inline uint32_t yd__cell_unit(int is_dense)
{
    return is_dense ? 8 : YD__LIVE_LINE;
}

struct yd__table {
    struct yd__live_header header;
    uint32_t capacity;
    uint32_t reserved0;
    uint64_t directory_offset;
    uint64_t names_offset, names_size;
    uint64_t cells_offset, cells_size;
    uint64_t copied_from;
    uint32_t copied;
    uint8_t reserved1[68];
    uint32_t count;
    uint8_t reserved2[124];
};

/* In 64-bit words: seq, time_ns, meta, value. */
enum { YD__SLOT_SEQ, YD__SLOT_TIME, YD__SLOT_META, YD__SLOT_VALUE };

_Static_assert(sizeof(struct yd__table_entry) == 32 && offsetof(struct yd__table_entry, name_offset) == 16 &&
                   offsetof(struct yd__table_entry, value_size) == 24 && offsetof(struct yd__table_entry, shape) == 31,
               "the entry's layout is the format");
_Static_assert(offsetof(struct yd__table, directory_offset) == 264 && offsetof(struct yd__table, cells_size) == 296 &&
                   offsetof(struct yd__table, copied_from) == 304 && offsetof(struct yd__table, copied) == 312 &&
                   offsetof(struct yd__table, count) == 384 && sizeof(struct yd__table) == 512,
               "the table's layout is the format");
#endif
