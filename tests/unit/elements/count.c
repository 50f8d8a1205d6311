/* Count: keys, reports on the clock, and what survives. */
#include "tested.h"

#include "elements/classes.h"
#include "flow/runtime.h"

#define NONE        "s :: Lines(path: \"none\", follow: true) -> "
#define COUNT(args) NONE "c :: Count(" args ") -> Null()\n"

static void start(struct tested *t, const char *text)
{
    tested_open(t);
    t->listen_to = "c";
    tested_start(t, text);
}

static void without_a_key_all_records_are_one_counter(void **state)
{
    (void)state;
    struct tested t;
    start(&t, COUNT(""));
    tested_feed(&t, "c", samples("a", 1, 3));
    tested_feed(&t, "c", samples("b", 1, 4));
    tested_drain(&t);
    expect_out(&t, "c.output TALLY count 7\n");
    tested_close(&t);
}

static void nothing_in_is_nothing_out(void **state)
{
    (void)state;
    struct tested t;
    start(&t, COUNT("every: 1s"));
    tested_run(&t, 5 * YD_NS_PER_S);
    tested_drain(&t);
    expect_out(&t, "");
    tested_close(&t);
}

static void records_are_counted_by_name_tag_or_cell(void **state)
{
    (void)state;
    struct tested t;
    start(&t, COUNT("by: \"name\", metric: \"seen\""));
    tested_feed(&t, "c", samples("cpu host=a", 1, 3));
    tested_feed(&t, "c", samples("b", 1, 2));
    tested_feed(&t, "c", samples("cpu host=a", 1, 1));
    tested_drain(&t);
    expect_out(&t, "c.output TALLY seen name=cpu\\ host\\=a 4\nc.output TALLY seen name=b 2\n");
    tested_close(&t);

    start(&t, COUNT("by: \"tag.host\""));
    tested_feed(&t, "c", samples("cpu host=a\\ b", 1, 3));
    tested_feed(&t, "c", samples("mem host=a\\ b,x=y", 1, 2));
    tested_feed(&t, "c", samples("none", 1, 1));
    tested_drain(&t);
    expect_out(&t, "c.output TALLY count host=a\\ b 5\nc.output TALLY count host= 1\n");
    tested_close(&t);

    start(&t, COUNT("by: \"ext\", metric: \"files\""));
    tested_feed(&t, "c", rows("ext", (const char *const[]){"c", "h", "c", "", "a b", NULL}));
    tested_feed(&t, "c", rows("other", (const char *const[]){"c", NULL}));
    tested_drain(&t);
    expect_out(&t, "c.output TALLY files ext=c 2\nc.output TALLY files ext=h 1\nc.output TALLY files ext= 2\n"
                   "c.output TALLY files ext=a\\ b 1\n");
    tested_close(&t);
}

static void cells_of_any_type_are_keys_as_they_are_printed(void **state)
{
    (void)state;
    expect_passes(COUNT("by: \"k\", every: 1s") "test \"t\" {\n"
                                                "  feed c [ { name: \"r\", kind: row, value: { k: 404 } }, { name: "
                                                "\"r\", kind: row, value: { k: true } }, "
                                                "{ name: \"r\", kind: row, value: { k: \"404\" } } ]\n  advance 1s\n"
                                                "  expect c == [ { name: \"count k=404\", value: 2 }, { name: \"count "
                                                "k=true\", value: 1 } ]\n}\n");
}

static void reports_come_on_the_clock_and_go_on_or_begin_anew(void **state)
{
    (void)state;
    expect_passes(
        COUNT("every: 10s") "test \"t\" {\n"
                            "  feed c [ { name: \"a\", value: 1 }, { name: \"a\", value: 1 } ]\n  expect c empty\n"
                            "  advance 10s\n  expect c == [ { name: \"count\", value: 2, kind: delta } ]\n"
                            "  feed c [ { name: \"a\", value: 1 } ]\n  advance 9s\n  expect c empty\n"
                            "  advance 1s\n  expect c == [ { value: 3 } ]\n"
                            "  advance 20s\n  expect c == [ { value: 3 }, { value: 3 } ]\n}\n");
    expect_passes(COUNT("every: 10s, reset: true") "test \"t\" {\n"
                                                   "  feed c [ { name: \"a\", value: 1 }, { name: \"a\", value: 1 } ]\n"
                                                   "  advance 10s\n  expect c == [ { value: 2 } ]\n"
                                                   "  feed c [ { name: \"a\", value: 1 } ]\n  advance 10s\n  expect c "
                                                   "== [ { value: 1 } ]\n"
                                                   "  advance 10s\n  expect c == [ { value: 0 } ]\n}\n");
}

static void keys_beyond_keys_max_are_rejected_and_known_ones_go_on(void **state)
{
    (void)state;
    struct tested t;
    start(&t, COUNT("by: \"k\", keys_max: 2"));
    tested_feed(&t, "c", rows("k", (const char *const[]){"a", "b", "c", "a", "d", "b", NULL}));
    assert_int_equal(reason_of(&t, "c", "too many keys"), 2);
    assert_int_equal(input_of(&t, "c", "input").consumed, 4);
    tested_drain(&t);
    expect_out(&t, "c.output TALLY count k=a 2\nc.output TALLY count k=b 2\n");
    tested_close(&t);
}

static void keys_that_no_name_can_hold_are_rejected_as_they_come(void **state)
{
    (void)state;
    struct tested t;
    char longest[5001];
    memset(longest, 'x', 5000);
    longest[5000] = 0;
    start(&t, COUNT("by: \"k\", every: 1s"));
    tested_feed(&t, "c", rows("k", (const char *const[]){"a", longest, "b\nc", "a", NULL}));
    tested_run(&t, 3 * YD_NS_PER_S + YD_NS_PER_MS);
    expect_out(&t, "c.output DELTA count k=a 2\nc.output DELTA count k=a 2\nc.output DELTA count k=a 2\n");
    assert_int_equal(reason_of(&t, "c", "key fits no name"), 2);
    assert_int_equal(reason_of(&t, "c", "too many keys"), 0);
    assert_int_equal(input_of(&t, "c", "input").rejected, 2);
    tested_close(&t);
}

static void mistakes_are_refused_before_anything_runs(void **state)
{
    (void)state;
    char *text = malloc(9000);
    expect_refused(COUNT("metric: \"a b\""), "metric: 'a b' is not a name");
    expect_refused(COUNT("metric: \"a b=c\""), "metric: a metric alone");
    expect_refused(COUNT("by: \"tag.\""), "by: tag. of which key?");
    (void)snprintf(text, 9000, COUNT("metric: \"%08000d\""), 1);
    expect_refused(text, "is not a name");
    free(text);
}

/* ---- many keys ---- */

enum { KEYS = 60000 };

static void feed_keys(struct tested *t, int times)
{
    static const char *values[1001];
    static char text[1000][32];
    for (int from = 0; from < KEYS; from += 1000) {
        for (int i = 0; i < 1000; i++) {
            (void)snprintf(text[i], sizeof text[i], "some_longer_key_%d", from + i);
            values[i] = text[i];
        }
        for (int i = 0; i < times; i++) tested_feed(t, "c", rows("k", values));
    }
}

/* Adds up what was said of each key. */
static void add_said(struct tested *t, uint64_t *sums, uint32_t *reports)
{
    static const char front[] = "c.output TALLY count k=some_longer_key_";
    char *end;
    for (const char *at = tested_out(t); *at; at = end + 1) {
        assert_int_equal(strncmp(at, front, sizeof front - 1), 0);
        unsigned long key = strtoul(at + sizeof front - 1, &end, 10);
        assert_true(key < KEYS);
        sums[key] += strtoull(end, &end, 10);
        reports[key]++;
        assert_int_equal(*end, '\n');
    }
}

static void a_report_of_many_keys_takes_several_turns_and_says_each_once(void **state)
{
    (void)state;
    struct tested t;
    uint64_t *sums = calloc(KEYS, sizeof *sums);
    uint32_t *reports = calloc(KEYS, sizeof *reports);
    start(&t, COUNT("by: \"k\""));
    feed_keys(&t, 2);
    tested_drain(&t);
    assert_true(t.emitted > 3);
    add_said(&t, sums, reports);
    for (int i = 0; i < KEYS; i++) {
        assert_int_equal(sums[i], 2);
        assert_int_equal(reports[i], 1);
    }
    tested_close(&t);
    free(sums);
    free(reports);
}

static void an_end_in_the_middle_of_a_report_loses_and_doubles_nothing(void **state)
{
    (void)state;
    uint64_t *sums = calloc(KEYS, sizeof *sums);
    uint32_t *reports = calloc(KEYS, sizeof *reports);
    for (int turns = 0; turns < 12; turns++) {
        struct tested t;
        memset(sums, 0, KEYS * sizeof *sums);
        memset(reports, 0, KEYS * sizeof *reports);
        start(&t, COUNT("by: \"k\", every: 10s, reset: true"));
        feed_keys(&t, 1);
        /* The timer and the source's end in one instant, so many turns apart. */
        while (t.emitted == 0) {
            if (yd_system_step(t.system) <= 0) yd_sim_step(t.sim);
        }
        for (int i = 0; i < turns; i++) (void)yd_system_step(t.system);
        feed_keys(&t, 1);
        tested_drain(&t);
        add_said(&t, sums, reports);
        for (int i = 0; i < KEYS; i++) {
            assert_int_equal(sums[i], 2);
            assert_in_range(reports[i], 1, 2);
        }
        tested_close(&t);
    }
    free(sums);
    free(reports);
}

/* ---- what survives ---- */

static void counters_go_on_after_a_restart(void **state)
{
    (void)state;
    struct tested t;
    start(&t, COUNT("by: \"k\""));
    tested_feed(&t, "c", rows("k", (const char *const[]){"a", "b", "a", "", NULL}));
    tested_drain(&t);
    expect_out(&t, "c.output TALLY count k=a 2\nc.output TALLY count k=b 1\nc.output TALLY count k= 1\n");
    tested_stop(&t);
    tested_start(&t, COUNT("by: \"k\""));
    tested_feed(&t, "c", rows("k", (const char *const[]){"b", NULL}));
    tested_drain(&t);
    expect_out(&t, "c.output TALLY count k=a 2\nc.output TALLY count k=b 2\nc.output TALLY count k= 1\n");
    tested_close(&t);
}

static void a_state_that_was_counted_by_something_else_is_refused(void **state)
{
    (void)state;
    struct tested t;
    struct yd_trail trail = {0};
    start(&t, COUNT("by: \"k\""));
    tested_feed(&t, "c", rows("k", (const char *const[]){"a", NULL}));
    tested_drain(&t);
    tested_stop(&t);
    assert_int_equal(tested_try(&t, COUNT("by: \"name\""), &trail), YD_EINVAL);
    assert_non_null(strstr(yd_trail_text(&trail), "c.state: the state in it was not accepted"));
    tested_stop(&t);
    tested_close(&t);
}

/* The class by itself: an element is no more than its arguments to it. */
static void open_state(struct yd_element *element, struct yd_node *node, const struct yd_arg *args, void *state)
{
    *node = (struct yd_node){.name = "c", .class = &yd_class_count, .args = {args, 4}};
    *element = (struct yd_element){.node = node, .class = &yd_class_count};
    memset(state, 0, yd_class_count.state_size);
    assert_int_equal(yd_class_count.open(element, state), 0);
}

static struct yd_str saved_of(const void *state)
{
    struct yd_saver saver;
    yd_buf_init(&saver.buf, NULL);
    assert_int_equal(yd_class_count.save(state, 0, &saver), 0);
    return yd_buf_view(&saver.buf);
}

static void bytes_that_were_not_saved_by_it_are_refused_and_saved_ones_come_back_the_same(void **state)
{
    (void)state;
    static const struct yd_arg args[] = {{.name = "by", .type = YD_PARAM_TEXT, .text = {"k", 1}},
                                         {.name = "metric", .type = YD_PARAM_TEXT, .text = {"m", 1}},
                                         {.name = "keys_max", .type = YD_PARAM_INT, .i64 = 100},
                                         {.name = "reset", .type = YD_PARAM_BOOL}};
    struct yd_rng rng;
    struct yd_element element;
    struct yd_node node;
    void *count = malloc(yd_class_count.state_size), *other = malloc(yd_class_count.state_size);
    yd_rng_init(&rng, test_seed());
    open_state(&element, &node, args, count);
    struct yd_batch *batch = rows("k", (const char *const[]){"a", "bb", "a", "", "a longer one", NULL});
    struct yd_input input = {.type = YD_INPUT_BATCH, .batch = batch};
    assert_int_equal(yd_class_count.receive(count, &input, NULL), YD_DONE);
    yd_batch_unref(batch);
    struct yd_str saved = saved_of(count);
    for (size_t size = 0; size <= saved.size; size++) {
        char *copy = malloc(size + 1); /* of just this size, so that reading beyond shows */
        copy = realloc(copy, size ? size : 1);
        memcpy(copy, saved.data, size);
        open_state(&element, &node, args, other);
        int error = yd_class_count.load(other, 0, (struct yd_str){copy, size});
        assert_true(error == 0 || error == YD_EFORMAT);
        if (size == saved.size) {
            assert_int_equal(error, 0);
            struct yd_str again = saved_of(other);
            assert_true(yd_str_eq(again, saved));
            free((void *)(uintptr_t)again.data);
        }
        yd_class_count.close(other);
        free(copy);
    }
    for (int round = 0; round < 2000; round++) {
        char *copy = malloc(saved.size);
        memcpy(copy, saved.data, saved.size);
        for (int i = 0; i < 3; i++) copy[yd_rng_below(&rng, saved.size)] = (char)yd_rng_next(&rng);
        open_state(&element, &node, args, other);
        (void)yd_class_count.load(other, 0, (struct yd_str){copy, saved.size}); /* whatever it says */
        yd_class_count.close(other);
        free(copy);
    }
    free((void *)(uintptr_t)saved.data);
    yd_class_count.close(count);
    free(count);
    free(other);
}

static void behind_a_log_power_cuts_neither_lose_nor_double_a_count(void **state)
{
    (void)state;
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    for (int round = 0; round < 10; round++) {
        struct tested t;
        char wanted[64];
        int fed = 0;
        tested_open(&t);
        tested_start(&t, NONE "l :: Log(stream: \"x\") -> Null()\n");
        for (int i = 0; i < 300; i++) {
            int size = 1 + (int)yd_rng_below(&rng, 50);
            tested_feed(&t, "l", samples("a", i, (uint32_t)size));
            fed += size;
        }
        tested_drain(&t);
        tested_stop(&t);
        t.listen_to = "c";
        for (int cut = 0; cut < 6; cut++) {
            tested_start(&t, NONE "l :: Log(stream: \"x\") -[queue: 64KiB]-> c :: Count(every: 20ms) -> Null()\n");
            tested_run(&t, (int64_t)yd_rng_below(&rng, (uint64_t)(300 * YD_NS_PER_MS)));
            tested_crash(&t);
        }
        tested_start(&t, NONE "l :: Log(stream: \"x\") -> c :: Count(every: 20ms) -> Null()\n");
        t.out.size = 0;
        tested_drain(&t);
        const char *said = tested_out(&t), *last = said;
        for (const char *at = said; *at; at = strchr(at, '\n') + 1) last = at;
        (void)snprintf(wanted, sizeof wanted, "c.output DELTA count %d\n", fed);
        assert_string_equal(last, wanted);
        tested_close(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_key_all_records_are_one_counter),
        cmocka_unit_test(nothing_in_is_nothing_out),
        cmocka_unit_test(records_are_counted_by_name_tag_or_cell),
        cmocka_unit_test(cells_of_any_type_are_keys_as_they_are_printed),
        cmocka_unit_test(reports_come_on_the_clock_and_go_on_or_begin_anew),
        cmocka_unit_test(keys_beyond_keys_max_are_rejected_and_known_ones_go_on),
        cmocka_unit_test(keys_that_no_name_can_hold_are_rejected_as_they_come),
        cmocka_unit_test(mistakes_are_refused_before_anything_runs),
        cmocka_unit_test(a_report_of_many_keys_takes_several_turns_and_says_each_once),
        cmocka_unit_test(an_end_in_the_middle_of_a_report_loses_and_doubles_nothing),
        cmocka_unit_test(counters_go_on_after_a_restart),
        cmocka_unit_test(a_state_that_was_counted_by_something_else_is_refused),
        cmocka_unit_test(bytes_that_were_not_saved_by_it_are_refused_and_saved_ones_come_back_the_same),
        cmocka_unit_test(behind_a_log_power_cuts_neither_lose_nor_double_a_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
