/* State: transitions, silence, and what survives. */
#include "tested.h"

#include "elements/classes.h"
#include "flow/runtime.h"

#define NONE        "none :: Lines(path: \"none\", follow: true) -> "
#define STATE(args) NONE "s :: State(" args ") -> Null()\n"

static void an_ok_critical_ok_gives_three_transitions_each_before_its_state(void **state)
{
    (void)state;
    expect_passes(STATE("") "test \"t\" {\n"
                            "  feed s [ { name: \"db host=a\", code: ok, value: \"fine\" } ]\n"
                            "  feed s [ { name: \"db host=a\", code: critical, value: \"gone\" } ]\n"
                            "  feed s [ { name: \"db host=a\", code: ok, value: \"back\" },\n"
                            "           { name: \"db host=a\", code: ok, value: \"still\" } ]\n"
                            "  expect s == [\n"
                            "    { name: \"db host=a\", code: ok, transition: true, stale: false, value: \"fine\" },\n"
                            "    { name: \"db host=a\", code: ok, transition: false, value: \"fine\" },\n"
                            "    { name: \"db host=a\", code: critical, transition: true, value: \"gone\" },\n"
                            "    { name: \"db host=a\", code: critical, transition: false, value: \"gone\" },\n"
                            "    { name: \"db host=a\", code: ok, transition: true, value: \"back\" },\n"
                            "    { name: \"db host=a\", code: ok, transition: false, value: \"back\" },\n"
                            "    { name: \"db host=a\", code: ok, transition: false, value: \"still\" } ]\n}\n");
}

static void silence_gives_one_stale_pair_and_the_next_result_is_a_transition(void **state)
{
    (void)state;
    expect_passes(STATE("") "test \"t\" {\n"
                            "  feed s [ { name: \"a\", code: ok } ]\n  advance 4m\n  expect s count 2\n"
                            "  advance 2m\n"
                            "  expect s == [ { name: \"a\", code: warning, transition: true, stale: true, value: \"No "
                            "results received for more than 5m\" },\n"
                            "                { name: \"a\", code: warning, transition: false, stale: true } ]\n"
                            "  advance 20m\n  expect s empty\n"
                            "  feed s [ { name: \"a\", code: warning } ]\n"
                            "  expect s == [ { transition: true, stale: false, code: warning }, { transition: false, "
                            "stale: false } ]\n}\n");
}

static void freshness_is_by_class_and_the_first_match_counts(void **state)
{
    (void)state;
    expect_passes(STATE("classes: [{ match: \"db.*\", fresh: 10s, status: critical, summary: \"silent\" },\n"
                        "  { match: \"*\", fresh: 0s }]") "test \"t\" {\n"
                                                          "  feed s [ { name: \"db.a\", code: ok }, { name: \"web\", "
                                                          "code: ok } ]\n  expect s count 4\n"
                                                          "  advance 11s\n"
                                                          "  expect s == [ { name: \"db.a\", code: critical, stale: "
                                                          "true, transition: true, value: \"silent\" },\n"
                                                          "                { name: \"db.a\", code: critical, stale: "
                                                          "true, transition: false } ]\n"
                                                          "  advance 10h\n  expect s empty\n}\n");
}

static void other_kinds_pass_by_and_older_results_do_not_count(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    t.listen_to = "s";
    tested_start(&t, STATE(""));
    tested_feed(&t, "s", samples("a", 1, 3));
    assert_int_equal(input_of(&t, "s", "input").consumed, 3);
    expect_out(&t, "");
    tested_close(&t);
    expect_passes(
        STATE("") "test \"t\" {\n"
                  "  feed s [ { name: \"a\", code: ok, time: 1000 }, { name: \"a\", code: critical, time: 999 },\n"
                  "           { name: \"a\", code: warning, time: 1000 } ]\n"
                  "  expect s == [ { code: ok }, { code: ok }, { code: warning }, { code: warning } ]\n"
                  "  feed s [ { name: \"b\", code: ok, time: 9000000000 } ]\n"
                  "  feed s [ { name: \"b\", code: critical } ]\n"
                  "  expect s count 4\n}\n");
}

static void a_tombstone_forgets_names_and_passes(void **state)
{
    (void)state;
    expect_passes(STATE(
        "fresh: 10s") "test \"t\" {\n"
                      "  feed s [ { name: \"a\", code: ok }, { name: \"b x=1\", code: ok }, { name: \"b x=2\", code: "
                      "ok } ]\n  expect s count 6\n"
                      "  feed s [ { name: \"a\", kind: state, tombstone: true },\n"
                      "    { name: \"yarder.tombstone\", kind: row, value: { names: \"b x=1\" } } ]\n"
                      "  expect s == [ { name: \"a\", tombstone: true }, { name: \"yarder.tombstone\" } ]\n"
                      "  advance 20s\n  expect s == [ { name: \"b x=2\", stale: true, transition: true }, { name: "
                      "\"b x=2\" } ]\n}\n");
}

static void names_beyond_the_limit_are_refused_and_known_ones_go_on(void **state)
{
    (void)state;
    expect_passes(STATE("states: 1") "test \"t\" {\n"
                                     "  feed s [ { name: \"a\", code: ok }, { name: \"b\", code: ok }, { name: \"a\", "
                                     "code: ok } ]\n"
                                     "  expect s == [ { name: \"a\" }, { name: \"a\" }, { name: \"a\" } ]\n}\n");
}

static void mistakes_are_refused_before_anything_runs(void **state)
{
    (void)state;
    expect_refused(STATE("classes: [5]"), "classes, number 1: a list of maps");
    expect_refused(STATE("classes: [{ match: \"a\", fersh: 1m }]"), "a class has match, fresh, status and summary");
    expect_refused(STATE("classes: [{ fresh: 1m }]"), "a class needs match");
    expect_refused(STATE("classes: [{ match: \"a\", fresh: 60 }]"), "fresh is a duration");
    expect_refused(STATE("classes: [{ match: \"a\", status: fine }]"), "status is ok, warning");
}

/* ---- a model ---- */

enum { NAMES = 12 };
struct model {
    struct {
        bool known, stale;
        unsigned code;
        int64_t heard;
    } names[NAMES];
    struct yd_buf out;
};

static int64_t fresh_of(int name)
{
    return name % 3 == 0 ? 5 * YD_NS_PER_S : name % 3 == 1 ? 60 * YD_NS_PER_S : 0;
}

static void model_say(struct model *model, int name, bool transition, const char *summary)
{
    for (int i = transition ? 0 : 1; i < 2; i++)
        yd_buf_printf(&model->out, "s.output STATE n%d %u%s%s %s\n", name, model->names[name].code,
                      model->names[name].stale ? " stale" : "", i ? "" : " transition", summary);
}

static void model_silence(struct model *model, int64_t now)
{
    for (;;) {
        int due = -1;
        int64_t first = INT64_MAX;
        for (int at = 0; at < 8; at++) { /* of two due at once, the class that stands first */
            static const int in_order[] = {0, 3, 6, 9, 1, 4, 7, 10};
            int i = in_order[at];
            if (!model->names[i].known || model->names[i].stale || !fresh_of(i)) continue;
            int64_t deadline = model->names[i].heard + fresh_of(i);
            if (deadline > now || deadline >= first) continue;
            first = deadline;
            due = i;
        }
        if (due < 0) return;
        model->names[due].stale = true;
        model->names[due].code = due % 3 == 0 ? 2 : 1;
        model_say(model, due, true, "silent");
    }
}

static struct yd_batch *result(int name, unsigned code, int64_t time, const char *summary)
{
    struct yd_builder *builder;
    struct yd_batch *batch;
    char text[16];
    uint32_t at;
    (void)snprintf(text, sizeof text, "n%d", name);
    assert_int_equal(yd_builder_create(NULL, &builder), 0);
    assert_int_equal(yd_builder_name(builder, yd_str_of(text), &at), 0);
    assert_int_equal(yd_builder_add_bytes(builder, time, at, YD_STATE, YD_TEXT, (uint16_t)code, yd_str_of(summary)), 0);
    assert_int_equal(yd_builder_seal(builder, &batch), 0);
    yd_builder_destroy(builder);
    return batch;
}

#define MODELLED                                                                                                       \
    STATE("classes: [{ match: \"n0\", fresh: 5s, status: critical }, { match: \"n3\", fresh: 5s, status: critical },"  \
          "{ match: \"n6\", fresh: 5s, status: critical }, { match: \"n9\", fresh: 5s, status: critical },"            \
          "{ match: \"n1\", fresh: 60s }, { match: \"n4\", fresh: 60s }, { match: \"n7\", fresh: 60s },"               \
          "{ match: \"n10\", fresh: 60s }], fresh: 0s, summary: \"unused\"")

static void random_results_and_silences_and_restarts_are_as_a_model_says(void **state)
{
    (void)state;
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    for (int round = 0; round < 20; round++) {
        struct tested t;
        struct model model = {0};
        int64_t gone = 0;
        char topology[2048];
        /* Each class says the same when it is silent. */
        const char *from = MODELLED;
        size_t size = 0;
        for (; *from && size < sizeof topology - 32; from++) {
            if (*from == '}' && from[-1] != '{') size += (size_t)sprintf(topology + size, ", summary: \"silent\" ");
            topology[size++] = *from;
        }
        topology[size] = 0;
        yd_buf_init(&model.out, NULL);
        tested_open(&t);
        t.listen_to = "s";
        tested_start(&t, topology);
        for (int step = 0; step < 150; step++) {
            int64_t wait = yd_rng_chance(&rng, 8) ? (int64_t)yd_rng_below(&rng, 90) * YD_NS_PER_S
                                                  : (int64_t)yd_rng_below(&rng, 2000) * YD_NS_PER_MS;
            tested_run(&t, wait);
            gone += wait;
            if (yd_rng_chance(&rng, 30)) { /* down and up again; its clock begins where it began, so it catches up */
                tested_drain(&t);
                gone = yd_sim_now(t.sim);
                tested_stop(&t);
                tested_start(&t, topology);
                tested_run(&t, gone - yd_sim_now(t.sim));
            }
            int64_t now = yd_loop_wall(t.loop);
            int name = (int)yd_rng_below(&rng, NAMES);
            unsigned code = (unsigned)yd_rng_below(&rng, 3);
            model_silence(&model, now);
            bool transition = !model.names[name].known || model.names[name].stale || model.names[name].code != code;
            model.names[name].known = true;
            model.names[name].stale = false;
            model.names[name].code = code;
            model.names[name].heard = now;
            model_say(&model, name, transition, "said");
            tested_feed(&t, "s", result(name, code, now, "said"));
        }
        assert_same_text(text_of(&t.out), text_of(&model.out));
        tested_close(&t);
        yd_buf_fini(&model.out);
    }
}

static void a_restart_in_the_middle_of_silence_gives_one_pair_and_none_after_it(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    t.listen_to = "s";
    tested_start(&t, STATE("fresh: 10s, summary: \"silent\""));
    tested_feed(&t, "s", result(1, 0, yd_loop_wall(t.loop), "up"));
    tested_run(&t, 3 * YD_NS_PER_S);
    expect_out(&t, "s.output STATE n1 0 transition up\ns.output STATE n1 0 up\n");
    tested_crash(&t);
    tested_start(&t, STATE("fresh: 10s, summary: \"silent\""));
    tested_run(&t, 30 * YD_NS_PER_S);
    expect_out(&t, "s.output STATE n1 1 stale transition silent\ns.output STATE n1 1 stale silent\n");
    tested_crash(&t);
    tested_start(&t, STATE("fresh: 10s, summary: \"silent\""));
    tested_run(&t, 90 * YD_NS_PER_S);
    expect_out(&t, "");
    tested_close(&t);
}

/* Behind a Log, read again from its beginning an hour later: judged as it was the first time. */
static void a_backlog_makes_nobody_stale_and_a_gap_in_it_does(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    tested_start(&t, NONE "l :: Log(stream: \"x\") -> Null()\n");
    for (int i = 0; i < 20; i++) {
        tested_feed(&t, "l", result(1, 0, yd_loop_wall(t.loop), "up"));
        tested_run(&t, 8 * YD_NS_PER_S);
    }
    tested_run(&t, 20 * YD_NS_PER_S);
    tested_feed(&t, "l", result(1, 0, yd_loop_wall(t.loop), "up"));
    tested_drain(&t);
    tested_stop(&t);
    t.listen_to = "s";
    t.out.size = 0;
    tested_start(&t,
                 NONE "l :: Log(stream: \"x\") -[from: oldest]-> f :: Filter(match: \"n*\", kinds: [state]) -> s :: "
                      "State(fresh: 10s, summary: \"silent\") -> Null()\n");
    tested_run(&t, YD_NS_PER_S / 2);
    char wanted[2048];
    size_t size = (size_t)sprintf(wanted, "s.output STATE n1 0 transition up\n");
    for (int i = 0; i < 20; i++) size += (size_t)sprintf(wanted + size, "s.output STATE n1 0 up\n");
    size += (size_t)sprintf(wanted + size, "s.output STATE n1 1 stale transition silent\ns.output STATE n1 1 stale "
                                           "silent\ns.output STATE n1 0 transition up\ns.output STATE n1 0 up\n");
    expect_out(&t, wanted);
    tested_close(&t);
}

/* ---- the class by itself ---- */

static const struct yd_arg args[] = {{.name = "fresh", .type = YD_PARAM_DURATION, .i64 = 10 * YD_NS_PER_S},
                                     {.name = "status", .type = YD_PARAM_TEXT, .text = {"warning", 7}},
                                     {.name = "states", .type = YD_PARAM_INT, .i64 = 100}};

static void open_state(struct yd_element *element, struct yd_node *node, void *state)
{
    *node = (struct yd_node){.name = "s", .class = &yd_class_state, .args = {args, 3}};
    *element = (struct yd_element){.node = node, .class = &yd_class_state};
    memset(state, 0, yd_class_state.state_size);
    assert_int_equal(yd_class_state.open(element, state), 0);
}

static struct yd_str saved_of(const void *state)
{
    struct yd_saver saver;
    yd_buf_init(&saver.buf, NULL);
    assert_int_equal(yd_class_state.save(state, 0, &saver), 0);
    return yd_buf_view(&saver.buf);
}

static void bytes_that_were_not_saved_by_it_are_refused_and_saved_ones_come_back_the_same(void **unused)
{
    (void)unused;
    struct tested t;
    struct yd_rng rng;
    struct yd_element element;
    struct yd_node node;
    char *data;
    size_t size;
    yd_rng_init(&rng, test_seed());
    tested_open(&t);
    tested_start(&t, STATE("fresh: 10s"));
    for (int i = 0; i < 5; i++) tested_feed(&t, "s", result(i, (unsigned)i & 3, i, i & 1 ? "text" : ""));
    tested_run(&t, YD_NS_PER_S);
    assert_int_equal(yd_fs_read_all(t.fs, "data/state/s.state", SIZE_MAX / 2, &data, &size), 0);
    tested_close(&t);
    /* The saved part is at the end: found by its form and count. */
    const uint32_t form[2] = {1, 5};
    size_t at = 0;
    while (at + sizeof form < size && memcmp(data + at, form, sizeof form) != 0) at++;
    struct yd_str saved = {data + at, size - at};
    void *state = malloc(yd_class_state.state_size);
    for (size_t part = 0; part <= saved.size; part++) {
        char *copy = malloc(part ? part : 1);
        memcpy(copy, saved.data, part);
        open_state(&element, &node, state);
        int error = yd_class_state.load(state, 0, (struct yd_str){copy, part});
        assert_int_equal(error, part == saved.size ? 0 : YD_EFORMAT);
        if (error == 0) {
            struct yd_str again = saved_of(state);
            assert_true(yd_str_eq(again, saved));
            free((void *)(uintptr_t)again.data);
        }
        yd_class_state.close(state);
        free(copy);
    }
    for (int round = 0; round < 3000; round++) {
        char *copy = malloc(saved.size);
        memcpy(copy, saved.data, saved.size);
        for (int i = 0; i < 3; i++) copy[yd_rng_below(&rng, saved.size)] = (char)yd_rng_next(&rng);
        open_state(&element, &node, state);
        (void)yd_class_state.load(state, 0, (struct yd_str){copy, saved.size}); /* whatever it says */
        yd_class_state.close(state);
        free(copy);
    }
    free(state);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ok_critical_ok_gives_three_transitions_each_before_its_state),
        cmocka_unit_test(silence_gives_one_stale_pair_and_the_next_result_is_a_transition),
        cmocka_unit_test(freshness_is_by_class_and_the_first_match_counts),
        cmocka_unit_test(other_kinds_pass_by_and_older_results_do_not_count),
        cmocka_unit_test(a_tombstone_forgets_names_and_passes),
        cmocka_unit_test(names_beyond_the_limit_are_refused_and_known_ones_go_on),
        cmocka_unit_test(mistakes_are_refused_before_anything_runs),
        cmocka_unit_test(random_results_and_silences_and_restarts_are_as_a_model_says),
        cmocka_unit_test(a_restart_in_the_middle_of_silence_gives_one_pair_and_none_after_it),
        cmocka_unit_test(a_backlog_makes_nobody_stale_and_a_gap_in_it_does),
        cmocka_unit_test(bytes_that_were_not_saved_by_it_are_refused_and_saved_ones_come_back_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
