/* OpenTSDB's questions and answers without sockets: times, downsamplers, filters, both spellings of a query, the way of
 * a question through its row, the JSON that comes out. */
#include "testing.h"

#include <math.h>
#include <time.h>

#include "elements/ask.h"
#include "elements/opentsdb_answer.h"
#include "elements/opentsdb_notes.h"
#include "elements/opentsdb_put.h"
#include "elements/opentsdb_query.h"

#define TEST(name) static void name(void **state)
#define NOW        (INT64_C(1700000000) * YD_NS_PER_S)

static struct yd_str s(const char *text)
{
    return yd_str_of(text);
}

TEST(times_come_in_all_of_opentsdbs_spellings)
{
    static const struct {
        const char *text;
        int64_t ms; /* -1: refused */
    } times[] = {{"1356998400", 1356998400000},
                 {"1356998400123", 1356998400123},
                 {"1356998400.123", 1356998400123},
                 {"1234567890.5", 1234567890500},
                 {"123ms", 123},
                 {"now", 1700000000000},
                 {"1h-ago", 1700000000000 - 3600000},
                 {"500ms-ago", 1700000000000 - 500},
                 {"2y-ago", 1700000000000 - INT64_C(2) * 365 * 86400000},
                 {"2013/01/01", 1356998400000},
                 {"2013/01/01-00:01", 1356998460000},
                 {"2013/01/01-00:00:02", 1356998402000},
                 {"2013/01/01 00:00:02", 1356998402000},
                 {" 1356998400 ", 1356998400000},
                 {"", -1},
                 {"x", -1},
                 {"1h", -1},
                 {"1x-ago", -1},
                 {"-ago", -1},
                 {"0s-ago", -1},
                 {"2013/1/1", -1},
                 {"99999999999999999999", -1}};
    (void)state;
    for (size_t i = 0; i < YD_COUNT(times); i++) {
        int64_t ns = 0;
        int r = yd_tsdb_time(s(times[i].text), NOW, &ns);
        if ((r < 0) != (times[i].ms == -1)) fail_msg("'%s': %s", times[i].text, yd_error_name(r));
        if (r == 0 && ns != times[i].ms * YD_NS_PER_MS) fail_msg("'%s': %lld", times[i].text, (long long)ns);
    }
}

TEST(downsamplers_with_every_unit_fill_and_javas_trailing_dash)
{
    static const struct {
        const char *text;
        int64_t ms;
        enum yd_fill fill;
    } good[] = {{"1m-avg", 60000, YD_FILL_NONE},        {"1m-avg-", 60000, YD_FILL_NONE},
                {"500ms-sum-zero", 500, YD_FILL_ZERO},  {"10s-max-nan", 10000, YD_FILL_NAN},
                {"1h-min-null", 3600000, YD_FILL_NULL}, {"1d-count-none", 86400000, YD_FILL_NONE},
                {"1w-avg", 604800000, YD_FILL_NONE},    {"1n-avg", INT64_C(30) * 86400000, YD_FILL_NONE},
                {"1dc-sum", 86400000, YD_FILL_NONE}};
    static const char *const bad[] = {"",       "1m",      "m-avg",   "1m-nothing", "1m-avg-never", "1x-avg",
                                      "0m-avg", "0wc-avg", "1xc-avg", "c-avg",      "-avg"};
    struct yd_calendar calendar;
    struct yd_downsample made;
    (void)state;
    for (size_t i = 0; i < YD_COUNT(good); i++) {
        if (yd_tsdb_downsample(s(good[i].text), false, &made, &calendar, NULL) < 0) fail_msg("%s", good[i].text);
        assert_int_equal(made.interval_ns, good[i].ms * YD_NS_PER_MS);
        assert_int_equal(made.fill, good[i].fill);
    }
    assert_int_equal(yd_tsdb_downsample(s("0all-sum"), true, &made, &calendar, NULL), 0);
    assert_true(made.interval_ns == INT64_MAX);
    for (size_t i = 0; i < YD_COUNT(bad); i++)
        if (yd_tsdb_downsample(s(bad[i]), false, &made, &calendar, NULL) == 0) fail_msg("%s", bad[i]);
}

/* Edges in UTC, or in a zone of two changes: +1 h from 1000000000 on, +2 h from 1700000000 on. */
static struct yd_str test_zone(char *to)
{
    static const char empty[44] = "TZif2";
    char *p = to;
    const uint32_t counts[] = {0, 0, 0, 2, 2, 4};
    memcpy(p, empty, sizeof empty);
    p[39] = 1, p[43] = 4; /* one type and its letters in the first half */
    p += 44;
    memset(p, 0, 10), p += 10;
    memcpy(p, empty, sizeof empty);
    for (int i = 0; i < 6; i++)
        for (int b = 0; b < 4; b++) p[20 + i * 4 + b] = (char)(counts[i] >> (24 - 8 * b));
    p += 44;
    const uint64_t times[] = {1000000000, 1700000000};
    for (int i = 0; i < 2; i++)
        for (int b = 0; b < 8; b++) *p++ = (char)(times[i] >> (56 - 8 * b));
    *p++ = 0, *p++ = 1;
    for (uint32_t i = 1; i <= 2; i++) {
        for (int b = 0; b < 4; b++) *p++ = (char)((i * 3600) >> (24 - 8 * b));
        *p++ = 0, *p++ = 0;
    }
    memset(p, 0, 4), p += 4;
    *p++ = '\n', *p++ = '\n'; /* no rule: it stays so */
    return (struct yd_str){to, (size_t)(p - to)};
}

TEST(calendars_begin_where_the_zone_says)
{
    static const struct {
        char unit;
        unsigned count;
        const char *from, *to, *edges; /* the edges' dates in UTC */
    } cases[] = {
        {'d', 1, "2013/01/02-12:00", "2013/01/03", "01-01T00 01-02T00 01-03T00 01-04T00 01-05T00"},
        {'w', 1, "2013/01/02", "2013/01/06", "12-23T00 12-30T00 01-06T00 01-13T00 01-20T00"},
        {'n', 1, "2012/02/29", "2012/03/31", "01-01T00 02-01T00 03-01T00 04-01T00 05-01T00"},
        {'n', 3, "2012/02/29", "2012/03/31", "10-01T00 01-01T00 04-01T00 07-01T00"},
        {'y', 1, "2012/02/29", "2012/03/31", "01-01T00 01-01T00 01-01T00 01-01T00"},
        {'d', 300, "2012/02/29", "2012/12/31", "10-28T00 01-01T00 10-27T00 01-01T00 10-28T00"},
        {'h', 7, "2012/02/29-08:00", "2012/02/29-20:59", "02-29T00 02-29T07 02-29T14 02-29T21 03-01T00"},
        {'Z', 1, "2013/01/02-12:00", "2013/01/03",
         "12-31T23 01-01T23 01-02T23 01-03T23 01-04T23"}, /* days in the zone */
        {'Z', 1, "2023/11/14-23:10", "2023/11/15-23:00", "11-13T23 11-14T23 11-15T22 11-16T22 11-17T22"},
    };
    char bytes[256];
    struct yd_zone zone, utc = {0};
    (void)state;
    assert_int_equal(yd_zone_open(test_zone(bytes), &zone), 0);
    for (size_t i = 0; i < YD_COUNT(cases); i++) {
        struct yd_arena arena;
        struct yd_buf buf;
        int64_t from, to, *edges;
        size_t count;
        bool zoned = cases[i].unit == 'Z';
        yd_arena_init(&arena, NULL);
        yd_buf_init(&buf, NULL);
        assert_int_equal(yd_tsdb_time(s(cases[i].from), NOW, &from), 0);
        assert_int_equal(yd_tsdb_time(s(cases[i].to), NOW, &to), 0);
        struct yd_calendar calendar = {zoned ? 'd' : cases[i].unit, cases[i].count};
        assert_int_equal(yd_calendar_edges(zoned ? &zone : &utc, calendar, from, to, 100, &arena, &edges, &count), 0);
        assert_true(count >= 4 && edges[0] < from && edges[count - 1] > to);
        for (size_t k = 0; k < count; k++) {
            time_t seconds = (time_t)(edges[k] / YD_NS_PER_S);
            struct tm tm;
            char text[32];
            assert_true(gmtime_r(&seconds, &tm) && strftime(text, sizeof text, "%m-%dT%H", &tm));
            yd_buf_printf(&buf, "%s%s", k ? " " : "", text);
        }
        assert_string_equal(text_of(&buf), cases[i].edges);
        yd_buf_fini(&buf);
        yd_arena_fini(&arena);
    }
}

TEST(zones_that_are_none_and_calendars_without_end_are_refused)
{
    char bytes[256];
    struct yd_str file = test_zone(bytes);
    struct yd_zone zone;
    struct yd_arena arena;
    int64_t *edges;
    size_t count;
    (void)state;
    for (size_t size = 0; size < file.size; size++)
        assert_int_equal(yd_zone_open((struct yd_str){file.data, size}, &zone), YD_EFORMAT);
    for (size_t at = 0; at < file.size; at++) { /* damaged: a zone or none, never beyond its bytes */
        bytes[at] ^= 0x41;
        char *exact = malloc(file.size);
        memcpy(exact, bytes, file.size);
        if (yd_zone_open((struct yd_str){exact, file.size}, &zone) == 0) (void)yd_zone_to_utc(&zone, 1700000000);
        free(exact);
        bytes[at] ^= 0x41;
    }
    for (size_t i = 0; i < 6; i++) {
        static const char *const bad[] = {"", "../etc", "/UTC", "a b", "Europe/", "x\n"};
        assert_false(yd_zone_name_is_good(s(bad[i])));
    }
    assert_true(yd_zone_name_is_good(s("America/Argentina/Buenos_Aires")) && yd_zone_name_is_good(s("Etc/GMT+12")));
    yd_arena_init(&arena, NULL);
    zone = (struct yd_zone){0};
    assert_int_equal(yd_calendar_edges(&zone, (struct yd_calendar){'d', 1}, 0, NOW, 100, &arena, &edges, &count),
                     YD_ETOOBIG);
    assert_int_equal(
        yd_calendar_edges(&zone, (struct yd_calendar){'y', 1}, INT64_MIN, NOW, 100, &arena, &edges, &count), YD_ERANGE);
    yd_arena_fini(&arena);
}

TEST(tag_values_are_filters_that_group)
{
    static const struct {
        const char *value;
        enum yd_filter_type type;
        const char *expression;
    } tags[] = {{"web01", YD_FILTER_LITERAL_OR, "web01"},
                {"a|b", YD_FILTER_LITERAL_OR, "a|b"},
                {"*", YD_FILTER_IWILDCARD, "*"},
                {"web*", YD_FILTER_IWILDCARD, "web*"},
                {"regexp(web[0-9]+(a|b))", YD_FILTER_REGEXP, "web[0-9]+(a|b)"},
                {"not_key()", YD_FILTER_NOT_KEY, ""},
                {"wildcard(w*)", YD_FILTER_WILDCARD, "w*"}};
    struct yd_filter filter;
    (void)state;
    for (size_t i = 0; i < YD_COUNT(tags); i++) {
        assert_int_equal(yd_tsdb_tag_filter(s("host"), s(tags[i].value), &filter, NULL), 0);
        assert_int_equal(filter.type, tags[i].type);
        assert_true(yd_str_eq(filter.expression, s(tags[i].expression)));
        assert_true(filter.group_by);
    }
    assert_int_equal(yd_tsdb_tag_filter(s("host"), s("frobnicate(x)"), &filter, NULL), YD_EINVAL);
    assert_int_equal(yd_tsdb_tag_filter(s(""), s("x"), &filter, NULL), YD_EINVAL);
}

/* A plan written down: "metric agg [rate] [downsample] {filters}; …" */
static void write_plan(const struct yd_tsdb_plan *plan, struct yd_buf *to)
{
    yd_buf_clear(to);
    for (size_t i = 0; i < plan->sub_count; i++) {
        const struct yd_tsdb_sub *sub = &plan->subs[i];
        const struct yd_series_query *query = &sub->query;
        yd_buf_printf(to, "%s%u:%.*s %s", i ? "; " : "", query->index, YD_STR_FMT(query->metric),
                      query->none ? "none" : yd_aggregators[query->aggregator]);
        if (query->rate)
            yd_buf_printf(to, " rate(%d,%g,%g,%d)", query->rate_options.counter, query->rate_options.counter_max,
                          query->rate_options.reset_value, query->rate_options.drop_resets);
        if (sub->downsample.size) yd_buf_printf(to, " %.*s", YD_STR_FMT(sub->downsample));
        if (query->explicit_tags) yd_buf_cstr(to, " explicit");
        for (size_t k = 0; k < query->filter_count; k++)
            yd_buf_printf(to, " %s%.*s=%s(%.*s)", query->filters[k].group_by ? "+" : "",
                          YD_STR_FMT(query->filters[k].key), yd_filter_type_name(query->filters[k].type),
                          YD_STR_FMT(query->filters[k].expression));
    }
}

static void expect_json(const char *body, const char *plan_text, const char *error)
{
    struct yd_arena arena;
    struct yd_tsdb_plan plan;
    struct yd_trail trail = {0};
    struct yd_buf buf;
    yd_arena_init(&arena, NULL);
    yd_buf_init(&buf, NULL);
    int r = yd_tsdb_plan_json(s(body), NOW, &arena, &plan, &trail);
    if (error) {
        assert_int_equal(r, YD_EINVAL);
        if (!strstr(yd_trail_text(&trail), error)) fail_msg("%s: %s", body, yd_trail_text(&trail));
    } else {
        if (r < 0) fail_msg("%s: %s", body, yd_trail_text(&trail));
        write_plan(&plan, &buf);
        assert_string_equal(text_of(&buf), plan_text);
    }
    yd_buf_fini(&buf);
    yd_arena_fini(&arena);
}

TEST(grafanas_bodies_are_understood)
{
    (void)state;
    expect_json(
        "{\"start\":1699990000000,\"end\":1700000000000,\"msResolution\":true,\"globalAnnotations\":true,\"showQuery\":"
        "true,\"queries\":[{\"metric\":\"cpu\",\"aggregator\":\"avg\",\"rate\":true,\"rateOptions\":{\"counter\":true,"
        "\"counterMax\":1.5e3,\"resetValue\":\"7\",\"dropResets\":true},\"downsample\":\"1m-avg-none\",\"filters\":[{"
        "\"type\":\"wildcard\",\"tagk\":\"host\",\"filter\":\"web*\",\"groupBy\":true},{\"type\":\"literal_or\","
        "\"tagk\":"
        "\"dc\",\"filter\":\"a|b\",\"groupBy\":false}],\"explicitTags\":true}]}",
        "0:cpu avg rate(1,1500,7,1) 1m-avg-none explicit +host=wildcard(web*) dc=literal_or(a|b)", NULL);
    expect_json("{\"start\":\"1h-ago\",\"queries\":[{\"metric\":\"cpu\",\"aggregator\":\"sum\",\"tags\":[]}]}",
                "0:cpu sum", NULL);
    expect_json("{\"start\":1699990000,\"queries\":[{\"metric\":\"cpu\",\"aggregator\":\"none\",\"tags\":{\"a\":\"x|"
                "y\",\"b\":\"*\"},"
                "\"surprise\":{\"deep\":[1,2]}}]}",
                "0:cpu none +a=literal_or(x|y) +b=iwildcard(*)", NULL);
}

TEST(duplicates_go_before_indexing_and_joined_metrics_share_an_index)
{
    (void)state;
    expect_json(
        "{\"start\":1,\"queries\":[{\"metric\":\"a\",\"aggregator\":\"sum\"},{\"metric\":\"a\",\"aggregator\":\"sum\"},"
        "{\"metric\":\"b|c\",\"aggregator\":\"sum\"},{\"metric\":\"d\",\"aggregator\":\"sum\"}]}",
        "0:a sum; 1:b sum; 1:c sum; 2:d sum", NULL);
}

TEST(bad_questions_are_refused_in_opentsdbs_words)
{
    (void)state;
    expect_json("", NULL, "Unable to parse");
    expect_json("[]", NULL, "Unable to parse");
    expect_json("{\"queries\":[{\"metric\":\"a\",\"aggregator\":\"sum\"}]}", NULL, "Missing start time");
    expect_json("{\"start\":2000000000,\"end\":1,\"queries\":[{\"metric\":\"a\",\"aggregator\":\"sum\"}]}", NULL,
                "End time");
    expect_json("{\"start\":1,\"queries\":[{\"aggregator\":\"sum\"}]}", NULL, "Missing the metric");
    expect_json("{\"start\":1,\"queries\":[{\"metric\":\"a\"}]}", NULL, "Missing the aggregation function");
    expect_json("{\"start\":1,\"queries\":[{\"metric\":\"a\",\"aggregator\":\"wrong\"}]}", NULL,
                "No such aggregation function: wrong");
    expect_json("{\"start\":1,\"queries\":[{\"metric\":\"a\",\"aggregator\":\"sum\",\"downsample\":\"1m\"}]}", NULL,
                "downsampling");
    expect_json("{\"start\":1,\"queries\":[{\"metric\":\"a\",\"aggregator\":\"sum\",\"filters\":[{\"type\":\"x\","
                "\"tagk\":\"h\"}]}]}",
                NULL, "Unable to find a filter named: x");
    expect_json("{\"start\":1,\"queries\":[7]}", NULL, "must be an object");
}

static void expect_m(const char *m, const char *plan_text)
{
    struct yd_arena arena;
    struct yd_tsdb_plan plan;
    struct yd_trail trail = {0};
    struct yd_buf buf;
    yd_arena_init(&arena, NULL);
    yd_buf_init(&buf, NULL);
    const struct yd_tsdb_argument arguments[] = {{YD_STR("start"), YD_STR("1h-ago")}, {YD_STR("m"), s(m)}};
    int r = yd_tsdb_plan_url(arguments, 2, NOW, &arena, &plan, &trail);
    if (!plan_text) {
        if (r >= 0) fail_msg("%s was taken", m);
    } else {
        if (r < 0) fail_msg("%s: %s", m, yd_trail_text(&trail));
        write_plan(&plan, &buf);
        assert_string_equal(text_of(&buf), plan_text);
    }
    yd_buf_fini(&buf);
    yd_arena_fini(&arena);
}

TEST(the_m_argument_in_all_its_parts)
{
    (void)state;
    expect_m("sum:cpu", "0:cpu sum");
    expect_m("sum:1m-avg:cpu", "0:cpu sum 1m-avg");
    expect_m("sum:1m-avg-zero:rate:cpu{host=*}", "0:cpu sum rate(0,0,0,0) 1m-avg-zero +host=iwildcard(*)");
    expect_m("sum:rate{counter,100,5}:explicit_tags:cpu{host=a|b}{dc=x}",
             "0:cpu sum rate(1,100,5,0) explicit +host=literal_or(a|b) dc=literal_or(x)");
    expect_m("sum:rate{dropcounter}:cpu{}", "0:cpu sum rate(1,0,0,1)");
    expect_m("none:cpu{h=regexp(a{2}),b=literal_or(x)}", NULL); /* a brace ends the list, in OpenTSDB too */
    expect_m("none:cpu{h=regexp(a.,b),b=literal_or(x)}", "0:cpu none +h=regexp(a.,b) +b=literal_or(x)");
    expect_m("cpu", NULL);
    expect_m("sum:", NULL);
    expect_m("sum:what:cpu", NULL);
    expect_m("sum:cpu{host=*", NULL);
    expect_m("sum:cpu{host}", NULL);
}

TEST(a_question_survives_the_way_through_its_row)
{
    (void)state;
    const struct yd_filter filters[] = {{YD_FILTER_REGEXP, YD_STR("host"), YD_STR("w.*"), true},
                                        {YD_FILTER_NOT_KEY, YD_STR("dc"), YD_STR(""), false}};
    uint32_t max;
    assert_int_equal(yd_aggregator_find(YD_STR("max"), &max), 0);
    const uint64_t tsuids[] = {1, UINT64_MAX, 0};
    const int64_t edges[] = {-7, 0, INT64_MAX};
    const struct yd_ask asks[] = {
        {.op = YD_ASK_SERIES,
         .series = {.start_ns = -5,
                    .end_ns = NOW,
                    .metric = YD_STR("cpu load"),
                    .aggregator = max,
                    .rate = true,
                    .rate_options = {true, true, 1e9, 0.5},
                    .downsample = {60 * YD_NS_PER_S, max, YD_FILL_ZERO},
                    .filters = filters,
                    .filter_count = 2,
                    .explicit_tags = true,
                    .milliseconds = true,
                    .points_max = 7,
                    .index = 3}},
        {.op = YD_ASK_SUGGEST, .what = YD_SUGGEST_TAGV, .text = YD_STR("we"), .max = 9, .substring = true},
        {.op = YD_ASK_SERIES,
         .series = {.end_ns = 1, .downsample = {.aggregator = max, .edges = edges, .edge_count = YD_COUNT(edges)}}},
        {.op = YD_ASK_LOOKUP, .series = {.metric = YD_STR("m"), .filters = filters, .filter_count = 1}, .max = 1000},
        {.op = YD_ASK_LAST, .text = YD_STR("cpu*"), .max = 1},
        {.op = YD_ASK_SERIES, .series = {.end_ns = 1, .tsuids = tsuids, .tsuid_count = 3, .show_tsuids = true}},
        {.op = YD_ASK_LAST, .series = {.start_ns = 9, .tsuids = tsuids, .tsuid_count = 3}},
        {.op = YD_ASK_LAST, .series = {.metric = YD_STR("m"), .filters = filters, .filter_count = 2}, .max = 5},
        {.op = YD_ASK_SERIES, .series = {.end_ns = 1, .metric = YD_STR("m"), .show_notes = true}},
        {.op = YD_ASK_NOTES,
         .series = {.start_ns = 1, .end_ns = 2, .tsuids = tsuids, .tsuid_count = 2},
         .global = true},
        {.op = YD_ASK_COUNTS}};
    for (size_t i = 0; i < YD_COUNT(asks); i++) {
        struct yd_batch *batch, *again;
        struct yd_ask back;
        struct yd_arena arena;
        struct yd_trail trail = {0};
        yd_arena_init(&arena, NULL);
        assert_int_equal(yd_ask_encode(&asks[i], &batch), 0);
        if (yd_ask_decode(batch, &arena, &back, &trail) < 0) fail_msg("%zu: %s", i, yd_trail_text(&trail));
        assert_int_equal(back.op, asks[i].op);
        assert_int_equal(yd_ask_encode(&back, &again), 0);
        assert_int_equal(again->header.body_crc, batch->header.body_crc); /* says the same */
        yd_batch_unref(batch);
        yd_batch_unref(again);
        yd_arena_fini(&arena);
    }
}

TEST(a_question_that_is_none_is_refused)
{
    static const char *const ops[] = {"", "frobnicate"};
    (void)state;
    for (size_t i = 0; i < YD_COUNT(ops); i++) {
        struct yd_builder *builder;
        struct yd_batch *batch;
        struct yd_ask ask;
        struct yd_arena arena;
        uint32_t name;
        yd_arena_init(&arena, NULL);
        assert_int_equal(yd_builder_create(NULL, &builder), 0);
        assert_int_equal(yd_builder_name(builder, YD_STR("x"), &name), 0);
        assert_int_equal(yd_builder_begin(builder, 0, name, YD_ROW, 0, YD_MAP), 0);
        assert_int_equal(yd_builder_cell_bytes(builder, YD_STR("op"), YD_TEXT, s(ops[i])), 0);
        assert_int_equal(yd_builder_end(builder), 0);
        assert_int_equal(yd_builder_seal(builder, &batch), 0);
        assert_int_equal(yd_ask_decode(batch, &arena, &ask, NULL), YD_EINVAL);
        yd_batch_unref(batch);
        yd_builder_destroy(builder);
        yd_arena_fini(&arena);
    }
}

/* ---- answers ---- */

static struct yd_batch *series_reply(void)
{
    struct yd_builder *builder;
    struct yd_batch *batch;
    uint32_t name;
    assert_int_equal(yd_builder_create(NULL, &builder), 0);
    assert_int_equal(yd_builder_name(builder, YD_STR("disk\\ used host=a\\=b"), &name), 0);
    assert_int_equal(yd_builder_begin(builder, 0, name, YD_FACT, 0, YD_MAP), 0);
    assert_int_equal(yd_builder_nest(builder, YD_STR("aggregateTags"), YD_LIST), 0);
    assert_int_equal(yd_builder_cell_bytes(builder, YD_STR(""), YD_TEXT, YD_STR("dc\"")), 0);
    assert_int_equal(yd_builder_end(builder), 0);
    assert_int_equal(yd_builder_end(builder), 0);
    const double values[] = {1.5, NAN, INFINITY, -0.25};
    for (int i = 0; i < 4; i++)
        assert_int_equal(yd_builder_add(builder, (1000 + i) * YD_NS_PER_S + 250 * YD_NS_PER_MS, name, YD_SAMPLE, YD_F64,
                                        0, (union yd_value){.f64 = values[i]}),
                         0);
    assert_int_equal(
        yd_builder_add(builder, 2000 * YD_NS_PER_S, name, YD_SAMPLE, YD_I64, 0, (union yd_value){.i64 = INT64_MAX}), 0);
    assert_int_equal(yd_builder_seal(builder, &batch), 0);
    yd_builder_destroy(builder);
    return batch;
}

static void expect_answer(struct yd_tsdb_plan plan, struct yd_tsdb_sub sub, const char *json)
{
    struct yd_tsdb_answer answer;
    struct yd_batch *batch = series_reply();
    yd_tsdb_answer_begin(&answer, &plan);
    yd_tsdb_answer_sub(&answer, &sub);
    yd_tsdb_answer_add(&answer, batch);
    yd_tsdb_answer_end(&answer);
    assert_string_equal(text_of(&answer.buf), json);
    yd_buf_fini(&answer.buf);
    yd_batch_unref(batch);
}

TEST(answers_in_seconds_and_milliseconds_as_objects_and_arrays)
{
    (void)state;
#define HEAD "[{\"metric\":\"disk used\",\"tags\":{\"host\":\"a=b\"},\"aggregateTags\":[\"dc\\\"\"]"
    expect_answer((struct yd_tsdb_plan){0}, (struct yd_tsdb_sub){0},
                  HEAD
                  ",\"dps\":{\"1000\":1.5,\"1001\":null,\"1002\":null,\"1003\":-0.25,\"2000\":9223372036854775807}}]");
    expect_answer((struct yd_tsdb_plan){.milliseconds = true, .arrays = true},
                  (struct yd_tsdb_sub){.query.downsample = {1, 0, YD_FILL_NAN}},
                  HEAD ",\"dps\":[[1000250,1.5],[1001250,\"NaN\"],[1002250,\"NaN\"],[1003250,-0.25],"
                       "[2000000,9223372036854775807]]}]");
    expect_answer(
        (struct yd_tsdb_plan){.show_summary = true}, (struct yd_tsdb_sub){.query.downsample = {1, 0, YD_FILL_NULL}},
        HEAD ",\"dps\":{\"1000\":1.5,\"1001\":null,\"1002\":null,\"1003\":-0.25,\"2000\":9223372036854775807}},"
             "{\"statsSummary\":{\"emittedDPs\":5,\"queriedSeries\":1}}]");
}

TEST(show_query_carries_the_index)
{
    (void)state;
    struct yd_tsdb_answer answer;
    struct yd_tsdb_plan plan = {.show_query = true};
    const struct yd_filter filter = {YD_FILTER_WILDCARD, YD_STR("host"), YD_STR("*"), true};
    uint32_t sum;
    assert_int_equal(yd_aggregator_find(YD_STR("sum"), &sum), 0);
    struct yd_tsdb_sub sub = {
        .query = {.metric = YD_STR("m"), .aggregator = sum, .filters = &filter, .filter_count = 1, .index = 4},
        .downsample = YD_STR("1m-avg")};
    struct yd_batch *batch = series_reply();
    yd_tsdb_answer_begin(&answer, &plan);
    yd_tsdb_answer_sub(&answer, &sub);
    yd_tsdb_answer_add(&answer, batch);
    yd_tsdb_answer_end(&answer);
    assert_non_null(
        strstr(text_of(&answer.buf),
               "\"query\":{\"index\":4,\"aggregator\":\"sum\",\"metric\":\"m\",\"tsuids\":null,\"downsample\":"
               "\"1m-avg\",\"rate\":false,\"explicitTags\":false,\"filters\":[{\"tagk\":\"host\",\"filter\":\"*\","
               "\"type\":\"wildcard\",\"groupBy\":true}],\"tags\":{\"host\":\"*\"}}"));
    yd_buf_fini(&answer.buf);
    yd_batch_unref(batch);
}

TEST(no_match_is_an_empty_array)
{
    (void)state;
    struct yd_tsdb_answer answer;
    struct yd_tsdb_plan plan = {0};
    yd_tsdb_answer_begin(&answer, &plan);
    yd_tsdb_answer_end(&answer);
    assert_string_equal(text_of(&answer.buf), "[]");
    yd_buf_fini(&answer.buf);
}

/* What came in by another door is only said when it is what it should be: the answer stays JSON. */
static void an_annotations_custom_is_said_when_it_is_an_object_of_texts(void **state)
{
    (void)state;
    static const struct {
        const char *custom;
        bool said;
    } cases[] = {{"{\"a\":\"b\"}", true},
                 {"{}", true},
                 {"}", false},
                 {"{\"a\":NaN}", false},
                 {"{\"a\":\"b\"}}", false},
                 {"[\"a\"]", false},
                 {"{\"a\":\"b\"", false},
                 {"", false}};
    for (size_t i = 0; i < YD_COUNT(cases); i++) {
        struct yd_note note = {.global = true, .custom = yd_str_of(cases[i].custom)};
        struct yd_buf text;
        yd_buf_init(&text, NULL);
        yd_tsdb_put_note(&text, &note);
        yd_buf_char(&text, '\0');
        assert_int_equal(strstr(text.data, "custom") != NULL, cases[i].said);
        yd_buf_fini(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_come_in_all_of_opentsdbs_spellings),
        cmocka_unit_test(downsamplers_with_every_unit_fill_and_javas_trailing_dash),
        cmocka_unit_test(calendars_begin_where_the_zone_says),
        cmocka_unit_test(zones_that_are_none_and_calendars_without_end_are_refused),
        cmocka_unit_test(tag_values_are_filters_that_group),
        cmocka_unit_test(grafanas_bodies_are_understood),
        cmocka_unit_test(duplicates_go_before_indexing_and_joined_metrics_share_an_index),
        cmocka_unit_test(bad_questions_are_refused_in_opentsdbs_words),
        cmocka_unit_test(the_m_argument_in_all_its_parts),
        cmocka_unit_test(a_question_survives_the_way_through_its_row),
        cmocka_unit_test(a_question_that_is_none_is_refused),
        cmocka_unit_test(answers_in_seconds_and_milliseconds_as_objects_and_arrays),
        cmocka_unit_test(show_query_carries_the_index),
        cmocka_unit_test(no_match_is_an_empty_array),
        cmocka_unit_test(an_annotations_custom_is_said_when_it_is_an_object_of_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
