/* live/ring_read.h: a reader's end of a ring (ring_format.h). libc only. A reader belongs to one thread. */
#ifndef LIVE_RING_READ_H
#define LIVE_RING_READ_H

#include "live/region_read.h"
#include "live/ring_format.h"

struct yd_live_ring_reader {
    const struct yd__ring *ring;
    const uint8_t *data;
    uint64_t size, mask;
    uint64_t position, ordinal; /* of the next record */
    uint64_t head;              /* as last seen */
    struct yd__credit *credit;  /* lossless */
    uint64_t credited;
    uint64_t overruns; /* how often records were lost */
    uint64_t lost;     /* how many, altogether */
    int counted;       /* ordinal is known: otherwise from the first record on */
};

struct yd_live_event {
    uint64_t ordinal;
    uint64_t lost; /* records between the one before and this one */
    uint64_t bits; /* the first 8 bytes */
    int64_t time_ns;
    uint32_t index;
    uint32_t size;
    uint16_t flags;
    uint8_t type;
};

/* From what comes next; of a lossless ring, with its credit region, from where its reader's credit stands.
 * YD_EFORMAT. */
int yd_live_ring_reader_open(const struct yd_live_mapping *ring, const struct yd_live_mapping *credit,
                             struct yd_live_ring_reader *ret_reader);
/* 1 and the next record, its value in `to` (more than `room` is cut off, ret_event->size says how much there is). 0:
 * none yet. After an overrun it goes on in the newer half of the ring, and ret_event->lost says exactly what is
 * missing. YD_EBUSY: overrun again and again. YD_EFORMAT: damaged. */
int yd_live_ring_next(struct yd_live_ring_reader *reader, void *to, uint32_t room, struct yd_live_event *ret_event);
/* Is there something to read? */
int yd_live_ring_ready(struct yd_live_ring_reader *reader);
/* Lossless: what was read so far may be overwritten. Called by next every eighth of the ring; by the reader when he
 * comes to the end, or before he sleeps. Rings the writer if he asked. */
void yd_live_ring_credit(struct yd_live_ring_reader *reader);

#endif
