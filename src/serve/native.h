/* serve/native.h: the native protocol's server (<yarder/protocol.h>): appends, subscriptions, questions, followers.
 *
 *   connections ──▶ frames, checked ──▶ OPEN: the registry of open streams, else DATA/streams/NAME/PARTITION
 *                                   ──▶ APPEND: yd_log_append; answered when the stream's positions say so
 *                                   ──▶ SUBSCRIBE: memory tail, or runs of frames straight out of the files
 *                                   ──▶ QUERY: on file threads; of an `element`: see `ask`
 *
 * All in one loop's thread; what can touch a disk runs on the pool. It knows nothing of elements: elements/native.c
 * wraps it. Nothing a peer sends or leaves unread holds up another one, or takes more memory than the limits say. */
#ifndef SERVE_NATIVE_H
#define SERVE_NATIVE_H

#include "io/loop.h"
#include "io/pool.h"
#include <yarder/log.h>

struct yd_native;
struct yd_tls;

enum yd_native_count {
    YD_NATIVE_TAKEN,    /* appended */
    YD_NATIVE_FOLDED,   /* duplicates: there already */
    YD_NATIVE_REJECTED, /* by one of the reasons: the sender was told */
    YD_NATIVE_DROPPED,
};
enum yd_native_reason {
    YD_NATIVE_BAD_FRAME,
    YD_NATIVE_BAD_BATCH,
    YD_NATIVE_GAP,
    YD_NATIVE_EPOCH,
    YD_NATIVE_READONLY,
    YD_NATIVE_FULL,
    YD_NATIVE_NOT_HERE, /* the stream is closed, or a follower */
    YD_NATIVE_CONNECTION,
    YD_NATIVE_PARTITION, /* to a stream of several partitions without saying which */
    YD_NATIVE_REASON_COUNT
};
extern const char *const yd_native_reasons[]; /* ends in NULL */

struct yd_native_options {
    struct yd_loop *loop;
    struct yd_pool *pool;
    struct yd_fs *fs;
    struct yd_streams *streams;    /* of the process; outlives the server */
    const char *data;              /* the data folder */
    const char *listen;            /* "127.0.0.1:4280"; NULL: not TCP */
    const char *unix_path;         /* "/run/yarder.sock"; NULL: none */
    struct yd_tls *tls;            /* for TCP; NULL: plain */
    bool certificates;             /* tls wants one from each peer */
    const char *token;             /* NULL: none is asked for */
    bool open;                     /* listen beyond this machine without token and certificates */
    bool create;                   /* peers may make streams */
    bool simulated;                /* nobody runs the logs: they are flushed on the pool */
    unsigned connections_max;      /* 0: 256 */
    uint32_t frame_max;            /* 0: YD_PROTOCOL_FRAME_MAX */
    uint64_t receive_max;          /* bytes of large frames under way, of all peers; 0: 256 MiB */
    int64_t hello_ns, frame_ns;    /* to say HELLO; without a byte of a begun frame. 0: 10 s, 30 s */
    int64_t idle_ns;               /* without a byte, pinged at half of it; 0: 10 minutes */
    uint64_t (*random)(void *arg); /* of logs opened here; any thread; NULL: the machine's */
    int64_t (*wall)(void *arg);
    void *world_arg;
    /* Callbacks, in the loop's thread. All may be NULL. */
    void (*counted)(void *arg, enum yd_native_count what, enum yd_native_reason reason, uint64_t records,
                    const char *peer);
    void (*listens)(void *arg, const char *what, const char *address);
    void (*said)(void *arg, int level, const char *text);
    /* A question that is not about streams: one ROW with a MAP that has `element`, or the op `elements`. Takes the
     * query; answered under this number by yd_native_answer, unless the server is stopped before. 0, or why not at all.
     */
    int (*ask)(void *arg, uint64_t number, struct yd_batch *query);
    void *arg;
};
/* options' texts are copied. YD_EPERM: it would be open to strangers. */
int yd_native_start(const struct yd_native_options *options, struct yd_native **ret_native, struct yd_trail *trail);
/* Says GOODBYE to all, closes the streams opened here, then calls stopped, in the loop's thread. */
void yd_native_stop(struct yd_native *native, void (*stopped)(void *arg), void *arg);
/* The answer to `ask`: batches, the last one with more = false (NULL: none), or an error and what to say. In the loop's
 * thread; the batch stays the caller's. Of one who has gone: quiet. */
void yd_native_answer(struct yd_native *native, uint64_t number, struct yd_batch *batch, bool more, int error,
                      const char *text);
void yd_native_address(const struct yd_native *native, bool unix_socket,
                       struct yd_address *ret); /* with the real port */

struct yd_native_stat {
    uint64_t connections, connected, refused; /* now; since the start */
    uint64_t frames, appends, batches, records, duplicates;
    uint64_t subscriptions, sent_batches, sent_bytes, file_bytes; /* file_bytes: of sent_bytes, out of files directly */
    uint64_t hidden_records;                                      /* not sent, because tombstones cover them */
    uint64_t receiving_bytes;                                     /* of large frames under way */
};
void yd_native_stat(const struct yd_native *native, struct yd_native_stat *ret); /* in the loop's thread */

#endif
