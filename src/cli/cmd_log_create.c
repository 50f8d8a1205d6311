/* yarder log create: a stream with its partitions, in a running daemon. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/remote.h"

static int print_row(void *arg, const struct yd_view *view, struct yd_str name, union yd_value map)
{
    struct cli_args *args = arg;
    struct yd_buf text;
    if (!args->json) {
        printf("%.*s\n", YD_STR_FMT(name));
        return 0;
    }
    yd_buf_init(&text, NULL);
    if (cli_row_json(&text, view, name, "stream", map)) printf("%.*s\n", (int)text.size, text.data);
    yd_buf_fini(&text);
    return 0;
}

static int run(struct cli_args *args)
{
    const char *partitions_text = cli_value(args, "partitions"), *by = cli_value(args, "by"),
               *keep_text = cli_value(args, "keep"), *size_text = cli_value(args, "size");
    uint64_t partitions = 1, size = 0;
    int64_t keep = 0;
    if (partitions_text &&
        (yd_text_u64(yd_str_of(partitions_text), &partitions) < 0 || partitions == 0 || partitions > 1024))
        return cli_usage(args, "--partitions wants 1 to 1024");
    if (by && strcmp(by, "name") != 0 && strcmp(by, "producer") != 0)
        return cli_usage(args, "--by wants name or producer");
    if (keep_text && yd_text_duration(yd_str_of(keep_text), &keep) < 0)
        return cli_usage(args, "--keep wants a time, like 30d");
    if (size_text && yd_text_size(yd_str_of(size_text), &size) < 0)
        return cli_usage(args, "--size wants a size, like 10GiB");
    const struct cli_cell cells[] = {{.key = "op", .text = "create"},
                                     {.key = "stream", .text = args->rest[0]},
                                     {.key = "partitions", .number = partitions},
                                     {.key = "by", .text = by ? by : "", .absent = !by},
                                     {.key = "keep", .number = (uint64_t)keep, .absent = !keep_text},
                                     {.key = "size", .number = size, .absent = !size_text},
                                     {.key = NULL}};
    struct yd_client *client;
    const struct yd_client_options options = {0};
    int code = cli_client_open(args, &options, &client);
    if (code) return code;
    code = cli_ask(args, client, cells, print_row, args);
    yd_client_close(client);
    return code;
}

static const struct cli_option options[] = {
    CLI_REMOTE_OPTIONS,
    {"partitions", "N", "how many; default 1"},
    {"by", "WHAT", "how records are spread over several: by hash of their name, or by producer"},
    {"keep", "TIME", "retention by age, like 30d; default: for ever"},
    {"size", "SIZE", "retention by size, all partitions together, like 10GiB; default: no limit"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_log_create = {
    .name = "log create",
    .usage = "STREAM [--at ADDRESS] [--partitions N --by name|producer]",
    .summary = "makes a stream in a running daemon",
    .doc = "Prints the partitions. The daemon must allow it: Native(create: true).",
    .example = "  yarder log create orders --partitions 4 --by name",
    .options = options,
    .rest_min = 1,
    .rest_max = 1,
    .run = run,
};
