/* yarder decom convert: other people's definitions as `.ydm`. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/decom_cli.h"
#include "decom/convert.h"
#include "decom/xtce.h"
#include "decom/ydm.h"
#include "decom/ydm_write.h"
#include "io/file.h"

typedef int reader(const char *path, struct yd_str text, struct yd_alloc *alloc, struct yd_diagnostics *diagnostics,
                   struct yd_def **ret_def);

static const struct {
    const char *name;
    reader *read;
    const char *endings[3];
} formats[] = {{"cosmos", yd_cosmos_read, {".txt"}},
               {"csv", yd_csv_read, {".csv"}},
               {"yaml", yd_gsw_read, {".yaml", ".yml"}},
               {"xtce", yd_xtce_read, {".xml", ".xtce"}},
               {"ydm", yd_ydm_read, {".ydm"}}};

static reader *find_reader(struct cli_args *args, const char *path)
{
    const char *from = cli_value(args, "from");
    size_t length = strlen(path);
    for (size_t i = 0; i < YD_COUNT(formats); i++) {
        if (from && strcmp(from, formats[i].name) == 0) return formats[i].read;
        for (size_t j = 0; !from && j < YD_COUNT(formats[i].endings) && formats[i].endings[j]; j++) {
            size_t size = strlen(formats[i].endings[j]);
            if (length > size && strcmp(path + length - size, formats[i].endings[j]) == 0) return formats[i].read;
        }
    }
    return NULL;
}

/* Takes all packets out but one, and those it continues. */
static bool keep_packet(struct yd_def *def, const char *name)
{
    struct yd_def_container *wanted = yd_def_find_container(def, yd_str_of(name));
    if (!wanted) return false;
    struct yd_def_container **to = &def->containers;
    for (struct yd_def_container *item = def->containers; item; item = item->next) {
        bool kept = false;
        unsigned depth = 0;
        for (const struct yd_def_container *up = wanted; up && depth < 256; up = up->parent, depth++)
            kept |= up == item;
        if (!kept) continue;
        *to = item;
        to = &item->next;
        def->containers_last = item;
    }
    *to = NULL;
    return true;
}

static void show(struct cli_args *args, struct yd_diagnostics *diagnostics)
{
    struct yd_buf shown;
    yd_buf_init(&shown, NULL);
    if (args->json)
        yd_diagnostics_json(diagnostics, &shown);
    else
        yd_diagnostics_print(diagnostics, args->colour, &shown);
    if (shown.size && !shown.failed) (void)fwrite(shown.data, 1, shown.size, stderr);
    yd_buf_fini(&shown);
}

/* What was written is read again: what cannot be decoded is told now, in the words of the result. */
static int check_result(struct cli_args *args, const char *path, struct yd_str text)
{
    struct yd_diagnostics diagnostics;
    struct yd_plan *plan = NULL;
    yd_diagnostics_init(&diagnostics, NULL);
    int r = yd_plan_read(path, text, NULL, &diagnostics, &plan);
    if (r < 0) show(args, &diagnostics);
    yd_plan_destroy(plan);
    yd_diagnostics_fini(&diagnostics);
    return r < 0 ? cli_fail(args, "what is written does not compile as it is: see above") : CLI_DONE;
}

static int write_out(struct cli_args *args, const char *out, struct yd_str text)
{
    FILE *file = out ? fopen(out, "wb") : stdout;
    if (!file) return cli_fail(args, "%s: %s", out, strerror(errno));
    bool good = fwrite(text.data, 1, text.size, file) == text.size;
    good = (out ? fclose(file) : fflush(file)) == 0 && good;
    return good ? CLI_DONE : cli_fail(args, "%s: %s", out ? out : "standard output", strerror(errno));
}

static int convert(struct cli_args *args, const char *path, struct yd_def *def)
{
    const char *packet = cli_value(args, "packet"), *out = cli_value(args, "output");
    struct yd_buf text;
    if (packet && !keep_packet(def, packet)) return cli_fail(args, "%s: there is no packet '%s'", path, packet);
    yd_buf_init(&text, NULL);
    yd_buf_printf(&text, "# Made of %s by yarder decom convert.\n", path);
    unsigned left_out = yd_ydm_write(def, &text);
    int code = text.failed ? cli_fail(args, "out of memory") : write_out(args, out, yd_buf_view(&text));
    if (code == CLI_DONE) code = check_result(args, out ? out : "(standard output)", yd_buf_view(&text));
    if (code == CLI_DONE && left_out)
        fprintf(stderr, "yarder decom convert: %u things are not decoded: look for '# … is not decoded'\n", left_out);
    yd_buf_fini(&text);
    return code;
}

static int run(struct cli_args *args)
{
    const char *path = args->rest[0], *to = cli_value(args, "to");
    reader *read = find_reader(args, path);
    struct yd_diagnostics diagnostics;
    struct yd_def *def = NULL;
    char *text;
    size_t size;
    if (to && strcmp(to, "ydm") != 0) return cli_usage(args, "--to: only ydm is written");
    if (!read) return cli_usage(args, "--from says what %s is: cosmos, csv, yaml, xtce or ydm", path);
    int r = yd_fs_read_all(yd_fs_linux(), path, YD_PLAN_FILE_MAX, &text, &size);
    if (r < 0) return cli_fail(args, "%s: %s", path, yd_error_text(r));
    yd_diagnostics_init(&diagnostics, NULL);
    r = read(path, (struct yd_str){text, size}, NULL, &diagnostics, &def);
    free(text);
    show(args, &diagnostics);
    int code = CLI_FAILED;
    if (r == 0)
        code = convert(args, path, def);
    else if (!diagnostics.count)
        (void)cli_fail(args, "%s: %s", path, yd_error_text(r));
    yd_def_destroy(def);
    yd_diagnostics_fini(&diagnostics);
    return code;
}

static const struct cli_option options[] = {
    {"from", "FORMAT", "cosmos, csv, yaml (GSW), xtce or ydm; else the file's ending tells: .txt .csv .yaml .xml .ydm"},
    {"to", "FORMAT", "ydm, which is also what is written without this"},
    {"output", "FILE", "where to; else standard output"},
    {"packet", "NAME", "only this packet, and those it continues"},
    {NULL}};

const struct cli_command cmd_decom_convert = {
    .name = "decom convert",
    .usage = "FILE [--from FORMAT] [--to ydm] [--output FILE] [--packet NAME]",
    .summary = "turns definitions of COSMOS, CSV, GSW's YAML or XTCE into .ydm",
    .doc = "Shows every mistake at its place with what to write instead, and names what is not supported: that is room "
           "with a comment in the result, never a guess. The result is read once more before it is called good. GSW "
           "tells packets apart by their ports: with several, convert each by itself with --packet. "
           "docs/definitions.md lists what is read of each format.",
    .example = "  yarder decom convert INST_tlm.txt --from cosmos --output inst.ydm\n"
               "  yarder decom convert vehicle.yaml --packet fc > fc.ydm",
    .options = options,
    .rest_min = 1,
    .rest_max = 1,
    .run = run,
};
