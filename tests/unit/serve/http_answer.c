/* An answer over HTTP in pieces: every rule that serve/http_answer.h names, whole, byte by byte and cut anywhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "serve/http_answer.h"
#include "serve/http_fetch.h"

#define TEST(name) static void name(void **state)
#define UNUSED     (void)state
#define OK         "HTTP/1.1 200 OK\r\n"

/* In pieces of `step` bytes, then the end. Returns what came of it. */
static int read_in(struct yd_http_answer *answer, const char *text, size_t size, size_t step, size_t body_max)
{
    int r = 0;
    yd_http_answer_begin(answer, body_max, NULL);
    for (size_t at = 0; at < size && r == 0; at += step) {
        size_t part = size - at < step ? size - at : step;
        char *copy = malloc(part); /* exactly so many bytes, for the sanitizers */
        memcpy(copy, text + at, part);
        r = yd_http_answer_take(answer, (struct yd_str){copy, part});
        free(copy);
    }
    return r ? r : yd_http_answer_ended(answer);
}

static void expect_body(const char *text, const char *body)
{
    for (size_t step = 1; step <= strlen(text); step = step < 8 ? step + 1 : step * 3) {
        struct yd_http_answer answer;
        int r = read_in(&answer, text, strlen(text), step, 100);
        if (r != 1) fail_msg("%d (%s): %s", r, answer.why, text);
        assert_int_equal(answer.status, 200);
        assert_true(yd_str_eq(yd_buf_view(&answer.body), yd_str_of(body)));
        yd_http_answer_fini(&answer);
    }
}

static void expect_error(const char *text, int error, const char *why)
{
    for (size_t step = 1; step <= strlen(text) + 1; step = step < 8 ? step + 1 : step * 3) {
        struct yd_http_answer answer;
        assert_int_equal(read_in(&answer, text, strlen(text), step, 100), error);
        assert_string_equal(answer.why, why);
        yd_http_answer_fini(&answer);
    }
}

TEST(bodies_end_by_their_length_by_chunks_or_with_the_connection)
{
    UNUSED;
    expect_body(OK "Content-Length: 5\r\n\r\nhello", "hello");
    expect_body(OK "content-length:5 \r\nContent-Length: 5\r\n\r\nhello and more", "hello");
    expect_body(OK "Content-Length: 0\r\n\r\n", "");
    expect_body(OK "\r\nhello", "hello");
    expect_body("HTTP/1.0 200\nX: y\n\nhello", "hello");
    expect_body(OK "Transfer-Encoding: Chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nTrailer: x\r\n\r\n", "hello");
    expect_body(OK "Transfer-Encoding: chunked\r\n\r\n05 \r\nhello\r\n0\r\n\r\nmore", "hello");
    expect_body("HTTP/1.1 100 Continue\r\nContent-Length: 3\r\n\r\n" OK "Content-Length: 5\r\n\r\nhello", "hello");
}

TEST(what_the_headers_say_is_kept)
{
    UNUSED;
    struct yd_http_answer answer;
    const char *text =
        "HTTP/1.1 503 No\r\nContent-Type:  text/plain; x \r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx";
    assert_int_equal(read_in(&answer, text, strlen(text), 3, 100), 1);
    assert_int_equal(answer.status, 503);
    assert_string_equal(answer.type, "text/plain; x");
    assert_true(answer.gzip);
    yd_http_answer_fini(&answer);
    text = "HTTP/1.1 204 None\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_int_equal(read_in(&answer, text, strlen(text), 3, 100), 1);
    assert_int_equal(answer.status, 204);
    yd_http_answer_fini(&answer);
}

TEST(what_is_no_answer_is_refused_with_why)
{
    UNUSED;
    expect_error("hello world, this is no HTTP\r\n", YD_EFORMAT, "an answer that is not HTTP");
    expect_error("HTTP/1.1 2x0 OK\r\n", YD_EFORMAT, "an answer that is not HTTP");
    expect_error("HTTP/1.1 2000\r\n", YD_EFORMAT, "an answer that is not HTTP");
    expect_error("\r\n", YD_EFORMAT, "an answer that is not HTTP");
    expect_error(OK "nonsense\r\n", YD_EFORMAT, "a header that is none");
    expect_error(OK "Content-Length: -1\r\n", YD_EFORMAT, "a bad Content-Length");
    expect_error(OK "Content-Length: 1\r\nContent-Length: 2\r\n", YD_EFORMAT, "a bad Content-Length");
    expect_error(OK "Content-Length: 99999999999999999999\r\n", YD_EFORMAT, "a bad Content-Length");
    expect_error(OK "Transfer-Encoding: gzip, chunked\r\n", YD_ENOTSUP, "a Transfer-Encoding other than chunked");
    expect_error(OK "Content-Encoding: br\r\n", YD_ENOTSUP, "a Content-Encoding other than gzip");
    expect_error(OK "Transfer-Encoding: chunked\r\n\r\nx\r\n", YD_EFORMAT, "a bad chunk");
    expect_error(OK "Transfer-Encoding: chunked\r\n\r\n\r\n", YD_EFORMAT, "a bad chunk");
    expect_error(OK "Transfer-Encoding: chunked\r\n\r\n1 x\r\n", YD_EFORMAT, "a bad chunk");
    expect_error(OK "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", YD_EFORMAT, "a bad chunk");
}

TEST(what_is_cut_short_is_never_taken_for_whole)
{
    UNUSED;
    static const char *const texts[] = {OK "Content-Length: 5\r\n\r\nhello",
                                        OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"};
    for (size_t i = 0; i < 2; i++)
        for (size_t size = 0; size < strlen(texts[i]); size++) {
            struct yd_http_answer answer;
            assert_int_equal(read_in(&answer, texts[i], size, 1000, 100), YD_EFORMAT);
            assert_string_equal(answer.why, size < 17 ? "no answer" : "an answer that was cut short");
            yd_http_answer_fini(&answer);
        }
}

TEST(limits_are_met_before_memory_is_taken)
{
    UNUSED;
    expect_error(OK "Content-Length: 101\r\n\r\n", YD_ETOOBIG, "a body over the limit");
    expect_error(OK "Content-Length: 18446744073709551615\r\n\r\n", YD_ETOOBIG, "a body over the limit");
    expect_error(OK "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", YD_ETOOBIG, "a body over the limit");
    expect_error(OK "Transfer-Encoding: chunked\r\n\r\n10000000000000000000000\r\n", YD_ETOOBIG,
                 "a body over the limit");
    expect_error(OK "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n64\r\n", YD_ETOOBIG, "a body over the limit");
    char text[20000];
    memset(text, 'x', sizeof text);
    memcpy(text, OK "\r\n", 19);
    struct yd_http_answer answer;
    assert_int_equal(read_in(&answer, text, sizeof text, 7, 100), YD_ETOOBIG);
    assert_true(answer.body.size <= 100);
    yd_http_answer_fini(&answer);
    memcpy(text, OK "X: ", 20); /* one header without an end */
    assert_int_equal(read_in(&answer, text, sizeof text, 7, 100), YD_ETOOBIG);
    assert_string_equal(answer.why, "headers over the limit");
    yd_http_answer_fini(&answer);
    for (size_t i = 17; i + 4 < sizeof text; i += 4) memcpy(text + i, "X:y\n", 4); /* many of them */
    assert_int_equal(read_in(&answer, text, sizeof text, 100, 100), YD_ETOOBIG);
    yd_http_answer_fini(&answer);
    static const char trailers[] = OK "Transfer-Encoding: chunked\r\n\r\n0\r\n";
    memcpy(text, trailers, sizeof trailers - 1);
    for (size_t i = sizeof trailers - 1; i + 4 < sizeof text; i += 4) memcpy(text + i, "X:y\n", 4);
    assert_int_equal(read_in(&answer, text, sizeof text, 100, 100), YD_ETOOBIG);
    yd_http_answer_fini(&answer);
}

TEST(a_body_of_very_many_small_chunks_is_no_head)
{
    UNUSED;
    struct yd_buf text;
    struct yd_http_answer answer;
    yd_buf_init(&text, NULL);
    yd_buf_cstr(&text, OK "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 10000; i++) yd_buf_cstr(&text, "1\r\nx\r\n");
    yd_buf_cstr(&text, "0\r\n\r\n");
    assert_int_equal(read_in(&answer, text.data, text.size, 1000, 10000), 1);
    assert_int_equal(answer.body.size, 10000);
    yd_http_answer_fini(&answer);
    yd_buf_fini(&text);
}

/* ---- addresses ---- */

static void expect_url(const char *text, const char *address, const char *host, const char *path)
{
    struct yd_fetch_url url;
    struct yd_trail trail = {0};
    if (yd_fetch_url_parse(yd_str_of(text), YD_STR("/metrics"), &url, &trail) < 0)
        fail_msg("%s", yd_trail_text(&trail));
    assert_string_equal(url.address, address);
    assert_string_equal(url.host, host);
    assert_string_equal(url.path, path);
    assert_int_equal(url.secure, strncmp(text, "https:", 6) == 0);
    const char *name = *host == '[' ? "::1" : host;
    assert_int_equal(strncmp(url.name, name, strlen(url.name)), 0);
    assert_true(strlen(url.name) == strcspn(name, *host == '[' ? "" : ":"));
}

TEST(urls_are_taken_apart)
{
    UNUSED;
    expect_url("127.0.0.1:9100", "127.0.0.1:9100", "127.0.0.1:9100", "/metrics");
    expect_url("localhost", "localhost:80", "localhost", "/metrics");
    expect_url("web1.example:9100", "web1.example:9100", "web1.example:9100", "/metrics");
    expect_url("http://web1.example", "web1.example:80", "web1.example", "/metrics");
    expect_url("http://web1.example/", "web1.example:80", "web1.example", "/");
    expect_url("http://[::1]:9100/a/b?c=d", "[::1]:9100", "[::1]:9100", "/a/b?c=d");
    expect_url("[::1]", "[::1]:80", "[::1]", "/metrics");
    expect_url("https://web1.example", "web1.example:443", "web1.example", "/metrics");
    expect_url("https://[::1]/x", "[::1]:443", "[::1]", "/x");
    expect_url("unix:/run/x.sock", "unix:/run/x.sock", "localhost", "/metrics");
}

TEST(what_is_no_url_is_refused)
{
    UNUSED;
    static const char *const texts[] = {
        "",         "https://a:x", "http://",   "a:1/x",  "http://a:x",       "http://a b:1",
        ":9100",    "ftp://a:1",   "1.2.3:1",   "unix:",  "http://a:1/x y",   "http://a:1/#x",
        "http:///", "a:99999",     "http://:1", "a\r\nb", "http://a:1/x\r\ny"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct yd_fetch_url url;
        struct yd_trail trail = {0};
        if (yd_fetch_url_parse(yd_str_of(texts[i]), YD_STR("/metrics"), &url, &trail) != YD_EFORMAT)
            fail_msg("'%s' was taken", texts[i]);
        assert_true(trail.size > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_end_by_their_length_by_chunks_or_with_the_connection),
        cmocka_unit_test(what_the_headers_say_is_kept),
        cmocka_unit_test(what_is_no_answer_is_refused_with_why),
        cmocka_unit_test(what_is_cut_short_is_never_taken_for_whole),
        cmocka_unit_test(limits_are_met_before_memory_is_taken),
        cmocka_unit_test(a_body_of_very_many_small_chunks_is_no_head),
        cmocka_unit_test(urls_are_taken_apart),
        cmocka_unit_test(what_is_no_url_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
