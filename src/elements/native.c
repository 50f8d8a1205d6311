/* Native: the native protocol's door: programs append to streams, subscribe to them and ask about them.
 *
 * The pump does all the work (serve/native.h): it finds the logs of Log elements in the run's registry and opens the
 * other streams of the data folder itself. No record passes this element: what is appended comes out of the Log that
 * owns the stream. Questions to other elements do pass it, and their answers:
 *
 *   peer ─▶ pump ─TELL_ASK─▶ receive ─yd_run_ask─▶ State, Facts, Events … ─▶ receive ─COMMAND─▶ pump ─▶ peer */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "elements/classes.h"
#include "elements/redefine.h"
#include "elements/rows.h"
#include "flow/run.h"
#include "io/file.h"
#include "io/tls.h"
#include "serve/native.h"

#define TOKEN_MAX 4096

struct state {
    char *token; /* read while blocking is allowed, as the certificates are */
    struct yd_tls *tls;
};

struct pump {
    struct yd_pump *pump;
    struct yd_native *native;
};

static const struct yd_port_class ports[] = {{0}};

static const struct yd_param_class params[] = {
    {.name = "listen",
     .type = YD_PARAM_TEXT,
     .initial = "\"127.0.0.1:4280\"",
     .flags = YD_PARAM_LISTENS,
     .doc = "TCP address; `\"\"`: none. Beyond this machine it needs `token_file`, client certificates, or `open`."},
    {.name = "unix",
     .type = YD_PARAM_TEXT,
     .initial = "\"\"",
     .doc = "Path of a Unix socket; `\"\"`: none. The daemon's user and root need no token there."},
    {.name = "token_file",
     .type = YD_PARAM_TEXT,
     .initial = "\"\"",
     .doc = "A file whose first line is the secret that peers must know; `\"\"`: none is asked for."},
    {.name = "open",
     .type = YD_PARAM_BOOL,
     .initial = "false",
     .doc = "Listens beyond this machine without a token: for a network that you trust."},
    {.name = "tls_cert",
     .type = YD_PARAM_TEXT,
     .initial = "\"\"",
     .doc = "A certificate (PEM): `listen` speaks TLS 1.3 only; wants `tls_key`. `\"\"`: plain."},
    {.name = "tls_key", .type = YD_PARAM_TEXT, .initial = "\"\"", .doc = "The certificate's key (PEM)."},
    {.name = "tls_ca",
     .type = YD_PARAM_TEXT,
     .initial = "\"\"",
     .doc = "Peers must show a certificate that one of these authorities has signed (PEM). `\"\"`: none is asked for."},
    {.name = "create", .type = YD_PARAM_BOOL, .initial = "false", .doc = "Peers may make streams that are not there."},
    {.name = "max_connections",
     .type = YD_PARAM_INT,
     .initial = "256",
     .min = 1,
     .max = 1 << 20,
     .doc = "More peers at once are refused."},
    {.name = "idle",
     .type = YD_PARAM_DURATION,
     .initial = "10m",
     .max = 3.2e18,
     .doc = "A peer from which nothing comes for so long is closed; at half of it it is pinged."},
    {0}};

static int check(const struct yd_args *args, char *why, size_t why_size)
{
    bool cert = yd_args_text(args, "tls_cert").size, key = yd_args_text(args, "tls_key").size;
    const char *wrong = NULL;
    if (!yd_args_text(args, "listen").size && !yd_args_text(args, "unix").size)
        wrong = "neither `listen` nor `unix` is given: nobody can come in";
    else if (cert != key)
        wrong = "`tls_cert` and `tls_key` go together";
    else if (yd_args_text(args, "tls_ca").size && !cert)
        wrong = "`tls_ca` asks peers for certificates: that needs `tls_cert` and `tls_key`";
    if (!wrong) return 0;
    (void)snprintf(why, why_size, "%s", wrong);
    return YD_EINVAL;
}

/* Reads the certificates; what is wrong with them is said at the start, not at the first peer. */
static int load_tls(struct yd_element *element, struct state *state)
{
    const struct yd_args *args = yd_element_args(element);
    struct yd_str cert = yd_args_text(args, "tls_cert"), ca = yd_args_text(args, "tls_ca");
    if (!cert.size) return 0;
    struct yd_tls_options options = {.cert_file = cert.data,
                                     .key_file = yd_args_text(args, "tls_key").data,
                                     .ca_file = ca.size ? ca.data : NULL,
                                     .client_certificate = ca.size > 0};
    struct yd_trail trail = {0};
    int r = yd_tls_create(&options, &state->tls, &trail);
    return r < 0 ? yd_element_fail(element, r, "%s", yd_trail_text(&trail)) : 0;
}

static int open(struct yd_element *element, void *opaque)
{
    struct state *state = opaque;
    int failed = load_tls(element, state);
    if (failed) return failed;
    struct yd_str path = yd_args_text(yd_element_args(element), "token_file");
    if (!path.size) return 0;
    size_t size;
    int r = yd_fs_read_all(yd_element_fs(element), path.data, TOKEN_MAX, &state->token, &size);
    if (r < 0) return yd_element_fail(element, r, "token_file %s: %s", path.data, yd_error_text(r));
    state->token[strcspn(state->token, "\r\n")] = '\0';
    if (!*state->token) return yd_element_fail(element, YD_EINVAL, "token_file %s: its first line is empty", path.data);
    return 0;
}

static void close(void *opaque)
{
    struct state *state = opaque;
    free(state->token);
    yd_tls_unref(state->tls);
    state->token = NULL;
    state->tls = NULL;
}

/* ---- questions to elements ---- */

enum { TELL_ASK = 1 };
enum { COMMAND_MORE, COMMAND_LAST, COMMAND_REFUSE };
struct refusal {
    int error;
    char text[256];
};

static void refuse(struct yd_out *out, uint64_t number, int error, const char *format, ...) YD_PRINTF(4, 5);
static void refuse(struct yd_out *out, uint64_t number, int error, const char *format, ...)
{
    struct refusal *refusal = calloc(1, sizeof *refusal);
    if (!refusal) return; /* the peer's own time runs out */
    va_list args;
    va_start(args, format);
    refusal->error = error;
    (void)vsnprintf(refusal->text, sizeof refusal->text, format, args);
    va_end(args);
    (void)yd_out_command(out, COMMAND_REFUSE, number, NULL, refusal, free);
}

static int add_element(struct yd_builder *builder, const struct yd_node *node, int64_t now)
{
    uint32_t name;
    int port = yd_run_asked_port(node->class);
    if (port < 0) return 0;
    int error = yd_builder_name(builder, yd_str_of(node->name), &name);
    if (!error) error = yd_builder_begin(builder, now, name, YD_ROW, 0, YD_MAP);
    if (!error) error = yd_builder_cell_bytes(builder, YD_STR("class"), YD_TEXT, yd_str_of(node->class->name));
    if (!error)
        error = yd_builder_cell_bytes(builder, YD_STR("asked"), YD_TEXT, yd_str_of(node->class->ports[port].doc));
    return error ? error : yd_builder_end(builder);
}

static void list_elements(struct yd_out *out, uint64_t number, int64_t now)
{
    const struct yd_topology *topology = yd_run_topology(yd_element_run(yd_out_element(out)));
    struct yd_builder *builder;
    struct yd_batch *batch = NULL;
    int error = yd_builder_create(NULL, &builder);
    if (!error) {
        for (size_t i = 0; i < topology->node_count && !error; i++)
            error = add_element(builder, &topology->nodes[i], now);
        if (!error) error = yd_builder_seal(builder, &batch);
        yd_builder_destroy(builder);
    }
    if (error && error != YD_EAGAIN)
        refuse(out, number, error, "elements: %s", yd_error_text(error));
    else
        (void)yd_out_command(out, COMMAND_LAST, number, batch, NULL, NULL); /* gone with the pump, if that is gone */
}

static void ask(struct yd_input *input, struct yd_out *out)
{
    uint64_t number = *(uint64_t *)input->data;
    struct yd_str element = yd_rows_text(input->batch, "element");
    if (!element.size) {
        list_elements(out, number, input->wall_ns);
        return;
    }
    if (yd_rows_op(input->batch, YD_REDEFINE_OP)) {
        refuse(out, number, YD_EPERM,
               "definitions are handed on between elements, never from outside: ask the Decom "
               "to `reload` its file");
        return;
    }
    int error = yd_run_ask(out, element, yd_batch_ref(input->batch), number, 0);
    if (error == YD_ENOENT)
        refuse(out, number, error, "there is no element '%.*s' here; the op `elements` lists those that can be asked",
               (int)YD_MIN(element.size, (size_t)64), element.data);
    else if (error == YD_ENOTSUP)
        refuse(out, number, error, "%.*s answers no questions; the op `elements` lists those that do",
               (int)YD_MIN(element.size, (size_t)64), element.data);
    else if (error)
        refuse(out, number, error, "%s", yd_error_text(error));
}

static enum yd_turn_result receive(void *state, struct yd_input *input, struct yd_out *out)
{
    (void)state;
    struct yd_batch *batch = input->batch;
    switch (input->type) {
    case YD_INPUT_PUMP:
        ask(input, out);
        break;
    case YD_INPUT_REPLY:
        (void)yd_out_command(out, input->more ? COMMAND_MORE : COMMAND_LAST, input->cookie,
                             batch ? yd_batch_ref(batch) : NULL, NULL, NULL); /* as above */
        break;
    case YD_INPUT_ERROR: {
        struct yd_str why = batch && batch->view.count && batch->view.records[0].type == YD_TEXT
                                ? yd_view_bytes(&batch->view, batch->view.records[0].value)
                                : yd_str_of(yd_error_text(input->error));
        refuse(out, input->cookie, input->error, "%.*s", YD_STR_FMT(why));
        break;
    }
    default:
        break;
    }
    return YD_DONE;
}

/* ---- the pump ---- */

static void counted(void *arg, enum yd_native_count what, enum yd_native_reason reason, uint64_t records,
                    const char *peer)
{
    struct pump *state = arg;
    switch (what) {
    case YD_NATIVE_TAKEN:
        yd_pump_count_received(state->pump, records);
        break;
    case YD_NATIVE_FOLDED:
        yd_pump_count_folded(state->pump, records);
        break;
    case YD_NATIVE_REJECTED:
        yd_pump_count_rejected(state->pump, reason, records, yd_str_of(yd_native_reasons[reason]), yd_str_of(peer));
        break;
    case YD_NATIVE_DROPPED:
        yd_pump_count_dropped(state->pump, reason, records);
        break;
    }
}

static void listens(void *arg, const char *what, const char *address)
{
    yd_pump_listens(((struct pump *)arg)->pump, what, address);
}

static void said(void *arg, int level, const char *text)
{
    yd_pump_say(((struct pump *)arg)->pump, level, "%s", text);
}

static int tell_ask(void *arg, uint64_t number, struct yd_batch *query)
{
    uint64_t *data = malloc(sizeof *data);
    if (!data) {
        yd_batch_unref(query);
        return YD_ENOMEM;
    }
    *data = number;
    return yd_pump_tell(((struct pump *)arg)->pump, TELL_ASK | YD_TELL_URGENT, query, data, free);
}

static uint64_t random_(void *arg)
{
    return yd_pump_random(arg);
}

static int64_t wall(void *arg)
{
    return yd_pump_wall_anywhere(arg);
}

static int start(struct yd_pump *pump, void *opaque, void *element_state)
{
    struct pump *state = opaque;
    const struct state *element = element_state;
    const struct yd_args *args = yd_pump_args(pump);
    struct yd_str address = yd_args_text(args, "listen"), path = yd_args_text(args, "unix");
    struct yd_trail trail = {0};
    state->pump = pump;
    struct yd_native_options options = {
        .loop = yd_pump_loop(pump),
        .pool = yd_pump_pool(pump),
        .fs = yd_pump_fs(pump),
        .streams = yd_pump_streams(pump),
        .data = yd_pump_data(pump),
        .listen = address.size ? address.data : NULL,
        .unix_path = path.size ? path.data : NULL,
        .token = element->token,
        .tls = element->tls,
        .certificates = yd_args_text(args, "tls_ca").size > 0,
        .open = yd_args_bool(args, "open"),
        .create = yd_args_bool(args, "create"),
        .simulated = yd_pump_simulated(pump),
        .connections_max = (unsigned)yd_args_int(args, "max_connections"),
        .idle_ns = yd_args_int(args, "idle"),
        .random = random_,
        .wall = wall,
        .world_arg = pump,
        .counted = counted,
        .listens = listens,
        .said = said,
        .ask = tell_ask,
        .arg = state,
    };
    int r = yd_native_start(&options, &state->native, &trail);
    if (r == 0) return 0;
    return yd_pump_fail(pump, r, "%s", trail.size ? yd_trail_text(&trail) : yd_error_text(r));
}

static void stopped(void *arg)
{
    yd_pump_stopped(((struct pump *)arg)->pump);
}

static void stop(void *opaque)
{
    struct pump *state = opaque;
    struct yd_native *native = state->native;
    state->native = NULL;
    if (native) yd_native_stop(native, stopped, state);
}

static void pause_(void *opaque, bool paused)
{
    (void)opaque, (void)paused; /* nothing is emitted: there is nobody to wait for */
}

static void command(void *opaque, struct yd_command *command)
{
    struct pump *state = opaque;
    const struct refusal *refusal = command->type == COMMAND_REFUSE ? command->data : NULL;
    if (!state->native) return;
    yd_native_answer(state->native, command->arg, command->batch, command->type == COMMAND_MORE,
                     refusal ? refusal->error : 0, refusal ? refusal->text : NULL);
}

static const struct yd_pump_class pump_class = {
    .state_size = sizeof(struct pump), .start = start, .stop = stop, .pause = pause_, .command = command};

const struct yd_element_class yd_class_native = {
    .abi = YD_ELEMENT_ABI,
    .flags = YD_CLASS_SOURCE | YD_CLASS_APPENDS,
    .name = "Native",
    .summary = "serves the streams of the data folder by the native protocol: append, subscribe, ask",
    .doc =
        "Programs append batches to streams and are told when they are durable, subscribe from any place, and ask.\n"
        "The streams of this topology's Logs are found by their names; others in the data folder are opened here.\n\n"
        "- What a producer sends again is written once; gaps and older incarnations are refused.\n"
        "- A subscriber that is slow stops itself alone. Behind the memory's tail it is sent whole runs of the "
        "files.\n"
        "- Everything that comes is checked; a frame that cannot be ends its connection, no other.\n"
        "- Beyond this machine it asks for a token or client certificates, or says so: `open: true`.\n"
        "- Elements that remember (State, Facts, Events, Window …) are asked by their names: `yarder ask`, `yarder "
        "state`.\n"
        "- Counted here: records appended, and refused by their reason. What was there already counts as folded.\n",
    .example = "native :: Native(listen: \"127.0.0.1:4280\", unix: \"/run/yarder/native.sock\")\n"
               "metrics :: Log(stream: \"metrics\") -> history :: History()\n",
    .ports = ports,
    .params = params,
    .reasons = yd_native_reasons,
    .state_size = sizeof(struct state),
    .check = check,
    .open = open,
    .close = close,
    .receive = receive,
    .pump = &pump_class,
};
