/* decom/report.h: saying what is wrong with a definition. Used by every reader of definitions and by the compiler. */
#ifndef DECOM_REPORT_H
#define DECOM_REPORT_H

#include "base/diagnostics.h"
#include "decom/codes.h"

#define YD_DEF_ERRORS_MAX 200 /* what comes after is not shown */

/* Adds an error (or a warning); the same code at the same place is said once. Returns false, so that
 * `return yd_def_error(…)` reads well where a function tells success. The text beside the caret may be "". */
bool yd_def_error(struct yd_diagnostics *diagnostics, enum yd_def_code code, struct yd_place place, const char *beside,
                  const char *format, ...) YD_PRINTF(5, 6);
bool yd_def_warn(struct yd_diagnostics *diagnostics, enum yd_def_code code, struct yd_place place, const char *beside,
                 const char *format, ...) YD_PRINTF(5, 6);
/* To the one added last: another place, and what to write instead. */
void yd_def_note(struct yd_diagnostics *diagnostics, struct yd_place place, const char *format, ...) YD_PRINTF(3, 4);
void yd_def_help(struct yd_diagnostics *diagnostics, const char *format, ...) YD_PRINTF(2, 3);
/* What places in it point into. Both are copied. UINT32_MAX: out of memory. */
uint32_t yd_def_source(struct yd_diagnostics *diagnostics, const char *path, struct yd_str text);
void yd_def_sort(struct yd_diagnostics *diagnostics);

/* The nearest of many names, for "did you mean". */
struct yd_nearest {
    struct yd_str asked, best;
    unsigned distance;
};
void yd_nearest_init(struct yd_nearest *nearest, struct yd_str asked);
void yd_nearest_add(struct yd_nearest *nearest, struct yd_str candidate);
/* Helps the last error with it, or with `otherwise` (may be NULL) when nothing is near. */
void yd_nearest_help(const struct yd_nearest *nearest, struct yd_diagnostics *diagnostics, const char *otherwise);

struct yd_def_code_row {
    unsigned code;
    const char *name, *title, *advice;
};
const struct yd_def_code_row *yd_def_codes(size_t *ret_count);

#endif
