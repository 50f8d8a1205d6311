/* live/region.h: the writer's end of a shared region: made, mapped, sealed. region_format.h has its first 256 bytes. */
#ifndef LIVE_REGION_H
#define LIVE_REGION_H

#include <stdbool.h>
#include <yarder/error.h>

#include "live/region_format.h"

struct yd_live_region_options {
    const char *label;   /* of the memfd, for /proc; NULL: "yarder-live" */
    uint64_t size;       /* rounded up to whole pages */
    uint64_t generation; /* greater than that of the region it replaces */
    uint64_t id;
    int64_t now_ns;
    enum yd__live_kind kind;
    bool writable; /* for clients too: bells, control words, credit. Otherwise sealed against every new writer */
};

struct yd_live_region {
    struct yd__live_header *header; /* the whole region begins here */
    uint64_t size;
    int fd; /* ours; to be handed out by yd_live_region_reader_fd */
};

/* A region in state "being made", zeros but for its header, mapped by us and sealed: nobody can shrink or grow it, and
 * unless it is writable nobody, we neither, can ever map it for writing again.
 * YD_EINVAL: size. YD_ENOMEM; YD_ENOTSUP: the kernel has no sealing. */
int yd_live_region_create(const struct yd_live_region_options *options, struct yd_live_region *ret_region);
/* Unmaps and closes. Readers keep their mappings. The state is left as it is. A zeroed region is quiet. */
void yd_live_region_destroy(struct yd_live_region *region);
/* With release: whoever sees READY sees what was written before. */
void yd_live_region_set_state(struct yd_live_region *region, enum yd__live_state state);
/* A descriptor to send to a reader, the caller's. Of a sealed region it is open for reading only, where /proc lets us.
 */
int yd_live_region_reader_fd(const struct yd_live_region *region, int *ret_fd);
/* Gives up the region's own descriptor, which it needs for the call before only. */
void yd_live_region_forget_fd(struct yd_live_region *region);

#endif
