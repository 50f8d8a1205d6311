/* Loading a definition for a command. */
#include "cli/decom_cli.h"

#include <stdio.h>
#include <stdlib.h>

#include "io/file.h"

int cli_decom_load(struct cli_args *args, const char *path, bool closely, struct yd_plan **ret_plan, int *ret_exit)
{
    char *text;
    size_t size;
    *ret_exit = CLI_FAILED;
    int r = yd_fs_read_all(yd_fs_linux(), path, YD_PLAN_FILE_MAX, &text, &size);
    if (r < 0) return (void)cli_fail(args, "%s: %s", path, yd_error_text(r)), r;
    struct yd_diagnostics diagnostics;
    struct yd_buf shown;
    struct yd_plan_options options = {.closely = closely};
    yd_diagnostics_init(&diagnostics, NULL);
    yd_buf_init(&shown, NULL);
    r = yd_plan_read(path, (struct yd_str){text, size}, &options, &diagnostics, ret_plan);
    free(text);
    bool json = args->json && (r < 0 || !closely); /* what standard output has after a good one is its reader's */
    if (json)
        yd_diagnostics_json(&diagnostics, &shown);
    else
        yd_diagnostics_print(&diagnostics, args->colour, &shown);
    if (shown.size) (void)fwrite(shown.data, 1, shown.size, json ? stdout : stderr);
    if (r < 0 && !diagnostics.count) (void)cli_fail(args, "%s: %s", path, yd_error_text(r));
    if (r == 0) *ret_exit = CLI_DONE;
    yd_buf_fini(&shown);
    yd_diagnostics_fini(&diagnostics);
    return r;
}
