/* Replica: a stream as another node has it, byte for byte, kept on this node's disk, and out of it by cursors.
 *
 * `open` opens the log as a follower's; the pump (serve/follower.h) keeps it like its leader's. Readers here, cursors
 * of wires and the Native of this run, read what is durable here. When it is told to cut back, they are told too. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "elements/classes.h"
#include "flow/run.h"
#include "io/file.h"
#include "io/loop.h"
#include "io/tls.h"
#include "log/layout.h"
#include "serve/follower.h"

#define TOKEN_MAX 4096

struct state {
    struct yd_element *element;
    struct yd_log *log;
    char *token;
    struct yd_tls *tls; /* NULL: plain */
    char stream[256];   /* NAME/PARTITION */
    struct yd_log_recovery recovery;
    bool said_failed, said_no_space;
};

struct pump {
    struct yd_pump *pump;
    struct yd_follower *follower;
    const struct state *element;
    bool told; /* the lane's: about the partitions */
};

static const struct yd_port_class ports[] = {
    {.name = "output",
     .direction = YD_OUT,
     .mode = YD_PUSH,
     .kinds = YD_KINDS_ALL,
     .flags = YD_PORT_CURSOR,
     .doc = "A wire from here is a named cursor: it continues where its reader had acknowledged."},
    {0}};

static const struct yd_param_class params[] = {
    {.name = "from",
     .type = YD_PARAM_TEXT,
     .flags = YD_PARAM_REQUIRED,
     .doc =
         "The leader's native address: `HOST:PORT`, `tls:HOST:PORT` or `unix:PATH`. HOST may be a name: each attempt "
         "looks it up."},
    {.name = "stream",
     .type = YD_PARAM_TEXT,
     .flags = YD_PARAM_REQUIRED | YD_PARAM_STREAM,
     .doc = "The stream's name, there and here: its folder is `DATA/streams/NAME/PARTITION`."},
    {.name = "partition", .type = YD_PARAM_INT, .initial = "0", .max = 65535, .doc = "Which partition of it."},
    {.name = "name",
     .type = YD_PARAM_TEXT,
     .initial = "\"\"",
     .doc = "What the leader calls this follower; `\"\"`: the element's name."},
    {.name = "token_file",
     .type = YD_PARAM_TEXT,
     .initial = "\"\"",
     .doc = "A file whose first line is the leader's secret; `\"\"`: none."},
    {.name = "tls_ca",
     .type = YD_PARAM_TEXT,
     .initial = "\"\"",
     .doc = "`tls:`: who may have signed the leader's certificate (PEM); `\"\"`: the system's authorities."},
    {.name = "tls_cert",
     .type = YD_PARAM_TEXT,
     .initial = "\"\"",
     .doc = "`tls:`: the certificate shown to a leader that asks for one (PEM); wants `tls_key`."},
    {.name = "tls_key", .type = YD_PARAM_TEXT, .initial = "\"\"", .doc = "The certificate's key (PEM)."},
    {.name = "tls_name",
     .type = YD_PARAM_TEXT,
     .initial = "\"\"",
     .doc = "`tls:`: what the leader's certificate must be for; `\"\"`: the HOST of `from`."},
    {.name = "keep",
     .type = YD_PARAM_DURATION,
     .initial = "0s",
     .max = 9.2e18,
     .doc = "Whole segments older than this go, here; `0s`: kept for ever."},
    {.name = "size",
     .type = YD_PARAM_SIZE,
     .initial = "0B",
     .flags = YD_PARAM_DISK,
     .max = 1e18,
     .doc = "At most so much on this node's disk: the oldest segments go; `0B`: no limit."},
    {.name = "tail",
     .type = YD_PARAM_SIZE,
     .initial = "64MiB",
     .flags = YD_PARAM_MEMORY,
     .min = 1 << 20,
     .max = (double)(UINT64_C(1) << 40),
     .doc = "Kept in memory for readers that are behind."},
    {.name = "cursor_expiry",
     .type = YD_PARAM_DURATION,
     .initial = "7d",
     .max = 9.2e18,
     .doc = "How long a cursor that nobody uses holds back retention."},
    {0}};

static uint64_t random_(void *arg)
{
    return yd_element_random(arg);
}
static int64_t wall(void *arg)
{
    return yd_element_wall(arg);
}
static int64_t mono(void *arg)
{
    (void)arg;
    return yd_clock_mono();
}

/* "tls:HOST:PORT" without its first part. */
static bool is_tls(struct yd_str from)
{
    return yd_str_starts(from, YD_STR("tls:"));
}
static const char *plain_from(struct yd_str from)
{
    return from.data + (is_tls(from) ? sizeof "tls:" - 1 : 0);
}

static int check_leader(const struct yd_args *args, char *why, size_t why_size)
{
    struct yd_str from = yd_args_text(args, "from");
    bool tls = is_tls(from), named;
    bool cert = yd_args_text(args, "tls_cert").size, key = yd_args_text(args, "tls_key").size;
    bool more = yd_args_text(args, "tls_ca").size || yd_args_text(args, "tls_name").size;
    struct yd_trail trail = {0};
    const char *wrong = NULL;
    if (yd_address_check(yd_str_of(plain_from(from)), &named, &trail) < 0)
        wrong = yd_trail_text(&trail);
    else if (tls && yd_str_starts(yd_str_of(plain_from(from)), YD_STR("unix:")))
        wrong = "a Unix socket does not speak TLS";
    else if (cert != key)
        wrong = "`tls_cert` and `tls_key` go together";
    else if (!tls && (cert || more))
        wrong = "`tls_` parameters want an address with `tls:` before it";
    if (!wrong) return 0;
    (void)snprintf(why, why_size, "%s", wrong);
    return YD_EINVAL;
}

static int check(const struct yd_args *args, char *why, size_t why_size)
{
    struct yd_str stream = yd_args_text(args, "stream");
    bool good = stream.size > 0 && stream.size <= 200 && stream.data[0] != '.';
    for (size_t i = 0; i < stream.size && good; i++) {
        char c = stream.data[i];
        good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || memchr("._-", c, 3);
    }
    if (good) return check_leader(args, why, why_size);
    (void)snprintf(why, why_size, "a stream's name is letters, digits, `.`, `_` and `-`, not beginning with `.`");
    return YD_EINVAL;
}

static int read_token(struct yd_element *element, struct state *state)
{
    struct yd_str path = yd_args_text(yd_element_args(element), "token_file");
    if (!path.size) return 0;
    size_t size;
    int r = yd_fs_read_all(yd_element_fs(element), path.data, TOKEN_MAX, &state->token, &size);
    if (r < 0) return yd_element_fail(element, r, "token_file %s: %s", path.data, yd_error_text(r));
    state->token[strcspn(state->token, "\r\n")] = '\0';
    return 0;
}

/* What is wrong with the certificates is said at the start. */
static int load_tls(struct yd_element *element, struct state *state)
{
    const struct yd_args *args = yd_element_args(element);
    struct yd_str ca = yd_args_text(args, "tls_ca"), cert = yd_args_text(args, "tls_cert");
    if (!is_tls(yd_args_text(args, "from"))) return 0;
    struct yd_tls_options options = {.ca_file = ca.size ? ca.data : NULL,
                                     .cert_file = cert.size ? cert.data : NULL,
                                     .key_file = cert.size ? yd_args_text(args, "tls_key").data : NULL};
    struct yd_trail trail = {0};
    int r = yd_tls_create(&options, &state->tls, &trail);
    return r < 0 ? yd_element_fail(element, r, "%s", trail.size ? yd_trail_text(&trail) : yd_error_text(r)) : 0;
}

static int open(struct yd_element *element, void *opaque)
{
    struct state *state = opaque;
    const struct yd_args *args = yd_element_args(element);
    const char *name = yd_args_text(args, "stream").data;
    char dir[4096];
    struct yd_trail trail = {0};
    state->element = element;
    int r = read_token(element, state);
    if (r == 0) r = load_tls(element, state);
    if (r < 0) return r;
    (void)snprintf(state->stream, sizeof state->stream, "%s/%lld", name, (long long)yd_args_int(args, "partition"));
    if (snprintf(dir, sizeof dir, "%s/streams/%s", yd_element_data(element), state->stream) >= (int)sizeof dir)
        return yd_element_fail(element, YD_ETOOBIG, "the path of the data folder is too long");
    struct yd_log_options options = {.fs = yd_element_fs(element),
                                     .dir = dir,
                                     .stream = state->stream,
                                     .random = random_,
                                     .wall = wall,
                                     .mono = yd_element_simulated(element) ? NULL : mono,
                                     .clock_arg = element,
                                     .memory_bytes_max = (uint64_t)yd_args_int(args, "tail"),
                                     .retain_ns = yd_args_int(args, "keep"),
                                     .retain_bytes = (uint64_t)yd_args_int(args, "size"),
                                     .cursor_expiry_ns = yd_args_int(args, "cursor_expiry"),
                                     .follower = true};
    r = yd_log_open(&options, &state->log, &state->recovery, &trail);
    if (r < 0) return yd_element_fail(element, r, "stream %s: %s", name, yd_trail_text(&trail));
    r = yd_streams_put(yd_element_streams(element), state->stream, state->log);
    return r < 0 ? yd_element_fail(element, r, "stream %s: %s", name, yd_error_text(r)) : 0;
}

static void close(void *opaque)
{
    struct state *state = opaque;
    free(state->token);
    yd_tls_unref(state->tls);
    state->token = NULL;
    state->tls = NULL;
    if (!state->log) return;
    yd_streams_remove(yd_element_streams(state->element), state->stream);
    (void)yd_log_close(state->log); /* what a last flush could not do, recovery finds */
    state->log = NULL;
}

static void *stream(void *opaque, unsigned partition)
{
    return partition ? NULL : ((struct state *)opaque)->log; /* it has one, whatever its number at the leader */
}

static void look(struct state *state, struct yd_out *out)
{
    struct yd_log_position position;
    yd_log_position(state->log, &position);
    if (position.failed && !state->said_failed)
        yd_say(out, 2, "a write or sync failed: this copy follows nobody until the next start. Look at the device");
    if (position.no_space && !state->said_no_space)
        yd_say(out, 2, "no space left on the device: this copy falls behind");
    if (!position.no_space && state->said_no_space) yd_say(out, 0, "there is space again: following goes on");
    state->said_failed = position.failed != 0;
    state->said_no_space = position.no_space;
}

static enum yd_turn_result receive(void *opaque, struct yd_input *input, struct yd_out *out)
{
    struct state *state = opaque;
    if (input->type == YD_INPUT_START && state->recovery.torn_bytes)
        yd_say(out, 0, "the end of the copy was torn: %llu bytes are in its quarantine/, its leader sends them again",
               (unsigned long long)state->recovery.torn_bytes);
    if (input->type == YD_INPUT_MOVED) look(state, out);
    return YD_DONE;
}

/* ---- the pump ---- */

static void said(void *arg, int level, const char *text)
{
    yd_pump_say(((struct pump *)arg)->pump, level, "%s", text);
}

/* The copy's stream.json: with it servers here know the partitions, and the copy can become the stream. Who follows one
 * of several and not the others is told once. */
static void laid_out(void *arg, uint32_t partitions, bool by_producer)
{
    struct pump *pump = arg;
    const struct state *state = pump->element;
    struct yd_layout layout,
        asked = {.partitions = partitions, .by = by_producer ? YD_LAYOUT_BY_PRODUCER : YD_LAYOUT_BY_NAME};
    char name[256], partition[300];
    if (partitions < 2 || partitions > YD_LAYOUT_PARTITIONS_MAX || pump->told) return;
    pump->told = true;
    (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(state->stream, "/"), state->stream);
    struct yd_fs *fs = yd_pump_fs(pump->pump);
    const char *data = yd_element_data(state->element);
    int r = yd_layout_load(fs, data, name, &layout);
    if (r == YD_ENOENT) r = yd_layout_save(fs, data, name, &asked);
    if (r < 0) yd_pump_say(pump->pump, 1, "stream %s: its stream.json: %s", name, yd_error_text(r));
    uint32_t missing = 0;
    for (uint32_t i = 0; i < partitions; i++) {
        (void)snprintf(partition, sizeof partition, "%s/%u", name, i);
        struct yd_log *log = yd_streams_find(yd_element_streams(state->element), partition);
        missing += log == NULL;
        yd_log_unref(log);
    }
    if (missing)
        yd_pump_say(pump->pump, 1,
                    "stream %s has %u partitions at its leader and %u of them are not followed here: give "
                    "each a Replica(partition: …)",
                    name, partitions, missing);
}

static int start(struct yd_pump *pump, void *opaque, void *element_state)
{
    struct pump *state = opaque;
    const struct state *element = element_state;
    const struct yd_args *args = yd_pump_args(pump);
    struct yd_str name = yd_args_text(args, "name"), tls_name = yd_args_text(args, "tls_name");
    struct yd_trail trail = {0};
    state->pump = pump;
    state->element = element;
    struct yd_follower_options options = {
        .loop = yd_pump_loop(pump),
        .pool = yd_pump_pool(pump),
        .log = element->log,
        .from = plain_from(yd_args_text(args, "from")),
        .tls = element->tls,
        .tls_name = tls_name.size ? tls_name.data : NULL,
        .stream = element->stream,
        .id = name.size ? name.data : yd_pump_element(pump),
        .token = element->token,
        .said = said,
        .laid_out = laid_out,
        .arg = state,
    };
    int r = yd_follower_start(&options, &state->follower, &trail);
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
    struct yd_follower *follower = state->follower;
    state->follower = NULL;
    if (follower) yd_follower_stop(follower, stopped, state);
}

static void pause_(void *opaque, bool paused)
{
    (void)opaque, (void)paused; /* nothing is emitted: there is nobody to wait for */
}

static const struct yd_pump_class pump_class = {
    .state_size = sizeof(struct pump), .start = start, .stop = stop, .pause = pause_};

const struct yd_element_class yd_class_replica = {
    .abi = YD_ELEMENT_ABI,
    .flags = YD_CLASS_SOURCE,
    .name = "Replica",
    .summary = "follows a stream of another node: the same files, byte for byte, for readers here",
    .doc = "Every batch is checked before it is written: its checksums, its place, the chain, and who sends it. It\n"
           "catches up from any point, goes on where it was after a crash, and tells its leader what is durable here:\n"
           "that is what `replicated` counts.\n\n"
           "- It takes no appends. `yarder log promote` makes its copy the leader; the old one, when it comes back,\n"
           "  follows, and cuts what nobody else has: that is kept in `quarantine/`.\n"
           "- What its leader has retired before it came is gone: it begins anew, and says so.\n"
           "- `tls:` before the address: TLS 1.3; the leader's certificate is verified, always.\n"
           "- `keep` and `size` are this node's own.\n",
    .example = "native :: Native(listen: \"127.0.0.1:4281\")\n"
               "copy :: Replica(from: \"127.0.0.1:4280\", stream: \"metrics\") -> history :: History()\n",
    .ports = ports,
    .params = params,
    .reasons = (const char *const[]){NULL},
    .state_size = sizeof(struct state),
    .check = check,
    .open = open,
    .close = close,
    .receive = receive,
    .pump = &pump_class,
    .stream = stream,
};
