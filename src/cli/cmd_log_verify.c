/* yarder log verify: every byte and every checksum, of a stream or of a whole data folder. */
#include <stdio.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/log_cli.h"
#include "flow/run.h"
#include "io/file.h"
#include "log/mend.h"
#include "store/keeper.h"

struct verifying {
    struct cli_args *args;
    struct yd_json json;
    const char *name; /* of the stream at hand */
    struct yd_log_verify_report sum;
    uint64_t streams, states, cursors, histories, faults, done, all; /* done, all: bytes, for the bar */
    bool failed, bar;
};

static void show_bar(struct verifying *verifying)
{
    if (!verifying->bar) return;
    unsigned percent = verifying->all ? (unsigned)(verifying->done * 100 / verifying->all) : 100;
    char bar[41];
    for (unsigned i = 0; i < 40; i++) bar[i] = i * 100 < percent * 40 ? '#' : ' ';
    bar[40] = 0;
    fprintf(stderr, "\r[%s] %3u%% %-30.30s", bar, YD_MIN(percent, 100u), verifying->name ? verifying->name : "");
}

static void clear_bar(const struct verifying *verifying)
{
    if (verifying->bar) fprintf(stderr, "\r%80s\r", "");
}

static const char *advice(const char *file)
{
    if (strstr(file, ".ylog")) return "yarder log repair";
    if (strstr(file, "cursors/"))
        return "yarder log repair, or remove it: its reader begins where its wire says `from`";
    if (strcmp(file, "history") == 0)
        return "what is in the damaged places is missing in answers; with the folder away it is made again from the "
               "stream";
    if (strstr(file, ".state")) return "move it away to begin with an empty state";
    return "opening the stream makes it anew";
}

static void found(void *arg, const char *file, uint64_t offset, const char *what)
{
    struct verifying *verifying = arg;
    verifying->faults++;
    if (!verifying->args->json) {
        clear_bar(verifying);
        printf("%s/%s: at byte %llu: %s (%s)\n", verifying->name, file, (unsigned long long)offset, what, advice(file));
        return;
    }
    struct yd_json *json = &verifying->json;
    yd_json_object(json);
    yd_json_key(json, "stream");
    yd_json_cstr(json, verifying->name);
    yd_json_key(json, "file");
    yd_json_cstr(json, file);
    yd_json_key(json, "offset");
    yd_json_u64(json, offset);
    yd_json_key(json, "what");
    yd_json_cstr(json, what);
    yd_json_key(json, "advice");
    yd_json_cstr(json, advice(file));
    yd_json_object_end(json);
}

static void verify_one(void *arg, const char *name, const char *dir)
{
    struct verifying *verifying = arg;
    struct yd_log_verify_report report = {0};
    struct yd_log_stat stat = {.bytes = 0};
    char size[32];
    uint64_t before = verifying->faults, cursors = 0;
    verifying->name = name;
    show_bar(verifying);
    (void)yd_log_stat_dir(NULL, dir, &stat, NULL); /* for the bar; what is wrong verify tells */
    int error = yd_log_verify_dir(yd_fs_linux(), dir, &report, found, verifying);
    if (!error || error == YD_ECORRUPT) {
        int checked = yd_log_verify_cursors(NULL, dir, &cursors, found, verifying);
        if (checked && checked != YD_ECORRUPT) error = checked;
    }
    if (error == YD_ENOENT) {
        found(verifying, "control", 0, "the control page is missing");
        error = YD_ECORRUPT;
    }
    verifying->streams++;
    verifying->cursors += cursors;
    verifying->done += stat.bytes;
    verifying->sum.segments += report.segments;
    verifying->sum.batches += report.batches;
    verifying->sum.records += report.records;
    verifying->sum.bytes += report.bytes;
    verifying->sum.bad_batches += report.bad_batches;
    verifying->sum.gaps += report.gaps;
    verifying->sum.index_errors += report.index_errors;
    if (error && error != YD_ECORRUPT) {
        clear_bar(verifying);
        (void)cli_fail(verifying->args, "%s: %s", dir, yd_error_text(error));
        verifying->failed = true;
        return;
    }
    if (verifying->args->json) return;
    clear_bar(verifying);
    size[yd_text_put_size(size, sizeof size - 1, report.bytes)] = 0;
    printf("%s: %llu records in %llu batches, %llu segments, %s: %s\n", name, (unsigned long long)report.records,
           (unsigned long long)report.batches, (unsigned long long)report.segments, size,
           verifying->faults == before ? "clean" : "NOT clean");
}

static void size_one(void *arg, const char *name, const char *dir)
{
    struct verifying *verifying = arg;
    struct yd_log_stat stat;
    (void)name;
    if (yd_log_stat_dir(NULL, dir, &stat, NULL) == 0) verifying->all += stat.bytes;
}

struct states {
    struct verifying *verifying;
    const char *dir;
};

static int state_visit(void *arg, const char *name, enum yd_file_type node)
{
    struct states *states = arg;
    char path[LOG_CLI_PATH + 256];
    size_t size = strlen(name);
    if (node != YD_NODE_FILE || size < 7 || strcmp(name + size - 6, ".state") != 0) return 0;
    (void)snprintf(path, sizeof path, "%s/%s", states->dir, name);
    states->verifying->name = "state";
    int error = yd_state_check(yd_fs_linux(), path);
    states->verifying->states++;
    if (error)
        found(states->verifying, name, 0, error == YD_ECORRUPT ? "the saved state is damaged" : yd_error_text(error));
    return 0;
}

static void history_found(void *arg, const char *text)
{
    found(arg, "history", 0, text);
}

static int history_visit(void *arg, const char *name, enum yd_file_type node)
{
    struct states *states = arg;
    char path[LOG_CLI_PATH + 256];
    uint64_t files = 0, faults = 0;
    if (node != YD_NODE_DIR) return 0;
    (void)snprintf(path, sizeof path, "%s/%s", states->dir, name);
    states->verifying->name = name;
    int error = yd_keeper_verify(yd_fs_linux(), path, history_found, states->verifying, &files, &faults);
    if (error == YD_ENOENT) return 0;
    states->verifying->histories++;
    if (error) found(states->verifying, "history", 0, yd_error_text(error));
    if (states->verifying->args->json) return 0;
    clear_bar(states->verifying);
    printf("history %s: %llu files: %s\n", name, (unsigned long long)files, error || faults ? "NOT clean" : "clean");
    return 0;
}

static int verify_all(struct verifying *verifying)
{
    const char *data = log_cli_data(verifying->args);
    char dir[LOG_CLI_PATH];
    if (verifying->bar) {
        int code = log_cli_each(verifying->args, data, "control", size_one, verifying);
        if (code) return code;
    }
    int code = log_cli_each(verifying->args, data, "control", verify_one, verifying);
    if (code) return code;
    (void)snprintf(dir, sizeof dir, "%s/state", data);
    struct states states = {verifying, dir};
    (void)yd_fs_list(yd_fs_linux(), dir, state_visit, &states); /* none: nothing to check */
    (void)snprintf(dir, sizeof dir, "%s/history", data);
    (void)yd_fs_list(yd_fs_linux(), dir, history_visit, &states);
    clear_bar(verifying);
    if (!verifying->streams)
        return cli_fail(verifying->args, "no streams below %s; name the data folder with --data", data);
    return CLI_DONE;
}

static void put_report(struct verifying *verifying)
{
    struct yd_json *json = &verifying->json;
    const struct yd_log_verify_report *sum = &verifying->sum;
    const struct {
        const char *key;
        uint64_t value;
    } numbers[] = {{"streams", verifying->streams},
                   {"segments", sum->segments},
                   {"batches", sum->batches},
                   {"records", sum->records},
                   {"bytes", sum->bytes},
                   {"bad_batches", sum->bad_batches},
                   {"gaps", sum->gaps},
                   {"cursors", verifying->cursors},
                   {"states", verifying->states},
                   {"histories", verifying->histories},
                   {"index_errors", sum->index_errors}};
    for (size_t i = 0; i < YD_COUNT(numbers); i++) {
        yd_json_key(json, numbers[i].key);
        yd_json_u64(json, numbers[i].value);
    }
    yd_json_key(json, "clean");
    yd_json_bool(json, !verifying->failed && !verifying->faults);
    yd_json_object_end(json);
}

static int verify_named(struct verifying *verifying, const char *stream,
                        void (*visit)(void *arg, const char *name, const char *dir))
{
    struct log_cli_parts parts;
    int code = log_cli_parts(verifying->args, stream, &parts);
    for (size_t i = 0; !code && i < parts.count; i++) visit(verifying, parts.all[i].name, parts.all[i].dir);
    /* What it names lives on in the bar. */
    verifying->name = NULL;
    log_cli_parts_fini(&parts);
    return code;
}

static int run_verify(struct cli_args *args)
{
    struct yd_buf text;
    struct verifying verifying = {.args = args, .bar = isatty(STDERR_FILENO) && !args->json};
    int code = CLI_DONE;
    yd_buf_init(&text, NULL);
    yd_json_init(&verifying.json, &text, true);
    yd_json_object(&verifying.json);
    yd_json_key(&verifying.json, "faults");
    yd_json_array(&verifying.json);
    for (int i = 0; i < args->rest_count && !code; i++) code = verify_named(&verifying, args->rest[i], size_one);
    for (int i = 0; i < args->rest_count && !code; i++) code = verify_named(&verifying, args->rest[i], verify_one);
    if (!code && args->rest_count == 0) code = verify_all(&verifying);
    yd_json_array_end(&verifying.json);
    put_report(&verifying);
    if (args->json && !code)
        printf("%.*s\n", (int)text.size, text.data);
    else if (!code && args->rest_count != 1)
        printf("%llu streams, %llu cursors, %llu saved states: %s\n", (unsigned long long)verifying.streams,
               (unsigned long long)verifying.cursors, (unsigned long long)verifying.states,
               verifying.faults || verifying.failed ? "NOT clean" : "clean");
    yd_buf_fini(&text);
    return code ? code : verifying.faults || verifying.failed ? CLI_FAILED : CLI_DONE;
}

const struct cli_command cmd_log_verify = {
    .name = "log verify",
    .usage = "[STREAM…] [--data DIR]",
    .summary = "reads every byte and checks every checksum",
    .doc = "Without STREAM, the whole data folder: every stream and partition, parked and spilled batches, cursors, "
           "saved\n"
           "states, histories. Of a live stream, all that is committed. Exits 1 when anything is damaged, and says "
           "where and what\n"
           "helps. On a terminal it shows how far it is.",
    .example = "  yarder log verify\n  yarder log verify metrics --json",
    .options = log_cli_data_options,
    .rest_min = 0,
    .rest_max = -1,
    .run = run_verify,
};
