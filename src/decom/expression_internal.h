/* decom/expression_internal.h: the code that expressions become. Private to decom/expression*.c.
 *
 * Registers are readings; an operation has its arguments in registers r, r + 1 …, and leaves its result in r. The right
 * side of two may be a constant instead. There are no jumps: both branches of a choice are evaluated, so that functions
 * with a memory in them see every value. */
#ifndef DECOM_EXPRESSION_INTERNAL_H
#define DECOM_EXPRESSION_INTERNAL_H

#include "decom/expression.h"

enum op {
    OP_CONSTANT, /* k: constant */
    OP_LOAD,     /* k: slot, sub: its type */
    /* conversions */
    OP_I_TO_F,
    OP_U_TO_F,
    OP_U_TO_I,
    OP_F_TO_I, /* towards zero */
    OP_B_TO_I,
    /* two numbers; in the order I, U, F */
    OP_ADD_I,
    OP_ADD_U,
    OP_ADD_F,
    OP_SUB_I,
    OP_SUB_U,
    OP_SUB_F,
    OP_MUL_I,
    OP_MUL_U,
    OP_MUL_F,
    OP_QUOTIENT_I,
    OP_QUOTIENT_U,
    OP_QUOTIENT_F,
    OP_REST_I,
    OP_REST_U,
    OP_REST_F,
    OP_MIN_I,
    OP_MIN_U,
    OP_MIN_F,
    OP_MAX_I,
    OP_MAX_U,
    OP_MAX_F,
    OP_COMPARE_I, /* sub: 1 less, 2 equal, 4 more */
    OP_COMPARE_U,
    OP_COMPARE_F,
    OP_COMPARE_IU, /* sub with COMPARE_UI: the left one is the U64 */
    OP_COMPARE_T,
    OP_DIVIDE,
    OP_POWER,
    OP_ATAN2,
    OP_HYPOT,
    OP_BIT_AND, /* sub: the result's type */
    OP_BIT_OR,
    OP_BIT_XOR,
    OP_SHIFT_LEFT,
    OP_SHIFT_RIGHT,
    OP_AND,
    OP_OR,
    OP_DEFAULT,
    /* one */
    OP_MINUS_I,
    OP_MINUS_U,
    OP_MINUS_F,
    OP_ABS_I,
    OP_ABS_F,
    OP_NOT,
    OP_INVERT,
    OP_PRESENT,
    OP_IS_NAN,
    OP_MATH, /* sub: enum math */
    /* three */
    OP_CHOOSE,
    OP_CLAMP_I,
    OP_CLAMP_U,
    OP_CLAMP_F,
    OP_REMEMBER, /* k: memory */
};
enum math {
    MATH_FLOOR,
    MATH_CEIL,
    MATH_ROUND,
    MATH_TRUNC,
    MATH_SQRT,
    MATH_EXP,
    MATH_LOG,
    MATH_LOG10,
    MATH_SIN,
    MATH_COS,
    MATH_TAN,
    MATH_ASIN,
    MATH_ACOS,
    MATH_ATAN,
    MATH_DEGREES,
    MATH_RADIANS,
};
#define COMPARE_UI   8
#define NOT_CONSTANT UINT32_MAX
struct instruction {
    uint8_t op, r;
    uint16_t sub;
    uint32_t k; /* of two: the constant that is the right side, or NOT_CONSTANT */
};

enum memory_kind {
    MEMORY_AVG,
    MEMORY_MIN,
    MEMORY_MAX,
    MEMORY_SUM,
    MEMORY_RATE,
    MEMORY_DELTA,
    MEMORY_PREVIOUS,
    MEMORY_INTEGRAL,
    MEMORY_EMA,
    MEMORY_COUNT,
    MEMORY_HELD,
    MEMORY_LAST,
};
/* What a function remembers, as compiled. */
struct memory_plan {
    uint8_t kind, type; /* of its argument */
    uint8_t wrap_bits;  /* rate, delta: a counter of so many bits; 0: no counter */
    uint32_t room;      /* values of a window */
    int64_t ns;         /* a window's, ema's, held's duration; 0: a window of `room` values */
    size_t offset;      /* in the state */
};
/* And as it runs. All of it is saved but the aggregates, which follow from the rest. */
struct memory {
    int64_t time;           /* of the last value taken in; held: since when */
    uint64_t bits;          /* that value */
    double sum;             /* integral, ema */
    int64_t count;          /* count */
    int64_t crowded_until;  /* a window of time: until then, something is missing in it */
    struct yd_reading last; /* the last result, without FRESH */
    uint32_t head, size, front;
    uint32_t known; /* something was taken in */
    uint32_t late;  /* values in a row that were older than it */
    union aggregate {
        uint64_t bits;
        int64_t i64;
        uint64_t u64;
        double f64;
    } back; /* of those behind the front ones */
    struct entry {
        int64_t time;
        union aggregate value, from; /* from: of this one and all younger ones of the front */
    } entries[];
};

struct yd_expression {
    struct yd_alloc *alloc;
    struct yd_buf code, constants, slots, memories;
    struct yd_arena texts;
    const struct instruction *instructions; /* in code */
    const struct yd_reading *constant;      /* in constants */
    const struct yd_expression_slot *slot;  /* in slots */
    uint32_t count;
    size_t slot_count, memory_count, state_size;
    uint64_t hash;
    enum yd_type type;
};
struct yd_expression_state {
    const struct yd_expression *expression;
    struct yd_alloc *alloc;
    size_t size;
    _Alignas(16) unsigned char memories[];
};

static inline const struct memory_plan *memory_plan(const struct yd_expression *expression, size_t index)
{
    return (const struct memory_plan *)(const void *)expression->memories.data + index;
}
static inline struct memory *memory_of(const struct yd_expression_state *state, const struct memory_plan *plan)
{
    return (struct memory *)(void *)((unsigned char *)(uintptr_t)state->memories + plan->offset);
}
static inline bool is_window(const struct memory_plan *plan)
{
    return plan->kind <= MEMORY_SUM;
}
/* Arguments in args[0], args[1]. */
struct yd_reading yd__expression_remember(const struct memory_plan *plan, struct memory *memory,
                                          const struct yd_reading *args, int64_t time_ns);
/* Runs a piece of code without slots and memory: for constants. */
struct yd_reading yd__expression_run(const struct yd_expression *expression, uint32_t first, uint32_t end,
                                     const struct yd_reading *values, int64_t time_ns,
                                     struct yd_expression_state *state, struct yd_reading *registers);
/* The window's aggregates anew from its values, after a load. */
void yd__expression_refill(const struct memory_plan *plan, struct memory *memory);
#define REGISTERS_MAX 128

#endif
