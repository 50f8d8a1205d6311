/* What `yarder decom explain` says: which containers and why, each field, or why not. */
#include "decoded.h"

static void explains(const char *ydm, struct yd_str packet, const char *container, bool json, int result,
                     const char *const *parts)
{
    struct yd_diagnostics diagnostics;
    struct yd_plan_options options = {.closely = true};
    struct yd_plan *plan = NULL;
    struct yd_buf text;
    yd_diagnostics_init(&diagnostics, NULL);
    yd_buf_init(&text, NULL);
    assert_int_equal(yd_plan_read("test.ydm", yd_str_of(ydm), &options, &diagnostics, &plan), 0);
    assert_int_equal(yd_plan_explain(plan, packet, yd_str_of(container), json, &text), result);
    yd_buf_char(&text, 0);
    for (; *parts; parts++) {
        if (!strstr(text.data, *parts)) print_message("no '%s' in\n%s\n", *parts, text.data);
        assert_non_null(strstr(text.data, *parts));
    }
    yd_plan_destroy(plan);
    yd_buf_fini(&text);
    yd_diagnostics_fini(&diagnostics);
}

#define SAYS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define TWO                                                                                                            \
    "container h\n  id u8 hidden\npacket a : h when id == 1\n  x u4 scale 2 unit \"V\"\n  y u4 if x == 9\n"            \
    "packet b : h when id == 2\n  n u8\n  t text(n)\n"

static void it_says_which_container_and_each_field(void **state)
{
    (void)state;
    explains(TWO, YD_STR("\1\x30"), "", false, 0,
             SAYS("yes h ", "yes a ", "id == 1", "0+1 ", "1 bit 0 +4b", "a.x", "3 → 6 V",
                  "not there: its condition does not hold"));
    explains("packet p\n  _ u8[10]\n  x u4 lsb0 at 10 bit 4\n  y u12 lsb0 at 10\n", YD_STR("\0\0\0\0\0\0\0\0\0\0\1\0"),
             "", false, 0, SAYS("10 bit 4 +4b lsb0 p.x", "10 bit 0 +12b lsb0 p.y"));
    explains(TWO, YD_STR("\2\3\33[H"), "", false, 0, SAYS("\"\\x1b[H\""));
    explains(TWO, YD_STR("\2\2Hi"), "", false, 0, SAYS("no  a ", "id == 1 (it is 2)", "yes b ", "\"Hi\""));
}

static void elements_have_the_names_that_they_are_published_by(void **state)
{
    (void)state;
    const char *ydm = "packet p\n  n u8\n  g group[n, max 4]\n    a u8\n    t u8[*, max 1]\n  ...\n";
    explains(ydm, YD_STR("\2\3\4\5\6"), "", false, 0, SAYS("p.g.0.a ", "p.g.0.t.0 ", "p.g.1.a ", "p.g.1.t.0 "));
    explains(ydm, YD_STR("\1\3\4"), "", true, 0,
             SAYS("\"field\": \"p.g.t\"", "\"name\": \"p.g.0.a\"", "\"name\": \"p.g.0.t.0\""));
}

static void it_says_precisely_why_not(void **state)
{
    (void)state;
    explains(TWO, YD_STR("\2\5Hi"), "", false, 1 + YD_DECOM_TRUNCATED,
             SAYS("not decoded: shorter than its fields, at 'b.t'"));
    explains(TWO, YD_STR("\3\5Hi"), "", false, 1 + YD_DECOM_UNKNOWN,
             SAYS("no  b ", "id == 2 (it is 3)", "not decoded: no packet"));
    explains(TWO, YD_STR("\1\x30\0\0"), "", false, 1 + YD_DECOM_TOO_LONG, SAYS("longer than its fields"));
    explains(TWO, YD_STR(""), "", false, 1 + YD_DECOM_NOT_BYTES, SAYS("no bytes at all"));
    const char *nameless = "packet p\n  a u16\n  _ u8 check sum8\n";
    explains(nameless, YD_STR("\1\2\3"), "", false, 0, SAYS("258"));
    explains(nameless, YD_STR("\1\2\4"), "", false, 1 + YD_DECOM_CHECKSUM, SAYS("the bytes give 3"));
}

static void a_container_can_be_asked_for(void **state)
{
    (void)state;
    explains(TWO, YD_STR("\7\x30"), "a", false, 0, SAYS("a, as was asked", "3 → 6 V"));
    explains(TWO, YD_STR("\7\x30"), "c", false, YD_ENOENT, SAYS("a packet of 2 bytes"));
}

static void the_same_as_json(void **state)
{
    (void)state;
    explains(TWO, YD_STR("\1\x30"), "", true, 0,
             SAYS("\"packet\": \"a\"", "\"raw\": 3", "\"value\": 6", "\"unit\": \"V\"", "\"decoded\": true",
                  "\"matches\": true"));
    explains(TWO, YD_STR("\2\5Hi"), "", true, 1 + YD_DECOM_TRUNCATED, SAYS("\"decoded\": false", "\"at\": \"b.t\""));
}

static void frames_are_looked_for(void **state)
{
    (void)state;
    const char *pcm = "frame f\n  sync 0xfe6b\n  minor 4 words of 8\n  a u8 word 3\n  b u8 word 4 scale 2\n";
    explains(pcm, YD_STR("\0\xfe\x6b\5\6"), "", false, 0, SAYS("sync at bit 8: minor frame 0", "f.a", "6 → 12"));
    explains(pcm, YD_STR("\0\0\0\0\0\0"), "", false, 1 + YD_DECOM_NO_SYNC,
             SAYS("not decoded: bytes without frame sync"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_says_which_container_and_each_field),
        cmocka_unit_test(elements_have_the_names_that_they_are_published_by),
        cmocka_unit_test(it_says_precisely_why_not),
        cmocka_unit_test(a_container_can_be_asked_for),
        cmocka_unit_test(the_same_as_json),
        cmocka_unit_test(frames_are_looked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
