/* io/file_linux.c: yd_fs on Linux system calls. libc only.
 *
 * What the kernel leaves to its callers is finished here, once: EINTR is repeated, short reads and writes go on where
 * they stopped, a file system without fallocate gets zeros written. So a success is complete, and the floors above
 * have one failure to think about instead of five.
 *
 * Happy path: open (O_CLOEXEC) → pwritev… → fdatasync → close. The table's struct yd_file is the first member of
 * struct linux_file, which adds the descriptor. Nothing here is locked: the kernel's calls on a descriptor with
 * explicit offsets are safe from several threads.
 *
 * What can fail: everything; errno becomes a YD_E… in `failed`. After a failed fdatasync the kernel has marked the
 * pages clean: a second one would "succeed". That is why nothing here retries one. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/base.h"
#include "io/file.h"

#define PARTS_AT_ONCE  64                  /* of an iovec list, copied so that it can be advanced */
#define ZEROS_SIZE     65536               /* one write of the fallocate fallback */
#define RESIDENT_PAGES 4096                /* one mincore */
#define RW_SIZE_MAX    (UINT32_C(1) << 30) /* Linux moves at most 2 GiB - 4 KiB a call */

struct linux_file {
    struct yd_file file;
    int fd;
};

static int fd_of(struct yd_file *file)
{
    return ((struct linux_file *)file)->fd;
}

/* The YD_E… of errno, with what the general table leaves vague said more exactly. */
static int failed(void)
{
    switch (errno) {
    case ENOTEMPTY:
        return YD_EEXIST;
    case ENOTDIR:
        return YD_ENOENT;
    case EISDIR:
        return YD_EINVAL;
    case EDQUOT:
    case EFBIG:
        return YD_ENOSPC;
    case EROFS:
        return YD_EPERM;
    default:
        return yd_error_from_errno(errno);
    }
}

static int open_file(struct yd_fs *fs, const char *path, unsigned flags, struct yd_file **ret_file)
{
    int how = O_CLOEXEC | O_NOCTTY;
    if (!(flags & (YD_OPEN_READ | YD_OPEN_WRITE))) return YD_EINVAL;
    how |= (flags & YD_OPEN_WRITE) ? (flags & YD_OPEN_READ) ? O_RDWR : O_WRONLY : O_RDONLY;
    if (flags & YD_OPEN_CREATE) how |= O_CREAT;
    if (flags & YD_OPEN_EXCLUSIVE) how |= O_EXCL;
    if (flags & YD_OPEN_TRUNCATE) how |= O_TRUNC;
    struct linux_file *file = malloc(sizeof *file);
    if (!file) return YD_ENOMEM;
    do file->fd = open(path, how, 0640);
    while (file->fd < 0 && errno == EINTR);
    if (file->fd < 0) {
        int error = failed();
        free(file);
        return error;
    }
    file->file.fs = fs;
    *ret_file = &file->file;
    return 0;
}

static void close_file(struct yd_file *file)
{
    if (!file) return;
    (void)close(fd_of(file)); /* whatever it says, the descriptor is gone; durability was sync's business */
    free(file);
}

static int read_file(struct yd_file *file, void *to, size_t size, uint64_t offset, size_t *ret_size)
{
    size_t done = 0;
    if (offset > INT64_MAX - size) return YD_EINVAL;
    while (done < size) {
        ssize_t got = pread(fd_of(file), (char *)to + done, YD_MIN(size - done, RW_SIZE_MAX), (off_t)(offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return failed();
        if (got == 0) break;
        done += (size_t)got;
    }
    *ret_size = done;
    return 0;
}

/* Writes `count` parts of `parts`, which it may change. */
static int write_parts(int fd, struct iovec *parts, int count, uint64_t *offset)
{
    while (count) {
        if (parts->iov_len == 0) {
            parts++, count--;
            continue;
        }
        ssize_t put = pwritev(fd, parts, count, (off_t)*offset);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return failed();
        if (put == 0) return YD_EIO; /* no progress and no reason: a device that lies; do not spin */
        *offset += (uint64_t)put;
        size_t left = (size_t)put;
        while (count && left >= parts->iov_len) left -= parts->iov_len, parts++, count--;
        if (left) parts->iov_base = (char *)parts->iov_base + left, parts->iov_len -= left;
    }
    return 0;
}

static int writev_file(struct yd_file *file, const struct iovec *parts, int part_count, uint64_t offset)
{
    struct iovec run[PARTS_AT_ONCE];
    if (offset > INT64_MAX) return YD_EINVAL;
    for (int at = 0; at < part_count; at += PARTS_AT_ONCE) {
        int count = YD_MIN(part_count - at, PARTS_AT_ONCE);
        memcpy(run, parts + at, (size_t)count * sizeof *run);
        int error = write_parts(fd_of(file), run, count, &offset);
        if (error) return error;
    }
    return 0;
}

static int sync_file(struct yd_file *file)
{
    int result;
    do result = fdatasync(fd_of(file));
    while (result && errno == EINTR);
    return result ? failed() : 0;
}

static int stat_fd(struct yd_file *file, struct yd_stat *ret);

/* For file systems without fallocate: zeros from the present end on. Holes below it stay holes: filling them could
 * overwrite what another thread writes meanwhile. */
static int allocate_by_zeros(struct yd_file *file, uint64_t end)
{
    static const char zeros[ZEROS_SIZE];
    struct yd_stat now = {0};
    int error = stat_fd(file, &now);
    for (uint64_t at = now.size; !error && at < end;) {
        struct iovec part = {(void *)(uintptr_t)zeros, YD_MIN(end - at, ZEROS_SIZE)};
        error = write_parts(fd_of(file), &part, 1, &at);
    }
    return error;
}

static int allocate_file(struct yd_file *file, uint64_t offset, uint64_t size)
{
    int result;
    if (size == 0) return 0;
    if (offset > INT64_MAX || size > INT64_MAX - offset) return YD_EINVAL;
    do result = fallocate(fd_of(file), 0, (off_t)offset, (off_t)size);
    while (result && errno == EINTR);
    if (result && (errno == EOPNOTSUPP || errno == ENOSYS)) return allocate_by_zeros(file, offset + size);
    return result ? failed() : 0;
}

static int truncate_file(struct yd_file *file, uint64_t size)
{
    int result;
    if (size > INT64_MAX) return YD_EINVAL;
    do result = ftruncate(fd_of(file), (off_t)size);
    while (result && errno == EINTR);
    return result ? failed() : 0;
}

static enum yd_file_type node_of(mode_t mode)
{
    return S_ISREG(mode) ? YD_NODE_FILE : S_ISDIR(mode) ? YD_NODE_DIR : S_ISLNK(mode) ? YD_NODE_LINK : YD_NODE_OTHER;
}

static void put_stat(const struct stat *from, struct yd_stat *to)
{
    *to = (struct yd_stat){.node = node_of(from->st_mode),
                           .size = (uint64_t)from->st_size,
                           .inode = from->st_ino,
                           .device = from->st_dev,
                           .allocated = (uint64_t)from->st_blocks * 512,
                           .mtime_ns = from->st_mtim.tv_sec * YD_NS_PER_S + from->st_mtim.tv_nsec,
                           .mode = from->st_mode & 07777};
}

static int stat_fd(struct yd_file *file, struct yd_stat *ret)
{
    struct stat now;
    if (fstat(fd_of(file), &now)) return failed();
    put_stat(&now, ret);
    return 0;
}

static int stat_path(struct yd_fs *fs, const char *path, struct yd_stat *ret)
{
    struct stat now;
    (void)fs; /* there is one Linux */
    if (lstat(path, &now)) return failed();
    put_stat(&now, ret);
    return 0;
}

/* A mapping beyond the end of the file would be a SIGBUS in wait, so it is refused. */
static int map_file(struct yd_file *file, uint64_t offset, size_t size, bool writable, void **ret_address)
{
    struct yd_stat now = {0};
    int error = stat_fd(file, &now);
    if (error) return error;
    if (size == 0 || offset % 4096 || offset > now.size || size > now.size - offset) return YD_EINVAL;
    void *address = mmap(NULL, size, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, fd_of(file), (off_t)offset);
    if (address == MAP_FAILED) return failed();
    *ret_address = address;
    return 0;
}

static void unmap_range(struct yd_fs *fs, void *address, size_t size)
{
    (void)fs;
    if (address) YD_ASSERT(munmap(address, size) == 0);
}

static int sync_map_range(struct yd_fs *fs, void *address, size_t size)
{
    (void)fs;
    /* msync wants a page's address; the caller may name any bytes inside his mapping. */
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = (uintptr_t)address & ~(page - 1);
    return msync((void *)start, (uintptr_t)address + size - start, MS_SYNC) ? failed() : 0;
}

static int lock_file(struct yd_file *file)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    /* An open file description's lock: it goes with this handle, not when any other handle of the process closes. */
    int result;
    do result = fcntl(fd_of(file), F_OFD_SETLK, &whole);
    while (result && errno == EINTR); /* over a network */
    if (result == 0) return 0;
    return errno == EAGAIN || errno == EACCES ? YD_ELOCKED : failed();
}

static int resident_chunk(int fd, uint64_t start, size_t size, uint64_t page, bool *ret_resident)
{
    unsigned char pages[RESIDENT_PAGES];
    void *address = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, (off_t)start);
    if (address == MAP_FAILED) return failed();
    int error = mincore(address, size, pages) ? failed() : 0;
    YD_ASSERT(munmap(address, size) == 0);
    for (size_t i = 0; !error && i < (size + page - 1) / page; i++)
        if (!(pages[i] & 1)) *ret_resident = false;
    return error;
}

static int resident_file(struct yd_file *file, uint64_t offset, size_t size, bool *ret_resident)
{
    struct yd_stat now = {0};
    int error = stat_fd(file, &now);
    if (error) return error;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), end = YD_MIN(offset + size, now.size);
    bool resident = true;
    for (uint64_t at = offset & ~(page - 1); !error && resident && at < end;) {
        size_t chunk = (size_t)YD_MIN(end - at, RESIDENT_PAGES * page);
        error = resident_chunk(fd_of(file), at, chunk, page, &resident);
        at += chunk;
    }
    if (!error) *ret_resident = resident;
    return error;
}

/* Those on which a page that was mapped may be gone when it is looked at. */
static bool is_local(int fd)
{
    static const uint32_t remote[] = {NFS_SUPER_MAGIC,  FUSE_SUPER_MAGIC, SMB_SUPER_MAGIC,  CIFS_SUPER_MAGIC,
                                      SMB2_SUPER_MAGIC, V9FS_MAGIC,       CEPH_SUPER_MAGIC, AFS_SUPER_MAGIC};
    struct statfs about;
    if (fstatfs(fd, &about)) return false;
    for (size_t i = 0; i < YD_COUNT(remote); i++)
        if ((uint32_t)about.f_type == remote[i]) return false;
    return true;
}

static int map_loaded_file(struct yd_file *file, uint64_t offset, size_t size, void **ret_address)
{
#ifdef MADV_POPULATE_READ
    void *address;
    if (!is_local(fd_of(file))) return YD_ENOTSUP;
    int error = map_file(file, offset, size, false, &address);
    if (error) return error;
    /* Faults all pages in at once; what would have been a signal later is an error here. */
    if (madvise(address, size, MADV_POPULATE_READ) == 0) {
        *ret_address = address;
        return 0;
    }
    error = errno == EINVAL ? YD_ENOTSUP : YD_EIO; /* EINVAL: kernels before 5.14 */
    unmap_range(NULL, address, size);
    return error;
#else
    (void)file, (void)offset, (void)size, (void)ret_address;
    return YD_ENOTSUP;
#endif
}

static void forget_range(struct yd_file *file, uint64_t offset, uint64_t size)
{
    (void)posix_fadvise(fd_of(file), (off_t)offset, (off_t)size, POSIX_FADV_DONTNEED); /* a hint */
}

static int rename_path(struct yd_fs *fs, const char *from, const char *to)
{
    (void)fs;
    return rename(from, to) ? failed() : 0;
}
static int unlink_path(struct yd_fs *fs, const char *path)
{
    (void)fs;
    return unlink(path) ? failed() : 0;
}
static int mkdir_path(struct yd_fs *fs, const char *path)
{
    (void)fs;
    return mkdir(path, 0750) ? failed() : 0;
}
static int rmdir_path(struct yd_fs *fs, const char *path)
{
    (void)fs;
    return rmdir(path) ? failed() : 0;
}

static int sync_dir_path(struct yd_fs *fs, const char *path)
{
    (void)fs;
    int fd, result;
    do fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    if (fd < 0) return failed();
    do result = fsync(fd);
    while (result && errno == EINTR);
    int error = result ? failed() : 0;
    (void)close(fd); /* opened for reading: nothing to lose */
    return error;
}

static enum yd_file_type node_of_entry(DIR *dir, const struct dirent *entry)
{
    struct stat now;
    switch (entry->d_type) {
    case DT_REG:
        return YD_NODE_FILE;
    case DT_DIR:
        return YD_NODE_DIR;
    case DT_LNK:
        return YD_NODE_LINK;
    case DT_UNKNOWN: /* some file systems do not say */
        if (fstatat(dirfd(dir), entry->d_name, &now, AT_SYMLINK_NOFOLLOW) == 0) return node_of(now.st_mode);
        return YD_NODE_OTHER;
    default:
        return YD_NODE_OTHER;
    }
}

static int list_path(struct yd_fs *fs, const char *path, int (*visit)(void *, const char *, enum yd_file_type),
                     void *arg)
{
    (void)fs;
    DIR *dir;
    do dir = opendir(path);
    while (!dir && errno == EINTR);
    if (!dir) return failed();
    int result = 0;
    while (result == 0) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (!entry) {
            if (errno) result = failed();
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        result = visit(arg, entry->d_name, node_of_entry(dir, entry));
    }
    (void)closedir(dir); /* opened for reading */
    return result;
}

static int space_path(struct yd_fs *fs, const char *path, struct yd_space *ret)
{
    struct statvfs now;
    (void)fs;
    if (statvfs(path, &now)) return failed();
    ret->total = (uint64_t)now.f_blocks * now.f_frsize;
    ret->available = (uint64_t)now.f_bavail * now.f_frsize;
    return 0;
}

static const struct yd_fs_ops linux_ops = {
    .open = open_file,
    .close = close_file,
    .read = read_file,
    .writev = writev_file,
    .descriptor = fd_of,
    .sync = sync_file,
    .allocate = allocate_file,
    .truncate = truncate_file,
    .stat_file = stat_fd,
    .map = map_file,
    .map_loaded = map_loaded_file,
    .unmap = unmap_range,
    .sync_map = sync_map_range,
    .lock = lock_file,
    .resident = resident_file,
    .forget = forget_range,
    .stat = stat_path,
    .rename = rename_path,
    .unlink = unlink_path,
    .mkdir = mkdir_path,
    .rmdir = rmdir_path,
    .sync_dir = sync_dir_path,
    .list = list_path,
    .space = space_path,
};

struct yd_fs *yd_fs_linux(void)
{
    static struct yd_fs fs = {&linux_ops}; /* no state: not a hidden global but a constant of another type */
    return &fs;
}
