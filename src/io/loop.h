/* io/loop.h: the seam to time, randomness, sockets and child processes.
 *
 * `struct yd_loop` is one event loop, owned by one thread (an executor); only yd_loop_wake and yd_loop_post may be
 * called from others. yd_loop_create_uv() is the Linux one, on libuv; io/sim_net.h has the simulated one: seeded, on a
 * virtual clock, all loops of a simulation in one thread. Callbacks run inside yd_loop_run, in the loop's thread.
 * Handles are destroyed by their close function; their memory goes when the loop has let go of them. */
#ifndef IO_LOOP_H
#define IO_LOOP_H

#include <sys/socket.h>

#include "base/alloc.h"
#include "base/text.h"

struct yd_loop;
struct yd_file;

/* ---- clock and randomness ---- */
int64_t yd_loop_mono(struct yd_loop *loop); /* ns, never steps; cached once per loop turn */
int64_t yd_loop_wall(struct yd_loop *loop); /* ns since 1970 UTC, may step; cached once per loop turn */
uint64_t yd_loop_random(struct yd_loop *loop);
int64_t yd_clock_mono(void); /* Linux, uncached, any thread: for programs and benchmarks, not for receive */
int64_t yd_clock_wall(void);

/* ---- life ---- */
int yd_loop_create_uv(struct yd_loop **ret_loop);
void yd_loop_destroy(struct yd_loop *loop); /* all handles must be closed */
/* Polls once and runs what is ready. timeout_ns 0: does not wait; < 0: until something happens. Returns the number of
 * callbacks run. yd_loop_wake ends the wait, the next one if none is going on. Waits are rounded up to milliseconds.
 * YD_ENOTSUP for a simulated loop: its simulation runs it. */
int yd_loop_run(struct yd_loop *loop, int64_t timeout_ns);
void yd_loop_wake(struct yd_loop *loop); /* any thread; coalesced */
/* How long it has waited in its poller, ever: what it did after something came is not in it. Its thread; simulated: 0.
 */
int64_t yd_loop_slept(const struct yd_loop *loop);
/* Runs fn(arg) in the loop's thread, soon. Any thread. */
int yd_loop_post(struct yd_loop *loop, void (*fn)(void *arg), void *arg);

/* ---- timers: one-shot ---- */
struct yd_timer;
int yd_timer_create(struct yd_loop *loop, void (*fire)(void *arg), void *arg, struct yd_timer **ret_timer);
void yd_timer_start(struct yd_timer *timer, int64_t mono_ns); /* at this monotonic time; again: moves it */
void yd_timer_stop(struct yd_timer *timer);
void yd_timer_close(struct yd_timer *timer); /* NULL is quiet */

/* ---- addresses: "127.0.0.1:2003", "[::1]:2003", ":2003" (all interfaces), "unix:/path" ---- */
struct yd_address {
    struct sockaddr_storage storage;
    socklen_t size;
};
int yd_address_parse(struct yd_str text, struct yd_address *ret,
                     struct yd_trail *trail);      /* numeric hosts and localhost */
struct yd_str yd_address_host(struct yd_str text); /* what yd_address_put writes, without the port */
/* For who connects: HOST may be a name, too. Without looking it up: */
int yd_address_check(struct yd_str text, bool *ret_named, struct yd_trail *trail);
/* Looks a name up, which blocks: from a file thread (yd_lane_submit), never from a loop. Of a host with several
 * addresses the attempt'th, round and round. YD_ENOENT: nobody has that name; YD_ETIMEOUT: nobody answers. */
int yd_address_find(struct yd_loop *loop, struct yd_str text, unsigned attempt, struct yd_address *ret,
                    struct yd_trail *trail);
size_t yd_address_put(const struct yd_address *address, char *to, size_t size); /* as parsed; text, terminated */
bool yd_address_loopback(const struct yd_address *address);                     /* also every unix: path */
bool yd_address_multicast(const struct yd_address *address);

/* ---- streams: TCP and Unix ---- */
struct yd_listener;
struct yd_stream;
struct yd_listener_ops {
    /* A connection: the callee owns `stream` and must close it. */
    void (*accept)(void *arg, struct yd_stream *stream, const struct yd_address *peer);
};
int yd_listen(struct yd_loop *loop, const struct yd_address *at, const struct yd_listener_ops *ops, void *arg,
              struct yd_listener **ret_listener, struct yd_trail *trail);
void yd_listener_address(struct yd_listener *listener, struct yd_address *ret); /* with the real port */
void yd_listener_pause(struct yd_listener *listener, bool paused); /* stop accepting: the kernel's backlog waits */
void yd_listener_close(struct yd_listener *listener);

struct yd_stream_ops {
    /* Where to read into: the callee lends at least one byte until the next `data`. NULL ret: no memory now, the
     * stream pauses itself. */
    void (*room)(void *arg, char **ret_to, size_t *ret_size);
    void (*data)(void *arg, size_t size); /* this much was read into the room */
    void (*ended)(void *arg, int error);  /* YD_EEOF in order, else why; no more data. Still to be closed */
    void (*drained)(void *arg);           /* a backlog there was has left for the kernel; may be NULL */
    void (*connected)(void *arg);         /* of yd_connect: before any other; may be NULL */
};
int yd_connect(struct yd_loop *loop, const struct yd_address *to, const struct yd_stream_ops *ops, void *arg,
               struct yd_stream **ret_stream, struct yd_trail *trail); /* errors of connecting come as `ended` */
void yd_stream_start(struct yd_stream *stream, const struct yd_stream_ops *ops, void *arg); /* begin reading */
void yd_stream_pause(struct yd_stream *stream, bool paused);
/* Copies and queues; what is written in one turn leaves in one system call at its end. YD_EFULL when it does not fit
 * behind what waits already within `limit` (a peer that does not read; nothing of it is taken; with nothing waiting any
 * size fits), YD_ECLOSED after an error or a shutdown. */
int yd_stream_write(struct yd_stream *stream, struct yd_str bytes);
/* Queues bytes of a file behind what was written: sendfile where the stream can (TCP, Unix), copied where it cannot
 * (TLS, the simulator). The file must stay as it is there until `drained` or the close; the stream has a reference of
 * its own: it dups the descriptor (file may be closed on return). Counts in the backlog and against the limit. Pages
 * that are not in the page cache block the loop: ask yd_file_resident first, and read them on a file thread when they
 * are not. */
int yd_stream_send_file(struct yd_stream *stream, struct yd_file *file, uint64_t offset, size_t size);
/* Bytes that the caller keeps unchanged until release(arg) is called, once, in the loop's thread: not copied where the
 * stream can do without. On failure release is not called. */
int yd_stream_write_shared(struct yd_stream *stream, struct yd_str bytes, void (*release)(void *arg), void *arg);
size_t yd_stream_backlog(const struct yd_stream *stream);     /* bytes not yet with the kernel */
void yd_stream_limit(struct yd_stream *stream, size_t bytes); /* default 16 MiB */
void yd_stream_shutdown(struct yd_stream *stream);            /* end our side once all is written */
/* NULL is quiet; no callback after it. What has not left yet is tried once more, then forgotten. */
void yd_stream_close(struct yd_stream *stream);
/* Once: waits for the first bytes of a fresh stream and shows up to 64 of them without consuming any (MSG_PEEK), so
 * that the first byte can decide who gets the connection. error as in `ended`, with no bytes. */
int yd_stream_peek(struct yd_stream *stream, void (*peeked)(void *arg, struct yd_str bytes, int error), void *arg);
/* A fresh stream, before yd_stream_start, goes to another loop of the same kind: moved(arg, stream) is called there, in
 * that loop's thread; NULL: it could not live there, and is closed. An error: it stays as it was. */
int yd_stream_move(struct yd_stream *stream, struct yd_loop *to, void (*moved)(void *arg, struct yd_stream *stream),
                   void *arg);
/* Takes the descriptor out (for an HTTP library) and closes the stream without closing it. Before
 * yd_stream_start only. YD_ENOTSUP in the simulator. */
int yd_stream_detach(struct yd_stream *stream, int *ret_fd);
bool yd_stream_peer_user(struct yd_stream *stream, uint32_t *ret_uid); /* Unix sockets: SO_PEERCRED */

/* ---- datagrams ---- */
struct yd_datagrams;
struct yd_datagram {
    struct yd_str bytes; /* until the callback returns */
    struct yd_address from;
    int64_t time_ns; /* the kernel's receive stamp, since 1970 UTC */
};
struct yd_datagrams_ops {
    void (*received)(void *arg, const struct yd_datagram *datagrams, size_t count, uint64_t kernel_drops_total);
    void (*turn_ends)(void *arg); /* after one or more of `received`: what was there has come; may be NULL */
};
/* Several sockets, each in a loop of its own, can share one address: what one sender sends comes to one of them, and
 * stays in order. The first is bound as if it were alone, so that nobody who is there already is robbed of half of it;
 * the others join it. Not for unix: and multicast addresses. */
enum yd_datagrams_share { YD_DATAGRAMS_ALONE, YD_DATAGRAMS_FIRST, YD_DATAGRAMS_JOIN };
struct yd_datagrams_options {
    size_t receive_buffer; /* what the kernel is asked to keep until it is read; 0: 8 MiB. It may give less */
    const char *interface; /* of a multicast address: who is joined at; NULL: as the kernel routes */
    enum yd_datagrams_share share;
};
int yd_datagrams_open(struct yd_loop *loop, const struct yd_address *at, const struct yd_datagrams_ops *ops, void *arg,
                      struct yd_datagrams **ret, struct yd_trail *trail); /* recvmmsg, up to 64 at a time */
/* A multicast address is joined, and shared with others on this machine. YD_ENOTSUP for those in the simulator. */
int yd_datagrams_open_with(struct yd_loop *loop, const struct yd_address *at,
                           const struct yd_datagrams_options *options, const struct yd_datagrams_ops *ops, void *arg,
                           struct yd_datagrams **ret, struct yd_trail *trail);
uint64_t yd_datagrams_drops(struct yd_datagrams *datagrams); /* by the kernel so far, also when nothing came since */
size_t yd_datagrams_buffer(struct yd_datagrams *datagrams);  /* as large as the kernel made it */
/* Lets no more in, and gives out what is there (and the drops before it) ere it returns. Then close it. */
void yd_datagrams_finish(struct yd_datagrams *datagrams);
void yd_datagrams_address(struct yd_datagrams *datagrams, struct yd_address *ret);
void yd_datagrams_pause(struct yd_datagrams *datagrams, bool paused);
int yd_datagrams_send(struct yd_datagrams *datagrams, const struct yd_address *to, struct yd_str bytes);
void yd_datagrams_close(struct yd_datagrams *datagrams);

/* ---- any descriptor (an HTTP library's epoll); Linux only ---- */
struct yd_watch;
int yd_watch_open(struct yd_loop *loop, int fd, void (*ready)(void *arg), void *arg, struct yd_watch **ret_watch);
void yd_watch_close(struct yd_watch *watch); /* the descriptor stays open */

/* ---- child processes ---- */
struct yd_child;
struct yd_child_ops {
    void (*output)(void *arg, struct yd_str bytes, bool is_stderr);
    void (*exited)(void *arg, int64_t status, int signal); /* after all output */
};
int yd_child_start(struct yd_loop *loop, const char *const *argv, const struct yd_child_ops *ops, void *arg,
                   struct yd_child **ret_child, struct yd_trail *trail);
/* To its standard input: copies and queues, YD_EFULL beyond 16 MiB, YD_ECLOSED. */
int yd_child_write(struct yd_child *child, struct yd_str bytes);
void yd_child_end_input(struct yd_child *child); /* closes its standard input once all is written */
void yd_child_kill(struct yd_child *child, int signal);
void yd_child_close(struct yd_child *child); /* kills it if it lives; no callback after it */

/* ---- signals of the process ---- */
struct yd_signal;
int yd_signal_open(struct yd_loop *loop, int signal, void (*fire)(void *arg, int signal), void *arg,
                   struct yd_signal **ret_signal);
void yd_signal_close(struct yd_signal *signal);

#endif
