/* Name indexes and readers with a pattern: they give what reading everything would give, whatever happens to them. */
#include "log/keys.h"
#include "log_test.h"

#include <yarder/name.h>

#define BATCHES   90
#define FOUND_MAX 8192

/* Batches whose names drift: a segment has some of them only. */
static void append_drifting(struct world *world, struct yd_log *log, int at)
{
    struct yd_builder *builder;
    struct yd_builder_options options = {.size_max = YD_BATCH_SIZE_MAX};
    struct yd_batch *batch;
    struct yd_log_appended appended;
    char text[64], fill[400];
    assert_int_equal(yd_builder_create(&options, &builder), 0);
    uint32_t count = 1 + (uint32_t)yd_rng_below(&world->rng, 30);
    bool events = at / 20 % 2 == 1;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t name;
        int length = snprintf(text, sizeof text, "m%d.x host=h%d", at / 15, (int)yd_rng_below(&world->rng, 4));
        if (yd_rng_chance(&world->rng, 30)) length = snprintf(text, sizeof text, "rare");
        assert_int_equal(yd_builder_name(builder, (struct yd_str){text, (size_t)length}, &name), 0);
        memset(fill, 'a' + at % 26, sizeof fill);
        struct yd_str bytes = {fill, yd_rng_below(&world->rng, sizeof fill)};
        union yd_value value = {.u64 = i};
        if (events)
            assert_int_equal(yd_builder_add_bytes(builder, at, name, YD_EVENT, YD_TEXT, 0, bytes), 0);
        else
            assert_int_equal(yd_builder_add(builder, at, name, YD_SAMPLE, YD_U64, 0, value), 0);
        uint32_t filler;
        assert_int_equal(yd_builder_name(builder, YD_STR("fill"), &filler), 0);
        if (yd_rng_chance(&world->rng, 40))
            assert_int_equal(yd_builder_add_bytes(builder, at, filler, YD_EVENT, YD_TEXT, 0, bytes), 0);
    }
    assert_int_equal(yd_builder_seal(builder, &batch), 0);
    yd_builder_destroy(builder);
    assert_int_equal(yd_log_append(log, batch, -1, UINT64_MAX, &appended), 0);
    yd_batch_unref(batch);
    if (at % 3 == 0) assert_int_equal(yd_log_flush(log), 0);
}

static struct yd_log *open_indexing(struct world *world, int64_t compress_after, bool index)
{
    struct yd_log_options options = world_options(world);
    options.segment_size_min = options.segment_size_max = 32 << 10;
    options.compress_after_ns = compress_after;
    options.index_names = index;
    options.memory_bytes_max = 20 << 10;
    return world_open(world, &options, NULL);
}

static void settle(struct yd_log *log)
{
    assert_int_equal(yd_log_flush(log), 0);
    for (int i = 0; i < 60; i++) assert_int_equal(yd_log_maintain(log), 0);
}

static struct yd_log *fill(struct world *world, int64_t compress_after, bool index)
{
    struct yd_log *log = open_indexing(world, compress_after, index);
    for (int i = 0; i < BATCHES; i++) append_drifting(world, log, i);
    settle(log);
    return log;
}

struct found {
    uint64_t seqnos[FOUND_MAX];
    uint32_t count;
    uint64_t missing, given; /* records in gaps; records of all batches */
    struct yd_pattern *pattern;
    uint32_t kinds;
    struct yd_str name; /* exactly; or the pattern */
};

static int found_record(void *arg, const struct yd_batch *batch, uint32_t record)
{
    struct found *found = arg;
    struct yd_str name = yd_view_name(&batch->view, batch->view.records[record].name);
    if (found->name.data && !yd_str_eq(name, found->name)) return 0;
    if (found->pattern && !yd_pattern_match(found->pattern, name)) return 0;
    if (found->kinds && !(YD_KIND_BIT(batch->view.records[record].kind) & found->kinds)) return 0;
    assert_in_range(found->count, 0, FOUND_MAX - 1);
    found->seqnos[found->count++] = batch->header.base_seqno + record;
    return 0;
}

/* All that the reader gives and that matches. */
static void collect(struct yd_log_reader *reader, struct found *found)
{
    found->count = 0;
    found->missing = found->given = 0;
    uint64_t from = yd_log_reader_seqno(reader);
    for (;;) {
        struct yd_batch *batch;
        struct yd_log_gap gap;
        int error = yd_log_reader_next(reader, &batch, &gap);
        if (error == YD_EAGAIN) break;
        if (error == YD_EGAP) {
            found->missing += gap.to - gap.from;
            continue;
        }
        assert_int_equal(error, 0);
        assert_true(batch->header.base_seqno >= from);
        found->given += batch->header.count;
        for (uint32_t i = 0; i < batch->view.count; i++) assert_int_equal(found_record(found, batch, i), 0);
        yd_batch_unref(batch);
    }
    yd_log_reader_close(reader);
}

static void collect_dir(struct world *world, const char *names, uint32_t kinds, struct found *found)
{
    struct yd_log_start start = {.from = YD_FROM_OLDEST, .names = names, .kinds = kinds};
    struct yd_log_reader *reader;
    assert_int_equal(yd_log_reader_open_dir(world->fs, world->dir, &start, &reader, NULL), 0);
    collect(reader, found);
}

static void assert_same(const struct found *a, const struct found *b)
{
    assert_int_equal(a->count, b->count);
    assert_memory_equal(a->seqnos, b->seqnos, a->count * sizeof *a->seqnos);
}

/* Getting gives what filtering everything gives. */
static void check_get(struct world *world, const char *name)
{
    static struct found all, got;
    all = (struct found){.name = yd_str_of(name)};
    collect_dir(world, NULL, 0, &all);
    got = (struct found){0};
    assert_int_equal(yd_log_get_dir(world->fs, world->dir, yd_str_of(name), found_record, &got, NULL), 0);
    assert_same(&all, &got);
}

static bool there(struct world *world, uint64_t base, const char *suffix)
{
    char path[512];
    struct yd_stat now;
    segment_path(world, base, suffix, path, sizeof path);
    return yd_fs_stat(world->fs, path, &now) == 0;
}

static void flip(struct world *world, uint64_t base, const char *suffix, uint64_t offset)
{
    char path[512], byte;
    struct yd_file *file;
    size_t have;
    segment_path(world, base, suffix, path, sizeof path);
    assert_int_equal(yd_fs_open(world->fs, path, YD_OPEN_READ | YD_OPEN_WRITE, &file), 0);
    assert_int_equal(yd_file_read(file, &byte, 1, offset, &have), 0);
    assert_int_equal(have, 1);
    byte ^= 0x10;
    assert_int_equal(yd_file_write(file, &byte, 1, offset), 0);
    yd_file_close(file);
}

static uint32_t count_indexes(struct world *world, uint64_t **ret_bases, uint32_t *ret_count)
{
    uint32_t indexes = 0;
    assert_int_equal(yd__list_segments(world->fs, world->dir, ret_bases, ret_count), 0);
    for (uint32_t i = 0; i < *ret_count; i++) indexes += there(world, (*ret_bases)[i], ".ykey");
    return indexes;
}

static void every_sealed_segment_gets_an_index_that_verify_finds_true(void **state)
{
    struct world *world = *state;
    struct yd_log *log = fill(world, 0, true);
    uint64_t *bases;
    uint32_t count, indexes = count_indexes(world, &bases, &count);
    assert_true(count >= 4);
    assert_int_equal(indexes, count - 1);
    assert_int_equal(yd_log_verify_dir(world->fs, world->dir, NULL, NULL, NULL), 0);
    assert_int_equal(world_close(world, log), 0);
    free(bases);
}

static const char *const names[] = {"rare",         "fill", "m0.x host=h1", "m1.x host=h0", "m3.x host=h3",
                                    "m5.x host=h2", "m5.x", "nobody",       "zzz host=h1"};
static const char *const patterns[] = {"*",           "rare", "m1.x", "m? host=h1", "m* host=h2",
                                       "m4.* host=*", "none", "*.x",  "f*",         "m0.x host=h9"};

static void check_all(struct world *world, struct yd_log *log, uint64_t *ret_given, uint64_t *ret_all)
{
    static struct found all, some, live;
    const char *pattern = patterns[yd_rng_below(&world->rng, YD_COUNT(patterns))];
    static const uint32_t kinds[] = {0, YD_KIND_BIT(YD_EVENT), YD_KIND_BIT(YD_SAMPLE), YD_KIND_BIT(YD_STATE)};
    uint32_t kind = kinds[yd_rng_below(&world->rng, YD_COUNT(kinds))];
    memset(&all, 0, sizeof all);
    assert_int_equal(yd_pattern_compile(yd_str_of(pattern), &all.pattern), 0);
    all.kinds = kind;
    some = live = all;
    collect_dir(world, NULL, 0, &all);
    collect_dir(world, pattern, kind, &some);
    struct yd_log_start start = {.from = YD_FROM_OLDEST, .names = pattern, .kinds = kind};
    struct yd_log_reader *reader;
    assert_int_equal(yd_log_reader_open(log, &start, &reader), 0);
    collect(reader, &live);
    assert_same(&all, &some);
    assert_same(&all, &live);
    assert_int_equal(some.missing + live.missing + all.missing, 0);
    *ret_given += some.given;
    *ret_all += all.given;
    yd_pattern_destroy(all.pattern);
    check_get(world, names[yd_rng_below(&world->rng, YD_COUNT(names))]);
}

static void passing_over_gives_what_reading_everything_and_filtering_gives(void **state)
{
    struct world *world = *state;
    uint64_t seed = 20261121, given = 0, all = 0;
    print_message("# seed %llu\n", (unsigned long long)seed);
    yd_rng_init(&world->rng, seed);
    struct yd_log *log = open_indexing(world, 0, true);
    for (int i = 0; i < 4 * BATCHES; i++) {
        append_drifting(world, log, i % BATCHES);
        if (yd_rng_chance(&world->rng, 10)) assert_int_equal(yd_log_maintain(log), 0);
        if (yd_rng_chance(&world->rng, 60)) {
            assert_int_equal(world_close(world, log), 0);
            log = open_indexing(world, yd_rng_chance(&world->rng, 2) ? 1 : 0, !yd_rng_chance(&world->rng, 4));
        }
        if (!yd_rng_chance(&world->rng, 8)) continue;
        assert_int_equal(yd_log_flush(log), 0);
        check_all(world, log, &given, &all);
    }
    settle(log);
    for (int i = 0; i < 20; i++) check_all(world, log, &given, &all);
    print_message("# %llu records given of %llu\n", (unsigned long long)given, (unsigned long long)all);
    assert_true(given < all / 2);
    assert_int_equal(yd_log_verify_dir(world->fs, world->dir, NULL, NULL, NULL), 0);
    assert_int_equal(world_close(world, log), 0);
}

static void a_segment_without_a_match_is_not_read(void **state)
{
    struct world *world = *state;
    struct yd_log *log = fill(world, 0, true);
    assert_int_equal(world_close(world, log), 0);
    assert_true(there(world, 0, ".ykey"));
    flip(world, 0, ".ylog", 6000); /* in a frame: whoever reads it is told */
    static struct found all, some;
    all = some = (struct found){0};
    collect_dir(world, NULL, 0, &all);
    assert_true(all.missing > 0);
    collect_dir(world, "m5.x", 0, &some);
    assert_int_equal(some.missing, 0);
    assert_true(some.given > 0);
    some = (struct found){0};
    assert_int_equal(yd_log_get_dir(world->fs, world->dir, YD_STR("m5.x host=h2"), found_record, &some, NULL), 0);
    assert_true(some.count > 0);
    check_get(world, "m0.x host=h1"); /* some of its records are gone: the rest is there */
}

static void a_flipped_byte_of_an_index_costs_time_only(void **state)
{
    struct world *world = *state;
    struct yd_log *log = fill(world, 0, true);
    assert_int_equal(world_close(world, log), 0);
    char path[512];
    struct yd_stat now;
    static struct found all, some, got;
    segment_path(world, 0, ".ykey", path, sizeof path);
    assert_int_equal(yd_fs_stat(world->fs, path, &now), 0);
    all = (struct found){.name = YD_STR("m0.x host=h1")};
    collect_dir(world, NULL, 0, &all);
    for (uint64_t at = 0; at < now.size; at++) {
        flip(world, 0, ".ykey", at);
        some = (struct found){.name = all.name};
        collect_dir(world, "m0.x host=h1", 0, &some);
        assert_same(&all, &some);
        got = (struct found){0};
        assert_int_equal(yd_log_get_dir(world->fs, world->dir, all.name, found_record, &got, NULL), 0);
        assert_same(&all, &got);
        if (at % 97 == 0) /* verify sees it */
            assert_int_equal(yd_log_verify_dir(world->fs, world->dir, NULL, NULL, NULL), YD_ECORRUPT);
        flip(world, 0, ".ykey", at);
    }
    for (uint64_t size = 0; size < now.size; size += 1 + size / 3) { /* and cut short */
        struct yd_file *file;
        assert_int_equal(yd_fs_open(world->fs, path, YD_OPEN_READ | YD_OPEN_WRITE, &file), 0);
        assert_int_equal(yd_file_truncate(file, size), 0);
        yd_file_close(file);
        check_get(world, "m0.x host=h1");
        log = open_indexing(world, 0, true);
        settle(log); /* made anew */
        assert_int_equal(world_close(world, log), 0);
        assert_int_equal(yd_log_verify_dir(world->fs, world->dir, NULL, NULL, NULL), 0);
    }
}

static void an_index_of_other_frames_is_not_used(void **state)
{
    struct world *world = *state;
    struct yd_log *log = fill(world, 0, true);
    uint64_t *bases;
    uint32_t count;
    (void)count_indexes(world, &bases, &count);
    char path[512], other[512];
    segment_path(world, bases[0], ".ykey", path, sizeof path);
    segment_path(world, bases[2], ".ykey", other, sizeof other);
    assert_int_equal(world_close(world, log), 0);
    assert_int_equal(yd_fs_rename(world->fs, path, other), 0);
    for (size_t i = 0; i < YD_COUNT(names); i++) check_get(world, names[i]);
    assert_int_equal(yd_log_verify_dir(world->fs, world->dir, NULL, NULL, NULL), YD_ECORRUPT);
    log = open_indexing(world, 0, true);
    settle(log);
    assert_true(there(world, bases[0], ".ykey"));
    assert_int_equal(yd_log_verify_dir(world->fs, world->dir, NULL, NULL, NULL), 0);
    assert_int_equal(world_close(world, log), 0);
    free(bases);
}

static void an_index_is_not_made_of_damaged_frames(void **state)
{
    struct world *world = *state;
    struct yd_log *log = fill(world, 0, false);
    assert_int_equal(world_close(world, log), 0);
    flip(world, 0, ".ylog", 6000);
    log = open_indexing(world, 0, true);
    settle(log);
    assert_false(there(world, 0, ".ykey"));
    assert_false(there(world, 0, ".ykey.tmp"));
    static struct found some;
    some = (struct found){0};
    collect_dir(world, "nobody", 0, &some);
    assert_true(some.missing > 0); /* it may have been in there */
    assert_int_equal(world_close(world, log), 0);
}

struct bytes {
    char *data;
    size_t size;
};

static int put_bytes(void *arg, uint64_t offset, const void *bytes, size_t size)
{
    struct bytes *to = arg;
    assert_in_range(offset + size, 0, to->size);
    if (size) memcpy(to->data + offset, bytes, size);
    return 0;
}

static void lists_made_in_slices_are_the_same(void **state)
{
    struct world *world = *state;
    struct yd_log *log = fill(world, 0, true);
    assert_int_equal(world_close(world, log), 0);
    char path[512], *whole;
    size_t size;
    struct yd_file *file;
    struct yd__footer footer;
    segment_path(world, 0, ".ykey", path, sizeof path);
    assert_int_equal(yd_fs_read_all(world->fs, path, 1 << 20, &whole, &size), 0);
    struct yd_log_stat stat;
    assert_int_equal(yd_log_stat_dir(world->fs, world->dir, &stat, NULL), 0);
    assert_int_equal(yd__segment_open(world->fs, world->dir, 0, &file), 0);
    assert_int_equal(yd__footer_read(file, stat.log_id, &footer, NULL), 0);
    for (size_t slice = 1; slice < size; slice *= 3) {
        struct bytes bytes = {calloc(1, size), size};
        struct yd__keys_make make = {
            .file = file, .log_id = stat.log_id, .footer = &footer, .put = put_bytes, .arg = &bytes, .slice = slice};
        assert_int_equal(yd__keys_make(&make), 0);
        assert_int_equal(make.size, size);
        assert_memory_equal(bytes.data, whole, size);
        free(bytes.data);
    }
    yd_file_close(file);
    free(whole);
}

static void retention_takes_the_indexes_too(void **state)
{
    struct world *world = *state;
    struct yd_log *log = fill(world, 1, true);
    assert_int_equal(world_close(world, log), 0);
    world->now += 1000 * YD_NS_PER_S;
    struct yd_log_options options = world_options(world);
    options.retain_ns = YD_NS_PER_S;
    options.segment_size_min = options.segment_size_max = 32 << 10;
    log = world_open(world, &options, NULL);
    append_drifting(world, log, 0);
    settle(log);
    uint64_t *bases;
    uint32_t count;
    (void)count_indexes(world, &bases, &count);
    assert_true(count <= 2);
    assert_false(there(world, 0, ".ykey"));
    check_get(world, "m0.x host=h1");
    free(bases);
    assert_int_equal(world_close(world, log), 0);
}

struct sizes {
    struct world *world;
    uint64_t all, keys;
};

static int add_size(void *arg, const char *name, enum yd_file_type type)
{
    struct sizes *sizes = arg;
    struct yd_stat now;
    char path[300];
    uint64_t base;
    bool keys = yd__segment_name(name, ".ykey", &base);
    if (type != YD_NODE_FILE ||
        (!keys && !yd__segment_name(name, ".ylog", &base) && !yd__segment_name(name, ".yzst", &base)))
        return 0;
    (void)snprintf(path, sizeof path, "%s/%s", sizes->world->dir, name);
    assert_int_equal(yd_fs_stat(sizes->world->fs, path, &now), 0);
    sizes->all += now.size;
    if (keys) sizes->keys += now.size;
    return 0;
}

/* Everything that is in the folder, and told by the position. */
static struct sizes assert_bytes_told(struct world *world, struct yd_log *log)
{
    struct sizes sizes = {.world = world};
    struct yd_log_position position;
    struct yd_log_stat stat;
    assert_int_equal(yd_fs_list(world->fs, world->dir, add_size, &sizes), 0);
    yd_log_position(log, &position);
    assert_int_equal(position.bytes, sizes.all);
    assert_int_equal(yd_log_stat_dir(world->fs, world->dir, &stat, NULL), 0);
    assert_int_equal(stat.bytes, sizes.all);
    return sizes;
}

static void indexes_count_in_the_bytes_that_retention_bounds(void **state)
{
    struct world *world = *state;
    struct yd_log *log = fill(world, 1, true);
    struct sizes before = assert_bytes_told(world, log);
    assert_true(before.keys > 0);
    assert_int_equal(world_close(world, log), 0);
    log = open_indexing(world, 1, false); /* makes none any more: those of an earlier life count */
    assert_int_equal(assert_bytes_told(world, log).all, before.all);
    assert_int_equal(world_close(world, log), 0);
    char path[300];
    segment_path(world, 0, ".ykey", path, sizeof path);
    assert_int_equal(yd_fs_unlink(world->fs, path), 0);
    log = open_indexing(world, 1, true); /* made anew: once counted */
    settle(log);
    assert_int_equal(assert_bytes_told(world, log).all, before.all);
    assert_int_equal(world_close(world, log), 0);
    /* Frames and twins alone would fit: the indexes' bytes are what is too much. */
    struct yd_log_options options = world_options(world);
    options.segment_size_min = options.segment_size_max = 32 << 10;
    options.index_names = true;
    options.compress_after_ns = 1;
    options.retain_bytes = before.all - before.keys;
    log = world_open(world, &options, NULL);
    settle(log);
    struct sizes after = assert_bytes_told(world, log);
    assert_true(after.all < before.all && after.all <= options.retain_bytes);
    assert_false(there(world, 0, ".ykey"));
    assert_int_equal(world_close(world, log), 0);
}

static int stop_at_third(void *arg, const struct yd_batch *batch, uint32_t record)
{
    uint32_t *count = arg;
    (void)batch;
    (void)record;
    return ++*count == 3 ? 77 : 0;
}

static void getting_stops_where_it_is_told(void **state)
{
    struct world *world = *state;
    struct yd_log *log = fill(world, 0, true);
    uint32_t count = 0;
    assert_int_equal(yd_log_get_dir(world->fs, world->dir, YD_STR("m0.x host=h1"), stop_at_third, &count, NULL), 77);
    assert_int_equal(count, 3);
    assert_int_equal(yd_log_get_dir(world->fs, "nowhere", YD_STR("x"), stop_at_third, &count, NULL), YD_ENOENT);
    struct yd_log_start start = {.names = "m *=* x"};
    struct yd_log_reader *reader;
    assert_true(yd_log_reader_open(log, &start, &reader) < 0);
    assert_int_equal(world_close(world, log), 0);
}

static void a_running_log_makes_its_indexes_by_itself(void **state)
{
    struct world *world = *state;
    struct yd_log *log = open_indexing(world, 1, true);
    assert_int_equal(yd_log_start(log), 0);
    for (int i = 0; i < BATCHES; i++) append_drifting(world, log, i);
    static struct found all, got;
    all = got = (struct found){.name = YD_STR("rare")};
    struct yd_log_position position;
    yd_log_position(log, &position);
    assert_int_equal(yd_log_wait(log, position.memory, YD_ACK_DURABLE), 0);
    collect_dir(world, "rare", 0, &all);
    assert_int_equal(yd_log_get_dir(world->fs, world->dir, YD_STR("rare"), found_record, &got, NULL), 0);
    assert_same(&all, &got);
    assert_int_equal(world_close(world, log), 0);
    assert_int_equal(yd_log_verify_dir(world->fs, world->dir, NULL, NULL, NULL), 0);
}

/* Without name indexes: only the ranges of footers and entries say what is where. */
static void ranges_pass_over_what_cannot_match_and_miss_nothing(void **state)
{
    struct world *world = *state;
    struct yd_log *log = fill(world, 0, false);
    assert_int_equal(world_close(world, log), 0);
    static const char *const asked[] = {"m0.x", "m3.x host=h1", "m*",   "m2*", "m2.?", "rare",
                                        "a*",   "z*",           "fill", "*x",  "m",    "m3.x2"};
    uint64_t passed_all = 0;
    for (size_t i = 0; i < YD_COUNT(asked); i++) {
        static struct found all, some;
        struct yd_pattern *pattern;
        assert_int_equal(yd_pattern_compile(yd_str_of(asked[i]), &pattern), 0);
        all = (struct found){.pattern = pattern};
        collect_dir(world, NULL, 0, &all);
        some = (struct found){.pattern = pattern};
        struct yd_log_start start = {.from = YD_FROM_OLDEST, .names = asked[i]};
        struct yd_log_reader *reader;
        assert_int_equal(yd_log_reader_open_dir(world->fs, world->dir, &start, &reader, NULL), 0);
        uint64_t passed = 0;
        some.count = 0;
        for (;;) {
            struct yd_batch *batch;
            struct yd_log_gap gap;
            int error = yd_log_reader_next(reader, &batch, &gap);
            passed = yd_log_reader_passed(reader);
            if (error == YD_EAGAIN) break;
            assert_int_equal(error, 0);
            for (uint32_t k = 0; k < batch->view.count; k++) assert_int_equal(found_record(&some, batch, k), 0);
            yd_batch_unref(batch);
        }
        yd_log_reader_close(reader);
        assert_same(&all, &some);
        if (strcmp(asked[i], "z*") == 0 || strcmp(asked[i], "a*") == 0) assert_true(passed > all.given / 2);
        if (strcmp(asked[i], "*x") == 0) assert_int_equal(passed, 0);
        passed_all += passed;
        yd_pattern_destroy(pattern);
    }
    assert_true(passed_all > 0);
}

/* One segment of several entries: names that drift are found by their entries. */
static void entries_of_a_segment_are_passed_over(void **state)
{
    struct world *world = *state;
    struct yd_log_options options = world_options(world);
    options.segment_size_min = options.segment_size_max = 4 << 20;
    options.memory_bytes_max = 20 << 10;
    struct yd_log *log = world_open(world, &options, NULL);
    uint64_t records = 0;
    char text[64], *filler = malloc(60 << 10);
    memset(filler, 'x', 60 << 10);
    for (int i = 0; i < 100; i++) { /* 6 MB: the first segment is sealed, the second open */
        struct yd_builder *builder;
        struct yd_batch *batch;
        struct yd_log_appended appended;
        struct yd_builder_options building = {.size_max = YD_BATCH_SIZE_MAX};
        uint32_t name;
        assert_int_equal(yd_builder_create(&building, &builder), 0);
        int length = snprintf(text, sizeof text, "a.name.of.some.length.%03d", i);
        assert_int_equal(yd_builder_name(builder, (struct yd_str){text, (size_t)length}, &name), 0);
        assert_int_equal(
            yd_builder_add_bytes(builder, i, name, YD_EVENT, YD_TEXT, 0, (struct yd_str){filler, 60 << 10}), 0);
        length = snprintf(text, sizeof text, "%c%03d", i < 50 ? 'b' : 'c', i);
        assert_int_equal(yd_builder_name(builder, (struct yd_str){text, (size_t)length}, &name), 0);
        assert_int_equal(yd_builder_add(builder, i, name, YD_SAMPLE, YD_I64, 0, (union yd_value){.i64 = i}), 0);
        assert_int_equal(yd_builder_seal(builder, &batch), 0);
        yd_builder_destroy(builder);
        assert_int_equal(yd_log_append(log, batch, -1, UINT64_MAX, &appended), 0);
        yd_batch_unref(batch);
        records += 2;
        assert_int_equal(yd_log_flush(log), 0);
    }
    free(filler);
    settle(log);
    assert_int_equal(world_close(world, log), 0);
    struct yd_log_start start = {.from = YD_FROM_OLDEST, .names = "c*"};
    struct yd_log_reader *reader;
    struct yd_batch *batch;
    uint64_t found = 0;
    assert_int_equal(yd_log_reader_open_dir(world->fs, world->dir, &start, &reader, NULL), 0);
    while (yd_log_reader_next(reader, &batch, NULL) == 0) {
        found++;
        assert_true(batch->header.time_min >= 50);
        yd_batch_unref(batch);
    }
    assert_int_equal(found, 50);
    assert_in_range(yd_log_reader_passed(reader), 2 * 45, 2 * 50); /* an entry's end may hold the first */
    yd_log_reader_close(reader);
    struct yd_log_stat stat;
    assert_int_equal(yd_log_stat_dir(world->fs, world->dir, &stat, NULL), 0);
    assert_string_equal(stat.key_min, "a.name.of.some.length.000");
    assert_string_equal(stat.key_max, "c099");
    assert_int_equal(stat.written, records);
}

/* The range functions beside comparing the names themselves, from a seed: YARDER_SEED gives a failure again. */
static void ranges_agree_with_comparing_names(void **state)
{
    (void)state;
    struct yd_rng rng;
    const char *given = getenv("YARDER_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    print_message("# YARDER_SEED=%llu\n", (unsigned long long)seed);
    yd_rng_init(&rng, seed);
    for (int round = 0; round < 20000; round++) {
        char drawn[4][24];
        uint8_t min[YD__INDEX_NAME_SIZE], max[YD__INDEX_NAME_SIZE];
        yd__range_none(min, max, sizeof min);
        size_t count = 1 + yd_rng_below(&rng, 3);
        for (size_t i = 0; i < 4; i++) {
            size_t size = 1 + yd_rng_below(&rng, 20);
            for (size_t k = 0; k < size; k++)
                drawn[i][k] = "ab\xc3"[k && !yd_rng_chance(&rng, 3) ? 0 : yd_rng_below(&rng, 3)];
            drawn[i][size] = 0;
        }
        for (size_t i = 0; i < count; i++) {
            struct yd__names one = {.min = yd_str_of(drawn[i]), .max = yd_str_of(drawn[i])};
            yd__range_add(min, max, sizeof min, &one);
        }
        struct yd_str asked = yd_str_of(drawn[3]);
        bool there = false;
        for (size_t i = 0; i < count; i++) {
            struct yd_str name = yd_str_of(drawn[i]);
            there |= name.size >= asked.size && memcmp(name.data, asked.data, asked.size) == 0;
        }
        if (there) assert_true(yd__range_may_hold(min, max, sizeof min, asked));
        /* And with one short name it is exact. */
        struct yd_str only = yd_str_of(drawn[0]);
        if (count == 1 && only.size <= sizeof min && asked.size <= sizeof min)
            assert_int_equal(yd__range_may_hold(min, max, sizeof min, asked), there);
    }
    uint8_t min[8], max[8];
    yd__range_none(min, max, sizeof min);
    assert_true(yd__range_known(max, sizeof max));
    struct yd__names any = yd__names_any();
    yd__range_add(min, max, sizeof min, &any);
    assert_false(yd__range_known(max, sizeof max));
    assert_true(yd__range_may_hold(min, max, sizeof min, YD_STR("z")) &&
                yd__range_may_hold(min, max, sizeof min, YD_STR("")));
}

#define SIM(test)                                                                                                      \
    {                                                                                                                  \
#test, test, world_setup_sim, world_teardown, NULL                                                             \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIM(every_sealed_segment_gets_an_index_that_verify_finds_true),
        SIM(passing_over_gives_what_reading_everything_and_filtering_gives),
        SIM(a_segment_without_a_match_is_not_read),
        SIM(a_flipped_byte_of_an_index_costs_time_only),
        SIM(an_index_of_other_frames_is_not_used),
        SIM(an_index_is_not_made_of_damaged_frames),
        SIM(lists_made_in_slices_are_the_same),
        SIM(retention_takes_the_indexes_too),
        SIM(indexes_count_in_the_bytes_that_retention_bounds),
        SIM(getting_stops_where_it_is_told),
        {"a_running_log_makes_its_indexes_by_itself", a_running_log_makes_its_indexes_by_itself, world_setup_linux,
         world_teardown, NULL},
        SIM(ranges_pass_over_what_cannot_match_and_miss_nothing),
        SIM(entries_of_a_segment_are_passed_over),
        cmocka_unit_test(ranges_agree_with_comparing_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
