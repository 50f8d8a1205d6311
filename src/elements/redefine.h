/* elements/redefine.h: a definition that has changed, under elements that run.
 *
 *   yarder ask decom reload ──▶ Decom ──read, compile, held against everybody who works by that file──▶ wrong: refused,
 *                                 │      (pump: a file thread)                                          the old goes on
 *                                 ├─ redefine {text} ─▶ Derive, Limits, other Decoms of that file: between two batches
 *                                 ├─ all have it: own plan, between two batches; a ROW says it to those behind
 *                                 └─ somebody could not: redefine {the text before} ─▶ those who have it: all go back
 *
 * The ROW `yarder.definition` travels in its place in the stream, so it parts the values by the old definition from
 * those by the new one. Its cells: `definition` (path), `gone` and `wider` (names, a line each): those that nobody
 * makes any more, and numbers that are texts now. A Live behind makes a new generation of its memory without the
 * former, with more room for the latter. Long lists are several ROWs. */
#ifndef ELEMENTS_REDEFINE_H
#define ELEMENTS_REDEFINE_H

#include <yarder/element.h>

#include "elements/definition.h"

/* ---- the file, read again: the pump of a Decom, whose state begins with its `struct yd_element *` ---- */

enum { YD_REDEFINE_READ = 1 }; /* command; and the word that comes back, with one of these */
struct yd_redefinition {
    struct yd_plan *plan; /* NULL: wrong */
    struct yd_str text;
    char why[YD_DEFINITION_WHY]; /* wrong: FILE:LINE:COLUMN: … */
};
extern const struct yd_pump_class yd_redefine_pump;
void yd_redefinition_free(void *redefinition); /* NULL is quiet */

/* ---- the others that work by the same file ---- */

/* The question's op. Not for those outside: Native refuses it, and the text is taken as one that has been checked. */
#define YD_REDEFINE_OP "redefine"
/* Asks each to take this text, or those for whom `whom` has not 0; cookies are their numbers, from 0 on: *ret_count is
 * how many answers will come. */
int yd_redefine_others(struct yd_out *out, struct yd_str text, const char *whom, unsigned *ret_count);
unsigned yd_redefine_other_count(struct yd_element *element);
const char *yd_redefine_other_name(struct yd_element *element, uint64_t number);
/* The text in a question `redefine`; data NULL: it has none. */
struct yd_str yd_redefine_text(const struct yd_batch *query);

/* What `save` writes, to be loaded by who takes over. */
int yd_redefine_saved(int (*save)(const void *state, uint32_t key_group, struct yd_saver *saver), const void *state,
                      struct yd_buf *to);

/* ---- those behind ---- */

/* Batches on their way out. A question is answered while the outputs are full: what it makes waits here then, and goes
 * before anything else that is emitted: to be called at each turn that is not a question. */
struct yd_redefine_late {
    struct yd_batch **batches;
    uint32_t count, capacity;
};
int yd_redefine_late_add(struct yd_redefine_late *late, struct yd_batch *batch); /* takes it, in any case */
int yd_redefine_late_emit(struct yd_redefine_late *late, struct yd_out *out,
                          unsigned port);                                 /* 0, too: some still wait */
void yd_redefine_late_cut(struct yd_redefine_late *late, uint32_t count); /* to so many; 0: frees it */

/* Names are added, then go into `late`, or, with NULL, are the answer to the question at hand: who asked tells them. */
struct yd_redefine_mark {
    struct yd_builder *builder;
    struct yd_buf gone, wider;
    struct yd_out *out;
    struct yd_redefine_late *late;
    int64_t time_ns;
    struct yd_str path;
    int error;
};
int yd_redefine_mark_begin(struct yd_redefine_mark *mark, struct yd_out *out, struct yd_redefine_late *late,
                           int64_t time_ns);
void yd_redefine_mark_add(struct yd_redefine_mark *mark, struct yd_str name, bool is_gone);
int yd_redefine_mark_end(struct yd_redefine_mark *mark); /* frees it, in any case */
/* True: this record is such a ROW; its lists may be empty. */
bool yd_redefine_mark_read(const struct yd_view *view, uint32_t index, struct yd_str *ret_gone,
                           struct yd_str *ret_wider);
/* The next line of a list; false: none is left. */
bool yd_redefine_next(struct yd_str *list, struct yd_str *ret_name);

#endif
