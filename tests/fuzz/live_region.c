/* Shared memory as its reader sees it, from a writer that lies: whatever stands there, nothing is read outside of it,
 * nothing is used before it was checked, every call ends, and what is given out keeps its bounds.
 *
 * input: which region 1, then changes: where 2, how 1, what 4; the reader goes on in between. */
#include <yarder/error.h>

#include <stdlib.h>

#include "base/base.h"
#include "live/ring_read.h"
#include "live/ring_write.h"
#include "live/table_read.h"
#include "live/table_write.h"
#include "live/triple_read.h"
#include "live/triple_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TABLE, DENSE, RING, LOSSLESS, TRIPLE, BASES };
struct base {
    uint8_t *bytes, *control;
    size_t size, control_size;
};
static struct base bases[BASES];

/* At an exact size, so that a step outside is seen. */
static uint8_t *copy_of(const void *bytes, size_t size)
{
    void *copy = NULL;
    YD_ASSERT(posix_memalign(&copy, YD__LIVE_PAIR, size) == 0);
    memcpy(copy, bytes, size);
    return copy;
}

static void keep(struct base *base, const struct yd_live_region *region, const struct yd_live_region *control)
{
    base->size = region->size;
    base->bytes = copy_of(region->header, region->size);
    base->control_size = control ? control->size : 0;
    base->control = control ? copy_of(control->header, control->size) : NULL;
}

static void make_table(struct base *base, uint32_t slots)
{
    struct yd_live_table_options options = {.generation = 1, .id = 2, .now_ns = 3, .capacity = 8, .slots = slots};
    static const char *const names[] = {"a", "engine.rpm", "engine.oil", "text"};
    struct yd_live_table *table;
    options.names_size = 256;
    options.cells_size = 8192;
    YD_ASSERT(yd_live_table_create(&options, NULL, &table) == 0);
    for (uint32_t i = 0; i < YD_COUNT(names); i++) {
        uint32_t index;
        YD_ASSERT(yd_live_table_declare(table, yd_str_of(names[i]), i == 3 ? YD_TEXT : YD_F64, 40, &index) >= 0);
        for (uint64_t v = 1; v <= 3 * i; v++)
            YD_ASSERT(yd_live_table_set(table, index, (int64_t)v, i == 3 ? YD_TEXT : YD_F64, 0, &v, 8) == 0);
    }
    yd_live_table_set_state(table, YD__LIVE_READY);
    keep(base, yd_live_table_region(table), NULL);
    yd_live_table_destroy(table);
}

static void make_ring(struct base *base, bool lossless)
{
    struct yd_live_ring_options options = {
        .generation = 1, .id = 2, .now_ns = 3, .size = YD__RING_SIZE_MIN, .lossless = lossless};
    struct yd_live_ring ring;
    YD_ASSERT(yd_live_ring_create(&options, &ring) == 0);
    for (uint64_t i = 0; i < (lossless ? 80 : 300); i++)
        (void)yd_live_ring_put(&ring, (uint32_t)i % 5, (int64_t)i, YD_U64, 0, "0123456789abcdef", (uint32_t)(i % 17));
    yd_live_ring_commit(&ring);
    yd_live_ring_set_state(&ring, YD__LIVE_READY);
    keep(base, &ring.region, lossless ? &ring.credit_region : NULL);
    yd_live_ring_destroy(&ring);
}

static void make_bases(void)
{
    struct yd_live_triple triple;
    if (bases[0].bytes) return;
    make_table(&bases[TABLE], 4);
    make_table(&bases[DENSE], 2);
    make_ring(&bases[RING], false);
    make_ring(&bases[LOSSLESS], true);
    YD_ASSERT(yd_live_triple_create(48, 1, 2, 3, &triple) == 0);
    YD_ASSERT(yd_live_triple_put(&triple, 1, YD_U64, 0, "12345678", 8) == 0);
    yd_live_triple_set_state(&triple, YD__LIVE_READY);
    keep(&bases[TRIPLE], &triple.region, &triple.control);
    yd_live_triple_destroy(&triple);
}

/* ---- the readers ---- */

static uint64_t seen; /* so that what is given out is looked at */

static void look_at(const void *bytes, size_t size)
{
    seen += yd__live_fnv(YD__LIVE_FNV_START, bytes, size);
}

static void look_at_value(const struct yd_live_value *value, const void *bytes, uint32_t room)
{
    YD_ASSERT(value->size <= YD__TABLE_VALUE_MAX);
    look_at(bytes, value->size < room ? value->size : room);
}

struct reader {
    struct yd_live_mapping region, control;
    struct yd_live_table_view view;
    struct yd_live_cell cells[8];
    struct yd_live_cursor cursors[8];
    struct yd_live_ring_reader ring;
    struct yd_live_triple_reader triple;
    unsigned cell_count;
};

static bool open_reader(struct reader *reader, unsigned which)
{
    static const enum yd__live_kind kinds[] = {[TABLE] = YD__LIVE_TABLE,
                                               [DENSE] = YD__LIVE_TABLE,
                                               [RING] = YD__LIVE_RING,
                                               [LOSSLESS] = YD__LIVE_RING,
                                               [TRIPLE] = YD__LIVE_TRIPLE};
    if (yd__live_header_check(reader->region.header, reader->region.size, kinds[which])) return false;
    if (which <= DENSE) return yd_live_table_view_open(&reader->region, &reader->view) == 0;
    if (which == TRIPLE) return yd_live_triple_reader_open(&reader->region, &reader->control, &reader->triple) == 0;
    return yd_live_ring_reader_open(&reader->region, which == LOSSLESS ? &reader->control : NULL, &reader->ring) == 0;
}

static void read_table(struct reader *reader)
{
    uint32_t count = yd_live_table_view_count(&reader->view), index;
    char value[64];
    for (uint32_t i = 0; i < count && i < 8; i++) {
        const char *name;
        uint32_t size;
        uint64_t chain;
        if (yd_live_table_view_name(&reader->view, i, &name, &size) == 0) look_at(name, size);
        (void)yd_live_table_view_chain(&reader->view, i, &chain);
        if (i < reader->cell_count) continue; /* what was checked once is used on */
        if (yd_live_table_view_cell(&reader->view, i, &reader->cells[i])) break;
        reader->cell_count = i + 1;
    }
    (void)yd_live_table_view_find(&reader->view, "engine.oil", 10, 0, &index);
    for (unsigned i = 0; i < reader->cell_count; i++) {
        struct yd_live_value got;
        uint32_t room = i % 2 ? sizeof value : 8;
        if (yd_live_cell_get(&reader->cells[i], &reader->cursors[i], value, room, &got) == 1)
            look_at_value(&got, value, room);
        reader->cursors[i].seq = i;
        if (yd_live_cell_next(&reader->cells[i], &reader->cursors[i], value, room, &got) == 1)
            look_at_value(&got, value, room);
    }
}

static void read_ring(struct reader *reader)
{
    char value[16];
    for (int i = 0; i < 400; i++) {
        struct yd_live_event event;
        if (yd_live_ring_next(&reader->ring, i % 3 ? value : NULL, sizeof value, &event) != 1) break;
        YD_ASSERT(event.size <= reader->ring.size && event.index != YD__RING_FILLING);
        look_at(value, event.size < sizeof value && i % 3 ? event.size : 0);
    }
}

static void read_triple(struct reader *reader)
{
    const void *bytes;
    struct yd_live_value value;
    struct yd_live_sleep sleep;
    if (yd_live_triple_take(&reader->triple, &bytes, &value) == 1) look_at_value(&value, bytes, 48);
    (void)yd_live_triple_arm(&reader->triple, &sleep);
}

/* ---- the writer that lies ---- */

static void change(const struct reader *reader, const uint8_t *data)
{
    uint16_t where;
    uint32_t what;
    memcpy(&where, data, 2);
    memcpy(&what, data + 3, 4);
    bool is_control = reader->control.header && data[2] & 0x80;
    const struct yd_live_mapping *mapping = is_control ? &reader->control : &reader->region;
    uint8_t *bytes = (uint8_t *)(uintptr_t)mapping->header;
    size_t at = where % (mapping->size / 4) * 4;
    uint32_t word;
    memcpy(&word, bytes + at, 4);
    switch (data[2] & 3) {
    case 0:
        word = what;
        break;
    case 1:
        word += what & 0xff;
        break;
    case 2:
        word ^= UINT32_C(1) << (what & 31);
        break;
    default:
        word -= what & 0xff;
        break;
    }
    memcpy(bytes + at, &word, 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    make_bases();
    if (size < 1) return 0;
    unsigned which = data[0] % BASES;
    const struct base *base = &bases[which];
    struct reader reader = {.region = {NULL, base->size, false}, .control = {NULL, base->control_size, true}};
    uint8_t *bytes = copy_of(base->bytes, base->size), *control = NULL;
    if (base->control) control = copy_of(base->control, base->control_size);
    reader.region.header = (const struct yd__live_header *)(const void *)bytes;
    reader.control.header = (const struct yd__live_header *)(const void *)control;
    bool is_open = data[0] >= 128 && open_reader(&reader, which); /* before the first lie, or amid them */
    for (data++, size--; size >= 7; data += 7, size -= 7) {
        change(&reader, data);
        if (!(data[2] & 0x40)) continue; /* another one first */
        if (!is_open) is_open = open_reader(&reader, which);
        if (!is_open) continue;
        if (which <= DENSE) read_table(&reader);
        if (which == RING || which == LOSSLESS) read_ring(&reader);
        if (which == TRIPLE) read_triple(&reader);
    }
    free(bytes);
    free(control);
    return 0;
}
