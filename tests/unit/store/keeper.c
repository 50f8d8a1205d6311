/* A history on disk: what comes back, what damage costs, what goes and when. The long way is tests/sim/store. */
#include "answers.h"

#include <pthread.h>

#include "io/sim_file.h"
#include "store/internal.h"
#include "store/keeper.h"

#define EPOCH (1700000000 * SECOND)
#define DAY   (86400 * SECOND)

struct disk {
    struct yd_fs *fs;
    struct yd_alloc *alloc; /* the history's; NULL: the C library's */
    struct yd_history *history;
    struct yd_keeper *keeper;
    struct yd_keeper_options options;
    unsigned said;
};

static void said(void *arg, const char *text)
{
    struct disk *disk = arg;
    (void)text;
    disk->said++;
}

static int disk_open(struct disk *disk)
{
    struct yd_trail trail = {0};
    disk->history = test_history(
        &(struct yd_history_options){.alloc = disk->alloc, .durable = true, .keep_ns = disk->options.keep_ns});
    disk->options.fs = disk->fs;
    disk->options.folder = "h";
    int error = yd_keeper_open(&disk->options, disk->history, said, disk, &disk->keeper, &trail);
    if (error < 0) {
        yd_history_destroy(disk->history);
        disk->history = NULL;
    }
    return error;
}

static void disk_close(struct disk *disk)
{
    if (disk->history) yd_history_destroy(disk->history);
    yd_keeper_close(disk->keeper);
    disk->history = NULL;
    disk->keeper = NULL;
}

static void disk_begin(struct disk *disk)
{
    assert_int_equal(yd_sim_fs_create(1, &disk->fs), 0);
    assert_int_equal(disk_open(disk), 0);
}

static void disk_end(struct disk *disk)
{
    disk_close(disk);
    yd_sim_fs_destroy(disk->fs);
}

static void install(struct disk *disk, struct yd_store_change *change)
{
    if (!change) return;
    assert_int_equal(yd_history_install(disk->history, change), 0);
    yd_keeper_retire(disk->keeper, change);
    while (yd_history_settle(disk->history))
        ;
}

static int flush(struct disk *disk)
{
    struct yd_flush_piece *piece;
    struct yd_store_change *change;
    int r;
    yd_history_flush_begin(disk->history);
    do {
        r = yd_history_flush_step(disk->history, &piece);
        assert_true(r >= 0);
        if (piece) (void)yd_keeper_take(disk->keeper, piece);
    } while (r > 0);
    r = yd_keeper_commit(disk->keeper, yd_history_newest(disk->history), &change, NULL);
    if (r == 0) install(disk, change);
    yd_history_flush_end(disk->history, r == 0);
    while (yd_history_settle(disk->history))
        ;
    return r;
}

static void work(struct disk *disk)
{
    struct yd_store_change *change;
    int r;
    do {
        r = yd_keeper_work(disk->keeper, yd_history_newest(disk->history), &change, NULL);
        assert_true(r >= 0);
        install(disk, change);
    } while (r > 0);
}

static void fold_range(struct disk *disk, unsigned series, int64_t from, int64_t step, unsigned count, double base)
{
    struct yd_builder *builder = test_builder();
    for (unsigned s = 0; s < series; s++) {
        char name[64];
        (void)snprintf(name, sizeof name, "m host=h%u", s);
        for (unsigned i = 0; i < count; i++) test_f64(builder, name, from + i * step, base + s + i / 8.0);
    }
    test_fold(disk->history, builder);
    yd_builder_destroy(builder);
}

/* Points of a series; *ret_sum of their values. */
static unsigned points_of(struct disk *disk, unsigned s, double *ret_sum)
{
    char name[64];
    (void)snprintf(name, sizeof name, "m host=h%u", s);
    uint32_t id = yd__index_find(disk->history, yd_str_of(name), yd_hash_str(yd_str_of(name)));
    struct yd__cursor cursor = {INT64_MIN, INT64_MAX, false};
    unsigned count = 0;
    *ret_sum = 0;
    if (id == YD__NONE) return 0;
    struct yd__numbers *numbers = malloc(sizeof *numbers);
    while (yd__series_numbers(disk->history, yd__series_at(disk->history, id), &cursor, numbers))
        for (uint32_t i = 0; i < numbers->count; i++, count++) *ret_sum += numbers->values[i];
    free(numbers);
    return count;
}

static void a_start_maps_blocks_and_has_every_point(void **state)
{
    (void)state;
    struct disk disk = {0};
    double sum, again;
    disk_begin(&disk);
    assert_true(yd_keeper_fresh(disk.keeper));
    for (int i = 0; i < 30; i++) {
        fold_range(&disk, 50, EPOCH + i * 600 * SECOND, 10 * SECOND, 60, i);
        assert_int_equal(flush(&disk), 0);
        work(&disk);
        struct yd_history_counts counts;
        yd_history_counts(disk.history, &counts);
        assert_int_equal(counts.chunks, 0); /* all in blocks */
    }
    assert_int_equal(points_of(&disk, 7, &sum), 1800);
    disk_close(&disk);
    assert_int_equal(disk_open(&disk), 0);
    assert_false(yd_keeper_fresh(disk.keeper));
    assert_int_equal(points_of(&disk, 7, &again), 1800);
    assert_true(sum == again);
    struct yd_keeper_counts counts;
    yd_keeper_counts(disk.keeper, &counts);
    assert_true(counts.blocks < 30); /* some were merged */
    assert_int_equal(counts.points, 50 * 1800);
    disk_end(&disk);
}

/* A query of all series, each step only after what it says is cold has been read. Times it was cold, and points. */
static unsigned ask_cold(struct disk *disk, int64_t from, int64_t to, bool read, uint64_t *ret_points)
{
    struct yd_filter filter = {YD_FILTER_WILDCARD, YD_STR("host"), YD_STR("*"), true};
    struct yd_series_query query = {.metric = YD_STR("m"),
                                    .aggregator = aggregator("sum"),
                                    .start_ns = from,
                                    .end_ns = to,
                                    .filters = &filter,
                                    .filter_count = 1};
    struct yd_query_run *run;
    struct yd_warming *warming;
    struct yd_batch *batch;
    unsigned cold = 0;
    int r;
    *ret_points = 0;
    assert_int_equal(yd_query_start(disk->history, &query, &run, NULL), 0);
    do {
        for (; yd_query_is_cold(run, &warming); cold++) {
            assert_non_null(warming);
            if (read) yd_warming_do(warming);
            yd_warming_free(warming);
        }
        assert_null(warming);
        r = yd_query_step(run, &batch, NULL);
        assert_true(r >= 0);
        if (batch) *ret_points += batch->header.count;
        yd_batch_unref(batch);
    } while (r > 0);
    yd_query_destroy(run);
    return cold;
}

static void what_was_not_read_since_the_start_is_cold_until_the_keeper_has_read_it(void **state)
{
    (void)state;
    for (int read = 0; read < 2; read++) {
        struct disk disk = {0};
        uint64_t points, again;
        disk_begin(&disk);
        for (int i = 0; i < 4; i++) {
            fold_range(&disk, 3000, EPOCH + i * DAY, 10 * SECOND, 2, i);
            assert_int_equal(flush(&disk), 0);
        }
        assert_int_equal(ask_cold(&disk, EPOCH, EPOCH + 4 * DAY, true, &points), 0); /* just written */
        disk_close(&disk);
        assert_int_equal(disk_open(&disk), 0);
        /* The indexes, then the series, 2,048 at once. */
        assert_int_equal(ask_cold(&disk, EPOCH, EPOCH + 4 * DAY, read, &again), 3);
        assert_int_equal(again, points);
        /* The index is read once; chunks are for all that is known gone again. */
        assert_int_equal(ask_cold(&disk, EPOCH + DAY, EPOCH + DAY + 60 * SECOND, read, &again), read ? 2 : 3);
        assert_int_equal(ask_cold(&disk, EPOCH + 10 * DAY, EPOCH + 11 * DAY, read, &again), 0);
        /* Indexes are read whatever they take, blocks up to a limit. */
        while (yd_keeper_warm(disk.keeper, 0))
            ;
        assert_int_equal(ask_cold(&disk, EPOCH, EPOCH + 4 * DAY, read, &again), 2);
        while (yd_keeper_warm(disk.keeper, UINT64_MAX))
            ;
        assert_int_equal(ask_cold(&disk, EPOCH, EPOCH + 4 * DAY, read, &again), 0);
        assert_int_equal(again, points);
        disk_end(&disk);
    }
}

/* As if the keeper's thread had its turn in the midst of each allocation. */
struct busy_keeper {
    struct yd_alloc alloc;
    struct yd_keeper *keeper;
};

static void *warm_and_get(struct yd_alloc *self, void *ptr, size_t old_size, size_t new_size)
{
    struct busy_keeper *busy = YD_CONTAINER(self, struct busy_keeper, alloc);
    if (busy->keeper && new_size) (void)yd_keeper_warm(busy->keeper, UINT64_MAX);
    return yd_alloc_resize(NULL, ptr, old_size, new_size);
}

static void a_block_warmed_while_the_cold_ones_are_listed_is_not_among_them(void **state)
{
    (void)state;
    struct busy_keeper busy = {.alloc.resize = warm_and_get};
    struct disk disk = {.alloc = &busy.alloc};
    uint64_t points;
    disk_begin(&disk);
    for (int i = 0; i < 4; i++) {
        fold_range(&disk, 3000, EPOCH + i * DAY, 10 * SECOND, 2, i);
        assert_int_equal(flush(&disk), 0);
    }
    disk_close(&disk);
    assert_int_equal(disk_open(&disk), 0);
    struct yd_series_query query = {.start_ns = EPOCH, .end_ns = EPOCH + 4 * DAY, .metric = YD_STR("m"), .none = true};
    struct yd_query_run *run;
    struct yd_warming *warming;
    assert_int_equal(yd_query_start(disk.history, &query, &run, NULL), 0);
    busy.keeper = disk.keeper;
    assert_true(yd_query_is_cold(run, &warming));
    busy.keeper = NULL;
    assert_in_range(warming->block_count, 1, 3); /* of four */
    yd_warming_do(warming);
    yd_warming_free(warming);
    yd_query_destroy(run);
    assert_int_equal(ask_cold(&disk, EPOCH, EPOCH + 4 * DAY, true, &points), 2); /* the series' chunks */
    disk_end(&disk);
}

/* The keeper's thread: warms on by itself, and does what a query that was put aside asks for. */
struct warmer {
    struct yd_keeper *keeper;
    pthread_mutex_t lock;
    pthread_cond_t done;
    struct yd_warming *wanted; /* NULL: nothing, or it is done */
    bool stop;
};

static void *warm_on(void *arg)
{
    struct warmer *warmer = arg;
    bool more = true, stop = false;
    while (more || !stop) {
        pthread_mutex_lock(&warmer->lock);
        struct yd_warming *wanted = warmer->wanted;
        stop = warmer->stop;
        pthread_mutex_unlock(&warmer->lock);
        if (wanted) {
            yd_warming_do(wanted);
            pthread_mutex_lock(&warmer->lock);
            warmer->wanted = NULL;
            pthread_cond_signal(&warmer->done);
            pthread_mutex_unlock(&warmer->lock);
        }
        more = yd_keeper_warm(warmer->keeper, UINT64_MAX);
        if (!more && !stop) sched_yield();
    }
    return NULL;
}

/* The history's thread reads the same blocks, series by series and by queries, while they are being read beforehand:
 * ThreadSanitizer is the judge of what the two share. */
static void blocks_are_read_while_the_keeper_reads_them_beforehand(void **state)
{
    (void)state;
    for (int round = 0; round < 5; round++) {
        struct disk disk = {0};
        disk_begin(&disk);
        for (int i = 0; i < 4; i++) {
            fold_range(&disk, 3000, EPOCH + i * DAY, 10 * SECOND, 2, i);
            assert_int_equal(flush(&disk), 0);
        }
        disk_close(&disk);
        assert_int_equal(disk_open(&disk), 0);
        struct warmer warmer = {
            .keeper = disk.keeper, .lock = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, warm_on, &warmer), 0);
        struct yd_series_query query = {
            .start_ns = EPOCH, .end_ns = EPOCH + 4 * DAY, .metric = YD_STR("m"), .none = true};
        struct yd_query_run *run;
        struct yd_warming *warming;
        uint64_t points = 0;
        unsigned at = 0;
        int r = 1;
        assert_int_equal(yd_query_start(disk.history, &query, &run, NULL), 0);
        while (r > 0) {
            if (yd_query_is_cold(run, &warming)) {
                double sum;
                pthread_mutex_lock(&warmer.lock);
                warmer.wanted = warming;
                pthread_mutex_unlock(&warmer.lock);
                for (int i = 0; i < 50; i++) assert_int_equal(points_of(&disk, at++ % 3000, &sum), 8); /* meanwhile */
                pthread_mutex_lock(&warmer.lock);
                while (warmer.wanted) pthread_cond_wait(&warmer.done, &warmer.lock);
                pthread_mutex_unlock(&warmer.lock);
                yd_warming_free(warming);
            }
            struct yd_batch *batch;
            r = yd_query_step(run, &batch, NULL);
            assert_true(r >= 0);
            for (uint32_t i = 0; batch && i < batch->view.count; i++)
                points += batch->view.records[i].kind == YD_SAMPLE;
            if (batch) yd_batch_unref(batch);
        }
        yd_query_destroy(run);
        assert_int_equal(points, 3000 * 8);
        pthread_mutex_lock(&warmer.lock);
        warmer.stop = true;
        pthread_mutex_unlock(&warmer.lock);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(ask_cold(&disk, EPOCH, EPOCH + 4 * DAY, true, &points), 0); /* all is read */
        disk_end(&disk);
    }
}

static void of_two_points_of_one_time_the_later_folded_counts(void **state)
{
    (void)state;
    struct disk disk = {0};
    double sum;
    disk_begin(&disk);
    for (int i = 0; i < 40; i++) { /* the same times again and again, in blocks of every level */
        fold_range(&disk, 3, EPOCH, SECOND, 100, i);
        assert_int_equal(flush(&disk), 0);
        if (i % 9 == 0) work(&disk);
        assert_int_equal(points_of(&disk, 0, &sum), 100);
        assert_true(sum == 100 * i + 99 * 100 / 2 / 8.0);
    }
    disk_end(&disk);
}

static void integers_stay_exact_through_merges(void **state)
{
    (void)state;
    struct disk disk = {0};
    struct yd__points *points = malloc(sizeof *points);
    disk_begin(&disk);
    for (int i = 0; i < 20; i++) {
        struct yd_builder *builder = test_builder();
        for (int k = 0; k < 90; k++)
            test_i64(builder, "m host=h0", EPOCH + (i * 90 + k) * SECOND, INT64_MAX - i * 90 - k);
        test_fold(disk.history, builder);
        yd_builder_destroy(builder);
        assert_int_equal(flush(&disk), 0);
        work(&disk);
    }
    struct yd__cursor cursor = {INT64_MIN, INT64_MAX, false};
    int64_t at = 0;
    while (yd__series_exact(disk.history, yd__series_at(disk.history, 0), &cursor, points))
        for (uint32_t i = 0; i < points->count; i++, at++) {
            assert_int_equal(points->types[i], YD_I64);
            assert_true((int64_t)points->bits[i] == INT64_MAX - at && points->times[i] == EPOCH + at * SECOND);
        }
    assert_int_equal(at, 1800);
    free(points);
    disk_end(&disk);
}

static void backfill_lands_in_its_part_of_time(void **state)
{
    (void)state;
    struct disk disk = {0};
    double sum;
    disk_begin(&disk);
    for (int i = 0; i < 64; i++) { /* one flush of today, one of some day long ago, in turn */
        int64_t from = i % 2 ? EPOCH - (1 + i % 5) * 20 * DAY + i * 100 * SECOND : EPOCH + i * 100 * SECOND;
        fold_range(&disk, 4, from, SECOND, 100, 0);
        assert_int_equal(flush(&disk), 0);
        work(&disk);
    }
    assert_int_equal(points_of(&disk, 2, &sum), 6400);
    unsigned parted = 0;
    for (uint32_t i = 0; i < disk.history->block_count; i++) {
        const struct yd__block_header *head = &disk.history->blocks[i]->head;
        if (head->level < 2) continue;
        parted++;
        assert_true(head->time_min >= head->part_from && head->time_max <= head->part_end);
        assert_true(head->part_end - head->part_from < DAY);
    }
    assert_true(parted >= 6);
    disk_end(&disk);
}

static void keep_and_size_let_whole_blocks_go_oldest_first(void **state)
{
    (void)state;
    struct disk disk = {.options = {.keep_ns = 2 * DAY}};
    double sum;
    struct yd_keeper_counts counts;
    disk_begin(&disk);
    for (int i = 0; i < 10; i++) {
        fold_range(&disk, 2, EPOCH + i * DAY, 600 * SECOND, 144, 0);
        assert_int_equal(flush(&disk), 0);
        work(&disk);
    }
    unsigned left = points_of(&disk, 0, &sum);
    assert_true(left >= 2 * 144 && left <= 4 * 144);
    yd_keeper_counts(disk.keeper, &counts);
    assert_int_equal(counts.retired_points + counts.points, 10 * 144 * 2);
    disk_end(&disk);

    for (int i = 0; i < 2; i++) { /* a century, and what ends before all clocks: nothing is too old */
        disk = (struct disk){.options = {.keep_ns = i ? INT64_C(9200000000000000000) : 36500 * DAY,
                                         .keep_minutes_ns = 36500 * DAY,
                                         .keep_hours_ns = INT64_C(9200000000000000000)}};
        disk_begin(&disk);
        for (int k = 0; k < 10; k++) {
            fold_range(&disk, 2, (k ? EPOCH : -1000 * DAY) + k * DAY, 600 * SECOND, 144, 0);
            assert_int_equal(flush(&disk), 0);
            work(&disk);
        }
        yd_keeper_counts(disk.keeper, &counts);
        assert_int_equal(counts.retired_points, 0);
        assert_int_equal(counts.points, 10 * 144 * 2);
        disk_end(&disk);
    }

    disk = (struct disk){.options = {.size_max = 60000}};
    disk_begin(&disk);
    for (int i = 0; i < 20; i++) {
        fold_range(&disk, 2, EPOCH + i * DAY, 600 * SECOND, 144, 0);
        assert_int_equal(flush(&disk), 0);
        work(&disk);
    }
    yd_keeper_counts(disk.keeper, &counts);
    assert_true(counts.bytes <= 60000 + 4096 && counts.retired > 0);
    disk_end(&disk);
}

/* A query's values as text; *ret_read of points or rows. */
static void ask(struct disk *disk, const char *reducer, int64_t interval, int64_t start, int64_t end,
                struct answer *ret)
{
    struct yd_series_query query = {.start_ns = start, .end_ns = end, .metric = YD_STR("m"), .milliseconds = true};
    query.downsample.interval_ns = interval;
    assert_int_equal(yd_aggregator_find(yd_str_of(reducer), &query.downsample.aggregator), 0);
    assert_int_equal(yd_aggregator_find(YD_STR("sum"), &query.aggregator), 0);
    *ret = answer_of(disk->history, &query);
    assert_int_equal(ret->error, 0);
}

static void same_answers(struct answer *a, struct answer *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t g = 0; g < a->count; g++) {
        assert_int_equal(a->groups[g].count, b->groups[g].count);
        for (size_t i = 0; i < a->groups[g].count; i++) {
            double x = a->groups[g].points[i].value.f64, y = b->groups[g].points[i].value.f64;
            assert_true(a->groups[g].points[i].time == b->groups[g].points[i].time);
            assert_true(fabs(x - y) <= 1e-9 * (fabs(x) + fabs(y)));
        }
    }
}

/* Days of noise, with gaps, some of it sent again later, in a history of blocks and rows, beside one in memory. */
static void rollups_answer_as_the_points_do(void **state)
{
    (void)state;
    static const char *const reducers[] = {"avg", "min", "max", "sum", "count", "p95"};
    static const int64_t intervals[] = {60, 300, 3600, 86400, 90, 7200};
    struct disk disk = {0};
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    disk_begin(&disk);
    struct yd_history *memory = test_history(&(struct yd_history_options){0});
    for (int i = 0; i < 200; i++) {
        struct yd_builder *builder = test_builder();
        struct yd_batch *batch;
        /* Three days, then here and there of them again. */
        int64_t from = i < 180 ? i * 24 * 60 : (int64_t)yd_rng_below(&rng, 200000);
        for (int s = 0; s < 3; s++)
            for (int k = 0; k < 90; k++) {
                char name[64];
                (void)snprintf(name, sizeof name, "m host=h%d", s);
                if (yd_rng_below(&rng, 5))
                    test_f64(builder, name, EPOCH + (from + k * 16) * SECOND, (double)yd_rng_below(&rng, 1000000) / 7);
            }
        assert_true(yd_builder_seal(builder, &batch) >= 0);
        assert_int_equal(yd_history_fold(disk.history, batch, 0, NULL), 0);
        assert_int_equal(yd_history_fold(memory, batch, 0, NULL), 0);
        yd_batch_unref(batch);
        yd_builder_destroy(builder);
        if (i != 199) assert_int_equal(flush(&disk), 0);
        if (i % 3 == 0) work(&disk);
    }
    assert_true(disk.history->has_rows);
    struct disk other = {.history = memory};
    for (size_t r = 0; r < YD_COUNT(reducers); r++)
        for (size_t i = 0; i < YD_COUNT(intervals); i++)
            for (int k = 0; k < 4; k++) {
                struct answer ours, theirs;
                int64_t start = EPOCH + (int64_t)yd_rng_below(&rng, 200000) * SECOND;
                int64_t end = start + (int64_t)yd_rng_below(&rng, 150000) * SECOND;
                ask(&disk, reducers[r], intervals[i] * SECOND, start, end, &ours);
                ask(&other, reducers[r], intervals[i] * SECOND, start, end, &theirs);
                same_answers(&ours, &theirs);
                answer_free(&ours);
                answer_free(&theirs);
            }
    yd_history_destroy(memory);
    disk_end(&disk);
}

static void rows_outlive_the_points_they_were_made_of(void **state)
{
    (void)state;
    struct disk disk = {.options = {.keep_ns = DAY, .keep_minutes_ns = 6 * DAY, .keep_hours_ns = 30 * DAY}};
    struct yd_keeper_counts counts;
    struct answer answer;
    double sum;
    disk_begin(&disk);
    for (int i = 0; i < 10 * 24; i++) {
        fold_range(&disk, 1, EPOCH + i * 3600 * SECOND, 10 * SECOND, 360, 1);
        assert_int_equal(flush(&disk), 0);
        work(&disk);
    }
    yd_keeper_counts(disk.keeper, &counts);
    assert_true(counts.retired_points > 6 * 8640 && counts.rows > 20 * 24);
    assert_true(points_of(&disk, 0, &sum) < 3 * 8640);
    ask(&disk, "count", 3600 * SECOND, EPOCH, EPOCH + 11 * DAY, &answer);
    assert_int_equal(answer.count, 1);
    assert_true(answer.groups[0].count >= 239); /* the whole ten days, by hours */
    double total = 0;
    for (size_t i = 0; i < answer.groups[0].count; i++) total += answer.groups[0].points[i].value.f64;
    assert_true(total >= 239 * 360);
    answer_free(&answer);
    ask(&disk, "avg", 60 * SECOND, EPOCH, EPOCH + 11 * DAY, &answer);
    assert_true(answer.groups[0].count > 4 * 1440 && answer.groups[0].count < 7 * 1440);
    answer_free(&answer);
    disk_end(&disk);
}

static void a_series_whose_last_block_went_is_gone(void **state)
{
    (void)state;
    struct disk disk = {.options = {.keep_ns = DAY}};
    struct yd_history_counts counts;
    disk_begin(&disk);
    fold_range(&disk, 5, EPOCH, SECOND, 10, 0);
    assert_int_equal(flush(&disk), 0);
    fold_range(&disk, 1, EPOCH + 3 * DAY, SECOND, 10, 0);
    assert_int_equal(flush(&disk), 0);
    work(&disk);
    yd_history_counts(disk.history, &counts);
    assert_int_equal(counts.series, 1);
    assert_int_equal(flush(&disk), 0);
    disk_close(&disk);
    assert_int_equal(disk_open(&disk), 0);
    yd_history_counts(disk.history, &counts);
    assert_int_equal(counts.series, 1);
    disk_end(&disk);
}

static void a_flipped_bit_costs_a_chunk_or_a_page(void **state)
{
    (void)state;
    struct disk disk = {0};
    double sum;
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    for (int round = 0; round < 40; round++) {
        disk = (struct disk){0};
        disk_begin(&disk);
        fold_range(&disk, 600, EPOCH, SECOND, 50, 0);
        assert_int_equal(flush(&disk), 0);
        fold_range(&disk, 600, EPOCH + 1000 * SECOND, SECOND, 50, 0);
        assert_int_equal(flush(&disk), 0);
        uint64_t size = disk.history->blocks[0]->size, data = disk.history->blocks[0]->head.data_size;
        disk_close(&disk);
        bool header = round == 0;
        uint64_t at = header ? 8 + yd_rng_below(&rng, 100) : 4096 + yd_rng_below(&rng, size - 4096);
        if (at >= 4096 + data && at < YD_ALIGN_UP(4096 + data, 4096)) at = 4096; /* between data and index is nothing */
        assert_int_equal(yd_sim_fs_rot(disk.fs, "h/00000001.block", at, 1, 1), 0);
        assert_int_equal(disk_open(&disk), 0);
        unsigned missing = 0;
        for (unsigned s = 0; s < 600; s++) {
            unsigned points = points_of(&disk, s, &sum);
            assert_true(points == 100 || points == 50); /* the other block's are always there */
            missing += points == 50;
        }
        struct yd_keeper_counts counts;
        yd_keeper_counts(disk.keeper, &counts);
        if (at < 4096 + data && !header) assert_int_equal(missing, 1);
        assert_true(missing == 0 || counts.damaged + counts.lost > 0);
        assert_true(counts.lost == 0 || disk.said > 0);
        disk_end(&disk);
    }
}

static void a_lost_manifest_is_refused_and_nothing_is_removed(void **state)
{
    (void)state;
    struct disk disk = {0};
    struct yd_stat stat;
    disk_begin(&disk);
    fold_range(&disk, 5, EPOCH, SECOND, 10, 0);
    assert_int_equal(flush(&disk), 0);
    disk_close(&disk);
    assert_int_equal(yd_sim_fs_rot(disk.fs, "h/manifest", 20, 4, 1), 0);
    assert_int_equal(disk_open(&disk), YD_ECORRUPT);
    assert_int_equal(yd_fs_unlink(disk.fs, "h/manifest"), 0);
    assert_int_equal(disk_open(&disk), YD_ECORRUPT);
    assert_int_equal(yd_fs_stat(disk.fs, "h/00000001.block", &stat), 0);
    disk_end(&disk);
}

static void a_full_disk_costs_a_flush_and_the_next_one_has_all(void **state)
{
    (void)state;
    struct disk disk = {0};
    double sum;
    disk_begin(&disk);
    fold_range(&disk, 100, EPOCH, SECOND, 100, 0);
    yd_sim_fs_capacity(disk.fs, 4096);
    assert_true(flush(&disk) < 0);
    assert_int_equal(points_of(&disk, 3, &sum), 100); /* in memory */
    yd_sim_fs_capacity(disk.fs, UINT64_C(1) << 30);
    fold_range(&disk, 100, EPOCH + 100 * SECOND, SECOND, 100, 0);
    assert_int_equal(flush(&disk), 0);
    disk_close(&disk);
    assert_int_equal(disk_open(&disk), 0);
    assert_int_equal(points_of(&disk, 3, &sum), 200);
    disk_end(&disk);
}

static void a_second_keeper_of_a_folder_is_refused(void **state)
{
    (void)state;
    struct disk disk = {0};
    disk_begin(&disk);
    struct disk other = {.fs = disk.fs};
    assert_int_equal(disk_open(&other), YD_ELOCKED);
    disk_end(&disk);
}

static void a_forgotten_series_stays_forgotten(void **state)
{
    (void)state;
    struct disk disk = {0};
    double sum;
    uint32_t index;
    disk_begin(&disk);
    fold_range(&disk, 3, EPOCH, SECOND, 10, 0);
    assert_int_equal(flush(&disk), 0);
    struct yd_builder *builder = test_builder();
    assert_true(yd_builder_name(builder, yd_str_of("m host=h1"), &index) >= 0);
    assert_true(
        yd_builder_add(builder, EPOCH, index, YD_SAMPLE, YD_I64, YD_RECORD_TOMBSTONE, (union yd_value){.i64 = 0}) >= 0);
    test_fold(disk.history, builder);
    yd_builder_destroy(builder);
    assert_int_equal(points_of(&disk, 1, &sum), 0);
    assert_true(yd_history_has_unflushed(disk.history));
    assert_int_equal(flush(&disk), 0);
    disk_close(&disk);
    assert_int_equal(disk_open(&disk), 0);
    assert_int_equal(points_of(&disk, 1, &sum), 0);
    assert_int_equal(points_of(&disk, 2, &sum), 10);
    disk_end(&disk);
}

static void a_pattern_forgets_what_is_in_blocks(void **state)
{
    (void)state;
    struct disk disk = {0};
    struct yd_pattern *pattern;
    double sum;
    disk_begin(&disk);
    fold_range(&disk, 30, EPOCH, SECOND, 10, 0);
    assert_int_equal(flush(&disk), 0);
    assert_int_equal(yd_pattern_compile(YD_STR("m host=h1*"), &pattern), 0);
    uint64_t gone;
    assert_int_equal(yd_history_forget(disk.history, pattern, INT64_MAX, &gone), 0);
    assert_int_equal(gone, 11);
    assert_int_equal(yd_history_forget(disk.history, pattern, INT64_MAX, &gone), 0);
    assert_int_equal(gone, 0);
    yd_pattern_destroy(pattern);
    assert_int_equal(flush(&disk), 0);
    disk_close(&disk);
    assert_int_equal(disk_open(&disk), 0);
    for (unsigned s = 0; s < 30; s++)
        assert_int_equal(points_of(&disk, s, &sum), s == 1 || (s >= 10 && s < 20) ? 0 : 10);
    disk_end(&disk);
}

static uint64_t forget_until(struct yd_history *history, const char *match, int64_t until)
{
    struct yd_pattern *pattern;
    uint64_t gone;
    assert_int_equal(yd_pattern_compile(yd_str_of(match), &pattern), 0);
    assert_int_equal(yd_history_forget(history, pattern, until, &gone), 0);
    yd_pattern_destroy(pattern);
    return gone;
}

static void reopen(struct disk *disk)
{
    disk_close(disk);
    assert_int_equal(disk_open(disk), 0);
}

static void what_is_before_a_time_is_forgotten_and_what_comes_later_counts(void **state)
{
    (void)state;
    struct disk disk = {0};
    double sum;
    disk_begin(&disk);
    fold_range(&disk, 3, EPOCH, SECOND, 1000, 0);
    assert_int_equal(flush(&disk), 0);
    fold_range(&disk, 3, EPOCH + 1000 * SECOND, SECOND, 1000, 0); /* in memory */
    assert_int_equal(forget_until(disk.history, "m host=h1", EPOCH + 300 * SECOND), 1);
    assert_int_equal(points_of(&disk, 1, &sum), 1700);
    assert_int_equal(forget_until(disk.history, "m host=h1", EPOCH + 300 * SECOND), 0); /* again: nothing is left */
    assert_int_equal(forget_until(disk.history, "m host=h1", EPOCH + 1200 * SECOND), 1);
    assert_int_equal(points_of(&disk, 1, &sum), 800);
    assert_int_equal(forget_until(disk.history, "m host=h1", EPOCH + 100 * SECOND), 0);
    fold_range(&disk, 2, EPOCH + 50 * SECOND, SECOND, 10, 0); /* older, and later: it counts */
    assert_int_equal(points_of(&disk, 1, &sum), 810);
    assert_int_equal(points_of(&disk, 0, &sum), 2000);
    for (int turn = 0; turn < 12; turn++) { /* through merges and starts */
        assert_int_equal(flush(&disk), 0);
        work(&disk);
        if (turn % 3 == 0) reopen(&disk);
        assert_int_equal(points_of(&disk, 1, &sum), 810 + turn * 5);
        assert_int_equal(points_of(&disk, 2, &sum), 2000);
        fold_range(&disk, 2, EPOCH + (5000 + turn * 10) * SECOND, SECOND, 5, 0);
    }
    struct yd_keeper_counts counts;
    yd_keeper_counts(disk.keeper, &counts);
    assert_true(counts.merges > 0 || counts.blocks < 12);
    disk_end(&disk);
}

static void a_series_of_which_nothing_stays_is_gone(void **state)
{
    (void)state;
    struct disk disk = {0};
    struct yd_history_counts counts;
    double sum;
    disk_begin(&disk);
    fold_range(&disk, 3, EPOCH, SECOND, 100, 0);
    assert_int_equal(flush(&disk), 0);
    fold_range(&disk, 3, EPOCH + 100 * SECOND, SECOND, 100, 0);
    assert_int_equal(forget_until(disk.history, "m host=h1", EPOCH + 200 * SECOND), 1);
    assert_int_equal(forget_until(disk.history, "m host=h2", EPOCH + 199 * SECOND), 1);
    yd_history_counts(disk.history, &counts);
    assert_int_equal(counts.series, 2);
    assert_int_equal(points_of(&disk, 2, &sum), 1);
    assert_int_equal(forget_until(disk.history, "m", EPOCH), 0);
    assert_int_equal(flush(&disk), 0);
    reopen(&disk);
    assert_int_equal(points_of(&disk, 0, &sum), 200);
    assert_int_equal(points_of(&disk, 1, &sum), 0);
    assert_int_equal(points_of(&disk, 2, &sum), 1);
    disk_end(&disk);
}

static void forgotten_cuts_survive_when_files_of_names_are_joined(void **state)
{
    (void)state;
    struct disk disk = {0};
    struct yd_keeper_counts counts;
    double sum;
    char name[64];
    disk_begin(&disk);
    for (unsigned turn = 0; turn < 30; turn++) { /* names in each flush, so that there is something to join */
        struct yd_builder *builder = test_builder();
        (void)snprintf(name, sizeof name, "m host=h%u", turn);
        for (unsigned i = 0; i < 100; i++) test_f64(builder, name, EPOCH + i * SECOND, i);
        test_fold(disk.history, builder);
        yd_builder_destroy(builder);
        if (turn) (void)snprintf(name, sizeof name, "m host=h%u", turn - 1);
        if (turn) assert_int_equal(forget_until(disk.history, name, EPOCH + turn * SECOND), 1);
        assert_int_equal(flush(&disk), 0);
        work(&disk);
    }
    yd_keeper_counts(disk.keeper, &counts);
    assert_true(counts.names <= 9);
    for (int turn = 0; turn < 2; turn++) {
        for (unsigned i = 0; i < 29; i++) assert_int_equal(points_of(&disk, i, &sum), 100 - (i + 1));
        assert_int_equal(points_of(&disk, 29, &sum), 100);
        reopen(&disk);
    }
    disk_end(&disk);
}

/* Three days with rows; what is forgotten is in no answer, from rows neither, and the other series answer as before. */
static void rows_tell_nothing_of_what_was_forgotten(void **state)
{
    (void)state;
    static const char *const reducers[] = {"sum", "count", "max"};
    static const int64_t intervals[] = {60, 3600, 86400};
    const int64_t until = EPOCH + DAY + 12345 * SECOND;
    struct disk disk = {0};
    disk_begin(&disk);
    struct yd_history *memory = test_history(&(struct yd_history_options){0});
    for (int i = 0; i < 96; i++) {
        for (int late = 0; late < 2; late++) { /* in the last round also something older than what was forgotten */
            if (late && i != 95) continue;
            struct yd_builder *builder = test_builder();
            struct yd_batch *batch;
            for (int s = 0; s < 2; s++)
                for (int k = 0; k < 180; k++)
                    test_f64(builder, s ? "m host=h1" : "m host=h0", EPOCH + (late ? 7 : i * 3600 + k * 20) * SECOND,
                             i + k / 8.0);
            assert_true(yd_builder_seal(builder, &batch) >= 0);
            assert_int_equal(yd_history_fold(disk.history, batch, 0, NULL), 0);
            assert_int_equal(yd_history_fold(memory, batch, 0, NULL), 0);
            yd_batch_unref(batch);
            yd_builder_destroy(builder);
        }
        assert_int_equal(flush(&disk), 0);
        work(&disk);
        if (i != 94) continue;
        assert_true(disk.history->has_rows);
        assert_int_equal(forget_until(disk.history, "m host=h1", until), 1);
        assert_int_equal(forget_until(memory, "m host=h1", until), 1);
    }
    struct disk other = {.history = memory};
    for (int turn = 0; turn < 2; turn++) {
        for (size_t r = 0; r < YD_COUNT(reducers); r++)
            for (size_t i = 0; i < YD_COUNT(intervals); i++) {
                struct answer ours, theirs;
                ask(&disk, reducers[r], intervals[i] * SECOND, EPOCH - DAY, EPOCH + 5 * DAY, &ours);
                ask(&other, reducers[r], intervals[i] * SECOND, EPOCH - DAY, EPOCH + 5 * DAY, &theirs);
                assert_int_equal(theirs.count, 1);
                same_answers(&ours, &theirs);
                answer_free(&ours);
                answer_free(&theirs);
            }
        if (turn == 0) reopen(&disk);
    }
    yd_history_destroy(memory);
    disk_end(&disk);
}

static void without_memory_forgetting_is_done_by_the_next_call(void **state)
{
    (void)state;
    bool done = false;
    unsigned failed = 0;
    for (uint64_t fail_at = 1; !done; fail_at++) {
        struct disk disk = {0};
        struct yd_alloc_failing failing;
        struct yd_pattern *pattern;
        uint64_t gone;
        double sum;
        yd_alloc_failing_init(&failing, 0);
        assert_int_equal(yd_sim_fs_create(1, &disk.fs), 0);
        disk.history = test_history(&(struct yd_history_options){.durable = true, .alloc = &failing.alloc});
        disk.options = (struct yd_keeper_options){.fs = disk.fs, .folder = "h"};
        assert_int_equal(yd_keeper_open(&disk.options, disk.history, said, &disk, &disk.keeper, NULL), 0);
        fold_range(&disk, 20, EPOCH, SECOND, 600, 0);
        assert_int_equal(flush(&disk), 0);
        fold_range(&disk, 20, EPOCH + 600 * SECOND, SECOND, 600, 0);
        fold_range(&disk, 20, EPOCH + 300 * SECOND, 2 * SECOND, 20, 0); /* beside */
        assert_int_equal(yd_pattern_compile(YD_STR("m"), &pattern), 0);
        failing.calls = 0;
        failing.fail_at = fail_at;
        int error = yd_history_forget(disk.history, pattern, EPOCH + 700 * SECOND, &gone);
        failing.fail_at = 0;
        done = error == 0;
        failed += !done;
        if (error) assert_int_equal(error, YD_ENOMEM);
        if (error) assert_int_equal(yd_history_forget(disk.history, pattern, EPOCH + 700 * SECOND, &gone), 0);
        yd_pattern_destroy(pattern);
        for (unsigned s = 0; s < 20; s++) assert_int_equal(points_of(&disk, s, &sum), 500);
        assert_int_equal(flush(&disk), 0);
        disk_close(&disk);
        assert_true(failing.bytes_out == 0);
        assert_int_equal(disk_open(&disk), 0);
        for (unsigned s = 0; s < 20; s++) assert_int_equal(points_of(&disk, s, &sum), 500);
        disk_end(&disk);
    }
    assert_true(failed > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_maps_blocks_and_has_every_point),
        cmocka_unit_test(what_was_not_read_since_the_start_is_cold_until_the_keeper_has_read_it),
        cmocka_unit_test(a_block_warmed_while_the_cold_ones_are_listed_is_not_among_them),
        cmocka_unit_test(blocks_are_read_while_the_keeper_reads_them_beforehand),
        cmocka_unit_test(of_two_points_of_one_time_the_later_folded_counts),
        cmocka_unit_test(integers_stay_exact_through_merges),
        cmocka_unit_test(backfill_lands_in_its_part_of_time),
        cmocka_unit_test(keep_and_size_let_whole_blocks_go_oldest_first),
        cmocka_unit_test(rollups_answer_as_the_points_do),
        cmocka_unit_test(rows_outlive_the_points_they_were_made_of),
        cmocka_unit_test(a_series_whose_last_block_went_is_gone),
        cmocka_unit_test(a_flipped_bit_costs_a_chunk_or_a_page),
        cmocka_unit_test(a_lost_manifest_is_refused_and_nothing_is_removed),
        cmocka_unit_test(a_full_disk_costs_a_flush_and_the_next_one_has_all),
        cmocka_unit_test(a_second_keeper_of_a_folder_is_refused),
        cmocka_unit_test(a_forgotten_series_stays_forgotten),
        cmocka_unit_test(a_pattern_forgets_what_is_in_blocks),
        cmocka_unit_test(what_is_before_a_time_is_forgotten_and_what_comes_later_counts),
        cmocka_unit_test(a_series_of_which_nothing_stays_is_gone),
        cmocka_unit_test(forgotten_cuts_survive_when_files_of_names_are_joined),
        cmocka_unit_test(without_memory_forgetting_is_done_by_the_next_call),
        cmocka_unit_test(rows_tell_nothing_of_what_was_forgotten),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
