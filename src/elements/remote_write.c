/* RemoteWrite: what Prometheus sends by remote write 1.0 becomes SAMPLE records.
 *
 * Happy path: a body has come whole (http_intake.h), is inflated (snappy_block.h), looked through and taken
 * (remote_samples.h), goes on as a batch and, with `sync`, is answered 204 once it is durable. What can fail: a body
 * that is none is answered 400, and Prometheus drops it; what could not be stored 503, and Prometheus sends it again;
 * bad series 400, and their neighbours are stored. Values that are not finite and staleness markers are counted and no
 * reason for 400: they are no mistake of the sender. */
#include <stdio.h>
#include <strings.h>

#include "elements/classes.h"
#include "elements/http_intake.h"
#include "elements/rejects.h"
#include "elements/remote_samples.h"
#include "elements/snappy_block.h"

enum { OUTPUT, REJECTS };
enum { REASON_SNAPPY = YD_REMOTE_REASON_COUNT, REASON_VERSION };

/* What is remembered of a request until it is answered: the intake's `user`. */
struct asked {
    uint64_t rejected;
    char first[192]; /* why the first one was */
};

struct state {
    bool rejects_wired;
};

struct pump {
    struct yd_pump *pump;
    struct yd_rejects *rejects; /* NULL: not wired */
    struct yd_intake *intake;   /* NULL on a simulated loop */
    struct yd_remote *remote;
    struct yd_intake_request *writing; /* whose body is being parsed */
    size_t body_max;
    bool sync;
};

static const char *const reasons[] = {
#define REASON(name, text) text,
    YD_REMOTE_REASONS(REASON)
#undef REASON
        "not a Snappy block, or one too large",
    "remote write 2.0, or another message that is not spoken here", NULL};

static const struct yd_port_class ports[] = {{.name = "output",
                                              .direction = YD_OUT,
                                              .mode = YD_PUSH,
                                              .kinds = YD_KIND_BIT(YD_SAMPLE),
                                              .doc = "A SAMPLE for each sample."},
                                             {.name = "rejects",
                                              .direction = YD_OUT,
                                              .mode = YD_PUSH,
                                              .kinds = YD_KIND_BIT(YD_ROW),
                                              .flags = YD_PORT_OPTIONAL_REJECTS,
                                              .doc =
                                                  "What was not taken: one row for those refused together: `reason`, "
                                                  "`peer` and `line` (up to 4096 bytes of the series' labels, or of "
                                                  "the body)."},
                                             {0}};

static const struct yd_param_class params[] = {
    {.name = "listen",
     .type = YD_PARAM_TEXT,
     .initial = "\"127.0.0.1:9201\"",
     .flags = YD_PARAM_LISTENS,
     .doc = "HTTP address, or `unix:/path`."},
    {.name = "path", .type = YD_PARAM_TEXT, .initial = "\"/api/v1/write\"", .doc = "Where writes are taken."},
    {.name = "sync",
     .type = YD_PARAM_BOOL,
     .initial = "true",
     .doc = "Answer a write when it is durable, as far as what is wired makes it so; `false`: when it was parsed."},
    {.name = "max_body",
     .type = YD_PARAM_SIZE,
     .initial = "32MiB",
     .min = 1024,
     .max = 1 << 30,
     .doc = "Of a request, and of what it holds when inflated: more is refused."},
    {.name = "max_connections",
     .type = YD_PARAM_INT,
     .initial = "4096",
     .min = 1,
     .max = 1 << 20,
     .doc = "More peers at once are refused."},
    {0}};

static enum yd_turn_result receive(void *state, struct yd_input *input, struct yd_out *out)
{
    (void)state;
    (void)yd_intake_receive(input, out, OUTPUT);
    return YD_DONE;
}

/* ---- what the parser finds ---- */

static void on_batch(void *arg, struct yd_batch *batch, uint32_t records)
{
    struct pump *pump = arg;
    yd_intake_batch(pump->writing, batch, records);
}

static void refuse(struct pump *pump, struct yd_intake_request *request, unsigned reason, uint64_t records,
                   struct yd_str sample)
{
    struct yd_str peer = yd_http_peer(request->http);
    if (records > 1) yd_pump_count_rejected(pump->pump, reason, records - 1, sample, peer);
    if (records) yd_reject(pump->pump, pump->rejects, REJECTS, reason, reasons[reason], sample, peer);
}

static void on_reject(void *arg, enum yd_remote_reason reason, uint64_t records, struct yd_str sample)
{
    struct pump *pump = arg;
    struct asked *asked = pump->writing->user;
    refuse(pump, pump->writing, reason, records, sample);
    if (reason == YD_REMOTE_STALE || reason == YD_REMOTE_NOT_FINITE) return;
    if (!asked->rejected) (void)snprintf(asked->first, sizeof asked->first, "%s", yd_remote_reasons[reason]);
    asked->rejected += records;
}

/* ---- writes ---- */

static void answer(struct yd_intake_request *request, unsigned status, const char *text)
{
    yd_intake_answer(request, status, status == 204 ? NULL : "text/plain; charset=UTF-8", yd_str_of(text));
}

static void on_write(void *arg, struct yd_intake_request *request)
{
    struct pump *pump = arg;
    struct asked *asked = request->user;
    struct yd_str body = yd_http_body(request->http);
    size_t size = 0;
    int r = yd_snappy_size(body, &size);
    char *text = r == 0 && size <= pump->body_max ? yd_alloc_zero(NULL, size + 1) : NULL;
    if (text) r = yd_snappy_inflate(body, text, size);
    pump->writing = request;
    if (text && r == 0) {
        yd_remote_origin(pump->remote, yd_address_host(yd_http_peer(request->http)));
        (void)yd_remote_parse(pump->remote, (struct yd_str){text, size});
        yd_remote_flush(pump->remote);
    } else {
        bool memory = r == 0 && size <= pump->body_max;
        unsigned reason = memory ? (unsigned)YD_REMOTE_NO_MEMORY : (unsigned)REASON_SNAPPY;
        refuse(pump, request, reason, 1, body);
        (void)snprintf(asked->first, sizeof asked->first, "%s", reasons[reason]);
        asked->rejected = 1;
    }
    pump->writing = NULL;
    yd_rejects_send(pump->pump, pump->rejects, REJECTS);
    if (text) yd_alloc_put(NULL, text, size + 1);
}

static void on_written(void *arg, struct yd_intake_request *request, int error, bool late)
{
    struct asked *asked = request->user;
    char text[384];
    (void)arg, (void)late;
    /* What nothing behind this makes durable is taken as far as it can be. */
    if (error && error != YD_ENOTSUP) {
        (void)snprintf(text, sizeof text, "the samples could not be stored: %s\n", yd_error_text(error));
        answer(request, 503, text);
    } else if (asked->rejected) {
        (void)snprintf(text, sizeof text, "%llu not taken, the first one: %s\n", (unsigned long long)asked->rejected,
                       asked->first);
        answer(request, 400, text);
    } else {
        answer(request, 204, "");
    }
}

/* "application/x-protobuf; proto=…": of which message it is; none said: 1.0's. Case and blanks do not count, as RFC
 * 9110 has it. A sender that names no message may still say the version of its protocol. */
static bool is_version1(struct yd_str type, struct yd_str version)
{
    static const char ours[] = "prometheus.WriteRequest";
    const char *end = type.data + type.size, *at = type.size ? memchr(type.data, ';', type.size) : NULL;
    while (at) {
        at++;
        while (at < end && (*at == ' ' || *at == '\t')) at++;
        const char *next = at < end ? memchr(at, ';', (size_t)(end - at)) : NULL, *stop = next ? next : end;
        while (stop > at && (stop[-1] == ' ' || stop[-1] == '\t')) stop--;
        if (stop - at >= 6 && strncasecmp(at, "proto=", 6) == 0) {
            at += 6;
            if (stop - at >= 2 && *at == '"' && stop[-1] == '"') at++, stop--;
            return (size_t)(stop - at) == sizeof ours - 1 && memcmp(at, ours, sizeof ours - 1) == 0;
        }
        at = next;
    }
    return version.size == 0 || *version.data < '2' || *version.data > '9';
}

static void on_request(void *arg, struct yd_intake_request *request)
{
    struct pump *pump = arg;
    struct yd_str path = yd_args_text(yd_pump_args(pump->pump), "path");
    struct yd_str type = yd_http_header(request->http, "Content-Type");
    struct yd_str version = yd_http_header(request->http, "X-Prometheus-Remote-Write-Version");
    if (!yd_str_eq(yd_http_path(request->http), path)) {
        answer(request, 404, "writes are taken at another path\n");
    } else if (!yd_str_eq(yd_http_method(request->http), YD_STR("POST"))) {
        answer(request, 405, "writes are POSTed\n");
    } else if (!is_version1(type, version)) {
        refuse(pump, request, REASON_VERSION, 1, type);
        yd_rejects_send(pump->pump, pump->rejects, REJECTS);
        answer(request, 415,
               "remote write 1.0 (prometheus.WriteRequest) is understood here, not 2.0 "
               "(io.prometheus.write.v2.Request): set protobuf_message: prometheus.WriteRequest\n");
    } else {
        request->sync = pump->sync;
        yd_intake_write(request);
    }
}

/* ---- life of the pump ---- */

static int open(struct yd_element *element, void *opaque)
{
    struct state *state = opaque;
    state->rejects_wired = yd_element_wired(element, REJECTS);
    return 0;
}

static void free_all(struct pump *pump)
{
    yd_intake_destroy(pump->intake);
    yd_remote_destroy(pump->remote);
    yd_rejects_destroy(pump->rejects);
    pump->intake = NULL;
    pump->remote = NULL;
    pump->rejects = NULL;
}

static int start(struct yd_pump *yd_pump, void *opaque, void *element_state)
{
    struct pump *pump = opaque;
    const struct yd_args *args = yd_pump_args(yd_pump);
    const struct state *state = element_state;
    pump->pump = yd_pump;
    pump->sync = yd_args_bool(args, "sync");
    pump->body_max = (size_t)yd_args_int(args, "max_body");
    struct yd_remote_options options = {.sink = {pump, on_batch, on_reject},
                                        .seed = yd_loop_random(yd_pump_loop(yd_pump))};
    struct yd_intake_options intake = {.pump = yd_pump,
                                       .listen = yd_args_text(args, "listen"),
                                       .what = "Prometheus remote write",
                                       .body_max = pump->body_max,
                                       .connections_max = (unsigned)yd_args_int(args, "max_connections"),
                                       .raw_encoding = "snappy",
                                       .user_size = sizeof(struct asked),
                                       .output = OUTPUT,
                                       .request = on_request,
                                       .write = on_write,
                                       .written = on_written,
                                       .arg = pump};
    int r = yd_remote_create(&options, &pump->remote);
    if (r == 0 && state->rejects_wired) r = yd_rejects_create(yd_pump_element(yd_pump), &pump->rejects);
    r = r < 0 ? yd_pump_fail(yd_pump, r, "out of memory") : yd_intake_create(&intake, &pump->intake);
    if (r == 0 || r == YD_ENOTSUP) return 0; /* simulated: no HTTP */
    free_all(pump);
    return r;
}

static void stop(void *opaque)
{
    struct pump *pump = opaque;
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
}

static const struct yd_pump_class pump_class = {
    .state_size = sizeof(struct pump), .start = start, .stop = stop, .command = command, .pause = pause_};

const struct yd_element_class yd_class_remote_write = {
    .abi = YD_ELEMENT_ABI,
    .flags = YD_CLASS_SOURCE,
    .name = "RemoteWrite",
    .summary = "takes Prometheus remote write 1.0",
    .doc =
        "Each sample becomes a SAMPLE named by its label `__name__`, the other labels as tags:\n"
        "`up instance=localhost:9090,job=prometheus`. Times are milliseconds. In prometheus.yml:\n\n"
        "    remote_write:\n      - url: http://127.0.0.1:9201/api/v1/write\n\n"
        "- A write is answered 204 once it is durable (`sync`), as far as what is wired behind makes it so; 503 when "
        "it could\n"
        "  not be stored: Prometheus sends it again.\n"
        "- Bad series are counted and answered 400, with their neighbours stored; Prometheus does not send those "
        "again.\n"
        "- Values that are not finite and staleness markers (the NaN 0x7ff0000000000002) are counted, never stored, "
        "and "
        "the\n"
        "  answer is 204 all the same: a series that ends has no more points, and questions find none behind its "
        "last.\n"
        "- Remote write 2.0 is counted and refused with 415: `protobuf_message: prometheus.WriteRequest` in "
        "prometheus.yml.\n"
        "- Native histograms are counted as rejected; exemplars and metadata are passed over.\n",
    .example = "prometheus :: RemoteWrite(listen: \"127.0.0.1:9201\") -> metrics :: Log(stream: \"metrics\")\n",
    .ports = ports,
    .params = params,
    .reasons = reasons,
    .state_size = sizeof(struct state),
    .open = open,
    .receive = receive,
    .pump = &pump_class,
};
