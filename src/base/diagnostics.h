/* base/diagnostics.h: what is wrong in a text that somebody wrote: collected, sorted, printed with its line and a
 * caret.
 *
 *   error[Y104]: a query port is wired with a push arrow
 *     --> site.yd:14:5
 *      |
 *   14 | web.ask -> history.query
 *      |     ^^^ 'ask' is a query output
 *      = help: write  web.ask => history.query
 *
 * Topologies, definitions of packets and whatever is converted into these report this way. Everything shown lives in
 * the arena of the diagnostics, sources too: printing needs no file a second time. One thread. */
#ifndef BASE_DIAGNOSTICS_H
#define BASE_DIAGNOSTICS_H

#include "base/alloc.h"

struct yd_place {
    uint32_t file, line, column, length; /* 1-based, in characters; file (from 0) indexes the sources */
};
struct yd_note {
    struct yd_place place;
    const char *text; /* beside its carets; may be "" */
};
struct yd_diagnostic {
    bool warning;
    unsigned code; /* 104 prints as Y104 */
    const char *message;
    struct yd_note notes[3]; /* the first is the place of the mistake */
    size_t note_count;
    const char *help; /* what to write instead; NULL */
};
struct yd_source { /* what the places point into */
    const char *path;
    struct yd_str text;
};
struct yd_diagnostics {
    struct yd_arena arena;
    struct yd_diagnostic *items;
    size_t count, capacity, errors;
    struct yd_source *sources; /* yd_place.file indexes them */
    size_t source_count, source_capacity;
    char letter; /* before a code; 0: Y */
    bool muted;  /* what was said last is not shown: nor is what is added to it */
};
void yd_diagnostics_init(struct yd_diagnostics *diagnostics, struct yd_alloc *alloc);
void yd_diagnostics_fini(struct yd_diagnostics *diagnostics);
void yd_diagnostics_print(const struct yd_diagnostics *diagnostics, bool colour, struct yd_buf *to);
void yd_diagnostics_json(const struct yd_diagnostics *diagnostics, struct yd_buf *to);

#endif
