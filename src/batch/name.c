/* Qualified names.
 *
 *   cpu.load host=a,zone=north\ west
 *   metric   tags, sorted by key (as escaped)
 *
 * A walk over the bytes with one rule: what is special and not escaped ends a component. */
#include "base/text.h"
#include "batch/name_internal.h"

/* Walks one component: up to a special byte that is not escaped, or the end. */
static int take_component(struct yd_str text, size_t *at, struct yd_str *ret_component)
{
    size_t i = *at;
    for (; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (YD_LIKELY(!yd__name_is_special(c) && c >= 0x20)) continue;
        if (c != '\\') break;
        /* Only what must be escaped may be: so a name has one form. */
        if (i + 1 == text.size || !yd__name_is_special((unsigned char)text.data[i + 1])) {
            *at = i;
            return YD_EFORMAT;
        }
        i++;
    }
    *ret_component = (struct yd_str){text.data + *at, i - *at};
    *at = i;
    return 0;
}

static bool take(struct yd_str text, size_t *at, char c)
{
    if (*at == text.size || text.data[*at] != c) return false;
    ++*at;
    return true;
}

static void skip_spaces(struct yd_str text, size_t *at)
{
    while (take(text, at, ' ')) continue;
}

static int parse_tags(struct yd_str text, size_t *at, struct yd_name *name)
{
    for (;;) {
        if (name->tag_count == YD_NAME_TAGS_MAX) return YD_ETOOBIG;
        struct yd_tag *tag = &name->tags[name->tag_count];
        int r = take_component(text, at, &tag->key);
        if (r < 0) return r;
        if (tag->key.size == 0) return YD_EFORMAT;
        skip_spaces(text, at);
        if (!take(text, at, '=')) return YD_EFORMAT;
        skip_spaces(text, at);
        r = take_component(text, at, &tag->value);
        if (r < 0) return r;
        if (name->tag_count && yd_str_cmp(tag[-1].key, tag->key) >= 0) name->sorted = false;
        name->tag_count++;
        skip_spaces(text, at);
        if (*at == text.size) return 0;
        if (!take(text, at, ',')) return YD_EFORMAT;
        skip_spaces(text, at);
    }
}

static int parse(struct yd_str text, size_t *at, struct yd_name *name)
{
    if (text.size > YD_NAME_SIZE_MAX) return YD_ETOOBIG;
    if (!yd_text_utf8(text)) {
        for (size_t size = 1; *at + size <= text.size && size <= 4;)
            if (yd_text_utf8((struct yd_str){text.data + *at, size}))
                *at += size, size = 1;
            else
                size++;
        return YD_EFORMAT;
    }
    name->tag_count = 0;
    name->sorted = true;
    skip_spaces(text, at);
    int r = take_component(text, at, &name->metric);
    if (r < 0) return r;
    if (name->metric.size == 0) return YD_EFORMAT;
    if (*at < text.size && text.data[*at] != ' ') return YD_EFORMAT;
    skip_spaces(text, at);
    return *at == text.size ? 0 : parse_tags(text, at, name);
}

int yd_name_parse(struct yd_str text, struct yd_name *ret_name, size_t *ret_offset)
{
    size_t at = 0;
    int r = parse(text, &at, ret_name);
    if (r < 0 && ret_offset) *ret_offset = at;
    return r;
}

static char *append(char *to, struct yd_str s)
{
    if (s.size) memcpy(to, s.data, s.size);
    return to + s.size;
}

int yd_name_format(const struct yd_name *name, char *to, size_t *ret_size)
{
    const struct yd_tag *tags[YD_NAME_TAGS_MAX];
    uint32_t count = 0;
    size_t size = name->metric.size;
    if (name->tag_count > YD_NAME_TAGS_MAX) return YD_ETOOBIG;
    /* Insertion: they mostly come sorted already. */
    for (uint32_t i = 0; i < name->tag_count; i++) {
        const struct yd_tag *tag = &name->tags[i];
        uint32_t at = count;
        int order = 1;
        while (at > 0 && (order = yd_str_cmp(tags[at - 1]->key, tag->key)) > 0) at--;
        if (at > 0 && order == 0) {
            if (!yd_str_eq(tags[at - 1]->value, tag->value)) return YD_EDUP;
            continue;
        }
        memmove(&tags[at + 1], &tags[at], (count - at) * sizeof tags[0]);
        tags[at] = tag;
        count++;
        size += tag->key.size + tag->value.size + 2; /* a delimiter before and one between */
    }
    if (size > YD_NAME_SIZE_MAX) return YD_ETOOBIG;
    char *p = append(to, name->metric);
    for (uint32_t i = 0; i < count; i++) {
        *p++ = i ? ',' : ' ';
        p = append(p, tags[i]->key);
        *p++ = '=';
        p = append(p, tags[i]->value);
    }
    *ret_size = (size_t)(p - to);
    return 0;
}

int yd_name_canonical(struct yd_str text, char *to, size_t *ret_size)
{
    struct yd_name name;
    int r = yd_name_parse(text, &name, NULL);
    return r < 0 ? r : yd_name_format(&name, to, ret_size);
}

size_t yd_name_escape(struct yd_str component, char *to)
{
    char *p = to;
    for (size_t i = 0; i < component.size; i++) {
        if (yd__name_is_special((unsigned char)component.data[i])) *p++ = '\\';
        *p++ = component.data[i];
    }
    return (size_t)(p - to);
}

size_t yd_name_unescape(struct yd_str component, char *to)
{
    char *p = to;
    for (size_t i = 0; i < component.size; i++) {
        if (component.data[i] == '\\' && i + 1 < component.size) i++;
        *p++ = component.data[i];
    }
    return (size_t)(p - to);
}
