/* serve/inflate.h: gzip and zlib bodies, bounded: a bomb is an error, not memory. */
#ifndef SERVE_INFLATE_H
#define SERVE_INFLATE_H

#include "base/alloc.h"

/* Appends the plain bytes to `to`, at most `size_max` of them. YD_EFORMAT (damaged or cut), YD_ETOOBIG, YD_ENOMEM. */
int yd_inflate(struct yd_str packed, size_t size_max, struct yd_buf *to);
int yd_deflate_gzip(struct yd_str plain, struct yd_buf *to); /* for tests and clients */

#endif
