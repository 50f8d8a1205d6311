/* base/terminal.h: texts of others where a person reads them. A name or a packet's text must not clear the screen,
 * colour what follows, or begin a line that looks like ours. */
#ifndef BASE_TERMINAL_H
#define BASE_TERMINAL_H

#include "base/alloc.h"

/* As it is, but what a terminal would obey is written out: `\x1b`, `\xc2\x9b`. */
void yd_buf_shown(struct yd_buf *buf, struct yd_str s);

#endif
