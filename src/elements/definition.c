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

int yd_definition_read(const char *path, struct yd_str text, const struct yd_plan_options *options, char *why,
                       struct yd_plan **ret_plan)
{
    struct yd_diagnostics diagnostics;
    yd_diagnostics_init(&diagnostics, NULL);
    int r = yd_plan_read(path, text, options, &diagnostics, ret_plan);
    if (r < 0) first_mistake(&diagnostics, r, why, YD_DEFINITION_WHY);
    yd_diagnostics_fini(&diagnostics);
    return r;
}

int yd_definition_open(struct yd_fs *fs, const char *path, const struct yd_plan_options *options, char *why,
                       struct yd_plan **ret_plan)
{
    struct yd_str text;
    int r = yd_definition_open_text(fs, path, options, why, ret_plan, &text);
    if (r == 0) free((char *)(uintptr_t)text.data);
    return r;
}

int yd_definition_open_text(struct yd_fs *fs, const char *path, const struct yd_plan_options *options, char *why,
                            struct yd_plan **ret_plan, struct yd_str *ret_text)
{
    char *text;
    size_t size;
    int r = yd_fs_read_all(fs, path, YD_PLAN_FILE_MAX, &text, &size);
    if (r < 0) {
        (void)snprintf(why, YD_DEFINITION_WHY, "%s: %s", path, yd_error_text(r));
        return r;
    }
    size_t front = strlen(path) + 1;
    char first[YD_DEFINITION_WHY];
    r = yd_definition_read(path, (struct yd_str){text, size}, options, first, ret_plan);
    *ret_text = (struct yd_str){text, size};
    if (r == 0) return 0;
    free(text);
    front = YD_MIN(front, (size_t)YD_DEFINITION_WHY / 2);
    memcpy(why, path, front - 1);
    why[front - 1] = ':';
    memcpy(why + front, first, YD_DEFINITION_WHY - front);
    why[YD_DEFINITION_WHY - 1] = 0;
    return r;
}
