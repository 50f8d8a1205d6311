/* Statsd: StatsD and DogStatsD over UDP and TCP become records, summed up once per `flush`.
 *
 *   datagrams, lines --pump: statsd_lines.h--> batch of single values --receive: statsd_sums.h--> at each multiple of
 * `flush`: | events, service checks                          what they come to v at once v output output
 *
 * With `aggregate: false` every value goes on as it came. What can fail: a name beyond `series` is refused and counted;
 * kill -9 takes what has come since the last flush: nobody was promised it. */
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "elements/classes.h"
#include "elements/datagrams_in.h"
#include "elements/statsd_lines.h"
#include "elements/statsd_sums.h"
#include "elements/streams_in.h"

enum { OUTPUT, REJECTS };
enum {
    REASON_KERNEL = YD_STATSD_REASON_COUNT,
    REASON_SERIES,
    REASON_SUMS_MEMORY,
    REASON_UNSAID,
    REASON_REFUSED,
    REASON_CUT
};
enum { TELL_VALUES = 1 };
enum { TIMER_FLUSH = 1 };

struct state {
    struct yd_element *element;
    bool rejects_wired, aggregate, opened;
    struct yd_spread spread;
    int64_t flush_ns;
    int64_t begun_ns; /* monotonic: of the window at hand, for rates: whatever the wall clock does */
    struct yd_statsd_sums sums;
    struct yd_builder *builder;
    struct yd_statsd *fed; /* of feed, made when first needed */
    struct yd_rejects *fed_rejects;
    struct yd_out *out; /* of the feed or flush at hand */
    int64_t time_ns;    /* of the flush at hand */
    uint64_t lost;      /* by it: no memory */
};

struct pump {
    struct yd_pump *pump;
    struct yd_datagrams_in in;
    struct yd_streams_in streams;
    struct yd_statsd *statsd;
    struct yd_rejects *rejects;
    const char *from; /* whose lines are at hand */
    size_t line_max;
    bool aggregate;
    struct yd_spread *spread; /* with the other pumps */
};

static const char *const reasons[] = {
#define REASON(name, text) text,
    YD_STATSD_REASONS(REASON)
#undef REASON
        "datagram dropped by the kernel",
    "too many names",
    "out of memory for sums",
    "sum not a number, or its name too long",
    "connection refused: too many",
    "connection lost inside a line",
    NULL};

static const struct yd_port_class ports[] = {
    {.name = "output",
     .direction = YD_OUT,
     .mode = YD_PUSH,
     .kinds = YD_KIND_BIT(YD_SAMPLE) | YD_KIND_BIT(YD_TALLY) | YD_KIND_BIT(YD_DELTA) | YD_KIND_BIT(YD_FACT) |
              YD_KIND_BIT(YD_EVENT) | YD_KIND_BIT(YD_STATE),
     .doc = "What the values come to, events (EVENT) and service checks (STATE)."},
    YD_REJECTS_PORT("Lines that were not understood"),
    {0}};

static const char *const idle_rules[] = {"send", "drop", NULL};
static const char *const namespaces[] = {"plain", "etsy", NULL};

static const struct yd_param_class params[] = {
    {.name = "listen",
     .type = YD_PARAM_TEXT,
     .initial = "\"127.0.0.1:8125\"",
     .flags = YD_PARAM_LISTENS_DATAGRAM,
     .doc = "UDP address; `\"\"`: none."},
    {.name = "tcp",
     .type = YD_PARAM_TEXT,
     .initial = "\"\"",
     .flags = YD_PARAM_LISTENS,
     .doc = "TCP address, or `unix:/path`; `\"\"`: none."},
    {.name = "max_line",
     .type = YD_PARAM_SIZE,
     .initial = "64KiB",
     .min = 64,
     .max = 1 << 20,
     .doc = "TCP: longer lines are rejected; parsing goes on at the next line."},
    YD_CONNECTIONS_PARAM("16384", "TCP: more peers at once are refused."),
    {.name = "idle_peers",
     .type = YD_PARAM_DURATION,
     .initial = "1h",
     .max = 3.2e18,
     .doc = "TCP: a peer that sends nothing for so long is closed; `0s`: never."},
    {.name = "flush",
     .type = YD_PARAM_DURATION,
     .initial = "10s",
     .min = 1e8,
     .max = 86400e9,
     .doc = "How long values are summed up; flushes are at whole multiples of it since 1970."},
    {.name = "aggregate",
     .type = YD_PARAM_BOOL,
     .initial = "true",
     .doc =
         "`false`: every value goes on as a record of its own: a counter as TALLY, a gauge as SAMPLE or DELTA, a timer "
         "as SAMPLE, a set's member as FACT."},
    {.name = "percentiles",
     .type = YD_PARAM_LIST,
     .initial = "[90]",
     .doc = "Of timers, up to 16: `mean_90`, `upper_90`, `sum_90`, `count_90`; negative ones count from the top."},
    {.name = "namespace",
     .type = YD_PARAM_TEXT,
     .initial = "\"plain\"",
     .oneof = namespaces,
     .doc = "`etsy`: `stats.counters.`, `stats.gauges.`, `stats.timers.` and `stats.sets.` in front."},
    {.name = "idle",
     .type = YD_PARAM_TEXT,
     .initial = "\"send\"",
     .oneof = idle_rules,
     .doc = "Of names that nothing came for: `send` zeros and gauges again, as StatsD does, or `drop`."},
    {.name = "forget",
     .type = YD_PARAM_DURATION,
     .initial = "1h",
     .max = 9.2e18,
     .doc = "A name that nothing came for so long is forgotten."},
    {.name = "series",
     .type = YD_PARAM_INT,
     .initial = "1000000",
     .min = 1,
     .max = 1e9,
     .doc = "Names of each kind at most; more are rejected, those known go on."},
    {.name = "values",
     .type = YD_PARAM_INT,
     .initial = "100000",
     .min = 1,
     .max = 1e8,
     .doc =
         "Of a timer in one flush, for median and percentiles; more count everywhere else. Likewise members of a set."},
    YD_SPREAD_PARAM("datagrams and connections"),
    YD_RECEIVE_BUFFER_PARAM,
    {0}};

/* ---- the element ---- */

static int read_percentiles(const struct yd_args *args, struct yd_statsd_sums_options *options, char *why,
                            size_t why_size)
{
    const struct yd_arg *list = yd_args_find(args, "percentiles");
    for (size_t i = 0; list && i < list->list.count; i++) {
        const struct yd_arg *item = &list->list.items[i];
        double percent = item->type == YD_PARAM_INT ? (double)item->i64 : item->type == YD_PARAM_FLOAT ? item->f64 : 0;
        if (percent == 0 || percent < -100 || percent > 100) {
            (void)snprintf(why, why_size, "`percentiles` are numbers from -100 to 100, not 0");
            return YD_EINVAL;
        }
        if (options->percentile_count == YD_STATSD_PERCENTILES_MAX) {
            (void)snprintf(why, why_size, "more than %d percentiles", YD_STATSD_PERCENTILES_MAX);
            return YD_EINVAL;
        }
        char *suffix = options->percentiles[options->percentile_count].suffix;
        (void)snprintf(suffix, sizeof options->percentiles->suffix, "%s%g", percent < 0 ? "top" : "",
                       percent < 0 ? -percent : percent);
        for (char *p = suffix; *p; p++)
            if (*p == '.') *p = '_';
        options->percentiles[options->percentile_count++].percent = percent;
    }
    return 0;
}

static int check(const struct yd_args *args, char *why, size_t why_size)
{
    struct yd_statsd_sums_options options = {.percentile_count = 0};
    if (yd_args_text(args, "listen").size || yd_args_text(args, "tcp").size)
        return read_percentiles(args, &options, why, why_size);
    (void)snprintf(why, why_size, "neither `listen` nor `tcp` is given: nothing can come in");
    return YD_EINVAL;
}

static int open(struct yd_element *element, void *opaque)
{
    struct state *state = opaque;
    const struct yd_args *args = yd_element_args(element);
    char why[128];
    bool etsy = yd_str_eq(yd_args_text(args, "namespace"), YD_STR("etsy"));
    struct yd_statsd_sums_options options = {
        .series_max = (uint64_t)yd_args_int(args, "series"),
        .values_max = (uint32_t)yd_args_int(args, "values"),
        .members_max = (uint32_t)yd_args_int(args, "values"),
        .send_idle = yd_str_eq(yd_args_text(args, "idle"), YD_STR("send")),
        .forget_ns = yd_args_int(args, "forget"),
        .prefixes = {etsy ? "stats.counters." : "", etsy ? "stats.gauges." : "", etsy ? "stats.timers." : "",
                     etsy ? "stats.sets." : ""},
    };
    state->element = element;
    state->rejects_wired = yd_element_wired(element, REJECTS);
    state->aggregate = yd_args_bool(args, "aggregate");
    state->flush_ns = yd_args_int(args, "flush");
    if (read_percentiles(args, &options, why, sizeof why) < 0) return yd_element_fail(element, YD_EINVAL, "%s", why);
    int r = yd_builder_create(NULL, &state->builder);
    if (r < 0) return yd_element_fail(element, r, "out of memory");
    yd_statsd_sums_init(&state->sums, &options);
    state->opened = true;
    return 0;
}

static void close(void *opaque)
{
    struct state *state = opaque;
    if (state->opened) yd_statsd_sums_fini(&state->sums);
    yd_builder_destroy(state->builder);
    yd_statsd_destroy(state->fed);
    yd_rejects_destroy(state->fed_rejects);
    *state = (struct state){0};
}

static void emit_built(struct state *state)
{
    struct yd_batch *batch;
    uint32_t records = yd_builder_count(state->builder);
    if (records == 0) return;
    if (yd_builder_seal(state->builder, &batch) == 0)
        (void)yd_emit(state->out, OUTPUT, batch); /* unwired: counted there */
    else
        state->lost += records;
}

static void say(void *arg, struct yd_str name, struct yd_str peer, enum yd_kind kind, double value)
{
    struct state *state = arg;
    uint32_t index;
    int r = YD_EFULL;
    for (int turn = 0; turn < 2 && r == YD_EFULL; turn++) {
        if (turn) emit_built(state);
        yd_builder_origin(state->builder, peer);
        r = yd_builder_name(state->builder, name, &index);
        if (r == 0)
            r = yd_builder_add(state->builder, state->time_ns, index, kind, YD_F64, 0, (union yd_value){.f64 = value});
    }
    state->lost += r < 0;
}

/* Everything since `begun`, said as of end_ns. */
static void flush(struct state *state, int64_t mono_ns, int64_t end_ns, struct yd_out *out)
{
    state->out = out;
    state->time_ns = end_ns;
    double seconds = (double)YD_MAX(mono_ns - state->begun_ns, YD_NS_PER_MS) / YD_NS_PER_S;
    yd_statsd_sums_flush(&state->sums, seconds, mono_ns, say, state);
    emit_built(state);
    state->out = NULL;
    if (state->lost) yd_say(out, 2, "out of memory: %llu sums are lost", (unsigned long long)state->lost);
    if (state->sums.over)
        yd_say(out, 1, "%llu values were more than `values` in one flush: percentiles and sets are of the first ones",
               (unsigned long long)state->sums.over);
    if (state->sums.unsaid) yd_count_dropped(out, REASON_UNSAID, state->sums.unsaid);
    state->lost = state->sums.over = state->sums.unsaid = 0;
    state->begun_ns = mono_ns;
}

static void set_timer(struct state *state, int64_t mono_ns, int64_t wall_ns, struct yd_out *out)
{
    int64_t end = (wall_ns / state->flush_ns + 1) * state->flush_ns;
    yd_timer_at(out, TIMER_FLUSH, mono_ns + (end - wall_ns));
}

/* Sums what can be summed; what cannot, events and checks, goes on at once. */
static void take(struct state *state, struct yd_batch *batch, int64_t mono_ns, struct yd_out *out)
{
    const struct yd_view *view = &batch->view;
    uint64_t folded = 0;
    state->out = out;
    for (uint32_t i = 0; i < view->count; i++) {
        int r = yd_statsd_sums_add(&state->sums, batch, i, mono_ns);
        if (r == YD_EINVAL) {
            yd_builder_origin(state->builder, yd_batch_origin(batch, view->records[i].name));
            if (yd_builder_copy(state->builder, view, i) == YD_EFULL) {
                emit_built(state);
                if (yd_builder_copy(state->builder, view, i) < 0) state->lost++;
            }
        } else if (r < 0) {
            yd_count_rejected(out, r == YD_EFULL ? REASON_SERIES : REASON_SUMS_MEMORY, 1,
                              yd_view_name(view, view->records[i].name));
        } else {
            folded++;
        }
    }
    emit_built(state);
    if (folded) yd_count_folded(out, folded);
    state->out = NULL;
}

static enum yd_turn_result receive(void *opaque, struct yd_input *input, struct yd_out *out)
{
    struct state *state = opaque;
    switch (input->type) {
    case YD_INPUT_START:
        state->begun_ns = input->mono_ns;
        if (state->aggregate) set_timer(state, input->mono_ns, input->wall_ns, out);
        return YD_DONE;
    case YD_INPUT_PUMP:
        if (input->cookie == TELL_VALUES && input->batch) take(state, input->batch, input->mono_ns, out);
        return YD_DONE;
    case YD_INPUT_TIMER:
        /* At the multiple of `flush` that has passed, however late the timer came. */
        flush(state, input->mono_ns, input->wall_ns / state->flush_ns * state->flush_ns, out);
        set_timer(state, input->mono_ns, input->wall_ns, out);
        return YD_DONE;
    default:
        return YD_DONE;
    }
}

static enum yd_turn_result drain(void *opaque, struct yd_out *out)
{
    struct state *state = opaque;
    if (state->aggregate) flush(state, yd_now_mono(out), yd_now_wall(out), out);
    return YD_DONE;
}

/* ---- fed by a test ---- */

static void fed_batch(void *arg, struct yd_batch *batch, uint32_t records)
{
    struct state *state = arg;
    struct yd_out *out = state->out;
    (void)records;
    if (!state->aggregate) {
        (void)yd_emit(out, OUTPUT, batch);
        return;
    }
    take(state, batch, yd_now_mono(out), out);
    state->out = out;
    yd_batch_unref(batch);
}

static void fed_reject(void *arg, enum yd_statsd_reason reason, struct yd_str line)
{
    struct state *state = arg;
    yd_count_rejected(state->out, reason, 1, line);
    struct yd_batch *full =
        yd_rejects_add(state->fed_rejects, yd_now_wall(state->out), yd_statsd_reasons[reason], YD_STR("feed"), line);
    if (full) (void)yd_emit(state->out, REJECTS, full);
}

static int feed(void *opaque, struct yd_str bytes, struct yd_out *out, int64_t wall_ns)
{
    struct state *state = opaque;
    struct yd_statsd_options options = {
        .sink = {state, fed_batch, fed_reject}, .plain = !state->aggregate, .seed = yd_element_random(state->element)};
    int r = state->fed ? 0 : yd_statsd_create(&options, &state->fed);
    if (r == 0 && !state->fed_rejects) r = yd_rejects_create(yd_element_name(state->element), &state->fed_rejects);
    if (r < 0) return r;
    state->out = out;
    (void)yd_statsd_parse(state->fed, bytes, wall_ns);
    yd_statsd_flush(state->fed);
    struct yd_batch *rejected = yd_rejects_take(state->fed_rejects);
    if (rejected) (void)yd_emit(out, REJECTS, rejected);
    state->out = NULL;
    return 0;
}

/* ---- the pump ---- */

static void on_batch(void *arg, struct yd_batch *batch, uint32_t records)
{
    struct pump *pump = arg;
    (void)records;
    if (!pump->aggregate)
        (void)yd_pump_emit(pump->pump, OUTPUT, batch); /* `pause` comes in any case */
    else
        (void)yd_pump_tell(pump->pump, TELL_VALUES, batch, NULL, NULL); /* what cannot be told is counted there */
}

static void on_reject(void *arg, enum yd_statsd_reason reason, struct yd_str line)
{
    struct pump *pump = arg;
    yd_reject(pump->pump, pump->rejects, REJECTS, reason, yd_statsd_reasons[reason], line, yd_str_of(pump->from));
}

static void from(struct pump *pump, const char *peer)
{
    pump->from = peer;
    yd_statsd_origin(pump->statsd, yd_address_host(yd_str_of(peer)));
}

static void on_datagram(void *arg, struct yd_str bytes)
{
    struct pump *pump = arg;
    from(pump, pump->in.from);
    (void)yd_statsd_parse(pump->statsd, bytes, yd_pump_wall(pump->pump));
}

static void burst_ends(void *arg)
{
    yd_statsd_flush(((struct pump *)arg)->statsd);
}

/* Whole lines. One that is longer than it may be is rejected once, and passed over up to its end. */
static int64_t take_lines(void *arg, struct yd_streams_peer *peer, struct yd_str bytes)
{
    struct pump *pump = arg;
    size_t used = 0;
    from(pump, peer->name);
    if (peer->skipping) {
        const char *end = memchr(bytes.data, '\n', bytes.size);
        if (!end) return (int64_t)bytes.size;
        used = (size_t)(end - bytes.data) + 1;
        peer->skipping = false;
    }
    const char *last = used < bytes.size ? memrchr(bytes.data + used, '\n', bytes.size - used) : NULL;
    for (const char *at = bytes.data + used; last && at <= last;) { /* runs of lines that are not too long */
        const char *run = at, *end = NULL;
        for (; at <= last; at = end + 1) {
            end = memchr(at, '\n', (size_t)(last - at) + 1);
            if ((size_t)(end - at) > pump->line_max) break;
        }
        if (at > run)
            (void)yd_statsd_parse(pump->statsd, (struct yd_str){run, (size_t)(at - run)}, yd_pump_wall(pump->pump));
        if (at > last) break;
        on_reject(pump, YD_STATSD_TOO_LONG, (struct yd_str){at, (size_t)(end - at)});
        at = end + 1;
    }
    if (last) used = (size_t)(last - bytes.data) + 1;
    struct yd_str rest = {bytes.data + used, bytes.size - used};
    if (rest.size <= pump->line_max) return (int64_t)used;
    on_reject(pump, YD_STATSD_TOO_LONG, rest);
    peer->skipping = true;
    return (int64_t)bytes.size;
}

/* In order, a last line without an end counts. */
static void take_last(void *arg, struct yd_streams_peer *peer, struct yd_str rest, bool in_order)
{
    struct pump *pump = arg;
    from(pump, peer->name);
    if (in_order)
        (void)yd_statsd_parse(pump->statsd, rest, yd_pump_wall(pump->pump));
    else
        yd_reject(pump->pump, pump->rejects, REJECTS, REASON_CUT, reasons[REASON_CUT], rest, yd_str_of(peer->name));
}

static void read_ends(void *arg)
{
    struct pump *pump = arg;
    yd_statsd_flush(pump->statsd);
    yd_rejects_send(pump->pump, pump->rejects, REJECTS);
}

static void free_all(struct pump *pump)
{
    yd_datagrams_in_close(&pump->in);
    yd_streams_in_close(&pump->streams);
    yd_statsd_destroy(pump->statsd);
    yd_rejects_destroy(pump->rejects);
    pump->statsd = NULL;
    pump->rejects = NULL;
}

static int listen_udp(struct pump *pump)
{
    const struct yd_args *args = yd_pump_args(pump->pump);
    struct yd_datagrams_in_options options = {.pump = pump->pump,
                                              .spread = pump->spread,
                                              .receive_buffer = (size_t)yd_args_int(args, "receive_buffer"),
                                              .what = "StatsD (UDP)",
                                              .reason_kernel = REASON_KERNEL,
                                              .rejects = pump->rejects,
                                              .rejects_port = REJECTS,
                                              .datagram = on_datagram,
                                              .burst_ends = burst_ends,
                                              .arg = pump};
    return yd_datagrams_in_open(&pump->in, &options, yd_args_text(args, "listen"));
}

static int listen_tcp(struct pump *pump, const struct yd_args *args)
{
    struct yd_streams_in_options options = {.pump = pump->pump,
                                            .spread = pump->spread,
                                            .what = "StatsD (TCP)",
                                            .connections_max = (unsigned)yd_args_int(args, "max_connections"),
                                            .reason_refused = REASON_REFUSED,
                                            .idle_ns = yd_args_int(args, "idle_peers"),
                                            .take = take_lines,
                                            .ended = take_last,
                                            .read_ends = read_ends,
                                            .arg = pump};
    return yd_streams_in_open(&pump->streams, &options, yd_args_text(args, "tcp"));
}

static int start(struct yd_pump *yd_pump, void *opaque, void *element_state)
{
    struct pump *pump = opaque;
    const struct yd_args *args = yd_pump_args(yd_pump);
    struct state *element = element_state;
    pump->pump = yd_pump;
    pump->spread = &element->spread;
    pump->aggregate = element->aggregate;
    struct yd_statsd_options options = {
        .sink = {pump, on_batch, on_reject}, .plain = !pump->aggregate, .seed = yd_loop_random(yd_pump_loop(yd_pump))};
    int r = yd_statsd_create(&options, &pump->statsd);
    if (r == 0 && element->rejects_wired) r = yd_rejects_create(yd_pump_element(yd_pump), &pump->rejects);
    pump->from = "";
    pump->line_max = (size_t)yd_args_int(args, "max_line");
    if (r < 0) r = yd_pump_fail(yd_pump, r, "out of memory");
    if (r == 0 && yd_args_text(args, "listen").size) r = listen_udp(pump);
    if (r == 0 && yd_args_text(args, "tcp").size) r = listen_tcp(pump, args);
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
    yd_datagrams_in_finish(&pump->in);
    if (yd_streams_in_part(&pump->streams, stopped)) stopped(pump);
}

static void pause_(void *opaque, bool paused)
{
    struct pump *pump = opaque;
    yd_datagrams_in_pause(&pump->in, paused);
    yd_streams_in_pause(&pump->streams, paused);
}

static const struct yd_pump_class pump_class = {
    .state_size = sizeof(struct pump), .start = start, .stop = stop, .pause = pause_, .spread = yd_spread_wanted};

const struct yd_element_class yd_class_statsd = {
    .abi = YD_ELEMENT_ABI,
    .flags = YD_CLASS_SOURCE,
    .name = "Statsd",
    .summary = "takes StatsD and DogStatsD over UDP and TCP, summed up once per flush",
    .doc =
        "`name:value|type`, with `|@rate`, tags of four styles, several values of a name in a line, DogStatsD's "
        "events\n"
        "and service checks. At whole multiples of `flush` each name is said once:\n\n"
        "| type | what is said |\n|---|---|\n"
        "| `c` | `NAME.count` (TALLY), `NAME.rate` per second |\n"
        "| `g` | `NAME`; with a sign the value is a difference |\n"
        "| `ms`, `h`, `d` | `NAME.count`, `count_ps`, `lower`, `upper`, `sum`, `sum_squares`, `mean`, `median`, `std`, "
        "and for each percentile `mean_90`, `upper_90`, `sum_90`, `count_90` |\n"
        "| `s` | `NAME.count`: different members |\n"
        "| `_e` | an EVENT at once, named by its title |\n"
        "| `_sc` | a STATE at once |\n\n"
        "A value with a time of its own (`T`) keeps it with `aggregate: false`; summed up, it counts when it comes.\n"
        "White space in names becomes `_`, `/` becomes `-`. A line that is not understood is counted by its reason; "
        "the\n"
        "other lines of its datagram are kept. What the kernel dropped is counted, too. Over TCP lines end with a line "
        "feed;\n"
        "the last one of a connection needs none.\n",
    .example = "statsd :: Statsd(listen: \"127.0.0.1:8125\", tcp: \"127.0.0.1:8125\", flush: 10s)\n"
               "statsd -> metrics :: Log(stream: \"metrics\")\n",
    .ports = ports,
    .params = params,
    .reasons = reasons,
    .state_size = sizeof(struct state),
    .check = check,
    .open = open,
    .close = close,
    .receive = receive,
    .drain = drain,
    .feed = feed,
    .pump = &pump_class,
};
