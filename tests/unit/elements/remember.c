/* Facts, Events, Forget, and the questions that elements which remember answer. */
#include "tested.h"

#include "elements/classes.h"
#include "flow/runtime.h"

/* Asks what it is fed, and emits the answers; an error as a ROW of its text. */
enum { ASK_INPUT, ASK_OUTPUT, ASK_QUERY };

static enum yd_turn_result ask_receive(void *state, struct yd_input *input, struct yd_out *out)
{
    (void)state;
    if (input->type == YD_INPUT_BATCH) return yd_ask(out, ASK_QUERY, yd_batch_ref(input->batch), 1, 0), YD_DONE;
    bool is_answer = input->type == YD_INPUT_REPLY || input->type == YD_INPUT_ERROR;
    if (is_answer && input->batch) (void)yd_emit(out, ASK_OUTPUT, yd_batch_ref(input->batch));
    return YD_DONE;
}

static const struct yd_port_class ask_ports[] = {
    {.name = "input", .direction = YD_IN, .mode = YD_PUSH, .kinds = YD_KINDS_ALL, .doc = "Questions."},
    {.name = "output", .direction = YD_OUT, .mode = YD_PUSH, .kinds = YD_KINDS_ALL, .doc = "Answers."},
    {.name = "query", .direction = YD_OUT, .mode = YD_QUERY, .schema = "rows,facts", .doc = "Who answers."},
    {.name = NULL}};
static const struct yd_element_class ask_class = {.abi = YD_ELEMENT_ABI,
                                                  .name = "Asker",
                                                  .summary = "asks",
                                                  .doc = "Asks.",
                                                  .ports = ask_ports,
                                                  .params = (const struct yd_param_class[]){{.name = NULL}},
                                                  .receive = ask_receive};

static int with_asker(void **state)
{
    static const struct yd_element_class *items[64];
    static struct yd_classes all = {items, 0};
    const struct yd_classes *built_in = yd_builtin_classes();
    (void)state;
    for (size_t i = 0; i < built_in->count; i++) items[i] = built_in->items[i];
    items[built_in->count] = &ask_class;
    all.count = built_in->count + 1;
    tested_classes = &all;
    return 0;
}

#define SOURCE       "g :: Graphite(listen: \"127.0.0.1:1\") -> "
#define ASKED(class) SOURCE "e :: " class " -> Null()\n" SOURCE2 "a :: Asker() -> Null()\na.query => e.query\n"
#define SOURCE2      "h :: Graphite(listen: \"127.0.0.1:2\") -> "

static void facts_are_set_asked_for_searched_and_deleted(void **state)
{
    (void)state;
    expect_passes(ASKED(
        "Facts()") "test \"t\" {\n"
                   "  feed e [ { name: \"os host=a\", kind: fact, value: \"linux\" }, { name: \"cores host=a\", kind: "
                   "fact, value: 8 },\n"
                   "           { name: \"os host=a\", kind: fact, value: \"linux\" }, { name: \"x\", value: 1 } ]\n"
                   "  expect e == [ { name: \"os host=a\", kind: fact, value: \"linux\" }, { name: \"cores host=a\", "
                   "value: 8 } ]\n"
                   "  feed a [ { name: \"q\", kind: row, value: { op: \"fact_get\", name: \"cores host=a\" } } ]\n"
                   "  expect a == [ { name: \"cores host=a\", value: { value: 8 } } ]\n"
                   "  feed a [ { name: \"q\", kind: row, value: { op: \"fact_get\", name: \"none\" } } ]\n"
                   "  expect a == [ { name: \"error\" } ]\n"
                   "  feed a [ { name: \"q\", kind: row, value: { op: \"fact_set\", name: \"os host=b\", value: "
                   "\"bsd\" } } ]\n"
                   "  expect a == [ { name: \"os host=b\", value: { value: \"bsd\" } } ]\n"
                   "  expect e == [ { name: \"os host=b\", kind: fact, value: \"bsd\" } ]\n"
                   "  feed a [ { name: \"q\", kind: row, value: { op: \"facts\", match: \"os\" } } ]\n"
                   "  expect a == [ { name: \"os host=a\" }, { name: \"os host=b\" } ]\n"
                   "  feed a [ { name: \"q\", kind: row, value: { op: \"facts\", match: \"*\", max: 2 } } ]\n"
                   "  expect a == [ { name: \"error\", value: \"more than 2 match: narrow `match`\" } ]\n"
                   "  feed a [ { name: \"q\", kind: row, value: { op: \"fact_delete\", match: \"os\" } } ]\n"
                   "  expect a == [ { name: \"facts\", value: { deleted: 2 } } ]\n"
                   "  feed e [ { name: \"cores host=a\", kind: fact, tombstone: true } ]\n"
                   "  feed a [ { name: \"q\", kind: row, value: { op: \"facts\" } } ]\n"
                   "  expect a empty\n"
                   "  feed a [ { name: \"q\", kind: row, value: { op: \"states\" } } ]\n"
                   "  expect a == [ { value: \"there is no question 'states' here: there is facts, fact_get, "
                   "fact_set, fact_delete\" } ]\n}\n");
}

static void states_and_windows_answer_what_they_have(void **state)
{
    (void)state;
    expect_passes(
        ASKED("State(fresh: 10s)") "test \"t\" {\n"
                                   "  feed e [ { name: \"db\", code: critical, value: \"gone\" }, { name: \"web\", "
                                   "code: ok } ]\n"
                                   "  feed a [ { name: \"q\", kind: row, value: { op: \"states\", match: \"db\" } } ]\n"
                                   "  expect a == [ { name: \"db\", value: { code: \"CRITICAL\", stale: false, "
                                   "summary: \"gone\" } } ]\n"
                                   "  advance 1m\n  feed a [ { name: \"q\", kind: row, value: { op: \"states\" } } ]\n"
                                   "  expect a == [ { value: { stale: true, code: \"WARNING\" } }, { value: { stale: "
                                   "true } } ]\n}\n");
    expect_passes(
        ASKED("Window(every: 1h)") "test \"t\" {\n  feed e [ { name: \"n\", value: 1 }, { name: \"n\", value: 2 } ]\n"
                                   "  feed a [ { name: \"q\", kind: row, value: { op: \"windows\" } } ]\n"
                                   "  expect a == [ { name: \"n\", value: { n: 2 } } ]\n}\n");
    expect_passes(
        ASKED("Cardinality(rules: [{ match: \"n*\", max: 1 }])") "test \"t\" {\n  feed e [ { name: \"n1\", value: 1 }, "
                                                                 "{ name: \"n2\", value: 2 } ]\n"
                                                                 "  feed a [ { name: \"q\", kind: row, value: { op: "
                                                                 "\"cardinality\" } } ]\n"
                                                                 "  expect a == [ { name: \"n*\", value: { known: 1, "
                                                                 "refused: 1, sample: \"n2\" } } ]\n}\n");
}

static void events_are_bounded_by_count_and_age_and_pass(void **state)
{
    (void)state;
    expect_passes(
        ASKED("Events(count: 2, keep: 1h)") "test \"t\" {\n"
                                            "  feed e [ { name: \"e1\", value: \"one\" }, { name: \"e2\", value: "
                                            "\"two\" }, { name: \"s\", value: 1 },\n"
                                            "           { name: \"e3\", value: \"three\" } ]\n  expect e count 4\n"
                                            "  feed a [ { name: \"q\", kind: row, value: { op: \"events\" } } ]\n"
                                            "  expect a == [ { name: \"e2\", value: { value: \"two\" } }, { name: "
                                            "\"e3\" } ]\n"
                                            "  feed a [ { name: \"q\", kind: row, value: { op: \"events\", match: "
                                            "\"*3\" } } ]\n"
                                            "  expect a == [ { name: \"e3\" } ]\n"
                                            "  feed e [ { name: \"yarder.tombstone\", kind: row, value: { names: "
                                            "\"e2\" } } ]\n"
                                            "  feed a [ { name: \"q\", kind: row, value: { op: \"events\" } } ]\n  "
                                            "expect a count 1\n"
                                            "  advance 2h\n  feed a [ { name: \"q\", kind: row, value: { op: "
                                            "\"events\" } } ]\n  expect a empty\n}\n");
}

static void what_is_forgotten_is_dropped_and_told_on_and_an_ignore_lasts(void **state)
{
    (void)state;
    expect_passes(
        SOURCE
        "e :: Forget(names: [\"debug.*\"]) -> s :: State() -> Null()\n" SOURCE2
        "a :: Asker() -> Null()\na.query => e.query\n"
        "test \"t\" {\n"
        "  feed e [ { name: \"debug.x\", value: 1 }, { name: \"db\", code: ok }, { name: \"web\", code: ok } ]\n"
        "  expect e count 2\n  expect s count 4\n"
        "  feed a [ { name: \"q\", kind: row, value: { op: \"forget\", match: \"db\", kinds: \"state\" } } ]\n"
        "  expect e == [ { name: \"yarder.tombstone\", value: { names: \"db\", kinds: \"STATE\" } } ]\n"
        "  feed e [ { name: \"db\", code: ok }, { name: \"web\", code: ok } ]\n"
        "  expect s == [ { name: \"db\", transition: true }, { name: \"db\" }, { name: \"web\", transition: false } "
        "]\n"
        "  feed a [ { name: \"q\", kind: row, value: { op: \"forget\", match: \"db\", kinds: \"state\", lasting: "
        "true } } ]\n"
        "  feed e [ { name: \"db\", code: ok }, { name: \"db\", value: 5 }, { name: \"web\", code: ok } ]\n"
        "  expect e == [ { name: \"yarder.tombstone\" }, { name: \"db\", value: 5 }, { name: \"web\" } ]\n"
        "  feed a [ { name: \"q\", kind: row, value: { op: \"forget_list\" } } ]\n"
        "  expect a == [ { name: \"debug.*\", value: { dropped: 1 } }, { name: \"db\", value: { dropped: 1 } } ]\n"
        "  feed a [ { name: \"q\", kind: row, value: { op: \"forget_end\", match: \"db\" } } ]\n"
        "  feed e [ { name: \"db\", code: ok } ]\n  expect e count 1\n"
        "  feed e [ { name: \"yarder.tombstone\", kind: row, value: { names: \"web\", lasting: true } } ]\n"
        "  feed e [ { name: \"web\", code: ok } ]\n  expect e == [ { name: \"yarder.tombstone\" } ]\n}\n");
    expect_refused(SOURCE "Forget(names: [5]) -> Null()\n", "names, number 1: not a name pattern");
    expect_refused(SOURCE "Forget(names: [\"a\"], kinds: \"smaple\") -> Null()\n", "kinds: sample, tally");
}

static struct yd_batch *row(const char *name, const char *cells[][2])
{
    struct yd_builder *builder;
    struct yd_batch *batch;
    uint32_t at;
    assert_int_equal(yd_builder_create(NULL, &builder), 0);
    assert_int_equal(yd_builder_name(builder, yd_str_of(name), &at), 0);
    assert_int_equal(yd_builder_begin(builder, 1, at, YD_ROW, 0, YD_MAP), 0);
    for (int i = 0; cells[i][0]; i++)
        assert_int_equal(yd_builder_cell_bytes(builder, yd_str_of(cells[i][0]), YD_TEXT, yd_str_of(cells[i][1])), 0);
    assert_int_equal(yd_builder_end(builder), 0);
    assert_int_equal(yd_builder_seal(builder, &batch), 0);
    yd_builder_destroy(builder);
    return batch;
}

static void what_a_question_set_survives_a_crash(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    t.listen_to = "a";
    tested_start(&t, ASKED("Facts()"));
    tested_feed(&t, "a", row("q", (const char *[][2]){{"op", "fact_set"}, {"name", "k"}, {"value", "v"}, {0}}));
    tested_run(&t, YD_NS_PER_S);
    assert_non_null(strstr(tested_out(&t), "a.output ROW k"));
    tested_crash(&t);
    tested_start(&t, ASKED("Facts()"));
    tested_feed(&t, "a", row("q", (const char *[][2]){{"op", "fact_get"}, {"name", "k"}, {0}}));
    tested_run(&t, YD_NS_PER_S);
    assert_non_null(strstr(tested_out(&t), "a.output ROW k"));
    tested_crash(&t);
    tested_close(&t);

    tested_open(&t);
    t.listen_to = "e";
    tested_start(&t, ASKED("Forget()"));
    tested_feed(&t, "a", row("q", (const char *[][2]){{"op", "forget"}, {"match", "x"}, {0}}));
    tested_feed(&t, "e", row("yarder.tombstone", (const char *[][2]){{"names", "y"}, {0}}));
    tested_run(&t, YD_NS_PER_S);
    tested_close(&t);
}

/* Saved bytes, cut and changed: refused or taken, never read beyond. */
static void bytes_that_were_not_saved_by_them_are_refused(void **state)
{
    (void)state;
    static const char *const topologies[] = {ASKED("Facts()"), ASKED("Events()"), ASKED("Forget()"),
                                             ASKED("Cardinality()")};
    static const struct yd_element_class *const classes[] = {&yd_class_facts, &yd_class_events, &yd_class_forget,
                                                             &yd_class_cardinality};
    static const struct yd_arg args[] = {{.name = "facts", .type = YD_PARAM_INT, .i64 = 100},
                                         {.name = "count", .type = YD_PARAM_INT, .i64 = 100},
                                         {.name = "memory", .type = YD_PARAM_SIZE, .i64 = 1 << 20},
                                         {.name = "series", .type = YD_PARAM_INT, .i64 = 100},
                                         {.name = "groups", .type = YD_PARAM_INT, .i64 = 100}};
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    for (size_t c = 0; c < YD_COUNT(classes); c++) {
        struct tested t;
        char *data;
        size_t size;
        tested_open(&t);
        tested_start(&t, topologies[c]);
        struct yd_node node = {.name = "e", .class = classes[c], .args = {args, YD_COUNT(args)}};
        struct yd_element element = {.node = &node, .class = classes[c]};
        tested_feed(&t, "e", rows("lasting", (const char *const[]){"x", NULL}));
        tested_feed(&t, "e", samples("name", 1, 2));
        tested_feed(&t, "a", row("q", (const char *[][2]){{"op", "fact_set"}, {"name", "k"}, {"value", "v"}, {0}}));
        tested_run(&t, YD_NS_PER_S);
        void *opened = calloc(1, classes[c]->state_size);
        assert_int_equal(yd_fs_read_all(t.fs, "data/state/e.state", SIZE_MAX / 2, &data, &size), 0);
        tested_close(&t);
        for (int round = 0; round < 3000; round++) {
            size_t part = yd_rng_below(&rng, size + 1);
            char *copy = malloc(part ? part : 1);
            memcpy(copy, data + size - part, part); /* the saved part is at the end, wherever it begins */
            for (int i = 0; part && i < round % 4; i++) copy[yd_rng_below(&rng, part)] = (char)yd_rng_next(&rng);
            memset(opened, 0, classes[c]->state_size);
            assert_int_equal(classes[c]->open(&element, opened), 0);
            (void)classes[c]->load(opened, 0, (struct yd_str){copy, part});
            classes[c]->close(opened);
            free(copy);
        }
        free(opened);
        free(data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts_are_set_asked_for_searched_and_deleted),
        cmocka_unit_test(states_and_windows_answer_what_they_have),
        cmocka_unit_test(events_are_bounded_by_count_and_age_and_pass),
        cmocka_unit_test(what_is_forgotten_is_dropped_and_told_on_and_an_ignore_lasts),
        cmocka_unit_test(what_a_question_set_survives_a_crash),
        cmocka_unit_test(bytes_that_were_not_saved_by_them_are_refused),
    };
    return cmocka_run_group_tests(tests, with_asker, NULL);
}
