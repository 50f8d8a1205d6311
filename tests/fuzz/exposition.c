/* What targets expose: whatever comes as an HTTP answer ends whole or is refused, in any pieces alike; whatever comes
 * as text, batches pass the reader's checks and names are canonical; a small batch size and the usual one agree, and so
 * do names that are known and names that are new. */
#include "elements/exposition.h"
#include "base/hash.h"
#include "serve/http_answer.h"

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

static void refuse(void *arg, enum yd_exposition_reason reason, struct yd_str line)
{
    struct sums *sums = arg;
    (void)line, (void)reason;
    sums->rejects++;
}

static struct sums parse(struct yd_str text, bool openmetrics, size_t batch_bytes, int rounds)
{
    static const struct yd_tag own[] = {{YD_STR("job"), YD_STR("j")}, {YD_STR("instance"), YD_STR("h:1")}};
    struct sums sums = {0};
    struct yd_exposition_options options = {
        .sink = {&sums, take, refuse}, .labels = own, .label_count = 2, .batch_bytes = batch_bytes};
    struct yd_exposition *exposition;
    YD_ASSERT(yd_exposition_create(&options, &exposition) == 0);
    for (int i = 0; i < rounds; i++) {
        sums = (struct sums){0};
        uint64_t samples = yd_exposition_parse(exposition, text, openmetrics, 5);
        yd_exposition_flush(exposition);
        YD_ASSERT(sums.records <= samples && sums.records + sums.rejects >= samples);
    }
    yd_exposition_destroy(exposition);
    return sums;
}

static void check(struct yd_str text, bool openmetrics)
{
    struct sums large = parse(text, openmetrics, 0, 1), small = parse(text, openmetrics, 8192, 2);
    YD_ASSERT(large.records == small.records && large.rejects == small.rejects && large.hash == small.hash);
}

static int answer(struct yd_http_answer *answer, struct yd_str bytes, size_t step)
{
    int r = 0;
    yd_http_answer_begin(answer, 1000, NULL);
    for (size_t at = 0; at < bytes.size && r == 0; at += step)
        r = yd_http_answer_take(answer, (struct yd_str){bytes.data + at, YD_MIN(step, bytes.size - at)});
    if (r == 0) r = yd_http_answer_ended(answer);
    YD_ASSERT(answer->body.size <= 1000 && (r == 1 || answer->why));
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct yd_str text = {(const char *)data, size};
    struct yd_http_answer whole, pieces;
    int r = answer(&whole, text, size + 1), again = answer(&pieces, text, 1);
    YD_ASSERT(r == again && whole.status == pieces.status);
    YD_ASSERT(r != 1 || yd_str_eq(yd_buf_view(&whole.body), yd_buf_view(&pieces.body)));
    if (r == 1) check(yd_buf_view(&whole.body), false);
    yd_http_answer_fini(&whole);
    yd_http_answer_fini(&pieces);
    check(text, size & 1);
    (void)yd_exposition_whole(text);
    return 0;
}
