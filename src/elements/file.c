/* File: records to a text file, appended; acknowledged once written, or once synced.
 *
 * What arrives while one batch is being written is synced together with what came before it: one sync serves a run of
 * commands, and is made when the pump has nothing else to do (`run`). */
#include "io/file.h"
#include "elements/text_sink.h"

#include <stdlib.h>

enum { PORT_INPUT };
#define SYNC_RUN_MAX 4096

struct file_pump {
    struct yd_pump *pump;
    struct yd_file *file;
    enum yd_text_form form;
    uint64_t size, size_max;
    const char *path;
    bool sync, full_said;
    int failed; /* a failed sync is final */
    struct yd_buf text;
    uint64_t waiting[SYNC_RUN_MAX]; /* holds written and not yet synced */
    size_t waiting_count;
};

static int open_file(struct file_pump *file, unsigned flags)
{
    struct yd_stat stat;
    int error = yd_fs_open(yd_pump_fs(file->pump), file->path, YD_OPEN_WRITE | YD_OPEN_CREATE | flags, &file->file);
    if (error == 0) error = yd_file_stat(file->file, &stat);
    if (error < 0) return error;
    file->size = stat.size;
    return 0;
}

static int start(struct yd_pump *pump, void *state, void *element_state)
{
    struct file_pump *file = state;
    const struct yd_args *args = yd_pump_args(pump);
    (void)element_state;
    file->pump = pump;
    file->path = yd_args_text(args, "path").data;
    file->form = yd_text_form_of(yd_args_text(args, "format"));
    file->sync = yd_args_bool(args, "sync");
    file->size_max = (uint64_t)yd_args_int(args, "size_max");
    yd_buf_init(&file->text, NULL);
    int error = open_file(file, yd_args_bool(args, "append") ? 0 : YD_OPEN_TRUNCATE);
    if (error < 0)
        return yd_pump_fail(pump, error, "cannot write %s: %s; give a path in a folder that exists and is writable",
                            file->path, yd_error_text(error));
    return 0;
}

static void sync_waiting(struct file_pump *file)
{
    if (file->waiting_count == 0) return;
    int error = file->failed ? file->failed : yd_file_sync(file->file);
    if (error < 0 && !file->failed) {
        file->failed = error;
        yd_pump_say(file->pump, 2, "%s: a sync failed (%s): nothing more is acknowledged until a restart", file->path,
                    yd_error_text(error));
    }
    for (size_t i = 0; i < file->waiting_count; i++) yd_text_sink_tell(file->pump, file->waiting[i], error, 3);
    file->waiting_count = 0;
}

static void stop(void *state)
{
    struct file_pump *file = state;
    sync_waiting(file);
    yd_file_close(file->file);
    yd_buf_fini(&file->text);
    yd_pump_stopped(file->pump);
}

/* FILE becomes FILE.1, what was FILE.1 goes: at most twice size_max on disk. */
static int roll(struct file_pump *file)
{
    struct yd_fs *fs = yd_pump_fs(file->pump);
    struct yd_buf old;
    sync_waiting(file);
    yd_buf_init(&old, NULL);
    yd_buf_printf(&old, "%s.1", file->path);
    yd_buf_char(&old, 0);
    int error = old.failed ? YD_ENOMEM : yd_fs_rename(fs, file->path, old.data);
    yd_buf_fini(&old);
    if (error < 0) return error;
    yd_file_close(file->file);
    file->file = NULL;
    return open_file(file, 0);
}

static int write_text(struct file_pump *file)
{
    if (file->text.failed) return YD_ENOMEM;
    int error = 0;
    if (file->size_max && file->size > 0 && file->size + file->text.size > file->size_max) error = roll(file);
    if (error == 0 && !file->file) error = open_file(file, 0);
    if (error == 0) error = yd_file_write(file->file, file->text.data, file->text.size, file->size);
    if (error == 0) file->size += file->text.size;
    return error;
}

static void command(void *state, struct yd_command *command)
{
    struct file_pump *file = state;
    if (command->type != YD_SINK_WRITE) return;
    yd_buf_clear(&file->text);
    yd_text_form_batch(file->form, command->batch, &file->text);
    int error = file->failed ? file->failed : write_text(file);
    if (error < 0 && !file->full_said)
        yd_pump_say(file->pump, 2, "%s: %s; records are dropped until it can be written again", file->path,
                    yd_error_text(error));
    file->full_said = error < 0;
    if (error < 0 || !file->sync) {
        yd_text_sink_tell(file->pump, command->arg, error, 2);
        return;
    }
    file->waiting[file->waiting_count++] = command->arg;
    if (file->waiting_count == SYNC_RUN_MAX)
        sync_waiting(file);
    else
        yd_pump_sleep(file->pump, 0);
}

/* Nothing else to do for the moment: what was written since the last sync is synced now. */
static void run(void *state)
{
    struct file_pump *file = state;
    sync_waiting(file);
    yd_pump_sleep(file->pump, INT64_MAX);
}

static const struct yd_pump_class pump_class = {
    .state_size = sizeof(struct file_pump),
    .files = true,
    .start = start,
    .stop = stop,
    .command = command,
    .run = run,
};

static const struct yd_port_class ports[] = {
    [PORT_INPUT] = {.name = "input",
                    .direction = YD_IN,
                    .mode = YD_PUSH,
                    .kinds = YD_KINDS_ALL,
                    .flags = YD_PORT_REQUIRED,
                    .doc = "Records of any kind."},
    {.name = NULL},
};

static const struct yd_param_class params[] = {
    {.name = "path",
     .type = YD_PARAM_TEXT,
     .flags = YD_PARAM_REQUIRED | YD_PARAM_WRITES,
     .doc = "The file, relative to the working directory."},
    {.name = "format",
     .type = YD_PARAM_TEXT,
     .initial = "\"json\"",
     .oneof = yd_text_forms,
     .doc = "`json`: one object a line; `line`: time, name and value; `value`: the value alone."},
    {.name = "append", .type = YD_PARAM_BOOL, .initial = "true", .doc = "Go on at the end of a file that is there."},
    {.name = "sync",
     .type = YD_PARAM_BOOL,
     .initial = "false",
     .doc = "Acknowledge only what is on the device; one sync serves all that arrived before it."},
    {.name = "size_max",
     .type = YD_PARAM_SIZE,
     .flags = YD_PARAM_DISK,
     .min = 4096,
     .max = 1e15,
     .doc = "Start a new file when this size is reached; the old one is kept once, as `PATH.1`."},
    {.name = NULL},
};

const struct yd_element_class yd_class_file = {
    .abi = YD_ELEMENT_ABI,
    .name = "File",
    .summary = "appends records to a text file",
    .doc =
        "One line a record, acknowledged once the kernel has it, or with `sync` once the device has it. What cannot be "
        "written is answered as failed, so that a cursor in front of it does not move on.",
    .example = "graphite.rejects -[full: drop_old]-> File(path: \"rejects.txt\")",
    .ports = ports,
    .params = params,
    .receive = yd_text_sink_receive,
    .pump = &pump_class,
};
