/* log/cursor.c: durable named positions: cursors/NAME, one small file each, replaced whole.
 *
 * A saved cursor is never ahead of what is durable and carries the epoch, so that after a cut its reader is moved back
 * and told. While it is fresh it holds retention. A copy of each is kept in memory for that question. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/internal.h"
#include "log/mend.h"

#define NAME_SIZE_MAX 200

static bool name_good(const char *name)
{
    size_t size = strlen(name);
    if (size == 0 || size > NAME_SIZE_MAX || name[0] == '.') return false;
    if (size > 4 && strcmp(name + size - 4, ".tmp") == 0)
        return false; /* what a replacement is called until it is whole */
    for (const char *at = name; *at; at++)
        if (*at == '/' || (unsigned char)*at < 0x20) return false;
    return true;
}

uint32_t yd__cursor_crc(const struct yd__cursor_file *cursor)
{
    struct yd__cursor_file copy = *cursor;
    copy.crc = 0;
    return yd_crc32c(0, &copy, sizeof copy);
}

int yd__cursor_read(struct yd_fs *fs, const char *dir, const char *name, struct yd__cursor_file *ret)
{
    char path[YD__PATH_SIZE + 256], *bytes;
    size_t size;
    (void)snprintf(path, sizeof path, "%s/cursors/%s", dir, name);
    int error = yd_fs_read_all(fs, path, 4096, &bytes, &size);
    if (error) return error == YD_ETOOBIG ? YD_ECORRUPT : error;
    struct yd__cursor_file cursor;
    if (size != sizeof cursor)
        error = YD_ECORRUPT;
    else
        memcpy(&cursor, bytes, sizeof cursor);
    free(bytes);
    if (!error && (cursor.magic != YD__CURSOR_MAGIC || yd__cursor_crc(&cursor) != cursor.crc)) error = YD_ECORRUPT;
    if (!error && cursor.version != YD__CURSOR_VERSION) error = YD_EVERSION;
    if (!error) *ret = cursor;
    return error;
}

int yd_log_cursor_load(struct yd_log *log, const char *name, struct yd_cursor *ret)
{
    if (!name_good(name)) return YD_EINVAL;
    struct yd__cursor_file cursor;
    int error = yd__cursor_read(log->fs, log->dir, name, &cursor);
    if (error) return error;
    if (cursor.log_id != log->log_id) return YD_ENOENT; /* of another stream that stood here before */
    *ret = (struct yd_cursor){cursor.seqno, cursor.epoch, cursor.saved_at};
    return 0;
}

/* ---- what is known of them, under mutex ---- */

static struct yd__cursor_known *known_find(struct yd_log *log, const char *name)
{
    for (uint32_t i = 0; i < log->cursor_count; i++)
        if (strcmp(log->cursors[i].name, name) == 0) return &log->cursors[i];
    return NULL;
}

static int known_put(struct yd_log *log, const char *name, const struct yd_cursor *cursor)
{
    struct yd__cursor_known *known = known_find(log, name);
    if (!known) {
        struct yd__cursor_known *all = realloc(log->cursors, (log->cursor_count + (size_t)1) * sizeof *all);
        if (!all) return YD_ENOMEM;
        log->cursors = all;
        char *copy = strdup(name);
        if (!copy) return YD_ENOMEM;
        known = &log->cursors[log->cursor_count++];
        known->name = copy;
    }
    known->cursor = *cursor;
    return 0;
}

uint64_t yd__cursors_oldest(struct yd_log *log, int64_t now, const char **ret_who)
{
    uint64_t oldest = UINT64_MAX;
    *ret_who = NULL;
    for (uint32_t i = 0; i < log->cursor_count; i++) {
        const struct yd__cursor_known *known = &log->cursors[i];
        if (known->cursor.saved_at < yd__log_ago(now, log->options.cursor_expiry_ns) || known->cursor.seqno >= oldest)
            continue;
        oldest = known->cursor.seqno;
        *ret_who = known->name;
    }
    /* Named by the options: however old, and from the first record on when it was never saved. */
    for (const char *const *name = log->options.hold; name && *name; name++) {
        const struct yd__cursor_known *known = known_find(log, *name);
        uint64_t seqno = known ? known->cursor.seqno : 0;
        if (seqno >= oldest) continue;
        oldest = seqno;
        *ret_who = *name;
    }
    return oldest;
}

static int visit_known(void *arg, const char *name, enum yd_file_type node)
{
    struct yd_log *log = arg;
    struct yd_cursor cursor;
    if (node != YD_NODE_FILE || !name_good(name)) return 0;
    int error = yd_log_cursor_load(log, name, &cursor);
    /* A damaged one is told when it is asked for; one that cannot be read now would fail to hold retention. */
    if (error == YD_ECORRUPT || error == YD_EVERSION || error == YD_ENOENT) return 0;
    return error ? error : known_put(log, name, &cursor);
}

int yd__cursors_load(struct yd_log *log)
{
    char dir[YD__PATH_SIZE + 16];
    (void)snprintf(dir, sizeof dir, "%s/cursors", log->dir);
    int error = yd_fs_list(log->fs, dir, visit_known, log);
    if (error == YD_ENOENT) return 0;
    /* One whose saving failed halfway may be seen: what has been seen stays. */
    return error ? error : yd_fs_sync_dir(log->fs, dir);
}

/* ---- saving ---- */

int yd_log_cursor_save(struct yd_log *log, const char *name, uint64_t seqno)
{
    if (!name_good(name)) return YD_EINVAL;
    if (log->options.readonly) return YD_EPERM;
    struct yd__cursor_file file = {.magic = YD__CURSOR_MAGIC, .version = YD__CURSOR_VERSION, .log_id = log->log_id};
    yd_lock_take(&log->mutex);
    file.seqno = YD_MIN(seqno, log->durable);
    file.epoch = log->epoch;
    bool closed = log->closed;
    yd_lock_give(&log->mutex);
    if (closed) return YD_ECLOSED;
    file.saved_at = yd__log_now(log);
    file.crc = yd__cursor_crc(&file);

    char path[YD__PATH_SIZE + 256];
    (void)snprintf(path, sizeof path, "%s/cursors", log->dir);
    struct yd_stat now;
    int error = yd_fs_stat(log->fs, path, &now);
    if (error == YD_ENOENT) error = yd_fs_make_dirs(log->fs, path);
    if (error) return error;
    (void)snprintf(path, sizeof path, "%s/cursors/%s", log->dir, name);
    yd_lock_take(&log->cursor_lock); /* two who save one at once would write one temporary file */
    error = yd_fs_replace(log->fs, path, &file, sizeof file);
    if (!error) {
        yd_lock_take(&log->mutex);
        error = known_put(log, name, &(struct yd_cursor){file.seqno, file.epoch, file.saved_at});
        yd_lock_give(&log->mutex);
    }
    yd_lock_give(&log->cursor_lock);
    return error;
}

int yd_log_cursor_remove(struct yd_log *log, const char *name)
{
    if (!name_good(name)) return YD_EINVAL;
    if (log->options.readonly) return YD_EPERM;
    char path[YD__PATH_SIZE + 256], dir[YD__PATH_SIZE + 16];
    (void)snprintf(dir, sizeof dir, "%s/cursors", log->dir);
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    yd_lock_take(&log->cursor_lock);
    int error = yd_fs_unlink(log->fs, path);
    if (!error) error = yd_fs_sync_dir(log->fs, dir);
    yd_lock_take(&log->mutex);
    struct yd__cursor_known *known = error ? NULL : known_find(log, name);
    if (known) {
        free(known->name);
        *known = log->cursors[--log->cursor_count];
    }
    yd_lock_give(&log->mutex);
    yd_lock_give(&log->cursor_lock);
    return error;
}

struct cursor_listing {
    struct yd_fs *fs;
    const char *dir;
    int (*visit)(void *arg, const char *name, const struct yd_cursor *cursor);
    void *arg;
};

static int visit_file(void *arg, const char *name, enum yd_file_type node)
{
    struct cursor_listing *listing = arg;
    struct yd__cursor_file file;
    if (node != YD_NODE_FILE || !name_good(name) || yd__cursor_read(listing->fs, listing->dir, name, &file)) return 0;
    struct yd_cursor cursor = {file.seqno, file.epoch, file.saved_at};
    return listing->visit(listing->arg, name, &cursor);
}

int yd_log_cursor_list(struct yd_fs *fs, const char *dir,
                       int (*visit)(void *arg, const char *name, const struct yd_cursor *cursor), void *arg)
{
    if (!fs) fs = yd_fs_linux();
    char path[YD__PATH_SIZE];
    if (strlen(dir) + 64 > sizeof path) return YD_ETOOBIG;
    (void)snprintf(path, sizeof path, "%s/cursors", dir);
    struct cursor_listing listing = {fs, dir, visit, arg};
    int error = yd_fs_list(fs, path, visit_file, &listing);
    return error == YD_ENOENT ? 0 : error;
}

/* ---- verify ---- */

struct cursor_check {
    struct yd_fs *fs;
    const char *dir;
    uint64_t count;
    bool any;
    void (*found)(void *arg, const char *file, uint64_t offset, const char *what);
    void *arg;
};

static int check_cursor(void *arg, const char *name, enum yd_file_type node)
{
    struct cursor_check *check = arg;
    struct yd__cursor_file cursor;
    char file[300];
    if (node != YD_NODE_FILE || !name_good(name)) return 0;
    int error = yd__cursor_read(check->fs, check->dir, name, &cursor);
    if (error == YD_ENOENT) return 0; /* removed meanwhile */
    check->count++;
    if (!error) return 0;
    check->any = true;
    (void)snprintf(file, sizeof file, "cursors/%s", name);
    if (check->found)
        check->found(check->arg, file, 0, error == YD_ECORRUPT ? "the cursor is damaged" : yd_error_text(error));
    return 0;
}

int yd_log_verify_cursors(struct yd_fs *fs, const char *dir, uint64_t *ret_count,
                          void (*found)(void *arg, const char *file, uint64_t offset, const char *what), void *arg)
{
    char path[YD__PATH_SIZE];
    struct cursor_check check = {.fs = fs ? fs : yd_fs_linux(), .dir = dir, .found = found, .arg = arg};
    if (strlen(dir) + 64 > sizeof path) return YD_ETOOBIG;
    (void)snprintf(path, sizeof path, "%s/cursors", dir);
    int error = yd_fs_list(check.fs, path, check_cursor, &check);
    if (ret_count) *ret_count = check.count;
    if (error && error != YD_ENOENT) return error;
    return check.any ? YD_ECORRUPT : 0;
}
