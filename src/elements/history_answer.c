/* elements/history_answer.c: see history_answer.h. */
#include "elements/history_answer.h"

#include "store/history.h"
#include "store/keeper.h"
#include "store/notes.h"

#define ANSWERS 8192                /* series, when nobody says how many */
#define NOTES   ((uint64_t)20000)   /* annotations, likewise */
#define NEWEST  ((uint64_t)1000000) /* series whose newest values are asked for by tags or tsuid */

/* Answers that are short: built at once, sent when a batch is full. */
struct answer {
    struct yd_history *history;
    uint64_t refused_tombstones;
    struct yd_builder *builder;
    struct yd_out *out;
    int error;
    bool gone; /* the asker has */
    struct yd_trail *trail;
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
        answer->gone |= yd_reply(answer->out, 0, batch, more) == YD_ENOENT; /* what is left is for nobody */
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

static int add_text(struct yd_builder *builder, struct yd_str name, struct yd_str text)
{
    uint32_t index;
    int r = yd_builder_name(builder, name, &index);
    return r < 0 ? r : yd_builder_add_bytes(builder, 0, index, YD_FACT, YD_TEXT, 0, text);
}

static void on_suggest(void *arg, struct yd_str text)
{
    struct answer *answer = arg;
    struct yd_str name = YD_STR("suggest");
    if (full(answer, add_text(answer->builder, name, text))) keep_error(answer, add_text(answer->builder, name, text));
}

static void on_lookup(void *arg, struct yd_str name)
{
    struct answer *answer = arg;
    union yd_value none = {0};
    if (full(answer, add_scalar(answer->builder, name, 0, YD_FACT, YD_NIL, none)))
        keep_error(answer, add_scalar(answer->builder, name, 0, YD_FACT, YD_NIL, none));
}

struct notes_answer {
    struct answer *answer;
    uint64_t left;
};

static void on_note(void *arg, const struct yd_note *note)
{
    struct notes_answer *to = arg;
    const unsigned given = YD_NOTE_END | YD_NOTE_DESCRIPTION | YD_NOTE_NOTES | YD_NOTE_CUSTOM;
    struct answer *answer = to->answer;
    if (answer->error) return;
    if (to->left-- == 0) {
        answer->error = yd_trail_add(answer->trail, YD_ETOOBIG, "too many annotations: shorten the time range");
        return;
    }
    if (full(answer, yd_note_put(answer->builder, YD_STR(""), note, given)))
        keep_error(answer, yd_note_put(answer->builder, YD_STR(""), note, given));
}

static void answer_notes(const struct yd_ask *ask, struct answer *answer)
{
    struct notes_answer to = {answer, ask->max ? ask->max : NOTES};
    const struct yd_series_query *range = &ask->series;
    if (ask->global) yd_history_notes(answer->history, true, 0, range->start_ns, range->end_ns, on_note, &to);
    for (size_t i = 0; i < range->tsuid_count; i++)
        yd_history_notes(answer->history, false, range->tsuids[i], range->start_ns, range->end_ns, on_note, &to);
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

static void answer_counts(struct answer *answer)
{
    struct yd_history_counts counts;
    struct yd_history_blocks blocks;
    yd_history_counts(answer->history, &counts);
    yd_history_blocks(answer->history, &blocks);
    const struct number numbers[] = {{"stored", (int64_t)counts.stored},
                                     {"duplicate", (int64_t)counts.duplicate},
                                     {"refused_series", (int64_t)counts.refused_series},
                                     {"refused_samples", (int64_t)counts.refused_samples},
                                     {"late", (int64_t)counts.late},
                                     {"ignored", (int64_t)counts.ignored},
                                     {"evicted_samples", (int64_t)counts.evicted_samples},
                                     {"series", (int64_t)counts.series},
                                     {"refused_tombstones", (int64_t)answer->refused_tombstones},
                                     {"chunks", (int64_t)counts.chunks},
                                     {"memory_bytes", (int64_t)counts.memory_bytes},
                                     {"blocks", (int64_t)blocks.blocks},
                                     {"block_bytes", (int64_t)blocks.bytes},
                                     {"block_points", (int64_t)blocks.points},
                                     {"block_rows", (int64_t)blocks.rows},
                                     {"damaged", (int64_t)blocks.damaged},
                                     {"time_min", counts.time_min},
                                     {"time_max", counts.time_max}};
    add_numbers(answer, "counts", numbers, YD_COUNT(numbers));
}

static void on_node(void *arg, struct yd_str path, bool leaf)
{
    struct answer *answer = arg;
    struct yd_str name = leaf ? YD_STR("leaf") : YD_STR("branch");
    if (full(answer, add_text(answer->builder, name, path))) keep_error(answer, add_text(answer->builder, name, path));
}

static void on_tag(void *arg, struct yd_str text, uint64_t count)
{
    struct answer *answer = arg;
    struct yd_str name = YD_STR("tag");
    union yd_value number = {.u64 = count};
    if (full(answer, add_text(answer->builder, name, text))) keep_error(answer, add_text(answer->builder, name, text));
    if (full(answer, add_scalar(answer->builder, name, 0, YD_FACT, YD_I64, number)))
        keep_error(answer, add_scalar(answer->builder, name, 0, YD_FACT, YD_I64, number));
}

/* What Graphite asks of names: a part of it, and where to go on. */
static void answer_part(const struct yd_ask *ask, struct answer *answer)
{
    uint32_t next = 0;
    const struct yd_tags_query tags = {ask->series.filters, ask->series.filter_count, ask->key, ask->text,
                                       ask->of_metric};
    if (ask->op == YD_ASK_NODES)
        keep_error(answer,
                   yd_history_nodes(answer->history, ask->text, ask->from, on_node, answer, &next, answer->trail));
    else if (ask->op == YD_ASK_TAGS)
        keep_error(answer, yd_history_tags(answer->history, &tags, ask->from, on_tag, answer, &next, answer->trail));
    else
        keep_error(answer, yd_history_find(answer->history, tags.filters, tags.filter_count, ask->from, on_lookup,
                                           answer, &next, answer->trail));
    const struct number number = {"next", next};
    if (answer->error == 0) add_numbers(answer, "part", &number, 1);
}

int yd_history_answer(struct yd_history *history, uint64_t refused_tombstones, const struct yd_ask *ask,
                      struct yd_out *out, struct yd_trail *trail)
{
    struct answer answer = {.history = history, .refused_tombstones = refused_tombstones, .out = out, .trail = trail};
    int error = yd_builder_create(NULL, &answer.builder);
    if (error < 0) return error;
    if (ask->op == YD_ASK_SUGGEST)
        keep_error(&answer, yd_history_suggest(history, ask->what, ask->text, ask->substring,
                                               ask->max && ask->max < UINT32_MAX ? (uint32_t)ask->max : 25, on_suggest,
                                               &answer));
    if (ask->op == YD_ASK_COUNTS) answer_counts(&answer);
    if (ask->op == YD_ASK_NOTES) answer_notes(ask, &answer);
    if (ask->op >= YD_ASK_NODES) answer_part(ask, &answer);
    if (answer.error == 0) send(&answer, false);
    yd_builder_destroy(answer.builder);
    return answer.error;
}

/* ---- in slices ---- */

struct yd_names {
    struct yd_names_run *run;
    uint64_t left, total;
    bool counts;  /* what there is beyond `left`, too */
    bool refuses; /* more than `left` is an error */
};

int yd_names_ask(struct yd_history *history, const struct yd_ask *ask, struct yd_names **ret_names,
                 struct yd_trail *trail)
{
    struct yd_names *names = yd_alloc_zero(NULL, sizeof *names);
    struct yd_series_query query = ask->series;
    int r = YD_ENOMEM;
    if (!names) return r;
    names->left = ask->max ? ask->max : ANSWERS;
    if (ask->op == YD_ASK_LOOKUP) {
        names->counts = true;
        r = yd_lookup_start(history, &query, &names->run, trail);
    } else if (query.metric.size || query.tsuid_count) {
        names->refuses = true;
        names->left = ask->max ? YD_MIN(ask->max, NEWEST) : NEWEST;
        if (query.start_ns == 0) query.start_ns = INT64_MIN;
        r = yd_last_start(history, &query, &names->run, trail);
    } else {
        r = yd_last_start_all(history, ask->text, &names->run);
    }
    if (r < 0)
        yd_names_done(names);
    else
        *ret_names = names;
    return r;
}

void yd_names_done(struct yd_names *names)
{
    if (!names) return;
    yd_names_destroy(names->run);
    yd_alloc_put(NULL, names, sizeof *names);
}

struct names_answer {
    struct answer *answer;
    struct yd_names *names;
};

static bool on_name(void *arg, struct yd_str name, int64_t time_ns, enum yd_type type, union yd_value value)
{
    struct names_answer *to = arg;
    struct yd_names *names = to->names;
    struct answer *answer = to->answer;
    enum yd_kind kind = type == YD_NIL ? YD_FACT : YD_SAMPLE;
    names->total++;
    if (names->left == 0 && names->refuses)
        answer->error =
            yd_trail_add(answer->trail, YD_ETOOBIG, "too many series match: add tags, or ask for some of them");
    if (names->left == 0) return names->counts;
    names->left--;
    if (full(answer, add_scalar(answer->builder, name, time_ns, kind, type, value)))
        keep_error(answer, add_scalar(answer->builder, name, time_ns, kind, type, value));
    return answer->error == 0 && (names->left || names->counts || names->refuses);
}

int yd_names_answer(struct yd_history *history, struct yd_names *names, struct yd_out *out, struct yd_trail *trail)
{
    struct answer answer = {.history = history, .out = out, .trail = trail};
    struct names_answer to = {&answer, names};
    int error = yd_builder_create(NULL, &answer.builder);
    if (error < 0) return error;
    int more = yd_names_step(names->run, on_name, &to, trail);
    keep_error(&answer, more);
    if (more == 0 && names->counts && answer.error == 0) {
        const struct number number = {"total", (int64_t)names->total};
        add_numbers(&answer, "lookup", &number, 1);
    }
    if (answer.error == 0) send(&answer, more > 0);
    yd_builder_destroy(answer.builder);
    return answer.error ? answer.error : answer.gone ? 0 : more;
}
