/* Snapshots, samples, lines for the operator.
 *
 * Counters belong to their element's process and are plain numbers. Whoever wants to see them asks; the process copies
 * them between two turns (so they add up) under a lock that only readers and this copying ever take. */
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/text.h"
#include "flow/runtime.h"

/* ---- lines ---- */

static void say_text(struct yd_run *run, const char *element, int level, const char *text)
{
    if (!run->options.said) return;
    struct yd_run_line line = {level, element, text};
    yd_lock_take(&run->say_lock);
    run->options.said(run->options.callback_arg, &line);
    yd_lock_give(&run->say_lock);
}

void yd__say(struct yd_run *run, const char *element, int level, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    say_text(run, element, level, text);
}

void yd__element_say_v(struct yd_element *e, int64_t mono_ns, int level, const char *format, va_list args)
{
    if (mono_ns - e->say_window >= YD_NS_PER_S) {
        if (e->unsaid) yd__say(e->run, e->node->name, 1, "%u more lines were not shown", e->unsaid);
        e->say_window = mono_ns;
        e->said = e->unsaid = 0;
    }
    if (e->said++ >= YD__LINES_PER_S) {
        e->unsaid++;
        return;
    }
    char text[1024];
    vsnprintf(text, sizeof text, format, args);
    say_text(e->run, e->node->name, level, text);
}

void yd__element_say(struct yd_element *e, int level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    yd__element_say_v(e, e->box ? yd_out_mono(e->box) : 0, level, format, args);
    va_end(args);
}

/* ---- samples ---- */

void yd__sample_keep(struct yd_element *e, int64_t wall_ns, unsigned reason, struct yd_str text, struct yd_str peer)
{
    struct yd__sample *s = &e->samples[e->sample_next];
    e->sample_next = (e->sample_next + 1) % YD__SAMPLES;
    if (e->sample_count < YD__SAMPLES) e->sample_count++;
    s->wall_ns = wall_ns;
    s->reason = (uint16_t)reason;
    s->text_size = (uint8_t)YD_MIN(text.size, sizeof s->text);
    s->peer_size = (uint8_t)YD_MIN(peer.size, sizeof s->peer);
    memcpy(s->text, text.data, s->text_size);
    if (s->peer_size) memcpy(s->peer, peer.data, s->peer_size);
}

/* ---- setting up ---- */

static int setup_ports(struct yd_element *e)
{
    size_t inputs = 0, outputs = 0;
    for (size_t p = 0; p < e->port_count; p++) {
        const struct yd_port_class *port = &e->class->ports[p];
        e->ports[p].input = e->ports[p].output = UINT16_MAX;
        if (port->mode != YD_PUSH) continue;
        if (port->direction == YD_IN) e->ports[p].input = (uint16_t)inputs++;
        if (port->direction == YD_OUT) e->ports[p].output = (uint16_t)outputs++;
    }
    e->input_count = inputs + 1;
    e->output_count = outputs;
    e->inputs = calloc(e->input_count, sizeof *e->inputs);
    e->outputs = calloc(outputs + 1, sizeof *e->outputs);
    if (!e->inputs || !e->outputs) return YD_ENOMEM;
    for (size_t p = 0; p < e->port_count; p++) {
        if (e->ports[p].input != UINT16_MAX) e->inputs[e->ports[p].input].stat.name = e->class->ports[p].name;
        if (e->ports[p].output != UINT16_MAX) e->outputs[e->ports[p].output].name = e->class->ports[p].name;
    }
    e->inputs[inputs].stat.name = "pump";
    return 0;
}

int yd__counts_setup(struct yd_element *e)
{
    while (e->class->reasons && e->class->reasons[e->reason_count]) e->reason_count++;
    int error = setup_ports(e);
    if (error < 0) return error;
    struct yd__published *to = &e->published;
    e->reasons = calloc(e->reason_count + 1, sizeof *e->reasons);
    e->samples = calloc(YD__SAMPLES, sizeof *e->samples);
    to->inputs = calloc(e->input_count, sizeof *to->inputs);
    to->outputs = calloc(e->output_count + 1, sizeof *to->outputs);
    to->reasons = calloc(e->reason_count + 1, sizeof *to->reasons);
    to->samples = calloc(YD__SAMPLES, sizeof *to->samples);
    to->peers = calloc(YD__PEERS, sizeof *to->peers);
    if (!to->peers || !e->reasons || !e->samples || !to->inputs || !to->outputs || !to->reasons || !to->samples)
        return YD_ENOMEM;
    for (size_t r = 0; r < e->reason_count; r++) e->reasons[r].reason = to->reasons[r].reason = e->class->reasons[r];
    for (size_t i = 0; i < e->input_count; i++) to->inputs[i].name = e->inputs[i].stat.name;
    for (size_t i = 0; i < e->output_count; i++) to->outputs[i].name = e->outputs[i].name;
    to->stat = (struct yd_element_stat){.node = e->index,
                                        .name = e->node->name,
                                        .class_name = e->class->name,
                                        .input_count = e->input_count,
                                        .output_count = e->output_count,
                                        .reason_count = e->reason_count,
                                        .inputs = to->inputs,
                                        .outputs = to->outputs,
                                        .reasons = to->reasons};
    if (!e->class->parts) return 0;
    to->parts = calloc(YD_PARTS_MAX + 1, sizeof *to->parts);
    to->stat.part = e->class->part;
    to->stat.parts = to->parts;
    return to->parts ? 0 : YD_ENOMEM;
}

void yd__counts_fini(struct yd_element *e)
{
    free(e->inputs);
    free(e->outputs);
    free(e->reasons);
    free(e->samples);
    free(e->published.inputs);
    free(e->published.outputs);
    free(e->published.reasons);
    free(e->published.samples);
    free(e->published.peers);
    free(e->published.pumps);
    free(e->published.parts);
}

/* ---- publishing ---- */

static int find_busy(void *arg, const struct yd_process_stat *stat)
{
    struct yd_element_stat *to = arg;
    if (stat->pid != (yd_pid)to->busy_ns) return 0;
    to->busy_ns = stat->busy_ns;
    return 1;
}

static void publish_wire(struct yd__flow_wire *wire)
{
    struct yd_wire_stat *to = &wire->published;
    const struct yd__wire_out *out = &wire->out;
    *to = out->stat;
    to->queued_bytes = out->queue_bytes;
    to->queued_records = out->queue_records;
    to->in_flight_bytes = wire->window_bytes - (uint64_t)out->credit_bytes;
    to->in_flight_records = wire->window_records - (uint64_t)out->credit_records;
    to->ended = out->ended;
}

/* Credit goes back by quarters of the window: what is consumed and not yet returned is no longer in flight. */
static void publish_receiver(struct yd__flow_wire *wire)
{
    wire->in.seen_bytes = wire->in.unreturned_bytes;
    wire->in.seen_records = wire->in.unreturned_records;
}

/* A name that is cut ends in what tells it from others that begin alike. */
static void name_part(char *to, size_t room, struct yd_str name)
{
    char end[12] = "";
    size_t size = YD_MIN(name.size, room - 1);
    if (size < name.size)
        size -= (size_t)snprintf(end, sizeof end, "~%08x", (unsigned)(yd_hash_str(name) & UINT32_MAX));
    while (size && !yd_text_utf8((struct yd_str){name.data, size})) size--;
    memcpy(to, name.data, size);
    memcpy(to + size, end, strlen(end) + 1);
}

static void add_part(void *arg, struct yd_str name, uint64_t count)
{
    struct yd__published *to = arg;
    struct yd_part_stat *part = &to->parts[YD_MIN(to->stat.part_count, (size_t)YD_PARTS_MAX)];
    if (to->stat.part_count <= YD_PARTS_MAX) *part = (struct yd_part_stat){.count = 0};
    if (to->stat.part_count < YD_PARTS_MAX) name_part(part->name, sizeof part->name, name);
    part->count += count;
    to->stat.part_count = YD_MIN(to->stat.part_count + 1, (size_t)YD_PARTS_MAX + 1);
}

void yd__counts_publish(struct yd_element *e, int64_t now)
{
    struct yd__published *to = &e->published;
    if (e->pump) yd__pump_take_counts(e);
    yd_lock_take(&e->lock);
    to->stat.life = e->life;
    to->stat.blocked = e->blocked_by != 0;
    to->stat.taken_at_ns = now;
    to->stat.waiting_input_ns = now - e->started_at; /* the reader takes the other two off */
    to->stat.waiting_output_ns = e->waiting_output_ns + (e->blocked_by ? now - e->blocked_since : 0);
    to->stat.crashes = e->crashes;
    to->stat.parked = e->parked;
    to->stat.saves = e->saves;
    to->stat.queries_asked = e->asked;
    to->stat.queries_answered = e->answered;
    to->stat.queries_failed = e->failed_questions;
    for (size_t i = 0; i < e->input_count; i++) to->inputs[i] = e->inputs[i].stat;
    memcpy(to->outputs, e->outputs, e->output_count * sizeof *to->outputs);
    memcpy(to->reasons, e->reasons, e->reason_count * sizeof *to->reasons);
    uint32_t from = e->sample_count < YD__SAMPLES ? 0 : e->sample_next;
    for (uint32_t i = 0; i < e->sample_count; i++) to->samples[i] = e->samples[(from + i) % YD__SAMPLES];
    to->stat.sample_count = e->sample_count;
    if (to->parts && e->life == YD_LIFE_UP) { /* one that is down shows what it had */
        to->stat.part_count = 0;
        e->class->parts(e->state, add_part, to);
    }
    if (e->pump) yd__pump_peers(e, to->peers);
    if (to->pumps) yd__pump_stats(e, to->pumps);
    to->stat.pump_count = to->pumps ? yd_pump_count(e->pump) : 0;
    to->stat.pumps = to->pumps;
    for (size_t p = 0; p < e->port_count; p++) {
        if (e->class->ports[p].mode != YD_PUSH) continue;
        for (uint32_t i = 0; i < e->ports[p].wire_count; i++) {
            struct yd__flow_wire *wire = &e->run->wires[e->ports[p].wires[i]];
            if (e->class->ports[p].direction == YD_IN)
                publish_receiver(wire);
            else if (!wire->def->is_cursor)
                publish_wire(wire);
        }
    }
    yd_lock_give(&e->lock);
    atomic_fetch_sub_explicit(&e->run->stat_waits, 1, memory_order_release); /* pairs with yd_run_stat_wait */
}

/* ---- reading ---- */

void yd_run_stat_ask(struct yd_run *run)
{
    for (uint32_t i = 0; i < run->element_count; i++) {
        struct yd_element *e = &run->elements[i];
        if (atomic_exchange_explicit(&e->stat_wanted, true, memory_order_release)) continue;
        atomic_fetch_add_explicit(&run->stat_waits, 1, memory_order_relaxed);
        yd__tell(run, e->pid, YD__ENV_STAT, 0, 0);
    }
    for (uint32_t i = 0; i < run->cursor_count; i++) {
        struct yd__cursor_wire *c = &run->cursors[i];
        if (atomic_exchange_explicit(&c->stat_wanted, true, memory_order_release)) continue;
        atomic_fetch_add_explicit(&run->stat_waits, 1, memory_order_relaxed);
        yd__tell(run, c->pid, YD__ENV_STAT, 0, 0);
    }
}

static int by_rejected(const void *a, const void *b)
{
    const struct yd_peer_stat *one = a, *two = b;
    return (one->rejected < two->rejected) - (one->rejected > two->rejected);
}

/* The most first. */
static size_t put_peers(const struct yd_element *e, struct yd_peer_stat *to)
{
    size_t count = 0;
    for (size_t i = 0; i < YD__PEERS; i++) {
        const struct yd__peer *peer = &e->published.peers[i];
        if (peer->rejected == 0) continue;
        to[count++] = (struct yd_peer_stat){{peer->name, peer->size},
                                            peer->reason < e->reason_count ? e->class->reasons[peer->reason] : "?",
                                            peer->rejected};
    }
    qsort(to, count, sizeof *to, by_rejected);
    return count;
}

static void visit_element(struct yd_element *e, const struct yd_run_stat_visit *visit)
{
    struct yd_reject_sample samples[YD__SAMPLES];
    struct yd_peer_stat peers[YD__PEERS];
    yd_lock_take(&e->lock);
    struct yd_element_stat stat = e->published.stat;
    stat.busy_ns = (int64_t)e->pid;
    if (yd_system_visit(e->run->options.system, find_busy, &stat) != 1) stat.busy_ns = 0;
    stat.waiting_input_ns = YD_MAX(stat.waiting_input_ns - stat.waiting_output_ns - stat.busy_ns, 0);
    for (size_t i = 0; i < stat.sample_count; i++) {
        const struct yd__sample *s = &e->published.samples[i];
        samples[i] = (struct yd_reject_sample){s->wall_ns,
                                               s->reason < e->reason_count ? e->class->reasons[s->reason] : "?",
                                               {s->text, s->text_size},
                                               {s->peer, s->peer_size}};
    }
    stat.samples = samples;
    stat.peer_count = put_peers(e, peers);
    stat.peers = peers;
    visit->element(visit->arg, &stat);
    yd_lock_give(&e->lock);
}

/* Both ends publish between turns of their own: while records flow the two moments differ, and less than nothing is
 * nothing; when they rest it is exact. */
static void take_off_consumed(struct yd_run *run, const struct yd__flow_wire *wire, struct yd_wire_stat *stat)
{
    struct yd_element *to = &run->elements[wire->def->to];
    yd_lock_take(&to->lock);
    stat->in_flight_bytes -= YD_MIN(stat->in_flight_bytes, wire->in.seen_bytes);
    stat->in_flight_records -= YD_MIN(stat->in_flight_records, wire->in.seen_records);
    yd_lock_give(&to->lock);
}

void yd_run_stat(struct yd_run *run, const struct yd_run_stat_visit *visit)
{
    for (uint32_t i = 0; visit->element && i < run->element_count; i++) visit_element(&run->elements[i], visit);
    for (uint32_t i = 0; visit->wire && i < run->wire_count; i++) {
        struct yd__flow_wire *wire = &run->wires[i];
        if (wire->def->mode != YD_PUSH) continue;
        struct yd_lock *lock = &run->elements[wire->def->from].lock;
        for (uint32_t c = 0; wire->def->is_cursor && c < run->cursor_count; c++)
            if (run->cursors[c].wire == wire) lock = &run->cursors[c].lock;
        yd_lock_take(lock);
        struct yd_wire_stat stat = wire->published;
        yd_lock_give(lock);
        take_off_consumed(run, wire, &stat);
        visit->wire(visit->arg, &stat);
    }
}
