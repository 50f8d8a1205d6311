/* actor/internal.h: what the files of this floor share. README.md has the picture.
 *
 * Ownership is the whole trick. A process has a *home*: one executor, for all its life. Its mailbox, timers, open
 * requests and monitors belong to the home's thread and need no atomics. Whoever is elsewhere pushes to the home's
 * *inbox*, the one lock-free queue, and the home sorts what came in. A process may be *lent* for one turn, to a compute
 * thread or an idle executor: it travels with a bag of its envelopes and comes back through the inbox.
 *
 *   block.c    envelopes: pools, size classes, the way back to the owner
 *   record.c   timers, open requests, monitors: a pairing heap and a hash, both intrusive
 *   table.c    pids, names, atoms
 *   deliver.c  admission, mailboxes, inboxes, what comes back as undeliverable
 *   process.c  birth, crash, restart, end
 *   outbox.c   what receive may do, and the flush
 *   turn.c     one turn of one process, at home or lent
 *   queue.c    the run queue: groups by weight
 *   executor.c the thread: turns, polling, parking, lending
 *   compute.c  the low-priority pool; watchdog.c names who overruns
 *   system.c   create, start, stop, destroy, statistics; sim.c steps a simulated one */
#ifndef ACTOR_INTERNAL_H
#define ACTOR_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "actor/actor.h"
#include "actor/ticks.h"
#include "base/drd.h"
#include "base/hash.h"

struct yd__executor;
struct yd__process;
struct yd__record;

/* ---- blocks: every envelope and record lives in one ---- */
enum yd__op {
    YD__SEND,    /* an envelope for a mailbox */
    YD__FIRED,   /* the same: a TIMER that has fired. Taken back when its timer is moved or cancelled */
    YD__BEGUN,   /* the same: received, and to be received again (YD_TURN_MORE). Not lost if it never is */
    YD__DEAD,    /* a FIRED one taken back: skipped */
    YD__TIMER,   /* record: start or move a timer */
    YD__CANCEL,  /* record: forget a timer */
    YD__REQUEST, /* record: a request is open */
    YD__MONITOR, /* record: I monitor `key` */
    YD__WATCH,   /* to the monitored one's home: `from` wants to know its end */
    YD__UNWATCH, /* `from` does not any more */
    YD__RESTART, /* record: bring it up again */
    YD__DEFER,   /* call data_release(data) */
    YD__SPAWN,   /* outbox only: arg[0] is a process to be started */
    YD__START,   /* stub: a process was born here */
    YD__LEND,    /* stub: run one turn of it */
    YD__RETURN,  /* stub: it had its turn */
    YD__KILL,
};
#define YD__OUTSIDE             UINT16_MAX /* owner of blocks from threads that are no workers: the allocator's */
#define YD__CLASSES             4          /* 128, 256, 512, 1024 bytes with the header */
#define YD__SIZE_OF(size_class) ((size_t)128 << (size_class))

struct yd__head {
    struct yd_system *system;
    uint16_t owner; /* index of the worker whose pool it is from */
    uint8_t size_class;
    uint8_t op;
    uint32_t size; /* of the payload behind the envelope */
};
struct yd__block {
    struct yd__head head;
    struct yd_envelope envelope;
};
_Static_assert(sizeof(struct yd__block) == 128, "the smallest size class is a block without payload");

/* A timer, open request or monitor, in place of the envelope. It becomes the TIMER, TIMEOUT or DOWN envelope in the
 * same memory, so what was accepted can always be told. */
struct yd__record {
    struct yd_envelope *next; /* as the envelope's: on the way to the home */
    yd_pid owner;             /* as the envelope's `to` */
    uint64_t key;             /* timer id, correlation, monitored pid */
    int64_t deadline_ns;
    uint64_t order; /* of equal deadlines: first started, first fired */
    struct yd__record *hash_next;
    struct yd__record *child, *sibling, *prev; /* the heap */
    struct yd__record *mine_next, **mine_prev; /* all of one process */
    bool in_heap;
};
_Static_assert(sizeof(struct yd__record) <= sizeof(struct yd_envelope), "a record fits in an envelope");
_Static_assert(offsetof(struct yd__record, owner) == offsetof(struct yd_envelope, to), "routed alike");

/* What is embedded in a process to travel through an inbox: only op and next are looked at. */
struct yd__stub {
    struct yd__head head;
    struct yd_envelope *next;
    struct yd__process *process;
};
_Static_assert(offsetof(struct yd__stub, next) == offsetof(struct yd__block, envelope.next), "linked alike");

static inline struct yd__head *yd__head_of(struct yd_envelope *envelope)
{
    return &YD_CONTAINER(envelope, struct yd__block, envelope)->head;
}
static inline struct yd__record *yd__record_of(struct yd_envelope *envelope)
{
    return (struct yd__record *)(void *)envelope;
}
static inline struct yd_envelope *yd__envelope_of(struct yd__record *record)
{
    return (struct yd_envelope *)(void *)record;
}
static inline struct yd_envelope *yd__stub_envelope(struct yd__stub *stub)
{
    return (struct yd_envelope *)(void *)&stub->next;
}
static inline struct yd__stub *yd__stub_of(struct yd_envelope *envelope)
{
    return YD_CONTAINER((struct yd_envelope **)(void *)envelope, struct yd__stub, next);
}

/* ---- mailboxes ---- */
struct yd__mail { /* first in, first out */
    struct yd_envelope *first, *last;
    uint32_t fired; /* how many are YD__FIRED */
};
/* Envelopes in the high 24 bits, cost in units of 64 bytes below: one word counts both, differences stay exact. */
#define YD__LOAD_ONE         ((uint64_t)1 << 40)
#define YD__LOAD_COUNT(load) ((uint32_t)((load) >> 40))
#define YD__LOAD_UNITS(load) ((load) & (YD__LOAD_ONE - 1))
static inline uint64_t yd__load_of(const struct yd_envelope *envelope)
{
    return YD__LOAD_ONE + 2 + ((uint64_t)envelope->cost + 63) / 64;
}

/* ---- the outbox ---- */
struct yd_outbox {
    struct yd__worker *worker;
    struct yd__process *process;
    struct yd_envelope *first, *last;
    struct yd__mail *bag;     /* what the running turn still has before it */
    int64_t mono_ns, wall_ns; /* 0: not asked for in this turn */
    bool failed;              /* something could not be recorded: the turn counts as failed */
};

/* ---- processes: a slot of the table, never unmapped while the system is, so a stale pid may always be looked at ----
 */
enum yd__status {
    YD__FREE,
    YD__BORN,    /* known, not yet started at home */
    YD__IDLE,    /* empty mailbox */
    YD__READY,   /* in the home's run queue */
    YD__RUNNING, /* at home */
    YD__LENT,    /* elsewhere, for one turn */
    YD__DOWN,    /* crashed, waits to be restarted */
};
enum yd__verdict { YD__GO_ON, YD__ENDED, YD__CRASHED };

struct yd__policy {         /* only for those who restart or want on_fail */
    struct yd__block block; /* op YD__RESTART: its record is in the heap while the process is down */
    uint32_t restart_max, fails;
    int64_t window_ns, window_start_ns, backoff_min_ns, backoff_max_ns, backoff_ns;
    bool restart;
    void (*on_fail)(void *arg, const struct yd_envelope *poison, bool will_restart);
};

struct yd__process {
    /* Read by senders anywhere. `pid` is stored with release when all else is set (pairs with the acquire in
     * yd__process_of) and cleared with release at the end. The rest may be read while it changes: relaxed atomics. */
    _Atomic(yd_pid) pid;
    struct yd__executor *home; /* of the slot, forever */
    _Atomic uint64_t queued;   /* load of the mailbox; the home stores it */
    _Atomic uint64_t taken;    /* load that has left the inbox for this slot, ever; the home stores it */
    _Atomic uint32_t count_max;
    _Atomic uint64_t units_max;

    /* The home's. While lent: state, class, rng, correlation, busy counters, bag and the outcome are the borrower's. */
    struct yd__mail mail;
    const struct yd_process_class *class;
    void *state;
    struct yd__share *share;
    struct yd__process *ready_next;
    uint8_t status;
    bool initialised, pinned, killed;
    bool heavy;      /* stamp the clock after each receive */
    uint32_t weight; /* as asked for; 0: none */
    uint32_t slot, generation;
    uint64_t rng;
    uint64_t correlation; /* of the last request */
    uint32_t nanos;       /* a receive takes this long, about */

    struct yd__mail bag; /* lent: the envelopes that went along; on return what is left of them */
    struct yd_envelope *poison;
    uint8_t verdict;
    struct yd__stub stub;

    struct yd__record *mine;      /* timers, open requests, monitors */
    struct yd_envelope *watchers; /* linked by next */
    struct yd__policy *policy;
    void *arg;
    yd_atom group_atom, name_atom;

    /* Statistics: one writer at a time, read by anyone. */
    _Atomic(const char *) name;
    _Atomic(const char *) class_name;
    _Atomic uint64_t received, turns, fails, restarts;
    _Atomic int64_t busy_ns;

    /* Written by senders on other threads: a line of their own. */
    _Alignas(64) _Atomic uint64_t sent; /* load ever admitted from other threads; in flight = sent - taken */
    _Atomic uint64_t undeliverable;
};
#define YD__PAGE_SLOTS 256
#define YD__PAGES_MAX  (1 << 16)
struct yd__page {
    struct yd__process slots[YD__PAGE_SLOTS];
};

static inline void yd__bump(_Atomic uint64_t *counter, uint64_t by) /* one writer */
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by, memory_order_relaxed);
}

/* ---- run queue ---- */
struct yd__share { /* one group's part of one executor */
    struct yd__process *first, *last;
    struct yd__share *ring_next; /* NULL: not in the ring */
    int64_t credit;              /* ns of turns, may go below zero */
    uint32_t weight;
};
struct yd__queue {
    struct yd__share **shares; /* by the group's atom; grows */
    uint32_t share_count;
    struct yd__share *cursor, *before; /* ring of those that have or had ready processes */
    struct yd__share fallback;         /* for groups that there was no memory for */
    uint32_t ready;
};

/* ---- workers: whatever runs turns. Executors first, then compute threads ---- */
struct yd__chain { /* newest first, as an inbox is */
    struct yd_envelope *newest, *oldest;
    uint32_t count;
};
struct yd__slab;
struct yd__worker {
    struct yd_system *system;
    uint16_t index;
    struct yd__executor *executor; /* NULL: a compute thread */
    struct yd_envelope *free[YD__CLASSES];
    struct yd__slab *slabs;
    struct yd__chain *give_back; /* by worker: their blocks, on the way home */
    struct yd__chain *outbound;  /* by executor */
    uint32_t outbound_count;
    uint64_t stamp; /* ticks at the end of the last turn that was measured */
    uint64_t dice;
    uint32_t unmeasured; /* turns that may still go without a look at the clock */
    bool stale;          /* there were such since `stamp` */
    struct yd_outbox outbox;
    _Atomic uint64_t undeliverable, refused, late, expired;
    /* For the watchdog: odd while inside receive. */
    _Alignas(YD_CACHE_LINE) _Atomic uint64_t receiving;
    _Atomic(struct yd__process *) running;
    /* Blocks of this worker's pool that others have used up. Push: release (of the block's memory); the owner takes all
     * with acquire. */
    _Alignas(YD_CACHE_LINE) _Atomic(struct yd_envelope *) returns;
};

#define YD__PARKED ((struct yd_envelope *)(uintptr_t)1)
struct yd__executor {
    struct yd__worker worker;
    /* The inbox: newest first. NULL: empty; YD__PARKED: empty and its thread sleeps in the poller. A push is a
     * compare-and-swap of a whole chain (release: publishes the chain; pairs with the acquire of the exchange in
     * yd__inbox_take). Whoever replaces YD__PARKED wakes the loop: one word tells both, so no wake-up is lost and none
     * is sent twice. */
    _Alignas(YD_CACHE_LINE) _Atomic(struct yd_envelope *) inbox;
    _Alignas(YD_CACHE_LINE) struct yd_loop *loop;
    struct yd__queue queue;
    struct yd__record *heap;
    struct yd__record **hash;
    uint32_t hash_mask, hash_count;
    uint64_t order;
    struct yd_timer *sim_timer;
    int64_t sim_timer_at;
    pthread_t thread;
    bool started;
    bool spins;                   /* looks a while for work before it sleeps, */
    uint32_t sleeps, sleeps_left; /* but not the next few times */
    /* Free slots of the table that are at home here. */
    struct yd_lock slots_lock;
    uint32_t *slots_free;
    uint32_t slots_free_count, slots_free_capacity;
    struct yd__page *page; /* the newest, with fresh slots left */
    uint32_t page_index, page_used;
    _Atomic int64_t busy_ns, polling_ns, parked_ns;
    _Atomic uint64_t turns, wakes, steals;
};

struct yd_system {
    struct yd_system_options options;
    struct yd_alloc *alloc;
    bool simulated, threads_started;
    atomic_bool stopping;
    bool closing; /* being destroyed: nothing is told to anybody any more */
    uint16_t node;
    uint64_t ticks_scale;
    uint64_t turn_ticks, overrun_ticks, poll_ticks, flush_ticks, spin_ticks;
    uint64_t seed;
    unsigned executors, computes;
    struct yd__executor *executor; /* array */
    struct yd__worker *compute;    /* array */
    struct yd__worker **worker;    /* all of them */
    atomic_uint next_executor;
    _Atomic(struct yd__page *) *pages; /* by index; stored with release, read with acquire */
    _Atomic uint32_t page_count;

    _Alignas(YD_CACHE_LINE) _Atomic uint64_t hungry; /* bit per executor that is parked and would take work */

    /* Names: control path, one lock. */
    _Alignas(YD_CACHE_LINE) struct yd_lock names_lock;
    struct yd_intern atoms;
    struct yd__name *names; /* open addressing, power of two */
    uint32_t name_count, name_capacity;

    /* Compute pool: a queue of lent processes. */
    struct yd_lock compute_lock;
    pthread_cond_t compute_ready;
    struct yd__process *compute_first, *compute_last;
    pthread_t *compute_threads;
    unsigned compute_started;

    pthread_t watchdog;
    bool watchdog_started;
    pthread_mutex_t watchdog_lock;
    pthread_cond_t watchdog_stop;

    struct yd_rng rng; /* the simulation's choices */
    uint64_t trace;    /* hash over them */
    _Atomic uint64_t outside_undeliverable, outside_refused, outside_late;
};

/* The worker of this thread, NULL elsewhere. */
extern _Thread_local struct yd__worker *yd__current;

/* block.c */
struct yd_envelope *yd__block_get(struct yd__worker *worker, struct yd_system *system, size_t size, enum yd__op op);
void yd__block_put(struct yd__worker *worker, struct yd_envelope *envelope); /* the memory only */
void yd__release(struct yd__worker *worker, struct yd_envelope *envelope);   /* batch, data, memory */
void yd__unload(struct yd_envelope *envelope);                               /* batch and data only */
void yd__give_back_all(struct yd__worker *worker);
void yd__pool_fini(struct yd__worker *worker);
void *yd__aligned_zero(struct yd_alloc *alloc, size_t size); /* on YD_CACHE_LINE */
void yd__aligned_put(struct yd_alloc *alloc, void *ptr, size_t size);

/* record.c: the home's thread only */
void yd__record_add(struct yd__executor *home, struct yd__process *process, struct yd__record *record);
struct yd__record *yd__record_find(struct yd__executor *home, yd_pid owner, enum yd__op kind, uint64_t key);
void yd__record_remove(struct yd__executor *home, struct yd__record *record);
void yd__heap_add(struct yd__executor *home, struct yd__record *record, int64_t deadline_ns);
void yd__heap_remove(struct yd__executor *home, struct yd__record *record);
void yd__records_drop(struct yd__executor *home, struct yd__process *process);
/* Fires what is due. Returns how many. */
unsigned yd__timers_run(struct yd__executor *home, int64_t now_ns);
void yd__mail_recall(struct yd__mail *mail, uint64_t timer_id);

/* table.c */
struct yd__process *yd__slot_new(struct yd__executor *home); /* any thread */
void yd__slot_free(struct yd__process *process);
int yd__name_add(struct yd_system *system, struct yd__process *process, const char *group, const char *name,
                 yd_pid pid);
void yd__names_fini(struct yd_system *system);
void yd__name_remove(struct yd_system *system, struct yd__process *process);
#define YD__PID(node, generation, slot) ((yd_pid)(node) << 48 | (yd_pid)(generation) << 24 | (slot))
static inline uint32_t yd__pid_slot(yd_pid pid)
{
    return (uint32_t)pid & 0xffffff;
}
static inline uint32_t yd__pid_generation(yd_pid pid)
{
    return (uint32_t)(pid >> 24) & 0xffffff;
}

static inline struct yd__process *yd__slot_of(struct yd_system *system, yd_pid pid)
{
    uint32_t slot = yd__pid_slot(pid);
    /* acquire: pairs with the release in yd__slot_new, the page is there in full */
    struct yd__page *page = atomic_load_explicit(&system->pages[slot / YD__PAGE_SLOTS], memory_order_acquire);
    YD_DRD_AFTER(&system->pages[slot / YD__PAGE_SLOTS]);
    return page ? &page->slots[slot % YD__PAGE_SLOTS] : NULL;
}

/* deliver.c */
int yd__deliver(struct yd__worker *worker, struct yd_system *system, struct yd_envelope *envelope);
void yd__arrive(struct yd__executor *home, struct yd__process *process, struct yd_envelope *envelope);
/* Before it is bounced or released: one that nobody will receive. */
void yd__count_undeliverable(struct yd__worker *worker, struct yd_system *system, struct yd_envelope *envelope);
void yd__bounce(struct yd__worker *worker, struct yd_envelope *envelope, int error, int64_t retry_ns);
void yd__route(struct yd__worker *worker, struct yd__executor *home, struct yd_envelope *envelope);
void yd__outbound_flush(struct yd__worker *worker, struct yd__executor *but);
void yd__outbound_push(struct yd__worker *worker, struct yd__executor *home);
unsigned yd__inbox_take(struct yd__executor *executor);
void yd__mailbox_add(struct yd__process *process, struct yd_envelope *envelope); /* unchecked; the home's thread */

static inline void yd__mailbox_more_load(struct yd__process *process, uint64_t load)
{
    uint64_t queued = atomic_load_explicit(&process->queued, memory_order_relaxed);
    atomic_store_explicit(&process->queued, queued + load, memory_order_relaxed);
}
static inline void yd__mailbox_less_load(struct yd__process *process, uint64_t load)
{
    yd__mailbox_more_load(process, -load);
}

static inline void yd__mail_add(struct yd__mail *mail, struct yd_envelope *envelope)
{
    envelope->next = NULL;
    if (mail->last)
        mail->last->next = envelope;
    else
        mail->first = envelope;
    mail->last = envelope;
}

/* process.c: the home's thread only, but for new, start and undo */
void yd__process_started(struct yd__process *process);
void yd__process_end(struct yd__process *process, enum yd_exit reason);
void yd__process_crashed(struct yd__process *process, struct yd_envelope *poison);
void yd__process_restart(struct yd__process *process);
/* A WATCH or UNWATCH on its way to the home of the monitored one, and arrived there. */
void yd__process_watch(struct yd__worker *worker, struct yd_envelope *envelope);
void yd__process_watched(struct yd__executor *home, struct yd_envelope *envelope);
void yd__process_kill(struct yd__process *process);
int yd__process_new(struct yd_system *system, struct yd__executor *home, const struct yd_process_class *class,
                    const struct yd_process_options *options, struct yd__process **ret_process);
void yd__process_start(struct yd__worker *worker, struct yd__process *process);
void yd__process_undo(struct yd__process *process);

/* outbox.c */
void yd__outbox_flush(struct yd_outbox *out);
void yd__outbox_discard(struct yd_outbox *out);
void yd__drop(struct yd__worker *worker, struct yd_envelope *envelope);
void yd__apply(struct yd__executor *home, struct yd_envelope *envelope); /* a record or deferred call at its home */

/* turn.c */
/* Both return what the turn cost its group. */
int64_t yd__turn_home(struct yd__executor *home, struct yd__process *process);
int64_t yd__turn_lent(struct yd__worker *worker, struct yd__process *process);
void yd__turn_returned(struct yd__executor *home, struct yd__process *process);
void yd__turn_detach(struct yd__process *process); /* fills the bag for a lending */
int64_t yd__now(struct yd__worker *worker);

/* queue.c */
struct yd__share *yd__share_of(struct yd__executor *executor, const struct yd__process *process);
void yd__ready(struct yd__executor *executor, struct yd__share *share, struct yd__process *process);
struct yd__process *yd__ready_take(struct yd__executor *executor, struct yd__share **ret_share);
struct yd__process *yd__ready_steal(struct yd__executor *executor, int64_t worth_ns);
void yd__queue_fini(struct yd__executor *executor);

/* executor.c */
#define YD_EXECUTORS_MAX 1024
void *yd__executor_main(void *arg);
bool yd__executor_dispatch(struct yd__executor *executor); /* takes a ready process and runs or lends it */
void yd__executor_lend(struct yd__executor *executor, struct yd__executor *to, struct yd__process *process);

/* compute.c, watchdog.c, sim.c */
void yd__compute_lend(struct yd__process *process);
struct yd__process *yd__compute_take(struct yd_system *system);
void *yd__compute_main(void *arg);
void *yd__watchdog_main(void *arg);
int yd__sim_open(struct yd__executor *executor);

#endif
