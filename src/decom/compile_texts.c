/* Expressions and limits stand in a definition as texts of their own languages (expression.h, limits.h). Here they are
 * read once, so that what is wrong in them is said with everything else, at its place. */
#include "base/text.h"
#include "decom/compile.h"

/* Where `mistake` is, when its text begins at `place`: on one line, since texts end with theirs. */
static void say(struct yd__compiler *compiler, enum yd_def_code code, struct yd_place place,
                const struct yd_mistake *mistake)
{
    if (compiler->partial && mistake->error == YD_ENOENT) return;
    place.column += mistake->line <= 1 && mistake->column ? mistake->column - 1 : 0;
    place.length = YD_MAX(mistake->size, 1u);
    yd_def_error(compiler->diagnostics, code, place, "", "%s", mistake->message);
    if (*mistake->help) yd_def_help(compiler->diagnostics, "%s", mistake->help);
}

static void keep(struct yd__compiler *compiler, struct yd_expression *expression)
{
    struct yd__expressions *item = yd_arena_zero(compiler->arena, sizeof *item);
    if (!item) {
        yd_expression_destroy(expression);
        longjmp(compiler->out_of_memory, 1);
    }
    *item = (struct yd__expressions){compiler->plan->expressions, expression};
    compiler->plan->expressions = item;
}

/* ---- calibrations ---- */

struct asking {
    struct yd__compiler *compiler;
    struct yd__info *info;
    const struct yd__scope *scope;
    uint32_t slots[YD_EXPRESSION_SLOTS_MAX];
    uint32_t count;
};

static int find_field(void *opaque, struct yd_str name, uint32_t *ret_slot, enum yd_type *ret_type)
{
    struct asking *asking = opaque;
    if (yd_str_eq(name, YD_STR("x"))) {
        *ret_slot = 0;
        enum yd_def_encoding encoding = asking->scope->entry->type->encoding;
        *ret_type = encoding >= YD_DEF_IEEE                                                            ? YD_F64
                    : encoding == YD_DEF_UNSIGNED || encoding == YD_DEF_BCD || encoding == YD_DEF_GRAY ? YD_U64
                                                                                                       : YD_I64;
        return 0;
    }
    struct yd__info *where = NULL;
    struct yd__scope *found = yd__find(asking->info, name, asking->scope, &where);
    if (!found || !yd__is_one(where, found, where == asking->info ? asking->scope : NULL) ||
        !yd__is_number(found->entry->type))
        return YD_ENOENT;
    struct yd_def_ref ref = {name, asking->scope->entry->place};
    if (!(found = yd__refer(asking->compiler, asking->info, ref, asking->scope))) return YD_ENOENT;
    if (asking->count == YD_EXPRESSION_SLOTS_MAX) return YD_ENOENT;
    asking->slots[asking->count++] = found->reg;
    *ret_slot = asking->count;
    *ret_type = YD_NIL;
    return 0;
}

static struct yd_str known_field(void *opaque, size_t index)
{
    const struct asking *asking = opaque;
    if (index == 0) return YD_STR("x");
    for (const struct yd__info *up = asking->info; up; up = up->parent)
        for (const struct yd__scope *item = up->scope; item && item != asking->scope; item = item->next)
            if (!item->repeated && --index == 0) return item->path;
    return (struct yd_str){0};
}

bool yd__compile_expression(struct yd__compiler *compiler, struct yd__info *info, const struct yd__scope *scope,
                            const struct yd_def_calibration *source, struct yd__calibration *to)
{
    struct asking asking = {.compiler = compiler, .info = info, .scope = scope};
    struct yd_expression_names names = {&asking, find_field, known_field};
    struct yd_expression *expression;
    struct yd_mistake mistake;
    int r = yd_expression_compile(source->text, &names, compiler->arena->alloc, NULL, &expression, &mistake);
    if (r == YD_ENOMEM) longjmp(compiler->out_of_memory, 1);
    if (r < 0) {
        say(compiler, YD_D_CALIBRATION, source->place, &mistake);
        return false;
    }
    keep(compiler, expression);
    if (yd_expression_state_size(expression)) {
        yd_def_error(compiler->diagnostics, YD_D_CALIBRATION, source->place, "", "a calibration remembers nothing");
        yd_def_help(compiler->diagnostics, "what needs earlier values is a `derive`");
        return false;
    }
    uint32_t *slots = yd__piece(compiler, (asking.count + 1) * sizeof *slots);
    memcpy(slots, asking.slots, asking.count * sizeof *slots);
    to->expression = expression;
    to->slots = slots;
    to->slot_count = asking.count;
    return true;
}

/* ---- derived values and limits ---- */

/* Measurements by name, with the definition's in front or without. */
static int find_measurement(void *opaque, struct yd_str name, uint32_t *ret_slot, enum yd_type *ret_type)
{
    const struct yd__compiler *compiler = opaque;
    struct yd_str prefix = compiler->def->name;
    bool whole = prefix.size && name.size > prefix.size && yd_str_starts(name, prefix) && name.data[prefix.size] == '.';
    struct yd_str rest = whole ? (struct yd_str){name.data + prefix.size + 1, name.size - prefix.size - 1} : name;
    *ret_slot = 0; /* one for each: the type is inferred by slot */
    *ret_type = YD_NIL;
    for (const struct yd_def_derived *derived = compiler->def->derived; derived; derived = derived->next, ++*ret_slot)
        if (yd_str_eq(derived->name, rest)) return 0;
    for (uint32_t i = 0; i < compiler->plan->packet_count; i++) {
        const struct yd__program *program = compiler->plan->packets[i];
        for (uint32_t j = 0; j < program->name_count; j++, ++*ret_slot) {
            struct yd_str other = program->names[j];
            if (yd_str_eq(other, name)) return 0;
            if (prefix.size && other.size > prefix.size + 1 &&
                yd_str_eq((struct yd_str){other.data + prefix.size + 1, other.size - prefix.size - 1}, name))
                return 0;
        }
    }
    return YD_ENOENT;
}

static struct yd_str known_measurement(void *opaque, size_t index)
{
    const struct yd__compiler *compiler = opaque;
    for (uint32_t i = 0; i < compiler->plan->packet_count; i++) {
        const struct yd__program *program = compiler->plan->packets[i];
        if (index < program->name_count) return program->names[index];
        index -= program->name_count;
    }
    return (struct yd_str){0};
}

static void read_limits(struct yd__compiler *compiler, struct yd_def_limits *limits)
{
    for (; limits; limits = limits->next) {
        if (limits->unsupported)
            yd_def_warn(compiler->diagnostics, YD_D_UNSUPPORTED, limits->place, "", "these limits are not judged: %s",
                        limits->unsupported);
        uint32_t slot;
        enum yd_type type;
        if (!compiler->partial && limits->measurement.size &&
            find_measurement(compiler, limits->measurement, &slot, &type) < 0) {
            struct yd_nearest nearest;
            yd_nearest_init(&nearest, limits->measurement);
            struct yd_str name;
            for (size_t i = 0; (name = known_measurement(compiler, i)).size; i++) yd_nearest_add(&nearest, name);
            yd_def_error(compiler->diagnostics, YD_D_FIELD, limits->place, "", "there is no measurement '%.*s'",
                         YD_STR_FMT(limits->measurement));
            yd_nearest_help(&nearest, compiler->diagnostics, NULL);
        }
        struct yd_mistake mistake;
        if (limits->text.size && yd_limit_parse(limits->text, NULL, &limits->clause, &mistake) < 0)
            say(compiler, YD_D_LIMITS, limits->place, &mistake);
    }
}

static void read_entries(struct yd__compiler *compiler, const struct yd_def_entries *entries, unsigned depth)
{
    for (const struct yd_def_entry *entry = entries->first; entry && depth < 32; entry = entry->next) {
        read_limits(compiler, entry->limits);
        if (entry->type && entry->type->encoding == YD_DEF_GROUP)
            read_entries(compiler, &entry->type->entries, depth + 1);
    }
}

void yd__compile_texts(struct yd__compiler *compiler)
{
    struct yd_expression_names names = {compiler, find_measurement, known_measurement};
    for (const struct yd_def_derived *derived = compiler->def->derived; derived; derived = derived->next) {
        struct yd_expression *expression;
        struct yd_mistake mistake;
        read_limits(compiler, derived->limits);
        if (derived->unsupported) {
            yd_def_warn(compiler->diagnostics, YD_D_UNSUPPORTED, derived->place, "", "'%.*s' is not derived: %s",
                        YD_STR_FMT(derived->name), derived->unsupported);
            continue;
        }
        int r = yd_expression_compile(derived->text, &names, compiler->arena->alloc, NULL, &expression, &mistake);
        if (r == YD_ENOMEM) longjmp(compiler->out_of_memory, 1);
        if (r < 0)
            say(compiler, YD_D_DERIVED, derived->text_place, &mistake);
        else
            yd_expression_destroy(expression);
    }
    read_limits(compiler, compiler->def->limits);
    for (const struct yd_def_container *container = compiler->def->containers; container; container = container->next)
        read_entries(compiler, &container->entries, 0);
}
