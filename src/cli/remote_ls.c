/* yarder log ls --at: the streams of a running daemon, asked for over the native protocol. */
#include <stdio.h>

#include "cli/remote.h"

struct listing {
    struct cli_args *args;
    bool some;
};

static int print_row(void *arg, const struct yd_view *view, struct yd_str name, union yd_value map)
{
    struct listing *listing = arg;
    struct yd_buf text;
    char size[32], rate[32];
    if (listing->args->json) {
        yd_buf_init(&text, NULL);
        fputs(listing->some ? ",\n" : "", stdout);
        listing->some = true;
        if (cli_row_json(&text, view, name, "stream", map)) printf("%.*s", (int)text.size, text.data);
        yd_buf_fini(&text);
        return 0;
    }
    uint64_t first = cli_row_number(view, map, "first"), next = cli_row_number(view, map, "written");
    size[yd_text_put_size(size, sizeof size - 1, cli_row_number(view, map, "bytes"))] = 0;
    rate[yd_text_put_size(rate, sizeof rate - 1, cli_row_number(view, map, "bytes_per_s"))] = 0;
    printf("%-24.*s %14llu %14llu %10s %10s/s %6llu %s\n", YD_STR_FMT(name), (unsigned long long)(next - first),
           (unsigned long long)next, size, rate, (unsigned long long)cli_row_number(view, map, "segments"),
           cli_row_number(view, map, "follower") ? "follower" : "live");
    return 0;
}

int cli_remote_ls(struct cli_args *args)
{
    const struct cli_cell cells[] = {{.key = "op", .text = "streams"}, {.key = NULL}};
    struct yd_client *client;
    const struct yd_client_options options = {0};
    int code = cli_client_open(args, &options, &client);
    if (code) return code;
    if (!args->json)
        printf("%-24s %14s %14s %10s %12s %6s\n", "STREAM", "RECORDS", "NEXT SEQNO", "SIZE", "RATE", "FILES");
    struct listing listing = {args, false};
    if (args->json) printf("[");
    code = cli_ask(args, client, cells, print_row, &listing);
    if (args->json) printf("]\n");
    yd_client_close(client);
    return code;
}
