/* Scrape: fetches what Prometheus' targets expose, every so often; their samples become records.
 *
 *   timer of each target, first after a splay --> yd_fetch (serve/http_fetch.h) --body--> exposition.h --batches-->
 * output
 *        \--> up, how long it took, how many samples, always                                                --> output
 *        \--> series of the scrape before that are not in this one                                          --> gone
 *
 * A target's scrapes never overlap: the timeout is no longer than `every`; one that is due while the element is blocked
 * begins when it is not any more, and the next are reckoned from there. What can fail: a target that does not answer,
 * or not with 200 and a whole body, is `up` 0 and said when it begins and ends; what it answered is then not taken. Bad
 * lines are counted by their reason, and their neighbours are kept. */
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "elements/classes.h"
#include "elements/exposition.h"
#include "elements/lines.h"
#include "elements/rejects.h"
#include "elements/scrape_secret.h"
#include "elements/table.h"
#include "flow/run.h"
#include "serve/http_fetch.h"

#define TARGETS_MAX 10000
#define LABELS_MAX  30
#define GONE_MAX    ((uint64_t)1 << 24) /* series of a target */

enum { OUTPUT, GONE, REJECTS };
enum { REASON_ANSWER = YD_EXPOSITION_REASON_COUNT };

struct state {
    struct yd_element *element;
    struct yd_tls *tls; /* NULL: no target is https */
    bool gone_wired, rejects_wired;
    struct yd_exposition *feeding;
    struct yd_tag labels[LABELS_MAX + 2];
    struct yd_fetch_url url;
    struct yd_out *out; /* of the feed at hand */
};

struct series {
    struct yd_table_item item;
    uint64_t seen; /* in which scrape */
};

struct target {
    struct pump *pump;
    struct yd_fetch_url url;
    struct yd_str text; /* as it was written */
    struct yd_tag labels[LABELS_MAX + 2];
    struct yd_fetch *fetch;
    struct yd_exposition *exposition;
    struct yd_timer *due;
    struct yd_table series; /* with `gone` wired */
    int64_t begun_wall_ns;
    uint64_t scrapes, rejected;
    bool overdue, known, up;
};

struct pump {
    struct yd_pump *pump;
    struct yd_loop *loop;
    struct yd_rejects *rejects; /* NULL: not wired */
    struct yd_builder *builder;
    struct target *targets;
    size_t count, alive; /* alive: fetches that are not gone */
    int64_t every_ns, timeout_ns;
    bool paused, gone_wired;
    struct yd_scrape_secret secret;
    char headers[256];
};

static const char *const reasons[] = {
#define REASON(name, text) text,
    YD_EXPOSITION_REASONS(REASON)
#undef REASON
        "answer not understood",
    NULL};

static const struct yd_port_class ports[] = {
    {.name = "output",
     .direction = YD_OUT,
     .mode = YD_PUSH,
     .kinds = YD_KIND_BIT(YD_SAMPLE) | YD_KIND_BIT(YD_DELTA),
     .doc = "DELTAs for what counts, SAMPLEs for the rest, and what is said of each target."},
    {.name = "gone",
     .direction = YD_OUT,
     .mode = YD_PUSH,
     .kinds = YD_KIND_BIT(YD_EVENT),
     .flags = YD_PORT_OPTIONAL_REJECTS,
     .doc = "An EVENT of a series' name when it was in the scrape before and is not any more, and why."},
    YD_REJECTS_PORT("Lines that were not understood"),
    {0}};

static const struct yd_param_class params[] = {
    {.name = "targets",
     .type = YD_PARAM_LIST,
     .flags = YD_PARAM_REQUIRED,
     .doc =
         "Texts: `HOST:PORT`, `http://HOST:PORT/path`, `https://HOST:PORT/path`, or `unix:PATH`. HOST may be a name: "
         "each scrape looks it up."},
    {.name = "every", .type = YD_PARAM_DURATION, .initial = "15s", .min = 1e8, .max = 3.2e18, .doc = "How often."},
    {.name = "timeout",
     .type = YD_PARAM_DURATION,
     .initial = "10s",
     .min = 1e6,
     .max = 3.2e18,
     .doc = "Of a scrape; never longer than `every`."},
    {.name = "splay",
     .type = YD_PARAM_BOOL,
     .initial = "true",
     .doc = "The first scrape of each target waits for a random part of `every`, so that they spread."},
    {.name = "path", .type = YD_PARAM_TEXT, .initial = "\"/metrics\"", .doc = "Of targets that name none."},
    {.name = "job",
     .type = YD_PARAM_TEXT,
     .initial = "\"\"",
     .doc = "The tag `job` of all series; `\"\"`: the element's name."},
    {.name = "labels", .type = YD_PARAM_MAP, .initial = "{}", .doc = "More tags of all series: texts by name."},
    {.name = "honor_labels",
     .type = YD_PARAM_BOOL,
     .initial = "false",
     .doc = "A label of the target counts before ours of the same name; else it becomes `exported_NAME`."},
    {.name = "honor_times",
     .type = YD_PARAM_BOOL,
     .initial = "true",
     .doc = "Samples that say a time are of that time; `false`: all are of the scrape's beginning."},
    {.name = "token_file",
     .type = YD_PARAM_TEXT,
     .initial = "\"\"",
     .doc =
         "Sent to each target as `Authorization: Bearer TOKEN`: the file's first line, read again before each scrape; "
         "or `env:NAME`, of the environment."},
    {.name = "user",
     .type = YD_PARAM_TEXT,
     .initial = "\"\"",
     .doc = "Sent to each target, with the password, as `Authorization: Basic …`; instead of a token."},
    {.name = "password_file", .type = YD_PARAM_TEXT, .initial = "\"\"", .doc = "Of `user`; as `token_file`."},
    {.name = "tls_ca",
     .type = YD_PARAM_TEXT,
     .initial = "\"\"",
     .doc = "Whose signature `https` targets must show (PEM); `\"\"`: of whom this system trusts."},
    {.name = "tls_cert",
     .type = YD_PARAM_TEXT,
     .initial = "\"\"",
     .doc = "Our certificate (PEM), for targets that want one; with `tls_key`."},
    {.name = "tls_key", .type = YD_PARAM_TEXT, .initial = "\"\"", .doc = "Its key (PEM)."},
    {.name = "max_body",
     .type = YD_PARAM_SIZE,
     .initial = "16MiB",
     .min = 1024,
     .max = 1 << 30,
     .doc = "Of an answer, as it comes and inflated: a larger one is refused whole."},
    {0}};

/* ---- parameters ---- */

/* Of a target: what it is asked by, and the labels that its series get. Texts stay where they are. */
static int describe(const struct yd_args *args, const char *element, struct yd_str text, struct yd_fetch_url *url,
                    struct yd_tag *labels, size_t *ret_count, struct yd_trail *trail)
{
    const struct yd_arg *more = yd_args_find(args, "labels");
    struct yd_str job = yd_args_text(args, "job");
    int r = yd_fetch_url_parse(text, yd_args_text(args, "path"), url, trail);
    if (r < 0) return r;
    bool local = yd_str_starts(text, YD_STR("unix:"));
    labels[0] = (struct yd_tag){YD_STR("job"), job.size ? job : yd_str_of(element)};
    labels[1] = (struct yd_tag){YD_STR("instance"), local ? text : yd_str_of(url->host)};
    *ret_count = 2;
    for (size_t i = 0; more && i < more->list.count && i < LABELS_MAX; i++) {
        struct yd_tag label = {yd_str_of(more->list.items[i].name), more->list.items[i].text};
        size_t at = 0;
        while (at < *ret_count && !yd_str_eq(labels[at].key, label.key)) at++;
        labels[at] = label; /* `job` and `instance` can be given, too */
        *ret_count += at == *ret_count;
    }
    return 0;
}

static const char *wrong_labels(const struct yd_args *args)
{
    const struct yd_arg *labels = yd_args_find(args, "labels");
    if (labels && labels->list.count > LABELS_MAX) return "`labels` has too many: at most 30";
    for (size_t i = 0; labels && i < labels->list.count; i++)
        if (labels->list.items[i].type != YD_PARAM_TEXT) return "`labels` are texts";
    return NULL;
}

static bool is_secure(const struct yd_args *args)
{
    const struct yd_arg *targets = yd_args_find(args, "targets");
    for (size_t i = 0; i < targets->list.count; i++)
        if (yd_str_starts(targets->list.items[i].text, YD_STR("https://"))) return true;
    return false;
}

static const char *wrong_secrets(const struct yd_args *args)
{
    bool user = yd_args_text(args, "user").size, password = yd_args_text(args, "password_file").size;
    bool cert = yd_args_text(args, "tls_cert").size, key = yd_args_text(args, "tls_key").size;
    if (user != password) return "`user` and `password_file` go together";
    if (user && yd_args_text(args, "token_file").size) return "`token_file` or `user`, not both";
    if (user && memchr(yd_args_text(args, "user").data, ':', yd_args_text(args, "user").size))
        return "`user` cannot have a colon";
    if (cert != key) return "`tls_cert` and `tls_key` go together";
    return NULL;
}

static int check(const struct yd_args *args, char *why, size_t why_size)
{
    const struct yd_arg *targets = yd_args_find(args, "targets");
    const char *wrong = wrong_labels(args);
    size_t count = targets ? targets->list.count : 0, tag_count, size;
    struct yd_tag tags[LABELS_MAX + 2];
    char name[YD_NAME_SIZE_MAX];
    struct yd_trail trail = {0};
    if (!wrong && (count == 0 || count > TARGETS_MAX)) wrong = "`targets` is a list of texts, one at least";
    for (size_t i = 0; i < count && !wrong; i++) {
        struct yd_fetch_url url;
        const struct yd_arg *target = &targets->list.items[i];
        if (target->type != YD_PARAM_TEXT)
            wrong = "`targets` is a list of texts, one at least";
        else if (yd_fetch_url_parse(target->text, yd_args_text(args, "path"), &url, &trail) < 0)
            wrong = yd_trail_text(&trail);
        else if (describe(args, "job", target->text, &url, tags, &tag_count, &trail) < 0 ||
                 yd__line_name(YD_STR("up"), tags, tag_count, name, &size) < 0)
            wrong = "`job`, `labels` and the target cannot be tags of a name";
        for (size_t k = 0; k < i && !wrong; k++)
            if (yd_str_eq(targets->list.items[k].text, target->text)) wrong = "a target is named twice in `targets`";
    }
    if (!wrong) wrong = wrong_secrets(args);
    if (!wrong && (yd_args_text(args, "tls_ca").size || yd_args_text(args, "tls_cert").size) && !is_secure(args))
        wrong = "`tls_…` is given, but no target is https";
    if (!wrong) return 0;
    (void)snprintf(why, why_size, "%s", wrong);
    return YD_EINVAL;
}

static struct yd_exposition_options parser(const struct yd_args *args, const struct yd_tag *labels, size_t count)
{
    return (struct yd_exposition_options){.labels = labels,
                                          .label_count = count,
                                          .honor_labels = yd_args_bool(args, "honor_labels"),
                                          .ignore_times = !yd_args_bool(args, "honor_times")};
}

/* ---- the element ---- */

/* What is wrong with the certificates is said at the start, not at the first scrape. */
static int load_tls(struct yd_element *element, struct state *state)
{
    const struct yd_args *args = yd_element_args(element);
    struct yd_str ca = yd_args_text(args, "tls_ca"), cert = yd_args_text(args, "tls_cert");
    struct yd_tls_options options = {.ca_file = ca.size ? ca.data : NULL,
                                     .cert_file = cert.size ? cert.data : NULL,
                                     .key_file = cert.size ? yd_args_text(args, "tls_key").data : NULL};
    struct yd_trail trail = {0};
    if (!is_secure(args)) return 0;
    int r = yd_tls_create(&options, &state->tls, &trail);
    return r < 0 ? yd_element_fail(element, r, "%s", trail.size ? yd_trail_text(&trail) : yd_error_text(r)) : 0;
}

static int open(struct yd_element *element, void *opaque)
{
    struct state *state = opaque;
    state->element = element;
    state->gone_wired = yd_element_wired(element, GONE);
    state->rejects_wired = yd_element_wired(element, REJECTS);
    return load_tls(element, state);
}

static void close(void *opaque)
{
    struct state *state = opaque;
    yd_exposition_destroy(state->feeding);
    yd_tls_unref(state->tls);
    state->feeding = NULL;
    state->tls = NULL;
}

static enum yd_turn_result receive(void *state, struct yd_input *input, struct yd_out *out)
{
    (void)state, (void)input, (void)out;
    return YD_DONE;
}

static void feed_batch(void *arg, struct yd_batch *batch, uint32_t records)
{
    struct state *state = arg;
    (void)records;
    (void)yd_emit(state->out, OUTPUT, batch);
}

static void feed_reject(void *arg, enum yd_exposition_reason reason, struct yd_str line)
{
    struct state *state = arg;
    yd_count_rejected(state->out, reason, 1, line);
}

static int feed(void *opaque, struct yd_str bytes, struct yd_out *out, int64_t wall_ns)
{
    struct state *state = opaque;
    const struct yd_args *args = yd_element_args(state->element);
    struct yd_trail trail = {0};
    size_t count;
    if (!state->feeding) {
        int r = describe(args, yd_element_name(state->element), yd_args_find(args, "targets")->list.items[0].text,
                         &state->url, state->labels, &count, &trail);
        struct yd_exposition_options options = parser(args, state->labels, count);
        options.sink = (struct yd_exposition_sink){state, feed_batch, feed_reject};
        if (r == 0) r = yd_exposition_create(&options, &state->feeding);
        if (r < 0) return r;
    }
    state->out = out;
    (void)yd_exposition_parse(state->feeding, bytes, yd_exposition_whole(bytes), wall_ns);
    yd_exposition_flush(state->feeding);
    return 0;
}

/* ---- what is said of a target ---- */

static void emit_built(struct pump *pump, unsigned port)
{
    struct yd_batch *batch;
    if (yd_builder_seal(pump->builder, &batch) == 0) (void)yd_pump_emit(pump->pump, port, batch);
}

static int name_of(const struct target *target, const char *metric, char *to, size_t *ret_size)
{
    size_t count = 0;
    while (count < YD_COUNT(target->labels) && target->labels[count].key.size) count++;
    return yd__line_name(yd_str_of(metric), target->labels, count, to, ret_size);
}

static void report(struct target *target, double took_s, uint64_t samples)
{
    struct pump *pump = target->pump;
    const struct {
        const char *metric;
        double value;
    } all[] = {{"up", target->up},
               {"scrape_duration_seconds", took_s},
               {"scrape_samples_scraped", (double)samples},
               {"scrape_samples_rejected", (double)target->rejected}};
    for (size_t i = 0; i < YD_COUNT(all); i++) {
        char name[YD_NAME_SIZE_MAX];
        size_t size;
        uint32_t index;
        if (name_of(target, all[i].metric, name, &size) < 0) continue; /* its labels cannot be: no sample has a name */
        int r = yd_builder_name(pump->builder, (struct yd_str){name, size}, &index);
        if (r == 0)
            r = yd_builder_add(pump->builder, target->begun_wall_ns, index, YD_SAMPLE, YD_F64, 0,
                               (union yd_value){.f64 = all[i].value});
        if (r < 0)
            yd_pump_count_rejected(pump->pump, YD_EXPOSITION_NO_MEMORY, 1, yd_str_of(all[i].metric), target->text);
    }
    emit_built(pump, OUTPUT);
}

/* ---- series that were there ---- */

static void remember(struct target *target, const struct yd_batch *batch)
{
    for (uint32_t i = 0; i < batch->view.name_count; i++) {
        struct series *series;
        if (yd_table_add(&target->series, yd_view_name(&batch->view, i), batch->view.names[i].hash, &series) >= 0)
            series->seen = target->scrapes;
    }
}

static void say_gone(struct target *target, struct yd_str name, const char *why)
{
    struct pump *pump = target->pump;
    for (int try = 0; try < 2; try++) {
        uint32_t index;
        int r = yd_builder_name(pump->builder, name, &index);
        if (r == 0)
            r = yd_builder_add_bytes(pump->builder, target->begun_wall_ns, index, YD_EVENT, YD_TEXT, 0, yd_str_of(why));
        if (r != YD_EFULL) return;
        emit_built(pump, GONE);
    }
}

static void forget_gone(struct target *target)
{
    const char *why = target->up ? "the target does not expose it any more" : "the target is down";
    if (!target->pump->gone_wired) return;
    for (uint32_t i = target->series.count; i-- > 0;) {
        struct series *series = (struct series *)target->series.items[i];
        if (series->seen == target->scrapes) continue;
        say_gone(target, series->item.name, why);
        yd_table_remove(&target->series, series);
    }
    emit_built(target->pump, GONE);
}

/* ---- scrapes ---- */

static void on_batch(void *arg, struct yd_batch *batch, uint32_t records)
{
    struct target *target = arg;
    (void)records;
    if (target->pump->gone_wired) remember(target, batch);
    (void)yd_pump_emit(target->pump->pump, OUTPUT, batch); /* `pause` comes in any case */
}

static void on_reject(void *arg, enum yd_exposition_reason reason, struct yd_str line)
{
    struct target *target = arg;
    target->rejected++;
    yd_reject(target->pump->pump, target->pump->rejects, REJECTS, reason, reasons[reason], line, target->text);
}

/* Says it when it is news. */
static void judge(struct target *target, bool up, const char *why, unsigned status)
{
    struct pump *pump = target->pump;
    if (!up && (target->up || !target->known)) {
        if (status)
            yd_pump_say(pump->pump, 1, "%s is down: it answers with status %u", target->text.data, status);
        else
            yd_pump_say(pump->pump, 1, "%s is down: %s", target->text.data, why);
    }
    if (up && target->known && !target->up) yd_pump_say(pump->pump, 0, "%s is up again", target->text.data);
    target->up = up;
    target->known = true;
}

static void scrape(struct target *target);

static void on_fetched(void *arg, const struct yd_fetched *fetched)
{
    struct target *target = arg;
    struct pump *pump = target->pump;
    bool openmetrics = strncmp(fetched->type, "application/openmetrics-text", 28) == 0;
    const char *why = fetched->error ? fetched->why : "";
    bool good = fetched->error == 0 && fetched->status == 200;
    uint64_t samples = 0;
    target->rejected = 0;
    target->scrapes++;
    bool misread = fetched->error == YD_EFORMAT || fetched->error == YD_ETOOBIG || fetched->error == YD_ENOTSUP;
    if (good && openmetrics && !yd_exposition_whole(fetched->body)) {
        good = false;
        misread = true;
        why = "its OpenMetrics do not end with # EOF";
    }
    if (misread) {
        target->rejected = 1;
        yd_reject(pump->pump, pump->rejects, REJECTS, REASON_ANSWER, reasons[REASON_ANSWER], yd_str_of(why),
                  target->text);
    }
    judge(target, good, why, misread || fetched->error ? 0 : fetched->status);
    if (good) {
        samples = yd_exposition_parse(target->exposition, fetched->body, openmetrics, target->begun_wall_ns);
        yd_exposition_flush(target->exposition);
    }
    forget_gone(target);
    report(target, (double)fetched->took_ns / 1e9, samples);
    yd_rejects_send(pump->pump, pump->rejects, REJECTS);
    if (target->overdue && !pump->paused) scrape(target);
}

static void scrape(struct target *target)
{
    struct pump *pump = target->pump;
    int64_t wall_ns = yd_pump_wall(pump->pump);
    target->overdue = !yd_fetch_begin(target->fetch);
    if (!target->overdue) target->begun_wall_ns = wall_ns;
    yd_timer_start(target->due, yd_loop_mono(pump->loop) + pump->every_ns);
}

static void on_due(void *arg)
{
    struct target *target = arg;
    if (target->pump->paused)
        target->overdue = true;
    else
        scrape(target);
}

/* ---- life of the pump ---- */

static void fetch_gone(void *arg)
{
    struct pump *pump = arg;
    if (--pump->alive) return;
    free(pump->targets);
    pump->targets = NULL;
    yd_pump_stopped(pump->pump);
}

static void free_targets(struct pump *pump, void (*gone)(void *arg))
{
    for (size_t i = 0; i < pump->count; i++) {
        struct target *target = &pump->targets[i];
        yd_timer_close(target->due);
        yd_exposition_destroy(target->exposition);
        yd_table_fini(&target->series);
        target->due = NULL;
        target->exposition = NULL;
        if (!target->fetch) continue;
        struct yd_fetch *fetch = target->fetch;
        target->fetch = NULL;
        yd_fetch_destroy(fetch, gone, pump);
    }
    yd_builder_destroy(pump->builder);
    yd_rejects_destroy(pump->rejects);
    pump->builder = NULL;
    pump->rejects = NULL;
}

static int secret(void *arg, char *to, struct yd_trail *trail)
{
    const struct target *target = arg;
    return yd_scrape_secret(&target->pump->secret, to, YD_FETCH_SECRET, trail);
}

static int start_target(struct pump *pump, struct target *target, const struct yd_args *args, struct yd_tls *tls)
{
    struct yd_trail trail = {0};
    size_t count = 0;
    target->pump = pump;
    yd_table_init(&target->series, NULL, sizeof(struct series), GONE_MAX);
    int r = describe(args, yd_pump_element(pump->pump), target->text, &target->url, target->labels, &count, &trail);
    struct yd_exposition_options options = parser(args, target->labels, count);
    options.sink = (struct yd_exposition_sink){target, on_batch, on_reject};
    options.seed = yd_loop_random(pump->loop);
    struct yd_fetch_options fetch = {.loop = pump->loop,
                                     .pool = yd_pump_pool(pump->pump),
                                     .url = &target->url,
                                     .tls = tls,
                                     .headers = pump->headers,
                                     .secret = pump->secret.file.size ? secret : NULL,
                                     .timeout_ns = pump->timeout_ns,
                                     .body_max = (size_t)yd_args_int(args, "max_body"),
                                     .done = on_fetched,
                                     .arg = target};
    if (r == 0) r = yd_exposition_create(&options, &target->exposition);
    if (r == 0) r = yd_timer_create(pump->loop, on_due, target, &target->due);
    if (r == 0) r = yd_fetch_create(&fetch, &target->fetch);
    return r;
}

static int start(struct yd_pump *yd_pump, void *opaque, void *element_state)
{
    struct pump *pump = opaque;
    const struct state *state = element_state;
    const struct yd_args *args = yd_pump_args(yd_pump);
    const struct yd_arg *targets = yd_args_find(args, "targets");
    pump->pump = yd_pump;
    pump->loop = yd_pump_loop(yd_pump);
    pump->every_ns = yd_args_int(args, "every");
    pump->timeout_ns = YD_MIN(yd_args_int(args, "timeout"), pump->every_ns);
    pump->gone_wired = state->gone_wired;
    struct yd_str user = yd_args_text(args, "user");
    pump->secret = (struct yd_scrape_secret){yd_element_fs(state->element), user,
                                             yd_args_text(args, user.size ? "password_file" : "token_file")};
    (void)snprintf(pump->headers, sizeof pump->headers,
                   "Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1\r\n"
                   "X-Prometheus-Scrape-Timeout-Seconds: %.3f\r\n",
                   (double)pump->timeout_ns / 1e9);
    pump->targets = calloc(targets->list.count, sizeof *pump->targets);
    int r = pump->targets ? yd_builder_create(NULL, &pump->builder) : YD_ENOMEM;
    if (r == 0 && state->rejects_wired) r = yd_rejects_create(yd_pump_element(yd_pump), &pump->rejects);
    for (size_t i = 0; i < targets->list.count && r == 0; i++) {
        struct target *target = &pump->targets[pump->count++];
        target->text = targets->list.items[i].text;
        r = start_target(pump, target, args, state->tls);
        if (r < 0) break;
        uint64_t splay = yd_args_bool(args, "splay") ? yd_loop_random(pump->loop) % (uint64_t)pump->every_ns : 0;
        yd_timer_start(target->due, yd_loop_mono(pump->loop) + (int64_t)splay);
    }
    if (r == 0) return 0;
    free_targets(pump, NULL);
    free(pump->targets);
    pump->targets = NULL;
    pump->count = 0;
    return yd_pump_fail(yd_pump, r, "%s", yd_error_text(r));
}

static void stop(void *opaque)
{
    struct pump *pump = opaque;
    pump->alive = pump->count + 1;
    free_targets(pump, fetch_gone);
    fetch_gone(pump); /* our own */
}

static void pause_(void *opaque, bool paused)
{
    struct pump *pump = opaque;
    pump->paused = paused;
    for (size_t i = 0; i < pump->count && !pump->paused; i++)
        if (pump->targets[i].overdue) scrape(&pump->targets[i]);
}

static const struct yd_pump_class pump_class = {
    .state_size = sizeof(struct pump), .start = start, .stop = stop, .pause = pause_};

const struct yd_element_class yd_class_scrape = {
    .abi = YD_ELEMENT_ABI,
    .flags = YD_CLASS_SOURCE,
    .name = "Scrape",
    .summary = "fetches `/metrics` of Prometheus' targets",
    .doc =
        "Fetches the text that Prometheus' client libraries and exporters expose, in text format 0.0.4 or as\n"
        "OpenMetrics, plain or gzip. A series is named by its metric, with its labels, `job`, `instance` and `labels` "
        "as\n"
        "tags: `node_load1 instance=web1:9100,job=node`. A label that both have becomes `exported_LABEL`.\n\n"
        "- Counters, and what histograms and summaries count, are DELTAs: a Window makes rates of them. The rest are\n"
        "  SAMPLEs. Exemplars, HELP and UNIT are passed over.\n"
        "- Of each target, every time: `up` (1 or 0), `scrape_duration_seconds`, `scrape_samples_scraped` and\n"
        "  `scrape_samples_rejected`.\n"
        "- An answer other than 200, cut short, too large or too late is `up` 0, and nothing of it is taken.\n"
        "- A bad line is counted by its reason, and its neighbours are kept; so is a value that is not finite.\n"
        "- A series that is not there any more is said on `gone`; of a target that is down, all of them are.\n"
        "- Staleness markers are not made and never stored: a series that is gone has no more points; `gone` says it.\n"
        "- Scrapes of a target never overlap. A redirection is followed to another path of the same server, up to five "
        "times;\n"
        "  elsewhere it is not, and the target is down.\n"
        "- `https` is TLS 1.3, and the certificate must be good for HOST. Tokens and passwords go to every target of "
        "the "
        "element,\n"
        "  over plain `http` readable on the way.\n"
        "- Targets are those named here: nothing is discovered, and labels are not rewritten (`Relabel` does that).\n",
    .example = "node :: Scrape(targets: [\"127.0.0.1:9100\", \"http://web1:9100/metrics\"], every: 15s)\n"
               "node -> metrics :: Log(stream: \"metrics\")\n",
    .ports = ports,
    .params = params,
    .reasons = reasons,
    .state_size = sizeof(struct state),
    .check = check,
    .open = open,
    .close = close,
    .receive = receive,
    .feed = feed,
    .pump = &pump_class,
};
