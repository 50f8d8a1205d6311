/* log/scan.c: reading frames out of a file that nobody vouches for.
 *
 *   file:    … | frame | frame | damage | frame | …        all at multiples of 64
 *   window:        [ chunk ]                                read ahead, shared by reference with batches made of it
 *
 * yd__frame_at says what is at an offset; yd__frame_resync finds the next good frame behind damage: by its magic, its
 * own checksum, its body's, this stream's log_id and a seqno in the expected range, so that neither stale blocks nor
 * frames that somebody stored inside a record are mistaken for the stream's. */
#include <stdlib.h>
#include <string.h>

#include "base/drd.h"
#include "base/large.h"
#include "log/internal.h"

#define BLOCK    4096
#define MAP_STEP ((size_t)4 << 20)

void yd__chunk_unref(struct yd__chunk *chunk)
{
    /* acq_rel: pairs with the other holders' decrements, so that their reads are over before the memory goes. */
    if (!chunk) return;
    YD_DRD_BEFORE(&chunk->refs);
    if (atomic_fetch_sub_explicit(&chunk->refs, 1, memory_order_acq_rel) != 1) return;
    YD_DRD_AFTER(&chunk->refs);
    if (chunk->mapped)
        yd_fs_unmap(chunk->mapped, chunk->data, chunk->size);
    else
        yd_large_put(chunk->data, chunk->room);
    free(chunk);
}

void yd__window_init(struct yd__window *window, struct yd_file *file, size_t step)
{
    *window = (struct yd__window){.file = file, .step = step};
}

void yd__window_forget(struct yd__window *window)
{
    yd__chunk_unref(window->chunk);
    window->chunk = NULL;
}

void yd__window_fini(struct yd__window *window)
{
    yd__window_forget(window);
    window->file = NULL;
}

/* The device refused somewhere in here: take what it gives block by block, zeros for the rest. */
static int read_around(struct yd__window *window, char *to, size_t size, uint64_t offset, size_t *ret_size)
{
    size_t got = 0;
    bool any = false;
    for (size_t at = 0; at < size; at += BLOCK) {
        size_t want = YD_MIN((size_t)BLOCK, size - at), have = 0;
        int error = YD_EIO;
        for (int tries = 0; tries < 3 && error == YD_EIO; tries++)
            error = yd_file_read(window->file, to + at, want, offset + at, &have);
        if (error == 0) {
            any = true;
        } else {
            memset(to + at, 0, want);
            have = want;
            window->unreadable = true;
        }
        got += have;
        if (have < want) break;
    }
    if (!any) return YD_EIO;
    *ret_size = got;
    return 0;
}

/* The file itself, where it is in memory anyway: nothing is copied, and whoever holds a batch holds its pages, though
 * the file may be gone by then. */
static bool map_chunk(struct yd__window *window, uint64_t offset, size_t size)
{
    struct yd_stat now;
    uint64_t from = offset & ~(uint64_t)(BLOCK - 1);
    if (yd_file_stat(window->file, &now) || now.size <= offset) return false;
    size = (size_t)YD_MIN(now.size - from, YD_MAX(offset - from + size, (uint64_t)MAP_STEP));
    void *address;
    int error = yd_file_map_loaded(window->file, from, size, &address);
    if (error == YD_ENOTSUP) window->map = false;
    if (error) return false;
    struct yd__chunk *chunk = malloc(sizeof *chunk);
    if (!chunk) {
        yd_fs_unmap(window->file->fs, address, size);
        return false;
    }
    yd__window_forget(window);
    *chunk = (struct yd__chunk){.offset = from, .size = size, .data = address, .mapped = window->file->fs};
    atomic_init(&chunk->refs, 1);
    YD_DRD_IGNORE(&chunk->refs);
    window->chunk = chunk;
    return true;
}

static int fill(struct yd__window *window, uint64_t offset, size_t size)
{
    if (window->map && map_chunk(window, offset, size)) return 0;
    size = YD_ALIGN_UP(YD_MAX(size, window->step), BLOCK);
    struct yd__chunk *chunk = window->chunk;
    /* Batches may still lie in the old chunk; if none does, its memory is used again. The acquire pairs with their
     * release of it. */
    if (!chunk || chunk->mapped || atomic_load_explicit(&chunk->refs, memory_order_acquire) != 1 ||
        chunk->room < size) {
        yd__window_forget(window);
        chunk = malloc(sizeof *chunk);
        if (!chunk) return YD_ENOMEM;
        chunk->data = yd_large_get(size);
        chunk->room = size;
        if (!chunk->data) {
            free(chunk);
            return YD_ENOMEM;
        }
        atomic_init(&chunk->refs, 1);
        YD_DRD_IGNORE(&chunk->refs);
        chunk->size = 0;
        chunk->mapped = NULL;
        window->chunk = chunk;
    }
    YD_DRD_AFTER(&chunk->refs);
    size_t got = 0;
    int error = yd_file_read(window->file, chunk->data, size, offset, &got);
    if (error == YD_EIO) error = read_around(window, chunk->data, size, offset, &got);
    if (error) {
        yd__window_forget(window);
        return error;
    }
    chunk->offset = offset;
    chunk->size = got;
    return 0;
}

int yd__window_get(struct yd__window *window, uint64_t offset, size_t size, const char **ret_bytes, size_t *ret_size)
{
    const struct yd__chunk *chunk = window->chunk;
    if (!chunk || offset < chunk->offset || offset + size > chunk->offset + chunk->size) {
        int error = fill(window, offset, size);
        if (error) return error;
        chunk = window->chunk;
    }
    *ret_bytes = chunk->data + (offset - chunk->offset);
    *ret_size = YD_MIN(size, chunk->size - (size_t)(offset - chunk->offset));
    return 0;
}

bool yd__all_zero(const void *bytes, size_t size)
{
    const char *at = bytes;
    return size == 0 || (at[0] == 0 && memcmp(at, at + 1, size - 1) == 0);
}

int yd__frame_at(struct yd__window *window, uint64_t offset, uint64_t log_id, bool check_body,
                 struct yd_header *ret_header)
{
    const char *bytes;
    size_t have;
    int error = yd__window_get(window, offset, sizeof(struct yd_header), &bytes, &have);
    if (error) return error;
    if (have < sizeof(uint32_t)) return YD__FOUND_ZERO;
    uint32_t magic;
    memcpy(&magic, bytes, sizeof magic);
    if (magic != YD_BATCH_MAGIC || have < sizeof(struct yd_header)) {
        return yd__all_zero(bytes, have) ? YD__FOUND_ZERO : YD__FOUND_BAD;
    }
    struct yd_header header;
    memcpy(&header, bytes, sizeof header);
    int checked = yd_header_check(&header, SIZE_MAX);
    if (checked != 0 || header.log_id != log_id || header.count == 0 ||
        header.size != YD_ALIGN_UP(sizeof header + (uint64_t)header.body_size, YD_BATCH_ALIGN))
        return YD__FOUND_BAD;
    *ret_header = header;
    if (!check_body) return YD__FOUND_FRAME;
    error = yd__window_get(window, offset, header.size, &bytes, &have);
    if (error) return error;
    if (have < sizeof header + header.body_size) return YD__FOUND_BAD_BODY;
    uint32_t crc = yd_crc32c(0, bytes + sizeof header, header.body_size);
    return crc == header.body_crc ? YD__FOUND_FRAME : YD__FOUND_BAD_BODY;
}

int yd__frame_resync(struct yd__window *window, uint64_t offset, uint64_t end, uint64_t log_id, uint64_t seqno_min,
                     uint64_t seqno_max, uint64_t *ret_offset, struct yd_header *ret_header)
{
    for (offset = YD_ALIGN_UP(offset, YD_BATCH_ALIGN); offset < end; offset += YD_BATCH_ALIGN) {
        const char *bytes;
        size_t have;
        int error = yd__window_get(window, offset, sizeof(uint32_t), &bytes, &have);
        if (error) return error;
        if (have < sizeof(uint32_t)) return YD_ENOENT;
        uint32_t magic;
        memcpy(&magic, bytes, sizeof magic);
        if (magic != YD_BATCH_MAGIC) continue;
        struct yd_header header;
        int found = yd__frame_at(window, offset, log_id, true, &header);
        if (found < 0) return found;
        if (found != YD__FOUND_FRAME || header.base_seqno < seqno_min || header.base_seqno >= seqno_max) continue;
        *ret_offset = offset;
        *ret_header = header;
        return 0;
    }
    return YD_ENOENT;
}
