/* log/producers.c: what is known of each producer: the last of its input that the stream has.
 *
 * A hash table with open addressing. There are two in a log: one as appended, asked by each append; one as written,
 * which alone may go into segment heads and indexes: a head that knew a batch which a crash then took would make its
 * sender's repetition look like a duplicate, and lose it. Bounded: at YD__PRODUCERS_MAX the one silent longest goes. */
#include <stdlib.h>
#include <string.h>

#include "log/internal.h"

#define SLOTS_FIRST 16

static uint64_t spread(uint64_t id)
{
    id ^= id >> 32;
    id *= UINT64_C(0x9e3779b97f4a7c15);
    return id ^ id >> 29;
}

int yd__producers_init(struct yd__producers *producers)
{
    *producers = (struct yd__producers){.mask = SLOTS_FIRST - 1};
    producers->slots = calloc(SLOTS_FIRST, sizeof *producers->slots);
    return producers->slots ? 0 : YD_ENOMEM;
}

void yd__producers_fini(struct yd__producers *producers)
{
    free(producers->slots);
    *producers = (struct yd__producers){0};
}

void yd__producers_clear(struct yd__producers *producers)
{
    memset(producers->slots, 0, (producers->mask + (size_t)1) * sizeof *producers->slots);
    producers->count = 0;
}

static struct yd__producer_entry *slot_of(const struct yd__producers *producers, uint64_t id)
{
    uint32_t at = (uint32_t)spread(id) & producers->mask;
    while (producers->slots[at].id != 0 && producers->slots[at].id != id) at = (at + 1) & producers->mask;
    return &producers->slots[at];
}

struct yd__producer_entry *yd__producers_find(const struct yd__producers *producers, uint64_t id)
{
    struct yd__producer_entry *entry = slot_of(producers, id);
    return entry->id == id && id != 0 ? entry : NULL;
}

/* Rebuilds the table with only those that are newer than `before`, in `capacity` slots. */
static int rebuild(struct yd__producers *producers, uint32_t capacity, int64_t before)
{
    struct yd__producers fresh = {.mask = capacity - 1};
    fresh.slots = calloc(capacity, sizeof *fresh.slots);
    if (!fresh.slots) return YD_ENOMEM;
    for (uint32_t i = 0; i <= producers->mask; i++) {
        const struct yd__producer_entry *entry = &producers->slots[i];
        if (entry->id == 0 || entry->append_time < before) continue;
        *slot_of(&fresh, entry->id) = *entry;
        fresh.count++;
    }
    free(producers->slots);
    *producers = fresh;
    return 0;
}

static int drop_oldest(struct yd__producers *producers)
{
    int64_t oldest = INT64_MAX;
    for (uint32_t i = 0; i <= producers->mask; i++)
        if (producers->slots[i].id != 0) oldest = YD_MIN(oldest, producers->slots[i].append_time);
    if (oldest == INT64_MAX) return 0;
    return rebuild(producers, producers->mask + 1, oldest + 1);
}

int yd__producers_room(struct yd__producers *producers)
{
    if (producers->count >= YD__PRODUCERS_MAX) return drop_oldest(producers);
    if ((producers->count + 1) * 2 <= producers->mask + 1) return 0;
    return rebuild(producers, (producers->mask + 1) * 2, INT64_MIN);
}

int yd__producers_reserve(struct yd__producers *producers, struct yd_batch *const *group, uint32_t count)
{
    uint32_t fresh = 0, capacity = producers->mask + 1;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t id = group[i]->header.producer_id;
        fresh += id != 0 && slot_of(producers, id)->id == 0;
    }
    fresh = YD_MIN(fresh, (uint32_t)YD__PRODUCERS_MAX / 2);
    while (producers->count > 0 && producers->count + fresh > YD__PRODUCERS_MAX) {
        int error = drop_oldest(producers);
        if (error) return error;
    }
    while ((producers->count + fresh) * 2 > capacity) capacity *= 2;
    return capacity > producers->mask + 1 ? rebuild(producers, capacity, INT64_MIN) : 0;
}

int yd__producers_put(struct yd__producers *producers, const struct yd__producer_entry *entry)
{
    if (entry->id == 0) return 0;
    struct yd__producer_entry *slot = slot_of(producers, entry->id);
    if (slot->id == 0) {
        int error = yd__producers_room(producers);
        if (error) return error;
        slot = slot_of(producers, entry->id);
        producers->count++;
    }
    *slot = *entry;
    return 0;
}

int yd__producers_note(struct yd__producers *producers, const struct yd_header *header)
{
    if (header->producer_id == 0) return 0;
    struct yd__producer_entry entry = {
        .id = header->producer_id,
        .seq = header->producer_seq,
        .next_seqno = header->base_seqno + header->count,
        .append_time = header->append_time,
        .epoch = header->producer_epoch,
        .count = header->count,
    };
    return yd__producers_put(producers, &entry);
}

void yd__producers_expire(struct yd__producers *producers, int64_t before)
{
    for (uint32_t i = 0; i <= producers->mask; i++)
        if (producers->slots[i].id != 0 && producers->slots[i].append_time < before) {
            (void)rebuild(producers, producers->mask + 1, before); /* without memory they are merely kept longer */
            return;
        }
}

uint32_t yd__producers_list(const struct yd__producers *producers, struct yd__producer_entry *to, uint32_t room)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i <= producers->mask && count < room; i++)
        if (producers->slots[i].id != 0) to[count++] = producers->slots[i];
    return count;
}

int yd__producers_copy(struct yd__producers *to, const struct yd__producers *from)
{
    size_t size = (from->mask + (size_t)1) * sizeof *from->slots;
    struct yd__producer_entry *slots = malloc(size);
    if (!slots) return YD_ENOMEM;
    memcpy(slots, from->slots, size);
    free(to->slots);
    *to = *from;
    to->slots = slots;
    return 0;
}
