/* fake.h: a server in memory behind the socket seam: one thread, a clock that only moves when everybody waits, and
 * death at any moment. The model of a stream is an array of batches; what a kill takes is what was not written. */
#ifndef FAKE_H
#define FAKE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/hash.h"
#include "client/internal.h"

struct fake_entry {
    struct yd_batch *batch; /* as the log stamped it */
};
struct fake_ack {
    uint64_t correlation, first, next, end; /* end: entries that must be there at the level */
    uint32_t duplicates;
    uint8_t level;
};
struct fake_sub {
    bool used;
    uint64_t correlation, at, until, left;
    int64_t credit;
    bool stop;
};

struct fake {
    struct yd_net net;
    struct yd_rng rng;
    int64_t now;
    /* the line */
    bool refusing; /* connecting fails */
    bool deaf;     /* nothing is read or answered */
    bool closed;   /* the server closed; the client sees it after what was sent */
    int fd;        /* the open one, or -1 */
    unsigned connections;
    size_t chunk;    /* most bytes of one send or recv; 0: any */
    uint32_t die_in; /* after so many line operations, once; 0: never */
    struct yd_buf to_server, to_client;
    /* the server */
    bool lazy;          /* acknowledges only when everybody waits */
    bool loses_written; /* a kill takes what was written, too */
    uint32_t frame_max;
    uint64_t server_id;
    uint32_t epoch;
    int refuse_hello, refuse_open;
    int refuse_append; /* the next ones, refuse_count of them */
    unsigned refuse_count, refuse_retry_ms;
    uint64_t forget; /* claims to know only this number of the producer, once; UINT64_MAX: no */
    struct fake_entry *entries;
    size_t count, capacity, written, durable;
    struct fake_ack *acks;
    size_t ack_count, ack_capacity;
    struct fake_sub subs[8];
    unsigned appends, opens, subscribes, credits, queries;
    uint8_t last_append_count, greeted;
    char said_token[64], cursor[64];
    uint64_t cursor_seqno;
    uint32_t said_epoch; /* of the last SUBSCRIBE */
    /* instead of the server: gets each frame */
    void (*frame)(struct fake *fake, const struct yd_frame *frame, struct yd_str body);
};

void fake_init(struct fake *fake, uint64_t seed);
void fake_fini(struct fake *fake);
void fake_kill(struct fake *fake); /* kill -9, and started again */
void fake_send(struct fake *fake, uint16_t type, uint16_t flags, uint64_t correlation, const void *body, size_t size);
void fake_serve(struct fake *fake, const struct yd_frame *frame, struct yd_str body); /* the server, one frame */
void fake_add(struct fake *fake, const struct yd_batch *batch); /* a batch of somebody else, durable */
int64_t fake_seqno(const struct fake *fake);                    /* the next one */

/* Opens a client on it: options may be NULL. */
struct yd_client *fake_client(struct fake *fake, const struct yd_client_options *options);
/* A batch of `count` records that all bear the number `mark`; mark 0: their own position. */
struct yd_batch *fake_batch(uint64_t mark, unsigned count);
uint64_t fake_mark(const struct yd_batch *batch);

#endif
