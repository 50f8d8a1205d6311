/* live/ring_read.c: reading records in order. libc only.
 *
 *   head, acquire ─▶ words ─ acquire fence ─▶ claimed: has the writer come round? then throw away, go on at a mark
 *
 * Each record bears its ordinal, so what is missing is counted exactly, wherever reading goes on. */
#include "live/ring_read.h"

#include <stdbool.h>

#include "live/atomic.h"
#include "live/futex.h"

#define TRIES_MAX 1000

/* Where the ring ends now, and the ordinal of what will come there. A writer that stands still, or was killed, between
 * the stores around head leaves that ordinal unknown: then the first record tells it, and counting begins there. */
static void start_at_head(struct yd_live_ring_reader *reader)
{
    const struct yd__ring *ring = reader->ring;
    for (int tries = 0; tries < TRIES_MAX && !reader->counted; tries++) {
        /* Pairs with the release of `after` in yd_live_ring_commit: the head is that one's or newer … */
        uint64_t after = yd__load(&ring->after, ACQUIRE);
        /* … and if newer, its release makes the load of `before` see that. */
        uint64_t head = yd__load(&ring->head, ACQUIRE);
        uint64_t before = yd__load(&ring->before, RELAXED);
        reader->position = reader->head = head;
        reader->ordinal = after;
        reader->counted = after == before;
    }
}

int yd_live_ring_reader_open(const struct yd_live_mapping *mapping, const struct yd_live_mapping *credit,
                             struct yd_live_ring_reader *ret_reader)
{
    const struct yd__ring *ring = (const struct yd__ring *)mapping->header;
    if (mapping->size < sizeof *ring + YD__RING_SIZE_MIN) return YD_EFORMAT;
    uint64_t place[2]; /* data_offset, data_size */
    yd__copy_once(place, &ring->data_offset, sizeof place);
    uint64_t offset = place[0], size = place[1];
    if (size < YD__RING_SIZE_MIN || size > YD__RING_SIZE_MAX || (size & (size - 1)) || offset < sizeof *ring ||
        !yd__live_inside(mapping->size, offset, size, YD__LIVE_LINE))
        return YD_EFORMAT;
    struct yd_live_ring_reader reader = {
        .ring = ring, .data = (const uint8_t *)ring + offset, .size = size, .mask = size - 1};
    if ((ring->lossless != 0) != (credit != NULL)) return YD_EFORMAT;
    if (!credit) {
        start_at_head(&reader);
    } else {
        if (credit->size < sizeof(struct yd__credit) || !credit->writable) return YD_EFORMAT;
        reader.credit = (struct yd__credit *)(uintptr_t)credit->header;
        reader.position = reader.head = reader.credited =
            yd__load(&reader.credit->consumed, RELAXED); /* our own word */
        if (reader.position % 8) return YD_EFORMAT;
    }
    *ret_reader = reader;
    return 0;
}

/* After an overrun: the oldest record that begins in the newer half, or else what comes next. */
static void go_on_at_mark(struct yd_live_ring_reader *reader)
{
    const struct yd__ring *ring = reader->ring;
    uint64_t head = yd__load(&ring->head, ACQUIRE); /* pairs with the release in commit: marks below it are there */
    uint64_t stride = reader->size / YD__RING_MARKS, half = reader->size / 2;
    unsigned shift = (unsigned)__builtin_ctzll(stride);
    reader->overruns++;
    reader->position = reader->head = head;
    if (head < half) return;
    for (uint64_t segment = (head - half + stride - 1) >> shift; segment < head >> shift; segment++) {
        uint64_t at = yd__load(&ring->marks[segment % YD__RING_MARKS], RELAXED);
        if (at >> shift != segment || at % 8) continue; /* no record begins there, or the writer came round */
        reader->position = at;
        return;
    }
}

/* 1: copied; 0: the writer came round meanwhile; YD_EFORMAT. *ret_whole: the record's size; the event's index ~0:
 * filling. */
static int copy_record(const struct yd_live_ring_reader *reader, void *to, uint32_t room,
                       struct yd_live_event *ret_event, uint64_t *ret_whole)
{
    uint64_t offset = reader->position & reader->mask, left = reader->size - offset;
    const uint64_t *words = (const uint64_t *)(const void *)(reader->data + offset);
    uint64_t first = yd__load(&words[0], RELAXED);
    uint64_t whole = (uint32_t)first, meta = 0;
    ret_event->index = (uint32_t)(first >> 32);
    bool filling = ret_event->index == YD__RING_FILLING;
    /* What does not fit is torn, or damaged: after the claim was looked at it is known which. */
    bool fits = whole % 8 == 0 && whole <= left && whole <= reader->head - reader->position &&
                (filling ? whole == left : whole >= YD__RING_RECORD_HEADER);
    if (fits && !filling) {
        ret_event->ordinal = yd__load(&words[1], RELAXED);
        ret_event->time_ns = (int64_t)yd__load(&words[2], RELAXED);
        meta = yd__load(&words[3], RELAXED);
        uint32_t size = YD__META_SIZE(meta);
        fits = size <= whole - YD__RING_RECORD_HEADER;
        ret_event->bits = fits && size ? yd__load(&words[4], RELAXED) : 0;
        if (fits && to) yd__words_out(to, words + 4, size < room ? size : room);
    }
    if (!reader->credit) {
        /* Pairs with the release fence in claim (ring_write.c): if any word above is of a later round, so is the claim.
         */
        yd__fence(ACQUIRE);
        if (yd__load(&reader->ring->claimed, RELAXED) - reader->position > reader->size) return 0;
    }
    if (!fits) return YD_EFORMAT;
    ret_event->size = YD__META_SIZE(meta);
    ret_event->type = YD__META_TYPE(meta);
    ret_event->flags = YD__META_FLAGS(meta);
    *ret_whole = whole;
    return 1;
}

int yd_live_ring_ready(struct yd_live_ring_reader *reader)
{
    if (reader->position != reader->head) return 1;
    reader->head = yd__load(&reader->ring->head, ACQUIRE); /* pairs with the release in yd_live_ring_commit */
    return reader->position != reader->head;
}

int yd_live_ring_next(struct yd_live_ring_reader *reader, void *to, uint32_t room, struct yd_live_event *ret_event)
{
    for (int tries = 0; tries < TRIES_MAX;) {
        if (!yd_live_ring_ready(reader)) return 0;
        uint64_t whole = 0;
        int got = reader->head - reader->position > reader->size ? 0 : copy_record(reader, to, room, ret_event, &whole);
        if (got < 0) return got;
        if (got == 0) {
            if (reader->credit) return YD_EFORMAT; /* a lossless writer does not come round */
            go_on_at_mark(reader);
            tries++;
            continue;
        }
        reader->position += whole;
        if (ret_event->index == YD__RING_FILLING) continue;
        ret_event->lost = reader->counted ? ret_event->ordinal - reader->ordinal : 0;
        reader->lost += ret_event->lost;
        reader->ordinal = ret_event->ordinal + 1;
        reader->counted = 1;
        if (reader->credit && reader->position - reader->credited >= reader->size / 8) yd_live_ring_credit(reader);
        return 1;
    }
    return YD_EBUSY;
}

void yd_live_ring_credit(struct yd_live_ring_reader *reader)
{
    if (!reader->credit || reader->credited == reader->position) return;
    reader->credited = reader->position;
    /* Release pairs with the acquire in has_credit (ring_write.c): what lies below was read. */
    yd__store(&reader->credit->consumed, reader->position, RELEASE);
    /* As a bell, the other way round: release pairs with the fetch_or in yd_live_ring_arm. The count tells rings apart.
     */
    uint32_t ring = (uint32_t)(reader->position / 8) << 1;
    if (yd__exchange(&reader->credit->room, ring, RELEASE) & 1) yd__futex_wake_all(&reader->credit->room);
}
