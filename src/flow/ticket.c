/* Tickets: who wants to know what becomes of a batch, and of everything derived from it.
 *
 *   source: ticket(cookie) -- batch --> element -- derived, derived --> …
 *                     refs: one for each place that has the batch or something made of it
 *   last reference gone --> ENV_ACK {cookie, worst error, lowest level} to the source
 *
 * A ticket of an element that asks for its own sake hangs on the ticket of its input (parent): it answers there, too.
 * Dropping a reference without a word is success: a deliberate discard. Of errors YD_ECANCELED ("send it again") is the
 * worst, as the others say that something was decided for good. */
#include <limits.h>
#include <stdlib.h>

#include "base/drd.h"
#include "flow/runtime.h"

struct yd__hub *yd__hub_create(struct yd_system *system)
{
    struct yd__hub *hub = malloc(sizeof *hub);
    if (!hub) return NULL;
    atomic_init(&hub->refs, 1);
    atomic_init(&hub->system, system);
    YD_DRD_IGNORE_TO(&hub->refs, &hub->system);
    return hub;
}

static void hub_unref(struct yd__hub *hub)
{
    YD_DRD_BEFORE(&hub->refs);
    if (atomic_fetch_sub_explicit(&hub->refs, 1, memory_order_acq_rel) != 1) return;
    YD_DRD_AFTER(&hub->refs);
    free(hub);
}

void yd__hub_close(struct yd__hub *hub)
{
    /* Pairs with the acquire in `answer`. The executors have stopped by now; what still lets go of tickets is whoever
     * releases envelopes that nobody received. */
    atomic_store_explicit(&hub->system, NULL, memory_order_release);
    hub_unref(hub);
}

struct yd__ticket *yd__ticket_new(struct yd__hub *hub, enum yd__ticket_kind kind, yd_pid source, uint64_t cookie,
                                  unsigned asked, uint32_t incarnation, struct yd__ticket *parent)
{
    struct yd__ticket *ticket = malloc(sizeof *ticket);
    if (!ticket) {
        if (parent) yd__ticket_answer(parent, YD_ECANCELED, 0);
        return NULL;
    }
    atomic_init(&ticket->refs, 1);
    atomic_init(&ticket->error, 0);
    atomic_init(&ticket->level, UINT_MAX);
    YD_DRD_IGNORE_TO(&ticket->refs, &ticket->level);
    ticket->asked = parent && parent->asked > asked ? parent->asked : asked;
    ticket->incarnation = incarnation;
    ticket->kind = kind;
    ticket->hub = hub;
    atomic_fetch_add_explicit(&hub->refs, 1, memory_order_relaxed);
    ticket->source = source;
    ticket->cookie = cookie;
    ticket->parent = parent;
    return ticket;
}

struct yd__ticket *yd__ticket_ref(struct yd__ticket *ticket)
{
    if (ticket) atomic_fetch_add_explicit(&ticket->refs, 1, memory_order_relaxed);
    return ticket;
}

static void add_error(struct yd__ticket *ticket, int error)
{
    int known = atomic_load_explicit(&ticket->error, memory_order_relaxed);
    /* Relaxed: the reference count's release and acquire carry it to whoever answers. */
    while ((known == 0 || (error == YD_ECANCELED && known != YD_ECANCELED)) &&
           !atomic_compare_exchange_weak_explicit(&ticket->error, &known, error, memory_order_relaxed,
                                                  memory_order_relaxed))
        ;
}

static void add_level(struct yd__ticket *ticket, unsigned level)
{
    unsigned known = atomic_load_explicit(&ticket->level, memory_order_relaxed);
    while (level < known && !atomic_compare_exchange_weak_explicit(&ticket->level, &known, level, memory_order_relaxed,
                                                                   memory_order_relaxed))
        ;
}

void yd__ticket_unref(struct yd__ticket *ticket)
{
    /* A loop, not recursion: parents are as many as a chain has asking elements. */
    while (ticket) {
        /* Release: what this thread added is there; acquire: whoever is last sees what all have added. */
        YD_DRD_BEFORE(&ticket->refs);
        if (atomic_fetch_sub_explicit(&ticket->refs, 1, memory_order_acq_rel) != 1) return;
        YD_DRD_AFTER(&ticket->refs);
        struct yd__ticket *parent = ticket->parent;
        int error = atomic_load_explicit(&ticket->error, memory_order_relaxed);
        unsigned level = atomic_load_explicit(&ticket->level, memory_order_relaxed);
        if (parent) {
            if (error) add_error(parent, error);
            add_level(parent, level);
        }
        struct yd_system *system = atomic_load_explicit(&ticket->hub->system, memory_order_acquire);
        if (system && ticket->source != YD_NOBODY) {
            struct yd_envelope *e = yd_envelope_new(system, ticket->source, YD__ENV_ACK, YD_SYSTEM);
            if (e) {
                e->arg[0] = ticket->cookie;
                e->arg[1] = (uint64_t)(int64_t)error;
                e->arg[2] = level == UINT_MAX ? ticket->asked : level;
                e->arg[3] = (uint64_t)ticket->kind | (uint64_t)ticket->incarnation << 32;
                (void)yd_send(system, e); /* a source that is gone does not want to know any more */
            }
        }
        hub_unref(ticket->hub);
        free(ticket);
        ticket = parent;
    }
}

void yd__ticket_answer(struct yd__ticket *ticket, int error, unsigned level)
{
    if (!ticket) return;
    if (error) add_error(ticket, error);
    if (level) add_level(ticket, level);
    yd__ticket_unref(ticket);
}

void yd__ticket_lost(void *ticket)
{
    yd__ticket_answer(ticket, YD_ECANCELED, 0);
}
