/* serve/follower.h: the follower's end of FOLLOW (<yarder/protocol.h>): keeps a log like its leader's.
 *
 *   connect ─▶ HELLO, OPEN ─▶ FOLLOW from where the log ends ─▶ agreed: SEGMENT, BATCHES, SEAL: checked, written,
 * synced ^                         ^        | cut back, begin anew: done, asked again                 └▶ FOLLOWED └──
 * after a while ────────┴────────┴── it went, it is silent, it lies, it was deposed
 *
 * All in one loop's thread; what touches the disk runs on a lane of the pool, one job at a time, and everything that
 * came during one sync shares the next. What has come and is not yet written is bounded: then nothing is read. */
#ifndef SERVE_FOLLOWER_H
#define SERVE_FOLLOWER_H

#include "io/loop.h"
#include "io/pool.h"
#include <yarder/log.h>

struct yd_follower;
struct yd_tls;
struct yd_follower_options {
    struct yd_loop *loop;
    struct yd_pool *pool;
    struct yd_log *log;   /* opened with options.follower; the follower has a reference */
    const char *from;     /* the leader's address: HOST:PORT, where HOST may be a name, or unix:PATH */
    struct yd_tls *tls;   /* of io/tls.h, of which it keeps a reference; NULL: plain */
    const char *tls_name; /* what the leader's certificate must be for; NULL: the HOST of `from` */
    const char *stream;   /* "NAME/PARTITION" at the leader */
    const char *id;       /* who we are, for people */
    const char *token;    /* NULL: none */
    int64_t retry_ns;     /* the longest pause between two attempts; 0: 5 s */
    int64_t silence_ns;   /* without a byte for so long it is taken for gone; 0: 15 s */
    size_t inbox_max;     /* bytes taken and not yet written; 0: 16 MiB */
    void (*said)(void *arg, int level, const char *text); /* for people; in the loop's thread */
    /* What the leader's stream is as a whole, once it is known, for each connection; on the lane: it may block. */
    void (*laid_out)(void *arg, uint32_t partitions, bool by_producer);
    void *arg;
};
int yd_follower_start(const struct yd_follower_options *options, struct yd_follower **ret_follower,
                      struct yd_trail *trail); /* texts are copied. YD_EINVAL: no address */
/* Ends the connection, waits for the job under way, then calls stopped in the loop's thread; `follower` is gone then.
 */
void yd_follower_stop(struct yd_follower *follower, void (*stopped)(void *arg), void *arg);
struct yd_follower_stat {
    bool connected, following; /* following: agreed on a place, and being sent to */
    uint64_t connects, batches, bytes, cuts, begun_anew;
    int error; /* why it does not follow now; 0 */
};
void yd_follower_stat(const struct yd_follower *follower, struct yd_follower_stat *ret); /* in the loop's thread */

#endif
