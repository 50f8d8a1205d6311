/* sim.c: a simulated system: the same code in one thread, in an order that a seed gives.
 *
 * A step sorts all inboxes, fires timers of the virtual clock, then picks: an executor with something ready, or the
 * compute pool; how many others of its run queue go first; whether the process is lent instead; whether what was sent
 * to other executors leaves now or later. Durations are zero, so nothing depends on the machine. */
#include "actor/internal.h"

static void nothing(void *arg)
{
    (void)arg;
}

int yd__sim_open(struct yd__executor *executor)
{
    executor->sim_timer_at = INT64_MAX;
    return yd_timer_create(executor->loop, nothing, NULL, &executor->sim_timer);
}

/* The virtual clock stops at our next deadline: what fires there is found by the next step. */
static void arm(struct yd__executor *executor)
{
    int64_t at = executor->heap ? executor->heap->deadline_ns : INT64_MAX;
    if (at == executor->sim_timer_at && at > yd_loop_mono(executor->loop)) return;
    executor->sim_timer_at = at;
    if (at == INT64_MAX)
        yd_timer_stop(executor->sim_timer);
    else
        yd_timer_start(executor->sim_timer, at);
}

static void mix(struct yd_system *system, uint64_t value)
{
    uint64_t trace = (system->trace ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    system->trace = trace ^ trace >> 32;
}

/* Some others go first. */
static void rotate(struct yd_system *system, struct yd__executor *executor)
{
    struct yd__share *share;
    uint64_t turns = yd_rng_below(&system->rng, YD_MIN(executor->queue.ready, 8));
    while (turns--) {
        struct yd__process *process = yd__ready_take(executor, &share);
        yd__ready(executor, share, process);
    }
}

static void step_executor(struct yd_system *system, struct yd__executor *executor)
{
    struct yd__worker *worker = &executor->worker;
    yd__current = worker;
    rotate(system, executor);
    struct yd__process *process = NULL;
    if (system->executors > 1 && yd_rng_chance(&system->rng, 8)) process = yd__ready_steal(executor, 0);
    if (process) {
        uint64_t other = yd_rng_below(&system->rng, system->executors - 1);
        if (other >= worker->index) other++;
        mix(system, UINT64_C(1) << 32 | process->slot);
        yd__executor_lend(executor, &system->executor[other], process);
    } else {
        struct yd__share *share = executor->queue.cursor;
        while (!share->first) share = share->ring_next;
        mix(system, (uint64_t)worker->index << 24 | share->first->slot);
        (void)yd__executor_dispatch(executor);
    }
    if (!yd_rng_chance(&system->rng, 4)) yd__outbound_flush(worker, NULL);
    yd__current = NULL;
}

static void step_compute(struct yd_system *system)
{
    struct yd__worker *worker = &system->compute[0];
    struct yd__process *process = yd__compute_take(system);
    mix(system, UINT64_C(2) << 32 | process->slot);
    yd__current = worker;
    (void)yd__turn_lent(worker, process);
    yd__current = NULL;
}

/* Everything that has arrived by now is in a mailbox. false: nothing is ready anywhere. */
static bool gather(struct yd_system *system)
{
    bool ready = system->compute_first != NULL;
    for (unsigned i = 0; i < system->executors; i++) {
        struct yd__executor *executor = &system->executor[i];
        yd__current = &executor->worker;
        (void)yd__inbox_take(executor);
        (void)yd__timers_run(executor, yd_loop_mono(executor->loop));
        ready |= executor->queue.ready > 0;
    }
    yd__current = NULL;
    return ready;
}

static bool flush_all(struct yd_system *system)
{
    bool any = false;
    for (unsigned i = 0; i < system->executors + system->computes; i++) {
        any |= system->worker[i]->outbound_count > 0;
        yd__outbound_flush(system->worker[i], NULL);
        yd__give_back_all(system->worker[i]);
    }
    return any;
}

int yd_system_step(struct yd_system *system)
{
    bool ready;
    do ready = gather(system);
    while (!ready && flush_all(system));
    if (ready) {
        uint64_t pick = yd_rng_below(&system->rng, system->executors + 1), places = system->executors + 1;
        for (;; pick = (pick + 1) % places) {
            if (pick == system->executors ? system->compute_first != NULL : system->executor[pick].queue.ready > 0)
                break;
        }
        if (pick == system->executors)
            step_compute(system);
        else
            step_executor(system, &system->executor[pick]);
    }
    for (unsigned i = 0; i < system->executors; i++) arm(&system->executor[i]);
    return ready;
}

uint64_t yd_system_trace(const struct yd_system *system)
{
    return system->trace;
}
