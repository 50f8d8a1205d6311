/* The keeper: files, the manifest, flushes, retention; see keeper.h. Merging is merge.c's.
 *
 *   take … take: chunks into NUMBER.block.tmp, names in memory
 *   commit: names synced and named → block synced and named → folder synced → manifest replaced → change
 *
 * A failed step ends the flush: its files are removed, or left as strays when the manifest that failed may name them
 * all the same (its rename may have reached the disk): those are removed when a later manifest is known to stand, or at
 * the next start. So no file that a manifest on the disk can name is ever missing. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "store/keeper_internal.h"

#define MAGIC     UINT32_C(0x4d484459) /* "YDHM" */
#define VERSION   1
#define NAMES_MAX 8 /* files of names; more are made one */
#define HOUR      (3600 * YD_NS_PER_S)

struct manifest {
    uint32_t magic, version, crc; /* of the rest */
    uint32_t next_id;
    uint64_t next_number, next_flush;
    int64_t newest;
    uint32_t blocks, names; /* then their numbers; of names with the size */
};
_Static_assert(sizeof(struct manifest) == 48, "the manifest's layout");

void yd__keeper_say(struct yd_keeper *keeper, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (keeper->say) keeper->say(keeper->say_arg, text);
}

int yd__keeper_grow(struct yd_keeper *keeper, void **items, uint32_t count, uint32_t *room, size_t size)
{
    if (count < *room) return YD_OK;
    uint32_t more = YD_MAX(*room * 2, 16);
    void *grown = yd_alloc_resize(keeper->alloc, *items, *room * size, more * size);
    if (!grown) return YD_ENOMEM;
    *items = grown;
    *room = more;
    return YD_OK;
}
#define GROW(keeper, items, count, room)                                                                               \
    yd__keeper_grow(keeper, (void **)&(keeper)->items, (keeper)->count, &(keeper)->room, sizeof *(keeper)->items)

static int path_of(const struct yd_keeper *keeper, const char *name, char *to, size_t size)
{
    return (size_t)snprintf(to, size, "%s/%s", keeper->folder, name) < size ? YD_OK : YD_ETOOBIG;
}

static void names_file(uint64_t number, char name[YD__BLOCK_NAME])
{
    snprintf(name, YD__BLOCK_NAME, "%08llx.names", (unsigned long long)number);
}

static void remove_file(struct yd_keeper *keeper, const char *name)
{
    char path[4096];
    if (path_of(keeper, name, path, sizeof path) == YD_OK) (void)yd_fs_unlink(keeper->fs, path);
}

/* ---- the manifest ---- */

static int manifest_write(struct yd_keeper *keeper)
{
    struct manifest head = {.magic = MAGIC,
                            .version = VERSION,
                            .next_id = keeper->next_id,
                            .next_number = keeper->next_number,
                            .next_flush = keeper->next_flush,
                            .newest = keeper->newest,
                            .blocks = keeper->block_count + keeper->lost_count,
                            .names = keeper->names_count};
    char path[4096];
    struct yd_buf file;
    yd_buf_init(&file, keeper->alloc);
    yd_buf_add(&file, &head, sizeof head);
    for (uint32_t i = 0; i < keeper->block_count; i++)
        yd_buf_add(&file, &keeper->blocks[i]->number, sizeof keeper->blocks[i]->number);
    yd_buf_add(&file, keeper->lost, keeper->lost_count * sizeof *keeper->lost);
    yd_buf_add(&file, keeper->names, keeper->names_count * sizeof *keeper->names);
    int error = file.failed ? YD_ENOMEM : path_of(keeper, "manifest", path, sizeof path);
    if (!error) {
        size_t from = offsetof(struct manifest, next_id);
        head.crc = yd_crc32c(0, file.data + from, file.size - from);
        memcpy(file.data, &head, sizeof head);
        error = yd_fs_replace(keeper->fs, path, file.data, file.size);
    }
    yd_buf_fini(&file);
    if (error < 0) return error;
    /* It stands: whatever an earlier one may have named is not needed any more. */
    for (uint32_t i = 0; i < keeper->stray_count; i++) {
        char name[YD__BLOCK_NAME];
        yd__block_file(keeper->strays[i], name);
        remove_file(keeper, name);
        names_file(keeper->strays[i], name);
        remove_file(keeper, name);
    }
    keeper->stray_count = 0;
    return YD_OK;
}

static void stray(struct yd_keeper *keeper, uint64_t number)
{
    if (GROW(keeper, strays, stray_count, stray_room) == YD_OK)
        keeper->strays[keeper->stray_count++] = number; /* else the next start finds it */
}

static int by_flush(const void *a, const void *b)
{
    const struct yd__block *x = *(struct yd__block *const *)a, *y = *(struct yd__block *const *)b;
    if (x->head.hi != y->head.hi) return x->head.hi < y->head.hi ? -1 : 1;
    if (x->head.part_from != y->head.part_from) return x->head.part_from < y->head.part_from ? -1 : 1;
    return (x->number > y->number) - (x->number < y->number);
}

/* ---- changes ---- */

static void change_free(struct yd_store_change *change)
{
    if (!change) return;
    struct yd_alloc *alloc = change->alloc;
    if (change->blocks) yd_alloc_put(alloc, change->blocks, change->room * sizeof *change->blocks);
    if (change->gone) yd_alloc_put(alloc, change->gone, change->gone_room * sizeof *change->gone);
    yd_alloc_put(alloc, change, sizeof *change);
}

static struct yd_store_change *change_create(struct yd_keeper *keeper, uint32_t room, uint32_t gone_room)
{
    struct yd_store_change *change = yd_alloc_zero(keeper->alloc, sizeof *change);
    if (!change) return NULL;
    change->alloc = keeper->alloc;
    change->room = room;
    change->gone_room = gone_room;
    if (room) change->blocks = yd_alloc_get(keeper->alloc, room * sizeof *change->blocks);
    if (gone_room) change->gone = yd_alloc_get(keeper->alloc, gone_room * sizeof *change->gone);
    if ((!room || change->blocks) && (!gone_room || change->gone)) return change;
    change_free(change);
    return NULL;
}

void yd_keeper_retire(struct yd_keeper *keeper, struct yd_store_change *change)
{
    if (!change) return;
    for (uint32_t i = 0; i < change->gone_count; i++) keeper->damaged_gone += change->gone[i]->damaged;
    yd_store_change_free(change);
}

void yd_store_change_free(void *opaque)
{
    struct yd_store_change *change = opaque;
    if (!change) return;
    for (uint32_t i = 0; i < change->gone_count; i++) yd__block_close(change->gone[i]);
    change_free(change);
}

static bool among(struct yd__block *const *blocks, uint32_t count, const struct yd__block *block)
{
    for (uint32_t i = 0; i < count; i++)
        if (blocks[i] == block) return true;
    return false;
}

int yd__keeper_replace(struct yd_keeper *keeper, struct yd__block *const *gone, uint32_t gone_count,
                       const uint64_t *numbers, uint32_t number_count, struct yd_store_change **ret_change,
                       struct yd_trail *trail)
{
    uint32_t room = keeper->block_count + number_count, opened = 0, before = keeper->block_count;
    struct yd_store_change *change = change_create(keeper, room, gone_count);
    struct yd__block **old = keeper->blocks, **fresh = yd_alloc_get(keeper->alloc, (room + 1) * sizeof *fresh);
    int error = change && fresh ? YD_OK : YD_ENOMEM;
    if (!error && number_count) error = yd_fs_sync_dir(keeper->fs, keeper->folder);
    for (; !error && opened < number_count; opened++) {
        error = yd__block_open(keeper->fs, keeper->alloc, keeper->folder, numbers[opened], &fresh[opened]);
        if (error < 0) break;
        yd__block_set_warm(fresh[opened], YD__WARM); /* it was just written */
    }
    uint32_t count = opened, old_room = keeper->block_room;
    if (!error) {
        for (uint32_t i = 0; i < before; i++)
            if (!among(gone, gone_count, old[i])) fresh[count++] = old[i];
        qsort(fresh, count, sizeof *fresh, by_flush);
        keeper->blocks = fresh;
        keeper->block_count = count;
        keeper->block_room = room + 1;
        error = manifest_write(keeper);
        if (error < 0) { /* as it was: the new ones are among those in `fresh` */
            (void)yd_trail_add(trail, error, "cannot write %s/manifest", keeper->folder);
            keeper->blocks = old;
            keeper->block_count = before;
            keeper->block_room = old_room;
            for (uint32_t i = 0; i < count; i++)
                if (!among(old, before, fresh[i])) yd__block_close(fresh[i]);
            opened = 0;
        }
    }
    if (error < 0) {
        for (uint32_t i = 0; i < opened; i++) yd__block_close(fresh[i]);
        for (uint32_t i = 0; i < number_count; i++) stray(keeper, numbers[i]);
        if (fresh) yd_alloc_put(keeper->alloc, fresh, (room + 1) * sizeof *fresh);
        change_free(change);
        return error;
    }
    if (old) yd_alloc_put(keeper->alloc, old, old_room * sizeof *old);
    memcpy(change->blocks, fresh, count * sizeof *fresh);
    change->count = count;
    for (uint32_t i = 0; i < gone_count; i++) {
        change->gone[change->gone_count++] = gone[i];
        gone[i]->leaving = true;
    }
    change->points_gone = gone_count && !number_count;
    *ret_change = change;
    return YD_OK;
}

/* ---- opening ---- */

struct loading {
    struct yd_keeper *keeper;
    struct yd_history *history;
};

static int load_name(void *arg, uint32_t id, struct yd_str name)
{
    struct loading *loading = arg;
    struct yd_history *history = loading->history;
    if (id < history->id_count || id >= loading->keeper->next_id) return YD_OK; /* twice: the first one stands */
    int error = yd__index_restore(history, name, id);
    return error == YD_EFORMAT ? YD_ECORRUPT : error;
}

static int load_gone(void *arg, uint32_t id)
{
    struct loading *loading = arg;
    if (id < loading->history->id_count && yd__series_get(loading->history, id)) yd__index_remove(loading->history, id);
    return YD_OK;
}

/* After the names: an id that is gone is not given again, so what is said of it harms nobody. */
static int load_cut(void *arg, const struct yd__cut *cut)
{
    struct loading *loading = arg;
    struct yd_history *history = loading->history;
    int error = yd__cuts_add(&loading->keeper->cuts, loading->keeper->alloc, cut);
    return error ? error : yd__cuts_add(&history->cuts, &history->index_meter.alloc, cut);
}

static int load_names(struct yd_keeper *keeper, struct yd_history *history)
{
    struct loading loading = {keeper, history};
    const struct yd__names_visitor visitor = {load_name, load_gone, load_cut, &loading};
    for (uint32_t i = 0; i < keeper->names_count; i++) {
        char name[YD__BLOCK_NAME], path[4096];
        uint32_t damaged = 0;
        names_file(keeper->names[i].number, name);
        int error = path_of(keeper, name, path, sizeof path);
        if (!error) error = yd__names_read(keeper->fs, path, &visitor, &damaged);
        if (error == YD_ENOMEM) return error;
        if (error < 0) {
            keeper->counts.lost++;
            yd__keeper_say(keeper, "%s cannot be read: %s. The series named in it only cannot be found", path,
                           yd_error_text(error));
        }
        if (!damaged) continue;
        keeper->counts.damaged += damaged;
        yd__keeper_say(keeper, "%s: %u groups of names are damaged: the series in them cannot be found", path, damaged);
    }
    history->id_count = YD_MAX(history->id_count, keeper->next_id);
    history->flush.named = history->flush.naming = history->id_count;
    history->flush.dead_count = 0;
    yd__cuts_settle(&keeper->cuts);
    yd__cuts_settle(&history->cuts);
    return YD_OK;
}

static int manifest_parse(struct yd_keeper *keeper, const char *data, size_t size)
{
    struct manifest head;
    if (size < sizeof head) return YD_ECORRUPT;
    memcpy(&head, data, sizeof head);
    size_t from = offsetof(struct manifest, next_id);
    if (head.magic != MAGIC) return YD_ECORRUPT;
    if (head.version != VERSION) return YD_EVERSION;
    uint64_t want = sizeof head + (uint64_t)head.blocks * 8 + (uint64_t)head.names * sizeof(struct yd__names_file);
    if (size != want || yd_crc32c(0, data + from, size - from) != head.crc) return YD_ECORRUPT;
    keeper->next_id = head.next_id;
    keeper->next_number = head.next_number;
    keeper->next_flush = head.next_flush;
    keeper->newest = head.newest;
    const char *at = data + sizeof head;
    for (uint32_t i = 0; i < head.blocks; i++, at += 8) {
        uint64_t number;
        memcpy(&number, at, sizeof number);
        int error = GROW(keeper, blocks, block_count, block_room);
        if (!error) error = GROW(keeper, lost, lost_count, lost_room);
        if (error) return error;
        error = yd__block_open(keeper->fs, keeper->alloc, keeper->folder, number, &keeper->blocks[keeper->block_count]);
        if (error == YD_ENOMEM) return error;
        if (error >= 0) {
            keeper->block_count++;
            continue;
        }
        char name[YD__BLOCK_NAME];
        yd__block_file(number, name);
        keeper->lost[keeper->lost_count++] = number;
        keeper->counts.lost++;
        yd__keeper_say(keeper, "%s/%s cannot be read: %s. Its points are missing, the others are served",
                       keeper->folder, name, yd_error_text(error));
    }
    for (uint32_t i = 0; i < head.names; i++, at += sizeof(struct yd__names_file)) {
        int error = GROW(keeper, names, names_count, names_room);
        if (error) return error;
        memcpy(&keeper->names[keeper->names_count++], at, sizeof *keeper->names);
    }
    if (keeper->block_count) qsort(keeper->blocks, keeper->block_count, sizeof *keeper->blocks, by_flush);
    return YD_OK;
}

/* ---- verifying ---- */

static void collect(void *arg, const char *text)
{
    struct yd_buf *texts = arg;
    yd_buf_add(texts, text, strlen(text) + 1);
}

static int ignore_name(void *arg, uint32_t id, struct yd_str name)
{
    (void)arg;
    (void)id;
    (void)name;
    return YD_OK;
}

static int ignore_gone(void *arg, uint32_t id)
{
    (void)arg;
    (void)id;
    return YD_OK;
}

static int ignore_cut(void *arg, const struct yd__cut *cut)
{
    (void)arg;
    (void)cut;
    return YD_OK;
}

static void verify_names(struct yd_keeper *keeper, const struct yd__names_file *file)
{
    const struct yd__names_visitor visitor = {ignore_name, ignore_gone, ignore_cut, NULL};
    char name[YD__BLOCK_NAME], path[4096];
    uint32_t damaged = 0;
    names_file(file->number, name);
    int error = path_of(keeper, name, path, sizeof path);
    if (!error) error = yd__names_read(keeper->fs, path, &visitor, &damaged);
    if (error < 0) yd__keeper_say(keeper, "%s cannot be read: %s", path, yd_error_text(error));
    if (damaged) yd__keeper_say(keeper, "%s: %u groups of names are damaged", path, damaged);
}

static void let_go(struct yd_keeper *keeper)
{
    struct yd_alloc *alloc = keeper->alloc;
    for (uint32_t i = 0; i < keeper->block_count; i++) yd__block_close(keeper->blocks[i]);
    if (keeper->blocks) yd_alloc_put(alloc, keeper->blocks, keeper->block_room * sizeof *keeper->blocks);
    if (keeper->names) yd_alloc_put(alloc, keeper->names, keeper->names_room * sizeof *keeper->names);
    yd__cuts_fini(&keeper->cuts, alloc);
    yd__cuts_fini(&keeper->new_cuts, alloc);
    if (keeper->lost) yd_alloc_put(alloc, keeper->lost, keeper->lost_room * sizeof *keeper->lost);
    if (keeper->strays) yd_alloc_put(alloc, keeper->strays, keeper->stray_room * sizeof *keeper->strays);
}

int yd_keeper_verify(struct yd_fs *fs, const char *folder, void (*found)(void *arg, const char *text), void *arg,
                     uint64_t *ret_files, uint64_t *ret_faults)
{
    struct yd_buf texts;
    char path[4096], *data = NULL, *again = NULL;
    size_t size = 0, again_size = 0;
    int error = YD_OK;
    yd_buf_init(&texts, NULL);
    for (int i = 0; i < 5 && !error; i++) { /* of one in use files may go while they are read: then once more */
        struct yd_keeper keeper = {.fs = fs,
                                   .alloc = yd_alloc_default(),
                                   .folder = (char *)(uintptr_t)folder,
                                   .say = collect,
                                   .say_arg = &texts};
        yd_buf_clear(&texts);
        error = path_of(&keeper, "manifest", path, sizeof path);
        if (!error) error = yd_fs_read_all(fs, path, SIZE_MAX / 2, &data, &size);
        if (error) break;
        error = manifest_parse(&keeper, data, size);
        if (error == YD_ECORRUPT || error == YD_EVERSION) {
            yd__keeper_say(&keeper, "%s: %s", path, yd_error_text(error));
            error = YD_OK;
        }
        *ret_files = 1 + keeper.block_count + keeper.names_count;
        for (uint32_t b = 0; b < keeper.block_count; b++) (void)yd__block_verify(keeper.blocks[b], collect, &texts);
        for (uint32_t n = 0; n < keeper.names_count; n++) verify_names(&keeper, &keeper.names[n]);
        let_go(&keeper);
        if (!error && texts.size) error = yd_fs_read_all(fs, path, SIZE_MAX / 2, &again, &again_size);
        bool same = !again || (again_size == size && memcmp(again, data, size) == 0);
        free(data);
        free(again);
        data = again = NULL;
        if (same) break;
    }
    *ret_faults = 0;
    for (size_t at = 0; !error && at < texts.size; at += strlen(texts.data + at) + 1, ++*ret_faults)
        found(arg, texts.data + at);
    if (!error && texts.failed) error = YD_ENOMEM;
    yd_buf_fini(&texts);
    return error;
}

struct listing {
    struct yd_keeper *keeper;
    struct yd_buf found; /* names, each with its end */
    bool any;
};

static bool ends(const char *name, const char *with)
{
    size_t size = strlen(name), end = strlen(with);
    return size > end && strcmp(name + size - end, with) == 0;
}

static int list_one(void *arg, const char *name, enum yd_file_type node)
{
    struct listing *listing = arg;
    struct yd_keeper *keeper = listing->keeper;
    bool block = ends(name, ".block"), names = ends(name, ".names"), known = false;
    if (node != YD_NODE_FILE) return 0;
    if (!block && !names && !ends(name, ".tmp")) return 0;
    uint64_t number = strtoull(name, NULL, 16);
    for (uint32_t i = 0; block && i < keeper->block_count; i++) known |= keeper->blocks[i]->number == number;
    for (uint32_t i = 0; block && i < keeper->lost_count; i++) known |= keeper->lost[i] == number;
    for (uint32_t i = 0; names && i < keeper->names_count; i++) known |= keeper->names[i].number == number;
    listing->any |= block || names;
    if (!known) yd_buf_add(&listing->found, name, strlen(name) + 1);
    return 0;
}

/* What no manifest names is left from a crash. */
static int clean(struct yd_keeper *keeper, bool fresh)
{
    struct listing listing = {.keeper = keeper};
    yd_buf_init(&listing.found, keeper->alloc);
    /* The manifest that was read may be younger than the one on the disk (its rename was never synced): what only the
     * older one names may go when that cannot come back. */
    int error = yd_fs_sync_dir(keeper->fs, keeper->folder);
    if (error >= 0) error = yd_fs_list(keeper->fs, keeper->folder, list_one, &listing);
    if (error >= 0 && fresh && listing.any) error = YD_ECORRUPT;
    for (size_t at = 0; error >= 0 && !listing.found.failed && at < listing.found.size;
         at += strlen(listing.found.data + at) + 1)
        remove_file(keeper, listing.found.data + at);
    yd_buf_fini(&listing.found);
    return error;
}

static int load(struct yd_keeper *keeper, struct yd_history *history, struct yd_trail *trail)
{
    char path[4096], *data;
    size_t size;
    int error = path_of(keeper, "lock", path, sizeof path);
    if (!error) error = yd_fs_make_dirs(keeper->fs, keeper->folder);
    if (!error) error = yd_fs_open(keeper->fs, path, YD_OPEN_WRITE | YD_OPEN_CREATE, &keeper->lock);
    if (!error) error = yd_file_lock(keeper->lock);
    if (error < 0) return yd_trail_add(trail, error, "cannot use %s: %s", keeper->folder, yd_error_text(error));
    (void)path_of(keeper, "manifest", path, sizeof path);
    error = yd_fs_read_all(keeper->fs, path, SIZE_MAX / 2, &data, &size);
    bool fresh = error == YD_ENOENT;
    if (!fresh && !error) {
        error = manifest_parse(keeper, data, size);
        free(data);
    } else if (fresh) {
        error = YD_OK;
    }
    if (!error) error = clean(keeper, fresh);
    /* A manifest is there before the first block is: blocks without one mean that it has been lost. */
    if (!error && fresh) error = manifest_write(keeper);
    if (error < 0)
        return yd_trail_add(trail, error,
                            "%s: %s. Move the folder away: the history is made again from the stream, as far as that "
                            "reaches back",
                            path, yd_error_text(error));
    error = load_names(keeper, history);
    if (error < 0) return error;
    history->newest = YD_MAX(history->newest, keeper->newest);
    struct yd_store_change *change = change_create(keeper, keeper->block_count, 0);
    if (!change) return YD_ENOMEM;
    change->count = keeper->block_count;
    if (change->count) memcpy(change->blocks, keeper->blocks, change->count * sizeof *change->blocks);
    /* Series whose blocks were lost, or which the last run had no time to let go, are looked for. */
    change->points_gone = true;
    error = yd_history_install(history, change);
    change_free(change);
    return error;
}

int yd_keeper_open(const struct yd_keeper_options *options, struct yd_history *history,
                   void (*say)(void *arg, const char *text), void *arg, struct yd_keeper **ret_keeper,
                   struct yd_trail *trail)
{
    struct yd_alloc *alloc = options->alloc ? options->alloc : yd_alloc_default();
    struct yd_keeper *keeper = yd_alloc_zero(alloc, sizeof *keeper);
    if (!keeper) return YD_ENOMEM;
    keeper->fs = options->fs;
    keeper->alloc = alloc;
    keeper->keep_ns = options->keep_ns;
    keeper->size_max = options->size_max;
    keeper->keep[YD__BLOCK_RAW] = options->keep_ns;
    keeper->keep[YD__BLOCK_MINUTES] = options->keep_minutes_ns ? options->keep_minutes_ns : options->keep_ns;
    keeper->keep[YD__BLOCK_HOURS] = options->keep_hours_ns ? options->keep_hours_ns : options->keep_ns;
    keeper->say = say;
    keeper->say_arg = arg;
    keeper->next_number = keeper->next_flush = 1;
    keeper->newest = INT64_MIN;
    keeper->part_ns = 24 * HOUR;
    while (keeper->keep_ns > 0 && keeper->part_ns > HOUR && keeper->part_ns > keeper->keep_ns / 8)
        keeper->part_ns = keeper->part_ns == 24 * HOUR ? 8 * HOUR : keeper->part_ns / 2;
    size_t size = strlen(options->folder) + 1;
    keeper->folder = yd_alloc_get(alloc, size);
    if (keeper->folder) memcpy(keeper->folder, options->folder, size);
    int error = keeper->folder ? load(keeper, history, trail) : YD_ENOMEM;
    if (error < 0) {
        history->block_count = 0;
        yd_keeper_close(keeper);
        return error;
    }
    *ret_keeper = keeper;
    return YD_OK;
}

void yd_keeper_close(struct yd_keeper *keeper)
{
    if (!keeper) return;
    struct yd_alloc *alloc = keeper->alloc;
    yd_keeper_abandon(keeper);
    yd__merge_fini(keeper);
    let_go(keeper);
    yd_file_close(keeper->lock);
    if (keeper->folder) yd_alloc_put(alloc, keeper->folder, strlen(keeper->folder) + 1);
    yd_alloc_put(alloc, keeper, sizeof *keeper);
}

bool yd_keeper_fresh(const struct yd_keeper *keeper)
{
    return keeper->next_flush == 1;
}

void yd_keeper_counts(struct yd_keeper *keeper, struct yd_keeper_counts *ret)
{
    *ret = keeper->counts;
    ret->blocks = keeper->block_count;
    ret->names = keeper->names_count;
    ret->damaged += keeper->damaged_gone;
    for (uint32_t i = 0; i < keeper->block_count; i++) {
        ret->bytes += keeper->blocks[i]->size;
        if (keeper->blocks[i]->head.kind == YD__BLOCK_RAW)
            ret->points += keeper->blocks[i]->head.points;
        else
            ret->rows += keeper->blocks[i]->head.points;
        ret->damaged += __atomic_load_n(&keeper->blocks[i]->damaged, __ATOMIC_RELAXED);
    }
    for (uint32_t i = 0; i < keeper->names_count; i++) ret->bytes += keeper->names[i].size;
}

/* ---- flushing ---- */

/* An empty one has no memory, and nothing is beyond nothing. */
static const char *end_of(const struct yd_buf *buf)
{
    return buf->size ? buf->data + buf->size : buf->data;
}

static int take_chunks(struct yd_keeper *keeper, const struct yd_buf *chunks)
{
    const char *at = chunks->data, *end = end_of(chunks);
    int error = YD_OK;
    while (at < end && error >= 0) {
        uint32_t id;
        struct yd__chunk head;
        memcpy(&id, at, sizeof id);
        memcpy(&head, at + sizeof id, sizeof head);
        at += sizeof id + sizeof head;
        error = yd__block_add(keeper->writer, id, &head, (const uint8_t *)at);
        at += head.size;
        keeper->top_id = YD_MAX(keeper->top_id, id + 1);
    }
    return error;
}

static int take_names(struct yd_keeper *keeper, const struct yd_flush_piece *piece)
{
    const char *at = piece->names.data, *end = end_of(&piece->names);
    while (at < end) {
        uint32_t id;
        uint16_t size;
        memcpy(&id, at, sizeof id);
        memcpy(&size, at + sizeof id, sizeof size);
        at += sizeof id + sizeof size;
        yd__names_add(&keeper->new_names, id, (struct yd_str){at, size});
        at += size;
        keeper->top_id = YD_MAX(keeper->top_id, id + 1);
    }
    for (size_t i = 0; i < piece->dead.size; i += sizeof(uint32_t)) {
        uint32_t id;
        memcpy(&id, piece->dead.data + i, sizeof id);
        yd__names_add_gone(&keeper->new_names, id);
        keeper->top_id = YD_MAX(keeper->top_id, id + 1); /* one that is gone is not given again either */
    }
    int error = YD_OK;
    for (size_t i = 0; i < piece->cuts.size && !error; i += sizeof(struct yd__cut)) {
        struct yd__cut cut;
        memcpy(&cut, piece->cuts.data + i, sizeof cut);
        yd__names_add_cut(&keeper->new_names, &cut);
        error = yd__cuts_add(&keeper->new_cuts, keeper->alloc, &cut);
    }
    return error;
}

int yd_keeper_take(struct yd_keeper *keeper, struct yd_flush_piece *piece)
{
    if (!keeper->flushing) {
        keeper->flushing = true;
        keeper->flush_error = YD_OK;
        keeper->top_id = 0;
        yd__names_begin(&keeper->new_names, keeper->alloc);
        keeper->writer_number = keeper->next_number++;
        keeper->flush_error =
            yd__block_writer_create(keeper->fs, keeper->alloc, keeper->folder, keeper->writer_number, &keeper->writer);
        if (keeper->flush_error < 0) keeper->writer = NULL;
    }
    if (!keeper->flush_error) keeper->flush_error = take_chunks(keeper, &piece->chunks);
    if (!keeper->flush_error) keeper->flush_error = take_names(keeper, piece);
    yd_flush_piece_free(piece);
    return keeper->flush_error;
}

void yd_keeper_abandon(struct yd_keeper *keeper)
{
    if (!keeper->flushing) return;
    keeper->flushing = false;
    yd__block_writer_abandon(keeper->writer);
    keeper->writer = NULL;
    yd__names_end(&keeper->new_names);
    keeper->new_cuts.count = 0;
}

/* The block's file is whole and named, or there was nothing (YD_EAGAIN). */
static int finish_block(struct yd_keeper *keeper)
{
    struct yd__block_header head = {.kind = YD__BLOCK_RAW, .lo = keeper->next_flush, .hi = keeper->next_flush};
    struct yd__block_writer *writer = keeper->writer;
    keeper->writer = NULL;
    return yd__block_finish(writer, &head);
}

static int finish_names(struct yd_keeper *keeper)
{
    struct yd__names_file file = {.number = keeper->next_number};
    char name[YD__BLOCK_NAME], path[4096];
    names_file(file.number, name);
    int error = GROW(keeper, names, names_count, names_room);
    if (!error) error = path_of(keeper, name, path, sizeof path);
    if (error) return error;
    keeper->next_number++;
    error = yd__names_write(&keeper->new_names, keeper->fs, path, &file.size);
    if (error < 0)
        stray(keeper, file.number);
    else
        keeper->names[keeper->names_count++] = file;
    return error;
}

int yd_keeper_commit(struct yd_keeper *keeper, int64_t newest_ns, struct yd_store_change **ret_change,
                     struct yd_trail *trail)
{
    *ret_change = NULL;
    if (!keeper->flushing) return YD_OK;
    uint32_t old_names = keeper->names_count, old_id = keeper->next_id, old_cuts = keeper->cuts.count;
    uint64_t number = keeper->writer_number;
    int error = keeper->flush_error;
    if (error < 0) (void)yd_trail_add(trail, error, "cannot write into %s: %s", keeper->folder, yd_error_text(error));
    bool names = !error && !yd__names_empty(&keeper->new_names), block = false;
    if (names) error = finish_names(keeper);
    if (names && error < 0)
        (void)yd_trail_add(trail, error, "cannot write names into %s: %s", keeper->folder, yd_error_text(error));
    if (!error) {
        error = finish_block(keeper);
        block = error == YD_OK;
        if (error == YD_EAGAIN) error = YD_OK;
        if (error < 0)
            (void)yd_trail_add(trail, error, "cannot write a block into %s: %s", keeper->folder, yd_error_text(error));
    }
    for (uint32_t i = 0; i < keeper->new_cuts.count && !error; i++)
        error = yd__cuts_add(&keeper->cuts, keeper->alloc, &keeper->new_cuts.items[i]);
    if (!error && (names || block)) {
        keeper->next_flush++;
        keeper->next_id = YD_MAX(keeper->next_id, keeper->top_id);
        keeper->newest = YD_MAX(keeper->newest, newest_ns);
        error = yd__keeper_replace(keeper, NULL, 0, &number, block, ret_change, trail);
    }
    yd_keeper_abandon(keeper);
    if (error < 0) {
        keeper->cuts.count = old_cuts; /* a merge must not leave out what a start might read again */
        keeper->next_id = old_id;
        if (keeper->names_count > old_names) stray(keeper, keeper->names[--keeper->names_count].number);
        return error;
    }
    yd__cuts_settle(&keeper->cuts);
    keeper->counts.flushes++;
    return YD_OK;
}

/* ---- files of names become one ---- */

struct joining {
    struct yd__names_writer writer;
    struct yd_buf gone; /* u32, sorted */
    struct yd__cuts cuts;
    struct yd_alloc *alloc;
    uint32_t first; /* the least id that is named in the files that are joined */
};

static int collect_name(void *arg, uint32_t id, struct yd_str name)
{
    struct joining *joining = arg;
    (void)name;
    joining->first = YD_MIN(joining->first, id);
    return YD_OK;
}

static int collect_gone(void *arg, uint32_t id)
{
    struct joining *joining = arg;
    yd_buf_add(&joining->gone, &id, sizeof id);
    return joining->gone.failed ? YD_ENOMEM : YD_OK;
}

static int collect_cut(void *arg, const struct yd__cut *cut)
{
    struct joining *joining = arg;
    return yd__cuts_add(&joining->cuts, joining->alloc, cut);
}

static int by_id(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static bool is_gone(const struct joining *joining, uint32_t id)
{
    return joining->gone.size && bsearch(&id, joining->gone.data, joining->gone.size / sizeof id, sizeof id, by_id);
}

static int join_name(void *arg, uint32_t id, struct yd_str name)
{
    struct joining *joining = arg;
    if (is_gone(joining, id)) return YD_OK;
    yd__names_add(&joining->writer, id, name);
    return joining->writer.file.failed ? YD_ENOMEM : YD_OK;
}

static int join_gone(void *arg, uint32_t id)
{
    (void)arg;
    (void)id;
    return YD_OK;
}

/* Reads files [from, count) by a visitor. A damaged one is left as it is: nothing is joined then. */
static int visit_names(struct yd_keeper *keeper, uint32_t from, const struct yd__names_visitor *visitor)
{
    for (uint32_t i = from; i < keeper->names_count; i++) {
        char name[YD__BLOCK_NAME], path[4096];
        uint32_t damaged = 0;
        names_file(keeper->names[i].number, name);
        int error = path_of(keeper, name, path, sizeof path);
        if (!error) error = yd__names_read(keeper->fs, path, visitor, &damaged);
        if (error < 0) return error;
        if (damaged) return YD_ECORRUPT;
    }
    return YD_OK;
}

/* The newer ones, all when they have become a quarter of the oldest: each name is written a few times only. */
static int join_names(struct yd_keeper *keeper, struct yd_trail *trail)
{
    uint64_t newer = 0;
    for (uint32_t i = 1; i < keeper->names_count; i++) newer += keeper->names[i].size;
    uint32_t from = newer * 4 >= keeper->names[0].size ? 0 : 1, old_count = keeper->names_count;
    struct joining joining = {.first = UINT32_MAX, .alloc = keeper->alloc};
    struct yd__names_file made = {.number = keeper->next_number++};
    struct yd__names_file *old = yd_alloc_get(keeper->alloc, old_count * sizeof *old);
    if (!old) return YD_ENOMEM;
    char name[YD__BLOCK_NAME], path[4096];
    yd__names_begin(&joining.writer, keeper->alloc);
    yd_buf_init(&joining.gone, keeper->alloc);
    int error =
        visit_names(keeper, from, &(struct yd__names_visitor){collect_name, collect_gone, collect_cut, &joining});
    uint32_t gone = (uint32_t)(joining.gone.size / sizeof(uint32_t)), *ids = (uint32_t *)(void *)joining.gone.data;
    if (gone) qsort(ids, gone, sizeof *ids, by_id);
    if (!error)
        error = visit_names(keeper, from, &(struct yd__names_visitor){join_name, join_gone, ignore_cut, &joining});
    for (uint32_t i = 0; !error && i < gone; i++)
        if (from && ids[i] < joining.first) yd__names_add_gone(&joining.writer, ids[i]); /* named in an older file */
    yd__cuts_settle(&joining.cuts);
    for (uint32_t i = 0; !error && i < joining.cuts.count; i++)
        if (!is_gone(&joining, joining.cuts.items[i].id)) yd__names_add_cut(&joining.writer, &joining.cuts.items[i]);
    names_file(made.number, name);
    if (!error) error = path_of(keeper, name, path, sizeof path);
    if (!error) error = yd__names_write(&joining.writer, keeper->fs, path, &made.size);
    if (error < 0) stray(keeper, made.number);
    if (!error) {
        memcpy(old, keeper->names, old_count * sizeof *old);
        keeper->names[from] = made;
        keeper->names_count = from + 1;
        error = manifest_write(keeper);
        if (error < 0) {
            memcpy(keeper->names, old, old_count * sizeof *old);
            keeper->names_count = old_count;
            stray(keeper, made.number);
        }
    }
    for (uint32_t i = from; !error && i < old_count; i++) {
        names_file(old[i].number, name);
        remove_file(keeper, name);
    }
    yd_alloc_put(keeper->alloc, old, old_count * sizeof *old);
    yd__names_end(&joining.writer);
    yd_buf_fini(&joining.gone);
    yd__cuts_fini(&joining.cuts, keeper->alloc);
    return error < 0 ? yd_trail_add(trail, error, "cannot join the names in %s", keeper->folder) : error;
}

/* ---- retention ---- */

static int retire(struct yd_keeper *keeper, struct yd__block *block, struct yd_store_change **ret_change,
                  struct yd_trail *trail)
{
    int error = yd__keeper_replace(keeper, &block, 1, NULL, 0, ret_change, trail);
    if (error < 0) return error;
    keeper->counts.retired++;
    if (block->head.kind == YD__BLOCK_RAW) keeper->counts.retired_points += block->head.points;
    return 1;
}

static bool too_old(const struct yd_keeper *keeper, const struct yd__block *block)
{
    int64_t keep = keeper->keep[block->head.kind], from;
    /* Rows stay to the end of their part, so that they never go before their points: they would be made again. */
    int64_t end = block->head.kind == YD__BLOCK_RAW ? block->head.time_max : block->head.part_end;
    return keep > 0 && keeper->newest != INT64_MIN && !__builtin_sub_overflow(keeper->newest, keep, &from) &&
           end < from;
}

/* One block that has to go, at a time: what is too old; beyond the size the oldest points, then the oldest rows. */
static int retention(struct yd_keeper *keeper, struct yd_store_change **ret_change, struct yd_trail *trail)
{
    struct yd__block *oldest = NULL;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < keeper->block_count; i++) {
        struct yd__block *block = keeper->blocks[i];
        if (too_old(keeper, block)) return retire(keeper, block, ret_change, trail);
        bytes += block->size;
        bool raw = block->head.kind == YD__BLOCK_RAW, had = oldest && oldest->head.kind == YD__BLOCK_RAW;
        if (!oldest || raw > had || (raw == had && block->head.time_max < oldest->head.time_max)) oldest = block;
    }
    bool over = keeper->size_max && bytes > keeper->size_max && keeper->block_count > 1;
    return over ? retire(keeper, oldest, ret_change, trail) : 0;
}

int yd_keeper_work(struct yd_keeper *keeper, int64_t newest_ns, struct yd_store_change **ret_change,
                   struct yd_trail *trail)
{
    *ret_change = NULL;
    keeper->newest = YD_MAX(keeper->newest, newest_ns);
    if (keeper->merge.active) return yd__merge_step(keeper, ret_change, trail);
    int result = retention(keeper, ret_change, trail);
    if (result == 0 && keeper->names_count > NAMES_MAX) {
        result = join_names(keeper, trail);
        if (result == YD_ECORRUPT) result = 0; /* it was said at the start; they stay as they are */
        if (result == 0) result = yd__merge_pick(keeper);
        return result;
    }
    return result ? result : yd__merge_pick(keeper);
}

/* ---- warming ---- */

#define WARM_SLICE ((size_t)4 << 20)

bool yd_keeper_warm(struct yd_keeper *keeper, uint64_t bytes_max)
{
    uint64_t bytes = 0;
    for (uint32_t i = keeper->block_count; i-- > 0;) { /* the latest first; indexes whatever they take */
        struct yd__block *block = keeper->blocks[i];
        if (yd__block_warm(block) != YD__COLD) continue;
        return yd__block_read_on(block, WARM_SLICE), true;
    }
    for (uint32_t i = keeper->block_count; i-- > 0;) {
        struct yd__block *block = keeper->blocks[i];
        bytes += block->size;
        if (bytes > bytes_max) return false;
        if (yd__block_warm(block) != YD__WARM) return yd__block_read_on(block, WARM_SLICE), true;
    }
    return false;
}

void yd_warming_free(void *opaque)
{
    struct yd_warming *warming = opaque;
    if (!warming) return;
    struct yd_alloc *alloc = warming->alloc;
    yd_alloc_put(alloc, warming->blocks, warming->block_room * sizeof *warming->blocks);
    yd_alloc_put(alloc, warming->ids, warming->id_count * sizeof *warming->ids);
    yd_alloc_put(alloc, warming, sizeof *warming);
}

void yd_warming_do(struct yd_warming *warming)
{
    for (uint32_t b = 0; b < warming->block_count; b++) {
        struct yd__block *block = warming->blocks[b];
        yd__block_read_index(block);
        for (uint32_t i = 0; i < warming->id_count; i++)
            yd__block_read_series(block, warming->ids[i], warming->from, warming->to);
    }
}
