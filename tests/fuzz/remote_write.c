/* Remote write: whatever comes as a Snappy block inflates to the size it says or is refused; whatever comes as a
 * message, batches pass the reader's checks and names are canonical; a small batch size and the usual one agree. */
#include <stdlib.h>

#include "base/hash.h"
#include "elements/remote_samples.h"
#include "elements/snappy_block.h"
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
        sums->hash = sums->hash * 31 + yd_hash_str(name) + (uint64_t)view.records[i].time_ns;
    }
    sums->records += records;
    yd_batch_unref(batch);
}

static void refuse(void *arg, enum yd_remote_reason reason, uint64_t records, struct yd_str sample)
{
    struct sums *sums = arg;
    (void)sample, (void)reason;
    sums->rejects += records;
}

static struct sums parse(struct yd_str text, size_t batch_bytes)
{
    struct sums sums = {0};
    struct yd_remote_options options = {.sink = {&sums, take, refuse}, .batch_bytes = batch_bytes};
    struct yd_remote *remote;
    YD_ASSERT(yd_remote_create(&options, &remote) == 0);
    (void)yd_remote_parse(remote, text);
    yd_remote_flush(remote);
    yd_remote_destroy(remote);
    return sums;
}

static void check(struct yd_str text)
{
    struct sums large = parse(text, 0), small = parse(text, 8192);
    YD_ASSERT(large.records == small.records && large.rejects == small.rejects && large.hash == small.hash);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct yd_str text = {(const char *)data, size};
    size_t made;
    check(text);
    if (yd_snappy_size(text, &made) < 0) return 0;
    char *to = malloc(made ? made : 1);
    if (to && yd_snappy_inflate(text, to, made) == 0) check((struct yd_str){to, made});
    free(to);
    return 0;
}
