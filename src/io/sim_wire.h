/* io/sim_wire.h: what the files of the simulated network share. Nobody else includes it.
 *
 *   sim_net.c       the virtual clock, events, loops, who is apart from whom
 *   sim_stream.c    listeners and streams
 *   sim_datagram.c  datagrams */
#ifndef IO_SIM_WIRE_H
#define IO_SIM_WIRE_H

#include "io/loop_inner.h"
#include "io/sim_net.h"

struct yd__sim_event {
    int64_t at;
    uint64_t seq; /* among equal times the earlier made happens first */
    void (*fn)(void *arg);
    void (*drop)(void *arg); /* the simulation ends before it happens; NULL: nothing to free */
    void *arg;
    struct yd_loop *owner; /* of posts: run at the latest when their loop is destroyed. NULL: the network's */
};

struct yd__sim_apart {
    char *a, *b;  /* b NULL: all others */
    bool one_way; /* from a to b only */
};

struct yd__sim_loop {
    struct yd_loop loop;
    struct yd_sim *sim;
    struct yd__sim_loop *next;
    char *node;
    int64_t wall_ahead;
    int64_t last_post; /* posts keep their order */
    uint32_t number;
};

struct yd_sim {
    struct yd_rng rng;
    struct yd_sim_net_faults faults;
    struct yd_sim_net_counts counts;
    uint64_t trace, seq;
    int64_t now;
    struct yd__sim_event *events; /* heap */
    uint32_t event_count, event_capacity, loops_made, next_port;
    struct yd__sim_loop *loops;
    struct yd__sim_apart *aparts;
    uint32_t apart_count, apart_capacity;
    struct yd__sim_listener *listeners;
    struct yd__sim_socket *sockets;
    struct yd__sim_connection *connections;
    struct yd__sim_host *hosts; /* names, in order */
};

extern const struct yd__loop_ops yd__sim_loop_ops;

static inline struct yd__sim_loop *yd__sim_loop(struct yd_loop *loop)
{
    return (struct yd__sim_loop *)loop;
}
void *yd__sim_net_get(size_t size); /* zeroed; aborts when out of memory */
void yd__sim_net_mix(struct yd_sim *sim, uint64_t value);
bool yd__sim_net_chance(struct yd_sim *sim, uint32_t one_in);
int64_t yd__sim_delay(struct yd_sim *sim);
void yd__sim_event(struct yd_sim *sim, int64_t at, void (*fn)(void *), void (*drop)(void *), void *arg);
bool yd__sim_is_lost(const struct yd_sim *sim, const char *from, const char *to);
bool yd__sim_are_apart(const struct yd_sim *sim, const char *one, const char *other);
/* The address with a port of its own if it had 0. */
void yd__sim_take_port(struct yd_sim *sim, struct yd_address *address);
/* 0: this listening address does not take what is sent to `to`; else the more, the better it fits. */
int yd__sim_fit(const struct yd_address *listening, const char *listening_node, const struct yd_address *to,
                const char *from_node);

/* ---- sim_stream.c ---- */
void yd__sim_cut_connections(struct yd_sim *sim, const char *a, const char *b);
void yd__sim_drop_connections(struct yd_sim *sim); /* asserts that none is left */
int yd__sim_listen(struct yd_loop *loop, const struct yd_address *at, const struct yd_listener_ops *ops, void *arg,
                   struct yd_listener **ret_listener, struct yd_trail *trail);
void yd__sim_listener_address(struct yd_listener *listener, struct yd_address *ret);
void yd__sim_listener_pause(struct yd_listener *listener, bool paused);
void yd__sim_listener_close(struct yd_listener *listener);
int yd__sim_connect(struct yd_loop *loop, const struct yd_address *to, const struct yd_stream_ops *ops, void *arg,
                    struct yd_stream **ret_stream, struct yd_trail *trail);
void yd__sim_stream_start(struct yd_stream *stream, const struct yd_stream_ops *ops, void *arg);
void yd__sim_stream_pause(struct yd_stream *stream, bool paused);
int yd__sim_stream_write(struct yd_stream *stream, struct yd_str bytes);
size_t yd__sim_stream_backlog(const struct yd_stream *stream);
void yd__sim_stream_limit(struct yd_stream *stream, size_t bytes);
void yd__sim_stream_shutdown(struct yd_stream *stream);
void yd__sim_stream_close(struct yd_stream *stream);
int yd__sim_stream_peek(struct yd_stream *stream, void (*peeked)(void *, struct yd_str, int), void *arg);
int yd__sim_stream_move(struct yd_stream *stream, struct yd_loop *to, void (*moved)(void *, struct yd_stream *),
                        void *arg);
int yd__sim_stream_detach(struct yd_stream *stream, int *ret_fd);
bool yd__sim_stream_peer_user(struct yd_stream *stream, uint32_t *ret_uid);

/* ---- sim_datagram.c ---- */
int yd__sim_datagrams_open(struct yd_loop *loop, const struct yd_address *at,
                           const struct yd_datagrams_options *options, const struct yd_datagrams_ops *ops, void *arg,
                           struct yd_datagrams **ret, struct yd_trail *trail);
void yd__sim_datagrams_address(struct yd_datagrams *datagrams, struct yd_address *ret);
void yd__sim_datagrams_pause(struct yd_datagrams *datagrams, bool paused);
int yd__sim_datagrams_send(struct yd_datagrams *datagrams, const struct yd_address *to, struct yd_str bytes);
uint64_t yd__sim_datagrams_drops(struct yd_datagrams *datagrams);
size_t yd__sim_datagrams_buffer(struct yd_datagrams *datagrams);
void yd__sim_datagrams_finish(struct yd_datagrams *datagrams);
void yd__sim_datagrams_close(struct yd_datagrams *datagrams);

#endif
