/* io/sim_file.c: the table of operations of the simulated disk, its faults and counters. See io/sim_file.h.
 *
 * Every call goes through `enter`: it counts, refuses when the power is cut or the handle died with its process, and
 * lets background write-back happen. Then the call's own faults are drawn, and the result goes into the trace. */
#include <stdio.h>
#include <stdlib.h>

#include "io/sim_disk.h"

enum call {
    OPEN,
    READ,
    WRITE,
    SYNC,
    ALLOCATE,
    TRUNCATE,
    MAP,
    SYNC_MAP,
    LOCK,
    RESIDENT,
    STAT,
    RENAME,
    UNLINK,
    MKDIR,
    RMDIR,
    SYNC_DIR,
    LIST,
    SPACE,
    CRASH,
    KILL,
    ROT
};

/* ---- shared helpers ---- */

void *yd__sim_get(size_t size)
{
    void *memory = calloc(1, size);
    YD_ASSERT(memory);
    return memory;
}

void *yd__sim_grow(void *array, uint32_t *capacity, uint32_t count_wanted, size_t element_size)
{
    if (count_wanted <= *capacity) return array;
    uint32_t old = *capacity, now = YD_MAX(YD_MAX(old * 2, count_wanted), 4);
    char *memory = realloc(array, now * element_size);
    YD_ASSERT(memory);
    memset(memory + old * element_size, 0, (now - old) * element_size);
    *capacity = now;
    return memory;
}

char *yd__sim_strdup(const char *text)
{
    char *copy = strdup(text);
    YD_ASSERT(copy);
    return copy;
}

void yd__sim_mix(struct yd__sim_fs *disk, uint64_t value)
{
    uint64_t mixed = (disk->trace ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    disk->trace = mixed ^ (mixed >> 29);
}

static const struct yd_fs_ops sim_ops;

static struct yd__sim_fs *disk_of(struct yd_fs *fs)
{
    YD_ASSERT(fs->ops == &sim_ops);
    return (struct yd__sim_fs *)fs;
}

static void write_back(struct yd__sim_fs *disk)
{
    if (yd_rng_below(&disk->rng, 4) == 0 && yd__sim_names_write_back(disk)) {
        disk->counts.write_backs++;
        return;
    }
    for (int tries = 0; tries < 8; tries++) {
        struct yd__sim_inode *inode = disk->inodes[yd_rng_below(&disk->rng, disk->inode_count)];
        if (!inode || inode->node != YD_NODE_FILE || !yd__sim_image_write_back(disk, inode)) continue;
        disk->counts.write_backs++;
        return;
    }
}

static void evict(struct yd__sim_fs *disk)
{
    for (uint32_t i = 0; i < disk->inode_count; i++)
        if (disk->inodes[i] && yd__sim_image_evict(disk, disk->inodes[i])) disk->counts.evictions++;
}

/* What is stored into a mapping from now on reaches nobody: files go on in copies. */
static void cut_mappings(struct yd__sim_fs *disk)
{
    for (uint32_t i = 0; i < disk->inode_count; i++)
        if (disk->inodes[i] && disk->inodes[i]->extent) yd__sim_image_from_extent(disk->inodes[i]);
    for (uint32_t i = 0; i < disk->map_count; i++) disk->maps[i].inode = UINT32_MAX;
}

static int enter(struct yd__sim_fs *disk)
{
    if (disk->cut == 0) {
        cut_mappings(disk);
        return YD_ECLOSED;
    }
    if (disk->cut != UINT64_MAX) disk->cut--;
    disk->counts.calls++;
    if (yd__sim_chance(disk, disk->faults.write_back)) write_back(disk);
    if (yd__sim_chance(disk, disk->faults.evict)) evict(disk);
    return 0;
}

static int leave(struct yd__sim_fs *disk, enum call call, uint64_t what, uint64_t size, int result)
{
    yd__sim_mix(disk, (uint64_t)call << 32 | (uint32_t)result);
    yd__sim_mix(disk, what);
    yd__sim_mix(disk, size);
    return result;
}

static int enter_file(struct yd_file *file, struct yd__sim_fs **ret_disk, struct yd__sim_inode **ret_inode)
{
    struct yd__sim_file *handle = (struct yd__sim_file *)file;
    if (handle->generation != handle->disk->generation) return YD_ECLOSED;
    int error = enter(handle->disk);
    if (error) return error;
    *ret_disk = handle->disk;
    *ret_inode = handle->disk->inodes[handle->inode];
    return 0;
}

static bool may(struct yd_file *file, unsigned flag)
{
    return ((struct yd__sim_file *)file)->flags & flag;
}

static uint64_t hash_path(const char *path)
{
    return yd_crc32c(0, path, strlen(path));
}

static bool meta_fault(struct yd__sim_fs *disk)
{
    bool fault = yd__sim_chance(disk, disk->faults.meta_fails);
    disk->counts.metas_failed += fault;
    return fault;
}

static bool ignored(struct yd__sim_fs *disk, unsigned kind, const char *path)
{
    bool yes = (disk->ignored_kinds & kind) && (!disk->ignored_part || strstr(path, disk->ignored_part));
    disk->counts.ignored_syncs += yes;
    return yes;
}

/* ---- files ---- */

static int open_inode(struct yd__sim_fs *disk, const char *path, unsigned flags, struct yd__sim_inode **ret_inode)
{
    struct yd__sim_inode *folder;
    const char *name;
    size_t size;
    if (!(flags & (YD_OPEN_READ | YD_OPEN_WRITE))) return YD_EINVAL;
    int error = yd__sim_find_folder(disk, path, &folder, &name, &size);
    if (error) return error;
    struct yd__sim_inode *inode = yd__sim_entry_find(disk, folder, name, size);
    if (inode && (flags & YD_OPEN_CREATE) && (flags & YD_OPEN_EXCLUSIVE)) return YD_EEXIST;
    if (inode && inode->node == YD_NODE_DIR) return YD_EINVAL;
    if (!inode && !(flags & YD_OPEN_CREATE)) return YD_ENOENT;
    if (!inode) {
        if (meta_fault(disk)) return YD_EIO;
        inode = yd__sim_inode_new(disk, YD_NODE_FILE);
        inode->mtime_ns = disk->wall_ns;
        char *terminated = strndup(name, size);
        YD_ASSERT(terminated);
        yd__sim_link(disk, folder, terminated, inode);
        free(terminated);
    }
    if ((flags & YD_OPEN_TRUNCATE) && (flags & YD_OPEN_WRITE)) yd__sim_image_resize(disk, inode, 0);
    *ret_inode = inode;
    return 0;
}

static int open_file(struct yd_fs *fs, const char *path, unsigned flags, struct yd_file **ret_file)
{
    struct yd__sim_fs *disk = disk_of(fs);
    struct yd__sim_inode *inode = NULL;
    int error = enter(disk);
    if (error) return error;
    error = open_inode(disk, path, flags, &inode);
    if (!error) {
        struct yd__sim_file *handle = yd__sim_get(sizeof *handle);
        *handle = (struct yd__sim_file){{fs}, disk, inode->id, flags, disk->generation, yd__sim_strdup(path)};
        yd__sim_inode_hold(disk, inode->id, true);
        inode->handles++;
        *ret_file = &handle->file;
    }
    return leave(disk, OPEN, hash_path(path), flags, error);
}

static void close_file(struct yd_file *file)
{
    struct yd__sim_file *handle = (struct yd__sim_file *)file;
    if (!file) return;
    if (handle->generation == handle->disk->generation) {
        struct yd__sim_inode *inode = handle->disk->inodes[handle->inode];
        if (inode->locked_by == handle) inode->locked_by = NULL;
        inode->handles--;
        yd__sim_inode_drop(handle->disk, handle->inode, true);
    }
    free(handle->path);
    free(handle);
}

static bool hits_bad(const struct yd__sim_inode *inode, uint64_t offset, size_t size)
{
    for (uint32_t i = 0; i < inode->bad_count; i++)
        if (offset < inode->bad[i].offset + inode->bad[i].size && inode->bad[i].offset < offset + size) return true;
    return false;
}

static int read_file(struct yd_file *file, void *to, size_t size, uint64_t offset, size_t *ret_size)
{
    struct yd__sim_fs *disk;
    struct yd__sim_inode *inode;
    int error = enter_file(file, &disk, &inode);
    if (error) return error;
    if (!may(file, YD_OPEN_READ)) return leave(disk, READ, offset, size, YD_EINVAL);
    size_t there = offset < inode->size ? (size_t)YD_MIN(inode->size - offset, size) : 0;
    if (hits_bad(inode, offset, there)) {
        disk->counts.bad_reads++;
        return leave(disk, READ, offset, size, YD_EIO);
    }
    if (yd__sim_chance(disk, disk->faults.read_fails)) {
        disk->counts.reads_failed++;
        return leave(disk, READ, offset, size, YD_EIO);
    }
    yd__sim_image_read(inode, to, there, offset);
    *ret_size = there;
    return leave(disk, READ, offset, there, 0);
}

/* The first `size` bytes of the parts, at `offset`. */
static void write_parts(struct yd__sim_fs *disk, struct yd__sim_inode *inode, const struct iovec *parts, uint64_t size,
                        uint64_t offset)
{
    for (const struct iovec *part = parts; size; part++) {
        size_t chunk = (size_t)YD_MIN(size, part->iov_len);
        yd__sim_image_write(disk, inode, part->iov_base, chunk, offset);
        yd__sim_mix(disk, chunk ? yd_crc32c(0, part->iov_base, chunk) : 0);
        size -= chunk, offset += chunk;
        disk->counts.bytes_written += chunk;
    }
}

static int writev_file(struct yd_file *file, const struct iovec *parts, int part_count, uint64_t offset)
{
    struct yd__sim_fs *disk;
    struct yd__sim_inode *inode;
    int error = enter_file(file, &disk, &inode);
    if (error) return error;
    if (!may(file, YD_OPEN_WRITE)) return leave(disk, WRITE, offset, 0, YD_EINVAL);
    uint64_t size = 0, end, free_pages = disk->capacity > disk->used ? (disk->capacity - disk->used) / YD__SIM_PAGE : 0;
    for (int i = 0; i < part_count; i++) size += parts[i].iov_len;
    if (size > YD__SIM_SIZE_MAX || offset > YD__SIM_SIZE_MAX - size) return leave(disk, WRITE, offset, size, YD_ENOSPC);
    (void)yd__sim_image_wants(inode, offset, size, free_pages, &end);
    if (end < offset + size) {
        error = YD_ENOSPC;
        disk->counts.no_space++;
        size = end - offset;
    } else if (yd__sim_chance(disk, disk->faults.write_fails)) {
        error = YD_EIO;
        disk->counts.writes_failed++;
    }
    if (error) size = size ? yd_rng_below(&disk->rng, size + 1) : 0;
    yd__sim_image_take(disk, inode, offset, size);
    write_parts(disk, inode, parts, size, offset);
    if (size && offset + size > inode->size) inode->size = offset + size;
    inode->mtime_ns = disk->wall_ns;
    return leave(disk, WRITE, offset, size, error);
}

static int sync_file(struct yd_file *file)
{
    struct yd__sim_fs *disk;
    struct yd__sim_inode *inode;
    int error = enter_file(file, &disk, &inode);
    if (error) return error;
    if (ignored(disk, YD_SIM_SYNC_FILE, ((struct yd__sim_file *)file)->path)) return leave(disk, SYNC, inode->id, 0, 0);
    bool fails = yd__sim_chance(disk, disk->faults.sync_fails);
    yd__sim_image_sync(disk, inode, 0, UINT64_MAX, fails);
    *(fails ? &disk->counts.syncs_failed : &disk->counts.syncs) += 1;
    return leave(disk, SYNC, inode->id, 0, fails ? YD_EIO : 0);
}

static int allocate_file(struct yd_file *file, uint64_t offset, uint64_t size)
{
    struct yd__sim_fs *disk;
    struct yd__sim_inode *inode;
    int error = enter_file(file, &disk, &inode);
    if (error) return error;
    if (!may(file, YD_OPEN_WRITE)) return leave(disk, ALLOCATE, offset, size, YD_EINVAL);
    uint64_t end, free_pages = disk->capacity > disk->used ? (disk->capacity - disk->used) / YD__SIM_PAGE : 0;
    if (size > YD__SIM_SIZE_MAX || offset > YD__SIM_SIZE_MAX - size)
        return leave(disk, ALLOCATE, offset, size, YD_ENOSPC);
    (void)yd__sim_image_wants(inode, offset, size, free_pages, &end);
    if (end < offset + size) {
        disk->counts.no_space++;
        return leave(disk, ALLOCATE, offset, size, YD_ENOSPC);
    }
    if (yd__sim_chance(disk, disk->faults.allocate_fails)) {
        disk->counts.allocates_failed++;
        return leave(disk, ALLOCATE, offset, size, YD_ENOSPC);
    }
    yd__sim_image_take(disk, inode, offset, size);
    if (size && offset + size > inode->size) inode->size = offset + size;
    return leave(disk, ALLOCATE, offset, size, 0);
}

static int truncate_file(struct yd_file *file, uint64_t size)
{
    struct yd__sim_fs *disk;
    struct yd__sim_inode *inode;
    int error = enter_file(file, &disk, &inode);
    if (error) return error;
    if (!may(file, YD_OPEN_WRITE)) return leave(disk, TRUNCATE, inode->id, size, YD_EINVAL);
    if (size > YD__SIM_SIZE_MAX) return leave(disk, TRUNCATE, inode->id, size, YD_ENOSPC);
    yd__sim_image_resize(disk, inode, size);
    return leave(disk, TRUNCATE, inode->id, size, 0);
}

static void put_stat(const struct yd__sim_inode *inode, struct yd_stat *ret)
{
    *ret = (struct yd_stat){.node = inode->node,
                            .size = inode->size,
                            .inode = inode->id + 2,
                            .device = 1,
                            .allocated = (uint64_t)inode->taken * YD__SIM_PAGE,
                            .mtime_ns = inode->mtime_ns,
                            .mode = inode->node == YD_NODE_DIR ? 0750 : 0640};
}

static int stat_file(struct yd_file *file, struct yd_stat *ret)
{
    struct yd__sim_fs *disk;
    struct yd__sim_inode *inode;
    int error = enter_file(file, &disk, &inode);
    if (error) return error;
    put_stat(inode, ret);
    return leave(disk, STAT, inode->id, inode->size, 0);
}

/* ---- mappings ---- */

static int map_file(struct yd_file *file, uint64_t offset, size_t size, bool writable, void **ret_address)
{
    struct yd__sim_fs *disk;
    struct yd__sim_inode *inode;
    int error = enter_file(file, &disk, &inode);
    if (error) return error;
    if (size == 0 || offset % YD__SIM_PAGE || offset > inode->size || size > inode->size - offset ||
        !may(file, YD_OPEN_READ) || (writable && !may(file, YD_OPEN_WRITE)))
        return leave(disk, MAP, offset, size, YD_EINVAL);
    yd__sim_image_to_extent(inode);
    if (writable) {
        bool first = inode->map_from >= inode->map_to;
        uint32_t from = (uint32_t)(offset / YD__SIM_PAGE), to = (uint32_t)((offset + size - 1) / YD__SIM_PAGE) + 1;
        inode->map_from = first ? from : YD_MIN(inode->map_from, from);
        inode->map_to = first ? to : YD_MAX(inode->map_to, to);
    }
    inode->extent->refs++;
    disk->maps = yd__sim_grow(disk->maps, &disk->map_capacity, disk->map_count + 1, sizeof *disk->maps);
    char *address = inode->extent->base + offset;
    char *path = yd__sim_strdup(((struct yd__sim_file *)file)->path);
    disk->maps[disk->map_count++] = (struct yd__sim_map){address, size, offset, inode->extent, path, inode->id};
    *ret_address = address;
    return leave(disk, MAP, offset, size, 0);
}

static void unmap_range(struct yd_fs *fs, void *address, size_t size)
{
    struct yd__sim_fs *disk = disk_of(fs);
    uint32_t i = 0;
    if (!address) return;
    while (i < disk->map_count && (disk->maps[i].address != address || disk->maps[i].size != size)) i++;
    YD_ASSERT(i < disk->map_count); /* whole mappings only */
    yd__sim_extent_drop(disk->maps[i].extent);
    free(disk->maps[i].path);
    disk->maps[i] = disk->maps[--disk->map_count];
}

static int sync_map_range(struct yd_fs *fs, void *address, size_t size)
{
    struct yd__sim_fs *disk = disk_of(fs);
    const struct yd__sim_map *map = NULL;
    const char *from = address;
    for (uint32_t i = 0; i < disk->map_count; i++) {
        const struct yd__sim_map *at = &disk->maps[i];
        if (from >= at->address && from + size <= at->address + at->size) map = at;
    }
    if (!map) return YD_EINVAL;
    if (map->inode == UINT32_MAX) return YD_ECLOSED;
    int error = enter(disk);
    if (error) return error;
    struct yd__sim_inode *inode = disk->inodes[map->inode];
    uint64_t offset = map->offset + (uint64_t)(from - map->address);
    if (!inode) return leave(disk, SYNC_MAP, offset, size, 0); /* its last name is gone: nothing to keep */
    if (ignored(disk, YD_SIM_SYNC_MAP, map->path)) return leave(disk, SYNC_MAP, offset, size, 0);
    bool fails = yd__sim_chance(disk, disk->faults.sync_fails);
    yd__sim_image_sync(disk, inode, offset, size, fails);
    *(fails ? &disk->counts.syncs_failed : &disk->counts.map_syncs) += 1;
    return leave(disk, SYNC_MAP, offset, size, fails ? YD_EIO : 0);
}

static int lock_file(struct yd_file *file)
{
    struct yd__sim_fs *disk;
    struct yd__sim_inode *inode;
    int error = enter_file(file, &disk, &inode);
    if (error) return error;
    if (!may(file, YD_OPEN_WRITE)) return leave(disk, LOCK, inode->id, 0, YD_EINVAL);
    if (inode->locked_by && inode->locked_by != file) return leave(disk, LOCK, inode->id, 0, YD_ELOCKED);
    inode->locked_by = file;
    return leave(disk, LOCK, inode->id, 0, 0);
}

static int resident_file(struct yd_file *file, uint64_t offset, size_t size, bool *ret_resident)
{
    struct yd__sim_fs *disk;
    struct yd__sim_inode *inode;
    int error = enter_file(file, &disk, &inode);
    if (error) return error;
    *ret_resident = !yd__sim_chance(disk, disk->faults.cold);
    disk->counts.cold_answers += !*ret_resident;
    return leave(disk, RESIDENT, offset, size, 0);
}

/* ---- names ---- */

static int stat_path(struct yd_fs *fs, const char *path, struct yd_stat *ret)
{
    struct yd__sim_fs *disk = disk_of(fs);
    struct yd__sim_inode *inode;
    int error = enter(disk);
    if (error) return error;
    error = yd__sim_find(disk, path, &inode);
    if (!error) put_stat(inode, ret);
    return leave(disk, STAT, hash_path(path), 0, error);
}

static bool below(struct yd__sim_fs *disk, const struct yd__sim_inode *folder, uint32_t id)
{
    for (uint32_t i = 0; i < folder->now.count; i++) {
        uint32_t child = folder->now.entries[i].inode;
        if (child == id || (disk->inodes[child]->node == YD_NODE_DIR && below(disk, disk->inodes[child], id)))
            return true;
    }
    return false;
}

static int rename_names(struct yd__sim_fs *disk, const char *from, const char *to)
{
    struct yd__sim_inode *folder, *to_folder, *inode, *old;
    const char *name, *to_name;
    size_t size, to_size;
    int error = yd__sim_find_folder(disk, from, &folder, &name, &size);
    if (!error) error = yd__sim_find_folder(disk, to, &to_folder, &to_name, &to_size);
    if (error) return error;
    inode = yd__sim_entry_find(disk, folder, name, size);
    old = yd__sim_entry_find(disk, to_folder, to_name, to_size);
    if (!inode) return YD_ENOENT;
    if (inode == old) return 0;
    if (old && old->node != inode->node) return old->node == YD_NODE_DIR ? YD_EINVAL : YD_ENOENT;
    if (old && old->node == YD_NODE_DIR && old->now.count) return YD_EEXIST;
    if (inode == to_folder || (inode->node == YD_NODE_DIR && below(disk, inode, to_folder->id))) return YD_EINVAL;
    if (meta_fault(disk)) return YD_EIO;
    char *one = strndup(name, size), *two = strndup(to_name, to_size);
    YD_ASSERT(one && two);
    yd__sim_rename(disk, folder, one, to_folder, two);
    free(one);
    free(two);
    return 0;
}

static int rename_path(struct yd_fs *fs, const char *from, const char *to)
{
    struct yd__sim_fs *disk = disk_of(fs);
    int error = enter(disk);
    if (error) return error;
    return leave(disk, RENAME, hash_path(from), hash_path(to), rename_names(disk, from, to));
}

static int remove_name(struct yd__sim_fs *disk, const char *path, enum yd_file_type node)
{
    struct yd__sim_inode *folder;
    const char *name;
    size_t size;
    int error = yd__sim_find_folder(disk, path, &folder, &name, &size);
    if (error) return error;
    struct yd__sim_inode *inode = yd__sim_entry_find(disk, folder, name, size);
    if (!inode) return YD_ENOENT;
    if (inode->node != node) return node == YD_NODE_DIR ? YD_ENOENT : YD_EINVAL;
    if (inode->now.count) return YD_EEXIST;
    if (meta_fault(disk)) return YD_EIO;
    char *terminated = strndup(name, size);
    YD_ASSERT(terminated);
    yd__sim_unlink(disk, folder, terminated);
    free(terminated);
    return 0;
}

static int unlink_path(struct yd_fs *fs, const char *path)
{
    struct yd__sim_fs *disk = disk_of(fs);
    int error = enter(disk);
    if (error) return error;
    return leave(disk, UNLINK, hash_path(path), 0, remove_name(disk, path, YD_NODE_FILE));
}

static int rmdir_path(struct yd_fs *fs, const char *path)
{
    struct yd__sim_fs *disk = disk_of(fs);
    int error = enter(disk);
    if (error) return error;
    return leave(disk, RMDIR, hash_path(path), 0, remove_name(disk, path, YD_NODE_DIR));
}

static int make_folder(struct yd__sim_fs *disk, const char *path)
{
    struct yd__sim_inode *folder, *inode;
    const char *name;
    size_t size;
    if (yd__sim_find(disk, path, &inode) == 0) return YD_EEXIST;
    int error = yd__sim_find_folder(disk, path, &folder, &name, &size);
    if (error) return error;
    if (meta_fault(disk)) return YD_EIO;
    inode = yd__sim_inode_new(disk, YD_NODE_DIR);
    inode->mtime_ns = disk->wall_ns;
    char *terminated = strndup(name, size);
    YD_ASSERT(terminated);
    yd__sim_link(disk, folder, terminated, inode);
    free(terminated);
    return 0;
}

static int mkdir_path(struct yd_fs *fs, const char *path)
{
    struct yd__sim_fs *disk = disk_of(fs);
    int error = enter(disk);
    if (error) return error;
    return leave(disk, MKDIR, hash_path(path), 0, make_folder(disk, path));
}

static int sync_folder(struct yd__sim_fs *disk, const char *path)
{
    struct yd__sim_inode *folder;
    int error = yd__sim_find(disk, path, &folder);
    if (error) return error;
    if (folder->node != YD_NODE_DIR) return YD_ENOENT;
    if (ignored(disk, YD_SIM_SYNC_DIR, path)) return 0;
    if (yd__sim_chance(disk, disk->faults.sync_dir_fails)) {
        disk->counts.dir_syncs_failed++;
        return YD_EIO;
    }
    disk->counts.dir_syncs++;
    yd__sim_names_sync(disk, folder);
    return 0;
}

static int sync_dir_path(struct yd_fs *fs, const char *path)
{
    struct yd__sim_fs *disk = disk_of(fs);
    int error = enter(disk);
    if (error) return error;
    return leave(disk, SYNC_DIR, hash_path(path), 0, sync_folder(disk, path));
}

static int list_path(struct yd_fs *fs, const char *path, int (*visit)(void *, const char *, enum yd_file_type),
                     void *arg)
{
    struct yd__sim_fs *disk = disk_of(fs);
    struct yd__sim_inode *folder;
    int error = enter(disk);
    if (error) return error;
    error = yd__sim_find(disk, path, &folder);
    if (!error && folder->node != YD_NODE_DIR) error = YD_ENOENT;
    if (error) return leave(disk, LIST, hash_path(path), 0, error);
    /* A copy, shuffled: the order is nobody's business, and the visitor may change the folder. */
    uint32_t count = folder->now.count;
    struct yd__sim_entry *entries = yd__sim_get((count + 1) * sizeof *entries);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = (uint32_t)yd_rng_below(&disk->rng, i + 1);
        entries[i] = entries[at];
        entries[at].name = yd__sim_strdup(folder->now.entries[i].name);
        entries[at].inode = disk->inodes[folder->now.entries[i].inode]->node;
    }
    (void)leave(disk, LIST, hash_path(path), count, 0);
    int result = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (result == 0) result = visit(arg, entries[i].name, (enum yd_file_type)entries[i].inode);
        free(entries[i].name);
    }
    free(entries);
    return result;
}

static int space_path(struct yd_fs *fs, const char *path, struct yd_space *ret)
{
    struct yd__sim_fs *disk = disk_of(fs);
    struct yd__sim_inode *inode;
    int error = enter(disk);
    if (error) return error;
    error = yd__sim_find(disk, path, &inode);
    if (!error) *ret = (struct yd_space){disk->capacity, disk->capacity > disk->used ? disk->capacity - disk->used : 0};
    return leave(disk, SPACE, hash_path(path), disk->used, error);
}

static const struct yd_fs_ops sim_ops = {
    .open = open_file,
    .close = close_file,
    .read = read_file,
    .writev = writev_file,
    .sync = sync_file,
    .allocate = allocate_file,
    .truncate = truncate_file,
    .stat_file = stat_file,
    .map = map_file,
    .unmap = unmap_range,
    .sync_map = sync_map_range,
    .lock = lock_file,
    .resident = resident_file,
    .stat = stat_path,
    .rename = rename_path,
    .unlink = unlink_path,
    .mkdir = mkdir_path,
    .rmdir = rmdir_path,
    .sync_dir = sync_dir_path,
    .list = list_path,
    .space = space_path,
};

/* ---- life and accidents ---- */

int yd_sim_fs_create(uint64_t seed, struct yd_fs **ret_fs)
{
    struct yd__sim_fs *disk = yd__sim_get(sizeof *disk);
    disk->fs.ops = &sim_ops;
    disk->capacity = UINT64_C(1) << 40;
    disk->cut = UINT64_MAX;
    disk->wall_ns = INT64_C(1700000000) * YD_NS_PER_S;
    disk->faults = (struct yd_sim_faults){.write_back = 16, .tear = 8};
    yd_rng_init(&disk->rng, seed);
    yd__sim_inode_hold(disk, yd__sim_inode_new(disk, YD_NODE_DIR)->id, true);
    *ret_fs = &disk->fs;
    return 0;
}

void yd_sim_fs_destroy(struct yd_fs *fs)
{
    if (!fs) return;
    struct yd__sim_fs *disk = disk_of(fs);
    YD_ASSERT(disk->map_count == 0);
    yd__sim_names_fini(disk);
    free(disk->maps);
    free(disk->ignored_part);
    free(disk);
}

static void drop_handles(struct yd__sim_fs *disk)
{
    for (uint32_t i = 0; i < disk->inode_count; i++) {
        if (!disk->inodes[i]) continue;
        uint32_t handles = disk->inodes[i]->handles;
        disk->inodes[i]->handles = 0;
        disk->inodes[i]->locked_by = NULL;
        while (handles--) yd__sim_inode_drop(disk, i, true);
    }
}

int yd_sim_fs_clone(struct yd_fs *fs, uint64_t seed, struct yd_fs **ret_fs)
{
    struct yd__sim_fs *from = disk_of(fs), *to = yd__sim_get(sizeof *to);
    to->fs.ops = &sim_ops;
    to->faults = from->faults;
    to->capacity = from->capacity, to->used = from->used, to->cut = from->cut;
    to->wall_ns = from->wall_ns, to->trace = from->trace, to->generation = from->generation;
    yd_rng_init(&to->rng, seed);
    yd__sim_names_clone(from, to);
    for (uint32_t i = 0; i < to->inode_count; i++)
        if (to->inodes[i]) to->inodes[i]->handles = from->inodes[i]->handles;
    drop_handles(to);
    *ret_fs = &to->fs;
    return 0;
}

/* What all processes had open is dead, handles and mappings. */
static void end_processes(struct yd__sim_fs *disk)
{
    disk->generation++;
    disk->cut = UINT64_MAX;
    cut_mappings(disk);
    drop_handles(disk);
}

void yd_sim_fs_kill(struct yd_fs *fs)
{
    struct yd__sim_fs *disk = disk_of(fs);
    disk->counts.kills++;
    end_processes(disk);
    (void)leave(disk, KILL, 0, 0, 0);
}

void yd_sim_fs_crash(struct yd_fs *fs)
{
    struct yd__sim_fs *disk = disk_of(fs);
    disk->counts.crashes++;
    for (uint32_t i = 0; i < disk->inode_count; i++)
        if (disk->inodes[i] && disk->inodes[i]->node == YD_NODE_FILE) yd__sim_image_crash(disk, disk->inodes[i]);
    end_processes(disk);
    yd__sim_names_crash(disk);
    disk->used = 0;
    for (uint32_t i = 0; i < disk->inode_count; i++)
        if (disk->inodes[i]) yd__sim_image_take_all(disk, disk->inodes[i]);
    (void)leave(disk, CRASH, disk->counts.sectors_kept, disk->counts.sectors_torn, 0);
}

void yd_sim_fs_cut_after(struct yd_fs *fs, uint64_t calls)
{
    disk_of(fs)->cut = calls;
}

/* ---- setting and asking ---- */

struct yd_sim_faults *yd_sim_fs_faults(struct yd_fs *fs)
{
    return &disk_of(fs)->faults;
}
const struct yd_sim_fs_counts *yd_sim_fs_counts(struct yd_fs *fs)
{
    return &disk_of(fs)->counts;
}
uint64_t yd_sim_fs_trace(struct yd_fs *fs)
{
    return disk_of(fs)->trace;
}
void yd_sim_fs_capacity(struct yd_fs *fs, uint64_t bytes)
{
    disk_of(fs)->capacity = bytes;
}
void yd_sim_fs_set_time(struct yd_fs *fs, int64_t wall_ns)
{
    disk_of(fs)->wall_ns = wall_ns;
}

int yd_sim_fs_bad(struct yd_fs *fs, const char *path, uint64_t offset, uint64_t size)
{
    struct yd__sim_inode *inode;
    int error = yd__sim_find(disk_of(fs), path, &inode);
    if (error) return error;
    if (size == 0) {
        inode->bad_count = 0;
        return 0;
    }
    inode->bad = realloc(inode->bad, (inode->bad_count + 1) * sizeof *inode->bad);
    YD_ASSERT(inode->bad);
    inode->bad[inode->bad_count++] = (struct yd__sim_range){offset, size};
    return 0;
}

int yd_sim_fs_rot(struct yd_fs *fs, const char *path, uint64_t offset, uint64_t size, unsigned bits)
{
    struct yd__sim_fs *disk = disk_of(fs);
    struct yd__sim_inode *inode;
    int error = yd__sim_find(disk, path, &inode);
    if (error) return error;
    if (inode->node != YD_NODE_FILE || offset >= inode->size || size == 0 || size > inode->size - offset)
        return YD_EINVAL;
    for (unsigned i = 0; i < bits; i++) yd__sim_image_rot(disk, inode, offset, size);
    disk->counts.bits_rotten += bits;
    return leave(disk, ROT, offset, size, 0);
}

void yd_sim_fs_ignore(struct yd_fs *fs, unsigned kinds, const char *path_part)
{
    struct yd__sim_fs *disk = disk_of(fs);
    free(disk->ignored_part);
    disk->ignored_part = path_part ? yd__sim_strdup(path_part) : NULL;
    disk->ignored_kinds = kinds;
}

uint64_t yd_sim_fs_unsynced(struct yd_fs *fs)
{
    struct yd__sim_fs *disk = disk_of(fs);
    uint64_t count = disk->change_count;
    for (uint32_t i = 0; i < disk->inode_count; i++)
        if (disk->inodes[i] && disk->inodes[i]->refs_now) count += yd__sim_image_unsynced(disk->inodes[i]);
    return count;
}

size_t yd_sim_fs_put_counts(struct yd_fs *fs, char *to, size_t size)
{
    const struct yd_sim_fs_counts *counts = &disk_of(fs)->counts;
#define COUNT(name)                                                                                                    \
    {                                                                                                                  \
#name, counts->name                                                                                            \
    }
    const struct {
        const char *name;
        uint64_t value;
    } all[] = {COUNT(calls),
               COUNT(crashes),
               COUNT(kills),
               COUNT(bytes_written),
               COUNT(syncs),
               COUNT(dir_syncs),
               COUNT(map_syncs),
               COUNT(ignored_syncs),
               COUNT(syncs_failed),
               COUNT(dir_syncs_failed),
               COUNT(writes_failed),
               COUNT(reads_failed),
               COUNT(allocates_failed),
               COUNT(metas_failed),
               COUNT(no_space),
               COUNT(bad_reads),
               COUNT(write_backs),
               COUNT(evictions),
               COUNT(cold_answers),
               COUNT(sectors_kept),
               COUNT(sectors_lost),
               COUNT(sectors_torn),
               COUNT(sectors_abandoned),
               COUNT(changes_kept),
               COUNT(changes_lost),
               COUNT(bits_rotten)};
#undef COUNT
    size_t done = 0;
    if (size) *to = '\0';
    for (size_t i = 0; i < YD_COUNT(all) && done < size; i++) {
        if (!all[i].value) continue;
        int put = snprintf(to + done, size - done, "%s%s %llu", done ? ", " : "", all[i].name,
                           (unsigned long long)all[i].value);
        done += (size_t)YD_MAX(put, 0);
    }
    return YD_MIN(done, size ? size - 1 : 0);
}
