/* Pace: what passes, what is held, when it goes; what survives. */
#include "tested.h"

#define PACE(args, body)                                                                                               \
    "g :: Graphite(listen: \"127.0.0.1:1\") -> p :: Pace(" args ") -> Null()\ntest \"t\" {\n" body "}\n"

static void the_first_passes_and_the_newest_of_the_rest_comes_in_its_turn(void **state)
{
    (void)state;
    expect_passes(PACE("every: 10s",
                       "  feed p [ { name: \"a\", value: 1 } ]\n  expect p == [ { name: \"a\", value: 1 } ]\n"
                       "  feed p [ { name: \"a\", value: 2 }, { name: \"b\", value: 7 }, { name: \"a\", value: 3 } ]\n"
                       "  expect p == [ { name: \"b\", value: 7 } ]\n"
                       "  advance 4s\n  expect p empty\n"
                       "  feed p [ { name: \"a\", value: 4 } ]\n  expect p empty\n"
                       "  advance 20s\n  expect p == [ { name: \"a\", value: 4 } ]\n"
                       "  advance 1m\n  expect p empty\n"
                       "  feed p [ { name: \"a\", value: 5 } ]\n  expect p == [ { name: \"a\", value: 5 } ]\n"));
}

static void a_rate_is_a_time_between_two(void **state)
{
    (void)state;
    expect_passes(PACE("rate: 0.1/s", "  feed p [ { name: \"a\", value: 1 }, { name: \"a\", value: 2 } ]\n"
                                      "  expect p == [ { name: \"a\", value: 1 } ]\n  advance 9s\n  expect p empty\n"
                                      "  advance 3s\n  expect p == [ { name: \"a\", value: 2 } ]\n"));
}

static void what_does_not_come_from_a_log_waits_for_its_turn_and_no_longer(void **state)
{
    (void)state;
    expect_passes(PACE("rate: 10/s", "  feed p [ { name: \"a\", value: 1 }, { name: \"a\", value: 2 } ]\n"
                                     "  expect p == [ { name: \"a\", value: 1 } ]\n  advance 50ms\n"
                                     "  feed p [ { name: \"a\", value: 3 } ]\n  advance 40ms\n  expect p empty\n"
                                     "  advance 20ms\n  expect p == [ { name: \"a\", value: 3 } ]\n"
                                     "  feed p [ { name: \"a\", value: 4 } ]\n  advance 80ms\n  expect p empty\n"
                                     "  advance 30ms\n  expect p == [ { name: \"a\", value: 4 } ]\n"));
}

static void amounts_and_what_happens_are_never_held(void **state)
{
    (void)state;
    expect_passes(PACE("every: 10s",
                       "  feed p [ { name: \"a\", kind: tally, value: 1 }, { name: \"a\", kind: tally, value: "
                       "2 }, { name: \"a\", kind: event, value: \"x\" }, { name: \"a\", kind: event, value: "
                       "\"y\" } ]\n  expect p count 4\n"));
}

static void only_what_matches_is_paced(void **state)
{
    (void)state;
    expect_passes(
        PACE("every: 10s, match: \"imu.*\"",
             "  feed p [ { name: \"imu.x\", value: 1 }, { name: \"imu.x\", value: 2 }, { name: \"t\", value: 1 }, "
             "{ name: \"t\", value: 2 } ]\n  expect p count 3\n"
             "  advance 20s\n  expect p == [ { name: \"imu.x\", value: 2 } ]\n"));
}

static void kinds_of_a_name_are_paced_apart_and_text_is_held_whole(void **state)
{
    (void)state;
    expect_passes(
        PACE("every: 10s",
             "  feed p [ { name: \"a\", value: 1 }, { name: \"a\", kind: fact, value: \"one\" },"
             " { name: \"a\", kind: fact, value: \"twenty-two\" }, { name: \"a\", kind: fact, value: \"3\" } ]\n"
             "  expect p count 2\n  advance 20s\n"
             "  expect p == [ { name: \"a\", kind: fact, value: \"3\" } ]\n"));
}

static struct yd_batch *one_fact(const char *value, uint16_t flags)
{
    struct yd_builder *builder;
    struct yd_batch *batch;
    uint32_t name;
    assert_int_equal(yd_builder_create(NULL, &builder), 0);
    assert_int_equal(yd_builder_name(builder, YD_STR("a"), &name), 0);
    assert_int_equal(yd_builder_add_bytes(builder, 1, name, YD_FACT, YD_TEXT, flags, yd_str_of(value)), 0);
    assert_int_equal(yd_builder_seal(builder, &batch), 0);
    yd_builder_destroy(builder);
    return batch;
}

static void what_is_held_does_not_come_behind_the_end_of_its_name(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    t.listen_to = "p";
    tested_start(&t, "g :: Graphite(listen: \"127.0.0.1:1\") -> p :: Pace(every: 10s) -> Null()\n");
    tested_run(&t, YD_NS_PER_MS);
    tested_feed(&t, "p", one_fact("one", 0));
    tested_feed(&t, "p", one_fact("two", 0));
    tested_feed(&t, "p", one_fact("", YD_RECORD_TOMBSTONE));
    tested_run(&t, YD_NS_PER_MS);
    (void)tested_out(&t);
    tested_run(&t, 60 * YD_NS_PER_S);
    expect_out(&t, "");
    tested_drain(&t);
    expect_out(&t, "");
    tested_close(&t);
}

static void one_of_rate_and_every_is_wanted(void **state)
{
    (void)state;
    expect_refused("Lines() -> Pace() -> Null()\n", "rate or every");
    expect_refused("Lines() -> Pace(rate: 1/s, every: 1s) -> Null()\n", "rate or every");
    expect_refused("Lines() -> Pace(rate: 1/s, match: \"a b=c=d,,\") -> Null()\n", "match");
}

static void more_names_than_series_are_rejected_and_the_rest_goes_on(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    tested_start(&t, "g :: Graphite(listen: \"127.0.0.1:1\") -> p :: Pace(every: 10s, series: 2) -> Null()\n");
    t.listen_to = "p";
    tested_feed(&t, "p", samples("a", 1, 1));
    tested_feed(&t, "p", samples("b", 1, 1));
    tested_feed(&t, "p", samples("c", 1, 1));
    tested_run(&t, 1000000);
    expect_out(&t, "p.output SAMPLE a 1\np.output SAMPLE b 1\n");
    assert_int_equal(reason_of(&t, "p", "`series` is reached"), 1);
    tested_close(&t);
}

static void what_was_folded_is_counted_and_what_is_held_goes_at_the_end(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    tested_start(&t, "g :: Graphite(listen: \"127.0.0.1:1\") -> p :: Pace(every: 1h) -> Null()\n");
    t.listen_to = "p";
    tested_feed(&t, "p", samples("a", 1, 10));
    tested_run(&t, 1000000);
    expect_out(&t, "p.output SAMPLE a 1\n");
    struct yd_input_stat input = input_of(&t, "p", "input");
    assert_int_equal(input.received, 10);
    assert_int_equal(input.folded, 8);
    tested_drain(&t);
    tested_end(&t);
    expect_out(&t, "p.output SAMPLE a 10\n");
    tested_close(&t);
}

static void what_is_held_survives_a_crash(void **state)
{
    (void)state;
    static const char topology[] = "g :: Graphite(listen: \"127.0.0.1:1\") -> p :: Pace(every: 1h) -> Null()\n";
    struct tested t;
    tested_open(&t);
    tested_start(&t, topology);
    t.listen_to = "p";
    tested_feed(&t, "p", samples("a", 1, 5));
    tested_run(&t, INT64_C(10) * 1000000000); /* saved meanwhile */
    expect_out(&t, "p.output SAMPLE a 1\n");
    tested_crash(&t);
    tested_start(&t, topology);
    t.listen_to = "p";
    tested_run(&t, INT64_C(10) * 1000000000);
    expect_out(&t, "");
    tested_run(&t, INT64_C(3700) * 1000000000);
    expect_out(&t, "p.output SAMPLE a 5\n");
    tested_close(&t);
}

static void a_clock_that_was_set_back_silences_nobody(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    tested_start(&t, "g :: Graphite(listen: \"127.0.0.1:1\") -> p :: Pace(every: 10s) -> Null()\n");
    t.listen_to = "p";
    tested_feed(&t, "p", samples("a", 1, 5));
    tested_run(&t, INT64_C(4000000000));
    expect_out(&t, "p.output SAMPLE a 1\n");
    yd_sim_step_wall(t.loop, -INT64_C(3600000000000));
    tested_run(&t, INT64_C(17000000000)); /* what is held: noticed at its turn, and then so long again at most */
    expect_out(&t, "p.output SAMPLE a 5\n");
    yd_sim_step_wall(t.loop, -INT64_C(3600000000000));
    tested_feed(&t, "p", samples("a", 6, 2)); /* it was sent less than 10 s ago, by its own waiting */
    tested_run(&t, INT64_C(1000000));
    expect_out(&t, "");
    tested_run(&t, INT64_C(11000000000));
    expect_out(&t, "p.output SAMPLE a 7\n");
    tested_run(&t, INT64_C(60000000000));
    yd_sim_step_wall(t.loop, -INT64_C(3600000000000));
    tested_feed(&t, "p", samples("b", 1, 1)); /* one that is new, and again when its turn has come */
    tested_run(&t, INT64_C(11000000000));
    tested_feed(&t, "p", samples("b", 2, 1));
    tested_run(&t, INT64_C(1000000));
    expect_out(&t, "p.output SAMPLE b 1\np.output SAMPLE b 2\n");
    tested_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_passes_and_the_newest_of_the_rest_comes_in_its_turn),
        cmocka_unit_test(a_rate_is_a_time_between_two),
        cmocka_unit_test(what_does_not_come_from_a_log_waits_for_its_turn_and_no_longer),
        cmocka_unit_test(amounts_and_what_happens_are_never_held),
        cmocka_unit_test(only_what_matches_is_paced),
        cmocka_unit_test(kinds_of_a_name_are_paced_apart_and_text_is_held_whole),
        cmocka_unit_test(what_is_held_does_not_come_behind_the_end_of_its_name),
        cmocka_unit_test(one_of_rate_and_every_is_wanted),
        cmocka_unit_test(more_names_than_series_are_rejected_and_the_rest_goes_on),
        cmocka_unit_test(what_was_folded_is_counted_and_what_is_held_goes_at_the_end),
        cmocka_unit_test(what_is_held_survives_a_crash),
        cmocka_unit_test(a_clock_that_was_set_back_silences_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
