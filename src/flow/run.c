/* A run: builds the processes from the topology, starts them, ends them.
 *
 *   setup (memory only) --> processes spawned (they wait for START) --> elements, spills, cursors opened (may block)
 *     --> pumps, those at the end of wires first (what they bring waits) --> START to all
 *
 * A failure anywhere takes back what was done, in reverse. The supervisor process keeps the time of a drain: it stops
 * sources, then (half of the time gone) cursors that lag, then (all of it gone) whatever is left. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "base/drd.h"
#include "base/hash.h"
#include "flow/runtime.h"

#define STOP_WAIT_MS 10000

/* ---- the world ---- */

int64_t yd__run_mono(struct yd_run *run)
{
    return run->options.simulated ? yd_loop_mono(yd_system_loop(run->options.system, 0)) : yd_clock_mono();
}

int64_t yd__run_wall(struct yd_run *run)
{
    if (run->options.wall) return run->options.wall(run->options.world_arg);
    return run->options.simulated ? yd_loop_wall(yd_system_loop(run->options.system, 0)) : yd_clock_wall();
}

uint64_t yd__run_random(struct yd_run *run)
{
    if (run->options.random) return run->options.random(run->options.world_arg);
    if (run->options.simulated) return yd_loop_random(yd_system_loop(run->options.system, 0));
    uint64_t random;
    if (getrandom(&random, sizeof random, 0) == (ssize_t)sizeof random) return random;
    return yd__mix((uint64_t)yd_clock_mono(), (uint64_t)(uintptr_t)run); /* never on Linux, once it has booted */
}

static uint64_t random_of(void *run)
{
    return yd__run_random(run);
}

static int64_t wall_of(void *run)
{
    return yd__run_wall(run);
}

struct yd_envelope *yd__env(struct yd_run *run, yd_pid to, enum yd__envelope type, uint64_t arg)
{
    struct yd_envelope *e = yd_envelope_new(run->options.system, to, type, YD_SYSTEM);
    if (e) e->arg[0] = arg;
    return e;
}

int yd__tell(struct yd_run *run, yd_pid to, enum yd__envelope type, uint64_t arg0, uint64_t arg1)
{
    struct yd_envelope *e = yd__env(run, to, type, arg0);
    if (!e) return YD_ENOMEM;
    e->arg[1] = arg1;
    return yd_send(run->options.system, e);
}

const struct yd_args *yd_element_args(struct yd_element *e)
{
    return &e->node->args;
}

const char *yd_element_name(struct yd_element *e)
{
    return e->node->name;
}

struct yd_system *yd_run_system(const struct yd_run *run)
{
    return run->options.system;
}

bool yd_element_wired(struct yd_element *e, unsigned port)
{
    return port < e->port_count && e->ports[port].wire_count > 0;
}

struct yd_fs *yd_element_fs(struct yd_element *e)
{
    return e->run->options.fs;
}

const char *yd_element_data(struct yd_element *e)
{
    return e->run->data;
}

uint64_t yd_element_random(struct yd_element *e)
{
    return yd__run_random(e->run);
}

int64_t yd_element_wall(struct yd_element *e)
{
    return yd__run_wall(e->run);
}

bool yd_element_simulated(struct yd_element *e)
{
    return e->run->options.simulated;
}

struct yd_streams *yd_element_streams(struct yd_element *e)
{
    return e->run->streams;
}

struct yd_run *yd_element_run(struct yd_element *e)
{
    return e->run;
}

const struct yd_topology *yd_run_topology(const struct yd_run *run)
{
    return run->topology;
}

/* ---- the end ---- */

void yd__run_bad(struct yd_run *run)
{
    atomic_store_explicit(&run->bad, true, memory_order_relaxed);
}

void yd__run_one_ended(struct yd_run *run)
{
    /* Acquire and release: who is last has seen what all others did before they ended. */
    YD_DRD_BEFORE(&run->unfinished);
    if (atomic_fetch_sub_explicit(&run->unfinished, 1, memory_order_acq_rel) != 1) return;
    YD_DRD_AFTER(&run->unfinished);
    int exit_code = atomic_load_explicit(&run->bad, memory_order_relaxed) ? 1 : 0;
    YD_DRD_BEFORE(&run->finished);
    atomic_store_explicit(&run->finished, true, memory_order_release); /* pairs with yd_run_finished */
    if (run->options.finished) run->options.finished(run->options.callback_arg, exit_code);
}

bool yd_run_finished(const struct yd_run *run, int *ret_exit_code)
{
    if (!atomic_load_explicit(&run->finished, memory_order_acquire)) return false;
    YD_DRD_AFTER(&run->finished);
    if (ret_exit_code) *ret_exit_code = atomic_load_explicit(&run->bad, memory_order_relaxed) ? 1 : 0;
    return true;
}

void yd_run_drain(struct yd_run *run, int64_t timeout_ns)
{
    if (atomic_exchange_explicit(&run->draining, true, memory_order_relaxed) && timeout_ns > 0) return;
    (void)yd__tell(run, run->supervisor, YD__ENV_DRAIN, (uint64_t)timeout_ns,
                   0); /* no memory: asked again by a person */
}

/* ---- the supervisor ---- */

enum { TIMER_CURSORS = 1, TIMER_FORCE };

static void tell_all(struct yd_run *run, struct yd_outbox *box, enum yd__envelope type, bool elements, bool cursors)
{
    for (uint32_t i = 0; elements && i < run->element_count; i++)
        (void)yd_out_new(box, run->elements[i].pid, type, YD_SYSTEM);
    for (uint32_t i = 0; cursors && i < run->cursor_count; i++)
        (void)yd_out_new(box, run->cursors[i].pid, type, YD_SYSTEM);
}

static enum yd_turn supervise(void *state, struct yd_envelope *e, struct yd_outbox *box)
{
    struct yd_run *run = state;
    switch (e->type) {
    case YD__ENV_DRAIN: {
        int64_t now = yd_out_mono(box), timeout = (int64_t)e->arg[0];
        tell_all(run, box, YD__ENV_DRAIN, true, false);
        /* Those that rebuild their reader's state have nothing to finish. */
        for (uint32_t i = 0; i < run->cursor_count; i++)
            if (!run->cursors[i].name) (void)yd_out_new(box, run->cursors[i].pid, YD__ENV_STOP_READING, YD_SYSTEM);
        yd_out_timer(box, TIMER_CURSORS, now + timeout / 2);
        yd_out_timer(box, TIMER_FORCE, now + timeout);
        break;
    }
    case YD_ENV_TIMER:
        if (atomic_load_explicit(&run->finished, memory_order_relaxed)) break;
        if (e->arg[0] == TIMER_CURSORS) tell_all(run, box, YD__ENV_STOP_READING, false, true);
        if (e->arg[0] == TIMER_FORCE) tell_all(run, box, YD__ENV_FORCE, true, true);
        break;
    case YD_ENV_STOP:
        return YD_TURN_STOP;
    default:
        break;
    }
    return YD_TURN_DONE;
}

static void supervisor_fini(void *state)
{
    struct yd_run *run = state;
    YD_DRD_BEFORE(&run->alive);
    atomic_fetch_sub_explicit(&run->alive, 1, memory_order_release); /* pairs with stop_processes */
}

static const struct yd_process_class supervisor_class = {.name = "run", .receive = supervise, .fini = supervisor_fini};

/* ---- setting up: memory only ---- */

static uint64_t wire_hash(const struct yd_run *run, uint32_t index)
{
    const struct yd_wire *def = &run->topology->wires[index];
    const struct yd_node *from = &run->topology->nodes[def->from], *to = &run->topology->nodes[def->to];
    uint64_t hash = yd_hash(from->name, strlen(from->name));
    hash = yd__mix(hash, yd_hash_str(yd_str_of(from->class->ports[def->from_port].name)));
    hash = yd__mix(hash, yd_hash(to->name, strlen(to->name)));
    hash = yd__mix(hash, yd_hash_str(yd_str_of(to->class->ports[def->to_port].name)));
    for (uint32_t i = 0; i < index; i++) { /* the same two ports wired twice: told apart by their order */
        const struct yd_wire *other = &run->topology->wires[i];
        if (other->from == def->from && other->to == def->to && other->from_port == def->from_port &&
            other->to_port == def->to_port)
            hash = yd__mix(hash, 1);
    }
    return hash;
}

static int add_wire(struct yd__port *port, uint32_t wire)
{
    uint32_t *wires = realloc(port->wires, (port->wire_count + 1) * sizeof *wires);
    if (!wires) return YD_ENOMEM;
    port->wires = wires;
    wires[port->wire_count++] = wire;
    return 0;
}

static int setup_element(struct yd_run *run, uint32_t index)
{
    struct yd_element *e = &run->elements[index];
    e->run = run;
    e->index = index;
    e->node = &run->topology->nodes[index];
    e->class = e->node->class;
    e->executor = -1;
    e->out.element = e;
    e->hold_free = UINT32_MAX;
    e->identity = yd__mix(yd_hash(e->node->name, strlen(e->node->name)), 0x73746174);
    yd_lock_init(&e->lock);
    while (e->class->ports && e->class->ports[e->port_count].name) e->port_count++;
    e->ports = calloc(e->port_count + 1, sizeof *e->ports);
    e->state = calloc(1, e->class->state_size ? e->class->state_size : 1);
    uint32_t max = e->node->options.restart_max ? e->node->options.restart_max : 5;
    e->crash_times = calloc(max + 2, sizeof *e->crash_times);
    if (!e->ports || !e->state || !e->crash_times) return YD_ENOMEM;
    e->is_source = e->source_open = (e->class->flags & YD_CLASS_SOURCE) != 0;
    int error = yd__counts_setup(e);
    if (error >= 0) error = yd__state_setup(e);
    if (error >= 0) error = yd_lane_open(run->options.pool, &e->lane);
    return error;
}

static int setup_wire(struct yd_run *run, uint32_t index)
{
    struct yd__flow_wire *wire = &run->wires[index];
    const struct yd_wire *def = &run->topology->wires[index];
    struct yd_element *from = &run->elements[def->from], *to = &run->elements[def->to];
    wire->def = def;
    wire->index = index;
    wire->hash = wire_hash(run, index);
    wire->to_stream = to->class->stream != NULL;
    int error = add_wire(&from->ports[def->from_port], index);
    if (error >= 0) error = add_wire(&to->ports[def->to_port], index);
    if (def->mode == YD_QUERY) {
        to->ask_open++;
        return error;
    }
    to->push_open++;
    to->push_wires++;
    yd__wire_setup(wire);
    if (def->is_cursor) run->cursor_count++;
    return error;
}

/* A Log beside a Native ends no sooner than that. */
static void setup_appending(struct yd_run *run)
{
    for (uint32_t from = 0; from < run->element_count; from++) {
        if (!(run->elements[from].class->flags & YD_CLASS_APPENDS)) continue;
        for (uint32_t to = 0; to < run->element_count; to++)
            if (run->elements[to].class->stream) run->elements[to].append_open++;
    }
}

/* Who is told when the stream of e gets further: e itself, then its cursors. */
static int setup_stream(struct yd_run *run, struct yd_element *e)
{
    if (!e->class->stream) return 0;
    struct yd__stream *stream = &e->stream;
    stream->subs = calloc(run->cursor_count + 1, sizeof *stream->subs);
    if (!stream->subs) return YD_ENOMEM;
    stream->subs[0].key = YD__OWN_STREAM;
    stream->sub_count = 1;
    for (uint32_t i = 0; i < run->cursor_count; i++) {
        struct yd__cursor_wire *c = &run->cursors[i];
        if (c->from != e) continue;
        c->sub = &stream->subs[stream->sub_count++];
        c->sub->key = c->wire->index;
        c->sub->level = c->level;
    }
    /* Nobody is told before START: until then the one who opens them owns them. */
    for (size_t i = 0; i < stream->sub_count; i++) {
        atomic_init(&stream->subs[i].told, true);
        YD_DRD_IGNORE(&stream->subs[i].told);
    }
    return 0;
}

static int setup(struct yd_run *run)
{
    run->elements = calloc(run->element_count + 1, sizeof *run->elements);
    run->wires = aligned_alloc(YD_CACHE_LINE, (run->wire_count + 1) * sizeof *run->wires);
    run->hub = yd__hub_create(run->options.system);
    if (!run->elements || !run->wires || !run->hub) return YD_ENOMEM;
    memset(run->wires, 0, (run->wire_count + 1) * sizeof *run->wires);
    int error = 0;
    uint32_t elements = run->element_count;
    for (run->element_count = 0; error >= 0 && run->element_count < elements; run->element_count++)
        error = setup_element(run, run->element_count);
    for (uint32_t i = 0; error >= 0 && i < run->wire_count; i++) error = setup_wire(run, i);
    if (error < 0) return error;
    setup_appending(run);
    uint32_t cursors = run->cursor_count;
    run->cursors = calloc(cursors + 1, sizeof *run->cursors);
    if (!run->cursors) return YD_ENOMEM;
    run->cursor_count = 0;
    for (uint32_t i = 0; error >= 0 && i < run->wire_count; i++)
        if (run->wires[i].def->is_cursor)
            yd__cursor_wire_setup(&run->cursors[run->cursor_count++], run, &run->wires[i]);
    for (uint32_t i = 0; error >= 0 && i < run->element_count; i++) error = setup_stream(run, &run->elements[i]);
    for (uint32_t i = 0; i < run->element_count; i++) YD_DRD_IGNORE(&run->elements[i].stat_wanted);
    for (uint32_t i = 0; i < run->cursor_count; i++) YD_DRD_IGNORE(&run->cursors[i].stat_wanted);
    return error;
}

/* ---- processes ---- */

static bool starts_pump(const struct yd_element *e)
{
    if (!e->class->pump) return false;
    return !e->run->options.no_pumps || (e->class->pump->files && !e->is_source);
}

/* Those that get what lives on an executor already live there too: as far as a chain goes. */
static void follow_chains(struct yd_run *run)
{
    for (uint32_t round = 0; round < run->element_count; round++) /* as many as a chain can be long */
        for (uint32_t w = 0; w < run->wire_count; w++) {
            const struct yd_wire *def = run->wires[w].def;
            if (def->mode == YD_PUSH && !def->is_cursor && run->elements[def->to].executor < 0)
                run->elements[def->to].executor = run->elements[def->from].executor;
        }
}

/* How i is fed: by nobody, by a cursor (ret_from: of whom), or by a push wire. */
enum feed { FEED_NONE, FEED_CURSOR, FEED_PUSH };
static enum feed feed_of(const struct yd_run *run, uint32_t i, uint32_t *ret_from)
{
    enum feed feed = FEED_NONE;
    for (uint32_t w = 0; w < run->wire_count && feed != FEED_PUSH; w++) {
        const struct yd_wire *def = run->wires[w].def;
        if (def->to != i || def->mode != YD_PUSH) continue;
        feed = def->is_cursor ? FEED_CURSOR : FEED_PUSH;
        *ret_from = def->from;
    }
    return feed;
}

/* The executor with the fewest elements, but for `not` where there is another. */
static int least_busy(const struct yd_run *run, int not )
{
    unsigned executors = YD_MAX(yd_system_executors(run->options.system), 1u);
    int best = -1;
    uint32_t least = 0;
    for (int executor = 0; executor < (int)executors; executor++) {
        uint32_t count = 0;
        if (executor == not &&executors > 1) continue;
        for (uint32_t i = 0; i < run->element_count; i++) count += run->elements[i].executor == executor;
        if (best < 0 || count < least) best = executor, least = count;
    }
    return best;
}

/* A chain lives on one executor: a batch on its way through it stays in one cache and wakes nobody. Chains (whatever
 * has no push input, and whatever a cursor feeds) are dealt out to the executors, and what a cursor feeds never to that
 * of its log while there is another: both have all the stream to do, and a reader that shares its core with what reads
 * the sockets falls behind the log's memory. Idle executors may run turns of all but those whose pump lives in the
 * loop. */
static void choose_homes(struct yd_run *run)
{
    uint32_t from = 0;
    for (uint32_t i = 0; i < run->element_count; i++) run->elements[i].executor = -1;
    for (uint32_t i = 0; i < run->element_count; i++)
        if (feed_of(run, i, &from) == FEED_NONE) run->elements[i].executor = least_busy(run, -1);
    follow_chains(run);
    for (uint32_t round = 0; round < run->element_count; round++) /* a log may itself be behind a cursor */
        for (uint32_t i = 0; i < run->element_count; i++) {
            if (run->elements[i].executor >= 0 || feed_of(run, i, &from) != FEED_CURSOR) continue;
            if (run->elements[from].executor < 0) continue;
            run->elements[i].executor = least_busy(run, run->elements[from].executor);
            follow_chains(run);
        }
    for (uint32_t i = 0; i < run->element_count; i++)
        if (run->elements[i].executor < 0) run->elements[i].executor = least_busy(run, -1); /* a ring */
}

static int spawn(struct yd_run *run, const struct yd_process_class *class, const char *group, const char *name,
                 void *arg, int executor, bool roams, yd_pid *ret_pid)
{
    char address[256] = ""; /* where @, : and # have a meaning */
    for (size_t i = 0; name && name[i] && i + 1 < sizeof address; i++)
        address[i] = strchr("@:#", name[i]) ? '-' : name[i];
    struct yd_process_options options = {.group = group ? group : "flow",
                                         .name = name ? address : NULL,
                                         .arg = arg,
                                         .executor = executor,
                                         .roams = roams};
    atomic_fetch_add_explicit(&run->alive, 1, memory_order_relaxed);
    int error = yd_spawn(run->options.system, class, &options, ret_pid);
    if (error == YD_EEXIST) { /* another run in this system has one of that name: this one has none */
        options.name = NULL;
        error = yd_spawn(run->options.system, class, &options, ret_pid);
    }
    if (error < 0) {
        *ret_pid = YD_NOBODY;
        atomic_fetch_sub_explicit(&run->alive, 1, memory_order_relaxed);
    }
    return error;
}

static int spawn_all(struct yd_run *run, struct yd_trail *trail)
{
    choose_homes(run);
    int error = spawn(run, &supervisor_class, NULL, NULL, run, -1, false, &run->supervisor);
    for (uint32_t i = 0; error >= 0 && i < run->element_count; i++) {
        struct yd_element *e = &run->elements[i];
        bool compute = e->class->flags & YD_CLASS_COMPUTE;
        bool pinned = starts_pump(e) && !e->class->pump->files && !compute;
        error = spawn(run, compute ? &yd__element_compute_class : &yd__element_class, e->node->options.group,
                      e->node->name, e, e->executor, !pinned, &e->pid);
    }
    for (uint32_t i = 0; error >= 0 && i < run->cursor_count; i++) {
        struct yd__cursor_wire *c = &run->cursors[i];
        error = spawn(run, &yd__cursor_class, NULL, NULL, c, run->elements[c->wire->def->to].executor, true, &c->pid);
        if (c->sub) c->sub->pid = c->pid;
        c->wire->from_pid = c->pid;
    }
    if (error < 0) return yd_trail_add(trail, error, "cannot start its processes: %s", yd_error_text(error));
    for (uint32_t i = 0; i < run->wire_count; i++) {
        struct yd__flow_wire *wire = &run->wires[i];
        if (!wire->def->is_cursor) wire->from_pid = run->elements[wire->def->from].pid;
        wire->to_pid = run->elements[wire->def->to].pid;
    }
    for (uint32_t i = 0; i < run->element_count; i++)
        if (run->elements[i].stream.subs) run->elements[i].stream.subs[0].pid = run->elements[i].pid;
    return 0;
}

static void nap(void)
{
    struct timespec ms = {0, 1000000};
    nanosleep(&ms, NULL);
}

static bool stop_processes(struct yd_run *run)
{
    if (run->supervisor) (void)yd__tell(run, run->supervisor, (enum yd__envelope)YD_ENV_STOP, 0, 0);
    for (uint32_t i = 0; i < run->element_count; i++)
        if (run->elements[i].pid) (void)yd__tell(run, run->elements[i].pid, (enum yd__envelope)YD_ENV_STOP, 0, 0);
    for (uint32_t i = 0; i < run->cursor_count; i++)
        if (run->cursors[i].pid) (void)yd__tell(run, run->cursors[i].pid, (enum yd__envelope)YD_ENV_STOP, 0, 0);
    for (int i = 0; i < STOP_WAIT_MS; i++) {
        if (atomic_load_explicit(&run->alive, memory_order_acquire) == 0) { /* pairs with the fini's */
            YD_DRD_AFTER(&run->alive);
            return true;
        }
        if (run->options.simulated) {
            while (yd_system_step(run->options.system) > 0)
                ;
            (void)yd_loop_run(yd_system_loop(run->options.system, 0), 0);
        } else {
            nap();
        }
    }
    return false;
}

/* ---- opening ---- */

static int make_folders(struct yd_run *run, struct yd_trail *trail)
{
    bool stateful = false;
    for (uint32_t i = 0; i < run->element_count; i++)
        stateful |= (run->elements[i].class->flags & YD_CLASS_STATEFUL) != 0;
    char *path;
    if (asprintf(&path, stateful ? "%s/state" : "%s", run->data) < 0) return YD_ENOMEM;
    int error = yd_fs_make_dirs(run->options.fs, path);
    if (error < 0) (void)yd_trail_add(trail, error, "cannot make the folder %s: %s", path, yd_error_text(error));
    free(path);
    return error;
}

static int open_all(struct yd_run *run, struct yd_trail *trail)
{
    for (uint32_t i = 0; i < run->element_count; i++) {
        struct yd_element *e = &run->elements[i];
        int error = yd__element_open(e, trail);
        if (error >= 0 && starts_pump(e)) error = yd__pump_create(e, trail);
        if (error < 0) return yd_trail_add(trail, error, "%s (%s)", e->node->name, e->class->name);
    }
    for (uint32_t i = 0; i < run->wire_count; i++) {
        struct yd__flow_wire *wire = &run->wires[i];
        if (wire->def->mode != YD_PUSH || wire->def->is_cursor) continue;
        if (wire->def->full != YD_FULL_SPILL && wire->def->full != YD_FULL_SPILL_DROP) continue;
        int error = yd__spill_open(run, wire, trail);
        if (error < 0) return yd_trail_add(trail, error, "the spill of %s", run->elements[wire->def->from].node->name);
    }
    for (uint32_t i = 0; i < run->cursor_count; i++) {
        struct yd__cursor_wire *c = &run->cursors[i];
        int error = yd__cursor_wire_open(c);
        if (error < 0)
            return yd_trail_add(trail, error, "%s: the cursor of %s cannot be opened: %s", c->from->node->name,
                                run->elements[c->wire->def->to].node->name, yd_error_text(error));
    }
    return 0;
}

/* Those at the end of wires first: by depth, found by walking the wires backwards from the sinks. */
static void order_by_depth(struct yd_run *run, uint32_t *order)
{
    uint32_t *depth = calloc(run->element_count + 1, sizeof *depth);
    for (uint32_t i = 0; i < run->element_count; i++) order[i] = i;
    if (!depth) return; /* any order works; this one is only nicer */
    bool changed = true;
    for (uint32_t round = 0; changed && round < run->element_count; round++) { /* rings end it by the count */
        changed = false;
        for (uint32_t w = 0; w < run->wire_count; w++) {
            const struct yd_wire *def = run->wires[w].def;
            if (depth[def->from] > depth[def->to]) continue;
            depth[def->from] = depth[def->to] + 1;
            changed = true;
        }
    }
    for (uint32_t i = 1; i < run->element_count; i++) /* insertion: stable, and there are few */
        for (uint32_t k = i; k > 0 && depth[order[k]] < depth[order[k - 1]]; k--) {
            uint32_t swap = order[k];
            order[k] = order[k - 1];
            order[k - 1] = swap;
        }
    free(depth);
}

static int start_pumps(struct yd_run *run, struct yd_trail *trail)
{
    uint32_t *order = calloc(run->element_count + 1, sizeof *order);
    if (!order) return YD_ENOMEM;
    order_by_depth(run, order);
    int error = 0;
    for (uint32_t i = 0; error >= 0 && i < run->element_count; i++) {
        struct yd_element *e = &run->elements[order[i]];
        if (!e->pump) continue;
        error = yd__pump_start_now(e, trail);
        if (error < 0) (void)yd_trail_add(trail, error, "%s (%s)", e->node->name, e->class->name);
    }
    free(order);
    return error;
}

static void start_all(struct yd_run *run)
{
    for (uint32_t i = 0; i < run->element_count; i++) (void)yd__tell(run, run->elements[i].pid, YD__ENV_START, 0, 0);
    for (uint32_t i = 0; i < run->cursor_count; i++) (void)yd__tell(run, run->cursors[i].pid, YD__ENV_START, 0, 0);
}

static void free_element(struct yd_element *e)
{
    if (e->lane) yd_lane_close(e->lane);
    yd__pump_destroy(e);
    yd__element_close(e);
    if (e->stream.lane) yd_lane_close(e->stream.lane);
    free(e->stream.subs);
    if (e->park_log) (void)yd_log_close(e->park_log); /* every park was flushed */
    yd_batch_unref(e->park_item.batch);
    yd__ticket_answer(e->park_item.ticket, YD_ECANCELED, 0);
    struct yd__ring *rings[] = {&e->fifo, &e->control, &e->again};
    for (size_t r = 0; r < YD_COUNT(rings); r++) {
        while (rings[r]->count) {
            yd__item_forget(yd__ring_front(rings[r]));
            yd__ring_pop(rings[r]);
        }
        yd__ring_fini(rings[r]);
    }
    for (uint32_t i = 0; i < e->hold_capacity; i++)
        if (e->holds[i].use == YD__HOLD_KEPT) yd__ticket_answer(e->holds[i].ticket, YD_ECANCELED, 0);
    free(e->holds);
    yd__query_fini(e);
    yd__state_fini(e);
    yd__counts_fini(e);
    yd__dict_fini(&e->timers);
    for (size_t p = 0; e->ports && p < e->port_count; p++) free(e->ports[p].wires);
    free(e->ports);
    free(e->out.ops);
    free(e->state);
    free(e->crash_times);
    yd_lock_fini(&e->lock);
}

static void free_run(struct yd_run *run)
{
    if (run->hub) yd__hub_close(run->hub);
    for (uint32_t i = 0; i < run->cursor_count; i++) yd__cursor_wire_fini(&run->cursors[i]);
    for (uint32_t i = 0; run->wires && i < run->wire_count; i++) {
        yd__spill_close(&run->wires[i]);
        yd__wire_fini(&run->wires[i]);
    }
    for (uint32_t i = 0; i < run->element_count; i++) free_element(&run->elements[i]);
    free(run->elements);
    free(run->wires);
    free(run->cursors);
    yd_streams_destroy(run->streams);
    free(run->data);
    yd_lock_fini(&run->applications_lock);
    yd_lock_fini(&run->say_lock);
    free(run);
}

void yd_run_destroy(struct yd_run *run)
{
    if (!run) return;
    for (uint32_t i = 0; i < run->element_count; i++) (void)yd__pump_stop_now(&run->elements[i]);
    if (!stop_processes(run)) return; /* something runs that does not end: its memory cannot be taken away */
    free_run(run);
}

int yd_run_start(const struct yd_run_options *options, struct yd_run **ret_run, struct yd_trail *trail)
{
    struct yd_run *run = calloc(1, sizeof *run);
    if (!run) return YD_ENOMEM;
    YD_DRD_IGNORE_TO(&run->unfinished, &run->draining);
    YD_DRD_IGNORE(&run->stat_waits);
    run->options = *options;
    run->topology = options->topology;
    run->save_interval_ns = options->save_interval_ns ? options->save_interval_ns : 200 * YD_NS_PER_MS;
    run->world_random = random_of;
    run->world_wall = wall_of;
    run->element_count = (uint32_t)options->topology->node_count;
    run->wire_count = (uint32_t)options->topology->wire_count;
    yd_lock_init(&run->say_lock);
    yd_lock_init(&run->applications_lock);
    run->data = strdup(options->data ? options->data : "data");
    int error = run->data ? yd_streams_create(&run->streams) : YD_ENOMEM;
    if (error >= 0) error = setup(run);
    if (error < 0) {
        free_run(run);
        return yd_trail_add(trail, error, "cannot set up the run: %s", yd_error_text(error));
    }
    atomic_store_explicit(&run->unfinished, run->element_count + run->cursor_count, memory_order_relaxed);
    error = spawn_all(run, trail);
    if (error >= 0) error = make_folders(run, trail);
    if (error >= 0) error = open_all(run, trail);
    if (error >= 0) error = start_pumps(run, trail);
    if (error < 0) {
        run->options.finished = NULL; /* it never ran */
        yd_run_destroy(run);
        return error;
    }
    *ret_run = run;
    if (run->element_count == 0) atomic_store_explicit(&run->finished, true, memory_order_release);
    start_all(run);
    return 0;
}

int yd_run_stat_wait(struct yd_run *run, int64_t timeout_ns)
{
    yd_run_stat_ask(run);
    if (run->options.simulated) return 0;
    for (int64_t waited = 0; waited < timeout_ns; waited += YD_NS_PER_MS) {
        if (atomic_load_explicit(&run->stat_waits, memory_order_acquire) == 0) return 0;
        nap();
    }
    return YD_ETIMEOUT;
}

int yd_run_feed(struct yd_run *run, uint32_t node, unsigned port, struct yd_str bytes, struct yd_batch *batch)
{
    struct yd_envelope *e = yd__env(run, run->elements[node].pid, YD__ENV_FEED, port);
    struct yd_str *text = batch || !e ? NULL : malloc(sizeof *text + bytes.size + 1);
    if (!e || (!batch && !text)) {
        yd_envelope_free(e);
        yd_batch_unref(batch);
        return YD_ENOMEM;
    }
    if (text) {
        *text = (struct yd_str){(const char *)(text + 1), bytes.size};
        if (bytes.size) memcpy(text + 1, bytes.data, bytes.size);
        e->data = text;
        e->data_release = free;
    }
    e->batch = batch;
    return yd_send(run->options.system, e);
}
