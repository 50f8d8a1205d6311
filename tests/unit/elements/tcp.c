/* Tcp on the simulated network: packets of those who connect, and of one that is connected to. */
#include "tested.h"

static void lend(void *arg, char **ret_to, size_t *ret_size)
{
    static char room[64];
    (void)arg;
    *ret_to = room;
    *ret_size = sizeof room;
}

static void got(void *arg, size_t size)
{
    (void)arg, (void)size;
}

static void ended(void *arg, int error)
{
    struct yd_stream **stream = arg;
    (void)error;
    yd_stream_close(*stream);
    *stream = NULL;
}

static const struct yd_stream_ops ops = {.room = lend, .data = got, .ended = ended};

static struct yd_address address_of(const char *text)
{
    struct yd_address at;
    struct yd_trail trail = {0};
    assert_int_equal(yd_address_parse(yd_str_of(text), &at, &trail), 0);
    return at;
}

static void who_connects_sends_packets_in_any_pieces(void **state)
{
    (void)state;
    for (uint32_t small = 0; small < 2; small++) {
        struct tested t;
        struct yd_stream *stream;
        struct yd_address at = address_of("127.0.0.1:5001");
        struct yd_trail trail = {0};
        tested_open(&t);
        t.listen_to = "e";
        tested_start(&t, "e :: Tcp(listen: \"127.0.0.1:5001\", framing: \"slip\", name: \"p\") -> Null()\n");
        tested_run(&t, YD_NS_PER_MS);
        yd_sim_net_faults(t.sim)->small_read = small;
        assert_int_equal(yd_connect(t.loop, &at, &ops, &stream, &stream, &trail), 0);
        assert_int_equal(yd_stream_write(stream, YD_STR("\xc0"
                                                        "ab\xc0\xdbx\xc0"
                                                        "cd\xdb\xdc\xc0half")),
                         0);
        yd_stream_shutdown(stream);
        tested_run(&t, 10 * YD_NS_PER_S);
        expect_out(&t, "e.output PACKET p 6162\ne.output PACKET p 6364c0\n");
        assert_int_equal(reason_of(&t, "e", "badly stuffed"), 1);
        assert_int_equal(reason_of(&t, "e", "cut short: the stream ended inside"), 1);
        tested_drain(&t);
        if (stream) yd_stream_close(stream);
        tested_close(&t);
    }
}

static struct yd_stream *accepted;

static void on_accept(void *arg, struct yd_stream *stream, const struct yd_address *peer)
{
    (void)arg, (void)peer;
    accepted = stream;
    yd_stream_start(stream, &ops, &accepted);
}

static void who_is_connected_to_is_tried_again(void **state)
{
    static const struct yd_listener_ops listener_ops = {.accept = on_accept};
    struct tested t;
    struct yd_listener *listener;
    struct yd_address at = address_of("127.0.0.1:5001");
    struct yd_trail trail = {0};
    (void)state;
    accepted = NULL;
    tested_open(&t);
    t.listen_to = "e";
    tested_start(&t, "e :: Tcp(connect: \"127.0.0.1:5001\", framing: \"lines\", retry_max: 1s) -> Null()\n");
    tested_run(&t, 10 * YD_NS_PER_S);
    expect_said(&t, "again and again");
    assert_int_equal(yd_listen(t.loop, &at, &listener_ops, NULL, &listener, &trail), 0);
    for (int i = 0; i < 2; i++) {
        tested_run(&t, 5 * YD_NS_PER_S);
        assert_non_null(accepted);
        assert_int_equal(yd_stream_write(accepted, YD_STR("one\nlast")), 0);
        yd_stream_shutdown(accepted);
        tested_run(&t, YD_NS_PER_S / 20);
        if (accepted) yd_stream_close(accepted);
        accepted = NULL;
        expect_out(&t, "e.output PACKET packet 6f6e65\ne.output PACKET packet 6c617374\n");
    }
    yd_listener_close(listener);
    tested_drain(&t);
    if (accepted) yd_stream_close(accepted);
    tested_close(&t);
}

static void a_silent_one_that_is_connected_to_is_left_and_tried_again(void **state)
{
    static const struct yd_listener_ops listener_ops = {.accept = on_accept};
    struct tested t;
    struct yd_listener *listener;
    struct yd_address at = address_of("127.0.0.1:5001");
    struct yd_trail trail = {0};
    (void)state;
    accepted = NULL;
    tested_open(&t);
    t.listen_to = "e";
    tested_start(&t, "e :: Tcp(connect: \"127.0.0.1:5001\", framing: \"lines\", idle: 4s, retry_max: 1s) -> Null()\n");
    assert_int_equal(yd_listen(t.loop, &at, &listener_ops, NULL, &listener, &trail), 0);
    tested_run(&t, 5 * YD_NS_PER_S);
    for (int i = 0; i < 10; i++) { /* as long as something comes it stays */
        tested_run(&t, YD_NS_PER_S);
        assert_non_null(accepted);
        assert_int_equal(yd_stream_write(accepted, YD_STR("x\n")), 0);
    }
    const struct yd_stream *before = accepted;
    tested_run(&t, 3 * YD_NS_PER_S);
    assert_ptr_equal(accepted, before);
    tested_run(&t, 2100 * YD_NS_PER_MS);
    expect_said(&t, "silent for longer");
    tested_run(&t, YD_NS_PER_S);
    assert_non_null(accepted); /* it is there again */
    assert_int_equal(yd_stream_write(accepted, YD_STR("again\n")), 0);
    (void)tested_out(&t);
    tested_run(&t, YD_NS_PER_S);
    expect_out(&t, "e.output PACKET packet 616761696e\n");
    yd_listener_close(listener);
    tested_drain(&t);
    if (accepted) yd_stream_close(accepted);
    tested_close(&t);
}

static void strangers_cannot_make_it_say_more_than_some_lines_a_second(void **state)
{
    struct tested t;
    struct yd_address at = address_of("127.0.0.1:5001");
    struct yd_trail trail = {0};
    unsigned said = 0;
    (void)state;
    tested_open(&t);
    tested_start(&t, "e :: Tcp(listen: \"127.0.0.1:5001\", framing: \"lines\", sources: [\"10.0.0.1\"]) -> Null()\n");
    tested_run(&t, YD_NS_PER_MS);
    for (int i = 0; i < 60; i++) {
        struct yd_stream *stream;
        assert_int_equal(yd_connect(t.loop, &at, &ops, &stream, &stream, &trail), 0);
        tested_run(&t, 10 * YD_NS_PER_MS);
        if (stream) yd_stream_close(stream);
        if (i == 49) tested_run(&t, 2 * YD_NS_PER_S);
    }
    for (const char *line = t.said; (line = strstr(line, "may not connect")); line++) said++;
    assert_true(said >= 11 && said <= 30);
    expect_said(&t, "more lines were not shown");
    tested_drain(&t);
    tested_close(&t);
}

static void parameters_that_do_not_go_together_are_refused(void **state)
{
    (void)state;
    expect_refused("Tcp(framing: \"slip\") -> Null()", "`listen` or `connect`");
    expect_refused("Tcp(listen: \":1\", connect: \"127.0.0.1:1\", framing: \"slip\") -> Null()", "one of them");
    expect_refused("Tcp(listen: \":1\", framing: \"fixed\") -> Null()", "need `size`");
    expect_refused("Tcp(listen: \":1\", framing: \"slip\", size: 3) -> Null()", "belongs to");
    expect_refused("Tcp(listen: \":1\", framing: \"sync\") -> Null()", "needs its word");
    expect_refused("Tcp(listen: \":1\", framing: \"sync\", sync: \"eb9\") -> Null()", "in hex");
    expect_refused("Tcp(listen: \":1\", framing: \"lines\", checksum: \"ccitt\") -> Null()", "does not go with");
    expect_refused("Tcp(listen: \":1\", framing: \"cobs\", checksum_order: \"little\") -> Null()",
                   "`checksum_order` is of a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_connects_sends_packets_in_any_pieces),
        cmocka_unit_test(who_is_connected_to_is_tried_again),
        cmocka_unit_test(a_silent_one_that_is_connected_to_is_left_and_tried_again),
        cmocka_unit_test(strangers_cannot_make_it_say_more_than_some_lines_a_second),
        cmocka_unit_test(parameters_that_do_not_go_together_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
