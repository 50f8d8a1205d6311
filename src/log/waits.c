/* log/waits.c: how long the stream's locks and its disk are waited for.
 *
 *   flush round: begin ── writev ── end ──▶ writes        begin ── fdatasync ── end ──▶ syncs
 *
 * Written with `io` held, read by anyone at any time (yd_histogram_add_shared). `disk_since` is when the one that is
 * going on began: a sync that hangs is seen while it hangs. A log without threads of its own is not timed: in a
 * simulation nothing reads a clock. */
#include <time.h>

#include "log/internal.h"
#include "log/waits.h"

static int64_t mono(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * YD_NS_PER_S + now.tv_nsec;
}

void yd__disk_begin(struct yd_log *log)
{
    if (log->started) atomic_store_explicit(&log->disk_since, mono(), memory_order_relaxed);
}

void yd__disk_end(struct yd_log *log, struct yd_histogram *spent)
{
    int64_t since = atomic_load_explicit(&log->disk_since, memory_order_relaxed);
    if (!since) return;
    atomic_store_explicit(&log->disk_since, 0, memory_order_relaxed);
    yd_histogram_add_shared(spent, mono() - since);
}

void yd_log_waits(const struct yd_log *log, const char *of, const struct yd_wait_visit *visit)
{
    int64_t since = atomic_load_explicit(&log->disk_since, memory_order_relaxed);
    yd_wait_lock(visit, of, "positions and tail", &log->mutex);
    yd_wait_lock(visit, of, "files", &log->io);
    yd_wait_lock(visit, of, "who is told", &log->watch_lock);
    yd_wait_lock(visit, of, "twins", &log->twin_lock);
    yd_wait_lock(visit, of, "tombstones", &log->tomb_lock);
    yd_wait_lock(visit, of, "cursors", &log->cursor_lock);
    yd_wait_tell(visit, YD_WAIT_WRITE, of, "", &log->writes, 0);
    yd_wait_tell(visit, YD_WAIT_SYNC, of, "", &log->syncs, since ? YD_MAX(mono() - since, 1) : 0);
}
