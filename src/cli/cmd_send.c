/* yarder send: lines into a stream of a running daemon: bolo's stream, or another grammar of text_in.h.
 *
 *   standard input, or the words given ─▶ text_in.h ─▶ batches ─▶ where their names belong ─▶ yd_client_append_async
 *
 * Lines go as they come: a collector that writes one a minute has it stored within that minute. A bad line is said with
 * its number and its reason, the others are stored, and the exit code is 1. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/remote.h"
#include "elements/text_in.h"
#include "io/loop.h"

#define READ_STEP  65536
#define LINE_MOST  ((size_t)1 << 20)
#define SAID_MOST  10
#define PARTITIONS YD_PARTITIONS_MAX

struct sending {
    struct cli_args *args;
    struct yd_client *client;
    struct yd_client_stream *streams[PARTITIONS];
    uint32_t count;
    enum yd_ack level;
    struct yd_text_in *text;
    struct yd_str chunk; /* being parsed */
    uint64_t line;       /* of the input, where the chunk begins */
    uint64_t acknowledged, rejected, refused;
    int error; /* of the connection: nothing goes any more */
    char why[600];
};

struct told {
    struct sending *sending;
    uint32_t count;
};

static void note(void *arg, int error, const struct yd_client_appended *appended)
{
    struct told *told = arg;
    struct sending *s = told->sending;
    (void)appended;
    if (error && !s->refused) {
        const char *why = yd_client_trouble(s->client);
        snprintf(s->why, sizeof s->why, "%s", *why ? why : yd_error_text(error));
    }
    *(error ? &s->refused : &s->acknowledged) += told->count;
    free(told);
}

static int append(struct sending *s, struct yd_client_stream *stream, struct yd_batch *batch)
{
    const struct yd_client_append_options options = {.level = s->level};
    struct told *told = malloc(sizeof *told);
    int error = told ? 0 : YD_ENOMEM;
    if (told) *told = (struct told){s, batch->header.count};
    while (!error && (error = yd_client_append_async(stream, batch, &options, note, told)) == YD_EFULL) {
        int ran = yd_client_run(s->client, -1);
        error = ran < 0 ? ran : 0;
    }
    if (error) free(told);
    return error;
}

static void on_batch(void *arg, struct yd_batch *batch, uint32_t records)
{
    struct sending *s = arg;
    struct yd_batch *parts[PARTITIONS] = {NULL};
    (void)records;
    if (s->count == 1)
        parts[0] = yd_batch_ref(batch);
    else if (!s->error)
        s->error = yd_batch_split(batch, s->count, parts);
    for (uint32_t i = 0; i < s->count && !s->error; i++)
        if (parts[i]) s->error = append(s, s->streams[i], parts[i]);
    for (uint32_t i = 0; i < s->count; i++) yd_batch_unref(parts[i]);
    yd_batch_unref(batch);
}

static void on_reject(void *arg, unsigned reason, struct yd_str line)
{
    struct sending *s = arg;
    uint64_t number = s->line;
    if (s->rejected++ >= SAID_MOST) return;
    for (const char *at = s->chunk.data; line.size && at < line.data; at++) number += *at == '\n';
    cli_fail(s->args, "line %" PRIu64 ": %s: %.*s", number, yd_text_reasons[reason],
             (int)YD_MIN(line.size, (size_t)200), line.data);
}

/* ---- the input ---- */

static void take(struct sending *s, struct yd_str text)
{
    s->chunk = text;
    yd_text_in_parse(s->text, text, yd_clock_wall());
    for (size_t i = 0; i < text.size; i++) s->line += text.data[i] == '\n';
}

/* Whole lines; at the end of the input the rest, too. */
static int take_lines(struct sending *s, struct yd_buf *input, bool ended)
{
    size_t size = input->size;
    while (!ended && size && input->data[size - 1] != '\n') size--;
    if (size) take(s, (struct yd_str){input->data, size});
    yd_buf_consume(input, size);
    if (input->size > LINE_MOST) return cli_fail(s->args, "line %" PRIu64 ": longer than 1 MiB", s->line);
    return CLI_DONE;
}

static int send_input(struct sending *s)
{
    struct yd_buf input;
    int code = CLI_DONE;
    bool ended = false;
    yd_buf_init(&input, NULL);
    while (code == CLI_DONE && !ended && !s->error && !s->refused) {
        bool there = false;
        s->error = cli_wait_input(s->client, &there);
        if (s->error || !there) continue;
        char *to = yd_buf_reserve(&input, READ_STEP);
        ssize_t got = to ? read(STDIN_FILENO, to, READ_STEP) : -1;
        if (got < 0 && to && (errno == EINTR || errno == EAGAIN)) continue;
        if (got < 0) code = cli_fail(s->args, "standard input: %s", strerror(to ? errno : ENOMEM));
        if (got > 0) input.size += (size_t)got;
        ended = got == 0;
        if (code == CLI_DONE) code = take_lines(s, &input, ended);
    }
    yd_buf_fini(&input);
    return code;
}

static int send_words(struct sending *s)
{
    struct yd_buf line;
    yd_buf_init(&line, NULL);
    for (int i = 1; i < s->args->rest_count; i++) {
        if (i > 1) yd_buf_char(&line, ' ');
        yd_buf_cstr(&line, s->args->rest[i]);
    }
    if (line.failed) return cli_fail(s->args, "out of memory");
    take(s, yd_buf_view(&line));
    yd_buf_fini(&line);
    return CLI_DONE;
}

/* ---- the command ---- */

/* The stream, or the partitions that records of any name may belong to. */
static int open_streams(struct sending *s)
{
    const char *name = s->args->rest[0];
    struct yd_client_info info;
    char partition[300];
    int error = yd_client_stream(s->client, name, &s->streams[0]);
    if (error) return error;
    s->count = 1;
    yd_client_info(s->streams[0], &info);
    if (info.partitions < 2 || strchr(name, '/')) return 0;
    if (info.partitions > PARTITIONS) return YD_ETOOBIG;
    const bool all = info.by_name;
    const uint32_t only = all ? 0 : yd_client_partition(&info, YD_STR(""), (uint64_t)yd_clock_wall());
    s->count = all ? info.partitions : 1;
    for (uint32_t i = 0; i < s->count && !error; i++) {
        snprintf(partition, sizeof partition, "%s/%u", name, all ? i : only);
        error = yd_client_stream(s->client, partition, &s->streams[i]);
    }
    return error;
}

static int finish(struct sending *s, int code)
{
    int error = s->error ? s->error : yd_client_flush(s->client);
    if (error && !s->refused && code == CLI_DONE) code = cli_client_failed(s->args, s->client, error);
    if (s->args->json)
        printf("{\"acknowledged\":%" PRIu64 ",\"rejected\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"level\":\"%s\"}\n",
               s->acknowledged, s->rejected, s->refused, cli_level_name(s->level));
    if (s->rejected > SAID_MOST)
        cli_fail(s->args, "%" PRIu64 " lines were not understood, the first %d of them above", s->rejected, SAID_MOST);
    if (s->refused) cli_fail(s->args, "%" PRIu64 " records were refused: %s", s->refused, s->why);
    return s->rejected || s->refused ? CLI_FAILED : code;
}

static int run(struct cli_args *args)
{
    struct sending s = {.args = args, .line = 1};
    const char *format = cli_value(args, "format");
    struct yd_client_options client = {.create = cli_given(args, "create")};
    struct yd_text_in_options text = {
        .format = format ? format : "bolo", .sink = {&s, on_batch, on_reject}, .seed = (uint64_t)yd_clock_mono()};
    int code = cli_level(args, "level", cli_value(args, "level"), &s.level);
    if (code != CLI_DONE) return code;
    int error = format && strcmp(format, "influx") == 0 ? YD_EINVAL : yd_text_in_create(&text, &s.text);
    if (error == YD_EINVAL) return cli_usage(args, "--format wants bolo, graphite, opentsdb or prometheus");
    code = error ? cli_fail(args, "%s", yd_error_text(error)) : cli_client_open(args, &client, &s.client);
    if (code == CLI_DONE) {
        error = open_streams(&s);
        if (error) code = cli_client_failed(args, s.client, error);
        if (error == YD_ENOENT && !client.create)
            cli_fail(args, "`--create` makes the stream; `yarder log ls --at ADDRESS` lists those that are there");
        if (!error) code = finish(&s, args->rest_count > 1 ? send_words(&s) : send_input(&s));
    }
    yd_client_close(s.client);
    yd_text_in_destroy(s.text);
    return code;
}

static const struct cli_option options[] = {
    CLI_REMOTE_OPTIONS,
    {"level", "LEVEL", "acknowledged when: memory, written, durable (default), replicated"},
    {"format", "NAME", "of the lines: bolo (default), graphite, opentsdb, prometheus"},
    {"create", NULL, "make the stream when it is not there"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_send = {
    .name = "send",
    .usage = "STREAM [WORD...] [--at ADDRESS] [--format NAME]",
    .summary = "sends lines of measurements to a stream of a running daemon",
    .doc =
        "The words given are one line; without them lines are read from standard input and go as they come. Lines are\n"
        "those of bolo's stream:\n"
        "  STATE TIME NAME ok|warning|critical|unknown TEXT\n"
        "  COUNTER TIME NAME [N]      SAMPLE TIME NAME VALUE...      RATE TIME NAME VALUE\n"
        "  EVENT TIME NAME TEXT       KEY NAME=VALUE...\n"
        "TIME is seconds since 1970, or now. NAME is a word; tags follow it as in name;key=value. A line that is not\n"
        "understood is said with its number, the others are stored, and the exit code is 1. Silent when all is stored.",
    .example = "  yarder send bolo STATE now web1:disk warning '91% full'\n"
               "  /usr/lib/collectors/linux | yarder send bolo",
    .options = options,
    .rest_min = 1,
    .rest_max = -1,
    .run = run,
};
