/* elements/log_part.c: see log_part.h. What an acknowledgement is worth is decided here: an answer says what the
 * partition has reached, in the order of the partition. */
#include "elements/log_part.h"

#include "base/text.h"

/* ---- who is owed what ---- */

static void pay(struct yd__log_debt *debt, int error, unsigned level, struct yd_out *out)
{
    struct yd__log_share *share = debt->share;
    if (!share) {
        if (debt->hold) yd_release(out, debt->hold, error, level);
        return;
    }
    /* The worst: what must be sent again outweighs what is lost for good. */
    if (error && (!share->error || error == YD_ECANCELED)) share->error = error;
    if (level && (!share->level || level < share->level)) share->level = level;
    if (debt->hold) share->hold = debt->hold; /* all parts of a batch have the same */
    if (--share->left) return;
    if (share->hold) yd_release(out, share->hold, share->error, share->error ? 0 : share->level);
    yd_alloc_put(NULL, share, sizeof *share);
}

static void forget(struct yd__log_debt *debt)
{
    if (debt->share && --debt->share->left == 0) yd_alloc_put(NULL, debt->share, sizeof *debt->share);
}

static bool add_wait(struct yd__log_waits *waits, uint64_t next, const struct yd__log_debt *debt)
{
    if (waits->count == waits->capacity) {
        size_t capacity = waits->capacity ? waits->capacity * 2 : 64;
        struct yd__log_wait *items = yd_alloc_get(NULL, capacity * sizeof *items);
        if (!items) return false;
        for (size_t i = 0; i < waits->count; i++) items[i] = waits->items[(waits->first + i) & (waits->capacity - 1)];
        yd_alloc_put(NULL, waits->items, waits->capacity * sizeof *items);
        *waits = (struct yd__log_waits){items, 0, waits->count, capacity};
    }
    waits->items[(waits->first + waits->count++) & (waits->capacity - 1)] = (struct yd__log_wait){next, *debt};
    return true;
}

static void pop_wait(struct yd__log_waits *waits)
{
    waits->first = (waits->first + 1) & (waits->capacity - 1);
    waits->count--;
}

static void pay_waits(struct yd__log_waits *waits, uint64_t position, int failed, struct yd_out *out)
{
    while (waits->count) {
        struct yd__log_wait *wait = &waits->items[waits->first];
        if (wait->next > position && !failed) return;
        bool reached = wait->next <= position;
        pay(&wait->debt, reached ? 0 : failed, reached ? wait->debt.level : 0, out);
        pop_wait(waits);
    }
}

/* Replicas that are too few to wait for: what is durable is all that can be said. Else those that have it answer. */
static void pay_replicated(struct yd__log_waits *waits, const struct yd_log_position *position, struct yd_out *out)
{
    while (waits->count) {
        struct yd__log_wait *wait = &waits->items[waits->first];
        bool reached = wait->next <= position->replicated, durable = wait->next <= position->durable;
        bool alone = durable && (position->in_sync < position->replicas || position->deposed);
        if (!reached && !alone && !position->failed) return;
        if (reached)
            pay(&wait->debt, 0, position->replicas ? YD_ACK_REPLICATED : YD_ACK_DURABLE, out);
        else if (durable)
            pay(&wait->debt, 0, YD_ACK_DURABLE, out);
        else
            pay(&wait->debt, YD_EREADONLY, 0, out);
        pop_wait(waits);
    }
}

/* ---- how long it took ---- */

static void note_age(struct yd__log_part *part, uint64_t next, const struct yd__log_debt *debt)
{
    if (!debt->born_ns) return;
    if (part->age_count == YD__LOG_AGES) {
        struct yd__log_age *last = &part->ages[(part->age_first + YD__LOG_AGES - 1) % YD__LOG_AGES];
        last->next = YD_MAX(last->next, next);
        last->records += debt->records;
        return;
    }
    part->ages[(part->age_first + part->age_count++) % YD__LOG_AGES] =
        (struct yd__log_age){next, debt->records, debt->born_ns};
}

static void count_ages(struct yd__log_part *part, uint64_t durable, struct yd_out *out)
{
    for (; part->age_count; part->age_first = (part->age_first + 1) % YD__LOG_AGES, part->age_count--) {
        const struct yd__log_age *age = &part->ages[part->age_first];
        if (age->next > durable) return;
        yd_count_latency(out, YD__LOG_INPUT, age->born_ns, age->records);
    }
}

/* ---- what the operator is told ---- */

static void say_troubles(struct yd__log_part *part, const struct yd_log_position *position, struct yd_out *out)
{
    if (position->failed && !part->said_failed)
        yd_say(out, 2,
               "a sync failed: %s takes and acknowledges nothing more. What was acknowledged is safe. Look at the "
               "device, then start again",
               part->called);
    if (position->no_space && !part->said_no_space)
        yd_say(out, 2, "no space left on the device: %llu KiB wait in %s, nothing is acknowledged until there is room",
               (unsigned long long)(position->queued_bytes >> 10), part->called);
    if (!position->no_space && part->said_no_space) yd_say(out, 0, "there is space again: writing goes on");
    bool held = position->held_by[0] != '\0';
    if (held && !part->said_held)
        yd_say(out, 1, "more is kept of %s than `keep` and `size` say: cursor %s has not passed it", part->called,
               position->held_by);
    part->said_held = held;
    part->said_failed = position->failed != 0;
    part->said_no_space = position->no_space;
}

/* What a crash or the disk did to the stream: the loss is counted by readers, its place is said here. */
void yd__log_part_say_recovery(const struct yd__log_part *part, struct yd_out *out)
{
    if (part->recovery.torn_bytes)
        yd_say(out, 1, "the end of %s was torn: %llu bytes, never acknowledged, are in its quarantine/", part->called,
               (unsigned long long)part->recovery.torn_bytes);
    if (part->recovery.rotten_batches)
        yd_say(out, 1, "%llu batches of %s are damaged and in its quarantine/; readers are told which",
               (unsigned long long)part->recovery.rotten_batches, part->called);
}

/* ---- taking ---- */

static void look(struct yd__log_part *part, struct yd_out *out)
{
    struct yd_log_position position;
    yd_log_position(part->log, &position);
    int failed = position.failed ? YD_EREADONLY : 0;
    say_troubles(part, &position, out);
    count_ages(part, position.durable, out);
    pay_waits(&part->written, position.written, failed, out);
    pay_waits(&part->durable, position.durable, failed, out);
    pay_replicated(&part->replicated, &position, out);
}

/* What was appended, or turned out to be there already: answered now or when the partition has got so far. */
static void acknowledge(struct yd__log_part *part, uint64_t next, struct yd__log_debt *debt, struct yd_out *out)
{
    struct yd__log_waits *waits = debt->level >= YD_ACK_REPLICATED ? &part->replicated
                                  : debt->level >= YD_ACK_DURABLE  ? &part->durable
                                                                   : &part->written;
    note_age(part, next, debt);
    if (debt->level <= YD_ACK_MEMORY)
        pay(debt, 0, debt->level, out);
    else if (!add_wait(waits, next, debt))
        pay(debt, YD_ENOMEM, 0, out);
}

/* 0: in the log. YD_EFULL, YD_ENOMEM: later. Others: never, and counted. */
static int append(struct yd__log_part *part, const struct yd_batch *batch, uint32_t copies,
                  struct yd_log_appended *appended, struct yd_out *out)
{
    uint32_t count = batch->header.count - copies;
    int r = yd_log_append(part->log, batch, -1, UINT64_MAX, appended);
    if (r == YD_EREADONLY) yd_count_dropped(out, YD__LOG_READONLY, count);
    if (r == YD_EEPOCH) yd_count_dropped(out, YD__LOG_EPOCH, count);
    if (r == YD_EGAP) yd_count_dropped(out, YD__LOG_GAP, count);
    if (r == 0 && appended->duplicate) yd_count_folded(out, count);
    return r;
}

static void put_aside(struct yd__log_part *part, struct yd_batch *batch, struct yd__log_debt *debt, struct yd_out *out)
{
    struct yd__log_pending *pending = yd_alloc_get(NULL, sizeof *pending);
    debt->hold = yd_hold(out);
    if (!pending) {
        /* Other partitions may have their part already: the turn must not fail. Who can send it again is told to, and
         * what is there already is known by its producer. */
        yd_count_dropped(out, YD__LOG_MEMORY, batch->header.count - debt->copies);
        pay(debt, YD_ECANCELED, 0, out);
        return;
    }
    *pending = (struct yd__log_pending){.batch = yd_batch_ref(batch), .debt = *debt};
    *part->last = pending;
    part->last = &pending->next;
}

void yd__log_part_take(struct yd__log_part *part, struct yd_batch *batch, struct yd__log_debt debt, struct yd_out *out)
{
    struct yd_log_appended appended;
    debt.records = batch->header.count;
    int r = part->first ? YD_EFULL : append(part, batch, debt.copies, &appended, out);
    if (r == YD_EFULL || r == YD_ENOMEM) {
        put_aside(part, batch, &debt, out);
        return;
    }
    if (r == 0)
        acknowledge(part, appended.next, &debt, out);
    else
        pay(&debt, r, 0, out);
    /* What was there before may be as far as is asked already: nothing moves because of it. */
    if (r < 0 || appended.duplicate) look(part, out);
}

/* What had to wait, in its order. It is paid for in every case: that gives the senders their credit back. */
static void take_pending(struct yd__log_part *part, struct yd_out *out)
{
    while (part->first) {
        struct yd__log_pending *pending = part->first;
        struct yd_log_appended appended;
        int r = yd_log_append(part->log, pending->batch, -1, UINT64_MAX, &appended);
        if (r == YD_EFULL || r == YD_ENOMEM) return;
        if (r < 0)
            pay(&pending->debt, r, 0, out);
        else
            acknowledge(part, appended.next, &pending->debt, out);
        part->first = pending->next;
        if (!part->first) part->last = &part->first;
        yd_batch_unref(pending->batch);
        yd_alloc_put(NULL, pending, sizeof *pending);
    }
}

void yd__log_part_moved(struct yd__log_part *part, struct yd_out *out)
{
    take_pending(part, out);
    look(part, out);
}

static void free_waits(struct yd__log_waits *waits)
{
    for (; waits->count; pop_wait(waits)) forget(&waits->items[waits->first].debt);
    yd_alloc_put(NULL, waits->items, waits->capacity * sizeof *waits->items);
    *waits = (struct yd__log_waits){0};
}

void yd__log_part_close(struct yd__log_part *part)
{
    while (part->first) {
        struct yd__log_pending *pending = part->first;
        part->first = pending->next;
        forget(&pending->debt);
        yd_batch_unref(pending->batch);
        yd_alloc_put(NULL, pending, sizeof *pending);
    }
    part->last = &part->first;
    free_waits(&part->written);
    free_waits(&part->durable);
    free_waits(&part->replicated);
}
