/* elements/graphite_form.h: how Graphite's clients say things: forms, times, names and tag expressions. Pure. */
#ifndef ELEMENTS_GRAPHITE_FORM_H
#define ELEMENTS_GRAPHITE_FORM_H

#include "elements/opentsdb_query.h"

/* The arguments of a URL and those of an application/x-www-form-urlencoded body behind them, in the arena.
 * YD_ETOOBIG: too many of them. */
struct yd_graphite_form {
    struct yd_tsdb_argument *items;
    size_t count;
};
int yd_graphite_form(const struct yd_tsdb_argument *arguments, size_t count, struct yd_str body, struct yd_arena *arena,
                     struct yd_graphite_form *ret, struct yd_trail *trail);
/* The last of that name, as Graphite takes it; "" when there is none. */
struct yd_str yd_graphite_field(const struct yd_graphite_form *form, const char *name);
/* Those of one name or of the other ("query", "query[]"), in order; values live where the form does. */
int yd_graphite_fields(const struct yd_graphite_form *form, const char *name, const char *other, struct yd_arena *arena,
                       struct yd_str **ret, size_t *ret_count);

/* from, until: seconds since 1970, -1h, -5min, now-1d, now, today, midnight, noon, yesterday, HH:MM_YYYYMMDD, YYYYMMDD,
 * MM/DD/YY[YY], with +N or -N units behind any of them. UTC. YD_EINVAL. */
int yd_graphite_time(struct yd_str text, int64_t now_s, int64_t *ret_s);
/* 1h, 5min, -30s, "10 minutes": always positive. Months have 30 days, years 365; at most
 * 9e9 seconds, as for times. */
int yd_graphite_duration(struct yd_str text, int64_t *ret_s);

/* key=value, key!=value, key=~regexp, key!=~regexp; the key `name` is the metric. A regular expression begins where the
 * value does. *ret_needs: the series must have the tag, with a value: one such expression must be there. */
int yd_graphite_tag_expression(struct yd_str text, struct yd_arena *arena, struct yd_filter *ret, bool *ret_needs,
                               struct yd_trail *trail);
/* metric, or metric;key=value;key=value, of a canonical name. */
void yd_graphite_put_name(struct yd_buf *to, struct yd_str canonical);

#endif
