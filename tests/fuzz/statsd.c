/* StatsD and DogStatsD: whatever comes, batches pass the reader's checks, names are canonical, a line makes records or
 * a reject, and what is summed up is said in numbers that are finite. */
#include <math.h>

#include "elements/statsd_lines.h"
#include "elements/statsd_sums.h"
#include <yarder/name.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    struct yd_statsd_sums sums;
    uint64_t records, rejects;
};

static void take(void *arg, struct yd_batch *batch, uint32_t records)
{
    struct seen *seen = arg;
    struct yd_view view;
    YD_ASSERT(yd_view_open(&batch->header, batch->body->data, true, &view) == 0 && view.count == records);
    for (uint32_t i = 0; i < view.count; i++) {
        struct yd_str name = yd_view_name(&view, view.records[i].name);
        char again[YD_NAME_SIZE_MAX];
        size_t name_size;
        YD_ASSERT(yd_name_canonical(name, again, &name_size) == 0 &&
                  yd_str_eq(name, (struct yd_str){again, name_size}));
        (void)yd_statsd_sums_add(&seen->sums, batch, i, 1); /* the limits may refuse it */
    }
    seen->records += records;
    yd_batch_unref(batch);
}

static void refuse(void *arg, enum yd_statsd_reason reason, struct yd_str line)
{
    (void)reason, (void)line;
    ((struct seen *)arg)->rejects++;
}

static void say(void *arg, struct yd_str name, struct yd_str peer, enum yd_kind kind, double value)
{
    char again[YD_NAME_SIZE_MAX];
    size_t size;
    (void)arg, (void)peer, (void)kind;
    YD_ASSERT(isfinite(value) && yd_name_canonical(name, again, &size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen seen = {.records = 0};
    struct yd_statsd_sums_options sums = {.series_max = 8,
                                          .values_max = 8,
                                          .members_max = 4,
                                          .percentiles = {{90, "90"}, {-10, "top10"}},
                                          .percentile_count = 2,
                                          .prefixes = {"a.", "", "", ""}};
    struct yd_statsd_options options = {.sink = {&seen, take, refuse}, .batch_bytes = 16384};
    struct yd_statsd *statsd;
    yd_statsd_sums_init(&seen.sums, &sums);
    YD_ASSERT(yd_statsd_create(&options, &statsd) == 0);
    uint64_t lines = yd_statsd_parse(statsd, (struct yd_str){(const char *)data, size}, 1);
    yd_statsd_flush(statsd);
    YD_ASSERT(lines <= seen.records + seen.rejects);
    yd_statsd_sums_flush(&seen.sums, 10, 1, say, &seen);
    yd_statsd_sums_fini(&seen.sums);
    yd_statsd_destroy(statsd);
    return 0;
}
