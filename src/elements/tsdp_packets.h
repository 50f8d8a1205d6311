/* elements/tsdp_packets.h: TSDP messages in memory to batches. Pure.
 *
 *   message = version 4 bits (1), opcode 4 bits, flags 8, payload 16; frames, of which the last one says so
 *   frame   = final 1 bit, type 3 bits, length 12 bits; data     types: UINT 0, FLOAT 1, STRING 2, TSTAMP 6 (ms), NIL 7
 *
 *   SUBMIT, payload       frames                                   becomes
 *   SAMPLE 01             name, time, number…                      a SAMPLE of each number
 *   TALLY  02             name, time, [UINT]                       a TALLY, of 1 without it
 *   DELTA  04             name, time, number                       a DELTA
 *   STATE  08             name, time, UINT interval, [text]        a STATE: its code are the lowest two bits of flags
 *   EVENT  10             name, time, text                         an EVENT
 *   FACT   20             name, value                              a FACT, of now
 *   HEARTBEAT             time, UINT packets sent                  said to the sink: who lost what is the class's
 *
 * Numbers are big-endian, of 2, 4 or 8 bytes. A message that is none, or of an opcode that nobody here serves, is read
 * to its end, rejected and changes nothing. A name is `metric key=value,key`, or pairs alone: then the metric is
 * options.metric; a backslash escapes. Source: the TSDP specification (its header, frames and signatures); where it
 * contradicts itself: lengths count octets, a set final bit ends a message.
 *
 * One thread. */
#ifndef ELEMENTS_TSDP_PACKETS_H
#define ELEMENTS_TSDP_PACKETS_H

#include "elements/spellings.h"

#define YD_TSDP_MESSAGE_MAX ((size_t)64 << 10)

#define YD_TSDP_REASONS(X)                                                                                             \
    X(BAD_VERSION, "unknown version")                                                                                  \
    X(BAD_OPCODE, "unknown opcode")                                                                                    \
    X(NOT_SERVED, "not a submission")                                                                                  \
    X(BAD_PAYLOAD, "unknown payload")                                                                                  \
    X(BAD_FRAMES, "wrong frames")                                                                                      \
    X(BAD_NAME, "bad name")                                                                                            \
    X(NAME_TOO_LONG, "name too long")                                                                                  \
    X(DUPLICATE_KEY, "key given twice")                                                                                \
    X(NOT_UTF8, "not UTF-8")                                                                                           \
    X(BAD_TIMESTAMP, "bad timestamp")                                                                                  \
    X(NOT_FINITE, "value not finite")                                                                                  \
    X(TOO_LARGE, "message larger than 64 KiB")                                                                         \
    X(CUT_SHORT, "message cut short")                                                                                  \
    X(NO_MEMORY, "out of memory")

enum yd_tsdp_reason {
#define YD_TSDP_ENUM(name, text) YD_TSDP_##name,
    YD_TSDP_REASONS(YD_TSDP_ENUM)
#undef YD_TSDP_ENUM
        YD_TSDP_REASON_COUNT
};
extern const char *const yd_tsdp_reasons[]; /* by enum yd_tsdp_reason, ending in NULL */

struct yd_tsdp_sink {
    void *arg;
    void (*batch)(void *arg, struct yd_batch *batch, uint32_t records); /* takes it */
    void (*reject)(void *arg, enum yd_tsdp_reason reason, struct yd_str message);
    void (*message)(void *arg); /* one has come whole, whatever is in it; before anything else of it */
    void (*heartbeat)(void *arg, uint64_t sent, bool rolled);
};
struct yd_tsdp_options {
    struct yd_tsdp_sink sink;
    struct yd_str metric; /* of names that have none; kept by the caller */
    size_t batch_bytes;   /* of a sealed frame; 0: 1 MiB */
    size_t cache_bytes;   /* of the name cache; 0: 64 MiB */
    uint64_t seed;        /* of its hashes: random in the product */
    struct yd_alloc *alloc;
};
struct yd_tsdp;
int yd_tsdp_create(const struct yd_tsdp_options *options, struct yd_tsdp **ret_tsdp);
void yd_tsdp_destroy(struct yd_tsdp *tsdp); /* NULL is quiet */
/* The whole messages at the front of `bytes`: *ret_used of them. YD_ETOOBIG: what comes next is larger than a message
 * may be, which was rejected: there is no way to go on. What is gathered stays until yd_tsdp_flush. */
int yd_tsdp_take(struct yd_tsdp *tsdp, struct yd_str bytes, int64_t now_ns, size_t *ret_used);
/* Whose bytes come next: names that these bring first are this peer's (yd_batch_origin). */
void yd_tsdp_origin(struct yd_tsdp *tsdp, struct yd_str peer);
void yd_tsdp_flush(struct yd_tsdp *tsdp);

#endif
