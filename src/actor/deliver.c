/* deliver.c: the way of an envelope into a mailbox.
 *
 *   deliver: who is it? -- admitted? --+-- at home here: mailbox, a list -- was it idle: run queue
 *                                      +-- elsewhere: the worker's outbound chain -- a CAS per chain --> home's inbox
 *   home:    inbox, one exchange takes all -- still the same pid? --> mailbox
 *
 * Per-sender order: a thread's envelopes to one home pass through one chain in order; at the home one thread sorts. A
 * process that moves between threads (lent) has its chains pushed before it moves.
 *
 * The inbox is a stack taken whole and turned around. A queue of one exchange per push is the usual choice; here a push
 * carries a whole turn's chain, so the cost is per turn, a producer that is preempted halfway never holds up those
 * behind it, and "empty" and "asleep" are values of the same word.
 *
 * Bounds: a sender elsewhere reads the load and then adds his: several at the same instant may overshoot by one each.
 * System envelopes are always admitted: they stand for something that was bounded when it was asked for. */
#include "actor/internal.h"
#include "base/drd.h"

#define RETRY_MIN_NS YD_NS_PER_MS
#define RETRY_MAX_NS YD_NS_PER_S

/* ---- what cannot be delivered ---- */
void yd__count_undeliverable(struct yd__worker *worker, struct yd_system *system, struct yd_envelope *envelope)
{
    bool late = envelope->delivery == YD_SYSTEM;
    if (late && envelope->type < YD_ENV_USER) return; /* ours, to one who ended meanwhile: nothing of his is lost */
    if (worker)
        yd__bump(late ? &worker->late : &worker->undeliverable, 1);
    else
        atomic_fetch_add_explicit(late ? &system->outside_late : &system->outside_undeliverable, 1,
                                  memory_order_relaxed);
}

/* A request goes back to its sender as UNDELIVERABLE, in its own memory. Others are released. Nothing is counted. */
void yd__bounce(struct yd__worker *worker, struct yd_envelope *envelope, int error, int64_t retry_ns)
{
    struct yd_system *system = yd__head_of(envelope)->system;
    if (envelope->delivery != YD_REQUEST || envelope->from == YD_NOBODY || system->closing) {
        yd__release(worker, envelope);
        return;
    }
    yd__unload(envelope);
    yd_pid from = envelope->from;
    envelope->from = envelope->to;
    envelope->to = from;
    envelope->arg[0] = (uint64_t)(int64_t)error;
    envelope->arg[1] = (uint64_t)retry_ns;
    envelope->arg[2] = envelope->type;
    envelope->arg[3] = 0;
    envelope->type = YD_ENV_UNDELIVERABLE;
    envelope->delivery = YD_SYSTEM;
    envelope->deadline_ns = 0;
    (void)yd__deliver(worker, system, envelope); /* who asked may be gone: nobody is left to be told */
}

static int nobody(struct yd__worker *worker, struct yd_system *system, struct yd_envelope *envelope)
{
    yd__count_undeliverable(worker, system, envelope);
    yd__bounce(worker, envelope, YD_EUNDELIVERABLE, 0);
    return YD_EUNDELIVERABLE;
}

static int refuse(struct yd__worker *worker, struct yd__process *process, struct yd_envelope *envelope, uint64_t queued)
{
    atomic_fetch_add_explicit(&process->undeliverable, 1, memory_order_relaxed);
    if (worker)
        yd__bump(&worker->refused, 1);
    else
        atomic_fetch_add_explicit(&yd__head_of(envelope)->system->outside_refused, 1, memory_order_relaxed);
    int64_t received = (int64_t)atomic_load_explicit(&process->received, memory_order_relaxed) + 1;
    int64_t each = atomic_load_explicit(&process->busy_ns, memory_order_relaxed) / received;
    int64_t retry = YD_MAX(RETRY_MIN_NS, YD_MIN(RETRY_MAX_NS, each * (int64_t)(YD__LOAD_COUNT(queued) / 2)));
    yd__bounce(worker, envelope, YD_EBUSY, retry); /* when half of the queue should be gone */
    return YD_EBUSY;
}

/* ---- the home's side ---- */
void yd__mailbox_add(struct yd__process *process, struct yd_envelope *envelope)
{
    uint64_t queued = atomic_load_explicit(&process->queued, memory_order_relaxed);
    atomic_store_explicit(&process->queued, queued + yd__load_of(envelope), memory_order_relaxed);
    yd__mail_add(&process->mail, envelope);
    if (process->status == YD__IDLE) {
        process->status = YD__READY;
        yd__ready(process->home, process->share, process);
    }
}

/* The outcome of a request, or news of somebody monitored: only the first counts. */
static bool expected(struct yd__executor *home, const struct yd_envelope *envelope)
{
    struct yd__record *record;
    if (envelope->correlation >> 63) {
        record = yd__record_find(home, envelope->to, YD__REQUEST, envelope->correlation);
        if (!record && envelope->type >= YD_ENV_USER) yd__bump(&home->worker.late, 1);
    } else if (envelope->type == YD_ENV_DOWN) {
        record = yd__record_find(home, envelope->to, YD__MONITOR, envelope->from);
    } else {
        return true;
    }
    if (!record) return false;
    yd__record_remove(home, record);
    yd__block_put(&home->worker, yd__envelope_of(record));
    return true;
}

void yd__arrive(struct yd__executor *home, struct yd__process *process, struct yd_envelope *envelope)
{
    if (envelope->delivery == YD_SYSTEM && !expected(home, envelope)) {
        yd__release(&home->worker, envelope);
        return;
    }
    yd__mailbox_add(process, envelope);
}

static void sort_in(struct yd__executor *home, struct yd_envelope *envelope)
{
    struct yd_system *system = home->worker.system;
    switch ((enum yd__op)yd__head_of(envelope)->op) {
    case YD__START:
        yd__process_started(yd__stub_of(envelope)->process);
        return;
    case YD__LEND: {
        struct yd__process *process = yd__stub_of(envelope)->process;
        yd__ready(home, yd__share_of(home, process), process);
        return;
    }
    case YD__RETURN:
        yd__turn_returned(home, yd__stub_of(envelope)->process);
        return;
    case YD__WATCH:
    case YD__UNWATCH:
        yd__process_watched(home, envelope);
        return;
    case YD__KILL: {
        struct yd__process *process = yd__slot_of(system, envelope->to);
        if (atomic_load_explicit(&process->pid, memory_order_relaxed) == envelope->to) yd__process_kill(process);
        yd__block_put(&home->worker, envelope);
        return;
    }
    case YD__SEND:
    case YD__FIRED:
    case YD__BEGUN:
    case YD__DEAD:
    case YD__SPAWN:
        break;
    default:
        yd__apply(home, envelope);
        return;
    }
    struct yd__process *process = yd__slot_of(system, envelope->to);
    uint64_t taken = atomic_load_explicit(&process->taken, memory_order_relaxed) + yd__load_of(envelope);
    atomic_store_explicit(&process->taken, taken, memory_order_release); /* pairs with the acquire in yd__deliver */
    if (atomic_load_explicit(&process->pid, memory_order_relaxed) == envelope->to)
        yd__arrive(home, process, envelope);
    else
        (void)nobody(&home->worker, system, envelope); /* it ended while this was on its way; counted there */
}

/* Sorts what others sent. Returns how many. */
unsigned yd__inbox_take(struct yd__executor *executor)
{
    /* The look first is relaxed: it only spares an exchange, whose acquire is the one that counts. */
    struct yd_envelope *newest = atomic_load_explicit(&executor->inbox, memory_order_relaxed);
    if (!newest) return 0;
    /* acquire: pairs with the release in push */
    newest = atomic_exchange_explicit(&executor->inbox, NULL, memory_order_acquire);
    YD_DRD_AFTER(&executor->inbox);
    if (newest == YD__PARKED) return 0;
    struct yd_envelope *oldest = NULL;
    while (newest) {
        struct yd_envelope *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    unsigned count = 0;
    for (; oldest; count++) {
        struct yd_envelope *next = oldest->next;
        if (next) __builtin_prefetch(next);
        sort_in(executor, oldest);
        oldest = next;
    }
    return count;
}

/* ---- the sender's side ---- */
static void push(struct yd__executor *home, struct yd_envelope *newest, struct yd_envelope *oldest)
{
    struct yd_envelope *old = atomic_load_explicit(&home->inbox, memory_order_relaxed);
    do {
        oldest->next = old == YD__PARKED ? NULL : old;
        YD_DRD_BEFORE(&home->inbox);
        /* release: publishes the chain; pairs with the acquire in yd__inbox_take */
    } while (
        !atomic_compare_exchange_weak_explicit(&home->inbox, &old, newest, memory_order_release, memory_order_relaxed));
    if (old != YD__PARKED) return;
    atomic_fetch_add_explicit(&home->wakes, 1, memory_order_relaxed);
    if (!home->worker.system->simulated) yd_loop_wake(home->loop);
}

void yd__outbound_push(struct yd__worker *worker, struct yd__executor *home)
{
    struct yd__chain *chain = &worker->outbound[home->worker.index];
    if (!chain->count) return;
    worker->outbound_count -= chain->count;
    push(home, chain->newest, chain->oldest);
    *chain = (struct yd__chain){0};
}

void yd__outbound_flush(struct yd__worker *worker, struct yd__executor *but)
{
    struct yd_system *system = worker->system;
    for (unsigned i = 0; worker->outbound_count && i < system->executors; i++)
        if (&system->executor[i] != but) yd__outbound_push(worker, &system->executor[i]);
}

void yd__route(struct yd__worker *worker, struct yd__executor *home, struct yd_envelope *envelope)
{
    if (!worker) {
        push(home, envelope, envelope);
        return;
    }
    struct yd__chain *chain = &worker->outbound[home->worker.index];
    envelope->next = chain->newest;
    if (!chain->newest) chain->oldest = envelope;
    chain->newest = envelope;
    chain->count++;
    worker->outbound_count++;
}

static int deliver_elsewhere(struct yd__worker *worker, struct yd_system *system, struct yd_envelope *envelope)
{
    if (system->options.remote && envelope->to >> 48)
        return system->options.remote(system->options.callback_arg, envelope);
    return nobody(worker, system, envelope);
}

int yd__deliver(struct yd__worker *worker, struct yd_system *system, struct yd_envelope *envelope)
{
    yd_pid to = envelope->to;
    if (YD_UNLIKELY(to >> 48 != system->node)) return deliver_elsewhere(worker, system, envelope);
    struct yd__process *process = yd__slot_of(system, to);
    /* acquire: pairs with the release in yd__process_new; its bounds are set */
    if (YD_UNLIKELY(!process || atomic_load_explicit(&process->pid, memory_order_acquire) != to))
        return nobody(worker, system, envelope);
    uint64_t load = yd__load_of(envelope);
    if (envelope->delivery != YD_SYSTEM) {
        /* acquire: pairs with the release in sort_in, so that `sent` is never seen behind `taken` */
        uint64_t taken = atomic_load_explicit(&process->taken, memory_order_acquire);
        uint64_t queued = atomic_load_explicit(&process->sent, memory_order_relaxed) - taken +
                          atomic_load_explicit(&process->queued, memory_order_relaxed);
        if (YD__LOAD_COUNT(queued) &&
            (YD__LOAD_COUNT(queued) >= atomic_load_explicit(&process->count_max, memory_order_relaxed) ||
             YD__LOAD_UNITS(queued) + YD__LOAD_UNITS(load) >
                 atomic_load_explicit(&process->units_max, memory_order_relaxed)))
            return refuse(worker, process, envelope, queued);
    }
    struct yd__executor *home = process->home;
    if (worker && worker->executor == home) {
        yd__arrive(home, process, envelope);
        return 0;
    }
    atomic_fetch_add_explicit(&process->sent, load, memory_order_relaxed); /* the chain's push publishes */
    yd__route(worker, home, envelope);
    return 0;
}

/* ---- public: any thread ---- */
int yd_send(struct yd_system *system, struct yd_envelope *envelope)
{
    struct yd__worker *worker = yd__current && yd__current->system == system ? yd__current : NULL;
    if (YD_UNLIKELY(system->closing)) {
        yd__release(worker, envelope);
        return YD_ECLOSED;
    }
    return yd__deliver(worker, system, envelope);
}

int yd_kill(struct yd_system *system, yd_pid pid)
{
    struct yd__worker *worker = yd__current && yd__current->system == system ? yd__current : NULL;
    struct yd__process *process = pid >> 48 == system->node ? yd__slot_of(system, pid) : NULL;
    if (!process || atomic_load_explicit(&process->pid, memory_order_acquire) != pid) return YD_ENOENT;
    struct yd_envelope *envelope = yd__block_get(worker, system, 0, YD__KILL);
    if (!envelope) return YD_ENOMEM;
    envelope->to = pid;
    yd__route(worker, process->home, envelope);
    return 0;
}
