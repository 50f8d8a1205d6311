/* Random topologies under random trouble, from seeds: `sim_flow_topologies FIRST COUNT [-v]`.
 *
 * Each seed makes layers of elements (sources, elements that pass on or cut in halves, Logs, counters with state, sinks
 * that hold), random wires between them with random queues and policies, elements that crash now and then, and, for
 * half of the seeds, a machine that loses its power up to three times. Checked: at every stop, received = consumed +
 * rejected
 * + dropped + queued at every input, and no receiver ever holds more than its window (or one batch). At the end, by a
 * model that only knows the graph: on lossless ways every record arrives, in order within its source, exactly once
 * where the ways promise that; what policies drop is counted to the last record. */
#include "classes.h"

enum role { SOURCE, PASS, HALVES, LOG, COUNTER, SINK };
struct model {
    struct world w;
    struct yd_rng rng;
    enum role role[WORLD_NODES];
    bool verbose, cuts, lossy, crashes;
    uint64_t seed;
    int64_t records; /* of one source: values 0 .. records - 1 of it, in its own range */
};

static uint64_t below(struct model *m, uint64_t bound)
{
    return yd_rng_below(&m->rng, bound);
}

static unsigned out_port(enum role role)
{
    return role == SOURCE ? 0 : 1;
}

static uint32_t add(struct model *m, enum role role)
{
    static const struct yd_element_class *const classes[] = {&source_class, &pass_class,    &halves_class,
                                                             &log_class,    &counter_class, &sink_class};
    static char names[WORLD_NODES][16];
    uint32_t at = (uint32_t)m->w.topology.node_count;
    snprintf(names[at], sizeof names[at], "n%u", at);
    m->role[at] = role;
    return world_node(&m->w, names[at], classes[role]);
}

static void trouble(struct model *m, uint32_t node)
{
    if (!m->crashes || below(m, 3)) return;
    world_int(&m->w, node, "fail_at", (int64_t)below(m, 40) * 10);
    world_int(&m->w, node, "fails", 1 + (int64_t)below(m, 3));
}

static void wire(struct model *m, uint32_t from, uint32_t to)
{
    struct yd_wire *wire = world_wire(&m->w, from, out_port(m->role[from]), to, 0);
    if (below(m, 2)) wire->queue_records = 1 + below(m, 60);
    if (below(m, 3) == 0) wire->queue_bytes = 1 + below(m, 4000);
    if (wire->is_cursor) {
        wire->read_level = 1 + (unsigned)below(m, 3);
        if (m->cuts || wire->read_level == 2) wire->read_level = 3;
    } else if (m->lossy && below(m, 3) == 0) {
        wire->full = below(m, 2) ? YD_FULL_DROP_OLD : YD_FULL_DROP_NEW;
    } else if (below(m, 6) == 0) {
        wire->full = YD_FULL_SPILL;
    }
}

/* source -> [middle …] -> sink, with a second way now and then. A tree: each element has one way in, so that what must
 * arrive at it is known. */
static void build(struct model *m)
{
    uint32_t layer[WORLD_NODES], count = 0, sources = 1 + (uint32_t)below(m, 2);
    for (uint32_t i = 0; i < sources; i++) {
        layer[count] = add(m, SOURCE);
        world_int(&m->w, layer[count], "batches", m->records / 10);
        world_int(&m->w, layer[count], "records", 10);
        world_int(&m->w, layer[count], "level", (int64_t)below(m, 4));
        world_int(&m->w, layer[count], "every", (int64_t)below(m, 3) * 100 * YD_NS_PER_US);
        count++;
    }
    uint32_t middles = 1 + (uint32_t)below(m, 6);
    for (uint32_t i = 0; i < middles; i++) {
        static const enum role roles[] = {PASS, HALVES, LOG, LOG, COUNTER};
        uint32_t from = layer[below(m, count)];
        enum role role = roles[below(m, YD_COUNT(roles))];
        if (m->role[from] == COUNTER && role == COUNTER) role = PASS;
        uint32_t node = add(m, role);
        wire(m, from, node);
        if (role != LOG || below(m, 3) == 0) trouble(m, node);
        layer[count++] = node;
    }
    for (uint32_t i = 0; i < count; i++) {
        bool used = false;
        for (size_t w = 0; w < m->w.topology.wire_count; w++) used = used || m->w.wires[w].from == layer[i];
        if (used && below(m, 3)) continue;
        if (m->w.topology.node_count == WORLD_NODES) break;
        uint32_t node = add(m, SINK);
        wire(m, layer[i], node);
        if (below(m, 2)) world_int(&m->w, node, "hold", (int64_t)below(m, 5) * YD_NS_PER_MS);
        trouble(m, node);
    }
}

/* ---- what must be ---- */

static const struct yd_wire *way_in(struct model *m, uint32_t node)
{
    for (size_t w = 0; w < m->w.topology.wire_count; w++)
        if (m->w.wires[w].to == node) return &m->w.wires[w];
    return NULL;
}

/* Of the ways from the source to here: do they lose by policy; are there Logs, states, spills on them? */
struct way {
    bool drops, log, spill, counter, counted_source;
    uint32_t source;
    bool crashes_log, memory_state;
};

static struct way way_to(struct model *m, uint32_t node)
{
    struct way way = {0};
    for (const struct yd_wire *in = way_in(m, node); in; in = way_in(m, in->from)) {
        way.drops |= in->full == YD_FULL_DROP_OLD || in->full == YD_FULL_DROP_NEW;
        way.spill |= in->full == YD_FULL_SPILL;
        way.log |= m->role[in->from] == LOG;
        way.counter |= m->role[in->from] == COUNTER;
        way.crashes_log |= m->role[in->from] == LOG && yd_args_find(&m->w.nodes[in->from].args, "fail_at") != NULL;
        way.source = in->from;
    }
    return way;
}

static void wrong(struct model *m, uint32_t node, const char *what, uint64_t is, uint64_t should)
{
    printf("# seed %llu: %s: %s: %llu, should be %llu\n# said:\n%s", (unsigned long long)m->seed, m->w.nodes[node].name,
           what, (unsigned long long)is, (unsigned long long)should, m->w.said);
    for (size_t w = 0; w < m->w.topology.wire_count; w++)
        printf("#  %s (%s) -> %s (%s): full %d, queue %llu B %llu r, read %u\n", m->w.nodes[m->w.wires[w].from].name,
               m->w.nodes[m->w.wires[w].from].class->name, m->w.nodes[m->w.wires[w].to].name,
               m->w.nodes[m->w.wires[w].to].class->name, (int)m->w.wires[w].full,
               (unsigned long long)m->w.wires[w].queue_bytes, (unsigned long long)m->w.wires[w].queue_records,
               m->w.wires[w].read_level);
    fflush(stdout);
    fail();
}

static void check_node(struct model *m, uint32_t node)
{
    struct way way = way_to(m, node);
    struct seen *seen = seen_of(m->w.nodes[node].name);
    if (m->role[node] == SOURCE || m->role[node] == LOG || m->role[node] == HALVES || way.counter || m->cuts) return;
    uint64_t all = (uint64_t)m->records;
    if (way.drops) {
        if (!way.log && !way.spill && seen->count > all && m->role[node] != COUNTER)
            wrong(m, node, "more than was made", seen->count, all);
        return;
    }
    if (m->role[node] == COUNTER) {
        /* What a crash takes from a state can only come back from something that sends it again. */
        if (!way.log && yd_args_find(&m->w.nodes[node].args, "fail_at")) return;
        if (seen->answered != all) wrong(m, node, "counted", seen->answered, all);
        return;
    }
    if (way.log || way.spill) { /* at least once: every value, first seen in order */
        int64_t top = 0;
        for (uint64_t i = 0; i < seen->count && i < SEEN_VALUES; i++) {
            if (seen->values[i] > top) wrong(m, node, "out of order", (uint64_t)seen->values[i], (uint64_t)top);
            top += seen->values[i] == top;
        }
        if ((uint64_t)top != all) wrong(m, node, "arrived", (uint64_t)top, all);
        return;
    }
    if (seen->count != all) wrong(m, node, "arrived", seen->count, all);
    if (seen->out_of_order) wrong(m, node, "order", 1, 0);
}

static uint64_t records_in_log(struct model *m, uint32_t node)
{
    char path[128];
    struct yd_log_reader *reader;
    struct yd_log_start start = {.level = YD_ACK_WRITTEN};
    struct yd_batch *batch;
    struct yd_log_gap gap;
    uint64_t count = 0;
    snprintf(path, sizeof path, "data/streams/%s/0", m->w.nodes[node].name);
    if (yd_log_reader_open_dir(m->w.fs, path, &start, &reader, NULL) < 0) return 0;
    while (yd_log_reader_next(reader, &batch, &gap) == 0) {
        count += batch->header.count;
        yd_batch_unref(batch);
    }
    yd_log_reader_close(reader);
    return count;
}

/* A Log whose records come out of another Log by lossless ways that repeat: it has each once, whatever was cut. */
static void check_log(struct model *m, uint32_t node)
{
    uint64_t divisor = 1, multiplier = 1;
    if (m->role[node] != LOG) return;
    for (const struct yd_wire *in = way_in(m, node); in; in = way_in(m, in->from)) {
        if (in->full == YD_FULL_DROP_OLD || in->full == YD_FULL_DROP_NEW || in->full == YD_FULL_SPILL) return;
        if (m->role[in->from] == COUNTER) return;
        if (m->role[in->from] == SOURCE) break;
        if (m->role[in->from] != LOG) continue;
        uint64_t above = records_in_log(m, in->from), here = records_in_log(m, node);
        if (here * divisor != above * multiplier) wrong(m, node, "written", here, above);
        return;
    }
    if (!m->cuts && !yd_args_find(&m->w.nodes[node].args, "fail_at") && records_in_log(m, node) != (uint64_t)m->records)
        wrong(m, node, "written", records_in_log(m, node), (uint64_t)m->records);
}

/* ---- one seed ---- */

static void step_a_while(struct model *m)
{
    for (uint64_t i = below(m, 20) + 5; i > 0 && !atomic_load(&m->w.finished); i--) {
        world_step(&m->w, (int64_t)below(m, 3000) * YD_NS_PER_US);
        world_check_identity(&m->w);
    }
}

static void run_seed(uint64_t seed, bool verbose)
{
    struct model *m = calloc(1, sizeof *m);
    m->seed = seed;
    m->verbose = verbose;
    yd_rng_init(&m->rng, seed);
    m->records = 10 * (20 + (int64_t)below(m, 60));
    m->cuts = below(m, 2);
    m->lossy = below(m, 3) == 0;
    m->crashes = below(m, 2);
    world_init(&m->w, seed, false);
    m->w.options.save_interval_ns = (int64_t)(1 + below(m, 50)) * YD_NS_PER_MS;
    build(m);
    struct yd_trail trail = {0};
    if (world_start(&m->w, &trail) < 0) wrong(m, 0, yd_trail_text(&trail), 0, 0);
    step_a_while(m);
    for (uint64_t cuts = m->cuts ? 1 + below(m, 3) : 0; cuts > 0; cuts--) {
        world_crash(&m->w);
        for (uint32_t n = 0; n < m->w.topology.node_count; n++)
            if (m->role[n] == SOURCE) world_int(&m->w, n, "batches", 0);
        if (world_start(&m->w, &trail) < 0) wrong(m, 0, yd_trail_text(&trail), 0, 0);
        step_a_while(m);
    }
    if (!world_until_finished(&m->w, 300 * YD_NS_PER_S)) {
        for (uint32_t n = 0; n < m->w.topology.node_count; n++) {
            struct yd_element_stat stat = world_element(&m->w, n);
            printf("# %s: life %d, blocked %d\n", stat.name, (int)stat.life, stat.blocked);
        }
        wrong(m, 0, "did not end", 0, 0);
    }
    world_check_identity(&m->w);
    if (world_exit_code(&m->w) != 0) wrong(m, 0, "exit code", (uint64_t)world_exit_code(&m->w), 0);
    for (uint32_t n = 0; n < m->w.topology.node_count; n++) check_node(m, n);
    world_stop(&m->w);
    for (uint32_t n = 0; n < m->w.topology.node_count; n++) check_log(m, n);
    world_fini(&m->w);
    seen_clear();
    free(m);
}

static uint64_t first_seed = 1, seed_count = 300;

static void random_topologies_lose_nothing_and_count_everything(void **state)
{
    (void)state;
    printf("# seeds %llu to %llu\n", (unsigned long long)first_seed, (unsigned long long)(first_seed + seed_count - 1));
    for (uint64_t seed = first_seed; seed < first_seed + seed_count; seed++) run_seed(seed, false);
}

int main(int argc, char **argv)
{
    if (argc > 1) first_seed = strtoull(argv[1], NULL, 10);
    if (argc > 2) seed_count = strtoull(argv[2], NULL, 10);
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_topologies_lose_nothing_and_count_everything)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
