/* What the line harnesses share. The first byte says how: in pieces of which size, by the portable way or not.
 * Checked: both ways agree on what every batch holds, batches pass the reader's checks, and lines = records + rejects
 * + commands. */
#ifndef TESTS_FUZZ_LINES_H
#define TESTS_FUZZ_LINES_H

#include <stdlib.h>

#include "base/hash.h"
#include "elements/lines.h"

struct fuzz_sums {
    uint64_t records, others, hash;
};

static inline void fuzz_batch(void *arg, struct yd_batch *batch)
{
    struct fuzz_sums *sums = arg;
    struct yd_view view;
    YD_ASSERT(yd_view_open(&batch->header, batch->body->data, true, &view) == 0);
    for (uint32_t i = 0; i < view.count; i++) {
        const struct yd_record *record = &view.records[i];
        struct yd_str name = yd_view_name(&view, record->name);
        char again[YD_NAME_SIZE_MAX];
        size_t size;
        YD_ASSERT(yd_name_canonical(name, again, &size) == 0 && yd_str_eq(name, (struct yd_str){again, size}));
        sums->hash = sums->hash * 31 + yd_hash_str(name);
        sums->hash = sums->hash * 31 + record->value.bits;
        sums->hash = sums->hash * 31 + (uint64_t)record->time_ns;
    }
    sums->records += view.count;
    yd_batch_unref(batch);
}

static inline void fuzz_reject(void *arg, enum yd_line_reason reason, struct yd_str line)
{
    struct fuzz_sums *sums = arg;
    (void)line;
    sums->others++;
    sums->hash = sums->hash * 31 + reason;
}

static inline void fuzz_command(void *arg, struct yd_str line)
{
    fuzz_reject(arg, YD_LINE_COMMAND, line);
}

static inline struct fuzz_sums fuzz_parse(const struct yd_lines_format *format, bool portable, const char *data,
                                          size_t size, size_t piece_max)
{
    struct fuzz_sums sums = {0};
    struct yd_lines_options options = {.format = format,
                                       .sink = {&sums, fuzz_batch, fuzz_reject, fuzz_command},
                                       .portable = portable,
                                       .line_max = 1024,
                                       .batch_bytes = 16384};
    struct yd_lines *lines;
    struct yd_lines_tail tail = {0};
    YD_ASSERT(yd_lines_create(&options, &lines) == 0);
    yd_lines_set_now(lines, 1);
    while (size) {
        char *to;
        size_t room, piece;
        yd_lines_room(lines, &tail, &to, &room);
        piece = YD_MIN(YD_MIN(piece_max, room), size);
        memcpy(to, data, piece);
        yd_lines_data(lines, &tail, piece);
        data += piece, size -= piece;
    }
    yd_lines_ended(lines, &tail, true);
    yd_lines_flush(lines);
    YD_ASSERT(yd_lines_count(lines) == sums.records + sums.others);
    yd_lines_destroy(lines);
    return sums;
}

static inline int fuzz_lines(const struct yd_lines_format *format, const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    size_t piece_max = data[0] ? (size_t)data[0] : SIZE_MAX;
    struct fuzz_sums wide = fuzz_parse(format, false, (const char *)data + 1, size - 1, piece_max);
    struct fuzz_sums portable = fuzz_parse(format, true, (const char *)data + 1, size - 1, piece_max);
    YD_ASSERT(wide.records == portable.records && wide.others == portable.others && wide.hash == portable.hash);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
