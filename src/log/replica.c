/* log/replica.c: the followers as their leader sees them, and the epochs that end a leader's time.
 *
 *   durable(follower, seqno) ─▶ has it all that was durable here a while ago?  yes ─▶ in the set
 *                                                                               not for replica_lag_ns ─▶ out of it
 *   replicated = what is durable here, and on `replicas` followers of the set. It only grows.
 *
 * Batches of an earlier term count once one of this leader's own behind them does. Else they could be called replicated
 * and, when this leader is gone before it wrote anything, be lost to one of a term between that had written alone: its
 * last batch is of a newer epoch than theirs (Ongaro, "Consensus", 3.6.2, figure 3.7). A restart is no new term.
 *
 * "Caught up" looks at what we had some time ago, not at the very end: under load nobody ever is at the end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/internal.h"

static bool look_at(struct yd_log *log, struct yd_log_replica *replica, int64_t now)
{
    if (replica->durable >= log->durable) {
        replica->caught_up_at = now;
        replica->target = log->durable;
        replica->target_at = now;
    } else if (replica->durable >= replica->target) {
        replica->caught_up_at = YD_MAX(replica->caught_up_at, replica->target_at);
        replica->target = log->durable;
        replica->target_at = now;
    }
    bool in_sync = !replica->gone && replica->caught_up_at != INT64_MIN &&
                   now - replica->caught_up_at <= log->options.replica_lag_ns;
    bool changed = in_sync != replica->in_sync;
    replica->in_sync = in_sync;
    return changed;
}

/* What `replicas` of the set have. UINT64_MAX: none is wanted; 0: there are too few. */
static uint64_t rank(const struct yd_log *log)
{
    uint64_t low = 0;
    unsigned wanted = log->options.replicas;
    if (wanted == 0) return UINT64_MAX;
    for (const struct yd_log_replica *one = log->replicas; one; one = one->next) {
        if (!one->in_sync) continue;
        unsigned have = 0; /* of the set, at least this far */
        for (const struct yd_log_replica *other = log->replicas; other; other = other->next)
            have += other->in_sync && (other->durable >= one->durable || YD__SKIPS(YD__SKIP_RANK));
        if (have >= wanted) low = YD_MAX(low, one->durable);
    }
    return low;
}

/* Where the batches of this leader's own term begin. */
static uint64_t term_start(const struct yd_log *log)
{
    const struct yd__checkpoint *known = &log->checkpoint;
    for (uint32_t i = 0; i < known->epoch_count; i++)
        if (known->epochs[i].epoch >> 12 >= log->epoch >> 12) return known->epochs[i].start_seqno;
    return 0;
}

bool yd__replicas_update(struct yd_log *log)
{
    bool changed = false;
    int64_t now = log->replicas ? yd__log_now(log) : 0;
    unsigned in_sync = 0;
    for (struct yd_log_replica *replica = log->replicas; replica; replica = replica->next) {
        changed |= look_at(log, replica, now);
        in_sync += replica->in_sync;
    }
    uint64_t replicated = YD_MIN(rank(log), log->durable);
    if (replicated > log->replicated && (replicated > term_start(log) || YD__SKIPS(YD__SKIP_TERM))) {
        log->replicated = replicated;
        changed = true;
    }
    changed |= in_sync != log->in_sync;
    log->in_sync = in_sync;
    return changed;
}

/* Whose follower has come again: what is heard of it on the old connection, if anything, is no second follower. */
static void supersede(struct yd_log *log, const struct yd_log_replica *by)
{
    for (struct yd_log_replica *old = log->replicas; old; old = old->next)
        if (old->copy == by->copy && (by->copy || strcmp(old->id, by->id) == 0)) old->gone = true;
}

int yd_log_replica_join(struct yd_log *log, const char *id, uint32_t copy, struct yd_log_replica **ret_replica)
{
    struct yd_log_replica *replica = calloc(1, sizeof *replica);
    if (!replica) return YD_ENOMEM;
    (void)snprintf(replica->id, sizeof replica->id, "%s", id);
    replica->copy = copy;
    replica->log = yd_log_ref(log);
    replica->caught_up_at = INT64_MIN;
    replica->target = UINT64_MAX; /* in the set once it has all, or all of a moment since it came */
    yd_lock_take(&log->mutex);
    replica->target = log->durable;
    replica->target_at = yd__log_now(log);
    supersede(log, replica);
    replica->next = log->replicas;
    replica->at = &log->replicas;
    if (replica->next) replica->next->at = &replica->next;
    log->replicas = replica;
    bool changed = yd__replicas_update(log);
    yd_lock_give(&log->mutex);
    *ret_replica = replica;
    if (changed) yd__moved(log);
    return 0;
}

void yd_log_replica_durable(struct yd_log_replica *replica, uint64_t seqno)
{
    struct yd_log *log = replica->log;
    yd_lock_take(&log->mutex);
    replica->durable = YD_MIN(seqno, log->written); /* nobody has more of it than we have */
    bool changed = yd__replicas_update(log);
    yd_lock_give(&log->mutex);
    if (changed) yd__moved(log);
}

void yd_log_replica_leave(struct yd_log_replica *replica)
{
    if (!replica) return;
    struct yd_log *log = replica->log;
    yd_lock_take(&log->mutex);
    *replica->at = replica->next;
    if (replica->next) replica->next->at = replica->at;
    bool changed = yd__replicas_update(log);
    yd_lock_give(&log->mutex);
    if (changed) yd__moved(log);
    yd_log_unref(log);
    free(replica);
}

/* With io held. A checkpoint speaks of what is durable: what is only written is made so before. */
static int fence_durably(struct yd_log *log)
{
    bool changed;
    int error = log->gone ? YD_ECLOSED : log->failed ? YD_EREADONLY : 0;
    if (!error && log->dirty) error = yd__flush_round(log, &changed);
    if (!error && log->dirty) error = YD_ENOSPC; /* frames wait for room behind what is written */
    if (!error && log->checkpoint.epoch < YD_MAX(log->epoch, log->fence)) error = yd__checkpoint_now(log, 0);
    return error;
}

int yd_log_fence(struct yd_log *log, uint32_t epoch)
{
    if (log->options.readonly) return YD_EPERM;
    yd_lock_take(&log->mutex);
    bool newer = epoch > YD_MAX(log->epoch, log->fence);
    if (newer) log->fence = epoch;
    if (newer && !log->options.follower) log->deposed = true;
    yd_lock_give(&log->mutex);
    yd_lock_take(&log->io);
    int error = fence_durably(log); /* also of an epoch that is known: it may not have lasted the last time */
    yd_lock_give(&log->io);
    if (newer) yd__moved(log);
    return error;
}
