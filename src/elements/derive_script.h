/* elements/derive_script.h: the script of a Derive: its file, and its handlers tied to the slots of measurements. */
#ifndef ELEMENTS_DERIVE_SCRIPT_H
#define ELEMENTS_DERIVE_SCRIPT_H

#include <yarder/element.h>

#include <math.h>

#include "elements/derive_rules.h"
#include "elements/script.h"

struct yd_derive_script {
    struct yd_script *script; /* NULL: there is none */
    struct yd_script_options options;
    const char *path;
    char *text;
    size_t text_size;
    const struct yd_script_handler *handlers;
    uint32_t **slots; /* of the inputs, by handler; in the arena of the rules */
    uint32_t handler_count, each[YD_SCRIPT_EACH_MAX], each_count;
    struct yd_buf patterns; /* uint64_t by name of the batch at hand: which of `each` match */
};
/* What is wrong with a script, as `check_file`. It is run, as opening it does: shut in, it can do nothing to anybody.
 */
int yd_derive_script_check(const struct yd_args *args, struct yd_str text, char *why, size_t why_size);
/* Reads the file that `lua` names and runs it once; its inputs become slots, their readers its handlers. */
int yd_derive_script_open(struct yd_derive_script *script, struct yd_element *element, struct yd_derive_rules *slots);
void yd_derive_script_close(struct yd_derive_script *script); /* also when it was never opened */
/* What is saved becomes `state`: the script is read anew. YD_EINVAL: it declares something else then. */
int yd_derive_script_load(struct yd_derive_script *script, struct yd_str saved);
bool yd_derive_script_begin(struct yd_derive_script *script,
                            const struct yd_view *view); /* a batch; false: no memory */
uint64_t yd_derive_script_find(struct yd_derive_script *script, const struct yd_view *view, uint32_t name);

/* Which handlers of `each` match a name of the batch: bits, as in script->each. */
static inline uint64_t yd_derive_script_each(struct yd_derive_script *script, const struct yd_view *view, uint32_t name)
{
    return script->each_count ? yd_derive_script_find(script, view, name) : 0;
}

/* Whether a script is called with it. */
static inline bool yd_derive_script_takes(const struct yd_reading *value)
{
    return value->type != YD_NIL && (value->type != YD_F64 || isfinite(value->f64));
}

#endif
