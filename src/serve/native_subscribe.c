/* serve/native_subscribe.c: SUBSCRIBE: batches to whoever asked for them, as fast as he takes them.
 *
 *   caught up: the memory's tail, batches shared, no system call but the send
 *   behind:    a job finds a run of whole frames in a file (yd_log_reader_extent) ─▶ sendfile, in the loop
 *              or, with a pattern or out of a twin, reads some batches ─▶ shared writes
 *
 * What tombstones cover is left out (log/forgotten.c), unless all was asked for: a run of frames ends before a batch
 * with such records, and of that batch what stays is sent as slices, each with its seqnos.
 *
 * One job at a time for each subscription; the next one is on its way while the last run is being sent. Nothing is
 * sent beyond the credit, nor while the peer leaves more than BACKLOG_MAX unread: a slow reader stops itself alone. */
#include "serve/native_internal.h"

#include <stdlib.h>

#include "io/file.h"
#include "log/extent.h"
#include "log/mend.h"
#include <yarder/batch.h>
#include <yarder/name.h>

#define SUBS_MAX    1024
#define BACKLOG_MAX ((size_t)2 << 20)
#define RUN_MAX     ((uint64_t)1 << 20) /* one BATCHES frame, and one turn of one subscription */
#define GATHER      64
#define SKIP_TELL   65536 /* records passed over: the peer is told where it is */

struct yd__native_sub {
    struct yd__native_peer *peer;
    struct yd__native_handle *handle; /* NULL: the peer or the stream has gone */
    struct yd__native_sub *next, **at;
    struct yd_log *log; /* a reference */
    struct yd_log_reader *reader;
    struct yd_lane *lane; /* made with the first cold read */
    struct yd_pattern *pattern;
    struct yd_log_start start;
    char *names, *cursor;
    uint64_t correlation, until, stop_at, count, next_told;
    uint64_t begin; /* records below it were not asked for, though the first batch may have some */
    int64_t credit, interval_ns, told_ns;
    uint32_t kinds;
    bool notify, ended, begun, busy, all;
    uint64_t passed;            /* behind what the reader gave last, and what of it was left out */
    uint64_t hidden;            /* records left out and not counted yet */
    struct cut {                /* a batch of which something is left out: what is before `at` is done with */
        struct yd_batch *batch; /* NULL: none */
        uint8_t *keep;          /* NULL: nobody could say what is left out, and the subscription ends before it */
        uint32_t at;
    } cut;
    /* the job, while busy */
    struct yd__native_job job;
    struct yd_batch *batches[GATHER];
    uint32_t batch_count;
    uint64_t run_max, run_until;
    struct yd_log_extent extent; /* file: NULL: none */
    struct yd_log_gap gap;
    int error;
    /* of a notifier */
    struct yd_timer *timer;
    struct yd_log_position position;
    bool timed;
    bool untold; /* the peer left too much unread when the position moved last */
};

/* ---- the end ---- */

static void end_cut(struct yd__native_sub *sub)
{
    yd_batch_unref(sub->cut.batch);
    free(sub->cut.keep);
    sub->cut = (struct cut){0};
}

/* The seqno to go on with. */
static uint64_t place(const struct yd__native_sub *sub)
{
    const struct cut *cut = &sub->cut;
    return cut->batch ? cut->batch->header.base_seqno + cut->at : yd_log_reader_seqno(sub->reader);
}

static void free_sub(struct yd__native_sub *sub)
{
    end_cut(sub);
    for (uint32_t i = 0; i < sub->batch_count; i++) yd_batch_unref(sub->batches[i]);
    yd_file_close(sub->extent.file);
    yd_log_reader_close(sub->reader);
    yd_timer_close(sub->timer);
    if (sub->lane) yd_lane_close(sub->lane); /* idle */
    yd_pattern_destroy(sub->pattern);
    yd_log_unref(sub->log);
    free(sub->names);
    free(sub->cursor);
    free(sub);
}

static void unlink_sub(struct yd__native_sub *sub)
{
    if (!sub->at) return;
    *sub->at = sub->next;
    if (sub->next) sub->next->at = sub->at;
    sub->at = NULL;
    sub->handle = NULL;
    sub->peer->sub_count--;
    sub->peer->native->stat.subscriptions--;
}

/* Off the peer's list; freed now, or by its job. */
static void drop(struct yd__native_sub *sub)
{
    unlink_sub(sub);
    sub->ended = true;
    if (!sub->busy) free_sub(sub);
}

static void end(struct yd__native_sub *sub, int error)
{
    /* While a job has the reader only what was told is known; it is where to go on, too. */
    uint64_t next = sub->reader && !sub->busy ? place(sub) : sub->next_told;
    struct yd_msg_end message = {.error = error, .next = next};
    struct yd_str text = error ? yd_str_of(yd_error_text(error)) : (struct yd_str){0};
    message.text_size = (uint16_t)text.size;
    struct yd__native_peer *peer = sub->peer;
    uint64_t correlation = sub->correlation;
    drop(sub);
    yd__native_send(peer, YD_MSG_END, 0, correlation, &message, sizeof message, text);
}

void yd__native_subs_close(struct yd__native_peer *peer)
{
    while (peer->subs) drop(peer->subs);
}

void yd__native_subs_end(struct yd__native_handle *handle, int error)
{
    struct yd__native_peer *peer = handle->peer;
    struct yd__native_sub *next;
    for (struct yd__native_sub *sub = peer->subs; sub && !peer->dead; sub = next) {
        next = sub->next;
        if (sub->handle == handle) end(sub, error);
    }
}

/* ---- sending ---- */

/* Records of a batch that match; all when there is nothing to match. 0: it is passed over. */
static uint64_t matches(struct yd__native_sub *sub, const struct yd_batch *batch)
{
    struct yd_native *native = sub->peer->native;
    const struct yd_view *view = &batch->view;
    if (sub->kinds && !(batch->header.kinds & sub->kinds)) return 0;
    bool all_kinds = !sub->kinds || !(batch->header.kinds & ~sub->kinds);
    const uint64_t base = batch->header.base_seqno;
    const uint32_t first = sub->begin > base ? (uint32_t)YD_MIN(sub->begin - base, (uint64_t)view->count) : 0;
    if (!sub->pattern && all_kinds) return batch->header.count - first;
    if (native->scratch_size < view->name_count) {
        uint8_t *scratch = realloc(native->scratch, view->name_count);
        if (!scratch) return batch->header.count; /* what is given may hold records that do not match */
        native->scratch = scratch;
        native->scratch_size = view->name_count;
    }
    for (uint32_t i = 0; i < view->name_count; i++)
        native->scratch[i] = !sub->pattern || yd_pattern_match(sub->pattern, yd_view_name(view, i));
    uint64_t count = 0;
    for (uint32_t i = first; i < view->count; i++) {
        const struct yd_record *record = &view->records[i];
        count += native->scratch[record->name] && (!sub->kinds || (sub->kinds & YD_KIND_BIT(record->kind)));
    }
    return count;
}

static void spend(struct yd__native_sub *sub, uint64_t bytes, uint64_t next)
{
    struct yd_native_stat *stat = &sub->peer->native->stat;
    sub->credit -= (int64_t)bytes;
    sub->next_told = next;
    sub->begun = true;
    stat->sent_bytes += bytes;
}

/* One BATCHES frame of these; takes the references. false: the peer has gone. */
static bool send_batches(struct yd__native_sub *sub, struct yd_batch **batches, uint32_t count, uint64_t next)
{
    struct yd__native_peer *peer = sub->peer;
    uint64_t size = 0;
    for (uint32_t i = 0; i < count; i++) size += batches[i]->header.size;
    struct yd_msg_batches message = {.next = next};
    spend(sub, size + sizeof message, next);
    peer->native->stat.sent_batches += count;
    int error = yd__native_begin(peer, YD_MSG_BATCHES, 0, sub->correlation, &message, sizeof message, size);
    for (uint32_t i = 0; i < count; i++) {
        if (!error) error = yd__native_write_batch(peer, batches[i]);
        yd_batch_unref(batches[i]);
    }
    return !peer->dead;
}

static bool is_over(const struct yd__native_sub *sub)
{
    uint64_t seqno = place(sub);
    return sub->count == 0 || seqno >= sub->until || seqno >= sub->stop_at;
}

static int set_off(struct yd__native_sub *sub);

static bool send_extent(struct yd__native_sub *sub)
{
    struct yd__native_peer *peer = sub->peer;
    struct yd_log_extent extent = sub->extent;
    struct yd_msg_batches message = {.next = extent.next};
    sub->extent.file = NULL;
    spend(sub, extent.size + sizeof message, extent.next);
    if (sub->count != UINT64_MAX) sub->count -= YD_MIN(sub->count, extent.records);
    peer->native->stat.file_bytes += extent.size;
    int error = yd__native_begin(peer, YD_MSG_BATCHES, 0, sub->correlation, &message, sizeof message, extent.size);
    if (!error) { /* the next one is looked for while this one is sent; if it cannot be, then the next turn tries */
        if (sub->credit > 0 && !is_over(sub) && yd_stream_backlog(peer->stream) <= BACKLOG_MAX) (void)set_off(sub);
        error = yd_stream_send_file(peer->stream, extent.file, extent.offset, extent.size);
        if (error && error != YD_ECLOSED) yd__native_peer_close(peer);
    }
    yd_file_close(extent.file);
    return !peer->dead; /* the subscription may have gone with it */
}

static void send_gap(struct yd__native_sub *sub, const struct yd_log_gap *gap)
{
    struct yd_str reason = yd_str_of(gap->reason ? gap->reason : "");
    struct yd_msg_gap message = {.from = gap->from, .to = gap->to, .reason_size = (uint16_t)reason.size};
    yd__native_send(sub->peer, YD_MSG_GAP, 0, sub->correlation, &message, sizeof message, reason);
}

/* ---- reading, without what is covered ---- */

/* The next run of records of the cut that stay. */
static int next_slice(struct yd__native_sub *sub, struct yd_batch **ret_batch)
{
    struct cut *cut = &sub->cut;
    const uint32_t count = cut->batch->view.count, first = cut->at;
    uint32_t end = first;
    while (end < count && cut->keep[end]) end++;
    int error = yd_batch_slice(cut->batch, first, end - first, ret_batch);
    if (error) return error;
    while (end < count && !cut->keep[end]) end++;
    cut->at = end;
    sub->passed = cut->batch->header.base_seqno + end;
    if (end == count) end_cut(sub);
    return 0;
}

/* Is something of this batch covered? Then it is the cut, which takes it over, unless nothing stays of it. */
static int cut_batch(struct yd__native_sub *sub, struct yd_batch *batch)
{
    uint32_t hidden, at = 0;
    uint8_t *keep;
    int error = yd_log_hidden(sub->log, sub->start.level, batch, &keep, &hidden);
    if (error || !hidden) return error;
    sub->hidden += hidden;
    while (at < batch->view.count && !keep[at]) at++;
    sub->cut = (struct cut){batch, keep, at};
    if (at == batch->view.count) end_cut(sub);
    return YD_EBUSY;
}

/* yd_log_reader_next, by slices where something is left out. *ret_whole: it is as the log has it. Outside of a job:
 * YD_EBUSY when files have to be read, or when much was left out: in another turn. */
static int read_next(struct yd__native_sub *sub, bool in_job, struct yd_batch **ret_batch, bool *ret_whole,
                     struct yd_log_gap *gap)
{
    for (int looked = 0;; looked++) {
        if (sub->cut.batch) {
            *ret_whole = false;
            return next_slice(sub, ret_batch);
        }
        if (in_job ? looked == 4 * GATHER : looked == GATHER || yd_log_reader_cold(sub->reader)) return YD_EBUSY;
        struct yd_batch *batch;
        int error = yd_log_reader_next(sub->reader, &batch, gap);
        if (error) return error;
        const uint64_t base = batch->header.base_seqno, next = base + batch->header.count;
        if (!sub->all && in_job) error = yd_log_hidden_load(sub->log, base);
        if (!error && !sub->all && yd_log_may_hide(sub->log, base)) error = cut_batch(sub, batch);
        if (error == YD_EBUSY) {
            sub->passed = sub->cut.batch ? place(sub) : next;
            continue;
        }
        if (error) { /* the reader is behind it, and nobody was given it: the place to go on with is before it */
            const uint64_t skip = sub->begin > base ? YD_MIN(sub->begin, next) - base : 0;
            sub->cut = (struct cut){batch, NULL, (uint32_t)skip};
            return error;
        }
        sub->passed = next;
        *ret_batch = batch;
        *ret_whole = true;
        return 0;
    }
}

/* ---- what touches files: a job ---- */

static void read_cursor(struct yd__native_sub *sub)
{
    struct yd_cursor cursor;
    int error = yd_log_cursor_load(sub->log, sub->cursor, &cursor);
    if (!error) {
        sub->start.from = YD_FROM_SEQNO;
        sub->start.seqno = cursor.seqno;
        sub->start.epoch = cursor.epoch;
    }
    sub->error = error == YD_ENOENT ? 0 : error;
    free(sub->cursor);
    sub->cursor = NULL;
}

static void count_hidden(struct yd__native_sub *sub)
{
    sub->peer->native->stat.hidden_records += sub->hidden;
    sub->hidden = 0;
}

/* plain: what has nothing covered should not come this way. */
static void read_some(struct yd__native_sub *sub, bool plain)
{
    uint64_t bytes = 0, hidden = sub->hidden;
    for (int looked = 0; sub->batch_count < GATHER && bytes < sub->run_max && looked < 4 * GATHER; looked++) {
        struct yd_batch *batch;
        bool whole;
        sub->error = read_next(sub, true, &batch, &whole, &sub->gap);
        if (sub->error) return;
        sub->batches[sub->batch_count++] = batch;
        bytes += batch->header.size;
        if (sub->passed >= sub->run_until || (plain && whole && sub->hidden != hidden)) return;
    }
}

static int open_reader(struct yd__native_sub *sub)
{
    int error = yd_log_reader_open(sub->log, &sub->start, &sub->reader);
    if (!error && sub->start.from != YD_FROM_TIME) sub->begin = yd_log_reader_seqno(sub->reader);
    return error;
}

static void work(struct yd__native_job *job)
{
    struct yd__native_sub *sub = YD_CONTAINER(job, struct yd__native_sub, job);
    sub->error = 0;
    if (sub->cursor) read_cursor(sub);
    if (!sub->error && !sub->reader) sub->error = open_reader(sub);
    if (sub->error) return;
    bool plain = !sub->pattern && !sub->kinds && sub->start.from != YD_FROM_TIME;
    if (plain && !sub->all) sub->error = yd_log_hidden_load(sub->log, yd_log_reader_seqno(sub->reader));
    if (sub->error) return;
    if (plain && !sub->cut.batch &&
        yd_log_reader_extent(sub->reader, sub->run_max, sub->run_until, !sub->all, &sub->extent) == 0)
        return;
    if (sub->cut.batch || yd_log_reader_cold(sub->reader)) read_some(sub, plain);
}

static void run_later(struct yd__native_sub *sub)
{
    yd__native_want_turn(sub->peer);
}

static bool tell_begin(struct yd__native_sub *sub, uint64_t next)
{
    return sub->begun || send_batches(sub, NULL, 0, next);
}

static void done(struct yd__native_job *job)
{
    struct yd__native_sub *sub = YD_CONTAINER(job, struct yd__native_sub, job);
    struct yd__native_peer *peer = sub->peer;
    sub->busy = false;
    if (!sub->ended) count_hidden(sub);
    if (sub->ended) {
        free_sub(sub);
        return;
    }
    if (!sub->reader) {
        end(sub, sub->error);
        return;
    }
    if (sub->start.from != YD_FROM_TIME && !tell_begin(sub, sub->begin)) return;
    sub->start.from = YD_FROM_SEQNO; /* a time is found now */
    if (sub->extent.file) {
        if (send_extent(sub)) run_later(sub);
        return;
    }
    struct yd_batch *kept[GATHER];
    uint32_t kept_count = 0;
    uint64_t next = sub->passed;
    for (uint32_t i = 0; i < sub->batch_count; i++) {
        struct yd_batch *batch = sub->batches[i];
        const uint64_t batch_end = batch->header.base_seqno + batch->header.count;
        uint64_t count = matches(sub, batch);
        if (count && sub->count != UINT64_MAX) sub->count -= YD_MIN(sub->count, count);
        if (count)
            kept[kept_count++] = batch;
        else
            yd_batch_unref(batch);
        if (sub->count > 0) continue;
        next = batch_end;
        while (++i < sub->batch_count) yd_batch_unref(sub->batches[i]); /* enough */
    }
    sub->batch_count = 0;
    if ((kept_count || next >= sub->next_told + SKIP_TELL) && !send_batches(sub, kept, kept_count, next)) return;
    if (!tell_begin(sub, place(sub))) return;
    if (sub->error == YD_EGAP) send_gap(sub, &sub->gap);
    if (peer->dead) return;
    if (sub->error && sub->error != YD_EGAP && sub->error != YD_EAGAIN && sub->error != YD_EBUSY)
        end(sub, sub->error);
    else
        run_later(sub);
}

static int set_off(struct yd__native_sub *sub)
{
    struct yd__native_peer *peer = sub->peer;
    sub->job.work = work;
    sub->job.done = done;
    sub->run_max = YD_MIN((uint64_t)YD_MAX(sub->credit, 1), RUN_MAX);
    sub->run_until = YD_MIN(sub->until, sub->stop_at);
    if (sub->count != UINT64_MAX && sub->reader && !sub->pattern && !sub->kinds)
        sub->run_until = YD_MIN(sub->run_until, place(sub) + sub->count);
    sub->passed = sub->next_told;
    sub->gap = (struct yd_log_gap){0};
    int error = sub->lane ? 0 : yd_lane_open(peer->native->options.pool, &sub->lane);
    if (!error) error = yd__native_submit(peer->native, sub->lane, peer, &sub->job);
    sub->busy = error == 0;
    return error;
}

/* ---- out of memory's tail ---- */

static void tell_position(struct yd__native_sub *sub);

/* Sends what there is, up to a turn's share. 1: more in another turn; 0: nothing now; -1: the peer has gone. */
static int run(struct yd__native_sub *sub)
{
    struct yd__native_peer *peer = sub->peer;
    struct yd_batch *batches[GATHER];
    uint32_t count = 0;
    uint64_t bytes = 0;
    int error = 0;
    struct yd_log_gap gap = {0};
    if (sub->untold && !sub->timed) {
        tell_position(sub);
        return -(int)peer->dead;
    }
    if (sub->busy || sub->notify) return 0;
    if (!sub->reader) {
        error = set_off(sub);
        if (error) end(sub, error);
        return -(int)peer->dead;
    }
    if (yd_stream_backlog(peer->stream) > BACKLOG_MAX || sub->credit <= 0) return 0;
    sub->passed = sub->next_told;
    while (count < GATHER && bytes < RUN_MAX && (int64_t)bytes < sub->credit && !is_over(sub)) {
        struct yd_batch *batch;
        bool whole;
        error = read_next(sub, false, &batch, &whole, &gap);
        if (error) break;
        uint64_t found = matches(sub, batch);
        if (found && sub->count != UINT64_MAX) sub->count -= YD_MIN(sub->count, found);
        if (!found) {
            yd_batch_unref(batch);
            continue;
        }
        batches[count++] = batch;
        bytes += batch->header.size;
    }
    count_hidden(sub);
    const uint64_t next = sub->passed;
    if ((count || next >= sub->next_told + SKIP_TELL) && !send_batches(sub, batches, count, next)) return -1;
    if (error == YD_EGAP) send_gap(sub, &gap);
    if (peer->dead) return -1;
    if (is_over(sub)) {
        end(sub, 0);
    } else if (error == YD_EBUSY) {
        error = set_off(sub);
        if (error) end(sub, error);
    } else if (error && error != YD_EAGAIN && error != YD_EGAP) {
        end(sub, error);
    } else {
        return error != YD_EAGAIN;
    }
    return peer->dead ? -1 : 0;
}

bool yd__native_subs_run(struct yd__native_peer *peer)
{
    bool more = false;
    struct yd__native_sub *next;
    for (struct yd__native_sub *sub = peer->subs; sub; sub = next) {
        next = sub->next;
        int result = run(sub);
        if (result < 0) return false;
        /* Those without credit or behind a backlog are woken by what they wait for. */
        more |= result > 0;
    }
    return more && yd_stream_backlog(peer->stream) <= BACKLOG_MAX;
}

/* ---- positions only ---- */

static void tell_position(struct yd__native_sub *sub)
{
    const struct yd_log_position *position = &sub->position;
    sub->untold = yd_stream_backlog(sub->peer->stream) > BACKLOG_MAX;
    if (sub->untold) return; /* the next one says it all; if none moves any more, this one when it has been read */
    struct yd_msg_position message = {.first = position->first,
                                      .written = position->written,
                                      .durable = position->durable,
                                      .replicated = position->replicated,
                                      .segment = position->segment,
                                      .offset = position->offset,
                                      .epoch = position->epoch};
    sub->told_ns = yd_loop_mono(sub->peer->native->loop);
    yd__native_send(sub->peer, YD_MSG_POSITION, 0, sub->correlation, &message, sizeof message, (struct yd_str){0});
}

static void fire(void *arg)
{
    struct yd__native_sub *sub = arg;
    struct yd__native_peer *peer = sub->peer;
    sub->timed = false;
    yd__native_peer_pin(peer);
    tell_position(sub);
    yd__native_peer_unpin(peer);
}

static void notify(struct yd__native_sub *sub, const struct yd_log_position *position)
{
    const struct yd_log_position *last = &sub->position;
    if (last->written == position->written && last->durable == position->durable && last->first == position->first &&
        last->replicated == position->replicated)
        return;
    sub->position = *position;
    if (sub->timed) return;
    int64_t due = sub->told_ns + sub->interval_ns;
    if (due <= yd_loop_mono(sub->peer->native->loop)) {
        tell_position(sub);
        return;
    }
    if (!sub->timer && yd_timer_create(sub->peer->native->loop, fire, sub, &sub->timer)) return; /* the next one */
    sub->timed = true;
    yd_timer_start(sub->timer, due);
}

void yd__native_subs_moved(struct yd__native_handle *handle, const struct yd_log_position *position)
{
    struct yd__native_peer *peer = handle->peer;
    bool wants = false;
    for (struct yd__native_sub *sub = peer->subs; sub && !peer->dead; sub = sub->next) {
        if (sub->handle != handle) continue;
        if (sub->notify)
            notify(sub, position);
        else
            wants |= !sub->busy;
    }
    if (wants && !peer->dead) yd__native_want_turn(peer);
}

/* ---- messages ---- */

static struct yd__native_sub *find_sub(struct yd__native_peer *peer, uint64_t correlation)
{
    struct yd__native_sub *sub = peer->subs;
    while (sub && sub->correlation != correlation) sub = sub->next;
    return sub;
}

int yd__native_credit(struct yd__native_peer *peer, const struct yd__native_frame *frame)
{
    const struct yd_msg_credit *message = (const void *)frame->body;
    struct yd__native_sub *sub = find_sub(peer, frame->head.correlation);
    if (!sub) return 0; /* it has ended meanwhile */
    int64_t most = INT64_MAX - YD_MAX(sub->credit, 0);
    sub->credit += (int64_t)YD_MIN(message->bytes, (uint64_t)most);
    run_later(sub);
    return 0;
}

int yd__native_cancel(struct yd__native_peer *peer, const struct yd__native_frame *frame)
{
    struct yd__native_sub *sub = find_sub(peer, frame->head.correlation);
    if (sub) end(sub, 0);
    return 0;
}

static uint64_t position_at(const struct yd_log_position *position, unsigned level)
{
    return level == YD_ACK_MEMORY       ? position->memory
           : level == YD_ACK_WRITTEN    ? position->written
           : level == YD_ACK_REPLICATED ? position->replicated
                                        : position->durable;
}

static char *copy_text(struct yd_str text)
{
    return text.size ? strndup(text.data, text.size) : NULL;
}

static int make_sub(struct yd__native_peer *peer, struct yd__native_handle *handle,
                    const struct yd_msg_subscribe *message, struct yd_str names, struct yd_str cursor,
                    struct yd__native_sub **ret_sub)
{
    struct yd__native_sub *sub = calloc(1, sizeof *sub);
    if (!sub) return YD_ENOMEM;
    sub->peer = peer;
    sub->handle = handle;
    sub->log = yd_log_ref(handle->stream->log);
    sub->notify = (message->flags & YD_SUBSCRIBE_NOTIFY) != 0;
    sub->all = (message->flags & YD_SUBSCRIBE_ALL) != 0;
    sub->kinds = message->kinds;
    sub->until = message->until;
    sub->count = message->count;
    sub->stop_at = UINT64_MAX;
    sub->credit = (int64_t)YD_MIN(message->credit, (uint64_t)INT64_MAX);
    sub->interval_ns = message->interval_ms * YD_NS_PER_MS;
    sub->names = copy_text(names);
    sub->cursor = copy_text(cursor);
    sub->start = (struct yd_log_start){.from = message->from,
                                       .seqno = message->seqno,
                                       .time_ns = message->time_ns,
                                       .epoch = message->epoch,
                                       .level = message->level,
                                       .names = sub->names,
                                       .kinds = message->kinds};
    int error = (names.size && !sub->names) || (cursor.size && !sub->cursor) ? YD_ENOMEM : 0;
    if (!error && names.size) error = yd_pattern_compile(names, &sub->pattern);
    if (!error && !sub->cursor && !sub->notify) error = open_reader(sub);
    if (error) {
        free_sub(sub);
        return error;
    }
    *ret_sub = sub;
    return 0;
}

int yd__native_subscribe(struct yd__native_peer *peer, const struct yd__native_frame *frame)
{
    struct yd_msg_subscribe message;
    struct yd_str names, cursor;
    size_t at = sizeof message;
    memcpy(&message, frame->body, sizeof message);
    if (!yd__native_text(frame, &at, message.names_size, &names) ||
        !yd__native_text(frame, &at, message.cursor_size, &cursor))
        return YD_EFORMAT;
    uint64_t correlation = frame->head.correlation;
    struct yd__native_handle *handle = yd__native_handle(peer, message.handle);
    struct yd__native_sub *sub = NULL;
    if (!message.level) message.level = YD_ACK_DURABLE;
    const char *why = !handle                             ? "there is no such handle"
                      : message.from > YD_FROM_TIME       ? "from: 0 to 3"
                      : message.level > YD_ACK_REPLICATED ? "a read level from 1 to 4"
                      : message.kinds & ~YD_KINDS_ALL     ? "unknown kinds"
                      : find_sub(peer, correlation)       ? "this correlation is a subscription's already"
                      : peer->sub_count >= SUBS_MAX       ? "too many subscriptions on one connection"
                                                          : NULL;
    if (!why && yd__native_refuse_whole(handle, correlation, "subscribe to each of")) return 0;
    int error = why ? YD_EINVAL : make_sub(peer, handle, &message, names, cursor, &sub);
    if (error) {
        yd__native_refuse(peer, correlation, &(struct yd_msg_refused){.error = error}, "%s",
                          why ? why : yd_error_text(error));
        return 0;
    }
    sub->correlation = correlation;
    yd_log_position(sub->log, &sub->position);
    if (message.flags & YD_SUBSCRIBE_STOP) sub->stop_at = position_at(&sub->position, message.level);
    sub->at = &peer->subs;
    sub->next = peer->subs;
    if (sub->next) sub->next->at = &sub->next;
    peer->subs = sub;
    peer->sub_count++;
    peer->native->stat.subscriptions++;
    if (sub->notify) {
        tell_position(sub);
        return 0;
    }
    if (sub->reader && message.from != YD_FROM_TIME && !tell_begin(sub, yd_log_reader_seqno(sub->reader))) return 0;
    run_later(sub);
    return 0;
}
