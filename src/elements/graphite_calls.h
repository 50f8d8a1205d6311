/* elements/graphite_calls.h: what the files of functions share. */
#ifndef ELEMENTS_GRAPHITE_CALLS_H
#define ELEMENTS_GRAPHITE_CALLS_H

#include "elements/graphite_functions.h"

struct yd__gfunction;
/* A call at work: its series are in `list`, and what it makes of them goes there. */
struct yd__gcall {
    struct yd_geval *eval;
    struct yd_gpool *pool;
    struct yd_gnode *node;
    const struct yd__gfunction *function;
    struct yd_glist *list;
    int64_t from; /* of what is shown of it */
    enum yd_gfold fold;
};

enum yd__gneed {
    YD__G_SHOWN,  /* as many points as are shown */
    YD__G_FINE,   /* the points themselves */
    YD__G_WINDOW, /* likewise, and some before */
    YD__G_SUMMARIZE,
    YD__G_CONSOLIDATE,
};
struct yd__gfunction {
    const char *name;
    int (*run)(struct yd__gcall *call);
    const char *params; /* "name:type" each; ! behind it: required, *: several, =text: otherwise */
    const char *group, *doc;
    uint8_t series; /* how many arguments are series; 255: all, one at least */
    uint8_t need;
    uint8_t fold;     /* for run */
    bool transparent; /* a summarize over it may go past it */
};
extern const struct yd__gfunction yd__gfunctions[];
extern const size_t yd__gfunction_count;

/* Arguments by place or name; the trail says what is wrong. otherwise NULL: it must be there. */
int yd__garg_number(const struct yd__gcall *call, uint32_t place, const char *key, const double *otherwise,
                    double *ret);
int yd__garg_text(const struct yd__gcall *call, uint32_t place, const char *key, const char *otherwise,
                  struct yd_str *ret);
bool yd__garg_true(const struct yd_gnode *node, uint32_t place, const char *key);
int yd__garg_fold(const struct yd__gcall *call, uint32_t place, const char *key, const char *otherwise,
                  enum yd_gfold *ret);
int yd__garg_refuse(const struct yd__gcall *call, const char *what);
/* A window of so many values of this step: a number, or a text like "5min". */
int yd__garg_window(const struct yd__gcall *call, uint32_t place, const char *key, int64_t step, size_t *ret);
int yd__gwork(struct yd_geval *eval, uint64_t values);
/* The series of one argument. */
int yd__geval_argument(struct yd__gcall *call, struct yd_gnode *argument, struct yd_glist *ret);
/* "sumSeries", of a function of this name alone "rangeOfSeries". At most 32 bytes. */
void yd__gcombined(enum yd_gfold fold, bool own, char *to);
/* The list, not empty, folded into one series, name(its paths). */
int yd__gcombine(struct yd__gcall *call, struct yd_glist *list, enum yd_gfold fold, const char *name,
                 struct yd_gseries **ret);

/* graphite_names.c */
int yd__gf_alias(struct yd__gcall *call);
int yd__gf_alias_by_node(struct yd__gcall *call);
int yd__gf_alias_sub(struct yd__gcall *call);
int yd__gf_group_by_node(struct yd__gcall *call);
int yd__gf_group_by_nodes(struct yd__gcall *call);
int yd__gf_group_by_tags(struct yd__gcall *call);
int yd__gf_grep(struct yd__gcall *call);
int yd__gf_exclude(struct yd__gcall *call);
int yd__gf_sort_by_name(struct yd__gcall *call);
/* graphite_calc.c */
int yd__gf_combine(struct yd__gcall *call);
int yd__gf_divide(struct yd__gcall *call);
int yd__gf_as_percent(struct yd__gcall *call);
int yd__gf_scale(struct yd__gcall *call);
int yd__gf_offset(struct yd__gcall *call);
int yd__gf_absolute(struct yd__gcall *call);
int yd__gf_derivative(struct yd__gcall *call);
int yd__gf_non_negative(struct yd__gcall *call);
int yd__gf_per_second(struct yd__gcall *call);
int yd__gf_integral(struct yd__gcall *call);
int yd__gf_keep_last(struct yd__gcall *call);
int yd__gf_transform_null(struct yd__gcall *call);
int yd__gf_moving(struct yd__gcall *call);
int yd__gf_summarize(struct yd__gcall *call);
int yd__gf_consolidate_by(struct yd__gcall *call);
int yd__gf_constant_line(struct yd__gcall *call);
int yd__gf_limit(struct yd__gcall *call);
int yd__gf_highest(struct yd__gcall *call);
int yd__gf_group(struct yd__gcall *call);

#endif
