/* decom/expression_compiler.h: what the parser, the table of functions and the code it makes share. Private to
 * decom/expression*.c. */
#ifndef DECOM_EXPRESSION_COMPILER_H
#define DECOM_EXPRESSION_COMPILER_H

#include "decom/expression_internal.h"
#include "decom/tokens.h"

/* A part of the expression whose code is made: its value is in register r. */
struct operand {
    enum yd_type type; /* NIL: a name whose type is decided by what it is used for */
    uint8_t r;
    uint32_t first;      /* its code begins here, and ends with the code so far or where the next operand begins */
    size_t offset, size; /* in the text */
    int64_t slot;        /* the type is decided through: index into slots; -1: it is not a bare name */
    bool constant;       /* its code is one OP_CONSTANT */
    bool reads;          /* a measurement, at all */
};
struct compiler {
    struct yd_expression *expression;
    const struct yd_expression_names *names;
    struct yd_mistake *mistake;
    struct yd_tokens tokens;
    struct yd_token token;     /* at hand */
    size_t end;                /* of the token before it */
    struct yd_mistake lexical; /* of the token at hand, which is the end then */
    bool part;                 /* what follows is the caller's */
    unsigned depth, brackets, r;
    int error; /* the first one: everything after it does nothing */
};

/* The first mistake counts. */
int yd__compiler_fail(struct compiler *compiler, int error, size_t offset, size_t size, const char *format, ...)
    YD_PRINTF(5, 6);
void yd__compiler_help(struct compiler *compiler, const char *format, ...) YD_PRINTF(2, 3);

/* ---- code (expression_code.c) ---- */
bool yd__type_is_number(enum yd_type type); /* I64, U64, F64 */
bool yd__type_is_whole(enum yd_type type);
const char *yd__compiler_words(enum yd_type type);
void yd__compiler_constant(struct compiler *compiler, struct operand *operand, struct yd_reading value);
void yd__compiler_load(struct compiler *compiler, struct operand *operand, uint32_t slot_index);
/* A bare name gets the type that it is used as; what has one already keeps it. */
void yd__compiler_settle(struct compiler *compiler, struct operand *operand, enum yd_type type);
/* Bare names beside something: as that is, numbers as F64: who writes x > 2 may measure 2.5. */
void yd__compiler_settle_beside(struct compiler *compiler, struct operand *a, struct operand *b);
/* A mistake unless it is a number (after settling as `otherwise`). `who` says what wants one. */
bool yd__compiler_number(struct compiler *compiler, struct operand *operand, enum yd_type otherwise, const char *who);
bool yd__compiler_condition(struct compiler *compiler, struct operand *operand, const char *who);
void yd__compiler_to_f64(struct compiler *compiler, struct operand *operand);
/* A whole number that is written down takes the type of the whole number beside it, if it fits. */
void yd__compiler_adapt(struct compiler *compiler, struct operand *a, struct operand *b);
/* Both, of any type, made of one type: numbers are promoted (U64 beside I64 becomes I64). False: they cannot be. */
bool yd__compiler_unify(struct compiler *compiler, struct operand *a, struct operand *b);
/* a op b, into a. op is that for I64; U64 and F64 follow it. */
void yd__compiler_two(struct compiler *compiler, enum op op, unsigned sub, struct operand *a, const struct operand *b,
                      enum yd_type type);
void yd__compiler_one(struct compiler *compiler, enum op op, unsigned sub, struct operand *a, enum yd_type type);
void yd__compiler_three(struct compiler *compiler, enum op op, struct operand *args, enum yd_type type);
uint32_t yd__compiler_emit(struct compiler *compiler, enum op op, unsigned r, unsigned sub, uint32_t k);
static inline enum op yd__op_of(enum op of_i64, enum yd_type type)
{
    return (enum op)((int)of_i64 + (type == YD_U64 ? 1 : type == YD_F64 ? 2 : 0));
}

/* ---- functions (expression_functions.c) ---- */

/* What a call has between its brackets, beside expressions. */
struct argument {
    struct operand operand;
    bool is_duration;
    int64_t ns;
};
#define ARGUMENTS_MAX 16
/* The call's value into args[0].operand. `name` is the function's token. */
void yd__compiler_call(struct compiler *compiler, const struct yd_token *name, struct argument *args, unsigned count);
bool yd__compiler_is_function(struct yd_str name);
/* The nearest name of a function, or an empty one. */
struct yd_str yd__compiler_near_function(struct yd_str name);

#endif
