/* Rules of a Derive: read, compiled, sorted; and where they stand. See derive_rules.h.
 *
 * Compiled twice: once to learn what each reads, and, in order, once more when the types of what it reads are known.
 * What can fail: mistakes, told with their place; memory. */
#include "elements/derive_rules.h"

#include <stdio.h>
#include <stdlib.h>

#include <yarder/name.h>

#include "decom/tokens.h"
#include "elements/definition.h"
#include "io/file.h"

#define FILE_MAX (4u << 20)

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

/* ---- where they stand ---- */

static int read_list(struct yd_derive_rules *rules, const struct yd_arg *list, struct yd_mistake *mistake,
                     size_t *ret_source)
{
    for (size_t i = 0; list && i < list->list.count; i++) {
        *ret_source = i;
        if (list->list.items[i].type != YD_PARAM_TEXT)
            return yd_mistake_say(mistake, YD_EINVAL, YD_STR(""), 0, 0, "a rule is a text: \"name = expression\"");
        int error = yd_derive_rules_read(rules, list->list.items[i].text, mistake);
        if (error < 0) return error;
    }
    return 0;
}

int yd_derive_rules_check(const struct yd_args *args, char *why, size_t why_size)
{
    const struct yd_arg *list = yd_args_find(args, "rules");
    struct yd_derive_rules rules;
    struct yd_mistake mistake;
    char words[500];
    size_t source = 0;
    int sources = (list != NULL) + (yd_args_find(args, "file") != NULL) + (yd_args_find(args, "lua") != NULL) +
                  (yd_args_find(args, "definition") != NULL);
    if (sources != 1) {
        (void)snprintf(why, why_size, "give either rules or file or definition or lua");
        return YD_EINVAL;
    }
    if (!list) return 0; /* check_file sees it */
    yd_derive_rules_init(&rules, NULL);
    int error = read_list(&rules, list, &mistake, &source);
    if (error == 0) error = yd_derive_rules_finish(&rules, &mistake, &source);
    yd_derive_rules_fini(&rules);
    if (error == YD_ENOMEM || error == 0) return error;
    yd_mistake_line(&mistake, words, sizeof words);
    (void)snprintf(why, why_size, "rules, number %zu, %s", source + 1, words);
    return YD_EINVAL;
}

static int read_rules(struct yd_derive_rules *rules, struct yd_str text, struct yd_mistake *mistake)
{
    size_t source;
    *mistake = (struct yd_mistake){0};
    int error = yd_derive_rules_read(rules, text, mistake);
    return error < 0 ? error : yd_derive_rules_finish(rules, mistake, &source);
}

/* What a definition of packets derives; it has been checked as a whole. */
static int take_plan(struct yd_derive_rules *rules, const struct yd_plan *plan, char *why)
{
    struct yd_mistake mistake = {0};
    struct yd_buf text;
    size_t source;
    yd_buf_init(&text, NULL);
    int error = yd_plan_derive_rules(plan, &text);
    if (error == 0) error = yd_derive_rules_read(rules, yd_buf_view(&text), &mistake);
    if (error == 0) error = yd_derive_rules_finish(rules, &mistake, &source);
    yd_buf_fini(&text);
    if (error < 0) {
        (void)snprintf(why, YD_DEFINITION_WHY, " %s", mistake.error ? mistake.message : yd_error_text(error));
        return error;
    }
    if (rules->rule_count) return 0;
    (void)snprintf(why, YD_DEFINITION_WHY,
                   " it derives nothing: write  derive NAME = EXPRESSION  in it, or take this Derive out");
    return YD_EINVAL;
}

static const struct yd_plan_options closely = {.closely = true};

static int check_definition(const struct yd_args *args, struct yd_str text, char *why, size_t why_size)
{
    struct yd_derive_rules rules;
    char words[YD_DEFINITION_WHY];
    struct yd_plan *plan;
    int error = yd_definition_read(yd_args_text(args, "definition").data, text, &closely, words, &plan);
    if (error == 0) {
        yd_derive_rules_init(&rules, NULL);
        error = take_plan(&rules, plan, words);
        yd_derive_rules_fini(&rules);
        yd_plan_destroy(plan);
    }
    if (error < 0) (void)snprintf(why, why_size, "%s", words);
    return error;
}

int yd_derive_rules_check_file(const struct yd_args *args, const char *param, struct yd_str text, char *why,
                               size_t why_size)
{
    struct yd_derive_rules rules;
    struct yd_mistake mistake;
    if (strcmp(param, "definition") == 0) return check_definition(args, text, why, why_size);
    yd_derive_rules_init(&rules, NULL);
    int error = read_rules(&rules, text, &mistake);
    yd_derive_rules_fini(&rules);
    if (error < 0) yd_mistake_line(&mistake, why, why_size);
    return error;
}

static int read_file(struct yd_element *element, struct yd_derive_rules *rules, const char *path)
{
    char *data, words[500];
    size_t size;
    struct yd_mistake mistake;
    int error = yd_fs_read_all(yd_element_fs(element), path, FILE_MAX, &data, &size);
    if (error < 0) return yd_element_fail(element, error, "%s: %s", path, yd_error_text(error));
    error = read_rules(rules, (struct yd_str){data, size}, &mistake);
    free(data);
    if (error == 0) return 0;
    if (mistake.error == 0) return yd_element_fail(element, error, "%s: %s", path, yd_error_text(error));
    yd_mistake_line(&mistake, words, sizeof words);
    return yd_element_fail(element, error, "%s:%s", path, words);
}

/* text: what is in the file; NULL: it is read. */
static int read_definition(struct yd_element *element, struct yd_derive_rules *rules, const char *path,
                           const struct yd_str *text)
{
    char why[YD_DEFINITION_WHY];
    struct yd_plan *plan;
    int error = text ? yd_definition_read(path, *text, &closely, why, &plan)
                     : yd_definition_open(yd_element_fs(element), path, &closely, why, &plan);
    if (error < 0) return yd_element_fail(element, error, "definition: %s", why);
    error = take_plan(rules, plan, why);
    yd_plan_destroy(plan);
    return error < 0 ? yd_element_fail(element, error, "definition: %s:%s", path, why) : 0;
}

int yd_derive_rules_open(struct yd_derive_rules *rules, struct yd_element *element, const struct yd_str *definition)
{
    const struct yd_args *args = yd_element_args(element);
    const struct yd_arg *list = yd_args_find(args, "rules"), *file = yd_args_find(args, "file");
    struct yd_mistake mistake;
    size_t source;
    if (file) return read_file(element, rules, file->text.data);
    if (yd_args_find(args, "definition"))
        return read_definition(element, rules, yd_args_text(args, "definition").data, definition);
    int error = read_list(rules, list, &mistake, &source);
    return error < 0 ? error : yd_derive_rules_finish(rules, &mistake, &source);
}
