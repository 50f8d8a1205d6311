/* live/source.h: all that a broker publishes, for the feeds of its applications (feed.h): in memory of the process.
 *
 *   yd_live_source_put ─▶ ring of events, in order ──▶ any number of feeds, each with a place of its own
 *                      └▶ table of newest values ────▶ what `latest` subscriptions send when their turn has come
 *
 * Publishing is wait-free and costs the same however many feeds there are and whatever they do. An event's value begins
 * with the measurement's sequence (8 bytes): so each feed knows exactly which values of which name it did not see. */
#ifndef LIVE_SOURCE_H
#define LIVE_SOURCE_H

#include "live/ring_read.h"
#include "live/table_read.h"

#define YD__SEQUENCE_SIZE 8 /* before each value */

struct yd_live_source_options {
    uint64_t generation, id;
    int64_t now_ns;
    uint32_t measurements; /* names there is room for */
    uint32_t value_max;
    uint64_t ring_size; /* of the events: a power of two */
};

/* Can one table hold so many values of that size, a subscriber's too? 32 GiB are reserved at most. */
bool yd_live_source_fits(uint32_t measurements, uint32_t value_max);
struct yd_live_source;
int yd_live_source_create(const struct yd_live_source_options *options, struct yd_live_source **ret_source);
void yd_live_source_destroy(struct yd_live_source *source); /* after the last feed; NULL is quiet */

/* ---- the writer: one thread at a time ---- */
/* As yd_live_table_declare. */
int yd_live_source_declare(struct yd_live_source *source, struct yd_str name, enum yd_type type, uint32_t value_size,
                           uint32_t *ret_index);
/* The index of a name that is there, whatever its room. YD_ENOENT. */
int yd_live_source_find(const struct yd_live_source *source, struct yd_str name, uint32_t *ret_index);
/* YD_ETOOBIG: more than the name's room. Then wake the feeds, for many values once. */
int yd_live_source_put(struct yd_live_source *source, uint32_t index, int64_t time_ns, enum yd_type type,
                       uint16_t flags, const void *bytes, uint32_t size);

/* The two halves of a put, between which a feed may look: for tests. */
int yd__source_event(struct yd_live_source *source, uint32_t index, int64_t time_ns, enum yd_type type, uint16_t flags,
                     const void *bytes, uint32_t size);
int yd__source_value(struct yd_live_source *source, uint32_t index, int64_t time_ns, enum yd_type type, uint16_t flags,
                     const void *bytes, uint32_t size);

/* ---- feeds: any thread ---- */
/* Does the table have the values of all events before that position of the ring? If not, they are woken when it has. */
bool yd_live_source_is_tabled(const struct yd_live_source *source, uint64_t position);
const struct yd_live_table_view *yd_live_source_view(const struct yd_live_source *source);
const struct yd_live_mapping *yd_live_source_ring(const struct yd_live_source *source);
const struct yd_live_source_options *yd_live_source_options(const struct yd_live_source *source);

#endif
