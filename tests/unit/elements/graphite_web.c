/* Graphite's requests without sockets: forms, times, tag expressions, the grammar of targets, every function, steps. */
#include "testing.h"

#include <math.h>

#include "elements/graphite_form.h"
#include "elements/graphite_functions.h"
#include "elements/graphite_web.h"

#define TEST(name) static void name(void **state)
#define NOW        INT64_C(1700000000) /* 2023-11-14 22:13:20 */
#define MIDNIGHT   INT64_C(1699920000)

static struct yd_str s(const char *text)
{
    return yd_str_of(text);
}

/* ---- forms, times, tags ---- */

TEST(times_come_in_all_of_graphites_spellings)
{
    static const struct {
        const char *text;
        int64_t s; /* -1: refused */
    } times[] = {{"1699990000", 1699990000},
                 {"0", 0},
                 {"now", NOW},
                 {"", NOW},
                 {" now ", NOW},
                 {"-1h", NOW - 3600},
                 {"-5min", NOW - 300},
                 {"-30s", NOW - 30},
                 {"-90seconds", NOW - 90},
                 {"-2days", NOW - 172800},
                 {"-1w", NOW - 604800},
                 {"-1mon", NOW - 2592000},
                 {"-1y", NOW - 31536000},
                 {"now-1d", NOW - 86400},
                 {"now-1d+2h", NOW - 86400 + 7200},
                 {"+1h", NOW + 3600},
                 {"now 1h", NOW + 3600},
                 {"today", MIDNIGHT},
                 {"midnight", MIDNIGHT},
                 {"noon", MIDNIGHT + 43200},
                 {"yesterday", MIDNIGHT - 86400},
                 {"noon_yesterday", MIDNIGHT - 43200},
                 {"midnight tomorrow", MIDNIGHT + 86400},
                 {"today-2h", MIDNIGHT - 7200},
                 {"10:30_20231101", 1698834600},
                 {"6pm_today", -1},
                 {"6:00pm", MIDNIGHT + 64800},
                 {"20231101", 1698796800},
                 {"11/01/23", 1698796800},
                 {"11/01/2023", 1698796800},
                 {"20231101-1d", 1698710400},
                 {"x", -1},
                 {"-", -1},
                 {"-1", -1},
                 {"-1x", -1},
                 {"1h", -1},
                 {"now-", -1},
                 {"20231301", 20231301},
                 {"13/45/23", -1},
                 {"25:00_today", -1},
                 {"99999999999999999999", -1},
                 {"99999999999", -1},
                 {"-99999999999999d", -1}};
    (void)state;
    for (size_t i = 0; i < YD_COUNT(times); i++) {
        int64_t got = 0;
        int r = yd_graphite_time(s(times[i].text), NOW, &got);
        if ((r < 0) != (times[i].s == -1)) fail_msg("'%s': %s", times[i].text, yd_error_name(r));
        if (r == 0 && got != times[i].s) fail_msg("'%s': %lld", times[i].text, (long long)got);
    }
}

TEST(durations_are_positive_and_whole)
{
    static const struct {
        const char *text;
        int64_t s;
    } durations[] = {{"1h", 3600},
                     {"5min", 300},
                     {"-30s", 30},
                     {"10 minutes", 600},
                     {"1hour", 3600},
                     {"2d", 172800},
                     {"1week", 604800},
                     {"", 0},
                     {"5", 0},
                     {"h", 0},
                     {"1hx", 0},
                     {"0s", 0},
                     {"1.5h", 0},
                     {"9000000000s", 0},
                     {"285y", 285 * INT64_C(31536000)},
                     {"286y", 0}, /* 9e9 seconds: as nanoseconds they fit */
                     {"4294967295y", 0},
                     {"-150000001min", 0},
                     {"150000000min", INT64_C(9000000000)}};
    (void)state;
    for (size_t i = 0; i < YD_COUNT(durations); i++) {
        int64_t got = 0;
        int r = yd_graphite_duration(s(durations[i].text), &got);
        if ((r < 0) != (durations[i].s == 0)) fail_msg("'%s'", durations[i].text);
        if (r == 0 && got != durations[i].s) fail_msg("'%s': %lld", durations[i].text, (long long)got);
    }
}

TEST(forms_join_the_url_and_the_body)
{
    struct yd_arena arena;
    struct yd_graphite_form form;
    struct yd_str *targets;
    size_t count;
    const struct yd_tsdb_argument url[] = {{YD_STR("target"), YD_STR("a")}, {YD_STR("from"), YD_STR("1")}};
    (void)state;
    yd_arena_init(&arena, NULL);
    assert_int_equal(
        yd_graphite_form(url, 2, s("target=b+c%2Cd&&from=2&x&bad=%zz&target%5B%5D=e&=1"), &arena, &form, NULL), 0);
    assert_true(yd_str_eq(yd_graphite_field(&form, "from"), s("2")));
    assert_true(yd_str_eq(yd_graphite_field(&form, "x"), s("")));
    assert_true(yd_str_eq(yd_graphite_field(&form, "bad"), s("%zz")));
    assert_true(yd_str_eq(yd_graphite_field(&form, "none"), s("")));
    assert_int_equal(yd_graphite_fields(&form, "target", "target[]", &arena, &targets, &count), 0);
    assert_int_equal(count, 3);
    assert_true(yd_str_eq(targets[0], s("a")));
    assert_true(yd_str_eq(targets[1], s("b c,d")));
    assert_true(yd_str_eq(targets[2], s("e")));
    char many[9000];
    memset(many, '&', sizeof many);
    assert_int_equal(yd_graphite_form(url, 2, (struct yd_str){many, sizeof many}, &arena, &form, NULL), YD_ETOOBIG);
    yd_arena_fini(&arena);
}

TEST(tag_expressions_are_filters)
{
    static const struct {
        const char *text;
        enum yd_filter_type type;
        const char *key, *expression; /* key NULL: refused */
        bool of_metric, needs;
    } tags[] = {{"dc=eu", YD_FILTER_LITERAL_OR, "dc", "eu", false, true},
                {"name=disk.used", YD_FILTER_LITERAL_OR, "name", "disk.used", true, true},
                {"dc!=eu", YD_FILTER_NOT_LITERAL_OR, "dc", "eu", false, false},
                {"dc=~e.", YD_FILTER_REGEXP, "dc", "^(?:e.)", false, true},
                {"dc!=~e.", YD_FILTER_NOT_REGEXP, "dc", "^(?:e.)", false, false},
                {"dc=", YD_FILTER_NOT_KEY, "dc", "", false, false},
                {"dc!=", YD_FILTER_WILDCARD, "dc", "*", false, false},
                {"dc=~", YD_FILTER_REGEXP, "dc", "^(?:)", false, false},
                {"k=a=b", YD_FILTER_LITERAL_OR, "k", "a=b", false, true},
                {"k=a|b", YD_FILTER_REGEXP, "k", "^a\\|b\\z", false, true},
                {"dc", 0, NULL, NULL, false, false},
                {"=eu", 0, NULL, NULL, false, false},
                {"!=eu", 0, NULL, NULL, false, false},
                {"", 0, NULL, NULL, false, false}};
    struct yd_arena arena;
    (void)state;
    yd_arena_init(&arena, NULL);
    for (size_t i = 0; i < YD_COUNT(tags); i++) {
        struct yd_filter filter;
        bool needs = false;
        int r = yd_graphite_tag_expression(s(tags[i].text), &arena, &filter, &needs, NULL);
        if ((r < 0) != !tags[i].key) fail_msg("'%s': %s", tags[i].text, yd_error_name(r));
        if (r < 0) continue;
        if (filter.type != tags[i].type || !yd_str_eq(filter.key, s(tags[i].key)) ||
            !yd_str_eq(filter.expression, s(tags[i].expression)) || filter.of_metric != tags[i].of_metric ||
            needs != tags[i].needs)
            fail_msg("'%s': %d '%.*s' '%.*s' %d %d", tags[i].text, (int)filter.type, YD_STR_FMT(filter.key),
                     YD_STR_FMT(filter.expression), filter.of_metric, needs);
    }
    yd_arena_fini(&arena);
}

TEST(names_are_written_as_graphite_writes_them)
{
    static const char *const names[][2] = {{"a.b", "a.b"},
                                           {"disk.used dc=eu,host=a", "disk.used;dc=eu;host=a"},
                                           {"a\\ b k=x\\,y", "a b;k=x,y"},
                                           {"a k=", "a;k="}};
    (void)state;
    for (size_t i = 0; i < YD_COUNT(names); i++) {
        struct yd_buf buf;
        yd_buf_init(&buf, NULL);
        yd_graphite_put_name(&buf, s(names[i][0]));
        if (!yd_str_eq(yd_buf_view(&buf), s(names[i][1])))
            fail_msg("%s: %.*s", names[i][0], YD_STR_FMT(yd_buf_view(&buf)));
        yd_buf_fini(&buf);
    }
}

/* ---- the grammar ---- */

/* A tree written down: (call arg key:arg) path<…> "string" number bool none */
static void write_tree(const struct yd_gnode *node, struct yd_buf *to)
{
    if (node->key.size) yd_buf_printf(to, "%.*s:", YD_STR_FMT(node->key));
    switch (node->kind) {
    case YD_G_PATH:
        yd_buf_printf(to, "<%.*s>", YD_STR_FMT(node->text));
        break;
    case YD_G_STRING:
        yd_buf_printf(to, "\"%.*s\"", YD_STR_FMT(node->text));
        break;
    case YD_G_NUMBER:
        yd_buf_printf(to, "%g", node->number);
        break;
    case YD_G_BOOL:
        yd_buf_cstr(to, node->number != 0 ? "true" : "false");
        break;
    case YD_G_NONE:
        yd_buf_cstr(to, "none");
        break;
    case YD_G_CALL:
        yd_buf_printf(to, "(%.*s", YD_STR_FMT(node->text));
        for (const struct yd_gnode *argument = node->first; argument; argument = argument->next) {
            yd_buf_char(to, ' ');
            write_tree(argument, to);
        }
        yd_buf_char(to, ')');
    }
}

TEST(targets_are_read_as_trees)
{
    static const char *const targets[][2] = {
        {"a.b.c", "<a.b.c>"},
        {" a.*.{b,c}[0-9].x? ", "<a.*.{b,c}[0-9].x?>"},
        {"sum(a,b)", "(sum <a> <b>)"},
        {"sum( a , b )", "(sum <a> <b>)"},
        {"f()", "(f)"},
        {"f(g(h(a)),1)", "(f (g (h <a>)) 1)"},
        {"f(a,\"x,y\",'z')", "(f <a> \"x,y\" \"z\")"},
        {"f(\"a\\\"b\",'\\1')", "(f \"a\"b\" \"\\1\")"},
        {"f(a,1.5,-2,1e3,true,False,None)", "(f <a> 1.5 -2 1000 true false none)"},
        {"f(a,func='sum',alignToFrom=true)", "(f <a> func:\"sum\" alignToFrom:true)"},
        {"f(1min.load,10.0.x)", "(f <1min.load> <10.0.x>)"},
        {"disk.used;dc=eu;host=a", "<disk.used;dc=eu;host=a>"},
        {"f(disk.used;dc=eu)", "(f <disk.used;dc=eu>)"},
        {"a|f()|g(2)", "(g (f <a>) 2)"},
        {"sum(a|f(),b)", "(sum (f <a>) <b>)"},
        {"a\\,b", "<a\\,b>"},
        {"\xc3\xa4.b", "<\xc3\xa4.b>"},
        {"aliasSub(aliasByNode(a.*,1),\"(^.*$)\",\"\\1 A\")", "(aliasSub (aliasByNode <a.*> 1) \"(^.*$)\" \"\\1 A\")"}};
    static const char *const bad[] = {"",      "(",      "f(",     "f(a",   "f(a,",   "f(a,)",   "f(,a)", "a b",
                                      "f(a)b", "f(\"a)", "f('a",   "a|",    "a|b",    "a|1(x)",  ")",     "a,b",
                                      "1x(a)", "f(a))",  "f(a b)", "f(k=)", "\"a\"x", "a|f(b))", "|f()",  "f(a;"};
    struct yd_arena arena;
    struct yd_buf buf;
    (void)state;
    yd_arena_init(&arena, NULL);
    yd_buf_init(&buf, NULL);
    for (size_t i = 0; i < YD_COUNT(targets); i++) {
        struct yd_gnode *node;
        struct yd_trail trail = {0};
        if (yd_gtarget_parse(s(targets[i][0]), &arena, &node, &trail) < 0)
            fail_msg("'%s': %s", targets[i][0], yd_trail_text(&trail));
        yd_buf_clear(&buf);
        write_tree(node, &buf);
        if (!yd_str_eq(yd_buf_view(&buf), s(targets[i][1])))
            fail_msg("'%s': %.*s", targets[i][0], YD_STR_FMT(yd_buf_view(&buf)));
    }
    for (size_t i = 0; i < YD_COUNT(bad); i++) {
        struct yd_gnode *node;
        struct yd_trail trail = {0};
        if (yd_gtarget_parse(s(bad[i]), &arena, &node, &trail) != YD_EINVAL) fail_msg("'%s'", bad[i]);
        if (!strstr(yd_trail_text(&trail), "at character")) fail_msg("'%s': %s", bad[i], yd_trail_text(&trail));
    }
    yd_buf_fini(&buf);
    yd_arena_fini(&arena);
}

static int parse_repeated(const char *open, const char *middle, const char *close, int times)
{
    struct yd_arena arena;
    struct yd_buf buf;
    struct yd_gnode *node;
    yd_arena_init(&arena, NULL);
    yd_buf_init(&buf, NULL);
    for (int i = 0; i < times; i++) yd_buf_cstr(&buf, open);
    yd_buf_cstr(&buf, middle);
    for (int i = 0; i < times; i++) yd_buf_cstr(&buf, close);
    int r = yd_gtarget_parse(yd_buf_view(&buf), &arena, &node, NULL);
    yd_buf_fini(&buf);
    yd_arena_fini(&arena);
    return r;
}

TEST(targets_that_are_too_deep_too_long_or_have_too_many_parts_are_refused)
{
    (void)state;
    assert_int_equal(parse_repeated("f(", "a", ")", 31), 0);
    assert_int_equal(parse_repeated("f(", "a", ")", 32), YD_ETOOBIG);
    assert_int_equal(parse_repeated("f(", "a", ")", 10000), YD_ETOOBIG);
    assert_int_equal(parse_repeated("(", "", "", 10000), YD_EINVAL);
    assert_int_equal(parse_repeated("", "a", "|f()", 30), 0);
    assert_int_equal(parse_repeated("", "a", "|f()", 40), YD_ETOOBIG);
    assert_int_equal(parse_repeated("f(a,", "a", "|g())", 20), 0);
    assert_int_equal(parse_repeated("", "f(a", ",a", 1000), YD_EINVAL);
    assert_int_equal(parse_repeated("", "f(a", ",a", 1100), YD_ETOOBIG);
    assert_int_equal(parse_repeated("", "a", "b", 65535), 0);
    assert_int_equal(parse_repeated("", "a", "b", 65536), YD_ETOOBIG);
}

/* ---- functions ---- */

#define _ NAN

/* What the history would have: by path, step 60 from 1200 on. */
static const struct {
    const char *path, *name;
    size_t count;
    double values[12];
    const char *tags; /* key=value of one tag, or NULL */
} stored[] = {
    {"a", "a", 6, {1, 2, _, 4, 5, 6}, NULL},
    {"b", "b", 6, {10, 20, 30, _, 50, 60}, NULL},
    {"c", "c", 6, {1, 3, 2, 5, _, 9}, NULL},
    {"gap", "gap", 6, {_, 1, _, _, 2, _}, NULL},
    {"s.*.x", "s.one.x", 6, {1, 1, 1, 1, 1, 1}, NULL},
    {"s.*.x", "s.two.x", 6, {2, 2, 2, 2, 2, 2}, NULL},
    {"s.*.y", "s.one.y", 6, {5, 5, 5, 5, 5, 5}, NULL},
    {"t", "t;host=h1", 6, {1, 2, 3, 4, 5, 6}, "host=h1"},
    {"t", "t;host=h2", 6, {3, 2, 3, 2, 3, 2}, "host=h2"},
};
enum { FROM = 1199, UNTIL = 1500 };

static int fetch(struct yd_gpool *pool, const struct yd_gfetch *what, struct yd_glist *list)
{
    for (size_t i = 0; i < YD_COUNT(stored); i++) {
        struct yd_gseries *series;
        if (!yd_str_eq(what->node->text, s(stored[i].path))) continue;
        int r = yd_gseries_make(pool, 1200, 60, stored[i].count, &series);
        if (r < 0) return r;
        memcpy(series->values, stored[i].values, stored[i].count * sizeof(double));
        series->path = what->node->text;
        series->name = s(stored[i].name);
        series->fold = what->fold;
        const char *name_end = strchr(stored[i].name, ';'),
                   *equals = stored[i].tags ? strchr(stored[i].tags, '=') : NULL;
        series->tags = yd_arena_zero(pool->arena, 2 * sizeof *series->tags);
        size_t name_size = name_end ? (size_t)(name_end - stored[i].name) : strlen(stored[i].name);
        if (equals)
            series->tags[series->tag_count++] =
                (struct yd_tag){{stored[i].tags, (size_t)(equals - stored[i].tags)}, s(equals + 1)};
        series->tags[series->tag_count++] = (struct yd_tag){YD_STR("name"), {stored[i].name, name_size}};
        r = yd_glist_add(pool, list, series);
        if (r < 0) return r;
    }
    return 0;
}

static void write_series(const struct yd_glist *list, struct yd_buf *to)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct yd_gseries *series = list->items[i];
        yd_buf_printf(to, "%s%.*s", i ? " | " : "", YD_STR_FMT(series->name));
        if (series->start != 1200 || series->step != 60)
            yd_buf_printf(to, " @%lld+%lld", (long long)series->start, (long long)series->step);
        yd_buf_char(to, ':');
        for (size_t k = 0; k < series->count; k++) {
            if (isnan(series->values[k]))
                yd_buf_cstr(to, " -");
            else
                yd_buf_printf(to, " %.6g", series->values[k]);
        }
    }
}

/* What becomes of a target: its series written down, or the error. */
static int evaluate(const char *target, struct yd_buf *to)
{
    struct yd_arena arena;
    struct yd_trail trail = {0};
    struct yd_gpool pool;
    struct yd_gnode *node;
    struct yd_glist fetched[YD_GFETCHES_MAX] = {0}, results = {0};
    uint64_t all = 0;
    static struct yd_gplan plan;
    yd_buf_clear(to);
    yd_arena_init(&arena, NULL);
    yd_gpool_init(&pool, &arena, &all);
    yd_gplan_init(&plan, FROM, UNTIL, 0);
    int r = yd_gtarget_parse(s(target), &arena, &node, &trail);
    if (r == 0) r = yd_gplan_target(&plan, node, &trail);
    for (uint32_t i = 0; r == 0 && i < plan.fetch_count; i++) r = fetch(&pool, &plan.fetches[i], &fetched[i]);
    struct yd_geval eval = {.pool = &pool, .trail = &trail, .plan = &plan, .fetched = fetched};
    if (r == 0) r = yd_geval(&eval, node, &results);
    if (r == 0) write_series(&results, to);
    if (r < 0) yd_buf_cstr(to, yd_trail_text(&trail));
    yd_buf_char(to, 0);
    yd_gpool_fini(&pool);
    assert_int_equal(all, 0);
    yd_arena_fini(&arena);
    return r;
}

TEST(functions_compute_what_graphite_computes)
{
    static const char *const cases[][2] = {
        {"a", "a: 1 2 - 4 5 6"},
        {"nothing", ""},
        {"sumSeries(a,b)", "sumSeries(a,b): 11 22 30 4 55 66"},
        {"sum(s.*.x)", "sumSeries(s.*.x): 3 3 3 3 3 3"},
        {"sumSeries(s.*.x,s.*.x)", "sumSeries(s.*.x): 6 6 6 6 6 6"},
        {"sumSeries(nothing)", ""},
        {"averageSeries(a,b)", "averageSeries(a,b): 5.5 11 30 4 27.5 33"},
        {"avg(gap)", "averageSeries(gap): - 1 - - 2 -"},
        {"maxSeries(a,c)", "maxSeries(a,c): 1 3 2 5 5 9"},
        {"minSeries(a,c)", "minSeries(a,c): 1 2 2 4 5 6"},
        {"countSeries(a,b)", "countSeries(a,b): 2 2 2 2 2 2"},
        {"diffSeries(b,a)", "diffSeries(b,a): 9 18 30 4 45 54"},
        {"multiplySeries(a,b)", "multiplySeries(a,b): 10 40 - - 250 360"},
        {"rangeOfSeries(s.*.x)", "rangeOfSeries(s.*.x): 1 1 1 1 1 1"},
        {"stddevSeries(s.*.x)", "stddevSeries(s.*.x): 0.5 0.5 0.5 0.5 0.5 0.5"},
        {"aggregate(s.*.x,'median')", "medianSeries(s.*.x): 1.5 1.5 1.5 1.5 1.5 1.5"},
        {"aggregate(group(a,b),'count')", "countSeries(a,b): 2 2 1 1 2 2"},
        {"aggregate(group(a,b),'range')", "rangeSeries(a,b): 9 18 0 0 45 54"},
        {"groupByTags(s.*.x,'sum','none')", "sumSeries(s.*.x);none=: 3 3 3 3 3 3"},
        {"aggregate(s.*.x,func='sumSeries')", "sumSeries(s.*.x): 3 3 3 3 3 3"},
        {"divideSeries(b,a)", "divideSeries(b,a): 10 10 - - 10 10"},
        {"divideSeries(b,transformNull(scale(a,0)))", "divideSeries(b,transformNull(scale(a,0),0)): - - - - - -"},
        {"divideSeries(b,nothing)", ""},
        {"asPercent(s.*.x)", "asPercent(s.one.x,sumSeries(s.*.x)): 33.3333 33.3333 33.3333 33.3333 33.3333 33.3333 | "
                             "asPercent(s.two.x,sumSeries(s.*.x)): 66.6667 66.6667 66.6667 66.6667 66.6667 66.6667"},
        {"asPercent(a,10)", "asPercent(a,10): 10 20 - 40 50 60"},
        {"asPercent(a,b)", "asPercent(a,b): 10 10 - - 10 10"},
        {"scale(a,2)", "scale(a,2): 2 4 - 8 10 12"},
        {"scale(a,factor=-0.5)", "scale(a,-0.5): -0.5 -1 - -2 -2.5 -3"},
        {"offset(a,10)", "offset(a,10): 11 12 - 14 15 16"},
        {"absolute(offset(a,-4))", "absolute(offset(a,-4)): 3 2 - 0 1 2"},
        {"derivative(c)", "derivative(c): - 2 -1 3 - -"},
        {"nonNegativeDerivative(c)", "nonNegativeDerivative(c): - 2 - 3 - -"},
        {"nonNegativeDerivative(c,9)", "nonNegativeDerivative(c): - 2 9 3 - -"},
        {"perSecond(scale(c,60))", "perSecond(scale(c,60)): - 2 - 3 - -"},
        {"integral(a)", "integral(a): 1 3 - 7 12 18"},
        {"keepLastValue(gap)", "keepLastValue(gap): - 1 1 1 2 2"},
        {"keepLastValue(gap,1)", "keepLastValue(gap): - 1 - - 2 2"},
        {"transformNull(gap)", "transformNull(gap,0): 0 1 0 0 2 0"},
        {"transformNull(gap,-1)", "transformNull(gap,-1): -1 1 -1 -1 2 -1"},
        {"movingAverage(a,2)", "movingAverage(a,2): - 1 1.5 2 4 4.5"},
        {"movingAverage(a,'2min')", "movingAverage(a,\"2min\"): - 1 1.5 2 4 4.5"},
        {"movingSum(a,6)", "movingSum(a,6): - 1 3 3 7 12"},
        {"movingMax(c,2)", "movingMax(c,2): - 1 3 3 5 5"},
        {"movingMin(c,2)", "movingMin(c,2): - 1 1 2 2 5"},
        {"movingMedian(b,3)", "movingMedian(b,3): - 10 15 20 25 40"},
        {"alias(a,'new name')", "new name: 1 2 - 4 5 6"},
        {"aliasByNode(s.*.x,1)", "one: 1 1 1 1 1 1 | two: 2 2 2 2 2 2"},
        {"aliasByNode(s.*.x,-1,0)", "x.s: 1 1 1 1 1 1 | x.s: 2 2 2 2 2 2"},
        {"aliasByNode(scale(s.*.x,2),1)", "one: 2 2 2 2 2 2 | two: 4 4 4 4 4 4"},
        {"aliasByNode(t,'host',0)", "h1.t: 1 2 3 4 5 6 | h2.t: 3 2 3 2 3 2"},
        {"aliasByTags(t,'name','none')", "t.: 1 2 3 4 5 6 | t.: 3 2 3 2 3 2"},
        {"aliasByNode(a,7)", ": 1 2 - 4 5 6"},
        {"aliasByNode(a,1e73)", ": 1 2 - 4 5 6"},
        {"aliasSub(a,\"(^.*$)\",\"\\1 A\")", "a A: 1 2 - 4 5 6"},
        {"aliasSub(s.*.x,'s\\.(\\w+)\\.x','\\g<1>-\\\\')", "one-\\: 1 1 1 1 1 1 | two-\\: 2 2 2 2 2 2"},
        {"aliasSub(alias(a,'aXbX'),'X','-')", "a-b-: 1 2 - 4 5 6"},
        {"aliasSub(alias(a,'ab'),'x*','-')", "-a-b-: 1 2 - 4 5 6"},
        {"groupByNode(s.*.*,1)", ""},
        {"groupByNode(group(s.*.x,s.*.y),1,'sum')", "one: 6 6 6 6 6 6 | two: 2 2 2 2 2 2"},
        {"groupByNode(t,'host','max')", "h1: 1 2 3 4 5 6 | h2: 3 2 3 2 3 2"},
        {"groupByNodes(group(s.*.x,s.*.y),'max',0,2)", "s.x: 2 2 2 2 2 2 | s.y: 5 5 5 5 5 5"},
        {"groupByTags(t,'sum','name')", "t: 4 4 6 6 8 8"},
        {"groupByTags(t,'sum','host')", "t;host=h1: 1 2 3 4 5 6 | t;host=h2: 3 2 3 2 3 2"},
        {"summarize(scale(a,1),'2min')", "summarize(scale(a,1), \"2min\", \"sum\") @1200+120: 3 4 11"},
        {"summarize(scale(a,1),'2min','max')", "summarize(scale(a,1), \"2min\", \"max\") @1200+120: 2 4 6"},
        {"summarize(scale(a,1),'5min','avg')", "summarize(scale(a,1), \"5min\", \"avg\") @1200+300: 3 6"},
        {"summarize(scale(a,1),'7min','last')", "summarize(scale(a,1), \"7min\", \"last\") @840+420: 1 6"},
        {"summarize(a,'3min','count',true)", "summarize(a, \"3min\", \"count\", true) @1200+180: 2 3"},
        {"summarize(scale(a,1),'30s')", "summarize(scale(a,1), \"30s\", \"sum\"): 1 2 - 4 5 6"},
        {"consolidateBy(a,'max')", "consolidateBy(a,\"max\"): 1 2 - 4 5 6"},
        {"constantLine(12.5)", "12.5 @1199+150: 12.5 12.5 12.5"},
        {"limit(s.*.x,1)", "s.one.x: 1 1 1 1 1 1"},
        {"highestMax(s.*.x,1)", "s.two.x: 2 2 2 2 2 2"},
        {"highestCurrent(t)", "t;host=h1: 1 2 3 4 5 6"},
        {"highestAverage(t,5)", "t;host=h1: 1 2 3 4 5 6 | t;host=h2: 3 2 3 2 3 2"},
        {"grep(s.*.x,'tw')", "s.two.x: 2 2 2 2 2 2"},
        {"exclude(s.*.x,'tw')", "s.one.x: 1 1 1 1 1 1"},
        {"sortByName(group(b,a))", "a: 1 2 - 4 5 6 | b: 10 20 30 - 50 60"},
        {"a|scale(2)|alias('x')", "x: 2 4 - 8 10 12"},
        {"sumSeries(summarize(scale(a,1),'2min'),b)",
         "sumSeries(summarize(scale(a,1), \"2min\", \"sum\"),b) @1200+120: "
         "18 34 66"},
    };
    struct yd_buf buf;
    (void)state;
    yd_buf_init(&buf, NULL);
    for (size_t i = 0; i < YD_COUNT(cases); i++) {
        if (evaluate(cases[i][0], &buf) < 0) fail_msg("'%s': %s", cases[i][0], buf.data);
        if (strcmp(buf.data, cases[i][1]) != 0) fail_msg("'%s':\n%s\n%s", cases[i][0], buf.data, cases[i][1]);
    }
    yd_buf_fini(&buf);
}

TEST(functions_refuse_what_they_do_not_understand_and_say_why)
{
    static const char *const cases[][2] = {
        {"frobnicate(a)", "unknown function 'frobnicate'"},
        {"scale(a)", "factor must be a number"},
        {"scale(a,'x')", "factor must be a number"},
        {"scale(2,2)", "a value where series are expected"},
        {"sumSeries()", "series are missing"},
        {"sumSeries(a,'x')", "a value where series are expected"},
        {"alias(a)", "newName must be a text"},
        {"alias(a,f(b))", "newName must be a text"},
        {"aliasByNode(a)", "nodes are missing"},
        {"aliasSub(a,'(','x')", "regular expression"},
        {"aliasSub(a,'x')", "replace must be a text"},
        {"aliasSub(alias(a,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!'),'^(a+)+$','')", ""},
        {"movingAverage(a)", "windowSize is missing"},
        {"movingAverage(a,'x')", "windowSize must be"},
        {"movingAverage(a,0)", "windowSize must be"},
        {"summarize(a)", "intervalString must be a text"},
        {"summarize(a,'x')", "intervalString must be a time"},
        {"summarize(a,'4294967295y')", "intervalString must be a time"},
        {"summarize(a,'1h','frob')", "unknown function 'frob'"},
        {"consolidateBy(a,'frob')", "unknown function 'frob'"},
        {"groupByNode(a,0,'frob')", "unknown function 'frob'"},
        {"groupByNodes(a,'sum')", "nodes are missing"},
        {"divideSeries(a)", "divisorSeries is missing"},
        {"divideSeries(a,s.*.x)", "exactly one series"},
        {"divideSeries(a,'scale',2)", "a value where series are expected"},
        {"divideSeries(a,2)", "a value where series are expected"},
        {"asPercent(a,s.*.x)", "exactly one series"},
        {"constantLine('x')", "value must be a number"},
        {"'text'", "a value where series are expected"},
        {"17", "a value where series are expected"}};
    struct yd_buf buf;
    (void)state;
    yd_buf_init(&buf, NULL);
    for (size_t i = 0; i < YD_COUNT(cases); i++) {
        int r = evaluate(cases[i][0], &buf);
        if (!*cases[i][1]) { /* bounded, one way or the other */
            assert_true(r == 0 || r == YD_ETOOBIG);
            continue;
        }
        if (r != YD_EINVAL || !strstr(buf.data, cases[i][1]))
            fail_msg("'%s': %s, %s", cases[i][0], yd_error_name(r), buf.data);
    }
    yd_buf_fini(&buf);
}

/* ---- plans and steps ---- */

static const struct yd_gplan *plan_of(const char *target, int64_t range, uint64_t points, struct yd_arena *arena)
{
    static struct yd_gplan plan;
    struct yd_gnode *node;
    yd_gplan_init(&plan, 1000000 + 7, 1000000 + 7 + range, points);
    assert_int_equal(yd_gtarget_parse(s(target), arena, &node, NULL), 0);
    assert_int_equal(yd_gplan_target(&plan, node, NULL), 0);
    return &plan;
}

TEST(paths_are_fetched_as_finely_as_what_is_made_of_them_needs)
{
    static const struct {
        const char *target;
        int64_t range, unit, before; /* before: how much earlier than `from` */
        uint64_t points;
        enum yd_gfold fold;
        bool fixed;
    } cases[] = {{"a", 3600, 10, 0, 400, YD_GFOLD_AVG, false},
                 {"a", 3600, 1, 0, 0, YD_GFOLD_AVG, false},
                 {"a", 3600, 60, 0, 10, YD_GFOLD_AVG, false}, /* few: folded from a hundred */
                 {"a", 30 * 86400, 30, 0, 0, YD_GFOLD_AVG, false},
                 {"sumSeries(scale(a,2))", 86400, 300, 0, 300, YD_GFOLD_AVG, false},
                 {"consolidateBy(a,'max')", 86400, 300, 0, 300, YD_GFOLD_MAX, false},
                 {"perSecond(a)", 86400, 1, 0, 300, YD_GFOLD_AVG, false},
                 {"movingAverage(a,'1h')", 86400, 1, 3600, 300, YD_GFOLD_AVG, false},
                 {"movingAverage(movingAverage(a,'1h'),10)", 86400, 1, 4200, 300, YD_GFOLD_AVG, false},
                 {"summarize(a,'1h','sum')", 86400, 3600, (1000000 + 7) % 3600, 300, YD_GFOLD_SUM, true},
                 {"summarize(alias(a,'x'),'1h','max')", 86400, 3600, (1000000 + 7) % 3600, 300, YD_GFOLD_MAX, true},
                 {"summarize(scale(a,2),'1h','sum')", 86400, 1, 0, 300, YD_GFOLD_AVG, false},
                 {"summarize(a,'1h','median')", 86400, 1, 0, 300, YD_GFOLD_AVG, false},
                 {"summarize(a,'1h','sum',true)", 86400, 1, 0, 300, YD_GFOLD_AVG, false}};
    struct yd_arena arena;
    (void)state;
    yd_arena_init(&arena, NULL);
    for (size_t i = 0; i < YD_COUNT(cases); i++) {
        const struct yd_gplan *plan = plan_of(cases[i].target, cases[i].range, cases[i].points, &arena);
        const struct yd_gfetch *one = &plan->fetches[0];
        if (plan->fetch_count != 1 || one->unit != cases[i].unit || one->fold != cases[i].fold ||
            one->fixed != cases[i].fixed || plan->from - one->from != cases[i].before)
            fail_msg("'%s': unit %lld, fold %d, fixed %d, %lld before", cases[i].target, (long long)one->unit,
                     (int)one->fold, one->fixed, (long long)(plan->from - one->from));
    }
    yd_arena_fini(&arena);
}

TEST(too_many_paths_are_refused)
{
    struct yd_arena arena;
    struct yd_buf buf;
    struct yd_gnode *node;
    static struct yd_gplan plan;
    (void)state;
    yd_arena_init(&arena, NULL);
    yd_buf_init(&buf, NULL);
    yd_buf_cstr(&buf, "sum(a");
    for (int i = 0; i < 128; i++) yd_buf_cstr(&buf, ",a");
    yd_buf_char(&buf, ')');
    yd_gplan_init(&plan, 0, 3600, 0);
    assert_int_equal(yd_gtarget_parse(yd_buf_view(&buf), &arena, &node, NULL), 0);
    assert_int_equal(yd_gplan_target(&plan, node, NULL), YD_ETOOBIG);
    yd_buf_fini(&buf);
    yd_arena_fini(&arena);
}

/* ---- how much is found ---- */

/* What a History says of nodes (or of tags): `count` of them from `first` on, and where to go on. */
static int found(struct yd_gweb *web, const char *prefix, unsigned first, unsigned count, int64_t next,
                 struct yd_trail *trail)
{
    struct yd_builder *builder;
    struct yd_batch *batch;
    uint32_t leaf, part;
    assert_int_equal(yd_builder_create(NULL, &builder), 0);
    int r = 0;
    for (unsigned i = 0; i < count && r == 0;) {
        assert_true(yd_builder_name(builder, s("leaf"), &leaf) >= 0);
        for (unsigned k = 0; k < 10000 && i < count; k++, i++) {
            char path[64];
            int size = snprintf(path, sizeof path, "%s%u", prefix, first + i);
            struct yd_str text = {path, (size_t)size};
            assert_true(yd_builder_add_bytes(builder, 0, leaf, YD_FACT, YD_TEXT, 0, text) >= 0);
        }
        if (i == count) {
            assert_true(yd_builder_name(builder, s("part"), &part) >= 0);
            assert_true(yd_builder_begin(builder, 0, part, YD_ROW, 0, YD_MAP) >= 0);
            assert_true(yd_builder_cell(builder, s("next"), YD_I64, (union yd_value){.i64 = next}) >= 0);
            assert_true(yd_builder_end(builder) >= 0);
        }
        assert_int_equal(yd_builder_seal(builder, &batch), 0);
        r = yd_gweb_add(web, batch, trail);
        yd_batch_unref(batch);
    }
    yd_builder_destroy(builder);
    return r;
}

/* Queries of /metrics/expand, `each` nodes found for every one of three, in two parts: what comes of it. */
static int expand(const char *arguments, unsigned each, unsigned apart, struct yd_buf *answer, struct yd_trail *trail)
{
    struct yd_tsdb_request request = {.graphite = true, .path = s("metrics/expand"), .body = s(arguments)};
    struct yd_gweb *web;
    struct yd_ask ask;
    uint64_t values = 0;
    yd_arena_init(&request.arena, NULL);
    int r = yd_gweb_start(&request, NOW * YD_NS_PER_S, &values, &web, &ask, trail);
    if (r >= 0) {
        for (unsigned i = 0; r > 0; i++) {
            assert_true(i < 6);
            assert_int_equal(ask.op, YD_ASK_NODES);
            assert_int_equal(ask.from, i % 2 ? 77 : 0);
            unsigned half = each / 2;
            r = found(web, "n.", i / 2 * apart + i % 2 * half, i % 2 ? each - half : half, i % 2 ? 0 : 77, trail);
            if (r == 0) r = yd_gweb_next(web, &ask, trail);
        }
        while (r == 0 && answer && yd_gweb_write(web, answer, 1 << 16)) {
        }
        yd_gweb_destroy(web);
    }
    assert_int_equal(values, 0);
    yd_arena_fini(&request.arena);
    return r;
}

TEST(nodes_of_all_queries_together_are_bounded)
{
    static const char grouped[] = "groupByExpr=1&query=a.*&query=b.*&query=c.*",
                      joined[] = "query=a.*&query=b.*&query=c.*";
    struct yd_trail trail = {0};
    struct yd_buf buf;
    (void)state;
    yd_buf_init(&buf, NULL);
    assert_int_equal(expand(grouped, 33333, 0, &buf, &trail), 0); /* the same ones count for each query */
    size_t count = 0;
    for (size_t i = 0; i + 2 < buf.size; i++) count += memcmp(buf.data + i, "\"n.", 3) == 0;
    assert_int_equal(count, 99999);
    assert_int_equal(expand(grouped, 33334, 0, NULL, &trail), YD_ETOOBIG);
    assert_non_null(strstr(yd_trail_text(&trail), "match all queries together: ask for fewer"));
    trail = (struct yd_trail){0};
    assert_int_equal(expand(grouped, 100001, 0, NULL, &trail), YD_ETOOBIG); /* one alone */
    assert_non_null(strstr(yd_trail_text(&trail), "match 'a.*': put more of the path before"));
    yd_buf_clear(&buf);
    assert_int_equal(expand(joined, 90000, 0, &buf, &trail), 0); /* the same ones, said once */
    count = 0;
    for (size_t i = 0; i + 2 < buf.size; i++) count += memcmp(buf.data + i, "\"n.", 3) == 0;
    assert_int_equal(count, 90000);
    trail = (struct yd_trail){0};
    assert_int_equal(expand(joined, 33334, 33334, NULL, &trail), YD_ETOOBIG);
    assert_non_null(strstr(yd_trail_text(&trail), "match 'c.*'"));
    yd_buf_fini(&buf);
}

/* ---- steps ---- */

TEST(the_step_is_the_usual_distance_of_points)
{
    static const struct {
        uint32_t places[10];
        size_t count;
        int64_t unit, step;
    } cases[] = {{{0, 60, 120, 180, 240}, 5, 1, 60},
                 {{7, 67, 127, 187}, 4, 1, 60},
                 {{0, 10, 20, 30, 200, 210, 220}, 7, 1, 10}, /* a gap */
                 {{0, 59, 119, 178, 238, 297}, 6, 1, 60},    /* jitter */
                 {{0, 1, 2, 3, 4, 5}, 6, 30, 30},
                 {{0, 7, 14, 21, 28}, 5, 1, 7},
                 {{0, 2, 4, 6}, 4, 30, 60},
                 {{5}, 1, 10, 0},
                 {{0}, 0, 10, 0}};
    (void)state;
    for (size_t i = 0; i < YD_COUNT(cases); i++) {
        int64_t step = yd_gstep_of(cases[i].places, cases[i].count, cases[i].unit);
        if (step != cases[i].step) fail_msg("%zu: %lld", i, (long long)step);
    }
    assert_int_equal(yd_gstep_above(0), 1);
    assert_int_equal(yd_gstep_above(11), 15);
    assert_int_equal(yd_gstep_above(86401), 172800);
}

TEST(series_are_brought_to_longer_steps_aligned_without_a_cut_first_value)
{
    struct yd_arena arena;
    struct yd_gpool pool;
    struct yd_gseries *series;
    struct yd_glist list = {0};
    struct yd_buf buf;
    (void)state;
    yd_arena_init(&arena, NULL);
    yd_gpool_init(&pool, &arena, NULL);
    yd_buf_init(&buf, NULL);
    assert_int_equal(yd_gseries_make(&pool, 130, 10, 7, &series), 0);
    for (size_t i = 0; i < 7; i++) series->values[i] = (double)i;
    series->values[4] = NAN;
    series->name = YD_STR("x");
    assert_int_equal(yd_gseries_coarsen(series, 20), 0);
    assert_int_equal(yd_glist_add(&pool, &list, series), 0);
    write_series(&list, &buf);
    yd_buf_char(&buf, 0);
    assert_string_equal(buf.data, "x @140+20: 1.5 3 5.5"); /* 130 alone is a part of 120…139 */
    series->fold = YD_GFOLD_SUM;
    assert_int_equal(yd_gseries_coarsen(series, 1000), 0);
    yd_buf_clear(&buf);
    write_series(&list, &buf);
    yd_buf_char(&buf, 0);
    assert_string_equal(buf.data, "x @0+1000: 10"); /* the only one stays */
    yd_buf_fini(&buf);
    yd_gpool_fini(&pool);
    yd_arena_fini(&arena);
}

/* The least common multiple of these two is beyond 64 bits, and what is left of it is a short step. */
TEST(steps_whose_multiple_wraps_around_become_the_longest)
{
    static const int64_t steps[] = {INT64_C(3354210803), INT64_C(91659634) * 60};
    struct yd_arena arena;
    struct yd_gpool pool;
    struct yd_glist list = {0};
    struct yd_gseries *series;
    (void)state;
    yd_arena_init(&arena, NULL);
    yd_gpool_init(&pool, &arena, NULL);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(yd_gseries_make(&pool, 0, steps[i], 2, &series), 0);
        series->fold = YD_GFOLD_SUM;
        series->values[0] = series->values[1] = 1;
        assert_int_equal(yd_glist_add(&pool, &list, series), 0);
    }
    assert_int_equal(yd_glist_align(&pool, &list), 0);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(list.items[i]->step, steps[1]);
        assert_int_equal(list.items[i]->start, 0);
        assert_int_equal(list.items[i]->count, 2);
    }
    assert_true(list.items[0]->values[0] == 2 && isnan(list.items[0]->values[1]));
    yd_gpool_fini(&pool);
    yd_arena_fini(&arena);
}

TEST(a_shorter_step_is_refused)
{
    struct yd_arena arena;
    struct yd_gpool pool;
    struct yd_gseries *series;
    (void)state;
    yd_arena_init(&arena, NULL);
    yd_gpool_init(&pool, &arena, NULL);
    assert_int_equal(yd_gseries_make(&pool, 120, 60, 1, &series), 0);
    assert_int_equal(yd_gseries_coarsen(series, 59), YD_EINVAL);
    assert_int_equal(series->step, 60);
    assert_int_equal(yd_gseries_coarsen(series, 60), 0);
    assert_int_equal(series->count, 1);
    yd_gpool_fini(&pool);
    yd_arena_fini(&arena);
}

TEST(names_count_as_values_and_are_bounded)
{
    struct yd_arena arena;
    struct yd_gpool pool;
    struct yd_gseries *series;
    static char text[YD_GNAME_MAX + 2];
    (void)state;
    memset(text, 'n', sizeof text - 1);
    yd_arena_init(&arena, NULL);
    yd_gpool_init(&pool, &arena, NULL);
    assert_int_equal(yd_gseries_make(&pool, 0, 1, 0, &series), 0);
    assert_int_equal(yd_gseries_name(&pool, series, "%s", text), YD_ETOOBIG);
    assert_int_equal(pool.used, 0);
    assert_int_equal(yd_gseries_name(&pool, series, "%s", text + 1), 0);
    assert_true(pool.used >= YD_GNAME_MAX / 8);
    assert_int_equal(yd_gpool_take(&pool, YD_GVALUES_MAX - pool.used), 0);
    assert_int_equal(yd_gseries_name(&pool, series, "x"), YD_ETOOBIG);
    yd_gpool_fini(&pool);
    yd_arena_fini(&arena);
}

TEST(strings_take_no_more_than_their_size)
{
    struct yd_arena arena;
    struct yd_buf buf;
    struct yd_gnode *node;
    (void)state;
    yd_arena_init(&arena, NULL);
    yd_buf_init(&buf, NULL);
    yd_buf_cstr(&buf, "f(a");
    for (int i = 0; i < 1000; i++) yd_buf_cstr(&buf, ",'0123456789012345678901234567890123456789'");
    yd_buf_char(&buf, ')');
    assert_int_equal(yd_gtarget_parse(yd_buf_view(&buf), &arena, &node, NULL), 0);
    assert_true(arena.bytes < 1 << 20);
    yd_buf_fini(&buf);
    yd_arena_fini(&arena);
}

TEST(matches_count_as_work)
{
    struct yd_buf target, got;
    (void)state;
    yd_buf_init(&target, NULL);
    yd_buf_init(&got, NULL);
    yd_buf_cstr(&target, "aliasSub(alias(a,'");
    for (int i = 0; i < 15999; i++) yd_buf_char(&target, 'x');
    yd_buf_cstr(&target, "'),'x','y')");
    yd_buf_char(&target, 0);
    assert_int_equal(evaluate(target.data, &got), YD_ETOOBIG);
    assert_non_null(strstr(got.data, "go over more than"));
    yd_buf_fini(&target);
    yd_buf_fini(&got);
}

TEST(room_is_counted_for_a_request_and_for_all)
{
    struct yd_arena arena;
    struct yd_gpool pools[5];
    struct yd_gseries *series;
    struct yd_trail trail = {0};
    uint64_t all = 0;
    (void)state;
    yd_arena_init(&arena, NULL);
    for (size_t i = 0; i < 5; i++) {
        yd_gpool_init(&pools[i], &arena, &all);
        pools[i].trail = &trail;
    }
    assert_int_equal(yd_gseries_make(&pools[0], 0, 1, YD_GVALUES_MAX + 1, &series), YD_ETOOBIG);
    assert_non_null(strstr(yd_trail_text(&trail), "shorten the time range"));
    assert_int_equal(all, 0);
    for (size_t i = 0; i < 4; i++) assert_int_equal(yd_gpool_take(&pools[i], YD_GVALUES_MAX), 0);
    assert_int_equal(yd_gpool_take(&pools[0], 1), YD_ETOOBIG);
    assert_int_equal(yd_gpool_take(&pools[4], 1), YD_EBUSY);
    yd_gpool_fini(&pools[0]);
    assert_int_equal(yd_gpool_take(&pools[4], 1), 0);
    for (size_t i = 0; i < 5; i++) yd_gpool_fini(&pools[i]);
    assert_int_equal(all, 0);
    yd_arena_fini(&arena);
}

TEST(functions_are_listed_as_grafana_reads_them)
{
    struct yd_buf buf;
    (void)state;
    yd_buf_init(&buf, NULL);
    assert_true(yd_gfunctions_put(&buf, s("groupByNode")));
    yd_buf_char(&buf, 0);
    assert_string_equal(
        buf.data,
        "{\"name\":\"groupByNode\",\"function\":\"groupByNode(seriesList, nodeNum, callback)\",\"description\":\"Those "
        "that have a node or tag in common, each group as one series.\",\"module\":\"graphite.render.functions\","
        "\"group\":\"Combine\",\"params\":[{\"name\":\"seriesList\",\"type\":\"seriesList\",\"required\":true},"
        "{\"name\":\"nodeNum\",\"type\":\"nodeOrTag\",\"required\":true},{\"name\":\"callback\",\"type\":\"aggFunc\","
        "\"required\":false,\"options\":[\"average\",\"count\",\"diff\",\"first\",\"last\",\"max\",\"median\",\"min\","
        "\"multiply\",\"range\",\"stddev\",\"sum\"],\"default\":\"average\"}]}");
    yd_buf_clear(&buf);
    assert_false(yd_gfunctions_put(&buf, s("frobnicate")));
    assert_int_equal(buf.size, 0);
    yd_buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_come_in_all_of_graphites_spellings),
        cmocka_unit_test(durations_are_positive_and_whole),
        cmocka_unit_test(forms_join_the_url_and_the_body),
        cmocka_unit_test(tag_expressions_are_filters),
        cmocka_unit_test(names_are_written_as_graphite_writes_them),
        cmocka_unit_test(targets_are_read_as_trees),
        cmocka_unit_test(targets_that_are_too_deep_too_long_or_have_too_many_parts_are_refused),
        cmocka_unit_test(functions_compute_what_graphite_computes),
        cmocka_unit_test(functions_refuse_what_they_do_not_understand_and_say_why),
        cmocka_unit_test(paths_are_fetched_as_finely_as_what_is_made_of_them_needs),
        cmocka_unit_test(too_many_paths_are_refused),
        cmocka_unit_test(nodes_of_all_queries_together_are_bounded),
        cmocka_unit_test(the_step_is_the_usual_distance_of_points),
        cmocka_unit_test(series_are_brought_to_longer_steps_aligned_without_a_cut_first_value),
        cmocka_unit_test(steps_whose_multiple_wraps_around_become_the_longest),
        cmocka_unit_test(a_shorter_step_is_refused),
        cmocka_unit_test(names_count_as_values_and_are_bounded),
        cmocka_unit_test(strings_take_no_more_than_their_size),
        cmocka_unit_test(matches_count_as_work),
        cmocka_unit_test(room_is_counted_for_a_request_and_for_all),
        cmocka_unit_test(functions_are_listed_as_grafana_reads_them),
    };
    return cmocka_run_group_tests_name("elements/graphite_web", tests, NULL, NULL);
}
