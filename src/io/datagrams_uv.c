/* io/datagrams_uv.c: datagrams of the Linux loop: recvmmsg, up to 64 at a time, with the kernel's receive stamps and
 * its count of what it had to drop for want of room.
 *
 * The room (64 slots of 64 KiB) is one for all sockets of a loop, taken when the first one receives; pages nobody wrote
 * to cost nothing. */
#include <errno.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "io/loop_uv.h"

#define COUNT_MAX      64
#define SLOT_SIZE      65536
#define CONTROL_SIZE   128
#define ROUNDS_A_TURN  8
#define RECEIVE_BUFFER (8 << 20)

struct room {
    struct mmsghdr messages[COUNT_MAX];
    struct iovec parts[COUNT_MAX];
    struct yd_datagram datagrams[COUNT_MAX];
    _Alignas(struct cmsghdr) char control[COUNT_MAX][CONTROL_SIZE];
    char bytes[COUNT_MAX][SLOT_SIZE];
};

struct datagrams {
    struct yd_datagrams datagrams;
    uv_poll_t poll;
    int fd, family;
    bool paused, closed;
    uint32_t drops_seen; /* the kernel's counter wraps at 32 bits */
    uint64_t drops;
    const struct yd_datagrams_ops *ops;
    void *arg;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

static struct room *room_of(struct yd__uv_loop *loop)
{
    if (loop->datagram_room) return loop->datagram_room;
    struct room *room = malloc(sizeof *room); /* so large that it is mapped: untouched pages stay absent */
    if (!room) return NULL;
    memset(room->messages, 0, sizeof room->messages);
    for (int i = 0; i < COUNT_MAX; i++) {
        room->parts[i] = (struct iovec){room->bytes[i], SLOT_SIZE};
        room->messages[i].msg_hdr = (struct msghdr){.msg_iov = &room->parts[i],
                                                    .msg_iovlen = 1,
                                                    .msg_name = &room->datagrams[i].from.storage,
                                                    .msg_control = room->control[i]};
    }
    loop->datagram_room = room;
    return room;
}

void yd__uv_free_datagram_room(struct yd__uv_loop *loop)
{
    free(loop->datagram_room);
}

/* What a datagram carries is as of when it was queued: older than what the socket itself has said meanwhile. */
static void saw_drops(struct datagrams *socket, uint32_t drops)
{
    int32_t more = (int32_t)(drops - socket->drops_seen);
    if (more <= 0) return;
    socket->drops += (uint32_t)more;
    socket->drops_seen = drops;
}

static void read_control(struct datagrams *socket, struct msghdr *message, int64_t *ret_time_ns)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level != SOL_SOCKET) continue;
        if (part->cmsg_type == SCM_TIMESTAMPNS) {
            struct timespec stamp;
            memcpy(&stamp, CMSG_DATA(part), sizeof stamp);
            *ret_time_ns = stamp.tv_sec * YD_NS_PER_S + stamp.tv_nsec;
        } else if (part->cmsg_type == SO_RXQ_OVFL) {
            uint32_t drops;
            memcpy(&drops, CMSG_DATA(part), sizeof drops);
            saw_drops(socket, drops);
        }
    }
}

/* Returns how many came; less than COUNT_MAX: there were no more. */
static int receive(struct datagrams *socket, struct room *room)
{
    struct yd_loop *loop = socket->datagrams.loop;
    for (int i = 0; i < COUNT_MAX; i++) {
        room->messages[i].msg_hdr.msg_namelen = sizeof(struct sockaddr_storage);
        room->messages[i].msg_hdr.msg_controllen = CONTROL_SIZE;
    }
    int count = recvmmsg(socket->fd, room->messages, COUNT_MAX, MSG_DONTWAIT, NULL);
    if (count <= 0) return 0; /* nothing, or an ICMP error of an earlier send: neither is ours to report */
    for (int i = 0; i < count; i++) {
        struct yd_datagram *datagram = &room->datagrams[i];
        datagram->bytes = (struct yd_str){room->bytes[i], room->messages[i].msg_len};
        datagram->from.size = room->messages[i].msg_hdr.msg_namelen;
        datagram->time_ns = 0;
        read_control(socket, &room->messages[i].msg_hdr, &datagram->time_ns);
        if (!datagram->time_ns) datagram->time_ns = yd_loop_wall(loop);
        yd__uv_unmap_address(&datagram->from);
    }
    loop->callbacks++;
    socket->ops->received(socket->arg, room->datagrams, (size_t)count, socket->drops);
    return count;
}

static void receive_ready(uv_poll_t *poll, int status, int events)
{
    struct datagrams *socket = poll->data;
    struct room *room = room_of(yd__uv(socket->datagrams.loop));
    int count = COUNT_MAX, any = 0;
    (void)events;
    yd__uv_awake(yd__uv(socket->datagrams.loop));
    for (int i = 0; room && i < ROUNDS_A_TURN && count == COUNT_MAX && !socket->closed && !socket->paused; i++)
        any += count = receive(socket, room);
    if (any && !socket->closed && socket->ops->turn_ends) socket->ops->turn_ends(socket->arg);
    if (!status || socket->closed || socket->paused) return;
    int error;
    socklen_t size = sizeof error;
    (void)getsockopt(socket->fd, SOL_SOCKET, SO_ERROR, &error, &size); /* takes the error out of the socket */
    (void)uv_poll_start(&socket->poll, UV_READABLE, receive_ready);
}

/* One call for both families. Groups that others on this machine have joined are not ours. */
static int join(int fd, const struct yd_address *at, unsigned interface, struct yd_trail *trail)
{
    bool v4 = at->storage.ss_family == AF_INET;
    int level = v4 ? IPPROTO_IP : IPPROTO_IPV6, off = 0;
    struct group_req group = {.gr_interface = interface};
    memcpy(&group.gr_group, &at->storage, at->size);
    (void)setsockopt(fd, level, v4 ? IP_MULTICAST_ALL : IPV6_MULTICAST_ALL, &off, sizeof off);
    if (setsockopt(fd, level, MCAST_JOIN_GROUP, &group, sizeof group) == 0) return 0;
    char text[128];
    yd_address_put(at, text, sizeof text);
    return yd_trail_add(trail, yd_error_from_errno(errno), "cannot join the group of %s: %s%s", text, strerror(errno),
                        interface ? "" : "; name the interface");
}

static int open_group(const struct yd_address *at, const char *interface, int *ret_fd, struct yd_trail *trail)
{
    struct yd_address there = *at;
    unsigned index = interface ? if_nametoindex(interface) : 0;
    if (interface && !index) return yd_trail_add(trail, YD_ENOENT, "there is no interface '%s'", interface);
    if (at->storage.ss_family == AF_INET6) ((struct sockaddr_in6 *)&there.storage)->sin6_scope_id = index;
    int error = yd__uv_bind(&there, SOCK_DGRAM, false, ret_fd, trail);
    if (error) return error;
    error = join(*ret_fd, &there, index, trail);
    if (error) close(*ret_fd);
    return error;
}

int yd__uv_datagrams_open(struct yd_loop *loop, const struct yd_address *at, const struct yd_datagrams_options *options,
                          const struct yd_datagrams_ops *ops, void *arg, struct yd_datagrams **ret,
                          struct yd_trail *trail)
{
    int fd, on = 1;
    int room = options->receive_buffer ? (int)YD_MIN(options->receive_buffer, INT32_MAX / 2) : RECEIVE_BUFFER;
    int error = yd_address_multicast(at) ? open_group(at, options->interface, &fd, trail)
                                         : yd__uv_bind(at, SOCK_DGRAM, options->share == YD_DATAGRAMS_JOIN, &fd, trail);
    if (error) return error;
    /* Only now that nobody else has the address: bound with it, it would share with a stranger of the same user who
     * allows that, too. Another program of ours is refused, for its first socket does not ask for it either. */
    if (options->share == YD_DATAGRAMS_FIRST) (void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on); /* without it the turn's time is taken */
    (void)setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room)) /* root may; others up to rmem_max */
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    struct datagrams *socket = calloc(1, sizeof *socket);
    if (!socket) error = YD_ENOMEM;
    if (!error) error = yd__uv_error(uv_poll_init(&yd__uv(loop)->uv, &socket->poll, fd));
    if (error) {
        free(socket);
        close(fd);
        return yd_trail_add(trail, error, "cannot receive datagrams: %s", yd_error_text(error));
    }
    struct yd_address bound;
    socket->datagrams.loop = loop;
    socket->poll.data = socket;
    socket->fd = fd;
    socket->ops = ops, socket->arg = arg;
    yd__uv_datagrams_address(&socket->datagrams, &bound);
    socket->family = bound.storage.ss_family;
    if (socket->family == AF_UNIX) strcpy(socket->path, ((const struct sockaddr_un *)&at->storage)->sun_path);
    YD_ASSERT(uv_poll_start(&socket->poll, UV_READABLE, receive_ready) == 0);
    *ret = &socket->datagrams;
    return 0;
}

void yd__uv_datagrams_address(struct yd_datagrams *datagrams, struct yd_address *ret)
{
    ret->size = sizeof ret->storage;
    YD_ASSERT(getsockname(((struct datagrams *)datagrams)->fd, (struct sockaddr *)&ret->storage, &ret->size) == 0);
}

void yd__uv_datagrams_pause(struct yd_datagrams *datagrams, bool paused)
{
    struct datagrams *socket = (struct datagrams *)datagrams;
    socket->paused = paused;
    (void)(paused ? uv_poll_stop(&socket->poll) : uv_poll_start(&socket->poll, UV_READABLE, receive_ready));
}

int yd__uv_datagrams_send(struct yd_datagrams *datagrams, const struct yd_address *to, struct yd_str bytes)
{
    struct datagrams *socket = (struct datagrams *)datagrams;
    struct sockaddr_in6 mapped = {.sin6_family = AF_INET6};
    const void *address = &to->storage;
    socklen_t size = to->size;
    if (socket->family == AF_INET6 && to->storage.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&to->storage;
        mapped.sin6_port = in->sin_port;
        memset(mapped.sin6_addr.s6_addr + 10, 0xff, 2);
        memcpy(mapped.sin6_addr.s6_addr + 12, &in->sin_addr, 4);
        address = &mapped, size = sizeof mapped;
    }
    ssize_t sent;
    do sent = sendto(socket->fd, bytes.data, bytes.size, MSG_DONTWAIT | MSG_NOSIGNAL, address, size);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0) return 0;
    if (errno == EMSGSIZE) return YD_ETOOBIG;
    return errno == EAGAIN || errno == ENOBUFS ? YD_EFULL : yd_error_from_errno(errno);
}

/* The datagrams' own stamps stop when nothing comes: SO_MEMINFO (Linux 4.12) tells at any time. */
uint64_t yd__uv_datagrams_drops(struct yd_datagrams *datagrams)
{
    struct datagrams *socket = (struct datagrams *)datagrams;
    uint32_t info[SK_MEMINFO_VARS] = {0};
    socklen_t size = sizeof info;
    if (getsockopt(socket->fd, SOL_SOCKET, SO_MEMINFO, info, &size) == 0 && size > SK_MEMINFO_DROPS * sizeof *info)
        saw_drops(socket, info[SK_MEMINFO_DROPS]);
    return socket->drops;
}

size_t yd__uv_datagrams_buffer(struct yd_datagrams *datagrams)
{
    int room = 0;
    socklen_t size = sizeof room;
    (void)getsockopt(((struct datagrams *)datagrams)->fd, SOL_SOCKET, SO_RCVBUF, &room, &size);
    return (size_t)room / 2; /* the kernel doubles what it is asked for, for its own costs */
}

/* A socket that is connected takes from that peer alone: from port 9 of this machine nobody sends. */
static void let_no_more_in(struct datagrams *socket)
{
    struct sockaddr_in nobody = {.sin_family = AF_INET, .sin_port = htons(9)};
    struct sockaddr_in6 nobody6 = {.sin6_family = AF_INET6, .sin6_port = htons(9), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    nobody.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (socket->family == AF_INET) (void)connect(socket->fd, (struct sockaddr *)&nobody, sizeof nobody);
    if (socket->family == AF_INET6) (void)connect(socket->fd, (struct sockaddr *)&nobody6, sizeof nobody6);
}

void yd__uv_datagrams_finish(struct yd_datagrams *datagrams)
{
    enum { ROUNDS_MAX = 16384 }; /* a million: more than any buffer holds, should somebody still get in */
    struct datagrams *socket = (struct datagrams *)datagrams;
    struct room *room = room_of(yd__uv(datagrams->loop));
    let_no_more_in(socket);
    for (int i = 0, empty = 0; room && i < ROUNDS_MAX && empty < 2; i++) /* an error that waited looks empty once */
        empty = receive(socket, room) > 0 ? 0 : empty + 1;
    if (socket->ops->turn_ends) socket->ops->turn_ends(socket->arg);
}

static void datagrams_gone(uv_handle_t *handle)
{
    free(handle->data);
}

void yd__uv_datagrams_close(struct yd_datagrams *datagrams)
{
    struct datagrams *socket = (struct datagrams *)datagrams;
    socket->closed = true;
    if (*socket->path) (void)unlink(socket->path); /* a stale one is dealt with at the next start too */
    uv_close((uv_handle_t *)&socket->poll, datagrams_gone);
    close(socket->fd);
}
