/* Collectd: packets of collectd's network plug-in become records.
 *
 * Happy path: types.db is read when the element opens; datagrams come, each is parsed in one go (collectd_packets.h),
 * and what a turn of the loop brought goes on as a batch. UDP has no answers: what is refused is counted and sampled.
 * What can fail: a types.db or an auth_file that cannot be read or has a line that is not one keeps the element from
 * starting, and the line is named. */
#include <stdio.h>

#include "base/text.h"
#include "elements/classes.h"
#include "elements/collectd_packets.h"
#include "elements/datagrams_in.h"
#include "io/file.h"
#include "io/loop.h"

#define FILE_MAX ((size_t)4 << 20)

enum { OUTPUT, REJECTS };
enum { REASON_KERNEL = YD_COLLECTD_REASON_COUNT };

struct state {
    struct yd_element *element;
    bool rejects_wired;
    struct yd_spread spread;
    struct yd_collectd_types *types;
    struct yd_collectd_users *users;
    struct yd_collectd *fed; /* of feed, made when first needed */
    struct yd_out *out;      /* of the feed at hand */
};

struct pump {
    struct yd_pump *pump;
    struct yd_datagrams_in in;
    struct yd_collectd *collectd;
    struct yd_rejects *rejects; /* NULL: not wired */
};

static const char *const reasons[] = {
#define REASON(name, text) text,
    YD_COLLECTD_REASONS(REASON)
#undef REASON
        "datagram dropped by the kernel",
    NULL};

static const struct yd_port_class ports[] = {
    {.name = "output",
     .direction = YD_OUT,
     .mode = YD_PUSH,
     .kinds = YD_KIND_BIT(YD_SAMPLE) | YD_KIND_BIT(YD_TALLY) | YD_KIND_BIT(YD_DELTA) | YD_KIND_BIT(YD_EVENT),
     .doc =
         "A SAMPLE for each gauge, a DELTA for each counter and derive, a TALLY for each absolute, an EVENT for each "
         "notification."},
    {.name = "rejects",
     .direction = YD_OUT,
     .mode = YD_PUSH,
     .kinds = YD_KIND_BIT(YD_ROW),
     .flags = YD_PORT_OPTIONAL_REJECTS,
     .doc = "What was not understood or not trusted: one row for those refused together: `reason`, `peer` and `line` "
            "(up to 4096 bytes of it)."},
    {0}};

static const char *const securities[] = {"auto", "none", "sign", "encrypt", NULL};

static const struct yd_param_class params[] = {
    {.name = "listen",
     .type = YD_PARAM_TEXT,
     .initial = "\"127.0.0.1:25826\"",
     .flags = YD_PARAM_LISTENS_DATAGRAM,
     .doc = "UDP address."},
    {.name = "types",
     .type = YD_PARAM_LIST,
     .initial = "[\"/usr/share/collectd/types.db\"]",
     .doc = "Files that say what the values of a type are called; later ones win. Read at start."},
    {.name = "auth_file",
     .type = YD_PARAM_TEXT,
     .initial = "\"\"",
     .doc = "Lines `user: password`, for signed and encrypted packets, which are refused without it. Read at start."},
    {.name = "security",
     .type = YD_PARAM_TEXT,
     .initial = "\"auto\"",
     .oneof = securities,
     .doc = "What packets must be at least: `none`, signed (`sign`), `encrypt`ed; `auto`: signed when there is an "
            "`auth_file`."},
    YD_SPREAD_PARAM("datagrams"),
    YD_RECEIVE_BUFFER_PARAM,
    {0}};

static enum yd_collectd_trust trust_of(const struct yd_args *args)
{
    struct yd_str security = yd_args_text(args, "security");
    if (yd_str_eq(security, YD_STR("encrypt"))) return YD_COLLECTD_ENCRYPTED;
    if (yd_str_eq(security, YD_STR("sign"))) return YD_COLLECTD_SIGNED;
    if (yd_str_eq(security, YD_STR("none"))) return YD_COLLECTD_PLAIN;
    return yd_args_text(args, "auth_file").size ? YD_COLLECTD_SIGNED : YD_COLLECTD_PLAIN;
}

static int check(const struct yd_args *args, char *why, size_t why_size)
{
    const struct yd_arg *types = yd_args_find(args, "types");
    for (size_t i = 0; types && i < types->list.count; i++) {
        if (types->list.items[i].type == YD_PARAM_TEXT) continue;
        (void)snprintf(why, why_size, "`types` is a list of paths, as texts");
        return YD_EINVAL;
    }
    if (trust_of(args) != YD_COLLECTD_PLAIN && !yd_args_text(args, "auth_file").size) {
        (void)snprintf(why, why_size, "`security` needs an `auth_file`: nobody's packets could be taken");
        return YD_EINVAL;
    }
    return 0;
}

/* ---- files ---- */

static int slurp(struct state *state, const char *path, struct yd_buf *to)
{
    struct yd_file *file = NULL;
    size_t size = 1;
    yd_buf_clear(to);
    int r = yd_fs_open(yd_element_fs(state->element), path, YD_OPEN_READ, &file);
    while (r == 0 && size) {
        char *room = to->size < FILE_MAX ? yd_buf_reserve(to, 64u << 10) : NULL;
        r = room ? yd_file_read(file, room, 64u << 10, to->size, &size) : to->failed ? YD_ENOMEM : YD_ETOOBIG;
        if (r == 0) to->size += size;
    }
    yd_file_close(file);
    return r;
}

static int fail(struct state *state, int error, const char *path, unsigned line, const char *form)
{
    if (line && error == YD_EFORMAT)
        return yd_element_fail(state->element, error, "%s:%u: that is not `%s`", path, line, form);
    return yd_element_fail(state->element, error, "%s: %s", path, yd_error_text(error));
}

static int path_of(struct yd_str text, char *to, size_t size)
{
    if (text.size >= size) return YD_ETOOBIG;
    memcpy(to, text.data, text.size);
    to[text.size] = 0;
    return 0;
}

static int read_types(struct state *state, const struct yd_arg *paths, struct yd_buf *text)
{
    char path[4096];
    int r = yd_collectd_types_create(NULL, &state->types);
    if (r < 0) return yd_element_fail(state->element, r, "out of memory");
    for (size_t i = 0; paths && i < paths->list.count; i++) {
        unsigned line = 0;
        r = path_of(paths->list.items[i].text, path, sizeof path);
        if (r < 0) return yd_element_fail(state->element, r, "a path in `types` is too long");
        r = slurp(state, path, text);
        if (r == YD_ENOENT)
            return yd_element_fail(state->element, r,
                                   "%s: there is no such file: `types` says where collectd's "
                                   "types.db is (Debian: in the package collectd-core)",
                                   path);
        if (r == 0) r = yd_collectd_types_add(state->types, yd_buf_view(text), &line);
        if (r < 0) return fail(state, r, path, line, "type source:KIND:min:max, …");
    }
    return 0;
}

static int read_users(struct state *state, struct yd_str file, struct yd_buf *text)
{
    char path[4096];
    unsigned line = 0;
    int r = path_of(file, path, sizeof path);
    if (r < 0) return yd_element_fail(state->element, r, "`auth_file` is too long");
    r = slurp(state, path, text);
    if (r == 0) r = yd_collectd_users_create(yd_buf_view(text), NULL, &state->users, &line);
    return r < 0 ? fail(state, r, path, line, "user: password") : 0;
}

/* ---- the element ---- */

static void close(void *opaque)
{
    struct state *state = opaque;
    yd_collectd_destroy(state->fed);
    yd_collectd_types_destroy(state->types);
    yd_collectd_users_destroy(state->users);
    state->fed = NULL;
    state->types = NULL;
    state->users = NULL;
}

static int open(struct yd_element *element, void *opaque)
{
    struct state *state = opaque;
    const struct yd_args *args = yd_element_args(element);
    struct yd_str auth_file = yd_args_text(args, "auth_file");
    struct yd_buf text;
    state->element = element;
    state->rejects_wired = yd_element_wired(element, REJECTS);
    yd_buf_init(&text, NULL);
    int r = read_types(state, yd_args_find(args, "types"), &text);
    if (r == 0 && auth_file.size) r = read_users(state, auth_file, &text);
    yd_buf_fini(&text);
    if (r < 0) close(state);
    return r;
}

static int create_parser(const struct state *state, const struct yd_args *args, struct yd_collectd_sink sink,
                         uint64_t seed, struct yd_collectd **ret_collectd)
{
    struct yd_collectd_options options = {
        .sink = sink, .types = state->types, .users = state->users, .trust = trust_of(args), .seed = seed};
    return yd_collectd_create(&options, ret_collectd);
}

static void fed_batch(void *arg, struct yd_batch *batch)
{
    struct state *state = arg;
    (void)yd_emit(state->out, OUTPUT, batch); /* unwired: counted there */
}

static void fed_reject(void *arg, enum yd_collectd_reason reason, uint64_t records, struct yd_str sample)
{
    struct state *state = arg;
    yd_count_rejected(state->out, reason, records, sample);
}

/* A packet. */
static int feed(void *opaque, struct yd_str bytes, struct yd_out *out, int64_t wall_ns)
{
    struct state *state = opaque;
    if (!state->fed) {
        int r = create_parser(state, yd_element_args(state->element),
                              (struct yd_collectd_sink){state, fed_batch, fed_reject},
                              yd_element_random(state->element), &state->fed);
        if (r < 0) return r;
    }
    state->out = out;
    yd_collectd_packet(state->fed, bytes, wall_ns);
    yd_collectd_flush(state->fed);
    state->out = NULL;
    return 0;
}

/* ---- the pump ---- */

static void on_batch(void *arg, struct yd_batch *batch)
{
    struct pump *pump = arg;
    (void)yd_pump_emit(pump->pump, OUTPUT, batch); /* `pause` comes in any case */
}

static void on_reject(void *arg, enum yd_collectd_reason reason, uint64_t records, struct yd_str sample)
{
    struct pump *pump = arg;
    if (records > 1) yd_pump_count_rejected(pump->pump, reason, records - 1, sample, yd_str_of(pump->in.from));
    if (records)
        yd_reject(pump->pump, pump->rejects, REJECTS, reason, reasons[reason], sample, yd_str_of(pump->in.from));
}

static void on_datagram(void *arg, struct yd_str bytes)
{
    struct pump *pump = arg;
    yd_collectd_origin(pump->collectd, yd_address_host(yd_str_of(pump->in.from)));
    yd_collectd_packet(pump->collectd, bytes, yd_pump_wall(pump->pump));
}

static void burst_ends(void *arg)
{
    yd_collectd_flush(((struct pump *)arg)->collectd);
}

static int listen_udp(struct pump *pump, const struct yd_args *args, struct yd_spread *spread)
{
    struct yd_datagrams_in_options options = {.pump = pump->pump,
                                              .spread = spread,
                                              .receive_buffer = (size_t)yd_args_int(args, "receive_buffer"),
                                              .what = "collectd packets",
                                              .reason_kernel = REASON_KERNEL,
                                              .rejects = pump->rejects,
                                              .rejects_port = REJECTS,
                                              .datagram = on_datagram,
                                              .burst_ends = burst_ends,
                                              .arg = pump};
    return yd_datagrams_in_open(&pump->in, &options, yd_args_text(args, "listen"));
}

static void free_all(struct pump *pump)
{
    yd_datagrams_in_close(&pump->in);
    yd_collectd_destroy(pump->collectd);
    yd_rejects_destroy(pump->rejects);
    pump->collectd = NULL;
    pump->rejects = NULL;
}

static int start(struct yd_pump *yd_pump, void *opaque, void *element_state)
{
    struct pump *pump = opaque;
    struct state *state = element_state;
    const struct yd_args *args = yd_pump_args(yd_pump);
    pump->pump = yd_pump;
    int r = create_parser(element_state, args, (struct yd_collectd_sink){pump, on_batch, on_reject},
                          yd_loop_random(yd_pump_loop(yd_pump)), &pump->collectd);
    if (r == 0 && state->rejects_wired) r = yd_rejects_create(yd_pump_element(yd_pump), &pump->rejects);
    r = r < 0 ? yd_pump_fail(yd_pump, r, "out of memory") : listen_udp(pump, args, &state->spread);
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

static void pause_(void *opaque, bool paused)
{
    struct pump *pump = opaque;
    yd_datagrams_in_pause(&pump->in, paused);
}

static const struct yd_pump_class pump_class = {
    .state_size = sizeof(struct pump), .start = start, .stop = stop, .pause = pause_, .spread = yd_spread_wanted};

const struct yd_element_class yd_class_collectd = {
    .abi = YD_ELEMENT_ABI,
    .flags = YD_CLASS_SOURCE,
    .name = "Collectd",
    .summary = "takes packets of collectd's network plug-in by UDP, signed and encrypted ones too",
    .doc =
        "Each value becomes a record named after its plug-in and type, once when they are alike, and after its data\n"
        "source where that is not `value`: `cpu host=web1,plugin_instance=0,type_instance=idle`,\n"
        "`load.shortterm host=web1`, `interface.if_octets.rx host=web1,plugin_instance=eth0`. Empty instances make\n"
        "no tag.\n\n"
        "| in collectd | here |\n|---|---|\n"
        "| GAUGE | SAMPLE; what is not finite (`U`) is rejected |\n"
        "| COUNTER, DERIVE | DELTA, as it counts: rates are for whoever asks |\n"
        "| ABSOLUTE | TALLY: how many since it was last read |\n"
        "| notification | EVENT with its text and a tag `severity` |\n\n"
        "- `types` must name the types.db that the senders have: packets do not carry the sources' names.\n"
        "- Times of the high resolution are exact to the nanosecond.\n"
        "- Signatures (HMAC-SHA256) and encryption (AES-256) are checked against `auth_file`; a packet that was "
        "caught and\n"
        "  is sent again is taken again: the protocol has nothing against it.\n",
    .example = "collectd :: Collectd(listen: \"127.0.0.1:25826\") -> metrics :: Log(stream: \"metrics\")\n",
    .ports = ports,
    .params = params,
    .reasons = reasons,
    .state_size = sizeof(struct state),
    .check = check,
    .open = open,
    .close = close,
    .feed = feed,
    .pump = &pump_class,
};
