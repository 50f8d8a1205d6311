/* GSW's YAML: measurements, and the packets that are made of them.
 *
 *   measurements:                               telemetry_packets:
 *     - {name: alt, size: 3, type: int}           - {name: fc, port: 8000, measurements: [alt, temp]}
 *
 * size is in bytes (1 to 8 for integers, odd ones too), type int, float or string, unsigned true or false, endianness
 * big (unless said) or little, scaling what the raw value is multiplied with. Measurements may also be a map by name.
 * GSW tells packets apart by their port: the port stays in the packet's doc. What can fail: text that is no YAML,
 * references and tags (refused), mistakes, memory. */
#include <yaml.h>

#include "base/text.h"
#include "decom/convert_internal.h"

#define DEPTH_MAX 16
#define NODES_MAX 1000000

struct node { /* of the document: all kinds in one */
    struct node *next, *first, *last;
    struct yd_str key, text; /* of a map's member; of a scalar */
    struct yd_place place;
    enum { SCALAR, LIST, MAP } kind;
};
struct gsw {
    struct yd__source source;
    struct yd_def *def;
    struct yd_arena arena;
    yaml_parser_t parser;
    uint32_t nodes;
    bool failed; /* memory */
};

static bool mistake(struct gsw *gsw, const struct node *node, enum yd_def_code code, const char *format)
{
    return yd_def_error(gsw->source.diagnostics, code, node->place, "", format,
                        (int)YD_MIN(node->text.size, (size_t)80), node->text.data);
}

/* ---- the document ---- */

static struct yd_place place_of(struct gsw *gsw, yaml_mark_t begin, yaml_mark_t end)
{
    uint32_t length = begin.line == end.line && end.column > begin.column ? (uint32_t)(end.column - begin.column) : 1;
    return (struct yd_place){gsw->source.file, (uint32_t)begin.line + 1, (uint32_t)begin.column + 1, length};
}

static bool next_event(struct gsw *gsw, yaml_event_t *event)
{
    if (yaml_parser_parse(&gsw->parser, event)) return true;
    yaml_mark_t mark = gsw->parser.problem_mark;
    if (gsw->parser.error == YAML_MEMORY_ERROR)
        gsw->failed = true;
    else
        yd_def_error(gsw->source.diagnostics, YD_D_SYNTAX, place_of(gsw, mark, mark), "", "this is no YAML: %.200s",
                     gsw->parser.problem ? gsw->parser.problem : "it cannot be read");
    return false;
}

static struct node *take_node(struct gsw *gsw, yaml_event_t *event, unsigned depth);

static bool take_members(struct gsw *gsw, struct node *node, unsigned depth)
{
    yaml_event_type_t end = node->kind == MAP ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;
    for (;;) {
        yaml_event_t event;
        struct yd_str key = YD_STR("");
        if (!next_event(gsw, &event)) return false;
        if (event.type == end) return yaml_event_delete(&event), true;
        if (node->kind == MAP) {
            struct node *name = take_node(gsw, &event, depth);
            if (!name) return false;
            if (name->kind != SCALAR) return mistake(gsw, name, YD_D_SYNTAX, "a name here is a plain word%.*s");
            key = name->text;
            if (!next_event(gsw, &event)) return false;
        }
        struct node *member = take_node(gsw, &event, depth);
        if (!member) return false;
        member->key = key;
        if (node->last)
            node->last->next = member;
        else
            node->first = member;
        node->last = member;
    }
}

/* Takes the event. */
static struct node *take_node(struct gsw *gsw, yaml_event_t *event, unsigned depth)
{
    struct node *node = yd_arena_zero(&gsw->arena, sizeof *node);
    struct yd_place place = place_of(gsw, event->start_mark, event->end_mark);
    yaml_event_type_t type = event->type;
    struct yd_str text = YD_STR("");
    if (node && type == YAML_SCALAR_EVENT)
        text = yd_arena_str(&gsw->arena, (struct yd_str){(char *)event->data.scalar.value, event->data.scalar.length});
    yaml_event_delete(event);
    if (!node || !text.data) return gsw->failed = true, NULL;
    node->place = place;
    node->text = text;
    node->key = YD_STR("");
    node->kind = type == YAML_MAPPING_START_EVENT ? MAP : type == YAML_SEQUENCE_START_EVENT ? LIST : SCALAR;
    if (type == YAML_SCALAR_EVENT && gsw->nodes++ < NODES_MAX) return node;
    if (depth == DEPTH_MAX || gsw->nodes > NODES_MAX)
        return mistake(gsw, node, YD_D_LIMIT, "too much in each other, or too much in all%.*s"), NULL;
    if (node->kind == SCALAR)
        return mistake(gsw, node, YD_D_SYNTAX, "a reference to another place (*name) is not read%.*s"), NULL;
    return take_members(gsw, node, depth + 1) ? node : NULL;
}

static struct node *take_document(struct gsw *gsw)
{
    for (;;) {
        yaml_event_t event;
        if (!next_event(gsw, &event)) return NULL;
        if (event.type == YAML_STREAM_END_EVENT) {
            yaml_event_delete(&event);
            struct yd_place top = {gsw->source.file, 1, 1, 1};
            yd_def_error(gsw->source.diagnostics, YD_D_EMPTY, top, "", "there is nothing in it");
            return NULL;
        }
        if (event.type != YAML_STREAM_START_EVENT && event.type != YAML_DOCUMENT_START_EVENT)
            return take_node(gsw, &event, 0);
        yaml_event_delete(&event);
    }
}

static const struct node *member(const struct node *map, const char *key)
{
    for (const struct node *item = map && map->kind == MAP ? map->first : NULL; item; item = item->next)
        if (yd__source_same(item->key, key)) return item;
    return NULL;
}

/* ---- what it says ---- */

static bool take_flag(struct gsw *gsw, const struct node *node, bool *ret)
{
    if (!node) return true;
    *ret = yd__source_same(node->text, "true") || yd__source_same(node->text, "yes");
    return *ret || yd__source_same(node->text, "false") || yd__source_same(node->text, "no") ||
           mistake(gsw, node, YD_D_VALUE, "'%.*s' is neither true nor false");
}

static bool take_measurement(struct gsw *gsw, const struct node *node, struct yd_def_type *type)
{
    static const char *const known[] = {"name",       "size",    "type", "unsigned", "signed",
                                        "endianness", "scaling", "unit", "units",    "description"};
    const struct node *size = member(node, "size"), *kind = member(node, "type"), *order = member(node, "endianness"),
                      *scaling = member(node, "scaling"), *unit = member(node, "unit");
    bool is_unsigned = false, is_signed = false;
    int64_t bytes;
    double scale;
    for (const struct node *item = node->first; item; item = item->next) {
        bool found = false;
        for (size_t i = 0; i < YD_COUNT(known); i++) found |= yd__source_same(item->key, known[i]);
        if (!found)
            yd_def_warn(gsw->source.diagnostics, YD_D_UNSUPPORTED, item->place, "", "'%.*s' is not read",
                        (int)YD_MIN(item->key.size, (size_t)80), item->key.data);
    }
    if (!take_flag(gsw, member(node, "unsigned"), &is_unsigned) || !take_flag(gsw, member(node, "signed"), &is_signed))
        return false;
    if (!size) return mistake(gsw, node, YD_D_SYNTAX, "a measurement without size%.*s");
    if (!yd__source_i64(size->text, &bytes) || bytes < 1 || bytes > 65536)
        return mistake(gsw, size, YD_D_SIZE, "'%.*s' is no size in bytes");
    struct yd_str word = kind ? kind->text : YD_STR("int");
    bool text = yd__source_same(word, "string"),
         real = yd__source_same(word, "float") || yd__source_same(word, "double");
    if (!text && !real && !yd__source_same(word, "int") && !yd__source_same(word, "integer"))
        return mistake(gsw, kind, YD_D_TYPE, "there is no type '%.*s': int, float, string");
    bool little = order && yd__source_same(order->text, "little");
    if (order && !little && !yd__source_same(order->text, "big"))
        return mistake(gsw, order, YD_D_WORD, "an endianness is big or little, not '%.*s'");
    if (unit) type->unit = yd_def_text(gsw->def, unit->text);
    if (text) {
        type->encoding = YD_DEF_STRING;
        type->size.offset = bytes;
        return !scaling || mistake(gsw, scaling, YD_D_OPTION, "a text is not scaled by '%.*s'");
    }
    if (bytes > 8 || (real && bytes != 4 && bytes != 8))
        return mistake(gsw, size, YD_D_SIZE, "no number of this type has '%.*s' bytes");
    type->encoding = real ? YD_DEF_IEEE : is_unsigned ? YD_DEF_UNSIGNED : YD_DEF_TWOS;
    type->bits = (uint32_t)bytes * 8;
    if (little && bytes > 1) type->order = YD_DEF_LITTLE;
    if (!scaling) return true;
    if (!yd__source_f64(scaling->text, &scale)) return mistake(gsw, scaling, YD_D_NUMBER, "'%.*s' is no number");
    if (scale == 1) return true;
    struct yd_def_calibration *made = yd_def_calibration(gsw->def, type, YD_DEF_POLYNOMIAL, 2, 0, scaling->place);
    if (made) made->a[1] = scale;
    return true;
}

static struct yd_str name_of(const struct node *node)
{
    const struct node *name = member(node, "name");
    return name ? name->text : node->key;
}

static void take_packet(struct gsw *gsw, const struct node *node)
{
    const struct node *list = member(node, "measurements"), *port = member(node, "port");
    struct yd_str name = name_of(node);
    if (!name.size || !list) {
        mistake(gsw, node, YD_D_SYNTAX, "a packet has a name and measurements%.*s");
        return;
    }
    struct yd_str word = yd__source_word(gsw->def, name, false);
    if (yd_def_find_container(gsw->def, word)) {
        mistake(gsw, node, YD_D_DUPLICATE, "this packet is there already%.*s");
        return;
    }
    struct yd_def_container *packet = yd_def_container(gsw->def, word, node->place);
    if (!packet) return;
    if (port) packet->doc = yd_str_of(yd_def_printf(gsw->def, "port %.*s", YD_STR_FMT(port->text)));
    for (const struct node *item = list->first; item; item = item->next) {
        struct yd_def_type *type = yd_def_find_type(gsw->def, item->text);
        if (!type) {
            mistake(gsw, item, YD_D_FIELD, "there is no measurement '%.*s'");
            continue;
        }
        struct yd_str field = yd__source_word(gsw->def, item->text, false);
        bool again = false;
        for (const struct yd_def_entry *other = packet->entries.first; other; other = other->next)
            again |= other->type == type;
        if (again) {
            mistake(gsw, item, YD_D_DUPLICATE, "'%.*s' is in this packet already");
            continue;
        }
        struct yd_def_entry *entry = yd_def_entry(gsw->def, &packet->entries, field, item->place);
        if (!entry) return;
        entry->type = type;
        entry->published = entry->doc = YD_STR("");
    }
}

static void take_all(struct gsw *gsw, const struct node *root)
{
    const struct node *measurements = member(root, "measurements"), *packets = member(root, "telemetry_packets"),
                      *name = member(root, "name");
    if (!measurements || measurements->kind == SCALAR || !packets || packets->kind == SCALAR) {
        mistake(gsw, root, YD_D_SYNTAX, "GSW's YAML has measurements and telemetry_packets%.*s");
        return;
    }
    if (name && name->text.size) gsw->def->name = yd__source_word(gsw->def, name->text, true);
    for (const struct node *item = measurements->first; item; item = item->next) {
        struct yd_str word = name_of(item);
        if (!word.size || item->kind != MAP)
            mistake(gsw, item, YD_D_SYNTAX, "a measurement has a name and a size%.*s");
        else if (yd_def_find_type(gsw->def, word))
            mistake(gsw, item, YD_D_DUPLICATE, "this measurement is there already%.*s");
        else {
            struct yd_def_type *type = yd_def_type(gsw->def, word, item->place);
            if (type) (void)take_measurement(gsw, item, type);
        }
    }
    for (const struct node *item = packets->first; item; item = item->next) take_packet(gsw, item);
}

int yd_gsw_read(const char *path, struct yd_str text, struct yd_alloc *alloc, struct yd_diagnostics *diagnostics,
                struct yd_def **ret_def)
{
    struct gsw gsw = {0};
    *ret_def = NULL;
    int r = yd__source_begin(&gsw.source, path, text, alloc, diagnostics);
    if (r < 0) return r;
    gsw.def = gsw.source.def;
    yd_arena_init(&gsw.arena, alloc);
    if (yaml_parser_initialize(&gsw.parser)) {
        yaml_parser_set_input_string(&gsw.parser, (const unsigned char *)text.data, text.size);
        yaml_parser_set_encoding(&gsw.parser, YAML_UTF8_ENCODING);
        const struct node *root = take_document(&gsw);
        if (root) take_all(&gsw, root);
        yaml_parser_delete(&gsw.parser);
    } else {
        gsw.failed = true;
    }
    yd_arena_fini(&gsw.arena);
    if (gsw.failed) gsw.def->failed = true;
    return yd__source_end(&gsw.source, ret_def);
}
