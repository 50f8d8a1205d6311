#include "tested.h"

#define HOUR (3600 * YD_NS_PER_S)

/* ---- a world ---- */

void tested_open(struct tested *t)
{
    memset(t, 0, sizeof *t);
    t->seed = 7;
    yd_buf_init(&t->out, NULL);
    assert_int_equal(yd_sim_fs_create(t->seed, &t->fs), 0);
}

void tested_close(struct tested *t)
{
    if (t->topology) tested_stop(t); /* also of one that did not start */
    yd_sim_fs_destroy(t->fs);
    yd_buf_fini(&t->out);
}

static void said(void *arg, const struct yd_run_line *line)
{
    struct tested *t = arg;
    size_t at = strlen(t->said);
    (void)snprintf(t->said + at, sizeof t->said - at, "%s: %s\n", line->element, line->text);
}

static void finished(void *arg, int exit_code)
{
    struct tested *t = arg;
    t->finished = true;
    t->exit_code = exit_code;
}

static void tap(void *arg, uint32_t node, unsigned port, bool is_output, const struct yd_batch *batch)
{
    struct tested *t = arg;
    const struct yd_node *at = &t->topology->nodes[node];
    if (!is_output) {
        t->last_input = batch;
        return;
    }
    if (t->listen_to && strcmp(t->listen_to, at->name)) return;
    t->emitted++;
    t->passed_whole += batch == t->last_input;
    for (uint32_t i = 0; i < batch->view.count; i++) {
        const struct yd_record *record = &batch->view.records[i];
        yd_buf_printf(&t->out, "%s.%s %s %.*s ", at->name, at->class->ports[port].name,
                      yd_kind_name((enum yd_kind)record->kind), YD_STR_FMT(yd_view_name(&batch->view, record->name)));
        if (record->kind == YD_STATE)
            yd_buf_printf(&t->out, "%u%s%s ", record->flags & YD_RECORD_CODE_MASK,
                          record->flags & YD_RECORD_STALE ? " stale" : "",
                          record->flags & YD_RECORD_TRANSITION ? " transition" : "");
        yd_value_text(&batch->view, (enum yd_type)record->type, record->value, &t->out);
        yd_buf_char(&t->out, '\n');
    }
    /* What a reader would check. */
    struct yd_view view;
    assert_int_equal(yd_view_open(&batch->header, batch->body->data, true, &view), 0);
}

const struct yd_classes *tested_classes;

static int read_text(void *arg, const char *path, char **ret_text, size_t *ret_size)
{
    size_t size = strlen(path);
    if (size < 3 || strcmp(path + size - 3, ".yd") != 0)
        return YD_ENOENT; /* what a parameter names: opening it will tell */
    *ret_text = strdup(arg);
    *ret_size = strlen(arg);
    return *ret_text ? 0 : YD_ENOMEM;
}

static struct yd_topology *load(const char *text, struct yd_buf *ret_printed)
{
    struct yd_diagnostics diagnostics;
    struct yd_topology *topology = NULL;
    struct yd_load_options options = {.classes = tested_classes ? tested_classes : yd_builtin_classes(),
                                      .read_file = read_text,
                                      .arg = (void *)(uintptr_t)text};
    yd_diagnostics_init(&diagnostics, NULL);
    yd_buf_init(ret_printed, NULL);
    if (yd_topology_load("test.yd", &options, &topology, &diagnostics) < 0) topology = NULL;
    yd_diagnostics_print(&diagnostics, false, ret_printed);
    yd_diagnostics_fini(&diagnostics);
    return topology;
}

static struct yd_topology *load_well(const char *text)
{
    struct yd_buf printed;
    struct yd_topology *topology = load(text, &printed);
    if (!topology) fail_msg("%s", text_of(&printed));
    yd_buf_fini(&printed);
    return topology;
}

int tested_try(struct tested *t, const char *text, struct yd_trail *trail)
{
    t->topology = load_well(text);
    t->finished = false;
    assert_int_equal(yd_sim_create(t->seed, &t->sim), 0);
    assert_int_equal(yd_sim_loop_create(t->sim, "test", &t->loop), 0);
    assert_int_equal(yd_pool_create_sim(t->loop, &t->pool), 0);
    struct yd_system_options system = {.executors = 1, .sim_loops = &t->loop, .sim_seed = t->seed};
    assert_int_equal(yd_system_create(&system, &t->system), 0);
    struct yd_run_options options = {.system = t->system,
                                     .topology = t->topology,
                                     .data = "data",
                                     .fs = t->fs,
                                     .pool = t->pool,
                                     .simulated = true,
                                     .said = said,
                                     .finished = finished,
                                     .tap = tap,
                                     .callback_arg = t};
    return yd_run_start(&options, &t->run, trail);
}

void tested_start(struct tested *t, const char *text)
{
    struct yd_trail trail = {0};
    if (tested_try(t, text, &trail) < 0) fail_msg("%s\n%s", yd_trail_text(&trail), t->said);
}

void tested_run(struct tested *t, int64_t ns)
{
    int64_t until = yd_sim_now(t->sim) + ns;
    for (uint64_t steps = 0;; steps++) {
        while (yd_system_step(t->system) > 0)
            ;
        if (yd_sim_next(t->sim) > until) break;
        yd_sim_step(t->sim);
        if (steps == 10000000) fail_msg("it goes round and round: %s", t->said);
    }
    yd_sim_run_until(t->sim, until);
}

void tested_end(struct tested *t)
{
    for (int64_t gone = 0, step = YD_NS_PER_MS; !t->finished; gone += step, step *= 2) {
        if (gone > HOUR) fail_msg("does not end: %s", t->said);
        tested_run(t, step);
    }
}

void tested_drain(struct tested *t)
{
    yd_run_drain(t->run, 60 * YD_NS_PER_S);
    tested_end(t);
}

void tested_stop(struct tested *t)
{
    yd_run_destroy(t->run);
    t->run = NULL;
    yd_system_destroy(t->system);
    yd_pool_destroy(t->pool);
    yd_loop_destroy(t->loop);
    yd_sim_destroy(t->sim);
    yd_topology_destroy(t->topology);
    t->topology = NULL;
}

void tested_crash(struct tested *t)
{
    yd_sim_fs_crash(t->fs); /* from here on nothing reaches the disk, whatever closing tries */
    tested_stop(t);
}

/* ---- in ---- */

static uint32_t node_of(struct tested *t, const char *element)
{
    for (uint32_t i = 0; i < t->topology->node_count; i++)
        if (strcmp(t->topology->nodes[i].name, element) == 0) return i;
    fail_msg("no element %s", element);
    return 0;
}

static unsigned input_port(struct tested *t, uint32_t node)
{
    const struct yd_port_class *ports = t->topology->nodes[node].class->ports;
    unsigned port = 0;
    while (ports[port].direction != YD_IN || ports[port].mode != YD_PUSH) port++;
    return port;
}

void tested_feed(struct tested *t, const char *element, struct yd_batch *batch)
{
    uint32_t node = node_of(t, element);
    assert_int_equal(yd_run_feed(t->run, node, input_port(t, node), YD_STR(""), batch), 0);
    while (yd_system_step(t->system) > 0)
        ;
}

void tested_text(struct tested *t, const char *element, const char *text)
{
    assert_int_equal(yd_run_feed(t->run, node_of(t, element), UINT32_MAX, yd_str_of(text), NULL), 0);
    while (yd_system_step(t->system) > 0)
        ;
}

static struct yd_batch *sealed(struct yd_builder *builder)
{
    struct yd_batch *batch;
    assert_int_equal(yd_builder_seal(builder, &batch), 0);
    yd_builder_destroy(builder);
    return batch;
}

struct yd_batch *samples(const char *name, int64_t first, uint32_t count)
{
    struct yd_builder *builder;
    uint32_t at;
    assert_int_equal(yd_builder_create(&(struct yd_builder_options){.size_max = YD_BATCH_SIZE_MAX}, &builder), 0);
    assert_int_equal(yd_builder_name(builder, yd_str_of(name), &at), 0);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(
            yd_builder_add(builder, YD_NS_PER_S, at, YD_SAMPLE, YD_I64, 0, (union yd_value){.i64 = first + i}), 0);
    return sealed(builder);
}

struct yd_batch *rows(const char *key, const char *const *values)
{
    struct yd_builder *builder;
    uint32_t at;
    assert_int_equal(yd_builder_create(NULL, &builder), 0);
    for (; *values; values++) {
        assert_int_equal(yd_builder_name(builder, YD_STR("row"), &at), 0);
        assert_int_equal(yd_builder_begin(builder, YD_NS_PER_S, at, YD_ROW, 0, YD_MAP), 0);
        assert_int_equal(yd_builder_cell_bytes(builder, yd_str_of(key), YD_TEXT, yd_str_of(*values)), 0);
        assert_int_equal(yd_builder_end(builder), 0);
    }
    return sealed(builder);
}

/* ---- out ---- */

const char *tested_out(struct tested *t)
{
    const char *text = text_of(&t->out);
    t->out.size = 0;
    return text;
}

void expect_out(struct tested *t, const char *text)
{
    assert_string_equal(tested_out(t), text);
}

void expect_said(struct tested *t, const char *part)
{
    if (!strstr(t->said, part)) fail_msg("'%s' was not said: %s", part, t->said);
}

void put_file(struct tested *t, const char *path, const char *text)
{
    char *parent = yd_fs_parent(path);
    assert_int_equal(yd_fs_make_dirs(t->fs, parent), 0);
    free(parent);
    assert_int_equal(yd_fs_replace(t->fs, path, text, strlen(text)), 0);
}

void add_file(struct tested *t, const char *path, const char *text)
{
    struct yd_file *file;
    struct yd_stat stat;
    assert_int_equal(yd_fs_open(t->fs, path, YD_OPEN_WRITE | YD_OPEN_CREATE, &file), 0);
    assert_int_equal(yd_file_stat(file, &stat), 0);
    assert_int_equal(yd_file_write(file, text, strlen(text), stat.size), 0);
    yd_file_close(file);
}

void expect_file(struct tested *t, const char *path, const char *text)
{
    char *data;
    size_t size;
    assert_int_equal(yd_fs_read_all(t->fs, path, 64 << 20, &data, &size), 0);
    assert_string_equal(data, text);
    assert_int_equal(size, strlen(text));
    free(data);
}

bool has_file(struct tested *t, const char *path)
{
    struct yd_stat stat;
    return yd_fs_stat(t->fs, path, &stat) == 0;
}

struct find {
    const char *element, *name;
    struct yd_input_stat input;
    uint64_t reason;
    bool found;
};

static void visit(void *arg, const struct yd_element_stat *stat)
{
    struct find *find = arg;
    for (size_t i = 0; i < stat->input_count; i++) {
        const struct yd_input_stat *in = &stat->inputs[i];
        assert_int_equal(in->received, in->consumed + in->rejected + in->dropped + in->queued);
        if (strcmp(stat->name, find->element) == 0 && strcmp(in->name, find->name) == 0) {
            find->input = *in;
            find->found = true;
        }
    }
    for (size_t i = 0; strcmp(stat->name, find->element) == 0 && i < stat->reason_count; i++)
        if (strcmp(stat->reasons[i].reason, find->name) == 0) {
            find->reason = stat->reasons[i].rejected + stat->reasons[i].dropped;
            find->found = true;
        }
}

static struct find look(struct tested *t, const char *element, const char *name)
{
    struct find find = {.element = element, .name = name};
    yd_run_stat_ask(t->run);
    while (yd_system_step(t->system) > 0)
        ;
    yd_run_stat(t->run, &(struct yd_run_stat_visit){.element = visit, .arg = &find});
    if (!find.found) fail_msg("%s has no %s", element, name);
    return find;
}

struct yd_input_stat input_of(struct tested *t, const char *element, const char *input)
{
    return look(t, element, input).input;
}

uint64_t reason_of(struct tested *t, const char *element, const char *reason)
{
    return look(t, element, reason).reason;
}

/* ---- the language's own tests ---- */

void expect_passes(const char *text)
{
    struct yd_topology *topology = load_well(text);
    assert_true(topology->test_count > 0);
    for (size_t i = 0; i < topology->test_count; i++) {
        struct yd_test_result result;
        int error = yd_test_run(topology, i, 1, &result);
        if (error < 0 || !result.passed) fail_msg("%s: %s", topology->tests[i].name, text_of(&result.report));
        yd_buf_fini(&result.report);
    }
    yd_topology_destroy(topology);
}

void expect_refused(const char *text, const char *part)
{
    struct yd_buf printed;
    struct yd_topology *topology = load(text, &printed);
    if (topology) fail_msg("was taken: %s", text);
    if (!strstr(text_of(&printed), part)) fail_msg("'%s' is not in: %s", part, printed.data);
    yd_buf_fini(&printed);
}
