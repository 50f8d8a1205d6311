#include "world.h"

void world_init(struct world *w, uint64_t seed, bool real)
{
    memset(w, 0, sizeof *w);
    w->seed = seed;
    w->real = real;
    w->executors = real ? 2 : 1;
    w->topology.nodes = w->nodes;
    w->topology.wires = w->wires;
    if (real) {
        strcpy(w->data, "/tmp/yd_flow_XXXXXX");
        assert_non_null(mkdtemp(w->data));
        w->fs = yd_fs_linux();
    } else {
        strcpy(w->data, "data");
        assert_int_equal(yd_sim_fs_create(seed, &w->fs), 0);
    }
}

void world_fini(struct world *w)
{
    if (w->system) world_stop(w);
    if (w->real) {
        char command[128];
        snprintf(command, sizeof command, "rm -rf %s", w->data);
        assert_int_equal(system(command), 0);
    } else {
        yd_sim_fs_destroy(w->fs);
    }
}

uint32_t world_node(struct world *w, const char *name, const struct yd_element_class *class)
{
    uint32_t at = (uint32_t)w->topology.node_count++;
    assert_true(at < WORLD_NODES);
    w->nodes[at] = (struct yd_node){.name = name, .class = class, .args = {w->args[at], 0}};
    return at;
}

void world_int(struct world *w, uint32_t node, const char *name, int64_t value)
{
    struct yd_args *args = &w->nodes[node].args;
    for (size_t i = 0; i < args->count; i++) {
        if (strcmp(w->args[node][i].name, name)) continue;
        w->args[node][i].i64 = value;
        return;
    }
    w->args[node][args->count++] = (struct yd_arg){.name = name, .type = YD_PARAM_INT, .i64 = value};
}

struct yd_wire *world_wire(struct world *w, uint32_t from, unsigned from_port, uint32_t to, unsigned to_port)
{
    struct yd_wire *wire = &w->wires[w->topology.wire_count++];
    assert_true(w->topology.wire_count <= WORLD_WIRES);
    *wire = (struct yd_wire){.from = from,
                             .from_port = from_port,
                             .to = to,
                             .to_port = to_port,
                             .mode = w->nodes[from].class->ports[from_port].mode};
    if (w->nodes[from].class->ports[from_port].flags & YD_PORT_CURSOR) {
        wire->is_cursor = true;
        wire->cursor = w->nodes[to].name;
        wire->read_level = 3;
    }
    return wire;
}

static void said(void *arg, const struct yd_run_line *line)
{
    struct world *w = arg;
    size_t at = strlen(w->said);
    snprintf(w->said + at, sizeof w->said - at, "%s: %s\n", line->element, line->text);
}

static void finished(void *arg, int exit_code)
{
    struct world *w = arg;
    atomic_store(&w->finished, exit_code + 1);
}

static void tap(void *arg, uint32_t node, unsigned port, bool is_output, const struct yd_batch *batch)
{
    struct world *w = arg;
    if (w->tap) w->tap(w, node, port, is_output, batch);
}

int world_start(struct world *w, struct yd_trail *trail)
{
    atomic_store(&w->finished, 0);
    struct yd_system_options system = {.executors = w->executors, .compute = 1, .sim_seed = w->seed};
    if (!w->real) {
        assert_int_equal(yd_sim_create(w->seed, &w->sim), 0);
        for (unsigned i = 0; i < w->executors; i++)
            assert_int_equal(yd_sim_loop_create(w->sim, "local", &w->loops[i]), 0);
        system.sim_loops = w->loops;
        assert_int_equal(yd_pool_create_sim(w->loops[0], &w->pool), 0);
    } else {
        assert_int_equal(yd_pool_create(2, "test", &w->pool), 0);
    }
    assert_int_equal(yd_system_create(&system, &w->system), 0);
    if (w->real) assert_int_equal(yd_system_start(w->system), 0);
    struct yd_run_options options = w->options;
    options.system = w->system;
    options.topology = &w->topology;
    options.data = w->data;
    options.fs = w->fs;
    options.pool = w->pool;
    options.simulated = !w->real;
    options.said = said;
    options.finished = finished;
    if (w->tap) options.tap = tap;
    options.callback_arg = w;
    return yd_run_start(&options, &w->run, trail);
}

void world_stop(struct world *w)
{
    yd_run_destroy(w->run);
    w->run = NULL;
    if (w->real) yd_system_stop(w->system);
    yd_system_destroy(w->system);
    w->system = NULL;
    yd_pool_destroy(w->pool);
    w->pool = NULL;
    if (!w->sim) return;
    for (unsigned i = 0; i < w->executors; i++) yd_loop_destroy(w->loops[i]);
    yd_sim_destroy(w->sim);
    w->sim = NULL;
}

void world_crash(struct world *w)
{
    assert_false(w->real);
    yd_sim_fs_crash(w->fs); /* from here on nothing reaches the disk, whatever closing tries */
    world_stop(w);
}

void world_step(struct world *w, int64_t ns)
{
    if (w->real) {
        usleep((useconds_t)(ns / 1000));
        return;
    }
    int64_t until = yd_sim_now(w->sim) + ns;
    for (;;) {
        while (yd_system_step(w->system) > 0)
            ;
        if (yd_sim_next(w->sim) > until) break;
        yd_sim_step(w->sim);
    }
    yd_sim_run_until(w->sim, until);
}

bool world_until_finished(struct world *w, int64_t ns)
{
    for (int64_t gone = 0; gone < ns && !atomic_load(&w->finished); gone += YD_NS_PER_MS) world_step(w, YD_NS_PER_MS);
    return atomic_load(&w->finished) != 0;
}

int world_exit_code(const struct world *w)
{
    return atomic_load(&w->finished) - 1;
}

struct yd_batch *world_batch(int64_t first, uint32_t count)
{
    struct yd_builder *builder;
    struct yd_batch *batch = NULL;
    uint32_t name;
    assert_int_equal(yd_builder_create(NULL, &builder), 0);
    assert_int_equal(yd_builder_name(builder, YD_STR("x"), &name), 0);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(yd_builder_add(builder, first, name, YD_SAMPLE, YD_I64, 0, (union yd_value){.i64 = first + i}),
                         0);
    assert_int_equal(yd_builder_seal(builder, &batch), 0);
    yd_builder_destroy(builder);
    return batch;
}

int64_t world_value(const struct yd_batch *batch, uint32_t index)
{
    return batch->view.records[index].value.i64;
}

struct find {
    uint32_t at;
    struct yd_element_stat element;
    struct yd_input_stat inputs[8];
    struct yd_wire_stat wire;
    bool all_add_up;
};

static void see_element(void *arg, const struct yd_element_stat *stat)
{
    struct find *find = arg;
    for (size_t i = 0; i < stat->input_count; i++) {
        const struct yd_input_stat *in = &stat->inputs[i];
        if (in->received == in->consumed + in->rejected + in->dropped + in->queued) continue;
        printf("# %s.%s: received %llu, consumed %llu, rejected %llu, dropped %llu, queued %llu\n", stat->name,
               in->name, (unsigned long long)in->received, (unsigned long long)in->consumed,
               (unsigned long long)in->rejected, (unsigned long long)in->dropped, (unsigned long long)in->queued);
        find->all_add_up = false;
    }
    if (stat->node != find->at) return;
    find->element = *stat;
    for (size_t i = 0; i < stat->input_count && i < 8; i++) find->inputs[i] = stat->inputs[i];
}

static void see_wire(void *arg, const struct yd_wire_stat *stat)
{
    struct find *find = arg;
    if (stat->wire == find->at) find->wire = *stat;
}

static struct find look(struct world *w, uint32_t at)
{
    struct find find = {.at = at, .all_add_up = true};
    struct yd_run_stat_visit visit = {see_element, see_wire, &find};
    assert_int_equal(yd_run_stat_wait(w->run, 5 * YD_NS_PER_S), 0);
    if (!w->real) world_step(w, 0);
    yd_run_stat(w->run, &visit);
    return find;
}

struct yd_element_stat world_element(struct world *w, uint32_t node)
{
    return look(w, node).element;
}

struct yd_input_stat world_input(struct world *w, uint32_t node, const char *input)
{
    struct find find = look(w, node);
    for (size_t i = 0; i < find.element.input_count; i++)
        if (strcmp(find.inputs[i].name, input) == 0) return find.inputs[i];
    fail_msg("no input %s", input);
    return find.inputs[0];
}

struct yd_wire_stat world_wire_stat(struct world *w, uint32_t wire)
{
    return look(w, wire).wire;
}

void world_check_identity(struct world *w)
{
    assert_true(look(w, 0).all_add_up);
}
