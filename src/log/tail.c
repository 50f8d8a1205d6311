/* log/tail.c: the recent batches in memory.
 *
 *   begin            unwritten          end
 *     | written, kept  | queued, to be    |
 *     | for readers    | written          |
 *
 * A ring of references in seqno order, without gaps, so that a caught-up reader is served by one binary search and
 * never touches a file. The old end is evicted by bytes; what is not written is never evicted. Guarded by the log's
 * mutex. */
#include <stdlib.h>

#include "log/internal.h"

#define SLOTS_FIRST 64

int yd__tail_init(struct yd__tail *tail, uint64_t next_seqno)
{
    *tail = (struct yd__tail){.mask = SLOTS_FIRST - 1, .next_seqno = next_seqno};
    tail->slots = calloc(SLOTS_FIRST, sizeof *tail->slots);
    return tail->slots ? 0 : YD_ENOMEM;
}

void yd__tail_fini(struct yd__tail *tail)
{
    for (uint64_t i = tail->begin; i < tail->end; i++) yd_batch_unref(tail->slots[i & tail->mask]);
    free(tail->slots);
    *tail = (struct yd__tail){0};
}

int yd__tail_room(struct yd__tail *tail)
{
    if (tail->end - tail->begin <= tail->mask) return 0;
    uint64_t capacity = (tail->mask + 1) * 2;
    struct yd_batch **slots = calloc(capacity, sizeof *slots);
    if (!slots) return YD_ENOMEM;
    for (uint64_t i = tail->begin; i < tail->end; i++) slots[i & (capacity - 1)] = tail->slots[i & tail->mask];
    free(tail->slots);
    tail->slots = slots;
    tail->mask = capacity - 1;
    return 0;
}

void yd__tail_push(struct yd__tail *tail, struct yd_batch *batch)
{
    YD_ASSERT(tail->end - tail->begin <= tail->mask && batch->header.base_seqno == tail->next_seqno);
    tail->slots[tail->end++ & tail->mask] = batch;
    tail->bytes += yd_batch_cost(batch);
    tail->queued_bytes += batch->header.size;
    tail->next_seqno += batch->header.count;
}

uint64_t yd__tail_first(const struct yd__tail *tail)
{
    return tail->begin == tail->end ? tail->next_seqno : tail->slots[tail->begin & tail->mask]->header.base_seqno;
}

struct yd_batch *yd__tail_find(const struct yd__tail *tail, uint64_t seqno)
{
    if (seqno < yd__tail_first(tail) || seqno >= tail->next_seqno) return NULL;
    uint64_t low = tail->begin, high = tail->end; /* the last one with base_seqno <= seqno */
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        if (tail->slots[middle & tail->mask]->header.base_seqno <= seqno)
            low = middle;
        else
            high = middle;
    }
    return tail->slots[low & tail->mask];
}

struct yd_batch *yd__tail_find_time(const struct yd__tail *tail, int64_t time_ns, uint64_t from_seqno)
{
    for (uint64_t i = tail->begin; i < tail->end; i++) {
        struct yd_batch *batch = tail->slots[i & tail->mask];
        if (batch->header.base_seqno >= from_seqno && batch->header.time_max >= time_ns) return batch;
    }
    return NULL;
}

void yd__tail_written(struct yd__tail *tail, uint64_t count)
{
    YD_ASSERT(count <= tail->end - tail->unwritten);
    for (; count > 0; count--) tail->queued_bytes -= tail->slots[tail->unwritten++ & tail->mask]->header.size;
}

uint32_t yd__tail_evict(struct yd__tail *tail, uint64_t bytes_max, uint64_t taken, struct yd_batch **dropped,
                        uint32_t room)
{
    uint32_t count = 0;
    while (tail->begin < tail->unwritten && count < room) {
        struct yd_batch *batch = tail->slots[tail->begin & tail->mask];
        bool is_taken = batch->header.base_seqno + batch->header.count <= taken;
        /* What waits to be written is not in the limit: else a long queue would take from the readers what was written
         * just now, and send them all to the files. */
        if (tail->bytes <= (is_taken ? bytes_max / 8 : bytes_max) + tail->queued_bytes) break;
        tail->begin++;
        tail->bytes -= yd_batch_cost(batch);
        dropped[count++] = batch;
    }
    return count;
}
