#include "io/stdio.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

int yd_stdin_read(void *to, size_t size, int64_t timeout_ns, size_t *ret_size)
{
    struct pollfd fd = {.fd = STDIN_FILENO, .events = POLLIN};
    int ready = poll(&fd, 1, (int)YD_MIN(timeout_ns / YD_NS_PER_MS, INT32_MAX));
    if (ready == 0 || (ready < 0 && errno == EINTR)) return YD_EAGAIN;
    if (ready < 0) return yd_error_from_errno(errno);
    ssize_t got = read(STDIN_FILENO, to, size);
    if (got == 0) return YD_EEOF;
    if (got < 0) return errno == EINTR || errno == EAGAIN ? YD_EAGAIN : yd_error_from_errno(errno);
    *ret_size = (size_t)got;
    return 0;
}

int yd_stdout_write(const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        ssize_t put = write(STDOUT_FILENO, at, size);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0 && errno == EAGAIN) {
            struct pollfd fd = {.fd = STDOUT_FILENO, .events = POLLOUT};
            (void)poll(&fd, 1, -1); /* an error shows at the next write */
            continue;
        }
        if (put < 0) return errno == EPIPE ? YD_ECLOSED : yd_error_from_errno(errno);
        at += put;
        size -= (size_t)put;
    }
    return 0;
}
