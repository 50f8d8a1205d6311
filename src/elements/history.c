/* History: folds samples into columns and answers questions about them (ask.h).
 *
 * Both come in slices of about a millisecond, taken in turn by the runtime, so a long query does not stop the stream,
 * nor a burst the queries. What is in memory goes into blocks on disk (store/keeper.h):
 *
 *   batch ─ fold ─ keep its ticket ─┐ every `checkpoint`, or when there is much of it
 *     flush: pieces ─▶ pump (a file thread): block, names, manifest, each synced ─▶ install ─▶ tickets: durable
 *                      beside: merging and retention, in slices
 *
 * A Log before it is its write-ahead log: the cursor moves when the tickets are answered, so a crash replays what is in
 * no block yet, and folding it twice changes nothing.
 * What can fail: memory (new series are refused at the cap, and counted), the disk (said; what is in memory stays there
 * until a later flush stores it, and at the cap the senders wait), and questions, each with a reason. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "elements/classes.h"
#include "elements/history_pump.h"
#include "elements/history_queries.h"
#include "elements/rows.h"
#include "store/notes.h"

enum { INPUT, QUERY };
enum { REASON_SERIES, REASON_MEMORY, REASON_LATE, REASON_NOTE };

#define FLUSH_BYTES (UINT64_C(384) << 20) /* of batches, after which a flush does not wait for its time */
#define KEPT_MAX    16384                 /* tickets, likewise: a cursor has 65,536 out at most */
#define SETTLE_NS   (20 * YD_NS_PER_MS)   /* until a flush when somebody waits to end */
#define RETRY_NS    YD_NS_PER_S           /* after a flush that failed */

#define NOTES_FILE_MAX (YD_NOTES_BYTES + (UINT64_C(64) << 20))

enum { TIMER_SWEEP, TIMER_FLUSH, TIMER_STEP };

/* A batch that there was no room for, or that forgets while a flush is under way. */
struct waiting {
    struct waiting *next;
    struct yd_batch *batch;
    uint64_t hold;
    uint32_t folded;
};

struct state {
    struct yd_history_disk disk; /* the first: the pump's part of it */
    struct yd_history *history;
    struct yd_history_queries queries;
    uint32_t folded; /* of the batch at hand */
    /* flushing */
    enum { IDLE, TAKING, WRITING, SETTLING } phase;
    int64_t checkpoint_ns, retry_ns;
    uint64_t *kept; /* tickets; the first `begun` are those of the flush under way */
    size_t kept_count, kept_room, begun;
    uint64_t bytes; /* of batches since the last flush began */
    uint64_t refused_tombstones;
    uint64_t notes_refused; /* not yet counted */
    int64_t keep_ns;
    bool notes_taken;       /* they go with the flush under way */
    bool due, eager, armed; /* armed: TIMER_FLUSH runs */
    uint32_t failures;      /* of flushes, in a row */
    struct yd_history_told *first_told, **last_told;
    struct waiting *first_waiting, **last_waiting;
    struct yd_buf said; /* at opening: texts, each with its end */
};
_Static_assert(offsetof(struct state, disk) == 0, "its pump looks there");

static const char *const reasons[] = {"new series refused: memory or series limit", "not stored: out of memory",
                                      "older than `keep`", "annotation not stored: its texts are over 64 KiB", NULL};

static const struct yd_port_class ports[] = {
    {.name = "input",
     .direction = YD_IN,
     .mode = YD_PUSH,
     .kinds = YD_KINDS_ALL,
     .needs = YD_KINDS_NUMERIC,
     .doc = "Samples, tallies and deltas with numbers; annotations, which are EVENTs named `yarder.annotation`. Other "
            "records are passed over, and counted as folded."},
    {.name = "query",
     .direction = YD_IN,
     .mode = YD_QUERY,
     .schema = "series",
     .doc = "Answers `series`, `suggest`, `lookup`, `last`, `notes`, `counts`, `nodes`, `tags` and `find`."},
    {0}};

static const struct yd_param_class params[] = {
    {.name = "keep",
     .type = YD_PARAM_DURATION,
     .initial = "0s",
     .max = 9.2e18,
     .doc = "How long samples are kept, by their time against the newest of all; `0s`: for ever."},
    {.name = "keep_1m",
     .type = YD_PARAM_DURATION,
     .initial = "0s",
     .max = 9.2e18,
     .doc = "How long what each minute comes to is kept (count, least, greatest, sum), for queries by whole minutes; "
            "`0s`: as long as samples."},
    {.name = "keep_1h", .type = YD_PARAM_DURATION, .initial = "0s", .max = 9.2e18, .doc = "The same of each hour."},
    {.name = "size",
     .type = YD_PARAM_SIZE,
     .initial = "0B",
     .flags = YD_PARAM_DISK,
     .max = 1e18,
     .doc = "At most so much on disk: the oldest blocks go; `0B`: no limit."},
    {.name = "checkpoint",
     .type = YD_PARAM_DURATION,
     .initial = "30s",
     .min = 0.1e9,
     .max = 3600e9,
     .doc =
         "What is in memory goes into a block after so long at the latest, and only then is acknowledged: so much of "
         "the stream is read again after a crash."},
    {.name = "memory",
     .type = YD_PARAM_SIZE,
     .initial = "512MiB",
     .flags = YD_PARAM_MEMORY,
     .min = 1 << 20,
     .max = (double)(UINT64_C(1) << 46),
     .doc = "Names, index, and columns that are in no block yet. When half of it is used they are written; when names "
            "and index fill half of it, new series are refused."},
    {.name = "series",
     .type = YD_PARAM_INT,
     .initial = "0",
     .min = 0,
     .max = 1e12,
     .doc = "At most so many series; more are refused, those that are there go on. `0`: no limit but memory."},
    {0}};

static void say_later(void *arg, const char *text)
{
    struct state *state = arg;
    if (state->disk.pump)
        yd_pump_say(state->disk.pump, 2, "%s", text);
    else
        yd_buf_add(&state->said, text, strlen(text) + 1);
}

/* What is damaged of them is said, and gone with the next time they are written: the file is set aside. */
static int load_notes(struct state *state, struct yd_fs *fs, struct yd_trail *trail)
{
    char *data, text[256], aside[4096];
    size_t size;
    uint32_t damaged = 0;
    int r = yd_fs_read_all(fs, state->disk.notes_path, NOTES_FILE_MAX, &data, &size);
    if (r == YD_ENOENT) return 0;
    if (r < 0) return yd_trail_add(trail, r, "cannot read %s: %s", state->disk.notes_path, yd_error_text(r));
    r = yd_history_notes_load(state->history, (struct yd_str){data, size}, &damaged);
    free(data);
    if (r == 0 && !damaged) return 0;
    if (r < 0 && r != YD_EFORMAT) return yd_trail_add(trail, r, "cannot read %s", state->disk.notes_path);
    snprintf(aside, sizeof aside, "%s.damaged", state->disk.notes_path);
    (void)yd_fs_rename(fs, state->disk.notes_path, aside); /* kept for who wants to look; not needed */
    if (r < 0)
        snprintf(text, sizeof text, "%s is damaged: its annotations are missing", state->disk.notes_path);
    else
        snprintf(text, sizeof text, "%s is damaged: %u annotations are missing", state->disk.notes_path, damaged);
    say_later(state, text);
    yd_history_notes_touch(state->history);
    return 0;
}

static int open(struct yd_element *element, void *opaque)
{
    struct state *state = opaque;
    const struct yd_args *args = yd_element_args(element);
    state->disk.memory = (uint64_t)yd_args_int(args, "memory");
    struct yd_history_options options = {.memory_max = (uint64_t)yd_args_int(args, "memory"),
                                         .series_max = (uint64_t)yd_args_int(args, "series"),
                                         .keep_ns = yd_args_int(args, "keep"),
                                         .durable = true};
    struct yd_trail trail = {0};
    char *folder;
    state->disk.element = element;
    state->checkpoint_ns = yd_args_int(args, "checkpoint");
    state->keep_ns = options.keep_ns;
    state->last_told = &state->first_told;
    state->last_waiting = &state->first_waiting;
    yd_buf_init(&state->said, NULL);
    int r = yd_history_create(&options, &state->history);
    state->queries.history = state->history;
    state->queries.timer = TIMER_SWEEP;
    if (r < 0) return yd_element_fail(element, r, "no memory for a history: %s", yd_error_text(r));
    if (asprintf(&folder, "%s/history/%s", yd_element_data(element), yd_element_name(element)) < 0) folder = NULL;
    struct yd_keeper_options keeping = {.fs = yd_element_fs(element),
                                        .folder = folder,
                                        .keep_ns = options.keep_ns,
                                        .keep_minutes_ns = yd_args_int(args, "keep_1m"),
                                        .keep_hours_ns = yd_args_int(args, "keep_1h"),
                                        .size_max = (uint64_t)yd_args_int(args, "size")};
    r = folder ? yd_keeper_open(&keeping, state->history, say_later, state, &state->disk.keeper, &trail) : YD_ENOMEM;
    if (r >= 0 && asprintf(&state->disk.notes_path, "%s/annotations", folder) < 0) {
        state->disk.notes_path = NULL;
        r = YD_ENOMEM;
    }
    free(folder);
    if (r >= 0) r = load_notes(state, keeping.fs, &trail);
    if (r >= 0) return 0;
    yd_history_destroy(state->history);
    yd_keeper_close(state->disk.keeper);
    free(state->disk.notes_path);
    yd_buf_fini(&state->said);
    const char *text = yd_trail_text(&trail);
    return yd_element_fail(element, r, "%s", *text ? text : yd_error_text(r));
}

static bool fresh(void *opaque)
{
    struct state *state = opaque;
    return yd_keeper_fresh(state->disk.keeper);
}

static void close(void *opaque)
{
    struct state *state = opaque;
    yd_history_queries_close(&state->queries);
    for (struct yd_history_told *next, *told = state->first_told; told; told = next) {
        next = told->next;
        yd_history_told_free(told);
    }
    for (struct waiting *next, *waiting = state->first_waiting; waiting; waiting = next) {
        next = waiting->next;
        yd_batch_unref(waiting->batch);
        free(waiting);
    }
    yd_history_destroy(state->history);
    yd_keeper_close(state->disk.keeper);
    yd_buf_fini(&state->said);
    free(state->kept);
    free(state->disk.notes_path);
    state->history = NULL;
    state->disk.keeper = NULL;
}

/* ---- flushing ---- */

static void begin_flush(struct state *state, int64_t now_ns, struct yd_out *out)
{
    state->due = true;
    if (state->phase != IDLE || now_ns < state->retry_ns) return;
    state->due = false;
    if (!yd_history_has_unflushed(state->history) && state->kept_count == 0) return;
    yd_history_flush_begin(state->history);
    state->begun = state->kept_count;
    state->bytes = 0;
    state->phase = TAKING;
    state->armed = false;
    yd_timer_off(out, TIMER_FLUSH);
    yd_timer_at(out, TIMER_STEP, now_ns);
}

/* Something was folded: it has to be flushed in time. */
static void flush_later(struct state *state, int64_t now_ns, struct yd_out *out)
{
    if (state->bytes >= FLUSH_BYTES || state->kept_count - state->begun >= KEPT_MAX ||
        yd_history_wants_flush(state->history)) {
        begin_flush(state, now_ns, out);
    } else if (!state->armed) {
        state->armed = true;
        yd_timer_at(out, TIMER_FLUSH, now_ns + (state->eager ? SETTLE_NS : state->checkpoint_ns));
    }
}

static bool remember(struct state *state, uint64_t hold)
{
    if (state->kept_count == state->kept_room) {
        size_t room = state->kept_room ? state->kept_room * 2 : 256;
        uint64_t *kept = realloc(state->kept, room * sizeof *kept);
        if (!kept) return false;
        state->kept = kept;
        state->kept_room = room;
    }
    state->kept[state->kept_count++] = hold;
    return true;
}

/* The ticket waits for the flush that stores what has been folded. Who does not ask needs none, but for the first:
 * while one is kept the element does not end. */
static enum yd_turn_result keep_ticket(struct state *state, struct yd_input *input, struct yd_out *out)
{
    if (!input->level && state->kept_count > state->begun) return YD_DONE;
    uint64_t hold = yd_keep(out);
    if (!hold || !remember(state, hold)) return YD_FAIL;
    return YD_DONE;
}

static void answer_kept(struct state *state, struct yd_out *out)
{
    for (size_t i = 0; i < state->begun; i++) yd_release(out, state->kept[i], 0, 3); /* durable */
    state->kept_count -= state->begun;
    if (state->kept_count) memmove(state->kept, state->kept + state->begun, state->kept_count * sizeof *state->kept);
    state->begun = 0;
}

/* ---- folding ---- */

/* The next tombstone by pattern (rows.h) at record `at` or behind; all when there is none. */
static uint32_t next_tombstone(const struct yd_batch *batch, uint32_t at)
{
    const struct yd_view *view = &batch->view;
    if (!(batch->header.kinds & YD_KIND_BIT(YD_ROW))) return view->count;
    for (; at < view->count; at++)
        if (view->records[at].kind == YD_ROW && view->records[at].type == YD_MAP &&
            yd_str_eq(yd_view_name(view, view->records[at].name), YD_STR("yarder.tombstone")))
            break;
    return at;
}

/* What a tombstone says is forgotten goes: of any time, or before its `until_time`. Of one with `until`, a seqno, it is
 * not known which points it means: they have none here. YD_EBUSY: not while a flush is under way. */
static int forget(struct state *state, const struct yd_view *view, uint32_t at, struct yd_out *out)
{
    struct yd_pattern *pattern = NULL;
    uint32_t kinds;
    int64_t until;
    bool by_seqno;
    uint64_t gone = 0;
    int r = yd_tombstone_read(view, at, &pattern, &kinds);
    if (r <= 0 || !pattern) return r < 0 ? r : YD_OK;
    bool means = (kinds & YD_KINDS_NUMERIC) && yd_tombstone_until(view, at, &until, &by_seqno);
    if (means && by_seqno) {
        state->refused_tombstones++;
        yd_say(out, 1, "a tombstone with `until` (a seqno) was passed over: points have none here. Say `until_time`");
    } else if (means && until != INT64_MAX && state->phase != IDLE) {
        r = YD_EBUSY;
    } else if (means) {
        r = yd_history_forget(state->history, pattern, until, &gone);
    }
    if (r >= 0 && (kinds & YD_KIND_BIT(YD_EVENT)) && yd_tombstone_until(view, at, &until, &by_seqno) && !by_seqno &&
        until == INT64_MAX)
        yd_history_notes_forget(state->history, pattern);
    yd_pattern_destroy(pattern);
    return YD_MIN(r, YD_OK);
}

/* Annotations among the records; fold counts them as it counts what is no sample. */
static int note(struct state *state, const struct yd_batch *batch, uint32_t from, uint32_t end, struct yd_out *out)
{
    const struct yd_view *view = &batch->view;
    if (!(batch->header.kinds & YD_KIND_BIT(YD_EVENT))) return YD_OK;
    uint64_t lost = yd_history_notes_lost(state->history);
    for (uint32_t i = from; i < end; i++) {
        struct yd_note note;
        unsigned given;
        if (view->records[i].kind != YD_EVENT || !yd_note_named(yd_view_name(view, view->records[i].name))) continue;
        if (!yd_note_read(view, i, &note, &given)) continue;
        int r = yd_history_note(state->history, &note, given);
        if (r < 0 && r != YD_ETOOBIG) return r;
        state->notes_refused += r < 0;
    }
    lost = yd_history_notes_lost(state->history) - lost;
    if (lost) yd_say(out, 1, "%llu of the oldest annotations make room for new ones", (unsigned long long)lost);
    return YD_OK;
}

/* Up to the end, or the end of a slice; tombstones in their place between the others. */
static int fold_on(struct state *state, const struct yd_batch *batch, uint32_t from, uint32_t *ret_done,
                   struct yd_out *out)
{
    uint32_t stop;
    int r = YD_OK;
    *ret_done = from;
    do {
        stop = next_tombstone(batch, *ret_done);
        if (stop == *ret_done && stop < batch->view.count) {
            r = forget(state, &batch->view, stop, out);
            if (r < 0) break;
            stop = next_tombstone(batch, stop + 1);
        }
        uint32_t first = *ret_done;
        r = yd_history_fold_to(state->history, batch, first, stop, ret_done);
        if (r >= 0) r = note(state, batch, first, *ret_done, out);
    } while (r >= 0 && *ret_done == stop && stop < batch->view.count);
    return r;
}

/* Returns what is done of it. *ret_waits: the rest waits for the flush under way. */
static uint32_t fold_some(struct state *state, struct yd_batch *batch, uint32_t from, bool *ret_waits,
                          struct yd_out *out)
{
    struct yd_history_counts before, after;
    uint32_t done = from;
    yd_history_counts(state->history, &before);
    int r = fold_on(state, batch, from, &done, out);
    *ret_waits = r == YD_EBUSY;
    if (r < 0 &&
        r != YD_EBUSY) { /* out of memory, or a batch that nobody can read: the rest of it is not stored, and said */
        yd_count_rejected(out, REASON_MEMORY, batch->header.count - done, YD_STR(""));
        yd_say(out, 2, "records not stored: %s", yd_error_text(r));
        done = batch->header.count;
    }
    yd_history_counts(state->history, &after);
    if (after.refused_series > before.refused_series)
        yd_say(out, 1, "new series are refused: %llu series in %llu MiB are the limit (`memory`, `series`)",
               (unsigned long long)after.series, (unsigned long long)(after.memory_bytes >> 20));
    if (after.refused_samples > before.refused_samples)
        yd_count_rejected(out, REASON_SERIES, after.refused_samples - before.refused_samples, YD_STR(""));
    if (after.late > before.late) yd_count_dropped(out, REASON_LATE, after.late - before.late);
    uint64_t ignored = after.ignored - before.ignored, refused = YD_MIN(state->notes_refused, ignored);
    state->notes_refused -= refused; /* the others of them are in the next slices */
    if (refused) yd_count_dropped(out, REASON_NOTE, refused);
    if (ignored > refused) yd_count_folded(out, ignored - refused);
    return done;
}

/* Not until a flush has been stored: the batch is held, and with it the wire's credit. */
static enum yd_turn_result let_wait(struct state *state, struct yd_input *input, uint32_t folded, struct yd_out *out)
{
    struct waiting *waiting = malloc(sizeof *waiting);
    uint64_t hold = waiting ? yd_hold(out) : 0;
    if (!hold) {
        free(waiting);
        return YD_FAIL;
    }
    *waiting = (struct waiting){.batch = yd_batch_ref(input->batch), .hold = hold, .folded = folded};
    *state->last_waiting = waiting;
    state->last_waiting = &waiting->next;
    begin_flush(state, input->mono_ns, out);
    return YD_DONE;
}

static enum yd_turn_result fold(struct state *state, struct yd_input *input, struct yd_out *out)
{
    if (!input->again && (state->first_waiting || yd_history_is_full(state->history)))
        return let_wait(state, input, 0, out);
    bool waits;
    state->folded = fold_some(state, input->batch, input->again ? state->folded : 0, &waits, out);
    if (waits) return let_wait(state, input, state->folded, out);
    if (state->folded < input->batch->header.count) return YD_MORE;
    state->bytes += yd_batch_cost(input->batch);
    enum yd_turn_result result = keep_ticket(state, input, out);
    flush_later(state, input->mono_ns, out);
    return result;
}

/* Those that waited, while there is room. True: a slice is over and there is more. (What is refused of them counts as
 * received twice: it is no longer at hand.) */
static bool fold_waiting(struct state *state, int64_t now_ns, struct yd_out *out)
{
    struct waiting *waiting = state->first_waiting;
    if (!waiting || yd_history_is_full(state->history)) return false;
    bool waits; /* not here: no flush is under way */
    waiting->folded = fold_some(state, waiting->batch, waiting->folded, &waits, out);
    if (waiting->folded < waiting->batch->header.count) return true;
    state->bytes += yd_batch_cost(waiting->batch);
    if (!remember(state, waiting->hold)) yd_release(out, waiting->hold, YD_ECANCELED, 0);
    state->first_waiting = waiting->next;
    if (!state->first_waiting) state->last_waiting = &state->first_waiting;
    yd_batch_unref(waiting->batch);
    free(waiting);
    flush_later(state, now_ns, out);
    return state->first_waiting != NULL;
}

/* ---- the flush's steps, and the pump's words ---- */

/* All annotations, as their file will be. NULL: out of memory. */
static struct yd_buf *save_notes(struct state *state)
{
    struct yd_buf *notes = malloc(sizeof *notes);
    int64_t newest = yd_history_newest(state->history), from = INT64_MIN;
    if (!notes) return NULL;
    yd_buf_init(notes, NULL);
    if (state->keep_ns > 0 && newest > INT64_MIN + state->keep_ns) from = newest - state->keep_ns;
    if (yd_history_notes_save(state->history, from, notes) == 0) {
        state->notes_taken = true;
        return notes;
    }
    yd_history_saved_notes_free(notes);
    return NULL;
}

static void piece_free(void *piece)
{
    yd_flush_piece_free(piece);
}

static enum yd_turn_result take_step(struct state *state, struct yd_input *input, struct yd_out *out)
{
    struct yd_flush_piece *piece;
    int r = yd_history_flush_step(state->history, &piece);
    if (piece) (void)yd_out_command(out, YD_HISTORY_PIECE, 0, NULL, piece, piece_free);
    if (r > 0) return YD_MORE;
    if (r < 0) { /* out of memory: it may be otherwise soon */
        yd_timer_at(out, TIMER_STEP, input->mono_ns + 100 * YD_NS_PER_MS);
        return YD_DONE;
    }
    struct yd_buf *notes = NULL;
    if (yd_history_notes_changed(state->history) && !(notes = save_notes(state))) {
        yd_timer_at(out, TIMER_STEP, input->mono_ns + 100 * YD_NS_PER_MS);
        return YD_DONE;
    }
    state->phase = WRITING;
    (void)yd_out_command(out, YD_HISTORY_COMMIT, (uint64_t)yd_history_newest(state->history), NULL, notes,
                         yd_history_saved_notes_free);
    return YD_DONE;
}

static void committed(struct state *state, const struct yd_history_told *told, int64_t now_ns, struct yd_out *out)
{
    yd_history_flush_end(state->history, told->error == 0);
    state->phase = SETTLING;
    if (told->error && state->notes_taken) yd_history_notes_touch(state->history); /* once more with the next one */
    state->notes_taken = false;
    if (told->error == 0) {
        state->failures = 0;
        answer_kept(state, out);
        return;
    }
    if ((state->failures & (state->failures + 1)) == 0) /* the first, second, fourth … in a row */
        yd_say(out, 2, "%s. What is in memory stays there, nothing of it is acknowledged; it is tried again",
               told->text);
    state->failures++;
    state->begun = 0;
    state->due = true;
    state->retry_ns = now_ns + RETRY_NS;
    yd_timer_at(out, TIMER_FLUSH, state->retry_ns);
}

/* True: out of memory, to be tried again. */
static bool take_told(struct state *state, int64_t now_ns, struct yd_out *out)
{
    while (state->first_told) {
        struct yd_history_told *told = state->first_told;
        if (told->change && yd_history_install(state->history, told->change) < 0) return true;
        if (told->change) (void)yd_out_command(out, YD_HISTORY_RETIRE, 0, NULL, told->change, yd_store_change_free);
        told->change = NULL;
        if (told->commit) committed(state, told, now_ns, out);
        state->first_told = told->next;
        if (!state->first_told) state->last_told = &state->first_told;
        free(told);
    }
    return false;
}

static enum yd_turn_result step(struct state *state, struct yd_input *input, struct yd_out *out)
{
    if (take_told(state, input->mono_ns, out)) {
        yd_timer_at(out, TIMER_STEP, input->mono_ns + 100 * YD_NS_PER_MS);
        return YD_DONE;
    }
    if (state->phase == TAKING) return take_step(state, input, out);
    if (state->phase == WRITING) return YD_DONE;
    if (yd_history_settle(state->history)) return YD_MORE;
    state->phase = IDLE;
    if (fold_waiting(state, input->mono_ns, out)) return YD_MORE;
    if (state->due) begin_flush(state, input->mono_ns, out);
    return YD_DONE;
}

static enum yd_turn_result pump_said(struct state *state, struct yd_input *input, struct yd_out *out)
{
    if (input->cookie == YD_HISTORY_TOLD_WARM) {
        yd_history_queries_warmed(input->data, out);
        return YD_DONE;
    }
    struct yd_history_told *told = input->data;
    input->data = NULL;
    *state->last_told = told;
    state->last_told = &told->next;
    yd_timer_at(out, TIMER_STEP, input->mono_ns);
    return YD_DONE;
}

static enum yd_turn_result drain(void *opaque, struct yd_out *out)
{
    struct state *state = opaque;
    state->eager = true;
    state->queries.alone = true; /* the pump goes next, and questions go on coming */
    begin_flush(state, yd_now_mono(out), out);
    return YD_DONE; /* the runtime waits for the tickets */
}

static enum yd_turn_result timer(struct state *state, struct yd_input *input, struct yd_out *out)
{
    if (input->cookie == TIMER_STEP) return step(state, input, out);
    if (input->cookie == TIMER_FLUSH) {
        begin_flush(state, input->mono_ns, out);
        return YD_DONE;
    }
    yd_history_queries_sweep(&state->queries, input, out);
    return YD_DONE;
}

static enum yd_turn_result receive(void *opaque, struct yd_input *input, struct yd_out *out)
{
    struct state *state = opaque;
    switch (input->type) {
    case YD_INPUT_START:
        for (size_t at = 0; at < state->said.size; at += strlen(state->said.data + at) + 1)
            yd_say(out, 2, "%s", state->said.data + at);
        yd_buf_clear(&state->said);
        yd_timer_at(out, TIMER_STEP, input->mono_ns); /* series without points are looked for */
        return YD_DONE;
    case YD_INPUT_BATCH:
        return fold(state, input, out);
    case YD_INPUT_QUERY:
        return yd_history_queries_answer(&state->queries, state->refused_tombstones, input, out);
    case YD_INPUT_TIMER:
        return timer(state, input, out);
    case YD_INPUT_PUMP:
        return pump_said(state, input, out);
    case YD_INPUT_SETTLE:
        state->eager = true;
        begin_flush(state, input->mono_ns, out);
        return YD_DONE;
    default:
        return YD_DONE;
    }
}

const struct yd_element_class yd_class_history = {
    .abi = YD_ELEMENT_ABI,
    .flags = YD_CLASS_KEEPS,
    .name = "History",
    .summary = "keeps samples in compressed blocks on disk and answers questions about them",
    .doc = "The past of every series, for Grafana and for other elements. What is new is in memory and goes into "
           "blocks under\n"
           "`DATA/history/NAME`. Put a `Log` before it: the stream is its write-ahead log, so nothing acknowledged is "
           "ever missing.\n"
           "Without one, what came since the last `checkpoint` is lost in a crash.\n\n"
           "- Samples may come late and in any order; of two with the same time the later one counts.\n"
           "- A start reads no samples: it maps the blocks and reads from the stream what is in none yet.\n"
           "- When names and index fill half of `memory`, *new* series are refused and counted; known ones keep "
           "flowing.\n"
           "- A damaged block is named and counted; the others are served.\n"
           "- A tombstone forgets its series, or those that its pattern matches (`Forget`), for good: of any time, or\n"
           "what is before `until_time`. What comes later counts, whatever its time.\n"
           "- Annotations are kept beside the samples: up to 100,000 of them and 64 MiB, the oldest go first.\n"
           "- Queries run in slices between batches: neither waits for the other.\n",
    .example = "metrics :: Log(stream: \"metrics\") -> history :: History(keep: 30d)\n"
               "tsdb :: OpenTsdb(listen: \"127.0.0.1:4242\") => history\n",
    .ports = ports,
    .params = params,
    .reasons = reasons,
    .state_size = sizeof(struct state),
    .open = open,
    .close = close,
    .receive = receive,
    .drain = drain,
    .pump = &yd_history_pump,
    .fresh = fresh,
};
