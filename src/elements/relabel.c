/* Relabel: renames, drops and retags by rules over names.
 *
 *   name --> rule, rule, rule … (each sees what the ones before made of it) --> name, or nothing
 *
 * A name is judged once per batch, and what became of it is remembered over batches (bounded; forgotten all at once). A
 * batch whose names all stay as they are goes on as it is. */
#include <stdio.h>

#include "elements/rename.h"
#include "elements/table.h"

enum { PORT_INPUT, PORT_OUTPUT };
enum { REASON_NAME, REASON_SIZE };
#define SPLIT     (1u << 20)
#define KNOWN_MAX 65536
#define UNMAPPED  (UINT32_MAX - 2)

struct known {
    struct yd_table_item head;
    int became; /* enum yd_renamed, or an error */
    char *name;
    uint32_t size;
};
struct relabel {
    struct yd_rename rename;
    struct yd_table known;
    struct yd_builder *builder;
    struct yd_buf names; /* struct known * by name of the batch at hand, then uint32_t: its index in the new batch */
};

static int check(const struct yd_args *args, char *why, size_t why_size)
{
    struct yd_rename rename;
    int error = yd_rename_open(&rename, args, why, why_size);
    yd_rename_close(&rename);
    return error;
}

static int open_relabel(struct yd_element *element, void *state)
{
    struct relabel *relabel = state;
    char why[200] = "";
    yd_table_init(&relabel->known, NULL, sizeof(struct known), 0);
    yd_buf_init(&relabel->names, NULL);
    int error = yd_rename_open(&relabel->rename, yd_element_args(element), why, sizeof why);
    if (error < 0) return yd_element_fail(element, error, "%s", why);
    return yd_builder_create(&(struct yd_builder_options){.size_max = YD_BATCH_SIZE_MAX}, &relabel->builder);
}

static void forget_known(struct relabel *relabel)
{
    for (uint32_t i = 0; i < relabel->known.count; i++) {
        struct known *known = (struct known *)relabel->known.items[i];
        yd_alloc_put(NULL, known->name, known->size);
    }
    yd_table_fini(&relabel->known);
}

static void close_relabel(void *state)
{
    struct relabel *relabel = state;
    forget_known(relabel);
    yd_rename_close(&relabel->rename);
    yd_buf_fini(&relabel->names);
    yd_builder_destroy(relabel->builder);
}

static int learn(struct relabel *relabel, struct yd_str name, uint64_t hash, struct known **ret_known)
{
    char to[YD_NAME_SIZE_MAX + 1];
    size_t size = 0;
    struct known *known;
    int error = yd_table_add(&relabel->known, name, hash, &known);
    if (error < 0) return error;
    *ret_known = known;
    if (error == 0) return 0;
    known->became = yd_rename_apply(&relabel->rename, name, to, &size);
    if (known->became == YD_RENAMED) {
        known->name = yd_alloc_get(NULL, size);
        known->size = (uint32_t)size;
        if (!known->name) known->size = 0;
        if (known->name) memcpy(known->name, to, size);
    }
    if (known->became == YD_ENOMEM || (known->became == YD_RENAMED && !known->name)) {
        yd_table_remove(&relabel->known, known);
        return YD_ENOMEM;
    }
    return 0;
}

static struct known **judged(struct relabel *relabel)
{
    return (struct known **)(void *)relabel->names.data;
}

/* What becomes of each name; *ret_same: nothing at all. */
static int judge(struct relabel *relabel, const struct yd_view *view, bool *ret_same)
{
    if (relabel->known.count > KNOWN_MAX) forget_known(relabel);
    yd_buf_clear(&relabel->names);
    if (!yd_buf_reserve(&relabel->names, ((size_t)view->name_count + 1) * (sizeof(struct known *) + sizeof(uint32_t))))
        return YD_ENOMEM;
    *ret_same = true;
    for (uint32_t i = 0; i < view->name_count; i++) {
        struct yd_str name = yd_view_name(view, i);
        int error = learn(relabel, name, view->names[i].hash, &judged(relabel)[i]);
        if (error < 0) return error;
        *ret_same &= judged(relabel)[i]->became == YD_RENAMED_NOT;
    }
    return 0;
}

static uint32_t *indices(struct relabel *relabel, const struct yd_view *view)
{
    return (uint32_t *)(void *)(judged(relabel) + view->name_count);
}

static int add(struct relabel *relabel, const struct yd_batch *batch, uint32_t record)
{
    const struct yd_view *view = &batch->view;
    uint32_t at = view->records[record].name, *index = &indices(relabel, view)[at];
    if (*index == UNMAPPED) {
        const struct known *known = judged(relabel)[at];
        struct yd_str name = known->became == YD_RENAMED ? (struct yd_str){known->name, known->size} : known->head.name;
        yd_builder_origin(relabel->builder, yd_batch_origin(batch, at)); /* who brought it brings it still */
        int error = yd_builder_name(relabel->builder, name, index);
        if (error < 0) {
            *index = UNMAPPED;
            return error;
        }
    }
    return yd_builder_copy_as(relabel->builder, view, record, *index);
}

static int emit_built(struct relabel *relabel, const struct yd_view *view, struct yd_out *out)
{
    struct yd_batch *batch;
    for (uint32_t i = 0; i < view->name_count; i++) indices(relabel, view)[i] = UNMAPPED;
    int error = yd_builder_seal(relabel->builder, &batch);
    if (error == YD_EAGAIN) return 0;
    return error < 0 ? error : yd_emit(out, PORT_OUTPUT, batch);
}

static enum yd_turn_result rebuild(struct relabel *relabel, const struct yd_batch *batch, struct yd_out *out)
{
    const struct yd_view *view = &batch->view;
    uint64_t dropped = 0;
    for (uint32_t i = 0; i < view->name_count; i++) indices(relabel, view)[i] = UNMAPPED;
    for (uint32_t i = 0; i < view->count; i++) {
        const struct known *known = judged(relabel)[view->records[i].name];
        int error = 0;
        if (known->became == YD_RENAMED_AWAY) {
            dropped++;
            continue;
        }
        if (known->became < 0) {
            yd_count_rejected(out, REASON_NAME, 1, known->head.name);
            continue;
        }
        error = add(relabel, batch, i);
        if (error == YD_EFULL) {
            error = emit_built(relabel, view, out);
            if (error == 0) error = add(relabel, batch, i);
        }
        if (error == YD_ENOMEM) {
            yd_builder_abandon(relabel->builder);
            return YD_FAIL;
        }
        if (error < 0) yd_count_rejected(out, REASON_SIZE, 1, known->head.name);
        if (yd_builder_size(relabel->builder) >= SPLIT && emit_built(relabel, view, out) < 0) return YD_FAIL;
    }
    if (dropped) yd_count_folded(out, dropped);
    return emit_built(relabel, view, out) < 0 ? YD_FAIL : YD_DONE;
}

static enum yd_turn_result receive(void *state, struct yd_input *input, struct yd_out *out)
{
    struct relabel *relabel = state;
    bool same;
    if (input->type != YD_INPUT_BATCH) return YD_DONE;
    if (judge(relabel, &input->batch->view, &same) < 0) return YD_FAIL;
    if (same) return yd_emit(out, PORT_OUTPUT, yd_batch_ref(input->batch)) < 0 ? YD_FAIL : YD_DONE;
    return rebuild(relabel, input->batch, out);
}

static const struct yd_port_class ports[] = {
    [PORT_INPUT] = {.name = "input",
                    .direction = YD_IN,
                    .mode = YD_PUSH,
                    .kinds = YD_KINDS_ALL,
                    .flags = YD_PORT_REQUIRED,
                    .doc = "Records of any kind."},
    [PORT_OUTPUT] = {.name = "output",
                     .direction = YD_OUT,
                     .mode = YD_PUSH,
                     .kinds = YD_KINDS_ALL,
                     .flags = YD_PORT_REQUIRED | YD_PORT_PASSES,
                     .doc = "Those that were not dropped, in their order."},
    {.name = NULL},
};

static const struct yd_param_class params[] = {
    {.name = "rules",
     .type = YD_PARAM_LIST,
     .flags = YD_PARAM_REQUIRED,
     .doc = "In their order: `{ match: \"old.* host=*\", name: \"new.{metric}\", tags: {dc: \"eu\", host: \"\"} }`; "
            "`drop: "
            "true` drops what matches, `stop: true` ends the rules for it."},
    {.name = NULL},
};

static const char *const reasons[] = {[REASON_NAME] = "not a name", [REASON_SIZE] = "too large", NULL};

const struct yd_element_class yd_class_relabel = {
    .abi = YD_ELEMENT_ABI,
    .flags = YD_CLASS_REPEATS,
    .name = "Relabel",
    .summary = "renames, retags and drops by rules over names",
    .doc =
        "Each rule has `match`, a name pattern, and what becomes of names that match: a new metric (`name`), tags set "
        "or, when empty, removed (`tags`), or nothing more (`drop`). Texts take `{metric}`, `{name}` and `{tag.KEY}`. "
        "A "
        "rule sees the name as the rules before it left it. A name that is none any more is rejected alone.\n\n"
        "`yarder route FILE NAME` tells what becomes of a name.\n",
    .example =
        "metrics -> Relabel(rules: [{ match: \"debug.*\", drop: true }, { match: \"*\", tags: {dc: \"eu\"} }]) -> "
        "Print()",
    .ports = ports,
    .params = params,
    .reasons = reasons,
    .state_size = sizeof(struct relabel),
    .check = check,
    .open = open_relabel,
    .close = close_relabel,
    .receive = receive,
};
