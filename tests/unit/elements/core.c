/* Cardinality, Relabel, Route: what passes, under which name, and by which door. */
#include "tested.h"

#include "elements/rename.h"

#define SOURCE            "g :: Graphite(listen: \"127.0.0.1:1\") -> "
#define CARDINALITY(args) SOURCE "c :: Cardinality(" args ") -> Null()\n"
#define RELABEL(rules)    SOURCE "r :: Relabel(rules: " rules ") -> Null()\n"

static void known_series_flow_and_new_ones_beyond_the_limit_are_refused(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    t.listen_to = "c";
    tested_start(&t, CARDINALITY("rules: [{ match: \"a*\", max: 2 }]"));
    static const char *const names[] = {"a1", "a2", "a3", "b1", "a1", "a4", "b2", "a2"};
    for (size_t i = 0; i < YD_COUNT(names); i++) tested_feed(&t, "c", samples(names[i], (int64_t)i, 1));
    expect_out(&t, "c.output SAMPLE a1 0\nc.output SAMPLE a2 1\nc.output SAMPLE b1 3\nc.output SAMPLE a1 4\n"
                   "c.output SAMPLE b2 6\nc.output SAMPLE a2 7\n");
    assert_int_equal(reason_of(&t, "c", "too many series"), 2);
    struct yd_input_stat stat = input_of(&t, "c", "input");
    assert_int_equal(stat.received, stat.consumed + stat.rejected + stat.dropped + stat.queued);
    tested_close(&t);
}

static void a_limit_by_tag_is_of_each_value_and_one_per_hour_begins_again(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    t.listen_to = "c";
    tested_start(&t, CARDINALITY("rules: [{ by: \"host\", max: 1, per: 1h }]"));
    tested_feed(&t, "c", samples("a host=x", 1, 1));
    tested_feed(&t, "c", samples("b host=x", 2, 1));
    tested_feed(&t, "c", samples("b host=y", 3, 1));
    expect_out(&t, "c.output SAMPLE a host=x 1\nc.output SAMPLE b host=y 3\n");
    tested_run(&t, 3601 * YD_NS_PER_S);
    tested_feed(&t, "c", samples("b host=x", 4, 1));
    tested_feed(&t, "c", samples("c host=x", 5, 1));
    expect_out(&t, "c.output SAMPLE b host=x 4\n");
    assert_int_equal(reason_of(&t, "c", "too many new series for now"), 2);
    tested_close(&t);
}

static void what_is_known_survives_a_restart_and_memory_is_bounded(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    t.listen_to = "c";
    tested_start(&t, CARDINALITY("series: 3000, groups: 2, rules: [{ by: \"dc\", max: 100000 }]"));
    for (int i = 0; i < 4000; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "n%d", i);
        tested_feed(&t, "c", samples(name, i, 1));
    }
    assert_int_equal(reason_of(&t, "c", "`series` is reached"), 1000);
    tested_drain(&t);
    tested_stop(&t);
    t.out.size = 0;
    tested_start(&t, CARDINALITY("series: 3002, groups: 2, rules: [{ by: \"dc\", max: 100000 }]"));
    tested_feed(&t, "c", samples("n2999", 1, 1));
    tested_feed(&t, "c", samples("n3000 dc=a", 2, 1));
    tested_feed(&t, "c", samples("n3001 dc=b", 3, 1)); /* groups: "", a */
    tested_feed(&t, "c", samples("n3001 dc=a", 4, 1));
    tested_feed(&t, "c", samples("n3002 dc=a", 5, 1));
    expect_out(&t, "c.output SAMPLE n2999 1\nc.output SAMPLE n3000 dc=a 2\nc.output SAMPLE n3001 dc=a 4\n");
    assert_int_equal(reason_of(&t, "c", "too many groups"), 1);
    assert_int_equal(reason_of(&t, "c", "`series` is reached"), 1);
    tested_close(&t);
}

static void rules_rename_retag_and_drop_in_their_order(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    t.listen_to = "r";
    tested_start(&t, RELABEL("[{ match: \"debug.*\", drop: true },\n"
                             "  { match: \"old.*\", name: \"new.{metric}\", tags: {dc: \"eu\", host: \"\"} },\n"
                             "  { match: \"* host=web*\", tags: {role: \"web\"}, stop: true },\n"
                             "  { match: \"new.* dc=eu\", tags: {seen: \"{tag.dc}\"} }]"));
    static const char *const names[] = {"debug.x", "old.a host=z,x=y", "cpu host=web1", "cpu host=db", "old.b"};
    for (size_t i = 0; i < YD_COUNT(names); i++) tested_feed(&t, "r", samples(names[i], (int64_t)i, 1));
    expect_out(&t, "r.output SAMPLE new.old.a dc=eu,seen=eu,x=y 1\nr.output SAMPLE cpu host=web1,role=web 2\n"
                   "r.output SAMPLE cpu host=db 3\nr.output SAMPLE new.old.b dc=eu,seen=eu 4\n");
    assert_int_equal(t.passed_whole, 1); /* a batch that stays as it is goes as it is */
    assert_int_equal(input_of(&t, "r", "input").folded, 1);
    tested_close(&t);
}

static void names_that_become_one_and_names_that_become_none(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    t.listen_to = "r";
    tested_start(&t, RELABEL("[{ match: \"*\", name: \"{tag.k}\", tags: {k: \"\"} }]"));
    tested_feed(&t, "r", samples("a k=x", 1, 1));
    tested_feed(&t, "r", samples("b k=x", 2, 1));
    tested_feed(&t, "r", samples("c", 3, 2));
    expect_out(&t, "r.output SAMPLE x 1\nr.output SAMPLE x 2\n");
    assert_int_equal(reason_of(&t, "r", "not a name"), 2);
    tested_close(&t);
}

static void a_route_takes_the_first_match_or_all_and_leaves_the_rest(void **state)
{
    (void)state;
    expect_passes(SOURCE
                  "r :: Route(routes: [\"cpu.*\", \"* dc=eu\"])\n"
                  "r.out0 -> Null()\nr.out1 -> Null()\nr.rest -> Null()\n"
                  "test \"t\" {\n  feed r [ { name: \"cpu.a dc=eu\", value: 1 }, { name: \"mem dc=eu\", value: 2 },\n"
                  "    { name: \"disk\", value: 3 }, { name: \"cpu.b\", value: 4 } ]\n"
                  "  expect r.out0 == [ { name: \"cpu.a dc=eu\" }, { name: \"cpu.b\" } ]\n"
                  "  expect r.out1 == [ { name: \"mem dc=eu\" } ]\n  expect r.rest == [ { name: \"disk\" } ]\n}\n");
    expect_passes(SOURCE
                  "r :: Route(routes: [\"cpu.*\", \"* dc=eu\"], all: true)\n"
                  "r.out0 -> Null()\nr.out1 -> Null()\n"
                  "test \"t\" {\n  feed r [ { name: \"cpu.a dc=eu\", value: 1 }, { name: \"disk\", value: 3 } ]\n"
                  "  expect r.out0 count 1\n  expect r.out1 count 1\n}\n");
}

static void mistakes_are_refused_before_anything_runs(void **state)
{
    (void)state;
    expect_refused(CARDINALITY("rules: [{ by: \"host\" }]"), "max: how many new series");
    expect_refused(CARDINALITY("rules: [{ max: 1, every: 1h }]"), "a rule has match, by, max and per");
    expect_refused(RELABEL("[{ match: \"a\" }]"), "a rule that does nothing");
    expect_refused(RELABEL("[{ match: \"a\", name: \"{value}\" }]"), "a rule over names knows");
    expect_refused(RELABEL("[{ name: \"a\" }]"), "match: a name pattern in quotes");
    expect_refused(SOURCE "r :: Route(routes: [5]) -> Null()\n", "routes, number 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_series_flow_and_new_ones_beyond_the_limit_are_refused),
        cmocka_unit_test(a_limit_by_tag_is_of_each_value_and_one_per_hour_begins_again),
        cmocka_unit_test(what_is_known_survives_a_restart_and_memory_is_bounded),
        cmocka_unit_test(rules_rename_retag_and_drop_in_their_order),
        cmocka_unit_test(names_that_become_one_and_names_that_become_none),
        cmocka_unit_test(a_route_takes_the_first_match_or_all_and_leaves_the_rest),
        cmocka_unit_test(mistakes_are_refused_before_anything_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
