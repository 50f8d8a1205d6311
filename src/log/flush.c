/* log/flush.c: group commit: one round writes all that waits, syncs once, and tells.
 *
 *   tail's unwritten batches ─▶ writev runs into the active segment ─▶ `written` moves ─▶ fdatasync ─▶ `durable` moves
 *                                   | full: sync it, begin the next                          all that came meanwhile
 *                                                                                            is the next round
 *
 * The orders that make it true (each is left out by the simulator to prove that it matters):
 * 1. a segment is begun only when everything before it is durable: its head is evidence for recovery;
 * 2. a new segment's name is synced before anything in it is called durable;
 * 3. durable moves only after the sync that covers it;
 * 4. heads and indexes speak of producers as written, not as appended (producers.c).
 * A write or a sync that fails is final. No space for a new segment is not: the rest stays queued. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/internal.h"

#define STAGED_MAX   8192 /* frames up to this size are copied together: fewer parts to write */
#define STAGING_SIZE (UINT64_C(1) << 20)
#define PARTS_MAX    1024
#define FORGET_STEP  (UINT64_C(4) << 20)
#define FORGET_AFTER (UINT64_C(16) << 20)        /* kept in the page cache behind the end, for readers of the files */
#define FILLED_SOON  (INT64_C(10) * YD_NS_PER_S) /* a segment that lasted less is followed by a larger one */
#define FILLED_LATE  (INT64_C(600) * YD_NS_PER_S)

void yd__fail(struct yd_log *log, int error)
{
    yd_lock_take(&log->mutex);
    if (!log->failed) log->failed = error == YD_EREADONLY ? YD_EIO : error;
    yd__control_publish(log);
    pthread_cond_broadcast(&log->moved);
    yd_lock_give(&log->mutex);
    yd__moved(log);
}

/* ---- one run of frames into the active segment ---- */

struct run {
    struct yd_log *log;
    uint64_t offset; /* of the first byte not yet handed to the kernel */
    uint64_t size;   /* collected in parts */
    int part_count;
    size_t staged;
};

static int run_write(struct run *run)
{
    struct yd_log *log = run->log;
    if (run->size == 0) return 0;
    int error = yd_file_writev(log->active->file, log->parts, run->part_count, run->offset);
    run->offset += run->size;
    run->size = 0;
    run->part_count = 0;
    run->staged = 0;
    return error;
}

static void run_part(struct run *run, const void *bytes, size_t size)
{
    struct iovec *parts = run->log->parts;
    struct iovec *last = run->part_count ? &parts[run->part_count - 1] : NULL;
    if (last && (const char *)last->iov_base + last->iov_len == bytes)
        last->iov_len += size;
    else
        parts[run->part_count++] = (struct iovec){(void *)(uintptr_t)bytes, size};
    run->size += size;
}

static int run_add(struct run *run, const struct yd_batch *batch)
{
    static const char padding[YD_BATCH_ALIGN];
    const struct yd_header *header = &batch->header;
    if (run->part_count + 3 > PARTS_MAX || run->staged + YD_MAX(STAGED_MAX, sizeof *header) > STAGING_SIZE) {
        int error = run_write(run);
        if (error) return error;
    }
    char *staged = run->log->staging + run->staged;
    if (header->size <= STAGED_MAX) {
        yd_batch_to_bytes(batch, staged);
        run->staged += header->size;
        run_part(run, staged, header->size);
        return 0;
    }
    run_part(run, header, sizeof *header);
    run_part(run, batch->body->data, header->body_size);
    size_t pad = header->size - sizeof *header - header->body_size;
    if (pad > 0) run_part(run, padding, pad);
    return 0;
}

/* All memory that counting the group will take is taken before it is written: written and counted in part, it would be
 * written again behind itself, and a producer forgotten could send again what is there. */
static int make_ready(struct yd_log *log, struct yd_batch *const *group, uint32_t count)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) bytes += group[i]->header.size;
    int error = yd__producers_reserve(&log->written_producers, group, count);
    if (error) return error;
    yd_lock_take(&log->mutex);
    error = yd__segment_room(log->active, count, bytes);
    yd_lock_give(&log->mutex);
    return error;
}

/* Writes group[0, count), which fits the active segment, counts it and moves `written`. */
static int write_group(struct yd_log *log, struct yd_batch *const *group, uint32_t count)
{
    struct yd__segment *active = log->active;
    struct run run = {.log = log, .offset = active->data_end};
    uint64_t from = run.offset;
    int error = make_ready(log, group, count);
    yd__disk_begin(log);
    for (uint32_t i = 0; i < count && !error; i++) error = run_add(&run, group[i]);
    if (!error) error = run_write(&run);
    yd__disk_end(log, &log->writes);
    if (error) return error;
    log->dirty = true;
    log->checkpoint_bytes += run.offset - from;

    for (uint32_t i = 0; i < count; i++) { /* what needs no lock is done before it is taken */
        log->group_names[i] = yd__view_names(&group[i]->header, &group[i]->view);
        yd__segment_digest(active, &group[i]->header);
    }
    yd_lock_take(&log->mutex);
    uint64_t offset = from;
    for (uint32_t i = 0; i < count && !error; i++) {
        error = yd__segment_account(active, &group[i]->header, offset, &log->group_names[i]);
        offset += group[i]->header.size;
    }
    if (!error) {
        yd__tail_written(&log->tail, count);
        log->written = active->next;
        for (uint32_t i = 0; log->options.follower && !YD__SKIPS(YD__SKIP_EPOCH_TABLE) && i < count; i++)
            yd__epoch_note(&log->checkpoint, group[i]->header.epoch, group[i]->header.base_seqno);
        if (YD__SKIPS(YD__SKIP_PUBLISH_LATE)) log->durable = log->written;
        yd__control_publish(log);
    }
    yd_lock_give(&log->mutex);
    for (uint32_t i = 0; i < count && !error; i++)
        error = yd__producers_note(&log->written_producers, &group[i]->header);
    return error;
}

static int sync_active(struct yd_log *log)
{
    if (!log->dirty) return 0;
    yd__disk_begin(log);
    int error = YD__SKIPS(YD__SKIP_DATA_SYNC) ? 0 : yd_file_sync(log->active->file);
    yd__disk_end(log, &log->syncs);
    if (error) return YD_EIO; /* whatever it said: never to be tried again */
    log->dirty = false;
    yd_lock_take(&log->mutex);
    log->durable = log->written;
    (void)yd__replicas_update(log);
    log->active->durable_end = log->active->data_end;
    if (log->compressor && log->started) pthread_cond_signal(&log->squeeze);
    yd__control_publish(log);
    yd_lock_give(&log->mutex);
    return 0;
}

/* A busy stream would fill all memory with pages that nobody reads, and taking a fresh page costs more than writing it
 * (on a virtual machine, whose host must find it too, eight times as much). Pages that are given back early are still
 * warm when the next ones are taken. In-process readers have the tail; others that keep up have FORGET_AFTER. */
static void forget_behind(struct yd_log *log, uint64_t keep)
{
    struct yd__segment *active = log->active;
    if (!active || log->group_average < YD__GROUP_LARGE || active->data_end < active->forgotten + keep) return;
    uint64_t until = (active->data_end - keep) & ~(uint64_t)(YD__SEGMENT_ALIGN - 1);
    if (keep && until - active->forgotten < FORGET_STEP) return;
    yd_file_forget(active->file, active->forgotten, until - active->forgotten);
    active->forgotten = until;
}

/* ---- the next segment ---- */

/* The stream's rate chooses the size: what was full within seconds is followed by a larger one. */
static uint64_t next_size(const struct yd_log *log, int64_t now)
{
    uint64_t size = log->segment_size;
    if (!log->active) return size;
    int64_t lasted = now - log->active->begun_at;
    if (lasted < FILLED_SOON)
        size *= 4;
    else if (lasted > FILLED_LATE)
        size /= 2;
    return YD_MIN(YD_MAX(size, log->options.segment_size_min), log->options.segment_size_max);
}

static int name_segment(struct yd_log *log, uint64_t base)
{
    char from[YD__PATH_SIZE], to[YD__PATH_SIZE];
    (void)snprintf(from, sizeof from, "%s/" YD__PREPARED_NAME, log->dir);
    yd__segment_path(to, sizeof to, log->dir, base, ".ylog");
    if (yd_fs_rename(log->fs, from, to)) return YD_EIO;
    if (YD__SKIPS(YD__SKIP_DIR_SYNC)) return 0;
    return yd_fs_sync_dir(log->fs, log->dir) ? YD_EIO : 0;
}

int yd__begin_with(struct yd_log *log, const struct yd__segment_head *head, uint64_t size_min)
{
    struct yd_file *file = NULL;
    struct yd__segment *segment = yd__segment_create(head->base_seqno);
    uint64_t size;
    int error = segment ? yd__take_space(log, head->data_start + size_min, &file, &size) : YD_ENOMEM;
    if (!error) error = yd_file_write(file, head, head->data_start, 0);
    /* Before it has its name: what follows the frames of a segment has its head too, whatever a crash takes here. */
    if (!error && !YD__SKIPS(YD__SKIP_HEAD_SYNC) && yd_file_sync(file)) error = YD_EIO;
    if (!error) error = name_segment(log, head->base_seqno);
    if (segment) yd__space_named(log);
    if (error) {
        yd_file_close(file);
        yd__segment_unref(segment);
        return error;
    }
    segment->file = file;
    segment->file_size = size;
    segment->data_start = head->data_start;
    segment->data_end = head->data_start;
    segment->generation = head->generation;
    segment->epoch = head->epoch;
    segment->prev_crc = head->prev_crc;
    segment->begun_at = head->created_at;
    segment->head_good = true;
    segment->accounted = true;
    log->index_saved = 0;

    yd_lock_take(&log->mutex);
    error = yd__log_add_segment(log, segment);
    if (!error) {
        log->segment_size = next_size(log, segment->begun_at);
        log->active = segment;
        pthread_cond_signal(&log->chores); /* the one before is full: the helper seals it */
    }
    yd_lock_give(&log->mutex);
    if (error) yd__segment_unref(segment);
    return error;
}

static int begin_segment(struct yd_log *log, const struct yd_header *next)
{
    int64_t now = yd__log_now(log);
    uint64_t base = next->base_seqno;
    yd__producers_expire(&log->written_producers, now - log->options.producer_expiry_ns);
    const struct yd__segment *last = log->segment_count ? log->segments[log->segment_count - 1] : NULL;
    struct yd__head_what what = {
        .base = base,
        .log_id = log->log_id,
        .generation = (last ? last->generation : log->checkpoint.generation) + 1,
        .epoch = log->epoch,
        .prev_crc = next->prev_crc,
        .now = now,
        .stream = log->stream,
    };
    char *head;
    uint32_t head_size;
    int error = yd__head_make(&what, &log->written_producers, &head, &head_size);
    if (error) return error;
    error = yd__begin_with(log, (const void *)head, next->size);
    free(head);
    return error;
}

/* An empty segment, resumed, that the batch does not fit: the next one has its name and takes its place. */
void yd__drop_empty(struct yd_log *log)
{
    struct yd__segment *empty = log->active;
    if (!empty || empty->batches > 0) return;
    yd_lock_take(&log->mutex);
    YD_ASSERT(log->segments[log->segment_count - 1] == empty);
    log->segment_count--;
    log->bytes -= empty->file_size;
    empty->retired = true;
    log->active = NULL;
    yd_lock_give(&log->mutex);
    yd__segment_unref(empty);
}

static int roll(struct yd_log *log, const struct yd_header *next)
{
    int error = YD__SKIPS(YD__SKIP_ROLL_SYNC) ? 0 : sync_active(log);
    if (error) return error;
    forget_behind(log, 0);
    yd__drop_empty(log);
    return begin_segment(log, next);
}

/* ---- a round ---- */

static uint32_t collect(struct yd_log *log)
{
    yd_lock_take(&log->mutex);
    const struct yd__tail *tail = &log->tail;
    uint64_t bytes = 0;
    uint32_t count = 0;
    for (uint64_t at = tail->unwritten; at < tail->end && count < YD__GROUP_BATCHES_MAX; at++, count++) {
        struct yd_batch *batch = tail->slots[at & tail->mask];
        if (count > 0 && bytes + batch->header.size > YD__GROUP_BYTES_MAX) break;
        bytes += batch->header.size;
        log->group[count] = batch; /* no reference needed: what is not written is never evicted */
    }
    if (count > 0) log->group_average = (log->group_average * 7 + bytes) / 8;
    yd_lock_give(&log->mutex);
    return count;
}

/* A leader's segment may have been made larger for one batch. */
int yd__grow_active(struct yd_log *log, uint64_t size)
{
    struct yd__segment *active = log->active;
    uint64_t wanted = YD_ALIGN_UP(active->data_end + size, YD__SEGMENT_ALIGN);
    if (wanted <= active->file_size) return 0;
    int error = yd_file_allocate(active->file, active->file_size, wanted - active->file_size);
    if (error) return error;
    yd_lock_take(&log->mutex);
    log->bytes += wanted - active->file_size;
    active->file_size = wanted;
    yd_lock_give(&log->mutex);
    return 0;
}

static uint32_t fitting(const struct yd_log *log, struct yd_batch *const *group, uint32_t count)
{
    if (!log->active) return 0;
    uint64_t end = log->active->data_end;
    uint32_t fits = 0;
    while (fits < count && end + group[fits]->header.size <= log->active->file_size) end += group[fits++]->header.size;
    return fits;
}

static void set_no_space(struct yd_log *log, bool no_space)
{
    yd_lock_take(&log->mutex);
    log->no_space = no_space;
    yd_lock_give(&log->mutex);
}

/* Releases what memory keeps beyond its limit, outside the lock. */
void yd__evict(struct yd_log *log)
{
    struct yd_batch *dropped[64];
    uint32_t count;
    do {
        yd_lock_take(&log->mutex);
        count = yd__tail_evict(&log->tail, log->options.memory_bytes_max, yd__readers_taken(log), dropped,
                               YD_COUNT(dropped));
        yd_lock_give(&log->mutex);
        for (uint32_t i = 0; i < count; i++) yd_batch_unref(dropped[i]);
    } while (count == YD_COUNT(dropped));
}

static void ask_for_space(struct yd_log *log)
{
    const struct yd__segment *active = log->active;
    if (!active || active->data_end * 4 < active->file_size) return;
    yd_lock_take(&log->mutex);
    if (log->started && !log->prepared && !log->preparing && !log->prepare_wanted) {
        log->prepare_wanted = true;
        pthread_cond_signal(&log->chores);
    }
    yd_lock_give(&log->mutex);
}

/* The disk is full: what retention may take goes now, and the ballast. 1: there is more room than before. */
static int make_room(struct yd_log *log)
{
    uint64_t first = log->first; /* changes under io alone while the log is open */
    bool given = yd__ballast_give(log);
    int error = yd__retain(log);
    return error ? error : given || log->first != first;
}

/* Room for a batch that the active segment has none for. */
static int next_place(struct yd_log *log, const struct yd_header *header)
{
    if (!log->options.follower) return roll(log, header);
    return log->active ? yd__grow_active(log, header->size) : YD_EIO; /* rolls where its leader did: follow.c */
}

int yd__flush_round(struct yd_log *log, bool *ret_changed)
{
    *ret_changed = false;
    if (log->failed) return YD_EREADONLY;
    uint32_t count = collect(log), done = 0;
    if (count == 0) return 0;
    int error = 0;
    bool tried = false; /* to make room; again only after something was placed */
    while (done < count && !error) {
        uint32_t fits = fitting(log, log->group + done, count - done);
        if (fits == 0) {
            error = next_place(log, &log->group[done]->header);
            int room = error == YD_ENOSPC && !tried ? make_room(log) : 0;
            if (room) error = room < 0 ? room : 0;
            tried = true;
            if (error == YD_ENOSPC || error == YD_ENOMEM) break; /* nothing was begun: tried again */
        } else {
            error = write_group(log, log->group + done, fits);
            if (error == YD_ENOMEM) break; /* nothing was written */
            done += fits;
            tried = false;
            *ret_changed = true;
            if (!error && done == count) yd__moved(log); /* written */
        }
    }
    /* A sync that failed must not be followed by one that succeeds: the kernel has called the pages clean. */
    bool later = error == YD_ENOSPC || error == YD_ENOMEM;
    if ((error && !later) || sync_active(log)) {
        yd__fail(log, YD_EIO);
        *ret_changed = true;
        return YD_EREADONLY;
    }
    if (log->no_space != (error == YD_ENOSPC)) {
        set_no_space(log, error == YD_ENOSPC);
        *ret_changed = true;
    }
    yd__evict(log);
    forget_behind(log, FORGET_AFTER);
    ask_for_space(log);
    if (log->checkpoint_bytes >= YD__CHECKPOINT_BYTES && yd__checkpoint_now(log, 0)) return YD_EREADONLY;
    return error;
}

int yd_log_flush(struct yd_log *log)
{
    if (log->options.readonly) return YD_EPERM;
    bool changed;
    yd_lock_take(&log->io);
    if (log->gone) {
        yd_lock_give(&log->io);
        return YD_ECLOSED;
    }
    int error = yd__flush_round(log, &changed);
    yd_lock_give(&log->io);
    if (changed) {
        yd_lock_take(&log->mutex);
        if (log->waiters) pthread_cond_broadcast(&log->moved);
        yd_lock_give(&log->mutex);
        yd__moved(log);
    }
    return error;
}
