/* What Graphite asks of names: nodes, tags, series, and queries over many metrics. */
#include "answers.h"
#include "store/nodes.h"

struct found {
    char text[8192];
    uint32_t calls;
};

static void put(struct found *found, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(struct found *found, const char *format, ...)
{
    size_t at = strlen(found->text);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(found->text + at, sizeof found->text - at, format, args);
    va_end(args);
}

static void on_node(void *arg, struct yd_str path, bool leaf)
{
    put(arg, "%.*s%s ", YD_STR_FMT(path), leaf ? "" : ".");
}
static void on_tag(void *arg, struct yd_str text, uint64_t count)
{
    put(arg, "%.*s=%llu ", YD_STR_FMT(text), (unsigned long long)count);
}
static void on_name(void *arg, struct yd_str name)
{
    put(arg, "[%.*s]", YD_STR_FMT(name));
}

static struct yd_history *filled(const char *const *names, size_t count)
{
    struct yd_history *history = test_history(&(struct yd_history_options){0});
    struct yd_builder *builder = test_builder();
    for (size_t i = 0; i < count; i++) test_i64(builder, names[i], (int64_t)(i + 1) * SECOND, (int64_t)i);
    test_fold(history, builder);
    yd_builder_destroy(builder);
    return history;
}

static void forget(struct yd_history *history, const char *text)
{
    struct yd_pattern *pattern;
    assert_int_equal(yd_pattern_compile(yd_str_of(text), &pattern), 0);
    uint64_t gone;
    assert_int_equal(yd_history_forget(history, pattern, INT64_MAX, &gone), 0);
    assert_true(gone > 0);
    yd_pattern_destroy(pattern);
}

static const char *const names[] = {"a.b.c", "a.b.d host=x",  "a.b.d host=y",
                                    "a.b",   "e dc=1,host=x", "a.f.c dc=2,host=x"};

static void assert_nodes(struct yd_history *history, const char *pattern, const char *want)
{
    struct found found = {0};
    uint32_t next;
    assert_int_equal(yd_history_nodes(history, yd_str_of(pattern), 0, on_node, &found, &next, NULL), 0);
    assert_int_equal(next, 0);
    assert_string_equal(found.text, want);
}

static void nodes_are_found_by_globs_that_do_not_cross_dots(void **state)
{
    (void)state;
    struct yd_history *history = filled(names, YD_COUNT(names));
    assert_nodes(history, "*", "a. e ");
    assert_nodes(history, "a.*", "a.b. a.b a.f. ");
    assert_nodes(history, "a.*.c", "a.b.c a.f.c ");
    assert_nodes(history, "*.*", "a.b. a.b a.f. ");
    assert_nodes(history, "a*", "a. ");
    assert_nodes(history, "a.{b,f}.c", "a.b.c a.f.c ");
    assert_nodes(history, "a.[a-e].?", "a.b.c a.b.d ");
    assert_nodes(history, "a.b.c.d", "");
    assert_nodes(history, "", "");
    assert_nodes(history, "a.", "");
    yd_history_destroy(history);
}

static void what_was_forgotten_is_in_no_list(void **state)
{
    (void)state;
    struct yd_history *history = filled(names, YD_COUNT(names));
    struct yd_tags_query query = {.key = YD_STR("")};
    struct found found = {0};
    uint32_t next;
    forget(history, "a.b.d host=y");
    forget(history, "a.f.c");
    assert_nodes(history, "a.*", "a.b. a.b ");
    assert_int_equal(yd_history_tags(history, &query, 0, on_tag, &found, &next, NULL), 0);
    assert_string_equal(found.text, "host=0 dc=0 ");
    found = (struct found){0};
    query.key = YD_STR("host");
    assert_int_equal(yd_history_tags(history, &query, 0, on_tag, &found, &next, NULL), 0);
    assert_string_equal(found.text, "x=2 ");
    found = (struct found){0};
    forget(history, "e");
    query.key = YD_STR("dc");
    assert_int_equal(yd_history_tags(history, &query, 0, on_tag, &found, &next, NULL), 0);
    assert_string_equal(found.text, "");
    yd_history_destroy(history);
}

static struct yd_filter filter(enum yd_filter_type type, const char *key, const char *expression)
{
    return (struct yd_filter){
        .type = type, .key = yd_str_of(key), .expression = yd_str_of(expression), .of_metric = !*key};
}

static void assert_series(struct yd_history *history, const struct yd_filter *filters, size_t count, const char *want)
{
    struct found found = {0};
    uint32_t next;
    assert_int_equal(yd_history_find(history, filters, count, 0, on_name, &found, &next, NULL), 0);
    assert_string_equal(found.text, want);
}

static void series_are_found_by_metric_and_tags(void **state)
{
    (void)state;
    struct yd_history *history = filled(names, YD_COUNT(names));
    const struct yd_filter nodes = filter(YD_FILTER_NODES, "", "a.*.*");
    assert_series(history, &nodes, 1, "[a.b.c][a.b.d host=x][a.b.d host=y][a.f.c dc=2,host=x]");
    const struct yd_filter both[] = {filter(YD_FILTER_NODES, "", "a.*.{c,d}"),
                                     filter(YD_FILTER_LITERAL_OR, "host", "x")};
    assert_series(history, both, 2, "[a.b.d host=x][a.f.c dc=2,host=x]");
    const struct yd_filter not [] = {filter(YD_FILTER_REGEXP, "", "^a"), filter(YD_FILTER_NOT_REGEXP, "host", "^x$")};
    assert_series(history, not, 2, "[a.b.c][a.b.d host=y][a.b]");
    const struct yd_filter nobody[] = {filter(YD_FILTER_LITERAL_OR, "", "e"), filter(YD_FILTER_NOT_KEY, "dc", "")};
    assert_series(history, nobody, 2, "");
    const struct yd_filter unknown = filter(YD_FILTER_NOT_REGEXP, "rack", "r");
    assert_series(history, &unknown, 1, "[a.b.c][a.b.d host=x][a.b.d host=y][a.b][e dc=1,host=x][a.f.c dc=2,host=x]");
    yd_history_destroy(history);
}

static void tags_are_counted_among_those_that_match(void **state)
{
    (void)state;
    struct yd_history *history = filled(names, YD_COUNT(names));
    const struct yd_filter metric = filter(YD_FILTER_NODES, "", "a.*.*");
    struct yd_tags_query query = {&metric, 1, YD_STR("host"), YD_STR(""), false};
    const struct {
        struct yd_str key, prefix;
        bool of_metric;
        const char *want;
    } cases[] = {{YD_STR("host"), YD_STR(""), false, "x=2 y=1 "},
                 {YD_STR("host"), YD_STR("y"), false, "y=1 "},
                 {YD_STR(""), YD_STR(""), false, "host=3 dc=1 "},
                 {YD_STR(""), YD_STR(""), true, "a.b.c=1 a.b.d=2 a.f.c=1 "},
                 {YD_STR("none"), YD_STR(""), false, ""}};
    for (size_t i = 0; i < YD_COUNT(cases); i++) {
        struct found found = {0};
        uint32_t next;
        query.key = cases[i].key;
        query.prefix = cases[i].prefix;
        query.of_metric = cases[i].of_metric;
        assert_int_equal(yd_history_tags(history, &query, 0, on_tag, &found, &next, NULL), 0);
        assert_string_equal(found.text, cases[i].want);
    }
    yd_history_destroy(history);
}

static void count_node(void *arg, struct yd_str path, bool leaf)
{
    (void)path, (void)leaf;
    ++*(uint64_t *)arg;
}
static void count_name(void *arg, struct yd_str name)
{
    (void)name;
    ++*(uint64_t *)arg;
}

static void long_lists_come_in_parts_that_lose_and_repeat_nothing(void **state)
{
    (void)state;
    struct yd_history *history = test_history(&(struct yd_history_options){0});
    struct yd_builder *builder = test_builder();
    char name[64];
    for (int i = 0; i < 20000; i++) {
        (void)snprintf(name, sizeof name, "m.n%d id=%d", i, i);
        test_i64(builder, name, SECOND, i);
    }
    test_fold(history, builder);
    yd_builder_destroy(builder);
    uint64_t count = 0, calls = 0;
    uint32_t next = 0;
    do {
        assert_int_equal(yd_history_nodes(history, YD_STR("m.*"), next, count_node, &count, &next, NULL), 0);
        calls++;
    } while (next);
    assert_int_equal(count, 20000);
    assert_true(calls > 1);
    const struct yd_filter all = filter(YD_FILTER_NOT_KEY, "none", "");
    count = calls = 0;
    do {
        assert_int_equal(yd_history_find(history, &all, 1, next, count_name, &count, &next, NULL), 0);
        calls++;
    } while (next);
    assert_int_equal(count, 20000);
    assert_true(calls > 1);
    yd_history_destroy(history);
}

static void a_query_over_many_metrics_names_each(void **state)
{
    (void)state;
    struct yd_history *history = filled(names, YD_COUNT(names));
    const struct yd_filter nodes = filter(YD_FILTER_NODES, "", "a.*.c");
    struct yd_series_query query = {
        .any_metric = true, .none = true, .filters = &nodes, .filter_count = 1, .end_ns = 100 * SECOND};
    struct answer answer = answer_of(history, &query);
    assert_int_equal(answer.error, 0);
    assert_int_equal(answer.count, 2);
    assert_string_equal(answer.groups[0].name, "a.b.c");
    assert_string_equal(answer.groups[1].name, "a.f.c dc=2,host=x");
    assert_int_equal(answer.groups[1].count, 1);
    answer_free(&answer);
    query.none = false;
    query.aggregator = aggregator("sum");
    answer = answer_of(history, &query);
    assert_int_equal(answer.error, YD_EINVAL);
    answer_free(&answer);
    yd_history_destroy(history);
}

static void patterns_match_as_yd_text_glob_does_node_by_node(void **state)
{
    static const char *const pieces[] = {"a", "b", "ab", "*", "?", "{a,b}", "x{ab,}b", "[ab]", "{a*,b}", "", "\\*"};
    static const char *const texts[] = {"a", "b", "ab", "ba", "xabb", "xb", "", "*"};
    struct yd_arena arena;
    struct yd_rng rng;
    (void)state;
    yd_rng_init(&rng, test_seed());
    yd_arena_init(&arena, NULL);
    for (int round = 0; round < 20000; round++) {
        char pattern[128] = "", text[128] = "";
        bool want = true;
        uint64_t nodes = 1 + yd_rng_below(&rng, 3);
        for (uint64_t i = 0; i < nodes; i++) {
            const char *p = pieces[yd_rng_below(&rng, YD_COUNT(pieces))],
                       *t = texts[yd_rng_below(&rng, YD_COUNT(texts))];
            (void)snprintf(pattern + strlen(pattern), sizeof pattern - strlen(pattern), "%s%s", i ? "." : "", p);
            (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i ? "." : "", t);
            want &= yd_text_glob(yd_str_of(p), yd_str_of(t));
        }
        const struct yd__nodes *compiled;
        size_t end = 0;
        assert_int_equal(yd__nodes_compile(yd_str_of(pattern), &arena, &compiled, NULL), 0);
        bool got = yd__nodes_match(compiled, yd_str_of(text), &end);
        if (got != want || (got && end != strlen(text))) fail_msg("'%s' on '%s': %d", pattern, text, got);
        yd_arena_reset(&arena);
    }
    yd_arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_are_found_by_globs_that_do_not_cross_dots),
        cmocka_unit_test(what_was_forgotten_is_in_no_list),
        cmocka_unit_test(series_are_found_by_metric_and_tags),
        cmocka_unit_test(tags_are_counted_among_those_that_match),
        cmocka_unit_test(long_lists_come_in_parts_that_lose_and_repeat_nothing),
        cmocka_unit_test(a_query_over_many_metrics_names_each),
        cmocka_unit_test(patterns_match_as_yd_text_glob_does_node_by_node),
    };
    return cmocka_run_group_tests_name("store/find", tests, NULL, NULL);
}
