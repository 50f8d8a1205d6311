/* turn.c: one turn of one process.
 *
 *   home: take the whole mailbox as a bag -- for each envelope until the budget is spent: receive, flush -- what is
 * left goes back in front -- idle, or ready again, or ended lent: the bag travels with the process; its outcome comes
 * back through the home's inbox and is dealt with there
 *
 * The bag is what was queued at entry: envelopes that a process sends itself wait for its next turn. */
#include "actor/internal.h"

#define STRIDE   16    /* receives between two looks at the clock */
#define HEAVY_NS 10000 /* a receive of this length is looked at each time */
#define QUICK_NS 500   /* one this short is measured now and then */

static void put_in_front(struct yd__mail *mail, struct yd__mail *bag)
{
    if (!bag->first) return;
    bag->last->next = mail->first;
    if (!mail->last) mail->last = bag->last;
    mail->first = bag->first;
    mail->fired += bag->fired;
    *bag = (struct yd__mail){0};
}

static void report_overrun(struct yd__worker *worker, struct yd__process *process, int64_t ns)
{
    struct yd_system_options *options = &worker->system->options;
    char name[512];
    if (!options->on_overrun) return;
    yd_pid_put(worker->system, atomic_load_explicit(&process->pid, memory_order_relaxed), name, sizeof name);
    options->on_overrun(options->callback_arg, name, ns, false);
}

/* The clock of a turn: two looks give its length; more, as it goes on, keep it within its budget. A look costs a
 * quarter of a small turn, so of short turns of quick processes only some are measured, at random, and the others are
 * taken to cost as much as this process' usually do. */
struct clock {
    uint64_t begin, last; /* ticks */
    uint32_t until;       /* receives before the next look */
    bool measured;
};

static void begin_clock(struct clock *clock, struct yd__worker *worker, const struct yd__process *process, bool home)
{
    uint32_t count = YD__LOAD_COUNT(atomic_load_explicit(&process->queued, memory_order_relaxed));
    clock->until = process->heavy ? 1 : STRIDE;
    clock->measured = !home || process->heavy || process->nanos > QUICK_NS || count >= STRIDE || !worker->unmeasured;
    if (!clock->measured) {
        worker->unmeasured--;
        worker->stale = true;
        return;
    }
    if (worker->stale) {
        worker->stamp = yd__ticks();
        worker->stale = false;
    }
    clock->begin = clock->last = worker->stamp;
}

/* false: the turn has lasted long enough. */
static bool look(struct clock *clock, struct yd__worker *worker, struct yd__process *process)
{
    struct yd_system *system = worker->system;
    if (!clock->measured || system->simulated) return true;
    uint64_t now = yd__ticks();
    if (YD_UNLIKELY(now - clock->last > system->overrun_ticks))
        report_overrun(worker, process, yd__ticks_ns(now - clock->last, system->ticks_scale));
    clock->last = now;
    clock->until = process->heavy ? 1 : STRIDE;
    return now - clock->begin < system->turn_ticks;
}

static uint32_t chance(struct yd__worker *worker)
{
    worker->dice = worker->dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(worker->dice >> 60);
}

static int64_t end_clock(struct clock *clock, struct yd__worker *worker, struct yd__process *process, uint32_t received)
{
    struct yd_system *system = worker->system;
    yd__bump(&process->turns, 1);
    yd__bump(&process->received, received);
    if (system->simulated) return 0;
    int64_t ns = (int64_t)process->nanos * received;
    if (clock->measured) {
        (void)look(clock, worker, process);
        worker->stamp = clock->last;
        worker->unmeasured = 4 + chance(worker);
        ns = yd__ticks_ns(clock->last - clock->begin, system->ticks_scale);
        uint32_t each = (uint32_t)YD_MIN(ns, INT32_MAX / 8);
        if (received > 1) each /= received; /* a division costs as much as a small turn's bookkeeping */
        process->nanos = process->nanos ? (process->nanos * 7 + each + 4) / 8 : each;
        process->heavy = each > HEAVY_NS || process->nanos > HEAVY_NS;
    }
    atomic_store_explicit(&process->busy_ns, atomic_load_explicit(&process->busy_ns, memory_order_relaxed) + ns,
                          memory_order_relaxed);
    return ns;
}

/* Before each receive, for the watchdog: an odd value that differs from the last one. */
static void enter(struct yd__worker *worker)
{
    uint64_t value = (atomic_load_explicit(&worker->receiving, memory_order_relaxed) | 1) + 2;
    /* release: pairs with the acquire in watchdog.c, which then reads `running` */
    atomic_store_explicit(&worker->receiving, value, memory_order_release);
}

static void leave(struct yd__worker *worker)
{
    uint64_t value = atomic_load_explicit(&worker->receiving, memory_order_relaxed) & ~UINT64_C(1);
    atomic_store_explicit(&worker->receiving, value, memory_order_release);
}

static enum yd__verdict initialise(struct yd__process *process, struct yd_outbox *out)
{
    const struct yd_process_class *class = process->class;
    if (class->state_size) memset(process->state, 0, class->state_size);
    process->initialised = true;
    if (!class->init) return YD__GO_ON;
    enter(out->worker);
    int error = class->init(process->state, process->arg, out);
    if (error >= 0 && !out->failed) {
        yd__outbox_flush(out);
        return YD__GO_ON;
    }
    yd__outbox_discard(out);
    process->initialised = error >= 0; /* an init that refuses leaves nothing behind: no fini */
    return YD__CRASHED;
}

static bool expired(struct yd_outbox *out, const struct yd_envelope *envelope)
{
    if (!envelope->deadline_ns || envelope->delivery != YD_REQUEST) return false;
    if (yd__head_of((struct yd_envelope *)(uintptr_t)envelope)->op == YD__BEGUN) return false;
    return yd_out_mono(out) > envelope->deadline_ns;
}

/* The one that is to be received again. */
static void put_back(struct yd__process *process, struct yd__mail *bag, struct yd_envelope *envelope, bool home)
{
    envelope->next = bag->first;
    if (!bag->first) bag->last = envelope;
    bag->first = envelope;
    if (yd__head_of(envelope)->op == YD__SEND) yd__head_of(envelope)->op = YD__BEGUN;
    bag->fired += yd__head_of(envelope)->op == YD__FIRED;
    if (home) yd__mailbox_more_load(process, yd__load_of(envelope));
}

/* Runs the process on its bag. What is left of it stays there; a poison is taken out. */
static enum yd__verdict run(struct yd__worker *worker, struct yd__process *process, struct yd__mail *bag, bool home,
                            struct yd_envelope **ret_poison, int64_t *ret_ns, uint32_t *ret_received)
{
    struct yd_system *system = worker->system;
    struct yd_outbox *out = &worker->outbox;
    *out = (struct yd_outbox){.worker = worker, .process = process, .bag = bag};
    struct clock clock = {0};
    begin_clock(&clock, worker, process, home);
    atomic_store_explicit(&worker->running, process, memory_order_relaxed); /* published by `receiving` */
    enum yd__verdict verdict = YD__GO_ON;
    enum yd_turn (*receive)(void *, struct yd_envelope *, struct yd_outbox *) = process->class->receive;
    uint32_t received = 0, messages = system->options.turn_messages;
    uint64_t bytes = 0;

    if (YD_UNLIKELY(!process->initialised)) verdict = initialise(process, out);
    while (verdict == YD__GO_ON && bag->first) {
        struct yd_envelope *envelope = bag->first;
        enum yd__op op = yd__head_of(envelope)->op;
        if (envelope->next) __builtin_prefetch(envelope->next);
        if (YD_UNLIKELY(op == YD__DEAD || expired(out, envelope))) {
            if (op != YD__DEAD) yd__bump(&worker->expired, 1);
            bag->first = envelope->next;
            if (home) yd__mailbox_less_load(process, yd__load_of(envelope));
            yd__release(worker, envelope);
            continue;
        }
        uint32_t cost = envelope->cost;
        bag->first = envelope->next;
        bag->fired -= op == YD__FIRED;
        if (home) yd__mailbox_less_load(process, yd__load_of(envelope));
        bytes += cost;
        enter(worker);
        enum yd_turn turn = receive(process->state, envelope, out);
        received++;
        if (YD_UNLIKELY(out->failed)) turn = YD_TURN_FAIL;
        if (YD_UNLIKELY(turn == YD_TURN_FAIL)) {
            yd__outbox_discard(out);
            *ret_poison = envelope;
            verdict = YD__CRASHED;
        } else {
            if (out->first) yd__outbox_flush(out);
            if (YD_UNLIKELY(turn == YD_TURN_MORE)) {
                envelope->cost = cost;
                put_back(process, bag, envelope, home);
                break;
            }
            if (YD_UNLIKELY(turn == YD_TURN_STOP)) verdict = YD__ENDED;
            yd__release(worker, envelope);
        }
        if (received >= messages || bytes >= system->options.turn_bytes) break;
        if (YD_UNLIKELY(--clock.until == 0) && bag->first && !look(&clock, worker, process) && !system->simulated)
            break;
    }
    if (!bag->first) bag->last = NULL;
    leave(worker);
    *ret_ns = end_clock(&clock, worker, process, received);
    *ret_received = received;
    return verdict;
}

static void settle(struct yd__process *process, enum yd__verdict verdict, struct yd_envelope *poison)
{
    if (verdict == YD__CRASHED) {
        yd__process_crashed(process, poison);
    } else if (verdict == YD__ENDED) {
        yd__process_end(process, YD_EXIT_STOPPED);
    } else if (process->killed) {
        yd__process_end(process, YD_EXIT_KILLED);
    } else if (process->mail.first) {
        process->status = YD__READY;
        yd__ready(process->home, process->share, process);
    } else {
        process->status = YD__IDLE;
    }
}

/* What a turn costs its group: its time, and something per envelope, so that a simulation shares too. */
static int64_t charge(int64_t ns, uint32_t received)
{
    return ns + 100 + 50 * (int64_t)received;
}

int64_t yd__turn_home(struct yd__executor *home, struct yd__process *process)
{
    if (YD_UNLIKELY(process->killed)) {
        yd__process_end(process, YD_EXIT_KILLED);
        return 0;
    }
    struct yd__mail bag = process->mail;
    struct yd_envelope *poison = NULL;
    int64_t ns;
    uint32_t received;
    process->mail = (struct yd__mail){0};
    process->status = YD__RUNNING;
    enum yd__verdict verdict = run(&home->worker, process, &bag, true, &poison, &ns, &received);
    put_in_front(&process->mail, &bag);
    settle(process, verdict, poison);
    return charge(ns, received);
}

/* ---- lending ---- */

/* Fills the bag with about one turn's worth; it no longer counts as queued. Home. */
void yd__turn_detach(struct yd__process *process)
{
    struct yd_system *system = process->home->worker.system;
    uint64_t load = 0, bytes = 0;
    struct yd_envelope *envelope = process->mail.first, *last = NULL;
    uint32_t fired = 0;
    for (uint32_t count = 0; envelope && count < system->options.turn_messages && bytes <= system->options.turn_bytes;
         count++) {
        load += yd__load_of(envelope);
        bytes += envelope->cost;
        fired += yd__head_of(envelope)->op == YD__FIRED;
        last = envelope;
        envelope = envelope->next;
    }
    process->bag = (struct yd__mail){last ? process->mail.first : NULL, last, fired};
    if (last) last->next = NULL;
    process->mail.first = envelope;
    if (!envelope) process->mail.last = NULL;
    process->mail.fired -= fired;
    yd__mailbox_less_load(process, load);
    process->status = YD__LENT;
}

int64_t yd__turn_lent(struct yd__worker *worker, struct yd__process *process)
{
    int64_t ns;
    uint32_t received;
    struct yd__mail bag = process->bag;
    process->poison = NULL;
    process->verdict = (uint8_t)run(worker, process, &bag, false, &process->poison, &ns, &received);
    process->bag = bag;
    process->stub.head.op = YD__RETURN;
    /* Its records first: whom it asked may answer at once, and the answer must not be home before what expects it. Then
     * what it sent to others: once home it may send more, which must not overtake. */
    struct yd__executor *home = process->home;
    yd__outbound_push(worker, home);
    yd__outbound_flush(worker, home);
    yd__route(worker, home, yd__stub_envelope(&process->stub));
    yd__outbound_push(worker, home);
    return charge(ns, received);
}

void yd__turn_returned(struct yd__executor *home, struct yd__process *process)
{
    (void)home;
    uint64_t load = 0;
    for (struct yd_envelope *envelope = process->bag.first; envelope; envelope = envelope->next)
        load += yd__load_of(envelope);
    if (load) yd__mailbox_more_load(process, load);
    put_in_front(&process->mail, &process->bag);
    settle(process, (enum yd__verdict)process->verdict, process->poison);
}
