/* yarder fmt: the canonical layout of topology files; comments stay. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "io/file.h"

#define FILE_MAX (16u << 20)

/* 0 same, 1 differs, negative failed (said). */
static int format_one(struct cli_args *args, const char *path, struct yd_buf *formatted)
{
    char *text;
    size_t size;
    struct yd_diagnostics diagnostics;
    struct yd_buf shown;
    int error = yd_fs_read_all(yd_fs_linux(), path, FILE_MAX, &text, &size);
    if (error < 0) {
        (void)cli_fail(args, "%s: %s", path, yd_error_text(error));
        return error;
    }
    yd_diagnostics_init(&diagnostics, NULL);
    error = yd_topology_format(path, (struct yd_str){text, size}, formatted, &diagnostics);
    if (error < 0) {
        yd_buf_init(&shown, NULL);
        yd_diagnostics_print(&diagnostics, args->colour, &shown);
        fwrite(shown.data, 1, shown.size, stderr);
        yd_buf_fini(&shown);
    }
    bool differs = error == 0 && !yd_str_eq(yd_buf_view(formatted), (struct yd_str){text, size});
    yd_diagnostics_fini(&diagnostics);
    free(text);
    return error < 0 ? error : differs;
}

static void add_json(struct yd_json *json, const char *path, bool differs, const struct yd_buf *text)
{
    yd_json_object(json);
    yd_json_key(json, "file");
    yd_json_cstr(json, path);
    yd_json_key(json, "differs");
    yd_json_bool(json, differs);
    if (text) {
        yd_json_key(json, "text");
        yd_json_str(json, yd_buf_view(text));
    }
    yd_json_object_end(json);
}

static int run(struct cli_args *args)
{
    bool check = cli_given(args, "check"), write = cli_given(args, "write");
    int code = CLI_DONE;
    struct yd_buf listed;
    struct yd_json json;
    if (check && write) return cli_usage(args, "--check or --write, not both");
    yd_buf_init(&listed, NULL);
    yd_json_init(&json, &listed, true);
    yd_json_array(&json);
    for (int i = 0; i < args->rest_count; i++) {
        struct yd_buf formatted;
        yd_buf_init(&formatted, NULL);
        int differs = format_one(args, args->rest[i], &formatted);
        if (differs < 0) {
            code = CLI_FAILED;
        } else if (check) {
            if (differs && !args->json) printf("%s\n", args->rest[i]);
            if (differs) code = CLI_FAILED;
        } else if (write) {
            int error = differs ? yd_fs_replace(yd_fs_linux(), args->rest[i], formatted.data, formatted.size) : 0;
            if (error < 0) code = cli_fail(args, "%s: %s", args->rest[i], yd_error_text(error));
        } else if (!args->json) {
            fwrite(formatted.data, 1, formatted.size, stdout);
        }
        if (differs >= 0) add_json(&json, args->rest[i], differs, check || write ? NULL : &formatted);
        yd_buf_fini(&formatted);
    }
    yd_json_array_end(&json);
    if (args->json) printf("%.*s\n", (int)listed.size, listed.data);
    yd_buf_fini(&listed);
    return code;
}

static const struct cli_option options[] = {
    {"write", NULL, "write the files in place"},
    {"check", NULL, "name the files that are not in canonical layout, and exit 1 if there are any"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_fmt = {
    .name = "fmt",
    .usage = "FILE... [--write | --check]",
    .summary = "formats topology files",
    .doc = "Prints the canonical layout. Comments stay where they were. With --json: a list of {file, differs, text}.",
    .example = "  yarder fmt --write site.yd",
    .options = options,
    .rest_min = 1,
    .rest_max = -1,
    .run = run,
};
