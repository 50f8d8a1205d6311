/* elements/definition.h: a definition of packets for the elements that work by one: Decom, Derive, Limits. */
#ifndef ELEMENTS_DEFINITION_H
#define ELEMENTS_DEFINITION_H

#include <yarder/element.h>

#include "decom/rules.h"
#include "io/file.h"

#define YD_DEFINITION_WHY 600

/* Compiles the text of the file `path`. On a mistake `why` (YD_DEFINITION_WHY bytes) tells the first one with its
 * place, as check_file wants it. */
int yd_definition_read(const char *path, struct yd_str text, const struct yd_plan_options *options, char *why,
                       struct yd_plan **ret_plan);
/* The same with the file as it is now. `why` begins with the path. */
int yd_definition_open(struct yd_fs *fs, const char *path, const struct yd_plan_options *options, char *why,
                       struct yd_plan **ret_plan);
/* The same; and its text, for who keeps it: free() its data. */
int yd_definition_open_text(struct yd_fs *fs, const char *path, const struct yd_plan_options *options, char *why,
                            struct yd_plan **ret_plan, struct yd_str *ret_text);

#endif
