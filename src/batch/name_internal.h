/* Shared by name.c and pattern.c. */
#ifndef BATCH_NAME_INTERNAL_H
#define BATCH_NAME_INTERNAL_H

#include <yarder/name.h>

#include "base/base.h"

/* What a backslash escapes in a name. */
static inline bool yd__name_is_special(unsigned char c)
{
    return c == ' ' || c == ',' || c == '=' || c == '\\' || c == '*';
}

#endif
