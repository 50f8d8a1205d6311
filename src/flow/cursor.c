/* Reading a log under acknowledgement: for the process of a cursor wire, and for a wire that spills.
 *
 *   reader --(memory)----------------------> batch + ticket + origin --> wire
 *      \--(cold: on the lane, CURSOR_READ)-/
 *   tickets answered --> acknowledged: everything below has been --> saved on the lane, at most every interval
 *
 * With `hide`, records that a tombstone of the log covers are left out: of a batch with such a part is handed out that
 * stands for all of it; a batch that is covered as a whole is acknowledged by being passed over.
 *
 * A ticket answered with YD_ECANCELED ("send it again") makes the cursor go back: it stops reading, waits until all it
 * has sent is answered, and begins again at what is acknowledged, in a new generation. Other errors are final: the
 * records were counted where that was decided. YD_ECLOSED: the reader takes nothing any more; the cursor stays where it
 * is for the next run. */
#include <stdlib.h>

#include "flow/runtime.h"
#include "log/mend.h"

#define PASSES_MAX 64 /* batches left out at one call: then the lane goes on */

static int open_reader(struct yd__cursor *cursor, const struct yd_log_start *start)
{
    return yd_log_reader_open(cursor->log, start, &cursor->reader);
}

int yd__cursor_open(struct yd__cursor *cursor, struct yd_log *log)
{
    cursor->log = log;
    struct yd_log_start start = cursor->start;
    struct yd_cursor kept;
    int error = cursor->name && !cursor->fresh ? yd_log_cursor_load(log, cursor->name, &kept) : YD_ENOENT;
    if (error == 0) start = (struct yd_log_start){.from = YD_FROM_SEQNO, .seqno = kept.seqno, .epoch = kept.epoch};
    if (error < 0 && error != YD_ENOENT) return error;
    start.level = (enum yd_ack)cursor->level;
    int result = open_reader(cursor, &start);
    if (result < 0) return result;
    cursor->acknowledged = yd_log_reader_seqno(cursor->reader);
    cursor->saved = error == 0 ? cursor->acknowledged : UINT64_MAX;
    return 0;
}

static bool go_back(struct yd__cursor *cursor)
{
    if (cursor->unanswered || cursor->reading) return false;
    yd_batch_unref(cursor->have && cursor->result == 0 ? cursor->batch : NULL);
    cursor->have = false;
    cursor->sent_base += cursor->sent_count;
    cursor->sent_first = cursor->sent_count = 0;
    struct yd_log_start start = {.from = YD_FROM_SEQNO, .seqno = cursor->acknowledged};
    if (cursor->rebuild) start = cursor->start;
    start.level = (enum yd_ack)cursor->level;
    yd_log_reader_close(cursor->reader);
    cursor->reader = NULL;
    if (open_reader(cursor, &start) < 0) return false; /* out of memory: the next pull tries again */
    if (cursor->rebuild) cursor->acknowledged = yd_log_reader_seqno(cursor->reader);
    cursor->rewind = cursor->rebuild = false;
    cursor->generation++;
    cursor->rewinds++;
    return true;
}

static void read_cold(void *arg)
{
    struct yd__cursor *cursor = arg;
    cursor->result = yd_log_reader_next(cursor->reader, &cursor->batch, &cursor->gap);
    if (cursor->result == 0 && cursor->hide) { /* tombstones from before the log was opened: in files */
        cursor->result = yd_log_hidden_load(cursor->log, cursor->batch->header.base_seqno);
        if (cursor->result < 0) yd_batch_unref(cursor->batch);
    }
    yd__tell(cursor->run, cursor->owner, YD__ENV_CURSOR_READ, cursor->key, 0);
}

void yd__cursor_read_done(struct yd__cursor *cursor)
{
    cursor->reading = false;
    cursor->have = cursor->result != YD_EAGAIN; /* what came while it read is looked for once more */
}

static bool remember_sent(struct yd__cursor *cursor, uint64_t next)
{
    if (cursor->sent_count == cursor->sent_capacity) {
        uint32_t capacity = cursor->sent_capacity ? cursor->sent_capacity * 2 : 64;
        struct yd__sent *sent = malloc(capacity * sizeof *sent);
        if (!sent) return false;
        for (uint32_t i = 0; i < cursor->sent_count; i++)
            sent[i] = cursor->sent[(cursor->sent_first + i) & (cursor->sent_capacity - 1)];
        free(cursor->sent);
        cursor->sent = sent;
        cursor->sent_first = 0;
        cursor->sent_capacity = capacity;
    }
    uint32_t at = (cursor->sent_first + cursor->sent_count) & (cursor->sent_capacity - 1);
    cursor->sent[at] = (struct yd__sent){next, 0};
    cursor->sent_count++;
    cursor->unanswered++;
    return true;
}

/* Nothing is handed out for [.., next): it is acknowledged with what was handed out before it. */
static bool pass_over(struct yd__cursor *cursor, uint64_t next)
{
    if (cursor->sent_count == 0) {
        cursor->acknowledged = next;
        return true;
    }
    struct yd__sent *last = &cursor->sent[(cursor->sent_first + cursor->sent_count - 1) & (cursor->sent_capacity - 1)];
    if (last->answered == 1) {
        last->next = next;
        return true;
    }
    if (!remember_sent(cursor, next)) return false;
    last = &cursor->sent[(cursor->sent_first + cursor->sent_count - 1) & (cursor->sent_capacity - 1)];
    last->answered = 1;
    cursor->unanswered--;
    return true;
}

/* What stays of a batch, with the header of the whole: its place and time in the stream. Takes the reference. */
static int leave_out(struct yd_batch *batch, const uint8_t *keep, struct yd_batch **ret_batch)
{
    struct yd_batch *part;
    int error = yd_batch_select(batch, keep, &part);
    if (!error) {
        struct yd_header header = part->header;
        header.base_seqno = batch->header.base_seqno;
        header.log_id = batch->header.log_id;
        header.epoch = batch->header.epoch;
        header.append_time = batch->header.append_time;
        error = yd_batch_restamp(part, &header, ret_batch);
        yd_batch_unref(part);
    }
    yd_batch_unref(batch);
    return error;
}

/* *batch without what is covered; NULL when nothing stays. An error: it is read again. */
static int without_hidden(struct yd__cursor *cursor, struct yd_batch **batch)
{
    uint8_t *keep;
    uint32_t hidden;
    const uint64_t next = (*batch)->header.base_seqno + (*batch)->header.count;
    int error = yd_log_hidden(cursor->log, (enum yd_ack)cursor->level, *batch, &keep, &hidden);
    if (!error && !hidden) return 0;
    if (!error && hidden < (*batch)->header.count) {
        error = leave_out(*batch, keep, batch);
    } else {
        yd_batch_unref(*batch);
        *batch = NULL;
        if (!error && !pass_over(cursor, next)) error = YD_ENOMEM;
    }
    free(keep);
    cursor->forgotten += error ? 0 : hidden;
    cursor->rewind |= error != 0;
    return error;
}

static int hand_out(struct yd__cursor *cursor, struct yd_batch *batch, const struct yd_header *header,
                    struct yd_batch **ret_batch, struct yd__ticket **ret_ticket, struct yd__origin *ret_origin)
{
    uint64_t next = header->base_seqno + header->count;
    if (!remember_sent(cursor, next)) {
        yd_batch_unref(batch);
        cursor->rewind = true; /* it is read again */
        return YD_EAGAIN;
    }
    uint64_t cookie = cursor->sent_base + cursor->sent_count - 1;
    struct yd__ticket *ticket =
        yd__ticket_new(cursor->run->hub, YD__TICKET_CURSOR, cursor->owner, cookie, YD_ACK_DURABLE, cursor->key, NULL);
    if (!ticket) {
        yd_batch_unref(batch);
        cursor->sent_count--;
        cursor->unanswered--;
        cursor->rewind = true;
        return YD_EAGAIN;
    }
    /* Each epoch of the stream is a range of its own: after a cut its seqnos mean other records. And what an older
     * epoch sends again, behind a newer one, is still known. */
    *ret_origin = (struct yd__origin){.id = yd__mix(yd__mix(cursor->identity, header->log_id), header->epoch),
                                      .last = next - 1,
                                      .epoch = 1,
                                      .span = header->count - 1,
                                      .generation = cursor->generation};
    *ret_batch = batch;
    *ret_ticket = ticket;
    return 0;
}

/* The next batch of the log as it is there. */
static int read_one(struct yd__cursor *cursor, bool by_lane, struct yd_batch **ret_batch, struct yd_log_gap *ret_gap)
{
    if (cursor->have) {
        cursor->have = false;
        *ret_batch = cursor->batch;
        if (cursor->result == YD_EGAP) *ret_gap = cursor->gap;
        return cursor->result;
    }
    if (!by_lane && !yd_log_reader_cold(cursor->reader)) return yd_log_reader_next(cursor->reader, ret_batch, ret_gap);
    cursor->result = YD_EAGAIN;
    cursor->reading = yd_lane_submit(cursor->lane, read_cold, NULL, NULL, cursor) >= 0;
    return YD_EAGAIN;
}

int yd__cursor_pull(struct yd__cursor *cursor, struct yd_batch **ret_batch, struct yd__ticket **ret_ticket,
                    struct yd__origin *ret_origin, struct yd_log_gap *ret_gap)
{
    if (cursor->closed || !cursor->log || cursor->reading) return YD_EAGAIN;
    if ((cursor->rewind || !cursor->reader) && !go_back(cursor)) return YD_EAGAIN;
    if (cursor->unanswered >= YD__CURSOR_SENT_MAX) return YD_EBUSY;
    struct yd_batch *batch = NULL;
    struct yd_header whole;
    for (int passes = 0; !batch; passes++) {
        int result = read_one(cursor, passes == PASSES_MAX, &batch, ret_gap);
        if (result == YD_EGAP) {
            cursor->gaps++;
            /* Cut back: the reader was ahead of an end that was lost. `to` is before `from`. */
            cursor->gap_records += ret_gap->to > ret_gap->from ? ret_gap->to - ret_gap->from : 0;
            if (cursor->sent_count == 0) cursor->acknowledged = yd_log_reader_seqno(cursor->reader);
            return YD_EGAP;
        }
        if (result < 0) return result;
        whole = batch->header;
        if (cursor->hide && yd_log_may_hide(cursor->log, whole.base_seqno) && without_hidden(cursor, &batch) < 0)
            return YD_EAGAIN;
    }
    return hand_out(cursor, batch, &whole, ret_batch, ret_ticket, ret_origin);
}

void yd__cursor_answered(struct yd__cursor *cursor, uint64_t cookie, int error)
{
    uint64_t at = cookie - cursor->sent_base;
    if (cookie < cursor->sent_base || at >= cursor->sent_count) return;
    struct yd__sent *sent = &cursor->sent[(cursor->sent_first + at) & (cursor->sent_capacity - 1)];
    if (sent->answered) return;
    cursor->unanswered--;
    sent->answered = error == YD_ECANCELED || error == YD_ECLOSED ? 2 : 1;
    if (error == YD_ECANCELED) cursor->rewind = true;
    if (error == YD_ECLOSED) cursor->closed = true;
    while (cursor->sent_count && cursor->sent[cursor->sent_first & (cursor->sent_capacity - 1)].answered == 1) {
        cursor->acknowledged = cursor->sent[cursor->sent_first & (cursor->sent_capacity - 1)].next;
        cursor->sent_first++;
        cursor->sent_count--;
        cursor->sent_base++;
    }
}

static void save(void *arg)
{
    struct yd__cursor *cursor = arg;
    cursor->save_error = yd_log_cursor_save(cursor->log, cursor->name, cursor->save_seqno);
    yd__tell(cursor->run, cursor->owner, YD__ENV_CURSOR_SAVED, cursor->key, 0);
}

bool yd__cursor_saves(struct yd__cursor *cursor, int64_t now, bool at_once)
{
    if (!cursor->name || !cursor->log || cursor->saving || cursor->acknowledged == cursor->saved) return false;
    if (!at_once && now - cursor->saved_at < cursor->run->save_interval_ns) return false;
    cursor->save_seqno = cursor->acknowledged;
    cursor->saved_at = now;
    cursor->saving = yd_lane_submit(cursor->lane, save, NULL, NULL, cursor) >= 0;
    return cursor->saving;
}

void yd__cursor_save_done(struct yd__cursor *cursor)
{
    cursor->saving = false;
    if (cursor->save_error == 0)
        cursor->saved = cursor->save_seqno;
    else
        cursor->unsaved = cursor->last_save;
}

bool yd__cursor_idle(const struct yd__cursor *cursor)
{
    return !cursor->reading && !cursor->saving;
}

/* Lets go of the log; what has been sent stays to be answered. */
void yd__cursor_close(struct yd__cursor *cursor)
{
    if ((cursor->have || cursor->reading) && cursor->result == 0) yd_batch_unref(cursor->batch);
    cursor->have = cursor->reading = false;
    yd_log_reader_close(cursor->reader);
    cursor->reader = NULL;
    cursor->log = NULL;
}
