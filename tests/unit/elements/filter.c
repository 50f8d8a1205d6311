/* Filter: what passes, what goes to rest, what is counted. */
#include "tested.h"

/* A test of one element: what is fed to it, what comes out. */
#define FILTER(args, feed, out) FILTER_REST(args, feed, out, "expect f.rest empty")
#define FILTER_REST(args, feed, out, rest)                                                                             \
    "f :: Filter(" args ")\nsource :: Lines()\nsource -> f -> Null()\nf.rest -> Null()\n"                              \
    "test \"t\" {\n feed f [ " feed " ]\n expect f == [ " out " ]\n " rest "\n}\n"

#define THREE                                                                                                          \
    "{ name: \"cpu.user host=web1\", value: 1 }, { name: \"cpu.idle host=db1\", value: 2 }, { name: \"mem\", value: "  \
    "3 }"

static void everything_passes_a_filter_without_conditions(void **state)
{
    (void)state;
    expect_passes(FILTER("", THREE, "{ value: 1 }, { value: 2 }, { value: 3 }"));
}

static void a_name_pattern_picks_metrics_and_tags(void **state)
{
    (void)state;
    expect_passes(
        FILTER_REST("match: \"cpu.*\"", THREE, "{ value: 1 }, { value: 2 }", "expect f.rest == [ { value: 3 } ]"));
    expect_passes(FILTER_REST("match: \"cpu.* host=web*\"", THREE, "{ value: 1 }",
                              "expect f.rest == [ { value: 2 }, { value: 3 } ]"));
    expect_passes(FILTER_REST("match: \"nothing\"", THREE, "", "expect f.rest count 3"));
    expect_refused("Lines() -> Filter(match: \"a b=c=d,,\") -> Null()\n", "match");
}

static void kinds_pick_by_kind_in_any_case(void **state)
{
    (void)state;
    expect_passes(FILTER_REST("kinds: [tally, \"Event\"]",
                              "{ name: \"a\", value: 1, kind: tally }, { name: \"a\", value: 2, kind: sample }, "
                              "{ name: \"a\", value: \"x\", kind: event }",
                              "{ value: 1 }, { value: \"x\" }", "expect f.rest == [ { value: 2 } ]"));
    expect_refused("Lines() -> Filter(kinds: [tully]) -> Null()\n", "kinds: a list of sample, tally");
    expect_refused("Lines() -> Filter(kinds: [1]) -> Null()\n", "kinds: a list of sample, tally");
}

#define ROWS                                                                                                           \
    "{ name: \"r\", kind: row, value: { id: \"main.c\", code: 404, ok: true, part: 1.5, big: 9007199254740993 } },"    \
    "{ name: \"r\", kind: row, value: { id: \"main.h\", code: 200, ok: false, part: 2.25, big: 9007199254740992 } },"  \
    "{ name: \"r\", kind: row, value: { id: \"c\" } }"
#define FIRST  "{ value: { id: \"main.c\" } }"
#define SECOND "{ value: { id: \"main.h\" } }"
#define THIRD  "{ value: { id: \"c\" } }"

static void where_compares_cells_as_they_are_written(void **state)
{
    (void)state;
    expect_passes(FILTER_REST("where: { id: \"*.c\" }", ROWS, FIRST, "expect f.rest == [ " SECOND ", " THIRD " ]"));
    expect_passes(FILTER_REST("where: { code: \"4??\" }", ROWS, FIRST, "expect f.rest count 2"));
    expect_passes(FILTER_REST("where: { part: \"2.25\" }", ROWS, SECOND, "expect f.rest count 2"));
    expect_passes(FILTER_REST("where: { id: \"main.*\", code: \"{200,404}\" }", ROWS, FIRST ", " SECOND,
                              "expect f.rest == [ " THIRD " ]"));
}

static void where_knows_true_and_false(void **state)
{
    (void)state;
    expect_passes(FILTER_REST("where: { ok: \"true\" }", ROWS, FIRST, "expect f.rest count 2"));
    expect_passes(FILTER_REST("where: { ok: \"f*\" }", ROWS, SECOND, "expect f.rest count 2"));
}

static void where_compares_large_integers_exactly(void **state)
{
    (void)state;
    expect_passes(FILTER_REST("where: { big: \"9007199254740993\" }", ROWS, FIRST, "expect f.rest count 2"));
}

static void where_never_matches_what_is_no_row_or_has_no_such_cell(void **state)
{
    (void)state;
    expect_passes(
        FILTER_REST("where: { none: \"*\" }", ROWS ", { name: \"x\", value: 1 }", "", "expect f.rest count 4"));
}

static void where_is_checked_before_anything_runs(void **state)
{
    (void)state;
    expect_refused("Lines() -> Filter(where: { a: 1 }) -> Null()\n", "where: a wants a glob in quotes");
    expect_refused("Lines() -> Filter(where: { a: \"1\", b: \"1\", c: \"1\", d: \"1\", e: \"1\", f: \"1\", g: \"1\", "
                   "h: \"1\", i: \"1\" }) -> Null()\n",
                   "where: at most 8 cells");
}

static void bounds_pick_numbers_and_take_the_ends_in(void **state)
{
    (void)state;
    expect_passes(FILTER_REST("min: 2", THREE ", { name: \"a\", value: \"text\", kind: event }",
                              "{ value: 2 }, { value: 3 }", "expect f.rest == [ { value: 1 }, { value: \"text\" } ]"));
    expect_passes(FILTER_REST("max: 2", THREE, "{ value: 1 }, { value: 2 }", "expect f.rest == [ { value: 3 } ]"));
    expect_passes(FILTER_REST("min: 1.5, max: 2.5", THREE, "{ value: 2 }", "expect f.rest count 2"));
    expect_refused("Lines() -> Filter(min: 3, max: 2) -> Null()\n", "min is above max");
}

static void negate_turns_all_conditions_around(void **state)
{
    (void)state;
    expect_passes(FILTER_REST("match: \"cpu.*\", max: 1, negate: true", THREE, "{ value: 2 }, { value: 3 }",
                              "expect f.rest == [ { value: 1 } ]"));
}

static struct yd_batch *numbers(const double *values, uint32_t count)
{
    struct yd_builder *builder;
    struct yd_batch *batch;
    uint32_t name;
    assert_int_equal(yd_builder_create(NULL, &builder), 0);
    assert_int_equal(yd_builder_name(builder, YD_STR("x"), &name), 0);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(yd_builder_add(builder, 1, name, YD_SAMPLE, YD_F64, 0, (union yd_value){.f64 = values[i]}), 0);
    assert_int_equal(yd_builder_seal(builder, &batch), 0);
    yd_builder_destroy(builder);
    return batch;
}

static void nan_is_within_no_bounds(void **state)
{
    (void)state;
    static const double values[] = {1, __builtin_nan(""), -__builtin_inf(), __builtin_inf()};
    struct tested t;
    tested_open(&t);
    t.listen_to = "f";
    tested_start(&t, "s :: Lines(path: \"none\", follow: true) -> f :: Filter(min: 0) -> Null()\nf.rest -> Null()\n");
    tested_feed(&t, "f", numbers(values, 4));
    expect_out(&t, "f.output SAMPLE x 1\nf.output SAMPLE x inf\nf.rest SAMPLE x nan\nf.rest SAMPLE x -inf\n");
    tested_close(&t);
}

static void a_batch_that_passes_whole_is_not_copied(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    t.listen_to = "f";
    tested_start(&t,
                 "s :: Lines(path: \"none\", follow: true) -> f :: Filter(match: \"a\") -> Null()\nf.rest -> Null()\n");
    tested_feed(&t, "f", samples("a", 1, 2));
    assert_int_equal(t.passed_whole, 1);
    tested_feed(&t, "f", samples("b", 3, 2));
    assert_int_equal(t.passed_whole, 2);
    expect_out(&t, "f.output SAMPLE a 1\nf.output SAMPLE a 2\nf.rest SAMPLE b 3\nf.rest SAMPLE b 4\n");
    tested_close(&t);
}

static void what_is_filtered_out_with_rest_unwired_is_counted_as_folded(void **state)
{
    (void)state;
    static const double values[] = {1, 2, 3, 4, 5};
    struct tested t;
    tested_open(&t);
    t.listen_to = "f";
    tested_start(&t, "s :: Lines(path: \"none\", follow: true) -> f :: Filter(min: 4) -> Null()\n");
    tested_feed(&t, "f", numbers(values, 5));
    expect_out(&t, "f.output SAMPLE x 4\nf.output SAMPLE x 5\n");
    tested_feed(&t, "f", samples("x", 1, 3));
    expect_out(&t, "");
    struct yd_input_stat input = input_of(&t, "f", "input");
    assert_int_equal(input.received, 8);
    assert_int_equal(input.consumed, 8);
    assert_int_equal(input.folded, 6);
    tested_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_passes_a_filter_without_conditions),
        cmocka_unit_test(a_name_pattern_picks_metrics_and_tags),
        cmocka_unit_test(kinds_pick_by_kind_in_any_case),
        cmocka_unit_test(where_compares_cells_as_they_are_written),
        cmocka_unit_test(where_knows_true_and_false),
        cmocka_unit_test(where_compares_large_integers_exactly),
        cmocka_unit_test(where_never_matches_what_is_no_row_or_has_no_such_cell),
        cmocka_unit_test(where_is_checked_before_anything_runs),
        cmocka_unit_test(bounds_pick_numbers_and_take_the_ends_in),
        cmocka_unit_test(negate_turns_all_conditions_around),
        cmocka_unit_test(nan_is_within_no_bounds),
        cmocka_unit_test(a_batch_that_passes_whole_is_not_copied),
        cmocka_unit_test(what_is_filtered_out_with_rest_unwired_is_counted_as_folded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
