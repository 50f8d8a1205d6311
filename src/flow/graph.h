/* flow/graph.h: a checked topology: compounds expanded, parameters typed, every wire from a port to a port.
 * What the checker makes, the runtime runs, and `graph`, `fmt` and `test` show. It owns its memory (one arena). */
#ifndef FLOW_GRAPH_H
#define FLOW_GRAPH_H

#include <yarder/element.h>

#include "base/alloc.h"
#include "base/diagnostics.h"
#include "base/text.h"

enum yd_full { YD_FULL_BLOCK, YD_FULL_DROP_OLD, YD_FULL_DROP_NEW, YD_FULL_SPILL, YD_FULL_SPILL_DROP };
enum yd_on_crash { YD_CRASH_PARK, YD_CRASH_STOP, YD_CRASH_EXIT };

struct yd_node_options {       /* `with { … }` */
    uint32_t restart_max;      /* restart: N in D; 0: default 5 */
    int64_t restart_window_ns; /* 0: default 1 m */
    enum yd_on_crash on_crash;
    const char *group; /* NULL: none */
    bool isolate;      /* checked, refused: not yet */
    const char *at;    /* likewise */
};

struct yd_node {
    const char *name; /* "rollup", "clean.filter" inside a compound, "Print@12" when anonymous, then "Print@12#2" */
    const struct yd_element_class *class;
    struct yd_args args; /* defaults filled in */
    struct yd_node_options options;
    struct yd_place place;
    bool anonymous;
};

struct yd_wire {
    uint32_t from, to;           /* nodes */
    unsigned from_port, to_port; /* indices into their classes' ports */
    enum yd_port_mode mode;
    uint64_t queue_bytes;   /* 0: default 8 MiB */
    uint64_t queue_records; /* 0: no limit of its own */
    enum yd_full full;
    int64_t timeout_ns; /* query; 0: default 30 s */
    /* out of a Log */
    bool is_cursor;
    const char *cursor; /* name; made of both ends' names when not given */
    enum { YD_WIRE_OLDEST, YD_WIRE_TAIL, YD_WIRE_SEQNO, YD_WIRE_TIME } from_where;
    uint64_t from_seqno;
    int64_t from_time_ns;
    unsigned read_level; /* 1 memory, 2 written, 3 durable (default) */
    struct yd_place place;
};

/* In-file tests, steps in order. */
enum yd_step_type { YD_STEP_FEED, YD_STEP_EXPECT, YD_STEP_ADVANCE };
struct yd_step {
    enum yd_step_type type;
    struct yd_place place;
    uint32_t node;
    /* A feed of text goes through class->feed, whatever the port. A feed of records goes into this port if it is an
     * input, else out of it. An expect looks at what came out of this port, or went into it if it is an input.
     * When none was named (has_port false) it has been chosen: feed: the first push input, else the first push output;
     * expect: the first push output, else the first push input. */
    unsigned port;
    bool has_port;
    bool is_text; /* feed: text; else records */
    struct yd_str text;
    /* A LIST of MAPs with the keys name, kind, time, value: feed, or expect ==. A key that an expectation leaves out
     * is not compared. `time` is seconds since 1970 (INT, FLOAT) or text for yd_text_time. */
    const struct yd_arg *records;
    enum { YD_EXPECT_COUNT, YD_EXPECT_EQUAL, YD_EXPECT_EMPTY } expect;
    uint64_t count;
    int64_t advance_ns;
};
struct yd_test {
    const char *name;
    struct yd_place place;
    const struct yd_step *steps;
    size_t step_count;
};

struct yd_topology {
    struct yd_arena arena;
    const char **files;
    size_t file_count;
    struct yd_node *nodes;
    size_t node_count;
    struct yd_wire *wires;
    size_t wire_count;
    struct yd_test *tests;
    size_t test_count;
};
void yd_topology_destroy(struct yd_topology *topology);

/* The classes that a topology may name. */
struct yd_classes {
    const struct yd_element_class *const *items;
    size_t count;
};

/* A class's table, before it is used: a plug-in's is somebody else's. YD_EVERSION, YD_EINVAL with the reason. Pure. */
int yd_class_check(const struct yd_element_class *class, struct yd_trail *trail);

struct yd_setting { /* --set id=value */
    const char *id, *value;
};
struct yd_load_options {
    const struct yd_classes *classes;
    const struct yd_setting *settings;
    size_t setting_count;
    /* How files are read (tests give their own); malloc'd text. NULL: from the file system. */
    int (*read_file)(void *arg, const char *path, char **ret_text, size_t *ret_size);
    const char *(*getenv_)(void *arg, const char *name); /* NULL: the environment */
    void *arg;
    struct yd_alloc *alloc;                    /* of the topology and of the work; NULL: the C library's */
    uint64_t memory_available, disk_available; /* for check 10; 0: not checked */
};
/* Reads, parses, expands, checks: all mistakes in one run. No side effects: nothing is opened, bound or created.
 * 0 and a topology when there are no errors (there may be warnings), YD_EFORMAT otherwise. */
int yd_topology_load(const char *path, const struct yd_load_options *options, struct yd_topology **ret_topology,
                     struct yd_diagnostics *diagnostics);
/* Every code there is, by number, with what it means and what to do: docs/errors.md is made of it. */
struct yd_code {
    unsigned code;
    const char *name, *title, *advice;
};
const struct yd_code *yd_diagnostics_codes(size_t *ret_count);
/* Formats source text canonically; comments stay. YD_EFORMAT with diagnostics when it does not parse. */
int yd_topology_format(const char *path, struct yd_str text, struct yd_buf *to, struct yd_diagnostics *diagnostics);
/* Graphviz dot, or a text picture, or JSON. */
enum yd_graph_form { YD_GRAPH_DOT, YD_GRAPH_TEXT, YD_GRAPH_JSON };
void yd_topology_graph(const struct yd_topology *topology, enum yd_graph_form form, struct yd_buf *to);

/* The code of a STATE in a test's record: ok, warning, critical, unknown are 0 to 3; -1: none of them. */
int yd_test_code(struct yd_str text);

#endif
