/* yarder log append: standard input into a stream of a running daemon, each record once.
 *
 *   bytes ─▶ lines, JSON records or packets ─▶ a batch of what came together ─▶ yd_client_append_async
 *
 * A stream of several partitions gets each record where its name belongs, or all where the producer belongs.
 * With --producer each record has its place in the input as its number: the same input given again, after whatever
 * died, goes on where the stream has it. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/remote.h"
#include "io/loop.h"

#define READ_STEP 65536
#define LINE_MOST ((size_t)1 << 20)

struct target { /* a partition */
    struct yd_client_stream *stream;
    struct yd_builder *builder;
    uint64_t known; /* of the input, the stream has everything up to here already */
    uint64_t last;  /* place in the input of the last record in the builder */
};

struct appending {
    struct cli_args *args;
    struct yd_client *client;
    struct yd_client_info info;
    struct target *targets;
    uint32_t target_count;
    const char *name;
    enum yd_ack level;
    uint64_t batch, packet; /* records a batch at most; bytes a packet, 0: lines */
    bool records, numbered; /* lines are JSON records; numbers are places in the input */
    uint64_t taken;         /* of the input */
    uint64_t there;         /* of these, the stream had them already */
    uint64_t acknowledged, duplicates, refused, batches;
    uint64_t first, next;
    char why[600]; /* of the first refusal */
};

struct told {
    struct appending *appending;
    uint32_t count;
};

static void note(void *arg, int error, const struct yd_client_appended *appended)
{
    struct told *told = arg;
    struct appending *a = told->appending;
    if (error) {
        if (!a->refused) {
            const char *why = yd_client_trouble(a->client);
            snprintf(a->why, sizeof a->why, "%s", *why ? why : yd_error_text(error));
        }
        a->refused += told->count;
    } else {
        a->first = YD_MIN(a->first, appended->first);
        a->next = YD_MAX(a->next, appended->next);
        *(appended->duplicate ? &a->duplicates : &a->acknowledged) += told->count;
    }
    free(told);
}

/* What is in the builder goes. */
static int send_batch(struct appending *a, struct target *target)
{
    struct yd_batch *batch, *numbered = NULL;
    const struct yd_client_append_options options = {.level = a->level};
    int error = yd_builder_seal(target->builder, &batch);
    if (error) return error == YD_EAGAIN ? 0 : error;
    struct yd_header header = batch->header;
    header.producer_seq = a->numbered ? target->last : 0;
    struct told *told = malloc(sizeof *told);
    error = told ? yd_batch_restamp(batch, &header, &numbered) : YD_ENOMEM;
    if (told) *told = (struct told){a, header.count};
    while (!error && (error = yd_client_append_async(target->stream, numbered, &options, note, told)) == YD_EFULL) {
        int ran = yd_client_run(a->client, -1);
        error = ran < 0 ? ran : 0;
    }
    if (error) free(told);
    a->batches++;
    yd_batch_unref(numbered);
    yd_batch_unref(batch);
    return error;
}

static int send_all(struct appending *a)
{
    int error = 0;
    for (uint32_t i = 0; i < a->target_count && !error; i++) error = send_batch(a, &a->targets[i]);
    return error;
}

/* ---- records ---- */

static struct target *target_of(struct appending *a, const char *name)
{
    return &a->targets[a->target_count > 1 ? yd_client_partition(&a->info, yd_str_of(name), 0) : 0];
}

static int add_value(struct yd_builder *builder, struct yd_str key, json_t *value);

static int add_cells(struct yd_builder *builder, json_t *value)
{
    const char *key;
    json_t *inner;
    size_t index;
    int error = 0;
    json_object_foreach (value, key, inner)
        if (!error) error = add_value(builder, yd_str_of(key), inner);
    json_array_foreach (value, index, inner)
        if (!error) error = add_value(builder, YD_STR(""), inner);
    return error ? error : yd_builder_end(builder);
}

/* The scalar of a JSON value; false: it is none. */
static bool scalar(json_t *value, enum yd_type *ret_type, union yd_value *ret)
{
    ret->bits = 0;
    if (json_is_integer(value))
        *ret_type = YD_I64, ret->i64 = json_integer_value(value);
    else if (json_is_real(value))
        *ret_type = YD_F64, ret->f64 = json_real_value(value);
    else if (json_is_boolean(value))
        *ret_type = YD_BOOL, ret->u64 = json_is_true(value);
    else if (json_is_null(value))
        *ret_type = YD_NIL;
    else
        return false;
    return true;
}

static struct yd_str text_of(const json_t *value)
{
    return (struct yd_str){json_string_value(value), json_string_length(value)};
}

static int add_value(struct yd_builder *builder, struct yd_str key, json_t *value)
{
    enum yd_type type;
    union yd_value bits;
    if (scalar(value, &type, &bits)) return yd_builder_cell(builder, key, type, bits);
    if (json_is_string(value)) return yd_builder_cell_bytes(builder, key, YD_TEXT, text_of(value));
    int error = yd_builder_nest(builder, key, json_is_object(value) ? YD_MAP : YD_LIST);
    return error ? error : add_cells(builder, value);
}

static enum yd_kind kind_of(json_t *record, json_t *value)
{
    const char *text = json_string_value(json_object_get(record, "kind"));
    for (int kind = YD_SAMPLE; text && kind < YD_KIND_COUNT; kind++)
        if (strcmp(yd_kind_name((enum yd_kind)kind), text) == 0) return (enum yd_kind)kind;
    return json_is_object(value) ? YD_ROW : json_is_number(value) || json_is_boolean(value) ? YD_SAMPLE : YD_EVENT;
}

static uint16_t flags_of(json_t *record)
{
    static const char *const codes[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};
    const struct {
        const char *key;
        uint16_t flag;
    } others[] = {{"stale", YD_RECORD_STALE},
                  {"transition", YD_RECORD_TRANSITION},
                  {"rollover", YD_RECORD_ROLLOVER},
                  {"suspect", YD_RECORD_QUALITY},
                  {"tombstone", YD_RECORD_TOMBSTONE}};
    const char *code = json_string_value(json_object_get(record, "code"));
    uint16_t flags = 0;
    for (uint16_t i = 0; code && i < YD_COUNT(codes); i++)
        if (strcmp(codes[i], code) == 0) flags = i;
    for (size_t i = 0; i < YD_COUNT(others); i++)
        if (json_is_true(json_object_get(record, others[i].key))) flags |= others[i].flag;
    return flags;
}

static const char *name_of(const struct appending *a, json_t *record)
{
    const char *name = json_string_value(json_object_get(record, "name"));
    return name ? name : a->name;
}

static int add_json(struct appending *a, struct yd_builder *builder, json_t *record)
{
    json_t *value = json_object_get(record, "value"), *time = json_object_get(record, "time");
    int64_t time_ns = yd_clock_wall();
    uint32_t name;
    enum yd_type type;
    union yd_value bits;
    int error = 0;
    if (json_is_string(time)) error = yd_text_time(text_of(time), &time_ns);
    if (json_is_number(time)) time_ns = (int64_t)(json_number_value(time) * 1e9);
    if (!error) error = yd_builder_name(builder, yd_str_of(name_of(a, record)), &name);
    if (error) return error;
    enum yd_kind kind = kind_of(record, value);
    uint16_t flags = flags_of(record);
    if (!value) return yd_builder_add(builder, time_ns, name, kind, YD_NIL, flags, (union yd_value){0});
    if (scalar(value, &type, &bits)) return yd_builder_add(builder, time_ns, name, kind, type, flags, bits);
    if (json_is_string(value))
        return yd_builder_add_bytes(builder, time_ns, name, kind, YD_TEXT, flags, text_of(value));
    error = yd_builder_begin(builder, time_ns, name, kind, flags, json_is_object(value) ? YD_MAP : YD_LIST);
    return error ? error : add_cells(builder, value);
}

/* record NULL: bytes are a line, or a packet. */
static int add_one(struct appending *a, struct yd_builder *builder, json_t *record, struct yd_str bytes)
{
    uint32_t name;
    if (record) return add_json(a, builder, record);
    int error = yd_builder_name(builder, yd_str_of(a->name), &name);
    if (error) return error;
    return a->packet ? yd_builder_add_bytes(builder, yd_clock_wall(), name, YD_PACKET, YD_BLOB, 0, bytes)
                     : yd_builder_add_bytes(builder, yd_clock_wall(), name, YD_EVENT, YD_TEXT, 0, bytes);
}

static int add_to(struct appending *a, struct target *target, json_t *record, struct yd_str bytes)
{
    if (a->taken < target->known) {
        a->there++;
        a->taken++;
        return 0;
    }
    int error = add_one(a, target->builder, record, bytes);
    if (error == YD_EFULL && !(error = send_batch(a, target))) error = add_one(a, target->builder, record, bytes);
    if (error) return error;
    target->last = ++a->taken;
    return yd_builder_count(target->builder) >= a->batch ? send_batch(a, target) : 0;
}

static int add(struct appending *a, struct yd_str bytes)
{
    json_t *record = a->records ? json_loadb(bytes.data, bytes.size, JSON_ALLOW_NUL, NULL) : NULL;
    int error = a->records && !json_is_object(record)
                    ? YD_EFORMAT
                    : add_to(a, target_of(a, record ? name_of(a, record) : a->name), record, bytes);
    json_decref(record);
    if (error == YD_EFORMAT || error == YD_EINVAL || error == YD_ETOOBIG)
        return cli_fail(a->args, "record %" PRIu64 " of the input: %s%s", a->taken + 1, yd_error_text(error),
                        a->records ? "; wanted is a JSON object with name, time, kind and value"
                                   : "; lines are UTF-8, --packets takes any bytes");
    return error ? cli_client_failed(a->args, a->client, error) : CLI_DONE;
}

/* ---- the input ---- */

/* Takes whole pieces from the front; at the end of the input the rest, too. */
static int take(struct appending *a, struct yd_buf *input, bool ended)
{
    size_t at = 0;
    int code = CLI_DONE;
    while (code == CLI_DONE && at < input->size) {
        struct yd_str rest = {input->data + at, input->size - at};
        size_t size = a->packet, gone = size;
        if (!a->packet) {
            const char *end = memchr(rest.data, '\n', rest.size);
            size = end ? (size_t)(end - rest.data) : rest.size;
            gone = size + (end != NULL);
            if (!end && !ended) break;
        } else if (rest.size < size) {
            if (!ended) break;
            size = gone = rest.size;
        }
        code = add(a, (struct yd_str){rest.data, size});
        at += gone;
    }
    yd_buf_consume(input, at);
    if (code == CLI_DONE && input->size > LINE_MOST && !a->packet)
        code = cli_fail(a->args, "record %" PRIu64 " of the input: a line of more than 1 MiB", a->taken + 1);
    return code;
}

static int append_all(struct appending *a)
{
    struct yd_buf input;
    int code = CLI_DONE;
    bool ended = false;
    yd_buf_init(&input, NULL);
    while (code == CLI_DONE && !ended && !a->refused) {
        bool there = false;
        int error = cli_wait_input(a->client, &there);
        if (error) code = cli_client_failed(a->args, a->client, error);
        if (error || !there) continue;
        char *to = yd_buf_reserve(&input, READ_STEP);
        ssize_t got = to ? read(STDIN_FILENO, to, READ_STEP) : -1;
        if (got < 0 && to && (errno == EINTR || errno == EAGAIN)) continue;
        if (got < 0) code = cli_fail(a->args, "standard input: %s", strerror(to ? errno : ENOMEM));
        if (got > 0) input.size += (size_t)got;
        ended = got == 0;
        if (code == CLI_DONE) code = take(a, &input, ended);
        /* What came together goes together; only a stated batch waits to be full. */
        if (code == CLI_DONE && (ended || !cli_given(a->args, "batch"))) {
            error = send_all(a);
            if (error) code = cli_client_failed(a->args, a->client, error);
        }
    }
    if (code != CLI_DONE) (void)send_all(a); /* what was good before */
    int error = yd_client_flush(a->client);
    if (error && !a->refused && code == CLI_DONE) code = cli_client_failed(a->args, a->client, error);
    yd_buf_fini(&input);
    return code;
}

static void report(const struct appending *a)
{
    if (a->args->json) {
        printf("{\"acknowledged\":%" PRIu64 ",\"duplicates\":%" PRIu64 ",\"refused\":%" PRIu64
               ",\"already_there\":%" PRIu64 ",\"batches\":%" PRIu64 ",\"level\":\"%s\"",
               a->acknowledged, a->duplicates, a->refused, a->there, a->batches, cli_level_name(a->level));
        if (a->next && a->target_count == 1) printf(",\"first\":%" PRIu64 ",\"next\":%" PRIu64, a->first, a->next);
        printf("}\n");
        return;
    }
    printf("%" PRIu64 " records are %s", a->acknowledged + a->duplicates, cli_level_name(a->level));
    if (a->next && a->target_count == 1) printf(", seqnos %" PRIu64 " to %" PRIu64, a->first, a->next - 1);
    if (a->target_count > 1) printf(", in %" PRIu32 " partitions", a->target_count);
    if (a->there) printf("; %" PRIu64 " were there already", a->there);
    printf("\n");
}

static int parse(struct appending *a, struct yd_client_options *options)
{
    struct cli_args *args = a->args;
    const char *name = cli_value(args, "name"), *batch = cli_value(args, "batch"),
               *packets = cli_value(args, "packets"), *producer = cli_value(args, "producer");
    int code = cli_level(args, "level", cli_value(args, "level"), &a->level);
    if (code) return code;
    a->records = cli_given(args, "records");
    a->name = name ? name : packets ? "packet" : "line";
    a->batch = 1000000;
    if (batch && (yd_text_u64(yd_str_of(batch), &a->batch) < 0 || a->batch == 0))
        return cli_usage(args, "--batch wants a number above 0");
    if (packets && (yd_text_size(yd_str_of(packets), &a->packet) < 0 || !a->packet || a->packet > 32 << 20))
        return cli_usage(args, "--packets wants a size, 1 to 32MiB");
    if (packets && a->records) return cli_usage(args, "--packets or --records, not both");
    a->numbered = producer != NULL;
    if (producer && (yd_text_u64(yd_str_of(producer), &options->producer_id) < 0 || options->producer_id == 0))
        return cli_usage(args, "--producer wants a number above 0, the same each time");
    options->create = cli_given(args, "create");
    return CLI_DONE;
}

static int add_target(struct appending *a, struct yd_client_stream *stream)
{
    const struct yd_builder_options sizes = {.size_max = (uint32_t)YD_MAX(a->packet + 65536, UINT64_C(1) << 20)};
    struct target *target = &a->targets[a->target_count];
    target->stream = stream;
    target->known = a->numbered ? yd_client_producer_seq(stream) : 0;
    int error = yd_builder_create(&sizes, &target->builder);
    if (error == 0) a->target_count++;
    return error;
}

/* The partitions that records may go to: the one that was named, the producer's, or all. */
static int open_targets(struct appending *a, uint64_t producer_id)
{
    const char *name = a->args->rest[0];
    char partition[300];
    struct yd_client_stream *stream;
    int error = yd_client_stream(a->client, name, &stream);
    if (error) return error;
    yd_client_info(stream, &a->info);
    const bool several = a->info.partitions > 1 && !strchr(name, '/') && a->info.partitions <= 1024;
    a->targets = calloc(several ? a->info.partitions : 1, sizeof *a->targets);
    if (!a->targets) return YD_ENOMEM;
    if (!several) return add_target(a, stream);
    if (producer_id == 0) producer_id = (uint64_t)yd_clock_wall(); /* anywhere, but all together */
    const uint32_t only = yd_client_partition(&a->info, YD_STR(""), producer_id);
    for (uint32_t i = 0; i < a->info.partitions && !error; i++) {
        if (a->info.by_producer && i != only) continue;
        snprintf(partition, sizeof partition, "%s/%u", name, i);
        error = yd_client_stream(a->client, partition, &stream);
        if (!error) error = add_target(a, stream);
    }
    return error;
}

static int run(struct cli_args *args)
{
    struct appending a = {.args = args, .first = UINT64_MAX};
    struct yd_client_options options = {0};
    int code = parse(&a, &options), error;
    if (code == CLI_DONE) code = cli_client_open(args, &options, &a.client);
    if (code) return code;
    if ((error = open_targets(&a, options.producer_id)) < 0) code = cli_client_failed(args, a.client, error);
    if (code == CLI_DONE) {
        code = append_all(&a);
        report(&a);
        if (a.refused) code = cli_fail(args, "%" PRIu64 " records were refused: %s", a.refused, a.why);
    }
    for (uint32_t i = 0; i < a.target_count; i++) yd_builder_destroy(a.targets[i].builder);
    free(a.targets);
    yd_client_close(a.client);
    return code;
}

static const struct cli_option options[] = {
    CLI_REMOTE_OPTIONS,
    {"level", "LEVEL", "acknowledged when: memory, written, durable (default), replicated"},
    {"name", "NAME", "the records' name; default line"},
    {"batch", "N", "exactly so many records a batch; default: what came together"},
    {"records", NULL, "lines are JSON records, as log cat --json prints them"},
    {"packets", "SIZE", "not lines: binary packets of this size"},
    {"producer", "ID", "a number: the same input given again goes on where the stream has it"},
    {"create", NULL, "make the stream when it is not there"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_log_append = {
    .name = "log append",
    .usage = "STREAM [--at ADDRESS] [--level LEVEL] [--producer ID]",
    .summary = "appends standard input to a stream of a running daemon",
    .doc =
        "Each line becomes an EVENT record of type TEXT. It waits until everything is acknowledged and says what was.\n"
        "A daemon that dies meanwhile is waited for (--timeout); what it has already is not written twice. With\n"
        "--producer the records are numbered by their place in the input: after this program died, run it again\n"
        "with the same input.",
    .example = "  journalctl -f -o cat | yarder log append journal --create\n"
               "  yarder log append import --producer 17 --create < lines.txt",
    .options = options,
    .rest_min = 1,
    .rest_max = 1,
    .run = run,
};
