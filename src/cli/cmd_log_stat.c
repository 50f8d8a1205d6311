/* yarder log stat: one stream: ranges, sizes, writer, cursors. */
#include <stdio.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/log_cli.h"
#include "io/file.h"

struct cursors {
    struct yd_json *json; /* NULL: text */
    uint64_t end;
};

static int visit_cursor(void *arg, const char *name, const struct yd_cursor *cursor)
{
    struct cursors *cursors = arg;
    char time[40];
    time[yd_text_put_time(time, sizeof time - 1, cursor->saved_at)] = 0;
    if (cursors->json) {
        yd_json_object(cursors->json);
        yd_json_key(cursors->json, "name");
        yd_json_cstr(cursors->json, name);
        yd_json_key(cursors->json, "seqno");
        yd_json_u64(cursors->json, cursor->seqno);
        yd_json_key(cursors->json, "epoch");
        yd_json_u64(cursors->json, cursor->epoch);
        yd_json_key(cursors->json, "saved");
        yd_json_cstr(cursors->json, time);
        yd_json_object_end(cursors->json);
    } else {
        printf("cursor      %s at %llu (%llu behind), saved %s\n", name, (unsigned long long)cursor->seqno,
               (unsigned long long)(cursors->end - YD_MIN(cursor->seqno, cursors->end)), time);
    }
    return 0;
}

static int stat_part(struct cli_args *args, const char *dir)
{
    char size[32], from[40], to[40];
    struct yd_log_stat stat;
    struct yd_trail trail;
    struct yd_buf text;
    struct yd_json json;
    yd_trail_clear(&trail);
    if (yd_log_stat_dir(yd_fs_linux(), dir, &stat, &trail) < 0) return cli_fail(args, "%s", yd_trail_text(&trail));
    if (args->json) {
        struct cursors cursors = {&json, stat.durable};
        yd_buf_init(&text, NULL);
        yd_json_init(&json, &text, true);
        yd_json_object(&json);
        yd_json_key(&json, "stat");
        log_cli_json_stat(&json, dir, &stat);
        yd_json_key(&json, "cursors");
        yd_json_array(&json);
        (void)yd_log_cursor_list(yd_fs_linux(), dir, visit_cursor, &cursors);
        yd_json_array_end(&json);
        yd_json_object_end(&json);
        printf("%.*s\n", (int)text.size, text.data);
        yd_buf_fini(&text);
        return CLI_DONE;
    }
    size[yd_text_put_size(size, sizeof size - 1, stat.bytes)] = 0;
    from[yd_text_put_time(from, sizeof from - 1, stat.time_min)] = 0;
    to[yd_text_put_time(to, sizeof to - 1, stat.time_max)] = 0;
    printf("stream      %s\nfolder      %s\nseqnos      %llu to %llu, %llu of them durable\nsize        %s in %llu "
           "segments\n",
           stat.stream, dir, (unsigned long long)stat.first, (unsigned long long)stat.written,
           (unsigned long long)(stat.durable - stat.first), size, (unsigned long long)stat.segments);
    if (stat.written > stat.first) printf("times       %s to %s\n", from, to);
    if (*stat.key_max) printf("names       %s to %s\n", stat.key_min, stat.key_max);
    static const char *const roles[] = {"leader", "follower", "deposed leader"};
    printf("role        %s\nepoch       %u of log %016llx, last batch of epoch %u\n", roles[stat.role], stat.epoch,
           (unsigned long long)stat.log_id, stat.last_epoch);
    if (stat.live)
        printf("writer      process %lld\n", (long long)stat.writer_pid);
    else
        printf("writer      none\n");
    struct cursors cursors = {NULL, stat.durable};
    (void)yd_log_cursor_list(yd_fs_linux(), dir, visit_cursor, &cursors); /* none: nothing to show */
    return CLI_DONE;
}

static int run_stat(struct cli_args *args)
{
    struct log_cli_parts parts;
    int code = log_cli_parts(args, args->rest[0], &parts);
    for (size_t i = 0; !code && i < parts.count; i++) {
        if (i && !args->json) printf("\n");
        code = stat_part(args, parts.all[i].dir);
    }
    log_cli_parts_fini(&parts);
    return code;
}

const struct cli_command cmd_log_stat = {
    .name = "log stat",
    .usage = "STREAM [--data DIR]",
    .summary = "shows a stream's ranges, sizes, writer and cursors",
    .doc = "STREAM is a name, a name/partition, parked/ELEMENT (batches that crashed that element), or a path to a\n"
           "partition's folder (also a copied one). Of a stream with several partitions it shows each; with --json an\n"
           "object a line.",
    .example = "  yarder log stat metrics",
    .options = log_cli_data_options,
    .rest_min = 1,
    .rest_max = 1,
    .run = run_stat,
};
