/* Packets of collectd: whatever comes, batches pass the reader's checks and names are canonical; a small batch size and
 * the usual one agree. The same bytes are read as a types.db and as an auth_file, too. */
#include "base/hash.h"
#include "elements/collectd_packets.h"
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

static void refuse(void *arg, enum yd_collectd_reason reason, uint64_t records, struct yd_str sample)
{
    struct sums *sums = arg;
    (void)sample, (void)reason;
    sums->rejects += records;
}

static struct sums parse(struct yd_str packet, size_t batch_bytes, const struct yd_collectd_types *types,
                         const struct yd_collectd_users *users)
{
    struct sums sums = {0};
    struct yd_collectd_options options = {
        .sink = {&sums, take, refuse}, .types = types, .users = users, .batch_bytes = batch_bytes};
    struct yd_collectd *collectd;
    YD_ASSERT(yd_collectd_create(&options, &collectd) == 0);
    yd_collectd_packet(collectd, packet, 1);
    yd_collectd_flush(collectd);
    yd_collectd_destroy(collectd);
    return sums;
}

static void read_as_files(struct yd_str text)
{
    struct yd_collectd_types *types;
    struct yd_collectd_users *users;
    unsigned line;
    YD_ASSERT(yd_collectd_types_create(NULL, &types) == 0);
    (void)yd_collectd_types_add(types, text, &line);
    yd_collectd_types_destroy(types);
    if (yd_collectd_users_create(text, NULL, &users, &line) == 0) yd_collectd_users_destroy(users);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct yd_collectd_types *types;
    static struct yd_collectd_users *users;
    unsigned line;
    if (!types) {
        YD_ASSERT(yd_collectd_types_create(NULL, &types) == 0);
        YD_ASSERT(yd_collectd_types_add(types, YD_STR("g value:GAUGE:U:U\nl a:GAUGE:U:U, b:DERIVE:0:U\n"), &line) == 0);
        YD_ASSERT(yd_collectd_users_create(YD_STR("u: p\n"), NULL, &users, &line) == 0);
    }
    struct yd_str packet = {(const char *)data, size};
    read_as_files(packet);
    struct sums large = parse(packet, 0, types, users), small = parse(packet, 8192, types, users);
    YD_ASSERT(large.records == small.records && large.rejects == small.rejects && large.hash == small.hash);
    return 0;
}
