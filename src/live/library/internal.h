/* live/library/internal.h: what the files of the reader's library share. libc only.
 *
 *   program's thread: live.c items, get, next │ wait.c sleeping │ set.c patterns      current attachment
 *   helper thread:    attach.c the door: comes, goes, comes back ──▶ pending attachment, news
 *   helper thread:    subscribe.c asks again, takes what a broker's door gives ──▶ pending grants, news
 *   waker thread:     wake.c bells ──▶ eventfd, only for who wants a descriptor
 *
 * The helper offers, the program's thread takes over when it next looks (yd__live_look): so no memory changes under a
 * reader's hands. */
#ifndef LIVE_LIBRARY_INTERNAL_H
#define LIVE_LIBRARY_INTERNAL_H

#include <pthread.h>
#include <sys/types.h>

#include <yarder/live.h>

#include "base/alloc.h"
#include "live/atomic.h"
#include "live/bell_wait.h"
#include "live/door_format.h"
#include "live/futex.h"
#include "live/ring_read.h"
#include "live/table_read.h"

/* Open addressing from a hash to a small number; the caller compares. Grows; never shrinks. */
struct yd__live_index {
    struct yd__live_index_slot {
        uint64_t hash;
        uint32_t value; /* + 1; 0: free */
    } * slots;
    uint32_t capacity, used;
};
int yd__live_index_add(struct yd__live_index *index, uint64_t hash, uint32_t value);
/* The next value of that hash; *at begins at UINT32_MAX. UINT32_MAX: no more. */
uint32_t yd__live_index_next(const struct yd__live_index *index, uint64_t hash, uint32_t *at);
void yd__live_index_fini(struct yd__live_index *index);

struct yd__attachment {
    struct yd_live_mapping table, bell;
    struct yd_live_table_view view;
    uint64_t generation;
    uint32_t refs;               /* under live->lock */
    struct yd__live_index names; /* of the first `indexed` entries; the program's thread */
    uint32_t indexed;
};

struct yd__waker;

/* What the door gave for a subscription. */
struct yd__grant {
    struct yd_live_mapping table, bell, ring; /* ring: of every */
    struct yd_live_table_view view;
    struct yd_live_ring_reader reader;
    uint64_t id;
    uint32_t word;
    uint32_t refs; /* under live->lock */
};

struct yd_live {
    struct yd__attachment *pending; /* atomic; set under lock */
    struct yd__attachment *current; /* the program's thread; changed under lock */
    uint32_t news;                  /* atomic: rises with each change of what the helper knows; slept on */
    uint32_t gone;                  /* atomic: no writer */
    bool told;                      /* that it is gone */
    struct yd_live_item *items;     /* all, in a list */
    struct yd_live_set *sets;
    struct yd_live_subscription *subscriptions; /* under lock */
    unsigned subscription_count;
    uint64_t correlation; /* the newest used */
    uint64_t looking;     /* under lock: correlation of a question who is there; 0: answered */
    int look_error;       /* likewise */
    struct yd_live_readers readers;
    uint64_t mask; /* atomic: words of the bells of all that is followed */
    pthread_mutex_t lock;
    pthread_t helper;
    pid_t process; /* that opened it: a child has none of the threads */
    int stop;      /* eventfd: readable: end */
    int door;      /* the helper's, changed under lock; -1: none */
    int bell_fd;   /* likewise */
    char *address;
    size_t address_size;
    char application[64];
    struct yd__waker *waker;
    size_t turn; /* of the item that yd_live_wait_any looks at first */
};

struct yd_live_item {
    struct yd_live *live;
    struct yd_live_item *prev, *next;
    struct yd_live_cell cell;
    struct yd_live_cursor cursor;
    bool found;    /* cell is of the current attachment */
    bool has_last; /* last is something */
    bool before;   /* values of an earlier generation were got: what it took along is in `left` */
    uint64_t left; /* values of earlier generations that were there and not got */
    bool of_set;
    uint32_t looked; /* so many names were there when it was not found */
    uint16_t bell;
    struct yd_live_value last;
    uint64_t hash;
    char *text; /* last TEXT or BLOB, for yd_live_get_text */
    uint32_t text_size, text_room;
    uint32_t name_size;
    char name[];
};

/* Takes over what the helper has found, if anything. */
void yd__live_adopt(struct yd_live *live);
static inline void yd__live_look(struct yd_live *live)
{
    /* Pairs with the release in offer (attach.c): the attachment is complete. */
    if (YD_UNLIKELY(yd__load(&live->pending, ACQUIRE) != NULL)) yd__live_adopt(live);
}
void yd__attachment_unref(struct yd_live *live, struct yd__attachment *attachment);

int yd__live_follow(struct yd_live *live, struct yd_str name, struct yd_live_item **ret_item);
/* Is there something newer? Finds the item in the table if it can. */
bool yd__live_changed(struct yd_live_item *item);
struct yd_live_set *yd__live_set_next_generation(struct yd_live_set *set); /* its names anew; gives the next set */
void yd__live_widen(struct yd_live *live, uint16_t bell);                  /* the mask */

/* attach.c */
int yd__live_attach(struct yd_live *live, struct yd_trail *trail); /* once, waiting for the door's answer */
int yd__live_help(struct yd_live *live);                           /* starts the helper */

/* wait.c: until look(arg) or the rest of yd_live_wait; `mask`: words of the bells. */
int yd__live_sleep(struct yd_live *live, bool (*look)(void *arg), void *arg, uint64_t mask, int64_t timeout_ns);

/* The same with words of one's own: arm fills in what to sleep on (at most YD__BELL_WORDS) and says how many. */
int yd__live_sleep_on(struct yd_live *live, bool (*look)(void *arg), unsigned (*arm)(void *arg, struct yd_live_sleep *),
                      void *arg, int64_t timeout_ns);

/* subscribe.c */
union yd__door_message {
    struct yd__door_head head;
    struct yd__door_regions regions;
    struct yd__door_refused refused;
    struct yd__door_subscribed subscribed;
    struct yd__door_counts counts;
    struct yd__door_looked looked;
    char bytes[YD__DOOR_MESSAGE_MAX];
};
void yd__live_ask_all(struct yd_live *live);   /* under lock: those that were not asked for since we came in */
void yd__live_ask_again(struct yd_live *live); /* under lock: the door is gone */
/* What the door said about a subscription. Takes the descriptors. */
void yd__live_answered(struct yd_live *live, const union yd__door_message *message, const int *fds, unsigned count);
/* For the waker: words of all subscriptions, what is held for them, and whether any has rung. */
unsigned yd__live_arm_subscriptions(struct yd_live *live, struct yd_live_sleep *words, struct yd__grant **held,
                                    bool *changed);
void yd__grant_unref(struct yd_live *live, struct yd__grant *grant);

/* wake.c */
void yd__live_wake_end(struct yd_live *live);
void yd__live_wake_leave(struct yd_live *live); /* in a child, where its thread is not */

int yd__live_thread(pthread_t *ret_thread, void *(*body)(void *), void *arg); /* no signals, a small stack */

#endif
