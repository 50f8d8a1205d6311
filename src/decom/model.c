/* The definition's memory: everything in one arena, linked in the order in which it came. */
#include "decom/model.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/hash.h"
#include "base/large.h"

int yd_def_create(struct yd_alloc *alloc, struct yd_def **ret_def)
{
    struct yd_arena arena;
    yd_arena_init(&arena, alloc ? alloc : yd_alloc_large());
    struct yd_def *def = yd_arena_zero(&arena, sizeof *def);
    if (!def) return YD_ENOMEM;
    def->arena = arena;
    *ret_def = def;
    return 0;
}

void yd_def_destroy(struct yd_def *def)
{
    if (!def) return;
    struct yd_arena arena = def->arena; /* it holds the definition itself */
    yd_arena_fini(&arena);
}

static void *piece(struct yd_def *def, size_t size)
{
    void *got = yd_arena_zero(&def->arena, size);
    if (!got) def->failed = true;
    return got;
}

struct yd_str yd_def_text(struct yd_def *def, struct yd_str text)
{
    struct yd_str copy = yd_arena_str(&def->arena, text);
    if (copy.data) return copy;
    def->failed = true;
    return YD_STR("");
}

const char *yd_def_printf(struct yd_def *def, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return yd_def_text(def, (struct yd_str){text, YD_MIN((size_t)YD_MAX(size, 0), sizeof text - 1)}).data;
}

/* Links `item` at the end of the list whose ends are `first` and `last`. */
#define LINK(first, last, item)                                                                                        \
    do {                                                                                                               \
        if (last)                                                                                                      \
            (last)->next = (item);                                                                                     \
        else                                                                                                           \
            (first) = (item);                                                                                          \
        (last) = (item);                                                                                               \
    } while (0)

static struct yd_def_named *slot_of(const struct yd_def_index *index, struct yd_str name)
{
    uint32_t mask = index->size - 1, i = (uint32_t)yd_hash_str(name) & mask;
    while (index->slots[i].what && !yd_str_eq(index->slots[i].name, name)) i = (i + 1) & mask;
    return &index->slots[i];
}

/* `name` is the definition's own. The slots of before stay in the arena: together they are as many as those in use. */
static void enter(struct yd_def *def, struct yd_def_index *index, struct yd_str name, void *what)
{
    if (index->count * 2 >= index->size) {
        struct yd_def_index more = {.size = index->size ? index->size * 2 : 16, .count = index->count};
        if (!(more.slots = piece(def, more.size * sizeof *more.slots))) return;
        for (uint32_t i = 0; i < index->size; i++)
            if (index->slots[i].what) *slot_of(&more, index->slots[i].name) = index->slots[i];
        *index = more;
    }
    struct yd_def_named *slot = slot_of(index, name);
    if (slot->what) return;
    *slot = (struct yd_def_named){name, what};
    index->count++;
}

struct yd_def_type *yd_def_type(struct yd_def *def, struct yd_str name, struct yd_place place)
{
    struct yd_def_type *type = piece(def, sizeof *type);
    if (!type) return NULL;
    type->place = place;
    yd_def_type_name(def, type, name);
    return type;
}

void yd_def_type_name(struct yd_def *def, struct yd_def_type *type, struct yd_str name)
{
    type->name = name.size ? yd_def_text(def, name) : YD_STR("");
    if (!name.size) return;
    LINK(def->types, def->types_last, type);
    enter(def, &def->type_index, type->name, type);
}

struct yd_def_type *yd_def_type_copy(struct yd_def *def, const struct yd_def_type *from, struct yd_place place)
{
    struct yd_def_type *type = yd_def_type(def, YD_STR(""), place);
    if (!type) return NULL;
    *type = *from;
    type->next = NULL;
    type->name = YD_STR("");
    type->place = place;
    /* The lists are copied: what is added to the copy must not show in the original. */
    type->compiled = NULL;
    type->calibrations = type->calibrations_last = NULL;
    type->labels = type->labels_last = NULL;
    for (const struct yd_def_calibration *item = from->calibrations; item; item = item->next) {
        struct yd_def_calibration *copy = piece(def, sizeof *copy);
        if (!copy) return NULL;
        *copy = *item;
        copy->next = NULL;
        LINK(type->calibrations, type->calibrations_last, copy);
    }
    for (const struct yd_def_label *item = from->labels; item; item = item->next)
        if (!yd_def_label(def, type, item->first, item->last, item->text, item->place)) return NULL;
    return type;
}

struct yd_def_container *yd_def_container(struct yd_def *def, struct yd_str name, struct yd_place place)
{
    struct yd_def_container *container = piece(def, sizeof *container);
    if (!container) return NULL;
    container->name = yd_def_text(def, name);
    container->place = place;
    LINK(def->containers, def->containers_last, container);
    enter(def, &def->container_index, container->name, container);
    return container;
}

struct yd_def_entry *yd_def_entry(struct yd_def *def, struct yd_def_entries *to, struct yd_str name,
                                  struct yd_place place)
{
    struct yd_def_entry *entry = piece(def, sizeof *entry);
    if (!entry) return NULL;
    entry->name = yd_def_text(def, name);
    entry->place = place;
    LINK(to->first, to->last, entry);
    return entry;
}

struct yd_def_label *yd_def_label(struct yd_def *def, struct yd_def_type *type, int64_t first, int64_t last,
                                  struct yd_str text, struct yd_place place)
{
    struct yd_def_label *label = piece(def, sizeof *label);
    if (!label) return NULL;
    *label = (struct yd_def_label){.place = place, .first = first, .last = last, .text = yd_def_text(def, text)};
    LINK(type->labels, type->labels_last, label);
    return label;
}

struct yd_def_calibration *yd_def_calibration(struct yd_def *def, struct yd_def_type *type, enum yd_def_calibrator kind,
                                              uint32_t a_count, uint32_t b_count, struct yd_place place)
{
    struct yd_def_calibration *calibration = piece(def, sizeof *calibration);
    if (!calibration) return NULL;
    *calibration = (struct yd_def_calibration){.place = place, .kind = kind, .a_count = a_count, .b_count = b_count};
    calibration->a = piece(def, YD_MAX(a_count, 1u) * sizeof(double));
    calibration->b = piece(def, YD_MAX(b_count, 1u) * sizeof(double));
    if (!calibration->a || !calibration->b) return NULL;
    LINK(type->calibrations, type->calibrations_last, calibration);
    return calibration;
}

struct yd_def_condition *yd_def_compare(struct yd_def *def, struct yd_str field, enum yd_def_op op,
                                        struct yd_def_value value, struct yd_place place)
{
    struct yd_def_condition *condition = piece(def, sizeof *condition);
    if (!condition) return NULL;
    if (value.type == YD_DEF_TEXT || value.type == YD_DEF_BLOB) value.text = yd_def_text(def, value.text);
    *condition = (struct yd_def_condition){
        .logic = YD_DEF_COMPARE, .place = place, .field = {yd_def_text(def, field), place}, .op = op, .value = value};
    return condition;
}

struct yd_def_condition *yd_def_logic(struct yd_def *def, enum yd_def_logic logic, struct yd_def_condition *a,
                                      struct yd_def_condition *b, struct yd_place place)
{
    if (logic != YD_DEF_NOT && (!a || !b)) return a ? a : b;
    struct yd_def_condition *condition = piece(def, sizeof *condition);
    if (condition) *condition = (struct yd_def_condition){.logic = logic, .place = place, .a = a, .b = b};
    return condition;
}

struct yd_def_slot *yd_def_slot(struct yd_def *def, struct yd_def_entry *entry, uint32_t word, struct yd_place place)
{
    struct yd_def_slot *slot = piece(def, sizeof *slot);
    if (!slot) return NULL;
    *slot = (struct yd_def_slot){.place = place, .word = word, .frame = UINT32_MAX};
    LINK(entry->slots, entry->slots_last, slot);
    return slot;
}

struct yd_def_limits *yd_def_limits(struct yd_def *def, struct yd_def_entry *entry, struct yd_place place)
{
    struct yd_def_limits *limits = piece(def, sizeof *limits);
    if (!limits) return NULL;
    limits->place = place;
    limits->measurement = limits->text = YD_STR("");
    if (entry)
        LINK(entry->limits, entry->limits_last, limits);
    else
        LINK(def->limits, def->limits_last, limits);
    return limits;
}

struct yd_def_derived *yd_def_derived(struct yd_def *def, struct yd_str name, struct yd_str text, struct yd_place place)
{
    struct yd_def_derived *derived = piece(def, sizeof *derived);
    if (!derived) return NULL;
    derived->name = yd_def_text(def, name);
    derived->text = yd_def_text(def, text);
    derived->place = derived->text_place = place;
    LINK(def->derived, def->derived_last, derived);
    return derived;
}

struct yd_def_type *yd_def_find_type(const struct yd_def *def, struct yd_str name)
{
    return def->type_index.size && name.size ? slot_of(&def->type_index, name)->what : NULL;
}

struct yd_def_container *yd_def_find_container(const struct yd_def *def, struct yd_str name)
{
    return def->container_index.size ? slot_of(&def->container_index, name)->what : NULL;
}

const char *yd_def_encoding_name(enum yd_def_encoding encoding)
{
    static const char *const names[YD_DEF_ENCODING_COUNT] = {
        [YD_DEF_UNSIGNED] = "unsigned",
        [YD_DEF_TWOS] = "two's complement",
        [YD_DEF_ONES] = "ones' complement",
        [YD_DEF_SIGN_MAGNITUDE] = "sign and magnitude",
        [YD_DEF_OFFSET_BINARY] = "offset binary",
        [YD_DEF_BCD] = "BCD",
        [YD_DEF_GRAY] = "Gray code",
        [YD_DEF_IEEE] = "IEEE 754",
        [YD_DEF_MIL1750A] = "MIL-STD-1750A",
        [YD_DEF_STRING] = "text",
        [YD_DEF_BINARY] = "bytes",
        [YD_DEF_CUC] = "CUC time",
        [YD_DEF_CDS] = "CDS time",
        [YD_DEF_GROUP] = "group",
    };
    return (unsigned)encoding < YD_DEF_ENCODING_COUNT ? names[encoding] : "?";
}
