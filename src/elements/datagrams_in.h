/* elements/datagrams_in.h: datagrams that bring records: what the pumps of Collectd, Graphite, Influx, Statsd and Tsdp
 * share.
 *
 *   address --recvmmsg--> options.datagram for each, then options.burst_ends
 *                             \--> rejects.h: counted with its peer, sampled, a ROW on the rejects port
 *   what the kernel dropped is counted by reason_kernel: with what comes, else once a second, and at the end
 *
 * Where the element is spread over executors, each of its pumps has a socket of its own at the one address, and what
 * one sender sends comes to one of them. One loop thread. */
#ifndef ELEMENTS_DATAGRAMS_IN_H
#define ELEMENTS_DATAGRAMS_IN_H

#include <yarder/element.h>

#include "elements/rejects.h"
#include "elements/spread.h"

struct yd_datagrams_in_options {
    struct yd_pump *pump;
    struct yd_spread *spread; /* shared with the element's other pumps; NULL: the first one receives alone */
    const char *what;         /* "StatsD (UDP)": what is said to listen */
    size_t receive_buffer;    /* asked of the kernel; 0: as io/loop.h says */
    unsigned reason_kernel;
    struct yd_rejects *rejects; /* the pump's own; NULL: the port is not wired, or there is none */
    unsigned rejects_port;
    void (*datagram)(void *arg, struct yd_str bytes);
    void (*burst_ends)(void *arg); /* all that has come at once was given; may be NULL */
    void *arg;
};
struct yd_datagrams_in {
    struct yd_datagrams_in_options options;
    struct yd_datagrams *datagrams; /* NULL: not open */
    struct yd_timer *look;          /* at what the kernel dropped */
    char from[64];                  /* the peer of the datagram at hand */
    uint64_t kernel_drops;
};
#define YD_RECEIVE_BUFFER_PARAM                                                                                        \
    {                                                                                                                  \
        .name = "receive_buffer", .type = YD_PARAM_SIZE, .initial = "8MiB", .min = 4096, .max = 1 << 30,               \
        .doc = "Of datagrams that wait in the kernel, which drops what does not fit and counts it. Without the right " \
               "to ask for more (CAP_NET_ADMIN) at most `net.core.rmem_max` is granted; that is said."                 \
    }
/* Errors are said by yd_pump_fail. `in` is the caller's, and stays where it is. */
int yd_datagrams_in_open(struct yd_datagrams_in *in, const struct yd_datagrams_in_options *options, struct yd_str at);
/* At the stop, before the close: what has arrived is given out. */
void yd_datagrams_in_finish(struct yd_datagrams_in *in);
void yd_datagrams_in_close(struct yd_datagrams_in *in); /* not open: quiet */
void yd_datagrams_in_pause(struct yd_datagrams_in *in, bool paused);

#endif
