/* <yarder/protocol.h>: the native protocol: frames over TCP, TLS or a Unix socket. docs/native-protocol.md explains it.
 *
 *   | size u32 | type u16 | flags u16 | correlation u64 | body: one struct below, then text, then batches |
 *
 * Little-endian. size counts the whole frame, these 16 bytes too, and is a multiple of 8; texts follow their struct
 * directly, in the order of their sizes, then zeros up to a multiple of 8, then whole batches as in <yarder/batch.h>,
 * back to back, to the frame's end. correlation is the client's: an answer bears its request's; what a subscription
 * sends bears the SUBSCRIBE's. Every request ends in its answer or in REFUSED. Requests may be pipelined; those of one
 * stream are done in order, the answers to APPEND of one stream and level come in order.
 * Nothing from the other side is trusted: unknown types are REFUSED (YD_ENOTSUP) and the connection goes on; a frame
 * that cannot be (size, a struct that is not all there, texts beyond the end) ends the connection with GOODBYE.
 * Reserved fields are zero and are not looked at. A higher minor version adds types and flags only. */
#ifndef YARDER_PROTOCOL_H
#define YARDER_PROTOCOL_H

#include <stddef.h>
#include <stdint.h>

#define YD_PROTOCOL_MAGIC     UINT32_C(0x50434459) /* "YDCP", first word of HELLO's body */
#define YD_PROTOCOL_VERSION   1
#define YD_PROTOCOL_PORT      4280
#define YD_PROTOCOL_FRAME_MAX (UINT32_C(72) << 20) /* a batch of the largest size fits; a server may allow less */
#define YD_PROTOCOL_TEXT_MAX  4096

enum yd_message {
    /* session */
    YD_MSG_HELLO = 1, /* c: first of all */
    YD_MSG_WELCOME,   /* s */
    YD_MSG_REFUSED,   /* s: the request of this correlation failed */
    YD_MSG_GOODBYE,   /* either: why the connection ends; nothing follows */
    YD_MSG_PING,      /* either; any body comes back */
    YD_MSG_PONG,
    /* streams */
    YD_MSG_OPEN = 16, /* c: a stream; its handle is for this connection */
    YD_MSG_OPENED,    /* s */
    YD_MSG_APPEND,    /* c: one batch or several of one producer */
    YD_MSG_APPENDED,  /* s: all of them are at the level */
    YD_MSG_SUBSCRIBE, /* c */
    YD_MSG_BATCHES,   /* s: struct yd_msg_batches, then whole batches, by sendfile where they are in a file */
    YD_MSG_GAP,       /* s: records that are not there */
    YD_MSG_POSITION,  /* s: notifications: the stream has got so far */
    YD_MSG_CREDIT,    /* c: for a subscription, so many bytes more */
    YD_MSG_CANCEL,    /* c: ends a subscription */
    YD_MSG_END,       /* s: the subscription is over; its last frame */
    /* asking */
    YD_MSG_QUERY = 32, /* c: one batch, one ROW {op, …}: streams, stat, create, cursors, cursor_save, fence … */
    YD_MSG_REPLY,      /* s: batches of ROWs; flag MORE: others follow */
    /* following */
    YD_MSG_FOLLOW = 48, /* f: I end here: send what comes next, for ever */
    YD_MSG_FOLLOWING,   /* l: agreed, or cut back first */
    YD_MSG_SEGMENT,     /* l: a segment begins: its head */
    YD_MSG_SEAL,        /* l: it is complete: what stands behind its frames */
    YD_MSG_FOLLOWED,    /* f: everything below is durable here; also says that it lives */
    YD_MSG_FENCE,       /* either: this epoch is newer */
};

struct yd_frame {
    uint32_t size;
    uint16_t type, flags;
    uint64_t correlation;
};
#define YD_FRAME_MORE 1 /* of REPLY */

struct yd_msg_hello {
    uint32_t magic;
    uint16_t version_min, version_max;
    uint16_t name_size, token_size; /* texts: who (for people), the secret */
    uint32_t reserved;
};
struct yd_msg_welcome {
    uint16_t version, reserved;
    uint32_t frame_max; /* larger frames are refused */
    uint64_t server_id; /* changes with every start */
    uint16_t name_size, reserved2;
    uint32_t reserved3; /* text: the server's name and version, for people */
};
struct yd_msg_refused {
    int32_t error;           /* YD_E… */
    uint32_t retry_after_ms; /* 0: do not */
    uint64_t detail; /* APPEND: EGAP: the seqno, or the producer's seq, that is expected; EEPOCH: the epoch in force */
    uint64_t
        detail2; /* APPEND of several: how many of its batches were taken before this one; they are in the stream,
                    nothing is said of their level: sent again they are duplicates, acknowledged when it is reached */
    uint16_t text_size, reserved; /* text: for people */
    uint32_t reserved2;
}; /* GOODBYE has the same body */

struct yd_msg_open {
    uint16_t stream_size, reserved; /* text: "name/partition"; "name": of one that has a single partition, that */
    uint32_t flags;
    uint64_t producer_id; /* who will append, so that OPENED tells where he is; 0: nobody */
};
#define YD_OPEN_CREATE_STREAM 1 /* make it when it is not there (one partition, defaults) */
struct yd_msg_opened {
    uint32_t handle, partitions;
    uint64_t log_id;
    uint32_t epoch, flags;
    uint64_t first, written, durable, replicated;
    uint64_t producer_seq; /* the last number known of producer_id, in memory at least; 0: none */
    uint32_t producer_epoch, reserved3;
    uint16_t dir_size,
        reserved; /* text: the folder of its files, to a peer on the same machine (Unix socket, loopback) */
    uint32_t reserved2;
};
#define YD_OPENED_FOLLOWER    1 /* takes no appends */
#define YD_OPENED_BY_NAME     2 /* partitions: by hash of the name */
#define YD_OPENED_BY_PRODUCER 4

struct yd_msg_append {
    uint32_t handle;
    uint8_t level; /* enum yd_ack */
    uint8_t flags;
    uint16_t count;            /* batches behind; checked */
    uint64_t expect_seqno;     /* with EXPECT_SEQNO: of the first record; the sole producer's */
    uint64_t expect_prev_seq;  /* with EXPECT_PREV: what the producer's last known seq must be (of the first batch; each
                                  next one must follow the one before it) */
    uint32_t replicas_wait_ms; /* REPLICATED: answer with what was reached after so long; 0: the leader's own bound */
    uint32_t reserved;
};
#define YD_APPEND_EXPECT_SEQNO 1
#define YD_APPEND_EXPECT_PREV  2
struct yd_msg_appended {
    uint64_t first, next; /* [first, next): of all its batches; a duplicate: where its producer is */
    uint8_t level;        /* what was really reached: durable when replicas were too few or too slow */
    uint8_t flags;
    uint16_t in_sync;    /* followers in the set */
    uint32_t duplicates; /* of its batches */
};

struct yd_msg_subscribe {
    uint32_t handle;
    uint8_t from;  /* enum yd_log_from */
    uint8_t level; /* read level */
    uint16_t flags;
    uint64_t seqno;
    int64_t time_ns;
    uint32_t epoch;       /* of the cursor, or 0 */
    uint32_t kinds;       /* 0: all */
    uint64_t until;       /* ends before this seqno; UINT64_MAX: never */
    uint64_t count;       /* ends after so many records that match; UINT64_MAX: never */
    uint64_t credit;      /* bytes of BATCHES bodies until CREDIT; one batch is always allowed when credit is above 0 */
    uint32_t interval_ms; /* NOTIFY: at most one POSITION in so long; 0: as they come, coalesced */
    uint16_t names_size,
        cursor_size; /* texts: a name pattern; a durable cursor's name to start at (FROM is the fallback) */
};
#define YD_SUBSCRIBE_NOTIFY 1 /* positions only: for readers that have the files */
#define YD_SUBSCRIBE_STOP   2 /* ends at what is there now */
#define YD_SUBSCRIBE_ALL    4 /* also what tombstones cover */
struct yd_msg_batches {
    uint64_t next; /* seqno after the last record of these batches, and of what was skipped behind them */
};                 /* the first of a subscription comes at once, if need be without batches: next is where it begins, so
                      that "the tail" and "a time" are places to come back to. Its whole body counts against the credit */
struct yd_msg_gap {
    uint64_t from, to;
    uint16_t reason_size, reserved;
    uint32_t reserved2;
};
struct yd_msg_position {
    uint64_t first, written, durable, replicated;
    uint64_t segment, offset;
    uint32_t epoch, reserved;
};
struct yd_msg_credit {
    uint64_t bytes;
};
struct yd_msg_end {
    int32_t error; /* 0: until or count was reached, or CANCEL */
    uint16_t text_size, reserved;
    uint64_t next;
};

/* QUERY: one ROW whose MAP has TEXT "op" and what that wants; numbers are U64, times and durations I64 in ns. REPLY:
 * ROWs, named as said; none at all is an empty REPLY.
 *   streams        {match?}: a pattern over names        each partition, "NAME/PARTITION": {first, written, durable,
 *   stat           {stream}                              replicated, bytes, segments, log_id, epoch, live, follower,
 *                                                        time_min, time_max, records_per_s, bytes_per_s, twins,
 *                                                        twin_bytes, key_min, key_max, partitions, by?}
 *   create         {stream, partitions?, by?: "name" or "producer", keep?: ns, size?: bytes}    each, as stat
 *   cursors        {stream}                              each, by its name: {seqno, epoch, saved_at, lag, partition?}
 *   cursor_save    {stream, cursor, seqno}               "cursor": {seqno}: what was saved
 *   cursor_remove  {stream, cursor}
 *   producer       {stream, id}                          "producer": {epoch, seq}; YD_ENOENT
 *   fence          {stream, epoch}
 *   elements                                             each that answers questions, by its name: {class, asked}
 *   any other      {element, …}                          that element's answer, as its reference page says: states,
 *                                                        windows, events, facts, fact_get, fact_set … {match?, max?}
 * A stream of several partitions that is given by its name alone: stat, cursors (with the TEXT `partition` then) and
 * cursor_remove take each; cursor_save, producer and fence want one named. */

struct yd_msg_follow {
    uint32_t handle;
    uint32_t epoch, last_crc;
    uint16_t id_size, reserved; /* text: the follower's name */
    uint64_t log_id, seqno, segment, offset;
    uint32_t known_epoch; /* the newest it has heard of */
    uint32_t copy;        /* a random number that this copy keeps: two connections of one copy are one follower */
    uint64_t epoch_start; /* where batches of `epoch` begin in it; ~0: not known */
}; /* BATCHES then come with the correlation of FOLLOW, as SEGMENT and SEAL do; the follower reads as fast as it writes
    */
struct yd_msg_following {
    int32_t error; /* 0: it comes; YD_EGAP: cut back to `common` and ask again; YD_ENOENT: `common` is the oldest seqno:
                      begin anew; YD_EEPOCH: yours is newer, I am deposed; others: why it does not go on. Comes again
                      when that changes later */
    uint32_t epoch;
    uint64_t common, log_id;
};
struct yd_msg_segment {
    uint64_t base, size; /* then the head's bytes */
};
struct yd_msg_seal {
    uint64_t base, size; /* then so many bytes: index and footer */
};
struct yd_msg_followed {
    uint32_t handle, epoch;
    uint64_t durable;
};
struct yd_msg_fence {
    uint32_t handle, epoch;
}; /* answered by FENCE with the newest epoch known there, once that is remembered durably */

_Static_assert(sizeof(struct yd_frame) == 16 && sizeof(struct yd_msg_hello) == 16 &&
                   sizeof(struct yd_msg_welcome) == 24 && sizeof(struct yd_msg_refused) == 32 &&
                   sizeof(struct yd_msg_open) == 16 && sizeof(struct yd_msg_opened) == 80 &&
                   sizeof(struct yd_msg_append) == 32 && sizeof(struct yd_msg_appended) == 24 &&
                   sizeof(struct yd_msg_subscribe) == 64 && sizeof(struct yd_msg_position) == 56 &&
                   sizeof(struct yd_msg_end) == 16 && sizeof(struct yd_msg_follow) == 64 &&
                   sizeof(struct yd_msg_seal) == 16 && sizeof(struct yd_msg_following) == 24 &&
                   sizeof(struct yd_msg_followed) == 16,
               "the messages' layouts are the format");

#endif
