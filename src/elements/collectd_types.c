/* types.db of collectd: how the values of a type are called. See collectd_packets.h.
 *
 *   # comment
 *   if_octets  rx:DERIVE:0:U, tx:DERIVE:0:U
 *
 * Kept sorted: a packet's type is found by bisection. Kinds and ranges are checked for their form only: packets say the
 * kind themselves. Source: types.db(5). */
#include "elements/collectd_packets.h"

#include <stdlib.h>

struct type {
    struct yd_str name;
    struct yd_str *sources;
    size_t count;
};

struct yd_collectd_types {
    struct yd_alloc *alloc;
    struct type *types;
    size_t count, capacity;
};

int yd_collectd_types_create(struct yd_alloc *alloc, struct yd_collectd_types **ret_types)
{
    struct yd_collectd_types *types = yd_alloc_zero(alloc, sizeof *types);
    if (!types) return YD_ENOMEM;
    types->alloc = alloc;
    *ret_types = types;
    return 0;
}

static void put_text(struct yd_alloc *alloc, struct yd_str text)
{
    if (text.data) yd_alloc_put(alloc, (char *)(uintptr_t)text.data, text.size + 1);
}

static void put_type(struct yd_alloc *alloc, struct type *type)
{
    put_text(alloc, type->name);
    for (size_t i = 0; i < type->count; i++) put_text(alloc, type->sources[i]);
    yd_alloc_put(alloc, type->sources, type->count * sizeof *type->sources);
    *type = (struct type){0};
}

void yd_collectd_types_destroy(struct yd_collectd_types *types)
{
    if (!types) return;
    for (size_t i = 0; i < types->count; i++) put_type(types->alloc, &types->types[i]);
    yd_alloc_put(types->alloc, types->types, types->capacity * sizeof *types->types);
    yd_alloc_put(types->alloc, types, sizeof *types);
}

/* Where it is, or where it belongs. */
static size_t find(const struct yd_collectd_types *types, struct yd_str name, bool *ret_there)
{
    size_t low = 0, high = types->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = yd_str_cmp(types->types[middle].name, name);
        if (order == 0) {
            *ret_there = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_there = false;
    return low;
}

size_t yd_collectd_types_find(const struct yd_collectd_types *types, struct yd_str name,
                              const struct yd_str **ret_sources)
{
    bool there = false;
    size_t at = types ? find(types, name, &there) : 0;
    if (!there) return 0;
    *ret_sources = types->types[at].sources;
    return types->types[at].count;
}

/* ---- a line ---- */

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct yd_str trim(struct yd_str text)
{
    while (text.size && blank(text.data[0])) text.data++, text.size--;
    while (text.size && blank(text.data[text.size - 1])) text.size--;
    return text;
}

static bool is_kind(struct yd_str word)
{
    static const char *const kinds[] = {"GAUGE", "COUNTER", "DERIVE", "ABSOLUTE"};
    for (size_t i = 0; i < YD_COUNT(kinds); i++)
        if (yd_str_eq(word, yd_str_of(kinds[i]))) return true;
    return false;
}

/* `source:KIND:min:max` */
static int parse_source(struct yd_str text, struct yd_str *ret_name)
{
    struct yd_str words[4];
    size_t count = 0, start = 0;
    for (size_t i = 0; i <= text.size; i++) {
        if (i < text.size && text.data[i] != ':') continue;
        if (count == YD_COUNT(words)) return YD_EFORMAT;
        words[count++] = (struct yd_str){text.data + start, i - start};
        start = i + 1;
    }
    if (count != YD_COUNT(words) || !words[0].size || !is_kind(words[1]) || !words[2].size || !words[3].size)
        return YD_EFORMAT;
    *ret_name = words[0];
    return 0;
}

static int copy_text(struct yd_alloc *alloc, struct yd_str from, struct yd_str *ret)
{
    char *to = yd_alloc_zero(alloc, from.size + 1);
    if (!to) return YD_ENOMEM;
    memcpy(to, from.data, from.size);
    *ret = (struct yd_str){to, from.size};
    return 0;
}

static int copy_type(struct yd_alloc *alloc, struct yd_str name, const struct yd_str *sources, size_t count,
                     struct type *ret_type)
{
    *ret_type = (struct type){.sources = yd_alloc_zero(alloc, count * sizeof *sources)};
    if (!ret_type->sources) return YD_ENOMEM;
    ret_type->count = count;
    int r = copy_text(alloc, name, &ret_type->name);
    for (size_t i = 0; i < count && r == 0; i++) r = copy_text(alloc, sources[i], &ret_type->sources[i]);
    if (r < 0) put_type(alloc, ret_type);
    return r;
}

static int put(struct yd_collectd_types *types, struct yd_str name, const struct yd_str *sources, size_t count)
{
    struct type type;
    bool there;
    size_t at = find(types, name, &there);
    if (!there && types->count == types->capacity) {
        size_t capacity = types->capacity ? 2 * types->capacity : 512;
        struct type *grown =
            yd_alloc_resize(types->alloc, types->types, types->capacity * sizeof *grown, capacity * sizeof *grown);
        if (!grown) return YD_ENOMEM;
        types->types = grown;
        types->capacity = capacity;
    }
    int r = copy_type(types->alloc, name, sources, count, &type);
    if (r < 0) return r;
    if (there) {
        put_type(types->alloc, &types->types[at]);
    } else {
        memmove(types->types + at + 1, types->types + at, (types->count - at) * sizeof *types->types);
        types->count++;
    }
    types->types[at] = type;
    return 0;
}

static int parse_line(struct yd_collectd_types *types, struct yd_str line)
{
    struct yd_str sources[YD_COLLECTD_SOURCES_MAX];
    size_t name = 0, count = 0;
    line = trim(line);
    if (!line.size || line.data[0] == '#') return 0;
    while (name < line.size && !blank(line.data[name])) name++;
    struct yd_str rest = trim((struct yd_str){line.data + name, line.size - name});
    while (rest.size) {
        size_t end = 0;
        while (end < rest.size && rest.data[end] != ',' && !blank(rest.data[end])) end++;
        if (count == YD_COUNT(sources)) return YD_EFORMAT;
        int r = parse_source((struct yd_str){rest.data, end}, &sources[count++]);
        if (r < 0) return r;
        while (end < rest.size && (rest.data[end] == ',' || blank(rest.data[end]))) end++;
        rest.data += end, rest.size -= end;
    }
    return count ? put(types, (struct yd_str){line.data, name}, sources, count) : YD_EFORMAT;
}

int yd_collectd_types_add(struct yd_collectd_types *types, struct yd_str text, unsigned *ret_line)
{
    *ret_line = 0;
    while (text.size) {
        const char *lf = memchr(text.data, '\n', text.size);
        size_t size = lf ? (size_t)(lf - text.data) : text.size;
        ++*ret_line;
        int r = parse_line(types, (struct yd_str){text.data, size});
        if (r < 0) return r;
        if (lf) size++;
        text.data += size, text.size -= size;
    }
    return 0;
}
