/* decom/compile.h: what the compiler's files share. */
#ifndef DECOM_COMPILE_H
#define DECOM_COMPILE_H

#include <setjmp.h>

#include "decom/plan_internal.h"

/* A field of a container, as others may name it. */
struct yd__scope {
    struct yd__scope *next;
    struct yd_str path; /* "gps.count" */
    const struct yd_def_entry *entry;
    const struct yd__scope *group;     /* that it is in; NULL: the container's own */
    struct yd__scope *before;          /* with the same path; `hash`: of it */
    bool known, repeated, conditional; /* its place is fixed; it is one of many */
    bool asked_inside;                 /* somebody names a field of this group */
    uint32_t repeats;                  /* arrays that it is in, itself included */
    uint64_t at;
    uint32_t reg; /* NONE until somebody asks */
    uint32_t order, hash;
};
struct yd__info { /* of a container */
    const struct yd_def_container *container;
    struct yd__info *parent;
    struct yd__scope *scope, *scope_last;
    struct yd__scope **table; /* by the hash of their paths */
    uint32_t table_mask, scope_count;
    bool scanned, scanning, broken;
    bool end_known;
    uint64_t end;
    struct yd__node *node;
    bool children_ask_dynamic;
    uint32_t children, order;
    /* compile_doubts.c: the field that takes all that is left but for less than `unit` bits, and what comes behind it.
     */
    bool doubted, any_lsb0;
    const struct yd_def_entry *eater;
    uint64_t unit, behind;
};
struct yd__compiler {
    struct yd_plan *plan;
    struct yd_def *def;
    struct yd_arena *arena;
    struct yd_diagnostics *diagnostics;
    struct yd__info *infos;
    uint32_t info_count;
    uint32_t places_doubted; /* compile_doubts.c: fields looked at, of all containers */
    bool partial;            /* names that are not there may have been on a line that was not understood */
    jmp_buf out_of_memory;
};
void *yd__piece(struct yd__compiler *compiler, size_t size); /* zeroed; jumps when memory is out */
const char *yd__path(struct yd__compiler *compiler, const char *prefix, struct yd_str name);

/* compile_field.c: the type as a field, checked and kept with it. NULL: it is wrong, which has been said. */
const struct yd__field *yd__compile_field(struct yd__compiler *compiler, struct yd_def_type *type);
/* Contexts of calibrations, once the fields they name are known. */
void yd__compile_calibrations(struct yd__compiler *compiler, struct yd__info *info, const struct yd__scope *scope,
                              struct yd__field *field);
bool yd__type_bits(const struct yd_def_type *type, uint64_t *ret_bits);    /* true: always so many */
bool yd__entry_bits(const struct yd_def_entry *entry, uint64_t *ret_bits); /* likewise, all its elements */
/* Can this field be its checksum? at: its bit, UINT64_MAX when nobody knows. What is wrong is said. */
void yd__compile_check(struct yd__compiler *compiler, const struct yd_def_entry *entry, uint64_t at);
bool yd__is_number(const struct yd_def_type *type);

/* compile.c: the field that `path` means for who stands at `from` (NULL: for the container): of its own group first,
 * then of those around it, of the container, of its parents; always in front of it. NULL: nothing said yet. */
struct yd__scope *yd__find(struct yd__info *info, struct yd_str path, const struct yd__scope *from,
                           struct yd__info **ret_where);
/* Is it one value for who stands there? What is in an array is so for its neighbours in the same element. */
bool yd__is_one(const struct yd__info *info, const struct yd__scope *found, const struct yd__scope *from);
/* entry: which of several of that name; NULL: any. */
struct yd__scope *yd__scope_at(const struct yd__info *info, struct yd_str path, const struct yd_def_entry *entry);
/* With a complaint when there is none, and with a register. */
struct yd__scope *yd__refer(struct yd__compiler *compiler, struct yd__info *info, struct yd_def_ref ref,
                            const struct yd__scope *from);
const struct yd__condition *yd__compile_condition(struct yd__compiler *compiler, struct yd__info *info,
                                                  const struct yd_def_condition *condition,
                                                  const struct yd__scope *from);

/* compile_texts.c: expressions, which have a language of their own. Wrong ones are said. */
bool yd__compile_expression(struct yd__compiler *compiler, struct yd__info *info, const struct yd__scope *scope,
                            const struct yd_def_calibration *source, struct yd__calibration *to);
/* What is wrong in a text that begins at `place`. */
void yd__say_mistake(struct yd__compiler *compiler, enum yd_def_code code, struct yd_place place,
                     const struct yd_mistake *mistake);

/* compile_names.c: all measurements by their whole names; those that would be the same are said. */
void yd__compile_names(struct yd__compiler *compiler);

/* compile_rules.c: what is derived and limited, checked so that Derive and Limits find nothing more. */
void yd__compile_rules(struct yd__compiler *compiler);

/* compile_doubts.c: warnings of what compiles and is surely a mistake. */
#define YD__DOUBT_SPANS_MAX    (1u << 16) /* fields of a container and its parents; of more, places are not compared */
#define YD__DOUBT_SPANS_IN_ALL (1u << 20) /* those of all containers */
#define YD__DOUBT_SIBLINGS_MAX 128u       /* more are not compared with each other */
void yd__doubt_container(struct yd__compiler *compiler, struct yd__info *info);
void yd__doubt_condition(struct yd__compiler *compiler, const struct yd__condition *condition);
void yd__doubt_siblings(struct yd__compiler *compiler, const struct yd__node *node);
void yd__doubt_matching(struct yd__compiler *compiler, const struct yd__info *info);

/* compile_program.c */
struct yd__program *yd__compile_program(struct yd__compiler *compiler, struct yd__info *info);

/* compile_frame.c */
void yd__compile_frame(struct yd__compiler *compiler, struct yd__info *info);

#endif
