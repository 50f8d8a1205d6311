/* io/sim_image.c: the two images of a simulated file.
 *
 *   content ──(write)──▶ dirty sectors ──(sync | write-back | half of a crash)──▶ kept
 *                              └──(failed sync)──▶ lost: clean by name, never written
 *
 * A page that is as on the disk is stored once (`kept`), so a disk of many synced files is cheap, and syncing a whole
 * page moves a pointer. Mapped files keep their content in one extent that never moves; stores through a mapping leave
 * no trace, so `gather` finds them by comparing before anything asks what is dirty. */
#include <stdlib.h>
#include <sys/mman.h>

#include "io/sim_disk.h"

#define PAGE        YD__SIM_PAGE
#define SECTOR      YD__SIM_SECTOR
#define ALL_SECTORS ((1 << YD__SIM_SECTORS) - 1)

static const char zeros[PAGE];

static uint32_t page_of(uint64_t offset)
{
    return (uint32_t)(offset / PAGE);
}
static uint32_t pages_for(uint64_t size)
{
    return (uint32_t)((size + PAGE - 1) / PAGE);
}

/* What processes see of a page. */
static const char *content(const struct yd__sim_inode *inode, uint32_t index)
{
    if (inode->extent) return inode->extent->base + (uint64_t)index * PAGE;
    if (index >= inode->page_count) return zeros;
    const struct yd__sim_page *page = &inode->pages[index];
    return page->now ? page->now : page->kept ? page->kept : zeros;
}

static const char *kept(const struct yd__sim_page *page)
{
    return page->kept ? page->kept : zeros;
}

static char *copy_page(const char *from)
{
    char *page = yd__sim_get(PAGE);
    memcpy(page, from, PAGE);
    return page;
}

static void need_pages(struct yd__sim_inode *inode, uint32_t count)
{
    inode->pages = yd__sim_grow(inode->pages, &inode->page_count, count, sizeof *inode->pages);
}

static void note_dirty(struct yd__sim_inode *inode, uint32_t from, uint32_t to)
{
    bool none = inode->dirty_from >= inode->dirty_to;
    inode->dirty_from = none ? from : YD_MIN(inode->dirty_from, from);
    inode->dirty_to = none ? to : YD_MAX(inode->dirty_to, to);
}

static uint8_t sectors_between(size_t from, size_t to) /* bytes of a page, from < to */
{
    return (uint8_t)((ALL_SECTORS << (from / SECTOR)) & (ALL_SECTORS >> (YD__SIM_SECTORS - 1 - (to - 1) / SECTOR)));
}

static uint8_t sectors_differing(const char *a, const char *b)
{
    uint8_t mask = 0;
    if (memcmp(a, b, PAGE) == 0) return 0;
    for (int i = 0; i < YD__SIM_SECTORS; i++)
        if (memcmp(a + i * SECTOR, b + i * SECTOR, SECTOR)) mask |= (uint8_t)(1 << i);
    return mask;
}

/* ---- reading and writing ---- */

void yd__sim_image_read(const struct yd__sim_inode *inode, char *to, size_t size, uint64_t offset)
{
    while (size) {
        size_t skip = offset % PAGE, chunk = YD_MIN(size, PAGE - skip);
        memcpy(to, content(inode, page_of(offset)) + skip, chunk);
        to += chunk, size -= chunk, offset += chunk;
    }
}

static void write_page(struct yd__sim_inode *inode, uint32_t index, const char *from, size_t skip, size_t size)
{
    struct yd__sim_page *page = &inode->pages[index];
    bool hole = !inode->extent && !page->now && !page->kept;
    if (hole && memcmp(from, zeros, size) == 0) return; /* zeros over zeros: pre-zeroed files cost nothing */
    if (inode->extent) {
        memcpy(inode->extent->base + (uint64_t)index * PAGE + skip, from, size);
    } else {
        if (!page->now) page->now = copy_page(kept(page));
        memcpy(page->now + skip, from, size);
    }
    uint8_t touched = sectors_between(skip, skip + size);
    page->dirty |= touched;
    page->lost &= (uint8_t)~touched;
    note_dirty(inode, index, index + 1);
}

void yd__sim_image_write(struct yd__sim_fs *disk, struct yd__sim_inode *inode, const char *from, size_t size,
                         uint64_t offset)
{
    (void)disk;
    if (size) need_pages(inode, pages_for(offset + size));
    while (size) {
        size_t skip = offset % PAGE, chunk = YD_MIN(size, PAGE - skip);
        write_page(inode, page_of(offset), from ? from : zeros, skip, chunk);
        if (from) from += chunk;
        size -= chunk, offset += chunk;
    }
}

uint64_t yd__sim_image_wants(const struct yd__sim_inode *inode, uint64_t offset, uint64_t size, uint64_t limit,
                             uint64_t *ret_end)
{
    uint64_t wanted = 0;
    *ret_end = offset + size;
    if (size == 0) return 0;
    for (uint32_t i = page_of(offset); i <= page_of(offset + size - 1); i++) {
        if (i < inode->page_count && inode->pages[i].taken) continue;
        if (wanted == limit) {
            *ret_end = YD_MAX((uint64_t)i * PAGE, offset);
            return wanted;
        }
        wanted++;
    }
    return wanted;
}

void yd__sim_image_take(struct yd__sim_fs *disk, struct yd__sim_inode *inode, uint64_t offset, uint64_t size)
{
    if (size == 0) return;
    need_pages(inode, pages_for(offset + size));
    for (uint32_t i = page_of(offset); i <= page_of(offset + size - 1); i++) {
        if (inode->pages[i].taken) continue;
        inode->pages[i].taken = true;
        inode->taken++;
        disk->used += PAGE;
    }
}

void yd__sim_image_resize(struct yd__sim_fs *disk, struct yd__sim_inode *inode, uint64_t size)
{
    if (size < inode->size) {
        /* What is cut reads as zeros when the file grows again; on the disk that is one more unsynced write. */
        uint64_t end = YD_MIN(inode->size, (uint64_t)inode->page_count * PAGE);
        if (size < end) yd__sim_image_write(disk, inode, NULL, end - size, size);
        for (uint32_t i = pages_for(size); i < inode->page_count; i++) {
            if (!inode->pages[i].taken) continue;
            inode->pages[i].taken = false;
            inode->taken--;
            disk->used -= PAGE;
        }
    }
    inode->size = size;
}

/* ---- mappings ---- */

void yd__sim_image_to_extent(struct yd__sim_inode *inode)
{
    if (inode->extent) return;
    struct yd__sim_extent *extent = yd__sim_get(sizeof *extent);
    /* Address space only: pages come into being when they are touched. */
    extent->base =
        mmap(NULL, YD__SIM_SIZE_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    YD_ASSERT(extent->base != MAP_FAILED);
    extent->refs = 1;
    for (uint32_t i = 0; i < inode->page_count; i++) {
        struct yd__sim_page *page = &inode->pages[i];
        if (page->now || page->kept) memcpy(extent->base + (uint64_t)i * PAGE, content(inode, i), PAGE);
        if (page->now && !page->lost) {
            free(page->now);
            page->now = NULL;
        }
    }
    inode->extent = extent;
}

void yd__sim_extent_drop(struct yd__sim_extent *extent)
{
    if (!extent || --extent->refs) return;
    YD_ASSERT(munmap(extent->base, YD__SIM_SIZE_MAX) == 0);
    free(extent);
}

/* Finds what was stored through mappings: content that is neither as on the disk nor as when last called clean. */
static void gather(struct yd__sim_inode *inode)
{
    if (!inode->extent || inode->map_from >= inode->map_to) return;
    need_pages(inode, inode->map_to);
    for (uint32_t i = inode->map_from; i < inode->map_to; i++) {
        struct yd__sim_page *page = &inode->pages[i];
        uint8_t stored = sectors_differing(content(inode, i), page->now ? page->now : kept(page));
        if (!(stored & ~page->dirty)) continue;
        page->dirty |= stored;
        page->lost &= (uint8_t)~stored;
        note_dirty(inode, i, i + 1);
    }
}

void yd__sim_image_from_extent(struct yd__sim_inode *inode)
{
    gather(inode);
    for (uint32_t i = 0; i < inode->page_count; i++) {
        struct yd__sim_page *page = &inode->pages[i];
        free(page->now);
        page->now = sectors_differing(content(inode, i), kept(page)) ? copy_page(content(inode, i)) : NULL;
        if (!page->now) page->dirty = page->lost = 0;
    }
    yd__sim_extent_drop(inode->extent);
    inode->extent = NULL;
    inode->map_from = inode->map_to = 0;
}

/* ---- towards the disk ---- */

/* Sectors of `mask` become durable as they are now. */
static void persist(struct yd__sim_inode *inode, uint32_t index, uint8_t mask)
{
    struct yd__sim_page *page = &inode->pages[index];
    if (!mask) return;
    if (!inode->extent && page->now && page->dirty == mask && !page->lost) {
        free(page->kept);
        page->kept = page->now;
        page->now = NULL;
        page->dirty = 0;
        return;
    }
    const char *from = content(inode, index);
    if (!page->kept) page->kept = yd__sim_get(PAGE);
    for (int i = 0; i < YD__SIM_SECTORS; i++) {
        if (!(mask >> i & 1)) continue;
        memcpy(page->kept + i * SECTOR, from + i * SECTOR, SECTOR);
        if (inode->extent && page->now) memcpy(page->now + i * SECTOR, from + i * SECTOR, SECTOR);
    }
    page->dirty &= (uint8_t)~mask;
}

static uint8_t coin_mask(struct yd__sim_fs *disk, uint8_t mask)
{
    return mask ? (uint8_t)(mask & yd_rng_next(&disk->rng)) : 0;
}

/* A failed sync: part of the page is written, the rest is called clean. */
static void abandon(struct yd__sim_fs *disk, struct yd__sim_inode *inode, uint32_t index)
{
    struct yd__sim_page *page = &inode->pages[index];
    persist(inode, index, coin_mask(disk, page->dirty));
    uint8_t rest = page->dirty & sectors_differing(content(inode, index), kept(page));
    page->dirty = 0;
    if (!rest) return;
    page->lost |= rest;
    inode->lost = true;
    disk->counts.sectors_abandoned += (unsigned)__builtin_popcount(rest);
    if (!inode->extent) return;
    char *clean = copy_page(content(inode, index));
    free(page->now);
    page->now = clean;
}

void yd__sim_image_sync(struct yd__sim_fs *disk, struct yd__sim_inode *inode, uint64_t offset, uint64_t size,
                        bool fails)
{
    gather(inode);
    uint32_t from = YD_MAX(page_of(offset), inode->dirty_from);
    uint64_t end = size > UINT64_MAX - offset ? UINT64_MAX / 2 : offset + size;
    uint32_t to = end / PAGE >= inode->dirty_to ? inode->dirty_to : pages_for(end);
    for (uint32_t i = from; i < to; i++) {
        if (!inode->pages[i].dirty) continue;
        if (fails)
            abandon(disk, inode, i);
        else
            persist(inode, i, inode->pages[i].dirty);
    }
    if (from <= inode->dirty_from && to >= inode->dirty_to) inode->dirty_from = inode->dirty_to = 0;
    if (!fails || yd_rng_chance(&disk->rng, 2)) inode->kept_size = inode->size;
}

bool yd__sim_image_write_back(struct yd__sim_fs *disk, struct yd__sim_inode *inode)
{
    bool some = inode->kept_size != inode->size;
    gather(inode);
    if (some && yd_rng_chance(&disk->rng, 2)) inode->kept_size = inode->size;
    for (uint32_t i = inode->dirty_from; i < inode->dirty_to; i++) {
        uint8_t dirty = inode->pages[i].dirty;
        if (!dirty) continue;
        some = true;
        persist(inode, i, yd_rng_chance(&disk->rng, 4) ? dirty : coin_mask(disk, dirty));
    }
    return some;
}

bool yd__sim_image_evict(struct yd__sim_fs *disk, struct yd__sim_inode *inode)
{
    bool some = false;
    if (!inode->lost || inode->extent) return false; /* mapped pages stay in memory */
    for (uint32_t i = 0; i < inode->page_count; i++) {
        struct yd__sim_page *page = &inode->pages[i];
        if (!page->lost || yd_rng_chance(&disk->rng, 2)) continue;
        for (int s = 0; s < YD__SIM_SECTORS; s++)
            if (page->lost >> s & 1) memcpy(page->now + s * SECTOR, kept(page) + s * SECTOR, SECTOR);
        page->lost = 0;
        some = true;
    }
    return some;
}

/* ---- the crash ---- */

/* How the unsynced sectors of one file fare: extremes are as likely as mixes, because programs break at both. */
struct fate {
    enum { NONE, ALL, PREFIX, COIN, FEW, MOST, FATES } mode;
    uint64_t prefix; /* in bytes of the file */
};

static bool survives(struct yd__sim_fs *disk, const struct fate *fate, uint64_t offset)
{
    switch (fate->mode) {
    case NONE:
        return false;
    case ALL:
        return true;
    case PREFIX:
        return offset < fate->prefix;
    case FEW:
        return yd_rng_below(&disk->rng, 8) == 0;
    case MOST:
        return yd_rng_below(&disk->rng, 8) != 0;
    default:
        return yd_rng_below(&disk->rng, 2) == 0;
    }
}

/* Each 8-byte word is the old or the new one: a run of new ones at either end, or any mix. */
static void tear(struct yd__sim_fs *disk, char *old, const char *now)
{
    uint64_t words = SECTOR / 8, cut = 1 + yd_rng_below(&disk->rng, words - 1), how = yd_rng_below(&disk->rng, 3);
    for (uint64_t i = 0; i < words; i++) {
        bool take = how == 0 ? i < cut : how == 1 ? i >= cut : yd_rng_below(&disk->rng, 2) == 0;
        if (take) memcpy(old + i * 8, now + i * 8, 8);
    }
}

static void crash_page(struct yd__sim_fs *disk, struct yd__sim_inode *inode, uint32_t index, const struct fate *fate)
{
    struct yd__sim_page *page = &inode->pages[index];
    const char *now = content(inode, index);
    uint8_t differing = page->dirty & sectors_differing(now, kept(page)), whole = 0;
    for (int i = 0; i < YD__SIM_SECTORS; i++) {
        if (!(differing >> i & 1)) continue;
        if (yd__sim_chance(disk, disk->faults.tear)) {
            disk->counts.sectors_torn++;
            if (!page->kept) page->kept = yd__sim_get(PAGE);
            tear(disk, page->kept + i * SECTOR, now + i * SECTOR);
        } else if (survives(disk, fate, (uint64_t)index * PAGE + (uint64_t)i * SECTOR)) {
            whole |= (uint8_t)(1 << i);
            disk->counts.sectors_kept++;
        } else {
            disk->counts.sectors_lost++;
        }
    }
    if (!whole) return;
    if (!page->kept) page->kept = yd__sim_get(PAGE);
    for (int i = 0; i < YD__SIM_SECTORS; i++)
        if (whole >> i & 1) memcpy(page->kept + i * SECTOR, now + i * SECTOR, SECTOR);
}

/* The durable size, and zeros behind it: stale bytes must not come back when the file grows. */
static void crash_size(struct yd__sim_fs *disk, struct yd__sim_inode *inode)
{
    uint64_t old = inode->kept_size, now = inode->size, how = yd_rng_below(&disk->rng, 5);
    if (old != now && how >= 2) inode->kept_size = now;
    if (old < now && how == 4) inode->kept_size = old + yd_rng_below(&disk->rng, now - old + 1);
    uint64_t size = inode->kept_size;
    for (uint32_t i = page_of(size); i < inode->page_count; i++) {
        struct yd__sim_page *page = &inode->pages[i];
        size_t skip = i == page_of(size) ? size % PAGE : 0;
        if (skip && page->kept) memset(page->kept + skip, 0, PAGE - skip);
        if (skip == 0) {
            free(page->kept);
            page->kept = NULL;
        }
    }
}

void yd__sim_image_crash(struct yd__sim_fs *disk, struct yd__sim_inode *inode)
{
    gather(inode);
    if (inode->dirty_from < inode->dirty_to) {
        struct fate fate = {.mode = (int)yd_rng_below(&disk->rng, FATES)};
        uint64_t from = (uint64_t)inode->dirty_from * PAGE, to = (uint64_t)inode->dirty_to * PAGE;
        fate.prefix = from + yd_rng_below(&disk->rng, to - from + 1);
        for (uint32_t i = inode->dirty_from; i < inode->dirty_to; i++)
            if (inode->pages[i].dirty) crash_page(disk, inode, i, &fate);
    }
    crash_size(disk, inode);
    inode->size = inode->kept_size;
    for (uint32_t i = 0; i < inode->page_count; i++) {
        struct yd__sim_page *page = &inode->pages[i];
        free(page->now);
        *page = (struct yd__sim_page){.kept = page->kept};
    }
    inode->taken = 0;
    yd__sim_extent_drop(inode->extent); /* mappings that were alive keep theirs, cut off from the file */
    inode->extent = NULL;
    inode->lost = false;
    inode->dirty_from = inode->dirty_to = inode->map_from = inode->map_to = 0;
}

/* Space given by allocate is not remembered apart: what lies inside the size counts. */
void yd__sim_image_take_all(struct yd__sim_fs *disk, struct yd__sim_inode *inode)
{
    for (uint32_t i = 0; i < inode->page_count; i++) inode->pages[i].taken = false;
    inode->taken = 0;
    yd__sim_image_take(disk, inode, 0, inode->size);
}

void yd__sim_image_rot(struct yd__sim_fs *disk, struct yd__sim_inode *inode, uint64_t offset, uint64_t size)
{
    uint64_t at = offset + yd_rng_below(&disk->rng, size);
    char flip = (char)(1 << yd_rng_below(&disk->rng, 8));
    uint32_t index = page_of(at), skip = at % PAGE;
    gather(inode);
    need_pages(inode, index + 1);
    struct yd__sim_page *page = &inode->pages[index];
    uint8_t sector = (uint8_t)(1 << (skip / SECTOR));
    if (!page->kept) page->kept = yd__sim_get(PAGE);
    page->kept[skip] ^= flip;
    if ((page->dirty | page->lost) & sector) return; /* the cache has something newer */
    if (page->now) page->now[skip] ^= flip;
    if (inode->extent) inode->extent->base[at] ^= flip;
}

uint64_t yd__sim_image_unsynced(struct yd__sim_inode *inode)
{
    uint64_t count = inode->size != inode->kept_size;
    gather(inode);
    for (uint32_t i = 0; i < inode->page_count; i++)
        count += (unsigned)__builtin_popcount(inode->pages[i].dirty | inode->pages[i].lost);
    return count;
}

/* ---- life ---- */

void yd__sim_image_clone(struct yd__sim_inode *from, struct yd__sim_inode *to)
{
    gather(from);
    if (from->page_count) need_pages(to, from->page_count);
    for (uint32_t i = 0; i < from->page_count; i++) {
        const struct yd__sim_page *page = &from->pages[i];
        to->pages[i] = *page;
        to->pages[i].now = to->pages[i].kept = NULL;
        if (page->kept) to->pages[i].kept = copy_page(page->kept);
        if (page->now || (from->extent && memcmp(content(from, i), kept(page), PAGE)))
            to->pages[i].now = copy_page(content(from, i));
    }
    to->size = from->size, to->kept_size = from->kept_size;
    to->dirty_from = from->dirty_from, to->dirty_to = from->dirty_to;
    to->taken = from->taken, to->lost = from->lost;
}

void yd__sim_image_fini(struct yd__sim_fs *disk, struct yd__sim_inode *inode)
{
    (void)disk;
    for (uint32_t i = 0; i < inode->page_count; i++) free(inode->pages[i].now), free(inode->pages[i].kept);
    free(inode->pages);
    yd__sim_extent_drop(inode->extent);
}
