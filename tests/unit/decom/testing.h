/* What the tests of this floor share: cmocka and a printed seed. */
#ifndef TESTS_DECOM_TESTING_H
#define TESTS_DECOM_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "base/text.h"

static inline uint64_t test_seed(void)
{
    const char *given = getenv("YARDER_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    print_message("# YARDER_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

#endif
