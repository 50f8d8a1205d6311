/* Print and Null: what goes out of the process, and what goes nowhere. */
#include "tested.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

/* Standard output as a pipe, while something runs. */
struct captured {
    int kept, ends[2];
};

static void capture(struct captured *c)
{
    (void)fflush(stdout);
    c->kept = dup(STDOUT_FILENO);
    assert_int_equal(pipe(c->ends), 0);
    assert_true(dup2(c->ends[1], STDOUT_FILENO) >= 0);
    close(c->ends[1]);
}

static void give_back(struct captured *c, char *to, size_t size)
{
    assert_true(dup2(c->kept, STDOUT_FILENO) >= 0); /* closes the pipe's end, too */
    close(c->kept);
    ssize_t got = to ? read(c->ends[0], to, size - 1) : 0;
    assert_true(got >= 0);
    if (to) to[got] = 0;
    close(c->ends[0]);
}

static void expect_printed(const char *args, struct yd_batch *batch, const char *wanted)
{
    struct tested t;
    struct captured c;
    char text[200], printed[4096];
    (void)snprintf(text, sizeof text, "s :: Lines(path: \"none\", follow: true) -> p :: Print(%s)\n", args);
    tested_open(&t);
    tested_start(&t, text);
    tested_feed(&t, "p", batch);
    capture(&c);
    tested_run(&t, YD_NS_PER_S);
    give_back(&c, printed, sizeof printed);
    assert_string_equal(printed, wanted);
    assert_int_equal(input_of(&t, "p", "input").queued, 0);
    assert_int_equal(input_of(&t, "p", "input").dropped, 0);
    tested_close(&t);
}

static void each_form_is_one_line_a_record(void **state)
{
    (void)state;
    static const char *const values[] = {"a\"b\n", "", NULL};
    expect_printed("", samples("a b=c", 7, 2), "1970-01-01T00:00:01Z a b=c 7\n1970-01-01T00:00:01Z a b=c 8\n");
    expect_printed("format: value", samples("a", 7, 1), "7\n");
    expect_printed("format: json", samples("a", 7, 1),
                   "{\"time\":\"1970-01-01T00:00:01Z\",\"name\":\"a\",\"kind\":\"SAMPLE\",\"value\":7}\n");
    expect_printed("format: value", rows("k", values), "{\"k\":\"a\\\"b\\n\"}\n{\"k\":\"\"}\n");
}

static void a_reader_that_is_gone_is_said_once_and_answered_as_failed(void **state)
{
    (void)state;
    struct tested t;
    struct captured c;
    (void)signal(SIGPIPE, SIG_IGN);
    tested_open(&t);
    tested_start(&t, "s :: Lines(path: \"none\", follow: true) -> p :: Print()\n");
    capture(&c);
    close(c.ends[0]);
    c.ends[0] = open("/dev/null", O_RDONLY);
    for (int i = 0; i < 3; i++) tested_feed(&t, "p", samples("a", i, 2));
    tested_run(&t, YD_NS_PER_S);
    give_back(&c, NULL, 0);
    assert_int_equal(input_of(&t, "p", "input").dropped, 6);
    expect_said(&t, "p: standard output: closed; what cannot be printed is dropped");
    assert_null(strstr(strstr(t.said, "standard output") + 1, "standard output"));
    tested_drain(&t);
    tested_close(&t);
}

static void a_cursor_stays_in_front_of_a_reader_that_is_gone(void **state)
{
    (void)state;
    static const char topology[] =
        "s :: Lines(path: \"none\", follow: true) -> l :: Log(stream: \"x\") -> p :: Print(format: value)\n";
    struct tested t;
    struct captured c;
    char printed[4096];
    (void)signal(SIGPIPE, SIG_IGN);
    tested_open(&t);
    tested_start(&t, topology);
    capture(&c);
    close(c.ends[0]);
    c.ends[0] = open("/dev/null", O_RDONLY);
    tested_feed(&t, "l", samples("a", 1, 2));
    tested_run(&t, YD_NS_PER_S);
    give_back(&c, NULL, 0);
    tested_drain(&t);
    tested_stop(&t);
    capture(&c);
    tested_start(&t, topology);
    tested_run(&t, YD_NS_PER_S);
    give_back(&c, printed, sizeof printed);
    assert_string_equal(printed, "1\n2\n");
    tested_close(&t);
}

static void null_consumes_everything_and_counts_it_as_folded(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    tested_start(&t, "s :: Lines(path: \"none\", follow: true) -> l :: Log(stream: \"x\") -> n :: Null()\n");
    for (int i = 0; i < 10; i++) tested_feed(&t, "l", samples("a", i, 3));
    tested_run(&t, YD_NS_PER_S);
    assert_int_equal(input_of(&t, "n", "input").consumed, 30);
    assert_int_equal(input_of(&t, "n", "input").folded, 30);
    tested_drain(&t); /* all was acknowledged, so nothing comes again */
    tested_stop(&t);
    tested_start(&t, "s :: Lines(path: \"none\", follow: true) -> l :: Log(stream: \"x\") -> n :: Null()\n");
    tested_run(&t, YD_NS_PER_S);
    assert_int_equal(input_of(&t, "n", "input").received, 0);
    tested_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_form_is_one_line_a_record),
        cmocka_unit_test(a_reader_that_is_gone_is_said_once_and_answered_as_failed),
        cmocka_unit_test(a_cursor_stays_in_front_of_a_reader_that_is_gone),
        cmocka_unit_test(null_consumes_everything_and_counts_it_as_folded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
