/* What may go and what must stay: cursors that hold by name, the ballast, retention on a full disk. */
#include "log/internal.h"
#include "log_test.h"

static struct yd_log_options small(struct world *world)
{
    struct yd_log_options options = world_options(world);
    options.segment_size_min = options.segment_size_max = 64 << 10;
    options.memory_bytes_max = 1;
    return options;
}

static void fill(struct yd_log *log, int batches)
{
    for (int i = 0; i < batches; i++) {
        append(log, 1, 3000);
        assert_int_equal(yd_log_flush(log), 0);
    }
}

static struct yd_log_position look(struct yd_log *log)
{
    struct yd_log_position position;
    yd_log_position(log, &position);
    return position;
}

static bool ballast_there(struct world *world, uint64_t *ret_size)
{
    char path[512];
    struct yd_stat now = {0};
    (void)snprintf(path, sizeof path, "%s/ballast", world->dir);
    bool there = yd_fs_stat(world->fs, path, &now) == 0;
    *ret_size = now.allocated;
    return there;
}

static void a_named_cursor_holds_everything_before_it_was_ever_saved(void **state)
{
    struct world *world = *state;
    struct yd_log_options options = small(world);
    const char *hold[] = {"archive", NULL};
    options.retain_ns = 100 * YD_NS_PER_S;
    options.hold = hold;
    struct yd_log *log = world_open(world, &options, NULL);
    hold[0] = "gone"; /* the log has a copy */
    fill(log, 100);
    assert_string_equal(look(log).held_by, "");
    world->now += 1000 * 24 * 3600 * YD_NS_PER_S;
    assert_int_equal(yd_log_maintain(log), 0);
    assert_int_equal(look(log).first, 0);
    assert_string_equal(look(log).held_by, "archive");
    assert_int_equal(yd_log_cursor_save(log, "archive", 100), 0);
    assert_int_equal(yd_log_maintain(log), 0);
    assert_true(look(log).first > 0);
    assert_string_equal(look(log).held_by, "");
    assert_int_equal(world_close(world, log), 0);
}

static void a_named_cursor_holds_however_old_it_is_also_after_a_restart(void **state)
{
    struct world *world = *state;
    struct yd_log_options options = small(world);
    const char *const hold[] = {"other", "archive", NULL};
    options.retain_bytes = 100 << 10;
    options.cursor_expiry_ns = YD_NS_PER_S;
    options.hold = hold;
    struct yd_log *log = world_open(world, &options, NULL);
    fill(log, 100);
    assert_int_equal(yd_log_cursor_save(log, "archive", 40), 0);
    assert_int_equal(yd_log_cursor_save(log, "other", 100), 0);
    world->now += 1000 * YD_NS_PER_S;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(yd_log_maintain(log), 0);
        assert_true(look(log).first > 0 && look(log).first <= 40);
        assert_string_equal(look(log).held_by, "archive");
        assert_true(look(log).bytes > options.retain_bytes);
        assert_int_equal(world_close(world, log), 0);
        log = world_open(world, &options, NULL);
    }
    /* Without the name it is an old cursor as any. */
    assert_int_equal(world_close(world, log), 0);
    options.hold = NULL;
    log = world_open(world, &options, NULL);
    assert_int_equal(yd_log_maintain(log), 0);
    assert_true(look(log).first > 40);
    assert_int_equal(world_close(world, log), 0);
}

static void who_holds_is_told_to_watchers(void *arg)
{
    ++*(int *)arg;
}

static void a_hold_is_told_when_it_begins_and_when_it_ends(void **state)
{
    struct world *world = *state;
    struct yd_log_options options = small(world);
    const char *const hold[] = {"archive", NULL};
    options.retain_bytes = 100 << 10;
    options.hold = hold;
    struct yd_log *log = world_open(world, &options, NULL);
    fill(log, 100);
    int told = 0;
    struct yd_log_watch *watch;
    assert_int_equal(yd_log_watch(log, who_holds_is_told_to_watchers, &told, &watch), 0);
    assert_int_equal(yd_log_maintain(log), 0);
    int first = told;
    assert_true(first > 0);
    assert_int_equal(yd_log_maintain(log), 0);
    assert_int_equal(told, first); /* once */
    assert_int_equal(yd_log_cursor_save(log, "archive", 100), 0);
    assert_int_equal(yd_log_maintain(log), 0);
    assert_true(told > first);
    yd_log_unwatch(watch);
    assert_int_equal(world_close(world, log), 0);
}

static void ballast_is_taken_at_opening_and_found_again(void **state)
{
    struct world *world = *state;
    struct yd_log_options options = small(world);
    options.ballast_bytes = 256 << 10;
    uint64_t size;
    for (int i = 0; i < 2; i++) {
        struct yd_log *log = world_open(world, &options, NULL);
        assert_int_equal(look(log).ballast, options.ballast_bytes);
        assert_true(ballast_there(world, &size));
        assert_true(size >= options.ballast_bytes); /* not a hole */
        fill(log, 3);
        assert_int_equal(world_close(world, log), 0);
    }
    options.ballast_bytes = 0;
    struct yd_log *log = world_open(world, &options, NULL);
    assert_false(ballast_there(world, &size));
    assert_int_equal(look(log).ballast, 0);
    assert_int_equal(read_from_oldest(log, NULL), 6);
    assert_int_equal(world_close(world, log), 0);
}

static void ballast_is_not_taken_where_there_is_not_room_for_it_twice(void **state)
{
    struct world *world = *state;
    struct yd_log_options options = small(world);
    options.ballast_bytes = 1 << 20;
    yd_sim_fs_capacity(world->fs, 3 << 19);
    struct yd_log *log = world_open(world, &options, NULL);
    uint64_t size;
    assert_false(ballast_there(world, &size));
    yd_sim_fs_capacity(world->fs, UINT64_C(1) << 30);
    assert_int_equal(yd_log_maintain(log), 0);
    assert_true(ballast_there(world, &size));
    assert_int_equal(world_close(world, log), 0);
}

static void a_full_disk_gets_the_ballast_and_gives_it_back_later(void **state)
{
    struct world *world = *state;
    struct yd_log_options options = small(world);
    options.ballast_bytes = 256 << 10;
    struct yd_log *log = world_open(world, &options, NULL);
    uint64_t size;
    fill(log, 10);
    assert_true(ballast_there(world, &size));
    yd_sim_fs_capacity(world->fs, 512 << 10);
    int error = 0;
    for (int i = 0; i < 400 && error == 0; i++) {
        append(log, 1, 3000);
        error = yd_log_flush(log);
    }
    assert_int_equal(error, YD_ENOSPC);
    assert_true(look(log).no_space);
    assert_int_equal(look(log).failed, 0);
    assert_false(ballast_there(world, &size));
    assert_int_equal(look(log).ballast, 0);
    yd_sim_fs_capacity(world->fs, UINT64_C(1) << 30);
    while (look(log).durable < look(log).memory) assert_int_equal(yd_log_flush(log), 0);
    assert_int_equal(yd_log_maintain(log), 0);
    assert_true(ballast_there(world, &size));
    uint64_t missing, all = look(log).memory;
    assert_int_equal(read_from_oldest(log, &missing), all);
    assert_int_equal(missing, 0);
    assert_int_equal(world_close(world, log), 0);
}

/* ---- the helper gives the ballast away for a footer; within its unlink the log's thread has its turn ---- */

static struct {
    const struct yd_fs_ops *ops;
    struct yd_log *log;
    unsigned turns;
} turn;

static int unlink_in_turn(struct yd_fs *fs, const char *path)
{
    struct yd_log *log = turn.log;
    turn.log = NULL; /* once */
    if (log) {
        turn.turns++;
        assert_int_equal(yd_log_maintain(log), 0);
    }
    return turn.ops->unlink(fs, path);
}

static void a_ballast_that_is_told_is_there_though_it_was_given_a_moment_ago(void **state)
{
    struct world *world = *state;
    struct yd_log_options options = small(world);
    options.ballast_bytes = 256 << 10;
    struct yd_log *log = world_open(world, &options, NULL);
    uint64_t size;
    fill(log, 10);
    assert_true(ballast_there(world, &size));
    struct yd_fs_ops ops = *world->fs->ops;
    turn.ops = world->fs->ops;
    turn.log = log;
    ops.unlink = unlink_in_turn;
    world->fs->ops = &ops;
    assert_true(yd__ballast_give(log));
    world->fs->ops = turn.ops;
    assert_int_equal(turn.turns, 1);
    assert_int_equal(look(log).ballast != 0, ballast_there(world, &size));
    assert_int_equal(yd_log_maintain(log), 0);
    assert_true(ballast_there(world, &size)); /* there is room: it is taken anew */
    assert_int_equal(look(log).ballast, options.ballast_bytes);
    assert_int_equal(world_close(world, log), 0);
}

static void on_a_full_disk_retention_runs_at_once_and_writing_goes_on(void **state)
{
    struct world *world = *state;
    struct yd_log_options options = small(world);
    options.retain_ns = 100 * YD_NS_PER_S;
    struct yd_log *log = world_open(world, &options, NULL);
    fill(log, 60);
    assert_int_equal(yd_log_maintain(log), 0); /* seals, and a checkpoint further on */
    assert_int_equal(look(log).first, 0);
    world->now += 1000 * YD_NS_PER_S;
    yd_sim_fs_capacity(world->fs, look(log).bytes + (32 << 10));
    fill(log, 40); /* no maintenance in between: each flush finds room */
    assert_true(look(log).first > 0);
    assert_false(look(log).no_space);
    uint64_t missing;
    assert_int_equal(read_from_oldest(log, &missing), 100 - look(log).first);
    assert_int_equal(missing, 0);
    assert_int_equal(world_close(world, log), 0);
}

static void a_crash_at_any_call_while_the_disk_is_full_loses_nothing_durable(void **state)
{
    struct world *world = *state;
    bool cut = true;
    for (uint64_t at = 0; cut; at++) {
        struct yd_fs *fs;
        assert_int_equal(yd_sim_fs_create(at + 1, &fs), 0);
        struct yd_fs *other = world->fs;
        world->fs = fs;
        struct yd_log_options options = small(world);
        options.retain_bytes = 200 << 10;
        options.ballast_bytes = 128 << 10;
        struct yd_log *log = world_open(world, &options, NULL);
        fill(log, 80);
        yd_sim_fs_capacity(fs, 480 << 10);
        yd_sim_fs_cut_after(fs, at);
        int error = 0;
        for (int i = 0; i < 60 && error == 0; i++) {
            append(log, 1, 3000);
            error = yd_log_flush(log);
            if (error == 0 && i % 8 == 7) error = yd_log_maintain(log);
        }
        cut = error == YD_EREADONLY || look(log).failed;
        struct yd_log_position before = look(log);
        yd_sim_fs_crash(fs);
        (void)world_close(world, log);
        yd_sim_fs_cut_after(fs, UINT64_MAX);
        yd_sim_fs_capacity(fs, UINT64_C(1) << 30);
        log = world_open(world, &options, NULL);
        assert_true(look(log).durable >= before.durable);
        uint64_t missing;
        assert_int_equal(read_from_oldest(log, &missing), look(log).durable - look(log).first);
        assert_int_equal(missing, 0);
        assert_int_equal(world_close(world, log), 0);
        world->fs = other;
        yd_sim_fs_destroy(fs);
        assert_true(at < 5000);
    }
}

#define SIM(name)   cmocka_unit_test_setup_teardown(name, world_setup_sim, world_teardown)
#define WORLD(name) cmocka_unit_test_setup_teardown(name, world_setup_linux, world_teardown), SIM(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(a_named_cursor_holds_everything_before_it_was_ever_saved),
        WORLD(a_named_cursor_holds_however_old_it_is_also_after_a_restart),
        SIM(a_hold_is_told_when_it_begins_and_when_it_ends),
        WORLD(ballast_is_taken_at_opening_and_found_again),
        SIM(ballast_is_not_taken_where_there_is_not_room_for_it_twice),
        SIM(a_full_disk_gets_the_ballast_and_gives_it_back_later),
        cmocka_unit_test_setup_teardown(a_ballast_that_is_told_is_there_though_it_was_given_a_moment_ago,
                                        world_setup_linux, world_teardown),
        SIM(on_a_full_disk_retention_runs_at_once_and_writing_goes_on),
        SIM(a_crash_at_any_call_while_the_disk_is_full_loses_nothing_durable),
    };
    return cmocka_run_group_tests_name("log / room", tests, NULL, NULL);
}
