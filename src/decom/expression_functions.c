/* Expressions: the functions, one line each, and what their arguments must be. See docs/derive.md. */
#include <math.h>
#include <stdio.h>

#include "base/text.h"
#include "decom/expression_compiler.h"

enum shape {
    SHAPE_MATH,    /* F64 --> F64 */
    SHAPE_ROUND,   /* whole numbers stay as they are */
    SHAPE_DOUBLES, /* two F64 */
    SHAPE_FOLD,    /* as many as you like, of one type */
    SHAPE_TWO,     /* two of one type */
    SHAPE_ABS,
    SHAPE_CLAMP,
    SHAPE_IF,
    SHAPE_DEFAULT,
    SHAPE_TEST, /* anything --> BOOL */
    SHAPE_INT,
    SHAPE_FLOAT,
    SHAPE_WINDOW, /* x, values or duration, room */
    SHAPE_STEP,   /* x, bits */
    SHAPE_PLAIN,  /* x */
    SHAPE_EMA,
    SHAPE_HELD,
    SHAPE_LAST,
};
static const struct function {
    const char *name, *use;
    unsigned min, max;
    enum shape shape;
    unsigned sub; /* enum op, math or memory_kind */
} functions[] = {
    {"abs", "abs(x)", 1, 1, SHAPE_ABS, 0},
    {"acos", "acos(x)", 1, 1, SHAPE_MATH, MATH_ACOS},
    {"asin", "asin(x)", 1, 1, SHAPE_MATH, MATH_ASIN},
    {"atan", "atan(x)", 1, 1, SHAPE_MATH, MATH_ATAN},
    {"atan2", "atan2(y, x)", 2, 2, SHAPE_DOUBLES, OP_ATAN2},
    {"ceil", "ceil(x)", 1, 1, SHAPE_ROUND, MATH_CEIL},
    {"clamp", "clamp(x, low, high)", 3, 3, SHAPE_CLAMP, 0},
    {"cos", "cos(x)", 1, 1, SHAPE_MATH, MATH_COS},
    {"count", "count(x)", 1, 1, SHAPE_PLAIN, MEMORY_COUNT},
    {"default", "default(x, otherwise)", 2, 2, SHAPE_DEFAULT, 0},
    {"degrees", "degrees(x)", 1, 1, SHAPE_MATH, MATH_DEGREES},
    {"delta", "delta(x) or delta(x, bits)", 1, 2, SHAPE_STEP, MEMORY_DELTA},
    {"div", "div(a, b)", 2, 2, SHAPE_TWO, OP_QUOTIENT_I},
    {"ema", "ema(x, 10s)", 2, 2, SHAPE_EMA, MEMORY_EMA},
    {"exp", "exp(x)", 1, 1, SHAPE_MATH, MATH_EXP},
    {"float", "float(x)", 1, 1, SHAPE_FLOAT, 0},
    {"floor", "floor(x)", 1, 1, SHAPE_ROUND, MATH_FLOOR},
    {"held", "held(condition, 10s)", 2, 2, SHAPE_HELD, MEMORY_HELD},
    {"hypot", "hypot(x, y)", 2, 2, SHAPE_DOUBLES, OP_HYPOT},
    {"if", "if(condition, one, other)", 3, 3, SHAPE_IF, 0},
    {"int", "int(x)", 1, 1, SHAPE_INT, 0},
    {"integral", "integral(x)", 1, 1, SHAPE_PLAIN, MEMORY_INTEGRAL},
    {"isnan", "isnan(x)", 1, 1, SHAPE_TEST, OP_IS_NAN},
    {"last", "last(x, otherwise)", 2, 2, SHAPE_LAST, MEMORY_LAST},
    {"log", "log(x)", 1, 1, SHAPE_MATH, MATH_LOG},
    {"log10", "log10(x)", 1, 1, SHAPE_MATH, MATH_LOG10},
    {"max", "max(a, b, …)", 2, ARGUMENTS_MAX, SHAPE_FOLD, OP_MAX_I},
    {"min", "min(a, b, …)", 2, ARGUMENTS_MAX, SHAPE_FOLD, OP_MIN_I},
    {"pow", "pow(x, y)", 2, 2, SHAPE_DOUBLES, OP_POWER},
    {"present", "present(x)", 1, 1, SHAPE_TEST, OP_PRESENT},
    {"previous", "previous(x)", 1, 1, SHAPE_PLAIN, MEMORY_PREVIOUS},
    {"radians", "radians(x)", 1, 1, SHAPE_MATH, MATH_RADIANS},
    {"rate", "rate(x) or rate(x, bits)", 1, 2, SHAPE_STEP, MEMORY_RATE},
    {"rolling_avg", "rolling_avg(x, 10) or rolling_avg(x, 10s)", 2, 3, SHAPE_WINDOW, MEMORY_AVG},
    {"rolling_max", "rolling_max(x, 10) or rolling_max(x, 10s)", 2, 3, SHAPE_WINDOW, MEMORY_MAX},
    {"rolling_min", "rolling_min(x, 10) or rolling_min(x, 10s)", 2, 3, SHAPE_WINDOW, MEMORY_MIN},
    {"rolling_sum", "rolling_sum(x, 10) or rolling_sum(x, 10s)", 2, 3, SHAPE_WINDOW, MEMORY_SUM},
    {"round", "round(x)", 1, 1, SHAPE_ROUND, MATH_ROUND},
    {"sin", "sin(x)", 1, 1, SHAPE_MATH, MATH_SIN},
    {"sqrt", "sqrt(x)", 1, 1, SHAPE_MATH, MATH_SQRT},
    {"tan", "tan(x)", 1, 1, SHAPE_MATH, MATH_TAN},
    {"trunc", "trunc(x)", 1, 1, SHAPE_ROUND, MATH_TRUNC},
};
#define WINDOW_ROOM 4096 /* values of a window of time, unless said otherwise */

static const struct function *find(struct yd_str name)
{
    for (size_t i = 0; i < YD_COUNT(functions); i++)
        if (yd_str_eq(name, yd_str_of(functions[i].name))) return &functions[i];
    return NULL;
}

bool yd__compiler_is_function(struct yd_str name)
{
    return find(name) != NULL;
}

struct yd_str yd__compiler_near_function(struct yd_str name)
{
    unsigned best = name.size <= 3 ? 1 : 3;
    struct yd_str near = {NULL, 0};
    for (size_t i = 0; i < YD_COUNT(functions) && name.size < 64; i++) {
        unsigned distance = yd_text_distance(name, yd_str_of(functions[i].name), best);
        if (distance > best || (near.size && distance == best)) continue;
        best = distance;
        near = yd_str_of(functions[i].name);
    }
    return near;
}

/* ---- arguments ---- */

static void wrong(struct compiler *compiler, const struct function *function, const struct operand *operand,
                  const char *what)
{
    yd__compiler_fail(compiler, YD_EINVAL, operand->offset, operand->size, "%s: %s", function->name, what);
    yd__compiler_help(compiler, "%s", function->use);
}

static bool duration(struct compiler *compiler, const struct function *function, const struct argument *arg,
                     int64_t *ret_ns)
{
    if (!arg->is_duration || arg->ns <= 0) {
        wrong(compiler, function, &arg->operand, "this is to be a duration, 250ms or 10s");
        return false;
    }
    *ret_ns = arg->ns;
    return true;
}

/* A whole number that is written down; it leaves no code. */
static bool literal(struct compiler *compiler, const struct function *function, const struct argument *arg,
                    uint64_t min, uint64_t max, uint64_t *ret)
{
    char what[100];
    struct yd_expression *expression = compiler->expression;
    if (compiler->error < 0) return false;
    if (!arg->is_duration && arg->operand.constant && (arg->operand.type == YD_I64 || arg->operand.type == YD_U64)) {
        const struct instruction *at = (const struct instruction *)(const void *)expression->code.data;
        const struct yd_reading *constants = (const struct yd_reading *)(const void *)expression->constants.data;
        *ret = constants[at[arg->operand.first].k].u64;
        if (*ret >= min && *ret <= max) { /* literals are last: nothing comes behind their code */
            expression->count = arg->operand.first;
            expression->code.size = expression->count * sizeof *at;
            return true;
        }
    }
    (void)snprintf(what, sizeof what, "this is to be a whole number from %llu to %llu", (unsigned long long)min,
                   (unsigned long long)max);
    wrong(compiler, function, &arg->operand, what);
    return false;
}

/* ---- memories ---- */

static void remember(struct compiler *compiler, const struct function *function, struct operand *x,
                     struct memory_plan plan, enum yd_type type)
{
    struct yd_expression *expression = compiler->expression;
    size_t size = sizeof(struct memory) + plan.room * sizeof(struct entry);
    if (compiler->error < 0) return;
    if (!x->reads) {
        wrong(compiler, function, x, "no measurement is in it, so nothing ever changes");
        return;
    }
    if (expression->state_size + size > YD_EXPRESSION_STATE_MAX) {
        yd__compiler_fail(compiler, YD_ETOOBIG, x->offset, x->size, "the windows take more than %u KiB",
                          YD_EXPRESSION_STATE_MAX >> 10);
        return;
    }
    plan.kind = (uint8_t)function->sub;
    plan.type = (uint8_t)x->type;
    plan.offset = expression->state_size;
    yd_buf_add(&expression->memories, &plan, sizeof plan);
    if (expression->memories.failed) {
        yd__compiler_fail(compiler, YD_ENOMEM, x->offset, x->size, "out of memory");
        return;
    }
    expression->state_size += size;
    (void)yd__compiler_emit(compiler, OP_REMEMBER, x->r, 0, (uint32_t)expression->memory_count++);
    x->type = type;
    x->constant = false;
    compiler->r = x->r + 1u;
}

static void window(struct compiler *compiler, const struct function *function, struct argument *args, unsigned count)
{
    struct memory_plan plan = {0};
    struct operand *x = &args[0].operand;
    uint64_t room = WINDOW_ROOM;
    bool timed = args[1].is_duration;
    if (count == 3 && !timed) {
        wrong(compiler, function, &args[2].operand, "how many values it has room for is asked of durations only");
        return;
    }
    if (count == 3 && !literal(compiler, function, &args[2], 1, YD_EXPRESSION_WINDOW_MAX, &room)) return;
    if (timed ? !duration(compiler, function, &args[1], &plan.ns)
              : !literal(compiler, function, &args[1], 1, YD_EXPRESSION_WINDOW_MAX, &room))
        return;
    if (!yd__compiler_number(compiler, x, YD_F64, function->name)) return;
    plan.room = (uint32_t)room;
    bool sums = function->sub == MEMORY_AVG || function->sub == MEMORY_SUM;
    if (sums) yd__compiler_to_f64(compiler, x);
    remember(compiler, function, x, plan, x->type);
}

static void step(struct compiler *compiler, const struct function *function, struct argument *args, unsigned count)
{
    struct memory_plan plan = {0};
    struct operand *x = &args[0].operand;
    uint64_t bits = 0;
    if (count == 2 && !literal(compiler, function, &args[1], 2, 64, &bits)) return;
    if (!yd__compiler_number(compiler, x, bits ? YD_U64 : YD_F64, function->name)) return;
    if (bits && x->type == YD_F64) {
        wrong(compiler, function, x, "a counter with so many bits is a whole number, this is none");
        return;
    }
    plan.wrap_bits = (uint8_t)bits;
    remember(compiler, function, x, plan, function->sub == MEMORY_RATE || x->type == YD_F64 ? YD_F64 : YD_I64);
}

static void plain(struct compiler *compiler, const struct function *function, struct operand *x)
{
    if (function->sub == MEMORY_COUNT) {
        yd__compiler_settle(compiler, x, YD_F64);
        remember(compiler, function, x, (struct memory_plan){0}, YD_I64);
        return;
    }
    if (!yd__compiler_number(compiler, x, YD_F64, function->name)) return;
    if (function->sub == MEMORY_INTEGRAL) yd__compiler_to_f64(compiler, x);
    remember(compiler, function, x, (struct memory_plan){0}, x->type);
}

static void ema(struct compiler *compiler, const struct function *function, struct argument *args)
{
    struct memory_plan plan = {0};
    if (!duration(compiler, function, &args[1], &plan.ns) ||
        !yd__compiler_number(compiler, &args[0].operand, YD_F64, function->name))
        return;
    yd__compiler_to_f64(compiler, &args[0].operand);
    remember(compiler, function, &args[0].operand, plan, YD_F64);
}

static void held(struct compiler *compiler, const struct function *function, struct argument *args)
{
    struct memory_plan plan = {0};
    if (duration(compiler, function, &args[1], &plan.ns) &&
        yd__compiler_condition(compiler, &args[0].operand, function->name))
        remember(compiler, function, &args[0].operand, plan, YD_BOOL);
}

static void last(struct compiler *compiler, const struct function *function, struct argument *args)
{
    struct operand *x = &args[0].operand, *otherwise = &args[1].operand;
    if (!yd__compiler_unify(compiler, x, otherwise)) {
        if (compiler->error == 0) wrong(compiler, function, otherwise, "both are to be of one type");
    } else if (x->type == YD_TEXT) {
        wrong(compiler, function, x, "texts are not remembered");
    } else {
        remember(compiler, function, x, (struct memory_plan){0}, x->type);
    }
}

/* ---- the others ---- */

static void choose(struct compiler *compiler, const struct function *function, struct argument *args)
{
    struct operand three[3] = {args[0].operand, args[1].operand, args[2].operand};
    if (!yd__compiler_condition(compiler, &three[0], "a choice")) return;
    enum yd_type one = three[1].type, other = three[2].type;
    if (!yd__compiler_unify(compiler, &three[1], &three[2])) {
        if (compiler->error == 0)
            yd__compiler_fail(compiler, YD_EINVAL, three[1].offset, three[2].offset + three[2].size - three[1].offset,
                              "%s: one side is %s, the other %s", function->name, yd__compiler_words(one),
                              yd__compiler_words(other));
        return;
    }
    yd__compiler_three(compiler, OP_CHOOSE, three, three[1].type);
    args[0].operand = three[0];
}

static void clamp(struct compiler *compiler, const struct function *function, struct argument *args)
{
    struct operand three[3] = {args[0].operand, args[1].operand, args[2].operand};
    for (int i = 0; i < 3; i++)
        if (!yd__compiler_number(compiler, &three[i], YD_F64, function->name)) return;
    if (!yd__compiler_unify(compiler, &three[0], &three[1]) || !yd__compiler_unify(compiler, &three[0], &three[2]) ||
        !yd__compiler_unify(compiler, &three[0], &three[1]))
        return;
    yd__compiler_three(compiler, yd__op_of(OP_CLAMP_I, three[0].type), three, three[0].type);
    args[0].operand = three[0];
}

/* min(a, b, c): all of one type first, then from the right, where the free registers are. */
static void fold(struct compiler *compiler, const struct function *function, struct argument *args, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (!yd__compiler_number(compiler, &args[i].operand, YD_F64, function->name)) return;
    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 1; i < count; i++)
            if (!yd__compiler_unify(compiler, &args[0].operand, &args[i].operand)) return;
    for (unsigned i = count - 1; i-- > 0;) {
        enum yd_type type = args[i].operand.type;
        yd__compiler_two(compiler, yd__op_of((enum op)function->sub, type), 0, &args[i].operand, &args[i + 1].operand,
                         type);
    }
}

static void doubles(struct compiler *compiler, const struct function *function, struct argument *args)
{
    for (int i = 0; i < 2; i++) {
        if (!yd__compiler_number(compiler, &args[i].operand, YD_F64, function->name)) return;
        yd__compiler_to_f64(compiler, &args[i].operand);
    }
    yd__compiler_two(compiler, (enum op)function->sub, 0, &args[0].operand, &args[1].operand, YD_F64);
}

static void of_number(struct compiler *compiler, const struct function *function, const struct yd_token *call,
                      struct operand *x)
{
    bool boolean = x->type == YD_BOOL && (function->shape == SHAPE_INT || function->shape == SHAPE_FLOAT);
    if (boolean)
        yd__compiler_one(compiler, OP_B_TO_I, 0, x, YD_I64);
    else if (!yd__compiler_number(compiler, x, YD_F64, function->name))
        return;
    x->offset = call->offset; /* what is wrong from here on is wrong with the call */
    x->size = call->size;
    switch (function->shape) {
    case SHAPE_FLOAT:
        yd__compiler_to_f64(compiler, x);
        return;
    case SHAPE_INT:
        if (x->type == YD_F64) yd__compiler_one(compiler, OP_F_TO_I, 0, x, YD_I64);
        if (x->type == YD_U64) yd__compiler_one(compiler, OP_U_TO_I, 0, x, YD_I64);
        return;
    case SHAPE_ABS:
        if (x->type == YD_I64) yd__compiler_one(compiler, OP_ABS_I, 0, x, YD_I64);
        if (x->type == YD_F64) yd__compiler_one(compiler, OP_ABS_F, 0, x, YD_F64);
        return;
    case SHAPE_ROUND:
        if (x->type == YD_F64) yd__compiler_one(compiler, OP_MATH, function->sub, x, YD_F64);
        return;
    default:
        yd__compiler_to_f64(compiler, x);
        yd__compiler_one(compiler, OP_MATH, function->sub, x, YD_F64);
        return;
    }
}

static void otherwise(struct compiler *compiler, const struct function *function, struct argument *args)
{
    if (!yd__compiler_unify(compiler, &args[0].operand, &args[1].operand)) {
        if (compiler->error == 0) wrong(compiler, function, &args[1].operand, "both are to be of one type");
        return;
    }
    yd__compiler_two(compiler, OP_DEFAULT, 0, &args[0].operand, &args[1].operand, args[0].operand.type);
}

void yd__compiler_call(struct compiler *compiler, const struct yd_token *name, struct argument *args, unsigned count)
{
    const struct function *function = find(name->text);
    struct operand *x = &args[0].operand;
    if (count < function->min || count > function->max) {
        yd__compiler_fail(compiler, YD_EINVAL, name->offset, name->size, "%s takes %u%s argument%s, not %u",
                          function->name, function->min,
                          function->max == function->min   ? ""
                          : function->max == ARGUMENTS_MAX ? " or more"
                          : function->max == 3             ? " or 3"
                                                           : " or 2",
                          function->max == 1 ? "" : "s", count);
        yd__compiler_help(compiler, "%s", function->use);
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        bool takes = i == 1 &&
                     (function->shape == SHAPE_WINDOW || function->shape == SHAPE_EMA || function->shape == SHAPE_HELD);
        if (!args[i].is_duration || takes) continue;
        wrong(compiler, function, &args[i].operand, "a duration is of no use here");
        return;
    }
    switch (function->shape) {
    case SHAPE_DOUBLES:
        doubles(compiler, function, args);
        return;
    case SHAPE_TWO:
        if (yd__compiler_number(compiler, x, YD_F64, function->name) &&
            yd__compiler_number(compiler, &args[1].operand, YD_F64, function->name) &&
            yd__compiler_unify(compiler, x, &args[1].operand))
            yd__compiler_two(compiler, yd__op_of((enum op)function->sub, x->type), 0, x, &args[1].operand, x->type);
        return;
    case SHAPE_FOLD:
        fold(compiler, function, args, count);
        return;
    case SHAPE_CLAMP:
        clamp(compiler, function, args);
        return;
    case SHAPE_IF:
        choose(compiler, function, args);
        return;
    case SHAPE_DEFAULT:
        otherwise(compiler, function, args);
        return;
    case SHAPE_TEST:
        yd__compiler_settle(compiler, x, YD_F64);
        yd__compiler_one(compiler, (enum op)function->sub, 0, x, YD_BOOL);
        return;
    case SHAPE_WINDOW:
        window(compiler, function, args, count);
        return;
    case SHAPE_STEP:
        step(compiler, function, args, count);
        return;
    case SHAPE_PLAIN:
        plain(compiler, function, x);
        return;
    case SHAPE_EMA:
        ema(compiler, function, args);
        return;
    case SHAPE_HELD:
        held(compiler, function, args);
        return;
    case SHAPE_LAST:
        last(compiler, function, args);
        return;
    default:
        of_number(compiler, function, name, x);
        return;
    }
}
