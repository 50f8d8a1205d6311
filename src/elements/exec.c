/* Exec: a command run again and again, its lines become records.
 *
 *   timer --every, first after a splay--> child --standard output, whole--> text_in.h --batch--> output
 *
 * Runs never overlap: one that is due while another is still going on begins when that has ended, at once, and the next
 * are reckoned from then. What can fail: a command that cannot be started, ends otherwise than with 0, writes to its
 * standard error or takes too long is said; what it wrote before is taken all the same. More than `max_output` ends it,
 * counted. The grammars are those of text_in.h. */
#include <signal.h>
#include <stdio.h>

#include "base/text.h"
#include "elements/classes.h"
#include "elements/rejects.h"
#include "elements/text_in.h"
#include "io/loop.h"

#define WORDS_MAX 64
#define LINE_MAX_ ((size_t)64 << 10)

enum { OUTPUT, REJECTS };
enum { REASON_OUTPUT = YD_TEXT_REASON_COUNT };

struct state {
    struct yd_element *element;
    bool rejects_wired;
    struct yd_text_in *feeding;
    struct yd_out *out; /* of the feed at hand */
};

struct pump {
    struct yd_pump *pump;
    struct yd_loop *loop;
    struct yd_timer *due, *limit;
    struct yd_child *child; /* NULL: none is running */
    struct yd_text_in *text;
    struct yd_rejects *rejects; /* NULL: not wired */
    struct yd_buf output;
    int64_t every_ns, timeout_ns;
    size_t output_max;
    bool paused, overdue, too_much, complained;
    const char *words[WORDS_MAX + 1];
};

static const char *const reasons[] = {YD_TEXT_REASON_TEXTS "more output than max_output", NULL};

static const struct yd_port_class ports[] = {
    {.name = "output",
     .direction = YD_OUT,
     .mode = YD_PUSH,
     .kinds = YD_KINDS_NUMERIC | YD_KIND_BIT(YD_STATE) | YD_KIND_BIT(YD_EVENT) | YD_KIND_BIT(YD_FACT),
     .doc =
         "What the lines say: SAMPLEs; of `bolo` all six kinds, of `influx` EVENTs too, of `prometheus` DELTAs too."},
    {.name = "rejects",
     .direction = YD_OUT,
     .mode = YD_PUSH,
     .kinds = YD_KIND_BIT(YD_ROW),
     .flags = YD_PORT_OPTIONAL_REJECTS,
     .doc =
         "Lines that were not understood: rows of `reason`, `peer` (the program) and `line` (up to 4096 bytes of it)."},
    {0}};

static const struct yd_param_class params[] = {
    {.name = "command",
     .type = YD_PARAM_LIST,
     .flags = YD_PARAM_REQUIRED,
     .doc = "The program and its arguments, as texts; no shell: `[\"/bin/sh\", \"-c\", \"…\"]` where one is wanted."},
    {.name = "every", .type = YD_PARAM_DURATION, .initial = "1m", .min = 1e6, .max = 3.2e18, .doc = "How often."},
    {.name = "splay",
     .type = YD_PARAM_BOOL,
     .initial = "true",
     .doc = "The first run waits for a random part of `every`, so that many do not run at once."},
    {.name = "timeout",
     .type = YD_PARAM_DURATION,
     .initial = "1m",
     .max = 3.2e18,
     .doc = "A run that takes longer is killed; `0s`: none is."},
    {.name = "format",
     .type = YD_PARAM_TEXT,
     .initial = "\"graphite\"",
     .oneof = yd_text_formats,
     .doc = "Of its lines."},
    {.name = "max_output",
     .type = YD_PARAM_SIZE,
     .initial = "4MiB",
     .min = 64,
     .max = 1 << 30,
     .doc = "Of a run: more kills it; what came is taken, up to its last line."},
    {0}};

static int check(const struct yd_args *args, char *why, size_t why_size)
{
    const struct yd_arg *command = yd_args_find(args, "command");
    size_t count = command ? command->list.count : 0;
    for (size_t i = 0; i < count; i++)
        if (command->list.items[i].type != YD_PARAM_TEXT) count = 0;
    if (count && count <= WORDS_MAX && command->list.items[0].text.size) return 0;
    (void)snprintf(why, why_size, "`command` is a list of texts, the program first, %d at most", WORDS_MAX);
    return YD_EINVAL;
}

/* ---- lines ---- */

static void on_batch(void *arg, struct yd_batch *batch, uint32_t records)
{
    struct pump *pump = arg;
    (void)records;
    (void)yd_pump_emit(pump->pump, OUTPUT, batch); /* `pause` comes in any case */
}

static void on_reject(void *arg, unsigned reason, struct yd_str line)
{
    struct pump *pump = arg;
    yd_reject(pump->pump, pump->rejects, REJECTS, reason, reasons[reason], line, yd_str_of(pump->words[0]));
}

static void take_output(struct pump *pump)
{
    struct yd_str text = yd_buf_view(&pump->output), cut = {0};
    if (pump->too_much) { /* its last line is not whole */
        while (text.size && text.data[text.size - 1] != '\n') text.size--;
        cut = (struct yd_str){text.data + text.size, pump->output.size - text.size};
    }
    if (text.size) yd_text_in_parse(pump->text, text, yd_pump_wall(pump->pump));
    if (pump->too_much) on_reject(pump, REASON_OUTPUT, cut);
    yd_rejects_send(pump->pump, pump->rejects, REJECTS);
    yd_buf_clear(&pump->output);
}

/* ---- runs ---- */

static void on_output(void *arg, struct yd_str bytes, bool is_stderr)
{
    struct pump *pump = arg;
    if (is_stderr) {
        const char *lf = memchr(bytes.data, '\n', bytes.size);
        size_t size = YD_MIN(lf ? (size_t)(lf - bytes.data) : bytes.size, (size_t)200);
        if (!pump->complained) yd_pump_say(pump->pump, 1, "%s: %.*s", pump->words[0], (int)size, bytes.data);
        pump->complained = true; /* once a run */
        return;
    }
    if (pump->too_much) return;
    size_t room = pump->output_max - pump->output.size;
    yd_buf_add(&pump->output, bytes.data, YD_MIN(room, bytes.size));
    if (bytes.size <= room && !pump->output.failed) return;
    pump->too_much = true;
    yd_child_kill(pump->child, SIGKILL);
}

static void run(struct pump *pump);

static void on_exited(void *arg, int64_t status, int signal_)
{
    struct pump *pump = arg;
    yd_timer_stop(pump->limit);
    yd_child_close(pump->child);
    pump->child = NULL;
    if (signal_)
        yd_pump_say(pump->pump, 1, "%s was ended by signal %d", pump->words[0], signal_);
    else if (status)
        yd_pump_say(pump->pump, 1, "%s ended with %lld", pump->words[0], (long long)status);
    take_output(pump);
    if (pump->overdue && !pump->paused) run(pump);
}

static void run(struct pump *pump)
{
    static const struct yd_child_ops ops = {.output = on_output, .exited = on_exited};
    struct yd_trail trail = {0};
    int64_t now = yd_loop_mono(pump->loop);
    pump->overdue = pump->too_much = pump->complained = false;
    yd_timer_start(pump->due, now + pump->every_ns);
    int r = yd_child_start(pump->loop, pump->words, &ops, pump, &pump->child, &trail);
    if (r < 0) {
        pump->child = NULL;
        yd_pump_say(pump->pump, 2, "%s cannot be run: %s", pump->words[0],
                    *yd_trail_text(&trail) ? yd_trail_text(&trail) : yd_error_text(r));
        return;
    }
    yd_child_end_input(pump->child);
    if (pump->timeout_ns) yd_timer_start(pump->limit, now + pump->timeout_ns);
}

static void on_due(void *arg)
{
    struct pump *pump = arg;
    if (pump->child || pump->paused)
        pump->overdue = true;
    else
        run(pump);
}

static void on_limit(void *arg)
{
    struct pump *pump = arg;
    if (!pump->child) return;
    yd_pump_say(pump->pump, 1, "%s takes longer than its timeout: killed", pump->words[0]);
    yd_child_kill(pump->child, SIGKILL);
}

/* ---- life of the pump ---- */

static void free_all(struct pump *pump)
{
    if (pump->child) yd_child_close(pump->child);
    yd_timer_close(pump->due);
    yd_timer_close(pump->limit);
    yd_text_in_destroy(pump->text);
    yd_rejects_destroy(pump->rejects);
    yd_buf_fini(&pump->output);
    pump->child = NULL;
    pump->due = pump->limit = NULL;
    pump->text = NULL;
    pump->rejects = NULL;
}

static int start(struct yd_pump *yd_pump, void *opaque, void *element_state)
{
    struct pump *pump = opaque;
    const struct yd_args *args = yd_pump_args(yd_pump);
    const struct yd_arg *command = yd_args_find(args, "command");
    const struct state *state = element_state;
    pump->pump = yd_pump;
    pump->loop = yd_pump_loop(yd_pump);
    pump->every_ns = yd_args_int(args, "every");
    pump->timeout_ns = yd_args_int(args, "timeout");
    pump->output_max = (size_t)yd_args_int(args, "max_output");
    for (size_t i = 0; i < command->list.count; i++) pump->words[i] = command->list.items[i].text.data;
    yd_buf_init(&pump->output, NULL);
    struct yd_text_in_options text = {.format = yd_args_text(args, "format").data,
                                      .sink = {pump, on_batch, on_reject},
                                      .line_max = LINE_MAX_,
                                      .seed = yd_loop_random(pump->loop)};
    int r = yd_text_in_create(&text, &pump->text);
    if (r == 0 && state->rejects_wired) r = yd_rejects_create(yd_pump_element(yd_pump), &pump->rejects);
    if (r == 0) r = yd_timer_create(pump->loop, on_due, pump, &pump->due);
    if (r == 0) r = yd_timer_create(pump->loop, on_limit, pump, &pump->limit);
    if (r < 0) {
        free_all(pump);
        return yd_pump_fail(yd_pump, r, "out of memory");
    }
    int64_t wait = yd_args_bool(args, "splay") ? (int64_t)(yd_loop_random(pump->loop) % (uint64_t)pump->every_ns) : 0;
    yd_timer_start(pump->due, yd_loop_mono(pump->loop) + wait);
    return 0;
}

static void stop(void *opaque)
{
    struct pump *pump = opaque;
    free_all(pump);
    yd_pump_stopped(pump->pump);
}

static void pause_(void *opaque, bool paused)
{
    struct pump *pump = opaque;
    pump->paused = paused;
    if (!paused && pump->overdue && !pump->child) run(pump);
}

static int open_exec(struct yd_element *element, void *opaque)
{
    struct state *state = opaque;
    state->element = element;
    state->rejects_wired = yd_element_wired(element, REJECTS);
    return 0;
}

static void close_exec(void *opaque)
{
    struct state *state = opaque;
    yd_text_in_destroy(state->feeding);
    state->feeding = NULL;
}

static void feed_batch(void *arg, struct yd_batch *batch, uint32_t records)
{
    struct state *state = arg;
    (void)records;
    (void)yd_emit(state->out, OUTPUT, batch);
}

static void feed_reject(void *arg, unsigned reason, struct yd_str line)
{
    struct state *state = arg;
    yd_count_rejected(state->out, reason, 1, line);
}

static int feed(void *opaque, struct yd_str bytes, struct yd_out *out, int64_t wall_ns)
{
    struct state *state = opaque;
    struct yd_text_in_options options = {.format = yd_args_text(yd_element_args(state->element), "format").data,
                                         .sink = {state, feed_batch, feed_reject},
                                         .line_max = LINE_MAX_};
    int r = state->feeding ? 0 : yd_text_in_create(&options, &state->feeding);
    state->out = out;
    if (r == 0) yd_text_in_parse(state->feeding, bytes, wall_ns);
    return r;
}

static enum yd_turn_result receive(void *state, struct yd_input *input, struct yd_out *out)
{
    (void)state, (void)input, (void)out;
    return YD_DONE;
}

static const struct yd_pump_class pump_class = {
    .state_size = sizeof(struct pump), .start = start, .stop = stop, .pause = pause_};

const struct yd_element_class yd_class_exec = {
    .abi = YD_ELEMENT_ABI,
    .flags = YD_CLASS_SOURCE,
    .name = "Exec",
    .summary = "runs a command every so often and takes its lines",
    .doc =
        "Runs never overlap; one that is late begins when the one before it has ended, and the next are reckoned from\n"
        "there. What the command writes is taken line by line:\n\n"
        "| format | lines |\n|---|---|\n"
        "| `graphite` | `path value [timestamp]` |\n"
        "| `opentsdb` | `put metric timestamp value tag=value` |\n"
        "| `bolo` | `STATE ts name code text`, `COUNTER ts name [n]`, `SAMPLE ts name value…`, `RATE ts name value`, "
        "`EVENT ts name text`, `KEY k=v…` |\n"
        "| `influx` | `measurement,tag=value field=value [ns]`: records named MEASUREMENT_FIELD |\n"
        "| `prometheus` | what exporters expose: `metric{label=\"value\"} value`, with `# TYPE` |\n\n"
        "- The command's standard error, its exit status and what ended it are said to the operator.\n"
        "- Bad lines are counted by their reason, and their neighbours are kept.\n",
    .example = "disks :: Exec(command: [\"/usr/local/bin/disks\"], every: 1m) -> metrics :: Log(stream: \"metrics\")\n",
    .ports = ports,
    .params = params,
    .reasons = reasons,
    .state_size = sizeof(struct state),
    .check = check,
    .open = open_exec,
    .close = close_exec,
    .receive = receive,
    .feed = feed,
    .pump = &pump_class,
};
