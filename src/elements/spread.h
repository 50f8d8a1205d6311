/* elements/spread.h: connections and datagrams of one input dealt out to its pumps, each in the loop of an executor.
 *
 *   pump 0: listener --accept--> admit (limit of all) --> the pump with the fewest --yd_stream_move--> its `take`
 *   pump 0: socket, bound alone; pumps 1…: sockets that join it --> the kernel deals senders out, each to one of them
 *
 * A connection stays where it came to, so what it brings stays in order. A single one stays with the first pump, where
 * the element lives, and costs nothing more than without all this. A pump that ends waits for the connections that are
 * on their way to it, and closes them. Any of its pumps' threads. */
#ifndef ELEMENTS_SPREAD_H
#define ELEMENTS_SPREAD_H

#include <pthread.h>
#include <yarder/element.h>

#include "io/loop.h"

#define YD_SPREAD_MAX 256 /* pumps: as many as executors there can be */

/* In the element's state, zeroed. */
struct yd_spread {
    pthread_mutex_t lock;
    unsigned connections; /* of all */
    unsigned member_count;
    uint64_t lines;                 /* seen by all */
    struct yd_address datagrams_at; /* where the first one receives */
    struct yd_spread_member {
        struct yd_loop *loop; /* NULL: takes none */
        void (*take)(void *arg, struct yd_stream *stream, const struct yd_address *from);
        void (*parted)(void *arg);
        void *arg;
        unsigned count, coming; /* of it; of them on their way */
    } members[YD_SPREAD_MAX];
};

/* The parameter of those whom peers connect to: how many at once. */
#define YD_CONNECTIONS_PARAM(count, what)                                                                              \
    {                                                                                                                  \
        .name = "max_connections", .type = YD_PARAM_INT, .initial = count, .min = 1, .max = 1 << 20, .doc = what       \
    }
/* The parameters of those that can be spread, and on how many executors they say. */
#define YD_SPREAD_PARAM(ways)                                                                                          \
    {                                                                                                                  \
        .name = "spread", .type = YD_PARAM_INT, .initial = "0", .max = YD_SPREAD_MAX,                                  \
        .doc = "On how many executors " ways " are read and parsed at the same time; `0`: on all, `1`: on one. What "  \
               "one peer sends stays in order."                                                                        \
    }
unsigned yd_spread_wanted(const struct yd_args *args);

/* From now on connections may come: take(arg, stream, from) in this loop. */
void yd_spread_join(struct yd_spread *spread, unsigned index, struct yd_loop *loop,
                    void (*take)(void *arg, struct yd_stream *stream, const struct yd_address *from), void *arg);
/* No more come. True: none was on its way; else parted(arg) is called in the loop when those have been dealt with. */
bool yd_spread_part(struct yd_spread *spread, unsigned index, void (*parted)(void *arg));
/* A place for one of at most `max`, counted at `index`; given back by leave. *ret_open: how many there are. */
bool yd_spread_admit(struct yd_spread *spread, unsigned index, unsigned max, unsigned *ret_open);
void yd_spread_leave(struct yd_spread *spread, unsigned index);
/* A fresh stream, admitted at `index`, goes with its place to the one with the fewest. False: that is this one. */
bool yd_spread_hand(struct yd_spread *spread, unsigned index, struct yd_stream *stream, const struct yd_address *from);
unsigned yd_spread_connections(struct yd_spread *spread);

#endif
