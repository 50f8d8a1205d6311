/* Rules over names: see rename.h. */
#include "elements/rename.h"

#include <stdio.h>
#include <string.h>

#include "base/base.h"

static const struct yd_arg *key_of(const struct yd_arg *map, const char *key)
{
    for (size_t i = 0; i < map->list.count; i++)
        if (strcmp(map->list.items[i].name, key) == 0) return &map->list.items[i];
    return NULL;
}

static bool flag_of(const struct yd_arg *map, const char *key, const char **wrong)
{
    const struct yd_arg *flag = key_of(map, key);
    if (flag && flag->type != YD_PARAM_BOOL) *wrong = "drop and stop are true or false";
    return flag && flag->type == YD_PARAM_BOOL && flag->boolean;
}

static int compile(struct yd_template *template, const struct yd_arg *text, const char **wrong)
{
    if (text->type != YD_PARAM_TEXT) {
        *wrong = "name and tags are texts in quotes";
        return YD_EINVAL;
    }
    int error = yd_template_compile(template, text->text, wrong);
    if (error == 0 && template->per_record) {
        *wrong = "a rule over names knows {metric}, {name} and {tag.KEY} alone";
        return YD_EINVAL;
    }
    return error;
}

static int open_rule(struct yd_rename_rule *rule, const struct yd_arg *map, const char **wrong)
{
    static const char *const keys[] = {"match", "name", "tags", "drop", "stop"};
    if (map->type != YD_PARAM_MAP) {
        *wrong = "a map: { match: \"old.*\", name: \"new.{metric}\" }";
        return YD_EINVAL;
    }
    for (size_t i = 0; i < map->list.count; i++) {
        bool known = false;
        for (size_t k = 0; k < YD_COUNT(keys); k++) known |= strcmp(map->list.items[i].name, keys[k]) == 0;
        if (!known) *wrong = "a rule has match, name, tags, drop and stop";
    }
    const struct yd_arg *match = key_of(map, "match"), *name = key_of(map, "name"), *tags = key_of(map, "tags");
    if (!match || match->type != YD_PARAM_TEXT || yd_pattern_compile(match->text, &rule->pattern) < 0)
        *wrong = "match: a name pattern in quotes";
    if (tags && (tags->type != YD_PARAM_MAP || tags->list.count > YD_RENAME_TAGS_MAX))
        *wrong = "tags: a map of at most 16";
    rule->drops = flag_of(map, "drop", wrong);
    rule->stops = flag_of(map, "stop", wrong);
    rule->renames = name || tags;
    if (!rule->renames && !rule->drops && !rule->stops) *wrong = "a rule that does nothing";
    if (*wrong) return YD_EINVAL;
    static const struct yd_arg same = {.type = YD_PARAM_TEXT, .text = {"{metric}", 8}};
    int error = compile(&rule->name, name ? name : &same, wrong);
    for (size_t i = 0; tags && i < tags->list.count && error == 0; i++) {
        rule->tags[i].key = yd_str_of(tags->list.items[i].name);
        rule->tag_count++;
        error = compile(&rule->tags[i].value, &tags->list.items[i], wrong);
    }
    return error;
}

int yd_rename_open(struct yd_rename *rename, const struct yd_args *args, char *why, size_t why_size)
{
    const struct yd_arg *rules = yd_args_find(args, "rules");
    *rename = (struct yd_rename){0};
    yd_buf_init(&rename->text, NULL);
    size_t count = rules ? rules->list.count : 0;
    if (count > YD_RENAME_RULES_MAX) {
        snprintf(why, why_size, "rules: at most %d", YD_RENAME_RULES_MAX);
        return YD_EINVAL;
    }
    rename->rules = yd_alloc_zero(NULL, (count + 1) * sizeof *rename->rules);
    if (!rename->rules) return YD_ENOMEM;
    for (size_t i = 0; i < count; i++) {
        const char *wrong = NULL;
        rename->count++;
        int error = open_rule(&rename->rules[i], &rules->list.items[i], &wrong);
        if (error == 0) continue;
        snprintf(why, why_size, "rules, number %zu: %s", i + 1, wrong ? wrong : yd_error_text(error));
        return error == YD_ENOMEM ? error : YD_EINVAL;
    }
    return 0;
}

void yd_rename_close(struct yd_rename *rename)
{
    for (unsigned i = 0; i < rename->count; i++) {
        yd_pattern_destroy(rename->rules[i].pattern);
        yd_template_fini(&rename->rules[i].name);
        for (unsigned t = 0; t < rename->rules[i].tag_count; t++) yd_template_fini(&rename->rules[i].tags[t].value);
    }
    yd_alloc_put(NULL, rename->rules, (rename->count + 1) * sizeof *rename->rules);
    yd_buf_fini(&rename->text);
    *rename = (struct yd_rename){0};
}

/* The rule's metric, the name's own tags, those of the rule on top (an empty value removes), canonical. */
static int apply_rule(struct yd_rename *rename, const struct yd_rename_rule *rule, struct yd_str name, char *to,
                      size_t *ret_size)
{
    struct yd_name parts;
    if (yd_name_parse(name, &parts, NULL) < 0) return YD_EFORMAT;
    /* Templates are filled from records: this one has a name and nothing else. */
    const struct yd_name_entry entry = {.size = (uint32_t)name.size};
    const struct yd_record record = {.kind = YD_SAMPLE};
    const struct yd_view view = {&record, &entry, name.data, 1, 1, (uint32_t)name.size};
    struct yd_buf *text = &rename->text;
    char separator = ' ';
    yd_buf_clear(text);
    yd_template_fill(&rule->name, &view, 0, &parts, true, text);
    for (uint32_t i = 0; i < parts.tag_count; i++) {
        bool replaced = false;
        for (unsigned t = 0; t < rule->tag_count; t++) replaced |= yd_str_eq(rule->tags[t].key, parts.tags[i].key);
        if (replaced) continue;
        yd_buf_char(text, separator);
        yd_buf_str(text, parts.tags[i].key);
        yd_buf_char(text, '=');
        yd_buf_str(text, parts.tags[i].value);
        separator = ',';
    }
    for (unsigned t = 0; t < rule->tag_count; t++) {
        size_t before = text->size;
        yd_buf_char(text, separator);
        yd_buf_str(text, rule->tags[t].key);
        yd_buf_char(text, '=');
        size_t empty = text->size;
        yd_template_fill(&rule->tags[t].value, &view, 0, &parts, true, text);
        if (text->size == empty)
            text->size = before;
        else
            separator = ',';
    }
    if (text->failed) return YD_ENOMEM;
    return yd_name_canonical(yd_buf_view(text), to, ret_size) < 0 ? YD_EFORMAT : 0;
}

int yd_rename_apply(struct yd_rename *rename, struct yd_str name, char *to, size_t *ret_size)
{
    char next[YD_NAME_SIZE_MAX + 1];
    enum yd_renamed renamed = YD_RENAMED_NOT;
    struct yd_str now = name;
    for (unsigned i = 0; i < rename->count; i++) {
        const struct yd_rename_rule *rule = &rename->rules[i];
        if (!yd_pattern_match(rule->pattern, now)) continue;
        if (rule->drops) return YD_RENAMED_AWAY;
        if (rule->renames) {
            size_t size;
            int error = apply_rule(rename, rule, now, next, &size);
            if (error < 0) return error;
            memcpy(to, next, size);
            now = (struct yd_str){to, size};
            renamed = YD_RENAMED;
        }
        if (rule->stops) break;
    }
    *ret_size = now.size;
    return renamed == YD_RENAMED && yd_str_eq(now, name) ? YD_RENAMED_NOT : (int)renamed;
}

int yd_routes_open(struct yd_routes *routes, const struct yd_args *args, char *why, size_t why_size)
{
    const struct yd_arg *list = yd_args_find(args, "routes");
    *routes = (struct yd_routes){.all = yd_args_bool(args, "all")};
    if (list && list->list.count > YD_ROUTES_MAX) {
        snprintf(why, why_size, "routes: at most %d", YD_ROUTES_MAX);
        return YD_EINVAL;
    }
    for (size_t i = 0; list && i < list->list.count; i++) {
        const struct yd_arg *item = &list->list.items[i];
        int error = item->type == YD_PARAM_TEXT ? yd_pattern_compile(item->text, &routes->patterns[i]) : YD_EINVAL;
        if (error == YD_ENOMEM) return error;
        if (error < 0) {
            snprintf(why, why_size, "routes, number %zu: not a name pattern in quotes", i + 1);
            return YD_EINVAL;
        }
        routes->count++;
    }
    return 0;
}

void yd_routes_close(struct yd_routes *routes)
{
    for (unsigned i = 0; i < routes->count; i++) yd_pattern_destroy(routes->patterns[i]);
    routes->count = 0;
}

uint32_t yd_routes_of(const struct yd_routes *routes, struct yd_str name)
{
    uint32_t found = 0;
    for (unsigned i = 0; i < routes->count && (routes->all || !found); i++)
        if (yd_pattern_match(routes->patterns[i], name)) found |= 1u << i;
    return found;
}
