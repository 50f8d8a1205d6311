/* io/sim_net.h: a simulation: a virtual clock, and loops on it whose network is seeded.
 *
 *   yd_sim_create ─▶ yd_sim_loop_create for each executor of each node ─▶ code that uses loop.h as ever
 *   yd_sim_step:  the earliest event or timer of all loops happens; the clock jumps to it
 *
 * All in one thread. The same seed and the same calls give the same run: yd_sim_trace proves it.
 *
 * Addresses are one space for all nodes. A loopback address, one without a host and a Unix path belong to the node that
 * listens there (another node's is reached only by its host). Port 0 gets a number of its own.
 * Streams behave as TCP: in order, with a window, so a peer that does not read fills the writer's backlog; delayed;
 * read in small pieces now and then; reset when cut. Between nodes kept apart they stall, and go on when the nodes are
 * together again; connecting gives up after three seconds. Datagrams are lost, doubled and overtake each other.
 * Not simulated: watches, child processes, signals, taking a descriptor out (all YD_ENOTSUP).
 * Out of memory aborts. */
#ifndef IO_SIM_NET_H
#define IO_SIM_NET_H

#include "io/loop.h"

struct yd_sim;

/* Chances: once in so many; 0 never, as all are at first. */
struct yd_sim_net_faults {
    int64_t delay_min_ns, delay_max_ns; /* of anything on the network: 20 µs and 2 ms at first */
    uint32_t lose, duplicate, reorder;  /* datagrams */
    uint32_t small_read;                /* 1 to 16 bytes come, the rest later */
    uint32_t cut;                       /* at each arrival of stream bytes: the connection is reset */
    uint32_t refuse;                    /* a connection is refused */
};

struct yd_sim_net_counts {
    uint64_t events, timers;
    uint64_t connects, connects_failed, cuts, stream_bytes, small_reads, stalls;
    uint64_t datagrams, lost, duplicated, reordered, overflowed;
};

int yd_sim_create(uint64_t seed, struct yd_sim **ret_sim);
void yd_sim_destroy(struct yd_sim *sim); /* all loops must be destroyed; NULL is quiet */
int yd_sim_loop_create(struct yd_sim *sim, const char *node, struct yd_loop **ret_loop);

/* The next event or timer happens. false: there is none. */
bool yd_sim_step(struct yd_sim *sim);
int64_t yd_sim_next(const struct yd_sim *sim);              /* when that will be; INT64_MAX: there is none */
void yd_sim_run_until(struct yd_sim *sim, int64_t mono_ns); /* all up to then; the clock is mono_ns afterwards */
int64_t yd_sim_now(const struct yd_sim *sim);               /* starts at one second */

void yd_sim_step_wall(struct yd_loop *sim_loop, int64_t ns); /* that loop's wall clock steps, either way */
/* Nothing passes between the nodes a and b (b NULL: between a and all others) while they are apart. */
void yd_sim_apart(struct yd_sim *sim, const char *a, const char *b, bool apart);
/* What `from` sends to `to` on their streams does not arrive while it is lost; the other direction goes on. */
void yd_sim_lose(struct yd_sim *sim, const char *from, const char *to, bool lost);
void yd_sim_cut(struct yd_sim *sim, const char *a, const char *b); /* resets the connections between them, as above */

/* A host has this address ("10.0.0.1:0") from now on, behind those that it has; NULL: nobody has the name any more. */
void yd_sim_host(struct yd_sim *sim, const char *host, const char *address);

struct yd_sim_net_faults *yd_sim_net_faults(struct yd_sim *sim);
const struct yd_sim_net_counts *yd_sim_net_counts(const struct yd_sim *sim);
uint64_t yd_sim_trace(const struct yd_sim *sim);

#endif
