/* elements/opentsdb_scan.h: a data point of the usual shape, taken apart without tokens. Of OpenTsdb's put only.
 *
 *   {"metric":"…","timestamp":…,"value":…,"tags":{…}}     in any order, with spaces or without
 *
 * Usual: each of the four once and nothing else, no escapes, ASCII, timestamp and value good. Anything else is the
 * tokenizer's. */
#ifndef ELEMENTS_OPENTSDB_SCAN_H
#define ELEMENTS_OPENTSDB_SCAN_H

#include <yarder/batch.h>

#include "base/text.h"

struct yd_put_shape {
    struct yd_str metric;
    struct yd_str tags; /* from its brace to the first one that closes: not looked into */
    int64_t time_ns;
    union yd_value value;
    enum yd_type type;
};

/* `from` is on the opening brace. What stands behind the point, or NULL: of another shape, or damaged. */
const char *yd__put_scan(const char *from, const char *end, struct yd_put_shape *ret);

#endif
