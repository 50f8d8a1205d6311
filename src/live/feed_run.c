/* live/feed_run.c: walking the source's ring.
 *
 *   event ─▶ wanted? ─▶ each of its subscriptions, by priority ─▶ every: within the rate? ─▶ own ring
 *                                                              └▶ latest: its turn? ─▶ newest value ─▶ own table
 *
 * Losses: an event bears its measurement's sequence, so a gap is told by the next one. When the source has come round
 * and then nothing follows, the gaps at the end are found where the walk has caught up: the sequence that the table has
 * of a name, read before the ring is found empty, is one whose event was read or lost (source.c). Of `latest` nothing
 * newest is ever lost: what the ring does not tell is found there, too, once the table has it. */
#include "live/feed_internal.h"

int yd__feed_start(struct yd_live_feed *feed)
{
    int error = yd_live_ring_reader_open(yd_live_source_ring(feed->source), NULL, &feed->reader);
    feed->walking = !error;
    return error;
}

/* ---- latest ---- */

static void cool(struct yd__feed_entry *entry, int64_t until)
{
    struct yd__subscription *s = entry->subscription;
    struct yd__feed_paced *paced = yd__paced(entry);
    paced->since = until;
    paced->is_cooling = true;
    paced->is_pending = false;
    paced->cooling = NULL;
    *s->cooling_end = paced;
    s->cooling_end = &paced->cooling;
}

/* It was sent just now: then it is due again, until `seq` was sent. */
static bool is_put_off(struct yd__feed_entry *entry, uint64_t seq)
{
    struct yd__feed_paced *paced = yd__paced(entry);
    if (!paced || !paced->is_cooling) return false;
    paced->newest = paced->is_pending ? YD_MAX(paced->newest, seq) : seq;
    paced->is_pending = true;
    return true;
}

/* `bytes`: the value with its sequence in front, as in the source's ring. */
static void send_latest(struct yd__feed_entry *entry, const struct yd_live_value *value, const uint8_t *bytes,
                        int64_t mono_ns)
{
    struct yd__subscription *s = entry->subscription;
    uint64_t came = value->seq - entry->seq;
    entry->seq = value->seq;
    if (entry->own == YD__NOT_PLACED) {
        s->counts.unplaced += came;
        return;
    }
    (void)yd_live_table_set(s->table, entry->own, value->time_ns, (enum yd_type)value->type, value->flags, bytes,
                            YD__SEQUENCE_SIZE + value->size); /* room and index are its own */
    s->counts.paced += came - 1;
    s->counts.passed++;
    s->dirty = true;
    if (s->span) cool(entry, mono_ns + s->span);
}

bool yd__feed_send_newest(struct yd_live_feed *feed, struct yd__feed_entry *entry, int64_t mono_ns)
{
    struct yd_live_cell cell;
    struct yd_live_cursor cursor = {0};
    struct yd_live_value value;
    uint32_t room = (uint32_t)(feed->value_room - YD__SEQUENCE_SIZE);
    if (yd_live_table_view_cell(yd_live_source_view(feed->source), entry->index, &cell) ||
        yd_live_cell_get(&cell, &cursor, feed->newest + YD__SEQUENCE_SIZE, room, &value) != 1 ||
        value.seq <= entry->seq)
        return false;
    memcpy(feed->newest, &value.seq, YD__SEQUENCE_SIZE);
    send_latest(entry, &value, feed->newest, mono_ns);
    return true;
}

/* Those whose time is over: sent again, when there is something newer. */
static void send_due(struct yd_live_feed *feed, struct yd__subscription *s, int64_t mono_ns, unsigned *events)
{
    while (s->cooling && s->cooling->since <= mono_ns && *events) {
        struct yd__feed_paced *paced = s->cooling;
        s->cooling = paced->cooling;
        if (!s->cooling) s->cooling_end = &s->cooling;
        paced->is_cooling = false;
        if (!paced->is_pending) continue;
        --*events;
        if (!yd__feed_send_newest(feed, &paced->entry, mono_ns)) cool(&paced->entry, mono_ns + s->span);
        /* The table does not have it yet, or has the one before: at its next turn. */
        paced->is_pending = paced->entry.seq < paced->newest;
    }
}

/* ---- every ---- */

static bool is_within_rate(struct yd__feed_entry *entry, int64_t mono_ns)
{
    const struct yd__subscription *s = entry->subscription;
    struct yd__feed_paced *paced = yd__paced(entry);
    if (!paced) return true;
    if (mono_ns - paced->since >= s->span) {
        paced->since = mono_ns;
        paced->in_second = 0;
    }
    if (paced->in_second == s->in_span) return false;
    paced->in_second++;
    return true;
}

static void send_event(struct yd_live_feed *feed, struct yd__feed_entry *entry, const struct yd_live_event *event,
                       int64_t mono_ns)
{
    struct yd__subscription *s = entry->subscription;
    if (entry->own == YD__NOT_PLACED) {
        s->counts.unplaced++;
    } else if (!is_within_rate(entry, mono_ns)) {
        s->counts.paced++;
    } else {
        (void)yd_live_ring_put(&s->ring, entry->own, event->time_ns, (enum yd_type)event->type, event->flags,
                               feed->value, event->size); /* fits: the ring was made for the largest */
        s->counts.passed++;
        s->dirty = true;
    }
}

/* ---- the walk ---- */

/* The table may not have it yet (source.c): then the event itself is the newest. */
static void take_latest(struct yd_live_feed *feed, struct yd__feed_entry *entry, const struct yd_live_event *event,
                        uint64_t seq, int64_t mono_ns)
{
    if (is_put_off(entry, seq)) return;
    bool sent = yd__feed_send_newest(feed, entry, mono_ns);
    if (sent && (entry->seq >= seq || is_put_off(entry, seq))) return; /* the table may have had the one before */
    if (entry->seq < seq) {
        struct yd_live_value value = {.seq = seq,
                                      .time_ns = event->time_ns,
                                      .size = event->size - YD__SEQUENCE_SIZE,
                                      .flags = event->flags,
                                      .type = event->type};
        send_latest(entry, &value, feed->value, mono_ns);
    }
}

static void take(struct yd_live_feed *feed, const struct yd_live_event *event, int64_t mono_ns)
{
    uint64_t seq;
    memcpy(&seq, feed->value, sizeof seq);
    for (struct yd__feed_entry *entry = yd__feed_find(feed, event->index); entry; entry = entry->next) {
        if (seq <= entry->seq) continue;
        if (!entry->subscription->every) {
            take_latest(feed, entry, event, seq, mono_ns);
            continue;
        }
        entry->subscription->counts.overrun += seq - entry->seq - 1;
        entry->seq = seq;
        send_event(feed, entry, event, mono_ns);
    }
}

/* false: something came meanwhile. */
static bool count_gap(struct yd_live_feed *feed, struct yd__feed_entry *entry, int64_t mono_ns)
{
    struct yd__subscription *s = entry->subscription;
    struct yd_live_cell cell;
    if (yd_live_table_view_cell(yd_live_source_view(feed->source), entry->index, &cell)) return true;
    /* Pairs with the release in end_slot (table_write.c), and so with the commit before it (source.c). */
    uint64_t seq = __atomic_load_n(cell.head, __ATOMIC_ACQUIRE);
    if (yd_live_ring_ready(&feed->reader)) return false;
    if (seq <= entry->seq) return true;
    if (s->every) {
        s->counts.overrun += seq - entry->seq;
        entry->seq = seq;
    } else if (!is_put_off(entry, seq) && !yd__feed_send_newest(feed, entry, mono_ns)) {
        return false; /* overtaken again and again */
    }
    return true;
}

/* Nothing follows what was lost, or what a new subscription did not see: then it is found here. false: something came
 * meanwhile, later again. */
static bool count_gaps(struct yd_live_feed *feed, int64_t mono_ns)
{
    if (yd__feed_scan(feed)) return false;
    for (struct yd__subscription *s = feed->subscriptions; s; s = s->next) {
        if (!feed->overran && !s->is_new) continue;
        for (struct yd__feed_block *block = s->blocks; block; block = block->next)
            for (uint32_t i = 0; i < block->used; i++)
                if (!count_gap(feed, yd__entry_at(s, block, i), mono_ns)) return false;
        s->is_new = false;
    }
    feed->overran = feed->has_new = false;
    return true;
}

void yd__feed_flush(struct yd_live_feed *feed)
{
    for (struct yd__subscription *s = feed->subscriptions; s; s = s->next) {
        if (!s->dirty) continue;
        s->dirty = false;
        if (s->every) yd_live_ring_commit(&s->ring);
        yd_live_bell_ring(&feed->bell, s->word);
    }
}

bool yd_live_feed_run(struct yd_live_feed *feed, int64_t mono_ns, unsigned events)
{
    uint32_t room = (uint32_t)feed->value_room;
    bool more = false;
    if (!feed->walking || feed->count == 0) return false;
    for (struct yd__subscription *s = feed->subscriptions; s; s = s->next) send_due(feed, s, mono_ns, &events);
    for (;;) {
        struct yd_live_event event;
        if (events == 0) {
            more = true;
            break;
        }
        int got = yd_live_ring_next(&feed->reader, feed->value, room, &event);
        if (got != 1) {
            if (feed->reader.overruns) feed->overran = true;
            feed->reader.overruns = 0;
            /* An event that was lost may not be in the table yet: then we are woken when it is. */
            if (got == 0 && (feed->overran || feed->has_new) &&
                yd_live_source_is_tabled(feed->source, feed->reader.position))
                more = !count_gaps(feed, mono_ns);
            more |= got < 0; /* overtaken again and again: after others had a turn */
            break;
        }
        events--;
        if (event.index >= feed->scanned && yd__feed_scan(feed))
            feed->overran = true; /* no memory: it counts as lost */
        if (yd__feed_wants(feed, event.index)) take(feed, &event, mono_ns);
    }
    yd__feed_flush(feed);
    return more;
}

int64_t yd_live_feed_due(const struct yd_live_feed *feed)
{
    int64_t due = INT64_MAX;
    for (const struct yd__subscription *s = feed->subscriptions; s; s = s->next)
        if (s->cooling && s->cooling->since < due) due = s->cooling->since;
    return due;
}
