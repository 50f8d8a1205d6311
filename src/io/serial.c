/* Serial devices: see serial.h. Raw as in termios(3): no echo, no lines, no signals, nothing translated. A modem's
 * lines are not looked at (CLOCAL), so opening never waits for a carrier. */
#include "io/serial.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/serial.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static const struct {
    uint32_t baud;
    speed_t speed;
} speeds[] = {{300, B300},         {600, B600},         {1200, B1200},       {2400, B2400},       {4800, B4800},
              {9600, B9600},       {19200, B19200},     {38400, B38400},     {57600, B57600},     {115200, B115200},
              {230400, B230400},   {460800, B460800},   {500000, B500000},   {576000, B576000},   {921600, B921600},
              {1000000, B1000000}, {1500000, B1500000}, {2000000, B2000000}, {3000000, B3000000}, {4000000, B4000000}};

static const speed_t *speed_of(uint32_t baud)
{
    for (size_t i = 0; i < YD_COUNT(speeds); i++)
        if (speeds[i].baud == baud) return &speeds[i].speed;
    return NULL;
}

bool yd_serial_knows_baud(uint32_t baud)
{
    return speed_of(baud) != NULL;
}

static int make_raw(int fd, const struct yd_serial_options *options)
{
    struct termios termios;
    const speed_t *speed = speed_of(options->baud);
    if (!speed) return YD_EINVAL;
    if (tcgetattr(fd, &termios) < 0) return errno == ENOTTY ? YD_EINVAL : yd_error_from_errno(errno);
    cfmakeraw(&termios);
    termios.c_cflag |= CLOCAL | CREAD | (options->parity != YD_PARITY_NONE ? PARENB : 0) |
                       (options->parity == YD_PARITY_ODD ? PARODD : 0) | (options->two_stop_bits ? CSTOPB : 0) |
                       (options->hardware_flow ? CRTSCTS : 0);
    if (options->parity == YD_PARITY_NONE) termios.c_cflag &= ~(tcflag_t)(PARENB | PARODD);
    if (!options->two_stop_bits) termios.c_cflag &= ~(tcflag_t)CSTOPB;
    if (!options->hardware_flow) termios.c_cflag &= ~(tcflag_t)CRTSCTS;
    if (options->parity != YD_PARITY_NONE)
        termios.c_iflag |= INPCK | IGNPAR; /* wrong ones go; the driver counts them */
    termios.c_cc[VMIN] = 0;
    termios.c_cc[VTIME] = 0;
    if (cfsetspeed(&termios, *speed) < 0 || tcsetattr(fd, TCSANOW, &termios) < 0) return yd_error_from_errno(errno);
    return 0;
}

int yd_serial_open(const char *path, const struct yd_serial_options *options, int *ret_fd, struct yd_trail *trail)
{
    int fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    int error = fd < 0 ? yd_error_from_errno(errno) : make_raw(fd, options);
    if (error == 0) {
        *ret_fd = fd;
        return 0;
    }
    if (fd >= 0) close(fd);
    return yd_trail_add(trail, error, "cannot open %s: %s", path,
                        error == YD_EINVAL ? "not a serial device" : yd_error_text(error));
}

int yd_serial_read(int fd, void *to, size_t size, size_t *ret_size)
{
    ssize_t got;
    do got = read(fd, to, size);
    while (got < 0 && errno == EINTR);
    if (got < 0) return errno == EAGAIN ? YD_EAGAIN : yd_error_from_errno(errno);
    if (got > 0) {
        *ret_size = (size_t)got;
        return 0;
    }
    /* Nothing: with VMIN 0 that is also what a device that has nothing says; one that is gone has no attributes. */
    struct termios termios;
    int waiting;
    return tcgetattr(fd, &termios) == 0 && ioctl(fd, FIONREAD, &waiting) == 0 ? YD_EAGAIN : YD_EEOF;
}

uint64_t yd_serial_lost(int fd)
{
    struct serial_icounter_struct counts = {0};
    if (ioctl(fd, TIOCGICOUNT, &counts) < 0) return 0; /* a driver that counts nothing: a pty, say */
    return (uint64_t)(uint32_t)counts.overrun + (uint32_t)counts.buf_overrun + (uint32_t)counts.frame +
           (uint32_t)counts.parity;
}

void yd_serial_close(int fd)
{
    close(fd);
}
