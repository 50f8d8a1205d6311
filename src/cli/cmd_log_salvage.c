/* yarder log salvage: good batches out of any damaged file. */
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "batch/record_text.h"
#include "cli/commands.h"
#include "cli/log_cli.h"
#include "log/mend.h"

struct salvaging {
    struct cli_args *args;
    struct yd_buf text;
    bool dump;
};

static int print_batch(void *arg, uint64_t offset, const struct yd_batch *batch)
{
    struct salvaging *salvaging = arg;
    (void)offset;
    if (!salvaging->dump) return 0;
    yd_buf_clear(&salvaging->text);
    for (uint32_t i = 0; i < batch->view.count; i++) {
        struct yd_json json;
        yd_json_init(&json, &salvaging->text, false);
        yd_record_json(&batch->view, i, batch->header.base_seqno + i, &json);
        yd_buf_char(&salvaging->text, '\n');
    }
    return fwrite(salvaging->text.data, 1, salvaging->text.size, stdout) == salvaging->text.size ? 0 : YD_EIO;
}

static void print_other(void *arg, uint64_t from, uint64_t to)
{
    (void)arg;
    fprintf(stderr, "bytes %llu to %llu: no good batch\n", (unsigned long long)from, (unsigned long long)to);
}

static int run_salvage(struct cli_args *args)
{
    const char *out = cli_value(args, "out"), *log = cli_value(args, "log"), *stream = cli_value(args, "stream");
    struct salvaging salvaging = {.args = args, .dump = cli_given(args, "dump")};
    struct yd_log_salvage how = {.batch = print_batch, .other = print_other, .arg = &salvaging};
    struct yd_log_salvage_report report = {0};
    struct yd_trail trail;
    char *end = NULL;
    if (log) how.log_id = strtoull(log, &end, 16);
    if (log && (*end || !how.log_id))
        return cli_usage(args, "--log wants 16 hex digits, as `yarder log stat` shows them");
    if (out && salvaging.dump) return cli_usage(args, "--out or --dump, not both");
    yd_trail_clear(&trail);
    yd_buf_init(&salvaging.text, NULL);
    int error = yd_log_salvage_file(NULL, args->rest[0], &how, &report, &trail);
    if (!error && out && report.batches)
        error = yd_log_salvage_dir(NULL, args->rest[0], how.log_id, out, stream ? stream : "salvaged/0", NULL, &trail);
    yd_buf_fini(&salvaging.text);
    if (error) return cli_fail(args, "%s", yd_trail_text(&trail));
    FILE *to = salvaging.dump ? stderr : stdout;
    if (args->json && !salvaging.dump)
        fprintf(to, "{\"batches\":%llu,\"records\":%llu,\"bytes\":%llu,\"other_bytes\":%llu}\n",
                (unsigned long long)report.batches, (unsigned long long)report.records,
                (unsigned long long)report.bytes, (unsigned long long)report.other_bytes);
    else
        fprintf(to, "%s: %llu records in %llu good batches; %llu bytes are something else\n", args->rest[0],
                (unsigned long long)report.records, (unsigned long long)report.batches,
                (unsigned long long)report.other_bytes);
    if (report.batches == 0) return cli_fail(args, "not a single good batch");
    if (out)
        fprintf(to == stdout && !args->json ? stdout : stderr, "written to %s: read it with `yarder log cat %s`\n", out,
                out);
    return CLI_DONE;
}

static const struct cli_option options[] = {
    {"out", "DIR", "write a new stream's folder with them"},
    {"dump", NULL, "print their records, an object a line"},
    {"log", "ID", "only batches of this log (16 hex digits); default for --out: the one that most are of"},
    {"stream", "NAME", "with --out: what the new stream calls itself; default salvaged/0"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_log_salvage = {
    .name = "log salvage",
    .usage = "FILE [--out DIR | --dump]",
    .summary = "finds every good batch in any damaged file",
    .doc = "FILE is a segment, a file of quarantine/, an image of a disk: batches are found at any byte by their own\n"
           "checksums, whatever lies between. Says which bytes are no batch. FILE is only read. Exits 1 when there is\n"
           "nothing good in it.",
    .example = "  yarder log salvage data/streams/metrics/0/00000000000000000000.ylog --dump\n"
               "  yarder log salvage disk.img --out rescued/0",
    .options = options,
    .rest_min = 1,
    .rest_max = 1,
    .run = run_salvage,
};
