/* The process around an element: what comes in is served in order; what must wait waits here.
 *
 *   mailbox --> BATCH, END, pump's data --> fifo ----(up, not blocked)----> receive
 *          \--> REPLY, TIMER, ACK, MOVED, pump's words --> receive; those that said MORE: again, as the fifo
 *          \--> QUERY --> receive; those that said MORE take turns
 *
 * The process never fails: FAIL of the class is dealt with in life.c, so what waits here outlives a crash of the
 * element. One envelope serves at most one input of each kind; what is left is served by ENV_WORK to self, which comes
 * round again after others had a turn. Credit is returned when an input is consumed, so what waits here is bounded by
 * the windows of the wires. */
#include <stdlib.h>

#include "base/drd.h"
#include "flow/runtime.h"

/* ---- calling the class ---- */

static void stamp(struct yd_element *e, struct yd_input *input)
{
    input->mono_ns = e->out.mono_ns = yd_out_mono(e->box);
    input->wall_ns = e->out.wall_ns = yd_out_wall(e->box);
}

static enum yd_turn_result flush(struct yd_element *e, enum yd_turn_result result)
{
    e->called = true;
    if (YD_UNLIKELY(e->out.failed)) result = YD_FAIL;
    if (YD_UNLIKELY(result == YD_FAIL)) {
        yd__out_discard(&e->out);
    } else {
        yd__out_flush(&e->out, result != YD_MORE);
    }
    return result;
}

enum yd_turn_result yd__element_call(struct yd_element *e, struct yd_input *input, struct yd__item *item,
                                     uint64_t query)
{
    yd__out_begin(&e->out, item, query);
    stamp(e, input);
    return flush(e, e->class->receive ? e->class->receive(e->state, input, &e->out) : YD_DONE);
}

static enum yd_turn_result call_drain(struct yd_element *e)
{
    struct yd_input input = {0};
    yd__out_begin(&e->out, NULL, 0);
    stamp(e, &input);
    return flush(e, e->class->drain(e->state, &e->out));
}

/* ---- what an item costs, and its end ---- */

void yd__element_consumed(struct yd_element *e, uint32_t wire, uint64_t bytes, uint64_t records)
{
    if (wire != UINT32_MAX) yd__wire_consumed(&e->run->wires[wire], e->box, bytes, records);
}

static bool is_counted(const struct yd__item *item)
{
    return item->batch && !item->urgent &&
           (item->type == YD__ITEM_BATCH || item->type == YD__ITEM_TELL || item->type == YD__ITEM_PUMP_BATCH);
}

static struct yd_input_stat *input_of(struct yd_element *e, const struct yd__item *item)
{
    uint16_t input = item->type == YD__ITEM_BATCH ? e->ports[item->port].input : (uint16_t)(e->input_count - 1);
    return &e->inputs[input].stat;
}

void yd__element_took(struct yd_element *e, struct yd_input_stat *stat, int64_t born_ns, uint64_t records)
{
    if (born_ns && records && !(e->class->flags & YD_CLASS_LATE))
        yd_histogram_add(&stat->latency, yd_out_mono(e->box) - born_ns, records);
}

static void settle_cost(struct yd_element *e, struct yd__item *item)
{
    if (item->type == YD__ITEM_BATCH && !item->hold)
        yd__element_consumed(e, item->wire, yd_batch_cost(item->batch), item->batch->header.count);
    if (item->type == YD__ITEM_PUMP_BATCH || (item->type == YD__ITEM_TELL && !item->urgent))
        /* Sequentially consistent: before the look at `starved` (yd__pump_fed), as is_starved has it the other way. */
        atomic_fetch_sub(&e->pump->unforwarded, (long long)yd_batch_cost(item->batch));
}

static void let_go(struct yd__item *item, int error)
{
    yd__ticket_answer(item->ticket, error, 0);
    yd_batch_unref(item->batch);
    if (item->data && item->release) item->release(item->data);
    item->ticket = NULL;
    item->batch = NULL;
    item->data = NULL;
}

void yd__item_forget(struct yd__item *item)
{
    let_go(item, YD_ECANCELED);
}

void yd__item_done(struct yd_element *e, struct yd__item *item)
{
    if (is_counted(item) && !item->hold) {
        struct yd_input_stat *stat = input_of(e, item);
        uint64_t left = item->batch->header.count - item->accounted;
        stat->queued -= left;
        stat->consumed += left;
        if (item->type == YD__ITEM_BATCH) yd__element_took(e, stat, item->origin.born_ns, left);
    }
    if (item->batch) settle_cost(e, item);
    if ((e->class->flags & YD_CLASS_STATEFUL) && item->type == YD__ITEM_BATCH && item->ticket) {
        yd__state_took(e, item, item->ticket);
        item->ticket = NULL;
    } else if ((e->class->flags & YD_CLASS_STATEFUL) && item->type <= YD__ITEM_TELL) {
        yd__state_took(e, item, NULL);
    }
    let_go(item, 0);
}

void yd__item_drop(struct yd_element *e, struct yd__item *item, int error, bool count)
{
    /* What a cursor sends to an element that takes nothing any more is not lost: it stays in the Log, and the cursor
     * where it is. */
    if (error == YD_EUNDELIVERABLE && item->type == YD__ITEM_BATCH && item->wire != UINT32_MAX &&
        e->run->wires[item->wire].def->is_cursor) {
        error = YD_ECLOSED;
        count = false;
    }
    if (is_counted(item) && !item->hold) {
        struct yd_input_stat *stat = input_of(e, item);
        uint64_t left = item->batch->header.count - item->accounted;
        stat->queued -= left;
        if (count) {
            stat->dropped += left;
        } else {
            stat->received -= left;
            stat->skipped += left;
        }
    }
    if (item->batch) settle_cost(e, item);
    if (item->type == YD__ITEM_END) {
        e->push_open--;
        e->look = true;
    }
    if (item->type == YD__ITEM_PUMP_END) {
        e->source_open = false;
        e->look = true;
    }
    let_go(item, error);
}

/* ---- serving ---- */

/* A Log's class appends what it gets as it is: the header must say whose range it is, or that it is nobody's. */
static void stamp_producer(struct yd__item *item)
{
    const struct yd_header *now = &item->batch->header;
    if (now->producer_id == item->origin.id &&
        (item->origin.id == 0 || (now->producer_seq == item->origin.last && now->producer_epoch == item->origin.epoch)))
        return;
    struct yd_header header = *now;
    header.producer_id = item->origin.id;
    header.producer_seq = item->origin.id ? item->origin.last : 0;
    header.producer_epoch = item->origin.id ? item->origin.epoch : 0;
    struct yd_batch *stamped;
    if (yd_batch_restamp(item->batch, &header, &stamped) < 0) return; /* out of memory: it may be written twice */
    yd_batch_unref(item->batch);
    item->batch = stamped;
}

static enum yd_turn_result receive_batch(struct yd_element *e, struct yd__item *item)
{
    if (!item->again) {
        int64_t sent = item->origin.sent_ns;
        if (sent) yd_histogram_add(&input_of(e, item)->waited, yd_out_mono(e->box) - sent, item->batch->header.count);
        if (e->class->stream) stamp_producer(item);
        for (size_t i = 0; i < e->port_count; i++) e->ports[i].split = 0;
        if (YD_UNLIKELY(e->run->options.tap != NULL))
            e->run->options.tap(e->run->options.callback_arg, e->index, item->port, false, item->batch);
    }
    struct yd_input input = {.type = YD_INPUT_BATCH, .port = item->port, .batch = item->batch, .again = item->again};
    input.level = item->ticket ? item->ticket->asked : 0;
    input.born_ns = item->origin.born_ns;
    input.from = item->wire == UINT32_MAX ? 0 : e->run->wires[item->wire].hash;
    return yd__element_call(e, &input, item, 0);
}

static enum yd_turn_result receive_other(struct yd_element *e, struct yd__item *item)
{
    static const enum yd_input_type types[] = {
        [YD__ITEM_TELL] = YD_INPUT_PUMP,   [YD__ITEM_REPLY] = YD_INPUT_REPLY,     [YD__ITEM_REFUSAL] = YD_INPUT_ERROR,
        [YD__ITEM_TIMER] = YD_INPUT_TIMER, [YD__ITEM_ACK] = YD_INPUT_ACK,         [YD__ITEM_MOVED] = YD_INPUT_MOVED,
        [YD__ITEM_START] = YD_INPUT_START, [YD__ITEM_BLOCKED] = YD_INPUT_BLOCKED, [YD__ITEM_SETTLE] = YD_INPUT_SETTLE,
    };
    struct yd_input input = {.type = types[item->type],
                             .port = item->port,
                             .batch = item->batch,
                             .cookie = item->cookie,
                             .error = item->error,
                             .level = item->level,
                             .more = item->more,
                             .again = item->again,
                             .data = item->data};
    enum yd_turn_result result = yd__element_call(e, &input, item, 0);
    if (result != YD_FAIL && item->type == YD__ITEM_TELL) item->data = input.data; /* NULL when taken */
    return result;
}

static enum yd_turn_result feed(struct yd_element *e, struct yd__item *item)
{
    struct yd_str *text = item->data;
    struct yd_input input = {0};
    if (!e->class->feed) return YD_DONE;
    yd__out_begin(&e->out, NULL, 0);
    stamp(e, &input);
    int error = e->class->feed(e->state, *text, &e->out, e->out.wall_ns);
    return flush(e, error < 0 ? YD_FAIL : YD_DONE);
}

static bool is_word(const struct yd__item *item) /* of the pump, and control */
{
    return item->type == YD__ITEM_TELL && (!item->batch || item->urgent);
}

static enum yd_turn_result serve(struct yd_element *e, struct yd__item *item)
{
    switch ((enum yd__item_type)item->type) {
    case YD__ITEM_BATCH:
        if (YD_UNLIKELY(e->class->flags & YD_CLASS_STATEFUL) && !item->again && yd__state_skips(e, item))
            return YD_DONE;
        return receive_batch(e, item);
    case YD__ITEM_PUMP_BATCH: {
        struct yd__origin born = {.born_ns = item->origin.born_ns};
        yd__emit_now(e, item->port, yd_batch_ref(item->batch), NULL, &born);
        return YD_DONE;
    }
    case YD__ITEM_END:
        e->push_open--;
        e->look = true;
        return YD_DONE;
    case YD__ITEM_PUMP_END:
        e->source_open = false;
        e->look = true;
        return YD_DONE;
    case YD__ITEM_FEED:
        return feed(e, item);
    default:
        return receive_other(e, item);
    }
}

static bool put_again(struct yd_element *e, struct yd__item *item)
{
    item->again = true;
    if (item->type <= YD__ITEM_FEED && !is_word(item)) return yd__ring_push_front(&e->fifo, item);
    /* Answers stay in their order; the others take turns. */
    if (item->type == YD__ITEM_REPLY) return yd__ring_push_front(&e->again, item);
    return yd__ring_push(&e->again, item);
}

/* Serves an item that is in no queue. What is not done with goes into one. */
static void serve_item(struct yd_element *e, struct yd__item *item)
{
    switch (serve(e, item)) {
    case YD_DONE:
        yd__item_done(e, item);
        break;
    case YD_MORE:
        if (!put_again(e, item)) yd__item_drop(e, item, YD_ECANCELED, true);
        break;
    case YD_STOP:
        yd__item_done(e, item);
        yd__life_stopped(e);
        break;
    case YD_FAIL:
        yd__life_crashed(e, item);
        break;
    }
}

static void serve_front(struct yd_element *e, struct yd__ring *queue)
{
    struct yd__item item = *yd__ring_front(queue);
    yd__ring_pop(queue);
    serve_item(e, &item);
}

static void arrived(struct yd_element *e, struct yd__item *item)
{
    if (is_counted(item)) {
        struct yd_input_stat *stat = input_of(e, item);
        uint32_t count = item->batch->header.count;
        stat->received += count;
        stat->queued += count;
        stat->batches++;
        stat->bytes += yd_batch_cost(item->batch);
    }
    if (YD_UNLIKELY(e->class->flags & YD_CLASS_STATEFUL) && item->type == YD__ITEM_BATCH && yd__state_refuses(e, item))
        return;
    if (YD_UNLIKELY(e->life == YD_LIFE_STOPPED || e->forced || e->no_more_input)) {
        yd__item_drop(e, item, e->forced ? YD_ECANCELED : YD_EUNDELIVERABLE, true);
        return;
    }
    if (YD_LIKELY(e->fifo.count == 0 && yd__element_serves(e))) {
        serve_item(e, item);
        return;
    }
    if (!yd__ring_push(&e->fifo, item)) {
        yd__item_drop(e, item, YD_ECANCELED, true);
        return;
    }
    if (yd__element_serves(e)) serve_front(e, &e->fifo);
}

void yd__element_control(struct yd_element *e, struct yd__item *item)
{
    if (e->life == YD_LIFE_STOPPED || e->life == YD_LIFE_CRASHED) {
        let_go(item, YD_ECANCELED);
        return;
    }
    bool is_answer = item->type == YD__ITEM_REPLY || item->type == YD__ITEM_REFUSAL;
    struct yd__ring *behind = e->control.count || !yd__element_up(e) ? &e->control
                              : is_answer && e->again.count          ? &e->again
                                                                     : NULL;
    if (!behind) {
        serve_item(e, item);
    } else if (!yd__ring_push(behind, item)) {
        let_go(item, YD_ECANCELED);
    }
}

/* ---- blocked ---- */

void yd__element_blocked(struct yd_element *e)
{
    uint32_t blocked_by = 0;
    for (size_t p = 0; p < e->port_count; p++) {
        if (e->class->ports[p].direction != YD_OUT || e->class->ports[p].mode != YD_PUSH) continue;
        if (e->class->ports[p].flags & YD_PORT_CURSOR) continue;
        for (uint32_t i = 0; i < e->ports[p].wire_count; i++)
            blocked_by += e->run->wires[e->ports[p].wires[i]].out.blocking;
    }
    bool was = e->blocked_by != 0;
    e->blocked_by = blocked_by;
    if (!was && blocked_by) e->blocked_since = yd_out_mono(e->box);
    if (was && !blocked_by) e->waiting_output_ns += yd_out_mono(e->box) - e->blocked_since;
}

static void tell_blocked(struct yd_element *e)
{
    bool blocked = e->blocked_by != 0;
    if (blocked == e->told_blocked) return;
    e->told_blocked = blocked;
    if ((e->class->flags & YD_CLASS_WATCHES) && yd__element_up(e)) { /* before all that waits */
        struct yd__item item = {.type = YD__ITEM_BLOCKED, .error = blocked};
        serve_item(e, &item);
    }
}

static bool must_pause(const struct yd_element *e, bool is_paused)
{
    long long waiting = atomic_load_explicit(&e->pump->unforwarded, memory_order_acquire);
    return e->blocked_by || e->life != YD_LIFE_UP || e->fifo.count > 4096 ||
           waiting > (is_paused ? YD__PUMP_BYTES_MAX / 2 : YD__PUMP_BYTES_MAX);
}

static void pace_pump(struct yd_element *e)
{
    struct yd_pump *first = e->pump;
    if (YD_UNLIKELY(!yd__pump_runs(e))) return;
    /* A pump that was told "enough" has stopped by itself and waits for pause and its end, even if all is gone by now.
     */
    bool enough = atomic_load_explicit(&first->enough, memory_order_relaxed) && atomic_exchange(&first->enough, false);
    bool is_paused = false;
    for (struct yd_pump *pump = first; pump; pump = pump->next) is_paused |= pump->running && pump->told_paused;
    if (enough || must_pause(e, is_paused)) {
        for (struct yd_pump *pump = first; pump; pump = pump->next)
            if (pump->running && !pump->told_paused) yd__pump_pause(pump, true);
        is_paused = true;
    }
    if (is_paused && !must_pause(e, true)) {
        for (struct yd_pump *pump = first; pump; pump = pump->next)
            if (pump->running && pump->told_paused) yd__pump_pause(pump, false);
    }
    if (first->class->files) yd__pump_fed(e);
}

/* ---- envelopes ---- */

static void batch_came(struct yd_element *e, struct yd_envelope *envelope)
{
    struct yd__flow_wire *wire = &e->run->wires[(uint32_t)envelope->arg[0]];
    struct yd__item item = {.type = YD__ITEM_BATCH,
                            .port = (uint16_t)wire->def->to_port,
                            .wire = wire->index,
                            .batch = envelope->batch,
                            .ticket = envelope->data,
                            .origin = {envelope->arg[1], envelope->arg[2], (uint32_t)(envelope->arg[3] >> 32),
                                       (uint32_t)envelope->arg[3], (uint32_t)(envelope->arg[0] >> 32),
                                       envelope->born_ns, envelope->sent_ns}};
    envelope->batch = NULL;
    envelope->data = NULL;
    yd__wire_arrived(wire, item.batch);
    arrived(e, &item);
}

static void told(struct yd_element *e, struct yd_envelope *envelope)
{
    uint64_t type = envelope->arg[0];
    struct yd__item item = {.type = YD__ITEM_TELL,
                            .urgent = (type & YD_TELL_URGENT) != 0,
                            .cookie = type & ~(uint64_t)YD_TELL_URGENT,
                            .wire = UINT32_MAX,
                            .batch = envelope->batch,
                            .data = envelope->data,
                            .release = envelope->data_release};
    envelope->batch = NULL;
    envelope->data = NULL;
    if (envelope->arg[1] != e->incarnation) { /* of a pump that is gone: its words mean nothing any more */
        if (item.batch && !item.urgent) {
            struct yd_input_stat *stat = input_of(e, &item);
            stat->received += item.batch->header.count;
            stat->dropped += item.batch->header.count;
            settle_cost(e, &item);
        }
        let_go(&item, 0);
        return;
    }
    if (item.batch && !item.urgent) {
        arrived(e, &item);
    } else {
        yd__element_control(e, &item);
    }
}

static void ack_came(struct yd_element *e, struct yd_envelope *envelope)
{
    enum yd__ticket_kind kind = (enum yd__ticket_kind)(uint32_t)envelope->arg[3];
    uint32_t incarnation = (uint32_t)(envelope->arg[3] >> 32);
    int error = (int)(int64_t)envelope->arg[1];
    if (kind == YD__TICKET_CURSOR) { /* of a spill: the incarnation is its wire */
        yd__spill_envelope(&e->run->wires[incarnation], envelope, e->box);
        yd__element_blocked(e);
        e->look = true;
    } else if (incarnation != e->incarnation) {
        return; /* asked by a state that is gone */
    } else if (kind == YD__TICKET_OUTPUT) {
        yd__state_output_answered(e, envelope->arg[0], error);
    } else {
        struct yd__item item = {
            .type = YD__ITEM_ACK, .cookie = envelope->arg[0], .error = error, .level = (unsigned)envelope->arg[2]};
        yd__element_control(e, &item);
    }
}

static void timer_fired(struct yd_element *e, struct yd_envelope *envelope)
{
    uint64_t id = envelope->arg[0];
    if (id & YD__TIMER_QUESTION) {
        yd__query_timed_out(e, id & ~YD__TIMER_QUESTION);
    } else if (id == YD__TIMER_RESTART) {
        yd__life_restart_timer(e);
    } else if (id == YD__TIMER_SAVE) {
        yd__state_due(e);
    } else if (id >= YD__TIMER_CURSOR) {
        yd__spill_envelope(&e->run->wires[id - YD__TIMER_CURSOR], envelope, e->box);
    } else if (yd__dict_remove(&e->timers, id + 1)) { /* not one that was cancelled, or of a state that is gone */
        struct yd__item item = {.type = YD__ITEM_TIMER, .cookie = id};
        yd__element_control(e, &item);
    }
}

static void moved(struct yd_element *e, struct yd_envelope *envelope)
{
    uint32_t key = (uint32_t)envelope->arg[0];
    if (key != YD__OWN_STREAM) {
        yd__spill_envelope(&e->run->wires[key], envelope, e->box);
        yd__element_blocked(e);
        e->look = true;
        return;
    }
    yd__stream_took(&e->stream.subs[0]);
    struct yd__item item = {.type = YD__ITEM_MOVED};
    yd__element_control(e, &item);
}

static void credit_came(struct yd_element *e, struct yd_envelope *envelope)
{
    struct yd__flow_wire *wire = &e->run->wires[envelope->arg[0]];
    bool was = wire->out.blocking;
    yd__wire_credit(e->run, wire, e->box, envelope);
    if (was != wire->out.blocking) yd__element_blocked(e);
}

static void feed_came(struct yd_element *e, struct yd_envelope *envelope)
{
    unsigned port = (unsigned)envelope->arg[0];
    struct yd_batch *batch = envelope->batch;
    envelope->batch = NULL;
    if (!batch) {
        struct yd__item item = {.type = YD__ITEM_FEED, .data = envelope->data, .release = envelope->data_release};
        envelope->data = NULL;
        arrived(e, &item);
    } else if (e->class->ports[port].direction == YD_OUT) {
        struct yd__origin none = {0};
        yd__emit_now(e, port, batch, NULL, &none);
    } else {
        struct yd__item item = {.type = YD__ITEM_BATCH, .port = (uint16_t)port, .wire = UINT32_MAX, .batch = batch};
        arrived(e, &item);
    }
}

static bool may_go_on(const struct yd_element *e)
{
    return yd__element_up(e) && e->blocked_by == 0;
}

static bool has_work(struct yd_element *e)
{
    if (e->fifo.count || e->phase == YD__PHASE_DRAIN)
        if (yd__element_serves(e)) return true;
    if (e->again.count && may_go_on(e)) return true;
    return (e->control.count && yd__element_up(e)) || yd__query_steps(e);
}

static void drain_step(struct yd_element *e)
{
    enum yd_turn_result result = e->class->drain ? call_drain(e) : YD_DONE;
    if (result == YD_FAIL) {
        yd__life_crashed(e, NULL);
    } else if (result != YD_MORE) {
        e->phase = YD__PHASE_SETTLE;
        e->look = true;
    }
}

static enum yd_turn work(struct yd_element *e)
{
    if (e->control.count && yd__element_up(e)) serve_front(e, &e->control);
    yd__query_step(e);
    if (e->again.count && may_go_on(e)) serve_front(e, &e->again);
    if (e->fifo.count && yd__element_serves(e)) {
        serve_front(e, &e->fifo);
    } else if (e->phase == YD__PHASE_DRAIN && yd__element_serves(e)) {
        drain_step(e);
    }
    if (e->phase != YD__PHASE_RUN) e->look = true; /* it may have waited for what has just been served */
    e->working = false; /* what is left of it goes behind what has come meanwhile: receive() */
    return YD_TURN_DONE;
}

static enum yd_turn dispatch(struct yd_element *e, struct yd_envelope *envelope)
{
    switch (envelope->type) {
    case YD__ENV_BATCH:
        batch_came(e, envelope);
        break;
    case YD__ENV_CREDIT:
        credit_came(e, envelope);
        break;
    case YD__ENV_WANT:
        yd__wire_wanted(&e->run->wires[envelope->arg[0]], e->box);
        break;
    case YD__ENV_WORK:
        return work(e);
    case YD__ENV_PUMP_BATCH: {
        struct yd__item item = {.type = YD__ITEM_PUMP_BATCH,
                                .port = (uint16_t)envelope->arg[0],
                                .wire = UINT32_MAX,
                                .origin.born_ns = envelope->born_ns,
                                .batch = envelope->batch};
        envelope->batch = NULL;
        arrived(e, &item);
        break;
    }
    case YD__ENV_END: {
        struct yd__item item = {.type = YD__ITEM_END, .wire = (uint32_t)envelope->arg[0]};
        arrived(e, &item);
        break;
    }
    case YD__ENV_PUMP_ENDED: {
        struct yd__item item = {.type = YD__ITEM_PUMP_END};
        if (envelope->arg[0] == e->incarnation && yd__pump_ended(e, envelope->arg[1])) arrived(e, &item);
        break;
    }
    case YD__ENV_PUMP_TELL:
        told(e, envelope);
        break;
    case YD__ENV_PUMP_COUNTS:
        yd__pump_take_counts(e);
        break;
    case YD__ENV_PUMP_STOPPED:
        if (envelope->arg[0] == e->incarnation) yd__life_pump_stopped(e, yd__pump_at(e, envelope->arg[1]));
        break;
    case YD__ENV_PUMP_STARTED:
        if (envelope->arg[0] == e->incarnation)
            yd__life_pump_started(e, yd__pump_at(e, envelope->arg[1] >> 32), (int)(uint32_t)envelope->arg[1]);
        break;
    case YD_ENV_TIMER:
        timer_fired(e, envelope);
        break;
    case YD__ENV_ACK:
        ack_came(e, envelope);
        break;
    case YD__ENV_MOVED:
        moved(e, envelope);
        break;
    case YD__ENV_QUERY:
        yd__query_came(e, envelope);
        break;
    case YD__ENV_REPLY:
    case YD__ENV_REFUSAL:
        yd__query_answer_came(e, envelope);
        break;
    case YD__ENV_TAKEN:
        yd__query_taken(e, envelope);
        break;
    case YD__ENV_APPEND_END:
        e->append_open--;
        e->look = true;
        break;
    case YD__ENV_ASK_END:
        e->ask_open--;
        e->look = true;
        break;
    case YD__ENV_CURSOR_READ:
    case YD__ENV_CURSOR_SAVED:
        yd__spill_envelope(&e->run->wires[envelope->arg[0]], envelope, e->box);
        yd__element_blocked(e);
        e->look = true;
        break;
    case YD__ENV_SAVED:
        yd__state_stored(e, (int)(int64_t)envelope->arg[0]);
        break;
    case YD__ENV_PARKED:
        yd__life_parked(e, (int)(int64_t)envelope->arg[0]);
        break;
    case YD__ENV_REOPENED:
        yd__life_reopened(e, (int)(int64_t)envelope->arg[0]);
        break;
    case YD__ENV_STREAM_IS_DOWN:
        yd__life_stream_is_down(e);
        break;
    case YD__ENV_START:
        yd__life_started(e);
        break;
    case YD__ENV_DRAIN:
        yd__life_drain(e);
        break;
    case YD__ENV_FORCE:
        yd__life_force(e);
        break;
    case YD__ENV_SETTLE: {
        struct yd__item item = {.type = YD__ITEM_SETTLE};
        if (e->class->flags & YD_CLASS_KEEPS) yd__element_control(e, &item);
        break;
    }
    case YD__ENV_FEED:
        feed_came(e, envelope);
        break;
    case YD_ENV_STOP:
        return YD_TURN_STOP;
    default:
        break;
    }
    return YD_TURN_DONE;
}

static enum yd_turn receive(void *state, struct yd_envelope *envelope, struct yd_outbox *box)
{
    struct yd_element *e = state;
    e->box = box;
    e->called = false;
    enum yd_turn turn = dispatch(e, envelope);
    if (YD_UNLIKELY((e->blocked_by != 0) != e->told_blocked)) tell_blocked(e);
    while (YD_UNLIKELY(e->look)) {
        e->look = false;
        yd__life_step(e);
    }
    if (e->class->stream && e->called) yd__stream_appended(&e->stream);
    if (e->pump) pace_pump(e);
    if (!e->working && has_work(e)) {
        struct yd_envelope *again = yd_out_new(box, e->pid, YD__ENV_WORK, YD_SYSTEM);
        e->working = again != NULL;
        if (!again && envelope->type == YD__ENV_WORK) { /* no memory: then before what has come */
            e->working = true;
            turn = YD_TURN_MORE;
        }
    }
    /* Acquire pairs with the release in yd_run_stat_ask: what was asked for before is in the snapshot. */
    if (YD_UNLIKELY(atomic_load_explicit(&e->stat_wanted, memory_order_relaxed)) &&
        atomic_exchange_explicit(&e->stat_wanted, false, memory_order_acquire))
        yd__counts_publish(e, yd_out_mono(box));
    e->box = NULL;
    return turn;
}

static void fini(void *state)
{
    struct yd_element *e = state;
    /* Release pairs with the acquire in yd_run_destroy: what this process did is over. */
    YD_DRD_BEFORE(&e->run->alive);
    atomic_fetch_sub_explicit(&e->run->alive, 1, memory_order_release);
}

const struct yd_process_class yd__element_class = {.name = "element", .receive = receive, .fini = fini};
const struct yd_process_class yd__element_compute_class = {
    .name = "element", .receive = receive, .fini = fini, .compute = true};
