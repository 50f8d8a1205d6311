/* Queries, sentence by sentence. */
#include "../sparse.h"
#include "answers.h"
#include "store/aggregate.h"

#define AT(seconds) ((int64_t)(seconds)*SECOND)

/* "t=v t=v …" */
static void assert_points(const struct answer_group *group, const char *want)
{
    char got[4096] = "";
    assert_non_null(group);
    for (size_t i = 0; i < group->count; i++) {
        size_t at = strlen(got);
        char number[64];
        if (group->points[i].type == YD_I64)
            (void)snprintf(number, sizeof number, "%lld", (long long)group->points[i].value.i64);
        else if (group->points[i].type == YD_U64)
            (void)snprintf(number, sizeof number, "%llu", (unsigned long long)group->points[i].value.u64);
        else
            (void)snprintf(number, sizeof number, "%.10g", group->points[i].value.f64);
        (void)snprintf(got + at, sizeof got - at, "%s%.10g=%s", i ? " " : "", (double)group->points[i].time / 1e9,
                       number);
    }
    assert_string_equal(got, want);
}

struct fixture {
    struct yd_history *history;
    struct yd_builder *builder;
};
static struct fixture open_fixture(void)
{
    return (struct fixture){test_history(&(struct yd_history_options){0}), test_builder()};
}
static void close_fixture(struct fixture *f)
{
    yd_history_destroy(f->history);
    yd_builder_destroy(f->builder);
}

static struct yd_series_query query_for(const char *metric, const char *agg, int64_t start, int64_t end)
{
    return (struct yd_series_query){
        .metric = yd_str_of(metric), .aggregator = aggregator(agg), .start_ns = AT(start), .end_ns = AT(end)};
}

static void expect(struct fixture *f, const struct yd_series_query *query, const char *name, const char *tags,
                   const char *points)
{
    struct answer answer = answer_of(f->history, query);
    assert_int_equal(answer.error, 0);
    assert_int_equal(answer.count, 1);
    assert_string_equal(answer.groups[0].name, name);
    assert_string_equal(answer.groups[0].tags, tags);
    assert_points(&answer.groups[0], points);
    answer_free(&answer);
}

static void one_series_comes_back_as_it_was_stored(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    test_i64(f.builder, "sys.cpu host=a", AT(10), INT64_MIN);
    test_i64(f.builder, "sys.cpu host=a", AT(20), INT64_MAX);
    test_add(f.builder, "sys.cpu host=a", AT(30), YD_U64, UINT64_MAX);
    test_f64(f.builder, "sys.cpu host=a", AT(40), 0.1);
    test_fold(f.history, f.builder);
    struct yd_series_query query = query_for("sys.cpu", "sum", 0, 100);
    query.index = 7;
    expect(&f, &query, "sys.cpu host=a", "",
           "10=-9223372036854775808 20=9223372036854775807 30=18446744073709551615 40=0.1");
    struct answer answer = answer_of(f.history, &query);
    assert_int_equal(answer.groups[0].index, 7);
    answer_free(&answer);
    query.start_ns = AT(20);
    query.end_ns = AT(30);
    expect(&f, &query, "sys.cpu host=a", "", "20=9223372036854775807 30=18446744073709551615");
    close_fixture(&f);
}

static void sum_interpolates_on_a_line_and_zimsum_adds_zero(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    /* as in the documentation: A at t0, t0+20, B at t0+10, t0+30 */
    test_f64(f.builder, "m host=a", AT(100), 5);
    test_f64(f.builder, "m host=a", AT(120), 15);
    test_f64(f.builder, "m host=b", AT(110), 10);
    test_f64(f.builder, "m host=b", AT(130), 20);
    test_fold(f.history, f.builder);
    struct yd_series_query query = query_for("m", "sum", 100, 200);
    expect(&f, &query, "m", "host", "100=5 110=20 120=30 130=20");
    query.aggregator = aggregator("zimsum");
    expect(&f, &query, "m", "host", "100=5 110=10 120=15 130=20");
    query.aggregator = aggregator("pfsum");
    expect(&f, &query, "m", "host", "100=5 110=15 120=25 130=20");
    query.aggregator = aggregator("mimmin");
    expect(&f, &query, "m", "host", "100=5 110=10 120=15 130=20");
    query.aggregator = aggregator("min");
    expect(&f, &query, "m", "host", "100=5 110=10 120=15 130=20");
    query.aggregator = aggregator("max");
    expect(&f, &query, "m", "host", "100=5 110=10 120=15 130=20");
    query.aggregator = aggregator("count");
    expect(&f, &query, "m", "host", "100=1 110=2 120=2 130=1");
    query.aggregator = aggregator("avg");
    expect(&f, &query, "m", "host", "100=5 110=10 120=15 130=20");
    query.aggregator = aggregator("dev");
    expect(&f, &query, "m", "host", "100=0 110=0 120=0 130=0");
    query.aggregator = aggregator("mult");
    expect(&f, &query, "m", "host", "100=5 110=100 120=225 130=20");
    close_fixture(&f);
}

static void group_by_splits_and_tags_tell_what_is_common(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    test_i64(f.builder, "m dc=x,host=a,os=linux", AT(10), 1);
    test_i64(f.builder, "m dc=x,host=b,os=linux", AT(10), 2);
    test_i64(f.builder, "m dc=y,host=c,os=linux", AT(10), 4);
    test_i64(f.builder, "m dc=y,host=c,os=linux,extra=1", AT(10), 8);
    test_i64(f.builder, "m host=d", AT(10), 16);
    test_fold(f.history, f.builder);
    struct yd_series_query query = query_for("m", "sum", 0, 20);
    expect(&f, &query, "m", "dc,extra,host,os", "10=31");
    struct yd_filter by_dc = {YD_FILTER_WILDCARD, YD_STR("dc"), YD_STR("*"), true};
    query.filters = &by_dc;
    query.filter_count = 1;
    struct answer answer = answer_of(f.history, &query);
    assert_int_equal(answer.count, 2);
    assert_string_equal(answer.groups[0].name, "m dc=x,os=linux");
    assert_string_equal(answer.groups[0].tags, "host");
    assert_points(&answer.groups[0], "10=3");
    assert_string_equal(answer.groups[1].name, "m dc=y,host=c,os=linux");
    assert_string_equal(answer.groups[1].tags, "extra");
    assert_points(&answer.groups[1], "10=12");
    answer_free(&answer);
    struct yd_filter not_x = {YD_FILTER_NOT_LITERAL_OR, YD_STR("dc"), YD_STR("x|z"), true};
    query.filters = &not_x;
    answer = answer_of(f.history, &query);
    assert_int_equal(answer.count, 2);
    assert_points(answer_find(&answer, "m dc=y,host=c,os=linux"), "10=12");
    assert_points(answer_find(&answer, "m host=d"), "10=16");
    answer_free(&answer);
    query.filters = &by_dc;
    query.none = true;
    answer = answer_of(f.history, &query);
    assert_int_equal(answer.count, 4);
    assert_points(answer_find(&answer, "m dc=y,extra=1,host=c,os=linux"), "10=8");
    answer_free(&answer);
    close_fixture(&f);
}

static size_t matches(struct fixture *f, enum yd_filter_type type, const char *key, const char *expression)
{
    struct yd_filter filter = {type, yd_str_of(key), yd_str_of(expression), true};
    struct yd_series_query query = query_for("m", "sum", 0, 20);
    query.filters = &filter;
    query.filter_count = 1;
    query.none = true;
    struct answer answer = answer_of(f->history, &query);
    assert_int_equal(answer.error, 0);
    size_t count = answer.count;
    answer_free(&answer);
    return count;
}

static void filters_match_as_they_say(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    const char *hosts[] = {"web01", "web02", "WEB03", "db01.lga", "db02.sfo", "a.b.a"};
    for (size_t i = 0; i < YD_COUNT(hosts); i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "m host=%s", hosts[i]);
        test_i64(f.builder, name, AT(10), 1);
    }
    test_i64(f.builder, "m rack=1", AT(10), 1);
    test_i64(f.builder, "m host=with\\,comma", AT(10), 1);
    test_i64(f.builder, "other host=web01", AT(10), 1);
    test_fold(f.history, f.builder);
    assert_int_equal(matches(&f, YD_FILTER_LITERAL_OR, "host", "web01"), 1);
    assert_int_equal(matches(&f, YD_FILTER_LITERAL_OR, "host", "web01|web02|nobody"), 2);
    assert_int_equal(matches(&f, YD_FILTER_LITERAL_OR, "host", "with,comma"), 1);
    assert_int_equal(matches(&f, YD_FILTER_LITERAL_OR, "host", "web03"), 0);
    assert_int_equal(matches(&f, YD_FILTER_ILITERAL_OR, "host", "web03|WEB01"), 2);
    assert_int_equal(matches(&f, YD_FILTER_NOT_LITERAL_OR, "host", "web01|web02"), 6);
    assert_int_equal(matches(&f, YD_FILTER_NOT_ILITERAL_OR, "host", "web01|web02|web03"), 5);
    assert_int_equal(matches(&f, YD_FILTER_WILDCARD, "host", "*"), 7);
    assert_int_equal(matches(&f, YD_FILTER_WILDCARD, "host", "web*"), 2);
    assert_int_equal(matches(&f, YD_FILTER_IWILDCARD, "host", "web*"), 3);
    assert_int_equal(matches(&f, YD_FILTER_WILDCARD, "host", "*01*"), 2);
    assert_int_equal(matches(&f, YD_FILTER_WILDCARD, "host", "a*b*a"), 1);
    assert_int_equal(matches(&f, YD_FILTER_WILDCARD, "host", "a*a*a"), 0);
    assert_int_equal(matches(&f, YD_FILTER_WILDCARD, "host", "lga*db"), 0); /* order counts */
    assert_int_equal(matches(&f, YD_FILTER_WILDCARD, "host", "web0?"), 0);  /* only the star is special */
    assert_int_equal(matches(&f, YD_FILTER_REGEXP, "host", "b0[12]"), 4);
    assert_int_equal(matches(&f, YD_FILTER_REGEXP, "host", "^web|sfo$"), 3);
    assert_int_equal(matches(&f, YD_FILTER_NOT_KEY, "host", ""), 1);
    assert_int_equal(matches(&f, YD_FILTER_LITERAL_OR, "nokey", "x"), 0);
    assert_int_equal(matches(&f, YD_FILTER_NOT_LITERAL_OR, "nokey", "x"), 8);
    close_fixture(&f);
}

static void lists_of_literals_choose_each_series_once_however_long(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    char list[4096] = "", name[64];
    for (int i = 0; i < 400; i++) {
        (void)snprintf(name, sizeof name, "m host=h%d,dc=%d", i, i % 2);
        test_i64(f.builder, name, AT(10), 1);
        (void)snprintf(name, sizeof name, "other host=h%d", i);
        test_i64(f.builder, name, AT(10), 1);
    }
    test_fold(f.history, f.builder);
    assert_int_equal(matches(&f, YD_FILTER_LITERAL_OR, "host", "h7|h7|h9|nobody|0|h7"), 2); /* 0: a value elsewhere */
    assert_int_equal(matches(&f, YD_FILTER_LITERAL_OR, "host", "nobody|0"), 0);
    assert_int_equal(matches(&f, YD_FILTER_LITERAL_OR, "dc", "1|0|1"), 400);
    for (size_t i = 0; i < 300; i++) { /* each twice, and on both sides of what is looked up one by one */
        size_t size = strlen(list);
        (void)snprintf(list + size, sizeof list - size, "%sh%zu|h%zu", i ? "|" : "", i, i / 2);
        assert_int_equal(matches(&f, YD_FILTER_LITERAL_OR, "host", list), i + 1);
    }
    close_fixture(&f);
}

static void bad_and_costly_expressions_are_refused_with_a_reason(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    test_i64(f.builder, "m host=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", AT(10), 1);
    test_fold(f.history, f.builder);
    struct yd_filter filter = {YD_FILTER_REGEXP, YD_STR("host"), YD_STR("a(b"), true};
    struct yd_series_query query = query_for("m", "sum", 0, 20);
    query.filters = &filter;
    query.filter_count = 1;
    struct answer answer = answer_of(f.history, &query);
    assert_int_equal(answer.error, YD_EFORMAT);
    assert_non_null(strstr(yd_trail_text(&answer.trail), "a(b"));
    filter.expression = YD_STR("(a+)+$x|(a+a+)+b");
    answer = answer_of(f.history, &query);
    assert_int_equal(answer.error, YD_ETOOBIG);
    assert_non_null(strstr(yd_trail_text(&answer.trail), "too many steps"));
    query.metric = YD_STR("unknown");
    answer = answer_of(f.history, &query);
    assert_int_equal(answer.error, YD_ENOENT);
    assert_string_equal(yd_trail_text(&answer.trail), "No such name for 'metrics': 'unknown'");
    query = query_for("m", "sum", 20, 10);
    answer = answer_of(f.history, &query);
    assert_int_equal(answer.error, YD_EINVAL);
    query = query_for("m", "sum", 10, 20);
    query.aggregator = 10000;
    answer = answer_of(f.history, &query);
    assert_int_equal(answer.error, YD_EINVAL);
    query = query_for("m", "sum", 10, 20);
    query.downsample.interval_ns = -5;
    answer = answer_of(f.history, &query);
    assert_int_equal(answer.error, YD_EINVAL);
    close_fixture(&f);
}

static void explicit_tags_wants_exactly_these_keys(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    test_i64(f.builder, "m host=a", AT(10), 1);
    test_i64(f.builder, "m dc=x,host=a", AT(10), 2);
    test_i64(f.builder, "m", AT(10), 4);
    test_fold(f.history, f.builder);
    struct yd_filter filter = {YD_FILTER_WILDCARD, YD_STR("host"), YD_STR("*"), true};
    struct yd_series_query query = query_for("m", "sum", 0, 20);
    query.filters = &filter;
    query.filter_count = 1;
    query.explicit_tags = true;
    expect(&f, &query, "m host=a", "", "10=1");
    query.filter_count = 0;
    expect(&f, &query, "m", "", "10=4");
    query.explicit_tags = false;
    expect(&f, &query, "m", "dc,host", "10=7");
    close_fixture(&f);
}

static void downsampling_aligns_to_the_epoch_and_drops_the_cut_first_bucket(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    for (int i = 0; i < 12; i++) test_i64(f.builder, "m host=a", AT(60 + i * 10), i);
    test_fold(f.history, f.builder);
    struct yd_series_query query = query_for("m", "sum", 60, 170);
    query.downsample = (struct yd_downsample){AT(60), aggregator("sum"), YD_FILL_NONE};
    expect(&f, &query, "m host=a", "", "60=15 120=51");
    query.start_ns = AT(61);
    query.end_ns = AT(125); /* the bucket that holds the end is whole */
    expect(&f, &query, "m host=a", "", "120=51");
    query.downsample.aggregator = aggregator("avg");
    query.start_ns = AT(0);
    expect(&f, &query, "m host=a", "", "60=2.5 120=8.5");
    query.downsample.aggregator = aggregator("count");
    expect(&f, &query, "m host=a", "", "60=6 120=6");
    query.downsample.aggregator = aggregator("p50");
    expect(&f, &query, "m host=a", "", "60=2.5 120=8.5");
    query.downsample.aggregator = aggregator("median");
    expect(&f, &query, "m host=a", "", "60=3 120=9");
    query.downsample.aggregator = aggregator("diff");
    expect(&f, &query, "m host=a", "", "60=5 120=5");
    query.downsample = (struct yd_downsample){INT64_MAX, aggregator("sum"), YD_FILL_NONE};
    query.start_ns = AT(70);
    query.end_ns = AT(100);
    expect(&f, &query, "m host=a", "", "70=10"); /* 1 + 2 + 3 + 4 */
    close_fixture(&f);
}

static void many_values_at_once_come_to_the_same_as_one_after_the_other(void **state)
{
    (void)state;
    static const double odd[] = {NAN, INFINITY, -INFINITY, 0, -0.0, 1e300, -1e300};
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    for (int round = 0; round < 20000; round += UNIT_SPARSE) {
        double values[100];
        uint32_t count = 1 + (uint32_t)yd_rng_below(&rng, YD_COUNT(values)), rare = (uint32_t)yd_rng_below(&rng, 3);
        for (uint32_t i = 0; i < count; i++) {
            values[i] = (double)yd_rng_below(&rng, 2000) / 8 - 125; /* sums are exact */
            if (rare && yd_rng_chance(&rng, rare * 40))
                values[i] = odd[yd_rng_below(&rng, YD_COUNT(odd) - (rare > 1) * 2)];
        }
        for (uint8_t op = YD__OP_SUM; op <= YD__OP_NONE; op++) {
            struct yd__cell one = {0}, all = {0};
            uint32_t half = (uint32_t)yd_rng_below(&rng, count + 1);
            for (uint32_t i = 0; i < count; i++) yd__cell_add(&one, op, values[i]);
            yd__cell_add_all(&all, op, values, half);
            yd__cell_add_all(&all, op, values + half, count - half);
            assert_int_equal(one.count, all.count);
            bool same = one.a == all.a || (isnan(one.a) && isnan(all.a)) || fabs(one.a - all.a) <= 1e-9 * fabs(one.a);
            /* 1e300 and -1e300: what is in between is lost in any order, but not the same */
            if (!same && !(fabs(one.a - all.a) < 1e290)) fail_msg("op %d of %u: %g and %g", op, count, one.a, all.a);
        }
    }
}

static void fill_policies_make_the_grid_whole(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    test_i64(f.builder, "m host=a", AT(60), 1);
    test_i64(f.builder, "m host=a", AT(180), 3);
    test_i64(f.builder, "m host=b", AT(120), 10);
    test_fold(f.history, f.builder);
    struct yd_series_query query = query_for("m", "sum", 60, 240);
    query.downsample = (struct yd_downsample){AT(60), aggregator("sum"), YD_FILL_NONE};
    expect(&f, &query, "m", "host", "60=1 120=12 180=3");
    query.downsample.fill = YD_FILL_ZERO;
    expect(&f, &query, "m", "host", "60=1 120=10 180=3 240=0");
    query.downsample.fill = YD_FILL_NAN;
    expect(&f, &query, "m", "host", "60=1 120=10 180=3 240=nan");
    struct yd_filter one = {YD_FILTER_LITERAL_OR, YD_STR("host"), YD_STR("a"), true};
    query.filters = &one;
    query.filter_count = 1;
    query.downsample.fill = YD_FILL_NULL;
    expect(&f, &query, "m host=a", "", "60=1 120=nan 180=3 240=nan");
    close_fixture(&f);
}

static void rate_is_per_second_and_knows_counters(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    int64_t values[] = {100, 200, 50, 150};
    for (int i = 0; i < 4; i++) test_i64(f.builder, "c host=a", AT(7200 + i * 10), values[i]);
    test_fold(f.history, f.builder);
    struct yd_series_query query = query_for("c", "sum", 7200, 7300);
    query.rate = true;
    expect(&f, &query, "c host=a", "", "7210=10 7220=-15 7230=10");
    query.rate_options = (struct yd_rate_options){.counter = true, .counter_max = 255};
    expect(&f, &query, "c host=a", "", "7210=10 7220=10.5 7230=10");
    query.rate_options.reset_value = 10;
    expect(&f, &query, "c host=a", "", "7210=10 7220=0 7230=10");
    query.rate_options = (struct yd_rate_options){.counter = true, .drop_resets = true};
    expect(&f, &query, "c host=a", "", "7210=10 7230=10");
    query.start_ns = AT(7215); /* the point before it, in the same hour, primes the first rate */
    expect(&f, &query, "c host=a", "", "7230=10");
    query.rate_options = (struct yd_rate_options){0};
    expect(&f, &query, "c host=a", "", "7220=-15 7230=10");
    query.start_ns = AT(7200);
    query.downsample = (struct yd_downsample){AT(20), aggregator("max"), YD_FILL_NONE};
    expect(&f, &query, "c host=a", "", "7220=-2.5"); /* downsampled first: 200, 150 */
    close_fixture(&f);
}

static void rates_of_large_counters_are_exact(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    test_add(f.builder, "c", AT(10), YD_U64, UINT64_MAX - 10);
    test_add(f.builder, "c", AT(20), YD_U64, UINT64_MAX);
    test_i64(f.builder, "i", AT(10), INT64_MAX - 5);
    test_i64(f.builder, "i", AT(20), INT64_MAX);
    test_fold(f.history, f.builder);
    struct yd_series_query query = query_for("c", "sum", 0, 100);
    query.rate = true;
    expect(&f, &query, "c", "", "20=1");
    query.metric = YD_STR("i");
    expect(&f, &query, "i", "", "20=0.5");
    close_fixture(&f);
}

static void points_of_a_second_collapse_unless_milliseconds_are_asked_for(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    test_i64(f.builder, "m host=a", AT(10), 1);
    test_i64(f.builder, "m host=a", AT(10) + 500 * YD_NS_PER_MS, 2);
    test_i64(f.builder, "m host=a", AT(11) + 250 * YD_NS_PER_MS, INT64_MAX);
    test_fold(f.history, f.builder);
    struct yd_series_query query = query_for("m", "sum", 0, 100);
    expect(&f, &query, "m host=a", "", "10=3 11=9223372036854775807");
    query.aggregator = aggregator("max");
    expect(&f, &query, "m host=a", "", "10=2 11=9223372036854775807");
    query.milliseconds = true;
    expect(&f, &query, "m host=a", "", "10=1 10.5=2 11.25=9223372036854775807");
    query.milliseconds = false;
    query.none = true;
    expect(&f, &query, "m host=a", "", "10=2 11=9223372036854775807");
    query.none = false;
    query.downsample = (struct yd_downsample){100 * YD_NS_PER_MS, aggregator("min"), YD_FILL_NONE};
    expect(&f, &query, "m host=a", "", "10=1 11=9.223372037e+18");
    close_fixture(&f);
}

static void limits_say_what_to_narrow(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    for (int i = 0; i < 20; i++)
        for (int t = 0; t < 1000; t++) {
            char name[32];
            (void)snprintf(name, sizeof name, "m host=%d", i);
            test_i64(f.builder, name, AT(t + 1) + i, t);
        }
    test_fold(f.history, f.builder);
    struct yd_series_query query = query_for("m", "sum", 0, 2000);
    query.series_max = 10;
    struct answer answer = answer_of(f.history, &query);
    assert_int_equal(answer.error, YD_ETOOBIG);
    assert_non_null(strstr(yd_trail_text(&answer.trail), "more than 10 series"));
    answer_free(&answer);
    query.series_max = 0;
    query.points_max = 1500;
    query.milliseconds = true;
    answer = answer_of(f.history, &query);
    assert_int_equal(answer.error, YD_ETOOBIG);
    assert_non_null(strstr(yd_trail_text(&answer.trail), "downsample"));
    answer_free(&answer);
    query.points_max = 0;
    query.read_max = 5000;
    answer = answer_of(f.history, &query);
    assert_int_equal(answer.error, YD_ETOOBIG);
    assert_non_null(strstr(yd_trail_text(&answer.trail), "reads more than 5000"));
    answer_free(&answer);
    query = query_for("m", "sum", 0, 2000000000);
    query.downsample = (struct yd_downsample){SECOND, aggregator("sum"), YD_FILL_ZERO};
    answer = answer_of(f.history, &query);
    assert_int_equal(answer.error, YD_ETOOBIG);
    answer_free(&answer);
    query.downsample.fill = YD_FILL_NONE; /* no grid where nothing is */
    answer = answer_of(f.history, &query);
    assert_int_equal(answer.error, 0);
    assert_int_equal(answer.groups[0].count, 1000);
    answer_free(&answer);
    close_fixture(&f);
}

static void the_whole_of_time_can_be_asked_for(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    test_i64(f.builder, "m", -AT(100), 1);
    test_i64(f.builder, "m", AT(100), 2);
    test_fold(f.history, f.builder);
    struct yd_series_query query = query_for("m", "sum", 0, 0);
    query.start_ns = INT64_MIN;
    query.end_ns = INT64_MAX;
    expect(&f, &query, "m", "", "-100=1 100=2");
    query.downsample = (struct yd_downsample){AT(60), aggregator("sum"), YD_FILL_NONE};
    expect(&f, &query, "m", "", "-120=1 60=2");
    query.downsample.interval_ns = INT64_MAX / 256;
    struct answer answer = answer_of(f.history, &query);
    assert_int_equal(answer.error, 0);
    answer_free(&answer);
    query.downsample.interval_ns = INT64_MAX;
    answer = answer_of(f.history, &query);
    assert_int_equal(answer.groups[0].count, 1);
    assert_true(answer.groups[0].points[0].value.f64 == 3);
    answer_free(&answer);
    close_fixture(&f);
}

static void folds_between_steps_neither_repeat_nor_tear(void **state)
{
    (void)state;
    enum { SERIES = 1200 };
    struct fixture f = open_fixture();
    for (int i = 0; i < SERIES; i++)
        for (int t = 1; t <= 700; t++) {
            char name[32];
            (void)snprintf(name, sizeof name, "m host=%d", i);
            test_i64(f.builder, name, AT(t * 10), 1);
        }
    test_fold(f.history, f.builder);
    struct yd_series_query query = query_for("m", "sum", 0, 7000);
    for (int down = 0; down < 2; down++) {
        query.downsample = (struct yd_downsample){down ? AT(10) : 0, aggregator("count"), YD_FILL_NONE};
        struct answer answer = {0};
        struct yd_query_run *run;
        assert_int_equal(yd_query_start(f.history, &query, &run, NULL), 0);
        int more, step = 0;
        do {
            struct yd_batch *batch;
            more = yd_query_step(run, &batch, NULL);
            if (batch) answer_take(&answer, batch);
            yd_batch_unref(batch);
            /* old points again, new points behind, new series, one that goes */
            for (int i = 0; i < SERIES; i += 7) {
                char name[32];
                (void)snprintf(name, sizeof name, "m host=%d", i);
                test_i64(f.builder, name, AT(10 + (step * 37 % 690) * 10), 1);
                test_i64(f.builder, name, AT(7010 + step + down * 1000), 1);
            }
            test_i64(f.builder, "m new=1", AT(8000 + step), 1);
            test_fold(f.history, f.builder);
            step++;
        } while (more > 0);
        assert_int_equal(more, 0);
        assert_true(step >= 2);
        yd_query_destroy(run);
        assert_int_equal(answer.count, 1);
        assert_int_equal(answer.groups[0].count, 700);
        for (size_t i = 0; i < 700; i++) assert_true(answer_number(&answer.groups[0].points[i]) == SERIES);
        answer_free(&answer);
    }
    close_fixture(&f);
}

static void series_that_go_during_a_query_are_left_out(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    for (int i = 0; i < 5000; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "m host=%d", i);
        for (int t = 1; t < 40; t++) test_i64(f.builder, name, AT(t), 1);
    }
    test_fold(f.history, f.builder);
    struct yd_series_query query = query_for("m", "sum", 0, 100);
    query.none = true;
    struct yd_query_run *run;
    assert_int_equal(yd_query_start(f.history, &query, &run, NULL), 0);
    struct answer answer = {0};
    struct yd_batch *batch;
    int more;
    for (int step = 0; (more = yd_query_step(run, &batch, NULL)) > 0; step++) {
        if (batch) answer_take(&answer, batch);
        yd_batch_unref(batch);
        for (int i = 0; step == 1 && i < 5000; i++) {
            char name[32];
            (void)snprintf(name, sizeof name, "m host=%d", i);
            uint32_t index;
            assert_true(yd_builder_name(f.builder, yd_str_of(name), &index) >= 0);
            assert_true(yd_builder_add(f.builder, AT(50), index, YD_SAMPLE, YD_NIL, YD_RECORD_TOMBSTONE,
                                       (union yd_value){0}) >= 0);
        }
        if (step == 1) test_fold(f.history, f.builder);
    }
    assert_int_equal(more, 0);
    if (batch) answer_take(&answer, batch);
    yd_batch_unref(batch);
    assert_true(answer.count < 5000);
    for (size_t i = 0; i < answer.count; i++) assert_int_equal(answer.groups[i].count, 39);
    yd_query_destroy(run);
    answer_free(&answer);
    close_fixture(&f);
}

static void every_failed_allocation_of_a_query_is_survived(void **state)
{
    (void)state;
    struct yd_alloc_failing failing;
    yd_alloc_failing_init(&failing, 0);
    struct yd_history *history = test_history(&(struct yd_history_options){.alloc = &failing.alloc});
    struct yd_builder *builder = test_builder();
    for (int i = 0; i < 30; i++)
        for (int t = 1; t < 300; t++) {
            char name[32];
            (void)snprintf(name, sizeof name, "m dc=%d,host=%d", i % 3, i);
            test_f64(builder, name, AT(t * 10) + i % 7, t + i);
        }
    test_fold(history, builder);
    struct yd_filter filter = {YD_FILTER_REGEXP, YD_STR("dc"), YD_STR("[012]"), true};
    for (int kind = 0; kind < 3; kind++) {
        struct yd_series_query query = query_for("m", kind == 2 ? "p90" : "sum", 0, 4000);
        query.milliseconds = true;
        query.filters = &filter;
        query.filter_count = 1;
        if (kind == 1) query.downsample = (struct yd_downsample){AT(60), aggregator("median"), YD_FILL_NAN};
        int64_t before = failing.bytes_out;
        bool done = false;
        for (uint64_t fail_at = 1; !done; fail_at++) {
            failing.calls = 0;
            failing.fail_at = fail_at;
            struct answer answer = answer_of(history, &query);
            failing.fail_at = 0;
            done = answer.error == 0;
            if (!done)
                assert_int_equal(answer.error, YD_ENOMEM);
            else
                assert_int_equal(answer.count, 3);
            answer_free(&answer);
            assert_true(failing.bytes_out == before);
        }
    }
    yd_history_destroy(history);
    yd_builder_destroy(builder);
    assert_true(failing.bytes_out == 0);
}

/* ---- words and newest values ---- */

struct words {
    char text[4096];
    int count;
};
static void add_word(void *arg, struct yd_str text)
{
    struct words *words = arg;
    size_t at = strlen(words->text);
    (void)snprintf(words->text + at, sizeof words->text - at, "%s%.*s", words->count++ ? " | " : "", YD_STR_FMT(text));
}

static void suggest_is_sorted_by_prefix_and_bounded(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    test_i64(f.builder, "sys.mem host=b", AT(1), 1);
    test_i64(f.builder, "sys.cpu host=c", AT(1), 1);
    test_i64(f.builder, "sys.cpu.user dc=a,host=a", AT(1), 1);
    test_i64(f.builder, "app host=b", AT(1), 1);
    test_i64(f.builder, "with\\ space host=x\\,y", AT(1), 1);
    test_fold(f.history, f.builder);
    struct words words = {0};
    assert_int_equal(yd_history_suggest(f.history, YD_SUGGEST_METRICS, YD_STR("sys."), false, 25, add_word, &words), 0);
    assert_string_equal(words.text, "sys.cpu | sys.cpu.user | sys.mem");
    words = (struct words){0};
    assert_int_equal(yd_history_suggest(f.history, YD_SUGGEST_METRICS, YD_STR(""), false, 3, add_word, &words), 0);
    assert_string_equal(words.text, "app | sys.cpu | sys.cpu.user");
    words = (struct words){0};
    assert_int_equal(yd_history_suggest(f.history, YD_SUGGEST_TAGK, YD_STR(""), false, 25, add_word, &words), 0);
    assert_string_equal(words.text, "dc | host");
    words = (struct words){0};
    assert_int_equal(yd_history_suggest(f.history, YD_SUGGEST_TAGV, YD_STR(""), false, 25, add_word, &words), 0);
    assert_string_equal(words.text, "a | b | c | x,y");
    words = (struct words){0};
    assert_int_equal(yd_history_suggest(f.history, YD_SUGGEST_METRICS, YD_STR("with s"), false, 25, add_word, &words),
                     0);
    assert_string_equal(words.text, "with space");
    words = (struct words){0};
    assert_int_equal(yd_history_suggest(f.history, YD_SUGGEST_METRICS, YD_STR("th s"), false, 25, add_word, &words), 0);
    struct words anywhere = {0};
    assert_int_equal(yd_history_suggest(f.history, YD_SUGGEST_METRICS, YD_STR("th s"), true, 25, add_word, &anywhere),
                     0);
    assert_int_equal(anywhere.count, 1);
    assert_int_equal(yd_history_suggest(f.history, YD_SUGGEST_METRICS, YD_STR("nothing"), false, 25, add_word, &words),
                     0);
    assert_int_equal(yd_history_suggest(f.history, YD_SUGGEST_METRICS, YD_STR(""), false, 0, add_word, &words), 0);
    assert_int_equal(words.count, 0);
    close_fixture(&f);
}

/* All steps of a run, the first `limit` of what it finds. */
struct found {
    struct words *words;
    uint64_t limit, total;
    unsigned steps;
};

static bool add_found(void *arg, struct yd_str name, int64_t time_ns, enum yd_type type, union yd_value value)
{
    struct found *found = arg;
    char text[256];
    (void)snprintf(text, sizeof text, "%.*s", YD_STR_FMT(name));
    if (type != YD_NIL)
        (void)snprintf(text, sizeof text, "%.*s@%lld=%s:%lld", YD_STR_FMT(name), (long long)(time_ns / SECOND),
                       yd_type_name(type), (long long)(type == YD_F64 ? (int64_t)value.f64 : value.i64));
    if (found->total++ < found->limit) add_word(found->words, yd_str_of(text));
    return true;
}

static int all_steps(struct yd_names_run *run, struct found *found)
{
    int r = 1;
    for (; r > 0; found->steps++) r = yd_names_step(run, add_found, found, NULL);
    yd_names_destroy(run);
    return r;
}

static int lookup(struct yd_history *history, struct yd_str metric, const struct yd_filter *filters, size_t count,
                  uint64_t limit, struct words *words, uint64_t *ret_total)
{
    struct yd_series_query query = {.metric = metric, .filters = filters, .filter_count = count};
    struct found found = {.words = words, .limit = limit};
    struct yd_names_run *run;
    int r = yd_lookup_start(history, &query, &run, NULL);
    if (r == 0) r = all_steps(run, &found);
    *ret_total = found.total;
    return r;
}

static int last(struct yd_history *history, const char *pattern, uint64_t limit, struct words *words)
{
    struct found found = {.words = words, .limit = limit};
    struct yd_names_run *run;
    int r = yd_last_start_all(history, yd_str_of(pattern), &run);
    return r == 0 ? all_steps(run, &found) : r;
}

/* What lies between the first and the last cell is more than a signed number holds. */
static void a_group_over_all_of_time_has_its_points_where_they_are(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    const int64_t year = INT64_C(365) * 86400 * SECOND, ends[] = {-280 * year, -year, 0, 3 * year, 285 * year};
    for (unsigned i = 0; i < YD_COUNT(ends); i++) {
        test_i64(f.builder, "m host=a", ends[i] + 5 * SECOND, i);
        test_i64(f.builder, "m host=b", ends[i] + 6 * SECOND, 10 * i);
    }
    test_fold(f.history, f.builder);
    struct yd_series_query query = {.start_ns = INT64_MIN, .end_ns = INT64_MAX, .metric = YD_STR("m")};
    assert_int_equal(yd_aggregator_find(YD_STR("zimsum"), &query.aggregator), 0);
    assert_int_equal(yd_aggregator_find(YD_STR("max"), &query.downsample.aggregator), 0);
    query.downsample.interval_ns = year;
    for (unsigned fill = 0; fill < 2; fill++) {
        query.downsample.fill = fill ? YD_FILL_ZERO : YD_FILL_NONE;
        struct answer answer = answer_of(f.history, &query);
        assert_int_equal(answer.error, 0);
        assert_int_equal(answer.count, 1);
        assert_true(answer.groups[0].count >= (fill ? 570 : 5));
        for (unsigned i = 0, k = 0; i < YD_COUNT(ends); i++, k++) {
            while (k < answer.groups[0].count && answer.groups[0].points[k].time != ends[i]) k++;
            assert_true(k < answer.groups[0].count);
            assert_true(answer.groups[0].points[k].value.f64 == 11.0 * i);
        }
        answer_free(&answer);
    }
    close_fixture(&f);
}

static void lookup_finds_series_by_their_tags(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    test_i64(f.builder, "cpu dc=x,host=a", AT(1), 1);
    test_i64(f.builder, "cpu dc=y,host=b", AT(1), 1);
    test_i64(f.builder, "cpu dc=x", AT(1), 1);
    test_i64(f.builder, "mem host=a", AT(1), 1);
    test_fold(f.history, f.builder);
    struct words words = {0};
    uint64_t total;
    struct yd_filter filters[] = {{YD_FILTER_WILDCARD, YD_STR("host"), YD_STR("*"), false},
                                  {YD_FILTER_LITERAL_OR, YD_STR("dc"), YD_STR("x"), false}};
    assert_int_equal(lookup(f.history, YD_STR("cpu"), filters, 1, 10, &words, &total), 0);
    assert_string_equal(words.text, "cpu dc=x,host=a | cpu dc=y,host=b");
    assert_int_equal(total, 2);
    words = (struct words){0};
    assert_int_equal(lookup(f.history, YD_STR("cpu"), filters, 2, 10, &words, &total), 0);
    assert_string_equal(words.text, "cpu dc=x,host=a");
    words = (struct words){0};
    assert_int_equal(lookup(f.history, YD_STR("*"), filters, 1, 1, &words, &total), 0);
    assert_int_equal(words.count, 1);
    assert_int_equal(total, 3);
    words = (struct words){0};
    assert_int_equal(lookup(f.history, YD_STR(""), filters + 1, 1, 10, &words, &total), 0);
    assert_string_equal(words.text, "cpu dc=x,host=a | cpu dc=x");
    assert_int_equal(lookup(f.history, YD_STR("no"), NULL, 0, 10, &words, &total), YD_ENOENT);
    filters[0].key = YD_STR("nokey");
    assert_int_equal(lookup(f.history, YD_STR("cpu"), filters, 1, 10, &words, &total), YD_ENOENT);
    close_fixture(&f);
}

static void last_gives_the_newest_value_as_it_came(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    for (int i = 1; i <= 128; i++) test_i64(f.builder, "a k=1", AT(i), i); /* just sealed or about to be */
    test_i64(f.builder, "a k=2", AT(9), 1);
    test_i64(f.builder, "a k=2", AT(5), 2);
    test_f64(f.builder, "b k=1", AT(9), 1);
    test_f64(f.builder, "b k=1", AT(9), 7);
    test_fold(f.history, f.builder);
    struct words words = {0};
    assert_int_equal(last(f.history, "a", 10, &words), 0);
    char want[256];
    (void)snprintf(want, sizeof want, "a k=1@128=%s:128 | a k=2@9=%s:1", yd_type_name(YD_I64), yd_type_name(YD_I64));
    assert_string_equal(words.text, want);
    words = (struct words){0};
    assert_int_equal(last(f.history, "", 10, &words), 0);
    assert_int_equal(words.count, 3);
    (void)snprintf(want, sizeof want, "b k=1@9=%s:7", yd_type_name(YD_F64));
    assert_non_null(strstr(words.text, want));
    words = (struct words){0};
    assert_int_equal(last(f.history, "", 1, &words), 0);
    assert_int_equal(words.count, 1);
    assert_int_equal(last(f.history, "a {", 1, &words), YD_EFORMAT);
    close_fixture(&f);
}

static struct words last_of(struct fixture *f, const struct yd_series_query *query, int error)
{
    struct words words = {0};
    struct yd_trail trail = {0};
    struct found found = {.words = &words, .limit = 99};
    struct yd_names_run *run;
    int r = yd_last_start(f->history, query, &run, &trail);
    if (r == 0) r = all_steps(run, &found);
    assert_int_equal(r, error);
    assert_true(!error || *yd_trail_text(&trail));
    return words;
}

static void last_of_series_by_tags_or_tsuid_and_not_too_old(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    test_i64(f.builder, "a k=1", AT(5), 1);
    test_i64(f.builder, "a k=2", AT(9), 2);
    test_i64(f.builder, "b k=1", AT(7), 3);
    test_fold(f.history, f.builder);
    const char *i64 = yd_type_name(YD_I64);
    char want[256];
    struct yd_filter filter = {YD_FILTER_LITERAL_OR, YD_STR("k"), YD_STR("2"), true};
    struct yd_series_query query = {.metric = YD_STR("a"), .start_ns = INT64_MIN};
    (void)snprintf(want, sizeof want, "a k=1@5=%s:1 | a k=2@9=%s:2", i64, i64);
    assert_string_equal(last_of(&f, &query, 0).text, want);
    query.start_ns = AT(6);
    (void)snprintf(want, sizeof want, "a k=2@9=%s:2", i64);
    assert_string_equal(last_of(&f, &query, 0).text, want);
    query = (struct yd_series_query){.metric = YD_STR("a"), .filters = &filter, .filter_count = 1};
    assert_string_equal(last_of(&f, &query, 0).text, want);
    query.metric = YD_STR("no");
    assert_int_equal(last_of(&f, &query, YD_ENOENT).count, 0);
    /* By number, whatever else the question says; what nobody has is passed over. */
    const uint64_t tsuids[] = {yd_history_tsuid(YD_STR("b k=1")), 77, yd_history_tsuid(YD_STR("a k=1"))};
    query.tsuids = tsuids;
    query.tsuid_count = 3;
    (void)snprintf(want, sizeof want, "a k=1@5=%s:1 | b k=1@7=%s:3", i64, i64);
    assert_string_equal(last_of(&f, &query, 0).text, want);
    close_fixture(&f);
}

struct marks {
    uint8_t *seen;
    uint32_t taken;
};

static bool mark(void *arg, struct yd_str name, int64_t time_ns, enum yd_type type, union yd_value value)
{
    struct marks *marks = arg;
    static const char before[] = "many host=";
    uint64_t number;
    (void)time_ns, (void)type, (void)value;
    assert_true(yd_str_starts(name, YD_STR("many host=")));
    assert_int_equal(
        yd_text_u64((struct yd_str){name.data + sizeof before - 1, name.size - sizeof before + 1}, &number), 0);
    assert_false(marks->seen[number]); /* never twice */
    marks->seen[number] = 1;
    marks->taken++;
    return true;
}

/* Series come and go between the steps: those that were there all the time are found once, others at most once. */
static void names_are_found_once_in_slices_while_series_come_and_go(void **state)
{
    (void)state;
    enum { MANY = 40000, MORE = 2000 };
    struct fixture f = open_fixture();
    char name[64];
    for (unsigned i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof name, "many host=%u", i);
        test_i64(f.builder, name, AT(1), i);
        if (i % 1000 == 999) test_fold(f.history, f.builder);
    }
    struct yd_filter all = {YD_FILTER_WILDCARD, YD_STR("host"), YD_STR("*"), false};
    struct yd_filter some = {YD_FILTER_REGEXP, YD_STR("host"), YD_STR("7$"), false};
    struct yd_series_query query = {.metric = YD_STR("many"), .start_ns = INT64_MIN};
    for (unsigned way = 0; way < 5; way++) {
        struct marks marks = {calloc(1, MANY + 5 * MORE), 0};
        struct yd_names_run *run;
        struct yd_trail trail = {0};
        query.filters = way == 2 ? &some : &all;
        query.filter_count = way > 0 && way < 3;
        int r = way == 4   ? yd_last_start_all(f.history, YD_STR("many"), &run)
                : way == 3 ? yd_last_start(f.history, &query, &run, &trail)
                           : yd_lookup_start(f.history, &query, &run, &trail);
        assert_int_equal(r, 0);
        unsigned steps = 0, gone = 0;
        while ((r = yd_names_step(run, mark, &marks, &trail)) > 0) {
            steps++;
            for (unsigned k = 0; k < 3; k++, gone++) { /* some that are left to be found, one after the other */
                struct yd_pattern *pattern;
                uint64_t count;
                (void)snprintf(name, sizeof name, "many host=%u", MANY - 1 - 7 * gone - way);
                assert_int_equal(yd_pattern_compile(yd_str_of(name), &pattern), 0);
                assert_int_equal(yd_history_forget(f.history, pattern, INT64_MAX, &count), 0);
                yd_pattern_destroy(pattern);
            }
            (void)snprintf(name, sizeof name, "many host=%u", MANY + way * MORE + steps);
            test_i64(f.builder, name, AT(2), 1);
            test_fold(f.history, f.builder);
        }
        assert_int_equal(r, 0);
        assert_true(steps >= (way == 2 ? 0 : 2));
        for (unsigned i = 0; i < MANY / 2; i++) assert_int_equal(marks.seen[i], way == 2 ? i % 10 == 7 : 1);
        yd_names_destroy(run);
        free(marks.seen);
    }
    close_fixture(&f);
}

static void every_failed_allocation_of_a_search_for_names_is_said(void **state)
{
    (void)state;
    struct yd_alloc_failing failing;
    yd_alloc_failing_init(&failing, 0);
    struct yd_history *history = test_history(&(struct yd_history_options){.alloc = &failing.alloc});
    struct yd_builder *builder = test_builder();
    struct yd_filter filter = {YD_FILTER_REGEXP, YD_STR("k"), YD_STR("[12]"), false};
    struct yd_series_query query = {.metric = YD_STR("a"), .filters = &filter, .filter_count = 1};
    test_i64(builder, "a k=1", AT(5), 1);
    test_i64(builder, "a k=2", AT(9), 2);
    test_fold(history, builder);
    yd_builder_destroy(builder);
    for (unsigned way = 0; way < 2; way++) {
        int r = YD_ENOMEM;
        for (uint64_t fail_at = 1; r == YD_ENOMEM; fail_at++) {
            struct words words = {0};
            struct found found = {.words = &words, .limit = 9};
            struct yd_names_run *run;
            uint64_t before = failing.bytes_out;
            failing.calls = 0;
            failing.fail_at = fail_at;
            r = way ? yd_last_start(history, &query, &run, NULL) : yd_lookup_start(history, &query, &run, NULL);
            if (r == 0) r = all_steps(run, &found);
            failing.fail_at = 0;
            if (r < 0) assert_int_equal(failing.bytes_out, before);
            assert_true(r == YD_ENOMEM ? fail_at < 100 : r == 0 && words.count == 2 && fail_at > 2);
        }
    }
    yd_history_destroy(history);
    assert_true(failing.bytes_out == 0);
}

static void tsuids_choose_series_of_one_metric(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    test_i64(f.builder, "a k=1", AT(5), 1);
    test_i64(f.builder, "a k=2", AT(5), 2);
    test_i64(f.builder, "a k=3", AT(5), 4);
    test_i64(f.builder, "b k=1", AT(5), 8);
    test_fold(f.history, f.builder);
    uint64_t tsuids[] = {yd_history_tsuid(YD_STR("a k=3")), yd_history_tsuid(YD_STR("a k=1")),
                         yd_history_tsuid(YD_STR("a k=3"))};
    struct yd_series_query query = {
        .start_ns = AT(0), .end_ns = AT(9), .aggregator = aggregator("sum"), .tsuids = tsuids, .tsuid_count = 3};
    struct answer answer = answer_of(f.history, &query);
    assert_int_equal(answer.count, 1);
    assert_string_equal(answer.groups[0].name, "a");
    assert_string_equal(answer.groups[0].tags, "k");
    assert_true(answer.groups[0].count == 1 && answer_number(&answer.groups[0].points[0]) == 5);
    answer_free(&answer);
    tsuids[1] = yd_history_tsuid(YD_STR("b k=1"));
    answer = answer_of(f.history, &query);
    assert_int_equal(answer.error, YD_EINVAL);
    tsuids[1] = 5;
    answer = answer_of(f.history, &query);
    assert_int_equal(answer.error, YD_ENOENT);
    assert_non_null(strstr(yd_trail_text(&answer.trail), "0000000000000005"));
    close_fixture(&f);
}

static void buckets_may_begin_at_any_times(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    for (int at = 1; at <= 40; at++) test_f64(f.builder, "a k=1", AT(at), 1);
    for (int at = 1; at <= 40; at += 3) test_f64(f.builder, "a k=2", AT(at), 2);
    test_fold(f.history, f.builder);
    const int64_t edges[] = {AT(0), AT(5), AT(7), AT(20), AT(21), AT(50), AT(60)};
    struct yd_series_query query = query_for("a", "none", 5, 50);
    query.downsample = (struct yd_downsample){
        .aggregator = aggregator("count"), .fill = YD_FILL_NONE, .edges = edges, .edge_count = YD_COUNT(edges)};
    struct answer answer = answer_of(f.history, &query);
    const struct answer_group *one = answer_find(&answer, "a k=1");
    assert_true(one && one->count == 4);
    const int64_t starts[] = {5, 7, 20, 21};
    const double counts[] = {2, 13, 1, 20};
    for (size_t i = 0; i < 4; i++) {
        assert_true(one->points[i].time == AT(starts[i]));
        assert_true(answer_number(&one->points[i]) == counts[i]);
    }
    answer_free(&answer);
    /* Together, and filled: what is beyond the data too. */
    query = query_for("a", "sum", 5, 50);
    query.downsample = (struct yd_downsample){
        .aggregator = aggregator("sum"), .fill = YD_FILL_ZERO, .edges = edges, .edge_count = YD_COUNT(edges)};
    answer = answer_of(f.history, &query);
    assert_int_equal(answer.count, 1);
    assert_int_equal(answer.groups[0].count, 5);
    const double sums[] = {2, 13 + 2 * 5, 1, 20 + 2 * 7, 0}; /* the second one at 7 10 … 19, and 22 25 … 40 */
    for (size_t i = 0; i < 5; i++) assert_true(answer_number(&answer.groups[0].points[i]) == sums[i]);
    assert_true(answer.groups[0].points[4].time == AT(50) && answer_number(&answer.groups[0].points[4]) == 0);
    answer_free(&answer);
    /* And such as do not rise, or are none. */
    const int64_t falling[] = {AT(5), AT(5)};
    query.downsample.edges = falling;
    query.downsample.edge_count = 2;
    answer = answer_of(f.history, &query);
    assert_int_equal(answer.error, YD_EINVAL);
    answer_free(&answer);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_series_comes_back_as_it_was_stored),
        cmocka_unit_test(sum_interpolates_on_a_line_and_zimsum_adds_zero),
        cmocka_unit_test(group_by_splits_and_tags_tell_what_is_common),
        cmocka_unit_test(filters_match_as_they_say),
        cmocka_unit_test(lists_of_literals_choose_each_series_once_however_long),
        cmocka_unit_test(bad_and_costly_expressions_are_refused_with_a_reason),
        cmocka_unit_test(explicit_tags_wants_exactly_these_keys),
        cmocka_unit_test(downsampling_aligns_to_the_epoch_and_drops_the_cut_first_bucket),
        cmocka_unit_test(many_values_at_once_come_to_the_same_as_one_after_the_other),
        cmocka_unit_test(fill_policies_make_the_grid_whole),
        cmocka_unit_test(rate_is_per_second_and_knows_counters),
        cmocka_unit_test(rates_of_large_counters_are_exact),
        cmocka_unit_test(points_of_a_second_collapse_unless_milliseconds_are_asked_for),
        cmocka_unit_test(limits_say_what_to_narrow),
        cmocka_unit_test(the_whole_of_time_can_be_asked_for),
        cmocka_unit_test(folds_between_steps_neither_repeat_nor_tear),
        cmocka_unit_test(series_that_go_during_a_query_are_left_out),
        cmocka_unit_test(every_failed_allocation_of_a_query_is_survived),
        cmocka_unit_test(suggest_is_sorted_by_prefix_and_bounded),
        cmocka_unit_test(a_group_over_all_of_time_has_its_points_where_they_are),
        cmocka_unit_test(lookup_finds_series_by_their_tags),
        cmocka_unit_test(last_gives_the_newest_value_as_it_came),
        cmocka_unit_test(last_of_series_by_tags_or_tsuid_and_not_too_old),
        cmocka_unit_test(names_are_found_once_in_slices_while_series_come_and_go),
        cmocka_unit_test(every_failed_allocation_of_a_search_for_names_is_said),
        cmocka_unit_test(tsuids_choose_series_of_one_metric),
        cmocka_unit_test(buckets_may_begin_at_any_times),
    };
    return cmocka_run_group_tests_name("store/query", tests, NULL, NULL);
}
