/* elements/log_part.h: what a Log does with one partition of its stream; log.c has them all.
 *
 *   its part of a batch --> yd_log_append --> waits until the stream has got so far --> a debt paid
 *        full: put aside, in its order                   several partitions: the last one pays, with the worst answer
 *
 * Everything belongs to the element's process. */
#ifndef ELEMENTS_LOG_PART_H
#define ELEMENTS_LOG_PART_H

#include <yarder/element.h>
#include <yarder/log.h>

#define YD__LOG_INPUT 0 /* the port */

enum yd__log_reason {
    YD__LOG_READONLY,
    YD__LOG_EPOCH,
    YD__LOG_GAP,
    YD__LOG_DUPLICATE,
    YD__LOG_MEMORY,
};

/* What several partitions owe one sender. */
struct yd__log_share {
    uint64_t hold; /* 0: nobody is waiting */
    unsigned left, level;
    int error;
};
/* What is owed for a part of a batch: to a share of it, or straight to a hold. */
struct yd__log_debt {
    struct yd__log_share *share;
    uint64_t hold;
    unsigned level;   /* asked for; 0: nobody asks */
    uint32_t records; /* of the part */
    uint32_t copies;  /* of them: tombstones that are counted in another part */
    int64_t born_ns;  /* when they came in */
};
/* A debt to be paid when the partition has got as far as `next`. */
struct yd__log_wait {
    uint64_t next;
    struct yd__log_debt debt;
};
struct yd__log_waits { /* first in, first out; `next` only rises */
    struct yd__log_wait *items;
    size_t first, count, capacity; /* capacity: a power of two */
};
/* Records that are not durable yet, for telling how long that took. When the ring is full the last one stands for what
 * comes, too: it is then told as a little longer than it was. */
#define YD__LOG_AGES 256
struct yd__log_age {
    uint64_t next, records;
    int64_t born_ns;
};
struct yd__log_pending { /* a part that the log had no room for */
    struct yd_batch *batch;
    struct yd__log_debt debt;
    struct yd__log_pending *next;
};

struct yd__log_part {
    struct yd_log *log;
    struct yd__log_waits written, durable, replicated;
    struct yd__log_pending *first, **last;
    struct yd__log_age ages[YD__LOG_AGES]; /* a ring */
    uint32_t age_first, age_count;
    bool said_failed, said_no_space, said_held;
    char stream[256];                /* as others find it: NAME/PARTITION */
    char called[32];                 /* "this stream", "partition 2" */
    struct yd_log_recovery recovery; /* what the last opening found */
};

/* Takes its part of the batch at hand (a reference of its own, if it must). */
void yd__log_part_take(struct yd__log_part *part, struct yd_batch *batch, struct yd__log_debt debt, struct yd_out *out);
void yd__log_part_moved(struct yd__log_part *part, struct yd_out *out); /* what had to wait, and who is owed */
void yd__log_part_say_recovery(const struct yd__log_part *part, struct yd_out *out);
void yd__log_part_close(struct yd__log_part *part); /* nobody is paid: the runtime answers the holds */

#endif
