/* elements/snappy_block.h: a block of Snappy, inflated. Pure.
 *
 *   size of the text, as a varint; then literals and copies of what is there already
 *
 * Only this direction, and by hand: the format is a page, and a C++ library (with its runtime in every process) would
 * be a hundred times this. Nothing is read or written beyond what is given. Source: google/snappy,
 * format_description.txt. */
#ifndef ELEMENTS_SNAPPY_BLOCK_H
#define ELEMENTS_SNAPPY_BLOCK_H

#include "base/base.h"

/* Says how large the text will be. YD_EFORMAT. */
int yd_snappy_size(struct yd_str block, size_t *ret_size);
/* Exactly `size` bytes, as said, into `to`. YD_EFORMAT: it is no such block. */
int yd_snappy_inflate(struct yd_str block, char *to, size_t size);

#endif
