/* process.c: birth, crash, restart, end.
 *
 *   new --> BORN -- START at home --> READY <-> RUNNING / LENT <-> IDLE
 *                                       |  STOP, kill --> ended: DOWN to its watchers, requests in its mailbox bounced
 *                                       +- FAIL --> crashed: within its limits DOWN, back-off, restarted; else ended
 *
 * A restarted process keeps its pid, name and mailbox (but for the poison): its peers go on. It loses its state,
 * timers, open requests and monitors: init makes them anew. All but yd__process_new is the home's thread. */
#include "actor/internal.h"
#include "base/drd.h"

#define MAILBOX_COUNT     65536u
#define MAILBOX_BYTES     ((uint64_t)64 << 20)
#define COUNT_LIMIT       ((uint32_t)1 << 23)
#define UNITS_LIMIT       ((uint64_t)1 << 38)
#define RESTARTS          5u
#define RESTART_WINDOW_NS (60 * YD_NS_PER_S)
#define BACKOFF_MIN_NS    (100 * YD_NS_PER_MS)
#define BACKOFF_MAX_NS    (10 * YD_NS_PER_S)

/* ---- birth ---- */
static struct yd__policy *new_policy(struct yd_system *system, const struct yd_process_options *options)
{
    struct yd__policy *policy = yd_alloc_zero(system->alloc, sizeof *policy);
    if (!policy) return NULL;
    policy->block.head.system = system;
    policy->block.head.op = YD__RESTART;
    policy->restart = options->restart == YD_RESTART_ON_FAIL;
    policy->restart_max = options->restart_max ? options->restart_max : RESTARTS;
    policy->window_ns = options->restart_window_ns ? options->restart_window_ns : RESTART_WINDOW_NS;
    policy->backoff_min_ns = options->backoff_min_ns ? options->backoff_min_ns : BACKOFF_MIN_NS;
    policy->backoff_max_ns = options->backoff_max_ns ? options->backoff_max_ns : BACKOFF_MAX_NS;
    policy->on_fail = options->on_fail;
    return policy;
}

static void set_bounds(struct yd__process *process, const struct yd_process_options *options)
{
    uint32_t count = options->mailbox_max ? options->mailbox_max : MAILBOX_COUNT;
    uint64_t bytes = options->mailbox_bytes_max ? options->mailbox_bytes_max : MAILBOX_BYTES;
    atomic_store_explicit(&process->count_max, YD_MIN(count, COUNT_LIMIT), memory_order_relaxed);
    atomic_store_explicit(&process->units_max, YD_MIN(bytes / 64 + 1, UNITS_LIMIT), memory_order_relaxed);
}

static void clear(struct yd__process *process)
{
    process->mail = process->bag = (struct yd__mail){0};
    process->poison = NULL;
    process->ready_next = NULL;
    process->initialised = process->killed = false;
    process->heavy = true; /* until the first turn has shown how long a receive takes */
    process->nanos = 0;
    process->mine = NULL;
    process->watchers = NULL;
    process->policy = NULL;
    process->group_atom = process->name_atom = 0;
    process->share = NULL;
    atomic_store_explicit(&process->queued, 0, memory_order_relaxed);
    _Atomic uint64_t *counters[] = {&process->received, &process->turns, &process->fails, &process->restarts,
                                    &process->undeliverable};
    for (size_t i = 0; i < YD_COUNT(counters); i++) atomic_store_explicit(counters[i], 0, memory_order_relaxed);
    atomic_store_explicit(&process->busy_ns, 0, memory_order_relaxed);
}

/* Any thread. The process has its pid and can be sent to, but nothing runs before it is started. */
int yd__process_new(struct yd_system *system, struct yd__executor *home, const struct yd_process_class *class,
                    const struct yd_process_options *options, struct yd__process **ret_process)
{
    static const struct yd_process_options none = {.executor = -1};
    if (!options) options = &none;
    if (!class || !class->receive || options->executor >= (int)system->executors) return YD_EINVAL;
    struct yd__process *process = yd__slot_new(home);
    if (!process) return YD_ENOMEM;
    yd_pid pid = YD__PID(system->node, process->generation, process->slot);
    clear(process);
    process->class = class;
    process->arg = options->arg;
    process->pinned = options->executor >= 0 && !options->roams;
    process->weight = options->weight;
    process->rng = system->seed ^ (pid + 1) * UINT64_C(0x9e3779b97f4a7c15);
    process->correlation = (process->rng >> 16 & 0xffffffff) << 24; /* a new life does not ask with the old one's */
    process->stub.head.system = system;
    process->stub.process = process;
    atomic_store_explicit(&process->name, NULL, memory_order_relaxed);
    atomic_store_explicit(&process->class_name, class->name ? class->name : "", memory_order_relaxed);
    set_bounds(process, options);

    int error = YD_ENOMEM;
    process->state = class->state_size ? yd_alloc_get(system->alloc, class->state_size) : options->arg;
    if (class->state_size && !process->state) goto no_state;
    if (options->restart != YD_RESTART_NEVER || options->on_fail) {
        process->policy = new_policy(system, options);
        if (!process->policy) goto no_policy;
    }
    if (options->name || options->group) {
        error = yd__name_add(system, process, options->group, options->name, pid);
        if (error < 0) goto no_name;
    }
    process->status = YD__BORN;
    /* release: all of the above is there; pairs with the acquire in yd__deliver and wherever a pid is looked at */
    YD_DRD_BEFORE(&process->pid);
    atomic_store_explicit(&process->pid, pid, memory_order_release);
    *ret_process = process;
    return 0;

no_name:
    yd_alloc_put(system->alloc, process->policy, sizeof *process->policy);
no_policy:
    if (class->state_size) yd_alloc_put(system->alloc, process->state, class->state_size);
no_state:
    yd__slot_free(process);
    return error;
}

static void forget(struct yd__process *process)
{
    struct yd_system *system = process->home->worker.system;
    yd__name_remove(system, process);
    yd_alloc_put(system->alloc, process->policy, process->policy ? sizeof *process->policy : 0);
    if (process->class->state_size) yd_alloc_put(system->alloc, process->state, process->class->state_size);
    process->policy = NULL;
    process->state = NULL;
    process->status = YD__FREE;
    atomic_store_explicit(&process->queued, 0, memory_order_relaxed);
    yd__slot_free(process);
}

void yd__process_started(struct yd__process *process)
{
    process->share = yd__share_of(process->home, process);
    process->status = YD__READY; /* its first turn is init */
    yd__ready(process->home, process->share, process);
}

/* Any thread: tells the home. */
void yd__process_start(struct yd__worker *worker, struct yd__process *process)
{
    if (worker && worker->executor == process->home) {
        yd__process_started(process);
        return;
    }
    process->stub.head.op = YD__START;
    yd__route(worker, process->home, yd__stub_envelope(&process->stub));
}

int yd_spawn(struct yd_system *system, const struct yd_process_class *class, const struct yd_process_options *options,
             yd_pid *ret_pid)
{
    struct yd__worker *worker = yd__current && yd__current->system == system ? yd__current : NULL;
    if (options && options->executor >= (int)system->executors) return YD_EINVAL;
    if (system->closing) return YD_ECLOSED;
    unsigned index =
        options && options->executor >= 0
            ? (unsigned)options->executor
            : atomic_fetch_add_explicit(&system->next_executor, 1, memory_order_relaxed) % system->executors;
    struct yd__process *process;
    int error = yd__process_new(system, &system->executor[index], class, options, &process);
    if (error < 0) return error;
    /* The pid first: once it is started, it may have ended before this returns. */
    if (ret_pid) *ret_pid = atomic_load_explicit(&process->pid, memory_order_relaxed);
    yd__process_start(worker, process);
    return 0;
}

/* ---- monitors ---- */
static void tell_down(struct yd__worker *worker, struct yd_envelope *envelope, yd_pid watcher, yd_pid watched,
                      enum yd_exit reason)
{
    memset(envelope, 0, sizeof *envelope);
    yd__head_of(envelope)->op = YD__SEND;
    envelope->to = watcher;
    envelope->from = watched;
    envelope->type = YD_ENV_DOWN;
    envelope->delivery = YD_SYSTEM;
    envelope->arg[0] = (uint64_t)reason;
    (void)yd__deliver(worker, yd__head_of(envelope)->system, envelope); /* the watcher may be gone, then nobody cares */
}

void yd__process_watch(struct yd__worker *worker, struct yd_envelope *envelope)
{
    struct yd_system *system = worker->system;
    yd_pid watched = envelope->to;
    bool watch = yd__head_of(envelope)->op == YD__WATCH;
    if (watched >> 48 == system->node) {
        struct yd__process *process = yd__slot_of(system, watched);
        if (process) {
            if (worker->executor == process->home)
                yd__process_watched(process->home, envelope);
            else
                yd__route(worker, process->home, envelope);
            return;
        }
    } else if (system->options.remote && watched >> 48) {
        yd__head_of(envelope)->op = YD__SEND;
        (void)system->options.remote(system->options.callback_arg, envelope); /* it tells DOWN if it cannot */
        return;
    }
    if (watch)
        tell_down(worker, envelope, envelope->from, watched, YD_EXIT_GONE);
    else
        yd__block_put(worker, envelope);
}

void yd__process_watched(struct yd__executor *home, struct yd_envelope *envelope)
{
    struct yd__process *process = yd__slot_of(home->worker.system, envelope->to);
    bool alive = atomic_load_explicit(&process->pid, memory_order_relaxed) == envelope->to;
    if (yd__head_of(envelope)->op == YD__WATCH) {
        if (!alive) {
            tell_down(&home->worker, envelope, envelope->from, envelope->to, YD_EXIT_GONE);
            return;
        }
        envelope->next = process->watchers;
        process->watchers = envelope;
        return;
    }
    for (struct yd_envelope **at = &process->watchers; alive && *at; at = &(*at)->next) {
        struct yd_envelope *found = *at;
        if (found->from != envelope->from) continue;
        *at = found->next;
        yd__block_put(&home->worker, found);
        break;
    }
    yd__block_put(&home->worker, envelope);
}

static void tell_watchers(struct yd__process *process, yd_pid pid, enum yd_exit reason)
{
    struct yd__worker *worker = &process->home->worker;
    while (process->watchers) {
        struct yd_envelope *envelope = process->watchers;
        process->watchers = envelope->next;
        if (worker->system->closing)
            yd__block_put(worker, envelope);
        else
            tell_down(worker, envelope, envelope->from, pid, reason);
    }
}

/* ---- the end ---- */
static void finish(struct yd__process *process)
{
    if (process->initialised && process->class->fini) process->class->fini(process->state);
    process->initialised = false;
}

static void bounce_mail(struct yd__process *process, struct yd__mail *mail)
{
    struct yd__worker *worker = &process->home->worker;
    while (mail->first) {
        struct yd_envelope *envelope = mail->first;
        mail->first = envelope->next;
        if (!worker->system->closing && yd__head_of(envelope)->op == YD__SEND)
            yd__count_undeliverable(worker, worker->system, envelope);
        yd__bounce(worker, envelope, YD_EUNDELIVERABLE, 0);
    }
    *mail = (struct yd__mail){0};
}

void yd__process_end(struct yd__process *process, enum yd_exit reason)
{
    struct yd__executor *home = process->home;
    yd_pid pid = atomic_load_explicit(&process->pid, memory_order_relaxed);
    finish(process);
    /* release: whoever still finds the pid pushes to the inbox, where this thread sees that it is gone */
    atomic_store_explicit(&process->pid, YD_NOBODY, memory_order_release);
    if (process->policy) yd__heap_remove(home, yd__record_of(&process->policy->block.envelope));
    yd__records_drop(home, process);
    tell_watchers(process, pid, reason);
    bounce_mail(process, &process->mail);
    forget(process);
}

/* A recorded birth whose turn failed: it was never started. */
void yd__process_undo(struct yd__process *process)
{
    atomic_store_explicit(&process->pid, YD_NOBODY, memory_order_release);
    forget(process);
}

void yd__process_kill(struct yd__process *process)
{
    process->killed = true;
    if (process->status == YD__IDLE || process->status == YD__DOWN) yd__process_end(process, YD_EXIT_KILLED);
    /* else: when its turn comes, or when it comes back from one */
}

/* ---- crash and restart ---- */
static bool may_restart(struct yd__policy *policy, int64_t now_ns)
{
    if (!policy || !policy->restart) return false;
    if (!policy->fails || now_ns - policy->window_start_ns > policy->window_ns) {
        policy->fails = 0;
        policy->window_start_ns = now_ns;
        policy->backoff_ns = policy->backoff_min_ns;
    }
    return ++policy->fails <= policy->restart_max;
}

/* Takes the poison, which may be NULL (init failed). */
void yd__process_crashed(struct yd__process *process, struct yd_envelope *poison)
{
    struct yd__executor *home = process->home;
    struct yd__policy *policy = process->policy;
    yd_pid pid = atomic_load_explicit(&process->pid, memory_order_relaxed);
    int64_t now_ns = policy ? yd__now(&home->worker) : 0;
    bool again = !process->killed && may_restart(policy, now_ns);
    yd__bump(&process->fails, 1);
    finish(process);
    if (policy && policy->on_fail) policy->on_fail(process->arg, poison, again);
    if (poison) yd__bounce(&home->worker, poison, YD_EFAIL, 0);
    if (!again) {
        yd__process_end(process, YD_EXIT_FAILED);
        return;
    }
    yd__records_drop(home, process);
    tell_watchers(process, pid, YD_EXIT_RESTARTING);
    /* Timers, answers and news belong to the life that asked for them. */
    for (struct yd_envelope *envelope = process->mail.first; envelope; envelope = envelope->next) {
        struct yd__head *head = yd__head_of(envelope);
        if (envelope->delivery != YD_SYSTEM) continue;
        if (head->op != YD__FIRED && envelope->type != YD_ENV_DOWN && !(envelope->correlation >> 63)) continue;
        if (head->op == YD__SEND) yd__count_undeliverable(&home->worker, home->worker.system, envelope);
        head->op = YD__DEAD;
    }
    process->mail.fired = 0;
    process->status = YD__DOWN;
    struct yd__record *record = yd__record_of(&policy->block.envelope);
    record->owner = pid;
    yd__heap_add(home, record, now_ns + policy->backoff_ns);
    policy->backoff_ns = YD_MIN(policy->backoff_ns * 2, policy->backoff_max_ns);
}

void yd__process_restart(struct yd__process *process)
{
    yd__bump(&process->restarts, 1);
    process->status = YD__READY;
    yd__ready(process->home, process->share, process);
}
