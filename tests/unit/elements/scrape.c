/* Scrape: targets that answer, do not, or answer nonsense, on the simulated network. */
#include "tested.h"

#include "serve/inflate.h"

/* ---- a target ---- */

struct server {
    struct yd_listener *listener;
    const char *answer; /* all of it, head and body; NULL: takes the request and says nothing */
    size_t size;
    bool slow; /* a byte a second, for ever */
    unsigned requests, open, most;
    char request[1024];
    struct yd_loop *loop;
};
struct peer {
    struct server *server;
    struct yd_stream *stream;
    struct yd_timer *timer;
    char room[1024];
};

static void end_peer(struct peer *peer)
{
    peer->server->open--;
    yd_stream_close(peer->stream);
    yd_timer_close(peer->timer);
    free(peer);
}

static void lend(void *arg, char **ret_to, size_t *ret_size)
{
    struct peer *peer = arg;
    *ret_to = peer->room;
    *ret_size = sizeof peer->room;
}

static void drip(void *arg)
{
    struct peer *peer = arg;
    (void)yd_stream_write(peer->stream, YD_STR("x"));
    yd_timer_start(peer->timer, yd_loop_mono(peer->server->loop) + YD_NS_PER_S);
}

static void got(void *arg, size_t size)
{
    struct peer *peer = arg;
    struct server *server = peer->server;
    size_t used = strlen(server->request);
    assert_true(used + size < sizeof server->request);
    memcpy(server->request + used, peer->room, size);
    server->request[used + size] = 0;
    if (!strstr(server->request, "\r\n\r\n")) return;
    server->requests++;
    if (server->answer) (void)yd_stream_write(peer->stream, (struct yd_str){server->answer, server->size});
    if (server->slow)
        drip(peer);
    else if (server->answer)
        yd_stream_shutdown(peer->stream);
}

static void left(void *arg, int error)
{
    (void)error;
    end_peer(arg);
}

static void accept_(void *arg, struct yd_stream *stream, const struct yd_address *from)
{
    static const struct yd_stream_ops ops = {.room = lend, .data = got, .ended = left};
    struct server *server = arg;
    struct peer *peer = calloc(1, sizeof *peer);
    (void)from;
    peer->server = server;
    peer->stream = stream;
    server->request[0] = 0;
    if (++server->open > server->most) server->most = server->open;
    assert_int_equal(yd_timer_create(server->loop, drip, peer, &peer->timer), 0);
    yd_stream_start(stream, &ops, peer);
}

static void serve(struct tested *t, struct server *server, const char *address)
{
    static const struct yd_listener_ops ops = {.accept = accept_};
    struct yd_trail trail = {0};
    struct yd_address at;
    server->loop = t->loop;
    assert_int_equal(yd_address_parse(yd_str_of(address), &at, &trail), 0);
    assert_int_equal(yd_listen(t->loop, &at, &ops, server, &server->listener, &trail), 0);
}

static char head[65536];
static void answer(struct server *server, const char *headers, const char *body)
{
    (void)snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\n%s\r\n%s", headers, body);
    server->answer = head;
    server->size = strlen(head);
}

/* Without what is said of the target, which has the time it took in it. */
static void expect_series(struct tested *t, const char *text)
{
    char kept[8192] = "";
    const char *line = tested_out(t);
    while (*line) {
        size_t size = strcspn(line, "\n") + 1;
        if (strncmp(line, "s.output SAMPLE scrape_", 23) != 0) strncat(kept, line, size);
        line += size;
    }
    assert_string_equal(kept, text);
}

static void begin(struct tested *t, const char *args, const char *more)
{
    char text[1024];
    t->listen_to = "s";
    (void)snprintf(text, sizeof text, "s :: Scrape(targets: %s, every: 10s, splay: false%s) -> Null()\n", args, more);
    tested_start(t, text);
}

static void close_server(struct tested *t, struct server *server)
{
    yd_listener_close(server->listener);
    tested_run(t, 3600 * YD_NS_PER_S); /* its peers go, whatever the scraper did */
}

#define TAGS "instance=127.0.0.1:9100,job=s"

/* ---- */

static void what_a_target_exposes_becomes_records_every_so_often(void **state)
{
    (void)state;
    struct tested t;
    struct server server = {.slow = false};
    tested_open(&t);
    begin(&t, "[\"127.0.0.1:9100\"]", "");
    serve(&t, &server, "127.0.0.1:9100");
    answer(&server, "Content-Type: text/plain; version=0.0.4\r\n", "# TYPE a counter\na{x=\"1\"} 5\nb 2.5\n");
    tested_run(&t, YD_NS_PER_S);
    const char *out = tested_out(&t);
    assert_non_null(strstr(out, "s.output DELTA a instance=127.0.0.1:9100,job=s,x=1 5\n"));
    assert_non_null(strstr(out, "s.output SAMPLE b " TAGS " 2.5\n"));
    assert_non_null(strstr(out, "s.output SAMPLE up " TAGS " 1\n"));
    assert_non_null(strstr(out, "s.output SAMPLE scrape_duration_seconds " TAGS " 0.0"));
    assert_non_null(strstr(out, "s.output SAMPLE scrape_samples_scraped " TAGS " 2\n"));
    assert_non_null(strstr(out, "s.output SAMPLE scrape_samples_rejected " TAGS " 0\n"));
    assert_non_null(strstr(server.request, "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9100\r\n"));
    assert_non_null(strstr(server.request, "X-Prometheus-Scrape-Timeout-Seconds: 10.000\r\n"));
    assert_non_null(strstr(server.request, "Accept: application/openmetrics-text"));
    for (unsigned i = 2; i < 6; i++) {
        tested_run(&t, 10 * YD_NS_PER_S);
        assert_int_equal(server.requests, i);
    }
    assert_int_equal(input_of(&t, "s", "pump").received, 5 * 6);
    tested_drain(&t);
    close_server(&t, &server);
    tested_close(&t);
}

static void gzip_chunks_and_openmetrics_are_understood(void **state)
{
    (void)state;
    struct tested t;
    struct server server = {.slow = false};
    struct yd_buf whole;
    tested_open(&t);
    begin(&t, "[\"http://127.0.0.1:9100/x?y=z\"]", ", labels: {zone: \"a\", job: \"mine\"}");
    serve(&t, &server, "127.0.0.1:9100");
    yd_buf_init(&whole, NULL);
    yd_buf_cstr(&whole, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Type: application/openmetrics-text; "
                        "version=1.0.0\r\n\r\n");
    assert_int_equal(yd_deflate_gzip(YD_STR("# TYPE a counter\na_total 5 1.5\n# EOF\n"), &whole), 0);
    server.answer = whole.data;
    server.size = whole.size;
    tested_run(&t, YD_NS_PER_S);
    expect_series(&t, "s.output DELTA a_total instance=127.0.0.1:9100,job=mine,zone=a 5\n"
                      "s.output SAMPLE up instance=127.0.0.1:9100,job=mine,zone=a 1\n");
    assert_non_null(strstr(server.request, "GET /x?y=z HTTP/1.1\r\n"));
    answer(&server, "Transfer-Encoding: chunked\r\n", "4\r\na 1\n\r\n0\r\n\r\n");
    tested_run(&t, 10 * YD_NS_PER_S);
    expect_series(&t, "s.output SAMPLE a instance=127.0.0.1:9100,job=mine,zone=a 1\n"
                      "s.output SAMPLE up instance=127.0.0.1:9100,job=mine,zone=a 1\n");
    yd_buf_fini(&whole);
    tested_drain(&t);
    close_server(&t, &server);
    tested_close(&t);
}

static void a_target_that_is_down_is_said_once_and_again_when_it_is_up(void **state)
{
    (void)state;
    struct tested t;
    struct server server = {.slow = false};
    tested_open(&t);
    begin(&t, "[\"127.0.0.1:9100\"]", "");
    tested_run(&t, 35 * YD_NS_PER_S);
    expect_series(&t, "s.output SAMPLE up " TAGS " 0\ns.output SAMPLE up " TAGS " 0\ns.output SAMPLE up " TAGS
                      " 0\ns.output SAMPLE up " TAGS " 0\n");
    expect_said(&t, "127.0.0.1:9100 is down: ");
    assert_null(strstr(strstr(t.said, "is down") + 1, "is down"));
    serve(&t, &server, "127.0.0.1:9100");
    answer(&server, "", "a 1\n");
    tested_run(&t, 10 * YD_NS_PER_S);
    expect_series(&t, "s.output SAMPLE a " TAGS " 1\ns.output SAMPLE up " TAGS " 1\n");
    expect_said(&t, "127.0.0.1:9100 is up again");
    server.answer = "HTTP/1.1 500 Oh no\r\nContent-Length: 4\r\n\r\na 1\n";
    server.size = strlen(server.answer);
    tested_run(&t, 10 * YD_NS_PER_S);
    expect_series(&t, "s.output SAMPLE up " TAGS " 0\n");
    expect_said(&t, "127.0.0.1:9100 is down: it answers with status 500");
    tested_drain(&t);
    close_server(&t, &server);
    tested_close(&t);
}

static void answers_that_are_cut_or_too_large_are_not_taken(void **state)
{
    (void)state;
    static const struct {
        const char *headers, *body, *why;
    } bad[] = {{"Content-Length: 9\r\n", "a 1\n", "an answer that was cut short"},
               {"Transfer-Encoding: chunked\r\n", "4\r\na 1\n\r\n", "an answer that was cut short"},
               {"Content-Length: 2000\r\n", "a 1\n", "a body over the limit"},
               {"Content-Encoding: gzip\r\n", "a 1\n", "a gzip body that is damaged"},
               {"Content-Encoding: br\r\n", "a 1\n", "a Content-Encoding other than gzip"},
               {"Content-Type: application/openmetrics-text; version=1.0.0\r\n", "a 1\n",
                "its OpenMetrics do not end with # EOF"}};
    struct tested t;
    for (size_t i = 0; i < YD_COUNT(bad); i++) {
        struct server server = {.slow = false};
        char said[200];
        tested_open(&t);
        begin(&t, "[\"127.0.0.1:9100\"]", ", max_body: 1KiB");
        serve(&t, &server, "127.0.0.1:9100");
        answer(&server, bad[i].headers, bad[i].body);
        tested_run(&t, YD_NS_PER_S);
        expect_series(&t, "s.output SAMPLE up " TAGS " 0\n");
        (void)snprintf(said, sizeof said, "127.0.0.1:9100 is down: %s\n", bad[i].why);
        expect_said(&t, said);
        assert_int_equal(reason_of(&t, "s", "answer not understood"), 1);
        tested_drain(&t);
        close_server(&t, &server);
        tested_close(&t);
    }
}

static void a_bomb_is_refused_before_it_is_inflated(void **state)
{
    (void)state;
    struct tested t;
    struct server server = {.slow = false};
    struct yd_buf whole, bomb;
    tested_open(&t);
    begin(&t, "[\"127.0.0.1:9100\"]", ", max_body: 64KiB");
    serve(&t, &server, "127.0.0.1:9100");
    yd_buf_init(&whole, NULL);
    yd_buf_init(&bomb, NULL);
    char *zeroes = yd_buf_reserve(&bomb, 10 << 20);
    memset(zeroes, '\n', 10 << 20);
    yd_buf_cstr(&whole, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n");
    assert_int_equal(yd_deflate_gzip((struct yd_str){zeroes, 10 << 20}, &whole), 0);
    assert_true(whole.size < 64 << 10);
    server.answer = whole.data;
    server.size = whole.size;
    tested_run(&t, YD_NS_PER_S);
    expect_said(&t, "127.0.0.1:9100 is down: a body over the limit");
    yd_buf_fini(&whole);
    yd_buf_fini(&bomb);
    tested_drain(&t);
    close_server(&t, &server);
    tested_close(&t);
}

static void a_silent_or_slow_target_costs_its_time_and_no_more_than_one_connection(void **state)
{
    (void)state;
    struct tested t;
    for (int slow = 0; slow < 2; slow++) {
        struct server server = {.slow = slow};
        tested_open(&t);
        begin(&t, "[\"127.0.0.1:9100\"]", slow ? ", timeout: 60s" : ", timeout: 2s");
        serve(&t, &server, "127.0.0.1:9100");
        if (slow) answer(&server, "", "a 1\n");
        tested_run(&t, 100 * YD_NS_PER_S + YD_NS_PER_S / 2);
        expect_said(&t, "127.0.0.1:9100 is down: no whole answer in time");
        assert_true(server.requests >= 9 && server.requests <= 11);
        assert_true(server.most <= 2); /* the one before may not have heard yet that it is over */
        assert_null(strstr(tested_out(&t), "SAMPLE a"));
        tested_drain(&t);
        close_server(&t, &server);
        assert_int_equal(server.open, 0);
        tested_close(&t);
    }
}

static void series_that_disappear_are_said_once(void **state)
{
    (void)state;
    struct tested t;
    struct server server = {.slow = false};
    tested_open(&t);
    t.listen_to = "s";
    tested_start(&t,
                 "s :: Scrape(targets: [\"127.0.0.1:9100\"], every: 10s, splay: false) -> Null()\ns.gone -> Null()\n");
    serve(&t, &server, "127.0.0.1:9100");
    answer(&server, "", "a 1\nb{x=\"1\"} 2\nb{x=\"2\"} 3\n");
    tested_run(&t, 15 * YD_NS_PER_S);
    assert_null(strstr(tested_out(&t), "s.gone"));
    answer(&server, "", "a 1\nb{x=\"2\"} 3\n");
    tested_run(&t, 10 * YD_NS_PER_S);
    expect_series(&t, "s.output SAMPLE a " TAGS " 1\ns.output SAMPLE b " TAGS ",x=2 3\n"
                      "s.gone EVENT b " TAGS ",x=1 the target does not expose it any more\n"
                      "s.output SAMPLE up " TAGS " 1\n");
    tested_run(&t, 10 * YD_NS_PER_S);
    assert_null(strstr(tested_out(&t), "s.gone"));
    yd_listener_close(server.listener);
    tested_run(&t, 10 * YD_NS_PER_S);
    expect_series(&t, "s.gone EVENT b " TAGS ",x=2 the target is down\ns.gone EVENT a " TAGS
                      " the target is down\ns.output SAMPLE up " TAGS " 0\n");
    tested_run(&t, 10 * YD_NS_PER_S);
    expect_series(&t, "s.output SAMPLE up " TAGS " 0\n");
    tested_drain(&t);
    tested_close(&t);
}

static void bad_lines_are_counted_and_given_out(void **state)
{
    (void)state;
    struct tested t;
    struct server server = {.slow = false};
    tested_open(&t);
    t.listen_to = "s";
    tested_start(
        &t, "s :: Scrape(targets: [\"127.0.0.1:9100\"], every: 10s, splay: false) -> Null()\ns.rejects -> Null()\n");
    serve(&t, &server, "127.0.0.1:9100");
    answer(&server, "", "a 1\nb x\nc 2\n");
    tested_run(&t, YD_NS_PER_S);
    const char *out = tested_out(&t);
    assert_non_null(strstr(out, "s.output SAMPLE c " TAGS " 2\n"));
    assert_non_null(strstr(out, "scrape_samples_scraped " TAGS " 3\n"));
    assert_non_null(strstr(out, "scrape_samples_rejected " TAGS " 1\n"));
    assert_non_null(strstr(out, "s.rejects ROW "));
    assert_non_null(strstr(out, "b x"));
    assert_int_equal(reason_of(&t, "s", "bad value"), 1);
    tested_drain(&t);
    close_server(&t, &server);
    tested_close(&t);
}

static void many_targets_spread_and_one_that_is_gone_hurts_no_other(void **state)
{
    (void)state;
    struct tested t;
    struct server servers[3] = {{.slow = false}};
    tested_open(&t);
    t.listen_to = "s";
    tested_start(&t,
                 "s :: Scrape(targets: [\"127.0.0.1:1\", \"127.0.0.1:2\", \"127.0.0.1:3\", \"web:4\"], every: 10s) -> "
                 "Null()\n");
    for (unsigned i = 0; i < 3; i++) {
        char at[32];
        (void)snprintf(at, sizeof at, "127.0.0.1:%u", i + 1);
        serve(&t, &servers[i], at);
        if (i) answer(&servers[i], "", "a 1\n");
    }
    tested_run(&t, 100 * YD_NS_PER_S);
    assert_true(servers[1].requests >= 9 && servers[2].requests >= 9);
    expect_said(&t, "web:4 is down");
    expect_said(&t, "127.0.0.1:1 is down");
    tested_drain(&t);
    for (unsigned i = 0; i < 3; i++) close_server(&t, &servers[i]);
    tested_close(&t);
}

static void a_name_is_looked_up_for_each_scrape(void **state)
{
    (void)state;
    struct tested t;
    struct server server = {.slow = false};
    tested_open(&t);
    begin(&t, "[\"web:9100\"]", "");
    serve(&t, &server, "127.0.0.1:9100");
    answer(&server, "", "a 1\n");
    yd_sim_host(t.sim, "web", "127.0.0.1:0");
    tested_run(&t, 15 * YD_NS_PER_S);
    expect_series(&t, "s.output SAMPLE a instance=web:9100,job=s 1\ns.output SAMPLE up instance=web:9100,job=s 1\n"
                      "s.output SAMPLE a instance=web:9100,job=s 1\ns.output SAMPLE up instance=web:9100,job=s 1\n");
    yd_sim_host(t.sim, "web", NULL);
    tested_run(&t, 10 * YD_NS_PER_S);
    expect_series(&t, "s.output SAMPLE up instance=web:9100,job=s 0\n");
    tested_drain(&t);
    close_server(&t, &server);
    tested_close(&t);
}

static void a_stop_in_the_middle_of_anything_is_clean(void **state)
{
    (void)state;
    for (int64_t after = 0; after < 60; after++) {
        struct tested t;
        struct server server = {.slow = true};
        tested_open(&t);
        t.seed = (uint64_t)after + 1;
        begin(&t, "[\"web:9100\", \"127.0.0.1:9100\"]", "");
        yd_sim_net_faults(t.sim)->small_read = 2;
        yd_sim_host(t.sim, "web", "127.0.0.1:0");
        serve(&t, &server, "127.0.0.1:9100");
        answer(&server, "", "a 1\n");
        tested_run(&t, after * YD_NS_PER_MS / 10);
        tested_drain(&t);
        close_server(&t, &server);
        tested_close(&t);
    }
}

static void what_cannot_be_is_refused_with_why(void **state)
{
    (void)state;
    expect_refused("s :: Scrape(targets: []) -> Null()\n", "`targets` is a list of texts");
    expect_refused("s :: Scrape(targets: [5]) -> Null()\n", "`targets` is a list of texts");
    expect_refused("s :: Scrape(targets: [\"a:1\", \"a:1\"]) -> Null()\n", "named twice");
    expect_refused("s :: Scrape(targets: [\"https://a:x\"]) -> Null()\n", "is no address");
    expect_refused("s :: Scrape(targets: [\"a:1\"], tls_ca: \"ca.pem\") -> Null()\n", "no target is https");
    expect_refused("s :: Scrape(targets: [\"https://a:1\"], tls_cert: \"c.pem\") -> Null()\n", "go together");
    expect_refused("s :: Scrape(targets: [\"a:1\"], user: \"me\") -> Null()\n", "go together");
    expect_refused("s :: Scrape(targets: [\"a:1\"], user: \"m:e\", password_file: \"p\") -> Null()\n", "a colon");
    expect_refused("s :: Scrape(targets: [\"a:1\"], user: \"me\", password_file: \"p\", token_file: \"t\") -> Null()\n",
                   "not both");
    expect_refused("s :: Scrape(targets: [\"a:1/x\"]) -> Null()\n", "without http://");
    expect_refused("s :: Scrape(targets: [\"a:1\"], path: \"x\") -> Null()\n", "does not begin with /");
    expect_refused("s :: Scrape(targets: [\"a:1\"], labels: {x: 5}) -> Null()\n", "`labels` are texts");
}

static void texts_are_fed_in_tests(void **state)
{
    (void)state;
    expect_passes("s :: Scrape(targets: [\"web:9100\"], job: \"node\") -> Null()\n"
                  "test \"a\" {\n  feed s \"# TYPE a counter\\na{x=\\\"1\\\"} 5 1000\\nb 2\\n\"\n"
                  "  expect s == [ { name: \"a instance=web:9100,job=node,x=1\", kind: delta, value: 5 },\n"
                  "                { name: \"b instance=web:9100,job=node\", value: 2 } ]\n}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_target_exposes_becomes_records_every_so_often),
        cmocka_unit_test(gzip_chunks_and_openmetrics_are_understood),
        cmocka_unit_test(a_target_that_is_down_is_said_once_and_again_when_it_is_up),
        cmocka_unit_test(answers_that_are_cut_or_too_large_are_not_taken),
        cmocka_unit_test(a_bomb_is_refused_before_it_is_inflated),
        cmocka_unit_test(a_silent_or_slow_target_costs_its_time_and_no_more_than_one_connection),
        cmocka_unit_test(series_that_disappear_are_said_once),
        cmocka_unit_test(bad_lines_are_counted_and_given_out),
        cmocka_unit_test(many_targets_spread_and_one_that_is_gone_hurts_no_other),
        cmocka_unit_test(a_name_is_looked_up_for_each_scrape),
        cmocka_unit_test(a_stop_in_the_middle_of_anything_is_clean),
        cmocka_unit_test(what_cannot_be_is_refused_with_why),
        cmocka_unit_test(texts_are_fed_in_tests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
