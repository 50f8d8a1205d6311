/* In-file tests: `test "…" { feed … expect … advance … }`.
 *
 * Each test has a world of its own: a simulated loop, disk and clock, from a seed. The whole topology runs in it; only
 * what would reach for the real world does not start: pumps of sources and of loops (feed stands in for them).
 *
 *   feed, advance --> the world runs until all that follows at once has happened --> expect
 *
 * What an expectation sees: everything that came out of the port (of a Log's: that was appended to its stream) or went
 * into it, since the first feed or advance after the last expectation; several expectations in a row see the same. "At
 * once" leaves time for what disks and queues take (milliseconds), not for timers further away: those need `advance`.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <yarder/name.h>

#include "batch/record_text.h"
#include "flow/runtime.h"
#include "io/sim_file.h"
#include "io/sim_net.h"

#define AT_ONCE_NS    (5 * YD_NS_PER_MS) /* an event no further away than this belongs to what goes on */
#define SETTLE_MAX_NS (2 * YD_NS_PER_S)  /* of virtual time, for one feed */
#define STEPS_MAX     2000000            /* turns for one step: beyond it something goes round */

struct seen { /* what came by a port since the last group of expectations */
    struct yd_batch **batches;
    size_t count, capacity;
    uint64_t records;
};
struct ports_seen {
    struct seen *ports;
    size_t count;
};
struct test_world {
    const struct yd_topology *topology;
    struct yd_sim *sim;
    struct yd_loop *loop;
    struct yd_fs *fs;
    struct yd_pool *pool;
    struct yd_system *system;
    struct yd_run *run;
    struct ports_seen *nodes;
    struct yd_buf said;
    bool no_memory, fresh; /* fresh: an expectation was the last step */
};

/* ---- the world ---- */

static void tap(void *arg, uint32_t node, unsigned port, bool is_output, const struct yd_batch *batch)
{
    struct test_world *w = arg;
    const struct yd_port_class *class = &w->topology->nodes[node].class->ports[port];
    (void)is_output;
    struct seen *targets[2] = {&w->nodes[node].ports[port], NULL};
    if (class->direction == YD_IN) { /* what goes into a Log comes out of its stream */
        const struct yd_port_class *ports = w->topology->nodes[node].class->ports;
        for (size_t p = 0; p < w->nodes[node].count; p++)
            if (ports[p].flags & YD_PORT_CURSOR) targets[1] = &w->nodes[node].ports[p];
    }
    for (int i = 0; i < 2 && targets[i]; i++) {
        struct seen *seen = targets[i];
        if (seen->count == seen->capacity) {
            size_t capacity = seen->capacity ? seen->capacity * 2 : 8;
            struct yd_batch **batches = realloc(seen->batches, capacity * sizeof *batches);
            if (!batches) {
                w->no_memory = true;
                return;
            }
            seen->batches = batches;
            seen->capacity = capacity;
        }
        seen->batches[seen->count++] = yd_batch_ref((struct yd_batch *)(uintptr_t)batch);
        seen->records += batch->header.count;
    }
}

static void said(void *arg, const struct yd_run_line *line)
{
    struct test_world *w = arg;
    static const char *const levels[] = {"note", "warning", "error"};
    yd_buf_printf(&w->said, "  %s: %s: %s\n", levels[line->level < 0 || line->level > 2 ? 0 : line->level],
                  *line->element ? line->element : "the run", line->text);
}

static void forget(struct seen *seen)
{
    for (size_t i = 0; i < seen->count; i++) yd_batch_unref(seen->batches[i]);
    seen->count = 0;
    seen->records = 0;
}

static void forget_all(struct test_world *w)
{
    for (size_t n = 0; w->nodes && n < w->topology->node_count; n++)
        for (size_t p = 0; p < w->nodes[n].count; p++) forget(&w->nodes[n].ports[p]);
}

/* False: it goes round and round. */
static bool run_until(struct test_world *w, int64_t until)
{
    for (int turns = 0; turns < STEPS_MAX; turns++) {
        if (yd_system_step(w->system) > 0) continue;
        if (yd_sim_next(w->sim) > until) {
            yd_sim_run_until(w->sim, until);
            return true;
        }
        yd_sim_step(w->sim);
    }
    return false;
}

static bool settle(struct test_world *w)
{
    int64_t end = yd_sim_now(w->sim) + SETTLE_MAX_NS;
    for (int turns = 0; turns < STEPS_MAX; turns++) {
        if (yd_system_step(w->system) > 0) continue;
        int64_t next = yd_sim_next(w->sim), now = yd_sim_now(w->sim);
        if (next > end || next > now + AT_ONCE_NS) return true;
        yd_sim_step(w->sim);
    }
    return false;
}

static void world_close(struct test_world *w)
{
    yd_run_destroy(w->run);
    yd_system_destroy(w->system);
    yd_pool_destroy(w->pool);
    yd_loop_destroy(w->loop);
    yd_sim_destroy(w->sim);
    yd_sim_fs_destroy(w->fs);
    forget_all(w);
    for (size_t n = 0; w->nodes && n < w->topology->node_count; n++) {
        for (size_t p = 0; p < w->nodes[n].count; p++) free(w->nodes[n].ports[p].batches);
        free(w->nodes[n].ports);
    }
    free(w->nodes);
    yd_buf_fini(&w->said);
}

static int setup_seen(struct test_world *w)
{
    w->nodes = calloc(w->topology->node_count + 1, sizeof *w->nodes);
    if (!w->nodes) return YD_ENOMEM;
    for (size_t n = 0; n < w->topology->node_count; n++) {
        const struct yd_port_class *ports = w->topology->nodes[n].class->ports;
        while (ports && ports[w->nodes[n].count].name) w->nodes[n].count++;
        w->nodes[n].ports = calloc(w->nodes[n].count + 1, sizeof *w->nodes[n].ports);
        if (!w->nodes[n].ports) return YD_ENOMEM;
    }
    return 0;
}

static int world_open(struct test_world *w, uint64_t seed, struct yd_trail *trail)
{
    yd_buf_init(&w->said, NULL);
    w->said.size_max = 64 << 10;
    int error = setup_seen(w);
    if (error >= 0) error = yd_sim_create(seed, &w->sim);
    if (error >= 0) error = yd_sim_loop_create(w->sim, "test", &w->loop);
    if (error >= 0) error = yd_sim_fs_create(seed, &w->fs);
    if (error >= 0) error = yd_pool_create_sim(w->loop, &w->pool);
    struct yd_system_options system = {.node = "test", .executors = 1, .sim_loops = &w->loop, .sim_seed = seed};
    if (error >= 0) error = yd_system_create(&system, &w->system);
    if (error < 0) return yd_trail_add(trail, error, "cannot make a simulated world: %s", yd_error_text(error));
    struct yd_run_options options = {.system = w->system,
                                     .topology = w->topology,
                                     .data = "data",
                                     .fs = w->fs,
                                     .pool = w->pool,
                                     .simulated = true,
                                     .no_pumps = true,
                                     .said = said,
                                     .tap = tap,
                                     .callback_arg = w};
    return yd_run_start(&options, &w->run, trail);
}

/* ---- records: from the test's text, and beside what came ---- */

static bool number_of(const struct yd_arg *arg, double *ret)
{
    switch (arg->type) {
    case YD_PARAM_INT:
    case YD_PARAM_DURATION:
    case YD_PARAM_SIZE:
        *ret = (double)arg->i64;
        return true;
    case YD_PARAM_FLOAT:
    case YD_PARAM_RATE:
        *ret = arg->f64;
        return true;
    case YD_PARAM_BOOL:
        *ret = arg->boolean;
        return true;
    default:
        return false;
    }
}

static const struct yd_arg *key_of(const struct yd_arg *map, const char *name)
{
    for (size_t i = 0; i < map->list.count; i++)
        if (map->list.items[i].name && strcmp(map->list.items[i].name, name) == 0) return &map->list.items[i];
    return NULL;
}

static bool time_of(const struct yd_arg *arg, int64_t *ret)
{
    if (arg->type == YD_PARAM_TEXT) return yd_text_time(arg->text, ret) == 0;
    double seconds;
    if (arg->type == YD_PARAM_INT) {
        return !__builtin_mul_overflow(arg->i64, YD_NS_PER_S, ret);
    }
    if (!number_of(arg, &seconds)) return false;
    *ret = (int64_t)llround(seconds * 1e9);
    return true;
}

static bool value_matches(const struct yd_view *view, enum yd_type type, union yd_value value,
                          const struct yd_arg *want);

static bool list_matches(const struct yd_view *view, enum yd_type type, union yd_value value, const struct yd_arg *want)
{
    if ((type == YD_LIST) != (want->type == YD_PARAM_LIST) || (type != YD_LIST && type != YD_MAP)) return false;
    const struct yd_cells *cells = yd_view_cells(view, value);
    if (type == YD_LIST && cells->count != want->list.count) return false;
    for (size_t i = 0; i < want->list.count; i++) {
        const struct yd_arg *item = &want->list.items[i];
        const struct yd_cell *cell =
            type == YD_LIST ? &cells->cell[i] : yd_view_find(view, value, yd_str_of(item->name));
        if (!cell || !value_matches(view, (enum yd_type)cell->type, cell->value, item)) return false;
    }
    return true;
}

static bool value_matches(const struct yd_view *view, enum yd_type type, union yd_value value,
                          const struct yd_arg *want)
{
    double is, wanted;
    switch (want->type) {
    case YD_PARAM_TEXT:
        return (type == YD_TEXT || type == YD_BLOB) && yd_str_eq(yd_view_bytes(view, value), want->text);
    case YD_PARAM_LIST:
    case YD_PARAM_MAP:
        return list_matches(view, type, value, want);
    default:
        break;
    }
    if (type == YD_I64 && want->type == YD_PARAM_INT) return value.i64 == want->i64;
    return number_of(want, &wanted) && yd_value_number(type, value, &is) && is == wanted;
}

static bool name_matches(struct yd_str is, struct yd_str want)
{
    char canonical[YD_NAME_SIZE_MAX];
    size_t size;
    if (yd_str_eq(is, want)) return true;
    return yd_name_canonical(want, canonical, &size) == 0 && yd_str_eq(is, (struct yd_str){canonical, size});
}

static bool same_kind(struct yd_str text, enum yd_kind kind)
{
    const char *name = yd_kind_name(kind);
    return text.size == strlen(name) && strncasecmp(text.data, name, text.size) == 0;
}

static const struct {
    const char *key;
    uint16_t flag;
} flag_keys[] = {{"stale", YD_RECORD_STALE},
                 {"transition", YD_RECORD_TRANSITION},
                 {"rollover", YD_RECORD_ROLLOVER},
                 {"suspect", YD_RECORD_QUALITY},
                 {"tombstone", YD_RECORD_TOMBSTONE}};

int yd_test_code(struct yd_str text)
{
    static const char *const codes[] = {"ok", "warning", "critical", "unknown"};
    for (int i = 0; i < 4; i++)
        if (strlen(codes[i]) == text.size && strncasecmp(codes[i], text.data, text.size) == 0) return i;
    return -1;
}

static uint16_t flags_of(const struct yd_arg *record)
{
    const struct yd_arg *code = key_of(record, "code");
    unsigned flags = code && code->type == YD_PARAM_TEXT ? (unsigned)yd_test_code(code->text) & 3 : 0;
    for (size_t i = 0; i < YD_COUNT(flag_keys); i++) {
        const struct yd_arg *flag = key_of(record, flag_keys[i].key);
        if (flag && flag->type == YD_PARAM_BOOL && flag->boolean) flags |= flag_keys[i].flag;
    }
    return (uint16_t)flags;
}

static const char *flag_mismatch(uint16_t is, const struct yd_arg *want)
{
    const struct yd_arg *code = key_of(want, "code");
    if (code && (code->type != YD_PARAM_TEXT || yd_test_code(code->text) != (is & YD_RECORD_CODE_MASK))) return "code";
    for (size_t i = 0; i < YD_COUNT(flag_keys); i++) {
        const struct yd_arg *flag = key_of(want, flag_keys[i].key);
        if (flag && flag->boolean != ((is & flag_keys[i].flag) != 0)) return flag_keys[i].key;
    }
    return NULL;
}

/* NULL, or the key that differs. */
static const char *mismatch(const struct yd_view *view, uint32_t index, const struct yd_arg *want)
{
    const struct yd_record *record = &view->records[index];
    const struct yd_arg *name = key_of(want, "name"), *kind = key_of(want, "kind"), *time = key_of(want, "time"),
                        *value = key_of(want, "value");
    int64_t time_ns;
    if (name && (name->type != YD_PARAM_TEXT || !name_matches(yd_view_name(view, record->name), name->text)))
        return "name";
    if (kind && (kind->type != YD_PARAM_TEXT || !same_kind(kind->text, (enum yd_kind)record->kind))) return "kind";
    if (time && (!time_of(time, &time_ns) || time_ns != record->time_ns)) return "time";
    if (value && !value_matches(view, (enum yd_type)record->type, record->value, value)) return "value";
    return flag_mismatch(record->flags, want);
}

static void put_arg(struct yd_buf *to, const struct yd_arg *arg)
{
    char number[32];
    switch (arg->type) {
    case YD_PARAM_TEXT:
        yd_buf_printf(to, "\"%.*s\"", YD_STR_FMT(arg->text));
        break;
    case YD_PARAM_BOOL:
        yd_buf_cstr(to, arg->boolean ? "true" : "false");
        break;
    case YD_PARAM_FLOAT:
    case YD_PARAM_RATE:
        yd_buf_add(to, number, yd_text_put_f64(number, arg->f64));
        break;
    case YD_PARAM_LIST:
    case YD_PARAM_MAP:
        yd_buf_cstr(to, arg->type == YD_PARAM_LIST ? "[" : "{");
        for (size_t i = 0; i < arg->list.count; i++) {
            if (i) yd_buf_cstr(to, ", ");
            if (arg->type == YD_PARAM_MAP) yd_buf_printf(to, "%s: ", arg->list.items[i].name);
            put_arg(to, &arg->list.items[i]);
        }
        yd_buf_cstr(to, arg->type == YD_PARAM_LIST ? "]" : "}");
        break;
    default:
        yd_buf_printf(to, "%" PRId64, arg->i64);
        break;
    }
}

static int add_cell(struct yd_builder *builder, const struct yd_arg *cell)
{
    struct yd_str name = yd_str_of(cell->name);
    switch (cell->type) {
    case YD_PARAM_TEXT:
        return yd_builder_cell_bytes(builder, name, YD_TEXT, cell->text);
    case YD_PARAM_BOOL:
        return yd_builder_cell(builder, name, YD_BOOL, (union yd_value){.u64 = cell->boolean});
    case YD_PARAM_FLOAT:
    case YD_PARAM_RATE:
        return yd_builder_cell(builder, name, YD_F64, (union yd_value){.f64 = cell->f64});
    case YD_PARAM_LIST:
    case YD_PARAM_MAP: {
        int error = yd_builder_nest(builder, name, cell->type == YD_PARAM_LIST ? YD_LIST : YD_MAP);
        for (size_t i = 0; error >= 0 && i < cell->list.count; i++) error = add_cell(builder, &cell->list.items[i]);
        return error < 0 ? error : yd_builder_end(builder);
    }
    default:
        return yd_builder_cell(builder, name, YD_I64, (union yd_value){.i64 = cell->i64});
    }
}

static int add_value(struct yd_builder *builder, int64_t time_ns, uint32_t name, enum yd_kind kind, uint16_t flags,
                     const struct yd_arg *value)
{
    switch (value->type) {
    case YD_PARAM_TEXT:
        return yd_builder_add_bytes(builder, time_ns, name, kind, YD_TEXT, flags, value->text);
    case YD_PARAM_BOOL:
        return yd_builder_add(builder, time_ns, name, kind, YD_BOOL, flags, (union yd_value){.u64 = value->boolean});
    case YD_PARAM_FLOAT:
    case YD_PARAM_RATE:
        return yd_builder_add(builder, time_ns, name, kind, YD_F64, flags, (union yd_value){.f64 = value->f64});
    case YD_PARAM_LIST:
    case YD_PARAM_MAP: {
        int error =
            yd_builder_begin(builder, time_ns, name, kind, flags, value->type == YD_PARAM_LIST ? YD_LIST : YD_MAP);
        for (size_t i = 0; error >= 0 && i < value->list.count; i++) error = add_cell(builder, &value->list.items[i]);
        return error < 0 ? error : yd_builder_end(builder);
    }
    default:
        return yd_builder_add(builder, time_ns, name, kind, YD_I64, flags, (union yd_value){.i64 = value->i64});
    }
}

static enum yd_kind kind_of(const struct yd_arg *record, const struct yd_arg *value)
{
    const struct yd_arg *kind = key_of(record, "kind");
    for (int k = 1; kind && kind->type == YD_PARAM_TEXT && k < YD_KIND_COUNT; k++)
        if (same_kind(kind->text, (enum yd_kind)k)) return (enum yd_kind)k;
    if (key_of(record, "code")) return YD_STATE;
    if (!value || value->type == YD_PARAM_TEXT) return YD_EVENT;
    return value->type == YD_PARAM_MAP || value->type == YD_PARAM_LIST ? YD_ROW : YD_SAMPLE;
}

static int add_record(struct yd_builder *builder, const struct yd_arg *record, int64_t now)
{
    static const struct yd_arg empty = {.type = YD_PARAM_TEXT, .text = {"", 0}};
    const struct yd_arg *name = key_of(record, "name"), *time = key_of(record, "time"),
                        *value = key_of(record, "value");
    char canonical[YD_NAME_SIZE_MAX];
    size_t size;
    uint32_t at;
    if (time && !time_of(time, &now)) return YD_EFORMAT;
    int error =
        yd_name_canonical(name && name->type == YD_PARAM_TEXT ? name->text : YD_STR("record"), canonical, &size);
    if (error >= 0) error = yd_builder_name(builder, (struct yd_str){canonical, size}, &at);
    return error < 0 ? error
                     : add_value(builder, now, at, kind_of(record, value), flags_of(record), value ? value : &empty);
}

static int build(const struct yd_arg *records, int64_t now, struct yd_batch **ret_batch)
{
    struct yd_builder *builder;
    int error = yd_builder_create(NULL, &builder);
    if (error < 0) return error;
    for (size_t i = 0; error >= 0 && i < records->list.count; i++)
        error = add_record(builder, &records->list.items[i], now);
    if (error >= 0) error = yd_builder_seal(builder, ret_batch);
    yd_builder_destroy(builder);
    return error;
}

/* ---- the steps ---- */

static void put_place(struct test_world *w, const struct yd_step *step, struct yd_buf *to)
{
    const char *file = step->place.file < w->topology->file_count ? w->topology->files[step->place.file] : "?";
    yd_buf_printf(to, "%s:%u:%u: ", file, step->place.line, step->place.column);
}

static void put_target(struct test_world *w, const struct yd_step *step, struct yd_buf *to)
{
    const struct yd_node *node = &w->topology->nodes[step->node];
    yd_buf_printf(to, "%s.%s", node->name, node->class->ports[step->port].name);
}

static bool feed(struct test_world *w, const struct yd_step *step, struct yd_buf *report)
{
    const struct yd_node *node = &w->topology->nodes[step->node];
    struct yd_batch *batch = NULL;
    int error = 0;
    if (w->fresh) forget_all(w);
    w->fresh = false;
    if (step->is_text && !node->class->feed) {
        put_place(w, step, report);
        yd_buf_printf(report, "%s (%s) does not take text: feed it records\n", node->name, node->class->name);
        return false;
    }
    if (!step->is_text && step->records->list.count == 0) return true;
    if (!step->is_text) error = build(step->records, yd_loop_wall(w->loop), &batch);
    if (error >= 0)
        error = yd_run_feed(w->run, step->node, step->is_text ? UINT32_MAX : step->port,
                            step->is_text ? step->text : YD_STR(""), batch);
    if (error >= 0 && settle(w)) return true;
    put_place(w, step, report);
    yd_buf_printf(report, "%s\n",
                  error < 0 ? yd_error_text(error) : "the topology does not come to rest after this feed");
    return false;
}

static bool advance(struct test_world *w, const struct yd_step *step, struct yd_buf *report)
{
    if (w->fresh) forget_all(w);
    w->fresh = false;
    if (run_until(w, yd_sim_now(w->sim) + step->advance_ns) && settle(w)) return true;
    put_place(w, step, report);
    yd_buf_cstr(report, "the topology does not come to rest\n");
    return false;
}

static void put_record(struct yd_buf *to, char sign, const struct yd_view *view, uint32_t index)
{
    yd_buf_printf(to, "  %c ", sign);
    struct yd_json json;
    yd_json_init(&json, to, false);
    yd_record_json(view, index, YD_NO_SEQNO, &json);
    yd_buf_char(to, '\n');
}

static void put_came(const struct seen *seen, struct yd_buf *to)
{
    uint64_t shown = 0;
    for (size_t b = 0; b < seen->count; b++)
        for (uint32_t i = 0; i < seen->batches[b]->header.count; i++)
            if (shown++ < 20) put_record(to, '+', &seen->batches[b]->view, i);
    if (shown > 20) yd_buf_printf(to, "  … and %" PRIu64 " more\n", shown - 20);
}

static bool expect_equal(struct test_world *w, const struct yd_step *step, const struct seen *seen,
                         struct yd_buf *report)
{
    const struct yd_arg *want = step->records;
    struct yd_buf lines;
    yd_buf_init(&lines, NULL);
    bool equal = seen->records == want->list.count;
    size_t at = 0;
    for (size_t b = 0; b < seen->count; b++) {
        const struct yd_view *view = &seen->batches[b]->view;
        for (uint32_t i = 0; i < seen->batches[b]->header.count; i++, at++) {
            const struct yd_arg *wanted = at < want->list.count ? &want->list.items[at] : NULL;
            const char *key = wanted ? mismatch(view, i, wanted) : NULL;
            if (key) {
                yd_buf_cstr(&lines, "  - ");
                put_arg(&lines, wanted);
                yd_buf_printf(&lines, "    (%s differs)\n", key);
            }
            put_record(&lines, wanted && !key ? ' ' : '+', view, i);
            equal = equal && !key;
        }
    }
    for (; at < want->list.count; at++) {
        yd_buf_cstr(&lines, "  - ");
        put_arg(&lines, &want->list.items[at]);
        yd_buf_char(&lines, '\n');
    }
    if (!equal) {
        put_place(w, step, report);
        put_target(w, step, report);
        yd_buf_printf(report, ": %zu %s expected, %" PRIu64 " came (- expected, + came)\n", want->list.count,
                      want->list.count == 1 ? "record" : "records", seen->records);
        yd_buf_str(report, yd_buf_view(&lines));
    }
    yd_buf_fini(&lines);
    return equal;
}

static bool expect(struct test_world *w, const struct yd_step *step, struct yd_buf *report)
{
    const struct seen *seen = &w->nodes[step->node].ports[step->port];
    w->fresh = true;
    if (step->expect == YD_EXPECT_EQUAL) return expect_equal(w, step, seen, report);
    uint64_t want = step->expect == YD_EXPECT_COUNT ? step->count : 0;
    if (seen->records == want) return true;
    put_place(w, step, report);
    put_target(w, step, report);
    if (step->expect == YD_EXPECT_EMPTY) {
        yd_buf_printf(report, ": nothing was expected, %" PRIu64 " came\n", seen->records);
    } else {
        yd_buf_printf(report, ": %" PRIu64 " %s expected, %" PRIu64 " came\n", want, want == 1 ? "was" : "were",
                      seen->records);
    }
    put_came(seen, report);
    return false;
}

static bool run_step(struct test_world *w, const struct yd_step *step, struct yd_buf *report)
{
    switch (step->type) {
    case YD_STEP_FEED:
        return feed(w, step, report);
    case YD_STEP_ADVANCE:
        return advance(w, step, report);
    case YD_STEP_EXPECT:
        return expect(w, step, report);
    }
    return false;
}

int yd_test_run(const struct yd_topology *topology, size_t index, uint64_t seed, struct yd_test_result *ret)
{
    if (index >= topology->test_count) return YD_EINVAL;
    const struct yd_test *test = &topology->tests[index];
    struct test_world w = {.topology = topology};
    struct yd_trail trail = {0};
    *ret = (struct yd_test_result){.name = test->name, .place = test->place, .passed = true};
    yd_buf_init(&ret->report, NULL);
    int error = world_open(&w, seed, &trail);
    if (error < 0) {
        yd_buf_printf(&ret->report, "the topology does not start: %s\n", yd_trail_text(&trail));
        ret->passed = false;
        world_close(&w);
        return error;
    }
    if (!settle(&w)) yd_buf_cstr(&ret->report, "the topology does not come to rest after its start\n");
    for (size_t i = 0; i < test->step_count && ret->report.size == 0; i++) {
        if (run_step(&w, &test->steps[i], &ret->report)) continue;
        ret->place = test->steps[i].place;
    }
    ret->passed = ret->report.size == 0;
    if (!ret->passed && w.said.size) {
        yd_buf_cstr(&ret->report, "said meanwhile:\n");
        yd_buf_str(&ret->report, yd_buf_view(&w.said));
    }
    world_close(&w);
    return w.no_memory ? YD_ENOMEM : 0;
}
