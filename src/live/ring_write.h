/* live/ring_write.h: the writer's end of a ring (ring_format.h): everything in order. One thread at a time.
 *
 * Lossy: wait-free, readers are overrun and know exactly by how much. Lossless, between our own processes: one reader,
 * who gives credit; without it a write is refused, and the writer may ask to be rung. */
#ifndef LIVE_RING_WRITE_H
#define LIVE_RING_WRITE_H

#include <yarder/batch.h>

#include "base/alloc.h"
#include "live/bell.h"
#include "live/ring_format.h"

struct yd_live_ring_options {
    uint64_t generation, id;
    int64_t now_ns;
    uint64_t size; /* of the data: a power of two, at least 4096; 0: 1 MiB */
    bool lossless;
    bool sparse; /* pages come with the first records that lie in them, not before */
};

struct yd_live_ring {
    struct yd_live_region region, credit_region; /* the latter in lossless mode */
    struct yd__ring *shared;
    struct yd__credit *credit;
    uint8_t *data;
    uint64_t size, mask;
    uint64_t position; /* written so far, perhaps not committed */
    uint64_t committed;
    uint64_t claimed; /* as stored */
    uint64_t ordinal;
    uint64_t limit;   /* may be written up to here before the credit is looked at again; lossless */
    uint64_t segment; /* the 64th of the ring in which the newest mark is */
    unsigned segment_shift;
    bool streams; /* what was committed last was much: so will be the next, and goes past our cache */
};

int yd_live_ring_create(const struct yd_live_ring_options *options, struct yd_live_ring *ret_ring);
void yd_live_ring_destroy(struct yd_live_ring *ring); /* a zeroed one is quiet */
void yd_live_ring_set_state(struct yd_live_ring *ring, enum yd__live_state state);

/* Appends a record, which readers see with the next commit. YD_ETOOBIG: more than a quarter of the ring.
 * YD_EAGAIN, lossless: no room until the reader gives credit; what was put before is committed by this. */
int yd_live_ring_put(struct yd_live_ring *ring, uint32_t index, int64_t time_ns, enum yd_type type, uint16_t flags,
                     const void *bytes, uint32_t size);
/* Everything put so far may be read. Ring the bell afterwards. */
void yd_live_ring_commit(struct yd_live_ring *ring);
/* Lossless: asks the reader to ring when he gives credit; returns what to sleep on (bell_wait.h) after trying once
 * more. The reader rings at most once for it. */
uint32_t *yd_live_ring_arm(struct yd_live_ring *ring, uint32_t *ret_seen);

#endif
