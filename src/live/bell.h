/* live/bell.h: the writer's end of a bell: one exchange, and a system call only when somebody waits. bell_wait.h has
 * the other end, bell_format.h the page. */
#ifndef LIVE_BELL_H
#define LIVE_BELL_H

#include "live/bell_format.h"
#include "live/region.h"

struct yd_live_bell {
    struct yd_live_region region;
    struct yd__bell_page *page;
    uint64_t wakes;                     /* system calls made */
    uint32_t sequences[YD__BELL_WORDS]; /* ours: what a client scribbles is not read back */
};

/* For one group of clients; id: of the region it belongs to. */
int yd_live_bell_create(uint64_t id, uint64_t generation, int64_t now_ns, struct yd_live_bell *ret_bell);
void yd_live_bell_destroy(struct yd_live_bell *bell);
/* After the store of what it announces. One thread at a time; wait-free: an exchange, and if somebody waits a wake. */
void yd_live_bell_ring(struct yd_live_bell *bell, uint32_t word);
/* All words: for a change that concerns everybody, as a new state of the region. */
void yd_live_bell_ring_all(struct yd_live_bell *bell);

#endif
