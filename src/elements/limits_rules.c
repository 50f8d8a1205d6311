/* The rules of a Limits: read from a parameter, a file or a definition; found by name. See limits_rules.h.
 *
 * A name without wildcards is found by its hash; those with are tried in their order, as far as they stand before it.
 */
#include "elements/limits_rules.h"

#include <stdio.h>
#include <stdlib.h>

#include <yarder/name.h>

#include "base/text.h"
#include "decom/tokens.h"
#include "elements/definition.h"
#include "io/file.h"

#define RULES_MAX (1u << 20)
#define WILD_MAX  4096 /* rules whose name has wildcards: each name that comes is held against all of them */
#define FILE_MAX  (4u << 20)

/* Without anything that means something in patterns: it is what the metric of a name is, letter by letter. */
static bool is_plain(struct yd_str text)
{
    for (size_t i = 0; i < text.size; i++)
        if (strchr("*?\\ ,=", text.data[i]) || (unsigned char)text.data[i] < 0x20) return false;
    return text.size > 0;
}

static int new_rule(struct yd_limits_rules *rules, struct yd_str all, const struct yd_token *name, uint32_t at,
                    struct yd_mistake *mistake)
{
    struct yd_limits_rule made = {.rule = YD_LIMIT_NEW};
    bool wild = !is_plain(name->text);
    if (at == RULES_MAX || (wild && rules->wild_count == WILD_MAX))
        return yd_mistake_say(mistake, YD_ETOOBIG, all, name->offset, name->size, "more than %u rules%s",
                              wild ? WILD_MAX : RULES_MAX, wild ? " whose names have wildcards" : "");
    int error = wild ? yd_pattern_compile(name->text, &made.pattern) : 0;
    if (error == YD_ENOMEM) return error;
    if (error < 0)
        return yd_mistake_say(mistake, YD_EFORMAT, all, name->offset, name->size, "this is not a name pattern");
    if (wild) rules->wild[rules->wild_count++] = at;
    rules->rules[at] = made;
    rules->rule_count = at + 1;
    return 0;
}

static int add_rule(struct yd_limits_rules *rules, struct yd_str all, const struct yd_token *name,
                    const struct yd_limit_clause *clause, struct yd_mistake *mistake)
{
    uint32_t at;
    if (rules->rule_count == rules->rule_room) {
        uint32_t room = YD_MAX(64u, rules->rule_room * 2);
        struct yd_limits_rule *grown = realloc(rules->rules, room * sizeof *grown);
        if (!grown) return YD_ENOMEM;
        rules->rules = grown;
        rules->rule_room = room;
    }
    int error = yd_intern_add(&rules->texts, name->text, &at);
    if (error == 1) error = new_rule(rules, all, name, at, mistake);
    if (error < 0) return error;
    error = yd_limits_define(rules->limits, &rules->rules[at].rule, clause);
    if (error == YD_EEXIST)
        return yd_mistake_say(mistake, error, all, name->offset, name->size, "'%.*s' has limits for this set already",
                              (int)YD_MIN(name->text.size, (size_t)100), name->text.data);
    if (error == YD_EFULL)
        return yd_mistake_say(mistake, YD_ETOOBIG, all, name->offset, name->size, "more than 63 sets");
    return error;
}

/* The name of a rule: up to a space, so that patterns need no quotes; or between backticks. */
static int read_name(struct yd_tokens *tokens, struct yd_token *name, struct yd_mistake *mistake)
{
    struct yd_tokens ahead = *tokens;
    int error = yd_token_next(&ahead, name, NULL);
    if (error == 0 && (name->type == YD_TOKEN_END || name->quoted)) {
        *tokens = ahead;
        return 0;
    }
    size_t end = name->offset;
    while (end < tokens->text.size && !strchr(" \t\r\n", tokens->text.data[end])) end++;
    name->type = YD_TOKEN_NAME;
    name->size = end - name->offset;
    name->text = (struct yd_str){tokens->text.data + name->offset, name->size};
    tokens->at = end;
    if (yd_text_utf8(name->text)) return 0;
    return yd_mistake_say(mistake, YD_EFORMAT, tokens->text, name->offset, name->size, "this is not UTF-8 text");
}

/* Lines of `NAME limits …`, a clause may not be broken. */
static int read_rules(struct yd_limits_rules *rules, struct yd_str text, struct yd_mistake *mistake)
{
    struct yd_str copy = yd_arena_str(&rules->arena, text);
    struct yd_tokens tokens = {.text = copy};
    *mistake = (struct yd_mistake){0};
    if (!copy.data) return YD_ENOMEM;
    for (;;) {
        struct yd_token name;
        struct yd_limit_clause clause;
        struct yd_mistake inner;
        int error = read_name(&tokens, &name, mistake);
        if (error < 0) return error;
        if (name.type == YD_TOKEN_END) return 0;
        const char *end = memchr(copy.data + tokens.at, '\n', copy.size - tokens.at);
        size_t size = end ? (size_t)(end - copy.data) - tokens.at : copy.size - tokens.at;
        error = yd_limit_parse((struct yd_str){copy.data + tokens.at, size}, NULL, &clause, &inner);
        if (error < 0) {
            yd_mistake_move(&inner, copy, tokens.at + inner.offset);
            *mistake = inner;
            return error;
        }
        tokens.at += size;
        error = add_rule(rules, copy, &name, &clause, mistake);
        if (error < 0) return error;
    }
}

static int open_rules(struct yd_limits_rules *rules)
{
    *rules = (struct yd_limits_rules){0};
    yd_arena_init(&rules->arena, NULL);
    yd_intern_init(&rules->texts, NULL, 0);
    rules->wild = calloc(WILD_MAX, sizeof *rules->wild);
    if (!rules->wild) return YD_ENOMEM;
    return yd_limits_create(NULL, &rules->limits);
}

void yd_limits_rules_close(struct yd_limits_rules *rules)
{
    for (uint32_t i = 0; i < rules->rule_count; i++) yd_pattern_destroy(rules->rules[i].pattern);
    free(rules->rules);
    free(rules->wild);
    yd_intern_fini(&rules->texts);
    yd_limits_destroy(rules->limits);
    yd_arena_fini(&rules->arena);
}

static int read_list(struct yd_limits_rules *rules, const struct yd_arg *list, size_t *ret_number,
                     struct yd_mistake *mistake)
{
    int error = 0;
    for (size_t i = 0; i < list->list.count && error == 0; i++) {
        *ret_number = i + 1;
        error = list->list.items[i].type == YD_PARAM_TEXT
                    ? read_rules(rules, list->list.items[i].text, mistake)
                    : yd_mistake_say(mistake, YD_EINVAL, YD_STR(""), 0, 0,
                                     "a rule is a text: \"name yellow 10..90 red 0..100\"");
    }
    return error;
}

int yd_limits_rules_check(const struct yd_args *args, char *why, size_t why_size)
{
    const struct yd_arg *list = yd_args_find(args, "rules"), *set = yd_args_find(args, "set");
    struct yd_limits_rules rules;
    struct yd_mistake mistake = {0};
    char words[500];
    size_t number = 0;
    if ((list != NULL) + (yd_args_find(args, "file") != NULL) + (yd_args_find(args, "definition") != NULL) != 1) {
        (void)snprintf(why, why_size, "give either rules or file or definition");
        return YD_EINVAL;
    }
    if (!list) return 0;
    int error = open_rules(&rules);
    if (error == 0) error = read_list(&rules, list, &number, &mistake);
    bool no_set = error == 0 && set && set->text.size && !yd_limits_use(rules.limits, set->text);
    yd_limits_rules_close(&rules);
    if (no_set) {
        (void)snprintf(why, why_size, "set: no rule has limits of a set '%.*s'", YD_STR_FMT(set->text));
        return YD_EINVAL;
    }
    if (error == 0 || error == YD_ENOMEM) return error;
    yd_mistake_line(&mistake, words, sizeof words);
    (void)snprintf(why, why_size, "rules, number %zu, %s", number, words);
    return YD_EINVAL;
}

struct defining {
    struct yd_limits_rules *rules;
    struct yd_mistake mistake;
};

static int add_defined(void *arg, struct yd_str pattern, const struct yd_limit_clause *clause)
{
    struct defining *defining = arg;
    struct yd_str copy = yd_arena_str(&defining->rules->arena, pattern);
    if (!copy.data) return YD_ENOMEM;
    struct yd_token name = {.type = YD_TOKEN_NAME, .size = copy.size, .text = copy};
    return add_rule(defining->rules, copy, &name, clause, &defining->mistake);
}

/* What a definition of packets limits; it has been checked as a whole. */
static int take_plan(struct yd_limits_rules *rules, const struct yd_plan *plan, char *why)
{
    struct defining defining = {.rules = rules};
    int error = yd_plan_each_limits(plan, add_defined, &defining);
    if (error < 0) {
        const char *words = defining.mistake.error ? defining.mistake.message : yd_error_text(error);
        (void)snprintf(why, YD_DEFINITION_WHY, " %s", words);
        return error;
    }
    if (rules->rule_count) return 0;
    (void)snprintf(
        why, YD_DEFINITION_WHY,
        " it limits nothing: write  limits yellow 10..90 red 0..100  behind a field, or take this Limits out");
    return YD_EINVAL;
}

static int check_set(const struct yd_limits_rules *rules, struct yd_str set, char *why)
{
    if (!set.size || yd_limits_use(rules->limits, set)) return 0;
    (void)snprintf(why, YD_DEFINITION_WHY, " no rule has limits of a set '%.*s': write  limits set %.*s red 0..100",
                   (int)YD_MIN(set.size, (size_t)100), set.data, (int)YD_MIN(set.size, (size_t)100), set.data);
    return YD_EINVAL;
}

static const struct yd_plan_options closely = {.closely = true};

int yd_limits_rules_check_file(const struct yd_args *args, const char *param, struct yd_str text, char *why,
                               size_t why_size)
{
    struct yd_limits_rules rules;
    struct yd_mistake mistake = {0};
    char words[YD_DEFINITION_WHY] = "";
    struct yd_plan *plan;
    int error = open_rules(&rules);
    if (error == 0 && strcmp(param, "definition") == 0) {
        error = yd_definition_read(yd_args_text(args, "definition").data, text, &closely, words, &plan);
        if (error == 0) {
            error = take_plan(&rules, plan, words);
            yd_plan_destroy(plan);
        }
    } else if (error == 0) {
        error = read_rules(&rules, text, &mistake);
        if (error < 0) yd_mistake_line(&mistake, words, sizeof words);
    }
    if (error == 0) error = check_set(&rules, yd_args_text(args, "set"), words);
    if (error < 0) (void)snprintf(why, why_size, "%s", words);
    yd_limits_rules_close(&rules);
    return error;
}

static int read_file(struct yd_element *element, struct yd_limits_rules *rules, const char *path)
{
    char *data, words[500];
    size_t size;
    struct yd_mistake mistake = {0};
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
static int read_definition(struct yd_element *element, struct yd_limits_rules *rules, const char *path,
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

int yd_limits_rules_open(struct yd_limits_rules *rules, struct yd_element *element, const struct yd_str *text)
{
    const struct yd_args *args = yd_element_args(element);
    const struct yd_arg *list = yd_args_find(args, "rules"), *file = yd_args_find(args, "file");
    const struct yd_arg *definition = yd_args_find(args, "definition");
    struct yd_mistake mistake;
    char why[YD_DEFINITION_WHY];
    size_t number;
    int error = open_rules(rules);
    if (error == 0)
        error = definition ? read_definition(element, rules, definition->text.data, text)
                : file     ? read_file(element, rules, file->text.data)
                           : read_list(rules, list, &number, &mistake);
    if (error < 0) return error;
    error = check_set(rules, yd_args_text(args, "set"), why);
    return error < 0 ? yd_element_fail(element, error, "set:%s", why) : 0;
}

/* The first rule that matches: the one of just this name, or a pattern before it. */
static uint32_t rule_of(const struct yd_limits_rules *rules, struct yd_str name)
{
    const char *tags = name.size ? memchr(name.data, ' ', name.size) : NULL;
    struct yd_str metric = {name.data, tags ? (size_t)(tags - name.data) : name.size};
    uint32_t own = yd_intern_find(&rules->texts, metric); /* YD_INTERN_NONE is behind all rules */
    if (own < rules->rule_count && rules->rules[own].pattern) own = YD_INTERN_NONE;
    for (uint32_t i = 0; i < rules->wild_count && rules->wild[i] < own; i++)
        if (yd_pattern_match(rules->rules[rules->wild[i]].pattern, name)) return rules->wild[i];
    return own;
}

bool yd_limits_rules_find(const struct yd_limits_rules *rules, struct yd_str name, uint32_t *ret_rule)
{
    uint32_t i = rule_of(rules, name);
    if (i >= rules->rule_count) return false;
    if (ret_rule) *ret_rule = rules->rules[i].rule;
    return true;
}
