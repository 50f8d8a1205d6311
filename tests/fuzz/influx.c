/* Influx line protocol: whatever comes, batches pass the reader's checks, names are canonical, and a line makes records
 * or a reject. A small batch size and the usual one must agree. */
#include "base/hash.h"
#include "elements/influx_lines.h"
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

static void refuse(void *arg, enum yd_influx_reason reason, struct yd_str line)
{
    struct sums *sums = arg;
    (void)line, (void)reason;
    sums->rejects++;
}

static struct sums parse(struct yd_str text, size_t batch_bytes)
{
    struct sums sums = {0};
    struct yd_influx_options options = {
        .sink = {&sums, take, refuse}, .separator = YD_STR("_"), .batch_bytes = batch_bytes};
    struct yd_influx *influx;
    YD_ASSERT(yd_influx_create(&options, &influx) == 0);
    uint64_t lines = yd_influx_parse(influx, text, 1, 1);
    yd_influx_flush(influx);
    YD_ASSERT(lines <= sums.records + sums.rejects);
    yd_influx_destroy(influx);
    return sums;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct yd_str text = {(const char *)data, size};
    struct sums large = parse(text, 0), small = parse(text, 16384);
    YD_ASSERT(large.records == small.records && large.rejects == small.rejects && large.hash == small.hash);
    return 0;
}
