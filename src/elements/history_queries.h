/* elements/history_queries.h: the questions to a History: those of one turn, and those that take slices.
 *
 *   question --ask.h--> short: answered at once (history_answer.h)
 *                  `--> series, `lookup`, `last`: running --slice by slice--> batches, the last of them final
 *                                    | ^
 *                    needs the disk  v | it is read (history_pump.h)
 *                                put aside
 *
 * A question is known by the handle that its next slice comes with. Askers that have gone do not say so: what nobody
 * called for a minute is forgotten. */
#ifndef ELEMENTS_HISTORY_QUERIES_H
#define ELEMENTS_HISTORY_QUERIES_H

#include <yarder/element.h>

#include "elements/history_pump.h"

#define YD_HISTORY_QUERIES_MAX 256 /* at a time; more are refused */

/* A question between two of its slices. */
struct yd_history_running {
    uint64_t handle;
    struct yd_query_run *run; /* of series; or */
    struct yd_names *names;   /* of names */
    struct yd_arena arena;
    int64_t last_ns;
};
struct yd_history_queries {
    struct yd_history *history;
    uint64_t timer; /* the element's, of yd_history_queries_sweep */
    struct yd_history_running running[YD_HISTORY_QUERIES_MAX];
    unsigned count;
    uint64_t damage; /* found so far */
    bool alone;      /* the pump goes, or has gone: it reads nothing beforehand any more */
};
/* A turn of a question: a new one, or the next slice of one. Refusals are answers, too. */
enum yd_turn_result yd_history_queries_answer(struct yd_history_queries *queries, uint64_t refused_tombstones,
                                              struct yd_input *input, struct yd_out *out);
/* What a question waited for has been read: it goes on, if its asker is still there. */
void yd_history_queries_warmed(const struct yd_history_warm *warm, struct yd_out *out);
void yd_history_queries_sweep(struct yd_history_queries *queries, struct yd_input *input, struct yd_out *out);
void yd_history_queries_close(struct yd_history_queries *queries); /* before its history */

#endif
