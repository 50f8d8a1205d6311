/* Templates: see template.h. */
#include "elements/template.h"

#include "batch/record_text.h"

enum part_type { PART_TEXT, PART_METRIC, PART_NAME, PART_TAG, PART_CELL, PART_VALUE };
struct yd_template_part {
    enum part_type type;
    struct yd_str text; /* the literal, the tag's key or the cell's name */
};

static int add_part(struct yd_template *template, enum part_type type, struct yd_str text)
{
    size_t size = template->count * sizeof *template->parts;
    struct yd_template_part *parts = yd_alloc_resize(NULL, template->parts, size, size + sizeof *parts);
    if (!parts) return YD_ENOMEM;
    template->parts = parts;
    parts[template->count++] = (struct yd_template_part){type, text};
    template->per_record |= type == PART_CELL || type == PART_VALUE;
    return 0;
}

static int add_placeholder(struct yd_template *template, struct yd_str text)
{
    if (yd_str_eq(text, YD_STR("metric"))) return add_part(template, PART_METRIC, text);
    if (yd_str_eq(text, YD_STR("name"))) return add_part(template, PART_NAME, text);
    if (yd_str_eq(text, YD_STR("value"))) return add_part(template, PART_VALUE, text);
    if (yd_str_starts(text, YD_STR("tag.")))
        return add_part(template, PART_TAG, (struct yd_str){text.data + 4, text.size - 4});
    return add_part(template, PART_CELL, text);
}

int yd_template_compile(struct yd_template *template, struct yd_str text, const char **why)
{
    *template = (struct yd_template){0};
    size_t from = 0, at = 0;
    int error = 0;
    while (at < text.size && error == 0) {
        if (text.data[at] != '{') {
            at++;
            continue;
        }
        if (at + 1 < text.size && text.data[at + 1] == '{') { /* up to and with the first brace, then skip the second */
            error = add_part(template, PART_TEXT, (struct yd_str){text.data + from, at + 1 - from});
            from = at += 2;
            continue;
        }
        if (at > from) error = add_part(template, PART_TEXT, (struct yd_str){text.data + from, at - from});
        const char *close = memchr(text.data + at, '}', text.size - at);
        struct yd_str inside = {text.data + at + 1, close ? (size_t)(close - text.data) - at - 1 : 0};
        if (inside.size == 0) {
            *why = close ? "{} names nothing" : "a { without its }";
            error = YD_EFORMAT;
        } else if (error == 0) {
            error = add_placeholder(template, inside);
            from = at = (size_t)(close - text.data) + 1;
        }
    }
    if (error == 0 && at > from) error = add_part(template, PART_TEXT, (struct yd_str){text.data + from, at - from});
    if (error < 0) yd_template_fini(template);
    return error;
}

void yd_template_fini(struct yd_template *template)
{
    yd_alloc_put(NULL, template->parts, template->count * sizeof *template->parts);
    *template = (struct yd_template){0};
}

/* Bare text: into a name it is escaped. */
static void add_bare(struct yd_buf *to, struct yd_str text, bool escape)
{
    char *at = yd_buf_reserve(to, text.size * 2 + 1);
    if (!at) return;
    if (escape) {
        to->size += yd_name_escape(text, at);
        return;
    }
    if (text.size) memcpy(at, text.data, text.size);
    to->size += text.size;
}

/* A component of a name, escaped as it stands there: out of a name it is not. */
static void add_component(struct yd_buf *to, struct yd_str text, bool escape)
{
    char *at = yd_buf_reserve(to, text.size * 2 + 1);
    if (!at) return;
    if (!escape) {
        to->size += yd_name_unescape(text, at);
        return;
    }
    if (text.size) memcpy(at, text.data, text.size);
    to->size += text.size;
}

static void add_value(const struct yd_view *view, enum yd_type type, union yd_value value, bool escape,
                      struct yd_buf *to)
{
    struct yd_buf text;
    yd_buf_init(&text, NULL);
    yd_value_text(view, type, value, &text);
    add_bare(to, yd_buf_view(&text), escape);
    to->failed |= text.failed;
    yd_buf_fini(&text);
}

void yd_template_fill(const struct yd_template *template, const struct yd_view *view, uint32_t record,
                      const struct yd_name *name, bool escape, struct yd_buf *to)
{
    const struct yd_record *at = &view->records[record];
    for (size_t i = 0; i < template->count; i++) {
        const struct yd_template_part *part = &template->parts[i];
        const struct yd_cell *cell;
        switch (part->type) {
        case PART_TEXT:
            add_bare(to, part->text, escape);
            break;
        case PART_METRIC:
            add_component(to, name->metric, escape);
            break;
        case PART_NAME:
            add_bare(to, yd_view_name(view, at->name), escape);
            break;
        case PART_TAG:
            for (uint32_t tag = 0; tag < name->tag_count; tag++)
                if (yd_str_eq(name->tags[tag].key, part->text)) add_component(to, name->tags[tag].value, escape);
            break;
        case PART_VALUE:
            add_value(view, at->type, at->value, escape, to);
            break;
        case PART_CELL:
            cell = at->type == YD_MAP ? yd_view_find(view, at->value, part->text) : NULL;
            if (cell) add_value(view, cell->type, cell->value, escape, to);
            break;
        }
    }
}
