/* What receive may say: every call records an operation; the flush does them in order once receive has returned. After
 * FAIL they are thrown away.
 *
 * The flush is also where a batch gets what it inherits: the ticket of the input at hand, and where that input came
 * from (see docs/delivery.md, "Sent again, written once"). */
#include <stdio.h>
#include <stdlib.h>

#include "flow/runtime.h"

static struct yd__op *record(struct yd_out *out, enum yd__op_type type)
{
    if (out->count == out->capacity) {
        uint32_t capacity = out->capacity ? out->capacity * 2 : 32;
        struct yd__op *ops = realloc(out->ops, capacity * sizeof *ops);
        if (!ops) {
            out->failed = true;
            return NULL;
        }
        out->ops = ops;
        out->capacity = capacity;
    }
    struct yd__op *op = &out->ops[out->count++];
    *op = (struct yd__op){.type = (uint8_t)type};
    return op;
}

void yd__out_begin(struct yd_out *out, struct yd__item *item, uint64_t query)
{
    out->count = 0;
    out->failed = false;
    out->item = item;
    out->query = query;
}

/* ---- emitting ---- */

static bool is_output(const struct yd_element *e, unsigned port, enum yd_port_mode mode)
{
    return port < e->port_count && e->class->ports[port].direction == YD_OUT && e->class->ports[port].mode == mode;
}

/* Control inputs are received while the element is blocked; what they emit waits in a reserve as large as the window.
 */
static bool over_reserve(struct yd_out *out, const struct yd__port *port)
{
    struct yd_element *e = out->element;
    if (YD_LIKELY(e->blocked_by == 0)) return false;
    for (uint32_t i = 0; i < port->wire_count; i++) {
        const struct yd__flow_wire *wire = &e->run->wires[port->wires[i]];
        if (wire->out.blocking && wire->out.queue_bytes > wire->window_bytes) return true;
    }
    return false;
}

static int emit(struct yd_out *out, unsigned port, struct yd_batch *batch, bool asking, unsigned level, uint64_t cookie)
{
    if (!batch) return YD_EINVAL;
    if (!is_output(out->element, port, YD_PUSH)) {
        yd_batch_unref(batch);
        return YD_EINVAL;
    }
    if (over_reserve(out, &out->element->ports[port])) {
        yd_batch_unref(batch);
        return YD_EFULL;
    }
    struct yd__op *op = record(out, YD__OP_EMIT);
    if (!op) {
        yd_batch_unref(batch);
        return YD_ENOMEM;
    }
    op->port = (uint16_t)port;
    op->batch = batch;
    op->more = asking;
    op->level = level;
    op->id = cookie;
    return 0;
}

int yd_emit(struct yd_out *out, unsigned port, struct yd_batch *batch)
{
    return emit(out, port, batch, false, 0, 0);
}

int yd_emit_asking(struct yd_out *out, unsigned port, struct yd_batch *batch, unsigned level, uint64_t cookie)
{
    return emit(out, port, batch, true, level, cookie);
}

void yd__emit_now(struct yd_element *e, unsigned index, struct yd_batch *batch, struct yd__ticket *ticket,
                  const struct yd__origin *origin)
{
    struct yd__port *port = &e->ports[index];
    struct yd_output_stat *stat = &e->outputs[port->output];
    stat->batches++;
    stat->records += batch->header.count;
    stat->bytes += yd_batch_cost(batch);
    if (YD_UNLIKELY(e->run->options.tap != NULL))
        e->run->options.tap(e->run->options.callback_arg, e->index, index, true, batch);
    if (e->class->flags & YD_CLASS_STATEFUL) ticket = yd__state_output(e, ticket);
    if (port->wire_count == 0 || (e->class->ports[index].flags & YD_PORT_CURSOR)) {
        stat->unwired += batch->header.count;
        yd__ticket_unref(ticket);
        yd_batch_unref(batch);
        return;
    }
    for (uint32_t i = 0; i < port->wire_count; i++) {
        struct yd__flow_wire *wire = &e->run->wires[port->wires[i]];
        struct yd__origin here = *origin;
        if (here.id) here.id = yd__mix(here.id, wire->hash);
        bool last = i + 1 == port->wire_count;
        bool was = wire->out.blocking;
        yd__wire_send(e->run, wire, e->box, last ? batch : yd_batch_ref(batch), last ? ticket : yd__ticket_ref(ticket),
                      &here);
        if (YD_UNLIKELY(wire->out.blocking && !was)) yd__element_blocked(e);
    }
}

/* Numbers for what one batch becomes: the i-th piece gets the i-th number of its range, the last piece the range's
 * last. The same batch gives the same pieces again (REPEATS), so they get the same numbers. More pieces than records
 * cannot be numbered: those are not recognised when they are sent again. */
static struct yd__origin split(struct yd_element *e, struct yd__port *port, const struct yd__item *item, bool is_last)
{
    struct yd__origin origin = item->origin;
    if (e->class->flags & YD_CLASS_STATEFUL) {
        if (e->push_wires != 1) return (struct yd__origin){0};
        return (struct yd__origin){yd__mix(e->identity, e->keep.nonce), ++e->keep.output_seq, 1, 0, origin.generation};
    }
    uint64_t next = origin.last - origin.span + port->split++;
    if (next > origin.last || (!is_last && next == origin.last)) return (struct yd__origin){0};
    origin.span = is_last ? (uint32_t)(origin.last - next) : 0;
    origin.last = is_last ? origin.last : next;
    return origin;
}

static void flush_emit(struct yd_out *out, struct yd__op *op, uint32_t at, bool done)
{
    struct yd_element *e = out->element;
    struct yd__item *item = out->item;
    struct yd__origin origin = {0};
    if (item && item->origin.id && item->type == YD__ITEM_BATCH && (e->class->flags & YD_CLASS_REPEATS)) {
        bool is_last = done;
        for (uint32_t i = at + 1; is_last && i < out->count; i++)
            if (out->ops[i].type == YD__OP_EMIT && out->ops[i].port == op->port) is_last = false;
        origin = split(e, &e->ports[op->port], item, is_last);
    }
    origin.born_ns = item ? item->origin.born_ns : 0;
    /* What is made of a batch was appended when that was: who judges by time behind a Filter judges as before it. */
    struct yd_header *header = &op->batch->header;
    if (item && item->type == YD__ITEM_BATCH && item->batch && !header->append_time &&
        __atomic_load_n(&op->batch->refs, __ATOMIC_RELAXED) == 1) {
        header->append_time = item->batch->header.append_time;
        header->header_crc = yd_header_crc(header);
    }
    struct yd__ticket *ticket = item ? yd__ticket_ref(item->ticket) : NULL;
    if (op->more)
        ticket = yd__ticket_new(e->run->hub, YD__TICKET_ASKED, e->pid, op->id, op->level, e->incarnation, ticket);
    yd__emit_now(e, op->port, op->batch, ticket, &origin);
}

/* ---- holds ---- */

static uint64_t hold(struct yd_out *out, bool keep)
{
    struct yd_element *e = out->element;
    struct yd__item *item = out->item;
    if (!item || (item->type != YD__ITEM_BATCH && item->type != YD__ITEM_TELL)) return 0;
    if (item->hold) return item->hold;
    for (uint32_t i = 0; i < out->count; i++)
        if (out->ops[i].type == YD__OP_HOLD) return out->ops[i].id;
    if (e->hold_free == UINT32_MAX) {
        uint32_t capacity = e->hold_capacity ? e->hold_capacity * 2 : 64;
        struct yd__hold *holds = realloc(e->holds, capacity * sizeof *holds);
        if (!holds) {
            out->failed = true;
            return 0;
        }
        for (uint32_t i = e->hold_capacity; i < capacity; i++)
            holds[i] = (struct yd__hold){.generation = 1, .next_free = i + 1 < capacity ? i + 1 : UINT32_MAX};
        e->hold_free = e->hold_capacity;
        e->holds = holds;
        e->hold_capacity = capacity;
    }
    struct yd__op *op = record(out, YD__OP_HOLD);
    if (!op) return 0;
    uint32_t slot = e->hold_free;
    e->hold_free = e->holds[slot].next_free;
    e->holds[slot].use = YD__HOLD_NEW;
    op->more = keep;
    op->id = (uint64_t)e->holds[slot].generation << 32 | slot;
    return op->id;
}

uint64_t yd_hold(struct yd_out *out)
{
    return hold(out, false);
}

uint64_t yd_keep(struct yd_out *out)
{
    return hold(out, true);
}

static struct yd__hold *find_hold(struct yd_element *e, uint64_t handle)
{
    uint32_t slot = (uint32_t)handle;
    if (slot >= e->hold_capacity || e->holds[slot].use == YD__HOLD_FREE) return NULL;
    return e->holds[slot].generation == handle >> 32 ? &e->holds[slot] : NULL;
}

static void free_hold(struct yd_element *e, struct yd__hold *hold)
{
    uint32_t generation = hold->generation + 1 ? hold->generation + 1 : 1;
    *hold = (struct yd__hold){.generation = generation, .next_free = e->hold_free};
    e->hold_free = (uint32_t)(hold - e->holds);
}

static uint16_t input_of(const struct yd_element *e, const struct yd__item *item)
{
    return item->type == YD__ITEM_BATCH ? e->ports[item->port].input : (uint16_t)(e->input_count - 1);
}

static void flush_hold(struct yd_out *out, const struct yd__op *op)
{
    struct yd_element *e = out->element;
    struct yd__item *item = out->item;
    struct yd__hold *hold = find_hold(e, op->id);
    hold->use = YD__HOLD_KEPT;
    hold->ticket = yd__ticket_ref(item->ticket);
    hold->input = input_of(e, item);
    e->hold_count++;
    hold->records = hold->bytes = hold->wire_records = 0;
    hold->born_ns = item->type == YD__ITEM_BATCH ? item->origin.born_ns : 0;
    hold->wire = UINT32_MAX;
    if (op->more) return; /* kept: only the ticket is */
    hold->records = item->batch && !item->urgent ? item->batch->header.count - item->accounted : 0;
    hold->bytes = item->batch ? yd_batch_cost(item->batch) : 0;
    if (item->type == YD__ITEM_BATCH) hold->wire = item->wire;
    hold->wire_records = item->batch ? item->batch->header.count : 0;
    item->hold = op->id;
}

static void release_hold(struct yd_element *e, struct yd__hold *hold, int error, unsigned level)
{
    struct yd_input_stat *stat = &e->inputs[hold->input].stat;
    stat->queued -= hold->records;
    if (error) {
        stat->dropped += hold->records;
    } else {
        stat->consumed += hold->records;
        yd__element_took(e, stat, hold->born_ns, hold->records);
    }
    yd__element_consumed(e, hold->wire, hold->bytes, hold->wire_records);
    struct yd__ticket *ticket = hold->ticket;
    free_hold(e, hold);
    e->hold_count--;
    if (e->hold_count == 0) e->look = true;
    yd__ticket_answer(ticket, error, level);
}

static bool disown(struct yd_element *e, struct yd__item *item, struct yd__hold *hold)
{
    if (!item || !item->hold || find_hold(e, item->hold) != hold) return false;
    item->hold = 0;
    yd__ticket_unref(hold->ticket); /* the item still has its own reference */
    free_hold(e, hold);
    e->hold_count--;
    return true;
}

/* An input that is given again keeps what it costs: only its hold goes. */
void yd__holds_cancel(struct yd_element *e, struct yd__item *poison)
{
    for (uint32_t i = 0; i < e->hold_capacity; i++) {
        struct yd__hold *hold = &e->holds[i];
        if (hold->use != YD__HOLD_KEPT || disown(e, poison, hold)) continue;
        if (e->fifo.count && disown(e, yd__ring_front(&e->fifo), hold)) continue;
        release_hold(e, hold, YD_ECANCELED, 0);
    }
}

void yd_release(struct yd_out *out, uint64_t hold, int error, unsigned level)
{
    struct yd__op *op = record(out, YD__OP_RELEASE);
    if (!op) return;
    op->id = hold;
    op->error = error;
    op->level = level;
}

/* ---- queries ---- */

int yd_ask(struct yd_out *out, unsigned port, struct yd_batch *query, uint64_t cookie, int64_t timeout_ns)
{
    struct yd__op *op = query && is_output(out->element, port, YD_QUERY) ? record(out, YD__OP_ASK) : NULL;
    if (!op) {
        yd_batch_unref(query);
        return query && out->failed ? YD_ENOMEM : YD_EINVAL;
    }
    op->port = (uint16_t)port;
    op->batch = query;
    op->id = cookie;
    op->time_ns = timeout_ns;
    return 0;
}

int yd_run_asked_port(const struct yd_element_class *class)
{
    for (int p = 0; class->ports && class->ports[p].name; p++) {
        const struct yd_port_class *port = &class->ports[p];
        if (port->direction == YD_IN && port->mode == YD_QUERY && port->schema &&
            (strcmp(port->schema, "rows") == 0 || strcmp(port->schema, "facts") == 0))
            return p;
    }
    return -1;
}

int yd_run_ask(struct yd_out *out, struct yd_str element, struct yd_batch *query, uint64_t cookie, int64_t timeout_ns)
{
    struct yd_run *run = out->element->run;
    struct yd_element *whom = NULL;
    for (uint32_t i = 0; i < run->element_count && !whom; i++)
        if (yd_str_eq(element, yd_str_of(run->elements[i].node->name))) whom = &run->elements[i];
    int port = whom ? yd_run_asked_port(whom->class) : -1;
    struct yd__op *op = port >= 0 ? record(out, YD__OP_ASK) : NULL;
    if (!op) {
        yd_batch_unref(query);
        return !whom ? YD_ENOENT : port < 0 ? YD_ENOTSUP : YD_ENOMEM;
    }
    op->port = (uint16_t)port;
    op->batch = query;
    op->id = cookie;
    op->time_ns = timeout_ns;
    op->data = whom;
    return 0;
}

static struct yd__query *find_query(struct yd_out *out, uint64_t handle)
{
    uint64_t *found = yd__dict_find(&out->element->queries, handle ? handle : out->query);
    return found ? (struct yd__query *)(uintptr_t)*found : NULL;
}

int yd_reply(struct yd_out *out, uint64_t query, struct yd_batch *batch, bool more)
{
    struct yd__query *at = (query || out->query) ? find_query(out, query) : NULL;
    int error = at ? 0 : YD_ENOENT;
    if (!error && more && batch && at->kept && at->untaken > YD__REPLY_BYTES_MAX) error = YD_EFULL;
    struct yd__op *op = error ? NULL : record(out, YD__OP_REPLY);
    if (!op) {
        yd_batch_unref(batch);
        return error ? error : YD_ENOMEM;
    }
    op->id = at->handle;
    op->batch = batch;
    op->more = more;
    return 0;
}

int yd_reply_error(struct yd_out *out, uint64_t query, int error, const char *format, ...)
{
    struct yd__query *at = (query || out->query) ? find_query(out, query) : NULL;
    if (!at) return YD_ENOENT;
    struct yd__op *op = record(out, YD__OP_REFUSE);
    if (!op) return YD_ENOMEM;
    op->id = at->handle;
    op->error = error < 0 ? error : YD_EFAIL;
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format ? format : "", args);
    va_end(args);
    op->data = strdup(text);
    op->release = free;
    return 0;
}

uint64_t yd_keep_query(struct yd_out *out)
{
    if (!out->query) return 0;
    struct yd__op *op = record(out, YD__OP_KEEP);
    if (op) op->id = out->query;
    return op ? out->query : 0;
}

/* ---- time, the pump, the end ---- */

void yd_timer_at(struct yd_out *out, uint64_t id, int64_t mono_ns)
{
    struct yd__op *op = record(out, YD__OP_TIMER);
    if (!op) return;
    op->id = id;
    op->time_ns = mono_ns;
}

void yd_timer_off(struct yd_out *out, uint64_t id)
{
    struct yd__op *op = record(out, YD__OP_TIMER_OFF);
    if (op) op->id = id;
}

int yd_out_command(struct yd_out *out, unsigned type, uint64_t arg, struct yd_batch *batch, void *data,
                   void (*release)(void *))
{
    struct yd__op *op = out->element->pump ? record(out, YD__OP_COMMAND) : NULL;
    if (!op) {
        yd_batch_unref(batch);
        if (data && release) release(data);
        return out->failed ? YD_ENOMEM : YD_ENOENT;
    }
    op->id = type;
    op->arg = arg;
    op->batch = batch;
    op->data = data;
    op->release = release;
    return 0;
}

void yd_state_changed(struct yd_out *out)
{
    if (out->element->class->flags & YD_CLASS_STATEFUL) (void)record(out, YD__OP_CHANGED);
}

void yd_end(struct yd_out *out)
{
    (void)record(out, YD__OP_END);
}

uint64_t yd_random(struct yd_out *out)
{
    return yd_out_random(out->element->box);
}

struct yd_element *yd_out_element(struct yd_out *out)
{
    return out->element;
}

int64_t yd_now_mono(const struct yd_out *out)
{
    return out->mono_ns;
}

int64_t yd_now_wall(const struct yd_out *out)
{
    return out->wall_ns;
}

/* ---- counting ---- */

static void count(struct yd_out *out, enum yd__op_type type, unsigned reason, uint64_t records)
{
    struct yd__op *op = records ? record(out, type) : NULL;
    if (!op) return;
    op->id = reason;
    op->arg = records;
}

void yd_count_rejected(struct yd_out *out, unsigned reason, uint64_t records, struct yd_str sample)
{
    count(out, YD__OP_REJECT, reason, records);
    if (sample.size) yd__sample_keep(out->element, out->wall_ns, reason, sample, YD_STR(""));
}

void yd_count_dropped(struct yd_out *out, unsigned reason, uint64_t records)
{
    count(out, YD__OP_DROP, reason, records);
}

void yd_count_folded(struct yd_out *out, uint64_t records)
{
    count(out, YD__OP_FOLD, 0, records);
}

void yd_count_latency(struct yd_out *out, unsigned port, int64_t born_ns, uint64_t records)
{
    struct yd_element *e = out->element;
    if (!born_ns || port >= e->port_count || e->ports[port].input == UINT16_MAX) return;
    yd_histogram_add(&e->inputs[e->ports[port].input].stat.latency, out->mono_ns - born_ns, records);
}

void yd_say(struct yd_out *out, int level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    yd__element_say_v(out->element, out->mono_ns, level, format, args);
    va_end(args);
}

static void flush_count(struct yd_out *out, const struct yd__op *op)
{
    struct yd_element *e = out->element;
    struct yd__item *item = out->item;
    bool at_hand =
        item && item->batch && !item->urgent && (item->type == YD__ITEM_BATCH || item->type == YD__ITEM_TELL);
    struct yd_input_stat *stat = &e->inputs[at_hand ? input_of(e, item) : e->input_count - 1].stat;
    uint64_t records = op->arg;
    if (op->type == YD__OP_FOLD) {
        stat->folded += records;
        return;
    }
    if (at_hand) {
        uint64_t left = item->batch->header.count - item->accounted;
        records = YD_MIN(records, left);
        item->accounted += (uint32_t)records;
        stat->queued -= records;
        struct yd__hold *hold = item->hold ? find_hold(e, item->hold) : NULL;
        if (hold) hold->records -= YD_MIN(hold->records, records);
    } else {
        stat->received += records;
    }
    struct yd_reason_stat *reason = op->id < e->reason_count ? &e->reasons[op->id] : NULL;
    if (op->type == YD__OP_REJECT) {
        stat->rejected += records;
        if (reason) reason->rejected += records;
    } else {
        stat->dropped += records;
        if (reason) reason->dropped += records;
    }
}

/* ---- the flush ---- */

static void release_data(struct yd__op *op)
{
    if (op->data && op->release) op->release(op->data);
}

void yd__out_flush(struct yd_out *out, bool done)
{
    struct yd_element *e = out->element;
    for (uint32_t i = 0; i < out->count; i++) {
        struct yd__op *op = &out->ops[i];
        switch ((enum yd__op_type)op->type) {
        case YD__OP_EMIT:
            flush_emit(out, op, i, done);
            /* What a timer said is said: a crash must not make it say it again, even if no batch comes. */
            if (e->class->flags & YD_CLASS_STATEFUL && !(out->item && out->item->type == YD__ITEM_BATCH))
                yd__state_touched(e, false);
            break;
        case YD__OP_ASK:
            yd__query_ask(e, op);
            break;
        case YD__OP_REPLY:
            yd__query_send_reply(e, op->id, op->batch, op->more);
            break;
        case YD__OP_REFUSE:
            yd__query_send_error(e, op->id, op->error, op->data);
            release_data(op);
            break;
        case YD__OP_KEEP: {
            struct yd__query *query = find_query(out, op->id);
            if (query) query->kept = true;
            break;
        }
        case YD__OP_HOLD:
            flush_hold(out, op);
            break;
        case YD__OP_RELEASE: {
            struct yd__hold *hold = find_hold(e, op->id);
            if (hold) release_hold(e, hold, op->error, op->level);
            break;
        }
        case YD__OP_TIMER:
            if (yd__dict_add(&e->timers, op->id + 1)) yd_out_timer(e->box, op->id, op->time_ns);
            break;
        case YD__OP_TIMER_OFF:
            if (yd__dict_remove(&e->timers, op->id + 1)) yd_out_timer_cancel(e->box, op->id);
            break;
        case YD__OP_COMMAND:
            yd__pump_command(e, op);
            break;
        case YD__OP_CHANGED:
            yd__state_touched(e, true);
            break;
        case YD__OP_END:
            e->source_open = false;
            e->look = true;
            break;
        case YD__OP_REJECT:
        case YD__OP_DROP:
        case YD__OP_FOLD:
            flush_count(out, op);
            break;
        }
    }
    out->count = 0;
    out->item = NULL;
    out->query = 0;
}

void yd__out_discard(struct yd_out *out)
{
    struct yd_element *e = out->element;
    for (uint32_t i = 0; i < out->count; i++) {
        struct yd__op *op = &out->ops[i];
        yd_batch_unref(op->batch);
        release_data(op);
        if (op->type == YD__OP_HOLD) free_hold(e, find_hold(e, op->id));
    }
    out->count = 0;
    out->item = NULL;
    out->query = 0;
}
