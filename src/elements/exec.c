/* Exec: a command run again and again, its lines become SAMPLE records.
 *
 *   timer --every, first after a splay--> child --standard output, whole--> yd_lines --batch--> output
 *
 * Runs never overlap: one that is due while another is still going on begins when that has ended, at once, and the next
 * are reckoned from then. What can fail: a command that cannot be started, ends otherwise than with 0, writes to its
 * standard error or takes too long is said; what it wrote before is taken all the same. More than `max_output` ends it,
 * counted. Graphite's and OpenTSDB's grammars are those of graphite_lines.c and opentsdb_lines.c. */
#include <signal.h>
#include <stdio.h>

#include "base/text.h"
#include "elements/classes.h"
#include "elements/lines.h"
#include "io/loop.h"

#define WORDS_MAX 64
#define LINE_MAX_ ((size_t)64 << 10)

enum { OUTPUT };
enum { REASON_OUTPUT = YD_LINE_REASON_COUNT };

struct pump {
    struct yd_pump *pump;
    struct yd_loop *loop;
    struct yd_timer *due, *limit;
    struct yd_child *child; /* NULL: none is running */
    struct yd_lines *lines;
    struct yd_buf output;
    int64_t every_ns, timeout_ns;
    size_t output_max;
    bool paused, overdue, too_much, complained;
    const char *words[WORDS_MAX + 1];
};

static const char *const reasons[] = {
#define REASON(name, text) text,
    YD_LINE_REASONS(REASON)
#undef REASON
        "more output than max_output",
    NULL};

static const struct yd_port_class ports[] = {
    {.name = "output", .direction = YD_OUT, .mode = YD_PUSH, .kinds = YD_KIND_BIT(YD_SAMPLE), .doc = "The samples."},
    {0}};

static const char *const formats[] = {"graphite", "opentsdb", NULL};

static const struct yd_param_class params[] = {
    {.name = "command",
     .type = YD_PARAM_LIST,
     .flags = YD_PARAM_REQUIRED,
     .doc = "The program and its arguments, as texts; no shell: `[\"/bin/sh\", \"-c\", \"…\"]` where one is wanted."},
    {.name = "every", .type = YD_PARAM_DURATION, .initial = "1m", .min = 1e6, .max = 1e18, .doc = "How often."},
    {.name = "splay",
     .type = YD_PARAM_BOOL,
     .initial = "true",
     .doc = "The first run waits for a random part of `every`, so that many do not run at once."},
    {.name = "timeout",
     .type = YD_PARAM_DURATION,
     .initial = "1m",
     .doc = "A run that takes longer is killed; `0s`: none is."},
    {.name = "format", .type = YD_PARAM_TEXT, .initial = "\"graphite\"", .oneof = formats, .doc = "Of its lines."},
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

static void on_batch(void *arg, struct yd_batch *batch)
{
    struct pump *pump = arg;
    (void)yd_pump_emit(pump->pump, OUTPUT, batch); /* `pause` comes in any case */
}

static void on_reject(void *arg, enum yd_line_reason reason, struct yd_str line)
{
    struct pump *pump = arg;
    yd_pump_count_rejected(pump->pump, reason, 1, line, yd_str_of(pump->words[0]));
}

static void on_command(void *arg, struct yd_str line)
{
    on_reject(arg, YD_LINE_COMMAND, line);
}

static void take_output(struct pump *pump)
{
    struct yd_str text = yd_buf_view(&pump->output);
    yd_lines_set_now(pump->lines, yd_pump_wall(pump->pump));
    if (pump->too_much) { /* its last line is not whole */
        size_t used = yd_lines_parse(pump->lines, text.data, text.size);
        yd_pump_count_rejected(pump->pump, REASON_OUTPUT, 1, (struct yd_str){text.data + used, text.size - used},
                               yd_str_of(pump->words[0]));
    } else if (text.size) {
        yd_lines_parse_all(pump->lines, text.data, text.size);
    }
    yd_lines_flush(pump->lines);
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
    yd_lines_destroy(pump->lines);
    yd_buf_fini(&pump->output);
    pump->child = NULL;
    pump->due = pump->limit = NULL;
    pump->lines = NULL;
}

static int start(struct yd_pump *yd_pump, void *opaque, void *element_state)
{
    struct pump *pump = opaque;
    const struct yd_args *args = yd_pump_args(yd_pump);
    const struct yd_arg *command = yd_args_find(args, "command");
    bool put = yd_str_eq(yd_args_text(args, "format"), YD_STR("opentsdb"));
    (void)element_state;
    pump->pump = yd_pump;
    pump->loop = yd_pump_loop(yd_pump);
    pump->every_ns = yd_args_int(args, "every");
    pump->timeout_ns = yd_args_int(args, "timeout");
    pump->output_max = (size_t)yd_args_int(args, "max_output");
    for (size_t i = 0; i < command->list.count; i++) pump->words[i] = command->list.items[i].text.data;
    yd_buf_init(&pump->output, NULL);
    struct yd_lines_options lines = {.format = put ? &yd_opentsdb_format : &yd_graphite_format,
                                     .sink = {pump, on_batch, on_reject, on_command},
                                     .line_max = LINE_MAX_,
                                     .seed = yd_loop_random(pump->loop)};
    int r = yd_lines_create(&lines, &pump->lines);
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

static const struct yd_pump_class pump_class = {
    .state_size = sizeof(struct pump), .start = start, .stop = stop, .pause = pause_};

const struct yd_element_class yd_class_exec = {
    .abi = YD_ELEMENT_ABI,
    .flags = YD_CLASS_SOURCE,
    .name = "Exec",
    .summary = "runs a command every so often and takes its lines",
    .doc =
        "Each line that the command writes is a sample, in the grammar of Graphite (`path value [timestamp]`) or of\n"
        "OpenTSDB (`put metric timestamp value tag=value`). Runs never overlap; one that is late begins when the one\n"
        "before it has ended, and the next are reckoned from there.\n\n"
        "- The command's standard error, its exit status and what ended it are said to the operator.\n"
        "- Bad lines are counted by their reason, and their neighbours are kept.\n",
    .example = "disks :: Exec(command: [\"/usr/local/bin/disks\"], every: 1m) -> metrics :: Log(stream: \"metrics\")\n",
    .ports = ports,
    .params = params,
    .reasons = reasons,
    .check = check,
    .pump = &pump_class,
};
