/* Map: renames, retags, rescales records, and fills cells of ROWs; one record out for each one in.
 *
 * New names that follow from the old name alone are made once per name of a batch. A record that cannot be mapped (its
 * new name is not a name) is rejected alone, its neighbours pass. */
#include <yarder/element.h>

#include <stdio.h>

#include "base/base.h"
#include "batch/record_text.h"
#include "elements/template.h"

enum { PORT_INPUT, PORT_OUTPUT };
enum { REASON_NAME, REASON_SIZE };
#define TAGS_MAX  16
#define CELLS_MAX 16
#define SPLIT     (1u << 20) /* a batch of this size goes out; only a record that is larger by itself makes one larger */
#define UNMAPPED  (UINT32_MAX - 1)
#define BAD_NAME  UINT32_MAX

struct field {
    struct yd_str key;
    struct yd_template value;
};

struct map {
    struct yd_template name;
    struct field tags[TAGS_MAX], cells[CELLS_MAX];
    size_t tag_count, cell_count;
    bool renames, rename_per_record, scales, has_otherwise;
    double scale, offset;
    struct yd_str lookup, into, otherwise;
    const struct yd_arg *table;
    struct yd_builder *builder;
    struct yd_buf names; /* uint32_t by name of the batch at hand */
    struct yd_buf text;
};

/* The cell that gets what is looked up. */
static struct yd_str into_of(const struct yd_args *args)
{
    return yd_args_text(args, yd_args_find(args, "into") ? "into" : "lookup");
}

static int check(const struct yd_args *args, char *why, size_t why_size)
{
    struct yd_str into = yd_args_find(args, "table") ? into_of(args) : YD_STR("");
    const struct {
        const char *param;
        size_t max;
    } maps[] = {{"tags", TAGS_MAX}, {"cells", CELLS_MAX}};
    const char *reason = "";
    struct yd_template template;
    if (yd_args_find(args, "name") && yd_args_text(args, "name").size == 0) {
        snprintf(why, why_size, "name: empty, no record can be called that");
        return YD_EINVAL;
    }
    if (yd_args_find(args, "name") && yd_template_compile(&template, yd_args_text(args, "name"), &reason) < 0) {
        snprintf(why, why_size, "name: %s", reason);
        return YD_EINVAL;
    }
    if (yd_args_find(args, "name")) yd_template_fini(&template);
    for (size_t m = 0; m < YD_COUNT(maps); m++) {
        const struct yd_arg *map = yd_args_find(args, maps[m].param);
        if (map && map->list.count > maps[m].max) {
            snprintf(why, why_size, "%s: at most %zu", maps[m].param, maps[m].max);
            return YD_EINVAL;
        }
        for (size_t i = 0; map && i < map->list.count; i++) {
            const struct yd_arg *item = &map->list.items[i];
            if (item->type != YD_PARAM_TEXT) {
                snprintf(why, why_size, "%s: %s wants text in quotes", maps[m].param, item->name);
                return YD_EINVAL;
            }
            if (m == 1 && yd_str_eq(yd_str_of(item->name), into)) {
                snprintf(why, why_size, "cells: %s is what the table's result goes into", item->name);
                return YD_EINVAL;
            }
            if (yd_template_compile(&template, item->text, &reason) < 0) {
                snprintf(why, why_size, "%s: %s: %s", maps[m].param, item->name, reason);
                return YD_EINVAL;
            }
            yd_template_fini(&template);
        }
    }
    if (!yd_args_find(args, "lookup") != !yd_args_find(args, "table")) {
        snprintf(why, why_size, "lookup and table go together: the cell to look up, and what its values become");
        return YD_EINVAL;
    }
    const struct yd_arg *table = yd_args_find(args, "table");
    for (size_t i = 0; table && i < table->list.count; i++)
        if (table->list.items[i].type != YD_PARAM_TEXT) {
            snprintf(why, why_size, "table: %s wants text in quotes", table->list.items[i].name);
            return YD_EINVAL;
        }
    return 0;
}

static int open_fields(struct field *fields, size_t *ret_count, const struct yd_arg *map)
{
    const char *why;
    for (size_t i = 0; map && i < map->list.count; i++) {
        fields[i].key = yd_str_of(map->list.items[i].name);
        int error = yd_template_compile(&fields[i].value, map->list.items[i].text, &why);
        if (error < 0) return error;
        *ret_count = i + 1;
    }
    return 0;
}

static int open_map(struct yd_element *element, void *state)
{
    struct map *map = state;
    const struct yd_args *args = yd_element_args(element);
    const char *why = "";
    yd_buf_init(&map->names, NULL);
    yd_buf_init(&map->text, NULL);
    struct yd_str name = yd_args_find(args, "name") ? yd_args_text(args, "name") : YD_STR("{metric}");
    int error = yd_template_compile(&map->name, name, &why);
    if (error == 0) error = open_fields(map->tags, &map->tag_count, yd_args_find(args, "tags"));
    if (error == 0) error = open_fields(map->cells, &map->cell_count, yd_args_find(args, "cells"));
    if (error < 0) return yd_element_fail(element, error, "%s", why);
    map->renames = yd_args_find(args, "name") || map->tag_count;
    map->rename_per_record = map->name.per_record;
    for (size_t i = 0; i < map->tag_count; i++) map->rename_per_record |= map->tags[i].value.per_record;
    map->scales = yd_args_find(args, "scale") || yd_args_find(args, "offset");
    map->scale = yd_args_find(args, "scale") ? yd_args_float(args, "scale") : 1;
    map->offset = yd_args_float(args, "offset");
    map->lookup = yd_args_text(args, "lookup");
    map->into = into_of(args);
    map->otherwise = yd_args_text(args, "otherwise");
    map->has_otherwise = yd_args_find(args, "otherwise") != NULL;
    map->table = yd_args_find(args, "table");
    return yd_builder_create(&(struct yd_builder_options){.size_max = YD_BATCH_SIZE_MAX}, &map->builder);
}

static void close_map(void *state)
{
    struct map *map = state;
    yd_template_fini(&map->name);
    for (size_t i = 0; i < map->tag_count; i++) yd_template_fini(&map->tags[i].value);
    for (size_t i = 0; i < map->cell_count; i++) yd_template_fini(&map->cells[i].value);
    yd_buf_fini(&map->names);
    yd_buf_fini(&map->text);
    yd_builder_destroy(map->builder);
}

/* The new name of a record: metric from the template, its own tags, those of `tags` on top (an empty value removes).
 * YD_EFORMAT: it is none. */
static int new_name(struct map *map, const struct yd_view *view, uint32_t record, uint32_t *ret_index)
{
    struct yd_name name;
    char canonical[YD_NAME_SIZE_MAX + 1];
    size_t size;
    if (yd_name_parse(yd_view_name(view, view->records[record].name), &name, NULL) < 0) return YD_EFORMAT;
    struct yd_buf *text = &map->text;
    yd_buf_clear(text);
    yd_template_fill(&map->name, view, record, &name, true, text);
    char separator = ' ';
    for (uint32_t i = 0; i < name.tag_count; i++) {
        bool replaced = false;
        for (size_t j = 0; j < map->tag_count; j++) replaced |= yd_str_eq(map->tags[j].key, name.tags[i].key);
        if (replaced) continue;
        yd_buf_char(text, separator);
        yd_buf_str(text, name.tags[i].key);
        yd_buf_char(text, '=');
        yd_buf_str(text, name.tags[i].value);
        separator = ',';
    }
    for (size_t i = 0; i < map->tag_count; i++) {
        size_t before = text->size;
        yd_buf_char(text, separator);
        yd_buf_str(text, map->tags[i].key);
        yd_buf_char(text, '=');
        size_t empty = text->size;
        yd_template_fill(&map->tags[i].value, view, record, &name, true, text);
        if (text->size == empty)
            text->size = before;
        else
            separator = ',';
    }
    if (text->failed) return YD_ENOMEM;
    if (yd_name_canonical(yd_buf_view(text), canonical, &size) < 0) return YD_EFORMAT;
    return yd_builder_name(map->builder, (struct yd_str){canonical, size}, ret_index);
}

static int copy_cell(struct yd_builder *builder, const struct yd_view *view, struct yd_str name,
                     const struct yd_cell *cell)
{
    if (cell->type == YD_TEXT || cell->type == YD_BLOB)
        return yd_builder_cell_bytes(builder, name, cell->type, yd_view_bytes(view, cell->value));
    if (cell->type != YD_LIST && cell->type != YD_MAP) return yd_builder_cell(builder, name, cell->type, cell->value);
    const struct yd_cells *cells = yd_view_cells(view, cell->value);
    int error = yd_builder_nest(builder, name, cell->type);
    for (uint32_t i = 0; error == 0 && i < cells->count; i++) {
        struct yd_str inner = cell->type == YD_MAP ? yd_view_name(view, cells->cell[i].name) : YD_STR("");
        error = copy_cell(builder, view, inner, &cells->cell[i]); /* depth is bounded by the view's check */
    }
    return error < 0 ? error : yd_builder_end(builder);
}

/* What the table says of a cell goes into `into`. What it does not know becomes `otherwise`; without that the cell
 * stays what it is, or is not there. */
static int add_looked_up(struct map *map, const struct yd_view *view, const struct yd_cell *cell)
{
    struct yd_str value = YD_STR("");
    yd_buf_clear(&map->text);
    if (cell) yd_value_text(view, (enum yd_type)cell->type, cell->value, &map->text);
    if (map->text.failed) return YD_ENOMEM;
    if (cell) value = yd_buf_view(&map->text);
    for (size_t i = 0; i < map->table->list.count; i++) {
        const struct yd_arg *item = &map->table->list.items[i];
        if (cell && yd_str_eq(yd_str_of(item->name), value))
            return yd_builder_cell_bytes(map->builder, map->into, YD_TEXT, item->text);
    }
    if (map->has_otherwise) return yd_builder_cell_bytes(map->builder, map->into, YD_TEXT, map->otherwise);
    return cell ? copy_cell(map->builder, view, map->into, cell) : 0;
}

static bool is_made(const struct map *map, struct yd_str key)
{
    if (map->table && yd_str_eq(key, map->into)) return true;
    for (size_t i = 0; i < map->cell_count; i++)
        if (yd_str_eq(key, map->cells[i].key)) return true;
    return false;
}

static int add_row(struct map *map, const struct yd_view *view, uint32_t index, uint32_t name)
{
    const struct yd_record *record = &view->records[index];
    const struct yd_cells *cells = yd_view_cells(view, record->value);
    struct yd_builder *builder = map->builder;
    struct yd_name parts;
    if (yd_name_parse(yd_view_name(view, record->name), &parts, NULL) < 0) return YD_EFORMAT;
    int error = yd_builder_begin(builder, record->time_ns, name, record->kind, record->flags, YD_MAP);
    for (uint32_t i = 0; error == 0 && i < cells->count; i++) {
        struct yd_str key = yd_view_name(view, cells->cell[i].name);
        if (!is_made(map, key)) error = copy_cell(builder, view, key, &cells->cell[i]);
    }
    for (size_t i = 0; error == 0 && i < map->cell_count; i++) {
        yd_buf_clear(&map->text);
        yd_template_fill(&map->cells[i].value, view, index, &parts, false, &map->text);
        error = map->text.failed ? YD_ENOMEM
                                 : yd_builder_cell_bytes(builder, map->cells[i].key, YD_TEXT, yd_buf_view(&map->text));
    }
    if (error == 0 && map->table) error = add_looked_up(map, view, yd_view_find(view, record->value, map->lookup));
    return error < 0 ? error : yd_builder_end(builder);
}

static int add_record(struct map *map, const struct yd_view *view, uint32_t index)
{
    const struct yd_record *record = &view->records[index];
    uint32_t *names = (uint32_t *)(void *)map->names.data, name = names[record->name];
    int error = 0;
    if (name == BAD_NAME) return YD_EFORMAT;
    if (name == UNMAPPED || map->rename_per_record) {
        error = map->renames ? new_name(map, view, index, &name)
                             : yd_builder_name(map->builder, yd_view_name(view, record->name), &name);
        if (error < 0) {
            if (error != YD_EFULL && error != YD_ENOMEM && !map->rename_per_record) names[record->name] = BAD_NAME;
            return error;
        }
        names[record->name] = name;
    }
    if (record->type == YD_MAP && (map->cell_count || map->table)) return add_row(map, view, index, name);
    double number;
    if (map->scales && yd_value_number(record->type, record->value, &number) && record->type != YD_BOOL)
        return yd_builder_add(map->builder, record->time_ns, name, record->kind, YD_F64, record->flags,
                              (union yd_value){.f64 = number * map->scale + map->offset});
    return yd_builder_copy_as(map->builder, view, index, name);
}

static int emit_built(struct map *map, const struct yd_view *view, struct yd_out *out)
{
    struct yd_batch *batch;
    for (uint32_t i = 0; i < view->name_count; i++) ((uint32_t *)(void *)map->names.data)[i] = UNMAPPED;
    int error = yd_builder_seal(map->builder, &batch);
    if (error == YD_EAGAIN) return 0;
    return error < 0 ? error : yd_emit(out, PORT_OUTPUT, batch);
}

static enum yd_turn_result receive(void *state, struct yd_input *input, struct yd_out *out)
{
    struct map *map = state;
    if (input->type != YD_INPUT_BATCH) return YD_DONE;
    const struct yd_view *view = &input->batch->view;
    yd_buf_clear(&map->names);
    if (!yd_buf_reserve(&map->names, (view->name_count + 1) * sizeof(uint32_t))) return YD_FAIL;
    for (uint32_t i = 0; i < view->name_count; i++) ((uint32_t *)(void *)map->names.data)[i] = UNMAPPED;
    for (uint32_t i = 0; i < view->count; i++) {
        int error = add_record(map, view, i);
        if (error == YD_EFULL) {
            if (emit_built(map, view, out) < 0) return YD_FAIL;
            error = add_record(map, view, i);
        }
        if (error == YD_ENOMEM) {
            yd_builder_abandon(map->builder);
            return YD_FAIL;
        }
        if (error < 0)
            yd_count_rejected(out, error == YD_EFORMAT ? REASON_NAME : REASON_SIZE, 1,
                              yd_view_name(view, view->records[i].name));
        if (yd_builder_size(map->builder) >= SPLIT && emit_built(map, view, out) < 0) return YD_FAIL;
    }
    return emit_built(map, view, out) < 0 ? YD_FAIL : YD_DONE;
}

static const struct yd_port_class ports[] = {
    [PORT_INPUT] = {.name = "input",
                    .direction = YD_IN,
                    .mode = YD_PUSH,
                    .kinds = YD_KINDS_ALL,
                    .flags = YD_PORT_REQUIRED,
                    .doc = "Records of any kind."},
    [PORT_OUTPUT] = {.name = "output",
                     .direction = YD_OUT,
                     .mode = YD_PUSH,
                     .kinds = YD_KINDS_ALL,
                     .flags = YD_PORT_REQUIRED | YD_PORT_PASSES,
                     .doc = "One record for each, in their order."},
    {.name = NULL},
};

static const struct yd_param_class params[] = {
    {.name = "name",
     .type = YD_PARAM_TEXT,
     .doc = "The new metric: text with `{metric}`, `{tag.KEY}`, `{CELL}`, `{value}`. Tags stay."},
    {.name = "tags", .type = YD_PARAM_MAP, .doc = "Tags to set, as templates; an empty one removes the tag."},
    {.name = "scale", .type = YD_PARAM_FLOAT, .doc = "Numbers are multiplied by this; integers become floats."},
    {.name = "offset", .type = YD_PARAM_FLOAT, .doc = "Added after scaling."},
    {.name = "cells", .type = YD_PARAM_MAP, .doc = "Cells of a ROW to set, as templates."},
    {.name = "lookup", .type = YD_PARAM_TEXT, .doc = "A ROW's cell to look up in `table`, as it is printed."},
    {.name = "table", .type = YD_PARAM_MAP, .doc = "What its values become: `{c: \"C source\", h: \"C header\"}`."},
    {.name = "into", .type = YD_PARAM_TEXT, .doc = "The cell that gets the result; without it, the same cell."},
    {.name = "otherwise",
     .type = YD_PARAM_TEXT,
     .doc = "For values not in the table; without it they stay as they are."},
    {.name = NULL},
};

static const char *const reasons[] = {[REASON_NAME] = "not a name", [REASON_SIZE] = "too large", NULL};

const struct yd_element_class yd_class_map = {
    .abi = YD_ELEMENT_ABI,
    .flags = YD_CLASS_REPEATS,
    .name = "Map",
    .summary = "renames, retags, rescales, and fills cells",
    .doc = "One record comes out for each that goes in. Templates take `{metric}`, `{name}`, `{tag.KEY}`, `{value}` "
           "and the "
           "cells of a ROW by name; `{{` is a brace. A record whose new name is not a name is rejected alone.",
    .example =
        "metrics -> Map(name: \"site.{metric}\", tags: {dc: \"eu\", host: \"{tag.server}\", server: \"\"}) -> Print()",
    .ports = ports,
    .params = params,
    .reasons = reasons,
    .state_size = sizeof(struct map),
    .check = check,
    .open = open_map,
    .close = close_map,
    .receive = receive,
};
