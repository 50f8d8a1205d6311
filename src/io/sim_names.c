/* io/sim_names.c: the two trees of names of a simulated disk.
 *
 * A change of names happens at once in the tree that processes see, and waits in `changes` for the other. sync_dir
 * takes those of its folder over, with all they build on; write-back takes any; a crash lets chance decide, each on its
 * own, but nothing survives whose ground did not: a rename not without the creation of what it renames, nor into a
 * folder that is lost. */
#include <stdlib.h>

#include "io/sim_disk.h"

#define CHANGES_MAX 256 /* beyond that the oldest are written, as by a journal's timer */

/* ---- inodes ---- */

struct yd__sim_inode *yd__sim_inode_new(struct yd__sim_fs *disk, enum yd_file_type node)
{
    disk->inodes = yd__sim_grow(disk->inodes, &disk->inode_capacity, disk->inode_count + 1, sizeof *disk->inodes);
    struct yd__sim_inode *inode = yd__sim_get(sizeof *inode);
    inode->id = disk->inode_count;
    inode->node = node;
    disk->inodes[disk->inode_count++] = inode;
    return inode;
}

static void free_inode(struct yd__sim_fs *disk, struct yd__sim_inode *inode)
{
    disk->inodes[inode->id] = NULL;
    for (uint32_t i = 0; i < inode->now.count; i++) free(inode->now.entries[i].name);
    for (uint32_t i = 0; i < inode->kept.count; i++) free(inode->kept.entries[i].name);
    free(inode->now.entries);
    free(inode->kept.entries);
    free(inode->bad);
    yd__sim_image_fini(disk, inode);
    free(inode);
}

void yd__sim_inode_hold(struct yd__sim_fs *disk, uint32_t id, bool now)
{
    struct yd__sim_inode *inode = disk->inodes[id];
    inode->refs++;
    if (now) inode->refs_now++;
}

void yd__sim_inode_drop(struct yd__sim_fs *disk, uint32_t id, bool now)
{
    struct yd__sim_inode *inode = disk->inodes[id];
    if (now && --inode->refs_now == 0) {
        /* Nobody can see it any more: its space is free, though a crash may bring it back. */
        disk->used -= (uint64_t)inode->taken * YD__SIM_PAGE;
        inode->taken = 0;
        for (uint32_t i = 0; i < inode->page_count; i++) inode->pages[i].taken = false;
    }
    if (--inode->refs) return;
    for (uint32_t i = 0; i < inode->now.count; i++) yd__sim_inode_drop(disk, inode->now.entries[i].inode, true);
    for (uint32_t i = 0; i < inode->kept.count; i++) yd__sim_inode_drop(disk, inode->kept.entries[i].inode, false);
    free_inode(disk, inode);
}

/* ---- folders ---- */

static struct yd__sim_entry *entry_of(const struct yd__sim_folder *folder, const char *name, size_t size)
{
    for (uint32_t i = 0; i < folder->count; i++)
        if (strncmp(folder->entries[i].name, name, size) == 0 && folder->entries[i].name[size] == '\0')
            return &folder->entries[i];
    return NULL;
}

/* `now` says in which tree. Holds before it drops, so that a name may be set to what it is. */
static void set_entry(struct yd__sim_fs *disk, struct yd__sim_inode *inode, bool now, const char *name, uint32_t to)
{
    struct yd__sim_folder *folder = now ? &inode->now : &inode->kept;
    struct yd__sim_entry *entry = entry_of(folder, name, strlen(name));
    yd__sim_inode_hold(disk, to, now);
    if (entry) {
        uint32_t old = entry->inode;
        entry->inode = to;
        yd__sim_inode_drop(disk, old, now);
        return;
    }
    folder->entries = yd__sim_grow(folder->entries, &folder->capacity, folder->count + 1, sizeof *folder->entries);
    folder->entries[folder->count++] = (struct yd__sim_entry){yd__sim_strdup(name), to};
}

static void remove_entry(struct yd__sim_fs *disk, struct yd__sim_inode *inode, bool now, const char *name)
{
    struct yd__sim_folder *folder = now ? &inode->now : &inode->kept;
    struct yd__sim_entry *entry = entry_of(folder, name, strlen(name));
    if (!entry) return;
    uint32_t old = entry->inode;
    free(entry->name);
    *entry = folder->entries[--folder->count];
    yd__sim_inode_drop(disk, old, now);
}

struct yd__sim_inode *yd__sim_entry_find(struct yd__sim_fs *disk, const struct yd__sim_inode *folder, const char *name,
                                         size_t size)
{
    struct yd__sim_entry *entry = entry_of(&folder->now, name, size);
    return entry ? disk->inodes[entry->inode] : NULL;
}

/* Next name of a path, skipping "." and empty ones; size 0 at the end. */
static int next_name(const char **at, const char **ret_name, size_t *ret_size)
{
    for (;;) {
        while (**at == '/') ++*at;
        *ret_name = *at;
        *ret_size = strcspn(*at, "/");
        *at += *ret_size;
        if (*ret_size == 2 && memcmp(*ret_name, "..", 2) == 0) return YD_EINVAL;
        if (*ret_size != 1 || **ret_name != '.') return 0;
    }
}

int yd__sim_find_folder(struct yd__sim_fs *disk, const char *path, struct yd__sim_inode **ret_folder,
                        const char **ret_name, size_t *ret_size)
{
    struct yd__sim_inode *folder = disk->inodes[0];
    const char *name, *next, *at = path;
    size_t size, next_size;
    int error = next_name(&at, &name, &size);
    if (!error && !size) error = YD_EINVAL; /* the root has no name */
    while (!error) {
        error = next_name(&at, &next, &next_size);
        if (error || !next_size) break;
        folder = yd__sim_entry_find(disk, folder, name, size);
        if (!folder || folder->node != YD_NODE_DIR) return YD_ENOENT;
        name = next, size = next_size;
    }
    if (error) return error;
    *ret_folder = folder, *ret_name = name, *ret_size = size;
    return 0;
}

int yd__sim_find(struct yd__sim_fs *disk, const char *path, struct yd__sim_inode **ret_inode)
{
    struct yd__sim_inode *folder;
    const char *name, *at = path;
    size_t size;
    int error = next_name(&at, &name, &size);
    if (!error && !size) {
        if (!*path) return YD_ENOENT;
        *ret_inode = disk->inodes[0];
        return 0;
    }
    if (!error) error = yd__sim_find_folder(disk, path, &folder, &name, &size);
    if (error) return error;
    struct yd__sim_inode *inode = yd__sim_entry_find(disk, folder, name, size);
    if (!inode) return YD_ENOENT;
    *ret_inode = inode;
    return 0;
}

/* ---- changes ---- */

static void free_change(struct yd__sim_fs *disk, struct yd__sim_change *change)
{
    yd__sim_inode_drop(disk, change->inode, false);
    yd__sim_inode_drop(disk, change->dir, false);
    if (change->what == YD__SIM_RENAME) yd__sim_inode_drop(disk, change->to_dir, false);
    free(change->name);
    free(change->to_name);
}

static void apply(struct yd__sim_fs *disk, const struct yd__sim_change *change)
{
    if (change->what == YD__SIM_LINK)
        set_entry(disk, disk->inodes[change->dir], false, change->name, change->inode);
    else
        remove_entry(disk, disk->inodes[change->dir], false, change->name);
    if (change->what == YD__SIM_RENAME)
        set_entry(disk, disk->inodes[change->to_dir], false, change->to_name, change->inode);
}

static bool same_name(uint32_t dir, const char *name, const struct yd__sim_change *other)
{
    return (dir == other->dir && strcmp(name, other->name) == 0) ||
           (other->what == YD__SIM_RENAME && dir == other->to_dir && strcmp(name, other->to_name) == 0);
}

static bool builds_on(const struct yd__sim_change *later, const struct yd__sim_change *earlier)
{
    if (same_name(later->dir, later->name, earlier)) return true;
    if (later->what != YD__SIM_RENAME) return false;
    return same_name(later->to_dir, later->to_name, earlier) ||
           (earlier->what != YD__SIM_UNLINK && earlier->inode == later->to_dir);
}

/* Takes over the marked changes and all they build on, in their order; the others wait on. */
static void take_over(struct yd__sim_fs *disk, bool *marked)
{
    for (uint32_t i = disk->change_count; i-- > 0;)
        for (uint32_t j = 0; marked[i] && j < i; j++)
            if (builds_on(&disk->changes[i], &disk->changes[j])) marked[j] = true;
    uint32_t left = 0;
    for (uint32_t i = 0; i < disk->change_count; i++) {
        struct yd__sim_change change = disk->changes[i];
        if (!marked[i]) {
            disk->changes[left++] = change;
            continue;
        }
        apply(disk, &change);
        free_change(disk, &change);
    }
    disk->change_count = left;
}

static void remember(struct yd__sim_fs *disk, struct yd__sim_change change)
{
    if (disk->change_count >= CHANGES_MAX) {
        bool marked[CHANGES_MAX] = {true};
        take_over(disk, marked);
    }
    change.name = yd__sim_strdup(change.name);
    if (change.to_name) change.to_name = yd__sim_strdup(change.to_name);
    yd__sim_inode_hold(disk, change.inode, false);
    yd__sim_inode_hold(disk, change.dir, false);
    if (change.what == YD__SIM_RENAME) yd__sim_inode_hold(disk, change.to_dir, false);
    disk->changes = yd__sim_grow(disk->changes, &disk->change_capacity, disk->change_count + 1, sizeof *disk->changes);
    disk->changes[disk->change_count++] = change;
}

void yd__sim_link(struct yd__sim_fs *disk, struct yd__sim_inode *folder, const char *name, struct yd__sim_inode *inode)
{
    set_entry(disk, folder, true, name, inode->id);
    remember(disk, (struct yd__sim_change){YD__SIM_LINK, inode->id, folder->id, 0, (char *)(uintptr_t)name, NULL});
}

void yd__sim_unlink(struct yd__sim_fs *disk, struct yd__sim_inode *folder, const char *name)
{
    struct yd__sim_inode *inode = yd__sim_entry_find(disk, folder, name, strlen(name));
    /* Remembered first: it holds what the tree lets go. */
    remember(disk, (struct yd__sim_change){YD__SIM_UNLINK, inode->id, folder->id, 0, (char *)(uintptr_t)name, NULL});
    remove_entry(disk, folder, true, name);
}

void yd__sim_rename(struct yd__sim_fs *disk, struct yd__sim_inode *folder, const char *name,
                    struct yd__sim_inode *to_folder, const char *to_name)
{
    struct yd__sim_inode *inode = yd__sim_entry_find(disk, folder, name, strlen(name));
    remember(disk, (struct yd__sim_change){YD__SIM_RENAME, inode->id, folder->id, to_folder->id,
                                           (char *)(uintptr_t)name, (char *)(uintptr_t)to_name});
    set_entry(disk, to_folder, true, to_name, inode->id); /* first: without any name its space would be free */
    remove_entry(disk, folder, true, name);
}

/* ---- towards the disk ---- */

void yd__sim_names_sync(struct yd__sim_fs *disk, const struct yd__sim_inode *folder)
{
    bool marked[CHANGES_MAX] = {false};
    for (uint32_t i = 0; i < disk->change_count; i++) {
        struct yd__sim_change *change = &disk->changes[i];
        change->left = change->left || change->dir == folder->id;
        change->reached = change->reached || change->what != YD__SIM_RENAME || change->to_dir == folder->id;
        marked[i] = change->left && change->reached;
    }
    take_over(disk, marked);
}

bool yd__sim_names_write_back(struct yd__sim_fs *disk)
{
    bool marked[CHANGES_MAX] = {false};
    if (!disk->change_count) return false;
    marked[yd_rng_below(&disk->rng, disk->change_count)] = true;
    take_over(disk, marked);
    return true;
}

static void decide_changes(struct yd__sim_fs *disk)
{
    bool marked[CHANGES_MAX] = {false};
    uint64_t fate = yd_rng_below(&disk->rng, 4); /* all, none, or each by a coin */
    for (uint32_t i = 0; i < disk->change_count; i++) {
        marked[i] = fate == 0 || (fate >= 2 && yd_rng_below(&disk->rng, 2));
        for (uint32_t j = 0; marked[i] && j < i; j++)
            if (!marked[j] && builds_on(&disk->changes[i], &disk->changes[j])) marked[i] = false;
        *(marked[i] ? &disk->counts.changes_kept : &disk->counts.changes_lost) += 1;
    }
    take_over(disk, marked);
    for (uint32_t i = 0; i < disk->change_count; i++) free_change(disk, &disk->changes[i]);
    disk->change_count = 0;
}

void yd__sim_names_crash(struct yd__sim_fs *disk)
{
    decide_changes(disk);
    for (uint32_t i = 0; i < disk->inode_count; i++) {
        struct yd__sim_inode *inode = disk->inodes[i];
        if (!inode || inode->node != YD_NODE_DIR) continue;
        /* The names that stay are set first: nothing that is durable is let go in between. */
        yd__sim_inode_hold(disk, i, false);
        struct yd__sim_folder old = inode->now;
        inode->now = (struct yd__sim_folder){0};
        for (uint32_t e = 0; e < inode->kept.count; e++)
            set_entry(disk, inode, true, inode->kept.entries[e].name, inode->kept.entries[e].inode);
        for (uint32_t e = 0; e < old.count; e++) {
            yd__sim_inode_drop(disk, old.entries[e].inode, true);
            free(old.entries[e].name);
        }
        free(old.entries);
        yd__sim_inode_drop(disk, i, false);
    }
}

static void clone_folder(const struct yd__sim_folder *from, struct yd__sim_folder *to)
{
    if (from->count) to->entries = yd__sim_grow(NULL, &to->capacity, from->count, sizeof *to->entries);
    for (; to->count < from->count; to->count++)
        to->entries[to->count] =
            (struct yd__sim_entry){yd__sim_strdup(from->entries[to->count].name), from->entries[to->count].inode};
}

void yd__sim_names_clone(struct yd__sim_fs *from, struct yd__sim_fs *to)
{
    to->inodes = yd__sim_grow(NULL, &to->inode_capacity, from->inode_count, sizeof *to->inodes);
    to->inode_count = from->inode_count;
    for (uint32_t i = 0; i < from->inode_count; i++) {
        struct yd__sim_inode *old = from->inodes[i];
        if (!old) continue;
        struct yd__sim_inode *inode = to->inodes[i] = yd__sim_get(sizeof *inode);
        inode->id = i, inode->node = old->node, inode->mtime_ns = old->mtime_ns;
        inode->refs = old->refs, inode->refs_now = old->refs_now;
        clone_folder(&old->now, &inode->now);
        clone_folder(&old->kept, &inode->kept);
        if (old->bad_count) inode->bad = yd__sim_get(old->bad_count * sizeof *inode->bad);
        if (old->bad_count) memcpy(inode->bad, old->bad, old->bad_count * sizeof *inode->bad);
        inode->bad_count = old->bad_count;
        yd__sim_image_clone(old, inode);
    }
    if (from->change_count)
        to->changes = yd__sim_grow(NULL, &to->change_capacity, from->change_count, sizeof *to->changes);
    for (; to->change_count < from->change_count; to->change_count++) {
        struct yd__sim_change change = from->changes[to->change_count];
        change.name = yd__sim_strdup(change.name);
        if (change.to_name) change.to_name = yd__sim_strdup(change.to_name);
        to->changes[to->change_count] = change;
    }
}

void yd__sim_names_fini(struct yd__sim_fs *disk)
{
    for (uint32_t i = 0; i < disk->change_count; i++) free(disk->changes[i].name), free(disk->changes[i].to_name);
    free(disk->changes);
    for (uint32_t i = 0; i < disk->inode_count; i++)
        if (disk->inodes[i]) free_inode(disk, disk->inodes[i]);
    free(disk->inodes);
}
