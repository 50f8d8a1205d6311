/* No memory, at each moment in turn: the n-th allocation of a whole life of a log, or of following one, fails, and the
 * two behind it in a second round. No crash, no leak, nothing acknowledged is lost, and with memory again all goes on.
 *
 * The linker puts these in the place of malloc and its like (--wrap), in the log and below it, not inside zstd. */
#include "../sparse.h"
#include "log_test.h"

#include "log/mend.h"
#include "pump.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
void __real_free(void *memory);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
void __wrap_free(void *memory);
char *__wrap_strdup(const char *text);
char *__real_strndup(const char *text, size_t size);
char *__wrap_strndup(const char *text, size_t size);

static struct {
    bool armed;
    uint64_t calls, fail_from, fail_to; /* those calls get nothing */
    int64_t live;
} memory;

static bool refused(void)
{
    if (!memory.armed) return false;
    uint64_t call = ++memory.calls;
    return call >= memory.fail_from && call < memory.fail_to;
}

static void *counted(void *got)
{
    if (got) memory.live++;
    return got;
}

void *__wrap_malloc(size_t size)
{
    return refused() ? NULL : counted(__real_malloc(size));
}
void *__wrap_calloc(size_t count, size_t size)
{
    return refused() ? NULL : counted(__real_calloc(count, size));
}
void *__wrap_realloc(void *old, size_t size)
{
    if (refused()) return NULL;
    return old ? __real_realloc(old, size) : counted(__real_realloc(NULL, size));
}
void *__wrap_aligned_alloc(size_t align, size_t size)
{
    return refused() ? NULL : counted(__real_aligned_alloc(align, size));
}
void __wrap_free(void *at)
{
    if (at) memory.live--;
    __real_free(at);
}
char *__wrap_strdup(const char *text)
{
    char *copy = refused() ? NULL : __real_strdup(text);
    return counted(copy);
}
char *__wrap_strndup(const char *text, size_t size)
{
    return refused() ? NULL : counted(__real_strndup(text, size));
}

/* ---- a life ---- */

#define BATCHES 24
#define RECORDS 4

struct life {
    struct yd_batch *batches[BATCHES]; /* made before: a sender's memory is not the log's */
    uint64_t acknowledged;             /* durable, as a position said */
    uint32_t refusals;
    bool ended; /* all of it went through */
};

static struct yd_log_options options_of(struct world *world)
{
    struct yd_log_options options = world_options(world);
    options.segment_size_min = options.segment_size_max = 32 << 10;
    options.memory_bytes_max = 1;
    options.compress_after_ns = 1;
    options.ballast_bytes = 16 << 10;
    return options;
}

/* Refusals for want of memory are counted; anything else fails the test. */
static int want(struct life *life, int error)
{
    if (error == YD_ENOMEM)
        life->refusals++;
    else if (error && error != YD_EAGAIN)
        fail_msg("allocation %llu: %s", (unsigned long long)memory.fail_from, yd_error_name(error));
    return error;
}

static void read_some(struct life *life, struct yd_log *log, bool copy)
{
    struct yd_log_start start = {.from = YD_FROM_OLDEST, .names = "mark", .copy = copy};
    struct yd_log_reader *reader;
    uint64_t expected = 0;
    if (want(life, yd_log_reader_open(log, &start, &reader))) return;
    for (uint32_t tries = 0; tries < 8;) {
        struct yd_batch *batch;
        struct yd_log_gap gap = {0};
        int error = yd_log_reader_next(reader, &batch, &gap);
        if (error == YD_EAGAIN) {
            assert_int_equal(expected, life->acknowledged);
            break;
        }
        if (want(life, error)) {
            tries++; /* the same batch, with memory again */
            continue;
        }
        assert_int_equal(batch->header.base_seqno, expected);
        expected += batch->header.count;
        yd_batch_unref(batch);
    }
    yd_log_reader_close(reader);
}

static void note_durable(struct life *life, struct yd_log *log)
{
    struct yd_log_position position;
    yd_log_position(log, &position);
    assert_int_equal(position.failed, 0);
    assert_true(position.durable >= life->acknowledged);
    life->acknowledged = position.durable;
}

static void live_once(struct world *world, struct life *life)
{
    struct yd_log_options options = options_of(world);
    struct yd_trail trail = {0};
    struct yd_log *log;
    struct yd_cursor cursor;
    if (want(life, yd_log_open(&options, &log, NULL, &trail))) return;
    for (uint32_t i = 0; i < BATCHES; i++) {
        struct yd_log_appended appended;
        for (int tries = 0; tries < 4; tries++)
            if (want(life, yd_log_append(log, life->batches[i], -1, i * (uint64_t)RECORDS, &appended)) == 0) break;
        for (int tries = 0; tries < 4; tries++)
            if (want(life, yd_log_flush(log)) == 0) break;
        note_durable(life, log);
        if (i % 8 == 7) {
            for (int round = 0; round < 8; round++) (void)want(life, yd_log_maintain(log));
            (void)want(life, yd_log_cursor_save(log, "reader", i));
        }
    }
    read_some(life, log, false);
    read_some(life, log, true);
    int error = yd_log_cursor_load(log, "reader", &cursor);
    if (error != YD_ENOENT) (void)want(life, error);
    error = yd_log_cursor_remove(log, "reader");
    if (error != YD_ENOENT) (void)want(life, error);
    (void)want(life, yd_log_close(log));
    memset(&trail, 0, sizeof trail);
    if (want(life, yd_log_open(&options, &log, NULL, &trail))) return;
    read_some(life, log, true);
    (void)want(life, yd_log_close(log));
    life->ended = true;
}

static void found(void *arg, const char *file, uint64_t offset, const char *what)
{
    print_error("# allocation %llu: %s: %llu: %s\n", (unsigned long long)*(uint64_t *)arg, file,
                (unsigned long long)offset, what);
}

static void remove_folder(const char *dir)
{
    char command[600];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", dir);
    assert_int_equal(system(command), 0);
}

static void every_failing_allocation(struct world *world, uint64_t width)
{
    struct life life = {0};
    memory.live = 0;
    for (uint32_t i = 0; i < BATCHES; i++) life.batches[i] = make_batch(i * (uint64_t)RECORDS, RECORDS, 3000, 1);
    int64_t held = memory.live;
    uint64_t n, refusals = 0;
    for (n = 1;; n += UNIT_SPARSE) {
        life.acknowledged = 0;
        life.ended = false;
        life.refusals = 0;
        memory.calls = 0;
        memory.fail_from = n;
        memory.fail_to = n + width;
        memory.armed = true;
        live_once(world, &life);
        memory.armed = false;
        refusals += life.refusals;
        if (memory.live != held)
            print_error("# allocation %llu: %lld left\n", (unsigned long long)n, (long long)(memory.live - held));
        assert_int_equal(memory.live, held);
        struct yd_log_options options = options_of(world);
        struct yd_log *log = world_open(world, &options, NULL);
        uint64_t missing;
        assert_true(read_from_oldest(log, &missing) >= life.acknowledged);
        assert_int_equal(missing, 0);
        if (life.ended) assert_int_equal(life.acknowledged, BATCHES * RECORDS);
        assert_int_equal(world_close(world, log), 0);
        assert_int_equal(yd_log_verify_dir(world->fs, world->dir, NULL, found, &n), 0);
        remove_folder(world->dir);
        if (memory.calls < n) break;
    }
    print_message("# %llu allocations, %llu refusals told\n", (unsigned long long)n, (unsigned long long)refusals);
    assert_true(n > 100);
    for (uint32_t i = 0; i < BATCHES; i++) yd_batch_unref(life.batches[i]);
}

static void any_allocation_may_fail(void **state)
{
    every_failing_allocation(*state, 1);
}
static void any_three_allocations_in_a_row_may_fail(void **state)
{
    every_failing_allocation(*state, 3);
}

/* ---- following: the leader's half and the follower's ---- */

struct copy {
    struct world *world;
    struct yd_log *leader;
    char dir[300];
};

static struct yd_log_options copy_options(struct copy *copy)
{
    struct yd_log_options options = options_of(copy->world);
    options.dir = copy->dir;
    options.follower = true;
    return options;
}

/* All that the leader has; when memory is short a connection ends and the next one goes on. */
static void catch_up(struct copy *copy, struct life *life, struct yd_log *log)
{
    for (uint32_t tries = 0; tries < 8; tries++) {
        struct pump pump;
        uint64_t common;
        int error = pump_open(&pump, copy->leader, log, "f", &common);
        while (!error) {
            error = pump_step(&pump);
            if (error == YD_EFULL) error = yd_log_flush(log);
        }
        pump_close(&pump);
        if (error == YD_EAGAIN) error = yd_log_flush(log);
        if (want(life, error) == 0) break;
    }
    note_durable(life, log);
}

static void follow_once(struct copy *copy, struct life *life)
{
    struct yd_log_options options = copy_options(copy);
    struct yd_trail trail = {0};
    struct yd_log *log;
    if (want(life, yd_log_open(&options, &log, NULL, &trail))) return;
    catch_up(copy, life, log);
    uint64_t edge;
    int error = want(life, yd_log_follow_cut(log, life->acknowledged / 2, &edge));
    if (error) { /* half a cut is mended by opening again: until then it takes nothing */
        struct yd_log_position position;
        yd_log_position(log, &position);
        assert_int_equal(position.failed, YD_EIO);
        life->acknowledged = 0; /* where it was cut to nobody says */
        (void)yd_log_close(log);
        return;
    }
    life->acknowledged = edge;
    catch_up(copy, life, log);
    for (int round = 0; round < 4; round++) (void)want(life, yd_log_maintain(log));
    read_some(life, log, true);
    (void)want(life, yd_log_fence(log, 1));
    (void)want(life, yd_log_close(log));
    life->ended = true;
}

static void any_allocation_of_following_may_fail(void **state)
{
    struct copy copy = {.world = *state};
    (void)snprintf(copy.dir, sizeof copy.dir, "%s-copy/0", copy.world->dir);
    struct yd_log_options options = options_of(copy.world);
    options.compress_after_ns = 0;
    copy.leader = world_open(copy.world, &options, NULL);
    for (uint32_t i = 0; i < BATCHES; i++) {
        struct yd_batch *batch = make_batch(i * (uint64_t)RECORDS, RECORDS, 3000, 1);
        struct yd_log_appended appended;
        assert_int_equal(yd_log_append(copy.leader, batch, -1, UINT64_MAX, &appended), 0);
        assert_int_equal(yd_log_flush(copy.leader), 0);
        assert_int_equal(yd_log_maintain(copy.leader), 0);
        yd_batch_unref(batch);
    }
    int64_t held = memory.live;
    struct life life;
    uint64_t n, refusals = 0;
    for (n = 1;; n += UNIT_SPARSE) {
        life = (struct life){0};
        memory.calls = 0;
        memory.fail_from = n;
        memory.fail_to = n + 1;
        memory.armed = true;
        follow_once(&copy, &life);
        memory.armed = false;
        refusals += life.refusals;
        if (memory.live != held) print_error("# allocation %llu\n", (unsigned long long)n);
        assert_int_equal(memory.live, held);
        /* With memory again the same folder catches up. */
        options = copy_options(&copy);
        struct yd_log *log = world_open(copy.world, &options, NULL);
        struct yd_log_position position;
        yd_log_position(log, &position);
        assert_true(position.durable >= life.acknowledged);
        catch_up(&copy, &life, log);
        uint64_t missing;
        assert_int_equal(read_from_oldest(log, &missing), BATCHES * RECORDS);
        assert_int_equal(missing, 0);
        assert_int_equal(world_close(copy.world, log), 0);
        assert_int_equal(yd_log_verify_dir(copy.world->fs, copy.dir, NULL, found, &n), 0);
        remove_folder(copy.dir);
        if (memory.calls < n) break;
    }
    print_message("# %llu allocations, %llu refusals told\n", (unsigned long long)n, (unsigned long long)refusals);
    assert_true(n > 50);
    assert_int_equal(world_close(copy.world, copy.leader), 0);
}

/* In memory when there is such a folder: thousands of lives. */
static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    char shared[] = "/dev/shm/yd_log_XXXXXX", path[] = "/tmp/yd_log_XXXXXX";
    const char *folder = mkdtemp(shared);
    if (!folder) folder = mkdtemp(path);
    if (!world || !folder) return -1;
    world->fs = yd_fs_linux();
    yd_rng_init(&world->rng, 1);
    world->now = INT64_C(1700000000) * YD_NS_PER_S;
    (void)snprintf(world->dir, sizeof world->dir, "%s/s/0", folder);
    *state = world;
    return 0;
}

#define WORLD(test) cmocka_unit_test_setup_teardown(test, setup, world_teardown)

static void a_tombstone_is_found_or_the_want_of_memory_is_told(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    struct yd_tombstone tombstone = {.names = YD_STR("mark"), .until_seqno = UINT64_MAX, .until_time = INT64_MAX};
    struct yd_log_appended appended;
    struct yd_batch *batch;
    (void)append(log, 3, 0);
    assert_int_equal(yd_tombstone_batch(&tombstone, 1, &batch), 0);
    assert_int_equal(yd_log_append(log, batch, -1, UINT64_MAX, &appended), 0);
    yd_batch_unref(batch);
    assert_int_equal(world_close(world, log), 0);
    uint64_t n = 1, told = 0;
    for (bool any = true; any;
         n++) { /* until nothing fails any more: what is done without may come before what is not */
        struct yd_forgotten *forgotten;
        assert_int_equal(yd_forgotten_create(&forgotten), 0);
        memory.calls = 0;
        memory.fail_from = n;
        memory.fail_to = n + 1;
        memory.armed = true;
        int error = yd_forgotten_load(forgotten, world->fs, world->dir, NULL);
        memory.armed = false;
        any = memory.calls >= n;
        told += error != 0;
        if (error)
            assert_int_equal(error, YD_ENOMEM);
        else
            assert_int_equal(yd_forgotten_count(forgotten), 1); /* never a part of them in silence */
        assert_true(any || !error);
        yd_forgotten_destroy(forgotten);
    }
    assert_true(told > 5 && n > told);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(any_allocation_may_fail),
        WORLD(any_three_allocations_in_a_row_may_fail),
        WORLD(any_allocation_of_following_may_fail),
        WORLD(a_tombstone_is_found_or_the_want_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
