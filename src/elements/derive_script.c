/* The script of a Derive: read from its file, and its handlers tied to slots, as rules are.
 *
 *   on("a", "b", f) --> slots of a and b, read by handler f        each("x.*", g) --> bits by name of the batch at hand
 *
 * What can fail: the file; the script, told with file and line; memory. */
#include "elements/derive_script.h"

#include <stdlib.h>

#include "io/file.h"

#define FILE_MAX (1u << 20)
#define ASKED    (UINT64_C(1) << 63) /* the patterns were compared with this name */

/* Twice through all inputs: counted, then written. */
static int link_slots(struct yd_derive_script *script, struct yd_derive_rules *slots)
{
    script->slots = yd_arena_zero(&slots->arena, script->handler_count * sizeof(uint32_t *));
    if (!script->slots) return YD_ENOMEM;
    for (uint32_t h = 0; h < script->handler_count; h++) {
        const struct yd_script_handler *handler = &script->handlers[h];
        if (handler->pattern) script->each[script->each_count++] = h;
        script->slots[h] = yd_arena_get(&slots->arena, handler->input_count * sizeof(uint32_t) + 1);
        if (!script->slots[h]) return YD_ENOMEM;
        for (uint32_t i = 0; i < handler->input_count; i++) {
            int error = yd_derive_rules_slot(slots, handler->inputs[i], &script->slots[h][i]);
            if (error < 0) return error;
            slots->slots[script->slots[h][i]].reader_count++;
        }
    }
    for (uint32_t i = 0; i < slots->slot_count; i++) {
        struct yd_derive_slot *slot = &slots->slots[i];
        slot->readers = yd_arena_get(&slots->arena, slot->reader_count * sizeof *slot->readers + 1);
        if (!slot->readers) return YD_ENOMEM;
        slot->reader_count = 0;
    }
    for (uint32_t h = 0; h < script->handler_count; h++) {
        for (uint32_t i = 0; i < script->handlers[h].input_count; i++) {
            struct yd_derive_slot *slot = &slots->slots[script->slots[h][i]];
            slot->readers[slot->reader_count++] = h;
        }
    }
    return 0;
}

static void use(struct yd_derive_script *script, struct yd_script *opened)
{
    size_t count;
    yd_script_destroy(script->script);
    script->script = opened;
    script->handlers = yd_script_handlers(opened, &count);
    script->handler_count = (uint32_t)count;
}

static struct yd_script_options options_of(const struct yd_args *args)
{
    return (struct yd_script_options){.memory_max = (size_t)yd_args_int(args, "memory"),
                                      .steps_max = yd_args_int(args, "steps")};
}

int yd_derive_script_check(const struct yd_args *args, struct yd_str text, char *why, size_t why_size)
{
    const char *path = yd_args_text(args, "lua").data;
    const struct yd_script_options options = options_of(args);
    struct yd_script *script;
    int error = yd_script_open(path, text, &options, YD_STR(""), why, why_size, &script);
    if (error == 0) yd_script_destroy(script);
    size_t size = strlen(path);
    if (error < 0 && strncmp(why, path, size) == 0 && why[size] == ':') /* who asks says the path */
        memmove(why, why + size + 1, strlen(why + size + 1) + 1);
    return error;
}

int yd_derive_script_open(struct yd_derive_script *script, struct yd_element *element, struct yd_derive_rules *slots)
{
    const struct yd_args *args = yd_element_args(element);
    struct yd_script *opened;
    char why[400];
    yd_buf_init(&script->patterns, NULL);
    script->path = yd_args_text(args, "lua").data;
    script->options = options_of(args);
    int error = yd_fs_read_all(yd_element_fs(element), script->path, FILE_MAX, &script->text, &script->text_size);
    if (error < 0) return yd_element_fail(element, error, "%s: %s", script->path, yd_error_text(error));
    struct yd_str text = {script->text, script->text_size};
    error = yd_script_open(script->path, text, &script->options, YD_STR(""), why, sizeof why, &opened);
    if (error == YD_EFORMAT) return yd_element_fail(element, error, "%s", why);
    if (error < 0) return yd_element_fail(element, error, "%s: %s", script->path, yd_error_text(error));
    use(script, opened);
    return link_slots(script, slots);
}

void yd_derive_script_close(struct yd_derive_script *script)
{
    yd_script_destroy(script->script);
    free(script->text);
    yd_buf_fini(&script->patterns);
}

int yd_derive_script_load(struct yd_derive_script *script, struct yd_str saved)
{
    struct yd_str text = {script->text, script->text_size};
    struct yd_script *opened;
    char why[400];
    int error = yd_script_open(script->path, text, &script->options, saved, why, sizeof why, &opened);
    if (error < 0) return error;
    if (!yd_script_same(script->script, opened)) {
        yd_script_destroy(opened);
        return YD_EINVAL;
    }
    use(script, opened);
    return 0;
}

bool yd_derive_script_begin(struct yd_derive_script *script, const struct yd_view *view)
{
    size_t size = view->name_count * sizeof(uint64_t);
    yd_buf_clear(&script->patterns);
    if (!script->each_count) return true;
    if (!yd_buf_reserve(&script->patterns, size + 1)) return false;
    memset(script->patterns.data, 0, size);
    return true;
}

uint64_t yd_derive_script_find(struct yd_derive_script *script, const struct yd_view *view, uint32_t name)
{
    uint64_t *found = &((uint64_t *)(void *)script->patterns.data)[name];
    if (*found == 0) {
        *found = ASKED;
        for (uint32_t i = 0; i < script->each_count; i++)
            if (yd_pattern_match(script->handlers[script->each[i]].pattern, yd_view_name(view, name)))
                *found |= UINT64_C(1) << i;
    }
    return *found & ~ASKED;
}
