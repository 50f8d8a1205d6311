/* Events: keeps the last ones, by number and age, answers what happened lately, and passes everything on.
 *
 *   batch --> its EVENTs into a ring (oldest out at `count`, `keep` and `memory`) --> the batch itself */
#include <yarder/element.h>
#include <yarder/name.h>

#include <stdlib.h>

#include "base/base.h"
#include "base/text.h"
#include "batch/record_text.h"
#include "elements/clock.h"
#include "elements/rows.h"
#include "elements/saved.h"

enum { PORT_INPUT, PORT_OUTPUT, PORT_QUERY };
#define TEXT_MAX   4096 /* of an event that is kept; it passes whole */
#define SAVED_FORM 1

struct event {
    int64_t time, came; /* its own; by the clock */
    uint32_t name_size, text_size;
    char bytes[]; /* name, text */
};
struct state {
    struct event **ring;
    uint64_t first, count, capacity, bytes;
    uint64_t count_max, memory_max;
    int64_t keep_ns;
    struct yd_clock clock;
    struct yd_buf text;
};

static int open_events(struct yd_element *element, void *opaque)
{
    struct state *state = opaque;
    const struct yd_args *args = yd_element_args(element);
    state->count_max = (uint64_t)yd_args_int(args, "count");
    state->memory_max = (uint64_t)yd_args_int(args, "memory");
    state->keep_ns = yd_args_int(args, "keep");
    yd_buf_init(&state->text, NULL);
    return 0;
}

static size_t size_of(const struct event *event)
{
    return sizeof *event + event->name_size + event->text_size;
}

static void drop_first(struct state *state)
{
    struct event *event = state->ring[state->first];
    state->first = (state->first + 1) % state->capacity;
    state->count--;
    state->bytes -= size_of(event);
    free(event);
}

static void close_events(void *opaque)
{
    struct state *state = opaque;
    while (state->count) drop_first(state);
    free(state->ring);
    yd_buf_fini(&state->text);
}

static int grow(struct state *state)
{
    if (state->count < state->capacity) return 0;
    uint64_t capacity = state->capacity ? state->capacity * 2 : 64;
    struct event **ring = malloc(capacity * sizeof(struct event *));
    if (!ring) return YD_ENOMEM;
    for (uint64_t i = 0; i < state->count; i++) ring[i] = state->ring[(state->first + i) % state->capacity];
    free(state->ring);
    state->ring = ring;
    state->first = 0;
    state->capacity = capacity;
    return 0;
}

static void age(struct state *state)
{
    while (state->count && (state->count > state->count_max || state->bytes > state->memory_max ||
                            (state->keep_ns && state->clock.now - state->ring[state->first]->came > state->keep_ns)))
        drop_first(state);
}

static int add(struct state *state, int64_t time, int64_t came, struct yd_str name, struct yd_str text)
{
    if (text.size > TEXT_MAX) {
        text.size = TEXT_MAX;
        while (text.size && ((unsigned char)text.data[text.size] & 0xc0) == 0x80) text.size--; /* not within a letter */
    }
    int error = grow(state);
    struct event *event = error < 0 ? NULL : malloc(sizeof *event + name.size + text.size);
    if (!event) return YD_ENOMEM;
    *event = (struct event){time, came, (uint32_t)name.size, (uint32_t)text.size};
    memcpy(event->bytes, name.data, name.size);
    if (text.size) memcpy(event->bytes + name.size, text.data, text.size);
    state->ring[(state->first + state->count++) % state->capacity] = event;
    state->bytes += size_of(event);
    return 0;
}

static struct yd_str name_of(const struct event *event)
{
    return (struct yd_str){event->bytes, event->name_size};
}

static void forget(struct state *state, const struct yd_pattern *pattern, struct yd_str name)
{
    uint64_t kept = 0, count = state->count;
    for (uint64_t i = 0; i < count; i++) {
        struct event *event = state->ring[(state->first + i) % state->capacity];
        bool gone = pattern ? yd_pattern_match(pattern, name_of(event)) : yd_str_eq(name_of(event), name);
        if (!gone) {
            state->ring[(state->first + kept++) % state->capacity] = event;
            continue;
        }
        state->bytes -= size_of(event);
        free(event);
    }
    state->count = kept;
}

static enum yd_turn_result on_batch(struct state *state, struct yd_input *input, struct yd_out *out)
{
    const struct yd_view *view = &input->batch->view;
    yd_clock_batch(&state->clock, input);
    for (uint32_t i = 0; i < view->count; i++) {
        const struct yd_record *record = &view->records[i];
        struct yd_pattern *pattern;
        uint32_t kinds = 0;
        int tombstone = yd_tombstone_read(view, i, &pattern, &kinds);
        if (tombstone < 0) return YD_FAIL;
        if (tombstone > 0) {
            if (kinds & YD_KIND_BIT(YD_EVENT)) forget(state, pattern, yd_view_name(view, record->name));
            yd_pattern_destroy(pattern);
            continue;
        }
        if (record->kind != YD_EVENT) continue;
        yd_buf_clear(&state->text);
        yd_value_text(view, (enum yd_type)record->type, record->value, &state->text);
        if (state->text.failed || add(state, record->time_ns, state->clock.now, yd_view_name(view, record->name),
                                      yd_buf_view(&state->text)) < 0)
            return YD_FAIL;
        if (state->count > state->count_max) drop_first(state);
    }
    age(state);
    return yd_emit(out, PORT_OUTPUT, yd_batch_ref(input->batch)) < 0 ? YD_FAIL : YD_DONE;
}

static int fill(struct yd_builder *builder, const void *arg)
{
    const struct event *event = arg;
    int error = yd_rows_cell_i64(builder, "time", event->time);
    return error < 0 ? error
                     : yd_rows_cell_text(builder, "value",
                                         (struct yd_str){event->bytes + event->name_size, event->text_size});
}

static enum yd_turn_result answer(struct state *state, struct yd_input *input, struct yd_out *out)
{
    struct yd_rows rows;
    if (!yd_rows_op(input->batch, "events")) return yd_rows_unknown(input, out, "events");
    uint64_t since = yd_rows_number(input->batch, "since", 0);
    if (input->wall_ns > state->clock.now) state->clock.now = input->wall_ns;
    age(state);
    yd_rows_begin(&rows, input, out);
    for (uint64_t i = 0; i < state->count && rows.error == 0; i++) {
        const struct event *event = state->ring[(state->first + i) % state->capacity];
        if (since && (event->time < 0 || (uint64_t)event->time < since)) continue;
        if (yd_rows_match(&rows, name_of(event))) yd_rows_add(&rows, name_of(event), event->time, fill, event);
    }
    return yd_rows_end(&rows);
}

static enum yd_turn_result receive(void *opaque, struct yd_input *input, struct yd_out *out)
{
    if (input->type == YD_INPUT_BATCH) return on_batch(opaque, input, out);
    if (input->type == YD_INPUT_QUERY) return answer(opaque, input, out);
    return YD_DONE;
}

/* ---- what survives ---- */

struct saved_head {
    uint64_t form, count;
    int64_t now;
};

static int save(const void *opaque, uint32_t key_group, struct yd_saver *saver)
{
    const struct state *state = opaque;
    const struct saved_head head = {SAVED_FORM, state->count, state->clock.now};
    if (key_group != 0) return 0;
    yd_save_bytes(saver, &head, sizeof head);
    for (uint64_t i = 0; i < state->count; i++) {
        const struct event *event = state->ring[(state->first + i) % state->capacity];
        yd_save_bytes(saver, &event->time, sizeof event->time);
        yd_save_bytes(saver, &event->came, sizeof event->came);
        yd_save_text(saver, name_of(event));
        yd_save_text(saver, (struct yd_str){event->bytes + event->name_size, event->text_size});
    }
    return 0;
}

static int load(void *opaque, uint32_t key_group, struct yd_str saved)
{
    struct state *state = opaque;
    struct saved_head head;
    (void)key_group;
    if (!yd_saved_bytes(&saved, &head, sizeof head)) return YD_EFORMAT;
    if (head.form != SAVED_FORM) return YD_EVERSION;
    state->clock.now = head.now;
    for (uint64_t i = 0; i < head.count; i++) {
        int64_t times[2];
        struct yd_str name, text;
        if (!yd_saved_bytes(&saved, times, sizeof times) || !yd_saved_text(&saved, &name) ||
            !yd_saved_text(&saved, &text) || !yd_text_utf8(name) || !yd_text_utf8(text))
            return YD_EFORMAT;
        int error = add(state, times[0], times[1], name, text);
        if (error < 0) return error;
    }
    age(state);
    return saved.size ? YD_EFORMAT : 0;
}

static const struct yd_port_class ports[] = {
    [PORT_INPUT] = {.name = "input",
                    .direction = YD_IN,
                    .mode = YD_PUSH,
                    .kinds = YD_KINDS_ALL,
                    .doc = "Records of any kind; EVENTs are kept."},
    [PORT_OUTPUT] = {.name = "output",
                     .direction = YD_OUT,
                     .mode = YD_PUSH,
                     .kinds = YD_KINDS_ALL,
                     .flags = YD_PORT_PASSES,
                     .doc = "All that came, as it came."},
    [PORT_QUERY] = {.name = "query",
                    .direction = YD_IN,
                    .mode = YD_QUERY,
                    .schema = "rows",
                    .doc = "Answers `events` (`match`, a pattern; `since`, ns since 1970; `max`): name, time, value."},
    {.name = NULL},
};

static const struct yd_param_class params[] = {
    {.name = "count",
     .type = YD_PARAM_INT,
     .initial = "1000",
     .min = 1,
     .max = 1e9,
     .doc = "The last so many are kept."},
    {.name = "keep",
     .type = YD_PARAM_DURATION,
     .initial = "0s",
     .min = 0,
     .max = 9.2e18,
     .doc = "And no longer than this after they came; `0s`: as long as there are not more."},
    {.name = "memory",
     .type = YD_PARAM_SIZE,
     .initial = "64MiB",
     .flags = YD_PARAM_MEMORY,
     .min = 1 << 16,
     .max = (double)(UINT64_C(1) << 40),
     .doc = "And in no more memory than this."},
    {.name = NULL},
};

const struct yd_element_class yd_class_events = {
    .abi = YD_ELEMENT_ABI,
    .flags = YD_CLASS_STATEFUL | YD_CLASS_REPEATS,
    .name = "Events",
    .summary = "keeps the last events and passes everything on",
    .doc =
        "What is kept of an event is its name, its time and up to 4 KiB of its text. It survives restarts. Tombstones "
        "(`Forget`) take events out.\n",
    .example = "metrics -> Events(count: 500, keep: 1h) -> Print()",
    .ports = ports,
    .params = params,
    .state_size = sizeof(struct state),
    .open = open_events,
    .close = close_events,
    .receive = receive,
    .save = save,
    .load = load,
};
