/* Topologies from text in memory, for the language's tests. */
#ifndef UNIT_FLOW_YARD_H
#define UNIT_FLOW_YARD_H

#include <stdlib.h>

#include "base/alloc.h"
#include "golden/classes.h"

struct yard {
    const char *names[8], *texts[8]; /* files */
    size_t file_count;
    const char *env[8][2];
    size_t env_count;
    int reads;
    struct yd_load_options options;
    struct yd_diagnostics diagnostics;
    struct yd_topology *topology;
    struct yd_buf printed;
};

static inline int yard_read(void *arg, const char *path, char **ret_text, size_t *ret_size)
{
    struct yard *yard = arg;
    yard->reads++;
    for (size_t i = 0; i < yard->file_count; i++) {
        if (strcmp(yard->names[i], path) != 0) continue;
        *ret_text = strdup(yard->texts[i]);
        *ret_size = strlen(yard->texts[i]);
        return *ret_text ? 0 : YD_ENOMEM;
    }
    return YD_ENOENT;
}

static inline const char *yard_getenv(void *arg, const char *name)
{
    const struct yard *yard = arg;
    for (size_t i = 0; i < yard->env_count; i++)
        if (strcmp(yard->env[i][0], name) == 0) return yard->env[i][1];
    return NULL;
}

static inline void yard_init(struct yard *yard, const char *text)
{
    *yard = (struct yard){.names = {"main.yd"}, .texts = {text}, .file_count = 1};
    yard->options = (struct yd_load_options){
        .classes = &golden_classes, .read_file = yard_read, .getenv_ = yard_getenv, .arg = yard};
}

/* 0 or YD_E…; what is wrong is in yard->printed, terminated. */
static inline int yard_load(struct yard *yard)
{
    yd_diagnostics_init(&yard->diagnostics, yard->options.alloc);
    yd_buf_init(&yard->printed, NULL);
    int r = yd_topology_load("main.yd", &yard->options, &yard->topology, &yard->diagnostics);
    yd_diagnostics_print(&yard->diagnostics, false, &yard->printed);
    yd_buf_char(&yard->printed, 0);
    return r;
}

static inline void yard_fini(struct yard *yard)
{
    yd_topology_destroy(yard->topology);
    yd_diagnostics_fini(&yard->diagnostics);
    yd_buf_fini(&yard->printed);
}

static inline const struct yd_node *yard_node(const struct yard *yard, const char *name)
{
    for (size_t i = 0; yard->topology && i < yard->topology->node_count; i++)
        if (strcmp(yard->topology->nodes[i].name, name) == 0) return &yard->topology->nodes[i];
    return NULL;
}

/* The wire between two nodes, whatever its ports. */
static inline const struct yd_wire *yard_wire(const struct yard *yard, const char *from, const char *to)
{
    const struct yd_topology *topology = yard->topology;
    for (size_t i = 0; topology && i < topology->wire_count; i++)
        if (strcmp(topology->nodes[topology->wires[i].from].name, from) == 0 &&
            strcmp(topology->nodes[topology->wires[i].to].name, to) == 0)
            return &topology->wires[i];
    return NULL;
}

#endif
