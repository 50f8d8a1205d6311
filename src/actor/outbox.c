/* outbox.c: what receive may do. Everything is recorded, in order, and done by the flush after receive has returned.
 *
 * At home the flush applies records directly. A process that is lent sends them to its home ahead of its requests, so
 * a reply never overtakes the record that expects it. Whatever can fail fails while recording. */
#include "actor/internal.h"

static void add(struct yd_outbox *out, struct yd_envelope *envelope)
{
    envelope->next = NULL;
    if (out->last)
        out->last->next = envelope;
    else
        out->first = envelope;
    out->last = envelope;
}

static struct yd_envelope *get(struct yd_outbox *out, size_t size, enum yd__op op)
{
    return yd__block_get(out->worker, out->worker->system, size, op);
}

/* ---- recording ---- */
yd_pid yd_self(const struct yd_outbox *out)
{
    return atomic_load_explicit(&out->process->pid, memory_order_relaxed);
}

struct yd_system *yd_out_system(const struct yd_outbox *out)
{
    return out->worker->system;
}

int64_t yd__now(struct yd__worker *worker)
{
    struct yd_system *system = worker->system;
    if (!system->simulated) return yd_clock_mono();
    return yd_loop_mono(worker->executor ? worker->executor->loop : system->executor[0].loop);
}

/* Asked for once per turn. The outbox is const for its users; what it remembers is not. */
int64_t yd_out_mono(const struct yd_outbox *out)
{
    struct yd_outbox *mine = (struct yd_outbox *)(uintptr_t)out;
    if (!mine->mono_ns) mine->mono_ns = yd__now(mine->worker);
    return mine->mono_ns;
}

int64_t yd_out_wall(const struct yd_outbox *out)
{
    struct yd_outbox *mine = (struct yd_outbox *)(uintptr_t)out;
    struct yd__worker *worker = mine->worker;
    if (!mine->wall_ns) {
        struct yd__executor *executor = worker->executor ? worker->executor : worker->system->executor;
        mine->wall_ns = worker->system->simulated ? yd_loop_wall(executor->loop) : yd_clock_wall();
    }
    return mine->wall_ns;
}

uint64_t yd_out_random(struct yd_outbox *out)
{
    uint64_t z = (out->process->rng += UINT64_C(0x9e3779b97f4a7c15)); /* splitmix64, a stream per process */
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

struct yd_envelope *yd_out_new_sized(struct yd_outbox *out, yd_pid to, uint32_t type, enum yd_delivery delivery,
                                     size_t size)
{
    struct yd_envelope *envelope = get(out, size, YD__SEND);
    if (YD_UNLIKELY(!envelope)) return NULL;
    envelope->to = to;
    envelope->from = atomic_load_explicit(&out->process->pid, memory_order_relaxed);
    envelope->type = type;
    envelope->delivery = (uint16_t)delivery;
    if (size) envelope->data = envelope + 1;
    add(out, envelope);
    return envelope;
}

struct yd_envelope *yd_out_new(struct yd_outbox *out, yd_pid to, uint32_t type, enum yd_delivery delivery)
{
    return yd_out_new_sized(out, to, type, delivery, 0);
}

struct yd_envelope *yd_out_request(struct yd_outbox *out, yd_pid to, uint32_t type, int64_t timeout_ns)
{
    struct yd_envelope *open = get(out, 0, YD__REQUEST);
    if (!open) return NULL;
    struct yd__record *record = yd__record_of(open);
    record->owner = yd_self(out);
    record->key = (UINT64_C(1) << 63) | (++out->process->correlation & ~(UINT64_C(1) << 63));
    record->deadline_ns = yd_out_mono(out) + (timeout_ns > 0 ? timeout_ns : out->worker->system->options.request_ns);
    struct yd_envelope *last = out->last;
    add(out, open); /* ahead of the request */
    struct yd_envelope *envelope = yd_out_new(out, to, type, YD_REQUEST);
    if (!envelope) {
        if (last)
            last->next = NULL;
        else
            out->first = NULL;
        out->last = last;
        yd__block_put(out->worker, open);
        return NULL;
    }
    envelope->correlation = record->key;
    envelope->deadline_ns = record->deadline_ns;
    return envelope;
}

struct yd_envelope *yd_out_reply(struct yd_outbox *out, const struct yd_envelope *request, uint32_t type)
{
    struct yd_envelope *envelope = yd_out_new(out, request->from, type, YD_SYSTEM);
    if (!envelope) return NULL;
    envelope->correlation = request->correlation;
    envelope->port = request->port;
    return envelope;
}

static struct yd__record *record(struct yd_outbox *out, enum yd__op op, uint64_t key)
{
    struct yd_envelope *envelope = get(out, 0, op);
    if (!envelope) {
        out->failed = true;
        return NULL;
    }
    struct yd__record *made = yd__record_of(envelope);
    made->owner = yd_self(out);
    made->key = key;
    add(out, envelope);
    return made;
}

void yd_out_timer(struct yd_outbox *out, uint64_t id, int64_t mono_ns)
{
    struct yd__record *timer = record(out, YD__TIMER, id);
    if (timer) timer->deadline_ns = mono_ns;
}

void yd_out_timer_cancel(struct yd_outbox *out, uint64_t id)
{
    (void)record(out, YD__CANCEL, id);
}

void yd_out_monitor(struct yd_outbox *out, yd_pid pid)
{
    struct yd_envelope *watch = get(out, 0, YD__WATCH);
    struct yd__record *monitor = watch ? record(out, YD__MONITOR, pid) : NULL;
    if (!monitor) {
        if (watch) yd__block_put(out->worker, watch);
        out->failed = true;
        return;
    }
    watch->to = pid;
    watch->from = monitor->owner;
    watch->type = YD_ENV_MONITOR;
    watch->delivery = YD_SYSTEM;
    monitor->child = yd__record_of(watch); /* goes out when the record is at home, so that the DOWN finds it */
}

void yd_out_defer(struct yd_outbox *out, void (*fn)(void *arg), void *arg)
{
    struct yd_envelope *envelope = get(out, 0, YD__DEFER);
    if (!envelope) {
        out->failed = true;
        return;
    }
    envelope->to = yd_self(out);
    envelope->data_release = fn;
    envelope->data = arg;
    add(out, envelope);
}

int yd_out_spawn(struct yd_outbox *out, const struct yd_process_class *class, const struct yd_process_options *options,
                 yd_pid *ret_pid)
{
    struct yd_system *system = out->worker->system;
    struct yd__executor *home = out->process->home;
    if (options && options->executor >= (int)system->executors) return YD_EINVAL;
    if (options && options->executor >= 0) home = &system->executor[options->executor];
    struct yd_envelope *envelope = get(out, 0, YD__SPAWN);
    if (!envelope) return YD_ENOMEM;
    struct yd__process *process;
    int error = yd__process_new(system, home, class, options, &process);
    if (error < 0) {
        yd__block_put(out->worker, envelope);
        return error;
    }
    envelope->data = process;
    if (ret_pid) *ret_pid = atomic_load_explicit(&process->pid, memory_order_relaxed);
    add(out, envelope);
    return 0;
}

/* ---- after receive ---- */
static void apply_timer(struct yd__executor *home, struct yd__process *process, struct yd_envelope *envelope)
{
    struct yd__record *timer = yd__record_of(envelope);
    struct yd__record *old = yd__record_find(home, timer->owner, YD__TIMER, timer->key);
    if (old) {
        yd__record_remove(home, old);
        yd__block_put(&home->worker, yd__envelope_of(old));
    } else {
        yd__mail_recall(&process->mail, timer->key);
    }
    if (yd__head_of(envelope)->op == YD__CANCEL) {
        yd__block_put(&home->worker, envelope);
        return;
    }
    yd__record_add(home, process, timer);
    yd__heap_add(home, timer, timer->deadline_ns);
}

static void apply_monitor(struct yd__executor *home, struct yd__process *process, struct yd_envelope *envelope)
{
    struct yd__record *monitor = yd__record_of(envelope);
    struct yd_envelope *watch = yd__envelope_of(monitor->child);
    monitor->child = NULL;
    if (yd__record_find(home, monitor->owner, YD__MONITOR, monitor->key)) { /* monitored already */
        yd__block_put(&home->worker, watch);
        yd__block_put(&home->worker, envelope);
        return;
    }
    yd__record_add(home, process, monitor);
    yd__process_watch(&home->worker, watch);
}

void yd__apply(struct yd__executor *home, struct yd_envelope *envelope)
{
    /* A lent process cannot end before it is back, and its records come ahead of it: the owner is alive. */
    struct yd__process *process = yd__slot_of(home->worker.system, envelope->to);
    struct yd__record *made = yd__record_of(envelope);
    switch ((enum yd__op)yd__head_of(envelope)->op) {
    case YD__TIMER:
    case YD__CANCEL:
        apply_timer(home, process, envelope);
        break;
    case YD__REQUEST:
        yd__record_add(home, process, made);
        yd__heap_add(home, made, made->deadline_ns);
        break;
    case YD__MONITOR:
        apply_monitor(home, process, envelope);
        break;
    default: { /* YD__DEFER */
        void (*fn)(void *arg) = envelope->data_release;
        void *arg = envelope->data;
        yd__block_put(&home->worker, envelope);
        fn(arg);
    }
    }
}

void yd__outbox_flush(struct yd_outbox *out)
{
    struct yd__worker *worker = out->worker;
    struct yd_system *system = worker->system;
    struct yd__executor *home = out->process->home;
    struct yd_envelope *envelope = out->first;
    out->first = out->last = NULL;
    while (envelope) {
        struct yd_envelope *next = envelope->next;
        enum yd__op op = yd__head_of(envelope)->op;
        if (YD_LIKELY(op == YD__SEND)) {
            (void)yd__deliver(worker, system, envelope); /* a refusal has been told to the sender or counted */
        } else if (op == YD__SPAWN) {
            struct yd__process *process = envelope->data;
            yd__block_put(worker, envelope);
            yd__process_start(worker, process);
        } else {
            if (op == YD__TIMER || op == YD__CANCEL) yd__mail_recall(out->bag, yd__record_of(envelope)->key);
            if (worker->executor == home)
                yd__apply(home, envelope);
            else
                yd__route(worker, home, envelope);
        }
        envelope = next;
    }
}

/* Drops one that never left, or that is left over when the system is destroyed. */
void yd__drop(struct yd__worker *worker, struct yd_envelope *envelope)
{
    switch ((enum yd__op)yd__head_of(envelope)->op) {
    case YD__START:
    case YD__LEND:
    case YD__RETURN:
        return; /* part of a process */
    case YD__SPAWN:
        yd__process_undo(envelope->data);
        yd__block_put(worker, envelope);
        return;
    case YD__MONITOR:
        if (yd__record_of(envelope)->child) yd__block_put(worker, yd__envelope_of(yd__record_of(envelope)->child));
        yd__block_put(worker, envelope);
        return;
    case YD__SEND:
    case YD__FIRED:
    case YD__BEGUN:
    case YD__DEAD:
        yd__release(worker, envelope);
        return;
    default:
        yd__block_put(worker, envelope);
    }
}

void yd__outbox_discard(struct yd_outbox *out)
{
    struct yd_envelope *envelope = out->first;
    out->first = out->last = NULL;
    while (envelope) {
        struct yd_envelope *next = envelope->next;
        yd__drop(out->worker, envelope);
        envelope = next;
    }
}
