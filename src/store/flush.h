/* store/flush.h: what goes between the history's thread and the keeper's. Of this floor only. */
#ifndef STORE_FLUSH_H
#define STORE_FLUSH_H

#include "store/block.h"
#include "store/keeper.h"

struct yd_flush_piece {
    struct yd_alloc *alloc;
    struct yd_buf names;  /* {u32 id, u16 size, bytes} … */
    struct yd_buf dead;   /* u32 id … */
    struct yd_buf cuts;   /* struct yd__cut … */
    struct yd_buf chunks; /* {u32 id, struct yd__chunk, data} …, ids rising */
};

struct yd_store_change {
    struct yd_alloc *alloc;
    struct yd__block **blocks, **gone;
    uint32_t count, room, gone_count, gone_room;
    bool points_gone; /* blocks went without another in their place */
};

#endif
