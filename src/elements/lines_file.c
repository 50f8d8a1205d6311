/* Lines: a text file or standard input, line by line, to its end or following it as it grows.
 *
 *   run (file thread): read a block --> split --> EVENT records --> emit; at the end: END, or sleep and look again
 *
 * A followed file may be rotated (another inode, or shorter than before): the rest of the old one is read first, once
 * more after the new one was seen, since its writer may have added to it meanwhile. */
#include <yarder/element.h>

#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "elements/own_name.h"
#include "io/file.h"
#include "io/stdio.h"

enum { PORT_OUTPUT };
enum { REASON_LONG, REASON_TEXT };
#define BLOCK_SIZE (256u << 10)

struct lines_pump {
    struct yd_pump *pump;
    struct yd_file *file; /* NULL: standard input, or a followed file that is not there yet */
    const char *path;
    bool is_stdin, follow;
    bool skipping; /* the rest of an over-long line */
    bool replaced; /* what `path` names is another file by now */
    bool said;
    int64_t every_ns;
    uint64_t offset, inode;
    size_t line_max;
    struct yd_str name;
    struct yd_buf pending; /* read and not yet emitted; ends in a part of a line */
    struct yd_builder *builder;
};

static int open_input(struct lines_pump *lines)
{
    struct yd_stat stat;
    struct yd_file *file = NULL;
    int error = yd_fs_open(yd_pump_fs(lines->pump), lines->path, YD_OPEN_READ, &file);
    if (error == 0) error = yd_file_stat(file, &stat);
    if (error == 0 && stat.node == YD_NODE_DIR) error = YD_EINVAL;
    if (error < 0) {
        yd_file_close(file);
        return error;
    }
    lines->file = file;
    lines->inode = stat.inode;
    lines->offset = 0;
    return 0;
}

static int start(struct yd_pump *pump, void *state, void *element_state)
{
    struct lines_pump *lines = state;
    const struct yd_args *args = yd_pump_args(pump);
    (void)element_state;
    lines->pump = pump;
    lines->path = yd_args_text(args, "path").data;
    lines->is_stdin = strcmp(lines->path, "-") == 0;
    lines->follow = yd_args_bool(args, "follow");
    lines->every_ns = yd_args_int(args, "every");
    lines->line_max = (size_t)yd_args_int(args, "line_max");
    lines->name = yd_args_text(args, "name");
    yd_buf_init(&lines->pending, NULL);
    int error = lines->is_stdin ? 0 : open_input(lines);
    if (error == YD_ENOENT && lines->follow) error = 0;
    if (error < 0)
        return yd_pump_fail(pump, error, "cannot read %s: %s; give a file that exists, or follow: true to wait for it",
                            lines->path, error == YD_EINVAL ? "a folder" : yd_error_text(error));
    struct yd_stat stat;
    if (lines->file && yd_str_eq(yd_args_text(args, "from"), YD_STR("end")) && yd_file_stat(lines->file, &stat) == 0)
        lines->offset = stat.size;
    error = yd_builder_create(NULL, &lines->builder);
    if (error < 0) yd_file_close(lines->file);
    return error;
}

static void stop(void *state)
{
    struct lines_pump *lines = state;
    yd_file_close(lines->file);
    yd_buf_fini(&lines->pending);
    yd_builder_destroy(lines->builder);
    yd_pump_stopped(lines->pump);
}

static void emit_built(struct lines_pump *lines)
{
    struct yd_batch *batch;
    if (yd_builder_seal(lines->builder, &batch) == 0) (void)yd_pump_emit(lines->pump, PORT_OUTPUT, batch);
}

/* The line as a record, or why not: YD_ETOOBIG, YD_EFORMAT; YD_EFULL: seal first. */
static int build_line(struct yd_builder *builder, struct yd_str name, size_t line_max, struct yd_str line,
                      int64_t wall_ns)
{
    uint32_t index;
    if (line.size > line_max) return YD_ETOOBIG;
    if (!yd_text_utf8(line)) return YD_EFORMAT;
    int error = yd_builder_name(builder, name, &index);
    return error < 0 ? error : yd_builder_add_bytes(builder, wall_ns, index, YD_EVENT, YD_TEXT, 0, line);
}

static struct yd_str without_cr(struct yd_str line)
{
    return (struct yd_str){line.data, line.size - (line.size && line.data[line.size - 1] == '\r')};
}

static struct yd_str shown(struct yd_str line)
{
    return (struct yd_str){line.data, YD_MIN(line.size, 200)};
}

static void add_line(struct lines_pump *lines, struct yd_str line)
{
    int64_t wall = yd_pump_wall(lines->pump);
    line = without_cr(line);
    int error = build_line(lines->builder, lines->name, lines->line_max, line, wall);
    if (error == YD_EFULL) {
        emit_built(lines);
        error = build_line(lines->builder, lines->name, lines->line_max, line, wall);
    }
    if (error == 0) return;
    yd_pump_count_rejected(lines->pump, error == YD_EFORMAT ? REASON_TEXT : REASON_LONG, 1, shown(line),
                           yd_str_of(lines->path));
}

/* Emits the whole lines that are pending; `last`: also what has no newline. */
static void split(struct lines_pump *lines, bool last)
{
    struct yd_str rest = yd_buf_view(&lines->pending);
    for (;;) {
        const char *end = rest.size ? memchr(rest.data, '\n', rest.size) : NULL;
        if (!end) break;
        size_t size = (size_t)(end - rest.data);
        if (!lines->skipping) add_line(lines, (struct yd_str){rest.data, size});
        lines->skipping = false;
        rest.data += size + 1;
        rest.size -= size + 1;
    }
    bool too_long = rest.size > lines->line_max + 1; /* room for a CR, whose LF is still to come */
    if (rest.size && !lines->skipping && (last || too_long)) {
        add_line(lines, rest);
        lines->skipping = true;
    }
    if (lines->skipping) rest.size = 0;
    if (last) lines->skipping = false;
    yd_buf_consume(&lines->pending, lines->pending.size - rest.size);
    emit_built(lines);
}

/* Does `path` name another file, or was this one cut? */
static bool is_replaced(struct lines_pump *lines)
{
    struct yd_stat now;
    if (yd_fs_stat(yd_pump_fs(lines->pump), lines->path, &now) < 0) return false;
    return !lines->file || now.inode != lines->inode || now.size < lines->offset;
}

/* True: read at once. */
static bool go_on(struct lines_pump *lines)
{
    if (!lines->replaced) {
        lines->replaced = is_replaced(lines);
        if (lines->replaced && lines->file) return true; /* the old one once more */
    }
    if (!lines->replaced) return false;
    lines->replaced = false;
    split(lines, true);
    yd_file_close(lines->file);
    lines->file = NULL;
    int error = open_input(lines);
    if (error < 0 && error != YD_ENOENT && !lines->said)
        yd_pump_say(lines->pump, 1, "%s: %s; it is tried again", lines->path,
                    error == YD_EINVAL ? "a folder" : yd_error_text(error));
    lines->said = error < 0 && error != YD_ENOENT;
    return error == 0;
}

static void at_end(struct lines_pump *lines)
{
    if (lines->follow && !lines->is_stdin) {
        if (!go_on(lines)) yd_pump_sleep(lines->pump, lines->every_ns);
        return;
    }
    split(lines, true);
    yd_pump_end(lines->pump);
}

static void run(void *state)
{
    struct lines_pump *lines = state;
    size_t size = 0;
    char *to = yd_buf_reserve(&lines->pending, BLOCK_SIZE);
    int error = to ? YD_EEOF : YD_ENOMEM;
    if (to && lines->is_stdin) {
        error = yd_stdin_read(to, BLOCK_SIZE, 200 * YD_NS_PER_MS, &size);
    } else if (to && lines->file) {
        error = yd_file_read(lines->file, to, BLOCK_SIZE, lines->offset, &size);
        if (error == 0 && size == 0) error = YD_EEOF;
    }
    if (error == YD_EAGAIN) return;
    if (error == 0) {
        lines->pending.size += size;
        lines->offset += size;
        split(lines, false);
    } else if (error == YD_EEOF) {
        at_end(lines);
    } else {
        yd_pump_say(lines->pump, 2, "%s: %s; reading stops here", lines->path, yd_error_text(error));
        split(lines, true);
        yd_pump_end(lines->pump);
    }
}

/* As if the bytes had been read, to the end of a file. */
static int feed(void *state, struct yd_str bytes, struct yd_out *out, int64_t wall_ns)
{
    (void)state;
    const struct yd_args *args = yd_element_args(yd_out_element(out));
    struct yd_str name = yd_args_text(args, "name");
    size_t line_max = (size_t)yd_args_int(args, "line_max");
    struct yd_builder *builder;
    struct yd_batch *batch;
    int error = yd_builder_create(NULL, &builder);
    if (error < 0) return error;
    while (bytes.size) {
        const char *end = memchr(bytes.data, '\n', bytes.size);
        struct yd_str whole = {bytes.data, end ? (size_t)(end - bytes.data) : bytes.size}, line = without_cr(whole);
        error = build_line(builder, name, line_max, line, wall_ns);
        if (error == YD_EFULL) {
            error = yd_builder_seal(builder, &batch);
            if (error == 0) error = yd_emit(out, PORT_OUTPUT, batch);
            if (error == 0) error = build_line(builder, name, line_max, line, wall_ns);
        }
        if (error == YD_ETOOBIG || error == YD_EFORMAT)
            yd_count_rejected(out, error == YD_EFORMAT ? REASON_TEXT : REASON_LONG, 1, shown(line));
        else if (error < 0)
            break;
        error = 0;
        bytes.data += whole.size + (end != NULL);
        bytes.size -= whole.size + (end != NULL);
    }
    if (error == 0) error = yd_builder_seal(builder, &batch);
    if (error == 0) error = yd_emit(out, PORT_OUTPUT, batch);
    yd_builder_destroy(builder);
    return error == YD_EAGAIN ? 0 : error;
}

static int check(const struct yd_args *args, char *why, size_t why_size)
{
    return yd_own_name_check(args, "name", why, why_size);
}

static const struct yd_pump_class pump_class = {
    .state_size = sizeof(struct lines_pump),
    .files = true,
    .start = start,
    .stop = stop,
    .run = run,
};

static const struct yd_port_class ports[] = {
    [PORT_OUTPUT] = {.name = "output",
                     .direction = YD_OUT,
                     .mode = YD_PUSH,
                     .kinds = YD_KIND_BIT(YD_EVENT),
                     .flags = YD_PORT_REQUIRED,
                     .doc = "One EVENT a line, stamped when it was read."},
    {.name = NULL},
};

static const char *const from_words[] = {"start", "end", NULL};
static const struct yd_param_class params[] = {
    {.name = "path", .type = YD_PARAM_TEXT, .initial = "\"-\"", .doc = "The file; `-` is standard input."},
    {.name = "follow",
     .type = YD_PARAM_BOOL,
     .initial = "false",
     .doc = "Go on as the file grows, through rotation, for ever; otherwise END at its end."},
    {.name = "from", .type = YD_PARAM_TEXT, .initial = "\"start\"", .oneof = from_words, .doc = "Where to begin."},
    {.name = "every",
     .type = YD_PARAM_DURATION,
     .initial = "200ms",
     .min = 1e6,
     .max = 3.6e12,
     .doc = "How often a followed file is looked at."},
    {.name = "name", .type = YD_PARAM_TEXT, .initial = "\"line\"", .doc = "The name of the records."},
    {.name = "line_max",
     .type = YD_PARAM_SIZE,
     .initial = "64KiB",
     .min = 16,
     .max = 524288,
     .doc = "Longer lines are rejected and counted; the next one is good again."},
    {.name = NULL},
};

static const char *const reasons[] = {[REASON_LONG] = "line too long", [REASON_TEXT] = "not UTF-8", NULL};

const struct yd_element_class yd_class_lines = {
    .abi = YD_ELEMENT_ABI,
    .flags = YD_CLASS_SOURCE,
    .name = "Lines",
    .summary = "reads a text file or standard input line by line",
    .doc = "Reads to the end and says END, or follows the file as it grows. Rotation by renaming and by truncation is "
           "noticed; the rest of the old file is read first.",
    .example = "Lines(path: \"/var/log/syslog\", follow: true, from: \"end\") -> Print()",
    .ports = ports,
    .params = params,
    .reasons = reasons,
    .state_size = 1,
    .check = check,
    .feed = feed,
    .pump = &pump_class,
};
