/* log/salvage.c: good batches out of any damaged file: a segment, a quarantine file, a disk's image.
 *
 *   ????? magic ?? | magic, header, body: both checksums right | ??? magic | …
 *         no       ▼ given, and the search goes on behind it
 *
 * Nothing is believed but the batch's own checksums: no head, no index, no alignment. A batch that somebody stored
 * inside a record of a good batch is not found, because the search goes on behind the whole; inside a damaged one it
 * may be: log_id tells them apart. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/internal.h"
#include "log/mend.h"
#include "log/twin.h"

#define SALVAGE_STEP ((size_t)1 << 20)

struct search {
    const struct yd_log_salvage *how;
    struct yd_log_salvage_report *report;
    struct yd__window window;
    uint64_t at, size, other; /* other: where what is no batch began */
};

/* The first byte at or behind search->at where the magic stands, or the end. */
static int find_magic(struct search *search)
{
    static const uint32_t magic = YD_BATCH_MAGIC;
    while (search->at + sizeof magic <= search->size) {
        uint64_t aligned = search->at & ~(uint64_t)(YD_BATCH_ALIGN - 1);
        const char *bytes;
        size_t have;
        int error = yd__window_get(&search->window, aligned, SALVAGE_STEP, &bytes, &have);
        if (error == YD_EIO) { /* not a block of it can be read */
            search->at = aligned + SALVAGE_STEP;
            search->report->unreadable_bytes += SALVAGE_STEP;
            continue;
        }
        if (error) return error;
        size_t skip = (size_t)(search->at - aligned);
        if (have < skip + sizeof magic) break;
        const char *found = memmem(bytes + skip, have - skip, &magic, sizeof magic);
        if (found) {
            search->at = aligned + (uint64_t)(found - bytes);
            return 0;
        }
        search->at = aligned + have - (sizeof magic - 1); /* it may stand across the edge */
    }
    search->at = search->size;
    return 0;
}

/* Is what stands at search->at a whole good batch? */
static int take(struct search *search, struct yd_batch **ret_batch)
{
    uint64_t aligned = search->at & ~(uint64_t)(YD_BATCH_ALIGN - 1);
    size_t skip = (size_t)(search->at - aligned), have;
    const char *bytes;
    struct yd_header header;
    int error = yd__window_get(&search->window, aligned, skip + sizeof header, &bytes, &have);
    if (error) return error == YD_EIO ? YD_ECORRUPT : error;
    if (have < skip + sizeof header) return YD_ECORRUPT;
    memcpy(&header, bytes + skip, sizeof header);
    error = yd_header_check(&header, sizeof header);
    if (error && error != YD_EAGAIN) return YD_ECORRUPT;
    if (search->how->log_id && header.log_id != search->how->log_id) return YD_ECORRUPT;
    error = yd__window_get(&search->window, aligned, skip + header.size, &bytes, &have);
    if (error) return error == YD_EIO ? YD_ECORRUPT : error;
    if (have < skip + sizeof header + header.body_size) return YD_ECORRUPT;
    /* The padding may be damaged, or cut off, without harm: it is made anew. */
    char *frame = calloc(1, header.size);
    if (!frame) return YD_ENOMEM;
    memcpy(frame, bytes + skip, sizeof header + header.body_size);
    error = yd_batch_from_bytes(frame, header.size, ret_batch);
    free(frame);
    return error == YD_ENOMEM ? error : error ? YD_ECORRUPT : 0;
}

/* What lies between two batches is told, when there is something. */
static int tell_other(struct search *search, uint64_t to)
{
    bool any = false;
    for (uint64_t at = search->other; at < to && !any;) {
        uint64_t aligned = at & ~(uint64_t)(YD_BATCH_ALIGN - 1);
        const char *bytes;
        size_t have;
        int error = yd__window_get(&search->window, aligned, SALVAGE_STEP, &bytes, &have);
        if (error == YD_EIO) any = true;
        if (error && error != YD_EIO) return error;
        if (error) break;
        size_t skip = (size_t)(at - aligned), end = (size_t)YD_MIN(have, to - aligned);
        if (end <= skip) break;
        any = !yd__all_zero(bytes + skip, end - skip);
        at = aligned + end;
    }
    if (any) search->report->other_bytes += to - search->other;
    if (any && search->how->other) search->how->other(search->how->arg, search->other, to);
    return 0;
}

static int search_file(struct search *search)
{
    for (;;) {
        int error = find_magic(search);
        if (error) return error;
        if (search->at >= search->size) return tell_other(search, search->size);
        struct yd_batch *batch;
        error = take(search, &batch);
        if (error == YD_ECORRUPT) {
            search->at++;
            continue;
        }
        if (error) return error;
        uint64_t offset = search->at;
        error = offset > search->other ? tell_other(search, offset) : 0;
        search->report->batches++;
        search->report->records += batch->header.count;
        search->report->bytes += batch->header.size;
        if (!error) error = search->how->batch(search->how->arg, offset, batch);
        search->at = search->other = YD_MIN(offset + batch->header.size, search->size);
        yd_batch_unref(batch);
        if (error) return error;
    }
}

/* A compressed twin is searched as the segment that it is; one that is too damaged for that, as it lies there. */
static int open_any(struct yd_fs *fs, const char *path, struct yd_file **ret_file)
{
    struct yd__twin_about about;
    size_t size = strlen(path);
    if (size > 5 && strcmp(path + size - 5, ".yzst") == 0 && yd__twin_open(fs, path, &about, ret_file) == 0) return 0;
    return yd_fs_open(fs, path, YD_OPEN_READ, ret_file);
}

int yd_log_salvage_file(struct yd_fs *fs, const char *path, const struct yd_log_salvage *how,
                        struct yd_log_salvage_report *ret, struct yd_trail *trail)
{
    if (!fs) fs = yd_fs_linux();
    struct yd_file *file;
    int error = open_any(fs, path, &file);
    if (error) return yd_trail_add(trail, error, "%s: %s", path, yd_error_text(error));
    struct yd_log_salvage_report report = {0};
    struct search search = {.how = how, .report = &report};
    struct yd_stat now;
    error = yd_file_stat(file, &now);
    search.size = error ? 0 : now.size;
    yd__window_init(&search.window, file, SALVAGE_STEP);
    if (!error) error = search_file(&search);
    yd__window_fini(&search.window);
    yd_file_close(file);
    if (ret) *ret = report;
    return error < 0 ? yd_trail_add(trail, error, "%s: %s", path, yd_error_text(error)) : error;
}

/* ---- into a folder ---- */

struct place {
    uint64_t log_id, seqno, next, offset;
    uint32_t epoch, size;
};
struct places {
    struct place *all;
    size_t count, capacity;
};

static int note_place(void *arg, uint64_t offset, const struct yd_batch *batch)
{
    struct places *places = arg;
    if (places->count == places->capacity) {
        size_t capacity = places->capacity ? places->capacity * 2 : 256;
        struct place *all = realloc(places->all, capacity * sizeof *all);
        if (!all) return YD_ENOMEM;
        places->all = all;
        places->capacity = capacity;
    }
    const struct yd_header *header = &batch->header;
    places->all[places->count++] = (struct place){.log_id = header->log_id,
                                                  .seqno = header->base_seqno,
                                                  .next = header->base_seqno + header->count,
                                                  .offset = offset,
                                                  .epoch = header->epoch,
                                                  .size = header->size};
    return 0;
}

/* By log, then seqno; of the same seqno the newest epoch first. */
static int compare_places(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->log_id != y->log_id) return x->log_id < y->log_id ? -1 : 1;
    if (x->seqno != y->seqno) return x->seqno < y->seqno ? -1 : 1;
    if (x->epoch != y->epoch) return x->epoch > y->epoch ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Keeps one log's, each seqno once, and in order. */
static void choose_places(struct places *places, uint64_t log_id)
{
    qsort(places->all, places->count, sizeof *places->all, compare_places);
    if (!log_id) {
        size_t best = 0;
        for (size_t from = 0, to; from < places->count; from = to) {
            for (to = from; to < places->count && places->all[to].log_id == places->all[from].log_id;) to++;
            if (to - from > best) best = to - from, log_id = places->all[from].log_id;
        }
    }
    size_t kept = 0;
    uint64_t expected = 0;
    for (size_t i = 0; i < places->count; i++) {
        if (places->all[i].log_id != log_id || (kept && places->all[i].seqno < expected)) continue;
        expected = places->all[i].next;
        places->all[kept++] = places->all[i];
    }
    places->count = kept;
}

/* One segment with all of them, and the control page that says so. */
static int write_folder(struct yd_fs *fs, struct yd_file *from, const struct places *places, const char *to,
                        const char *stream)
{
    const struct place *first = places->all, *last = places->all + places->count - 1;
    struct yd__producers producers;
    int error = yd__producers_init(&producers);
    if (error) return error;
    struct yd__window window;
    yd__window_init(&window, from, SALVAGE_STEP);
    struct yd__segment *segment = yd__segment_create(first->seqno);
    char path[YD__PATH_SIZE], *head = NULL, *frame = NULL;
    uint32_t head_size = 0, epoch = 0;
    struct yd_file *file = NULL;
    yd__segment_path(path, sizeof path, to, first->seqno, ".ylog");
    if (!segment) error = YD_ENOMEM;
    if (!error) error = yd_fs_open(fs, path, YD_OPEN_WRITE | YD_OPEN_READ | YD_OPEN_CREATE, &file);
    uint64_t offset = YD__SEGMENT_ALIGN;
    for (size_t i = 0; i < places->count && !error; i++) {
        const struct place *place = &places->all[i];
        uint64_t aligned = place->offset & ~(uint64_t)(YD_BATCH_ALIGN - 1);
        size_t skip = (size_t)(place->offset - aligned), have;
        const char *bytes;
        struct yd_header header;
        error = yd__window_get(&window, aligned, skip + place->size, &bytes, &have);
        if (error) break;
        memcpy(&header, bytes + skip, sizeof header);
        char *larger = realloc(frame, place->size);
        if (!larger) error = YD_ENOMEM;
        if (error) break;
        frame = larger;
        memset(frame, 0, place->size);
        memcpy(frame, bytes + skip, sizeof header + header.body_size);
        if (i == 0) {
            struct yd__head_what what = {.base = first->seqno,
                                         .log_id = first->log_id,
                                         .generation = 1,
                                         .epoch = header.epoch,
                                         .prev_crc = header.prev_crc,
                                         .now = header.append_time,
                                         .stream = stream};
            error = yd__head_make(&what, &producers, &head, &head_size);
            if (!error) error = yd_file_write(file, head, head_size, 0);
            offset = head_size;
            segment->prev_crc = header.prev_crc;
        }
        if (!error) error = yd_file_write(file, frame, place->size, offset);
        struct yd_view view;
        bool viewed = header.codec == YD_CODEC_NONE && !yd_view_open(&header, frame + sizeof header, true, &view);
        struct yd__names names = viewed ? yd__view_names(&header, &view) : yd__names_any();
        if (!error) error = yd__segment_account(segment, &header, offset, &names);
        if (!error) yd__segment_digest(segment, &header);
        epoch = YD_MAX(epoch, header.epoch);
        offset += place->size;
    }
    if (!error) error = yd_file_sync(file);
    struct yd__checkpoint checkpoint = {.epoch = epoch,
                                        .log_id = first->log_id,
                                        .durable_seqno = last->next,
                                        .segment = first->seqno,
                                        .offset = offset,
                                        .generation = 1,
                                        .last_crc = segment ? segment->last_crc : 0,
                                        .headers_crc = segment ? segment->headers_crc : 0,
                                        .first_seqno = first->seqno};
    if (!error) error = yd__control_make(fs, to, &checkpoint); /* makes the segment's name durable, too */
    yd_file_close(file);
    yd__segment_unref(segment);
    yd__window_fini(&window);
    yd__producers_fini(&producers);
    free(head);
    free(frame);
    return error;
}

int yd_log_salvage_dir(struct yd_fs *fs, const char *path, uint64_t log_id, const char *to, const char *stream,
                       struct yd_log_salvage_report *ret, struct yd_trail *trail)
{
    if (!fs) fs = yd_fs_linux();
    struct yd_stat now;
    if (strlen(to) + 64 > YD__PATH_SIZE) return yd_trail_add(trail, YD_ETOOBIG, "the folder's name is too long");
    if (yd_fs_stat(fs, to, &now) != YD_ENOENT)
        return yd_trail_add(trail, YD_EEXIST, "%s is there already: salvage makes a folder of its own", to);
    struct places places = {0};
    struct yd_log_salvage how = {.log_id = log_id, .batch = note_place, .arg = &places};
    int error = yd_log_salvage_file(fs, path, &how, ret, trail);
    if (error == 0 && places.count == 0) error = yd_trail_add(trail, YD_ENOENT, "%s: not a single good batch", path);
    if (error) {
        free(places.all);
        return error;
    }
    choose_places(&places, log_id);
    struct yd_file *file;
    error = yd_fs_make_dirs(fs, to);
    if (!error) error = open_any(fs, path, &file);
    if (!error) {
        error = write_folder(fs, file, &places, to, stream);
        yd_file_close(file);
    }
    free(places.all);
    return error ? yd_trail_add(trail, error, "%s: %s", to, yd_error_text(error)) : 0;
}
