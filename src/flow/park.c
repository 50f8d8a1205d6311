/* Poison, kept: batches that crash their element again and again go to a Log of their own (DATA/parked/ELEMENT), so
 * that a person can look at them (`yarder log cat`) and feed them again. Opened with the first one. */
#include <stdio.h>
#include <stdlib.h>

#include "flow/runtime.h"

static int open_log(struct yd_element *e)
{
    struct yd_run *run = e->run;
    char *dir, *stream;
    if (asprintf(&dir, "%s/parked/%s", run->data, e->node->name) < 0) return YD_ENOMEM;
    if (asprintf(&stream, "parked/%s", e->node->name) < 0) {
        free(dir);
        return YD_ENOMEM;
    }
    struct yd_log_options options = {.fs = run->options.fs,
                                     .dir = dir,
                                     .stream = stream,
                                     .random = run->world_random,
                                     .wall = run->world_wall,
                                     .clock_arg = run};
    struct yd_log_recovery recovery;
    int error = yd_log_open(&options, &e->park_log, &recovery, NULL);
    free(dir);
    free(stream);
    return error;
}

static void park(void *arg) /* on the lane */
{
    struct yd_element *e = arg;
    struct yd_log_appended appended;
    struct yd_batch *batch = e->park_item.batch, *plain = NULL;
    int error = e->park_log ? 0 : open_log(e);
    if (error >= 0 && batch->header.producer_id) { /* not a range of anybody here: it must not count as a duplicate */
        struct yd_header header = batch->header;
        header.producer_id = header.producer_seq = header.producer_epoch = 0;
        error = yd_batch_restamp(batch, &header, &plain);
    }
    if (error >= 0) error = yd_log_append(e->park_log, plain ? plain : batch, -1, UINT64_MAX, &appended);
    if (error >= 0) error = yd_log_flush(e->park_log);
    yd_batch_unref(plain);
    yd__tell(e->run, e->pid, YD__ENV_PARKED, (uint64_t)(int64_t)error, 0);
}

void yd__park(struct yd_element *e, struct yd__item *item)
{
    e->park_item = *item;
    item->batch = NULL;
    item->ticket = NULL;
    int error = yd_lane_submit(e->lane, park, NULL, NULL, e);
    if (error < 0) yd__tell(e->run, e->pid, YD__ENV_PARKED, (uint64_t)(int64_t)error, 0);
}
