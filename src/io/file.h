/* io/file.h: the seam to disks. libc only.
 *
 * `struct yd_fs` is a table of operations; yd_fs_linux() is the real one, io/sim_file.h the simulated one. Calls block:
 * they are made from file threads (io/pool.h), never from an executor. All return 0 or YD_E…; YD_EIO for what the
 * device refused, YD_ENOSPC for no room. Short reads and writes and EINTR are dealt with inside the Linux one: a
 * success is complete, but for yd_file_read, which tells how much there was (less only at the end of the file).
 * Paths are UTF-8, '/'-separated, relative to the working directory (the simulator: to its root). Any thread; one
 * file's handle may be used by several threads at different offsets. */
#ifndef IO_FILE_H
#define IO_FILE_H

#include <sys/uio.h>

#include "base/base.h"

struct yd_fs;
struct yd_file;

enum yd_open_flags {
    YD_OPEN_READ = 1,
    YD_OPEN_WRITE = 2,
    YD_OPEN_CREATE = 4,    /* make it if it is not there (mode 0640) */
    YD_OPEN_EXCLUSIVE = 8, /* with CREATE: YD_EEXIST if it is */
    YD_OPEN_TRUNCATE = 16,
};

enum yd_file_type { YD_NODE_FILE, YD_NODE_DIR, YD_NODE_LINK, YD_NODE_OTHER };

struct yd_stat {
    enum yd_file_type node;
    uint64_t size, inode, device;
    uint64_t allocated; /* bytes on disk */
    int64_t mtime_ns;
    uint32_t mode;
};

struct yd_space {
    uint64_t total, available; /* bytes, of the file system below a path */
};

struct yd_fs_ops {
    int (*open)(struct yd_fs *fs, const char *path, unsigned flags, struct yd_file **ret_file);
    void (*close)(struct yd_file *file); /* NULL is quiet; never syncs */
    int (*read)(struct yd_file *file, void *to, size_t size, uint64_t offset, size_t *ret_size);
    int (*writev)(struct yd_file *file, const struct iovec *parts, int part_count, uint64_t offset);
    int (*descriptor)(struct yd_file *file); /* for sendfile; NULL: it has none */
    int (*sync)(struct yd_file *file);       /* data, and the size needed to read it: fdatasync */
    int (*allocate)(struct yd_file *file, uint64_t offset, uint64_t size); /* fallocate; grows the size */
    int (*truncate)(struct yd_file *file, uint64_t size);
    int (*stat_file)(struct yd_file *file, struct yd_stat *ret);
    /* Shared mapping, inside the file (else YD_EINVAL); offset is a multiple of 4096. Stores through it reach the file
     * as unsynced writes do. sync_map: msync of a range, waits. */
    int (*map)(struct yd_file *file, uint64_t offset, size_t size, bool writable, void **ret_address);
    void (*unmap)(struct yd_fs *fs, void *address, size_t size);
    int (*sync_map)(struct yd_fs *fs, void *address, size_t size);
    /* As map, read-only, with all pages read in: YD_EIO when the device refuses one, which would be a signal later.
     * Local file systems only (YD_ENOTSUP elsewhere: NFS, FUSE, CIFS, 9p: a page may go again). Blocks. NULL: never. */
    int (*map_loaded)(struct yd_file *file, uint64_t offset, size_t size, void **ret_address);
    int (*lock)(struct yd_file *file); /* exclusive, advisory, until closed: YD_ELOCKED when another process has it */
    int (*resident)(struct yd_file *file, uint64_t offset, size_t size, bool *ret_resident); /* in the page cache? */
    /* A hint, and NULL where it means nothing: this range (offset to a multiple of 4096, synced) will not be read soon.
     */
    void (*forget)(struct yd_file *file, uint64_t offset, uint64_t size);
    int (*stat)(struct yd_fs *fs, const char *path, struct yd_stat *ret); /* does not follow a link at the end */
    int (*rename)(struct yd_fs *fs, const char *from, const char *to);    /* atomic, replaces */
    int (*unlink)(struct yd_fs *fs, const char *path);
    int (*mkdir)(struct yd_fs *fs, const char *path); /* mode 0750; YD_EEXIST */
    int (*rmdir)(struct yd_fs *fs, const char *path); /* YD_EEXIST when something is in it */
    int (*sync_dir)(struct yd_fs *fs, const char *path);
    /* Names in a folder, without . and .., in unspecified order; stops early when visit returns non-zero and returns
     * it. */
    int (*list)(struct yd_fs *fs, const char *path, int (*visit)(void *arg, const char *name, enum yd_file_type node),
                void *arg);
    int (*space)(struct yd_fs *fs, const char *path, struct yd_space *ret);
};

struct yd_fs {
    const struct yd_fs_ops *ops;
};
struct yd_file {
    struct yd_fs *fs;
};

struct yd_fs *yd_fs_linux(void); /* one for the process, never destroyed */

static inline int yd_fs_open(struct yd_fs *fs, const char *path, unsigned flags, struct yd_file **ret_file)
{
    return fs->ops->open(fs, path, flags, ret_file);
}
static inline void yd_file_close(struct yd_file *file)
{
    if (file) file->fs->ops->close(file);
}
static inline int yd_file_read(struct yd_file *file, void *to, size_t size, uint64_t offset, size_t *ret_size)
{
    return file->fs->ops->read(file, to, size, offset, ret_size);
}
static inline int yd_file_writev(struct yd_file *file, const struct iovec *parts, int part_count, uint64_t offset)
{
    return file->fs->ops->writev(file, parts, part_count, offset);
}
static inline int yd_file_sync(struct yd_file *file)
{
    return file->fs->ops->sync(file);
}
static inline int yd_file_allocate(struct yd_file *file, uint64_t offset, uint64_t size)
{
    return file->fs->ops->allocate(file, offset, size);
}
static inline int yd_file_truncate(struct yd_file *file, uint64_t size)
{
    return file->fs->ops->truncate(file, size);
}
static inline int yd_file_stat(struct yd_file *file, struct yd_stat *ret)
{
    return file->fs->ops->stat_file(file, ret);
}
static inline int yd_file_map(struct yd_file *file, uint64_t offset, size_t size, bool writable, void **ret_address)
{
    return file->fs->ops->map(file, offset, size, writable, ret_address);
}
static inline int yd_file_map_loaded(struct yd_file *file, uint64_t offset, size_t size, void **ret_address)
{
    return file->fs->ops->map_loaded ? file->fs->ops->map_loaded(file, offset, size, ret_address) : YD_ENOTSUP;
}
static inline void yd_fs_unmap(struct yd_fs *fs, void *address, size_t size)
{
    fs->ops->unmap(fs, address, size);
}
static inline int yd_fs_sync_map(struct yd_fs *fs, void *address, size_t size)
{
    return fs->ops->sync_map(fs, address, size);
}
static inline int yd_file_lock(struct yd_file *file)
{
    return file->fs->ops->lock(file);
}
static inline int yd_file_resident(struct yd_file *file, uint64_t offset, size_t size, bool *ret_resident)
{
    return file->fs->ops->resident(file, offset, size, ret_resident);
}
static inline void yd_file_forget(struct yd_file *file, uint64_t offset, uint64_t size)
{
    if (file->fs->ops->forget) file->fs->ops->forget(file, offset, size);
}
static inline int yd_fs_stat(struct yd_fs *fs, const char *path, struct yd_stat *ret)
{
    return fs->ops->stat(fs, path, ret);
}
static inline int yd_fs_rename(struct yd_fs *fs, const char *from, const char *to)
{
    return fs->ops->rename(fs, from, to);
}
static inline int yd_fs_unlink(struct yd_fs *fs, const char *path)
{
    return fs->ops->unlink(fs, path);
}
static inline int yd_fs_mkdir(struct yd_fs *fs, const char *path)
{
    return fs->ops->mkdir(fs, path);
}
static inline int yd_fs_rmdir(struct yd_fs *fs, const char *path)
{
    return fs->ops->rmdir(fs, path);
}
static inline int yd_fs_sync_dir(struct yd_fs *fs, const char *path)
{
    return fs->ops->sync_dir(fs, path);
}
static inline int yd_fs_list(struct yd_fs *fs, const char *path, int (*visit)(void *, const char *, enum yd_file_type),
                             void *arg)
{
    return fs->ops->list(fs, path, visit, arg);
}
static inline int yd_fs_space(struct yd_fs *fs, const char *path, struct yd_space *ret)
{
    return fs->ops->space(fs, path, ret);
}

/* On top of the table, for both. */
int yd_file_write(struct yd_file *file, const void *data, size_t size, uint64_t offset);
/* mkdir -p, each level's parent synced, whether the level is new or was there: afterwards the whole path lasts. */
int yd_fs_make_dirs(struct yd_fs *fs, const char *path);
char *yd_fs_parent(const char *path); /* "a/b" of "a/b/c", "." of "c", "/" of "/c"; malloc'd, NULL on ENOMEM */
int yd_fs_read_all(struct yd_fs *fs, const char *path, size_t size_max, char **ret_data,
                   size_t *ret_size); /* malloc'd, terminated */
/* Replaces a small file (by way of PATH.tmp) so that after a crash it is the old or the new one, whole: temporary,
 * sync, rename, sync_dir. */
int yd_fs_replace(struct yd_fs *fs, const char *path, const void *data, size_t size);

#endif
