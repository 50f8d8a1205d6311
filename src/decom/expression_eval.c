/* Expressions, evaluated: one pass over the code, a register at a time. See expression_internal.h.
 *
 * Every value in a register is finite and of the type that the compiler gave it, or there is none and the flags say
 * why. So an operation looks at its arguments' presence and at its own result, and nothing is undefined: overflow,
 * division by zero and what is not a number have no value. */
#include "decom/expression_internal.h"

#include <math.h>

/* A reading of any type, as the type that was compiled. */
static struct yd_reading convert(const struct yd_reading *from, enum yd_type to)
{
    unsigned flags = from->flags & 0xffu;
    if (from->type == YD_NIL) return yd_reading_none(flags);
    bool number = from->type == YD_BOOL || from->type == YD_I64 || from->type == YD_U64 || from->type == YD_F64;
    if (from->type == YD_F64 && !isfinite(from->f64)) return yd_reading_none(flags | YD_READING_DOMAIN);
    if (from->type == to) {
        struct yd_reading same = *from;
        same.flags = (uint16_t)flags;
        if (to == YD_BOOL) same.bits = same.bits != 0;
        return same;
    }
    if (!number || to == YD_TEXT) return yd_reading_none(flags | YD_READING_TYPE);
    switch (to) {
    case YD_BOOL:
        return yd_reading_bool(from->type == YD_F64 ? from->f64 != 0 : from->bits != 0, flags);
    case YD_I64:
        if (from->type == YD_F64) {
            if (from->f64 != trunc(from->f64)) return yd_reading_none(flags | YD_READING_TYPE);
            if (from->f64 < -0x1p63 || from->f64 >= 0x1p63) return yd_reading_none(flags | YD_READING_OVERFLOW);
            return yd_reading_i64((int64_t)from->f64, flags);
        }
        if (from->type == YD_U64 && from->u64 > INT64_MAX) return yd_reading_none(flags | YD_READING_OVERFLOW);
        return yd_reading_i64(from->i64, flags);
    case YD_U64:
        if (from->type == YD_F64) {
            if (from->f64 != trunc(from->f64)) return yd_reading_none(flags | YD_READING_TYPE);
            if (from->f64 < 0 || from->f64 >= 0x1p64) return yd_reading_none(flags | YD_READING_OVERFLOW);
            return yd_reading_u64((uint64_t)from->f64, flags);
        }
        if (from->type == YD_I64 && from->i64 < 0) return yd_reading_none(flags | YD_READING_OVERFLOW);
        return yd_reading_u64(from->u64, flags);
    default:
        return yd_reading_f64(from->type == YD_I64 ? (double)from->i64 : (double)from->u64, flags);
    }
}

static struct yd_reading finite_or(double value, unsigned flags, unsigned otherwise)
{
    if (YD_UNLIKELY(!isfinite(value))) return yd_reading_none(flags | otherwise);
    return yd_reading_f64(value, flags);
}

static struct yd_reading math(enum math function, double x, unsigned flags)
{
    switch (function) {
    case MATH_FLOOR:
        return yd_reading_f64(floor(x), flags);
    case MATH_CEIL:
        return yd_reading_f64(ceil(x), flags);
    case MATH_ROUND:
        return yd_reading_f64(round(x), flags);
    case MATH_TRUNC:
        return yd_reading_f64(trunc(x), flags);
    case MATH_SQRT:
        return x < 0 ? yd_reading_none(flags | YD_READING_DOMAIN) : yd_reading_f64(sqrt(x), flags);
    case MATH_EXP:
        return finite_or(exp(x), flags, YD_READING_OVERFLOW);
    case MATH_LOG:
        return x <= 0 ? yd_reading_none(flags | YD_READING_DOMAIN) : yd_reading_f64(log(x), flags);
    case MATH_LOG10:
        return x <= 0 ? yd_reading_none(flags | YD_READING_DOMAIN) : yd_reading_f64(log10(x), flags);
    case MATH_SIN:
        return yd_reading_f64(sin(x), flags);
    case MATH_COS:
        return yd_reading_f64(cos(x), flags);
    case MATH_TAN:
        return finite_or(tan(x), flags, YD_READING_OVERFLOW);
    case MATH_ASIN:
        return finite_or(asin(x), flags, YD_READING_DOMAIN);
    case MATH_ACOS:
        return finite_or(acos(x), flags, YD_READING_DOMAIN);
    case MATH_ATAN:
        return yd_reading_f64(atan(x), flags);
    case MATH_DEGREES:
        return finite_or(x * (180 / M_PI), flags, YD_READING_OVERFLOW);
    case MATH_RADIANS:
        return yd_reading_f64(x * (M_PI / 180), flags);
    }
    return yd_reading_none(flags | YD_READING_DOMAIN);
}

static struct yd_reading power(double a, double b, unsigned flags)
{
    if (a == 0 && b < 0) return yd_reading_none(flags | YD_READING_ZERO);
    if (a < 0 && b != trunc(b)) return yd_reading_none(flags | YD_READING_DOMAIN);
    return finite_or(pow(a, b), flags, YD_READING_OVERFLOW);
}

static int order_iu(int64_t a, uint64_t b)
{
    return a < 0 || (uint64_t)a < b ? -1 : (uint64_t)a > b;
}

/* Two whole numbers, or bits. */
static struct yd_reading of_integers(const struct instruction *at, const struct yd_reading *a,
                                     const struct yd_reading *b, unsigned flags)
{
    int64_t i;
    uint64_t u;
    switch ((enum op)at->op) {
    case OP_ADD_I:
        if (__builtin_add_overflow(a->i64, b->i64, &i)) break;
        return yd_reading_i64(i, flags);
    case OP_ADD_U:
        if (__builtin_add_overflow(a->u64, b->u64, &u)) break;
        return yd_reading_u64(u, flags);
    case OP_SUB_I:
        if (__builtin_sub_overflow(a->i64, b->i64, &i)) break;
        return yd_reading_i64(i, flags);
    case OP_SUB_U:
        if (__builtin_sub_overflow(a->u64, b->u64, &i)) break;
        return yd_reading_i64(i, flags);
    case OP_MUL_I:
        if (__builtin_mul_overflow(a->i64, b->i64, &i)) break;
        return yd_reading_i64(i, flags);
    case OP_MUL_U:
        if (__builtin_mul_overflow(a->u64, b->u64, &u)) break;
        return yd_reading_u64(u, flags);
    case OP_QUOTIENT_I:
    case OP_REST_I:
        if (b->i64 == 0) return yd_reading_none(flags | YD_READING_ZERO);
        if (b->i64 == -1) { /* of the smallest number it has no quotient, and the CPU traps */
            if (at->op == OP_REST_I) return yd_reading_i64(0, flags);
            if (a->i64 == INT64_MIN) break;
            return yd_reading_i64(-a->i64, flags);
        }
        return yd_reading_i64(at->op == OP_REST_I ? a->i64 % b->i64 : a->i64 / b->i64, flags);
    case OP_QUOTIENT_U:
    case OP_REST_U:
        if (b->u64 == 0) return yd_reading_none(flags | YD_READING_ZERO);
        return yd_reading_u64(at->op == OP_REST_U ? a->u64 % b->u64 : a->u64 / b->u64, flags);
    case OP_MIN_I:
        return yd_reading_i64(YD_MIN(a->i64, b->i64), flags);
    case OP_MIN_U:
        return yd_reading_u64(YD_MIN(a->u64, b->u64), flags);
    case OP_MAX_I:
        return yd_reading_i64(YD_MAX(a->i64, b->i64), flags);
    case OP_MAX_U:
        return yd_reading_u64(YD_MAX(a->u64, b->u64), flags);
    case OP_BIT_AND:
        u = a->u64 & b->u64;
        goto bits;
    case OP_BIT_OR:
        u = a->u64 | b->u64;
        goto bits;
    case OP_BIT_XOR:
        u = a->u64 ^ b->u64;
        goto bits;
    case OP_SHIFT_LEFT:
        if (b->u64 > 63) return yd_reading_none(flags | YD_READING_DOMAIN); /* a negative one is large, too */
        u = a->u64 << b->u64;
        goto bits;
    case OP_SHIFT_RIGHT:
        if (b->u64 > 63) return yd_reading_none(flags | YD_READING_DOMAIN);
        u = at->sub == YD_I64 ? (uint64_t)(a->i64 >> b->u64) : a->u64 >> b->u64;
    bits:
        return (struct yd_reading){.type = (uint8_t)at->sub, .flags = (uint16_t)flags, .u64 = u};
    default:
        break;
    }
    return yd_reading_none(flags | YD_READING_OVERFLOW);
}

static int order_of(enum op op, unsigned sub, const struct yd_reading *a, const struct yd_reading *b)
{
    switch (op) {
    case OP_COMPARE_I:
        return (a->i64 > b->i64) - (a->i64 < b->i64);
    case OP_COMPARE_IU:
        return sub & COMPARE_UI ? -order_iu(b->i64, a->u64) : order_iu(a->i64, b->u64);
    case OP_COMPARE_T: {
        int order = yd_str_cmp((struct yd_str){a->text, a->size}, (struct yd_str){b->text, b->size});
        return (order > 0) - (order < 0);
    }
    default:
        return (a->u64 > b->u64) - (a->u64 < b->u64);
    }
}

/* false && nothing is false, true || nothing is true; otherwise nothing makes nothing. */
static struct yd_reading logic(bool is_or, const struct yd_reading *a, const struct yd_reading *b)
{
    unsigned flags = a->flags | b->flags;
    if (a->type && (a->bits != 0) == is_or) return yd_reading_bool(is_or, a->flags | (b->flags & YD_READING_FRESH));
    if (b->type && (b->bits != 0) == is_or) return yd_reading_bool(is_or, b->flags | (a->flags & YD_READING_FRESH));
    return a->type && b->type ? yd_reading_bool(!is_or, flags) : yd_reading_none(flags);
}

static struct yd_reading clamp(enum op op, const struct yd_reading *r)
{
    unsigned flags = r[0].flags | r[1].flags | r[2].flags;
    if (!r[0].type || !r[1].type || !r[2].type) return yd_reading_none(flags);
    enum op compare = op == OP_CLAMP_I ? OP_COMPARE_I : OP_COMPARE_U;
    bool inverted, below, above;
    if (op == OP_CLAMP_F) {
        inverted = r[1].f64 > r[2].f64;
        below = r[0].f64 < r[1].f64;
        above = r[0].f64 > r[2].f64;
    } else {
        inverted = order_of(compare, 0, r + 1, r + 2) > 0;
        below = order_of(compare, 0, r, r + 1) < 0;
        above = order_of(compare, 0, r, r + 2) > 0;
    }
    if (inverted) return yd_reading_none(flags | YD_READING_DOMAIN);
    struct yd_reading result = r[below ? 1 : above ? 2 : 0];
    result.flags = (uint16_t)flags;
    return result;
}

static struct yd_reading of_one(const struct instruction *at, const struct yd_reading *a)
{
    unsigned flags = a->flags;
    switch ((enum op)at->op) {
    case OP_I_TO_F:
        return yd_reading_f64((double)a->i64, flags);
    case OP_U_TO_F:
        return yd_reading_f64((double)a->u64, flags);
    case OP_U_TO_I:
        return a->u64 > INT64_MAX ? yd_reading_none(flags | YD_READING_OVERFLOW) : yd_reading_i64(a->i64, flags);
    case OP_B_TO_I:
        return yd_reading_i64(a->i64, flags);
    case OP_F_TO_I: {
        double whole = trunc(a->f64);
        if (whole < -0x1p63 || whole >= 0x1p63) return yd_reading_none(flags | YD_READING_OVERFLOW);
        return yd_reading_i64((int64_t)whole, flags);
    }
    case OP_MINUS_I:
        return a->i64 == INT64_MIN ? yd_reading_none(flags | YD_READING_OVERFLOW) : yd_reading_i64(-a->i64, flags);
    case OP_MINUS_U:
        if (a->u64 > UINT64_C(1) << 63) return yd_reading_none(flags | YD_READING_OVERFLOW);
        return yd_reading_i64((int64_t)(0 - a->u64), flags);
    case OP_MINUS_F:
        return yd_reading_f64(-a->f64, flags);
    case OP_ABS_I:
        if (a->i64 == INT64_MIN) return yd_reading_none(flags | YD_READING_OVERFLOW);
        return yd_reading_i64(a->i64 < 0 ? -a->i64 : a->i64, flags);
    case OP_ABS_F:
        return yd_reading_f64(fabs(a->f64), flags);
    case OP_NOT:
        return yd_reading_bool(!a->bits, flags);
    case OP_INVERT:
        return (struct yd_reading){.type = a->type, .flags = (uint16_t)flags, .u64 = ~a->u64};
    default:
        return math((enum math)at->sub, a->f64, flags);
    }
}

/* What follows a value, not whether there is one. */
static unsigned aside(unsigned flags)
{
    return flags & (YD_READING_FRESH | YD_READING_SUSPECT | YD_READING_CROWDED);
}

static struct yd_reading choose(const struct yd_reading *r)
{
    unsigned fresh = (r[0].flags | r[1].flags | r[2].flags) & YD_READING_FRESH;
    if (!r[0].type) return yd_reading_none(r[0].flags | fresh);
    struct yd_reading result = r[0].bits ? r[1] : r[2];
    result.flags = (uint16_t)(result.flags | aside(r[0].flags) | fresh);
    return result;
}

struct yd_reading yd__expression_run(const struct yd_expression *expression, uint32_t first, uint32_t end,
                                     const struct yd_reading *values, int64_t time_ns,
                                     struct yd_expression_state *state, struct yd_reading *registers)
{
    const struct instruction *code = (const struct instruction *)(const void *)expression->code.data;
    const struct yd_reading *constants = (const struct yd_reading *)(const void *)expression->constants.data;
    const struct yd_expression_slot *slots = (const struct yd_expression_slot *)(const void *)expression->slots.data;
    for (uint32_t i = first; i < end; i++) {
        const struct instruction *at = &code[i];
        struct yd_reading *r = &registers[at->r];
        const struct yd_reading *b;
        unsigned flags;
        switch ((enum op)at->op) {
        case OP_CONSTANT:
            *r = constants[at->k];
            break;
        case OP_LOAD: {
            const struct yd_reading *from = &values[slots[at->k].slot];
            if (YD_LIKELY(from->type == YD_F64 && at->sub == YD_F64 && isfinite(from->f64)))
                *r = yd_reading_f64(from->f64, from->flags & 0xffu);
            else
                *r = convert(from, (enum yd_type)at->sub);
            break;
        }
/* Two doubles whose result may be infinite. */
#define OF_DOUBLES(OP, EXPRESSION)                                                                                     \
    case OP:                                                                                                           \
        b = at->k == NOT_CONSTANT ? r + 1 : &constants[at->k];                                                         \
        flags = r->flags | b->flags;                                                                                   \
        if (YD_LIKELY(r->type && b->type))                                                                             \
            *r = finite_or(EXPRESSION, flags, YD_READING_OVERFLOW);                                                    \
        else                                                                                                           \
            *r = yd_reading_none(flags);                                                                               \
        break;
            OF_DOUBLES(OP_ADD_F, r->f64 + b->f64)
            OF_DOUBLES(OP_SUB_F, r->f64 - b->f64)
            OF_DOUBLES(OP_MUL_F, r->f64 * b->f64)
            OF_DOUBLES(OP_MIN_F, r->f64 < b->f64 ? r->f64 : b->f64)
            OF_DOUBLES(OP_MAX_F, r->f64 > b->f64 ? r->f64 : b->f64)
            OF_DOUBLES(OP_ATAN2, atan2(r->f64, b->f64))
            OF_DOUBLES(OP_HYPOT, hypot(r->f64, b->f64))
#undef OF_DOUBLES
        case OP_DIVIDE:
        case OP_QUOTIENT_F:
        case OP_REST_F:
            b = at->k == NOT_CONSTANT ? r + 1 : &constants[at->k];
            flags = r->flags | b->flags;
            if (YD_UNLIKELY(!r->type || !b->type))
                *r = yd_reading_none(flags);
            else if (YD_UNLIKELY(b->f64 == 0))
                *r = yd_reading_none(flags | YD_READING_ZERO);
            else if (at->op == OP_REST_F)
                *r = yd_reading_f64(fmod(r->f64, b->f64), flags);
            else
                *r = finite_or(at->op == OP_DIVIDE ? r->f64 / b->f64 : trunc(r->f64 / b->f64), flags,
                               YD_READING_OVERFLOW);
            break;
        case OP_POWER:
            b = at->k == NOT_CONSTANT ? r + 1 : &constants[at->k];
            flags = r->flags | b->flags;
            *r = r->type && b->type ? power(r->f64, b->f64, flags) : yd_reading_none(flags);
            break;
        case OP_COMPARE_F:
            b = at->k == NOT_CONSTANT ? r + 1 : &constants[at->k];
            flags = r->flags | b->flags;
            if (YD_LIKELY(r->type && b->type))
                *r = yd_reading_bool(at->sub >> ((r->f64 > b->f64) - (r->f64 < b->f64) + 1) & 1, flags);
            else
                *r = yd_reading_none(flags);
            break;
        case OP_COMPARE_I:
        case OP_COMPARE_U:
        case OP_COMPARE_IU:
        case OP_COMPARE_T:
            b = at->k == NOT_CONSTANT ? r + 1 : &constants[at->k];
            flags = r->flags | b->flags;
            if (r->type && b->type)
                *r = yd_reading_bool((at->sub & 7) >> (order_of((enum op)at->op, at->sub, r, b) + 1) & 1, flags);
            else
                *r = yd_reading_none(flags);
            break;
        case OP_AND:
        case OP_OR:
            b = at->k == NOT_CONSTANT ? r + 1 : &constants[at->k];
            *r = logic(at->op == OP_OR, r, b);
            break;
        case OP_DEFAULT:
            b = at->k == NOT_CONSTANT ? r + 1 : &constants[at->k];
            flags = (r->flags | b->flags) & YD_READING_FRESH;
            if (!r->type) *r = *b;
            r->flags |= (uint16_t)flags;
            break;
        case OP_ADD_I:
        case OP_ADD_U:
        case OP_SUB_I:
        case OP_SUB_U:
        case OP_MUL_I:
        case OP_MUL_U:
        case OP_QUOTIENT_I:
        case OP_QUOTIENT_U:
        case OP_REST_I:
        case OP_REST_U:
        case OP_MIN_I:
        case OP_MIN_U:
        case OP_MAX_I:
        case OP_MAX_U:
        case OP_BIT_AND:
        case OP_BIT_OR:
        case OP_BIT_XOR:
        case OP_SHIFT_LEFT:
        case OP_SHIFT_RIGHT:
            b = at->k == NOT_CONSTANT ? r + 1 : &constants[at->k];
            flags = r->flags | b->flags;
            *r = r->type && b->type ? of_integers(at, r, b, flags) : yd_reading_none(flags);
            break;
        case OP_PRESENT:
            *r = yd_reading_bool(r->type != YD_NIL, aside(r->flags));
            break;
        case OP_IS_NAN:
            if (r->type || r->flags & YD_READING_DOMAIN) *r = yd_reading_bool(r->type == YD_NIL, aside(r->flags));
            break;
        case OP_CHOOSE:
            *r = choose(r);
            break;
        case OP_CLAMP_I:
        case OP_CLAMP_U:
        case OP_CLAMP_F:
            *r = clamp((enum op)at->op, r);
            break;
        case OP_REMEMBER: {
            const struct memory_plan *plan = memory_plan(expression, at->k);
            *r = yd__expression_remember(plan, memory_of(state, plan), r, time_ns);
            break;
        }
        default:
            if (r->type) *r = of_one(at, r);
            break;
        }
    }
    return registers[0];
}

struct yd_reading yd_expression_eval(const struct yd_expression *expression, const struct yd_reading *values,
                                     int64_t time_ns, struct yd_expression_state *state)
{
    struct yd_reading registers[REGISTERS_MAX];
    YD_ASSERT(expression->state_size == 0 || (state && state->expression == expression));
    return yd__expression_run(expression, 0, expression->count, values, time_ns, state, registers);
}
