/* Derive: measurements made of measurements, by rules.
 *
 *   record {name, time, value} --> slot --> rules that read it, in order --> record of each result
 *                                   ^                                  |
 *                                   `---- a result may feed others ----'
 *
 * Records that follow each other with the same time come from one packet: they are taken together, so that a rule over
 * two of them is evaluated once and never sees a new one beside an old one (`together: false`: each by itself). What is
 * remembered is saved with the records that led to it, so a stream read again after a crash gives the same results.
 * A result that has no value though its measurements have (division by zero, overflow) goes out as NIL, suspect. A
 * script (script.h) has handlers in place of rules: fed alike, but they make what they like and do not feed each other.
 * What can fail: rules, refused with their place; a script's calls, counted; memory. */
#include <stdlib.h>

#include <yarder/name.h>

#include "elements/derive.h"
#include "elements/redefine.h"
#include "elements/rows.h"

enum { PORT_INPUT, PORT_OUTPUT, PORT_QUERY };
#define TEXT_MAX    4096 /* a longer text has no value in rules */
#define TAKEN_KINDS (YD_KINDS_NUMERIC)
#define NOT_A_SLOT  UINT32_MAX

/* Counted by reason: a script's faults, from YD_SCRIPT_ERROR on. */
static const char *const reasons[] = {"script: error", "script: too many steps", "script: too much memory",
                                      "script: unfit result", NULL};

static int check_file(const struct yd_args *args, const char *param, struct yd_str text, char *why, size_t why_size)
{
    if (strcmp(param, "lua") == 0) return yd_derive_script_check(args, text, why, why_size);
    return yd_derive_rules_check_file(args, param, text, why, why_size);
}

static int set_up(struct yd_element *element, struct yd__derive *derive, const struct yd_str *definition)
{
    const struct yd_args *args = yd_element_args(element);
    yd_derive_rules_init(&derive->rules, NULL);
    derive->read_in = true;
    yd_buf_init(&derive->cache, NULL);
    derive->pass = yd_args_bool(args, "pass");
    derive->together = yd_args_bool(args, "together");
    int error = yd_args_find(args, "lua") ? yd_derive_script_open(&derive->script, element, &derive->rules)
                                          : yd_derive_rules_open(&derive->rules, element, definition);
    if (error < 0) return error;
    const struct yd_derive_rules *rules = &derive->rules;
    derive->job_count = derive->script.script ? derive->script.handler_count : rules->rule_count;
    derive->memories = calloc(rules->rule_count + 1u, sizeof(struct yd_expression_state *));
    derive->values = calloc(rules->slot_count + 1u, sizeof *derive->values);
    derive->texts = calloc(rules->slot_count + 1u, sizeof(char *));
    derive->fresh = calloc(rules->slot_count + 1u, sizeof *derive->fresh);
    derive->due = calloc(derive->job_count / 64 + 1u, sizeof *derive->due);
    if (!derive->memories || !derive->values || !derive->texts || !derive->fresh || !derive->due) return YD_ENOMEM;
    for (uint32_t i = 0; i < rules->rule_count && error == 0; i++)
        if (yd_expression_state_size(rules->rules[i].expression))
            error = yd_expression_state_create(rules->rules[i].expression, NULL, &derive->memories[i]);
    return error < 0 ? error : yd_builder_create(NULL, &derive->builder);
}

static void close_derive(void *opaque)
{
    struct yd__derive *derive = opaque;
    if (!derive->read_in) return;
    for (uint32_t i = 0; derive->memories && i < derive->rules.rule_count; i++)
        yd_expression_state_destroy(derive->memories[i]);
    for (uint32_t i = 0; derive->texts && i < derive->rules.slot_count; i++) free(derive->texts[i]);
    free(derive->memories);
    free(derive->values);
    free(derive->texts);
    free(derive->fresh);
    free(derive->due);
    yd_derive_script_close(&derive->script);
    yd_derive_rules_fini(&derive->rules);
    yd_buf_fini(&derive->cache);
    yd_builder_destroy(derive->builder);
}

static int open_derive(struct yd_element *element, void *opaque)
{
    int error = set_up(element, opaque, NULL);
    if (error < 0) close_derive(opaque);
    return error;
}

/* ---- values ---- */

int yd__derive_put(struct yd__derive *derive, uint32_t slot, struct yd_reading value)
{
    if (value.type == YD_TEXT) {
        if (value.size > TEXT_MAX) {
            value = yd_reading_none((value.flags | YD_READING_TYPE) & 0xffffu);
        } else {
            if (!derive->texts[slot]) derive->texts[slot] = malloc(TEXT_MAX);
            if (!derive->texts[slot]) return YD_ENOMEM;
            if (value.size) memmove(derive->texts[slot], value.text, value.size);
            value.text = derive->texts[slot];
        }
    }
    derive->values[slot] = value;
    return 0;
}

static void is_new(struct yd__derive *derive, uint32_t slot_index)
{
    const struct yd_derive_slot *slot = &derive->rules.slots[slot_index];
    derive->values[slot_index].flags |= YD_READING_FRESH;
    derive->fresh[derive->fresh_count++] = slot_index;
    for (uint32_t i = 0; i < slot->reader_count; i++)
        derive->due[slot->readers[i] / 64] |= UINT64_C(1) << (slot->readers[i] % 64);
}

static struct yd_reading reading_of(const struct yd_view *view, const struct yd_record *record)
{
    unsigned flags = record->flags & YD_RECORD_QUALITY ? YD_READING_SUSPECT : 0;
    switch (record->type) {
    case YD_NIL:
        return yd_reading_none(flags);
    case YD_BOOL:
    case YD_I64:
    case YD_U64:
    case YD_F64:
        return (struct yd_reading){.type = record->type, .flags = (uint16_t)flags, .bits = record->value.bits};
    case YD_TEXT:
        return yd_reading_text(yd_view_bytes(view, record->value), flags);
    default:
        return yd_reading_none(flags | YD_READING_TYPE);
    }
}

/* ---- out ---- */

static int emit_built(struct yd__derive *derive)
{
    struct yd_batch *batch;
    int error = yd_builder_seal(derive->builder, &batch);
    if (error == YD_EAGAIN) return 0;
    return error < 0 ? error : yd_emit(derive->out, PORT_OUTPUT, batch);
}

static int add_once(struct yd__derive *derive, struct yd_str name, uint64_t hash, const struct yd_reading *value,
                    int64_t time_ns)
{
    bool doubtful = value->type == YD_NIL || value->flags & (YD_READING_SUSPECT | YD_READING_CROWDED);
    uint16_t flags = doubtful ? YD_RECORD_QUALITY : 0;
    uint32_t index;
    int error = yd_builder_name_hashed(derive->builder, name, hash, &index);
    if (error < 0) return error;
    if (value->type == YD_TEXT)
        return yd_builder_add_bytes(derive->builder, time_ns, index, YD_SAMPLE, YD_TEXT, flags,
                                    (struct yd_str){value->text, value->size});
    return yd_builder_add(derive->builder, time_ns, index, YD_SAMPLE, (enum yd_type)value->type, flags,
                          (union yd_value){.u64 = value->type == YD_NIL ? 0 : value->bits});
}

static int add_out(struct yd__derive *derive, struct yd_str name, uint64_t hash, const struct yd_reading *value,
                   int64_t time_ns)
{
    int error = add_once(derive, name, hash, value, time_ns);
    if (error != YD_EFULL) return error;
    error = emit_built(derive);
    return error < 0 ? error : add_once(derive, name, hash, value, time_ns);
}

/* ---- evaluation ---- */

static int evaluate(struct yd__derive *derive, uint32_t index, int64_t time_ns)
{
    const struct yd_derive_rule *rule = &derive->rules.rules[index];
    struct yd_reading value = yd_expression_eval(rule->expression, derive->values, time_ns, derive->memories[index]);
    bool had = derive->values[rule->slot].type != YD_NIL;
    int error = yd__derive_put(derive, rule->slot, value);
    if (error < 0) return error;
    if (value.type == YD_NIL && !had && !(value.flags & YD_READING_FAULTS)) return 0; /* it waits for something */
    is_new(derive, rule->slot);
    if (value.type == YD_NIL && !(value.flags & YD_READING_FAULTS)) return 0;
    const struct yd_intern *names = &derive->rules.names;
    return add_out(derive, names->strings[rule->slot], names->hashes[rule->slot], &derive->values[rule->slot], time_ns);
}

static int add_results(struct yd__derive *derive, const struct yd_script_result *results, size_t count, unsigned flags,
                       int64_t time_ns)
{
    int error = 0;
    for (size_t i = 0; i < count && error == 0; i++) {
        struct yd_reading value = results[i].value;
        value.flags |= (uint16_t)flags;
        error = add_out(derive, results[i].name, yd_hash_str(results[i].name), &value, time_ns);
    }
    return error;
}

/* An evaluation that failed costs its results, and counts one of the records that led to it, once. Without memory of
 * the system's the turn is to be done again. */
static int blame(struct yd__derive *derive, enum yd_script_fault fault, uint64_t records)
{
    const char *why = yd_script_why(derive->script.script);
    if (yd_script_starved(derive->script.script)) return YD_ENOMEM;
    if (records) yd_count_rejected(derive->out, (unsigned)(fault - YD_SCRIPT_ERROR), 1, yd_str_of(why));
    yd_say(derive->out, 1, "%s", why);
    return 0;
}

/* A handler of `on`, once everything that it reads has a value. */
static int run_handler(struct yd__derive *derive, uint32_t index, int64_t time_ns)
{
    const struct yd_script_result *results;
    size_t count;
    unsigned flags = 0;
    struct yd_reading values[YD_SCRIPT_INPUTS_MAX];
    const struct yd_script_handler *handler = &derive->script.handlers[index];
    for (uint32_t i = 0; i < handler->input_count; i++) {
        values[i] = derive->values[derive->script.slots[index][i]];
        if (!yd_derive_script_takes(&values[i])) return 0;
        flags |= values[i].flags & YD_READING_SUSPECT;
    }
    enum yd_script_fault fault =
        yd_script_call(derive->script.script, index, values, time_ns, YD_STR(""), &results, &count);
    if (fault == YD_SCRIPT_FINE) return add_results(derive, results, count, flags, time_ns);
    int error = blame(derive, fault, derive->blameless);
    if (derive->blameless) derive->blameless--;
    return error;
}

/* The handlers of `each` that match a record, in their order. */
static int run_each(struct yd__derive *derive, uint64_t handlers, const struct yd_view *view,
                    const struct yd_record *record, const struct yd_reading *value, bool *ret_blamed)
{
    int error = 0;
    *ret_blamed = false;
    if (!yd_derive_script_takes(value)) return 0;
    for (; handlers && error == 0; handlers &= handlers - 1) {
        const struct yd_script_result *results;
        size_t count;
        uint32_t index = derive->script.each[__builtin_ctzll(handlers)];
        enum yd_script_fault fault = yd_script_call(derive->script.script, index, value, record->time_ns,
                                                    yd_view_name(view, record->name), &results, &count);
        if (fault == YD_SCRIPT_FINE) {
            error = add_results(derive, results, count, value->flags & YD_READING_SUSPECT, record->time_ns);
        } else {
            error = blame(derive, fault, !*ret_blamed);
            *ret_blamed = true;
        }
    }
    return error;
}

/* All rules that read something new, each once. Those behind a rule come after it, so one pass meets them all. */
static int evaluate_due(struct yd__derive *derive, int64_t time_ns)
{
    int error = 0;
    for (uint32_t word = 0; word <= derive->job_count / 64 && error == 0; word++) {
        while (derive->due[word] && error == 0) {
            uint32_t bit = (uint32_t)__builtin_ctzll(derive->due[word]);
            derive->due[word] &= derive->due[word] - 1;
            uint32_t job = word * 64 + bit;
            error = derive->script.script ? run_handler(derive, job, time_ns) : evaluate(derive, job, time_ns);
        }
    }
    for (uint32_t i = 0; i < derive->fresh_count; i++)
        derive->values[derive->fresh[i]].flags &= (uint16_t)~YD_READING_FRESH;
    derive->fresh_count = 0;
    derive->blameless = 0;
    return error;
}

/* ---- in ---- */

static void forget_slot(struct yd__derive *derive, uint32_t index)
{
    const struct yd_derive_slot *slot = &derive->rules.slots[index];
    derive->values[index] = yd_reading_none(0);
    for (uint32_t i = 0; i < slot->reader_count && !derive->script.script; i++)
        if (derive->memories[slot->readers[i]]) yd_expression_state_reset(derive->memories[slot->readers[i]]);
}

/* What is forgotten has no value here from now on; what was remembered of it is forgotten, too. */
static int forget(struct yd__derive *derive, const struct yd_view *view, uint32_t index,
                  const struct yd_pattern *pattern, uint32_t kinds)
{
    const struct yd_intern *names = &derive->rules.names;
    struct yd_str own = yd_view_name(view, view->records[index].name);
    if (!(kinds & TAKEN_KINDS)) return 0;
    for (uint32_t i = 0; i < derive->rules.slot_count; i++)
        if (pattern ? yd_pattern_match(pattern, names->strings[i]) : yd_str_eq(own, names->strings[i]))
            forget_slot(derive, i);
    if (!derive->script.script) return 0;
    enum yd_script_fault fault = yd_script_forget(derive->script.script, pattern, own);
    return fault == YD_SCRIPT_FINE ? 0 : blame(derive, fault, 0);
}

static uint32_t slot_of(struct yd__derive *derive, const struct yd_view *view, uint32_t name)
{
    uint32_t *cache = (uint32_t *)(void *)derive->cache.data;
    if (cache[name] == 0) {
        uint32_t slot = yd_intern_find_hashed(&derive->rules.names, yd_view_name(view, name), view->names[name].hash);
        bool ours = slot != YD_INTERN_NONE && derive->rules.slots[slot].rule == YD_DERIVE_OUTSIDE;
        cache[name] = ours ? slot + 2 : 1;
    }
    return cache[name] == 1 ? NOT_A_SLOT : cache[name] - 2;
}

/* A record that no rule reads, or that a rule makes, only passes. */
static int take(struct yd__derive *derive, const struct yd_view *view, uint32_t index, int64_t *group_time,
                uint64_t *folded)
{
    const struct yd_record *record = &view->records[index];
    bool taken = YD_KIND_BIT(record->kind) & TAKEN_KINDS, blamed = false;
    uint32_t slot = taken ? slot_of(derive, view, record->name) : NOT_A_SLOT;
    uint64_t handlers = taken ? yd_derive_script_each(&derive->script, view, record->name) : 0;
    int error = 0;
    if (slot == NOT_A_SLOT && !handlers) {
        (*folded)++;
        return 0;
    }
    bool again = slot != NOT_A_SLOT && derive->values[slot].flags & YD_READING_FRESH;
    if (derive->fresh_count && (!derive->together || again || record->time_ns != *group_time))
        error = evaluate_due(derive, *group_time);
    if (error < 0) return error;
    struct yd_reading value = reading_of(view, record);
    if (handlers) error = run_each(derive, handlers, view, record, &value, &blamed);
    if (error < 0 || slot == NOT_A_SLOT) return error;
    error = yd__derive_put(derive, slot, value);
    if (error < 0) return error;
    *group_time = record->time_ns;
    derive->blameless += !blamed;
    is_new(derive, slot);
    return 0;
}

/* Where another definition begins: those behind are told in any case. */
static int pass_mark(struct yd__derive *derive, const struct yd_view *view, uint32_t index, uint64_t *folded)
{
    struct yd_str gone, wider;
    if (view->records[index].kind != YD_ROW || !yd_redefine_mark_read(view, index, &gone, &wider)) return 0;
    --*folded;
    int error = yd_builder_copy(derive->builder, view, index);
    if (error != YD_EFULL) return error;
    error = emit_built(derive);
    return error < 0 ? error : yd_builder_copy(derive->builder, view, index);
}

static void begin(struct yd__derive *derive, const struct yd_view *view, struct yd_out *out)
{
    derive->out = out;
    derive->fresh_count = 0;
    derive->blameless = 0;
    memset(derive->due, 0, (derive->job_count / 64 + 1u) * sizeof *derive->due);
    yd_buf_clear(&derive->cache);
    size_t size = view->name_count * sizeof(uint32_t);
    if (yd_buf_reserve(&derive->cache, size + 1)) memset(derive->cache.data, 0, size);
    if (!derive->script.script) return;
    if (!yd_derive_script_begin(&derive->script, view)) derive->cache.failed = true;
    const char *unsaved = yd_script_unsaved(derive->script.script);
    if (unsaved) yd_say(out, 1, "%s: %s; it begins anew after a restart", derive->script.path, unsaved);
}

static enum yd_turn_result on_batch(struct yd__derive *derive, struct yd_input *input, struct yd_out *out)
{
    uint64_t folded = 0;
    int64_t group_time = 0;
    int error = 0;
    const struct yd_view *view = &input->batch->view;
    begin(derive, view, out);
    if (derive->cache.failed) return YD_FAIL;
    if (derive->pass) error = yd_emit(out, PORT_OUTPUT, yd_batch_ref(input->batch));
    for (uint32_t i = 0; error == 0 && i < view->count; i++) {
        struct yd_pattern *pattern;
        uint32_t kinds = 0;
        int tombstone = yd_tombstone_read(view, i, &pattern, &kinds);
        if (tombstone == 0) {
            error = take(derive, view, i, &group_time, &folded);
            if (error == 0 && !derive->pass) error = pass_mark(derive, view, i, &folded);
            continue;
        }
        error = tombstone < 0 ? tombstone : evaluate_due(derive, group_time);
        if (tombstone < 0) break;
        if (error == 0) error = forget(derive, view, i, pattern, kinds);
        yd_pattern_destroy(pattern);
        folded++;
    }
    if (error == 0) error = evaluate_due(derive, group_time);
    if (error == 0) error = emit_built(derive);
    if (error < 0) {
        yd_builder_abandon(derive->builder);
        return YD_FAIL;
    }
    if (folded && !derive->pass) yd_count_folded(out, folded);
    return YD_DONE;
}

/* ---- another definition ---- */

/* What rules made and make no more, or make as texts now, is told to the Decom, who tells those behind. */
static int tell_changes(const struct yd__derive *before, const struct yd__derive *now, struct yd_out *out)
{
    struct yd_redefine_mark mark;
    (void)yd_redefine_mark_begin(&mark, out, NULL, 0);
    for (uint32_t i = 0; i < before->rules.rule_count; i++) {
        const struct yd_derive_rules *rules = &before->rules;
        struct yd_str name = rules->names.strings[rules->rules[i].slot];
        uint32_t slot = yd_intern_find(&now->rules.names, name);
        bool is_made = slot != YD_INTERN_NONE && now->rules.slots[slot].rule != YD_DERIVE_OUTSIDE;
        if (!is_made)
            yd_redefine_mark_add(&mark, name, true);
        else if (now->rules.slots[slot].type == YD_TEXT && rules->slots[rules->rules[i].slot].type != YD_TEXT)
            yd_redefine_mark_add(&mark, name, false);
    }
    return yd_redefine_mark_end(&mark);
}

/* Values, and what rules that are the same remember, go on in the successor. */
static int hand_over(const struct yd__derive *derive, struct yd__derive *next)
{
    struct yd_buf saved;
    yd_buf_init(&saved, NULL);
    int error = yd_redefine_saved(yd__derive_save, derive, &saved);
    if (error == 0) error = yd__derive_load(next, 0, yd_buf_view(&saved));
    yd_buf_fini(&saved);
    return error;
}

static enum yd_turn_result answer(struct yd__derive *derive, struct yd_input *input, struct yd_out *out)
{
    struct yd_str text = yd_redefine_text(input->batch);
    struct yd_element *element = yd_out_element(out);
    struct yd__derive next = {0};
    if (!yd_rows_op(input->batch, YD_REDEFINE_OP) || !text.size ||
        !yd_args_find(yd_element_args(element), "definition"))
        return yd_rows_unknown(input, out, "none; a definition is read again by its Decom: reload");
    int error = set_up(element, &next, &text);
    if (error == 0) error = hand_over(derive, &next);
    if (error == 0) error = tell_changes(derive, &next, out);
    if (error < 0) {
        close_derive(&next);
        (void)yd_reply_error(out, 0, error, "%s", yd_error_text(error));
        return YD_DONE;
    }
    close_derive(derive);
    *derive = next;
    yd_state_changed(out);
    yd_say(out, 0, "%s: another definition: %u rules", yd_args_text(yd_element_args(element), "definition").data,
           derive->rules.rule_count);
    return YD_DONE;
}

static enum yd_turn_result receive(void *opaque, struct yd_input *input, struct yd_out *out)
{
    if (input->type == YD_INPUT_BATCH) return on_batch(opaque, input, out);
    return input->type == YD_INPUT_QUERY ? answer(opaque, input, out) : YD_DONE;
}

static const struct yd_port_class ports[] = {
    [PORT_INPUT] = {.name = "input",
                    .direction = YD_IN,
                    .mode = YD_PUSH,
                    .kinds = YD_KINDS_ALL,
                    .needs = TAKEN_KINDS,
                    .flags = YD_PORT_REQUIRED,
                    .doc = "Measurements. What no rule reads is counted as folded, unless it passes."},
    [PORT_OUTPUT] = {.name = "output",
                     .direction = YD_OUT,
                     .mode = YD_PUSH,
                     .kinds = YD_KINDS_ALL,
                     .flags = YD_PORT_REQUIRED,
                     .doc = "A SAMPLE for each result; with `pass` the batch that led to them before them."},
    [PORT_QUERY] = {.name = "query",
                    .direction = YD_IN,
                    .mode = YD_QUERY,
                    .schema = "rows",
                    .doc = "Where a Decom of the same `definition` tells that it is another one now (its `reload`)."},
    {.name = NULL},
};

static const struct yd_param_class params[] = {
    {.name = "rules",
     .type = YD_PARAM_LIST,
     .doc = "Rules as texts: `[\"climb = rate(altitude)\", \"falling = climb < -2\"]`, in any order."},
    {.name = "file",
     .type = YD_PARAM_TEXT,
     .flags = YD_PARAM_READS,
     .doc = "Or a file of rules, each on a line of its own; read at the start."},
    {.name = "definition",
     .type = YD_PARAM_TEXT,
     .flags = YD_PARAM_READS,
     .doc = "Or the file that `Decom` works by: what its `derive` lines say."},
    {.name = "lua",
     .type = YD_PARAM_TEXT,
     .flags = YD_PARAM_READS,
     .doc = "Or a file with a script in Lua, for what rules cannot say; read at the start. docs/derive.md says what it "
            "may do."},
    {.name = "steps",
     .type = YD_PARAM_INT,
     .initial = "1000000",
     .min = 1000,
     .max = 1e9,
     .doc = "How much a call of the script may do, in about instructions; then it ends as failed."},
    {.name = "memory",
     .type = YD_PARAM_SIZE,
     .initial = "4MiB",
     .min = 262144,
     .max = 1073741824,
     .doc = "What the script may hold in memory, all in all."},
    {.name = "pass", .type = YD_PARAM_BOOL, .initial = "false", .doc = "Whether what comes in goes out, too."},
    {.name = "together",
     .type = YD_PARAM_BOOL,
     .initial = "true",
     .doc = "Records of one time that follow each other in a batch are one packet: rules see all of them at once. "
            "`false`: rules are evaluated after each record."},
    {.name = NULL},
};

const struct yd_element_class yd_class_derive = {
    .abi = YD_ELEMENT_ABI,
    .flags = YD_CLASS_STATEFUL | YD_CLASS_REPEATS,
    .name = "Derive",
    .summary = "makes measurements of measurements, by expressions or a script",
    .doc =
        "A rule is `name = expression`; docs/derive.md has the language. A rule is evaluated when something that it "
        "reads is new, after the rules that make what it reads; its result has the time of that record.\n\n"
        "- Rules may read what other rules make; a circle is refused, with the chain.\n"
        "- Rates, rolling averages and everything else that is remembered survive restarts, and go by the time of "
        "the records: a stream read again gives the same results.\n"
        "- A result that overflows, divides by zero or is not a number goes out without a value, marked suspect. "
        "While a measurement it reads has not come yet, nothing goes out.\n"
        "- Types are checked where they are known; a measurement from outside is a number unless it is compared "
        "with a text or used as a condition.\n"
        "- `lua:` takes a script instead: `on(\"a\", \"b\", function(a, b, time) return {sum = a + b} end)`. It "
        "sees its arguments and a table `state` that is saved, nothing else. A call that fails costs its results, is "
        "counted by reason with file and line, and the next one is made as if nothing had been.\n",
    .example =
        "metrics -> Derive(rules: [\"climb = rate(altitude)\", \"climb.mean = rolling_avg(climb, 10s)\"]) -> Print()",
    .ports = ports,
    .params = params,
    .reasons = reasons,
    .state_size = sizeof(struct yd__derive),
    .check = yd_derive_rules_check,
    .check_file = check_file,
    .open = open_derive,
    .close = close_derive,
    .receive = receive,
    .save = yd__derive_save,
    .load = yd__derive_load,
};
