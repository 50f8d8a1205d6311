/* elements/graphite_parts.h: what the files behind graphite_web.h share. */
#ifndef ELEMENTS_GRAPHITE_PARTS_H
#define ELEMENTS_GRAPHITE_PARTS_H

#include "elements/graphite_form.h"
#include "elements/graphite_web.h"

struct yd__gweb_ops {
    const char *path; /* ends with "/": a name follows */
    size_t size;      /* of what it keeps, zeroed, behind struct yd_gweb */
    int (*start)(struct yd_gweb *web, struct yd_ask *ret_ask, struct yd_trail *trail);
    int (*add)(struct yd_gweb *web, const struct yd_batch *batch, struct yd_trail *trail);
    int (*next)(struct yd_gweb *web, struct yd_ask *ret_ask, struct yd_trail *trail);
    bool (*write)(struct yd_gweb *web, struct yd_buf *to, size_t size);
    void (*free)(struct yd_gweb *web);
};

struct yd_gweb {
    const struct yd__gweb_ops *ops;
    struct yd_arena *arena; /* the request's */
    struct yd_graphite_form form;
    struct yd_str name; /* /tags/NAME */
    int64_t now_ns;
    uint64_t *values_all; /* held by all requests together */
    void *own;            /* ops->size bytes */
};

extern const struct yd__gweb_ops yd__gweb_find, yd__gweb_expand, yd__gweb_render, yd__gweb_events;
extern const struct yd__gweb_ops yd__gweb_tags, yd__gweb_tag, yd__gweb_complete_tags, yd__gweb_complete_values,
    yd__gweb_find_series;

/* The number of a field, at most `most`; otherwise when it is not there or none. */
uint64_t yd__gweb_number(const struct yd_gweb *web, const char *name, uint64_t otherwise, uint64_t most);
bool yd__gweb_flag(const struct yd_gweb *web, const char *name, bool otherwise);
/* The `next` of the ROW that ends a part; false: it is none. */
bool yd__gweb_next_of(const struct yd_view *view, const struct yd_record *record, uint32_t *ret_next);

#endif
