/* elements/opentsdb_notes.h: /api/annotation: reading and writing annotations. Pure: a machine that says what to ask of
 * the history, takes the replies, and ends with an answer and what is to be written into the stream.
 *
 *   GET     annotation ?start_time&tsuid            one, or 404
 *           annotations ?start_time&end_time        the global ones of a time range
 *   POST    annotation {…} or arguments             what is given is changed, the rest stays; the whole is answered
 *   PUT     annotation                              the rest becomes empty
 *   DELETE  annotation                              204
 *   POST, PUT   annotation/bulk [{…},…]             all of them, answered as an array
 *   DELETE      annotation/bulk {startTime, endTime, tsuids, global}   how many
 *
 * Each read-modify-write reads what the history has now, and what was written here a moment ago; the stream's order
 * decides what is kept. */
#ifndef ELEMENTS_OPENTSDB_NOTES_H
#define ELEMENTS_OPENTSDB_NOTES_H

#include "elements/ask.h"
#include "elements/opentsdb_query.h"
#include "store/notes.h"

enum yd_tsdb_method { YD_TSDB_GET = 1, YD_TSDB_POST = 2, YD_TSDB_PUT = 4, YD_TSDB_DELETE = 8 };

struct yd_tsdb_note; /* one of those asked about */
struct yd_tsdb_notes {
    enum yd_tsdb_method method;
    bool bulk, list; /* list: of global ones */
    struct yd_arena *arena;
    struct yd_tsdb_note *items;
    size_t count, at;
    /* list, and bulk DELETE */
    bool global;
    struct yd_series_query range; /* tsuids, start, end */
    struct yd_buf found;          /* list: as JSON */
    uint64_t found_count;
};

/* path: "annotation", "annotations", with "/bulk". YD_EINVAL, YD_ENOTSUP (a method that is none of the path's),
 * YD_ETOOBIG with words in the trail. Everything lives in the arena; the rest is let go by yd_tsdb_notes_fini. */
int yd_tsdb_notes_plan(struct yd_str path, enum yd_tsdb_method method, struct yd_str body,
                       const struct yd_tsdb_argument *arguments, size_t count, int64_t now_ns, struct yd_arena *arena,
                       struct yd_tsdb_notes *ret, struct yd_trail *trail);
void yd_tsdb_notes_fini(struct yd_tsdb_notes *notes);
/* The next question; false: there is none left. After its last reply: yd_tsdb_notes_replied. */
bool yd_tsdb_notes_ask(const struct yd_tsdb_notes *notes, struct yd_ask *ret_ask);
int yd_tsdb_notes_add(struct yd_tsdb_notes *notes, const struct yd_batch *batch);
/* What was written a moment ago, in its order, between the last reply and yd_tsdb_notes_replied: the history may not
 * have it yet. */
int yd_tsdb_notes_written(struct yd_tsdb_notes *notes, const struct yd_batch *batch);
void yd_tsdb_notes_replied(struct yd_tsdb_notes *notes);
/* All replies are there. *ret_batch: what is to be written before the answer goes out; NULL: nothing. YD_ENOENT: there
 * is no such annotation. */
int yd_tsdb_notes_end(struct yd_tsdb_notes *notes, unsigned *ret_status, struct yd_buf *to,
                      struct yd_batch **ret_batch);

/* One as JSON; of a query's answer too. */
void yd_tsdb_put_note(struct yd_buf *to, const struct yd_note *note);

#endif
