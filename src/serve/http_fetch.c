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
    struct yd_lane *lane; /* NULL: its host is an address, and there is no secret */
    struct yd_timer *timer;
    struct yd_stream *stream;
    struct yd_http_answer answer;
    struct yd_address address;
    char *room;     /* while a request is going on */
    char *secret;   /* the lane's, until it is back in the loop; NULL: there is none */
    char path[512]; /* the url's, or where its server sent us */
    char trouble[256];
    unsigned redirects;
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
    return yd_trail_add(trail, YD_EFORMAT, "\"%.*s\" %s: write HOST:PORT, http(s)://HOST:PORT/path or unix:PATH",
                        YD_STR_FMT(text), why);
}

/* The host without its port, and without the brackets of an IPv6 address. */
static void name_of(struct yd_fetch_url *url)
{
    bool bracket = *url->host == '[';
    size_t size = bracket ? strcspn(url->host, "]") : strcspn(url->host, ":");
    (void)snprintf(url->name, sizeof url->name, "%.*s", (int)(size - bracket), url->host + bracket);
}

int yd_fetch_url_parse(struct yd_str text, struct yd_str path, struct yd_fetch_url *ret, struct yd_trail *trail)
{
    struct yd_str rest = text;
    struct yd_trail ours = {0};
    bool local = yd_str_starts(text, YD_STR("unix:")), secure = yd_str_starts(text, YD_STR("https://"));
    bool url = secure || yd_str_starts(text, YD_STR("http://"));
    *ret = (struct yd_fetch_url){.secure = secure};
    if (url) rest = (struct yd_str){text.data + 7 + secure, text.size - 7 - secure};
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
    (void)snprintf(ret->address, sizeof ret->address, "%.*s%s", YD_STR_FMT(rest), port ? "" : secure ? ":443" : ":80");
    name_of(ret);
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

static void connect_(struct yd_fetch *fetch);

/* Another path of the same server, where the answer sends us; false: it does not, or too often, or away from here. */
static bool redirected(struct yd_fetch *fetch)
{
    const struct yd_fetch_url *url = fetch->options.url;
    const struct yd_http_answer *answer = &fetch->answer;
    struct yd_str to = yd_str_of(answer->location);
    struct yd_fetch_url next;
    struct yd_trail unused = {0};
    bool moved = answer->status >= 301 && answer->status <= 308 && answer->status != 304 && answer->status != 305;
    if (!moved || !to.size || fetch->redirects == YD_FETCH_REDIRECTS) return false;
    if (*to.data == '/' && to.size > 1 && to.data[1] == '/') return false; /* another host */
    if (*to.data == '/') {                                                 /* ours */
        struct yd_str here = {url->address, strlen(url->address)};
        if (yd_str_starts(here, YD_STR("unix:"))) here = YD_STR("localhost");
        if (yd_fetch_url_parse(here, to, &next, &unused) < 0) return false;
    } else {
        bool schemed = yd_str_starts(to, YD_STR("http://")) || yd_str_starts(to, YD_STR("https://"));
        if (!schemed || yd_fetch_url_parse(to, YD_STR("/"), &next, &unused) < 0) return false;
        if (next.secure != url->secure || strcmp(next.address, url->address) != 0) return false;
    }
    fetch->redirects++;
    (void)snprintf(fetch->path, sizeof fetch->path, "%s", next.path);
    return true;
}

/* The answer is whole, and not the last. */
static void go_on(struct yd_fetch *fetch)
{
    yd_stream_close(fetch->stream);
    fetch->stream = NULL;
    yd_http_answer_fini(&fetch->answer);
    yd_http_answer_begin(&fetch->answer, fetch->options.body_max, NULL);
    connect_(fetch);
}

static void finish(struct yd_fetch *fetch, int error, const char *why)
{
    if (error == 0 && redirected(fetch)) {
        go_on(fetch);
        return;
    }
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
    else if (yd_stream_tls_trouble(fetch->stream, fetch->trouble, sizeof fetch->trouble))
        finish(fetch, error, fetch->trouble);
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
                        fetch->path, url->host);
    int r = yd_stream_write(fetch->stream, (struct yd_str){request, (size_t)size});
    if (r == 0) r = yd_stream_write(fetch->stream, yd_str_of(fetch->options.headers ? fetch->options.headers : ""));
    if (r == 0 && fetch->secret) r = yd_stream_write(fetch->stream, yd_str_of(fetch->secret));
    if (r == 0) r = yd_stream_write(fetch->stream, YD_STR("\r\n"));
    if (r < 0) finish(fetch, r, yd_error_text(r));
}

static void connect_(struct yd_fetch *fetch)
{
    static const struct yd_stream_ops ops = {.room = room, .data = data, .ended = ended, .connected = connected};
    struct yd_trail trail = {0};
    int r = yd_connect(fetch->options.loop, &fetch->address, &ops, fetch, &fetch->stream, &trail);
    if (r == 0 && fetch->options.url->secure) {
        r = yd_stream_secure(&fetch->stream, fetch->options.tls, fetch->options.url->name);
        if (r == 0) yd_stream_start(fetch->stream, &ops, fetch);
    }
    if (r < 0) finish(fetch, r, yd_error_text(r));
}

/* ---- the name ---- */

static void find(void *arg) /* on a file thread */
{
    struct yd_fetch *fetch = arg;
    fetch->find_trail = (struct yd_trail){0};
    fetch->find_error = 0;
    if (fetch->secret) fetch->find_error = fetch->options.secret(fetch->options.arg, fetch->secret, &fetch->find_trail);
    if (fetch->find_error || !fetch->options.url->named) return;
    fetch->find_error = yd_address_find(fetch->options.loop, yd_str_of(fetch->options.url->address), fetch->attempt,
                                        &fetch->address, &fetch->find_trail);
}

static void release(struct yd_fetch *fetch)
{
    void (*gone)(void *arg) = fetch->gone;
    void *arg = fetch->gone_arg;
    if (fetch->lane) yd_lane_close(fetch->lane);
    yd_timer_close(fetch->timer);
    if (fetch->secret) explicit_bzero(fetch->secret, YD_FETCH_SECRET);
    free(fetch->secret);
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
    fetch->redirects = 0;
    (void)snprintf(fetch->path, sizeof fetch->path, "%s", fetch->options.url->path);
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
    YD_ASSERT(!options->url->secure || options->tls);
    if (options->secret && !(fetch->secret = calloc(1, YD_FETCH_SECRET))) r = YD_ENOMEM;
    if (r == 0 && (options->url->named || options->secret)) r = yd_lane_open(options->pool, &fetch->lane);
    if (r == 0 && !options->url->named) r = yd_address_parse(yd_str_of(options->url->address), &fetch->address, &trail);
    if (r == 0) r = yd_timer_create(options->loop, on_timer, fetch, &fetch->timer);
    if (r < 0) {
        if (fetch->lane) yd_lane_close(fetch->lane);
        free(fetch->secret);
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
