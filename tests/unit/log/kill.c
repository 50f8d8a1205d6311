/* A real process, killed with -9 in the middle of appending, twenty times: what it had called durable is there, once.
 */
#include <signal.h>
#include <sys/wait.h>

#include "log_test.h"

#define ROUNDS 20

/* The child: appends for ever, and tells each durable position through the pipe. */
static void append_until_killed(struct world *world, int tell)
{
    struct yd_log_options options = world_options(world);
    options.segment_size_min = 64 << 10;
    struct yd_log *log;
    if (yd_log_open(&options, &log, NULL, NULL) || yd_log_start(log)) _exit(2);
    for (;;) {
        struct yd_log_position position;
        yd_log_position(log, &position);
        struct yd_batch *batch = make_batch(position.memory, 7, position.memory % 3 ? 0 : 4000, 0);
        struct yd_log_appended appended;
        if (yd_log_append(log, batch, -1, position.memory, &appended)) _exit(3);
        yd_batch_unref(batch);
        if (appended.next % 5 == 0) {
            if (yd_log_wait(log, appended.next, YD_ACK_DURABLE)) _exit(4);
            if (write(tell, &appended.next, sizeof appended.next) != sizeof appended.next) _exit(5);
        }
    }
}

static void what_was_durable_survives_kill_9(void **state)
{
    struct world *world = *state;
    uint64_t durable = 0;
    for (int round = 0; round < ROUNDS; round++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            close(ends[0]);
            append_until_killed(world, ends[1]);
        }
        close(ends[1]);
        /* Killed after so many acknowledgements: in the middle of the next. */
        uint64_t told;
        for (int i = 0; i < 1 + round * 3; i++) {
            if (read(ends[0], &told, sizeof told) != sizeof told) {
                int status = 0;
                waitpid(child, &status, 0);
                fail_msg("round %d: the child ended by itself: %x", round, (unsigned)status);
            }
            durable = told;
        }
        usleep((useconds_t)(round * 137 % 2000));
        assert_int_equal(kill(child, SIGKILL), 0);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        while (read(ends[0], &told, sizeof told) == sizeof told) durable = told; /* told before it died */
        close(ends[0]);

        struct yd_log_recovery recovery;
        struct yd_log *log = world_open(world, NULL, &recovery);
        assert_true(recovery.cut_to >= durable);
        uint64_t missing;
        assert_int_equal(read_from_oldest(log, &missing), recovery.cut_to);
        assert_int_equal(missing, 0);
        durable = recovery.cut_to;
        assert_int_equal(world_close(world, log), 0);
        assert_int_equal(yd_log_verify_dir(world->fs, world->dir, NULL, NULL, NULL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_durable_survives_kill_9, world_setup_linux, world_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
