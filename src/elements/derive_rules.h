/* elements/derive_rules.h: the rules of a Derive: `NAME = EXPRESSION`, each on a line of its own, put in the order in
 * which they are to be evaluated. See docs/derive.md.
 *
 *   altitude.rate = rate(altitude)         text --> rules --> compiled --> sorted: what a rule reads comes before it
 *   falling = altitude.rate < -2                                 `-- a circle is refused, and shown
 *
 * Names are slots: those that rules make and those that come from outside. */
#ifndef ELEMENTS_DERIVE_RULES_H
#define ELEMENTS_DERIVE_RULES_H

#include <yarder/element.h>

#include "base/hash.h"
#include "decom/expression.h"
#include "decom/rules.h"

#define YD_DERIVE_RULES_MAX YD_RULES_MAX
#define YD_DERIVE_OUTSIDE   UINT32_MAX

struct yd_derive_rule {
    uint32_t slot;
    struct yd_str text, all;     /* of the expression; all that it stands in: our own copy */
    size_t source, offset, size; /* which text it was in, and where its name stands there */
    struct yd_expression *expression;
};
struct yd_derive_slot {
    uint32_t rule;     /* that makes it, or YD_DERIVE_OUTSIDE */
    enum yd_type type; /* of the rule's values */
    uint32_t *readers; /* rules, in order */
    uint32_t reader_count;
};
struct yd_derive_rules {
    struct yd_arena arena;
    struct yd_alloc *alloc;
    struct yd_derive_rule *rules; /* in the order of evaluation */
    struct yd_derive_slot *slots;
    struct yd_intern names; /* of slots */
    uint32_t rule_count, slot_count, slot_room;
    size_t source_count;
};
void yd_derive_rules_init(struct yd_derive_rules *rules, struct yd_alloc *alloc);
void yd_derive_rules_fini(struct yd_derive_rules *rules);
/* The slot of a name as it is written, a new one if need be. YD_EFORMAT: it is no name; YD_ENOMEM. */
int yd_derive_rules_slot(struct yd_derive_rules *rules, struct yd_str text, uint32_t *ret_slot);
/* All the rules of a text, added. YD_EFORMAT, YD_EEXIST, YD_ETOOBIG with a mistake in this text; YD_ENOMEM. */
int yd_derive_rules_read(struct yd_derive_rules *rules, struct yd_str text, struct yd_mistake *mistake);
/* Compiles and sorts, once all are there. *ret_source: which text (0, 1 …) the mistake is in; it counts in the text of
 * that source. A circle: YD_EINVAL, its message shows the chain. */
int yd_derive_rules_finish(struct yd_derive_rules *rules, struct yd_mistake *mistake, size_t *ret_source);

/* Where they stand: in the parameters `rules`, `file` or `definition`. What is wrong with them, as the class's `check`
 * (a script passes: who has one checks it) and `check_file`. */
int yd_derive_rules_check(const struct yd_args *args, char *why, size_t why_size);
int yd_derive_rules_check_file(const struct yd_args *args, const char *param, struct yd_str text, char *why,
                               size_t why_size);
/* Read and finished. `definition`: what is in that file; NULL: it is read. What went wrong is said by the element. */
int yd_derive_rules_open(struct yd_derive_rules *rules, struct yd_element *element, const struct yd_str *definition);

#endif
