#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"

void yd_assert_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "yarder: assertion failed: %s (%s:%d)\n", condition, file, line);
    abort();
}
