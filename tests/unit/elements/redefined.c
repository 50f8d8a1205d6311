/* A definition that changes while something is in the way: outputs that are full, an element that cannot take it or
 * has gone, a Decom that has ended. */
#include "tested.h"

#include "elements/classes.h"
#include "flow/runtime.h"

/* ---- Asker: asks what it is fed, and emits the answers ---- */

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
    {.name = "query", .direction = YD_OUT, .mode = YD_QUERY, .schema = "rows", .doc = "Who answers."},
    {.name = NULL}};

/* ---- Holder: gives nothing back for ten seconds ---- */

struct holder {
    uint64_t holds[64];
    unsigned count;
    bool open;
};

static enum yd_turn_result hold_receive(void *opaque, struct yd_input *input, struct yd_out *out)
{
    struct holder *holder = opaque;
    if (input->type == YD_INPUT_START) yd_timer_at(out, 1, input->mono_ns + 10 * YD_NS_PER_S);
    if (input->type == YD_INPUT_BATCH && !holder->open && holder->count < YD_COUNT(holder->holds))
        holder->holds[holder->count++] = yd_hold(out);
    if (input->type != YD_INPUT_TIMER) return YD_DONE;
    holder->open = true;
    while (holder->count) yd_release(out, holder->holds[--holder->count], 0, 0);
    return YD_DONE;
}

static const struct yd_port_class hold_ports[] = {
    {.name = "input", .direction = YD_IN, .mode = YD_PUSH, .kinds = YD_KINDS_ALL, .doc = "All."}, {.name = NULL}};

/* ---- Balky: works by a definition, and takes no other; or crashes over it ---- */

static enum { TAKES, BALKS, CRASHES } balky;

static enum yd_turn_result balk_receive(void *state, struct yd_input *input, struct yd_out *out)
{
    (void)state;
    if (input->type != YD_INPUT_QUERY) return YD_DONE;
    if (balky == CRASHES) return YD_FAIL;
    if (balky == BALKS) return yd_reply_error(out, 0, YD_ENOMEM, "no"), YD_DONE;
    return yd_reply(out, 0, NULL, false), YD_DONE;
}

static int balk_check(const struct yd_args *args, const char *param, struct yd_str text, char *why, size_t why_size)
{
    (void)args, (void)param, (void)text, (void)why, (void)why_size;
    return 0;
}

static const struct yd_port_class balk_ports[] = {
    {.name = "input", .direction = YD_IN, .mode = YD_PUSH, .kinds = YD_KINDS_ALL, .doc = "All."},
    {.name = "query", .direction = YD_IN, .mode = YD_QUERY, .schema = "rows", .doc = "Questions."},
    {.name = NULL}};
static const struct yd_param_class balk_params[] = {
    {.name = "definition", .type = YD_PARAM_TEXT, .flags = YD_PARAM_READS, .doc = "A file."}, {.name = NULL}};

/* ---- Ends: a source that has nothing ---- */

static enum yd_turn_result end_receive(void *state, struct yd_input *input, struct yd_out *out)
{
    (void)state;
    if (input->type == YD_INPUT_START) yd_end(out);
    return YD_DONE;
}

static const struct yd_port_class end_ports[] = {
    {.name = "output", .direction = YD_OUT, .mode = YD_PUSH, .kinds = YD_KINDS_ALL, .doc = "Nothing."}, {.name = NULL}};

static const struct yd_param_class no_params[] = {{.name = NULL}};
static const struct yd_element_class own[] = {
    {.abi = YD_ELEMENT_ABI,
     .name = "Asker",
     .summary = "asks",
     .doc = "Asks.",
     .ports = ask_ports,
     .params = no_params,
     .receive = ask_receive},
    {.abi = YD_ELEMENT_ABI,
     .name = "Holder",
     .summary = "holds",
     .doc = "Holds.",
     .ports = hold_ports,
     .params = no_params,
     .state_size = sizeof(struct holder),
     .receive = hold_receive},
    {.abi = YD_ELEMENT_ABI,
     .name = "Balky",
     .summary = "balks",
     .doc = "Balks.",
     .ports = balk_ports,
     .params = balk_params,
     .check_file = balk_check,
     .receive = balk_receive},
    {.abi = YD_ELEMENT_ABI,
     .flags = YD_CLASS_SOURCE,
     .name = "Ends",
     .summary = "ends",
     .doc = "Ends.",
     .ports = end_ports,
     .params = no_params,
     .receive = end_receive},
};

static int with_own(void **state)
{
    static const struct yd_element_class *items[80];
    static struct yd_classes all = {items, 0};
    const struct yd_classes *built_in = yd_builtin_classes();
    (void)state;
    while (all.count < built_in->count) items[all.count] = built_in->items[all.count], all.count++;
    for (size_t i = 0; i < YD_COUNT(own); i++) items[all.count++] = &own[i];
    tested_classes = &all;
    return 0;
}

/* ---- */

#define ASKED     "g :: Graphite(listen: \"127.0.0.1:1\") -> a :: Asker() -> Null()\na.query => d.query\n"
#define UDP(port) "Udp(listen: \"127.0.0.1:" port "\")"
#define FULL      " -[queue: 64KiB, full: block]-> Holder()\n"
#define BEFORE                                                                                                         \
    "definition r\npacket p\n  x u8 limits red ..1\n  z u8 limits red ..1\nderive sum = p.z + 1\nderive both = p.z\n"
#define AFTER                                                                                                          \
    "definition r\npacket p\n  y u8 limits red ..1\n  z u8 limits red ..1\nderive other = p.z * 2\nderive both = "     \
    "p.z\n"

static void change(struct tested *t, const char *definition)
{
    assert_int_equal(yd_fs_replace(t->fs, "r.ydm", definition, strlen(definition)), 0);
}

static void begin(struct tested *t, const char *text)
{
    balky = TAKES;
    tested_open(t);
    change(t, BEFORE);
    tested_start(t, text);
}

static void packets(struct tested *t, const char *element, uint32_t count)
{
    struct yd_builder *builder;
    struct yd_batch *batch;
    uint32_t name;
    assert_int_equal(yd_builder_create(&(struct yd_builder_options){.size_max = YD_BATCH_SIZE_MAX}, &builder), 0);
    assert_int_equal(yd_builder_name(builder, YD_STR("packet"), &name), 0);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(yd_builder_add_bytes(builder, 5, name, YD_PACKET, YD_BLOB, 0, YD_STR("\7\3")), 0);
    assert_int_equal(yd_builder_seal(builder, &batch), 0);
    yd_builder_destroy(builder);
    tested_feed(t, element, batch);
}

static void reload(struct tested *t)
{
    tested_feed(t, "a", rows("op", (const char *const[]){"reload", NULL}));
    tested_run(t, YD_NS_PER_S);
}

static unsigned times(const char *text, const char *part)
{
    unsigned count = 0;
    while ((text = strstr(text, part))) {
        text += strlen(part);
        count++;
    }
    return count;
}

static void expect_in(const char *text, const char *part)
{
    if (!strstr(text, part)) fail_msg("'%s' is not in: %.3000s", part, text);
}

#define MARK "ROW yarder.definition"

static void a_reload_under_full_outputs_waits_with_its_row_and_crashes_nobody(void **state)
{
    struct tested t;
    (void)state;
    begin(&t, ASKED UDP("5000") " -> d :: Decom(definition: \"r.ydm\")" FULL UDP(
                  "5001") " -> e :: "
                          "Decom(definition: \"r.ydm\")" FULL
                          "Graphite(listen: \"127.0.0.1:2\") -> l :: Limits(definition: \"r.ydm\", pass: true)" FULL);
    for (int i = 0; i < 2; i++) { /* one is on its way and is held, one waits in the wire: it is full */
        packets(&t, "d", 20000);
        packets(&t, "e", 20000);
        tested_feed(&t, "l", samples("r.p.x", 5, 20000));
    }
    tested_run(&t, YD_NS_PER_MS);
    packets(&t, "d", 1); /* waits for the outputs, and is decoded by the definition of its turn */
    assert_int_equal(input_of(&t, "d", "input").queued, 1);
    (void)tested_out(&t);
    change(&t, AFTER);
    reload(&t);
    const char *out = tested_out(&t);
    expect_in(out, "a.output ROW r.ydm");
    assert_null(strstr(out, MARK)); /* it waits */
    assert_null(strstr(out, "no limits any more"));
    assert_int_equal(input_of(&t, "d", "input").queued, 1);
    tested_run(&t, 20 * YD_NS_PER_S);
    out = tested_out(&t);
    assert_int_equal(times(out, "d.output " MARK), 1);
    assert_int_equal(times(out, "e.output " MARK), 1); /* with no packet behind it */
    assert_int_equal(times(out, "r.p.x 3 \"it has no limits any more\""), 0);
    assert_int_equal(times(out, "it has no limits any more"), 2);
    expect_in(strstr(out, "d.output " MARK), "d.output SAMPLE r.p.y 7\n");
    assert_null(strstr(strstr(out, "d.output " MARK), "d.output SAMPLE r.p.x"));
    assert_null(strstr(t.said, "crash"));
    tested_drain(&t);
    tested_close(&t);
}

#define DERIVED                                                                                                        \
    ASKED UDP("5000") " -> d :: Decom(definition: \"r.ydm\") -> v :: Derive(definition: \"r.ydm\") -> Null()\n" UDP(   \
        "5001") " -> b :: Balky(definition: \"r.ydm\")\n"

static void one_who_cannot_take_it_sends_the_others_back(void **state)
{
    struct tested t;
    (void)state;
    begin(&t, DERIVED);
    change(&t, AFTER);
    balky = BALKS;
    reload(&t);
    const char *out = tested_out(&t);
    expect_in(out, "the definition in use goes on: b, which works by it: out of memory");
    expect_in(out, "d.output " MARK); /* what Derive may have made meanwhile is gone */
    expect_in(strstr(out, "d.output " MARK), "r.other");
    assert_null(strstr(out, "r.sum"));
    tested_feed(&t, "v", samples("r.p.z", 5, 1));
    out = tested_out(&t);
    expect_in(out, "v.output SAMPLE r.sum 6");
    assert_null(strstr(out, "r.other"));
    balky = TAKES;
    reload(&t);
    out = tested_out(&t);
    expect_in(out, "a.output ROW r.ydm");
    expect_in(strstr(out, "d.output " MARK), "r.sum");
    tested_feed(&t, "v", samples("r.p.z", 5, 1));
    expect_in(tested_out(&t), "v.output SAMPLE r.other 10");
    tested_drain(&t);
    tested_close(&t);
}

static void one_who_crashes_over_it_holds_nobody_up(void **state)
{
    struct tested t;
    (void)state;
    begin(&t, DERIVED);
    change(&t, AFTER);
    balky = CRASHES;
    tested_feed(&t, "a", rows("op", (const char *const[]){"reload", NULL}));
    tested_run(&t, 40 * YD_NS_PER_MS);
    expect_in(tested_out(&t), "a.output ROW r.ydm");
    tested_feed(&t, "v", samples("r.p.z", 5, 1));
    expect_in(tested_out(&t), "v.output SAMPLE r.other 10");
    change(&t, BEFORE); /* it is being restarted, and reads the file then */
    tested_feed(&t, "a", rows("op", (const char *const[]){"reload", NULL}));
    tested_run(&t, 40 * YD_NS_PER_MS);
    expect_in(tested_out(&t), "a.output ROW r.ydm");
    tested_drain(&t);
    tested_close(&t);
}

static void one_that_has_ended_answers_that_it_reads_nothing_again(void **state)
{
    struct tested t;
    (void)state;
    begin(&t, ASKED "Ends() -> d :: Decom(definition: \"r.ydm\") -> Null()\n");
    tested_run(&t, YD_NS_PER_S);
    for (int i = 0; i < 2; i++) {
        reload(&t);
        expect_in(tested_out(&t), "this element has ended");
    }
    tested_drain(&t);
    tested_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reload_under_full_outputs_waits_with_its_row_and_crashes_nobody),
        cmocka_unit_test(one_who_cannot_take_it_sends_the_others_back),
        cmocka_unit_test(one_who_crashes_over_it_holds_nobody_up),
        cmocka_unit_test(one_that_has_ended_answers_that_it_reads_nothing_again),
    };
    return cmocka_run_group_tests(tests, with_own, NULL);
}
