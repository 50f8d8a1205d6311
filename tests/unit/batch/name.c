/* Qualified names and patterns. */
#include <yarder/name.h>

#include "testing.h"

static struct yd_str str(const char *text)
{
    return yd_str_of(text);
}

static void names_have_one_form(void **state)
{
    (void)state;
    const char *cases[][2] = {{"cpu", "cpu"},
                              {"cpu host=a", "cpu host=a"},
                              {"cpu zone=n,host=a", "cpu host=a,zone=n"},
                              {"  cpu   zone = n , host= a  ", "cpu host=a,zone=n"},
                              {"cpu ", "cpu"},
                              {"cpu k=", "cpu k="},
                              {"cpu k=,a=", "cpu a=,k="},
                              {"cpu a=1,a=1", "cpu a=1"},
                              {"c\\ p\\,u\\=\\\\\\* k\\ 1=v\\,2", "c\\ p\\,u\\=\\\\\\* k\\ 1=v\\,2"},
                              {"gr\xc3\xbc\xc3\x9f"
                               "e k\xc3\xa4=v",
                               "gr\xc3\xbc\xc3\x9f"
                               "e k\xc3\xa4=v"},
                              {"a?[]{}!;:'\"", "a?[]{}!;:'\""}};
    char to[YD_NAME_SIZE_MAX];
    size_t size;
    for (unsigned i = 0; i < YD_COUNT(cases); i++) {
        assert_ok(yd_name_canonical(str(cases[i][0]), to, &size));
        assert_str_equal((struct yd_str){to, size}, str(cases[i][1]));
        char again[YD_NAME_SIZE_MAX];
        size_t again_size;
        assert_ok(yd_name_canonical((struct yd_str){to, size}, again, &again_size));
        assert_str_equal((struct yd_str){to, size}, (struct yd_str){again, again_size});
    }
    struct yd_name name;
    assert_ok(yd_name_parse(YD_STR("cpu a=1,b=2"), &name, NULL));
    assert_true(name.sorted && name.tag_count == 2);
    assert_str_equal(name.tags[1].value, YD_STR("2"));
    assert_ok(yd_name_parse(YD_STR("cpu b=1,a=2"), &name, NULL));
    assert_false(name.sorted);
    assert_ok(yd_name_parse(YD_STR("cpu a=1,a=1"), &name, NULL));
    assert_false(name.sorted);
}

static void what_is_no_name_is_refused_where_it_goes_wrong(void **state)
{
    (void)state;
    const struct {
        struct yd_str text;
        size_t offset;
    } cases[] = {{YD_STR(""), 0},        {YD_STR("   "), 3},     {YD_STR("a,b"), 1},        {YD_STR("a=b"), 1},
                 {YD_STR("a*"), 1},      {YD_STR("a b"), 3},     {YD_STR("a =b"), 2},       {YD_STR("a b=c,"), 6},
                 {YD_STR("a b=c d"), 6}, {YD_STR("a b=c=d"), 5}, {YD_STR("a b=c,,d=e"), 6}, {YD_STR("a\\"), 1},
                 {YD_STR("a\\n"), 1},    {YD_STR("a b=\\?"), 4}, {YD_STR("a\tb"), 1},       {YD_STR("a\nb"), 1},
                 {YD_STR("ab\xff"), 2},  {YD_STR("ab\xc3"), 2},  {YD_STR("abc\0d"), 3},     {YD_STR("a b=*"), 4}};
    struct yd_name name;
    for (unsigned i = 0; i < YD_COUNT(cases); i++) {
        size_t offset = 99;
        if (yd_name_parse(cases[i].text, &name, &offset) != YD_EFORMAT || offset != cases[i].offset)
            fail_msg("'%.*s': offset %zu, not %zu", YD_STR_FMT(cases[i].text), offset, cases[i].offset);
    }
    char to[YD_NAME_SIZE_MAX];
    size_t size;
    assert_error(yd_name_canonical(YD_STR("cpu a=1,a=2"), to, &size), YD_EDUP);
    char text[2 * YD_NAME_SIZE_MAX];
    memset(text, 'x', sizeof text);
    assert_ok(yd_name_canonical((struct yd_str){text, YD_NAME_SIZE_MAX}, to, &size));
    assert_error(yd_name_canonical((struct yd_str){text, YD_NAME_SIZE_MAX + 1}, to, &size), YD_ETOOBIG);
    size_t length = 1;
    for (int i = 0; i < YD_NAME_TAGS_MAX; i++)
        length += (size_t)snprintf(text + length, 16, "%ck%03d=v", i ? ',' : ' ', 999 - i);
    assert_ok(yd_name_canonical((struct yd_str){text, length}, to, &size));
    assert_memory_equal(to, "x k936=v,k937", 13);
    length += (size_t)snprintf(text + length, 16, ",one=more");
    assert_error(yd_name_canonical((struct yd_str){text, length}, to, &size), YD_ETOOBIG);
}

static void components_are_escaped_and_back(void **state)
{
    (void)state;
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    static const char letters[] = "ab =,\\*?\xc3";
    for (int i = 0; i < 20000; i++) {
        char text[24], escaped[48], back[48], whole[256], canonical[YD_NAME_SIZE_MAX];
        size_t size = yd_rng_below(&rng, sizeof text), escaped_size;
        for (size_t j = 0; j < size; j++) {
            text[j] = letters[yd_rng_below(&rng, sizeof letters - 1)];
            if (text[j] == '\xc3') text[j] = 'c';
        }
        escaped_size = yd_name_escape((struct yd_str){text, size}, escaped);
        assert_str_equal((struct yd_str){back, yd_name_unescape((struct yd_str){escaped, escaped_size}, back)},
                         (struct yd_str){text, size});
        if (size == 0) continue;
        /* Whatever it is, it can be a metric, a key and a value. */
        int length = snprintf(whole, sizeof whole, "%.*s %.*s=%.*s", (int)escaped_size, escaped, (int)escaped_size,
                              escaped, (int)escaped_size, escaped);
        size_t canonical_size;
        assert_ok(yd_name_canonical((struct yd_str){whole, (size_t)length}, canonical, &canonical_size));
        assert_str_equal((struct yd_str){whole, (size_t)length}, (struct yd_str){canonical, canonical_size});
    }
}

static bool matches(const char *pattern, const char *name)
{
    struct yd_pattern *compiled;
    int r = yd_pattern_compile(str(pattern), &compiled);
    if (r < 0) fail_msg("'%s' does not compile: %s", pattern, yd_error_name(r));
    bool match = yd_pattern_match(compiled, str(name));
    yd_pattern_destroy(compiled);
    return match;
}

static void patterns_match_metrics_and_tags(void **state)
{
    (void)state;
    const char *yes[][2] = {{"*", "cpu"},
                            {"*", "cpu host=a"},
                            {"* *", "cpu host=a"},
                            {"cpu", "cpu"},
                            {"cpu", "cpu host=a"},
                            {"cpu *", "cpu host=a"},
                            {"cpu *", "cpu"},
                            {"cpu.*", "cpu.load host=a"},
                            {"c?u", "cpu"},
                            {"c*d", "cpu.load"},
                            {"*load", "cpu.load"},
                            {"*u.l*", "cpu.load x=y"},
                            {"cpu host=a", "cpu host=a,zone=n"},
                            {"cpu zone=n", "cpu host=a,zone=n"},
                            {"cpu zone=n,host=a", "cpu host=a,zone=n"},
                            {"cpu host=a,!", "cpu host=a"},
                            {"cpu !", "cpu"},
                            {"cpu host=*", "cpu host=web1"},
                            {"* host=web*", "cpu host=web1"},
                            {"cpu host=w?b?", "cpu host=web1"},
                            {"cpu k=", "cpu k="},
                            {"cpu k=*", "cpu k="},
                            {"c\\*", "c\\*"},
                            {"c\\?", "c?"},
                            {"c*\\?", "cx?"},
                            {"c\\ p*", "c\\ pu"},
                            {"c*\\ *", "c\\ pu"},
                            {"*\\=", "a\\="},
                            {"?", "\xc3\xbc"},
                            {"?", "\\*"},
                            {"a?b", "a\\ b"},
                            {"cpu *,host=a", "cpu host=a,zone=n"},
                            {"cpu host=a, !", "cpu host=a"},
                            {" cpu  host = a ", "cpu host=a"},
                            {"**", "x"},
                            {"*?", "xy"},
                            {"cpu host=a*b*c", "cpu host=a1b2c"}};
    for (unsigned i = 0; i < YD_COUNT(yes); i++)
        if (!matches(yes[i][0], yes[i][1])) fail_msg("'%s' does not match '%s'", yes[i][0], yes[i][1]);
    const char *no[][2] = {{"cpu", "cpus"},
                           {"cpu", "cp"},
                           {"cpu.*", "cpu"},
                           {"cpu.*", "cpux.load"},
                           {"c?u", "cpuu"},
                           {"c?u", "cu"},
                           {"cpu host=a", "cpu"},
                           {"cpu host=a", "cpu host=b"},
                           {"cpu host=a", "cpu hosts=a"},
                           {"cpu host=a,!", "cpu host=a,zone=n"},
                           {"cpu host=a,!", "cpu a=1,host=a"},
                           {"cpu !", "cpu host=a"},
                           {"* !", "cpu host=a"},
                           {"cpu host=web*", "cpu host=db"},
                           {"cpu k=", "cpu k=v"},
                           {"c\\*", "cpu"},
                           {"c\\?", "cp"},
                           {"?", ""},
                           {"?", "xy"}};
    for (unsigned i = 0; i < YD_COUNT(no); i++)
        if (matches(no[i][0], no[i][1])) fail_msg("'%s' matches '%s'", no[i][0], no[i][1]);
}

static void what_is_no_pattern_is_refused(void **state)
{
    (void)state;
    struct yd_pattern *pattern = NULL;
    const char *bad[] = {"",       "  ",      "a,b", "a=b",  "a b",  "a =b", "a b=c,",  "a b=c d", "a b*=c",
                         "a b?=c", "a !,b=c", "a\\", "a\\n", "a\tb", "\xff", "a b=c=d", "a !x"};
    for (unsigned i = 0; i < YD_COUNT(bad); i++)
        if (yd_pattern_compile(str(bad[i]), &pattern) != YD_EFORMAT) fail_msg("'%s' compiles", bad[i]);
    assert_error(yd_pattern_compile(YD_STR("a b=c,b=d"), &pattern), YD_EDUP);
    char text[YD_NAME_SIZE_MAX + 1];
    memset(text, 'x', sizeof text);
    assert_error(yd_pattern_compile((struct yd_str){text, sizeof text}, &pattern), YD_ETOOBIG);
    assert_null(pattern);
    yd_pattern_destroy(NULL);
}

/* The plain way: unescape everything, then compare character by character. */
static bool plain_glob(const char *p, const char *end, const char *s, const char *s_end)
{
    if (p == end) return s == s_end;
    if (*p == '*') return plain_glob(p + 1, end, s, s_end) || (s < s_end && plain_glob(p, end, s + 1, s_end));
    if (s == s_end) return false;
    if (*p == '?') return plain_glob(p + 1, end, s + 1, s_end);
    if (*p == '\\') p++;
    return *p == *s && plain_glob(p + 1, end, s + 1, s_end);
}

static void globs_agree_with_the_plain_way(void **state)
{
    (void)state;
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    for (int i = 0; i < 100000; i++) {
        static const char *const pieces[] = {"a", "b", "*", "?", "\\*", "\\?", "\\ ", "\\\\", "*"};
        static const char characters[] = "ab*? \\";
        char pattern[32] = "", name[16], escaped[32];
        size_t count = 1 + yd_rng_below(&rng, 6), size = 1 + yd_rng_below(&rng, 6);
        for (size_t j = 0; j < count; j++) strcat(pattern, pieces[yd_rng_below(&rng, YD_COUNT(pieces))]);
        for (size_t j = 0; j < size; j++) name[j] = characters[yd_rng_below(&rng, sizeof characters - 1)];
        escaped[yd_name_escape((struct yd_str){name, size}, escaped)] = 0;
        bool expected = plain_glob(pattern, pattern + strlen(pattern), name, name + size);
        if (matches(pattern, escaped) != expected)
            fail_msg("'%s' %s '%s'", pattern, expected ? "does not match" : "matches", escaped);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_have_one_form),
        cmocka_unit_test(what_is_no_name_is_refused_where_it_goes_wrong),
        cmocka_unit_test(components_are_escaped_and_back),
        cmocka_unit_test(patterns_match_metrics_and_tags),
        cmocka_unit_test(what_is_no_pattern_is_refused),
        cmocka_unit_test(globs_agree_with_the_plain_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
