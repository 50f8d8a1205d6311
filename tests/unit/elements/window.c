/* Window: sums by name and time, against a model; rates; what is late; what survives. */
#include "tested.h"

#include <math.h>

#include "elements/classes.h"
#include "elements/window_sum.h"
#include "flow/runtime.h"

#define SOURCE       "g :: Graphite(listen: \"127.0.0.1:1\") -> "
#define WINDOW(args) SOURCE "w :: Window(" args ") -> Null()\n"

static void counters_two_three_three_publish_one_eight(void **state)
{
    (void)state;
    expect_passes(WINDOW("every: 1m") "test \"t\" {\n"
                                      "  feed w [ { name: \"hits\", kind: tally, value: 2 }, { name: \"hits\", kind: "
                                      "tally, value: 3 } ]\n"
                                      "  feed w [ { name: \"hits\", kind: tally, value: 3 } ]\n  expect w empty\n"
                                      "  advance 2m\n"
                                      "  expect w == [ { name: \"hits\", kind: tally, value: 8 } ]\n"
                                      "  advance 10m\n  expect w empty\n}\n");
}

static void samples_become_what_was_asked_for(void **state)
{
    (void)state;
    expect_passes(WINDOW(
        "every: 1h, outputs: [n, min, max, sum, mean, median, variance], percentiles: [50, 99.9]") "test \"t\" {\n"
                                                                                                   "  feed w [ { name: "
                                                                                                   "\"a b=c\", value: "
                                                                                                   "2 }, { name: \"a "
                                                                                                   "b=c\", value: 4 }, "
                                                                                                   "{ name: \"a b=c\", "
                                                                                                   "value: 6 "
                                                                                                   "},\n"
                                                                                                   "           { name: "
                                                                                                   "\"a b=c\", value: "
                                                                                                   "8 } ]\n"
                                                                                                   "  advance 2h\n"
                                                                                                   "  expect w == [ { "
                                                                                                   "name: \"a.n b=c\", "
                                                                                                   "value: 4 }, { "
                                                                                                   "name: \"a.min "
                                                                                                   "b=c\", value: 2 "
                                                                                                   "},\n"
                                                                                                   "    { name: "
                                                                                                   "\"a.max b=c\", "
                                                                                                   "value: 8 }, { "
                                                                                                   "name: \"a.sum "
                                                                                                   "b=c\", value: 20 "
                                                                                                   "}, { name: "
                                                                                                   "\"a.mean b=c\", "
                                                                                                   "value: 5 },\n"
                                                                                                   "    { name: "
                                                                                                   "\"a.median b=c\", "
                                                                                                   "value: 5 }, { "
                                                                                                   "name: \"a.variance "
                                                                                                   "b=c\", value: 5 "
                                                                                                   "},\n"
                                                                                                   "    { name: "
                                                                                                   "\"a.p50 b=c\", "
                                                                                                   "value: 4 }, { "
                                                                                                   "name: \"a.p99_9 "
                                                                                                   "b=c\", value: 8 } "
                                                                                                   "]\n}\n");
}

struct value {
    const char *name;
    enum yd_kind kind;
    enum yd_type type;
    int64_t time;
    union yd_value value;
};

static struct yd_batch *batch_of(const struct value *values, size_t count)
{
    struct yd_builder *builder;
    struct yd_batch *batch;
    uint32_t at;
    assert_int_equal(yd_builder_create(NULL, &builder), 0);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(yd_builder_name(builder, yd_str_of(values[i].name), &at), 0);
        assert_int_equal(
            yd_builder_add(builder, values[i].time, at, values[i].kind, values[i].type, 0, values[i].value), 0);
    }
    assert_int_equal(yd_builder_seal(builder, &batch), 0);
    yd_builder_destroy(builder);
    return batch;
}

static void feed_one(struct tested *t, const char *name, enum yd_kind kind, int64_t time, int64_t value)
{
    const struct value one = {name, kind, YD_I64, time, {.i64 = value}};
    tested_feed(t, "w", batch_of(&one, 1));
}

static int64_t aligned(struct tested *t, int64_t every)
{
    int64_t now = yd_loop_wall(t->loop);
    tested_run(t, every - now % every);
    return yd_loop_wall(t->loop) / every * every;
}

static void late_data_goes_to_its_own_window_while_that_is_open_and_is_counted_after(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    t.listen_to = "w";
    tested_start(&t, WINDOW("every: 10s, grace: 5s, ahead: 20s"));
    int64_t start = aligned(&t, 10 * YD_NS_PER_S);
    feed_one(&t, "a", YD_TALLY, start + 1, 1);
    tested_run(&t, 12 * YD_NS_PER_S);
    feed_one(&t, "a", YD_TALLY, start + 11 * YD_NS_PER_S, 10);
    feed_one(&t, "a", YD_TALLY, start + 9 * YD_NS_PER_S, 2); /* late, in time */
    tested_run(&t, 10 * YD_NS_PER_S);
    expect_out(&t, "w.output TALLY a 3\n");
    feed_one(&t, "a", YD_TALLY, start + 9 * YD_NS_PER_S, 4);
    assert_int_equal(reason_of(&t, "w", "late: its window was closed"), 1);
    feed_one(&t, "a", YD_TALLY, yd_loop_wall(t.loop) + 21 * YD_NS_PER_S, 4);
    assert_int_equal(reason_of(&t, "w", "too far ahead"), 1);
    tested_run(&t, 60 * YD_NS_PER_S);
    expect_out(&t, "w.output TALLY a 10\n");
    struct yd_input_stat stat = input_of(&t, "w", "input");
    assert_int_equal(stat.received, stat.consumed + stat.rejected + stat.dropped + stat.queued);
    tested_close(&t);
}

static void what_is_not_a_finite_number_is_rejected_and_its_neighbours_count(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    t.listen_to = "w";
    tested_start(&t, WINDOW("every: 10s, outputs: [sum]"));
    int64_t now = yd_loop_wall(t.loop);
    const struct value values[] = {{"a", YD_SAMPLE, YD_F64, now, {.f64 = 1.5}},
                                   {"a", YD_SAMPLE, YD_F64, now, {.f64 = NAN}},
                                   {"a", YD_SAMPLE, YD_F64, now, {.f64 = INFINITY}},
                                   {"b", YD_SAMPLE, YD_NIL, now, {0}},
                                   {"a", YD_SAMPLE, YD_I64, now, {.i64 = 2}}};
    tested_feed(&t, "w", batch_of(values, 5));
    tested_run(&t, 60 * YD_NS_PER_S);
    assert_int_equal(reason_of(&t, "w", "not a finite number"), 3);
    expect_out(&t, "w.output SAMPLE a.sum 3.5\n");
    tested_close(&t);
}

static void series_and_memory_are_bounded_and_known_series_go_on(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    t.listen_to = "w";
    tested_start(&t, WINDOW("every: 10s, series: 2"));
    int64_t now = yd_loop_wall(t.loop);
    feed_one(&t, "a", YD_TALLY, now, 1);
    feed_one(&t, "b", YD_TALLY, now, 1);
    feed_one(&t, "c", YD_TALLY, now, 1);
    feed_one(&t, "a", YD_TALLY, now, 1);
    assert_int_equal(reason_of(&t, "w", "too many series"), 1);
    tested_run(&t, 60 * YD_NS_PER_S);
    expect_out(&t, "w.output TALLY a 2\nw.output TALLY b 1\n");
    feed_one(&t, "c", YD_TALLY, yd_loop_wall(t.loop), 1); /* the others are gone */
    tested_run(&t, 60 * YD_NS_PER_S);
    expect_out(&t, "w.output TALLY c 1\n");
    tested_close(&t);

    tested_open(&t);
    tested_start(&t, WINDOW("every: 10s, memory: 64KiB, outputs: [median]"));
    now = yd_loop_wall(t.loop);
    for (int i = 0; i < 10000; i++) feed_one(&t, "a", YD_SAMPLE, now, i);
    assert_true(reason_of(&t, "w", "out of memory") > 5000);
    assert_true(input_of(&t, "w", "input").consumed > 1000);
    tested_close(&t);
}

/* ---- rates ---- */

static double rate_of(const int64_t *values, size_t count, enum yd_wrap wrap, struct yd_counter *counter,
                      uint16_t *flags)
{
    struct yd_sum sum = {0};
    double rate = -1;
    size_t bytes;
    for (size_t i = 0; i < count; i++)
        assert_int_equal(yd_sum_add(&sum, (int64_t)i + 1 + (counter->known ? counter->point.time_ns : 0), YD_U64,
                                    (union yd_value){.i64 = values[i]}, true, true, NULL, SIZE_MAX, &bytes),
                         0);
    bool has = yd_sum_rate(&sum, counter, wrap, &rate, flags);
    yd_sum_fini(&sum, NULL);
    return has ? rate : -1;
}

#define RATE(wrap, ...)                                                                                                \
    rate_of((const int64_t[]){__VA_ARGS__}, sizeof((const int64_t[]){__VA_ARGS__}) / 8, wrap, &counter, &flags)

static void a_rate_knows_wraps_from_resets_and_is_never_infinite(void **state)
{
    (void)state;
    struct yd_counter counter = {0};
    uint16_t flags;
    assert_true(RATE(YD_WRAP_AUTO, 5) == -1); /* one point is no rate */
    assert_true(RATE(YD_WRAP_AUTO, 9) == 4);  /* but the window before had the other */
    counter.known = false;
    assert_true(RATE(YD_WRAP_AUTO, 10, 20, 40) == 15);
    assert_int_equal(flags, 0);
    counter.known = false;
    assert_true(RATE(YD_WRAP_AUTO, 4294967290, 4) == 10); /* 32 bits */
    assert_int_equal(flags, YD_RECORD_ROLLOVER);
    counter.known = false;
    assert_true(RATE(YD_WRAP_AUTO, -6, 4) == 10); /* 64 bits */
    assert_int_equal(flags, YD_RECORD_ROLLOVER);
    counter.known = false;
    assert_true(RATE(YD_WRAP_AUTO, 1000000, 4) == 4); /* set back */
    assert_int_equal(flags, YD_RECORD_QUALITY);
    counter.known = false;
    assert_true(RATE(YD_WRAP_NONE, 4294967290, 4) == 4);
    assert_int_equal(flags, YD_RECORD_QUALITY);
    counter.known = false;
    assert_true(RATE(YD_WRAP_32, 1000, 999) == 4294967295.0);
    assert_int_equal(flags, YD_RECORD_ROLLOVER);
}

static void two_points_of_one_time_are_one_and_order_does_not_matter(void **state)
{
    (void)state;
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    for (int round = 0; round < 300; round++) {
        struct yd_counter first = {0}, second = {0};
        struct yd_sum sums[2] = {{0}, {0}};
        int64_t times[40], order[40];
        uint64_t at = 0;
        size_t count = 2 + yd_rng_below(&rng, 38), bytes;
        double rates[2];
        uint16_t flags[2];
        for (size_t i = 0; i < count; i++) times[i] = (int64_t)yd_rng_below(&rng, 30), order[i] = (int64_t)i;
        for (size_t i = 0; i < count; i++) {
            size_t j = yd_rng_below(&rng, count);
            int64_t was = order[i];
            order[i] = order[j];
            order[j] = was;
        }
        uint64_t *values = malloc(count * sizeof *values);
        for (size_t i = 0; i < count; i++) values[i] = at += yd_rng_below(&rng, 5);
        for (int which = 0; which < 2; which++)
            for (size_t i = 0; i < count; i++) {
                size_t k = which ? (size_t)order[i] : i;
                assert_int_equal(yd_sum_add(&sums[which], times[k], YD_U64, (union yd_value){.u64 = values[k]}, true,
                                            true, NULL, SIZE_MAX, &bytes),
                                 0);
            }
        bool has = yd_sum_rate(&sums[0], &first, YD_WRAP_AUTO, &rates[0], &flags[0]);
        assert_int_equal(yd_sum_rate(&sums[1], &second, YD_WRAP_AUTO, &rates[1], &flags[1]), has);
        if (has) assert_true(rates[0] == rates[1] && isfinite(rates[0]) && flags[0] == flags[1]);
        yd_sum_fini(&sums[0], NULL);
        yd_sum_fini(&sums[1], NULL);
        free(values);
    }
}

static void integers_are_exact_and_extremes_are_finite(void **state)
{
    (void)state;
    struct yd_sum sum = {0};
    enum yd_type type;
    union yd_value value;
    size_t bytes;
    for (int i = 0; i < 3; i++)
        assert_int_equal(
            yd_sum_add(&sum, i, YD_I64, (union yd_value){.i64 = INT64_MAX - i}, false, false, NULL, 0, &bytes), 0);
    yd_sum_stat(&sum, YD_STAT_MAX, &type, &value);
    assert_true(type == YD_I64 && value.i64 == INT64_MAX);
    yd_sum_stat(&sum, YD_STAT_SUM, &type, &value); /* beyond 64 bits: as a float, not wrapped */
    assert_true(type == YD_F64 && value.f64 > 2.7e19);
    assert_int_equal(yd_sum_add(&sum, 0, YD_I64, (union yd_value){.i64 = -INT64_MAX}, false, false, NULL, 0, &bytes),
                     0);
    assert_int_equal(yd_sum_add(&sum, 0, YD_I64, (union yd_value){.i64 = -INT64_MAX}, false, false, NULL, 0, &bytes),
                     0);
    yd_sum_stat(&sum, YD_STAT_SUM, &type, &value);
    assert_true(type == YD_I64 && value.i64 == INT64_MAX - 3);
    for (int i = 0; i < 4; i++)
        assert_int_equal(yd_sum_add(&sum, 0, YD_F64, (union yd_value){.f64 = i % 2 ? -1.7e308 : 1.7e308}, false, false,
                                    NULL, 0, &bytes),
                         0);
    for (int stat = 0; stat < YD_STAT_COUNT; stat++) {
        if (stat == YD_STAT_MEDIAN) continue;
        yd_sum_stat(&sum, (enum yd_summary)stat, &type, &value);
        if (type == YD_F64) assert_true(isfinite(value.f64));
    }
    yd_sum_fini(&sum, NULL);
}

static void each_allocation_that_fails_loses_that_point_alone(void **state)
{
    (void)state;
    for (uint64_t at = 1; at < 8; at++) {
        struct yd_alloc_failing failing;
        struct yd_sum sum = {0};
        size_t bytes;
        uint64_t good = 0;
        yd_alloc_failing_init(&failing, at);
        for (int i = 0; i < 100; i++) {
            int error =
                yd_sum_add(&sum, i, YD_I64, (union yd_value){.i64 = i}, true, false, &failing.alloc, SIZE_MAX, &bytes);
            assert_true(error == 0 || error == YD_ENOMEM);
            good += error == 0;
            assert_int_equal(sum.n, good);
            assert_int_equal(sum.point_count, good);
        }
        yd_sum_fini(&sum, &failing.alloc);
        assert_int_equal(failing.bytes_out, 0);
    }
}

/* ---- a model ---- */

enum { NAMES = 5, PER = 64 };
struct model_window {
    int64_t start;
    struct {
        double values[PER];
        int count, seen; /* seen: when it first came, in order */
    } names[NAMES];
    int order;
};
struct model {
    struct model_window windows[64];
    int count;
    int64_t upto;
    uint64_t late;
    struct yd_buf out;
};

static int by_value(const void *a, const void *b)
{
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

static void model_number(struct model *model, int name, const char *stat, double value)
{
    char number[32];
    number[yd_text_put_f64(number, value)] = 0;
    yd_buf_printf(&model->out, "w.output SAMPLE n%d.%s %s\n", name, stat, number);
}

static void model_close(struct model *model, int64_t clock)
{
    int64_t upto = (clock - 5 * YD_NS_PER_S) / (10 * YD_NS_PER_S) * (10 * YD_NS_PER_S);
    if (upto > model->upto) model->upto = upto;
    for (;;) {
        int first = -1;
        for (int i = 0; i < model->count; i++)
            if (first < 0 || model->windows[i].start < model->windows[first].start) first = i;
        if (first < 0 || model->windows[first].start + 10 * YD_NS_PER_S > model->upto) return;
        struct model_window *window = &model->windows[first];
        for (int order = 1; order <= window->order; order++)
            for (int n = 0; n < NAMES; n++) {
                if (window->names[n].seen != order) continue;
                double *values = window->names[n].values, sum = 0;
                int count = window->names[n].count;
                for (int i = 0; i < count; i++) sum += values[i];
                qsort(values, (size_t)count, sizeof *values, by_value);
                model_number(model, n, "n", count);
                model_number(model, n, "min", values[0]);
                model_number(model, n, "max", values[count - 1]);
                model_number(model, n, "sum", sum);
                model_number(model, n, "mean", sum / count);
                model_number(model, n, "median",
                             count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2);
                model_number(model, n, "p90", values[(count * 9 + 9) / 10 - 1]);
            }
        *window = model->windows[--model->count];
    }
}

static void model_add(struct model *model, int name, int64_t time, double value)
{
    int64_t start = time / (10 * YD_NS_PER_S) * (10 * YD_NS_PER_S);
    int at = 0;
    if (start < model->upto) {
        model->late++;
        return;
    }
    while (at < model->count && model->windows[at].start != start) at++;
    if (at == model->count) memset(&model->windows[model->count++], 0, sizeof *model->windows);
    struct model_window *window = &model->windows[at];
    window->start = start;
    if (!window->names[name].seen) window->names[name].seen = ++window->order;
    if (window->names[name].count < PER) window->names[name].values[window->names[name].count++] = value;
}

static void random_records_in_any_order_are_as_a_model_says_also_over_restarts(void **state)
{
    (void)state;
    const char *topology =
        WINDOW("every: 10s, grace: 5s, ahead: 30s, outputs: [n, min, max, sum, mean, median], percentiles: [90]");
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    for (int round = 0; round < 15; round++) {
        struct tested t;
        struct model *model = calloc(1, sizeof *model);
        yd_buf_init(&model->out, NULL);
        model->upto = INT64_MIN;
        tested_open(&t);
        t.listen_to = "w";
        tested_start(&t, topology);
        uint64_t late = 0;
        for (int step = 0; step < 200; step++) {
            struct value values[4];
            char names[4][8];
            size_t count = 1 + yd_rng_below(&rng, 4);
            tested_run(&t,
                       yd_rng_chance(&rng, 10) ? 40 * YD_NS_PER_S : (int64_t)yd_rng_below(&rng, 4000) * YD_NS_PER_MS);
            if (yd_rng_chance(&rng, 40)) {
                late += reason_of(&t, "w", "late: its window was closed");
                tested_drain(&t);
                int64_t gone = yd_sim_now(t.sim);
                tested_stop(&t);
                tested_start(&t, topology);
                tested_run(&t, gone - yd_sim_now(t.sim));
            }
            int64_t now = yd_loop_wall(t.loop);
            model_close(model, now);
            for (size_t i = 0; i < count; i++) {
                int name = (int)yd_rng_below(&rng, NAMES);
                int64_t time = now + (int64_t)yd_rng_below(&rng, 50000) * YD_NS_PER_MS - 25 * YD_NS_PER_S;
                int64_t value = (int64_t)yd_rng_below(&rng, 2000) - 1000;
                bool whole = yd_rng_chance(&rng, 2);
                (void)snprintf(names[i], sizeof names[i], "n%d", name);
                values[i] = (struct value){names[i], YD_SAMPLE, whole ? YD_I64 : YD_F64, time, {.i64 = value}};
                if (!whole) values[i].value.f64 = (double)value / 2;
                model_add(model, name, time, whole ? (double)value : (double)value / 2);
            }
            tested_feed(&t, "w", batch_of(values, count));
        }
        assert_same_text(text_of(&t.out), text_of(&model->out));
        assert_int_equal(late + reason_of(&t, "w", "late: its window was closed"), model->late);
        tested_close(&t);
        yd_buf_fini(&model->out);
        free(model);
    }
}

/* ---- what survives ---- */

static void behind_a_log_power_cuts_in_the_middle_of_windows_neither_lose_nor_double(void **state)
{
    (void)state;
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    for (int round = 0; round < 8; round++) {
        struct tested t;
        int64_t fed = 0, base;
        tested_open(&t);
        tested_start(&t, SOURCE "l :: Log(stream: \"x\") -> Null()\n");
        base = aligned(&t, YD_NS_PER_S);
        for (int i = 0; i < 300; i++) {
            int64_t value = 1 + (int64_t)yd_rng_below(&rng, 50);
            const struct value one = {"a", YD_TALLY, YD_I64, base, {.i64 = value}};
            tested_feed(&t, "l", batch_of(&one, 1));
            fed += value;
        }
        tested_drain(&t);
        tested_stop(&t);
        t.listen_to = "w";
        t.out.size = 0;
        for (int cut = 0; cut < 5; cut++) {
            tested_start(&t, SOURCE "l :: Log(stream: \"x\") -[queue: 64KiB]-> w :: Window(every: 10m) -> Null()\n");
            tested_run(&t, (int64_t)yd_rng_below(&rng, (uint64_t)(600 * YD_NS_PER_MS)));
            tested_crash(&t);
        }
        expect_out(&t, "");
        tested_start(&t, SOURCE "l :: Log(stream: \"x\") -> w :: Window(every: 10m) -> Null()\n");
        tested_run(&t, 1200 * YD_NS_PER_S);
        char wanted[64];
        (void)snprintf(wanted, sizeof wanted, "w.output TALLY a %lld\n", (long long)fed);
        expect_out(&t, wanted);
        tested_close(&t);
    }
}

static void an_end_keeps_open_windows_or_says_them_when_told(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    t.listen_to = "w";
    tested_start(&t, WINDOW("every: 1h"));
    feed_one(&t, "a", YD_TALLY, yd_loop_wall(t.loop), 5);
    tested_drain(&t);
    expect_out(&t, "");
    tested_stop(&t);
    tested_start(&t, WINDOW("every: 1h, at_end: true"));
    feed_one(&t, "a", YD_TALLY, yd_loop_wall(t.loop), 6);
    tested_drain(&t);
    expect_out(&t, "w.output TALLY a 11\n");
    tested_close(&t);
}

static void bytes_that_were_not_saved_by_it_are_refused(void **unused)
{
    (void)unused;
    static struct yd_arg items[] = {{.name = "n", .type = YD_PARAM_TEXT, .text = {"median", 6}}};
    static const struct yd_arg args[] = {{.name = "every", .type = YD_PARAM_DURATION, .i64 = 3600 * YD_NS_PER_S},
                                         {.name = "series", .type = YD_PARAM_INT, .i64 = 100},
                                         {.name = "memory", .type = YD_PARAM_SIZE, .i64 = 1 << 20},
                                         {.name = "outputs", .type = YD_PARAM_LIST, .list = {items, 1}}};
    struct tested t;
    struct yd_rng rng;
    struct yd_node node = {.name = "w", .class = &yd_class_window, .args = {args, 4}};
    struct yd_element element = {.node = &node, .class = &yd_class_window};
    char *data;
    size_t size, at = 0;
    yd_rng_init(&rng, test_seed());
    tested_open(&t);
    tested_start(&t, WINDOW("every: 1h, outputs: [median]"));
    for (int i = 0; i < 5; i++)
        feed_one(&t, i & 1 ? "odd" : "even", (enum yd_kind)(YD_SAMPLE + i % 3), yd_loop_wall(t.loop) + i, i);
    tested_run(&t, YD_NS_PER_S);
    assert_int_equal(yd_fs_read_all(t.fs, "data/state/w.state", SIZE_MAX / 2, &data, &size), 0);
    tested_close(&t);
    const int64_t every = 3600 * YD_NS_PER_S;
    while (at + 16 < size && memcmp(data + at + 8, &every, sizeof every) != 0) at++;
    void *state = malloc(yd_class_window.state_size);
    for (int round = -(int)(size - at); round < 3000; round++) {
        size_t part = round < 0 ? (size_t)-round - 1 : size - at;
        char *copy = malloc(part ? part : 1);
        memcpy(copy, data + at, part);
        for (int i = 0; round > 0 && i < 3; i++) copy[yd_rng_below(&rng, part)] = (char)yd_rng_next(&rng);
        memset(state, 0, yd_class_window.state_size);
        assert_int_equal(yd_class_window.open(&element, state), 0);
        int error = yd_class_window.load(state, 0, (struct yd_str){copy, part});
        if (round == 0) assert_int_equal(error, 0);
        if (round < 0) assert_int_equal(error, YD_EFORMAT);
        yd_class_window.close(state);
        free(copy);
    }
    free(state);
    free(data);
}

static void mistakes_are_refused_before_anything_runs(void **state)
{
    (void)state;
    expect_refused(WINDOW("every: 1m, outputs: [average]"), "outputs: a list of n, min");
    expect_refused(WINDOW("every: 1m, percentiles: [101]"), "percentiles: numbers above 0");
    expect_refused(WINDOW("every: 1ms, grace: 1h"), "more than 10000 windows");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_two_three_three_publish_one_eight),
        cmocka_unit_test(samples_become_what_was_asked_for),
        cmocka_unit_test(late_data_goes_to_its_own_window_while_that_is_open_and_is_counted_after),
        cmocka_unit_test(what_is_not_a_finite_number_is_rejected_and_its_neighbours_count),
        cmocka_unit_test(series_and_memory_are_bounded_and_known_series_go_on),
        cmocka_unit_test(a_rate_knows_wraps_from_resets_and_is_never_infinite),
        cmocka_unit_test(two_points_of_one_time_are_one_and_order_does_not_matter),
        cmocka_unit_test(integers_are_exact_and_extremes_are_finite),
        cmocka_unit_test(each_allocation_that_fails_loses_that_point_alone),
        cmocka_unit_test(random_records_in_any_order_are_as_a_model_says_also_over_restarts),
        cmocka_unit_test(behind_a_log_power_cuts_in_the_middle_of_windows_neither_lose_nor_double),
        cmocka_unit_test(an_end_keeps_open_windows_or_says_them_when_told),
        cmocka_unit_test(bytes_that_were_not_saved_by_it_are_refused),
        cmocka_unit_test(mistakes_are_refused_before_anything_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
