/* Log: batches into a stream on disk, and out of it again by cursors.
 *
 *   BATCH --> yd_log_append: in memory, stamped --> MOVED: written, durable --> the tickets that asked are answered
 *                 full: kept here, held; the wire's credit is not given back, so the senders stop
 *
 * The runtime runs the log's thread, reads its cursors and gives MOVED; this half decides what an acknowledgement is
 * worth. A failed sync is final: what comes after is dropped by that reason, and its askers are told. No space is not:
 * what does not fit waits, and the operator is told. */
#include <stdio.h>

#include "base/text.h"
#include "elements/classes.h"
#include "flow/run.h"
#include "log/layout.h"
#include <yarder/log.h>

#include "base/text.h"
#include "io/file.h"

#define HOLD_MAX 64

enum { INPUT, OUTPUT, QUERY };
enum { REASON_READONLY, REASON_EPOCH, REASON_GAP, REASON_DUPLICATE };

/* A hold that is answered when the stream has got as far as `next`. */
struct wait {
    uint64_t next, hold;
    unsigned level;
};
/* First in, first out; `next` only rises. */
struct waits {
    struct wait *items;
    size_t first, count, capacity; /* capacity: a power of two */
};
/* A batch that the log had no room for. */
struct pending {
    struct yd_batch *batch;
    uint64_t hold;
    unsigned level;
    struct pending *next;
};

struct state {
    struct yd_element *element;
    struct yd_log *log;
    struct waits written, durable, replicated;
    struct pending *first, **last;
    bool said_failed, said_no_space, said_held;
    char stream[256];                /* as others find it: NAME/PARTITION */
    struct yd_log_recovery recovery; /* what the last opening found */
};

static const char *const reasons[] = {"stream read-only after a failed sync", "from a producer's older life",
                                      "producer's range has a gap", "sent again, written before", NULL};

static const struct yd_port_class ports[] = {
    {.name = "input",
     .direction = YD_IN,
     .mode = YD_PUSH,
     .kinds = YD_KINDS_ALL,
     .doc = "Anything. Who asks is told at the level he asked for: `memory`, `written`, `durable`."},
    {.name = "output",
     .direction = YD_OUT,
     .mode = YD_PUSH,
     .kinds = YD_KINDS_ALL,
     .flags = YD_PORT_CURSOR | YD_PORT_PASSES,
     .doc = "A wire from here is a named cursor: it continues where its reader had acknowledged, and never delays "
            "others."},
    {.name = "query",
     .direction = YD_IN,
     .mode = YD_QUERY,
     .schema = "log",
     .doc = "Answers `positions`: one row of what is first, written, durable, and how much is on disk."},
    {0}};

static const struct yd_param_class params[] = {
    {.name = "stream",
     .type = YD_PARAM_TEXT,
     .flags = YD_PARAM_REQUIRED | YD_PARAM_STREAM,
     .doc = "The stream's name: its folder is `DATA/streams/NAME/0`."},
    {.name = "keep",
     .type = YD_PARAM_DURATION,
     .initial = "0s",
     .doc = "Whole segments older than this go, by the time they were written; `0s`: kept for ever."},
    {.name = "size",
     .type = YD_PARAM_SIZE,
     .initial = "0B",
     .flags = YD_PARAM_DISK,
     .doc = "At most so much on disk: the oldest segments go; `0B`: no limit."},
    {.name = "segment",
     .type = YD_PARAM_SIZE,
     .initial = "256MiB",
     .min = 1 << 20,
     .max = 1 << 30,
     .doc = "Segments grow with the stream's rate from 1 MiB up to this."},
    {.name = "tail",
     .type = YD_PARAM_SIZE,
     .initial = "64MiB",
     .flags = YD_PARAM_MEMORY,
     .min = 1 << 20,
     .max = (double)(UINT64_C(1) << 40),
     .doc =
         "Kept in memory for readers that are behind; an eighth of it when none is. Further back they read the files."},
    {.name = "queue",
     .type = YD_PARAM_SIZE,
     .initial = "64MiB",
     .flags = YD_PARAM_MEMORY,
     .min = 1 << 20,
     .max = (double)(UINT64_C(1) << 40),
     .doc = "Taken and not yet written: when it is full the senders wait."},
    {.name = "compress",
     .type = YD_PARAM_DURATION,
     .initial = "0s",
     .doc = "Segments older than this are kept compressed only (zstd); their twins are made as they are written. `0s`: "
            "never; `1ns`: as soon as a segment is full."},
    {.name = "level",
     .type = YD_PARAM_INT,
     .initial = "3",
     .min = 1,
     .max = 19,
     .doc = "How hard `compress` tries: zstd's levels."},
    {.name = "index_names",
     .type = YD_PARAM_BOOL,
     .initial = "false",
     .doc =
         "An index from names to records for each full segment, made in the background: `yarder log get` and readers "
         "with a pattern read only what may match."},
    {.name = "hold",
     .type = YD_PARAM_LIST,
     .doc = "Cursors that `keep` and `size` wait for, however old they are and before they were ever saved: "
            "`[\"archive\"]`. Who keeps more than that is said."},
    {.name = "ballast",
     .type = YD_PARAM_SIZE,
     .initial = "0B",
     .flags = YD_PARAM_DISK,
     .doc = "Set aside on the disk and given back when it is full, so that what was begun is ended in order and "
            "retention runs; taken again when there is room for it twice."},
    {.name = "replicas",
     .type = YD_PARAM_INT,
     .initial = "0",
     .max = 15,
     .doc = "What asks for `replicated` waits until so many followers have it durably; `0`: that is `durable`."},
    {.name = "replica_lag",
     .type = YD_PARAM_DURATION,
     .initial = "10s",
     .doc = "A follower that is further behind is not waited for; with too few of them the answer is `durable`."},
    {.name = "cursor_expiry",
     .type = YD_PARAM_DURATION,
     .initial = "7d",
     .doc = "How long a cursor that nobody uses holds back retention."},
    {0}};

static int check(const struct yd_args *args, char *why, size_t why_size)
{
    struct yd_str stream = yd_args_text(args, "stream");
    const struct yd_arg *hold = yd_args_find(args, "hold");
    bool named = !hold || hold->list.count <= HOLD_MAX;
    for (size_t i = 0; hold && named && i < hold->list.count; i++)
        named = hold->list.items[i].type == YD_PARAM_TEXT && hold->list.items[i].text.size > 0;
    if (!named) {
        (void)snprintf(why, why_size, "hold: a list of at most %d names of cursors", HOLD_MAX);
        return YD_EINVAL;
    }
    bool good = stream.size > 0 && stream.size <= 200 && stream.data[0] != '.';
    for (size_t i = 0; i < stream.size && good; i++) {
        char c = stream.data[i];
        good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || memchr("._-", c, 3);
    }
    if (good) return 0;
    (void)snprintf(why, why_size, "a stream's name is letters, digits, `.`, `_` and `-`, not beginning with `.`");
    return YD_EINVAL;
}

static uint64_t random_(void *arg)
{
    return yd_element_random(arg);
}
static int64_t wall(void *arg)
{
    return yd_element_wall(arg);
}

static int open(struct yd_element *element, void *opaque)
{
    struct state *state = opaque;
    const struct yd_args *args = yd_element_args(element);
    const char *stream_name = yd_args_text(args, "stream").data;
    char dir[4096];
    struct yd_trail trail = {0};
    if (snprintf(dir, sizeof dir, "%s/streams/%s/0", yd_element_data(element), stream_name) >= (int)sizeof dir)
        return yd_element_fail(element, YD_ETOOBIG, "the path of the data folder is too long");
    (void)snprintf(state->stream, sizeof state->stream, "%s/0", stream_name);
    const char *hold[HOLD_MAX + 1] = {NULL}; /* the log makes a copy */
    const struct yd_arg *names = yd_args_find(args, "hold");
    for (size_t i = 0; names && i < names->list.count && i < HOLD_MAX; i++) hold[i] = names->list.items[i].text.data;
    struct yd_log_options options = {.fs = yd_element_fs(element),
                                     .dir = dir,
                                     .stream = state->stream,
                                     .random = random_,
                                     .wall = wall,
                                     .clock_arg = element,
                                     .segment_size_max = (uint64_t)yd_args_int(args, "segment"),
                                     .memory_bytes_max = (uint64_t)yd_args_int(args, "tail"),
                                     .queue_bytes_max = (uint64_t)yd_args_int(args, "queue"),
                                     .retain_ns = yd_args_int(args, "keep"),
                                     .retain_bytes = (uint64_t)yd_args_int(args, "size"),
                                     .compress_after_ns = yd_args_int(args, "compress"),
                                     .compress_level = (int)yd_args_int(args, "level"),
                                     .index_names = yd_args_bool(args, "index_names"),
                                     .ballast_bytes = (uint64_t)yd_args_int(args, "ballast"),
                                     .hold = hold,
                                     .replicas = (unsigned)yd_args_int(args, "replicas"),
                                     .replica_lag_ns = yd_args_int(args, "replica_lag"),
                                     .cursor_expiry_ns = yd_args_int(args, "cursor_expiry")};
    state->element = element;
    state->last = &state->first;
    struct yd_layout layout;
    int r = yd_layout_load(yd_element_fs(element), yd_element_data(element), stream_name, &layout);
    if (r < 0 && r != YD_ENOENT)
        return yd_element_fail(element, r, "stream %s: its stream.json cannot be understood", stream_name);
    if (r == 0 && layout.partitions > 1)
        return yd_element_fail(element, YD_EINVAL,
                               "stream %s has %u partitions, a Log writes one: take another name, or serve it by a "
                               "Native alone",
                               stream_name, layout.partitions);
    r = yd_log_open(&options, &state->log, &state->recovery, &trail);
    if (r < 0) return yd_element_fail(element, r, "stream %s: %s", stream_name, yd_trail_text(&trail));
    r = yd_streams_put(yd_element_streams(element), state->stream, state->log);
    return r < 0 ? yd_element_fail(element, r, "stream %s: %s", stream_name, yd_error_text(r)) : 0;
}

static void free_waits(struct waits *waits)
{
    yd_alloc_put(NULL, waits->items, waits->capacity * sizeof *waits->items);
    *waits = (struct waits){0};
}

static void close(void *opaque)
{
    struct state *state = opaque;
    while (state->first) {
        struct pending *pending = state->first;
        state->first = pending->next;
        yd_batch_unref(pending->batch);
        yd_alloc_put(NULL, pending, sizeof *pending);
    }
    state->last = &state->first;
    free_waits(&state->written);
    free_waits(&state->durable);
    free_waits(&state->replicated);
    if (!state->log) return;
    yd_streams_remove(yd_element_streams(state->element), state->stream);
    (void)yd_log_close(state->log); /* what a last flush could not do, recovery finds */
    state->log = NULL;
}

static void *stream(void *opaque)
{
    return ((struct state *)opaque)->log;
}

/* ---- who waits for what ---- */

static bool add_wait(struct waits *waits, uint64_t next, uint64_t hold, unsigned level)
{
    if (waits->count == waits->capacity) {
        size_t capacity = waits->capacity ? waits->capacity * 2 : 64;
        struct wait *items = yd_alloc_get(NULL, capacity * sizeof *items);
        if (!items) return false;
        for (size_t i = 0; i < waits->count; i++) items[i] = waits->items[(waits->first + i) & (waits->capacity - 1)];
        yd_alloc_put(NULL, waits->items, waits->capacity * sizeof *items);
        *waits = (struct waits){items, 0, waits->count, capacity};
    }
    waits->items[(waits->first + waits->count++) & (waits->capacity - 1)] = (struct wait){next, hold, level};
    return true;
}

static void answer_waits(struct waits *waits, uint64_t position, int failed, struct yd_out *out)
{
    while (waits->count) {
        struct wait *wait = &waits->items[waits->first];
        if (wait->next > position && !failed) return;
        bool reached = wait->next <= position;
        yd_release(out, wait->hold, reached ? 0 : failed, reached ? wait->level : 0);
        waits->first = (waits->first + 1) & (waits->capacity - 1);
        waits->count--;
    }
}

static void say_troubles(struct state *state, const struct yd_log_position *position, struct yd_out *out)
{
    if (position->failed && !state->said_failed)
        yd_say(out, 2,
               "a sync failed: this stream takes and acknowledges nothing more. What was acknowledged is safe. Look at "
               "the "
               "device, then start again");
    if (position->no_space && !state->said_no_space)
        yd_say(out, 2, "no space left on the device: %llu KiB wait, nothing is acknowledged until there is room",
               (unsigned long long)(position->queued_bytes >> 10));
    if (!position->no_space && state->said_no_space) yd_say(out, 0, "there is space again: writing goes on");
    bool held = position->held_by[0] != '\0';
    if (held && !state->said_held)
        yd_say(out, 1, "more is kept than `keep` and `size` say: cursor %s has not passed it", position->held_by);
    state->said_held = held;
    state->said_failed = position->failed != 0;
    state->said_no_space = position->no_space;
}

/* What a crash or the disk did to the stream: the loss is counted by readers, its place is said here. */
static void say_recovery(const struct yd_log_recovery *recovery, struct yd_out *out)
{
    if (recovery->torn_bytes)
        yd_say(out, 1, "the end of the stream was torn: %llu bytes, never acknowledged, are in its quarantine/",
               (unsigned long long)recovery->torn_bytes);
    if (recovery->rotten_batches)
        yd_say(out, 1, "%llu batches of the stream are damaged and in its quarantine/; readers are told which",
               (unsigned long long)recovery->rotten_batches);
}

/* Replicas that are too few to wait for: what is durable is all that can be said. Else those that have it answer. */
static void answer_replicated(struct state *state, const struct yd_log_position *position, struct yd_out *out)
{
    struct waits *waits = &state->replicated;
    while (waits->count) {
        struct wait *wait = &waits->items[waits->first];
        bool reached = wait->next <= position->replicated, durable = wait->next <= position->durable;
        bool alone = durable && (position->in_sync < position->replicas || position->deposed);
        if (!reached && !alone && !position->failed) return;
        if (reached)
            yd_release(out, wait->hold, 0, position->replicas ? YD_ACK_REPLICATED : YD_ACK_DURABLE);
        else if (durable)
            yd_release(out, wait->hold, 0, YD_ACK_DURABLE);
        else
            yd_release(out, wait->hold, YD_EREADONLY, 0);
        waits->first = (waits->first + 1) & (waits->capacity - 1);
        waits->count--;
    }
}

static int failure_of(const struct yd_log_position *position)
{
    return position->failed ? YD_EREADONLY : 0;
}

static void look(struct state *state, struct yd_out *out)
{
    struct yd_log_position position;
    yd_log_position(state->log, &position);
    say_troubles(state, &position, out);
    answer_waits(&state->written, position.written, failure_of(&position), out);
    answer_waits(&state->durable, position.durable, failure_of(&position), out);
    answer_replicated(state, &position, out);
}

/* ---- taking ---- */

/* What was appended, or turned out to be there already: answered now or when the stream has got so far. */
static void acknowledge(struct state *state, uint64_t next, uint64_t hold, unsigned level, struct yd_out *out)
{
    struct waits *waits = level >= YD_ACK_REPLICATED ? &state->replicated
                          : level >= YD_ACK_DURABLE  ? &state->durable
                                                     : &state->written;
    if (level <= YD_ACK_MEMORY)
        yd_release(out, hold, 0, YD_ACK_MEMORY);
    else if (!add_wait(waits, next, hold, level))
        yd_release(out, hold, YD_ENOMEM, 0);
}

/* 0: in the log. YD_EFULL, YD_ENOMEM: later. Others: never, and counted. */
static int append(struct state *state, const struct yd_batch *batch, struct yd_log_appended *appended,
                  struct yd_out *out)
{
    uint32_t count = batch->header.count;
    int r = yd_log_append(state->log, batch, -1, UINT64_MAX, appended);
    if (r == YD_EREADONLY) yd_count_dropped(out, REASON_READONLY, count);
    if (r == YD_EEPOCH) yd_count_dropped(out, REASON_EPOCH, count);
    if (r == YD_EGAP) yd_count_dropped(out, REASON_GAP, count);
    if (r == 0 && appended->duplicate) yd_count_folded(out, count);
    return r;
}

static bool put_aside(struct state *state, struct yd_input *input, struct yd_out *out)
{
    struct pending *pending = yd_alloc_get(NULL, sizeof *pending);
    if (!pending) return false;
    *pending = (struct pending){.batch = yd_batch_ref(input->batch), .hold = yd_hold(out), .level = input->level};
    *state->last = pending;
    state->last = &pending->next;
    return true;
}

static enum yd_turn_result take(struct state *state, struct yd_input *input, struct yd_out *out)
{
    struct yd_log_appended appended;
    int r = state->first ? YD_EFULL : append(state, input->batch, &appended, out);
    if (r == YD_EFULL || r == YD_ENOMEM) return put_aside(state, input, out) ? YD_DONE : YD_FAIL;
    if (r < 0) {
        if (input->level) yd_release(out, yd_hold(out), r, 0);
        look(state, out);
        return YD_DONE;
    }
    if (input->level) acknowledge(state, appended.next, yd_hold(out), input->level, out);
    return YD_DONE;
}

/* What had to wait, in its order. Its hold is released in every case: that gives the senders their credit back. */
static void take_pending(struct state *state, struct yd_out *out)
{
    while (state->first) {
        struct pending *pending = state->first;
        struct yd_log_appended appended;
        int r = yd_log_append(state->log, pending->batch, -1, UINT64_MAX, &appended);
        if (r == YD_EFULL || r == YD_ENOMEM) return;
        if (r < 0)
            yd_release(out, pending->hold, r, 0);
        else
            acknowledge(state, appended.next, pending->hold, pending->level ? pending->level : YD_ACK_MEMORY, out);
        state->first = pending->next;
        if (!state->first) state->last = &state->first;
        yd_batch_unref(pending->batch);
        yd_alloc_put(NULL, pending, sizeof *pending);
    }
}

/* ---- being asked ---- */

static enum yd_turn_result answer(struct state *state, struct yd_input *input, struct yd_out *out)
{
    const struct yd_view *view = &input->batch->view;
    const struct yd_cell *op = view->count == 1 && view->records[0].type == YD_MAP
                                   ? yd_view_find(view, view->records[0].value, YD_STR("op"))
                                   : NULL;
    if (!op || op->type != YD_TEXT || !yd_str_eq(yd_view_bytes(view, op->value), YD_STR("positions"))) {
        (void)yd_reply_error(out, 0, YD_EINVAL, "a log answers the op `positions`"); /* the asker may have gone */
        return YD_DONE;
    }
    struct yd_log_position at;
    yd_log_position(state->log, &at);
    const struct {
        const char *key;
        uint64_t value;
    } numbers[] = {{"first", at.first},       {"memory", at.memory},       {"written", at.written},
                   {"durable", at.durable},   {"epoch", at.epoch},         {"bytes", at.bytes},
                   {"segments", at.segments}, {"queued", at.queued_bytes}, {"failed", at.failed != 0},
                   {"no_space", at.no_space}};
    struct yd_builder *builder;
    struct yd_batch *batch = NULL;
    uint32_t name;
    int r = yd_builder_create(NULL, &builder);
    if (r == 0) {
        r = yd_builder_name(builder, YD_STR("positions"), &name);
        if (r == 0) r = yd_builder_begin(builder, input->wall_ns, name, YD_ROW, 0, YD_MAP);
        for (size_t i = 0; i < YD_COUNT(numbers) && r == 0; i++)
            r = yd_builder_cell(builder, yd_str_of(numbers[i].key), YD_U64, (union yd_value){.u64 = numbers[i].value});
        if (r == 0) r = yd_builder_end(builder);
        if (r == 0) r = yd_builder_seal(builder, &batch);
        yd_builder_destroy(builder);
    }
    if (r < 0)
        (void)yd_reply_error(out, 0, r, "%s", yd_error_text(r)); /* the asker may have gone */
    else
        (void)yd_reply(out, 0, batch, false); /* as above */
    return YD_DONE;
}

static enum yd_turn_result receive(void *opaque, struct yd_input *input, struct yd_out *out)
{
    struct state *state = opaque;
    switch (input->type) {
    case YD_INPUT_START:
        say_recovery(&state->recovery, out);
        return YD_DONE;
    case YD_INPUT_BATCH:
        return take(state, input, out);
    case YD_INPUT_MOVED:
        take_pending(state, out);
        look(state, out);
        return YD_DONE;
    case YD_INPUT_QUERY:
        return answer(state, input, out);
    default:
        return YD_DONE;
    }
}

const struct yd_element_class yd_class_log = {
    .abi = YD_ELEMENT_ABI,
    .name = "Log",
    .summary = "keeps a stream on disk, durably, and gives it out again by cursors",
    .doc = "What comes in is numbered, written and synced; everything that arrives during one sync shares the next. "
           "Every wire\n"
           "out is a cursor: a reader that is slow or away delays nobody and goes on where it was.\n\n"
           "- A range that a producer sends again is written once.\n"
           "- A failed sync is final: the stream acknowledges nothing more until the next start, and says so.\n"
           "- A full disk is not: what comes waits, senders are held back, queries go on; when there is room, writing "
           "does.\n"
           "- `keep` and `size` remove whole segments that no used cursor needs.\n",
    .example = "graphite -> metrics :: Log(stream: \"metrics\", keep: 30d, size: 10GiB) -> history\n"
               "metrics -[cursor: \"archive\", from: oldest]-> File(path: \"archive.jsonl\")\n",
    .ports = ports,
    .params = params,
    .reasons = reasons,
    .state_size = sizeof(struct state),
    .check = check,
    .open = open,
    .close = close,
    .receive = receive,
    .stream = stream,
};
