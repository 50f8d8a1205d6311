/* OpenTsdb's half that touches the world: see opentsdb.h.
 *
 *   connection --first byte--> telnet: line_server.h, mistakes told to the peer in OpenTSDB's words
 *                         \--> HTTP: put is parsed here and answered here; questions go to receive and come back
 *
 * Requests and their answers are the intake's (http_intake.h): puts wait for room, in order; questions do not. */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/hash.h"
#include "elements/graphite_web.h"
#include "elements/http_intake.h"
#include "elements/line_server.h"
#include "elements/opentsdb.h"
#include "elements/opentsdb_answer.h"
#include "elements/opentsdb_notes.h"
#include "elements/opentsdb_put.h"
#include "io/file.h"
#include "serve/json_in.h"

#define JSON_TYPE       "application/json; charset=UTF-8"
#define TEXT_TYPE       "text/plain; charset=UTF-8"
#define SCRIPT_TYPE     "application/javascript; charset=UTF-8"
#define PUT_BATCH_BYTES ((size_t)1 << 20)
#define ZONES           "/usr/share/zoneinfo"
#define ZONE_SIZE_MAX   ((size_t)64 << 10)
#define BACKLOG_MAX     (INT64_C(64) << 20) /* of an answer that its peer does not read */

/* What is remembered of a request until it is answered: the intake's `user`. */
struct asked {
    bool begun, dropped, summary, details, timed; /* timed: sync_timeout was given */
    char jsonp[64];
    struct yd_put_result result; /* put: what became of it */
    struct yd_batch *batch;      /* not a put: this is to be written, and then … */
    unsigned status;             /* … this is answered, */
    struct yd_buf body;          /* and this */
};

struct pump {
    struct yd_pump *pump;
    struct yd_loop *loop;
    struct yd_line_server *lines;
    struct yd_intake *intake; /* NULL on a simulated loop */
    struct yd_put *points;    /* HTTP's */
    struct yd_rejects *rejects;
    struct yd_intake_request *putting; /* whose body is being parsed */
    bool ask_wired;
    int64_t started_ns;
    struct yd_tsdb_wiring *wiring; /* shared with the other pumps */
};

static struct asked *asked_of(struct yd_intake_request *request)
{
    return request->user;
}

/* ---- answers ---- */

static void answer(struct yd_intake_request *request, unsigned status, struct yd_str body)
{
    const char *jsonp = asked_of(request)->jsonp;
    if (*jsonp && body.size) {
        struct yd_buf buf;
        yd_buf_init(&buf, NULL);
        yd_buf_printf(&buf, "%s(", jsonp);
        yd_buf_str(&buf, body);
        yd_buf_char(&buf, ')');
        yd_intake_answer(request, status, SCRIPT_TYPE, yd_buf_view(&buf));
        yd_buf_fini(&buf);
    } else {
        yd_intake_answer(request, status, body.size ? JSON_TYPE : NULL, body);
    }
}

static void answer_error(struct yd_intake_request *request, unsigned status, const char *message, struct yd_str details)
{
    struct yd_buf buf;
    yd_buf_init(&buf, NULL);
    yd_opentsdb_error(&buf, status, yd_str_of(message), details);
    answer(request, status, yd_buf_view(&buf));
    yd_buf_fini(&buf);
}

/* ---- put ---- */

static void count_rejected(struct pump *pump, unsigned reason, struct yd_str text, struct yd_str peer)
{
    yd_pump_count_rejected(pump->pump, reason, 1, text, peer);
    if (!pump->rejects) return;
    struct yd_batch *full =
        yd_rejects_add(pump->rejects, yd_pump_wall(pump->pump), yd_line_reasons[reason], peer, text);
    if (full) (void)yd_pump_emit(pump->pump, YD_TSDB_REJECTS, full); /* `pause` comes in any case */
}

static void on_rejected(void *arg, unsigned reason, struct yd_str point)
{
    struct pump *pump = arg;
    count_rejected(pump, reason, point, yd_http_peer(pump->putting->http));
}

static void send_batch(void *arg)
{
    struct pump *pump = arg;
    struct yd_intake_request *request = pump->putting;
    struct yd_batch *batch;
    uint32_t records = yd_put_count(pump->points);
    if (records == 0) return;
    int r = yd_put_seal(pump->points, &batch);
    if (r == 0) {
        yd_intake_batch(request, batch, records);
        return;
    }
    /* Lost, and said: to the counters and to the peer. */
    for (uint32_t i = 0; i < records; i++)
        count_rejected(pump, YD_LINE_NO_MEMORY, YD_STR(""), yd_http_peer(request->http));
    request->error = r;
}

static const char *lost_why(int error)
{
    if (error != YD_ENOTSUP) return yd_error_text(error);
    return "They were written, but what they are wired to does not make them durable; a Log does, or File(sync: true)";
}

/* Nobody asked for it to be durable: where nothing makes it so, written is enough. */
static void note_written(struct yd_intake_request *request, int error)
{
    struct asked *asked = asked_of(request);
    if (error && error != YD_ENOTSUP)
        answer_error(request, error == YD_ENOMEM ? 503 : 500, "Failed to save the Annotation to storage",
                     yd_str_of(yd_error_text(error)));
    else
        answer(request, asked->status, yd_buf_view(&asked->body));
}

/* Everything that was to be stored has been, or has not, or the time is over. */
static void on_written(void *arg, struct yd_intake_request *request, int error, bool late)
{
    struct asked *asked = asked_of(request);
    struct yd_buf buf;
    int64_t timeouts = late ? (int64_t)asked->result.success : 0;
    bool lost = error != 0 && !late;
    (void)arg;
    if (asked->status) {
        note_written(request, error);
        return;
    }
    if (late || lost) {
        if (lost) asked->result.failed += asked->result.success;
        asked->result.success = 0;
    }
    unsigned status = late ? 504 : lost ? 503 : asked->result.failed ? 400 : 200;
    if (!asked->summary && !asked->details) {
        if (late)
            answer_error(request, status, "The put call has timed out: the points may be stored yet", YD_STR(""));
        else if (lost)
            answer_error(request, status, "The points could not be stored durably", yd_str_of(lost_why(error)));
        else if (asked->result.failed)
            answer_error(request, status, "One or more data points had errors",
                         YD_STR("Append \"details\" to the put request to see which and why"));
        else
            answer(request, 204, YD_STR(""));
        return;
    }
    yd_buf_init(&buf, NULL);
    yd_put_summary(&asked->result, asked->timed ? timeouts : -1, asked->details, &buf);
    answer(request, status, yd_buf_view(&buf));
    yd_buf_fini(&buf);
}

/* There is room: the body's points into batches. */
static void on_write(void *arg, struct yd_intake_request *request)
{
    struct pump *pump = arg;
    struct asked *asked = asked_of(request);
    struct yd_put_options options = {
        .details = asked->details, .arg = pump, .full = send_batch, .rejected = on_rejected};
    if (asked->status) {
        struct yd_batch *batch = asked->batch;
        asked->batch = NULL;
        yd_intake_batch(request, batch, batch->header.count);
        return;
    }
    pump->putting = request;
    atomic_fetch_add_explicit(&pump->wiring->puts_http, 1, memory_order_relaxed);
    yd_put_origin(pump->points, yd_address_host(yd_http_peer(request->http)));
    yd_opentsdb_put(pump->points, yd_http_body(request->http), &options, &asked->result);
    send_batch(pump);
    if (pump->rejects) {
        struct yd_batch *rejected = yd_rejects_take(pump->rejects);
        if (rejected) (void)yd_pump_emit(pump->pump, YD_TSDB_REJECTS, rejected);
    }
    pump->putting = NULL;
    if (!asked->result.fatal) return;
    count_rejected(pump, YD_LINE_BAD_VALUE, yd_http_body(request->http), yd_http_peer(request->http));
    answer_error(request, 400, asked->result.fatal, yd_str_of(yd_trail_text(&asked->result.trail)));
}

static void put(struct pump *pump, struct yd_intake_request *request)
{
    struct asked *asked = asked_of(request);
    struct yd_str timeout = yd_http_argument(request->http, "sync_timeout");
    int64_t ms;
    asked->summary = yd_http_argument(request->http, "summary").data != NULL;
    asked->details = yd_http_argument(request->http, "details").data != NULL;
    request->sync = yd_http_argument(request->http, "sync").data != NULL;
    if (request->sync && timeout.data && yd_text_i64(timeout, &ms) == 0 && ms > 0) {
        asked->timed = true;
        request->deadline_ns = yd_loop_mono(pump->loop) + YD_MIN(ms, INT64_C(86400000)) * YD_NS_PER_MS;
    }
    yd_intake_write(request);
}

static void forget(void *user)
{
    struct asked *asked = user;
    yd_buf_fini(&asked->result.errors);
    yd_buf_fini(&asked->body);
    yd_batch_unref(asked->batch);
}

/* ---- questions ---- */

struct arguments {
    struct yd_tsdb_request *request;
    size_t capacity;
    bool failed;
};

static bool count_argument(void *arg, struct yd_str name, struct yd_str value)
{
    (void)name, (void)value;
    return ++*(size_t *)arg < 1024;
}

static bool copy_argument(void *arg, struct yd_str name, struct yd_str value)
{
    struct arguments *arguments = arg;
    struct yd_tsdb_request *request = arguments->request;
    if (request->argument_count == arguments->capacity) return false;
    struct yd_tsdb_argument *to = &request->arguments[request->argument_count++];
    to->name = yd_arena_str(&request->arena, name);
    to->value = yd_arena_str(&request->arena, value);
    arguments->failed |= !to->name.data || !to->value.data;
    return true;
}

static struct yd_tsdb_request *copy_request(struct yd_intake_request *asked, struct yd_str path, bool graphite)
{
    struct yd_arena arena;
    yd_arena_init(&arena, NULL);
    struct yd_tsdb_request *request = yd_arena_zero(&arena, sizeof *request);
    if (!request) return NULL;
    request->arena = arena;
    request->id = asked->id;
    request->graphite = graphite;
    request->path = yd_arena_str(&request->arena, path);
    request->body = yd_arena_str(&request->arena, yd_http_body(asked->http));
    struct arguments arguments = {.request = request};
    yd_http_arguments(asked->http, count_argument, &arguments.capacity);
    request->arguments = yd_arena_zero(&request->arena, (arguments.capacity + 1) * sizeof *request->arguments);
    if (request->arguments) yd_http_arguments(asked->http, copy_argument, &arguments);
    if (request->path.data && request->body.data && request->arguments && !arguments.failed) return request;
    yd_tsdb_request_free(request);
    return NULL;
}

/* Of the zone that the question names, anywhere; what names none that is there is refused when it is looked at. */
static void read_zone(struct yd_tsdb_request *request)
{
    const char *key = "\"timezone\"";
    struct yd_str name = YD_STR("");
    struct yd_json_value *root;
    char path[128], *data;
    size_t size;
    for (size_t i = 0; i < request->argument_count; i++)
        if (yd_str_eq(request->arguments[i].name, YD_STR("tz"))) name = request->arguments[i].value;
    if (request->body.size && memmem(request->body.data, request->body.size, key, strlen(key)) &&
        yd_json_read(request->body, &request->arena, &root, NULL) == 0)
        name = yd_json_text(yd_json_get(root, "timezone"));
    if (!yd_zone_name_is_good(name)) return;
    snprintf(path, sizeof path, ZONES "/%.*s", (int)name.size, name.data);
    if (yd_fs_read_all(yd_fs_linux(), path, ZONE_SIZE_MAX, &data, &size) < 0) return;
    request->zone = yd_arena_str(&request->arena, (struct yd_str){data, size});
    free(data);
}

static void question(struct pump *pump, struct yd_intake_request *asked, struct yd_str path, unsigned method,
                     bool graphite)
{
    atomic_fetch_add_explicit(&pump->wiring->questions, 1, memory_order_relaxed);
    if (!pump->ask_wired) {
        answer_error(asked, 503, "No history is wired to answer this: `tsdb => history`", YD_STR(""));
        return;
    }
    struct yd_tsdb_request *request = copy_request(asked, path, graphite);
    if (request) request->method = method;
    if (request && yd_str_eq(path, YD_STR("query"))) read_zone(request);
    int r = request ? yd_pump_tell(pump->pump, YD_TSDB_TELL_ASK, NULL, request, yd_tsdb_request_free) : YD_ENOMEM;
    if (r < 0) answer_error(asked, 503, "Out of memory, try again", YD_STR(""));
}

static void put_piece(struct pump *pump, struct yd_intake_request *request, struct yd_tsdb_reply *reply)
{
    struct asked *asked = asked_of(request);
    struct yd_buf first;
    yd_buf_init(&first, NULL);
    if (!asked->begun) {
        yd_http_begin(request->http, reply->status, *asked->jsonp ? SCRIPT_TYPE : JSON_TYPE);
        if (*asked->jsonp) {
            yd_buf_printf(&first, "%s(", asked->jsonp);
            (void)yd_http_piece(request->http, &first); /* the next one says if the peer is gone */
        }
    }
    asked->begun = true;
    int64_t backlog = yd_http_piece(request->http, &reply->buf);
    asked->dropped = backlog < 0 || backlog > BACKLOG_MAX;
    if (backlog > BACKLOG_MAX) yd_pump_say(pump->pump, 1, "a peer does not read its answer: cut off");
    yd_buf_fini(&first);
}

static void replied(struct pump *pump, struct yd_intake_request *request, unsigned type, struct yd_tsdb_reply *reply)
{
    struct asked *asked = asked_of(request);
    if (type == YD_TSDB_ANSWER && reply->text) {
        yd_intake_answer(request, reply->status, TEXT_TYPE, yd_buf_view(&reply->buf));
        return;
    }
    if (type == YD_TSDB_WRITE) {
        asked->batch = reply->batch;
        asked->status = reply->status;
        asked->body = reply->buf;
        reply->batch = NULL;
        yd_buf_init(&reply->buf, NULL);
        request->sync = true;
        yd_intake_write(request);
        return;
    }
    if (type == YD_TSDB_ANSWER) {
        answer(request, reply->status, yd_buf_view(&reply->buf));
        return;
    }
    if (type == YD_TSDB_PIECE && !asked->dropped) put_piece(pump, request, reply);
    if (type != YD_TSDB_END) return;
    if (*asked->jsonp && !asked->dropped && !reply->error) {
        struct yd_buf last;
        yd_buf_init(&last, NULL);
        yd_buf_char(&last, ')');
        (void)yd_http_piece(request->http, &last); /* ended below in any case */
        yd_buf_fini(&last);
    }
    yd_http_end(request->http, asked->dropped || reply->error);
    yd_intake_answered(request);
}

static void command(void *opaque, struct yd_command *command)
{
    struct pump *pump = opaque;
    if (!pump->intake || yd_intake_command(pump->intake, command)) return;
    struct yd_intake_request *request = yd_intake_find(pump->intake, command->arg);
    if (request && command->data) replied(pump, request, command->type, command->data);
}

/* ---- paths ---- */

/* What stands behind the last "/api/" and a version: any prefix may stand before, one with an /api/ of its own too. */
static bool api_path(struct yd_str path, struct yd_str *ret)
{
    const char *api = NULL, *end = path.data + path.size, *found;
    for (const char *p = path.data; path.size && (found = memmem(p, (size_t)(end - p), "/api/", 5)); p = found + 1)
        api = found;
    if (!api) return false;
    *ret = (struct yd_str){api + 5, (size_t)(end - api - 5)};
    if (ret->size >= 3 && ret->data[0] == 'v' && ret->data[1] >= '0' && ret->data[1] <= '9' && ret->data[2] == '/')
        ret->data += 3, ret->size -= 3;
    while (ret->size && ret->data[ret->size - 1] == '/') ret->size--;
    return true;
}

static void answer_built(struct yd_intake_request *request, void (*put_)(struct yd_buf *to))
{
    struct yd_buf buf;
    yd_buf_init(&buf, NULL);
    put_(&buf);
    answer(request, 200, yd_buf_view(&buf));
    yd_buf_fini(&buf);
}

static void put_version(struct yd_buf *to)
{
    yd_buf_cstr(to, "{\"version\":\"2.4.0\",\"short_revision\":\"yarder\",\"full_revision\":\"yarder " YARDER_VERSION
                    "\",\"repo\":\"yarder\",\"repo_status\":\"MINT\",\"user\":\"\",\"host\":\"\",\"timestamp\":\"0\"}");
}

enum { GET = YD_TSDB_GET, POST = YD_TSDB_POST, PUT = YD_TSDB_PUT, DELETE = YD_TSDB_DELETE };

static const struct route {
    const char *path;
    unsigned methods;
    void (*put)(struct yd_buf *to); /* what never changes; NULL: put or a question */
} routes[] = {
    {"put", POST, NULL},
    {"query", GET | POST, NULL},
    {"query/last", GET | POST, NULL},
    {"annotation", GET | POST | PUT | DELETE, NULL},
    {"annotations", GET | POST | PUT | DELETE, NULL},
    {"annotation/bulk", POST | PUT | DELETE, NULL},
    {"annotations/bulk", POST | PUT | DELETE, NULL},
    {"suggest", GET | POST, NULL},
    {"search/lookup", GET | POST, NULL},
    {"aggregators", GET | POST, yd_tsdb_put_aggregators},
    {"config/filters", GET | POST, yd_tsdb_put_filters},
    {"version", GET | POST, put_version},
};

/* A function's name, so that what is sent back runs nothing else. */
static bool set_jsonp(struct yd_intake_request *request)
{
    struct asked *asked = asked_of(request);
    struct yd_str name = yd_http_argument(request->http, "jsonp");
    if (!name.data) return true;
    if (name.size == 0 || name.size >= sizeof asked->jsonp) return false;
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        if (!((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && !(c >= '0' && c <= '9') && !memchr("_.$", c, 3)) return false;
    }
    memcpy(asked->jsonp, name.data, name.size);
    return true;
}

static void method_not_allowed(struct yd_intake_request *request)
{
    char text[160];
    struct yd_str method = yd_http_method(request->http);
    int size = snprintf(text, sizeof text, "The HTTP method [%.*s] is not permitted for this endpoint",
                        (int)YD_MIN(method.size, (size_t)32), method.data);
    answer_error(request, 405, "Method not allowed", (struct yd_str){text, (size_t)size});
}

/* As the request says it, or as a GET's `method_override` does, for clients that know GET only. 0: none of ours. */
static unsigned method_of(struct yd_intake_request *request)
{
    static const struct {
        const char *name;
        unsigned bit;
    } methods[] = {{"GET", GET}, {"HEAD", GET}, {"POST", POST}, {"PUT", PUT}, {"DELETE", DELETE}};
    struct yd_str name = yd_http_method(request->http);
    struct yd_str other = yd_http_argument(request->http, "method_override");
    if (other.size && yd_str_eq(name, YD_STR("GET"))) name = other;
    for (size_t i = 0; i < YD_COUNT(methods); i++)
        if (name.size == strlen(methods[i].name) && strncasecmp(name.data, methods[i].name, name.size) == 0)
            return methods[i].bit;
    return 0;
}

/* Graphite's paths, of which none has an /api/ in it. */
static void graphite(struct pump *pump, struct yd_intake_request *request, struct yd_str path, bool allowed)
{
    struct yd_buf buf;
    unsigned status;
    const char *type;
    yd_buf_init(&buf, NULL);
    if (!allowed)
        method_not_allowed(request);
    else if (!yd_gweb_constant(path, &buf, &status, &type))
        question(pump, request, path, GET, true);
    else if (strncmp(type, "text/", 5) == 0)
        yd_intake_answer(request, status, type, yd_buf_view(&buf));
    else
        answer(request, status, yd_buf_view(&buf));
    yd_buf_fini(&buf);
}

static void on_request(void *arg, struct yd_intake_request *request)
{
    struct pump *pump = arg;
    struct yd_str path = YD_STR("");
    if (!set_jsonp(request)) {
        *asked_of(request)->jsonp = 0;
        answer_error(request, 400, "Invalid 'jsonp' parameter", YD_STR(""));
        return;
    }
    unsigned bit = method_of(request);
    bool api = api_path(yd_http_path(request->http), &path);
    for (size_t i = 0; api && i < YD_COUNT(routes); i++) {
        const struct route *route = &routes[i];
        if (!yd_str_eq(path, yd_str_of(route->path))) continue;
        if (!(route->methods & bit))
            method_not_allowed(request);
        else if (route->put)
            answer_built(request, route->put);
        else if (i == 0)
            put(pump, request);
        else
            question(pump, request, path, bit, false);
        return;
    }
    if (!api && yd_gweb_path(yd_http_path(request->http), &path)) {
        graphite(pump, request, path, (bit & (GET | POST)) != 0);
        return;
    }
    answer_error(request, 404, "Endpoint not found",
                 YD_STR("The requested endpoint was not found: /api/put, /api/query, /api/query/last, /api/annotation, "
                        "/api/suggest, "
                        "/api/search/lookup, "
                        "/api/aggregators, /api/config/filters, /api/version are there"));
}

/* ---- telnet ---- */

static struct yd_str word_at(struct yd_str line, unsigned index)
{
    for (unsigned i = 0;; i++) {
        size_t size = 0;
        while (line.size && (*line.data == ' ' || *line.data == '\t')) line.data++, line.size--;
        while (size < line.size && line.data[size] != ' ' && line.data[size] != '\t' && line.data[size] != '\r') size++;
        if (i == index || size == 0) return (struct yd_str){line.data, size};
        line.data += size, line.size -= size;
    }
}

static void tell(struct yd_line_peer *peer, const char *what, struct yd_str detail)
{
    char text[512];
    int size = snprintf(text, sizeof text, "%s%.*s\n", what, (int)YD_MIN(detail.size, (size_t)200), detail.data);
    yd_line_peer_write(peer, (struct yd_str){text, (size_t)YD_MIN(size, (int)sizeof text - 1)});
}

static void telnet_rejected(void *arg, struct yd_line_peer *peer, enum yd_line_reason reason, struct yd_str line)
{
    unsigned words = 0;
    (void)arg;
    while (words < 5 && word_at(line, words).size) words++;
    switch (reason) {
    case YD_LINE_NO_VALUE: {
        char text[96];
        int size = snprintf(text, sizeof text, "not enough arguments (need least 3, got %u)", words ? words - 1 : 0);
        tell(peer, "put: illegal argument: ", (struct yd_str){text, (size_t)size});
        break;
    }
    case YD_LINE_BAD_VALUE:
        tell(peer, "put: invalid value: not a number: ", word_at(line, 3));
        break;
    case YD_LINE_NOT_FINITE:
        tell(peer, "put: invalid value: not finite: ", word_at(line, 3));
        break;
    case YD_LINE_BAD_TIMESTAMP:
        tell(peer, "put: illegal argument: invalid timestamp: ", word_at(line, 2));
        break;
    case YD_LINE_BAD_TAG:
        tell(peer, "put: illegal argument: invalid tag in: ", line);
        break;
    case YD_LINE_DUPLICATE_TAG:
        tell(peer, "put: illegal argument: duplicate tag in: ", line);
        break;
    case YD_LINE_TOO_LONG:
        tell(peer, "error: line too long", YD_STR(""));
        break;
    case YD_LINE_CUT_SHORT:
        break;
    default:
        tell(peer, "put: illegal argument: ", yd_str_of(yd_line_reasons[reason]));
        break;
    }
}

static void tell_stats(struct pump *pump, struct yd_line_peer *peer)
{
    const struct {
        const char *name;
        uint64_t value;
    } stats[] = {
        {"tsd.uptime", (uint64_t)((yd_loop_mono(pump->loop) - pump->started_ns) / YD_NS_PER_S)},
        {"tsd.rpc.received type=telnet", yd_line_server_lines(pump->lines)},
        {"tsd.rpc.received type=http_put", atomic_load_explicit(&pump->wiring->puts_http, memory_order_relaxed)},
        {"tsd.rpc.received type=http_query", atomic_load_explicit(&pump->wiring->questions, memory_order_relaxed)},
        {"tsd.connectionmgr.connections type=open", yd_line_server_connections(pump->lines)}};
    long long now = (long long)(yd_pump_wall(pump->pump) / YD_NS_PER_S);
    for (size_t i = 0; i < YD_COUNT(stats); i++) {
        char text[160];
        const char *tags = strchr(stats[i].name, ' ');
        int name = tags ? (int)(tags - stats[i].name) : (int)strlen(stats[i].name);
        int size = snprintf(text, sizeof text, "%.*s %lld %llu%s\n", name, stats[i].name, now,
                            (unsigned long long)stats[i].value, tags ? tags : "");
        yd_line_peer_write(peer, (struct yd_str){text, (size_t)size});
    }
}

static void telnet_command(void *arg, struct yd_line_peer *peer, struct yd_str line)
{
    struct pump *pump = arg;
    struct yd_str verb = word_at(line, 0);
    if (yd_str_eq(verb, YD_STR("version"))) {
        tell(peer, "net.opentsdb.tools 2.4.0 spoken by yarder " YARDER_VERSION, YD_STR(""));
    } else if (yd_str_eq(verb, YD_STR("stats"))) {
        tell_stats(pump, peer);
    } else if (yd_str_eq(verb, YD_STR("help"))) {
        tell(peer, "available commands: exit help put stats status version", YD_STR(""));
    } else if (yd_str_eq(verb, YD_STR("status"))) {
        tell(peer, yd_line_server_paused(pump->lines) ? "status: waiting for room" : "status: ok", YD_STR(""));
    } else if (yd_str_eq(verb, YD_STR("exit"))) {
        peer->closing = true;
    } else if (yd_str_eq(verb, YD_STR("rollup")) || yd_str_eq(verb, YD_STR("histogram"))) {
        count_rejected(pump, YD_LINE_COMMAND, line, yd_str_of(peer->name));
        tell(peer,
             yd_str_eq(verb, YD_STR("rollup")) ? "rollup: illegal argument: not supported"
                                               : "histogram: illegal argument: not supported",
             YD_STR(""));
    } else {
        char text[256];
        count_rejected(pump, YD_LINE_COMMAND, line, yd_str_of(peer->name));
        int size = snprintf(text, sizeof text, "unknown command: %.*s.  Try `help'.",
                            (int)YD_MIN(verb.size, (size_t)100), verb.data);
        tell(peer, "", (struct yd_str){text, (size_t)size});
    }
}

/* ---- life ---- */

static void on_http(void *arg, struct yd_stream *stream, const struct yd_address *peer)
{
    struct pump *pump = arg;
    if (pump->intake)
        yd_intake_take(pump->intake, stream, peer);
    else
        yd_stream_close(stream);
}

static void free_all(struct pump *pump)
{
    yd_intake_destroy(pump->intake); /* what is open is answered 503 */
    yd_put_destroy(pump->points);
    yd_rejects_destroy(pump->rejects);
    pump->intake = NULL;
    pump->points = NULL;
    pump->rejects = NULL;
}

static int open_parts(struct pump *pump, const struct yd_tsdb_wiring *wiring, const struct yd_args *args)
{
    unsigned connections = (unsigned)yd_args_int(args, "max_connections");
    struct yd_intake_options intake = {.pump = pump->pump,
                                       .listen = YD_STR(""),
                                       .body_max = (size_t)yd_args_int(args, "max_body"),
                                       .connections_max = YD_MAX(connections / 4, 1u),
                                       .cors = yd_args_text(args, "cors").data,
                                       .user_size = sizeof(struct asked),
                                       .output = YD_TSDB_OUTPUT,
                                       .request = on_request,
                                       .write = on_write,
                                       .written = on_written,
                                       .forget = forget,
                                       .arg = pump};
    bool first = yd_pump_index(pump->pump) == 0; /* HTTP is one pump's, lines are dealt out */
    int r =
        first ? yd_put_create(NULL, PUT_BATCH_BYTES, YD_RAW_NAMES_BYTES, yd_loop_random(pump->loop), &pump->points) : 0;
    if (r == 0 && wiring->rejects) r = yd_rejects_create(yd_pump_element(pump->pump), &pump->rejects);
    if (r < 0) return yd_pump_fail(pump->pump, r, "out of memory");
    r = first ? yd_intake_create(&intake, &pump->intake) : 0;
    return r == YD_ENOTSUP ? 0 : r; /* simulated: lines only */
}

static int start(struct yd_pump *yd_pump, void *opaque, void *element_state)
{
    struct pump *pump = opaque;
    struct yd_tsdb_wiring *wiring = element_state;
    const struct yd_args *args = yd_pump_args(yd_pump);
    pump->pump = yd_pump;
    pump->loop = yd_pump_loop(yd_pump);
    pump->wiring = wiring;
    pump->ask_wired = wiring->ask;
    pump->started_ns = yd_loop_mono(pump->loop);
    int r = open_parts(pump, wiring, args);
    if (r < 0) {
        free_all(pump);
        return r;
    }
    struct yd_line_server_options options = {
        .pump = yd_pump,
        .spread = &wiring->spread,
        .format = &yd_opentsdb_format,
        .listen = yd_args_text(args, "listen"),
        .udp = YD_STR(""),
        .what = "OpenTSDB telnet and HTTP",
        .line_max = (size_t)yd_args_int(args, "max_line"),
        .connections_max = (unsigned)yd_args_int(args, "max_connections"),
        .idle_ns = yd_args_int(args, "idle"),
        .output = YD_TSDB_OUTPUT,
        .rejects = YD_TSDB_REJECTS,
        .rejects_wired = wiring->rejects,
        .reason_refused = YD_TSDB_REASON_REFUSED,
        .reason_kernel = YD_TSDB_REASON_KERNEL,
        .rejected = telnet_rejected,
        .command = telnet_command,
        .http = on_http,
        .arg = pump,
    };
    r = yd_line_server_start(&options, &pump->lines);
    if (r < 0) free_all(pump);
    return r;
}

static void stopped(void *arg)
{
    struct pump *pump = arg;
    free_all(pump);
    yd_pump_stopped(pump->pump);
}

static void stop(void *opaque)
{
    struct pump *pump = opaque;
    if (!pump->lines) {
        yd_pump_stopped(pump->pump);
        return;
    }
    yd_intake_destroy(pump->intake);
    pump->intake = NULL;
    struct yd_line_server *lines = pump->lines;
    pump->lines = NULL;
    yd_line_server_stop(lines, stopped, pump);
}

static void pause_(void *opaque, bool paused)
{
    struct pump *pump = opaque;
    if (pump->lines) yd_line_server_pause(pump->lines, paused);
    if (pump->intake) yd_intake_pause(pump->intake, paused);
}

const struct yd_pump_class yd_tsdb_pump = {.state_size = sizeof(struct pump),
                                           .start = start,
                                           .stop = stop,
                                           .command = command,
                                           .pause = pause_,
                                           .spread = yd_spread_wanted};
