/* Bodies of /api/put and /api/query, and `m=` arguments. The first byte says which. Checked: batches pass the reader's
 * checks; a question that is understood survives its way through a row. */
#include "elements/ask.h"
#include "elements/opentsdb_put.h"
#include "elements/opentsdb_query.h"

struct sink {
    struct yd_builder *builder;
};

static void full(void *arg)
{
    struct sink *sink = arg;
    struct yd_batch *batch;
    if (yd_builder_count(sink->builder) == 0) return;
    YD_ASSERT(yd_builder_seal(sink->builder, &batch) == 0);
    struct yd_view view;
    YD_ASSERT(yd_view_open(&batch->header, batch->body->data, true, &view) == 0);
    yd_batch_unref(batch);
}

static void rejected(void *arg, unsigned reason, struct yd_str point)
{
    (void)arg, (void)reason, (void)point;
}

static void put(struct yd_str body)
{
    struct sink sink;
    struct yd_put_result result;
    const struct yd_builder_options small = {.size_max = 16384};
    YD_ASSERT(yd_builder_create(&small, &sink.builder) == 0);
    struct yd_put_options options = {
        .builder = sink.builder, .details = true, .arg = &sink, .full = full, .rejected = rejected};
    yd_opentsdb_put(body, &options, &result);
    full(&sink);
    yd_buf_fini(&result.errors);
    yd_builder_destroy(sink.builder);
}

static void check_plan(const struct yd_tsdb_plan *plan)
{
    for (size_t i = 0; i < plan->sub_count; i++) {
        struct yd_batch *batch;
        struct yd_ask back;
        struct yd_arena arena;
        if (yd_ask_encode(&(struct yd_ask){.op = YD_ASK_SERIES, .series = plan->subs[i].query}, &batch) < 0) continue;
        yd_arena_init(&arena, NULL);
        YD_ASSERT(yd_ask_decode(batch, &arena, &back, NULL) == 0);
        YD_ASSERT(yd_str_eq(back.series.metric, plan->subs[i].query.metric));
        YD_ASSERT(back.series.filter_count == plan->subs[i].query.filter_count);
        yd_arena_fini(&arena);
        yd_batch_unref(batch);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct yd_arena arena;
    struct yd_tsdb_plan plan;
    struct yd_trail trail = {0};
    if (size < 1) return 0;
    struct yd_str text = {(const char *)data + 1, size - 1};
    yd_arena_init(&arena, NULL);
    switch (data[0] % 3) {
    case 0:
        put(text);
        break;
    case 1:
        if (yd_tsdb_plan_json(text, 1700000000 * YD_NS_PER_S, &arena, &plan, &trail) == 0) check_plan(&plan);
        break;
    default: {
        const struct yd_tsdb_argument arguments[] = {{YD_STR("start"), YD_STR("1h-ago")}, {YD_STR("m"), text}};
        if (yd_tsdb_plan_url(arguments, 2, 1700000000 * YD_NS_PER_S, &arena, &plan, &trail) == 0) check_plan(&plan);
        struct yd_series_query query;
        (void)yd_tsdb_lookup(text, &arena, &query, &trail);
        int64_t ns;
        (void)yd_tsdb_time(text, 0, &ns);
    }
    }
    yd_arena_fini(&arena);
    return 0;
}
