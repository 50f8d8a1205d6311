/* The main job over real sockets: Graphite and OpenTsdb in, a log, a history, and back out through the query API. */
#include "world.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static const char spine[] = "graphite :: Graphite(listen: \"127.0.0.1:0\", udp: \"127.0.0.1:0\", max_line: 4KiB)\n"
                            "tsdb :: OpenTsdb(listen: \"127.0.0.1:0\")\n"
                            "graphite, tsdb -> metrics :: Log(stream: \"metrics\") -> history :: History()\n"
                            "tsdb => history\n";

static void expect_part(char *answer, const char *part)
{
    if (!strstr(answer, part)) fail_msg("'%s' is not in: %s", part, answer);
    free(answer);
}

static void a_graphite_line_and_a_put_come_back_from_a_query(void **state)
{
    struct world w;
    (void)state;
    world_open(&w);
    world_start(&w, spine);
    int tsdb = world_port(&w, "tsdb", "");
    int fd = world_dial(world_port(&w, "graphite", "lines"));
    world_send(fd, "cpu.load;host=a;cpu=0 1.5 1700000000\ncpu.load;host=b;cpu=0 2.5 1700000000\n");
    close(fd);
    fd = world_dial(tsdb);
    world_send(fd, "put sys.mem 1700000010 42 host=a\nput sys.mem 1700000070 43 host=a\n");
    close(fd);
    const char *body =
        "{\"start\":1699999999000,\"end\":1700000100000,\"queries\":[{\"metric\":\"cpu.load\",\"aggregator\":"
        "\"sum\",\"tags\":{\"host\":\"*\"}}]}";
    char *answer = world_http_until(tsdb, "POST", "/api/query", body, "\"b\"");
    assert_string_equal(body_of(answer),
                        "[{\"metric\":\"cpu.load\",\"tags\":{\"cpu\":\"0\",\"host\":\"a\"},\"aggregateTags\":[],"
                        "\"dps\":{\"1700000000\":1.5}},{\"metric\":\"cpu.load\",\"tags\":{\"cpu\":\"0\",\"host\":"
                        "\"b\"},\"aggregateTags\":[],\"dps\":{\"1700000000\":2.5}}]");
    free(answer);
    expect_part(world_http_until(tsdb, "GET", "/api/query?start=1700000000&end=1700000100&m=sum:sys.mem&arrays&ms",
                                 NULL, "43]"),
                "[[1700000010000,42],[1700000070000,43]]");
    expect_part(world_http(tsdb, "GET", "/some/prefix/api/v1/suggest?type=metrics&q=cp", NULL), "[\"cpu.load\"]");
    expect_part(world_http(tsdb, "GET", "/api/search/lookup?m=cpu.load%7Bhost=*%7D&limit=10", NULL),
                "\"totalResults\":2");
    expect_part(world_http(tsdb, "POST", "/api/query",
                           "{\"start\":1,\"queries\":[{\"metric\":\"nope\",\"aggregator\":\"sum\"}]}"),
                "{\"error\":{\"code\":400,\"message\":\"No such name for 'metrics': 'nope'\"}}");
    world_stop(&w);
    world_close(&w);
}

static void what_was_acknowledged_is_there_after_a_restart(void **state)
{
    struct world w;
    (void)state;
    world_open(&w);
    world_start(&w, spine);
    int port = world_port(&w, "tsdb", "");
    expect_part(world_http(port, "POST", "/api/put?sync&details",
                           "[{\"metric\":\"m\",\"timestamp\":1700000000,\"value\":1,\"tags\":{\"a\":\"b\"}},"
                           "{\"metric\":\"m\",\"timestamp\":1700000001,\"value\":\"2.5\",\"tags\":{\"a\":\"b\"}}]"),
                "{\"success\":2,\"failed\":0,\"errors\":[]}");
    world_stop(&w);
    world_start(&w, spine);
    port = world_port(&w, "tsdb", "");
    expect_part(world_http_until(port, "GET", "/api/query?start=1700000000&end=1700000100&m=none:m", NULL, "2.5"),
                "{\"1700000000\":1,\"1700000001\":2.5}");
    world_stop(&w);
    world_close(&w);
}

/* Each partition has a writer's thread of its own, and what reads them all is one process. */
static void a_log_of_several_partitions_is_one_stream_to_who_asks(void **state)
{
    static const char wide[] =
        "tsdb :: OpenTsdb(listen: \"127.0.0.1:0\")\n"
        "tsdb -> metrics :: Log(stream: \"metrics\", partitions: 5) -> history :: History()\n"
        "metrics -[cursor: \"copy\"]-> Filter() -> copy :: Log(stream: \"copy\", partitions: 2)\n"
        "tsdb => history\n";
    struct world w;
    (void)state;
    world_open(&w);
    for (int run = 0; run < 2; run++) {
        world_start(&w, wide);
        int port = world_port(&w, "tsdb", "");
        for (int i = 0; i < 20; i++) {
            char body[2048] = "[";
            for (int k = 0; k < 12; k++) {
                size_t size = strlen(body);
                (void)snprintf(body + size, sizeof body - size,
                               "%s{\"metric\":\"m%d\",\"timestamp\":%d,\"value\":%d,\"tags\":{\"a\":\"b\"}}",
                               k ? "," : "", k, 1700000000 + run * 20 + i, i);
            }
            (void)snprintf(body + strlen(body), sizeof body - strlen(body), "]");
            expect_part(world_http(port, "POST", "/api/put?sync&details", body),
                        "{\"success\":12,\"failed\":0,\"errors\":[]}");
        }
        for (int k = 0; k < 12; k++) { /* of both runs: the second History has read all partitions from the oldest */
            char query[128], last[64];
            (void)snprintf(query, sizeof query, "/api/query?start=1700000000&end=1700001000&m=sum:1000s-count:m%d", k);
            (void)snprintf(last, sizeof last, ":%d}", run * 20 + 20);
            expect_part(world_http_until(port, "GET", query, NULL, last), last);
        }
        for (int tries = 0; world_counts(&w, "copy", "input").consumed < 240 && tries < 1000; tries++) usleep(10000);
        assert_true(world_counts(&w, "copy", "input").consumed >= 240);
        world_stop(&w);
    }
    world_close(&w);
}

static void counters_add_up_with_garbage_among_the_lines(void **state)
{
    struct world w;
    struct yd_buf text;
    (void)state;
    world_open(&w);
    world_start(&w, spine);
    yd_buf_init(&text, NULL);
    for (int i = 0; i < 10000; i++) yd_buf_cstr(&text, i % 100 == 7 ? "this is garbage\n" : "a.b.c 1 1700000000\n");
    int fd = world_dial(world_port(&w, "graphite", "lines"));
    world_send_bytes(fd, text.data, text.size);
    close(fd);
    struct world_counts counts;
    for (int i = 0; i < 500; i++) {
        counts = world_counts(&w, "graphite", "pump");
        assert_int_equal(counts.received, counts.consumed + counts.rejected + counts.dropped + counts.queued);
        if (counts.received == 10000 && counts.queued == 0) break;
        usleep(10000);
    }
    assert_int_equal(counts.received, 10000);
    assert_int_equal(counts.rejected, 100);
    assert_int_equal(counts.consumed, 9900);
    assert_int_equal(world_reason(&w, "graphite", "bad timestamp"), 100);
    yd_buf_fini(&text);
    world_stop(&w);
    world_close(&w);
}

static void datagrams_are_taken_with_and_without_line_ends(void **state)
{
    struct world w;
    (void)state;
    world_open(&w);
    world_start(&w, spine);
    int udp = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)world_port(&w, "graphite", "UDP"))};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const char text[] = "lines 1 2\nare 3 4\nnot\nvalid 5 6";
    assert_int_equal(sendto(udp, text, sizeof text - 1, 0, (struct sockaddr *)&at, sizeof at), sizeof text - 1);
    int tsdb = world_port(&w, "tsdb", "");
    free(world_http_until(tsdb, "GET", "/api/suggest?type=metrics", NULL, "[\"are\",\"lines\",\"valid\"]"));
    assert_int_equal(world_counts(&w, "graphite", "pump").rejected, 1);
    close(udp);
    world_stop(&w);
    world_close(&w);
}

static void telnet_answers_in_opentsdbs_words(void **state)
{
    static const struct {
        const char *said, *answer;
    } talks[] = {
        {"version\n", "net.opentsdb"},
        {"help\n", "available commands: exit help put stats status version\n"},
        {"put\n", "put: illegal argument: not enough arguments"},
        {"put m x 1 a=b\n", "put: illegal argument: invalid timestamp: x\n"},
        {"put m 1 x a=b\n", "put: invalid value: not a number: x\n"},
        {"put m 1 1 ab\n", "put: illegal argument: invalid tag"},
        {"frobnicate 7\n", "unknown command: frobnicate.  Try `help'.\n"},
        {"stats\r\n", "tsd.rpc.received "},
        {"status\n", "status: ok\n"},
    };
    struct world w;
    (void)state;
    world_open(&w);
    world_start(&w, spine);
    int fd = world_dial(world_port(&w, "tsdb", ""));
    for (size_t i = 0; i < YD_COUNT(talks); i++) {
        world_send(fd, talks[i].said);
        char *answer = world_receive(fd, "\n");
        if (!strstr(answer, talks[i].answer)) fail_msg("%s: %s", talks[i].said, answer);
        while (recv(fd, answer, 100, MSG_DONTWAIT) > 0) {
        }
        free(answer);
    }
    world_send(fd, "exit\nput never 1 1 a=b\n");
    char *answer = world_receive(fd, NULL); /* it hangs up */
    free(answer);
    close(fd);
    world_stop(&w);
    world_close(&w);
}

static void put_over_http_says_what_was_wrong(void **state)
{
    static const struct {
        const char *path, *body, *status, *answer;
    } puts[] = {
        {"/api/put", "{\"metric\":\"m\",\"timestamp\":1,\"value\":1,\"tags\":{\"a\":\"b\"}}", " 204 ", ""},
        {"/api/v1/put?summary", "{\"metric\":\"m\",\"timestamp\":1,\"value\":\"1\",\"tags\":{\"a\":\"b\"}}", " 200 ",
         "{\"success\":1,\"failed\":0}"},
        {"/api/put", "[{\"metric\":\"\",\"timestamp\":1,\"value\":1,\"tags\":{\"a\":\"b\"}}]", " 400 ",
         "{\"error\":{\"code\":400,\"message\":\"One or more data points had errors\",\"details\":"},
        {"/api/put?details", "[{\"metric\":\"m\",\"timestamp\":0,\"value\":1,\"tags\":{\"a\":\"b\"}}]", " 400 ",
         "{\"success\":0,\"failed\":1,\"errors\":[{\"error\":\"Invalid timestamp\",\"datapoint\":{\"metric\":\"m\","
         "\"timestamp\":0,\"value\":\"1\",\"tags\":{\"a\":\"b\"}}}]}"},
        {"/api/put?details", "[{\"metric\":\"\",\"timestamp\":1,\"value\":1,\"tags\":{\"a\":\"b\"}}]", " 400 ",
         "\"Metric name was empty\""},
        {"/api/put?details", "[{\"metric\":\"m\",\"timestamp\":1,\"tags\":{\"a\":\"b\"}}]", " 400 ", "\"Empty value\""},
        {"/api/put?details", "[{\"metric\":\"m\",\"timestamp\":1,\"value\":1}]", " 400 ", "\"Missing tags\""},
        {"/api/put?details", "[{\"metric\":\"m\",\"timestamp\":1,\"value\":\"x\",\"tags\":{\"a\":\"b\"}}]", " 400 ",
         "\"Unable to parse value to a number\""},
        {"/api/put?details",
         "[{\"metric\":\"m\",\"timestamp\":1,\"value\":NaN,\"tags\":{\"a\":\"b\"}},"
         "{\"metric\":\"m\",\"timestamp\":2,\"value\":1,\"tags\":{\"a\":\"b\"}}]",
         " 400 ", "{\"success\":1,\"failed\":1,"},
        {"/api/put", "[]", " 400 ", "No datapoints found in content"},
        {"/api/put", "nonsense", " 400 ", "Unable to parse the given JSON"},
        {"/api/put", "[{\"metric\":\"m\",\"timestamp\":1,\"value\":1,\"tags\":{\"a\":\"b\"}}", " 400 ",
         "Unable to parse"},
        {"/api/put?summary&sync&sync_timeout=5000",
         "{\"metric\":\"m\",\"timestamp\":5,\"value\":1,\"tags\":{\"a\":\"b\"}}", " 200 ",
         "{\"success\":1,\"failed\":0,\"timeouts\":0}"},
        {"/api/nothing", "", " 404 ", "\"message\":\"Endpoint not found\""},
        {"/", "", " 404 ", "\"code\":404"},
        {"/api/aggregators", "", " 200 ", "\"avg\""},
        {"/api/config/filters", "", " 200 ", "\"literal_or\":{"},
        {"/api/version", "", " 200 ", "\"version\":\"2.4.0\""},
        {"/api/version?jsonp=cb", "", " 200 ", "cb({"},
        {"/api/query", "{\"start\":1}", " 400 ", "Missing queries"},
        {"/api/query", "{\"queries\":[]}", " 400 ", "Missing start time"},
        {"/api/query", "{", " 400 ", "Unable to parse the given JSON"},
        {"/api/suggest?type=nothing", "", " 400 ", "Invalid 'type' parameter"},
    };
    struct world w;
    (void)state;
    world_open(&w);
    world_start(&w, spine);
    int port = world_port(&w, "tsdb", "");
    for (size_t i = 0; i < YD_COUNT(puts); i++) {
        char *answer = world_http(port, "POST", puts[i].path, puts[i].body);
        if (!strstr(answer, puts[i].status) || !strstr(body_of(answer), puts[i].answer))
            fail_msg("%s %s: %s", puts[i].path, puts[i].body, answer);
        if (!*puts[i].answer) assert_string_equal(body_of(answer), "");
        free(answer);
    }
    expect_part(world_http(port, "GET", "/api/put", NULL), " 405 ");
    world_stop(&w);
    world_close(&w);
}

static void http_on_the_graphite_port_is_told_so_and_shown_out(void **state)
{
    struct world w;
    (void)state;
    world_open(&w);
    world_start(&w, spine);
    int fd = world_dial(world_port(&w, "graphite", "lines"));
    world_send(fd, "POST /api/put HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n{}\n");
    char *answer = world_receive(fd, NULL);
    assert_non_null(strstr(answer, "400 Bad Request"));
    assert_non_null(strstr(answer, "takes Graphite lines"));
    free(answer);
    close(fd);
    assert_int_equal(world_reason(&w, "graphite", "HTTP request on a line port"), 1);
    assert_int_equal(world_counts(&w, "graphite", "pump").rejected, 1);
    world_stop(&w);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_graphite_line_and_a_put_come_back_from_a_query),
        cmocka_unit_test(what_was_acknowledged_is_there_after_a_restart),
        cmocka_unit_test(a_log_of_several_partitions_is_one_stream_to_who_asks),
        cmocka_unit_test(counters_add_up_with_garbage_among_the_lines),
        cmocka_unit_test(datagrams_are_taken_with_and_without_line_ends),
        cmocka_unit_test(telnet_answers_in_opentsdbs_words),
        cmocka_unit_test(put_over_http_says_what_was_wrong),
        cmocka_unit_test(http_on_the_graphite_port_is_told_so_and_shown_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
