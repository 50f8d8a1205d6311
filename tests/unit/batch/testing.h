/* What the tests of this floor share: cmocka, a seed that is printed, random batches beside a plain model. */
#ifndef TESTS_BATCH_TESTING_H
#define TESTS_BATCH_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include <yarder/batch.h>

#include "base/alloc.h"
#include "base/hash.h"

#define assert_ok(call)           assert_int_equal((call), 0)
#define assert_error(call, error) assert_int_equal((call), (error))

static inline uint64_t test_seed(void)
{
    const char *given = getenv("YARDER_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    print_message("# YARDER_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

/* A value as anybody would write it down. */
struct model_value {
    enum yd_type type;
    uint64_t bits;
    struct yd_str bytes;
    uint32_t count; /* of cells */
    struct yd_str *names;
    struct model_value *cells;
};
struct model_record {
    int64_t time_ns;
    struct yd_str name;
    enum yd_kind kind;
    uint16_t flags;
    struct model_value value;
};

static inline struct yd_str model_name(struct yd_arena *arena, struct yd_rng *rng, uint32_t variety)
{
    uint64_t number = yd_rng_below(rng, variety);
    if (number % 50 == 7) return yd_arena_str(arena, YD_STR("m\xc3\xa4rz"));
    size_t padding = number % 60;
    char *text =
        yd_arena_printf(arena, "%.*s%llu", (int)padding,
                        "servers.rack.unit.process.queue.depth.and.some.more.padding.here", (unsigned long long)number);
    return yd_str_of(text);
}

static inline struct yd_str model_bytes(struct yd_arena *arena, struct yd_rng *rng, bool text)
{
    size_t size = yd_rng_chance(rng, 20) ? yd_rng_below(rng, 3000) : yd_rng_below(rng, 40);
    char *bytes = yd_arena_get(arena, size + 1);
    for (size_t i = 0; i < size; i++) bytes[i] = (char)(text ? 1 + yd_rng_below(rng, 127) : yd_rng_next(rng));
    return (struct yd_str){bytes, size};
}

static inline struct model_value model_value(struct yd_arena *arena, struct yd_rng *rng, unsigned types, unsigned depth)
{
    struct model_value value = {0};
    if (depth >= YD_BATCH_DEPTH_MAX) types &= ~(1u << YD_LIST | 1u << YD_MAP);
    do value.type = (enum yd_type)yd_rng_below(rng, YD_TYPE_COUNT);
    while (!(types >> value.type & 1));
    switch (value.type) {
    case YD_NIL:
        break;
    case YD_BOOL:
        value.bits = yd_rng_below(rng, 2);
        break;
    case YD_TEXT:
    case YD_BLOB:
        value.bytes = model_bytes(arena, rng, value.type == YD_TEXT);
        break;
    case YD_LIST:
    case YD_MAP:
        value.count = (uint32_t)yd_rng_below(rng, 5);
        value.names = yd_arena_zero(arena, value.count * sizeof *value.names);
        value.cells = yd_arena_zero(arena, value.count * sizeof *value.cells);
        for (uint32_t i = 0; i < value.count; i++) {
            if (value.type == YD_MAP) value.names[i] = model_name(arena, rng, 300);
            /* Few wide levels, but now and then a deep one. */
            unsigned nested = depth < 2 || yd_rng_chance(rng, 3) ? types : types & ~(1u << YD_LIST | 1u << YD_MAP);
            value.cells[i] = model_value(arena, rng, nested | 1u << YD_I64, depth + 1);
        }
        break;
    default:
        value.bits = yd_rng_next(rng);
    }
    return value;
}

static inline struct model_record model_record(struct yd_arena *arena, struct yd_rng *rng, uint32_t name_variety)
{
    struct model_record record = {.name = model_name(arena, rng, name_variety)};
    record.time_ns = (int64_t)(yd_rng_next(rng) >> yd_rng_below(rng, 64));
    record.kind = (enum yd_kind)(1 + yd_rng_below(rng, YD_KIND_COUNT - 1));
    record.flags = (uint16_t)(yd_rng_next(rng) & 0x7f);
    unsigned types = record.kind == YD_PACKET ? 1u << YD_NIL | 1u << YD_BLOB : (1u << YD_TYPE_COUNT) - 1;
    do record.value = model_value(arena, rng, types, 0);
    while (record.kind == YD_ROW && record.value.type != YD_MAP && record.value.type != YD_NIL);
    return record;
}

static inline int build_cell(struct yd_builder *builder, struct yd_str name, const struct model_value *value)
{
    if (value->type == YD_TEXT || value->type == YD_BLOB)
        return yd_builder_cell_bytes(builder, name, value->type, value->bytes);
    if (value->type != YD_LIST && value->type != YD_MAP)
        return yd_builder_cell(builder, name, value->type, (union yd_value){.bits = value->bits});
    int r = yd_builder_nest(builder, name, value->type);
    for (uint32_t i = 0; r == 0 && i < value->count; i++) r = build_cell(builder, value->names[i], &value->cells[i]);
    return r < 0 ? r : yd_builder_end(builder);
}

static inline int build_record(struct yd_builder *builder, const struct model_record *record)
{
    const struct model_value *value = &record->value;
    uint32_t name;
    int r = yd_builder_name(builder, record->name, &name);
    if (r < 0) return r;
    if (value->type == YD_TEXT || value->type == YD_BLOB)
        return yd_builder_add_bytes(builder, record->time_ns, name, record->kind, value->type, record->flags,
                                    value->bytes);
    if (value->type != YD_LIST && value->type != YD_MAP)
        return yd_builder_add(builder, record->time_ns, name, record->kind, value->type, record->flags,
                              (union yd_value){.bits = value->bits});
    r = yd_builder_begin(builder, record->time_ns, name, record->kind, record->flags, value->type);
    for (uint32_t i = 0; r == 0 && i < value->count; i++) r = build_cell(builder, value->names[i], &value->cells[i]);
    return r < 0 ? r : yd_builder_end(builder);
}

static inline void assert_str_equal(struct yd_str a, struct yd_str b)
{
    assert_int_equal(a.size, b.size);
    if (a.size) assert_memory_equal(a.data, b.data, a.size);
}

static inline void assert_value(const struct yd_view *view, unsigned type, union yd_value value,
                                const struct model_value *model)
{
    assert_int_equal(type, model->type);
    if (type == YD_TEXT || type == YD_BLOB) {
        assert_str_equal(yd_view_bytes(view, value), model->bytes);
    } else if (type == YD_LIST || type == YD_MAP) {
        const struct yd_cells *cells = yd_view_cells(view, value);
        assert_int_equal(cells->count, model->count);
        for (uint32_t i = 0; i < cells->count; i++) {
            const struct yd_cell *cell = &cells->cell[i];
            if (type == YD_MAP)
                assert_str_equal(yd_view_name(view, cell->name), model->names[i]);
            else
                assert_int_equal(cell->name, YD_NO_NAME);
            assert_value(view, cell->type, cell->value, &model->cells[i]);
        }
    } else {
        assert_true(value.bits == model->bits);
    }
}

static inline void assert_record(const struct yd_view *view, uint32_t index, const struct model_record *model)
{
    const struct yd_record *record = &view->records[index];
    assert_true(record->time_ns == model->time_ns);
    assert_int_equal(record->kind, model->kind);
    assert_int_equal(record->flags, model->flags);
    assert_str_equal(yd_view_name(view, record->name), model->name);
    assert_value(view, record->type, record->value, &model->value);
}

/* What the header must say of these records. */
static inline void assert_header(const struct yd_header *header, const struct model_record *const *records,
                                 uint32_t count)
{
    int64_t min = INT64_MAX, max = INT64_MIN;
    uint32_t kinds = 0;
    bool sorted = true;
    for (uint32_t i = 0; i < count; i++) {
        if (records[i]->time_ns < min) min = records[i]->time_ns;
        if (records[i]->time_ns > max) max = records[i]->time_ns;
        if (i && records[i]->time_ns < records[i - 1]->time_ns) sorted = false;
        kinds |= YD_KIND_BIT(records[i]->kind);
    }
    assert_int_equal(header->count, count);
    assert_true(header->time_min == min && header->time_max == max);
    assert_int_equal(header->kinds, kinds);
    assert_int_equal(header->flags, sorted ? YD_FLAG_SORTED : 0);
    assert_int_equal(header->size % YD_BATCH_ALIGN, 0);
}

#endif
