/* The program of one packet: the fields of its container and of all above it, as lanes and steps.
 *
 *   known place, plain number           ──▶ lane
 *   known place, anything else          ──▶ step, run first
 *   unknown place, and what follows it  ──▶ dynamic step, run in order
 *
 * Arrays and groups of fixed size and place are unrolled: their fields are as fast as any. */
#include <stdlib.h>

#include "base/text.h"
#include "decom/compile.h"

struct lane {
    uint32_t lane, name;
    uint64_t at;
    uint32_t bits;
    double c0, c1;
};
struct steps {
    struct yd__step *items;
    uint32_t count, capacity;
};
struct builder {
    struct yd__compiler *compiler;
    struct yd__info *info; /* whose entries are at hand */
    struct yd__program *program;
    struct steps fixed, dynamic;
    struct lane *lanes;
    uint32_t lane_count, lane_capacity, unrolled;
    bool known, cut;
    uint64_t at;
    struct yd__sequence *sequences;
};

static void *grown(struct builder *builder, void *items, uint32_t count, uint32_t *capacity, size_t size)
{
    if (count < *capacity) return items;
    uint32_t more = *capacity ? *capacity * 2 : 16;
    void *made = yd__piece(builder->compiler, more * size);
    if (count) memcpy(made, items, count * size);
    *capacity = more;
    return made;
}

/* ---- names ---- */

static bool is_published(const struct yd_def_entry *entry)
{
    return !entry->hidden && !yd_str_eq(entry->name, YD_STR("_"));
}

/* Is the raw value another one, and wanted? */
static bool has_raw(const struct builder *builder, const struct yd_def_type *type)
{
    return builder->compiler->plan->raw && yd__is_number(type) &&
           (type->calibrations || type->labels || type->boolean || type->epoch != YD_DEF_EPOCH_NONE);
}

static uint32_t add_name(struct builder *builder, const struct yd_def_entry *entry, struct yd_str name, uint8_t type)
{
    struct yd__program *program = builder->program;
    if (program->name_count == program->name_capacity) {
        uint32_t more = program->name_capacity ? program->name_capacity * 2 : 32;
        struct yd_str *names = yd__piece(builder->compiler, more * sizeof *names);
        uint8_t *types = yd__piece(builder->compiler, more);
        const struct yd_def_entry **sources = yd__piece(builder->compiler, more * sizeof *sources);
        if (program->name_count) {
            memcpy(names, program->names, program->name_count * sizeof *names);
            memcpy(types, program->types, program->name_count);
            memcpy(sources, program->sources, program->name_count * sizeof *sources);
        }
        program->names = names;
        program->types = types;
        program->sources = sources;
        program->name_capacity = more;
    }
    program->names[program->name_count] = name;
    program->types[program->name_count] = type;
    program->sources[program->name_count] = entry;
    return program->name_count++;
}

static uint64_t dimension_max(const struct yd_def_entry *entry, uint32_t index)
{
    const struct yd_def_amount *amount = &entry->dimension[index];
    if ((index == 0 && entry->to_end) || yd_def_is_told(amount)) return amount->max ? amount->max : YD__ITEMS_MAX;
    return (uint64_t)YD_MAX(amount->offset, 0);
}

static uint64_t elements_max(const struct yd_def_entry *entry)
{
    uint64_t count = 1;
    for (uint32_t i = 0; i < entry->dimensions; i++) count *= YD_MIN(dimension_max(entry, i), YD__NAMES_MAX);
    return YD_MIN(count, (uint64_t)YD__NAMES_MAX + 1);
}

/* Names of one element, of a whole entry. */
static uint64_t names_of(const struct builder *builder, const struct yd_def_entry *entry);
static uint64_t stride_of(const struct builder *builder, const struct yd_def_entry *entry)
{
    const struct yd_def_type *type = entry->type;
    if (!is_published(entry) || entry->unsupported || type->unsupported) return 0;
    if (type->encoding != YD_DEF_GROUP) return 1u + has_raw(builder, type);
    uint64_t sum = 0;
    for (const struct yd_def_entry *child = type->entries.first; child; child = child->next)
        sum = YD_MIN(sum + names_of(builder, child), (uint64_t)YD__NAMES_MAX + 1);
    return sum;
}

static uint64_t names_of(const struct builder *builder, const struct yd_def_entry *entry)
{
    return YD_MIN(stride_of(builder, entry) * elements_max(entry), (uint64_t)YD__NAMES_MAX + 1);
}

static const char *numbered(struct builder *builder, const char *path, uint64_t index)
{
    char digits[24];
    return yd__path(builder->compiler, path, (struct yd_str){digits, yd_text_put_u64(digits, index)});
}

/* "cells.3" of a list, "m.1.2" of rows and columns. */
static const char *element_path(struct builder *builder, const struct yd_def_entry *entry, const char *path,
                                uint64_t index)
{
    if (!entry->dimensions) return path;
    uint64_t columns = entry->dimensions == 2 ? dimension_max(entry, 1) : 1;
    if (entry->dimensions < 2) return numbered(builder, path, index);
    return numbered(builder, numbered(builder, path, index / columns), index % columns);
}

static void name_entry(struct builder *builder, const struct yd_def_entry *entry, const char *path)
{
    if (stride_of(builder, entry) == 0) return;
    uint64_t count = elements_max(entry);
    for (uint64_t i = 0; i < count; i++) {
        const char *own = element_path(builder, entry, path, i);
        if (entry->type->encoding == YD_DEF_GROUP) {
            for (const struct yd_def_entry *child = entry->type->entries.first; child; child = child->next)
                name_entry(builder, child, yd__path(builder->compiler, own, child->name));
            continue;
        }
        add_name(builder, entry, yd_str_of(own), 0);
        if (has_raw(builder, entry->type))
            add_name(builder, entry, yd_str_of(yd__path(builder->compiler, own, YD_STR("raw"))), YD__RAW_NAME);
    }
}

static const char *published_path(struct builder *builder, const struct yd_def_entry *entry, const char *prefix)
{
    struct yd_str of = builder->compiler->def->name;
    if (!entry->published.size) return yd__path(builder->compiler, prefix, entry->name);
    return of.size ? yd__path(builder->compiler, yd__path(builder->compiler, "", of), entry->published)
                   : yd__path(builder->compiler, "", entry->published);
}

/* ---- lanes ---- */

static bool lane_of(const struct yd__field *field, uint64_t at, uint32_t *ret_lane, double *c0, double *c1)
{
    const struct yd_def_type *type = field->type;
    bool little = field->lsb0;
    if (field->reversed || field->label_count || type->epoch != YD_DEF_EPOCH_NONE || type->has_valid) return false;
    if (field->swap == YD__SWAP_PERMUTED || at % 8 + field->bits > 64) return false;
    if (field->swap == YD__SWAP_ALL) {
        if (at % 8) return false;
        little = !little;
    }
    /* Whole bytes in one order are the same in both numberings; others are read as they are counted. */
    uint32_t lane = little ? YD__LANE_LITTLE : 0;
    switch (field->encoding) {
    case YD_DEF_UNSIGNED:
        lane |= YD__LANE_U;
        break;
    case YD_DEF_TWOS:
        lane |= YD__LANE_S;
        break;
    case YD_DEF_IEEE:
        if (field->bits == 16) return false;
        lane |= field->bits == 32 ? YD__LANE_F : YD__LANE_D;
        break;
    default:
        return false;
    }
    if (field->boolean && field->bits != 1) return false;
    const struct yd__calibration *c = field->calibrations;
    if (c) {
        bool line = c->kind == YD_DEF_POLYNOMIAL && c->a_count == 2 && !c->when;
        if (!line || field->boolean || (field->encoding == YD_DEF_UNSIGNED && field->bits == 64)) return false;
        *c0 = c->a[0];
        *c1 = c->a[1];
        lane |= YD__LANE_LINE;
    }
    *ret_lane = lane;
    return true;
}

static uint8_t lane_type(uint32_t lane, const struct yd__field *field)
{
    if (lane & YD__LANE_LINE) return YD_F64;
    switch (lane & 3) {
    case YD__LANE_U:
        return field->boolean ? YD_BOOL : YD_U64;
    case YD__LANE_S:
        return YD_I64;
    default:
        return YD_F64;
    }
}

static void add_lane(struct builder *builder, struct lane lane)
{
    builder->lanes = grown(builder, builder->lanes, builder->lane_count, &builder->lane_capacity, sizeof lane);
    builder->lanes[builder->lane_count++] = lane;
}

static int by_lane(const void *left, const void *right)
{
    const struct lane *a = left, *b = right;
    if (a->lane != b->lane) return a->lane < b->lane ? -1 : 1;
    return (a->name > b->name) - (a->name < b->name);
}

static void seal_lanes(struct builder *builder)
{
    struct yd__compiler *compiler = builder->compiler;
    struct yd__lanes *lanes = &builder->program->lanes;
    uint32_t count = builder->lane_count;
    size_t room = YD_MAX(count, 1u);
    lanes->count = count;
    lanes->least = YD_MAX((builder->program->least_bits + 7) / 8, UINT64_C(8));
    lanes->names = yd__piece(compiler, room * sizeof *lanes->names);
    lanes->byte = yd__piece(compiler, room * sizeof *lanes->byte);
    lanes->left = yd__piece(compiler, room);
    lanes->right = yd__piece(compiler, room);
    lanes->slot = yd__piece(compiler, room * sizeof *lanes->slot);
    lanes->c0 = yd__piece(compiler, room * sizeof *lanes->c0);
    lanes->c1 = yd__piece(compiler, room * sizeof *lanes->c1);
    /* Slots follow the fields, lanes the shapes: the slot is told before they are sorted. */
    uint32_t *slots = yd__piece(compiler, YD_MAX(builder->program->name_count, 1u) * sizeof *slots);
    for (uint32_t i = 0; i < count; i++) {
        lanes->names[i] = builder->lanes[i].name;
        slots[builder->lanes[i].name] = i;
    }
    if (count) qsort(builder->lanes, count, sizeof *builder->lanes, by_lane);
    for (uint32_t i = 0; i < count; i++) {
        const struct lane *lane = &builder->lanes[i];
        uint64_t byte = YD_MIN(lane->at / 8, lanes->least - 8);
        uint32_t skip = (uint32_t)(lane->at - byte * 8);
        lanes->byte[i] = (uint32_t)byte;
        lanes->left[i] = (uint8_t)(lane->lane & YD__LANE_LITTLE ? 64 - lane->bits - skip : skip);
        lanes->right[i] = (uint8_t)(64 - lane->bits);
        lanes->slot[i] = slots[lane->name];
        lanes->c0[i] = lane->c0;
        lanes->c1[i] = lane->c1;
        lanes->sizes[lane->lane]++;
    }
}

/* ---- steps ---- */

static struct yd__amount amount(struct builder *builder, const struct yd_def_amount *source,
                                const struct yd__scope *scope, uint64_t max)
{
    struct yd__amount made = {.reg = YD__NONE, .offset = source->offset, .max = source->max ? source->max : max};
    const struct yd__choice **last = &made.choices;
    for (const struct yd_def_choice *from = source->choices; from; from = from->next) {
        struct yd__choice *choice = yd__piece(builder->compiler, sizeof *choice);
        choice->value = from->value;
        if (from->when && !(choice->when = yd__compile_condition(builder->compiler, builder->info, from->when, scope)))
            break; /* said */
        *last = choice;
        last = &choice->next;
    }
    if (!source->field.name.size) return made;
    struct yd__scope *found = yd__refer(builder->compiler, builder->info, source->field, scope);
    if (!found) return made;
    made.reg = found->reg;
    made.scale = source->scale ? source->scale : 1;
    return made;
}

/* The field with its calibrations, which depend on where it stands. */
static struct yd__field field_of(struct builder *builder, const struct yd__scope *scope)
{
    const struct yd_def_entry *entry = scope->entry;
    struct yd__field field = {0};
    const struct yd__field *shared = yd__compile_field(builder->compiler, entry->type);
    if (!shared) return field;
    field = *shared;
    if (entry->type->calibrations) yd__compile_calibrations(builder->compiler, builder->info, scope, &field);
    return field;
}

/* What does the same as yd__step_number for the plainest of its kind, faster. */
static void choose_run(struct yd__step *step)
{
    const struct yd__field *field = &step->field;
    const struct yd__calibration *c = field->calibrations;
    if (step->run != yd__step_number || step->checks || step->stamp) return;
    bool integer = field->encoding == YD_DEF_UNSIGNED || field->encoding == YD_DEF_TWOS;
    bool plain = integer && !field->label_count && field->type->epoch == YD_DEF_EPOCH_NONE && !field->type->has_valid &&
                 (!c || (c->kind == YD_DEF_POLYNOMIAL && !c->when && !field->boolean));
    if (plain)
        step->run = yd__step_plain;
    else if (field->label_count && field->encoding == YD_DEF_UNSIGNED && !step->dimensions && !step->to_end)
        step->run = yd__step_label;
}

static void make_step(struct builder *builder, const struct yd_def_entry *entry, const char *path,
                      const char *scope_path, uint32_t name, bool in_group, struct yd__step *step)
{
    const struct yd__scope *scope = yd__scope_at(builder->info, yd_str_of(scope_path), entry);
    const struct yd_def_type *type = entry->type;
    bool publishes = is_published(entry) && type->encoding != YD_DEF_GROUP && name != YD__NONE;
    *step = (struct yd__step){.entry = entry,
                              .field = field_of(builder, scope),
                              .in_group = in_group,
                              .to_end = entry->to_end,
                              .stamp = entry->stamp,
                              .checks = entry->check.kind != YD_CHECKSUM_NONE,
                              .offset = entry->offset_bits,
                              .reg = scope->reg,
                              .name = publishes ? name : YD__NONE,
                              .raw_name = publishes && has_raw(builder, type) ? name + 1 : YD__NONE,
                              .stride = (uint32_t)stride_of(builder, entry),
                              .dimensions = entry->dimensions,
                              .columns =
                                  entry->dimensions == 2 ? (uint32_t)YD_MIN(dimension_max(entry, 1), YD__NAMES_MAX) : 0,
                              .skip_to = -1,
                              .path = path};
    step->origin = entry->from == YD_DEF_START ? YD__AT : entry->from == YD_DEF_END ? YD__BEFORE_END : YD__AFTER;
    if (entry->only_if) step->only_if = yd__compile_condition(builder->compiler, builder->info, entry->only_if, scope);
    for (uint32_t i = 0; i < entry->dimensions; i++)
        step->dimension[i] = amount(builder, &entry->dimension[i], scope, YD__ITEMS_MAX);
    if (entry->to_end) {
        step->dimension[0].max = dimension_max(entry, 0);
        step->dimension[0].offset = (int64_t)step->dimension[0].max;
    }
    step->size = amount(builder, &type->size, scope, YD__BYTES_MAX);
    if (type->encoding == YD_DEF_STRING || type->encoding == YD_DEF_BINARY) {
        step->run = yd__step_bytes;
    } else if (type->encoding == YD_DEF_CUC || type->encoding == YD_DEF_CDS) {
        step->run = yd__step_time;
    } else if (type->encoding == YD_DEF_GROUP) {
        step->run = yd__step_group;
        uint32_t count = 0, at = 0;
        for (const struct yd_def_entry *child = type->entries.first; child; child = child->next) count++;
        struct yd__step *children = yd__piece(builder->compiler, YD_MAX(count, 1u) * sizeof *children);
        uint64_t next = name;
        for (const struct yd_def_entry *child = type->entries.first; child; child = child->next) {
            const char *inner = yd__path(builder->compiler, path, child->name);
            const char *inner_scope = yd__path(builder->compiler, scope_path, child->name);
            const char *why = child->unsupported ? child->unsupported : child->type->unsupported;
            if (why && builder->compiler->partial) return;
            if (why) {
                yd_def_error(builder->compiler->diagnostics, YD_D_UNSUPPORTED, child->place, "",
                             "'%s' in a group of no fixed place is not supported: %s", inner, why);
                return;
            }
            bool named = is_published(entry) && name != YD__NONE;
            make_step(builder, child, inner, inner_scope, named ? (uint32_t)next : YD__NONE, true, &children[at++]);
            next += names_of(builder, child);
        }
        step->children = children;
        step->child_count = count;
    } else {
        step->run = yd__step_number;
        choose_run(step);
    }
}

static struct yd__step *add_step(struct builder *builder, struct steps *steps)
{
    steps->items = grown(builder, steps->items, steps->count, &steps->capacity, sizeof *steps->items);
    return &steps->items[steps->count++];
}

/* ---- entries ---- */

static void add_entries(struct builder *builder, const struct yd_def_entries *entries, const char *prefix,
                        const char *scope_prefix, bool base_known, uint64_t base);

static void covers(struct builder *builder, uint64_t end)
{
    if (end > builder->program->least_bits) builder->program->least_bits = end;
}

static void add_sequence(struct builder *builder, const struct yd_def_entry *entry, const char *scope_path)
{
    struct yd__program *program = builder->program;
    struct yd__scope *counter = yd__find(builder->info, yd_str_of(scope_path), NULL, NULL), *by = NULL;
    if (!counter || counter->reg == YD__NONE) return;
    if (entry->sequence_by.name.size && !(by = yd__find(builder->info, entry->sequence_by.name, NULL, NULL))) return;
    struct yd__sequence *made = yd__piece(builder->compiler, (program->sequence_count + 1) * sizeof *made);
    if (program->sequence_count) memcpy(made, program->sequences, program->sequence_count * sizeof *made);
    struct yd__sequence *sequence = &made[program->sequence_count++];
    *sequence = (struct yd__sequence){
        .reg = counter->reg, .by = by ? by->reg : YD__NONE, .bits = entry->type->bits, .key = builder->info->order};
    struct yd_str label = by ? by->path : program->container->name;
    /* Without a field that tells them apart, each packet counts for itself. */
    if (!by) sequence->key = ((struct yd__info *)program->container->compiled)->order;
    sequence->label =
        yd_str_of(yd_arena_printf(builder->compiler->arena, by ? "%.*s=" : "packet=%.*s", YD_STR_FMT(label)));
    if (!sequence->label.data) longjmp(builder->compiler->out_of_memory, 1);
    program->sequences = made;
}

/* One value of fixed place. */
static void add_fixed(struct builder *builder, const struct yd_def_entry *entry, const struct yd__field *field,
                      const char *path, const char *scope_path, uint64_t at)
{
    uint64_t bits = 0;
    (void)yd__type_bits(entry->type, &bits);
    covers(builder, at + bits);
    bool closely = builder->compiler->plan->closely && !yd_str_eq(entry->name, YD_STR("_"));
    bool number = yd__is_number(entry->type);
    bool asked = yd__scope_at(builder->info, yd_str_of(scope_path), entry)->reg != YD__NONE;
    if (!is_published(entry) && !entry->stamp && !entry->check.kind && !closely && (number || !asked))
        return; /* a number's register, if any, is loaded */
    uint32_t name = YD__NONE, lane;
    double c0 = 0, c1 = 0;
    if (is_published(entry)) {
        name = add_name(builder, entry, yd_str_of(path), 0);
        if (has_raw(builder, entry->type))
            add_name(builder, entry, yd_str_of(yd__path(builder->compiler, path, YD_STR("raw"))), YD__RAW_NAME);
    }
    if (number && !entry->stamp && !entry->check.kind && !closely && name != YD__NONE &&
        lane_of(field, at, &lane, &c0, &c1)) {
        builder->program->types[name] = lane_type(lane, field);
        add_lane(builder, (struct lane){lane, name, at, field->bits, c0, c1});
        if (has_raw(builder, entry->type)) {
            struct yd__field raw = *field;
            raw.calibrations = NULL;
            raw.boolean = false;
            if (lane_of(&raw, at, &lane, &c0, &c1)) {
                builder->program->types[name + 1] = YD__RAW_NAME | lane_type(lane, &raw);
                add_lane(builder, (struct lane){lane, name + 1, at, field->bits, 0, 0});
            }
        }
        return;
    }
    bool late = builder->dynamic.count > 0;
    struct yd__step *step = add_step(builder, late ? &builder->dynamic : &builder->fixed);
    struct yd__step made;
    make_step(builder, entry, path, scope_path, name, false, &made);
    made.dimensions = 0;
    made.to_end = false;
    if (made.run == yd__step_plain || made.run == yd__step_label) made.run = yd__step_number;
    choose_run(&made); /* one alone, now */
    made.origin = YD__AT;
    made.offset = (int64_t)at;
    *step = made;
}

static void add_dynamic(struct builder *builder, const struct yd_def_entry *entry, const char *path,
                        const char *scope_path)
{
    uint64_t count = names_of(builder, entry);
    struct yd__program *program = builder->program;
    if (count + program->name_count > YD__NAMES_MAX) {
        yd_def_error(builder->compiler->diagnostics, YD_D_LIMIT, entry->place, "",
                     "'%s' may have more than a million values: say a smaller max", path);
        return;
    }
    uint32_t name = count ? program->name_count : YD__NONE;
    name_entry(builder, entry, path);
    struct yd__step made;
    make_step(builder, entry, path, scope_path, name, false, &made);
    if (builder->known && entry->from != YD_DEF_END) {
        made.origin = YD__AT;
        made.skip_to =
            entry->from == YD_DEF_PREVIOUS ? (int64_t)builder->at - entry->offset_bits : (int64_t)builder->at;
        made.offset = (int64_t)builder->at;
    }
    *add_step(builder, &builder->dynamic) = made;
    program->is_dynamic = true;
    uint64_t bits;
    if (entry->from == YD_DEF_END && yd__entry_bits(entry, &bits) && entry->offset_bits < 0)
        covers(builder, (uint64_t)-entry->offset_bits);
}

static void add_unsupported(struct builder *builder, const struct yd_def_entry *entry, const char *path,
                            const char *why)
{
    uint64_t bits;
    bool sized = yd__entry_bits(entry, &bits) && bits;
    if (builder->compiler->partial) { /* its line is wrong, which has been said: nothing will run */
        builder->cut = true;
        return;
    }
    yd_def_warn(builder->compiler->diagnostics, YD_D_UNSUPPORTED, entry->place, "", "'%s' is not decoded: %s", path,
                why);
    if (sized && builder->known) {
        covers(builder, builder->at + bits);
        builder->at += bits;
        return;
    }
    yd_def_help(builder->compiler->diagnostics, "its size is not known either: what follows it is not decoded");
    builder->cut = true;
    builder->known = false;
    builder->program->open = true;
}

static void add_entry(struct builder *builder, const struct yd_def_entry *entry, const char *path,
                      const char *scope_path, bool base_known, uint64_t base)
{
    struct yd__compiler *compiler = builder->compiler;
    const struct yd_def_type *type = entry->type;
    uint64_t bits = 0, one = 0;
    if (entry->from == YD_DEF_START) {
        builder->known = base_known;
        builder->at = base;
    }
    if (entry->from == YD_DEF_END) builder->known = false;
    if (builder->cut && entry->from == YD_DEF_PREVIOUS) return;
    if (builder->known) builder->at = (uint64_t)((int64_t)builder->at + entry->offset_bits);
    const char *why = entry->unsupported ? entry->unsupported : type->unsupported;
    if (why) {
        add_unsupported(builder, entry, path, why);
        return;
    }
    const struct yd__field *shared = type->encoding == YD_DEF_GROUP ? NULL : yd__compile_field(compiler, entry->type);
    if (type->encoding != YD_DEF_GROUP && !shared) {
        builder->cut = true; /* it has been said; nothing runs with this */
        return;
    }
    if (entry->stamp) {
        builder->program->has_stamp = true;
        bool time = type->encoding == YD_DEF_CUC || type->encoding == YD_DEF_CDS || type->epoch != YD_DEF_EPOCH_NONE;
        if (!time) {
            yd_def_error(compiler->diagnostics, YD_D_TIME, entry->place, "",
                         "'%s' is no time: it cannot stamp the packet", path);
            yd_def_help(compiler->diagnostics, "say what it counts: ms since unix, s since gps, cuc(4, 2)");
        }
    }
    if (entry->sequence) add_sequence(builder, entry, scope_path);
    if (entry->check.kind) yd__compile_check(compiler, entry, builder->known ? builder->at : UINT64_MAX);
    bool fixed = yd__entry_bits(entry, &bits) && yd__type_bits(type, &one);
    uint64_t count = fixed ? elements_max(entry) : 0;
    bool plain_group = type->encoding == YD_DEF_GROUP && !entry->dimensions && !entry->only_if && !entry->to_end;
    if (builder->known && plain_group) {
        add_entries(builder, &type->entries, path, scope_path, true, builder->at);
        return;
    }
    /* When somebody names a field of an array's elements, its register changes from element to element. */
    bool asked = entry->dimensions && yd__scope_at(builder->info, yd_str_of(scope_path), entry)->asked_inside;
    if (!fixed || !builder->known || asked || builder->unrolled + count > YD__UNROLL_MAX) {
        bool stays = builder->known && fixed;
        uint64_t end = builder->at + bits;
        add_dynamic(builder, entry, path, scope_path);
        builder->known = stays;
        builder->at = end;
        if (stays) covers(builder, end);
        return;
    }
    if (entry->dimensions) builder->unrolled += (uint32_t)count;
    uint64_t at = builder->at;
    struct yd__field field =
        shared ? field_of(builder, yd__scope_at(builder->info, yd_str_of(scope_path), entry)) : (struct yd__field){0};
    covers(builder, at + bits);
    for (uint64_t i = 0; i < count; i++, at += one) {
        const char *own = element_path(builder, entry, path, i);
        if (type->encoding == YD_DEF_GROUP) {
            builder->known = true;
            builder->at = at;
            add_entries(builder, &type->entries, own, scope_path, true, at);
        } else {
            add_fixed(builder, entry, &field, own, scope_path, at);
        }
    }
    builder->known = true;
    builder->at = at;
}

static void add_entries(struct builder *builder, const struct yd_def_entries *entries, const char *prefix,
                        const char *scope_prefix, bool base_known, uint64_t base)
{
    for (const struct yd_def_entry *entry = entries->first; entry; entry = entry->next) {
        const char *scope_path = yd__path(builder->compiler, scope_prefix, entry->name);
        add_entry(builder, entry, published_path(builder, entry, prefix), scope_path, base_known, base);
    }
}

/* Own entries of all containers from the outermost on. */
static void add_chain(struct builder *builder, struct yd__info *info, const char *prefix)
{
    if (info->parent) add_chain(builder, info->parent, prefix);
    builder->info = info;
    add_entries(builder, &info->container->entries, prefix, "", true, 0);
}

/* Registers of fixed place that steps may ask for. */
static void make_loads(struct builder *builder, struct yd__info *info)
{
    uint32_t count = 0, used = 0;
    for (struct yd__info *up = info; up; up = up->parent)
        for (struct yd__scope *item = up->scope; item; item = item->next) count += item->reg != YD__NONE;
    struct yd__load *loads = yd__piece(builder->compiler, YD_MAX(count, 1u) * sizeof *loads);
    for (struct yd__info *up = info; up; up = up->parent)
        for (struct yd__scope *item = up->scope; item; item = item->next) {
            if (item->reg == YD__NONE || !item->known || item->repeated || !yd__is_number(item->entry->type)) continue;
            const struct yd__field *field = yd__compile_field(builder->compiler, item->entry->type);
            if (!field) continue;
            bool loaded = false;
            for (struct yd__info *node = info; node; node = node->parent)
                for (uint32_t i = 0; i < node->node->load_count; i++) loaded |= node->node->loads[i].reg == item->reg;
            if (!loaded) loads[used++] = (struct yd__load){*field, item->at, item->reg};
        }
    builder->program->loads = loads;
    builder->program->load_count = used;
}

struct yd__program *yd__compile_program(struct yd__compiler *compiler, struct yd__info *info)
{
    struct builder builder = {.compiler = compiler, .known = true};
    struct yd__program *program = yd__piece(compiler, sizeof *program);
    const struct yd_def_container *container = info->container;
    builder.program = program;
    *program = (struct yd__program){.container = container, .index = YD__NONE, .open = container->open};
    for (const struct yd__info *up = info; up; up = up->parent) {
        program->open |= up->container->open;
        if (up->container->unsupported) program->unsupported = up->container->unsupported;
    }
    if (program->unsupported)
        yd_def_warn(compiler->diagnostics, YD_D_UNSUPPORTED, container->place, "", "'%.*s' is not decoded: %s",
                    YD_STR_FMT(container->name), program->unsupported);
    const char *prefix = yd__path(compiler, "", compiler->def->name);
    add_chain(&builder, info, yd__path(compiler, prefix, container->name));
    make_loads(&builder, info);
    seal_lanes(&builder);
    program->steps = builder.fixed.items;
    program->step_count = builder.fixed.count;
    program->dynamic = builder.dynamic.items;
    program->dynamic_count = builder.dynamic.count;
    if (!program->name_count && !container->abstract && !info->children && !program->unsupported &&
        !compiler->diagnostics->errors)
        yd_def_error(compiler->diagnostics, YD_D_EMPTY, container->place, "",
                     "the packet '%.*s' has no field to publish", YD_STR_FMT(container->name));
    return program;
}
