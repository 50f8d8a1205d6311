/* log/cut.c: what is done to the folder of a log that nobody has open: cutting back, beginning anew, promoting.
 *
 *   cut at S:   checkpoint "the stream ends at S" ─▶ segments behind it to quarantine/, newest first
 *                                                 ─▶ the rest of S's own segment: a copy to quarantine/, then zeros
 *
 * The checkpoint comes first. After a crash in the middle recovery begins at S and takes what it still finds behind it
 * as a stream that goes on; its leader then says once more where to cut. Never is anything below the checkpoint
 * missing, which would be rot. All three open the folder as a follower's, so that nothing of it is taken for an
 * unfinished write of our own that raises the epoch. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/internal.h"

static int open_quiet(struct yd_fs *fs, const char *dir, struct yd_log **ret_log, struct yd_trail *trail)
{
    struct yd_log_stat stat;
    int error = yd_log_stat_dir(fs, dir, &stat, trail);
    if (error) return error;
    struct yd_log_options options = {
        .fs = fs, .dir = dir, .stream = stat.stream[0] ? stat.stream : "?", .follower = true};
    return yd_log_open(&options, ret_log, NULL, trail);
}

static void forget(struct yd_log *log, uint64_t base, const char *suffix)
{
    char path[YD__PATH_SIZE];
    yd__segment_path(path, sizeof path, log->dir, base, suffix);
    (void)yd_fs_unlink(log->fs, path); /* a cache, which may not be there */
}

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
    pthread_mutex_lock(&log->mutex);
    log->segment_count--;
    log->bytes -= segment->file_size;
    if (log->active == segment) log->active = NULL;
    pthread_mutex_unlock(&log->mutex);
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

/* Counts the segment's frames up to the last edge at or below seqno. */
static int find_edge(struct cut *cut, struct yd__segment *segment, uint64_t seqno)
{
    struct yd_log *log = cut->log;
    struct yd__window window;
    yd__window_init(&window, segment->file, 1 << 20);
    cut->old_end = segment->file_size;
    yd__segment_reset(segment);
    int error = 0;
    while (!error) {
        struct yd_header header;
        int found = yd__frame_at(&window, segment->data_end, log->log_id, false, &header);
        if (found < 0) error = found;
        if (error || found == YD__FOUND_ZERO) break;
        if (found != YD__FOUND_FRAME || header.base_seqno != segment->next) {
            error = YD_ECORRUPT;
            break;
        }
        if (header.base_seqno + header.count > seqno) break;
        error = yd__segment_account(segment, &header, segment->data_end, UINT64_MAX);
        if (!error) yd__segment_digest(segment, &header);
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
    (void)snprintf(made, sizeof made, "%s/" YD__PREPARED_NAME, log->dir);
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
    if (!error) error = yd_fs_rename(log->fs, made, path);
    if (!error) error = yd_fs_sync_dir(log->fs, log->dir);
    if (error)
        yd_file_close(copy);
    else
        segment->file = copy;
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
        index--; /* its first batch goes beyond: nothing of it stays */
    } else if (index >= 0) {
        cut->edge = log->segments[index]->base;
        cut->last_crc = log->segments[index]->prev_crc;
        index--;
    } else {
        cut->edge = log->segments[0]->base;
        cut->last_crc = log->segments[0]->prev_crc;
    }
    cut->keep = (uint32_t)(index + 1);
    return 0;
}

/* The stream ends at the edge: what recovery starts from, whatever of the rest is still there. */
static int put_checkpoint(struct cut *cut, unsigned flags)
{
    struct yd_log *log = cut->log;
    struct yd__checkpoint *checkpoint = &log->checkpoint;
    while (checkpoint->epoch_count > 0 && checkpoint->epochs[checkpoint->epoch_count - 1].start_seqno >= cut->edge)
        checkpoint->epoch_count--;
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

static int cut_log(struct cut *cut, uint64_t seqno)
{
    struct yd_log *log = cut->log;
    int error = plan(cut, seqno);
    if (!error) error = make_quarantine(log);
    if (!error && cut->inside) forget(log, cut->inside->base, ".yidx"); /* it knows producers of what goes */
    if (!error) error = put_checkpoint(cut, 0);
    while (!error && log->segment_count > cut->keep) error = put_away(log, "cut");
    if (!error && cut->inside) error = cut_inside(cut);
    if (error) return error;
    if (cut->keep == 0) log->active = NULL;
    pthread_mutex_lock(&log->mutex);
    if (cut->inside) cut->inside->sealed = false;
    log->durable = log->written = cut->edge;
    log->first = log->segment_count ? log->segments[0]->base : cut->edge;
    log->last_crc = cut->last_crc;
    yd__control_publish(log);
    pthread_mutex_unlock(&log->mutex);
    return put_checkpoint(cut, YD__CHECKPOINT_CLEAN);
}

/* Closes what the folder's functions opened: they have written their own checkpoint. */
static int close_quiet(struct yd_log *log, int error)
{
    log->index_saved = log->active ? log->active->data_end : 0; /* its producers may be of what was cut */
    if (error) (void)yd__fail(log, YD_EIO); /* closing must not write a checkpoint over the one that is there */
    int closed = yd_log_close(log);
    return error ? error : closed;
}

int yd_log_cut_dir(struct yd_fs *fs, const char *dir, uint64_t seqno, uint64_t *ret_seqno, struct yd_trail *trail)
{
    struct yd_log *log;
    if (!fs) fs = yd_fs_linux();
    int error = open_quiet(fs, dir, &log, trail);
    if (error) return error;
    struct cut cut = {.log = log, .edge = log->durable};
    pthread_mutex_lock(&log->io);
    if (seqno < log->durable) error = log->segment_count ? cut_log(&cut, seqno) : YD_ENOENT;
    pthread_mutex_unlock(&log->io);
    error = close_quiet(log, error);
    if (error) return yd_trail_add(trail, error, "cutting %s back: %s", dir, yd_error_text(error));
    *ret_seqno = cut.edge;
    return 0;
}

int yd_log_anew_dir(struct yd_fs *fs, const char *dir, struct yd_trail *trail)
{
    struct yd_log *log;
    if (!fs) fs = yd_fs_linux();
    int error = open_quiet(fs, dir, &log, trail);
    if (error) return error;
    struct cut cut = {.log = log};
    pthread_mutex_lock(&log->io);
    error = make_quarantine(log);
    uint64_t log_id = log->log_id;
    if (!error && log->segment_count > 0) error = put_checkpoint(&cut, 0);
    while (!error && log->segment_count > 0) error = put_away(log, "anew");
    if (!error) {
        pthread_mutex_lock(&log->mutex);
        log->log_id = 0;
        log->first = log->written = log->durable = 0;
        log->last_crc = 0;
        yd__control_publish(log);
        pthread_mutex_unlock(&log->mutex);
        log->checkpoint.epoch_count = 0;
        log->checkpoint.last_crc = 0;
        error = put_checkpoint(&cut, YD__CHECKPOINT_CLEAN);
    }
    if (error) log->log_id = log_id;
    pthread_mutex_unlock(&log->io);
    error = close_quiet(log, error);
    return error ? yd_trail_add(trail, error, "beginning %s anew: %s", dir, yd_error_text(error)) : 0;
}

int yd_log_promote_dir(struct yd_fs *fs, const char *dir, unsigned member, uint32_t *ret_epoch, struct yd_trail *trail)
{
    if (member > 15) return yd_trail_add(trail, YD_EINVAL, "a member's number is 0 to 15");
    struct yd_log *log;
    if (!fs) fs = yd_fs_linux();
    int error = open_quiet(fs, dir, &log, trail);
    if (error) return error;
    if (log->log_id == 0) {
        (void)yd_log_close(log);
        return yd_trail_add(trail, YD_ENOENT, "%s holds nothing yet: it has never followed anybody", dir);
    }
    pthread_mutex_lock(&log->io);
    uint32_t term = (YD_MAX(log->epoch, log->fence) >> 16) + 1;
    log->epoch = term << 16 | member << 12;
    log->fence = 0;
    log->options.follower = false;
    log->deposed = false;
    yd__epoch_add(&log->checkpoint, log->epoch, log->durable);
    /* Twice: it must not be possible that one slot rots and the older one, a follower's, is believed. */
    error = yd__checkpoint_now(log, 0);
    if (!error) error = yd__checkpoint_now(log, YD__CHECKPOINT_CLEAN);
    uint32_t epoch = log->epoch;
    pthread_mutex_unlock(&log->io);
    int closed = yd_log_close(log);
    if (!error) error = closed;
    if (error) return yd_trail_add(trail, error, "promoting %s: %s", dir, yd_error_text(error));
    *ret_epoch = epoch;
    return 0;
}
