/* A definition that has changed, under elements that run. See redefine.h.
 *
 * Reading and compiling, for all who work by the file, is done on a file thread, by what `check` calls: what is wrong
 * is found before anybody changes anything. After that only memory can fail, or who does not answer in time: then those
 * who have it are given the text before. */
#include "elements/redefine.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "flow/run.h"

#define NAME       "yarder.definition"
#define LIST_BYTES (128u << 10) /* of a ROW's list, about */

/* ---- who works by it ---- */

static struct yd_str path_of(const struct yd_node *node)
{
    return node->class->check_file ? yd_args_text(&node->args, "definition") : YD_STR("");
}

/* Elements of this run besides `own` whose definition is the same file, as it is written. */
static const struct yd_node *other(struct yd_element *own, uint32_t *at)
{
    const struct yd_topology *topology = yd_run_topology(yd_element_run(own));
    struct yd_str path = yd_args_text(yd_element_args(own), "definition");
    for (; *at < topology->node_count; ++*at) {
        const struct yd_node *node = &topology->nodes[*at];
        if (strcmp(node->name, yd_element_name(own)) == 0 || !yd_str_eq(path_of(node), path)) continue;
        ++*at;
        return node;
    }
    return NULL;
}

/* ---- the pump ---- */

struct pump {
    struct yd_pump *pump;
    struct yd_element *element;
};

void yd_redefinition_free(void *opaque)
{
    struct yd_redefinition *made = opaque;
    if (!made) return;
    yd_plan_destroy(made->plan);
    free((char *)(uintptr_t)made->text.data);
    free(made);
}

static int start(struct yd_pump *yd_pump, void *opaque, void *element_state)
{
    struct pump *pump = opaque;
    pump->pump = yd_pump;
    pump->element = *(struct yd_element **)element_state;
    return 0;
}

static void stop(void *opaque)
{
    yd_pump_stopped(((struct pump *)opaque)->pump);
}

static void say_why(struct yd_redefinition *made, const char *path, const char *words)
{
    (void)snprintf(made->why, sizeof made->why, "%.*s:%.*s", 200, path, 380, words);
}

static int check_others(struct pump *pump, const char *path, struct yd_redefinition *made)
{
    const struct yd_node *node;
    uint32_t at = 0;
    int error = 0;
    while (error == 0 && (node = other(pump->element, &at))) {
        char words[YD_DEFINITION_WHY] = "";
        error = node->class->check_file(&node->args, "definition", made->text, words, sizeof words);
        if (error < 0) say_why(made, path, *words ? words : yd_error_text(error));
    }
    return error;
}

static void read_again(struct pump *pump, struct yd_redefinition *made)
{
    const struct yd_args *args = yd_element_args(pump->element);
    const char *path = yd_args_text(args, "definition").data;
    const struct yd_plan_options options = {.raw = yd_args_bool(args, "raw")};
    char *text, words[YD_DEFINITION_WHY] = "";
    size_t size;
    int error = yd_fs_read_all(yd_pump_fs(pump->pump), path, YD_PLAN_FILE_MAX, &text, &size);
    if (error < 0) {
        (void)snprintf(made->why, sizeof made->why, "%.*s: %s", 200, path, yd_error_text(error));
        return;
    }
    made->text = (struct yd_str){text, size};
    error = yd_definition_read(path, made->text, &options, words, &made->plan);
    if (error < 0) {
        made->plan = NULL;
        say_why(made, path, words);
        return;
    }
    if (check_others(pump, path, made) == 0) return;
    yd_plan_destroy(made->plan);
    made->plan = NULL;
}

static void command(void *opaque, struct yd_command *command)
{
    struct pump *pump = opaque;
    struct yd_redefinition *made = command->data;
    if (command->type != YD_REDEFINE_READ) return;
    command->data = NULL;
    read_again(pump, made);
    (void)yd_pump_tell(pump->pump, YD_REDEFINE_READ, NULL, made, yd_redefinition_free);
}

const struct yd_pump_class yd_redefine_pump = {
    .state_size = sizeof(struct pump),
    .files = true,
    .start = start,
    .stop = stop,
    .command = command,
};

/* ---- the others ---- */

static int make_query(struct yd_str text, struct yd_batch **ret_query)
{
    const struct yd_builder_options options = {.size_max = (uint32_t)YD_MIN(text.size + 65536, YD_BATCH_SIZE_MAX)};
    struct yd_builder *builder;
    uint32_t name;
    int error = yd_builder_create(&options, &builder);
    if (error < 0) return error;
    error = yd_builder_name(builder, YD_STR("query"), &name);
    if (error == 0) error = yd_builder_begin(builder, 0, name, YD_ROW, 0, YD_MAP);
    if (error == 0) error = yd_builder_cell_bytes(builder, YD_STR("op"), YD_TEXT, YD_STR(YD_REDEFINE_OP));
    if (error == 0) error = yd_builder_cell_bytes(builder, YD_STR("text"), YD_BLOB, text);
    if (error == 0) error = yd_builder_end(builder);
    if (error == 0) error = yd_builder_seal(builder, ret_query);
    yd_builder_destroy(builder);
    return error;
}

int yd_redefine_others(struct yd_out *out, struct yd_str text, const char *whom, unsigned *ret_count)
{
    struct yd_batch *query;
    const struct yd_node *node;
    uint32_t at = 0;
    int error = make_query(text, &query);
    *ret_count = 0;
    if (error < 0) return error;
    for (uint64_t i = 0; error == 0 && (node = other(yd_out_element(out), &at)); i++) {
        if (whom && !whom[i]) continue;
        error = yd_run_ask(out, yd_str_of(node->name), yd_batch_ref(query), i, 0);
        *ret_count += error == 0;
    }
    yd_batch_unref(query);
    return error;
}

unsigned yd_redefine_other_count(struct yd_element *element)
{
    uint32_t at = 0;
    unsigned count = 0;
    while (other(element, &at)) count++;
    return count;
}

const char *yd_redefine_other_name(struct yd_element *element, uint64_t number)
{
    uint32_t at = 0;
    const struct yd_node *node = other(element, &at);
    while (node && number--) node = other(element, &at);
    return node ? node->name : "";
}

struct yd_str yd_redefine_text(const struct yd_batch *query)
{
    const struct yd_view *view = &query->view;
    const struct yd_cell *cell = view->count && view->records[0].type == YD_MAP
                                     ? yd_view_find(view, view->records[0].value, YD_STR("text"))
                                     : NULL;
    return cell && cell->type == YD_BLOB ? yd_view_bytes(view, cell->value) : (struct yd_str){0};
}

int yd_redefine_saved(int (*save)(const void *state, uint32_t key_group, struct yd_saver *saver), const void *state,
                      struct yd_buf *to)
{
    return yd_run_saved(save, state, to);
}

/* ---- those behind ---- */

int yd_redefine_late_add(struct yd_redefine_late *late, struct yd_batch *batch)
{
    if (late->count == late->capacity) {
        uint32_t capacity = late->capacity ? late->capacity * 2 : 4;
        struct yd_batch **batches = realloc(late->batches, capacity * sizeof(struct yd_batch *));
        if (!batches) {
            yd_batch_unref(batch);
            return YD_ENOMEM;
        }
        late->batches = batches;
        late->capacity = capacity;
    }
    late->batches[late->count++] = batch;
    return 0;
}

int yd_redefine_late_emit(struct yd_redefine_late *late, struct yd_out *out, unsigned port)
{
    uint32_t gone = 0;
    int error = 0;
    while (gone < late->count) {
        error = yd_emit(out, port, yd_batch_ref(late->batches[gone]));
        if (error < 0) break;
        yd_batch_unref(late->batches[gone++]);
    }
    late->count -= gone;
    if (gone) memmove(late->batches, late->batches + gone, late->count * sizeof(struct yd_batch *));
    return error == YD_EFULL ? 0 : error;
}

void yd_redefine_late_cut(struct yd_redefine_late *late, uint32_t count)
{
    while (late->count > count) yd_batch_unref(late->batches[--late->count]);
    if (count) return;
    free(late->batches);
    *late = (struct yd_redefine_late){0};
}

int yd_redefine_mark_begin(struct yd_redefine_mark *mark, struct yd_out *out, struct yd_redefine_late *late,
                           int64_t time_ns)
{
    *mark = (struct yd_redefine_mark){.out = out, .late = late, .time_ns = time_ns};
    mark->path = yd_args_text(yd_element_args(yd_out_element(out)), "definition");
    yd_buf_init(&mark->gone, NULL);
    yd_buf_init(&mark->wider, NULL);
    return mark->error = yd_builder_create(NULL, &mark->builder);
}

static int tell(struct yd_redefine_mark *mark)
{
    struct yd_batch *batch;
    uint32_t name;
    if (mark->gone.failed || mark->wider.failed) return YD_ENOMEM;
    int error = yd_builder_name(mark->builder, YD_STR(NAME), &name);
    if (error == 0) error = yd_builder_begin(mark->builder, mark->time_ns, name, YD_ROW, 0, YD_MAP);
    if (error == 0) error = yd_builder_cell_bytes(mark->builder, YD_STR("definition"), YD_TEXT, mark->path);
    if (error == 0) error = yd_builder_cell_bytes(mark->builder, YD_STR("gone"), YD_TEXT, yd_buf_view(&mark->gone));
    if (error == 0) error = yd_builder_cell_bytes(mark->builder, YD_STR("wider"), YD_TEXT, yd_buf_view(&mark->wider));
    if (error == 0) error = yd_builder_end(mark->builder);
    if (error == 0) error = yd_builder_seal(mark->builder, &batch);
    if (error == 0 && mark->late)
        error = yd_redefine_late_add(mark->late, batch);
    else if (error == 0)
        (void)yd_reply(mark->out, 0, batch, true); /* the asker may have gone */
    yd_buf_clear(&mark->gone);
    yd_buf_clear(&mark->wider);
    return error;
}

void yd_redefine_mark_add(struct yd_redefine_mark *mark, struct yd_str name, bool is_gone)
{
    struct yd_buf *list = is_gone ? &mark->gone : &mark->wider;
    if (mark->error < 0) return;
    yd_buf_str(list, name);
    yd_buf_char(list, '\n');
    if (list->size >= LIST_BYTES) mark->error = tell(mark);
}

int yd_redefine_mark_end(struct yd_redefine_mark *mark)
{
    int error = mark->error == 0 ? tell(mark) : mark->error;
    if (error == 0 && !mark->late) (void)yd_reply(mark->out, 0, NULL, false);
    yd_builder_destroy(mark->builder);
    yd_buf_fini(&mark->gone);
    yd_buf_fini(&mark->wider);
    return error;
}

static struct yd_str cell_text(const struct yd_view *view, const struct yd_record *record, const char *key)
{
    const struct yd_cell *cell = yd_view_find(view, record->value, yd_str_of(key));
    return cell && cell->type == YD_TEXT ? yd_view_bytes(view, cell->value) : YD_STR("");
}

bool yd_redefine_mark_read(const struct yd_view *view, uint32_t index, struct yd_str *ret_gone,
                           struct yd_str *ret_wider)
{
    const struct yd_record *record = &view->records[index];
    if (record->kind != YD_ROW || record->type != YD_MAP) return false;
    if (!yd_str_eq(yd_view_name(view, record->name), YD_STR(NAME))) return false;
    *ret_gone = cell_text(view, record, "gone");
    *ret_wider = cell_text(view, record, "wider");
    return true;
}

bool yd_redefine_next(struct yd_str *list, struct yd_str *ret_name)
{
    if (!list->size) return false;
    const char *end = memchr(list->data, '\n', list->size);
    size_t size = end ? (size_t)(end - list->data) : list->size;
    *ret_name = (struct yd_str){list->data, size};
    size += end != NULL;
    *list = (struct yd_str){list->data + size, list->size - size};
    return true;
}
