/* Shared by this floor's tests: cmocka's includes, the seed, small batches. */
#ifndef STORE_TESTING_H
#define STORE_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/hash.h"
#include "store/history.h"

#define SECOND YD_NS_PER_S

/* From YD_TEST_SEED or fixed; printed, so that a failing run can be repeated. */
static inline uint64_t test_seed(void)
{
    const char *text = getenv("YD_TEST_SEED");
    uint64_t seed = text ? strtoull(text, NULL, 0) : 20240607;
    printf("# seed %llu\n", (unsigned long long)seed);
    return seed;
}

static inline struct yd_builder *test_builder(void)
{
    struct yd_builder *builder;
    assert_int_equal(yd_builder_create(&(struct yd_builder_options){.size_max = 60 << 20}, &builder), 0);
    return builder;
}

static inline void test_add(struct yd_builder *builder, const char *name, int64_t time, enum yd_type type,
                            uint64_t bits)
{
    uint32_t index;
    assert_true(yd_builder_name(builder, yd_str_of(name), &index) >= 0);
    assert_true(yd_builder_add(builder, time, index, YD_SAMPLE, type, 0, (union yd_value){.bits = bits}) >= 0);
}
static inline void test_f64(struct yd_builder *builder, const char *name, int64_t time, double value)
{
    union yd_value bits = {.f64 = value};
    test_add(builder, name, time, YD_F64, bits.bits);
}
static inline void test_i64(struct yd_builder *builder, const char *name, int64_t time, int64_t value)
{
    test_add(builder, name, time, YD_I64, (uint64_t)value);
}

static inline void test_fold(struct yd_history *history, struct yd_builder *builder)
{
    struct yd_batch *batch;
    assert_true(yd_builder_seal(builder, &batch) >= 0);
    assert_int_equal(yd_history_fold(history, batch, 0, NULL), 0);
    yd_batch_unref(batch);
}

static inline struct yd_history *test_history(const struct yd_history_options *options)
{
    struct yd_history *history;
    assert_int_equal(yd_history_create(options, &history), 0);
    return history;
}

#endif
