/* yarder log cat and tail: the records of a stream, from its files. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <yarder/name.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/log_cli.h"
#include "cli/remote.h"
#include "io/file.h"

struct source { /* a partition */
    struct printing *printing;
    const struct log_cli_part *part;
    struct yd_log_reader *reader;
    struct yd_batch *batch;         /* read and not printed */
    struct yd_forgotten *forgotten; /* NULL: everything is shown */
    uint64_t loaded;                /* its tombstones are known below */
    pthread_t thread;
};
struct printing {
    struct cli_args *args;
    struct yd_pattern *pattern;
    struct source *sources;
    size_t source_count;
    uint64_t from, until, left; /* seqnos; how many records more */
    struct yd_buf text;
    pthread_mutex_t lock; /* when several are followed: of stdout, left and these */
    bool ended;
    int code;
};

/* False when enough was printed, or nobody reads any more. */
static bool print_batch(struct printing *printing, struct source *source, const struct yd_batch *batch)
{
    const struct yd_view *view = &batch->view;
    yd_buf_clear(&printing->text);
    if (source->forgotten && batch->header.base_seqno >= source->loaded)
        (void)yd_forgotten_note(source->forgotten, batch); /* one that came meanwhile */
    for (uint32_t i = 0; i < view->count && printing->left; i++) {
        uint64_t seqno = batch->header.base_seqno + i;
        if (seqno < printing->from) continue;
        if (seqno >= printing->until)
            printing->left = 0;
        else if (source->forgotten && yd_forgotten_covers(source->forgotten, batch, i))
            continue;
        else if (!printing->pattern || yd_pattern_match(printing->pattern, yd_view_name(view, view->records[i].name))) {
            cli_put_record(&printing->text, printing->args->json, view, i, source->part->partition, seqno);
            printing->left--;
        }
    }
    bool written = fwrite(printing->text.data, 1, printing->text.size, stdout) == printing->text.size;
    return written && printing->left > 0;
}

static int parse_from(struct cli_args *args, struct yd_log_start *start, struct printing *printing)
{
    const char *from = cli_value(args, "from"), *until = cli_value(args, "until"), *count = cli_value(args, "count");
    const char *match = cli_value(args, "match"), *read = cli_value(args, "read");
    printing->until = printing->left = UINT64_MAX;
    if (from && yd_text_u64(yd_str_of(from), &start->seqno) == 0)
        start->from = YD_FROM_SEQNO, printing->from = start->seqno;
    else if (from && strcmp(from, "oldest") == 0)
        start->from = YD_FROM_OLDEST;
    else if (from && strcmp(from, "tail") == 0)
        start->from = YD_FROM_TAIL;
    else if (from && yd_text_time(yd_str_of(from), &start->time_ns) == 0)
        start->from = YD_FROM_TIME;
    else if (from)
        return cli_usage(args, "--from wants a seqno, a time (2026-11-21T01:02:03Z), oldest or tail");
    if (until && yd_text_u64(yd_str_of(until), &printing->until) < 0) return cli_usage(args, "--until wants a seqno");
    if (count && yd_text_u64(yd_str_of(count), &printing->left) < 0) return cli_usage(args, "--count wants a number");
    if (match && yd_pattern_compile(yd_str_of(match), &printing->pattern) < 0)
        return cli_usage(args, "--match: '%s' is not a name pattern", match);
    start->level = YD_ACK_DURABLE;
    if (read && strcmp(read, "written") == 0)
        start->level = YD_ACK_WRITTEN;
    else if (read && strcmp(read, "durable") != 0)
        return cli_usage(args, "--read wants durable or written");
    return CLI_DONE;
}

static void tell_gap(const struct source *source, const struct yd_log_gap *gap)
{
    char partition[32] = "";
    if (source->part->partition >= 0) (void)snprintf(partition, sizeof partition, "%d/", source->part->partition);
    fprintf(stderr, "gap: records %s%llu to %s%llu are not there (%s)\n", partition, (unsigned long long)gap->from,
            partition, (unsigned long long)gap->to, gap->reason);
}

static int open_source(struct printing *printing, struct source *source, struct yd_log_start start, bool follow)
{
    struct yd_trail trail;
    struct yd_log_stat stat;
    yd_trail_clear(&trail);
    if (!cli_given(printing->args, "forgotten")) {
        if (yd_log_stat_dir(NULL, source->part->dir, &stat, NULL) == 0) source->loaded = stat.written;
        int code = log_cli_forgotten(printing->args, source->part->dir, &source->forgotten);
        if (code) return code;
    }
    /* What cannot match is not read; but where tombstones may still come, they are looked for. */
    if (!follow || !source->forgotten) start.names = cli_value(printing->args, "match");
    if (yd_log_reader_open_dir(yd_fs_linux(), source->part->dir, &start, &source->reader, &trail) < 0)
        return cli_fail(printing->args, "%s", yd_trail_text(&trail));
    return CLI_DONE;
}

/* Its next batch, if there is one now. */
static int fill(struct printing *printing, struct source *source)
{
    while (!source->batch) {
        struct yd_log_gap gap;
        int error = yd_log_reader_next(source->reader, &source->batch, &gap);
        if (error == YD_EAGAIN) return CLI_DONE;
        if (error == YD_EGAP)
            tell_gap(source, &gap);
        else if (error)
            return cli_fail(printing->args, "%s: %s", source->part->dir, yd_error_text(error));
    }
    return CLI_DONE;
}

/* What is there now. Of several partitions in the order in which it was appended, batch by batch. */
static int print_all(struct printing *printing)
{
    for (;;) {
        struct source *first = NULL;
        for (size_t i = 0; i < printing->source_count; i++) {
            struct source *source = &printing->sources[i];
            int code = fill(printing, source);
            if (code) return code;
            if (!source->batch) continue;
            if (!first || source->batch->header.append_time < first->batch->header.append_time) first = source;
        }
        if (!first) return CLI_DONE;
        struct yd_batch *batch = first->batch;
        first->batch = NULL;
        bool more = print_batch(printing, first, batch);
        yd_batch_unref(batch);
        if (!more) return CLI_DONE;
    }
}

/* One partition, as it comes. Each has a thread: a reader sleeps on its own control page. */
static void *follow_one(void *arg)
{
    struct source *source = arg;
    struct printing *printing = source->printing;
    int code = CLI_DONE;
    bool more = true;
    while (!code && more) {
        code = fill(printing, source);
        pthread_mutex_lock(&printing->lock);
        if (!code && source->batch) {
            more = !printing->ended && print_batch(printing, source, source->batch);
        } else if (!code) {
            fflush(stdout);
            more = !printing->ended && !ferror(stdout);
        }
        pthread_mutex_unlock(&printing->lock);
        bool dry = !source->batch;
        yd_batch_unref(source->batch);
        source->batch = NULL;
        if (!code && more && dry)
            (void)yd_log_reader_wait(source->reader, YD_NS_PER_S); /* a second: whether stdout is still there */
    }
    pthread_mutex_lock(&printing->lock);
    if (code) printing->code = code;
    printing->ended = true; /* enough for one is enough for all */
    pthread_mutex_unlock(&printing->lock);
    for (size_t i = 0; i < printing->source_count; i++) yd_log_reader_wake(printing->sources[i].reader);
    return NULL;
}

static int follow_all(struct printing *printing)
{
    size_t started = 1; /* the first is ours */
    for (; started < printing->source_count; started++) {
        struct source *source = &printing->sources[started];
        if (pthread_create(&source->thread, NULL, follow_one, source)) break;
    }
    if (started < printing->source_count) {
        printing->code = cli_fail(printing->args, "cannot start a thread for each partition");
        printing->ended = true;
    }
    (void)follow_one(&printing->sources[0]);
    for (size_t i = 1; i < started; i++) (void)pthread_join(printing->sources[i].thread, NULL);
    return printing->code;
}

static int print_stream(struct cli_args *args, struct yd_log_start start, bool follow)
{
    struct printing printing = {.args = args, .lock = PTHREAD_MUTEX_INITIALIZER};
    struct log_cli_parts parts = {.count = 0};
    int code = parse_from(args, &start, &printing);
    if (code == CLI_DONE) code = log_cli_parts(args, args->rest[0], &parts);
    if (code == CLI_DONE && parts.count > 1 && (start.from == YD_FROM_SEQNO || printing.until != UINT64_MAX))
        code = cli_usage(args, "--from and --until: a seqno is of one partition: name it, like %s", parts.all[0].name);
    printing.sources = calloc(parts.count + 1, sizeof *printing.sources);
    if (code == CLI_DONE && !printing.sources) code = cli_fail(args, "out of memory");
    for (size_t i = 0; i < parts.count && code == CLI_DONE; i++) {
        printing.sources[i] = (struct source){.printing = &printing, .part = &parts.all[i]};
        printing.source_count++;
        code = open_source(&printing, &printing.sources[i], start, follow);
    }
    yd_buf_init(&printing.text, NULL);
    if (code == CLI_DONE) code = follow ? follow_all(&printing) : print_all(&printing);
    for (size_t i = 0; i < printing.source_count; i++) {
        yd_batch_unref(printing.sources[i].batch);
        yd_log_reader_close(printing.sources[i].reader);
        yd_forgotten_destroy(printing.sources[i].forgotten);
    }
    free(printing.sources);
    log_cli_parts_fini(&parts);
    yd_pattern_destroy(printing.pattern);
    yd_buf_fini(&printing.text);
    return code;
}

static int run_cat(struct cli_args *args)
{
    return print_stream(args, (struct yd_log_start){.from = YD_FROM_OLDEST}, false);
}

static int run_tail(struct cli_args *args)
{
    return print_stream(args, (struct yd_log_start){.from = YD_FROM_TAIL}, true);
}

static const struct cli_option print_options[] = {
    {"data", "DIR", "the data folder; default ./data"},
    {"from", "WHERE", "a seqno, a time (2026-11-21T01:02:03Z), oldest or tail"},
    {"until", "SEQNO", "stop before this one"},
    {"count", "N", "stop after so many records"},
    {"match", "PATTERN", "only names that match, like 'cpu.* host=web*'"},
    {"forgotten", NULL, "also what tombstones cover"},
    {"read", "LEVEL", "durable (default), or written: also what is not on the device yet"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_log_cat = {
    .name = "log cat",
    .usage = "STREAM [--from WHERE] [--until SEQNO] [--match PATTERN]",
    .summary = "prints the records of a stream",
    .doc = "From the oldest to the last durable one: seqno, time, name, value. With --json: an object a line. Of a "
           "stream\n"
           "with several partitions PARTITION/SEQNO, in the order in which batches were appended.",
    .example = "  yarder log cat metrics --match 'cpu.*' --count 10\n  yarder log cat metrics --json --from "
               "2026-11-21T01:02:03Z",
    .options = print_options,
    .rest_min = 1,
    .rest_max = 1,
    .run = run_cat,
};
const struct cli_command cmd_log_tail = {
    .name = "log tail",
    .usage = "STREAM [--from WHERE] [--match PATTERN]",
    .summary = "prints new records as they come",
    .doc = "Begins at the tail, or where --from says, and goes on until it is interrupted. Of a stream with several\n"
           "partitions PARTITION/SEQNO; within each in order.",
    .example = "  yarder log tail metrics",
    .options = print_options,
    .rest_min = 1,
    .rest_max = 1,
    .run = run_tail,
};
