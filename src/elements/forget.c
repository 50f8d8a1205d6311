/* Forget: names that are to be gone: dropped here from now on, and everybody behind is told.
 *
 *   `rules`, a tombstone record, the question `forget` --> a pattern and kinds
 *        |                                                  |
 *        |  told on: a ROW yarder.tombstone {names, kinds}   `-- lasting: what matches is dropped from now on, counted
 *
 * Whoever remembers something about names (State, Window, Facts, Events, History) drops what the tombstone names when
 * it passes. Lasting rules are saved. What a rule of the parameters ignores is not told on: nothing behind has ever
 * seen it. What can fail: memory; more rules than RULES_MAX, which is said. */
#include <yarder/element.h>
#include <yarder/name.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"
#include "base/text.h"
#include "elements/rows.h"
#include "elements/saved.h"

enum { PORT_INPUT, PORT_OUTPUT, PORT_QUERY };
enum { REASON_FORGOTTEN };
#define RULES_MAX  1000
#define SAVED_FORM 1

struct rule {
    struct yd_pattern *pattern;
    char *match;
    uint32_t match_size, kinds;
    int64_t since;
    uint64_t dropped;
    bool fixed; /* of the parameters */
};
struct state {
    struct rule rules[RULES_MAX];
    unsigned count;
    struct yd_builder *builder;
    struct yd_buf keep, names; /* a byte a record: it stays; a byte a name: a rule matches it */
};

static int add_rule(struct state *state, struct yd_str match, uint32_t kinds, int64_t since, bool fixed)
{
    for (unsigned i = 0; i < state->count; i++) {
        struct rule *rule = &state->rules[i];
        if (!yd_str_eq((struct yd_str){rule->match, rule->match_size}, match)) continue;
        rule->kinds |= kinds;
        return 0;
    }
    if (state->count == RULES_MAX) return YD_EFULL;
    struct rule *rule = &state->rules[state->count];
    int error = yd_pattern_compile(match, &rule->pattern);
    if (error < 0) return error;
    rule->match = malloc(match.size + 1);
    if (!rule->match) {
        yd_pattern_destroy(rule->pattern);
        *rule = (struct rule){0};
        return YD_ENOMEM;
    }
    memcpy(rule->match, match.data, match.size);
    rule->match_size = (uint32_t)match.size;
    rule->kinds = kinds;
    rule->since = since;
    rule->fixed = fixed;
    state->count++;
    return 0;
}

static void remove_rule(struct state *state, unsigned at)
{
    yd_pattern_destroy(state->rules[at].pattern);
    free(state->rules[at].match);
    state->count--;
    memmove(&state->rules[at], &state->rules[at + 1], (state->count - at) * sizeof *state->rules);
    state->rules[state->count] = (struct rule){0};
}

static int check(const struct yd_args *args, char *why, size_t why_size)
{
    const struct yd_arg *names = yd_args_find(args, "names");
    for (size_t i = 0; names && i < names->list.count; i++) {
        struct yd_pattern *pattern = NULL;
        bool good = i < RULES_MAX && names->list.items[i].type == YD_PARAM_TEXT &&
                    yd_pattern_compile(names->list.items[i].text, &pattern) == 0;
        yd_pattern_destroy(pattern);
        if (good) continue;
        snprintf(why, why_size, "names, number %zu: not a name pattern in quotes, or more than %d", i + 1, RULES_MAX);
        return YD_EINVAL;
    }
    struct yd_str kinds = yd_args_text(args, "kinds");
    if (!kinds.size || yd_kinds_parse(kinds)) return 0;
    snprintf(why, why_size, "kinds: sample, tally, delta, state, event, fact, packet, row, by comma");
    return YD_EINVAL;
}

static int open_forget(struct yd_element *element, void *opaque)
{
    struct state *state = opaque;
    const struct yd_args *args = yd_element_args(element);
    const struct yd_arg *names = yd_args_find(args, "names");
    struct yd_str kinds = yd_args_text(args, "kinds");
    yd_buf_init(&state->keep, NULL);
    yd_buf_init(&state->names, NULL);
    for (size_t i = 0; names && i < names->list.count; i++) {
        int error =
            add_rule(state, names->list.items[i].text, kinds.size ? yd_kinds_parse(kinds) : YD_KINDS_ALL, 0, true);
        if (error < 0) return error;
    }
    return yd_builder_create(NULL, &state->builder);
}

static void close_forget(void *opaque)
{
    struct state *state = opaque;
    while (state->count) remove_rule(state, state->count - 1);
    yd_buf_fini(&state->keep);
    yd_buf_fini(&state->names);
    yd_builder_destroy(state->builder);
}

/* ---- in ---- */

static bool cell_is_true(const struct yd_view *view, const struct yd_record *record, const char *key)
{
    const struct yd_cell *cell = record->type == YD_MAP ? yd_view_find(view, record->value, yd_str_of(key)) : NULL;
    return cell && (cell->type == YD_BOOL || cell->type == YD_U64 || cell->type == YD_I64) && cell->value.u64 != 0;
}

/* A tombstone that comes passes; a lasting one becomes a rule. */
static int learn(struct state *state, const struct yd_view *view, uint32_t index, struct yd_out *out)
{
    const struct yd_record *record = &view->records[index];
    if (!cell_is_true(view, record, "lasting")) return 0;
    const struct yd_cell *names = yd_view_find(view, record->value, YD_STR("names"));
    const struct yd_cell *kinds = yd_view_find(view, record->value, YD_STR("kinds"));
    uint32_t of = kinds && kinds->type == YD_TEXT ? yd_kinds_parse(yd_view_bytes(view, kinds->value)) : YD_KINDS_ALL;
    int error = add_rule(state, yd_view_bytes(view, names->value), of, record->time_ns, false);
    if (error == YD_EFULL) yd_say(out, 1, "too many rules: this tombstone does not last");
    return error == YD_ENOMEM ? error : 0;
}

static struct rule *rule_of(struct state *state, struct yd_str name, uint32_t kind)
{
    for (unsigned i = 0; i < state->count; i++)
        if (state->rules[i].kinds & YD_KIND_BIT(kind) && yd_pattern_match(state->rules[i].pattern, name))
            return &state->rules[i];
    return NULL;
}

static enum yd_turn_result on_batch(struct state *state, struct yd_input *input, struct yd_out *out)
{
    const struct yd_view *view = &input->batch->view;
    uint32_t kept = 0;
    yd_buf_clear(&state->keep);
    yd_buf_clear(&state->names);
    char *keep = yd_buf_reserve(&state->keep, view->count + 1);
    char *any = yd_buf_reserve(&state->names, view->name_count + 1);
    if (!keep || !any) return YD_FAIL;
    memset(any, -1, view->name_count); /* does any rule match it at all? */
    for (uint32_t i = 0; i < view->count; i++) {
        const struct yd_record *record = &view->records[i];
        struct yd_str name = yd_view_name(view, record->name);
        struct yd_pattern *pattern;
        uint32_t kinds;
        int tombstone = yd_tombstone_read(view, i, &pattern, &kinds);
        if (tombstone < 0) return YD_FAIL;
        if (tombstone > 0) {
            bool by_pattern = pattern != NULL;
            yd_pattern_destroy(pattern);
            if (by_pattern && learn(state, view, i, out) < 0) return YD_FAIL;
            memset(any, -1, view->name_count);
            kept += keep[i] = 1;
            continue;
        }
        if (any[record->name] < 0) {
            any[record->name] = 0;
            for (unsigned r = 0; r < state->count && !any[record->name]; r++)
                any[record->name] = yd_pattern_match(state->rules[r].pattern, name);
        }
        struct rule *rule = any[record->name] ? rule_of(state, name, record->kind) : NULL;
        kept += keep[i] = !rule;
        if (rule) rule->dropped++;
    }
    if (kept < view->count) yd_count_dropped(out, REASON_FORGOTTEN, view->count - kept);
    if (kept == view->count) return yd_emit(out, PORT_OUTPUT, yd_batch_ref(input->batch)) < 0 ? YD_FAIL : YD_DONE;
    struct yd_batch *part;
    if (kept == 0) return YD_DONE;
    if (yd_batch_select(input->batch, (const uint8_t *)keep, &part) < 0) return YD_FAIL;
    return yd_emit(out, PORT_OUTPUT, part) < 0 ? YD_FAIL : YD_DONE;
}

/* ---- questions ---- */

static int tell(struct state *state, struct yd_str match, uint32_t kinds, int64_t now, struct yd_out *out)
{
    struct yd_batch *batch;
    char words[128];
    uint32_t name;
    size_t size = yd_kinds_format(kinds, words, sizeof words);
    int error = yd_builder_name(state->builder, YD_STR("yarder.tombstone"), &name);
    if (error == 0) error = yd_builder_begin(state->builder, now, name, YD_ROW, 0, YD_MAP);
    if (error == 0) error = yd_builder_cell_bytes(state->builder, YD_STR("names"), YD_TEXT, match);
    if (error == 0)
        error = yd_builder_cell_bytes(state->builder, YD_STR("kinds"), YD_TEXT, (struct yd_str){words, size});
    if (error == 0) error = yd_builder_cell(state->builder, YD_STR("until_time"), YD_I64, (union yd_value){.i64 = now});
    if (error == 0) error = yd_builder_end(state->builder);
    if (error == 0) error = yd_builder_seal(state->builder, &batch);
    return error < 0 ? error : yd_emit(out, PORT_OUTPUT, batch);
}

static int fill_count(struct yd_builder *builder, const void *arg)
{
    return yd_rows_cell_u64(builder, "rules", *(const unsigned *)arg);
}

static int fill_rule(struct yd_builder *builder, const void *arg)
{
    const struct rule *rule = arg;
    char words[128];
    size_t size = yd_kinds_format(rule->kinds, words, sizeof words);
    int error = yd_rows_cell_text(builder, "kinds", (struct yd_str){words, size});
    if (error == 0) error = yd_rows_cell_i64(builder, "since", rule->since);
    return error < 0 ? error : yd_rows_cell_u64(builder, "dropped", rule->dropped);
}

static enum yd_turn_result answer(struct state *state, struct yd_input *input, struct yd_out *out)
{
    struct yd_rows rows;
    struct yd_str match = yd_rows_text(input->batch, "match"), words = yd_rows_text(input->batch, "kinds");
    uint32_t kinds = words.size ? yd_kinds_parse(words) : YD_KINDS_ALL;
    bool is_end = yd_rows_op(input->batch, "forget_end"), is_list = yd_rows_op(input->batch, "forget_list");
    if (!is_end && !is_list && !yd_rows_op(input->batch, "forget"))
        return yd_rows_unknown(input, out, "forget, forget_list, forget_end");
    yd_rows_begin(&rows, input, out);
    if (!is_list && !match.size) yd_rows_refuse(&rows, YD_EINVAL, "which names is missing: match=PATTERN");
    if (!is_list && !kinds)
        yd_rows_refuse(&rows, YD_EINVAL,
                       "`kinds` are of sample, tally, delta, state, event, fact, packet, row, with commas");
    if (is_list) {
        for (unsigned i = 0; i < state->count; i++)
            yd_rows_add(&rows, (struct yd_str){state->rules[i].match, state->rules[i].match_size},
                        state->rules[i].since, fill_rule, &state->rules[i]);
        return yd_rows_end(&rows);
    }
    if (rows.error == 0 && is_end) {
        for (unsigned i = state->count; i-- > 0;)
            if (!state->rules[i].fixed &&
                yd_str_eq((struct yd_str){state->rules[i].match, state->rules[i].match_size}, match))
                remove_rule(state, i);
    } else if (rows.error == 0) {
        int error =
            yd_rows_number(input->batch, "lasting", 0) ? add_rule(state, match, kinds, input->wall_ns, false) : 0;
        if (error == 0) error = tell(state, match, kinds, input->wall_ns, out);
        if (error < 0) yd_rows_fail(&rows, error);
    }
    yd_state_changed(out);
    yd_rows_add(&rows, YD_STR("forget"), input->wall_ns, fill_count, &state->count);
    return yd_rows_end(&rows);
}

static enum yd_turn_result receive(void *opaque, struct yd_input *input, struct yd_out *out)
{
    if (input->type == YD_INPUT_BATCH) return on_batch(opaque, input, out);
    if (input->type == YD_INPUT_QUERY) return answer(opaque, input, out);
    return YD_DONE;
}

/* ---- what survives: the rules that are not of the parameters ---- */

struct saved_rule {
    int64_t since;
    uint64_t dropped;
    uint32_t kinds, reserved;
};

static int save(const void *opaque, uint32_t key_group, struct yd_saver *saver)
{
    const struct state *state = opaque;
    uint32_t form[2] = {SAVED_FORM, 0};
    if (key_group != 0) return 0;
    for (unsigned i = 0; i < state->count; i++) form[1] += !state->rules[i].fixed;
    yd_save_bytes(saver, form, sizeof form);
    for (unsigned i = 0; i < state->count; i++) {
        const struct rule *rule = &state->rules[i];
        const struct saved_rule saved = {rule->since, rule->dropped, rule->kinds, 0};
        if (rule->fixed) continue;
        yd_save_text(saver, (struct yd_str){rule->match, rule->match_size});
        yd_save_bytes(saver, &saved, sizeof saved);
    }
    return 0;
}

static int load(void *opaque, uint32_t key_group, struct yd_str from)
{
    struct state *state = opaque;
    uint32_t form[2];
    (void)key_group;
    if (!yd_saved_bytes(&from, form, sizeof form)) return YD_EFORMAT;
    if (form[0] != SAVED_FORM) return YD_EVERSION;
    for (uint32_t i = 0; i < form[1]; i++) {
        struct yd_str match;
        struct saved_rule saved;
        if (!yd_saved_text(&from, &match) || !yd_saved_bytes(&from, &saved, sizeof saved)) return YD_EFORMAT;
        if (saved.kinds & ~YD_KINDS_ALL || !yd_text_utf8(match)) return YD_EFORMAT;
        int error = add_rule(state, match, saved.kinds, saved.since, false);
        if (error < 0) return error;
    }
    return from.size ? YD_EFORMAT : 0;
}

static const struct yd_port_class ports[] = {
    [PORT_INPUT] = {.name = "input",
                    .direction = YD_IN,
                    .mode = YD_PUSH,
                    .kinds = YD_KINDS_ALL,
                    .flags = YD_PORT_REQUIRED,
                    .doc = "Records of any kind; tombstones with `lasting: true` become rules."},
    [PORT_OUTPUT] = {.name = "output",
                     .direction = YD_OUT,
                     .mode = YD_PUSH,
                     .kinds = YD_KINDS_ALL,
                     .flags = YD_PORT_REQUIRED,
                     .doc = "What is not ignored, in its order, and tombstones."},
    [PORT_QUERY] = {.name = "query",
                    .direction = YD_IN,
                    .mode = YD_QUERY,
                    .schema = "rows",
                    .doc = "Takes `forget` (`match`, a pattern; `kinds`, all without; `lasting`: true) and "
                           "`forget_end` (`match`, as it "
                           "was said), answers `forget_list`."},
    {.name = NULL},
};

static const struct yd_param_class params[] = {
    {.name = "names", .type = YD_PARAM_LIST, .doc = "Name patterns that are ignored as long as they stand here."},
    {.name = "kinds", .type = YD_PARAM_TEXT, .doc = "Of `names`, these kinds alone: \"state, fact\"."},
    {.name = NULL},
};

static const char *const reasons[] = {[REASON_FORGOTTEN] = "forgotten", NULL};

const struct yd_element_class yd_class_forget = {
    .abi = YD_ELEMENT_ABI,
    .flags = YD_CLASS_STATEFUL,
    .name = "Forget",
    .summary = "drops names by pattern and tells those behind to forget them",
    .doc =
        "A name is forgotten by a record `yarder.tombstone` (a ROW with `names`, `kinds`, `lasting`) or by the "
        "question "
        "`forget`. The tombstone travels on: State, Window, Facts and Events behind drop what they have of names that "
        "match, a History what is before the tombstone's `until_time` (of the question: now). With `lasting` what "
        "matches is dropped here from then on, counted, also after a restart, until "
        "`forget_end`.\n\n"
        "What lies in a Log stays there, and is left out by whoever reads it (see `yarder log tombstone`).\n",
    .example = "metrics -> Forget(names: [\"debug.*\"]) -> Print()",
    .ports = ports,
    .params = params,
    .reasons = reasons,
    .state_size = sizeof(struct state),
    .check = check,
    .open = open_forget,
    .close = close_forget,
    .receive = receive,
    .save = save,
    .load = load,
};
