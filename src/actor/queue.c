/* queue.c: the run queue of one executor: groups in a ring, each with its processes in line.
 *
 * Deficit round robin: the group under the cursor runs while it has credit; a visit without credit adds weight ×
 * QUANTUM and moves on. A turn costs its time. A group that runs dry keeps its place until the cursor comes by again,
 * so one with a single process that is ready again at once gets its full share. */
#include "actor/internal.h"

#define QUANTUM_NS  YD_NS_PER_MS
#define DEBT_MAX_NS (8 * YD_NS_PER_MS) /* one overrun is not held against a group for long */

struct yd__share *yd__share_of(struct yd__executor *executor, const struct yd__process *process)
{
    struct yd__queue *queue = &executor->queue;
    struct yd_alloc *alloc = executor->worker.system->alloc;
    uint32_t group = process->group_atom;
    if (group >= queue->share_count) {
        uint32_t count = (group | 15) + 1;
        struct yd__share **shares =
            yd_alloc_resize(alloc, queue->shares, queue->share_count * sizeof *shares, count * sizeof *shares);
        if (!shares) return &queue->fallback;
        memset(shares + queue->share_count, 0, (count - queue->share_count) * sizeof *shares);
        queue->shares = shares;
        queue->share_count = count;
    }
    struct yd__share *share = queue->shares[group];
    if (!share) {
        share = yd_alloc_zero(alloc, sizeof *share);
        if (!share) return &queue->fallback;
        share->weight = 1;
        queue->shares[group] = share;
    }
    if (process->weight) share->weight = process->weight; /* the last one who names a weight sets it */
    return share;
}

void yd__ready(struct yd__executor *executor, struct yd__share *share, struct yd__process *process)
{
    struct yd__queue *queue = &executor->queue;
    process->ready_next = NULL;
    if (share->first)
        share->last->ready_next = process;
    else
        share->first = process;
    share->last = process;
    queue->ready++;
    if (share->ring_next) return;
    share->credit = (int64_t)share->weight * QUANTUM_NS;
    if (queue->cursor) { /* last in the ring */
        queue->before->ring_next = share;
        share->ring_next = queue->cursor;
    } else {
        queue->cursor = share->ring_next = share;
    }
    queue->before = share;
}

static void leave_ring(struct yd__queue *queue, struct yd__share *share)
{
    if (share->ring_next == share) {
        queue->cursor = queue->before = NULL;
    } else {
        queue->before->ring_next = share->ring_next;
        queue->cursor = share->ring_next;
    }
    share->ring_next = NULL;
}

struct yd__process *yd__ready_take(struct yd__executor *executor, struct yd__share **ret_share)
{
    struct yd__queue *queue = &executor->queue;
    if (!queue->ready) return NULL;
    struct yd__share *share = queue->cursor;
    for (;; share = queue->cursor) {
        if (!share->first) {
            leave_ring(queue, share);
            continue;
        }
        if (YD_LIKELY(share->credit > 0)) break;
        share->credit = YD_MAX(share->credit, -DEBT_MAX_NS) + (int64_t)share->weight * QUANTUM_NS;
        queue->before = share;
        queue->cursor = share->ring_next;
    }
    struct yd__process *process = share->first;
    share->first = process->ready_next;
    queue->ready--;
    *ret_share = share;
    return process;
}

/* One whose waiting work is worth a journey: not pinned, at home here, enough of it. NULL: none among the first few. */
struct yd__process *yd__ready_steal(struct yd__executor *executor, int64_t worth_ns)
{
    struct yd__queue *queue = &executor->queue;
    struct yd__share *share = queue->cursor;
    if (!share) return NULL;
    int looks = 16;
    do {
        struct yd__process **at = &share->first, *before = NULL;
        for (; *at && looks > 0; looks--) {
            struct yd__process *process = *at;
            uint32_t count = YD__LOAD_COUNT(atomic_load_explicit(&process->queued, memory_order_relaxed));
            if (process->home == executor && !process->pinned && process->initialised && !process->killed &&
                !process->class->compute && (int64_t)process->nanos * count >= worth_ns) {
                *at = process->ready_next;
                if (share->last == process) share->last = before;
                queue->ready--;
                return process;
            }
            before = process;
            at = &process->ready_next;
        }
        share = share->ring_next;
    } while (share != queue->cursor && looks > 0);
    return NULL;
}

void yd__queue_fini(struct yd__executor *executor)
{
    struct yd__queue *queue = &executor->queue;
    struct yd_alloc *alloc = executor->worker.system->alloc;
    for (uint32_t i = 0; i < queue->share_count; i++) yd_alloc_put(alloc, queue->shares[i], sizeof **queue->shares);
    yd_alloc_put(alloc, queue->shares, queue->share_count * sizeof *queue->shares);
}
