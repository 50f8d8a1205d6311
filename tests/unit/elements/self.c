/* Self: its reports are as large as the topology, and leave it out. */
#include "tested.h"

static uint32_t lines_of(const char *text)
{
    uint32_t count = 0;
    for (; *text; text = strchr(text, '\n') + 1) count++;
    return count;
}

static void a_report_tells_inputs_outputs_and_wires(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    t.listen_to = "self";
    tested_start(&t, "self :: Self(every: 1s) -> Null()\n"
                     "s :: Lines(path: \"none\", follow: true) -> f :: Filter(match: \"a\") -> n :: Null()\n");
    tested_feed(&t, "f", samples("a", 1, 5));
    tested_feed(&t, "f", samples("b", 1, 2));
    tested_run(&t, 3500 * YD_NS_PER_MS);
    assert_int_equal(t.emitted, 3);
    const char *out = tested_out(&t);
    static const char *const parts[] = {"self.output DELTA yarder.input.received element=f,input=input 7\n",
                                        "self.output DELTA yarder.input.consumed element=f,input=input 7\n",
                                        "self.output SAMPLE yarder.input.queued element=f,input=input 0\n",
                                        "self.output DELTA yarder.output.records element=f,output=output 5\n",
                                        "self.output DELTA yarder.wire.records from=f,to=n 5\n",
                                        "self.output DELTA yarder.crashes element=f 0\n"};
    for (size_t i = 0; i < YD_COUNT(parts); i++)
        if (!strstr(out, parts[i])) fail_msg("'%s' is not in:\n%s", parts[i], out);
    assert_null(strstr(out, "element=self"));
    assert_null(strstr(out, "from=self"));
    tested_close(&t);
}

static void a_report_is_no_larger_than_the_topology_makes_it_whatever_the_traffic(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    t.listen_to = "self";
    /* It counts what comes of its own records, and still does not grow. */
    tested_start(&t, "self :: Self(every: 1s) -> log :: Log(stream: \"x\") -> f :: Filter() -> n :: Null()\n");
    tested_run(&t, 1500 * YD_NS_PER_MS);
    uint32_t first = lines_of(tested_out(&t));
    assert_true(first > 10);
    for (int i = 0; i < 20; i++) {
        for (int j = 0; j < i; j++) tested_feed(&t, "log", samples("a", j, 100));
        tested_run(&t, YD_NS_PER_S);
        uint32_t lines = lines_of(tested_out(&t));
        assert_in_range(lines, first, first + 2 * 3 * 3); /* at most three of each of two times of the three inputs */
    }
    tested_close(&t);
}

static void a_large_topology_is_reported_whole(void **state)
{
    (void)state;
    enum { CHAINS = 1500 };
    struct tested t;
    struct yd_buf text;
    yd_buf_init(&text, NULL);
    yd_buf_cstr(&text, "self :: Self(every: 1s) -> Null()\ns :: Lines(path: \"none\", follow: true)\n");
    for (int i = 0; i < CHAINS; i++)
        yd_buf_printf(&text, "s -> an_element_with_a_long_name_%d :: Filter() -> Null()\n", i);
    tested_open(&t);
    t.listen_to = "self";
    tested_start(&t, text_of(&text));
    yd_buf_fini(&text);
    tested_run(&t, 2500 * YD_NS_PER_MS);
    const char *out = tested_out(&t);
    uint32_t crashes = 0;
    for (const char *at = out; *at; at = strchr(at, '\n') + 1)
        crashes += strncmp(at, "self.output DELTA yarder.crashes ", 33) == 0;
    assert_int_equal(crashes, 2 * (2 * CHAINS + 2)); /* two reports; each Null has a name of its own */
    assert_null(strstr(t.said, "no room"));
    tested_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_report_tells_inputs_outputs_and_wires),
        cmocka_unit_test(a_report_is_no_larger_than_the_topology_makes_it_whatever_the_traffic),
        cmocka_unit_test(a_large_topology_is_reported_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
