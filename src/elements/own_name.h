/* elements/own_name.h: a parameter that names the records an element makes. */
#ifndef ELEMENTS_OWN_NAME_H
#define ELEMENTS_OWN_NAME_H

#include <yarder/element.h>
#include <yarder/name.h>

#include <stdio.h>

/* For a class's `check`: the text is a canonical name. */
static inline int yd_own_name_check(const struct yd_args *args, const char *param, char *why, size_t why_size)
{
    char canonical[YD_NAME_SIZE_MAX];
    size_t size;
    struct yd_str name = yd_args_text(args, param);
    if (yd_name_canonical(name, canonical, &size) < 0) {
        snprintf(why, why_size, "%s: '%.*s' is not a name", param, (int)(name.size < 80 ? name.size : 80), name.data);
        return YD_EINVAL;
    }
    if (yd_str_eq(name, (struct yd_str){canonical, size})) return 0;
    snprintf(why, why_size, "%s: write it as '%.*s'", param, (int)(size < 80 ? size : 80), canonical);
    return YD_EINVAL;
}

#endif
