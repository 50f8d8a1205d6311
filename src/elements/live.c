/* Live: current values in shared memory, for programs of this machine.
 *
 *   records --> receive: name -> index, published; bells rung once a batch --> table <-- mapped read-only by readers
 *                 |  full: a larger table of a later generation                     <-- handed out at the door (pump)
 *
 * Publishing is part of receive, though the memory is seen by others: it is this element's own state, the writer never
 * waits for a reader, and a batch that is given again publishes its values again. What can fail: a value that does not
 * fit (rejected), more names than `measurements_max` (rejected), no memory for a larger table (the turn fails), an
 * address that another process answers at (the start fails). The reader's side: <yarder/live.h>. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/text.h"
#include "elements/classes.h"
#include "elements/live_access.h"
#include "elements/redefine.h"
#include "io/loop.h"
#include "live/door.h"
#include "live/table_read.h"
#include "live/table_write.h"

enum { INPUT };
enum { REASON_SIZE, REASON_TYPE, REASON_NAMES, REASON_NAME };
enum { COMMAND_REPLACE = 1 };
#define KINDS (YD_KINDS_NUMERIC | YD_KIND_BIT(YD_STATE) | YD_KIND_BIT(YD_FACT))

struct state {
    struct yd_element *element;
    struct yd_live_table *table;
    struct yd_live_table_options options;
    uint32_t measurements_max, value_max;
    struct yd_live_bell bells[YD_LIVE_BELLS_MAX];
    struct yd_live_access access[YD_LIVE_BELLS_MAX];
    unsigned access_count;
    char path[4096];
    uint32_t *indexes; /* of the names of the batch at hand: index + 1, 0: not looked up, REFUSED */
    uint32_t indexes_room;
};
#define REFUSED UINT32_MAX

struct pump {
    struct yd_pump *pump;
    struct yd_live_door *door;
    struct yd_watch *watch;
};

/* What goes to the pump with COMMAND_REPLACE. */
struct replacement {
    int fd;
    uint64_t generation, id;
};

static const char *const reasons[] = {[REASON_SIZE] = "value larger than value_size",
                                      [REASON_TYPE] = "a list or a map is no current value",
                                      [REASON_NAMES] = "more names than measurements_max",
                                      [REASON_NAME] = "name is empty",
                                      NULL};

static const struct yd_port_class ports[] = {
    [INPUT] = {.name = "input",
               .direction = YD_IN,
               .mode = YD_PUSH,
               .kinds = YD_KINDS_ALL,
               .needs = KINDS,
               .flags = YD_PORT_REQUIRED,
               .doc =
                   "Values. EVENTs, PACKETs and ROWs have no current value: they are passed over, counted as folded."},
    {.name = NULL}};

static const struct yd_param_class params[] = {
    {.name = "listen",
     .type = YD_PARAM_TEXT,
     .flags = YD_PARAM_WRITES,
     .doc = "Path of the Unix socket where readers are let in. Without it `live/NAME.sock` in the data folder."},
    {.name = "access",
     .type = YD_PARAM_LIST,
     .doc = "Who may read besides the user the daemon runs as: `[\"group:telemetry\", \"user:alice\"]`. Each of these "
            "has its own bell: a program of one cannot disturb how programs of another are woken."},
    {.name = "slots",
     .type = YD_PARAM_INT,
     .initial = "8",
     .min = 4,
     .max = YD__TABLE_SLOTS_MAX,
     .doc = "Values kept of each measurement, a power of two: who reads every value may be so far behind."},
    {.name = "measurements",
     .type = YD_PARAM_INT,
     .initial = "16384",
     .min = 16,
     .max = YD__TABLE_CAPACITY_MAX,
     .doc = "Names there is room for at first. When it is used up readers are moved to a table twice as large."},
    {.name = "measurements_max",
     .type = YD_PARAM_INT,
     .initial = "1048576",
     .min = 16,
     .max = YD__TABLE_CAPACITY_MAX,
     .doc = "More names than this are rejected; those that are there go on."},
    {.name = "value_size",
     .type = YD_PARAM_SIZE,
     .initial = "64B",
     .min = 8,
     .max = YD__TABLE_VALUE_MAX,
     .doc = "Room for a value that is text or bytes; larger ones are rejected."},
    {.name = "clients",
     .type = YD_PARAM_INT,
     .initial = "4096",
     .min = 1,
     .max = 1 << 20,
     .doc = "Programs that may read at a time."},
    {.name = NULL}};

/* ---- parameters ---- */

static int check(const struct yd_args *args, char *why, size_t why_size)
{
    const struct yd_arg *access = yd_args_find(args, "access");
    int64_t slots = yd_args_int(args, "slots");
    if (slots & (slots - 1)) {
        (void)snprintf(why, why_size, "slots: a power of two, as 8");
        return YD_EINVAL;
    }
    if (yd_args_int(args, "measurements") > yd_args_int(args, "measurements_max")) {
        (void)snprintf(why, why_size, "measurements: more than measurements_max");
        return YD_EINVAL;
    }
    return yd__live_access_check(access, why, why_size);
}

static int make_access(struct state *state)
{
    const struct yd_arg *access = yd_args_find(yd_element_args(state->element), "access");
    char why[400];
    state->access[state->access_count++] = (struct yd_live_access){.id = (uint32_t)geteuid()};
    for (size_t i = 0; access && i < access->list.count; i++) {
        struct yd_str pattern;
        int error = yd__live_access_read(access->list.items[i].text, &state->access[state->access_count], &pattern, why,
                                         sizeof why);
        if (error == 0 && pattern.size)
            return yd_element_fail(state->element, YD_EINVAL,
                                   "access: a pattern behind the name: only a Broker shows a part of the names");
        if (error < 0) return yd_element_fail(state->element, error, "%s", why);
        state->access_count++;
    }
    for (unsigned i = 0; i < state->access_count; i++) {
        int error =
            yd_live_bell_create(state->options.id, state->options.generation, state->options.now_ns, &state->bells[i]);
        if (error < 0) return yd_element_fail(state->element, error, "shared memory: %s", yd_error_text(error));
        yd_live_region_set_state(&state->bells[i].region, YD__LIVE_READY);
        state->access[i].bell = &state->bells[i];
    }
    return 0;
}

/* ---- the table ---- */

static int make_table(struct state *state, struct yd_live_table **ret_table)
{
    struct yd_live_table *table;
    state->options.cells_size =
        state->options.capacity * yd_live_table_cell_size(state->value_max, state->options.slots, false);
    state->options.names_size = (uint64_t)state->options.capacity * 128;
    int error = yd_live_table_create(&state->options, NULL, &table);
    if (error < 0) return error;
    for (unsigned i = 0; i < state->access_count; i++) (void)yd_live_table_add_bell(table, &state->bells[i]);
    *ret_table = table;
    return 0;
}

static int open_live(struct yd_element *element, void *opaque)
{
    struct state *state = opaque;
    const struct yd_args *args = yd_element_args(element);
    state->element = element;
    state->value_max = (uint32_t)yd_args_int(args, "value_size");
    state->measurements_max = (uint32_t)yd_args_int(args, "measurements_max");
    state->options = (struct yd_live_table_options){.generation = (uint64_t)yd_element_wall(element),
                                                    .id = yd_element_random(element),
                                                    .now_ns = yd_element_wall(element),
                                                    .capacity = (uint32_t)yd_args_int(args, "measurements"),
                                                    .slots = (uint32_t)yd_args_int(args, "slots")};
    int error = yd__live_access_path(element, state->path, sizeof state->path);
    if (error == 0) error = make_access(state);
    if (error < 0) return error;
    error = make_table(state, &state->table);
    if (error < 0) return yd_element_fail(element, error, "shared memory: %s", yd_error_text(error));
    yd_live_table_set_state(state->table, YD__LIVE_READY);
    return 0;
}

static void close_live(void *opaque)
{
    struct state *state = opaque;
    if (state->table) yd_live_table_set_state(state->table, YD__LIVE_CLOSED);
    yd_live_table_destroy(state->table);
    for (unsigned i = 0; i < state->access_count; i++) yd_live_bell_destroy(&state->bells[i]);
    free(state->indexes);
}

/* Names that there are no more; names whose values need the room of texts from now on. NULL: none. */
struct changes {
    struct yd_intern gone, wider;
};

/* What the old table had is in the new one before anybody sees it: names in their order, and their newest values. */
static int copy_values(const struct state *state, struct yd_live_table *to, const struct changes *changes)
{
    const struct yd_live_region *region = yd_live_table_region(state->table);
    struct yd_live_mapping mapping = {region->header, region->size, false};
    struct yd_live_table_view view;
    char *bytes = malloc(state->value_max);
    int error = bytes ? yd_live_table_view_open(&mapping, &view) : YD_ENOMEM;
    for (uint32_t i = 0; error >= 0 && i < yd_live_table_count(state->table); i++) {
        struct yd_live_cell cell;
        struct yd_live_cursor cursor = {0};
        struct yd_live_value value;
        struct yd_str name = {0};
        uint32_t size = 0, index;
        error = yd_live_table_view_cell(&view, i, &cell);
        if (error == 0) error = yd_live_table_view_name(&view, i, &name.data, &size);
        name.size = size;
        if (error == 0 && changes && yd_intern_find(&changes->gone, name) != YD_INTERN_NONE) continue;
        bool wider =
            changes && cell.value_size < state->value_max && yd_intern_find(&changes->wider, name) != YD_INTERN_NONE;
        if (error == 0)
            error = yd_live_table_declare(to, name, wider ? YD_TEXT : (enum yd_type)cell.type,
                                          wider ? state->value_max : cell.value_size, &index);
        if (error < 0 || yd_live_cell_get(&cell, &cursor, bytes, state->value_max, &value) != 1) continue;
        error = yd_live_table_set(to, index, value.time_ns, (enum yd_type)value.type, value.flags, bytes, value.size);
    }
    free(bytes);
    return error < 0 ? error : 0;
}

static void release_replacement(void *data)
{
    struct replacement *replacement = data;
    if (replacement->fd >= 0) (void)close(replacement->fd);
    free(replacement);
}

/* Another table takes over: a new generation. */
static int replace(struct state *state, uint32_t capacity, const struct changes *changes, struct yd_out *out)
{
    struct yd_live_table_options before = state->options;
    state->options.capacity = capacity;
    state->options.now_ns = yd_now_wall(out);
    state->options.generation =
        (uint64_t)state->options.now_ns > before.generation ? (uint64_t)state->options.now_ns : before.generation + 1;
    struct yd_live_table *table = NULL;
    struct replacement *replacement = malloc(sizeof *replacement);
    int error = replacement ? make_table(state, &table) : YD_ENOMEM;
    if (error == 0) error = copy_values(state, table, changes);
    if (error == 0) yd_live_table_set_copied(table, before.generation);
    if (replacement) *replacement = (struct replacement){-1, state->options.generation, state->options.id};
    if (error == 0) error = yd_live_region_reader_fd(yd_live_table_region(table), &replacement->fd);
    if (error < 0) {
        state->options = before;
        yd_live_table_destroy(table);
        free(replacement);
        return error;
    }
    yd_live_table_set_state(table, YD__LIVE_READY);
    yd_live_table_set_state(state->table, YD__LIVE_REPLACED);
    yd_live_table_destroy(state->table);
    state->table = table;
    return yd_out_command(out, COMMAND_REPLACE, 0, NULL, replacement, release_replacement);
}

/* One twice as large. YD_EFULL: that would be more than is allowed. */
static int grow(struct state *state, struct yd_out *out)
{
    uint32_t capacity = state->options.capacity;
    if (capacity >= state->measurements_max) return YD_EFULL;
    return replace(state, capacity * 2 < state->measurements_max ? capacity * 2 : state->measurements_max, NULL, out);
}

/* Those of a list that are in the table, into `to`. */
static int take_list(const struct state *state, struct yd_str list, struct yd_intern *to)
{
    struct yd_str name;
    uint32_t index, id;
    int error = 0;
    while (error >= 0 && yd_redefine_next(&list, &name))
        if (yd_live_table_find(state->table, name, &index) == 0) error = yd_intern_add(to, name, &id);
    return error < 0 ? error : 0;
}

/* The values have another definition from here on (redefine.h). A table that has none of those names stays. */
static int redefine(struct state *state, struct yd_str gone, struct yd_str wider, struct yd_out *out)
{
    struct changes changes;
    yd_intern_init(&changes.gone, NULL, 0);
    yd_intern_init(&changes.wider, NULL, 0);
    int error = take_list(state, gone, &changes.gone);
    if (error == 0) error = take_list(state, wider, &changes.wider);
    if (error == 0 && changes.gone.count + changes.wider.count > 0)
        error = replace(state, state->options.capacity, &changes, out);
    yd_intern_fini(&changes.gone);
    yd_intern_fini(&changes.wider);
    return error;
}

/* ---- values ---- */

static int declare(struct state *state, const struct yd_view *view, const struct yd_record *record, uint32_t room,
                   uint32_t *ret_index, struct yd_out *out)
{
    struct yd_str name = yd_view_name(view, record->name);
    int error = yd_live_table_declare(state->table, name, (enum yd_type)record->type, room, ret_index);
    if (error == YD_EINVAL && name.size) /* it was a number before: its room is for that */
        error = yd_live_table_find(state->table, name, ret_index);
    while (error == YD_EFULL) {
        error = grow(state, out);
        if (error == 0)
            error = yd_live_table_declare(state->table, name, (enum yd_type)record->type, room, ret_index);
        else if (error == YD_EFULL)
            break;
    }
    return error;
}

/* 0 or the reason's number + 1; < 0: the turn fails. */
static int take(struct state *state, const struct yd_view *view, const struct yd_record *record, struct yd_out *out)
{
    bool bytes = record->type == YD_TEXT || record->type == YD_BLOB;
    if (record->type == YD_LIST || record->type == YD_MAP) return REASON_TYPE + 1;
    struct yd_str value = {(const char *)&record->value.bits, record->type == YD_NIL ? 0 : 8};
    if (bytes) value = yd_view_bytes(view, record->value);
    if (value.size > state->value_max) return REASON_SIZE + 1;
    uint32_t index = state->indexes[record->name];
    if (index == REFUSED) return REASON_NAMES + 1;
    if (index == 0) {
        int error = declare(state, view, record, bytes ? state->value_max : 8, &index, out);
        if (error == YD_EFULL) {
            state->indexes[record->name] = REFUSED;
            return REASON_NAMES + 1;
        }
        if (error < 0) return error == YD_EINVAL ? REASON_NAME + 1 : error;
        state->indexes[record->name] = ++index;
    }
    int error = yd_live_table_set(state->table, index - 1, record->time_ns, (enum yd_type)record->type, record->flags,
                                  value.data, (uint32_t)value.size);
    return error == YD_ETOOBIG ? REASON_SIZE + 1 : error;
}

static enum yd_turn_result on_batch(struct state *state, const struct yd_batch *batch, struct yd_out *out)
{
    const struct yd_view *view = &batch->view;
    uint64_t folded = 0;
    if (view->name_count > state->indexes_room) {
        uint32_t *indexes = realloc(state->indexes, view->name_count * sizeof *indexes);
        if (!indexes) return YD_FAIL;
        state->indexes = indexes;
        state->indexes_room = view->name_count;
    }
    memset(state->indexes, 0, view->name_count * sizeof *state->indexes);
    for (uint32_t i = 0; i < view->count; i++) {
        const struct yd_record *record = &view->records[i];
        if (!(YD_KIND_BIT(record->kind) & KINDS)) {
            struct yd_str gone, wider;
            folded++;
            if (!yd_redefine_mark_read(view, i, &gone, &wider)) continue;
            if (redefine(state, gone, wider, out) < 0) return YD_FAIL;
            memset(state->indexes, 0, view->name_count * sizeof *state->indexes);
            continue;
        }
        int result = take(state, view, record, out);
        if (result < 0) return YD_FAIL;
        if (result > 0) yd_count_rejected(out, (unsigned)result - 1, 1, yd_view_name(view, record->name));
    }
    yd_live_table_ring(state->table);
    if (folded) yd_count_folded(out, folded);
    return YD_DONE;
}

static enum yd_turn_result receive(void *opaque, struct yd_input *input, struct yd_out *out)
{
    return input->type == YD_INPUT_BATCH ? on_batch(opaque, input->batch, out) : YD_DONE;
}

/* ---- the door ---- */

static void on_ready(void *arg)
{
    struct pump *pump = arg;
    yd_live_door_run(pump->door);
}

static void on_word(void *arg, const char *text)
{
    struct pump *pump = arg;
    yd_pump_say(pump->pump, 1, "a reader was turned away: %s", text);
}

static int start(struct yd_pump *yd_pump, void *opaque, void *element_state)
{
    struct pump *pump = opaque;
    const struct state *state = element_state;
    struct yd_trail trail = {0};
    pump->pump = yd_pump;
    if (yd_element_simulated(state->element)) return 0; /* nobody could come in */
    struct yd_live_door_options options = {.path = state->path,
                                           .access = state->access,
                                           .access_count = state->access_count,
                                           .clients_max = (unsigned)yd_args_int(yd_pump_args(yd_pump), "clients"),
                                           .table = yd_live_table_region(state->table),
                                           .say = on_word,
                                           .arg = pump};
    int error = yd_live_door_open(&options, &pump->door, &trail);
    if (error < 0)
        return yd_pump_fail(yd_pump, error, "listen: %s", trail.size ? yd_trail_text(&trail) : yd_error_text(error));
    error = yd_watch_open(yd_pump_loop(yd_pump), yd_live_door_fd(pump->door), on_ready, pump, &pump->watch);
    if (error < 0) {
        yd_live_door_close(pump->door);
        return yd_pump_fail(yd_pump, error, "listen: %s", yd_error_text(error));
    }
    yd_pump_listens(yd_pump, "live values", state->path);
    return 0;
}

static void stop(void *opaque)
{
    struct pump *pump = opaque;
    if (pump->watch) yd_watch_close(pump->watch);
    yd_live_door_close(pump->door);
    pump->door = NULL;
    yd_pump_stopped(pump->pump);
}

static void on_command(void *opaque, struct yd_command *command)
{
    struct pump *pump = opaque;
    struct replacement *replacement = command->data;
    if (command->type != COMMAND_REPLACE || !pump->door) return;
    yd_live_door_replace(pump->door, replacement->fd, replacement->generation, replacement->id);
    replacement->fd = -1; /* the door's */
}

static const struct yd_pump_class pump_class = {
    .state_size = sizeof(struct pump),
    .start = start,
    .stop = stop,
    .command = on_command,
};

const struct yd_element_class yd_class_live = {
    .abi = YD_ELEMENT_ABI,
    .name = "Live",
    .summary = "current values in shared memory, read by programs of this machine in nanoseconds",
    .doc = "Readers map the memory read-only and never slow the writer, whatever they do. They come by `yarder live`, "
           "the C library `yarder-live` (`<yarder/live.h>`) or Python's `yarder.live`, get the newest value of a name, "
           "or each one with an exact count of those they missed, and sleep until there is one. When the daemon dies "
           "they keep the last values and go over to its successor by themselves.",
    .example = "metrics -> Live(access: [\"group:telemetry\"])",
    .ports = ports,
    .params = params,
    .reasons = reasons,
    .state_size = sizeof(struct state),
    .check = check,
    .open = open_live,
    .close = close_live,
    .receive = receive,
    .pump = &pump_class,
};
