/* Udp on the simulated network: what is sent comes out, is rejected with a reason, or counted as dropped. */
#include "tested.h"

#include "elements/sources.h"

static struct yd_datagrams *sender_at(struct tested *t, const char *where)
{
    static const struct yd_datagrams_ops ops;
    struct yd_datagrams *sender;
    struct yd_address at;
    struct yd_trail trail = {0};
    assert_int_equal(yd_address_parse(yd_str_of(where), &at, &trail), 0);
    assert_int_equal(yd_datagrams_open(t->loop, &at, &ops, NULL, &sender, &trail), 0);
    return sender;
}

static void post(struct tested *t, struct yd_datagrams *sender, const void *data, size_t size)
{
    struct yd_address to;
    struct yd_trail trail = {0};
    assert_int_equal(yd_address_parse(YD_STR("127.0.0.1:5000"), &to, &trail), 0);
    assert_int_equal(yd_datagrams_send(sender, &to, (struct yd_str){data, size}), 0);
    (void)t;
}

static void begin(struct tested *t, const char *more)
{
    char text[512];
    tested_open(t);
    t->listen_to = "u";
    (void)snprintf(text, sizeof text, "u :: Udp(listen: \"127.0.0.1:5000\"%s) -> n :: Null()\n", more);
    tested_start(t, text);
    tested_run(t, YD_NS_PER_MS);
}

static void finish(struct tested *t, struct yd_datagrams *sender)
{
    tested_drain(t);
    yd_datagrams_close(sender);
    tested_close(t);
}

static void each_datagram_is_a_packet_of_its_bytes(void **state)
{
    struct tested t;
    (void)state;
    begin(&t, ", name: \"rocket stage=1\"");
    struct yd_datagrams *sender = sender_at(&t, "127.0.0.1:0");
    post(&t, sender, "\0\377ab", 4);
    post(&t, sender, "x", 1);
    tested_run(&t, YD_NS_PER_S);
    expect_out(&t, "u.output PACKET rocket stage=1 00ff6162\nu.output PACKET rocket stage=1 78\n");
    finish(&t, sender);
}

static void those_of_other_sizes_are_rejected_by_reason(void **state)
{
    struct tested t;
    (void)state;
    begin(&t, ", min_size: 2B, max_size: 4B");
    struct yd_datagrams *sender = sender_at(&t, "127.0.0.1:0");
    for (size_t size = 0; size < 8; size++) post(&t, sender, "1234567", size);
    tested_run(&t, YD_NS_PER_S);
    assert_int_equal(reason_of(&t, "u", "smaller than min_size"), 2);
    assert_int_equal(reason_of(&t, "u", "larger than max_size"), 3);
    struct yd_input_stat in = input_of(&t, "u", "pump");
    assert_int_equal(in.received, 8);
    assert_int_equal(in.consumed, 3);
    assert_int_equal(in.rejected, 5);
    finish(&t, sender);
}

static void those_of_other_sources_are_rejected(void **state)
{
    struct tested t;
    (void)state;
    begin(&t, ", sources: [\"127.0.0.9\"]");
    struct yd_datagrams *sender = sender_at(&t, "127.0.0.1:0"), *good = sender_at(&t, "127.0.0.9:4711");
    post(&t, sender, "bad", 3);
    post(&t, good, "good", 4);
    tested_run(&t, YD_NS_PER_S);
    expect_out(&t, "u.output PACKET packet 676f6f64\n");
    assert_int_equal(reason_of(&t, "u", "source not allowed"), 1);
    yd_datagrams_close(good);
    finish(&t, sender);
}

static void what_had_no_room_is_counted_though_nothing_comes_after_it(void **state)
{
    struct tested t;
    static char block[3000];
    (void)state;
    begin(&t, ", receive_buffer: 4096B");
    struct yd_datagrams *sender = sender_at(&t, "127.0.0.1:0");
    yd_sim_net_faults(t.sim)->delay_min_ns = 0;
    yd_sim_net_faults(t.sim)->delay_max_ns = 0;
    /* While the consumer does not take anything, the socket is not read. */
    for (int i = 0; i < 5000; i++) post(&t, sender, block, sizeof block);
    tested_run(&t, 5 * YD_NS_PER_S);
    struct yd_input_stat in = input_of(&t, "u", "pump");
    assert_int_equal(in.received, 5000);
    assert_int_equal(in.consumed + in.dropped, 5000);
    assert_int_equal(reason_of(&t, "u", "dropped by the kernel: not read in time"), in.dropped);
    assert_int_equal(input_of(&t, "n", "input").received, in.consumed);
    finish(&t, sender);
}

static void parameters_that_do_not_go_together_are_refused(void **state)
{
    (void)state;
    expect_refused("Udp(listen: \"127.0.0.1\") -> Null()", "no port");
    expect_refused("Udp(listen: \"127.0.0.1:1\", interface: \"lo\") -> Null()", "only a multicast group");
    expect_refused("Udp(listen: \"127.0.0.1:1\", min_size: 5B, max_size: 4B) -> Null()", "min_size is above max_size");
    expect_refused("Udp(listen: \"127.0.0.1:1\", sources: [\"10.0.0.0/33\"]) -> Null()", "not an address or a network");
    expect_refused("Udp(listen: \"127.0.0.1:1\", sources: [7]) -> Null()", "addresses are texts");
    expect_refused("Udp(listen: \"127.0.0.1:1\", name: \"a b\") -> Null()", "not a name");
}

static void what_a_test_feeds_is_one_datagram(void **state)
{
    (void)state;
    expect_passes("u :: Udp(listen: \"127.0.0.1:1\", name: \"p\", max_size: 3B) -> Null()\n"
                  "test \"one\" {\n feed u \"abc\"\n feed u \"abcd\"\n"
                  " expect u == [ { name: \"p\", kind: packet, value: \"abc\" } ]\n}\n");
}

/* ---- sources ---- */

static bool allowed(const char *const *texts, size_t count, const char *from)
{
    struct yd_arg items[4], list = {.type = YD_PARAM_LIST, .list = {items, count}};
    struct yd_sources sources;
    struct yd_address at;
    struct yd_trail trail = {0};
    char why[200];
    for (size_t i = 0; i < count; i++) items[i] = (struct yd_arg){.type = YD_PARAM_TEXT, .text = yd_str_of(texts[i])};
    assert_int_equal(yd_sources_parse(&list, &sources, why, sizeof why), 0);
    assert_int_equal(yd_address_parse(yd_str_of(from), &at, &trail), 0);
    return yd_sources_allow(&sources, &at);
}

static void networks_are_compared_by_their_bits(void **state)
{
    static const char *const list[] = {"10.1.0.0/15", "192.168.7.129/25", "fd00:1::/32", "::1"};
    static const char *const all[] = {"0.0.0.0/0"};
    (void)state;
    assert_true(allowed(NULL, 0, "9.9.9.9:1"));
    assert_true(allowed(NULL, 0, "unix:/tmp/x"));
    assert_false(allowed(list, 4, "unix:/tmp/x"));
    assert_true(allowed(list, 4, "10.0.255.1:1")); /* /15: 10.0 and 10.1 */
    assert_true(allowed(list, 4, "10.1.0.1:1"));
    assert_false(allowed(list, 4, "10.2.0.1:1"));
    assert_true(allowed(list, 4, "192.168.7.200:1"));
    assert_false(allowed(list, 4, "192.168.7.127:1"));
    assert_true(allowed(list, 4, "[fd00:1:2::3]:1"));
    assert_false(allowed(list, 4, "[fd00:2::3]:1"));
    assert_true(allowed(list, 4, "[::1]:1"));
    assert_false(allowed(list, 4, "[::2]:1"));
    assert_true(allowed(all, 1, "1.2.3.4:1"));
    assert_false(allowed(all, 1, "[fd00::1]:1")); /* IPv4 alone */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_datagram_is_a_packet_of_its_bytes),
        cmocka_unit_test(those_of_other_sizes_are_rejected_by_reason),
        cmocka_unit_test(those_of_other_sources_are_rejected),
        cmocka_unit_test(what_had_no_room_is_counted_though_nothing_comes_after_it),
        cmocka_unit_test(parameters_that_do_not_go_together_are_refused),
        cmocka_unit_test(what_a_test_feeds_is_one_datagram),
        cmocka_unit_test(networks_are_compared_by_their_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
