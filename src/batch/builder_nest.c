/* The builder's LISTs and MAPs, and copying records from a view.
 *
 * Cells of what is open wait on a stack, because nobody knows their number; at the end they go to the heap as one
 * entry, behind whatever they refer to. A failure anywhere takes back the whole record: names, heap and cells. */
#include "base/text.h"
#include "batch/builder_internal.h"

/* Forgets the open record and passes the error on. */
static int abandon_record(struct yd_builder *builder, int error)
{
    builder->room += builder->cell_count * (uint32_t)sizeof(struct yd_cell) +
                     builder->depth * (uint32_t)sizeof(struct yd_cells) + (uint32_t)sizeof(struct yd_record);
    builder->cell_count = builder->depth = 0;
    yd__builder_back(builder, builder->mark_names, builder->mark_heap);
    /* Alone in the batch and still too large: trying again would not end. */
    return error == YD_EFULL && builder->count == 0 && builder->name_count <= 1 ? YD_ETOOBIG : error;
}

static bool take_room(struct yd_builder *builder, size_t size)
{
    if (size > builder->room) return false;
    builder->room -= (uint32_t)size;
    return true;
}

/* Opens one more level; its head's room is taken now. */
static int open_level(struct yd_builder *builder, uint32_t name, enum yd_type type)
{
    if (type != YD_LIST && type != YD_MAP) return YD_EINVAL;
    if (builder->depth == YD_BATCH_DEPTH_MAX) return YD_ETOOBIG;
    if (!take_room(builder, sizeof(struct yd_cells))) return YD_EFULL;
    builder->open[builder->depth].first = builder->cell_count;
    builder->open[builder->depth].name = name;
    builder->open[builder->depth].type = (uint8_t)type;
    builder->depth++;
    return 0;
}

int yd_builder_begin(struct yd_builder *builder, int64_t time_ns, uint32_t name, enum yd_kind kind, uint16_t flags,
                     enum yd_type list_or_map)
{
    if (builder->depth || builder->reserved || (list_or_map != YD_LIST && list_or_map != YD_MAP)) return YD_EINVAL;
    struct yd_record record = {time_ns, name, (uint8_t)kind, (uint8_t)list_or_map, flags, .value.bits = 0};
    struct yd__facts facts = YD__FACTS_EMPTY;
    yd__facts_add(&facts, &record, 1, builder->name_count);
    if (facts.bad) return YD_EINVAL;
    int r = yd__builder_ready(builder);
    if (r < 0) return r;
    builder->pending = record;
    builder->mark_names = builder->name_count;
    builder->mark_heap = builder->heap_size;
    builder->room -= (uint32_t)sizeof record;
    r = open_level(builder, YD_NO_NAME, list_or_map);
    return r < 0 ? abandon_record(builder, r) : 0;
}

/* The name of a cell where it is to stand. */
static int cell_name(struct yd_builder *builder, struct yd_str name, uint32_t *ret_name)
{
    *ret_name = YD_NO_NAME;
    return builder->open[builder->depth - 1].type == YD_LIST ? 0 : yd_builder_name(builder, name, ret_name);
}

static int push_cell(struct yd_builder *builder, uint32_t name, uint8_t type, union yd_value value)
{
    struct yd_cell *cells = yd__builder_grow(builder, builder->cells, &builder->cell_capacity,
                                             (uint64_t)builder->cell_count + 1, sizeof *cells);
    if (!cells) return YD_ENOMEM;
    builder->cells = cells;
    if (!take_room(builder, sizeof *cells)) return YD_EFULL;
    cells[builder->cell_count++] = (struct yd_cell){.name = name, .type = type, .value = value};
    return 0;
}

int yd_builder_cell(struct yd_builder *builder, struct yd_str name, enum yd_type type, union yd_value value)
{
    uint32_t index;
    if (!builder->depth) return YD_EINVAL;
    if ((unsigned)type > YD_F64 || (type == YD_NIL && value.bits) || (type == YD_BOOL && value.bits > 1))
        return abandon_record(builder, YD_EINVAL);
    int r = cell_name(builder, name, &index);
    if (r == 0) r = push_cell(builder, index, (uint8_t)type, value);
    return r < 0 ? abandon_record(builder, r) : 0;
}

int yd_builder_cell_bytes(struct yd_builder *builder, struct yd_str name, enum yd_type type, struct yd_str bytes)
{
    uint32_t index;
    union yd_value value;
    if (!builder->depth) return YD_EINVAL;
    if (type != YD_TEXT && type != YD_BLOB) return abandon_record(builder, YD_EINVAL);
    if (type == YD_TEXT && !yd_text_utf8(bytes)) return abandon_record(builder, YD_EFORMAT);
    int r = cell_name(builder, name, &index);
    if (r == 0 && yd__heap_up(bytes.size) > builder->room) r = YD_EFULL;
    if (r == 0) r = yd__builder_put(builder, bytes.data, (uint32_t)bytes.size, &value);
    if (r == 0) r = push_cell(builder, index, (uint8_t)type, value);
    return r < 0 ? abandon_record(builder, r) : 0;
}

int yd_builder_nest(struct yd_builder *builder, struct yd_str name, enum yd_type list_or_map)
{
    uint32_t index;
    if (!builder->depth) return YD_EINVAL;
    int r = cell_name(builder, name, &index);
    if (r == 0) r = open_level(builder, index, list_or_map);
    return r < 0 ? abandon_record(builder, r) : 0;
}

/* The innermost level's cells become a heap entry. Its room was taken cell by cell, so this takes none. */
static int close_level(struct yd_builder *builder, union yd_value *ret_value)
{
    uint32_t first = builder->open[builder->depth - 1].first, count = builder->cell_count - first;
    uint32_t size = (uint32_t)(sizeof(struct yd_cells) + count * sizeof(struct yd_cell)), offset = builder->heap_size;
    char *heap = yd__builder_grow(builder, builder->heap, &builder->heap_capacity, (uint64_t)offset + size, 1);
    if (!heap) return YD_ENOMEM;
    builder->heap = heap;
    struct yd_cells head = {.count = count};
    memcpy(heap + offset, &head, sizeof head);
    if (count) memcpy(heap + offset + sizeof head, builder->cells + first, count * sizeof(struct yd_cell));
    builder->heap_size += size;
    builder->cell_count = first;
    builder->depth--;
    ret_value->heap.offset = offset;
    ret_value->heap.size = size;
    return 0;
}

int yd_builder_end(struct yd_builder *builder)
{
    union yd_value value;
    if (!builder->depth) return YD_EINVAL;
    uint32_t name = builder->open[builder->depth - 1].name;
    uint8_t type = builder->open[builder->depth - 1].type;
    int r = close_level(builder, &value);
    if (r < 0) return abandon_record(builder, r);
    if (builder->depth) {
        r = push_cell(builder, name, type, value);
        return r < 0 ? abandon_record(builder, r) : 0;
    }
    builder->pending.value = value;
    builder->room += (uint32_t)sizeof(struct yd_record); /* taken at the beginning; push takes it again */
    yd__builder_push(builder, &builder->pending);
    return 0;
}

/* The cells of a LIST or MAP of a view, into the level that is open. */
static int copy_cells(struct yd_builder *builder, const struct yd_view *view, union yd_value value)
{
    const struct yd_cells *cells = yd_view_cells(view, value);
    for (uint32_t i = 0; i < cells->count; i++) {
        const struct yd_cell *cell = &cells->cell[i];
        struct yd_str name = cell->name == YD_NO_NAME ? (struct yd_str){0} : yd_view_name(view, cell->name);
        int r;
        if (cell->type == YD_TEXT || cell->type == YD_BLOB) {
            r = yd_builder_cell_bytes(builder, name, cell->type, yd_view_bytes(view, cell->value));
        } else if (cell->type == YD_LIST || cell->type == YD_MAP) {
            r = yd_builder_nest(builder, name, cell->type);
            if (r == 0) r = copy_cells(builder, view, cell->value);
            if (r == 0) r = yd_builder_end(builder);
        } else {
            r = yd_builder_cell(builder, name, cell->type, cell->value);
        }
        if (r < 0) return r;
    }
    return 0;
}

/* `names` and `heap` are where the builder stood before the record's name was interned: what a failure goes back to. */
static int copy_record(struct yd_builder *builder, const struct yd_view *view, const struct yd_record *record,
                       uint32_t name, uint32_t names, uint32_t heap)
{
    int r;
    if (record->type == YD_TEXT || record->type == YD_BLOB) {
        r = yd_builder_add_bytes(builder, record->time_ns, name, record->kind, record->type, record->flags,
                                 yd_view_bytes(view, record->value));
    } else if (record->type == YD_LIST || record->type == YD_MAP) {
        r = yd_builder_begin(builder, record->time_ns, name, record->kind, record->flags, record->type);
        if (r == 0) r = copy_cells(builder, view, record->value);
        if (r == 0) r = yd_builder_end(builder);
    } else {
        r = yd_builder_add(builder, record->time_ns, name, record->kind, record->type, record->flags, record->value);
    }
    if (r < 0) yd__builder_back(builder, names, heap);
    return r;
}

int yd_builder_copy(struct yd_builder *builder, const struct yd_view *view, uint32_t index)
{
    if (index >= view->count || builder->depth || builder->reserved) return YD_EINVAL;
    const struct yd_record *record = &view->records[index];
    uint32_t name, names = builder->name_count, heap = builder->heap_size;
    int r = yd_builder_name_hashed(builder, yd_view_name(view, record->name), view->names[record->name].hash, &name);
    return r < 0 ? r : copy_record(builder, view, record, name, names, heap);
}

int yd_builder_copy_as(struct yd_builder *builder, const struct yd_view *view, uint32_t index, uint32_t name)
{
    if (index >= view->count || name >= builder->name_count || builder->depth || builder->reserved) return YD_EINVAL;
    return copy_record(builder, view, &view->records[index], name, builder->name_count, builder->heap_size);
}
