/* log/forgotten.c: what the readers of an open log leave out: its tombstones, known while it is open.
 *
 *   append, a leader's batch ─▶ noted, under the log's mutex           ┐
 *   files, from before it was opened ─▶ read once, back to where a     ├▶ a list that only grows ─▶ yd_log_hidden
 *   reader begins (yd_log_hidden_load: blocks, on a lane)              ┘
 *
 * A reader at seqno P needs the tombstones above P only: who reads at the end never has files looked at for this. A
 * tombstone counts for a reader when the reader's level has it: one that a crash may still take hides nothing durable.
 * Tombstones stay until the log goes, so that readers walk the list without a lock; one that a follower was cut back
 * behind covers nothing any more.
 * What can fail: memory, and reading a segment; then whoever asked is not given the records either. */
#include <stdlib.h>
#include <string.h>

#include "log/tombs.h"

/* Under mutex. */
static void add(struct yd_log *log, struct yd__tomb *tomb)
{
    struct yd__tomb *head = atomic_load_explicit(&log->tombs, memory_order_relaxed); /* changes under mutex only */
    tomb->next = head;
    tomb->most = head ? YD_MAX(head->most, tomb->until_seqno) : tomb->until_seqno;
    /* Pairs with the acquire in `newest`: who sees it sees all of it. */
    atomic_store_explicit(&log->tombs, tomb, memory_order_release);
}

static const struct yd__tomb *newest(const struct yd_log *log)
{
    return atomic_load_explicit(&log->tombs, memory_order_acquire);
}

void yd__tombs_note(struct yd_log *log, struct yd__tomb *tombs, uint64_t base)
{
    struct yd__tomb *next;
    yd__tombs_place(tombs, base);
    for (; tombs; tombs = next) {
        next = tombs->next;
        add(log, tombs);
    }
}

void yd__tombs_cut(struct yd_log *log, uint64_t seqno)
{
    struct yd__tomb *tomb = atomic_load_explicit(&log->tombs, memory_order_relaxed);
    log->tombs_from = YD_MIN(log->tombs_from, seqno); /* what comes from here on is noted */
    for (; tomb; tomb = tomb->next)
        if (atomic_load_explicit(&tomb->seqno, memory_order_relaxed) >= seqno)
            atomic_store_explicit(&tomb->seqno, UINT64_MAX, memory_order_relaxed); /* one word, nothing behind it */
}

/* ---- from the files ---- */

struct wanted {
    uint64_t *bases;
    uint32_t count;
    uint64_t from, to; /* tombstones in [from, to) are to be found */
    uint64_t log_id;
};

static bool may_have(const struct yd__segment *segment)
{
    const struct yd_str name = YD_STR(YD_TOMBSTONE_NAME);
    if (!segment->accounted) return true;
    return segment->kinds & YD_KIND_BIT(YD_ROW) && segment->names >> (yd_hash_str(name) >> 58) & 1 &&
           yd__range_may_hold(segment->name_min, segment->name_max, YD__RANGE_NAME_SIZE, name);
}

/* Under mutex: the segments between what a reader wants and what is known. */
static int choose(struct yd_log *log, uint64_t from, struct wanted *ret)
{
    int at = yd__log_find(log, from);
    uint32_t first = at < 0 ? 0 : (uint32_t)at;
    *ret = (struct wanted){.from = from, .to = log->tombs_from, .log_id = log->log_id};
    if (first >= log->segment_count) return 0;
    ret->bases = malloc((log->segment_count - first) * sizeof *ret->bases);
    if (!ret->bases) return YD_ENOMEM;
    ret->from = YD_MIN(from, log->segments[first]->base);
    for (uint32_t i = first; i < log->segment_count && log->segments[i]->base < ret->to; i++)
        if (may_have(log->segments[i])) ret->bases[ret->count++] = log->segments[i]->base;
    return 0;
}

static int load(struct yd_log *log, uint64_t from)
{
    struct wanted wanted;
    struct yd_forgotten *found;
    yd_lock_take(&log->mutex);
    int error = choose(log, from, &wanted);
    yd_lock_give(&log->mutex);
    if (error) return error;
    error = yd_forgotten_create(&found);
    for (uint32_t i = 0; i < wanted.count && !error; i++)
        error = yd__forgotten_load_segment(found, log->fs, log->dir, wanted.bases[i], wanted.log_id);
    free(wanted.bases);
    struct yd__tomb *tombs = found ? yd__forgotten_take(found) : NULL;
    yd_forgotten_destroy(found);
    if (error) {
        yd__tombs_free(tombs);
        return error;
    }
    yd_lock_take(&log->mutex);
    if (log->tombs_from < wanted.to || log->log_id != wanted.log_id) wanted.to = 0; /* cut meanwhile: look again */
    for (struct yd__tomb *next; tombs; tombs = next) {
        next = tombs->next;
        tombs->next = NULL;
        if (atomic_load_explicit(&tombs->seqno, memory_order_relaxed) < wanted.to)
            add(log, tombs);
        else
            yd__tombs_free(tombs); /* noted when it was appended */
    }
    if (wanted.to) log->tombs_from = wanted.from;
    yd_lock_give(&log->mutex);
    return 0;
}

int yd_log_hidden_load(struct yd_log *log, uint64_t from)
{
    int error = 0;
    bool known = false;
    if (log->options.readonly) return 0;
    while (!error && !known) {
        yd_lock_take(&log->mutex);
        known = from >= log->tombs_from || log->closed;
        yd_lock_give(&log->mutex);
        if (known) break;
        yd_lock_take(&log->tomb_lock); /* the second one finds it done */
        yd_lock_take(&log->mutex);
        known = from >= log->tombs_from;
        yd_lock_give(&log->mutex);
        if (!known) error = load(log, from);
        yd_lock_give(&log->tomb_lock);
    }
    return error;
}

/* ---- asked by readers ---- */

/* May a tombstone that the level has cover something of a batch with this header? */
static bool reaches(const struct yd__tomb *tomb, const struct yd_header *header, uint64_t end)
{
    /* One that is being cut off may be seen for the last time: its reader is told of the cut, too. */
    return atomic_load_explicit(&tomb->seqno, memory_order_relaxed) < end && header->base_seqno < tomb->until_seqno &&
           header->kinds & tomb->kinds && (tomb->until_time == INT64_MAX || header->time_min < tomb->until_time);
}

bool yd_log_may_hide(const struct yd_log *log, uint64_t seqno)
{
    const struct yd__tomb *tomb = newest(log);
    return tomb && seqno < tomb->most;
}

static bool has_name(const struct yd__tomb *tomb, const struct yd_view *view, uint8_t *match)
{
    bool any = false;
    for (uint32_t i = 0; i < view->name_count; i++) {
        struct yd_str name = yd_view_name(view, i);
        match[i] = yd_pattern_match(tomb->pattern, name) && !yd_str_eq(name, YD_STR(YD_TOMBSTONE_NAME));
        any |= match[i];
    }
    return any;
}

bool yd__tombs_reach(struct yd_log *log, enum yd_ack level, const struct yd_header *header)
{
    if (!yd_log_may_hide(log, header->base_seqno)) return false;
    yd_lock_take(&log->mutex);
    uint64_t end = yd__log_end(log, level);
    yd_lock_give(&log->mutex);
    for (const struct yd__tomb *tomb = newest(log); tomb && header->base_seqno < tomb->most; tomb = tomb->next)
        if (reaches(tomb, header, end)) return true;
    return false;
}

static bool names_one(const struct yd__tomb *tomb, const struct yd_name_entry *names, uint32_t count, const char *heap,
                      uint64_t heap_size)
{
    for (uint32_t i = 0; i < count; i++) {
        if (names[i].offset > heap_size || names[i].size > heap_size - names[i].offset) return true; /* damaged */
        const struct yd_str name = {heap + names[i].offset, names[i].size};
        if (yd_pattern_match(tomb->pattern, name) && !yd_str_eq(name, YD_STR(YD_TOMBSTONE_NAME))) return true;
    }
    return false;
}

bool yd__tombs_match(struct yd_log *log, enum yd_ack level, const struct yd_header *header, const char *body)
{
    if (!yd_log_may_hide(log, header->base_seqno)) return false;
    const uint64_t records = (uint64_t)header->count * sizeof(struct yd_record),
                   names = (uint64_t)header->names * sizeof(struct yd_name_entry);
    if (records + names > header->body_size) return true;
    yd_lock_take(&log->mutex);
    uint64_t end = yd__log_end(log, level);
    yd_lock_give(&log->mutex);
    for (const struct yd__tomb *tomb = newest(log); tomb && header->base_seqno < tomb->most; tomb = tomb->next)
        if (reaches(tomb, header, end) && names_one(tomb, (const void *)(body + records), header->names,
                                                    body + records + names, header->body_size - records - names))
            return true;
    return false;
}

int yd__tombs_hidden(struct yd_log *log, enum yd_ack level, const struct yd_header *header, const struct yd_view *view,
                     uint8_t **ret_keep, uint32_t *ret_hidden)
{
    uint8_t *keep = NULL;
    uint32_t hidden = 0;
    *ret_keep = NULL;
    *ret_hidden = 0;
    if (!yd_log_may_hide(log, header->base_seqno) || view->count == 0) return 0;
    yd_lock_take(&log->mutex);
    uint64_t end = yd__log_end(log, level);
    yd_lock_give(&log->mutex);
    for (const struct yd__tomb *tomb = newest(log); tomb && header->base_seqno < tomb->most; tomb = tomb->next) {
        if (!reaches(tomb, header, end)) continue;
        if (!keep) keep = malloc((size_t)view->count + view->name_count); /* and what of the names matches */
        if (!keep) return YD_ENOMEM;
        uint8_t *match = keep + view->count;
        if (!hidden) memset(keep, 1, view->count);
        if (!has_name(tomb, view, match)) continue;
        for (uint32_t i = 0; i < view->count; i++) {
            const struct yd_record *record = &view->records[i];
            if (!keep[i] || !match[record->name] || !yd__tomb_reaches(tomb, header->base_seqno + i, record)) continue;
            keep[i] = 0;
            hidden++;
        }
    }
    if (!hidden) {
        free(keep);
        return 0;
    }
    *ret_keep = keep;
    *ret_hidden = hidden;
    return 0;
}

int yd_log_hidden(struct yd_log *log, enum yd_ack level, const struct yd_batch *batch, uint8_t **ret_keep,
                  uint32_t *ret_hidden)
{
    return yd__tombs_hidden(log, level, &batch->header, &batch->view, ret_keep, ret_hidden);
}
