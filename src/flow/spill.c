/* A wire's way by the disk: `full: spill`.
 *
 *   there is credit, nothing is spilled, no origin --> straight on (wire.c)
 *   else: append to the spill's Log --> cursor (level memory) --> wire, as credit comes
 *   all read, nothing waits --> straight on again
 *
 * The Log is anonymous (DATA/spill/WIRE), has one cursor, and keeps nothing that has been acknowledged. Upstream's
 * tickets are answered when their range is durable here: from then on the spill is the source. What is left of an
 * earlier run is sent first. What waits for the disk takes as much memory as the wire's `queue` says (1 to 64 MiB; 64
 * when it says nothing). When the disk takes no more, the wire is as one with `block`; with `spill_drop` as one
 * with `drop_old`, so that nothing at all can stop its sender. Everything here runs in the sender's process; the disk's
 * part on the log's thread and the cursor's lane. */
#include <stdio.h>
#include <stdlib.h>

#include "base/drd.h"
#include "flow/runtime.h"

static int open_log(struct yd__spill *spill, struct yd_trail *trail)
{
    struct yd_run *run = spill->run;
    const struct yd_wire *def = spill->wire->def;
    const struct yd_element *from = &run->elements[def->from], *to = &run->elements[def->to];
    char *name, *dir;
    if (asprintf(&name, "%s.%s-%s.%s", from->node->name, from->class->ports[def->from_port].name, to->node->name,
                 to->class->ports[def->to_port].name) < 0)
        return YD_ENOMEM;
    if (asprintf(&dir, "%s/spill/%s", run->data, name) < 0) {
        free(name);
        return YD_ENOMEM;
    }
    struct yd_log_options options = {.fs = run->options.fs,
                                     .dir = dir,
                                     .stream = name,
                                     .random = run->world_random,
                                     .wall = run->world_wall,
                                     .clock_arg = run,
                                     .retain_ns = YD_NS_PER_S,
                                     .cursor_expiry_ns = INT64_MAX / 2};
    /* Who gives a wire little memory means all of it: what waits for the disk, too. A MiB is what writing needs. */
    uint64_t memory = YD_MAX(def->queue_bytes, UINT64_C(1) << 20);
    if (def->queue_bytes) options.queue_bytes_max = options.memory_bytes_max = YD_MIN(memory, UINT64_C(64) << 20);
    struct yd_log_recovery recovery;
    int error = yd_log_open(&options, &spill->log, &recovery, trail);
    free(name);
    free(dir);
    return error;
}

int yd__spill_open(struct yd_run *run, struct yd__flow_wire *wire, struct yd_trail *trail)
{
    struct yd__spill *spill = calloc(1, sizeof *spill);
    if (!spill) return YD_ENOMEM;
    wire->out.spill = spill;
    spill->run = run;
    spill->wire = wire;
    int error = open_log(spill, trail);
    if (error < 0) return error;
    struct yd__cursor *cursor = &spill->cursor;
    cursor->run = run;
    cursor->key = wire->index;
    cursor->name = "wire";
    cursor->identity = yd__mix(wire->hash, 0x5350494c4c);
    cursor->level = YD_ACK_MEMORY;
    error = yd_lane_open(run->options.pool, &cursor->lane);
    if (error >= 0) error = yd__cursor_open(cursor, spill->log);
    if (error < 0) return error;
    struct yd_log_position position;
    yd_log_position(spill->log, &position);
    spill->active = cursor->acknowledged < position.memory;
    spill->sub.key = wire->index;
    spill->sub.pid = cursor->owner = run->elements[wire->def->from].pid;
    atomic_init(&spill->sub.told, true); /* until START */
    YD_DRD_IGNORE(&spill->sub.told);
    spill->stream.subs = &spill->sub;
    spill->stream.sub_count = 1;
    return yd__stream_up(&spill->stream, run, &spill->log, 1);
}

/* ---- in ---- */

static struct yd_batch *stamped(struct yd_batch *batch, const struct yd__origin *origin)
{
    struct yd_header header = batch->header;
    header.producer_id = origin->id;
    header.producer_seq = origin->id ? origin->last : 0;
    header.producer_epoch = origin->id ? origin->epoch : 0;
    struct yd_batch *copy;
    if (memcmp(&header, &batch->header, sizeof header) == 0 || yd_batch_restamp(batch, &header, &copy) < 0)
        return yd_batch_ref(batch);
    return copy;
}

static void wait_for_durable(struct yd__spill *spill, struct yd__ticket *ticket, uint64_t next)
{
    if (!ticket) return;
    struct yd__item item = {.ticket = ticket, .cookie = next};
    if (ticket->asked <= YD_ACK_MEMORY) {
        yd__ticket_answer(ticket, 0, YD_ACK_MEMORY);
    } else if (!yd__ring_push(&spill->waiting, &item)) {
        yd__ticket_answer(ticket, YD_ECANCELED, 0); /* sent again, and known as a duplicate then */
    }
}

static void answer_durable(struct yd__spill *spill)
{
    struct yd_log_position position;
    yd_log_position(spill->log, &position);
    while (spill->waiting.count) {
        struct yd__item *item = yd__ring_front(&spill->waiting);
        if (item->cookie > position.durable && !position.failed) return;
        yd__ticket_answer(item->ticket, item->cookie > position.durable ? YD_EIO : 0, YD_ACK_DURABLE);
        yd__ring_pop(&spill->waiting);
    }
}

static bool append(struct yd__spill *spill, struct yd_batch *batch, struct yd__ticket *ticket,
                   const struct yd__origin *origin)
{
    struct yd_batch *copy = stamped(batch, origin);
    struct yd_log_appended appended;
    int error = yd_log_append(spill->log, copy, -1, UINT64_MAX, &appended);
    yd_batch_unref(copy);
    if (error < 0) {
        if (!spill->said_refused)
            yd__say(spill->run, spill->run->elements[spill->wire->def->from].node->name, 1,
                    "its spill takes no more (%s): the wire %s until it does", yd_error_text(error),
                    spill->wire->def->full == YD_FULL_SPILL_DROP ? "drops what waits longest" : "blocks");
        spill->said_refused = true;
        return false;
    }
    spill->said_refused = false;
    spill->active = true;
    if (!appended.duplicate) spill->wire->out.stat.spilled += batch->header.count;
    wait_for_durable(spill, ticket, appended.next);
    if (appended.duplicate) answer_durable(spill); /* nothing was appended: no progress will tell */
    yd_batch_unref(batch);
    return true;
}

bool yd__spill_send(struct yd__flow_wire *wire, struct yd_outbox *box, struct yd_batch *batch,
                    struct yd__ticket *ticket, const struct yd__origin *origin)
{
    if (!append(wire->out.spill, batch, ticket, origin)) return false;
    yd__stream_appended(&wire->out.spill->stream);
    yd__spill_go_on(wire, box);
    return true;
}

/* ---- out ---- */

static bool get_next(struct yd__spill *spill)
{
    if (spill->have_pending) return true;
    struct yd_log_gap gap;
    struct yd__item *next = &spill->pending;
    for (;;) {
        int error = yd__cursor_pull(&spill->cursor, &next->batch, &next->ticket, &next->origin, &gap);
        if (error == YD_EGAP) {
            yd__say(spill->run, spill->run->elements[spill->wire->def->from].node->name, 2,
                    "%llu spilled records are lost: %s",
                    (unsigned long long)(gap.to > gap.from ? gap.to - gap.from : 0), gap.reason ? gap.reason : "?");
            continue;
        }
        return spill->have_pending = error >= 0;
    }
}

static void leave_if_caught_up(struct yd__spill *spill)
{
    struct yd__cursor *cursor = &spill->cursor;
    struct yd_log_position position;
    if (cursor->reading || cursor->have || cursor->rewind || !cursor->reader || spill->have_pending) return;
    if (spill->wire->out.queue.count) return;
    yd_log_position(spill->log, &position);
    if (yd_log_reader_seqno(cursor->reader) >= position.memory) spill->active = false;
}

static void append_waiting(struct yd__flow_wire *wire)
{
    struct yd__wire_out *out = &wire->out;
    while (out->queue.count) {
        struct yd__item item = *yd__ring_front(&out->queue);
        size_t cost = yd_batch_cost(item.batch);
        uint32_t count = item.batch->header.count;
        if (!append(out->spill, item.batch, item.ticket, &item.origin)) return;
        yd__ring_pop(&out->queue);
        out->queue_bytes -= cost;
        out->queue_records -= count;
    }
    out->blocking = false;
}

void yd__spill_go_on(struct yd__flow_wire *wire, struct yd_outbox *box)
{
    struct yd__spill *spill = wire->out.spill;
    if (wire->out.queue.count) append_waiting(wire);
    if (spill->cursor.rewind) spill->active = true;
    while (spill->active && !wire->out.cut && get_next(spill)) {
        struct yd__item *next = &spill->pending;
        if (!yd__wire_may_send(wire, next->batch)) {
            yd__wire_want(wire, box);
            return;
        }
        spill->have_pending = false;
        yd__wire_transmit(wire, box, next->batch, next->ticket, &next->origin);
    }
    if (spill->active) leave_if_caught_up(spill);
    yd__stream_appended(&spill->stream);
}

static void save_later(struct yd__flow_wire *wire, struct yd_outbox *box)
{
    struct yd__spill *spill = wire->out.spill;
    struct yd__cursor *cursor = &spill->cursor;
    if (spill->save_timer || cursor->saving || cursor->acknowledged == cursor->saved) return;
    spill->save_timer = true;
    yd_out_timer(box, YD__TIMER_CURSOR + wire->index,
                 YD_MAX(yd_out_mono(box), cursor->saved_at + spill->run->save_interval_ns));
}

void yd__spill_envelope(struct yd__flow_wire *wire, struct yd_envelope *e, struct yd_outbox *box)
{
    struct yd__spill *spill = wire->out.spill;
    if (!spill) return;
    switch (e->type) {
    case YD__ENV_MOVED:
        yd__stream_took(&spill->sub);
        answer_durable(spill);
        break;
    case YD__ENV_ACK:
        yd__cursor_answered(&spill->cursor, e->arg[0], (int)(int64_t)e->arg[1]);
        break;
    case YD__ENV_CURSOR_READ:
        yd__cursor_read_done(&spill->cursor);
        break;
    case YD__ENV_CURSOR_SAVED:
        yd__cursor_save_done(&spill->cursor);
        break;
    case YD_ENV_TIMER:
        spill->save_timer = false;
        if (!yd__cursor_saves(&spill->cursor, yd_out_mono(box), false))
            spill->cursor.saved_at = yd_out_mono(box); /* later */
        break;
    default:
        break;
    }
    yd__wire_drain_queue(spill->run, wire, box);
    save_later(wire, box);
}

bool yd__spill_done(const struct yd__flow_wire *wire)
{
    const struct yd__spill *spill = wire->out.spill;
    return !spill || wire->out.cut || (!spill->active && spill->cursor.unanswered == 0 && spill->waiting.count == 0);
}

void yd__spill_close(struct yd__flow_wire *wire)
{
    struct yd__spill *spill = wire->out.spill;
    if (!spill) return;
    wire->out.spill = NULL;
    if (spill->log && spill->cursor.reader && !spill->cursor.reading && spill->cursor.acknowledged)
        (void)yd_log_cursor_save(spill->log, "wire", spill->cursor.acknowledged); /* else: sent again next time */
    if (spill->cursor.lane) yd_lane_close(spill->cursor.lane);
    if (spill->have_pending) {
        yd__ticket_answer(spill->pending.ticket, YD_ECANCELED, 0);
        yd_batch_unref(spill->pending.batch);
    }
    while (spill->waiting.count) {
        yd__ticket_answer(yd__ring_front(&spill->waiting)->ticket, YD_ECANCELED, 0);
        yd__ring_pop(&spill->waiting);
    }
    yd__ring_fini(&spill->waiting);
    yd__cursor_close(&spill->cursor);
    free(spill->cursor.sent);
    if (spill->log) (void)yd_log_close(spill->log); /* what it could not flush is said by its recovery */
    yd__stream_fini(&spill->stream);
    if (spill->stream.lane) yd_lane_close(spill->stream.lane);
    free(spill);
}
