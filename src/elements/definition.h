/* elements/definition.h: a definition of packets for the elements that work by one: Decom, Derive, Limits. */
#ifndef ELEMENTS_DEFINITION_H
#define ELEMENTS_DEFINITION_H

#include <yarder/element.h>

#include "decom/rules.h"

/* Reads and compiles the file; a mistake in it is said with its place, the first one of them. */
int yd_definition_open(struct yd_element *element, const char *path, const struct yd_plan_options *options,
                       struct yd_plan **ret_plan);
/* What is wrong with it, as check_file wants it said. */
int yd_definition_check(const struct yd_args *args, struct yd_str text, char *why, size_t why_size);

#endif
