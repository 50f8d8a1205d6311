/* log/get.c: every record of exactly one name.
 *
 *   for each segment:  sealed, with a good name index ─▶ the name's seqnos ─▶ for each: the footer's index, then the
 *                      frames' headers from there ─▶ the batch, checked, has that name there? ─▶ visit
 *                      else, or when anything disagrees ─▶ a reader, from behind what was visited
 *
 * An index only says where to look: what is visited was read from the segment and has the name. Bounded by one list and
 * one batch. */
#include <stdlib.h>
#include <string.h>

#include "log/keys.h"
#include "log/mend.h"
#include "log/reader.h"

#define GET_STEP ((size_t)64 << 10)

struct get {
    struct yd_log_reader *reader;
    struct yd_str name;
    int (*visit)(void *arg, const struct yd_batch *batch, uint32_t record);
    void (*gap)(void *arg, const struct yd_log_gap *gap);
    void *arg;
    uint64_t from; /* everything below is done */
    int stopped;   /* what visit returned */
};

static int visit_record(struct get *get, const struct yd_batch *batch, uint32_t record)
{
    get->stopped = get->visit(get->arg, batch, record);
    get->from = batch->header.base_seqno + record + 1;
    return get->stopped;
}

/* ---- by reading ---- */

static int visit_batch(struct get *get, const struct yd_batch *batch)
{
    const struct yd_view *view = &batch->view;
    uint64_t hash = yd_hash_str(get->name);
    uint32_t skip = (uint32_t)(get->from - YD_MIN(get->from, batch->header.base_seqno));
    bool any = false;
    for (uint32_t i = 0; i < view->name_count && !any; i++)
        any = view->names[i].hash == hash && yd_str_eq(yd_view_name(view, i), get->name);
    for (uint32_t i = skip; any && i < view->count; i++) {
        uint32_t name = view->records[i].name;
        if (view->names[name].hash != hash || !yd_str_eq(yd_view_name(view, name), get->name)) continue;
        if (visit_record(get, batch, i)) return get->stopped;
    }
    return 0;
}

/* Reads on up to seqno `to`. YD_EAGAIN: there is no more. */
static int read_to(struct get *get, uint64_t to)
{
    struct yd_log_reader *reader = get->reader;
    yd__reader_leave(reader);
    reader->seqno = YD_MAX(get->from, reader->seqno);
    while (reader->seqno < to) {
        struct yd_batch *batch;
        struct yd_log_gap gap;
        int error = yd_log_reader_next(reader, &batch, &gap);
        if (error == YD_EGAP) {
            if (get->gap) get->gap(get->arg, &gap);
            if (gap.to < gap.from) get->from = gap.to;
            continue;
        }
        if (error) return error;
        (void)visit_batch(get, batch);
        get->from = get->stopped ? get->from : batch->header.base_seqno + batch->header.count;
        yd_batch_unref(batch);
        if (get->stopped) return 0;
    }
    return 0;
}

/* ---- by the index ---- */

struct place {
    struct yd_file *file;
    struct yd__footer footer;
    struct yd__index_entry *entries;
    struct yd__window window;
    uint64_t offset, seqno; /* a frame, and its first record; offset 0: nowhere yet */
    struct yd_batch *batch; /* the last one read */
};

/* To the entry at or before a seqno, unless the place is between them already. */
static void jump(struct place *place, uint64_t seqno)
{
    uint32_t low = 0, high = place->footer.index_count;
    if (high == 0 || place->entries[0].seqno > seqno) return;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (place->entries[middle].seqno <= seqno)
            low = middle;
        else
            high = middle;
    }
    if (place->offset && place->seqno >= place->entries[low].seqno) return;
    place->offset = place->entries[low].offset;
    place->seqno = place->entries[low].seqno;
}

/* The batch that holds a seqno, in place->batch. Anything but what should be there is YD_ECORRUPT. */
static int fetch(struct place *place, uint64_t seqno)
{
    const struct yd_batch *last = place->batch;
    if (last && seqno < last->header.base_seqno + last->header.count) return 0;
    yd_batch_unref(place->batch);
    place->batch = NULL;
    jump(place, seqno);
    while (place->offset && place->offset % YD_BATCH_ALIGN == 0 && place->offset < place->footer.data_end) {
        struct yd_header header;
        int found = yd__frame_at(&place->window, place->offset, place->footer.log_id, false, &header);
        if (found < 0) return found == YD_ENOMEM ? found : YD_ECORRUPT;
        if (found != YD__FOUND_FRAME || header.base_seqno != place->seqno) return YD_ECORRUPT;
        if (seqno < header.base_seqno + header.count) {
            const char *bytes;
            size_t have;
            int error = yd__window_get(&place->window, place->offset, header.size, &bytes, &have);
            if (!error && have == header.size) error = yd_batch_from_bytes(bytes, have, &place->batch);
            return error == YD_ENOMEM ? error : place->batch ? 0 : YD_ECORRUPT;
        }
        place->seqno += header.count;
        place->offset += header.size;
    }
    return YD_ECORRUPT;
}

static int visit_postings(struct get *get, struct place *place, struct yd__postings *postings)
{
    uint64_t seqno;
    int more;
    while ((more = yd__postings_next(postings, &seqno)) == 1) {
        if (seqno < get->from) continue;
        int error = fetch(place, seqno);
        if (error) return error;
        const struct yd_view *view = &place->batch->view;
        uint32_t record = (uint32_t)(seqno - place->batch->header.base_seqno);
        if (record >= view->count || !yd_str_eq(yd_view_name(view, view->records[record].name), get->name))
            return YD_ECORRUPT;
        if (visit_record(get, place->batch, record)) return 0;
    }
    return more;
}

/* 0: the segment is done, or visit stopped. Else it is to be read. */
static int by_index(struct get *get, uint64_t base, uint64_t next)
{
    const struct yd_log_reader *reader = get->reader;
    struct place place = {0};
    struct yd__keys *keys = NULL;
    uint32_t at;
    int error = yd__segment_open(reader->fs, reader->dir, base, &place.file);
    if (error) return error;
    yd__window_init(&place.window, place.file, GET_STEP);
    error = yd__footer_read(place.file, reader->log_id, &place.footer, &place.entries);
    if (!error && (place.footer.base_seqno != base || place.footer.next_seqno != next)) error = YD_ECORRUPT;
    bool may =
        !error && yd__range_may_hold(place.footer.name_min, place.footer.name_max, YD__RANGE_NAME_SIZE, get->name);
    if (may) error = yd__keys_open(reader->fs, reader->dir, base, &place.footer, &keys);
    if (!error && may && yd__keys_find(keys, get->name, &at)) {
        struct yd__postings postings;
        error = yd__postings_read(keys, at, &postings);
        if (!error) {
            error = visit_postings(get, &place, &postings);
            yd__postings_fini(&postings);
        }
    }
    if (!error && !get->stopped) get->from = next;
    yd__keys_close(keys);
    yd_batch_unref(place.batch);
    free(place.entries);
    yd__window_fini(&place.window);
    yd_file_close(place.file);
    return error;
}

int yd__log_get(struct yd_fs *fs, const char *dir, struct yd_str name,
                int (*visit)(void *arg, const struct yd_batch *batch, uint32_t record),
                void (*gap)(void *arg, const struct yd_log_gap *gap), void *arg, struct yd_trail *trail)
{
    if (!fs) fs = yd_fs_linux();
    struct get get = {.name = name, .visit = visit, .gap = gap, .arg = arg};
    struct yd_log_start start = {.from = YD_FROM_OLDEST, .level = YD_ACK_DURABLE};
    int error = yd_log_reader_open_dir(fs, dir, &start, &get.reader, trail);
    if (error) return error;
    uint64_t *bases = NULL;
    uint32_t count = 0;
    get.from = get.reader->seqno;
    error = yd__list_segments(fs, dir, &bases, &count);
    for (uint32_t i = 0; i < count && !error && !get.stopped; i++) {
        uint64_t next = i + 1 < count ? bases[i + 1] : UINT64_MAX;
        if (next <= get.from) continue;
        bool indexed = next != UINT64_MAX && get.from >= bases[i] && next <= get.reader->end &&
                       by_index(&get, bases[i], next) == 0;
        if (!indexed) error = read_to(&get, next);
    }
    free(bases);
    yd_log_reader_close(get.reader);
    if (get.stopped) return get.stopped;
    return error == YD_EAGAIN ? 0 : error;
}

int yd_log_get_dir(struct yd_fs *fs, const char *dir, struct yd_str name,
                   int (*visit)(void *arg, const struct yd_batch *batch, uint32_t record), void *arg,
                   struct yd_trail *trail)
{
    return yd__log_get(fs, dir, name, visit, NULL, arg, trail);
}
