/* Lines: a text file or standard input, line by line, to its end or following it as it grows.
 *
 *   run (file thread): read a block --> split --> EVENT records --> emit; at the end: END, or sleep and look again
 *
 * A followed file may be rotated (another inode, or shorter than before): the rest of the old one is read first. */
#include <yarder/element.h>

#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "io/file.h"
#include "io/stdio.h"

enum { PORT_OUTPUT };
enum { REASON_LONG, REASON_TEXT };
#define BLOCK_SIZE (256u << 10)

struct lines_pump {
    struct yd_pump *pump;
    struct yd_file *file; /* NULL: standard input, or a followed file that is not there yet */
    const char *path;
    bool is_stdin, follow, skipping; /* skipping: the rest of an over-long line */
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
    int error = yd_fs_open(yd_pump_fs(lines->pump), lines->path, YD_OPEN_READ, &lines->file);
    if (error == 0) error = yd_file_stat(lines->file, &stat);
    if (error == 0 && stat.node == YD_NODE_DIR) error = YD_EINVAL;
    if (error < 0) return error;
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
    int error = yd_builder_create(NULL, &lines->builder);
    if (error == 0 && !lines->is_stdin) {
        error = open_input(lines);
        if (error == YD_ENOENT && lines->follow) return 0;
        if (error < 0)
            return yd_pump_fail(pump, error,
                                "cannot read %s: %s; give a file that exists, or follow: true to wait for it",
                                lines->path, yd_error_text(error));
        struct yd_stat stat;
        if (yd_str_eq(yd_args_text(args, "from"), YD_STR("end")) && yd_file_stat(lines->file, &stat) == 0)
            lines->offset = stat.size;
    }
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

static void add_line(struct lines_pump *lines, struct yd_str line)
{
    if (line.size && line.data[line.size - 1] == '\r') line.size--;
    if (line.size > lines->line_max) {
        yd_pump_count_rejected(lines->pump, REASON_LONG, 1, (struct yd_str){line.data, 200}, yd_str_of(lines->path));
        return;
    }
    if (!yd_text_utf8(line)) {
        yd_pump_count_rejected(lines->pump, REASON_TEXT, 1, line, yd_str_of(lines->path));
        return;
    }
    for (int try = 0; try < 2; try++) {
        uint32_t name;
        int error = yd_builder_name(lines->builder, lines->name, &name);
        if (error == 0)
            error = yd_builder_add_bytes(lines->builder, yd_pump_wall(lines->pump), name, YD_EVENT, YD_TEXT, 0, line);
        if (error == 0) return;
        emit_built(lines);
    }
    yd_pump_count_rejected(lines->pump, REASON_LONG, 1, (struct yd_str){line.data, YD_MIN(line.size, 200)},
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
    if (rest.size && !lines->skipping && (last || rest.size > lines->line_max)) {
        add_line(lines, rest);
        lines->skipping = !last;
        rest.size = 0;
    } else if (lines->skipping) {
        rest.size = 0;
    }
    yd_buf_consume(&lines->pending, lines->pending.size - rest.size);
    emit_built(lines);
}

/* The file was replaced or cut: go on with the new one. */
static bool rotated(struct lines_pump *lines)
{
    struct yd_stat now;
    if (yd_fs_stat(yd_pump_fs(lines->pump), lines->path, &now) < 0) return false;
    if (lines->file && now.inode == lines->inode && now.size >= lines->offset) return false;
    split(lines, true);
    yd_file_close(lines->file);
    lines->file = NULL;
    return open_input(lines) == 0;
}

static void at_end(struct lines_pump *lines)
{
    if (lines->follow && !lines->is_stdin) {
        if (!rotated(lines)) yd_pump_sleep(lines->pump, lines->every_ns);
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
        yd_pump_end(lines->pump);
    }
}

/* As if the bytes had been read; the element's state holds nothing, so whole lines only. */
static int feed(void *state, struct yd_str bytes, struct yd_out *out, int64_t wall_ns)
{
    (void)state;
    struct yd_builder *builder;
    struct yd_batch *batch;
    int error = yd_builder_create(NULL, &builder);
    while (error == 0 && bytes.size) {
        const char *end = memchr(bytes.data, '\n', bytes.size);
        struct yd_str line = {bytes.data, end ? (size_t)(end - bytes.data) : bytes.size};
        uint32_t name;
        error = yd_builder_name(builder, YD_STR("line"), &name);
        if (error == 0) error = yd_builder_add_bytes(builder, wall_ns, name, YD_EVENT, YD_TEXT, 0, line);
        bytes.data += line.size + (end != NULL);
        bytes.size -= line.size + (end != NULL);
    }
    if (error == 0) error = yd_builder_seal(builder, &batch);
    if (error == 0) error = yd_emit(out, PORT_OUTPUT, batch);
    yd_builder_destroy(builder);
    return error == YD_EAGAIN ? 0 : error;
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
    .feed = feed,
    .pump = &pump_class,
};
