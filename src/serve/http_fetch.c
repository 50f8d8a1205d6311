/* A GET on our loop: see http_fetch.h. What can fail ends in `finish`, once for each request. A name that a resolver
 * still looks up when the time is over is left to it: until it has answered nothing new begins. */
#include "serve/http_fetch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "serve/http_answer.h"
#include "serve/inflate.h"

#define ROOM ((size_t)32 << 10)

struct yd_fetch {
    struct yd_fetch_options options;
    struct yd_lane *lane; /* NULL: its host is an address */
    struct yd_timer *timer;
    struct yd_stream *stream;
    struct yd_http_answer answer;
    struct yd_address address;
    char *room; /* while a request is going on */
    bool active, finding, dying;
    unsigned attempt;
    int64_t begun_ns;
    int find_error; /* the lane's, until it is back in the loop */
    struct yd_trail find_trail;
    void (*gone)(void *arg);
    void *gone_arg;
};

/* ---- addresses ---- */

static int bad_url(struct yd_trail *trail, struct yd_str text, const char *why)
{
    return yd_trail_add(trail, YD_EFORMAT, "\"%.*s\" %s: write HOST:PORT, http://HOST:PORT/path or unix:PATH",
                        YD_STR_FMT(text), why);
}

int yd_fetch_url_parse(struct yd_str text, struct yd_str path, struct yd_fetch_url *ret, struct yd_trail *trail)
{
    struct yd_str rest = text;
    struct yd_trail ours = {0};
    bool local = yd_str_starts(text, YD_STR("unix:")), url = yd_str_starts(text, YD_STR("http://"));
    *ret = (struct yd_fetch_url){.named = false};
    if (yd_str_starts(text, YD_STR("https://"))) return bad_url(trail, text, "asks for TLS, which is not spoken here");
    if (url) rest = (struct yd_str){text.data + 7, text.size - 7};
    const char *slash = rest.size && !local ? memchr(rest.data, '/', rest.size) : NULL;
    if (slash && !url) return bad_url(trail, text, "has a path without http:// before it");
    if (slash) path = (struct yd_str){slash, (size_t)(rest.data + rest.size - slash)};
    if (slash) rest.size = (size_t)(slash - rest.data);
    if (path.size == 0 || *path.data != '/' || path.size >= sizeof ret->path)
        return bad_url(trail, text, "has a path that does not begin with / or is too long");
    for (size_t i = 0; i < path.size; i++)
        if (path.data[i] <= ' ' || path.data[i] > '~' || path.data[i] == '#')
            return bad_url(trail, text, "has a path with bytes that must be escaped by %");
    if (rest.size == 0 || rest.size > 260) return bad_url(trail, text, "has no host");
    bool port = local || memchr(rest.data, ':', rest.size);
    if (*rest.data == '[') port = rest.data[rest.size - 1] != ']';
    (void)snprintf(ret->path, sizeof ret->path, "%.*s", YD_STR_FMT(path));
    (void)snprintf(ret->host, sizeof ret->host, "%.*s", YD_STR_FMT(local ? YD_STR("localhost") : rest));
    (void)snprintf(ret->address, sizeof ret->address, "%.*s%s", YD_STR_FMT(rest), port ? "" : ":80");
    if (yd_address_check(yd_str_of(ret->address), &ret->named, &ours) == 0 && *ret->address != ':') return 0;
    return bad_url(trail, text, "is no address");
}

/* ---- the end of a request ---- */

static void clear(struct yd_fetch *fetch)
{
    fetch->active = false;
    yd_timer_stop(fetch->timer);
    yd_stream_close(fetch->stream);
    fetch->stream = NULL;
    yd_http_answer_fini(&fetch->answer);
    free(fetch->room);
    fetch->room = NULL;
}

static void finish(struct yd_fetch *fetch, int error, const char *why)
{
    struct yd_http_answer *answer = &fetch->answer;
    struct yd_buf plain;
    struct yd_fetched fetched = {.error = error,
                                 .why = why,
                                 .status = answer->status,
                                 .type = answer->type,
                                 .body = yd_buf_view(&answer->body),
                                 .took_ns = yd_loop_mono(fetch->options.loop) - fetch->begun_ns};
    yd_buf_init(&plain, NULL);
    if (error == 0 && answer->gzip && answer->body.size) {
        error = yd_inflate(yd_buf_view(&answer->body), fetch->options.body_max, &plain);
        fetched.error = error;
        fetched.why = error == YD_EFORMAT   ? "a gzip body that is damaged"
                      : error == YD_ETOOBIG ? "a body over the limit"
                                            : "out of memory";
        fetched.body = yd_buf_view(&plain);
    }
    /* The connection is over before `done` hears of it; the answer it hears of is still there. */
    struct yd_http_answer kept = *answer;
    fetched.type = kept.type;
    yd_http_answer_begin(answer, 0, NULL);
    clear(fetch);
    fetch->options.done(fetch->options.arg, &fetched); /* may begin the next, or destroy */
    yd_http_answer_fini(&kept);
    yd_buf_fini(&plain);
}

/* ---- the connection ---- */

static void room(void *arg, char **ret_to, size_t *ret_size)
{
    struct yd_fetch *fetch = arg;
    *ret_to = fetch->room;
    *ret_size = ROOM;
}

static void data(void *arg, size_t size)
{
    struct yd_fetch *fetch = arg;
    int r = yd_http_answer_take(&fetch->answer, (struct yd_str){fetch->room, size});
    if (r) finish(fetch, r < 0 ? r : 0, fetch->answer.why);
}

static void ended(void *arg, int error)
{
    struct yd_fetch *fetch = arg;
    bool whole = error == YD_EEOF && yd_http_answer_ended(&fetch->answer) > 0;
    if (whole)
        finish(fetch, 0, NULL);
    else if (error == YD_EEOF)
        finish(fetch, YD_EFORMAT, fetch->answer.why);
    else
        finish(fetch, error, fetch->answer.status ? "the connection broke off" : yd_error_text(error));
}

static void connected(void *arg)
{
    struct yd_fetch *fetch = arg;
    const struct yd_fetch_url *url = fetch->options.url;
    char request[1200];
    int size = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: yarder/" YARDER_VERSION
                        "\r\nAccept-Encoding: gzip\r\nConnection: close\r\n",
                        url->path, url->host);
    int r = yd_stream_write(fetch->stream, (struct yd_str){request, (size_t)size});
    if (r == 0) r = yd_stream_write(fetch->stream, yd_str_of(fetch->options.headers ? fetch->options.headers : ""));
    if (r == 0) r = yd_stream_write(fetch->stream, YD_STR("\r\n"));
    if (r < 0) finish(fetch, r, yd_error_text(r));
}

static void connect_(struct yd_fetch *fetch)
{
    static const struct yd_stream_ops ops = {.room = room, .data = data, .ended = ended, .connected = connected};
    struct yd_trail trail = {0};
    int r = yd_connect(fetch->options.loop, &fetch->address, &ops, fetch, &fetch->stream, &trail);
    if (r < 0) finish(fetch, r, yd_error_text(r));
}

/* ---- the name ---- */

static void find(void *arg) /* on a file thread */
{
    struct yd_fetch *fetch = arg;
    fetch->find_trail = (struct yd_trail){0};
    fetch->find_error = yd_address_find(fetch->options.loop, yd_str_of(fetch->options.url->address), fetch->attempt,
                                        &fetch->address, &fetch->find_trail);
}

static void release(struct yd_fetch *fetch)
{
    void (*gone)(void *arg) = fetch->gone;
    void *arg = fetch->gone_arg;
    if (fetch->lane) yd_lane_close(fetch->lane);
    yd_timer_close(fetch->timer);
    free(fetch);
    if (gone) gone(arg);
}

static void found(void *arg)
{
    struct yd_fetch *fetch = arg;
    fetch->finding = false;
    if (fetch->dying)
        release(fetch);
    else if (fetch->active && fetch->find_error)
        finish(fetch, fetch->find_error, yd_trail_text(&fetch->find_trail));
    else if (fetch->active)
        connect_(fetch);
}

/* ---- requests ---- */

/* Of the timer: at first, when a request begins (so that `done` never comes from inside yd_fetch_begin), then when its
 * time is over. */
static void on_timer(void *arg)
{
    struct yd_fetch *fetch = arg;
    int64_t over = fetch->begun_ns + fetch->options.timeout_ns;
    if (!fetch->active) return;
    if (fetch->stream || fetch->finding) {
        finish(fetch, YD_ETIMEOUT, fetch->finding ? "its name is not found in time" : "no whole answer in time");
        return;
    }
    yd_timer_start(fetch->timer, over);
    fetch->room = malloc(ROOM);
    if (!fetch->room) {
        finish(fetch, YD_ENOMEM, "out of memory");
    } else if (!fetch->lane) {
        connect_(fetch);
    } else {
        fetch->finding = true;
        fetch->attempt++;
        if (yd_lane_submit(fetch->lane, find, fetch->options.loop, found, fetch) == 0) return;
        fetch->finding = false;
        finish(fetch, YD_ENOMEM, "out of memory");
    }
}

bool yd_fetch_begin(struct yd_fetch *fetch)
{
    if (fetch->active || fetch->finding) return false;
    fetch->active = true;
    fetch->begun_ns = yd_loop_mono(fetch->options.loop);
    yd_http_answer_begin(&fetch->answer, fetch->options.body_max, NULL);
    yd_timer_start(fetch->timer, fetch->begun_ns);
    return true;
}

int yd_fetch_create(const struct yd_fetch_options *options, struct yd_fetch **ret_fetch)
{
    struct yd_fetch *fetch = calloc(1, sizeof *fetch);
    struct yd_trail trail = {0};
    if (!fetch) return YD_ENOMEM;
    fetch->options = *options;
    int r = 0;
    if (options->url->named)
        r = yd_lane_open(options->pool, &fetch->lane);
    else
        r = yd_address_parse(yd_str_of(options->url->address), &fetch->address, &trail);
    if (r == 0) r = yd_timer_create(options->loop, on_timer, fetch, &fetch->timer);
    if (r < 0) {
        if (fetch->lane) yd_lane_close(fetch->lane);
        free(fetch);
        return r;
    }
    *ret_fetch = fetch;
    return 0;
}

void yd_fetch_destroy(struct yd_fetch *fetch, void (*gone)(void *arg), void *arg)
{
    if (fetch->active) clear(fetch);
    fetch->dying = true;
    fetch->gone = gone;
    fetch->gone_arg = arg;
    if (!fetch->finding) release(fetch); /* else when the resolver has answered */
}
