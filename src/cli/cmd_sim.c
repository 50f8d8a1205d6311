/* yarder sim: a source of packets for a definition.
 *
 *   patterns ─▶ values ─decom/encode.h─▶ packet ─┬─ lost on purpose: its sequence number is missing, and it is counted
 *                                                └─ sent: UDP or TCP at its rate, hex lines, or a capture
 *
 * Everything follows from the seed: which values, which packets are lost. Times are those of the schedule, not of the
 * clock, so that two runs make the same bytes. What was made can be written down (--values), lost packets too: what
 * arrives elsewhere can be held against it to the last bit. */
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/decom_cli.h"
#include "cli/sim_pattern.h"
#include "io/file.h"
#include "io/loop.h"

#define PACKETS_MAX   4096
#define TEXTS_MAX     64
#define FILE_START_NS (1700000000 * YD_NS_PER_S) /* when no clock is asked */

struct kind { /* of packet */
    double rate;
    uint64_t made, sent, dropped, failed, bytes;
    bool off;
    char why[200];
};
struct sim {
    struct cli_args *args;
    struct yd_plan *plan;
    struct yd_encoder *encoder;
    struct sim_patterns patterns;
    struct kind *kinds;
    uint32_t kind_count;
    double loss;
    int64_t start_ns, duration_ns;
    uint64_t count;
    bool hex;
    FILE *values, *capture;
    struct yd_loop *loop;
    struct yd_datagrams *socket;
    struct yd_stream *stream;
    bool connected;
    int ended;          /* of the stream: why */
    size_t unsent;      /* bytes that were given to the stream and never left */
    char ignored[1024]; /* what the other end says */
    struct yd_address to;
    struct sim_moment moment;
    char texts[TEXTS_MAX][64];
    uint32_t text_count;
    struct yd_buf named, raws; /* of the packet at hand, as JSON */
    struct yd_json named_json, raw_json;
};

static volatile sig_atomic_t stopped;
static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

/* ---- values ---- */

static void on_ask(void *arg, const struct yd_encode_ask *ask, struct yd_encode_answer *answer)
{
    struct sim *sim = arg;
    char *text = sim->texts[sim->text_count++ % TEXTS_MAX];
    struct sim_moment moment = sim->moment;
    if (!ask->entry->stamp) {
        moment.since_ns += ask->since_ns;
        moment.wall_ns += ask->since_ns;
    }
    if (ask->samples > 1) moment.number = moment.number * ask->samples + ask->sample;
    sim_patterns_value(&sim->patterns, yd_plan_def(sim->plan), ask, &moment, text, answer);
}

static void json_value(struct yd_json *json, const struct yd_decom_value *value)
{
    switch (value->type) {
    case YD_BOOL:
        yd_json_bool(json, value->u64 != 0);
        break;
    case YD_I64:
        yd_json_i64(json, value->i64);
        break;
    case YD_U64:
        yd_json_u64(json, value->u64);
        break;
    case YD_F64:
        yd_json_f64(json, value->f64);
        break;
    case YD_TEXT:
    case YD_BLOB:
        yd_json_str(json, value->bytes);
        break;
    default:
        yd_json_null(json);
        break;
    }
}

/* Several samples of one measurement in a minor frame are a list. */
static void json_sample(struct yd_json *json, const struct yd_encode_ask *ask, const struct yd_decom_value *value)
{
    if (ask->sample == 0) yd_json_key_str(json, ask->name);
    if (ask->samples > 1 && ask->sample == 0) yd_json_array(json);
    json_value(json, value);
    if (ask->samples > 1 && ask->sample == ask->samples - 1) yd_json_array_end(json);
}

static void on_told(void *arg, const struct yd_encode_ask *ask, const struct yd_decom_value *raw,
                    const struct yd_decom_value *value)
{
    struct sim *sim = arg;
    if (!sim->values) return;
    if (ask->published) json_sample(&sim->named_json, ask, value);
    json_sample(&sim->raw_json, ask, raw);
}

static void write_values(struct sim *sim, uint32_t packet, bool sent)
{
    struct yd_buf line;
    struct yd_json json;
    char time[40];
    yd_json_object_end(&sim->named_json);
    yd_json_object_end(&sim->raw_json);
    yd_buf_init(&line, NULL);
    yd_json_init(&json, &line, false);
    yd_json_object(&json);
    yd_json_key(&json, "packet");
    yd_json_str(&json, yd_plan_packet_name(sim->plan, packet));
    yd_json_key(&json, "number");
    yd_json_u64(&json, sim->moment.number);
    yd_json_key(&json, "time");
    yd_json_str(&json, (struct yd_str){time, yd_text_put_time(time, sizeof time, sim->moment.wall_ns)});
    yd_json_key(&json, "sent");
    yd_json_bool(&json, sent);
    yd_buf_cstr(&line, ",\"values\":");
    yd_buf_str(&line, yd_buf_view(&sim->named));
    yd_buf_cstr(&line, ",\"raw\":");
    yd_buf_str(&line, yd_buf_view(&sim->raws));
    yd_json_object_end(&json);
    yd_buf_char(&line, '\n');
    if (!line.failed) (void)fwrite(line.data, 1, line.size, sim->values);
    yd_buf_fini(&line);
}

static int encode(struct sim *sim, uint32_t packet, struct yd_str *ret_bytes)
{
    sim->text_count = 0;
    yd_buf_clear(&sim->named);
    yd_buf_clear(&sim->raws);
    yd_json_init(&sim->named_json, &sim->named, false);
    yd_json_init(&sim->raw_json, &sim->raws, false);
    yd_json_object(&sim->named_json);
    yd_json_object(&sim->raw_json);
    return yd_encode(sim->encoder, packet, ret_bytes);
}

/* ---- ways out ---- */

static void put16(uint8_t *to, unsigned value)
{
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
}

/* A capture without link layer (LINKTYPE_RAW): IPv4 and UDP heads by RFC 791 and 768. */
static void write_capture(struct sim *sim, struct yd_str bytes)
{
    uint8_t head[28] = {0x45, [8] = 64, [9] = 17, [12] = 127, [15] = 1, [16] = 127, [19] = 1};
    uint32_t size = (uint32_t)(bytes.size + sizeof head), sum = 0;
    uint32_t record[4] = {(uint32_t)(sim->moment.wall_ns / YD_NS_PER_S), (uint32_t)(sim->moment.wall_ns % YD_NS_PER_S),
                          size, size};
    put16(head + 2, size);
    for (int i = 0; i < 20; i += 2) sum += (uint32_t)head[i] << 8 | head[i + 1];
    put16(head + 10, ~((sum & 0xffff) + (sum >> 16)) & 0xffff);
    put16(head + 20, 5000);
    put16(head + 22, 5000);
    put16(head + 24, size - 20);
    (void)fwrite(record, 1, sizeof record, sim->capture);
    (void)fwrite(head, 1, sizeof head, sim->capture);
    (void)fwrite(bytes.data, 1, bytes.size, sim->capture);
}

static void write_hex(const struct sim *sim, uint32_t packet, struct yd_str bytes)
{
    struct yd_str name = yd_plan_packet_name(sim->plan, packet);
    const char *form = sim->args->json ? "{\"since\":%.9f,\"packet\":\"%.*s\",\"bytes\":\"" : "%.9f %.*s ";
    printf(form, (double)sim->moment.since_ns / 1e9, YD_STR_FMT(name)); /* names of packets are words */
    for (size_t i = 0; i < bytes.size; i++) printf("%02x", (uint8_t)bytes.data[i]);
    printf("%s\n", sim->args->json ? "\"}" : "");
}

static void on_room(void *arg, char **ret_to, size_t *ret_size)
{
    struct sim *sim = arg;
    *ret_to = sim->ignored;
    *ret_size = sizeof sim->ignored;
}

static void on_data(void *arg, size_t size)
{
    (void)arg;
    (void)size;
}

static void on_ended(void *arg, int error)
{
    ((struct sim *)arg)->ended = error;
}

static void on_connected(void *arg)
{
    ((struct sim *)arg)->connected = true;
}

/* A peer that does not read makes it wait. YD_EFULL: until it was told to stop. */
static int write_stream(struct sim *sim, struct yd_str bytes)
{
    int r;
    while (!sim->ended && (r = yd_stream_write(sim->stream, bytes)) == YD_EFULL && !stopped)
        (void)yd_loop_run(sim->loop, 100 * YD_NS_PER_MS);
    return sim->ended ? sim->ended : r;
}

/* Until the kernel has all of it: what is called sent has left here. */
static void drain_stream(struct sim *sim)
{
    bool hurries = stopped;
    int64_t end = yd_clock_mono() + (hurries ? 1 : 10) * YD_NS_PER_S;
    if (sim->ended) sim->unsent = yd_stream_backlog(sim->stream);
    while (!sim->ended && (sim->unsent = yd_stream_backlog(sim->stream)) > 0 && yd_clock_mono() < end &&
           stopped == hurries)
        (void)yd_loop_run(sim->loop, 10 * YD_NS_PER_MS);
    if (sim->ended != YD_EEOF || yd_stream_backlog(sim->stream) > 0) return;
    sim->unsent = 0; /* the other end closed in order, and has all */
}

static int send_bytes(struct sim *sim, uint32_t packet, struct yd_str bytes)
{
    struct kind *kind = &sim->kinds[packet];
    if (sim->stream) {
        int r = write_stream(sim, bytes);
        if (r == YD_EFULL) return r; /* given up */
        if (r < 0) return kind->failed++, snprintf(kind->why, sizeof kind->why, "%s", yd_error_text(r)), r;
    }
    if (sim->socket) {
        int r = bytes.size > 65507 ? YD_ETOOBIG : yd_datagrams_send(sim->socket, &sim->to, bytes);
        for (int tries = 0; r == YD_EAGAIN && tries < 1000; tries++) {
            (void)yd_loop_run(sim->loop, YD_NS_PER_MS);
            r = yd_datagrams_send(sim->socket, &sim->to, bytes);
        }
        if (r < 0) return kind->failed++, snprintf(kind->why, sizeof kind->why, "%s", yd_error_text(r)), r;
    }
    if (sim->capture) write_capture(sim, bytes);
    if (sim->hex) write_hex(sim, packet, bytes);
    kind->bytes += bytes.size;
    return 0;
}

static int give(struct sim *sim, uint32_t packet, struct yd_str bytes)
{
    int r = send_bytes(sim, packet, bytes);
    if (r == 0) sim->kinds[packet].sent++;
    return r;
}

/* ---- the schedule ---- */

/* Whose turn it is: the earliest one, of several the first. False: nobody's. */
static bool next_packet(const struct sim *sim, uint32_t *ret_packet, int64_t *ret_since)
{
    bool found = false;
    for (uint32_t i = 0; i < sim->kind_count; i++) {
        const struct kind *kind = &sim->kinds[i];
        if (kind->off || kind->rate <= 0) continue;
        int64_t at = (int64_t)nearbyint((double)kind->made / kind->rate * 1e9);
        if (found && at >= *ret_since) continue;
        *ret_packet = i;
        *ret_since = at;
        found = true;
    }
    return found;
}

static int make_packets(struct sim *sim)
{
    int64_t begun = yd_clock_mono();
    struct yd_str bytes;
    uint32_t packet = 0;
    int64_t since = 0;
    int code = CLI_DONE;
    for (uint64_t made = 0; !stopped && made < sim->count && next_packet(sim, &packet, &since); made++) {
        if (since >= sim->duration_ns) break;
        int64_t wait;
        while (sim->loop && !stopped && !sim->ended && (wait = begun + since - yd_clock_mono()) > 0)
            (void)yd_loop_run(sim->loop, YD_MIN(wait, 100 * YD_NS_PER_MS));
        if (stopped || sim->ended) break;
        struct kind *kind = &sim->kinds[packet];
        sim->moment = (struct sim_moment){since, sim->start_ns + since, kind->made++};
        int r = encode(sim, packet, &bytes);
        if (r == YD_ENOMEM) return cli_fail(sim->args, "out of memory");
        if (r < 0) {
            kind->off = true;
            kind->made--;
            made--;
            (void)snprintf(kind->why, sizeof kind->why, "%s", yd_encoder_why(sim->encoder));
            struct yd_str name = yd_plan_packet_name(sim->plan, packet);
            code = cli_fail(sim->args, "'%.*s' is not made: %s", YD_STR_FMT(name), kind->why);
            continue;
        }
        bool lost = sim->loss > 0 && sim_chance(sim->patterns.seed ^ UINT64_C(0x105),
                                                yd_plan_packet_name(sim->plan, packet), sim->moment.number) < sim->loss;
        if (lost) kind->dropped++;
        r = lost ? 0 : give(sim, packet, bytes);
        if (r == YD_EFULL) {
            kind->made--;
            break;
        }
        bool sent = !lost && r == 0;
        if (sim->values) write_values(sim, packet, sent);
    }
    struct yd_str rest = yd_encoder_rest(sim->encoder);
    if (rest.size) (void)send_bytes(sim, 0, rest);
    int ended = sim->ended;
    if (sim->stream) drain_stream(sim);
    bool cut = ended || (sim->ended && (sim->ended != YD_EEOF || sim->unsent));
    if (cut || sim->unsent)
        code = cli_fail(sim->args, "--to %s: %s%s; %zu bytes that were waiting never left", cli_value(sim->args, "to"),
                        cut ? "the connection ended: " : "the other end does not read",
                        cut ? yd_error_text(sim->ended) : "", sim->unsent);
    return code;
}

static int summary(const struct sim *sim, int code)
{
    uint64_t sent = 0, dropped = 0, failed = 0;
    struct yd_buf text;
    struct yd_json json;
    yd_buf_init(&text, NULL);
    yd_json_init(&json, &text, false);
    yd_json_object(&json);
    yd_json_key(&json, "seed");
    yd_json_u64(&json, sim->patterns.seed);
    yd_json_key(&json, "packets");
    yd_json_array(&json);
    FILE *to = !sim->args->json && (sim->hex || sim->values == stdout) ? stderr : stdout;
    for (uint32_t i = 0; i < sim->kind_count; i++) {
        const struct kind *kind = &sim->kinds[i];
        struct yd_str name = yd_plan_packet_name(sim->plan, i);
        sent += kind->sent;
        dropped += kind->dropped;
        failed += kind->failed;
        if (!sim->args->json && !kind->off)
            fprintf(to, "%.*s: %" PRIu64 " sent (%" PRIu64 " bytes), %" PRIu64 " dropped on purpose\n",
                    YD_STR_FMT(name), kind->sent, kind->bytes, kind->dropped);
        yd_json_object(&json);
        yd_json_key(&json, "packet");
        yd_json_str(&json, name);
        const struct {
            const char *key;
            uint64_t value;
        } cells[] = {{"made", kind->made},
                     {"sent", kind->sent},
                     {"dropped", kind->dropped},
                     {"failed", kind->failed},
                     {"bytes", kind->bytes}};
        for (size_t j = 0; j < YD_COUNT(cells); j++) {
            yd_json_key(&json, cells[j].key);
            yd_json_u64(&json, cells[j].value);
        }
        if (*kind->why) {
            yd_json_key(&json, "why");
            yd_json_cstr(&json, kind->why);
        }
        yd_json_object_end(&json);
        if (kind->failed) code = cli_fail(sim->args, "'%.*s': %s", YD_STR_FMT(name), kind->why);
    }
    yd_json_array_end(&json);
    yd_json_key(&json, "sent");
    yd_json_u64(&json, sent);
    yd_json_key(&json, "dropped");
    yd_json_u64(&json, dropped);
    yd_json_key(&json, "failed");
    yd_json_u64(&json, failed);
    yd_json_key(&json, "unsent_bytes");
    yd_json_u64(&json, sim->unsent);
    yd_json_key(&json, "saturated");
    yd_json_u64(&json, yd_encoder_saturated(sim->encoder));
    yd_json_object_end(&json);
    yd_buf_char(&text, '\n');
    if (sim->args->json && !text.failed) (void)fwrite(text.data, 1, text.size, to);
    if (!sim->args->json && yd_encoder_saturated(sim->encoder))
        fprintf(to, "%" PRIu64 " values did not fit and were sent as the nearest that does\n",
                yd_encoder_saturated(sim->encoder));
    yd_buf_fini(&text);
    return code;
}

/* ---- what was asked for ---- */

/* "50", or "flight=50,housekeeping=5". */
static int read_rates(struct sim *sim, const char *text)
{
    struct yd_str rest = yd_str_of(text);
    while (rest.size) {
        const char *comma = memchr(rest.data, ',', rest.size), *equals;
        struct yd_str word = {rest.data, comma ? (size_t)(comma - rest.data) : rest.size}, name = {0}, number = word;
        rest = comma ? (struct yd_str){comma + 1, rest.size - word.size - 1} : YD_STR("");
        if ((equals = memchr(word.data, '=', word.size))) {
            name = (struct yd_str){word.data, (size_t)(equals - word.data)};
            number = (struct yd_str){equals + 1, word.size - name.size - 1};
        }
        if (number.size > 2 && memcmp(number.data + number.size - 2, "/s", 2) == 0) number.size -= 2;
        double rate;
        bool known = !name.size;
        if (yd_text_f64(number, false, &rate) < 0 || rate < 0 || rate > 1e9)
            return cli_usage(sim->args, "--rate wants packets a second: 50, or flight=50,housekeeping=5");
        for (uint32_t i = 0; i < sim->kind_count; i++)
            if (!name.size || yd_str_eq(name, yd_plan_packet_name(sim->plan, i))) {
                sim->kinds[i].rate = rate;
                known = true;
            }
        if (!known) return cli_usage(sim->args, "--rate: no packet is called '%.*s'", YD_STR_FMT(name));
    }
    return CLI_DONE;
}

static int read_patterns(struct sim *sim, const char *option, struct yd_str text)
{
    struct yd_str word;
    int r = sim_patterns_read(&sim->patterns, text, &word);
    if (r == YD_EFULL) return cli_usage(sim->args, "--%s: more than %d patterns", option, SIM_RULES_MAX);
    if (r < 0)
        return cli_usage(sim->args,
                         "--%s: '%.*s' is no pattern: NAME=sine|ramp|square|random[:LOW..HIGH][:PERIOD] or "
                         "NAME=const:VALUE",
                         option, YD_STR_FMT(word));
    return CLI_DONE;
}

static int read_number(struct sim *sim, const char *option, uint64_t otherwise, uint64_t *ret)
{
    const char *text = cli_value(sim->args, option);
    *ret = otherwise;
    if (text && yd_text_u64(yd_str_of(text), ret) < 0) return cli_usage(sim->args, "--%s wants a number", option);
    return CLI_DONE;
}

static int read_options(struct sim *sim, char **ret_patterns)
{
    struct cli_args *args = sim->args;
    const char *text;
    size_t size;
    bool limited = cli_given(args, "duration") || cli_given(args, "to");
    int code = read_number(sim, "seed", 1, &sim->patterns.seed);
    if (code == CLI_DONE) code = read_number(sim, "count", limited ? UINT64_MAX : 10, &sim->count);
    if (code == CLI_DONE && (text = cli_value(args, "rate"))) code = read_rates(sim, text);
    if (code == CLI_DONE && (text = cli_value(args, "pattern"))) code = read_patterns(sim, "pattern", yd_str_of(text));
    if (code == CLI_DONE && (text = cli_value(args, "patterns"))) {
        int r = yd_fs_read_all(yd_fs_linux(), text, 1u << 20, ret_patterns, &size);
        if (r < 0) return cli_fail(args, "%s: %s", text, yd_error_text(r));
        code = read_patterns(sim, "patterns", (struct yd_str){*ret_patterns, size});
    }
    if (code != CLI_DONE) return code;
    if ((text = cli_value(args, "loss")) &&
        (yd_text_f64(yd_str_of(text), false, &sim->loss) < 0 || sim->loss < 0 || sim->loss > 1))
        return cli_usage(args, "--loss wants a share, 0 to 1");
    sim->duration_ns = INT64_MAX;
    if ((text = cli_value(args, "duration")) && yd_text_duration(yd_str_of(text), &sim->duration_ns) < 0)
        return cli_usage(args, "--duration wants a time: 10s, 5m");
    sim->start_ns = cli_given(args, "to") ? yd_clock_wall() : FILE_START_NS;
    if ((text = cli_value(args, "start")) && yd_text_time(yd_str_of(text), &sim->start_ns) < 0)
        return cli_usage(args, "--start wants a time: 2026-11-21T12:00:00Z");
    sim->hex =
        cli_given(args, "hex") || !(cli_given(args, "to") || cli_given(args, "out") || cli_given(args, "values"));
    return CLI_DONE;
}

static int open_file(struct sim *sim, const char *option, FILE **ret)
{
    const char *path = cli_value(sim->args, option);
    if (!path) return CLI_DONE;
    *ret = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
    if (!*ret) return cli_fail(sim->args, "%s: it cannot be written", path);
    return CLI_DONE;
}

static int open_stream(struct sim *sim, const char *to)
{
    static const struct yd_stream_ops ops = {
        .room = on_room, .data = on_data, .ended = on_ended, .connected = on_connected};
    struct yd_trail trail = {0};
    int r = yd_address_parse(yd_str_of(to), &sim->to, &trail);
    if (r == 0) r = yd_loop_create_uv(&sim->loop);
    if (r == 0) r = yd_connect(sim->loop, &sim->to, &ops, sim, &sim->stream, &trail);
    int64_t end = yd_clock_mono() + 10 * YD_NS_PER_S;
    while (r == 0 && !stopped && !sim->connected && !sim->ended && yd_clock_mono() < end)
        (void)yd_loop_run(sim->loop, 100 * YD_NS_PER_MS);
    if (r == 0 && !sim->connected) r = sim->ended ? sim->ended : YD_ETIMEOUT;
    if (r < 0) return cli_fail(sim->args, "--to tcp:%s: %s", to, trail.size ? yd_trail_text(&trail) : yd_error_text(r));
    return CLI_DONE;
}

static int open_ways(struct sim *sim)
{
    static const struct yd_datagrams_ops quiet = {0};
    struct yd_trail trail = {0};
    struct yd_address from;
    const char *to = cli_value(sim->args, "to");
    int code = open_file(sim, "values", &sim->values);
    if (code == CLI_DONE) code = open_file(sim, "out", &sim->capture);
    if (code != CLI_DONE) return code;
    if (sim->capture) {
        const struct {
            uint32_t magic;
            uint16_t major, minor;
            uint32_t zone, digits, most, link;
        } head = {0xa1b23c4d, 2, 4, 0, 0, 65535, 101}; /* nanoseconds, bare IP */
        (void)fwrite(&head, 1, sizeof head, sim->capture);
    }
    if (!to) return CLI_DONE;
    if (strncmp(to, "tcp:", 4) == 0) return open_stream(sim, to + 4);
    if (strncmp(to, "udp:", 4) == 0) to += 4;
    int r = yd_address_parse(yd_str_of(to), &sim->to, &trail);
    if (r == 0) r = yd_loop_create_uv(&sim->loop);
    bool six = r == 0 && sim->to.storage.ss_family == AF_INET6, local = r == 0 && yd_address_loopback(&sim->to);
    const char *any = six ? (local ? "[::1]:0" : "[::]:0") : local ? "127.0.0.1:0" : ":0";
    if (r == 0) r = yd_address_parse(yd_str_of(any), &from, &trail);
    if (r == 0) r = yd_datagrams_open(sim->loop, &from, &quiet, sim, &sim->socket, &trail);
    if (r < 0) return cli_fail(sim->args, "--to %s: %s", to, trail.size ? yd_trail_text(&trail) : yd_error_text(r));
    return CLI_DONE;
}

static int close_file(struct sim *sim, FILE *file, const char *option, int code)
{
    if (!file) return code;
    bool bad = ferror(file) != 0;
    bad |= (file == stdout ? fflush(file) : fclose(file)) != 0;
    return bad ? cli_fail(sim->args, "%s: not all of it could be written", cli_value(sim->args, option)) : code;
}

static int close_ways(struct sim *sim, int code)
{
    if (sim->socket) yd_datagrams_close(sim->socket);
    if (sim->stream) yd_stream_close(sim->stream);
    if (sim->loop) {
        (void)yd_loop_run(sim->loop, 0);
        yd_loop_destroy(sim->loop);
    }
    code = close_file(sim, sim->capture, "out", code);
    return close_file(sim, sim->values, "values", code);
}

static int unused_patterns(const struct sim *sim)
{
    int code = CLI_DONE;
    for (uint32_t i = 0; i < sim->patterns.count; i++)
        if (!sim->patterns.rules[i].used)
            code = cli_fail(sim->args, "the pattern '%.*s' met no field", YD_STR_FMT(sim->patterns.rules[i].name));
    return code;
}

static int run_with(struct sim *sim, char **patterns)
{
    const struct yd_encoder_options options = {sim, on_ask, on_told};
    const struct sigaction stop = {.sa_handler = on_signal};
    sim->kind_count = YD_MIN(yd_plan_packet_count(sim->plan), (uint32_t)PACKETS_MAX);
    sim->kinds = calloc(sim->kind_count + 1, sizeof *sim->kinds);
    if (!sim->kinds) return cli_fail(sim->args, "out of memory");
    double rate = yd_plan_frame_rate(sim->plan);
    for (uint32_t i = 0; i < sim->kind_count; i++) sim->kinds[i].rate = rate > 0 ? rate : 10;
    int code = read_options(sim, patterns);
    if (code != CLI_DONE) return code;
    if (sim->loss > 0 && yd_plan_frame_bits(sim->plan) % 8)
        return cli_usage(
            sim->args, "--loss wants minor frames of whole bytes: these have %u bits, and others would lose some, too",
            yd_plan_frame_bits(sim->plan));
    int r = yd_encoder_create(sim->plan, &options, NULL, &sim->encoder);
    if (r < 0) return cli_fail(sim->args, "%s", yd_error_text(r));
    if ((code = open_ways(sim)) != CLI_DONE) return code;
    (void)sigaction(SIGINT, &stop, NULL);
    (void)sigaction(SIGTERM, &stop, NULL);
    code = make_packets(sim);
    uint64_t made = 0;
    for (uint32_t i = 0; i < sim->kind_count; i++) made += sim->kinds[i].made;
    if (made && unused_patterns(sim) != CLI_DONE) code = CLI_FAILED;
    return summary(sim, code);
}

static int run(struct cli_args *args)
{
    struct sim *sim = calloc(1, sizeof *sim);
    char *patterns = NULL;
    int code;
    if (!sim) return cli_fail(args, "out of memory");
    sim->args = args;
    yd_buf_init(&sim->named, NULL);
    yd_buf_init(&sim->raws, NULL);
    bool json = args->json;
    args->json = false; /* mistakes of the definition go to standard error: the output is the packets' */
    if (cli_decom_load(args, args->rest[0], true, &sim->plan, &code) == 0) {
        args->json = json;
        code = run_with(sim, &patterns);
        code = close_ways(sim, code);
        yd_encoder_destroy(sim->encoder);
        yd_plan_destroy(sim->plan);
    }
    yd_buf_fini(&sim->named);
    yd_buf_fini(&sim->raws);
    free(sim->kinds);
    free(patterns);
    free(sim);
    return code;
}

static const struct cli_option options[] = {
    {"to", "udp:HOST:PORT", "sends them, each at its time; tcp:HOST:PORT: behind each other, as one stream"},
    {"hex", NULL, "prints them: seconds since the beginning, packet, bytes (without --to, --out and --values: this)"},
    {"out", "FILE.pcap", "writes them into a capture (`Pcap` replays it), as fast as it goes"},
    {"values", "FILE", "what was made, a JSON line a packet, lost ones too; - is standard output"},
    {"rate", "N",
     "packets a second of each kind (10; minor frames: as their bit rate), or flight=50,housekeeping=5; 0: none"},
    {"count", "N", "ends after so many; without --to and --duration 10"},
    {"duration", "TIME", "ends after so long: 30s"},
    {"pattern", "RULES", "what measurements do: 'altitude=sine:0..4200:60s phase=const:BOOST *=random'"},
    {"patterns", "FILE", "more of them, one or several a line, # begins a comment"},
    {"loss", "SHARE", "so many are made, numbered and not sent: 0.01"},
    {"seed", "N", "values and losses follow from it (1)"},
    {"start", "TIME",
     "the time of the first packet, for fields that are times; now, or 2023-11-14T22:13:20Z for files"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_sim = {
    .name = "sim",
    .usage = "DEFINITION [--to udp:HOST:PORT] [--rate N] [--pattern RULES] [--loss SHARE] [--seed N]",
    .summary = "makes packets for a definition, and sends them",
    .doc =
        "A source of packets: each kind that the definition has, at its rate, with values that follow patterns. "
        "Constants and what tells packets apart are as the definition wants them, sequence counters count, checksums "
        "are computed. Of a commutated frame each packet is the next minor frame.\n\n"
        "A pattern is NAME=KIND[:LOW..HIGH][:PERIOD], in engineering units; NAME is a measurement's, its last parts, "
        "or a "
        "glob; the first that matches counts. sine and ramp begin at LOW, square is LOW for half a period, random "
        "is anything between; NAME=const:VALUE is a number, a label or a text. Without a range values stay inside of "
        "what "
        "the "
        "definition calls good (valid, yellow, red), or use all that their bits can hold. What does not fit is sent as "
        "the nearest that does, and counted.\n\n"
        "The same seed makes the same bytes. The last thing printed says what was sent and what was lost on purpose; a "
        "packet that cannot be made is named with the reason, and the exit code is 1.",
    .example = "  yarder sim examples/rocket.ydm --to udp:127.0.0.1:5000 --rate flight=50,housekeeping=5 --loss 0.01\n"
               "  yarder sim examples/rocket.ydm --count 3 --hex",
    .options = options,
    .rest_min = 1,
    .rest_max = 1,
    .run = run,
};
