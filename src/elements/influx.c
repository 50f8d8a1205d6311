/* Influx: line protocol by HTTP, as InfluxDB 1.x and 2.x take it, and by UDP, becomes records.
 *
 * Happy path: a body has come whole (http_intake.h), is parsed in one go (influx_lines.h), goes on as a batch and, with
 * `sync`, is answered once it is durable. Bad lines are counted, sampled, and told in the answer; the good ones are
 * stored. Nothing here answers queries but what clients ask to see that a database is there.
 *
 * Sources: InfluxData, "InfluxDB API reference" for 1.8 (/write, /query, /ping) and 2.x (/api/v2/write, /health). */
#include <stdio.h>

#include "elements/classes.h"
#include "elements/datagrams_in.h"
#include "elements/http_intake.h"
#include "elements/influx_lines.h"

#define JSON_TYPE "application/json"
#define VERSION   "1.8.10"

enum { OUTPUT, REJECTS };
enum { REASON_KERNEL = YD_INFLUX_REASON_COUNT, REASON_STRING };

struct state {
    struct yd_element *element;
    bool rejects_wired;
    struct yd_spread spread;
    struct yd_influx *fed; /* of feed, made when first needed */
    struct yd_out *out;    /* of the feed at hand */
    struct yd_rejects *fed_rejects;
};

/* What is remembered of a request until it is answered: the intake's `user`. */
struct asked {
    bool v2;
    int64_t unit_ns;
    uint64_t lines, rejected;
    char first[256]; /* the first line that was rejected, and why */
};

struct pump {
    struct yd_pump *pump;
    struct yd_loop *loop;
    struct yd_intake *intake; /* NULL on a simulated loop */
    struct yd_datagrams_in in;
    struct yd_influx *influx;
    struct yd_rejects *rejects;
    struct yd_intake_request *writing; /* whose body is being parsed */
    int64_t unit_ns;
    bool sync;
};

static const char *const reasons[] = {
#define REASON(name, text) text,
    YD_INFLUX_REASONS(REASON)
#undef REASON
        "datagram dropped by the kernel",
    "string field, as told", NULL};

static const struct yd_port_class ports[] = {{.name = "output",
                                              .direction = YD_OUT,
                                              .mode = YD_PUSH,
                                              .kinds = YD_KIND_BIT(YD_SAMPLE) | YD_KIND_BIT(YD_EVENT),
                                              .doc = "A SAMPLE for each number and boolean, an EVENT for each string."},
                                             YD_REJECTS_PORT("Lines that were not understood"),
                                             {0}};

static const char *const precisions[] = {"ns", "us", "ms", "s", "m", "h", "auto", NULL};
static const char *const string_rules[] = {"event", "drop", NULL};

static const struct yd_param_class params[] = {
    {.name = "listen",
     .type = YD_PARAM_TEXT,
     .initial = "\"127.0.0.1:8086\"",
     .flags = YD_PARAM_LISTENS,
     .doc = "HTTP address, or `unix:/path`; `\"\"`: none."},
    {.name = "udp",
     .type = YD_PARAM_TEXT,
     .initial = "\"\"",
     .flags = YD_PARAM_LISTENS_DATAGRAM,
     .doc = "UDP address; `\"\"`: none."},
    {.name = "precision",
     .type = YD_PARAM_TEXT,
     .initial = "\"ns\"",
     .oneof = precisions,
     .doc = "Of times where a request does not say; `auto` guesses by the number's size."},
    {.name = "separator",
     .type = YD_PARAM_TEXT,
     .initial = "\"_\"",
     .doc = "Between measurement and field: `cpu usage=1` becomes `cpu_usage`. Up to 8 bytes."},
    {.name = "strings",
     .type = YD_PARAM_TEXT,
     .initial = "\"event\"",
     .oneof = string_rules,
     .doc = "What string fields become."},
    {.name = "sync",
     .type = YD_PARAM_BOOL,
     .initial = "true",
     .doc = "Answer a write when it is durable, as far as what is wired makes it so; `false`: when it was parsed."},
    {.name = "max_body",
     .type = YD_PARAM_SIZE,
     .initial = "32MiB",
     .min = 1024,
     .max = 1 << 30,
     .doc = "Of a request, when inflated: more is refused with 413."},
    YD_CONNECTIONS_PARAM("4096", "More peers at once are refused."),
    YD_SPREAD_PARAM("datagrams"),
    YD_RECEIVE_BUFFER_PARAM,
    {0}};

static int check(const struct yd_args *args, char *why, size_t why_size)
{
    if (!yd_args_text(args, "listen").size && !yd_args_text(args, "udp").size) {
        (void)snprintf(why, why_size, "neither `listen` nor `udp` is given: nothing can come in");
        return YD_EINVAL;
    }
    if (yd_args_text(args, "separator").size > 8) {
        (void)snprintf(why, why_size, "`separator` is longer than 8 bytes");
        return YD_EINVAL;
    }
    return 0;
}

/* ---- the element ---- */

static int open(struct yd_element *element, void *opaque)
{
    struct state *state = opaque;
    state->element = element;
    state->rejects_wired = yd_element_wired(element, REJECTS);
    return 0;
}

static void close(void *opaque)
{
    struct state *state = opaque;
    yd_influx_destroy(state->fed);
    yd_rejects_destroy(state->fed_rejects);
    state->fed = NULL;
    state->fed_rejects = NULL;
}

static enum yd_turn_result receive(void *state, struct yd_input *input, struct yd_out *out)
{
    (void)state;
    (void)yd_intake_receive(input, out, OUTPUT);
    return YD_DONE;
}

static int create_parser(const struct yd_args *args, struct yd_influx_sink sink, uint64_t seed,
                         struct yd_influx **ret_influx)
{
    struct yd_influx_options options = {
        .sink = sink,
        .separator = yd_args_text(args, "separator"),
        .drop_strings = yd_str_eq(yd_args_text(args, "strings"), YD_STR("drop")),
        .seed = seed,
    };
    return yd_influx_create(&options, ret_influx);
}

static void fed_batch(void *arg, struct yd_batch *batch, uint32_t records)
{
    struct state *state = arg;
    (void)records;
    (void)yd_emit(state->out, OUTPUT, batch); /* unwired: counted there */
}

static void fed_reject(void *arg, enum yd_influx_reason reason, struct yd_str line)
{
    struct state *state = arg;
    yd_count_rejected(state->out, reason, 1, line);
    struct yd_batch *full =
        yd_rejects_add(state->fed_rejects, yd_now_wall(state->out), yd_influx_reasons[reason], YD_STR("feed"), line);
    if (full) (void)yd_emit(state->out, REJECTS, full);
}

static int feed(void *opaque, struct yd_str bytes, struct yd_out *out, int64_t wall_ns)
{
    struct state *state = opaque;
    const struct yd_args *args = yd_element_args(state->element);
    int64_t unit_ns = 1;
    int r = 0;
    if (!state->fed)
        r = create_parser(args, (struct yd_influx_sink){state, fed_batch, fed_reject},
                          yd_element_random(state->element), &state->fed);
    if (r == 0 && !state->fed_rejects) r = yd_rejects_create(yd_element_name(state->element), &state->fed_rejects);
    if (r < 0) return r;
    (void)yd_influx_precision(yd_args_text(args, "precision"), &unit_ns); /* one of the known ones */
    state->out = out;
    (void)yd_influx_parse(state->fed, bytes, unit_ns, wall_ns);
    yd_influx_flush(state->fed);
    uint64_t strings = yd_influx_strings(state->fed);
    if (strings) yd_count_dropped(out, REASON_STRING, strings);
    struct yd_batch *rejected = yd_rejects_take(state->fed_rejects);
    if (rejected) (void)yd_emit(out, REJECTS, rejected);
    state->out = NULL;
    return 0;
}

/* ---- the pump: what the parser finds ---- */

static void on_batch(void *arg, struct yd_batch *batch, uint32_t records)
{
    struct pump *pump = arg;
    if (pump->writing)
        yd_intake_batch(pump->writing, batch, records);
    else
        (void)yd_pump_emit(pump->pump, OUTPUT, batch); /* `pause` comes in any case */
}

static void on_reject(void *arg, enum yd_influx_reason reason, struct yd_str line)
{
    struct pump *pump = arg;
    struct yd_str from = pump->writing ? yd_http_peer(pump->writing->http) : yd_str_of(pump->in.from);
    yd_reject(pump->pump, pump->rejects, REJECTS, reason, yd_influx_reasons[reason], line, from);
    if (!pump->writing) return;
    struct asked *asked = pump->writing->user;
    if (asked->rejected++ == 0)
        (void)snprintf(asked->first, sizeof asked->first, "unable to parse '%.*s': %s",
                       (int)YD_MIN(line.size, (size_t)160), line.data ? line.data : "", yd_influx_reasons[reason]);
}

static void parse_done(void *arg)
{
    struct pump *pump = arg;
    yd_influx_flush(pump->influx);
    uint64_t strings = yd_influx_strings(pump->influx);
    if (strings) yd_pump_count_dropped(pump->pump, REASON_STRING, strings);
}

/* ---- writes ---- */

static void answer_error(struct yd_intake_request *request, bool v2, unsigned status, const char *code,
                         const char *message)
{
    struct yd_buf buf;
    struct yd_json json;
    yd_buf_init(&buf, NULL);
    yd_json_init(&json, &buf, false);
    yd_json_object(&json);
    if (v2) {
        yd_json_key(&json, "code");
        yd_json_cstr(&json, code);
    }
    yd_json_key(&json, v2 ? "message" : "error");
    yd_json_cstr(&json, message);
    yd_json_object_end(&json);
    yd_buf_char(&buf, '\n');
    if (!v2) yd_http_add_header(request->http, "X-Influxdb-Error", message);
    yd_intake_answer(request, status, JSON_TYPE, yd_buf_view(&buf));
    yd_buf_fini(&buf);
}

static void on_write(void *arg, struct yd_intake_request *request)
{
    struct pump *pump = arg;
    struct asked *asked = request->user;
    pump->writing = request;
    yd_influx_origin(pump->influx, yd_address_host(yd_http_peer(request->http)));
    asked->lines = yd_influx_parse(pump->influx, yd_http_body(request->http), asked->unit_ns, yd_pump_wall(pump->pump));
    parse_done(pump);
    yd_rejects_send(pump->pump, pump->rejects, REJECTS);
    pump->writing = NULL;
}

static void on_written(void *arg, struct yd_intake_request *request, int error, bool late)
{
    struct asked *asked = request->user;
    char text[384];
    (void)arg, (void)late;
    /* What nothing behind this makes durable is taken as far as it can be. */
    if (error && error != YD_ENOTSUP) {
        (void)snprintf(text, sizeof text, "the points could not be stored: %s", yd_error_text(error));
        answer_error(request, asked->v2, 503, "unavailable", text);
    } else if (asked->rejected && request->records == 0) {
        answer_error(request, asked->v2, 400, "invalid", asked->first);
    } else if (asked->rejected) {
        (void)snprintf(text, sizeof text, "partial write: %s dropped=%llu", asked->first,
                       (unsigned long long)asked->rejected);
        answer_error(request, asked->v2, asked->v2 ? 422 : 400, "unprocessable entity", text);
    } else {
        yd_http_add_header(request->http, "X-Influxdb-Version", VERSION);
        yd_intake_answer(request, 204, NULL, YD_STR(""));
    }
}

static void write_(struct pump *pump, struct yd_intake_request *request, bool v2)
{
    struct asked *asked = request->user;
    struct yd_str precision = yd_http_argument(request->http, "precision");
    asked->v2 = v2;
    asked->unit_ns = pump->unit_ns;
    if (precision.size && yd_influx_precision(precision, &asked->unit_ns) < 0) {
        answer_error(request, v2, 400, "invalid", "precision is none of ns, us, ms, s, m, h");
        return;
    }
    request->sync = pump->sync;
    yd_intake_write(request);
}

/* ---- what else clients ask ---- */

static void write_v1(struct pump *pump, struct yd_intake_request *request)
{
    write_(pump, request, false);
}
static void write_v2(struct pump *pump, struct yd_intake_request *request)
{
    write_(pump, request, true);
}

static void ping(struct pump *pump, struct yd_intake_request *request)
{
    (void)pump;
    yd_http_add_header(request->http, "X-Influxdb-Version", VERSION);
    yd_http_add_header(request->http, "X-Influxdb-Build", "yarder");
    yd_intake_answer(request, 204, NULL, YD_STR(""));
}

static void health(struct pump *pump, struct yd_intake_request *request)
{
    (void)pump;
    yd_intake_answer(request, 200, JSON_TYPE,
                     YD_STR("{\"name\":\"yarder\",\"message\":\"ready for writes\",\"status\":\"pass\",\"checks\":[],"
                            "\"version\":\"" VERSION "\"}\n"));
}

/* The value of an argument, from the URL or a form in the body: as far as the statements below need it. */
static bool statement_begins(struct yd_intake_request *request, const char *words)
{
    struct yd_str text = yd_http_argument(request->http, "q");
    struct yd_str body = yd_http_body(request->http);
    if (!text.size && body.size > 2 && memcmp(body.data, "q=", 2) == 0)
        text = (struct yd_str){body.data + 2, body.size - 2};
    size_t i = 0;
    for (; *words; words++, i++) {
        if (i == text.size) return false;
        char c = text.data[i] == '+' ? ' ' : text.data[i];
        if (c == '%' && *words == ' ' && text.size - i > 2 && memcmp(text.data + i, "%20", 3) == 0) c = ' ', i += 2;
        if ((c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c) != *words) return false;
    }
    return true;
}

static void query(struct pump *pump, struct yd_intake_request *request)
{
    (void)pump;
    yd_http_add_header(request->http, "X-Influxdb-Version", VERSION);
    if (statement_begins(request, "SHOW DATABASES"))
        yd_intake_answer(request, 200, JSON_TYPE,
                         YD_STR("{\"results\":[{\"statement_id\":0,\"series\":[{\"name\":\"databases\",\"columns\":"
                                "[\"name\"],\"values\":[[\"yarder\"]]}]}]}\n"));
    else if (statement_begins(request, "CREATE DATABASE") || statement_begins(request, "CREATE RETENTION"))
        yd_intake_answer(request, 200, JSON_TYPE, YD_STR("{\"results\":[{\"statement_id\":0}]}\n"));
    else
        answer_error(request, false, 400, "invalid",
                     "this port takes writes; ask yarder through its OpenTSDB API (element OpenTsdb)");
}

enum methods { GET = 1, POST = 2 };

static const struct route {
    const char *path;
    unsigned methods;
    void (*serve)(struct pump *pump, struct yd_intake_request *request);
} routes[] = {
    {"/write", POST, write_v1},    {"/api/v2/write", POST, write_v2}, {"/ping", GET | POST, ping},
    {"/query", GET | POST, query}, {"/health", GET, health},
};

static void on_request(void *arg, struct yd_intake_request *request)
{
    struct pump *pump = arg;
    struct yd_str path = yd_http_path(request->http), method = yd_http_method(request->http);
    unsigned bit = yd_str_eq(method, YD_STR("GET")) || yd_str_eq(method, YD_STR("HEAD")) ? GET
                   : yd_str_eq(method, YD_STR("POST"))                                   ? POST
                                                                                         : 0;
    for (size_t i = 0; i < YD_COUNT(routes); i++) {
        if (!yd_str_eq(path, yd_str_of(routes[i].path))) continue;
        if (routes[i].methods & bit)
            routes[i].serve(pump, request);
        else
            answer_error(request, false, 405, "method not allowed", "this path takes another method");
        return;
    }
    answer_error(request, false, 404, "not found",
                 "not found: /write, /api/v2/write, /ping, /query and /health are there");
}

/* ---- datagrams ---- */

static void on_datagram(void *arg, struct yd_str bytes)
{
    struct pump *pump = arg;
    yd_influx_origin(pump->influx, yd_address_host(yd_str_of(pump->in.from)));
    (void)yd_influx_parse(pump->influx, bytes, pump->unit_ns, yd_pump_wall(pump->pump));
}

static int listen_udp(struct pump *pump, const struct yd_args *args, struct yd_spread *spread)
{
    struct yd_datagrams_in_options options = {.pump = pump->pump,
                                              .spread = spread,
                                              .receive_buffer = (size_t)yd_args_int(args, "receive_buffer"),
                                              .what = "Influx lines (UDP)",
                                              .reason_kernel = REASON_KERNEL,
                                              .rejects = pump->rejects,
                                              .rejects_port = REJECTS,
                                              .datagram = on_datagram,
                                              .burst_ends = parse_done,
                                              .arg = pump};
    return yd_datagrams_in_open(&pump->in, &options, yd_args_text(args, "udp"));
}

/* ---- life of the pump ---- */

static void free_all(struct pump *pump)
{
    yd_intake_destroy(pump->intake);
    yd_datagrams_in_close(&pump->in);
    yd_influx_destroy(pump->influx);
    yd_rejects_destroy(pump->rejects);
    pump->intake = NULL;
    pump->influx = NULL;
    pump->rejects = NULL;
}

static int start_http(struct pump *pump, const struct yd_args *args)
{
    struct yd_intake_options intake = {.pump = pump->pump,
                                       .listen = yd_args_text(args, "listen"),
                                       .what = "Influx HTTP",
                                       .body_max = (size_t)yd_args_int(args, "max_body"),
                                       .connections_max = (unsigned)yd_args_int(args, "max_connections"),
                                       .user_size = sizeof(struct asked),
                                       .output = OUTPUT,
                                       .request = on_request,
                                       .write = on_write,
                                       .written = on_written,
                                       .arg = pump};
    bool first = yd_pump_index(pump->pump) == 0; /* HTTP is one pump's */
    int r = intake.listen.size && first ? yd_intake_create(&intake, &pump->intake) : 0;
    return r == YD_ENOTSUP ? 0 : r; /* simulated: no HTTP */
}

static int start(struct yd_pump *yd_pump, void *opaque, void *element_state)
{
    struct pump *pump = opaque;
    struct state *element = element_state;
    const struct yd_args *args = yd_pump_args(yd_pump);
    pump->pump = yd_pump;
    pump->loop = yd_pump_loop(yd_pump);
    pump->sync = yd_args_bool(args, "sync");
    (void)yd_influx_precision(yd_args_text(args, "precision"), &pump->unit_ns); /* one of the known ones */
    int r = create_parser(args, (struct yd_influx_sink){pump, on_batch, on_reject}, yd_loop_random(pump->loop),
                          &pump->influx);
    if (r == 0 && element->rejects_wired) r = yd_rejects_create(yd_pump_element(yd_pump), &pump->rejects);
    if (r < 0)
        r = yd_pump_fail(yd_pump, r, "out of memory");
    else
        r = start_http(pump, args);
    if (r == 0 && yd_args_text(args, "udp").size) r = listen_udp(pump, args, &element->spread);
    if (r < 0) free_all(pump);
    return r;
}

static void stop(void *opaque)
{
    struct pump *pump = opaque;
    yd_datagrams_in_finish(&pump->in);
    free_all(pump);
    yd_pump_stopped(pump->pump);
}

static void command(void *opaque, struct yd_command *command)
{
    struct pump *pump = opaque;
    (void)yd_intake_command(pump->intake, command);
}

static void pause_(void *opaque, bool paused)
{
    struct pump *pump = opaque;
    if (pump->intake) yd_intake_pause(pump->intake, paused);
    yd_datagrams_in_pause(&pump->in, paused);
}

static const struct yd_pump_class pump_class = {.state_size = sizeof(struct pump),
                                                .start = start,
                                                .stop = stop,
                                                .command = command,
                                                .pause = pause_,
                                                .spread = yd_spread_wanted};

const struct yd_element_class yd_class_influx = {
    .abi = YD_ELEMENT_ABI,
    .flags = YD_CLASS_SOURCE,
    .name = "Influx",
    .summary = "takes Influx line protocol by HTTP (1.x and 2.x) and UDP",
    .doc = "`measurement,tag=value field=1,other=2i time` becomes a record for each field, named\n"
           "`measurement_field` with the line's tags: numbers as they are typed (`i` and `u` exact to 64 bits),\n"
           "booleans as 1 and 0, strings as EVENTs.\n\n"
           "| path | |\n|---|---|\n"
           "| POST `/write` | InfluxDB 1.x: `precision` in the URL, gzip too; `db`, `rp`, credentials are not looked "
           "at |\n"
           "| POST `/api/v2/write` | InfluxDB 2.x: likewise; `org` and `bucket` are not looked at |\n"
           "| `/ping`, `/health`, `/query` | for clients that ask whether somebody is there: `SHOW DATABASES`, "
           "`CREATE DATABASE` |\n\n"
           "- A write is answered 204 once it is durable (`sync`), as far as what is wired behind makes it so.\n"
           "- Lines that are not understood are counted, and the answer names the first one and how many: 400, or 422 "
           "in 2.x\n"
           "  when others were stored.\n"
           "- Lines without a time get the time of arrival.\n",
    .example = "influx :: Influx(listen: \"127.0.0.1:8086\") -> metrics :: Log(stream: \"metrics\")\n",
    .ports = ports,
    .params = params,
    .reasons = reasons,
    .state_size = sizeof(struct state),
    .check = check,
    .open = open,
    .close = close,
    .receive = receive,
    .feed = feed,
    .pump = &pump_class,
};
