/* log/space.c: space for the next segment, taken and synced ahead, so that a commit journals nothing.
 *
 *   next.tmp   zeros (small appends) or fallocated (large ones), synced     by the helper, or by a flush that needs it
 *      | rename when the active segment is full; head written, folder synced
 *   NAME.ylog
 *
 * Overwriting space that is written and synced already needs no journal commit: a 4 KiB durable write takes a third of
 * the time it takes into fresh space. Zero-writing costs the bandwidth once more, so large appends get fallocate.
 * ENOSPC is told and tried again: first with the smallest segment that will do.
 *
 *   ballast    fallocated and synced while there is room for it twice; unlinked when something did not fit
 *
 * The ballast is for what ends things in order on a full disk: footers, indexes, the checkpoint behind them, and the
 * names that retention takes away. */
#include <stdio.h>
#include <stdlib.h>

#include "log/internal.h"

#define ZERO_STEP (UINT64_C(1) << 20)

static int write_zeros(struct yd_file *file, uint64_t size)
{
    char *zeros = calloc(1, YD_MIN(size, ZERO_STEP));
    if (!zeros) return YD_ENOMEM;
    int error = 0;
    /* Synced step by step: a device busy with 256 MiB of zeros would make the appends wait. */
    for (uint64_t at = 0; at < size && !error; at += ZERO_STEP) {
        error = yd_file_write(file, zeros, YD_MIN(ZERO_STEP, size - at), at);
        if (!error) error = yd_file_sync(file);
    }
    free(zeros);
    return error;
}

static int make_space(struct yd_log *log, uint64_t size, bool zeros, struct yd_file **ret_file)
{
    char path[YD__PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/" YD__PREPARED_NAME, log->dir);
    struct yd_file *file;
    int error = yd_fs_open(log->fs, path, YD_OPEN_READ | YD_OPEN_WRITE | YD_OPEN_CREATE | YD_OPEN_TRUNCATE, &file);
    if (error) return error;
    error = yd_file_allocate(file, 0, size);
    if (!error && zeros)
        error = write_zeros(file, size);
    else if (!error)
        error = yd_file_sync(file);
    if (error) {
        yd_file_close(file);
        (void)yd_fs_unlink(log->fs, path); /* the next try truncates it anyway */
        return error;
    }
    *ret_file = file;
    return 0;
}

/* Under mutex: how much, and how. */
static uint64_t choose(struct yd_log *log, bool *ret_zeros)
{
    *ret_zeros = log->group_average < YD__GROUP_LARGE; /* from there on fallocate is the better way */
    return log->segment_size;
}

int yd__prepare(struct yd_log *log)
{
    yd_lock_take(&log->mutex);
    bool zeros, wanted = !log->prepared && !log->preparing && !log->failed;
    uint64_t size = choose(log, &zeros);
    if (wanted) log->preparing = true;
    log->prepare_wanted = false;
    yd_lock_give(&log->mutex);
    if (!wanted) return 0;
    struct yd_file *file = NULL;
    int error = make_space(log, size, zeros, &file);
    yd_lock_take(&log->mutex);
    log->preparing = false;
    if (!error) {
        log->prepared = file;
        log->prepared_size = size;
    }
    pthread_cond_broadcast(&log->moved); /* a flush may wait for it */
    yd_lock_give(&log->mutex);
    return error;
}

int yd__take_space(struct yd_log *log, uint64_t size_min, struct yd_file **ret_file, uint64_t *ret_size)
{
    yd_lock_take(&log->mutex);
    while (log->preparing) pthread_cond_wait(&log->moved, &log->mutex.mutex); /* half done is sooner than begun anew */
    log->preparing = true; /* next.tmp is ours until yd__space_named */
    struct yd_file *file = log->prepared;
    uint64_t size = log->prepared_size;
    log->prepared = NULL;
    bool zeros;
    uint64_t wanted = choose(log, &zeros);
    yd_lock_give(&log->mutex);
    if (file && size < size_min) {
        yd_file_close(file);
        file = NULL;
    }
    int error = 0;
    if (!file) {
        size_min = YD_ALIGN_UP(size_min, YD__SEGMENT_ALIGN);
        size = YD_MAX(wanted, size_min);
        error = make_space(log, size, zeros, &file);
        uint64_t smallest = YD_MAX(size_min, log->options.segment_size_min);
        if (error == YD_ENOSPC && smallest < size) {
            size = smallest;
            error = make_space(log, size, zeros, &file);
        }
    }
    if (error) return error;
    *ret_file = file;
    *ret_size = size;
    return 0;
}

/* ---- ballast ---- */

static void ballast_path(const struct yd_log *log, char *to, size_t size)
{
    (void)snprintf(to, size, "%s/ballast", log->dir);
}

static void set_ballast(struct yd_log *log, bool there)
{
    yd_lock_take(&log->mutex);
    log->ballast = there;
    log->ballast_moves = false;
    yd_lock_give(&log->mutex);
}

/* One at a time: taken while another gives, it would be told as there, and be gone. */
static bool may_move_ballast(struct yd_log *log, bool there)
{
    yd_lock_take(&log->mutex);
    bool may = log->ballast == there && !log->ballast_moves;
    if (may) log->ballast_moves = true;
    yd_lock_give(&log->mutex);
    return may;
}

/* One that is whole was left by the last life. Anything else under its name goes: room for who opens. */
void yd__ballast_open(struct yd_log *log)
{
    char path[YD__PATH_SIZE];
    struct yd_stat now;
    ballast_path(log, path, sizeof path);
    if (yd_fs_stat(log->fs, path, &now)) return;
    bool whole = log->options.ballast_bytes > 0 && now.node == YD_NODE_FILE && now.size == log->options.ballast_bytes &&
                 now.allocated >= now.size;
    if (!whole) (void)yd_fs_unlink(log->fs, path); /* tried again by whoever takes it anew */
    set_ballast(log, whole);
}

void yd__ballast_take(struct yd_log *log)
{
    char path[YD__PATH_SIZE];
    struct yd_space space;
    uint64_t size = log->options.ballast_bytes;
    yd_lock_take(&log->mutex);
    bool wanted = size > 0 && !log->ballast && !log->no_space && !log->failed;
    yd_lock_give(&log->mutex);
    if (!wanted || yd_fs_space(log->fs, log->dir, &space) || space.available / 2 < size) return;
    if (!may_move_ballast(log, false)) return;
    ballast_path(log, path, sizeof path);
    struct yd_file *file;
    int error = yd_fs_open(log->fs, path, YD_OPEN_WRITE | YD_OPEN_CREATE | YD_OPEN_TRUNCATE, &file);
    if (!error) {
        error = yd_file_allocate(file, 0, size);
        if (!error) error = yd_file_sync(file);
        yd_file_close(file);
        if (error) (void)yd_fs_unlink(log->fs, path); /* half of it is no help */
    }
    set_ballast(log, !error);
}

bool yd__ballast_give(struct yd_log *log)
{
    char path[YD__PATH_SIZE];
    if (!may_move_ballast(log, true)) return false;
    ballast_path(log, path, sizeof path);
    int error = yd_fs_unlink(log->fs, path);
    set_ballast(log, error != 0);
    if (error) return false;
    (void)yd_fs_sync_dir(log->fs, log->dir); /* only so that the room is there at once */
    return true;
}

void yd__space_named(struct yd_log *log)
{
    yd_lock_take(&log->mutex);
    log->preparing = false;
    yd_lock_give(&log->mutex);
}
