/* live/triple_write.c: publishing through a triple buffer (triple_format.h has the picture).
 *
 *   fill buffer[mine] ─▶ old = exchange(word, mine | dirty) ─▶ mine = old's index; was the reader waiting? wake it
 *
 * One exchange gives a full buffer and takes a free one. It acquires too: the buffer taken is one that the reader read
 * or that we filled; what he read of it he has read. It clears the waiter's bit: a reader that was killed costs one
 * wake. */
#include "live/triple_write.h"

#include "base/base.h"
#include "live/atomic.h"
#include "live/futex.h"

int yd_live_triple_create(uint32_t value_size, uint64_t generation, uint64_t id, int64_t now_ns,
                          struct yd_live_triple *ret_triple)
{
    if (value_size > YD__TABLE_VALUE_MAX) return YD_ETOOBIG;
    if (value_size < 8) value_size = 8;
    uint64_t buffer_size = YD_ALIGN_UP((uint64_t)YD__SLOT_HEADER + value_size, YD__LIVE_PAIR);
    struct yd_live_triple triple = {.buffer_size = buffer_size, .value_size = value_size};
    struct yd_live_region_options buffers = {.label = "yarder-triple",
                                             .size = YD__LIVE_CONTENT + 3 * buffer_size,
                                             .generation = generation,
                                             .id = id,
                                             .now_ns = now_ns,
                                             .kind = YD__LIVE_TRIPLE};
    struct yd_live_region_options control = {.label = "yarder-control",
                                             .size = YD__BELL_SIZE,
                                             .generation = generation,
                                             .id = id,
                                             .now_ns = now_ns,
                                             .kind = YD__LIVE_BELL,
                                             .writable = true};
    int error = yd_live_region_create(&buffers, &triple.region);
    if (error) return error;
    error = yd_live_region_create(&control, &triple.control);
    if (error) {
        yd_live_region_destroy(&triple.region);
        return error;
    }
    struct yd__triple *shared = (struct yd__triple *)triple.region.header;
    shared->buffer_size = buffer_size;
    shared->value_size = value_size;
    triple.buffers = (uint8_t *)shared + YD__LIVE_CONTENT;
    memset(triple.buffers, 0, 3 * buffer_size); /* pages come now, not with the first value */
    triple.word = &((struct yd__bell_page *)triple.control.header)->words[0].word;
    yd__store(triple.word, YD__TRIPLE_START, RELAXED);
    yd_live_region_set_state(&triple.control, YD__LIVE_READY);
    *ret_triple = triple;
    return 0;
}

void yd_live_triple_destroy(struct yd_live_triple *triple)
{
    yd_live_region_destroy(&triple->region);
    yd_live_region_destroy(&triple->control);
}

void yd_live_triple_set_state(struct yd_live_triple *triple, enum yd__live_state state)
{
    yd_live_region_set_state(&triple->region, state);
    yd__futex_wake_all(triple->word);
}

static uint64_t *buffer_of(struct yd_live_triple *triple)
{
    return (uint64_t *)(triple->buffers + triple->mine * triple->buffer_size);
}

void *yd_live_triple_buffer(struct yd_live_triple *triple)
{
    return buffer_of(triple) + YD__SLOT_VALUE;
}

int yd_live_triple_publish(struct yd_live_triple *triple, int64_t time_ns, enum yd_type type, uint16_t flags,
                           uint32_t size)
{
    if (YD_UNLIKELY(size > triple->value_size)) return YD_ETOOBIG;
    uint64_t head[3] = {[YD__SLOT_SEQ] = ++triple->seq,
                        [YD__SLOT_TIME] = (uint64_t)time_ns,
                        [YD__SLOT_META] = YD__META(size, type, flags)};
    yd__plain_copy_in(buffer_of(triple), head, sizeof head);
    /* Release pairs with the acquire half of the exchange in yd_live_triple_take: the buffer is whole. Acquire pairs
     * with that one's release: the reader is done with what we get. */
    uint32_t old = yd__exchange(triple->word, triple->mine | YD__TRIPLE_DIRTY, ACQ_REL);
    uint32_t got = old & YD__TRIPLE_INDEX;
    if (YD_UNLIKELY(got > 2 || got == triple->mine)) {
        triple->damaged++;
        got = (triple->mine + 1) % 3;
    }
    triple->mine = got;
    if (old & YD__TRIPLE_DIRTY) triple->overwritten++;
    if (old & YD__TRIPLE_WAITER) {
        triple->wakes++;
        yd__futex_wake_all(triple->word);
    }
    return 0;
}

int yd_live_triple_put(struct yd_live_triple *triple, int64_t time_ns, enum yd_type type, uint16_t flags,
                       const void *bytes, uint32_t size)
{
    if (YD_UNLIKELY(size > triple->value_size)) return YD_ETOOBIG;
    yd__plain_copy_in(yd_live_triple_buffer(triple), bytes, size);
    return yd_live_triple_publish(triple, time_ns, type, flags, size);
}
