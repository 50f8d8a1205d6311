/* log/tombs.h: tombstones as they are kept in memory, for tombstone.c (tools) and forgotten.c (an open log). */
#ifndef LOG_TOMBS_H
#define LOG_TOMBS_H

#include <stdatomic.h>

#include <yarder/name.h>

#include "log/internal.h"
#include "log/mend.h"

struct yd__tomb {
    struct yd__tomb *next;
    struct yd_pattern *pattern;
    uint32_t kinds;
    _Atomic uint64_t seqno; /* its own; UINT64_MAX: it was cut off again */
    uint64_t until_seqno;   /* covers records below */
    int64_t until_time;     /* and with times before; INT64_MAX: of any time */
    uint64_t most;          /* of an open log's list: the largest until_seqno from here on */
};

bool yd__tombs_in(const struct yd_batch *batch); /* may it have one? cheap */
/* A batch's tombstones, a list; seqnos count from its begin until yd__tombs_place. Only YD_ENOMEM. */
int yd__tombs_of(const struct yd_batch *batch, struct yd__tomb **ret_tombs);
void yd__tombs_place(struct yd__tomb *tombs, uint64_t base);
void yd__tombs_free(struct yd__tomb *tombs); /* NULL is quiet */

/* Does it reach this record, whatever it is called? */
static inline bool yd__tomb_reaches(const struct yd__tomb *tomb, uint64_t seqno, const struct yd_record *record)
{
    return seqno < tomb->until_seqno && tomb->kinds & YD_KIND_BIT(record->kind) &&
           (tomb->until_time == INT64_MAX || record->time_ns < tomb->until_time);
}

/* Those of one segment. One that has gone, or of which nothing can be read, has none. */
int yd__forgotten_load_segment(struct yd_forgotten *forgotten, struct yd_fs *fs, const char *dir, uint64_t base,
                               uint64_t log_id);
struct yd__tomb *yd__forgotten_take(struct yd_forgotten *forgotten); /* the list, which is the caller's now */

#endif
