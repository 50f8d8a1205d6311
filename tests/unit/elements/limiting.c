/* Limits: what goes out when a measurement leaves its limits, falls silent, or is back. */
#include "tested.h"

#include "elements/classes.h"
#include "flow/runtime.h"

#define NONE         "none :: Graphite(listen: \"127.0.0.1:0\") -> "
#define LIMITS(args) NONE "l :: Limits(" args ") -> Null()\n"

static void a_change_goes_out_as_transition_and_state_and_nothing_else_does(void **state)
{
    (void)state;
    expect_passes(LIMITS(
        "rules: [\"tank.* yellow 10..90 red 0..100\"]") "test \"t\" {\n"
                                                        "  feed l [ { name: \"tank.a\", value: 50.0, time: 1 }, { "
                                                        "name: \"tank.a\", value: 60.0, time: 2 },\n"
                                                        "           { name: \"other\", value: 500.0, time: 2 } ]\n"
                                                        "  expect l == [ { name: \"tank.a\", kind: state, code: ok, "
                                                        "transition: true, stale: false, value: \"green: 50\" },\n"
                                                        "                { name: \"tank.a\", kind: state, code: ok, "
                                                        "transition: false, time: 1 } ]\n"
                                                        "  feed l [ { name: \"tank.a\", value: 95.5, time: 3 }, { "
                                                        "name: \"tank.a\", value: -1, time: 4 } ]\n"
                                                        "  expect l == [ { code: warning, transition: true, value: "
                                                        "\"yellow high: 95.5, limit above 90\", time: 3 },\n"
                                                        "    { code: warning, transition: false }, { code: critical, "
                                                        "transition: true, value: \"red low: -1, limit below "
                                                        "0\" },\n    { code: critical, transition: false } ]\n}\n");
}

static void persistence_holds_back_a_spike(void **state)
{
    (void)state;
    expect_passes(LIMITS(
        "rules: [\"x red 0..10 persist 2\"]") "test \"t\" {\n"
                                              "  feed l [ { name: \"x\", value: 1 }, { name: \"x\", value: 99 }, { "
                                              "name: \"x\", value: 1 } ]\n"
                                              "  expect l count 2\n"
                                              "  feed l [ { name: \"x\", value: 99 }, { name: \"x\", value: 99 } ]\n"
                                              "  expect l == [ { code: critical, transition: true }, { code: critical "
                                              "} ]\n}\n");
}

static void a_silent_measurement_is_stale_once_and_back_with_its_next_value(void **state)
{
    (void)state;
    expect_passes(LIMITS(
        "rules: [\"x red 0..10 stale 10s\", \"y red 0..10 stale 1m yellow\"]") "test \"t\" {\n"
                                                                               "  feed l [ { name: \"x\", value: 1 }, "
                                                                               "{ name: \"y\", value: 1 } ]\n  expect "
                                                                               "l count 4\n"
                                                                               "  advance 12s\n"
                                                                               "  expect l == [ { name: \"x\", code: "
                                                                               "unknown, stale: true, transition: "
                                                                               "true, value: \"unknown: no "
                                                                               "value for more than 10s\" }, { name: "
                                                                               "\"x\", code: unknown, stale: true, "
                                                                               "transition: false } ]\n"
                                                                               "  advance 2m\n"
                                                                               "  expect l == [ { name: \"y\", code: "
                                                                               "warning, stale: true, transition: true "
                                                                               "}, { name: \"y\" } ]\n"
                                                                               "  advance 10m\n  expect l empty\n"
                                                                               "  feed l [ { name: \"x\", value: 2 } "
                                                                               "]\n"
                                                                               "  expect l == [ { code: ok, stale: "
                                                                               "false, transition: true }, { code: ok, "
                                                                               "stale: false } ]\n}\n");
}

static void words_alarm_and_the_set_in_use_follows_a_measurement(void **state)
{
    (void)state;
    expect_passes(LIMITS("rules: [\"mode red is \\\"FAULT\\\"\", \"x red 0..10\", \"x set ascent red 0..100\"], "
                         "set_from: \"phase\"") "test \"t\" {\n"
                                                "  feed l [ { name: \"mode\", kind: sample, value: \"FAULT\" }, { "
                                                "name: \"x\", value: 50 } ]\n"
                                                "  expect l == [ { name: \"mode\", code: critical }, { name: \"mode\" "
                                                "}, { name: \"x\", code: critical "
                                                "}, { name: \"x\" } ]\n"
                                                "  feed l [ { name: \"phase\", kind: sample, value: \"ascent\" }, { "
                                                "name: \"x\", value: 50 } ]\n"
                                                "  expect l == [ { name: \"x\", code: ok, transition: true }, { name: "
                                                "\"x\", code: ok } ]\n"
                                                "  feed l [ { name: \"phase\", kind: sample, value: \"unheard of\" }, "
                                                "{ name: \"x\", value: 50 } ]\n"
                                                "  expect l empty\n}\n");
}

static void what_passes_carries_the_code_of_its_limits(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    t.listen_to = "l";
    tested_start(&t, LIMITS("rules: [\"x red ..2\"], pass: true"));
    tested_feed(&t, "l", samples("x", 1, 3));
    tested_feed(&t, "l", samples("y", 1, 1));
    expect_out(&t, "l.output STATE x 0 transition green: 1\nl.output STATE x 0 green: 1\nl.output SAMPLE x 1\n"
                   "l.output SAMPLE x 2\nl.output STATE x 2 transition red high: 3, limit above 2\n"
                   "l.output STATE x 2 red high: 3, limit above 2\nl.output SAMPLE x 3\nl.output SAMPLE y 1\n");
    tested_close(&t);
}

static void states_and_runs_survive_a_crash_and_a_restart_makes_nobody_stale(void **state)
{
    (void)state;
    struct tested t;
    const char *topology = LIMITS("rules: [\"x red ..10 persist 3 stale 60s\"]");
    tested_open(&t);
    t.listen_to = "l";
    tested_start(&t, topology);
    tested_feed(&t, "l", samples("x", 9, 4)); /* 9 10 11 12: two of three beyond */
    tested_run(&t, 3 * YD_NS_PER_S);
    expect_out(&t, "l.output STATE x 0 transition green: 9\nl.output STATE x 0 green: 9\n");
    tested_crash(&t);
    tested_start(&t, topology);
    expect_out(&t, "");
    tested_feed(&t, "l", samples("x", 13, 1));
    expect_out(&t, "l.output STATE x 2 transition red high: 13, limit above 10\n"
                   "l.output STATE x 2 red high: 13, limit above 10\n");
    tested_close(&t);
}

static void tombstones_forget_and_names_beyond_the_limit_are_rejected(void **state)
{
    (void)state;
    struct tested t;
    expect_passes(LIMITS("rules: [\"* red 0..10\"]") "test \"t\" {\n"
                                                     "  feed l [ { name: \"x\", value: 1 } ]\n  expect l count 2\n"
                                                     "  feed l [ { name: \"x\", kind: sample, tombstone: true }, { "
                                                     "name: \"x\", value: 1 } ]\n"
                                                     "  expect l == [ { name: \"x\", tombstone: true }, { name: \"x\", "
                                                     "kind: state, transition: true }, {} ]\n}\n");
    tested_open(&t);
    t.listen_to = "l";
    tested_start(&t, LIMITS("rules: [\"* red 0..10\"], names: 1"));
    tested_feed(&t, "l", samples("x", 1, 1));
    tested_feed(&t, "l", samples("y", 1, 2));
    assert_int_equal(reason_of(&t, "l", "too many names"), 2);
    assert_int_equal(input_of(&t, "l", "input").rejected, 2);
    tested_close(&t);
}

static void mistakes_are_refused_before_anything_runs(void **state)
{
    (void)state;
    expect_refused(LIMITS(""), "give either rules or file");
    expect_refused(LIMITS("rules: [5]"), "rules, number 1, 1:1: a rule is a text");
    expect_refused(LIMITS("rules: [\"x yelow 0..1\"]"),
                   "rules, number 1, 1:3: 'yelow' is no word of limits (did you mean 'yellow'?)");
    expect_refused(LIMITS("rules: [\"x red 0..1\\ny red 5..1\"]"), "rules, number 1, 2:7: the lower end");
    expect_refused(LIMITS("rules: [\"x red 0..1\", \"x red 0..2\"]"), "'x' has limits for this set already");
    expect_refused(LIMITS("rules: [\"x red 0..1\"], set: \"ascent\""), "set: no rule has limits of a set 'ascent'");
}

static void a_file_of_limits_is_read_and_its_mistakes_have_a_line(void **state)
{
    (void)state;
    struct tested t;
    struct yd_trail trail = {0};
    tested_open(&t);
    put_file(&t, "limits", "# tanks\ntank.* limits red 0..10\n\n`load host=a` red ..1 # load\n");
    t.listen_to = "l";
    tested_start(&t, LIMITS("file: \"limits\""));
    tested_feed(&t, "l", samples("load host=a", 2, 1));
    expect_out(&t, "l.output STATE load host=a 2 transition red high: 2, limit above 1\n"
                   "l.output STATE load host=a 2 red high: 2, limit above 1\n");
    tested_stop(&t);
    put_file(&t, "limits", "# tanks\ntank.* limits red 10\n");
    assert_true(tested_try(&t, LIMITS("file: \"limits\""), &trail) < 0);
    if (!strstr(yd_trail_text(&trail), "limits:2:21: the dots of a range")) fail_msg("%s", yd_trail_text(&trail));
    tested_stop(&t);
    tested_close(&t);
}

static void a_definition_says_what_is_limited(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    put_file(&t, "r.ydm", "definition r\npacket p\n  x u8 limits red ..10\n  y u8\nlimits p.y red ..1\n");
    t.listen_to = "l";
    tested_start(&t, LIMITS("definition: \"r.ydm\""));
    tested_feed(&t, "l", samples("r.p.y", 2, 1));
    tested_feed(&t, "l", samples("r.p.z", 2, 1));
    expect_out(&t, "l.output STATE r.p.y 2 transition red high: 2, limit above 1\n"
                   "l.output STATE r.p.y 2 red high: 2, limit above 1\n");
    tested_feed(&t, "l", samples("r.p.x", 11, 2));
    expect_out(&t, "l.output STATE r.p.x 2 transition red high: 11, limit above 10\n"
                   "l.output STATE r.p.x 2 red high: 11, limit above 10\n");
    tested_stop(&t);
    tested_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_goes_out_as_transition_and_state_and_nothing_else_does),
        cmocka_unit_test(persistence_holds_back_a_spike),
        cmocka_unit_test(a_silent_measurement_is_stale_once_and_back_with_its_next_value),
        cmocka_unit_test(words_alarm_and_the_set_in_use_follows_a_measurement),
        cmocka_unit_test(what_passes_carries_the_code_of_its_limits),
        cmocka_unit_test(states_and_runs_survive_a_crash_and_a_restart_makes_nobody_stale),
        cmocka_unit_test(tombstones_forget_and_names_beyond_the_limit_are_rejected),
        cmocka_unit_test(mistakes_are_refused_before_anything_runs),
        cmocka_unit_test(a_file_of_limits_is_read_and_its_mistakes_have_a_line),
        cmocka_unit_test(a_definition_says_what_is_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
