/* OpenTsdb: telnet put and HTTP put in, questions of Grafana and others out: one port.
 *
 * This half asks. A request becomes one question after the other on the `ask` wire; replies are written as JSON as they
 * come and go to the pump in pieces, so an answer is never held twice. Until the first piece has left, a failure is
 * still an error with its own status; after that the connection is cut, so that the peer sees it. What can fail: the
 * question (400), the answerer (503, 504), limits (413). */
#include "elements/opentsdb.h"

#include <stdio.h>

#include "elements/ask.h"
#include "elements/classes.h"
#include "elements/graphite_web.h"
#include "elements/http_intake.h"
#include "elements/line_feed.h"
#include "elements/opentsdb_answer.h"
#include "elements/opentsdb_last.h"
#include "elements/opentsdb_notes.h"
#include "elements/opentsdb_put.h"
#include "elements/rejects.h"
#include "serve/json_in.h"
#include <yarder/log.h>

#define QUESTIONS_MAX 4096
#define PIECE         ((size_t)256 << 10)
#define WRITTEN_MAX   64
#define WRITTEN_BYTES ((size_t)1 << 20) /* of a batch; a larger one is read when the history has it */
#define WRITTEN_NS    (2 * YD_NS_PER_S) /* by then the history has it */

enum kind { QUERY, SUGGEST, LOOKUP, LAST, NOTES, GRAPHITE };

/* A request that is being answered. */
struct question {
    struct question *next;
    uint64_t id;
    enum kind kind;
    struct yd_tsdb_request *request;
    struct yd_tsdb_plan plan;     /* QUERY */
    struct yd_tsdb_last last;     /* LAST */
    struct yd_tsdb_notes notes;   /* NOTES */
    size_t sub;                   /* which of it is being asked */
    struct yd_tsdb_answer answer; /* its buf serves all kinds */
    bool globals;                 /* QUERY: the global annotations are being asked for */
    bool begun;                   /* a piece has left */
    bool any;                     /* an item has been written */
    struct yd_str metric;         /* LOOKUP */
    struct yd_gweb *web;          /* GRAPHITE */
    uint64_t total;
};

struct state {
    struct yd_tsdb_wiring wiring; /* first: the pump reads it */
    struct yd_element *element;
    struct yd_line_feed *feed;
    enum yd_tsdb_nan nan;
    bool substring; /* of suggestions */
    struct question *questions;
    unsigned count;
    uint64_t values; /* that Graphite's requests hold */
    struct written {
        struct yd_batch *batch; /* annotations: for who asks before the history has them */
        int64_t mono_ns;
    } written[WRITTEN_MAX]; /* a ring */
    unsigned next_written;
};

static const char *const reasons[] = {
#define REASON(name, text) text,
    YD_LINE_REASONS(REASON)
#undef REASON
        "connection refused: too many",
    "datagram dropped by the kernel", NULL};
_Static_assert((int)YD_TSDB_REASON_REFUSED == (int)YD_LINE_REASON_COUNT, "the lines' reasons come first");

static const struct yd_port_class ports[] = {
    {.name = "output",
     .direction = YD_OUT,
     .mode = YD_PUSH,
     .kinds = YD_KIND_BIT(YD_SAMPLE) | YD_KIND_BIT(YD_EVENT),
     .doc = "The samples, of telnet and of HTTP, and annotations: EVENTs named `yarder.annotation`."},
    YD_REJECTS_PORT("What was not understood"),
    {.name = "ask",
     .direction = YD_OUT,
     .mode = YD_QUERY,
     .schema = "series",
     .doc = "Where questions go: `tsdb => history`. Not wired, they are answered with 503."},
    {0}};

static const char *const nans[] = {"string", "null", "omit", NULL}; /* as enum yd_tsdb_nan */
static const char *const suggests[] = {"prefix", "substring", NULL};

static const struct yd_param_class params[] = {
    {.name = "listen",
     .type = YD_PARAM_TEXT,
     .initial = "\"127.0.0.1:4242\"",
     .flags = YD_PARAM_LISTENS,
     .doc = "TCP address. The first byte of a connection tells: a capital letter is HTTP, all else is telnet."},
    {.name = "max_line",
     .type = YD_PARAM_SIZE,
     .initial = "64KiB",
     .min = 64,
     .max = 16 << 20,
     .doc = "Longer telnet lines are rejected; parsing goes on at the next line."},
    {.name = "max_body",
     .type = YD_PARAM_SIZE,
     .initial = "16MiB",
     .min = 1024,
     .max = 1 << 30,
     .doc = "Of an HTTP request, inflated; more is answered with 413."},
    YD_CONNECTIONS_PARAM("16384", "More peers at once are refused; HTTP may have a quarter of them."),
    {.name = "idle",
     .type = YD_PARAM_DURATION,
     .initial = "1h",
     .max = 3.2e18,
     .doc = "A telnet peer that sends nothing for so long is closed; `0s`: never. HTTP: 75 s."},
    {.name = "nan",
     .type = YD_PARAM_TEXT,
     .initial = "\"string\"",
     .oneof = nans,
     .doc = "What stands in answers for a number that JSON does not know: `string`: as OpenTSDB, `\"NaN\"` where fill "
            "policy `nan` says so and null elsewhere; `null`: always that; `omit`: the point is left out. Grafana's "
            "alerting takes no `\"NaN\"`."},
    {.name = "suggest",
     .type = YD_PARAM_TEXT,
     .initial = "\"prefix\"",
     .oneof = suggests,
     .doc = "What `q` of `/api/suggest` is: a `prefix`, as OpenTSDB has it, or a `substring`."},
    {.name = "cors",
     .type = YD_PARAM_TEXT,
     .initial = "\"\"",
     .doc = "Value of `Access-Control-Allow-Origin`; `\"\"`: browsers on other sites may not ask."},
    YD_SPREAD_PARAM("telnet connections"),
    {0}};

void yd_tsdb_request_free(void *opaque)
{
    struct yd_tsdb_request *request = opaque;
    if (!request) return;
    struct yd_arena arena = request->arena; /* the request lies in it */
    yd_arena_fini(&arena);
}

void yd_tsdb_reply_free(void *opaque)
{
    struct yd_tsdb_reply *reply = opaque;
    if (!reply) return;
    yd_buf_fini(&reply->buf);
    yd_batch_unref(reply->batch);
    yd_alloc_put(NULL, reply, sizeof *reply);
}

/* Which of a parameter's words stands there: the check has seen that one of them does. */
static int one_of(struct yd_element *element, const char *param, const char *const *words)
{
    struct yd_str text = yd_args_text(yd_element_args(element), param);
    int at = 0;
    while (words[at] && !yd_str_eq(text, yd_str_of(words[at]))) at++;
    return words[at] ? at : 0;
}

static int open(struct yd_element *element, void *opaque)
{
    struct state *state = opaque;
    state->nan = (enum yd_tsdb_nan)one_of(element, "nan", nans);
    state->substring = one_of(element, "suggest", suggests) == 1;
    state->element = element;
    state->wiring.rejects = yd_element_wired(element, YD_TSDB_REJECTS);
    state->wiring.ask = yd_element_wired(element, YD_TSDB_ASK);
    return 0;
}

static void free_question(struct question *question)
{
    yd_tsdb_answer_fini(&question->answer);
    if (question->kind == NOTES) yd_tsdb_notes_fini(&question->notes);
    yd_gweb_destroy(question->web);
    yd_tsdb_request_free(question->request);
    yd_alloc_put(NULL, question, sizeof *question);
}

static void close(void *opaque)
{
    struct state *state = opaque;
    while (state->questions) {
        struct question *question = state->questions;
        state->questions = question->next;
        free_question(question);
    }
    for (unsigned i = 0; i < WRITTEN_MAX; i++) yd_batch_unref(state->written[i].batch);
    state->count = 0;
    yd_line_feed_destroy(state->feed);
    state->feed = NULL;
}

static int feed(void *opaque, struct yd_str bytes, struct yd_out *out, int64_t wall_ns)
{
    struct state *state = opaque;
    const struct yd_line_feed_options options = {
        .format = &yd_opentsdb_format,
        .element = yd_element_name(state->element),
        .line_max = (size_t)yd_args_int(yd_element_args(state->element), "max_line"),
        .output = YD_TSDB_OUTPUT,
        .rejects = YD_TSDB_REJECTS,
    };
    return yd_line_feed(&state->feed, &options, bytes, out, wall_ns);
}

/* ---- to the pump ---- */

/* Takes what is in `buf`. */
static void command(struct yd_out *out, unsigned type, uint64_t id, unsigned status, int error, struct yd_buf *buf)
{
    struct yd_tsdb_reply *reply = yd_alloc_zero(NULL, sizeof *reply);
    if (!reply) return; /* the peer waits until it gives up: there is no memory to tell it so */
    reply->status = status;
    reply->error = error;
    if (buf) {
        reply->buf = *buf;
        yd_buf_init(buf, NULL);
    }
    (void)yd_out_command(out, type, id, NULL, reply, yd_tsdb_reply_free); /* a pump that is gone has no peers */
}

static void forget(struct state *state, struct question *question)
{
    struct question **at = &state->questions;
    while (*at != question) at = &(*at)->next;
    *at = question->next;
    state->count--;
    free_question(question);
}

static void answer_error(struct yd_out *out, uint64_t id, unsigned status, struct yd_str message)
{
    struct yd_buf buf;
    yd_buf_init(&buf, NULL);
    yd_opentsdb_error(&buf, status, message, YD_STR(""));
    command(out, YD_TSDB_ANSWER, id, status, 0, &buf);
}

/* What Graphite's clients show of an error is its text. */
static void answer_text(struct yd_out *out, uint64_t id, unsigned status, struct yd_str message)
{
    struct yd_tsdb_reply *reply = yd_alloc_zero(NULL, sizeof *reply);
    if (!reply) return; /* as in command */
    reply->status = status;
    reply->text = true;
    yd_buf_init(&reply->buf, NULL);
    yd_buf_str(&reply->buf, message);
    (void)yd_out_command(out, YD_TSDB_ANSWER, id, NULL, reply, yd_tsdb_reply_free); /* likewise */
}

static unsigned status_of(int error)
{
    switch (error) {
    case YD_EINVAL:
    case YD_EFORMAT:
    case YD_ENOENT:
        return 400;
    case YD_ETOOBIG:
        return 413;
    case YD_ETIMEOUT:
        return 504;
    case YD_EBUSY:
    case YD_EFULL:
    case YD_EUNDELIVERABLE:
    case YD_ECANCELED:
        return 503;
    default:
        return 500;
    }
}

/* The question ends here, badly. */
static void fail(struct state *state, struct question *question, int error, struct yd_str why, struct yd_out *out)
{
    unsigned status = status_of(error);
    char text[512];
    struct yd_str message = why.size ? why : yd_str_of(yd_error_text(error));
    if (error == YD_ENOENT && question->kind == LOOKUP) status = 404;
    if (error == YD_ENOENT && question->kind == LOOKUP) {
        int size = snprintf(text, sizeof text, "No such name for 'metrics': '%.*s'",
                            (int)YD_MIN(question->metric.size, (size_t)400), question->metric.data);
        message = (struct yd_str){text, (size_t)size};
    }
    if (error == YD_EUNDELIVERABLE) message = YD_STR("No history is wired to answer this: `tsdb => history`");
    if (question->begun)
        command(out, YD_TSDB_END, question->id, 0, error, NULL);
    else if (question->kind == GRAPHITE)
        answer_text(out, question->id, status, message);
    else
        answer_error(out, question->id, status, message);
    forget(state, question);
}

static void finish(struct state *state, struct question *question, struct yd_out *out)
{
    struct yd_buf *buf = &question->answer.buf;
    if (buf->failed) {
        fail(state, question, YD_ENOMEM, YD_STR(""), out);
        return;
    }
    if (question->begun) {
        command(out, YD_TSDB_PIECE, question->id, 200, 0, buf);
        command(out, YD_TSDB_END, question->id, 0, 0, NULL);
    } else {
        command(out, YD_TSDB_ANSWER, question->id, 200, 0, buf);
    }
    forget(state, question);
}

/* ---- asking ---- */

static void ask(struct state *state, struct question *question, const struct yd_ask *what, struct yd_out *out)
{
    struct yd_batch *batch;
    int r = yd_ask_encode(what, &batch);
    if (r == 0) r = yd_ask(out, YD_TSDB_ASK, batch, question->id, 0);
    if (r < 0)
        fail(state, question, r, r == YD_EFORMAT ? YD_STR("A name in the question is not UTF-8") : YD_STR(""), out);
}

static void ask_sub(struct state *state, struct question *question, struct yd_out *out)
{
    if (question->sub == question->plan.sub_count) {
        yd_tsdb_answer_end(&question->answer);
        finish(state, question, out);
        return;
    }
    const struct yd_tsdb_sub *sub = &question->plan.subs[question->sub];
    yd_tsdb_answer_sub(&question->answer, sub);
    ask(state, question, &(struct yd_ask){.op = YD_ASK_SERIES, .series = sub->query}, out);
}

/* All of them are asked one after the other; what they find is one array. */
static void ask_last(struct state *state, struct question *question, struct yd_out *out)
{
    if (question->sub == question->last.count) {
        yd_buf_cstr(&question->answer.buf, question->any ? "]" : "[]");
        finish(state, question, out);
        return;
    }
    ask(state, question, &(struct yd_ask){.op = YD_ASK_LAST, .series = question->last.queries[question->sub]}, out);
}

/* ---- annotations ---- */

static void keep_written(struct state *state, struct yd_batch *batch, int64_t mono_ns)
{
    struct written *written = &state->written[state->next_written++ % WRITTEN_MAX];
    yd_batch_unref(written->batch);
    *written = (struct written){yd_batch_ref(batch), mono_ns};
}

static void add_written(struct state *state, struct question *question, int64_t mono_ns)
{
    for (unsigned i = 0; i < WRITTEN_MAX; i++) {
        struct written *written = &state->written[(state->next_written + i) % WRITTEN_MAX];
        if (!written->batch) continue;
        if (mono_ns - written->mono_ns > WRITTEN_NS) {
            yd_batch_unref(written->batch);
            written->batch = NULL;
        } else if (yd_tsdb_notes_written(&question->notes, written->batch) < 0) {
            question->answer.buf.failed = true;
        }
    }
}

/* What is to be written goes to the pump, which writes it as it writes puts, and answers when that is durable. */
static void finish_notes(struct state *state, struct question *question, struct yd_out *out)
{
    struct yd_tsdb_reply *reply = yd_alloc_zero(NULL, sizeof *reply);
    struct yd_batch *batch = NULL;
    int r = reply ? yd_tsdb_notes_end(&question->notes, &reply->status, &question->answer.buf, &batch) : YD_ENOMEM;
    if (r == 0 && question->answer.buf.failed) r = YD_ENOMEM;
    if (r < 0) {
        yd_batch_unref(batch);
        yd_alloc_put(NULL, reply, sizeof *reply);
        if (r == YD_ENOENT)
            answer_error(out, question->id, 404, YD_STR("Unable to locate annotation in storage"));
        else
            fail(state, question, r, r == YD_ETOOBIG ? YD_STR("Too much at once: send fewer") : YD_STR(""), out);
        if (r == YD_ENOENT) forget(state, question);
        return;
    }
    if (batch && batch->header.size <= WRITTEN_BYTES) keep_written(state, batch, yd_now_mono(out));
    reply->batch = batch;
    reply->buf = question->answer.buf;
    yd_buf_init(&question->answer.buf, NULL);
    (void)yd_out_command(out, batch ? YD_TSDB_WRITE : YD_TSDB_ANSWER, question->id, NULL, reply, yd_tsdb_reply_free);
    forget(state, question);
}

static void ask_notes(struct state *state, struct question *question, struct yd_out *out)
{
    struct yd_ask what;
    if (yd_tsdb_notes_ask(&question->notes, &what))
        ask(state, question, &what, out);
    else
        finish_notes(state, question, out);
}

static void start_notes(struct state *state, struct question *question, int64_t now_ns, struct yd_out *out)
{
    struct yd_tsdb_request *request = question->request;
    struct yd_trail trail = {0};
    question->kind = NOTES;
    int r = yd_tsdb_notes_plan(request->path, (enum yd_tsdb_method)request->method, request->body, request->arguments,
                               request->argument_count, now_ns, &request->arena, &question->notes, &trail);
    if (r == YD_ENOTSUP) {
        answer_error(out, question->id, 405, YD_STR("Method not allowed"));
        forget(state, question);
    } else if (r < 0) {
        fail(state, question, r, yd_str_of(yd_trail_text(&trail)), out);
    } else {
        ask_notes(state, question, out);
    }
}

static const struct yd_str *argument(const struct yd_tsdb_request *request, const char *name)
{
    for (size_t i = 0; i < request->argument_count; i++)
        if (yd_str_eq(request->arguments[i].name, yd_str_of(name))) return &request->arguments[i].value;
    return NULL;
}

static bool flag(const struct yd_tsdb_request *request, const char *name)
{
    const struct yd_str *value = argument(request, name);
    return value && !yd_str_eq(*value, YD_STR("false"));
}

static void start_query(struct state *state, struct question *question, int64_t now_ns, struct yd_out *out)
{
    struct yd_tsdb_request *request = question->request;
    struct yd_trail trail = {0};
    int r = request->body.size ? yd_tsdb_plan_json(request->body, now_ns, &request->arena, &question->plan, &trail)
                               : yd_tsdb_plan_url(request->arguments, request->argument_count, now_ns, &request->arena,
                                                  &question->plan, &trail);
    if (r == 0) r = yd_tsdb_plan_calendar(&question->plan, request->zone, &request->arena, &trail);
    if (r < 0) {
        question->kind = SUGGEST; /* no metric to name */
        fail(state, question, r, yd_str_of(yd_trail_text(&trail)), out);
        return;
    }
    question->plan.arrays |= flag(request, "arrays");
    question->plan.nan = state->nan;
    yd_tsdb_answer_begin(&question->answer, &question->plan);
    if (question->plan.global_notes && question->plan.sub_count) {
        const struct yd_series_query *first = &question->plan.subs[0].query;
        question->globals = true;
        ask(state, question,
            &(struct yd_ask){
                .op = YD_ASK_NOTES, .global = true, .series = {.start_ns = first->start_ns, .end_ns = first->end_ns}},
            out);
        return;
    }
    ask_sub(state, question, out);
}

static void start_last(struct state *state, struct question *question, int64_t now_ns, struct yd_out *out)
{
    struct yd_tsdb_request *request = question->request;
    struct yd_trail trail = {0};
    int r = yd_tsdb_last_plan(request->body, request->arguments, request->argument_count, now_ns, &request->arena,
                              &question->last, &trail);
    if (r < 0)
        fail(state, question, r, yd_str_of(yd_trail_text(&trail)), out);
    else
        ask_last(state, question, out);
}

/* An argument of the URL, or a member of a JSON body. */
static struct yd_str asked_text(const struct yd_tsdb_request *request, const struct yd_json_value *body,
                                const char *name)
{
    const struct yd_str *value = argument(request, name);
    return value ? *value : yd_json_text(yd_json_get(body, name));
}

static uint64_t asked_max(struct yd_str text, uint64_t otherwise)
{
    uint64_t max;
    return text.size && yd_text_u64(text, &max) == 0 && max ? max : otherwise;
}

static void start_suggest(struct state *state, struct question *question, const struct yd_json_value *body,
                          struct yd_out *out)
{
    static const char *const types[] = {"metrics", "tagk", "tagv"};
    struct yd_ask what = {.op = YD_ASK_SUGGEST};
    struct yd_str type = asked_text(question->request, body, "type");
    size_t i = 0;
    while (i < YD_COUNT(types) && !yd_str_eq(type, yd_str_of(types[i]))) i++;
    if (i == YD_COUNT(types)) {
        char text[128];
        int size =
            snprintf(text, sizeof text, type.size ? "Invalid 'type' parameter:%.*s" : "Missing 'type' parameter%.*s",
                     (int)YD_MIN(type.size, (size_t)60), type.data);
        fail(state, question, YD_EINVAL, (struct yd_str){text, (size_t)size}, out);
        return;
    }
    what.what = (enum yd_suggest)i;
    what.text = asked_text(question->request, body, "q");
    what.substring = state->substring;
    what.max = asked_max(asked_text(question->request, body, "max"), 25);
    ask(state, question, &what, out);
}

/* {"metric":…,"tags":[{"key":…,"value":…}],"limit":…} */
static int lookup_filters(const struct yd_json_value *body, struct yd_arena *arena, struct yd_series_query *to,
                          struct yd_trail *trail)
{
    const struct yd_json_value *tags = yd_json_get(body, "tags");
    if (!tags || tags->type != YD_JSON_ARRAY || !tags->count) return 0;
    struct yd_filter *filters = yd_arena_zero(arena, tags->count * sizeof *filters);
    if (!filters) return YD_ENOMEM;
    size_t count = 0;
    for (const struct yd_json_value *tag = tags->first; tag; tag = tag->next) {
        int r = yd_tsdb_tag_filter(yd_json_text(yd_json_get(tag, "key")), yd_json_text(yd_json_get(tag, "value")),
                                   &filters[count], trail);
        if (r < 0) return r;
        filters[count++].group_by = false;
    }
    to->filters = filters;
    to->filter_count = count;
    return 0;
}

static void start_lookup(struct state *state, struct question *question, const struct yd_json_value *body,
                         struct yd_out *out)
{
    struct yd_tsdb_request *request = question->request;
    struct yd_ask what = {.op = YD_ASK_LOOKUP};
    struct yd_trail trail = {0};
    const struct yd_str *m = argument(request, "m");
    int r = 0;
    if (m) {
        r = yd_tsdb_lookup(*m, &request->arena, &what.series, &trail);
    } else if (body) {
        what.series.metric = yd_json_text(yd_json_get(body, "metric"));
        if (yd_str_eq(what.series.metric, YD_STR("*"))) what.series.metric = YD_STR("");
        r = lookup_filters(body, &request->arena, &what.series, &trail);
    } else {
        r = yd_trail_add(&trail, YD_EINVAL, "Missing 'm' parameter");
    }
    if (r < 0) {
        fail(state, question, r, yd_str_of(yd_trail_text(&trail)), out);
        return;
    }
    const struct yd_str *limit = argument(request, "limit");
    what.max = asked_max(limit ? *limit : yd_json_text(yd_json_get(body, "limit")), 25);
    question->metric = what.series.metric;
    yd_tsdb_lookup_begin(&question->answer.buf, &what.series, what.max);
    ask(state, question, &what, out);
}

/* ---- Graphite ---- */

static void write_graphite(struct state *state, struct question *question, struct yd_out *out)
{
    struct yd_buf *buf = &question->answer.buf;
    while (yd_gweb_write(question->web, buf, PIECE) && !buf->failed) {
        command(out, YD_TSDB_PIECE, question->id, 200, 0, buf);
        question->begun = true;
    }
    finish(state, question, out);
}

static void go_on_graphite(struct state *state, struct question *question, int r, const struct yd_ask *what,
                           const struct yd_trail *trail, struct yd_out *out)
{
    if (r > 0)
        ask(state, question, what, out);
    else if (r < 0)
        fail(state, question, r, yd_str_of(yd_trail_text(trail)), out);
    else
        write_graphite(state, question, out);
}

static void start_graphite(struct state *state, struct question *question, int64_t now_ns, struct yd_out *out)
{
    struct yd_trail trail = {0};
    struct yd_ask what = {0};
    question->kind = GRAPHITE;
    int r = yd_gweb_start(question->request, now_ns, &state->values, &question->web, &what, &trail);
    go_on_graphite(state, question, r, &what, &trail, out);
}

static void replied_graphite(struct state *state, struct question *question, struct yd_input *input, struct yd_out *out)
{
    struct yd_trail trail = {0};
    struct yd_ask what = {0};
    int r = input->batch && input->type == YD_INPUT_REPLY ? yd_gweb_add(question->web, input->batch, &trail) : 0;
    if (r == 0 && input->more) return;
    if (r == 0) r = yd_gweb_next(question->web, &what, &trail);
    go_on_graphite(state, question, r, &what, &trail, out);
}

static void start(struct state *state, struct yd_input *input, struct yd_out *out)
{
    struct yd_tsdb_request *request = input->data;
    struct question *question = NULL;
    input->data = NULL;
    if (!request) return;
    if (state->count < QUESTIONS_MAX) question = yd_alloc_zero(NULL, sizeof *question);
    if (!question) {
        answer_error(out, request->id, 503, YD_STR("Too many questions at once, try again"));
        yd_tsdb_request_free(request);
        return;
    }
    *question = (struct question){.next = state->questions, .id = request->id, .request = request};
    yd_buf_init(&question->answer.buf, NULL);
    state->questions = question;
    state->count++;
    if (request->graphite) {
        start_graphite(state, question, input->wall_ns, out);
        return;
    }
    if (yd_str_eq(request->path, YD_STR("query"))) {
        start_query(state, question, input->wall_ns, out);
        return;
    }
    if (yd_str_starts(request->path, YD_STR("annotation"))) {
        start_notes(state, question, input->wall_ns, out);
        return;
    }
    if (yd_str_eq(request->path, YD_STR("query/last"))) {
        question->kind = LAST;
        start_last(state, question, input->wall_ns, out);
        return;
    }
    struct yd_json_value *body = NULL;
    question->kind = SUGGEST;
    if (request->body.size && yd_json_read(request->body, &request->arena, &body, NULL) < 0) {
        fail(state, question, YD_EINVAL, YD_STR("Unable to parse the given JSON"), out);
        return;
    }
    if (yd_str_eq(request->path, YD_STR("suggest"))) {
        start_suggest(state, question, body, out);
    } else {
        question->kind = LOOKUP;
        start_lookup(state, question, body, out);
    }
}

/* ---- being answered ---- */

static struct question *find(struct state *state, uint64_t id)
{
    struct question *question = state->questions;
    while (question && question->id != id) question = question->next;
    return question;
}

static void add(struct question *question, const struct yd_batch *batch)
{
    if (question->kind == QUERY && question->globals)
        yd_tsdb_answer_global(&question->answer, batch);
    else if (question->kind == QUERY)
        yd_tsdb_answer_add(&question->answer, batch);
    else if (question->kind == NOTES)
        question->answer.buf.failed |= yd_tsdb_notes_add(&question->notes, batch) < 0;
    else if (question->kind == LAST)
        yd_tsdb_last_add(&question->answer.buf, &question->any, question->last.resolve, batch);
    else if (question->kind == SUGGEST)
        yd_tsdb_suggest_add(&question->answer.buf, &question->any, batch);
    else
        yd_tsdb_lookup_add(&question->answer.buf, &question->any, &question->total, batch);
}

static void replied(struct state *state, struct yd_input *input, struct yd_out *out)
{
    struct question *question = find(state, input->cookie);
    if (!question) return;
    if (question->kind == GRAPHITE) {
        replied_graphite(state, question, input, out);
        return;
    }
    struct yd_buf *buf = &question->answer.buf;
    if (input->batch) add(question, input->batch);
    if (buf->size >= PIECE && !buf->failed) {
        command(out, YD_TSDB_PIECE, question->id, 200, 0, buf);
        question->begun = true;
    }
    if (input->more) return;
    if (question->kind == QUERY) {
        question->sub += !question->globals;
        question->globals = false;
        ask_sub(state, question, out);
    } else if (question->kind == LAST) {
        question->sub++;
        ask_last(state, question, out);
    } else if (question->kind == NOTES) {
        add_written(state, question, yd_now_mono(out));
        yd_tsdb_notes_replied(&question->notes);
        ask_notes(state, question, out);
    } else {
        if (question->kind == SUGGEST) yd_buf_cstr(buf, question->any ? "]" : "[]");
        if (question->kind == LOOKUP) yd_tsdb_lookup_end(buf, question->total);
        finish(state, question, out);
    }
}

static void refused(struct state *state, struct yd_input *input, struct yd_out *out)
{
    struct question *question = find(state, input->cookie);
    struct yd_str why = YD_STR("");
    if (!question) return;
    if (input->batch && input->batch->view.count && input->batch->view.records[0].type == YD_TEXT)
        why = yd_view_bytes(&input->batch->view, input->batch->view.records[0].value);
    if (input->error == YD_ENOENT && question->kind == GRAPHITE) { /* no such metric is no series */
        replied_graphite(state, question, input, out);
        return;
    }
    if (input->error == YD_ENOENT && question->kind == QUERY && question->plan.subs[question->sub].joined) {
        question->sub++;
        ask_sub(state, question, out);
        return;
    }
    fail(state, question, input->error, why, out);
}

static enum yd_turn_result receive(void *opaque, struct yd_input *input, struct yd_out *out)
{
    struct state *state = opaque;
    if (yd_intake_receive(input, out, YD_TSDB_OUTPUT)) return YD_DONE;
    switch (input->type) {
    case YD_INPUT_PUMP:
        if (input->cookie == YD_TSDB_TELL_ASK) start(state, input, out);
        return YD_DONE;
    case YD_INPUT_REPLY:
        replied(state, input, out);
        return YD_DONE;
    case YD_INPUT_ERROR:
        refused(state, input, out);
        return YD_DONE;
    default:
        return YD_DONE;
    }
}

const struct yd_element_class yd_class_opentsdb = {
    .abi = YD_ELEMENT_ABI,
    .flags = YD_CLASS_SOURCE,
    .name = "OpenTsdb",
    .summary = "speaks OpenTSDB: telnet put, HTTP put, and the query API that Grafana asks, on one port",
    .doc = "Telnet: `put METRIC TIME VALUE TAG=VALUE …`, `version`, `stats`, `help`, `exit`. Silent on success.\n\n"
           "HTTP, under any prefix, with or without `v1/`:\n\n"
           "| path | |\n|---|---|\n"
           "| POST `/api/put` | a point or an array, gzip too; `summary`, `details`, `sync`, `sync_timeout` |\n"
           "| POST, GET `/api/query` | filters, group-by, downsample (also by the calendar of a time "
           "zone), rate; `arrays`, `msResolution`, `showQuery` |\n"
           "| POST, GET `/api/query/last` | the newest point of each series: `timeseries`, `tsuids`, `back_scan`, "
           "`resolve` |\n"
           "| `/api/annotation`, `/api/annotations`, `/api/annotation/bulk` | annotations: GET, POST, PUT, DELETE |\n"
           "| `/api/suggest`, `/api/search/lookup` | names and series |\n"
           "| `/api/aggregators`, `/api/config/filters`, `/api/version` | what there is |\n"
           "| `/render`, `/metrics/find`, `/metrics/expand`, `/tags`, `/functions` | Graphite's data source |\n\n"
           "- Telnet puts may have no tags; HTTP's must have one, as OpenTSDB's own answers say.\n"
           "- Names may be any UTF-8 without control characters; a tag with an empty value is left out.\n"
           "- `sync` answers when the points are durable. If they cannot be stored, or what they are wired to does not "
           "make them durable: 503; after `sync_timeout`: 504.\n"
           "- Good points are stored whatever became of their neighbours.\n"
           "- While what comes after is full, puts wait; questions are answered all the same.\n",
    .example = "tsdb :: OpenTsdb(listen: \"127.0.0.1:4242\")\n"
               "tsdb -> metrics :: Log(stream: \"metrics\") -> history :: History()\n"
               "tsdb => history\n",
    .ports = ports,
    .params = params,
    .reasons = reasons,
    .state_size = sizeof(struct state),
    .open = open,
    .close = close,
    .receive = receive,
    .feed = feed,
    .pump = &yd_tsdb_pump,
};
