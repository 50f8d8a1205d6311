/* Bad input over real sockets: garbage, slow and silent peers, peers that never read, thousands of them. What is
 * checked is always the same: good neighbours are served, every record is accounted for, and the end comes in order. */
#include "../skip.h"
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static const char topology[] = "graphite :: Graphite(listen: \"127.0.0.1:0\", max_line: 4KiB)\n"
                               "tsdb :: OpenTsdb(listen: \"127.0.0.1:0\", max_line: 4KiB)\n"
                               "graphite, tsdb -> metrics :: Log(stream: \"metrics\") -> history :: History()\n"
                               "graphite.rejects, tsdb.rejects -[full: drop_old]-> bad :: Log(stream: \"bad\")\n"
                               "tsdb => history\n";

static void expect_served(struct world *w, const char *name)
{
    char text[256], path[128], part[128];
    int fd = world_dial(world_port(w, "graphite", "lines"));
    (void)snprintf(text, sizeof text, "%s 1 1700000000\n", name);
    world_send(fd, text);
    close(fd);
    (void)snprintf(path, sizeof path, "/api/suggest?type=metrics&q=%s", name);
    (void)snprintf(part, sizeof part, "[\"%s\"]", name);
    free(world_http_until(world_port(w, "tsdb", ""), "GET", path, NULL, part));
}

static void expect_identity(struct world *w, const char *element)
{
    struct world_counts counts;
    for (int i = 0; i < 500; i++) {
        counts = world_counts(w, element, "pump");
        assert_int_equal(counts.received, counts.consumed + counts.rejected + counts.dropped + counts.queued);
        if (counts.queued == 0) return;
        usleep(10000);
    }
    fail_msg("%s keeps %llu queued", element, (unsigned long long)counts.queued);
}

static void garbage_on_both_ports_is_counted_and_hurts_nobody(void **state)
{
    struct world w;
    struct yd_rng rng;
    static char bytes[200000];
    static const char likely[] = " \n\r\t0123456789.put;=abAZ\xff";
    (void)state;
    yd_rng_init(&rng, test_seed());
    world_open(&w);
    world_start(&w, topology);
    for (int round = 0; round < 8; round++) {
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = round & 1 ? (char)yd_rng_below(&rng, 256) : likely[yd_rng_below(&rng, sizeof likely)];
        if (round & 2) bytes[0] = 'p'; /* telnet, not HTTP */
        int fd = world_dial(world_port(&w, round & 2 ? "tsdb" : "graphite", ""));
        /* It may be shown out before it has said everything. */
        for (size_t at = 0; at < sizeof bytes;) {
            ssize_t sent = send(fd, bytes + at, sizeof bytes - at, MSG_NOSIGNAL);
            if (sent <= 0) break;
            at += (size_t)sent;
        }
        close(fd);
    }
    expect_served(&w, "survivor");
    expect_identity(&w, "graphite");
    expect_identity(&w, "tsdb");
    world_stop(&w);
    world_close(&w);
}

static void rejects_are_rows_with_reason_peer_and_line(void **state)
{
    struct world w;
    (void)state;
    world_open(&w);
    world_start(&w, topology);
    int fd = world_dial(world_port(&w, "graphite", "lines"));
    world_send(fd, "good 1 1\nbad x 1\n\xff\xfe 1 1\n");
    close(fd);
    struct world_counts counts = {0};
    for (int i = 0; i < 500 && counts.consumed < 2; i++) {
        counts = world_counts(&w, "bad", "input");
        usleep(10000);
    }
    assert_int_equal(counts.consumed, 2);
    world_stop(&w);
    char dir[128];
    (void)snprintf(dir, sizeof dir, "%s/streams/bad/0", w.data);
    struct yd_log_reader *reader;
    struct yd_trail trail = {0};
    struct yd_log_gap gap;
    struct yd_batch *batch;
    assert_int_equal(yd_log_reader_open_dir(yd_fs_linux(), dir, &(struct yd_log_start){0}, &reader, &trail), 0);
    assert_int_equal(yd_log_reader_next(reader, &batch, &gap), 0);
    const struct yd_view *view = &batch->view;
    assert_int_equal(view->count, 2);
    assert_true(yd_str_eq(yd_view_name(view, view->records[0].name), YD_STR("rejects element=graphite")));
    const struct yd_cell *reason = yd_view_find(view, view->records[0].value, YD_STR("reason"));
    const struct yd_cell *line = yd_view_find(view, view->records[0].value, YD_STR("line"));
    const struct yd_cell *peer = yd_view_find(view, view->records[0].value, YD_STR("peer"));
    assert_true(yd_str_eq(yd_view_bytes(view, reason->value), YD_STR("bad value")));
    assert_true(yd_str_eq(yd_view_bytes(view, line->value), YD_STR("bad x 1")));
    assert_true(yd_str_starts(yd_view_bytes(view, peer->value), YD_STR("127.0.0.1:")));
    assert_int_equal(yd_view_find(view, view->records[1].value, YD_STR("line"))->type, YD_BLOB);
    yd_batch_unref(batch);
    yd_log_reader_close(reader);
    world_close(&w);
}

static void ten_thousand_idle_connections_keep_nobody_waiting(void **state)
{
    struct world w;
    struct rlimit limit;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    unsigned want = 10000;
    if (limit.rlim_cur < 2 * want + 200) { /* both ends are ours */
        want = (unsigned)(limit.rlim_cur - 200) / 2;
        print_message("# only %u: RLIMIT_NOFILE is %llu\n", want, (unsigned long long)limit.rlim_cur);
    }
    int *fds = calloc(want, sizeof *fds);
    world_open(&w);
    world_start(&w, topology);
    int ports[] = {world_port(&w, "graphite", "lines"), world_port(&w, "tsdb", "")};
    for (unsigned i = 0; i < want; i++) {
        fds[i] = world_dial(ports[i & 1]);
        if (i % 4 == 0) world_send(fds[i], "half a li"); /* some stop inside a line */
    }
    expect_served(&w, "among_the_idle");
    for (unsigned i = 0; i < want; i++) close(fds[i]);
    expect_served(&w, "after_the_idle");
    free(fds);
    world_stop(&w);
    world_close(&w);
}

static void a_peer_that_sends_byte_by_byte_is_understood(void **state)
{
    struct world w;
    (void)state;
    world_open(&w);
    world_start(&w, topology);
    int fd = world_dial(world_port(&w, "graphite", "lines"));
    const char *text = "slow 1 1700000000\r\nloris 2 1700000000\n";
    for (const char *p = text; *p; p++) {
        world_send_bytes(fd, p, 1);
        if (p - text == 10) expect_served(&w, "meanwhile");
    }
    free(world_http_until(world_port(&w, "tsdb", ""), "GET", "/api/suggest?type=metrics&q=loris", NULL, "[\"loris\"]"));
    close(fd);
    world_stop(&w);
    world_close(&w);
}

static void a_peer_that_never_reads_is_shown_out(void **state)
{
    struct world w;
    struct yd_buf text;
    (void)state;
    world_open(&w);
    world_start(&w, topology);
    yd_buf_init(&text, NULL);
    for (int i = 0; i < 2000; i++) yd_buf_printf(&text, "what_is_this_command_that_nobody_knows_%d\n", i);
    int fd = world_dial(world_port(&w, "tsdb", "")), small = 4096, rounds = 0;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    for (; rounds < 2000; rounds++) {
        size_t at = 0;
        while (at < text.size) {
            ssize_t sent = send(fd, text.data + at, text.size - at, MSG_NOSIGNAL);
            if (sent <= 0) break;
            at += (size_t)sent;
        }
        if (at < text.size) break;
    }
    assert_true(rounds < 2000); /* it was cut off */
    close(fd);
    yd_buf_fini(&text);
    expect_served(&w, "others");
    expect_identity(&w, "tsdb");
    world_stop(&w);
    assert_non_null(strstr(w.said, "does not read what it is told"));
    world_close(&w);
}

static void a_line_without_an_end_is_rejected_once_and_the_next_one_taken(void **state)
{
    struct world w;
    char chunk[1000];
    (void)state;
    world_open(&w);
    world_start(&w, topology);
    memset(chunk, 'x', sizeof chunk);
    int fd = world_dial(world_port(&w, "graphite", "lines"));
    for (int i = 0; i < 1000; i++) world_send_bytes(fd, chunk, sizeof chunk);
    world_send(fd, "\nbehind.it 1 1\n");
    free(world_http_until(world_port(&w, "tsdb", ""), "GET", "/api/suggest?type=metrics", NULL, "[\"behind.it\"]"));
    assert_int_equal(world_reason(&w, "graphite", "line too long"), 1);
    close(fd);
    world_stop(&w);
    world_close(&w);
}

static void peers_over_the_limit_are_refused_and_room_is_given_again(void **state)
{
    struct world w;
    (void)state;
    world_open(&w);
    world_start(&w, "graphite :: Graphite(listen: \"127.0.0.1:0\", max_connections: 2)\n"
                    "graphite -> metrics :: Log(stream: \"metrics\") -> history :: History()\n");
    int port = world_port(&w, "graphite", ""), a = world_dial(port), b = world_dial(port), c = world_dial(port);
    char *answer = world_receive(c, NULL); /* hung up */
    free(answer);
    close(c);
    world_send(a, "a 1 1\n");
    world_send(b, "b 1 1\n");
    struct world_counts counts = {0};
    for (int i = 0; i < 500 && counts.consumed < 2; i++) {
        counts = world_counts(&w, "graphite", "pump");
        usleep(10000);
    }
    assert_int_equal(counts.consumed, 2);
    close(a);
    close(b);
    for (int i = 0; i < 500 && counts.consumed < 3; i++) { /* once it has been noticed that they are gone */
        c = world_dial(port);
        (void)send(c, "c 1 1\n", 6, MSG_NOSIGNAL);
        close(c);
        usleep(10000);
        counts = world_counts(&w, "graphite", "pump");
    }
    assert_true(counts.consumed >= 3);
    world_stop(&w);
    assert_non_null(strstr(w.said, "max_connections"));
    world_close(&w);
}

/* A put of many points, told to wait for the disk; its status. */
static int put_points(int port, int points, const char *arguments)
{
    struct yd_buf body;
    char path[128];
    static int time = 1600000000;
    yd_buf_init(&body, NULL);
    yd_buf_char(&body, '[');
    for (int i = 0; i < points; i++)
        yd_buf_printf(&body, "%s{\"metric\":\"full\",\"timestamp\":%d,\"value\":%d,\"tags\":{\"a\":\"b%d\"}}",
                      i ? "," : "", time++, i, i);
    yd_buf_char(&body, ']');
    (void)snprintf(path, sizeof path, "/api/put?%s", arguments);
    char *answer = world_http(port, "POST", path, text_of(&body));
    int status = atoi(answer + strlen("HTTP/1.1 "));
    free(answer);
    yd_buf_fini(&body);
    return status;
}

static void a_full_disk_acknowledges_nothing_answers_questions_and_goes_on_when_there_is_room(void **state)
{
    struct world w;
    char ballast[128];
    static const char zeros[4096];
    (void)state;
    world_open(&w);
    if (mount("tmpfs", w.data, "tmpfs", 0, "size=8m")) {
        world_close(&w);
        skip_because("mounting needs root");
    }
    world_start(&w, "tsdb :: OpenTsdb(listen: \"127.0.0.1:0\")\n"
                    "tsdb -> metrics :: Log(stream: \"metrics\", queue: 1MiB) -> history :: History()\n"
                    "tsdb => history\n");
    int port = world_port(&w, "tsdb", "");
    assert_int_equal(put_points(port, 10, "sync"), 204);
    (void)snprintf(ballast, sizeof ballast, "%s/ballast", w.data);
    int fd = open(ballast, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    while (write(fd, zeros, sizeof zeros) > 0) {
    }
    close(fd);
    int status = 204, puts = 0;
    for (; puts < 500 && status == 204; puts++) status = put_points(port, 1000, "sync&sync_timeout=400");
    assert_int_equal(status, 504); /* it waits for room, and says that it does not know */
    assert_true(puts > 1);
    /* What comes now is not taken: senders are held back. Questions are answered all the same. */
    for (int i = 0; i < 3; i++) {
        char *answer = world_http(port, "GET", "/api/suggest?type=metrics", NULL);
        assert_non_null(strstr(answer, "[\"full\"]"));
        free(answer);
        assert_int_equal(put_points(port, 1000, "sync&sync_timeout=100"), 504);
    }
    assert_int_equal(unlink(ballast), 0);
    status = 504;
    for (int i = 0; i < 100 && status != 204; i++) status = put_points(port, 1, "sync&sync_timeout=500");
    assert_int_equal(status, 204);
    expect_identity(&w, "tsdb");
    world_stop(&w);
    if (!strstr(w.said, "no space left")) fail_msg("%s", w.said);
    assert_int_equal(umount2(w.data, MNT_DETACH), 0);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(garbage_on_both_ports_is_counted_and_hurts_nobody),
        cmocka_unit_test(rejects_are_rows_with_reason_peer_and_line),
        cmocka_unit_test(ten_thousand_idle_connections_keep_nobody_waiting),
        cmocka_unit_test(a_peer_that_sends_byte_by_byte_is_understood),
        cmocka_unit_test(a_peer_that_never_reads_is_shown_out),
        cmocka_unit_test(a_line_without_an_end_is_rejected_once_and_the_next_one_taken),
        cmocka_unit_test(a_full_disk_acknowledges_nothing_answers_questions_and_goes_on_when_there_is_room),
        cmocka_unit_test(peers_over_the_limit_are_refused_and_room_is_given_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
