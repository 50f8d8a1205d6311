/* Building and reading back: whatever goes in comes out, and what cannot go in is refused without harm. */
#include "testing.h"

static struct yd_str name_of(const char *text)
{
    return yd_str_of(text);
}

static union yd_value f64(double value)
{
    return (union yd_value){.f64 = value};
}

static uint32_t intern(struct yd_builder *builder, const char *text)
{
    uint32_t name;
    assert_ok(yd_builder_name(builder, name_of(text), &name));
    return name;
}

static struct yd_builder *create(uint32_t size_max, uint32_t records_max)
{
    struct yd_builder *builder;
    assert_ok(
        yd_builder_create(&(struct yd_builder_options){.size_max = size_max, .records_max = records_max}, &builder));
    return builder;
}

/* Through bytes and back, which checks everything again. */
static struct yd_batch *reread(const struct yd_batch *batch)
{
    struct yd_batch *again;
    void *frame = aligned_alloc(64, batch->header.size);
    yd_batch_to_bytes(batch, frame);
    assert_ok(yd_batch_from_bytes(frame, batch->header.size, &again));
    void *second = malloc(batch->header.size);
    yd_batch_to_bytes(again, second);
    assert_memory_equal(frame, second, batch->header.size);
    free(frame);
    free(second);
    return again;
}

static void every_kind_and_type_comes_back_as_it_went_in(void **state)
{
    (void)state;
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    struct yd_arena arena;
    yd_arena_init(&arena, NULL);
    struct yd_builder *builder = create(64 << 10, 0);
    enum { STEPS = 30000 };
    const struct model_record **models = malloc(STEPS * sizeof *models);
    uint32_t count = 0, batches = 0;
    for (int step = 0; step <= STEPS; step++) {
        struct model_record *model = NULL;
        int r = YD_EFULL;
        if (step < STEPS && !yd_rng_chance(&rng, 700)) {
            model = yd_arena_get(&arena, sizeof *model);
            *model = model_record(&arena, &rng, 1 + (uint32_t)(step / 10));
            r = build_record(builder, model);
            if (r == 0) models[count++] = model;
            if (r != YD_EFULL) assert_ok(r);
        }
        if (r != YD_EFULL) continue;
        struct yd_batch *batch, *again;
        size_t size = yd_builder_size(builder);
        r = yd_builder_seal(builder, &batch);
        if (count == 0) {
            assert_error(r, YD_EAGAIN);
            continue;
        }
        assert_ok(r);
        assert_int_equal(batch->header.size, size);
        assert_true(batch->header.size <= 64 << 10);
        again = reread(batch);
        assert_header(&again->header, models, count);
        for (uint32_t i = 0; i < count; i++) {
            assert_record(&batch->view, i, models[i]);
            assert_record(&again->view, i, models[i]);
        }
        yd_batch_unref(again);
        yd_batch_unref(batch);
        batches++;
        count = 0;
        yd_arena_reset(&arena);
        if (model) step--; /* it was refused as full: goes into the next batch, made anew */
    }
    assert_true(batches > 40);
    yd_builder_destroy(builder);
    yd_arena_fini(&arena);
    free(models);
}

static void a_split_batch_is_in_parts_by_the_hashes_of_names(void **state)
{
    (void)state;
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    struct yd_arena arena;
    yd_arena_init(&arena, NULL);
    struct yd_builder *builder = create(0, 0);
    for (int round = 0; round < 40; round++) {
        enum { COUNT = 200 };
        const struct model_record *models[COUNT];
        uint32_t partitions = 1 + (uint32_t)yd_rng_below(&rng, 9), records = 0;
        uint32_t count = 1 + (uint32_t)yd_rng_below(&rng, COUNT), names = 1 + (uint32_t)yd_rng_below(&rng, 30);
        for (uint32_t i = 0; i < count; i++) {
            struct model_record *model = yd_arena_get(&arena, sizeof *model);
            *model = model_record(&arena, &rng, names);
            models[i] = model;
            assert_ok(build_record(builder, model));
        }
        struct yd_batch *plain, *batch, *parts[10];
        assert_ok(yd_builder_seal(builder, &plain));
        struct yd_header header = plain->header;
        header.producer_id = round % 2 ? 7 : 0;
        header.producer_seq = round % 2 ? 1000 + (uint64_t)round : 0;
        header.producer_epoch = round % 2 ? 3 : 0;
        assert_ok(yd_batch_restamp(plain, &header, &batch));
        assert_ok(yd_batch_split(batch, partitions, parts));
        for (uint32_t p = 0; p < partitions; p++) {
            const struct model_record *kept[COUNT];
            uint32_t kept_count = 0;
            for (uint32_t i = 0; i < count; i++) {
                struct yd_str name = yd_view_name(&batch->view, batch->view.records[i].name);
                if (yd_partition_of(yd_hash_str(name), partitions) == p) kept[kept_count++] = models[i];
            }
            if (!parts[p]) {
                assert_int_equal(kept_count, 0);
                continue;
            }
            if (kept_count == count) assert_ptr_equal(parts[p], batch); /* not copied */
            struct yd_batch *again = reread(parts[p]);
            assert_header(&again->header, kept, kept_count);
            assert_int_equal(again->header.producer_id, header.producer_id);
            assert_int_equal(again->header.producer_seq, header.producer_seq);
            assert_int_equal(again->header.producer_epoch, header.producer_epoch);
            for (uint32_t i = 0; i < kept_count; i++) assert_record(&again->view, i, kept[i]);
            yd_batch_unref(again);
            yd_batch_unref(parts[p]);
            records += kept_count;
        }
        assert_int_equal(records, count);
        yd_batch_unref(batch);
        yd_batch_unref(plain);
        yd_arena_reset(&arena);
    }
    yd_builder_destroy(builder);
    yd_arena_fini(&arena);
}

static void selecting_keeps_exactly_the_records_asked_for(void **state)
{
    (void)state;
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    struct yd_arena arena;
    yd_arena_init(&arena, NULL);
    struct yd_builder *builder = create(0, 0);
    for (int round = 0; round < 40; round++) {
        enum { COUNT = 200 };
        const struct model_record *models[COUNT], *kept[COUNT];
        uint8_t keep[COUNT];
        uint32_t kept_count = 0;
        for (int i = 0; i < COUNT; i++) {
            struct model_record *model = yd_arena_get(&arena, sizeof *model);
            *model = model_record(&arena, &rng, 60);
            models[i] = model;
            assert_ok(build_record(builder, model));
            keep[i] = (uint8_t)yd_rng_below(&rng, 2);
            if (keep[i]) kept[kept_count++] = model;
        }
        struct yd_batch *batch, *part, *again;
        assert_ok(yd_builder_seal(builder, &batch));
        assert_ok(yd_batch_select(batch, keep, &part));
        again = reread(part);
        assert_header(&again->header, kept, kept_count);
        assert_true(part->header.size <= batch->header.size);
        for (uint32_t i = 0; i < kept_count; i++) assert_record(&again->view, i, kept[i]);
        yd_batch_unref(again);
        yd_batch_unref(part);

        uint32_t first = (uint32_t)yd_rng_below(&rng, COUNT), count = 1 + (uint32_t)yd_rng_below(&rng, COUNT - first);
        assert_ok(yd_batch_slice(batch, first, count, &part));
        again = reread(part);
        assert_header(&again->header, models + first, count);
        assert_int_equal(again->header.base_seqno, batch->header.base_seqno + first);
        for (uint32_t i = 0; i < count; i++) assert_record(&again->view, i, models[first + i]);
        yd_batch_unref(again);
        yd_batch_unref(part);

        for (uint32_t i = 0; i < COUNT; i++) assert_ok(yd_builder_copy(builder, &batch->view, i));
        assert_ok(yd_builder_seal(builder, &part));
        for (uint32_t i = 0; i < COUNT; i++) assert_record(&part->view, i, models[i]);
        yd_batch_unref(part);

        assert_error(yd_batch_slice(batch, 0, COUNT + 1, &part), YD_ERANGE);
        assert_error(yd_batch_slice(batch, COUNT, 1, &part), YD_ERANGE);
        assert_error(yd_batch_slice(batch, UINT32_MAX, 2, &part), YD_ERANGE);
        assert_error(yd_batch_slice(batch, 5, 0, &part), YD_EAGAIN);
        memset(keep, 0, sizeof keep);
        assert_error(yd_batch_select(batch, keep, &part), YD_EAGAIN);
        yd_batch_unref(batch);
        yd_arena_reset(&arena);
    }
    yd_builder_destroy(builder);
    yd_arena_fini(&arena);
}

static void names_stand_once_and_are_found_again(void **state)
{
    (void)state;
    struct yd_builder *builder = create(8 << 20, 0);
    for (int round = 0; round < 3; round++) {
        char text[32];
        enum { COUNT = 30000 };
        for (int pass = 0; pass < 2; pass++)
            for (uint32_t i = 0; i < COUNT; i++) {
                (void)snprintf(text, sizeof text, "name.%u.of.many", i * (unsigned)(round + 1));
                assert_int_equal(intern(builder, text), i);
            }
        assert_ok(yd_builder_add(builder, 1, COUNT - 1, YD_SAMPLE, YD_F64, 0, f64(1)));
        struct yd_batch *batch;
        assert_ok(yd_builder_seal(builder, &batch));
        assert_int_equal(batch->header.names, COUNT);
        yd_batch_unref(batch);
    }
    yd_builder_destroy(builder);
}

static void names_with_equal_hashes_are_told_apart(void **state)
{
    (void)state;
    struct yd_builder *builder = create(0, 0);
    uint32_t a, b, again;
    assert_ok(yd_builder_name_hashed(builder, YD_STR("a"), 42, &a));
    assert_ok(yd_builder_name_hashed(builder, YD_STR("b"), 42, &b));
    assert_ok(yd_builder_name_hashed(builder, YD_STR("a"), 42, &again));
    assert_int_not_equal(a, b);
    assert_int_equal(a, again);
    yd_builder_destroy(builder);
}

static void names_known_to_be_new_go_in_without_looking(void **state)
{
    (void)state;
    struct yd_builder *builder = create(0, 0);
    char text[32], longest[YD_NAME_SIZE_MAX + 1] = {0};
    uint32_t name, other;
    for (uint32_t i = 0; i < 3000; i++) {
        struct yd_str s = {text, (size_t)snprintf(text, sizeof text, "fresh.%u", i)};
        assert_ok(yd_builder_name_fresh(builder, s, yd_hash_str(s), &name));
        assert_int_equal(name, 2 * i);
        (void)snprintf(text, sizeof text, "found.%u", i);
        assert_int_equal(intern(builder, text), 2 * i + 1);
    }
    assert_int_equal(intern(builder, "found.1234"), 2469);
    assert_error(yd_builder_name_fresh(builder, (struct yd_str){longest, sizeof longest}, 0, &other), YD_ETOOBIG);
    assert_ok(yd_builder_add(builder, 0, name, YD_SAMPLE, YD_F64, 0, f64(1)));
    /* Taken back with the record they were made for, though nobody could have found them. */
    assert_ok(yd_builder_begin(builder, 0, name, YD_ROW, 0, YD_MAP));
    assert_ok(yd_builder_name_fresh(builder, YD_STR("lost"), yd_hash("lost", 4), &other));
    assert_error(yd_builder_cell_bytes(builder, YD_STR("k"), YD_TEXT, YD_STR("\xff")), YD_EFORMAT);
    struct yd_batch *batch;
    assert_ok(yd_builder_seal(builder, &batch));
    assert_int_equal(batch->header.names, 6000);
    yd_batch_unref(reread(batch));
    yd_batch_unref(batch);
    yd_builder_destroy(builder);
}

static void a_name_may_be_looked_for_after_many_that_went_in_without_looking(void **state)
{
    (void)state;
    struct yd_builder *builder = create(0, 0);
    char text[32];
    uint32_t name;
    for (uint32_t i = 0; i < 5000; i++) { /* more than there are slots, or twice as many */
        struct yd_str s = {text, (size_t)snprintf(text, sizeof text, "fresh.%u", i)};
        assert_ok(yd_builder_name_fresh(builder, s, yd_hash_str(s), &name));
    }
    assert_int_equal(intern(builder, "sought"), 5000);
    assert_int_equal(intern(builder, "sought"), 5000);
    assert_int_equal(intern(builder, "another"), 5001);
    yd_builder_destroy(builder);
}

static void emptying_thousands_of_times_never_confuses_old_names_with_new(void **state)
{
    (void)state;
    struct yd_builder *builder = create(0, 0);
    for (int round = 0; round < 9000; round++) {
        assert_int_equal(intern(builder, round % 2 ? "odd" : "even"), 0);
        assert_int_equal(intern(builder, round % 2 ? "even" : "odd"), 1);
        yd_builder_abandon(builder);
    }
    yd_builder_destroy(builder);
}

static void reserved_records_are_committed_by_count(void **state)
{
    (void)state;
    struct yd_builder *builder = create(0, 0);
    uint32_t name = intern(builder, "x"), total = 0;
    struct yd_record *records;
    uint32_t room;
    while (total < 5000) {
        assert_ok(yd_builder_reserve(builder, 300, &records, &room));
        assert_int_equal(room, 300);
        for (uint32_t i = 0; i < 250; i++)
            records[i] = (struct yd_record){
                .time_ns = total + i, .name = name, .kind = YD_SAMPLE, .type = YD_U64, .value.u64 = total + i};
        yd_builder_commit(builder, 250);
        total += 250;
    }
    struct yd_batch *batch;
    assert_ok(yd_builder_seal(builder, &batch));
    struct yd_batch *again = reread(batch);
    assert_int_equal(again->view.count, total);
    assert_int_equal(again->header.flags, YD_FLAG_SORTED);
    for (uint32_t i = 0; i < total; i++) assert_true(again->view.records[i].value.u64 == i);
    yd_batch_unref(again);
    yd_batch_unref(batch);
    yd_builder_destroy(builder);
}

/* A parser's loop: reserve, intern as it goes, commit; on full seal and take the same line again. */
static void a_parser_that_seals_when_full_gets_every_record_through(void **state)
{
    (void)state;
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    struct yd_builder *builder = create(8192, 0);
    uint64_t next = 0, seen = 0, seals = 0;
    while (next < 20000) {
        struct yd_record *records;
        uint32_t room, used = 0;
        int r = yd_builder_reserve(builder, 64, &records, &room);
        for (; r == 0 && used < room; used++, next++) {
            char text[4096];
            int size = snprintf(text, sizeof text, "%0*llu", next % 1000 == 0 ? 4095 : 1 + (int)(next % 200),
                                (unsigned long long)next);
            uint32_t name;
            r = yd_builder_name(builder, (struct yd_str){text, (size_t)size}, &name);
            if (r < 0) break;
            records[used] = (struct yd_record){.name = name, .kind = YD_SAMPLE, .type = YD_U64, .value.u64 = next};
        }
        yd_builder_commit(builder, used);
        if (r == 0) continue;
        assert_error(r, YD_EFULL);
        struct yd_batch *batch;
        r = yd_builder_seal(builder, &batch);
        if (r == YD_EAGAIN) continue;
        assert_ok(r);
        assert_true(batch->header.size <= 8192);
        for (uint32_t i = 0; i < batch->view.count; i++) assert_true(batch->view.records[i].value.u64 == seen++);
        yd_batch_unref(reread(batch));
        yd_batch_unref(batch);
        assert_true(++seals < 20000);
    }
    yd_builder_destroy(builder);
}

static void full_is_said_and_the_batch_stays_whole(void **state)
{
    (void)state;
    struct yd_builder *builder = create(8192, 0);
    uint32_t name = intern(builder, "n"), count = 0;
    int r;
    while ((r = yd_builder_add(builder, 0, name, YD_TALLY, YD_I64, 0, (union yd_value){.i64 = -1})) == 0) count++;
    assert_error(r, YD_EFULL);
    assert_int_equal(count, (8192 - 128 - 16 - 8) / 24);
    assert_error(yd_builder_add_bytes(builder, 0, name, YD_EVENT, YD_TEXT, 0, YD_STR("x")), YD_EFULL);
    assert_error(yd_builder_begin(builder, 0, name, YD_ROW, 0, YD_MAP), YD_EFULL);
    uint32_t other;
    char longest[YD_NAME_SIZE_MAX + 1];
    memset(longest, 'x', sizeof longest);
    assert_error(yd_builder_name(builder, (struct yd_str){longest, sizeof longest - 1}, &other), YD_EFULL);
    assert_error(yd_builder_name(builder, (struct yd_str){longest, sizeof longest}, &other), YD_ETOOBIG);
    struct yd_batch *batch;
    assert_ok(yd_builder_seal(builder, &batch));
    assert_int_equal(batch->header.count, count);
    yd_batch_unref(reread(batch));
    yd_batch_unref(batch);
    yd_builder_destroy(builder);

    builder = create(0, 3);
    name = intern(builder, "n");
    for (int i = 0; i < 3; i++) assert_ok(yd_builder_add(builder, 0, name, YD_SAMPLE, YD_NIL, 0, (union yd_value){0}));
    assert_error(yd_builder_add(builder, 0, name, YD_SAMPLE, YD_NIL, 0, (union yd_value){0}), YD_EFULL);
    struct yd_record *records;
    uint32_t room;
    assert_error(yd_builder_reserve(builder, 1, &records, &room), YD_EFULL);
    yd_builder_destroy(builder);
}

static void what_no_batch_can_hold_is_too_big_not_full(void **state)
{
    (void)state;
    struct yd_builder *builder = create(8192, 0);
    char big[16384];
    memset(big, 'x', sizeof big);
    uint32_t name = intern(builder, "n");
    assert_error(yd_builder_add_bytes(builder, 0, name, YD_PACKET, YD_BLOB, 0, (struct yd_str){big, sizeof big}),
                 YD_ETOOBIG);
    assert_ok(yd_builder_begin(builder, 0, name, YD_ROW, 0, YD_MAP));
    assert_error(yd_builder_cell_bytes(builder, YD_STR("k"), YD_BLOB, (struct yd_str){big, sizeof big}), YD_ETOOBIG);
    assert_error(yd_builder_end(builder), YD_EINVAL); /* abandoned already */
    assert_ok(yd_builder_add(builder, 0, name, YD_SAMPLE, YD_F64, 0, f64(1)));
    assert_error(yd_builder_add_bytes(builder, 0, name, YD_PACKET, YD_BLOB, 0, (struct yd_str){big, 8000}), YD_EFULL);
    struct yd_batch *batch;
    assert_ok(yd_builder_seal(builder, &batch));
    yd_batch_unref(reread(batch));
    yd_batch_unref(batch);
    assert_error(yd_builder_create(&(struct yd_builder_options){.size_max = YD_BATCH_SIZE_MAX + 64}, &builder),
                 YD_ETOOBIG);
    yd_builder_destroy(builder);
}

static void mistakes_are_refused_and_leave_the_batch_alone(void **state)
{
    (void)state;
    struct yd_builder *builder = create(0, 0);
    uint32_t name = intern(builder, "n"), other;
    assert_error(yd_builder_add(builder, 0, 1, YD_SAMPLE, YD_F64, 0, f64(1)), YD_EINVAL);        /* no such name */
    assert_error(yd_builder_add(builder, 0, name, YD_SAMPLE, YD_TEXT, 0, f64(1)), YD_EINVAL);    /* on the heap */
    assert_error(yd_builder_add(builder, 0, name, 0, YD_F64, 0, f64(1)), YD_EINVAL);             /* no kind */
    assert_error(yd_builder_add(builder, 0, name, YD_KIND_COUNT, YD_F64, 0, f64(1)), YD_EINVAL); /* no kind */
    assert_error(yd_builder_add(builder, 0, name, YD_SAMPLE, YD_F64, 0x80, f64(1)), YD_EINVAL);  /* no flag */
    assert_error(yd_builder_add(builder, 0, name, YD_PACKET, YD_F64, 0, f64(1)), YD_EINVAL);     /* not bytes */
    assert_error(yd_builder_add(builder, 0, name, YD_FACT, YD_BOOL, 0, f64(1)), YD_EINVAL);      /* neither */
    assert_error(yd_builder_add_bytes(builder, 0, name, YD_EVENT, YD_TEXT, 0, YD_STR("\xff")), YD_EFORMAT);
    assert_error(yd_builder_add_bytes(builder, 0, name, YD_EVENT, YD_TEXT, 0, YD_STR("a\0b")), YD_EFORMAT);
    assert_error(yd_builder_add_bytes(builder, 0, name, YD_ROW, YD_TEXT, 0, YD_STR("x")), YD_EINVAL);
    assert_error(yd_builder_begin(builder, 0, name, YD_ROW, 0, YD_LIST), YD_EINVAL);
    assert_error(yd_builder_begin(builder, 0, name, YD_EVENT, 0, YD_F64), YD_EINVAL);
    assert_error(yd_builder_cell(builder, YD_STR("k"), YD_F64, f64(1)), YD_EINVAL);
    assert_error(yd_builder_end(builder), YD_EINVAL);
    assert_error(yd_builder_name(builder, YD_STR("\xc3"), &other), YD_EFORMAT);
    assert_int_equal(yd_builder_count(builder), 0);
    struct yd_batch *batch;
    assert_error(yd_builder_seal(builder, &batch), YD_EAGAIN);
    name = intern(builder, "n");
    assert_ok(yd_builder_begin(builder, 0, name, YD_ROW, 0, YD_MAP));
    assert_error(yd_builder_add(builder, 0, name, YD_SAMPLE, YD_F64, 0, f64(1)), YD_EINVAL); /* one is open */
    assert_error(yd_builder_seal(builder, &batch), YD_EINVAL);
    assert_error(yd_builder_seal(builder, &batch), YD_EAGAIN);
    yd_builder_destroy(builder);
}

static void nesting_goes_to_the_limit_and_no_further(void **state)
{
    (void)state;
    struct yd_builder *builder = create(0, 0);
    for (int levels = YD_BATCH_DEPTH_MAX; levels <= YD_BATCH_DEPTH_MAX + 1; levels++) {
        uint32_t name = intern(builder, "deep");
        assert_ok(yd_builder_begin(builder, 0, name, YD_FACT, 0, YD_LIST));
        int r = 0;
        for (int level = 1; level < levels && r == 0; level++)
            r = yd_builder_nest(builder, (struct yd_str){0}, YD_LIST);
        struct yd_batch *batch;
        if (levels > YD_BATCH_DEPTH_MAX) {
            assert_error(r, YD_ETOOBIG);
            assert_error(yd_builder_seal(builder, &batch), YD_EAGAIN);
            continue;
        }
        assert_ok(r);
        assert_ok(yd_builder_cell(builder, (struct yd_str){0}, YD_BOOL, (union yd_value){.bits = 1}));
        for (int level = 0; level < levels; level++) assert_ok(yd_builder_end(builder));
        assert_ok(yd_builder_seal(builder, &batch));
        yd_batch_unref(reread(batch));
        yd_batch_unref(batch);
    }
    yd_builder_destroy(builder);
}

static void cells_of_a_map_are_found_by_name(void **state)
{
    (void)state;
    struct yd_builder *builder = create(0, 0);
    assert_ok(yd_builder_begin(builder, 7, intern(builder, "reply"), YD_ROW, 0, YD_MAP));
    assert_ok(yd_builder_cell_bytes(builder, YD_STR("op"), YD_TEXT, YD_STR("series")));
    assert_ok(yd_builder_cell(builder, YD_STR("limit"), YD_I64, (union yd_value){.i64 = -3}));
    assert_ok(yd_builder_end(builder));
    struct yd_batch *batch;
    assert_ok(yd_builder_seal(builder, &batch));
    union yd_value map = batch->view.records[0].value;
    const struct yd_cell *cell = yd_view_find(&batch->view, map, YD_STR("op"));
    assert_non_null(cell);
    assert_str_equal(yd_view_bytes(&batch->view, cell->value), YD_STR("series"));
    cell = yd_view_find(&batch->view, map, YD_STR("limit"));
    double number = 0;
    assert_true(yd_value_number(cell->type, cell->value, &number) && number == -3);
    assert_false(yd_value_number(YD_TEXT, cell->value, &number));
    assert_true(yd_value_number(YD_U64, (union yd_value){.u64 = UINT64_MAX}, &number) &&
                number == 18446744073709551616.0);
    assert_null(yd_view_find(&batch->view, map, YD_STR("reply")));
    yd_batch_unref(batch);
    yd_builder_destroy(builder);
}

static void restamping_shares_the_body_and_outlives_its_source(void **state)
{
    (void)state;
    struct yd_builder *builder = create(0, 0);
    assert_ok(yd_builder_add(builder, 7, intern(builder, "n"), YD_SAMPLE, YD_F64, 0, f64(2.5)));
    struct yd_batch *batch, *stamped, *again;
    assert_ok(yd_builder_seal(builder, &batch));
    yd_builder_destroy(builder);
    struct yd_header header = batch->header;
    header.base_seqno = 1000;
    header.producer_id = 5;
    assert_ok(yd_batch_restamp(batch, &header, &stamped));
    assert_ptr_equal(stamped->body, batch->body);
    yd_batch_unref(batch);
    assert_ok(yd_header_check(&stamped->header, stamped->header.size));
    again = reread(stamped);
    assert_int_equal(again->header.base_seqno, 1000);
    assert_true(again->view.records[0].value.f64 == 2.5);
    assert_ptr_equal(yd_batch_ref(again), again);
    yd_batch_unref(again);
    yd_batch_unref(again);
    yd_batch_unref(stamped);
    yd_batch_unref(NULL);
    yd_body_unref(NULL);
    yd_builder_destroy(NULL);
}

/* One scene with everything in it; the allocator fails at its nth call, for every n until none fails. */
static int scene(struct yd_alloc *alloc)
{
    struct yd_builder *builder;
    struct yd_batch *batch = NULL, *part = NULL, *stamped = NULL, *parts[5] = {NULL};
    int r = yd_builder_create(&(struct yd_builder_options){.alloc = alloc}, &builder);
    if (r < 0) return r;
    for (int i = 0; r == 0 && i < 700; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "n%d", i);
        uint32_t name;
        r = yd_builder_name(builder, name_of(text), &name);
        if (r == 0) r = yd_builder_add(builder, i, name, YD_SAMPLE, YD_F64, 0, f64(i));
        if (r == 0) r = yd_builder_add_bytes(builder, i, name, YD_EVENT, YD_TEXT, 0, YD_STR("some text of an event"));
        if (r == 0) r = yd_builder_begin(builder, i, name, YD_ROW, 0, YD_MAP);
        if (r == 0) r = yd_builder_cell(builder, YD_STR("a"), YD_F64, f64(i));
        if (r == 0) r = yd_builder_nest(builder, YD_STR("b"), YD_LIST);
        for (int j = 0; r == 0 && j < 20; j++) r = yd_builder_cell(builder, YD_STR(""), YD_F64, f64(j));
        if (r == 0) r = yd_builder_end(builder);
        if (r == 0) r = yd_builder_end(builder);
        if (r < 0) {
            /* A failure costs that record only: what was there can still be sealed, if memory comes back. */
            assert_error(r, YD_ENOMEM);
            assert_true(yd_builder_count(builder) <= (unsigned)i * 3 + 2);
        }
    }
    if (r == 0) r = yd_builder_seal(builder, &batch);
    if (r == 0) r = yd_batch_slice(batch, 10, 100, &part);
    if (r == 0) r = yd_batch_restamp(part, &part->header, &stamped);
    if (r == 0) yd_batch_unref(reread(stamped));
    if (r == 0) r = yd_batch_split(batch, 5, parts);
    for (int i = 0; i < 5; i++) {
        if (r < 0) assert_null(parts[i]);
        yd_batch_unref(parts[i]);
    }
    yd_batch_unref(batch);
    yd_batch_unref(part);
    yd_batch_unref(stamped);
    yd_builder_destroy(builder);
    return r;
}

static void any_failing_allocation_is_reported_and_leaks_nothing(void **state)
{
    (void)state;
    for (uint64_t fail_at = 1;; fail_at++) {
        struct yd_alloc_failing failing;
        yd_alloc_failing_init(&failing, fail_at);
        int r = scene(&failing.alloc);
        assert_true(failing.bytes_out == 0);
        if (r == 0) {
            assert_true(fail_at > 10);
            break;
        }
        assert_error(r, YD_ENOMEM);
    }
}

static void out_of_memory_in_a_record_leaves_the_others_to_be_sealed(void **state)
{
    (void)state;
    struct yd_alloc_failing failing;
    yd_alloc_failing_init(&failing, 0);
    struct yd_builder *builder;
    assert_ok(yd_builder_create(&(struct yd_builder_options){.alloc = &failing.alloc}, &builder));
    uint32_t name = intern(builder, "n");
    assert_ok(yd_builder_add(builder, 1, name, YD_SAMPLE, YD_F64, 0, f64(1)));
    static char big[100000];
    failing.fail_at = failing.calls + 1;
    assert_error(yd_builder_add_bytes(builder, 0, name, YD_PACKET, YD_BLOB, 0, (struct yd_str){big, sizeof big}),
                 YD_ENOMEM);
    assert_ok(yd_builder_begin(builder, 0, name, YD_ROW, 0, YD_MAP));
    assert_error(yd_builder_cell_bytes(builder, YD_STR("new name"), YD_BLOB, (struct yd_str){big, sizeof big}),
                 YD_ENOMEM);
    failing.fail_at = 0;
    struct yd_batch *batch;
    assert_ok(yd_builder_seal(builder, &batch));
    assert_int_equal(batch->header.count, 1);
    assert_int_equal(batch->header.names, 1); /* the abandoned record took its names along */
    yd_batch_unref(reread(batch));
    yd_batch_unref(batch);
    yd_builder_destroy(builder);
    assert_true(failing.bytes_out == 0);
}

static void expect_origin(const struct yd_batch *batch, const char *name, const char *origin)
{
    for (uint32_t i = 0; i < batch->view.name_count; i++) {
        if (!yd_str_eq(yd_view_name(&batch->view, i), yd_str_of(name))) continue;
        struct yd_str got = yd_batch_origin(batch, i);
        if (!yd_str_eq(got, yd_str_of(origin))) fail_msg("%s is of '%.*s', not of '%s'", name, YD_STR_FMT(got), origin);
        return;
    }
    fail_msg("%s is not in the batch", name);
}

static void put(struct yd_builder *builder, const char *origin, const char *name)
{
    yd_builder_origin(builder, yd_str_of(origin));
    assert_ok(yd_builder_add(builder, 1, intern(builder, name), YD_SAMPLE, YD_F64, 0, f64(1)));
}

static void each_name_is_of_who_brought_it_first(void **state)
{
    (void)state;
    struct yd_builder *builder = create(0, 0);
    struct yd_batch *batch, *part, *stamped;
    put(builder, "", "nobody");
    put(builder, "a", "a1");
    put(builder, "b", "b1");
    put(builder, "c", "a1"); /* brings nothing new */
    put(builder, "a", "a2");
    put(builder, "", "nobody2");
    put(builder, "b", "b2");
    assert_ok(yd_builder_seal(builder, &batch));
    static const char *const names[] = {"nobody", "a1", "b1", "a2", "nobody2", "b2"}, *const origins[] = {
                                                                                          "", "a", "b", "a", "", "b"};
    for (size_t i = 0; i < YD_COUNT(names); i++) expect_origin(batch, names[i], origins[i]);
    /* A selection numbers its names anew, by their first use, and keeps whose they are. */
    assert_ok(yd_batch_select(batch, (const uint8_t[]){1, 0, 1, 1, 0, 0, 1}, &part));
    expect_origin(part, "nobody", "");
    expect_origin(part, "b1", "b");
    expect_origin(part, "a1", "a");
    expect_origin(part, "b2", "b");
    assert_ok(yd_batch_restamp(batch, &batch->header, &stamped));
    expect_origin(stamped, "a1", "");
    struct yd_batch *again = reread(batch);
    expect_origin(again, "a1", "");
    yd_batch_unref(batch);
    yd_batch_unref(part);
    yd_batch_unref(stamped);
    yd_batch_unref(again);
    /* Who brings goes on into the next batch; a batch of one who is not known has nothing of the one before. */
    assert_ok(yd_builder_add(builder, 1, intern(builder, "b3"), YD_SAMPLE, YD_F64, 0, f64(1)));
    assert_ok(yd_builder_seal(builder, &batch));
    expect_origin(batch, "b3", "b");
    yd_batch_unref(batch);
    put(builder, "", "nobody");
    assert_ok(yd_builder_seal(builder, &batch));
    expect_origin(batch, "nobody", "");
    assert_null(batch->origins);
    yd_batch_unref(batch);
    yd_builder_destroy(builder);
}

static void more_who_bring_than_can_be_kept_are_not_known_and_never_mixed_up(void **state)
{
    (void)state;
    enum { PEERS = 70000 };
    struct yd_builder *builder = create(16 << 20, 0);
    struct yd_batch *batch;
    for (int i = 0; i < PEERS; i++) {
        char peer[16], name[16];
        (void)snprintf(peer, sizeof peer, "p%d", i);
        (void)snprintf(name, sizeof name, "n%d", i);
        put(builder, peer, name);
    }
    assert_ok(yd_builder_seal(builder, &batch));
    assert_int_equal(batch->view.name_count, PEERS);
    expect_origin(batch, "n0", "");
    expect_origin(batch, "n69999", "");
    yd_batch_unref(batch);
    put(builder, "x", "n0"); /* and the next one is well again */
    assert_ok(yd_builder_seal(builder, &batch));
    expect_origin(batch, "n0", "x");
    yd_batch_unref(batch);
    yd_builder_destroy(builder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_and_type_comes_back_as_it_went_in),
        cmocka_unit_test(selecting_keeps_exactly_the_records_asked_for),
        cmocka_unit_test(a_split_batch_is_in_parts_by_the_hashes_of_names),
        cmocka_unit_test(names_stand_once_and_are_found_again),
        cmocka_unit_test(names_with_equal_hashes_are_told_apart),
        cmocka_unit_test(names_known_to_be_new_go_in_without_looking),
        cmocka_unit_test(a_name_may_be_looked_for_after_many_that_went_in_without_looking),
        cmocka_unit_test(emptying_thousands_of_times_never_confuses_old_names_with_new),
        cmocka_unit_test(reserved_records_are_committed_by_count),
        cmocka_unit_test(a_parser_that_seals_when_full_gets_every_record_through),
        cmocka_unit_test(full_is_said_and_the_batch_stays_whole),
        cmocka_unit_test(what_no_batch_can_hold_is_too_big_not_full),
        cmocka_unit_test(mistakes_are_refused_and_leave_the_batch_alone),
        cmocka_unit_test(nesting_goes_to_the_limit_and_no_further),
        cmocka_unit_test(cells_of_a_map_are_found_by_name),
        cmocka_unit_test(each_name_is_of_who_brought_it_first),
        cmocka_unit_test(more_who_bring_than_can_be_kept_are_not_known_and_never_mixed_up),
        cmocka_unit_test(restamping_shares_the_body_and_outlives_its_source),
        cmocka_unit_test(any_failing_allocation_is_reported_and_leaks_nothing),
        cmocka_unit_test(out_of_memory_in_a_record_leaves_the_others_to_be_sealed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
