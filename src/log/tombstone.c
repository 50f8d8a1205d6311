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
 * range, cannot have one; nor can such a run of its index. */
#include <stdlib.h>
#include <string.h>

#include "log/tombs.h"

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

/* Only good batches of this log, from `offset` to `end`, as far as there are frames. */
static int load_range(struct yd_forgotten *forgotten, struct yd_file *file, uint64_t log_id, uint64_t offset,
                      uint64_t end)
{
    struct yd__window window;
    uint64_t seqno = 0;
    int error = 0;
    yd__window_init(&window, file, YD_MIN((uint64_t)1 << 20, end - offset));
    while (!error && offset < end) {
        struct yd_header header;
        int found = yd__frame_at(&window, offset, log_id, false, &header);
        if (found < 0) error = found;
        if (!error && found == YD__FOUND_ZERO) break;
        if (!error && found != YD__FOUND_FRAME) {
            error =
                yd__frame_resync(&window, offset + YD_BATCH_ALIGN, end, log_id, seqno, UINT64_MAX, &offset, &header);
            if (error == YD_ENOENT) {
                error = 0;
                break;
            }
        }
        if (error) break;
        if (header.kinds & YD_KIND_BIT(YD_ROW)) { /* none is compressed: the log takes no such batch */
            const char *bytes;
            size_t have;
            struct yd_batch *batch;
            error = yd__window_get(&window, offset, header.size, &bytes, &have);
            if (!error && have == header.size && yd_batch_from_bytes(bytes, have, &batch) == 0) {
                error = yd_forgotten_note(forgotten, batch);
                yd_batch_unref(batch);
            }
        }
        seqno = header.base_seqno + header.count;
        offset += header.size;
    }
    yd__window_fini(&window);
    return error;
}

static bool may_have(uint64_t bits, const uint8_t *min, const uint8_t *max, size_t size)
{
    const struct yd_str name = YD_STR(YD_TOMBSTONE_NAME);
    return bits >> (yd_hash_str(name) >> 58) & 1 && yd__range_may_hold(min, max, size, name);
}

/* Of one that is sealed: the runs of entries that may have one. */
static int load_sealed(struct yd_forgotten *forgotten, struct yd_file *file, const struct yd__footer *footer,
                       const struct yd__index_entry *entries)
{
    int error = 0;
    for (uint32_t i = 0, end; i < footer->index_count && !error; i = end) {
        for (end = i; end < footer->index_count; end++)
            if (!may_have(entries[end].names, entries[end].name_min, entries[end].name_max, YD__INDEX_NAME_SIZE)) break;
        uint64_t until = end < footer->index_count ? entries[end].offset : footer->data_end;
        if (end == i)
            end++;
        else if (entries[i].offset < until && entries[i].offset % YD_BATCH_ALIGN == 0)
            error = load_range(forgotten, file, footer->log_id, entries[i].offset, until);
    }
    return error;
}

static int load_file(struct yd_forgotten *forgotten, struct yd_file *file, uint64_t log_id)
{
    struct yd__footer footer;
    struct yd__index_entry *entries = NULL;
    if (yd__footer_read(file, log_id, &footer, &entries) == 0) {
        int error = 0;
        if (footer.kinds & YD_KIND_BIT(YD_ROW) &&
            may_have(footer.names, footer.name_min, footer.name_max, YD__RANGE_NAME_SIZE))
            error = load_sealed(forgotten, file, &footer, entries);
        free(entries);
        return error;
    }
    struct yd__segment_head *head;
    struct yd_stat now;
    uint64_t offset = YD__SEGMENT_ALIGN;
    int error = yd_file_stat(file, &now);
    if (!error && yd__head_read(file, &head) == 0) {
        offset = head->data_start;
        free(head);
    }
    return error || offset >= now.size ? error : load_range(forgotten, file, log_id, offset, now.size);
}

int yd__forgotten_load_segment(struct yd_forgotten *forgotten, struct yd_fs *fs, const char *dir, uint64_t base,
                               uint64_t log_id)
{
    struct yd_file *file;
    int error = yd__segment_open(fs, dir, base, &file);
    if (error == YD_ECORRUPT) return 0; /* a damaged twin: what was in it nobody sees */
    if (error == YD_ENOENT) return 0;   /* retention was sooner */
    if (error) return error;
    error = load_file(forgotten, file, log_id);
    yd_file_close(file);
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
