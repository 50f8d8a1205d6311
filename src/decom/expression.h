/* decom/expression.h: small, typed, compiled expressions over measurements.
 *
 *   "rolling_avg(altitude, 10) - ground"   --compile-->  typed code over registers  --eval-->  a value, or none and why
 *
 * Compiled once; evaluation allocates nothing, does not loop, and takes as long as the code is. What is not a
 * finite number, does not fit its type or was divided by zero has no value and a flag that says why, never an infinity.
 * Functions with a memory (rate, rolling_avg …) keep it in a state of its own, whose time is that of the records. The
 * same readings at the same times give the same values, in every run; a state can be saved and loaded in between.
 *
 * The language: docs/derive.md. Types are BOOL, I64, U64, F64 and TEXT (to compare and to choose). Names are letters,
 * digits, _ and dots, or anything between backticks. An expression: 64 KiB of text, 64 levels, 64 names, 1024
 * operations, 4 MiB of state at most. */
#ifndef DECOM_EXPRESSION_H
#define DECOM_EXPRESSION_H

#include "decom/mistake.h"
#include "decom/reading.h"

#define YD_EXPRESSION_TEXT_MAX   65536
#define YD_EXPRESSION_DEPTH_MAX  64
#define YD_EXPRESSION_SLOTS_MAX  64
#define YD_EXPRESSION_CODE_MAX   1024
#define YD_EXPRESSION_WINDOW_MAX 65536 /* values of one rolling window */
#define YD_EXPRESSION_STATE_MAX  (4u << 20)

struct yd_expression;
struct yd_expression_state;

/* Who is who, asked while compiling. */
struct yd_expression_names {
    void *opaque;
    /* 0 with the slot that `values` will have it in, and its type. YD_NIL: not known before it comes: then the
     * expression decides (TEXT beside text, BOOL in conditions, I64 for bits, otherwise F64). YD_ENOENT. */
    int (*find)(void *opaque, struct yd_str name, uint32_t *ret_slot, enum yd_type *ret_type);
    /* For "did you mean": the index-th name, an empty one behind the last. May be NULL. */
    struct yd_str (*known)(void *opaque, size_t index);
};
struct yd_expression_slot {
    uint32_t slot;
    enum yd_type type;     /* as compiled: readings of another one are converted, or count as none */
    uint32_t offset, size; /* where it is first named */
};

/* *ret_used NULL: all of the text is the expression. Otherwise the longest beginning that is one; whatever follows (a
 * keyword, a newline outside of brackets) is the caller's; *ret_used is where it begins, spaces skipped.
 * YD_EFORMAT, YD_ENOENT, YD_EINVAL, YD_ETOOBIG with a mistake (may be NULL); YD_ENOMEM. Any thread. */
int yd_expression_compile(struct yd_str text, const struct yd_expression_names *names, struct yd_alloc *alloc,
                          size_t *ret_used, struct yd_expression **ret_expression, struct yd_mistake *mistake);
void yd_expression_destroy(struct yd_expression *expression);            /* NULL is quiet */
enum yd_type yd_expression_type(const struct yd_expression *expression); /* of what has a value */
/* What it reads, each once, in the order of the text: it is to be evaluated when one of them is new. */
const struct yd_expression_slot *yd_expression_slots(const struct yd_expression *expression, size_t *ret_count);
size_t yd_expression_state_size(const struct yd_expression *expression); /* 0: remembers nothing */
uint32_t yd_expression_code_count(const struct yd_expression *expression);

/* The memory of one use of an expression; the expression must outlive it. */
int yd_expression_state_create(const struct yd_expression *expression, struct yd_alloc *alloc,
                               struct yd_expression_state **ret_state);
void yd_expression_state_destroy(struct yd_expression_state *state); /* NULL is quiet */
void yd_expression_state_reset(struct yd_expression_state *state);
/* Bytes that load takes: to->failed when memory ends. They name the expression (a hash of text and types). */
void yd_expression_state_save(const struct yd_expression_state *state, struct yd_buf *to);
/* YD_EINVAL: saved by another expression; YD_EFORMAT: not as saved. In both the state is as after reset. */
int yd_expression_state_load(struct yd_expression_state *state, struct yd_str saved);

/* `values` by slot. A value, or YD_NIL with flags; FRESH when anything that it was made of is. A BOOL is 0 or 1, an F64
 * finite; TEXT lies in a reading's or the expression's memory. `state` may be NULL if it remembers nothing.
 * Functions with a memory take a reading in once: when it is FRESH. */
struct yd_reading yd_expression_eval(const struct yd_expression *expression, const struct yd_reading *values,
                                     int64_t time_ns, struct yd_expression_state *state);

#endif
