/* elements/derive.h: what a Derive holds, for its two files: derive.c (records in, results out) and derive_saved.c. */
#ifndef ELEMENTS_DERIVE_H
#define ELEMENTS_DERIVE_H

#include <yarder/element.h>

#include "elements/derive_rules.h"
#include "elements/derive_script.h"

struct yd__derive {
    struct yd_derive_rules rules;
    struct yd_derive_script script;        /* instead of rules, if it has a script */
    uint32_t job_count;                    /* rules, or the script's handlers */
    uint64_t blameless;                    /* records that are new, none of which was rejected */
    struct yd_expression_state **memories; /* by rule; NULL: remembers nothing */
    struct yd_reading *values;             /* by slot */
    char **texts;                          /* by slot, of values that are TEXT: a copy each */
    uint64_t *due;                         /* bits of rules */
    uint32_t *fresh, fresh_count;          /* slots that are new */
    struct yd_buf cache;                   /* slots by name of the batch at hand */
    struct yd_builder *builder;
    struct yd_out *out;
    bool pass, together, read_in;
};

/* What a slot says now. Texts are copied, and live as long as the slot has them; too long ones are no values. */
int yd__derive_put(struct yd__derive *derive, uint32_t slot, struct yd_reading value);

int yd__derive_save(const void *derive, uint32_t key_group, struct yd_saver *saver);
int yd__derive_load(void *derive, uint32_t key_group, struct yd_str saved);

#endif
