/* log/twin.c: a compressed twin, read as if it were the segment.
 *
 *   read(offset, size) ─▶ the blocks it touches ─▶ checksum, decompress (the last two are kept) ─▶ copy
 *
 * A twin is a `struct yd_file` of its own kind, so readers, recovery, verify and tools do not notice which of the two
 * they have. A block that is damaged reads as a device that refuses: YD_EIO, for that block alone. Nothing in the file
 * is trusted: sizes are checked against the file's before anything is allocated.
 * Threads as of any file: several may read one handle; a mutex guards the kept blocks. */
#include "log/twin.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define KEPT 2

struct kept {
    char *bytes;
    uint32_t block, size; /* size 0: empty, or the block is damaged */
    uint64_t used;
};

struct twin {
    struct yd_file file; /* first: the table's handle */
    struct yd_file *inner;
    pthread_mutex_t mutex;
    uint32_t block_size, blocks;
    uint64_t raw_size, used;
    struct yd__twin_entry *table;
    char *stored;
    struct kept kept[KEPT];
    ZSTD_DCtx *zstd;
};

static struct twin *twin_of(struct yd_file *file)
{
    return YD_CONTAINER(file, struct twin, file);
}

static uint32_t raw_size_of(const struct twin *twin, uint32_t block)
{
    uint64_t from = (uint64_t)block * twin->block_size;
    return (uint32_t)YD_MIN((uint64_t)twin->block_size, twin->raw_size - from);
}

/* Reads a block and decompresses it. YD_ECORRUPT: it is damaged; YD_EIO: the device refused it, this time. */
static int load(struct twin *twin, uint32_t block, char *to)
{
    const struct yd__twin_entry *entry = &twin->table[block];
    uint32_t raw = raw_size_of(twin, block);
    size_t have;
    int error = yd_file_read(twin->inner, twin->stored, entry->size, entry->offset, &have);
    if (error) return error;
    if (have != entry->size || yd_crc32c(0, twin->stored, have) != entry->crc) return YD_ECORRUPT;
    if (entry->size == raw) {
        memcpy(to, twin->stored, raw);
        return 0;
    }
    size_t made = ZSTD_decompressDCtx(twin->zstd, to, raw, twin->stored, have);
    return made == raw ? 0 : YD_ECORRUPT;
}

/* The decompressed block, kept. */
static int get(struct twin *twin, uint32_t block, const char **ret)
{
    struct kept *oldest = &twin->kept[0];
    for (int i = 0; i < KEPT; i++) {
        struct kept *kept = &twin->kept[i];
        if (kept->used && kept->block == block) {
            kept->used = ++twin->used;
            *ret = kept->bytes;
            return kept->size ? 0 : YD_EIO;
        }
        if (kept->used < oldest->used) oldest = kept;
    }
    if (!oldest->bytes) oldest->bytes = malloc(twin->block_size);
    if (!oldest->bytes) return YD_ENOMEM;
    oldest->used = 0;
    int error = load(twin, block, oldest->bytes);
    if (error && error != YD_ECORRUPT) return error;
    oldest->block = block;
    oldest->used = ++twin->used;
    oldest->size = error ? 0 : raw_size_of(twin, block);
    *ret = oldest->bytes;
    return error ? YD_EIO : 0;
}

static int twin_read(struct yd_file *file, void *to, size_t size, uint64_t offset, size_t *ret_size)
{
    struct twin *twin = twin_of(file);
    size_t done = 0;
    int error = 0;
    if (offset < twin->raw_size)
        size = (size_t)YD_MIN((uint64_t)size, twin->raw_size - offset);
    else
        size = 0;
    pthread_mutex_lock(&twin->mutex);
    while (done < size && !error) {
        uint64_t at = offset + done;
        uint32_t block = (uint32_t)(at / twin->block_size), within = (uint32_t)(at % twin->block_size);
        const char *bytes;
        error = get(twin, block, &bytes);
        if (error) break;
        size_t part = YD_MIN(size - done, (size_t)(raw_size_of(twin, block) - within));
        memcpy((char *)to + done, bytes + within, part);
        done += part;
    }
    pthread_mutex_unlock(&twin->mutex);
    if (!error) *ret_size = done;
    return error;
}

static int twin_stat(struct yd_file *file, struct yd_stat *ret)
{
    struct twin *twin = twin_of(file);
    int error = yd_file_stat(twin->inner, ret);
    if (!error) ret->size = twin->raw_size;
    return error;
}

static void twin_close(struct yd_file *file)
{
    if (!file) return;
    struct twin *twin = twin_of(file);
    yd_file_close(twin->inner);
    for (int i = 0; i < KEPT; i++) free(twin->kept[i].bytes);
    ZSTD_freeDCtx(twin->zstd);
    free(twin->stored);
    free(twin->table);
    pthread_mutex_destroy(&twin->mutex);
    free(twin);
}

static int twin_resident(struct yd_file *file, uint64_t offset, size_t size, bool *ret)
{
    (void)file, (void)offset, (void)size;
    *ret = false; /* decompressing is work for a file thread in any case */
    return 0;
}

static int no_map(struct yd_file *file, uint64_t offset, size_t size, bool writable, void **ret)
{
    (void)file, (void)offset, (void)size, (void)writable, (void)ret;
    return YD_ENOTSUP;
}
static int no_writev(struct yd_file *file, const struct iovec *parts, int part_count, uint64_t offset)
{
    (void)file, (void)parts, (void)part_count, (void)offset;
    return YD_EPERM;
}
static int no_change(struct yd_file *file, uint64_t size)
{
    (void)file, (void)size;
    return YD_EPERM;
}
static int no_allocate(struct yd_file *file, uint64_t offset, uint64_t size)
{
    (void)file, (void)offset, (void)size;
    return YD_EPERM;
}
static int no_lock(struct yd_file *file)
{
    (void)file;
    return YD_EPERM;
}
static int no_sync(struct yd_file *file)
{
    (void)file;
    return 0; /* nothing was written */
}

static const struct yd_fs_ops twin_ops = {
    .close = twin_close,
    .read = twin_read,
    .writev = no_writev,
    .sync = no_sync,
    .allocate = no_allocate,
    .truncate = no_change,
    .stat_file = twin_stat,
    .map = no_map,
    .lock = no_lock,
    .resident = twin_resident,
};
static struct yd_fs twin_fs = {&twin_ops}; /* only files come from it */

uint32_t yd__twin_head_crc(const struct yd__twin_head *head)
{
    struct yd__twin_head copy = *head;
    copy.crc = 0;
    return yd_crc32c(0, &copy, sizeof copy);
}

uint32_t yd__twin_footer_crc(const struct yd__twin_footer *footer)
{
    struct yd__twin_footer copy = *footer;
    copy.crc = 0;
    return yd_crc32c(0, &copy, sizeof copy);
}

static int read_exactly(struct yd_file *file, void *to, size_t size, uint64_t offset)
{
    size_t have;
    int error = yd_file_read(file, to, size, offset, &have);
    return error ? error : have == size ? 0 : YD_ECORRUPT;
}

/* Does a footer fit itself and its place? `end` is behind it. */
static bool plausible(const struct yd__twin_footer *footer, uint64_t end)
{
    uint32_t block = footer->block_size;
    if (block < YD__TWIN_BLOCK_MIN || block > YD__TWIN_BLOCK_MAX || (block & (block - 1))) return false;
    if (footer->blocks == 0 || footer->blocks > YD__TWIN_BLOCKS_MAX) return false;
    if (footer->raw_size > (uint64_t)footer->blocks * block ||
        footer->raw_size <= (uint64_t)(footer->blocks - 1) * block)
        return false;
    uint64_t table_size = (uint64_t)footer->blocks * sizeof(struct yd__twin_entry);
    return footer->table >= sizeof(struct yd__twin_head) && footer->table <= end &&
           footer->table + table_size + sizeof *footer == end;
}

static int read_head(struct yd_file *inner, struct yd__twin_head *ret)
{
    int error = read_exactly(inner, ret, sizeof *ret, 0);
    if (!error && (ret->magic != YD__TWIN_MAGIC || yd__twin_head_crc(ret) != ret->crc)) error = YD_ECORRUPT;
    if (!error && ret->version != YD__TWIN_VERSION) error = YD_EVERSION;
    return error;
}

/* The footer that ends at `end`. */
static int read_footer(struct yd_file *inner, uint64_t end, struct yd__twin_footer *ret)
{
    if (end < sizeof(struct yd__twin_head) + sizeof *ret) return YD_ECORRUPT;
    int error = read_exactly(inner, ret, sizeof *ret, end - sizeof *ret);
    if (error) return error;
    bool good = ret->magic == YD__TWIN_FOOTER_MAGIC && yd__twin_footer_crc(ret) == ret->crc && plausible(ret, end);
    return good ? 0 : YD_ECORRUPT;
}

/* The table before a good footer, and room for what it speaks of. `blocks_end`: behind the last block. */
static int read_table(struct twin *twin, const struct yd__twin_footer *footer, uint64_t blocks_end)
{
    size_t size = footer->blocks * sizeof(struct yd__twin_entry);
    twin->block_size = footer->block_size;
    twin->blocks = footer->blocks;
    twin->raw_size = footer->raw_size;
    free(twin->table);
    twin->table = malloc(size); /* not more than the file has */
    if (!twin->table) return YD_ENOMEM;
    int error = read_exactly(twin->inner, twin->table, size, footer->table);
    if (error) return error;
    if (yd_crc32c(0, twin->table, size) != footer->table_crc) return YD_ECORRUPT;
    uint32_t largest = 0;
    for (uint32_t i = 0; i < footer->blocks; i++) {
        const struct yd__twin_entry *entry = &twin->table[i];
        if (entry->size == 0 || entry->size > raw_size_of(twin, i) || entry->offset < sizeof(struct yd__twin_head) ||
            entry->offset > blocks_end || entry->size > blocks_end - entry->offset)
            return YD_ECORRUPT;
        largest = YD_MAX(largest, entry->size);
    }
    free(twin->stored);
    twin->stored = malloc(largest);
    return twin->stored ? 0 : YD_ENOMEM;
}

/* The first table, for who wants to know whether all is well. */
static int compare_tables(struct twin *twin, const struct yd__twin_footer *last, const struct yd__twin_footer *first)
{
    size_t size = last->blocks * sizeof(struct yd__twin_entry);
    if (first->blocks != last->blocks) return YD_ECORRUPT;
    void *table = malloc(size);
    if (!table) return YD_ENOMEM;
    int error = read_exactly(twin->inner, table, size, first->table);
    if (!error && memcmp(table, twin->table, size) != 0) error = YD_ECORRUPT;
    free(table);
    return error;
}

static bool is_damage(int error)
{
    return error == YD_ECORRUPT || error == YD_EIO; /* a sector that cannot be read is as good as a flipped bit */
}

/* By the last table and footer, or else by the first. ret_damaged: whether all of head and both are well is asked. */
static int read_layout(struct twin *twin, uint64_t size, struct yd__twin_footer *ret, bool *ret_damaged)
{
    struct yd__twin_head head;
    struct yd__twin_footer other;
    int headed = read_head(twin->inner, &head);
    if (headed && !is_damage(headed)) return headed;
    int last = read_footer(twin->inner, size, ret);
    uint32_t blocks = last == 0 ? ret->blocks : headed == 0 ? head.blocks : 0;
    if ((last && !is_damage(last)) || blocks == 0 || blocks > YD__TWIN_BLOCKS_MAX) return last ? last : YD_ECORRUPT;
    uint64_t pair = blocks * sizeof(struct yd__twin_entry) + sizeof *ret;
    if (size < 2 * pair + sizeof head) return YD_ECORRUPT;
    uint64_t blocks_end = size - 2 * pair;
    if (last == 0) last = read_table(twin, ret, blocks_end);
    if (last && !is_damage(last)) return last;
    int first = read_footer(twin->inner, size - pair, &other);
    if (first && !is_damage(first)) return first;
    if (last == 0 && first == 0 && ret_damaged) first = compare_tables(twin, ret, &other);
    if (first && !is_damage(first)) return first;
    if (ret_damaged) *ret_damaged = headed || last || first;
    if (last == 0) return 0;
    if (first == 0) first = read_table(twin, &other, blocks_end);
    *ret = other;
    return first;
}

int yd__twin_open(struct yd_fs *fs, const char *path, struct yd__twin_about *ret_about, struct yd_file **ret_file)
{
    struct yd_stat now;
    struct yd_file *inner;
    struct yd__twin_footer footer;
    int error = yd_fs_open(fs, path, YD_OPEN_READ, &inner);
    if (error) return error;
    struct twin *twin = calloc(1, sizeof *twin);
    if (!twin) {
        yd_file_close(inner);
        return YD_ENOMEM;
    }
    pthread_mutex_init(&twin->mutex, NULL);
    twin->file.fs = &twin_fs;
    twin->inner = inner;
    bool damaged = false;
    twin->zstd = ZSTD_createDCtx();
    error = twin->zstd ? yd_file_stat(inner, &now) : YD_ENOMEM;
    if (!error) error = read_layout(twin, now.size, &footer, ret_about ? &damaged : NULL);
    if (error) {
        twin_close(&twin->file);
        return error;
    }
    if (ret_about)
        *ret_about = (struct yd__twin_about){footer.log_id,  footer.base_seqno, footer.raw_size, footer.block_size,
                                             footer.raw_crc, now.size,          damaged};
    *ret_file = &twin->file;
    return 0;
}

int yd__segment_open(struct yd_fs *fs, const char *dir, uint64_t base, struct yd_file **ret_file)
{
    char path[YD__PATH_SIZE];
    yd__segment_path(path, sizeof path, dir, base, ".ylog");
    int error = yd_fs_open(fs, path, YD_OPEN_READ, ret_file);
    if (error != YD_ENOENT) return error;
    yd__segment_path(path, sizeof path, dir, base, ".yzst");
    return yd__twin_open(fs, path, NULL, ret_file);
}
