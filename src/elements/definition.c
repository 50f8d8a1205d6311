/* Reading a definition of packets at the start of an element. */
#include "elements/definition.h"

#include <stdio.h>
#include <stdlib.h>

#include "io/file.h"

/* The first mistake, in a line: the rest is what `yarder decom check` is for. */
static void first_mistake(const struct yd_diagnostics *diagnostics, int error, char *why, size_t why_size)
{
    (void)snprintf(why, why_size, " %s", yd_error_text(error));
    for (size_t i = 0; i < diagnostics->count; i++) {
        const struct yd_diagnostic *item = &diagnostics->items[i];
        if (item->warning) continue;
        struct yd_place place = item->notes[0].place;
        (void)snprintf(why, why_size, "%u:%u: %s%s%s (yarder decom check shows all of %zu)", place.line, place.column,
                       item->message, item->help ? ": " : "", item->help ? item->help : "", diagnostics->errors);
        return;
    }
}

int yd_definition_check(const struct yd_args *args, struct yd_str text, char *why, size_t why_size)
{
    const struct yd_plan_options options = {0};
    struct yd_diagnostics diagnostics;
    struct yd_plan *plan;
    yd_diagnostics_init(&diagnostics, NULL);
    int r = yd_plan_read(yd_args_text(args, "definition").data, text, &options, &diagnostics, &plan);
    if (r < 0)
        first_mistake(&diagnostics, r, why, why_size);
    else
        yd_plan_destroy(plan);
    yd_diagnostics_fini(&diagnostics);
    return r;
}

int yd_definition_open(struct yd_element *element, const char *path, const struct yd_plan_options *options,
                       struct yd_plan **ret_plan)
{
    struct yd_diagnostics diagnostics;
    char *text, why[600];
    size_t size;
    int r = yd_fs_read_all(yd_element_fs(element), path, YD_PLAN_FILE_MAX, &text, &size);
    if (r < 0) return yd_element_fail(element, r, "definition: %s: %s", path, yd_error_text(r));
    yd_diagnostics_init(&diagnostics, NULL);
    r = yd_plan_read(path, (struct yd_str){text, size}, options, &diagnostics, ret_plan);
    if (r < 0) {
        first_mistake(&diagnostics, r, why, sizeof why);
        r = yd_element_fail(element, r, "%s:%s", path, why);
    }
    yd_diagnostics_fini(&diagnostics);
    free(text);
    return r;
}
