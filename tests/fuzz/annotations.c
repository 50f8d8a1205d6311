/* Requests to /api/annotation, one a line, all the way: planned, answered from a history, written as records, folded
 * into it and read back. The first byte says whether the rest are requests, or the file that annotations are kept in.
 * Checked: answers are JSON; records pass the reader's checks; folding the whole again changes nothing; what was saved
 * is loaded alike; a file that is none is refused, and a damaged one never read beyond. */
#include "elements/opentsdb_answer.h"
#include "elements/opentsdb_notes.h"
#include "serve/json_in.h"

#define NOW       (INT64_C(1700000000) * YD_NS_PER_S)
#define LINES_MAX 64

static bool is_json(struct yd_str text)
{
    struct yd_arena arena;
    struct yd_json_value *value;
    yd_arena_init(&arena, NULL);
    bool good = yd_json_read(text, &arena, &value, NULL) == 0;
    yd_arena_fini(&arena);
    return good;
}

struct asked {
    struct yd_builder *builder;
    unsigned count;
};

static void on_note(void *arg, const struct yd_note *note)
{
    struct asked *asked = arg;
    const unsigned given = YD_NOTE_END | YD_NOTE_DESCRIPTION | YD_NOTE_NOTES | YD_NOTE_CUSTOM;
    if (asked->count < 20 && yd_note_put(asked->builder, YD_STR(""), note, given) >= 0) asked->count++;
}

/* As a History answers `notes`. */
static int answer(struct yd_history *history, const struct yd_ask *ask, struct yd_tsdb_notes *notes)
{
    struct asked asked = {0};
    struct yd_batch *batch = NULL;
    const struct yd_series_query *range = &ask->series;
    YD_ASSERT(yd_builder_create(NULL, &asked.builder) == 0);
    if (ask->global) yd_history_notes(history, true, 0, range->start_ns, range->end_ns, on_note, &asked);
    for (size_t i = 0; i < range->tsuid_count; i++)
        yd_history_notes(history, false, range->tsuids[i], range->start_ns, range->end_ns, on_note, &asked);
    int r = asked.count ? yd_builder_seal(asked.builder, &batch) : 0;
    if (batch) r = yd_tsdb_notes_add(notes, batch);
    yd_batch_unref(batch);
    yd_builder_destroy(asked.builder);
    yd_tsdb_notes_replied(notes);
    return r;
}

static void fold(struct yd_history *history, const struct yd_batch *batch)
{
    struct yd_view view;
    YD_ASSERT(yd_view_open(&batch->header, batch->body->data, true, &view) == 0);
    for (uint32_t i = 0; i < view.count; i++) {
        struct yd_note note;
        unsigned given;
        YD_ASSERT(yd_note_named(yd_view_name(&view, view.records[i].name)));
        YD_ASSERT(yd_note_read(&view, i, &note, &given));
        int r = yd_history_note(history, &note, given);
        YD_ASSERT(r == 0 || r == YD_ETOOBIG);
    }
}

/* The first byte of a line is the method and the path. */
static struct yd_batch *request(struct yd_history *history, struct yd_str line)
{
    static const enum yd_tsdb_method methods[] = {YD_TSDB_GET, YD_TSDB_POST, YD_TSDB_PUT, YD_TSDB_DELETE};
    const struct yd_tsdb_argument arguments[] = {{YD_STR("start_time"), YD_STR("1700000000")},
                                                 {YD_STR("tsuid"), YD_STR("00000000000000aa")},
                                                 {YD_STR("description"), line}};
    struct yd_tsdb_notes notes;
    struct yd_arena arena;
    struct yd_trail trail = {0};
    struct yd_buf buf;
    struct yd_batch *batch = NULL;
    struct yd_ask what;
    unsigned way = (unsigned char)*line.data, status, asked = 0;
    struct yd_str path = way & 4 ? YD_STR("annotation/bulk") : way & 8 ? YD_STR("annotations") : YD_STR("annotation");
    struct yd_str body = {line.data + 1, line.size - 1};
    bool by_url = way & 16;
    yd_arena_init(&arena, NULL);
    yd_buf_init(&buf, NULL);
    int r = yd_tsdb_notes_plan(path, methods[way & 3], by_url ? YD_STR("") : body, arguments, by_url ? 3 : 0, NOW,
                               &arena, &notes, &trail);
    YD_ASSERT(r == 0 || r == YD_ENOTSUP || r == YD_ENOMEM || *yd_trail_text(&trail));
    while (r == 0 && yd_tsdb_notes_ask(&notes, &what)) {
        YD_ASSERT(asked++ < 1001);
        r = answer(history, &what, &notes);
    }
    if (r == 0) r = yd_tsdb_notes_end(&notes, &status, &buf, &batch);
    YD_ASSERT(r < 0 || !buf.size || buf.failed || is_json(yd_buf_view(&buf)));
    yd_tsdb_notes_fini(&notes);
    yd_buf_fini(&buf);
    yd_arena_fini(&arena);
    return batch;
}

static void save(struct yd_history *history, struct yd_buf *to)
{
    yd_buf_clear(to);
    YD_ASSERT(yd_history_notes_save(history, INT64_MIN, to) == 0);
}

static void requests(struct yd_str text)
{
    struct yd_history *history, *again;
    struct yd_batch *batches[LINES_MAX];
    struct yd_buf before, after;
    uint32_t damaged;
    size_t count = 0;
    YD_ASSERT(yd_history_create(&(struct yd_history_options){0}, &history) == 0);
    YD_ASSERT(yd_history_create(&(struct yd_history_options){0}, &again) == 0);
    yd_buf_init(&before, NULL);
    yd_buf_init(&after, NULL);
    while (text.size && count < LINES_MAX) {
        const char *end = memchr(text.data, '\n', text.size);
        struct yd_str line = {text.data, end ? (size_t)(end - text.data) : text.size};
        text.data += line.size + (end != NULL), text.size -= line.size + (end != NULL);
        struct yd_batch *batch = line.size ? request(history, line) : NULL;
        if (batch) fold(history, batches[count++] = batch);
    }
    save(history, &before);
    for (size_t i = 0; i < count; i++) fold(history, batches[i]); /* as after a crash */
    save(history, &after);
    YD_ASSERT(yd_str_eq(yd_buf_view(&before), yd_buf_view(&after)));
    YD_ASSERT(yd_history_notes_load(again, yd_buf_view(&before), &damaged) == 0 && damaged == 0);
    save(again, &after);
    YD_ASSERT(yd_str_eq(yd_buf_view(&before), yd_buf_view(&after)));
    for (size_t i = 0; i < count; i++) yd_batch_unref(batches[i]);
    yd_buf_fini(&before);
    yd_buf_fini(&after);
    yd_history_destroy(history);
    yd_history_destroy(again);
}

static void load(struct yd_str file)
{
    struct yd_history *history;
    uint32_t damaged;
    YD_ASSERT(yd_history_create(&(struct yd_history_options){0}, &history) == 0);
    int r = yd_history_notes_load(history, file, &damaged);
    YD_ASSERT(r == 0 || r == YD_EFORMAT || r == YD_EVERSION);
    yd_history_destroy(history);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    struct yd_str text = {(const char *)data + 1, size - 1};
    if (data[0] == 'F')
        load(text);
    else
        requests(text);
    return 0;
}
