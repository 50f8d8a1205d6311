/* elements/limits_rules.h: the rules of a Limits: which name has which limits. See docs/derive.md.
 *
 *   rules: ["NAME limits …"] | file: lines of such | definition: what its fields say
 *        --> a name with its clause --> the engine (decom/limits.h): a rule
 *                `-- the name itself, or a pattern: the first that matches counts
 *
 * What can fail: rules, refused with their place; memory. */
#ifndef ELEMENTS_LIMITS_RULES_H
#define ELEMENTS_LIMITS_RULES_H

#include <yarder/element.h>

#include "base/hash.h"
#include "decom/limits.h"

struct yd_limits_rule {
    struct yd_pattern *pattern; /* NULL: the name itself, with whatever tags */
    uint32_t rule;              /* the engine's */
};
struct yd_limits_rules {
    struct yd_limits *limits; /* the engine */
    struct yd_intern texts;   /* of the rules' names, in their order: a rule's other sets stand under the same one */
    struct yd_limits_rule *rules; /* by the text's number */
    uint32_t rule_room, rule_count;
    uint32_t *wild, wild_count; /* rules whose name is a pattern */
    struct yd_arena arena;
};
/* What is wrong with them, as the class's `check` and `check_file`. */
int yd_limits_rules_check(const struct yd_args *args, char *why, size_t why_size);
int yd_limits_rules_check_file(const struct yd_args *args, const char *param, struct yd_str text, char *why,
                               size_t why_size);
/* As the element's parameters say, with its first set in use. `definition`: what is in that file; NULL: it is read.
 * What went wrong is said by the element; to be closed then, too. */
int yd_limits_rules_open(struct yd_limits_rules *rules, struct yd_element *element, const struct yd_str *definition);
void yd_limits_rules_close(struct yd_limits_rules *rules);
/* The first rule that matches a name; *ret_rule (may be NULL): its number in the engine. False: none does. */
bool yd_limits_rules_find(const struct yd_limits_rules *rules, struct yd_str name, uint32_t *ret_rule);

#endif
