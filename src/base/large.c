/* Large and short-lived memory: see large.h. Regions are mapped, in steps of a huge page and aligned to one; how long a
 * region is follows from the size that its owner knows. Under a sanitizer all is the C library's, which watches it. */
#include "base/large.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#define HUGE_PAGE ((size_t)2 << 20)
#define LEAST     ((size_t)1 << 20)
#define SPARE_MAX ((size_t)32 << 20)
#define SPARES    16
#define PAGE      4096

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(YD_DRD)
#define WATCHED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define WATCHED 1
#endif
#endif
#ifndef WATCHED
#define WATCHED 0
#endif

struct region {
    void *memory;
    size_t size;
};
static struct {
    pthread_mutex_t mutex;
    struct region regions[SPARES];
    unsigned count;
    size_t bytes;
} spare = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static inline bool is_large(size_t size)
{
    return !WATCHED && size >= LEAST && size <= SIZE_MAX - HUGE_PAGE;
}
static inline size_t region_size(size_t size)
{
    return YD_ALIGN_UP(size, HUGE_PAGE);
}

void yd_advise_huge(void *memory, size_t size)
{
    uintptr_t from = YD_ALIGN_UP((uintptr_t)memory, HUGE_PAGE),
              to = ((uintptr_t)memory + size) & ~(uintptr_t)(HUGE_PAGE - 1);
    if (from < to) (void)madvise((void *)from, to - from, MADV_HUGEPAGE);
}

/* The kernel maps where it likes: a step more than wanted, and what is beside the aligned part goes back. */
static void *map(size_t size)
{
    if (size > SIZE_MAX - HUGE_PAGE) return NULL;
    char *from = mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (from == MAP_FAILED) return NULL;
    char *at = (char *)YD_ALIGN_UP((uintptr_t)from, HUGE_PAGE), *end = from + size + HUGE_PAGE;
    if (at > from) (void)munmap(from, (size_t)(at - from));
    if (end > at + size) (void)munmap(at + size, (size_t)(end - at) - size);
    yd_advise_huge(at, size);
    return at;
}

/* The spare region that fits best, cut to size; one that is too short is of no use. */
static void *take(size_t size)
{
    struct region found = {NULL, SIZE_MAX};
    pthread_mutex_lock(&spare.mutex);
    unsigned best = SPARES;
    for (unsigned i = 0; i < spare.count; i++)
        if (spare.regions[i].size >= size && spare.regions[i].size < found.size) found = spare.regions[best = i];
    if (best < SPARES) {
        spare.regions[best] = spare.regions[--spare.count];
        spare.bytes -= found.size;
    }
    pthread_mutex_unlock(&spare.mutex);
    if (!found.memory) return map(size);
    if (found.size > size) (void)munmap((char *)found.memory + size, found.size - size);
    return found.memory;
}

/* The oldest make room. */
static void give(void *memory, size_t size)
{
    struct region out[SPARES + 1];
    unsigned count = 0;
    pthread_mutex_lock(&spare.mutex);
    while (spare.count && (spare.count == SPARES || spare.bytes + size > SPARE_MAX)) {
        out[count++] = spare.regions[0];
        spare.bytes -= spare.regions[0].size;
        memmove(spare.regions, spare.regions + 1, --spare.count * sizeof spare.regions[0]);
    }
    if (size > SPARE_MAX) {
        out[count++] = (struct region){memory, size};
    } else {
        spare.regions[spare.count++] = (struct region){memory, size};
        spare.bytes += size;
    }
    pthread_mutex_unlock(&spare.mutex);
    while (count--) (void)munmap(out[count].memory, out[count].size);
}

static void *large_resize(struct yd_alloc *self, void *ptr, size_t old_size, size_t new_size)
{
    (void)self;
    bool was = ptr && is_large(old_size), is = is_large(new_size);
    if (!was && !is) return yd_alloc_resize(yd_alloc_default(), ptr, old_size, new_size);
    if (was && is && region_size(old_size) == region_size(new_size)) return ptr;
    if (was && is) {
        void *moved = mremap(ptr, region_size(old_size), region_size(new_size), MREMAP_MAYMOVE);
        return moved == MAP_FAILED ? NULL : moved;
    }
    void *fresh = NULL;
    if (new_size) {
        fresh = is ? take(region_size(new_size)) : yd_alloc_get(yd_alloc_default(), new_size);
        if (!fresh) return NULL;
        if (ptr) memcpy(fresh, ptr, YD_MIN(old_size, new_size));
    }
    if (was)
        give(ptr, region_size(old_size));
    else
        yd_alloc_put(yd_alloc_default(), ptr, old_size);
    return fresh;
}

struct yd_alloc *yd_alloc_large(void)
{
    static struct yd_alloc large = {large_resize}; /* never written */
    return &large;
}

void *yd_large_get(size_t size)
{
    if (is_large(size)) return take(region_size(size));
    return size <= SIZE_MAX - PAGE ? aligned_alloc(PAGE, YD_ALIGN_UP(YD_MAX(size, 1), PAGE)) : NULL;
}

void yd_large_put(void *memory, size_t size)
{
    if (memory && is_large(size))
        give(memory, region_size(size));
    else
        free(memory);
}

size_t yd_large_spare(void)
{
    pthread_mutex_lock(&spare.mutex);
    size_t bytes = spare.bytes;
    pthread_mutex_unlock(&spare.mutex);
    return bytes;
}

void yd_large_trim(void)
{
    for (;;) {
        struct region out = {NULL, 0};
        pthread_mutex_lock(&spare.mutex);
        if (spare.count) {
            out = spare.regions[--spare.count];
            spare.bytes -= out.size;
        }
        pthread_mutex_unlock(&spare.mutex);
        if (!out.memory) return;
        (void)munmap(out.memory, out.size);
    }
}
