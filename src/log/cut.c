/* log/cut.c: a follower that diverged cuts back, or begins anew; a folder that nobody has open, too.
 *
 *   cut at S:   checkpoint "the stream ends at S" ─▶ segments behind it to quarantine/, newest first
 *                                                 ─▶ the rest of S's own segment: a copy to quarantine/, then zeros
 *
 * The checkpoint comes first. After a crash in the middle recovery begins at S and takes what it still finds behind it
 * as a stream that goes on; its leader then says once more where to cut. Never is anything below the checkpoint
 * missing, which would be rot. Readers that were further are told ("cut back"). Folders are opened as a follower's, so
 * that nothing of them is taken for an unfinished write of our own that raises the epoch. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/internal.h"
#include "log/reader.h"
#include "log/twin.h"

static void forget(struct yd_log *log, uint64_t base, const char *suffix)
{
    char path[YD__PATH_SIZE];
    yd__segment_path(path, sizeof path, log->dir, base, suffix);
    (void)yd_fs_unlink(log->fs, path); /* a cache, which may not be there */
}

/* Syncs the stream's own folder, too, as making one does: with it the name of a plain file that was made of a twin. */
static int make_quarantine(struct yd_log *log)
{
    char dir[YD__PATH_SIZE + 16];
    (void)snprintf(dir, sizeof dir, "%s/quarantine", log->dir);
    int error = yd_fs_make_dirs(log->fs, dir);
    return error;
}

/* Moves one file of a segment to quarantine/. */
static int put_away_file(struct yd_log *log, uint64_t base, const char *suffix, const char *why)
{
    char from[YD__PATH_SIZE], to[YD__PATH_SIZE + 128], dir[YD__PATH_SIZE + 16];
    yd__segment_path(from, sizeof from, log->dir, base, suffix);
    (void)snprintf(dir, sizeof dir, "%s/quarantine", log->dir);
    (void)snprintf(to, sizeof to, "%s/%020" PRIu64 "-%010d-%s-%" PRIu64 "%s", dir, base, 0, why, log->checkpoint.number,
                   strcmp(suffix, ".ylog") == 0 ? "" : suffix);
    int error = YD__SKIPS(YD__SKIP_CUT_ORDER) ? yd_fs_unlink(log->fs, from) : yd_fs_rename(log->fs, from, to);
    if (!error) error = yd_fs_sync_dir(log->fs, dir);
    if (!error) error = yd_fs_sync_dir(log->fs, log->dir);
    return error;
}

/* The last segment of the list, whole, to quarantine/; its caches go. */
static int put_away(struct yd_log *log, const char *why)
{
    struct yd__segment *segment = log->segments[log->segment_count - 1];
    int raw = put_away_file(log, segment->base, ".ylog", why);
    int twin = put_away_file(log, segment->base, ".yzst", why);
    if (raw && raw != YD_ENOENT) return raw;
    if (twin && twin != YD_ENOENT) return twin;
    forget(log, segment->base, ".yidx");
    forget(log, segment->base, ".ykey");
    yd_lock_take(&log->mutex);
    log->segment_count--;
    log->bytes -= yd__segment_bytes(segment);
    if (log->active == segment) log->active = NULL;
    yd_lock_give(&log->mutex);
    yd__segment_unref(segment);
    return 0;
}

/* ---- cutting ---- */

struct cut {
    struct yd_log *log;
    uint32_t keep;              /* segments that stay */
    struct yd__segment *inside; /* the last of them, cut in the middle; NULL: at its end, or none stays */
    uint64_t edge, offset, old_end;
    uint32_t last_crc;
};

/* The producers as they were where the segment begins. */
static int head_producers(struct yd_log *log, const struct yd__segment *segment)
{
    struct yd__segment_head *head;
    yd__producers_clear(&log->written_producers);
    int error = yd__head_read(segment->file, &head);
    if (error == YD_ECORRUPT) return 0;
    if (error) return error;
    for (uint32_t i = 0; i < head->producer_count && !error; i++)
        error = yd__producers_put(&log->written_producers, &head->producers[i]);
    free(head);
    return error;
}

/* Counts the segment's frames, and their producers, up to the last edge at or below seqno. Busy until the cut is done:
 * it looks unsealed meanwhile, and the helper would write a footer behind what is to be cut. Readers look things up in
 * its index as it grows. */
static int find_edge(struct cut *cut, struct yd__segment *segment, uint64_t seqno)
{
    struct yd_log *log = cut->log;
    struct yd__window window;
    cut->old_end = segment->file_size;
    int error = head_producers(log, segment);
    yd__window_init(&window, segment->file, 1 << 20);
    if (segment->sealed) {
        struct yd_stat now;
        if (!error) error = yd_file_stat(segment->file, &now);
        if (!error) cut->old_end = now.size;
    }
    yd_lock_take(&log->mutex);
    segment->busy = true;
    yd__segment_reset(segment);
    yd_lock_give(&log->mutex);
    while (!error && segment->next < seqno) {
        struct yd_header header;
        int found = yd__frame_at(&window, segment->data_end, log->log_id, false, &header);
        if (found < 0) error = found;
        if (error || found == YD__FOUND_ZERO) break;
        if (found != YD__FOUND_FRAME || header.base_seqno != segment->next) {
            error = YD_ECORRUPT;
            break;
        }
        if (header.base_seqno + header.count > seqno) break;
        struct yd__names names = yd__frame_names(&window, segment->data_end, &header);
        yd_lock_take(&log->mutex);
        error = yd__segment_account(segment, &header, segment->data_end, &names);
        yd_lock_give(&log->mutex);
        if (!error) yd__segment_digest(segment, &header);
        if (!error) error = yd__producers_note(&log->written_producers, &header);
    }
    yd__window_fini(&window);
    cut->edge = segment->next;
    cut->offset = segment->data_end;
    cut->last_crc = segment->batches > 0 ? segment->last_crc : segment->prev_crc;
    return error;
}

/* Its plain file, to be written; made from its twin when there is no other. */
static int plain_file(struct yd_log *log, struct yd__segment *segment)
{
    if (segment->file) return 0;
    char path[YD__PATH_SIZE], made[YD__PATH_SIZE + 16];
    yd__segment_path(path, sizeof path, log->dir, segment->base, ".ylog");
    int error = yd_fs_open(log->fs, path, YD_OPEN_READ | YD_OPEN_WRITE, &segment->file);
    if (error != YD_ENOENT) return error;
    struct yd_file *twin, *copy = NULL;
    error = yd__source_file(log, segment->base, &twin);
    if (error) return error;
    /* Not the name of space taken ahead: the log may hold that file open. */
    (void)snprintf(made, sizeof made, "%s/cut.tmp", log->dir);
    error = yd_fs_open(log->fs, made, YD_OPEN_READ | YD_OPEN_WRITE | YD_OPEN_CREATE | YD_OPEN_TRUNCATE, &copy);
    char *bytes = malloc(1 << 20);
    if (!error && !bytes) error = YD_ENOMEM;
    for (uint64_t at = 0; !error;) {
        size_t have = 0;
        error = yd_file_read(twin, bytes, 1 << 20, at, &have);
        if (error || have == 0) break;
        error = yd_file_write(copy, bytes, have, at);
        at += have;
    }
    free(bytes);
    yd_file_close(twin);
    if (!error) error = yd_file_sync(copy);
    if (!error) error = yd_fs_rename(log->fs, made, path); /* the name lasts with the next make_quarantine */
    if (error) {
        yd_file_close(copy);
        (void)yd_fs_unlink(log->fs, made); /* left there, the next one truncates it */
    } else {
        segment->file = copy;
    }
    return error;
}

static int plan(struct cut *cut, uint64_t seqno)
{
    struct yd_log *log = cut->log;
    int index = yd__log_find(log, seqno);
    struct yd__segment *last = NULL;
    if (index >= 0 && log->segments[index]->base < seqno) {
        last = log->segments[index];
        int error = plain_file(log, last);
        if (!error) error = find_edge(cut, last, seqno);
        if (error) return error;
        cut->keep = (uint32_t)index + 1;
        if (cut->edge > last->base) {
            cut->inside = last;
            return 0;
        }
    }
    /* At a segment's begin: that one goes whole, the one before stays whole, and its frames tell the producers. */
    if (index < 0) index = 0;
    cut->keep = (uint32_t)index;
    cut->edge = log->segments[index]->base;
    cut->last_crc = log->segments[index]->prev_crc;
    if (index == 0) {
        yd__producers_clear(&log->written_producers);
        return 0;
    }
    struct cut before = *cut;
    struct yd__segment *kept = log->segments[index - 1];
    bool sealed = kept->sealed, borrowed = !kept->file;
    int error = borrowed ? yd__source_file(log, kept->base, &kept->file) : 0;
    if (!error) error = find_edge(&before, kept, cut->edge);
    struct yd_file *file = borrowed ? kept->file : NULL;
    yd_lock_take(&log->mutex);
    kept->sealed = sealed;
    kept->accounted = true;
    kept->busy = false;
    if (borrowed) kept->file = NULL;
    yd_lock_give(&log->mutex);
    yd_file_close(file);
    return error;
}

/* The stream ends at the edge: what recovery starts from, whatever of the rest is still there. The table of epochs and
 * the end go back in one, as who asks for the end of this copy looks at both: an end in an epoch that is not its last
 * batch's would be compared wrongly. Never is more told than what stays. */
static int put_checkpoint(struct cut *cut, unsigned flags)
{
    struct yd_log *log = cut->log;
    struct yd__checkpoint *checkpoint = &log->checkpoint;
    yd_lock_take(&log->mutex);
    while (checkpoint->epoch_count > 0 && checkpoint->epochs[checkpoint->epoch_count - 1].start_seqno >= cut->edge)
        checkpoint->epoch_count--;
    log->durable = YD_MIN(log->durable, cut->edge);
    log->replicated = YD_MIN(log->replicated, cut->edge);
    log->first = YD_MIN(log->first, cut->edge);
    yd_lock_give(&log->mutex);
    checkpoint->durable_seqno = cut->edge;
    checkpoint->first_seqno = YD_MIN(checkpoint->first_seqno, cut->edge);
    checkpoint->segment = YD__NO_SEGMENT;
    checkpoint->last_crc = cut->last_crc;
    checkpoint->offset = 0;
    if (cut->keep > 0) {
        const struct yd__segment *last = log->segments[cut->keep - 1];
        checkpoint->segment = last->base;
        checkpoint->offset = last->data_end;
        checkpoint->generation = last->generation;
        checkpoint->headers_crc = last->headers_crc;
        checkpoint->last_crc = last->batches > 0 ? last->last_crc : last->prev_crc;
    }
    return yd__control_checkpoint(log, flags) ? YD_EIO : 0;
}

static int cut_inside(struct cut *cut)
{
    static const char zeros[64 << 10];
    struct yd_log *log = cut->log;
    struct yd__segment *segment = cut->inside;
    char why[48];
    (void)snprintf(why, sizeof why, "cut-%" PRIu64, log->checkpoint.number);
    int error = 0;
    if (!YD__SKIPS(YD__SKIP_CUT_ORDER))
        error = yd__quarantine(log, segment->file, segment->base, cut->offset, cut->old_end, why);
    for (uint64_t at = cut->offset; at < cut->old_end && !error; at += sizeof zeros)
        error = yd_file_write(segment->file, zeros, (size_t)YD_MIN(sizeof zeros, cut->old_end - at), at);
    if (!error) error = yd_file_sync(segment->file);
    forget(log, segment->base, ".yzst"); /* of what it was */
    forget(log, segment->base, ".ykey");
    return error;
}

/* What memory knows goes to what the files hold now: `next` is the end. With io held. */
static int settle(struct yd_log *log, uint64_t next, uint32_t last_crc)
{
    struct yd__tail fresh, old;
    int error = yd__tail_init(&fresh, next);
    if (error) return error;
    yd_lock_take(&log->mutex);
    old = log->tail;
    log->tail = fresh;
    log->durable = log->written = next;
    log->replicated = YD_MIN(log->replicated, next);
    log->first = log->segment_count ? log->segments[0]->base : next;
    log->last_crc = last_crc;
    log->last_epoch = yd__epoch_at(&log->checkpoint, next);
    log->dirty = false;
    log->index_saved = 0;
    for (struct yd_log_reader *reader = log->readers; reader; reader = reader->next)
        reader->cut_to = YD_MIN(reader->cut_to, next);
    yd__producers_clear(&log->producers);
    for (uint32_t i = 0; i <= log->written_producers.mask && !error; i++)
        if (log->written_producers.slots[i].id)
            error = yd__producers_put(&log->producers, &log->written_producers.slots[i]);
    yd__tombs_cut(log, next);
    yd__control_publish(log);
    yd_lock_give(&log->mutex);
    yd__tail_fini(&old);
    return error;
}

static int cut_log(struct cut *cut, uint64_t seqno)
{
    struct yd_log *log = cut->log;
    int error = plan(cut, seqno);
    if (!error) error = make_quarantine(log);
    if (!error && cut->keep > 0)
        forget(log, log->segments[cut->keep - 1]->base, ".yidx"); /* has producers of what goes */
    if (!error) error = put_checkpoint(cut, 0);
    while (!error && log->segment_count > cut->keep) error = put_away(log, "cut");
    if (!error && cut->inside) error = cut_inside(cut);
    if (error) return error;
    struct yd__segment *last = log->segment_count ? log->segments[log->segment_count - 1] : NULL;
    yd_lock_take(&log->mutex);
    if (cut->inside) {
        struct yd__segment *inside = cut->inside;
        uint64_t before = yd__segment_bytes(inside);
        log->bytes += cut->old_end - before;
        inside->twin = inside->raw_gone = inside->twin_refused = false;
        inside->twin_size = inside->keys_size = 0;
        inside->keys = YD__KEYS_UNKNOWN;
        inside->file_size = cut->old_end;
        inside->sealed = inside->busy = false;
        inside->accounted = true;
    }
    log->active = last && !last->sealed ? last : NULL;
    yd_lock_give(&log->mutex);
    error = settle(log, cut->edge, cut->last_crc);
    return error ? error : put_checkpoint(cut, 0);
}

static int anew_log(struct yd_log *log)
{
    struct cut cut = {.log = log};
    int error = make_quarantine(log);
    if (!error && log->segment_count > 0) error = put_checkpoint(&cut, 0);
    while (!error && log->segment_count > 0) error = put_away(log, "anew");
    if (error) return error;
    yd__producers_clear(&log->written_producers);
    yd_lock_take(&log->mutex);
    log->log_id = 0;
    log->checkpoint.epoch_count = 0;
    yd_lock_give(&log->mutex);
    error = settle(log, 0, 0);
    return error ? error : put_checkpoint(&cut, 0);
}

/* Does its last segment take frames, and has some? Else a leader that goes on in it asks for a cut at its very end. */
static bool goes_on(const struct yd_log *log)
{
    return log->active && log->active->batches > 0;
}

static void set_cutting(struct yd_log *log, bool cutting)
{
    yd_lock_take(&log->mutex);
    log->cutting = cutting;
    yd_lock_give(&log->mutex);
}

/* All of it with the log's I/O held; what fails in the middle is final until it is opened again. */
static int change(struct yd_log *log, bool anew, uint64_t seqno, uint64_t *ret_seqno)
{
    if (!log->options.follower) return YD_EPERM;
    struct cut cut = {.log = log};
    yd_lock_take(&log->io);
    int error = log->gone ? YD_ECLOSED : yd__flush_all(log);
    bool begun = !error;
    yd_lock_take(&log->twin_lock);
    yd__compressor_leave(log);
    cut.edge = log->durable;
    set_cutting(log, true);
    if (!error && anew)
        error = anew_log(log);
    else if (!error && (seqno < log->durable || (seqno == log->durable && !goes_on(log))))
        error = log->segment_count ? cut_log(&cut, seqno) : YD_ENOENT;
    set_cutting(log, false);
    yd_lock_give(&log->twin_lock);
    if (error && error != YD_ENOENT && begun) yd__fail(log, YD_EIO);
    yd_lock_give(&log->io);
    if (!error && ret_seqno) *ret_seqno = cut.edge;
    yd__moved(log);
    return error;
}

int yd_log_follow_cut(struct yd_log *log, uint64_t seqno, uint64_t *ret_seqno)
{
    return change(log, false, seqno, ret_seqno);
}

int yd_log_follow_anew(struct yd_log *log)
{
    return change(log, true, 0, NULL);
}

int yd_log_cut_dir(struct yd_fs *fs, const char *dir, uint64_t seqno, uint64_t *ret_seqno, struct yd_trail *trail)
{
    struct yd_log *log;
    uint64_t edge;
    int error = yd__log_open_quiet(fs ? fs : yd_fs_linux(), dir, true, &log, trail);
    if (error) return error;
    error = yd_log_follow_cut(log, seqno, &edge);
    int closed = yd_log_close(log);
    if (!error) error = closed;
    if (error) return yd_trail_add(trail, error, "cutting %s back: %s", dir, yd_error_text(error));
    *ret_seqno = edge;
    return 0;
}

int yd_log_anew_dir(struct yd_fs *fs, const char *dir, struct yd_trail *trail)
{
    struct yd_log *log;
    int error = yd__log_open_quiet(fs ? fs : yd_fs_linux(), dir, true, &log, trail);
    if (error) return error;
    error = yd_log_follow_anew(log);
    int closed = yd_log_close(log);
    if (!error) error = closed;
    return error ? yd_trail_add(trail, error, "beginning %s anew: %s", dir, yd_error_text(error)) : 0;
}
