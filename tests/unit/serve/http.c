/* The HTTP server over real sockets on a real loop, all in one thread: what requests arrive as, what answers leave as,
 * what breaks a limit. Inflating alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "serve/http.h"
#include "serve/inflate.h"

/* ---- a server and a client on one loop ---- */

struct world {
    struct yd_loop *loop;
    struct yd_listener *listener;
    struct yd_http *http;
    struct yd_address at;
    void (*on_request)(struct world *world, struct yd_http_request *request);
    struct yd_http_request *kept;
    unsigned seen;
    char text[512];
};

struct client {
    struct yd_stream *stream;
    struct yd_buf in;
    char room[65536];
    bool ended;
};

static void on_accept(void *arg, struct yd_stream *stream, const struct yd_address *peer)
{
    assert_int_equal(yd_http_take(((struct world *)arg)->http, stream, peer), 0);
}

static void on_request(void *arg, struct yd_http_request *request)
{
    struct world *world = arg;
    world->seen++;
    world->on_request(world, request);
}

static void open_world(struct world *world, struct yd_http_options options,
                       void (*handler)(struct world *, struct yd_http_request *))
{
    static const struct yd_listener_ops ops = {.accept = on_accept};
    memset(world, 0, sizeof *world);
    world->on_request = handler;
    assert_int_equal(yd_loop_create_uv(&world->loop), 0);
    options.loop = world->loop;
    options.request = on_request;
    options.arg = world;
    assert_int_equal(yd_http_create(&options, &world->http), 0);
    assert_int_equal(yd_address_parse(YD_STR("127.0.0.1:0"), &world->at, NULL), 0);
    assert_int_equal(yd_listen(world->loop, &world->at, &ops, world, &world->listener, NULL), 0);
    yd_listener_address(world->listener, &world->at);
}

static void close_world(struct world *world)
{
    if (world->http) yd_http_destroy(world->http);
    yd_listener_close(world->listener);
    while (yd_loop_run(world->loop, 0) > 0) {
    }
    yd_loop_destroy(world->loop);
}

static void client_room(void *arg, char **to, size_t *size)
{
    struct client *client = arg;
    *to = client->room;
    *size = sizeof client->room;
}
static void client_data(void *arg, size_t size)
{
    struct client *client = arg;
    yd_buf_add(&client->in, client->room, size);
}
static void client_ended(void *arg, int error)
{
    (void)error;
    ((struct client *)arg)->ended = true;
}
static const struct yd_stream_ops client_ops = {.room = client_room, .data = client_data, .ended = client_ended};

static struct client *dial(struct world *world)
{
    struct client *client = calloc(1, sizeof *client);
    yd_buf_init(&client->in, NULL);
    assert_int_equal(yd_connect(world->loop, &world->at, &client_ops, client, &client->stream, NULL), 0);
    return client;
}

static void say(struct client *client, const char *data, size_t size)
{
    assert_int_equal(yd_stream_write(client->stream, (struct yd_str){data, size}), 0);
}

static const char *text_of(struct client *client)
{
    yd_buf_char(&client->in, 0);
    client->in.size--;
    return client->in.data;
}

/* Runs the loop until the client's input holds `text`, or it has ended (text NULL). */
static void await(struct world *world, struct client *client, const char *text)
{
    int64_t end = yd_clock_mono() + 10 * YD_NS_PER_S;
    while (text ? !strstr(text_of(client), text) : !client->ended) {
        if (yd_clock_mono() > end) fail_msg("nothing more after: %s", text_of(client));
        (void)yd_loop_run(world->loop, 100 * YD_NS_PER_MS);
    }
}

static void hang_up(struct client *client)
{
    yd_stream_close(client->stream);
    yd_buf_fini(&client->in);
    free(client);
}

static void expect_answer(struct world *world, const char *request, const char *const *parts)
{
    struct client *client = dial(world);
    say(client, request, strlen(request));
    await(world, client, NULL);
    for (; *parts; parts++)
        if (!strstr(text_of(client), *parts)) fail_msg("'%s' is not in: %s", *parts, text_of(client));
    hang_up(client);
}
#define expect(world, request, ...) expect_answer(world, request, (const char *const[]){__VA_ARGS__, NULL})

/* Tells what it saw. */
static void echo(struct world *world, struct yd_http_request *request)
{
    struct yd_str body = yd_http_body(request), a = yd_http_argument(request, "a"),
                  flag = yd_http_argument(request, "flag");
    struct yd_str agent = yd_http_header(request, "user-agent");
    char text[4096];
    (void)world;
    int size = snprintf(text, sizeof text, "[%.*s][%.*s][a=%.*s][flag=%s][ua=%.*s][%.*s]",
                        YD_STR_FMT(yd_http_method(request)), YD_STR_FMT(yd_http_path(request)), YD_STR_FMT(a),
                        flag.data ? "yes" : "no", YD_STR_FMT(agent), YD_STR_FMT(body));
    yd_http_answer(request, 200, "text/plain", (struct yd_str){text, (size_t)size});
}

#define CLOSE "Connection: close\r\n\r\n"

static void a_request_arrives_whole_with_arguments_headers_and_body(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, (struct yd_http_options){0}, echo);
    expect(&world, "GET /x%20y?a=1%2B1&flag HTTP/1.1\r\nHost: h\r\nUser-Agent: t\r\n" CLOSE, "HTTP/1.1 200",
           "[GET][/x y][a=1+1][flag=yes][ua=t][]");
    expect(&world, "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n" CLOSE "hello",
           "[POST][/p][a=][flag=no][ua=][hello]");
    expect(&world,
           "PUT /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n" CLOSE "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
           "[PUT]", "[abcde]");
    close_world(&world);
}

static void a_connection_is_kept_for_the_next_request(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, (struct yd_http_options){0}, echo);
    struct client *client = dial(&world);
    const char *first = "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n", *second = "GET /2 HTTP/1.1\r\nHost: h\r\n" CLOSE;
    say(client, first, strlen(first));
    await(&world, client, "[/1]");
    say(client, second, strlen(second));
    await(&world, client, NULL);
    assert_non_null(strstr(text_of(client), "[/2]"));
    hang_up(client);
    close_world(&world);
}

static void keep(struct world *world, struct yd_http_request *request)
{
    world->kept = request;
}

static void run_until_kept(struct world *world)
{
    for (int i = 0; i < 100 && !world->kept; i++) (void)yd_loop_run(world->loop, 100 * YD_NS_PER_MS);
    assert_non_null(world->kept);
}

static void an_answer_may_come_later(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, (struct yd_http_options){0}, keep);
    struct client *client = dial(&world);
    const char *text = "GET /later HTTP/1.1\r\nHost: h\r\n" CLOSE;
    say(client, text, strlen(text));
    run_until_kept(&world);
    assert_int_equal(yd_http_requests(world.http), 1);
    for (int i = 0; i < 3; i++) (void)yd_loop_run(world.loop, 0);
    assert_int_equal(client->in.size, 0);
    yd_http_add_header(world.kept, "X-Extra", "yes");
    yd_http_answer(world.kept, 404, "text/plain", YD_STR("late"));
    await(&world, client, NULL);
    assert_non_null(strstr(text_of(client), "404"));
    assert_non_null(strstr(text_of(client), "X-Extra: yes"));
    assert_non_null(strstr(text_of(client), "\r\n\r\nlate"));
    assert_int_equal(yd_http_requests(world.http), 0);
    hang_up(client);
    close_world(&world);
}

static void an_answer_may_come_in_pieces_with_pauses_between(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, (struct yd_http_options){0}, keep);
    struct client *client = dial(&world);
    const char *text = "GET /pieces HTTP/1.1\r\nHost: h\r\n" CLOSE;
    say(client, text, strlen(text));
    run_until_kept(&world);
    yd_http_begin(world.kept, 200, "text/plain");
    struct yd_buf piece;
    yd_buf_init(&piece, NULL);
    for (int i = 0; i < 5; i++) {
        char word[32];
        (void)snprintf(word, sizeof word, "piece%d.", i);
        yd_buf_cstr(&piece, word);
        assert_true(yd_http_piece(world.kept, &piece) >= 0);
        await(&world, client, word);
        /* With nothing to say it must sleep, not spin. */
        assert_true(yd_loop_run(world.loop, 0) <= 2);
    }
    for (int i = 0; i < 100000; i++) yd_buf_cstr(&piece, "0123456789");
    assert_true(yd_http_piece(world.kept, &piece) >= 0);
    yd_http_end(world.kept, false);
    await(&world, client, NULL);
    assert_true(client->in.size > 1000000);
    assert_non_null(strstr(text_of(client), "\r\n0\r\n\r\n")); /* the last chunk: complete */
    yd_buf_fini(&piece);
    hang_up(client);
    close_world(&world);
}

static void a_broken_answer_is_seen_to_be_broken(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, (struct yd_http_options){0}, keep);
    struct client *client = dial(&world);
    const char *text = "GET /pieces HTTP/1.1\r\nHost: h\r\n\r\n";
    say(client, text, strlen(text));
    run_until_kept(&world);
    yd_http_begin(world.kept, 200, "text/plain");
    struct yd_buf piece;
    yd_buf_init(&piece, NULL);
    yd_buf_cstr(&piece, "half");
    (void)yd_http_piece(world.kept, &piece);
    await(&world, client, "half");
    yd_http_end(world.kept, true);
    await(&world, client, NULL);
    assert_null(strstr(text_of(client), "\r\n0\r\n\r\n"));
    yd_buf_fini(&piece);
    hang_up(client);
    close_world(&world);
}

static void a_peer_that_leaves_does_not_hurt_the_answer(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, (struct yd_http_options){0}, keep);
    for (int streaming = 0; streaming < 2; streaming++) {
        struct client *client = dial(&world);
        const char *text = "GET /gone HTTP/1.1\r\nHost: h\r\n\r\n";
        world.kept = NULL;
        say(client, text, strlen(text));
        run_until_kept(&world);
        hang_up(client);
        for (int i = 0; i < 3; i++) (void)yd_loop_run(world.loop, 0);
        if (streaming) {
            struct yd_buf piece;
            yd_buf_init(&piece, NULL);
            yd_http_begin(world.kept, 200, "text/plain");
            for (int i = 0; i < 20; i++) {
                for (int k = 0; k < 10000; k++) yd_buf_cstr(&piece, "0123456789");
                (void)yd_http_piece(world.kept, &piece);
                (void)yd_loop_run(world.loop, 0);
            }
            yd_http_end(world.kept, false);
            yd_buf_fini(&piece);
        } else {
            yd_http_answer(world.kept, 200, "text/plain", YD_STR("hello?"));
        }
        for (int i = 0; i < 3; i++) (void)yd_loop_run(world.loop, 0);
        assert_int_equal(yd_http_requests(world.http), 0);
    }
    close_world(&world);
}

static void gzip_bodies_are_inflated_and_bombs_refused(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, (struct yd_http_options){.body_max = 100000}, echo);
    struct yd_buf plain, packed, text;
    yd_buf_init(&plain, NULL);
    yd_buf_init(&packed, NULL);
    yd_buf_init(&text, NULL);
    for (int bomb = 0; bomb < 2; bomb++) {
        yd_buf_clear(&plain);
        yd_buf_clear(&packed);
        yd_buf_clear(&text);
        if (bomb)
            for (int i = 0; i < 1000000; i++) yd_buf_char(&plain, 'x');
        else
            yd_buf_cstr(&plain, "plain text");
        assert_int_equal(yd_deflate_gzip(yd_buf_view(&plain), &packed), 0);
        yd_buf_printf(&text, "POST / HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\nContent-Length: %zu\r\n" CLOSE,
                      packed.size);
        yd_buf_str(&text, yd_buf_view(&packed));
        struct client *client = dial(&world);
        say(client, text.data, text.size);
        await(&world, client, NULL);
        assert_non_null(strstr(text_of(client), bomb ? "413" : "[plain text]"));
        hang_up(client);
    }
    expect(&world, "POST / HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n" CLOSE "oops", "400",
           "damaged");
    expect(&world, "POST / HTTP/1.1\r\nHost: h\r\nContent-Encoding: br\r\nContent-Length: 4\r\n" CLOSE "oops", "415");
    yd_buf_fini(&plain);
    yd_buf_fini(&packed);
    yd_buf_fini(&text);
    close_world(&world);
}

static void a_body_over_the_limit_is_413_and_never_seen(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, (struct yd_http_options){.body_max = 10}, echo);
    expect(&world, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n" CLOSE "0123456789a", "413", "\"code\":413");
    expect(&world, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n" CLOSE "b\r\n0123456789a\r\n0\r\n\r\n",
           "413");
    /* Announced, and within twice the limit and a piece: read to its end, so that the peer reads why. */
    struct yd_buf text;
    yd_buf_init(&text, NULL);
    yd_buf_printf(&text, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n" CLOSE, 32768 + 20);
    for (int i = 0; i < 32768 + 20; i++) yd_buf_char(&text, 'x');
    yd_buf_char(&text, 0);
    expect(&world, text.data, "413");
    yd_buf_fini(&text);
    assert_int_equal(world.seen, 0);
    expect(&world, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n" CLOSE "0123456789", "200");
    close_world(&world);
}

static void garbage_and_huge_headers_are_refused(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, (struct yd_http_options){0}, echo);
    expect(&world, "NONSENSE\r\n\r\n", ""); /* closed */
    struct yd_buf text;
    yd_buf_init(&text, NULL);
    yd_buf_cstr(&text, "GET / HTTP/1.1\r\nHost: h\r\nX: ");
    for (int i = 0; i < 40000; i++) yd_buf_char(&text, 'x');
    yd_buf_cstr(&text, "\r\n\r\n");
    yd_buf_char(&text, 0);
    expect(&world, text.data, "431");
    yd_buf_fini(&text);
    assert_int_equal(world.seen, 0);
    close_world(&world);
}

static void cors_is_said_only_when_asked_for(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, (struct yd_http_options){.cors = "*"}, echo);
    expect(&world, "OPTIONS / HTTP/1.1\r\nHost: h\r\n" CLOSE, "204", "Access-Control-Allow-Origin: *");
    expect(&world, "GET / HTTP/1.1\r\nHost: h\r\n" CLOSE, "200", "Access-Control-Allow-Origin: *");
    close_world(&world);
    open_world(&world, (struct yd_http_options){0}, echo);
    struct client *client = dial(&world);
    const char *text = "GET / HTTP/1.1\r\nHost: h\r\n" CLOSE;
    say(client, text, strlen(text));
    await(&world, client, NULL);
    assert_null(strstr(text_of(client), "Access-Control"));
    hang_up(client);
    close_world(&world);
}

static void stopping_answers_what_waits(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, (struct yd_http_options){0}, keep);
    struct client *client = dial(&world);
    const char *text = "GET /late HTTP/1.1\r\nHost: h\r\n" CLOSE;
    say(client, text, strlen(text));
    run_until_kept(&world);
    yd_http_destroy(world.http);
    world.http = NULL;
    await(&world, client, NULL);
    assert_non_null(strstr(text_of(client), "503"));
    hang_up(client);
    close_world(&world);
}

static void inflating_stops_at_the_limit_and_at_damage(void **state)
{
    (void)state;
    struct yd_buf packed, plain;
    yd_buf_init(&packed, NULL);
    yd_buf_init(&plain, NULL);
    assert_int_equal(yd_deflate_gzip(YD_STR("hello hello hello"), &packed), 0);
    for (size_t cut = 0; cut < packed.size; cut++) {
        yd_buf_clear(&plain);
        assert_int_equal(yd_inflate((struct yd_str){packed.data, cut}, 1000, &plain), YD_EFORMAT);
    }
    yd_buf_clear(&plain);
    assert_int_equal(yd_inflate(yd_buf_view(&packed), 16, &plain), YD_ETOOBIG);
    yd_buf_clear(&plain);
    assert_int_equal(yd_inflate(yd_buf_view(&packed), 17, &plain), 0);
    assert_int_equal(plain.size, 17);
    /* Two members. */
    size_t one = packed.size;
    assert_int_equal(yd_deflate_gzip(YD_STR("!"), &packed), 0);
    assert_true(packed.size > one);
    yd_buf_clear(&plain);
    assert_int_equal(yd_inflate(yd_buf_view(&packed), 100, &plain), 0);
    assert_int_equal(plain.size, 18);
    yd_buf_fini(&packed);
    yd_buf_fini(&plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_arrives_whole_with_arguments_headers_and_body),
        cmocka_unit_test(a_connection_is_kept_for_the_next_request),
        cmocka_unit_test(an_answer_may_come_later),
        cmocka_unit_test(an_answer_may_come_in_pieces_with_pauses_between),
        cmocka_unit_test(a_broken_answer_is_seen_to_be_broken),
        cmocka_unit_test(a_peer_that_leaves_does_not_hurt_the_answer),
        cmocka_unit_test(gzip_bodies_are_inflated_and_bombs_refused),
        cmocka_unit_test(a_body_over_the_limit_is_413_and_never_seen),
        cmocka_unit_test(garbage_and_huge_headers_are_refused),
        cmocka_unit_test(cors_is_said_only_when_asked_for),
        cmocka_unit_test(stopping_answers_what_waits),
        cmocka_unit_test(inflating_stops_at_the_limit_and_at_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
