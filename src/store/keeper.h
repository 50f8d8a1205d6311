/* store/keeper.h: a history on disk: how points leave memory for blocks, and come back at a start.
 *
 *   one thread (an executor): the history           another (a file thread): the keeper
 *   yd_history_flush_step ── pieces ──────────────▶ yd_keeper_take
 *                                                   yd_keeper_commit: block and names synced, then the manifest
 *   yd_history_install ◀───── change ──────────────┘
 *   yd_history_flush_end … settle: what is in the block leaves memory
 *   … the caller acknowledges what was folded before the flush began
 *                                                   yd_keeper_work: merging, retention, in slices
 *   yd_history_install ◀───── change ──────────────┘
 *       └───────────────────── change ────────────▶ yd_keeper_retire: what was replaced is closed and removed
 *
 * A flush is fuzzy: it may hold points that were folded after it began. So everything folded before it began is in it,
 * and folding the rest of the stream again, in order, gives what was there: of two points of one time the later folded
 * wins, in memory as between blocks.
 *
 *   FOLDER/manifest          which files count; replaced atomically, after all that it names has been synced
 *   FOLDER/NUMBER.block      block.h
 *   FOLDER/NUMBER.names      ids and names of series, and ids that are gone
 *   FOLDER/lock
 *
 * Calls of the keeper block; they are made one at a time, from any thread. */
#ifndef STORE_KEEPER_H
#define STORE_KEEPER_H

#include "io/file.h"
#include "store/history.h"

struct yd_keeper;
struct yd_keeper_options {
    struct yd_fs *fs;
    const char *folder;                     /* made if it is not there */
    int64_t keep_ns;                        /* 0: for ever; by the time of points against the newest */
    int64_t keep_minutes_ns, keep_hours_ns; /* of rollups; 0: as keep_ns */
    uint64_t size_max;                      /* of all files; 0: no limit */
    struct yd_alloc *alloc;
};
struct yd_keeper_counts {
    uint64_t blocks, names, bytes, points, rows; /* rows: of rollups */
    uint64_t lost;    /* blocks and names files that are in the manifest and cannot be read */
    uint64_t damaged; /* pages and chunks found damaged since the start */
    uint64_t flushes, merges, retired;
    uint64_t retired_points; /* by keep and size_max */
};
/* Opens the folder and gives the history its series and blocks; it must be empty and durable. What cannot be read is
 * said by `say` and left out; the rest serves. YD_ELOCKED: another process has it. YD_ECORRUPT: the manifest. */
int yd_keeper_open(const struct yd_keeper_options *options, struct yd_history *history,
                   void (*say)(void *arg, const char *text), void *arg, struct yd_keeper **ret_keeper,
                   struct yd_trail *trail);
/* After the history is destroyed. NULL is quiet. */
void yd_keeper_close(struct yd_keeper *keeper);
bool yd_keeper_fresh(const struct yd_keeper *keeper); /* nothing was ever stored in it */
void yd_keeper_counts(struct yd_keeper *keeper, struct yd_keeper_counts *ret);

/* Reads every byte of a history's folder, also of one in use, and says what is damaged. *ret_files: how many were read,
 * *ret_faults: how often `found` was called. */
int yd_keeper_verify(struct yd_fs *fs, const char *folder, void (*found)(void *arg, const char *text), void *arg,
                     uint64_t *ret_files, uint64_t *ret_faults);

/* A piece of a flush, as it goes from one thread to the other. */
struct yd_flush_piece;
void yd_flush_piece_free(struct yd_flush_piece *piece);
/* What changed: all blocks that count from now on, and those that no longer do. */
struct yd_store_change;
void yd_store_change_free(void *change); /* as yd_keeper_retire, by who has no keeper at hand; NULL is quiet */

/* ---- the keeper's half ---- */
int yd_keeper_take(struct yd_keeper *keeper, struct yd_flush_piece *piece); /* takes the piece over; an error sticks */
/* newest_ns: as yd_history_newest. 0: durable, and *ret_change (NULL: there was nothing to store). Negative: nothing of
 * it counts, and it is not tried again: a later flush writes files of its own. */
int yd_keeper_commit(struct yd_keeper *keeper, int64_t newest_ns, struct yd_store_change **ret_change,
                     struct yd_trail *trail);
void yd_keeper_abandon(struct yd_keeper *keeper); /* the flush under way */
/* A slice of what is to be done beside: 1: more, 0: nothing to do, negative: failed, to be tried again later. */
int yd_keeper_work(struct yd_keeper *keeper, int64_t newest_ns, struct yd_store_change **ret_change,
                   struct yd_trail *trail);
void yd_keeper_retire(struct yd_keeper *keeper, struct yd_store_change *change); /* takes it over */
/* Reads on in what has not been read since it was opened: all indexes, then whole blocks up to so many bytes, the
 * latest first. A slice; false: nothing is left to do. */
bool yd_keeper_warm(struct yd_keeper *keeper, uint64_t bytes_max);
/* What a query is about to read, brought into memory. Before the keeper retires what the history had when it was asked.
 */
struct yd_warming;
void yd_warming_do(struct yd_warming *warming);
void yd_warming_free(void *warming); /* NULL is quiet */

/* ---- the history's half ---- */
bool yd_history_wants_flush(const struct yd_history *history); /* half of the memory for columns is in use */
bool yd_history_is_full(const struct yd_history *history);     /* all of it */
int64_t yd_history_newest(const struct yd_history *history);
bool yd_history_has_unflushed(const struct yd_history *history);
/* Begins a flush of all that is in memory; there is none under way. */
void yd_history_flush_begin(struct yd_history *history);
/* About a millisecond of it. 1: more, 0: that was all; negative: out of memory, to be called again. *ret_piece: NULL or
 * to be handed on. */
int yd_history_flush_step(struct yd_history *history, struct yd_flush_piece **ret_piece);
/* Told by the keeper: stored or not. Then yd_history_settle until it says 0: it takes out of memory what is in a block,
 * and series that have no points anywhere. */
void yd_history_flush_end(struct yd_history *history, bool stored);
int yd_history_settle(struct yd_history *history);
/* What is in the blocks that are installed. */
struct yd_history_blocks {
    uint64_t blocks, bytes, points, rows, damaged;
};
void yd_history_blocks(const struct yd_history *history, struct yd_history_blocks *ret);
/* The file of a block in which damage has been found since *seen of it were; NULL: none. */
const char *yd_history_damage(const struct yd_history *history, uint64_t *seen);
/* YD_ENOMEM: nothing changed, to be called again. */
int yd_history_install(struct yd_history *history, const struct yd_store_change *change);

#endif
