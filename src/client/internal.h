/* client/internal.h: what the files of the client library share. README.md has the picture.
 *
 * One thread. Nothing here waits but yd__client_wait and yd_client_run; all of it is driven by yd__client_round. User
 * callbacks may add appends, subscribe and close subscriptions: whoever calls one looks at his arrays anew afterwards.
 */
#ifndef CLIENT_INTERNAL_H
#define CLIENT_INTERNAL_H

#include <yarder/client.h>
#include <yarder/protocol.h>

#include "base/alloc.h"
#include "io/socket.h"

enum yd__client_state {
    YD__IDLE,       /* no connection, and none is being made */
    YD__WAITING,    /* until retry_at */
    YD__CONNECTING, /* until the descriptor can be written to */
    YD__SECURING,   /* TLS handshake */
    YD__GREETING,   /* HELLO is sent */
    YD__READY,
};

/* Something sent that will be answered under its correlation, which is first_correlation + its place in the ring. */
enum yd__request_kind { YD__ANSWERED, YD__OPEN, YD__APPEND, YD__QUERY, YD__PING };
struct yd__request {
    enum yd__request_kind kind;
    uint32_t count; /* APPEND: appends, from `at` on, of `stream` */
    struct yd_client_stream *stream;
    uint64_t at;
};

struct yd__append {
    struct yd_batch *batch;
    void (*done)(void *arg, int error, const struct yd_client_appended *appended);
    void *arg;
    uint64_t seq; /* 0: plain */
    uint64_t expect_seqno;
    int64_t deadline;
    uint32_t replicas_wait_ms;
    uint8_t level;
    bool sole, told;
};

struct yd_client_stream {
    struct yd_client *client;
    struct yd_client_stream *next;
    char *name;
    enum { YD__STREAM_CLOSED, YD__STREAM_ASKED, YD__STREAM_OPEN } state;
    bool ever_open;   /* then it is opened again with every connection */
    bool wanted;      /* somebody waits for its first opening, */
    bool settled;     /* which is over: it is open, or refused */
    int refused;      /* why */
    int64_t retry_at; /* not before */
    uint32_t handle, flags;
    struct yd_client_info info;
    char *dir;

    /* Appends: a ring with absolute numbers. [first, sent) went, [sent, end) waits. */
    struct yd__append *ring;
    uint32_t mask; /* capacity - 1; ring NULL: 0 */
    uint64_t first, sent, end;
    size_t unsent_bytes;
    uint32_t frames; /* sent and not answered */
    uint32_t epoch;
    uint64_t last_seq;     /* given to an append */
    uint64_t acked;        /* the last number acknowledged, at any level */
    uint64_t acked_strong; /* written at least */
    uint64_t chain;        /* what the server is said to know when the next one comes */
    /* After the first refusal nothing is sent until all that went is answered; then it is told or sent again. */
    bool rewinding;
    int refusal;
    uint64_t refusal_detail, culprit;
    uint32_t refusal_retry_ms, gaps;
};

struct yd__item {
    struct yd__item *next;
    size_t cost; /* credit it takes */
    char reason[32];
    struct yd_received received;
};

struct yd_subscription {
    struct yd_client *client;
    struct yd_client_stream *stream;
    struct yd_subscription *next;
    uint32_t slot, generation; /* its correlation */
    struct yd_subscribe_options options;
    char *names, *cursor;
    struct yd_pattern *pattern;
    void (*received)(void *arg, struct yd_received *what);
    void *arg;
    enum { YD__SUB_IDLE, YD__SUB_ACTIVE, YD__SUB_ENDED } state; /* ENDED: nothing more will come from the server */
    bool closed, end_taken;
    bool placed;    /* `at` is where it goes on; else as the options say */
    uint64_t at;    /* next seqno */
    uint32_t epoch; /* of the last batch */
    uint64_t left;  /* records that match */
    uint64_t credit;
    int64_t allowance; /* what the server may still send */
    uint64_t taken;    /* credit to give back */
    unsigned bad;      /* damaged frames in a row */
    unsigned gaps;     /* in the queue */
    struct yd__item *items, **items_end;
    size_t queued;
    char reason[32];
};

/* A waiting question, on its caller's stack. */
struct yd__call {
    const struct yd_batch *query;
    int (*visit)(void *arg, const struct yd_batch *reply);
    void *arg;
    bool sent, done;
    int error;
};

struct yd__tls;
struct yd__session;

struct yd_client {
    struct yd_net *net;
    struct yd_alloc *alloc;
    char *address, *host, *name, *token; /* address without "tls:" */
    struct yd__tls *tls;
    int64_t timeout_ns;
    uint64_t producer_id;
    uint32_t producer_epoch;
    size_t in_flight_max, in_flight;
    bool once, create;

    enum yd__client_state state;
    int fd;
    struct yd__session *session;
    unsigned attempt;
    bool was_ready;             /* ever: then a lost connection is made again */
    int64_t retry_at, state_by; /* when waiting; when a connection must stand */
    int64_t backoff_ns;
    uint32_t frame_max;
    uint64_t server_id;
    int64_t now, heard_at, ping_at;
    bool pinged, more; /* more: the last read was not the end of what is there */
    int broken;        /* sending failed outside a round */
    int fatal;
    struct yd_trail trouble;
    unsigned troubles; /* told so far */

    struct yd_buf in, out;
    size_t in_at, out_at;
    struct yd__request *requests; /* ring */
    uint32_t requests_mask;
    uint64_t request_first, request_end; /* correlations */
    struct yd_client_stream *streams;
    struct yd_subscription *subscriptions;
    struct yd_subscription **slots;
    uint32_t slot_count, generation;
    struct yd__call *call;
    int worst; /* of the appends told since the last flush */
    bool running;
    unsigned callbacks;
};

#define YD__SUBSCRIPTION_BIT (UINT64_C(1) << 63)
#define YD__OUT_TARGET       ((size_t)256 << 10) /* what is made ready at once */
#define YD__SEND_AT          ((size_t)64 << 10)  /* pipelined appends that are sent without waiting for a run */

/* client.c */
int yd__client_open(const struct yd_client_options *options, struct yd_net *net, struct yd_alloc *alloc,
                    struct yd_client **ret_client, struct yd_trail *trail);
int yd__trouble(struct yd_client *client, int error, const char *format, ...) YD_PRINTF(3, 4); /* returns error */
/* Runs until *done or the deadline (INT64_MAX: never): YD_ETIMEOUT, with the trouble told. */
int yd__client_wait(struct yd_client *client, const bool *done, int64_t deadline, const char *what);
bool yd__client_wanted(const struct yd_client *client); /* does anybody wait for a connection? */
int64_t yd__client_by(struct yd_client *client);        /* now + timeout */
void yd__client_fail_all(struct yd_client *client, int error);

/* connection.c */
bool yd__connection_round(struct yd_client *client); /* one round without waiting; did anything happen? */
void yd__connection_send(struct yd_client *client);  /* only what can be sent now */
void yd__connection_drop(struct yd_client *client, int error);
int yd__connection_welcomed(struct yd_client *client, struct yd_str body);
int64_t yd__connection_deadline(const struct yd_client *client);
short yd__connection_events(const struct yd_client *client);

/* frame.c: frames into the output, and the ring of requests */
struct yd__part {
    const void *data;
    size_t size;
};
/* A frame with `more` bytes to be put behind it by the caller: the place for them, or NULL (out of memory). */
char *yd__frame_put(struct yd_client *client, uint16_t type, uint64_t correlation, const struct yd__part *parts,
                    unsigned part_count, size_t more);
int yd__request_add(struct yd_client *client, const struct yd__request *request, uint64_t *ret_correlation);
struct yd__request *yd__request_find(struct yd_client *client, uint64_t correlation);
void yd__request_done(struct yd_client *client, struct yd__request *request);
/* A struct and its texts at the front of a body; *ret_rest is where batches begin. YD_EFORMAT. */
int yd__body_take(struct yd_str body, void *to, size_t size, struct yd_str *ret_rest);
int yd__body_text(struct yd_str *rest, size_t size, struct yd_str *ret_text);
void yd__body_align(struct yd_str body, struct yd_str *rest);

/* dispatch.c */
int yd__client_frame(struct yd_client *client, const struct yd_frame *frame, struct yd_str body);

/* stream.c */
bool yd__stream_ready(const struct yd_client_stream *stream); /* is it time to open it? */
void yd__stream_fill(struct yd_client_stream *stream);
int yd__stream_opened(struct yd_client_stream *stream, struct yd_str body);
void yd__stream_refused(struct yd_client_stream *stream, int error, uint32_t retry_ms);
void yd__stream_lost(struct yd_client_stream *stream);
void yd__stream_destroy(struct yd_client_stream *stream);

/* append.c */
void yd__append_fill(struct yd_client_stream *stream); /* one frame, when ready */
int yd__append_done(struct yd_client_stream *stream, const struct yd__request *request,
                    const struct yd_msg_appended *appended);
void yd__append_refused(struct yd_client_stream *stream, const struct yd__request *request,
                        const struct yd_msg_refused *refused);
void yd__append_lost(struct yd_client_stream *stream);
bool yd__append_expire(struct yd_client_stream *stream);
void yd__append_fail(struct yd_client_stream *stream, int error);
bool yd__append_ready(const struct yd_client_stream *stream); /* has something that may be sent now */

/* subscribe.c */
void yd__subscription_fill(struct yd_subscription *subscription);
int yd__subscription_frame(struct yd_client *client, const struct yd_frame *frame, struct yd_str body);
void yd__subscription_end(struct yd_subscription *subscription, int error);
void yd__subscription_lost(struct yd_subscription *subscription);
bool yd__subscription_ready(const struct yd_subscription *subscription); /* has something to send */
void yd__subscriptions_bury(struct yd_client *client);

/* ask.c */
void yd__call_fill(struct yd_client *client);
int yd__call_reply(struct yd_client *client, const struct yd_frame *frame, struct yd_str body);
void yd__call_end(struct yd_client *client, int error);

/* tls.c */
int yd__tls_create(const struct yd_client_options *options, struct yd__tls **ret_tls, struct yd_trail *trail);
void yd__tls_destroy(struct yd__tls *tls);
int yd__session_create(struct yd__tls *tls, struct yd_net *net, int fd, const char *host,
                       struct yd__session **ret_session);
int yd__session_handshake(struct yd__session *session, struct yd_trail *trail); /* YD_EAGAIN */
int yd__session_send(struct yd__session *session, const void *data, size_t size, size_t *ret_size);
int yd__session_recv(struct yd__session *session, void *to, size_t size, size_t *ret_size);
bool yd__session_writes(const struct yd__session *session); /* a handshake waits to write */
void yd__session_destroy(struct yd__session *session);

#endif
