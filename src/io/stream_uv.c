/* io/stream_uv.c: listeners and streams of the Linux loop: TCP and Unix sockets.
 *
 *   reading:  readable ─▶ room() ─▶ recv ─▶ data()   while the room is filled, at most READS_A_TURN times
 *   writing:  write() gathers in `out` ─▶ end of the turn: one send ─▶ drained()
 *                                            └ the kernel is full: wait until writable
 *             shared bytes and runs of files are pieces in a queue behind `out`, and so is what is written behind them:
 *             sent from where they lie, files by sendfile
 *
 * An idle stream has no buffer of its own: the room is lent by its owner when there is something to read, and `out` is
 * freed when it is empty. Errors of a send are kept and said at the end of the turn, never from inside write().
 * A stream closed in one of its callbacks stays in memory until libuv lets go of it, in a later phase of the turn. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/loop_uv.h"

#define BACKLOG        1024 /* connections the kernel keeps for us */
#define ACCEPTS_A_TURN 64   /* then others get their turn */
#define READS_A_TURN   16
#define ACCEPT_PAUSE   (100 * YD_NS_PER_MS) /* when descriptors or memory are out */
#define SEND_AT_ONCE   ((size_t)256 << 10)  /* gathered this much: do not wait for the end of the turn */
#define SEND_UNCOPIED  ((size_t)64 << 10)   /* a write this large goes out without being gathered */
#define OUT_MIN        4096
#define PIECE_MIN      1024 /* of copied bytes: what follows it soon goes into the same one */

struct listener {
    struct yd_listener listener;
    uv_poll_t poll;
    int fd;
    bool paused, closed;
    const struct yd_listener_ops *ops;
    void *arg;
    struct yd_timer *retry;                                 /* made when it is first needed */
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* of a Unix socket: removed at the end */
};

/* Bytes that stay where they are until they are sent, or copied ones in between. */
struct piece {
    struct piece *next;
    const char *bytes; /* NULL: of the file */
    int fd;
    off_t offset;
    size_t size, capacity;      /* left; of copied bytes, from the beginning */
    void (*release)(void *arg); /* of shared bytes */
    void *arg;
    char copied[];
};

struct stream {
    struct yd_stream stream;
    struct yd__uv_link to_flush; /* not in the ring: next is NULL */
    uv_poll_t poll;
    int fd, events, error;
    bool connecting, started, paused, ended, blocked, drained, shutdown, shut, closed;
    const struct yd_stream_ops *ops;
    void *arg;
    void (*peeked)(void *arg, struct yd_str bytes, int error);
    void *peeked_arg;
    char *out; /* gathered: out_from up to out_to are not with the kernel yet */
    size_t out_from, out_to, out_capacity, limit;
    struct piece *pieces, **last_piece; /* behind `out` */
    size_t piece_bytes;
};

static struct stream *of(const struct yd_stream *stream)
{
    return (struct stream *)(uintptr_t)stream;
}
static struct yd__uv_loop *loop_of(struct stream *stream)
{
    return yd__uv(stream->stream.loop);
}

/* ---- sockets ---- */

void yd__uv_unmap_address(struct yd_address *address)
{
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address->storage;
    if (address->size != sizeof *in6 || in6->sin6_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) return;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = in6->sin6_port};
    memcpy(&in.sin_addr, in6->sin6_addr.s6_addr + 12, 4);
    memset(&address->storage, 0, sizeof address->storage);
    memcpy(&address->storage, &in, sizeof in);
    address->size = sizeof in;
}

static bool is_wildcard(const struct yd_address *address)
{
    return address->storage.ss_family == AF_INET6 &&
           IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)&address->storage)->sin6_addr);
}

/* Nobody answers at this socket file: it is left from one who died. */
static bool is_stale(const struct yd_address *at, int type)
{
    struct stat now;
    if (lstat(((const struct sockaddr_un *)&at->storage)->sun_path, &now) || !S_ISSOCK(now.st_mode)) return false;
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return false;
    bool stale = connect(fd, (const struct sockaddr *)&at->storage, at->size) && errno == ECONNREFUSED;
    close(fd);
    return stale;
}

static int bind_at(const struct yd_address *at, int type, bool join)
{
    int on = 1, off = 0, fd = socket(at->storage.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -errno;
    if (is_wildcard(at)) (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    /* A group has as many listeners as want to listen. */
    if (type == SOCK_STREAM || yd_address_multicast(at)) (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (join) (void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on); /* without it bind says why not */
    if (bind(fd, (const struct sockaddr *)&at->storage, at->size) == 0) return fd;
    int error = errno;
    if (error == EADDRINUSE && at->storage.ss_family == AF_UNIX && is_stale(at, type)) {
        (void)unlink(((const struct sockaddr_un *)&at->storage)->sun_path); /* bind says if it is still there */
        if (bind(fd, (const struct sockaddr *)&at->storage, at->size) == 0) return fd;
        error = errno;
    }
    close(fd);
    return -error;
}

int yd__uv_bind(const struct yd_address *at, int type, bool join, int *ret_fd, struct yd_trail *trail)
{
    int fd = bind_at(at, type, join);
    if ((fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL) && is_wildcard(at)) { /* a machine without IPv6 */
        struct yd_address v4 = {.size = sizeof(struct sockaddr_in)};
        ((struct sockaddr_in *)&v4.storage)->sin_family = AF_INET;
        ((struct sockaddr_in *)&v4.storage)->sin_port = ((const struct sockaddr_in6 *)&at->storage)->sin6_port;
        fd = bind_at(&v4, type, join);
    }
    if (fd < 0) {
        char text[160];
        yd_address_put(at, text, sizeof text);
        return yd_trail_add(trail, yd_error_from_errno(-fd), "cannot listen on %s: %s", text, strerror(-fd));
    }
    *ret_fd = fd;
    return 0;
}

/* Small writes leave at once, and a peer that vanished without a word (power, a cable) is found to be gone two minutes
 * later: without asking it a side that only reads would wait for ever. */
static void be_prompt(int fd, int family)
{
    int on = 1, idle = 60, every = 10, times = 6;
    if (family != AF_INET && family != AF_INET6) return;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof every);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &times, sizeof times);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

/* ---- gathering and sending ---- */

static void want_flush(struct stream *stream)
{
    struct yd__uv_link *link = &stream->to_flush, *ring = &loop_of(stream)->to_flush;
    if (link->next) return;
    link->prev = ring->prev, link->next = ring;
    ring->prev->next = link, ring->prev = link;
}

static void leave_ring(struct yd__uv_link *link)
{
    if (!link->next) return;
    link->prev->next = link->next, link->next->prev = link->prev;
    link->prev = link->next = NULL;
}

static void on_poll(uv_poll_t *poll, int status, int events);

/* Polls for what is wanted now, and for nothing else: an unwanted readable stream would spin the loop. */
static void update_poll(struct stream *stream)
{
    int events = 0;
    if (stream->closed || stream->fd < 0) return;
    if (stream->connecting || stream->blocked) events |= UV_WRITABLE;
    if (stream->started && !stream->paused && !stream->ended && !stream->connecting) events |= UV_READABLE;
    if (stream->peeked) events |= UV_READABLE;
    if (events == stream->events) return;
    stream->events = events;
    (void)(events ? uv_poll_start(&stream->poll, events, on_poll) : uv_poll_stop(&stream->poll));
}

static ssize_t sent_or_not(struct stream *stream, ssize_t sent)
{
    if (sent >= 0) return sent;
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
        stream->blocked = true;
        return 0;
    }
    stream->error = errno == EPIPE ? YD_ECONNRESET : yd_error_from_errno(errno);
    return -1;
}

static ssize_t send_bytes(struct stream *stream, const char *data, size_t size, int more)
{
    ssize_t sent;
    do sent = send(stream->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT | more);
    while (sent < 0 && errno == EINTR);
    return sent_or_not(stream, sent);
}

static ssize_t send_of_file(struct stream *stream, struct piece *piece)
{
    ssize_t sent;
    do sent = sendfile(stream->fd, piece->fd, &piece->offset, piece->size);
    while (sent < 0 && errno == EINTR);
    if (sent == 0) { /* shorter than it was: what was promised cannot be sent */
        stream->error = YD_EIO;
        return -1;
    }
    return sent_or_not(stream, sent);
}

static void drop_piece(struct stream *stream)
{
    struct piece *piece = stream->pieces;
    stream->pieces = piece->next;
    if (!stream->pieces) stream->last_piece = &stream->pieces;
    stream->piece_bytes -= piece->size;
    if (piece->release) piece->release(piece->arg);
    if (piece->fd >= 0) close(piece->fd);
    free(piece);
}

static void send_pieces(struct stream *stream)
{
    while (stream->pieces && !stream->blocked && !stream->error) {
        struct piece *piece = stream->pieces;
        ssize_t sent = piece->bytes ? send_bytes(stream, piece->bytes, piece->size, piece->next ? MSG_MORE : 0)
                                    : send_of_file(stream, piece);
        if (sent <= 0) continue; /* blocked, or an error */
        if (piece->bytes) piece->bytes += sent;
        piece->size -= (size_t)sent;
        stream->piece_bytes -= (size_t)sent;
        if (piece->size == 0) drop_piece(stream);
    }
}

static struct piece *add_piece(struct stream *stream, size_t capacity)
{
    struct piece *piece = malloc(sizeof *piece + capacity);
    if (!piece) return NULL;
    *piece = (struct piece){.fd = -1, .capacity = capacity};
    *stream->last_piece = piece;
    stream->last_piece = &piece->next;
    return piece;
}

/* Behind pieces: copied into the last one when that has room. */
static int gather_behind(struct stream *stream, const char *data, size_t size)
{
    struct piece *last = YD_CONTAINER(stream->last_piece, struct piece, next);
    char *end = last->bytes ? (char *)(uintptr_t)last->bytes + last->size : NULL;
    if (!last->capacity || (size_t)(last->copied + last->capacity - end) < size) {
        last = add_piece(stream, YD_MAX(size, PIECE_MIN));
        if (!last) return YD_ENOMEM;
        last->bytes = end = last->copied;
    }
    memcpy(end, data, size);
    last->size += size;
    stream->piece_bytes += size;
    return 0;
}

static size_t waiting_bytes(const struct stream *stream)
{
    return stream->out_to - stream->out_from + stream->piece_bytes;
}

static void forget_out(struct stream *stream)
{
    free(stream->out);
    stream->out = NULL;
    stream->out_from = stream->out_to = stream->out_capacity = 0;
}

/* Sends what is gathered as far as the kernel takes it. Calls nobody back but the owners of shared bytes. */
static void send_out(struct stream *stream)
{
    bool had = stream->out || stream->pieces;
    while (stream->out_from < stream->out_to && !stream->blocked && !stream->connecting && !stream->error) {
        ssize_t sent = send_bytes(stream, stream->out + stream->out_from, stream->out_to - stream->out_from,
                                  stream->pieces ? MSG_MORE : 0);
        if (sent > 0) stream->out_from += (size_t)sent;
    }
    if (!stream->connecting && stream->out_from == stream->out_to) send_pieces(stream);
    if (stream->error) {
        forget_out(stream);
        while (stream->pieces) drop_piece(stream);
    } else if (stream->out && stream->out_from == stream->out_to) {
        forget_out(stream);
    }
    if (had && !stream->error && !stream->out && !stream->pieces) stream->drained = true;
}

static int gather(struct stream *stream, const char *data, size_t size)
{
    size_t waiting = stream->out_to - stream->out_from;
    if (stream->out_from && stream->out_capacity - stream->out_to < size &&
        stream->out_from >= stream->out_capacity / 2) {
        memmove(stream->out, stream->out + stream->out_from, waiting); /* at most once per half of the buffer */
        stream->out_from = 0, stream->out_to = waiting;
    }
    if (stream->out_capacity - stream->out_to < size) {
        size_t capacity = YD_MAX(YD_MAX(stream->out_capacity * 2, stream->out_to + size), OUT_MIN);
        char *out = realloc(stream->out, capacity);
        if (!out) return YD_ENOMEM;
        stream->out = out, stream->out_capacity = capacity;
    }
    memcpy(stream->out + stream->out_to, data, size);
    stream->out_to += size;
    return 0;
}

int yd__uv_stream_write(struct yd_stream *public, struct yd_str bytes)
{
    struct stream *stream = of(public);
    size_t waiting = waiting_bytes(stream);
    if (stream->error || stream->shutdown || stream->closed) return YD_ECLOSED;
    if (waiting && (waiting > stream->limit || bytes.size > stream->limit - waiting)) return YD_EFULL;
    if (bytes.size == 0) return 0;
    size_t sent = 0;
    if (!waiting && bytes.size >= SEND_UNCOPIED && !stream->connecting) {
        ssize_t taken = send_bytes(stream, bytes.data, bytes.size, 0);
        want_flush(stream); /* says `ended` or `drained`, polls when it is blocked */
        if (taken < 0) return YD_ECLOSED;
        sent = (size_t)taken;
        if (sent == bytes.size) {
            stream->drained = true;
            return 0;
        }
    }
    int error = stream->pieces ? gather_behind(stream, bytes.data, bytes.size)
                               : gather(stream, bytes.data + sent, bytes.size - sent);
    if (error && sent) { /* half a write cannot be taken back: the connection is spoilt */
        stream->error = error;
        forget_out(stream);
        return YD_ECLOSED;
    }
    if (error) return error;
    if (waiting_bytes(stream) >= SEND_AT_ONCE && !stream->blocked) send_out(stream);
    want_flush(stream);
    return stream->error ? YD_ECLOSED : 0;
}

static int take_piece(struct stream *stream, size_t size)
{
    size_t waiting = waiting_bytes(stream);
    if (stream->error || stream->shutdown || stream->closed) return YD_ECLOSED;
    return waiting && (waiting > stream->limit || size > stream->limit - waiting) ? YD_EFULL : 0;
}

static void queued_piece(struct stream *stream, size_t size)
{
    stream->piece_bytes += size;
    if (waiting_bytes(stream) >= SEND_AT_ONCE && !stream->blocked && !stream->connecting) send_out(stream);
    want_flush(stream); /* an error is said as `ended` */
}

int yd__uv_stream_write_shared(struct yd_stream *public, struct yd_str bytes, void (*release)(void *arg), void *arg)
{
    struct stream *stream = of(public);
    int error = take_piece(stream, bytes.size);
    if (error) return error;
    if (bytes.size == 0) {
        release(arg);
        return 0;
    }
    struct piece *piece = add_piece(stream, 0);
    if (!piece) return YD_ENOMEM;
    piece->bytes = bytes.data;
    piece->size = bytes.size;
    piece->release = release;
    piece->arg = arg;
    queued_piece(stream, bytes.size);
    return 0;
}

int yd__uv_stream_send_file(struct yd_stream *public, int fd, uint64_t offset, size_t size)
{
    struct stream *stream = of(public);
    int error = take_piece(stream, size);
    if (error || size == 0) return error;
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0) return yd_error_from_errno(errno);
    struct piece *piece = add_piece(stream, 0);
    if (!piece) {
        close(own);
        return YD_ENOMEM;
    }
    piece->fd = own;
    piece->offset = (off_t)offset;
    piece->size = size;
    queued_piece(stream, size);
    return 0;
}

size_t yd__uv_stream_backlog(const struct yd_stream *stream)
{
    return waiting_bytes(of(stream));
}
void yd__uv_stream_limit(struct yd_stream *stream, size_t bytes)
{
    of(stream)->limit = bytes;
}

void yd__uv_stream_shutdown(struct yd_stream *stream)
{
    of(stream)->shutdown = true;
    want_flush(of(stream));
}

/* ---- saying what happened ---- */

static void say_ended(struct stream *stream, int error)
{
    if (stream->ended || stream->closed) return;
    if (error != YD_EEOF) stream->error = error;
    if (stream->peeked) {
        void (*peeked)(void *arg, struct yd_str bytes, int why) = stream->peeked;
        stream->peeked = NULL;
        update_poll(stream);
        loop_of(stream)->loop.callbacks++;
        peeked(stream->peeked_arg, (struct yd_str){NULL, 0}, error);
        return;
    }
    if (!stream->started) return; /* kept in `error`, said when it is started */
    stream->ended = true;
    update_poll(stream);
    loop_of(stream)->loop.callbacks++;
    stream->ops->ended(stream->arg, error);
}

static void flush(struct stream *stream)
{
    send_out(stream);
    if (stream->error) {
        stream->blocked = false;
        update_poll(stream);
        say_ended(stream, stream->error);
        return;
    }
    if (stream->shutdown && !stream->shut && !stream->out && !stream->pieces && !stream->connecting) {
        stream->shut = true;
        (void)shutdown(stream->fd, SHUT_WR); /* if it is gone, reading says so */
    }
    update_poll(stream);
    if (!stream->drained) return;
    stream->drained = false;
    if (!stream->ops || !stream->ops->drained) return;
    loop_of(stream)->loop.callbacks++;
    stream->ops->drained(stream->arg);
}

void yd__uv_flush_streams(struct yd__uv_loop *loop)
{
    struct yd__uv_link ring = loop->to_flush; /* those of now; who writes in a callback comes next time */
    if (ring.next == &loop->to_flush) return;
    ring.next->prev = ring.prev->next = &ring;
    loop->to_flush.prev = loop->to_flush.next = &loop->to_flush;
    while (ring.next != &ring) {
        struct yd__uv_link *link = ring.next;
        leave_ring(link);
        flush(YD_CONTAINER(link, struct stream, to_flush));
    }
}

static void read_ready(struct stream *stream)
{
    for (int i = 0; i < READS_A_TURN; i++) {
        char *to = NULL;
        size_t size = 0;
        stream->ops->room(stream->arg, &to, &size);
        if (stream->closed || stream->paused) return;
        if (!to || !size) {
            stream->paused = true;
            return;
        }
        ssize_t got;
        do got = recv(stream->fd, to, size, MSG_DONTWAIT);
        while (got < 0 && errno == EINTR);
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
        if (got <= 0) {
            say_ended(stream, got ? yd_error_from_errno(errno) : YD_EEOF);
            return;
        }
        loop_of(stream)->loop.callbacks++;
        stream->ops->data(stream->arg, (size_t)got);
        if (stream->closed || stream->paused || stream->ended || (size_t)got < size) return;
    }
}

static void peek_ready(struct stream *stream)
{
    char bytes[YD__PEEK_SIZE];
    ssize_t got;
    do got = recv(stream->fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (got <= 0) {
        say_ended(stream, got ? yd_error_from_errno(errno) : YD_EEOF);
        return;
    }
    void (*peeked)(void *arg, struct yd_str seen, int error) = stream->peeked;
    stream->peeked = NULL;
    update_poll(stream);
    loop_of(stream)->loop.callbacks++;
    peeked(stream->peeked_arg, (struct yd_str){bytes, (size_t)got}, 0);
}

static void connect_ready(struct stream *stream)
{
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &error, &size)) error = errno;
    stream->connecting = false;
    if (error) {
        say_ended(stream, yd_error_from_errno(error));
        return;
    }
    if (stream->out || stream->pieces || stream->shutdown) want_flush(stream);
    if (!stream->ops->connected) return;
    loop_of(stream)->loop.callbacks++;
    stream->ops->connected(stream->arg);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct stream *stream = poll->data;
    yd__uv_awake(loop_of(stream));
    if (status) { /* an error waits in the socket: libuv has stopped polling; whoever calls next is told */
        stream->events = 0;
        events = UV_READABLE | UV_WRITABLE;
    }
    if (stream->connecting) {
        if (events & UV_WRITABLE) connect_ready(stream);
    } else {
        if (stream->blocked && (events & UV_WRITABLE)) {
            stream->blocked = false;
            want_flush(stream); /* at the end of this turn */
        }
        if (stream->peeked && (events & UV_READABLE)) {
            peek_ready(stream);
        } else if (stream->started && !stream->paused && !stream->ended && (events & UV_READABLE)) {
            read_ready(stream);
        }
    }
    if (!stream->closed) update_poll(stream);
}

/* ---- life of a stream ---- */

static int new_stream(struct yd__uv_loop *loop, int fd, struct stream **ret_stream)
{
    struct stream *stream = calloc(1, sizeof *stream);
    if (!stream) return YD_ENOMEM;
    int error = uv_poll_init(&loop->uv, &stream->poll, fd);
    if (error) {
        free(stream);
        return yd__uv_error(error);
    }
    stream->stream.loop = &loop->loop;
    stream->stream.ops = loop->loop.ops;
    stream->poll.data = stream;
    stream->fd = fd;
    stream->limit = YD__STREAM_LIMIT;
    stream->last_piece = &stream->pieces;
    *ret_stream = stream;
    return 0;
}

void yd__uv_stream_start(struct yd_stream *public, const struct yd_stream_ops *ops, void *arg)
{
    struct stream *stream = of(public);
    stream->ops = ops, stream->arg = arg;
    stream->started = true;
    if (stream->error) want_flush(stream);
    update_poll(stream);
}

void yd__uv_stream_pause(struct yd_stream *stream, bool paused)
{
    of(stream)->paused = paused;
    update_poll(of(stream));
}

static void stream_gone(uv_handle_t *handle)
{
    free(handle->data);
}

static void let_go(struct stream *stream)
{
    stream->closed = true;
    leave_ring(&stream->to_flush);
    forget_out(stream);
    while (stream->pieces) drop_piece(stream);
    uv_close((uv_handle_t *)&stream->poll, stream_gone);
}

void yd__uv_stream_close(struct yd_stream *public)
{
    struct stream *stream = of(public);
    send_out(stream);
    let_go(stream); /* out of the poller first, then the descriptor's number may be used again */
    close(stream->fd);
}

int yd__uv_stream_peek(struct yd_stream *public, void (*peeked)(void *, struct yd_str, int), void *arg)
{
    struct stream *stream = of(public);
    if (stream->started || stream->peeked) return YD_EINVAL;
    stream->peeked = peeked, stream->peeked_arg = arg;
    if (stream->error) want_flush(stream);
    update_poll(stream);
    return 0;
}

int yd__uv_stream_detach(struct yd_stream *public, int *ret_fd)
{
    struct stream *stream = of(public);
    if (stream->started || stream->out || stream->pieces) return YD_EINVAL;
    *ret_fd = stream->fd;
    let_go(stream);
    return 0;
}

struct move {
    struct yd__post post;
    struct yd_loop *to;
    int fd;
    void (*moved)(void *arg, struct yd_stream *stream);
    void *arg;
};

static void arrives(void *arg) /* in the other loop */
{
    struct move move = *(struct move *)arg;
    struct stream *stream = NULL;
    free(arg);
    if (new_stream(yd__uv(move.to), move.fd, &stream)) close(move.fd);
    move.to->callbacks++;
    move.moved(move.arg, stream ? &stream->stream : NULL);
}

int yd__uv_stream_move(struct yd_stream *public, struct yd_loop *to, void (*moved)(void *, struct yd_stream *),
                       void *arg)
{
    struct stream *stream = of(public);
    if (stream->started || stream->out || stream->pieces || stream->error) return YD_EINVAL;
    struct move *move = malloc(sizeof *move);
    if (!move) return YD_ENOMEM;
    *move = (struct move){.post = {.fn = arrives, .arg = move}, .to = to, .fd = stream->fd, .moved = moved, .arg = arg};
    let_go(stream); /* out of this poller before it is in the other */
    yd__loop_post_own(to, &move->post);
    return 0;
}

bool yd__uv_stream_peer_user(struct yd_stream *stream, uint32_t *ret_uid)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(of(stream)->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) || peer.uid == (uid_t)-1) return false;
    *ret_uid = peer.uid;
    return true;
}

int yd__uv_connect(struct yd_loop *loop, const struct yd_address *to, const struct yd_stream_ops *ops, void *arg,
                   struct yd_stream **ret_stream, struct yd_trail *trail)
{
    struct stream *stream = NULL;
    char text[160];
    yd_address_put(to, text, sizeof text);
    int fd = socket(to->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return yd_trail_add(trail, yd_error_from_errno(errno), "cannot connect to %s: %s", text, strerror(errno));
    be_prompt(fd, to->storage.ss_family);
    int error = new_stream(yd__uv(loop), fd, &stream);
    if (error) {
        close(fd);
        return yd_trail_add(trail, error, "cannot connect to %s: %s", text, yd_error_text(error));
    }
    stream->ops = ops, stream->arg = arg;
    stream->started = stream->connecting = true;
    /* A refusal may come at once (Unix sockets): it is said in a turn of the loop like any other. */
    if (connect(fd, (const struct sockaddr *)&to->storage, to->size) && errno != EINPROGRESS && errno != EINTR) {
        stream->connecting = false;
        stream->error = errno == EAGAIN ? YD_EBUSY : yd_error_from_errno(errno);
        want_flush(stream);
    }
    update_poll(stream);
    *ret_stream = &stream->stream;
    return 0;
}

/* ---- listeners ---- */

static void accept_ready(uv_poll_t *poll, int status, int events);

static void update_listener(struct listener *listener, bool listens)
{
    (void)(listens ? uv_poll_start(&listener->poll, UV_READABLE, accept_ready) : uv_poll_stop(&listener->poll));
}

static void accept_again(void *arg)
{
    struct listener *listener = arg;
    if (!listener->paused) update_listener(listener, true);
}

/* Out of descriptors or memory: the connection stays in the kernel's backlog and would keep the poller spinning. */
static void accept_later(struct listener *listener)
{
    struct yd_loop *loop = listener->listener.loop;
    if (!listener->retry && yd_timer_create(loop, accept_again, listener, &listener->retry)) return;
    update_listener(listener, false);
    yd_timer_start(listener->retry, yd_loop_mono(loop) + ACCEPT_PAUSE);
}

static void accept_ready(uv_poll_t *poll, int status, int events)
{
    struct listener *listener = poll->data;
    struct yd__uv_loop *loop = yd__uv(listener->listener.loop);
    (void)events;
    yd__uv_awake(loop);
    if (status) accept_later(listener);
    for (int i = 0; i < ACCEPTS_A_TURN && !listener->closed && !listener->paused; i++) {
        struct yd_address peer = {.size = sizeof peer.storage};
        struct stream *stream = NULL;
        int fd = accept4(listener->fd, (struct sockaddr *)&peer.storage, &peer.size, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
            accept_later(listener);
            return;
        }
        if (fd < 0) continue; /* that connection failed while it waited */
        be_prompt(fd, peer.storage.ss_family);
        yd__uv_unmap_address(&peer);
        if (new_stream(loop, fd, &stream)) {
            close(fd);
            accept_later(listener);
            return;
        }
        loop->loop.callbacks++;
        listener->ops->accept(listener->arg, &stream->stream, &peer);
    }
}

int yd__uv_listen(struct yd_loop *loop, const struct yd_address *at, const struct yd_listener_ops *ops, void *arg,
                  struct yd_listener **ret_listener, struct yd_trail *trail)
{
    int fd;
    int error = yd__uv_bind(at, SOCK_STREAM, false, &fd, trail);
    if (error) return error;
    struct listener *listener = calloc(1, sizeof *listener);
    if (!listener) error = YD_ENOMEM;
    if (!error && listen(fd, BACKLOG)) error = yd_error_from_errno(errno);
    if (!error) error = yd__uv_error(uv_poll_init(&yd__uv(loop)->uv, &listener->poll, fd));
    if (error) {
        free(listener);
        close(fd);
        return yd_trail_add(trail, error, "cannot listen: %s", yd_error_text(error));
    }
    listener->listener.loop = loop;
    listener->poll.data = listener;
    listener->fd = fd;
    listener->ops = ops, listener->arg = arg;
    if (at->storage.ss_family == AF_UNIX) strcpy(listener->path, ((const struct sockaddr_un *)&at->storage)->sun_path);
    update_listener(listener, true);
    *ret_listener = &listener->listener;
    return 0;
}

void yd__uv_listener_address(struct yd_listener *listener, struct yd_address *ret)
{
    ret->size = sizeof ret->storage;
    YD_ASSERT(getsockname(((struct listener *)listener)->fd, (struct sockaddr *)&ret->storage, &ret->size) == 0);
}

void yd__uv_listener_pause(struct yd_listener *public, bool paused)
{
    struct listener *listener = (struct listener *)public;
    listener->paused = paused;
    update_listener(listener, !paused);
}

static void listener_gone(uv_handle_t *handle)
{
    free(handle->data);
}

void yd__uv_listener_close(struct yd_listener *public)
{
    struct listener *listener = (struct listener *)public;
    listener->closed = true;
    yd_timer_close(listener->retry);
    if (*listener->path) (void)unlink(listener->path); /* a stale one is dealt with at the next start too */
    uv_close((uv_handle_t *)&listener->poll, listener_gone);
    close(listener->fd);
}
