/* Self: yarder's own counters, as records like any others.
 *
 *   pump: timer --> ask every element for a snapshot --> (next time) the last snapshots --> records --> emit
 *
 * It cannot amplify itself: how many records a report can have depends on the topology alone, not on the traffic, and
 * what concerns Self itself is left out. Only times are missing where nothing was done since the last report, and what
 * nobody has waited for yet. */
#include <yarder/element.h>
#include <yarder/name.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/text.h"
#include "flow/run.h"

enum { PORT_OUTPUT };

struct self {
    struct yd_run *run;
};

struct self_pump {
    struct yd_pump *pump;
    const struct self *self;
    struct yd_timer *timer;
    int64_t every_ns, next_ns, now_ns;
    struct yd_builder *builder;
    struct told {                    /* of each element, as of the last report */
        struct yd_histogram *inputs; /* of each its latency and what it waited */
    } * told;
    size_t told_count;
    struct told_wait { /* as of the last report; a wait keeps its place by what it is called */
        uint64_t hash;
        struct yd_histogram spent;
    } * waits;
    size_t wait_count, wait_room;
};

/* ---- records ---- */

static void emit_built(struct self_pump *pump)
{
    struct yd_batch *batch;
    if (yd_builder_seal(pump->builder, &batch) == 0) (void)yd_pump_emit(pump->pump, PORT_OUTPUT, batch);
}

static void add(struct self_pump *pump, enum yd_kind kind, uint64_t value, const char *metric, const char *raw_tags)
{
    char raw[1024], name[YD_NAME_SIZE_MAX + 1];
    size_t size;
    uint32_t index;
    int error = 0;
    snprintf(raw, sizeof raw, "yarder.%s %s", metric, raw_tags);
    if (yd_name_canonical(yd_str_of(raw), name, &size) < 0) return; /* names of elements are identifiers: cannot be */
    for (int try = 0; try < 2; try++) {
        error = yd_builder_name(pump->builder, (struct yd_str){name, size}, &index);
        if (error == 0)
            error = yd_builder_add(pump->builder, pump->now_ns, index, kind, YD_U64, 0, (union yd_value){.u64 = value});
        if (error != YD_EFULL) break;
        emit_built(pump); /* a large topology: a report is several batches */
    }
    if (error < 0) yd_pump_say(pump->pump, 1, "%s %s is not reported: %s", metric, raw_tags, yd_error_text(error));
}

/* How many there are since the start, and how long those since the last report were; before: the last report's, which
 * becomes this one. Without one (out of memory), of all since the start. The most is the bound of the longest one's
 * bucket. */
static void report_spread(struct self_pump *pump, const char *what, const struct yd_histogram *now,
                          struct yd_histogram *before, const char *tags)
{
    static const struct {
        const char *name;
        double share;
    } shares[] = {{"p50", 0.5}, {"p99", 0.99}, {"max", 1}};
    struct yd_histogram since = *now;
    char metric[64];
    if (before) {
        yd_histogram_since(&since, before);
        *before = *now;
    }
    snprintf(metric, sizeof metric, "%s_count", what);
    add(pump, YD_DELTA, now->total, metric, tags);
    for (size_t i = 0; since.total > 0 && i < YD_COUNT(shares); i++) {
        snprintf(metric, sizeof metric, "%s_%s_us", what, shares[i].name);
        add(pump, YD_SAMPLE, (uint64_t)yd_histogram_quantile_ns(&since, shares[i].share) / 1000, metric, tags);
    }
}

static void report_times(struct self_pump *pump, const struct yd_element_stat *stat, size_t i, const char *tags)
{
    struct told *told = &pump->told[stat->node];
    if (!told->inputs) told->inputs = calloc(stat->input_count * 2, sizeof *told->inputs);
    struct yd_histogram *before = told->inputs ? &told->inputs[2 * i] : NULL;
    report_spread(pump, "input.latency", &stat->inputs[i].latency, before, tags);
    report_spread(pump, "input.waited", &stat->inputs[i].waited, before ? before + 1 : NULL, tags);
}

/* What a lock, a disk or a part is called, as a tag's value. */
static void put_value(char *to, size_t size, const char *text)
{
    size_t at = 0;
    for (; *text && at + 1 < size; text++) {
        bool plain = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') || (*text >= '0' && *text <= '9');
        if (plain || strchr("-_./", *text))
            to[at++] = *text;
        else if (at && to[at - 1] != '_' && *text != '"' && *text != '\'')
            to[at++] = '_';
    }
    to[at] = 0;
}

/* yarder.packets element=decom,packet=flight */
static void report_parts(struct self_pump *pump, const struct yd_element_stat *stat)
{
    char metric[64], value[64], tags[512];
    for (size_t i = 0; i < stat->part_count; i++) {
        put_value(value, sizeof value, *stat->parts[i].name ? stat->parts[i].name : "others");
        snprintf(metric, sizeof metric, "%ss", stat->part);
        snprintf(tags, sizeof tags, "element=%s,%s=%s", stat->name, stat->part, value);
        add(pump, YD_DELTA, stat->parts[i].count, metric, tags);
    }
}

static void report_element(void *arg, const struct yd_element_stat *stat)
{
    struct self_pump *pump = arg;
    char tags[512];
    if (strcmp(stat->name, yd_pump_element(pump->pump)) == 0) return;
    for (size_t i = 0; i < stat->input_count; i++) {
        const struct yd_input_stat *input = &stat->inputs[i];
        snprintf(tags, sizeof tags, "element=%s,input=%s", stat->name, input->name);
        add(pump, YD_DELTA, input->received, "input.received", tags);
        add(pump, YD_DELTA, input->consumed, "input.consumed", tags);
        add(pump, YD_DELTA, input->rejected, "input.rejected", tags);
        add(pump, YD_DELTA, input->dropped, "input.dropped", tags);
        add(pump, YD_SAMPLE, input->queued, "input.queued", tags);
        report_times(pump, stat, i, tags);
    }
    for (size_t i = 0; i < stat->output_count; i++) {
        snprintf(tags, sizeof tags, "element=%s,output=%s", stat->name, stat->outputs[i].name);
        add(pump, YD_DELTA, stat->outputs[i].records, "output.records", tags);
    }
    snprintf(tags, sizeof tags, "element=%s", stat->name);
    add(pump, YD_DELTA, (uint64_t)(stat->busy_ns / YD_NS_PER_MS), "busy_ms", tags);
    add(pump, YD_DELTA, (uint64_t)(stat->waiting_output_ns / YD_NS_PER_MS), "waiting_output_ms", tags);
    add(pump, YD_DELTA, stat->crashes, "crashes", tags);
    add(pump, YD_DELTA, stat->parked, "parked", tags);
    report_parts(pump, stat);
}

static void report_wire(void *arg, const struct yd_wire_stat *stat)
{
    struct self_pump *pump = arg;
    const struct yd_topology *topology = yd_run_topology(pump->self->run);
    const struct yd_wire *wire = &topology->wires[stat->wire];
    const char *from = topology->nodes[wire->from].name, *to = topology->nodes[wire->to].name;
    char tags[512];
    if (wire->mode != YD_PUSH || strcmp(from, yd_pump_element(pump->pump)) == 0) return;
    snprintf(tags, sizeof tags, "from=%s,to=%s", from, to);
    add(pump, YD_DELTA, stat->records, "wire.records", tags);
    add(pump, YD_DELTA, stat->dropped, "wire.dropped", tags);
    if (stat->is_cursor)
        add(pump, YD_SAMPLE, stat->end > stat->acknowledged ? stat->end - stat->acknowledged : 0, "cursor.lag", tags);
    else
        add(pump, YD_SAMPLE, stat->queued_records, "wire.queued", tags);
}

/* Out of memory: NULL. */
static struct yd_histogram *told_wait(struct self_pump *pump, const char *tags)
{
    uint64_t hash = yd_hash(tags, strlen(tags));
    for (size_t i = 0; i < pump->wait_count; i++)
        if (pump->waits[i].hash == hash) return &pump->waits[i].spent;
    if (pump->wait_count == pump->wait_room) {
        size_t room = pump->wait_room ? pump->wait_room * 2 : 16;
        struct told_wait *waits = realloc(pump->waits, room * sizeof *waits);
        if (!waits) return NULL;
        pump->waits = waits;
        pump->wait_room = room;
    }
    struct told_wait *told = &pump->waits[pump->wait_count++];
    *told = (struct told_wait){.hash = hash};
    return &told->spent;
}

static void report_wait(void *arg, const struct yd_wait *wait)
{
    static const char *const words[] = {[YD_WAIT_LOCK] = "lock",
                                        [YD_WAIT_QUEUE] = "queue",
                                        [YD_WAIT_WORK] = "work",
                                        [YD_WAIT_WRITE] = "write",
                                        [YD_WAIT_SYNC] = "sync"};
    struct self_pump *pump = arg;
    char of[300], part[64], tags[512];
    if (wait->spent->total == 0) return; /* most locks, for ever */
    if (wait->element && strcmp(wait->element, yd_pump_element(pump->pump)) == 0) return;
    put_value(of, sizeof of, wait->of);
    put_value(part, sizeof part, wait->part);
    snprintf(tags, sizeof tags, "of=%s%s%s,what=%s", of, *part ? ",part=" : "", part, words[wait->what]);
    add(pump, YD_DELTA, (uint64_t)(wait->spent->sum_ns / YD_NS_PER_MS), "wait_ms", tags);
    report_spread(pump, "wait", wait->spent, told_wait(pump, tags), tags);
}

static void report(void *arg)
{
    struct self_pump *pump = arg;
    pump->now_ns = yd_pump_wall(pump->pump);
    yd_run_stat(pump->self->run,
                &(struct yd_run_stat_visit){.element = report_element, .wire = report_wire, .arg = pump});
    yd_run_waits(pump->self->run, &(struct yd_wait_visit){report_wait, pump});
    yd_run_stat_ask(pump->self->run); /* for the next report */
    emit_built(pump);
    pump->next_ns = YD_MAX(pump->next_ns + pump->every_ns, yd_pump_mono(pump->pump) + pump->every_ns / 2);
    yd_timer_start(pump->timer, pump->next_ns);
}

/* ---- life ---- */

static int open_self(struct yd_element *element, void *state)
{
    struct self *self = state;
    self->run = yd_element_run(element);
    return 0;
}

static int start(struct yd_pump *pump, void *state, void *element_state)
{
    struct self_pump *self = state;
    self->pump = pump;
    self->self = element_state;
    self->every_ns = yd_args_int(yd_pump_args(pump), "every");
    self->told_count = yd_run_topology(self->self->run)->node_count;
    self->told = calloc(self->told_count, sizeof *self->told);
    int error = self->told ? yd_builder_create(NULL, &self->builder) : YD_ENOMEM;
    if (error == 0) error = yd_timer_create(yd_pump_loop(pump), report, self, &self->timer);
    if (error < 0) {
        yd_builder_destroy(self->builder);
        free(self->told);
        return error;
    }
    self->next_ns = yd_pump_mono(pump) + self->every_ns;
    yd_timer_start(self->timer, self->next_ns);
    yd_run_stat_ask(self->self->run);
    return 0;
}

static void stop(void *state)
{
    struct self_pump *self = state;
    yd_timer_close(self->timer);
    yd_builder_destroy(self->builder);
    for (size_t i = 0; i < self->told_count; i++) free(self->told[i].inputs);
    free(self->told);
    free(self->waits);
    yd_pump_stopped(self->pump);
}

static const struct yd_pump_class pump_class = {.state_size = sizeof(struct self_pump), .start = start, .stop = stop};

static const struct yd_port_class ports[] = {
    [PORT_OUTPUT] = {.name = "output",
                     .direction = YD_OUT,
                     .mode = YD_PUSH,
                     .kinds = YD_KIND_BIT(YD_SAMPLE) | YD_KIND_BIT(YD_DELTA),
                     .flags = YD_PORT_REQUIRED,
                     .doc = "`yarder.input.received element=…,input=…` and the like; DELTAs count since the start."},
    {.name = NULL},
};

static const struct yd_param_class params[] = {
    {.name = "every", .type = YD_PARAM_DURATION, .initial = "10s", .min = 1e8, .max = 8.64e13, .doc = "How often."},
    {.name = NULL},
};

const struct yd_element_class yd_class_self = {
    .abi = YD_ELEMENT_ABI,
    .flags = YD_CLASS_SOURCE,
    .name = "Self",
    .summary = "yarder's own counters as records",
    .doc =
        "For each input what was received, consumed, rejected, dropped and is queued, how long since it came in the "
        "element was done with it (`latency_p50_us`, `latency_p99_us`, `latency_max_us`, of `latency_count` records: a "
        "Log, durable; a History, seen by queries), and how long it waited before the element looked at it (`waited_`, "
        "likewise); for each element its busy time, crashes and parked batches; of a Decom how many packets of each "
        "kind it decoded (`yarder.packets element=decom,packet=flight`, 256 kinds at most and the `others` "
        "together); for each wire its records, and how far "
        "a cursor is behind; for each lock that somebody had to wait for, for file threads and for the disks of "
        "streams how often and how long (`yarder.wait_ms`, `wait_count`, `wait_p50_us` … with `of`, `part` and `what`: "
        "`lock`, `queue` before a file thread, its `work`, `write`, `sync`). A report is no larger than the topology, "
        "whatever the traffic, and leaves Self itself out.",
    .example = "self :: Self(every: 10s) -> metrics",
    .ports = ports,
    .params = params,
    .state_size = sizeof(struct self),
    .open = open_self,
    .pump = &pump_class,
};
