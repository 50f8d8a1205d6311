/* elements/brokers.h: the processes behind a Broker: one that calls, and one for each application.
 *
 *   receive ─ source ─ "awake?" ─▶ caller ─▶ each application that does not run already: walks its feed (live/feed.h)
 *   door (pump) ─ who comes, asks, leaves ──▶ application: subscribes, answers at its socket, ends
 *
 * What they share is `struct yd_broker`, counted by references: a process may outlive its element by a moment. */
#ifndef ELEMENTS_BROKERS_H
#define ELEMENTS_BROKERS_H

#include <stdatomic.h>

#include "actor/actor.h"
#include "io/lock.h"
#include "live/door.h"
#include "live/feed.h"
#include "live/table_write.h"

/* What is known of an application: its process writes the counts, others look. */
struct yd_broker_member {
    struct yd_broker *broker;
    struct yd_broker_member *next, *prev;               /* of all, under the broker's lock */
    struct yd_broker_member *next_called, *prev_called; /* the caller's */
    yd_pid pid;
    char application[64];
    uint64_t id; /* the client's at the door */
    int32_t process;
    uint32_t uid;
    unsigned access; /* which entry let it in */
    atomic_uint refs;
    atomic_uint scheduled; /* it has been called and did not begin yet */
    atomic_uint priority;
    atomic_ullong subscriptions, names, passed, paced, overrun, unplaced, ordered;
    struct yd_live_feed_watch watch; /* under the broker's lock; page NULL: no feed yet */
};

struct yd_broker {
    struct yd_system *system;
    struct yd_live_source *source;
    struct yd_pattern *allowed[YD_LIVE_BELLS_MAX]; /* by entry of the list; NULL: all names */
    yd_pid caller;
    atomic_uint refs;
    atomic_uint awake; /* the caller has been told that there is something, and did not begin yet */
    struct yd_lock lock;
    struct yd_broker_member *members; /* under the lock */
    atomic_uint count;
    /* Of those who have left. */
    atomic_ullong ended_count, ended_passed, ended_paced, ended_overrun, ended_unplaced, ended_got, ended_lost;
};

/* Takes the source. NULL: no memory; the source is destroyed. */
struct yd_broker *yd_broker_create(struct yd_system *system, struct yd_live_source *source);
void yd_broker_unref(struct yd_broker *broker); /* NULL is quiet */
int yd_broker_start(struct yd_broker *broker);  /* the caller's process */
void yd_broker_stop(struct yd_broker *broker);  /* ends it; applications end by yd_broker_leave */
/* For receive: true: tell the caller (yd_broker_call, any thread). Costs one exchange. */
static inline bool yd_broker_is_asleep(struct yd_broker *broker)
{
    /* Pairs with the exchange in call_all (brokers.c): who finds it awake, is found by that walk. */
    return atomic_load_explicit(&broker->count, memory_order_relaxed) != 0 &&
           atomic_exchange_explicit(&broker->awake, 1, memory_order_acq_rel) == 0;
}
void yd_broker_call(struct yd_broker *broker);

/* ---- for the door's thread ---- */
/* An application, from its first word to the broker on: NULL: no memory or descriptors. */
struct yd_broker_member *yd_broker_enter(struct yd_broker *broker, const struct yd_live_client *client,
                                         unsigned access);
/* What it asks (door_format.h); its process answers. YD_EBUSY: it has asked more than it waits for, it is to be shown
 * out; YD_ENOMEM; YD_EUNDELIVERABLE: it has ended. */
int yd_broker_ask(struct yd_broker_member *member, const void *message, size_t size);
void yd_broker_leave(struct yd_broker_member *member); /* ends its process; the member is not ours any more */

#endif
