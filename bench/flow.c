/* bench-flow: what an element costs. Source -> three that pass on -> sink, batches of 1,000 records, all in memory.
 *
 *   bench-flow [--json] [--quick]
 *
 * by reference: nobody looks into the batches. reading: each of the three reads every record's value.
 * tickets: the source asks for an acknowledgement of every batch. Floor: the same five functions called in a loop. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "flow/run.h"

#define RECORDS 1000

static bool json, quick, reading;
static unsigned asking;
static struct yd_batch *prebuilt;
static _Atomic uint64_t batches_left, batches_seen, acks_seen, sum_of_all;
static _Atomic bool finished;

static uint64_t read_all(const struct yd_batch *batch)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < batch->header.count; i++) sum += batch->view.records[i].value.u64;
    return sum;
}

static enum yd_turn_result source_receive(void *state, struct yd_input *input, struct yd_out *out)
{
    (void)state;
    if (input->type == YD_INPUT_ACK) {
        acks_seen++;
        return YD_DONE;
    }
    if (input->type != YD_INPUT_START) return YD_DONE;
    for (int i = 0; i < 16; i++) {
        if (batches_left == 0) {
            yd_end(out);
            return YD_DONE;
        }
        batches_left--;
        if (asking)
            (void)yd_emit_asking(out, 0, yd_batch_ref(prebuilt), asking, 1);
        else
            (void)yd_emit(out, 0, yd_batch_ref(prebuilt));
    }
    return YD_MORE;
}

static enum yd_turn_result pass_receive(void *state, struct yd_input *input, struct yd_out *out)
{
    uint64_t *sum = state;
    if (input->type != YD_INPUT_BATCH) return YD_DONE;
    if (reading) *sum += read_all(input->batch);
    (void)yd_emit(out, 1, yd_batch_ref(input->batch));
    return YD_DONE;
}

static enum yd_turn_result sink_receive(void *state, struct yd_input *input, struct yd_out *out)
{
    (void)state;
    (void)out;
    if (input->type == YD_INPUT_BATCH) batches_seen++;
    return YD_DONE;
}

static const struct yd_port_class ports[] = {
    {.name = "in", .direction = YD_IN, .mode = YD_PUSH}, {.name = "out", .direction = YD_OUT, .mode = YD_PUSH}, {0}};
static const struct yd_element_class source = {
    .flags = YD_CLASS_SOURCE, .name = "Source", .ports = ports + 1, .receive = source_receive};
static const struct yd_element_class pass = {.name = "Pass", .ports = ports, .state_size = 8, .receive = pass_receive};
static const struct yd_element_class sink = {.name = "Sink", .ports = ports, .receive = sink_receive};

static void done(void *arg, int exit_code)
{
    (void)arg;
    (void)exit_code;
    finished = true;
}

static double now(void)
{
    return (double)yd_clock_mono() / 1e9;
}

static double cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what, int error)
{
    fprintf(stderr, "bench-flow: %s: %s\n", what, yd_error_text(error));
    exit(1);
}

/* Seconds and CPU-seconds for `batches` through the chain. */
static void run_chain(unsigned executors, uint64_t batches, double *ret_wall, double *ret_cpu)
{
    struct yd_node nodes[5] = {{.name = "source", .class = &source},
                               {.name = "a", .class = &pass},
                               {.name = "b", .class = &pass},
                               {.name = "c", .class = &pass},
                               {.name = "sink", .class = &sink}};
    struct yd_wire wires[4];
    for (uint32_t i = 0; i < 4; i++)
        wires[i] = (struct yd_wire){.from = i, .to = i + 1, .from_port = i ? 1 : 0, .to_port = 0, .mode = YD_PUSH};
    struct yd_topology topology = {.nodes = nodes, .node_count = 5, .wires = wires, .wire_count = 4};
    struct yd_system_options options = {.executors = executors, .compute = 1};
    struct yd_system *system = NULL;
    struct yd_pool *pool = NULL;
    struct yd_run *run;
    char data[] = "/tmp/yd_bench_flow_XXXXXX";
    int error = mkdtemp(data) ? yd_system_create(&options, &system) : YD_EIO;
    if (error >= 0) error = yd_system_start(system);
    if (error >= 0) error = yd_pool_create(1, "bench", &pool);
    if (error < 0) die("system", error);
    finished = false;
    batches_left = batches;
    batches_seen = 0;
    struct yd_run_options run_options = {
        .system = system, .topology = &topology, .data = data, .fs = yd_fs_linux(), .pool = pool, .finished = done};
    double wall = now(), used = cpu();
    error = yd_run_start(&run_options, &run, NULL);
    if (error < 0) die("run", error);
    while (!finished) usleep(500);
    *ret_wall = now() - wall;
    *ret_cpu = cpu() - used;
    if (batches_seen != batches) die("batches were lost", YD_EFAIL);
    yd_run_destroy(run);
    yd_system_stop(system);
    yd_system_destroy(system);
    yd_pool_destroy(pool);
    rmdir(data);
}

typedef void (*step_fn)(struct yd_batch *batch, uint64_t *state);

static void step_pass(struct yd_batch *batch, uint64_t *state)
{
    if (reading) *state += read_all(batch);
}

static step_fn volatile steps[5] = {step_pass, step_pass, step_pass, step_pass, step_pass};

static void run_floor(uint64_t batches, double *ret_wall)
{
    uint64_t state = 0;
    double wall = now();
    for (uint64_t i = 0; i < batches; i++)
        for (int s = 1; s < 4; s++) steps[s](prebuilt, &state);
    *ret_wall = now() - wall;
    sum_of_all = state;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, by_value);
    return values[count / 2];
}

static void measure(const char *name, unsigned executors, bool reads, unsigned level, uint64_t batches, bool last)
{
    double wall[9], used[9], floor_[9];
    int rounds = quick ? 3 : 9;
    reading = reads;
    asking = level;
    for (int r = 0; r < rounds; r++) {
        run_chain(executors, batches, &wall[r], &used[r]);
        run_floor(batches, &floor_[r]);
    }
    double w = median(wall, rounds), c = median(used, rounds), f = median(floor_, rounds), n = (double)batches;
    if (json) {
        printf(
            "  {\"name\":\"%s\",\"executors\":%u,\"records_per_s\":%.6g,\"records_per_cpu_s\":%.6g,\"ns_per_hop\":%.1f,"
            "\"floor_records_per_s\":%.6g}%s\n",
            name, executors, n * RECORDS / w, n * RECORDS / c, w / n / 4 * 1e9, n * RECORDS / f, last ? "" : ",");
        return;
    }
    printf("%-14s %u executor%s  %8.1f M records/s  %8.1f M per CPU-second  %7.0f ns a hop   floor %10.1f M/s  (%.2f "
           ".. %.2f s)\n",
           name, executors, executors == 1 ? " " : "s", n * RECORDS / w / 1e6, n * RECORDS / c / 1e6, w / n / 4 * 1e9,
           n * RECORDS / f / 1e6, wall[0], wall[rounds - 1]);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        json = json || strcmp(argv[i], "--json") == 0;
        quick = quick || strcmp(argv[i], "--quick") == 0;
    }
    struct yd_builder *builder;
    uint32_t name;
    if (yd_builder_create(NULL, &builder) < 0) return 1;
    for (uint32_t i = 0; i < RECORDS; i++) {
        if (yd_builder_name(builder, YD_STR("cpu.load host=web1"), &name) < 0 ||
            yd_builder_add(builder, i, name, YD_SAMPLE, YD_F64, 0, (union yd_value){.f64 = i}) < 0)
            return 1;
    }
    if (yd_builder_seal(builder, &prebuilt) < 0) return 1;
    uint64_t batches = quick ? 100000 : 400000;
    if (json) printf("[\n");
    measure("by reference", 1, false, 0, batches, false);
    measure("by reference", 2, false, 0, batches, false);
    measure("reading", 1, true, 0, batches / 4, false);
    measure("reading", 2, true, 0, batches / 4, false);
    measure("tickets", 1, false, 1, batches, true);
    if (json) printf("]\n");
    yd_batch_unref(prebuilt);
    yd_builder_destroy(builder);
    return 0;
}
