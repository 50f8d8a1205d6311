/* elements/line_feed.h: text fed by a test or a replay, through the same parser as a pump's bytes. */
#ifndef ELEMENTS_LINE_FEED_H
#define ELEMENTS_LINE_FEED_H

#include <yarder/element.h>

#include "elements/lines.h"

struct yd_line_feed;
struct yd_line_feed_options {
    const struct yd_lines_format *format;
    const char *element; /* its name */
    size_t line_max;
    unsigned output, rejects; /* ports; rejects are emitted wired or not, so that a test may expect them */
};
/* Made when first needed. The whole text; a last line without an end counts. */
int yd_line_feed(struct yd_line_feed **feed, const struct yd_line_feed_options *options, struct yd_str bytes,
                 struct yd_out *out, int64_t wall_ns);
void yd_line_feed_destroy(struct yd_line_feed *feed);

#endif
