/* /tags, /tags/NAME, /tags/autoComplete/tags, /tags/autoComplete/values, /tags/findSeries: see graphite_web.h.
 *
 * The tag `name` is the metric. Lists are asked part by part, kept once, counted, sorted and cut at the limit.
 *
 *   /tags                      [{"tag":…}, …]              filter=REGEXP is taken as a prefix of letters only: `^dc`
 *   /tags/NAME                 {"tag":…,"values":[{"value":…,"count":…}, …]}
 *   /tags/autoComplete/tags    ["dc", …]   tagPrefix=, expr=…, limit=100; tags that an expression names are left out
 *   /tags/autoComplete/values  ["eu", …]   tag=, valuePrefix=, expr=…, limit=100
 *   /tags/findSeries           ["name;dc=eu", …]   expr=…, limit= */
#include <stdlib.h>

#include "base/hash.h"
#include "elements/graphite_parts.h"

#define FOUND_MAX       100000
#define LIMIT_MAX       10000
#define EXPRESSIONS_MAX 64

enum what { KEYS, VALUES, SERIES };

struct tags {
    enum what what;
    struct yd_filter *filters;
    size_t filter_count;
    struct yd_str key, prefix;
    bool of_metric;
    uint64_t limit;
    uint32_t from;
    struct yd_intern words;
    uint64_t *counts; /* by word; FOUND_MAX of them are room enough */
    uint32_t last;    /* the word that the next number belongs to */
    struct word {
        struct yd_str text;
        uint64_t count;
    } * sorted;
    size_t sorted_count;
};

static int ask(struct yd_gweb *web, struct yd_ask *ret_ask)
{
    struct tags *tags = web->own;
    *ret_ask = (struct yd_ask){.op = tags->what == SERIES ? YD_ASK_FIND : YD_ASK_TAGS,
                               .key = tags->key,
                               .text = tags->prefix,
                               .of_metric = tags->of_metric,
                               .from = tags->from,
                               .series = {.filters = tags->filters, .filter_count = tags->filter_count}};
    return 1;
}

static int begin(struct yd_gweb *web, enum what what, struct yd_ask *ret_ask, struct yd_trail *trail)
{
    struct tags *tags = web->own;
    struct yd_str *expressions;
    size_t count;
    bool any = false;
    tags->what = what;
    yd_intern_init(&tags->words, NULL, FOUND_MAX);
    tags->counts = yd_arena_zero(web->arena, FOUND_MAX * sizeof *tags->counts);
    int r = yd_graphite_fields(&web->form, "expr", "expr[]", web->arena, &expressions, &count);
    if (r < 0 || !tags->counts) return YD_ENOMEM;
    if (count > EXPRESSIONS_MAX)
        return yd_trail_add(trail, YD_ETOOBIG, "%zu expressions: at most %d", count, EXPRESSIONS_MAX);
    tags->filters = yd_arena_zero(web->arena, (count + 1) * sizeof *tags->filters);
    if (!tags->filters) return YD_ENOMEM;
    for (size_t i = 0; i < count && r == 0; i++) {
        bool needs = false;
        r = yd_graphite_tag_expression(expressions[i], web->arena, &tags->filters[tags->filter_count++], &needs, trail);
        any |= needs;
    }
    if (r < 0) return r;
    if ((what == SERIES || count) && !any)
        return yd_trail_add(trail, YD_EINVAL, "At least one tagspec must require a non-empty value, like name=~cpu");
    return ask(web, ret_ask);
}

/* ---- starting ---- */

static int start_tags(struct yd_gweb *web, struct yd_ask *ret_ask, struct yd_trail *trail)
{
    struct tags *tags = web->own;
    struct yd_str filter = yd_graphite_field(&web->form, "filter");
    if (filter.size && *filter.data == '^') filter.data++, filter.size--;
    tags->prefix = filter;
    tags->limit = yd__gweb_number(web, "limit", LIMIT_MAX, LIMIT_MAX);
    return begin(web, KEYS, ret_ask, trail);
}

static void of_tag(struct tags *tags, struct yd_str name)
{
    tags->of_metric = yd_str_eq(name, YD_STR("name"));
    tags->key = name;
}

static int start_tag(struct yd_gweb *web, struct yd_ask *ret_ask, struct yd_trail *trail)
{
    struct tags *tags = web->own;
    struct yd_str filter = yd_graphite_field(&web->form, "filter");
    if (filter.size && *filter.data == '^') filter.data++, filter.size--;
    of_tag(tags, web->name);
    tags->prefix = filter;
    tags->limit = yd__gweb_number(web, "limit", LIMIT_MAX, LIMIT_MAX);
    return begin(web, VALUES, ret_ask, trail);
}

static int start_complete_tags(struct yd_gweb *web, struct yd_ask *ret_ask, struct yd_trail *trail)
{
    struct tags *tags = web->own;
    tags->prefix = yd_graphite_field(&web->form, "tagPrefix");
    tags->limit = yd__gweb_number(web, "limit", 100, LIMIT_MAX);
    return begin(web, KEYS, ret_ask, trail);
}

static int start_complete_values(struct yd_gweb *web, struct yd_ask *ret_ask, struct yd_trail *trail)
{
    struct tags *tags = web->own;
    struct yd_str tag = yd_graphite_field(&web->form, "tag");
    yd_intern_init(&tags->words, NULL, FOUND_MAX);
    if (!tag.size) return yd_trail_add(trail, YD_EINVAL, "Missing required parameter 'tag'");
    of_tag(tags, tag);
    tags->prefix = yd_graphite_field(&web->form, "valuePrefix");
    tags->limit = yd__gweb_number(web, "limit", 100, LIMIT_MAX);
    return begin(web, VALUES, ret_ask, trail);
}

static int start_find_series(struct yd_gweb *web, struct yd_ask *ret_ask, struct yd_trail *trail)
{
    struct tags *tags = web->own;
    tags->limit = yd__gweb_number(web, "limit", FOUND_MAX, FOUND_MAX);
    return begin(web, SERIES, ret_ask, trail);
}

/* ---- replies ---- */

static int add_word(struct tags *tags, struct yd_str text, uint64_t count)
{
    int r = yd_intern_add(&tags->words, text, &tags->last);
    if (r >= 0) tags->counts[tags->last] += count;
    return r;
}

static int add_name(struct tags *tags, struct yd_str name)
{
    struct yd_buf buf;
    yd_buf_init(&buf, NULL);
    yd_graphite_put_name(&buf, name);
    int r = buf.failed ? YD_ENOMEM : add_word(tags, yd_buf_view(&buf), 1);
    yd_buf_fini(&buf);
    return r;
}

static int add(struct yd_gweb *web, const struct yd_batch *batch, struct yd_trail *trail)
{
    struct tags *tags = web->own;
    const struct yd_view *view = &batch->view;
    for (uint32_t i = 0; i < view->count; i++) {
        const struct yd_record *record = &view->records[i];
        int r = 0;
        if (yd__gweb_next_of(view, record, &tags->from)) continue;
        if (record->type == YD_TEXT)
            r = add_word(tags, yd_view_bytes(view, record->value), 0);
        else if (record->type == YD_NIL)
            r = add_name(tags, yd_view_name(view, record->name));
        else if (record->type == YD_I64 && tags->words.count)
            tags->counts[tags->last] += record->value.u64;
        if (r == YD_EFULL)
            return yd_trail_add(trail, YD_ETOOBIG, "more than %d match: give a longer prefix, or more expressions",
                                FOUND_MAX);
        if (r < 0) return r;
    }
    return 0;
}

static int by_text(const void *a, const void *b)
{
    return yd_str_cmp(((const struct word *)a)->text, ((const struct word *)b)->text);
}

static bool is_named(const struct tags *tags, struct yd_str key)
{
    for (size_t i = 0; i < tags->filter_count; i++)
        if (tags->filters[i].of_metric ? yd_str_eq(key, YD_STR("name")) : yd_str_eq(key, tags->filters[i].key))
            return true;
    return false;
}

static int next(struct yd_gweb *web, struct yd_ask *ret_ask, struct yd_trail *trail)
{
    struct tags *tags = web->own;
    uint32_t id;
    (void)trail;
    if (tags->from && !(tags->what == SERIES && tags->words.count >= tags->limit)) return ask(web, ret_ask);
    if (tags->what == KEYS && yd_str_starts(YD_STR("name"), tags->prefix) &&
        yd_intern_add(&tags->words, YD_STR("name"), &id) < 0)
        return YD_ENOMEM;
    tags->sorted = yd_arena_get(web->arena, (tags->words.count + 1) * sizeof *tags->sorted);
    if (!tags->sorted) return YD_ENOMEM;
    for (uint32_t i = 0; i < tags->words.count; i++) {
        if (tags->what == KEYS && is_named(tags, tags->words.strings[i])) continue;
        tags->sorted[tags->sorted_count++] = (struct word){tags->words.strings[i], tags->counts[i]};
    }
    qsort(tags->sorted, tags->sorted_count, sizeof *tags->sorted, by_text);
    tags->sorted_count = YD_MIN(tags->sorted_count, tags->limit);
    return 0;
}

/* ---- answers ---- */

static bool write_list(struct yd_gweb *web, struct yd_buf *to, size_t size)
{
    struct tags *tags = web->own;
    struct yd_json json;
    (void)size;
    yd_json_init(&json, to, false);
    yd_json_array(&json);
    for (size_t i = 0; i < tags->sorted_count; i++) yd_json_str(&json, tags->sorted[i].text);
    yd_json_array_end(&json);
    return false;
}

static bool write_tags(struct yd_gweb *web, struct yd_buf *to, size_t size)
{
    struct tags *tags = web->own;
    struct yd_json json;
    (void)size;
    yd_json_init(&json, to, false);
    yd_json_array(&json);
    for (size_t i = 0; i < tags->sorted_count; i++) {
        yd_json_object(&json);
        yd_json_key(&json, "tag");
        yd_json_str(&json, tags->sorted[i].text);
        yd_json_object_end(&json);
    }
    yd_json_array_end(&json);
    return false;
}

static bool write_tag(struct yd_gweb *web, struct yd_buf *to, size_t size)
{
    struct tags *tags = web->own;
    struct yd_json json;
    (void)size;
    yd_json_init(&json, to, false);
    yd_json_object(&json);
    yd_json_key(&json, "tag");
    yd_json_str(&json, web->name);
    yd_json_key(&json, "values");
    yd_json_array(&json);
    for (size_t i = 0; i < tags->sorted_count; i++) {
        yd_json_object(&json);
        yd_json_key(&json, "count");
        yd_json_u64(&json, tags->sorted[i].count);
        yd_json_key(&json, "value");
        yd_json_str(&json, tags->sorted[i].text);
        yd_json_object_end(&json);
    }
    yd_json_array_end(&json);
    yd_json_object_end(&json);
    return false;
}

static void free_tags(struct yd_gweb *web)
{
    yd_intern_fini(&((struct tags *)web->own)->words);
}

#define OPS(name, path_, start_, write_)                                                                               \
    const struct yd__gweb_ops name = {.path = path_,                                                                   \
                                      .size = sizeof(struct tags),                                                     \
                                      .start = start_,                                                                 \
                                      .add = add,                                                                      \
                                      .next = next,                                                                    \
                                      .write = write_,                                                                 \
                                      .free = free_tags}
OPS(yd__gweb_tags, "tags", start_tags, write_tags);
OPS(yd__gweb_tag, "tags/", start_tag, write_tag);
OPS(yd__gweb_complete_tags, "tags/autoComplete/tags", start_complete_tags, write_list);
OPS(yd__gweb_complete_values, "tags/autoComplete/values", start_complete_values, write_list);
OPS(yd__gweb_find_series, "tags/findSeries", start_find_series, write_list);
