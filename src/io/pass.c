/* io/pass.c: Unix sockets that pass descriptors. libc only.
 *
 *   listen: bind NAME.??? ─ listen ─ rename to NAME          a name that is there answers
 *   unlisten: the name, if it is this socket's still ─ close   so nobody can have taken it over in between
 *
 * What can fail: the usual of sockets; a peer that does not read (YD_EAGAIN, the caller decides); a message that brings
 * more than was asked for, whose descriptors are closed here so that nobody can fill our table. */
#include "io/pass.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 1024 /* the kernel may allow less */

static int address_of(const char *path, struct sockaddr_un *ret)
{
    size_t size = strlen(path);
    if (size == 0) return YD_EINVAL;
    if (size >= sizeof ret->sun_path) return YD_ETOOBIG;
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(ret->sun_path, path, size + 1);
    return 0;
}

int yd_pass_connect(const char *path, int *ret_fd)
{
    struct sockaddr_un address;
    int error = address_of(path, &address);
    if (error) return error;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return yd_error_from_errno(errno);
    if (connect(fd, (struct sockaddr *)&address, sizeof address)) {
        error = yd_error_from_errno(errno);
        (void)close(fd);
        return error;
    }
    *ret_fd = fd;
    return 0;
}

/* Under a name of its own, so that two who open one path at once do not take each other's. What one who died before
 * his rename left there stays, and is passed by. */
static int bind_to_free(const char *path, int fd, char *beside, size_t size)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    static atomic_uint turn;
    for (unsigned tries = 0; tries < 100; tries++) {
        struct sockaddr_un address;
        unsigned n = (unsigned)getpid() * 7 + atomic_fetch_add_explicit(&turn, 1, memory_order_relaxed);
        if (snprintf(beside, size, "%s.%c%c%c", path, digits[n / 1296 % 36], digits[n / 36 % 36], digits[n % 36]) >=
            (int)size)
            return YD_ETOOBIG;
        int error = address_of(beside, &address);
        if (error) return error;
        if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0) return 0;
        if (errno != EADDRINUSE) return yd_error_from_errno(errno);
    }
    return YD_EADDRINUSE;
}

static int bind_beside(const char *path, mode_t mode, struct yd_pass_listener *listener, struct yd_trail *trail)
{
    char beside[sizeof((struct sockaddr_un *)0)->sun_path];
    struct stat stat;
    int error = bind_to_free(path, listener->fd, beside, sizeof beside);
    if (error == YD_ETOOBIG)
        return yd_trail_add(trail, YD_ETOOBIG, "%s: longer than the %zu bytes that an address of a socket can have",
                            path, sizeof beside - 5);
    if (error) return yd_trail_add(trail, error, "%s: %s", beside, yd_error_text(error));
    if (chmod(beside, mode) || listen(listener->fd, BACKLOG) || lstat(beside, &stat) || rename(beside, path)) {
        error = yd_trail_add(trail, yd_error_from_errno(errno), "%s: %s", path, strerror(errno));
        (void)unlink(beside);
        return error;
    }
    listener->device = stat.st_dev;
    listener->inode = stat.st_ino;
    return 0;
}

/* 0: nobody, or a socket that nobody answers at any more. What is anything else is not ours to take away. */
static int who_is_there(const char *path)
{
    struct sockaddr_un address;
    struct stat stat_;
    int error = address_of(path, &address);
    if (error == YD_ETOOBIG) return 0; /* said when it is bound */
    if (error) return error;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return yd_error_from_errno(errno);
    int answer = connect(fd, (struct sockaddr *)&address, sizeof address) ? errno : 0;
    (void)close(fd);
    switch (answer) {
    case ENOENT:
    case ENOTDIR:
        return 0;
    case ECONNREFUSED:
        return stat(path, &stat_) || S_ISSOCK(stat_.st_mode) ? 0 : YD_EEXIST;
    case EACCES:
        return YD_EPERM;
    default: /* EAGAIN: he has many who wait; EPROTOTYPE: a service of another kind */
        return YD_EADDRINUSE;
    }
}

int yd_pass_listen(const char *path, mode_t mode, struct yd_pass_listener *ret, struct yd_trail *trail)
{
    int there = who_is_there(path);
    if (there)
        return yd_trail_add(trail, there, "%s: %s", path,
                            there == YD_EADDRINUSE ? "somebody answers there already"
                            : there == YD_EEXIST   ? "there is something that is no socket"
                                                   : yd_error_text(there));
    struct yd_pass_listener listener = {.fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (listener.fd < 0) return yd_trail_add(trail, yd_error_from_errno(errno), "%s: %s", path, strerror(errno));
    int error = bind_beside(path, mode, &listener, trail);
    if (error) {
        (void)close(listener.fd);
        return error;
    }
    *ret = listener;
    return 0;
}

void yd_pass_unlisten(const char *path, struct yd_pass_listener *listener)
{
    struct stat stat;
    /* Before it is closed: as long as we answer nobody takes the name over between the look and the removal. */
    if (lstat(path, &stat) == 0 && stat.st_dev == listener->device && stat.st_ino == listener->inode)
        (void)unlink(path);
    (void)close(listener->fd);
    listener->fd = -1;
}

int yd_pass_accept(int listener, int *ret_fd, struct yd_pass_peer *ret_peer)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return errno == ECONNABORTED || errno == EINTR ? YD_EAGAIN : yd_error_from_errno(errno);
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size)) {
        int error = yd_error_from_errno(errno);
        (void)close(fd);
        return error;
    }
    *ret_fd = fd;
    *ret_peer = (struct yd_pass_peer){peer.pid, peer.uid, peer.gid};
    return 0;
}

bool yd_pass_in_group(int fd, const struct yd_pass_peer *peer, gid_t group)
{
    if (peer->gid == group) return true;
#ifdef SO_PEERGROUPS
    gid_t groups[1024];
    socklen_t size = sizeof groups;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size)) return false;
    for (size_t i = 0; i < size / sizeof *groups; i++)
        if (groups[i] == group) return true;
#else
    (void)fd;
#endif
    return false;
}

bool yd_pass_is_stopped(int32_t pid)
{
    char path[40], text[256];
    if (pid <= 0) return false; /* of another namespace */
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    if (fd >= 0) (void)close(fd);
    text[size > 0 ? size : 0] = 0;
    const char *state = strrchr(text, ')'); /* the name may hold anything, but no field after it a parenthesis */
    return state && (strncmp(state, ") T", 3) == 0 || strncmp(state, ") t", 3) == 0);
}

int yd_pass_send(int fd, const void *message, size_t size, const int *fds, unsigned count)
{
    if (count > YD_PASS_FDS_MAX) return YD_EINVAL;
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(YD_PASS_FDS_MAX * sizeof(int))];
    } control = {.bytes = {0}};
    struct iovec part = {(void *)(uintptr_t)message, size};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
    if (count) {
        header.msg_control = control.bytes;
        header.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
        *rights = (struct cmsghdr){CMSG_LEN(count * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(rights), fds, count * sizeof(int));
    }
    ssize_t sent;
    do sent = sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? yd_error_from_errno(errno) : 0;
}

/* Those that came, as many as there is room for; the others are closed: *ret_more. */
static unsigned take_fds(struct msghdr *header, int *fds, unsigned room, bool *ret_more)
{
    unsigned count = 0;
    *ret_more = false;
    for (struct cmsghdr *at = CMSG_FIRSTHDR(header); at; at = CMSG_NXTHDR(header, at)) {
        if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS) continue;
        size_t came = (at->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < came; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(at) + i * sizeof fd, sizeof fd);
            if (count < room) {
                fds[count++] = fd;
            } else {
                (void)close(fd);
                *ret_more = true;
            }
        }
    }
    return count;
}

int yd_pass_recv(int fd, void *to, size_t room, size_t *ret_size, int *fds, unsigned room_fds, unsigned *ret_count)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(YD_PASS_FDS_MAX * sizeof(int))];
    } control;
    struct iovec part = {to, room};
    struct msghdr header = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    ssize_t size;
    do size = recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (size < 0 && errno == EINTR);
    if (size < 0) return yd_error_from_errno(errno);
    bool more;
    unsigned count = take_fds(&header, fds, room_fds, &more);
    bool cut = more || (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
    if (size == 0 || cut) {
        while (count) (void)close(fds[--count]);
        return cut ? YD_ETOOBIG : YD_EEOF;
    }
    *ret_size = (size_t)size;
    *ret_count = count;
    return 0;
}
