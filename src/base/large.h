/* base/large.h: an allocator for what is large and short-lived: the memory of one batch becomes that of the next.
 *
 * A page that is new must be cleared by the kernel and faulted in: for a batch of 16 MiB that is more work than writing
 * it. So what is large goes to a few spare regions of huge pages when it is freed, and comes back from there:
 *
 *   below 1 MiB: the C library        else: [ spare, spare, … at most 32 MiB ] <-> mapped in steps of 2 MiB
 *
 * Any thread. What stays spare is all that a burst leaves behind. */
#ifndef BASE_LARGE_H
#define BASE_LARGE_H

#include "base/alloc.h"

struct yd_alloc *yd_alloc_large(void);
/* The same for any size, aligned to a page; not zeroed. */
void *yd_large_get(size_t size);
void yd_large_put(void *memory, size_t size); /* NULL is quiet */
size_t yd_large_spare(void);                  /* bytes kept for whoever comes next */
void yd_large_trim(void);                     /* all of them go back to the kernel */
/* Misses in the page tables cost as much as those in the caches: asks for huge pages inside. Advice only. */
void yd_advise_huge(void *memory, size_t size);

#endif
