/* elements/registry.h: the built-in classes. */
#ifndef ELEMENTS_REGISTRY_H
#define ELEMENTS_REGISTRY_H

#include "flow/graph.h"

const struct yd_classes *yd_builtin_classes(void); /* sorted by name */

#endif
