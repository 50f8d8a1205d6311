/* decom/ydm_write.h: a model as `.ydm` text, which read again gives the same values of any packet. */
#ifndef DECOM_YDM_WRITE_H
#define DECOM_YDM_WRITE_H

#include "decom/model.h"

/* What is not supported becomes room of its size with a comment that says why; what lies behind something of unknown
 * size is left out with a comment. Returns how many things were left out so; to->failed: out of memory. */
unsigned yd_ydm_write(const struct yd_def *def, struct yd_buf *to);

#endif
