/* definitions FILE: what `yarder decom check` says of it, on standard output; exit code 1 when it is refused. Lines
 * "#: unsupported FIELD why" in front make fields as a converter would leave them that cannot express them. */
#include <stdio.h>
#include <stdlib.h>

#include "decom/plan.h"
#include "decom/ydm.h"

static void mark(struct yd_def *def, const char *name, const char *why)
{
    for (struct yd_def_container *container = def->containers; container; container = container->next)
        for (struct yd_def_entry *entry = container->entries.first; entry; entry = entry->next)
            if (yd_str_eq(entry->name, yd_str_of(name))) entry->unsupported = yd_def_printf(def, "%s", why);
}

int main(int argc, char **argv)
{
    static char text[1 << 20];
    FILE *file = argc == 2 ? fopen(argv[1], "re") : NULL;
    if (!file) return 2;
    size_t size = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    struct yd_diagnostics diagnostics;
    struct yd_def *def = NULL;
    struct yd_plan *plan = NULL;
    struct yd_buf shown;
    yd_diagnostics_init(&diagnostics, NULL);
    yd_buf_init(&shown, NULL);
    int r;
    if (strncmp(text, "#: unsupported ", 15) == 0) {
        r = yd_ydm_read(argv[1], (struct yd_str){text, size}, NULL, &diagnostics, &def);
        for (const char *line = text; r == 0 && strncmp(line, "#: unsupported ", 15) == 0;
             line = strchr(line, '\n') + 1) {
            char name[64], why[200];
            if (sscanf(line, "#: unsupported %63s %199[^\n]", name, why) == 2) mark(def, name, why);
        }
        if (r == 0) r = yd_plan_compile(def, NULL, &diagnostics, &plan);
    } else {
        r = yd_plan_read(argv[1], (struct yd_str){text, size}, NULL, &diagnostics, &plan);
    }
    yd_diagnostics_print(&diagnostics, false, &shown);
    if (shown.size) (void)fwrite(shown.data, 1, shown.size, stdout);
    if (r == 0) printf("good: %u packets\n", yd_plan_packet_count(plan));
    yd_plan_destroy(plan);
    yd_buf_fini(&shown);
    yd_diagnostics_fini(&diagnostics);
    return r < 0;
}
