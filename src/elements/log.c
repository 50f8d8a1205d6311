/* Log: batches into a stream on disk, and out of it again by cursors.
 *
 *   BATCH --> split by name, where there are several partitions --> yd_log_append: in memory, stamped
 *                                  full: kept here, held; the wire's credit is not given back, so the senders stop
 *         --> MOVED: written, durable in each that has a part --> the tickets that asked are answered
 *
 * The runtime runs the logs' threads, reads their cursors and gives MOVED; this half decides what an acknowledgement is
 * worth (log_part.c, for each partition). A failed sync is final: what comes after is dropped by that reason, and its
 * askers are told. No space is not: what does not fit waits, and the operator is told. */
#include <stdio.h>

#include "base/hash.h"
#include "base/text.h"
#include "elements/classes.h"
#include "elements/log_part.h"
#include "flow/run.h"
#include "io/file.h"
#include "io/loop.h"
#include "log/layout.h"

#define HOLD_MAX  64
#define SHARE_MIN (UINT64_C(1) << 20) /* of memory that partitions divide: never less for one */

enum { INPUT = YD__LOG_INPUT, OUTPUT, QUERY };

struct state {
    struct yd_element *element;
    struct yd__log_part *parts;
    unsigned count;
    enum yd_layout_by by;
};

static const char *const reasons[] = {[YD__LOG_READONLY] = "stream read-only after a failed sync",
                                      [YD__LOG_EPOCH] = "from a producer's older life",
                                      [YD__LOG_GAP] = "producer's range has a gap",
                                      [YD__LOG_DUPLICATE] = "sent again, written before",
                                      [YD__LOG_MEMORY] = "out of memory",
                                      NULL};

static const char *const by_words[] = {"name", "producer", NULL};

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
     .doc =
         "Answers `positions`: a row for each partition of what is first, written, durable, and how much is on disk."},
    {0}};

static const struct yd_param_class params[] = {
    {.name = "stream",
     .type = YD_PARAM_TEXT,
     .flags = YD_PARAM_REQUIRED | YD_PARAM_STREAM,
     .doc = "The stream's name: its folder is `DATA/streams/NAME`, with one for each partition in it."},
    {.name = "partitions",
     .type = YD_PARAM_INT,
     .min = 1,
     .max = YD_PARTITIONS_MAX,
     .doc =
         "How many logs side by side, written and synced by a thread each. Not given: as the stream was made, one for "
         "a new stream. It cannot be changed later."},
    {.name = "by",
     .type = YD_PARAM_TEXT,
     .oneof = by_words,
     .doc = "What chooses the partition: `name` (the order of each name is kept) or `producer` (the order of each wire "
            "is). Not given: as the stream was made, `name` for a new stream."},
    {.name = "keep",
     .type = YD_PARAM_DURATION,
     .initial = "0s",
     .max = 9.2e18,
     .doc = "Whole segments older than this go, by the time they were written; `0s`: kept for ever."},
    {.name = "size",
     .type = YD_PARAM_SIZE,
     .initial = "0B",
     .flags = YD_PARAM_DISK,
     .max = 1e18,
     .doc = "At most so much on disk, all partitions together: the oldest segments go; `0B`: no limit."},
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
     .max = 9.2e18,
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
     .max = 1e18,
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
     .max = 9.2e18,
     .doc = "A follower that is further behind is not waited for; with too few of them the answer is `durable`."},
    {.name = "cursor_expiry",
     .type = YD_PARAM_DURATION,
     .initial = "7d",
     .max = 9.2e18,
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

/* ---- opening ---- */

static uint64_t random_(void *arg)
{
    return yd_element_random(arg);
}
static int64_t wall(void *arg)
{
    return yd_element_wall(arg);
}
static int64_t mono(void *arg)
{
    (void)arg;
    return yd_clock_mono();
}

static int partition_path(struct yd_element *element, const char *name, unsigned partition, char path[4096])
{
    int size = snprintf(path, 4096, "%s/streams/%s/%u", yd_element_data(element), name, partition);
    return size < 4096 ? 0 : yd_element_fail(element, YD_ETOOBIG, "the path of the data folder is too long");
}

/* Folders of partitions: what there is of a stream that nobody has described. */
static int count_folders(struct yd_element *element, const char *name, unsigned *ret)
{
    char path[4096];
    struct yd_stat stat;
    for (*ret = 0; *ret <= YD_PARTITIONS_MAX; ++*ret) {
        int r = partition_path(element, name, *ret, path);
        if (r < 0) return r;
        r = yd_fs_stat(yd_element_fs(element), path, &stat);
        if (r < 0) return r == YD_ENOENT ? 0 : yd_element_fail(element, r, "%s: %s", path, yd_error_text(r));
    }
    return 0;
}

/* A stream that has no stream.json: it is new, or has one partition, or came from elsewhere by its folders alone. */
static int lay_out(struct yd_element *element, const char *name, struct yd_layout *layout)
{
    unsigned found;
    int r = count_folders(element, name, &found);
    if (r < 0) return r;
    if (layout->partitions == 0 && found > 1)
        return yd_element_fail(element, YD_EINVAL,
                               "stream %s has the folders of %u partitions, and nothing says by what they were chosen: "
                               "write partitions: %u, by: name (or by: producer)",
                               name, found, found);
    if (layout->partitions == 0) layout->partitions = 1;
    if (found && found != layout->partitions)
        return yd_element_fail(
            element, YD_EINVAL,
            "stream %s has %u partition%s, not %u: names would move to others. Write partitions: %u, "
            "or take another stream's name",
            name, found, found > 1 ? "s" : "", layout->partitions, found);
    if (layout->partitions == 1) return 0; /* as a stream is that nobody has described */
    r = yd_layout_save(yd_element_fs(element), yd_element_data(element), name, layout);
    return r < 0 ? yd_element_fail(element, r, "stream %s: stream.json: %s", name, yd_error_text(r)) : 0;
}

/* How many partitions and by what: as it was made, if it was; what the topology says must agree with it. */
static int agree(struct yd_element *element, const char *name, struct yd_layout *ret)
{
    const struct yd_args *args = yd_element_args(element);
    struct yd_str by = yd_args_text(args, "by");
    struct yd_layout asked = {.partitions = (uint32_t)yd_args_int(args, "partitions"),
                              .by = yd_str_eq(by, YD_STR("producer")) ? YD_LAYOUT_BY_PRODUCER : YD_LAYOUT_BY_NAME};
    int r = yd_layout_load(yd_element_fs(element), yd_element_data(element), name, ret);
    if (r == YD_ENOENT) {
        *ret = asked;
        return lay_out(element, name, ret);
    }
    if (r < 0) return yd_element_fail(element, r, "stream %s: its stream.json cannot be understood", name);
    if (asked.partitions && asked.partitions != ret->partitions)
        return yd_element_fail(element, YD_EINVAL,
                               "stream %s was made with %u partition%s, not %u: names would move to others. Write "
                               "partitions: %u or leave it out, or take another stream's name",
                               name, ret->partitions, ret->partitions > 1 ? "s" : "", asked.partitions,
                               ret->partitions);
    if (by.size && ret->partitions > 1 && asked.by != ret->by)
        return yd_element_fail(
            element, YD_EINVAL,
            "stream %s was made with partitions by %s: write by: %s or leave it out, or take another "
            "stream's name",
            name, yd_layout_by_name(ret->by), yd_layout_by_name(ret->by));
    if (ret->partitions > YD_PARTITIONS_MAX)
        return yd_element_fail(
            element, YD_EINVAL,
            "stream %s has %u partitions, a Log writes up to %d: take another name, or serve it by a "
            "Native alone",
            name, ret->partitions, YD_PARTITIONS_MAX);
    return 0;
}

/* What all partitions have together, divided. */
static uint64_t divided(const struct state *state, const char *param, uint64_t least)
{
    uint64_t whole = (uint64_t)yd_args_int(yd_element_args(state->element), param);
    return whole ? YD_MAX(whole / state->count, least) : 0;
}

static int open_part(struct state *state, unsigned index, const char *name, const char *const *hold)
{
    struct yd_element *element = state->element;
    struct yd__log_part *part = &state->parts[index];
    const struct yd_args *args = yd_element_args(element);
    char dir[4096];
    struct yd_trail trail = {0};
    int r = partition_path(element, name, index, dir);
    if (r < 0) return r;
    part->last = &part->first;
    (void)snprintf(part->stream, sizeof part->stream, "%s/%u", name, index);
    (void)snprintf(part->called, sizeof part->called, state->count > 1 ? "partition %u" : "this stream", index);
    struct yd_log_options options = {.fs = yd_element_fs(element),
                                     .dir = dir,
                                     .stream = part->stream,
                                     .random = random_,
                                     .wall = wall,
                                     .mono = yd_element_simulated(element) ? NULL : mono,
                                     .clock_arg = element,
                                     .segment_size_max = (uint64_t)yd_args_int(args, "segment"),
                                     .memory_bytes_max = divided(state, "tail", SHARE_MIN),
                                     .queue_bytes_max = divided(state, "queue", SHARE_MIN),
                                     .retain_ns = yd_args_int(args, "keep"),
                                     .retain_bytes = divided(state, "size", 1),
                                     .compress_after_ns = yd_args_int(args, "compress"),
                                     .compress_level = (int)yd_args_int(args, "level"),
                                     .index_names = yd_args_bool(args, "index_names"),
                                     .ballast_bytes = divided(state, "ballast", 1),
                                     .hold = hold,
                                     .replicas = (unsigned)yd_args_int(args, "replicas"),
                                     .replica_lag_ns = yd_args_int(args, "replica_lag"),
                                     .cursor_expiry_ns = yd_args_int(args, "cursor_expiry")};
    r = yd_log_open(&options, &part->log, &part->recovery, &trail);
    if (r < 0) return yd_element_fail(element, r, "stream %s: %s", part->stream, yd_trail_text(&trail));
    r = yd_streams_put(yd_element_streams(element), part->stream, part->log);
    return r < 0 ? yd_element_fail(element, r, "stream %s: %s", part->stream, yd_error_text(r)) : 0;
}

static void close(void *opaque)
{
    struct state *state = opaque;
    for (unsigned i = 0; i < state->count; i++) {
        struct yd__log_part *part = &state->parts[i];
        yd__log_part_close(part);
        if (!part->log) continue;
        yd_streams_remove(yd_element_streams(state->element), part->stream);
        (void)yd_log_close(part->log); /* what a last flush could not do, recovery finds */
    }
    yd_alloc_put(NULL, state->parts, state->count * sizeof *state->parts);
    state->parts = NULL;
    state->count = 0;
}

static int open(struct yd_element *element, void *opaque)
{
    struct state *state = opaque;
    const struct yd_args *args = yd_element_args(element);
    const char *name = yd_args_text(args, "stream").data;
    struct yd_layout layout;
    state->element = element;
    int r = agree(element, name, &layout);
    if (r < 0) return r;
    state->by = layout.by;
    state->parts = yd_alloc_zero(NULL, layout.partitions * sizeof *state->parts);
    if (!state->parts) return YD_ENOMEM;
    state->count = layout.partitions;
    const char *hold[HOLD_MAX + 1] = {NULL}; /* the log makes a copy */
    const struct yd_arg *names = yd_args_find(args, "hold");
    for (size_t i = 0; names && i < names->list.count && i < HOLD_MAX; i++) hold[i] = names->list.items[i].text.data;
    for (unsigned i = 0; i < state->count && r == 0; i++) r = open_part(state, i, name, hold);
    if (r < 0) close(state);
    return r;
}

static void *stream(void *opaque, unsigned partition)
{
    const struct state *state = opaque;
    return partition < state->count ? state->parts[partition].log : NULL;
}

/* ---- taking ---- */

static uint32_t tombstones_in(const struct yd_view *view)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < view->name_count; i++) {
        if (!yd_str_eq(yd_view_name(view, i), YD_STR("yarder.tombstone"))) continue;
        for (uint32_t k = 0; k < view->count; k++) count += view->records[k].name == i;
    }
    return count;
}

/* By producer all of it goes into one partition; but tombstones into each, as they may cover names in any. */
static int split_by_producer(struct yd_batch *batch, unsigned to, unsigned count, struct yd_batch **split)
{
    const struct yd_view *view = &batch->view;
    struct yd_batch *stones = NULL;
    memset(split, 0, count * sizeof *split);
    if (batch->header.kinds & YD_KIND_BIT(YD_ROW)) {
        uint8_t *keep = yd_alloc_zero(NULL, view->count);
        if (!keep) return YD_ENOMEM;
        for (uint32_t i = 0; i < view->count; i++)
            keep[i] = view->records[i].kind == YD_ROW &&
                      yd_str_eq(yd_view_name(view, view->records[i].name), YD_STR("yarder.tombstone"));
        int error = yd_batch_select(batch, keep, &stones);
        yd_alloc_put(NULL, keep, view->count);
        if (error < 0 && error != YD_EAGAIN) return error;
    }
    for (unsigned i = 0; i < count; i++) {
        split[i] = i == to ? batch : stones;
        if (split[i]) (void)yd_batch_ref(split[i]);
    }
    yd_batch_unref(stones);
    return 0;
}

static enum yd_turn_result take_split(struct state *state, struct yd_input *input, struct yd_out *out)
{
    struct yd_batch *split[YD_PARTITIONS_MAX];
    unsigned parts = 0;
    const bool by_name = state->by == YD_LAYOUT_BY_NAME;
    const unsigned home =
        yd_partition_of(by_name ? yd_hash_str(YD_STR("yarder.tombstone")) : yd_hash_id(input->from), state->count);
    const bool stones = tombstones_in(&input->batch->view) > 0;
    int error = by_name ? yd_batch_split(input->batch, state->count, split)
                        : split_by_producer(input->batch, home, state->count, split);
    if (error < 0) return YD_FAIL;
    struct yd__log_debt debt = {
        .hold = input->level ? yd_hold(out) : 0, .level = input->level, .born_ns = input->born_ns};
    for (unsigned i = 0; i < state->count; i++) parts += split[i] != NULL;
    if (parts > 1) {
        debt.share = yd_alloc_zero(NULL, sizeof *debt.share);
        if (debt.share) debt.share->left = parts;
    }
    bool good = parts == 1 || debt.share;
    for (unsigned i = 0; i < state->count; i++) {
        if (!split[i]) continue;
        debt.copies = stones && i != home ? tombstones_in(&split[i]->view) : 0;
        if (good) yd__log_part_take(&state->parts[i], split[i], debt, out);
        yd_batch_unref(split[i]);
    }
    return good ? YD_DONE : YD_FAIL;
}

static enum yd_turn_result take(struct state *state, struct yd_input *input, struct yd_out *out)
{
    if (state->count > 1) return take_split(state, input, out);
    struct yd__log_debt debt = {
        .hold = input->level ? yd_hold(out) : 0, .level = input->level, .born_ns = input->born_ns};
    yd__log_part_take(&state->parts[0], input->batch, debt, out);
    return YD_DONE;
}

/* ---- being asked ---- */

static int add_positions(struct yd_builder *builder, const struct state *state, unsigned partition, int64_t wall_ns)
{
    struct yd_log_position at;
    yd_log_position(state->parts[partition].log, &at);
    const struct {
        const char *key;
        uint64_t value;
    } numbers[] = {{"partition", partition},   {"first", at.first},       {"memory", at.memory},
                   {"written", at.written},    {"durable", at.durable},   {"epoch", at.epoch},
                   {"bytes", at.bytes},        {"segments", at.segments}, {"queued", at.queued_bytes},
                   {"failed", at.failed != 0}, {"no_space", at.no_space}};
    uint32_t name;
    int r = yd_builder_name(builder, YD_STR("positions"), &name);
    if (r == 0) r = yd_builder_begin(builder, wall_ns, name, YD_ROW, 0, YD_MAP);
    for (size_t i = state->count == 1; i < YD_COUNT(numbers) && r == 0; i++)
        r = yd_builder_cell(builder, yd_str_of(numbers[i].key), YD_U64, (union yd_value){.u64 = numbers[i].value});
    return r < 0 ? r : yd_builder_end(builder);
}

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
    struct yd_builder *builder;
    struct yd_batch *batch = NULL;
    int r = yd_builder_create(NULL, &builder);
    if (r == 0) {
        for (unsigned i = 0; i < state->count && r == 0; i++) r = add_positions(builder, state, i, input->wall_ns);
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
        for (unsigned i = 0; i < state->count; i++) yd__log_part_say_recovery(&state->parts[i], out);
        return YD_DONE;
    case YD_INPUT_BATCH:
        return take(state, input, out);
    case YD_INPUT_MOVED:
        for (unsigned i = 0; i < state->count; i++) yd__log_part_moved(&state->parts[i], out);
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
    .doc =
        "What comes in is numbered, written and synced; everything that arrives during one sync shares the next. "
        "Every wire\n"
        "out is a cursor: a reader that is slow or away delays nobody and goes on where it was.\n\n"
        "- A range that a producer sends again is written once.\n"
        "- A failed sync is final: the stream acknowledges nothing more until the next start, and says so.\n"
        "- A full disk is not: what comes waits, senders are held back, queries go on; when there is room, writing "
        "does.\n"
        "- `keep` and `size` remove whole segments that no used cursor needs.\n"
        "- With `partitions` the stream is several logs side by side, each with an order, a thread and syncs of its\n"
        "  own. A record goes where the hash of its name says (or all of a wire, `by: producer`); `yarder log "
        "create`,\n"
        "  clients and `log append` choose alike. A wire out of it reads all of them, each in its order, and keeps a\n"
        "  position in each. `size`, `tail`, `queue` and `ballast` are for all partitions together.\n",
    .example = "graphite -> metrics :: Log(stream: \"metrics\", keep: 30d, size: 10GiB) -> history\n"
               "metrics -[cursor: \"archive\", from: oldest]-> File(path: \"archive.jsonl\")\n",
    .ports = ports,
    .params = params,
    .reasons = reasons,
    .flags = YD_CLASS_LATE,
    .state_size = sizeof(struct state),
    .check = check,
    .open = open,
    .close = close,
    .receive = receive,
    .stream = stream,
};
