/* yarder log ls: the streams of a data folder, or of a running daemon. */
#include <stdio.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/log_cli.h"
#include "cli/remote.h"
#include "io/file.h"

struct listing {
    struct cli_args *args;
    struct yd_json json;
    char path[LOG_CLI_PATH];
    size_t found;
    bool failed;
};

struct lag {
    uint64_t end, count, most;
};

static int visit_lag(void *arg, const char *name, const struct yd_cursor *cursor)
{
    struct lag *lag = arg;
    (void)name;
    lag->count++;
    lag->most = YD_MAX(lag->most, lag->end - YD_MIN(cursor->seqno, lag->end));
    return 0;
}

static int visit_partition(void *arg, const char *name, enum yd_file_type node)
{
    struct listing *listing = arg;
    struct yd_log_stat stat;
    struct yd_trail trail;
    char dir[LOG_CLI_PATH + 256], size[32];
    if (node != YD_NODE_DIR) return 0;
    snprintf(dir, sizeof dir, "%s/%s", listing->path, name);
    yd_trail_clear(&trail);
    if (yd_log_stat_dir(yd_fs_linux(), dir, &stat, &trail) < 0) {
        (void)cli_fail(listing->args, "%s: %s", dir, yd_trail_text(&trail));
        listing->failed = true;
        return 0;
    }
    listing->found++;
    if (listing->args->json) {
        log_cli_json_stat(&listing->json, dir, &stat);
        return 0;
    }
    size[yd_text_put_size(size, sizeof size - 1, stat.bytes)] = 0;
    struct lag lag = {.end = stat.durable};
    (void)yd_log_cursor_list(yd_fs_linux(), dir, visit_lag, &lag); /* none: nothing to show */
    char rate[32] = "-", behind[32] = "-";
    if (stat.records_per_s > 0) (void)snprintf(rate, sizeof rate, "%.0f/s", stat.records_per_s);
    if (lag.count)
        (void)snprintf(behind, sizeof behind, "%llu: %llu", (unsigned long long)lag.count,
                       (unsigned long long)lag.most);
    printf("%-24s %14llu %14llu %10s %6llu %10s %12s %s\n", stat.stream[0] ? stat.stream : name,
           (unsigned long long)(stat.written - stat.first), (unsigned long long)stat.written, size,
           (unsigned long long)stat.segments, rate, behind, stat.live ? "live" : "stopped");
    return 0;
}

static int visit_stream(void *arg, const char *name, enum yd_file_type node)
{
    struct listing *listing = arg;
    size_t size = strlen(listing->path);
    if (node != YD_NODE_DIR) return 0;
    snprintf(listing->path + size, sizeof listing->path - size, "/%s", name);
    (void)yd_fs_list(yd_fs_linux(), listing->path, visit_partition, listing); /* gone meanwhile: nothing to show */
    listing->path[size] = 0;
    return 0;
}

static int run_ls(struct cli_args *args)
{
    if (cli_value(args, "at")) return cli_remote_ls(args);
    const char *data = log_cli_data(args);
    struct listing listing = {.args = args};
    struct yd_buf text;
    yd_buf_init(&text, NULL);
    yd_json_init(&listing.json, &text, true);
    yd_json_array(&listing.json);
    snprintf(listing.path, sizeof listing.path, "%s/streams", data);
    if (!args->json)
        printf("%-24s %14s %14s %10s %6s %10s %12s\n", "STREAM", "RECORDS", "NEXT SEQNO", "SIZE", "FILES", "RATE",
               "CURSORS: LAG");
    int error = yd_fs_list(yd_fs_linux(), listing.path, visit_stream, &listing);
    if (error == 0) {
        snprintf(listing.path, sizeof listing.path, "%s/parked", data);
        (void)yd_fs_list(yd_fs_linux(), listing.path, visit_partition, &listing); /* mostly there is none */
        snprintf(listing.path, sizeof listing.path, "%s/spill", data);
        (void)yd_fs_list(yd_fs_linux(), listing.path, visit_partition, &listing);
    }
    yd_json_array_end(&listing.json);
    if (args->json) printf("%.*s\n", (int)text.size, text.data);
    yd_buf_fini(&text);
    if (error < 0)
        return cli_fail(args, "%s: %s; name the data folder with --data", listing.path, yd_error_text(error));
    return listing.failed ? CLI_FAILED : CLI_DONE;
}

static const struct cli_option ls_options[] = {
    {"data", "DIR", "the data folder; default ./data"},
    CLI_REMOTE_OPTIONS,
    {NULL, NULL, NULL},
};

const struct cli_command cmd_log_ls = {
    .name = "log ls",
    .usage = "[--data DIR | --at ADDRESS]",
    .summary = "lists the streams of a data folder, or with --at of a running daemon",
    .doc =
        "RATE is of the last minute of appends. CURSORS: LAG is how many there are, and how many records the one that\n"
        "is furthest behind has still to read; `yarder log stat STREAM` shows each.",
    .example = "  yarder log ls\n  yarder log ls --at 127.0.0.1:4280",
    .options = ls_options,
    .run = run_ls,
};
