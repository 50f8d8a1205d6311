/* bolo's stream: whatever comes, each line is taken whole or rejected once, batches pass the reader's checks, names are
 * canonical; a small batch size and the usual one agree, and so do names that are known and names that are new. */
#include "base/hash.h"
#include "elements/bolo_lines.h"
#include <yarder/name.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sums {
    uint64_t records, rejects, hash;
};

static void take(void *arg, struct yd_batch *batch, uint32_t records)
{
    struct sums *sums = arg;
    struct yd_view view;
    YD_ASSERT(yd_view_open(&batch->header, batch->body->data, true, &view) == 0);
    YD_ASSERT(view.count == records);
    for (uint32_t i = 0; i < view.count; i++) {
        struct yd_str name = yd_view_name(&view, view.records[i].name);
        char again[YD_NAME_SIZE_MAX];
        size_t name_size;
        YD_ASSERT(yd_name_canonical(name, again, &name_size) == 0 &&
                  yd_str_eq(name, (struct yd_str){again, name_size}));
        sums->hash = sums->hash * 31 + yd_hash_str(name) + (uint64_t)view.records[i].time_ns + view.records[i].kind;
    }
    sums->records += records;
    yd_batch_unref(batch);
}

static void refuse(void *arg, enum yd_line_reason reason, struct yd_str line)
{
    struct sums *sums = arg;
    (void)line, (void)reason;
    sums->rejects++;
}

static struct sums parse(struct yd_str text, size_t batch_bytes, int rounds)
{
    struct sums sums = {0};
    struct yd_bolo_options options = {.sink = {&sums, take, refuse}, .line_max = 2000, .batch_bytes = batch_bytes};
    struct yd_bolo *bolo;
    YD_ASSERT(yd_bolo_create(&options, &bolo) == 0);
    for (int i = 0; i < rounds; i++) {
        sums = (struct sums){0};
        uint64_t lines = yd_bolo_parse(bolo, text, 5);
        yd_bolo_flush(bolo);
        YD_ASSERT(sums.rejects <= lines && sums.records + sums.rejects >= lines);
    }
    yd_bolo_destroy(bolo);
    return sums;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct yd_str text = {(const char *)data, size};
    struct sums large = parse(text, 0, 1), small = parse(text, 8192, 2);
    YD_ASSERT(large.records == small.records && large.rejects == small.rejects && large.hash == small.hash);
    return 0;
}
