/* log/layout.h: DATA/streams/NAME/stream.json: what a stream is as a whole, for all who open its partitions. */
#ifndef LOG_LAYOUT_H
#define LOG_LAYOUT_H

#include "io/file.h"
#include <yarder/log.h>

enum yd_layout_by { YD_LAYOUT_BY_NAME = 1, YD_LAYOUT_BY_PRODUCER };
struct yd_layout {
    uint32_t partitions; /* 1 to YD_LAYOUT_PARTITIONS_MAX */
    enum yd_layout_by by;
    int64_t keep_ns;     /* 0: for ever */
    uint64_t size_bytes; /* of all partitions on disk; 0: no limit */
};
#define YD_LAYOUT_PARTITIONS_MAX 1024
const char *yd_layout_by_name(enum yd_layout_by by);

/* NAME without a partition. YD_ENOENT: there is none: one partition, the defaults. YD_ECORRUPT. Blocks, as save does.
 */
int yd_layout_load(struct yd_fs *fs, const char *data, const char *name, struct yd_layout *ret);
int yd_layout_save(struct yd_fs *fs, const char *data, const char *name, const struct yd_layout *layout);

/* Which partition a record of this name, or a producer, belongs to. */
uint32_t yd_layout_of_name(const struct yd_layout *layout, uint64_t name_hash);
uint32_t yd_layout_of_producer(const struct yd_layout *layout, uint64_t producer_id);

#endif
