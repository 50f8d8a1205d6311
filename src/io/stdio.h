/* io/stdio.h: the process' own standard input and output, as file threads use them. Linux only; a simulation has none.
 */
#ifndef IO_STDIO_H
#define IO_STDIO_H

#include "base/base.h"

/* Reads what is there, waiting up to timeout_ns. 0 with *ret_size > 0, YD_EAGAIN (nothing in time), YD_EEOF, YD_EIO. */
int yd_stdin_read(void *to, size_t size, int64_t timeout_ns, size_t *ret_size);
/* Writes all, waiting as long as the other end makes it wait. YD_ECLOSED: nobody reads any more (EPIPE). */
int yd_stdout_write(const void *data, size_t size);

#endif
