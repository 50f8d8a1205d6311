/* What a definition derives and limits, checked as a whole, so that Derive and Limits find nothing more in it.
 *
 *   derive   texts ──▶ who reads whom ──▶ order; a ring is shown ──▶ once more, with the types of what is derived
 *   limits   texts ──▶ clauses: can they judge a value of this kind? one clause for each set
 *
 * What can fail: mistakes, said at their places; memory. */
#include "decom/rules.h"

#include <stdio.h>

#include "decom/compile.h"

#define SETS_MAX 63 /* of the engine, beside the one without a name */

/* ---- names in expressions ---- */

/* What certainly is a text or bytes; everything else is known when it comes. */
static enum yd_type type_of(const struct yd__measured *measured)
{
    if (measured->derived) return measured->type;
    const struct yd_def_type *type = measured->entry->type;
    if (measured->is_raw) return YD_NIL;
    if (type->encoding == YD_DEF_BINARY) return YD_BLOB;
    return type->encoding == YD_DEF_STRING || (type->labels && type->label_else.size) ? YD_TEXT : YD_NIL;
}

static int find_measurement(void *opaque, struct yd_str name, uint32_t *ret_slot, enum yd_type *ret_type)
{
    const struct yd__compiler *compiler = opaque;
    const struct yd__measured *found = yd__measured_find(compiler->plan, name);
    if (!found) return YD_ENOENT;
    enum yd_type type = type_of(found);
    *ret_slot = (uint32_t)(found - compiler->plan->measurements.items);
    *ret_type = type == YD_BLOB ? YD_NIL : type;
    return 0;
}

/* Each as it is, and without the definition's name. */
static struct yd_str known_measurement(void *opaque, size_t index)
{
    const struct yd__compiler *compiler = opaque;
    const struct yd__measurements *all = &compiler->plan->measurements;
    if (index / 2 >= all->count) return (struct yd_str){0};
    struct yd_str name = all->items[index / 2].name;
    size_t front = compiler->def->name.size ? compiler->def->name.size + 1 : 0;
    return index % 2 && name.size > front ? (struct yd_str){name.data + front, name.size - front} : name;
}

/* ---- derived measurements ---- */

enum mark { UNSEEN, OPEN, DONE, BROKEN };
struct derived {
    const struct yd_def_derived *source;
    struct yd__measured *measured; /* NULL: its name is another's */
    uint32_t *reads;               /* of those derived, which */
    uint32_t read_count;
    uint8_t mark;
};
struct sorting {
    struct yd__compiler *compiler;
    struct derived *items;
    uint32_t *stack, *next; /* by depth: which one, which of what it reads */
};

/* NULL: it is wrong, which has been said unless `quiet`. */
static struct yd_expression *read_expression(struct yd__compiler *compiler, const struct yd_def_derived *derived)
{
    const struct yd_expression_names names = {compiler, find_measurement, known_measurement};
    struct yd_expression *expression;
    struct yd_mistake mistake;
    int r = yd_expression_compile(derived->text, &names, compiler->arena->alloc, NULL, &expression, &mistake);
    if (r == YD_ENOMEM) longjmp(compiler->out_of_memory, 1);
    if (r == 0) return expression;
    yd__say_mistake(compiler, YD_D_DERIVED, derived->text_place, &mistake);
    return NULL;
}

static bool is_of_bytes(struct yd__compiler *compiler, const struct yd_def_derived *derived,
                        const struct yd_expression_slot *slot)
{
    const struct yd__measured *read = &compiler->plan->measurements.items[slot->slot];
    struct yd_mistake mistake;
    if (type_of(read) != YD_BLOB) return false;
    (void)yd_mistake_say(&mistake, YD_EINVAL, derived->text, slot->offset, slot->size,
                         "'%.*s' is bytes: nothing is computed of them", (int)YD_MIN(read->name.size, (size_t)120),
                         read->name.data);
    yd__say_mistake(compiler, YD_D_DERIVED, derived->text_place, &mistake);
    yd_def_help(compiler->diagnostics, "cut what you need out of them as fields of numbers");
    return true;
}

/* Which other derived ones it reads; items are in the order of the definition. */
static void read_first(struct sorting *sorting, struct derived *item, const uint32_t *by_measured)
{
    struct yd__compiler *compiler = sorting->compiler;
    struct yd_expression *expression = read_expression(compiler, item->source);
    item->mark = expression ? UNSEEN : BROKEN;
    if (!expression) return;
    size_t count;
    const struct yd_expression_slot *slots = yd_expression_slots(expression, &count);
    item->reads = yd_arena_zero(compiler->arena, (count + 1) * sizeof *item->reads);
    for (size_t i = 0; item->reads && i < count; i++) {
        if (compiler->plan->measurements.items[slots[i].slot].derived)
            item->reads[item->read_count++] = by_measured[slots[i].slot];
        else if (is_of_bytes(compiler, item->source, &slots[i]))
            item->mark = BROKEN;
    }
    yd_expression_destroy(expression);
    if (!item->reads) longjmp(compiler->out_of_memory, 1);
}

/* stack[0 … depth], whose last one reads `again`, which is in it. */
static void say_ring(struct sorting *sorting, uint32_t depth, uint32_t again)
{
    struct yd_diagnostics *diagnostics = sorting->compiler->diagnostics;
    const struct yd_def_derived *first = sorting->items[again].source;
    char chain[400];
    size_t size = 0;
    uint32_t from = 0;
    while (sorting->stack[from] != again) from++;
    for (uint32_t i = from; i <= depth + 1; i++) {
        struct yd_str name = sorting->items[i > depth ? again : sorting->stack[i]].source->name;
        if (i <= depth && size + name.size + first->name.size + 16 > sizeof chain) {
            size += (size_t)snprintf(chain + size, sizeof chain - size, " -> …");
            i = depth;
            continue;
        }
        size += (size_t)snprintf(chain + size, sizeof chain - size, "%s%.*s", i > from ? " -> " : "", YD_STR_FMT(name));
        size = YD_MIN(size, sizeof chain - 1);
    }
    yd_def_error(diagnostics, YD_D_RING, first->place, "", "derived values go in a circle: %s", chain);
    for (uint32_t i = from; i <= depth; i++)
        if (sorting->stack[i] != again)
            yd_def_note(diagnostics, sorting->items[sorting->stack[i]].source->place, "in the circle");
    yd_def_help(diagnostics,
                "each must come from packets in the end; previous(x) and last(x, y) remember what packets brought");
}

/* Now what it reads has its type. */
static void read_again(struct sorting *sorting, struct derived *item)
{
    struct yd_expression *expression = NULL;
    if (item->mark == OPEN && (expression = read_expression(sorting->compiler, item->source))) {
        if (item->measured) item->measured->type = yd_expression_type(expression);
        yd_expression_destroy(expression);
    }
    item->mark = DONE;
}

static void visit(struct sorting *sorting, uint32_t root)
{
    uint32_t depth = 0;
    if (sorting->items[root].mark != UNSEEN) return;
    sorting->stack[0] = root;
    sorting->next[0] = 0;
    sorting->items[root].mark = OPEN;
    for (;;) {
        struct derived *item = &sorting->items[sorting->stack[depth]];
        if (sorting->next[depth] < item->read_count) {
            uint32_t read = item->reads[sorting->next[depth]++];
            if (sorting->items[read].mark == OPEN) say_ring(sorting, depth, read);
            if (sorting->items[read].mark != UNSEEN) continue;
            sorting->items[read].mark = OPEN;
            sorting->stack[++depth] = read;
            sorting->next[depth] = 0;
            continue;
        }
        read_again(sorting, item);
        if (depth-- == 0) return;
    }
}

static void read_derived(struct yd__compiler *compiler)
{
    const struct yd__measurements *all = &compiler->plan->measurements;
    struct sorting sorting = {.compiler = compiler};
    uint32_t count = 0, at = 0;
    for (const struct yd_def_derived *derived = compiler->def->derived; derived; derived = derived->next) {
        if (++count <= YD_RULES_MAX) continue;
        yd_def_error(compiler->diagnostics, YD_D_LIMIT, derived->place, "", "more than %d derived values",
                     YD_RULES_MAX);
        yd_def_help(compiler->diagnostics,
                    "split them: a Derive takes rules from a file, too, and several stand in a row");
        return;
    }
    sorting.items = yd__piece(compiler, (count + 1) * sizeof *sorting.items);
    sorting.stack = yd__piece(compiler, (count + 1) * sizeof *sorting.stack);
    sorting.next = yd__piece(compiler, (count + 1) * sizeof *sorting.next);
    uint32_t *by_measured = yd__piece(compiler, (all->count + 1) * sizeof *by_measured);
    for (const struct yd_def_derived *derived = compiler->def->derived; derived; derived = derived->next, at++)
        sorting.items[at].source = derived;
    /* Both are in the order of the definition; those whose name is another's are left out in one. */
    for (uint32_t i = 0, j = 0; i < all->count; i++) {
        if (!all->items[i].derived) continue;
        while (sorting.items[j].source != all->items[i].derived) j++;
        sorting.items[j].measured = &all->items[i];
        by_measured[i] = j;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct yd_def_derived *derived = sorting.items[i].source;
        if (derived->unsupported) {
            sorting.items[i].mark = BROKEN;
            yd_def_warn(compiler->diagnostics, YD_D_UNSUPPORTED, derived->place, "", "'%.*s' is not derived: %s",
                        YD_STR_FMT(derived->name), derived->unsupported);
            continue;
        }
        read_first(&sorting, &sorting.items[i], by_measured);
    }
    for (uint32_t i = 0; i < count; i++) visit(&sorting, i);
}

/* ---- limits ---- */

/* What a measurement's values are, as far as limits are concerned. */
enum kind { NUMBER, TRUTH, TEXT, LABELS, BYTES, NOT_ONE, NOT_KNOWN };
struct judged {
    enum kind kind;
    struct yd_str name;
    const struct yd_def_type *type; /* LABELS */
};
struct limiting {
    struct yd__compiler *compiler;
    struct yd_str sets[SETS_MAX];
    uint32_t set_count;
    bool said_full;
};

static struct judged of_entry(const struct yd_def_entry *entry)
{
    const struct yd_def_type *type = entry->type;
    enum kind kind = !type                             ? NOT_KNOWN
                     : type->encoding == YD_DEF_GROUP  ? NOT_ONE
                     : type->encoding == YD_DEF_BINARY ? BYTES
                     : type->encoding == YD_DEF_STRING ? TEXT
                     : type->labels                    ? LABELS
                     : type->boolean                   ? TRUTH
                                                       : NUMBER;
    return (struct judged){kind, entry->name, type};
}

static struct judged of_derived(struct yd_str name, enum yd_type type)
{
    enum kind kind = type == YD_NIL ? NOT_KNOWN : type == YD_TEXT ? TEXT : type == YD_BOOL ? TRUTH : NUMBER;
    return (struct judged){kind, name, NULL};
}

static const struct yd_def_label *label_of(const struct yd_def_type *type, double value)
{
    const struct yd_def_label *label = type->labels;
    while (label && !(value >= (double)label->first && value <= (double)label->last)) label = label->next;
    return label;
}

static double number_of(const struct yd_reading *value)
{
    return value->type == YD_F64 ? value->f64 : value->type == YD_I64 ? (double)value->i64 : (double)value->u64;
}

static bool refuse(struct limiting *limiting, const struct yd_def_limits *limits, const char *format,
                   struct yd_str name)
{
    return yd_def_error(limiting->compiler->diagnostics, YD_D_LIMITS, limits->place, "", format,
                        (int)YD_MIN(name.size, (size_t)200), name.data);
}

/* `is VALUE` that this measurement can never be. */
static bool check_value(struct limiting *limiting, const struct judged *judged, const struct yd_def_limits *limits,
                        const struct yd_reading *value)
{
    struct yd_diagnostics *diagnostics = limiting->compiler->diagnostics;
    bool text = value->type == YD_TEXT;
    if ((judged->kind == NUMBER || judged->kind == TRUTH) && text) {
        refuse(limiting, limits, "'%.*s' is no text, and is never one", judged->name);
        yd_def_help(diagnostics, judged->kind == TRUTH ? "write  is true  or  is false" : "write a number: is 3");
        return false;
    }
    if (judged->kind == TEXT && !text) {
        refuse(limiting, limits, "'%.*s' is text, and is never a number", judged->name);
        yd_def_help(diagnostics, "write the text in quotes: is \"FAULT\"");
        return false;
    }
    if (judged->kind != LABELS) return true;
    if (!text) {
        const struct yd_def_label *label = label_of(judged->type, number_of(value));
        struct yd_str told = label ? label->text : judged->type->label_else;
        if (!told.size) return true; /* a value without a label is told as number */
        refuse(limiting, limits, "'%.*s' has labels: this number is told as one", judged->name);
        yd_def_help(diagnostics, "write  is \"%.*s\"", YD_STR_FMT(told));
        return false;
    }
    struct yd_str asked = {value->text, value->size};
    struct yd_nearest nearest;
    yd_nearest_init(&nearest, asked);
    if (yd_str_eq(asked, judged->type->label_else)) return true;
    yd_nearest_add(&nearest, judged->type->label_else);
    for (const struct yd_def_label *label = judged->type->labels; label; label = label->next) {
        if (yd_str_eq(asked, label->text)) return true;
        yd_nearest_add(&nearest, label->text);
    }
    yd_def_error(diagnostics, YD_D_LIMITS, limits->place, "", "'%.*s' is never \"%.*s\"", YD_STR_FMT(judged->name),
                 (int)YD_MIN(asked.size, (size_t)100), asked.data);
    yd_nearest_help(&nearest, diagnostics, "its labels stand in its type, in { }");
    return false;
}

static bool check_clause(struct limiting *limiting, const struct judged *judged, const struct yd_def_limits *limits)
{
    struct yd_diagnostics *diagnostics = limiting->compiler->diagnostics;
    const struct yd_limit_clause *clause = &limits->clause;
    bool ranges = clause->yellow.given || clause->red.given || clause->yellow_rate.given || clause->red_rate.given ||
                  clause->yellow_delta.given || clause->red_delta.given;
    if (judged->kind == NOT_KNOWN) return true;
    if (judged->kind == NOT_ONE) {
        refuse(limiting, limits, "'%.*s' is a group: limits are for one value", judged->name);
        yd_def_help(diagnostics, "give them to its fields");
        return false;
    }
    if (judged->kind == BYTES && (ranges || clause->value_count)) {
        refuse(limiting, limits, "'%.*s' is bytes, which nobody judges", judged->name);
        yd_def_help(diagnostics, "only  stale 10s  can be said of them");
        return false;
    }
    bool only_text = judged->kind == TEXT || (judged->kind == LABELS && judged->type->label_else.size);
    if (only_text && ranges) {
        refuse(limiting, limits, "'%.*s' is text: a range judges numbers", judged->name);
        yd_def_help(diagnostics, "write  red is \"%.*s\"",
                    YD_STR_FMT(judged->kind == LABELS ? judged->type->labels->text : YD_STR("FAULT")));
        return false;
    }
    for (uint32_t i = 0; i < clause->value_count; i++)
        if (!check_value(limiting, judged, limits, &clause->values[i].value)) return false;
    return true;
}

static void check_set(struct limiting *limiting, const struct yd_def_limits *limits)
{
    struct yd_str set = limits->clause.set;
    if (!set.size) return;
    for (uint32_t i = 0; i < limiting->set_count; i++)
        if (yd_str_eq(limiting->sets[i], set)) return;
    if (limiting->set_count < SETS_MAX) {
        limiting->sets[limiting->set_count++] = set;
        return;
    }
    if (limiting->said_full) return;
    limiting->said_full = true;
    yd_def_error(limiting->compiler->diagnostics, YD_D_LIMIT, limits->place, "", "more than %d sets of limits",
                 SETS_MAX);
    yd_def_help(limiting->compiler->diagnostics, "measurements that change together share a set");
}

static void say_again(struct limiting *limiting, const struct yd_def_limits *limits, const struct yd_def_limits *first)
{
    struct yd_str set = limits->clause.set;
    if (set.size)
        yd_def_error(limiting->compiler->diagnostics, YD_D_DUPLICATE, limits->place, "",
                     "these limits are for the set '%.*s', for which there are some already", YD_STR_FMT(set));
    else
        yd_def_error(limiting->compiler->diagnostics, YD_D_DUPLICATE, limits->place, "", "there are limits already");
    yd_def_note(limiting->compiler->diagnostics, first->place, "here");
    yd_def_help(limiting->compiler->diagnostics, set.size ? "each set has one clause: put them into one line"
                                                          : "put them into one line; others may count in a `set NAME`");
}

/* Reads a list's clauses, and checks each by itself and beside those before it. */
static void read_limits(struct limiting *limiting, struct yd_def_limits *list, const struct judged *judged)
{
    struct yd__compiler *compiler = limiting->compiler;
    for (struct yd_def_limits *limits = list; limits; limits = limits->next) {
        struct yd_mistake mistake;
        if (limits->unsupported) {
            yd_def_warn(compiler->diagnostics, YD_D_UNSUPPORTED, limits->place, "", "these limits are not judged: %s",
                        limits->unsupported);
            continue;
        }
        if (limits->text.size && yd_limit_parse(limits->text, NULL, &limits->clause, &mistake) < 0) {
            yd__say_mistake(compiler, YD_D_LIMITS, limits->place, &mistake);
            limits->unsupported = "they are not understood";
            continue;
        }
        check_set(limiting, limits);
        if (!judged) continue;
        (void)check_clause(limiting, judged, limits);
        for (const struct yd_def_limits *other = list; other != limits; other = other->next)
            if (!other->unsupported && yd_str_eq(other->clause.set, limits->clause.set)) {
                say_again(limiting, limits, other);
                break;
            }
    }
}

static void read_entries(struct limiting *limiting, const struct yd_def_entries *entries, unsigned depth)
{
    for (const struct yd_def_entry *entry = entries->first; entry && depth < 32; entry = entry->next) {
        const struct judged judged = of_entry(entry);
        bool unseen = entry->hidden || yd_str_eq(entry->name, YD_STR("_"));
        read_limits(limiting, entry->limits, &judged);
        if (entry->limits && unseen) {
            refuse(limiting, entry->limits, "'%.*s' is not published: nobody gets it to judge it", entry->name);
            yd_def_help(limiting->compiler->diagnostics,
                        entry->hidden ? "take out `hidden`, or the limits" : "give it a name, or take the limits out");
        }
        if (judged.kind == NOT_ONE) read_entries(limiting, &entry->type->entries, depth + 1);
    }
}

struct yd__given {
    struct yd__given *next;
    const struct yd_def_limits *limits;
};

/* `limits NAME …` in a line of its own. */
static void read_named(struct limiting *limiting, struct yd_def_limits *limits)
{
    struct yd__compiler *compiler = limiting->compiler;
    struct yd__measured *found = yd__measured_find(compiler->plan, limits->measurement);
    if (!found) {
        if (compiler->partial) return;
        struct yd_nearest nearest;
        struct yd_str name;
        yd_nearest_init(&nearest, limits->measurement);
        for (size_t i = 0; (name = known_measurement(compiler, i)).size; i++) yd_nearest_add(&nearest, name);
        yd_def_error(compiler->diagnostics, YD_D_FIELD, limits->name_place, "", "there is no measurement '%.*s'",
                     YD_STR_FMT(limits->measurement));
        yd_nearest_help(&nearest, compiler->diagnostics,
                        "limits are for DEFINITION.PACKET.FIELD, or for what is derived");
        return;
    }
    if (limits->unsupported) return;
    const struct judged judged = found->is_raw  ? (struct judged){NUMBER, found->name, NULL}
                                 : found->entry ? of_entry(found->entry)
                                                : of_derived(found->name, found->type);
    (void)check_clause(limiting, &judged, limits);
    const struct yd_def_limits *first = NULL;
    const struct yd_def_limits *own = found->is_raw  ? NULL
                                      : found->entry ? found->entry->limits
                                                     : found->derived->limits;
    for (; own && !first; own = own->next)
        if (!own->unsupported && yd_str_eq(own->clause.set, limits->clause.set)) first = own;
    for (const struct yd__given *given = found->given; given && !first; given = given->next)
        if (yd_str_eq(given->limits->clause.set, limits->clause.set)) first = given->limits;
    if (first) {
        say_again(limiting, limits, first);
        return;
    }
    struct yd__given *given = yd__piece(compiler, sizeof *given);
    *given = (struct yd__given){found->given, limits};
    found->given = given;
}

void yd__compile_rules(struct yd__compiler *compiler)
{
    struct limiting limiting = {.compiler = compiler};
    read_derived(compiler);
    for (const struct yd_def_container *container = compiler->def->containers; container; container = container->next)
        read_entries(&limiting, &container->entries, 0);
    for (const struct yd_def_derived *derived = compiler->def->derived; derived; derived = derived->next) {
        const struct yd__measured *measured = yd__measured_find(compiler->plan, derived->name);
        bool own = measured && measured->derived == derived;
        const struct judged judged = of_derived(derived->name, own ? measured->type : YD_NIL);
        read_limits(&limiting, derived->limits, &judged);
    }
    read_limits(&limiting, compiler->def->limits, NULL);
    for (struct yd_def_limits *limits = compiler->def->limits; limits; limits = limits->next)
        read_named(&limiting, limits);
}
