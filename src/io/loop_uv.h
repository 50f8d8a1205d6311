/* io/loop_uv.h: what the files of the Linux loop share. Nobody else includes it. */
#ifndef IO_LOOP_UV_H
#define IO_LOOP_UV_H

#include <stdatomic.h>
#include <uv.h>

#include "io/loop_inner.h"

/* A place in a ring; a stream that waits to be flushed is in the loop's. */
struct yd__uv_link {
    struct yd__uv_link *prev, *next;
};

struct yd__uv_loop {
    struct yd_loop loop;
    uv_loop_t uv;
    uv_async_t async;     /* ends a wait from other threads */
    uv_timer_t deadline;  /* ends a wait at its time */
    int64_t asleep_since; /* 0: not in a wait, or what ended it has been seen */
    /* Bits WOKEN and PARKED. A waker sets WOKEN and rings only when it is the first to find the loop parked; the loop
     * parks, does not wait when it finds WOKEN, and clears both when the poll is over. */
    _Alignas(YD_CACHE_LINE) _Atomic uint32_t state;
    /* Stack of posts, pushed by any thread, taken whole by the loop. */
    _Alignas(YD_CACHE_LINE) _Atomic(struct yd__post *) posts;
    _Alignas(YD_CACHE_LINE) struct yd__uv_link to_flush; /* streams with something to send or to say */
    void *datagram_room;                                 /* of datagrams_uv.c, shared by its sockets */
    char *child_room;                                    /* of child_uv.c */
};

static inline struct yd__uv_loop *yd__uv(struct yd_loop *loop)
{
    return (struct yd__uv_loop *)loop;
}

/* First thing in whatever libuv calls out of its poll: the wait is over. libuv runs callbacks inside its poll and could
 * tell how long that waited only for one more system call a wait. */
static inline void yd__uv_awake(struct yd__uv_loop *uv)
{
    if (!uv->asleep_since) return;
    uv->loop.slept_ns += yd_clock_mono() - uv->asleep_since;
    uv->asleep_since = 0;
}

int yd__uv_error(int uv_error); /* a YD_E… for libuv's negative errno */
/* Sends what streams gathered, reports what ended. Run before a wait and after the callbacks. */
void yd__uv_flush_streams(struct yd__uv_loop *loop);
void yd__uv_free_datagram_room(struct yd__uv_loop *loop);

/* A descriptor that listens or receives at `at`: bound, not blocking, closed on exec. A stale Unix socket file is
 * removed if nobody answers there. join: beside those of ours that share the address. */
int yd__uv_bind(const struct yd_address *at, int type, bool join, int *ret_fd, struct yd_trail *trail);
/* IPv4 as IPv4, though it came through a socket for both. */
void yd__uv_unmap_address(struct yd_address *address);

extern const struct yd__loop_ops yd__uv_ops;
int yd__uv_listen(struct yd_loop *loop, const struct yd_address *at, const struct yd_listener_ops *ops, void *arg,
                  struct yd_listener **ret_listener, struct yd_trail *trail);
void yd__uv_listener_address(struct yd_listener *listener, struct yd_address *ret);
void yd__uv_listener_pause(struct yd_listener *listener, bool paused);
void yd__uv_listener_close(struct yd_listener *listener);
int yd__uv_connect(struct yd_loop *loop, const struct yd_address *to, const struct yd_stream_ops *ops, void *arg,
                   struct yd_stream **ret_stream, struct yd_trail *trail);
void yd__uv_stream_start(struct yd_stream *stream, const struct yd_stream_ops *ops, void *arg);
void yd__uv_stream_pause(struct yd_stream *stream, bool paused);
int yd__uv_stream_write(struct yd_stream *stream, struct yd_str bytes);
int yd__uv_stream_write_shared(struct yd_stream *stream, struct yd_str bytes, void (*release)(void *arg), void *arg);
int yd__uv_stream_send_file(struct yd_stream *stream, int fd, uint64_t offset, size_t size);
size_t yd__uv_stream_backlog(const struct yd_stream *stream);
void yd__uv_stream_limit(struct yd_stream *stream, size_t bytes);
void yd__uv_stream_shutdown(struct yd_stream *stream);
void yd__uv_stream_close(struct yd_stream *stream);
int yd__uv_stream_peek(struct yd_stream *stream, void (*peeked)(void *, struct yd_str, int), void *arg);
int yd__uv_stream_move(struct yd_stream *stream, struct yd_loop *to, void (*moved)(void *, struct yd_stream *),
                       void *arg);
int yd__uv_stream_detach(struct yd_stream *stream, int *ret_fd);
bool yd__uv_stream_peer_user(struct yd_stream *stream, uint32_t *ret_uid);
int yd__uv_datagrams_open(struct yd_loop *loop, const struct yd_address *at, const struct yd_datagrams_options *options,
                          const struct yd_datagrams_ops *ops, void *arg, struct yd_datagrams **ret,
                          struct yd_trail *trail);
void yd__uv_datagrams_address(struct yd_datagrams *datagrams, struct yd_address *ret);
void yd__uv_datagrams_pause(struct yd_datagrams *datagrams, bool paused);
int yd__uv_datagrams_send(struct yd_datagrams *datagrams, const struct yd_address *to, struct yd_str bytes);
uint64_t yd__uv_datagrams_drops(struct yd_datagrams *datagrams);
size_t yd__uv_datagrams_buffer(struct yd_datagrams *datagrams);
void yd__uv_datagrams_finish(struct yd_datagrams *datagrams);
void yd__uv_datagrams_close(struct yd_datagrams *datagrams);

#endif
