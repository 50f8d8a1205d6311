/* system.c: makes, starts, stops and destroys a system; its statistics.
 *
 * Executors' loops are there from create on, so pumps can be opened before start. stop joins all threads; what is in
 * flight then stays where it is until destroy, which ends every process in this one thread and releases every
 * envelope. Simulated systems get their loops from outside and never have a thread (sim.c). */
#include <unistd.h>

#include <stdio.h>

#include "actor/internal.h"
#include "base/drd.h"

#define POLL_NS   (100 * YD_NS_PER_US)
#define SPIN_NS   (20 * YD_NS_PER_US)
#define FLUSH_NS  (20 * YD_NS_PER_US)
#define HASH_SIZE 256

uint64_t yd__ticks_scale(void)
{
    /* The shortest of a few readings brackets the clock best: a preemption spoils one, not all. */
    uint64_t tick[2] = {0, 0};
    int64_t ns[2] = {0, 0};
    for (int end = 0; end < 2; end++) {
        uint64_t best = UINT64_MAX;
        int64_t until = end ? ns[0] + 300 * YD_NS_PER_US : 0;
        for (int i = 0; i < 8 || yd_clock_mono() < until; i++) {
            uint64_t before = yd__ticks();
            int64_t now = yd_clock_mono();
            uint64_t after = yd__ticks();
            if (now < until || after - before > best) continue;
            best = after - before;
            tick[end] = before + (after - before) / 2;
            ns[end] = now;
        }
        if (best == UINT64_MAX) end--; /* preempted at each: once more */
    }
    return (uint64_t)(((unsigned __int128)(uint64_t)(ns[1] - ns[0]) << 32) / YD_MAX(tick[1] - tick[0], 1));
}

/* ---- create ---- */
static void set_defaults(struct yd_system *system)
{
    struct yd_system_options *options = &system->options;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (cores < 1) cores = 1;
    if (!options->node) options->node = "local";
    if (!options->node_number) options->node_number = 1;
    if (!options->executors) options->executors = (unsigned)cores;
    if (!options->compute) options->compute = (unsigned)YD_MAX(1, cores / 2);
    if (options->sim_loops) options->compute = 1;
    if (!options->turn_messages) options->turn_messages = 256;
    if (!options->turn_bytes) options->turn_bytes = UINT64_C(4) << 20;
    if (options->turn_ns <= 0) options->turn_ns = 2 * YD_NS_PER_MS;
    if (options->request_ns <= 0) options->request_ns = 30 * YD_NS_PER_S;
    if (options->overrun_ns <= 0) options->overrun_ns = 100 * YD_NS_PER_MS;
    system->node = options->node_number;
    system->simulated = options->sim_loops != NULL;
    system->executors = options->executors;
    system->computes = options->compute;
    system->ticks_scale = system->simulated ? UINT64_C(1) << 32 : yd__ticks_scale();
    system->turn_ticks = yd__ticks_of_ns(options->turn_ns, system->ticks_scale);
    system->overrun_ticks = yd__ticks_of_ns(options->overrun_ns, system->ticks_scale);
    system->poll_ticks = yd__ticks_of_ns(POLL_NS, system->ticks_scale);
    system->spin_ticks = yd__ticks_of_ns(SPIN_NS, system->ticks_scale);
    system->flush_ticks = yd__ticks_of_ns(FLUSH_NS, system->ticks_scale);
}

static bool init_worker(struct yd_system *system, struct yd__worker *worker, unsigned index)
{
    worker->system = system;
    worker->index = (uint16_t)index;
    YD_DRD_IGNORE_TO(&worker->undeliverable, &worker->returns);
    worker->give_back =
        yd_alloc_zero(system->alloc, (system->executors + system->computes) * sizeof *worker->give_back);
    worker->outbound = yd_alloc_zero(system->alloc, system->executors * sizeof *worker->outbound);
    system->worker[index] = worker;
    return worker->give_back && worker->outbound;
}

static void fini_worker(struct yd_system *system, struct yd__worker *worker)
{
    if (!worker->system) return;
    yd__pool_fini(worker);
    yd_alloc_put(system->alloc, worker->give_back, (system->executors + system->computes) * sizeof *worker->give_back);
    yd_alloc_put(system->alloc, worker->outbound, system->executors * sizeof *worker->outbound);
}

static int init_executor(struct yd_system *system, struct yd__executor *executor, unsigned index)
{
    yd_lock_init(&executor->slots_lock);
    if (!init_worker(system, &executor->worker, index)) return YD_ENOMEM;
    executor->worker.executor = executor;
    executor->queue.fallback.weight = 1;
    executor->hash = yd_alloc_zero(system->alloc, HASH_SIZE * sizeof *executor->hash);
    if (!executor->hash) return YD_ENOMEM;
    executor->hash_mask = HASH_SIZE - 1;
    if (!system->simulated) return yd_loop_create_uv(&executor->loop);
    executor->loop = system->options.sim_loops[index];
    return yd__sim_open(executor);
}

static void fini_executor(struct yd_system *system, struct yd__executor *executor)
{
    if (!executor->worker.system) return;
    yd_alloc_put(system->alloc, executor->hash, ((size_t)executor->hash_mask + 1) * sizeof *executor->hash);
    yd_alloc_put(system->alloc, executor->slots_free, executor->slots_free_capacity * sizeof *executor->slots_free);
    yd__queue_fini(executor);
    yd_timer_close(executor->sim_timer);
    if (executor->loop && !system->simulated) {
        /* Handles that were closed just now let go of the loop in its next turns. */
        for (int i = 0; i < 100 && yd_loop_run(executor->loop, 0) > 0; i++) continue;
        yd_loop_destroy(executor->loop);
    }
    fini_worker(system, &executor->worker);
    yd_lock_fini(&executor->slots_lock);
}

static int init_parts(struct yd_system *system)
{
    unsigned workers = system->executors + system->computes;
    system->worker = yd_alloc_zero(system->alloc, workers * sizeof *system->worker);
    system->pages = yd_alloc_zero(system->alloc, YD__PAGES_MAX * sizeof *system->pages);
    system->executor = yd__aligned_zero(system->alloc, system->executors * sizeof *system->executor);
    system->compute = yd__aligned_zero(system->alloc, system->computes * sizeof *system->compute);
    system->compute_threads = yd_alloc_zero(system->alloc, system->computes * sizeof *system->compute_threads);
    if (system->pages) YD_DRD_IGNORE_TO(&system->pages[0], &system->pages[YD__PAGES_MAX - 1]);
    if (!system->worker || !system->pages || !system->executor || !system->compute || !system->compute_threads)
        return YD_ENOMEM;
    for (unsigned i = 0; i < system->executors; i++) {
        YD_DRD_IGNORE(&system->executor[i].inbox);
        YD_DRD_IGNORE_TO(&system->executor[i].busy_ns, &system->executor[i].steals);
    }
    uint32_t empty;
    int error = yd_intern_add(&system->atoms, YD_STR(""), &empty); /* atom 0 */
    for (unsigned i = 0; i < system->executors && error >= 0; i++)
        error = init_executor(system, &system->executor[i], i);
    for (unsigned i = 0; i < system->computes && error >= 0; i++)
        if (!init_worker(system, &system->compute[i], system->executors + i)) error = YD_ENOMEM;
    return error;
}

int yd_system_create(const struct yd_system_options *options, struct yd_system **ret_system)
{
    static const struct yd_system_options none;
    if (!options) options = &none;
    if (options->executors > YD_EXECUTORS_MAX || options->compute > YD_EXECUTORS_MAX) return YD_EINVAL;
    if (options->sim_loops && !options->executors) return YD_EINVAL;
    struct yd_alloc *alloc = options->alloc ? options->alloc : yd_alloc_default();
    struct yd_system *system = yd__aligned_zero(alloc, sizeof *system);
    if (!system) return YD_ENOMEM;
    system->alloc = alloc;
    system->options = *options;
    YD_DRD_IGNORE(&system->stopping);
    YD_DRD_IGNORE(&system->next_executor);
    YD_DRD_IGNORE_TO(&system->page_count, &system->hungry);
    YD_DRD_IGNORE_TO(&system->outside_undeliverable, &system->outside_late);
    set_defaults(system);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    yd_lock_init(&system->names_lock);
    yd_lock_init(&system->compute_lock);
    pthread_mutex_init(&system->watchdog_lock, NULL);
    pthread_cond_init(&system->compute_ready, NULL);
    pthread_cond_init(&system->watchdog_stop, &monotonic);
    pthread_condattr_destroy(&monotonic);
    yd_intern_init(&system->atoms, alloc, 0);
    yd_rng_init(&system->rng, options->sim_seed);
    int error = init_parts(system);
    if (error < 0) {
        yd_system_destroy(system);
        return error;
    }
    system->seed = system->simulated ? yd_rng_next(&system->rng) : yd_loop_random(system->executor[0].loop);
    *ret_system = system;
    return 0;
}

/* ---- start and stop ---- */
static void *watchdog_or_not(struct yd_system *system)
{
    return system->options.on_overrun ? system : NULL;
}

int yd_system_start(struct yd_system *system)
{
    if (system->simulated) return YD_ENOTSUP;
    if (system->threads_started) return YD_EEXIST;
    system->threads_started = true;
    for (unsigned i = 0; i < system->executors; i++) {
        struct yd__executor *executor = &system->executor[i];
        if (pthread_create(&executor->thread, NULL, yd__executor_main, executor)) goto failed;
        executor->started = true;
    }
    for (unsigned i = 0; i < system->computes; i++) {
        if (pthread_create(&system->compute_threads[i], NULL, yd__compute_main, &system->compute[i])) goto failed;
        system->compute_started++;
    }
    if (watchdog_or_not(system)) {
        if (pthread_create(&system->watchdog, NULL, yd__watchdog_main, system)) goto failed;
        system->watchdog_started = true;
    }
    return 0;
failed:
    yd_system_stop(system);
    return YD_EAGAIN;
}

void yd_system_stop(struct yd_system *system)
{
    /* Under both locks: no waiter is between its look at `stopping` and its wait. */
    yd_lock_take(&system->compute_lock);
    pthread_mutex_lock(&system->watchdog_lock);
    atomic_store_explicit(&system->stopping, true, memory_order_relaxed);
    pthread_cond_broadcast(&system->compute_ready);
    pthread_cond_broadcast(&system->watchdog_stop);
    pthread_mutex_unlock(&system->watchdog_lock);
    yd_lock_give(&system->compute_lock);
    unsigned executors = system->executor ? system->executors : 0; /* create may have failed early */
    for (unsigned i = 0; i < executors; i++) {
        if (system->executor[i].started) yd_loop_wake(system->executor[i].loop);
    }
    for (unsigned i = 0; i < executors; i++) {
        if (system->executor[i].started) pthread_join(system->executor[i].thread, NULL);
        system->executor[i].started = false;
    }
    for (unsigned i = 0; i < system->compute_started; i++) pthread_join(system->compute_threads[i], NULL);
    system->compute_started = 0;
    if (system->watchdog_started) pthread_join(system->watchdog, NULL);
    system->watchdog_started = false;
}

/* ---- destroy ---- */
static void drain(struct yd__worker *worker, struct yd_envelope *envelope)
{
    while (envelope && envelope != YD__PARKED) {
        struct yd_envelope *next = envelope->next;
        yd__drop(worker, envelope);
        envelope = next;
    }
}

static void end_all(struct yd_system *system)
{
    uint32_t pages = atomic_load_explicit(&system->page_count, memory_order_relaxed);
    for (uint32_t i = 0; i < pages * YD__PAGE_SLOTS; i++) {
        struct yd__page *page = atomic_load_explicit(&system->pages[i / YD__PAGE_SLOTS], memory_order_relaxed);
        struct yd__process *process = page ? &page->slots[i % YD__PAGE_SLOTS] : NULL;
        if (!process || atomic_load_explicit(&process->pid, memory_order_relaxed) == YD_NOBODY) continue;
        struct yd__worker *worker = &process->home->worker;
        drain(worker, process->bag.first);
        if (process->status == YD__LENT && process->poison) yd__release(worker, process->poison);
        process->bag = (struct yd__mail){0};
        yd__current = worker;
        yd__process_end(process, YD_EXIT_KILLED);
    }
    yd__current = NULL;
}

void yd_system_destroy(struct yd_system *system)
{
    if (!system) return;
    yd_system_stop(system);
    system->closing = true;
    for (unsigned i = 0; system->worker && i < system->executors + system->computes; i++)
        if (system->worker[i]) yd__outbound_flush(system->worker[i], NULL);
    if (system->pages) end_all(system);
    for (unsigned i = 0; system->executor && i < system->executors; i++) {
        struct yd__executor *executor = &system->executor[i];
        struct yd_envelope *inbox = atomic_exchange_explicit(&executor->inbox, NULL, memory_order_acquire);
        YD_DRD_AFTER(&executor->inbox);
        drain(&executor->worker, inbox);
    }
    for (unsigned i = 0; system->executor && i < system->executors; i++) fini_executor(system, &system->executor[i]);
    for (unsigned i = 0; system->compute && i < system->computes; i++) fini_worker(system, &system->compute[i]);
    uint32_t pages = atomic_load_explicit(&system->page_count, memory_order_relaxed);
    for (uint32_t i = 0; i < pages; i++) {
        struct yd__page *page = atomic_load_explicit(&system->pages[i], memory_order_relaxed);
        yd__aligned_put(system->alloc, page, sizeof *page);
    }
    yd__names_fini(system);
    yd_intern_fini(&system->atoms);
    yd_lock_fini(&system->names_lock);
    yd_lock_fini(&system->compute_lock);
    pthread_mutex_destroy(&system->watchdog_lock);
    pthread_cond_destroy(&system->compute_ready);
    pthread_cond_destroy(&system->watchdog_stop);
    yd_alloc_put(system->alloc, system->worker, (system->executors + system->computes) * sizeof *system->worker);
    yd_alloc_put(system->alloc, system->pages, YD__PAGES_MAX * sizeof *system->pages);
    yd__aligned_put(system->alloc, system->executor, system->executors * sizeof *system->executor);
    yd__aligned_put(system->alloc, system->compute, system->computes * sizeof *system->compute);
    yd_alloc_put(system->alloc, system->compute_threads, system->computes * sizeof *system->compute_threads);
    yd__aligned_put(system->alloc, system, sizeof *system);
}

/* ---- what it is made of, and statistics: any thread ---- */
unsigned yd_system_executors(const struct yd_system *system)
{
    return system->executors;
}

struct yd_loop *yd_system_loop(struct yd_system *system, unsigned executor)
{
    return executor < system->executors ? system->executor[executor].loop : NULL;
}

#define READ(counter) atomic_load_explicit(&(counter), memory_order_relaxed)

int yd_system_visit(struct yd_system *system, int (*visit)(void *arg, const struct yd_process_stat *stat), void *arg)
{
    uint32_t pages = READ(system->page_count);
    for (uint32_t i = 0; i < pages * YD__PAGE_SLOTS; i++) {
        struct yd__process *process = yd__slot_of(system, i);
        if (!process) continue; /* a page being made */
        /* acquire: pairs with the release in yd__process_new */
        yd_pid pid = atomic_load_explicit(&process->pid, memory_order_acquire);
        if (pid == YD_NOBODY) continue;
        uint64_t taken = atomic_load_explicit(&process->taken, memory_order_acquire);
        uint64_t load = READ(process->sent) - taken + READ(process->queued);
        struct yd_process_stat stat = {.pid = pid,
                                       .name = READ(process->name),
                                       .class_name = READ(process->class_name),
                                       .received = READ(process->received),
                                       .turns = READ(process->turns),
                                       .fails = READ(process->fails),
                                       .restarts = READ(process->restarts),
                                       .undeliverable = READ(process->undeliverable),
                                       .mailbox = YD__LOAD_COUNT(load),
                                       .mailbox_bytes = YD__LOAD_UNITS(load) * 64,
                                       .busy_ns = READ(process->busy_ns)};
        int stop = visit(arg, &stat);
        if (stop) return stop;
    }
    return 0;
}

void yd_executor_stat(struct yd_system *system, unsigned executor, struct yd_executor_stat *ret)
{
    struct yd__executor *e = &system->executor[executor];
    *ret = (struct yd_executor_stat){.busy_ns = READ(e->busy_ns),
                                     .polling_ns = READ(e->polling_ns),
                                     .parked_ns = READ(e->parked_ns),
                                     .turns = READ(e->turns),
                                     .wakes = READ(e->wakes),
                                     .steals = READ(e->steals)};
}

void yd_system_stat(struct yd_system *system, struct yd_system_stat *ret)
{
    struct yd_system_stat stat = {.undeliverable = READ(system->outside_undeliverable),
                                  .refused = READ(system->outside_refused),
                                  .late = READ(system->outside_late)};
    for (unsigned i = 0; i < system->executors + system->computes; i++) {
        stat.undeliverable += READ(system->worker[i]->undeliverable);
        stat.refused += READ(system->worker[i]->refused);
        stat.late += READ(system->worker[i]->late);
        stat.expired += READ(system->worker[i]->expired);
    }
    *ret = stat;
}

void yd_system_waits(const struct yd_system *system, const struct yd_wait_visit *visit)
{
    char part[40];
    yd_wait_lock(visit, "processes", "names", &system->names_lock);
    yd_wait_lock(visit, "processes", "compute queue", &system->compute_lock);
    for (unsigned i = 0; i < system->executors; i++) {
        (void)snprintf(part, sizeof part, "births on executor %u", i);
        yd_wait_lock(visit, "processes", part, &system->executor[i].slots_lock);
    }
}
