/* What the tests of this floor share: cmocka, and a seed that is printed. */
#ifndef TESTS_BASE_TESTING_H
#define TESTS_BASE_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/text.h"

#define assert_ok(call)           assert_int_equal((call), 0)
#define assert_error(call, error) assert_int_equal((call), (error))
#define assert_text(s, expected)  assert_str((s), (expected), __LINE__)

static inline uint64_t test_seed(void)
{
    const char *given = getenv("YARDER_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    print_message("# YARDER_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

static inline void assert_str(struct yd_str s, const char *expected, int line)
{
    if (s.size == strlen(expected) && memcmp(s.data, expected, s.size) == 0) return;
    fail_msg("line %d: '%.*s', not '%s'", line, YD_STR_FMT(s), expected);
}

#endif
