/* live/triple_write.h: the writer's end of a triple buffer (triple_format.h): one writer, one reader, latest value. One
 * thread at a time; wait-free. */
#ifndef LIVE_TRIPLE_WRITE_H
#define LIVE_TRIPLE_WRITE_H

#include <yarder/batch.h>

#include "live/region.h"
#include "live/triple_format.h"

struct yd_live_triple {
    struct yd_live_region region, control; /* buffers; control word, for both sides */
    uint32_t *word;
    uint8_t *buffers;
    uint64_t buffer_size;
    uint32_t value_size;
    uint32_t mine; /* index of the buffer that is ours */
    uint64_t seq;
    uint64_t overwritten; /* values that the reader never took */
    uint64_t damaged;     /* impossible control words */
    uint64_t wakes;
};

int yd_live_triple_create(uint32_t value_size, uint64_t generation, uint64_t id, int64_t now_ns,
                          struct yd_live_triple *ret_triple);
void yd_live_triple_destroy(struct yd_live_triple *triple);                              /* a zeroed one is quiet */
void yd_live_triple_set_state(struct yd_live_triple *triple, enum yd__live_state state); /* wakes the reader */

/* Where the next value's bytes go: value_size of them, ours until yd_live_triple_publish. */
void *yd_live_triple_buffer(struct yd_live_triple *triple);
/* What is in the buffer is the newest value. YD_ETOOBIG. */
int yd_live_triple_publish(struct yd_live_triple *triple, int64_t time_ns, enum yd_type type, uint16_t flags,
                           uint32_t size);
/* Both. */
int yd_live_triple_put(struct yd_live_triple *triple, int64_t time_ns, enum yd_type type, uint16_t flags,
                       const void *bytes, uint32_t size);

#endif
