/* Expressions: from text to code, in one pass.
 *
 *   text --> tokens --> parse: by precedence; each operand leaves its code behind and stands in a register
 *                         |-- names: who is who, "did you mean"       |-- types settled, promoted, constants folded
 *                         `-- calls: expression_functions.c           `-- expression_code.c
 *
 * A name whose type is not known gets it from its first use; the loads are finished at the end. What can fail: every
 * mistake a person can make, told with its place; memory. The limits of expression.h hold whatever the text. */
#include "decom/expression.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/hash.h"
#include "base/text.h"
#include "decom/expression_compiler.h"

static struct operand parse(struct compiler *compiler, int level);

int yd__compiler_fail(struct compiler *compiler, int error, size_t offset, size_t size, const char *format, ...)
{
    va_list args;
    if (compiler->error < 0) return compiler->error;
    compiler->error = error;
    if (!compiler->mistake) return error;
    (void)yd_mistake_at(compiler->mistake, error, compiler->tokens.text, offset, size);
    va_start(args, format);
    (void)vsnprintf(compiler->mistake->message, sizeof compiler->mistake->message, format, args);
    va_end(args);
    return error;
}

/* Belongs to the mistake just made. */
void yd__compiler_help(struct compiler *compiler, const char *format, ...)
{
    va_list args;
    if (!compiler->mistake || *compiler->mistake->help) return;
    va_start(args, format);
    (void)vsnprintf(compiler->mistake->help, sizeof compiler->mistake->help, format, args);
    va_end(args);
}

/* ---- tokens ---- */

static void next(struct compiler *compiler)
{
    compiler->end = compiler->token.offset + compiler->token.size;
    if (compiler->error < 0) {
        compiler->token = (struct yd_token){.offset = compiler->tokens.at};
        return;
    }
    int error = yd_token_next(&compiler->tokens, &compiler->token, &compiler->lexical);
    if (error == 0 || compiler->part) return; /* of a part: perhaps what follows it; a mistake only if it is needed */
    compiler->error = error;
    if (compiler->mistake) *compiler->mistake = compiler->lexical;
}

static bool is_sign(const struct compiler *compiler, int sign)
{
    return compiler->error == 0 && compiler->token.type == YD_TOKEN_SIGN && compiler->token.sign == sign;
}

/* A part of a longer text ends with its line, unless a bracket is open. */
static bool over(const struct compiler *compiler)
{
    return compiler->error < 0 || compiler->token.type == YD_TOKEN_END ||
           (compiler->part && compiler->brackets == 0 && compiler->token.after_newline);
}

static struct yd_str token_text(const struct compiler *compiler)
{
    return (struct yd_str){compiler->tokens.text.data + compiler->token.offset, compiler->token.size};
}

static void unexpected(struct compiler *compiler, const char *wanted)
{
    struct yd_str text = token_text(compiler);
    if (compiler->error < 0) return;
    if (compiler->token.type == YD_TOKEN_END && compiler->lexical.error < 0 &&
        compiler->lexical.offset >= compiler->token.offset) {
        compiler->error = compiler->lexical.error;
        if (compiler->mistake) *compiler->mistake = compiler->lexical;
        return;
    }
    if (compiler->token.type == YD_TOKEN_END)
        yd__compiler_fail(compiler, YD_EFORMAT, compiler->end, 0, "%s is missing here", wanted);
    else
        yd__compiler_fail(compiler, YD_EFORMAT, compiler->token.offset, compiler->token.size,
                          "%s is missing before '%.*s'", wanted, (int)YD_MIN(text.size, (size_t)60), text.data);
}

static void expect(struct compiler *compiler, int sign, const char *wanted)
{
    if (is_sign(compiler, sign))
        next(compiler);
    else
        unexpected(compiler, wanted);
}

/* ---- names ---- */

static void unknown_name(struct compiler *compiler, const struct yd_token *name)
{
    unsigned best = name->text.size <= 3 ? 1 : name->text.size <= 6 ? 2 : 3;
    struct yd_str near = {NULL, 0}, known;
    yd__compiler_fail(compiler, YD_ENOENT, name->offset, name->size, "no measurement is called '%.*s'",
                      (int)YD_MIN(name->text.size, (size_t)120), name->text.data);
    for (size_t i = 0; compiler->names->known && name->text.size < 256; i++) {
        known = compiler->names->known(compiler->names->opaque, i);
        if (known.size == 0) break;
        if (known.size >= 256) continue;
        unsigned distance = yd_text_distance(name->text, known, best);
        if (distance > best || (near.size && distance == best)) continue;
        best = distance;
        near = known;
    }
    if (near.size)
        yd__compiler_help(compiler, "did you mean '%.*s'?", YD_STR_FMT(near));
    else if (yd__compiler_is_function(name->text))
        yd__compiler_help(compiler, "%.*s is a function: %.*s(…)", YD_STR_FMT(name->text), YD_STR_FMT(name->text));
}

static struct operand slot_of(struct compiler *compiler, const struct yd_token *name)
{
    struct operand operand = {.offset = name->offset, .size = name->size, .slot = -1};
    struct yd_expression *expression = compiler->expression;
    struct yd_expression_slot *slots = (struct yd_expression_slot *)(void *)expression->slots.data;
    enum yd_type type = YD_NIL;
    uint32_t number = 0, index = 0, count = (uint32_t)expression->slot_count;
    int error = compiler->names->find(compiler->names->opaque, name->text, &number, &type);
    if (error < 0 && !name->quoted && yd_str_eq(name->text, YD_STR("pi"))) {
        yd__compiler_constant(compiler, &operand, yd_reading_f64(M_PI, 0));
        return operand;
    }
    if (error < 0) {
        if (error == YD_ENOENT)
            unknown_name(compiler, name);
        else
            yd__compiler_fail(compiler, error, name->offset, name->size, "%s", yd_error_text(error));
        return operand;
    }
    while (index < count && slots[index].slot != number) index++;
    if (index == count) {
        const struct yd_expression_slot slot = {number, type, (uint32_t)name->offset, (uint32_t)name->size};
        if (count == YD_EXPRESSION_SLOTS_MAX) {
            yd__compiler_fail(compiler, YD_ETOOBIG, name->offset, name->size, "more than %d measurements",
                              YD_EXPRESSION_SLOTS_MAX);
            return operand;
        }
        yd_buf_add(&expression->slots, &slot, sizeof slot);
        if (expression->slots.failed) {
            yd__compiler_fail(compiler, YD_ENOMEM, name->offset, name->size, "out of memory");
            return operand;
        }
        expression->slot_count++;
    }
    yd__compiler_load(compiler, &operand, index);
    return operand;
}

static struct operand call(struct compiler *compiler, const struct yd_token *name)
{
    struct argument args[ARGUMENTS_MAX] = {0};
    unsigned count = 0, r = compiler->r;
    args[0].operand = (struct operand){.offset = name->offset, .size = name->size, .slot = -1};
    if (!yd__compiler_is_function(name->text)) {
        struct yd_str near = yd__compiler_near_function(name->text);
        yd__compiler_fail(compiler, YD_ENOENT, name->offset, name->size, "no function is called '%.*s'",
                          (int)YD_MIN(name->text.size, (size_t)120), name->text.data);
        if (near.size) yd__compiler_help(compiler, "did you mean '%.*s'?", YD_STR_FMT(near));
        return args[0].operand;
    }
    next(compiler); /* the bracket */
    compiler->brackets++;
    while (compiler->error == 0 && !is_sign(compiler, ')')) {
        if (count == ARGUMENTS_MAX) {
            yd__compiler_fail(compiler, YD_ETOOBIG, compiler->token.offset, compiler->token.size,
                              "more than %d arguments", ARGUMENTS_MAX);
            break;
        }
        struct argument *arg = &args[count++];
        if (compiler->token.type == YD_TOKEN_DURATION) {
            *arg = (struct argument){.operand = {.offset = compiler->token.offset, .size = compiler->token.size},
                                     .is_duration = true,
                                     .ns = compiler->token.i64};
            arg->operand.slot = -1;
            next(compiler);
        } else {
            arg->operand = parse(compiler, 0);
        }
        if (is_sign(compiler, ')')) break;
        expect(compiler, ',', "a comma or a closing bracket");
        if (is_sign(compiler, ')')) unexpected(compiler, "an argument");
    }
    struct yd_token whole = *name;
    compiler->brackets--;
    expect(compiler, ')', "a closing bracket");
    whole.size = compiler->end - name->offset;
    if (compiler->error == 0) yd__compiler_call(compiler, &whole, args, count);
    args[0].operand.offset = name->offset;
    args[0].operand.size = whole.size;
    args[0].operand.slot = -1;
    compiler->r = r + 1; /* whatever the arguments took, the value is in the first one's place */
    return args[0].operand;
}

/* ---- operands ---- */

static struct operand text_literal(struct compiler *compiler)
{
    const struct yd_token *token = &compiler->token;
    struct operand operand = {.offset = token->offset, .size = token->size, .slot = -1};
    char *copy = yd_arena_get(&compiler->expression->texts, token->text.size + 1);
    if (!copy)
        yd__compiler_fail(compiler, YD_ENOMEM, token->offset, token->size, "out of memory");
    else
        yd__compiler_constant(compiler, &operand,
                              yd_reading_text((struct yd_str){copy, yd_token_unescape(token, copy)}, 0));
    next(compiler);
    return operand;
}

static struct operand named(struct compiler *compiler)
{
    struct yd_token name = compiler->token;
    struct operand operand = {.offset = name.offset, .size = name.size, .slot = -1};
    next(compiler);
    if (!name.quoted && is_sign(compiler, '(')) return call(compiler, &name);
    bool yes = !name.quoted && yd_str_eq(name.text, YD_STR("true")),
         no = !name.quoted && yd_str_eq(name.text, YD_STR("false"));
    if (!yes && !no) return slot_of(compiler, &name);
    yd__compiler_constant(compiler, &operand, yd_reading_bool(yes, 0));
    return operand;
}

static struct operand primary(struct compiler *compiler)
{
    const struct yd_token *token = &compiler->token;
    struct operand operand = {.offset = token->offset, .size = token->size, .slot = -1};
    switch (token->type) {
    case YD_TOKEN_INT:
        yd__compiler_constant(compiler, &operand,
                              token->u64 > INT64_MAX ? yd_reading_u64(token->u64, 0)
                                                     : yd_reading_i64((int64_t)token->u64, 0));
        next(compiler);
        return operand;
    case YD_TOKEN_FLOAT:
        yd__compiler_constant(compiler, &operand, yd_reading_f64(token->f64, 0));
        next(compiler);
        return operand;
    case YD_TOKEN_DURATION:
        yd__compiler_fail(compiler, YD_EINVAL, token->offset, token->size,
                          "a duration stands only as an argument of a function that takes one");
        yd__compiler_help(compiler, "write a number: times are in seconds");
        return operand;
    case YD_TOKEN_TEXT:
        return text_literal(compiler);
    case YD_TOKEN_NAME:
        return named(compiler);
    default:
        break;
    }
    if (!is_sign(compiler, '(')) {
        unexpected(compiler, "a value");
        return operand;
    }
    next(compiler);
    compiler->brackets++;
    operand = parse(compiler, 0);
    compiler->brackets--;
    expect(compiler, ')', "a closing bracket");
    return operand;
}

static bool deeper(struct compiler *compiler)
{
    if (++compiler->depth <= YD_EXPRESSION_DEPTH_MAX) return true;
    yd__compiler_fail(compiler, YD_ETOOBIG, compiler->token.offset, compiler->token.size,
                      "more than %d levels, one in another", YD_EXPRESSION_DEPTH_MAX);
    return false;
}

static struct operand unary(struct compiler *compiler);

/* a ** b: binds more than a minus before it, less than one behind; from the right. */
static struct operand raised(struct compiler *compiler)
{
    struct operand a = primary(compiler);
    if (over(compiler) || !is_sign(compiler, YD_SIGN('*', '*'))) return a;
    if (!deeper(compiler)) return a;
    next(compiler);
    struct operand b = unary(compiler);
    compiler->depth--;
    if (compiler->error < 0) return a;
    if (!yd__compiler_number(compiler, &a, YD_F64, "**") || !yd__compiler_number(compiler, &b, YD_F64, "**")) return a;
    yd__compiler_to_f64(compiler, &a);
    yd__compiler_to_f64(compiler, &b);
    yd__compiler_two(compiler, OP_POWER, 0, &a, &b, YD_F64);
    a.size = b.offset + b.size - a.offset;
    a.slot = -1;
    return a;
}

static void prefix(struct compiler *compiler, int sign, struct operand *a)
{
    if (sign == '!') {
        if (yd__compiler_condition(compiler, a, "!")) yd__compiler_one(compiler, OP_NOT, 0, a, YD_BOOL);
    } else if (sign == '~') {
        yd__compiler_settle(compiler, a, YD_I64);
        if (!yd__type_is_whole(a->type))
            yd__compiler_fail(compiler, YD_EINVAL, a->offset, a->size, "~ wants a whole number, this is %s",
                              yd__compiler_words(a->type));
        else
            yd__compiler_one(compiler, OP_INVERT, 0, a, a->type);
    } else if (yd__compiler_number(compiler, a, YD_F64, sign == '-' ? "-" : "+") && sign == '-') {
        yd__compiler_one(compiler, yd__op_of(OP_MINUS_I, a->type), 0, a, a->type == YD_F64 ? YD_F64 : YD_I64);
    }
}

static struct operand unary(struct compiler *compiler)
{
    size_t offset = compiler->token.offset;
    struct operand a = {.offset = offset, .slot = -1};
    int sign = compiler->token.type == YD_TOKEN_SIGN ? compiler->token.sign : 0;
    if (sign != '-' && sign != '+' && sign != '!' && sign != '~') return raised(compiler);
    if (!deeper(compiler)) return a;
    next(compiler);
    a = unary(compiler);
    compiler->depth--;
    if (compiler->error < 0) return a;
    prefix(compiler, sign, &a);
    a.size = a.offset + a.size - offset;
    a.offset = offset;
    a.slot = -1;
    return a;
}

/* ---- two sides ---- */

enum {
    LEVEL_CHOICE,
    LEVEL_OR,
    LEVEL_AND,
    LEVEL_COMPARE,
    LEVEL_BIT_OR,
    LEVEL_BIT_XOR,
    LEVEL_BIT_AND,
    LEVEL_SHIFT,
    LEVEL_SUM,
    LEVEL_PRODUCT,
    LEVEL_UNARY
};

static const struct {
    int sign, level;
    enum op op; /* for I64 */
    unsigned sub;
    const char *text;
} operators[] = {
    {YD_SIGN('|', '|'), LEVEL_OR, OP_OR, 0, "||"},
    {YD_SIGN('&', '&'), LEVEL_AND, OP_AND, 0, "&&"},
    {YD_SIGN('=', '='), LEVEL_COMPARE, OP_COMPARE_I, 2, "=="},
    {YD_SIGN('!', '='), LEVEL_COMPARE, OP_COMPARE_I, 5, "!="},
    {'<', LEVEL_COMPARE, OP_COMPARE_I, 1, "<"},
    {YD_SIGN('<', '='), LEVEL_COMPARE, OP_COMPARE_I, 3, "<="},
    {'>', LEVEL_COMPARE, OP_COMPARE_I, 4, ">"},
    {YD_SIGN('>', '='), LEVEL_COMPARE, OP_COMPARE_I, 6, ">="},
    {'|', LEVEL_BIT_OR, OP_BIT_OR, 0, "|"},
    {'^', LEVEL_BIT_XOR, OP_BIT_XOR, 0, "^"},
    {'&', LEVEL_BIT_AND, OP_BIT_AND, 0, "&"},
    {YD_SIGN('<', '<'), LEVEL_SHIFT, OP_SHIFT_LEFT, 0, "<<"},
    {YD_SIGN('>', '>'), LEVEL_SHIFT, OP_SHIFT_RIGHT, 0, ">>"},
    {'+', LEVEL_SUM, OP_ADD_I, 0, "+"},
    {'-', LEVEL_SUM, OP_SUB_I, 0, "-"},
    {'*', LEVEL_PRODUCT, OP_MUL_I, 0, "*"},
    {'/', LEVEL_PRODUCT, OP_DIVIDE, 0, "/"},
    {'%', LEVEL_PRODUCT, OP_REST_I, 0, "%"},
};

static void compare(struct compiler *compiler, unsigned sub, const char *text, struct operand *a, struct operand *b)
{
    yd__compiler_settle_beside(compiler, a, b);
    yd__compiler_adapt(compiler, a, b);
    if (yd__type_is_whole(a->type) && yd__type_is_whole(b->type) && a->type != b->type) {
        /* exact, though neither type holds both */
        yd__compiler_two(compiler, OP_COMPARE_IU, sub | (a->type == YD_U64 ? COMPARE_UI : 0), a, b, YD_BOOL);
        return;
    }
    enum yd_type left = a->type, right = b->type;
    if (!yd__compiler_unify(compiler, a, b)) {
        if (compiler->error == 0)
            yd__compiler_fail(compiler, YD_EINVAL, a->offset, b->offset + b->size - a->offset,
                              "%s cannot be compared with %s", yd__compiler_words(left), yd__compiler_words(right));
        return;
    }
    if (a->type == YD_BOOL && sub != 2 && sub != 5) {
        yd__compiler_fail(compiler, YD_EINVAL, a->offset, b->offset + b->size - a->offset,
                          "true and false have no order: %s is for numbers and texts", text);
        return;
    }
    enum op op = a->type == YD_TEXT   ? OP_COMPARE_T
                 : a->type == YD_BOOL ? OP_COMPARE_U
                                      : yd__op_of(OP_COMPARE_I, a->type);
    yd__compiler_two(compiler, op, sub, a, b, YD_BOOL);
}

static bool whole(struct compiler *compiler, struct operand *a, const char *text)
{
    yd__compiler_settle(compiler, a, YD_I64);
    if (yd__type_is_whole(a->type)) return true;
    yd__compiler_fail(compiler, YD_EINVAL, a->offset, a->size, "%s wants whole numbers, this is %s", text,
                      yd__compiler_words(a->type));
    if (a->type == YD_F64) yd__compiler_help(compiler, "int(…) makes one");
    return false;
}

static void combine(struct compiler *compiler, size_t which, struct operand *a, struct operand *b)
{
    const char *text = operators[which].text;
    enum op op = operators[which].op;
    unsigned sub = operators[which].sub;
    switch (operators[which].level) {
    case LEVEL_OR:
    case LEVEL_AND:
        if (yd__compiler_condition(compiler, a, text) && yd__compiler_condition(compiler, b, text))
            yd__compiler_two(compiler, op, 0, a, b, YD_BOOL);
        return;
    case LEVEL_COMPARE:
        compare(compiler, sub, text, a, b);
        return;
    case LEVEL_BIT_OR:
    case LEVEL_BIT_XOR:
    case LEVEL_BIT_AND:
        if (whole(compiler, a, text) && whole(compiler, b, text)) {
            bool is_unsigned = (a->type == YD_U64 && (!a->constant || b->constant)) ||
                               (b->type == YD_U64 && (!b->constant || a->constant));
            enum yd_type type = is_unsigned ? YD_U64 : a->constant ? b->type : a->type;
            yd__compiler_two(compiler, op, type, a, b, type);
        }
        return;
    case LEVEL_SHIFT:
        if (whole(compiler, a, text) && whole(compiler, b, text))
            yd__compiler_two(compiler, op, a->type, a, b, a->type);
        return;
    default:
        break;
    }
    if (!yd__compiler_number(compiler, a, YD_F64, text) || !yd__compiler_number(compiler, b, YD_F64, text)) return;
    if (op == OP_DIVIDE) {
        yd__compiler_to_f64(compiler, a);
        yd__compiler_to_f64(compiler, b);
        yd__compiler_two(compiler, op, 0, a, b, YD_F64);
        return;
    }
    if (!yd__compiler_unify(compiler, a, b)) return;
    yd__compiler_two(compiler, yd__op_of(op, a->type), 0, a, b, op == OP_SUB_I && a->type == YD_U64 ? YD_I64 : a->type);
}

static size_t operator_at(const struct compiler *compiler, int level)
{
    size_t i = 0;
    if (over(compiler) || compiler->token.type != YD_TOKEN_SIGN) return YD_COUNT(operators);
    while (i < YD_COUNT(operators) && (operators[i].level < level || operators[i].sign != compiler->token.sign)) i++;
    return i;
}

static struct operand sides(struct compiler *compiler, int level)
{
    struct operand a = unary(compiler);
    for (size_t which; (which = operator_at(compiler, level)) < YD_COUNT(operators);) {
        int of = operators[which].level;
        next(compiler);
        struct operand b = sides(compiler, of + 1);
        if (compiler->error < 0) break;
        combine(compiler, which, &a, &b);
        a.size = b.offset + b.size - a.offset;
        a.slot = -1;
        which = operator_at(compiler, LEVEL_COMPARE);
        if (of == LEVEL_COMPARE && which < YD_COUNT(operators) && operators[which].level == LEVEL_COMPARE) {
            yd__compiler_fail(compiler, YD_EFORMAT, compiler->token.offset, compiler->token.size,
                              "comparisons do not go on: the one before gives true or false");
            yd__compiler_help(compiler, "write  a < b && b < c");
        }
    }
    return a;
}

static struct operand choice(struct compiler *compiler, struct operand condition)
{
    struct argument args[3] = {{.operand = condition}};
    struct yd_token as_if = {.type = YD_TOKEN_NAME, .offset = condition.offset, .text = YD_STR("if")};
    unsigned r = condition.r;
    next(compiler);
    args[1].operand = parse(compiler, LEVEL_CHOICE);
    if (!is_sign(compiler, ':')) {
        unexpected(compiler, "the ':' of a choice (condition ? one : other)");
        return condition;
    }
    next(compiler);
    args[2].operand = parse(compiler, LEVEL_CHOICE);
    as_if.size = args[2].operand.offset + args[2].operand.size - condition.offset;
    if (compiler->error == 0) yd__compiler_call(compiler, &as_if, args, 3);
    args[0].operand.offset = as_if.offset;
    args[0].operand.size = as_if.size;
    args[0].operand.slot = -1;
    compiler->r = r + 1;
    return args[0].operand;
}

static struct operand parse(struct compiler *compiler, int level)
{
    struct operand a = {.offset = compiler->token.offset, .slot = -1};
    if (!deeper(compiler)) return a;
    a = sides(compiler, level < LEVEL_OR ? LEVEL_OR : level);
    if (level == LEVEL_CHOICE && !over(compiler) && is_sign(compiler, '?')) a = choice(compiler, a);
    compiler->depth--;
    return a;
}

/* ---- whole ---- */

/* What a saved state must agree with: the code, its constants, and the types of what it reads. */
static uint64_t fingerprint(const struct yd_expression *expression)
{
    const struct yd_reading *constants = (const struct yd_reading *)(const void *)expression->constants.data;
    const struct yd_expression_slot *slots = (const struct yd_expression_slot *)(const void *)expression->slots.data;
    uint64_t hash = yd_hash(expression->code.data, expression->code.size);
    for (size_t i = 0; i < expression->constants.size / sizeof *constants; i++) {
        bool text = constants[i].type == YD_TEXT;
        hash = yd_hash_id(hash) ^ (text ? yd_hash(constants[i].text, constants[i].size) : constants[i].bits);
    }
    for (size_t i = 0; i < expression->slot_count; i++) hash = yd_hash_id(hash) ^ (uint64_t)slots[i].type;
    for (size_t i = 0; i < expression->memory_count; i++) {
        const struct memory_plan *plan = memory_plan(expression, i);
        hash = yd_hash_id(hash) ^
               ((uint64_t)plan->kind << 56 | (uint64_t)plan->type << 48 | (uint64_t)plan->wrap_bits << 32 | plan->room);
        hash = yd_hash_id(hash) ^ (uint64_t)plan->ns;
    }
    return hash;
}

/* A bare name at the top: whatever was not decided is a number. */
static void finish(struct compiler *compiler, struct operand *whole_one)
{
    struct yd_expression *expression = compiler->expression;
    struct instruction *code = (struct instruction *)(void *)expression->code.data;
    struct yd_expression_slot *slots = (struct yd_expression_slot *)(void *)expression->slots.data;
    yd__compiler_settle(compiler, whole_one, YD_F64);
    for (size_t i = 0; i < expression->slot_count; i++)
        if (slots[i].type == YD_NIL) slots[i].type = YD_F64;
    for (uint32_t i = 0; i < expression->count; i++)
        if (code[i].op == OP_LOAD) code[i].sub = (uint16_t)slots[code[i].k].type;
    expression->type = whole_one->type;
    expression->hash = fingerprint(expression);
}

static void compile(struct compiler *compiler, size_t *ret_used)
{
    next(compiler);
    compiler->end = 0;
    compiler->token.after_newline = false;
    struct operand all = parse(compiler, LEVEL_CHOICE);
    if (compiler->error == 0 && !over(compiler) && !compiler->part) unexpected(compiler, "an operator");
    if (compiler->error < 0) return;
    finish(compiler, &all);
    if (ret_used) *ret_used = compiler->token.offset;
}

static struct yd_expression *create(struct yd_alloc *alloc)
{
    struct yd_expression *expression = yd_alloc_zero(alloc, sizeof *expression);
    if (!expression) return NULL;
    expression->alloc = alloc;
    yd_buf_init(&expression->code, alloc);
    yd_buf_init(&expression->constants, alloc);
    yd_buf_init(&expression->slots, alloc);
    yd_buf_init(&expression->memories, alloc);
    yd_arena_init(&expression->texts, alloc);
    return expression;
}

int yd_expression_compile(struct yd_str text, const struct yd_expression_names *names, struct yd_alloc *alloc,
                          size_t *ret_used, struct yd_expression **ret_expression, struct yd_mistake *mistake)
{
    size_t used = 0;
    if (mistake) *mistake = (struct yd_mistake){0};
    if (text.size > YD_EXPRESSION_TEXT_MAX) {
        if (!ret_used)
            return yd_mistake_say(mistake, YD_ETOOBIG, text, YD_EXPRESSION_TEXT_MAX, 0, "more than %d bytes",
                                  YD_EXPRESSION_TEXT_MAX);
        text.size = YD_EXPRESSION_TEXT_MAX; /* of a longer text; one that reaches this far fails at its end */
    }
    struct compiler compiler = {
        .expression = create(alloc), .names = names, .mistake = mistake, .tokens = {.text = text}, .part = ret_used};
    if (!compiler.expression) return YD_ENOMEM;
    compile(&compiler, &used);
    if (compiler.error < 0) {
        yd_expression_destroy(compiler.expression);
        return compiler.error;
    }
    if (ret_used) *ret_used = used;
    *ret_expression = compiler.expression;
    return 0;
}

void yd_expression_destroy(struct yd_expression *expression)
{
    if (!expression) return;
    yd_buf_fini(&expression->code);
    yd_buf_fini(&expression->constants);
    yd_buf_fini(&expression->slots);
    yd_buf_fini(&expression->memories);
    yd_arena_fini(&expression->texts);
    yd_alloc_put(expression->alloc, expression, sizeof *expression);
}

enum yd_type yd_expression_type(const struct yd_expression *expression)
{
    return expression->type;
}

const struct yd_expression_slot *yd_expression_slots(const struct yd_expression *expression, size_t *ret_count)
{
    *ret_count = expression->slot_count;
    return (const struct yd_expression_slot *)(const void *)expression->slots.data;
}

size_t yd_expression_state_size(const struct yd_expression *expression)
{
    return expression->state_size;
}

uint32_t yd_expression_code_count(const struct yd_expression *expression)
{
    return expression->count;
}
