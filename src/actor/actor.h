/* actor/actor.h: processes, envelopes, executors, timers, supervision.
 *
 *   any thread -- yd_send --> mailbox (many producers, one consumer) -- first in: schedule --> executor's run queue
 *   executor:  take a process, run `receive` for each envelope until the turn's budget is spent, flush the outbox
 *
 * `receive(state, envelope, outbox)` is pure: it touches its own state only, and nothing leaves the outbox until it has
 * returned. YD_TURN_FAIL throws the outbox away. An executor is a thread with a loop (io/loop.h) and a run queue; it
 * parks in its poller. Nobody is woken per message: a wake is sent only to a parked executor that has nothing queued.
 * Compute classes run on a separate low-priority pool. A simulated system has its executors' loops in one yd_sim and is
 * stepped by yd_system_step in one thread, in a seeded order. */
#ifndef ACTOR_ACTOR_H
#define ACTOR_ACTOR_H

#include <yarder/batch.h>

#include "base/text.h"
#include "io/lock.h"
#include "io/loop.h"
#include "io/pool.h"

struct yd_system;
struct yd_outbox;

/* Address of a process: node (16 bits), generation (24), slot (24). 0 is nobody. A pid is never reused while anything
 * may remember it: the generation tells. Text form "group::name@node". */
typedef uint64_t yd_pid;
#define YD_NOBODY ((yd_pid)0)

/* Interned process, group and node names, for the life of the system. */
typedef uint32_t yd_atom;

enum yd_envelope_type {
    YD_ENV_TIMER = 1,     /* arg[0]: the id it was started with */
    YD_ENV_DOWN,          /* a monitored process ended: from = it, arg[0] = enum yd_exit. Monitors are for once: after
                             a DOWN, RESTARTING too, monitor again */
    YD_ENV_UNDELIVERABLE, /* a request could not be delivered: from = the receiver, correlation, arg[2] = its type,
                             arg[0] = YD_EBUSY (full; arg[1] = retry after, ns), YD_EUNDELIVERABLE (nobody there, or
                             gone before it was received) or YD_EFAIL (the receiver crashed on it) */
    YD_ENV_TIMEOUT,       /* no reply to a request by its deadline: correlation */
    YD_ENV_STOP,          /* asked to stop: finish and return YD_TURN_STOP */
    YD_ENV_MONITOR,       /* to `remote` only: `from`, here, wants to be told when `to`, there, ends */
    YD_ENV_DEMONITOR,     /* to `remote` only: not any more */
    YD_ENV_USER = 64,     /* types from here on belong to the floors above */
};

/* How an envelope is treated when the receiver is full. */
enum yd_delivery {
    YD_CAST,    /* counted undeliverable */
    YD_REQUEST, /* the sender gets YD_ENV_UNDELIVERABLE with YD_EBUSY; has a correlation, may have a deadline */
    YD_SYSTEM,  /* always delivered, from reserved room: replies, credit, acknowledgements, timers, signals */
};

struct yd_envelope {
    struct yd_envelope *next; /* the mailbox's */
    yd_pid to, from;
    union {
        /* 0: none. With `from`, names one conversation; replies carry it back. Those of yd_out_request have the top bit
         * set and are matched when the answer comes; yours must not. */
        uint64_t correlation;
        int64_t sent_ns; /* what is no request and no reply may say a time here instead, for the floors above */
    };
    union {
        int64_t deadline_ns; /* monotonic; 0: none. Expired requests are dropped before they are received */
        int64_t born_ns;     /* as sent_ns */
    };
    uint32_t type;
    uint16_t delivery;
    uint16_t port; /* for the floors above */
    uint32_t cost; /* bytes that this envelope keeps alive; counted by mailboxes and budgets */
    uint64_t arg[4];
    struct yd_batch *batch; /* a reference, released with the envelope unless taken (set to NULL) */
    void *data;             /* with data_release: released with the envelope unless taken */
    void (*data_release)(void *data);
};

enum yd_turn {
    YD_TURN_DONE,
    YD_TURN_MORE, /* call me again with the same envelope after others had a turn */
    YD_TURN_STOP, /* ends in order */
    YD_TURN_FAIL, /* crashed: nothing in the outbox leaves */
};

enum yd_exit { YD_EXIT_STOPPED = 1, YD_EXIT_FAILED, YD_EXIT_RESTARTING, YD_EXIT_KILLED, YD_EXIT_GONE /* long since */ };

struct yd_process_class {
    const char *name;
    size_t state_size; /* zeroed before init; 0: the state is spec.arg itself */
    int (*init)(void *state, void *arg, struct yd_outbox *out); /* < 0: as FAIL */
    enum yd_turn (*receive)(void *state, struct yd_envelope *envelope, struct yd_outbox *out);
    void (*fini)(void *state);
    bool compute; /* runs on the compute pool */
};

enum yd_restart { YD_RESTART_NEVER, YD_RESTART_ON_FAIL };
struct yd_process_options {
    const char *group, *name;   /* NULL: unnamed. YD_EEXIST when taken */
    void *arg;                  /* to init */
    int executor;               /* pinned to this one; -1: any, see yd_pid_executor */
    bool roams;                 /* at home at `executor`, yet idle ones may run its turns: not pinned */
    uint32_t weight;            /* of its group in the sharing of turns; 0: 1 */
    uint32_t mailbox_max;       /* envelopes, beyond which it is full; 0: 65,536 */
    uint64_t mailbox_bytes_max; /* 0: 64 MiB */
    enum yd_restart restart;
    uint32_t restart_max;                   /* fails within restart_window_ns, then it stays down; 0: 5 */
    int64_t restart_window_ns;              /* 0: one minute */
    int64_t backoff_min_ns, backoff_max_ns; /* doubling; 0: 100 ms, 10 s */
    /* Called in the executor after a FAIL, before the restart, with the poison envelope (borrowed). May be NULL. */
    void (*on_fail)(void *arg, const struct yd_envelope *poison, bool will_restart);
};

struct yd_system_options {
    const char *node;       /* name of this node; NULL: "local" */
    uint16_t node_number;   /* in its pids; 0: 1 */
    struct yd_alloc *alloc; /* safe in any thread; NULL: the C library's */
    /* Envelopes to pids of other nodes, called by whoever sends, in any thread. Takes the envelope in every case. NULL:
     * nobody is there. */
    int (*remote)(void *arg, struct yd_envelope *envelope);
    unsigned executors;     /* 0: one per core */
    unsigned compute;       /* threads; 0: max(1, cores / 2) */
    uint32_t turn_messages; /* budget of one turn; 0: 256 */
    uint64_t turn_bytes;    /* 0: 4 MiB */
    int64_t turn_ns;        /* 0: 2 ms */
    int64_t request_ns;     /* deadline of requests that name none; 0: 30 s. No request waits forever */
    int64_t overrun_ns;     /* a receive that takes longer is reported; 0: 100 ms */
    void (*on_overrun)(void *arg, const char *process, int64_t ns, bool still_running);
    void *callback_arg;
    struct yd_loop **sim_loops; /* `executors` simulated loops: a simulated system, no threads */
    uint64_t sim_seed;
};
int yd_system_create(const struct yd_system_options *options, struct yd_system **ret_system);
int yd_system_start(struct yd_system *system);    /* the threads */
void yd_system_stop(struct yd_system *system);    /* asks the executors to end and joins them */
void yd_system_destroy(struct yd_system *system); /* after stop: every process is finished, every envelope released */
unsigned yd_system_executors(const struct yd_system *system);
struct yd_loop *yd_system_loop(struct yd_system *system, unsigned executor); /* for pumps pinned to it */
/* Simulated: runs one ready process for one turn and returns 1, or, when none is ready, returns 0. Timers are timers of
 * the simulated loops: let their time pass and step again. */
int yd_system_step(struct yd_system *system);
uint64_t yd_system_trace(const struct yd_system *system); /* simulated: hash over all turns so far */

/* ---- from any thread ---- */
int yd_spawn(struct yd_system *system, const struct yd_process_class *class, const struct yd_process_options *options,
             yd_pid *ret_pid);
/* A fresh envelope, zeroed but for to and type; from a pool of size classes. NULL: out of memory. */
struct yd_envelope *yd_envelope_new(struct yd_system *system, yd_pid to, uint32_t type, enum yd_delivery delivery);
/* The same with `size` bytes (not zeroed) behind it: data points there, data_release is NULL. Not to be taken. */
struct yd_envelope *yd_envelope_new_sized(struct yd_system *system, yd_pid to, uint32_t type, enum yd_delivery delivery,
                                          size_t size);
void yd_envelope_free(struct yd_envelope *envelope); /* releases batch and data; NULL is quiet */
/* Takes the envelope in every case. 0, YD_EBUSY (full), YD_EUNDELIVERABLE (nobody there). */
int yd_send(struct yd_system *system, struct yd_envelope *envelope);
/* Ends it, as soon as its receive has returned. YD_ENOENT, YD_ENOMEM. */
int yd_kill(struct yd_system *system, yd_pid pid);
unsigned yd_pid_executor(struct yd_system *system, yd_pid pid); /* its home: loops, deferred calls; 0 if gone */
yd_pid yd_whereis(struct yd_system *system, const char *group, const char *name);
/* "group::name@node"; "name@node" without a group; "#slot.generation@node" for the unnamed and for other nodes' (whose
 * node is then a number). Terminated; returns the size without the terminator, cut to fit. */
size_t yd_pid_put(struct yd_system *system, yd_pid pid, char *to, size_t size);
/* "@node" may be left out. YD_EFORMAT, YD_ENOENT (no such process, or not this node). */
int yd_pid_parse(struct yd_system *system, struct yd_str text, yd_pid *ret_pid);
yd_atom yd_atom_of(struct yd_system *system, struct yd_str text); /* 0 is the empty text, and out of memory */
struct yd_str yd_atom_text(struct yd_system *system, yd_atom atom);

/* ---- from inside receive and init: recorded in the outbox, done when receive has returned without FAIL ---- */
yd_pid yd_self(const struct yd_outbox *out);
struct yd_system *yd_out_system(const struct yd_outbox *out);
int64_t yd_out_mono(const struct yd_outbox *out); /* stamped once per turn */
int64_t yd_out_wall(const struct yd_outbox *out);
uint64_t yd_out_random(struct yd_outbox *out);
/* Those that return void fail the turn when there is no memory: nothing leaves, as after YD_TURN_FAIL. */
struct yd_envelope *yd_out_new(struct yd_outbox *out, yd_pid to, uint32_t type, enum yd_delivery delivery);
struct yd_envelope *yd_out_new_sized(struct yd_outbox *out, yd_pid to, uint32_t type, enum yd_delivery delivery,
                                     size_t size);
/* A request: it gets a correlation of this process' own, and exactly one of reply, UNDELIVERABLE or TIMEOUT comes back
 * with it. timeout_ns 0: the system's request_ns. A crash of the asker forgets what it has asked. */
struct yd_envelope *yd_out_request(struct yd_outbox *out, yd_pid to, uint32_t type, int64_t timeout_ns);
/* A reply to `request` (SYSTEM delivery, its correlation). */
struct yd_envelope *yd_out_reply(struct yd_outbox *out, const struct yd_envelope *request, uint32_t type);
void yd_out_timer(struct yd_outbox *out, uint64_t id, int64_t mono_ns); /* again with the same id: moves it */
void yd_out_timer_cancel(struct yd_outbox *out, uint64_t id); /* one that fired but was not received is taken back */
/* Born at the flush; the pid is valid at once, for envelopes after it in this outbox. executor -1: here. */
int yd_out_spawn(struct yd_outbox *out, const struct yd_process_class *class, const struct yd_process_options *options,
                 yd_pid *ret_pid);
void yd_out_monitor(struct yd_outbox *out, yd_pid pid); /* DOWN comes at once if it is gone already */
/* Something for after the flush, in the thread of this process' home executor (yd_pid_executor), that is not a message
 * (a pump's nudge). Runs in order. */
void yd_out_defer(struct yd_outbox *out, void (*fn)(void *arg), void *arg);

/* ---- statistics: any thread, approximate while running ---- */
struct yd_process_stat {
    yd_pid pid;
    const char *name, *class_name; /* valid while the system is */
    uint64_t received, turns, fails, restarts, undeliverable;
    uint64_t mailbox, mailbox_bytes;
    int64_t busy_ns; /* inside receive */
};
int yd_system_visit(struct yd_system *system, int (*visit)(void *arg, const struct yd_process_stat *stat), void *arg);
struct yd_executor_stat {
    /* In turns; in callbacks of sockets, timers and posts, and looking for them; asleep, or looking for work in vain.
     */
    int64_t busy_ns, polling_ns, parked_ns;
    uint64_t turns, wakes, steals;
};
/* Exact when all is quiet: what was sent = received + undeliverable + refused + expired + queued, and replies =
 * received
 * + late + queued. */
struct yd_system_stat {
    uint64_t undeliverable; /* casts and requests to nobody, or in the mailbox of one that ended */
    uint64_t refused;       /* by full mailboxes; also counted at each process */
    uint64_t late;          /* replies after the outcome was told, or to one who is gone or has started anew */
    uint64_t expired;       /* requests dropped unreceived after their deadline */
};
void yd_system_stat(struct yd_system *system, struct yd_system_stat *ret);
/* The locks of the system: names, the compute pool's queue, each executor's free slots. */
void yd_system_waits(const struct yd_system *system, const struct yd_wait_visit *visit);
void yd_executor_stat(struct yd_system *system, unsigned executor, struct yd_executor_stat *ret);

#endif
