/* TSDP: whatever comes, whole or in pieces, each message is taken or rejected once, batches pass the reader's checks,
 * names are canonical; pieces and the whole agree. */
#include "base/hash.h"
#include "elements/tsdp_packets.h"
#include <yarder/name.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sums {
    uint64_t records, rejects, messages, hash;
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

static void refuse(void *arg, enum yd_tsdp_reason reason, struct yd_str message)
{
    (void)message, (void)reason;
    ((struct sums *)arg)->rejects++;
}

static void count(void *arg)
{
    ((struct sums *)arg)->messages++;
}

static void heartbeat(void *arg, uint64_t sent, bool rolled)
{
    ((struct sums *)arg)->hash += sent + rolled;
}

static struct sums parse(struct yd_str text, size_t step, size_t batch_bytes)
{
    struct sums sums = {0};
    struct yd_tsdp_options options = {
        .sink = {&sums, take, refuse, count, heartbeat}, .metric = YD_STR("tsdp"), .batch_bytes = batch_bytes};
    struct yd_tsdp *tsdp;
    YD_ASSERT(yd_tsdp_create(&options, &tsdp) == 0);
    size_t from = 0, to = 0, used;
    int r = 0;
    while (to < text.size && r == 0) {
        to = YD_MIN(to + step, text.size);
        r = yd_tsdp_take(tsdp, (struct yd_str){text.data + from, to - from}, 5, &used);
        YD_ASSERT(used <= to - from && (r == 0 || r == YD_ETOOBIG));
        from += used;
    }
    yd_tsdp_flush(tsdp);
    yd_tsdp_destroy(tsdp);
    return sums;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct yd_str text = {(const char *)data, size};
    struct sums whole = parse(text, size + 1, 0), pieces = parse(text, 3, 8192);
    YD_ASSERT(whole.records == pieces.records && whole.rejects == pieces.rejects && whole.hash == pieces.hash &&
              whole.messages == pieces.messages);
    return 0;
}
