/* What compiles, and is surely not what was meant: warnings, with the place and what to write instead.
 *
 *   at 0 |aaaaaaaa|aaaaaaaa|            fields of fixed place that lie partly over each other
 *   at 1          |bbbbbbbb|bbbbbbbb|   (one inside of the other is a word and its bits: fine; so is a group laid
 *                                       over others: the same bytes seen in two ways)
 *
 *   payload bytes(rest), then crc u16   what comes behind all that there is
 *   when id == 1, then when id == 1 and sub == 2: the first one that fits is taken
 *
 * Nothing here changes the plan. Only what is certain is said; what is not looked at (conditions with `or`, of
 * calibrated values, more than a hundred siblings, fields beyond a million compared) is taken to be meant. */
#include "decom/compile.h"

#include <stdlib.h>

/* ---- places ---- */

struct span {
    uint64_t begin, end;
    uint32_t group; /* fields are compared with those of their own group; 0: of the containers themselves */
    const struct yd__scope *item;
};

static int by_begin(const void *left, const void *right)
{
    const struct span *a = left, *b = right;
    if (a->group != b->group) return a->group < b->group ? -1 : 1;
    if (a->begin != b->begin) return a->begin < b->begin ? -1 : 1;
    if (a->end != b->end) return a->end > b->end ? -1 : 1; /* what is around comes first */
    return (a->item->order > b->item->order) - (a->item->order < b->item->order);
}

static bool is_whole(const struct yd__scope *item, uint64_t bits)
{
    return item->at % 8 == 0 && bits % 8 == 0;
}

/* Positions of the two numberings are the same ones for whole bytes only. groups: the number of this container's first
 * one. */
static uint32_t add_spans(const struct yd__info *info, enum yd_def_numbering numbering, uint32_t groups,
                          struct span *to)
{
    uint32_t count = 0;
    for (const struct yd__scope *item = info->scope; item; item = item->next) {
        uint64_t bits;
        bool whole = item->entry->type->encoding == YD_DEF_GROUP, room = yd_str_eq(item->entry->name, YD_STR("_"));
        bool inside = item->repeats > (item->entry->dimensions > 0); /* of an array of groups */
        if (!item->known || whole || room || inside || !yd__entry_bits(item->entry, &bits) || !bits) continue;
        if (item->entry->type->numbering != numbering && !is_whole(item, bits)) continue;
        uint32_t group = item->group ? groups + item->group->order : 0;
        to[count++] = (struct span){item->at, item->at + bits, group, item};
    }
    return count;
}

static bool is_placed(const struct yd__scope *item)
{
    return item->entry->from == YD_DEF_START || item->entry->offset_bits < 0;
}

/* Is no field before it, of its group or of the containers? */
static bool is_first(const struct yd__info *info, const struct yd__scope *item)
{
    const struct yd__scope *first = NULL;
    if (item->group) return item->order == item->group->order + 1;
    for (; info; info = info->parent)
        if (info->scope) first = info->scope;
    return item == first;
}

/* At the one whose place somebody wrote. */
static void say_overlap(struct yd__compiler *compiler, const struct yd__info *info, const struct span *first,
                        const struct span *second)
{
    bool first_is = is_placed(first->item) && !is_placed(second->item);
    const struct yd__scope *wrong = first_is ? first->item : second->item,
                           *other = first_is ? second->item : first->item;
    const uint64_t own = other->group ? other->group->at : 0; /* places in a group are counted from its own */
    const uint64_t behind = first->end - own;
    unsigned long long byte = behind / 8;
    unsigned bit = (unsigned)(behind % 8);
    yd_def_warn(compiler->diagnostics, YD_D_PLACE, wrong->entry->place, "", "'%.*s' lies partly over '%.*s'",
                YD_STR_FMT(wrong->path), YD_STR_FMT(other->path));
    yd_def_note(compiler->diagnostics, other->entry->place, "this one");
    if (first_is && !is_first(info, wrong))
        yd_def_help(compiler->diagnostics, "without a place it begins where the field before it ends");
    else if (!first_is && bit)
        yd_def_help(compiler->diagnostics, "behind '%.*s' is  at %llu bit %u", YD_STR_FMT(other->path), byte, bit);
    else if (!first_is)
        yd_def_help(compiler->diagnostics, "behind '%.*s' is  at %llu", YD_STR_FMT(other->path), byte);
}

/* How many fields are to be compared; 0: too many, here or in all. Paid for before it is known, so that long chains of
 * containers cost no more than the rest. */
static uint32_t count_places(struct yd__compiler *compiler, const struct yd__info *info)
{
    uint32_t count = 0, left = YD__DOUBT_SPANS_IN_ALL - compiler->places_doubted;
    const uint32_t most = YD_MIN(left, YD__DOUBT_SPANS_MAX);
    for (const struct yd__info *up = info; up && count <= most; up = up->parent) count += up->scope_count + 1;
    compiler->places_doubted += YD_MIN(count, left);
    return count <= most ? count : 0;
}

static void doubt_overlaps(struct yd__compiler *compiler, const struct yd__info *info, enum yd_def_numbering numbering)
{
    const uint32_t room = count_places(compiler, info);
    if (!room) return;
    uint32_t count = 0, open = 0, groups = 1;
    struct span *spans = yd_alloc_get(compiler->arena->alloc, room * sizeof *spans);
    if (!spans) longjmp(compiler->out_of_memory, 1);
    for (const struct yd__info *up = info; up; groups += up->scope_count, up = up->parent)
        count += add_spans(up, numbering, groups, spans + count);
    qsort(spans, count, sizeof *spans, by_begin);
    /* Those around the next one are kept in front: each lies inside of the one before it. */
    for (uint32_t i = 0; i < count; i++) {
        const struct span next = spans[i];
        while (open && (spans[open - 1].end <= next.begin || spans[open - 1].group != next.group)) open--;
        if (open && next.end > spans[open - 1].end) {
            say_overlap(compiler, info, &spans[open - 1], &next);
            continue; /* what comes next is held against the first one alone */
        }
        spans[open++] = next;
    }
    yd_alloc_put(compiler->arena->alloc, spans, room * sizeof *spans);
}

/* `at end - 1` for two bytes: no packet has it. */
static void doubt_ends(struct yd__compiler *compiler, const struct yd__info *info)
{
    for (const struct yd__scope *item = info->scope; item; item = item->next) {
        const struct yd_def_entry *entry = item->entry;
        uint64_t bits;
        if (entry->from != YD_DEF_END || !yd__entry_bits(entry, &bits) || !bits) continue;
        if (entry->offset_bits + (int64_t)bits <= 0) continue;
        yd_def_warn(compiler->diagnostics, YD_D_PLACE, entry->place, "", "'%.*s' ends behind the packet: none has it",
                    YD_STR_FMT(item->path));
        if (bits % 8 == 0)
            yd_def_help(compiler->diagnostics, "it has %llu bytes: write  at end - %llu", (unsigned long long)bits / 8,
                        (unsigned long long)bits / 8);
    }
}

/* Does this entry take all whole bytes that there are? Not `[*]`: it has a limit, and a packet may have more. What is
 * not understood may be of any size. */
static bool takes_the_rest(const struct yd_def_entry *entry)
{
    const struct yd_def_type *type = entry->type;
    if (entry->only_if || entry->to_end || entry->dimensions || entry->unsupported || type->unsupported) return false;
    return (type->encoding == YD_DEF_STRING || type->encoding == YD_DEF_BINARY) && type->extent == YD_DEF_REST;
}

/* 'c' behind the eater, or behind what was placed at the end. */
static void say_behind(struct yd__compiler *compiler, const struct yd_def_entry *entry,
                       const struct yd_def_entry *eater, uint64_t bits)
{
    unsigned long long bytes = bits / 8;
    yd_def_warn(compiler->diagnostics, YD_D_PLACE, entry->place, "",
                "'%.*s' comes behind '%.*s', where the packet ends: none has it", YD_STR_FMT(entry->name),
                YD_STR_FMT(eater->name));
    yd_def_note(compiler->diagnostics, eater->place,
                eater->from == YD_DEF_END ? "ends there" : "takes all that is left");
    if (eater->from == YD_DEF_END)
        yd_def_help(compiler->diagnostics,
                    "fields go on from the one before: say where it begins, or write it above '%.*s'",
                    YD_STR_FMT(eater->name));
    else if (bits % 8 == 0)
        yd_def_help(compiler->diagnostics, "say how much '%.*s' takes, or place this one:  at end - %llu",
                    YD_STR_FMT(eater->name), bytes);
    else
        yd_def_help(compiler->diagnostics, "say how much '%.*s' takes", YD_STR_FMT(eater->name));
}

static void doubt_behind(struct yd__compiler *compiler, struct yd__info *info)
{
    if (info->parent) {
        info->eater = info->parent->eater;
        info->unit = info->parent->unit;
        info->behind = info->parent->behind;
    }
    for (const struct yd_def_entry *entry = info->container->entries.first; entry; entry = entry->next) {
        uint64_t bits;
        bool asked = info->eater || entry->from == YD_DEF_END; /* nearly never: definitions are large */
        bool fixed = asked && !entry->unsupported && !entry->type->unsupported && yd__entry_bits(entry, &bits);
        if (entry->from != YD_DEF_PREVIOUS || entry->offset_bits < 0) info->eater = NULL;
        if (info->eater && fixed) {
            info->behind += bits + (uint64_t)entry->offset_bits;
            if (bits && info->behind >= info->unit) {
                say_behind(compiler, entry, info->eater, bits);
                info->eater = NULL;
            }
        }
        if (takes_the_rest(entry)) {
            info->eater = entry, info->unit = 8, info->behind = 0; /* the bits of a byte may be left */
        } else if (entry->from == YD_DEF_END && fixed && bits && entry->offset_bits + (int64_t)bits <= 0) {
            info->eater = entry, info->behind = 0;
            info->unit = (uint64_t) - (entry->offset_bits + (int64_t)bits) + 1;
        }
    }
}

void yd__doubt_container(struct yd__compiler *compiler, struct yd__info *info)
{
    if (info->doubted || compiler->partial || info->broken || info->container->word_bits) return;
    info->doubted = true;
    if (info->parent) yd__doubt_container(compiler, info->parent);
    bool placed = false, from_end = false;
    info->any_lsb0 = info->parent && info->parent->any_lsb0;
    for (const struct yd__scope *item = info->scope; item; item = item->next) {
        placed |= is_placed(item);
        from_end |= item->entry->from == YD_DEF_END;
        info->any_lsb0 |= item->entry->type->numbering == YD_DEF_LSB0;
    }
    if (placed) {
        doubt_overlaps(compiler, info, YD_DEF_MSB0);
        if (info->any_lsb0) doubt_overlaps(compiler, info, YD_DEF_LSB0);
    }
    if (from_end) doubt_ends(compiler, info);
    doubt_behind(compiler, info);
}

/* ---- conditions ---- */

#define ATOMS_MAX 24

struct atoms { /* all of which must hold */
    const struct yd__condition *of[ATOMS_MAX];
    uint32_t count;
    bool more; /* that is not here */
};

static void add_atoms(const struct yd__condition *condition, struct atoms *to)
{
    if (!condition) return;
    if (condition->logic == YD_DEF_AND) {
        add_atoms(condition->a, to);
        add_atoms(condition->b, to);
    } else if (condition->logic == YD_DEF_COMPARE && !condition->other_field && to->count < ATOMS_MAX) {
        to->of[to->count++] = condition;
    } else {
        to->more = true;
    }
}

struct range {
    int64_t low, high;
};

/* What it may be for this to hold. false: no range of raw integers. */
static bool range_of(const struct yd__condition *atom, struct range *ret)
{
    const struct yd_decom_value *value = &atom->value;
    if (atom->label || atom->calibrated || atom->field->encoding >= YD_DEF_IEEE) return false;
    if (value->type != YD_I64 && (value->type != YD_U64 || value->u64 >= INT64_MAX)) return false;
    if (value->i64 == INT64_MIN || value->i64 == INT64_MAX) return false;
    *ret = (struct range){INT64_MIN, INT64_MAX};
    if (atom->op == YD_DEF_EQ || atom->op == YD_DEF_GE) ret->low = value->i64;
    if (atom->op == YD_DEF_EQ || atom->op == YD_DEF_LE) ret->high = value->i64;
    if (atom->op == YD_DEF_GT) ret->low = value->i64 + 1;
    if (atom->op == YD_DEF_LT) ret->high = value->i64 - 1;
    return atom->op != YD_DEF_NE;
}

static struct range range_of_type(const struct yd__condition *atom)
{
    unsigned bits = atom->field->bits;
    if (atom->field->encoding == YD_DEF_UNSIGNED)
        return (struct range){0, bits < 63 ? (INT64_C(1) << bits) - 1 : INT64_MAX};
    if (atom->field->encoding == YD_DEF_TWOS && bits && bits < 64)
        return (struct range){-(INT64_C(1) << (bits - 1)), (INT64_C(1) << (bits - 1)) - 1};
    return (struct range){INT64_MIN, INT64_MAX};
}

/* What the first `count` of them leave of this register. */
static struct range left_of(const struct atoms *atoms, uint32_t count, uint32_t reg, struct range range)
{
    struct range one;
    for (uint32_t i = 0; i < count; i++) {
        if (atoms->of[i]->reg != reg || !range_of(atoms->of[i], &one)) continue;
        range.low = YD_MAX(range.low, one.low);
        range.high = YD_MIN(range.high, one.high);
    }
    return range;
}

static bool can_hold(const struct atoms *atoms)
{
    for (uint32_t i = 0; i < atoms->count; i++) {
        struct range range = left_of(atoms, i + 1, atoms->of[i]->reg, range_of_type(atoms->of[i]));
        if (range.low > range.high) return false;
    }
    return true;
}

/* Is there a value for each? Those before `own` have been judged. */
static void doubt_atoms(struct yd__compiler *compiler, const struct atoms *atoms, uint32_t own)
{
    for (uint32_t i = own; i < atoms->count; i++) {
        const struct yd__condition *atom = atoms->of[i];
        struct range type = range_of_type(atom), range = left_of(atoms, i + 1, atom->reg, type);
        if (range.low <= range.high) continue;
        struct yd_str name = atom->source->field.name;
        yd_def_warn(compiler->diagnostics, YD_D_VALUE, atom->source->place, "", "this never holds: no '%.*s' is so",
                    YD_STR_FMT(name));
        struct range alone = left_of(&(struct atoms){{atom}, 1, false}, 1, atom->reg, type);
        if (alone.low > alone.high)
            yd_def_help(compiler->diagnostics, "its %u bits hold %lld to %lld", atom->field->bits, (long long)type.low,
                        (long long)type.high);
        for (uint32_t j = 0; alone.low <= alone.high && j < i; j++) {
            struct range other;
            if (atoms->of[j]->reg != atom->reg || !range_of(atoms->of[j], &other)) continue;
            if (YD_MAX(other.low, alone.low) <= YD_MIN(other.high, alone.high)) continue;
            yd_def_note(compiler->diagnostics, atoms->of[j]->source->place, "and this must hold, too");
            break;
        }
        return;
    }
}

void yd__doubt_condition(struct yd__compiler *compiler, const struct yd__condition *condition)
{
    if (!condition || compiler->partial) return;
    if (condition->logic == YD_DEF_OR) {
        yd__doubt_condition(compiler, condition->a);
        yd__doubt_condition(compiler, condition->b);
        return;
    }
    struct atoms atoms = {.count = 0};
    add_atoms(condition, &atoms);
    doubt_atoms(compiler, &atoms, 0);
}

static bool is_same(const struct yd__condition *a, const struct yd__condition *b)
{
    if (a->reg != b->reg || a->op != b->op || a->label != b->label || a->calibrated != b->calibrated ||
        a->value.type != b->value.type)
        return false;
    return a->value.type == YD_TEXT ? yd_str_eq(a->value.bytes, b->value.bytes) : a->value.u64 == b->value.u64;
}

/* Whenever all of `narrow` hold, all of `wide` do. */
static bool follows(const struct atoms *narrow, const struct atoms *wide)
{
    if (wide->more || !wide->count) return false;
    for (uint32_t i = 0; i < wide->count; i++) {
        const struct yd__condition *atom = wide->of[i];
        struct range want, range = {INT64_MIN, INT64_MAX};
        bool found = false;
        for (uint32_t j = 0; j < narrow->count && !found; j++) found = is_same(atom, narrow->of[j]);
        if (found) continue;
        if (!range_of(atom, &want)) return false;
        range = left_of(narrow, narrow->count, atom->reg, range);
        if (range.low < want.low || range.high > want.high) return false;
    }
    return true;
}

void yd__doubt_siblings(struct yd__compiler *compiler, const struct yd__node *node)
{
    if (compiler->partial || node->child_count < 2 || node->child_count > YD__DOUBT_SIBLINGS_MAX) return;
    struct yd_alloc *alloc = compiler->arena->alloc;
    struct atoms *all = yd_alloc_zero(alloc, node->child_count * sizeof *all);
    if (!all) longjmp(compiler->out_of_memory, 1);
    for (uint32_t i = 0; i < node->child_count; i++) add_atoms(node->children[i]->when, &all[i]);
    for (uint32_t i = 1; i < node->child_count; i++)
        for (uint32_t j = 0; j < i && can_hold(&all[i]); j++) { /* what never holds has been said */
            const struct yd__node *late = node->children[i], *early = node->children[j];
            if (late->broken || early->broken || !follows(&all[i], &all[j])) continue;
            struct yd_str name = late->container->name, other = early->container->name;
            yd_def_warn(compiler->diagnostics, YD_D_AMBIGUOUS, late->container->place, "",
                        "'%.*s' can never be matched: where it fits, '%.*s' does before it", YD_STR_FMT(name),
                        YD_STR_FMT(other));
            yd_def_note(compiler->diagnostics, early->container->place, "this one is tried first");
            yd_def_help(compiler->diagnostics,
                        "write '%.*s' above '%.*s', or say in the `when` of the latter what it is not",
                        YD_STR_FMT(name), YD_STR_FMT(other));
            break;
        }
    yd_alloc_put(alloc, all, node->child_count * sizeof *all);
}

/* Its own conditions, held against those of its parents. */
void yd__doubt_matching(struct yd__compiler *compiler, const struct yd__info *info)
{
    struct atoms atoms = {.count = 0};
    if (compiler->partial || !info->node->when) return;
    for (const struct yd__info *up = info->parent; up; up = up->parent) add_atoms(up->node->when, &atoms);
    uint32_t own = atoms.count;
    add_atoms(info->node->when, &atoms);
    doubt_atoms(compiler, &atoms, own);
}
