/* yarder log repair: what is damaged, had back from another copy or from a replica. */
#include <stdio.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/log_cli.h"
#include "cli/remote.h"
#include "log/mend.h"

struct replica {
    struct cli_args *args;
    struct yd_client *client;
    struct yd_client_stream *stream;
};

/* The batch with that seqno as the replica has it stored: the repair checks that it is the one. */
static int fetch(void *arg, uint64_t seqno, struct yd_batch **ret_batch)
{
    struct replica *replica = arg;
    struct yd_subscribe_options options = {.start = {.from = YD_FROM_SEQNO, .seqno = seqno, .level = YD_ACK_DURABLE},
                                           .until = seqno + 1,
                                           .stop = true,
                                           .forgotten = true,
                                           .whole = true};
    struct yd_subscription *subscription;
    int error = yd_client_subscribe(replica->stream, &options, NULL, NULL, &subscription);
    if (error) return error == YD_ENOMEM ? error : YD_ENOENT;
    struct yd_received what = {0};
    do {
        error = yd_subscription_next(subscription, 30 * YD_NS_PER_S, &what);
    } while (!error && what.position);
    yd_subscription_close(subscription);
    if (error || !what.batch) return YD_ENOENT;
    *ret_batch = what.batch;
    return 0;
}

static void told(void *arg, const struct yd_log_mended *what)
{
    struct cli_args *args = arg;
    const char *result = what->result == YD_LOST      ? "lost"
                         : what->result == YD_LATER   ? "later"
                         : cli_given(args, "dry-run") ? "would be mended"
                                                      : "mended";
    if (args->json) {
        struct yd_buf text;
        struct yd_json json;
        yd_buf_init(&text, NULL);
        yd_json_init(&json, &text, false);
        yd_json_object(&json);
        yd_json_key(&json, "result");
        yd_json_cstr(&json, result);
        yd_json_key(&json, "file");
        yd_json_cstr(&json, what->file);
        const struct {
            const char *key;
            uint64_t value;
        } numbers[] = {{"from", what->from}, {"to", what->to}, {"first", what->first}, {"next", what->next}};
        for (size_t i = 0; i < YD_COUNT(numbers); i++) {
            yd_json_key(&json, numbers[i].key);
            yd_json_u64(&json, numbers[i].value);
        }
        yd_json_key(&json, "what");
        yd_json_cstr(&json, what->what);
        yd_json_object_end(&json);
        printf("%.*s\n", (int)text.size, text.data);
        yd_buf_fini(&text);
        return;
    }
    printf("%s: bytes %llu to %llu", what->file, (unsigned long long)what->from, (unsigned long long)what->to);
    if (what->next > what->first)
        printf(", records %llu to %llu", (unsigned long long)what->first, (unsigned long long)what->next - 1);
    printf(": %s: %s\n", result, what->what);
}

static int run_repair(struct cli_args *args)
{
    char dir[LOG_CLI_PATH];
    struct replica replica = {.args = args};
    struct yd_log_repair how = {.dir = dir,
                                .from_dir = cli_value(args, "from-dir"),
                                .dry_run = cli_given(args, "dry-run"),
                                .told = told,
                                .told_arg = args};
    struct yd_log_repair_report report = {0};
    struct yd_log_stat stat;
    struct yd_trail trail;
    yd_trail_clear(&trail);
    int code = log_cli_dir(args, args->rest[0], dir);
    if (code) return code;
    const char *at = cli_value(args, "from-replica");
    if (at) {
        const struct yd_client_options options = {.address = at};
        if (yd_log_stat_dir(NULL, dir, &stat, &trail) < 0) return cli_fail(args, "%s", yd_trail_text(&trail));
        if (yd_client_open(&options, &replica.client, &trail) < 0) return cli_fail(args, "%s", yd_trail_text(&trail));
        int error = yd_client_stream(replica.client, stat.stream, &replica.stream);
        if (error) {
            code = cli_client_failed(args, replica.client, error);
            yd_client_close(replica.client);
            return code;
        }
        how.fetch = fetch;
        how.fetch_arg = &replica;
    }
    int error = yd_log_repair_dir(&how, &report, &trail);
    yd_client_close(replica.client);
    if (error && error != YD_ECORRUPT) return cli_fail(args, "%s", yd_trail_text(&trail));
    if (error && !report.lost && !report.later) return cli_fail(args, "%s", yd_trail_text(&trail));
    if (!args->json)
        printf("%s: %llu segments looked at%s, %llu ranges %s, %llu lost (%llu records), %llu for later\n",
               args->rest[0], (unsigned long long)report.segments,
               report.live ? " (it is being written: not the last one)" : "", (unsigned long long)report.mended,
               how.dry_run ? "could be mended" : "mended", (unsigned long long)report.lost,
               (unsigned long long)report.lost_records, (unsigned long long)report.later);
    return error ? CLI_FAILED : CLI_DONE;
}

static const struct cli_option options[] = {
    {"from-dir", "DIR", "another copy of the partition's folder: a backup's, a follower's"},
    {"from-replica", "ADDRESS", "of a daemon that has the stream: HOST:PORT, unix:PATH"},
    {"dry-run", NULL, "say what would be done and write nothing"},
    {"data", "DIR", "the data folder; default ./data"},
    {NULL, NULL, NULL},
};
const struct cli_command cmd_log_repair = {
    .name = "log repair",
    .usage = "STREAM [--from-dir DIR | --from-replica ADDRESS] [--dry-run]",
    .summary = "mends damaged ranges from another copy",
    .doc = "Writes only where checksums fail, only what fits the chain of checksums at both ends, and keeps the old "
           "bytes\n"
           "in quarantine/ first. Killed anywhere, run it again. Of a stream that is being written it mends all\n"
           "segments but the last and says what needs a stop. What no copy has is told: readers get a gap.\n"
           "Exits 1 when something remains.",
    .example = "  yarder log repair metrics --from-dir /backup/yarder/streams/metrics/0 --dry-run\n"
               "  yarder log repair metrics --from-replica 10.0.0.2:4280",
    .options = options,
    .rest_min = 1,
    .rest_max = 1,
    .run = run_repair,
};
