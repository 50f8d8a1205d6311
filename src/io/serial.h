/* io/serial.h: serial devices, raw. Linux only; a simulation has none. Descriptors never block, and go to
 * yd_watch_open.
 */
#ifndef IO_SERIAL_H
#define IO_SERIAL_H

#include "base/base.h"

enum yd_serial_parity { YD_PARITY_NONE, YD_PARITY_EVEN, YD_PARITY_ODD };
struct yd_serial_options {
    uint32_t baud;
    enum yd_serial_parity parity;
    bool two_stop_bits, hardware_flow; /* RTS and CTS */
};
bool yd_serial_knows_baud(uint32_t baud);
/* YD_EINVAL: not a serial device. */
int yd_serial_open(const char *path, const struct yd_serial_options *options, int *ret_fd, struct yd_trail *trail);
/* 0 with *ret_size > 0; YD_EAGAIN: nothing now; YD_EEOF: the device has gone; another error: likewise. */
int yd_serial_read(int fd, void *to, size_t size, size_t *ret_size);
/* Characters that the driver could not take or that came with wrong parity or framing, as far as it counts them. */
uint64_t yd_serial_lost(int fd);
void yd_serial_close(int fd);

#endif
