/* elements/template.h: text with {placeholders}, filled from a record. Used by elements that make names and cells.
 *
 *   "disk.{metric}"   {metric} {name} {tag.KEY} {CELL} (of a ROW) {value}      {{ is a brace
 *
 * Compiled once; what a record does not have becomes empty. One thread. */
#ifndef ELEMENTS_TEMPLATE_H
#define ELEMENTS_TEMPLATE_H

#include <yarder/name.h>

#include "base/alloc.h"

struct yd_template {
    struct yd_template_part *parts;
    size_t count;
    bool per_record; /* needs more than the name */
};

/* `text` must outlive the template. YD_EFORMAT: *why tells. */
int yd_template_compile(struct yd_template *template, struct yd_str text, const char **why);
void yd_template_fini(struct yd_template *template);
/* Appends. `escape`: what comes out is one component of a name, escaped as such, whatever is in it; otherwise it is
 * bare text. `name` is the parsed name of the record. */
void yd_template_fill(const struct yd_template *template, const struct yd_view *view, uint32_t record,
                      const struct yd_name *name, bool escape, struct yd_buf *to);

#endif
