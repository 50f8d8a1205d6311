/* io/pass.h: messages with descriptors over Unix sockets (SOCK_SEQPACKET): how shared memory is handed out. Linux, libc
 * only; descriptors never block. Any thread; one at a time for one descriptor. */
#ifndef IO_PASS_H
#define IO_PASS_H

#include <sys/types.h>

#include "base/base.h"

#define YD_PASS_FDS_MAX 8

struct yd_pass_peer { /* as the kernel knows him, at the time of connecting */
    pid_t pid;
    uid_t uid;
    gid_t gid;
};

struct yd_pass_listener {
    int fd;
    dev_t device; /* of its name: what another one has bound there since is not ours to remove */
    ino_t inode;
};

/* Listens at `path`. The name appears only once connecting works (bound beside it, then renamed), so whoever watches
 * the folder may connect at once. A socket nobody answers at any more is replaced. YD_EADDRINUSE; YD_EEXIST: what is
 * there is no socket; YD_EPERM; YD_ETOOBIG: the path is longer than such addresses can be. */
int yd_pass_listen(const char *path, mode_t mode, struct yd_pass_listener *ret, struct yd_trail *trail);
/* Removes the name if it is still this socket's, and closes. */
void yd_pass_unlisten(const char *path, struct yd_pass_listener *listener);
int yd_pass_accept(int listener, int *ret_fd, struct yd_pass_peer *ret_peer); /* YD_EAGAIN: nobody waits */
/* Is he in this group, as main or further one? */
bool yd_pass_in_group(int fd, const struct yd_pass_peer *peer, gid_t group);
/* Is his process stopped now, by a signal or a debugger? false, too, where /proc does not tell. */
bool yd_pass_is_stopped(int32_t pid);
/* YD_ENOENT, YD_ECONNREFUSED: nobody listens; YD_EAGAIN: he has more who wait than he can take; YD_EPERM. */
int yd_pass_connect(const char *path, int *ret_fd);
/* One message, whole or not at all. YD_EAGAIN: the peer does not read. The descriptors stay the caller's. */
int yd_pass_send(int fd, const void *message, size_t size, const int *fds, unsigned count);
/* One message; what is larger than `room`, or brings more than `room_fds`, is YD_ETOOBIG and gone. Descriptors are the
 * caller's, *ret_count of them. YD_EAGAIN: nothing now; YD_EEOF: the peer is gone. */
int yd_pass_recv(int fd, void *to, size_t room, size_t *ret_size, int *fds, unsigned room_fds, unsigned *ret_count);

#endif
