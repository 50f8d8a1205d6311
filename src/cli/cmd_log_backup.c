/* yarder log backup and restore. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/log_cli.h"
#include "log/mend.h"

struct backing_up {
    struct cli_args *args;
    const char *to;
    bool restore, failed;
    uint64_t found;
};

static void tell(struct backing_up *all, const char *name, const struct yd_log_backup_report *report)
{
    char size[32];
    size[yd_text_put_size(size, sizeof size - 1, report->copied_bytes)] = 0;
    all->found++;
    if (all->args->json)
        printf(
            "{\"stream\":\"%s\",\"first\":%llu,\"next\":%llu,\"files\":%llu,\"copied\":%llu,\"copied_bytes\":%llu}\n",
            name, (unsigned long long)report->first, (unsigned long long)report->next,
            (unsigned long long)report->files, (unsigned long long)report->copied,
            (unsigned long long)report->copied_bytes);
    else
        printf("%s: records %llu to %llu in %llu segments; %llu of them copied, %s\n", name,
               (unsigned long long)report->first, (unsigned long long)report->next, (unsigned long long)report->files,
               (unsigned long long)report->copied, size);
}

/* What the stream is as a whole, beside its partitions. Mostly there is none. */
static int copy_layout(const char *from, const char *to)
{
    char path[LOG_CLI_PATH + 32], *bytes;
    size_t size;
    const char *cut = strrchr(from, '/');
    (void)snprintf(path, sizeof path, "%.*s/stream.json", cut ? (int)(cut - from) : 1, cut ? from : ".");
    int error = yd_fs_read_all(yd_fs_linux(), path, 1 << 20, &bytes, &size);
    if (error) return error == YD_ENOENT ? 0 : error;
    cut = strrchr(to, '/');
    (void)snprintf(path, sizeof path, "%.*s/stream.json", (int)(cut - to), to);
    error = yd_fs_replace(yd_fs_linux(), path, bytes, size);
    free(bytes);
    return error;
}

static void one(struct backing_up *all, const char *name, const char *from, const char *to)
{
    struct yd_log_backup_report report = {0};
    struct yd_trail trail;
    yd_trail_clear(&trail);
    int error = all->restore ? yd_log_restore_dir(NULL, from, to, &report, &trail)
                             : yd_log_backup_dir(NULL, from, to, &report, &trail);
    int layout = error ? 0 : copy_layout(from, to);
    if (layout) error = yd_trail_add(&trail, layout, "stream.json beside %s: %s", from, yd_error_text(layout));
    if (error) {
        (void)cli_fail(all->args, "%s: %s", name, yd_trail_text(&trail));
        all->failed = true;
    } else {
        tell(all, name, &report);
    }
}

static void visit(void *arg, const char *name, const char *dir)
{
    struct backing_up *all = arg;
    char to[LOG_CLI_PATH];
    if (snprintf(to, sizeof to, "%s/%s", all->to, name) >= (int)sizeof to) return;
    one(all, name, dir, to);
}

/* One that has no records yet has no name either: opening the stream makes it again. */
static void back_up_part(struct backing_up *all, const struct log_cli_part *part)
{
    struct yd_log_stat stat;
    char name[sizeof stat.stream + 16];
    if (yd_log_stat_dir(NULL, part->dir, &stat, NULL) < 0 || !stat.stream[0]) return;
    (void)snprintf(name, sizeof name, "%s%s", strncmp(stat.stream, "parked/", 7) == 0 ? "" : "streams/", stat.stream);
    visit(all, name, part->dir);
}

static int run_backup(struct cli_args *args)
{
    bool whole = cli_given(args, "all");
    if (args->rest_count != (whole ? 1 : 2)) return cli_usage(args, "STREAM DIR, or --all DIR");
    struct backing_up all = {.args = args, .to = args->rest[args->rest_count - 1]};
    if (whole) {
        int code = log_cli_each(args, log_cli_data(args), "control", visit, &all);
        if (code) return code;
    } else {
        struct log_cli_parts parts;
        int code = log_cli_parts(args, args->rest[0], &parts);
        for (size_t i = 0; !code && i < parts.count; i++) back_up_part(&all, &parts.all[i]);
        log_cli_parts_fini(&parts);
        if (code) return code;
        if (!all.found && !all.failed)
            return cli_fail(args, "%s has no records yet: nothing to back up", args->rest[0]);
    }
    if (!all.found && !all.failed) return cli_fail(args, "no streams below %s", log_cli_data(args));
    return all.failed ? CLI_FAILED : CLI_DONE;
}

static int run_restore(struct cli_args *args)
{
    struct backing_up all = {.args = args, .to = log_cli_data(args), .restore = true};
    int code = log_cli_each(args, args->rest[0], "manifest.json", visit, &all);
    if (code) return code;
    if (!all.found && !all.failed) return cli_fail(args, "no backup in %s: no manifest.json below it", args->rest[0]);
    return all.failed ? CLI_FAILED : CLI_DONE;
}

static const struct cli_option backup_options[] = {
    {"all", NULL, "every stream of the data folder, parked and spilled ones too"},
    {"data", "DIR", "the data folder; default ./data"},
    {NULL, NULL, NULL},
};
const struct cli_command cmd_log_backup = {
    .name = "log backup",
    .usage = "STREAM|--all DIR [--data DIR]",
    .summary = "copies streams, also while they are written",
    .doc =
        "Everything durable at the moment it begins, with the cursors of that moment, and a manifest.json with sizes\n"
        "and checksums. Run again into the same folder it copies only what is new; it deletes nothing there. Copies\n"
        "are copies, never links: one bit that flips must not hurt both.",
    .example = "  yarder log backup --all /backup/yarder\n  yarder log backup metrics /backup/yarder",
    .options = backup_options,
    .rest_min = 1,
    .rest_max = 2,
    .run = run_backup,
};
const struct cli_command cmd_log_restore = {
    .name = "log restore",
    .usage = "DIR --data DIR",
    .summary = "makes streams from a backup, and checks every byte before it says so",
    .doc = "A stream that is there already is refused: move it away first. The daemon of that data folder must be\n"
           "stopped. Readers that had seen more than the backup holds are moved back at the first start.",
    .example = "  yarder log restore /backup/yarder --data ./data",
    .options = log_cli_data_options,
    .rest_min = 1,
    .rest_max = 1,
    .run = run_restore,
};
