/* Both ends of a push wire.
 *
 *   sender's process                                    receiver's process
 *   queue (bounded) -> credit? -> BATCH --------------> input (in its fifo until consumed)
 *                        ^                                 |
 *                        +---- CREDIT (a quarter of the window at a time, or at once after WANT) <-+
 *
 * The window (credit at the start) is what the receiver lets be on its way and unconsumed. With `block` it is the whole
 * queue of the wire: what does not fit waits at the sender's end and makes it blocked, so that queue holds the rest of
 * one turn only. With `drop_old` and `drop_new` the two ends have half of the queue each. A batch larger than a half is
 * admitted when that half is empty.
 *
 * A starved sender says WANT once. The receiver then also returns credit when it has consumed all it had, and says
 * `last` with that: only then may the sender say WANT again. Without `last` a CREDIT that crosses a batch on the way
 * would leave both waiting. */
#include "flow/runtime.h"

#define QUEUE_DEFAULT     (UINT64_C(8) << 20)
#define RECORDS_UNLIMITED (INT64_MAX / 4)

void yd__wire_setup(struct yd__flow_wire *wire)
{
    uint64_t bytes = wire->def->queue_bytes ? wire->def->queue_bytes : QUEUE_DEFAULT;
    uint64_t records = wire->def->queue_records ? wire->def->queue_records : RECORDS_UNLIMITED;
    bool halves = wire->def->full == YD_FULL_DROP_OLD || wire->def->full == YD_FULL_DROP_NEW;
    if (bytes > INT64_MAX / 4) bytes = INT64_MAX / 4;
    if (records > RECORDS_UNLIMITED) records = RECORDS_UNLIMITED;
    wire->window_bytes = YD_MAX(halves ? bytes / 2 : bytes, 1);
    wire->window_records = YD_MAX(halves ? records / 2 : records, 1);
    wire->out.credit_bytes = (int64_t)wire->window_bytes;
    wire->out.credit_records = (int64_t)wire->window_records;
    wire->out.queue_bytes_max = bytes - bytes / 2;
    wire->out.queue_records_max = records - records / 2;
    wire->out.stat.wire = wire->index;
    wire->out.stat.is_cursor = wire->def->is_cursor;
    wire->published = wire->out.stat;
}

bool yd__wire_may_send(const struct yd__flow_wire *wire, const struct yd_batch *batch)
{
    const struct yd__wire_out *out = &wire->out;
    size_t cost = yd_batch_cost(batch);
    uint32_t count = batch->header.count;
    if ((int64_t)cost <= out->credit_bytes && (int64_t)count <= out->credit_records) return true;
    return out->credit_bytes == (int64_t)wire->window_bytes && out->credit_records == (int64_t)wire->window_records;
}

bool yd__wire_can_send(const struct yd__flow_wire *wire)
{
    return wire->out.queue.count == 0 && wire->out.credit_bytes > 0 && wire->out.credit_records > 0;
}

static void lose(struct yd__flow_wire *wire, struct yd_batch *batch, struct yd__ticket *ticket, int error)
{
    wire->out.stat.dropped += batch->header.count;
    yd__ticket_answer(ticket, error, 0);
    yd_batch_unref(batch);
}

void yd__wire_transmit(struct yd__flow_wire *wire, struct yd_outbox *box, struct yd_batch *batch,
                       struct yd__ticket *ticket, const struct yd__origin *origin)
{
    struct yd_envelope *e = yd_out_new(box, wire->to_pid, YD__ENV_BATCH, YD_SYSTEM);
    if (!e) {
        lose(wire, batch, ticket, YD_ECANCELED);
        return;
    }
    size_t cost = yd_batch_cost(batch);
    uint32_t count = batch->header.count;
    wire->out.credit_bytes -= (int64_t)cost;
    wire->out.credit_records -= count;
    wire->out.stat.batches++;
    wire->out.stat.records += count;
    wire->out.stat.bytes += cost;
    e->cost = (uint32_t)cost;
    e->arg[0] = wire->index | (uint64_t)origin->generation << 32;
    e->arg[1] = origin->id;
    e->arg[2] = origin->last;
    e->arg[3] = origin->span | (uint64_t)origin->epoch << 32;
    e->born_ns = origin->born_ns;
    e->sent_ns = origin->sent_ns;
    e->batch = batch;
    e->data = ticket;
    e->data_release = ticket ? yd__ticket_lost : NULL;
}

void yd__wire_want(struct yd__flow_wire *wire, struct yd_outbox *box)
{
    if (wire->out.wanting) return;
    struct yd_envelope *e = yd_out_new(box, wire->to_pid, YD__ENV_WANT, YD_SYSTEM);
    if (!e) return;
    e->arg[0] = wire->index;
    wire->out.wanting = true;
}

static void drop_front(struct yd__flow_wire *wire)
{
    struct yd__item item = *yd__ring_front(&wire->out.queue);
    yd__ring_pop(&wire->out.queue);
    wire->out.queue_bytes -= yd_batch_cost(item.batch);
    wire->out.queue_records -= item.batch->header.count;
    lose(wire, item.batch, item.ticket, YD_EFULL);
}

static void enqueue(struct yd__flow_wire *wire, struct yd_outbox *box, struct yd_batch *batch,
                    struct yd__ticket *ticket, const struct yd__origin *origin)
{
    struct yd__wire_out *out = &wire->out;
    struct yd__item item = {.type = YD__ITEM_BATCH, .batch = batch, .ticket = ticket, .origin = *origin};
    size_t cost = yd_batch_cost(batch);
    uint32_t count = batch->header.count;
    bool over = out->queue_bytes + cost > out->queue_bytes_max || out->queue_records + count > out->queue_records_max;
    if (over && wire->def->full == YD_FULL_DROP_NEW && out->queue.count) {
        lose(wire, batch, ticket, YD_EFULL);
        return;
    }
    /* With `spill_drop` only what the spill does not take comes here. */
    if (wire->def->full == YD_FULL_DROP_OLD || wire->def->full == YD_FULL_SPILL_DROP)
        while (out->queue.count &&
               (out->queue_bytes + cost > out->queue_bytes_max || out->queue_records + count > out->queue_records_max))
            drop_front(wire);
    if (!yd__ring_push(&out->queue, &item)) {
        lose(wire, batch, ticket, YD_ECANCELED);
        return;
    }
    out->queue_bytes += cost;
    out->queue_records += count;
    out->blocking = wire->def->full == YD_FULL_BLOCK || wire->def->full == YD_FULL_SPILL;
    yd__wire_want(wire, box);
}

void yd__wire_send(struct yd_run *run, struct yd__flow_wire *wire, struct yd_outbox *box, struct yd_batch *batch,
                   struct yd__ticket *ticket, const struct yd__origin *from)
{
    (void)run;
    struct yd__wire_out *out = &wire->out;
    struct yd__origin here = *from, *origin = &here;
    here.sent_ns = yd_out_mono(box);
    if (YD_UNLIKELY(out->cut || out->ending)) {
        lose(wire, batch, ticket, out->cut ? YD_ECANCELED : YD_EUNDELIVERABLE);
        return;
    }
    bool may = out->queue.count == 0 && yd__wire_may_send(wire, batch);
    if (YD_UNLIKELY(out->spill != NULL)) {
        /* What has an origin always goes by the disk: behind it the spill's own range counts, and a range must not be
         * told in two ways. */
        if (out->spill->active || !may || origin->id) {
            if (out->queue.count || !yd__spill_send(wire, box, batch, ticket, origin))
                enqueue(wire, box, batch, ticket, origin);
            return;
        }
    }
    if (YD_LIKELY(may)) {
        yd__wire_transmit(wire, box, batch, ticket, origin);
    } else {
        enqueue(wire, box, batch, ticket, origin);
    }
}

static void send_end(struct yd__flow_wire *wire, struct yd_outbox *box)
{
    struct yd_envelope *e = yd_out_new(box, wire->to_pid, YD__ENV_END, YD_SYSTEM);
    if (!e) return;
    e->arg[0] = wire->index;
    wire->out.ended = true;
}

static void end_if_empty(struct yd__flow_wire *wire, struct yd_outbox *box)
{
    if (wire->out.ending && !wire->out.ended && wire->out.queue.count == 0 && yd__spill_done(wire)) send_end(wire, box);
}

void yd__wire_drain_queue(struct yd_run *run, struct yd__flow_wire *wire, struct yd_outbox *box)
{
    (void)run;
    struct yd__wire_out *out = &wire->out;
    if (out->spill) {
        yd__spill_go_on(wire, box);
    } else {
        while (out->queue.count) {
            struct yd__item item = *yd__ring_front(&out->queue);
            size_t cost = yd_batch_cost(item.batch);
            if (!yd__wire_may_send(wire, item.batch)) {
                yd__wire_want(wire, box);
                break;
            }
            yd__ring_pop(&out->queue);
            out->queue_bytes -= cost;
            out->queue_records -= item.batch->header.count;
            yd__wire_transmit(wire, box, item.batch, item.ticket, &item.origin);
        }
    }
    if (out->queue.count == 0) out->blocking = false;
    end_if_empty(wire, box);
}

void yd__wire_credit(struct yd_run *run, struct yd__flow_wire *wire, struct yd_outbox *box, const struct yd_envelope *e)
{
    wire->out.credit_bytes += (int64_t)e->arg[1];
    wire->out.credit_records += (int64_t)e->arg[2];
    if (e->arg[3]) wire->out.wanting = false;
    if (wire->out.queue.count || wire->out.spill || wire->out.ending) yd__wire_drain_queue(run, wire, box);
}

void yd__wire_end(struct yd_run *run, struct yd__flow_wire *wire, struct yd_outbox *box)
{
    (void)run;
    wire->out.ending = true;
    end_if_empty(wire, box);
}

uint64_t yd__wire_cut(struct yd_run *run, struct yd__flow_wire *wire, struct yd_outbox *box)
{
    (void)run;
    struct yd__wire_out *out = &wire->out;
    uint64_t lost = out->queue_records;
    while (out->queue.count) {
        struct yd__item item = *yd__ring_front(&out->queue);
        yd__ring_pop(&out->queue);
        lose(wire, item.batch, item.ticket, YD_ECANCELED);
    }
    out->queue_bytes = out->queue_records = 0;
    out->blocking = false;
    out->cut = out->ending = true;
    if (!out->ended && box) send_end(wire, box);
    return lost;
}

void yd__wire_fini(struct yd__flow_wire *wire)
{
    struct yd__wire_out *out = &wire->out;
    while (out->queue.count) {
        struct yd__item item = *yd__ring_front(&out->queue);
        yd__ring_pop(&out->queue);
        lose(wire, item.batch, item.ticket, YD_ECANCELED);
    }
    yd__ring_fini(&out->queue);
}

/* ---- the receiver's end ---- */

void yd__wire_arrived(struct yd__flow_wire *wire, const struct yd_batch *batch)
{
    struct yd__wire_in *in = &wire->in;
    in->outstanding_bytes += yd_batch_cost(batch);
    in->outstanding_records += batch->header.count;
    if (in->outstanding_bytes > in->outstanding_bytes_max) in->outstanding_bytes_max = in->outstanding_bytes;
}

static void return_credit(struct yd__flow_wire *wire, struct yd_outbox *box)
{
    struct yd__wire_in *in = &wire->in;
    struct yd_envelope *e = yd_out_new(box, wire->from_pid, YD__ENV_CREDIT, YD_SYSTEM);
    if (!e) return; /* stays to be returned with the next one */
    bool last = in->outstanding_bytes == 0;
    e->arg[0] = wire->index;
    e->arg[1] = in->unreturned_bytes;
    e->arg[2] = in->unreturned_records;
    e->arg[3] = last;
    in->unreturned_bytes = in->unreturned_records = 0;
    if (last) in->want = false;
}

void yd__wire_consumed(struct yd__flow_wire *wire, struct yd_outbox *box, uint64_t bytes, uint64_t records)
{
    struct yd__wire_in *in = &wire->in;
    in->outstanding_bytes -= bytes;
    in->outstanding_records -= records;
    in->unreturned_bytes += bytes;
    in->unreturned_records += records;
    if (in->unreturned_bytes >= wire->window_bytes / 4 + 1 || in->unreturned_records >= wire->window_records / 4 + 1 ||
        (in->want && in->outstanding_bytes == 0))
        return_credit(wire, box);
}

void yd__wire_wanted(struct yd__flow_wire *wire, struct yd_outbox *box)
{
    wire->in.want = true;
    if (wire->in.unreturned_bytes || wire->in.outstanding_bytes == 0) return_credit(wire, box);
}
