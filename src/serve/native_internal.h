/* serve/native_internal.h: what the files of the native server share. Picture and promises are in native.h.
 *
 *   native.c            life, listening, turns, timeouts, jobs on the pool
 *   native_peer.c       one connection: bytes to frames, the table of messages, HELLO, answers
 *   native_stream.c     OPEN: finding, opening and making streams; positions that moved
 *   native_append.c     APPEND and its acknowledgements
 *   native_subscribe.c  SUBSCRIBE, CREDIT, CANCEL
 *   native_query.c      QUERY
 *   native_follow.c     FOLLOW, FOLLOWED, FENCE
 *
 * A peer is freed when nothing pins it: not while a function of its own runs, not while a job of it is on the pool. */
#ifndef SERVE_NATIVE_INTERNAL_H
#define SERVE_NATIVE_INTERNAL_H

#include <stdatomic.h>

#include "base/base.h"
#include "base/text.h"
#include "log/layout.h"
#include "serve/native.h"
#include <yarder/protocol.h>

struct yd__native_peer;

/* The bytes of a large frame: read into once, shared by the bodies of its batches. */
struct yd__native_block {
    atomic_uint refs;
    char *data;
    size_t size, capacity, wanted;
};

/* Work on the pool. done runs in the loop's thread, in every case, even when the peer has gone meanwhile (dead). */
struct yd__native_job {
    struct yd_native *native;
    struct yd__native_peer *peer; /* pinned; NULL: the server's own */
    void (*work)(struct yd__native_job *job);
    void (*done)(struct yd__native_job *job);
};

/* A stream in use here. Lives while handles use it. */
struct yd__native_stream {
    struct yd_native *native;
    struct yd__native_stream *next, **at;
    unsigned handle_count, round;
    char name[256]; /* NAME/PARTITION */
    struct yd_log *log;
    struct yd_layout layout; /* of the stream as a whole */
    struct yd_log_watch *watch;
    struct yd__native_handle *handles;
    atomic_bool told;    /* a call of moved is on its way to the loop */
    bool gone, flushing; /* gone: its log is closed */
    bool flush_again;
};

struct yd__native_ack { /* answered when the stream has got as far as next */
    uint64_t correlation, first, next;
    int64_t until_ns; /* replicated: then with what there is */
    uint32_t duplicates;
};
struct yd__native_acks {
    struct yd__native_ack *items;
    uint32_t first, count, capacity; /* a ring; a power of two */
};

struct yd__native_handle {
    struct yd__native_peer *peer;
    struct yd__native_stream *stream;
    struct yd__native_handle *next, **at; /* of the stream's */
    uint32_t index, round;
    bool whole; /* opened by the name of a stream of several partitions: it tells of the stream, no more */
    struct yd__native_acks acks[YD_ACK_REPLICATED + 1];
    void *follower; /* of native_follow.c; freed by yd__native_follow_close */
};

/* An APPEND that the log had no room for. */
struct yd__native_append {
    struct yd_msg_append message;
    uint64_t correlation;
    struct yd_batch **batches;
    uint32_t at; /* of message.count */
    uint64_t first, next;
    uint32_t duplicates;
};

enum yd__native_phase { YD__NATIVE_FRESH, YD__NATIVE_READY, YD__NATIVE_CLOSING };
enum yd__native_hold { /* why nothing is read from a peer */
                       YD__NATIVE_HOLD_APPEND = 1,
                       YD__NATIVE_HOLD_BACKLOG = 2,
                       YD__NATIVE_HOLD_ACKS = 4,
                       YD__NATIVE_HOLD_TURN = 8,
};
struct yd__native_peer {
    struct yd_native *native;
    struct yd__native_peer *next, **at;
    struct yd__native_peer *turn_next;
    struct yd_stream *stream;
    char name[80];
    enum yd__native_phase phase;
    bool unix_socket, tls, local, dead, wants_turn, pinged;
    unsigned pins, holds, jobs;
    int64_t since_ns, heard_ns; /* accepted, or told to go; last byte */
    /* reading */
    char *bytes;
    size_t begin, end, capacity;
    struct yd__native_block *block;
    /* what it uses */
    struct yd__native_handle **handles;
    uint32_t handle_count, handle_capacity;
    struct yd__native_append *stalled;
    uint32_t ack_count;
    struct yd__native_sub *subs;
    uint32_t sub_count, query_count;
    uint32_t follows; /* handles with a follower */
};

/* Asked of an element, and not answered yet. */
struct yd__native_question {
    struct yd__native_question *next;
    struct yd__native_peer *peer;
    uint64_t number, correlation;
};

struct yd_native {
    struct yd_native_options options;
    struct yd_loop *loop;
    char *data, *listen, *unix_path, *token;
    struct yd_listener *tcp, *local;
    struct yd_timer *sweep;
    bool sweeping;
    struct yd__native_peer *peers, *turns, **turns_last;
    bool turn_posted;
    struct yd__native_stream *streams;
    struct yd_lane *lane;           /* opening, asking, closing: one thing at a time */
    struct yd__native_owned *owned; /* of the lane, until the end */
    uint64_t server_id;
    unsigned jobs;
    bool stopping, closing_streams;
    void (*stopped)(void *arg);
    void *stopped_arg;
    struct yd_native_stat stat;
    struct yd__native_question *questions;
    uint64_t question_last;
    uint8_t *scratch; /* names that match, of one batch */
    size_t scratch_size;
};

/* ---- native.c ---- */
int yd__native_submit(struct yd_native *native, struct yd_lane *lane, struct yd__native_peer *peer,
                      struct yd__native_job *job);
void yd__native_finish(struct yd_native *native); /* stopping: the end, when nothing of ours is under way */
void yd__native_want_turn(struct yd__native_peer *peer);
void yd__native_count(struct yd_native *native, enum yd_native_count what, enum yd_native_reason reason,
                      uint64_t records, const struct yd__native_peer *peer);
void yd__native_say(struct yd_native *native, int level, const char *format, ...) YD_PRINTF(3, 4);
uint64_t yd__native_random(void *native);
int64_t yd__native_wall(void *native);

/* ---- native_peer.c ---- */
void yd__native_peer_accept(struct yd_native *native, struct yd_stream *stream, const struct yd_address *from,
                            bool unix_socket);
void yd__native_peer_pin(struct yd__native_peer *peer);
void yd__native_peer_unpin(struct yd__native_peer *peer);
void yd__native_peer_close(struct yd__native_peer *peer);
void yd__native_peer_turn(struct yd__native_peer *peer);
void yd__native_peer_hold(struct yd__native_peer *peer, unsigned hold);
void yd__native_peer_go_on(struct yd__native_peer *peer, unsigned hold); /* the hold is over */
void yd__native_peer_sweep(struct yd__native_peer *peer, int64_t now);
/* A frame of one struct, and a text behind it. */
void yd__native_send(struct yd__native_peer *peer, enum yd_message type, unsigned flags, uint64_t correlation,
                     const void *body, size_t body_size, struct yd_str text);
void yd__native_refuse(struct yd__native_peer *peer, uint64_t correlation, const struct yd_msg_refused *why,
                       const char *format, ...) YD_PRINTF(4, 5);
void yd__native_goodbye(struct yd__native_peer *peer, int error, const char *format, ...) YD_PRINTF(3, 4);
/* The first bytes of a frame of `size` bytes behind the frame's own 16; what follows is written by the caller. */
int yd__native_begin(struct yd__native_peer *peer, enum yd_message type, unsigned flags, uint64_t correlation,
                     const void *body, size_t body_size, uint64_t behind);
int yd__native_write_batch(struct yd__native_peer *peer, struct yd_batch *batch);
struct yd__native_handle *yd__native_handle(struct yd__native_peer *peer, uint32_t index); /* NULL: unknown */
void yd__native_block_unref(struct yd__native_block *block);

/* ---- native_stream.c ---- */
bool yd__native_stream_name(struct yd_str text, char to[256]); /* NAME or NAME/PARTITION, completed; false: no such */
/* True: refused, because it must name a partition. `what`: "append to", "subscribe to" … */
bool yd__native_refuse_whole(struct yd__native_handle *handle, uint64_t correlation, const char *what);
/* A reference to the log of a stream, opened when nobody has it open. On the server's lane. */
int yd__native_open_stream(struct yd_native *native, const char *name, bool create, struct yd_log **ret_log,
                           struct yd_trail *trail);
void yd__native_handle_close(struct yd__native_handle *handle);
void yd__native_appended(struct yd__native_stream *stream); /* simulated: has it flushed */
void yd__native_streams_close(struct yd_native *native);    /* those opened here; as a job */

/* ---- native_append.c ---- */
void yd__native_acks_moved(struct yd__native_handle *handle, const struct yd_log_position *position);
void yd__native_acks_fini(struct yd__native_handle *handle);
void yd__native_append_again(struct yd__native_peer *peer); /* the stalled one */
void yd__native_append_free(struct yd__native_append *append);
void yd__native_acks_sweep(struct yd__native_handle *handle, int64_t now);

/* ---- native_subscribe.c ---- */
void yd__native_subs_moved(struct yd__native_handle *handle, const struct yd_log_position *position);
bool yd__native_subs_run(struct yd__native_peer *peer); /* true: there is more to do in another turn */
void yd__native_subs_close(struct yd__native_peer *peer);
void yd__native_subs_end(struct yd__native_handle *handle, int error);

/* ---- native_follow.c ---- */
void yd__native_follow_moved(struct yd__native_handle *handle, const struct yd_log_position *position);
void yd__native_follow_close(struct yd__native_handle *handle);
void yd__native_follow_run(struct yd__native_peer *peer); /* its backlog has left */

/* ---- messages: a request's frame, checked to have its struct. Less than 0: the frame cannot be: GOODBYE ---- */
struct yd__native_frame {
    struct yd_frame head;
    const char *body; /* 8-byte aligned */
    size_t size;
    struct yd__native_block *block; /* the body is in it; NULL: in the peer's buffer */
};
typedef int yd__native_message(struct yd__native_peer *peer, const struct yd__native_frame *frame);
yd__native_message yd__native_open, yd__native_append, yd__native_subscribe, yd__native_credit, yd__native_cancel,
    yd__native_query, yd__native_follow, yd__native_followed, yd__native_fence;
void yd__native_questions_drop(struct yd__native_peer *peer); /* its answers will be for nobody */
/* The next text of `size` bytes at *at inside the frame; false: it goes beyond the end. */
bool yd__native_text(const struct yd__native_frame *frame, size_t *at, size_t size, struct yd_str *ret);

#endif
