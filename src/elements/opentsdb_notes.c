/* /api/annotation: see opentsdb_notes.h. Grammar: OpenTSDB 2.4, HTTP API, /api/annotation. */
#include "elements/opentsdb_notes.h"

#include "elements/opentsdb_answer.h"
#include "serve/json_in.h"

#define BULK_MAX 1000 /* each is asked about, one after the other */

struct yd_tsdb_note {
    struct yd_note note; /* as given, then whole */
    unsigned given;
    bool known;
};

static int refuse(struct yd_trail *trail, const char *what)
{
    return yd_trail_add(trail, YD_EINVAL, "%s", what);
}

/* ---- what is given ---- */

/* From JSON or from arguments: the same fields under two names. */
struct source {
    const struct yd_json_value *object;
    const struct yd_tsdb_argument *arguments;
    size_t argument_count;
};

/* False: it is not there (or null). */
static bool get(const struct source *from, const char *json_name, const char *url_name, struct yd_str *ret)
{
    const struct yd_json_value *value = yd_json_get(from->object, json_name);
    *ret = YD_STR("");
    if (value && value->type != YD_JSON_NULL) {
        *ret = yd_json_text(value);
        return true;
    }
    for (size_t i = 0; i < from->argument_count; i++) {
        if (!yd_str_eq(from->arguments[i].name, yd_str_of(url_name))) continue;
        *ret = from->arguments[i].value;
        return true;
    }
    return false;
}

static int get_time(const struct source *from, const char *json_name, const char *url_name, int64_t now_ns,
                    int64_t *ret_ns, struct yd_trail *trail)
{
    struct yd_str text;
    *ret_ns = 0;
    if (!get(from, json_name, url_name, &text) || text.size == 0) return 0;
    if (yd_tsdb_time(text, now_ns, ret_ns) < 0 || *ret_ns < 0)
        return yd_trail_add(trail, YD_EINVAL, "Unable to parse the time: %.*s", (int)YD_MIN(text.size, (size_t)60),
                            text.data);
    return 0;
}

/* An object of texts; numbers and booleans become their text. */
static int get_custom(const struct yd_json_value *custom, struct yd_arena *arena, struct yd_str *ret,
                      struct yd_trail *trail)
{
    struct yd_buf buf;
    bool good = custom->type == YD_JSON_OBJECT;
    yd_buf_init(&buf, NULL);
    yd_buf_char(&buf, '{');
    for (const struct yd_json_value *item = custom->first; good && item; item = item->next) {
        struct yd_str text = item->type == YD_JSON_TRUE    ? YD_STR("true")
                             : item->type == YD_JSON_FALSE ? YD_STR("false")
                                                           : yd_json_text(item);
        if (item->type == YD_JSON_OBJECT || item->type == YD_JSON_ARRAY) good = false;
        if (item != custom->first) yd_buf_char(&buf, ',');
        yd_tsdb_put_string(&buf, item->key);
        yd_buf_char(&buf, ':');
        yd_tsdb_put_string(&buf, text);
    }
    yd_buf_char(&buf, '}');
    *ret = custom->count ? yd_arena_str(arena, yd_buf_view(&buf)) : YD_STR("");
    bool failed = buf.failed || !ret->data;
    yd_buf_fini(&buf);
    if (!good) return refuse(trail, "Unable to parse the annotation: custom must be an object of texts");
    return failed ? YD_ENOMEM : 0;
}

static int get_note(const struct source *from, int64_t now_ns, struct yd_arena *arena, struct yd_tsdb_note *to,
                    struct yd_trail *trail)
{
    struct yd_note *note = &to->note;
    struct yd_str text;
    *to = (struct yd_tsdb_note){.note = {.global = true}};
    int r = get_time(from, "startTime", "start_time", now_ns, &note->start_ns, trail);
    if (r == 0) r = get_time(from, "endTime", "end_time", now_ns, &note->end_ns, trail);
    if (r < 0) return r;
    if (note->start_ns == 0) return refuse(trail, "Missing start time");
    if (note->end_ns) to->given |= YD_NOTE_END;
    if (note->end_ns && note->end_ns < note->start_ns) return refuse(trail, "The end time is before the start time");
    if (get(from, "tsuid", "tsuid", &text) && text.size) {
        if (yd_tsdb_tsuid(text, &note->tsuid) < 0)
            return yd_trail_add(trail, YD_EINVAL, "Invalid TSUID: %.*s", (int)YD_MIN(text.size, (size_t)60), text.data);
        note->global = false;
    }
    if (get(from, "description", "description", &note->description)) to->given |= YD_NOTE_DESCRIPTION;
    if (get(from, "notes", "notes", &note->notes)) to->given |= YD_NOTE_NOTES;
    const struct yd_json_value *custom = yd_json_get(from->object, "custom");
    if (custom && custom->type != YD_JSON_NULL) {
        to->given |= YD_NOTE_CUSTOM;
        r = get_custom(custom, arena, &note->custom, trail);
    }
    if (r == 0 && note->description.size + note->notes.size + note->custom.size > YD_NOTE_SIZE_MAX)
        return yd_trail_add(trail, YD_ETOOBIG, "An annotation is at most %d bytes: shorten it", YD_NOTE_SIZE_MAX);
    return r;
}

/* ---- plans ---- */

static int plan_items(struct yd_tsdb_notes *notes, const struct source *from, int64_t now_ns, struct yd_trail *trail)
{
    const struct yd_json_value *list = notes->bulk ? from->object : NULL;
    if (notes->bulk && (!list || list->type != YD_JSON_ARRAY || !list->count))
        return refuse(trail, "Unable to parse the given JSON: an array of annotations is wanted");
    if (!notes->bulk && from->object && from->object->type != YD_JSON_OBJECT)
        return refuse(trail, "Unable to parse the given JSON: an object is wanted");
    size_t count = list ? list->count : 1;
    if (count > BULK_MAX)
        return yd_trail_add(trail, YD_ETOOBIG, "At most %d annotations at once: send fewer", BULK_MAX);
    notes->items = yd_arena_zero(notes->arena, count * sizeof *notes->items);
    if (!notes->items) return YD_ENOMEM;
    const struct yd_json_value *item = list ? list->first : NULL;
    for (size_t i = 0; i < count; i++) {
        struct source one = {.object = item};
        int r = get_note(list ? &one : from, now_ns, notes->arena, &notes->items[i], trail);
        if (r < 0) return r;
        notes->count++;
        if (item) item = item->next;
    }
    return 0;
}

static int plan_range(struct yd_tsdb_notes *notes, const struct source *from, int64_t now_ns, struct yd_trail *trail)
{
    struct yd_series_query *range = &notes->range;
    struct yd_str text;
    int r = get_time(from, "startTime", "start_time", now_ns, &range->start_ns, trail);
    if (r == 0) r = get_time(from, "endTime", "end_time", now_ns, &range->end_ns, trail);
    if (r < 0) return r;
    if (range->start_ns == 0) return refuse(trail, "Missing start time");
    if (range->end_ns == 0) range->end_ns = now_ns;
    if (range->end_ns < range->start_ns) return refuse(trail, "The end time is before the start time");
    notes->global = notes->list;
    if (notes->list) return 0;
    const struct yd_json_value *tsuids = yd_json_get(from->object, "tsuids");
    if (tsuids)
        r = yd_tsdb_tsuids_json(tsuids, notes->arena, range, trail);
    else if (get(from, "tsuids", "tsuids", &text))
        r = yd_tsdb_tsuids(text, notes->arena, range, trail);
    if (r < 0) return r;
    const struct yd_json_value *global = yd_json_get(from->object, "global");
    if (global)
        notes->global = yd_json_true(global);
    else if (get(from, "global", "global", &text))
        notes->global = !yd_str_eq(text, YD_STR("false"));
    if (!notes->global && !range->tsuid_count) return refuse(trail, "Missing the TSUIDs or global annotations flag");
    return 0;
}

int yd_tsdb_notes_plan(struct yd_str path, enum yd_tsdb_method method, struct yd_str body,
                       const struct yd_tsdb_argument *arguments, size_t count, int64_t now_ns, struct yd_arena *arena,
                       struct yd_tsdb_notes *ret, struct yd_trail *trail)
{
    struct yd_json_value *root = NULL;
    *ret = (struct yd_tsdb_notes){.method = method, .arena = arena};
    yd_buf_init(&ret->found, NULL);
    ret->bulk = path.size > 5 && memcmp(path.data + path.size - 5, "/bulk", 5) == 0;
    ret->list = !ret->bulk && method == YD_TSDB_GET && yd_str_eq(path, YD_STR("annotations"));
    if (ret->bulk && method == YD_TSDB_GET) return YD_ENOTSUP;
    int r = body.size ? yd_json_read(body, arena, &root, NULL) : 0;
    if (r == YD_EFORMAT) return refuse(trail, "Unable to parse the given JSON");
    if (r < 0) return r;
    const struct source from = {root, arguments, count};
    if (ret->list || (ret->bulk && method == YD_TSDB_DELETE)) return plan_range(ret, &from, now_ns, trail);
    return plan_items(ret, &from, now_ns, trail);
}

void yd_tsdb_notes_fini(struct yd_tsdb_notes *notes)
{
    yd_buf_fini(&notes->found);
}

/* ---- asking ---- */

bool yd_tsdb_notes_ask(const struct yd_tsdb_notes *notes, struct yd_ask *ret_ask)
{
    *ret_ask = (struct yd_ask){.op = YD_ASK_NOTES};
    if (!notes->items) {
        ret_ask->global = notes->global;
        ret_ask->series = notes->range;
        return notes->at == 0;
    }
    if (notes->at == notes->count || notes->method == YD_TSDB_DELETE) return false;
    const struct yd_note *note = &notes->items[notes->at].note;
    ret_ask->global = note->global;
    ret_ask->series.tsuids = &note->tsuid;
    ret_ask->series.tsuid_count = !note->global;
    ret_ask->series.start_ns = ret_ask->series.end_ns = note->start_ns;
    return true;
}

void yd_tsdb_notes_replied(struct yd_tsdb_notes *notes)
{
    notes->at++;
}

/* What is given stands before what was there. */
static int merge(struct yd_tsdb_notes *notes, struct yd_tsdb_note *item, const struct yd_note *was)
{
    struct yd_note *note = &item->note;
    item->known = true;
    if (notes->method == YD_TSDB_GET) item->given = 0;
    if (notes->method == YD_TSDB_PUT) return 0;
    struct yd_str *to[] = {&note->description, &note->notes, &note->custom};
    const struct yd_str from[] = {was->description, was->notes, was->custom};
    if (!(item->given & YD_NOTE_END)) note->end_ns = was->end_ns;
    for (unsigned i = 0; i < YD_COUNT(to); i++) {
        if (item->given & ((unsigned)YD_NOTE_DESCRIPTION << i)) continue;
        *to[i] = yd_arena_str(notes->arena, from[i]);
        if (!to[i]->data) return YD_ENOMEM;
    }
    return 0;
}

int yd_tsdb_notes_add(struct yd_tsdb_notes *notes, const struct yd_batch *batch)
{
    for (uint32_t i = 0; i < batch->view.count; i++) {
        struct yd_note note;
        unsigned given;
        if (!yd_note_read(&batch->view, i, &note, &given)) continue;
        if (notes->items) {
            int r = merge(notes, &notes->items[notes->at], &note);
            if (r < 0) return r;
        } else {
            if (notes->list) yd_buf_char(&notes->found, notes->found_count ? ',' : '[');
            if (notes->list) yd_tsdb_put_note(&notes->found, &note);
            notes->found_count++;
        }
    }
    return notes->found.failed ? YD_ENOMEM : 0;
}

/* One change on top of what is known, if it is of this one. */
static int put_over(struct yd_tsdb_notes *notes, struct yd_tsdb_note *item, struct yd_note changes, unsigned given)
{
    struct yd_note *note = &item->note;
    if (changes.global != note->global || (!changes.global && changes.tsuid != note->tsuid)) return 0;
    if (note->start_ns < changes.start_ns) return 0;
    if (note->start_ns > (given & YD_NOTE_DELETE ? changes.end_ns : changes.start_ns)) return 0;
    item->known = !(given & YD_NOTE_DELETE);
    if (!item->known) changes = (struct yd_note){.start_ns = note->start_ns};
    if (notes->method == YD_TSDB_PUT) return 0;
    if (notes->method == YD_TSDB_GET) item->given = 0;
    unsigned changed = given & (YD_NOTE_DELETE | YD_NOTE_REPLACE) ? ~item->given : given & ~item->given;
    struct yd_str *to[] = {&note->description, &note->notes, &note->custom};
    const struct yd_str from[] = {changes.description, changes.notes, changes.custom};
    if (changed & YD_NOTE_END) note->end_ns = changes.end_ns;
    for (unsigned i = 0; i < YD_COUNT(to); i++) {
        if (!(changed & ((unsigned)YD_NOTE_DESCRIPTION << i))) continue;
        *to[i] = from[i].size ? yd_arena_str(notes->arena, from[i]) : YD_STR("");
        if (!to[i]->data) return YD_ENOMEM;
    }
    return 0;
}

int yd_tsdb_notes_written(struct yd_tsdb_notes *notes, const struct yd_batch *batch)
{
    int r = 0;
    for (uint32_t i = 0; notes->items && r == 0 && i < batch->view.count; i++) {
        struct yd_note note;
        unsigned given;
        if (yd_note_read(&batch->view, i, &note, &given)) r = put_over(notes, &notes->items[notes->at], note, given);
    }
    return r;
}

/* ---- the end ---- */

/* Seconds where they are whole, as OpenTSDB wants them; else milliseconds. */
static long long time_of(int64_t ns)
{
    return (long long)(ns % YD_NS_PER_S ? ns / YD_NS_PER_MS : ns / YD_NS_PER_S);
}

/* What came in by another door than ours is only said when it is what it should be. */
static bool is_object(struct yd_str custom)
{
    struct yd_arena arena;
    struct yd_json_value *value;
    if (!custom.size) return false;
    yd_arena_init(&arena, NULL);
    bool good = yd_json_read(custom, &arena, &value, NULL) == 0 && value->type == YD_JSON_OBJECT;
    for (const struct yd_json_value *item = good ? value->first : NULL; item; item = item->next)
        good &= item->type == YD_JSON_STRING;
    yd_arena_fini(&arena);
    return good;
}

void yd_tsdb_put_note(struct yd_buf *to, const struct yd_note *note)
{
    yd_buf_char(to, '{');
    if (!note->global) yd_buf_printf(to, "\"tsuid\":\"" YD_TSDB_TSUID "\",", (unsigned long long)note->tsuid);
    yd_buf_cstr(to, "\"description\":");
    yd_tsdb_put_string(to, note->description);
    yd_buf_cstr(to, ",\"notes\":");
    yd_tsdb_put_string(to, note->notes);
    if (is_object(note->custom)) {
        yd_buf_cstr(to, ",\"custom\":");
        yd_buf_str(to, note->custom);
    }
    yd_buf_printf(to, ",\"endTime\":%lld,\"startTime\":%lld}", time_of(note->end_ns), time_of(note->start_ns));
}

static int put_record(struct yd_builder *builder, const struct yd_tsdb_notes *notes, const struct yd_tsdb_note *item)
{
    unsigned given = item->given;
    if (notes->method == YD_TSDB_PUT) given |= YD_NOTE_REPLACE;
    return yd_note_put(builder, YD_STR(""), &item->note, given);
}

static int put_deletion(struct yd_builder *builder, bool global, uint64_t tsuid, int64_t from, int64_t to)
{
    const struct yd_note note = {.global = global, .tsuid = tsuid, .start_ns = from, .end_ns = to};
    return yd_note_put(builder, YD_STR(""), &note, YD_NOTE_DELETE);
}

static int put_records(struct yd_builder *builder, const struct yd_tsdb_notes *notes)
{
    const struct yd_series_query *range = &notes->range;
    bool deletes = notes->method == YD_TSDB_DELETE;
    int r = 0;
    for (size_t i = 0; i < notes->count && r >= 0; i++) {
        const struct yd_note *note = &notes->items[i].note;
        r = deletes ? put_deletion(builder, note->global, note->tsuid, note->start_ns, note->start_ns)
                    : put_record(builder, notes, &notes->items[i]);
    }
    if (notes->items) return r;
    if (notes->global && r >= 0) r = put_deletion(builder, true, 0, range->start_ns, range->end_ns);
    for (size_t i = 0; i < range->tsuid_count && r >= 0; i++)
        r = put_deletion(builder, false, range->tsuids[i], range->start_ns, range->end_ns);
    return r;
}

static int build(const struct yd_tsdb_notes *notes, struct yd_batch **ret_batch)
{
    const struct yd_builder_options options = {.size_max = UINT32_C(48) << 20};
    struct yd_builder *builder;
    int r = yd_builder_create(&options, &builder);
    if (r < 0) return r;
    r = put_records(builder, notes);
    if (r == YD_EFULL) r = YD_ETOOBIG;
    if (r >= 0) r = yd_builder_seal(builder, ret_batch);
    yd_builder_destroy(builder);
    return r;
}

static void put_items(const struct yd_tsdb_notes *notes, struct yd_buf *to)
{
    if (notes->bulk) yd_buf_char(to, '[');
    for (size_t i = 0; i < notes->count; i++) {
        if (i) yd_buf_char(to, ',');
        yd_tsdb_put_note(to, &notes->items[i].note);
    }
    if (notes->bulk) yd_buf_char(to, ']');
}

static void put_deleted(const struct yd_tsdb_notes *notes, struct yd_buf *to)
{
    const struct yd_series_query *range = &notes->range;
    yd_buf_cstr(to, "{\"tsuids\":");
    for (size_t i = 0; i < range->tsuid_count; i++)
        yd_buf_printf(to, "%s\"" YD_TSDB_TSUID "\"", i ? "," : "[", (unsigned long long)range->tsuids[i]);
    yd_buf_printf(to, "%s,\"global\":%s,\"startTime\":%lld,\"endTime\":%lld,\"totalDeleted\":%llu}",
                  range->tsuid_count ? "]" : "null", notes->global ? "true" : "false",
                  (long long)(range->start_ns / YD_NS_PER_MS), (long long)(range->end_ns / YD_NS_PER_MS),
                  (unsigned long long)notes->found_count);
}

int yd_tsdb_notes_end(struct yd_tsdb_notes *notes, unsigned *ret_status, struct yd_buf *to, struct yd_batch **ret_batch)
{
    *ret_status = 200;
    *ret_batch = NULL;
    if (notes->list) {
        yd_buf_str(to, yd_buf_view(&notes->found));
        yd_buf_cstr(to, notes->found_count ? "]" : "[]");
        return 0;
    }
    if (notes->method == YD_TSDB_GET) {
        if (!notes->items[0].known) return YD_ENOENT;
        put_items(notes, to);
        return 0;
    }
    if (notes->method == YD_TSDB_DELETE) {
        if (notes->items)
            *ret_status = 204;
        else
            put_deleted(notes, to);
        return build(notes, ret_batch); /* also of what the history does not know yet */
    }
    if (!notes->bulk && !notes->items[0].given) { /* nothing is said: as OpenTSDB answers it */
        *ret_status = 304;
        return 0;
    }
    put_items(notes, to);
    return build(notes, ret_batch);
}
