/* live/region_format.h: how every shared region begins.
 *
 *   0        256
 *   | header | what the kind says: table_format.h, ring_format.h, triple_format.h, bell_format.h
 *
 * A region takes memory by the page, and a subscription has three of them: so nothing is laid out by the page.
 *
 * | off | size | field           | meaning                                                                  |
 * |-----|------|-----------------|--------------------------------------------------------------------------|
 * |   0 |    4 | magic           | "YDLV"                                                                   |
 * |   4 |    2 | abi_major       | 2. Another one is refused                                                |
 * |   6 |    2 | abi_minor       | 1. Greater ones only add fields where zeros are now                      |
 * |   8 |    8 | byte_order      | 0x0102030405060708 as the writer stores it: the writer's own order       |
 * |  16 |    4 | header_size     | 256                                                                      |
 * |  20 |    4 | kind            | 1 table, 2 ring, 3 triple buffer, 4 bell, 5 credit                       |
 * |  24 |    8 | size            | of the whole region, whole pages                                         |
 * |  32 |    4 | line_size       | 64: what one side writes lies at least that far from what another does;  |
 * |     |      |                 | the words of a bell, which both write, half as far from each other       |
 * |  36 |    4 | pair_size       | 128: and where it is worth it that far (adjacent lines are fetched as one) |
 * |  40 |    8 | generation      | rises with every region that replaces another                            |
 * |  48 |    8 | dictionary_hash | of the names at READY (table); 0: none                                   |
 * |  56 |    8 | id              | of this region; its bells bear it too                                    |
 * |  64 |    8 | writer_pid      | the writer's identity: pid, start time, boot id                          |
 * |  72 |    8 | writer_start    | clock ticks after boot                                                   |
 * |  80 |   16 | boot_id         |                                                                          |
 * |  96 |    8 | created_ns      | since 1970 UTC                                                           |
 * | 128 |    4 | state           | 0 being made, 1 READY (stored last, with release), 2 replaced by a newer |
 * |     |      |                 | generation, 3 closed                                                     |
 * | 256 |      | parameters      | of the kind                                                              |
 *
 * Fixed widths and offsets, no pointers, never resized. Offsets are from the region's start. Multi-byte fields are in
 * the byte order of the machine: a region never leaves it, and `byte_order` refuses one that did. */
#ifndef LIVE_REGION_FORMAT_H
#define LIVE_REGION_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define YD__LIVE_MAGIC       UINT32_C(0x564c4459) /* "YDLV" */
#define YD__LIVE_ABI_MAJOR   2
#define YD__LIVE_ABI_MINOR   1
#define YD__LIVE_BYTE_ORDER  UINT64_C(0x0102030405060708)
#define YD__LIVE_HEADER_SIZE 256
#define YD__LIVE_PAGE        4096 /* sizes of regions are multiples of it */
#define YD__LIVE_LINE        64
#define YD__LIVE_PAIR        128
#define YD__LIVE_PARAMETERS  256
#define YD__LIVE_CONTENT     512 /* behind the parameters; a bell has none */
#define YD__LIVE_SIZE_MAX    (UINT64_C(1) << 40)

enum yd__live_kind { YD__LIVE_TABLE = 1, YD__LIVE_RING, YD__LIVE_TRIPLE, YD__LIVE_BELL, YD__LIVE_CREDIT };
enum yd__live_state { YD__LIVE_MAKING, YD__LIVE_READY, YD__LIVE_REPLACED, YD__LIVE_CLOSED };

/* What a slot, a record and a buffer say of their value, in one word. */
#define YD__META(size, type, flags)                                                                                    \
    ((uint64_t)(uint32_t)(size) | (uint64_t)(uint8_t)(type) << 32 | (uint64_t)(uint16_t)(flags) << 48)
#define YD__META_SIZE(meta)  ((uint32_t)(meta))
#define YD__META_TYPE(meta)  ((uint8_t)((meta) >> 32))
#define YD__META_FLAGS(meta) ((uint16_t)((meta) >> 48))

struct yd__live_header {
    uint32_t magic;
    uint16_t abi_major, abi_minor;
    uint64_t byte_order;
    uint32_t header_size;
    uint32_t kind;
    uint64_t size;
    uint32_t line_size, pair_size;
    uint64_t generation;
    uint64_t dictionary_hash;
    uint64_t id;
    int64_t writer_pid;
    uint64_t writer_start;
    uint8_t boot_id[16];
    int64_t created_ns;
    uint8_t reserved0[24];
    uint32_t state;
    uint8_t reserved1[124];
};

_Static_assert(sizeof(struct yd__live_header) == YD__LIVE_PARAMETERS && offsetof(struct yd__live_header, size) == 24 &&
                   offsetof(struct yd__live_header, generation) == 40 &&
                   offsetof(struct yd__live_header, writer_pid) == 64 &&
                   offsetof(struct yd__live_header, created_ns) == 96 && offsetof(struct yd__live_header, state) == 128,
               "the header's layout is the format");

#endif
