/* Connections that bring records, by the class that frames by lines: Statsd over TCP on the simulated network. */
#include "tested.h"

#define MAX 100

struct client {
    struct tested *t;
    struct yd_stream *stream;
    struct yd_buf to_send;
    bool ended;
    char room[64];
};

static void lend(void *arg, char **ret_to, size_t *ret_size)
{
    struct client *client = arg;
    *ret_to = client->room;
    *ret_size = sizeof client->room;
}

static void got(void *arg, size_t size)
{
    (void)arg, (void)size;
}

static void ended(void *arg, int error)
{
    struct client *client = arg;
    (void)error;
    client->ended = true;
    yd_stream_close(client->stream);
    client->stream = NULL;
}

static struct client *dial(struct tested *t)
{
    static const struct yd_stream_ops ops = {.room = lend, .data = got, .ended = ended};
    struct client *client = calloc(1, sizeof *client);
    struct yd_trail trail = {0};
    struct yd_address at;
    client->t = t;
    assert_int_equal(yd_address_parse(YD_STR("127.0.0.1:8125"), &at, &trail), 0);
    assert_int_equal(yd_connect(t->loop, &at, &ops, client, &client->stream, &trail), 0);
    return client;
}

static void say(struct client *client, const char *text, size_t size)
{
    assert_int_equal(yd_stream_write(client->stream, (struct yd_str){text, size}), 0);
}

/* In order: it says its end, and waits for ours. */
static void leave(struct client *client)
{
    if (client->stream) yd_stream_shutdown(client->stream);
    tested_run(client->t, 10 * YD_NS_PER_S);
    if (client->stream) yd_stream_close(client->stream);
    free(client);
}

static void begin(struct tested *t, const char *more)
{
    char text[512];
    tested_open(t);
    t->listen_to = "s";
    (void)snprintf(
        text, sizeof text,
        "s :: Statsd(listen: \"\", tcp: \"127.0.0.1:8125\", aggregate: false%s) -> Null()\ns.rejects -> Null()\n",
        more);
    tested_start(t, text);
    tested_run(t, YD_NS_PER_MS);
}

static void finish(struct tested *t)
{
    tested_drain(t);
    tested_close(t);
}

/* ---- */

static void lines_come_whole_whatever_the_pieces(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (int round = 0; round < 20; round++) {
        struct tested t;
        struct yd_buf text, want;
        tested_open(&t);
        tested_close(&t);
        begin(&t, "");
        yd_sim_net_faults(t.sim)->small_read = 1 + (uint32_t)((seed + (uint64_t)round) % 4);
        yd_buf_init(&text, NULL);
        yd_buf_init(&want, NULL);
        for (int i = 0; i < 200; i++) {
            yd_buf_printf(&text, "m%d:%d|c%s\n", i, i, i % 3 ? "" : "|#k:v\r");
            yd_buf_printf(&want, "s.output TALLY m%d%s %d\n", i, i % 3 ? "" : " k=v", i);
        }
        text.size--; /* the last one has no end */
        struct client *client = dial(&t);
        say(client, text.data, text.size);
        leave(client);
        assert_same_text(tested_out(&t), text_of(&want));
        assert_int_equal(input_of(&t, "s", "pump").rejected, 0);
        yd_buf_fini(&text);
        yd_buf_fini(&want);
        finish(&t);
    }
}

static void a_line_too_long_is_rejected_once_and_the_next_is_good(void **state)
{
    (void)state;
    for (uint32_t small = 0; small < 3; small++) {
        struct tested t;
        char text[1024];
        begin(&t, ", max_line: 100B");
        yd_sim_net_faults(t.sim)->small_read = small;
        /* one with its end in the same read, one over several reads, and one that is exactly as long as it may be */
        memset(text, 'x', sizeof text);
        memcpy(text, "a:1|c\n", 6);
        memcpy(text + 200, "\nb:2|c\n", 7);
        memcpy(text + 900, "\nc:3|c\n", 7);
        memcpy(text + 907 + MAX - 4, ":4|c\n", 5);
        struct client *client = dial(&t);
        say(client, text, 500);
        tested_run(&t, YD_NS_PER_S);
        say(client, text + 500, 907 + MAX + 1 - 500);
        leave(client);
        const char *out = tested_out(&t);
        assert_non_null(strstr(out, "s.output TALLY a 1\n"));
        assert_non_null(strstr(out, "s.output TALLY b 2\n"));
        assert_non_null(strstr(out, "s.output TALLY c 3\n"));
        assert_non_null(strstr(out, "x 4\n"));
        assert_int_equal(reason_of(&t, "s", "line too long"), 2);
        assert_int_equal(input_of(&t, "s", "pump").rejected, 2);
        finish(&t);
    }
}

static void a_line_that_is_cut_off_is_counted_and_given_out(void **state)
{
    (void)state;
    struct tested t;
    begin(&t, "");
    struct client *client = dial(&t);
    say(client, "a:1|c\nb:2", 9);
    tested_run(&t, YD_NS_PER_S);
    struct client *other = dial(&t); /* the daemon's stop cuts off, too */
    say(other, "c:3", 3);
    tested_run(&t, YD_NS_PER_S);
    yd_stream_close(client->stream); /* in order, as far as the other side can tell: its last line counts */
    client->stream = NULL;
    tested_run(&t, YD_NS_PER_S);
    tested_drain(&t);
    const char *out = tested_out(&t);
    assert_non_null(strstr(out, "s.output TALLY a 1\n"));
    assert_non_null(strstr(out, "connection lost inside a line"));
    assert_non_null(strstr(out, "c:3"));
    tested_run(&t, YD_NS_PER_S);
    if (other->stream) yd_stream_close(other->stream);
    free(client);
    free(other);
    tested_close(&t);
}

static void peers_beyond_the_limit_and_silent_ones_are_closed(void **state)
{
    (void)state;
    struct tested t;
    begin(&t, ", max_connections: 2, idle_peers: 10s");
    struct client *clients[3];
    for (int i = 0; i < 3; i++) clients[i] = dial(&t);
    tested_run(&t, YD_NS_PER_S);
    int refused = 0;
    for (int i = 0; i < 3; i++) refused += clients[i]->ended;
    assert_int_equal(refused, 1);
    expect_said(&t, "max_connections is 2");
    for (int i = 0; i < 20; i++) {
        if (clients[0]->stream) say(clients[0], "a:1|c\n", 6);
        tested_run(&t, YD_NS_PER_S);
    }
    assert_true(clients[1]->ended && clients[2]->ended);
    for (int i = 0; i < 3; i++) leave(clients[i]);
    finish(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_whole_whatever_the_pieces),
        cmocka_unit_test(a_line_too_long_is_rejected_once_and_the_next_is_good),
        cmocka_unit_test(a_line_that_is_cut_off_is_counted_and_given_out),
        cmocka_unit_test(peers_beyond_the_limit_and_silent_ones_are_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
