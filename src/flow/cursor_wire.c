/* The process of one wire out of a Log: reads while the wire has credit, and passes END when the Log's inputs have
 * ended and everything has been acknowledged. It has a cursor in each partition of the stream and takes from them in
 * turns: each partition comes in its order, with a position of its own that is kept beside it.
 *
 *   MOVED (the log got further), CREDIT, ACK, CURSOR_READ --> go_on: pull, send, until there is no credit or no batch
 *
 * What tombstones of the stream cover is left out (cursor.c), and counted; the tombstones themselves pass.
 *
 * A crash of the Log's element takes the log away from under it (STREAM_DOWN … STREAM_UP): it lets go, and goes on
 * where it has been acknowledged. A crash of a reader that rebuilds its state from the stream makes it begin at the
 * oldest (REBUILD). When a drain takes long it is told to stop reading: what is out is still waited for, the position
 * is saved, and the next run goes on from there. */
#include <stdio.h>
#include <stdlib.h>

#include "base/drd.h"
#include "flow/runtime.h"

#define TURN_BATCHES 64

static const char *reader_name(const struct yd__cursor_wire *c)
{
    return c->run->elements[c->wire->def->to].node->name;
}

/* " of partition 2", where there are several. */
static const char *partition_text(const struct yd__cursor_wire *c, const struct yd__cursor *cursor, char to[32])
{
    to[0] = 0;
    if (c->count > 1) (void)snprintf(to, 32, " of partition %u", cursor->key);
    return to;
}

static void tell_gap(struct yd__cursor_wire *c, const struct yd__cursor *cursor, const struct yd_log_gap *gap)
{
    char partition[32];
    if (gap->to < gap->from) {
        yd__say(c->run, c->from->node->name, 1,
                "%s was ahead of an end%s that was cut: it goes on at %llu instead of %llu", reader_name(c),
                partition_text(c, cursor, partition), (unsigned long long)gap->to, (unsigned long long)gap->from);
    } else {
        yd__say(c->run, c->from->node->name, 1, "%llu records (%llu to %llu)%s are missing for %s: %s",
                (unsigned long long)(gap->to - gap->from), (unsigned long long)gap->from, (unsigned long long)gap->to,
                partition_text(c, cursor, partition), reader_name(c), gap->reason ? gap->reason : "?");
    }
}

/* The other partitions are read on. */
static void fail(struct yd__cursor_wire *c, struct yd__cursor *cursor, int error)
{
    char partition[32];
    yd__say(c->run, c->from->node->name, 2, "%s cannot read on at %llu%s: %s. Its position is kept for the next run",
            reader_name(c), (unsigned long long)cursor->acknowledged, partition_text(c, cursor, partition),
            yd_error_text(error));
    yd__run_bad(c->run);
    cursor->closed = true;
}

static void tell_unsaved(struct yd__cursor_wire *c, const struct yd__cursor *cursor)
{
    char partition[32];
    yd__say(
        c->run, c->from->node->name, 2,
        "the position of %s%s cannot be saved: %s. The next run sends it again what came since the last one that was",
        reader_name(c), partition_text(c, cursor, partition), yd_error_text(cursor->save_error));
    yd__run_bad(c->run);
}

struct pulled {
    struct yd_batch *batch;
    struct yd__ticket *ticket;
    struct yd__origin origin;
};

/* The next batch of whoever has one, beginning behind the one that gave the last. */
static bool pull(struct yd__cursor_wire *c, struct pulled *ret)
{
    for (unsigned tried = 0; tried < c->count;) {
        struct yd__cursor *cursor = &c->cursors[c->turn];
        struct yd_log_gap gap;
        int error = yd__cursor_pull(cursor, &ret->batch, &ret->ticket, &ret->origin, &gap);
        if (error == YD_EGAP) {
            tell_gap(c, cursor, &gap);
            continue; /* the same one: it is behind the gap */
        }
        if (++c->turn == c->count) c->turn = 0;
        if (error == 0) return true;
        if (error != YD_EAGAIN && error != YD_EBUSY) fail(c, cursor, error);
        tried++;
    }
    return false;
}

/* True: there is more to send. */
static bool send_some(struct yd__cursor_wire *c, struct yd_outbox *box)
{
    for (int i = 0; i < TURN_BATCHES; i++) {
        struct pulled next;
        if (c->going_down || c->stopping || !yd__wire_can_send(c->wire) || !pull(c, &next)) return false;
        /* Since it was appended: the Log keeps no other time of its coming. */
        int64_t age = yd_out_wall(box) - next.batch->header.append_time;
        next.origin.born_ns = yd_out_mono(box) - YD_MAX(age, 0);
        yd__wire_send(c->run, c->wire, box, next.batch, next.ticket, &next.origin);
    }
    return true;
}

static bool is_through(const struct yd__cursor_wire *c, const struct yd__cursor *cursor)
{
    return c->stopping || cursor->closed || !cursor->log;
}

/* What a failed sync left behind will never be readable, also when it fails behind the end of the inputs. */
static uint64_t end_of(const struct yd__cursor *cursor)
{
    struct yd_log_position position;
    yd_log_position(cursor->log, &position);
    return position.failed ? YD_MIN(cursor->end, position.durable) : cursor->end;
}

static bool caught_up(struct yd__cursor_wire *c)
{
    bool all_through = true;
    for (unsigned i = 0; i < c->count; i++) {
        struct yd__cursor *cursor = &c->cursors[i];
        if (cursor->unanswered) return false;
        if (is_through(c, cursor)) continue;
        all_through = false;
        if (cursor->rewind || cursor->sent_count) return false;
        if (!cursor->reader || cursor->reading || cursor->have) return false;
        if (yd_log_reader_seqno(cursor->reader) < end_of(cursor)) return false;
    }
    return all_through || c->wire->out.queue.count == 0;
}

static bool all_closed(const struct yd__cursor_wire *c)
{
    for (unsigned i = 0; i < c->count; i++)
        if (!c->cursors[i].closed) return false;
    return c->count > 0;
}

static void end_step(struct yd__cursor_wire *c, struct yd_outbox *box)
{
    if (c->ended || !(c->ending || c->stopping || all_closed(c)) || !caught_up(c)) return;
    bool saving = false;
    for (unsigned i = 0; i < c->count; i++) {
        struct yd__cursor *cursor = &c->cursors[i];
        if (!cursor->saving && !cursor->unsaved && yd__cursor_saves(cursor, yd_out_mono(box), true))
            cursor->last_save = true; /* nobody waits for a disk that cannot */
        saving |= cursor->saving;
    }
    if (saving) return; /* CURSOR_SAVED comes here again */
    for (unsigned i = 0; i < c->count; i++)
        if (c->cursors[i].unsaved) tell_unsaved(c, &c->cursors[i]);
    c->ended = true;
    yd__wire_end(c->run, c->wire, box);
    yd__run_one_ended(c->run);
}

static void save_step(struct yd__cursor_wire *c, struct yd_outbox *box)
{
    if (!c->name || c->save_timer || c->ended) return;
    int64_t now = yd_out_mono(box), due = INT64_MAX;
    for (unsigned i = 0; i < c->count; i++) {
        const struct yd__cursor *cursor = &c->cursors[i];
        if (cursor->acknowledged == cursor->saved || cursor->saving || !cursor->log) continue;
        due = YD_MIN(due, cursor->saved_at + c->run->save_interval_ns);
    }
    if (due == INT64_MAX) return;
    c->save_timer = true;
    yd_out_timer(box, YD__TIMER_CURSOR, YD_MAX(now, due));
}

static void save_due(struct yd__cursor_wire *c, int64_t now)
{
    c->save_timer = false;
    for (unsigned i = 0; i < c->count; i++)
        if (!yd__cursor_saves(&c->cursors[i], now, false)) c->cursors[i].saved_at = now; /* later, with the others */
}

/* Answered once for each STREAM_DOWN, also when there was nothing open: an element that could not be opened again goes
 * down once more. */
static void stream_down_step(struct yd__cursor_wire *c, struct yd_outbox *box)
{
    if (!c->going_down) return;
    for (unsigned i = 0; i < c->count; i++)
        if (!yd__cursor_idle(&c->cursors[i])) return;
    for (unsigned i = 0; i < c->count; i++) yd__cursor_close(&c->cursors[i]);
    c->going_down = false;
    (void)yd_out_new(box, c->from->pid, YD__ENV_STREAM_IS_DOWN, YD_SYSTEM);
}

static void stream_up(struct yd__cursor_wire *c)
{
    for (unsigned i = 0; i < c->count; i++) {
        c->cursors[i].log = c->from->stream.logs[i]; /* they stay until this process has said that it let go */
        c->cursors[i].rewind = true;                 /* what is out may be sent twice, as after any break */
        c->cursors[i].last_save = c->cursors[i].unsaved = false; /* of another life of the log */
    }
}

/* What this cursor waits for may be kept until it is worth a write. */
static void tell_keepers(struct yd__cursor_wire *c, struct yd_outbox *box)
{
    for (uint32_t i = 0; i < c->run->element_count; i++)
        if (c->run->elements[i].class->flags & YD_CLASS_KEEPS)
            (void)yd_out_new(box, c->run->elements[i].pid, YD__ENV_SETTLE, YD_SYSTEM);
}

static void stream_end(struct yd__cursor_wire *c, bool up)
{
    c->ending = true;
    if (!up) c->stopping = true;
    for (unsigned i = 0; i < c->count; i++) {
        struct yd_log_position position = {0};
        if (up) yd_log_position(c->from->stream.logs[i], &position);
        c->cursors[i].end = position.memory;
    }
}

static void add_stat(struct yd__cursor_wire *c, struct yd__cursor *cursor, struct yd_wire_stat *stat)
{
    struct yd_log_position position = {0};
    if (cursor->log && !c->going_down) yd_log_position(cursor->log, &position);
    if (cursor->reader && !cursor->reading) cursor->seen = yd_log_reader_seqno(cursor->reader);
    stat->read += cursor->seen;
    stat->acknowledged += cursor->acknowledged;
    stat->saved += cursor->saved == UINT64_MAX ? 0 : cursor->saved;
    stat->end += c->level == YD_ACK_MEMORY    ? position.memory
                 : c->level == YD_ACK_WRITTEN ? position.written
                                              : position.durable;
    stat->gaps += cursor->gaps;
    stat->gap_records += cursor->gap_records;
    stat->rewinds += cursor->rewinds;
    stat->forgotten += cursor->forgotten;
}

/* Of a stream with several partitions it says the sums: what is left to read is right. */
static void publish(struct yd__cursor_wire *c)
{
    struct yd_wire_stat stat = c->wire->out.stat;
    stat.queued_bytes = c->wire->out.queue_bytes;
    stat.queued_records = c->wire->out.queue_records;
    stat.in_flight_bytes = c->wire->window_bytes - (uint64_t)c->wire->out.credit_bytes;
    stat.in_flight_records = c->wire->window_records - (uint64_t)c->wire->out.credit_records;
    stat.ended = c->ended;
    stat.read = stat.acknowledged = stat.saved = stat.end = stat.gaps = stat.gap_records = stat.rewinds = 0;
    stat.forgotten = 0;
    for (unsigned i = 0; i < c->count; i++) add_stat(c, &c->cursors[i], &stat);
    yd_lock_take(&c->lock);
    c->wire->published = stat;
    yd_lock_give(&c->lock);
    atomic_fetch_sub_explicit(&c->run->stat_waits, 1, memory_order_release); /* pairs with yd_run_stat_wait */
}

static void handle(struct yd__cursor_wire *c, struct yd_envelope *e, struct yd_outbox *box)
{
    switch (e->type) {
    case YD__ENV_START:
    case YD__ENV_MOVED:
        yd__stream_took(c->sub);
        break;
    case YD__ENV_CREDIT:
        yd__wire_credit(c->run, c->wire, box, e);
        break;
    case YD__ENV_ACK:
        yd__cursor_answered(&c->cursors[e->arg[3] >> 32], e->arg[0], (int)(int64_t)e->arg[1]);
        break;
    case YD__ENV_CURSOR_READ:
        yd__cursor_read_done(&c->cursors[e->arg[0]]);
        break;
    case YD__ENV_CURSOR_SAVED:
        yd__cursor_save_done(&c->cursors[e->arg[0]]);
        break;
    case YD_ENV_TIMER:
        save_due(c, yd_out_mono(box));
        break;
    case YD__ENV_REBUILD:
        for (unsigned i = 0; i < c->count; i++) c->cursors[i].rewind = c->cursors[i].rebuild = true;
        break;
    case YD__ENV_STREAM_DOWN:
        c->going_down = true;
        break;
    case YD__ENV_STREAM_UP:
        stream_up(c);
        break;
    case YD__ENV_STREAM_END:
        stream_end(c, e->arg[0]);
        tell_keepers(c, box);
        break;
    case YD__ENV_STOP_READING:
        c->stopping = true;
        tell_keepers(c, box);
        break;
    case YD__ENV_FORCE:
        c->stopping = true;
        for (unsigned i = 0; i < c->count; i++)
            c->cursors[i].unanswered = 0; /* not acknowledged: sent again by the next run */
        (void)yd__wire_cut(c->run, c->wire, box);
        break;
    default:
        break; /* WORK */
    }
}

static enum yd_turn receive(void *state, struct yd_envelope *e, struct yd_outbox *box)
{
    struct yd__cursor_wire *c = state;
    if (e->type == YD_ENV_STOP) return YD_TURN_STOP;
    handle(c, e, box);
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

void yd__cursor_wire_setup(struct yd__cursor_wire *c, struct yd_run *run, struct yd__flow_wire *wire)
{
    const struct yd_wire *def = wire->def;
    bool rebuilds = run->elements[def->to].class->flags & YD_CLASS_REBUILDS;
    c->run = run;
    c->wire = wire;
    c->from = &run->elements[def->from];
    c->name = rebuilds ? NULL : def->cursor;
    c->level = def->read_level ? def->read_level : YD_ACK_DURABLE;
    yd_lock_init(&c->lock);
}

int yd__cursor_wire_open(struct yd__cursor_wire *c)
{
    static const enum yd_log_from wheres[] = {[YD_WIRE_OLDEST] = YD_FROM_OLDEST,
                                              [YD_WIRE_TAIL] = YD_FROM_TAIL,
                                              [YD_WIRE_SEQNO] = YD_FROM_SEQNO,
                                              [YD_WIRE_TIME] = YD_FROM_TIME};
    const struct yd_wire *def = c->wire->def;
    c->cursors = calloc(c->from->stream.count, sizeof *c->cursors);
    if (!c->cursors) return YD_ENOMEM;
    struct yd_element *reader = &c->run->elements[def->to];
    bool fresh = reader->class->fresh && reader->class->fresh(reader->state);
    int error = 0;
    for (; !error && c->count < c->from->stream.count; c->count++) {
        struct yd__cursor *cursor = &c->cursors[c->count];
        cursor->run = c->run;
        cursor->owner = c->pid;
        cursor->key = c->count;
        cursor->name = c->name;
        cursor->fresh = fresh;
        cursor->identity = c->wire->hash;
        cursor->level = c->level;
        cursor->hide = true;
        if (!(c->run->elements[def->to].class->flags & YD_CLASS_REBUILDS))
            cursor->start = (struct yd_log_start){
                .from = wheres[def->from_where], .seqno = def->from_seqno, .time_ns = def->from_time_ns};
        error = yd_lane_open(c->run->options.pool, &cursor->lane);
        if (!error) error = yd__cursor_open(cursor, c->from->stream.logs[c->count]);
    }
    return error;
}

void yd__cursor_wire_fini(struct yd__cursor_wire *c)
{
    if (!c->run) return;
    for (unsigned i = 0; i < c->count; i++) {
        struct yd__cursor *cursor = &c->cursors[i];
        if (cursor->lane) yd_lane_close(cursor->lane);
        yd__cursor_close(cursor);
        free(cursor->sent);
    }
    free(c->cursors);
    c->cursors = NULL;
    c->count = 0;
    yd_lock_fini(&c->lock);
}
