/* yarder log verify: every byte and every checksum. */
#include <stdio.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/log_cli.h"
#include "io/file.h"

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
    char dir[LOG_CLI_PATH], size[32];
    struct yd_log_verify_report report = {0};
    struct yd_buf text;
    struct yd_json json;
    int code = log_cli_dir(args, args->rest[0], dir);
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

const struct cli_command cmd_log_verify = {
    .name = "log verify",
    .usage = "STREAM [--data DIR]",
    .summary = "reads every byte of a stream and checks every checksum",
    .doc = "Of a live stream, all that is committed. Exits 1 when anything is damaged, and says where.",
    .example = "  yarder log verify metrics",
    .options = log_cli_data_options,
    .rest_min = 1,
    .rest_max = 1,
    .run = run_verify,
};
