/* log/tombstone.c: forgetting in a log that is only ever appended to.
 *
 *   … cpu host=a | cpu host=b | cpu host=a | yarder.tombstone {names: "cpu host=a", until: 3, reason: …} | cpu host=a
 *         hidden                    hidden                                                                  shown
 *
 * A tombstone is a record like any other: a ROW named yarder.tombstone whose MAP has `names` (a pattern), `kinds`,
 * `until` (the first seqno that is not covered) or `until_time`, and `reason`. Readers leave out what it covers: tools
 * (here), remote subscriptions and wires (forgotten.c). The bytes stay until retention takes their segment: that is
 * said wherever this is offered.
 * Looked for cheaply: a segment whose footer has no ROWs, or not the name's bit in its summary, or the name outside its
 * range, cannot have one; nor can such a run of its index.
 * Rot: what cannot be read in a segment's file is looked for in its twin, as readers do; what is in neither is skipped.
 * Only what may be better the next time (memory) is an error. */
#include <stdlib.h>
#include <string.h>

#include "log/tombs.h"
#include "log/twin.h"

struct yd_forgotten {
    struct yd__tomb *tombs;
    uint32_t count;
};

int yd_tombstone_batch(const struct yd_tombstone *tombstone, int64_t now, struct yd_batch **ret_batch)
{
    struct yd_pattern *pattern;
    struct yd_builder *builder;
    uint32_t name;
    int error = yd_pattern_compile(tombstone->names, &pattern);
    if (error) return error;
    yd_pattern_destroy(pattern);
    error = yd_builder_create(NULL, &builder);
    if (error) return error;
    union yd_value seqno = {.u64 = tombstone->until_seqno}, time = {.i64 = tombstone->until_time};
    error = yd_builder_name(builder, YD_STR(YD_TOMBSTONE_NAME), &name);
    if (!error) error = yd_builder_begin(builder, now, name, YD_ROW, 0, YD_MAP);
    if (!error) error = yd_builder_cell_bytes(builder, YD_STR("names"), YD_TEXT, tombstone->names);
    char kinds[128];
    size_t size = yd_kinds_format(tombstone->kinds, kinds, sizeof kinds);
    if (!error && tombstone->kinds)
        error = yd_builder_cell_bytes(builder, YD_STR("kinds"), YD_TEXT, (struct yd_str){kinds, size});
    if (!error && tombstone->until_seqno != UINT64_MAX)
        error = yd_builder_cell(builder, YD_STR("until"), YD_U64, seqno);
    if (!error && tombstone->until_time != INT64_MAX)
        error = yd_builder_cell(builder, YD_STR("until_time"), YD_I64, time);
    if (!error && tombstone->reason.size)
        error = yd_builder_cell_bytes(builder, YD_STR("reason"), YD_TEXT, tombstone->reason);
    if (!error) error = yd_builder_end(builder);
    if (!error) error = yd_builder_seal(builder, ret_batch);
    yd_builder_destroy(builder);
    return error;
}

/* ---- one of them ---- */

static const struct yd_cell *cell_of(const struct yd_view *view, union yd_value map, const char *name, uint8_t type)
{
    const struct yd_cell *cell = yd_view_find(view, map, yd_str_of(name));
    return cell && cell->type == type ? cell : NULL;
}

/* A whole number, of either type. False: it is something else. */
static bool read_number(const struct yd_view *view, union yd_value map, const char *name, int64_t none, int64_t *ret)
{
    const struct yd_cell *cell = yd_view_find(view, map, yd_str_of(name));
    *ret = none;
    if (!cell) return true;
    *ret = cell->type == YD_U64 ? (int64_t)YD_MIN(cell->value.u64, (uint64_t)INT64_MAX) : cell->value.i64;
    return cell->type == YD_U64 || cell->type == YD_I64;
}

/* *ret stays NULL where the record is none, or says nothing: then it covers nothing. */
static int read_tomb(const struct yd_view *view, uint32_t index, struct yd__tomb **ret)
{
    const struct yd_record *record = &view->records[index];
    if (record->kind != YD_ROW || record->type != YD_MAP ||
        !yd_str_eq(yd_view_name(view, record->name), YD_STR(YD_TOMBSTONE_NAME)))
        return 0;
    const struct yd_cell *names = cell_of(view, record->value, "names", YD_TEXT);
    const struct yd_cell *kinds = cell_of(view, record->value, "kinds", YD_TEXT);
    int64_t until, time;
    struct yd_pattern *pattern;
    if (!names || !read_number(view, record->value, "until", INT64_MAX, &until) ||
        !read_number(view, record->value, "until_time", INT64_MAX, &time))
        return 0;
    int error = yd_pattern_compile(yd_view_bytes(view, names->value), &pattern);
    if (error) return error == YD_ENOMEM ? error : 0;
    struct yd__tomb *tomb = calloc(1, sizeof *tomb);
    if (!tomb) {
        yd_pattern_destroy(pattern);
        return YD_ENOMEM;
    }
    tomb->pattern = pattern;
    tomb->kinds = kinds ? yd_kinds_parse(yd_view_bytes(view, kinds->value)) : YD_KINDS_ALL;
    tomb->until_seqno = (uint64_t)YD_MAX(until, INT64_C(0));
    tomb->until_time = time;
    atomic_init(&tomb->seqno, index);
    *ret = tomb;
    return 0;
}

bool yd__tombs_in(const struct yd_batch *batch)
{
    const struct yd_view *view = &batch->view;
    if (!(batch->header.kinds & YD_KIND_BIT(YD_ROW))) return false;
    const uint64_t hash = yd_hash(YD_TOMBSTONE_NAME, sizeof YD_TOMBSTONE_NAME - 1);
    for (uint32_t i = 0; i < view->name_count; i++)
        if (view->names[i].hash == hash) return true; /* or one that hashes alike: looked at by who asks */
    return false;
}

int yd__tombs_of(const struct yd_batch *batch, struct yd__tomb **ret_tombs)
{
    struct yd__tomb *tombs = NULL;
    int error = 0;
    for (uint32_t i = 0; yd__tombs_in(batch) && i < batch->view.count && !error; i++) {
        struct yd__tomb *tomb = NULL;
        error = read_tomb(&batch->view, i, &tomb);
        if (!tomb) continue;
        tomb->next = tombs;
        tombs = tomb;
    }
    if (error) {
        yd__tombs_free(tombs);
        return error;
    }
    *ret_tombs = tombs;
    return 0;
}

void yd__tombs_place(struct yd__tomb *tombs, uint64_t base)
{
    for (struct yd__tomb *tomb = tombs; tomb; tomb = tomb->next) {
        uint64_t seqno = base + atomic_load_explicit(&tomb->seqno, memory_order_relaxed); /* nobody else has it yet */
        atomic_store_explicit(&tomb->seqno, seqno, memory_order_relaxed);
        tomb->until_seqno = YD_MIN(tomb->until_seqno, seqno);
    }
}

void yd__tombs_free(struct yd__tomb *tombs)
{
    while (tombs) {
        struct yd__tomb *next = tombs->next;
        yd_pattern_destroy(tombs->pattern);
        free(tombs);
        tombs = next;
    }
}

/* ---- those of a stream ---- */

int yd_forgotten_create(struct yd_forgotten **ret_forgotten)
{
    struct yd_forgotten *forgotten = calloc(1, sizeof *forgotten);
    if (!forgotten) return YD_ENOMEM;
    *ret_forgotten = forgotten;
    return 0;
}

void yd_forgotten_destroy(struct yd_forgotten *forgotten)
{
    if (!forgotten) return;
    yd__tombs_free(forgotten->tombs);
    free(forgotten);
}

uint32_t yd_forgotten_count(const struct yd_forgotten *forgotten)
{
    return forgotten->count;
}

int yd_forgotten_note(struct yd_forgotten *forgotten, const struct yd_batch *batch)
{
    struct yd__tomb *tombs, *next;
    int error = yd__tombs_of(batch, &tombs);
    if (error) return error;
    yd__tombs_place(tombs, batch->header.base_seqno);
    for (; tombs; tombs = next) {
        next = tombs->next;
        tombs->next = forgotten->tombs;
        forgotten->tombs = tombs;
        forgotten->count++;
    }
    return 0;
}

bool yd_forgotten_covers(const struct yd_forgotten *forgotten, const struct yd_batch *batch, uint32_t record)
{
    const struct yd_record *what = &batch->view.records[record];
    uint64_t seqno = batch->header.base_seqno + record;
    struct yd_str name = {0};
    for (const struct yd__tomb *tomb = forgotten->tombs; tomb; tomb = tomb->next) {
        if (!yd__tomb_reaches(tomb, seqno, what)) continue;
        if (!name.data) name = yd_view_name(&batch->view, what->name);
        if (yd_pattern_match(tomb->pattern, name) && !yd_str_eq(name, YD_STR(YD_TOMBSTONE_NAME))) return true;
    }
    return false;
}

/* ---- looking for them in files ---- */

#define STEP ((uint64_t)1 << 20)

/* One file that may have some of a segment's bytes. */
struct search {
    struct yd_forgotten *forgotten;
    struct yd_file *file;
    uint64_t log_id;
    bool again;   /* it is the twin of one that was damaged: what that one had is known */
    bool damaged; /* not all of it could be looked at */
};

static bool is_noted(const struct yd_forgotten *forgotten, const struct yd_header *header)
{
    for (const struct yd__tomb *tomb = forgotten->tombs; tomb; tomb = tomb->next) {
        uint64_t seqno = atomic_load_explicit(&tomb->seqno, memory_order_relaxed); /* nobody else has it */
        if (seqno >= header->base_seqno && seqno - header->base_seqno < header->count) return true;
    }
    return false;
}

/* A batch with rows: none is compressed, as the log takes no such batch. */
static int note_frame(struct search *search, struct yd__window *window, uint64_t offset, const struct yd_header *header)
{
    const char *bytes;
    size_t have;
    struct yd_batch *batch;
    if (search->again && is_noted(search->forgotten, header)) return 0;
    int error = yd__window_get(window, offset, header->size, &bytes, &have);
    if (!error) error = have == header->size ? yd_batch_from_bytes(bytes, have, &batch) : YD_ECORRUPT;
    if (!error) {
        error = yd_forgotten_note(search->forgotten, batch);
        yd_batch_unref(batch);
        return error;
    }
    bool rot = error == YD_ECORRUPT || error == YD_EFORMAT || error == YD_EVERSION || error == YD_EIO;
    search->damaged |= rot;
    return rot ? 0 : error;
}

/* From damage to the next good frame, by steps: where the device gives nothing at all, the next one may be better. */
static int find_frame(struct yd__window *window, uint64_t log_id, uint64_t end, uint64_t seqno, uint64_t *offset,
                      struct yd_header *ret_header)
{
    int error = YD_ENOENT;
    for (uint64_t from = *offset; (error == YD_ENOENT || error == YD_EIO) && from < end; from += STEP)
        error = yd__frame_resync(window, from, YD_MIN(end, from + STEP), log_id, seqno, UINT64_MAX, offset, ret_header);
    return error == YD_EIO ? YD_ENOENT : error;
}

/* Only good batches of this log, from `offset` to `end`; zeros_end: frames may end before that. */
static int load_range(struct search *search, uint64_t offset, uint64_t end, bool zeros_end)
{
    struct yd__window window;
    uint64_t seqno = 0;
    int error = 0;
    yd__window_init(&window, search->file, YD_MIN(STEP, end - offset));
    while (!error && offset < end) {
        struct yd_header header;
        int found = yd__frame_at(&window, offset, search->log_id, false, &header);
        if (found == YD__FOUND_ZERO && zeros_end && !window.unreadable) break;
        if (found < 0 && found != YD_EIO) error = found;
        if (!error && found != YD__FOUND_FRAME) {
            search->damaged = true;
            offset += YD_BATCH_ALIGN;
            error = find_frame(&window, search->log_id, end, seqno, &offset, &header);
        }
        if (error) break;
        if (header.kinds & YD_KIND_BIT(YD_ROW)) error = note_frame(search, &window, offset, &header);
        seqno = header.base_seqno + header.count;
        offset += header.size;
    }
    search->damaged |= window.unreadable;
    yd__window_fini(&window);
    return error == YD_ENOENT ? 0 : error;
}

static bool may_have(uint64_t bits, const uint8_t *min, const uint8_t *max, size_t size)
{
    const struct yd_str name = YD_STR(YD_TOMBSTONE_NAME);
    return bits >> (yd_hash_str(name) >> 58) & 1 && yd__range_may_hold(min, max, size, name);
}

/* Of one that is sealed: the runs of entries that may have one. */
static int load_sealed(struct search *search, const struct yd__footer *footer, const struct yd__index_entry *entries)
{
    int error = 0;
    for (uint32_t i = 0, end; i < footer->index_count && !error; i = end) {
        for (end = i; end < footer->index_count; end++)
            if (!may_have(entries[end].names, entries[end].name_min, entries[end].name_max, YD__INDEX_NAME_SIZE)) break;
        uint64_t until = end < footer->index_count ? entries[end].offset : footer->data_end;
        if (end == i)
            end++;
        else if (entries[i].offset < until && entries[i].offset % YD_BATCH_ALIGN == 0)
            error = load_range(search, entries[i].offset, until, false);
    }
    return error;
}

static int load_file(struct search *search)
{
    struct yd__footer footer;
    struct yd__index_entry *entries = NULL;
    int error = yd__footer_read(search->file, search->log_id, &footer, &entries);
    if (error == 0) {
        if (footer.kinds & YD_KIND_BIT(YD_ROW) &&
            may_have(footer.names, footer.name_min, footer.name_max, YD__RANGE_NAME_SIZE))
            error = load_sealed(search, &footer, entries);
        free(entries);
        return error;
    }
    if (error != YD_ENOENT) return error;
    struct yd__segment_head *head;
    struct yd_stat now;
    uint64_t offset = YD__SEGMENT_ALIGN;
    error = yd_file_stat(search->file, &now);
    if (error) return error;
    error = yd__head_read(search->file, &head);
    if (error == YD_ENOMEM) return error;
    const bool headed = error == 0;
    if (headed) {
        offset = head->data_start;
        free(head);
    }
    search->damaged |= !headed;
    return offset >= now.size ? 0 : load_range(search, offset, now.size, headed);
}

/* What was damaged in the segment's file may be whole in its twin. */
static int load_twin(struct search *search, struct yd_fs *fs, const char *dir, uint64_t base)
{
    char path[YD__PATH_SIZE];
    struct yd_file *twin;
    yd__segment_path(path, sizeof path, dir, base, ".yzst");
    int error = yd__twin_open(fs, path, NULL, &twin);
    if (!error) {
        error = yd__twin_same_history(search->file, twin, search->log_id);
        struct search other = {.forgotten = search->forgotten, .file = twin, .log_id = search->log_id, .again = true};
        if (error == 1) error = load_file(&other);
        yd_file_close(twin);
    }
    bool stays = error == YD_ENOENT || error == YD_ECORRUPT || error == YD_EVERSION || error == YD_EIO;
    return stays ? 0 : error; /* what is in neither nobody sees */
}

int yd__forgotten_load_segment(struct yd_forgotten *forgotten, struct yd_fs *fs, const char *dir, uint64_t base,
                               uint64_t log_id)
{
    struct search search = {.forgotten = forgotten, .log_id = log_id};
    int error = yd__segment_open(fs, dir, base, &search.file);
    if (error == YD_ECORRUPT) return 0; /* a damaged twin: what was in it nobody sees */
    if (error == YD_ENOENT) return 0;   /* retention was sooner */
    if (error) return error;
    error = load_file(&search);
    if (!error && search.damaged) error = load_twin(&search, fs, dir, base);
    yd_file_close(search.file);
    return error;
}

struct yd__tomb *yd__forgotten_take(struct yd_forgotten *forgotten)
{
    struct yd__tomb *tombs = forgotten->tombs;
    forgotten->tombs = NULL;
    forgotten->count = 0;
    return tombs;
}

int yd_forgotten_load(struct yd_forgotten *forgotten, struct yd_fs *fs, const char *dir, struct yd_trail *trail)
{
    if (!fs) fs = yd_fs_linux();
    struct yd_log_stat stat;
    int error = yd_log_stat_dir(fs, dir, &stat, trail);
    if (error) return error;
    uint64_t *bases;
    uint32_t count;
    error = yd__list_segments(fs, dir, &bases, &count);
    if (error) return yd_trail_add(trail, error, "%s: %s", dir, yd_error_text(error));
    for (uint32_t i = 0; i < count && !error; i++)
        error = yd__forgotten_load_segment(forgotten, fs, dir, bases[i], stat.log_id);
    free(bases);
    return error ? yd_trail_add(trail, error, "%s: %s", dir, yd_error_text(error)) : 0;
}
