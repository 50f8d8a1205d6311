/* The half that touches the world.
 *
 *   loop pump:  lives in the loop of the executor its element is pinned to; called from there only. One that is spread
 *               is several: the second in the loop of the next executor, and so on, each with a state of its own; they
 *               are started one after the other, paused together, and have stopped when all have
 *   files pump: lives on a lane of the file pool: start, run, command, stop come one after the other and may block
 *
 *   pump --PUMP_BATCH, PUMP_TELL--> wrapper; batches that are not dealt with yet are counted (`unforwarded`): over
 *   YD__PUMP_BYTES_MAX emit says "enough" and the wrapper pauses the pump until half of it has gone
 *
 * What the pump counts goes to the wrapper under a lock, one envelope for many counts; what it emits and tells is
 * counted by the wrapper when it comes. So a snapshot of the wrapper always adds up, over all pumps of an element:
 * what waits of them, and whether that is enough, is one number, the first one's. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/drd.h"
#include "base/hash.h"
#include "flow/runtime.h"

#define RUN_SLICE     (2 * YD_NS_PER_MS)
#define START_WAIT_MS 10000
#define STOP_WAIT_MS  5000

struct call { /* something for the pump's thread */
    struct yd_pump *pump;
    enum { CALL_START, CALL_STOP, CALL_PAUSE, CALL_RESUME, CALL_COMMAND } what;
    struct yd_command command;
    void (*release)(void *data);
    void (*started)(struct call *call, int error); /* NULL: by PUMP_STARTED */
    int error;
    atomic_bool done;
};

/* ---- in the pump's thread ---- */

static void schedule(struct yd_pump *pump);

static int start(struct yd_pump *pump)
{
    yd_trail_clear(&pump->trail);
    if (pump->class->state_size) memset(pump->state, 0, pump->class->state_size);
    pump->ended = false;
    pump->sleep_ns = 0;
    atomic_store_explicit(&pump->halted, false, memory_order_relaxed);
    atomic_store_explicit(&pump->is_up, true, memory_order_release); /* pairs with the acquire in yd__pump_stop_now */
    int error = pump->class->start(pump, pump->state, pump->element->state);
    if (error < 0) {
        atomic_store_explicit(&pump->is_up, false, memory_order_release);
        return error;
    }
    if (pump->class->files && pump->class->run) schedule(pump);
    return 0;
}

/* True: it slept, and no longer does: who takes it out of its sleep sees to what comes next. */
static bool rouse(struct yd_pump *pump)
{
    if (!atomic_exchange(&pump->napping, false)) return false;
    atomic_store_explicit(&pump->scheduled, false, memory_order_release);
    return true;
}

static void command(struct yd_pump *pump, struct call *call)
{
    bool files = pump->class->files;
    if (files) pump->sleep_ns = 0;
    if (atomic_load_explicit(&pump->is_up, memory_order_acquire) && pump->class->command)
        pump->class->command(pump->state, &call->command);
    if (files && pump->sleep_ns > 0) { /* it wants to be run: behind the commands that wait on the lane already */
        (void)rouse(pump);
        schedule(pump);
    }
    yd_batch_unref(call->command.batch);
    if (call->command.data && call->release) call->release(call->command.data);
}

static void make_call(void *arg)
{
    struct call *call = arg;
    struct yd_pump *pump = call->pump;
    switch (call->what) {
    case CALL_START:
        call->error = start(pump);
        if (call->started) {
            call->started(call, call->error);
            return; /* the caller's memory */
        }
        yd__tell(pump->element->run, pump->element->pid, YD__ENV_PUMP_STARTED, pump->incarnation,
                 (uint64_t)pump->index << 32 | (uint32_t)call->error);
        break;
    case CALL_STOP:
        atomic_store_explicit(&pump->halted, true, memory_order_relaxed);
        (void)rouse(pump); /* so that a start that follows can schedule */
        /* One that could not start has nothing to stop: its element may have crashed before it heard of that. */
        if (pump->class->stop && atomic_load_explicit(&pump->is_up, memory_order_acquire)) {
            pump->class->stop(pump->state);
        } else {
            yd_pump_stopped(pump);
        }
        break;
    case CALL_PAUSE:
    case CALL_RESUME:
        if (atomic_load_explicit(&pump->is_up, memory_order_acquire) && pump->class->pause)
            pump->class->pause(pump->state, call->what == CALL_PAUSE);
        break;
    case CALL_COMMAND:
        command(pump, call);
        break;
    }
    free(call);
}

/* Runs the call in the pump's thread: at once when this is it. */
static int submit(struct yd_pump *pump, struct call *call, bool here)
{
    if (pump->class->files) return yd_lane_submit(pump->lane, make_call, NULL, NULL, call);
    if (here) {
        make_call(call);
        return 0;
    }
    return yd_loop_post(pump->loop, make_call, call);
}

static int submit_new(struct yd_pump *pump, int what)
{
    struct call *call = calloc(1, sizeof *call);
    if (!call) return YD_ENOMEM;
    call->pump = pump;
    call->what = what;
    int error = submit(pump, call, pump->direct);
    if (error < 0) free(call);
    return error;
}

/* ---- files: run ---- */

static bool may_run(struct yd_pump *pump)
{
    return !atomic_load_explicit(&pump->halted, memory_order_relaxed) &&
           !atomic_load_explicit(&pump->paused, memory_order_acquire) && !pump->ended;
}

static bool is_starved(struct yd_pump *pump)
{
    if (atomic_load_explicit(&pump->unforwarded, memory_order_acquire) <= YD__PUMP_BYTES_MAX) return false;
    atomic_store(&pump->starved, true);
    /* The wrapper may have taken it all before it could see that: sequentially consistent on both sides, so one of us
     * sees the other. */
    if (atomic_load(&pump->unforwarded) > YD__PUMP_BYTES_MAX / 2) return true;
    return !atomic_exchange(&pump->starved, false);
}

static void wake(void *arg)
{
    struct yd_pump *pump = arg;
    if (rouse(pump)) schedule(pump); /* else a command or a stop came first */
}

static void set_timer(void *arg) /* in the loop */
{
    struct yd_pump *pump = arg;
    if (!atomic_load(&pump->napping)) return;
    if (!pump->timer && yd_timer_create(pump->loop, wake, pump, &pump->timer) < 0) {
        wake(pump); /* no memory for a pause: none, then */
        return;
    }
    int64_t now = yd_loop_mono(pump->loop), ns = atomic_load(&pump->nap_ns);
    yd_timer_start(pump->timer, ns < INT64_MAX - now ? now + ns : INT64_MAX);
}

/* Hands over to the timer, or to a command before it. */
static bool nap(struct yd_pump *pump)
{
    atomic_store(&pump->has_napped, true);
    atomic_store(&pump->nap_ns, pump->sleep_ns);
    atomic_store(&pump->napping, true);
    if (yd_loop_post(pump->loop, set_timer, pump) >= 0) return true;
    return !atomic_exchange(&pump->napping, false); /* a timer of before may have roused it: then it is scheduled */
}

static void run_slice(void *arg)
{
    struct yd_pump *pump = arg;
    int64_t until = yd__run_mono(pump->element->run) + RUN_SLICE;
    pump->sleep_ns = 0;
    bool starved = false;
    int calls = 0;
    while (may_run(pump) && pump->sleep_ns == 0 && !(starved = is_starved(pump)) && calls++ < 64) {
        pump->class->run(pump->state);
        if (yd__run_mono(pump->element->run) >= until) break;
    }
    if (pump->sleep_ns > 0 && may_run(pump) && nap(pump)) return;
    if (may_run(pump) && !starved && yd_lane_submit(pump->lane, run_slice, NULL, NULL, pump) >= 0) return;
    atomic_store(&pump->scheduled, false);
    /* Unpaused in between, or fed: yd__pump_fed has found it scheduled still. Sequentially consistent, as above. */
    if (may_run(pump) && !(starved && atomic_load(&pump->starved))) schedule(pump);
}

static void schedule(struct yd_pump *pump)
{
    if (!pump->class->run || atomic_exchange(&pump->scheduled, true)) return;
    if (yd_lane_submit(pump->lane, run_slice, NULL, NULL, pump) < 0) atomic_store(&pump->scheduled, false);
}

void yd__pump_fed(struct yd_element *e)
{
    struct yd_pump *pump = e->pump;
    if (!atomic_load(&pump->starved) || atomic_load(&pump->unforwarded) > YD__PUMP_BYTES_MAX / 2) return;
    if (atomic_exchange(&pump->starved, false)) schedule(pump);
}

/* ---- for the wrapper ---- */

static int create(struct yd_element *e, struct yd_pump **where, unsigned index, struct yd_trail *trail)
{
    struct yd_run *run = e->run;
    unsigned executors = YD_MAX(yd_system_executors(run->options.system), 1u);
    struct yd_pump *pump = calloc(1, sizeof *pump);
    if (!pump) return YD_ENOMEM;
    YD_DRD_IGNORE_TO(&pump->enough, &pump->unforwarded);
    YD_DRD_IGNORE(&pump->is_up);
    YD_DRD_IGNORE_TO(&pump->paused, &pump->nap_ns);
    *where = pump;
    pump->element = e;
    pump->first = e->pump;
    pump->index = index;
    pump->executor = ((unsigned)YD_MAX(e->executor, 0) + index) % executors;
    pump->class = e->class->pump;
    yd_lock_init(&pump->lock);
    pump->state = calloc(1, pump->class->state_size ? pump->class->state_size : 1);
    pump->counts.rejected = calloc(e->reason_count + 1, sizeof(uint64_t));
    pump->counts.dropped = calloc(e->reason_count + 1, sizeof(uint64_t));
    if (!pump->state || !pump->counts.rejected || !pump->counts.dropped) return YD_ENOMEM;
    pump->loop = yd_system_loop(run->options.system, pump->executor);
    pump->direct = !pump->class->files && !(e->class->flags & YD_CLASS_COMPUTE) && index == 0;
    if (!pump->class->files) return 0;
    int error = yd_lane_open(run->options.pool, &pump->lane);
    return error < 0 ? yd_trail_add(trail, error, "no lane for its files: %s", yd_error_text(error)) : 0;
}

int yd__pump_create(struct yd_element *e, struct yd_trail *trail)
{
    const struct yd_pump_class *class = e->class->pump;
    unsigned count = 1, executors = yd_system_executors(e->run->options.system);
    if (class->spread && !class->files) count = class->spread(&e->node->args);
    if (count == 0 || count > executors) count = YD_MAX(executors, 1u);
    int error = 0;
    struct yd_pump **where = &e->pump;
    for (unsigned i = 0; error >= 0 && i < count; i++, where = &(*where)->next) {
        error = create(e, where, i, trail);
        if (!*where) break;
    }
    if (error < 0 || class->files) return error;
    e->published.pumps = calloc(count, sizeof *e->published.pumps);
    return e->published.pumps ? 0 : YD_ENOMEM;
}

struct yd_pump *yd__pump_at(struct yd_element *e, uint64_t index)
{
    struct yd_pump *pump = e->pump;
    while (pump && pump->index != index) pump = pump->next;
    return pump;
}

bool yd__pump_ended(struct yd_element *e, uint64_t index)
{
    bool all = true;
    for (struct yd_pump *pump = e->pump; pump; pump = pump->next) {
        if (pump->index == index) pump->told_end = true;
        all &= pump->told_end;
    }
    return all;
}

bool yd__pump_runs(const struct yd_element *e)
{
    for (const struct yd_pump *pump = e->pump; pump; pump = pump->next)
        if (pump->running) return true;
    return false;
}

static void wait_a_little(void)
{
    struct timespec ms = {0, 1000000};
    nanosleep(&ms, NULL);
}

static void started_now(struct call *call, int error)
{
    (void)error;
    YD_DRD_BEFORE(&call->done);
    atomic_store_explicit(&call->done, true, memory_order_release); /* pairs with the acquire in yd__pump_start_now */
}

static int start_now(struct yd_pump *pump, struct yd_trail *trail)
{
    struct yd_element *e = pump->element;
    struct call *call = calloc(1, sizeof *call);
    if (!call) return YD_ENOMEM;
    call->pump = pump;
    call->what = CALL_START;
    call->started = started_now;
    YD_DRD_IGNORE(&call->done);
    int error = 0;
    if (e->run->options.simulated) {
        make_call(call);
    } else {
        error = submit(pump, call, false);
        for (int i = 0; error >= 0 && i < START_WAIT_MS && !atomic_load_explicit(&call->done, memory_order_acquire);
             i++)
            wait_a_little();
        if (error >= 0 && !atomic_load_explicit(&call->done, memory_order_acquire)) {
            /* Left to itself with its memory: it may still come. */
            return yd_trail_add(trail, YD_ETIMEOUT, "did not start within %d s", START_WAIT_MS / 1000);
        }
    }
    YD_DRD_AFTER(&call->done);
    if (error >= 0) error = call->error;
    free(call);
    if (error >= 0) return 0;
    return yd_trail_add(trail, error, "%s", pump->trail.size ? yd_trail_text(&pump->trail) : yd_error_text(error));
}

int yd__pump_start_now(struct yd_element *e, struct yd_trail *trail)
{
    int error = 0;
    for (struct yd_pump *pump = e->pump; pump && error >= 0; pump = pump->next) error = start_now(pump, trail);
    return error;
}

void yd__pump_start(struct yd_pump *pump)
{
    pump->incarnation = pump->element->incarnation;
    pump->running = true;
    pump->told_paused = pump->stop_told = pump->told_end = false;
    atomic_store_explicit(&pump->paused, false, memory_order_relaxed);
    if (submit_new(pump, CALL_START) < 0) yd__life_pump_started(pump->element, pump, YD_ENOMEM);
}

void yd__pump_stop(struct yd_element *e)
{
    for (struct yd_pump *pump = e->pump; pump; pump = pump->next) {
        if (!pump->running || pump->stop_told) continue;
        pump->stop_told = true;
        if (submit_new(pump, CALL_STOP) < 0) pump->stop_told = false; /* the drain's end will force it */
    }
}

static int stop_now(struct yd_pump *pump)
{
    struct yd_element *e = pump->element;
    if (!atomic_load_explicit(&pump->is_up, memory_order_acquire)) return 0;
    bool direct = pump->direct;
    pump->direct = e->run->options.simulated && !pump->class->files;
    if (!pump->stop_told) (void)submit_new(pump, CALL_STOP); /* without memory the wait ends by itself */
    pump->direct = direct;
    pump->stop_told = true;
    for (int i = 0; i < STOP_WAIT_MS && atomic_load_explicit(&pump->is_up, memory_order_acquire); i++) {
        if (e->run->options.simulated) {
            if (yd_system_step(e->run->options.system) <= 0 && yd_loop_run(pump->loop, YD_NS_PER_MS) <= 0 && i > 1000)
                break;
        } else {
            wait_a_little();
        }
    }
    if (atomic_load_explicit(&pump->is_up, memory_order_acquire)) return YD_ETIMEOUT;
    YD_DRD_AFTER(&pump->is_up);
    return 0;
}

int yd__pump_stop_now(struct yd_element *e)
{
    int error = 0;
    for (struct yd_pump *pump = e->pump; pump; pump = pump->next) error = YD_MIN(error, stop_now(pump));
    return error;
}

void yd__pump_pause(struct yd_pump *pump, bool paused)
{
    if (pump->class->files) {
        atomic_store_explicit(&pump->paused, paused, memory_order_release);
        if (!paused) schedule(pump);
    } else if (submit_new(pump, paused ? CALL_PAUSE : CALL_RESUME) < 0) {
        return; /* tried again with the next envelope */
    }
    pump->told_paused = paused;
}

void yd__pump_command(struct yd_element *e, struct yd__op *op)
{
    struct yd_pump *pump = e->pump;
    struct call *call = pump && pump->running ? calloc(1, sizeof *call) : NULL;
    if (call) {
        call->pump = pump;
        call->what = CALL_COMMAND;
        call->command = (struct yd_command){(unsigned)op->id, op->arg, op->batch, op->data};
        call->release = op->release;
        if (submit(pump, call, pump->direct) >= 0) return;
        free(call);
    }
    yd_batch_unref(op->batch);
    if (op->data && op->release) op->release(op->data);
}

static void take_counts(struct yd_element *e, struct yd_pump *pump)
{
    struct yd_input_stat *stat = &e->inputs[e->input_count - 1].stat;
    yd_lock_take(&pump->lock);
    stat->received += pump->counts.received;
    stat->consumed += pump->counts.received;
    stat->folded += pump->counts.folded;
    pump->counts.received = pump->counts.folded = 0;
    for (size_t r = 0; r <= e->reason_count; r++) {
        uint64_t rejected = pump->counts.rejected[r], dropped = pump->counts.dropped[r];
        pump->counts.rejected[r] = pump->counts.dropped[r] = 0;
        stat->received += rejected + dropped;
        stat->rejected += rejected;
        stat->dropped += dropped;
        if (r == e->reason_count) break; /* of no known reason */
        e->reasons[r].rejected += rejected;
        e->reasons[r].dropped += dropped;
    }
    for (uint32_t i = 0; i < pump->sample_count; i++) {
        const struct yd__sample *s =
            &pump->samples[(pump->sample_next + YD__SAMPLES - pump->sample_count + i) % YD__SAMPLES];
        yd__sample_keep(e, s->wall_ns, s->reason, (struct yd_str){s->text, s->text_size},
                        (struct yd_str){s->peer, s->peer_size});
    }
    pump->sample_count = 0;
    pump->counts_told = false;
    yd_lock_give(&pump->lock);
}

void yd__pump_take_counts(struct yd_element *e)
{
    for (struct yd_pump *pump = e->pump; pump; pump = pump->next) take_counts(e, pump);
}

/* Few slots: where eight are taken the one with the least is given up, so who sends much of what is wrong stays. */
static void count_peer(struct yd__peer peers[YD__PEERS], unsigned reason, uint64_t records, struct yd_str peer)
{
    peer.size = YD_MIN(peer.size, sizeof peers[0].name);
    uint64_t hash = yd_hash(peer.data, peer.size) + reason * 31u;
    struct yd__peer *least = NULL;
    for (unsigned i = 0; i < 8; i++) {
        struct yd__peer *at = &peers[(hash + i) % YD__PEERS];
        if (at->rejected && at->reason == reason && at->size == peer.size &&
            memcmp(at->name, peer.data, peer.size) == 0) {
            at->rejected += records;
            return;
        }
        if (!least || at->rejected < least->rejected) least = at;
    }
    *least = (struct yd__peer){.rejected = records, .reason = (uint16_t)reason, .size = (uint8_t)peer.size};
    memcpy(least->name, peer.data, peer.size);
}

void yd__pump_peers(struct yd_element *e, struct yd__peer to[YD__PEERS])
{
    memset(to, 0, YD__PEERS * sizeof *to);
    for (struct yd_pump *pump = e->pump; pump; pump = pump->next) {
        yd_lock_take(&pump->lock);
        if (!pump->index) memcpy(to, pump->peers, sizeof pump->peers);
        for (size_t i = 0; pump->index && i < YD__PEERS; i++) {
            const struct yd__peer *peer = &pump->peers[i];
            if (peer->rejected) count_peer(to, peer->reason, peer->rejected, (struct yd_str){peer->name, peer->size});
        }
        yd_lock_give(&pump->lock);
    }
}

void yd__pump_stats(struct yd_element *e, struct yd_pump_stat *to)
{
    for (struct yd_pump *pump = e->pump; pump; pump = pump->next) {
        yd_lock_take(&pump->lock);
        *to++ = (struct yd_pump_stat){pump->executor, pump->handed};
        yd_lock_give(&pump->lock);
    }
}

static void close_timer(void *arg) /* in the loop, behind every set_timer */
{
    struct yd_pump *pump = arg;
    yd_timer_close(pump->timer);
    pump->timer = NULL;
    /* Release pairs with the acquire in forget_timer: the loop has nothing more to do with the pump. */
    atomic_store_explicit(&pump->timer_gone, true, memory_order_release);
}

/* The timer is the loop's, which still runs: it closes it, and has then done all that was posted for the pump. */
static void forget_timer(struct yd_pump *pump)
{
    if (!atomic_load(&pump->has_napped) || yd_loop_post(pump->loop, close_timer, pump) < 0) return;
    while (!atomic_load_explicit(&pump->timer_gone, memory_order_acquire)) {
        if (pump->element->run->options.simulated)
            (void)yd_loop_run(pump->loop, YD_NS_PER_MS); /* how many callbacks does not matter */
        else
            wait_a_little();
    }
}

static void destroy(struct yd_pump *pump)
{
    forget_timer(pump); /* first: it could put something on the lane */
    if (pump->lane) yd_lane_close(pump->lane);
    yd_lock_fini(&pump->lock);
    free(pump->counts.rejected);
    free(pump->counts.dropped);
    free(pump->state);
    free(pump);
}

void yd__pump_destroy(struct yd_element *e)
{
    struct yd_pump *next;
    for (struct yd_pump *pump = e->pump; pump; pump = next) {
        next = pump->next;
        destroy(pump);
    }
    e->pump = NULL;
}

/* ---- for the pump ---- */

const struct yd_args *yd_pump_args(struct yd_pump *pump)
{
    return &pump->element->node->args;
}

struct yd_loop *yd_pump_loop(struct yd_pump *pump)
{
    return pump->loop;
}

struct yd_fs *yd_pump_fs(struct yd_pump *pump)
{
    return pump->element->run->options.fs;
}

struct yd_streams *yd_pump_streams(struct yd_pump *pump)
{
    return pump->element->run->streams;
}

const char *yd_pump_data(struct yd_pump *pump)
{
    return pump->element->run->data;
}

struct yd_pool *yd_pump_pool(struct yd_pump *pump)
{
    return pump->element->run->options.pool;
}

uint64_t yd_pump_random(struct yd_pump *pump)
{
    return yd__run_random(pump->element->run);
}

int64_t yd_pump_wall_anywhere(struct yd_pump *pump)
{
    return yd__run_wall(pump->element->run);
}

bool yd_pump_simulated(struct yd_pump *pump)
{
    return pump->element->run->options.simulated;
}

unsigned yd_pump_index(struct yd_pump *pump)
{
    return pump->index;
}

unsigned yd_pump_count(struct yd_pump *pump)
{
    unsigned count = 0;
    for (const struct yd_pump *each = pump->first; each; each = each->next) count++;
    return count;
}

const char *yd_pump_element(struct yd_pump *pump)
{
    return pump->element->node->name;
}

int64_t yd_pump_mono(struct yd_pump *pump)
{
    return pump->class->files ? yd__run_mono(pump->element->run) : yd_loop_mono(pump->loop);
}

int64_t yd_pump_wall(struct yd_pump *pump)
{
    return pump->class->files ? yd__run_wall(pump->element->run) : yd_loop_wall(pump->loop);
}

int yd_pump_fail(struct yd_pump *pump, int error, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return yd_trail_add(&pump->trail, error, "%s", text);
}

static void count_handed(struct yd_pump *pump, uint64_t records)
{
    yd_lock_take(&pump->lock);
    pump->handed += records;
    yd_lock_give(&pump->lock);
}

bool yd_pump_emit(struct yd_pump *pump, unsigned port, struct yd_batch *batch)
{
    struct yd_element *e = pump->element;
    if (!batch || port >= e->port_count || e->class->ports[port].direction != YD_OUT ||
        e->class->ports[port].mode != YD_PUSH) {
        yd_batch_unref(batch);
        return false;
    }
    struct yd_envelope *envelope = yd__env(e->run, e->pid, YD__ENV_PUMP_BATCH, port);
    if (!envelope) {
        yd_pump_count_dropped(pump, UINT32_MAX, batch->header.count);
        yd_batch_unref(batch);
        return true;
    }
    long long cost = (long long)yd_batch_cost(batch);
    envelope->arg[1] = pump->incarnation;
    envelope->born_ns = yd_pump_mono(pump); /* a loop's: when this round of it began, so when the bytes were there */
    envelope->batch = batch;
    envelope->cost = (uint32_t)cost;
    struct yd_pump *first = pump->first;
    bool enough =
        atomic_fetch_add_explicit(&first->unforwarded, cost, memory_order_acq_rel) + cost > YD__PUMP_BYTES_MAX;
    if (enough) atomic_store(&first->enough, true); /* before the envelope: whoever gets that sees this */
    count_handed(pump, batch->header.count);
    (void)yd_send(e->run->options.system, envelope); /* gone: the run is over */
    return enough;
}

int yd_pump_tell(struct yd_pump *pump, unsigned type, struct yd_batch *batch, void *data, void (*release)(void *))
{
    struct yd_element *e = pump->element;
    struct yd_envelope *envelope = yd__env(e->run, e->pid, YD__ENV_PUMP_TELL, type);
    if (!envelope) {
        yd_batch_unref(batch);
        if (data && release) release(data);
        return YD_ENOMEM;
    }
    envelope->arg[1] = pump->incarnation;
    envelope->batch = batch;
    envelope->cost = batch ? (uint32_t)yd_batch_cost(batch) : 0;
    envelope->data = data;
    envelope->data_release = release;
    if (batch && !(type & YD_TELL_URGENT))
        atomic_fetch_add_explicit(&pump->first->unforwarded, (long long)envelope->cost, memory_order_acq_rel);
    if (batch) count_handed(pump, batch->header.count);
    return yd_send(e->run->options.system, envelope);
}

void yd_pump_sleep(struct yd_pump *pump, int64_t ns)
{
    pump->sleep_ns = ns > 0 ? ns : 1;
}

void yd_pump_end(struct yd_pump *pump)
{
    if (pump->ended) return;
    pump->ended = true;
    yd__tell(pump->element->run, pump->element->pid, YD__ENV_PUMP_ENDED, pump->incarnation, pump->index);
}

void yd_pump_stopped(struct yd_pump *pump)
{
    yd__tell(pump->element->run, pump->element->pid, YD__ENV_PUMP_STOPPED, pump->incarnation, pump->index);
    YD_DRD_BEFORE(&pump->is_up);
    /* Release pairs with the acquire of who waits for it: nothing of the pump runs after this. */
    atomic_store_explicit(&pump->is_up, false, memory_order_release);
}

void yd_pump_listens(struct yd_pump *pump, const char *what, const char *address)
{
    struct yd_run *run = pump->element->run;
    if (!run->options.listens) return;
    yd_lock_take(&run->say_lock);
    run->options.listens(run->options.callback_arg, pump->element->node->name, what, address);
    yd_lock_give(&run->say_lock);
}

void yd_pump_say(struct yd_pump *pump, int level, const char *format, ...)
{
    char text[512];
    va_list args;
    int64_t now = yd_pump_mono(pump);
    if (now - pump->say_window >= YD_NS_PER_S) {
        if (pump->unsaid)
            yd__say(pump->element->run, pump->element->node->name, 1, "%u more lines were not shown", pump->unsaid);
        pump->say_window = now;
        pump->said = pump->unsaid = 0;
    }
    if (pump->said++ >= YD__LINES_PER_S) { /* peers say what a pump says: they must not fill a disk with it */
        pump->unsaid++;
        return;
    }
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    yd__say(pump->element->run, pump->element->node->name, level, "%s", text);
}

/* Called with the lock held; lets go of it. */
static void tell_counts(struct yd_pump *pump)
{
    bool tell = !pump->counts_told;
    pump->counts_told = true;
    yd_lock_give(&pump->lock);
    if (tell) yd__tell(pump->element->run, pump->element->pid, YD__ENV_PUMP_COUNTS, 0, 0);
}

void yd_pump_count_received(struct yd_pump *pump, uint64_t records)
{
    yd_lock_take(&pump->lock);
    pump->counts.received += records;
    tell_counts(pump);
}

void yd_pump_count_folded(struct yd_pump *pump, uint64_t records)
{
    yd_lock_take(&pump->lock);
    pump->counts.received += records;
    pump->counts.folded += records;
    tell_counts(pump);
}

void yd_pump_count_rejected(struct yd_pump *pump, unsigned reason, uint64_t records, struct yd_str sample,
                            struct yd_str peer)
{
    int64_t wall = yd_pump_wall(pump);
    size_t at = YD_MIN(reason, pump->element->reason_count);
    yd_lock_take(&pump->lock);
    pump->counts.rejected[at] += records;
    if (peer.size && records) count_peer(pump->peers, (unsigned)at, records, yd_address_host(peer));
    if (sample.size) {
        struct yd__sample *s = &pump->samples[pump->sample_next];
        pump->sample_next = (pump->sample_next + 1) % YD__SAMPLES;
        if (pump->sample_count < YD__SAMPLES) pump->sample_count++;
        s->wall_ns = wall;
        s->reason = (uint16_t)at;
        s->text_size = (uint8_t)YD_MIN(sample.size, sizeof s->text);
        s->peer_size = (uint8_t)YD_MIN(peer.size, sizeof s->peer);
        memcpy(s->text, sample.data, s->text_size);
        if (s->peer_size) memcpy(s->peer, peer.data, s->peer_size);
    }
    tell_counts(pump);
}

void yd_pump_count_dropped(struct yd_pump *pump, unsigned reason, uint64_t records)
{
    yd_lock_take(&pump->lock);
    pump->counts.dropped[YD_MIN(reason, pump->element->reason_count)] += records;
    tell_counts(pump);
}
