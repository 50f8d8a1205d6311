/* OpenTsdb's half that touches the world: see opentsdb.h.
 *
 *   connection --first byte--> telnet: line_server.h, mistakes told to the peer in OpenTSDB's words
 *                         \--> HTTP: put is parsed here and answered here; questions go to receive and come back
 *
 * A request waits in a slot, known by slot and generation, until its answer is complete. Puts that come while what
 * follows is full wait for room, in order; questions do not. */
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "elements/line_server.h"
#include "elements/opentsdb.h"
#include "elements/opentsdb_answer.h"
#include "elements/opentsdb_put.h"
#include "serve/http.h"
#include <yarder/log.h>

#define JSON_TYPE   "application/json; charset=UTF-8"
#define SCRIPT_TYPE "application/javascript; charset=UTF-8"
#define SLOTS       16384
#define BACKLOG_MAX (INT64_C(64) << 20) /* of an answer that its peer does not read */

/* A request that is not answered yet. */
struct slot {
    struct pump *pump;
    struct yd_http_request *request;
    uint64_t id; /* generation << 16 | index; 0: free */
    struct slot *next_waiting;
    bool begun, dropped, waiting, summary, details, sync;
    char jsonp[64];
    /* put: what became of it, and what is still to come */
    struct yd_put_result result;
    unsigned outstanding;
    int error;
    int64_t deadline_ns; /* 0: none */
    bool timed;          /* sync_timeout was given */
};

struct pump {
    struct yd_pump *pump;
    struct yd_loop *loop;
    struct yd_line_server *lines;
    struct yd_http *http;
    struct yd_timer *timer; /* of deadlines */
    struct yd_builder *builder;
    struct yd_rejects *rejects;
    struct slot *slots[SLOTS]; /* made when first needed */
    uint32_t slot_count, free_slots[SLOTS], free_count;
    uint64_t generation;
    struct slot *waiting, **waiting_last; /* puts that wait for room */
    struct slot *putting;                 /* whose body is being parsed */
    bool paused, stopping, ask_wired;
    int64_t started_ns;
    uint64_t puts_http, questions;
};

/* ---- slots ---- */

static struct slot *take_slot(struct pump *pump, struct yd_http_request *request)
{
    uint32_t index;
    if (pump->free_count) {
        index = pump->free_slots[--pump->free_count];
    } else {
        if (pump->slot_count == SLOTS) return NULL;
        struct slot *slot = yd_alloc_zero(NULL, sizeof *slot);
        if (!slot) return NULL;
        index = pump->slot_count++;
        pump->slots[index] = slot;
    }
    struct slot *slot = pump->slots[index];
    *slot = (struct slot){.pump = pump, .request = request, .id = ++pump->generation << 16 | index};
    return slot;
}

static struct slot *find_slot(struct pump *pump, uint64_t id)
{
    uint32_t index = (uint32_t)id & (SLOTS - 1);
    struct slot *slot = index < pump->slot_count ? pump->slots[index] : NULL;
    return slot && slot->id == id ? slot : NULL;
}

static void free_slot(struct slot *slot)
{
    struct pump *pump = slot->pump;
    yd_buf_fini(&slot->result.errors);
    pump->free_slots[pump->free_count++] = (uint32_t)slot->id & (SLOTS - 1);
    slot->id = 0;
}

/* ---- answers ---- */

static void answer(struct slot *slot, unsigned status, struct yd_str body)
{
    if (*slot->jsonp && body.size) {
        struct yd_buf buf;
        yd_buf_init(&buf, NULL);
        yd_buf_printf(&buf, "%s(", slot->jsonp);
        yd_buf_str(&buf, body);
        yd_buf_char(&buf, ')');
        yd_http_answer(slot->request, status, SCRIPT_TYPE, yd_buf_view(&buf));
        yd_buf_fini(&buf);
    } else {
        yd_http_answer(slot->request, status, body.size ? JSON_TYPE : NULL, body);
    }
    free_slot(slot);
}

static void answer_error(struct slot *slot, unsigned status, const char *message, struct yd_str details)
{
    struct yd_buf buf;
    yd_buf_init(&buf, NULL);
    yd_opentsdb_error(&buf, status, yd_str_of(message), details);
    answer(slot, status, yd_buf_view(&buf));
    yd_buf_fini(&buf);
}

/* ---- put ---- */

static void count_rejected(struct pump *pump, unsigned reason, struct yd_str text, struct yd_str peer)
{
    yd_pump_count_rejected(pump->pump, reason, 1, text, peer);
    if (!pump->rejects) return;
    struct yd_batch *full =
        yd_rejects_add(pump->rejects, yd_pump_wall(pump->pump), yd_line_reasons[reason], peer, text);
    if (full) pump->paused |= yd_pump_emit(pump->pump, YD_TSDB_REJECTS, full);
}

static void on_rejected(void *arg, unsigned reason, struct yd_str point)
{
    struct pump *pump = arg;
    count_rejected(pump, reason, point, yd_http_peer(pump->putting->request));
}

static void send_batch(void *arg)
{
    struct pump *pump = arg;
    struct slot *slot = pump->putting;
    struct yd_batch *batch;
    if (yd_builder_count(pump->builder) == 0) return;
    uint32_t records = yd_builder_count(pump->builder);
    uint64_t *id = slot->sync ? yd_alloc_get(NULL, sizeof *id) : NULL;
    int r = slot->sync && !id ? YD_ENOMEM : yd_builder_seal(pump->builder, &batch);
    if (r < 0) { /* lost, and said: to the counters and to the peer */
        yd_builder_abandon(pump->builder);
        for (uint32_t i = 0; i < records; i++)
            count_rejected(pump, YD_LINE_NO_MEMORY, YD_STR(""), yd_http_peer(slot->request));
        slot->error = r;
        yd_alloc_put(NULL, id, sizeof *id);
        return;
    }
    if (!slot->sync) {
        pump->paused |= yd_pump_emit(pump->pump, YD_TSDB_OUTPUT, batch);
        return;
    }
    *id = slot->id;
    slot->outstanding++;
    r = yd_pump_tell(pump->pump, YD_TSDB_TELL_PUT, batch, id, free);
    if (r < 0) {
        slot->outstanding--;
        slot->error = r;
    }
}

static const char *lost_why(int error)
{
    if (error != YD_ENOTSUP) return yd_error_text(error);
    return "They were written, but what they are wired to does not make them durable; a Log does, or File(sync: true)";
}

/* Everything that was to be stored has been, or has not, or the time is over. */
static void finish_put(struct slot *slot)
{
    struct yd_buf buf;
    bool late = slot->outstanding > 0;
    int64_t timeouts = late ? (int64_t)slot->result.success : 0;
    bool lost = slot->error != 0 && !late;
    if (late || lost) {
        if (lost) slot->result.failed += slot->result.success;
        slot->result.success = 0;
    }
    unsigned status = late ? 504 : lost ? 503 : slot->result.failed ? 400 : 200;
    if (!slot->summary && !slot->details) {
        if (late)
            answer_error(slot, status, "The put call has timed out: the points may be stored yet", YD_STR(""));
        else if (lost)
            answer_error(slot, status, "The points could not be stored durably", yd_str_of(lost_why(slot->error)));
        else if (slot->result.failed)
            answer_error(slot, status, "One or more data points had errors",
                         YD_STR("Append \"details\" to the put request to see which and why"));
        else
            answer(slot, 204, YD_STR(""));
        return;
    }
    yd_buf_init(&buf, NULL);
    yd_put_summary(&slot->result, slot->timed ? timeouts : -1, slot->details, &buf);
    answer(slot, status, yd_buf_view(&buf));
    yd_buf_fini(&buf);
}

static void set_timer(struct pump *pump)
{
    int64_t first = INT64_MAX;
    for (uint32_t i = 0; i < pump->slot_count; i++)
        if (pump->slots[i]->id && pump->slots[i]->deadline_ns) first = YD_MIN(first, pump->slots[i]->deadline_ns);
    if (first == INT64_MAX)
        yd_timer_stop(pump->timer);
    else
        yd_timer_start(pump->timer, first);
}

static void on_timer(void *arg)
{
    struct pump *pump = arg;
    int64_t now = yd_loop_mono(pump->loop);
    for (uint32_t i = 0; i < pump->slot_count; i++) {
        struct slot *slot = pump->slots[i];
        if (!slot->id || !slot->deadline_ns || slot->deadline_ns > now) continue;
        slot->deadline_ns = 0;
        if (slot->outstanding) finish_put(slot); /* one that still waits for room is parsed later, and times out then */
    }
    set_timer(pump);
}

static void do_put(struct slot *slot)
{
    struct pump *pump = slot->pump;
    struct yd_put_options options = {
        .builder = pump->builder, .details = slot->details, .arg = pump, .full = send_batch, .rejected = on_rejected};
    pump->putting = slot;
    pump->puts_http++;
    yd_opentsdb_put(yd_http_body(slot->request), &options, &slot->result);
    send_batch(pump);
    if (pump->rejects) {
        struct yd_batch *rejected = yd_rejects_take(pump->rejects);
        if (rejected) pump->paused |= yd_pump_emit(pump->pump, YD_TSDB_REJECTS, rejected);
    }
    pump->putting = NULL;
    if (slot->result.fatal) {
        count_rejected(pump, YD_LINE_BAD_VALUE, yd_http_body(slot->request), yd_http_peer(slot->request));
        answer_error(slot, 400, slot->result.fatal, yd_str_of(yd_trail_text(&slot->result.trail)));
    } else if (slot->outstanding == 0) {
        finish_put(slot);
    } else if (slot->deadline_ns) {
        set_timer(pump);
    }
}

static void put_waiting(struct pump *pump)
{
    while (pump->waiting && !pump->paused) {
        struct slot *slot = pump->waiting;
        pump->waiting = slot->next_waiting;
        if (!pump->waiting) pump->waiting_last = &pump->waiting;
        slot->waiting = false;
        do_put(slot);
    }
}

static void put(struct slot *slot)
{
    struct pump *pump = slot->pump;
    struct yd_str timeout = yd_http_argument(slot->request, "sync_timeout");
    int64_t ms;
    slot->summary = yd_http_argument(slot->request, "summary").data != NULL;
    slot->details = yd_http_argument(slot->request, "details").data != NULL;
    slot->sync = yd_http_argument(slot->request, "sync").data != NULL;
    if (slot->sync && timeout.data && yd_text_i64(timeout, &ms) == 0 && ms > 0) {
        slot->timed = true;
        slot->deadline_ns = yd_loop_mono(pump->loop) + YD_MIN(ms, INT64_C(86400000)) * YD_NS_PER_MS;
    }
    slot->waiting = true;
    *pump->waiting_last = slot;
    pump->waiting_last = &slot->next_waiting;
    put_waiting(pump);
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

static struct yd_tsdb_request *copy_request(struct slot *slot, struct yd_str path)
{
    struct yd_arena arena;
    yd_arena_init(&arena, NULL);
    struct yd_tsdb_request *request = yd_arena_zero(&arena, sizeof *request);
    if (!request) return NULL;
    request->arena = arena;
    request->id = slot->id;
    request->path = yd_arena_str(&request->arena, path);
    request->body = yd_arena_str(&request->arena, yd_http_body(slot->request));
    struct arguments arguments = {.request = request};
    yd_http_arguments(slot->request, count_argument, &arguments.capacity);
    request->arguments = yd_arena_zero(&request->arena, (arguments.capacity + 1) * sizeof *request->arguments);
    if (request->arguments) yd_http_arguments(slot->request, copy_argument, &arguments);
    if (request->path.data && request->body.data && request->arguments && !arguments.failed) return request;
    yd_tsdb_request_free(request);
    return NULL;
}

static void question(struct slot *slot, struct yd_str path)
{
    struct pump *pump = slot->pump;
    pump->questions++;
    if (!pump->ask_wired) {
        answer_error(slot, 503, "No history is wired to answer this: `tsdb => history`", YD_STR(""));
        return;
    }
    struct yd_tsdb_request *request = copy_request(slot, path);
    int r = request ? yd_pump_tell(pump->pump, YD_TSDB_TELL_ASK, NULL, request, yd_tsdb_request_free) : YD_ENOMEM;
    if (r < 0) answer_error(slot, 503, "Out of memory, try again", YD_STR(""));
}

static void replied(struct slot *slot, unsigned type, struct yd_tsdb_reply *reply)
{
    if (type == YD_TSDB_ANSWER) {
        answer(slot, reply->status, yd_buf_view(&reply->buf));
        return;
    }
    if (type == YD_TSDB_PIECE && !slot->dropped) {
        struct yd_buf first;
        yd_buf_init(&first, NULL);
        if (!slot->begun) {
            yd_http_begin(slot->request, reply->status, *slot->jsonp ? SCRIPT_TYPE : JSON_TYPE);
            if (*slot->jsonp) {
                yd_buf_printf(&first, "%s(", slot->jsonp);
                (void)yd_http_piece(slot->request, &first); /* the next one says if the peer is gone */
            }
        }
        slot->begun = true;
        int64_t backlog = yd_http_piece(slot->request, &reply->buf);
        slot->dropped = backlog < 0 || backlog > BACKLOG_MAX;
        if (backlog > BACKLOG_MAX) yd_pump_say(slot->pump->pump, 1, "a peer does not read its answer: cut off");
        yd_buf_fini(&first);
    }
    if (type != YD_TSDB_END) return;
    if (*slot->jsonp && !slot->dropped && !reply->error) {
        struct yd_buf last;
        yd_buf_init(&last, NULL);
        yd_buf_char(&last, ')');
        (void)yd_http_piece(slot->request, &last); /* ended below in any case */
        yd_buf_fini(&last);
    }
    yd_http_end(slot->request, slot->dropped || reply->error);
    free_slot(slot);
}

static void command(void *opaque, struct yd_command *command)
{
    struct pump *pump = opaque;
    struct slot *slot = find_slot(pump, command->arg);
    struct yd_tsdb_reply *reply = command->data;
    if (!slot || !reply) return;
    if (command->type != YD_TSDB_STORED) {
        replied(slot, command->type, reply);
    } else if (slot->outstanding) {
        if (reply->error) slot->error = reply->error;
        if (--slot->outstanding == 0) finish_put(slot);
    }
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

static void answer_built(struct slot *slot, void (*put_)(struct yd_buf *to))
{
    struct yd_buf buf;
    yd_buf_init(&buf, NULL);
    put_(&buf);
    answer(slot, 200, yd_buf_view(&buf));
    yd_buf_fini(&buf);
}

static void put_version(struct yd_buf *to)
{
    yd_buf_cstr(to, "{\"version\":\"2.4.0\",\"short_revision\":\"yarder\",\"full_revision\":\"yarder " YARDER_VERSION
                    "\",\"repo\":\"yarder\",\"repo_status\":\"MINT\",\"user\":\"\",\"host\":\"\",\"timestamp\":\"0\"}");
}

enum methods { GET = 1, POST = 2 };

static const struct route {
    const char *path;
    unsigned methods;
    void (*put)(struct yd_buf *to); /* what never changes; NULL: put or a question */
} routes[] = {
    {"put", POST, NULL},
    {"query", GET | POST, NULL},
    {"suggest", GET | POST, NULL},
    {"search/lookup", GET | POST, NULL},
    {"aggregators", GET | POST, yd_tsdb_put_aggregators},
    {"config/filters", GET | POST, yd_tsdb_put_filters},
    {"version", GET | POST, put_version},
};

/* A function's name, so that what is sent back runs nothing else. */
static bool set_jsonp(struct slot *slot)
{
    struct yd_str name = yd_http_argument(slot->request, "jsonp");
    if (!name.data) return true;
    if (name.size == 0 || name.size >= sizeof slot->jsonp) return false;
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        if (!((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && !(c >= '0' && c <= '9') && !memchr("_.$", c, 3)) return false;
    }
    memcpy(slot->jsonp, name.data, name.size);
    return true;
}

static void method_not_allowed(struct slot *slot)
{
    char text[160];
    struct yd_str method = yd_http_method(slot->request);
    int size = snprintf(text, sizeof text, "The HTTP method [%.*s] is not permitted for this endpoint",
                        (int)YD_MIN(method.size, (size_t)32), method.data);
    answer_error(slot, 405, "Method not allowed", (struct yd_str){text, (size_t)size});
}

static void on_request(void *arg, struct yd_http_request *request)
{
    struct pump *pump = arg;
    struct slot *slot = take_slot(pump, request);
    struct yd_str path = YD_STR("");
    if (!slot) {
        yd_http_answer(request, 503, NULL, YD_STR(""));
        return;
    }
    if (!set_jsonp(slot)) {
        *slot->jsonp = 0;
        answer_error(slot, 400, "Invalid 'jsonp' parameter", YD_STR(""));
        return;
    }
    struct yd_str method = yd_http_method(request);
    unsigned bit = yd_str_eq(method, YD_STR("GET")) || yd_str_eq(method, YD_STR("HEAD")) ? GET
                   : yd_str_eq(method, YD_STR("POST"))                                   ? POST
                                                                                         : 0;
    bool api = api_path(yd_http_path(request), &path);
    for (size_t i = 0; api && i < YD_COUNT(routes); i++) {
        const struct route *route = &routes[i];
        if (!yd_str_eq(path, yd_str_of(route->path))) continue;
        if (!(route->methods & bit))
            method_not_allowed(slot);
        else if (route->put)
            answer_built(slot, route->put);
        else if (i == 0)
            put(slot);
        else
            question(slot, path);
        return;
    }
    answer_error(slot, 404, "Endpoint not found",
                 YD_STR("The requested endpoint was not found: /api/put, /api/query, /api/suggest, /api/search/lookup, "
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
    } stats[] = {{"tsd.uptime", (uint64_t)((yd_loop_mono(pump->loop) - pump->started_ns) / YD_NS_PER_S)},
                 {"tsd.rpc.received type=telnet", yd_line_server_lines(pump->lines)},
                 {"tsd.rpc.received type=http_put", pump->puts_http},
                 {"tsd.rpc.received type=http_query", pump->questions},
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
        tell(peer, pump->paused ? "status: waiting for room" : "status: ok", YD_STR(""));
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
    if (pump->http)
        (void)yd_http_take(pump->http, stream, peer); /* too many: it is closed */
    else
        yd_stream_close(stream);
}

static void free_all(struct pump *pump)
{
    yd_timer_close(pump->timer);
    yd_builder_destroy(pump->builder);
    yd_rejects_destroy(pump->rejects);
    for (uint32_t i = 0; i < pump->slot_count; i++) {
        yd_buf_fini(&pump->slots[i]->result.errors);
        yd_alloc_put(NULL, pump->slots[i], sizeof *pump->slots[i]);
    }
    pump->slot_count = pump->free_count = 0;
    pump->timer = NULL;
    pump->builder = NULL;
    pump->rejects = NULL;
}

static int open_parts(struct pump *pump, const struct yd_tsdb_wiring *wiring, const struct yd_args *args)
{
    unsigned connections = (unsigned)yd_args_int(args, "max_connections");
    struct yd_http_options http = {.loop = pump->loop,
                                   .body_max = (size_t)yd_args_int(args, "max_body"),
                                   .bodies_max = YD_MAX((size_t)256 << 20, 2 * (size_t)yd_args_int(args, "max_body")),
                                   .connections_max = YD_MAX(connections / 4, 1u),
                                   .cors = yd_args_text(args, "cors").data,
                                   .request = on_request,
                                   .arg = pump};
    int r = yd_builder_create(NULL, &pump->builder);
    if (r == 0) r = yd_timer_create(pump->loop, on_timer, pump, &pump->timer);
    if (r == 0 && wiring->rejects) r = yd_rejects_create(yd_pump_element(pump->pump), &pump->rejects);
    if (r == 0) r = yd_http_create(&http, &pump->http);
    return r == YD_ENOTSUP ? 0 : r; /* simulated: lines only */
}

static int start(struct yd_pump *yd_pump, void *opaque, void *element_state)
{
    struct pump *pump = opaque;
    const struct yd_tsdb_wiring *wiring = element_state;
    const struct yd_args *args = yd_pump_args(yd_pump);
    pump->pump = yd_pump;
    pump->loop = yd_pump_loop(yd_pump);
    pump->waiting_last = &pump->waiting;
    pump->ask_wired = wiring->ask;
    pump->started_ns = yd_loop_mono(pump->loop);
    int r = open_parts(pump, wiring, args);
    if (r < 0) {
        free_all(pump);
        return yd_pump_fail(yd_pump, r, "cannot start the HTTP server: %s", yd_error_text(r));
    }
    struct yd_line_server_options options = {
        .pump = yd_pump,
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
    if (r < 0) {
        yd_http_destroy(pump->http);
        pump->http = NULL;
        free_all(pump);
    }
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
    yd_http_destroy(pump->http); /* what is open is answered 503 */
    pump->http = NULL;
    for (uint32_t i = 0; i < pump->slot_count; i++) pump->slots[i]->id = 0; /* late commands find nobody */
    pump->waiting = NULL;
    pump->waiting_last = &pump->waiting;
    struct yd_line_server *lines = pump->lines;
    pump->lines = NULL;
    yd_line_server_stop(lines, stopped, pump);
}

static void pause_(void *opaque, bool paused)
{
    struct pump *pump = opaque;
    pump->paused = paused;
    if (pump->lines) yd_line_server_pause(pump->lines, paused);
    if (!paused) put_waiting(pump);
}

const struct yd_pump_class yd_tsdb_pump = {
    .state_size = sizeof(struct pump), .start = start, .stop = stop, .command = command, .pause = pause_};
