/* yarder log cat and tail: the records of a stream, from its files. */
#include <stdio.h>

#include <yarder/name.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/log_cli.h"
#include "cli/remote.h"
#include "io/file.h"

struct printing {
    struct cli_args *args;
    struct yd_pattern *pattern;
    struct yd_forgotten *forgotten; /* NULL: everything is shown */
    uint64_t loaded;                /* its tombstones are known below */
    uint64_t from, until, left;     /* seqnos; how many records more */
    struct yd_buf text;
};

/* False when enough was printed, or nobody reads any more. */
static bool print_batch(struct printing *printing, const struct yd_batch *batch)
{
    const struct yd_view *view = &batch->view;
    yd_buf_clear(&printing->text);
    if (printing->forgotten && batch->header.base_seqno >= printing->loaded)
        (void)yd_forgotten_note(printing->forgotten, batch); /* one that came meanwhile */
    for (uint32_t i = 0; i < view->count && printing->left; i++) {
        uint64_t seqno = batch->header.base_seqno + i;
        if (seqno < printing->from) continue;
        if (seqno >= printing->until)
            printing->left = 0;
        else if (printing->forgotten && yd_forgotten_covers(printing->forgotten, batch, i))
            continue;
        else if (!printing->pattern || yd_pattern_match(printing->pattern, yd_view_name(view, view->records[i].name))) {
            cli_put_record(&printing->text, printing->args->json, view, i, seqno);
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

static int print_stream(struct cli_args *args, struct yd_log_start start, bool follow)
{
    char dir[LOG_CLI_PATH];
    struct printing printing = {.args = args};
    struct yd_log_reader *reader = NULL;
    struct yd_trail trail;
    yd_trail_clear(&trail);
    int code = log_cli_dir(args, args->rest[0], dir);
    if (code == CLI_DONE && !cli_given(args, "forgotten")) {
        struct yd_log_stat stat;
        if (yd_log_stat_dir(NULL, dir, &stat, NULL) == 0) printing.loaded = stat.written;
        code = log_cli_forgotten(args, dir, &printing.forgotten);
    }
    if (code == CLI_DONE) code = parse_from(args, &start, &printing);
    /* What cannot match is not read; but where tombstones may still come, they are looked for. */
    if (!follow || !printing.forgotten) start.names = cli_value(args, "match");
    if (code == CLI_DONE && yd_log_reader_open_dir(yd_fs_linux(), dir, &start, &reader, &trail) < 0)
        code = cli_fail(args, "%s", yd_trail_text(&trail));
    yd_buf_init(&printing.text, NULL);
    while (code == CLI_DONE) {
        struct yd_batch *batch;
        struct yd_log_gap gap;
        int error = yd_log_reader_next(reader, &batch, &gap);
        if (error == 0) {
            bool more = print_batch(&printing, batch);
            yd_batch_unref(batch);
            if (!more) break;
        } else if (error == YD_EGAP) {
            fprintf(stderr, "gap: records %llu to %llu are not there (%s)\n", (unsigned long long)gap.from,
                    (unsigned long long)gap.to, gap.reason);
        } else if (error == YD_EAGAIN) {
            fflush(stdout);
            if (!follow || ferror(stdout)) break;
            (void)yd_log_reader_wait(reader, YD_NS_PER_S); /* a second: whether stdout is still there */
        } else {
            code = cli_fail(args, "%s: %s", dir, yd_error_text(error));
        }
    }
    yd_log_reader_close(reader);
    yd_pattern_destroy(printing.pattern);
    yd_forgotten_destroy(printing.forgotten);
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
    .doc = "From the oldest to the last durable one: seqno, time, name, value. With --json: an object a line.",
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
    .doc = "Begins at the tail, or where --from says, and goes on until it is interrupted.",
    .example = "  yarder log tail metrics",
    .options = print_options,
    .rest_min = 1,
    .rest_max = 1,
    .run = run_tail,
};
