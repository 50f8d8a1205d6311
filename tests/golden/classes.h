/* The table of classes that the language's tests check against: shaped like the real ones, and theirs alone, so that a
 * change of a real class does not rewrite a hundred expected outputs. */
#ifndef GOLDEN_CLASSES_H
#define GOLDEN_CLASSES_H

#include "flow/graph.h"

extern const struct yd_classes golden_classes;

#endif
