/* Broker: measurements for programs of this machine that each want something else.
 *
 *   records --> receive: name -> index, published into the source (live/source.h) --- "asleep?" --> caller
 *   SUBSCRIBE at the door (pump) --> the application's process (brokers.h) --> memory of its own
 *
 * Publishing is part of receive as it is in Live: it is this element's own state, and costs the same whoever
 * subscribes. Nobody gets at what he did not subscribe to: the table handed out at the door is empty. What can fail: a
 * value that does not fit (rejected), more names than `measurements` (rejected), an address that another process
 * answers at. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"
#include "elements/brokers.h"
#include "elements/classes.h"
#include "elements/live_access.h"
#include "elements/rows.h"
#include "flow/run.h"
#include "io/loop.h"
#include "io/pass.h"
#include "live/door_format.h"

enum { PORT_INPUT, PORT_QUERY };
enum { REASON_SIZE, REASON_TYPE, REASON_NAMES, REASON_NAME };
enum { COMMAND_CALL = 1 };
#define KINDS   (YD_KINDS_NUMERIC | YD_KIND_BIT(YD_STATE) | YD_KIND_BIT(YD_FACT))
#define REFUSED UINT32_MAX

struct state {
    struct yd_element *element;
    struct yd_broker *broker;
    struct yd_live_source *source; /* the broker's */
    struct yd_live_table *empty;   /* what the door hands out */
    struct yd_applications tells;  /* the run of those who are there */
    uint32_t value_max;
    struct yd_live_bell bells[YD_LIVE_BELLS_MAX];
    struct yd_live_access access[YD_LIVE_BELLS_MAX];
    unsigned access_count;
    char path[4096];
    uint32_t *indexes; /* of the names of the batch at hand: index + 1, 0: not looked up, REFUSED */
    uint32_t indexes_room;
};

struct pump {
    struct yd_pump *pump;
    const struct state *state;
    struct yd_broker *broker;
    struct yd_live_door *door;
    struct yd_watch *watch;
    struct yd_broker_member **members; /* by the client's slot at the door; NULL: has not subscribed */
};

static const char *const reasons[] = {[REASON_SIZE] = "value larger than value_size",
                                      [REASON_TYPE] = "a list or a map is no measurement",
                                      [REASON_NAMES] = "more names than measurements",
                                      [REASON_NAME] = "name is empty",
                                      NULL};

static const struct yd_port_class ports[] = {
    [PORT_INPUT] =
        {.name = "input",
         .direction = YD_IN,
         .mode = YD_PUSH,
         .kinds = YD_KINDS_ALL,
         .needs = KINDS,
         .flags = YD_PORT_REQUIRED,
         .doc = "Values. EVENTs, PACKETs and ROWs are no measurements: they are passed over, counted as folded."},
    [PORT_QUERY] = {.name = "query",
                    .direction = YD_IN,
                    .mode = YD_QUERY,
                    .schema = "rows",
                    .doc = "Answers `applications`: of each one that is there what it has subscribed to, got and lost, "
                           "and where; then of all that have left, together. `got`, `lost` and `unread` are as the "
                           "application says."},
    {.name = NULL}};

static const struct yd_param_class params[] = {
    {.name = "listen",
     .type = YD_PARAM_TEXT,
     .flags = YD_PARAM_WRITES,
     .doc = "Path of the Unix socket where applications subscribe. Without it `live/NAME.sock` in the data folder."},
    {.name = "access",
     .type = YD_PARAM_LIST,
     .doc = "Who may subscribe besides the user the daemon runs as, and behind a blank to which names: "
            "`[\"group:telemetry\", \"user:alice engine.*\"]`. The first entry that fits counts."},
    {.name = "ring",
     .type = YD_PARAM_SIZE,
     .initial = "4MiB",
     .min = 65536,
     .max = 1 << 30,
     .doc =
         "What applications may be behind before they lose values, a power of two: 48 bytes a number. They lose them "
         "each for itself, counted."},
    {.name = "measurements",
     .type = YD_PARAM_INT,
     .initial = "131072",
     .min = 16,
     .max = YD__TABLE_CAPACITY_MAX,
     .doc = "More names than this are rejected; those that are there go on. Memory is taken as they come."},
    {.name = "value_size",
     .type = YD_PARAM_SIZE,
     .initial = "64B",
     .min = 8,
     .max = 8192,
     .doc = "Room for a value that is text or bytes; larger ones are rejected."},
    {.name = "clients",
     .type = YD_PARAM_INT,
     .initial = "4096",
     .min = 1,
     .max = 1 << 20,
     .doc = "Applications that may be there at a time."},
    {.name = NULL}};

/* ---- looking ---- */

/* What it says of itself: anything. */
static const char *application_of(const struct yd_broker_member *member)
{
    return yd_text_utf8(yd_str_of(member->application)) ? member->application : "?";
}

/* Under the broker's lock. */
static struct yd_live_feed_said said_by(const struct yd_broker_member *member, uint64_t *ret_unread)
{
    struct yd_live_feed_said said = {0};
    if (member->watch.page) said = yd_live_feed_said(&member->watch);
    uint64_t ordered = atomic_load_explicit(&member->ordered, memory_order_relaxed);
    *ret_unread = ordered > said.ordered ? ordered - said.ordered : 0; /* he may have read what is not counted yet */
    return said;
}

struct shown { /* copied, so that nobody waits for the lock while they are told */
    struct yd_application_stat stat;
    char name[64];
};

static void copy_member(const struct yd_broker_member *member, struct shown *shown)
{
    struct yd_application_stat stat = {
        .id = member->id, .process = member->process, .user = member->uid, .priority = atomic_load(&member->priority)};
    struct yd_live_feed_said said = said_by(member, &stat.unread);
    stat.subscriptions = atomic_load_explicit(&member->subscriptions, memory_order_relaxed);
    stat.names = atomic_load_explicit(&member->names, memory_order_relaxed);
    stat.counts.passed = atomic_load_explicit(&member->passed, memory_order_relaxed);
    stat.counts.paced = atomic_load_explicit(&member->paced, memory_order_relaxed);
    stat.counts.overrun = atomic_load_explicit(&member->overrun, memory_order_relaxed);
    stat.counts.unplaced = atomic_load_explicit(&member->unplaced, memory_order_relaxed);
    stat.counts.got = said.got;
    stat.counts.lost = said.lost;
    shown->stat = stat;
    (void)snprintf(shown->name, sizeof shown->name, "%s", application_of(member));
}

static void tell_members(struct yd_broker *broker, const char *element, const struct yd_application_visit *visit)
{
    size_t count = 0, room = atomic_load(&broker->count) + 16u;
    struct shown *shown = malloc(room * sizeof *shown); /* no memory: none are told this time */
    if (!shown) return;
    yd_lock_take(&broker->lock);
    for (const struct yd_broker_member *member = broker->members; member && count < room; member = member->next)
        copy_member(member, &shown[count++]);
    yd_lock_give(&broker->lock);
    for (size_t i = 0; i < count; i++) {
        shown[i].stat.element = element;
        shown[i].stat.name = shown[i].name;
        shown[i].stat.is_stopped = yd_pass_is_stopped(shown[i].stat.process);
        visit->application(visit->arg, &shown[i].stat);
    }
    free(shown);
}

static void tell_all(void *arg, const struct yd_application_visit *visit)
{
    const struct state *state = arg;
    struct yd_broker *broker = state->broker;
    const char *element = yd_element_name(state->element);
    if (visit->application) tell_members(broker, element, visit);
    if (!visit->ended) return;
    struct yd_ended_stat stat = {.element = element,
                                 .count = atomic_load(&broker->ended_count),
                                 .counts.passed = atomic_load(&broker->ended_passed),
                                 .counts.paced = atomic_load(&broker->ended_paced),
                                 .counts.overrun = atomic_load(&broker->ended_overrun),
                                 .counts.unplaced = atomic_load(&broker->ended_unplaced),
                                 .counts.got = atomic_load(&broker->ended_got),
                                 .counts.lost = atomic_load(&broker->ended_lost)};
    visit->ended(visit->arg, &stat);
}

/* ---- opening ---- */

static int check(const struct yd_args *args, char *why, size_t why_size)
{
    int64_t ring = yd_args_int(args, "ring");
    if (ring & (ring - 1)) {
        (void)snprintf(why, why_size, "ring: a power of two, as 4MiB");
        return YD_EINVAL;
    }
    int64_t measurements = yd_args_int(args, "measurements"), size = yd_args_int(args, "value_size");
    if (!yd_live_source_fits((uint32_t)measurements, (uint32_t)size)) {
        (void)snprintf(why, why_size,
                       "measurements and value_size: %lld values of %lld bytes take more than the 32 GiB there is room "
                       "for; less of one of both",
                       (long long)measurements, (long long)size);
        return YD_EINVAL;
    }
    return yd__live_access_check(yd_args_find(args, "access"), why, why_size);
}

static int make_access(struct state *state, const struct yd_live_source_options *options)
{
    const struct yd_arg *access = yd_args_find(yd_element_args(state->element), "access");
    char why[400];
    state->access[state->access_count++] = (struct yd_live_access){.id = (uint32_t)geteuid()};
    for (size_t i = 0; access && i < access->list.count; i++) {
        struct yd_str pattern;
        int error = yd__live_access_read(access->list.items[i].text, &state->access[state->access_count], &pattern, why,
                                         sizeof why);
        if (error < 0) return yd_element_fail(state->element, error, "%s", why);
        if (pattern.size) error = yd_pattern_compile(pattern, &state->broker->allowed[state->access_count]);
        if (error < 0)
            return yd_element_fail(state->element, error, "access: '%.*s' is not a pattern of names",
                                   (int)(pattern.size < 80 ? pattern.size : 80), pattern.data);
        state->access_count++;
    }
    for (unsigned i = 0; i < state->access_count; i++) {
        int error = yd_live_bell_create(options->id, options->generation, options->now_ns, &state->bells[i]);
        if (error < 0) return yd_element_fail(state->element, error, "shared memory: %s", yd_error_text(error));
        yd_live_region_set_state(&state->bells[i].region, YD__LIVE_READY);
        state->access[i].bell = &state->bells[i];
    }
    return 0;
}

static int make_source(struct state *state, const struct yd_live_source_options *options)
{
    struct yd_live_table_options empty = {
        .generation = options->generation, .id = options->id, .now_ns = options->now_ns, .capacity = 16};
    int error = yd_live_source_create(options, &state->source);
    if (error < 0) return error;
    state->broker = yd_broker_create(yd_run_system(yd_element_run(state->element)), state->source);
    if (!state->broker) return YD_ENOMEM;
    error = yd_live_table_create(&empty, NULL, &state->empty);
    if (error == 0) yd_live_table_set_state(state->empty, YD__LIVE_READY);
    return error;
}

static int open_broker(struct yd_element *element, void *opaque)
{
    struct state *state = opaque;
    const struct yd_args *args = yd_element_args(element);
    state->element = element;
    state->value_max = (uint32_t)yd_args_int(args, "value_size");
    struct yd_live_source_options options = {.generation = (uint64_t)yd_element_wall(element),
                                             .id = yd_element_random(element),
                                             .now_ns = yd_element_wall(element),
                                             .measurements = (uint32_t)yd_args_int(args, "measurements"),
                                             .value_max = state->value_max,
                                             .ring_size = (uint64_t)yd_args_int(args, "ring")};
    int error = yd__live_access_path(element, state->path, sizeof state->path);
    if (error < 0) return error;
    error = make_source(state, &options);
    if (error < 0) return yd_element_fail(element, error, "shared memory: %s", yd_error_text(error));
    error = make_access(state, &options);
    if (error < 0) return error;
    state->tells = (struct yd_applications){.walk = tell_all, .arg = state};
    yd_run_tell_applications(yd_element_run(element), &state->tells);
    return 0;
}

static void close_broker(void *opaque)
{
    struct state *state = opaque;
    if (state->element) yd_run_forget_applications(yd_element_run(state->element), &state->tells);
    if (state->empty) yd_live_table_set_state(state->empty, YD__LIVE_CLOSED);
    yd_live_table_destroy(state->empty);
    for (unsigned i = 0; i < state->access_count; i++) yd_live_bell_destroy(&state->bells[i]);
    yd_broker_unref(state->broker);
    free(state->indexes);
}

/* ---- values ---- */

/* 0 or the reason's number + 1; < 0: the turn fails. */
static int declare(struct state *state, struct yd_str name, enum yd_type type, uint32_t room, uint32_t *slot)
{
    uint32_t index;
    int error = yd_live_source_declare(state->source, name, type, room, &index);
    if (error == YD_EINVAL && name.size) error = yd_live_source_find(state->source, name, &index); /* was a number */
    if (error == YD_EFULL) {
        *slot = REFUSED;
        return REASON_NAMES + 1;
    }
    if (error < 0) return error == YD_EINVAL || error == YD_ENOENT ? REASON_NAME + 1 : error;
    *slot = index + 1;
    return 0;
}

static int take(struct state *state, const struct yd_view *view, const struct yd_record *record)
{
    bool bytes = record->type == YD_TEXT || record->type == YD_BLOB;
    if (record->type == YD_LIST || record->type == YD_MAP) return REASON_TYPE + 1;
    struct yd_str value = {(const char *)&record->value.bits, record->type == YD_NIL ? 0 : 8};
    if (bytes) value = yd_view_bytes(view, record->value);
    if (value.size > state->value_max) return REASON_SIZE + 1;
    uint32_t *slot = &state->indexes[record->name];
    if (*slot == 0) {
        int result = declare(state, yd_view_name(view, record->name), (enum yd_type)record->type,
                             bytes ? state->value_max : 8, slot);
        if (result != 0) return result;
    }
    if (*slot == REFUSED) return REASON_NAMES + 1;
    int error = yd_live_source_put(state->source, *slot - 1, record->time_ns, (enum yd_type)record->type, record->flags,
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
            folded++;
            continue;
        }
        int result = take(state, view, record);
        if (result < 0) return YD_FAIL;
        if (result > 0) yd_count_rejected(out, (unsigned)result - 1, 1, yd_view_name(view, record->name));
    }
    if (folded) yd_count_folded(out, folded);
    if (yd_broker_is_asleep(state->broker)) (void)yd_out_command(out, COMMAND_CALL, 0, NULL, NULL, NULL);
    return YD_DONE;
}

/* ---- questions ---- */

struct told { /* of a member, while its broker is locked */
    const struct yd_broker_member *member;
    struct yd_live_feed_said said;
    uint64_t unread;
};

static int fill_counts(struct yd_builder *builder, const atomic_ullong *passed, const atomic_ullong *paced,
                       const atomic_ullong *overrun, const atomic_ullong *unplaced)
{
    int error = yd_rows_cell_u64(builder, "passed", atomic_load_explicit(passed, memory_order_relaxed));
    if (error == 0) error = yd_rows_cell_u64(builder, "paced", atomic_load_explicit(paced, memory_order_relaxed));
    if (error == 0) error = yd_rows_cell_u64(builder, "overrun", atomic_load_explicit(overrun, memory_order_relaxed));
    return error ? error : yd_rows_cell_u64(builder, "unplaced", atomic_load_explicit(unplaced, memory_order_relaxed));
}

static int fill_member(struct yd_builder *builder, const void *arg)
{
    const struct told *told = arg;
    const struct yd_broker_member *member = told->member;
    int error = yd_rows_cell_text(builder, "application", yd_str_of(application_of(member)));
    if (error == 0) error = yd_rows_cell_u64(builder, "user", member->uid);
    if (error == 0) error = yd_rows_cell_u64(builder, "priority", atomic_load(&member->priority));
    if (error == 0) error = yd_rows_cell_u64(builder, "subscriptions", atomic_load(&member->subscriptions));
    if (error == 0) error = yd_rows_cell_u64(builder, "names", atomic_load(&member->names));
    if (error == 0) error = fill_counts(builder, &member->passed, &member->paced, &member->overrun, &member->unplaced);
    if (error == 0) error = yd_rows_cell_u64(builder, "got", told->said.got);
    if (error == 0) error = yd_rows_cell_u64(builder, "lost", told->said.lost);
    return error ? error : yd_rows_cell_u64(builder, "unread", told->unread);
}

static int fill_ended(struct yd_builder *builder, const void *arg)
{
    const struct yd_broker *broker = arg;
    int error = fill_counts(builder, &broker->ended_passed, &broker->ended_paced, &broker->ended_overrun,
                            &broker->ended_unplaced);
    if (error == 0) error = yd_rows_cell_u64(builder, "got", atomic_load(&broker->ended_got));
    if (error == 0) error = yd_rows_cell_u64(builder, "lost", atomic_load(&broker->ended_lost));
    return error ? error : yd_rows_cell_u64(builder, "count", atomic_load(&broker->ended_count));
}

static enum yd_turn_result answer(const struct state *state, struct yd_input *input, struct yd_out *out)
{
    struct yd_broker *broker = state->broker;
    struct yd_rows rows;
    if (!yd_rows_op(input->batch, "applications")) return yd_rows_unknown(input, out, "applications");
    yd_rows_begin(&rows, input, out);
    yd_lock_take(&broker->lock);
    for (const struct yd_broker_member *member = broker->members; member; member = member->next) {
        char name[32];
        int size = snprintf(name, sizeof name, "process.%d", (int)member->process);
        struct told told = {.member = member};
        told.said = said_by(member, &told.unread);
        yd_rows_add(&rows, (struct yd_str){name, (size_t)size}, input->wall_ns, fill_member, &told);
    }
    yd_lock_give(&broker->lock);
    yd_rows_add(&rows, YD_STR("ended"), input->wall_ns, fill_ended, broker);
    return yd_rows_end(&rows);
}

static enum yd_turn_result receive(void *opaque, struct yd_input *input, struct yd_out *out)
{
    if (input->type == YD_INPUT_BATCH) return on_batch(opaque, input->batch, out);
    return input->type == YD_INPUT_QUERY ? answer(opaque, input, out) : YD_DONE;
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
    yd_pump_say(pump->pump, 1, "an application was turned away: %s", text);
}

static bool on_ask(void *arg, const struct yd_live_client *client, const void *message, size_t size)
{
    struct pump *pump = arg;
    struct yd_broker_member **member = &pump->members[(uint32_t)client->id];
    if (!*member) {
        unsigned access = 0; /* which entry: each has its own bell */
        while (access + 1 < pump->state->access_count && pump->state->access[access].bell != client->access->bell)
            access++;
        *member = yd_broker_enter(pump->broker, client, access);
    }
    return *member && yd_broker_ask(*member, message, size) == 0;
}

static void on_left(void *arg, uint64_t client_id)
{
    struct pump *pump = arg;
    struct yd_broker_member **member = &pump->members[(uint32_t)client_id];
    if (*member) yd_broker_leave(*member);
    *member = NULL;
}

static void put_away(struct pump *pump)
{
    yd_live_door_close(pump->door);
    pump->door = NULL;
    if (pump->broker) yd_broker_stop(pump->broker);
    yd_broker_unref(pump->broker);
    pump->broker = NULL;
    free(pump->members);
    pump->members = NULL;
}

static int start(struct yd_pump *yd_pump, void *opaque, void *element_state)
{
    struct pump *pump = opaque;
    const struct state *state = element_state;
    struct yd_trail trail = {0};
    unsigned clients = (unsigned)yd_args_int(yd_pump_args(yd_pump), "clients");
    pump->pump = yd_pump;
    pump->state = state;
    if (yd_element_simulated(state->element)) return 0; /* nobody could come in */
    pump->members = calloc(clients, sizeof(struct yd_broker_member *));
    if (!pump->members) return yd_pump_fail(yd_pump, YD_ENOMEM, "no memory for %u clients", clients);
    atomic_fetch_add(&state->broker->refs, 1);
    pump->broker = state->broker;
    struct yd_live_door_options options = {.path = state->path,
                                           .access = state->access,
                                           .access_count = state->access_count,
                                           .clients_max = clients,
                                           .table = yd_live_table_region(state->empty),
                                           .say = on_word,
                                           .ask = on_ask,
                                           .left = on_left,
                                           .arg = pump};
    int error = yd_broker_start(pump->broker);
    if (error == 0) error = yd_live_door_open(&options, &pump->door, &trail);
    if (error == 0)
        error = yd_watch_open(yd_pump_loop(yd_pump), yd_live_door_fd(pump->door), on_ready, pump, &pump->watch);
    if (error < 0) {
        put_away(pump);
        return yd_pump_fail(yd_pump, error, "listen: %s", trail.size ? yd_trail_text(&trail) : yd_error_text(error));
    }
    yd_pump_listens(yd_pump, "subscriptions", state->path);
    return 0;
}

static void stop(void *opaque)
{
    struct pump *pump = opaque;
    if (pump->watch) yd_watch_close(pump->watch);
    put_away(pump);
    yd_pump_stopped(pump->pump);
}

static void on_command(void *opaque, struct yd_command *command)
{
    struct pump *pump = opaque;
    if (command->type == COMMAND_CALL && pump->broker) yd_broker_call(pump->broker);
}

static const struct yd_pump_class pump_class = {
    .state_size = sizeof(struct pump),
    .start = start,
    .stop = stop,
    .command = on_command,
};

const struct yd_element_class yd_class_broker = {
    .abi = YD_ELEMENT_ABI,
    .name = "Broker",
    .summary = "measurements for programs that subscribe: every value or the latest, at the rate each of them wants",
    .doc =
        "Each application gets memory of its own with what it asked for: a pattern of names, every value in order or "
        "the latest, at most so many a second. An application that is slow, stopped or dead costs nobody else "
        "anything; what it loses is counted, for itself, exactly, and by where it was lost. Programs come by the C "
        "library `yarder-live` (`yd_live_subscribe` of `<yarder/live.h>`).",
    .example = "metrics -> Broker(access: [\"group:telemetry\", \"user:alice engine.*\"])",
    .ports = ports,
    .params = params,
    .reasons = reasons,
    .state_size = sizeof(struct state),
    .check = check,
    .open = open_broker,
    .close = close_broker,
    .receive = receive,
    .pump = &pump_class,
};
