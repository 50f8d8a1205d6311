/* Any bytes as a segment file, beside a control page that knows its log: opening, reading and verifying must neither
 * crash nor invent. What recovery keeps is read back without an error of its own. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "io/sim_file.h"
#include <yarder/log.h>

#include "base/text.h"
#include "io/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t seven(void *arg)
{
    (void)arg;
    return 7; /* the log_id that the corpus may guess */
}
static int64_t still(void *arg)
{
    (void)arg;
    return 0;
}

static void read_everything(struct yd_log *log)
{
    struct yd_log_start start = {.from = YD_FROM_OLDEST};
    struct yd_log_reader *reader;
    if (yd_log_reader_open(log, &start, &reader)) return;
    struct yd_batch *batch;
    struct yd_log_gap gap;
    uint64_t at = 0;
    for (;;) {
        int error = yd_log_reader_next(reader, &batch, &gap);
        if (error == YD_EGAP) {
            YD_ASSERT(gap.to > at);
            at = gap.to;
            continue;
        }
        if (error) break;
        YD_ASSERT(batch->header.base_seqno + batch->header.count > at);
        at = batch->header.base_seqno + batch->header.count;
        yd_batch_unref(batch);
    }
    yd_log_reader_close(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct yd_fs *fs;
    if (size == 0 || yd_sim_fs_create(1, &fs)) return 0;
    struct yd_log_options options = {.fs = fs,
                                     .dir = "d",
                                     .stream = "s",
                                     .random = seven,
                                     .wall = still,
                                     .segment_size_min = 8192,
                                     .segment_size_max = 8192};
    struct yd_log *log;
    struct yd_builder *builder;
    struct yd_batch *batch;
    struct yd_log_appended appended;
    uint32_t name;
    if (yd_log_open(&options, &log, NULL, NULL) || yd_builder_create(&(struct yd_builder_options){0}, &builder))
        abort();
    if (yd_builder_name(builder, YD_STR("n"), &name)) abort();
    for (int i = 0; i < 3; i++) {
        if (yd_builder_add(builder, i, name, YD_SAMPLE, YD_U64, 0, (union yd_value){.u64 = 1})) abort();
        if (yd_builder_seal(builder, &batch)) abort();
        if (yd_log_append(log, batch, -1, UINT64_MAX, &appended) || yd_log_flush(log)) abort();
        yd_batch_unref(batch);
        if (yd_builder_name(builder, YD_STR("n"), &name)) abort();
    }
    yd_builder_destroy(builder);
    /* The first byte says what is overwritten, the second where; the third whether the log was closed in order. */
    static const char *const files[] = {"d/00000000000000000000.ylog", "d/control", "d/00000000000000000000.yidx"};
    if (size > 2 && data[2] & 1) {
        if (yd_log_close(log)) abort();
    } else {
        yd_sim_fs_crash(fs);
        (void)yd_log_close(log);
    }
    struct yd_file *file;
    if (size > 3 && yd_fs_open(fs, files[data[0] % 3], YD_OPEN_READ | YD_OPEN_WRITE, &file) == 0) {
        if (yd_file_write(file, data + 3, size - 3, (uint64_t)data[1] * 64)) abort();
        yd_file_close(file);
    }
    struct yd_log_verify_report report;
    (void)yd_log_verify_dir(fs, "d", &report, NULL, NULL);
    struct yd_log_stat stat;
    (void)yd_log_stat_dir(fs, "d", &stat, NULL);
    if (yd_log_open(&options, &log, NULL, NULL) == 0) {
        read_everything(log);
        (void)yd_log_maintain(log);
        (void)yd_log_close(log);
    }
    yd_sim_fs_destroy(fs);
    return 0;
}
