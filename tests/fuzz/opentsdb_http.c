/* Bodies of /api/put, /api/query, /api/query/last and /api/annotation, and `m=` arguments. The first byte says which.
 * Checked: batches pass the reader's checks; a put is the same by tokens and the usual way; a question that is
 * understood survives its way through a row. */
#include "base/hash.h"
#include "elements/ask.h"
#include "elements/opentsdb_last.h"
#include "elements/opentsdb_notes.h"
#include "elements/opentsdb_put.h"
#include "elements/opentsdb_query.h"

struct sink {
    struct yd_put *put;
    uint64_t records, hash, rejected;
};

/* Records by name, time, type and value: the same for whatever batches they come in. */
static void full(void *arg)
{
    struct sink *sink = arg;
    struct yd_batch *batch;
    if (yd_put_count(sink->put) == 0) return;
    YD_ASSERT(yd_put_seal(sink->put, &batch) == 0);
    struct yd_view view;
    YD_ASSERT(yd_view_open(&batch->header, batch->body->data, true, &view) == 0);
    for (uint32_t i = 0; i < view.count; i++) {
        const struct yd_record *record = &view.records[i];
        uint64_t parts[] = {yd_hash_str(yd_view_name(&view, record->name)), (uint64_t)record->time_ns, record->type,
                            record->value.u64, sink->hash};
        sink->hash = yd_hash(parts, sizeof parts);
        sink->records++;
    }
    yd_batch_unref(batch);
}

static void rejected(void *arg, unsigned reason, struct yd_str point)
{
    struct sink *sink = arg;
    uint64_t parts[] = {reason, yd_hash_str(point), sink->rejected};
    sink->rejected = yd_hash(parts, sizeof parts);
}

static void put_so(struct yd_str body, bool tokens, bool again, struct sink *sink, struct yd_put_result *result)
{
    *sink = (struct sink){0};
    struct yd_put_options options = {
        .details = true, .tokens = tokens, .arg = sink, .full = full, .rejected = rejected};
    YD_ASSERT(yd_put_create(NULL, 16384, 1 << 16, 1, &sink->put) == 0);
    for (int i = 0; i <= again; i++) { /* the second time all spellings are known */
        if (i) yd_buf_fini(&result->errors);
        sink->records = sink->hash = sink->rejected = 0;
        yd_opentsdb_put(sink->put, body, &options, result);
        full(sink);
    }
    yd_put_destroy(sink->put);
}

/* Checked: by tokens and the usual way, with names new and known, the same records, rejects and answers come. */
static void put(struct yd_str body)
{
    struct sink slow, fast;
    struct yd_put_result slowly, quickly;
    put_so(body, true, false, &slow, &slowly);
    for (int again = 0; again < 2; again++) {
        put_so(body, false, again, &fast, &quickly);
        YD_ASSERT(slowly.success == quickly.success && slowly.failed == quickly.failed);
        YD_ASSERT((slowly.fatal != NULL) == (quickly.fatal != NULL));
        YD_ASSERT(slow.records == fast.records && slow.hash == fast.hash && slow.rejected == fast.rejected);
        YD_ASSERT(yd_str_eq(yd_buf_view(&slowly.errors), yd_buf_view(&quickly.errors)));
        yd_buf_fini(&quickly.errors);
    }
    yd_buf_fini(&slowly.errors);
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

/* Asked, never answered: what is to be written passes the reader's checks. */
static void annotate(struct yd_str body, bool bulk, enum yd_tsdb_method method, struct yd_arena *arena)
{
    struct yd_tsdb_notes notes;
    struct yd_trail trail = {0};
    struct yd_buf buf;
    struct yd_batch *batch = NULL;
    struct yd_ask what;
    unsigned status;
    yd_buf_init(&buf, NULL);
    struct yd_str path = bulk ? YD_STR("annotation/bulk") : YD_STR("annotation");
    int r = yd_tsdb_notes_plan(path, method, body, NULL, 0, 1700000000 * YD_NS_PER_S, arena, &notes, &trail);
    for (unsigned i = 0; r == 0 && yd_tsdb_notes_ask(&notes, &what); i++) {
        YD_ASSERT(i < 1000);
        yd_tsdb_notes_replied(&notes);
    }
    if (r == 0) (void)yd_tsdb_notes_end(&notes, &status, &buf, &batch);
    if (batch) {
        struct yd_view view;
        YD_ASSERT(yd_view_open(&batch->header, batch->body->data, true, &view) == 0);
    }
    yd_batch_unref(batch);
    yd_buf_fini(&buf);
    yd_tsdb_notes_fini(&notes);
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
    switch (data[0] % 5) {
    case 0:
        put(text);
        break;
    case 1:
        if (yd_tsdb_plan_json(text, 1700000000 * YD_NS_PER_S, &arena, &plan, &trail) == 0) check_plan(&plan);
        break;
    case 2:
        annotate(text, data[0] & 0x80, data[0] & 0x40 ? YD_TSDB_DELETE : YD_TSDB_POST, &arena);
        break;
    case 3: {
        const struct yd_tsdb_argument arguments[] = {{YD_STR("timeseries"), text}, {YD_STR("tsuids"), text}};
        struct yd_tsdb_last last;
        (void)yd_tsdb_last_plan(text, arguments, 2, 1700000000 * YD_NS_PER_S, &arena, &last, &trail);
        (void)yd_tsdb_last_plan(YD_STR(""), arguments, 2, 1700000000 * YD_NS_PER_S, &arena, &last, &trail);
        break;
    }
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
