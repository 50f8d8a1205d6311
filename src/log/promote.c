/* log/promote.c: how far a copy is, which of two is further, and making one the leader.
 *
 *   end of each copy: (epoch of its last batch, seqno) ─▶ the furthest ─▶ an epoch above all that anybody knows
 *
 * Of two copies the one whose last batch is of the newer epoch is further, however long the other is: a leader of the
 * past may have a long tail that nobody followed, and what was `replicated` since is not in it. Only within one epoch
 * the longer one has all that the shorter has, as one leader wrote both. The newest epoch that a copy has heard of says
 * nothing of what it has (a fence raises it in every copy); it only says above what the next one must be.
 * Ongaro, "Consensus: Bridging Theory and Practice", 3.6.1, compares logs so. */
#include "log/internal.h"

int yd__log_open_quiet(struct yd_fs *fs, const char *dir, bool follower, struct yd_log **ret_log,
                       struct yd_trail *trail)
{
    struct yd_log_stat stat;
    int error = yd_log_stat_dir(fs, dir, &stat, trail);
    if (error) return error;
    struct yd_log_options options = {
        .fs = fs, .dir = dir, .stream = stat.stream[0] ? stat.stream : "?", .follower = follower};
    return yd_log_open(&options, ret_log, NULL, trail);
}

int yd_log_end_compare(const struct yd_log_end *a, const struct yd_log_end *b)
{
    if (a->last_epoch != b->last_epoch && !YD__SKIPS(YD__SKIP_LAST_EPOCH))
        return a->last_epoch < b->last_epoch ? -1 : 1;
    return (a->durable > b->durable) - (a->durable < b->durable);
}

void yd_log_end(struct yd_log *log, struct yd_log_end *ret)
{
    yd_lock_take(&log->mutex);
    *ret = (struct yd_log_end){.log_id = log->log_id,
                               .durable = log->durable,
                               .last_epoch = yd__epoch_at(&log->checkpoint, log->durable),
                               .known_epoch = YD_MAX(log->epoch, log->fence)};
    yd_lock_give(&log->mutex);
}

int yd_log_end_dir(struct yd_fs *fs, const char *dir, struct yd_log_end *ret, struct yd_trail *trail)
{
    if (!fs) fs = yd_fs_linux();
    struct yd_log_stat stat;
    int error = yd_log_stat_dir(fs, dir, &stat, trail);
    if (error) return error;
    struct yd_log *log;
    error = yd__log_open_quiet(fs, dir, stat.role != YD_LOG_LEADER, &log, trail);
    if (error) return error;
    yd_log_end(log, ret);
    error = yd_log_close(log);
    return error ? yd_trail_add(trail, error, "closing %s: %s", dir, yd_error_text(error)) : 0;
}

int yd_log_promote_dir(struct yd_fs *fs, const char *dir, uint32_t above, unsigned member, uint32_t *ret_epoch,
                       struct yd_trail *trail)
{
    if (member > 15) return yd_trail_add(trail, YD_EINVAL, "a member's number is 0 to 15");
    if (above >> 16 == UINT16_MAX) return yd_trail_add(trail, YD_ERANGE, "there is no term above epoch %u", above);
    struct yd_log *log;
    if (!fs) fs = yd_fs_linux();
    int error = yd__log_open_quiet(fs, dir, true, &log, trail);
    if (error) return error;
    if (log->log_id == 0) {
        (void)yd_log_close(log);
        return yd_trail_add(trail, YD_ENOENT, "%s holds nothing yet: it has never followed anybody", dir);
    }
    yd_lock_take(&log->io);
    log->epoch = yd_log_next_epoch(YD_MAX(above, YD_MAX(log->epoch, log->fence)), member);
    log->fence = 0;
    log->options.follower = false;
    log->deposed = false;
    yd__epoch_add(&log->checkpoint, log->epoch, log->durable);
    /* Twice: it must not be possible that one slot rots and the older one, a follower's, is believed. */
    error = yd__checkpoint_now(log, 0);
    if (!error) error = yd__checkpoint_now(log, YD__CHECKPOINT_CLEAN);
    uint32_t epoch = log->epoch;
    yd_lock_give(&log->io);
    int closed = yd_log_close(log);
    if (!error) error = closed;
    if (error) return yd_trail_add(trail, error, "promoting %s: %s", dir, yd_error_text(error));
    *ret_epoch = epoch;
    return 0;
}

uint32_t yd_log_next_epoch(uint32_t known, unsigned member)
{
    return ((known >> 16) + 1) << 16 | (uint32_t)member << 12;
}
