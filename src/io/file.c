/* io/file.c: what is built on the table of operations, the same for Linux and for the simulator.
 *
 * The order of the syncs is the content here. A new folder is durable when its parent was synced. A file is replaced
 * by: write a temporary, sync it, rename it over the old one, sync the folder. Leave one out and a crash shows an
 * empty file, or the old one after we said "new". */
#include <stdlib.h>

#include "io/file.h"

#define TEMPORARY ".tmp" /* what a replacement is called until it is whole */

int yd_file_write(struct yd_file *file, const void *data, size_t size, uint64_t offset)
{
    struct iovec part = {(void *)(uintptr_t)data, size};
    return yd_file_writev(file, &part, 1, offset);
}

char *yd_fs_parent(const char *path)
{
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/') size--;
    while (size && path[size - 1] != '/') size--;
    while (size > 1 && path[size - 1] == '/') size--;
    return size ? strndup(path, size) : strdup(".");
}

/* One level. The parent is synced even when the folder was there: it may be left from a process that was killed
 * between its mkdir and its sync, and then nothing but this sync makes it last. */
static int make_dir(struct yd_fs *fs, const char *path)
{
    struct yd_stat now;
    int made = yd_fs_mkdir(fs, path);
    if (made) {
        /* The answer to mkdir on something there differs ("/" is busy, a mount read-only): look what it is. */
        int error = yd_fs_stat(fs, path, &now);
        if (error) return made;
        if (now.node == YD_NODE_FILE) return YD_EEXIST;
    }
    char *parent = yd_fs_parent(path);
    if (!parent) return YD_ENOMEM;
    int error = yd_fs_sync_dir(fs, parent);
    free(parent);
    /* A folder above ours that we may pass but not read was not made by us either. */
    return made && error == YD_EPERM ? 0 : error;
}

int yd_fs_make_dirs(struct yd_fs *fs, const char *path)
{
    char *copy = strdup(path);
    if (!copy) return YD_ENOMEM;
    int error = 0;
    for (char *at = copy; !error && *at;) {
        while (*at == '/') at++;
        if (!*at) break;
        while (*at && *at != '/') at++;
        char kept = *at;
        *at = '\0';
        error = make_dir(fs, copy);
        *at = kept;
    }
    free(copy);
    return error;
}

static int read_open(struct yd_file *file, size_t size_max, char **ret_data, size_t *ret_size)
{
    struct yd_stat now;
    int error = yd_file_stat(file, &now);
    if (error) return error;
    if (now.size > size_max) return YD_ETOOBIG;
    /* Sizes can lie (files of /proc say 0) or change: one byte more is asked for than expected, until less comes. */
    size_t capacity = (size_t)now.size + 1, size = 0;
    char *data = NULL;
    for (;;) {
        char *more = realloc(data, capacity + 1);
        if (!more) {
            error = YD_ENOMEM;
            break;
        }
        data = more;
        size_t got = 0;
        error = yd_file_read(file, data + size, capacity - size, size, &got);
        if (error) break;
        size += got;
        if (size > size_max) error = YD_ETOOBIG;
        if (error || size < capacity) break;
        capacity = capacity < 2048 ? 4096 : capacity * 2;
    }
    if (error) {
        free(data);
        return error;
    }
    data[size] = '\0';
    *ret_data = data;
    *ret_size = size;
    return 0;
}

int yd_fs_read_all(struct yd_fs *fs, const char *path, size_t size_max, char **ret_data, size_t *ret_size)
{
    struct yd_file *file;
    int error = yd_fs_open(fs, path, YD_OPEN_READ, &file);
    if (error) return error;
    error = read_open(file, size_max, ret_data, ret_size);
    yd_file_close(file);
    return error;
}

static int write_new(struct yd_fs *fs, const char *path, const void *data, size_t size)
{
    struct yd_file *file;
    int error = yd_fs_open(fs, path, YD_OPEN_WRITE | YD_OPEN_CREATE | YD_OPEN_TRUNCATE, &file);
    if (error) return error;
    error = yd_file_write(file, data, size, 0);
    if (!error) error = yd_file_sync(file);
    yd_file_close(file);
    return error;
}

int yd_fs_replace(struct yd_fs *fs, const char *path, const void *data, size_t size)
{
    char *parent = yd_fs_parent(path), *temporary = malloc(strlen(path) + sizeof TEMPORARY);
    int error = YD_ENOMEM;
    if (!parent || !temporary) goto out;
    strcpy(temporary, path);
    strcat(temporary, TEMPORARY);
    error = write_new(fs, temporary, data, size);
    if (!error) error = yd_fs_rename(fs, temporary, path);
    if (error) {
        (void)yd_fs_unlink(fs, temporary); /* best effort: the next replacement truncates it */
        goto out;
    }
    error = yd_fs_sync_dir(fs, parent);
out:
    free(temporary);
    free(parent);
    return error;
}
