/* A definition into a plan: which fields can be named where, the tree of containers, what tells them apart.
 *
 *   scan       each container: its fields, with their places as far as these are fixed
 *   refer      whatever names a field (conditions, sizes, contexts) gets a register
 *   nodes      the tree: conditions, loads, switches
 *   programs   compile_program.c
 *
 * Everything wrong is said, in one run. Out of memory is one jump: only the plan's arena holds memory. */
#include "decom/compile.h"
#include "decom/frame.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/large.h"
#include "decom/xtce.h"
#include "decom/ydm.h"

void *yd__piece(struct yd__compiler *compiler, size_t size)
{
    void *got = yd_arena_zero(compiler->arena, size);
    if (!got) longjmp(compiler->out_of_memory, 1);
    return got;
}

const char *yd__path(struct yd__compiler *compiler, const char *prefix, struct yd_str name)
{
    size_t front = strlen(prefix);
    char *made = yd_arena_get(compiler->arena, front + name.size + 2);
    if (!made) longjmp(compiler->out_of_memory, 1);
    memcpy(made, prefix, front);
    if (front) made[front++] = '.';
    if (name.size) memcpy(made + front, name.data, name.size);
    made[front + name.size] = 0;
    return made;
}

static bool is_room(const struct yd_def_entry *entry)
{
    return yd_str_eq(entry->name, YD_STR("_"));
}

/* ---- scan ---- */

struct scan {
    struct yd__compiler *compiler;
    struct yd__info *info;
    bool known;
    uint64_t at;
    uint32_t order;
};

#define GROUPS_MAX 32

static void scan_entries(struct scan *scan, const struct yd_def_entries *entries, const struct yd__scope *group,
                         bool base_known, uint64_t base)
{
    const char *prefix = group ? group->path.data : "";
    const uint32_t repeats = group ? group->repeats : 0;
    const bool conditional = group && group->conditional;
    struct yd__compiler *compiler = scan->compiler;
    for (const struct yd_def_entry *entry = entries->first; entry; entry = entry->next) {
        uint64_t bits = 0;
        if (!entry->type) {
            if (!compiler->partial)
                yd_def_error(compiler->diagnostics, YD_D_TYPE, entry->place, "", "'%.*s' has no type",
                             YD_STR_FMT(entry->name));
            scan->info->broken = true;
            return;
        }
        if (entry->from == YD_DEF_START) {
            scan->known = base_known;
            scan->at = base;
        } else if (entry->from == YD_DEF_END) {
            scan->known = false;
        }
        int64_t at = (int64_t)scan->at + entry->offset_bits;
        if (scan->known && (at < 0 || at > (int64_t)UINT32_MAX)) {
            yd_def_error(compiler->diagnostics, YD_D_PLACE, entry->place, "", "'%.*s' begins %s the packet",
                         YD_STR_FMT(entry->name), at < 0 ? "before" : "far behind any end of");
            scan->info->broken = true;
            return;
        }
        if (scan->known) scan->at = (uint64_t)at;
        struct yd__scope *item = yd__piece(compiler, sizeof *item);
        const char *path = yd__path(compiler, prefix, entry->name);
        *item = (struct yd__scope){.path = yd_str_of(path),
                                   .entry = entry,
                                   .group = group,
                                   .known = scan->known && !conditional && !entry->only_if,
                                   .repeats = repeats + (entry->dimensions || entry->to_end || is_room(entry)),
                                   .conditional = conditional || entry->only_if,
                                   .at = scan->at,
                                   .reg = YD__NONE,
                                   .order = scan->order++};
        item->repeated = item->repeats > 0;
        if (scan->info->scope_last)
            scan->info->scope_last->next = item;
        else
            scan->info->scope = item;
        scan->info->scope_last = item;
        bool fixed = yd__entry_bits(entry, &bits), known = scan->known;
        uint64_t begin = scan->at;
        if (entry->type->encoding == YD_DEF_GROUP) {
            scan_entries(scan, &entry->type->entries, item, known, begin);
        }
        if (entry->type->encoding == YD_DEF_GROUP && !fixed && !entry->dimensions && !entry->only_if && known) continue;
        scan->known = known && fixed;
        scan->at = begin + bits;
    }
}

/* Groups may hold groups: how many entries that makes in all, before anything walks through them. A type that holds
 * itself would make no end. */
static bool count_entries(struct yd__compiler *compiler, const struct yd_def_entries *entries, unsigned depth,
                          uint32_t *budget)
{
    for (const struct yd_def_entry *entry = entries->first; entry; entry = entry->next) {
        if (*budget == 0 || depth > GROUPS_MAX) {
            return yd_def_error(compiler->diagnostics, YD_D_LIMIT, entry->place, "",
                                depth > GROUPS_MAX ? "groups in groups without end" : "more than a million fields");
        }
        --*budget;
        if (entry->type && entry->type->encoding == YD_DEF_GROUP &&
            !count_entries(compiler, &entry->type->entries, depth + 1, budget))
            return false;
    }
    return true;
}

static void index_scope(struct yd__compiler *compiler, struct yd__info *info);
static void scan_container(struct yd__compiler *compiler, struct yd__info *info)
{
    if (info->scanned) return;
    info->scanning = true;
    if (info->parent) {
        if (info->parent->scanning) {
            yd_def_error(compiler->diagnostics, YD_D_RING, info->container->place, "",
                         "'%.*s' is its own parent in the end", YD_STR_FMT(info->container->name));
            info->broken = true;
            info->parent = NULL;
        } else {
            scan_container(compiler, info->parent);
            info->broken |= info->parent->broken;
        }
    }
    struct scan scan = {.compiler = compiler, .info = info, .known = true};
    if (info->parent) {
        scan.known = info->parent->end_known;
        scan.at = info->parent->end;
    }
    scan_entries(&scan, &info->container->entries, NULL, true, 0);
    info->scope_count = scan.order;
    index_scope(compiler, info);
    info->end_known = scan.known;
    info->end = scan.at;
    info->scanned = true;
    info->scanning = false;
}

/* ---- references ---- */

/* Fields by their path: a definition may have ten thousand in one container. Room has many of one name, and nobody asks
 * for it by that. */
static uint32_t hash_more(uint32_t hash, struct yd_str text)
{
    for (size_t i = 0; i < text.size; i++) hash = (hash ^ (uint8_t)text.data[i]) * UINT32_C(0x01000193);
    return hash;
}

#define HASH_SEED UINT32_C(0x811c9dc5)

static uint32_t hash_of(struct yd_str path, const struct yd_def_entry *entry)
{
    uint32_t hash = hash_more(HASH_SEED, path);
    if (!entry || !is_room(entry) || (entry->type && entry->type->encoding == YD_DEF_GROUP)) return hash;
    return hash ^ (uint32_t)(yd_hash_id((uintptr_t)entry) >> 32);
}

static uint32_t slot_of(const struct yd__info *info, uint32_t hash)
{
    return (uint32_t)(yd_hash_id(hash) >> 32) & info->table_mask;
}

/* Of several with one path the table has the last; before it stands the one before. */
static void index_scope(struct yd__compiler *compiler, struct yd__info *info)
{
    uint32_t size = 16;
    while (size < info->scope_count * 2) size *= 2;
    info->table = yd__piece(compiler, size * sizeof *info->table);
    info->table_mask = size - 1;
    for (struct yd__scope *item = info->scope; item; item = item->next) {
        item->hash = hash_of(item->path, item->entry);
        uint32_t i = slot_of(info, item->hash);
        while (info->table[i] && (info->table[i]->hash != item->hash || !yd_str_eq(info->table[i]->path, item->path)))
            i = (i + 1) & info->table_mask;
        item->before = info->table[i];
        info->table[i] = item;
    }
}

struct yd__scope *yd__scope_at(const struct yd__info *info, struct yd_str path, const struct yd_def_entry *entry)
{
    uint32_t hash = hash_of(path, entry);
    struct yd__scope *item, *first = NULL;
    for (uint32_t i = slot_of(info, hash); (item = info->table[i]); i = (i + 1) & info->table_mask)
        if (item->hash == hash && yd_str_eq(item->path, path)) break;
    for (; item; item = item->before) {
        if (item->entry == entry) return item;
        first = item;
    }
    return first;
}

/* Up to the last dot; size 0: there is none. */
static struct yd_str around(struct yd_str path)
{
    while (path.size && path.data[path.size - 1] != '.') path.size--;
    if (path.size) path.size--;
    return path;
}

static bool is_inside(struct yd_str path, struct yd_str group, struct yd_str name)
{
    if (!group.size) return yd_str_eq(path, name);
    return path.size == group.size + 1 + name.size && yd_str_starts(path, group) && path.data[group.size] == '.' &&
           memcmp(path.data + group.size + 1, name.data, name.size) == 0;
}

/* The last one of this name in this group. */
static struct yd__scope *last_of(const struct yd__info *info, struct yd_str group, struct yd_str name)
{
    uint32_t hash = HASH_SEED;
    if (group.size) hash = hash_more(hash_more(hash, group), YD_STR("."));
    hash = hash_more(hash, name);
    struct yd__scope *item;
    for (uint32_t i = slot_of(info, hash); (item = info->table[i]); i = (i + 1) & info->table_mask)
        if (item->hash == hash && is_inside(item->path, group, name)) return item;
    return NULL;
}

struct yd__scope *yd__find(struct yd__info *info, struct yd_str path, const struct yd__scope *from,
                           struct yd__info **ret_where)
{
    for (; info; info = info->parent, from = NULL) {
        struct yd_str group = from ? around(from->path) : YD_STR("");
        for (;; group = around(group)) {
            struct yd__scope *found = last_of(info, group, path);
            while (found && from && found->order >= from->order) found = found->before;
            if (found && ret_where) *ret_where = info;
            if (found) return found;
            if (!group.size) break;
        }
    }
    return NULL;
}

bool yd__is_one(const struct yd__info *info, const struct yd__scope *found, const struct yd__scope *from)
{
    uint32_t shared = 0;
    for (struct yd_str group = around(found->path); from && group.size; group = around(group)) {
        const struct yd__scope *item;
        if (from->path.size <= group.size || !yd_str_starts(from->path, group) || from->path.data[group.size] != '.')
            continue;
        if ((item = yd__scope_at(info, group, NULL))) shared = YD_MAX(shared, item->repeats);
    }
    return found->repeats == shared;
}

struct yd__scope *yd__refer(struct yd__compiler *compiler, struct yd__info *info, struct yd_def_ref ref,
                            const struct yd__scope *from)
{
    struct yd_diagnostics *diagnostics = compiler->diagnostics;
    struct yd__info *where = info;
    struct yd__scope *found = yd__find(info, ref.name, from, &where);
    if (!found && compiler->partial && !(from && yd__find(info, ref.name, NULL, NULL))) return NULL;
    if (!found) {
        struct yd_nearest nearest;
        bool later = from && yd__find(info, ref.name, NULL, NULL);
        yd_nearest_init(&nearest, ref.name);
        for (struct yd__info *up = info; up; up = up->parent)
            for (struct yd__scope *item = up->scope; item; item = item->next)
                if (!item->repeated) yd_nearest_add(&nearest, item->path);
        yd_def_error(diagnostics, YD_D_FIELD, ref.place, "",
                     later ? "'%.*s' comes later: it is not known here" : "there is no field '%.*s' here",
                     YD_STR_FMT(ref.name));
        if (later)
            yd_def_help(diagnostics, "a field can be named behind its place");
        else
            yd_nearest_help(&nearest, diagnostics,
                            info->parent || from ? NULL : "a container without parent can only ask its own fields");
        return NULL;
    }
    if (!yd__is_one(where, found, where == info ? from : NULL) || found->entry->type->encoding == YD_DEF_GROUP) {
        yd_def_error(diagnostics, YD_D_FIELD, ref.place, "", "'%.*s' is not one value", YD_STR_FMT(ref.name));
        return NULL;
    }
    if (found->entry->unsupported || found->entry->type->unsupported) {
        if (compiler->partial) return NULL;
        yd_def_error(diagnostics, YD_D_UNSUPPORTED, ref.place, "", "'%.*s' is not decoded: %s", YD_STR_FMT(ref.name),
                     found->entry->unsupported ? found->entry->unsupported : found->entry->type->unsupported);
        return NULL;
    }
    if (!yd__compile_field(compiler, found->entry->type)) return NULL;
    if (found->reg != YD__NONE) return found;
    found->reg = compiler->plan->register_count++;
    for (struct yd_str group = around(found->path); group.size; group = around(group))
        for (struct yd__scope *item = yd__scope_at(where, group, NULL); item; item = item->before)
            item->asked_inside = true;
    return found;
}

/* The field of what is asked, with its calibrations. */
static const struct yd__field *asked(struct yd__compiler *compiler, struct yd__info *info, struct yd_str name,
                                     const struct yd__scope *item, const struct yd__scope *from)
{
    struct yd__field *field = yd__piece(compiler, sizeof *field);
    struct yd__info *where = NULL;
    *field = *yd__compile_field(compiler, item->entry->type);
    (void)yd__find(info, name, from, &where);
    yd__compile_calibrations(compiler, where, item, field);
    return field;
}

static const struct yd__condition *compare_two(struct yd__compiler *compiler, struct yd__info *info,
                                               const struct yd_def_condition *source, const struct yd__scope *from)
{
    struct yd__scope *one = yd__refer(compiler, info, source->field, from),
                     *other = yd__refer(compiler, info, source->other, from);
    if (!one || !other) return NULL;
    if (!yd__is_number(one->entry->type) || !yd__is_number(other->entry->type)) {
        yd_def_error(compiler->diagnostics, YD_D_VALUE, source->place, "", "only numbers are compared with each other");
        return NULL;
    }
    struct yd__condition *made = yd__piece(compiler, sizeof *made);
    *made = (struct yd__condition){.reg = one->reg,
                                   .op = source->op,
                                   .source = source,
                                   .calibrated = source->calibrated,
                                   .field = asked(compiler, info, source->field.name, one, from),
                                   .other = other->reg,
                                   .other_calibrated = source->other_calibrated,
                                   .other_field = asked(compiler, info, source->other.name, other, from)};
    return made;
}

static const struct yd__condition *compare(struct yd__compiler *compiler, struct yd__info *info,
                                           const struct yd_def_condition *source, const struct yd__scope *from)
{
    if (source->other.name.size) return compare_two(compiler, info, source, from);
    struct yd_diagnostics *diagnostics = compiler->diagnostics;
    struct yd__scope *item = yd__refer(compiler, info, source->field, from);
    if (!item) return NULL;
    const struct yd_def_type *type = item->entry->type;
    struct yd__condition *made = yd__piece(compiler, sizeof *made);
    *made =
        (struct yd__condition){.reg = item->reg, .op = source->op, .source = source, .calibrated = source->calibrated};
    made->field = asked(compiler, info, source->field.name, item, from);
    bool is_text = type->encoding == YD_DEF_STRING || type->encoding == YD_DEF_BINARY;
    struct yd_def_value value = source->value;
    switch (value.type) {
    case YD_DEF_U64:
        made->value = (struct yd_decom_value){.type = YD_U64, .u64 = value.u64};
        break;
    case YD_DEF_I64:
        made->value = (struct yd_decom_value){.type = YD_I64, .i64 = value.i64};
        break;
    case YD_DEF_F64:
        made->value = (struct yd_decom_value){.type = YD_F64, .f64 = value.f64};
        break;
    default:
        made->value = (struct yd_decom_value){.type = YD_TEXT, .bytes = value.text};
        break;
    }
    if (made->value.type != YD_TEXT) {
        if (is_text) {
            yd_def_error(diagnostics, YD_D_VALUE, source->place, "", "'%.*s' is text, and is compared with a number",
                         YD_STR_FMT(source->field.name));
            return NULL;
        }
        if (!source->calibrated && type->encoding == YD_DEF_UNSIGNED && type->bits < 64 && value.type == YD_DEF_U64 &&
            source->op == YD_DEF_EQ && value.u64 >> type->bits) {
            yd_def_error(diagnostics, YD_D_VALUE, source->place, "", "'%.*s' has %u bits and is never %llu",
                         YD_STR_FMT(source->field.name), type->bits, (unsigned long long)value.u64);
            return NULL;
        }
        int64_t half = type->bits && type->bits < 64 ? INT64_C(1) << (type->bits - 1) : 0;
        bool beyond = value.type == YD_DEF_I64 && half && type->encoding == YD_DEF_TWOS &&
                      (value.i64 < -half || value.i64 >= half);
        beyond |= value.type == YD_DEF_I64 && value.i64 < 0 && type->encoding == YD_DEF_UNSIGNED;
        if (beyond && !source->calibrated && source->op == YD_DEF_EQ) {
            yd_def_error(diagnostics, YD_D_VALUE, source->place, "", "'%.*s' has %u bits and is never %lld",
                         YD_STR_FMT(source->field.name), type->bits, (long long)value.i64);
            return NULL;
        }
        return made;
    }
    if (is_text) return made;
    made->label = true;
    if (!type->labels) {
        yd_def_error(diagnostics, YD_D_VALUE, source->place, "", "'%.*s' has no labels to be compared with '%.*s'",
                     YD_STR_FMT(source->field.name), YD_STR_FMT(value.text));
        return NULL;
    }
    struct yd_nearest nearest;
    yd_nearest_init(&nearest, value.text);
    bool known = yd_str_eq(type->label_else, value.text);
    for (const struct yd_def_label *label = type->labels; label; label = label->next) {
        known |= yd_str_eq(label->text, value.text);
        yd_nearest_add(&nearest, label->text);
    }
    if (known) return made;
    yd_def_error(diagnostics, YD_D_VALUE, source->place, "", "'%.*s' is never '%.*s'", YD_STR_FMT(source->field.name),
                 YD_STR_FMT(value.text));
    yd_nearest_help(&nearest, diagnostics, NULL);
    return NULL;
}

const struct yd__condition *yd__compile_condition(struct yd__compiler *compiler, struct yd__info *info,
                                                  const struct yd_def_condition *condition,
                                                  const struct yd__scope *from)
{
    if (condition->logic == YD_DEF_COMPARE) return compare(compiler, info, condition, from);
    struct yd__condition *made = yd__piece(compiler, sizeof *made);
    made->logic = condition->logic;
    made->source = condition;
    made->a = yd__compile_condition(compiler, info, condition->a, from);
    if (condition->b) made->b = yd__compile_condition(compiler, info, condition->b, from);
    return made->a && (made->b || !condition->b) ? made : NULL;
}

/* ---- nodes ---- */

/* The registers of a condition, each once. */
static void collect(const struct yd__condition *condition, uint32_t *to, uint32_t *count, uint32_t max)
{
    if (!condition) return;
    if (condition->logic != YD_DEF_COMPARE) {
        collect(condition->a, to, count, max);
        collect(condition->b, to, count, max);
        return;
    }
    const uint32_t registers[] = {condition->reg, condition->other_field ? condition->other : condition->reg};
    for (size_t j = 0; j < YD_COUNT(registers); j++) {
        bool known = false;
        for (uint32_t i = 0; i < *count; i++) known |= to[i] == registers[j];
        if (!known && *count < max) to[(*count)++] = registers[j];
    }
}

static const struct yd__condition *both(struct yd__compiler *compiler, const struct yd__condition *a,
                                        const struct yd__condition *b)
{
    if (!a || !b) return a ? a : b;
    struct yd__condition *made = yd__piece(compiler, sizeof *made);
    *made = (struct yd__condition){.logic = YD_DEF_AND, .a = a, .b = b};
    return made;
}

/* That its constants are what they should be, in order, and then its condition. */
static const struct yd__condition *condition_of(struct yd__compiler *compiler, struct yd__info *info)
{
    const struct yd__condition *all = NULL;
    for (struct yd__scope *item = info->scope; item; item = item->next) {
        const struct yd_def_entry *entry = item->entry;
        if (!entry->has_constant || entry->unsupported) continue;
        bool is_signed = entry->type->encoding != YD_DEF_UNSIGNED && entry->type->encoding != YD_DEF_GRAY &&
                         entry->type->encoding != YD_DEF_BCD;
        if (!item->known || item->repeated || !yd__is_number(entry->type) || entry->type->encoding >= YD_DEF_IEEE) {
            yd_def_error(compiler->diagnostics, YD_D_PLACE, entry->place, "",
                         "only an integer of fixed place can be told to be always the same");
            info->broken = true;
            continue;
        }
        struct yd_def_condition *source = yd_def_compare(
            compiler->def, item->path, YD_DEF_EQ,
            is_signed ? yd_def_i64((int64_t)entry->constant) : yd_def_u64(entry->constant), entry->place);
        if (!source) longjmp(compiler->out_of_memory, 1);
        const struct yd__condition *one = yd__compile_condition(compiler, info, source, NULL);
        if (one) all = both(compiler, all, one);
    }
    const struct yd_def_condition *when = info->container->when;
    const struct yd__condition *own = when ? yd__compile_condition(compiler, info, when, NULL) : NULL;
    if (when && !own) info->broken = true;
    return both(compiler, all, own);
}

static void make_loads(struct yd__compiler *compiler, struct yd__info *info, struct yd__node *node)
{
    enum { REGISTERS_MAX = 256 };
    uint32_t registers[REGISTERS_MAX], count = 0;
    collect(node->when, registers, &count, REGISTERS_MAX);
    if (count == REGISTERS_MAX) {
        yd_def_error(compiler->diagnostics, YD_D_LIMIT, info->container->place, "",
                     "a condition over more than 255 fields");
        return;
    }
    struct yd__load *loads = yd__piece(compiler, YD_MAX(count, 1u) * sizeof *loads);
    uint32_t used = 0;
    for (uint32_t i = 0; i < count; i++)
        for (struct yd__info *up = info; up; up = up->parent)
            for (struct yd__scope *item = up->scope; item; item = item->next) {
                if (item->reg != registers[i]) continue;
                if (item->known && yd__is_number(item->entry->type)) {
                    loads[used++] =
                        (struct yd__load){*yd__compile_field(compiler, item->entry->type), item->at, item->reg};
                } else if (up == info) {
                    yd_def_error(compiler->diagnostics, YD_D_PLACE, item->entry->place, "",
                                 "a container can only ask its own fields when they are numbers of fixed place");
                } else {
                    /* Some parent is walked through, so that it is known: the nearest one knows all above it. */
                    info->parent->children_ask_dynamic = true;
                }
            }
    node->loads = loads;
    node->load_count = used;
}

static int by_value(const void *left, const void *right)
{
    const struct yd__case *a = left, *b = right;
    if (a->value != b->value) return a->value < b->value ? -1 : 1;
    return (a->child > b->child) - (a->child < b->child);
}

/* The value that `reg` must have for this condition: true when there is one. */
static bool wants(const struct yd__condition *condition, uint32_t reg, uint64_t *ret)
{
    if (!condition) return false;
    if (condition->logic == YD_DEF_AND) return wants(condition->a, reg, ret) || wants(condition->b, reg, ret);
    if (condition->logic != YD_DEF_COMPARE || condition->reg != reg || condition->op != YD_DEF_EQ || condition->label ||
        condition->calibrated || condition->other_field || condition->value.type == YD_TEXT ||
        condition->value.type == YD_F64)
        return false;
    if (condition->field->encoding != YD_DEF_UNSIGNED) return false;
    *ret = condition->value.u64;
    return true;
}

static void make_switch(struct yd__compiler *compiler, struct yd__node *node)
{
    enum { TRIES = 8, WORTH = 4 };
    uint32_t registers[TRIES], count = 0;
    if (node->child_count < WORTH || node->walk) return;
    collect(node->children[0]->when, registers, &count, TRIES);
    for (uint32_t r = 0; r < count; r++) {
        struct yd__case *cases = yd__piece(compiler, node->child_count * sizeof *cases);
        uint32_t *others = yd__piece(compiler, node->child_count * sizeof *others);
        uint32_t case_count = 0, other_count = 0;
        bool in_order = true;
        for (uint32_t i = 0; i < node->child_count; i++) {
            uint64_t value;
            if (wants(node->children[i]->when, registers[r], &value)) {
                cases[case_count++] = (struct yd__case){value, i};
                in_order &= other_count == 0;
            } else {
                others[other_count++] = i;
            }
        }
        if (case_count < WORTH || !in_order) continue;
        qsort(cases, case_count, sizeof *cases, by_value);
        node->cases = cases;
        node->case_count = case_count;
        node->others = others;
        node->other_count = other_count;
        node->switch_reg = registers[r];
        return;
    }
}

/* What one of two siblings can never be, because the other always is before it. */
static void check_siblings(struct yd__compiler *compiler, const struct yd__node *node)
{
    const struct yd__node *always = NULL;
    if (compiler->partial) return; /* a constant may be missing */
    for (uint32_t i = 0; i < node->child_count; i++) {
        const struct yd__node *child = node->children[i];
        if (always) {
            yd_def_error(compiler->diagnostics, YD_D_AMBIGUOUS, child->container->place, "",
                         "'%.*s' can never be matched: '%.*s' matches everything before it",
                         YD_STR_FMT(child->container->name), YD_STR_FMT(always->container->name));
            yd_def_note(compiler->diagnostics, always->container->place, "has no condition");
            yd_def_help(compiler->diagnostics, "give '%.*s' a `when`, or a constant",
                        YD_STR_FMT(always->container->name));
            return;
        }
        if (!child->when && !child->broken) always = child;
    }
    for (uint32_t i = 1; i < node->child_count && !node->case_count && node->child_count <= 16; i++)
        for (uint32_t j = 0; j < i; j++) {
            const struct yd__condition *a = node->children[j]->when, *b = node->children[i]->when;
            bool same = a && b && a->logic == YD_DEF_COMPARE && b->logic == YD_DEF_COMPARE && a->reg == b->reg &&
                        a->op == YD_DEF_EQ && b->op == YD_DEF_EQ && a->calibrated == b->calibrated &&
                        a->value.type == YD_U64 && b->value.type == YD_U64 && a->value.u64 == b->value.u64;
            if (!same) continue;
            yd_def_error(compiler->diagnostics, YD_D_AMBIGUOUS, node->children[i]->container->place, "",
                         "'%.*s' and '%.*s' have the same condition", YD_STR_FMT(node->children[j]->container->name),
                         YD_STR_FMT(node->children[i]->container->name));
            yd_def_note(compiler->diagnostics, node->children[j]->container->place, "the other one");
        }
    for (uint32_t i = 1; i < node->case_count; i++) {
        if (node->cases[i].value != node->cases[i - 1].value) continue;
        const struct yd__node *a = node->children[node->cases[i - 1].child], *b = node->children[node->cases[i].child];
        if (a->when->logic != YD_DEF_COMPARE || b->when->logic != YD_DEF_COMPARE) continue;
        yd_def_error(compiler->diagnostics, YD_D_AMBIGUOUS, b->container->place, "",
                     "'%.*s' and '%.*s' have the same condition", YD_STR_FMT(a->container->name),
                     YD_STR_FMT(b->container->name));
        yd_def_note(compiler->diagnostics, a->container->place, "the other one");
    }
}

static void make_nodes(struct yd__compiler *compiler)
{
    struct yd__node *root = &compiler->plan->root;
    for (uint32_t i = 0; i < compiler->info_count; i++) {
        struct yd__info *info = &compiler->infos[i];
        info->node = yd__piece(compiler, sizeof *info->node);
        info->node->container = info->container;
        if (info->container->word_bits) continue;
        (info->parent ? info->parent->children++ : root->child_count++);
    }
    root->children = yd__piece(compiler, (root->child_count + 1) * sizeof(void *));
    for (uint32_t i = 0; i < compiler->info_count; i++)
        compiler->infos[i].node->children = yd__piece(compiler, (compiler->infos[i].children + 1) * sizeof(void *));
    root->child_count = 0;
    for (uint32_t i = 0; i < compiler->info_count; i++) {
        struct yd__info *info = &compiler->infos[i];
        if (info->container->word_bits) continue;
        struct yd__node *above = info->parent ? info->parent->node : root;
        above->children[above->child_count++] = info->node;
        info->node->when = condition_of(compiler, info);
    }
    for (uint32_t i = 0; i < compiler->info_count; i++)
        make_loads(compiler, &compiler->infos[i], compiler->infos[i].node);
}

/* Every name of a field there is gets its register before any program is made. */
static void refer_entries(struct yd__compiler *compiler, struct yd__info *info)
{
    for (struct yd__scope *item = info->scope; item; item = item->next) {
        const struct yd_def_entry *entry = item->entry;
        if (entry->unsupported || entry->type->unsupported) continue;
        if (entry->type->encoding != YD_DEF_GROUP) (void)yd__compile_field(compiler, entry->type);
        const struct yd_def_amount *amounts[] = {&entry->dimension[0], &entry->dimension[1], &entry->type->size};
        for (size_t i = 0; i < YD_COUNT(amounts); i++) {
            for (const struct yd_def_choice *choice = amounts[i]->choices; choice; choice = choice->next)
                if (choice->when) (void)yd__compile_condition(compiler, info, choice->when, item);
            if (!amounts[i]->field.name.size) continue;
            struct yd__scope *found = yd__refer(compiler, info, amounts[i]->field, item);
            if (found && (!yd__is_number(found->entry->type) || found->entry->type->encoding >= YD_DEF_IEEE))
                yd_def_error(compiler->diagnostics, YD_D_FIELD, amounts[i]->field.place, "",
                             "'%.*s' is no integer: it counts nothing", YD_STR_FMT(amounts[i]->field.name));
        }
        if (entry->only_if) yd__doubt_condition(compiler, yd__compile_condition(compiler, info, entry->only_if, item));
        /* Compiled for its registers alone: where it is used, it is compiled again. */
        struct yd__field unused = {0};
        if (entry->type->calibrations) yd__compile_calibrations(compiler, info, item, &unused);
        if (!entry->sequence) continue;
        struct yd_def_ref own = {item->path, entry->place};
        struct yd__scope *counter = yd__refer(compiler, info, own, NULL);
        if (counter && (!counter->known || entry->type->encoding != YD_DEF_UNSIGNED || counter->repeated))
            yd_def_error(compiler->diagnostics, YD_D_SEQUENCE, entry->place, "",
                         "a sequence counter is an unsigned integer of fixed place");
        if (entry->sequence_by.name.size) {
            struct yd__scope *by = yd__refer(compiler, info, entry->sequence_by, NULL);
            if (by && (!by->known || !yd__is_number(by->entry->type)))
                yd_def_error(compiler->diagnostics, YD_D_SEQUENCE, entry->sequence_by.place, "",
                             "what packets are counted by is a number of fixed place");
        }
    }
}

static void make_programs(struct yd__compiler *compiler)
{
    struct yd_plan *plan = compiler->plan;
    plan->packets = yd__piece(compiler, (compiler->info_count + 1) * sizeof *plan->packets);
    for (uint32_t i = 0; i < compiler->info_count; i++) compiler->infos[i].node->broken = compiler->infos[i].broken;
    for (uint32_t i = 0; i < compiler->info_count; i++) {
        struct yd__info *info = &compiler->infos[i];
        const struct yd_def_container *container = info->container;
        if (container->word_bits) {
            yd__compile_frame(compiler, info);
            continue;
        }
        info->node->walk = info->children_ask_dynamic;
        make_switch(compiler, info->node);
        check_siblings(compiler, info->node);
        yd__doubt_siblings(compiler, info->node);
        yd__doubt_matching(compiler, info);
        yd__doubt_container(compiler, info);
        if (info->broken || (container->abstract && !info->node->walk)) {
            if (container->abstract && !info->children && !info->broken)
                yd_def_warn(compiler->diagnostics, YD_D_EMPTY, container->place, "",
                            "no packet continues the container '%.*s'", YD_STR_FMT(container->name));
            continue;
        }
        info->node->program = yd__compile_program(compiler, info);
        if (container->abstract) continue;
        info->node->program->index = plan->packet_count;
        plan->packets[plan->packet_count++] = info->node->program;
    }
    make_switch(compiler, &plan->root);
    check_siblings(compiler, &plan->root);
    yd__doubt_siblings(compiler, &plan->root);
}

static void compile(struct yd__compiler *compiler)
{
    struct yd_def *def = compiler->def;
    struct yd_place nowhere = {.line = 0};
    if (def->containers) nowhere.file = def->containers->place.file;
    for (const struct yd_def_container *container = def->containers; container; container = container->next)
        compiler->info_count++;
    compiler->infos = yd__piece(compiler, (compiler->info_count + 1) * sizeof *compiler->infos);
    uint32_t at = 0;
    for (struct yd_def_container *container = def->containers; container; container = container->next) {
        compiler->infos[at] = (struct yd__info){.container = container, .order = at};
        container->compiled = &compiler->infos[at++];
    }
    for (uint32_t i = 0; i < compiler->info_count; i++)
        if (compiler->infos[i].container->parent)
            compiler->infos[i].parent = compiler->infos[i].container->parent->compiled;
    uint32_t budget = YD__NAMES_MAX;
    for (uint32_t i = 0; i < compiler->info_count; i++)
        if (!count_entries(compiler, &compiler->infos[i].container->entries, 0, &budget)) return;
    for (uint32_t i = 0; i < compiler->info_count; i++) scan_container(compiler, &compiler->infos[i]);
    make_nodes(compiler);
    for (uint32_t i = 0; i < compiler->info_count; i++) refer_entries(compiler, &compiler->infos[i]);
    make_programs(compiler);
    yd__compile_names(compiler);
    yd__compile_rules(compiler);
    if (!compiler->plan->packet_count && !compiler->diagnostics->errors && !compiler->partial)
        yd_def_error(compiler->diagnostics, YD_D_EMPTY, nowhere, "", "the definition has no packet");
}

int yd_plan_compile(struct yd_def *def, const struct yd_plan_options *options, struct yd_diagnostics *diagnostics,
                    struct yd_plan **ret_plan)
{
    const struct yd_plan_options given = options ? *options : (struct yd_plan_options){0};
    struct yd_arena arena;
    yd_arena_init(&arena, given.alloc ? given.alloc : yd_alloc_large());
    struct yd_plan *plan = yd_arena_zero(&arena, sizeof *plan);
    if (!plan) {
        yd_def_destroy(def);
        return YD_ENOMEM;
    }
    *plan = (struct yd_plan){.def = def, .arena = arena, .raw = given.raw, .closely = given.closely};
    struct yd__compiler compiler = {
        .plan = plan, .def = def, .arena = &plan->arena, .diagnostics = diagnostics, .partial = given.partial};
    size_t errors = diagnostics->errors;
    int r = 0;
    if (setjmp(compiler.out_of_memory))
        r = YD_ENOMEM;
    else
        compile(&compiler);
    yd_def_sort(diagnostics);
    if (r == 0 && def->failed) r = YD_ENOMEM;
    if (r == 0 && (diagnostics->errors > errors || given.partial)) r = YD_EFORMAT;
    if (r < 0)
        yd_plan_destroy(plan);
    else
        *ret_plan = plan;
    return r;
}

static bool ends(struct yd_str name, const char *with)
{
    size_t size = strlen(with);
    return name.size >= size && memcmp(name.data + name.size - size, with, size) == 0;
}

int yd_plan_read(const char *path, struct yd_str text, const struct yd_plan_options *options,
                 struct yd_diagnostics *diagnostics, struct yd_plan **ret_plan)
{
    struct yd_def *def;
    struct yd_plan_options partial = options ? *options : (struct yd_plan_options){0};
    struct yd_str name = yd_str_of(path);
    if (ends(name, ".xml") || ends(name, ".xtce")) {
        int read = yd_xtce_read(path, text, partial.alloc, diagnostics, &def);
        return read == 0 ? yd_plan_compile(def, options, diagnostics, ret_plan) : read;
    }
    int r = yd_ydm_read(path, text, partial.alloc, diagnostics, &def);
    if (r == 0) return yd_plan_compile(def, options, diagnostics, ret_plan);
    partial.partial = true;
    return r == YD_EFORMAT && def ? yd_plan_compile(def, &partial, diagnostics, ret_plan) : r;
}

void yd_plan_destroy(struct yd_plan *plan)
{
    if (!plan) return;
    struct yd_arena arena = plan->arena; /* it holds the plan itself */
    for (struct yd__expressions *item = plan->expressions; item; item = item->next)
        yd_expression_destroy(item->expression);
    yd_def_destroy(plan->def);
    yd_arena_fini(&arena);
}

const struct yd_def *yd_plan_def(const struct yd_plan *plan)
{
    return plan->def;
}

uint32_t yd_plan_frame_bits(const struct yd_plan *plan)
{
    return plan->frame ? plan->frame->bits : 0;
}

double yd_plan_frame_rate(const struct yd_plan *plan)
{
    return plan->frame ? (double)plan->frame->rate / plan->frame->bits : 0;
}

uint32_t yd_plan_packet_count(const struct yd_plan *plan)
{
    return plan->packet_count;
}

struct yd_str yd_plan_packet_name(const struct yd_plan *plan, uint32_t packet)
{
    return plan->packets[packet]->container->name;
}

uint32_t yd_plan_measurement_count(const struct yd_plan *plan, uint32_t packet)
{
    return plan->packets[packet]->name_count;
}

struct yd_str yd_plan_measurement_name(const struct yd_plan *plan, uint32_t packet, uint32_t index)
{
    return plan->packets[packet]->names[index];
}
