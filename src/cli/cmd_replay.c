/* yarder replay: a stream's records once more, in their order, at their pace.
 *
 *   reader ─▶ record: due at its distance from the first, divided by --speed ─▶ what is due together in a batch
 *                                                                         ├▶ standard output
 *                                                                         └▶ yd_client_append_async, acknowledged
 *
 * A record whose time lies before that of an earlier one is due with it. The pace is kept by the clock, not by pauses:
 * who falls behind catches up. */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <yarder/log.h>
#include <yarder/name.h>

#include "cli/commands.h"
#include "cli/live_cli.h"
#include "cli/live_record.h"
#include "cli/log_cli.h"
#include "cli/remote.h"
#include "io/loop.h"

#define PARTITIONS YD_PARTITIONS_MAX
#define TOGETHER   512 /* lines printed at once */

struct replaying {
    struct cli_args *args;
    struct yd_log_reader *reader;
    struct yd_forgotten *forgotten;
    struct yd_pattern *pattern;
    struct yd_client *client; /* NULL: standard output */
    struct yd_client_stream *streams[PARTITIONS];
    uint32_t stream_count;
    struct yd_builder *builder;
    struct yd_record *records; /* of a batch, with their times shifted */
    uint32_t records_room;
    struct yd_buf text;
    double speed; /* 0: as fast as it goes */
    bool shift, began;
    int64_t first_ns, latest_ns; /* times of records */
    int64_t began_mono, began_wall;
    uint64_t left, replayed, passed_over, missed, acknowledged, refused;
    char why[600];
    int signals;
    bool ended;
};

struct told {
    struct replaying *replaying;
    uint32_t count;
};

static void note(void *arg, int error, const struct yd_client_appended *appended)
{
    struct told *told = arg;
    struct replaying *r = told->replaying;
    (void)appended;
    if (error && !r->refused) {
        const char *why = yd_client_trouble(r->client);
        snprintf(r->why, sizeof r->why, "%s", *why ? why : yd_error_text(error));
    }
    *(error ? &r->refused : &r->acknowledged) += told->count;
    free(told);
}

static int append(struct replaying *r, struct yd_client_stream *stream, struct yd_batch *batch)
{
    const struct yd_client_append_options options = {.level = YD_ACK_DURABLE};
    struct told *told = malloc(sizeof *told);
    int error = told ? 0 : YD_ENOMEM;
    if (told) *told = (struct told){r, batch->header.count};
    while (!error && (error = yd_client_append_async(stream, batch, &options, note, told)) == YD_EFULL) {
        int ran = yd_client_run(r->client, -1);
        error = ran < 0 ? ran : 0;
    }
    if (error) free(told);
    return error;
}

/* What has become due goes. */
static int flush(struct replaying *r)
{
    struct yd_batch *batch, *parts[PARTITIONS] = {NULL};
    if (!r->client) {
        bool written = fwrite(r->text.data, 1, r->text.size, stdout) == r->text.size && fflush(stdout) == 0;
        yd_buf_clear(&r->text);
        return written ? 0 : YD_EIO;
    }
    int error = yd_builder_seal(r->builder, &batch);
    if (error) return error == YD_EAGAIN ? 0 : error;
    if (r->stream_count == 1)
        parts[0] = yd_batch_ref(batch);
    else
        error = yd_batch_split(batch, r->stream_count, parts);
    for (uint32_t i = 0; i < r->stream_count && !error; i++)
        if (parts[i]) error = append(r, r->streams[i], parts[i]);
    for (uint32_t i = 0; i < r->stream_count; i++) yd_batch_unref(parts[i]);
    yd_batch_unref(batch);
    return error;
}

/* ---- the pace ---- */

/* Sleeps until then, or until it is interrupted; acknowledgements are taken meanwhile. */
static int sleep_until(struct replaying *r, int64_t due)
{
    for (;;) {
        int64_t now = yd_clock_mono(), wake = due;
        if (now >= due) return 0;
        if (r->client) wake = YD_MIN(wake, yd_client_deadline(r->client));
        struct pollfd polls[2] = {{r->signals, POLLIN, 0}, {-1, 0, 0}};
        if (r->client) polls[1] = (struct pollfd){yd_client_fd(r->client), yd_client_events(r->client), 0};
        int64_t left = YD_MAX(wake - now, (int64_t)0);
        const struct timespec pause = {left / YD_NS_PER_S, left % YD_NS_PER_S};
        (void)ppoll(polls, 2, &pause, NULL);
        if (cli_live_ended(r->signals, NULL)) {
            r->ended = true;
            return 0;
        }
        int ran = r->client ? yd_client_run(r->client, 0) : 0;
        if (ran < 0) return ran;
    }
}

/* How long after the first one, as it was; in i64 whatever the times are. */
static int64_t distance_of(const struct replaying *r)
{
    uint64_t distance = (uint64_t)r->latest_ns - (uint64_t)r->first_ns;
    return distance > INT64_MAX ? INT64_MAX : (int64_t)distance;
}

/* Until this record is due. */
static int keep_pace(struct replaying *r, int64_t time_ns)
{
    if (!r->began) {
        r->began = true;
        r->first_ns = r->latest_ns = time_ns;
        r->began_mono = yd_clock_mono();
        r->began_wall = yd_clock_wall();
    }
    r->latest_ns = YD_MAX(r->latest_ns, time_ns);
    if (r->speed == 0) return 0;
    double after = (double)distance_of(r) / r->speed;
    int64_t due = after >= 9e18 - (double)r->began_mono ? INT64_MAX : r->began_mono + (int64_t)after;
    if (yd_clock_mono() >= due) return 0;
    int error = flush(r);
    return error ? error : sleep_until(r, due);
}

/* Its time as of this replay: the first is now, the others as far from it as they come. */
static int64_t shifted(const struct replaying *r, int64_t time_ns)
{
    if (!r->shift) return time_ns;
    double scale = r->speed == 0 ? 1 : r->speed;
    int64_t distance = (int64_t)((uint64_t)time_ns - (uint64_t)r->first_ns);
    if (scale != 1) distance = (int64_t)((double)distance / scale);
    return (int64_t)((uint64_t)r->began_wall + (uint64_t)distance);
}

/* ---- records ---- */

static int put(struct replaying *r, const struct yd_view *view, uint32_t index, uint64_t seqno)
{
    if (!r->client) {
        cli_put_record(&r->text, r->args->json, view, index, -1, seqno);
        return r->text.failed ? YD_ENOMEM : r->replayed % TOGETHER == 0 ? flush(r) : 0;
    }
    int error = yd_builder_copy(r->builder, view, index);
    if (error == YD_EFULL && !(error = flush(r))) error = yd_builder_copy(r->builder, view, index);
    return error;
}

static bool wanted(struct replaying *r, const struct yd_batch *batch, uint32_t index)
{
    const struct yd_view *view = &batch->view;
    const struct yd_record *record = &view->records[index];
    struct yd_str name = yd_view_name(view, record->name);
    if (r->forgotten && yd_forgotten_covers(r->forgotten, batch, index)) return false;
    if (record->kind == YD_ROW && yd_str_eq(name, YD_STR(YD_LIVE_RECORD_MISSED))) {
        const struct yd_cell *cell = yd_view_find(view, record->value, YD_STR("missed"));
        if (cell && cell->type == YD_U64) r->missed += cell->value.u64;
        return false;
    }
    if (record->kind == YD_ROW && yd_str_eq(name, YD_STR(YD_LIVE_RECORD_WRITER))) return false;
    return !r->pattern || yd_pattern_match(r->pattern, name);
}

static int replay_batch(struct replaying *r, const struct yd_batch *batch)
{
    struct yd_view view = batch->view;
    if (view.count > r->records_room) {
        struct yd_record *records = realloc(r->records, view.count * sizeof *records);
        if (!records) return YD_ENOMEM;
        r->records = records;
        r->records_room = view.count;
    }
    memcpy(r->records, view.records, view.count * sizeof *r->records);
    view.records = r->records;
    for (uint32_t i = 0; i < view.count && r->left && !r->ended && !r->refused; i++) {
        if (!wanted(r, batch, i)) {
            r->passed_over++;
            continue;
        }
        int error = keep_pace(r, r->records[i].time_ns);
        if (error || r->ended) return error;
        r->records[i].time_ns = shifted(r, r->records[i].time_ns);
        r->replayed++;
        r->left--;
        error = put(r, &view, i, batch->header.base_seqno + i);
        if (error) return error;
    }
    return 0;
}

static int replay(struct replaying *r)
{
    int error = 0;
    while (!error && r->left && !r->ended && !r->refused) {
        struct yd_batch *batch = NULL;
        struct yd_log_gap gap;
        error = yd_log_reader_next(r->reader, &batch, &gap);
        if (error == YD_EGAP) {
            fprintf(stderr, "gap: records %" PRIu64 " to %" PRIu64 " are not there (%s)\n", gap.from, gap.to,
                    gap.reason);
            error = 0;
            continue;
        }
        if (error) break;
        error = replay_batch(r, batch);
        yd_batch_unref(batch);
        if (cli_live_ended(r->signals, NULL)) r->ended = true;
    }
    if (error == YD_EAGAIN) error = 0; /* that was all there is */
    if (!error) error = flush(r);
    if (r->client && !error) error = yd_client_flush(r->client);
    return error;
}

/* ---- the command ---- */

/* The stream, or the partitions that records of any name may belong to. */
static int open_target(struct replaying *r, const char *name)
{
    struct yd_client_info info;
    char partition[300];
    int error = yd_client_stream(r->client, name, &r->streams[0]);
    if (error) return error;
    r->stream_count = 1;
    yd_client_info(r->streams[0], &info);
    if (info.partitions < 2 || strchr(name, '/')) return 0;
    if (info.partitions > PARTITIONS) return YD_ETOOBIG;
    const uint32_t only = yd_client_partition(&info, YD_STR(""), (uint64_t)yd_clock_wall());
    r->stream_count = info.by_name ? info.partitions : 1;
    for (uint32_t i = 0; i < r->stream_count && !error; i++) {
        snprintf(partition, sizeof partition, "%s/%u", name, info.by_name ? i : only);
        error = yd_client_stream(r->client, partition, &r->streams[i]);
    }
    return error;
}

static int parse(struct replaying *r, struct yd_log_start *start)
{
    struct cli_args *args = r->args;
    const char *speed = cli_value(args, "speed"), *count = cli_value(args, "count"), *match = cli_value(args, "match");
    const char *from = cli_value(args, "from");
    r->speed = cli_given(args, "as-fast") ? 0 : 1;
    r->left = UINT64_MAX;
    r->shift = cli_given(args, "shift");
    if (speed && (r->speed == 0 || yd_text_f64(yd_str_of(speed), false, &r->speed) < 0 || !(r->speed > 0)))
        return cli_usage(args, "--speed wants a number above 0, and not --as-fast beside it");
    if (count && yd_text_u64(yd_str_of(count), &r->left) < 0) return cli_usage(args, "--count wants a number");
    if (from && yd_text_time(yd_str_of(from), &start->time_ns) < 0)
        return cli_usage(args, "--from wants a time, like 2026-11-21T01:02:03Z");
    if (from) start->from = YD_FROM_TIME;
    if (match && yd_pattern_compile(yd_str_of(match), &r->pattern) < 0)
        return cli_usage(args, "--match: '%s' is not a name pattern", match);
    return CLI_DONE;
}

static int report(struct replaying *r, int code)
{
    struct cli_args *args = r->args;
    if (r->client && args->json)
        printf("{\"replayed\":%" PRIu64 ",\"acknowledged\":%" PRIu64 ",\"refused\":%" PRIu64
               ",\"missed_in_recording\":%" PRIu64 "}\n",
               r->replayed, r->acknowledged, r->refused, r->missed);
    else if (r->client)
        printf("%" PRIu64 " records replayed, %" PRIu64 " of them durable\n", r->replayed, r->acknowledged);
    if (r->missed) (void)cli_fail(args, "%" PRIu64 " values were missed when it was recorded", r->missed);
    if (r->refused) code = cli_fail(args, "%" PRIu64 " records were refused: %s", r->refused, r->why);
    return code;
}

static int open_both(struct replaying *r, struct yd_log_start *start, const char *dir)
{
    struct yd_trail trail;
    const char *into = cli_value(r->args, "into");
    const struct yd_client_options options = {.create = cli_given(r->args, "create")};
    yd_trail_clear(&trail);
    start->names = NULL; /* also what a recording says besides values is looked at */
    int code = log_cli_forgotten(r->args, dir, &r->forgotten);
    if (!code && yd_log_reader_open_dir(NULL, dir, start, &r->reader, &trail) < 0)
        code = cli_fail(r->args, "%s", yd_trail_text(&trail));
    if (code || !into) return code;
    if (yd_builder_create(&(struct yd_builder_options){0}, &r->builder)) return cli_fail(r->args, "out of memory");
    code = cli_client_open(r->args, &options, &r->client);
    int error = code ? 0 : open_target(r, into);
    return error ? cli_client_failed(r->args, r->client, error) : code;
}

static int run(struct cli_args *args)
{
    struct replaying r = {.args = args};
    struct yd_log_start start = {.from = YD_FROM_OLDEST};
    char dir[LOG_CLI_PATH];
    int code = parse(&r, &start);
    if (!code) code = log_cli_dir(args, args->rest[0], dir);
    if (!code) code = (r.signals = cli_live_signals()) < 0 ? cli_fail(args, "cannot take signals") : CLI_DONE;
    yd_buf_init(&r.text, NULL);
    if (!code) code = open_both(&r, &start, dir);
    if (!code) {
        int error = replay(&r);
        if (error && !r.refused)
            code = r.client ? cli_client_failed(args, r.client, error) : cli_fail(args, "%s", yd_error_text(error));
        code = report(&r, code);
    }
    yd_client_close(r.client);
    yd_log_reader_close(r.reader);
    yd_forgotten_destroy(r.forgotten);
    yd_pattern_destroy(r.pattern);
    yd_builder_destroy(r.builder);
    yd_buf_fini(&r.text);
    free(r.records);
    return code;
}

static const struct cli_option options[] = {
    {"speed", "N", "so many times the original pace; default 1"},
    {"as-fast", NULL, "as fast as it goes"},
    {"shift", NULL, "times as of this replay: the first is now; otherwise as they were"},
    {"match", "PATTERN", "only names that match"},
    {"from", "TIME", "begins with the first batch that may have records of that time"},
    {"count", "N", "ends after so many records"},
    {"into", "STREAM", "of a running daemon; otherwise they are printed, as by log cat"},
    {"create", NULL, "make that stream when it is not there"},
    {"data", "DIR", "the data folder with the stream to be replayed; default ./data"},
    CLI_REMOTE_OPTIONS,
    {NULL, NULL, NULL},
};

const struct cli_command cmd_replay = {
    .name = "replay",
    .usage = "STREAM [--speed N | --as-fast] [--shift] [--into STREAM --at ADDRESS]",
    .summary = "plays a stream's records once more, at their pace",
    .doc =
        "STREAM is one of the data folder, or a path: a recording of `yarder live record`, the copy of a stream. The "
        "same\n"
        "records in the same order, each as far behind the first as it was, or at another speed. Printed, or appended\n"
        "to a stream of a running daemon (its element Native must be there) and acknowledged when durable.",
    .example = "  yarder replay flight1 --speed 10 | less\n"
               "  yarder replay flight1 --shift --into raw --at 127.0.0.1:4280",
    .options = options,
    .rest_min = 1,
    .rest_max = 1,
    .run = run,
};
