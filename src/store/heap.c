/* Who goes first: series by the last time of their oldest chunk, in a heap of four branches. Its keys are lower bounds:
 * appends only make a series' oldest chunk younger, which is found out when it comes to the top. It is built the first
 * time that something must go, so a history below its cap pays nothing for it. */
#include "store/internal.h"

static void place(struct yd__heap *heap, uint32_t at, struct yd__oldest entry)
{
    heap->entries[at] = entry;
    heap->places[entry.id] = at;
}

static void up(struct yd__heap *heap, uint32_t at, struct yd__oldest entry)
{
    for (; at && heap->entries[(at - 1) / 4].key > entry.key; at = (at - 1) / 4)
        place(heap, at, heap->entries[(at - 1) / 4]);
    place(heap, at, entry);
}

static void down(struct yd__heap *heap, uint32_t at, struct yd__oldest entry)
{
    for (;;) {
        uint64_t first = (uint64_t)at * 4 + 1;
        if (first >= heap->count) break;
        uint32_t least = (uint32_t)first, end = (uint32_t)YD_MIN(first + 4, heap->count);
        for (uint32_t i = least + 1; i < end; i++)
            if (heap->entries[i].key < heap->entries[least].key) least = i;
        if (heap->entries[least].key >= entry.key) break;
        place(heap, at, heap->entries[least]);
        at = least;
    }
    place(heap, at, entry);
}

static int reserve(struct yd_history *history, uint32_t id)
{
    struct yd__heap *heap = &history->heap;
    struct yd_alloc *alloc = &history->index_meter.alloc;
    if (id >= heap->place_room) {
        uint32_t room = YD_MAX(heap->place_room * 2, (id + YD__PAGE) / YD__PAGE * YD__PAGE);
        uint32_t *places =
            yd_alloc_resize(alloc, heap->places, heap->place_room * sizeof *places, room * sizeof *places);
        if (!places) return YD_ENOMEM;
        memset(places + heap->place_room, 0xff, (room - heap->place_room) * sizeof *places);
        heap->places = places;
        heap->place_room = room;
    }
    if (heap->count == heap->room) {
        uint32_t room = heap->room ? heap->room + heap->room / 2 : 64;
        struct yd__oldest *entries =
            yd_alloc_resize(alloc, heap->entries, heap->room * sizeof *entries, room * sizeof *entries);
        if (!entries) return YD_ENOMEM;
        heap->entries = entries;
        heap->room = room;
    }
    return YD_OK;
}

int yd__store_heap_add(struct yd_history *history, uint32_t id, int64_t key)
{
    struct yd__heap *heap = &history->heap;
    if (!heap->built || (id < heap->place_room && heap->places[id] != YD__NONE)) return YD_OK;
    int error = reserve(history, id);
    if (error) return error;
    up(heap, heap->count++, (struct yd__oldest){key, id});
    return YD_OK;
}

void yd__heap_fix(struct yd_history *history, uint32_t id)
{
    struct yd__heap *heap = &history->heap;
    int64_t key;
    if (!heap->built || id >= heap->place_room || heap->places[id] == YD__NONE) return;
    uint32_t at = heap->places[id];
    if (yd__series_oldest(yd__series_at(history, id), &key) && key < heap->entries[at].key)
        up(heap, at, (struct yd__oldest){key, id});
}

void yd__store_heap_remove(struct yd_history *history, uint32_t id)
{
    struct yd__heap *heap = &history->heap;
    if (!heap->built || id >= heap->place_room || heap->places[id] == YD__NONE) return;
    uint32_t at = heap->places[id];
    struct yd__oldest last = heap->entries[--heap->count];
    heap->places[id] = YD__NONE;
    if (at == heap->count) return;
    if (at && heap->entries[(at - 1) / 4].key > last.key)
        up(heap, at, last);
    else
        down(heap, at, last);
}

static int build(struct yd_history *history)
{
    history->heap.built = true;
    for (uint32_t id = 0; id < history->id_count; id++) {
        int64_t key;
        if (!history->pages[id / YD__PAGE]) continue;
        if (!yd__series_oldest(yd__series_at(history, id), &key)) continue;
        int error = yd__store_heap_add(history, id, key);
        if (error) {
            yd__heap_fini(history);
            return error;
        }
    }
    return YD_OK;
}

int yd__heap_evict(struct yd_history *history, uint64_t memory_max, int64_t time)
{
    struct yd__heap *heap = &history->heap;
    if (!heap->built) {
        int error = build(history);
        if (error) return error;
    }
    while (heap->count && (yd__memory(history) > memory_max || heap->entries[0].key < time)) {
        struct yd__oldest top = heap->entries[0];
        struct yd__series *series = yd__series_at(history, top.id);
        int64_t key;
        if (!yd__series_oldest(series, &key)) {
            yd__store_heap_remove(history, top.id);
            yd__index_remove(history, top.id);
        } else if (key > top.key) {
            down(heap, 0, (struct yd__oldest){key, top.id});
        } else {
            yd__series_evict(history, top.id);
        }
    }
    return YD_OK;
}

void yd__heap_fini(struct yd_history *history)
{
    struct yd__heap *heap = &history->heap;
    struct yd_alloc *alloc = &history->index_meter.alloc;
    yd_alloc_put(alloc, heap->entries, heap->room * sizeof *heap->entries);
    yd_alloc_put(alloc, heap->places, heap->place_room * sizeof *heap->places);
    *heap = (struct yd__heap){0};
}
