/* elements/rows.h: the op schemas "rows" and "facts": what is asked of elements that remember, and what comes back.
 *
 * A question is one ROW, a MAP with `op` and what belongs to it; an answer is ROWs, named like what they are about:
 *
 *   op              fields                                   answer: ROW named…   cells
 *   states          match, max                               the state            code, stale, summary, time, since
 *   windows         match, max                               the series           kind, start, n
 *   events          match, max, since (ns)                   the event            time, value
 *   facts           match, max                               the fact             value, time
 *   fact_get        name                                     the fact             value, time; YD_ENOENT
 *   fact_set        name, value                              the fact             value, time
 *   fact_delete     match                                    "facts"              deleted
 *   forget          match, kinds (by comma), lasting (BOOL)  "forget"             rules
 *   forget_list     -                                        the pattern          kinds, since, dropped
 *   forget_end      match                                    "forget"             rules
 *   cardinality     -                                        the rule             known, refused, sample
 *   applications    -                                        process.PID, ended   subscriptions, names, passed, overrun
 *   packets         match, max                               the packet           decoded
 *   reload          -                                        the file             packets, measurements, new, gone,
 * others
 *
 * Times are ns since 1970. More than `max` (100000) answers: YD_ETOOBIG, with what to narrow. */
#ifndef ELEMENTS_ROWS_H
#define ELEMENTS_ROWS_H

#include <yarder/element.h>
#include <yarder/name.h>

#define YD_ROWS_MAX 100000

/* Of the question at hand. */
struct yd_str yd_rows_text(const struct yd_batch *query, const char *key); /* empty: not there */
uint64_t yd_rows_number(const struct yd_batch *query, const char *key, uint64_t otherwise);
bool yd_rows_op(const struct yd_batch *query, const char *op);

struct yd_rows {
    struct yd_builder *builder;
    struct yd_out *out;
    struct yd_pattern *pattern; /* of `match`; NULL: all */
    uint64_t max, count;
    int error;
    const char *why; /* of the error, for people; NULL: its own text */
};
/* `match` and `max` are read. After an error all calls do nothing, and yd_rows_end says it. */
void yd_rows_begin(struct yd_rows *rows, struct yd_input *input, struct yd_out *out);
bool yd_rows_match(const struct yd_rows *rows, struct yd_str name);
/* One ROW: opened, filled by the callback with yd_builder_cell…, closed; done again when the batch was full. */
typedef int yd_rows_fill(struct yd_builder *builder, const void *item);
void yd_rows_add(struct yd_rows *rows, struct yd_str name, int64_t time_ns, yd_rows_fill *fill, const void *item);
void yd_rows_fail(struct yd_rows *rows, int error);
void yd_rows_refuse(struct yd_rows *rows, int error, const char *why); /* the first error counts */
enum yd_turn_result yd_rows_end(struct yd_rows *rows);
enum yd_turn_result yd_rows_unknown(struct yd_input *input, struct yd_out *out, const char *known); /* no such op */

static inline int yd_rows_cell_i64(struct yd_builder *builder, const char *key, int64_t value)
{
    return yd_builder_cell(builder, yd_str_of(key), YD_I64, (union yd_value){.i64 = value});
}
static inline int yd_rows_cell_u64(struct yd_builder *builder, const char *key, uint64_t value)
{
    return yd_builder_cell(builder, yd_str_of(key), YD_U64, (union yd_value){.u64 = value});
}
static inline int yd_rows_cell_bool(struct yd_builder *builder, const char *key, bool value)
{
    return yd_builder_cell(builder, yd_str_of(key), YD_BOOL, (union yd_value){.u64 = value});
}
static inline int yd_rows_cell_text(struct yd_builder *builder, const char *key, struct yd_str value)
{
    return yd_builder_cell_bytes(builder, yd_str_of(key), YD_TEXT, value);
}

/* ---- forgetting, as it travels ---- */

/* A record that says that names are forgotten: one with YD_RECORD_TOMBSTONE means its own name and kind; a ROW named
 * yarder.tombstone means its pattern `names` and, if it has them, `kinds`. 1: it is one; 0: no; or YD_ENOMEM. A
 * pattern is the caller's to destroy; NULL: the record's own name. What remembers the present alone forgets
 * it whatever `until` or `until_time` say: that is older. */
int yd_tombstone_read(const struct yd_view *view, uint32_t index, struct yd_pattern **ret_pattern, uint32_t *ret_kinds);
/* How far it reaches back: *ret_time INT64_MAX: any time. *ret_seqno: it has a seqno of a log as its end. False: with
 * something else than whole numbers; it says nothing. */
bool yd_tombstone_until(const struct yd_view *view, uint32_t index, int64_t *ret_time, bool *ret_seqno);

#endif
