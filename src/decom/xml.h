/* decom/xml.h: an XML text as a tree, for definitions written in XML.
 *
 * Bounded and closed: no document type (and so no entities of its own), no file or address is ever opened, depth and
 * size are limited. Names are cut to what stands behind their prefix. All lives in one arena. */
#ifndef DECOM_XML_H
#define DECOM_XML_H

#include "decom/report.h"

#define YD__XML_DEPTH_MAX 64

struct yd__xml {
    struct yd__xml *next, *first, *last; /* sibling; children */
    const char *name;                    /* without its prefix */
    const char **attributes;             /* name, value, …, NULL; names without prefix */
    struct yd_str text;                  /* of an element without children, without the blanks around it */
    struct yd_place place;               /* of its first tag */
    uint16_t tag;                        /* 0: unknown to whoever reads; else 1 + its index in the list of names */
    bool foreign;                        /* it has another prefix than the outermost element */
};
/* `tags`: names that get numbers. 0; YD_EFORMAT (said); YD_ENOMEM. `file` is the source that places point into. */
int yd__xml_read(struct yd_str text, uint32_t file, const char *const *tags, size_t tag_count, struct yd_arena *arena,
                 struct yd_diagnostics *diagnostics, struct yd__xml **ret_root);
const char *yd__xml_attribute(const struct yd__xml *node, const char *name); /* NULL: there is none */

#endif
