/* Facts: what is known by name: set, asked for, searched, deleted.
 *
 *   FACT records, fact_set --> name: value, time --> FACT, when it is new or another one
 *
 * A value is a number, a bool or a text of at most VALUE_MAX bytes. All of it is saved and loaded. */
#include <yarder/element.h>
#include <yarder/name.h>

#include <stdlib.h>

#include "base/text.h"
#include "elements/rows.h"
#include "elements/saved.h"
#include "elements/table.h"

enum { PORT_INPUT, PORT_OUTPUT, PORT_QUERY };
enum { REASON_FACTS, REASON_VALUE };
#define VALUE_MAX  65536
#define SAVED_FORM 1

struct fact {
    struct yd_table_item head;
    int64_t time;
    enum yd_type type;
    union yd_value value; /* not of a TEXT or BLOB */
    char *bytes;
    uint32_t size;
};
struct state {
    struct yd_table table;
    struct yd_builder *builder;
};

static bool is_bytes(enum yd_type type)
{
    return type == YD_TEXT || type == YD_BLOB;
}

static int open_facts(struct yd_element *element, void *opaque)
{
    struct state *state = opaque;
    yd_table_init(&state->table, NULL, sizeof(struct fact), (uint64_t)yd_args_int(yd_element_args(element), "facts"));
    return yd_builder_create(NULL, &state->builder);
}

static void close_facts(void *opaque)
{
    struct state *state = opaque;
    for (uint32_t i = 0; i < state->table.count; i++) free(((struct fact *)state->table.items[i])->bytes);
    yd_table_fini(&state->table);
    yd_builder_destroy(state->builder);
}

static void remove_fact(struct state *state, struct fact *fact)
{
    free(fact->bytes);
    yd_table_remove(&state->table, fact);
}

/* 1: new or another value; 0: the same. YD_EFULL, YD_EINVAL: no value for a fact, YD_ENOMEM. */
static int set(struct state *state, struct yd_str name, uint64_t hash, int64_t time, enum yd_type type,
               union yd_value value, struct yd_str bytes)
{
    struct fact *fact;
    if (type == YD_LIST || type == YD_MAP || bytes.size > VALUE_MAX) return YD_EINVAL;
    int added = yd_table_add(&state->table, name, hash, &fact);
    if (added < 0) return added;
    bool same =
        !added && fact->type == type &&
        (is_bytes(type) ? yd_str_eq((struct yd_str){fact->bytes, fact->size}, bytes) : fact->value.bits == value.bits);
    if (!same) {
        char *copy = bytes.size ? malloc(bytes.size) : NULL;
        if (bytes.size && !copy) {
            if (added) remove_fact(state, fact);
            return YD_ENOMEM;
        }
        if (bytes.size) memcpy(copy, bytes.data, bytes.size);
        free(fact->bytes);
        fact->bytes = copy;
        fact->size = (uint32_t)bytes.size;
        fact->type = type;
        fact->value = is_bytes(type) ? (union yd_value){0} : value;
    }
    fact->time = time;
    return !same;
}

static int emit_built(struct state *state, struct yd_out *out)
{
    struct yd_batch *batch;
    int error = yd_builder_seal(state->builder, &batch);
    if (error == YD_EAGAIN) return 0;
    return error < 0 ? error : yd_emit(out, PORT_OUTPUT, batch);
}

static int copy(struct state *state, const struct yd_view *view, uint32_t index, struct yd_out *out)
{
    int error = yd_builder_copy(state->builder, view, index);
    if (error != YD_EFULL) return error;
    error = emit_built(state, out);
    return error < 0 ? error : yd_builder_copy(state->builder, view, index);
}

static uint64_t delete_facts(struct state *state, const struct yd_pattern *pattern)
{
    uint64_t deleted = 0;
    for (uint32_t i = state->table.count; i-- > 0;) {
        if (pattern && !yd_pattern_match(pattern, state->table.items[i]->name)) continue;
        remove_fact(state, (struct fact *)state->table.items[i]);
        deleted++;
    }
    return deleted;
}

static int take(struct state *state, const struct yd_view *view, uint32_t index, uint64_t *folded, struct yd_out *out)
{
    const struct yd_record *record = &view->records[index];
    struct yd_str name = yd_view_name(view, record->name), bytes = YD_STR("");
    uint64_t hash = view->names[record->name].hash;
    struct yd_pattern *pattern;
    uint32_t kinds = 0;
    int tombstone = yd_tombstone_read(view, index, &pattern, &kinds);
    if (tombstone < 0) return tombstone;
    if (tombstone > 0 && kinds & YD_KIND_BIT(YD_FACT)) {
        struct fact *fact = pattern ? NULL : yd_table_find(&state->table, name, hash);
        if (pattern) (void)delete_facts(state, pattern);
        if (fact) remove_fact(state, fact);
        yd_pattern_destroy(pattern);
        return copy(state, view, index, out);
    }
    if (tombstone > 0) yd_pattern_destroy(pattern);
    if (record->kind != YD_FACT) {
        ++*folded;
        return 0;
    }
    if (is_bytes((enum yd_type)record->type)) bytes = yd_view_bytes(view, record->value);
    int error = set(state, name, hash, record->time_ns, (enum yd_type)record->type, record->value, bytes);
    if (error == YD_EFULL || error == YD_EINVAL) {
        yd_count_rejected(out, error == YD_EFULL ? REASON_FACTS : REASON_VALUE, 1, name);
        return 0;
    }
    if (error == 0) ++*folded;
    return error == 1 ? copy(state, view, index, out) : error;
}

static enum yd_turn_result on_batch(struct state *state, struct yd_input *input, struct yd_out *out)
{
    uint64_t folded = 0;
    int error = 0;
    for (uint32_t i = 0; i < input->batch->view.count && error == 0; i++)
        error = take(state, &input->batch->view, i, &folded, out);
    if (error == 0) error = emit_built(state, out);
    if (error < 0) {
        yd_builder_abandon(state->builder);
        return YD_FAIL;
    }
    if (folded) yd_count_folded(out, folded);
    return YD_DONE;
}

/* ---- questions ---- */

static int fill(struct yd_builder *builder, const void *arg)
{
    const struct fact *fact = arg;
    int error = yd_rows_cell_i64(builder, "time", fact->time);
    if (error < 0) return error;
    if (is_bytes(fact->type))
        return yd_builder_cell_bytes(builder, YD_STR("value"), fact->type, (struct yd_str){fact->bytes, fact->size});
    return yd_builder_cell(builder, YD_STR("value"), fact->type, fact->value);
}

static int fill_deleted(struct yd_builder *builder, const void *arg)
{
    return yd_rows_cell_u64(builder, "deleted", *(const uint64_t *)arg);
}

static int emit_fact(struct state *state, const struct fact *fact, struct yd_out *out)
{
    uint32_t name;
    int error = yd_builder_name_hashed(state->builder, fact->head.name, fact->head.hash, &name);
    if (error == 0 && is_bytes(fact->type))
        error = yd_builder_add_bytes(state->builder, fact->time, name, YD_FACT, fact->type, 0,
                                     (struct yd_str){fact->bytes, fact->size});
    else if (error == 0)
        error = yd_builder_add(state->builder, fact->time, name, YD_FACT, fact->type, 0, fact->value);
    return error < 0 ? error : emit_built(state, out);
}

static void ask_set(struct state *state, struct yd_input *input, struct yd_str name, struct yd_rows *rows,
                    struct yd_out *out)
{
    const struct yd_view *view = &input->batch->view;
    const struct yd_cell *cell = yd_view_find(view, view->records[0].value, YD_STR("value"));
    struct yd_str bytes = cell && is_bytes((enum yd_type)cell->type) ? yd_view_bytes(view, cell->value) : YD_STR("");
    int error = name.size == 0 || !cell
                    ? YD_EINVAL
                    : set(state, name, yd_hash_str(name), input->wall_ns, (enum yd_type)cell->type, cell->value, bytes);
    struct fact *fact = error < 0 ? NULL : yd_table_find(&state->table, name, yd_hash_str(name));
    if (fact && error == 1) error = emit_fact(state, fact, out);
    if (name.size == 0 || !cell)
        yd_rows_refuse(rows, error, "`fact_set` wants a name and a value: name=NAME value=VALUE");
    if (error < 0) yd_rows_fail(rows, error);
    if (fact) yd_rows_add(rows, name, fact->time, fill, fact);
    yd_state_changed(out);
}

static enum yd_turn_result answer(struct state *state, struct yd_input *input, struct yd_out *out)
{
    char canonical[YD_NAME_SIZE_MAX];
    struct yd_rows rows;
    struct yd_str name = yd_rows_text(input->batch, "name");
    size_t size;
    bool is_get = yd_rows_op(input->batch, "fact_get"), is_set = yd_rows_op(input->batch, "fact_set"),
         is_delete = yd_rows_op(input->batch, "fact_delete");
    if (!is_get && !is_set && !is_delete && !yd_rows_op(input->batch, "facts"))
        return yd_rows_unknown(input, out, "facts, fact_get, fact_set, fact_delete");
    yd_rows_begin(&rows, input, out);
    if (is_get || is_set) {
        int error = yd_name_canonical(name, canonical, &size);
        name = (struct yd_str){canonical, error < 0 ? 0 : size};
        struct fact *fact = yd_table_find(&state->table, name, yd_hash_str(name));
        if (is_set)
            ask_set(state, input, name, &rows, out);
        else if (fact)
            yd_rows_add(&rows, name, fact->time, fill, fact);
        else
            yd_rows_refuse(&rows, name.size ? YD_ENOENT : YD_EINVAL,
                           name.size ? "no such fact is known; `facts` searches by match=PATTERN"
                                     : "`fact_get` wants name=NAME");
    } else if (is_delete) {
        if (!rows.pattern) /* all of them: say `*` */
            yd_rows_refuse(&rows, YD_EINVAL,
                           "`fact_delete` wants which: match=PATTERN (or match=NAME); match='*' is all");
        uint64_t deleted = rows.error < 0 ? 0 : delete_facts(state, rows.pattern);
        yd_rows_add(&rows, YD_STR("facts"), input->wall_ns, fill_deleted, &deleted);
        yd_state_changed(out);
    } else {
        for (uint32_t i = 0; i < state->table.count && rows.error == 0; i++) {
            const struct fact *fact = (const struct fact *)state->table.items[i];
            if (yd_rows_match(&rows, fact->head.name)) yd_rows_add(&rows, fact->head.name, fact->time, fill, fact);
        }
    }
    return yd_rows_end(&rows);
}

static enum yd_turn_result receive(void *opaque, struct yd_input *input, struct yd_out *out)
{
    if (input->type == YD_INPUT_BATCH) return on_batch(opaque, input, out);
    if (input->type == YD_INPUT_QUERY) return answer(opaque, input, out);
    return YD_DONE;
}

/* ---- what survives ---- */

struct saved_fact {
    int64_t time;
    uint64_t bits;
    uint32_t type, reserved;
};

static int save(const void *opaque, uint32_t key_group, struct yd_saver *saver)
{
    const struct state *state = opaque;
    const uint32_t form[2] = {SAVED_FORM, state->table.count};
    if (key_group != 0) return 0;
    yd_save_bytes(saver, form, sizeof form);
    for (uint32_t i = 0; i < state->table.count; i++) {
        const struct fact *fact = (const struct fact *)state->table.items[i];
        const struct saved_fact saved = {fact->time, fact->value.bits, fact->type, 0};
        yd_save_text(saver, fact->head.name);
        yd_save_bytes(saver, &saved, sizeof saved);
        yd_save_text(saver, (struct yd_str){fact->bytes, fact->size});
    }
    return 0;
}

static int load(void *opaque, uint32_t key_group, struct yd_str from)
{
    struct state *state = opaque;
    uint32_t form[2];
    (void)key_group;
    if (!yd_saved_bytes(&from, form, sizeof form)) return YD_EFORMAT;
    if (form[0] != SAVED_FORM) return YD_EVERSION;
    for (uint32_t i = 0; i < form[1]; i++) {
        struct yd_str name, bytes;
        struct saved_fact saved;
        if (!yd_saved_text(&from, &name) || !yd_saved_bytes(&from, &saved, sizeof saved) ||
            !yd_saved_text(&from, &bytes))
            return YD_EFORMAT;
        bool good = saved.type < YD_TYPE_COUNT && yd_text_utf8(name) &&
                    (saved.type != YD_TEXT || yd_text_utf8(bytes)) && (saved.type != YD_BOOL || saved.bits < 2) &&
                    (saved.type != YD_NIL || saved.bits == 0);
        int error = !good ? YD_EFORMAT
                          : set(state, name, yd_hash_str(name), saved.time, (enum yd_type)saved.type,
                                (union yd_value){.bits = saved.bits}, bytes);
        if (error < 0) return error == YD_EINVAL ? YD_EFORMAT : error;
    }
    return from.size ? YD_EFORMAT : 0;
}

static const struct yd_port_class ports[] = {
    [PORT_INPUT] = {.name = "input",
                    .direction = YD_IN,
                    .mode = YD_PUSH,
                    .kinds = YD_KINDS_ALL,
                    .doc = "FACT records. Others are passed over, and counted as folded."},
    [PORT_OUTPUT] = {.name = "output",
                     .direction = YD_OUT,
                     .mode = YD_PUSH,
                     .kinds = YD_KIND_BIT(YD_FACT) | YD_KIND_BIT(YD_ROW),
                     .doc = "Facts that are new or have another value. And tombstones."},
    [PORT_QUERY] = {.name = "query",
                    .direction = YD_IN,
                    .mode = YD_QUERY,
                    .schema = "facts",
                    .doc = "Answers `facts` (`match`, a pattern), `fact_get` (`name`), `fact_set` (`name`, `value`) "
                           "and `fact_delete` (`match`)."},
    {.name = NULL},
};

static const struct yd_param_class params[] = {
    {.name = "facts",
     .type = YD_PARAM_INT,
     .initial = "1000000",
     .min = 1,
     .max = 1e9,
     .doc = "At most so many; more are rejected and counted, those that are there can be changed."},
    {.name = NULL},
};

static const char *const reasons[] = {[REASON_FACTS] = "too many facts", [REASON_VALUE] = "no value for a fact", NULL};

const struct yd_element_class yd_class_facts = {
    .abi = YD_ELEMENT_ABI,
    .flags = YD_CLASS_STATEFUL,
    .name = "Facts",
    .summary = "keeps what is known by name",
    .doc = "A fact is a name and a value: a number, a bool or a text up to 64 KiB. A later one replaces it; one that "
           "is the "
           "same goes no further. Tombstones (`Forget`) delete. Facts survive restarts.\n",
    .example = "metrics -> Facts() -> Print()",
    .ports = ports,
    .params = params,
    .reasons = reasons,
    .state_size = sizeof(struct state),
    .open = open_facts,
    .close = close_facts,
    .receive = receive,
    .save = save,
    .load = load,
};
