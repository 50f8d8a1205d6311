/* Limits: red, yellow and green by name, told when they change and when a measurement falls silent.
 *
 *   record {name, time, value} --> first rule that matches --> item of the engine (decom/limits.h)
 *                                                                |
 *   silence, by the clock of clock.h ----------------------------+--> [ transition ] state     always in this order
 *
 * The state of a name is OK (green), WARNING (yellow), CRITICAL (red) or UNKNOWN, its summary says which bound was
 * crossed and how. Unlike State it speaks only when something changes: a value a millisecond costs a look-up. With
 * `pass` what comes in goes out, too, each record of a watched name with the code of its limits in its flags. What can
 * fail: rules, refused with their place; more names than `names`: those records are rejected by reason; memory. */
#include <yarder/element.h>
#include <yarder/name.h>

#include <stdlib.h>

#include "base/text.h"
#include "elements/clock.h"
#include "elements/limits_rules.h"
#include "elements/redefine.h"
#include "elements/rows.h"
#include "elements/saved.h"
#include "elements/table.h"

enum { PORT_INPUT, PORT_OUTPUT, PORT_QUERY };
enum { TIMER_SILENCE = 1 };
enum { REASON_NAMES, REASON_MEMORY };
#define SUMMARY_MAX 400
#define SAVED_FORM  1

struct watched {
    struct yd_table_item head;
    uint32_t item;
    bool has_rule;
    char summary[SUMMARY_MAX]; /* of the last change */
};
struct limiter {
    struct yd_limits_rules rules;
    struct yd_limits *limits; /* the rules' engine */
    struct yd_table table;
    struct watched **by_item;
    uint32_t by_item_room;
    struct yd_clock clock;
    struct yd_builder *builder;
    struct yd_buf cache; /* struct watched * by name of the batch at hand */
    struct yd_str set_from;
    struct yd_redefine_late late; /* what a definition that changed has made, and the outputs were full */
    int64_t armed;
    bool pass, ended;
};

static int set_up(struct yd_element *element, struct limiter *state, const struct yd_str *text)
{
    const struct yd_args *args = yd_element_args(element);
    yd_table_init(&state->table, NULL, sizeof(struct watched), (uint64_t)yd_args_int(args, "names"));
    yd_buf_init(&state->cache, NULL);
    state->pass = yd_args_bool(args, "pass");
    state->set_from = yd_args_text(args, "set_from");
    int error = yd_limits_rules_open(&state->rules, element, text);
    if (error < 0) return error;
    state->limits = state->rules.limits;
    return yd_builder_create(NULL, &state->builder);
}

static void close_limiter(void *opaque)
{
    struct limiter *state = opaque;
    yd_table_fini(&state->table);
    yd_limits_rules_close(&state->rules);
    yd_buf_fini(&state->cache);
    free(state->by_item);
    yd_builder_destroy(state->builder);
    yd_redefine_late_cut(&state->late, 0);
}

static int open_limiter(struct yd_element *element, void *opaque)
{
    int error = set_up(element, opaque, NULL);
    if (error < 0) close_limiter(opaque);
    return error;
}

/* ---- names ---- */

static int watch(struct limiter *state, struct watched *watched)
{
    uint32_t rule;
    watched->has_rule = yd_limits_rules_find(&state->rules, watched->head.name, &rule);
    if (!watched->has_rule) return 0;
    int error = yd_limits_watch(state->limits, rule, &watched->item);
    if (error < 0) return error;
    if (watched->item >= state->by_item_room) {
        uint32_t room = YD_MAX(64u, watched->item * 2);
        struct watched **grown = realloc(state->by_item, room * sizeof(struct watched *));
        if (!grown) {
            yd_limits_unwatch(state->limits, watched->item);
            return YD_ENOMEM;
        }
        state->by_item = grown;
        state->by_item_room = room;
    }
    state->by_item[watched->item] = watched;
    return 0;
}

/* 1: new. Names that no rule matches are in the table, too: matching is done once. */
static int find_watched(struct limiter *state, struct yd_str name, uint64_t hash, struct watched **ret)
{
    int is_new = yd_table_add(&state->table, name, hash, ret);
    if (is_new <= 0) return is_new;
    int error = watch(state, *ret);
    if (error == 0) return 1;
    yd_table_remove(&state->table, *ret);
    return error;
}

static void forget_watched(struct limiter *state, struct watched *watched)
{
    if (watched->has_rule) yd_limits_unwatch(state->limits, watched->item);
    yd_table_remove(&state->table, watched);
}

/* ---- out ---- */

static int emit_built(struct limiter *state, struct yd_out *out)
{
    struct yd_batch *batch;
    int error = yd_builder_seal(state->builder, &batch);
    if (error == YD_EAGAIN) return 0;
    return error < 0 ? error : yd_emit(out, PORT_OUTPUT, batch);
}

static int add_words(struct limiter *state, const struct watched *watched, int64_t time_ns, unsigned flags,
                     const char *words)
{
    uint32_t name;
    int error = yd_builder_name_hashed(state->builder, watched->head.name, watched->head.hash, &name);
    if (error < 0) return error;
    return yd_builder_add_bytes(state->builder, time_ns, name, YD_STATE, YD_TEXT, (uint16_t)flags, yd_str_of(words));
}

static int add_state(struct limiter *state, const struct watched *watched, int64_t time_ns, unsigned flags)
{
    return add_words(state, watched, time_ns, flags, watched->summary);
}

/* The transition, and then the state. */
static int say(struct limiter *state, const struct yd_limit_change *change, struct yd_out *out)
{
    struct watched *watched = state->by_item[change->item];
    unsigned flags = yd_limit_state_code(change->state) | (change->stale ? YD_RECORD_STALE : 0);
    (void)yd_limit_change_text(state->limits, change, watched->summary, sizeof watched->summary);
    for (int i = 0; i < 2; i++) {
        unsigned both = flags | (i ? 0 : YD_RECORD_TRANSITION);
        int error = add_state(state, watched, change->time_ns, both);
        if (error == YD_EFULL) {
            error = emit_built(state, out);
            if (error == 0) error = add_state(state, watched, change->time_ns, both);
        }
        if (error < 0) return error;
    }
    return 0;
}

static int tell_silent(struct limiter *state, struct yd_out *out)
{
    struct yd_limit_change change;
    int error = 0;
    while (error == 0 && yd_limits_silent(state->limits, state->clock.now, &change)) error = say(state, &change, out);
    return error;
}

/* ---- in ---- */

static struct yd_reading reading_of(const struct yd_view *view, const struct yd_record *record)
{
    if (record->type == YD_TEXT) return yd_reading_text(yd_view_bytes(view, record->value), 0);
    if (record->type >= YD_BOOL && record->type <= YD_F64)
        return (struct yd_reading){.type = record->type, .bits = record->value.bits};
    return yd_reading_none(0);
}

static struct watched *watched_of(struct limiter *state, const struct yd_view *view, uint32_t name, int *ret_error)
{
    struct watched **cache = (struct watched **)(void *)state->cache.data;
    *ret_error = 0;
    if (cache[name]) return cache[name];
    *ret_error = find_watched(state, yd_view_name(view, name), view->names[name].hash, &cache[name]);
    if (*ret_error < 0) cache[name] = NULL;
    return cache[name];
}

/* *ret_code: what its limits say now; -1: it has none. */
static int take(struct limiter *state, const struct yd_view *view, uint32_t index, struct yd_out *out, int *ret_code)
{
    const struct yd_record *record = &view->records[index];
    struct yd_str name = yd_view_name(view, record->name);
    struct yd_limit_change change;
    int error;
    *ret_code = -1;
    if (state->set_from.size && record->type == YD_TEXT && yd_str_eq(name, state->set_from))
        (void)yd_limits_use(state->limits, yd_view_bytes(view, record->value)); /* one that no rule has: as it was */
    struct watched *watched = watched_of(state, view, record->name, &error);
    if (!watched) {
        yd_count_rejected(out, error == YD_EFULL ? REASON_NAMES : REASON_MEMORY, 1, name);
        return 0;
    }
    if (!watched->has_rule) return 1;
    struct yd_reading reading = reading_of(view, record);
    bool changed = yd_limits_update(state->limits, watched->item, &reading, record->time_ns, state->clock.now, &change);
    struct yd_limit_status status;
    yd_limits_status(state->limits, watched->item, &status);
    if (status.known) *ret_code = (int)yd_limit_state_code(status.state);
    return changed ? say(state, &change, out) : 0;
}

static void forget(struct limiter *state, const struct yd_view *view, uint32_t index, const struct yd_pattern *pattern)
{
    struct watched **cache = (struct watched **)(void *)state->cache.data;
    memset(cache, 0, view->name_count * sizeof *cache);
    for (uint32_t i = state->table.count; pattern && i-- > 0;)
        if (yd_pattern_match(pattern, state->table.items[i]->name))
            forget_watched(state, (struct watched *)state->table.items[i]);
    if (pattern) return;
    uint32_t name = view->records[index].name;
    struct watched *watched = yd_table_find(&state->table, yd_view_name(view, name), view->names[name].hash);
    if (watched) forget_watched(state, watched);
}

/* What comes in, as it is but for the code of its limits. */
static int pass_on(struct limiter *state, const struct yd_view *view, uint32_t index, int code, struct yd_out *out)
{
    const struct yd_record *record = &view->records[index];
    bool scalar = record->type < YD_TEXT;
    for (int i = 0;; i++) {
        uint32_t name;
        int error;
        if (code > 0 && (scalar || record->type == YD_TEXT)) {
            uint16_t flags = (uint16_t)((record->flags & ~YD_RECORD_CODE_MASK) | code);
            error = yd_builder_name_hashed(state->builder, yd_view_name(view, record->name),
                                           view->names[record->name].hash, &name);
            if (error == 0 && scalar)
                error = yd_builder_add(state->builder, record->time_ns, name, (enum yd_kind)record->kind,
                                       (enum yd_type)record->type, flags, record->value);
            else if (error == 0)
                error = yd_builder_add_bytes(state->builder, record->time_ns, name, (enum yd_kind)record->kind, YD_TEXT,
                                             flags, yd_view_bytes(view, record->value));
        } else {
            error = yd_builder_copy(state->builder, view, index);
        }
        if (error != YD_EFULL || i) return error;
        error = emit_built(state, out);
        if (error < 0) return error;
    }
}

static void arm(struct limiter *state, struct yd_input *input, struct yd_out *out)
{
    int64_t deadline = yd_limits_deadline(state->limits);
    if (deadline == INT64_MAX) return;
    int64_t at = yd_clock_mono(&state->clock, deadline, input->mono_ns, input->wall_ns);
    if (state->armed && state->armed <= at) return;
    state->armed = at;
    yd_timer_at(out, TIMER_SILENCE, at);
}

static int one(struct limiter *state, const struct yd_view *view, uint32_t index, struct yd_out *out, uint64_t *folded)
{
    struct yd_pattern *pattern;
    uint32_t kinds = 0;
    int code = -1, error = yd_tombstone_read(view, index, &pattern, &kinds);
    if (error < 0) return error;
    if (error > 0) {
        if (kinds & YD_KINDS_NUMERIC) forget(state, view, index, pattern);
        yd_pattern_destroy(pattern);
        return pass_on(state, view, index, -1, out); /* who comes behind is told in any case */
    }
    if (YD_KIND_BIT(view->records[index].kind) & YD_KINDS_NUMERIC)
        error = take(state, view, index, out, &code);
    else
        error = 1;
    if (error < 0) return error;
    struct yd_str gone, wider;
    bool is_mark = view->records[index].kind == YD_ROW && yd_redefine_mark_read(view, index, &gone, &wider);
    if (state->pass || is_mark) return pass_on(state, view, index, code, out);
    *folded += error == 1;
    return 0;
}

static enum yd_turn_result on_batch(struct limiter *state, struct yd_input *input, struct yd_out *out)
{
    const struct yd_view *view = &input->batch->view;
    size_t size = view->name_count * sizeof(struct watched *);
    uint64_t folded = 0;
    yd_clock_batch(&state->clock, input);
    yd_buf_clear(&state->cache);
    if (!yd_buf_reserve(&state->cache, size + 1)) return YD_FAIL;
    memset(state->cache.data, 0, size);
    int error = yd_redefine_late_emit(&state->late, out, PORT_OUTPUT);
    if (error == 0) error = tell_silent(state, out);
    for (uint32_t i = 0; error == 0 && i < view->count; i++) error = one(state, view, i, out, &folded);
    if (error == 0) error = emit_built(state, out);
    if (error < 0) {
        yd_builder_abandon(state->builder);
        return YD_FAIL;
    }
    if (folded) yd_count_folded(out, folded);
    arm(state, input, out);
    return YD_DONE;
}

static enum yd_turn_result on_timer(struct limiter *state, struct yd_input *input, struct yd_out *out)
{
    int64_t again;
    state->armed = 0;
    if (state->ended) return YD_DONE;
    if (!yd_clock_wall(&state->clock, input, &again)) {
        state->armed = again;
        yd_timer_at(out, TIMER_SILENCE, again);
        return YD_DONE;
    }
    int error = yd_redefine_late_emit(&state->late, out, PORT_OUTPUT);
    if (error == 0) error = tell_silent(state, out);
    if (error == 0) error = emit_built(state, out);
    if (error < 0) {
        yd_builder_abandon(state->builder);
        return YD_FAIL;
    }
    arm(state, input, out);
    return YD_DONE;
}

/* ---- questions ---- */

static enum yd_turn_result redefine(struct limiter *state, struct yd_input *input, struct yd_out *out);

struct asked {
    const struct watched *watched;
    struct yd_limit_status status;
};

static int fill(struct yd_builder *builder, const void *arg)
{
    static const char *const codes[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};
    const struct asked *asked = arg;
    int error = yd_rows_cell_text(builder, "code", yd_str_of(codes[yd_limit_state_code(asked->status.state)]));
    if (error == 0) error = yd_rows_cell_bool(builder, "stale", asked->status.stale);
    if (error == 0) error = yd_rows_cell_text(builder, "summary", yd_str_of(asked->watched->summary));
    if (error == 0) error = yd_rows_cell_i64(builder, "time", asked->status.time_ns);
    if (error == 0) error = yd_rows_cell_i64(builder, "since", asked->status.since_ns);
    return error;
}

static enum yd_turn_result answer(struct limiter *state, struct yd_input *input, struct yd_out *out)
{
    struct yd_rows rows;
    if (yd_rows_op(input->batch, YD_REDEFINE_OP)) return redefine(state, input, out);
    if (!yd_rows_op(input->batch, "states")) return yd_rows_unknown(input, out, "states");
    yd_rows_begin(&rows, input, out);
    for (uint32_t i = 0; i < state->table.count && rows.error == 0; i++) {
        struct asked asked = {.watched = (const struct watched *)state->table.items[i]};
        if (!asked.watched->has_rule || !yd_rows_match(&rows, asked.watched->head.name)) continue;
        yd_limits_status(state->limits, asked.watched->item, &asked.status);
        if (asked.status.known) yd_rows_add(&rows, asked.watched->head.name, asked.status.time_ns, fill, &asked);
    }
    return yd_rows_end(&rows);
}

static enum yd_turn_result receive(void *opaque, struct yd_input *input, struct yd_out *out)
{
    struct limiter *state = opaque;
    switch (input->type) {
    case YD_INPUT_START:
        yd_clock_start(&state->clock, input);
        arm(state, input, out);
        return YD_DONE;
    case YD_INPUT_BATCH:
        return on_batch(state, input, out);
    case YD_INPUT_TIMER:
        return on_timer(state, input, out);
    case YD_INPUT_QUERY:
        return answer(state, input, out);
    case YD_INPUT_BLOCKED:
        state->clock.blocked = input->error != 0;
        if (state->clock.blocked) return YD_DONE;
        return yd_redefine_late_emit(&state->late, out, PORT_OUTPUT) < 0 ? YD_FAIL : YD_DONE;
    default:
        return YD_DONE;
    }
}

static enum yd_turn_result drain(void *opaque, struct yd_out *out)
{
    struct limiter *state = opaque;
    state->ended = true;
    return yd_redefine_late_emit(&state->late, out, PORT_OUTPUT) < 0 ? YD_FAIL : YD_DONE;
}

/* ---- what survives ---- */

static int save(const void *opaque, uint32_t key_group, struct yd_saver *saver)
{
    const struct limiter *state = opaque;
    uint32_t head[2] = {SAVED_FORM, 0};
    struct yd_buf item;
    if (key_group != 0) return 0;
    for (uint32_t i = 0; i < state->table.count; i++)
        head[1] += ((const struct watched *)state->table.items[i])->has_rule;
    yd_save_bytes(saver, head, sizeof head);
    yd_save_bytes(saver, &state->clock.now, sizeof state->clock.now);
    yd_save_text(saver, yd_limits_set(state->limits));
    yd_buf_init(&item, NULL);
    for (uint32_t i = 0; i < state->table.count && !item.failed; i++) {
        const struct watched *watched = (const struct watched *)state->table.items[i];
        if (!watched->has_rule) continue;
        yd_buf_clear(&item);
        yd_limits_save(state->limits, watched->item, &item);
        yd_save_text(saver, watched->head.name);
        yd_save_text(saver, yd_str_of(watched->summary));
        yd_save_text(saver, yd_buf_view(&item));
    }
    bool failed = item.failed;
    yd_buf_fini(&item);
    return failed ? YD_ENOMEM : 0;
}

/* A name whose rule is another one now begins anew. */
static int load_item(struct limiter *state, struct yd_str *from)
{
    struct yd_str name, summary, bytes;
    struct watched *watched;
    if (!yd_saved_text(from, &name) || !yd_saved_text(from, &summary) || !yd_saved_text(from, &bytes))
        return YD_EFORMAT;
    if (name.size > YD_NAME_SIZE_MAX || !yd_text_utf8(name) || summary.size >= SUMMARY_MAX || !yd_text_utf8(summary))
        return YD_EFORMAT;
    int error = find_watched(state, name, yd_hash_str(name), &watched);
    if (error < 0) return error;
    if (error == 0) return YD_EFORMAT;
    if (!watched->has_rule) return 0;
    error = yd_limits_load(state->limits, watched->item, bytes);
    if (error == YD_EINVAL) return 0;
    memcpy(watched->summary, summary.data, summary.size);
    return error;
}

static int load(void *opaque, uint32_t key_group, struct yd_str saved)
{
    struct limiter *state = opaque;
    uint32_t head[2];
    struct yd_str set;
    int error = 0;
    (void)key_group;
    if (!yd_saved_bytes(&saved, head, sizeof head)) return YD_EFORMAT;
    if (head[0] != SAVED_FORM) return YD_EVERSION;
    if (!yd_saved_bytes(&saved, &state->clock.now, sizeof state->clock.now) || !yd_saved_text(&saved, &set))
        return YD_EFORMAT;
    if (state->set_from.size) (void)yd_limits_use(state->limits, set); /* one that is gone: as the rules say */
    for (uint32_t i = 0; i < head[1] && error == 0; i++) error = load_item(state, &saved);
    return error < 0 ? error : saved.size ? YD_EFORMAT : 0;
}

/* ---- another definition ---- */

static int keep_built(struct limiter *state)
{
    struct yd_batch *batch;
    int error = yd_builder_seal(state->builder, &batch);
    if (error == YD_EAGAIN) return 0;
    return error < 0 ? error : yd_redefine_late_add(&state->late, batch);
}

/* Who was judged and is no more must not stay red for good. Kept, not emitted: it can fail half way. */
static int tell_unlimited(struct limiter *state, const struct limiter *next, int64_t time_ns)
{
    int error = 0;
    for (uint32_t i = 0; i < state->table.count && error == 0; i++) {
        const struct watched *watched = (const struct watched *)state->table.items[i];
        struct yd_limit_status status;
        if (!watched->has_rule || yd_limits_rules_find(&next->rules, watched->head.name, NULL)) continue;
        yd_limits_status(state->limits, watched->item, &status);
        if (!status.known) continue;
        for (int j = 0; j < 2 && error == 0; j++) {
            unsigned flags = yd_limit_state_code(YD_LIMIT_UNKNOWN) | (j ? 0 : YD_RECORD_TRANSITION);
            error = add_words(state, watched, time_ns, flags, "it has no limits any more");
            if (error != YD_EFULL) continue;
            error = keep_built(state);
            if (error == 0) error = add_words(state, watched, time_ns, flags, "it has no limits any more");
        }
    }
    return error == 0 ? keep_built(state) : error;
}

static int hand_over(const struct limiter *state, struct limiter *next)
{
    struct yd_buf saved;
    yd_buf_init(&saved, NULL);
    int error = yd_redefine_saved(save, state, &saved);
    if (error == 0) error = load(next, 0, yd_buf_view(&saved));
    yd_buf_fini(&saved);
    next->clock = state->clock;
    next->armed = state->armed;
    next->ended = state->ended;
    return error;
}

static enum yd_turn_result redefine(struct limiter *state, struct yd_input *input, struct yd_out *out)
{
    struct yd_str text = yd_redefine_text(input->batch);
    struct yd_element *element = yd_out_element(out);
    struct limiter next = {0};
    struct yd_rows rows;
    if (!text.size || !yd_args_find(yd_element_args(element), "definition"))
        return yd_rows_unknown(input, out, "states; a definition is read again by its Decom: reload");
    uint32_t late = state->late.count;
    int error = set_up(element, &next, &text);
    if (error == 0) error = hand_over(state, &next);
    if (error == 0) error = tell_unlimited(state, &next, input->wall_ns);
    if (error < 0) {
        yd_builder_abandon(state->builder);
        yd_redefine_late_cut(&state->late, late);
        close_limiter(&next);
        (void)yd_reply_error(out, 0, error, "%s", yd_error_text(error));
        return YD_DONE;
    }
    next.late = state->late;
    state->late = (struct yd_redefine_late){0};
    close_limiter(state);
    *state = next;
    if (yd_redefine_late_emit(&state->late, out, PORT_OUTPUT) < 0) return YD_FAIL;
    arm(state, input, out);
    yd_state_changed(out);
    yd_say(out, 0, "%s: another definition: limits for %u names",
           yd_args_text(yd_element_args(element), "definition").data, state->rules.rule_count);
    yd_rows_begin(&rows, input, out);
    return yd_rows_end(&rows);
}

static const struct yd_port_class ports[] = {
    [PORT_INPUT] = {.name = "input",
                    .direction = YD_IN,
                    .mode = YD_PUSH,
                    .kinds = YD_KINDS_ALL,
                    .needs = YD_KINDS_NUMERIC,
                    .flags = YD_PORT_REQUIRED,
                    .doc = "Measurements. Those without limits are counted as folded, unless they pass."},
    [PORT_OUTPUT] = {.name = "output",
                     .direction = YD_OUT,
                     .mode = YD_PUSH,
                     .kinds = YD_KINDS_ALL,
                     .flags = YD_PORT_REQUIRED,
                     .doc = "At each change a transition and then the state, as STATE records. And tombstones."},
    [PORT_QUERY] = {.name = "query",
                    .direction = YD_IN,
                    .mode = YD_QUERY,
                    .schema = "rows",
                    .doc = "Answers `states`: name, code, stale, summary, time, since."},
    {.name = NULL},
};

static const struct yd_param_class params[] = {
    {.name = "rules",
     .type = YD_PARAM_LIST,
     .doc =
         "`[\"tank.pressure yellow 10..90 red 0..100 persist 3 hysteresis 2\", \"mode red is \\\"FAULT\\\"\"]`: a name "
         "pattern, and its limits; the first that matches counts."},
    {.name = "file",
     .type = YD_PARAM_TEXT,
     .flags = YD_PARAM_READS,
     .doc = "Or a file of such lines; read at the start."},
    {.name = "definition",
     .type = YD_PARAM_TEXT,
     .flags = YD_PARAM_READS,
     .doc = "Or the file that `Decom` works by: what its `limits` say."},
    {.name = "set", .type = YD_PARAM_TEXT, .doc = "The set of limits that is in use at the beginning."},
    {.name = "set_from",
     .type = YD_PARAM_TEXT,
     .doc =
         "The measurement whose text names the set in use: `vehicle.phase`. A set that no rule has changes nothing."},
    {.name = "pass",
     .type = YD_PARAM_BOOL,
     .initial = "false",
     .doc = "Whether what comes in goes out, too, with the code of its limits in its flags."},
    {.name = "names",
     .type = YD_PARAM_INT,
     .initial = "1000000",
     .min = 1,
     .max = 1e9,
     .doc = "At most so many names; records of more are rejected and counted, those that are there go on."},
    {.name = NULL},
};

static const char *const reasons[] = {[REASON_NAMES] = "too many names", [REASON_MEMORY] = "out of memory", NULL};

const struct yd_element_class yd_class_limits = {
    .abi = YD_ELEMENT_ABI,
    .flags = YD_CLASS_STATEFUL | YD_CLASS_WATCHES,
    .name = "Limits",
    .summary = "red, yellow and green by name, told when they change",
    .doc = "A rule is a name pattern and its limits; docs/derive.md has the words. Green is OK, yellow WARNING, red "
           "CRITICAL; a change goes out as a transition and, after it, the state, whose summary says which bound was "
           "crossed.\n\n"
           "- `persist` and `hysteresis` keep it from chattering, `rate` and `delta` limit how fast it changes, `is` "
           "names values that alarm.\n"
           "- `stale 10s`: without a value for so long a name is stale, told once, at the time it was due. As with "
           "State, neither a restart nor a backlog makes anybody stale.\n"
           "- Several sets of limits stand side by side (`set ascent`); `set_from` switches them by a measurement.\n"
           "- States survive restarts. After a crash, what was told since the last save (200 ms) is told again, "
           "alike.\n"
           "- A tombstone (`Forget`) makes it forget names.\n",
    .example = "metrics -> Limits(rules: [\"tank.* yellow 10..90 red 0..100 persist 3 stale 10s\"]) -> Print()",
    .ports = ports,
    .params = params,
    .reasons = reasons,
    .state_size = sizeof(struct limiter),
    .check = yd_limits_rules_check,
    .check_file = yd_limits_rules_check_file,
    .open = open_limiter,
    .close = close_limiter,
    .receive = receive,
    .drain = drain,
    .save = save,
    .load = load,
};
