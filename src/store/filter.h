/* store/filter.h: which series of a metric are meant. Of this floor only.
 *
 * A filter's verdict on a value is found once and remembered by the value's place among its key's values, so that a
 * regular expression runs once per distinct value and a series costs a lookup per filter. */
#ifndef STORE_FILTER_H
#define STORE_FILTER_H

#include "base/text.h"
#include "store/internal.h"

struct yd__filters;
/* Copies what it needs. YD_EFORMAT: a bad regular expression. */
int yd__filters_create(const struct yd_history *history, const struct yd_filter *filters, size_t count,
                       bool explicit_tags, struct yd__filters **ret_filters, struct yd_trail *trail);
void yd__filters_destroy(struct yd__filters *filters);
/* 1, 0, YD_ENOMEM, or YD_ETOOBIG when a regular expression works too hard. */
int yd__filters_match(struct yd__filters *filters, const struct yd_history *history, const struct yd__label *label,
                      struct yd_trail *trail);

/* Where to look: the metric's list, or, when a filter leaves few of it, a list of those. Ids only rise, so folds may
 * come between calls. */
struct yd__candidates {
    uint32_t metric; /* YD__NONE: all series */
    uint32_t next;   /* id */
    bool narrowed;
    uint32_t *ids; /* when narrowed; the candidates' own */
    uint32_t count, room;
    struct yd_alloc *alloc;
};
/* YD_ENOMEM, YD_ETOOBIG as yd__filters_match; then there is nothing to close. */
int yd__candidates_open(struct yd__candidates *candidates, const struct yd_history *history, uint32_t metric,
                        struct yd__filters *filters, struct yd_trail *trail);
/* Those with these tsuids: what nobody has is passed over, and *ret_unknown is one of them (0: none).
 * one_metric: candidates->metric is theirs, or YD_EINVAL. Else it is YD__NONE. */
int yd__candidates_of(struct yd__candidates *candidates, const struct yd_history *history, const uint64_t *tsuids,
                      size_t count, bool one_metric, uint64_t *ret_unknown, struct yd_trail *trail);
void yd__candidates_close(struct yd__candidates *candidates);
/* Up to `room` ids of living series of the metric; fewer only at the end. Heads are being prefetched. */
uint32_t yd__candidates_next(struct yd__candidates *candidates, const struct yd_history *history, uint32_t *ids,
                             uint32_t room);

/* The keys to group by, as key ids (YD__NONE: a key nobody has). */
uint32_t yd__filters_group_keys(const struct yd__filters *filters, const uint32_t **ret_keys);
/* The label's pair with this key; YD__NONE. */
static inline uint32_t yd__label_pair(const struct yd__index *index, const struct yd__label *label, uint32_t key)
{
    for (uint32_t i = 0; i < label->tag_count; i++)
        if (index->pairs[label->pairs[i]].key == key) return label->pairs[i];
    return YD__NONE;
}

#endif
