/* yarder log get: every record of exactly one name. */
#include <stdio.h>

#include <yarder/name.h>

#include "base/hash.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/log_cli.h"
#include "cli/remote.h"
#include "io/file.h"
#include "log/layout.h"
#include "log/mend.h"

struct getting {
    struct yd_forgotten *forgotten;
    struct yd_buf text;
    bool json;
    int partition;
    uint64_t left;
};

static int print_record(void *arg, const struct yd_batch *batch, uint32_t record)
{
    struct getting *getting = arg;
    if (getting->forgotten && yd_forgotten_covers(getting->forgotten, batch, record)) return 0;
    yd_buf_clear(&getting->text);
    cli_put_record(&getting->text, getting->json, &batch->view, record, getting->partition,
                   batch->header.base_seqno + record);
    if (fwrite(getting->text.data, 1, getting->text.size, stdout) != getting->text.size) return 1;
    return --getting->left == 0;
}

static void print_gap(void *arg, const struct yd_log_gap *gap)
{
    (void)arg;
    fprintf(stderr, "gap: records %llu to %llu are not there (%s)\n", (unsigned long long)gap->from,
            (unsigned long long)gap->to, gap->reason);
}

static int get_part(struct cli_args *args, struct getting *getting, const struct log_cli_part *part, struct yd_str name)
{
    struct yd_trail trail;
    yd_trail_clear(&trail);
    getting->forgotten = NULL;
    getting->partition = part->partition;
    int code = cli_given(args, "forgotten") ? CLI_DONE : log_cli_forgotten(args, part->dir, &getting->forgotten);
    if (code) return code;
    int error = yd__log_get(NULL, part->dir, name, print_record, print_gap, getting, &trail);
    yd_forgotten_destroy(getting->forgotten);
    if (error >= 0) return CLI_DONE;
    return trail.size ? cli_fail(args, "%s", yd_trail_text(&trail))
                      : cli_fail(args, "%s: %s", part->dir, yd_error_text(error));
}

/* Where partitions are chosen by name, it can only be in one. */
static int partition_of(struct cli_args *args, const char *stream, struct yd_str name)
{
    struct yd_layout layout;
    if (strchr(stream, '/') || yd_layout_load(yd_fs_linux(), log_cli_data(args), stream, &layout) < 0) return -1;
    return layout.by == YD_LAYOUT_BY_NAME ? (int)yd_layout_of_name(&layout, yd_hash_str(name)) : -1;
}

static int run_get(struct cli_args *args)
{
    const char *key = cli_value(args, "key"), *count = cli_value(args, "count");
    char name[YD_NAME_SIZE_MAX];
    struct log_cli_parts parts;
    struct getting getting = {.json = args->json, .left = UINT64_MAX};
    size_t size;
    if (!key || yd_name_canonical(yd_str_of(key), name, &size) < 0)
        return cli_usage(args, "--key wants a whole name, like 'cpu.load host=web1'");
    if (count && yd_text_u64(yd_str_of(count), &getting.left) < 0) return cli_usage(args, "--count wants a number");
    int code = log_cli_parts(args, args->rest[0], &parts);
    if (code) return code;
    int only = parts.count > 1 ? partition_of(args, args->rest[0], (struct yd_str){name, size}) : -1;
    yd_buf_init(&getting.text, NULL);
    for (size_t i = 0; i < parts.count && getting.left && !code; i++)
        if (only < 0 || parts.all[i].partition == only)
            code = get_part(args, &getting, &parts.all[i], (struct yd_str){name, size});
    yd_buf_fini(&getting.text);
    log_cli_parts_fini(&parts);
    return code;
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
    .doc = "Exactly that name, oldest first, up to what is durable. Segments that have an index of names are not read "
           "but where it "
           "points to; the others are, from the oldest on.",
    .example = "  yarder log get metrics --key 'cpu.load host=web1'",
    .options = options,
    .rest_min = 1,
    .rest_max = 1,
    .run = run_get,
};
