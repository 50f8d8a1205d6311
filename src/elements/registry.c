/* The built-in element classes. A class is a table in a file of its own; here it is only named. */
#include "elements/registry.h"

#include "elements/classes.h"

static const struct yd_element_class *const classes[] = {
#define YD_CLASS_ITEM(name) &yd_class_##name,
    YD_BUILTIN_CLASSES(YD_CLASS_ITEM)
#undef YD_CLASS_ITEM
};

const struct yd_classes *yd_builtin_classes(void)
{
    static const struct yd_classes all = {classes, sizeof classes / sizeof *classes};
    return &all;
}
