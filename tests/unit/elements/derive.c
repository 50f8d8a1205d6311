/* Derive: rules over what comes in, in their order, and what survives. */
#include "tested.h"

#include "elements/classes.h"
#include "elements/derive_rules.h"
#include "flow/runtime.h"

#define NONE         "none :: Graphite(listen: \"127.0.0.1:0\") -> "
#define DERIVE(args) NONE "d :: Derive(" args ") -> Null()\n"

static void a_rule_is_evaluated_when_what_it_reads_is_new(void **state)
{
    (void)state;
    expect_passes(
        DERIVE("rules: [\"climb = rate(altitude)\"]") "test \"t\" {\n"
                                                      "  feed d [ { name: \"altitude\", value: 10.0, time: 1 }, { "
                                                      "name: \"other\", value: 1, time: 1 } ]\n"
                                                      "  expect d empty\n"
                                                      "  feed d [ { name: \"altitude\", value: 14.0, time: 3 } ]\n"
                                                      "  expect d == [ { name: \"climb\", kind: sample, value: 2.0, "
                                                      "time: 3 } ]\n}\n");
}

static void rules_feed_each_other_in_whatever_order_they_stand(void **state)
{
    (void)state;
    expect_passes(DERIVE("rules: [\"falling = climb < -2 && armed\", \"mean = rolling_avg(climb, 2)\", \"climb = "
                         "delta(altitude)\"]") "test \"t\" {\n"
                                               "  feed d [ { name: \"armed\", value: true, time: 1 }, { name: "
                                               "\"altitude\", value: 10.0, time: 1 },\n"
                                               "           { name: \"altitude\", value: 4.0, time: 2 }, { name: "
                                               "\"altitude\", value: 0.0, time: 3 } ]\n"
                                               "  expect d == [ { name: \"climb\", value: -6.0, time: 2 }, { name: "
                                               "\"falling\", value: true, time: 2 },\n"
                                               "    { name: \"mean\", value: -6.0, time: 2 }, { name: \"climb\", "
                                               "value: -4.0, time: 3 },\n"
                                               "    { name: \"falling\", value: true, time: 3 }, { name: \"mean\", "
                                               "value: -5.0, time: 3 } ]\n}\n");
}

static void records_of_one_packet_are_seen_together_or_each_by_itself(void **state)
{
    (void)state;
#define PACKETS                                                                                                        \
    "  feed d [ { name: \"a\", value: 1.0, time: 1 }, { name: \"b\", value: 2.0, time: 1 },\n"                         \
    "           { name: \"a\", value: 5.0, time: 2 }, { name: \"b\", value: 6.0, time: 2 } ]\n"
    expect_passes(DERIVE("rules: [\"sum = a + b\"]") "test \"t\" {\n" PACKETS
                                                     "  expect d == [ { name: \"sum\", value: 3.0, time: 1 }, { name: "
                                                     "\"sum\", value: 11.0, time: 2 } ]\n"
                                                     "  feed d [ { name: \"a\", value: 1.0, time: 3 }, { name: \"a\", "
                                                     "value: 2.0, time: 3 } ]\n"
                                                     "  expect d == [ { value: 7.0 }, { value: 8.0 } ]\n}\n");
    expect_passes(
        DERIVE("rules: [\"sum = a + b\"], together: false") "test \"t\" {\n" PACKETS
                                                            "  expect d == [ { value: 3.0, time: 1 }, { value: 7.0, "
                                                            "time: 2 }, { value: 11.0, time: 2 } ]\n}\n");
}

static void what_comes_in_passes_when_asked_before_what_it_led_to(void **state)
{
    (void)state;
    expect_passes(
        DERIVE("rules: [\"twice = a * 2\"], pass: true") "test \"t\" {\n"
                                                         "  feed d [ { name: \"a\", value: 1.5 }, { name: \"b\", kind: "
                                                         "state, code: ok } ]\n"
                                                         "  expect d == [ { name: \"a\", value: 1.5 }, { name: \"b\" "
                                                         "}, { name: \"twice\", value: 3.0 } ]\n}\n");
    struct tested t;
    tested_open(&t);
    t.listen_to = "d";
    tested_start(&t, DERIVE("rules: [\"twice = x * 2\"]"));
    tested_feed(&t, "d", samples("a", 1, 3));
    assert_int_equal(input_of(&t, "d", "input").consumed, 3); /* nothing reads them: folded, not lost */
    expect_out(&t, "");
    tested_feed(&t, "d", samples("x", 1, 3));
    expect_out(&t, "d.output SAMPLE twice 2\nd.output SAMPLE twice 4\nd.output SAMPLE twice 6\n");
    tested_close(&t);
}

static void a_result_without_value_is_told_as_such_and_waiting_is_silent(void **state)
{
    (void)state;
    expect_passes(DERIVE(
        "rules: [\"ratio = a / b\", \"safe = default(ratio, -1)\"]") "test \"t\" {\n"
                                                                     "  feed d [ { name: \"a\", value: 1.0, time: 1 } "
                                                                     "]\n"
                                                                     "  expect d empty\n"
                                                                     "  feed d [ { name: \"b\", value: 0.0, time: 2 } "
                                                                     "]\n"
                                                                     "  expect d == [ { name: \"ratio\", suspect: true "
                                                                     "}, { name: \"safe\", value: -1.0 } ]\n"
                                                                     "  feed d [ { name: \"b\", value: 2.0, time: 3 } "
                                                                     "]\n"
                                                                     "  expect d == [ { name: \"ratio\", value: 0.5 }, "
                                                                     "{ name: \"safe\", value: 0.5 } ]\n}\n");
}

static void texts_are_compared_and_made(void **state)
{
    (void)state;
    expect_passes(DERIVE(
        "rules: [\"word = if(mode == \\\"SAFE\\\", \\\"calm\\\", \\\"busy\\\")\", \"calm = word == "
        "\\\"calm\\\"\"]") "test \"t\" {\n"
                           "  feed d [ { name: \"mode\", kind: sample, value: \"SAFE\", time: 1 }, { name: \"mode\", "
                           "kind: sample, value: \"RUN\", time: 2 } ]\n"
                           "  expect d == [ { name: \"word\", value: \"calm\" }, { name: \"calm\", value: true },\n"
                           "    { name: \"word\", value: \"busy\" }, { name: \"calm\", value: false } ]\n}\n");
}

static void names_with_tags_stand_between_backticks(void **state)
{
    (void)state;
    expect_passes(
        DERIVE("rules: [\"`load.twice host=a` = `load host=a` * 2\"]") "test \"t\" {\n"
                                                                       "  feed d [ { name: \"load host=a\", value: 1.0 "
                                                                       "}, { name: \"load host=b\", value: 5.0 } ]\n"
                                                                       "  expect d == [ { name: \"load.twice host=a\", "
                                                                       "value: 2.0 } ]\n}\n");
}

static void a_tombstone_forgets_what_was_remembered(void **state)
{
    (void)state;
    expect_passes(DERIVE(
        "rules: [\"n = count(a)\"]") "test \"t\" {\n"
                                     "  feed d [ { name: \"a\", value: 1.0, time: 1 }, { name: \"a\", value: 1.0, "
                                     "time: 2 } ]\n"
                                     "  expect d == [ { value: 1 }, { value: 2 } ]\n"
                                     "  feed d [ { name: \"a\", kind: sample, tombstone: true } ]\n  expect d empty\n"
                                     "  feed d [ { name: \"a\", value: 1.0, time: 3 } ]\n  expect d == [ { value: 1 } "
                                     "]\n}\n");
}

static void mistakes_are_refused_before_anything_runs(void **state)
{
    (void)state;
    expect_refused(DERIVE(""), "give either rules or file or definition or lua");
    expect_refused(DERIVE("rules: [\"a = b\"], file: \"x\""), "give either rules or file or definition or lua");
    expect_refused(DERIVE("rules: [5]"), "rules, number 1, 1:1: a rule is a text");
    expect_refused(DERIVE("rules: [\"a = b\", \"c = rat(a)\"]"),
                   "rules, number 2, 1:5: no function is called 'rat' (did you mean 'rate'?)");
    expect_refused(DERIVE("rules: [\"a b\"]"), "rules, number 1, 1:2: the '=' of the rule is missing here");
    expect_refused(DERIVE("rules: [\"= b\"]"), "rules, number 1, 1:1: the name of a rule is missing here");
    expect_refused(DERIVE("rules: [\"a = b\", \"a = c\"]"), "rules, number 2, 1:1: another rule makes 'a'");
    expect_refused(DERIVE("rules: [\"a = b c = d\"]"), "1:7: an operator is missing here, or a new line");
    expect_refused(DERIVE("rules: [\"a = b + 1\", \"b = c\", \"c = min(a, x)\"]"),
                   "rules, number 1, 1:1: rules go in a circle: a -> b -> c -> a");
    expect_refused(DERIVE("rules: [\"a = previous(a)\"]"), "rules go in a circle: a -> a");
    expect_refused(DERIVE("rules: [\"word = if(a > 1, \\\"x\\\", \\\"y\\\")\", \"c = 1 + word\"]"),
                   "rules, number 2, 1:9: + wants a number, this is a text");
}

static void a_file_of_rules_is_read_and_its_mistakes_have_a_line(void **state)
{
    (void)state;
    struct tested t;
    struct yd_trail trail = {0};
    tested_open(&t);
    put_file(&t, "rules", "# two rules\nsum = a +\n  b\n\ntwice = sum * 2 # of it\n");
    t.listen_to = "d";
    tested_start(&t, DERIVE("file: \"rules\""));
    tested_feed(&t, "d", samples("a", 1, 1));
    tested_feed(&t, "d", samples("b", 2, 1));
    expect_out(&t, "d.output SAMPLE sum 3\nd.output SAMPLE twice 6\n");
    tested_stop(&t);
    put_file(&t, "rules", "# two rules\nsum = a +\n  bb(3)\n");
    assert_true(tested_try(&t, DERIVE("file: \"rules\""), &trail) < 0);
    if (!strstr(yd_trail_text(&trail), "rules:3:3: no function is called 'bb'")) fail_msg("%s", yd_trail_text(&trail));
    tested_stop(&t);
    tested_close(&t);
}

static void a_definition_says_what_is_derived(void **state)
{
    (void)state;
    struct tested t;
    struct yd_trail trail = {0};
    tested_open(&t);
    put_file(&t, "r.ydm",
             "definition r\npacket p\n  x u8\n  on bool8\nderive twice = p.x * 2\nderive far = twice > 4 && p.on\n");
    t.listen_to = "d";
    tested_start(&t, DERIVE("definition: \"r.ydm\""));
    tested_feed(&t, "d", samples("r.p.x", 3, 1));
    expect_out(&t, "d.output SAMPLE r.twice 6\n");
    tested_stop(&t);
    put_file(&t, "r.ydm", "packet p\n  x u8\nderive twice = p.y * 2\n");
    assert_true(tested_try(&t, DERIVE("definition: \"r.ydm\""), &trail) < 0);
    if (!strstr(yd_trail_text(&trail), "r.ydm:3:16: ")) fail_msg("%s", yd_trail_text(&trail));
    tested_stop(&t);
    tested_close(&t);
}

static void a_window_goes_on_after_a_crash_as_if_there_had_been_none(void **state)
{
    (void)state;
    struct tested t;
    const char *topology = DERIVE("rules: [\"sum = rolling_sum(x, 4)\", \"n = count(sum)\"]");
    tested_open(&t);
    t.listen_to = "d";
    tested_start(&t, topology);
    tested_feed(&t, "d", samples("x", 1, 3));
    tested_run(&t, 3 * YD_NS_PER_S);
    expect_out(&t, "d.output SAMPLE sum 1\nd.output SAMPLE n 1\nd.output SAMPLE sum 3\nd.output SAMPLE n 2\n"
                   "d.output SAMPLE sum 6\nd.output SAMPLE n 3\n");
    tested_crash(&t);
    tested_start(&t, topology);
    tested_feed(&t, "d", samples("x", 10, 2));
    expect_out(&t, "d.output SAMPLE sum 16\nd.output SAMPLE n 4\nd.output SAMPLE sum 26\nd.output SAMPLE n 5\n");
    tested_run(&t, 3 * YD_NS_PER_S);
    tested_crash(&t);
    tested_start(&t, DERIVE("rules: [\"sum = rolling_sum(x, 5)\", \"n = count(sum)\"]")); /* another window: anew */
    tested_feed(&t, "d", samples("x", 1, 1));
    expect_out(&t, "d.output SAMPLE sum 1\nd.output SAMPLE n 6\n");
    tested_close(&t);
}

static void rules_leave_nothing_behind_without_memory(void **state)
{
    (void)state;
    for (uint64_t at = 1;; at++) {
        struct yd_alloc_failing failing;
        struct yd_derive_rules rules;
        struct yd_mistake mistake;
        size_t source;
        yd_alloc_failing_init(&failing, at);
        yd_derive_rules_init(&rules, &failing.alloc);
        int error =
            yd_derive_rules_read(&rules, YD_STR("a = rate(b)\nb = c + `d x=1`\nmode.ok = mode == \"x\"\n"), &mistake);
        if (error == 0) error = yd_derive_rules_finish(&rules, &mistake, &source);
        yd_derive_rules_fini(&rules);
        assert_int_equal(failing.bytes_out, 0);
        if (error == 0) break;
        if (error != YD_ENOMEM) fail_msg("%u:%u %s", mistake.line, mistake.column, mistake.message);
        assert_true(at < 100);
    }
}

/* ---- scripts ---- */

static void a_script_sees_its_inputs_together_and_makes_what_it_returns(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    put_file(
        &t, "s.lua",
        "on('a', 'b', function(a, b, time) return { sum = a + b, ['made by=lua'] = a > b, text = 't' .. time } end)\n"
        "each('tank.*', function(level, time, name) return { [name .. '.twice'] = level * 2 } end)\n");
    t.listen_to = "d";
    tested_start(&t, DERIVE("lua: \"s.lua\""));
    tested_feed(&t, "d", samples("a", 1, 1));
    expect_out(&t, ""); /* b has not come */
    tested_feed(&t, "d", samples("b", 5, 1));
    expect_out(&t, "d.output SAMPLE made by=lua false\nd.output SAMPLE sum 6\nd.output SAMPLE text t1000000000\n");
    tested_feed(&t, "d", samples("tank.1", 3, 2));
    expect_out(&t, "d.output SAMPLE tank.1.twice 6\nd.output SAMPLE tank.1.twice 8\n");
    tested_feed(&t, "d", samples("other", 3, 2));
    expect_out(&t, "");
    assert_int_equal(input_of(&t, "d", "input").consumed, 6);
    tested_close(&t);
}

static void what_a_script_gets_wrong_costs_its_results_and_is_counted_by_reason(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    put_file(&t, "s.lua",
             "on('x', function(x)\n"
             "  if x == 2 then error('two') end\n"
             "  if x == 3 then while true do end end\n"
             "  if x == 4 then local s = string.rep('x', 60000) local t = {} for i = 1, 99 do t[i] = s .. i end end\n"
             "  if x == 5 then return { y = {} } end\n"
             "  return { y = x }\nend)\n"
             "each('x', function(x) if x == 2 then error('each') end return { z = x } end)\n");
    t.listen_to = "d";
    tested_start(&t, DERIVE("lua: \"s.lua\", steps: 100000, memory: 256KiB"));
    tested_feed(&t, "d", samples("x", 1, 6));
    expect_out(&t, "d.output SAMPLE z 1\nd.output SAMPLE y 1\nd.output SAMPLE z 3\nd.output SAMPLE z 4\n"
                   "d.output SAMPLE z 5\nd.output SAMPLE z 6\nd.output SAMPLE y 6\n");
    assert_int_equal(reason_of(&t, "d", "script: error"), 1); /* one record, however many of its handlers failed */
    assert_int_equal(reason_of(&t, "d", "script: too many steps"), 1);
    assert_int_equal(reason_of(&t, "d", "script: too much memory"), 1);
    assert_int_equal(reason_of(&t, "d", "script: unfit result"), 1);
    assert_int_equal(input_of(&t, "d", "input").consumed, 2);
    expect_said(&t, "s.lua:2: two");
    expect_said(&t, "s.lua:3: more than 100000 steps in one call");
    tested_close(&t);
}

static void a_scripts_state_goes_on_after_a_crash(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    put_file(&t, "s.lua",
             "state.sum = state.sum or 0\n"
             "on('x', 'k', function(x, k) state.sum = state.sum + x / k return { sum = state.sum } end)\n");
    t.listen_to = "d";
    tested_start(&t, DERIVE("lua: \"s.lua\""));
    tested_feed(&t, "d", samples("k", 2, 1));
    tested_feed(&t, "d", samples("x", 1, 2));
    tested_run(&t, 3 * YD_NS_PER_S);
    expect_out(&t, "d.output SAMPLE sum 0.5\nd.output SAMPLE sum 1.5\n");
    tested_crash(&t);
    tested_start(&t, DERIVE("lua: \"s.lua\""));
    tested_feed(&t, "d", samples("x", 4, 1)); /* k is known still, as is the sum */
    expect_out(&t, "d.output SAMPLE sum 3.5\n");
    tested_run(&t, 3 * YD_NS_PER_S);
    tested_crash(&t);
    put_file(&t, "s.lua",
             "state.sum = state.sum or 0\n"
             "on('x', function(x) state.sum = state.sum - x return { sum = state.sum } end)\n");
    tested_start(&t, DERIVE("lua: \"s.lua\"")); /* another script takes the state over: it is its to judge */
    tested_feed(&t, "d", samples("x", 1, 1));
    expect_out(&t, "d.output SAMPLE sum 2.5\n");
    tested_run(&t, 3 * YD_NS_PER_S);
    tested_crash(&t);
    tested_start(&t, DERIVE("rules: [\"n = count(x)\"]")); /* rules make nothing of it */
    tested_feed(&t, "d", samples("x", 1, 1));
    expect_out(&t, "d.output SAMPLE n 1\n");
    tested_close(&t);
}

static void a_script_says_at_the_start_what_is_wrong_with_it(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"on('x', function(x)\n  return { y = = x }\nend)\n", "s.lua:2: unexpected symbol near '='"},
        {"local f = io.open('/etc/passwd')\n", "s.lua:1: there is no 'io' for scripts"},
        {"\n\nwhile true do end\n", "s.lua:3: more than 1000000 steps in one call"},
    };
    for (size_t i = 0; i < YD_COUNT(cases); i++) {
        struct tested t;
        struct yd_trail trail = {0};
        tested_open(&t);
        put_file(&t, "s.lua", cases[i].text);
        assert_true(tested_try(&t, DERIVE("lua: \"s.lua\""), &trail) < 0);
        if (!strstr(yd_trail_text(&trail), cases[i].why)) fail_msg("%s", yd_trail_text(&trail));
        tested_stop(&t);
        tested_close(&t);
    }
    struct tested t;
    struct yd_trail trail = {0};
    tested_open(&t);
    assert_true(tested_try(&t, DERIVE("lua: \"none.lua\""), &trail) < 0);
    if (!strstr(yd_trail_text(&trail), "none.lua")) fail_msg("%s", yd_trail_text(&trail));
    tested_stop(&t);
    tested_close(&t);
    expect_refused(DERIVE("rules: [\"a = b\"], lua: \"x\""), "give either rules or file or definition or lua");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rule_is_evaluated_when_what_it_reads_is_new),
        cmocka_unit_test(rules_feed_each_other_in_whatever_order_they_stand),
        cmocka_unit_test(records_of_one_packet_are_seen_together_or_each_by_itself),
        cmocka_unit_test(what_comes_in_passes_when_asked_before_what_it_led_to),
        cmocka_unit_test(a_result_without_value_is_told_as_such_and_waiting_is_silent),
        cmocka_unit_test(texts_are_compared_and_made),
        cmocka_unit_test(names_with_tags_stand_between_backticks),
        cmocka_unit_test(a_tombstone_forgets_what_was_remembered),
        cmocka_unit_test(mistakes_are_refused_before_anything_runs),
        cmocka_unit_test(a_file_of_rules_is_read_and_its_mistakes_have_a_line),
        cmocka_unit_test(a_definition_says_what_is_derived),
        cmocka_unit_test(a_window_goes_on_after_a_crash_as_if_there_had_been_none),
        cmocka_unit_test(rules_leave_nothing_behind_without_memory),
        cmocka_unit_test(a_script_sees_its_inputs_together_and_makes_what_it_returns),
        cmocka_unit_test(what_a_script_gets_wrong_costs_its_results_and_is_counted_by_reason),
        cmocka_unit_test(a_scripts_state_goes_on_after_a_crash),
        cmocka_unit_test(a_script_says_at_the_start_what_is_wrong_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
