/* Graphite's functions of names: aliases, groups, filters; see graphite_functions.c's table. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <math.h>
#include <pcre2.h>
#include <stdlib.h>

#include "base/hash.h"
#include "elements/graphite_calls.h"

#define MATCH_LIMIT 10000
#define MATCH_WORK  1000 /* values that a match counts as, besides its text */

/* ---- nodes and tags ---- */

/* The path that nodes are counted in: of `scale(a.b,2)` a.b. */
static struct yd_str path_of(struct yd_str name)
{
    struct yd_gnode *node;
    struct yd_arena arena; /* the tree is of no use afterwards; a path's text is a part of the name */
    if (!name.size || name.data[name.size - 1] != ')') return name;
    yd_arena_init(&arena, NULL);
    if (yd_gtarget_parse(name, &arena, &node, NULL) == 0) {
        const struct yd_gnode *path = yd_gtarget_first_path(node);
        if (path) name = path->text;
    }
    yd_arena_fini(&arena);
    return name;
}

static struct yd_str node_at(struct yd_str path, int64_t place, bool *ret_found)
{
    const char *semicolon = path.size ? memchr(path.data, ';', path.size) : NULL;
    int64_t count = 1, at = 0;
    if (semicolon) path.size = (size_t)(semicolon - path.data);
    for (size_t i = 0; i < path.size; i++) count += path.data[i] == '.';
    if (place < 0) place += count;
    *ret_found = place >= 0 && place < count;
    for (size_t from = 0, i = 0; *ret_found; i++) {
        if (i < path.size && path.data[i] != '.') continue;
        if (at++ == place) return (struct yd_str){path.data + from, i - from};
        from = i + 1;
    }
    return YD_STR("");
}

static struct yd_str tag_of(const struct yd_gseries *series, struct yd_str key)
{
    for (uint32_t i = 0; i < series->tag_count; i++)
        if (yd_str_eq(series->tags[i].key, key)) return series->tags[i].value;
    return YD_STR("");
}

static void put_key(const struct yd_gseries *series, const struct yd_gnode *nodes, uint32_t count, struct yd_buf *to)
{
    struct yd_str path = path_of(series->name);
    for (uint32_t i = 0; i < count && nodes && to->size <= YD_GNAME_MAX; i++, nodes = nodes->next) {
        bool found = false;
        struct yd_str text = YD_STR("");
        if (nodes->kind == YD_G_NUMBER && fabs(nodes->number) < 1e6)
            text = node_at(path, (int64_t)nodes->number, &found);
        if (!found) text = tag_of(series, nodes->text);
        if (i) yd_buf_char(to, '.');
        yd_buf_str(to, text);
    }
}

static int set_name(struct yd__gcall *call, struct yd_gseries *series, struct yd_buf *text)
{
    int r = text->failed ? YD_ENOMEM : yd_gpool_name(call->pool, text->size);
    if (r < 0) return r;
    struct yd_str name = yd_arena_str(call->pool->arena, yd_buf_view(text));
    if (!name.data) return YD_ENOMEM;
    series->name = name;
    return 0;
}

static uint32_t behind_first(const struct yd__gcall *call, uint32_t skipped, const struct yd_gnode **ret)
{
    const struct yd_gnode *node = call->node->first;
    for (uint32_t i = 0; i < skipped && node; i++) node = node->next;
    *ret = node;
    return call->node->count > skipped ? call->node->count - skipped : 0;
}

int yd__gf_alias(struct yd__gcall *call)
{
    struct yd_str name;
    int r = yd__garg_text(call, 1, "newName", NULL, &name);
    for (size_t i = 0; i < call->list->count && r == 0; i++) call->list->items[i]->name = name;
    return r;
}

int yd__gf_alias_by_node(struct yd__gcall *call)
{
    const struct yd_gnode *nodes;
    uint32_t count = behind_first(call, 1, &nodes);
    struct yd_buf buf;
    int r = 0;
    if (!count) return yd__garg_refuse(call, "nodes are missing");
    yd_buf_init(&buf, NULL);
    for (size_t i = 0; i < call->list->count && r == 0; i++) {
        yd_buf_clear(&buf);
        put_key(call->list->items[i], nodes, count, &buf);
        r = set_name(call, call->list->items[i], &buf);
    }
    yd_buf_fini(&buf);
    return r;
}

/* ---- groups ---- */

static int group(struct yd__gcall *call, const struct yd_gnode *nodes, uint32_t count, enum yd_gfold fold)
{
    struct yd_intern keys;
    struct yd_glist *groups = NULL, *list = call->list;
    struct yd_buf buf;
    char name[32];
    int r = 0;
    if (!count) return yd__garg_refuse(call, "nodes are missing");
    yd_intern_init(&keys, NULL, 0);
    yd_buf_init(&buf, NULL);
    if (list->count) groups = yd_arena_zero(call->pool->arena, list->count * sizeof *groups);
    if (list->count && !groups) r = YD_ENOMEM;
    for (size_t i = 0; i < list->count && r >= 0; i++) {
        uint32_t id;
        yd_buf_clear(&buf);
        put_key(list->items[i], nodes, count, &buf);
        r = buf.failed ? YD_ENOMEM : yd_gpool_name(call->pool, buf.size);
        if (r == 0) r = yd_intern_add(&keys, yd_buf_view(&buf), &id);
        if (r >= 0) r = yd_glist_add(call->pool, &groups[id], list->items[i]);
    }
    list->count = 0;
    yd__gcombined(fold, false, name);
    for (uint32_t i = 0; i < keys.count && r >= 0; i++) {
        struct yd_gseries *made;
        r = yd__gcombine(call, &groups[i], fold, name, &made);
        if (r < 0) break;
        made->name = yd_arena_str(call->pool->arena, keys.strings[i]);
        r = made->name.data ? yd_glist_add(call->pool, list, made) : YD_ENOMEM;
    }
    yd_buf_fini(&buf);
    yd_intern_fini(&keys);
    return r < 0 ? r : 0;
}

int yd__gf_group_by_node(struct yd__gcall *call)
{
    enum yd_gfold fold;
    const struct yd_gnode *node = yd_gtarget_argument(call->node, 1, "nodeNum");
    int r = yd__garg_fold(call, 2, "callback", "average", &fold);
    if (r < 0) return r;
    return group(call, node, node ? 1 : 0, fold);
}

int yd__gf_group_by_nodes(struct yd__gcall *call)
{
    enum yd_gfold fold;
    const struct yd_gnode *nodes;
    uint32_t count = behind_first(call, 2, &nodes);
    int r = yd__garg_fold(call, 1, "callback", NULL, &fold);
    return r < 0 ? r : group(call, nodes, count, fold);
}

/* As a tagged series: what is in `name` or the function, then the tags. */
int yd__gf_group_by_tags(struct yd__gcall *call)
{
    enum yd_gfold fold;
    const struct yd_gnode *tags;
    uint32_t count = behind_first(call, 2, &tags);
    int r = yd__garg_fold(call, 1, "callback", NULL, &fold);
    if (r == 0) r = group(call, tags, count, fold);
    for (size_t i = 0; i < call->list->count && r == 0; i++) {
        struct yd_gseries *series = call->list->items[i];
        struct yd_buf buf;
        yd_buf_init(&buf, NULL);
        yd_buf_str(&buf, tag_of(series, YD_STR("name")));
        const struct yd_gnode *tag = tags;
        for (uint32_t k = 0; k < count && tag; k++, tag = tag->next) {
            if (yd_str_eq(tag->text, YD_STR("name"))) continue;
            yd_buf_printf(&buf, ";%.*s=%.*s", YD_STR_FMT(tag->text), YD_STR_FMT(tag_of(series, tag->text)));
        }
        r = set_name(call, series, &buf);
        yd_buf_fini(&buf);
    }
    return r;
}

/* ---- regular expressions ---- */

struct expression {
    pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *context;
};

static void expression_fini(struct expression *expression)
{
    pcre2_code_free(expression->code);
    pcre2_match_data_free(expression->data);
    pcre2_match_context_free(expression->context);
}

static int compile(struct yd__gcall *call, const char *key, struct expression *ret)
{
    struct yd_str text;
    int code = 0;
    PCRE2_SIZE at = 0;
    *ret = (struct expression){0};
    int r = yd__garg_text(call, 1, key, NULL, &text);
    if (r < 0) return r;
    if (text.size > 4096) return yd__garg_refuse(call, "a regular expression of more than 4096 bytes");
    ret->code = pcre2_compile((PCRE2_SPTR)text.data, text.size, PCRE2_UTF, &code, &at, NULL);
    if (!ret->code) {
        PCRE2_UCHAR why[128] = "";
        (void)pcre2_get_error_message(code, why, sizeof why); /* cut when long */
        return yd_trail_add(call->eval->trail, YD_EINVAL, "%s: regular expression '%.*s', at %zu: %s",
                            call->function->name, YD_STR_FMT(text), (size_t)at, (const char *)why);
    }
    ret->data = pcre2_match_data_create_from_pattern(ret->code, NULL);
    ret->context = pcre2_match_context_create(NULL);
    if (!ret->data || !ret->context) return YD_ENOMEM;
    pcre2_set_match_limit(ret->context, MATCH_LIMIT);
    pcre2_set_depth_limit(ret->context, 1000);
    return 0;
}

/* 1: found from `at` on; 0: not; negative: it works too hard. */
static int match(struct yd__gcall *call, const struct expression *expression, struct yd_str text, size_t at,
                 uint32_t options)
{
    int r =
        text.size > YD_GNAME_MAX ? yd_gpool_name(call->pool, text.size) : yd__gwork(call->eval, text.size + MATCH_WORK);
    if (r < 0) return r;
    r = pcre2_match(expression->code, (PCRE2_SPTR)text.data, text.size, at, options, expression->data,
                    expression->context);
    if (r >= 0) return 1;
    if (r == PCRE2_ERROR_NOMATCH || (r <= PCRE2_ERROR_UTF8_ERR1 && r >= PCRE2_ERROR_UTF8_ERR21)) return 0;
    if (r == PCRE2_ERROR_NOMEMORY) return YD_ENOMEM;
    return yd_trail_add(call->eval->trail, YD_ETOOBIG, "%s: the regular expression needs too many steps: simplify it",
                        call->function->name);
}

/* \1 and \g<1> are groups, \\ is a backslash. */
static void put_replacement(const struct expression *expression, struct yd_str text, struct yd_str replacement,
                            struct yd_buf *to)
{
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(expression->data);
    uint32_t groups = pcre2_get_ovector_count(expression->data);
    for (size_t i = 0; i < replacement.size; i++) {
        const char *p = replacement.data + i;
        size_t left = replacement.size - i, digits = 0;
        uint32_t group = 0;
        bool named = left > 3 && memcmp(p, "\\g<", 3) == 0;
        size_t from = named ? 3 : 1;
        if (*p != '\\' || left < 2) {
            yd_buf_char(to, *p);
            continue;
        }
        while (digits < 2 && from + digits < left && p[from + digits] >= '0' && p[from + digits] <= '9')
            group = group * 10 + (uint32_t)(p[from + digits++] - '0');
        bool closed = !named || (from + digits < left && p[from + digits] == '>');
        if (!digits || !closed) {
            if (p[1] != '\\') yd_buf_char(to, '\\');
            yd_buf_char(to, p[1]);
            i++;
            continue;
        }
        if (group < groups && at[2 * group] != PCRE2_UNSET && at[2 * group] <= at[2 * group + 1])
            yd_buf_add(to, text.data + at[2 * group], at[2 * group + 1] - at[2 * group]);
        i += from + digits + named - 1;
    }
}

static int substitute(struct yd__gcall *call, const struct expression *expression, struct yd_str text,
                      struct yd_str replacement, struct yd_buf *to)
{
    size_t at = 0, done = 0;
    uint32_t options = 0;
    for (;;) {
        int r = at <= text.size ? match(call, expression, text, at, options) : 0;
        if (r < 0) return r;
        if (!r && !options) break;
        if (!r) { /* nothing but the empty match here: on by one character */
            options = 0;
            for (at++; at < text.size && ((unsigned char)text.data[at] & 0xc0) == 0x80;) at++;
            continue;
        }
        const PCRE2_SIZE *found = pcre2_get_ovector_pointer(expression->data);
        size_t from = found[0], end = found[1];
        if (end < from || from < done) break; /* \K can do that: no further */
        yd_buf_add(to, text.data + done, from - done);
        put_replacement(expression, text, replacement, to);
        if (to->size > YD_GNAME_MAX) return yd__garg_refuse(call, "the replacement makes names too long");
        done = at = end;
        options = from == end ? PCRE2_NOTEMPTY_ATSTART | PCRE2_ANCHORED : 0;
    }
    yd_buf_add(to, text.data + done, text.size - done);
    return 0;
}

int yd__gf_alias_sub(struct yd__gcall *call)
{
    struct expression expression;
    struct yd_str replacement;
    struct yd_buf buf;
    int r = compile(call, "search", &expression);
    yd_buf_init(&buf, NULL);
    if (r == 0) r = yd__garg_text(call, 2, "replace", NULL, &replacement);
    for (size_t i = 0; i < call->list->count && r == 0; i++) {
        yd_buf_clear(&buf);
        r = substitute(call, &expression, call->list->items[i]->name, replacement, &buf);
        if (r == 0) r = set_name(call, call->list->items[i], &buf);
    }
    yd_buf_fini(&buf);
    expression_fini(&expression);
    return r;
}

static int keep_those(struct yd__gcall *call, bool matching)
{
    struct expression expression;
    size_t kept = 0;
    int r = compile(call, "pattern", &expression);
    for (size_t i = 0; i < call->list->count && r >= 0; i++) {
        r = match(call, &expression, call->list->items[i]->name, 0, 0);
        if (r >= 0 && (r == 1) == matching) call->list->items[kept++] = call->list->items[i];
    }
    call->list->count = r < 0 ? call->list->count : kept;
    expression_fini(&expression);
    return r < 0 ? r : 0;
}

int yd__gf_grep(struct yd__gcall *call)
{
    return keep_those(call, true);
}

int yd__gf_exclude(struct yd__gcall *call)
{
    return keep_those(call, false);
}

static int by_name(const void *a, const void *b)
{
    const struct yd_gseries *x = *(struct yd_gseries *const *)a, *y = *(struct yd_gseries *const *)b;
    return yd_str_cmp(x->name, y->name);
}

int yd__gf_sort_by_name(struct yd__gcall *call)
{
    if (call->list->count) qsort(call->list->items, call->list->count, sizeof *call->list->items, by_name);
    return 0;
}
