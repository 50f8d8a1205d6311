/* executor.c: the thread.
 *
 *   loop: sort the inbox -- fire timers -- turns until POLL_NS have passed or nothing is ready -- poll sockets without
 *         waiting -- again; nothing ready: give blocks back, park in the poller until the next timer or a wake
 *
 * Turns and sockets take turns by time, so neither starves. Parking is one compare-and-swap on the inbox (empty ->
 * PARKED); whoever replaces it wakes the loop.
 *
 * An executor that is parked and would take work sets its bit in `hungry`. A busy one that has more than one process
 * ready lends it some: work is pushed, not stolen, so a run queue has one owner and no atomics. What is not seen: a
 * busy executor lends between turns only, never from within a long receive. */
#include <stdio.h>

#include "actor/internal.h"

#define LEND_WORTH_NS (20 * YD_NS_PER_US) /* waking a thread costs about that */
#define LEND_MAX      16
#define SLEEPS_MAX    255

static void charge(_Atomic int64_t *counter, int64_t ns)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + ns, memory_order_relaxed);
}

static int64_t passed_ns(const struct yd__executor *executor, uint64_t from, uint64_t to)
{
    return yd__ticks_ns(to - from, executor->worker.system->ticks_scale);
}

void yd__executor_lend(struct yd__executor *executor, struct yd__executor *to, struct yd__process *process)
{
    yd__turn_detach(process);
    process->stub.head.op = YD__LEND;
    /* What it has sent so far first: it may send more from there. */
    yd__outbound_flush(&executor->worker, to);
    yd__route(&executor->worker, to, yd__stub_envelope(&process->stub));
}

static void feed_hungry(struct yd__executor *executor, uint64_t hungry)
{
    struct yd_system *system = executor->worker.system;
    hungry &= ~(UINT64_C(1) << executor->worker.index);
    if (!hungry) return;
    unsigned index = (unsigned)__builtin_ctzll(hungry);
    struct yd__executor *to = &system->executor[index];
    unsigned lent = 0, most = YD_MIN(executor->queue.ready / 2, LEND_MAX);
    for (; lent < most; lent++) {
        struct yd__process *process = yd__ready_steal(executor, LEND_WORTH_NS);
        if (!process) break;
        if (!lent) atomic_fetch_and_explicit(&system->hungry, ~(UINT64_C(1) << index), memory_order_relaxed);
        yd__executor_lend(executor, to, process);
    }
    if (lent) yd__outbound_push(&executor->worker, to);
}

/* Takes the next ready process: runs it, or hands it to the compute pool. false: none is ready. */
bool yd__executor_dispatch(struct yd__executor *executor)
{
    struct yd__share *share;
    struct yd__process *process = yd__ready_take(executor, &share);
    if (!process) return false;
    if (process->home != executor) {
        yd__bump(&executor->steals, 1);
        share->credit -= yd__turn_lent(&executor->worker, process);
    } else if (YD_UNLIKELY(process->class->compute && !process->killed)) {
        yd__turn_detach(process);
        yd__outbound_flush(&executor->worker, NULL);
        yd__compute_lend(process);
    } else {
        share->credit -= yd__turn_home(executor, process);
    }
    yd__bump(&executor->turns, 1);
    return true;
}

/* Turns, until it is time to look at the sockets. Chains go out when they are worth it or this took a while. */
static void run_turns(struct yd__executor *executor)
{
    struct yd__worker *worker = &executor->worker;
    struct yd_system *system = worker->system;
    uint64_t begin = worker->stamp, flushed = begin;
    do {
        if (executor->queue.ready > 1) {
            uint64_t hungry = atomic_load_explicit(&system->hungry, memory_order_relaxed);
            if (YD_UNLIKELY(hungry)) feed_hungry(executor, hungry);
        }
        if (!yd__executor_dispatch(executor)) break;
        if (worker->outbound_count &&
            (worker->outbound_count >= 64 || !executor->queue.ready || worker->stamp - flushed > system->flush_ticks)) {
            yd__outbound_flush(worker, NULL);
            flushed = worker->stamp;
        }
        (void)yd__inbox_take(executor);
    } while (worker->stamp - begin < system->poll_ticks);
    if (worker->stale) worker->stamp = yd__ticks();
    worker->stale = false;
    charge(&executor->busy_ns, passed_ns(executor, begin, worker->stamp));
}

/* Callbacks of sockets run in here, also when it was a wait that they ended: only the wait itself is sleep. */
static void poll_loop(struct yd__executor *executor, int64_t timeout_ns)
{
    uint64_t begin = yd__ticks();
    int64_t slept = -yd_loop_slept(executor->loop);
    (void)yd_loop_run(executor->loop, timeout_ns); /* how many callbacks ran does not matter */
    executor->worker.stamp = yd__ticks();
    slept += yd_loop_slept(executor->loop);
    charge(&executor->parked_ns, slept);
    charge(&executor->polling_ns, YD_MAX(passed_ns(executor, begin, executor->worker.stamp) - slept, 0));
}

/* Where envelopes come back within microseconds, sleeping and being woken costs more than looking a while. Only after a
 * sleep that an envelope ended at once, so an idle executor never does; and after each look in vain it sleeps twice as
 * often before it looks again. */
static bool look_for_work(struct yd__executor *executor)
{
    struct yd__worker *worker = &executor->worker;
    uint64_t begin = yd__ticks();
    if (!executor->spins) return false;
    if (executor->sleeps_left) {
        executor->sleeps_left--;
        return false;
    }
    do {
        for (int i = 0; i < 32; i++) {
            if (atomic_load_explicit(&executor->inbox, memory_order_relaxed)) {
                worker->stamp = yd__ticks();
                charge(&executor->parked_ns, passed_ns(executor, begin, worker->stamp)); /* in place of a sleep */
                executor->sleeps = 0;
                return true;
            }
            yd__relax();
        }
        worker->stamp = yd__ticks();
    } while (worker->stamp - begin < worker->system->spin_ticks);
    charge(&executor->parked_ns, passed_ns(executor, begin, worker->stamp));
    executor->sleeps_left = executor->sleeps = YD_MIN(executor->sleeps * 2 + 1, SLEEPS_MAX);
    return false;
}

static void park(struct yd__executor *executor)
{
    struct yd__worker *worker = &executor->worker;
    struct yd_system *system = worker->system;
    uint64_t bit = UINT64_C(1) << (worker->index & 63);
    int64_t timeout_ns = -1;
    yd__outbound_flush(worker, NULL);
    yd__give_back_all(worker);
    if (look_for_work(executor)) return;
    if (executor->heap) timeout_ns = YD_MAX(executor->heap->deadline_ns - yd_clock_mono(), 0);
    if (timeout_ns) {
        struct yd_envelope *empty = NULL;
        /* relaxed: nothing is published by going to sleep; what came in before makes this fail */
        if (!atomic_compare_exchange_strong_explicit(&executor->inbox, &empty, YD__PARKED, memory_order_relaxed,
                                                     memory_order_relaxed))
            return;
        if (worker->index < 64) atomic_fetch_or_explicit(&system->hungry, bit, memory_order_relaxed);
    }
    if (atomic_load_explicit(&system->stopping, memory_order_relaxed)) timeout_ns = 0;
    uint64_t begin = worker->stamp;
    poll_loop(executor, timeout_ns);
    if (worker->index < 64) atomic_fetch_and_explicit(&system->hungry, ~bit, memory_order_relaxed);
    struct yd_envelope *parked = YD__PARKED;
    /* relaxed: on failure something is there, and yd__inbox_take acquires it */
    if (!atomic_compare_exchange_strong_explicit(&executor->inbox, &parked, NULL, memory_order_relaxed,
                                                 memory_order_relaxed))
        executor->spins = worker->stamp - begin < 2 * system->spin_ticks;
}

void *yd__executor_main(void *arg)
{
    struct yd__executor *executor = arg;
    struct yd_system *system = executor->worker.system;
    char name[16];
    (void)snprintf(name, sizeof name, "executor-%u", executor->worker.index);
    (void)pthread_setname_np(pthread_self(), name); /* for top and debuggers */
    yd__current = &executor->worker;
    executor->worker.stamp = yd__ticks();
    while (!atomic_load_explicit(&system->stopping, memory_order_relaxed)) {
        (void)yd__inbox_take(executor);
        if (executor->heap) (void)yd__timers_run(executor, yd_clock_mono());
        if (!executor->queue.ready) {
            park(executor);
            continue;
        }
        executor->worker.stamp = yd__ticks();
        run_turns(executor);
        yd__outbound_flush(&executor->worker, NULL);
        poll_loop(executor, 0);
    }
    yd__outbound_flush(&executor->worker, NULL);
    yd__give_back_all(&executor->worker);
    yd__current = NULL;
    return NULL;
}
