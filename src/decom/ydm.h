/* decom/ydm.h: the text format `.ydm` (docs/ydm.md) into a model. */
#ifndef DECOM_YDM_H
#define DECOM_YDM_H

#include "decom/model.h"
#include "decom/report.h"

#define YD_YDM_SIZE_MAX  (16u << 20)
#define YD_YDM_DEPTH_MAX 16 /* groups in groups, brackets in brackets */

/* Reads `text`; `path` is shown with what is wrong. All mistakes in one run. 0 and a definition when there are no
 * errors (of syntax and names: the compiler finds the rest); YD_EFORMAT: see diagnostics; YD_ENOMEM. */
int yd_ydm_read(const char *path, struct yd_str text, struct yd_alloc *alloc, struct yd_diagnostics *diagnostics,
                struct yd_def **ret_def);

#endif
