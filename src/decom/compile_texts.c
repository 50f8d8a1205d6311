/* Calibrations that are expressions: texts of a language of their own (expression.h), read once, so that what is wrong
 * in them is said with everything else, at its place. What is derived and limited: compile_rules.c. */
#include "decom/compile.h"

void yd__say_mistake(struct yd__compiler *compiler, enum yd_def_code code, struct yd_place place,
                     const struct yd_mistake *mistake)
{
    if (compiler->partial && mistake->error == YD_ENOENT) return;
    if (mistake->line > 1) { /* the text goes on over lines, in brackets */
        place.line += mistake->line - 1;
        place.column = mistake->column;
    } else {
        place.column += mistake->column ? mistake->column - 1 : 0;
    }
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
        yd__say_mistake(compiler, YD_D_CALIBRATION, source->place, &mistake);
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
