/* Blocks, read; see block.h for the picture. What can fail at opening: the disk, a damaged header. Afterwards nothing
 * fails: what is damaged is not there, and counted. */
#include <stdio.h>

#include "base/hash.h"
#include "store/block.h"

#define WORDS_A_RANK 8

struct sections {
    uint64_t words, ranks, bits_at, ranks_at, starts_at, entries_at, size;
};

static struct sections layout(const struct yd__block_header *head)
{
    struct sections s = {.words = YD_ALIGN_UP(((uint64_t)head->id_span + 63) / 64, WORDS_A_RANK)};
    s.ranks = s.words / WORDS_A_RANK;
    s.ranks_at = s.words * 8;
    s.starts_at = s.ranks_at + s.ranks * 4;
    s.entries_at = YD_ALIGN_UP(s.starts_at + ((uint64_t)head->series + 1) * 4, 8);
    s.size = YD_ALIGN_UP(s.entries_at + head->chunks * sizeof(struct yd__entry), YD__BLOCK_PAGE);
    return s;
}

static uint32_t header_crc(const struct yd__block_header *head)
{
    size_t from = offsetof(struct yd__block_header, kind);
    return yd_crc32c(0, (const char *)head + from, sizeof *head - from);
}

void yd__block_file(uint64_t number, char name[YD__BLOCK_NAME])
{
    snprintf(name, YD__BLOCK_NAME, "%08llx.block", (unsigned long long)number);
}

static char *path_of(struct yd_alloc *alloc, const char *folder, uint64_t number, const char *suffix)
{
    char name[YD__BLOCK_NAME];
    yd__block_file(number, name);
    size_t size = strlen(folder) + strlen(name) + strlen(suffix) + 2;
    char *path = yd_alloc_get(alloc, size);
    if (path) snprintf(path, size, "%s/%s%s", folder, name, suffix);
    return path;
}

static void path_free(struct yd_alloc *alloc, char *path)
{
    if (path) yd_alloc_put(alloc, path, strlen(path) + 1);
}

/* ---- reading ---- */

static int check_header(const struct yd__block_header *head, uint64_t size)
{
    if (head->magic != YD__BLOCK_MAGIC || header_crc(head) != head->crc) return YD_ECORRUPT;
    if (head->version != YD__BLOCK_VERSION) return YD_EVERSION;
    if (head->kind >= YD__BLOCK_KINDS || head->lo > head->hi || head->chunks > UINT32_MAX ||
        head->series > head->chunks || head->data_size > YD__BLOCK_SIZE + (UINT64_C(1) << 30) ||
        layout(head).size != head->index_size)
        return YD_ECORRUPT;
    uint64_t index = YD__BLOCK_PAGE + YD_ALIGN_UP(head->data_size, YD__BLOCK_PAGE);
    return index + head->index_size + head->index_size / YD__BLOCK_PAGE * 4 == size ? YD_OK : YD_ECORRUPT;
}

static int map(struct yd__block *block)
{
    struct yd_file *file;
    struct yd_stat stat;
    void *address = NULL;
    int error = yd_fs_open(block->fs, block->path, YD_OPEN_READ, &file);
    if (error < 0) return error;
    error = yd_file_stat(file, &stat);
    if (error >= 0 && stat.size < YD__BLOCK_PAGE) error = YD_ECORRUPT;
    if (error >= 0) {
        size_t got = 0;
        error = yd_file_read(file, &block->head, sizeof block->head, 0, &got);
        if (error >= 0 && got < sizeof block->head) error = YD_ECORRUPT;
    }
    if (error >= 0) error = check_header(&block->head, stat.size);
    if (error >= 0) error = yd_file_map(file, 0, (size_t)stat.size, false, &address);
    yd_file_close(file);
    if (error < 0) return error;
    block->map = address;
    block->size = (size_t)stat.size;
    return YD_OK;
}

static size_t flags_size(const struct yd__block *block)
{
    return ((size_t)block->pages + 63) / 64 * 8;
}

int yd__block_open(struct yd_fs *fs, struct yd_alloc *alloc, const char *folder, uint64_t number,
                   struct yd__block **ret_block)
{
    struct yd__block *block = yd_alloc_zero(alloc, sizeof *block);
    if (!block) return YD_ENOMEM;
    block->fs = fs;
    block->alloc = alloc;
    block->number = number;
    block->path = path_of(alloc, folder, number, "");
    int error = block->path ? map(block) : YD_ENOMEM;
    if (error < 0) {
        yd__block_close(block);
        return error;
    }
    const struct yd__block_header *head = &block->head;
    struct sections s = layout(head);
    const uint8_t *index = block->map + YD__BLOCK_PAGE + YD_ALIGN_UP(head->data_size, YD__BLOCK_PAGE);
    block->pages = (uint32_t)(head->index_size / YD__BLOCK_PAGE);
    block->bits = (const uint64_t *)index;
    block->ranks = (const uint32_t *)(index + s.ranks_at);
    block->starts = (const uint32_t *)(index + s.starts_at);
    block->entries = (const struct yd__entry *)(index + s.entries_at);
    block->sums = (const uint32_t *)(index + head->index_size);
    block->good = yd_alloc_zero(alloc, flags_size(block));
    block->bad = yd_alloc_zero(alloc, flags_size(block));
    error = !block->good || !block->bad                                             ? YD_ENOMEM
            : yd_crc32c(0, block->sums, (size_t)block->pages * 4) == head->sums_crc ? YD_OK
                                                                                    : YD_ECORRUPT;
    if (error < 0) {
        yd__block_close(block);
        return error;
    }
    *ret_block = block;
    return YD_OK;
}

void yd__block_close(struct yd__block *block)
{
    if (!block) return;
    struct yd_alloc *alloc = block->alloc;
    if (block->map) yd_fs_unmap(block->fs, (void *)(uintptr_t)block->map, block->size);
    if (block->good) yd_alloc_put(alloc, block->good, flags_size(block));
    if (block->bad) yd_alloc_put(alloc, block->bad, flags_size(block));
    if (block->leaving) (void)yd_fs_unlink(block->fs, block->path); /* if it stays, the next start removes it */
    path_free(alloc, block->path);
    yd_alloc_put(alloc, block, sizeof *block);
}

/* ---- warming ---- */

static void read_pages(const uint8_t *at, size_t size)
{
    for (size_t i = 0; i < size; i += YD__BLOCK_PAGE) (void)*(const volatile uint8_t *)(at + i);
    if (size) (void)*(const volatile uint8_t *)(at + size - 1);
}

static size_t index_at(const struct yd__block *block)
{
    return (size_t)((const uint8_t *)block->bits - block->map);
}

bool yd__block_read_on(struct yd__block *block, size_t bytes)
{
    size_t index = index_at(block), tail = block->size - index, done = block->warmed;
    if (yd__block_warm(block) == YD__WARM) return false;
    if (done < tail) {
        bytes = YD_MIN(bytes, tail - done);
        read_pages(block->map + index + done, bytes);
    } else {
        bytes = YD_MIN(bytes, block->size - done);
        read_pages(block->map + (done - tail), bytes);
    }
    block->warmed += bytes;
    if (block->warmed >= tail && yd__block_warm(block) == YD__COLD) yd__block_set_warm(block, YD__WARM_INDEX);
    if (block->warmed < block->size) return true;
    yd__block_set_warm(block, YD__WARM);
    return false;
}

void yd__block_read_index(struct yd__block *block)
{
    size_t index = index_at(block), tail = block->size - index;
    if (yd__block_warm(block) != YD__COLD) return;
    read_pages(block->map + index, tail);
    block->warmed = YD_MAX(block->warmed, tail);
    yd__block_set_warm(block, YD__WARM_INDEX);
}

void yd__block_read_series(struct yd__block *block, uint32_t id, int64_t from, int64_t to)
{
    const struct yd__entry *entries;
    uint32_t count = yd__block_series(block, id, &entries);
    for (uint32_t i = count ? yd__entry_find(entries, count, from) : 0; i < count; i++) {
        const struct yd__entry *entry = &entries[i];
        if (entry->chunk.first > to) break;
        if (entry->offset > block->head.data_size || entry->chunk.size > block->head.data_size - entry->offset)
            continue;
        read_pages(block->map + YD__BLOCK_PAGE + entry->offset, entry->chunk.size);
    }
}

/* Are the pages under [at, at + size) of the index as they were written? */
static bool sound(struct yd__block *block, const void *at, size_t size)
{
    size_t offset = (size_t)((const uint8_t *)at - (const uint8_t *)block->bits);
    for (size_t page = offset / YD__BLOCK_PAGE; page <= (offset + size - 1) / YD__BLOCK_PAGE; page++) {
        uint64_t bit = UINT64_C(1) << page % 64;
        /* Relaxed: a reader and a merge may find the same out twice, which is harmless. */
        if (YD_LIKELY(__atomic_load_n(&block->good[page / 64], __ATOMIC_RELAXED) & bit)) continue;
        if (__atomic_load_n(&block->bad[page / 64], __ATOMIC_RELAXED) & bit) return false;
        const uint8_t *bytes = (const uint8_t *)block->bits + page * YD__BLOCK_PAGE;
        bool right = yd_crc32c(0, bytes, YD__BLOCK_PAGE) == block->sums[page];
        __atomic_fetch_or(right ? &block->good[page / 64] : &block->bad[page / 64], bit, __ATOMIC_RELAXED);
        if (right) continue;
        __atomic_fetch_add(&block->damaged, 1, __ATOMIC_RELAXED);
        return false;
    }
    return true;
}

uint32_t yd__block_series(struct yd__block *block, uint32_t id, const struct yd__entry **ret_entries)
{
    uint32_t at = id - block->head.id_base;
    if (at >= block->head.id_span) return 0;
    const uint64_t *group = block->bits + at / 512 * WORDS_A_RANK, *word = block->bits + at / 64;
    if (!sound(block, group, WORDS_A_RANK * 8) || !(*word >> at % 64 & 1)) return 0;
    const uint32_t *rank = &block->ranks[at / 512];
    if (!sound(block, rank, sizeof *rank)) return 0;
    uint32_t n = *rank + (uint32_t)__builtin_popcountll(*word & ((UINT64_C(1) << at % 64) - 1));
    for (const uint64_t *before = group; before < word; before++) n += (uint32_t)__builtin_popcountll(*before);
    if (n >= block->head.series || !sound(block, &block->starts[n], 8)) return 0;
    uint32_t from = block->starts[n], end = block->starts[n + 1];
    if (from >= end || end > block->head.chunks) return 0;
    if (!sound(block, &block->entries[from], (size_t)(end - from) * sizeof *block->entries)) return 0;
    *ret_entries = &block->entries[from];
    return end - from;
}

uint32_t yd__block_next(struct yd__block *block, uint32_t id)
{
    uint64_t at = id < block->head.id_base ? 0 : id - block->head.id_base;
    while (at < block->head.id_span) {
        const uint64_t *word = block->bits + at / 64;
        if (!sound(block, word, 8)) { /* nobody of this page can be found */
            at = (at / (YD__BLOCK_PAGE * 8) + 1) * (YD__BLOCK_PAGE * 8);
            continue;
        }
        uint64_t left = *word >> at % 64;
        if (left) return block->head.id_base + (uint32_t)(at + (unsigned)__builtin_ctzll(left));
        at = (at / 64 + 1) * 64;
    }
    return UINT32_MAX;
}

const uint8_t *yd__block_data(struct yd__block *block, const struct yd__entry *entry)
{
    const struct yd__chunk *chunk = &entry->chunk;
    const uint8_t *data = block->map + YD__BLOCK_PAGE + entry->offset;
    bool fits = entry->offset <= block->head.data_size && chunk->size <= block->head.data_size - entry->offset;
    if (fits && chunk->count && chunk->count <= YD__CHUNK_MAX && chunk->kind <= YD__MODE_COUNT && chunk->unit < 4 &&
        chunk->scale < 64 && yd_crc32c(0, data, chunk->size) == entry->crc)
        return data;
    __atomic_fetch_add(&block->damaged, 1, __ATOMIC_RELAXED);
    return NULL;
}

uint64_t yd__block_verify(struct yd__block *block, void (*say)(void *arg, const char *what), void *arg)
{
    uint64_t found = 0;
    char what[160];
    for (uint32_t page = 0; page < block->pages; page++) {
        const uint8_t *bytes = (const uint8_t *)block->bits + (size_t)page * YD__BLOCK_PAGE;
        if (yd_crc32c(0, bytes, YD__BLOCK_PAGE) == block->sums[page]) continue;
        found++;
        snprintf(what, sizeof what, "%s: page %u of the index", block->path, page);
        say(arg, what);
    }
    for (uint32_t id = 0; (id = yd__block_next(block, id)) != UINT32_MAX; id++) {
        const struct yd__entry *entries;
        uint32_t count = yd__block_series(block, id, &entries);
        for (uint32_t i = 0; i < count; i++) {
            if (yd__block_data(block, &entries[i])) continue;
            found++;
            snprintf(what, sizeof what, "%s: %u points of series %u from %lld on", block->path, entries[i].chunk.count,
                     id, (long long)entries[i].chunk.first);
            say(arg, what);
        }
        if (id == UINT32_MAX - 1) break;
    }
    return found;
}

/* ---- writing ---- */

#define BUFFER (1 << 20)

struct yd__block_writer {
    struct yd_fs *fs;
    struct yd_alloc *alloc;
    char *path, *temporary;
    struct yd_file *file;
    struct yd_buf data, entries, starts, ids;
    uint64_t flushed; /* bytes of data in the file */
    uint64_t points, chunks;
    int64_t time_min, time_max;
    uint32_t last;
    int error;
};

int yd__block_writer_create(struct yd_fs *fs, struct yd_alloc *alloc, const char *folder, uint64_t number,
                            struct yd__block_writer **ret_writer)
{
    struct yd__block_writer *w = yd_alloc_zero(alloc, sizeof *w);
    if (!w) return YD_ENOMEM;
    w->fs = fs;
    w->alloc = alloc;
    w->path = path_of(alloc, folder, number, "");
    w->temporary = path_of(alloc, folder, number, ".tmp");
    w->time_min = INT64_MAX;
    w->time_max = INT64_MIN;
    yd_buf_init(&w->data, alloc);
    yd_buf_init(&w->entries, alloc);
    yd_buf_init(&w->starts, alloc);
    yd_buf_init(&w->ids, alloc);
    int error = w->path && w->temporary ? YD_OK : YD_ENOMEM;
    if (!error) error = yd_fs_open(fs, w->temporary, YD_OPEN_WRITE | YD_OPEN_CREATE | YD_OPEN_TRUNCATE, &w->file);
    if (error < 0) {
        yd__block_writer_abandon(w);
        return error;
    }
    *ret_writer = w;
    return YD_OK;
}

static void writer_free(struct yd__block_writer *w)
{
    struct yd_alloc *alloc = w->alloc;
    yd_file_close(w->file);
    yd_buf_fini(&w->data);
    yd_buf_fini(&w->entries);
    yd_buf_fini(&w->starts);
    yd_buf_fini(&w->ids);
    path_free(alloc, w->path);
    path_free(alloc, w->temporary);
    yd_alloc_put(alloc, w, sizeof *w);
}

void yd__block_writer_abandon(struct yd__block_writer *w)
{
    if (!w) return;
    if (w->file) (void)yd_fs_unlink(w->fs, w->temporary); /* else the next start removes it */
    writer_free(w);
}

static void pour(struct yd__block_writer *w)
{
    if (!w->error && w->data.failed) w->error = YD_ENOMEM;
    if (!w->error && w->data.size)
        w->error = yd_file_write(w->file, w->data.data, w->data.size, YD__BLOCK_PAGE + w->flushed);
    w->flushed += w->data.size;
    yd_buf_clear(&w->data);
}

uint64_t yd__block_written(const struct yd__block_writer *w)
{
    return w->flushed + w->data.size;
}

int yd__block_add(struct yd__block_writer *w, uint32_t id, const struct yd__chunk *chunk, const uint8_t *data)
{
    uint64_t at = yd__block_written(w);
    if (w->error) return w->error;
    if (at + chunk->size > UINT32_MAX || w->chunks == UINT32_MAX) return YD_ETOOBIG;
    if (w->ids.size == 0 || w->last != id) {
        YD_ASSERT(w->ids.size == 0 || id > w->last);
        uint32_t start = (uint32_t)w->chunks;
        yd_buf_add(&w->ids, &id, sizeof id);
        yd_buf_add(&w->starts, &start, sizeof start);
        w->last = id;
    }
    struct yd__entry entry;
    memset(&entry, 0, sizeof entry);
    memcpy(&entry.chunk, chunk, sizeof *chunk);
    entry.chunk.leaving = 0;
    entry.offset = (uint32_t)at;
    entry.crc = yd_crc32c(0, data, chunk->size);
    yd_buf_add(&w->entries, &entry, sizeof entry);
    yd_buf_add(&w->data, data, chunk->size);
    w->chunks++;
    w->points += chunk->count;
    w->time_min = YD_MIN(w->time_min, chunk->first);
    w->time_max = YD_MAX(w->time_max, chunk->last);
    if (w->entries.failed || w->data.failed || w->starts.failed || w->ids.failed) w->error = YD_ENOMEM;
    if (w->data.size >= BUFFER) pour(w);
    return w->error;
}

/* Bits, ranks and starts, in their places of the index. */
static void fill_index(const struct yd__block_writer *w, const struct yd__block_header *head, uint8_t *index)
{
    struct sections s = layout(head);
    const uint32_t *ids = (const uint32_t *)(const void *)w->ids.data;
    uint64_t *bits = (uint64_t *)(void *)index;
    uint32_t *ranks = (uint32_t *)(void *)(index + s.ranks_at), before = 0, end = (uint32_t)w->chunks;
    for (uint32_t i = 0; i < head->series; i++) {
        uint32_t at = ids[i] - head->id_base;
        bits[at / 64] |= UINT64_C(1) << at % 64;
    }
    for (uint64_t i = 0; i < s.words; i++) {
        if (i % WORDS_A_RANK == 0) ranks[i / WORDS_A_RANK] = before;
        before += (uint32_t)__builtin_popcountll(bits[i]);
    }
    memcpy(index + s.starts_at, w->starts.data, w->starts.size);
    memcpy(index + s.starts_at + w->starts.size, &end, sizeof end);
    memcpy(index + s.entries_at, w->entries.data, w->entries.size);
}

static int complete(struct yd__block_writer *w, struct yd__block_header *head)
{
    const uint32_t *ids = (const uint32_t *)(const void *)w->ids.data;
    head->magic = YD__BLOCK_MAGIC;
    head->version = YD__BLOCK_VERSION;
    head->time_min = w->time_min;
    head->time_max = w->time_max;
    head->points = w->points;
    head->chunks = w->chunks;
    head->series = (uint32_t)(w->ids.size / sizeof *ids);
    head->id_base = ids[0];
    head->id_span = w->last - ids[0] + 1;
    pour(w);
    if (w->error) return w->error;
    head->data_size = w->flushed;
    head->index_size = layout(head).size;
    uint64_t at = YD__BLOCK_PAGE + YD_ALIGN_UP(head->data_size, YD__BLOCK_PAGE),
             pages = head->index_size / YD__BLOCK_PAGE;
    size_t size = (size_t)(head->index_size + pages * 4);
    uint8_t *index = yd_alloc_zero(w->alloc, size);
    if (!index) return YD_ENOMEM;
    fill_index(w, head, index);
    uint32_t *sums = (uint32_t *)(void *)(index + head->index_size);
    for (uint64_t page = 0; page < pages; page++)
        sums[page] = yd_crc32c(0, index + page * YD__BLOCK_PAGE, YD__BLOCK_PAGE);
    head->sums_crc = yd_crc32c(0, sums, (size_t)pages * 4);
    head->crc = header_crc(head);
    int error = yd_file_write(w->file, index, size, at);
    yd_alloc_put(w->alloc, index, size);
    if (error >= 0) error = yd_file_write(w->file, head, sizeof *head, 0);
    if (error >= 0) error = yd_file_sync(w->file);
    return error;
}

int yd__block_finish(struct yd__block_writer *w, const struct yd__block_header *given)
{
    struct yd__block_header head = *given;
    int error = w->error ? w->error : w->chunks == 0 ? YD_EAGAIN : complete(w, &head);
    if (error >= 0) error = yd_fs_rename(w->fs, w->temporary, w->path);
    if (error < 0) {
        yd__block_writer_abandon(w);
        return error;
    }
    writer_free(w);
    return YD_OK;
}
