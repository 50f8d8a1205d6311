/* /metrics/find and /metrics/expand: the tree of dotted names; see graphite_web.h.
 *
 * A query is asked part by part until the History says that was all; what is found is kept once, sorted at the end.
 * More than FOUND_MAX are refused: nobody can read them, and the query can be narrowed. */
#include <stdlib.h>

#include "base/hash.h"
#include "elements/graphite_parts.h"

#define FOUND_MAX   100000
#define QUERIES_MAX 64

struct node {
    struct yd_str path;
    bool leaf;
};

struct find {
    struct yd_str *queries;
    size_t query_count, query;
    uint32_t from;
    struct yd_intern words; /* `B` or `L` and the path */
    struct node *nodes;     /* sorted; those of query i from starts[i] on */
    size_t starts[QUERIES_MAX + 1];
    size_t node_count, node_room;
    uint32_t first_word; /* of this query */
    bool completer, wildcards, leaves_only, by_query;
    struct yd_str base; /* treejson: what stands before the query's last node */
};

static int start(struct yd_gweb *web, struct yd_ask *ret_ask)
{
    struct find *find = web->own;
    *ret_ask = (struct yd_ask){.op = YD_ASK_NODES, .text = find->queries[find->query], .from = find->from};
    return 1;
}

/* As graphite-web does: `a.b` stands for `a.b*`, and `a..b` for `a*.b*`. */
static int complete(struct yd_gweb *web, struct yd_str *query)
{
    char *to = yd_arena_get(web->arena, query->size * 2 + 1);
    size_t size = 0;
    if (!to) return YD_ENOMEM;
    for (size_t i = 0; i < query->size; i++) {
        bool doubled = query->data[i] == '.' && i + 1 < query->size && query->data[i + 1] == '.';
        to[size++] = doubled ? '*' : query->data[i];
        if (doubled) to[size++] = query->data[i++];
    }
    if (!size || to[size - 1] != '*') to[size++] = '*';
    *query = (struct yd_str){to, size};
    return 0;
}

static int start_find(struct yd_gweb *web, struct yd_ask *ret_ask, struct yd_trail *trail)
{
    struct find *find = web->own;
    struct yd_str format = yd_graphite_field(&web->form, "format");
    find->queries = yd_arena_zero(web->arena, sizeof *find->queries);
    if (!find->queries) return YD_ENOMEM;
    find->queries[0] = yd_graphite_field(&web->form, "query");
    find->query_count = 1;
    find->completer = yd_str_eq(format, YD_STR("completer"));
    find->wildcards = yd__gweb_flag(web, "wildcards", false);
    yd_intern_init(&find->words, NULL, FOUND_MAX);
    if (!find->queries[0].size && !find->completer)
        return yd_trail_add(trail, YD_EINVAL, "Missing required parameter 'query'");
    if (format.size && !find->completer && !yd_str_eq(format, YD_STR("treejson")))
        return yd_trail_add(trail, YD_EINVAL, "Invalid value for parameter 'format': treejson and completer are there");
    if (find->completer) {
        int r = complete(web, &find->queries[0]);
        if (r < 0) return r;
    }
    const struct yd_str query = find->queries[0];
    const char *dot = memrchr(query.data, '.', query.size);
    find->base = (struct yd_str){query.data, dot ? (size_t)(dot + 1 - query.data) : 0};
    return start(web, ret_ask);
}

static int start_expand(struct yd_gweb *web, struct yd_ask *ret_ask, struct yd_trail *trail)
{
    struct find *find = web->own;
    yd_intern_init(&find->words, NULL, FOUND_MAX);
    find->by_query = yd__gweb_flag(web, "groupByExpr", false);
    find->leaves_only = yd__gweb_flag(web, "leavesOnly", false);
    int r = yd_graphite_fields(&web->form, "query", "query[]", web->arena, &find->queries, &find->query_count);
    if (r < 0) return r;
    if (!find->query_count) return yd_trail_add(trail, YD_EINVAL, "Missing required parameter 'query'");
    if (find->query_count > QUERIES_MAX)
        return yd_trail_add(trail, YD_ETOOBIG, "%zu queries: at most %d in one request", find->query_count,
                            QUERIES_MAX);
    return start(web, ret_ask);
}

static int add_node(struct find *find, struct yd_str path, bool leaf)
{
    char text[2 * YD_NAME_SIZE_MAX];
    uint32_t id;
    if (find->leaves_only && !leaf) return 0;
    if (path.size >= sizeof text) return 0;
    text[0] = leaf ? 'L' : 'B';
    memcpy(text + 1, path.data, path.size);
    return yd_intern_add(&find->words, (struct yd_str){text, path.size + 1}, &id);
}

static int add(struct yd_gweb *web, const struct yd_batch *batch, struct yd_trail *trail)
{
    struct find *find = web->own;
    const struct yd_view *view = &batch->view;
    for (uint32_t i = 0; i < view->count; i++) {
        const struct yd_record *record = &view->records[i];
        if (yd__gweb_next_of(view, record, &find->from) || record->type != YD_TEXT) continue;
        bool leaf = yd_str_eq(yd_view_name(view, record->name), YD_STR("leaf"));
        int r = add_node(find, yd_view_bytes(view, record->value), leaf);
        if (r == YD_EFULL)
            return yd_trail_add(
                trail, YD_ETOOBIG, "more than %d nodes match '%.*s': put more of the path before the wildcards",
                FOUND_MAX, (int)YD_MIN(find->queries[find->query].size, (size_t)200), find->queries[find->query].data);
        if (r < 0) return r;
    }
    return 0;
}

static int by_path(const void *a, const void *b)
{
    const struct node *x = a, *y = b;
    int order = yd_str_cmp(x->path, y->path);
    return order ? order : x->leaf - y->leaf;
}

/* What was found for a query, sorted, behind that of the ones before. */
static int settle(struct yd_gweb *web, struct yd_trail *trail)
{
    struct find *find = web->own;
    size_t count = find->words.count;
    if (find->node_count + count > FOUND_MAX)
        return yd_trail_add(trail, YD_ETOOBIG, "more than %d nodes match all queries together: ask for fewer",
                            FOUND_MAX);
    struct node *nodes = find->nodes;
    if (!nodes || find->node_count + count > find->node_room) {
        size_t room = YD_MAX(find->node_count + count + 1, 2 * find->node_room);
        nodes = yd_arena_get(web->arena, room * sizeof *nodes);
        if (!nodes) return YD_ENOMEM;
        if (find->node_count) memcpy(nodes, find->nodes, find->node_count * sizeof *nodes);
        find->node_room = room;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct yd_str word = find->words.strings[i];
        struct yd_str path = {word.data + 1, word.size - 1};
        if (find->by_query) path = yd_arena_str(web->arena, path); /* the words are reset */
        if (!path.data) return YD_ENOMEM;
        nodes[find->node_count + i] = (struct node){path, *word.data == 'L'};
    }
    qsort(nodes + find->node_count, count, sizeof *nodes, by_path);
    find->nodes = nodes;
    find->node_count += count;
    return 0;
}

static int next(struct yd_gweb *web, struct yd_ask *ret_ask, struct yd_trail *trail)
{
    struct find *find = web->own;
    int r = 0;
    if (find->from) return start(web, ret_ask);
    if (find->by_query || find->query + 1 == find->query_count) r = settle(web, trail);
    if (r < 0) return r;
    if (find->by_query) yd_intern_reset(&find->words);
    find->starts[++find->query] = find->node_count;
    return find->query < find->query_count ? start(web, ret_ask) : 0;
}

/* ---- answers ---- */

static struct yd_str last_node(struct yd_str path)
{
    const char *dot = memrchr(path.data, '.', path.size);
    return dot ? (struct yd_str){dot + 1, (size_t)(path.data + path.size - dot - 1)} : path;
}

static void put_tree_node(struct yd_json *json, struct yd_str base, struct yd_str name, bool leaf)
{
    char id[4 * YD_NAME_SIZE_MAX];
    size_t size = YD_MIN(base.size, sizeof id - YD_NAME_SIZE_MAX);
    memcpy(id, base.data, size);
    memcpy(id + size, name.data, YD_MIN(name.size, (size_t)YD_NAME_SIZE_MAX));
    yd_json_object(json);
    yd_json_key(json, "text");
    yd_json_str(json, name);
    yd_json_key(json, "id");
    yd_json_str(json, (struct yd_str){id, size + YD_MIN(name.size, (size_t)YD_NAME_SIZE_MAX)});
    yd_json_key(json, "leaf");
    yd_json_i64(json, leaf);
    yd_json_key(json, "expandable");
    yd_json_i64(json, !leaf);
    yd_json_key(json, "allowChildren");
    yd_json_i64(json, !leaf);
    yd_json_key(json, "context");
    yd_json_object(json);
    yd_json_object_end(json);
    yd_json_object_end(json);
}

static int by_last(const void *a, const void *b)
{
    const struct node *x = a, *y = b;
    int order = x->leaf - y->leaf; /* branches first */
    return order ? order : yd_str_cmp(x->path, y->path);
}

/* Each name once, whatever stands before it: `a.*.c` has one `c`. */
static void put_tree(struct find *find, struct yd_buf *to)
{
    struct yd_json json;
    yd_json_init(&json, to, false);
    yd_json_array(&json);
    for (size_t i = 0; i < find->node_count; i++) find->nodes[i].path = last_node(find->nodes[i].path);
    qsort(find->nodes, find->node_count, sizeof *find->nodes, by_last);
    size_t kept = 0;
    for (size_t i = 0; i < find->node_count; i++)
        if (!kept || by_last(&find->nodes[kept - 1], &find->nodes[i])) find->nodes[kept++] = find->nodes[i];
    if (kept > 1 && find->wildcards) put_tree_node(&json, find->base, YD_STR("*"), find->nodes[0].leaf);
    for (size_t i = 0; i < kept; i++) put_tree_node(&json, find->base, find->nodes[i].path, find->nodes[i].leaf);
    yd_json_array_end(&json);
}

static void put_completer(struct find *find, struct yd_buf *to)
{
    struct yd_json json;
    yd_json_init(&json, to, false);
    yd_json_object(&json);
    yd_json_key(&json, "metrics");
    yd_json_array(&json);
    for (size_t i = 0; i < find->node_count; i++) {
        const struct node *node = &find->nodes[i];
        char path[YD_NAME_SIZE_MAX * 2 + 1];
        size_t size = YD_MIN(node->path.size, sizeof path - 1);
        memcpy(path, node->path.data, size);
        if (!node->leaf) path[size++] = '.';
        yd_json_object(&json);
        yd_json_key(&json, "path");
        yd_json_str(&json, (struct yd_str){path, size});
        yd_json_key(&json, "name");
        yd_json_str(&json, last_node(node->path));
        yd_json_key(&json, "is_leaf");
        yd_json_cstr(&json, node->leaf ? "1" : "0");
        yd_json_object_end(&json);
    }
    if (find->node_count > 1 && find->wildcards) {
        yd_json_object(&json);
        yd_json_key(&json, "name");
        yd_json_cstr(&json, "*");
        yd_json_object_end(&json);
    }
    yd_json_array_end(&json);
    yd_json_object_end(&json);
}

static bool write_find(struct yd_gweb *web, struct yd_buf *to, size_t size)
{
    struct find *find = web->own;
    (void)size; /* a hundred thousand nodes are one piece */
    if (find->completer)
        put_completer(find, to);
    else
        put_tree(find, to);
    return false;
}

static void put_paths(struct yd_json *json, const struct find *find, size_t from, size_t end)
{
    yd_json_array(json);
    for (size_t i = from; i < end; i++)
        if (i == from || !yd_str_eq(find->nodes[i].path, find->nodes[i - 1].path))
            yd_json_str(json, find->nodes[i].path);
    yd_json_array_end(json);
}

static bool write_expand(struct yd_gweb *web, struct yd_buf *to, size_t size)
{
    struct find *find = web->own;
    struct yd_json json;
    (void)size;
    yd_json_init(&json, to, false);
    yd_json_object(&json);
    yd_json_key(&json, "results");
    if (!find->by_query) put_paths(&json, find, 0, find->node_count);
    if (find->by_query) yd_json_object(&json);
    for (size_t i = 0; i < find->query_count && find->by_query; i++) {
        yd_json_key_str(&json, find->queries[i]);
        put_paths(&json, find, find->starts[i], find->starts[i + 1]);
    }
    if (find->by_query) yd_json_object_end(&json);
    yd_json_object_end(&json);
    return false;
}

static void free_find(struct yd_gweb *web)
{
    yd_intern_fini(&((struct find *)web->own)->words);
}

const struct yd__gweb_ops yd__gweb_find = {.path = "metrics/find",
                                           .size = sizeof(struct find),
                                           .start = start_find,
                                           .add = add,
                                           .next = next,
                                           .write = write_find,
                                           .free = free_find};
const struct yd__gweb_ops yd__gweb_expand = {.path = "metrics/expand",
                                             .size = sizeof(struct find),
                                             .start = start_expand,
                                             .add = add,
                                             .next = next,
                                             .write = write_expand,
                                             .free = free_find};
