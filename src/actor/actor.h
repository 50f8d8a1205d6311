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
    YD_ENV_DOWN,          /* a monitored process ended: from = it, arg[0] = enum yd_exit */
    YD_ENV_UNDELIVERABLE, /* a request could not be delivered: correlation, arg[0] = YD_EBUSY (arg[1] = retry after, ns)
                             or YD_EUNDELIVERABLE */
    YD_ENV_TIMEOUT,       /* no reply to a request by its deadline: correlation */
    YD_ENV_STOP,          /* asked to stop: finish and return YD_TURN_STOP */
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
    uint64_t correlation; /* 0: none. With `from`, names one conversation; replies carry it back */
    int64_t deadline_ns;  /* monotonic; 0: none. Expired requests are dropped before they are received */
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

enum yd_exit { YD_EXIT_STOPPED = 1, YD_EXIT_FAILED, YD_EXIT_RESTARTING, YD_EXIT_KILLED };

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
    const char *group, *name; /* NULL: unnamed. YD_EEXIST when taken */
    void *arg;                /* to init */
    int executor;             /* pinned to this one; -1: any */
    uint32_t weight;          /* of its group in the sharing of turns; 0: 1 */
    uint32_t mailbox_max;     /* envelopes, beyond which it is full; 0: 65,536 */
    uint64_t mailbox_bytes_max; /* 0: 64 MiB */
    enum yd_restart restart;
    uint32_t restart_max;      /* fails within restart_window_ns, then it stays down; 0: 5 */
    int64_t restart_window_ns; /* 0: one minute */
    int64_t backoff_min_ns, backoff_max_ns; /* doubling; 0: 100 ms, 10 s */
    /* Called in the executor after a FAIL, before the restart, with the poison envelope (borrowed). May be NULL. */
    void (*on_fail)(void *arg, const struct yd_envelope *poison, bool will_restart);
};

struct yd_system_options {
    const char *node;       /* name of this node; NULL: "local" */
    unsigned executors;     /* 0: one per core */
    unsigned compute;       /* threads; 0: max(1, cores / 2) */
    uint32_t turn_messages; /* budget of one turn; 0: 256 */
    uint64_t turn_bytes;    /* 0: 4 MiB */
    int64_t turn_ns;        /* 0: 2 ms */
    int64_t overrun_ns;     /* a receive that takes longer is reported; 0: 100 ms */
    void (*on_overrun)(void *arg, const char *process, int64_t ns, bool still_running);
    void *callback_arg;
    struct yd_loop **sim_loops; /* `executors` simulated loops: a simulated system, no threads */
    uint64_t sim_seed;
};
int yd_system_create(const struct yd_system_options *options, struct yd_system **ret_system);
int yd_system_start(struct yd_system *system);   /* the threads */
void yd_system_stop(struct yd_system *system);   /* asks the executors to end and joins them */
void yd_system_destroy(struct yd_system *system); /* after stop: every process is finished, every envelope released */
unsigned yd_system_executors(const struct yd_system *system);
struct yd_loop *yd_system_loop(struct yd_system *system, unsigned executor); /* for pumps pinned to it */
/* Simulated: runs one ready process for one turn, or, when none is ready, returns 0. */
int yd_system_step(struct yd_system *system);

/* ---- from any thread ---- */
int yd_spawn(struct yd_system *system, const struct yd_process_class *class, const struct yd_process_options *options,
             yd_pid *ret_pid);
/* A fresh envelope, zeroed but for to and type; from a pool of size classes. NULL: out of memory. */
struct yd_envelope *yd_envelope_new(struct yd_system *system, yd_pid to, uint32_t type, enum yd_delivery delivery);
void yd_envelope_free(struct yd_envelope *envelope); /* releases batch and data; NULL is quiet */
/* Takes the envelope in every case. 0, YD_EBUSY (full), YD_EUNDELIVERABLE (nobody there). */
int yd_send(struct yd_system *system, struct yd_envelope *envelope);
void yd_kill(struct yd_system *system, yd_pid pid);
yd_pid yd_whereis(struct yd_system *system, const char *group, const char *name);
size_t yd_pid_put(struct yd_system *system, yd_pid pid, char *to, size_t size); /* "group::name@node" */
int yd_pid_parse(struct yd_system *system, struct yd_str text, yd_pid *ret_pid);
yd_atom yd_atom_of(struct yd_system *system, struct yd_str text);
struct yd_str yd_atom_text(struct yd_system *system, yd_atom atom);

/* ---- from inside receive and init: recorded in the outbox, done when receive has returned without FAIL ---- */
yd_pid yd_self(const struct yd_outbox *out);
struct yd_system *yd_out_system(const struct yd_outbox *out);
int64_t yd_out_mono(const struct yd_outbox *out); /* stamped once per turn */
int64_t yd_out_wall(const struct yd_outbox *out);
uint64_t yd_out_random(struct yd_outbox *out);
struct yd_envelope *yd_out_new(struct yd_outbox *out, yd_pid to, uint32_t type, enum yd_delivery delivery);
/* A request: a correlation id of this process' own is given (also returned), and exactly one of reply, UNDELIVERABLE or
 * TIMEOUT comes back. */
struct yd_envelope *yd_out_request(struct yd_outbox *out, yd_pid to, uint32_t type, int64_t timeout_ns);
/* A reply to `request` (SYSTEM delivery, its correlation). */
struct yd_envelope *yd_out_reply(struct yd_outbox *out, const struct yd_envelope *request, uint32_t type);
void yd_out_timer(struct yd_outbox *out, uint64_t id, int64_t mono_ns); /* again with the same id: moves it */
void yd_out_timer_cancel(struct yd_outbox *out, uint64_t id);
void yd_out_monitor(struct yd_outbox *out, yd_pid pid); /* DOWN comes at once if it is gone already */
/* Something for after the flush, in the executor's thread, that is not a message (a pump's nudge). Runs in order. */
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
    int64_t busy_ns, polling_ns, parked_ns;
    uint64_t turns, wakes, steals;
};
void yd_executor_stat(struct yd_system *system, unsigned executor, struct yd_executor_stat *ret);

#endif
