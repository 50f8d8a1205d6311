/* record.c: timers, open requests and monitors.
 *
 * A record sits in three intrusive structures of its process' home: a hash by (owner, kind, key), the list of its
 * process, and, if it has a deadline, a pairing heap. None of them allocates when a record is added, so what was
 * accepted cannot fail later; the hash's table only grows when there is memory. Order in the heap is exact: by
 * deadline, then by start. Adding is one comparison, taking back one that never fired (the fate of nearly every
 * request's) mostly a few pointers: better than a wheel here, whose next deadline has to be searched for each time a
 * thread parks. All of this is the home's thread alone. */
#include "actor/internal.h"

/* ---- the heap: `prev` is the left sibling, or the parent of a first child ---- */
static bool sooner(const struct yd__record *a, const struct yd__record *b)
{
    return a->deadline_ns != b->deadline_ns ? a->deadline_ns < b->deadline_ns : a->order < b->order;
}

static struct yd__record *meld(struct yd__record *a, struct yd__record *b)
{
    if (!a) return b;
    if (!b) return a;
    if (sooner(b, a)) {
        struct yd__record *swap = a;
        a = b;
        b = swap;
    }
    b->prev = a;
    b->sibling = a->child;
    if (a->child) a->child->prev = b;
    a->child = b;
    a->sibling = a->prev = NULL;
    return a;
}

/* The two passes: pairs from left to right, then all of them from right to left. */
static struct yd__record *meld_siblings(struct yd__record *first)
{
    struct yd__record *pairs = NULL, *all = NULL;
    while (first) {
        struct yd__record *a = first, *b = a->sibling;
        first = b ? b->sibling : NULL;
        a->sibling = a->prev = NULL;
        if (b) b->sibling = b->prev = NULL;
        a = meld(a, b);
        a->sibling = pairs;
        pairs = a;
    }
    while (pairs) {
        struct yd__record *next = pairs->sibling;
        pairs->sibling = NULL;
        all = meld(all, pairs);
        pairs = next;
    }
    return all;
}

void yd__heap_add(struct yd__executor *home, struct yd__record *record, int64_t deadline_ns)
{
    record->deadline_ns = deadline_ns;
    record->order = home->order++;
    record->child = record->sibling = record->prev = NULL;
    record->in_heap = true;
    home->heap = meld(home->heap, record);
}

void yd__heap_remove(struct yd__executor *home, struct yd__record *record)
{
    if (!record->in_heap) return;
    record->in_heap = false;
    if (record == home->heap) {
        home->heap = meld_siblings(record->child);
        return;
    }
    if (record->prev->child == record)
        record->prev->child = record->sibling;
    else
        record->prev->sibling = record->sibling;
    if (record->sibling) record->sibling->prev = record->prev;
    home->heap = meld(home->heap, meld_siblings(record->child));
}

/* ---- the hash ---- */
static uint64_t hash_of(yd_pid owner, unsigned kind, uint64_t key)
{
    uint64_t hash = (owner * UINT64_C(0x9e3779b97f4a7c15)) ^ (key + kind) * UINT64_C(0xc2b2ae3d27d4eb4f);
    return hash ^ hash >> 29;
}

static unsigned kind_of(const struct yd__record *record)
{
    return YD_CONTAINER((struct yd_envelope *)(uintptr_t)record, struct yd__block, envelope)->head.op;
}

static struct yd__record **bucket(struct yd__executor *home, yd_pid owner, unsigned kind, uint64_t key)
{
    return &home->hash[hash_of(owner, kind, key) & home->hash_mask];
}

static void grow(struct yd__executor *home)
{
    struct yd_alloc *alloc = home->worker.system->alloc;
    uint32_t old_size = home->hash_mask + 1, size = old_size * 2;
    struct yd__record **old = home->hash, **hash = yd_alloc_zero(alloc, size * sizeof *hash);
    if (!hash) return; /* longer chains, then */
    home->hash = hash;
    home->hash_mask = size - 1;
    for (uint32_t i = 0; i < old_size; i++) {
        while (old[i]) {
            struct yd__record *record = old[i];
            old[i] = record->hash_next;
            struct yd__record **at = bucket(home, record->owner, kind_of(record), record->key);
            record->hash_next = *at;
            *at = record;
        }
    }
    yd_alloc_put(alloc, old, old_size * sizeof *old);
}

void yd__record_add(struct yd__executor *home, struct yd__process *process, struct yd__record *record)
{
    if (home->hash_count > home->hash_mask) grow(home);
    struct yd__record **at = bucket(home, record->owner, kind_of(record), record->key);
    record->hash_next = *at;
    *at = record;
    home->hash_count++;
    record->mine_next = process->mine;
    record->mine_prev = &process->mine;
    if (process->mine) process->mine->mine_prev = &record->mine_next;
    process->mine = record;
}

struct yd__record *yd__record_find(struct yd__executor *home, yd_pid owner, enum yd__op kind, uint64_t key)
{
    struct yd__record *record = *bucket(home, owner, kind, key);
    while (record && (record->key != key || record->owner != owner || kind_of(record) != kind))
        record = record->hash_next;
    return record;
}

void yd__record_remove(struct yd__executor *home, struct yd__record *record)
{
    struct yd__record **at = bucket(home, record->owner, kind_of(record), record->key);
    while (*at != record) at = &(*at)->hash_next;
    *at = record->hash_next;
    home->hash_count--;
    *record->mine_prev = record->mine_next;
    if (record->mine_next) record->mine_next->mine_prev = record->mine_prev;
    yd__heap_remove(home, record);
}

/* All of a process that ends or starts anew. Those it monitored are told to forget it. */
void yd__records_drop(struct yd__executor *home, struct yd__process *process)
{
    while (process->mine) {
        struct yd__record *record = process->mine;
        struct yd_envelope *envelope = yd__envelope_of(record);
        yd__record_remove(home, record);
        if (kind_of(record) != YD__MONITOR || home->worker.system->closing) {
            yd__block_put(&home->worker, envelope);
            continue;
        }
        yd_pid watcher = record->owner, watched = record->key;
        memset(envelope, 0, sizeof *envelope);
        yd__head_of(envelope)->op = YD__UNWATCH;
        envelope->to = watched;
        envelope->from = watcher;
        envelope->type = YD_ENV_DEMONITOR;
        envelope->delivery = YD_SYSTEM;
        yd__process_watch(&home->worker, envelope);
    }
}

/* ---- firing ---- */
static void fire(struct yd__executor *home, struct yd__record *record)
{
    struct yd_envelope *envelope = yd__envelope_of(record);
    struct yd__head *head = yd__head_of(envelope);
    if (head->op == YD__RESTART) {
        yd__heap_remove(home, record);
        yd__process_restart(yd__slot_of(home->worker.system, record->owner));
        return;
    }
    bool timer = head->op == YD__TIMER;
    yd_pid owner = record->owner;
    uint64_t key = record->key;
    yd__record_remove(home, record);
    memset(envelope, 0, sizeof *envelope);
    head->op = timer ? YD__FIRED : YD__SEND;
    envelope->to = owner;
    envelope->delivery = YD_SYSTEM;
    envelope->type = timer ? YD_ENV_TIMER : YD_ENV_TIMEOUT;
    if (timer)
        envelope->arg[0] = key;
    else
        envelope->correlation = key;
    struct yd__process *process = yd__slot_of(home->worker.system, owner);
    process->mail.fired += timer;
    yd__mailbox_add(process, envelope);
}

unsigned yd__timers_run(struct yd__executor *home, int64_t now_ns)
{
    unsigned fired = 0;
    for (; home->heap && home->heap->deadline_ns <= now_ns; fired++) fire(home, home->heap);
    return fired;
}

/* A timer that was moved or cancelled after it had fired is not received: its envelope stays, as a dead one. */
void yd__mail_recall(struct yd__mail *mail, uint64_t timer_id)
{
    if (!mail->fired) return;
    for (struct yd_envelope *envelope = mail->first; envelope; envelope = envelope->next) {
        if (yd__head_of(envelope)->op == YD__FIRED && envelope->arg[0] == timer_id) {
            yd__head_of(envelope)->op = YD__DEAD;
            mail->fired--;
        }
    }
}
