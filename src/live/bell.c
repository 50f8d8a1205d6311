/* live/bell.c: ringing.
 *
 *   exchange(word, next sequence, no waiter) ─▶ was the waiter's bit set? wake all who sleep on it
 *
 * One read-modify-write publishes the ring and reveals the waiter; it clears the bit too, so that a waiter who was
 * killed costs one wake, once. The sequence is the writer's own: whatever a client wrote there is replaced, not read.
 */
#include "live/bell.h"

#include "live/atomic.h"
#include "live/futex.h"

int yd_live_bell_create(uint64_t id, uint64_t generation, int64_t now_ns, struct yd_live_bell *ret_bell)
{
    struct yd_live_region_options options = {.label = "yarder-bell",
                                             .size = YD__BELL_SIZE,
                                             .generation = generation,
                                             .id = id,
                                             .now_ns = now_ns,
                                             .kind = YD__LIVE_BELL,
                                             .writable = true};
    struct yd_live_region region;
    int error = yd_live_region_create(&options, &region);
    if (error) return error;
    yd_live_region_set_state(&region, YD__LIVE_READY);
    *ret_bell = (struct yd_live_bell){.region = region, .page = (struct yd__bell_page *)region.header};
    return 0;
}

void yd_live_bell_destroy(struct yd_live_bell *bell)
{
    yd_live_region_destroy(&bell->region);
    bell->page = NULL;
}

void yd_live_bell_ring(struct yd_live_bell *bell, uint32_t word)
{
    if (word >= YD__BELL_WORDS) return;
    uint32_t *at = &bell->page->words[word].word;
    uint32_t next = bell->sequences[word] += YD__BELL_STEP;
    /* Release pairs with the acquire in yd__bell_arm: who arms after this sees what was stored before it. Who armed
     * before is seen here, since both change the same word; nothing else of his is read, so there is nothing to
     * acquire. */
    uint32_t old = yd__exchange(at, next, RELEASE);
    if (old & YD__BELL_WAITER) {
        bell->wakes++;
        yd__futex_wake_all(at);
    }
}

void yd_live_bell_ring_all(struct yd_live_bell *bell)
{
    for (uint32_t word = 0; word < YD__BELL_WORDS; word++) yd_live_bell_ring(bell, word);
}
