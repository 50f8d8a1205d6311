/* yarder log tombstone: forgetting names in a log that is only ever appended to. */
#include <stdio.h>
#include <time.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/log_cli.h"
#include "cli/remote.h"
#include "log/mend.h"

static int append_stopped(struct cli_args *args, const char *dir, const char *stream, const struct yd_batch *batch,
                          uint64_t *ret_seqno)
{
    struct yd_log_options options = {.dir = dir, .stream = stream};
    struct yd_log_recovery recovery;
    struct yd_log_appended appended;
    struct yd_trail trail;
    struct yd_log *log;
    yd_trail_clear(&trail);
    int error = yd_log_open(&options, &log, &recovery, &trail);
    if (error) return cli_fail(args, "%s", yd_trail_text(&trail));
    error = yd_log_append(log, batch, -1, UINT64_MAX, &appended);
    if (!error) error = yd_log_wait(log, appended.next, YD_ACK_DURABLE);
    int closed = yd_log_close(log);
    if (error || closed) return cli_fail(args, "%s: %s", dir, yd_error_text(error ? error : closed));
    *ret_seqno = appended.first;
    return CLI_DONE;
}

static int append_live(struct cli_args *args, const char *stream, const struct yd_batch *batch, uint64_t *ret_seqno)
{
    struct yd_client_options options = {0};
    struct yd_client *client;
    struct yd_client_stream *to;
    struct yd_client_appended appended;
    int code = cli_client_open(args, &options, &client);
    if (code) return code;
    int error = yd_client_stream(client, stream, &to);
    if (!error) error = yd_client_append(to, batch, NULL, &appended);
    if (error) code = cli_client_failed(args, client, error);
    if (!error) *ret_seqno = appended.first;
    yd_client_close(client);
    return code;
}

static int parse(struct cli_args *args, struct yd_tombstone *ret)
{
    const char *match = cli_value(args, "match"), *until = cli_value(args, "until"),
               *reason = cli_value(args, "reason");
    *ret = (struct yd_tombstone){.until_seqno = UINT64_MAX, .until_time = INT64_MAX};
    if (!match) return cli_usage(args, "--match PATTERN says which names are forgotten");
    ret->names = yd_str_of(match);
    ret->reason = yd_str_of(reason ? reason : "");
    if (until && yd_text_u64(yd_str_of(until), &ret->until_seqno) < 0 &&
        yd_text_time(yd_str_of(until), &ret->until_time) < 0)
        return cli_usage(args, "--until wants a seqno or a time (2026-11-21T01:02:03Z)");
    return CLI_DONE;
}

/* A partition that has no records has nothing to forget: *done stays. */
static int bury(struct cli_args *args, const struct log_cli_part *part, const struct yd_batch *batch, size_t *done)
{
    struct yd_log_stat stat;
    struct yd_trail trail;
    uint64_t seqno = 0;
    yd_trail_clear(&trail);
    if (yd_log_stat_dir(NULL, part->dir, &stat, &trail) < 0) return cli_fail(args, "%s", yd_trail_text(&trail));
    if (!stat.stream[0]) return CLI_DONE;
    int code = stat.live ? append_live(args, stat.stream, batch, &seqno)
                         : append_stopped(args, part->dir, stat.stream, batch, &seqno);
    if (code) return code;
    ++*done;
    char partition[32] = "", key[32] = "";
    if (part->partition >= 0) (void)snprintf(partition, sizeof partition, "%d/", part->partition);
    if (part->partition >= 0) (void)snprintf(key, sizeof key, "\"partition\":%d,", part->partition);
    if (args->json)
        printf("{%s\"seqno\":%llu}\n", key, (unsigned long long)seqno);
    else
        printf(
            "tombstone %s%llu is durable: what it covers is hidden from now on. The bytes stay until retention takes "
            "their segments.\n",
            partition, (unsigned long long)seqno);
    return CLI_DONE;
}

/* Whatever chose the partitions: a pattern may cover names in each. */
static int run_tombstone(struct cli_args *args)
{
    struct yd_tombstone tombstone;
    struct log_cli_parts parts = {.count = 0};
    struct yd_batch *batch;
    struct timespec now;
    size_t done = 0;
    int code = parse(args, &tombstone);
    if (!code) code = log_cli_parts(args, args->rest[0], &parts);
    if (!code && parts.count > 1 && tombstone.until_seqno != UINT64_MAX)
        code = cli_usage(args, "--until: a seqno is of one partition: name it, like %s", parts.all[0].name);
    if (code) {
        log_cli_parts_fini(&parts);
        return code;
    }
    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
    const int64_t wall = now.tv_sec * YD_NS_PER_S + now.tv_nsec;
    /* Who reads several partitions at once has them in no common order: what comes from now on must not be forgotten
     * by the tombstone of a partition that is read later. */
    if (parts.count > 1 && !cli_value(args, "until")) tombstone.until_time = wall;
    if (yd_tombstone_batch(&tombstone, wall, &batch)) {
        log_cli_parts_fini(&parts);
        return cli_usage(args, "--match: '%s' is not a name pattern", cli_value(args, "match"));
    }
    for (size_t i = 0; i < parts.count && !code; i++) code = bury(args, &parts.all[i], batch, &done);
    yd_batch_unref(batch);
    log_cli_parts_fini(&parts);
    if (!code && !done) code = cli_fail(args, "%s has no records: there is nothing to forget", args->rest[0]);
    return code;
}

static const struct cli_option options[] = {
    {"match", "PATTERN", "the names to forget, like 'cpu.* host=web1'"},
    {"until", "WHEN",
     "a seqno or a time: records before it; default: all there are now (of several partitions: with times before now)"},
    {"reason", "TEXT", "kept in the tombstone"},
    {"data", "DIR", "the data folder; default ./data"},
    CLI_REMOTE_OPTIONS,
    {NULL, NULL, NULL},
};
const struct cli_command cmd_log_tombstone = {
    .name = "log tombstone",
    .usage = "STREAM --match PATTERN [--until TIME|SEQNO] [--reason TEXT]",
    .summary = "forgets names: what is covered is hidden",
    .doc = "Appends a tombstone: through the daemon (--at) when one writes the stream, else to its files. cat, tail, "
           "dump,\n"
           "get and subscribe leave out what it covers unless --forgotten is given; so do wires out of the Log. This "
           "hides\n"
           "and does not erase: the bytes go when retention takes their segments.",
    .example = "  yarder log tombstone metrics --match 'cpu.* host=web1' --reason 'asked for by its owner'",
    .options = options,
    .rest_min = 1,
    .rest_max = 1,
    .run = run_tombstone,
};
