/* elements/streams_in.h: connections that bring records, each framed in its own way: what the pumps of GraphitePickle,
 * Statsd and Tsdp share.
 *
 *   listener --> peer --bytes, what was left over in front--> options.take: how many it used
 *                  \--its end--> options.ended, with what was left over
 *
 * All peers read into one buffer; a peer keeps only what is not whole yet. A peer that is silent for `idle` is closed,
 * one too many refused, counted and said. Paused, nothing is read: the peers' kernels wait. One loop thread; where the
 * element is spread over executors each of its pumps has one, and the first one deals the connections out. */
#ifndef ELEMENTS_STREAMS_IN_H
#define ELEMENTS_STREAMS_IN_H

#include <yarder/element.h>

#include "base/alloc.h"
#include "elements/spread.h"
#include "io/loop.h"

struct yd_streams_in;
struct yd_streams_peer {
    struct yd_streams_in *in;
    struct yd_stream *stream;
    struct yd_streams_peer *next, *prev;
    struct yd_buf rest; /* not whole yet */
    int64_t last_ns;    /* of its last bytes */
    char name[64];
    bool skipping; /* the taker's */
    void *own;     /* likewise */
};
struct yd_streams_in_options {
    struct yd_pump *pump;
    struct yd_spread *spread; /* what it shares with the element's other pumps */
    const char *what;         /* "StatsD (TCP)": what is said to listen */
    unsigned connections_max; /* of all together */
    unsigned reason_refused;
    int64_t idle_ns; /* 0: for ever */
    /* Bytes used, all or some: the rest comes again with more behind it, so the taker bounds it. < 0: it is closed. */
    int64_t (*take)(void *arg, struct yd_streams_peer *peer, struct yd_str bytes);
    void (*ended)(void *arg, struct yd_streams_peer *peer, struct yd_str rest, bool in_order); /* with something left */
    void (*read_ends)(void *arg); /* all that was read at once has been taken */
    /* Both may be NULL. begins: < 0: it is closed at once. gone: after `ended`, in any case; no more of it. */
    int (*begins)(void *arg, struct yd_streams_peer *peer);
    void (*gone)(void *arg, struct yd_streams_peer *peer, bool in_order);
    void *arg;
};
struct yd_streams_in {
    struct yd_streams_in_options options;
    struct yd_loop *loop;
    struct yd_listener *listener; /* NULL: not open */
    struct yd_timer *sweep;
    struct yd_streams_peer *peers;
    char *room;     /* of all peers */
    unsigned index; /* of the pump */
    void (*parted)(void *arg);
    bool paused;
};
/* Errors are said by yd_pump_fail. `in` is the caller's, and stays where it is. */
int yd_streams_in_open(struct yd_streams_in *in, const struct yd_streams_in_options *options, struct yd_str at);
/* At the stop: no connection comes any more. True: close it; false: parted(options.arg) is called when that may be
 * done, because some are on their way here. Not open: true. */
bool yd_streams_in_part(struct yd_streams_in *in, void (*parted)(void *arg));
void yd_streams_in_close(struct yd_streams_in *in); /* not open: quiet */
void yd_streams_in_pause(struct yd_streams_in *in, bool paused);

#endif
