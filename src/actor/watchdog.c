/* watchdog.c: names a process whose receive does not return.
 *
 * It looks at every worker a few times per overrun_ns. The same odd value of `receiving` for that long means one
 * receive is still running: told once. The worker itself tells the final length when the receive has returned (turn.c).
 */
#include <errno.h>

#include "actor/internal.h"

#define LOOKS 4 /* per overrun_ns */

struct seen {
    uint64_t receiving;
    int64_t since_ns;
    bool told;
};

static void look_at(struct yd__worker *worker, struct seen *seen, int64_t now_ns)
{
    struct yd_system *system = worker->system;
    /* acquire: pairs with the release in enter (turn.c): `running` is at least as new */
    uint64_t receiving = atomic_load_explicit(&worker->receiving, memory_order_acquire);
    if (receiving != seen->receiving || !(receiving & 1)) {
        *seen = (struct seen){receiving, now_ns, false};
        return;
    }
    int64_t ns = now_ns - seen->since_ns;
    if (seen->told || ns < system->options.overrun_ns || !system->options.on_overrun) return;
    struct yd__process *process = atomic_load_explicit(&worker->running, memory_order_relaxed);
    yd_pid pid = process ? atomic_load_explicit(&process->pid, memory_order_acquire) : YD_NOBODY;
    /* acquire above: the second look is not before it. Changed: it has returned meanwhile */
    if (pid == YD_NOBODY || atomic_load_explicit(&worker->receiving, memory_order_relaxed) != receiving) return;
    char name[512];
    yd_pid_put(system, pid, name, sizeof name);
    seen->told = true;
    system->options.on_overrun(system->options.callback_arg, name, ns, true);
}

void *yd__watchdog_main(void *arg)
{
    struct yd_system *system = arg;
    unsigned count = system->executors + system->computes;
    struct seen *seen = yd_alloc_zero(system->alloc, count * sizeof *seen);
    pthread_mutex_lock(&system->watchdog_lock);
    while (seen && !atomic_load_explicit(&system->stopping, memory_order_relaxed)) {
        int64_t at = yd_clock_mono() + system->options.overrun_ns / LOOKS;
        struct timespec until = {at / YD_NS_PER_S, at % YD_NS_PER_S};
        (void)pthread_cond_timedwait(&system->watchdog_stop, &system->watchdog_lock,
                                     &until); /* why it woke is all one */
        int64_t now_ns = yd_clock_mono();
        for (unsigned i = 0; i < count; i++) look_at(system->worker[i], &seen[i], now_ns);
    }
    pthread_mutex_unlock(&system->watchdog_lock);
    yd_alloc_put(system->alloc, seen, count * sizeof *seen);
    return NULL;
}
