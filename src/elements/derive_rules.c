/* Rules of a Derive: read, compiled, sorted. See derive_rules.h.
 *
 * Compiled twice: once to learn what each reads, and, in order, once more when the types of what it reads are known.
 * What can fail: mistakes, told with their place; memory. */
#include "elements/derive_rules.h"

#include <stdio.h>

#include <yarder/name.h>

#include "decom/tokens.h"

void yd_derive_rules_init(struct yd_derive_rules *rules, struct yd_alloc *alloc)
{
    *rules = (struct yd_derive_rules){.alloc = alloc};
    yd_arena_init(&rules->arena, alloc);
    yd_intern_init(&rules->names, alloc, 0);
}

void yd_derive_rules_fini(struct yd_derive_rules *rules)
{
    for (uint32_t i = 0; i < rules->rule_count; i++) yd_expression_destroy(rules->rules[i].expression);
    yd_alloc_put(rules->alloc, rules->rules, YD_DERIVE_RULES_MAX * sizeof *rules->rules);
    yd_alloc_put(rules->alloc, rules->slots, rules->slot_room * sizeof *rules->slots);
    yd_intern_fini(&rules->names);
    yd_arena_fini(&rules->arena);
}

int yd_derive_rules_slot(struct yd_derive_rules *rules, struct yd_str text, uint32_t *ret_slot)
{
    char name[YD_NAME_SIZE_MAX];
    size_t size;
    int error = yd_name_canonical(text, name, &size);
    if (error < 0) return YD_EFORMAT;
    int is_new = yd_intern_add(&rules->names, (struct yd_str){name, size}, ret_slot);
    if (is_new <= 0) return is_new;
    if (rules->slot_count == rules->slot_room) {
        uint32_t room = rules->slot_room ? rules->slot_room * 2 : 64;
        struct yd_derive_slot *slots =
            yd_alloc_resize(rules->alloc, rules->slots, rules->slot_room * sizeof *slots, room * sizeof *slots);
        if (!slots) return YD_ENOMEM; /* all is given up then */
        rules->slots = slots;
        rules->slot_room = room;
    }
    rules->slots[rules->slot_count++] = (struct yd_derive_slot){.rule = YD_DERIVE_OUTSIDE};
    return 0;
}

static int find(void *opaque, struct yd_str name, uint32_t *ret_slot, enum yd_type *ret_type)
{
    struct yd_derive_rules *rules = opaque;
    int error = yd_derive_rules_slot(rules, name, ret_slot);
    if (error < 0) return error;
    *ret_type = rules->slots[*ret_slot].type;
    return 0;
}

static int read_rule(struct yd_derive_rules *rules, struct yd_str text, struct yd_tokens *tokens,
                     const struct yd_token *name, struct yd_mistake *mistake)
{
    const struct yd_expression_names names = {rules, find, NULL};
    struct yd_derive_rule rule = {
        .source = rules->source_count, .offset = name->offset, .size = name->size, .all = text};
    struct yd_token equals;
    struct yd_mistake inner;
    size_t used = 0;
    int error = yd_token_next(tokens, &equals, mistake);
    if (error < 0) return error;
    if (equals.type != YD_TOKEN_SIGN || equals.sign != '=') {
        size_t at = name->offset + name->size;
        (void)yd_mistake_say(mistake, YD_EFORMAT, text, at, 0, "the '=' of the rule is missing here");
        if (mistake) (void)strcpy(mistake->help, "write  name = expression");
        return YD_EFORMAT;
    }
    error = yd_derive_rules_slot(rules, name->text, &rule.slot);
    if (error < 0)
        return yd_mistake_say(mistake, error, text, name->offset, name->size, "this is not a name of a measurement");
    if (rules->slots[rule.slot].rule != YD_DERIVE_OUTSIDE)
        return yd_mistake_say(mistake, YD_EEXIST, text, name->offset, name->size, "another rule makes '%.*s'",
                              (int)YD_MIN(name->text.size, (size_t)120), name->text.data);
    if (rules->rule_count == YD_DERIVE_RULES_MAX)
        return yd_mistake_say(mistake, YD_ETOOBIG, text, name->offset, name->size, "more than %d rules",
                              YD_DERIVE_RULES_MAX);
    struct yd_str rest = {text.data + tokens->at, text.size - tokens->at};
    error = yd_expression_compile(rest, &names, rules->alloc, &used, &rule.expression, &inner);
    if (error < 0) {
        if (inner.error == 0) return error;
        yd_mistake_move(&inner, text, tokens->at + inner.offset);
        if (mistake) *mistake = inner;
        return error;
    }
    rule.text = (struct yd_str){rest.data, used};
    rules->slots[rule.slot].rule = rules->rule_count;
    rules->rules[rules->rule_count++] = rule;
    tokens->at += used;
    return 0;
}

/* Whether only blanks are between `at` and the end of the line before. */
static bool begins_line(struct yd_str text, size_t at)
{
    while (at > 0 && (text.data[at - 1] == ' ' || text.data[at - 1] == '\t')) at--;
    return at == 0 || text.data[at - 1] == '\n';
}

int yd_derive_rules_read(struct yd_derive_rules *rules, struct yd_str text, struct yd_mistake *mistake)
{
    struct yd_str copy = yd_arena_str(&rules->arena, text);
    struct yd_tokens tokens = {.text = copy};
    if (mistake) *mistake = (struct yd_mistake){0};
    if (!copy.data) return YD_ENOMEM;
    if (!rules->rules) rules->rules = yd_alloc_get(rules->alloc, YD_DERIVE_RULES_MAX * sizeof *rules->rules);
    if (!rules->rules) return YD_ENOMEM;
    for (;;) {
        struct yd_token name;
        int error = yd_token_next(&tokens, &name, mistake);
        if (error == 0 && name.type == YD_TOKEN_END) break;
        if (error == 0 && name.type != YD_TOKEN_NAME)
            error =
                yd_mistake_say(mistake, YD_EFORMAT, copy, name.offset, name.size, "the name of a rule is missing here");
        if (error == 0 && !begins_line(copy, name.offset))
            error = yd_mistake_say(mistake, YD_EFORMAT, copy, name.offset, name.size,
                                   "an operator is missing here, or a new line for the next rule");
        if (error == 0) error = read_rule(rules, copy, &tokens, &name, mistake);
        if (error < 0) return error;
    }
    rules->source_count++;
    return 0;
}

/* ---- order ---- */

enum mark { UNSEEN, OPEN, DONE };
struct sorting {
    struct yd_derive_rules *rules;
    uint32_t *order, *stack, *next; /* by depth: which rule, which of its slots */
    uint8_t *marks;
    uint32_t count;
};

/* a -> b -> a, as much as there is room for. */
static int circle(const struct sorting *sorting, uint32_t depth, uint32_t again, struct yd_mistake *mistake,
                  size_t *ret_source)
{
    const struct yd_derive_rules *rules = sorting->rules;
    char chain[180];
    size_t size = 0;
    uint32_t from = 0;
    while (sorting->stack[from] != again) from++;
    for (uint32_t i = from; i <= depth + 1 && size < sizeof chain - 1; i++) {
        uint32_t rule = i > depth ? again : sorting->stack[i];
        struct yd_str name = rules->names.strings[rules->rules[rule].slot];
        int put = snprintf(chain + size, sizeof chain - size, "%s%.*s", i > from ? " -> " : "", YD_STR_FMT(name));
        size += put < 0 ? 0 : (size_t)put;
    }
    *ret_source = rules->rules[again].source;
    const struct yd_derive_rule *rule = &rules->rules[again];
    (void)yd_mistake_say(mistake, YD_EINVAL, rule->all, rule->offset, rule->size, "rules go in a circle: %s", chain);
    if (!mistake) return YD_EINVAL;
    (void)strcpy(mistake->help,
                 "previous(x) and last(x, …) of what comes from outside remember; a rule cannot read itself");
    return YD_EINVAL;
}

static int visit(struct sorting *sorting, uint32_t root, struct yd_mistake *mistake, size_t *ret_source)
{
    const struct yd_derive_rules *rules = sorting->rules;
    uint32_t depth = 0;
    if (sorting->marks[root] != UNSEEN) return 0;
    sorting->stack[0] = root;
    sorting->next[0] = 0;
    sorting->marks[root] = OPEN;
    for (;;) {
        uint32_t rule = sorting->stack[depth];
        size_t count;
        const struct yd_expression_slot *slots = yd_expression_slots(rules->rules[rule].expression, &count);
        if (sorting->next[depth] < count) {
            uint32_t reads = rules->slots[slots[sorting->next[depth]++].slot].rule;
            if (reads == YD_DERIVE_OUTSIDE || sorting->marks[reads] == DONE) continue;
            if (sorting->marks[reads] == OPEN) return circle(sorting, depth, reads, mistake, ret_source);
            sorting->marks[reads] = OPEN;
            sorting->stack[++depth] = reads;
            sorting->next[depth] = 0;
            continue;
        }
        sorting->marks[rule] = DONE;
        sorting->order[sorting->count++] = rule;
        if (depth-- == 0) return 0;
    }
}

static int sort(struct yd_derive_rules *rules, struct yd_mistake *mistake, size_t *ret_source)
{
    size_t count = rules->rule_count;
    struct sorting sorting = {.rules = rules,
                              .order = yd_arena_get(&rules->arena, count * sizeof(uint32_t) + 1),
                              .stack = yd_arena_get(&rules->arena, count * sizeof(uint32_t) + 1),
                              .next = yd_arena_get(&rules->arena, count * sizeof(uint32_t) + 1),
                              .marks = yd_arena_zero(&rules->arena, count + 1)};
    struct yd_derive_rule *sorted = yd_arena_get(&rules->arena, count * sizeof *sorted + 1);
    if (!sorting.order || !sorting.stack || !sorting.next || !sorting.marks || !sorted) return YD_ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        int error = visit(&sorting, i, mistake, ret_source);
        if (error < 0) return error;
    }
    for (uint32_t i = 0; i < count; i++) sorted[i] = rules->rules[sorting.order[i]];
    for (uint32_t i = 0; i < count; i++) {
        rules->rules[i] = sorted[i];
        rules->slots[sorted[i].slot].rule = i;
    }
    return 0;
}

/* Once more, in order, so that each knows the types of what it reads. */
static int compile_typed(struct yd_derive_rules *rules, struct yd_derive_rule *rule, struct yd_mistake *mistake)
{
    const struct yd_expression_names names = {rules, find, NULL};
    struct yd_expression *typed;
    size_t used;
    int error = yd_expression_compile(rule->text, &names, rules->alloc, &used, &typed, mistake);
    if (error < 0) { /* its place is one in the expression */
        if (mistake) yd_mistake_move(mistake, rule->all, (size_t)(rule->text.data - rule->all.data) + mistake->offset);
        return error;
    }
    yd_expression_destroy(rule->expression);
    rule->expression = typed;
    rules->slots[rule->slot].type = yd_expression_type(typed);
    return 0;
}

static int link_readers(struct yd_derive_rules *rules)
{
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t r = 0; r < rules->rule_count; r++) {
            size_t count;
            const struct yd_expression_slot *slots = yd_expression_slots(rules->rules[r].expression, &count);
            for (size_t i = 0; i < count; i++) {
                struct yd_derive_slot *slot = &rules->slots[slots[i].slot];
                if (pass) slot->readers[slot->reader_count] = r;
                slot->reader_count++;
            }
        }
        for (uint32_t i = 0; i < rules->slot_count && pass == 0; i++) {
            struct yd_derive_slot *slot = &rules->slots[i];
            slot->readers = yd_arena_get(&rules->arena, slot->reader_count * sizeof *slot->readers + 1);
            if (!slot->readers) return YD_ENOMEM;
            slot->reader_count = 0;
        }
    }
    return 0;
}

int yd_derive_rules_finish(struct yd_derive_rules *rules, struct yd_mistake *mistake, size_t *ret_source)
{
    int error = sort(rules, mistake, ret_source);
    for (uint32_t i = 0; i < rules->rule_count && error == 0; i++) {
        error = compile_typed(rules, &rules->rules[i], mistake);
        *ret_source = rules->rules[i].source;
    }
    return error < 0 ? error : link_readers(rules);
}
