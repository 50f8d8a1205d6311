/* brokers.c: the caller and the applications of a Broker.
 *
 *   WORK ─▶ caller: by priority, who is not scheduled: scheduled, WORK ─▶ application: not scheduled, walks its feed,
 *                                                                      a budget a turn; due? a timer
 *
 * Publishing tells the caller at most once until it has begun, whoever and however many subscribe. An application that
 * is slow is called again when it comes to it; meanwhile its feed may be overrun, which is counted there. What can
 * fail: memory in a process: it ends, and its application is shown out, so that it comes again. */
#include "elements/brokers.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base.h"
#include "io/pass.h"
#include "live/door_format.h"

#define BUDGET   2048 /* events a turn */
#define ASKS_MAX 512  /* that wait for their answer */

enum { ENV_WORK = YD_ENV_USER, ENV_ENTER, ENV_LEAVE, ENV_ASK, ENV_END };
enum { TIMER_DUE = 1 };

/* ---- what is shared ---- */

struct yd_broker *yd_broker_create(struct yd_system *system, struct yd_live_source *source)
{
    struct yd_broker *broker = calloc(1, sizeof *broker);
    if (!broker) {
        yd_live_source_destroy(source);
        return NULL;
    }
    broker->system = system;
    broker->source = source;
    atomic_init(&broker->refs, 1);
    yd_lock_init(&broker->lock);
    return broker;
}

void yd_broker_unref(struct yd_broker *broker)
{
    /* Release and acquire: the last one sees what the others did. */
    if (!broker || atomic_fetch_sub_explicit(&broker->refs, 1, memory_order_acq_rel) != 1) return;
    yd_live_source_destroy(broker->source);
    for (unsigned i = 0; i < YD_LIVE_BELLS_MAX; i++) yd_pattern_destroy(broker->allowed[i]);
    yd_lock_fini(&broker->lock);
    free(broker);
}

static void member_unref(struct yd_broker_member *member)
{
    if (atomic_fetch_sub_explicit(&member->refs, 1, memory_order_acq_rel) != 1) return;
    yd_broker_unref(member->broker);
    free(member);
}

static void member_unref_data(void *data)
{
    member_unref(data);
}

/* ---- the caller ---- */

struct caller {
    struct yd_broker *broker;
    struct yd_broker_member *members;
};

/* Not by the outbox: without memory for a call the turn would fail and the caller end; so that one waits for the next.
 */
static void call(struct yd_broker_member *member)
{
    struct yd_system *system = member->broker->system;
    /* Pairs with the exchange in application_receive: one who is scheduled sees, when it begins, what was published
     * till now. (One whose mailbox is full of questions walks its feed with each of them.) */
    if (atomic_exchange_explicit(&member->scheduled, 1, memory_order_acq_rel)) return;
    struct yd_envelope *envelope = yd_envelope_new(system, member->pid, ENV_WORK, YD_CAST);
    if (!envelope || yd_send(system, envelope) == YD_EBUSY)
        (void)atomic_exchange_explicit(&member->scheduled, 0, memory_order_acq_rel);
}

static void call_those_of(struct caller *caller, unsigned priority)
{
    for (struct yd_broker_member *member = caller->members; member; member = member->next_called) {
        if (atomic_load_explicit(&member->priority, memory_order_relaxed) == priority) call(member);
    }
}

static void call_all(struct caller *caller)
{
    unsigned present = 0;
    /* Pairs with the exchange in yd_broker_is_asleep: what was published before it, is seen by those we call. */
    (void)atomic_exchange_explicit(&caller->broker->awake, 0, memory_order_acq_rel);
    for (struct yd_broker_member *member = caller->members; member; member = member->next_called)
        present |= 1u << atomic_load_explicit(&member->priority, memory_order_relaxed);
    for (unsigned priority = YD_LIVE_PRIORITIES; priority-- > 0;)
        if (present >> priority & 1) call_those_of(caller, priority);
}

static enum yd_turn caller_receive(void *state, struct yd_envelope *envelope, struct yd_outbox *out)
{
    struct caller *caller = state;
    struct yd_broker_member *member = envelope->data;
    (void)out;
    switch (envelope->type) {
    case ENV_WORK:
        call_all(caller);
        return YD_TURN_DONE;
    case ENV_ENTER: /* with the envelope's reference */
        envelope->data = NULL;
        member->prev_called = NULL;
        member->next_called = caller->members;
        if (member->next_called) member->next_called->prev_called = member;
        caller->members = member;
        call(member); /* what was published meanwhile counted on a walk that did not know it */
        return YD_TURN_DONE;
    case ENV_LEAVE:
        if (member->prev_called)
            member->prev_called->next_called = member->next_called;
        else
            caller->members = member->next_called;
        if (member->next_called) member->next_called->prev_called = member->prev_called;
        member_unref(member); /* that of ENTER; the envelope has its own */
        return YD_TURN_DONE;
    case ENV_END:
        return YD_TURN_STOP;
    default:
        return YD_TURN_DONE;
    }
}

static void caller_fini(void *state)
{
    struct caller *caller = state;
    while (caller->members) {
        struct yd_broker_member *member = caller->members;
        caller->members = member->next_called;
        member_unref(member);
    }
    yd_broker_unref(caller->broker);
    free(caller);
}

static const struct yd_process_class caller_class = {.name = "broker", .receive = caller_receive, .fini = caller_fini};

/* From any thread, whether there is memory or not: a walk that is not begun is asked for again by the next one. */
void yd_broker_call(struct yd_broker *broker)
{
    struct yd_envelope *envelope = yd_envelope_new(broker->system, broker->caller, ENV_WORK, YD_SYSTEM);
    if (envelope)
        (void)yd_send(broker->system, envelope); /* gone: so are all */
    else
        (void)atomic_exchange_explicit(&broker->awake, 0, memory_order_acq_rel);
}

int yd_broker_start(struct yd_broker *broker)
{
    struct caller *caller = calloc(1, sizeof *caller);
    if (!caller) return YD_ENOMEM;
    caller->broker = broker;
    atomic_fetch_add(&broker->refs, 1);
    struct yd_process_options options = {.arg = caller, .executor = -1};
    int error = yd_spawn(broker->system, &caller_class, &options, &broker->caller);
    if (error == 0) return 0;
    broker->caller = YD_NOBODY;
    caller_fini(caller);
    return error;
}

/* By a word, not by yd_kill: a process that is killed before its first turn has no fini. */
static void end(struct yd_system *system, yd_pid pid)
{
    struct yd_envelope *envelope = pid != YD_NOBODY ? yd_envelope_new(system, pid, ENV_END, YD_SYSTEM) : NULL;
    if (envelope)
        (void)yd_send(system, envelope); /* it may have ended by itself */
    else if (pid != YD_NOBODY)
        (void)yd_kill(system, pid); /* nor for this: it ends with the system */
}

void yd_broker_stop(struct yd_broker *broker)
{
    end(broker->system, broker->caller);
    broker->caller = YD_NOBODY;
}

/* ---- an application ---- */

struct application {
    struct yd_broker_member *member;
    struct yd_live_feed *feed;
    int fd; /* of its socket, a copy */
};

static void publish_counts(struct application *application)
{
    struct yd_broker_member *member = application->member;
    struct yd_live_feed_counts counts = yd_live_feed_total(application->feed);
    atomic_store_explicit(&member->subscriptions, yd_live_feed_size(application->feed), memory_order_relaxed);
    atomic_store_explicit(&member->names, counts.names, memory_order_relaxed);
    atomic_store_explicit(&member->passed, counts.passed, memory_order_relaxed);
    atomic_store_explicit(&member->paced, counts.paced, memory_order_relaxed);
    atomic_store_explicit(&member->overrun, counts.overrun, memory_order_relaxed);
    atomic_store_explicit(&member->unplaced, counts.unplaced, memory_order_relaxed);
    atomic_store_explicit(&member->ordered, counts.ordered, memory_order_relaxed);
    atomic_store_explicit(&member->priority, yd_live_feed_priority(application->feed), memory_order_relaxed);
}

static enum yd_turn work(struct application *application, struct yd_outbox *out)
{
    if (!application->feed) return YD_TURN_DONE;
    bool more = yd_live_feed_run(application->feed, yd_out_mono(out), BUDGET);
    publish_counts(application);
    if (more) return YD_TURN_MORE;
    int64_t due = yd_live_feed_due(application->feed);
    if (due != INT64_MAX) yd_out_timer(out, TIMER_DUE, due);
    return YD_TURN_DONE;
}

/* false: he does not read what he is told, and is shown out. */
static bool answer(struct application *application, const void *message, size_t size, const int *fds, unsigned count)
{
    if (yd_pass_send(application->fd, message, size, fds, count) == 0) return true;
    (void)shutdown(application->fd, SHUT_RDWR); /* the door notices */
    return false;
}

static void refuse(struct application *application, uint64_t correlation, int error)
{
    static const struct {
        int error;
        const char *text;
    } reasons[] = {{YD_EFORMAT, "not a pattern of names"},
                   {YD_EFULL, "as many subscriptions as an application may have"},
                   {YD_EINVAL, "a rate or a priority that makes no sense"},
                   {YD_ENOENT, "there is no such subscription"}};
    struct yd__door_refused message = {.head = {YD__DOOR_MAGIC, YD__DOOR_VERSION, YD__DOOR_REFUSED, correlation},
                                       .error = error};
    const char *text = yd_error_text(error);
    for (size_t i = 0; i < YD_COUNT(reasons); i++)
        if (reasons[i].error == error) text = reasons[i].text;
    (void)snprintf(message.text, sizeof message.text, "%s", text);
    (void)answer(application, &message, sizeof message, NULL, 0);
}

static void subscribe(struct application *application, const struct yd__door_subscribe *asked, struct yd_outbox *out)
{
    const struct yd_broker_member *member = application->member;
    struct yd_live_feed_request request = {.pattern = {asked->pattern, strnlen(asked->pattern, sizeof asked->pattern)},
                                           .allowed = member->broker->allowed[member->access],
                                           .every = asked->mode == YD__DOOR_EVERY,
                                           .priority = asked->priority,
                                           .rate = asked->rate,
                                           .ring_size = asked->ring_size,
                                           .names_max = asked->names_max};
    struct yd_live_feed_grant grant;
    int error = request.pattern.size == sizeof asked->pattern ? YD_EFORMAT : 0;
    if (!error && !application->feed)
        error = yd_live_feed_create(member->broker->source, yd_out_random(out), &application->feed);
    if (!error) error = yd_live_feed_subscribe(application->feed, &request, yd_out_mono(out), yd_out_wall(out), &grant);
    if (error) {
        refuse(application, asked->head.correlation, error);
        return;
    }
    struct yd__door_subscribed message = {
        .head = {YD__DOOR_MAGIC, YD__DOOR_VERSION, YD__DOOR_SUBSCRIBED, asked->head.correlation},
        .id = grant.id,
        .generation = grant.generation,
        .word = grant.word,
        .mode = asked->mode};
    const int fds[3] = {grant.table_fd, grant.bell_fd, grant.ring_fd};
    unsigned count = grant.ring_fd >= 0 ? 3 : 2;
    if (!answer(application, &message, sizeof message, fds, count))
        (void)yd_live_feed_unsubscribe(application->feed, grant.id);
    for (unsigned i = 0; i < count; i++) (void)close(fds[i]);
}

static void tell_counts(struct application *application, const struct yd__door_subscription *asked)
{
    struct yd_live_feed_counts counts;
    int error = application->feed ? yd_live_feed_counts(application->feed, asked->id, &counts) : YD_ENOENT;
    if (error) {
        refuse(application, asked->head.correlation, error);
        return;
    }
    struct yd__door_counts message = {
        .head = {YD__DOOR_MAGIC, YD__DOOR_VERSION, YD__DOOR_COUNTS, asked->head.correlation},
        .id = asked->id,
        .names = counts.names,
        .passed = counts.passed,
        .paced = counts.paced,
        .overrun = counts.overrun,
        .unplaced = counts.unplaced};
    (void)answer(application, &message, sizeof message, NULL, 0);
}

/* For who looks at what the application says of itself. */
static void publish_watch(const struct application *application)
{
    struct yd_broker_member *member = application->member;
    if (!application->feed) return;
    struct yd_live_feed_watch watch = yd_live_feed_watch(application->feed);
    yd_lock_take(&member->broker->lock);
    member->watch = watch;
    yd_lock_give(&member->broker->lock);
}

/* Sizes were looked at by yd_broker_ask. */
static void ask(struct application *application, const void *message, struct yd_outbox *out)
{
    const struct yd__door_head *head = message;
    if (head->type == YD__DOOR_SUBSCRIBE) subscribe(application, message, out);
    if (head->type == YD__DOOR_COUNT) tell_counts(application, message);
    if (head->type == YD__DOOR_UNSUBSCRIBE && application->feed)
        (void)yd_live_feed_unsubscribe(application->feed, ((const struct yd__door_subscription *)message)->id);
    if (head->type != YD__DOOR_COUNT) publish_watch(application);
}

static enum yd_turn application_receive(void *state, struct yd_envelope *envelope, struct yd_outbox *out)
{
    struct application *application = state;
    switch (envelope->type) {
    case ENV_ASK:
        /* MORE gives the same envelope again: then it is answered already. */
        if (envelope->arg[0] == 0) ask(application, envelope->data, out);
        envelope->arg[0] = 1;
        return work(application, out);
    case ENV_WORK:
        /* Once a call: were it in each turn that goes on, one who is behind would have a call waiting for each of them.
         * Pairs with the exchange in call: what was published before that is seen now. */
        if (envelope->arg[0] == 0)
            (void)atomic_exchange_explicit(&application->member->scheduled, 0, memory_order_acq_rel);
        envelope->arg[0] = 1;
        return work(application, out);
    case YD_ENV_TIMER:
        return work(application, out);
    case ENV_END:
        return YD_TURN_STOP;
    default:
        return YD_TURN_DONE;
    }
}

static void application_fini(void *state)
{
    struct application *application = state;
    struct yd_broker_member *member = application->member;
    struct yd_broker *broker = member->broker;
    if (application->feed) {
        struct yd_live_feed_counts counts = yd_live_feed_total(application->feed);
        atomic_fetch_add(&broker->ended_passed, counts.passed);
        atomic_fetch_add(&broker->ended_paced, counts.paced);
        atomic_fetch_add(&broker->ended_overrun, counts.overrun);
        atomic_fetch_add(&broker->ended_unplaced, counts.unplaced);
        struct yd_live_feed_watch watch = yd_live_feed_watch(application->feed);
        struct yd_live_feed_said said = yd_live_feed_said(&watch);
        atomic_fetch_add(&broker->ended_got, YD_MIN(said.got, counts.passed)); /* one who lies is forgotten with it */
        atomic_fetch_add(&broker->ended_lost, YD_MIN(said.lost, counts.passed));
    }
    atomic_fetch_add(&broker->ended_count, 1);
    (void)shutdown(application->fd, SHUT_RDWR); /* if we fail he is to come again */
    (void)close(application->fd);
    yd_lock_take(&broker->lock);
    if (member->prev)
        member->prev->next = member->next;
    else
        broker->members = member->next;
    if (member->next) member->next->prev = member->prev;
    yd_lock_give(&broker->lock);
    yd_live_feed_destroy(application->feed); /* nobody looks at it any more */
    atomic_fetch_sub(&broker->count, 1);
    member_unref(member);
    free(application);
}

static const struct yd_process_class application_class = {
    .name = "application", .receive = application_receive, .fini = application_fini};

/* ---- the door's thread ---- */

static struct yd_broker_member *make_member(struct yd_broker *broker, const struct yd_live_client *client,
                                            unsigned access)
{
    struct yd_broker_member *member = calloc(1, sizeof *member);
    if (!member) return NULL;
    member->broker = broker;
    member->id = client->id;
    member->process = client->pid;
    member->uid = client->uid;
    member->access = access;
    (void)snprintf(member->application, sizeof member->application, "%s", client->application);
    atomic_init(&member->refs, 2); /* the door's and its process' */
    atomic_fetch_add(&broker->refs, 1);
    yd_lock_take(&broker->lock);
    member->next = broker->members;
    if (member->next) member->next->prev = member;
    broker->members = member;
    yd_lock_give(&broker->lock);
    atomic_fetch_add(&broker->count, 1);
    return member;
}

static int tell_caller(struct yd_broker_member *member, uint32_t type)
{
    struct yd_envelope *envelope = yd_envelope_new(member->broker->system, member->broker->caller, type, YD_SYSTEM);
    if (!envelope) return YD_ENOMEM;
    atomic_fetch_add(&member->refs, 1);
    envelope->data = member;
    envelope->data_release = member_unref_data;
    return yd_send(member->broker->system, envelope);
}

struct yd_broker_member *yd_broker_enter(struct yd_broker *broker, const struct yd_live_client *client, unsigned access)
{
    int fd = fcntl(client->fd, F_DUPFD_CLOEXEC, 3);
    struct application *application = fd >= 0 ? calloc(1, sizeof *application) : NULL;
    struct yd_broker_member *member = application ? make_member(broker, client, access) : NULL;
    if (!member) {
        if (fd >= 0) (void)close(fd);
        free(application);
        return NULL;
    }
    *application = (struct application){.member = member, .fd = fd};
    struct yd_process_options options = {.arg = application, .executor = -1, .mailbox_max = ASKS_MAX};
    if (yd_spawn(broker->system, &application_class, &options, &member->pid)) {
        application_fini(application);
        member_unref(member);
        return NULL;
    }
    if (tell_caller(member, ENV_ENTER) == 0) return member;
    end(broker->system, member->pid); /* nobody would call it */
    member_unref(member);
    return NULL;
}

int yd_broker_ask(struct yd_broker_member *member, const void *message, size_t size)
{
    static const size_t sizes[] = {[YD__DOOR_SUBSCRIBE] = sizeof(struct yd__door_subscribe),
                                   [YD__DOOR_UNSUBSCRIBE] = sizeof(struct yd__door_subscription),
                                   [YD__DOOR_COUNT] = sizeof(struct yd__door_subscription)};
    const struct yd__door_head *head = message;
    if (head->type >= YD_COUNT(sizes) || sizes[head->type] == 0) return 0; /* of a later minor version */
    if (size != sizes[head->type]) return YD_EFORMAT;
    struct yd_system *system = member->broker->system;
    struct yd_envelope *envelope = yd_envelope_new_sized(system, member->pid, ENV_ASK, YD_CAST, size);
    if (!envelope) return YD_ENOMEM;
    memcpy(envelope->data, message, size);
    return yd_send(system, envelope);
}

void yd_broker_leave(struct yd_broker_member *member)
{
    (void)tell_caller(member, ENV_LEAVE); /* no memory: it is called in vain from now on */
    end(member->broker->system, member->pid);
    member_unref(member);
}
