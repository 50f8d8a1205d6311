/* store/read.h: points of one series from many places, as one line. Of this floor only.
 *
 *   blocks, oldest flush first │ chunks and open stream in memory │ points beside
 *
 * Each place holds chunks that rise and do not touch; places may overlap. A window is a stretch of time in which each
 * place has at most the one chunk it stands at; of two points of one time that of the later place counts. */
#ifndef STORE_READ_H
#define STORE_READ_H

#include "store/internal.h"

struct yd__window {
    struct yd__piece *pieces;    /* the later in here wins; the caller's, room for all blocks and YD__PIECES_MEMORY */
    const struct yd__cuts *cuts; /* of the blocks; the caller's, NULL: none */
    uint32_t count;
    int64_t until; /* the window's end */
    bool more;     /* beyond it there is something: go on behind `until` */
};
/* The window that begins at `from`. False: nothing in [from, to]. series NULL: blocks only. */
bool yd__window_open(struct yd__block *const *blocks, uint32_t block_count, uint32_t id,
                     const struct yd__series *series, int64_t from, int64_t to, struct yd__window *window);
/* Its points, at most YD__CHUNK_MAX; if those do not suffice, until is moved back. work: two rooms; the result is in
 * one of them. */
struct yd__points *yd__window_points(struct yd__window *window, int64_t from, struct yd__points *const work[3]);
/* The points of a piece alone, appended. False: damaged. */
bool yd__piece_points(const struct yd__piece *piece, struct yd__points *points);

#endif
