/* log/maintain.c: what a log does besides appending: checkpoints, saved indexes, footers, quarantine, retention.
 *
 * Nothing here is needed to read or to append; what a crash interrupts is done again. Only a failed sync matters: it is
 * final here as everywhere. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/keys.h"
#include "log/reader.h"
#include "log/twin.h"

int yd__checkpoint_now(struct yd_log *log, unsigned flags)
{
    YD_ASSERT(!log->dirty);
    struct yd__checkpoint *checkpoint = &log->checkpoint;
    checkpoint->durable_seqno = log->durable;
    checkpoint->first_seqno = log->first;
    checkpoint->segment = YD__NO_SEGMENT;
    if (log->segment_count > 0) {
        const struct yd__segment *last = log->segments[log->segment_count - 1];
        checkpoint->segment = last->base;
        checkpoint->offset = last->data_end;
        checkpoint->generation = last->generation;
        checkpoint->last_crc = last->batches > 0 ? last->last_crc : last->prev_crc;
        checkpoint->headers_crc = last->headers_crc;
    }
    int error = yd__control_checkpoint(log, flags);
    if (error) {
        yd__fail(log, YD_EIO);
        return YD_EREADONLY;
    }
    yd_lock_take(&log->mutex);
    log->checkpointed = checkpoint->segment;
    yd_lock_give(&log->mutex);
    log->checkpoint_bytes = 0;
    return 0;
}

int yd__index_save(struct yd_log *log)
{
    const struct yd__segment *active = log->active;
    if (!active || active->data_end == log->index_saved || active->batches > UINT32_MAX) return 0;
    const struct yd__producers *producers = &log->written_producers;
    size_t entries_size = active->index.count * sizeof(struct yd__index_entry);
    size_t size = sizeof(struct yd__index_head) + entries_size + producers->count * sizeof(struct yd__producer_entry);
    char *bytes = calloc(1, size);
    if (!bytes) return YD_ENOMEM;
    struct yd__index_head *head = (struct yd__index_head *)(void *)bytes;
    *head = (struct yd__index_head){
        .magic = YD__INDEX_MAGIC,
        .version = YD__INDEX_VERSION,
        .count = active->index.count,
        .log_id = log->log_id,
        .base_seqno = active->base,
        .covered = active->data_end,
        .covered_seqno = active->next,
        .covered_crc = active->batches > 0 ? active->last_crc : active->prev_crc,
        .headers_crc = active->headers_crc,
        .producer_count = producers->count,
        .batches = (uint32_t)active->batches,
        .time_min = active->time_min,
        .append_min = active->append_min,
        .append_max = active->append_max,
        .names = active->names,
        .kinds = active->kinds,
    };
    memcpy(head->name_min, active->name_min, sizeof head->name_min);
    memcpy(head->name_max, active->name_max, sizeof head->name_max);
    if (entries_size) memcpy(bytes + sizeof *head, active->index.entries, entries_size);
    (void)yd__producers_list(producers, (void *)(bytes + sizeof *head + entries_size), producers->count);
    head->crc = yd_crc32c(0, bytes, size);

    char path[YD__PATH_SIZE];
    yd__segment_path(path, sizeof path, log->dir, active->base, ".yidx");
    struct yd_file *file;
    int error = yd_fs_open(log->fs, path, YD_OPEN_WRITE | YD_OPEN_CREATE | YD_OPEN_TRUNCATE, &file);
    if (!error) {
        error = yd_file_write(file, bytes, size, 0); /* not synced: torn, it is rebuilt */
        yd_file_close(file);
    }
    if (!error) log->index_saved = active->data_end;
    free(bytes);
    return error;
}

/* ---- footers ---- */

/* Counts a segment whose footer was lost, by its frames. Readers look things up in its index as it grows. */
static int walk_segment(struct yd_log *log, struct yd__segment *segment, struct yd_file *file, uint64_t next)
{
    struct yd__window window;
    yd__window_init(&window, file, 256 << 10);
    yd_lock_take(&log->mutex);
    yd__segment_reset(segment);
    yd_lock_give(&log->mutex);
    uint64_t offset = segment->data_end, end = segment->file_size;
    int error = 0;
    while (offset < end && segment->next < next && !error) {
        struct yd_header header;
        int found = yd__frame_at(&window, offset, log->log_id, false, &header);
        if (found < 0)
            error = found;
        else if (found != YD__FOUND_FRAME || header.base_seqno < segment->next || header.base_seqno >= next) {
            error = yd__frame_resync(&window, offset + YD_BATCH_ALIGN, end, log->log_id, segment->next + 1, next,
                                     &offset, &header);
            if (error == YD_ENOENT) break;
        }
        struct yd__names names = error ? yd__names_any() : yd__frame_names(&window, offset, &header);
        yd_lock_take(&log->mutex);
        if (!error) error = yd__segment_account(segment, &header, offset, &names);
        yd_lock_give(&log->mutex);
        if (!error) yd__segment_digest(segment, &header);
        offset = segment->data_end;
    }
    yd__window_fini(&window);
    if (error == YD_ENOENT) error = 0;
    yd_lock_take(&log->mutex);
    /* The footer goes where damage at the end cannot be overwritten by it. */
    if (!error && segment->next < next) {
        segment->data_end = YD_ALIGN_UP(segment->file_size, YD_BATCH_ALIGN);
        yd__segment_unknown(segment);
    }
    segment->next = next;
    yd_lock_give(&log->mutex);
    return error;
}

static int write_footer(struct yd_log *log, struct yd__segment *segment, struct yd_file *file, uint64_t *ret_size)
{
    struct yd__footer footer;
    yd__footer_make(segment, log->log_id, &footer);
    uint64_t at = segment->data_end;
    size_t index_size = segment->index.count * sizeof *segment->index.entries;
    /* The index is durable before the footer is written: opening believes a footer without reading its index. */
    int error = index_size ? yd_file_write(file, segment->index.entries, index_size, at) : 0;
    if (!error) error = yd_file_sync(file);
    if (!error) error = yd_file_write(file, &footer, sizeof footer, at + index_size);
    *ret_size = at + index_size + sizeof footer;
    /* Behind the footer are zeros that no position ever covered: no reader is there. */
    if (!error) error = yd_file_truncate(file, *ret_size);
    /* A footer that is not at the end is made anew, by walking, and may differ: followers may have this one. */
    if (!error) error = yd_file_sync(file);
    return error;
}

static int seal(struct yd_log *log, struct yd__segment *segment, uint64_t next)
{
    char path[YD__PATH_SIZE];
    struct yd_file *file = segment->file;
    int error = 0;
    if (!file) {
        yd__segment_path(path, sizeof path, log->dir, segment->base, ".ylog");
        error = yd_fs_open(log->fs, path, YD_OPEN_READ | YD_OPEN_WRITE, &file);
        if (error) return error;
    }
    if (!segment->accounted) error = walk_segment(log, segment, file, next);
    uint64_t size = 0;
    if (!error) error = write_footer(log, segment, file, &size);
    yd_lock_take(&log->mutex);
    if (!error) {
        log->bytes += size - segment->file_size; /* a footer may reach beyond the space taken */
        segment->file_size = size;
        segment->sealed = segment->accounted = true;
        free(segment->index.entries); /* readers take it from the footer */
        segment->index = (struct yd__index){0};
        segment->file = NULL;
    } else {
        segment->file = file;
    }
    yd_lock_give(&log->mutex);
    if (error) return error;
    yd_file_close(file);
    yd__segment_path(path, sizeof path, log->dir, segment->base, ".yidx");
    (void)yd_fs_unlink(log->fs, path); /* may never have been there; the footer has it all */
    return 0;
}

int yd__seal_leftovers(struct yd_log *log)
{
    int error = 0;
    while (!error) {
        struct yd__segment *found = NULL;
        uint64_t next = 0;
        yd_lock_take(&log->mutex);
        for (uint32_t i = 0; i < log->segment_count && !found && !log->failed; i++) {
            struct yd__segment *segment = log->segments[i];
            if (segment->sealed || segment->busy || segment == log->active) continue;
            if (log->options.follower && i + 1 == log->segment_count) continue; /* its leader seals it */
            found = segment;
            next = i + 1 < log->segment_count ? log->segments[i + 1]->base : log->durable;
        }
        if (found) {
            found->busy = true;
            atomic_fetch_add_explicit(&found->refs, 1, memory_order_relaxed);
        }
        yd_lock_give(&log->mutex);
        if (!found) return 0;
        error = seal(log, found, next);
        yd_lock_take(&log->mutex);
        found->busy = false;
        yd_lock_give(&log->mutex);
        yd__segment_unref(found);
        if (!error) yd__moved(log); /* followers wait for it */
    }
    return error;
}

/* ---- quarantine ---- */

int yd__quarantine(struct yd_log *log, struct yd_file *file, uint64_t base, uint64_t from, uint64_t to, const char *why)
{
    char dir[YD__PATH_SIZE], path[YD__PATH_SIZE + 128];
    (void)snprintf(dir, sizeof dir, "%s/quarantine", log->dir);
    (void)snprintf(path, sizeof path, "%s/%020" PRIu64 "-%010" PRIu64 "-%s", dir, base, from, why);
    int error = yd_fs_make_dirs(log->fs, dir);
    if (error) return error;
    struct yd_file *copy;
    error = yd_fs_open(log->fs, path, YD_OPEN_WRITE | YD_OPEN_CREATE | YD_OPEN_TRUNCATE, &copy);
    if (error) return error;
    struct yd__window window;
    yd__window_init(&window, file, 256 << 10);
    for (uint64_t at = from; at < to && !error;) {
        const char *bytes;
        size_t have;
        error = yd__window_get(&window, at, (size_t)YD_MIN(to - at, UINT64_C(256) << 10), &bytes, &have);
        if (error || have == 0) break;
        error = yd_file_write(copy, bytes, have, at - from);
        at += have;
    }
    yd__window_fini(&window);
    if (!error) error = yd_file_sync(copy);
    yd_file_close(copy);
    if (!error) error = yd_fs_sync_dir(log->fs, dir);
    return error;
}

void yd__report_rot(const struct yd_log_reader *reader, uint64_t from, uint64_t to)
{
    struct yd_log *log = reader->log;
    uint64_t base = reader->base;
    if (!log) return; /* a reader of files alone */
    yd_lock_take(&log->mutex);
    /* While a follower is cut back its files show what is no rot, and this reader may have looked then. */
    bool known = log->cutting || reader->cut_to < reader->seqno ||
                 log->rot_count == YD_COUNT(log->rots); /* more than that at once: the readers still tell each gap */
    for (uint32_t i = 0; i < log->rot_count && !known; i++)
        known = log->rots[i].base == base && log->rots[i].from == from;
    if (!known) {
        log->rots[log->rot_count++] = (struct yd__rot){base, from, to};
        log->rotten_batches++;
    }
    yd_lock_give(&log->mutex);
}

/* What readers met: a copy is kept; the bytes also stay where they are, for a repair or a luckier read. */
static int quarantine_rots(struct yd_log *log)
{
    for (uint32_t i = 0;; i++) {
        yd_lock_take(&log->mutex);
        bool more = i < log->rot_count;
        struct yd__rot *rot = &log->rots[i];
        struct yd__rot what = more ? *rot : (struct yd__rot){0};
        if (more) rot->to = rot->from; /* copied: remembered, so that it is not told again */
        yd_lock_give(&log->mutex);
        if (!more) return 0;
        if (what.from == what.to) continue;
        struct yd_file *file;
        int error = yd__segment_open(log->fs, log->dir, what.base, &file);
        if (error == YD_ENOENT) continue; /* retention was sooner */
        if (!error) {
            error = yd__quarantine(log, file, what.base, what.from, what.to, "rotten");
            yd_file_close(file);
        }
        if (error) {
            yd_lock_take(&log->mutex);
            log->rots[i].to = what.to;
            yd_lock_give(&log->mutex);
            return error;
        }
    }
}

/* ---- retention: whole sealed segments, oldest first, by append time and by size ---- */

/* The time by which age is judged: the wall clock's, but from the newest record that was there at the start on it runs
 * at most AGE_SPEED times as fast as time does. A clock that steps ahead by a year takes a minute to age anything by an
 * hour, and a day stopped is made up for in 24 minutes. */
#define AGE_SPEED 60

static int64_t age_now(struct yd_log *log)
{
    int64_t wall = yd__log_now(log), mono, newest = INT64_MIN;
    if (!log->options.mono) return wall;
    mono = YD_MAX(log->options.mono(log->options.clock_arg), 1);
    if (log->age_mono == 0) {
        yd_lock_take(&log->mutex);
        for (uint32_t i = 0; i < log->segment_count; i++)
            if (log->segments[i]->batches > 0) newest = YD_MAX(newest, log->segments[i]->append_max);
        yd_lock_give(&log->mutex);
        log->age = newest == INT64_MIN ? wall : YD_MIN(wall, newest);
    } else {
        int64_t passed = YD_MIN(YD_MAX(mono - log->age_mono, 0), INT64_C(365) * 24 * 3600 * YD_NS_PER_S / AGE_SPEED);
        log->age = YD_MIN(wall, log->age + passed * AGE_SPEED);
    }
    log->age_mono = mono;
    return log->age;
}

/* Takes the oldest segment off the list when it may go. */
static struct yd__segment *retire_one(struct yd_log *log, int64_t now)
{
    struct yd__segment *oldest = NULL;
    yd_lock_take(&log->mutex);
    if (log->segment_count >= 2 && log->segments[0]->sealed && !log->segments[0]->busy &&
        log->segments[0]->base != log->checkpoint.segment) {
        oldest = log->segments[0];
        bool old = log->options.retain_ns > 0 && oldest->append_max < yd__log_ago(now, log->options.retain_ns);
        bool over = log->options.retain_bytes > 0 && log->bytes > log->options.retain_bytes;
        const char *who = NULL;
        bool held = (old || over) && yd__cursors_oldest(log, now, &who) < log->segments[1]->base;
        if (held) (void)snprintf(log->held_by, sizeof log->held_by, "%s", who);
        if ((!old && !over) || held) oldest = NULL;
        if (!held) log->held_by[0] = '\0';
    }
    if (oldest) {
        log->segment_count--;
        memmove(log->segments, log->segments + 1, log->segment_count * sizeof *log->segments);
        log->first = log->segments[0]->base;
        log->bytes -= yd__segment_bytes(oldest);
        oldest->retired = true;
        yd__control_publish(log);
    }
    yd_lock_give(&log->mutex);
    return oldest;
}

int yd__retain(struct yd_log *log)
{
    if (log->options.retain_ns == 0 && log->options.retain_bytes == 0) return 0;
    int64_t now = age_now(log);
    struct yd__segment *segment;
    while ((segment = retire_one(log, now))) {
        char path[YD__PATH_SIZE];
        static const char *const suffixes[] = {".ykey", ".yzst", ".ylog"};
        int error = 0;
        for (size_t i = 0; i < YD_COUNT(suffixes) && !error; i++) {
            yd__segment_path(path, sizeof path, log->dir, segment->base, suffixes[i]);
            error = yd_fs_unlink(log->fs, path);
            if (error == YD_ENOENT) error = 0; /* it had the other only */
        }
        yd__segment_unref(segment);
        /* One sync each: unlinked out of order by a crash, a hole would look like rot. */
        if (!error) error = yd_fs_sync_dir(log->fs, log->dir);
        if (error) return error;
    }
    return 0;
}

int yd__maintain_round(struct yd_log *log)
{
    if (log->failed) return YD_EREADONLY;
    int error = 0;
    if (log->checkpoint.durable_seqno != log->durable || log->checkpoint.first_seqno != log->first)
        error = yd__checkpoint_now(log, 0);
    if (error) return error;
    yd__evict(log);            /* what was taken after the last flush */
    (void)yd__index_save(log); /* a cache: without room for it, it is rebuilt */
    if (!log->started) {
        const struct yd__segment *active = log->active;
        if (active && active->data_end * 4 >= active->file_size) (void)yd__prepare(log); /* the flush tries again */
        error = yd__seal_leftovers(log);
    }
    if (!error && !log->started) (void)yd__compress_some(log); /* what fails costs space only, and is tried again */
    if (!error && !log->started) (void)yd__keys_some(log);     /* what fails costs time only */
    if (!error) error = quarantine_rots(log);
    if (error == YD_ENOSPC) (void)yd__ballast_give(log); /* what failed is done in the next round */
    if (!error || error == YD_ENOSPC) {
        int retained = yd__retain(log); /* all the more when the disk is full */
        if (retained) error = retained;
    }
    if (!error) yd__ballast_take(log);
    /* A device that refuses a sync of a footer or a folder will not keep the data either. */
    if (error == YD_EIO) {
        yd__fail(log, YD_EIO);
        return YD_EREADONLY;
    }
    return error;
}

int yd_log_maintain(struct yd_log *log)
{
    if (log->options.readonly) return YD_EPERM;
    yd_lock_take(&log->io);
    if (log->gone) {
        yd_lock_give(&log->io);
        return YD_ECLOSED;
    }
    int before = log->failed;
    int error = yd__maintain_round(log);
    yd_lock_take(&log->mutex);
    bool held = log->held_by[0] != '\0';
    bool changed = yd__replicas_update(log) || log->failed != before || held != log->held_told;
    log->held_told = held;
    yd_lock_give(&log->mutex);
    yd_lock_give(&log->io);
    if (changed) yd__moved(log);
    return error;
}
