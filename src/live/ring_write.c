/* live/ring_write.c: records in order (ring_format.h has the picture).
 *
 *   put: claim ─ release fence ─ words …            commit: before ─ head, release ─ after
 *
 * Lossy: the claim tells readers, before anything is overwritten, what will be. Lossless: nothing is overwritten that
 * the reader has not given back, so there is no claim; without credit a put is refused and what was put is committed.
 */
#include "live/ring_write.h"

#include <sys/mman.h>

#include "live/atomic.h"
#include "live/futex.h"

#define DEFAULT_SIZE (UINT64_C(1) << 20)
#define STREAM_MIN   2048 /* bytes in a commit: below it lines are committed in parts, which streaming makes dear */

static int create_credit(const struct yd_live_ring_options *options, struct yd_live_region *ret_region)
{
    struct yd_live_region_options credit = {.label = "yarder-credit",
                                            .size = sizeof(struct yd__credit),
                                            .generation = options->generation,
                                            .id = options->id,
                                            .now_ns = options->now_ns,
                                            .kind = YD__LIVE_CREDIT,
                                            .writable = true};
    int error = yd_live_region_create(&credit, ret_region);
    if (!error) yd_live_region_set_state(ret_region, YD__LIVE_READY);
    return error;
}

int yd_live_ring_create(const struct yd_live_ring_options *options, struct yd_live_ring *ret_ring)
{
    uint64_t size = options->size ? options->size : DEFAULT_SIZE;
    if (size < YD__RING_SIZE_MIN || size > YD__RING_SIZE_MAX || (size & (size - 1))) return YD_EINVAL;
    struct yd_live_region_options region = {.label = "yarder-ring",
                                            .size = sizeof(struct yd__ring) + size,
                                            .generation = options->generation,
                                            .id = options->id,
                                            .now_ns = options->now_ns,
                                            .kind = YD__LIVE_RING};
    struct yd_live_ring ring = {.size = size,
                                .mask = size - 1,
                                .limit = size,
                                .segment = UINT64_MAX,
                                .segment_shift = (unsigned)__builtin_ctzll(size / YD__RING_MARKS)};
    int error = yd_live_region_create(&region, &ring.region);
    if (error) return error;
    if (options->lossless) {
        error = create_credit(options, &ring.credit_region);
        if (error) {
            yd_live_region_destroy(&ring.region);
            return error;
        }
        ring.credit = (struct yd__credit *)ring.credit_region.header;
    }
    ring.shared = (struct yd__ring *)ring.region.header;
    ring.shared->data_offset = sizeof(struct yd__ring);
    ring.shared->data_size = size;
    ring.shared->lossless = options->lossless;
    for (unsigned i = 0; i < YD__RING_MARKS; i++) ring.shared->marks[i] = YD__RING_NO_MARK;
    ring.data = (uint8_t *)ring.shared + sizeof(struct yd__ring);
#ifdef MADV_POPULATE_WRITE
    if (!options->sparse) /* or else each page comes with its first record */
        (void)madvise(ring.shared, ring.region.size, MADV_POPULATE_WRITE);
#endif
    *ret_ring = ring;
    return 0;
}

void yd_live_ring_destroy(struct yd_live_ring *ring)
{
    yd_live_region_destroy(&ring->region);
    yd_live_region_destroy(&ring->credit_region);
}

void yd_live_ring_set_state(struct yd_live_ring *ring, enum yd__live_state state)
{
    yd_live_region_set_state(&ring->region, state);
}

void yd_live_ring_commit(struct yd_live_ring *ring)
{
    if (ring->position == ring->committed) return;
    struct yd__ring *shared = ring->shared;
    bool will_stream = ring->position - ring->committed >= STREAM_MIN;
    /* What was streamed is there before head says so; and what will be does not overtake an earlier claim. */
    if (ring->streams || will_stream) yd__stream_fence();
    ring->streams = will_stream;
    yd__store(&shared->before, ring->ordinal, RELAXED);
    /* Release pairs with the acquire of head by readers: the records below it are there, and `before` is its own. */
    yd__store(&shared->head, ring->position, RELEASE);
    /* Pairs with the acquire of `after` in start_at_head (ring_read.c): the head is at least this one's. */
    yd__store(&shared->after, ring->ordinal, RELEASE);
    ring->committed = ring->position;
}

/* Lossless: may we write up to `end`? */
static bool has_credit(struct yd_live_ring *ring, uint64_t end)
{
    if ((int64_t)(end - ring->limit) <= 0) return true;
    /* Pairs with the release in yd_live_ring_credit: what the reader read below it, it has read. */
    uint64_t consumed = yd__load(&ring->credit->consumed, ACQUIRE);
    if (ring->committed - consumed > ring->size) return false; /* nothing a reader could have consumed: damaged */
    if ((int64_t)(consumed + ring->size - ring->limit) > 0) ring->limit = consumed + ring->size;
    return (int64_t)(end - ring->limit) <= 0;
}

/* Lossy: says what will be overwritten, well ahead, so that the word changes seldom. */
static void claim(struct yd_live_ring *ring, uint64_t end)
{
    if ((int64_t)(end - ring->claimed) <= 0) return;
    uint64_t stride = UINT64_C(1) << ring->segment_shift;
    ring->claimed = (end + stride - 1) & ~(stride - 1);
    yd__store(&ring->shared->claimed, ring->claimed, RELAXED);
    /* Pairs with the acquire fence in copy_record (ring_read.c): who reads a word stored below sees this claim. */
    yd__fence(RELEASE);
    if (ring->streams) yd__stream_fence();
}

static void mark(struct yd_live_ring *ring)
{
    uint64_t segment = ring->position >> ring->segment_shift;
    if (segment == ring->segment) return;
    ring->segment = segment;
    yd__store(&ring->shared->marks[segment % YD__RING_MARKS], ring->position, RELAXED); /* a hint: checked when used */
}

/* As yd__words_in. */
static void stream_words(uint64_t *to, const void *from, size_t size)
{
    const uint8_t *bytes = from;
    uint64_t word;
    for (; size >= 8; size -= 8, bytes += 8, to++) {
        memcpy(&word, bytes, 8);
        yd__stream(to, word);
    }
    if (size == 0) return;
    word = 0;
    memcpy(&word, bytes, size);
    yd__stream(to, word);
}

int yd_live_ring_put(struct yd_live_ring *ring, uint32_t index, int64_t time_ns, enum yd_type type, uint16_t flags,
                     const void *bytes, uint32_t size)
{
    if (YD_UNLIKELY(size > ring->size / 4 - YD__RING_RECORD_HEADER)) return YD_ETOOBIG;
    uint64_t whole = YD__RING_RECORD_HEADER + YD_ALIGN_UP((uint64_t)size, 8);
    uint64_t offset = ring->position & ring->mask, left = ring->size - offset;
    uint64_t filling = left < whole ? left : 0;
    uint64_t end = ring->position + filling + whole;
    if (ring->credit) {
        if (!has_credit(ring, end)) {
            yd_live_ring_commit(ring);
            return YD_EAGAIN;
        }
    } else {
        claim(ring, end);
    }
    uint64_t *words = (uint64_t *)(ring->data + offset);
    if (filling) {
        yd__store(&words[0], YD__RECORD_WORD(filling, YD__RING_FILLING), RELAXED);
        ring->position += filling;
        words = (uint64_t *)ring->data;
    }
    mark(ring);
    uint64_t head[4] = {YD__RECORD_WORD(whole, index), ring->ordinal, (uint64_t)time_ns, YD__META(size, type, flags)};
    if (ring->streams) {
        stream_words(words, head, sizeof head);
        stream_words(&words[4], bytes, size);
    } else {
        yd__words_in(words, head, sizeof head);
        yd__words_in(&words[4], bytes, size);
    }
    ring->ordinal++;
    ring->position = end;
    return 0;
}

uint32_t *yd_live_ring_arm(struct yd_live_ring *ring, uint32_t *ret_seen)
{
    /* As yd__bell_arm, the other way round: acquire pairs with the exchange in yd_live_ring_credit. */
    *ret_seen = yd__fetch_or(&ring->credit->room, UINT32_C(1), ACQUIRE) | 1;
    return &ring->credit->room;
}
