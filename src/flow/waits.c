/* flow/waits.c: everything in a run that somebody may wait for, told in one walk.
 *
 *   file threads ─▶ streams (locks, writes, syncs) ─▶ elements (their counters' locks) ─▶ processes ─▶ visit
 *
 * The histograms are read where they lie, without their locks. What is not here: the logs behind `full: spill` wires.
 */
#include <stdio.h>
#include <string.h>

#include "flow/runtime.h"
#include "log/waits.h"

struct walk {
    const struct yd_run *run;
    const struct yd_wait_visit *visit;
    const char *element;
};

static void with_element(void *arg, const struct yd_wait *wait)
{
    const struct walk *walk = arg;
    struct yd_wait of_one = *wait;
    of_one.element = walk->element;
    walk->visit->visit(walk->visit->arg, &of_one);
}

/* The element whose `stream` this is: "name/partition". */
static const char *element_of(const struct yd_run *run, const char *stream)
{
    const char *slash = strrchr(stream, '/');
    struct yd_str name = {stream, slash ? (size_t)(slash - stream) : strlen(stream)};
    for (uint32_t i = 0; i < run->element_count; i++) {
        const struct yd_element *e = &run->elements[i];
        if (e->class->stream && yd_str_eq(yd_args_text(&e->node->args, "stream"), name)) return e->node->name;
    }
    return NULL;
}

static int tell_stream(void *arg, const char *stream, struct yd_log *log)
{
    struct walk *walk = arg;
    char of[300];
    snprintf(of, sizeof of, "stream %s", stream);
    walk->element = element_of(walk->run, stream);
    yd_log_waits(log, of, &(struct yd_wait_visit){with_element, walk});
    return 0;
}

void yd_run_waits(struct yd_run *run, const struct yd_wait_visit *visit)
{
    struct walk walk = {run, visit, NULL};
    char of[300], part[48];
    yd_pool_waits(run->options.pool, visit);
    (void)yd_streams_list(run->streams, tell_stream, &walk); /* out of memory: those are not told this time */
    for (uint32_t i = 0; i < run->element_count; i++) {
        const struct yd_element *e = &run->elements[i];
        const struct yd_wait_visit mine = {with_element, &walk};
        walk.element = e->node->name;
        snprintf(of, sizeof of, "element %s", e->node->name);
        yd_wait_lock(&mine, of, "snapshot", &e->lock);
        for (const struct yd_pump *pump = e->pump; pump; pump = pump->next) {
            snprintf(part, sizeof part, "counters of pump %u", (unsigned)pump->index);
            yd_wait_lock(&mine, of, part, &pump->lock);
        }
    }
    yd_wait_lock(visit, "run", "lines to the operator", &run->say_lock);
    yd_wait_lock(visit, "run", "list of applications", &run->applications_lock);
    yd_system_waits(run->options.system, visit);
}
