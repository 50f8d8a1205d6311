/* State: the health of each name, told when it changes and when it falls silent.
 *
 *   STATE records --> per name: code, stale, summary --> [ transition ] state          always in this order
 *                        |  last heard of
 *                        `-- deadline of its freshness class --> silence: [ transition ] stale state, once
 *
 * Names of one class are kept in the order they were last heard of, so the next deadline of a class is its first
 * name's: a result costs a look-up and two links, whatever the number of names. Time is that of clock.h. What can fail:
 * memory, or more names than `states`: the record is rejected by reason. */
#include <yarder/element.h>
#include <yarder/name.h>

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/text.h"
#include "batch/record_text.h"
#include "elements/clock.h"
#include "elements/rows.h"
#include "elements/saved.h"
#include "elements/table.h"

enum { PORT_INPUT, PORT_OUTPUT, PORT_QUERY };
enum { TIMER_STALE = 1 };
enum { REASON_STATES, REASON_OLD, REASON_MEMORY };
#define RULES_MAX    256
#define SUMMARY_MAX  4096
#define AHEAD_MAX_NS (60 * YD_NS_PER_S) /* a result's own time counts no further than this beyond the clock */
#define SAVED_FORM   1

struct item {
    struct yd_table_item head;
    int64_t time, heard, since; /* of the result; by the clock; of the last transition */
    char *summary;
    uint32_t summary_size;
    uint16_t rule;
    uint8_t code;
    bool stale, known; /* known: a result came */
    struct item *next, *prev;
};

struct rule {
    struct yd_pattern *pattern;
    int64_t fresh_ns; /* 0: never stale */
    uint8_t code;
    struct yd_str summary;
    char made[80];
    struct item *first, *last; /* fresh ones, by `heard` */
};

struct state {
    struct yd_table table;
    struct rule rules[RULES_MAX + 1]; /* the last one: everybody else */
    unsigned rule_count;
    struct yd_clock clock;
    struct yd_builder *builder;
    struct yd_buf text;
    int64_t armed; /* mono; 0: no timer */
    bool ended;    /* what is silent from here on is told after the next start */
};

static const char *const codes[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};

static int code_of(struct yd_str text)
{
    for (int i = 0; i < 4; i++)
        if (strlen(codes[i]) == text.size && strncasecmp(codes[i], text.data, text.size) == 0) return i;
    return -1;
}

/* ---- parameters ---- */

static const struct yd_arg *key_of(const struct yd_arg *map, const char *key)
{
    for (size_t i = 0; i < map->list.count; i++)
        if (strcmp(map->list.items[i].name, key) == 0) return &map->list.items[i];
    return NULL;
}

static const char *check_rule(const struct yd_arg *rule)
{
    static const char *const keys[] = {"match", "fresh", "status", "summary"};
    if (rule->type != YD_PARAM_MAP) return "a list of maps: { match: \"db.*\", fresh: 1m, status: critical }";
    for (size_t i = 0; i < rule->list.count; i++) {
        bool known = false;
        for (size_t k = 0; k < YD_COUNT(keys); k++) known |= strcmp(rule->list.items[i].name, keys[k]) == 0;
        if (!known) return "a class has match, fresh, status and summary";
    }
    const struct yd_arg *match = key_of(rule, "match"), *fresh = key_of(rule, "fresh"),
                        *status = key_of(rule, "status"), *summary = key_of(rule, "summary");
    struct yd_pattern *pattern;
    if (!match || match->type != YD_PARAM_TEXT) return "a class needs match: a name pattern in quotes";
    if (yd_pattern_compile(match->text, &pattern) < 0) return "match is not a name pattern";
    yd_pattern_destroy(pattern);
    if (fresh && (fresh->type != YD_PARAM_DURATION || fresh->i64 < 0)) return "fresh is a duration; 0s: never stale";
    if (status && (status->type != YD_PARAM_TEXT || code_of(status->text) < 0))
        return "status is ok, warning, critical or unknown";
    if (summary && (summary->type != YD_PARAM_TEXT || summary->text.size > SUMMARY_MAX)) return "summary is a text";
    return NULL;
}

static int check(const struct yd_args *args, char *why, size_t why_size)
{
    const struct yd_arg *classes = yd_args_find(args, "classes");
    if (classes && classes->list.count > RULES_MAX) {
        snprintf(why, why_size, "classes: at most %d", RULES_MAX);
        return YD_EINVAL;
    }
    for (size_t i = 0; classes && i < classes->list.count; i++) {
        const char *wrong = check_rule(&classes->list.items[i]);
        if (!wrong) continue;
        snprintf(why, why_size, "classes, number %zu: %s", i + 1, wrong);
        return YD_EINVAL;
    }
    return 0;
}

static void finish_rule(struct rule *rule, int64_t fresh_ns, int code, struct yd_str summary)
{
    char time[40];
    rule->fresh_ns = fresh_ns;
    rule->code = (uint8_t)code;
    rule->summary = summary;
    if (summary.size) return;
    time[yd_text_put_duration(time, sizeof time - 1, fresh_ns)] = 0;
    int size = snprintf(rule->made, sizeof rule->made, "No results received for more than %s", time);
    rule->summary = (struct yd_str){rule->made, (size_t)size};
}

static int open_state(struct yd_element *element, void *opaque)
{
    struct state *state = opaque;
    const struct yd_args *args = yd_element_args(element);
    const struct yd_arg *classes = yd_args_find(args, "classes");
    int64_t fresh = yd_args_int(args, "fresh");
    int status = code_of(yd_args_text(args, "status"));
    yd_table_init(&state->table, NULL, sizeof(struct item), (uint64_t)yd_args_int(args, "states"));
    yd_buf_init(&state->text, NULL);
    for (size_t i = 0; classes && i < classes->list.count; i++) {
        const struct yd_arg *map = &classes->list.items[i], *its = key_of(map, "fresh"), *code = key_of(map, "status"),
                            *summary = key_of(map, "summary");
        struct rule *rule = &state->rules[state->rule_count];
        int error = yd_pattern_compile(key_of(map, "match")->text, &rule->pattern);
        if (error < 0) return yd_element_fail(element, error, "classes: %s", yd_error_text(error));
        state->rule_count++;
        finish_rule(rule, its ? its->i64 : fresh, code ? code_of(code->text) : status,
                    summary ? summary->text : YD_STR(""));
    }
    finish_rule(&state->rules[state->rule_count], fresh, status, yd_args_text(args, "summary"));
    return yd_builder_create(NULL, &state->builder);
}

static void close_state(void *opaque)
{
    struct state *state = opaque;
    for (uint32_t i = 0; i < state->table.count; i++) free(((struct item *)state->table.items[i])->summary);
    yd_table_fini(&state->table);
    for (unsigned i = 0; i < state->rule_count; i++) yd_pattern_destroy(state->rules[i].pattern);
    yd_buf_fini(&state->text);
    yd_builder_destroy(state->builder);
}

/* ---- names in the order they were heard of ---- */

static void unlink_item(struct state *state, struct item *item)
{
    struct rule *rule = &state->rules[item->rule];
    if (item->prev)
        item->prev->next = item->next;
    else if (rule->first == item)
        rule->first = item->next;
    if (item->next)
        item->next->prev = item->prev;
    else if (rule->last == item)
        rule->last = item->prev;
    item->next = item->prev = NULL;
}

static void link_last(struct state *state, struct item *item)
{
    struct rule *rule = &state->rules[item->rule];
    struct item *after = rule->last;
    while (after && after->heard > item->heard) after = after->prev; /* only when loaded out of order */
    item->prev = after;
    item->next = after ? after->next : rule->first;
    *(after ? &after->next : &rule->first) = item;
    *(item->next ? &item->next->prev : &rule->last) = item;
}

/* The name whose deadline is the next of all, or NULL. */
static struct item *next_due(struct state *state, int64_t *ret_deadline)
{
    struct item *due = NULL;
    for (unsigned i = 0; i <= state->rule_count; i++) {
        struct rule *rule = &state->rules[i];
        if (!rule->fresh_ns || !rule->first) continue;
        int64_t deadline;
        if (__builtin_add_overflow(rule->first->heard, rule->fresh_ns, &deadline)) continue;
        if (due && deadline >= *ret_deadline) continue;
        due = rule->first;
        *ret_deadline = deadline;
    }
    return due;
}

static uint16_t rule_of(const struct state *state, struct yd_str name)
{
    unsigned i = 0;
    while (i < state->rule_count && !yd_pattern_match(state->rules[i].pattern, name)) i++;
    return (uint16_t)i;
}

/* ---- out ---- */

static int emit_built(struct state *state, struct yd_out *out)
{
    struct yd_batch *batch;
    int error = yd_builder_seal(state->builder, &batch);
    if (error == YD_EAGAIN) return 0;
    return error < 0 ? error : yd_emit(out, PORT_OUTPUT, batch);
}

static int add_one(struct state *state, const struct item *item, int64_t time_ns, unsigned flags)
{
    uint32_t name;
    int error = yd_builder_name_hashed(state->builder, item->head.name, item->head.hash, &name);
    if (error < 0) return error;
    return yd_builder_add_bytes(state->builder, time_ns, name, YD_STATE, YD_TEXT, (uint16_t)flags,
                                (struct yd_str){item->summary, item->summary_size});
}

/* What the item is now, its transition first. */
static int say(struct state *state, const struct item *item, int64_t time_ns, bool transition, struct yd_out *out)
{
    unsigned flags = item->code | (item->stale ? YD_RECORD_STALE : 0);
    for (int i = transition ? 0 : 1; i < 2; i++) {
        unsigned both = flags | (i ? 0 : YD_RECORD_TRANSITION);
        int error = add_one(state, item, time_ns, both);
        if (error == YD_EFULL) {
            error = emit_built(state, out);
            if (error == 0) error = add_one(state, item, time_ns, both);
        }
        if (error < 0) return error;
    }
    return 0;
}

static int set_summary(struct item *item, struct yd_str text)
{
    if (text.size > SUMMARY_MAX) {
        text.size = SUMMARY_MAX;
        while (text.size && ((unsigned char)text.data[text.size] & 0xc0) == 0x80) text.size--; /* not within a letter */
    }
    if (text.size == item->summary_size && (text.size == 0 || memcmp(item->summary, text.data, text.size) == 0))
        return 0;
    char *copy = text.size ? realloc(item->summary, text.size) : NULL;
    if (text.size && !copy) return YD_ENOMEM;
    if (text.size == 0) free(item->summary);
    item->summary = copy;
    item->summary_size = (uint32_t)text.size;
    if (text.size) memcpy(copy, text.data, text.size);
    return 0;
}

/* All who are silent for too long by `now`, the first one first. */
static int go_stale(struct state *state, int64_t now, struct yd_out *out)
{
    int64_t deadline = 0;
    for (struct item *item; (item = next_due(state, &deadline)) != NULL && deadline <= now;) {
        const struct rule *rule = &state->rules[item->rule];
        int error = set_summary(item, rule->summary);
        if (error < 0) return error;
        unlink_item(state, item);
        item->stale = true;
        item->code = rule->code;
        item->since = deadline;
        error = say(state, item, deadline, true, out);
        if (error < 0) return error;
    }
    return 0;
}

/* ---- in ---- */

static struct yd_str summary_of(struct state *state, const struct yd_view *view, const struct yd_record *record)
{
    const struct yd_cell *cell = NULL;
    if (record->type == YD_TEXT) return yd_view_bytes(view, record->value);
    if (record->type == YD_NIL) return YD_STR("");
    if (record->type == YD_MAP) cell = yd_view_find(view, record->value, YD_STR("summary"));
    if (cell && cell->type == YD_TEXT) return yd_view_bytes(view, cell->value);
    yd_buf_clear(&state->text);
    yd_value_text(view, (enum yd_type)record->type, record->value, &state->text);
    return yd_buf_view(&state->text);
}

static void forget_item(struct state *state, struct item *item)
{
    unlink_item(state, item);
    free(item->summary);
    yd_table_remove(&state->table, item);
}

static int take(struct state *state, const struct yd_view *view, uint32_t index, struct yd_out *out)
{
    const struct yd_record *record = &view->records[index];
    const struct yd_name_entry *entry = &view->names[record->name];
    struct item *item;
    int error = yd_table_add(&state->table, yd_view_name(view, record->name), entry->hash, &item);
    if (error < 0) {
        yd_count_rejected(out, error == YD_EFULL ? REASON_STATES : REASON_MEMORY, 1, yd_view_name(view, record->name));
        return 0;
    }
    if (error == 1) item->rule = rule_of(state, item->head.name);
    int64_t ahead = state->clock.now + AHEAD_MAX_NS,
            time = record->time_ns > ahead ? state->clock.now : record->time_ns;
    if (item->known && time < item->time) { /* what was already superseded when it came */
        yd_count_dropped(out, REASON_OLD, 1);
        return 0;
    }
    uint8_t code = record->flags & YD_RECORD_CODE_MASK;
    bool transition = !item->known || item->stale || item->code != code;
    error = set_summary(item, summary_of(state, view, record));
    if (error < 0) return error;
    if (!item->stale) unlink_item(state, item);
    item->code = code;
    item->stale = false;
    item->known = true;
    item->time = time;
    item->heard = state->clock.now;
    if (transition) item->since = time;
    link_last(state, item);
    return say(state, item, record->time_ns, transition, out);
}

/* What is forgotten is gone here, and whoever comes behind is told: the record passes. */
static int forget(struct state *state, const struct yd_view *view, uint32_t index, struct yd_pattern *pattern,
                  struct yd_out *out)
{
    const struct yd_record *record = &view->records[index];
    for (uint32_t i = state->table.count; pattern && i-- > 0;)
        if (yd_pattern_match(pattern, state->table.items[i]->name))
            forget_item(state, (struct item *)state->table.items[i]);
    if (!pattern) {
        struct item *item =
            yd_table_find(&state->table, yd_view_name(view, record->name), view->names[record->name].hash);
        if (item) forget_item(state, item);
    }
    int error = yd_builder_copy(state->builder, view, index);
    if (error != YD_EFULL) return error;
    error = emit_built(state, out);
    return error < 0 ? error : yd_builder_copy(state->builder, view, index);
}

static void arm(struct state *state, struct yd_input *input, struct yd_out *out)
{
    int64_t deadline = 0;
    if (!next_due(state, &deadline)) return;
    int64_t at = yd_clock_mono(&state->clock, deadline, input->mono_ns, input->wall_ns);
    if (state->armed && state->armed <= at) return; /* it looks again by itself */
    state->armed = at;
    yd_timer_at(out, TIMER_STALE, at);
}

static enum yd_turn_result on_batch(struct state *state, struct yd_input *input, struct yd_out *out)
{
    const struct yd_view *view = &input->batch->view;
    uint64_t folded = 0;
    yd_clock_batch(&state->clock, input);
    int error = go_stale(state, state->clock.now, out);
    for (uint32_t i = 0; error == 0 && i < view->count; i++) {
        struct yd_pattern *pattern;
        uint32_t kinds = 0;
        int tombstone = yd_tombstone_read(view, i, &pattern, &kinds);
        if (tombstone < 0) error = tombstone;
        if (tombstone > 0 && kinds & YD_KIND_BIT(YD_STATE))
            error = forget(state, view, i, pattern, out);
        else if (tombstone == 0 && view->records[i].kind == YD_STATE)
            error = take(state, view, i, out);
        else
            folded++;
        if (tombstone > 0) yd_pattern_destroy(pattern);
    }
    if (error == 0) error = emit_built(state, out);
    if (error < 0) {
        yd_builder_abandon(state->builder);
        return YD_FAIL;
    }
    if (folded) yd_count_folded(out, folded);
    arm(state, input, out);
    return YD_DONE;
}

static enum yd_turn_result on_timer(struct state *state, struct yd_input *input, struct yd_out *out)
{
    int64_t again;
    state->armed = 0;
    if (state->ended) return YD_DONE;
    if (!yd_clock_wall(&state->clock, input, &again)) {
        state->armed = again;
        yd_timer_at(out, TIMER_STALE, again);
        return YD_DONE;
    }
    int error = go_stale(state, state->clock.now, out);
    if (error == 0) error = emit_built(state, out);
    if (error < 0) {
        yd_builder_abandon(state->builder);
        return YD_FAIL;
    }
    arm(state, input, out);
    return YD_DONE;
}

/* ---- questions ---- */

static int fill(struct yd_builder *builder, const void *arg)
{
    const struct item *item = arg;
    int error = yd_rows_cell_text(builder, "code", yd_str_of(codes[item->code]));
    if (error == 0) error = yd_rows_cell_bool(builder, "stale", item->stale);
    if (error == 0) error = yd_rows_cell_text(builder, "summary", (struct yd_str){item->summary, item->summary_size});
    if (error == 0) error = yd_rows_cell_i64(builder, "time", item->time);
    if (error == 0) error = yd_rows_cell_i64(builder, "since", item->since);
    return error;
}

static enum yd_turn_result answer(struct state *state, struct yd_input *input, struct yd_out *out)
{
    struct yd_rows rows;
    if (!yd_rows_op(input->batch, "states")) return yd_rows_unknown(input, out, "states");
    yd_rows_begin(&rows, input, out);
    for (uint32_t i = 0; i < state->table.count && rows.error == 0; i++) {
        const struct item *item = (const struct item *)state->table.items[i];
        if (yd_rows_match(&rows, item->head.name)) yd_rows_add(&rows, item->head.name, item->time, fill, item);
    }
    return yd_rows_end(&rows);
}

static enum yd_turn_result receive(void *opaque, struct yd_input *input, struct yd_out *out)
{
    struct state *state = opaque;
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
        return YD_DONE;
    default:
        return YD_DONE;
    }
}

static enum yd_turn_result drain(void *opaque, struct yd_out *out)
{
    (void)out;
    ((struct state *)opaque)->ended = true;
    return YD_DONE;
}

/* ---- what survives ---- */

struct saved_item {
    int64_t time, heard, since;
    uint8_t code, stale, reserved[6];
};

static int save(const void *opaque, uint32_t key_group, struct yd_saver *saver)
{
    const struct state *state = opaque;
    const uint32_t form[2] = {SAVED_FORM, state->table.count};
    if (key_group != 0) return 0;
    yd_save_bytes(saver, form, sizeof form);
    yd_save_bytes(saver, &state->clock.now, sizeof state->clock.now);
    for (uint32_t i = 0; i < state->table.count; i++) {
        const struct item *item = (const struct item *)state->table.items[i];
        const struct saved_item saved = {
            .time = item->time, .heard = item->heard, .since = item->since, .code = item->code, .stale = item->stale};
        yd_save_text(saver, item->head.name);
        yd_save_bytes(saver, &saved, sizeof saved);
        yd_save_text(saver, (struct yd_str){item->summary, item->summary_size});
    }
    return 0;
}

static int load_item(struct state *state, struct yd_str *from)
{
    struct yd_str name, summary;
    struct saved_item saved;
    struct item *item;
    if (!yd_saved_text(from, &name) || !yd_saved_bytes(from, &saved, sizeof saved) || !yd_saved_text(from, &summary))
        return YD_EFORMAT;
    if (saved.code > 3 || saved.stale > 1 || name.size > YD_NAME_SIZE_MAX || !yd_text_utf8(name) ||
        !yd_text_utf8(summary))
        return YD_EFORMAT;
    int error = yd_table_add(&state->table, name, yd_hash_str(name), &item);
    if (error < 0) return error;
    if (error == 0) return YD_EFORMAT;
    item->rule = rule_of(state, item->head.name);
    item->time = saved.time;
    item->heard = saved.heard;
    item->since = saved.since;
    item->code = saved.code;
    item->stale = saved.stale;
    item->known = true;
    if (!item->stale) link_last(state, item);
    return set_summary(item, summary);
}

static int load(void *opaque, uint32_t key_group, struct yd_str saved)
{
    struct state *state = opaque;
    uint32_t form[2];
    (void)key_group;
    if (!yd_saved_bytes(&saved, form, sizeof form)) return YD_EFORMAT;
    if (form[0] != SAVED_FORM) return YD_EVERSION;
    if (!yd_saved_bytes(&saved, &state->clock.now, sizeof state->clock.now)) return YD_EFORMAT;
    for (uint32_t i = 0; i < form[1]; i++) {
        int error = load_item(state, &saved);
        if (error < 0) return error;
    }
    return saved.size ? YD_EFORMAT : 0;
}

static const struct yd_port_class ports[] = {
    [PORT_INPUT] = {.name = "input",
                    .direction = YD_IN,
                    .mode = YD_PUSH,
                    .kinds = YD_KINDS_ALL,
                    .doc = "Results: STATE records. Others are passed over, and counted as folded."},
    [PORT_OUTPUT] = {.name = "output",
                     .direction = YD_OUT,
                     .mode = YD_PUSH,
                     .kinds = YD_KIND_BIT(YD_STATE) | YD_KIND_BIT(YD_ROW),
                     .doc = "Each state; before one that differs from the last, its transition. And tombstones."},
    [PORT_QUERY] = {.name = "query",
                    .direction = YD_IN,
                    .mode = YD_QUERY,
                    .schema = "rows",
                    .doc = "Answers `states` (`match`, a pattern; `max`): name, code, stale, summary, time, since."},
    {.name = NULL},
};

static const char *const status_words[] = {"ok", "warning", "critical", "unknown", NULL};

static const struct yd_param_class params[] = {
    {.name = "classes",
     .type = YD_PARAM_LIST,
     .doc = "Freshness by name, the first that matches: `[{ match: \"db.*\", fresh: 1m, status: critical, summary: "
            "\"silent\" }]`. What is left out is as below."},
    {.name = "fresh",
     .type = YD_PARAM_DURATION,
     .initial = "5m",
     .min = 0,
     .max = 1e17,
     .doc = "A name that was not heard of for so long is stale; `0s`: never."},
    {.name = "status",
     .type = YD_PARAM_TEXT,
     .initial = "warning",
     .oneof = status_words,
     .doc = "What a stale name's state becomes."},
    {.name = "summary", .type = YD_PARAM_TEXT, .doc = "And its summary; without it, how long nothing came."},
    {.name = "states",
     .type = YD_PARAM_INT,
     .initial = "1000000",
     .min = 1,
     .max = 1e9,
     .doc = "At most so many names; results of more are rejected and counted, those that are there go on."},
    {.name = NULL},
};

static const char *const reasons[] = {[REASON_STATES] = "too many states",
                                      [REASON_OLD] = "older than the state",
                                      [REASON_MEMORY] = "out of memory",
                                      NULL};

const struct yd_element_class yd_class_state = {
    .abi = YD_ELEMENT_ABI,
    .flags = YD_CLASS_STATEFUL | YD_CLASS_WATCHES,
    .name = "State",
    .summary = "keeps the state of each name, tells transitions and silence",
    .doc =
        "A result is OK, WARNING, CRITICAL or UNKNOWN with a summary. The first one of a name, one with another code, "
        "and one after silence is a transition: a copy of the record marked so goes out *before* it.\n\n"
        "- A name that is silent for longer than its class's `fresh` becomes stale: one transition and one state, "
        "once, "
        "at the time it was due. The next result is a transition again.\n"
        "- States, their times and their staleness survive restarts. Silence is measured by the time at which results "
        "were appended to the Log in front, so neither a restart nor a backlog makes anybody stale.\n"
        "- Of one name, a result older than the state is dropped. A time more than a minute ahead counts as now.\n"
        "- A tombstone (`Forget`) makes it forget names.\n"
        "- After a crash, what was told since the last save (200 ms) is told again, alike: the same names, times and "
        "codes.\n",
    .example = "metrics -> State(classes: [{ match: \"db.*\", fresh: 1m, status: critical }]) -> Print()",
    .ports = ports,
    .params = params,
    .reasons = reasons,
    .state_size = sizeof(struct state),
    .check = check,
    .open = open_state,
    .close = close_state,
    .receive = receive,
    .drain = drain,
    .save = save,
    .load = load,
};
