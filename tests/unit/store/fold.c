/* Folding against a plain model: per series an array of points by time, the later of two with one time. */
#include "testing.h"

#include "store/internal.h"

struct model_point {
    int64_t time;
    uint64_t bits;
    uint8_t type;
};
struct model {
    char name[64];
    struct model_point *points;
    size_t count, room;
};

static void model_put(struct model *model, int64_t time, uint8_t type, uint64_t bits)
{
    size_t at = model->count;
    while (at && model->points[at - 1].time > time) at--;
    if (at && model->points[at - 1].time == time) {
        model->points[at - 1] = (struct model_point){time, bits, type};
        return;
    }
    if (model->count == model->room) {
        model->room = model->room ? model->room * 2 : 64;
        model->points = realloc(model->points, model->room * sizeof *model->points);
    }
    memmove(model->points + at + 1, model->points + at, (model->count - at) * sizeof *model->points);
    model->points[at] = (struct model_point){time, bits, type};
    model->count++;
}

static uint32_t find(const struct yd_history *history, const char *name)
{
    struct yd_str text = yd_str_of(name);
    return yd__index_find(history, text, yd_hash_str(text));
}

static void check(struct yd_history *history, const struct model *model, int64_t from, int64_t to)
{
    uint32_t id = find(history, model->name);
    size_t at = 0;
    while (at < model->count && model->points[at].time < from) at++;
    if (id == YD__NONE) {
        assert_true(model->count == 0);
        return;
    }
    const struct yd__series *series = yd__series_at(history, id);
    struct yd__points *points = malloc(sizeof *points);
    struct yd__numbers *numbers = malloc(sizeof *numbers);
    struct yd__cursor cursor = {from, to, false}, again = cursor;
    while (yd__series_exact(history, series, &cursor, points)) {
        assert_true(yd__series_numbers(history, series, &again, numbers));
        assert_true(points->count > 0 && numbers->count == points->count);
        for (uint32_t i = 0; i < points->count; i++, at++) {
            assert_true(at < model->count);
            const struct model_point *want = &model->points[at];
            assert_true(points->times[i] == want->time && numbers->times[i] == want->time);
            double number = yd__number(want->type, want->bits);
            if (points->types[i] == want->type)
                assert_true(points->bits[i] == want->bits);
            else
                assert_true(points->types[i] == YD_F64 && yd__bits_f64(points->bits[i]) == number);
            assert_true(numbers->values[i] == number || number != number);
        }
    }
    assert_false(yd__series_numbers(history, series, &again, numbers));
    assert_true(at == model->count || model->points[at].time > to);
    free(points);
    free(numbers);
}

static void any_value(struct yd_rng *rng, int flavour, uint8_t *type, uint64_t *bits)
{
    uint64_t random = yd_rng_next(rng);
    *type = YD_I64;
    *bits = random % 1000;
    if (flavour == 1 || (flavour == 2 && random % 3 == 0)) {
        *type = YD_F64;
        *bits = yd__f64_bits((double)(random % 100000) / 1000);
    } else if (flavour == 3) {
        *bits = random;
        *type = random % 5 ? YD_I64 : random % 2 ? YD_U64 : YD_F64;
    }
}

static void fold_keeps_what_a_plain_array_keeps(void **state)
{
    (void)state;
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    enum { SERIES = 20 };
    struct model models[SERIES] = {0};
    struct yd_history *history = test_history(&(struct yd_history_options){0});
    struct yd_builder *builder = test_builder();
    int64_t clock[SERIES];
    uint64_t sent = 0;
    for (int i = 0; i < SERIES; i++) {
        (void)snprintf(models[i].name, sizeof models[i].name, "m%d a=%d,b=x", i % 4, i);
        clock[i] = (int64_t)yd_rng_below(&rng, 1000000) * SECOND;
    }
    for (int round = 0; round < 150; round++) {
        for (int k = 0; k < 400; k++) {
            int i = (int)yd_rng_below(&rng, SERIES), kind = i % 5;
            int64_t time;
            uint8_t type;
            uint64_t bits;
            /* in order; a little late; anywhere; again */
            if (kind < 2 || !models[i].count || yd_rng_chance(&rng, kind == 2 ? 10 : 2) == false) {
                time = clock[i] += 1 + (int64_t)yd_rng_below(&rng, (uint64_t)SECOND * 20);
            } else if (yd_rng_chance(&rng, 3)) {
                time = models[i].points[yd_rng_below(&rng, models[i].count)].time;
            } else {
                time = clock[i] - (int64_t)yd_rng_below(&rng, (uint64_t)(kind == 3 ? 100 : 20000) * SECOND);
            }
            any_value(&rng, i % 4, &type, &bits);
            test_add(builder, models[i].name, time, (enum yd_type)type, bits);
            model_put(&models[i], time, type, bits);
            sent++;
        }
        test_fold(history, builder);
        int i = (int)yd_rng_below(&rng, SERIES);
        int64_t from = clock[i] - (int64_t)yd_rng_below(&rng, (uint64_t)SECOND * 30000);
        check(history, &models[i], from, from + (int64_t)yd_rng_below(&rng, (uint64_t)SECOND * 30000));
    }
    uint64_t kept = 0;
    for (int i = 0; i < SERIES; i++) {
        check(history, &models[i], INT64_MIN + 1, INT64_MAX);
        kept += models[i].count;
    }
    struct yd_history_counts counts;
    yd_history_counts(history, &counts);
    assert_true(counts.stored == sent);
    assert_int_equal(counts.series, SERIES);
    assert_true(counts.duplicate <= sent - kept); /* some are found when they are merged */
    yd_history_destroy(history);
    yd_builder_destroy(builder);
    for (int i = 0; i < SERIES; i++) free(models[i].points);
}

static void fold_in_slices_equals_fold_at_once(void **state)
{
    (void)state;
    struct yd_builder *builder = test_builder();
    struct yd_history *whole = test_history(&(struct yd_history_options){0});
    struct yd_history *sliced = test_history(&(struct yd_history_options){0});
    for (int i = 0; i < 100000; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "m k=%d", i % 3000);
        test_i64(builder, name, (1 + i) * SECOND, i);
    }
    struct yd_batch *batch;
    assert_true(yd_builder_seal(builder, &batch) >= 0);
    assert_int_equal(yd_history_fold(whole, batch, 0, NULL), 0);
    uint32_t done = 0, slices = 0;
    while (done < batch->view.count) {
        uint32_t before = done;
        assert_int_equal(yd_history_fold(sliced, batch, done, &done), 0);
        assert_true(done > before);
        slices++;
    }
    assert_true(slices > 1);
    struct yd_history_counts a, b;
    yd_history_counts(whole, &a);
    yd_history_counts(sliced, &b);
    assert_memory_equal(&a, &b, sizeof a);
    assert_int_equal(a.stored, 100000);
    assert_int_equal(yd_history_fold(whole, batch, batch->view.count + 1, NULL), YD_EINVAL);
    yd_batch_unref(batch);
    yd_history_destroy(whole);
    yd_history_destroy(sliced);
    yd_builder_destroy(builder);
}

static void series_limit_refuses_new_ones_only(void **state)
{
    (void)state;
    struct yd_builder *builder = test_builder();
    struct yd_history *history = test_history(&(struct yd_history_options){.series_max = 2});
    test_i64(builder, "a x=1", SECOND, 1);
    test_i64(builder, "a x=2", SECOND, 1);
    test_i64(builder, "a x=3", SECOND, 1);
    test_i64(builder, "a x=3", 2 * SECOND, 1);
    test_fold(history, builder);
    test_i64(builder, "a x=1", 3 * SECOND, 1);
    test_i64(builder, "a x=4", 3 * SECOND, 1);
    test_fold(history, builder);
    struct yd_history_counts counts;
    yd_history_counts(history, &counts);
    assert_int_equal(counts.series, 2);
    assert_int_equal(counts.stored, 3);
    assert_int_equal(counts.refused_series, 2);
    assert_int_equal(counts.refused_samples, 3);
    assert_int_equal(find(history, "a x=3"), YD__NONE);
    yd_history_destroy(history);
    yd_builder_destroy(builder);
}

static void memory_cap_pushes_out_the_oldest_chunks(void **state)
{
    (void)state;
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    struct yd_builder *builder = test_builder();
    uint64_t cap = 1 << 20;
    struct yd_history *history = test_history(&(struct yd_history_options){.memory_max = cap});
    enum { SERIES = 50, TICKS = 6000 };
    for (int tick = 0; tick < TICKS; tick++) {
        for (int i = 0; i < SERIES; i++) {
            char name[64];
            (void)snprintf(name, sizeof name, "cpu host=h%d", i);
            test_add(builder, name, (1 + tick) * SECOND, YD_I64, yd_rng_next(&rng));
        }
        if (tick % 20 == 19) {
            test_fold(history, builder);
            struct yd_history_counts counts;
            yd_history_counts(history, &counts);
            assert_true(counts.memory_bytes <= cap);
        }
    }
    struct yd_history_counts counts;
    yd_history_counts(history, &counts);
    assert_int_equal(counts.series, SERIES);
    assert_int_equal(counts.refused_series, 0);
    uint64_t held = 0;
    int64_t oldest_least = INT64_MAX, oldest_most = 0;
    for (uint32_t id = 0; id < SERIES; id++) {
        const struct yd__series *series = yd__series_at(history, id);
        held += yd__series_points(series);
        int64_t oldest = 0;
        assert_true(yd__series_oldest(series, &oldest));
        oldest_least = YD_MIN(oldest_least, oldest);
        oldest_most = YD_MAX(oldest_most, oldest);
        int64_t time;
        uint8_t type;
        uint64_t bits;
        assert_true(yd__series_last(history, series, &time, &type, &bits));
        assert_true(time == TICKS * SECOND);
    }
    assert_int_equal(counts.stored, SERIES * TICKS);
    assert_true(counts.evicted_samples > 0 && held + counts.evicted_samples == counts.stored);
    /* Nobody lost much more than the others: what went was the oldest of all. */
    assert_true(oldest_most - oldest_least <= 600 * SECOND);
    yd_history_destroy(history);
    yd_builder_destroy(builder);
}

static void names_may_fill_half_of_the_memory_then_new_ones_are_refused(void **state)
{
    (void)state;
    struct yd_builder *builder = test_builder();
    struct yd_history *history = test_history(&(struct yd_history_options){.memory_max = 2 << 20});
    for (int i = 0; i < 20000; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "a_metric_with_a_name host=host%06d", i);
        test_i64(builder, name, (1 + i) * SECOND, i);
    }
    test_fold(history, builder);
    struct yd_history_counts counts;
    yd_history_counts(history, &counts);
    assert_true(counts.refused_series > 0 && counts.series > 500);
    assert_true(counts.stored + counts.refused_samples == 20000);
    assert_true(counts.memory_bytes <= 2 << 20);
    yd_history_destroy(history);
    yd_builder_destroy(builder);
}

static void old_samples_go_and_older_ones_are_late(void **state)
{
    (void)state;
    struct yd_builder *builder = test_builder();
    struct yd_history *history = test_history(&(struct yd_history_options){.keep_ns = 100 * SECOND});
    for (int i = 1; i <= 500; i++) test_i64(builder, "a x=1", i * SECOND, i);
    test_i64(builder, "gone x=1", 1 * SECOND, 1); /* late: 500 is the newest */
    test_i64(builder, "brief x=1", 450 * SECOND, 1);
    test_fold(history, builder);
    struct yd_history_counts counts;
    yd_history_counts(history, &counts);
    assert_int_equal(counts.late, 1);
    assert_int_equal(counts.stored, 501);
    assert_true(counts.evicted_samples >= 256 && counts.evicted_samples < 400);
    for (int i = 501; i <= 1000; i++) test_i64(builder, "a x=1", i * SECOND, i);
    test_fold(history, builder);
    yd_history_counts(history, &counts);
    assert_int_equal(find(history, "brief x=1"), YD__NONE); /* with its last sample the series goes */
    test_i64(builder, "brief x=1", 999 * SECOND, 1);
    test_fold(history, builder);
    assert_int_not_equal(find(history, "brief x=1"), YD__NONE);
    yd_history_destroy(history);
    yd_builder_destroy(builder);
}

static void a_clock_far_ahead_does_not_age_the_others_out(void **state)
{
    (void)state;
    struct yd_builder *builder = test_builder();
    struct yd_history *history = test_history(&(struct yd_history_options){.keep_ns = 86400 * SECOND});
    test_i64(builder, "good", 1000000 * SECOND, 1);
    test_i64(builder, "odd", 9000000 * SECOND, 1);
    test_i64(builder, "good", 1000001 * SECOND, 1);
    struct yd_batch *batch, *stamped;
    assert_true(yd_builder_seal(builder, &batch) >= 0);
    struct yd_header header = batch->header;
    header.append_time = 1000001 * SECOND;
    assert_int_equal(yd_batch_restamp(batch, &header, &stamped), 0);
    assert_int_equal(yd_history_fold(history, stamped, 0, NULL), 0);
    yd_batch_unref(batch);
    yd_batch_unref(stamped);
    struct yd_history_counts counts;
    yd_history_counts(history, &counts);
    assert_int_equal(counts.stored, 3);
    assert_int_equal(counts.late, 0);
    assert_int_equal(counts.evicted_samples, 0);
    yd_history_destroy(history);
    yd_builder_destroy(builder);
}

static void what_is_not_numeric_is_ignored_and_counted(void **state)
{
    (void)state;
    struct yd_builder *builder = test_builder();
    struct yd_history *history = test_history(&(struct yd_history_options){0});
    uint32_t name;
    assert_true(yd_builder_name(builder, YD_STR("a x=1"), &name) >= 0);
    assert_true(yd_builder_add_bytes(builder, SECOND, name, YD_SAMPLE, YD_TEXT, 0, YD_STR("text")) >= 0);
    assert_true(yd_builder_add(builder, SECOND, name, YD_STATE, YD_I64, 1, (union yd_value){.i64 = 1}) >= 0);
    assert_true(yd_builder_add(builder, SECOND, name, YD_SAMPLE, YD_NIL, 0, (union yd_value){0}) >= 0);
    assert_true(yd_builder_add(builder, SECOND, name, YD_TALLY, YD_U64, 0, (union yd_value){.u64 = UINT64_MAX}) >= 0);
    assert_true(yd_builder_add(builder, 2 * SECOND, name, YD_DELTA, YD_I64, 0, (union yd_value){.i64 = -1}) >= 0);
    test_fold(history, builder);
    struct yd_history_counts counts;
    yd_history_counts(history, &counts);
    assert_int_equal(counts.ignored, 3);
    assert_int_equal(counts.stored, 2);
    yd_history_destroy(history);
    yd_builder_destroy(builder);
}

static void tombstone_forgets_the_series(void **state)
{
    (void)state;
    struct yd_builder *builder = test_builder();
    struct yd_history *history = test_history(&(struct yd_history_options){0});
    for (int i = 1; i <= 300; i++) test_i64(builder, "a x=1", i * SECOND, i);
    test_i64(builder, "b x=1", SECOND, 1);
    uint32_t name;
    assert_true(yd_builder_name(builder, YD_STR("a x=1"), &name) >= 0);
    assert_true(
        yd_builder_add(builder, 400 * SECOND, name, YD_SAMPLE, YD_NIL, YD_RECORD_TOMBSTONE, (union yd_value){0}) >= 0);
    test_i64(builder, "a x=1", 500 * SECOND, 7);
    test_fold(history, builder);
    struct yd_history_counts counts;
    yd_history_counts(history, &counts);
    assert_int_equal(counts.series, 2);
    assert_int_equal(counts.stored, 302);
    assert_int_equal(counts.evicted_samples, 300);
    assert_int_equal(yd__series_points(yd__series_at(history, find(history, "a x=1"))), 1);
    yd_history_destroy(history);
    yd_builder_destroy(builder);
}

static void a_point_sent_again_counts_as_duplicate_at_once(void **state)
{
    (void)state;
    struct yd_builder *builder = test_builder();
    struct yd_history *history = test_history(&(struct yd_history_options){0});
    test_i64(builder, "a x=1", SECOND, 1);
    test_i64(builder, "a x=1", SECOND, 2);
    test_i64(builder, "a x=1", SECOND, 3);
    test_fold(history, builder);
    struct yd_history_counts counts;
    yd_history_counts(history, &counts);
    assert_int_equal(counts.stored, 3);
    assert_int_equal(counts.duplicate, 2);
    int64_t time;
    uint8_t type;
    uint64_t bits;
    const struct yd__series *series = yd__series_at(history, find(history, "a x=1"));
    assert_true(yd__series_last(history, series, &time, &type, &bits));
    assert_true(bits == 3 && type == YD_I64 && time == SECOND);
    assert_int_equal(yd__series_points(series), 1);
    yd_history_destroy(history);
    yd_builder_destroy(builder);
}

/* Any allocation may fail: what was folded stays, the rest can be folded later, nothing leaks. */
static void every_failed_allocation_is_survived(void **state)
{
    (void)state;
    struct yd_builder *builder = test_builder();
    struct model model = {.name = "m k=3"};
    for (int i = 0; i < 4000; i++) {
        char name[64];
        int64_t time = i % 7 == 6 ? (i / 2 + 1) * SECOND + 1 : (i + 1) * SECOND;
        (void)snprintf(name, sizeof name, "m k=%d", i % 7);
        test_i64(builder, name, time, i);
        if (i % 7 == 3) model_put(&model, time, YD_I64, (uint64_t)i);
    }
    struct yd_batch *batch;
    assert_true(yd_builder_seal(builder, &batch) >= 0);
    uint64_t fail_at = 1;
    for (bool done = false; !done; fail_at += 1 + fail_at / 20) {
        struct yd_alloc_failing failing;
        yd_alloc_failing_init(&failing, fail_at);
        struct yd_history *history;
        int error = yd_history_create(&(struct yd_history_options){.alloc = &failing.alloc}, &history);
        if (error) {
            assert_int_equal(error, YD_ENOMEM);
            assert_true(failing.bytes_out == 0);
            continue;
        }
        uint32_t at = 0;
        error = yd_history_fold(history, batch, 0, &at);
        while (!error && at < batch->view.count) error = yd_history_fold(history, batch, at, &at);
        if (error) {
            assert_int_equal(error, YD_ENOMEM);
            struct yd_history_counts counts;
            yd_history_counts(history, &counts);
            assert_true(counts.stored == at);
            failing.fail_at = 0;
            while (at < batch->view.count) assert_int_equal(yd_history_fold(history, batch, at, &at), 0);
        } else {
            done = true;
        }
        struct yd_history_counts counts;
        yd_history_counts(history, &counts);
        assert_true(counts.stored == 4000);
        if (!counts.evicted_samples) check(history, &model, INT64_MIN + 1, INT64_MAX);
        yd_history_destroy(history);
        assert_true(failing.bytes_out == 0);
    }
    assert_true(fail_at > 30);
    yd_batch_unref(batch);
    yd_builder_destroy(builder);
    free(model.points);
}

/* Many short-lived series under a cap: ids, slots and lists follow. */
static void churn_of_series_leaves_the_index_sound(void **state)
{
    (void)state;
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    struct yd_builder *builder = test_builder();
    struct yd_history *history = test_history(&(struct yd_history_options){.keep_ns = 50 * SECOND});
    for (int64_t tick = 1; tick <= 400; tick++) {
        for (int i = 0; i < 100; i++) {
            char name[64];
            (void)snprintf(name, sizeof name, "m pod=p%d", (int)(tick / 3 * 50 + (int64_t)yd_rng_below(&rng, 100)));
            test_i64(builder, name, tick * SECOND, i);
        }
        test_fold(history, builder);
    }
    struct yd_history_counts counts;
    yd_history_counts(history, &counts);
    assert_true(counts.series < 2000 && history->id_count > 5000);
    uint64_t held = 0;
    for (uint32_t id = 0; id < history->id_count; id++) {
        const struct yd__series *series = yd__series_get(history, id);
        if (!series) continue;
        struct yd_str name = yd__label_name(series->label);
        assert_int_equal(yd__index_find(history, name, yd_hash_str(name)), id);
        held += yd__series_points(series);
    }
    assert_true(held + counts.duplicate + counts.evicted_samples == counts.stored);
    yd_history_destroy(history);
    yd_builder_destroy(builder);
}

/* Anything at once: late points, repetitions, little memory, aging. Structure and counts stay sound. */
static void random_folds_under_a_cap_lose_nothing_uncounted(void **state)
{
    (void)state;
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    for (int round = 0; round < 6; round++) {
        uint64_t cap = 500000 + yd_rng_below(&rng, 300000);
        struct yd_history *history = test_history(&(struct yd_history_options){
            .memory_max = cap, .keep_ns = round % 2 ? 3000 * SECOND : 0, .series_max = 150});
        struct yd_builder *builder = test_builder();
        int64_t clock = 1000000 * SECOND;
        uint64_t sent = 0;
        for (int turn = 0; turn < 120; turn++) {
            for (int k = 0; k < 500; k++, sent++) {
                char name[64];
                (void)snprintf(name, sizeof name, "m%d k=%d", (int)yd_rng_below(&rng, 3), (int)yd_rng_below(&rng, 60));
                int64_t time = clock += (int64_t)yd_rng_below(&rng, (uint64_t)SECOND / 10);
                if (yd_rng_chance(&rng, 4)) time -= (int64_t)yd_rng_below(&rng, 5000) * SECOND / 2;
                if (yd_rng_chance(&rng, 8)) time -= time % (100 * SECOND);
                uint8_t type;
                uint64_t bits;
                any_value(&rng, k % 4, &type, &bits);
                test_add(builder, name, time, (enum yd_type)type, bits);
            }
            test_fold(history, builder);
            struct yd_history_counts counts;
            yd_history_counts(history, &counts);
            assert_true(counts.memory_bytes <= cap);
            uint64_t held = 0, chunks = 0;
            for (uint32_t id = 0; id < history->id_count; id++) {
                const struct yd__series *series = yd__series_get(history, id);
                if (!series) continue;
                held += yd__series_points(series);
                const struct yd__past *past = series->past;
                for (uint32_t i = 0; past && i < past->count; i++) {
                    assert_true(past->chunks[i]->first <= past->chunks[i]->last);
                    assert_true(!i || past->chunks[i - 1]->last < past->chunks[i]->first);
                    assert_true(!series->stream.count || past->chunks[i]->last < series->first);
                }
                for (uint32_t i = 0; past && i < past->side_count; i++) {
                    assert_true(past->side[i].time <= series->stream.time);
                    assert_true(!i || past->side[i - 1].time < past->side[i].time);
                }
                chunks += past ? past->count : 0;
            }
            assert_true(held + counts.duplicate + counts.evicted_samples == counts.stored);
            assert_true(counts.stored + counts.late + counts.refused_samples + counts.ignored == sent);
            assert_true(counts.chunks == chunks);
        }
        yd_builder_destroy(builder);
        yd_history_destroy(history);
    }
}

static void a_false_hash_in_a_batch_finds_the_same_series(void **state)
{
    (void)state;
    struct yd_builder *builder = test_builder();
    struct yd_history *history = test_history(&(struct yd_history_options){0});
    for (int k = 0; k < 3; k++) {
        test_i64(builder, "a x=1", (k + 1) * SECOND, k);
        test_i64(builder, "b x=1", (k + 1) * SECOND, k);
        struct yd_batch *batch;
        assert_true(yd_builder_seal(builder, &batch) >= 0);
        struct yd_name_entry names[] = {batch->view.names[0], batch->view.names[1]};
        names[0].hash = names[1].hash =
            k == 1 ? names[0].hash : 12345; /* the view is ours: whoever reads it may be lied to */
        batch->view.names = names;
        assert_int_equal(yd_history_fold(history, batch, 0, NULL), 0);
        yd_batch_unref(batch);
    }
    struct yd_history_counts counts;
    yd_history_counts(history, &counts);
    assert_int_equal(counts.series, 2);
    assert_int_equal(counts.stored, 6);
    assert_int_equal(yd__series_points(yd__series_at(history, find(history, "a x=1"))), 3);
    yd_history_destroy(history);
    yd_builder_destroy(builder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fold_keeps_what_a_plain_array_keeps),
        cmocka_unit_test(fold_in_slices_equals_fold_at_once),
        cmocka_unit_test(series_limit_refuses_new_ones_only),
        cmocka_unit_test(memory_cap_pushes_out_the_oldest_chunks),
        cmocka_unit_test(names_may_fill_half_of_the_memory_then_new_ones_are_refused),
        cmocka_unit_test(old_samples_go_and_older_ones_are_late),
        cmocka_unit_test(a_clock_far_ahead_does_not_age_the_others_out),
        cmocka_unit_test(what_is_not_numeric_is_ignored_and_counted),
        cmocka_unit_test(tombstone_forgets_the_series),
        cmocka_unit_test(a_point_sent_again_counts_as_duplicate_at_once),
        cmocka_unit_test(every_failed_allocation_is_survived),
        cmocka_unit_test(churn_of_series_leaves_the_index_sound),
        cmocka_unit_test(random_folds_under_a_cap_lose_nothing_uncounted),
        cmocka_unit_test(a_false_hash_in_a_batch_finds_the_same_series),
    };
    return cmocka_run_group_tests_name("store/fold", tests, NULL, NULL);
}
