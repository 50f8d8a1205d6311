/* Both ends of a query wire.
 *
 *   asker: question {id, cookie, deadline}  -- QUERY -->  answerer: query {handle}
 *          REPLY… (more), REPLY (last)      <----------   yd_reply
 *          or ERROR                         <----------   yd_reply_error, or the runtime: down, crashed, no answer
 *          or ERROR YD_ETIMEOUT by its own timer; the answerer is told to stop (TAKEN with UINT64_MAX)
 *
 * Exactly one last word reaches the asker: whichever of these comes first takes the question out of the map, and what
 * comes after finds nothing. Replies on their way are bounded: a query that says MORE is not called again while more
 * than YD__REPLY_BYTES_MAX of its replies have not been taken; one that is kept gets YD_EFULL. */
#include <stdlib.h>

#include "flow/runtime.h"

#define TAKEN_EVERY     (1 << 20)
#define TIMEOUT_DEFAULT (30 * YD_NS_PER_S)

/* ---- the asker ---- */

static struct yd_batch *text_batch(const char *text)
{
    struct yd_builder *builder;
    struct yd_batch *batch = NULL;
    uint32_t name;
    if (!text || !*text || yd_builder_create(NULL, &builder) < 0) return NULL;
    if (yd_builder_name(builder, YD_STR("error"), &name) == 0 &&
        yd_builder_add_bytes(builder, 0, name, YD_EVENT, YD_TEXT, 0, yd_str_of(text)) == 0)
        (void)yd_builder_seal(builder, &batch); /* without a reason the error still comes */
    yd_builder_destroy(builder);
    return batch;
}

static void refuse_question(struct yd_element *e, uint64_t cookie, int error, const char *text)
{
    struct yd__item item = {.type = YD__ITEM_REFUSAL, .cookie = cookie, .error = error, .batch = text_batch(text)};
    e->failed_questions++;
    /* Into the queue, not received at once: this may be in the middle of a flush. */
    if (!yd__ring_push(&e->control, &item)) yd_batch_unref(item.batch);
}

/* To whom, on which of his ports; YD_NOBODY: the port is not wired. */
struct whom {
    yd_pid pid;
    unsigned port;
    int64_t timeout_ns; /* 0: none of its own */
};

static struct whom by_wire(const struct yd_element *e, const struct yd__port *port)
{
    if (!port->wire_count) return (struct whom){.pid = YD_NOBODY};
    const struct yd__flow_wire *wire = &e->run->wires[port->wires[0]];
    return (struct whom){wire->to_pid, wire->def->to_port, wire->def->timeout_ns};
}

void yd__query_ask(struct yd_element *e, struct yd__op *op)
{
    struct yd_batch *batch = op->batch;
    const struct yd_element *named = op->data;
    struct whom whom = named ? (struct whom){named->pid, op->port, 0} : by_wire(e, &e->ports[op->port]);
    bool wired = whom.pid != YD_NOBODY;
    op->data = NULL;
    e->asked++;
    struct yd__question *question = NULL;
    struct yd_envelope *envelope = NULL;
    uint64_t *slot = NULL;
    if (wired && e->questions.count < YD__QUESTIONS_MAX) {
        question = calloc(1, sizeof *question);
        slot = question ? yd__dict_add(&e->questions, ++e->question_last) : NULL;
        if (slot) envelope = yd_out_new(e->box, whom.pid, YD__ENV_QUERY, YD_SYSTEM);
    }
    if (!envelope) {
        if (slot) yd__dict_remove(&e->questions, e->question_last);
        free(question);
        yd_batch_unref(batch);
        refuse_question(e, op->id, wired ? YD_EBUSY : YD_EUNDELIVERABLE,
                        wired ? "too many questions are open" : "the port is not wired");
        return;
    }
    int64_t timeout = op->time_ns ? op->time_ns : whom.timeout_ns ? whom.timeout_ns : TIMEOUT_DEFAULT;
    int64_t deadline = yd_out_mono(e->box) + timeout;
    *question = (struct yd__question){.id = e->question_last, .cookie = op->id, .whom = whom.pid};
    *slot = (uint64_t)(uintptr_t)question;
    envelope->arg[0] = whom.port;
    envelope->arg[1] = question->id;
    envelope->arg[2] = (uint64_t)deadline;
    envelope->batch = batch;
    envelope->cost = (uint32_t)yd_batch_cost(batch);
    yd_out_timer(e->box, YD__TIMER_QUESTION | question->id, deadline);
}

static struct yd__question *question_of(struct yd_element *e, uint64_t id)
{
    uint64_t *found = yd__dict_find(&e->questions, id);
    return found ? (struct yd__question *)(uintptr_t)*found : NULL;
}

static void send_taken(struct yd_element *e, const struct yd__question *question, uint64_t bytes)
{
    struct yd_envelope *envelope = yd_out_new(e->box, question->whom, YD__ENV_TAKEN, YD_SYSTEM);
    if (!envelope) return;
    envelope->arg[1] = question->id;
    envelope->arg[2] = bytes;
}

static void forget_question(struct yd_element *e, struct yd__question *question)
{
    yd_out_timer_cancel(e->box, YD__TIMER_QUESTION | question->id);
    yd__dict_remove(&e->questions, question->id);
    free(question);
    if (e->questions.count == 0) e->look = true;
}

void yd__query_answer_came(struct yd_element *e, struct yd_envelope *envelope)
{
    struct yd__question *question = question_of(e, envelope->arg[1]);
    if (!question) return; /* timed out, or asked by a state that is gone */
    struct yd__item item = {.cookie = question->cookie};
    if (envelope->type == YD__ENV_REPLY) {
        item.type = YD__ITEM_REPLY;
        item.more = envelope->arg[2] != 0;
        item.batch = envelope->batch;
        envelope->batch = NULL;
        question->taken += item.batch ? yd_batch_cost(item.batch) : 0;
        if (item.more && question->taken >= TAKEN_EVERY) {
            send_taken(e, question, question->taken);
            question->taken = 0;
        }
    } else {
        item.type = YD__ITEM_REFUSAL;
        item.error = (int)(int64_t)envelope->arg[2];
        item.batch = text_batch(envelope->data);
        e->failed_questions++;
    }
    if (!item.more) forget_question(e, question);
    yd__element_control(e, &item);
}

void yd__query_timed_out(struct yd_element *e, uint64_t id)
{
    struct yd__question *question = question_of(e, id);
    if (!question) return;
    uint64_t cookie = question->cookie;
    send_taken(e, question, UINT64_MAX);
    forget_question(e, question);
    refuse_question(e, cookie, YD_ETIMEOUT, NULL);
}

/* ---- the answerer ---- */

static struct yd__query *query_of(struct yd_element *e, uint64_t handle)
{
    uint64_t *found = yd__dict_find(&e->queries, handle);
    return found ? (struct yd__query *)(uintptr_t)*found : NULL;
}

static void activate(struct yd_element *e, struct yd__query *query)
{
    if (query->active) return;
    query->active = true;
    if (!e->active) {
        query->next = query->prev = query;
        e->active = query;
    } else { /* last in turn */
        query->next = e->active;
        query->prev = e->active->prev;
        query->prev->next = query;
        e->active->prev = query;
    }
}

static void deactivate(struct yd_element *e, struct yd__query *query)
{
    if (!query->active) return;
    query->active = false;
    if (e->active == query) e->active = query->next == query ? NULL : query->next;
    query->next->prev = query->prev;
    query->prev->next = query->next;
}

static void finish_query(struct yd_element *e, struct yd__query *query)
{
    deactivate(e, query);
    yd__dict_remove(&e->queries, query->handle);
    yd_batch_unref(query->batch);
    free(query);
}

static void send_refusal(struct yd_element *e, yd_pid to, uint64_t question, int error, const char *text)
{
    struct yd_envelope *envelope = yd_out_new(e->box, to, YD__ENV_REFUSAL, YD_SYSTEM);
    if (!envelope) return; /* out of memory: the asker's own timer answers */
    envelope->arg[1] = question;
    envelope->arg[2] = (uint64_t)(int64_t)error;
    envelope->data = text && *text ? strdup(text) : NULL;
    envelope->data_release = free;
}

void yd__query_send_reply(struct yd_element *e, uint64_t handle, struct yd_batch *batch, bool more)
{
    struct yd__query *query = query_of(e, handle);
    if (query && query->kept && more && !batch) { /* it goes on */
        query->kept = false;
        query->again = true;
        activate(e, query);
        return;
    }
    struct yd_envelope *envelope = query ? yd_out_new(e->box, query->asker, YD__ENV_REPLY, YD_SYSTEM) : NULL;
    if (!envelope) {
        yd_batch_unref(batch);
        if (query) finish_query(e, query);
        return;
    }
    envelope->arg[1] = query->question;
    envelope->arg[2] = more;
    envelope->batch = batch;
    envelope->cost = batch ? (uint32_t)yd_batch_cost(batch) : 0;
    query->untaken += envelope->cost;
    if (more) return;
    e->answered++;
    finish_query(e, query);
}

void yd__query_send_error(struct yd_element *e, uint64_t handle, int error, const char *text)
{
    struct yd__query *query = query_of(e, handle);
    if (!query) return;
    send_refusal(e, query->asker, query->question, error, text);
    e->answered++;
    finish_query(e, query);
}

void yd__query_run(struct yd_element *e, struct yd__query *query)
{
    uint64_t handle = query->handle;
    struct yd_input input = {
        .type = YD_INPUT_QUERY, .port = query->port, .batch = query->batch, .cookie = handle, .again = query->again};
    enum yd_turn_result result = yd__element_call(e, &input, NULL, handle);
    if (result == YD_FAIL) {
        yd__life_crashed(e, NULL); /* answers all that is open, this one too */
        return;
    }
    query = query_of(e, handle);
    if (query && result == YD_MORE) {
        query->again = true;
        activate(e, query);
    } else if (query && query->kept) {
        deactivate(e, query);
        yd_batch_unref(query->batch);
        query->batch = NULL;
    } else if (query) {
        yd__query_send_error(e, handle, YD_EFAIL, "the element gave no answer");
    }
    if (result == YD_STOP) yd__life_stopped(e);
}

void yd__query_came(struct yd_element *e, struct yd_envelope *envelope)
{
    if (envelope->arg[2] && (int64_t)envelope->arg[2] <= yd_out_mono(e->box)) return; /* has timed out already */
    if (e->life == YD_LIFE_STOPPED || e->life == YD_LIFE_CRASHED) {
        bool stopped = e->life == YD_LIFE_STOPPED;
        send_refusal(e, envelope->from, envelope->arg[1], stopped ? YD_EUNDELIVERABLE : YD_EBUSY,
                     stopped ? "the element has been stopped" : "the element has crashed and is being restarted");
        return;
    }
    struct yd__query *query = calloc(1, sizeof *query);
    uint64_t *slot = query ? yd__dict_add(&e->queries, ++e->query_last) : NULL;
    if (!slot) {
        free(query);
        send_refusal(e, envelope->from, envelope->arg[1], YD_ENOMEM, "");
        return;
    }
    *query = (struct yd__query){.handle = e->query_last,
                                .question = envelope->arg[1],
                                .port = (unsigned)envelope->arg[0],
                                .asker = envelope->from,
                                .batch = envelope->batch};
    envelope->batch = NULL;
    *slot = (uint64_t)(uintptr_t)query;
    if (e->begun) {
        yd__query_run(e, query);
    } else {
        activate(e, query);
    }
}

static bool can_step(const struct yd__query *query)
{
    return query->untaken <= YD__REPLY_BYTES_MAX;
}

bool yd__query_steps(const struct yd_element *e)
{
    const struct yd__query *query = e->active;
    if (!query || !yd__element_up(e)) return false;
    do {
        if (can_step(query)) return true;
        query = query->next;
    } while (query != e->active);
    return false;
}

void yd__query_step(struct yd_element *e)
{
    if (!yd__query_steps(e)) return;
    struct yd__query *query = e->active;
    while (!can_step(query)) query = query->next;
    e->active = query->next; /* round robin */
    yd__query_run(e, query);
}

void yd__query_taken(struct yd_element *e, struct yd_envelope *envelope)
{
    /* By asker and question: handles are our own. There are few open queries; a walk does. */
    for (uint32_t i = 0; i < e->queries.capacity; i++) {
        if (e->queries.slots[i].key == 0) continue;
        struct yd__query *query = (struct yd__query *)(uintptr_t)e->queries.slots[i].value;
        if (query->question != envelope->arg[1] || query->asker != envelope->from) continue;
        if (envelope->arg[2] == UINT64_MAX) {
            finish_query(e, query);
        } else {
            query->untaken -= (int64_t)envelope->arg[2];
        }
        return;
    }
}

/* ---- both ---- */

static uint64_t any_of(const struct yd__dict *map)
{
    for (uint32_t i = 0; i < map->capacity; i++)
        if (map->slots[i].key) return map->slots[i].value;
    return 0;
}

void yd__query_refuse_all(struct yd_element *e, int error, const char *text)
{
    while (e->queries.count)
        yd__query_send_error(e, ((struct yd__query *)(uintptr_t)any_of(&e->queries))->handle, error, text);
    while (e->questions.count) {
        struct yd__question *question = (struct yd__question *)(uintptr_t)any_of(&e->questions);
        send_taken(e, question, UINT64_MAX);
        forget_question(e, question);
    }
}

void yd__query_fini(struct yd_element *e)
{
    while (e->queries.count) finish_query(e, (struct yd__query *)(uintptr_t)any_of(&e->queries));
    while (e->questions.count) {
        struct yd__question *question = (struct yd__question *)(uintptr_t)any_of(&e->questions);
        yd__dict_remove(&e->questions, question->id);
        free(question);
    }
    yd__dict_fini(&e->queries);
    yd__dict_fini(&e->questions);
}
