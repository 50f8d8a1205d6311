/* yarder log ls|stat|cat|tail|verify: streams, read straight from their files; no daemon is needed, and one that writes
 * them is not disturbed. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <yarder/name.h>

#include "batch/record_text.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "io/loop.h"
#include <yarder/log.h>

#include "base/text.h"
#include "io/file.h"

#define PATH_SIZE 4096

/* DATA/streams/NAME/PARTITION; STREAM may name the partition (default 0), be parked/ELEMENT (what crashed that
 * element), or a path to a partition's folder. */
static int stream_dir(struct cli_args *args, const char *stream, char *to)
{
    const char *data = cli_value(args, "data");
    struct yd_stat stat;
    const char *forms[] = {"%s/streams/%s/0", "%s/streams/%s", "%s/%s", "%.0s%s"};
    for (size_t i = 0; i < YD_COUNT(forms); i++) {
        char control[PATH_SIZE + 16];
        if (snprintf(to, PATH_SIZE, forms[i], data ? data : "./data", stream) >= PATH_SIZE) break;
        snprintf(control, sizeof control, "%s/control", to);
        if (yd_fs_stat(yd_fs_linux(), control, &stat) == 0) return CLI_DONE;
    }
    return cli_fail(args, "no stream '%s' below %s; `yarder log ls` lists them", stream, data ? data : "./data");
}

/* ---- ls and stat ---- */

struct listing {
    struct cli_args *args;
    struct yd_json json;
    char path[PATH_SIZE];
    size_t found;
    bool failed;
};

static void json_stat(struct yd_json *json, const char *dir, const struct yd_log_stat *stat)
{
    const struct {
        const char *key;
        uint64_t value;
    } numbers[] = {{"first", stat->first},     {"written", stat->written},
                   {"durable", stat->durable}, {"records", stat->written - stat->first},
                   {"bytes", stat->bytes},     {"segments", stat->segments},
                   {"epoch", stat->epoch}};
    yd_json_object(json);
    yd_json_key(json, "stream");
    yd_json_cstr(json, stat->stream);
    yd_json_key(json, "dir");
    yd_json_cstr(json, dir);
    for (size_t i = 0; i < YD_COUNT(numbers); i++) {
        yd_json_key(json, numbers[i].key);
        yd_json_u64(json, numbers[i].value);
    }
    yd_json_key(json, "time_min");
    yd_json_i64(json, stat->time_min);
    yd_json_key(json, "time_max");
    yd_json_i64(json, stat->time_max);
    yd_json_key(json, "live");
    yd_json_bool(json, stat->live);
    yd_json_key(json, "writer_pid");
    yd_json_i64(json, stat->writer_pid);
    yd_json_object_end(json);
}

static int visit_partition(void *arg, const char *name, enum yd_file_type node)
{
    struct listing *listing = arg;
    struct yd_log_stat stat;
    struct yd_trail trail;
    char dir[PATH_SIZE + 256], size[32];
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
        json_stat(&listing->json, dir, &stat);
        return 0;
    }
    size[yd_text_put_size(size, sizeof size - 1, stat.bytes)] = 0;
    printf("%-24s %14llu %14llu %10s %6llu %s\n", stat.stream, (unsigned long long)(stat.written - stat.first),
           (unsigned long long)stat.written, size, (unsigned long long)stat.segments, stat.live ? "live" : "stopped");
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
    const char *data = cli_value(args, "data");
    struct listing listing = {.args = args};
    struct yd_buf text;
    yd_buf_init(&text, NULL);
    yd_json_init(&listing.json, &text, true);
    yd_json_array(&listing.json);
    snprintf(listing.path, sizeof listing.path, "%s/streams", data ? data : "./data");
    if (!args->json) printf("%-24s %14s %14s %10s %6s\n", "STREAM", "RECORDS", "NEXT SEQNO", "SIZE", "FILES");
    int error = yd_fs_list(yd_fs_linux(), listing.path, visit_stream, &listing);
    if (error == 0) {
        snprintf(listing.path, sizeof listing.path, "%s/parked", data ? data : "./data");
        (void)yd_fs_list(yd_fs_linux(), listing.path, visit_partition, &listing); /* mostly there is none */
    }
    yd_json_array_end(&listing.json);
    if (args->json) printf("%.*s\n", (int)text.size, text.data);
    yd_buf_fini(&text);
    if (error < 0)
        return cli_fail(args, "%s: %s; name the data folder with --data", listing.path, yd_error_text(error));
    return listing.failed ? CLI_FAILED : CLI_DONE;
}

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

static int run_stat(struct cli_args *args)
{
    char dir[PATH_SIZE], size[32], from[40], to[40];
    struct yd_log_stat stat;
    struct yd_trail trail;
    struct yd_buf text;
    struct yd_json json;
    int code = stream_dir(args, args->rest[0], dir);
    if (code) return code;
    yd_trail_clear(&trail);
    if (yd_log_stat_dir(yd_fs_linux(), dir, &stat, &trail) < 0) return cli_fail(args, "%s", yd_trail_text(&trail));
    if (args->json) {
        struct cursors cursors = {&json, stat.durable};
        yd_buf_init(&text, NULL);
        yd_json_init(&json, &text, true);
        yd_json_object(&json);
        yd_json_key(&json, "stat");
        json_stat(&json, dir, &stat);
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
    printf("epoch       %u of log %016llx\n", stat.epoch, (unsigned long long)stat.log_id);
    if (stat.live)
        printf("writer      process %lld\n", (long long)stat.writer_pid);
    else
        printf("writer      none\n");
    struct cursors cursors = {NULL, stat.durable};
    (void)yd_log_cursor_list(yd_fs_linux(), dir, visit_cursor, &cursors); /* none: nothing to show */
    return CLI_DONE;
}

/* ---- cat and tail ---- */

struct printing {
    struct cli_args *args;
    struct yd_pattern *pattern;
    uint64_t from, until, left; /* seqnos; how many records more */
    struct yd_buf text;
};

/* False when enough was printed, or nobody reads any more. */
static bool print_batch(struct printing *printing, const struct yd_batch *batch)
{
    const struct yd_view *view = &batch->view;
    struct yd_json json;
    yd_buf_clear(&printing->text);
    for (uint32_t i = 0; i < view->count && printing->left; i++) {
        uint64_t seqno = batch->header.base_seqno + i;
        if (seqno < printing->from) continue;
        if (seqno >= printing->until)
            printing->left = 0;
        else if (!printing->pattern || yd_pattern_match(printing->pattern, yd_view_name(view, view->records[i].name))) {
            if (printing->args->json) {
                yd_json_init(&json, &printing->text, false);
                yd_record_json(view, i, seqno, &json);
                yd_buf_char(&printing->text, '\n');
            } else {
                yd_buf_printf(&printing->text, "%llu ", (unsigned long long)seqno);
                yd_record_line(view, i, &printing->text);
            }
            printing->left--;
        }
    }
    bool written = fwrite(printing->text.data, 1, printing->text.size, stdout) == printing->text.size;
    return written && printing->left > 0;
}

static int parse_from(struct cli_args *args, struct yd_log_start *start, struct printing *printing)
{
    const char *from = cli_value(args, "from"), *until = cli_value(args, "until"), *count = cli_value(args, "count");
    const char *match = cli_value(args, "match"), *read = cli_value(args, "read");
    printing->until = printing->left = UINT64_MAX;
    if (from && yd_text_u64(yd_str_of(from), &start->seqno) == 0)
        start->from = YD_FROM_SEQNO, printing->from = start->seqno;
    else if (from && strcmp(from, "oldest") == 0)
        start->from = YD_FROM_OLDEST;
    else if (from && strcmp(from, "tail") == 0)
        start->from = YD_FROM_TAIL;
    else if (from && yd_text_time(yd_str_of(from), &start->time_ns) == 0)
        start->from = YD_FROM_TIME;
    else if (from)
        return cli_usage(args, "--from wants a seqno, a time (2026-11-21T01:02:03Z), oldest or tail");
    if (until && yd_text_u64(yd_str_of(until), &printing->until) < 0) return cli_usage(args, "--until wants a seqno");
    if (count && yd_text_u64(yd_str_of(count), &printing->left) < 0) return cli_usage(args, "--count wants a number");
    if (match && yd_pattern_compile(yd_str_of(match), &printing->pattern) < 0)
        return cli_usage(args, "--match: '%s' is not a name pattern", match);
    start->level = YD_ACK_DURABLE;
    if (read && strcmp(read, "written") == 0)
        start->level = YD_ACK_WRITTEN;
    else if (read && strcmp(read, "durable") != 0)
        return cli_usage(args, "--read wants durable or written");
    return CLI_DONE;
}

static int print_stream(struct cli_args *args, struct yd_log_start start, bool follow)
{
    char dir[PATH_SIZE];
    struct printing printing = {.args = args};
    struct yd_log_reader *reader = NULL;
    struct yd_trail trail;
    yd_trail_clear(&trail);
    int code = stream_dir(args, args->rest[0], dir);
    if (code == CLI_DONE) code = parse_from(args, &start, &printing);
    if (code == CLI_DONE && yd_log_reader_open_dir(yd_fs_linux(), dir, &start, &reader, &trail) < 0)
        code = cli_fail(args, "%s", yd_trail_text(&trail));
    yd_buf_init(&printing.text, NULL);
    while (code == CLI_DONE) {
        struct yd_batch *batch;
        struct yd_log_gap gap;
        int error = yd_log_reader_next(reader, &batch, &gap);
        if (error == 0) {
            bool more = print_batch(&printing, batch);
            yd_batch_unref(batch);
            if (!more) break;
        } else if (error == YD_EGAP) {
            fprintf(stderr, "gap: records %llu to %llu are not there (%s)\n", (unsigned long long)gap.from,
                    (unsigned long long)gap.to, gap.reason);
        } else if (error == YD_EAGAIN) {
            fflush(stdout);
            if (!follow || ferror(stdout)) break;
            (void)yd_log_reader_wait(reader, YD_NS_PER_S); /* a second: whether stdout is still there */
        } else {
            code = cli_fail(args, "%s: %s", dir, yd_error_text(error));
        }
    }
    yd_log_reader_close(reader);
    yd_pattern_destroy(printing.pattern);
    yd_buf_fini(&printing.text);
    return code;
}

static int run_cat(struct cli_args *args)
{
    return print_stream(args, (struct yd_log_start){.from = YD_FROM_OLDEST}, false);
}

static int run_tail(struct cli_args *args)
{
    return print_stream(args, (struct yd_log_start){.from = YD_FROM_TAIL}, true);
}

/* ---- verify ---- */

struct finding {
    struct cli_args *args;
    struct yd_json *json;
};

static void found(void *arg, const char *file, uint64_t offset, const char *what)
{
    struct finding *finding = arg;
    if (!finding->args->json) {
        printf("%s: at byte %llu: %s\n", file, (unsigned long long)offset, what);
        return;
    }
    yd_json_object(finding->json);
    yd_json_key(finding->json, "file");
    yd_json_cstr(finding->json, file);
    yd_json_key(finding->json, "offset");
    yd_json_u64(finding->json, offset);
    yd_json_key(finding->json, "what");
    yd_json_cstr(finding->json, what);
    yd_json_object_end(finding->json);
}

static int run_verify(struct cli_args *args)
{
    char dir[PATH_SIZE], size[32];
    struct yd_log_verify_report report = {0};
    struct yd_buf text;
    struct yd_json json;
    int code = stream_dir(args, args->rest[0], dir);
    if (code) return code;
    yd_buf_init(&text, NULL);
    yd_json_init(&json, &text, true);
    yd_json_object(&json);
    yd_json_key(&json, "faults");
    yd_json_array(&json);
    struct finding finding = {args, &json};
    int error = yd_log_verify_dir(yd_fs_linux(), dir, &report, found, &finding);
    yd_json_array_end(&json);
    const struct {
        const char *key;
        uint64_t value;
    } numbers[] = {{"segments", report.segments},        {"batches", report.batches},
                   {"records", report.records},          {"bytes", report.bytes},
                   {"bad_batches", report.bad_batches},  {"gaps", report.gaps},
                   {"index_errors", report.index_errors}};
    for (size_t i = 0; i < YD_COUNT(numbers); i++) {
        yd_json_key(&json, numbers[i].key);
        yd_json_u64(&json, numbers[i].value);
    }
    yd_json_key(&json, "clean");
    yd_json_bool(&json, error == 0);
    yd_json_object_end(&json);
    size[yd_text_put_size(size, sizeof size - 1, report.bytes)] = 0;
    if (args->json)
        printf("%.*s\n", (int)text.size, text.data);
    else
        printf("%s: %llu records in %llu batches, %llu segments, %s: %s\n", args->rest[0],
               (unsigned long long)report.records, (unsigned long long)report.batches,
               (unsigned long long)report.segments, size, error == 0 ? "clean" : "NOT clean");
    yd_buf_fini(&text);
    if (error < 0 && error != YD_ECORRUPT) return cli_fail(args, "%s: %s", dir, yd_error_text(error));
    return error == 0 ? CLI_DONE : CLI_FAILED;
}

/* ---- the tables ---- */

static const struct cli_option data_options[] = {
    {"data", "DIR", "the data folder; default ./data"},
    {NULL, NULL, NULL},
};
static const struct cli_option print_options[] = {
    {"data", "DIR", "the data folder; default ./data"},
    {"from", "WHERE", "a seqno, a time (2026-11-21T01:02:03Z), oldest or tail"},
    {"until", "SEQNO", "stop before this one"},
    {"count", "N", "stop after so many records"},
    {"match", "PATTERN", "only names that match, like 'cpu.* host=web*'"},
    {"read", "LEVEL", "durable (default), or written: also what is not on the device yet"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_log_ls = {
    .name = "log ls",
    .usage = "[--data DIR]",
    .summary = "lists the streams of a data folder",
    .example = "  yarder log ls",
    .options = data_options,
    .run = run_ls,
};
const struct cli_command cmd_log_stat = {
    .name = "log stat",
    .usage = "STREAM [--data DIR]",
    .summary = "shows a stream's ranges, sizes, writer and cursors",
    .doc = "STREAM is a name, a name/partition, parked/ELEMENT (batches that crashed that element), or a path to a\n"
           "partition's folder (also a copied one).",
    .example = "  yarder log stat metrics",
    .options = data_options,
    .rest_min = 1,
    .rest_max = 1,
    .run = run_stat,
};
const struct cli_command cmd_log_cat = {
    .name = "log cat",
    .usage = "STREAM [--from WHERE] [--until SEQNO] [--match PATTERN]",
    .summary = "prints the records of a stream",
    .doc = "From the oldest to the last durable one: seqno, time, name, value. With --json: an object a line.",
    .example = "  yarder log cat metrics --match 'cpu.*' --count 10\n  yarder log cat metrics --json --from "
               "2026-11-21T01:02:03Z",
    .options = print_options,
    .rest_min = 1,
    .rest_max = 1,
    .run = run_cat,
};
const struct cli_command cmd_log_tail = {
    .name = "log tail",
    .usage = "STREAM [--from WHERE] [--match PATTERN]",
    .summary = "prints new records as they come",
    .doc = "Begins at the tail, or where --from says, and goes on until it is interrupted.",
    .example = "  yarder log tail metrics",
    .options = print_options,
    .rest_min = 1,
    .rest_max = 1,
    .run = run_tail,
};
const struct cli_command cmd_log_verify = {
    .name = "log verify",
    .usage = "STREAM [--data DIR]",
    .summary = "reads every byte of a stream and checks every checksum",
    .doc = "Of a live stream, all that is committed. Exits 1 when anything is damaged, and says where.",
    .example = "  yarder log verify metrics",
    .options = data_options,
    .rest_min = 1,
    .rest_max = 1,
    .run = run_verify,
};
