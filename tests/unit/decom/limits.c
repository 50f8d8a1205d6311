/* Limits: clauses as they are written, and what becomes of readings and silence. */
#include "testing.h"

#include <math.h>

#include "decom/limits.h"

static struct yd_limit_clause parsed(const char *text)
{
    struct yd_limit_clause clause;
    struct yd_mistake mistake;
    if (yd_limit_parse(yd_str_of(text), NULL, &clause, &mistake) < 0)
        fail_msg("%s: %u:%u: %s", text, mistake.line, mistake.column, mistake.message);
    return clause;
}

static void a_clause_says_ranges_values_persistence_hysteresis_and_silence(void **state)
{
    (void)state;
    struct yd_limit_clause c = parsed("limits yellow 10..90 red 0..100 persist 3 hysteresis 2");
    assert_true(c.yellow.given && c.yellow.low == 10 && c.yellow.high == 90);
    assert_true(c.red.given && c.red.low == 0 && c.red.high == 100);
    assert_int_equal(c.persist, 3);
    assert_true(c.hysteresis == 2);
    c = parsed("set ascent red -1.5e3..+2 persist 250ms stale 10s yellow rate ..5 red delta -1..");
    assert_true(yd_str_eq(c.set, YD_STR("ascent")));
    assert_true(c.red.low == -1500 && c.red.high == 2);
    assert_int_equal(c.persist_ns, 250 * YD_NS_PER_MS);
    assert_int_equal(c.stale_ns, 10 * YD_NS_PER_S);
    assert_int_equal(c.stale_state, YD_LIMIT_UNKNOWN);
    assert_true(c.yellow_rate.given && isinf(c.yellow_rate.low) && c.yellow_rate.high == 5);
    assert_true(c.red_delta.given && c.red_delta.low == -1 && isinf(c.red_delta.high));
    c = parsed("limits red is \"FAULT\", \"OFF\", 7 yellow is true stale 1m red");
    assert_int_equal(c.value_count, 4);
    assert_true(c.values[0].red && c.values[2].red && !c.values[3].red);
    assert_int_equal(c.values[3].value.type, YD_BOOL);
    assert_int_equal(c.stale_state, YD_LIMIT_RED);
    c = parsed("stale 5s red 0..1");
    assert_int_equal(c.stale_state, YD_LIMIT_UNKNOWN);
    assert_true(c.red.given);
}

static void each_mistake_in_a_clause_has_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int error;
        unsigned column, size;
        const char *message;
    } table[] = {
        {"", YD_EINVAL, 1, 0, "nothing is limited"},
        {"limits", YD_EINVAL, 1, 6, "nothing is limited"},
        {"limits persist 3", YD_EINVAL, 1, 16, "nothing is limited"},
        {"limits yellow", YD_EFORMAT, 14, 0, "a range is missing here"},
        {"limits yellow ..", YD_EINVAL, 15, 2, "without ends limits nothing"},
        {"limits yellow 10", YD_EFORMAT, 17, 0, "the dots of a range are missing"},
        {"limits yellow 10 red 5", YD_EFORMAT, 18, 3, "the dots of a range are missing"},
        {"limits yellow 10..5", YD_EINVAL, 15, 5, "above the upper one"},
        {"limits yellow 0..9 red 1..9", YD_EINVAL, 1, 27, "reaches beyond the red one"},
        {"yellow rate 0..9 red rate 1..9", YD_EINVAL, 1, 30, "reaches beyond the red one"},
        {"yellow 0..9 yellow 1..2", YD_EFORMAT, 20, 1, "given before"},
        {"yellow 0..9 hysteresis 5", YD_EINVAL, 13, 12, "never get better"},
        {"yellow 0..9 hysteresis -1", YD_EINVAL, 13, 10, "not negative"},
        {"red is 5 hysteresis 1", YD_EINVAL, 10, 12, "without a range has no effect"},
        {"yellow 0..9 persist", YD_EFORMAT, 20, 0, "how many values, or how long"},
        {"yellow 0..9 persist 0", YD_EFORMAT, 21, 1, "how many values, or how long"},
        {"yellow 0..9 persist 3 persist 3", YD_EFORMAT, 23, 7, "stands there twice"},
        {"yellow 0..9 stale 5", YD_EFORMAT, 19, 1, "a duration is missing"},
        {"yellow 0..9 set", YD_EFORMAT, 16, 0, "the name of the set is missing"},
        {"yellow 0..9 yelow 3..4", YD_EFORMAT, 13, 5, "'yelow' is no word of limits"},
        {"yellow 0..9 ?", YD_EFORMAT, 13, 1, "set, yellow, red"},
        {"yellow 0..9 @", YD_EFORMAT, 13, 1, "'@' means nothing here"},
        {"red is", YD_EFORMAT, 7, 0, "a value is missing"},
        {"red is \"A\", \"A\"", YD_EINVAL, 13, 3, "stands there twice"},
        {"red is \"A", YD_EFORMAT, 8, 2, "not closed"},
        {"red is \"A\\n\"", YD_EFORMAT, 8, 5, "without backslashes"},
    };
    for (size_t i = 0; i < YD_COUNT(table); i++) {
        struct yd_limit_clause clause;
        struct yd_mistake mistake;
        int error = yd_limit_parse(yd_str_of(table[i].text), NULL, &clause, &mistake);
        if (error != table[i].error || mistake.column != table[i].column || mistake.size != table[i].size ||
            !strstr(mistake.message, table[i].message))
            fail_msg("%s: %s %u +%u %s", table[i].text, yd_error_name(error), mistake.column, mistake.size,
                     mistake.message);
        assert_int_equal(yd_limit_parse(yd_str_of(table[i].text), NULL, &clause, NULL), error);
    }
    struct yd_limit_clause clause;
    struct yd_mistake mistake;
    struct yd_str part = YD_STR("limits red 0..5 persist 2 unit \"V\"");
    size_t used = 0;
    assert_int_equal(yd_limit_parse(part, &used, &clause, &mistake), 0);
    assert_string_equal(part.data + used, "unit \"V\"");
    part = YD_STR("limits red 0..5\nyellow");
    assert_int_equal(yd_limit_parse(part, &used, &clause, &mistake), 0);
    assert_string_equal(part.data + used, "yellow");
}

/* ---- scenarios ---- */

struct watched {
    struct yd_limits *limits;
    uint32_t rule, item;
    struct yd_buf said;
};

static void open_watched(struct watched *w, const char *const *clauses)
{
    *w = (struct watched){.rule = YD_LIMIT_NEW};
    yd_buf_init(&w->said, NULL);
    assert_int_equal(yd_limits_create(NULL, &w->limits), 0);
    for (size_t i = 0; clauses[i]; i++) {
        struct yd_limit_clause clause = parsed(clauses[i]);
        assert_int_equal(yd_limits_define(w->limits, &w->rule, &clause), 0);
    }
    assert_int_equal(yd_limits_watch(w->limits, w->rule, &w->item), 0);
}

static void close_watched(struct watched *w)
{
    yd_limits_destroy(w->limits);
    yd_buf_fini(&w->said);
}

static void say(struct watched *w, const struct yd_limit_change *change)
{
    char text[300];
    (void)yd_limit_change_text(w->limits, change, text, sizeof text);
    yd_buf_printf(&w->said, "%s%g %s>%s%s %s", w->said.size ? "; " : "", (double)change->time_ns / 1e9,
                  change->first ? "new" : yd_limit_state_name(change->old_state), change->stale ? "stale " : "", text,
                  yd_limit_reason_name(change->reason));
}

static void read_one(struct watched *w, double seconds, struct yd_reading reading)
{
    struct yd_limit_change change;
    int64_t now = (int64_t)(seconds * 1e9);
    while (yd_limits_silent(w->limits, now, &change)) say(w, &change);
    if (yd_limits_update(w->limits, w->item, &reading, now, now, &change)) say(w, &change);
}

static void expect_said(struct watched *w, const char *text)
{
    yd_buf_char(&w->said, 0);
    assert_string_equal(w->said.data, text);
    yd_buf_clear(&w->said);
}

/* Values one second apart, from second 0. */
static void scenario(const char *clause, const double *values, size_t count, const char *said)
{
    struct watched w;
    open_watched(&w, (const char *const[]){clause, NULL});
    for (size_t i = 0; i < count; i++) read_one(&w, (double)i, yd_reading_f64(values[i], 0));
    expect_said(&w, said);
    close_watched(&w);
}
#define SCENARIO(clause, said, ...)                                                                                    \
    do {                                                                                                               \
        static const double values[] = {__VA_ARGS__};                                                                  \
        scenario(clause, values, YD_COUNT(values), said);                                                              \
    } while (0)

static void values_at_the_ends_are_inside_and_beyond_them_outside(void **state)
{
    (void)state;
    SCENARIO("limits yellow 10..90 red 0..100",
             "0 new>green: 50 return; 2 green>yellow high: 90.5, limit above 90 range; 4 yellow high>red high: 101, "
             "limit above 100 range; 5 red high>green: 10 range; 6 green>yellow low: 9, limit below 10 range; 8 "
             "yellow low>red low: -1, limit below 0 range",

             50, 90, 90.5, 100, 101, 10, 9, 0, -1);
}

static void a_change_must_persist_and_becomes_what_all_of_the_run_were_beyond(void **state)
{
    (void)state;
    SCENARIO("limits yellow 0..90 red 0..100 persist 3",
             "0 new>green: 1 return; 6 green>yellow high: 95, limit above 90 range; 9 yellow high>green: 5 range", 1,
             95, 95, 1, 95, 200, 95, 5, 5, 5);
    SCENARIO("limits yellow 0..90 red 0..100 persist 3",
             "0 new>red high: 200, limit above 100 range; 3 red high>yellow high: 1, limit above 90 range", 200, 1, 95,
             1, 200);
    SCENARIO("limits red 0..10 persist 2s", "0 new>green: 1 return; 3 green>red high: 11, limit above 10 range", 1, 11,
             11, 11, 11);
}

static void hysteresis_keeps_a_state_until_well_inside(void **state)
{
    (void)state;
    SCENARIO("limits yellow 10..90 red 0..100 hysteresis 2",
             "0 new>yellow high: 91, limit above 90 range; 3 yellow high>green: 88 range; 5 green>red high: 101, limit "
             "above 100 range; 7 red high>yellow high: 98, limit above 90 range; 8 yellow high>yellow low: 9, limit "
             "below 10 range; 10 yellow low>green: 12 range",
             91, 90, 89, 88, 90, 101, 99, 98, 9, 11, 12);
}

static void a_rate_or_a_step_too_large_is_an_alarm(void **state)
{
    (void)state;
    SCENARIO("limits red rate -5..5",
             "0 new>green: 0 return; 2 green>red: 6 a second, above 5 rate; 3 red>green: 11 range; 4 green>red: -11 a "
             "second, below -5 rate",
             0, 5, 11, 11, 0);
    SCENARIO("limits yellow delta ..3 red 0..100",
             "0 new>green: 0 return; 1 green>yellow: changed by 4, above 3 delta; 2 yellow>green: 5 range; 3 green>red "
             "high: 101, limit above 100 range",
             0, 4, 5, 101);
}

static void words_and_truth_values_alarm(void **state)
{
    (void)state;
    struct watched w;
    open_watched(&w, (const char *const[]){"limits red is \"FAULT\", 7, true yellow is \"WARM\"", NULL});
    read_one(&w, 0, yd_reading_text(YD_STR("OK"), 0));
    read_one(&w, 1, yd_reading_text(YD_STR("WARM"), 0));
    read_one(&w, 2, yd_reading_text(YD_STR("FAULT"), 0));
    read_one(&w, 3, yd_reading_text(YD_STR("FAULTY"), 0));
    read_one(&w, 4, yd_reading_u64(7, 0));
    read_one(&w, 5, yd_reading_i64(6, 0));
    read_one(&w, 6, yd_reading_bool(true, 0));
    expect_said(&w, "0 new>green: \"OK\" return; 1 green>yellow: \"WARM\" value; 2 yellow>red: \"FAULT\" value; 3 "
                    "red>green: \"FAULTY\" range; 4 green>red: 7 value; 5 red>green: 6 range; 6 green>red: true value");
    close_watched(&w);
}

static void silence_is_told_once_when_it_was_due_and_the_next_value_ends_it(void **state)
{
    (void)state;
    struct watched w;
    struct yd_limit_change change;
    open_watched(&w, (const char *const[]){"limits red 0..10 persist 5 stale 10s yellow", NULL});
    assert_true(yd_limits_deadline(w.limits) == INT64_MAX);
    read_one(&w, 1, yd_reading_f64(5, 0));
    read_one(&w, 8, yd_reading_f64(5, 0));
    assert_int_equal(yd_limits_deadline(w.limits), 18 * YD_NS_PER_S);
    assert_false(yd_limits_silent(w.limits, 18 * YD_NS_PER_S - 1, &change));
    read_one(&w, 12, yd_reading_none(0)); /* nothing breaks no silence */
    read_one(&w, 40, yd_reading_f64(11, 0));
    assert_false(yd_limits_silent(w.limits, 40 * YD_NS_PER_S, &change));
    expect_said(&w, "1 new>green: 5 return; 18 green>stale yellow: no value for more than 10s silence; 40 yellow>red "
                    "high: 11, limit above 10 range");
    close_watched(&w);
    open_watched(&w, (const char *const[]){"limits stale 1s", NULL});
    read_one(&w, 0, yd_reading_f64(5, 0));
    read_one(&w, 9, yd_reading_f64(5, 0));
    expect_said(&w, "0 new>green: 5 return; 1 green>stale unknown: no value for more than 1s silence; 9 unknown>green: "
                    "5 return");
    close_watched(&w);
}

static void another_set_counts_from_the_next_value_on(void **state)
{
    (void)state;
    struct watched w;
    open_watched(&w, (const char *const[]){"limits red 0..10", "limits set ascent red 0..100 persist 9", NULL});
    read_one(&w, 0, yd_reading_f64(50, 0));
    assert_true(yd_limits_use(w.limits, YD_STR("ascent")));
    assert_false(yd_limits_use(w.limits, YD_STR("descent")));
    assert_true(yd_str_eq(yd_limits_set(w.limits), YD_STR("ascent")));
    read_one(&w, 1, yd_reading_f64(50, 0));
    assert_true(yd_limits_use(w.limits, YD_STR("")));
    read_one(&w, 2, yd_reading_f64(50, 0));
    expect_said(&w, "0 new>red high: 50, limit above 10 range; 1 red high>green: 50 set; 2 green>red high: 50, limit "
                    "above 10 range");
    struct yd_limit_clause again = parsed("limits set ascent red 0..1");
    assert_int_equal(yd_limits_define(w.limits, &w.rule, &again), YD_EEXIST);
    close_watched(&w);
}

static void a_set_without_limits_ends_what_another_said(void **state)
{
    (void)state;
    struct watched w;
    uint32_t other = YD_LIMIT_NEW;
    open_watched(&w, (const char *const[]){"limits set ascent red 0..10 stale 5s", NULL});
    struct yd_limit_clause orbit = parsed("limits set orbit red 0..1");
    assert_int_equal(yd_limits_define(w.limits, &other, &orbit), 0);
    read_one(&w, 0, yd_reading_f64(50, 0));
    assert_true(yd_limits_use(w.limits, YD_STR("ascent")));
    read_one(&w, 1, yd_reading_f64(50, 0));
    assert_true(yd_limits_use(w.limits, YD_STR("orbit")));
    read_one(&w, 2, yd_reading_f64(50, 0));
    read_one(&w, 20, yd_reading_f64(60, 0));
    assert_true(yd_limits_use(w.limits, YD_STR("ascent")));
    read_one(&w, 21, yd_reading_f64(50, 0));
    expect_said(&w, "1 new>red high: 50, limit above 10 range; 2 red high>green: 50 set; 21 green>red high: 50, limit "
                    "above 10 range");
    close_watched(&w);
}

static void a_clock_that_was_set_back_is_followed_after_a_minute(void **state)
{
    (void)state;
    struct watched w;
    struct yd_limit_change change;
    open_watched(&w, (const char *const[]){"limits red 0..10 persist 2", NULL});
    read_one(&w, 0, yd_reading_f64(5, 0));
    struct yd_reading good = yd_reading_f64(5, 0), bad = yd_reading_f64(50, 0);
    assert_false(yd_limits_update(w.limits, w.item, &good, 3600 * YD_NS_PER_S, 1 * YD_NS_PER_S, &change));
    for (int64_t at = 2; at < 70; at++)
        if (yd_limits_update(w.limits, w.item, &bad, at * YD_NS_PER_S, at * YD_NS_PER_S, &change)) say(&w, &change);
    expect_said(&w, "0 new>green: 5 return; 62 green>red high: 50, limit above 10 range");
    close_watched(&w);
}

static void late_values_and_nan_are_not_judged(void **state)
{
    (void)state;
    struct watched w;
    open_watched(&w, (const char *const[]){"limits red 0..10", NULL});
    read_one(&w, 5, yd_reading_f64(5, 0));
    read_one(&w, 4, yd_reading_f64(50, 0));
    read_one(&w, 6, yd_reading_f64(NAN, 0));
    expect_said(&w, "5 new>green: 5 return");
    close_watched(&w);
}

static void many_fall_silent_in_their_order_and_saved_ones_go_on(void **state)
{
    (void)state;
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    enum { ITEMS = 50 };
    for (int round = 0; round < 40; round++) {
        struct yd_limits *limits;
        uint32_t rules[3] = {YD_LIMIT_NEW, YD_LIMIT_NEW, YD_LIMIT_NEW}, items[ITEMS];
        int64_t heard[ITEMS], now = 0;
        bool known[ITEMS] = {false}, stale[ITEMS] = {false};
        struct yd_buf saved;
        yd_buf_init(&saved, NULL);
        assert_int_equal(yd_limits_create(NULL, &limits), 0);
        for (int i = 0; i < 3; i++) {
            char text[60];
            (void)snprintf(text, sizeof text, "limits red 0..10 persist 3 stale %ds", 2 + i * 3);
            struct yd_limit_clause clause = parsed(text);
            assert_int_equal(yd_limits_define(limits, &rules[i], &clause), 0);
        }
        for (int i = 0; i < ITEMS; i++) assert_int_equal(yd_limits_watch(limits, rules[i % 3], &items[i]), 0);
        for (int step = 0; step < 400; step++) {
            struct yd_limit_change change;
            now += (int64_t)yd_rng_below(&rng, 300 * YD_NS_PER_MS);
            for (;;) {
                int due = -1;
                int64_t first = INT64_MAX;
                for (int i = 0; i < ITEMS; i++) {
                    int64_t deadline = heard[i] + (2 + i % 3 * 3) * YD_NS_PER_S;
                    if (!known[i] || stale[i] || deadline > now || deadline >= first) continue;
                    first = deadline;
                    due = i;
                }
                assert_int_equal(yd_limits_silent(limits, now, &change), due >= 0);
                if (due < 0) break;
                assert_int_equal(change.time_ns, first);
                assert_true(change.stale);
                int who = 0;
                while (items[who] != change.item) who++;
                stale[who] = true;
            }
            int who = (int)yd_rng_below(&rng, ITEMS);
            if (yd_rng_chance(&rng, 10)) { /* away and back, as after a restart */
                yd_buf_clear(&saved);
                yd_limits_save(limits, items[who], &saved);
                yd_limits_unwatch(limits, items[who]);
                assert_int_equal(yd_limits_watch(limits, rules[who % 3], &items[who]), 0);
                assert_int_equal(yd_limits_load(limits, items[who], yd_buf_view(&saved)), 0);
                saved.data[8] ^= 1;
                uint32_t other;
                assert_int_equal(yd_limits_watch(limits, rules[who % 3], &other), 0);
                assert_int_equal(yd_limits_load(limits, other, yd_buf_view(&saved)), YD_EINVAL);
                assert_int_equal(yd_limits_load(limits, other, (struct yd_str){saved.data, saved.size - 1}),
                                 YD_EFORMAT);
                yd_limits_unwatch(limits, other);
            }
            struct yd_reading reading = yd_reading_f64(1, 0);
            (void)yd_limits_update(limits, items[who], &reading, now, now, &change);
            heard[who] = now;
            known[who] = true;
            stale[who] = false;
        }
        yd_buf_fini(&saved);
        yd_limits_destroy(limits);
    }
}

static void without_memory_nothing_is_left_behind(void **state)
{
    (void)state;
    struct yd_limit_clause clause = parsed("limits set a red is \"FAULT\", \"OFF\" yellow 0..1");
    for (uint64_t at = 1;; at++) {
        struct yd_alloc_failing failing;
        struct yd_limits *limits = NULL;
        uint32_t rule = YD_LIMIT_NEW, item;
        yd_alloc_failing_init(&failing, at);
        int error = yd_limits_create(&failing.alloc, &limits);
        if (error == 0) error = yd_limits_define(limits, &rule, &clause);
        for (int i = 0; i < 70 && error == 0; i++) error = yd_limits_watch(limits, rule, &item);
        yd_limits_destroy(limits);
        assert_int_equal(failing.bytes_out, 0);
        if (error == 0) break;
        assert_int_equal(error, YD_ENOMEM);
        assert_true(at < 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clause_says_ranges_values_persistence_hysteresis_and_silence),
        cmocka_unit_test(each_mistake_in_a_clause_has_its_place),
        cmocka_unit_test(values_at_the_ends_are_inside_and_beyond_them_outside),
        cmocka_unit_test(a_change_must_persist_and_becomes_what_all_of_the_run_were_beyond),
        cmocka_unit_test(hysteresis_keeps_a_state_until_well_inside),
        cmocka_unit_test(a_rate_or_a_step_too_large_is_an_alarm),
        cmocka_unit_test(words_and_truth_values_alarm),
        cmocka_unit_test(silence_is_told_once_when_it_was_due_and_the_next_value_ends_it),
        cmocka_unit_test(another_set_counts_from_the_next_value_on),
        cmocka_unit_test(a_set_without_limits_ends_what_another_said),
        cmocka_unit_test(a_clock_that_was_set_back_is_followed_after_a_minute),
        cmocka_unit_test(late_values_and_nan_are_not_judged),
        cmocka_unit_test(many_fall_silent_in_their_order_and_saved_ones_go_on),
        cmocka_unit_test(without_memory_nothing_is_left_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
