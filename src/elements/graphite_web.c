/* Graphite's questions: which is which, and what never changes; see graphite_web.h. The paths are those of graphite-web
 * 1.1; any prefix may stand before them. */
#include "elements/graphite_functions.h"
#include "elements/graphite_parts.h"

#define TEXT_TYPE "text/plain; charset=UTF-8"
#define JSON_TYPE "application/json; charset=UTF-8"

static const struct yd__gweb_ops *const routes[] = {
    &yd__gweb_render,          &yd__gweb_events,      &yd__gweb_find, &yd__gweb_expand, &yd__gweb_complete_tags,
    &yd__gweb_complete_values, &yd__gweb_find_series, &yd__gweb_tag,  &yd__gweb_tags,
};
static const char *const constants[] = {"version", "functions", "functions/"};

/* Whether the path ends with what is looked for, behind a slash; for "tags/", with a name of one part behind. */
static bool ends_with(struct yd_str path, struct yd_str what, struct yd_str *ret_path)
{
    struct yd_str head = path;
    if (what.data[what.size - 1] == '/') {
        const char *slash = memrchr(path.data, '/', path.size);
        if (!slash || slash + 1 == path.data + path.size) return false;
        head.size = (size_t)(slash + 1 - path.data);
    }
    if (head.size < what.size + 1 || head.data[head.size - what.size - 1] != '/') return false;
    size_t at = head.size - what.size;
    if (memcmp(path.data + at, what.data, what.size) != 0) return false;
    *ret_path = (struct yd_str){path.data + at, path.size - at};
    return true;
}

bool yd_gweb_path(struct yd_str path, struct yd_str *ret_path)
{
    while (path.size > 1 && path.data[path.size - 1] == '/') path.size--;
    for (size_t i = 0; i < YD_COUNT(routes); i++)
        if (ends_with(path, yd_str_of(routes[i]->path), ret_path)) return true;
    for (size_t i = 0; i < YD_COUNT(constants); i++)
        if (ends_with(path, yd_str_of(constants[i]), ret_path)) return true;
    return false;
}

bool yd_gweb_constant(struct yd_str path, struct yd_buf *to, unsigned *ret_status, const char **ret_type)
{
    *ret_status = 200;
    *ret_type = JSON_TYPE;
    if (yd_str_eq(path, YD_STR("version"))) {
        *ret_type = TEXT_TYPE;
        yd_buf_cstr(to, "1.1.10");
    } else if (yd_str_eq(path, YD_STR("functions"))) {
        (void)yd_gfunctions_put(to, YD_STR(""));
    } else if (yd_str_starts(path, YD_STR("functions/"))) {
        if (yd_gfunctions_put(to, (struct yd_str){path.data + 10, path.size - 10})) return true;
        *ret_status = 404;
        *ret_type = TEXT_TYPE;
        yd_buf_cstr(to, "Function not found: /functions lists those that are there");
    } else {
        return false;
    }
    return true;
}

uint64_t yd__gweb_number(const struct yd_gweb *web, const char *name, uint64_t otherwise, uint64_t most)
{
    uint64_t number;
    struct yd_str text = yd_graphite_field(&web->form, name);
    if (!text.size || yd_text_u64(text, &number) < 0 || !number) return otherwise;
    return YD_MIN(number, most);
}

bool yd__gweb_flag(const struct yd_gweb *web, const char *name, bool otherwise)
{
    struct yd_str text = yd_graphite_field(&web->form, name);
    if (!text.size) return otherwise;
    return !yd_str_eq(text, YD_STR("0")) && !yd_str_eq(text, YD_STR("false")) && !yd_str_eq(text, YD_STR("False"));
}

bool yd__gweb_next_of(const struct yd_view *view, const struct yd_record *record, uint32_t *ret_next)
{
    if (record->kind != YD_ROW || record->type != YD_MAP) return false;
    const struct yd_cell *cell = yd_view_find(view, record->value, YD_STR("next"));
    *ret_next = cell && cell->type == YD_I64 ? (uint32_t)cell->value.u64 : 0;
    return true;
}

int yd_gweb_start(struct yd_tsdb_request *request, int64_t now_ns, uint64_t *values, struct yd_gweb **ret_web,
                  struct yd_ask *ret_ask, struct yd_trail *trail)
{
    const struct yd__gweb_ops *ops = NULL;
    struct yd_str path = request->path;
    for (size_t i = 0; i < YD_COUNT(routes) && !ops; i++) {
        struct yd_str what = yd_str_of(routes[i]->path);
        bool named = what.data[what.size - 1] == '/';
        if (named ? yd_str_starts(path, what) : yd_str_eq(path, what)) ops = routes[i];
    }
    if (!ops) return yd_trail_add(trail, YD_EINVAL, "no such path");
    struct yd_gweb *web = yd_arena_zero(&request->arena, sizeof *web);
    if (!web) return YD_ENOMEM;
    *web = (struct yd_gweb){.ops = ops, .arena = &request->arena, .now_ns = now_ns, .values_all = values};
    web->own = yd_arena_zero(&request->arena, ops->size);
    web->name = (struct yd_str){path.data + strlen(ops->path), path.size - strlen(ops->path)};
    if (!web->own) return YD_ENOMEM;
    int r = yd_graphite_form(request->arguments, request->argument_count, request->body, web->arena, &web->form, trail);
    if (r == 0) r = ops->start(web, ret_ask, trail);
    if (r < 0)
        yd_gweb_destroy(web);
    else
        *ret_web = web;
    return r;
}

void yd_gweb_destroy(struct yd_gweb *web)
{
    if (web) web->ops->free(web);
}

int yd_gweb_add(struct yd_gweb *web, const struct yd_batch *batch, struct yd_trail *trail)
{
    return web->ops->add(web, batch, trail);
}

int yd_gweb_next(struct yd_gweb *web, struct yd_ask *ret_ask, struct yd_trail *trail)
{
    return web->ops->next(web, ret_ask, trail);
}

bool yd_gweb_write(struct yd_gweb *web, struct yd_buf *to, size_t size)
{
    return web->ops->write(web, to, size);
}
