/* Histograms: every duration has one bucket, bounds grow by an eighth at most, quantiles are not below the truth. */
#include "base/histogram.h"
#include "base/hash.h"
#include "testing.h"

static void every_duration_lies_under_the_bound_of_its_bucket_and_not_under_the_one_before(void **state)
{
    (void)state;
    struct yd_rng rng;
    yd_rng_init(&rng, 5);
    for (unsigned i = 0; i < 200000; i++) {
        int64_t ns = (int64_t)(yd_rng_next(&rng) >> (1 + yd_rng_next(&rng) % 60));
        unsigned bucket = yd_histogram_bucket(ns);
        assert_true(bucket < YD_HISTOGRAM_BUCKETS);
        assert_true(ns < yd_histogram_bound_ns(bucket));
        if (bucket > 0) assert_true(ns >= yd_histogram_bound_ns(bucket - 1));
    }
    assert_int_equal(yd_histogram_bucket(-5), 0);
    assert_int_equal(yd_histogram_bucket(INT64_MAX - 1), YD_HISTOGRAM_BUCKETS - 1);
}

static void bounds_grow_by_an_eighth_at_most(void **state)
{
    (void)state;
    for (unsigned i = 1; i < YD_HISTOGRAM_BUCKETS - 1; i++) {
        int64_t before = yd_histogram_bound_ns(i - 1), bound = yd_histogram_bound_ns(i);
        assert_true(bound > before && bound - before <= before / 8);
    }
}

static void quantiles_are_the_truth_or_an_eighth_above_it(void **state)
{
    (void)state;
    struct yd_histogram histogram = {0};
    assert_int_equal(yd_histogram_quantile_ns(&histogram, 0.5), 0);
    for (int64_t us = 1; us <= 1000; us++) yd_histogram_add(&histogram, us * 1000, 3);
    assert_int_equal(histogram.total, 3000);
    assert_int_equal(histogram.max_ns, 1000000);
    static const double shares[] = {0.1, 0.5, 0.9, 0.99, 1};
    for (unsigned i = 0; i < YD_COUNT(shares); i++) {
        int64_t truth = (int64_t)(shares[i] * 1e6), said = yd_histogram_quantile_ns(&histogram, shares[i]);
        assert_true(said >= truth && said <= truth + truth / 8);
    }
    assert_int_equal(yd_histogram_quantile_ns(&histogram, 1), 1000000);
}

static void what_was_added_since_a_copy_is_told_exactly(void **state)
{
    (void)state;
    struct yd_histogram live = {0}, before, now;
    for (int64_t us = 1; us <= 100; us++) yd_histogram_add_shared(&live, us * 1000);
    yd_histogram_copy(&before, &live);
    assert_memory_equal(&before, &live, sizeof live);
    for (int i = 0; i < 10; i++) yd_histogram_add_shared(&live, 5 * 1000 * 1000);
    yd_histogram_copy(&now, &live);
    yd_histogram_since(&now, &before);
    assert_int_equal(now.total, 10);
    assert_true(now.sum_ns == 50e6);
    assert_true(yd_histogram_quantile_ns(&now, 0.01) >= 5000000 * 7 / 8);
    assert_int_equal(yd_histogram_quantile_ns(&now, 1), 5000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_duration_lies_under_the_bound_of_its_bucket_and_not_under_the_one_before),
        cmocka_unit_test(bounds_grow_by_an_eighth_at_most),
        cmocka_unit_test(what_was_added_since_a_copy_is_told_exactly),
        cmocka_unit_test(quantiles_are_the_truth_or_an_eighth_above_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
