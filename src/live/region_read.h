/* live/region_read.h: a reader's end of a shared region. Trusts nothing: sizes and offsets are checked once against the
 * mapping. libc only. */
#ifndef LIVE_REGION_READ_H
#define LIVE_REGION_READ_H

#include <stdbool.h>
#include <yarder/error.h>

#include "live/region_format.h"

struct yd_live_mapping {
    const struct yd__live_header *header; /* the whole region begins here */
    uint64_t size;                        /* as mapped */
    bool writable;
};

/* Maps what a descriptor names and checks its header. The descriptor stays the caller's and may be closed.
 * Regions of kind BELL and CREDIT are mapped for writing, others for reading only.
 * YD_EPERM: not sealed against shrinking, so that a read could end in SIGBUS; or, of what is read only, not against
 * writing. YD_EFORMAT: not such a region; YD_EVERSION; YD_EAGAIN: not READY yet; YD_ENOMEM; YD_EINVAL: no such
 * descriptor. */
int yd_live_mapping_open(int fd, enum yd__live_kind kind, struct yd_live_mapping *ret_mapping);
void yd_live_mapping_close(struct yd_live_mapping *mapping); /* a zeroed one is quiet */
/* READY, REPLACED or CLOSED, as the writer stored it (acquire). */
enum yd__live_state yd_live_mapping_state(const struct yd_live_mapping *mapping);

/* Is [offset, offset + size) inside, behind the parameters, and aligned? */
static inline bool yd__live_inside(uint64_t region_size, uint64_t offset, uint64_t size, uint64_t alignment)
{
    return offset >= YD__LIVE_CONTENT && offset <= region_size && size <= region_size - offset &&
           offset % alignment == 0;
}
/* The check behind yd_live_mapping_open, of bytes anywhere. */
int yd__live_header_check(const struct yd__live_header *header, uint64_t size, enum yd__live_kind kind);

#endif
