/* log/tombstone.c: forgetting in a log that is only ever appended to.
 *
 *   … cpu host=a | cpu host=b | cpu host=a | yarder.tombstone {names: "cpu host=a", until: 3, reason: …} | cpu host=a
 *         hidden                    hidden                                                                  shown
 *
 * A tombstone is a record like any other: a ROW named yarder.tombstone whose MAP has `names` (a pattern), `until` (the
 * first seqno that is not covered) or `until_time`, and `reason`. Tools hide what it covers. The bytes stay until
 * retention takes their segment: that is said wherever this is offered.
 * Looked for cheaply: a segment whose footer has no ROWs, or not the name's bit in its summary, cannot have one. */
#include <stdlib.h>
#include <string.h>

#include "log/internal.h"
#include "log/mend.h"

struct tomb {
    struct yd_pattern *pattern;
    uint64_t until_seqno;
    int64_t until_time;
};
struct yd_forgotten {
    struct tomb *tombs;
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
    for (uint32_t i = 0; i < forgotten->count; i++) yd_pattern_destroy(forgotten->tombs[i].pattern);
    free(forgotten->tombs);
    free(forgotten);
}

uint32_t yd_forgotten_count(const struct yd_forgotten *forgotten)
{
    return forgotten->count;
}

static const struct yd_cell *cell_of(const struct yd_view *view, union yd_value map, const char *name, uint8_t type)
{
    const struct yd_cell *cell = yd_view_find(view, map, yd_str_of(name));
    return cell && cell->type == type ? cell : NULL;
}

int yd_forgotten_note(struct yd_forgotten *forgotten, const struct yd_batch *batch)
{
    const struct yd_view *view = &batch->view;
    if (!(batch->header.kinds & YD_KIND_BIT(YD_ROW))) return 0;
    for (uint32_t i = 0; i < view->count; i++) {
        const struct yd_record *record = &view->records[i];
        if (record->kind != YD_ROW || record->type != YD_MAP ||
            !yd_str_eq(yd_view_name(view, record->name), YD_STR(YD_TOMBSTONE_NAME)))
            continue;
        const struct yd_cell *names = cell_of(view, record->value, "names", YD_TEXT);
        const struct yd_cell *until = cell_of(view, record->value, "until", YD_U64);
        const struct yd_cell *time = cell_of(view, record->value, "until_time", YD_I64);
        uint64_t seqno = batch->header.base_seqno + i;
        struct tomb tomb = {.until_seqno = until ? YD_MIN(until->value.u64, seqno) : seqno,
                            .until_time = time ? time->value.i64 : INT64_MAX};
        /* One that somebody wrote by hand and that says nothing covers nothing. */
        if (!names) continue;
        int error = yd_pattern_compile(yd_view_bytes(view, names->value), &tomb.pattern);
        if (error == YD_ENOMEM) return error;
        if (error) continue;
        struct tomb *all = realloc(forgotten->tombs, (forgotten->count + (size_t)1) * sizeof *all);
        if (!all) {
            yd_pattern_destroy(tomb.pattern);
            return YD_ENOMEM;
        }
        forgotten->tombs = all;
        all[forgotten->count++] = tomb;
    }
    return 0;
}

bool yd_forgotten_covers(const struct yd_forgotten *forgotten, const struct yd_batch *batch, uint32_t record)
{
    const struct yd_record *what = &batch->view.records[record];
    uint64_t seqno = batch->header.base_seqno + record;
    struct yd_str name = {0};
    for (uint32_t i = 0; i < forgotten->count; i++) {
        const struct tomb *tomb = &forgotten->tombs[i];
        if (seqno >= tomb->until_seqno || (tomb->until_time != INT64_MAX && what->time_ns >= tomb->until_time))
            continue;
        if (!name.data) name = yd_view_name(&batch->view, what->name);
        if (yd_pattern_match(tomb->pattern, name) && !yd_str_eq(name, YD_STR(YD_TOMBSTONE_NAME))) return true;
    }
    return false;
}

/* Only good batches of this log, in one file that may have them. */
static int load_file(struct yd_forgotten *forgotten, struct yd_file *file, uint64_t log_id)
{
    struct yd__segment_head *head;
    struct yd__window window;
    uint64_t offset = YD__SEGMENT_ALIGN, seqno = 0;
    struct yd_stat now;
    int error = yd_file_stat(file, &now);
    if (error) return error;
    if (yd__head_read(file, &head) == 0) {
        offset = head->data_start;
        free(head);
    }
    yd__window_init(&window, file, (size_t)1 << 20);
    while (!error) {
        struct yd_header header;
        int found = yd__frame_at(&window, offset, log_id, false, &header);
        if (found < 0) error = found;
        if (!error && found == YD__FOUND_ZERO) break;
        if (!error && found != YD__FOUND_FRAME) {
            error = yd__frame_resync(&window, offset + YD_BATCH_ALIGN, now.size, log_id, seqno, UINT64_MAX, &offset,
                                     &header);
            if (error == YD_ENOENT) {
                error = 0;
                break;
            }
        }
        if (error) break;
        if (header.kinds & YD_KIND_BIT(YD_ROW) && header.codec == YD_CODEC_NONE) {
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
    uint64_t bit = UINT64_C(1) << (yd_hash(YD_TOMBSTONE_NAME, sizeof YD_TOMBSTONE_NAME - 1) >> 58);
    for (uint32_t i = 0; i < count && !error; i++) {
        struct yd_file *file;
        struct yd__footer footer;
        error = yd__segment_open(fs, dir, bases[i], &file);
        if (error == YD_ECORRUPT) { /* a damaged twin: what was in it nobody sees */
            error = 0;
            continue;
        }
        if (error == YD_ENOENT) { /* retention was sooner */
            error = 0;
            continue;
        }
        if (error) break;
        bool sealed = yd__footer_read(file, stat.log_id, &footer, NULL) == 0;
        if (!sealed || (footer.kinds & YD_KIND_BIT(YD_ROW) && footer.names & bit))
            error = load_file(forgotten, file, stat.log_id);
        yd_file_close(file);
    }
    free(bases);
    return error ? yd_trail_add(trail, error, "%s: %s", dir, yd_error_text(error)) : 0;
}
