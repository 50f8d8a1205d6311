/* live/feed.h: what one application has subscribed to, fed from a source (source.h) into memory of its own.
 *
 *   yd_live_feed_create ─▶ yd_live_feed_subscribe … ─▶ yd_live_feed_run, whenever there is something new or due
 *
 * Each subscription has a table of its own with the names that match it, and nobody else's. `every`: values come in a
 * ring, in order, at most `rate` a second of each name. `latest`: the newest value of each name lies in the table, and
 * changes at most `rate` times a second. What is not passed on is counted, by reason and exactly; for a subscription
 *   published since it began = passed + paced + overrun + unplaced + what lies ahead of the feed
 * and of `latest` the newest that was there when it began counts as well.
 * An application that does not read is overrun in its own ring, and sees by how much; nobody waits for it.
 *
 * One thread at a time. Its bell has a word for each subscription. */
#ifndef LIVE_FEED_H
#define LIVE_FEED_H

#include <yarder/name.h>

#include "live/source.h"

#define YD_LIVE_SUBSCRIPTIONS_MAX 1024 /* of one application */
#define YD_LIVE_PRIORITIES        10

struct yd_live_feed_request {
    struct yd_str pattern;
    const struct yd_pattern *allowed; /* names must match this as well; NULL: all. Outlives the feed */
    bool every;
    unsigned priority;  /* 0 … YD_LIVE_PRIORITIES - 1, the greatest first */
    double rate;        /* values of a name a second at most; 0: no bound */
    uint64_t ring_size; /* of `every`: raised to a power of two that fits; 0: 64 KiB */
    uint32_t names_max; /* more names are not placed; 0: 65,536 */
};

/* Descriptors are the caller's: to be handed out and closed. */
struct yd_live_feed_grant {
    uint64_t id, generation;
    uint32_t word;                  /* of the bell */
    int table_fd, bell_fd, ring_fd; /* ring_fd -1 when not `every` */
};

struct yd_live_feed_counts {
    uint64_t names;    /* that match */
    uint64_t passed;   /* values handed on */
    uint64_t paced;    /* more than `rate`; of `latest`: newer ones came before their turn */
    uint64_t overrun;  /* the feed was too slow for the source's ring */
    uint64_t unplaced; /* of names beyond names_max */
    uint64_t ordered;  /* of `passed`: in order, by subscriptions that are there */
};

/* Where the application says how far it has read (bell_format.h). To be copied by the feed's thread whenever
 * subscriptions have changed; then of use to any thread, as long as the feed lives. */
struct yd__bell_page;
struct yd_live_feed_watch {
    const struct yd__bell_page *page;
    uint64_t words, ordered_words;  /* of all subscriptions, of those in order */
    uint64_t ended_got, ended_lost; /* as was said by those that have ended, each at most what it was given */
};
/* As the application says: anything may stand there. */
#define YD_LIVE_SAID_MAX (UINT64_C(1) << 53) /* more is taken as this */
struct yd_live_feed_said {
    uint64_t got, lost; /* YD_LIVE_SAID_MAX at most */
    uint64_t ordered;   /* got + lost of subscriptions in order that are there */
};

struct yd_live_feed;
int yd_live_feed_create(struct yd_live_source *source, uint64_t id, struct yd_live_feed **ret_feed);
void yd_live_feed_destroy(struct yd_live_feed *feed); /* NULL is quiet */

/* YD_EFORMAT: no pattern; YD_EINVAL: rate or priority; YD_EFULL: as many as an application may have; YD_ENOMEM. */
int yd_live_feed_subscribe(struct yd_live_feed *feed, const struct yd_live_feed_request *request, int64_t mono_ns,
                           int64_t wall_ns, struct yd_live_feed_grant *ret_grant);
int yd_live_feed_unsubscribe(struct yd_live_feed *feed, uint64_t id); /* YD_ENOENT */
/* Hands on at most `events` of what is new, and what is due. true: there is more. */
bool yd_live_feed_run(struct yd_live_feed *feed, int64_t mono_ns, unsigned events);
/* When to run though nothing is new; INT64_MAX: never. */
int64_t yd_live_feed_due(const struct yd_live_feed *feed);
int yd_live_feed_counts(const struct yd_live_feed *feed, uint64_t id, struct yd_live_feed_counts *ret); /* YD_ENOENT */
/* Of all, those too that have ended. */
struct yd_live_feed_counts yd_live_feed_total(const struct yd_live_feed *feed);
size_t yd_live_feed_size(const struct yd_live_feed *feed);       /* subscriptions */
unsigned yd_live_feed_priority(const struct yd_live_feed *feed); /* the greatest of its subscriptions */
struct yd_live_feed_watch yd_live_feed_watch(const struct yd_live_feed *feed);
struct yd_live_feed_said yd_live_feed_said(const struct yd_live_feed_watch *watch);

#endif
