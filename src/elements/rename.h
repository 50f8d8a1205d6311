/* elements/rename.h: rules over names, for Relabel and Route and for `yarder route`: pure functions of a name. */
#ifndef ELEMENTS_RENAME_H
#define ELEMENTS_RENAME_H

#include <yarder/element.h>
#include <yarder/name.h>

#include "elements/template.h"

#define YD_RENAME_RULES_MAX 256
#define YD_RENAME_TAGS_MAX  16
#define YD_ROUTES_MAX       16

struct yd_rename_rule {
    struct yd_pattern *pattern;
    struct yd_template name;
    bool renames, drops, stops;
    struct {
        struct yd_str key;
        struct yd_template value;
    } tags[YD_RENAME_TAGS_MAX];
    unsigned tag_count;
};
struct yd_rename {
    struct yd_rename_rule *rules;
    unsigned count;
    struct yd_buf text;
};
/* Of the parameter `rules`. `why` says what is wrong: YD_EINVAL. */
int yd_rename_open(struct yd_rename *rename, const struct yd_args *args, char *why, size_t why_size);
void yd_rename_close(struct yd_rename *rename);
enum yd_renamed { YD_RENAMED_NOT, YD_RENAMED, YD_RENAMED_AWAY };
/* The name after all rules; `to` has YD_NAME_SIZE_MAX + 1 bytes and holds it for YD_RENAMED. YD_EFORMAT: no name any
 * more; YD_ENOMEM. */
int yd_rename_apply(struct yd_rename *rename, struct yd_str name, char *to, size_t *ret_size);

struct yd_routes {
    struct yd_pattern *patterns[YD_ROUTES_MAX];
    unsigned count;
    bool all;
};
int yd_routes_open(struct yd_routes *routes, const struct yd_args *args, char *why, size_t why_size);
void yd_routes_close(struct yd_routes *routes);
uint32_t yd_routes_of(const struct yd_routes *routes, struct yd_str name); /* bit i: out i; 0: the rest */

#endif
