/* Map: names, tags, numbers, cells; one record out for each one in, or one reject. */
#include "tested.h"

#define MAP(args, feed, out)                                                                                           \
    "source :: Lines()\nsource -> m :: Map(" args ") -> Null()\n"                                                      \
    "test \"t\" {\n feed m [ " feed " ]\n expect m == [ " out " ]\n}\n"
#define WORLD(args) "Lines(path: \"none\", follow: true) -> m :: Map(" args ") -> Null()\n"
#define CPU         "{ name: \"cpu.user host=web1,cpu=0\", value: 1.5 }"

static void a_map_without_parameters_changes_nothing(void **state)
{
    (void)state;
    expect_passes(MAP("", CPU ", { name: \"x\", kind: event, value: \"text\", time: 7 }",
                      CPU ", { name: \"x\", kind: event, value: \"text\", time: 7 }"));
}

static void a_name_is_made_of_the_metric_tags_and_text(void **state)
{
    (void)state;
    expect_passes(MAP("name: \"site.{metric}\"", CPU, "{ name: \"site.cpu.user host=web1,cpu=0\", value: 1.5 }"));
    expect_passes(
        MAP("name: \"{tag.host}.{metric}.{tag.none}x\"", CPU, "{ name: \"web1.cpu.user.x host=web1,cpu=0\" }"));
    expect_passes(MAP("name: \"a{{b}c\"", CPU, "{ name: \"a{b}c host=web1,cpu=0\" }"));
    expect_passes(MAP("name: \"{{{{{metric}\"", CPU, "{ name: \"{{cpu.user host=web1,cpu=0\" }"));
}

static void a_name_may_be_made_of_the_value_and_of_cells(void **state)
{
    (void)state;
    expect_passes(
        MAP("name: \"v{value}\"",
            "{ name: \"a\", value: 1 }, { name: \"a\", value: 2 }, { name: \"a\", kind: event, value: \"t\" }",
            "{ name: \"v1\", value: 1 }, { name: \"v2\", value: 2 }, { name: \"vt\" }"));
    expect_passes(MAP("name: \"{kind_of}.{ok}{none}\"",
                      "{ name: \"r\", kind: row, value: { kind_of: \"c\", ok: true } }", "{ name: \"c.true\" }"));
}

static void text_that_comes_into_a_name_is_escaped(void **state)
{
    (void)state;
    expect_passes(MAP("name: \"a {value}\"", "{ name: \"x\", kind: event, value: \"b=c,d e\" }",
                      "{ name: \"a\\\\ b\\\\=c\\\\,d\\\\ e\" }"));
    expect_passes(
        MAP("tags: { t: \"a b,c=d\" }", "{ name: \"x\", value: 1 }", "{ name: \"x t=a\\\\ b\\\\,c\\\\=d\" }"));
    expect_passes(MAP("tags: { was: \"{name}\" }", CPU,
                      "{ name: \"cpu.user host=web1,cpu=0,was=cpu.user\\\\ cpu\\\\=0\\\\,host\\\\=web1\" }"));
}

static void what_is_escaped_in_a_name_is_escaped_once(void **state)
{
    (void)state;
    expect_passes(MAP("name: \"{metric}.{tag.t}\", tags: { u: \"{tag.t}\" }",
                      "{ name: \"a\\\\ b t=c\\\\,d\", value: 1 }",
                      "{ name: \"a\\\\ b.c\\\\,d t=c\\\\,d,u=c\\\\,d\" }"));
}

static void tags_are_set_replaced_and_removed(void **state)
{
    (void)state;
    expect_passes(
        MAP("tags: { dc: \"eu\", cpu: \"c{tag.cpu}\", host: \"\" }", CPU, "{ name: \"cpu.user cpu=c0,dc=eu\" }"));
    expect_passes(MAP("tags: { host: \"\", cpu: \"\" }", CPU, "{ name: \"cpu.user\" }"));
    expect_passes(MAP("tags: { rack: \"{tag.rack}\" }", CPU, "{ name: \"cpu.user cpu=0,host=web1\" }"));
}

static void numbers_are_scaled_then_offset_and_become_floats(void **state)
{
    (void)state;
    expect_passes(
        MAP("scale: 0.5, offset: 1",
            "{ name: \"a\", value: 3 }, { name: \"b\", value: -2.5 }, { name: \"c\", kind: state, value: true }, "
            "{ name: \"d\", kind: event, value: \"3\" }, { name: \"e\", kind: tally, value: 4 }",
            "{ name: \"a\", value: 2.5 }, { name: \"b\", value: -0.25 }, { name: \"c\", value: true }, "
            "{ name: \"d\", value: \"3\" }, { name: \"e\", kind: tally, value: 3 }"));
    expect_passes(MAP("offset: -273.15", "{ name: \"k\", value: 300 }", "{ name: \"k\", value: 26.850000000000023 }"));
    expect_passes(MAP("scale: 0", "{ name: \"k\", value: 300 }", "{ name: \"k\", value: 0 }"));
}

static void cells_are_filled_from_templates_beside_what_is_there(void **state)
{
    (void)state;
    expect_passes(MAP("cells: { full: \"{dir}/{base}\", base: \"b\", host: \"{tag.host}\", m: \"{metric}\" }",
                      "{ name: \"f\\\\ g host=a\\\\,b\", kind: row, value: { dir: \"/x\", base: \"y\", n: 7 } }",
                      "{ kind: row, name: \"f\\\\ g host=a\\\\,b\", "
                      "value: { dir: \"/x\", n: 7, full: \"/x/y\", base: \"b\", host: \"a,b\", m: \"f g\" } }"));
    /* What is no ROW passes. */
    expect_passes(MAP("cells: { a: \"b\" }", CPU, CPU));
}

static void nested_cells_are_copied_whole(void **state)
{
    (void)state;
    expect_passes(
        MAP("cells: { a: \"new\" }",
            "{ name: \"r\", kind: row, value: { a: 1, l: [1, \"two\", [3.5, true], { x: [] }], "
            "m: { k: { j: \"deep\" }, e: {} } } }",
            "{ value: { a: \"new\", l: [1, \"two\", [3.5, true], { x: [] }], m: { k: { j: \"deep\" }, e: {} } } }"));
}

#define ROW(cells)     "{ name: \"r\", kind: row, value: { " cells " } }"
#define TABLE          "table: { c: \"C source\", h: \"C header\", true: \"yes\" }"
#define LOOKUP(params) "lookup: \"ext\", " TABLE params

static void a_table_translates_a_cell(void **state)
{
    (void)state;
    expect_passes(MAP(LOOKUP(""), ROW("ext: \"c\"") ", " ROW("ext: \"rs\""),
                      "{ value: { ext: \"C source\" } }, { value: { ext: \"rs\" } }"));
    expect_passes(MAP(LOOKUP(", into: \"lang\""), ROW("ext: \"h\"") ", " ROW("ext: \"rs\""),
                      "{ value: { ext: \"h\", lang: \"C header\" } }, { value: { ext: \"rs\", lang: \"rs\" } }"));
    expect_passes(
        MAP(LOOKUP(", otherwise: \"other\""), ROW("ext: \"c\"") ", " ROW("ext: \"rs\"") ", " ROW("x: 1"),
            "{ value: { ext: \"C source\" } }, { value: { ext: \"other\" } }, { value: { ext: \"other\", x: 1 } }"));
    expect_passes(MAP(LOOKUP(", otherwise: \"\""), ROW("ext: \"rs\""), "{ value: { ext: \"\" } }"));
}

static void what_a_table_does_not_know_stays_as_it_is(void **state)
{
    (void)state;
    struct tested t;
    expect_passes(MAP(LOOKUP(""), ROW("ext: 404") ", " ROW("ext: true") ", " ROW("ext: [1, 2]"),
                      "{ value: { ext: 404 } }, { value: { ext: \"yes\" } }, { value: { ext: [1, 2] } }"));
    /* No cell is invented. */
    tested_open(&t);
    t.listen_to = "m";
    tested_start(&t, WORLD(LOOKUP("")));
    tested_feed(&t, "m", rows("other", (const char *const[]){"x", NULL}));
    expect_out(&t, "m.output ROW row {\"other\":\"x\"}\n");
    tested_close(&t);
}

static void a_name_that_is_none_rejects_one_record_only(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    t.listen_to = "m";
    tested_start(&t, WORLD("name: \"{k}\""));
    tested_feed(&t, "m", rows("k", (const char *const[]){"a", "", "b\nc", "d", NULL}));
    expect_out(&t, "m.output ROW a {\"k\":\"a\"}\nm.output ROW d {\"k\":\"d\"}\n");
    assert_int_equal(reason_of(&t, "m", "not a name"), 2);
    assert_int_equal(input_of(&t, "m", "input").rejected, 2);
    assert_int_equal(input_of(&t, "m", "input").consumed, 2);
    tested_close(&t);
}

static void a_name_that_grows_over_the_limit_is_not_a_name(void **state)
{
    (void)state;
    struct tested t;
    char name[YD_NAME_SIZE_MAX + 1];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = 0;
    tested_open(&t);
    t.listen_to = "m";
    tested_start(&t, WORLD("name: \"a{metric}\""));
    tested_feed(&t, "m", samples(name, 1, 3));
    tested_feed(&t, "m", samples("b", 1, 1));
    expect_out(&t, "m.output SAMPLE ab 1\n");
    assert_int_equal(reason_of(&t, "m", "not a name"), 3);
    tested_close(&t);
}

static void a_batch_larger_than_what_is_made_goes_out_in_parts(void **state)
{
    (void)state;
    enum { COUNT = 150000 };
    struct tested t;
    tested_open(&t);
    t.listen_to = "m";
    tested_start(&t, WORLD("name: \"{metric}.{value}\""));
    tested_feed(&t, "m", samples("some_metric", 0, COUNT));
    const char *at = tested_out(&t);
    char line[80];
    for (int i = 0; i < COUNT; i++) {
        int size = snprintf(line, sizeof line, "m.output SAMPLE some_metric.%d %d\n", i, i);
        if (strncmp(at, line, (size_t)size)) fail_msg("at %d: %.80s", i, at);
        at += size;
    }
    assert_int_equal(*at, 0);
    assert_true(t.emitted > 5);
    assert_int_equal(input_of(&t, "m", "input").consumed, COUNT);
    tested_close(&t);
}

static void a_record_larger_than_a_usual_batch_passes(void **state)
{
    (void)state;
    enum { SIZE = 3 << 20 };
    struct tested t;
    char *text = malloc(SIZE + 1);
    struct yd_builder *builder;
    struct yd_batch *batch;
    uint32_t name;
    memset(text, 'x', SIZE);
    text[SIZE] = 0;
    assert_int_equal(yd_builder_create(&(struct yd_builder_options){.size_max = YD_BATCH_SIZE_MAX}, &builder), 0);
    assert_int_equal(yd_builder_name(builder, YD_STR("big"), &name), 0);
    assert_int_equal(yd_builder_add_bytes(builder, 1, name, YD_EVENT, YD_TEXT, 0, yd_str_of(text)), 0);
    assert_int_equal(yd_builder_seal(builder, &batch), 0);
    yd_builder_destroy(builder);
    tested_open(&t);
    t.listen_to = "m";
    tested_start(&t, WORLD("name: \"a.{metric}\""));
    tested_feed(&t, "m", batch);
    assert_int_equal(strlen(tested_out(&t)), SIZE + strlen("m.output EVENT a.big \n"));
    assert_int_equal(input_of(&t, "m", "input").rejected, 0);
    tested_close(&t);
    free(text);
}

static void mistakes_are_refused_before_anything_runs(void **state)
{
    (void)state;
    expect_refused("Lines() -> Map(name: \"\") -> Null()\n", "name: empty");
    expect_refused("Lines() -> Map(name: \"a{b\") -> Null()\n", "a { without its }");
    expect_refused("Lines() -> Map(name: \"a{}\") -> Null()\n", "{} names nothing");
    expect_refused("Lines() -> Map(tags: { a: 1 }) -> Null()\n", "tags: a wants text in quotes");
    expect_refused("Lines() -> Map(tags: { a: \"{\" }) -> Null()\n", "tags: a: a { without its }");
    expect_refused("Lines() -> Map(lookup: \"a\") -> Null()\n", "lookup and table go together");
    expect_refused("Lines() -> Map(table: { a: \"b\" }) -> Null()\n", "lookup and table go together");
    expect_refused("Lines() -> Map(lookup: \"a\", table: { a: 1 }) -> Null()\n", "table: a wants text in quotes");
    expect_refused("Lines() -> Map(lookup: \"a\", table: { a: \"b\" }, cells: { a: \"c\" }) -> Null()\n",
                   "cells: a is what the table's result goes into");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_map_without_parameters_changes_nothing),
        cmocka_unit_test(a_name_is_made_of_the_metric_tags_and_text),
        cmocka_unit_test(a_name_may_be_made_of_the_value_and_of_cells),
        cmocka_unit_test(text_that_comes_into_a_name_is_escaped),
        cmocka_unit_test(what_is_escaped_in_a_name_is_escaped_once),
        cmocka_unit_test(tags_are_set_replaced_and_removed),
        cmocka_unit_test(numbers_are_scaled_then_offset_and_become_floats),
        cmocka_unit_test(cells_are_filled_from_templates_beside_what_is_there),
        cmocka_unit_test(nested_cells_are_copied_whole),
        cmocka_unit_test(a_table_translates_a_cell),
        cmocka_unit_test(what_a_table_does_not_know_stays_as_it_is),
        cmocka_unit_test(a_name_that_is_none_rejects_one_record_only),
        cmocka_unit_test(a_name_that_grows_over_the_limit_is_not_a_name),
        cmocka_unit_test(a_batch_larger_than_what_is_made_goes_out_in_parts),
        cmocka_unit_test(a_record_larger_than_a_usual_batch_passes),
        cmocka_unit_test(mistakes_are_refused_before_anything_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
