/* /events/get_data: the history's global annotations (store/notes.h) as Graphite's events; see graphite_web.h.
 *
 *   [{"id":1,"what":DESCRIPTION,"when":SECONDS,"tags":["deploy","web"],"data":NOTES}, …]    from, until, tags=
 *
 * An event's tags are the words of `tags` in the annotation's `custom`; asked for with tags, it must have all of them.
 */
#include "elements/graphite_parts.h"
#include "serve/json_in.h"
#include "store/notes.h"

#define EVENTS_MAX 10000

struct events {
    struct yd_buf found;
    struct yd_str tags; /* that are asked for */
    uint64_t count;
};

static int start(struct yd_gweb *web, struct yd_ask *ret_ask, struct yd_trail *trail)
{
    struct events *events = web->own;
    int64_t now = web->now_ns / YD_NS_PER_S, from = 0, until = now;
    struct yd_str first = yd_graphite_field(&web->form, "from"), last = yd_graphite_field(&web->form, "until");
    yd_buf_init(&events->found, NULL);
    events->tags = yd_graphite_field(&web->form, "tags");
    if (first.size && yd_graphite_time(first, now, &from) < 0)
        return yd_trail_add(trail, YD_EINVAL, "Invalid value for from: '%.*s'", (int)YD_MIN(first.size, (size_t)100),
                            first.data);
    if (last.size && yd_graphite_time(last, now, &until) < 0)
        return yd_trail_add(trail, YD_EINVAL, "Invalid value for until: '%.*s'", (int)YD_MIN(last.size, (size_t)100),
                            last.data);
    *ret_ask =
        (struct yd_ask){.op = YD_ASK_NOTES,
                        .global = true,
                        .max = EVENTS_MAX,
                        .series = {.start_ns = from * YD_NS_PER_S, .end_ns = until * YD_NS_PER_S + (YD_NS_PER_S - 1)}};
    return 1;
}

/* Words between spaces and commas. */
static bool next_word(struct yd_str *rest, struct yd_str *ret)
{
    while (rest->size && strchr(" ,", *rest->data)) rest->data++, rest->size--;
    size_t size = 0;
    while (size < rest->size && !strchr(" ,", rest->data[size])) size++;
    *ret = (struct yd_str){rest->data, size};
    *rest = (struct yd_str){rest->data + size, rest->size - size};
    return size != 0;
}

static bool has_all(struct yd_str tags, struct yd_str asked)
{
    struct yd_str word, other;
    while (next_word(&asked, &word)) {
        struct yd_str rest = tags;
        bool found = false;
        while (!found && next_word(&rest, &other)) found = yd_str_eq(word, other);
        if (!found) return false;
    }
    return true;
}

static struct yd_str tags_of(const struct yd_note *note, struct yd_arena *arena)
{
    struct yd_json_value *custom = NULL;
    if (!note->custom.size || yd_json_read(note->custom, arena, &custom, NULL) < 0) return YD_STR("");
    struct yd_str tags = yd_json_text(yd_json_get(custom, "tags"));
    return tags.data ? tags : YD_STR("");
}

static void put_event(struct events *events, const struct yd_note *note, struct yd_str tags)
{
    struct yd_json json;
    struct yd_str word;
    if (events->count++) yd_buf_char(&events->found, ',');
    yd_json_init(&json, &events->found, false);
    yd_json_object(&json);
    yd_json_key(&json, "id");
    yd_json_u64(&json, events->count);
    yd_json_key(&json, "what");
    yd_json_str(&json, note->description);
    yd_json_key(&json, "when");
    yd_json_i64(&json, note->start_ns / YD_NS_PER_S);
    yd_json_key(&json, "tags");
    yd_json_array(&json);
    while (next_word(&tags, &word)) yd_json_str(&json, word);
    yd_json_array_end(&json);
    yd_json_key(&json, "data");
    yd_json_str(&json, note->notes);
    yd_json_object_end(&json);
}

static int add(struct yd_gweb *web, const struct yd_batch *batch, struct yd_trail *trail)
{
    struct events *events = web->own;
    struct yd_arena arena;
    (void)trail;
    yd_arena_init(&arena, NULL);
    for (uint32_t i = 0; i < batch->view.count; i++) {
        struct yd_note note;
        unsigned given;
        if (!yd_note_read(&batch->view, i, &note, &given)) continue;
        struct yd_str tags = tags_of(&note, &arena);
        if (has_all(tags, events->tags)) put_event(events, &note, tags);
        yd_arena_reset(&arena);
    }
    yd_arena_fini(&arena);
    return events->found.failed ? YD_ENOMEM : 0;
}

static int next(struct yd_gweb *web, struct yd_ask *ret_ask, struct yd_trail *trail)
{
    (void)web, (void)ret_ask, (void)trail;
    return 0;
}

static bool write(struct yd_gweb *web, struct yd_buf *to, size_t size)
{
    struct events *events = web->own;
    (void)size; /* ten thousand at most */
    yd_buf_char(to, '[');
    yd_buf_str(to, yd_buf_view(&events->found));
    yd_buf_char(to, ']');
    return false;
}

static void free_events(struct yd_gweb *web)
{
    yd_buf_fini(&((struct events *)web->own)->found);
}

const struct yd__gweb_ops yd__gweb_events = {.path = "events/get_data",
                                             .size = sizeof(struct events),
                                             .start = start,
                                             .add = add,
                                             .next = next,
                                             .write = write,
                                             .free = free_events};
