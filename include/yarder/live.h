/* Current values of a running yarder, by name, out of shared memory. libc only: pkg-config yarder-live.
 *
 *   yd_live_open("data/live/NAME.sock") ─▶ yd_live_follow("altitude") ─▶ yd_live_get / next / wait ─▶ yd_live_close
 *
 * The writer never waits for a reader, and reading makes no system call: a value that has not changed costs one load.
 * Values are the latest: who reads with `get` sees the newest and how many he missed; who reads with `next` gets each
 * one, as long as he is no more than the table's slots behind, and exactly how many he missed otherwise.
 *
 * When the writer dies, values stay as they were, and yd_live_wait says so once (YD_ECLOSED); when it, or another, is
 * back at the same address the handle goes over to the new memory by itself, and items keep their names. A small thread
 * of the library sleeps on the door's socket for this; nothing polls.
 *
 * A handle, with its items and sets, belongs to one thread at a time. Programs with several threads open several.
 * Errors: enum yd_error. Times are ns since 1970 UTC unless they are called timeouts. */
#ifndef YARDER_LIVE_H
#define YARDER_LIVE_H

#include <yarder/batch.h>
#include <yarder/name.h>

#ifdef __cplusplus
extern "C" {
#endif

/* flags of a value: the low byte as a record's (YD_RECORD_CODE_MASK, _STALE, _TRANSITION, _ROLLOVER, _QUALITY), and: */
#define YD_LIVE_LIMIT_MASK  0x0700 /* enum yd_live_limit, shifted */
#define YD_LIVE_LIMIT_SHIFT 8
enum yd_live_limit {
    YD_LIVE_LIMIT_NONE,
    YD_LIVE_GREEN,
    YD_LIVE_YELLOW_LOW,
    YD_LIVE_YELLOW_HIGH,
    YD_LIVE_RED_LOW,
    YD_LIVE_RED_HIGH
};

struct yd_live_value {
    uint64_t seq;    /* 1, 2, 3 … of this generation */
    uint64_t missed; /* values between the one got before and this one, in the memory that it was in, too; 0 for the
                        first of all. Of memory that came and went before anybody looked no more than its
                        newest value counts */
    uint64_t bits;   /* the first 8 bytes: a scalar's value, as union yd_value */
    int64_t time_ns;
    uint32_t size; /* bytes of the whole value */
    uint16_t flags;
    uint8_t type; /* enum yd_type: BOOL, I64, U64, F64, TEXT, BLOB; NIL */
};

struct yd_live;      /* an attachment */
struct yd_live_item; /* a measurement that is followed */
struct yd_live_set;  /* all measurements that match a pattern, those too that come later */

struct yd_live_options {
    const char *application; /* for people who look at the daemon; NULL: the program's name */
    bool absent;             /* nobody there yet is no error: attaches when somebody comes */
};
/* address: the path of a Live element's socket. options may be NULL. YD_ENOENT, YD_ECONNREFUSED: nobody is there;
 * YD_EPERM: not on its list; YD_EVERSION; YD_EFORMAT: not such a socket; YD_ETIMEOUT: it does not answer. */
int yd_live_open(const char *address, const struct yd_live_options *options, struct yd_live **ret_live,
                 struct yd_trail *trail);
/* With its items and sets; NULL is quiet. After fork a handle stays the parent's: all that a child may do is close its
 * copy, which the parent does not notice. */
void yd_live_close(struct yd_live *live);
bool yd_live_attached(struct yd_live *live);       /* the writer is there */
uint64_t yd_live_generation(struct yd_live *live); /* of the memory in use; 0: none ever. Rises with a new writer */

/* Of the memory in use, for people. */
struct yd_live_about {
    uint64_t generation, bytes; /* reserved: what was never used costs nothing */
    int64_t writer_pid, created_ns;
    uint32_t names, names_max;
};
int yd_live_about(struct yd_live *live, struct yd_live_about *ret); /* YD_EAGAIN: none ever */

/* Who is at the daemon's door, or was since it opened. */
struct yd_live_readers {
    uint64_t attached;  /* now, this handle too, and who has just come and said nothing yet */
    uint64_t welcomed;  /* ever */
    uint64_t refused;   /* not on the list, too many, not understood */
    uint64_t shown_out; /* did not take what they were told */
};
/* Asks the daemon. YD_ECLOSED: it is not there; YD_ETIMEOUT. */
int yd_live_readers(struct yd_live *live, struct yd_live_readers *ret);

/* The measurement of that qualified name, which need not exist yet. The same name twice gives two items, each with its
 * own position. YD_EFORMAT: not a name. */
int yd_live_follow(struct yd_live *live, const char *name, struct yd_live_item **ret_item);
void yd_live_unfollow(struct yd_live_item *item);          /* NULL is quiet */
const char *yd_live_name(const struct yd_live_item *item); /* canonical */

/* The newest value: 1, *ret_value, and its bytes in `to` (of TEXT and BLOB: at most `room` of them, ret_value->size is
 * how many there are; `to` NULL: none). 0: nothing newer than what was got last; outputs untouched. YD_EAGAIN: it never
 * had a value. YD_EFORMAT: damaged memory. */
int yd_live_get(struct yd_live_item *item, void *to, size_t room, struct yd_live_value *ret_value);
/* The value after the one got last, in order; the first time the oldest that is still there. Otherwise as get. */
int yd_live_next(struct yd_live_item *item, void *to, size_t room, struct yd_live_value *ret_value);
/* The newest value as a number, whether it is new or not: 0, or YD_EAGAIN: there never was one; YD_EINVAL: TEXT or
 * BLOB; YD_ERANGE: does not fit. u64 and i64 take no fractions: YD_ERANGE. */
int yd_live_get_f64(struct yd_live_item *item, double *ret);
int yd_live_get_i64(struct yd_live_item *item, int64_t *ret);
int yd_live_get_u64(struct yd_live_item *item, uint64_t *ret);
int yd_live_get_bool(struct yd_live_item *item, bool *ret);
/* TEXT, terminated, cut to fit. A number is written out. */
int yd_live_get_text(struct yd_live_item *item, char *to, size_t size);

/* Sleeps, without using the processor, until one of the items has a value newer than what was got of it: 1, and which
 * (turns are fair). YD_ETIMEOUT; YD_ECANCELED: a signal; YD_ECLOSED: the writer has gone: said once, then it sleeps
 * until values come again. timeout_ns < 0: for ever; 0: only looks. count 0: waits for any of these. */
int yd_live_wait(struct yd_live_item *item, int64_t timeout_ns);
int yd_live_wait_any(struct yd_live *live, struct yd_live_item *const *items, size_t count, int64_t timeout_ns,
                     size_t *ret_index);

/* A descriptor for poll and epoll: readable when something of what is followed may have changed, or the writer has come
 * or gone. Then call yd_live_woken, and after that get what there is. The handle's; costs one more sleeping thread. */
int yd_live_descriptor(struct yd_live *live, int *ret_fd);
void yd_live_woken(struct yd_live *live);

/* Names, in the order they came; *position begins at 0 and is moved behind the name that is given: 1; 0: no more now.
 * pattern NULL: all. The name lies in shared memory, is not terminated, and stays until the next call with `live`. */
int yd_live_names(struct yd_live *live, const struct yd_pattern *pattern, uint32_t *position, struct yd_str *ret_name);
uint32_t yd_live_count(struct yd_live *live); /* of names there are */

/* YD_EFORMAT: not a pattern. */
int yd_live_follow_matching(struct yd_live *live, const char *pattern, struct yd_live_set **ret_set);
void yd_live_unfollow_set(struct yd_live_set *set); /* NULL is quiet */
/* 1 and one that has something new, in fair turns, new names included: then get or next it. 0: none has. */
int yd_live_set_ready(struct yd_live_set *set, struct yd_live_item **ret_item);
size_t yd_live_set_items(struct yd_live_set *set, struct yd_live_item *const **ret_items);
int yd_live_set_wait(struct yd_live_set *set, int64_t timeout_ns); /* as yd_live_wait; names that come count, too */

/* ---- at a Broker's address: what the daemon sends to this program alone ----
 *
 *   yd_live_subscribe("engine.*", every) ─▶ yd_live_subscription_wait ─▶ yd_live_subscription_next … ─▶ unsubscribe
 *
 * Made again by itself when the daemon comes back. The daemon waits for nobody: who does not read in time loses the
 * oldest values, and is told how many. */
struct yd_live_subscription;
#define YD_LIVE_SUBSCRIPTIONS 60 /* of a handle */

struct yd_live_subscribe_options {
    bool every;         /* every value, in order; otherwise the latest of each name */
    double rate;        /* values of each name a second, at most; 0: no bound */
    unsigned priority;  /* 0 … 9: the greatest are served first */
    uint64_t ring_size; /* every: bytes that may wait unread, 48 for a number; 0: 64 KiB */
    uint32_t names_max; /* names beyond are left out, and counted; 0: 65,536 */
};

struct yd_live_update {
    /* seq: of the measurement, as the daemon counts since it started; missed: its values since the one got before that
     * are not got, for whatever reason, the rate too. */
    struct yd_live_value value;
    struct yd_str name; /* in shared memory: until the next call with this subscription. Not terminated */
    uint64_t lost;      /* every: values, of all names, that were overwritten unread before this one */
};

/* Of one subscription: what was published of its names since it began is passed + paced + overrun + unplaced, but for
 * what the daemon has not come to; and passed is got + lost, but for what is still to be read (every). */
struct yd_live_counts {
    uint64_t names;
    uint64_t passed;   /* handed on by the daemon */
    uint64_t paced;    /* not handed on: more than the rate, or not the latest any more */
    uint64_t overrun;  /* the daemon came too late to this program's part */
    uint64_t unplaced; /* of names beyond names_max */
    uint64_t got, lost;
};

/* options NULL: the latest of each name. Nobody there now: subscribed when somebody comes. YD_EFORMAT: not a pattern;
 * YD_EINVAL; YD_EFULL; YD_ENOTSUP: not the address of a Broker; YD_ETIMEOUT. */
int yd_live_subscribe(struct yd_live *live, const char *pattern, const struct yd_live_subscribe_options *options,
                      struct yd_live_subscription **ret_subscription, struct yd_trail *trail);
void yd_live_unsubscribe(struct yd_live_subscription *subscription); /* NULL is quiet */
/* 1: the next value, its bytes in `to` as with yd_live_get. 0: none now. YD_EFORMAT: damaged memory; YD_ENOMEM. */
int yd_live_subscription_next(struct yd_live_subscription *subscription, void *to, size_t room,
                              struct yd_live_update *ret_update);
int yd_live_subscription_wait(struct yd_live_subscription *subscription, int64_t timeout_ns); /* as yd_live_wait */
/* Asks the daemon. YD_ECLOSED: it is not there; YD_ETIMEOUT. */
int yd_live_subscription_counts(struct yd_live_subscription *subscription, struct yd_live_counts *ret_counts);

#ifdef __cplusplus
}
#endif

#endif
