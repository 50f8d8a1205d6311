/* An element's life.
 *
 *   open --> START --> up --FAIL--> crashed: pump stopped, readers of its stream let go, back-off --> close, open, load
 *                      |               | after N in M: park the batch at hand and go on, or stop, or end the run
 *                      |               v
 *                      |            stopped: what comes is dropped, counted, answered; END goes out at once
 *                      v
 *   all inputs ended: drain until DONE --> holds and questions settled --> pump stopped --> state saved --> END out
 *
 * An element that has ended keeps its state and answers queries until the run is destroyed.
 * What fails here is said to the operator with the element's name; the exit code tells it at the end. */
#include <stdio.h>
#include <stdlib.h>

#include "flow/runtime.h"

#define BACKOFF_MIN (100 * YD_NS_PER_MS)
#define BACKOFF_MAX (10 * YD_NS_PER_S)
#define EXIT_DRAIN  (10 * YD_NS_PER_S)

/* ---- open and close: on the caller's thread at the start, later on the element's lane ---- */

static int open_stream(struct yd_element *e)
{
    struct yd_log *logs[YD_PARTITIONS_MAX];
    unsigned count = 0;
    while (count < YD_PARTITIONS_MAX && (logs[count] = e->class->stream(e->state, count))) count++;
    return yd__stream_up(&e->stream, e->run, logs, count);
}

int yd__element_open(struct yd_element *e, struct yd_trail *trail)
{
    e->why[0] = 0;
    if (e->class->state_size) memset(e->state, 0, e->class->state_size);
    int error = e->class->open ? e->class->open(e, e->state) : 0;
    if (error < 0) return yd_trail_add(trail, error, "%s", e->why[0] ? e->why : yd_error_text(error));
    e->opened = true;
    if (e->class->flags & YD_CLASS_STATEFUL) error = yd__state_load(e);
    if (error >= 0 && e->class->stream) error = open_stream(e);
    if (error >= 0) return 0;
    yd__element_close(e);
    return yd_trail_add(trail, error, "%s", e->why[0] ? e->why : yd_error_text(error));
}

void yd__element_close(struct yd_element *e)
{
    if (!e->opened) return;
    e->opened = false;
    if (e->class->close) e->class->close(e->state);
    yd__stream_fini(&e->stream); /* after close: until then the log may still call */
}

int yd_element_fail(struct yd_element *e, int error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(e->why, sizeof e->why, format, args);
    va_end(args);
    return error;
}

/* ---- beginning ---- */

static void begin(struct yd_element *e)
{
    e->begun = true;
    e->look = true;
    if (e->class->flags & YD_CLASS_STATEFUL) yd__state_loaded(e);
    struct yd__item item = {.type = YD__ITEM_START};
    yd__element_control(e, &item);
}

void yd__life_started(struct yd_element *e)
{
    e->started_at = yd_out_mono(e->box);
    if (e->stream.subs) yd__stream_took(&e->stream.subs[0]);
    for (struct yd_pump *pump = e->pump; pump; pump = pump->next) pump->running = true;
    begin(e);
    for (size_t p = 0; p < e->port_count; p++) {
        if (e->class->ports[p].direction != YD_OUT) continue;
        for (uint32_t i = 0; i < e->ports[p].wire_count; i++) {
            struct yd__flow_wire *wire = &e->run->wires[e->ports[p].wires[i]];
            if (!wire->out.spill) continue; /* what an earlier run has left in it goes first */
            yd__stream_took(&wire->out.spill->sub);
            yd__wire_drain_queue(e->run, wire, e->box);
        }
    }
}

/* ---- ending ---- */

static void tell_streams(struct yd_element *e, enum yd__envelope type)
{
    struct yd_run *run = e->run;
    for (uint32_t i = 0; i < run->cursor_count; i++) {
        if (run->cursors[i].from != e) continue;
        struct yd_envelope *envelope = yd_out_new(e->box, run->cursors[i].pid, type, YD_SYSTEM);
        if (!envelope) continue;
        envelope->arg[0] = e->opened && e->stream.up;
        if (type == YD__ENV_STREAM_DOWN) e->streams_to_go_down++;
    }
}

/* Nobody appends through e any longer. */
static void end_appending(struct yd_element *e)
{
    for (uint32_t i = 0; i < e->run->element_count; i++)
        if (e->run->elements[i].class->stream)
            (void)yd_out_new(e->box, e->run->elements[i].pid, YD__ENV_APPEND_END, YD_SYSTEM);
}

static void finish(struct yd_element *e)
{
    e->phase = YD__PHASE_ENDED;
    if (e->life == YD_LIFE_UP) e->life = YD_LIFE_ENDED;
    for (size_t p = 0; p < e->port_count; p++) {
        if (e->class->ports[p].direction != YD_OUT) continue;
        for (uint32_t i = 0; i < e->ports[p].wire_count; i++) {
            struct yd__flow_wire *wire = &e->run->wires[e->ports[p].wires[i]];
            if (e->class->ports[p].mode == YD_QUERY) {
                struct yd_envelope *envelope = yd_out_new(e->box, wire->to_pid, YD__ENV_ASK_END, YD_SYSTEM);
                if (envelope) envelope->arg[0] = wire->index;
            } else if (!wire->def->is_cursor) {
                if (e->forced) yd__wire_cut(e->run, wire, e->box);
                yd__wire_end(e->run, wire, e->box);
            }
        }
    }
    if (e->class->flags & YD_CLASS_APPENDS) end_appending(e);
    if (e->class->stream) tell_streams(e, YD__ENV_STREAM_END);
    yd__run_one_ended(e->run);
}

static bool inputs_ended(const struct yd_element *e)
{
    if (e->append_open) return false;
    if (e->push_wires || e->is_source) return e->push_open == 0 && !e->source_open;
    return e->ask_open == 0;
}

void yd__life_step(struct yd_element *e)
{
    if (e->phase == YD__PHASE_ENDED) return;
    if (e->life == YD_LIFE_STOPPED || e->forced) {
        finish(e);
        return;
    }
    if (e->life != YD_LIFE_UP || !e->begun) return;
    switch (e->phase) {
    case YD__PHASE_RUN:
        if (inputs_ended(e) || e->no_more_input) e->phase = YD__PHASE_DRAIN; /* goes on as work */
        break;
    case YD__PHASE_SETTLE:
        if (e->hold_count || e->questions.count || e->control.count || e->again.count) break;
        e->phase = YD__PHASE_PUMP;
        if (yd__pump_runs(e)) yd__pump_stop(e);
        __attribute__((fallthrough));
    case YD__PHASE_PUMP:
        if (yd__pump_runs(e) || e->fifo.count || e->control.count || e->again.count || e->hold_count) break;
        e->phase = YD__PHASE_SAVE;
        __attribute__((fallthrough));
    case YD__PHASE_SAVE:
        if (yd__state_final(e)) finish(e);
        break;
    default:
        break;
    }
}

void yd__life_stopped(struct yd_element *e)
{
    e->no_more_input = true;
    e->source_open = false;
    e->look = true;
    while (e->fifo.count) {
        struct yd__item item = *yd__ring_front(&e->fifo);
        yd__ring_pop(&e->fifo);
        yd__item_drop(e, &item, YD_EUNDELIVERABLE, true);
    }
}

void yd__life_drain(struct yd_element *e)
{
    if (e->drain_asked || !e->is_source) return;
    e->drain_asked = true;
    if (yd__pump_runs(e)) {
        yd__pump_stop(e); /* PUMP_STOPPED ends the source, behind what it has emitted */
    } else {
        e->source_open = false;
        e->look = true;
    }
}

static void forget_all(struct yd__ring *ring)
{
    while (ring->count) {
        struct yd__item item = *yd__ring_front(ring);
        yd__ring_pop(ring);
        yd__item_forget(&item);
    }
}

static uint64_t drop_waiting(struct yd_element *e, int error)
{
    uint64_t records = 0;
    while (e->fifo.count) {
        struct yd__item item = *yd__ring_front(&e->fifo);
        yd__ring_pop(&e->fifo);
        if (item.batch) records += item.batch->header.count - item.accounted;
        yd__item_drop(e, &item, error, true);
    }
    forget_all(&e->control);
    forget_all(&e->again);
    return records;
}

void yd__life_force(struct yd_element *e)
{
    if (e->phase == YD__PHASE_ENDED) return;
    e->forced = true;
    if (yd__pump_runs(e)) yd__pump_stop(e);
    uint64_t records = drop_waiting(e, YD_ECANCELED);
    for (size_t p = 0; p < e->port_count; p++) {
        if (e->class->ports[p].direction != YD_OUT || e->class->ports[p].mode != YD_PUSH) continue;
        for (uint32_t i = 0; i < e->ports[p].wire_count; i++) {
            struct yd__flow_wire *wire = &e->run->wires[e->ports[p].wires[i]];
            if (!wire->def->is_cursor) records += wire->out.queue_records;
        }
    }
    uint32_t held = e->hold_count;
    yd__holds_cancel(e, NULL);
    yd__query_refuse_all(e, YD_ECANCELED, "the run is ending");
    yd__run_bad(e->run);
    yd__element_say(e, 1,
                    "did not finish in time and was ended: %llu records that waited were dropped, %u batches were not "
                    "acknowledged",
                    (unsigned long long)records, held);
    e->look = true;
}

/* ---- crashes ---- */

static void forget_state(struct yd_element *e)
{
    for (uint32_t i = 0; i < e->timers.capacity; i++)
        if (e->timers.slots[i].key) yd_out_timer_cancel(e->box, e->timers.slots[i].key - 1);
    yd__dict_clear(&e->timers);
    yd__query_refuse_all(e, YD_EFAIL, "the element has crashed");
    forget_all(&e->control);
    forget_all(&e->again);
    /* Words of the pump to a state that is gone. */
    for (uint32_t i = e->fifo.count; i > 0; i--) {
        struct yd__item item = *yd__ring_front(&e->fifo);
        yd__ring_pop(&e->fifo);
        if (item.type == YD__ITEM_TELL) {
            yd__item_drop(e, &item, YD_ECANCELED, true);
        } else {
            item.again = false;
            (void)yd__ring_push(&e->fifo, &item); /* its place has just become free */
        }
    }
    if (e->class->flags & YD_CLASS_REBUILDS)
        for (uint32_t i = 0; i < e->run->cursor_count; i++)
            if (e->run->cursors[i].wire->def->to == e->index)
                (void)yd_out_new(e->box, e->run->cursors[i].pid, YD__ENV_REBUILD, YD_SYSTEM);
}

static void stop_for_good(struct yd_element *e)
{
    e->life = YD_LIFE_STOPPED;
    e->waits_for = 0;
    yd__run_bad(e->run);
    (void)drop_waiting(e, YD_EUNDELIVERABLE);
    e->look = true;
}

static void open_again(void *arg)
{
    struct yd_element *e = arg;
    yd__element_close(e);
    int error = yd__element_open(e, NULL);
    yd__tell(e->run, e->pid, YD__ENV_REOPENED, (uint64_t)(int64_t)error, 0);
}

static void waited(struct yd_element *e, enum yd__wait wait)
{
    if (!(e->waits_for & wait)) return;
    e->waits_for &= ~(unsigned)wait;
    if (e->waits_for || e->life != YD_LIFE_CRASHED || e->forced) return;
    e->waits_for = YD__WAIT_OPEN;
    if (yd_lane_submit(e->lane, open_again, NULL, NULL, e) < 0) {
        yd__element_say(e, 2, "cannot be opened again: out of memory");
        stop_for_good(e);
    }
}

static void go_down(struct yd_element *e, int64_t backoff)
{
    e->life = YD_LIFE_CRASHED;
    if (e->phase != YD__PHASE_ENDED) e->phase = YD__PHASE_RUN;
    e->waits_for |= YD__WAIT_TIMER;
    yd_out_timer(e->box, YD__TIMER_RESTART, yd_out_mono(e->box) + backoff);
    if (yd__pump_runs(e)) {
        e->waits_for |= YD__WAIT_PUMP;
        yd__pump_stop(e);
    }
    if (e->class->stream) {
        tell_streams(e, YD__ENV_STREAM_DOWN);
        if (e->streams_to_go_down) e->waits_for |= YD__WAIT_STREAMS;
    }
}

static uint32_t crashes_within(struct yd_element *e, uint32_t max, int64_t window)
{
    int64_t now = yd_out_mono(e->box);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < e->crash_times_count; i++)
        if (now - e->crash_times[i] <= window) e->crash_times[kept++] = e->crash_times[i];
    if (kept > max) { /* cannot be more: the list has room for max + 1 */
        memmove(e->crash_times, e->crash_times + 1, (kept - 1) * sizeof *e->crash_times);
        kept--;
    }
    e->crash_times[kept++] = now;
    e->crash_times_count = kept;
    return kept;
}

static int64_t backoff_of(uint32_t crashes)
{
    uint32_t doublings = YD_MIN(crashes - 1, 10);
    return YD_MIN(BACKOFF_MIN << doublings, BACKOFF_MAX);
}

/* Too many: true if it goes on (the poison was taken out). */
static bool give_up(struct yd_element *e, struct yd__item *poison, bool can_park)
{
    switch (e->node->options.on_crash) {
    case YD_CRASH_PARK:
        if (can_park) {
            e->crash_times_count = 0;
            e->waits_for |= YD__WAIT_PARK;
            yd__park(e, poison);
            return true;
        }
        yd__element_say(e, 2, "keeps crashing without a batch at hand that could be parked: stopped");
        break;
    case YD_CRASH_STOP:
        yd__element_say(e, 2, "keeps crashing: stopped. What is sent to it is dropped");
        break;
    case YD_CRASH_EXIT:
        yd__element_say(e, 2, "keeps crashing: the run ends, as on_crash says");
        yd_run_drain(e->run, EXIT_DRAIN);
        break;
    }
    return false;
}

static bool is_data(const struct yd__item *item)
{
    return item->type == YD__ITEM_BATCH || item->type == YD__ITEM_PUMP_BATCH ||
           (item->type == YD__ITEM_TELL && item->batch && !item->urgent);
}

static void crashed(struct yd_element *e, struct yd__item *poison, const char *why)
{
    uint32_t max = e->node->options.restart_max ? e->node->options.restart_max : 5;
    int64_t window = e->node->options.restart_window_ns ? e->node->options.restart_window_ns : 60 * YD_NS_PER_S;
    uint32_t crashes = crashes_within(e, max, window);
    bool too_many = crashes > max, park = poison && poison->type == YD__ITEM_BATCH;
    e->crashes++;
    yd__holds_cancel(e, poison);
    forget_state(e);
    yd__state_lost(e);
    go_down(e, too_many ? BACKOFF_MIN : backoff_of(crashes));
    yd__element_say(e, 2, "crashed%s%s (%u of %u)%s", *why ? ": " : "", why, crashes, max,
                    too_many ? "" : ", restarting");
    if (too_many) {
        if (give_up(e, poison, park)) return;
        if (poison && is_data(poison))
            yd__item_drop(e, poison, YD_EUNDELIVERABLE, true);
        else if (poison)
            yd__item_forget(poison);
        stop_for_good(e);
        return;
    }
    if (!poison) return;
    poison->again = false;
    if (poison->type == YD__ITEM_BATCH && poison->origin.id && (e->class->flags & YD_CLASS_STATEFUL)) {
        yd__item_drop(e, poison, YD_ECANCELED, false); /* comes again, behind what else was lost */
    } else if (poison->type == YD__ITEM_BATCH) {
        if (!yd__ring_push_front(&e->fifo, poison)) yd__item_drop(e, poison, YD_ECANCELED, true);
    } else if (is_data(poison)) {
        yd__item_drop(e, poison, YD_ECANCELED, true);
    } else {
        yd__item_forget(poison);
    }
}

void yd__life_crashed(struct yd_element *e, struct yd__item *poison)
{
    crashed(e, poison, "");
}

void yd__life_roll_back(struct yd_element *e)
{
    if (e->life != YD_LIFE_UP) return;
    yd__element_say(e, 0, "goes back to its last saved state: a result of it was lost behind it");
    yd__holds_cancel(e, NULL);
    forget_state(e);
    yd__state_lost(e);
    go_down(e, 0);
}

void yd__life_reopened(struct yd_element *e, int error)
{
    e->waits_for = 0;
    if (e->forced || e->life != YD_LIFE_CRASHED) return;
    if (error < 0) {
        crashed(e, NULL, e->why[0] ? e->why : yd_error_text(error));
        return;
    }
    e->incarnation++;
    e->life = e->phase == YD__PHASE_ENDED ? YD_LIFE_ENDED : YD_LIFE_UP;
    if (e->class->stream) tell_streams(e, YD__ENV_STREAM_UP);
    if (e->life == YD_LIFE_UP && e->pump && !(e->is_source && !e->source_open)) yd__pump_start(e->pump);
    if (e->life != YD_LIFE_CRASHED) begin(e); /* not if the pump could not even be asked to start */
}

void yd__life_restart_timer(struct yd_element *e)
{
    waited(e, YD__WAIT_TIMER);
}

void yd__life_stream_is_down(struct yd_element *e)
{
    if (e->streams_to_go_down && --e->streams_to_go_down == 0) waited(e, YD__WAIT_STREAMS);
}

void yd__life_pump_started(struct yd_element *e, struct yd_pump *pump, int error)
{
    if (e->life != YD_LIFE_UP || !pump) return;
    if (error >= 0) {
        if (pump->next && !pump->stop_told) yd__pump_start(pump->next);
        return;
    }
    pump->running = false;
    crashed(e, NULL, pump->trail.size ? yd_trail_text(&pump->trail) : yd_error_text(error));
}

void yd__life_pump_stopped(struct yd_element *e, struct yd_pump *pump)
{
    if (!pump) return;
    pump->running = false;
    yd__pump_take_counts(e);
    e->look = true;
    if (yd__pump_runs(e)) return; /* another one of its */
    if (e->life == YD_LIFE_CRASHED) {
        if (e->drain_asked) e->source_open = false;
        waited(e, YD__WAIT_PUMP);
    } else if (e->is_source && e->source_open) {
        struct yd__item item = {.type = YD__ITEM_PUMP_END};
        if (!yd__ring_push(&e->fifo, &item)) e->source_open = false;
    }
}

void yd__life_parked(struct yd_element *e, int error)
{
    struct yd__item item = e->park_item;
    e->park_item = (struct yd__item){0};
    uint32_t records = item.batch ? item.batch->header.count : 0;
    if (error < 0) {
        yd__element_say(e, 2, "%u records that crash it could not be parked and are dropped: %s", records,
                        yd_error_text(error));
    } else {
        e->parked += records;
        yd__element_say(e, 2, "%u records that crash it were parked in %s/parked/%s", records, e->run->data,
                        e->node->name);
    }
    yd__run_bad(e->run);
    if (e->class->flags & YD_CLASS_STATEFUL) yd__state_parked(e, &item);
    yd__item_drop(e, &item, YD_EFAIL, true);
    waited(e, YD__WAIT_PARK);
}
