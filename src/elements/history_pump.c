/* The keeper's thread of a History. See history_pump.h.
 *
 * Commands come in order, so what is written is what was taken up to the commit; between them the keeper merges and
 * reads beforehand, a slice at a time. What can fail: the disk, told with the commit, or said. */
#include "elements/history_pump.h"

#include <stdio.h>
#include <stdlib.h>

#include "io/file.h"

#define WORK_RETRY (30 * YD_NS_PER_S)
#define IDLE_NS    (3600 * YD_NS_PER_S)

void yd_history_told_free(void *opaque)
{
    struct yd_history_told *told = opaque;
    yd_store_change_free(told->change);
    free(told);
}

void yd_history_warm_free(void *opaque)
{
    struct yd_history_warm *warm = opaque;
    yd_warming_free(warm->warming);
    free(warm);
}

void yd_history_saved_notes_free(void *opaque)
{
    struct yd_buf *notes = opaque;
    if (!notes) return;
    yd_buf_fini(notes);
    free(notes);
}

struct history_pump {
    struct yd_pump *pump;
    struct yd_history_disk *disk;
    struct yd_fs *fs;
    int64_t newest;
};

static int pump_start(struct yd_pump *pump, void *opaque, void *element_state)
{
    struct history_pump *p = opaque;
    p->pump = pump;
    p->disk = element_state;
    p->newest = INT64_MIN;
    p->fs = yd_element_fs(p->disk->element);
    p->disk->pump = pump;
    return 0;
}

static void pump_stop(void *opaque)
{
    struct history_pump *p = opaque;
    yd_keeper_abandon(p->disk->keeper);
    yd_pump_stopped(p->pump);
}

static void tell(struct history_pump *p, bool commit, int error, struct yd_store_change *change,
                 const struct yd_trail *trail)
{
    struct yd_history_told *told = calloc(1, sizeof *told);
    YD_ASSERT(told); /* a few bytes: without them nothing can be told at all */
    told->commit = commit;
    told->error = error;
    told->change = change;
    const char *text = error ? yd_trail_text(trail) : "";
    snprintf(told->text, sizeof told->text, "%s", *text || !error ? text : yd_error_text(error));
    (void)yd_pump_tell(p->pump, commit ? YD_HISTORY_TOLD_COMMIT : YD_HISTORY_TOLD_CHANGE, NULL, told,
                       yd_history_told_free);
}

/* Before the commit: with it they are acknowledged. If it fails they are newer than what is, which does no harm. */
static int write_notes(struct history_pump *p, const struct yd_buf *notes, struct yd_trail *trail)
{
    const char *path = p->disk->notes_path;
    int r = yd_fs_replace(p->fs, path, notes->data, notes->size);
    return r < 0 ? yd_trail_add(trail, r, "cannot write %s: %s", path, yd_error_text(r)) : 0;
}

static void pump_command(void *opaque, struct yd_command *command)
{
    struct history_pump *p = opaque;
    struct yd_keeper *keeper = p->disk->keeper;
    struct yd_store_change *change = NULL;
    struct yd_trail trail = {0};
    void *data = command->data;
    command->data = NULL;
    switch (command->type) {
    case YD_HISTORY_PIECE:
        (void)yd_keeper_take(keeper, data); /* an error sticks until the commit */
        break;
    case YD_HISTORY_COMMIT: {
        p->newest = (int64_t)command->arg;
        int error = data ? write_notes(p, data, &trail) : 0;
        yd_history_saved_notes_free(data);
        if (error < 0)
            yd_keeper_abandon(keeper);
        else
            error = yd_keeper_commit(keeper, p->newest, &change, &trail);
        tell(p, true, error, change, &trail);
        yd_pump_sleep(p->pump, 1); /* there may be something to merge */
        break;
    }
    case YD_HISTORY_RETIRE:
        yd_keeper_retire(keeper, data);
        break;
    case YD_HISTORY_WARM:
        yd_warming_do(((struct yd_history_warm *)data)->warming);
        (void)yd_pump_tell(p->pump, YD_HISTORY_TOLD_WARM, NULL, data, yd_history_warm_free);
        break;
    default:
        break;
    }
}

static void pump_run(void *opaque)
{
    struct history_pump *p = opaque;
    struct yd_store_change *change = NULL;
    struct yd_trail trail = {0};
    int r = yd_keeper_work(p->disk->keeper, p->newest, &change, &trail);
    if (change) tell(p, false, 0, change, NULL);
    if (r < 0) yd_pump_say(p->pump, 2, "%s: %s. It is tried again", yd_trail_text(&trail), yd_error_text(r));
    if (r == 0 && yd_keeper_warm(p->disk->keeper, p->disk->memory)) return;
    if (r <= 0) yd_pump_sleep(p->pump, r ? WORK_RETRY : IDLE_NS);
}

const struct yd_pump_class yd_history_pump = {.state_size = sizeof(struct history_pump),
                                              .files = true,
                                              .start = pump_start,
                                              .stop = pump_stop,
                                              .command = pump_command,
                                              .run = pump_run};
