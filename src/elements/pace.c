/* Pace: of each name at most so many records a second; the newest is kept and sent when its turn comes.
 *
 *   record --matches?--no--> passes
 *            yes --> did one of this name pass within `every`? no --> passes
 *                                                        yes --> held, in place of the one held before (folded)
 *   the stream's time is `every` further --> held ones go, in the order in which their names' turns come
 *
 * Only what says how something is now can be held: SAMPLE, STATE, FACT. TALLY and DELTA are amounts, EVENT, PACKET and
 * ROW happen: they pass. So do lists, maps and tombstones, and take what is held of their name along. Time is that of
 * clock.h, so the same stream gives the same records; when nothing comes for a second the wall's clock sends what is
 * held. What is held is saved. What can fail: memory, more names than `series` (rejected, by reason). */
#include <yarder/element.h>
#include <yarder/name.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "elements/classes.h"
#include "elements/clock.h"
#include "elements/saved.h"
#include "elements/table.h"

enum { PORT_INPUT, PORT_OUTPUT };
enum { TIMER_TURN = 1 };
enum { REASON_SERIES };
#define SAVED_FORM 1

static const enum yd_kind kinds[] = {YD_SAMPLE, YD_STATE, YD_FACT};
#define KINDS YD_COUNT(kinds)

struct item {
    struct yd_table_item head;
    struct item *next; /* of those whose turn comes, by time */
    int64_t due;       /* its turn */
    bool waits;        /* is in that queue */
    bool held;
    uint16_t flags;
    uint8_t type, table;
    int64_t time; /* of what is held */
    union yd_value value;
    char *bytes; /* TEXT, BLOB */
    uint32_t size, room;
};
struct state {
    struct yd_pattern *pattern; /* NULL: every name */
    int64_t every;
    struct yd_table tables[KINDS];
    struct item *first, **end; /* the queue */
    uint64_t held;
    struct yd_clock clock;
    struct yd_builder *builder;
    struct yd_buf keep, names; /* a byte a record; a byte a name: 1 + matches, 0: not looked at */
    int64_t armed;
    bool arrives; /* the last batch was not from a Log: its time was the wall's, which goes on by itself */
};

/* ---- parameters ---- */

static int check(const struct yd_args *args, char *why, size_t why_size)
{
    bool rate = yd_args_find(args, "rate") != NULL, every = yd_args_find(args, "every") != NULL;
    if (rate != every) return 0;
    (void)snprintf(why, why_size, "rate or every: one of both");
    return YD_EINVAL;
}

static int open_pace(struct yd_element *element, void *opaque)
{
    struct state *state = opaque;
    const struct yd_args *args = yd_element_args(element);
    struct yd_str match = yd_args_text(args, "match");
    state->every = yd_args_int(args, "every");
    if (yd_args_find(args, "rate")) state->every = (int64_t)(1e9 / yd_args_float(args, "rate"));
    if (state->every < 1) state->every = 1;
    for (size_t i = 0; i < KINDS; i++)
        yd_table_init(&state->tables[i], NULL, sizeof(struct item), (uint64_t)yd_args_int(args, "series"));
    state->end = &state->first;
    yd_buf_init(&state->keep, NULL);
    yd_buf_init(&state->names, NULL);
    if (match.size && yd_pattern_compile(match, &state->pattern) < 0)
        return yd_element_fail(element, YD_EFORMAT, "match: '%.*s' is not a name pattern", YD_STR_FMT(match));
    return yd_builder_create(NULL, &state->builder);
}

static void close_pace(void *opaque)
{
    struct state *state = opaque;
    for (size_t i = 0; i < KINDS; i++) {
        for (uint32_t at = 0; at < state->tables[i].count; at++)
            free(((struct item *)state->tables[i].items[at])->bytes);
        yd_table_fini(&state->tables[i]);
    }
    yd_pattern_destroy(state->pattern);
    yd_builder_destroy(state->builder);
    yd_buf_fini(&state->keep);
    yd_buf_fini(&state->names);
}

/* ---- what is held ---- */

static void queue(struct state *state, struct item *item, int64_t due)
{
    item->due = due;
    item->waits = true;
    item->next = NULL;
    *state->end = item;
    state->end = &item->next;
}

static int hold(struct state *state, struct item *item, const struct yd_view *view, const struct yd_record *record)
{
    if (record->type == YD_TEXT || record->type == YD_BLOB) {
        struct yd_str bytes = yd_view_bytes(view, record->value);
        if (bytes.size > item->room) {
            char *room = realloc(item->bytes, bytes.size);
            if (!room) return YD_ENOMEM;
            item->bytes = room;
            item->room = (uint32_t)bytes.size;
        }
        if (bytes.size) memcpy(item->bytes, bytes.data, bytes.size);
        item->size = (uint32_t)bytes.size;
    }
    if (!item->held) state->held++;
    item->held = true;
    item->time = record->time_ns;
    item->type = (uint8_t)record->type;
    item->flags = record->flags;
    item->value = record->value;
    return 0;
}

static int emit_built(struct state *state, struct yd_out *out)
{
    struct yd_batch *batch;
    int error = yd_builder_seal(state->builder, &batch);
    if (error == YD_EAGAIN) return 0;
    return error < 0 ? error : yd_emit(out, PORT_OUTPUT, batch);
}

static int add_held(struct state *state, const struct item *item)
{
    uint32_t name;
    int error = yd_builder_name(state->builder, item->head.name, &name);
    if (error < 0) return error;
    if (item->type == YD_TEXT || item->type == YD_BLOB)
        return yd_builder_add_bytes(state->builder, item->time, name, kinds[item->table], (enum yd_type)item->type,
                                    item->flags, (struct yd_str){item->bytes, item->size});
    return yd_builder_add(state->builder, item->time, name, kinds[item->table], (enum yd_type)item->type, item->flags,
                          item->value);
}

/* Those whose turn is by `now`. */
static int send_due(struct state *state, int64_t now, struct yd_out *out)
{
    while (state->first && state->first->due <= now) {
        struct item *item = state->first;
        if (item->held) {
            int error = add_held(state, item);
            if (error == YD_EFULL)
                error = emit_built(state, out);
            else if (error == 0)
                item->held = false;
            if (error < 0) return error;
            if (item->held) continue; /* into the next batch */
            state->held--;
        } else {
            item->waits = false;
        }
        state->first = item->next;
        if (!state->first) state->end = &state->first;
        if (item->waits) queue(state, item, now + state->every); /* it was sent now */
    }
    return emit_built(state, out);
}

/* The machine's clock was set back: those who wait do so for as long as they had to when the last batch or timer came,
 * not until the clock is where it was. A small step is waited out: that costs less than to look at all of them. */
static void follow_back(struct state *state, int64_t wall_ns)
{
    int64_t back = state->clock.now - wall_ns;
    if (!state->arrives || back <= YD_MIN(state->every, YD_CLOCK_IDLE)) return;
    for (struct item *item = state->first; item; item = item->next) item->due -= back;
    state->clock.now = wall_ns;
}

static void arm(struct state *state, struct yd_input *input, struct yd_out *out)
{
    if (!state->held || !state->first) return;
    int64_t at = yd_clock_mono(&state->clock, state->first->due, input->mono_ns, input->wall_ns);
    if (state->arrives) at = input->mono_ns + YD_MAX(state->first->due - input->wall_ns, 0);
    if (state->armed && state->armed <= at) return; /* it looks again by itself */
    state->armed = at;
    yd_timer_at(out, TIMER_TURN, at);
}

/* ---- in ---- */

static int table_of(const struct yd_record *record)
{
    if (record->type == YD_LIST || record->type == YD_MAP || (record->flags & YD_RECORD_TOMBSTONE)) return -1;
    for (size_t i = 0; i < KINDS; i++)
        if (kinds[i] == record->kind) return (int)i;
    return -1;
}

static bool matches(struct state *state, const struct yd_view *view, uint32_t name)
{
    char *known = &state->names.data[name];
    if (!state->pattern) return true;
    if (*known == 0) *known = (char)(1 + yd_pattern_match(state->pattern, yd_view_name(view, name)));
    return *known == 2;
}

/* What passes and ends or replaces what is held of its name: that must not come behind it. */
static void forget_held(struct state *state, const struct yd_view *view, const struct yd_record *record,
                        struct yd_out *out)
{
    bool all = record->flags & YD_RECORD_TOMBSTONE; /* the name is forgotten, whatever its kind */
    for (size_t i = 0; i < KINDS; i++) {
        if (!all && kinds[i] != record->kind) continue;
        struct item *item =
            yd_table_find(&state->tables[i], yd_view_name(view, record->name), view->names[record->name].hash);
        if (!item || !item->held) continue;
        item->held = false; /* its turn stays */
        state->held--;
        yd_count_folded(out, 1);
    }
}

/* 1: passes now; 0: held or rejected; < 0. */
static int take(struct state *state, const struct yd_view *view, const struct yd_record *record, struct yd_out *out)
{
    int table = table_of(record);
    struct item *item;
    if (!matches(state, view, record->name)) return 1;
    if (table < 0) {
        if (state->held) forget_held(state, view, record, out);
        return 1;
    }
    struct yd_str name = yd_view_name(view, record->name);
    int error = yd_table_add(&state->tables[table], name, view->names[record->name].hash, &item);
    if (error == YD_EFULL) {
        yd_count_rejected(out, REASON_SERIES, 1, name);
        return 0;
    }
    if (error < 0) return error;
    item->table = (uint8_t)table;
    if (!item->waits) {
        queue(state, item, state->clock.now + state->every);
        return 1;
    }
    if (item->held) yd_count_folded(out, 1);
    return hold(state, item, view, record);
}

static int on_batch(struct state *state, struct yd_input *input, struct yd_out *out)
{
    const struct yd_view *view = &input->batch->view;
    uint32_t kept = 0;
    yd_clock_batch(&state->clock, input);
    state->arrives = input->batch->header.append_time == 0;
    follow_back(state, input->wall_ns);
    int error = send_due(state, state->clock.now, out);
    if (error < 0) return error;
    yd_buf_clear(&state->keep);
    yd_buf_clear(&state->names);
    char *keep = yd_buf_reserve(&state->keep, view->count + 1);
    char *names = yd_buf_reserve(&state->names, view->name_count + 1);
    if (!keep || !names) return YD_ENOMEM;
    memset(names, 0, view->name_count);
    for (uint32_t i = 0; i < view->count; i++) {
        int result = take(state, view, &view->records[i], out);
        if (result < 0) return result;
        keep[i] = (char)result;
        kept += (uint32_t)result;
    }
    arm(state, input, out);
    if (kept == view->count) return yd_emit(out, PORT_OUTPUT, yd_batch_ref(input->batch));
    struct yd_batch *part;
    if (kept == 0) return 0;
    error = yd_batch_select(input->batch, (const uint8_t *)keep, &part);
    return error < 0 ? error : yd_emit(out, PORT_OUTPUT, part);
}

static int on_timer(struct state *state, struct yd_input *input, struct yd_out *out)
{
    int64_t again;
    state->armed = 0;
    if (!state->clock.blocked) follow_back(state, input->wall_ns);
    if (state->arrives && !state->clock.blocked)
        state->clock.now = YD_MAX(state->clock.now, input->wall_ns);
    else if (!yd_clock_wall(&state->clock, input, &again)) {
        state->armed = again;
        yd_timer_at(out, TIMER_TURN, again);
        return 0;
    }
    int error = send_due(state, state->clock.now, out);
    arm(state, input, out);
    return error;
}

static enum yd_turn_result receive(void *opaque, struct yd_input *input, struct yd_out *out)
{
    struct state *state = opaque;
    int error = 0;
    switch (input->type) {
    case YD_INPUT_START:
        yd_clock_start(&state->clock, input);
        arm(state, input, out);
        break;
    case YD_INPUT_BATCH:
        error = on_batch(state, input, out);
        break;
    case YD_INPUT_TIMER:
        error = on_timer(state, input, out);
        break;
    case YD_INPUT_BLOCKED:
        state->clock.blocked = input->error != 0;
        break;
    default:
        break;
    }
    if (error >= 0) return YD_DONE;
    yd_builder_abandon(state->builder);
    return YD_FAIL;
}

/* ---- what survives: whose turn is to come, in that order, and what is held ---- */

struct saved_head {
    uint32_t form, count;
    int64_t now;
};
struct saved_item {
    int64_t due, time;
    uint64_t bits;
    uint16_t flags;
    uint8_t table, type, held, reserved[3];
};

static int save(const void *opaque, uint32_t key_group, struct yd_saver *saver)
{
    const struct state *state = opaque;
    struct saved_head head = {SAVED_FORM, 0, state->clock.now};
    if (key_group != 0) return 0;
    for (const struct item *item = state->first; item; item = item->next) head.count++;
    yd_save_bytes(saver, &head, sizeof head);
    for (const struct item *item = state->first; item; item = item->next) {
        bool bytes = item->held && (item->type == YD_TEXT || item->type == YD_BLOB);
        const struct saved_item saved = {
            item->due, item->time, bytes ? 0 : item->value.bits, item->flags, item->table, item->type, item->held, {0}};
        yd_save_bytes(saver, &saved, sizeof saved);
        yd_save_text(saver, item->head.name);
        yd_save_text(saver, (struct yd_str){item->bytes, bytes ? item->size : 0});
    }
    return 0;
}

static int load_item(struct state *state, const struct saved_item *saved, struct yd_str name, struct yd_str bytes)
{
    struct item *item;
    if (saved->table >= KINDS || saved->type >= YD_LIST || saved->held > 1) return YD_EFORMAT;
    int error = yd_table_add(&state->tables[saved->table], name, yd_hash_str(name), &item);
    if (error == YD_EFULL) return 0; /* fewer are allowed now */
    if (error < 0) return error;
    if (item->waits) return YD_EFORMAT;
    if (bytes.size) {
        item->bytes = malloc(bytes.size);
        if (!item->bytes) return YD_ENOMEM;
        memcpy(item->bytes, bytes.data, bytes.size);
        item->size = item->room = (uint32_t)bytes.size;
    }
    item->table = saved->table;
    item->type = saved->type;
    item->flags = saved->flags;
    item->time = saved->time;
    item->value.bits = saved->bits;
    item->held = saved->held;
    state->held += saved->held;
    queue(state, item, saved->due);
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
    for (uint32_t i = 0; i < head.count; i++) {
        struct saved_item item;
        struct yd_str name, bytes;
        if (!yd_saved_bytes(&saved, &item, sizeof item) || !yd_saved_text(&saved, &name) ||
            !yd_saved_text(&saved, &bytes))
            return YD_EFORMAT;
        int error = load_item(state, &item, name, bytes);
        if (error < 0) return error;
    }
    return 0;
}

static enum yd_turn_result drain(void *opaque, struct yd_out *out)
{
    struct state *state = opaque;
    int64_t last = INT64_MIN; /* nothing more comes: what is held goes now */
    for (const struct item *item = state->first; item; item = item->next)
        if (item->held) last = item->due;
    if (state->held == 0 || send_due(state, last, out) == 0) return YD_DONE;
    yd_builder_abandon(state->builder);
    return YD_FAIL;
}

static const struct yd_port_class ports[] = {
    [PORT_INPUT] = {.name = "input",
                    .direction = YD_IN,
                    .mode = YD_PUSH,
                    .kinds = YD_KINDS_ALL,
                    .flags = YD_PORT_REQUIRED,
                    .doc = "Records. SAMPLEs, STATEs and FACTs are paced; the rest passes."},
    [PORT_OUTPUT] = {.name = "output",
                     .direction = YD_OUT,
                     .mode = YD_PUSH,
                     .kinds = YD_KINDS_ALL,
                     .flags = YD_PORT_PASSES,
                     .doc = "What passes, and what was held when its turn comes."},
    {.name = NULL},
};

static const struct yd_param_class params[] = {
    {.name = "rate",
     .type = YD_PARAM_RATE,
     .min = 1e-6,
     .max = 1e6,
     .doc = "At most so many records of each name: `10/s`. This or `every`."},
    {.name = "every",
     .type = YD_PARAM_DURATION,
     .min = 1000,
     .max = 1e15,
     .doc = "At most one record of each name in this time."},
    {.name = "match", .type = YD_PARAM_TEXT, .flags = YD_PARAM_PATTERN, .doc = "Names that are paced. Without it all."},
    {.name = "series",
     .type = YD_PARAM_INT,
     .initial = "1000000",
     .min = 1,
     .max = 1e9,
     .doc = "At most so many names of each kind are remembered; records of more are rejected."},
    {.name = NULL},
};

static const char *const reasons[] = {[REASON_SERIES] = "`series` is reached", NULL};

const struct yd_element_class yd_class_pace = {
    .abi = YD_ELEMENT_ABI,
    .flags = YD_CLASS_STATEFUL | YD_CLASS_WATCHES,
    .name = "Pace",
    .summary = "at most so many records of each name a second; the newest is kept and sent when its turn comes",
    .doc =
        "The first record of a name passes at once. What comes within `every` behind one that passed is held, each in "
        "place of the one before, which is counted as folded; when the time is over what is held passes. So the last "
        "value always arrives. Time is the stream's own: with the batches from a Log their append time, so the same "
        "stream gives the same records, and the machine's clock counts when nothing has come for a second; with all "
        "others it is the machine's clock. What is held "
        "survives restarts, and is sent at once when the element is drained.\n",
    .example = "metrics -> Pace(rate: 1/s, match: \"imu.*\") -> Print()",
    .ports = ports,
    .params = params,
    .reasons = reasons,
    .state_size = sizeof(struct state),
    .check = check,
    .open = open_pace,
    .close = close_pace,
    .receive = receive,
    .drain = drain,
    .save = save,
    .load = load,
};
