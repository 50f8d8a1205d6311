/* io/socket.h: the seam to sockets for programs without a loop: the client library. libc only.
 *
 * `struct yd_net` is a table of operations on descriptors that never block, but for poll, and for names of hosts that
 * connect has to look up. yd_net_linux() is the real one; tests and fuzzers bring their own, with a clock of their own.
 * All return 0 or YD_E…; one thread at a time for one descriptor. */
#ifndef IO_SOCKET_H
#define IO_SOCKET_H

#include <poll.h>
#include <sys/uio.h>

#include "base/base.h"

struct yd_net;
struct yd_net_ops {
    /* Begins to connect to "host:port", "[::1]:port" or "unix:/path"; of a host with several addresses the attempt'th.
     * `finish` tells how it went, once the descriptor can be written to. */
    int (*connect)(struct yd_net *net, const char *address, unsigned attempt, int *ret_fd, struct yd_trail *trail);
    int (*finish)(struct yd_net *net, int fd);
    /* Waits for events (fd -1: only for the time). *ret_events 0: nothing in time, or a signal. timeout_ns < 0: for
     * ever. */
    int (*poll)(struct yd_net *net, int fd, short events, int64_t timeout_ns, short *ret_events);
    /* What went, which may be less; YD_EAGAIN: nothing now. */
    int (*send)(struct yd_net *net, int fd, const struct iovec *parts, int part_count, size_t *ret_size);
    int (*recv)(struct yd_net *net, int fd, void *to, size_t size, size_t *ret_size); /* YD_EAGAIN; YD_EEOF */
    void (*close)(struct yd_net *net, int fd);
    int64_t (*mono)(struct yd_net *net); /* ns, never steps */
    uint64_t (*random)(struct yd_net *net);
};
struct yd_net {
    const struct yd_net_ops *ops;
};

struct yd_net *yd_net_linux(void); /* one for the process, never destroyed */

#endif
