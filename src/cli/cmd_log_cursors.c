/* yarder log cursors: who reads a stream of a running daemon, and how far behind he is. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/remote.h"

static int print_row(void *arg, const struct yd_view *view, struct yd_str name, union yd_value map)
{
    struct cli_args *args = arg;
    struct yd_buf text;
    char time[40];
    if (!args->json) {
        time[yd_text_put_time(time, sizeof time - 1, (int64_t)cli_row_number(view, map, "saved_at"))] = 0;
        const struct yd_cell *partition = yd_view_find(view, map, YD_STR("partition")); /* of several */
        struct yd_str of = partition && partition->type == YD_TEXT ? yd_view_bytes(view, partition->value) : YD_STR("");
        char seqno[64];
        (void)snprintf(seqno, sizeof seqno, "%.*s%s%llu", YD_STR_FMT(of), of.size ? "/" : "",
                       (unsigned long long)cli_row_number(view, map, "seqno"));
        printf("%-24.*s %14s %14llu %s\n", YD_STR_FMT(name), seqno,
               (unsigned long long)cli_row_number(view, map, "lag"), time);
        return 0;
    }
    yd_buf_init(&text, NULL);
    if (cli_row_json(&text, view, name, "cursor", map)) printf("%.*s\n", (int)text.size, text.data);
    yd_buf_fini(&text);
    return 0;
}

static int run(struct cli_args *args)
{
    const char *remove = cli_value(args, "remove");
    const struct cli_cell cells[] = {{.key = "op", .text = remove ? "cursor_remove" : "cursors"},
                                     {.key = "stream", .text = args->rest[0]},
                                     {.key = "cursor", .text = remove ? remove : "", .absent = !remove},
                                     {.key = NULL}};
    struct yd_client *client;
    const struct yd_client_options options = {0};
    int code = cli_client_open(args, &options, &client);
    if (code) return code;
    if (!args->json && !remove) printf("%-24s %14s %14s %s\n", "CURSOR", "SEQNO", "BEHIND", "SAVED");
    code = cli_ask(args, client, cells, print_row, args);
    yd_client_close(client);
    return code;
}

static const struct cli_option options[] = {
    CLI_REMOTE_OPTIONS,
    {"remove", "CURSOR", "forgets this cursor: retention waits for it no longer"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_log_cursors = {
    .name = "log cursors",
    .usage = "STREAM [--at ADDRESS] [--remove CURSOR]",
    .summary = "lists the cursors of a stream of a running daemon and how far behind they are",
    .example = "  yarder log cursors metrics",
    .options = options,
    .rest_min = 1,
    .rest_max = 1,
    .run = run,
};
