/* io/loop_inner.h: what the loops have in common: dispatch, cached clocks, the heap of timers. Nobody else includes it.
 *
 *   loop.c        the functions of loop.h: dispatch by the loop's table; timers, the same for both kinds
 *   address.c     addresses as text              names.c         host names, looked up
 *   loop_uv.c     the Linux loop on libuv: run, wake, post, descriptors, signals
 *   stream_uv.c   its listeners and streams      datagrams_uv.c  its datagrams      child_uv.c  its child processes
 *   tls.c         a stream in front of a stream
 *   sim_net.c     the simulated loop             sim_stream.c    its network */
#ifndef IO_LOOP_INNER_H
#define IO_LOOP_INNER_H

#include "base/hash.h"
#include "io/loop.h"

struct yd_timer {
    struct yd_loop *loop;
    void (*fire)(void *arg);
    void *arg;
    int64_t at;
    uint64_t seq;   /* of starts: among equal times the earlier started fires first */
    uint32_t index; /* in the heap; UINT32_MAX: not running */
};

/* The kinds' handles begin with these. */
struct yd_listener {
    struct yd_loop *loop;
};
struct yd_stream {
    struct yd_loop *loop;
    const struct yd__loop_ops *ops; /* of streams: the loop's own, or those of one in front of it (tls.c) */
};
struct yd_datagrams {
    struct yd_loop *loop;
};

struct yd__loop_ops {
    void (*destroy)(struct yd_loop *loop);
    int (*run)(struct yd_loop *loop, int64_t timeout_ns);
    void (*wake)(struct yd_loop *loop);
    int (*post)(struct yd_loop *loop, void (*fn)(void *arg), void *arg);
    void (*clocks)(struct yd_loop *loop); /* sets mono and wall */
    int (*listen)(struct yd_loop *loop, const struct yd_address *at, const struct yd_listener_ops *ops, void *arg,
                  struct yd_listener **ret_listener, struct yd_trail *trail);
    void (*listener_address)(struct yd_listener *listener, struct yd_address *ret);
    void (*listener_pause)(struct yd_listener *listener, bool paused);
    void (*listener_close)(struct yd_listener *listener);
    int (*find_host)(struct yd_loop *loop, const char *host, unsigned attempt, struct yd_address *ret,
                     struct yd_trail *trail); /* blocks; any thread */
    int (*connect)(struct yd_loop *loop, const struct yd_address *to, const struct yd_stream_ops *ops, void *arg,
                   struct yd_stream **ret_stream, struct yd_trail *trail);
    void (*stream_start)(struct yd_stream *stream, const struct yd_stream_ops *ops, void *arg);
    void (*stream_pause)(struct yd_stream *stream, bool paused);
    int (*stream_write)(struct yd_stream *stream, struct yd_str bytes);
    /* NULL: copied. */
    int (*stream_write_shared)(struct yd_stream *stream, struct yd_str bytes, void (*release)(void *arg), void *arg);
    int (*stream_send_file)(struct yd_stream *stream, int fd, uint64_t offset, size_t size);
    size_t (*stream_backlog)(const struct yd_stream *stream);
    void (*stream_limit)(struct yd_stream *stream, size_t bytes);
    void (*stream_shutdown)(struct yd_stream *stream);
    void (*stream_close)(struct yd_stream *stream);
    int (*stream_peek)(struct yd_stream *stream, void (*peeked)(void *arg, struct yd_str bytes, int error), void *arg);
    int (*stream_move)(struct yd_stream *stream, struct yd_loop *to, void (*moved)(void *arg, struct yd_stream *stream),
                       void *arg);
    int (*stream_detach)(struct yd_stream *stream, int *ret_fd);
    bool (*stream_peer_user)(struct yd_stream *stream, uint32_t *ret_uid);
    int (*datagrams_open)(struct yd_loop *loop, const struct yd_address *at, const struct yd_datagrams_options *options,
                          const struct yd_datagrams_ops *ops, void *arg, struct yd_datagrams **ret,
                          struct yd_trail *trail);
    void (*datagrams_address)(struct yd_datagrams *datagrams, struct yd_address *ret);
    void (*datagrams_pause)(struct yd_datagrams *datagrams, bool paused);
    int (*datagrams_send)(struct yd_datagrams *datagrams, const struct yd_address *to, struct yd_str bytes);
    uint64_t (*datagrams_drops)(struct yd_datagrams *datagrams);
    size_t (*datagrams_buffer)(struct yd_datagrams *datagrams);
    void (*datagrams_finish)(struct yd_datagrams *datagrams);
    void (*datagrams_close)(struct yd_datagrams *datagrams);
    /* Simulator only: runs fn(arg) at a time of the virtual clock. */
    void (*at)(struct yd_loop *loop, int64_t mono_ns, void (*fn)(void *arg), void *arg);
    bool is_sim; /* watches, child processes and signals need Linux */
};

struct yd_loop {
    const struct yd__loop_ops *ops;
    bool stale; /* the clocks are read by whoever asks first in a turn */
    int64_t mono, wall;
    struct yd_rng rng;
    struct yd_timer **timers; /* heap */
    uint32_t timer_count, timer_capacity, timers_made;
    uint64_t timer_seq;
    uint64_t callbacks; /* run so far */
    int64_t slept_ns;   /* in the poller */
};

#define YD__STREAM_LIMIT ((size_t)16 << 20)
#define YD__PEEK_SIZE    64

void yd__loop_init(struct yd_loop *loop, const struct yd__loop_ops *ops, uint64_t seed);
void yd__address_port(struct yd_address *address, uint16_t port); /* IPv4 and IPv6 */
int yd__linux_find_host(struct yd_loop *loop, const char *host, unsigned attempt, struct yd_address *ret,
                        struct yd_trail *trail);
void yd__loop_fini(struct yd_loop *loop);                /* asserts that no timer is left */
int64_t yd__loop_next_timer(const struct yd_loop *loop); /* INT64_MAX: none */
void yd__loop_fire_timers(struct yd_loop *loop);         /* those due at loop->mono */

/* A post whose memory the poster owns, until its fn runs: for completions that must not fail. uv loops only. */
struct yd__post {
    struct yd__post *next;
    void (*fn)(void *arg);
    void *arg;
    bool ours; /* malloc'd by yd_loop_post */
};
void yd__loop_post_own(struct yd_loop *uv_loop, struct yd__post *post);
#endif
