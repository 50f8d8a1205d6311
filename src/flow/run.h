/* flow/run.h: a checked topology, running.
 *
 *   struct yd_topology + system + world --> yd_run_start --> one process per element, one per cursor wire
 *        SIGTERM: yd_run_drain: sources stop, END travels, everything is saved; after the bound: forced, and said
 *        all sources ended, or drained: `finished` is called with the exit code
 *
 * The same code runs on real executors and on a simulated system. How batches are delivered: docs/delivery.md. */
#ifndef FLOW_RUN_H
#define FLOW_RUN_H

#include "actor/actor.h"
#include "base/histogram.h"
#include "flow/graph.h"
#include "io/file.h"
#include "io/pool.h"

struct yd_run;

struct yd_run_line {     /* a line for the operator */
    int level;           /* 0 note, 1 warning, 2 error */
    const char *element; /* "" : the run itself */
    const char *text;    /* without a newline */
};
struct yd_run_options {
    struct yd_system *system;           /* started, unless simulated; outlives the run */
    const struct yd_topology *topology; /* outlives the run */
    const char *data;                   /* the data folder; made when missing */
    struct yd_fs *fs;
    struct yd_pool *pool;          /* file threads of the data folder's disk */
    bool simulated;                /* one thread: nothing is waited for, logs are flushed by the pool */
    bool no_pumps;                 /* pumps are not started: in-file tests feed instead */
    uint64_t (*random)(void *arg); /* any thread; NULL: the machine's */
    int64_t (*wall)(void *arg);    /* any thread; NULL: the machine's */
    void *world_arg;
    int64_t save_interval_ns; /* states and cursors are saved at most this often; 0: 200 ms */
    /* Callbacks, from any thread but never two at a time. All may be NULL. */
    void (*said)(void *arg, const struct yd_run_line *line);
    void (*listens)(void *arg, const char *element, const char *what, const char *address);
    void (*finished)(void *arg, int exit_code); /* once, in an executor: destroy the run from elsewhere */
    /* For tests: what an element emits on a port (is_output) or takes in on one, in its own thread. */
    void (*tap)(void *arg, uint32_t node, unsigned port, bool is_output, const struct yd_batch *batch);
    void *callback_arg;
};

/* Opens every element, starts every process, then the pumps, sinks first. On failure everything is closed again and
 * the trail says in a user's words what is in the way. Blocks: not from an executor. */
int yd_run_start(const struct yd_run_options *options, struct yd_run **ret_run, struct yd_trail *trail);
/* Every source stops, END travels, states and cursors are saved. What has not finished after `timeout_ns` is forced:
 * what it still holds is dropped, counted and said (a durable source sends it again next time). Once more: nothing, but
 * with 0 it is forced now. Any thread. */
void yd_run_drain(struct yd_run *run, int64_t timeout_ns);
/* True when every element has ended. Exit code 0; 1 when records were parked, an element was stopped by crashes, the
 * drain had to be forced, or `on_crash: exit` struck. Any thread. */
bool yd_run_finished(const struct yd_run *run, int *ret_exit_code);
/* Ends the processes and closes everything; states that were not saved and records on their way are lost (drain first).
 * Before yd_system_stop: the processes must be able to end. Simulated: it steps the system. Blocks, up to the time that
 * stopping takes. NULL is quiet. */
void yd_run_destroy(struct yd_run *run);

/* ---- counters ---- */
struct yd_input_stat { /* at all times: received = consumed + rejected + dropped + queued */
    const char *name;  /* of the port; "pump" for what the own pump brings */
    uint64_t received, consumed, rejected, dropped, queued; /* records */
    uint64_t folded;  /* of the consumed ones: filtered out or folded on purpose */
    uint64_t skipped; /* not in received: sent again, and known to be in the state already */
    uint64_t batches, bytes;
    /* Of what was consumed, by records: from when it (or what it was made of) came in from outside until the element
     * was done with it: with a Log, until it was durable; with a History, until queries see it. Behind a Log it counts
     * from the append. */
    struct yd_histogram latency;
    struct yd_histogram waited; /* from the sender's end of the wire until the element looked at it */
};
struct yd_output_stat {
    const char *name;
    uint64_t batches, records, bytes;
    uint64_t unwired; /* of them, records that went nowhere because the port is not wired */
};
struct yd_reason_stat {
    const char *reason;
    uint64_t rejected, dropped;
};
struct yd_reject_sample {
    int64_t wall_ns;
    const char *reason;
    struct yd_str text, peer; /* text may be cut at 200 bytes, peer at 60 */
};
struct yd_peer_stat { /* whose records the pump rejected: his address without the port */
    struct yd_str peer;
    const char *reason;
    uint64_t rejected;
};
struct yd_part_stat {
    char name[64]; /* a longer one is cut, and ends in ~ and its hash; "": all others */
    uint64_t count;
};
enum yd_element_life { YD_LIFE_UP, YD_LIFE_CRASHED, YD_LIFE_STOPPED, YD_LIFE_ENDED };
struct yd_pump_stat { /* of one that lives in the loop of an executor */
    unsigned executor;
    uint64_t records; /* that it has emitted or told */
};
struct yd_element_stat {
    uint32_t node;
    const char *name, *class_name;
    enum yd_element_life life;
    bool blocked;
    int64_t busy_ns, waiting_output_ns, waiting_input_ns; /* since the start */
    int64_t taken_at_ns;                                  /* monotonic: when this snapshot was taken */
    uint64_t crashes, parked, saves, queries_asked, queries_answered, queries_failed;
    size_t input_count, output_count, reason_count, sample_count, peer_count, pump_count;
    const struct yd_input_stat *inputs;
    const struct yd_output_stat *outputs;
    const struct yd_reason_stat *reasons;
    const struct yd_reject_sample *samples; /* oldest first */
    /* Those that matter: of more than can be kept those with few are forgotten, and are counted in `reasons` alone. */
    const struct yd_peer_stat *peers;
    const struct yd_pump_stat *pumps; /* as many as executors it is spread over */
    const char *part;                 /* what its parts are: "packet"; NULL: it has none */
    const struct yd_part_stat *parts;
    size_t part_count;
};
struct yd_wire_stat {
    uint32_t wire;                               /* index into the topology's wires */
    uint64_t batches, records, bytes;            /* sent */
    uint64_t dropped;                            /* records, by `full` or by an end that is gone */
    uint64_t queued_bytes, queued_records;       /* waiting at the sender's end */
    uint64_t in_flight_bytes, in_flight_records; /* sent, and not yet consumed; 0 when all rests */
    uint64_t spilled;                            /* records that went by way of the disk */
    bool is_cursor, ended;
    uint64_t read, acknowledged, saved, end; /* cursor: seqnos; end: of the stream at its read level */
    uint64_t gaps, gap_records, rewinds;
    uint64_t forgotten; /* cursor: records left out, because tombstones cover them */
};
struct yd_run_stat_visit {
    void (*element)(void *arg, const struct yd_element_stat *stat);
    void (*wire)(void *arg, const struct yd_wire_stat *stat);
    void *arg;
};
/* Asks every element for a fresh snapshot, taken in its own process between two turns. Returns at once. Any thread. */
void yd_run_stat_ask(struct yd_run *run);
/* Walks the last snapshots: each is consistent in itself. Any thread. */
void yd_run_stat(struct yd_run *run, const struct yd_run_stat_visit *visit);
/* Walks what can be waited for: locks, file threads, the disks of streams. What elements wait for is in their stats.
 * Any thread; takes no lock that it tells of but the list of streams. */
void yd_run_waits(struct yd_run *run, const struct yd_wait_visit *visit);

/* A program that an element serves, and what it got. passed = got + lost + unread, of those in order. */
struct yd_application_counts {                 /* values */
    uint64_t passed, paced, overrun, unplaced; /* handed on; left out by its rate; lost on the way, by where */
    uint64_t got, lost;                        /* as it says: read; overwritten before it read them */
};
struct yd_application_stat {
    const char *element, *name; /* as it calls itself: anything */
    uint64_t id;                /* one who comes later, or beside it, has another */
    int32_t process;
    uint32_t user;
    unsigned priority;
    uint64_t subscriptions, names;
    struct yd_application_counts counts;
    uint64_t unread; /* handed on, neither read nor overwritten */
    bool is_stopped; /* its process is, by a signal or a debugger */
};
struct yd_ended_stat { /* of all that have left an element, together */
    const char *element;
    uint64_t count;
    struct yd_application_counts counts;
};
struct yd_application_visit {
    void (*application)(void *arg, const struct yd_application_stat *stat);
    void (*ended)(void *arg, const struct yd_ended_stat *stat);
    void *arg;
};
/* How an element tells of them: from its open until its close, which must forget it (once not told: is quiet). `walk`
 * is called by any thread. */
struct yd_applications {
    struct yd_applications *next; /* the run's */
    void (*walk)(void *arg, const struct yd_application_visit *visit);
    void *arg;
};
void yd_run_tell_applications(struct yd_run *run, struct yd_applications *of);
void yd_run_forget_applications(struct yd_run *run, struct yd_applications *of);
/* All of all elements. Any thread. */
void yd_run_applications(struct yd_run *run, const struct yd_application_visit *visit);

/* Asks, and waits until all have answered or the time is over (not from an executor; simulated: asks only, step on). */
int yd_run_stat_wait(struct yd_run *run, int64_t timeout_ns);

/* The run an element is part of, for the class that reports on it. */
struct yd_run *yd_element_run(struct yd_element *element);
/* What `save` of an element's class writes, for an element that hands its state on to its own successor. */
int yd_run_saved(int (*save)(const void *state, uint32_t key_group, struct yd_saver *saver), const void *state,
                 struct yd_buf *to);
const struct yd_topology *yd_run_topology(const struct yd_run *run);
struct yd_system *yd_run_system(const struct yd_run *run); /* its executors */
/* For doors, in receive: as yd_ask, to an element of this run by its name, on the input where it answers `rows` or
 * `facts`, without a wire. Takes the query. YD_ENOENT: there is none of this name; YD_ENOTSUP: it answers no such
 * questions. */
int yd_run_ask(struct yd_out *out, struct yd_str element, struct yd_batch *query, uint64_t cookie, int64_t timeout_ns);
/* The port where elements of this class answer `rows` or `facts`; -1: none. */
int yd_run_asked_port(const struct yd_element_class *class);
/* The streams open in this run, by "name/partition": who opens one puts it there, and removes it before closing it. */
struct yd_streams *yd_element_streams(struct yd_element *element);
/* For pumps that serve streams: the same, the data folder, its disk's file threads, randomness (any thread). */
struct yd_streams *yd_pump_streams(struct yd_pump *pump);
const char *yd_pump_data(struct yd_pump *pump);
struct yd_pool *yd_pump_pool(struct yd_pump *pump);
uint64_t yd_pump_random(struct yd_pump *pump);
int64_t yd_pump_wall_anywhere(struct yd_pump *pump); /* any thread, where yd_pump_wall is the loop's */
/* Records that came in and were there already: consumed, and folded. */
void yd_pump_count_folded(struct yd_pump *pump, uint64_t records);
bool yd_pump_simulated(struct yd_pump *pump);

/* ---- in-file tests ---- */
/* Puts bytes or a batch into an element as its pump would have (class->feed), or a batch into a push input. Simulated
 * runs only. Takes the batch. port: of the input, or UINT_MAX for the pump's way. */
int yd_run_feed(struct yd_run *run, uint32_t node, unsigned port, struct yd_str bytes, struct yd_batch *batch);

struct yd_test_result {
    const char *name;
    struct yd_place place; /* of the expectation that failed */
    bool passed;
    struct yd_buf report; /* why, for people; empty when passed */
};
/* Runs one in-file test in a world of its own: simulated loop, disk and clock, from `seed`. 0 when it could be run
 * (ret tells whether it passed), YD_E… when the topology could not be started. The report is the caller's to fini. */
int yd_test_run(const struct yd_topology *topology, size_t test, uint64_t seed, struct yd_test_result *ret);

/* A saved state's file (DATA/state/ELEMENT.state): is it whole? 0, YD_ECORRUPT, YD_EVERSION, YD_EIO. */
struct yd_fs;
int yd_state_check(struct yd_fs *fs, const char *path);

#endif
