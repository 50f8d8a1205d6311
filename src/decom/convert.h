/* decom/convert.h: other people's definitions into a model, from which ydm_write.h makes `.ydm`. docs/definitions.md
 * tells what is read of each. All mistakes in one run; what is not supported is named with its line. */
#ifndef DECOM_CONVERT_H
#define DECOM_CONVERT_H

#include "decom/model.h"
#include "decom/report.h"

#define YD_CONVERT_SIZE_MAX (16u << 20)

/* Each as yd_ydm_read; *ret_def NULL on failure. COSMOS: a text of TELEMETRY packets, without ERB. CSV: one packet
 * behind a CCSDS primary header, columns name, data_type, bit_length and perhaps bit_offset (ccsdspy); the packet is
 * called as the file. GSW: YAML with measurements and telemetry_packets. */
int yd_cosmos_read(const char *path, struct yd_str text, struct yd_alloc *alloc, struct yd_diagnostics *diagnostics,
                   struct yd_def **ret_def);
int yd_csv_read(const char *path, struct yd_str text, struct yd_alloc *alloc, struct yd_diagnostics *diagnostics,
                struct yd_def **ret_def);
int yd_gsw_read(const char *path, struct yd_str text, struct yd_alloc *alloc, struct yd_diagnostics *diagnostics,
                struct yd_def **ret_def);

#endif
