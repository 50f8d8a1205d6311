/* File: records to a text file, appended; acknowledged once written, or once synced.
 *
 *   command --> text --> write --> acknowledge, or (sync) wait with others: one sync serves a run of commands, made by
 *                          |       `run` when the lane has nothing else to do
 *                          no room, an error: kept in order, and tried again by `run` every second. What is kept stays
 *                          counted as queued by the wires, so senders wait
 *
 * A failed sync is final, since nobody knows what has become of what was written: nothing more is acknowledged, and a
 * cursor stays where it is. */
#include "io/file.h"
#include "elements/text_sink.h"

#include <stdlib.h>

enum { PORT_INPUT };
#define SYNC_RUN_MAX 4096
#define RETRY_NS     YD_NS_PER_S

struct unwritten {
    struct yd_batch *batch;
    uint64_t hold;
};

struct file_pump {
    struct yd_pump *pump;
    struct yd_file *file; /* NULL: could not be opened anew */
    enum yd_text_form form;
    uint64_t size, size_max;
    const char *path;
    char *folder;
    bool sync, failed;
    bool torn;    /* behind `size` there are bytes of a write that failed */
    bool unnamed; /* a crash may take the file's name: its folder is not synced yet */
    struct yd_buf text;
    struct unwritten *unwritten;
    size_t unwritten_count, unwritten_capacity;
    uint64_t waiting[SYNC_RUN_MAX]; /* holds written and not yet synced */
    size_t waiting_count;
};

static int open_file(struct file_pump *file, unsigned flags)
{
    struct yd_stat stat;
    int error = yd_fs_open(yd_pump_fs(file->pump), file->path, YD_OPEN_WRITE | YD_OPEN_CREATE | flags, &file->file);
    if (error < 0) return error;
    error = yd_file_stat(file->file, &stat);
    if (error < 0) {
        yd_file_close(file->file);
        file->file = NULL;
        return error;
    }
    file->size = stat.size;
    file->unnamed = true;
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
    file->folder = yd_fs_parent(file->path);
    if (!file->folder) return YD_ENOMEM;
    int error = open_file(file, yd_args_bool(args, "append") ? 0 : YD_OPEN_TRUNCATE);
    if (error == 0) return 0;
    free(file->folder);
    return yd_pump_fail(pump, error, "cannot write %s: %s; give a path in a folder that exists and is writable",
                        file->path, yd_error_text(error));
}

/* ---- acknowledging ---- */

static void fail_unwritten(struct file_pump *file, int error)
{
    for (size_t i = 0; i < file->unwritten_count; i++) {
        if (!file->unwritten[i].batch) continue; /* written just now, and told */
        yd_text_sink_tell(file->pump, file->unwritten[i].hold, error, 0);
        yd_batch_unref(file->unwritten[i].batch);
    }
    file->unwritten_count = 0;
}

static int sync_file(struct file_pump *file)
{
    int error = yd_file_sync(file->file);
    if (error == 0 && file->unnamed) error = yd_fs_sync_dir(yd_pump_fs(file->pump), file->folder);
    if (error == 0) file->unnamed = false;
    return error;
}

static void sync_waiting(struct file_pump *file)
{
    if (file->waiting_count == 0) return;
    int error = sync_file(file);
    if (error < 0) {
        file->failed = true;
        yd_pump_say(file->pump, 2, "%s: a sync failed (%s): nothing more is acknowledged until a restart", file->path,
                    yd_error_text(error));
    }
    for (size_t i = 0; i < file->waiting_count; i++)
        yd_text_sink_tell(file->pump, file->waiting[i], error < 0 ? YD_ECLOSED : 0, 3);
    file->waiting_count = 0;
    if (error < 0) fail_unwritten(file, YD_ECLOSED);
}

static void wrote(struct file_pump *file, uint64_t hold)
{
    if (!file->sync) {
        yd_text_sink_tell(file->pump, hold, 0, 2);
        return;
    }
    file->waiting[file->waiting_count++] = hold;
    if (file->waiting_count == SYNC_RUN_MAX) sync_waiting(file);
}

/* ---- writing ---- */

/* FILE becomes FILE.1, what was FILE.1 goes: at most twice size_max on disk. */
static int roll(struct file_pump *file)
{
    struct yd_buf old;
    sync_waiting(file);
    if (file->failed) return YD_ECLOSED;
    yd_buf_init(&old, NULL);
    yd_buf_printf(&old, "%s.1", file->path);
    yd_buf_char(&old, 0);
    int error = old.failed ? YD_ENOMEM : yd_fs_rename(yd_pump_fs(file->pump), file->path, old.data);
    yd_buf_fini(&old);
    if (error < 0) return error;
    yd_file_close(file->file);
    file->file = NULL;
    file->torn = false;
    return 0;
}

/* All of it or, for a reader, nothing of it. */
static int write_batch(struct file_pump *file, const struct yd_batch *batch)
{
    int error = 0;
    yd_buf_clear(&file->text);
    yd_text_form_batch(file->form, batch, &file->text);
    if (file->text.failed) return YD_ENOMEM;
    if (file->torn) error = yd_file_truncate(file->file, file->size);
    if (error < 0) return error;
    file->torn = false;
    if (file->file && file->size_max && file->size > 0 && file->size + file->text.size > file->size_max)
        error = roll(file);
    if (error == 0 && !file->file) error = open_file(file, 0);
    if (error == 0) {
        error = yd_file_write(file->file, file->text.data, file->text.size, file->size);
        if (error < 0) file->torn = yd_file_truncate(file->file, file->size) < 0;
    }
    if (error == 0) file->size += file->text.size;
    return error;
}

static bool keep(struct file_pump *file, struct yd_command *command)
{
    if (file->unwritten_count == file->unwritten_capacity) {
        size_t capacity = file->unwritten_capacity ? file->unwritten_capacity * 2 : 16;
        struct unwritten *unwritten = realloc(file->unwritten, capacity * sizeof *unwritten);
        if (!unwritten) return false;
        file->unwritten = unwritten;
        file->unwritten_capacity = capacity;
    }
    file->unwritten[file->unwritten_count++] = (struct unwritten){command->batch, command->arg};
    command->batch = NULL;
    return true;
}

static void command(void *state, struct yd_command *command)
{
    struct file_pump *file = state;
    if (command->type != YD_SINK_WRITE) return;
    int error = file->unwritten_count ? YD_EAGAIN : file->failed ? YD_ECLOSED : write_batch(file, command->batch);
    if (error == 0) {
        wrote(file, command->arg);
    } else if (file->failed) {
        yd_text_sink_tell(file->pump, command->arg, YD_ECLOSED, 0);
    } else if (!keep(file, command)) {
        yd_text_sink_tell(file->pump, command->arg, YD_ECANCELED, 0);
    } else if (error != YD_EAGAIN) {
        yd_pump_say(file->pump, 2, "%s: %s; it is tried again every second, senders wait", file->path,
                    yd_error_text(error));
    }
    if (error != YD_EAGAIN && (file->waiting_count || file->unwritten_count)) yd_pump_sleep(file->pump, 0);
}

static void write_again(struct file_pump *file)
{
    size_t done = 0;
    for (; done < file->unwritten_count && write_batch(file, file->unwritten[done].batch) == 0; done++) {
        uint64_t hold = file->unwritten[done].hold;
        yd_batch_unref(file->unwritten[done].batch);
        file->unwritten[done].batch = NULL;
        wrote(file, hold);
        if (file->failed) break;
    }
    if (done == 0 || file->failed) return;
    file->unwritten_count -= done;
    memmove(file->unwritten, file->unwritten + done, file->unwritten_count * sizeof *file->unwritten);
    if (file->unwritten_count == 0) yd_pump_say(file->pump, 0, "%s: can be written again", file->path);
}

/* Nothing else to do for the moment: what was written since the last sync is synced now. */
static void run(void *state)
{
    struct file_pump *file = state;
    write_again(file);
    sync_waiting(file);
    yd_pump_sleep(file->pump, file->unwritten_count ? RETRY_NS : INT64_MAX);
}

static void stop(void *state)
{
    struct file_pump *file = state;
    sync_waiting(file);
    fail_unwritten(file, YD_ECANCELED);
    yd_file_close(file->file);
    free(file->unwritten);
    free(file->folder);
    yd_buf_fini(&file->text);
    yd_pump_stopped(file->pump);
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
        "One line a record, acknowledged once the kernel has it, or with `sync` once the device has it. When it cannot "
        "be "
        "written, it is tried again every second, and what comes waits, as the wires' `full` says. After a failed sync "
        "nothing more is acknowledged: a cursor in front of it stays where it is.",
    .example = "graphite.rejects -[full: drop_old]-> File(path: \"rejects.txt\")",
    .ports = ports,
    .params = params,
    .receive = yd_text_sink_receive,
    .pump = &pump_class,
};
