/* Expressions a second, beside the same in plain C over the same readings.
 *
 *   bench-expression [ROUNDS]          default 200, of 50,000 evaluations each
 *
 * One thread, readings in the cache; every tenth evaluation has other values.  Nanoseconds
 * for one evaluation in the best round: a round is shorter than what the scheduler gives to others. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "decom/expression.h"

static const char *const names_of[] = {"a", "b", "c", "i", "mode"};

static int find(void *opaque, struct yd_str name, uint32_t *ret_slot, enum yd_type *ret_type)
{
    (void)opaque;
    for (uint32_t i = 0; i < YD_COUNT(names_of); i++) {
        if (!yd_str_eq(name, yd_str_of(names_of[i]))) continue;
        *ret_slot = i;
        *ret_type = i == 3 ? YD_I64 : i == 4 ? YD_TEXT : YD_F64;
        return 0;
    }
    return YD_ENOENT;
}

static double now_ns(void)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec * 1e9 + (double)at.tv_nsec;
}

/* The same in C, with what an expression promises: a result that is no finite number is none. */
static bool plain_linear(const struct yd_reading *v, double *ret)
{
    *ret = v[0].f64 * 1.8 + 32;
    return isfinite(*ret);
}
static bool plain_long(const struct yd_reading *v, double *ret)
{
    double q = (v[0].f64 - v[1].f64) * 9.81 / 2 + sqrt(v[2].f64);
    *ret = q > 100 ? 100 : q;
    return v[2].f64 >= 0 && isfinite(*ret);
}
static bool plain_condition(const struct yd_reading *v, double *ret)
{
    *ret = v[0].f64 > 3 && (v[3].i64 & 4) != 0 ? 1 : 0;
    return true;
}

static struct {
    double sum, ring[10];
    unsigned at, count;
} average;
static bool plain_average(const struct yd_reading *v, double *ret)
{
    if (average.count == 10)
        average.sum -= average.ring[average.at];
    else
        average.count++;
    average.ring[average.at] = v[0].f64;
    average.sum += v[0].f64;
    average.at = average.at == 9 ? 0 : average.at + 1;
    *ret = average.sum / average.count;
    return isfinite(*ret);
}
static struct {
    double value;
    int64_t time;
} before;
static bool plain_rate(const struct yd_reading *v, double *ret)
{
    int64_t time = (int64_t)v[3].u64;
    double dt = (double)(time - before.time) * 1e-9;
    *ret = (v[0].f64 - before.value) / dt;
    before.value = v[0].f64;
    before.time = time;
    return isfinite(*ret);
}

static const struct {
    const char *text;
    bool (*plain)(const struct yd_reading *values, double *ret);
} cases[] = {
    {"a * 1.8 + 32", plain_linear},
    {"min((a - b) * 9.81 / 2 + sqrt(c), 100)", plain_long},
    {"a > 3 && i & 4 != 0", plain_condition},
    {"rolling_avg(a, 10)", plain_average},
    {"rate(a)", plain_rate},
};

static double volatile sink;

int main(int argc, char **argv)
{
    static const struct yd_expression_names names = {NULL, find, NULL};
    long count = 50000, rounds = argc > 1 ? atol(argv[1]) : 200;
    struct yd_reading values[5] = {yd_reading_f64(4, YD_READING_FRESH), yd_reading_f64(2, YD_READING_FRESH),
                                   yd_reading_f64(9, YD_READING_FRESH), yd_reading_i64(6, YD_READING_FRESH),
                                   yd_reading_text(YD_STR("RUN"), YD_READING_FRESH)};
    printf("%-42s %4s %10s %10s %14s\n", "expression", "ops", "compiled", "plain C", "a second");
    for (size_t which = 0; which < YD_COUNT(cases); which++) {
        struct yd_expression *expression;
        struct yd_expression_state *state;
        double compiled = INFINITY, plain = INFINITY;
        if (yd_expression_compile(yd_str_of(cases[which].text), &names, NULL, NULL, &expression, NULL) < 0 ||
            yd_expression_state_create(expression, NULL, &state) < 0)
            return 1;
        for (long round = 0; round < rounds; round++) {
            double begin = now_ns(), sum = 0;
            for (long i = 0; i < count; i++) {
                if (i % 10 == 0) values[0].f64 = (double)(i & 1023);
                struct yd_reading result = yd_expression_eval(expression, values, i * 1000, state);
                sum += result.type == YD_F64 ? result.f64 : (double)result.bits;
            }
            compiled = fmin(compiled, (now_ns() - begin) / (double)count);
            begin = now_ns();
            for (long i = 0; i < count; i++) {
                double result;
                if (i % 10 == 0) values[0].f64 = (double)(i & 1023);
                bool (*volatile call)(const struct yd_reading *, double *) = cases[which].plain;
                if (which == 4) values[3].u64 = (uint64_t)i * 1000;
                if (call(values, &result)) sum += result;
            }
            plain = fmin(plain, (now_ns() - begin) / (double)count);
            values[3] = yd_reading_i64(6, YD_READING_FRESH);
            yd_expression_state_reset(state);
            sink += sum;
        }
        printf("%-42s %4u %7.1f ns %7.1f ns %12.1f M\n", cases[which].text, yd_expression_code_count(expression),
               compiled, plain, 1e3 / compiled);
        yd_expression_state_destroy(state);
        yd_expression_destroy(expression);
    }
    return 0;
}
