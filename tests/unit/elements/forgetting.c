/* What is forgotten behind a Log: Forget -> Log -> History, through crashes, beside a plain model. */
#include "tested.h"

#include "elements/ask.h"
#include "flow/runtime.h"
#include "log/mend.h"

/* ---- who asks: emits the answers; an error as what it is ---- */

static enum yd_turn_result ask_receive(void *state, struct yd_input *input, struct yd_out *out)
{
    (void)state;
    if (input->type == YD_INPUT_BATCH) return yd_ask(out, 2, yd_batch_ref(input->batch), 1, 0), YD_DONE;
    bool is_answer = input->type == YD_INPUT_REPLY || input->type == YD_INPUT_ERROR;
    if (is_answer && input->batch) (void)yd_emit(out, 1, yd_batch_ref(input->batch));
    return YD_DONE;
}

static const struct yd_port_class ask_ports[] = {
    {.name = "input", .direction = YD_IN, .mode = YD_PUSH, .kinds = YD_KINDS_ALL, .doc = "Questions."},
    {.name = "output", .direction = YD_OUT, .mode = YD_PUSH, .kinds = YD_KINDS_ALL, .doc = "Answers."},
    {.name = "query", .direction = YD_OUT, .mode = YD_QUERY, .schema = "rows,series", .doc = "Who answers."},
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

static const char topology[] = "g :: Graphite(listen: \"127.0.0.1:1\") -> f :: Forget() -> l :: Log(stream: \"l\") -> "
                               "h :: History(checkpoint: 200ms)\n"
                               "i :: Graphite(listen: \"127.0.0.1:2\") -> a :: Asker() -> Null()\na.query => h.query\n"
                               "j :: Graphite(listen: \"127.0.0.1:3\") -> b :: Asker() -> Null()\nb.query => f.query\n";

/* ---- in and out ---- */

static struct yd_batch *points(const char *name, int64_t first_s, uint32_t count, int64_t value)
{
    struct yd_builder *builder;
    struct yd_batch *batch;
    uint32_t at;
    assert_int_equal(yd_builder_create(NULL, &builder), 0);
    assert_int_equal(yd_builder_name(builder, yd_str_of(name), &at), 0);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(yd_builder_add(builder, (first_s + i) * YD_NS_PER_S, at, YD_SAMPLE, YD_I64, 0,
                                        (union yd_value){.i64 = value + i}),
                         0);
    assert_int_equal(yd_builder_seal(builder, &batch), 0);
    yd_builder_destroy(builder);
    return batch;
}

static struct yd_batch *tombstone(const char *match, uint64_t until_seqno, int64_t until_time)
{
    struct yd_tombstone what = {.names = yd_str_of(match), .until_seqno = until_seqno, .until_time = until_time};
    struct yd_batch *batch;
    assert_int_equal(yd_tombstone_batch(&what, 1, &batch), 0);
    return batch;
}

static struct yd_batch *question(const char *op, const char *match)
{
    struct yd_builder *builder;
    struct yd_batch *batch;
    uint32_t at;
    assert_int_equal(yd_builder_create(NULL, &builder), 0);
    assert_int_equal(yd_builder_name(builder, YD_STR("q"), &at), 0);
    assert_int_equal(yd_builder_begin(builder, 1, at, YD_ROW, 0, YD_MAP), 0);
    assert_int_equal(yd_builder_cell_bytes(builder, YD_STR("op"), YD_TEXT, yd_str_of(op)), 0);
    assert_int_equal(yd_builder_cell_bytes(builder, YD_STR("match"), YD_TEXT, yd_str_of(match)), 0);
    assert_int_equal(yd_builder_end(builder), 0);
    assert_int_equal(yd_builder_seal(builder, &batch), 0);
    yd_builder_destroy(builder);
    return batch;
}

/* The values that are answered, by time: " 1 2 3". */
static const char *values_of_series(struct tested *t, const struct yd_series_query *query)
{
    static char values[65536];
    struct yd_ask ask = {.op = YD_ASK_SERIES, .series = *query};
    struct yd_batch *batch;
    size_t size = 0;
    assert_int_equal(yd_aggregator_find(YD_STR("none"), &ask.series.aggregator), 0);
    assert_int_equal(yd_ask_encode(&ask, &batch), 0);
    t->listen_to = "a";
    (void)tested_out(t);
    tested_feed(t, "a", batch);
    tested_run(t, 100 * YD_NS_PER_MS);
    values[0] = 0;
    for (const char *line = strstr(tested_out(t), "a.output SAMPLE "); line;
         line = strstr(line + 1, "a.output SAMPLE ")) {
        const char *end = strchr(line, '\n'), *value = end;
        while (value[-1] != ' ') value--;
        size += (size_t)snprintf(values + size, sizeof values - size, " %.*s", (int)(end - value), value);
    }
    return values;
}

/* Those that the history has of a metric with one series. */
static const char *values_of(struct tested *t, const char *metric)
{
    return values_of_series(
        t, &(struct yd_series_query){.end_ns = INT64_MAX / 2, .metric = yd_str_of(metric), .none = true});
}

/* How many they are. */
static const char *count_of(struct tested *t, const char *metric)
{
    struct yd_series_query query = {
        .end_ns = INT64_MAX / 2, .metric = yd_str_of(metric), .none = true, .downsample.interval_ns = INT64_MAX};
    assert_int_equal(yd_aggregator_find(YD_STR("count"), &query.downsample.aggregator), 0);
    return values_of_series(t, &query);
}

#define FUTURE INT64_C(4102444800) /* the year 2100 */

static void what_forget_tells_behind_a_log_is_gone_from_the_history_for_good(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    tested_start(&t, topology);
    tested_feed(&t, "f", points("one x=a", 1, 5, 1));
    tested_feed(&t, "f", points("one x=a", FUTURE, 2, 90));
    tested_feed(&t, "f", points("two x=a", 1, 5, 1));
    tested_feed(&t, "f", points("all x=a", 1, 5, 1));
    tested_run(&t, YD_NS_PER_S);
    assert_string_equal(values_of(&t, "one"), " 1 2 3 4 5 90 91");
    tested_feed(&t, "b", question("forget", "one"));
    tested_feed(&t, "b", question("forget", "all x=a"));
    tested_run(&t, YD_NS_PER_S);
    for (int turn = 0; turn < 3; turn++) {
        assert_string_equal(values_of(&t, "one"), " 90 91");
        assert_string_equal(values_of(&t, "two"), " 1 2 3 4 5");
        assert_string_equal(values_of(&t, "all"), "");
        if (turn == 0) tested_run(&t, YD_NS_PER_S);
        if (turn == 0) tested_crash(&t);
        if (turn == 1) tested_drain(&t);
        if (turn == 1) tested_stop(&t);
        if (turn < 2) tested_start(&t, topology);
        tested_run(&t, YD_NS_PER_S);
    }
    tested_feed(&t, "f", points("one x=a", 3, 1, 33)); /* older than what was forgotten, and later: it counts */
    tested_feed(&t, "f", points("all x=a", 3, 1, 33));
    tested_run(&t, YD_NS_PER_S);
    tested_crash(&t);
    tested_start(&t, topology);
    tested_run(&t, YD_NS_PER_S);
    assert_string_equal(values_of(&t, "one"), " 33 90 91");
    assert_string_equal(values_of(&t, "all"), " 33");
    tested_close(&t);
}

static void a_tombstone_by_seqno_is_passed_over_counted_and_said(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    tested_start(&t, topology);
    tested_feed(&t, "l", points("one x=a", 1, 5, 1));
    tested_run(&t, YD_NS_PER_S);
    tested_feed(&t, "l", tombstone("one", 3, INT64_MAX));
    tested_run(&t, YD_NS_PER_S);
    assert_string_equal(values_of(&t, "one"), " 1 2 3 4 5");
    expect_said(&t, "a tombstone with `until` (a seqno) was passed over");
    struct yd_batch *batch;
    assert_int_equal(yd_ask_encode(&(struct yd_ask){.op = YD_ASK_COUNTS}, &batch), 0);
    tested_feed(&t, "a", batch);
    tested_run(&t, 100 * YD_NS_PER_MS);
    assert_non_null(strstr(tested_out(&t), "\"refused_tombstones\":1"));
    tested_feed(&t, "l", tombstone("one", UINT64_MAX, INT64_MAX));
    tested_run(&t, YD_NS_PER_S);
    assert_string_equal(values_of(&t, "one"), "");
    tested_close(&t);
}

/* What stands before a tombstone in its own batch is forgotten, what stands behind it is not. */
static void a_tombstone_counts_where_it_stands_in_its_batch(void **state)
{
    (void)state;
    struct tested t;
    struct yd_builder *builder;
    struct yd_batch *batch;
    uint32_t name, stone;
    tested_open(&t);
    tested_start(&t, topology);
    assert_int_equal(yd_builder_create(NULL, &builder), 0);
    assert_int_equal(yd_builder_name(builder, YD_STR("one x=a"), &name), 0);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(
            yd_builder_add(builder, (i + 1) * YD_NS_PER_S, name, YD_SAMPLE, YD_I64, 0, (union yd_value){.i64 = i}), 0);
        if (i != 1 && i != 3) continue;
        assert_int_equal(yd_builder_name(builder, YD_STR("yarder.tombstone"), &stone), 0);
        assert_int_equal(yd_builder_begin(builder, 1, stone, YD_ROW, 0, YD_MAP), 0);
        assert_int_equal(yd_builder_cell_bytes(builder, YD_STR("names"), YD_TEXT, YD_STR("one")), 0);
        assert_int_equal(yd_builder_cell(builder, YD_STR("until_time"), YD_I64,
                                         (union yd_value){.i64 = (i == 1 ? 9 : 4) * YD_NS_PER_S}),
                         0);
        assert_int_equal(yd_builder_end(builder), 0);
    }
    assert_int_equal(yd_builder_seal(builder, &batch), 0);
    yd_builder_destroy(builder);
    tested_feed(&t, "h", batch); /* no log in front, which would have left it out already */
    tested_run(&t, YD_NS_PER_S);
    assert_string_equal(values_of(&t, "one"), " 3 4 5");
    tested_close(&t);
}

/* Tombstones close upon each other, all through a flush: those that meet it wait for its end. */
static void a_part_of_the_past_is_forgotten_also_while_a_flush_is_under_way(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    tested_start(&t, topology);
    tested_feed(&t, "h", points("one x=a", 1, 1000, 1));
    tested_run(&t, 199 * YD_NS_PER_MS);
    for (int i = 1; i <= 400; i++) {
        tested_feed(&t, "h", tombstone("one", UINT64_MAX, (i + 1) * YD_NS_PER_S));
        tested_run(&t, 20 * YD_NS_PER_US);
    }
    tested_run(&t, YD_NS_PER_S);
    const char *values = values_of(&t, "one");
    assert_memory_equal(values, " 401 402 ", 9);
    tested_crash(&t);
    tested_start(&t, topology);
    tested_run(&t, YD_NS_PER_S);
    assert_memory_equal(values_of(&t, "one"), " 401 402 ", 9);
    tested_close(&t);
}

/* ---- at any moment, beside a model ---- */

#define SERIES 3
#define SLOTS  60

static void expect_model(struct tested *t, int model[SERIES][SLOTS], uint64_t seed)
{
    for (int s = 0; s < SERIES; s++) {
        char metric[16], expected[4096] = "";
        size_t size = 0;
        snprintf(metric, sizeof metric, "m%d", s);
        for (int k = 0; k < SLOTS; k++)
            if (model[s][k]) size += (size_t)snprintf(expected + size, sizeof expected - size, " %d", model[s][k]);
        const char *got = values_of(t, metric);
        if (strcmp(got, expected))
            fail_msg("seed %llu, %s:%s instead of%s", (unsigned long long)seed, metric, got, expected);
    }
}

static void whatever_comes_between_the_history_has_what_was_not_forgotten(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct tested t;
        struct yd_rng rng;
        int model[SERIES][SLOTS] = {{0}}, value = 0;
        yd_rng_init(&rng, seed);
        tested_open(&t);
        t.listen_to = "a";
        tested_start(&t, topology);
        for (int step = 0; step < 150; step++) {
            char name[16], match[16];
            int s = (int)yd_rng_below(&rng, SERIES), at = (int)yd_rng_below(&rng, SLOTS - 8);
            snprintf(name, sizeof name, "m%d x=a", s);
            snprintf(match, sizeof match, "m%d", s);
            if (yd_rng_below(&rng, 6) == 0) {
                tested_feed(&t, "f", tombstone(match, UINT64_MAX, (at + 1) * YD_NS_PER_S));
                for (int k = 0; k < at; k++) model[s][k] = 0;
            } else {
                uint32_t count = 1 + (uint32_t)yd_rng_below(&rng, 8);
                tested_feed(&t, "f", points(name, at + 1, count, value + 1));
                for (uint32_t k = 0; k < count; k++) model[s][at + (int)k] = ++value;
            }
            if (yd_rng_below(&rng, 3)) tested_run(&t, (int64_t)yd_rng_below(&rng, 300 * YD_NS_PER_MS));
            if (yd_rng_below(&rng, 20) == 0) {
                tested_run(&t, 100 * YD_NS_PER_MS); /* durable in the log, and in the history perhaps */
                tested_crash(&t);
                tested_start(&t, topology);
            }
        }
        tested_run(&t, 2 * YD_NS_PER_S);
        expect_model(&t, model, seed);
        tested_crash(&t);
        tested_start(&t, topology);
        tested_run(&t, 2 * YD_NS_PER_S);
        expect_model(&t, model, seed);
        tested_close(&t);
    }
}

/* ---- behind its inputs' end ---- */

/* With more on disk than `memory` allows to be read beforehand: nobody is there to read it when it is asked for. */
static void a_history_whose_inputs_have_ended_still_answers_from_the_disk(void **state)
{
    enum { POINTS = 50000, ROUNDS = 4 };
    (void)state;
    struct tested t;
    struct yd_rng rng;
    yd_rng_init(&rng, 1);
    tested_open(&t);
    tested_start(&t, topology);
    for (int i = 0; i < ROUNDS; i++) {
        struct yd_builder *builder;
        struct yd_batch *batch;
        uint32_t name;
        assert_int_equal(yd_builder_create(&(struct yd_builder_options){.size_max = YD_BATCH_SIZE_MAX}, &builder), 0);
        assert_int_equal(yd_builder_name(builder, YD_STR("much x=a"), &name), 0);
        for (int k = 0; k < POINTS; k++) { /* which hardly compress */
            union yd_value value = {.f64 = (double)(yd_rng_next(&rng) >> 12) * 1.1};
            int64_t time = (int64_t)(i * POINTS + k + 1) * YD_NS_PER_S;
            assert_int_equal(yd_builder_add(builder, time, name, YD_SAMPLE, YD_F64, 0, value), 0);
        }
        assert_int_equal(yd_builder_seal(builder, &batch), 0);
        yd_builder_destroy(builder);
        tested_feed(&t, "h", batch);
    }
    tested_run(&t, YD_NS_PER_S);
    assert_string_equal(count_of(&t, "much"), " 200000");
    tested_drain(&t);
    tested_stop(&t);
    put_file(&t, "a.log", "a line\n");
    tested_start(&t, "Lines(path: \"a.log\") -> Count() -> h :: History(memory: 1MiB)\n"
                     "i :: Graphite(listen: \"127.0.0.1:2\") -> a :: Asker() -> Null()\na.query => h.query\n");
    tested_run(&t, 60 * YD_NS_PER_S); /* Count ends with the checkpoint that stores what it said, and then History */
    assert_string_equal(count_of(&t, "much"), " 200000");
    tested_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_forget_tells_behind_a_log_is_gone_from_the_history_for_good),
        cmocka_unit_test(a_tombstone_by_seqno_is_passed_over_counted_and_said),
        cmocka_unit_test(a_tombstone_counts_where_it_stands_in_its_batch),
        cmocka_unit_test(a_part_of_the_past_is_forgotten_also_while_a_flush_is_under_way),
        cmocka_unit_test(whatever_comes_between_the_history_has_what_was_not_forgotten),
        cmocka_unit_test(a_history_whose_inputs_have_ended_still_answers_from_the_disk),
    };
    return cmocka_run_group_tests_name("elements / forgetting", tests, with_asker, NULL);
}
