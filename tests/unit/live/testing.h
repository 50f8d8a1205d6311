/* What the tests of shared memory share. */
#ifndef TESTING_H
#define TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "base/hash.h"

/* From YARDER_SEED, or the clock; printed, so that a failure can be had again. */
static inline uint64_t test_seed(void)
{
    const char *text = getenv("YARDER_SEED");
    uint64_t seed = text ? strtoull(text, NULL, 10) : (uint64_t)time(NULL) * 1000003u;
    printf("# YARDER_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

#endif
