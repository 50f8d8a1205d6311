/* Folding: a batch's records into series.
 *
 *   for each run of records: name → id from the batch's map; names not met yet are looked up together, each step of all
 *   before the next step of any (slot, series head, label and open stream), so that their cache misses overlap;
 *   then each record is appended.
 *
 * What can fail: memory (the records before are in, the caller may go on from there). What is refused is counted. */
#include <yarder/name.h>

#include "store/internal.h"

#define GROUP        32
#define MAP_UNKNOWN  UINT32_MAX
#define MAP_REFUSED  (UINT32_MAX - 1) /* a new series at the cap */
#define MAP_NAMELESS (UINT32_MAX - 2) /* not a name */

/* A slice is about a millisecond: what things cost, in units of about 10 ns. */
#define SLICE_UNITS 100000
#define COST_RECORD 2
#define COST_LOOKUP 6
#define COST_ADD    150

#define MEMORY_DEFAULT (UINT64_C(512) << 20)
/* A clock ahead of the log's own by more than this does not age the others' samples out. */
#define AHEAD_MAX (600 * YD_NS_PER_S)

static void *meter_resize(struct yd_alloc *self, void *ptr, size_t old_size, size_t new_size)
{
    struct yd__meter *meter = YD_CONTAINER(self, struct yd__meter, alloc);
    void *fresh = yd_alloc_resize(meter->below, ptr, old_size, new_size);
    if (!fresh && new_size) return NULL;
    if (ptr) meter->bytes -= YD_ALIGN_UP(old_size + 8, 16);
    if (new_size) meter->bytes += YD_ALIGN_UP(new_size + 8, 16);
    return fresh;
}

int yd_history_create(const struct yd_history_options *options, struct yd_history **ret_history)
{
    struct yd_alloc *below = options->alloc ? options->alloc : yd_alloc_default();
    struct yd_history *history = yd_alloc_zero(below, sizeof *history);
    if (!history) return YD_ENOMEM;
    history->options = *options;
    history->options.alloc = below;
    if (!options->memory_max) history->options.memory_max = MEMORY_DEFAULT;
    history->index_meter = (struct yd__meter){{meter_resize}, below, 0};
    history->column_meter = (struct yd__meter){{meter_resize}, below, 0};
    history->newest = INT64_MIN;
    history->counts.time_min = INT64_MAX;
    history->counts.time_max = INT64_MIN;
    yd__index_init(&history->index, &history->index_meter.alloc);
    for (unsigned i = 0; i < YD_COUNT(history->scratch); i++) {
        history->scratch[i] = yd_alloc_get(below, sizeof *history->scratch[i]);
        if (!history->scratch[i]) {
            yd_history_destroy(history);
            return YD_ENOMEM;
        }
    }
    history->pieces = yd_alloc_get(below, YD__PIECES_MEMORY * sizeof *history->pieces);
    if (!history->pieces) {
        yd_history_destroy(history);
        return YD_ENOMEM;
    }
    *ret_history = history;
    return YD_OK;
}

void yd_history_destroy(struct yd_history *history)
{
    if (!history) return;
    struct yd_alloc *below = history->options.alloc, *alloc = &history->index_meter.alloc;
    for (uint32_t id = 0; id < history->id_count; id++) {
        if (!history->pages[id / YD__PAGE]) continue;
        struct yd__series *series = yd__series_at(history, id);
        if (!series->label) continue;
        yd__series_clear(history, series);
        const struct yd__label *label = series->label;
        yd_alloc_put(alloc, series->label,
                     sizeof *label + label->tag_count * sizeof label->pairs[0] + label->name_size);
    }
    for (uint32_t i = 0; i < history->page_count; i++)
        if (history->pages[i]) yd_alloc_put(alloc, history->pages[i], YD__PAGE * sizeof **history->pages);
    yd_alloc_put(alloc, history->pages, history->page_room * sizeof *history->pages);
    yd_alloc_put(alloc, history->page_live, history->page_room * sizeof *history->page_live);
    yd__heap_fini(history);
    yd__flush_fini(history);
    yd__cuts_fini(&history->cuts, alloc);
    yd__notes_fini(history);
    yd__index_fini(&history->index);
    yd_alloc_put(alloc, history->map, history->map_room * sizeof *history->map);
    YD_ASSERT(history->index_meter.bytes == 0 && history->column_meter.bytes == 0);
    for (unsigned i = 0; i < YD_COUNT(history->scratch); i++)
        yd_alloc_put(below, history->scratch[i], sizeof *history->scratch[i]);
    if (history->blocks) yd_alloc_put(below, history->blocks, history->block_room * sizeof *history->blocks);
    if (history->pieces)
        yd_alloc_put(below, history->pieces,
                     ((size_t)history->block_room + YD__PIECES_MEMORY) * sizeof *history->pieces);
    yd_alloc_put(below, history, sizeof *history);
}

void yd_history_counts(const struct yd_history *history, struct yd_history_counts *ret)
{
    *ret = history->counts;
    ret->series = history->live;
    ret->memory_bytes = yd__memory(history);
}

/* The map survives from slice to slice of one batch; names met in an earlier slice stay known. */
static int map_open(struct yd_history *history, const struct yd_batch *batch, uint32_t from)
{
    uint32_t names = batch->view.name_count;
    bool same = from && history->map_batch == batch && history->map_next == from &&
                history->map_crc == batch->header.body_crc && history->map_count == names;
    if (same) return YD_OK;
    if (names > history->map_room) {
        uint32_t room = YD_MAX(names, 1024);
        uint32_t *map = yd_alloc_resize(&history->index_meter.alloc, history->map, history->map_room * sizeof *map,
                                        room * sizeof *map);
        if (!map) return YD_ENOMEM;
        history->map = map;
        history->map_room = room;
    }
    memset(history->map, 0xff, names * sizeof *history->map);
    history->map_batch = batch;
    history->map_crc = batch->header.body_crc;
    history->map_count = names;
    return YD_OK;
}

/* Whether it was written as the canonical form would be: sorted, and no byte that is not in it. */
static bool is_canonical(const struct yd_name *name, size_t size)
{
    size_t sum = name->metric.size;
    for (uint32_t i = 0; i < name->tag_count; i++) sum += name->tags[i].key.size + name->tags[i].value.size + 2;
    return name->sorted && sum == size;
}

/* The cold way: the hash may be anybody's, the name may want sorting, the series may be new. `missed`: by this text and
 * this hash it was looked for just now. */
static int add_name(struct yd_history *history, struct yd_str text, uint64_t missed, uint32_t *ret_id)
{
    struct yd_name name;
    char canonical[YD_NAME_SIZE_MAX + 1];
    *ret_id = MAP_NAMELESS;
    if (text.size > YD_NAME_SIZE_MAX || yd_name_parse(text, &name, NULL) < 0) return YD_OK;
    if (YD_UNLIKELY(!is_canonical(&name, text.size))) {
        size_t size;
        if (yd_name_format(&name, canonical, &size) < 0) return YD_OK;
        text = (struct yd_str){canonical, size};
        missed = 0;
        if (yd_name_parse(text, &name, NULL) < 0) return YD_OK;
    }
    uint64_t hash = yd_hash_str(text);
    uint32_t id = missed == hash && hash ? YD__NONE : yd__index_find(history, text, hash);
    if (id != YD__NONE) {
        *ret_id = id;
        return YD_OK;
    }
    /* Names and heads may fill half of the memory: a history that is full of samples still takes new series, one that
     * is full of series does not. */
    const struct yd_history_options *options = &history->options;
    *ret_id = MAP_REFUSED;
    if ((options->series_max && history->live >= options->series_max) ||
        history->index_meter.bytes + 256 + text.size > options->memory_max / 2) {
        history->counts.refused_series++;
        return YD_OK;
    }
    id = history->id_count;
    int error = yd__index_add(history, &name, text, hash, id);
    if (!error) *ret_id = id;
    if (error == YD_EFULL) history->counts.refused_series++;
    return error == YD_ENOMEM ? error : YD_OK;
}

/* Looks up the names of records [first, first + count) that the map does not know. Batches of one source name the same
 * series in the same order again and again: so the id after the last one found is tried first, which needs no slot. */
static int lookup(struct yd_history *history, const struct yd_view *view, uint32_t first, uint32_t count,
                  uint32_t *cost)
{
    uint32_t wanted[GROUP], guesses[GROUP], want = 0, *map = history->map, follow = history->last_found + 1;
    for (uint32_t i = 0; i < count; i++) {
        const struct yd_record *record = &view->records[first + i];
        uint32_t id = map[record->name];
        if (YD_LIKELY(id != MAP_UNKNOWN)) {
            if (id < MAP_NAMELESS && history->pages[id / YD__PAGE]) __builtin_prefetch(yd__series_at(history, id));
            continue;
        }
        if (!(YD_KINDS_NUMERIC >> record->kind & 1)) continue;
        guesses[want] = follow + want;
        if (guesses[want] < history->id_count && history->pages[guesses[want] / YD__PAGE])
            __builtin_prefetch(yd__series_at(history, guesses[want]));
        else
            guesses[want] = YD__NONE;
        if (!history->in_order) yd__index_prefetch(&history->index, view->names[record->name].hash);
        wanted[want++] = record->name;
    }
    if (!want) return YD_OK;
    uint32_t in_order = 0;
    for (uint32_t i = 0; i < want; i++) {
        uint64_t hash = view->names[wanted[i]].hash;
        if (guesses[i] != YD__NONE && yd__series_at(history, guesses[i])->stream.spare == (uint8_t)(hash >> 32)) {
            in_order++;
            continue;
        }
        guesses[i] = yd__index_guess(&history->index, hash);
        if (guesses[i] != YD__NONE) __builtin_prefetch(yd__series_at(history, guesses[i]));
    }
    history->in_order = in_order * 2 > want;
    for (uint32_t i = 0; i < want; i++) {
        if (guesses[i] == YD__NONE) continue;
        const struct yd__series *series = yd__series_at(history, guesses[i]);
        const char *label = (const char *)series->label;
        if (YD_UNLIKELY(!label)) continue;
        __builtin_prefetch(label);
        __builtin_prefetch(label + 64);
        if (series->open) __builtin_prefetch(series->open + series->stream.used, 1);
    }
    for (uint32_t i = 0; i < want; i++) {
        if (map[wanted[i]] != MAP_UNKNOWN) continue; /* twice in this run */
        struct yd_str name = yd_view_name(view, wanted[i]);
        uint32_t id = guesses[i];
        const struct yd__label *label = id == YD__NONE ? NULL : yd__series_at(history, id)->label;
        *cost += COST_LOOKUP;
        if (!label || !yd_str_eq(yd__label_name(label), name))
            id = yd__index_find(history, name, view->names[wanted[i]].hash);
        if (YD_UNLIKELY(id == YD__NONE)) {
            int error = add_name(history, name, view->names[wanted[i]].hash, &id);
            if (error) return error;
            *cost += COST_ADD;
        }
        map[wanted[i]] = id;
        if (id < MAP_NAMELESS) history->last_found = id;
    }
    return YD_OK;
}

/* Samples before this are too old to keep. */
static int64_t keep_from(const struct yd_history *history)
{
    int64_t keep = history->options.keep_ns, from;
    return keep <= 0 || __builtin_sub_overflow(history->newest, keep, &from) ? INT64_MIN : from;
}

/* One record into its series. `ahead` bounds what counts as the newest time. */
static int append(struct yd_history *history, const struct yd_view *view, const struct yd_record *record, int64_t ahead)
{
    struct yd_history_counts *counts = &history->counts;
    if (YD_UNLIKELY(!(YD_KINDS_NUMERIC >> record->kind & 1))) {
        counts->ignored++;
        return YD_OK;
    }
    uint32_t id = history->map[record->name];
    struct yd__series *series = NULL;
    if (YD_LIKELY(id < MAP_NAMELESS)) {
        series = yd__series_get(history, id);
        if (YD_UNLIKELY(!series)) { /* it went since it was looked up */
            int error = add_name(history, yd_view_name(view, record->name), 0, &id);
            if (error) return error;
            history->map[record->name] = id;
            if (id < MAP_NAMELESS) series = yd__series_at(history, id);
        }
    }
    if (YD_UNLIKELY(!series)) {
        if (id == MAP_REFUSED)
            counts->refused_samples++;
        else
            counts->ignored++;
        return YD_OK;
    }
    if (YD_UNLIKELY(record->flags & YD_RECORD_TOMBSTONE)) {
        counts->ignored++;
        counts->evicted_samples += yd__series_points(series);
        yd__notes_cut(history, yd_history_tsuid(yd__label_name(series->label)), INT64_MAX);
        yd__store_heap_remove(history, id);
        yd__index_remove(history, id);
        return YD_OK;
    }
    if (YD_UNLIKELY(record->type < YD_BOOL || record->type > YD_F64 || record->time_ns == INT64_MIN)) {
        counts->ignored++;
        return YD_OK;
    }
    if (record->time_ns > history->newest) {
        history->newest = YD_MAX(history->newest, YD_MIN(record->time_ns, ahead));
    } else if (YD_UNLIKELY(record->time_ns < keep_from(history))) {
        counts->late++;
        return YD_OK;
    }
    struct yd__stream *stream = &series->stream;
    if (YD_LIKELY(record->time_ns > stream->time && stream->count && stream->count < YD__OPEN_MAX &&
                  stream->used + YD__TOKEN_MAX <= stream->room)) {
        stream->used = (uint16_t)(stream->used + yd__stream_put(series->open + stream->used, stream, record->time_ns,
                                                                record->type, record->value.bits));
        stream->count++;
    } else {
        int error = yd__series_append(history, id, record->time_ns, record->type, record->value.bits);
        if (error) return error;
    }
    if (record->time_ns < counts->time_min) counts->time_min = record->time_ns;
    if (record->time_ns > counts->time_max) counts->time_max = record->time_ns;
    counts->stored++;
    history->unflushed = true;
    return YD_OK;
}

/* Makes room at the cap, and lets the old go. */
static int settle(struct yd_history *history)
{
    int64_t from = keep_from(history);
    const struct yd__heap *heap = &history->heap;
    if (history->options.durable) return YD_OK; /* points go into blocks, and by whole blocks */
    bool full = yd__memory(history) > history->options.memory_max;
    bool old = history->options.keep_ns > 0 && (!heap->built || (heap->count && heap->entries[0].key < from));
    return full || old ? yd__heap_evict(history, history->options.memory_max, from) : YD_OK;
}

int yd_history_fold(struct yd_history *history, const struct yd_batch *batch, uint32_t from, uint32_t *ret_done)
{
    return yd_history_fold_to(history, batch, from, batch->view.count, ret_done);
}

int yd_history_fold_to(struct yd_history *history, const struct yd_batch *batch, uint32_t from, uint32_t to,
                       uint32_t *ret_done)
{
    const struct yd_view *view = &batch->view;
    uint32_t cost = 0, done = from;
    if (batch->header.codec != YD_CODEC_NONE) return YD_ENOTSUP;
    if (from > to || to > view->count) return YD_EINVAL;
    int error = map_open(history, batch, from);
    int64_t append_time = batch->header.append_time, ahead = INT64_MAX;
    if (append_time > 0 && append_time < INT64_MAX - AHEAD_MAX) ahead = append_time + AHEAD_MAX;
    while (!error && done < to && (!ret_done || cost < SLICE_UNITS)) {
        uint32_t end = done + YD_MIN(to - done, (uint32_t)GROUP);
        cost += (end - done) * COST_RECORD;
        error = lookup(history, view, done, end - done, &cost);
        while (!error && done < end) {
            error = append(history, view, &view->records[done], ahead);
            if (!error) done++;
        }
        if (!error) error = settle(history);
    }
    history->map_next = done;
    if (ret_done) *ret_done = done;
    return error;
}
