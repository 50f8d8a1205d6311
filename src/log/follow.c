/* log/follow.c: a follower's half of following: a leader's bytes, checked, at the same places in files of our own.
 *
 *   head of a segment ─▶ flush what waits ─▶ the next segment begins with exactly these bytes
 *   frames            ─▶ seqno, chain, log_id, epoch, both checksums ─▶ end of the tail, as stamped ─▶ flush.c
 *   seal              ─▶ flush what waits ─▶ it must speak of exactly these frames ─▶ behind them, synced, cut to size
 *
 * Nothing here believes the leader: what does not continue what is here is refused, and nothing of it is taken. What is
 * durable here is so by our own syncs. yd_log_follow_check is the leader's view of the same question: does a follower
 * that ends in (seqno, last_crc) continue with what we have? The chain of header checksums answers it; the table of
 * epochs says how far back two logs agree that do not. */
#include <stdlib.h>
#include <string.h>

#include "log/tombs.h"

#define SIZE_HINT_MAX (UINT64_C(256) << 20) /* of space taken because a leader says so; files grow when they must */

void yd_log_place(struct yd_log *log, struct yd_log_place *ret)
{
    yd_lock_take(&log->mutex);
    const struct yd__segment *active = log->active;
    *ret = (struct yd_log_place){
        .log_id = log->log_id,
        .seqno = log->tail.next_seqno,
        .segment = YD__NO_SEGMENT,
        .epoch = log->last_epoch,
        .last_crc = log->last_crc,
        .known_epoch = YD_MAX(log->epoch, log->fence),
        .copy = log->checkpoint.copy,
        .epoch_start = yd__epoch_start(&log->checkpoint, log->last_epoch),
    };
    /* An empty one is begun anew, if the leader has begun it anew. */
    if (active && (active->batches > 0 || active->next > active->base || log->tail.queued_bytes > 0)) {
        ret->segment = active->base;
        ret->offset = active->data_end + log->tail.queued_bytes;
    }
    yd_lock_give(&log->mutex);
}

/* ---- what a leader sends ---- */

/* With io held: all that was queued is durable. */
int yd__flush_all(struct yd_log *log)
{
    bool changed, any = false;
    int error = log->gone ? YD_ECLOSED : 0;
    while (!error && (log->tail.unwritten != log->tail.end || log->dirty)) {
        error = yd__flush_round(log, &changed);
        if (log->tail.unwritten == log->tail.end && log->dirty) error = YD_EREADONLY; /* a round syncs, or fails */
        any |= changed;
        if (!changed) break;
    }
    if (!error && log->tail.unwritten != log->tail.end) error = YD_ENOSPC;
    if (log->failed) error = YD_EREADONLY;
    if (any) yd__moved(log);
    return error;
}

/* Older epochs are the stream's past, when the leader of today sends them; never when one of the past does. */
static int check_leader(const struct yd_log *log, uint32_t epoch)
{
    if (YD__SKIPS(YD__SKIP_FENCE)) return 0;
    if (log->leader_epoch == 0 || log->leader_epoch < YD_MAX(log->epoch, log->fence)) return YD_EEPOCH;
    return epoch < log->last_epoch || epoch > log->leader_epoch ? YD_EEPOCH : 0;
}

int yd_log_follow_leader(struct yd_log *log, uint32_t epoch)
{
    if (!log->options.follower) return YD_EPERM;
    yd_lock_take(&log->io);
    int error = log->gone ? YD_ECLOSED : yd__flush_all(log);
    yd_lock_take(&log->mutex);
    bool newer = epoch > log->epoch, older = epoch < YD_MAX(log->epoch, log->fence);
    if (older && !YD__SKIPS(YD__SKIP_FENCE)) error = error ? error : YD_EEPOCH;
    if (!error) {
        log->leader_epoch = epoch;
        log->epoch = YD_MAX(log->epoch, epoch);
    }
    yd_lock_give(&log->mutex);
    /* Before anything of his is taken: an older one is refused from now on, whatever happens to us. */
    if (!error && newer) error = yd__checkpoint_now(log, 0);
    yd_lock_give(&log->io);
    return error;
}

static int check_head(const struct yd_log *log, const struct yd__segment_head *head)
{
    bool fresh = log->log_id == 0;
    if (strcmp(head->stream, log->stream) != 0 || head->log_id == 0) return YD_EINVAL;
    if (fresh) return log->segment_count == 0 && log->tail.begin == log->tail.end ? 0 : YD_EINVAL;
    if (head->log_id != log->log_id) return YD_EINVAL;
    int error = check_leader(log, head->epoch);
    if (error) return error;
    if (head->base_seqno != log->tail.next_seqno) return YD_EGAP;
    if (head->prev_crc != log->last_crc && !YD__SKIPS(YD__SKIP_CHAIN)) return YD_EGAP;
    const struct yd__segment *last = log->segment_count ? log->segments[log->segment_count - 1] : NULL;
    if (last && last == log->active && last->base != head->base_seqno) return YD_EGAP; /* its seal has to come before */
    return 0;
}

/* The first of all: the stream is the leader's, and begins where his files begin. */
static int adopt(struct yd_log *log, const struct yd__segment_head *head)
{
    int error = 0;
    for (uint32_t i = 0; i < head->producer_count && !error; i++) {
        error = yd__producers_put(&log->written_producers, &head->producers[i]);
        if (!error) error = yd__producers_put(&log->producers, &head->producers[i]);
    }
    if (error) return error;
    yd_lock_take(&log->mutex);
    log->log_id = head->log_id;
    log->tail.next_seqno = log->first = log->written = log->durable = log->replicated = head->base_seqno;
    log->last_crc = head->prev_crc;
    log->control->log_id = head->log_id;
    log->checkpoint.last_crc = head->prev_crc;
    yd_lock_give(&log->mutex);
    return yd__checkpoint_now(log, 0);
}

static int begin(struct yd_log *log, const struct yd__segment_head *head, uint64_t size)
{
    int error = log->log_id == 0 ? adopt(log, head) : 0;
    if (error) return error;
    yd__drop_empty(log);
    size = YD_MIN(size, SIZE_HINT_MAX);
    uint64_t frames = size > head->data_start ? size - head->data_start : 0;
    return yd__begin_with(log, head, frames);
}

int yd_log_follow_segment(struct yd_log *log, const void *bytes, size_t bytes_size, uint64_t size)
{
    if (!log->options.follower) return YD_EPERM;
    struct yd__segment_head *head;
    int error = yd__head_check(bytes, bytes_size, &head);
    if (error) return error;
    yd_lock_take(&log->io);
    error = yd__flush_all(log);
    if (!error) error = check_head(log, head);
    if (!error) {
        error = begin(log, head, size);
        if (error && error != YD_ENOSPC && error != YD_ENOMEM) {
            yd__fail(log, YD_EIO);
            error = YD_EREADONLY;
        }
    }
    yd_lock_give(&log->io);
    free(head);
    return error;
}

static int follow_locked(struct yd_log *log, struct yd_batch *batch)
{
    const struct yd_header *header = &batch->header;
    if (log->closed) return YD_ECLOSED;
    if (log->failed) return YD_EREADONLY;
    if (!log->active || log->log_id == 0) return YD_EGAP; /* a segment's head has to come before */
    if (header->log_id != log->log_id) return YD_EINVAL;
    int error = check_leader(log, header->epoch);
    if (error) return error;
    if (header->base_seqno != log->tail.next_seqno) return YD_EGAP;
    if (header->prev_crc != log->last_crc && !YD__SKIPS(YD__SKIP_CHAIN)) return YD_EGAP;
    if (log->tail.queued_bytes > 0 && log->tail.queued_bytes + header->size > log->options.queue_bytes_max)
        return YD_EFULL;
    error = yd__tail_room(&log->tail);
    if (!error && header->producer_id != 0) error = yd__producers_room(&log->producers);
    if (error) return error;
    (void)yd__producers_note(&log->producers, header); /* room was made */
    log->last_crc = header->header_crc;
    log->last_epoch = header->epoch;
    yd__tail_push(&log->tail, yd_batch_ref(batch));
    return 0;
}

int yd_log_follow_batch(struct yd_log *log, const struct yd_batch *batch)
{
    if (!log->options.follower) return YD_EPERM;
    const struct yd_header *header = &batch->header;
    if (header->count == 0 || yd_header_crc(header) != header->header_crc) return YD_ECORRUPT;
    struct yd__tomb *tombs = NULL;
    int error = yd__tombs_in(batch) ? yd__tombs_of(batch, &tombs) : 0;
    if (error) return error;
    struct yd_batch *shared = yd_batch_ref((struct yd_batch *)(uintptr_t)batch); /* immutable but for its references */
    yd_lock_take(&log->mutex);
    error = follow_locked(log, shared);
    if (!error) {
        yd__tombs_note(log, tombs, header->base_seqno);
        tombs = NULL;
    }
    bool wake = !error && log->sleeping;
    if (wake) log->sleeping = false;
    yd_lock_give(&log->mutex);
    yd__tombs_free(tombs);
    yd_batch_unref(shared);
    if (!error) atomic_fetch_add_explicit(&log->queued_hint, 1, memory_order_relaxed); /* only a hint */
    if (wake) pthread_cond_signal(&log->work);
    return error;
}

/* Does it speak of the frames that are here? */
static int check_seal(const struct yd_log *log, const struct yd__segment *segment, const void *bytes, size_t size)
{
    struct yd__footer footer, own;
    if (size < sizeof footer) return YD_ECORRUPT;
    memcpy(&footer, (const char *)bytes + size - sizeof footer, sizeof footer);
    uint32_t crc = footer.crc;
    footer.crc = 0;
    if (footer.magic != YD__FOOTER_MAGIC || yd_crc32c(0, &footer, sizeof footer) != crc) return YD_ECORRUPT;
    if (footer.version != YD__FOOTER_VERSION) return YD_EVERSION;
    uint64_t index_size = (uint64_t)footer.index_count * sizeof(struct yd__index_entry);
    if (index_size > size - sizeof footer || yd_crc32c(0, bytes, index_size) != footer.index_crc) return YD_ECORRUPT;
    yd__footer_make(segment, log->log_id, &own);
    bool same = footer.log_id == own.log_id && footer.base_seqno == own.base_seqno &&
                footer.next_seqno == own.next_seqno && footer.data_end == own.data_end &&
                footer.last_crc == own.last_crc && footer.headers_crc == own.headers_crc;
    return same ? 0 : YD_EGAP;
}

static int write_seal(struct yd_log *log, struct yd__segment *segment, const void *bytes, size_t size)
{
    uint64_t end = segment->data_end + size;
    int error = yd__grow_active(log, size);
    if (error) return error;
    /* The index is durable before the footer is written: opening believes a footer without reading its index. */
    size_t index_size = size - sizeof(struct yd__footer);
    error = index_size ? yd_file_write(segment->file, bytes, index_size, segment->data_end) : 0;
    if (!error) error = yd_file_sync(segment->file);
    const char *footer = (const char *)bytes + index_size;
    if (!error) error = yd_file_write(segment->file, footer, sizeof(struct yd__footer), segment->data_end + index_size);
    if (!error) error = yd_file_truncate(segment->file, end); /* zeros that no position ever covered */
    if (!error) error = yd_file_sync(segment->file);
    if (error) {
        yd__fail(log, YD_EIO);
        return YD_EREADONLY;
    }
    yd_lock_take(&log->mutex);
    log->bytes += end - segment->file_size;
    segment->file_size = end;
    segment->sealed = true;
    free(segment->index.entries);
    segment->index = (struct yd__index){0};
    struct yd_file *file = segment->file;
    segment->file = NULL;
    log->active = NULL;
    yd_lock_give(&log->mutex);
    yd_file_close(file);
    char path[YD__PATH_SIZE];
    yd__segment_path(path, sizeof path, log->dir, segment->base, ".yidx");
    (void)yd_fs_unlink(log->fs, path); /* may never have been there; the footer has it all */
    return 0;
}

int yd_log_follow_seal(struct yd_log *log, uint64_t base, const void *bytes, size_t size)
{
    if (!log->options.follower) return YD_EPERM;
    yd_lock_take(&log->io);
    int error = yd__flush_all(log);
    struct yd__segment *segment = log->active;
    if (!error && (!segment || segment->base != base)) error = YD_EGAP;
    if (!error) error = check_seal(log, segment, bytes, size);
    if (!error) error = write_seal(log, segment, bytes, size);
    if (!error) (void)yd__checkpoint_now(log, 0); /* of where the next one begins: recovery need not walk this one */
    yd_lock_give(&log->io);
    return error;
}

/* ---- the leader's view ---- */

/* Is this seqno where we have a batch's edge, with this checksum before it? 1: yes. 0: no. */
static int continues(struct yd_log *log, const struct yd_log_place *place)
{
    yd_lock_take(&log->mutex);
    int index = -1;
    uint64_t at = place->segment != YD__NO_SEGMENT ? place->segment : place->seqno;
    for (uint32_t i = 0; i < log->segment_count && index < 0; i++)
        if (log->segments[i]->base == at) index = (int)i;
    const struct yd__segment *segment = index >= 0 ? log->segments[index] : NULL;
    const struct yd__segment *last = log->segment_count > 0 ? log->segments[log->segment_count - 1] : NULL;
    int found = -1; /* only the file knows */
    if (place->segment == YD__NO_SEGMENT) {
        /* A sealed one ends here, and none was begun: neither here. */
        if (segment)
            found = segment->prev_crc == place->last_crc;
        else if (log->active || place->seqno != log->written)
            found = 0;
        else if (last)
            found = last->last_crc == place->last_crc;
        else
            found = 1; /* all of it was retired: the head of the next segment will be compared */
    } else if (!segment || place->offset < segment->data_start || place->offset > segment->data_end) {
        found = 0;
    } else if (place->offset == segment->data_end) {
        found = segment->next == place->seqno &&
                (segment->batches > 0 ? segment->last_crc : segment->prev_crc) == place->last_crc;
    }
    uint64_t base = segment ? segment->base : 0;
    yd_lock_give(&log->mutex);
    if (found >= 0) return found;
    struct yd_file *file;
    int error = yd__source_file(log, base, &file);
    if (error) return error == YD_ENOENT ? 0 : error;
    struct yd__window window;
    yd__window_init(&window, file, YD__SEGMENT_ALIGN);
    struct yd_header header;
    found = place->offset % YD_BATCH_ALIGN == 0 ? yd__frame_at(&window, place->offset, log->log_id, false, &header)
                                                : YD__FOUND_BAD;
    yd__window_fini(&window);
    yd_file_close(file);
    if (found < 0) return found;
    return found == YD__FOUND_FRAME && header.base_seqno == place->seqno && header.prev_crc == place->last_crc;
}

/* Is this seqno inside a segment of ours, or at the end of one that goes on? */
static bool goes_on(struct yd_log *log, uint64_t seqno)
{
    yd_lock_take(&log->mutex);
    int index = yd__log_find(log, seqno);
    const struct yd__segment *segment = index >= 0 ? log->segments[index] : NULL;
    bool on = segment && segment->base < seqno &&
              (seqno < segment->next || (seqno == segment->next && segment == log->active));
    yd_lock_give(&log->mutex);
    return on;
}

/* The latest place at which it may agree, below where it does not: an earlier segment's begin. */
static uint64_t step_back(struct yd_log *log, uint64_t seqno)
{
    uint64_t back = 0;
    yd_lock_take(&log->mutex);
    for (uint32_t i = 0; i < log->segment_count && log->segments[i]->base < seqno; i++) back = log->segments[i]->base;
    yd_lock_give(&log->mutex);
    return back;
}

int yd_log_follow_check(struct yd_log *log, const struct yd_log_place *place, uint64_t *ret_common)
{
    yd_lock_take(&log->mutex);
    uint64_t first = log->first, written = log->written, log_id = log->log_id;
    uint32_t epoch = log->epoch;
    /* Where our history leaves that of the follower's last batch. Of a leader whose batches never came here it has none
     * in common with us: it goes back to where they begin, and no further, as what is before may be `replicated`. */
    uint64_t end = YD_MIN(written, yd__epoch_end(&log->checkpoint, place->epoch));
    const struct yd__checkpoint *known = &log->checkpoint;
    if (known->epoch_count > 0 && place->epoch > known->epochs[0].epoch && place->epoch_start < place->seqno &&
        yd__epoch_start(known, place->epoch) == UINT64_MAX)
        end = YD_MIN(end, place->epoch_start);
    yd_lock_give(&log->mutex);
    *ret_common = first;
    if (place->log_id == 0) return 0;
    if (place->log_id != log_id) return log_id == 0 ? YD_EAGAIN : YD_EINVAL;
    if (place->known_epoch > epoch && !YD__SKIPS(YD__SKIP_FENCE)) return YD_EEPOCH;
    if (place->seqno < first) return YD_ENOENT;
    if (YD__SKIPS(YD__SKIP_CHAIN)) return 0;
    if (place->seqno <= end) {
        int same = continues(log, place);
        if (same < 0) return same;
        if (same) return 0;
        if (place->segment == YD__NO_SEGMENT && goes_on(log, place->seqno)) { /* it sealed where we did not */
            *ret_common = place->seqno;
            return YD_EGAP;
        }
        end = step_back(log, place->seqno);
    }
    if (end < first || (end == first && place->seqno == first)) return YD_ENOENT;
    *ret_common = end;
    return YD_EGAP;
}
