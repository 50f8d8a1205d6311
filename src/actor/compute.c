/* compute.c: the pool for classes that compute long. Threads with a low priority take lent processes from one queue.
 *
 * A home lends a ready compute process for one turn, as to another executor; one process is never in two places, so it
 * runs on one thread at a time. A turn there is microseconds at least, a lock is fine. */
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "actor/internal.h"

#define NICE 10

void yd__compute_lend(struct yd__process *process)
{
    struct yd_system *system = process->home->worker.system;
    process->ready_next = NULL;
    yd_lock_take(&system->compute_lock);
    if (system->compute_first)
        system->compute_last->ready_next = process;
    else
        system->compute_first = process;
    system->compute_last = process;
    pthread_cond_signal(&system->compute_ready);
    yd_lock_give(&system->compute_lock);
}

/* Under the lock, or in a simulation. */
struct yd__process *yd__compute_take(struct yd_system *system)
{
    struct yd__process *process = system->compute_first;
    if (process) system->compute_first = process->ready_next;
    return process;
}

void *yd__compute_main(void *arg)
{
    struct yd__worker *worker = arg;
    struct yd_system *system = worker->system;
    yd__current = worker;
    (void)pthread_setname_np(pthread_self(), "compute");              /* for top and debuggers */
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE); /* a wish: without it they are only less polite */
    yd_lock_take(&system->compute_lock);
    while (!atomic_load_explicit(&system->stopping, memory_order_relaxed)) {
        struct yd__process *process = yd__compute_take(system);
        if (!process) {
            pthread_cond_wait(&system->compute_ready, &system->compute_lock.mutex);
            continue;
        }
        yd_lock_give(&system->compute_lock);
        worker->stamp = yd__ticks();
        (void)yd__turn_lent(worker, process);
        yd__give_back_all(worker);
        yd_lock_take(&system->compute_lock);
    }
    yd_lock_give(&system->compute_lock);
    yd__current = NULL;
    return NULL;
}
