/* What the readers of an open log leave out, beside a plain model; and that runs of frames go around it. */
#include "log_test.h"

#include <pthread.h>

#include <yarder/name.h>

#include "log/extent.h"
#include "log/mend.h"

#define STEPS       600
#define RECORDS_MAX 12
#define TOMBS_MAX   200

static const char *const names[] = {"cpu host=a", "cpu host=b", "disk host=a", "net"};
static const char *const patterns[] = {"cpu", "cpu host=a", "*", "disk host=*", "net", "nothing"};

struct record {
    uint8_t name;
    enum yd_kind kind;
    int64_t time_ns;
    bool tombstone;
};
struct tomb {
    struct yd_pattern *pattern;
    uint32_t kinds;
    uint64_t seqno, until;
    int64_t until_time;
};
struct model {
    struct record *records;
    uint64_t count;
    struct tomb tombs[TOMBS_MAX];
    unsigned tomb_count;
    struct yd_rng rng;
};

static uint32_t below(struct model *model, uint32_t end)
{
    return (uint32_t)(yd_rng_next(&model->rng) % end);
}

static void put(struct model *model, struct yd_log *log, struct yd_batch *batch)
{
    struct yd_log_appended appended;
    assert_int_equal(yd_log_append(log, batch, -1, UINT64_MAX, &appended), 0);
    assert_int_equal(appended.first + batch->header.count, appended.next);
    assert_int_equal(appended.first, model->count - batch->header.count);
    yd_batch_unref(batch);
}

static void append_records(struct model *model, struct yd_log *log)
{
    static const enum yd_kind kinds[] = {YD_SAMPLE, YD_STATE, YD_ROW};
    struct yd_builder *builder;
    struct yd_batch *batch;
    uint32_t count = 1 + below(model, RECORDS_MAX);
    assert_int_equal(yd_builder_create(NULL, &builder), 0);
    for (uint32_t i = 0; i < count; i++) {
        struct record *record = &model->records[model->count++];
        uint32_t name;
        *record = (struct record){(uint8_t)below(model, YD_COUNT(names)), kinds[below(model, YD_COUNT(kinds))],
                                  (int64_t)below(model, 1000), false};
        assert_int_equal(yd_builder_name(builder, yd_str_of(names[record->name]), &name), 0);
        assert_int_equal(
            yd_builder_add(builder, record->time_ns, name, record->kind, YD_NIL, 0, (union yd_value){.u64 = 0}), 0);
    }
    assert_int_equal(yd_builder_seal(builder, &batch), 0);
    yd_builder_destroy(builder);
    put(model, log, batch);
}

static void append_tombstone(struct model *model, struct yd_log *log)
{
    if (model->tomb_count == TOMBS_MAX) return;
    const char *pattern = patterns[below(model, YD_COUNT(patterns))];
    struct yd_tombstone tombstone = {.names = yd_str_of(pattern),
                                     .kinds = below(model, 3) ? 0 : YD_KIND_BIT(YD_SAMPLE) | YD_KIND_BIT(YD_ROW),
                                     .until_seqno = below(model, 3) ? UINT64_MAX : yd_rng_next(&model->rng) % 2000,
                                     .until_time = below(model, 2) ? INT64_MAX : (int64_t)below(model, 1000)};
    struct tomb *tomb = &model->tombs[model->tomb_count++];
    struct yd_batch *batch;
    *tomb = (struct tomb){.kinds = tombstone.kinds ? tombstone.kinds : YD_KINDS_ALL,
                          .seqno = model->count,
                          .until = YD_MIN(tombstone.until_seqno, model->count),
                          .until_time = tombstone.until_time};
    assert_int_equal(yd_pattern_compile(yd_str_of(pattern), &tomb->pattern), 0);
    model->records[model->count++] = (struct record){.tombstone = true};
    assert_int_equal(yd_tombstone_batch(&tombstone, 1, &batch), 0);
    put(model, log, batch);
}

static bool is_hidden(const struct model *model, uint64_t seqno, uint64_t end)
{
    const struct record *record = &model->records[seqno];
    for (unsigned i = 0; i < model->tomb_count && !record->tombstone; i++) {
        const struct tomb *tomb = &model->tombs[i];
        if (tomb->seqno < end && seqno < tomb->until && tomb->kinds & YD_KIND_BIT(record->kind) &&
            (tomb->until_time == INT64_MAX || record->time_ns < tomb->until_time) &&
            yd_pattern_match(tomb->pattern, yd_str_of(names[record->name])))
            return true;
    }
    return false;
}

/* Everything from some seqno on, as a reader there would have it. */
static uint64_t check(struct model *model, struct yd_log *log, enum yd_ack level)
{
    struct yd_log_position position;
    yd_log_position(log, &position);
    uint64_t end = level == YD_ACK_MEMORY ? position.memory : position.durable, hidden_all = 0;
    struct yd_log_reader *reader =
        open_reader(log, YD_FROM_SEQNO, model->count ? yd_rng_next(&model->rng) % model->count : 0, level);
    struct yd_batch *batch;
    struct yd_log_gap gap;
    assert_int_equal(yd_log_hidden_load(log, yd_log_reader_seqno(reader)), 0);
    int error;
    while ((error = yd_log_reader_next(reader, &batch, &gap)) == 0) {
        uint64_t base = batch->header.base_seqno;
        uint32_t hidden, expected = 0;
        uint8_t *keep;
        /* The whole batch, also of one that begins before the reader's place: its end is what is asked for. */
        assert_int_equal(yd_log_hidden_load(log, base), 0);
        assert_int_equal(yd_log_hidden(log, level, batch, &keep, &hidden), 0);
        for (uint32_t i = 0; i < batch->view.count; i++) {
            bool is = is_hidden(model, base + i, end);
            expected += is;
            if (is != (keep && !keep[i])) fail_msg("record %llu", (unsigned long long)(base + i));
        }
        assert_int_equal(hidden, expected);
        assert_true(!hidden == !keep);
        if (hidden) assert_true(yd_log_may_hide(log, base));
        hidden_all += hidden;
        free(keep);
        yd_batch_unref(batch);
    }
    assert_int_equal(error, YD_EAGAIN);
    yd_log_reader_close(reader);
    return hidden_all;
}

static void what_is_left_out_is_what_a_plain_model_says(void **state)
{
    struct world *world = *state;
    uint64_t hidden = 0;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct model *model = calloc(1, sizeof *model);
        print_message("# seed %llu\n", (unsigned long long)seed);
        yd_rng_init(&model->rng, seed);
        model->records = calloc(STEPS, RECORDS_MAX * sizeof *model->records);
        (void)snprintf(world->dir, sizeof world->dir, "d/s/%llu", (unsigned long long)seed);
        struct yd_log_options options = world_options(world);
        options.segment_size_min = options.segment_size_max = 64 << 10;
        options.memory_bytes_max = 1; /* most of it is read from files */
        struct yd_log *log = world_open(world, &options, NULL);
        for (int i = 0; i < STEPS; i++) {
            uint32_t what = below(model, 40);
            if (what == 0) append_tombstone(model, log);
            if (what > 0 && what < 30) append_records(model, log);
            if (what >= 30 && what < 36) assert_int_equal(yd_log_flush(log), 0);
            if (what == 36) hidden += check(model, log, YD_ACK_DURABLE);
            if (what == 37) hidden += check(model, log, YD_ACK_MEMORY);
            if (what == 38 && below(model, 6) == 0) {
                assert_int_equal(world_close(world, log), 0);
                log = world_open(world, &options, NULL);
            }
            if (what == 39) assert_int_equal(yd_log_maintain(log), 0);
        }
        assert_int_equal(world_close(world, log), 0);
        for (unsigned i = 0; i < model->tomb_count; i++) yd_pattern_destroy(model->tombs[i].pattern);
        free(model->records);
        free(model);
    }
    assert_true(hidden > 1000); /* it was about something */
}

static void forget_marks(struct yd_log *log, uint64_t until)
{
    struct yd_tombstone tombstone = {.names = YD_STR("mark"), .until_seqno = until, .until_time = INT64_MAX};
    struct yd_log_appended appended;
    struct yd_batch *batch;
    assert_int_equal(yd_tombstone_batch(&tombstone, 1, &batch), 0);
    assert_int_equal(yd_log_append(log, batch, -1, UINT64_MAX, &appended), 0);
    yd_batch_unref(batch);
}

static uint32_t hidden_of_first(struct yd_log *log, enum yd_ack level)
{
    struct yd_log_reader *reader = open_reader(log, YD_FROM_OLDEST, 0, YD_ACK_DURABLE);
    struct yd_batch *batch;
    uint32_t hidden;
    uint8_t *keep;
    assert_int_equal(yd_log_reader_next(reader, &batch, NULL), 0);
    assert_int_equal(yd_log_hidden(log, level, batch, &keep, &hidden), 0);
    free(keep);
    yd_batch_unref(batch);
    yd_log_reader_close(reader);
    return hidden;
}

static void a_tombstone_that_a_crash_may_take_hides_nothing_durable(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    (void)append(log, 3, 0);
    assert_int_equal(yd_log_flush(log), 0);
    forget_marks(log, UINT64_MAX);
    assert_int_equal(hidden_of_first(log, YD_ACK_DURABLE), 0);
    assert_int_equal(hidden_of_first(log, YD_ACK_MEMORY), 3);
    assert_int_equal(yd_log_flush(log), 0);
    assert_int_equal(hidden_of_first(log, YD_ACK_DURABLE), 3);
    assert_int_equal(world_close(world, log), 0);
}

#define BATCHES 60

/* Frames that are covered and none else are kept out of what is sent from files. */
static void runs_of_frames_end_before_what_is_covered(void **state)
{
    struct world *world = *state;
    struct yd_log_options options = world_options(world);
    options.memory_bytes_max = 1;
    struct yd_log *log = world_open(world, &options, NULL);
    for (int i = 0; i < BATCHES; i++) {
        (void)append(log, 2, 3000);
        assert_int_equal(yd_log_flush(log), 0);
    }
    forget_marks(log, 61); /* 0 to 60: batches of two, the last one by half */
    assert_int_equal(yd_log_flush(log), 0);
    log = reopen(world, log, NULL);
    struct yd_log_reader *reader = open_reader(log, YD_FROM_SEQNO, 40, 0);
    struct yd_log_extent extent;
    struct yd_batch *batch;
    assert_int_equal(yd_log_hidden_load(log, 40), 0);
    for (uint64_t at = 40; at < 62; at += 2) {
        assert_int_equal(yd_log_reader_extent(reader, 1 << 20, UINT64_MAX, true, &extent), YD_EAGAIN);
        assert_int_equal(yd_log_reader_next(reader, &batch, NULL), 0);
        assert_int_equal(batch->header.base_seqno, at);
        yd_batch_unref(batch);
    }
    assert_int_equal(yd_log_reader_extent(reader, 1 << 20, UINT64_MAX, true, &extent), 0);
    assert_int_equal(extent.first, 62);
    assert_int_equal(extent.next, 2 * BATCHES + 1);
    yd_file_close(extent.file);
    yd_log_reader_close(reader);
    reader = open_reader(log, YD_FROM_OLDEST, 0, 0);
    assert_int_equal(yd_log_reader_extent(reader, 1 << 20, UINT64_MAX, false, &extent), 0); /* all was asked for */
    assert_int_equal(extent.first, 0);
    assert_int_equal(extent.next, 2 * BATCHES + 1);
    yd_file_close(extent.file);
    yd_log_reader_close(reader);
    assert_int_equal(world_close(world, log), 0);
}

/* ---- readers beside a writer ---- */

struct crowd {
    struct yd_log *log;
    atomic_bool over;
    atomic_uint wrong;
    atomic_ullong hidden;
};

/* Each tombstone covers all marks before it: what is hidden is the stream's begin, and never becomes less. */
static void *read_along(void *arg)
{
    struct crowd *crowd = arg;
    uint64_t top = 0;
    bool last = false;
    while (!last) {
        last = atomic_load(&crowd->over);
        struct yd_log_start start = {.from = YD_FROM_OLDEST};
        struct yd_log_reader *reader;
        struct yd_batch *batch;
        if (yd_log_reader_open(crowd->log, &start, &reader)) return NULL;
        if (yd_log_hidden_load(crowd->log, yd_log_reader_seqno(reader))) atomic_fetch_add(&crowd->wrong, 1);
        while (yd_log_reader_next(reader, &batch, NULL) == 0) {
            uint32_t hidden;
            uint8_t *keep;
            if (yd_log_hidden(crowd->log, YD_ACK_DURABLE, batch, &keep, &hidden)) atomic_fetch_add(&crowd->wrong, 1);
            for (uint32_t i = 0; i < batch->view.count; i++) {
                uint64_t seqno = batch->header.base_seqno + i;
                bool is_mark = batch->view.records[i].kind == YD_SAMPLE, is_hidden = keep && !keep[i];
                if (is_hidden) top = YD_MAX(top, seqno);
                if (is_hidden && !is_mark) atomic_fetch_add(&crowd->wrong, 1);
                if (!is_hidden && is_mark && seqno < top) atomic_fetch_add(&crowd->wrong, 1);
            }
            atomic_fetch_add(&crowd->hidden, hidden);
            free(keep);
            yd_batch_unref(batch);
        }
        yd_log_reader_close(reader);
    }
    return NULL;
}

static void readers_beside_a_writer_see_no_hidden_record_again(void **state)
{
    struct world *world = *state;
    struct crowd crowd = {.log = world_open(world, NULL, NULL)};
    pthread_t readers[3];
    (void)append(crowd.log, 5, 0);
    forget_marks(crowd.log, UINT64_MAX); /* before it is opened: in files */
    crowd.log = reopen(world, crowd.log, NULL);
    assert_int_equal(yd_log_start(crowd.log), 0);
    for (size_t i = 0; i < YD_COUNT(readers); i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_along, &crowd), 0);
    for (int i = 0; i < 400; i++) {
        (void)append(crowd.log, 5, 0);
        if (i % 20 == 19) forget_marks(crowd.log, UINT64_MAX);
        if (i % 40 == 39) {
            struct yd_log_position position;
            yd_log_position(crowd.log, &position);
            assert_int_equal(yd_log_wait(crowd.log, position.memory, YD_ACK_DURABLE), 0);
        }
    }
    atomic_store(&crowd.over, true);
    for (size_t i = 0; i < YD_COUNT(readers); i++) pthread_join(readers[i], NULL);
    assert_int_equal(atomic_load(&crowd.wrong), 0);
    assert_true(atomic_load(&crowd.hidden) >= 3 * 2000); /* the last round of each saw them all */
    assert_int_equal(world_close(world, crowd.log), 0);
}

/* A tombstone that nobody could look into would hide nothing: there is no such batch in a log. */
static void a_compressed_batch_is_not_taken(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    struct yd_tombstone tombstone = {.names = YD_STR("*"), .until_seqno = UINT64_MAX, .until_time = INT64_MAX};
    struct yd_log_appended appended;
    struct yd_batch *batch, *squeezed;
    assert_int_equal(yd_tombstone_batch(&tombstone, 1, &batch), 0);
    assert_int_equal(batch->header.codec, YD_CODEC_NONE);
    struct yd_header header = batch->header;
    header.codec = YD_CODEC_ZSTD;
    assert_int_equal(yd_batch_restamp(batch, &header, &squeezed), 0);
    assert_int_equal(yd_log_append(log, squeezed, -1, UINT64_MAX, &appended), YD_ENOTSUP);
    struct yd_log_position position;
    yd_log_position(log, &position);
    assert_int_equal(position.memory, 0);
    assert_int_equal(yd_log_append(log, batch, -1, UINT64_MAX, &appended), 0);
    yd_batch_unref(batch);
    yd_batch_unref(squeezed);
    assert_int_equal(world_close(world, log), 0);
}

#define WORLD(test) cmocka_unit_test_setup_teardown(test, world_setup_sim, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(what_is_left_out_is_what_a_plain_model_says),
        WORLD(a_tombstone_that_a_crash_may_take_hides_nothing_durable),
        WORLD(runs_of_frames_end_before_what_is_covered),
        WORLD(a_compressed_batch_is_not_taken),
        cmocka_unit_test_setup_teardown(readers_beside_a_writer_see_no_hidden_record_again, world_setup_linux,
                                        world_teardown),
    };
    return cmocka_run_group_tests_name("log / forgotten", tests, NULL, NULL);
}
