/* batch/record_text.h: records as text a person or another program reads: JSON, and one plain line.
 *
 * JSON: {"seqno":7,"time":"2026-11-21T01:02:03.25Z","name":"cpu.load host=web1","kind":"SAMPLE","value":1.5}
 *   STATE adds "code" (OK, WARNING, CRITICAL, UNKNOWN) and, when set, "stale":true, "transition":true; other flags when
 *   set: "rollover", "suspect", "tombstone". BLOB values are hex text under "blob". NaN and infinities are null.
 * Line: `2026-11-21T01:02:03.25Z cpu.load host=web1 1.5`, ROW values as JSON. */
#ifndef BATCH_RECORD_TEXT_H
#define BATCH_RECORD_TEXT_H

#include <yarder/batch.h>

#include "base/text.h"

#define YD_NO_SEQNO UINT64_MAX
/* Writes record `index` of the view as one JSON object (no newline). seqno YD_NO_SEQNO: left out. */
void yd_record_json(const struct yd_view *view, uint32_t index, uint64_t seqno, struct yd_json *json);
/* Its value alone: a number, text, hex, list or object. */
void yd_value_json(const struct yd_view *view, enum yd_type type, union yd_value value, struct yd_json *json);
/* One line with its newline. */
void yd_record_line(const struct yd_view *view, uint32_t index, struct yd_buf *to);
/* A value as bare text: numbers shortest, TEXT as it is, BLOB hex, LIST and MAP as JSON. */
void yd_value_text(const struct yd_view *view, enum yd_type type, union yd_value value, struct yd_buf *to);

#endif
