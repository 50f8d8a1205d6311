/* The allocators: the C library's, and the one that fails on purpose. */
#include <stdlib.h>

#include "base/alloc.h"

static void *libc_resize(struct yd_alloc *self, void *ptr, size_t old_size, size_t new_size)
{
    (void)self, (void)old_size;
    if (new_size == 0) {
        free(ptr);
        return NULL;
    }
    return realloc(ptr, new_size);
}

struct yd_alloc *yd_alloc_default(void)
{
    static struct yd_alloc libc = {libc_resize}; /* never written */
    return &libc;
}

void *yd_alloc_resize(struct yd_alloc *alloc, void *ptr, size_t old_size, size_t new_size)
{
    if (!alloc) alloc = yd_alloc_default();
    return alloc->resize(alloc, ptr, old_size, new_size);
}

void *yd_alloc_get(struct yd_alloc *alloc, size_t size)
{
    return yd_alloc_resize(alloc, NULL, 0, size ? size : 1);
}

void *yd_alloc_zero(struct yd_alloc *alloc, size_t size)
{
    if (!alloc || alloc == yd_alloc_default()) return calloc(1, size ? size : 1); /* fresh pages need no clearing */
    void *ptr = yd_alloc_get(alloc, size);
    if (ptr) memset(ptr, 0, size);
    return ptr;
}

void yd_alloc_put(struct yd_alloc *alloc, void *ptr, size_t size)
{
    if (ptr) (void)yd_alloc_resize(alloc, ptr, size ? size : 1, 0);
}

static void *failing_resize(struct yd_alloc *self, void *ptr, size_t old_size, size_t new_size)
{
    struct yd_alloc_failing *failing = YD_CONTAINER(self, struct yd_alloc_failing, alloc);
    if (new_size == 0) {
        failing->bytes_out -= (int64_t)old_size;
        free(ptr);
        return NULL;
    }
    failing->calls++;
    if (failing->fail_at && failing->calls >= failing->fail_at) return NULL;
    void *result = realloc(ptr, new_size);
    if (result) failing->bytes_out += (int64_t)new_size - (int64_t)old_size;
    return result;
}

void yd_alloc_failing_init(struct yd_alloc_failing *failing, uint64_t fail_at)
{
    *failing = (struct yd_alloc_failing){.alloc = {failing_resize}, .fail_at = fail_at};
}
