/* elements/text_sink.h: what Print and File share: records to text on a file thread, answered when written.
 *
 *   receive: hold the input's tickets, hand the batch to the pump --> pump: format, write, tell --> receive: release */
#ifndef ELEMENTS_TEXT_SINK_H
#define ELEMENTS_TEXT_SINK_H

#include <yarder/element.h>

#include "base/alloc.h"

enum yd_text_form { YD_FORM_LINE, YD_FORM_JSON, YD_FORM_VALUE };
extern const char *const yd_text_forms[]; /* for the parameter's oneof */
enum yd_text_form yd_text_form_of(struct yd_str word);
void yd_text_form_batch(enum yd_text_form form, const struct yd_batch *batch, struct yd_buf *to);

/* The receive half. State of the element: anything; the pump gets command WRITE with the hold in arg and tells WRITTEN
 * with a struct yd_written. */
enum { YD_SINK_WRITE = 1 };
enum { YD_SINK_WRITTEN = 1 };
struct yd_written {
    uint64_t hold;
    int error;
    unsigned level;
};
enum yd_turn_result yd_text_sink_receive(void *state, struct yd_input *input, struct yd_out *out);
void yd_text_sink_tell(struct yd_pump *pump, uint64_t hold, int error, unsigned level); /* pump half */

#endif
