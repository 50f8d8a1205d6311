/* live/feed_internal.h: what the two halves of a feed share: feed.c (subscriptions and names), feed_run.c (walking). */
#ifndef LIVE_FEED_INTERNAL_H
#define LIVE_FEED_INTERNAL_H

#include "base/base.h"
#include "live/bell.h"
#include "live/feed.h"
#include "live/ring_write.h"
#include "live/table_write.h"

#define YD__NOT_PLACED UINT32_MAX

/* One measurement of one subscription. */
struct yd__feed_entry {
    struct yd__feed_entry *next; /* of the same measurement: by priority of its subscription, the greatest first */
    struct yd__subscription *subscription;
    uint64_t seq;        /* dealt with so far: passed on, paced or lost */
    uint32_t index, own; /* in the source; in the subscription's table, or YD__NOT_PLACED */
};

/* The same when its subscription has a rate. */
struct yd__feed_paced {
    struct yd__feed_entry entry;
    struct yd__feed_paced *cooling; /* next in that queue */
    uint64_t newest;                /* latest, pending: the sequence that was heard of last */
    int64_t since; /* every: the current second of its rate began; latest, cooling: may be sent again at */
    uint32_t in_second;
    bool is_cooling, is_pending; /* latest: sent just now; and there is a newer one already */
};

/* Entries lie where they are until their subscription ends, in blocks that grow with their number. */
struct yd__feed_block {
    struct yd__feed_block *next;
    uint32_t used, room;
    uint64_t bytes[];
};

struct yd__subscription {
    struct yd__subscription *next;
    struct yd_pattern *pattern;
    const struct yd_pattern *allowed;
    struct yd_live_table *table;
    struct yd_live_ring ring; /* every */
    struct yd__feed_block *blocks;
    struct yd__feed_paced *cooling, **cooling_end; /* by time */
    struct yd_live_feed_counts counts;
    uint64_t id;
    int64_t span;     /* latest: between two values of a name. every: of the bound below */
    uint32_t in_span; /* every: values of a name in a span at most; 0: no bound */
    uint32_t word, names_max;
    unsigned priority;
    bool every, dirty;
    bool is_new; /* latest: what the table told at its beginning may not have been the newest */
};

struct yd_live_feed {
    struct yd_live_source *source;
    struct yd_live_bell bell;
    struct yd__subscription *subscriptions; /* by priority, the greatest first */
    size_t count;
    uint64_t id, next_id;
    struct yd_live_ring_reader reader;
    bool walking;      /* the reader is open */
    bool overran;      /* since the last time it had caught up, and the table, too */
    bool has_new;      /* a subscription that is new */
    uint32_t scanned;  /* names of the source looked at so far */
    uint64_t **wanted; /* a bit for each of them, in pages; NULL: none of a page */
    uint32_t wanted_pages;
    struct yd__feed_entry **slots; /* open addressing by index: the first entry */
    uint32_t slot_count, slots_used;
    struct yd_live_feed_counts ended; /* of subscriptions that are no more */
    uint64_t ended_got, ended_lost;
    uint8_t *value, *newest; /* the event at hand; what the table has */
    size_t value_room;
};

static inline bool yd__has_rate(const struct yd__subscription *s)
{
    return s->in_span != 0;
}
static inline struct yd__feed_paced *yd__paced(struct yd__feed_entry *entry)
{
    return yd__has_rate(entry->subscription) ? (struct yd__feed_paced *)entry : NULL;
}
static inline size_t yd__entry_size(const struct yd__subscription *s)
{
    return yd__has_rate(s) ? sizeof(struct yd__feed_paced) : sizeof(struct yd__feed_entry);
}
static inline struct yd__feed_entry *yd__entry_at(const struct yd__subscription *s, struct yd__feed_block *block,
                                                  uint32_t at)
{
    return (struct yd__feed_entry *)(void *)((char *)block->bytes + at * yd__entry_size(s));
}

/* The first entry of a measurement that is wanted. */
struct yd__feed_entry *yd__feed_find(const struct yd_live_feed *feed, uint32_t index);
/* Looks at the names that came since. YD_ENOMEM: later again. */
int yd__feed_scan(struct yd_live_feed *feed);
#define YD__WANTED_PAGE 4096 /* bits */
static inline bool yd__feed_wants(const struct yd_live_feed *feed, uint32_t index)
{
    if (index >= feed->scanned) return false;
    const uint64_t *page = feed->wanted[index / YD__WANTED_PAGE];
    return page && (page[index % YD__WANTED_PAGE / 64] >> (index % 64) & 1);
}

/* feed_run.c */
int yd__feed_start(struct yd_live_feed *feed); /* from what comes next */
/* false: the table has nothing newer than what was dealt with. */
bool yd__feed_send_newest(struct yd_live_feed *feed, struct yd__feed_entry *entry, int64_t mono_ns);
void yd__feed_flush(struct yd_live_feed *feed); /* what was handed on may be read; bells ring */

#endif
