/* log/extent.h: a run of whole frames where it lies in a file: for who sends files instead of reading them. */
#ifndef LOG_EXTENT_H
#define LOG_EXTENT_H

#include "io/file.h"
#include <yarder/log.h>

struct yd_log_extent {
    struct yd_file *file; /* the caller closes it */
    uint64_t offset, size;
    uint64_t first, next; /* seqnos: base of the first frame, behind the last one */
    uint64_t records;
};
/* The frames from the reader's place on, up to about bytes_max (one at least, however large), none that begins at or
 * above `until`, none above the read level; with `hide`, none with a record that a tombstone covers (call
 * yd_log_hidden_load before). The reader goes on behind them. Headers are checked against the stream;
 * bodies too when they had to come from the device, so all of it is in the page cache now. Stops before damage.
 * YD_EAGAIN: nothing here that could be sent so (the memory has it, the end, damage, a gap, something covered): ask
 * yd_log_reader_next, which tells. YD_ENOTSUP: this segment has no plain file. Blocks. */
int yd_log_reader_extent(struct yd_log_reader *reader, uint64_t bytes_max, uint64_t until, bool hide,
                         struct yd_log_extent *ret);

#endif
