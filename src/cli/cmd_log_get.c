/* yarder log get: every record of exactly one name. */
#include <stdio.h>

#include <yarder/name.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/log_cli.h"
#include "cli/remote.h"
#include "log/mend.h"

struct getting {
    struct yd_forgotten *forgotten;
    struct yd_buf text;
    bool json;
    uint64_t left;
};

static int run_get(struct cli_args *args)
{
    const char *key = cli_value(args, "key"), *count = cli_value(args, "count");
    char dir[LOG_CLI_PATH], name[YD_NAME_SIZE_MAX];
    struct getting getting = {.json = args->json, .left = UINT64_MAX};
    size_t size;
    if (!key || yd_name_canonical(yd_str_of(key), name, &size) < 0)
        return cli_usage(args, "--key wants a whole name, like 'cpu.load host=web1'");
    if (count && yd_text_u64(yd_str_of(count), &getting.left) < 0) return cli_usage(args, "--count wants a number");
    int code = log_cli_dir(args, args->rest[0], dir);
    if (!code && !cli_given(args, "forgotten")) code = log_cli_forgotten(args, dir, &getting.forgotten);
    if (code) return code;
    struct yd_trail trail;
    struct yd_log_reader *reader;
    struct yd_log_start start = {.from = YD_FROM_OLDEST, .level = YD_ACK_DURABLE};
    yd_trail_clear(&trail);
    if (yd_log_reader_open_dir(NULL, dir, &start, &reader, &trail) < 0) {
        yd_forgotten_destroy(getting.forgotten);
        return cli_fail(args, "%s", yd_trail_text(&trail));
    }
    yd_buf_init(&getting.text, NULL);
    int error = 0;
    while (!error && getting.left) {
        struct yd_batch *batch;
        struct yd_log_gap gap;
        error = yd_log_reader_next(reader, &batch, &gap);
        if (error == YD_EGAP) {
            fprintf(stderr, "gap: records %llu to %llu are not there (%s)\n", (unsigned long long)gap.from,
                    (unsigned long long)gap.to, gap.reason);
            error = 0;
            continue;
        }
        if (error) break;
        yd_buf_clear(&getting.text);
        for (uint32_t i = 0; i < batch->view.count && getting.left; i++) {
            if (!yd_str_eq(yd_view_name(&batch->view, batch->view.records[i].name), (struct yd_str){name, size}))
                continue;
            if (getting.forgotten && yd_forgotten_covers(getting.forgotten, batch, i)) continue;
            cli_put_record(&getting.text, getting.json, &batch->view, i, batch->header.base_seqno + i);
            getting.left--;
        }
        if (fwrite(getting.text.data, 1, getting.text.size, stdout) != getting.text.size) getting.left = 0;
        yd_batch_unref(batch);
    }
    yd_log_reader_close(reader);
    yd_buf_fini(&getting.text);
    yd_forgotten_destroy(getting.forgotten);
    return error < 0 && error != YD_EAGAIN ? cli_fail(args, "%s: %s", dir, yd_error_text(error)) : CLI_DONE;
}

static const struct cli_option options[] = {
    {"key", "NAME", "the whole name, like 'cpu.load host=web1'"},
    {"count", "N", "stop after so many records"},
    {"forgotten", NULL, "also what tombstones cover"},
    {"data", "DIR", "the data folder; default ./data"},
    {NULL, NULL, NULL},
};
const struct cli_command cmd_log_get = {
    .name = "log get",
    .usage = "STREAM --key NAME [--count N]",
    .summary = "prints every record of one name",
    .doc = "Exactly that name, oldest first, up to what is durable. It reads the stream from its begin.",
    .example = "  yarder log get metrics --key 'cpu.load host=web1'",
    .options = options,
    .rest_min = 1,
    .rest_max = 1,
    .run = run_get,
};
