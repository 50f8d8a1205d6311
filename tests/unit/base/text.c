/* Units, times, UTF-8, likeness, globs, trails, JSON. */
#include "testing.h"

#include "base/terminal.h"

static struct yd_str str(const char *text)
{
    return yd_str_of(text);
}

static void durations_are_read_and_printed(void **state)
{
    (void)state;
    const struct {
        const char *text;
        int64_t ns;
        const char *printed;
    } cases[] = {{"10s", 10 * YD_NS_PER_S, "10s"},
                 {"5m", 300 * YD_NS_PER_S, "5m"},
                 {"1h", 3600 * YD_NS_PER_S, "1h"},
                 {"30d", 30 * 86400 * YD_NS_PER_S, "30d"},
                 {"250ms", 250 * YD_NS_PER_MS, "250ms"},
                 {"10us", 10000, "10us"},
                 {"5ns", 5, "5ns"},
                 {"1w", 7 * 86400 * YD_NS_PER_S, "7d"},
                 {"1m30s", 90 * YD_NS_PER_S, "1m30s"},
                 {"1.5us", 1500, "1.5us"},
                 {"0s", 0, "0s"},
                 {"-2h", -7200 * YD_NS_PER_S, "-2h"},
                 {"1.5h", 5400 * YD_NS_PER_S, "1h30m"},
                 {"10\xc2\xb5s", 10000, "10us"},
                 {"90m", 5400 * YD_NS_PER_S, "1h30m"},
                 {"1h0.25s", 3600250 * YD_NS_PER_MS, "1h0.25s"}};
    char text[64];
    for (unsigned i = 0; i < YD_COUNT(cases); i++) {
        int64_t ns = -1;
        assert_ok(yd_text_duration(str(cases[i].text), &ns));
        assert_true(ns == cases[i].ns);
        assert_text(((struct yd_str){text, yd_text_put_duration(text, sizeof text, ns)}), cases[i].printed);
    }
    const char *bad[] = {"",     "10",    "s",  "-",   "10 s",  "10S", "1s1m",
                         "1s1s", "1.5ns", "1.", ".5s", "1h-5m", "1x",  "--1s"};
    int64_t ns = 7;
    for (unsigned i = 0; i < YD_COUNT(bad); i++) assert_error(yd_text_duration(str(bad[i]), &ns), YD_EFORMAT);
    assert_error(yd_text_duration(YD_STR("300000w"), &ns), YD_ERANGE);
    assert_error(yd_text_duration(YD_STR("99999999999999999999999s"), &ns), YD_ERANGE);
    assert_true(ns == 7);
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    for (int i = 0; i < 20000; i++) {
        int64_t any = i ? (int64_t)yd_rng_next(&rng) >> yd_rng_below(&rng, 64) : INT64_MIN;
        size_t size = yd_text_put_duration(text, sizeof text, any);
        assert_ok(yd_text_duration((struct yd_str){text, size}, &ns));
        assert_true(ns == any);
    }
    assert_int_equal(yd_text_put_duration(text, 3, INT64_MAX), 3); /* cut, not overrun */
}

static void sizes_and_rates_are_read(void **state)
{
    (void)state;
    const struct {
        const char *text;
        uint64_t bytes;
    } cases[] = {{"64KiB", 65536},
                 {"4MiB", 4 << 20},
                 {"1GiB", 1 << 30},
                 {"10kB", 10000},
                 {"5MB", 5000000},
                 {"100B", 100},
                 {"100", 100},
                 {"0", 0},
                 {"1.5KiB", 1536},
                 {"2TiB", UINT64_C(2) << 40},
                 {"18446744073709551615", UINT64_MAX}};
    uint64_t bytes = 7;
    for (unsigned i = 0; i < YD_COUNT(cases); i++) {
        assert_ok(yd_text_size(str(cases[i].text), &bytes));
        assert_true(bytes == cases[i].bytes);
    }
    const char *bad[] = {"", "KiB", "1K", "1kib", "1 KiB", "-1", "1.3B", "1KiB1", "1..5KiB"};
    for (unsigned i = 0; i < YD_COUNT(bad); i++) assert_error(yd_text_size(str(bad[i]), &bytes), YD_EFORMAT);
    assert_error(yd_text_size(YD_STR("17000000TiB"), &bytes), YD_ERANGE);
    const struct {
        uint64_t bytes;
        const char *text;
    } prints[] = {{0, "0B"},         {1023, "1023B"},   {1024, "1KiB"},        {1536, "1.5KiB"},
                  {4 << 20, "4MiB"}, {1048575, "1MiB"}, {UINT64_MAX, "16EiB"}, {1100, "1.1KiB"}};
    char text[32];
    for (unsigned i = 0; i < YD_COUNT(prints); i++)
        assert_text(((struct yd_str){text, yd_text_put_size(text, sizeof text, prints[i].bytes)}), prints[i].text);

    double rate = 7;
    assert_ok(yd_text_rate(YD_STR("5k/s"), &rate));
    assert_true(rate == 5000);
    assert_ok(yd_text_rate(YD_STR("120/m"), &rate));
    assert_true(rate == 2);
    assert_ok(yd_text_rate(YD_STR("2.5/s"), &rate));
    assert_true(rate == 2.5);
    const char *bad_rates[] = {"", "5", "/s", "5/", "5k", "5/x", "5q/s", "5/s/s", "5 k/s", "5/2s"};
    for (unsigned i = 0; i < YD_COUNT(bad_rates); i++) assert_error(yd_text_rate(str(bad_rates[i]), &rate), YD_EFORMAT);
    assert_error(yd_text_rate(YD_STR("-5/s"), &rate), YD_ERANGE);
    bool flag = false;
    assert_ok(yd_text_bool(YD_STR("true"), &flag));
    assert_true(flag);
    assert_error(yd_text_bool(YD_STR("True"), &flag), YD_EFORMAT);
    assert_error(yd_text_bool(YD_STR(""), &flag), YD_EFORMAT);
}

static void times_are_read_and_printed(void **state)
{
    (void)state;
    const struct {
        const char *text;
        int64_t ns;
        const char *printed;
    } cases[] = {{"1970-01-01", 0, "1970-01-01T00:00:00Z"},
                 {"2026-11-21T01:02:03.250Z", INT64_C(1795222923250000000), "2026-11-21T01:02:03.250Z"},
                 {"2026-11-21 01:02", INT64_C(1795222920000000000), "2026-11-21T01:02:00Z"},
                 {"2026-11-21 01:02:03.0000005", INT64_C(1795222923000000500), "2026-11-21T01:02:03.000000500Z"},
                 {"2026-11-21T03:02:03+02:00", INT64_C(1795222923000000000), "2026-11-21T01:02:03Z"},
                 {"2000-02-29", INT64_C(951782400000000000), "2000-02-29T00:00:00Z"},
                 {"1969-12-31T23:59:59.999999Z", -1000, "1969-12-31T23:59:59.999999Z"},
                 {"1795222923", INT64_C(1795222923000000000), "2026-11-21T01:02:03Z"},
                 {"1795222923.25", INT64_C(1795222923250000000), "2026-11-21T01:02:03.250Z"},
                 {"-1.5", -1500000000, "1969-12-31T23:59:58.500Z"},
                 {"0", 0, "1970-01-01T00:00:00Z"}};
    char text[64];
    int64_t ns = 0;
    for (unsigned i = 0; i < YD_COUNT(cases); i++) {
        assert_ok(yd_text_time(str(cases[i].text), &ns));
        assert_true(ns == cases[i].ns);
        assert_text(((struct yd_str){text, yd_text_put_time(text, sizeof text, ns)}), cases[i].printed);
    }
    ns = 7;
    const char *bad[] = {"",
                         "-",
                         "x",
                         "2026-1-1",
                         "2026-11-21T",
                         "2026-11-21T01",
                         "2026-11-21X01:02",
                         "2026-11-21T01:02:",
                         "2026-11-21T01:02:03.",
                         "2026-11-21T01:02:03Zx",
                         "2026-11-21T01:02:03+0200",
                         "1.",
                         "1e9"};
    for (unsigned i = 0; i < YD_COUNT(bad); i++) assert_error(yd_text_time(str(bad[i]), &ns), YD_EFORMAT);
    const char *out[] = {"2026-13-01", "2026-00-01",          "2026-02-29",          "1900-02-29",
                         "2026-01-32", "2026-01-01T24:00:00", "2026-01-01T00:60:00", "2026-01-01T00:00:60",
                         "1600-01-01", "2300-01-01",          "99999999999"};
    for (unsigned i = 0; i < YD_COUNT(out); i++) assert_error(yd_text_time(str(out[i]), &ns), YD_ERANGE);
    assert_true(ns == 7);
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    for (int i = 0; i < 50000; i++) {
        int64_t any = i == 0 ? INT64_MIN : i == 1 ? INT64_MAX : (int64_t)yd_rng_next(&rng) >> yd_rng_below(&rng, 64);
        size_t size = yd_text_put_time(text, sizeof text, any);
        assert_ok(yd_text_time((struct yd_str){text, size}, &ns));
        assert_true(ns == any);
        /* The C library agrees about the calendar. */
        time_t seconds = (time_t)(any / YD_NS_PER_S - (any % YD_NS_PER_S < 0));
        struct tm tm;
        char expected[32];
        (void)strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &tm));
        assert_memory_equal(text, expected, 19);
    }
}

static void utf8_is_told_from_what_is_not(void **state)
{
    (void)state;
    const char *good[] = {"",
                          "a",
                          "abcdefghijklmnop",
                          "\xc2\x80",
                          "\xdf\xbf",
                          "\xe0\xa0\x80",
                          "\xed\x9f\xbf",
                          "\xee\x80\x80",
                          "\xef\xbf\xbf",
                          "\xf0\x90\x80\x80",
                          "\xf4\x8f\xbf\xbf",
                          ("gr\xc3\xbc\xc3\x9f"
                           "e aus Bern, viele")};
    for (unsigned i = 0; i < YD_COUNT(good); i++) assert_true(yd_text_utf8(str(good[i])));
    const char *bad[] = {"\x80",
                         "\xc0\x80",
                         "\xc1\xbf",
                         "\xc2",
                         "\xe0\x9f\xbf",
                         "\xe0\xa0",
                         "\xed\xa0\x80",
                         "\xf0\x8f\xbf\xbf",
                         "\xf4\x90\x80\x80",
                         "\xf5\x80\x80\x80",
                         "\xff",
                         "abcdefgh\xff",
                         "\xe2\x82\x41",
                         "abcdefg\xc3"};
    for (unsigned i = 0; i < YD_COUNT(bad); i++) assert_false(yd_text_utf8(str(bad[i])));
    assert_false(yd_text_utf8(YD_STR("\0")));
    assert_false(yd_text_utf8(YD_STR("abcd\0efghijkl")));
    assert_false(yd_text_utf8(YD_STR("abcdefgh\x01\0bcdefg")));
    /* One byte that is none, at each place of each short text. */
    for (size_t size = 1; size < 18; size++)
        for (size_t at = 0; at < size; at++) {
            char text[18] = "~\x01 abcdefghijklmn";
            assert_true(yd_text_utf8((struct yd_str){text, size}));
            text[at] = 0;
            assert_false(yd_text_utf8((struct yd_str){text, size}));
            text[at] = (char)0x80;
            assert_false(yd_text_utf8((struct yd_str){text, size}));
        }
}

static void likeness_counts_edits_and_swaps(void **state)
{
    (void)state;
    assert_int_equal(yd_text_distance(YD_STR("graphite"), YD_STR("graphite"), 3), 0);
    assert_int_equal(yd_text_distance(YD_STR("grpahite"), YD_STR("graphite"), 3), 1);
    assert_int_equal(yd_text_distance(YD_STR("graphit"), YD_STR("graphite"), 3), 1);
    assert_int_equal(yd_text_distance(YD_STR("graqhitee"), YD_STR("graphite"), 3), 2);
    assert_int_equal(yd_text_distance(YD_STR(""), YD_STR("abc"), 3), 3);
    assert_int_equal(yd_text_distance(YD_STR(""), YD_STR("abcd"), 3), 4);
    assert_int_equal(yd_text_distance(YD_STR("kitten"), YD_STR("sitting"), 2), 3);
    char a[400], b[400];
    memset(a, 'a', sizeof a);
    memset(b, 'a', sizeof b);
    assert_int_equal(yd_text_distance((struct yd_str){a, 400}, (struct yd_str){b, 400}, 2), 0);
    b[7] = 'b';
    assert_int_equal(yd_text_distance((struct yd_str){a, 400}, (struct yd_str){b, 400}, 2), 3);
    assert_int_equal(yd_text_distance((struct yd_str){a, 255}, (struct yd_str){b, 255}, 2), 1);
}

static bool glob(const char *pattern, const char *text)
{
    return yd_text_glob(str(pattern), str(text));
}

static void globs_match_as_a_shell_would(void **state)
{
    (void)state;
    const char *matches[][2] = {{"", ""},
                                {"*", ""},
                                {"*", "anything"},
                                {"a*c", "abbbc"},
                                {"a*c", "ac"},
                                {"*.c", "x.c.c"},
                                {"?", "x"},
                                {"a?c", "abc"},
                                {"[abc]x", "bx"},
                                {"[a-c]x", "cx"},
                                {"[!a]x", "bx"},
                                {"[^a]x", "bx"},
                                {"[]]", "]"},
                                {"[a-]", "-"},
                                {"\\*", "*"},
                                {"\\\\", "\\"},
                                {"\\", "\\"},
                                {"[", "["},
                                {"[abc", "[abc"},
                                {"{a,b}", "a"},
                                {"{a,b}", "b"},
                                {"x{a,b{c,d}}y", "xbdy"},
                                {"{,a}b", "b"},
                                {"{a,b}{c,d}", "bc"},
                                {"{a", "{a"},
                                {"a}", "a}"},
                                {"\\{a,b\\}", "{a,b}"},
                                {"{*,x}y", "zzy"},
                                {"[\\]]", "]"},
                                {"*a*b*c*", "xxaxxbxxcxx"},
                                {"{abc}", "abc"},
                                {"{a\\,b,c}", "a,b"}};
    for (unsigned i = 0; i < YD_COUNT(matches); i++)
        if (!glob(matches[i][0], matches[i][1])) fail_msg("'%s' does not match '%s'", matches[i][0], matches[i][1]);
    const char *others[][2] = {{"", "a"},      {"a", ""},          {"?", ""},       {"?", "xy"},    {"a*c", "abd"},
                               {"*.c", "x.h"}, {"[abc]", "d"},     {"[!a]", "a"},   {"[a-c]", "d"}, {"\\*", "x"},
                               {"{a,b}", "c"}, {"{a,b}", "{a,b}"}, {"{a,b}c", "a"}, {"[z-a]", "m"}};
    for (unsigned i = 0; i < YD_COUNT(others); i++)
        if (glob(others[i][0], others[i][1])) fail_msg("'%s' matches '%s'", others[i][0], others[i][1]);
}

static void hostile_globs_end_soon(void **state)
{
    (void)state;
    char text[2001];
    memset(text, 'a', 2000);
    text[2000] = 0;
    assert_false(glob("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", text));
    assert_false(glob("{a,a}{a,a}{a,a}{a,a}{a,a}{a,a}{a,a}{a,a}{a,a}{a,a}{a,a}{a,a}{a,a}{a,a}{a,a}b", text));
    assert_false(glob("{{{{{{{{{{{{a}}}}}}}}}}}}", text));
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    for (int i = 0; i < 20000; i++) { /* whatever it is, it ends and reads nothing beside */
        static const char letters[] = "ab*?[]-!\\{},";
        size_t pattern_size = yd_rng_below(&rng, 16), text_size = yd_rng_below(&rng, 12);
        char *pattern = malloc(pattern_size + 1), *subject = malloc(text_size + 1);
        for (size_t j = 0; j < pattern_size; j++) pattern[j] = letters[yd_rng_below(&rng, sizeof letters - 1)];
        for (size_t j = 0; j < text_size; j++) subject[j] = letters[yd_rng_below(&rng, sizeof letters - 1)];
        pattern = realloc(pattern, pattern_size ? pattern_size : 1);
        subject = realloc(subject, text_size ? text_size : 1);
        (void)yd_text_glob((struct yd_str){pattern, pattern_size}, (struct yd_str){subject, text_size});
        free(pattern);
        free(subject);
    }
}

static void trail_tells_outermost_first_and_is_bounded(void **state)
{
    (void)state;
    struct yd_trail trail;
    yd_trail_clear(&trail);
    assert_string_equal(yd_trail_text(&trail), "");
    assert_int_equal(yd_trail_add(&trail, YD_EIO, "disk %d is gone", 3), YD_EIO);
    assert_int_equal(yd_trail_add(&trail, YD_EFAIL, "cannot open '%s'", "x"), YD_EFAIL);
    assert_string_equal(yd_trail_text(&trail), "cannot open 'x': disk 3 is gone");
    assert_int_equal(yd_trail_add(NULL, YD_EIO, "nobody listens"), YD_EIO);
    assert_string_equal(yd_trail_text(NULL), "");
    yd_trail_clear(NULL);
    for (int i = 0; i < 300; i++) {
        (void)yd_trail_add(&trail, YD_EFAIL, "%d \xc3\xa4\xc3\xb6\xc3\xbc outer and outer", i);
        assert_true(strlen(trail.text) == trail.size && trail.size < sizeof trail.text);
        assert_true(yd_text_utf8((struct yd_str){trail.text, trail.size}));
    }
    const char *oldest = "cannot open 'x': disk 3 is gone";
    assert_string_equal(trail.text + trail.size - strlen(oldest), oldest);
    yd_trail_clear(&trail);
    char big[5000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = 0;
    (void)yd_trail_add(&trail, YD_EFAIL, "%s", big);
    assert_int_equal(trail.size, sizeof trail.text - 1);
    (void)yd_trail_add(&trail, YD_EFAIL, "no room");
    assert_int_equal(trail.size, sizeof trail.text - 1);
}

static void json_is_emitted(void **state)
{
    (void)state;
    struct yd_buf buf;
    struct yd_json json;
    yd_buf_init(&buf, NULL);
    for (int pretty = 0; pretty < 2; pretty++) {
        yd_buf_clear(&buf);
        yd_json_init(&json, &buf, pretty);
        yd_json_object(&json);
        yd_json_key(&json, "numbers");
        yd_json_array(&json);
        yd_json_i64(&json, -1);
        yd_json_u64(&json, UINT64_MAX);
        yd_json_f64(&json, 0.1);
        yd_json_f64(&json, 1.0 / 0.0);
        yd_json_array_end(&json);
        yd_json_key_str(&json, YD_STR("k\"\n"));
        yd_json_cstr(&json, "\\ \x01 \xc3\xa4 \xff/");
        yd_json_key(&json, "empty");
        yd_json_object(&json);
        yd_json_object_end(&json);
        yd_json_key(&json, "rest");
        yd_json_array(&json);
        yd_json_bool(&json, true);
        yd_json_cstr(&json, NULL);
        yd_json_array(&json);
        yd_json_array_end(&json);
        yd_json_str(&json, YD_STR("a\0b"));
        yd_json_array_end(&json);
        yd_json_object_end(&json);
        assert_int_equal(json.depth, 0);
        assert_text(yd_buf_view(&buf),
                    pretty ? "{\n  \"numbers\": [\n    -1,\n    18446744073709551615,\n    0.1,\n    null\n  ],\n"
                             "  \"k\\\"\\n\": \"\\\\ \\u0001 \xc3\xa4 \xef\xbf\xbd/\",\n  \"empty\": {},\n"
                             "  \"rest\": [\n    true,\n    null,\n    [],\n    \"a\\u0000b\"\n  ]\n}"
                           : "{\"numbers\":[-1,18446744073709551615,0.1,null],\"k\\\"\\n\":\"\\\\ \\u0001 \xc3\xa4 "
                             "\xef\xbf\xbd/\",\"empty\":{},\"rest\":[true,null,[],\"a\\u0000b\"]}");
        assert_false(buf.failed);
    }
    yd_json_object_end(&json);
    assert_true(buf.failed);
    yd_buf_clear(&buf);
    yd_json_init(&json, &buf, false);
    for (int i = 0; i < 63; i++) yd_json_array(&json);
    assert_false(buf.failed);
    yd_json_array(&json);
    assert_true(buf.failed);
    yd_buf_fini(&buf);
}

static void texts_of_others_are_shown_so_that_a_terminal_obeys_none_of_them(void **state)
{
    (void)state;
    const struct {
        struct yd_str text, shown;
    } cases[] = {{YD_STR("tank.pressure caf\xc3\xa9"), YD_STR("tank.pressure caf\xc3\xa9")},
                 {YD_STR("\x1b[2J\r\n\t\0\x7f"), YD_STR("\\x1b[2J\\x0d\\x0a\\x09\\x00\\x7f")},
                 {YD_STR("\xc2\x9b"
                         "1m \xc2\xa0"),
                  YD_STR("\\xc2\\x9b"
                         "1m \xc2\xa0")}, /* CSI in one letter */
                 {YD_STR("cut \xc2"), YD_STR("cut \xc2")},
                 {YD_STR(""), YD_STR("")}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct yd_buf buf;
        yd_buf_init(&buf, NULL);
        yd_buf_shown(&buf, cases[i].text);
        assert_true(yd_str_eq(yd_buf_view(&buf), cases[i].shown));
        yd_buf_fini(&buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_read_and_printed),
        cmocka_unit_test(sizes_and_rates_are_read),
        cmocka_unit_test(times_are_read_and_printed),
        cmocka_unit_test(utf8_is_told_from_what_is_not),
        cmocka_unit_test(likeness_counts_edits_and_swaps),
        cmocka_unit_test(globs_match_as_a_shell_would),
        cmocka_unit_test(hostile_globs_end_soon),
        cmocka_unit_test(trail_tells_outermost_first_and_is_bounded),
        cmocka_unit_test(json_is_emitted),
        cmocka_unit_test(texts_of_others_are_shown_so_that_a_terminal_obeys_none_of_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
