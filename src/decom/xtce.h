/* decom/xtce.h: XTCE 1.2 (and what 1.0 and 1.1 have in common with it) into a model. docs/definitions.md tells which
 * elements are read; whatever is not is named with its line, and what depends on it is not decoded. */
#ifndef DECOM_XTCE_H
#define DECOM_XTCE_H

#include "decom/model.h"
#include "decom/report.h"

/* As yd_ydm_read, except that *ret_def is NULL on failure. */
int yd_xtce_read(const char *path, struct yd_str text, struct yd_alloc *alloc, struct yd_diagnostics *diagnostics,
                 struct yd_def **ret_def);

#endif
