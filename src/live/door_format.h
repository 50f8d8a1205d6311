/* live/door_format.h: what is said at the door: one message a packet, over a Unix socket of type SEQPACKET.
 *
 *   client ── HELLO {application} ──▶ door
 *          ◀── WELCOME {generation, id} + descriptors: table, bell ──     or REFUSED {error, text}
 *          ◀── REPLACED {generation, id} + descriptor: table ──           whenever a larger table takes over
 *
 * At any door, any number of times:
 *   client ── LOOK ──▶       ◀── LOOKED {who is here, and was} ──       same correlation
 *
 * At the door of a broker (its table is empty), any number of times:
 *   client ── SUBSCRIBE {mode, priority, rate, sizes, pattern} ──▶
 *          ◀── SUBSCRIBED {id, generation, word} + table, bell, ring when every ──     or REFUSED, same correlation
 *          ── UNSUBSCRIBE {id} ──▶                                    without an answer
 *          ── COUNT {id} ──▶        ◀── COUNTS {id, …} ──             or REFUSED
 *
 * Otherwise nothing needs to be said: values are in the table. The hang-up of the socket says that the writer is gone.
 * Byte order is the machine's, as in the regions. Sizes are exact for the version; an unknown type is ignored. */
#ifndef LIVE_DOOR_FORMAT_H
#define LIVE_DOOR_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define YD__DOOR_MAGIC       UINT32_C(0x524f4459) /* "YDOR" */
#define YD__DOOR_VERSION     1
#define YD__DOOR_MESSAGE_MAX 4096
#define YD__DOOR_APPLICATION 64
#define YD__DOOR_TEXT        192

#define YD__DOOR_PATTERN 1024

enum yd__door_type {
    YD__DOOR_HELLO = 1,
    YD__DOOR_WELCOME,
    YD__DOOR_REFUSED,
    YD__DOOR_REPLACED,
    YD__DOOR_SUBSCRIBE,
    YD__DOOR_SUBSCRIBED,
    YD__DOOR_UNSUBSCRIBE,
    YD__DOOR_COUNT,
    YD__DOOR_COUNTS,
    YD__DOOR_LOOK,
    YD__DOOR_LOOKED,
};

struct yd__door_head {
    uint32_t magic;
    uint16_t version;
    uint16_t type;
    uint64_t correlation; /* of a question and its answer; 0: none */
};
struct yd__door_hello {
    struct yd__door_head head;
    char application[YD__DOOR_APPLICATION]; /* terminated: for people */
};
struct yd__door_regions { /* WELCOME, REPLACED */
    struct yd__door_head head;
    uint64_t generation;
    uint64_t id;
};
struct yd__door_refused {
    struct yd__door_head head;
    int32_t error; /* YD_E… */
    uint32_t reserved;
    char text[YD__DOOR_TEXT]; /* terminated */
};

enum yd__door_mode { YD__DOOR_LATEST, YD__DOOR_EVERY };
struct yd__door_subscribe {
    struct yd__door_head head;
    double rate;        /* values of a name a second at most; 0: no bound */
    uint64_t ring_size; /* 0: the door's choice */
    uint32_t names_max; /* 0: the door's choice */
    uint16_t mode, priority;
    char pattern[YD__DOOR_PATTERN]; /* terminated */
};
struct yd__door_subscribed {
    struct yd__door_head head;
    uint64_t id, generation;
    uint32_t word; /* of the bell */
    uint32_t mode;
};
struct yd__door_subscription { /* UNSUBSCRIBE, COUNT; LOOK, its id not used */
    struct yd__door_head head;
    uint64_t id;
};
struct yd__door_counts { /* as struct yd_live_feed_counts */
    struct yd__door_head head;
    uint64_t id, names, passed, paced, overrun, unplaced;
};

struct yd__door_looked { /* as struct yd_live_door_counts */
    struct yd__door_head head;
    uint64_t clients, welcomed, refused, shown_out;
};

_Static_assert(sizeof(struct yd__door_subscribe) == 1064 && sizeof(struct yd__door_subscribed) == 40 &&
                   sizeof(struct yd__door_subscription) == 24 && sizeof(struct yd__door_counts) == 64 &&
                   sizeof(struct yd__door_looked) == 48,
               "the messages' layouts are the format");
_Static_assert(sizeof(struct yd__door_head) == 16 && sizeof(struct yd__door_hello) == 80 &&
                   sizeof(struct yd__door_regions) == 32 && sizeof(struct yd__door_refused) == 216,
               "the messages' layouts are the format");

#endif
