/* io/socket.c: the seam to sockets on Linux: thin over the system calls. Descriptors are non-blocking and close on
 * exec; nothing raises SIGPIPE. */
#include "io/socket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static int begin(const struct sockaddr *to, socklen_t size, int *ret_fd)
{
    int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    if (fd < 0) return yd_error_from_errno(errno);
    /* Frames are gathered before they are sent: waiting for more would only delay them. */
    if (to->sa_family != AF_UNIX) (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    /* A Unix socket whose queue is full says EAGAIN: nobody accepts there now. */
    if (connect(fd, to, size) < 0 && errno != EINPROGRESS && errno != EINTR) {
        int error = errno == EAGAIN ? YD_ECONNREFUSED : yd_error_from_errno(errno);
        close(fd);
        return error;
    }
    *ret_fd = fd;
    return 0;
}

static int connect_unix(const char *path, int *ret_fd, struct yd_trail *trail)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t size = strlen(path);
    if (size == 0 || size >= sizeof to.sun_path)
        return yd_trail_add(trail, YD_EINVAL, "the path of a Unix socket has 1 to %zu bytes", sizeof to.sun_path - 1);
    memcpy(to.sun_path, path, size);
    int error = begin((struct sockaddr *)&to, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + 1), ret_fd);
    return error ? yd_trail_add(trail, error, "%s: %s", path, yd_error_text(error)) : 0;
}

/* "host:port" cut in two; the host without its brackets. */
static int cut(const char *address, char *host, size_t host_size, const char **ret_port)
{
    const char *colon = strrchr(address, ':'), *from = address;
    if (!colon || colon == address || !colon[1]) return YD_EFORMAT;
    size_t size = (size_t)(colon - address);
    if (*from == '[' && size > 2 && from[size - 1] == ']') from++, size -= 2;
    if (size >= host_size) return YD_ETOOBIG;
    memcpy(host, from, size);
    host[size] = 0;
    *ret_port = colon + 1;
    return 0;
}

static int net_connect(struct yd_net *net, const char *address, unsigned attempt, int *ret_fd, struct yd_trail *trail)
{
    (void)net;
    if (strncmp(address, "unix:", 5) == 0) return connect_unix(address + 5, ret_fd, trail);
    char host[256];
    const char *port;
    int error = cut(address, host, sizeof host, &port);
    if (error) return yd_trail_add(trail, YD_EINVAL, "'%s' is no address: host:port or unix:/path", address);
    if (strcmp(host, "localhost") == 0) strcpy(host, "127.0.0.1"); /* as everywhere in this house */
    struct addrinfo want = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *found;
    int failed = getaddrinfo(host, port, &want, &found);
    if (failed) return yd_trail_add(trail, YD_ENOENT, "%s: %s", address, gai_strerror(failed));
    unsigned count = 0;
    for (const struct addrinfo *at = found; at; at = at->ai_next) count++;
    const struct addrinfo *at = found;
    for (unsigned skip = attempt % count; skip; skip--) at = at->ai_next;
    error = begin(at->ai_addr, at->ai_addrlen, ret_fd);
    freeaddrinfo(found);
    return error ? yd_trail_add(trail, error, "%s: %s", address, yd_error_text(error)) : 0;
}

static int net_finish(struct yd_net *net, int fd)
{
    (void)net;
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0) error = errno;
    return error ? yd_error_from_errno(error) : 0;
}

static int net_poll(struct yd_net *net, int fd, short events, int64_t timeout_ns, short *ret_events)
{
    (void)net;
    struct pollfd poll = {.fd = fd, .events = events};
    struct timespec wait = {.tv_sec = timeout_ns / YD_NS_PER_S, .tv_nsec = timeout_ns % YD_NS_PER_S};
    int count = ppoll(&poll, 1, timeout_ns < 0 ? NULL : &wait, NULL);
    if (count < 0 && errno != EINTR) return yd_error_from_errno(errno);
    *ret_events = count > 0 ? poll.revents : 0;
    return 0;
}

static int net_send(struct yd_net *net, int fd, const struct iovec *parts, int part_count, size_t *ret_size)
{
    (void)net;
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = (size_t)part_count};
    ssize_t sent;
    do sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    if (sent < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? YD_EAGAIN : yd_error_from_errno(errno);
    *ret_size = (size_t)sent;
    return 0;
}

static int net_recv(struct yd_net *net, int fd, void *to, size_t size, size_t *ret_size)
{
    (void)net;
    ssize_t got;
    do got = recv(fd, to, size, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? YD_EAGAIN : yd_error_from_errno(errno);
    if (got == 0) return YD_EEOF;
    *ret_size = (size_t)got;
    return 0;
}

static void net_close(struct yd_net *net, int fd)
{
    (void)net;
    close(fd);
}

static int64_t net_mono(struct yd_net *net)
{
    (void)net;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * YD_NS_PER_S + now.tv_nsec;
}

static uint64_t net_random(struct yd_net *net)
{
    uint64_t random;
    if (getrandom(&random, sizeof random, 0) == (ssize_t)sizeof random) return random;
    return (uint64_t)net_mono(net) * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)getpid() << 32; /* a very old kernel */
}

struct yd_net *yd_net_linux(void)
{
    static const struct yd_net_ops ops = {net_connect, net_finish, net_poll, net_send,
                                          net_recv,    net_close,  net_mono, net_random};
    static struct yd_net net = {&ops};
    return &net;
}
