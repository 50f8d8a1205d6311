/* decom/ydm_internal.h: the parser's state and the pieces its files share. Functions return false when they failed, and
 * have said why. */
#ifndef DECOM_YDM_INTERNAL_H
#define DECOM_YDM_INTERNAL_H

#include "decom/ydm.h"
#include "decom/ydm_tokens.h"

struct yd__ydm_name { /* a use of a name that may be declared further down */
    struct yd__ydm_name *next;
    struct yd_str name;
    struct yd_place place;
    struct yd_def_container *child; /* whose parent it is */
};
struct yd__ydm {
    struct yd_def *def;
    struct yd_diagnostics *diagnostics;
    struct yd_str text;
    struct yd__ydm_token *tokens, *at;
    enum yd_def_order order; /* of what has no suffix */
    enum yd_def_numbering numbering;
    struct yd__ydm_name *parents;
    uint32_t depth;
    bool in_frame;
};

/* What a line says about a field beside its type. */
struct yd__ydm_options {
    struct yd_def_type *type;   /* own: may be changed */
    struct yd_def_entry *entry; /* NULL: a named type */
    double scale, offset;
    uint32_t given; /* options that are given once */
    bool has_scale, has_offset;
    struct yd_place scale_place;
    struct yd_def_calibration *last;  /* calibrator, for `extrapolate` */
    struct yd_def_condition *context; /* of `when …:` */
    bool in_context;
};

static inline bool yd__ydm_more(const struct yd__ydm *ydm) /* on this line */
{
    return ydm->at->kind != YDM_END && !ydm->at->begins;
}
static inline bool yd__ydm_is_mark(const struct yd__ydm *ydm, unsigned mark)
{
    return ydm->at->kind == YDM_MARK && ydm->at->mark == mark && !ydm->at->begins;
}
bool yd__ydm_is_word(const struct yd__ydm *ydm, const char *word); /* not at the beginning of a line */
bool yd__ydm_skip_mark(struct yd__ydm *ydm, unsigned mark);        /* if it is there */
bool yd__ydm_skip_word(struct yd__ydm *ydm, const char *word);
bool yd__ydm_expect(struct yd__ydm *ydm, unsigned mark, const char *what);
/* The token at hand as a person sees it, for "expected X, found Y". Reports D020; false. */
bool yd__ydm_unexpected(struct yd__ydm *ydm, const char *expected);
bool yd__ydm_word(struct yd__ydm *ydm, const char *what, struct yd_str *ret);
bool yd__ydm_u64(struct yd__ydm *ydm, const char *what, uint64_t max, uint64_t *ret);
bool yd__ydm_i64(struct yd__ydm *ydm, const char *what, int64_t *ret); /* with a sign */
bool yd__ydm_f64(struct yd__ydm *ydm, const char *what, double *ret);  /* likewise */
bool yd__ydm_string(struct yd__ydm *ydm, const char *what, struct yd_str *ret);

/* ydm_when.c */
struct yd_def_condition *yd__ydm_condition(struct yd__ydm *ydm);
bool yd__ydm_limits(struct yd__ydm *ydm, struct yd_def_limits *limits);

/* ydm_type.c: a type, and the options behind it to the end of the line. */
bool yd__ydm_type(struct yd__ydm *ydm, struct yd__ydm_options *options);
bool yd__ydm_options(struct yd__ydm *ydm, struct yd__ydm_options *options);
bool yd__ydm_options_end(struct yd__ydm *ydm, struct yd__ydm_options *options); /* when all lines of it are read */
bool yd__ydm_amount(struct yd__ydm *ydm, struct yd_def_amount *amount);

#endif
