/* elements/script.h: a script in Lua that makes measurements of measurements, shut in. See docs/derive.md.
 *
 *   on("altitude", "speed", function(altitude, speed, time) return {energy = …} end)     called with what they are now
 *   each("tank.*.level", function(level, time, name) … end)                              called for each record
 *   forgotten(function(matches) … end)                                                   names that are no longer there
 *   state                                                                                what is saved
 *
 * A script sees its arguments and `state`, nothing else: no files, no clock, no randomness, no other code. Each call
 * has so many steps, all of it so much memory. The same calls give the same results, to the last bit, also when `state`
 * was saved and loaded in between: `pairs` goes in the order of the keys, `table.sort` is stable. One thread. */
#ifndef ELEMENTS_SCRIPT_H
#define ELEMENTS_SCRIPT_H

#include <yarder/name.h>

#include "base/alloc.h"
#include "decom/reading.h"

#define YD_SCRIPT_HANDLERS_MAX 1024
#define YD_SCRIPT_EACH_MAX     63 /* of them by pattern */
#define YD_SCRIPT_INPUTS_MAX   64
#define YD_SCRIPT_RESULTS_MAX  1024  /* of one call */
#define YD_SCRIPT_TEXT_MAX     4096  /* of a result */
#define YD_SCRIPT_STRING_MAX   65536 /* of any text in a script */

struct yd_script;
struct yd_script_options {
    struct yd_alloc *alloc; /* NULL: the C library's */
    size_t memory_max;      /* bytes of everything in it */
    int64_t steps_max;      /* of each call: about an instruction, or 64 bytes copied */
};
struct yd_script_handler {
    struct yd_str *inputs; /* canonical names, in the order of the arguments; `each`: none */
    uint32_t input_count;
    struct yd_pattern *pattern; /* `each`; NULL: `on` */
    int function;               /* where Lua keeps it */
    int line;                   /* where it begins */
};
struct yd_script_result {
    struct yd_str name; /* canonical */
    struct yd_reading value;
};
/* Why a call failed. */
enum yd_script_fault { YD_SCRIPT_FINE, YD_SCRIPT_ERROR, YD_SCRIPT_STEPS, YD_SCRIPT_MEMORY, YD_SCRIPT_RESULT };

/* Reads and runs the text once; its handlers are known then. `name`: for messages. `saved`: what yd_script_save gave,
 * or empty; `state` holds it when the text runs. *ret_why (at most `why_size`): FILE:LINE: MESSAGE. YD_EFORMAT: the
 * text is wrong or failed; YD_EVERSION: `saved` is none; YD_ENOMEM: the system's memory, not the script's. */
int yd_script_open(const char *name, struct yd_str text, const struct yd_script_options *options, struct yd_str saved,
                   char *why, size_t why_size, struct yd_script **ret_script);
void yd_script_destroy(struct yd_script *script); /* NULL is quiet */
const struct yd_script_handler *yd_script_handlers(const struct yd_script *script, size_t *ret_count);
/* Whether both were declared alike: as many handlers, of the same names, in the same order. */
bool yd_script_same(const struct yd_script *script, const struct yd_script *other);

/* Calls one handler with a value for each of its inputs, all of them with a value that is finite. *ret_results, by
 * name, lives until the next call. YD_SCRIPT_FINE or why not: see yd_script_why. What is not finite comes back without
 * value. */
enum yd_script_fault yd_script_call(struct yd_script *script, uint32_t handler, const struct yd_reading *values,
                                    int64_t time_ns, struct yd_str name, const struct yd_script_result **ret_results,
                                    size_t *ret_count);
/* Tells it that names are gone: all that `pattern` matches, or `name` (pattern NULL). Nothing if it does not ask. */
enum yd_script_fault yd_script_forget(struct yd_script *script, const struct yd_pattern *pattern, struct yd_str name);
bool yd_script_starved(const struct yd_script *script);    /* the last fault was the system's: it refused memory */
const char *yd_script_why(const struct yd_script *script); /* of the last fault: FILE:LINE: MESSAGE */

/* `state`, to the last bit, the same bytes for the same content. What cannot be kept (a function in it, say) is left
 * out, and yd_script_unsaved says what. `to` may fail. */
void yd_script_save(struct yd_script *script, struct yd_buf *to);
const char *yd_script_unsaved(struct yd_script *script); /* NULL: nothing since it was asked last */

#endif
