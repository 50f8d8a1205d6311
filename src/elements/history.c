/* History: folds samples into columns and answers questions about them (ask.h).
 *
 * Both come in slices of about a millisecond, taken in turn by the runtime, so a long query does not stop the stream,
 * nor a burst the queries. Nothing is kept on disk: the stream before it is its memory, read again from the oldest on
 * after a start (YD_CLASS_REBUILDS).
 * What can fail: memory (new series are refused at the cap, and counted), and questions, each with a reason. */
#include <stdio.h>

#include "elements/ask.h"
#include "elements/classes.h"

enum { INPUT, QUERY };
enum { REASON_SERIES, REASON_MEMORY, REASON_LATE };

#define RUNS_MAX     256
#define FORGOTTEN_NS (60 * YD_NS_PER_S) /* a run that nobody called for so long: its asker has gone */
#define ANSWERS      8192               /* records of an answer that is no series: per turn */

/* A series query between two of its slices. */
struct running {
    uint64_t handle;
    struct yd_query_run *run;
    struct yd_arena arena;
    int64_t last_ns;
};

struct state {
    struct yd_element *element;
    struct yd_history *history;
    uint32_t folded; /* of the batch at hand */
    struct running running[RUNS_MAX];
    unsigned count;
};

static const char *const reasons[] = {"new series refused: memory or series limit", "not stored: out of memory",
                                      "older than `keep`", NULL};

static const struct yd_port_class ports[] = {
    {.name = "input",
     .direction = YD_IN,
     .mode = YD_PUSH,
     .kinds = YD_KINDS_ALL,
     .needs = YD_KINDS_NUMERIC,
     .doc = "Samples, tallies and deltas with numbers. Other records are passed over, and counted as folded."},
    {.name = "query",
     .direction = YD_IN,
     .mode = YD_QUERY,
     .schema = "series",
     .doc = "Answers `series`, `suggest`, `lookup`, `last` and `counts`."},
    {0}};

static const struct yd_param_class params[] = {
    {.name = "keep",
     .type = YD_PARAM_DURATION,
     .initial = "0s",
     .doc = "How long samples are kept, by their time against the newest of all; `0s`: as long as memory lasts."},
    {.name = "memory",
     .type = YD_PARAM_SIZE,
     .initial = "512MiB",
     .flags = YD_PARAM_MEMORY,
     .min = 1 << 20,
     .max = (double)(UINT64_C(1) << 46),
     .doc = "Columns, names and index together. When full, the oldest samples go, and new series are refused."},
    {.name = "series",
     .type = YD_PARAM_INT,
     .initial = "0",
     .min = 0,
     .max = 1e12,
     .doc = "At most so many series; more are refused, those that are there go on. `0`: no limit but memory."},
    {0}};

static int open(struct yd_element *element, void *opaque)
{
    struct state *state = opaque;
    const struct yd_args *args = yd_element_args(element);
    struct yd_history_options options = {.memory_max = (uint64_t)yd_args_int(args, "memory"),
                                         .series_max = (uint64_t)yd_args_int(args, "series"),
                                         .keep_ns = yd_args_int(args, "keep")};
    state->element = element;
    int r = yd_history_create(&options, &state->history);
    return r < 0 ? yd_element_fail(element, r, "no memory for a history: %s", yd_error_text(r)) : 0;
}

static void forget_run(struct state *state, unsigned i)
{
    yd_query_destroy(state->running[i].run);
    yd_arena_fini(&state->running[i].arena);
    state->running[i] = state->running[--state->count];
}

static void close(void *opaque)
{
    struct state *state = opaque;
    while (state->count) forget_run(state, 0);
    yd_history_destroy(state->history);
    state->history = NULL;
}

/* ---- folding ---- */

static enum yd_turn_result fold(struct state *state, struct yd_input *input, struct yd_out *out)
{
    struct yd_history_counts before, after;
    uint32_t from = input->again ? state->folded : 0, done = from;
    yd_history_counts(state->history, &before);
    int r = yd_history_fold(state->history, input->batch, from, &done);
    if (r < 0) { /* out of memory, or a batch that nobody can read: the rest of it is not stored, and said */
        yd_count_rejected(out, REASON_MEMORY, input->batch->header.count - done, YD_STR(""));
        yd_say(out, 2, "records not stored: %s", yd_error_text(r));
        done = input->batch->header.count;
    }
    yd_history_counts(state->history, &after);
    if (after.refused_series > before.refused_series)
        yd_say(out, 1, "new series are refused: %llu series in %llu MiB are the limit (`memory`, `series`)",
               (unsigned long long)after.series, (unsigned long long)(after.memory_bytes >> 20));
    if (after.refused_samples > before.refused_samples)
        yd_count_rejected(out, REASON_SERIES, after.refused_samples - before.refused_samples, YD_STR(""));
    if (after.late > before.late) yd_count_dropped(out, REASON_LATE, after.late - before.late);
    if (after.ignored > before.ignored) yd_count_folded(out, after.ignored - before.ignored);
    state->folded = done;
    return done < input->batch->header.count ? YD_MORE : YD_DONE;
}

/* ---- answering ---- */

static enum yd_turn_result refuse(struct yd_out *out, int error, const struct yd_trail *trail)
{
    const char *text = yd_trail_text(trail);
    (void)yd_reply_error(out, 0, error, "%s", *text ? text : yd_error_text(error)); /* the asker may have gone */
    return YD_DONE;
}

static struct running *find_run(struct state *state, uint64_t handle)
{
    for (unsigned i = 0; i < state->count; i++)
        if (state->running[i].handle == handle) return &state->running[i];
    return NULL;
}

/* Askers that have gone do not say so: what nobody called for a while is theirs. */
static void sweep(struct state *state, int64_t now_ns)
{
    for (unsigned i = state->count; i-- > 0;)
        if (now_ns - state->running[i].last_ns > FORGOTTEN_NS) forget_run(state, i);
}

static enum yd_turn_result step(struct state *state, struct running *running, struct yd_input *input,
                                struct yd_out *out)
{
    struct yd_trail trail = {0};
    struct yd_batch *batch = NULL;
    running->last_ns = input->mono_ns;
    int r = yd_query_step(running->run, &batch, &trail);
    if (r > 0) {
        if (!batch) return YD_MORE;
        if (yd_reply(out, 0, batch, true) != YD_ENOENT) return YD_MORE;
    }
    forget_run(state, (unsigned)(running - state->running));
    if (r < 0) return refuse(out, r, &trail);
    if (r == 0) (void)yd_reply(out, 0, batch, false); /* the asker may have gone */
    return YD_DONE;
}

static enum yd_turn_result start(struct state *state, struct yd_ask *ask, struct yd_arena *arena,
                                 struct yd_input *input, struct yd_out *out)
{
    struct yd_trail trail = {0};
    sweep(state, input->mono_ns);
    if (state->count == RUNS_MAX) {
        (void)yd_reply_error(out, 0, YD_EBUSY, "%u queries are running: try again later", RUNS_MAX);
        yd_arena_fini(arena);
        return YD_DONE;
    }
    struct running *running = &state->running[state->count];
    *running = (struct running){.handle = input->cookie, .arena = *arena, .last_ns = input->mono_ns};
    int r = yd_query_start(state->history, &ask->series, &running->run, &trail);
    if (r < 0) {
        yd_arena_fini(&running->arena);
        return refuse(out, r, &trail);
    }
    state->count++;
    yd_timer_at(out, 0, input->mono_ns + FORGOTTEN_NS + YD_NS_PER_S);
    return step(state, running, input, out);
}

/* Answers that are short: built at once, sent when a batch is full. */
struct answer {
    struct yd_builder *builder;
    struct yd_out *out;
    int error;
};

static void keep_error(struct answer *answer, int r)
{
    if (answer->error == 0 && r < 0) answer->error = r;
}

static void send(struct answer *answer, bool more)
{
    struct yd_batch *batch = NULL;
    int r = yd_builder_seal(answer->builder, &batch);
    if (r < 0 && r != YD_EAGAIN) keep_error(answer, r);
    if (answer->error == 0 && (batch || !more)) {
        (void)yd_reply(answer->out, 0, batch, more); /* the asker may have gone */
        batch = NULL;
    }
    yd_batch_unref(batch);
}

static bool full(struct answer *answer, int r)
{
    if (r == YD_EFULL && yd_builder_count(answer->builder)) {
        send(answer, true);
        return true;
    }
    keep_error(answer, r);
    return false;
}

static int add_scalar(struct yd_builder *builder, struct yd_str name, int64_t time_ns, enum yd_kind kind,
                      enum yd_type type, union yd_value value)
{
    uint32_t index;
    int r = yd_builder_name(builder, name, &index);
    return r < 0 ? r : yd_builder_add(builder, time_ns, index, kind, type, 0, value);
}

static int add_text(struct yd_builder *builder, struct yd_str text)
{
    uint32_t index;
    int r = yd_builder_name(builder, YD_STR("suggest"), &index);
    return r < 0 ? r : yd_builder_add_bytes(builder, 0, index, YD_FACT, YD_TEXT, 0, text);
}

static void on_suggest(void *arg, struct yd_str text)
{
    struct answer *answer = arg;
    if (full(answer, add_text(answer->builder, text))) keep_error(answer, add_text(answer->builder, text));
}

static void on_lookup(void *arg, struct yd_str name)
{
    struct answer *answer = arg;
    union yd_value none = {0};
    if (full(answer, add_scalar(answer->builder, name, 0, YD_FACT, YD_NIL, none)))
        keep_error(answer, add_scalar(answer->builder, name, 0, YD_FACT, YD_NIL, none));
}

static void on_last(void *arg, struct yd_str name, int64_t time_ns, enum yd_type type, union yd_value value)
{
    struct answer *answer = arg;
    if (full(answer, add_scalar(answer->builder, name, time_ns, YD_SAMPLE, type, value)))
        keep_error(answer, add_scalar(answer->builder, name, time_ns, YD_SAMPLE, type, value));
}

struct number {
    const char *key;
    int64_t value;
};

static void add_numbers(struct answer *answer, const char *name, const struct number *numbers, size_t count)
{
    uint32_t index;
    if (yd_builder_size(answer->builder) > (UINT32_C(512) << 10)) send(answer, true);
    keep_error(answer, yd_builder_name(answer->builder, yd_str_of(name), &index));
    if (answer->error == 0) keep_error(answer, yd_builder_begin(answer->builder, 0, index, YD_ROW, 0, YD_MAP));
    for (size_t i = 0; i < count && answer->error == 0; i++)
        keep_error(answer, yd_builder_cell(answer->builder, yd_str_of(numbers[i].key), YD_I64,
                                           (union yd_value){.i64 = numbers[i].value}));
    if (answer->error == 0) keep_error(answer, yd_builder_end(answer->builder));
}

static void answer_counts(struct state *state, struct answer *answer)
{
    struct yd_history_counts counts;
    yd_history_counts(state->history, &counts);
    const struct number numbers[] = {{"stored", (int64_t)counts.stored},
                                     {"duplicate", (int64_t)counts.duplicate},
                                     {"refused_series", (int64_t)counts.refused_series},
                                     {"refused_samples", (int64_t)counts.refused_samples},
                                     {"late", (int64_t)counts.late},
                                     {"ignored", (int64_t)counts.ignored},
                                     {"evicted_samples", (int64_t)counts.evicted_samples},
                                     {"series", (int64_t)counts.series},
                                     {"chunks", (int64_t)counts.chunks},
                                     {"memory_bytes", (int64_t)counts.memory_bytes},
                                     {"time_min", counts.time_min},
                                     {"time_max", counts.time_max}};
    add_numbers(answer, "counts", numbers, YD_COUNT(numbers));
}

static void answer_last(struct state *state, const struct yd_ask *ask, struct answer *answer)
{
    struct yd_pattern *pattern;
    int r = yd_pattern_compile(ask->text, &pattern);
    if (r == 0) {
        r = yd_history_last(state->history, pattern, ask->max ? ask->max : ANSWERS, on_last, answer);
        yd_pattern_destroy(pattern);
    }
    keep_error(answer, r);
}

static void answer_lookup(struct state *state, const struct yd_ask *ask, struct answer *answer)
{
    uint64_t total = 0;
    keep_error(answer,
               yd_history_lookup(state->history, ask->series.metric, ask->series.filters, ask->series.filter_count,
                                 ask->max ? ask->max : ANSWERS, on_lookup, answer, &total));
    const struct number number = {"total", (int64_t)total};
    if (answer->error == 0) add_numbers(answer, "lookup", &number, 1);
}

static enum yd_turn_result answer_short(struct state *state, const struct yd_ask *ask, struct yd_out *out)
{
    struct answer answer = {.out = out};
    answer.error = yd_builder_create(NULL, &answer.builder);
    if (answer.error < 0) return refuse(out, answer.error, NULL);
    if (ask->op == YD_ASK_SUGGEST)
        keep_error(&answer, yd_history_suggest(state->history, ask->what, ask->text,
                                               ask->max && ask->max < UINT32_MAX ? (uint32_t)ask->max : 25, on_suggest,
                                               &answer));
    if (ask->op == YD_ASK_LOOKUP) answer_lookup(state, ask, &answer);
    if (ask->op == YD_ASK_LAST) answer_last(state, ask, &answer);
    if (ask->op == YD_ASK_COUNTS) answer_counts(state, &answer);
    if (answer.error == 0) send(&answer, false);
    yd_builder_destroy(answer.builder);
    return answer.error < 0 ? refuse(out, answer.error, NULL) : YD_DONE;
}

static enum yd_turn_result answer(struct state *state, struct yd_input *input, struct yd_out *out)
{
    if (input->again) {
        struct running *running = find_run(state, input->cookie);
        if (running) return step(state, running, input, out);
        (void)yd_reply_error(out, 0, YD_ETIMEOUT, "the query lay too long unread"); /* the asker may have gone */
        return YD_DONE;
    }
    struct yd_arena arena;
    struct yd_trail trail = {0};
    struct yd_ask ask;
    yd_arena_init(&arena, NULL);
    int r = yd_ask_decode(input->batch, &arena, &ask, &trail);
    if (r == 0 && ask.op == YD_ASK_SERIES) return start(state, &ask, &arena, input, out);
    enum yd_turn_result result = r < 0 ? refuse(out, r, &trail) : answer_short(state, &ask, out);
    yd_arena_fini(&arena);
    return result;
}

static enum yd_turn_result receive(void *opaque, struct yd_input *input, struct yd_out *out)
{
    struct state *state = opaque;
    switch (input->type) {
    case YD_INPUT_BATCH:
        return fold(state, input, out);
    case YD_INPUT_QUERY:
        return answer(state, input, out);
    case YD_INPUT_TIMER:
        sweep(state, input->mono_ns);
        if (state->count) yd_timer_at(out, 0, input->mono_ns + FORGOTTEN_NS + YD_NS_PER_S);
        return YD_DONE;
    default:
        return YD_DONE;
    }
}

const struct yd_element_class yd_class_history = {
    .abi = YD_ELEMENT_ABI,
    .flags = YD_CLASS_REBUILDS,
    .name = "History",
    .summary = "keeps samples in compressed columns in memory and answers questions about them",
    .doc = "The past of every series, for Grafana and for other elements. It lives in memory, under a cap, and is read "
           "again\n"
           "from its stream at every start: put a `Log` before it.\n\n"
           "- Samples may come late and in any order; of two with the same time the later one counts.\n"
           "- At the cap the oldest samples of all go, and *new* series are refused and counted; known ones keep "
           "flowing.\n"
           "- A tombstone record forgets its series.\n"
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
};
