/* store/keeper_internal.h: what keeper.c and merge.c share. */
#ifndef STORE_KEEPER_INTERNAL_H
#define STORE_KEEPER_INTERNAL_H

#include "store/flush.h"
#include "store/names.h"
#include "store/read.h"
#include "store/rollup.h"

struct yd__names_file {
    uint64_t number, size;
};

#define YD__MERGE_MAX 64 /* blocks that go into one merge */

struct yd__merge {
    bool active;
    struct yd__block *inputs[YD__MERGE_MAX];
    uint32_t input_count;
    struct yd__block_header head; /* of what comes out */
    bool split;                   /* by parts of time: one pass over all ids for each */
    int64_t from, end;            /* of this pass, end included */
    int64_t next;                 /* the first time seen behind it; INT64_MAX: none */
    uint32_t id;                  /* where the pass is */
    struct yd__block_writer *writer;
    uint64_t number;   /* of the writer's file */
    uint64_t *outputs; /* numbers of those that are complete */
    uint32_t output_count, output_room;
    uint64_t damaged; /* of the inputs, before */
    struct yd__points *work[3], *pending;
    bool rolls; /* rows are made of what is merged */
    struct {
        struct yd__rows *rows;
        struct yd__block_writer *writer;
        uint64_t number;
        uint32_t id;
    } rollups[YD__BLOCK_KINDS]; /* but the first */
    struct yd__piece *pieces;
};

struct yd_keeper {
    struct yd_fs *fs;
    struct yd_alloc *alloc;
    char *folder;
    int64_t keep_ns, part_ns;
    int64_t keep[YD__BLOCK_KINDS]; /* by kind; 0: for ever */
    uint64_t size_max;
    struct yd_file *lock;
    void (*say)(void *arg, const char *text);
    void *say_arg;

    struct yd__block **blocks; /* in the order of their flushes */
    uint32_t block_count, block_room;
    struct yd__names_file *names;
    uint32_t names_count, names_room;
    uint64_t *lost; /* numbers of blocks that cannot be read: in the manifest, so that their files stay */
    uint32_t lost_count, lost_room;
    uint64_t *strays; /* files that a failed manifest may or may not name */
    uint32_t stray_count, stray_room;
    struct yd__cuts cuts;     /* as stored: what merges leave out */
    struct yd__cuts new_cuts; /* of the flush under way */
    uint64_t next_number, next_flush;
    uint32_t next_id;
    int64_t newest;

    /* the flush under way */
    bool flushing;
    struct yd__block_writer *writer;
    uint64_t writer_number;
    struct yd__names_writer new_names;
    uint32_t top_id;
    int flush_error;

    struct yd__merge merge;
    struct yd_keeper_counts counts;
    uint64_t damaged_gone; /* found in blocks that are closed by now */
};

void yd__keeper_say(struct yd_keeper *keeper, const char *format, ...) YD_PRINTF(2, 3);
int yd__keeper_grow(struct yd_keeper *keeper, void **items, uint32_t count, uint32_t *room, size_t size);
/* Opens blocks that are complete, puts them in the place of `gone`, and writes the manifest. On failure all stays as it
 * was. Numbers that fail are strays then. points_gone: nothing comes in their place. */
int yd__keeper_replace(struct yd_keeper *keeper, struct yd__block *const *gone, uint32_t gone_count,
                       const uint64_t *numbers, uint32_t number_count, struct yd_store_change **ret_change,
                       struct yd_trail *trail);

/* merge.c */
int yd__merge_step(struct yd_keeper *keeper, struct yd_store_change **ret_change, struct yd_trail *trail);
int yd__merge_pick(struct yd_keeper *keeper); /* 1: begun, 0: nothing to merge */
void yd__merge_fini(struct yd_keeper *keeper);

#endif
