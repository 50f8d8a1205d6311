/* <yarder/client.h>: a program's way to a yarder daemon: append, subscribe, ask. pkg-config: yarder-client.
 *
 *   yd_client_open ─▶ yd_client_stream ─▶ yd_client_append          waits for the acknowledgement
 *                                      ├▶ yd_client_append_async    pipelined; a callback tells
 *                                      └▶ yd_client_subscribe ─▶ yd_subscription_next, or a callback
 *
 * Two ways to run it. Synchronous: call and wait; nothing else is needed. Callbacks: put yd_client_fd into your own
 * poll and call yd_client_run(client, 0) when yd_client_events says so; callbacks are called from there, and from other
 * waiting calls, only. In a callback nothing that waits may be called (YD_EBUSY), everything else may but
 * yd_client_close.
 * The connection is made when it is needed. The first one that fails ends what waited for it with the reason. Later, a
 * lost connection is made again by itself (back-off 50 ms to 5 s) as long as somebody waits: appends that were not
 * acknowledged are sent again under the same producer numbers, so each is in the stream once; subscriptions go on where
 * they were. What was acknowledged at level memory a dying server can lose; what was at a higher level never: should a
 * server have lost such all the same, the next append is told YD_EGAP. docs/client.md tells more.
 * One thread at a time per client; several clients share nothing. No threads of its own, no signals. */
#ifndef YARDER_CLIENT_H
#define YARDER_CLIENT_H

#include <yarder/log.h>

struct yd_client;
struct yd_client_stream;
struct yd_subscription;

struct yd_client_options {
    const char *address; /* "127.0.0.1:4280", "unix:/path", "tls:host:4280"; NULL: 127.0.0.1:4280 */
    const char *name;    /* for the server's people; NULL: the program's */
    const char *token;   /* or NULL */
    const char *ca_file, *cert_file, *key_file; /* tls: NULL: the system's authorities; no certificate of ours */
    int64_t timeout_ns;       /* of each waiting call and request, reconnecting included; 0: 30 s; < 0: for ever */
    uint64_t producer_id;     /* 0: drawn at random. Keep it over restarts, and go on behind yd_client_producer_seq */
    uint32_t producer_epoch;  /* 0: above the last one that the stream knows: older incarnations are fenced */
    uint32_t in_flight_bytes; /* of appends not acknowledged; 0: 16 MiB. More: append_async gives YD_EFULL */
    bool once;                /* no reconnecting: the first loss ends everything with YD_ECLOSED */
    bool create;              /* streams that are not there are made, with one partition */
};
int yd_client_open(const struct yd_client_options *options, struct yd_client **ret_client, struct yd_trail *trail);
void yd_client_close(struct yd_client *client); /* what is not acknowledged is told YD_ECANCELED; NULL is quiet */
const char *yd_client_trouble(struct yd_client *client); /* why the last call or connection failed, for people; "" */

/* ---- in your own loop ---- */
int yd_client_fd(struct yd_client *client); /* may change with a reconnection: ask before each poll. -1: none now */
short yd_client_events(struct yd_client *client);     /* POLLIN, POLLOUT */
int64_t yd_client_deadline(struct yd_client *client); /* run it by then at the latest: CLOCK_MONOTONIC ns; INT64_MAX */
/* Sends, receives, calls back. timeout_ns 0: does not wait. The number of callbacks, or why nothing works any more. */
int yd_client_run(struct yd_client *client, int64_t timeout_ns);

/* ---- a stream ---- */
/* Opens "name/partition". "name" is the same where there is one partition; where there are several it tells how many
 * (yd_client_info), and appends and subscriptions to it are refused: they are of a partition. Lives as long as the
 * client. */
int yd_client_stream(struct yd_client *client, const char *stream, struct yd_client_stream **ret_stream);
struct yd_client_info {
    uint64_t first, written, durable, replicated, log_id;
    uint32_t epoch, partitions;
    bool follower;
    bool by_name, by_producer; /* how several partitions are chosen: yd_client_partition */
    const char *dir;           /* of its files when they are on this machine and can be read, else NULL */
};
void yd_client_info(struct yd_client_stream *stream, struct yd_client_info *ret); /* as of the last opening */
/* In which partition a record of this name belongs, or everything of this producer. */
uint32_t yd_client_partition(const struct yd_client_info *info, struct yd_str name, uint64_t producer_id);
/* The last number of our producer that the stream is known to have: 0 at first. A batch's header.producer_seq, when it
 * is set, is taken as its number (it must be above this one, YD_EDUP), so that a program which numbers its input and
 * keeps its producer_id can go on after its own death exactly where it was. */
uint64_t yd_client_producer_seq(const struct yd_client_stream *stream);
/* The files themselves, when they are on this machine: no server between. YD_ENOTSUP when they are not. Such a program
 * links yarder-log too. */
static inline int yd_client_reader(struct yd_client_stream *stream, const struct yd_log_start *start,
                                   struct yd_log_reader **ret_reader, struct yd_trail *trail)
{
    struct yd_client_info info;
    yd_client_info(stream, &info);
    if (!info.dir)
        return yd_trail_add(trail, YD_ENOTSUP, "the stream's files are not on this machine, or not readable");
    return yd_log_reader_open_dir(NULL, info.dir, start, ret_reader, trail);
}

struct yd_client_append_options {
    enum yd_ack level; /* 0: DURABLE */
    bool sole;         /* a sole producer: expect_seqno must be the first seqno, else YD_EGAP */
    uint64_t expect_seqno;
    bool plain; /* no producer numbers: sent again after a lost connection it may be there twice; then it is
                   not sent again but told YD_ECANCELED */
    int64_t replicas_wait_ns;
};
struct yd_client_appended {
    uint64_t first, next; /* its records; of a duplicate, or when several went together and others' records came
                             between: a range around them */
    enum yd_ack level;    /* what was really reached */
    unsigned in_sync;
    bool duplicate; /* it was there already: sent before a connection was lost */
};
/* The batch is sent as it is (with producer numbers stamped into its header); the caller keeps his reference. */
int yd_client_append(struct yd_client_stream *stream, const struct yd_batch *batch,
                     const struct yd_client_append_options *options, struct yd_client_appended *ret);
/* YD_EFULL: run the client first. done (may be NULL) is called once: 0, or why (final). YD_ETIMEOUT and YD_ECANCELED:
 * it may be in the stream or not. options: copied; NULL: defaults. What waits is sent when there is enough of it, and
 * by the next call that runs the client. */
int yd_client_append_async(struct yd_client_stream *stream, const struct yd_batch *batch,
                           const struct yd_client_append_options *options,
                           void (*done)(void *arg, int error, const struct yd_client_appended *appended), void *arg);
int yd_client_flush(struct yd_client *client); /* waits until every append has been told; the worst of their errors */

struct yd_subscribe_options {
    struct yd_log_start start; /* from, seqno, time_ns, epoch, level, names, kinds */
    uint64_t until, count;     /* 0: no end */
    uint32_t credit_bytes;     /* 0: 4 MiB; refilled by itself as batches are taken */
    bool notify;               /* positions only */
    bool stop;                 /* ends at what is there now */
    bool forgotten;            /* also what tombstones cover */
    uint32_t interval_ms;      /* notify */
    const char *cursor;        /* begins at this durable cursor of the server */
    bool whole; /* batches as stored; else records that do not match are dropped (yd_batch_select) before they are given
                 */
};
/* What comes: exactly one of these. The batch's reference is the receiver's. gap.reason lasts until the callback
 * returns, or the next call. */
struct yd_received {
    struct yd_batch *batch;
    uint64_t from;         /* batch: records below this seqno were not asked for (only `whole` ones have such) */
    struct yd_log_gap gap; /* reason != NULL */
    bool position;
    uint64_t first, written, durable, replicated; /* position */
    bool ended;
    int error;     /* ended: 0: as asked for */
    uint64_t next; /* the seqno to go on with */
};
int yd_client_subscribe(struct yd_client_stream *stream, const struct yd_subscribe_options *options,
                        void (*received)(void *arg, struct yd_received *what), void *arg, /* NULL: by next */
                        struct yd_subscription **ret_subscription);
/* 0; YD_ETIMEOUT (timeout_ns < 0: for ever; 0: YD_EAGAIN); YD_EEOF after the end was told. A lost connection is no
 * error here: yd_client_trouble tells of it. */
int yd_subscription_next(struct yd_subscription *subscription, int64_t timeout_ns, struct yd_received *ret);
/* Saves a durable cursor at the server: everything below seqno is acknowledged. Waits. A subscription that ended can
 * still save. */
int yd_subscription_save(struct yd_subscription *subscription, const char *cursor, uint64_t seqno);
void yd_subscription_close(struct yd_subscription *subscription); /* NULL is quiet; from its callback too */

/* ---- asking: one ROW {op, …} there, ROWs back ----
 *
 * Waits for the whole answer. A connection that is lost after the question went is YD_ECONNRESET: ask again. visit
 * returns non-zero to end with that. */
int yd_client_query(struct yd_client *client, const struct yd_batch *query,
                    int (*visit)(void *arg, const struct yd_batch *reply), void *arg);

#endif
