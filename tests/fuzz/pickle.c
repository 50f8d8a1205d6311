/* Graphite's pickles: whatever comes, batches pass the reader's checks and names are canonical; a frame makes records
 * or rejects; a small batch size and the usual one agree. */
#include "base/hash.h"
#include "elements/pickle_frames.h"
#include <yarder/name.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sums {
    uint64_t records, rejects, hash;
};

static void take(void *arg, struct yd_batch *batch)
{
    struct sums *sums = arg;
    struct yd_view view;
    YD_ASSERT(yd_view_open(&batch->header, batch->body->data, true, &view) == 0);
    for (uint32_t i = 0; i < view.count; i++) {
        struct yd_str name = yd_view_name(&view, view.records[i].name);
        char again[YD_NAME_SIZE_MAX];
        size_t name_size;
        YD_ASSERT(yd_name_canonical(name, again, &name_size) == 0 &&
                  yd_str_eq(name, (struct yd_str){again, name_size}));
        sums->hash = sums->hash * 31 + yd_hash_str(name) + (uint64_t)view.records[i].time_ns;
    }
    sums->records += view.count;
    yd_batch_unref(batch);
}

static void refuse(void *arg, enum yd_pickle_reason reason, uint64_t records, struct yd_str sample)
{
    struct sums *sums = arg;
    (void)sample, (void)reason;
    sums->rejects += records;
}

static struct sums parse(struct yd_str text, size_t batch_bytes, bool framed)
{
    struct sums sums = {0};
    struct yd_pickle_options options = {.sink = {&sums, take, refuse}, .batch_bytes = batch_bytes};
    struct yd_pickle *pickle;
    size_t used = 0;
    YD_ASSERT(yd_pickle_create(&options, &pickle) == 0);
    if (framed)
        (void)yd_pickle_take(pickle, text, 1, &used);
    else
        yd_pickle_parse(pickle, text, 1);
    YD_ASSERT(used <= text.size);
    yd_pickle_flush(pickle);
    yd_pickle_destroy(pickle);
    return sums;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct yd_str text = {(const char *)data, size};
    for (int framed = 0; framed < 2; framed++) {
        struct sums large = parse(text, 0, framed), small = parse(text, 8192, framed);
        YD_ASSERT(large.records == small.records && large.rejects == small.rejects && large.hash == small.hash);
    }
    return 0;
}
