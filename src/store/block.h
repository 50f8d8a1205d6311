/* store/block.h: a block: an immutable file of many series' points, mapped for reading. Of this floor only.
 *
 *   header, 4 KiB │ data: chunks (codec.h), series after series, each by time │ index pages, 4 KiB each │ sums of pages
 *
 *   index:  bits     one for each id of [id_base, id_base + id_span): does the series have points here?
 *           ranks    how many bits are set before each 512
 *           starts   of the n-th series here: its first entry; and the end
 *           entries  32 bytes a chunk: first and last time, how it is coded, where it lies, its checksum
 *
 * Nothing is read at opening but header and sums, so a start costs the same whatever the block holds. A page of the
 * index is checked when it is first touched, a chunk whenever it is decoded: what is damaged is left out and counted,
 * its neighbours are served. A block is written beside under a temporary name, synced, renamed; it never changes after
 * that. All numbers are little-endian. */
#ifndef STORE_BLOCK_H
#define STORE_BLOCK_H

#include "base/alloc.h"
#include "base/text.h"
#include "io/file.h"
#include "store/codec.h"

#define YD__BLOCK_MAGIC   UINT32_C(0x4b424459) /* "YDBK" */
#define YD__BLOCK_VERSION 1
#define YD__BLOCK_PAGE    4096
#define YD__BLOCK_NAME    32
#define YD__BLOCK_SIZE    (UINT64_C(3) << 30) /* of data, at most */

enum yd__block_kind { YD__BLOCK_RAW, YD__BLOCK_MINUTES, YD__BLOCK_HOURS, YD__BLOCK_KINDS };

struct yd__block_header {
    uint32_t magic, version;
    uint32_t crc; /* of the rest */
    uint16_t kind, level;
    uint64_t lo, hi;             /* the flushes it is made of: of two blocks with a point of one time the later wins */
    int64_t time_min, time_max;  /* of its points */
    int64_t part_from, part_end; /* the part of time it is confined to; equal: any */
    uint64_t points, chunks;
    uint64_t data_size, index_size; /* data begins at 4096, index where the data ends, rounded up to 4096 */
    uint32_t id_base, id_span, series, sums_crc;
};
_Static_assert(sizeof(struct yd__block_header) == 112, "the block header's layout");

struct yd__entry {
    uint32_t offset;        /* in the data */
    uint32_t crc;           /* of the chunk's data */
    struct yd__chunk chunk; /* without data: last, for what has room for more may stand nowhere else */
};
_Static_assert(sizeof(struct yd__entry) == 32, "the entry's layout");

struct yd__block {
    struct yd__block_header head;
    uint64_t number; /* names the file */
    struct yd_fs *fs;
    struct yd_alloc *alloc;
    char *path;
    const uint8_t *map;
    size_t size;
    const uint64_t *bits;
    const uint32_t *ranks, *starts;
    const struct yd__entry *entries;
    const uint32_t *sums;
    uint64_t *good; /* a bit per index page: its sum was right */
    uint64_t *bad;
    uint32_t pages;
    uint64_t damaged; /* pages and chunks found damaged */
    uint8_t warm;     /* enum yd__warm, atomic: what has been read since it was opened, or was just written */
    size_t warmed;    /* the keeper's: bytes read so far, index first */
    bool leaving;     /* replaced: its file goes when it is closed */
};

/* YD_ECORRUPT: header or sums; YD_EVERSION; others of the disk. */
int yd__block_open(struct yd_fs *fs, struct yd_alloc *alloc, const char *folder, uint64_t number,
                   struct yd__block **ret_block);
void yd__block_close(struct yd__block *block); /* NULL is quiet */

/* Reading what is not in memory waits for the disk: the keeper's thread does it, before the history's looks. */
enum yd__warm { YD__COLD, YD__WARM_INDEX, YD__WARM };
static inline enum yd__warm yd__block_warm(const struct yd__block *block)
{
    return (enum yd__warm)__atomic_load_n(&block->warm, __ATOMIC_RELAXED); /* a hint: pages may go again */
}
static inline void yd__block_set_warm(struct yd__block *block, enum yd__warm warm)
{
    __atomic_store_n(&block->warm, (uint8_t)warm, __ATOMIC_RELAXED);
}
/* The next bytes of the whole file; false: that was all. */
bool yd__block_read_on(struct yd__block *block, size_t bytes);
void yd__block_read_index(struct yd__block *block);
/* The chunks of a series with points in [from, to]. */
void yd__block_read_series(struct yd__block *block, uint32_t id, int64_t from, int64_t to);
void yd__block_file(uint64_t number, char name[YD__BLOCK_NAME]);

/* The series' entries, by time; 0: none here, or damaged (counted). */
uint32_t yd__block_series(struct yd__block *block, uint32_t id, const struct yd__entry **ret_entries);
/* The next id at `id` or later that has points here; UINT32_MAX: none. */
uint32_t yd__block_next(struct yd__block *block, uint32_t id);
/* The chunk's data, checked; NULL: damaged (counted). */
const uint8_t *yd__block_data(struct yd__block *block, const struct yd__entry *entry);
/* Checks everything; `say` is called for each damaged place. Returns how many. */
uint64_t yd__block_verify(struct yd__block *block, void (*say)(void *arg, const char *what), void *arg);

/* The first entry that ends at `time` or later. */
static inline uint32_t yd__entry_find(const struct yd__entry *entries, uint32_t count, int64_t time)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (entries[middle].chunk.last < time)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---- writing: ids rising, each one's chunks by time ---- */
struct yd__block_writer;
int yd__block_writer_create(struct yd_fs *fs, struct yd_alloc *alloc, const char *folder, uint64_t number,
                            struct yd__block_writer **ret_writer);
int yd__block_add(struct yd__block_writer *writer, uint32_t id, const struct yd__chunk *chunk, const uint8_t *data);
uint64_t yd__block_written(const struct yd__block_writer *writer); /* bytes of data so far */
/* Completes, syncs and names the file (the folder is the caller's to sync). The header's kind, level, lo, hi and part
 * are the caller's. YD_EAGAIN: there was nothing to write, no file is there. The writer is gone in every case. */
int yd__block_finish(struct yd__block_writer *writer, const struct yd__block_header *head);
void yd__block_writer_abandon(struct yd__block_writer *writer); /* NULL is quiet */

#endif
