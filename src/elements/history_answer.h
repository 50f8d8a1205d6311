/* elements/history_answer.h: the answers of a History that are no series: names, tags, newest values, counts, notes.
 *
 * They are short: built at once, in one turn, sent when a batch is full. What does not fit is asked for part by part.
 */
#ifndef ELEMENTS_HISTORY_ANSWER_H
#define ELEMENTS_HISTORY_ANSWER_H

#include <yarder/element.h>

#include "elements/ask.h"

/* To the query at hand. An error, with what to say in the trail: nothing final was sent, the caller refuses. */
int yd_history_answer(struct yd_history *history, uint64_t refused_tombstones, const struct yd_ask *ask,
                      struct yd_out *out, struct yd_trail *trail);

#endif
