/* store/notes.h: annotations: what somebody says about a moment or a span of time, of a series or of all.
 *
 *   EVENT record in the stream ── yd_note_read ──▶ yd_history_note ──▶ sorted in memory ──▶ queries, yd_history_notes
 *                                                                        │ with a flush
 *                                                                        └▶ FOLDER/annotations, whole, replaced
 *
 * One is known by its series' tsuid (or none: it is global) and its start. They are few: at most YD_NOTES_MAX of them
 * and YD_NOTES_BYTES are kept, the oldest go first. Folding the end of a stream again, in order, over a state that has
 * it already changes nothing: so the file may be newer than what the stream has acknowledged. */
#ifndef STORE_NOTES_H
#define STORE_NOTES_H

#include "store/history.h"

#define YD_NOTES_MAX     100000
#define YD_NOTES_BYTES   (UINT64_C(64) << 20)
#define YD_NOTE_SIZE_MAX 65536 /* of its texts together */

struct yd_note {
    bool global; /* else of the series with this tsuid */
    uint64_t tsuid;
    int64_t start_ns, end_ns;         /* end 0: it has none */
    struct yd_str description, notes; /* texts, may be "" */
    struct yd_str custom;             /* JSON, an object of texts; "" none */
};
/* What a change says; the rest stays as it was, or with REPLACE becomes empty. DELETE: those of start_ns … end_ns are
 * taken away. */
enum yd_note_given {
    YD_NOTE_END = 1,
    YD_NOTE_DESCRIPTION = 2,
    YD_NOTE_NOTES = 4,
    YD_NOTE_CUSTOM = 8,
    YD_NOTE_REPLACE = 16,
    YD_NOTE_DELETE = 32,
};

/* ---- as records: EVENT, a MAP of `tsuid` (U64), `end` (I64), `description`, `notes`, `custom` (TEXT), `replace`,
 * `delete` (BOOL), at the time of its start ---- */

#define YD_NOTE_NAME "yarder.annotation"
/* name "": its own, YD_NOTE_NAME, of a series with the tag `tsuid`. As yd_builder_begin and _end fail. */
int yd_note_put(struct yd_builder *builder, struct yd_str name, const struct yd_note *note, unsigned given);
/* False: it is none. Texts are the batch's. */
bool yd_note_read(const struct yd_view *view, uint32_t index, struct yd_note *ret_note, unsigned *ret_given);
/* Whether a record in a stream is one by its name. */
bool yd_note_named(struct yd_str name);

/* ---- in a history ---- */

/* YD_ETOOBIG: its texts; YD_ENOMEM. */
int yd_history_note(struct yd_history *history, const struct yd_note *note, unsigned given);
/* By series (or the global ones) and then by start, those that start within [from, to]. Slices live during the visit.
 */
void yd_history_notes(struct yd_history *history, bool global, uint64_t tsuid, int64_t from, int64_t to,
                      void (*visit)(void *arg, const struct yd_note *note), void *arg);
uint64_t yd_history_notes_lost(const struct yd_history *history); /* pushed out by later ones */
/* Those whose names the pattern matches. */
void yd_history_notes_forget(struct yd_history *history, const struct yd_pattern *pattern);

/* ---- their file: header {magic, version, count, crc} │ {u32 size, crc, note} … : a damaged one costs itself ---- */
bool yd_history_notes_changed(const struct yd_history *history); /* since they were saved or loaded */
void yd_history_notes_touch(struct yd_history *history);         /* what was saved was not written */
/* Those older than `from` are forgotten first. */
int yd_history_notes_save(struct yd_history *history, int64_t from, struct yd_buf *to);
/* YD_EFORMAT, YD_EVERSION: not such a file. *ret_damaged: notes passed over. */
int yd_history_notes_load(struct yd_history *history, struct yd_str file, uint32_t *ret_damaged);

#endif
