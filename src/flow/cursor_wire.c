/* The process of one wire out of a Log: reads while the wire has credit, and passes END when the Log's inputs have
 * ended and everything has been acknowledged.
 *
 *   MOVED (the log got further), CREDIT, ACK, CURSOR_READ --> go_on: pull, send, until there is no credit or no batch
 *
 * A crash of the Log's element takes the log away from under it (STREAM_DOWN … STREAM_UP): it lets go, and goes on
 * where it has been acknowledged. A crash of a reader that rebuilds its state from the stream makes it begin at the
 * oldest (REBUILD). When a drain takes long it is told to stop reading: what is out is still waited for, the position
 * is saved, and the next run goes on from there. */
#include <stdlib.h>

#include "base/drd.h"
#include "flow/runtime.h"

#define TURN_BATCHES 64

static const char *reader_name(const struct yd__cursor_wire *c)
{
    return c->run->elements[c->wire->def->to].node->name;
}

static void tell_gap(struct yd__cursor_wire *c, const struct yd_log_gap *gap)
{
    if (gap->to < gap->from) {
        yd__say(c->run, c->from->node->name, 1,
                "%s was ahead of an end that was cut: it goes on at %llu instead of %llu", reader_name(c),
                (unsigned long long)gap->to, (unsigned long long)gap->from);
    } else {
        yd__say(c->run, c->from->node->name, 1, "%llu records (%llu to %llu) are missing for %s: %s",
                (unsigned long long)(gap->to - gap->from), (unsigned long long)gap->from, (unsigned long long)gap->to,
                reader_name(c), gap->reason ? gap->reason : "?");
    }
}

static void fail(struct yd__cursor_wire *c, int error)
{
    yd__say(c->run, c->from->node->name, 2, "%s cannot read on at %llu: %s. Its position is kept for the next run",
            reader_name(c), (unsigned long long)c->cursor.acknowledged, yd_error_text(error));
    yd__run_bad(c->run);
    c->cursor.closed = true;
}

/* True: there is more to send. */
static bool send_some(struct yd__cursor_wire *c, struct yd_outbox *box)
{
    for (int i = 0; i < TURN_BATCHES; i++) {
        if (c->going_down || c->stopping || !yd__wire_can_send(c->wire)) return false;
        struct yd_batch *batch;
        struct yd__ticket *ticket;
        struct yd__origin origin;
        struct yd_log_gap gap;
        int error = yd__cursor_pull(&c->cursor, &batch, &ticket, &origin, &gap);
        if (error == YD_EGAP) {
            tell_gap(c, &gap);
            continue;
        }
        if (error < 0) {
            if (error != YD_EAGAIN && error != YD_EBUSY) fail(c, error);
            return false;
        }
        yd__wire_send(c->run, c->wire, box, batch, ticket, &origin);
    }
    return true;
}

static bool caught_up(struct yd__cursor_wire *c)
{
    struct yd__cursor *cursor = &c->cursor;
    if (cursor->unanswered) return false;
    if (c->stopping || cursor->closed || !cursor->log) return true;
    if (cursor->rewind || cursor->sent_count) return false;
    if (c->wire->out.queue.count) return false;
    return cursor->reader && !cursor->reading && !cursor->have && yd_log_reader_seqno(cursor->reader) >= c->end;
}

static void end_step(struct yd__cursor_wire *c, struct yd_outbox *box)
{
    struct yd__cursor *cursor = &c->cursor;
    if (c->ended || !(c->ending || c->stopping || cursor->closed) || !caught_up(c)) return;
    if (yd__cursor_saves(cursor, yd_out_mono(box), true) || cursor->saving) return; /* CURSOR_SAVED comes here again */
    c->ended = true;
    yd__wire_end(c->run, c->wire, box);
    yd__run_one_ended(c->run);
}

static void save_step(struct yd__cursor_wire *c, struct yd_outbox *box)
{
    struct yd__cursor *cursor = &c->cursor;
    if (!cursor->name || cursor->acknowledged == cursor->saved || cursor->saving || !cursor->log || c->save_timer ||
        c->ended)
        return;
    c->save_timer = true;
    int64_t now = yd_out_mono(box), due = cursor->saved_at + c->run->save_interval_ns;
    yd_out_timer(box, YD__TIMER_CURSOR, YD_MAX(now, due));
}

static void stream_down_step(struct yd__cursor_wire *c, struct yd_outbox *box)
{
    if (!c->going_down || !c->cursor.log || !yd__cursor_idle(&c->cursor)) return;
    yd__cursor_close(&c->cursor);
    (void)yd_out_new(box, c->from->pid, YD__ENV_STREAM_IS_DOWN, YD_SYSTEM);
}

static void stream_up(struct yd__cursor_wire *c, struct yd_log *log)
{
    c->going_down = false;
    c->cursor.log = log;
    c->cursor.rewind = true; /* what is out may be sent twice, as after any break */
}

static void stream_end(struct yd__cursor_wire *c, struct yd_log *log)
{
    struct yd_log_position position = {0};
    c->ending = true;
    if (log) yd_log_position(log, &position);
    /* What a failed sync left behind will never be readable. */
    c->end = position.failed ? position.durable : position.memory;
    if (!log) c->stopping = true;
}

static void publish(struct yd__cursor_wire *c)
{
    struct yd_wire_stat stat = c->wire->out.stat;
    struct yd_log_position position = {0};
    if (c->cursor.log && !c->going_down) yd_log_position(c->cursor.log, &position);
    unsigned level = c->cursor.level;
    stat.queued_bytes = c->wire->out.queue_bytes;
    stat.queued_records = c->wire->out.queue_records;
    stat.in_flight_bytes = c->wire->window_bytes - (uint64_t)c->wire->out.credit_bytes;
    stat.in_flight_records = c->wire->window_records - (uint64_t)c->wire->out.credit_records;
    stat.ended = c->ended;
    if (c->cursor.reader && !c->cursor.reading)
        stat.read = yd_log_reader_seqno(c->cursor.reader);
    else
        stat.read = c->wire->published.read;
    stat.acknowledged = c->cursor.acknowledged;
    stat.saved = c->cursor.saved == UINT64_MAX ? 0 : c->cursor.saved;
    stat.end = level == YD_ACK_MEMORY ? position.memory : level == YD_ACK_WRITTEN ? position.written : position.durable;
    stat.gaps = c->cursor.gaps;
    stat.gap_records = c->cursor.gap_records;
    stat.rewinds = c->cursor.rewinds;
    pthread_mutex_lock(&c->lock);
    c->wire->published = stat;
    pthread_mutex_unlock(&c->lock);
    atomic_fetch_sub_explicit(&c->run->stat_waits, 1, memory_order_release); /* pairs with yd_run_stat_wait */
}

static enum yd_turn receive(void *state, struct yd_envelope *e, struct yd_outbox *box)
{
    struct yd__cursor_wire *c = state;
    switch (e->type) {
    case YD__ENV_START:
    case YD__ENV_MOVED:
        yd__stream_took(c->sub);
        break;
    case YD__ENV_CREDIT:
        yd__wire_credit(c->run, c->wire, box, e);
        break;
    case YD__ENV_ACK:
        yd__cursor_answered(&c->cursor, e->arg[0], (int)(int64_t)e->arg[1]);
        break;
    case YD__ENV_CURSOR_READ:
        yd__cursor_read_done(&c->cursor);
        break;
    case YD__ENV_CURSOR_SAVED:
        yd__cursor_save_done(&c->cursor);
        break;
    case YD_ENV_TIMER:
        c->save_timer = false;
        if (!yd__cursor_saves(&c->cursor, yd_out_mono(box), false)) c->cursor.saved_at = yd_out_mono(box); /* later */
        break;
    case YD__ENV_REBUILD:
        c->cursor.rewind = c->cursor.rebuild = true;
        break;
    case YD__ENV_STREAM_DOWN:
        c->going_down = true;
        break;
    case YD__ENV_STREAM_UP:
        stream_up(c, (struct yd_log *)(uintptr_t)e->arg[0]);
        break;
    case YD__ENV_STREAM_END:
        stream_end(c, (struct yd_log *)(uintptr_t)e->arg[0]);
        break;
    case YD__ENV_STOP_READING:
        c->stopping = true;
        break;
    case YD__ENV_FORCE:
        c->stopping = true;
        c->cursor.unanswered = 0; /* not acknowledged: sent again by the next run */
        (void)yd__wire_cut(c->run, c->wire, box);
        break;
    case YD_ENV_STOP:
        return YD_TURN_STOP;
    default:
        break; /* WORK */
    }
    stream_down_step(c, box);
    if (e->type == YD__ENV_WORK) c->working = false;
    bool more = send_some(c, box);
    if (more && e->type == YD__ENV_WORK) {
        c->working = true;
    } else if (more && !c->working) {
        c->working = yd_out_new(box, c->pid, YD__ENV_WORK, YD_SYSTEM) != NULL;
        more = false;
    }
    save_step(c, box);
    end_step(c, box);
    if (YD_UNLIKELY(atomic_load_explicit(&c->stat_wanted, memory_order_relaxed)) &&
        atomic_exchange_explicit(&c->stat_wanted, false, memory_order_acquire))
        publish(c);
    return more && e->type == YD__ENV_WORK ? YD_TURN_MORE : YD_TURN_DONE;
}

static void fini(void *state)
{
    struct yd__cursor_wire *c = state;
    /* Release pairs with the acquire in yd_run_destroy. */
    YD_DRD_BEFORE(&c->run->alive);
    atomic_fetch_sub_explicit(&c->run->alive, 1, memory_order_release);
}

const struct yd_process_class yd__cursor_class = {.name = "cursor", .receive = receive, .fini = fini};

int yd__cursor_wire_setup(struct yd__cursor_wire *c, struct yd_run *run, struct yd__flow_wire *wire)
{
    const struct yd_wire *def = wire->def;
    static const enum yd_log_from wheres[] = {[YD_WIRE_OLDEST] = YD_FROM_OLDEST,
                                              [YD_WIRE_TAIL] = YD_FROM_TAIL,
                                              [YD_WIRE_SEQNO] = YD_FROM_SEQNO,
                                              [YD_WIRE_TIME] = YD_FROM_TIME};
    bool rebuilds = run->elements[def->to].class->flags & YD_CLASS_REBUILDS;
    c->run = run;
    c->wire = wire;
    c->from = &run->elements[def->from];
    struct yd__cursor *cursor = &c->cursor;
    cursor->run = run;
    cursor->key = wire->index;
    cursor->name = rebuilds ? NULL : def->cursor;
    cursor->identity = wire->hash;
    cursor->level = def->read_level ? def->read_level : YD_ACK_DURABLE;
    if (!rebuilds)
        cursor->start = (struct yd_log_start){
            .from = wheres[def->from_where], .seqno = def->from_seqno, .time_ns = def->from_time_ns};
    pthread_mutex_init(&c->lock, NULL);
    return yd_lane_open(run->options.pool, &cursor->lane);
}

void yd__cursor_wire_fini(struct yd__cursor_wire *c)
{
    if (!c->run) return;
    if (c->cursor.lane) yd_lane_close(c->cursor.lane);
    c->cursor.lane = NULL;
    yd__cursor_close(&c->cursor);
    free(c->cursor.sent);
    c->cursor.sent = NULL;
    pthread_mutex_destroy(&c->lock);
}
