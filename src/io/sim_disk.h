/* io/sim_disk.h: what the files of the simulated disk share. Nobody else includes it. See io/sim_file.h.
 *
 *   sim_file.c   the table of operations, faults, counters
 *   sim_image.c  one file's two images: pages, sectors, what is dirty, what a crash leaves of it
 *   sim_names.c  the two trees of names and the changes between them */
#ifndef IO_SIM_DISK_H
#define IO_SIM_DISK_H

#include "base/hash.h"
#include "io/sim_file.h"

#define YD__SIM_PAGE     4096
#define YD__SIM_SECTOR   512
#define YD__SIM_SECTORS  (YD__SIM_PAGE / YD__SIM_SECTOR)
#define YD__SIM_SIZE_MAX (UINT64_C(1) << 30)

/* A page of a file. Bit i of the masks is sector i. In a file that was never mapped `now` is NULL while the page is as
 * on the disk; in a mapped one the content lives in the extent, and `now` is what it was when a failed sync called it
 * clean (or NULL), so that later stores through the mapping can be told. NULL kept: zeros. */
struct yd__sim_page {
    char *now, *kept;
    uint8_t dirty; /* written, not durable */
    uint8_t lost;  /* differs from the disk, but a failed sync called it clean */
    bool taken;    /* counts as used space */
};

/* Contiguous memory that stays where it is while the file or a mapping needs it. */
struct yd__sim_extent {
    char *base;
    uint32_t refs;
};

struct yd__sim_entry {
    char *name;
    uint32_t inode;
};
struct yd__sim_folder {
    struct yd__sim_entry *entries;
    uint32_t count, capacity;
};

struct yd__sim_range {
    uint64_t offset, size;
};

struct yd__sim_inode {
    uint32_t id;
    enum yd_file_type node;
    uint32_t refs;     /* names in both trees, pending changes, live handles */
    uint32_t refs_now; /* of these, names processes see and handles: without them the space is free */
    uint32_t handles;  /* live ones */
    struct yd__sim_folder now, kept;
    uint64_t size, kept_size;
    struct yd__sim_page *pages;
    uint32_t page_count;
    uint32_t dirty_from, dirty_to; /* pages: dirty ones are in between */
    uint32_t map_from, map_to;     /* pages that were ever mapped to be written */
    struct yd__sim_extent *extent;
    uint32_t taken; /* pages */
    bool lost;      /* some page has lost sectors */
    struct yd__sim_range *bad;
    uint32_t bad_count;
    const void *locked_by; /* a live handle */
    int64_t mtime_ns;
};

enum yd__sim_what { YD__SIM_LINK, YD__SIM_UNLINK, YD__SIM_RENAME };
struct yd__sim_change {
    enum yd__sim_what what;
    uint32_t inode;
    uint32_t dir, to_dir; /* to_dir, to_name: of a rename */
    char *name, *to_name;
    bool left, reached; /* synced since: its folder, and of a rename that of the new name */
};

struct yd__sim_map {
    char *address;
    size_t size;
    uint64_t offset;
    struct yd__sim_extent *extent;
    char *path;
    uint32_t inode; /* UINT32_MAX: dead */
};

struct yd__sim_fs {
    struct yd_fs fs;
    struct yd_rng rng;
    struct yd_sim_faults faults;
    struct yd_sim_fs_counts counts;
    uint64_t trace, capacity, used, cut, generation;
    int64_t wall_ns;
    unsigned ignored_kinds;
    char *ignored_part;
    struct yd__sim_inode **inodes; /* by id, never used twice; 0 is the root */
    uint32_t inode_count, inode_capacity;
    struct yd__sim_change *changes;
    uint32_t change_count, change_capacity;
    struct yd__sim_map *maps;
    uint32_t map_count, map_capacity;
};

struct yd__sim_file {
    struct yd_file file;
    struct yd__sim_fs *disk;
    uint32_t inode;
    unsigned flags;
    uint64_t generation;
    char *path;
};

void *yd__sim_get(size_t size); /* zeroed; aborts when out of memory */
void *yd__sim_grow(void *array, uint32_t *capacity, uint32_t count_wanted, size_t element_size);
char *yd__sim_strdup(const char *text);
void yd__sim_mix(struct yd__sim_fs *disk, uint64_t value); /* into the trace */
static inline bool yd__sim_chance(struct yd__sim_fs *disk, uint32_t one_in)
{
    return one_in && yd_rng_chance(&disk->rng, one_in);
}

/* ---- sim_image.c ---- */
void yd__sim_image_fini(struct yd__sim_fs *disk, struct yd__sim_inode *inode);
void yd__sim_image_read(const struct yd__sim_inode *inode, char *to, size_t size, uint64_t offset);
/* Pages of the range that would newly be taken, up to `limit`; *ret_end is the offset where the limit was reached. */
uint64_t yd__sim_image_wants(const struct yd__sim_inode *inode, uint64_t offset, uint64_t size, uint64_t limit,
                             uint64_t *ret_end);
void yd__sim_image_take(struct yd__sim_fs *disk, struct yd__sim_inode *inode, uint64_t offset, uint64_t size);
void yd__sim_image_write(struct yd__sim_fs *disk, struct yd__sim_inode *inode, const char *from, size_t size,
                         uint64_t offset); /* from NULL: zeros. Does not take space, does not grow the size */
void yd__sim_image_resize(struct yd__sim_fs *disk, struct yd__sim_inode *inode, uint64_t size);
void yd__sim_image_to_extent(struct yd__sim_inode *inode);
void yd__sim_image_from_extent(struct yd__sim_inode *inode); /* the file goes on in a copy, its mappings stay behind */
void yd__sim_extent_drop(struct yd__sim_extent *extent);
/* Makes a range and the size durable; `fails`: a part of it, and calls the rest clean. */
void yd__sim_image_sync(struct yd__sim_fs *disk, struct yd__sim_inode *inode, uint64_t offset, uint64_t size,
                        bool fails);
bool yd__sim_image_write_back(struct yd__sim_fs *disk, struct yd__sim_inode *inode); /* true: something was dirty */
bool yd__sim_image_evict(struct yd__sim_fs *disk, struct yd__sim_inode *inode);
void yd__sim_image_crash(struct yd__sim_fs *disk, struct yd__sim_inode *inode);
void yd__sim_image_rot(struct yd__sim_fs *disk, struct yd__sim_inode *inode, uint64_t offset, uint64_t size);
uint64_t yd__sim_image_unsynced(struct yd__sim_inode *inode);
void yd__sim_image_take_all(struct yd__sim_fs *disk, struct yd__sim_inode *inode); /* all of the size, after a crash */
void yd__sim_image_clone(struct yd__sim_inode *from, struct yd__sim_inode *to);

/* ---- sim_names.c ---- */
struct yd__sim_inode *yd__sim_inode_new(struct yd__sim_fs *disk, enum yd_file_type node);
void yd__sim_inode_hold(struct yd__sim_fs *disk, uint32_t id, bool now);
void yd__sim_inode_drop(struct yd__sim_fs *disk, uint32_t id, bool now);
/* The inode at a path, or YD_ENOENT, YD_EINVAL. */
int yd__sim_find(struct yd__sim_fs *disk, const char *path, struct yd__sim_inode **ret_inode);
/* The folder a path's last name stands in, and that name (inside `path`, its size in *ret_size). */
int yd__sim_find_folder(struct yd__sim_fs *disk, const char *path, struct yd__sim_inode **ret_folder,
                        const char **ret_name, size_t *ret_size);
struct yd__sim_inode *yd__sim_entry_find(struct yd__sim_fs *disk, const struct yd__sim_inode *folder, const char *name,
                                         size_t size);
/* Changes what processes see and remembers the change for the disk. Names are terminated. */
void yd__sim_link(struct yd__sim_fs *disk, struct yd__sim_inode *folder, const char *name, struct yd__sim_inode *inode);
void yd__sim_unlink(struct yd__sim_fs *disk, struct yd__sim_inode *folder, const char *name);
void yd__sim_rename(struct yd__sim_fs *disk, struct yd__sim_inode *folder, const char *name,
                    struct yd__sim_inode *to_folder, const char *to_name);
void yd__sim_names_sync(struct yd__sim_fs *disk, const struct yd__sim_inode *folder);
bool yd__sim_names_write_back(struct yd__sim_fs *disk);
void yd__sim_names_crash(struct yd__sim_fs *disk); /* decides, then what processes see is what is durable */
void yd__sim_names_clone(struct yd__sim_fs *from, struct yd__sim_fs *to);
void yd__sim_names_fini(struct yd__sim_fs *disk);

#endif
