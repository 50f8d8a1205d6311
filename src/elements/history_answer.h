/* elements/history_answer.h: the answers of a History that are no series: names, tags, newest values, counts, notes.
 *
 * They are short: built at once, in one turn, sent when a batch is full. What does not fit is asked for part by part.
 * But `lookup` and `last` may go over all series: they are answered in slices, as queries are. */
#ifndef ELEMENTS_HISTORY_ANSWER_H
#define ELEMENTS_HISTORY_ANSWER_H

#include <yarder/element.h>

#include "elements/ask.h"

/* To the query at hand. An error, with what to say in the trail: nothing final was sent, the caller refuses. */
int yd_history_answer(struct yd_history *history, uint64_t refused_tombstones, const struct yd_ask *ask,
                      struct yd_out *out, struct yd_trail *trail);

/* Of `lookup` or `last`: begun, then answered slice by slice: 1: once more, with the query at hand again; 0: the last
 * of it was sent; negative: as above. What the question points to is needed at the beginning only. */
struct yd_names;
int yd_names_ask(struct yd_history *history, const struct yd_ask *ask, struct yd_names **ret_names,
                 struct yd_trail *trail);
int yd_names_answer(struct yd_history *history, struct yd_names *names, struct yd_out *out, struct yd_trail *trail);
void yd_names_done(struct yd_names *names); /* NULL is quiet; before its history */

#endif
