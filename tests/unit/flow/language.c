/* What a topology means: names, ports, parameters, compounds, options. What is wrong with one: tests/golden/check. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "../sparse.h"
#include "base/hash.h"
#include "base/text.h"
#include "yard.h"

#define FINE(yard)                                                                                                     \
    do {                                                                                                               \
        int fine_result = yard_load(yard);                                                                             \
        if (fine_result != 0) print_error("%s\n", (yard)->printed.data);                                               \
        assert_int_equal(fine_result, 0);                                                                              \
    } while (0)

static const char example[] =
    "# Collect, keep, and answer Grafana.\n"
    "param keep: duration = env(\"KEEP\", 30d)\n"
    "graphite :: Graphite(listen: \"127.0.0.1:2003\")\n"
    "statsd   :: Statsd(listen: \"127.0.0.1:8125\")\n"
    "host     :: Host(every: 10s)\n"
    "graphite, statsd, host -> metrics :: Log(stream: \"metrics\") -> history :: History(keep: $keep)\n"
    "graphite.rejects -[queue: 4MiB, full: drop_old]-> File(path: \"rejects.txt\")\n"
    "tsdb :: OpenTsdb(listen: \"127.0.0.1:4242\") -> metrics\n"
    "tsdb => history                                       # a query wire: who asks => who answers\n"
    "rollup :: Window(every: 1m) with { group: \"slow\", restart: 5 in 1m }\n"
    "metrics -> rollup -> Clean(limit: 10) -> Print()\n"
    "metrics -[cursor: \"archive\", from: oldest]-> File(path: \"archive.jsonl\")\n"
    "element Clean(limit: int = 1000) {\n"
    "  in push input\n"
    "  out push output\n"
    "  input -> Filter(match: \"cpu *\") -> Limit(per: 1s, max: $limit) -> output\n"
    "}\n"
    "test \"a bad line is kept, a good one passes\" {\n"
    "  feed graphite \"junk\\ncpu.load 1.5 1700000000\\n\"\n"
    "  expect graphite.rejects count 1\n"
    "  advance 10s\n"
    "  expect metrics == [ { name: \"cpu.load\", value: 1.5 } ]\n"
    "}\n";

static void load_makes_of_the_example_what_it_says(void **state)
{
    (void)state;
    struct yard yard;
    yard_init(&yard, example);
    FINE(&yard);
    const struct yd_topology *topology = yard.topology;
    assert_int_equal(topology->node_count, 12);
    assert_int_equal(topology->wire_count, 12);
    assert_string_equal(topology->files[0], "main.yd");
    assert_int_equal(yd_args_int(&yard_node(&yard, "history")->args, "keep"), 30 * 86400 * YD_NS_PER_S);
    assert_int_equal(yd_args_int(&yard_node(&yard, "Clean@11.Limit@16")->args, "max"), 10);
    assert_true(yard_node(&yard, "Print@11")->anonymous);
    assert_false(yard_node(&yard, "rollup")->anonymous);
    assert_string_equal(yard_node(&yard, "rollup")->options.group, "slow");
    assert_int_equal(yard_node(&yard, "rollup")->options.restart_max, 5);
    assert_int_equal(yard_node(&yard, "rollup")->options.restart_window_ns, 60 * YD_NS_PER_S);

    const struct yd_wire *asks = yard_wire(&yard, "tsdb", "history");
    assert_int_equal(asks->mode, YD_QUERY);
    assert_string_equal(yard_node(&yard, "history")->class->ports[asks->to_port].name, "query");
    const struct yd_wire *rejects = yard_wire(&yard, "graphite", "File@7");
    assert_int_equal(rejects->queue_bytes, 4 << 20);
    assert_int_equal(rejects->full, YD_FULL_DROP_OLD);
    assert_false(rejects->is_cursor);
    const struct yd_wire *kept = yard_wire(&yard, "metrics", "history");
    assert_true(kept->is_cursor);
    assert_string_equal(kept->cursor, "metrics-history");
    assert_int_equal(kept->read_level, 3);
    assert_string_equal(yard_wire(&yard, "metrics", "File@12")->cursor, "archive");

    assert_int_equal(topology->test_count, 1);
    const struct yd_test *test = &topology->tests[0];
    assert_string_equal(test->name, "a bad line is kept, a good one passes");
    assert_int_equal(test->step_count, 4);
    assert_true(test->steps[0].is_text);
    assert_int_equal(test->steps[0].text.size, strlen("junk\ncpu.load 1.5 1700000000\n"));
    assert_int_equal(test->steps[1].port, 1);
    assert_true(test->steps[1].has_port);
    assert_int_equal(test->steps[2].advance_ns, 10 * YD_NS_PER_S);
    assert_int_equal(test->steps[3].expect, YD_EXPECT_EQUAL);
    assert_int_equal(test->steps[3].records->list.count, 1);
    assert_string_equal(topology->nodes[test->steps[3].node].name, "metrics");
    yard_fini(&yard);
}

static void load_takes_a_name_before_its_declaration(void **state)
{
    (void)state;
    struct yard yard;
    yard_init(&yard, "a -> b\nb :: Print()\na :: Host()\n");
    FINE(&yard);
    assert_non_null(yard_wire(&yard, "a", "b"));
    yard_fini(&yard);
}

static void load_merges_left_of_a_wire_and_copies_right_of_it(void **state)
{
    (void)state;
    struct yard yard;
    yard_init(&yard, "a :: Host()\nb :: Self()\nx :: Print()\ny :: Null()\na, b -> x, y\n");
    FINE(&yard);
    assert_int_equal(yard.topology->wire_count, 4);
    assert_non_null(yard_wire(&yard, "b", "x"));
    assert_non_null(yard_wire(&yard, "a", "y"));
    yard_fini(&yard);
}

static void statements_end_at_lines_but_not_at_wires_commas_and_in_brackets(void **state)
{
    (void)state;
    struct yard yard;
    yard_init(&yard, "a :: Graphite(\n  listen: \"[::1]:1\"  # one\n  ,\n  idle: 5m,\n)\n"
                     "b :: Self(); c :: Host()\n"
                     "a,   # two\n"
                     "b,\n\n"
                     "c\n"
                     "  -[queue: 1MiB,\n    records: 5]->\n"
                     "  # three\n"
                     "  out :: Print()\n");
    FINE(&yard);
    assert_int_equal(yard.topology->wire_count, 3);
    assert_int_equal(yard_wire(&yard, "c", "out")->queue_records, 5);
    yard_fini(&yard);
}

static void keywords_are_names_where_they_can_be_nothing_else(void **state)
{
    (void)state;
    struct yard yard;
    yard_init(&yard,
              "param :: Host()\ninclude :: Self()\nelement :: Map()\ntest :: Map()\nin :: Map()\nof :: Map()\n"
              "with :: Map()\nenv :: Map()\nshard :: Map()\ncount :: Map(rename: { true: 1, env: \"a\", in: false })\n"
              "param, include -> element -> test -> in -> of -> with -> env -> shard -> count -> feed :: Print()\n"
              "test \"t\" {\n  feed test [ { name: \"a\" } ]\n  expect count count 1\n  expect feed empty\n}\n");
    FINE(&yard);
    assert_int_equal(yard.topology->node_count, 11);
    const struct yd_arg *rename = yd_args_find(&yard_node(&yard, "count")->args, "rename");
    assert_string_equal(rename->list.items[0].name, "true");
    assert_int_equal(rename->list.items[2].type, YD_PARAM_BOOL);
    yard_fini(&yard);
}

static void texts_have_escapes_and_keep_what_looks_like_syntax(void **state)
{
    (void)state;
    struct yard yard;
    yard_init(&yard, "param name: text = \"x\"\n"
                     "Host() -> a :: File(path: \"# $name env(\\\"A\\\") \\\\ \\t\\u{e9}\\xc3\\xa9 温度\")\n");
    FINE(&yard);
    assert_string_equal(yd_args_text(&yard_node(&yard, "a")->args, "path").data,
                        "# $name env(\"A\") \\ \t\xc3\xa9\xc3\xa9 温度");
    yard_fini(&yard);
}

static void values_are_typed_and_defaults_filled_in(void **state)
{
    (void)state;
    struct yard yard;
    yard_init(&yard, "a :: Statsd(listen: \":1\", quantiles: [0.5, -1, \"x\", word, [true], 5MiB])\n"
                     "a -> f :: Filter(match: \"cpu\", above: -3) -> l :: Limit(rate: 5k/s) -> Print(form: json)\n");
    FINE(&yard);
    const struct yd_args *args = &yard_node(&yard, "a")->args;
    assert_int_equal(yd_args_int(args, "flush"), 10 * YD_NS_PER_S);
    const struct yd_arg *list = yd_args_find(args, "quantiles");
    assert_int_equal(list->list.count, 6);
    assert_true(list->list.items[0].f64 == 0.5);
    assert_int_equal(list->list.items[1].i64, -1);
    assert_string_equal(list->list.items[3].text.data, "word");
    assert_true(list->list.items[4].list.items[0].boolean);
    assert_int_equal(list->list.items[5].i64, 5 << 20);
    assert_true(yd_args_float(&yard_node(&yard, "f")->args, "above") == -3.0);
    assert_true(yd_args_float(&yard_node(&yard, "l")->args, "rate") == 5000.0);
    assert_null(yd_args_find(&yard_node(&yard, "l")->args, "max"));
    yard_fini(&yard);
}

static void a_setting_beats_the_environment_and_that_the_default(void **state)
{
    (void)state;
    static const char text[] = "param every: duration = env(\"EVERY\", 10s)\nparam more: list = env(\"MORE\", [])\n"
                               "host :: Host(every: $every, disks: $more)\nhost -> Print()\n";
    for (int round = 0; round < 3; round++) {
        struct yard yard;
        yard_init(&yard, text);
        struct yd_setting setting = {"every", "30s"};
        if (round >= 1) yard.env[yard.env_count][0] = "EVERY", yard.env[yard.env_count++][1] = "20s";
        if (round >= 1) yard.env[yard.env_count][0] = "MORE", yard.env[yard.env_count++][1] = "[\"sd*\", nvme]";
        if (round == 2) yard.options.settings = &setting, yard.options.setting_count = 1;
        FINE(&yard);
        const struct yd_args *args = &yard_node(&yard, "host")->args;
        assert_int_equal(yd_args_int(args, "every"), (round + 1) * 10 * YD_NS_PER_S);
        assert_int_equal(yd_args_find(args, "disks")->list.count, round ? 2 : 0);
        yard_fini(&yard);
    }
}

static void parameters_may_be_made_of_each_other_in_any_order(void **state)
{
    (void)state;
    struct yard yard;
    yard_init(&yard,
              "param a: int = $b\nparam b: int = 7\nHost() -> l :: Limit(max: $a) -> m :: Map(scale: $b) -> Print()\n");
    FINE(&yard);
    assert_int_equal(yd_args_int(&yard_node(&yard, "l")->args, "max"), 7);
    assert_true(yd_args_float(&yard_node(&yard, "m")->args, "scale") == 7.0);
    yard_fini(&yard);
}

static void a_compounds_parameter_shadows_the_files(void **state)
{
    (void)state;
    struct yard yard;
    yard_init(&yard, "param max: int = 1\nparam per: duration = 2s\n"
                     "element C(max: int = $max) {\n  in push input\n  out push output\n"
                     "  input -> l :: Limit(max: $max, per: $per) -> output\n}\n"
                     "Host() -> a :: C() -> b :: C(max: 5) -> Print()\n");
    FINE(&yard);
    assert_int_equal(yd_args_int(&yard_node(&yard, "a.l")->args, "max"), 1);
    assert_int_equal(yd_args_int(&yard_node(&yard, "b.l")->args, "max"), 5);
    assert_int_equal(yd_args_int(&yard_node(&yard, "b.l")->args, "per"), 2 * YD_NS_PER_S);
    assert_non_null(yard_wire(&yard, "a.l", "b.l"));
    yard_fini(&yard);
}

static void compounds_nest_merge_and_copy(void **state)
{
    (void)state;
    struct yard yard;
    yard_init(&yard, "element Inner() {\n  in push input\n  out push output\n  out push others\n"
                     "  input -> f :: Filter(match: \"a\") -> output\n  f.others -> others\n}\n"
                     "element Outer() {\n  in push input\n  out push output\n"
                     "  input -> i :: Inner() -> output\n  i.others -> m :: Map() -> output\n  input -> output\n}\n"
                     "host :: Host()\nself :: Self()\no :: Outer() with { on_crash: stop }\n"
                     "host, self -[queue: 1MiB]-> o -> x :: Print(), y :: Null()\n");
    FINE(&yard);
    assert_int_equal(yard.topology->node_count, 6);
    assert_non_null(yard_wire(&yard, "host", "o.i.f"));
    assert_non_null(yard_wire(&yard, "self", "o.i.f"));
    assert_int_equal(yard_wire(&yard, "self", "o.i.f")->queue_bytes, 1 << 20);
    assert_non_null(yard_wire(&yard, "o.i.f", "x"));
    assert_non_null(yard_wire(&yard, "o.i.f", "o.m"));
    assert_non_null(yard_wire(&yard, "o.m", "y"));
    assert_non_null(yard_wire(&yard, "host", "x"));
    assert_int_equal(yard.topology->wire_count, 2 + 1 + 2 + 2 + 4);
    assert_int_equal(yard_node(&yard, "o.i.f")->options.on_crash, YD_CRASH_STOP);
    yard_fini(&yard);
}

static void compounds_have_query_ports(void **state)
{
    (void)state;
    struct yard yard;
    yard_init(&yard, "element Store() {\n  in push input: sample, tally\n  in query ask: series\n"
                     "  input -> h :: History()\n  ask => h\n}\n"
                     "s :: Store()\nHost() -> s\ntsdb :: OpenTsdb() -> s\ntsdb =[timeout: 5s]=> s\n");
    FINE(&yard);
    const struct yd_wire *wire = yard_wire(&yard, "tsdb", "s.h");
    assert_non_null(wire);
    const struct yd_topology *topology = yard.topology;
    bool found = false;
    for (size_t i = 0; i < topology->wire_count; i++)
        found |= topology->wires[i].mode == YD_QUERY && topology->wires[i].timeout_ns == 5 * YD_NS_PER_S;
    assert_true(found);
    yard_fini(&yard);
}

static void of_an_option_inside_and_outside_a_compound_the_outer_one_counts(void **state)
{
    (void)state;
    struct yard yard;
    yard_init(&yard, "element C() {\n  in push input\n  input -[queue: 1MiB, full: drop_new]-> p :: Print()\n}\n"
                     "Host() -[queue: 2MiB]-> c :: C()\n");
    FINE(&yard);
    const struct yd_wire *wire = yard_wire(&yard, "Host@5", "c.p");
    assert_int_equal(wire->queue_bytes, 2 << 20);
    assert_int_equal(wire->full, YD_FULL_DROP_NEW);
    yard_fini(&yard);
}

static void options_of_cursors(void **state)
{
    (void)state;
    struct yard yard;
    yard_init(&yard, "m :: Log(stream: \"m\")\nHost() -> m\n"
                     "m -[from: tail, read: memory]-> a :: Print()\n"
                     "m -[from: 1000, read: written]-> b :: Null()\n"
                     "m -[from: \"2026-01-31T12:00:00Z\", queue: 64KiB]-> c :: Map() -> Null()\n");
    FINE(&yard);
    const struct yd_wire *a = yard_wire(&yard, "m", "a"), *b = yard_wire(&yard, "m", "b"),
                         *c = yard_wire(&yard, "m", "c");
    assert_int_equal(a->from_where, YD_WIRE_TAIL);
    assert_int_equal(a->read_level, 1);
    assert_int_equal(b->from_where, YD_WIRE_SEQNO);
    assert_int_equal(b->from_seqno, 1000);
    assert_int_equal(b->read_level, 2);
    assert_int_equal(c->from_where, YD_WIRE_TIME);
    int64_t time;
    assert_int_equal(yd_text_time(YD_STR("2026-01-31T12:00:00Z"), &time), 0);
    assert_int_equal(c->from_time_ns, time);
    assert_int_equal(c->read_level, 3);
    yard_fini(&yard);
}

static void a_cursors_name_survives_edits_that_keep_both_ends(void **state)
{
    (void)state;
    struct yard yard, edited;
    yard_init(&yard, "m :: Log(stream: \"m\")\nHost() -> m\nm -> File(path: \"a\")\nm -> File(path: \"b\")\n");
    yard_init(&edited, "# more\n\nm :: Log(stream: \"m\")\nHost() -> m\n\n\nm -> Print()\nm -> File(path: \"a\")\n\n"
                       "m -> File(path: \"b\")\n");
    FINE(&yard);
    FINE(&edited);
    assert_string_equal(yard_wire(&yard, "m", "File@3")->cursor, "m-File");
    assert_string_equal(yard_wire(&yard, "m", "File@4")->cursor, "m-File-2");
    assert_string_equal(yard_wire(&edited, "m", "File@8")->cursor, "m-File");
    assert_string_equal(yard_wire(&edited, "m", "File@10")->cursor, "m-File-2");
    yard_fini(&yard);
    yard_fini(&edited);
}

static void anonymous_names_are_unique(void **state)
{
    (void)state;
    struct yard yard;
    yard_init(&yard, "Host() -> Print(), Print(), Print()\n");
    FINE(&yard);
    assert_non_null(yard_node(&yard, "Print@1"));
    assert_non_null(yard_node(&yard, "Print@1#2"));
    assert_non_null(yard_node(&yard, "Print@1#3"));
    yard_fini(&yard);
}

static void include_reads_each_file_once_relative_to_its_own(void **state)
{
    (void)state;
    struct yard yard;
    yard_init(&yard, "include \"parts/a.yd\"\ninclude \"./parts/../parts/b.yd\"\nhost -> out\n");
    yard.names[1] = "parts/a.yd", yard.texts[1] = "include \"b.yd\"\nhost :: Host(every: $every)\n";
    yard.names[2] = "parts/b.yd", yard.texts[2] = "param every: duration = 5s\nout :: Print()\n";
    yard.file_count = 3;
    FINE(&yard);
    assert_int_equal(yard.reads, 3);
    assert_int_equal(yard.topology->file_count, 3);
    assert_string_equal(yard.topology->files[yard_node(&yard, "out")->place.file], "parts/b.yd");
    yard_fini(&yard);
}

static void warnings_do_not_refuse(void **state)
{
    (void)state;
    struct yard yard;
    yard_init(&yard, "Graphite(buffer: 4KiB) -> Print()\n");
    FINE(&yard);
    assert_int_equal(yard.diagnostics.count, 1);
    assert_int_equal(yard.diagnostics.errors, 0);
    assert_true(yard.diagnostics.items[0].warning);
    yard_fini(&yard);
}

static void mistakes_are_json_too(void **state)
{
    (void)state;
    struct yard yard;
    struct yd_buf json;
    yard_init(&yard, "tsdb :: OpenTsdb() -> Null()\ntsdb.ask -> Print()\n");
    assert_int_equal(yard_load(&yard), YD_EFORMAT);
    assert_null(yard.topology);
    yd_buf_init(&json, NULL);
    yd_diagnostics_json(&yard.diagnostics, &json);
    yd_buf_char(&json, 0);
    assert_non_null(strstr(json.data, "\"code\": \"Y104\""));
    assert_non_null(strstr(json.data, "\"line\": 2"));
    assert_non_null(strstr(json.data, "\"column\": 6"));
    assert_non_null(strstr(json.data, "'ask' is a query output"));
    yd_buf_fini(&json);
    yard_fini(&yard);
}

static void colours_change_nothing_but_colours(void **state)
{
    (void)state;
    struct yard yard;
    struct yd_buf coloured;
    yard_init(&yard, "tsdb :: OpenTsdb() -> Null()\ntsdb.ask -> Print()\nHost(every: 10) -> Null()\n");
    assert_int_equal(yard_load(&yard), YD_EFORMAT);
    yd_buf_init(&coloured, NULL);
    yd_diagnostics_print(&yard.diagnostics, true, &coloured);
    char *plain = calloc(1, coloured.size + 1), *to = plain;
    for (size_t i = 0; i < coloured.size; i++) {
        if (coloured.data[i] != '\033') {
            *to++ = coloured.data[i];
            continue;
        }
        while (coloured.data[i] != 'm') i++;
    }
    assert_true(coloured.size > yard.printed.size);
    assert_string_equal(plain, yard.printed.data);
    free(plain);
    yd_buf_fini(&coloured);
    yard_fini(&yard);
}

static void graphs_show_every_wire(void **state)
{
    (void)state;
    struct yard yard;
    struct yd_buf text, dot, json;
    yard_init(&yard, example);
    FINE(&yard);
    yd_buf_init(&text, NULL), yd_buf_init(&dot, NULL), yd_buf_init(&json, NULL);
    yd_topology_graph(yard.topology, YD_GRAPH_TEXT, &text);
    yd_topology_graph(yard.topology, YD_GRAPH_DOT, &dot);
    yd_topology_graph(yard.topology, YD_GRAPH_JSON, &json);
    yd_buf_char(&text, 0), yd_buf_char(&dot, 0), yd_buf_char(&json, 0);
    assert_non_null(strstr(text.data, "  .rejects -[queue: 4MiB, full: drop_old]-> File@7.input\n"));
    assert_non_null(strstr(text.data, "  .ask => history.query\n"));
    assert_non_null(strstr(dot.data, "\"tsdb\" -> \"history\" [style=dashed, label=\"\"];"));
    assert_non_null(strstr(dot.data, "\"graphite\" -> \"File@7\" [label=\"rejects queue: 4MiB, full: drop_old\"];"));
    assert_non_null(strstr(json.data, "\"options\": \"cursor: \\\"archive\\\"\""));
    yd_buf_fini(&text), yd_buf_fini(&dot), yd_buf_fini(&json);
    yard_fini(&yard);
}

static void class_check_takes_sound_tables_and_names_what_is_wrong_in_others(void **state)
{
    (void)state;
    struct yd_trail trail;
    for (size_t i = 0; i < golden_classes.count; i++) {
        yd_trail_clear(&trail);
        int r = yd_class_check(golden_classes.items[i], &trail);
        if (r != 0) print_error("%s\n", yd_trail_text(&trail));
        assert_int_equal(r, 0);
    }
    static const struct yd_port_class twice[] = {{.name = "input"}, {.name = "input"}, {.name = NULL}};
    static const struct yd_port_class bad_name[] = {{.name = "in put"}, {.name = NULL}};
    static const struct yd_param_class untyped[] = {{.name = "a", .type = YD_PARAM_SIZE, .initial = "10s"},
                                                    {.name = NULL}};
    static const struct yd_param_class again[] = {{.name = "a"}, {.name = "a"}, {.name = NULL}};
    static const struct yd_param_class garbage[] = {{.name = "a", .type = YD_PARAM_LIST, .initial = "[1,"},
                                                    {.name = NULL}};
    static const struct {
        struct yd_element_class class;
        int result;
        const char *says;
    } cases[] = {
        {{.abi = 99, .name = "A"}, YD_EVERSION, "version 99"},
        {{.abi = YD_ELEMENT_ABI}, YD_EINVAL, "without a name"},
        {{.abi = YD_ELEMENT_ABI, .name = "2A"}, YD_EINVAL, "without a name"},
        {{.abi = YD_ELEMENT_ABI, .name = "A", .ports = twice}, YD_EINVAL, "'input' is there twice"},
        {{.abi = YD_ELEMENT_ABI, .name = "A", .ports = bad_name}, YD_EINVAL, "'in put' is not a name"},
        {{.abi = YD_ELEMENT_ABI, .name = "A", .params = untyped}, YD_EINVAL, "the default of 'a', 10s, is not a size"},
        {{.abi = YD_ELEMENT_ABI, .name = "A", .params = again}, YD_EINVAL, "'a' is there twice"},
        {{.abi = YD_ELEMENT_ABI, .name = "A", .params = garbage}, YD_EINVAL, "is not a list"},
        {{.abi = YD_ELEMENT_ABI, .name = "A"}, 0, ""},
    };
    for (size_t i = 0; i < YD_COUNT(cases); i++) {
        yd_trail_clear(&trail);
        assert_int_equal(yd_class_check(&cases[i].class, &trail), cases[i].result);
        assert_non_null(strstr(yd_trail_text(&trail), cases[i].says));
    }
}

/* ---- memory, limits, rubbish ---- */

static void load_survives_every_allocation_that_fails(void **state)
{
    (void)state;
    static const char wrong[] =
        "tsdb :: OpenTsdb( -> Null(\ntsdb.ask -> Print()\na :: Hots(every: $x, x: [1, {a: 2}])\n";
    for (int round = 0; round < 2; round++) {
        uint64_t fail_at = 1;
        for (int done = 0; !done; fail_at += UNIT_SPARSE) {
            struct yd_alloc_failing failing;
            struct yard yard;
            yd_alloc_failing_init(&failing, fail_at);
            yard_init(&yard, round ? wrong : example);
            yard.options.alloc = &failing.alloc;
            int r = yard_load(&yard);
            done = failing.calls < fail_at;
            assert_int_equal(r, done ? (round ? YD_EFORMAT : 0) : YD_ENOMEM);
            if (!done) assert_null(yard.topology);
            yard_fini(&yard);
            assert_int_equal(failing.bytes_out, 0);
        }
        assert_true(fail_at > 4);
    }
}

static char *repeated(const char *before, const char *piece, size_t count, const char *after)
{
    size_t size = strlen(piece);
    char *text = malloc(strlen(before) + size * count + strlen(after) + 1), *to = text;
    to = stpcpy(to, before);
    for (size_t i = 0; i < count; i++) to = stpcpy(to, piece);
    strcpy(to, after);
    return text;
}

static void deep_and_long_texts_are_refused_or_loaded_without_a_deep_stack(void **state)
{
    (void)state;
    static const struct {
        const char *before, *piece, *after;
        int result;
    } cases[] = {
        {"Host(disks: ", "[", "", YD_EFORMAT},
        {"Host(disks: ", "{a: ", "", YD_EFORMAT},
        {"", "(", "", YD_EFORMAT},
        {"", "{", "", YD_EFORMAT},
        {"", ")]}", "", YD_EFORMAT},
        {"", "element A() {\n", "", YD_EFORMAT},
        {"Host(every: ", "env(\"A\", ", "", YD_EFORMAT},
        {"Host() ", "-> a ", "", YD_EFORMAT},
        {"", ";", "", 0},
        {"", "a,", "", YD_EFORMAT},
        {"Host() -> Print() ", "#", "", 0},
        {"", "\"", "", YD_EFORMAT},
        {"\"", "\\", "\"", YD_EFORMAT},
        {"", "test \"a\" {\n}\n", "Host() -> Print()\n", 0},
        {"Host(disks: [", "1, ", "]) -> Print()\n", 0},
        {"p :: Print()\nHost()", " -> Map()", " -> p\n", YD_EFORMAT},
    };
    for (size_t i = 0; i < YD_COUNT(cases); i++) {
        struct yard yard;
        char *text = repeated(cases[i].before, cases[i].piece, 20000, cases[i].after);
        yard_init(&yard, text);
        int r = yard_load(&yard);
        if (r != cases[i].result) print_error("case %zu: %d\n%.2000s\n", i, r, yard.printed.data);
        assert_int_equal(r, cases[i].result);
        yard_fini(&yard);
        free(text);
    }
}

static void a_chain_of_thousands_is_no_trouble(void **state)
{
    (void)state;
    struct yard yard;
    char *text = repeated("Host()", " -> Map()", 4000, " -> Print()\n");
    yard_init(&yard, text);
    FINE(&yard);
    assert_int_equal(yard.topology->wire_count, 4001);
    yard_fini(&yard);
    free(text);
}

/* Any sequence of the language's words, as a reader of mistakes would never write it: no crash, and either a topology
 * or at least one mistake, every one with a place inside the text. */
static void rubbish_is_refused_with_places_inside_the_text(void **state)
{
    (void)state;
    static const char *const words[] = {
        "host",
        "a",
        "b",
        "Host",
        "Print",
        "Log",
        "History",
        "Filter",
        "param",
        "element",
        "include",
        "test",
        "in",
        "out",
        "push",
        "query",
        "shard",
        "of",
        "with",
        "env",
        "feed",
        "expect",
        "advance",
        "count",
        "empty",
        "true",
        "::",
        ":",
        ",",
        ".",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "->",
        "=>",
        "-[",
        "]->",
        "=[",
        "]=>",
        "=",
        "==",
        "$a",
        "1",
        "2.5",
        "\"x\"",
        "10s",
        "4MiB",
        "5/s",
        "\n",
        "\n",
        "\n",
        ";",
        "# c\n",
        "stream",
        "every",
        "queue",
        "()",
        ":: Host()",
        "-> Print()",
        "Log(stream: \"m\")",
        "element C() {\nin push input\n",
        "\"",
        "'",
        "@",
        "\t",
        "int",
        "=> h",
        "é",
    };
    uint64_t seed = 20261121;
    print_message("# seed %llu\n", (unsigned long long)seed);
    struct yd_rng rng;
    yd_rng_init(&rng, seed);
    for (int round = 0; round < 20000; round += UNIT_SPARSE) {
        char text[1024];
        size_t size = 0, count = yd_rng_below(&rng, 40);
        for (size_t i = 0; i < count; i++) {
            const char *word = words[yd_rng_below(&rng, YD_COUNT(words))];
            size += (size_t)snprintf(text + size, sizeof text - size, "%s%s", word, yd_rng_chance(&rng, 3) ? "" : " ");
        }
        text[size] = 0;
        struct yard yard;
        yard_init(&yard, text);
        int r = yard_load(&yard);
        bool consistent =
            r == 0 ? yard.topology && !yard.diagnostics.errors : r == YD_EFORMAT && yard.diagnostics.errors;
        uint32_t lines = 1;
        for (size_t i = 0; i < size; i++) lines += text[i] == '\n';
        for (size_t i = 0; i < yard.diagnostics.count; i++) {
            const struct yd_place place = yard.diagnostics.items[i].notes[0].place;
            consistent &= place.file == 0 && place.line >= 1 && place.line <= lines && place.column >= 1 &&
                          place.column <= size + 1;
        }
        if (!consistent) print_error("round %d: %d\n%s\n----\n%s\n", round, r, text, yard.printed.data);
        assert_true(consistent);
        yard_fini(&yard);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(load_makes_of_the_example_what_it_says),
        cmocka_unit_test(load_takes_a_name_before_its_declaration),
        cmocka_unit_test(load_merges_left_of_a_wire_and_copies_right_of_it),
        cmocka_unit_test(statements_end_at_lines_but_not_at_wires_commas_and_in_brackets),
        cmocka_unit_test(keywords_are_names_where_they_can_be_nothing_else),
        cmocka_unit_test(texts_have_escapes_and_keep_what_looks_like_syntax),
        cmocka_unit_test(values_are_typed_and_defaults_filled_in),
        cmocka_unit_test(a_setting_beats_the_environment_and_that_the_default),
        cmocka_unit_test(parameters_may_be_made_of_each_other_in_any_order),
        cmocka_unit_test(a_compounds_parameter_shadows_the_files),
        cmocka_unit_test(compounds_nest_merge_and_copy),
        cmocka_unit_test(compounds_have_query_ports),
        cmocka_unit_test(of_an_option_inside_and_outside_a_compound_the_outer_one_counts),
        cmocka_unit_test(options_of_cursors),
        cmocka_unit_test(a_cursors_name_survives_edits_that_keep_both_ends),
        cmocka_unit_test(anonymous_names_are_unique),
        cmocka_unit_test(include_reads_each_file_once_relative_to_its_own),
        cmocka_unit_test(warnings_do_not_refuse),
        cmocka_unit_test(mistakes_are_json_too),
        cmocka_unit_test(colours_change_nothing_but_colours),
        cmocka_unit_test(graphs_show_every_wire),
        cmocka_unit_test(class_check_takes_sound_tables_and_names_what_is_wrong_in_others),
        cmocka_unit_test(load_survives_every_allocation_that_fails),
        cmocka_unit_test(deep_and_long_texts_are_refused_or_loaded_without_a_deep_stack),
        cmocka_unit_test(a_chain_of_thousands_is_no_trouble),
        cmocka_unit_test(rubbish_is_refused_with_places_inside_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
