/* Expressions: what the parser says, as typed code. See expression_compiler.h.
 *
 * Constants are folded as they come: an operation on constants alone is run at once and its code becomes the result; a
 * constant on the right side goes into the operation. Conversions are put where types meet. */
#include "decom/expression_compiler.h"

#include <math.h>

bool yd__type_is_number(enum yd_type type)
{
    return type == YD_I64 || type == YD_U64 || type == YD_F64;
}

bool yd__type_is_whole(enum yd_type type)
{
    return type == YD_I64 || type == YD_U64;
}

const char *yd__compiler_words(enum yd_type type)
{
    switch (type) {
    case YD_BOOL:
        return "true or false";
    case YD_TEXT:
        return "a text";
    case YD_I64:
    case YD_U64:
        return "a whole number";
    default:
        return "a number";
    }
}

static struct instruction *instruction_at(const struct compiler *compiler, uint32_t index)
{
    return (struct instruction *)(void *)compiler->expression->code.data + index;
}

static struct yd_reading *constant_of(const struct compiler *compiler, const struct operand *operand)
{
    return (struct yd_reading *)(void *)compiler->expression->constants.data +
           instruction_at(compiler, operand->first)->k;
}

uint32_t yd__compiler_emit(struct compiler *compiler, enum op op, unsigned r, unsigned sub, uint32_t k)
{
    struct yd_expression *expression = compiler->expression;
    const struct instruction instruction = {(uint8_t)op, (uint8_t)r, (uint16_t)sub, k};
    if (compiler->error < 0) return expression->count;
    if (expression->count == YD_EXPRESSION_CODE_MAX || r + 3 >= REGISTERS_MAX) {
        yd__compiler_fail(compiler, YD_ETOOBIG, compiler->end, 0, "the expression is too long: more than %d operations",
                          YD_EXPRESSION_CODE_MAX);
        return expression->count;
    }
    yd_buf_add(&expression->code, &instruction, sizeof instruction);
    if (expression->code.failed) {
        yd__compiler_fail(compiler, YD_ENOMEM, compiler->end, 0, "out of memory");
        return expression->count;
    }
    return expression->count++;
}

/* Code ends before `first`. */
static void cut(struct compiler *compiler, uint32_t first)
{
    compiler->expression->count = first;
    compiler->expression->code.size = first * sizeof(struct instruction);
}

/* Takes one instruction out. */
static void drop(struct compiler *compiler, uint32_t index)
{
    struct instruction *at = instruction_at(compiler, index);
    memmove(at, at + 1, (compiler->expression->count - index - 1) * sizeof *at);
    cut(compiler, compiler->expression->count - 1);
}

static void constant_at(struct compiler *compiler, struct operand *operand, unsigned r, struct yd_reading value)
{
    struct yd_buf *constants = &compiler->expression->constants;
    if (compiler->error < 0) return;
    uint32_t k = (uint32_t)(constants->size / sizeof value);
    yd_buf_add(constants, &value, sizeof value);
    if (constants->failed) {
        yd__compiler_fail(compiler, YD_ENOMEM, operand->offset, operand->size, "out of memory");
        return;
    }
    operand->r = (uint8_t)r;
    operand->first = yd__compiler_emit(compiler, OP_CONSTANT, r, 0, k);
    operand->type = (enum yd_type)value.type;
    operand->constant = true;
    operand->slot = -1;
}

void yd__compiler_constant(struct compiler *compiler, struct operand *operand, struct yd_reading value)
{
    constant_at(compiler, operand, compiler->r++, value);
}

void yd__compiler_load(struct compiler *compiler, struct operand *operand, uint32_t slot_index)
{
    const struct yd_expression_slot *slots =
        (const struct yd_expression_slot *)(const void *)compiler->expression->slots.data;
    operand->r = (uint8_t)compiler->r++;
    operand->first = yd__compiler_emit(compiler, OP_LOAD, operand->r, 0, slot_index);
    operand->type = slots[slot_index].type;
    operand->slot = slot_index;
    operand->reads = true;
}

/* What was made of constants alone becomes one. */
static void fold(struct compiler *compiler, struct operand *operand)
{
    struct yd_reading registers[REGISTERS_MAX], value;
    if (compiler->error < 0) return;
    (void)yd__expression_run(compiler->expression, operand->first, compiler->expression->count, NULL, 0, NULL,
                             registers);
    value = registers[operand->r];
    if (!value.type) {
        yd__compiler_fail(compiler, YD_EINVAL, operand->offset, operand->size, "this never has a value: %s",
                          value.flags & YD_READING_ZERO     ? "division by zero"
                          : value.flags & YD_READING_DOMAIN ? "it is not a number"
                                                            : "it is larger than its type");
        return;
    }
    cut(compiler, operand->first);
    constant_at(compiler, operand, operand->r, value);
}

/* ---- types ---- */

void yd__compiler_settle(struct compiler *compiler, struct operand *operand, enum yd_type type)
{
    if (operand->type != YD_NIL || compiler->error < 0 || operand->slot < 0) return;
    struct yd_expression_slot *slot =
        (struct yd_expression_slot *)(void *)compiler->expression->slots.data + operand->slot;
    if (slot->type == YD_NIL) slot->type = type;
    operand->type = slot->type;
}

void yd__compiler_settle_beside(struct compiler *compiler, struct operand *a, struct operand *b)
{
    yd__compiler_settle(compiler, a, b->type == YD_BOOL || b->type == YD_TEXT ? b->type : YD_F64);
    yd__compiler_settle(compiler, b, a->type == YD_BOOL || a->type == YD_TEXT ? a->type : YD_F64);
}

bool yd__compiler_number(struct compiler *compiler, struct operand *operand, enum yd_type otherwise, const char *who)
{
    yd__compiler_settle(compiler, operand, otherwise);
    if (compiler->error < 0) return false;
    if (yd__type_is_number(operand->type)) return true;
    yd__compiler_fail(compiler, YD_EINVAL, operand->offset, operand->size, "%s wants a number, this is %s", who,
                      yd__compiler_words(operand->type));
    if (operand->type == YD_BOOL) yd__compiler_help(compiler, "int(…) makes 1 of true and 0 of false");
    return false;
}

bool yd__compiler_condition(struct compiler *compiler, struct operand *operand, const char *who)
{
    yd__compiler_settle(compiler, operand, YD_BOOL);
    if (compiler->error < 0) return false;
    if (operand->type == YD_BOOL) return true;
    yd__compiler_fail(compiler, YD_EINVAL, operand->offset, operand->size, "%s wants a condition, this is %s", who,
                      yd__compiler_words(operand->type));
    if (yd__type_is_number(operand->type)) yd__compiler_help(compiler, "compare it: != 0");
    return false;
}

static void convert(struct compiler *compiler, struct operand *operand, enum op op, enum yd_type type)
{
    if (compiler->error < 0) return;
    if (operand->constant) { /* it is converted where it lies */
        struct yd_reading *value = constant_of(compiler, operand);
        if (op == OP_U_TO_I && value->u64 > INT64_MAX) {
            yd__compiler_fail(compiler, YD_EINVAL, operand->offset, operand->size,
                              "this number is too large beside one with a sign");
            return;
        }
        if (op == OP_I_TO_F) *value = yd_reading_f64((double)value->i64, 0);
        if (op == OP_U_TO_F) *value = yd_reading_f64((double)value->u64, 0);
        value->type = (uint8_t)type;
    } else {
        (void)yd__compiler_emit(compiler, op, operand->r, 0, NOT_CONSTANT);
    }
    operand->type = type;
}

void yd__compiler_to_f64(struct compiler *compiler, struct operand *operand)
{
    if (operand->type == YD_I64) convert(compiler, operand, OP_I_TO_F, YD_F64);
    if (operand->type == YD_U64) convert(compiler, operand, OP_U_TO_F, YD_F64);
}

static void adapt_one(struct compiler *compiler, struct operand *literal, enum yd_type to)
{
    if (compiler->error < 0 || !literal->constant || !yd__type_is_whole(literal->type) || !yd__type_is_whole(to) ||
        literal->type == to)
        return;
    struct yd_reading *value = constant_of(compiler, literal);
    if (value->u64 > INT64_MAX) return; /* negative, or too large */
    value->type = (uint8_t)to;
    literal->type = to;
}

void yd__compiler_adapt(struct compiler *compiler, struct operand *a, struct operand *b)
{
    if (!a->constant) adapt_one(compiler, b, a->type);
    if (!b->constant) adapt_one(compiler, a, b->type);
    if (a->constant && b->constant && a->type != b->type) adapt_one(compiler, a->type == YD_I64 ? a : b, YD_U64);
}

bool yd__compiler_unify(struct compiler *compiler, struct operand *a, struct operand *b)
{
    yd__compiler_settle_beside(compiler, a, b);
    if (compiler->error < 0) return false;
    yd__compiler_adapt(compiler, a, b);
    if (a->type == b->type) return true;
    if (!yd__type_is_number(a->type) || !yd__type_is_number(b->type)) return false;
    if (a->type == YD_F64 || b->type == YD_F64) {
        yd__compiler_to_f64(compiler, a);
        yd__compiler_to_f64(compiler, b);
    } else {
        convert(compiler, a->type == YD_U64 ? a : b, OP_U_TO_I, YD_I64);
    }
    return compiler->error == 0;
}

/* ---- operations ---- */

void yd__compiler_two(struct compiler *compiler, enum op op, unsigned sub, struct operand *a, const struct operand *b,
                      enum yd_type type)
{
    uint32_t k = NOT_CONSTANT;
    if (compiler->error < 0) return;
    if (b->constant) {
        k = instruction_at(compiler, b->first)->k;
        drop(compiler, b->first);
    }
    /* A conversion of something else may stand in between: then it is not worth it. */
    bool constant = a->constant && b->constant && a->first + 1 == compiler->expression->count;
    (void)yd__compiler_emit(compiler, op, a->r, sub, k);
    a->type = type;
    a->reads |= b->reads;
    a->size = b->offset + b->size > a->offset ? b->offset + b->size - a->offset : a->size;
    compiler->r = a->r + 1u;
    a->constant = constant;
    if (constant) fold(compiler, a);
}

void yd__compiler_one(struct compiler *compiler, enum op op, unsigned sub, struct operand *a, enum yd_type type)
{
    if (compiler->error < 0) return;
    (void)yd__compiler_emit(compiler, op, a->r, sub, NOT_CONSTANT);
    a->type = type;
    if (a->constant) fold(compiler, a);
}

void yd__compiler_three(struct compiler *compiler, enum op op, struct operand *args, enum yd_type type)
{
    if (compiler->error < 0) return;
    bool constant =
        args[0].constant && args[1].constant && args[2].constant && args[0].first + 3 == compiler->expression->count;
    (void)yd__compiler_emit(compiler, op, args[0].r, 0, NOT_CONSTANT);
    args[0].type = type;
    args[0].reads |= args[1].reads | args[2].reads;
    args[0].constant = constant;
    compiler->r = args[0].r + 1u;
    if (constant) fold(compiler, &args[0]);
}
