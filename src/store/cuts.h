/* store/cuts.h: of a series what is before a time is forgotten, the rest stays. Of this floor only.
 *
 *   block of flush 3 │ block of flush 7 │ cut {series, flush 7, before t} │ block of flush 8 │ memory
 *        read from t on                                                          read as they are
 *
 * A block never changes, so what is forgotten in it is told beside: it is not read, and a merge leaves it out. A point
 * that came after the cut counts, whatever its time: it is in a later flush. Cuts are kept in files of names
 * (names.h), stored by the flush that comes next. A series of which nothing stays is removed instead. */
#ifndef STORE_CUTS_H
#define STORE_CUTS_H

#include "base/alloc.h"

struct yd__cut {
    uint32_t id, reserved;
    uint64_t flush; /* blocks of flushes up to this one … */
    int64_t before; /* … are read from this time on */
};
_Static_assert(sizeof(struct yd__cut) == 24, "the cut's layout in files of names");

struct yd__cuts {
    struct yd__cut *items; /* by id and flush, once settled */
    uint32_t count, room;
};
int yd__cuts_add(struct yd__cuts *cuts, struct yd_alloc *alloc, const struct yd__cut *cut); /* at the end */
void yd__cuts_settle(struct yd__cuts *cuts); /* sorts; of a series what a later one says, too, goes */
void yd__cuts_fini(struct yd__cuts *cuts, struct yd_alloc *alloc);
/* Where points of a series begin that are in a block with flushes up to `hi`; INT64_MIN: none is cut. */
int64_t yd__cuts_from(const struct yd__cuts *cuts, uint32_t id, uint64_t hi);

#endif
