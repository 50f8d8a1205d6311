/* live/triple_read.h: the reader's end of a triple buffer (triple_format.h). libc only. One thread. */
#ifndef LIVE_TRIPLE_READ_H
#define LIVE_TRIPLE_READ_H

#include "live/bell_wait.h"
#include "live/table_read.h"
#include "live/triple_format.h"

struct yd_live_triple_reader {
    const struct yd__triple *triple;
    const uint8_t *buffers;
    uint32_t *word;
    uint64_t buffer_size;
    uint32_t value_size;
    uint32_t mine; /* index of the buffer that is ours */
    uint64_t seq;  /* of the value in it */
};

/* `control` is of kind BELL. The one reader of its life: whoever comes after a reader that died gets new regions.
 * YD_EFORMAT. */
int yd_live_triple_reader_open(const struct yd_live_mapping *buffers, const struct yd_live_mapping *control,
                               struct yd_live_triple_reader *ret_reader);
/* 1: a newer value; *ret_bytes lies in the buffer and is the reader's until the next take. 0: none newer; outputs
 * untouched. YD_EFORMAT: damaged. */
int yd_live_triple_take(struct yd_live_triple_reader *reader, const void **ret_bytes, struct yd_live_value *ret_value);
/* Before sleeping: 0 and what to sleep on; or YD_EAGAIN: there is a value to take, do not sleep. */
int yd_live_triple_arm(struct yd_live_triple_reader *reader, struct yd_live_sleep *ret_sleep);

#endif
