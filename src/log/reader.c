/* log/reader.c: reading a stream: from memory while caught up, from the files when not.
 *
 *   seqno ─▶ at or beyond the read level?  nothing yet
 *         ─▶ in the tail?                  a reference, no system call
 *         ─▶ else                          files.c: the segment that holds it, frame by frame, checked
 *
 * A reader of a folder (yd_log_reader_open_dir) has no tail; the control page of the live writer says how far it may
 * go. Of a stopped stream it reads up to the last checkpoint, and on while frames are good. A gap is told once, then
 * the reader stands behind it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/reader.h"

static int create(struct yd_fs *fs, const char *dir, const struct yd_log_start *start, struct yd_log_reader **ret)
{
    struct yd_log_reader *reader = calloc(1, sizeof *reader);
    if (!reader) return YD_ENOMEM;
    reader->cut_to = UINT64_MAX;
    reader->fs = fs;
    reader->dir = strdup(dir);
    reader->level = start->level ? start->level : YD_ACK_DURABLE;
    reader->time_ns = start->time_ns;
    reader->by_time = start->from == YD_FROM_TIME;
    reader->copy = start->copy;
    int error = reader->dir ? yd__match_create(start, &reader->match) : YD_ENOMEM;
    if (error) {
        free(reader->dir);
        free(reader);
        return error;
    }
    *ret = reader;
    return 0;
}

/* Where a start lies in [first, end); epoch_end: where the start's epoch was cut. */
static void place(struct yd_log_reader *reader, const struct yd_log_start *start, uint64_t first, uint64_t end,
                  uint64_t epoch_end)
{
    if (start->from == YD_FROM_TAIL)
        reader->seqno = end;
    else if (start->from == YD_FROM_SEQNO)
        reader->seqno = start->seqno;
    else
        reader->seqno = first;
    uint64_t bound = YD_MIN(end, epoch_end);
    if (start->from == YD_FROM_SEQNO && reader->seqno > bound) {
        reader->pending = (struct yd_log_gap){reader->seqno, bound, "cut back"};
        reader->seqno = bound;
    }
}

int yd_log_reader_open(struct yd_log *log, const struct yd_log_start *start, struct yd_log_reader **ret_reader)
{
    if (log->options.readonly) return yd_log_reader_open_dir(log->fs, log->dir, start, ret_reader, NULL);
    struct yd_log_reader *reader;
    int error = create(log->fs, log->dir, start, &reader);
    if (error) return error;
    reader->log = yd_log_ref(log);
    reader->copy = true; /* a signal would end the writer, too */
    reader->log_id = log->log_id;
    yd_lock_take(&log->mutex);
    if (log->closed) {
        yd_lock_give(&log->mutex);
        yd_log_reader_close(reader);
        return YD_ECLOSED;
    }
    uint64_t epoch_end = UINT64_MAX;
    /* The table of epochs changes only while opening. */
    if (start->epoch != 0 && start->epoch < log->epoch) epoch_end = yd__epoch_end(&log->checkpoint, start->epoch);
    place(reader, start, log->first, log->tail.next_seqno, epoch_end);
    reader->taken = reader->by_time ? 0 : reader->seqno;
    reader->next = log->readers;
    reader->at = &log->readers;
    if (reader->next) reader->next->at = &reader->next;
    log->readers = reader;
    yd_lock_give(&log->mutex);
    *ret_reader = reader;
    return 0;
}

static int open_control(struct yd_log_reader *reader, struct yd__checkpoint *ret_checkpoint, struct yd_trail *trail)
{
    char path[YD__PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/control", reader->dir);
    int error = yd_fs_open(reader->fs, path, YD_OPEN_READ, &reader->control_file);
    struct yd_stat now = {0};
    if (!error) error = yd_file_stat(reader->control_file, &now);
    if (!error && now.size < YD__CONTROL_SIZE) error = YD_ECORRUPT;
    void *address = NULL;
    if (!error) error = yd_file_map(reader->control_file, 0, YD__CONTROL_SIZE, false, &address);
    if (error) return yd_trail_add(trail, error, "%s: %s", path, yd_error_text(error));
    reader->control = address;
    bool sure;
    error = yd__control_latest(reader->control, ret_checkpoint, &sure);
    if (error) return yd_trail_add(trail, YD_ECORRUPT, "%s holds no good checkpoint", path);
    return 0;
}

int yd_log_reader_open_dir(struct yd_fs *fs, const char *dir, const struct yd_log_start *start,
                           struct yd_log_reader **ret_reader, struct yd_trail *trail)
{
    if (!fs) fs = yd_fs_linux();
    if (strlen(dir) + 64 > YD__PATH_SIZE) return yd_trail_add(trail, YD_ETOOBIG, "the folder's name is too long");
    struct yd_log_reader *reader;
    int error = create(fs, dir, start, &reader);
    if (error) return error;
    if (reader->level == YD_ACK_MEMORY) reader->level = YD_ACK_WRITTEN; /* all that files can show */
    struct yd__checkpoint checkpoint;
    error = open_control(reader, &checkpoint, trail);
    uint64_t oldest, base;
    if (!error) error = yd__bases_find(reader, 0, &base, &oldest);
    if (!error) oldest = base;
    if (error == YD_ENOENT && reader->bases.listed) error = 0;
    if (!error) {
        if (reader->bases.count == 0) oldest = checkpoint.durable_seqno;
        reader->log_id = checkpoint.log_id;
        reader->checked = checkpoint.durable_seqno;
        reader->epoch_seen = checkpoint.epoch;
        yd__reader_look(reader);
        uint64_t epoch_end = UINT64_MAX, end = reader->end_known ? reader->end : UINT64_MAX;
        if (start->epoch != 0 && start->epoch < checkpoint.epoch) epoch_end = yd__epoch_end(&checkpoint, start->epoch);
        if (start->from == YD_FROM_TAIL && !reader->end_known) end = checkpoint.durable_seqno;
        place(reader, start, oldest, end, epoch_end);
    }
    if (error) {
        yd_log_reader_close(reader);
        return error;
    }
    *ret_reader = reader;
    return 0;
}

uint64_t yd__readers_taken(const struct yd_log *log)
{
    uint64_t taken = UINT64_MAX;
    for (const struct yd_log_reader *reader = log->readers; reader; reader = reader->next)
        taken = YD_MIN(taken, reader->taken);
    return taken;
}

static void unlink_reader(struct yd_log_reader *reader)
{
    *reader->at = reader->next;
    if (reader->next) reader->next->at = reader->at;
    reader->at = NULL;
}

void yd_log_reader_close(struct yd_log_reader *reader)
{
    if (!reader) return;
    if (reader->log) {
        yd_lock_take(&reader->log->mutex);
        if (reader->at) unlink_reader(reader); /* never linked: the log was closed already */
        yd_lock_give(&reader->log->mutex);
    }
    yd__reader_leave(reader);
    yd_log_unref(reader->log);
    if (reader->control) yd_fs_unmap(reader->fs, reader->control, YD__CONTROL_SIZE);
    yd_file_close(reader->control_file);
    yd__match_destroy(reader->match);
    yd__bases_fini(&reader->bases);
    free(reader->dir);
    free(reader);
}

uint64_t yd__log_end(const struct yd_log *log, enum yd_ack level)
{
    return level == YD_ACK_MEMORY ? log->tail.next_seqno : level == YD_ACK_WRITTEN ? log->written : log->durable;
}

/* The writer has come back after a crash that cost the end: whoever was beyond it is moved back, and told. */
static void look_for_cut(struct yd_log_reader *reader, uint32_t epoch)
{
    struct yd__checkpoint checkpoint;
    bool sure;
    if (yd__control_latest(reader->control, &checkpoint, &sure) || checkpoint.epoch < epoch) return;
    uint64_t end = yd__epoch_end(&checkpoint, reader->epoch_seen);
    yd__bases_forget(&reader->bases);
    if (reader->seqno > end && !reader->by_time) {
        reader->pending = (struct yd_log_gap){reader->seqno, end, "cut back"};
        reader->seqno = end;
        yd__reader_leave(reader);
    }
    reader->checked = checkpoint.durable_seqno;
    reader->epoch_seen = epoch;
}

/* How far a reader of a folder may go now. */
void yd__reader_look(struct yd_log_reader *reader)
{
    const struct yd__control *control = reader->control;
    /* Acquire: pairs with the writer's releases in yd__control_publish. */
    bool live = yd__writer_alive(control);
    uint64_t written = __atomic_load_n(&control->written_seqno, __ATOMIC_ACQUIRE);
    uint64_t durable = __atomic_load_n(&control->durable_seqno, __ATOMIC_ACQUIRE);
    bool closed = __atomic_load_n(&control->state, __ATOMIC_ACQUIRE) == YD__STATE_CLOSED;
    uint32_t epoch = __atomic_load_n(&control->epoch, __ATOMIC_ACQUIRE);
    if (live && epoch > reader->epoch_seen) look_for_cut(reader, epoch);
    reader->end_known = live || closed;
    reader->end = !reader->end_known ? UINT64_MAX : reader->level == YD_ACK_WRITTEN ? written : durable;
    if (closed) reader->end = YD_MAX(reader->end, reader->checked);
}

static bool is_closed(struct yd_log *log)
{
    yd_lock_take(&log->mutex);
    bool closed = log->closed;
    yd_lock_give(&log->mutex);
    return closed;
}

/* A follower was cut back: is the reader further? Under the log's mutex. */
static bool was_cut(struct yd_log_reader *reader, uint64_t seqno, struct yd_log_gap *ret_gap)
{
    uint64_t to = reader->cut_to;
    reader->cut_to = UINT64_MAX;
    if (to >= seqno) return false;
    *ret_gap = (struct yd_log_gap){seqno, to, "cut back"};
    reader->seqno = to;
    return true;
}

static int log_next(struct yd_log_reader *reader, struct yd_batch **ret_batch, struct yd_log_gap *ret_gap)
{
    struct yd_log *log = reader->log;
    yd_lock_take(&log->mutex);
    uint64_t end = yd__log_end(log, reader->level);
    uint64_t seqno = reader->seqno, in_files = YD_MIN(end, log->written);
    reader->taken = seqno;
    reader->log_id = log->log_id; /* a follower's, with its first segment */
    struct yd_batch *batch = NULL;
    int error = 0;
    if (log->closed) {
        error = YD_ECLOSED;
    } else if (was_cut(reader, seqno, ret_gap)) {
        yd__reader_leave(reader);
        error = YD_EGAP;
    } else if (seqno >= end) {
        error = YD_EAGAIN;
    } else if (seqno < log->first) {
        *ret_gap = (struct yd_log_gap){seqno, log->first, "retention"};
        reader->seqno = log->first;
        yd__reader_leave(reader);
        error = YD_EGAP;
    } else {
        batch = yd__tail_find(&log->tail, seqno);
        if (batch) yd_batch_ref(batch);
    }
    yd_lock_give(&log->mutex);
    if (error) return error;
    if (!batch) {
        error = yd__reader_next_in_files(reader, in_files, ret_batch, ret_gap);
        if (error) { /* cut back meanwhile: what it met in the files is that */
            yd_lock_take(&log->mutex);
            bool cut = was_cut(reader, seqno, ret_gap), cutting = log->cutting;
            yd_lock_give(&log->mutex);
            if (cut || cutting) yd__reader_leave(reader);
            if (cut) return YD_EGAP;
            if (cutting) { /* it is told where the cut is when that is done */
                reader->seqno = seqno;
                return YD_EAGAIN;
            }
        }
        if (error && error != YD_EGAP && is_closed(log)) error = YD_ECLOSED; /* meanwhile: whatever it met */
        return error;
    }
    yd__reader_leave(reader); /* no file is held while caught up */
    reader->seqno = batch->header.base_seqno + batch->header.count;
    *ret_batch = batch;
    return 0;
}

static int any_next(struct yd_log_reader *reader, struct yd_batch **ret_batch, struct yd_log_gap *ret_gap)
{
    if (reader->pending.reason) {
        *ret_gap = reader->pending;
        reader->pending = (struct yd_log_gap){0};
        return YD_EGAP;
    }
    if (reader->by_time) {
        int error = yd__reader_find_time(reader);
        if (error) return error;
        reader->by_time = false;
    }
    if (reader->log) return log_next(reader, ret_batch, ret_gap);
    if (!reader->end_known || reader->seqno >= reader->end) yd__reader_look(reader);
    if (reader->pending.reason) return any_next(reader, ret_batch, ret_gap);
    if (reader->seqno >= reader->end) return YD_EAGAIN;
    int error = yd__reader_next_in_files(reader, reader->end, ret_batch, ret_gap);
    /* What was read says more than the page did when it was looked at: a follower's page learns its leader's epochs
     * late. */
    if (!error && (*ret_batch)->header.epoch > reader->epoch_seen) reader->epoch_seen = (*ret_batch)->header.epoch;
    return error;
}

int yd_log_reader_next(struct yd_log_reader *reader, struct yd_batch **ret_batch, struct yd_log_gap *ret_gap)
{
    struct yd_log_gap none;
    if (!ret_gap) ret_gap = &none;
    for (;;) {
        uint64_t before = reader->seqno;
        int error = any_next(reader, ret_batch, ret_gap);
        if (!reader->match) return error;
        if (error == YD_EAGAIN && reader->seqno > before) continue; /* something was passed over */
        if (error || yd__match_batch(reader->match, *ret_batch)) return error;
        yd_batch_unref(*ret_batch);
    }
}

uint64_t yd_log_reader_passed(const struct yd_log_reader *reader)
{
    return yd__match_passed(reader->match);
}

bool yd_log_reader_cold(struct yd_log_reader *reader)
{
    if (reader->pending.reason) return false;
    if (reader->by_time || !reader->log) return true;
    struct yd_log *log = reader->log;
    yd_lock_take(&log->mutex);
    uint64_t end = yd__log_end(log, reader->level);
    bool cold = reader->seqno < end && reader->seqno >= log->first && reader->seqno < yd__tail_first(&log->tail);
    yd_lock_give(&log->mutex);
    return cold;
}

uint64_t yd_log_reader_seqno(const struct yd_log_reader *reader)
{
    return reader->seqno;
}
