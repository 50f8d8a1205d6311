/* Cardinality: limits how many new series come in, and never stops those that are there.
 *
 *   name --known?--> passes
 *          no --> each rule that matches: room in its group (all, or one value of a tag)? --> known from now on, passes
 *                                            no --> refused, counted by rule, the last refused name kept
 *
 * What is known is remembered as 64-bit hashes of the names, 8 bytes a series at a load of a half: two of a million
 * names share one with a chance of 1 in 40 million, and then the second passes without being counted. `series` bounds
 * their number, `groups` that of the groups. By peer: whoever brought the name into its batch (yd_batch_origin), so a
 * record costs nothing more. All of it is saved, but for what was refused. Time (limits per hour) is that of clock.h.
 */
#include <yarder/element.h>
#include <yarder/name.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "elements/clock.h"
#include "elements/rows.h"
#include "elements/saved.h"
#include "elements/table.h"

enum { PORT_INPUT, PORT_OUTPUT, PORT_QUERY };
enum { REASON_TOTAL, REASON_RATE, REASON_SERIES, REASON_GROUPS };
#define RULES_MAX   64
#define SAMPLE_MAX  200
#define SAVED_FORM  1
#define GROUPS_TOLD 1000

struct rule {
    struct yd_pattern *pattern;
    struct yd_str match, tag; /* tag: its key; empty: all together */
    int64_t max, per;         /* per 0: in all */
    bool by_peer;
    uint64_t known, refused;
    char sample[SAMPLE_MAX];
    uint32_t sample_size;
};
struct group { /* named "RULE value" */
    struct yd_table_item head;
    int64_t count, since;
    uint64_t refused; /* records, since the start */
};
struct state {
    struct rule rules[RULES_MAX];
    unsigned rule_count;
    uint64_t *hashes; /* open addressing; 0: free */
    uint64_t count, slot_count, series_max;
    struct yd_table groups;
    struct yd_clock clock;
    struct yd_buf keep, names; /* a byte a record; a byte a name: 1 + reason, or 0: passes */
};

/* ---- what is known ---- */

static bool is_known(const struct state *state, uint64_t hash)
{
    uint64_t mask = state->slot_count - 1;
    if (state->slot_count == 0) return false;
    for (uint64_t at = hash & mask; state->hashes[at]; at = (at + 1) & mask)
        if (state->hashes[at] == hash) return true;
    return false;
}

static void put_hash(uint64_t *hashes, uint64_t mask, uint64_t hash)
{
    uint64_t at = hash & mask;
    while (hashes[at]) at = (at + 1) & mask;
    hashes[at] = hash;
}

static int know(struct state *state, uint64_t hash)
{
    if (state->count >= state->slot_count / 2) {
        uint64_t slots = state->slot_count ? state->slot_count * 2 : 1024;
        uint64_t *hashes = calloc(slots, sizeof *hashes);
        if (!hashes) return YD_ENOMEM;
        for (uint64_t i = 0; i < state->slot_count; i++)
            if (state->hashes[i]) put_hash(hashes, slots - 1, state->hashes[i]);
        free(state->hashes);
        state->hashes = hashes;
        state->slot_count = slots;
    }
    put_hash(state->hashes, state->slot_count - 1, hash);
    state->count++;
    return 0;
}

/* ---- parameters ---- */

static const struct yd_arg *key_of(const struct yd_arg *map, const char *key)
{
    for (size_t i = 0; i < map->list.count; i++)
        if (strcmp(map->list.items[i].name, key) == 0) return &map->list.items[i];
    return NULL;
}

static const char *open_rule(struct rule *rule, const struct yd_arg *map)
{
    static const char *const keys[] = {"match", "by", "max", "per"};
    if (map->type != YD_PARAM_MAP) return "a map: { match: \"*\", by: \"host\", max: 1000, per: 1h }";
    for (size_t i = 0; i < map->list.count; i++) {
        bool known = false;
        for (size_t k = 0; k < YD_COUNT(keys); k++) known |= strcmp(map->list.items[i].name, keys[k]) == 0;
        if (!known) return "a rule has match, by, max and per";
    }
    const struct yd_arg *match = key_of(map, "match"), *by = key_of(map, "by"), *max = key_of(map, "max"),
                        *per = key_of(map, "per");
    if (match && match->type != YD_PARAM_TEXT) return "match: a name pattern in quotes";
    if (by && (by->type != YD_PARAM_TEXT || by->text.size == 0)) return "by: a tag's key, or metric";
    if (!max || max->type != YD_PARAM_INT || max->i64 < 0) return "max: how many new series";
    if (per && (per->type != YD_PARAM_DURATION || per->i64 <= 0)) return "per: a duration";
    rule->match = match ? match->text : YD_STR("*");
    rule->tag = by ? by->text : YD_STR("");
    rule->by_peer = yd_str_eq(rule->tag, YD_STR("peer"));
    rule->max = max->i64;
    rule->per = per ? per->i64 : 0;
    return yd_pattern_compile(rule->match, &rule->pattern) < 0 ? "match: not a name pattern" : NULL;
}

static int check(const struct yd_args *args, char *why, size_t why_size)
{
    const struct yd_arg *rules = yd_args_find(args, "rules");
    const char *wrong = rules && rules->list.count > RULES_MAX ? "at most 64" : NULL;
    size_t i = 0;
    for (; rules && i < rules->list.count && !wrong; i++) {
        struct rule rule = {0};
        wrong = open_rule(&rule, &rules->list.items[i]);
        yd_pattern_destroy(rule.pattern);
    }
    if (!wrong) return 0;
    snprintf(why, why_size, "rules, number %zu: %s", i, wrong);
    return YD_EINVAL;
}

static int open_cardinality(struct yd_element *element, void *opaque)
{
    struct state *state = opaque;
    const struct yd_args *args = yd_element_args(element);
    const struct yd_arg *rules = yd_args_find(args, "rules");
    state->series_max = (uint64_t)yd_args_int(args, "series");
    yd_table_init(&state->groups, NULL, sizeof(struct group), (uint64_t)yd_args_int(args, "groups"));
    yd_buf_init(&state->keep, NULL);
    yd_buf_init(&state->names, NULL);
    for (size_t i = 0; rules && i < rules->list.count; i++) {
        const char *wrong = open_rule(&state->rules[i], &rules->list.items[i]);
        if (wrong) return yd_element_fail(element, YD_EINVAL, "%s", wrong);
        state->rule_count++;
    }
    return 0;
}

static void close_cardinality(void *opaque)
{
    struct state *state = opaque;
    for (unsigned i = 0; i < RULES_MAX; i++) yd_pattern_destroy(state->rules[i].pattern);
    free(state->hashes);
    yd_table_fini(&state->groups);
    yd_buf_fini(&state->keep);
    yd_buf_fini(&state->names);
}

/* ---- judging ---- */

/* The group of a name under a rule, made when it is new. YD_EFULL: too many; YD_ENOMEM. */
static int group_of(struct state *state, unsigned number, struct yd_str name, struct yd_str origin,
                    struct group **ret_group)
{
    const struct rule *rule = &state->rules[number];
    char text[YD_NAME_SIZE_MAX + 16];
    struct yd_name parts;
    struct yd_str value = YD_STR("");
    if (rule->tag.size && yd_name_parse(name, &parts, NULL) == 0) {
        if (yd_str_eq(rule->tag, YD_STR("metric"))) value = parts.metric;
        for (uint32_t i = 0; i < parts.tag_count; i++)
            if (yd_str_eq(parts.tags[i].key, rule->tag)) value = parts.tags[i].value;
    }
    if (rule->by_peer && origin.size) value = origin; /* who brings it counts more than what it says of itself */
    int size = snprintf(text, sizeof text, "%u ", number);
    memcpy(text + size, value.data, value.size);
    struct yd_str key = {text, (size_t)size + value.size};
    int error = yd_table_add(&state->groups, key, yd_hash_str(key), ret_group);
    if (error < 0) return error;
    struct group *group = *ret_group;
    if (error == 1) group->since = state->clock.now;
    if (rule->per && state->clock.now - group->since >= rule->per) {
        group->since = state->clock.now - (state->clock.now - group->since) % rule->per;
        group->count = 0;
    }
    return 0;
}

/* 0: it passes, and is known from now on; else 1 + the reason. YD_ENOMEM. */
static int judge_new(struct state *state, struct yd_str name, struct yd_str origin, uint64_t hash)
{
    struct group *groups[RULES_MAX];
    if (state->count >= state->series_max) return 1 + REASON_SERIES;
    for (unsigned i = 0; i < state->rule_count; i++) {
        struct rule *rule = &state->rules[i];
        groups[i] = NULL;
        if (!yd_pattern_match(rule->pattern, name)) continue;
        int error = group_of(state, i, name, origin, &groups[i]);
        if (error == YD_ENOMEM) return error;
        if (error == 0 && groups[i]->count < rule->max) continue;
        rule->sample_size = (uint32_t)YD_MIN(name.size, sizeof rule->sample);
        memcpy(rule->sample, name.data, rule->sample_size);
        while (rule->sample_size && !yd_text_utf8((struct yd_str){rule->sample, rule->sample_size}))
            rule->sample_size--;
        return 1 + (int)(error < 0 ? REASON_GROUPS : rule->per ? REASON_RATE : REASON_TOTAL);
    }
    int error = know(state, hash);
    if (error < 0) return error;
    for (unsigned i = 0; i < state->rule_count; i++)
        if (groups[i]) groups[i]->count++, state->rules[i].known++;
    return 0;
}

static void count_refused(struct state *state, struct yd_str name, struct yd_str origin, uint64_t records)
{
    for (unsigned i = 0; i < state->rule_count; i++) {
        struct group *group = NULL;
        if (!yd_pattern_match(state->rules[i].pattern, name)) continue;
        if (group_of(state, i, name, origin, &group) == 0 && group->count < state->rules[i].max) continue;
        state->rules[i].refused += records;
        if (group) group->refused += records;
        return;
    }
}

static enum yd_turn_result on_batch(struct state *state, struct yd_input *input, struct yd_out *out)
{
    const struct yd_view *view = &input->batch->view;
    yd_clock_batch(&state->clock, input);
    yd_buf_clear(&state->keep);
    yd_buf_clear(&state->names);
    char *keep = yd_buf_reserve(&state->keep, view->count + 1);
    char *names = yd_buf_reserve(&state->names, view->name_count + 1);
    uint32_t kept = 0;
    if (!keep || !names) return YD_FAIL;
    memset(names, -1, view->name_count);
    for (uint32_t i = 0; i < view->count; i++) { /* by record: a name may stand in a batch for a cell alone */
        uint32_t at = view->records[i].name;
        if (names[at] < 0) {
            uint64_t hash = view->names[at].hash ? view->names[at].hash : 1;
            int judged = is_known(state, hash)
                             ? 0
                             : judge_new(state, yd_view_name(view, at), yd_batch_origin(input->batch, at), hash);
            if (judged < 0) return YD_FAIL;
            names[at] = (char)judged;
        }
        kept += keep[i] = names[at] == 0;
        if (names[at] == 0) continue;
        yd_count_rejected(out, (unsigned)names[at] - 1, 1, yd_view_name(view, at));
        count_refused(state, yd_view_name(view, at), yd_batch_origin(input->batch, at), 1);
    }
    if (kept == view->count) return yd_emit(out, PORT_OUTPUT, yd_batch_ref(input->batch)) < 0 ? YD_FAIL : YD_DONE;
    struct yd_batch *part;
    if (kept == 0) return YD_DONE;
    if (yd_batch_select(input->batch, (const uint8_t *)keep, &part) < 0) return YD_FAIL;
    return yd_emit(out, PORT_OUTPUT, part) < 0 ? YD_FAIL : YD_DONE;
}

static int fill(struct yd_builder *builder, const void *arg)
{
    const struct rule *rule = arg;
    int error = yd_rows_cell_u64(builder, "known", rule->known);
    if (error == 0) error = yd_rows_cell_u64(builder, "refused", rule->refused);
    if (error == 0) error = yd_rows_cell_text(builder, "by", rule->tag);
    return error ? error : yd_rows_cell_text(builder, "sample", (struct yd_str){rule->sample, rule->sample_size});
}

struct group_row {
    const struct rule *rule;
    const struct group *group;
};

static int fill_group(struct yd_builder *builder, const void *arg)
{
    const struct group_row *row = arg;
    const char *space = memchr(row->group->head.name.data, ' ', row->group->head.name.size);
    size_t skip = (size_t)(space + 1 - row->group->head.name.data);
    int error = yd_rows_cell_u64(builder, "known", (uint64_t)row->group->count);
    if (error == 0) error = yd_rows_cell_u64(builder, "refused", row->group->refused);
    if (error == 0) error = yd_rows_cell_text(builder, "by", row->rule->tag);
    struct yd_str value = {row->group->head.name.data + skip, row->group->head.name.size - skip};
    return error ? error : yd_rows_cell_text(builder, "value", value);
}

/* Those of whom something was refused, as far as GROUPS_TOLD goes. */
static void tell_groups(const struct state *state, struct yd_rows *rows)
{
    unsigned told = 0;
    for (uint32_t i = 0; i < state->groups.count && told < GROUPS_TOLD; i++) {
        const struct group *group = (const struct group *)state->groups.items[i];
        unsigned number = (unsigned)strtoul(group->head.name.data, NULL, 10);
        if (group->refused == 0 || number >= state->rule_count || state->rules[number].tag.size == 0) continue;
        const struct group_row row = {&state->rules[number], group};
        yd_rows_add(rows, state->rules[number].match, state->clock.now, fill_group, &row);
        told++;
    }
}

static enum yd_turn_result receive(void *opaque, struct yd_input *input, struct yd_out *out)
{
    struct state *state = opaque;
    struct yd_rows rows;
    if (input->type == YD_INPUT_BATCH) return on_batch(state, input, out);
    if (input->type != YD_INPUT_QUERY) return YD_DONE;
    if (!yd_rows_op(input->batch, "cardinality")) return yd_rows_unknown(input, out, "cardinality");
    yd_rows_begin(&rows, input, out);
    for (unsigned i = 0; i < state->rule_count; i++)
        yd_rows_add(&rows, state->rules[i].match, state->clock.now, fill, &state->rules[i]);
    tell_groups(state, &rows);
    return yd_rows_end(&rows);
}

/* ---- what survives ---- */

struct saved_head {
    uint32_t form, groups;
    uint64_t count;
    int64_t now;
};

static int save(const void *opaque, uint32_t key_group, struct yd_saver *saver)
{
    const struct state *state = opaque;
    const struct saved_head head = {SAVED_FORM, state->groups.count, state->count, state->clock.now};
    if (key_group != 0) return 0;
    yd_save_bytes(saver, &head, sizeof head);
    for (uint64_t i = 0; i < state->slot_count; i++)
        if (state->hashes[i]) yd_save_bytes(saver, &state->hashes[i], sizeof state->hashes[i]);
    for (uint32_t i = 0; i < state->groups.count; i++) {
        const struct group *group = (const struct group *)state->groups.items[i];
        yd_save_text(saver, group->head.name);
        yd_save_bytes(saver, &group->count, sizeof group->count);
        yd_save_bytes(saver, &group->since, sizeof group->since);
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
    if (head.count > saved.size / sizeof(uint64_t)) return YD_EFORMAT;
    state->clock.now = head.now;
    for (uint64_t i = 0; i < head.count; i++) {
        uint64_t hash;
        if (!yd_saved_bytes(&saved, &hash, sizeof hash) || hash == 0 || is_known(state, hash)) return YD_EFORMAT;
        int error = know(state, hash);
        if (error < 0) return error;
    }
    for (uint32_t i = 0; i < head.groups; i++) {
        struct yd_str name;
        struct group *group;
        int64_t numbers[2];
        if (!yd_saved_text(&saved, &name) || !yd_saved_bytes(&saved, numbers, sizeof numbers)) return YD_EFORMAT;
        int error = yd_table_add(&state->groups, name, yd_hash_str(name), &group);
        if (error == YD_EFULL) continue; /* fewer groups are allowed now: those begin again */
        if (error < 0) return error;
        group->count = numbers[0];
        group->since = numbers[1];
    }
    return saved.size ? YD_EFORMAT : 0;
}

static const struct yd_port_class ports[] = {
    [PORT_INPUT] = {.name = "input",
                    .direction = YD_IN,
                    .mode = YD_PUSH,
                    .kinds = YD_KINDS_ALL,
                    .flags = YD_PORT_REQUIRED,
                    .doc = "Records of any kind."},
    [PORT_OUTPUT] = {.name = "output",
                     .direction = YD_OUT,
                     .mode = YD_PUSH,
                     .kinds = YD_KINDS_ALL,
                     .flags = YD_PORT_REQUIRED | YD_PORT_PASSES,
                     .doc = "Those of known and of admitted series, in their order."},
    [PORT_QUERY] = {.name = "query",
                    .direction = YD_IN,
                    .mode = YD_QUERY,
                    .schema = "rows",
                    .doc = "Answers `cardinality`: of each rule what is known, what was refused, and a refused name; "
                           "then, of at most "
                           "1,000 values that it counts by, of those that something was refused of, the same."},
    {.name = NULL},
};

static const struct yd_param_class params[] = {
    {.name = "rules",
     .type = YD_PARAM_LIST,
     .doc =
         "`[{ match: \"*\", by: \"host\", max: 1000, per: 1h }]`: of names that match, at most so many new ones for "
         "each "
         "value of the tag (`by: \"metric\"`: each metric; `by: \"peer\"`: each peer; without: together), in that time "
         "(without: ever)."},
    {.name = "series",
     .type = YD_PARAM_INT,
     .initial = "10000000",
     .min = 1,
     .max = 1e9,
     .doc = "At most so many series in all: 16 to 32 bytes of memory each."},
    {.name = "groups",
     .type = YD_PARAM_INT,
     .initial = "100000",
     .min = 1,
     .max = 1e8,
     .doc = "At most so many values that are counted by; new series of more are refused."},
    {.name = NULL},
};

static const char *const reasons[] = {[REASON_TOTAL] = "too many series",
                                      [REASON_RATE] = "too many new series for now",
                                      [REASON_SERIES] = "`series` is reached",
                                      [REASON_GROUPS] = "too many groups",
                                      NULL};

const struct yd_element_class yd_class_cardinality = {
    .abi = YD_ELEMENT_ABI,
    .flags = YD_CLASS_STATEFUL | YD_CLASS_REPEATS,
    .name = "Cardinality",
    .summary = "limits new series; known ones keep flowing",
    .doc =
        "A record of a name that is known passes, always. A new name passes, and is known from then on, if every rule "
        "that matches it has room; else its records are rejected, by reason, with samples.\n\n"
        "- Counts and what is known survive restarts.\n"
        "- A peer is the address that a name came from, without its port: behind `Graphite`, `GraphitePickle`, "
        "`OpenTsdb`, `Influx`, `RemoteWrite`, `Collectd`, `Statsd` and `Tsdp`, with `Filter`, `Route`, `Relabel` or "
        "another `Cardinality` between at most. Elsewhere (behind a Log, say) it is the value of a tag `peer`; without "
        "one all share one limit. Of a name that two bring in one batch it is the first; of a sum of StatsD's whoever "
        "brought its name first.\n"
        "- Names are remembered by a hash of 64 bits: of a million, two are taken for one with a chance of 1 in 40 "
        "million.\n",
    .example = "metrics -> Cardinality(rules: [{ by: \"host\", max: 1000 }, { max: 10000, per: 1h }]) -> Print()",
    .ports = ports,
    .params = params,
    .reasons = reasons,
    .state_size = sizeof(struct state),
    .check = check,
    .open = open_cardinality,
    .close = close_cardinality,
    .receive = receive,
    .save = save,
    .load = load,
};
