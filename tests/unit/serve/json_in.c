/* Reading JSON: what is taken, what is refused and where, and that no text whatever hurts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/hash.h"
#include "serve/json_in.h"

/* The tree written down again, so that one string says what was read. */
static void write_value(const struct yd_json_value *value, struct yd_buf *to)
{
    static const char *const words[] = {[YD_JSON_TRUE] = "T", [YD_JSON_FALSE] = "F", [YD_JSON_NULL] = "N"};
    if (value->type == YD_JSON_STRING) {
        yd_buf_printf(to, "'%.*s'", YD_STR_FMT(value->text));
    } else if (value->type == YD_JSON_NUMBER) {
        yd_buf_str(to, value->text);
    } else if (value->type >= YD_JSON_TRUE) {
        yd_buf_cstr(to, words[value->type]);
    } else {
        yd_buf_char(to, value->type == YD_JSON_OBJECT ? '{' : '[');
        for (const struct yd_json_value *item = value->first; item; item = item->next) {
            if (item != value->first) yd_buf_char(to, ',');
            if (value->type == YD_JSON_OBJECT) yd_buf_printf(to, "%.*s:", YD_STR_FMT(item->key));
            write_value(item, to);
        }
        yd_buf_char(to, value->type == YD_JSON_OBJECT ? '}' : ']');
    }
}

static void expect(const char *text, const char *tree)
{
    struct yd_arena arena;
    struct yd_buf buf;
    struct yd_trail trail = {0};
    struct yd_json_value *root;
    yd_arena_init(&arena, NULL);
    yd_buf_init(&buf, NULL);
    int r = yd_json_read(yd_str_of(text), &arena, &root, &trail);
    if (!tree) {
        if (r != YD_EFORMAT) fail_msg("%s was taken", text);
    } else {
        if (r < 0) fail_msg("%s: %s", text, yd_trail_text(&trail));
        write_value(root, &buf);
        yd_buf_char(&buf, 0);
        assert_string_equal(buf.data, tree);
    }
    yd_buf_fini(&buf);
    yd_arena_fini(&arena);
}

static void good_texts_become_trees(void **state)
{
    (void)state;
    expect("{}", "{}");
    expect(" [ 1 , -2.5e+3 , \"x\" , true, false, null ] ", "[1,-2.5e+3,'x',T,F,N]");
    expect("{\"a\":{\"b\":[{},[]]},\"c\":\"d\"}", "{a:{b:[{},[]]},c:'d'}");
    expect("\"a\\\"\\\\\\/\\n\\u00e4\\ud83d\\ude00\"", "'a\"\\/\n\xc3\xa4\xf0\x9f\x98\x80'");
    expect("[NaN, -Infinity, Infinity]", "[NaN,-Infinity,Infinity]");
    expect("12345678901234567890123", "12345678901234567890123");
}

static void bad_texts_are_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "{",
                                      "}",
                                      "[1,]",
                                      "{\"a\":1,}",
                                      "{\"a\"}",
                                      "{a:1}",
                                      "[1 2]",
                                      "01",
                                      "1.",
                                      ".5",
                                      "1e",
                                      "+1",
                                      "tru",
                                      "\"",
                                      "\"\\x\"",
                                      "\"\\u12\"",
                                      "\"\\ud800\"",
                                      "\"\\ude00\"",
                                      "\"\xff\"",
                                      "\"\x01\"",
                                      "[]]",
                                      "[] []",
                                      "{\"a\":}",
                                      "[,1]",
                                      "{,}",
                                      "nan",
                                      "{\"a\":1]",
                                      "[1}",
                                      "'a'",
                                      "\"a\\",
                                      "{\"a\" 1}",
                                      "-",
                                      "[\"\\ud800\\u0041\"]"};
    (void)state;
    for (size_t i = 0; i < YD_COUNT(bad); i++) expect(bad[i], NULL);
}

static void depth_is_bounded(void **state)
{
    char text[400];
    (void)state;
    memset(text, '[', 200);
    memset(text + 200, ']', 199);
    text[399] = 0;
    expect(text, NULL);
    memset(text, '[', 60);
    memset(text + 60, ']', 60);
    text[120] = 0;
    struct yd_arena arena;
    struct yd_json_value *root;
    yd_arena_init(&arena, NULL);
    assert_int_equal(yd_json_read(yd_str_of(text), &arena, &root, NULL), 0);
    yd_arena_fini(&arena);
}

static void the_last_of_a_member_counts_and_raw_is_what_was_written(void **state)
{
    struct yd_arena arena;
    struct yd_json_value *root;
    (void)state;
    yd_arena_init(&arena, NULL);
    assert_int_equal(yd_json_read(YD_STR("{\"a\":1,\"b\":{ \"c\" : 2 },\"a\":\"3\"}"), &arena, &root, NULL), 0);
    assert_true(yd_str_eq(yd_json_text(yd_json_get(root, "a")), YD_STR("3")));
    assert_true(yd_str_eq(yd_json_get(root, "b")->raw, YD_STR("{ \"c\" : 2 }")));
    assert_null(yd_json_get(root, "d"));
    assert_null(yd_json_get(NULL, "d"));
    assert_int_equal(yd_json_text(yd_json_get(root, "b")).size, 0);
    yd_arena_fini(&arena);
}

static void random_texts_never_hurt(void **state)
{
    static const char *const pieces[] = {"{", "}", "[",   "]",    ",", ":",  "\"a\"", "\"\\u00e4\"",
                                         "1", "-", "NaN", "true", " ", "\\", "\"",    "e5"};
    (void)state;
    const char *given = getenv("YARDER_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    struct yd_rng rng;
    print_message("# YARDER_SEED=%llu\n", (unsigned long long)seed);
    yd_rng_init(&rng, seed);
    for (int round = 0; round < 20000; round++) {
        char text[128];
        size_t size = 0;
        while (size < 100 && !yd_rng_chance(&rng, 20)) {
            const char *piece = pieces[yd_rng_below(&rng, YD_COUNT(pieces))];
            memcpy(text + size, piece, strlen(piece));
            size += strlen(piece);
        }
        struct yd_arena arena;
        struct yd_json_value *root;
        yd_arena_init(&arena, NULL);
        char *exact = malloc(size + 1); /* so that reading beyond is seen */
        memcpy(exact, text, size);
        (void)yd_json_read((struct yd_str){exact, size}, &arena, &root, NULL);
        free(exact);
        yd_arena_fini(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_texts_become_trees),
        cmocka_unit_test(bad_texts_are_refused),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(the_last_of_a_member_counts_and_raw_is_what_was_written),
        cmocka_unit_test(random_texts_never_hurt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
