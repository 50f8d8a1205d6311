/* A world for the runtime's tests: a topology made by hand, small classes, and a run on a real or a simulated system.
 */
#ifndef TESTS_FLOW_WORLD_H
#define TESTS_FLOW_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/hash.h"
#include "flow/run.h"
#include "io/sim_file.h"
#include "io/sim_net.h"
#include <yarder/log.h>

#include "base/text.h"
#include "io/file.h"

#define WORLD_NODES 16
#define WORLD_WIRES 32

struct world {
    struct yd_topology topology;
    struct yd_node nodes[WORLD_NODES];
    struct yd_wire wires[WORLD_WIRES];
    struct yd_arg args[WORLD_NODES][8];
    bool real;
    unsigned executors;
    uint64_t seed;
    struct yd_sim *sim;
    struct yd_loop *loops[4];
    struct yd_fs *fs;
    struct yd_pool *pool;
    struct yd_system *system;
    struct yd_run *run;
    char data[64];
    atomic_int finished; /* 0, or exit code + 1 */
    char said[8192];
    struct yd_run_options options;
    void (*tap)(struct world *w, uint32_t node, unsigned port, bool is_output, const struct yd_batch *batch);
};

/* The world at rest: a disk, no run yet. */
void world_init(struct world *w, uint64_t seed, bool real);
void world_fini(struct world *w);
uint32_t world_node(struct world *w, const char *name, const struct yd_element_class *class);
struct yd_wire *world_wire(struct world *w, uint32_t from, unsigned from_port, uint32_t to, unsigned to_port);
void world_int(struct world *w, uint32_t node, const char *name, int64_t value);
int world_start(struct world *w, struct yd_trail *trail); /* a system and a run */
void world_stop(struct world *w);                         /* both are destroyed; the disk stays */
void world_crash(struct world *w);                        /* as a power cut: nothing is closed in order */
void world_step(struct world *w, int64_t ns);             /* simulated: that much time; real: sleeps a little */
bool world_until_finished(struct world *w, int64_t ns);
int world_exit_code(const struct world *w);

/* One batch of `count` records named "x", I64 values from `first` on, at time `first`. */
struct yd_batch *world_batch(int64_t first, uint32_t count);
int64_t world_value(const struct yd_batch *batch, uint32_t index);

/* The counters of an element's input by name ("in", "pump"), after a fresh snapshot. */
struct yd_input_stat world_input(struct world *w, uint32_t node, const char *input);
struct yd_element_stat world_element(struct world *w, uint32_t node);
struct yd_wire_stat world_wire_stat(struct world *w, uint32_t wire);
void world_check_identity(struct world *w); /* received = consumed + rejected + dropped + queued, everywhere */

#endif
