/* File: what is in the file, and when that is acknowledged. */
#include "tested.h"

#define LITTLE (500 * YD_NS_PER_MS) /* what a run of file operations takes, and less than a new try */

#define TO(args)                                                                                                       \
    "s :: Lines(path: \"none\", follow: true) -> f :: File(path: \"out/a.txt\", format: \"value\"" args ")\n"
#define FROM_LOG(args)                                                                                                 \
    "s :: Lines(path: \"none\", follow: true) -> l :: Log(stream: \"x\") -> f :: File(path: \"out/a.txt\", format: "   \
    "\"value\"" args ")\n"

static void open_with_folder(struct tested *t)
{
    tested_open(t);
    assert_int_equal(yd_fs_make_dirs(t->fs, "out"), 0);
}

static void each_form_is_one_line_a_record(void **state)
{
    (void)state;
    static const char *const forms[][2] = {
        {"value", "7\n8\n"},
        {"line", "1970-01-01T00:00:01Z a b=c 7\n1970-01-01T00:00:01Z a b=c 8\n"},
        {"json", "{\"time\":\"1970-01-01T00:00:01Z\",\"name\":\"a b=c\",\"kind\":\"SAMPLE\",\"value\":7}\n"
                 "{\"time\":\"1970-01-01T00:00:01Z\",\"name\":\"a b=c\",\"kind\":\"SAMPLE\",\"value\":8}\n"}};
    for (size_t i = 0; i < YD_COUNT(forms); i++) {
        struct tested t;
        char text[200];
        open_with_folder(&t);
        (void)snprintf(text, sizeof text,
                       "Lines(path: \"none\", follow: true) -> f :: File(path: \"out/a.txt\", format: \"%s\")\n",
                       forms[i][0]);
        tested_start(&t, text);
        tested_feed(&t, "f", samples("a b=c", 7, 2));
        tested_run(&t, LITTLE);
        expect_file(&t, "out/a.txt", forms[i][1]);
        assert_int_equal(input_of(&t, "f", "input").consumed, 2);
        tested_close(&t);
    }
}

static void a_file_that_is_there_goes_on_or_begins_anew(void **state)
{
    (void)state;
    struct tested t;
    open_with_folder(&t);
    put_file(&t, "out/a.txt", "old\n");
    tested_start(&t, TO(""));
    tested_feed(&t, "f", samples("a", 1, 1));
    tested_run(&t, LITTLE);
    tested_stop(&t);
    expect_file(&t, "out/a.txt", "old\n1\n");
    tested_start(&t, TO(", append: false"));
    tested_feed(&t, "f", samples("a", 2, 1));
    tested_run(&t, LITTLE);
    expect_file(&t, "out/a.txt", "2\n");
    tested_close(&t);
}

static void a_path_that_cannot_be_written_is_refused_with_the_reason(void **state)
{
    (void)state;
    struct tested t;
    struct yd_trail trail = {0};
    tested_open(&t);
    assert_int_equal(tested_try(&t, TO(""), &trail), YD_ENOENT);
    assert_non_null(strstr(yd_trail_text(&trail), "cannot write out/a.txt: not found; give a path in a folder"));
    tested_stop(&t);
    tested_close(&t);
}

static void an_idle_file_sleeps(void **state)
{
    (void)state;
    struct tested t;
    open_with_folder(&t);
    tested_start(&t, TO(", sync: true"));
    tested_feed(&t, "f", samples("a", 1, 1));
    tested_run(&t, YD_NS_PER_S);
    uint64_t calls = yd_sim_fs_counts(t.fs)->calls;
    assert_int_equal(input_of(&t, "f", "input").consumed, 1);
    /* The Lines beside it looks five times a second. */
    tested_run(&t, YD_NS_PER_S);
    assert_true(yd_sim_fs_counts(t.fs)->calls - calls < 20);
    tested_close(&t);
}

static void sync_acknowledges_a_run_of_batches_with_one_sync(void **state)
{
    (void)state;
    struct tested t;
    open_with_folder(&t);
    tested_start(&t, TO(", sync: true"));
    tested_run(&t, LITTLE);
    for (int round = 0; round < 3; round++) {
        uint64_t syncs = yd_sim_fs_counts(t.fs)->syncs;
        for (int i = 0; i < 100; i++) tested_feed(&t, "f", samples("a", i, 2));
        assert_int_equal(input_of(&t, "f", "input").queued, 200);
        tested_run(&t, LITTLE);
        assert_int_equal(input_of(&t, "f", "input").queued, 0);
        assert_int_equal(input_of(&t, "f", "input").consumed, 200 * (round + 1));
        assert_int_equal(yd_sim_fs_counts(t.fs)->syncs - syncs, 1);
    }
    tested_close(&t);
}

static void what_was_acknowledged_by_sync_survives_a_power_cut(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct tested t;
        open_with_folder(&t);
        yd_sim_fs_destroy(t.fs);
        assert_int_equal(yd_sim_fs_create(seed, &t.fs), 0);
        assert_int_equal(yd_fs_make_dirs(t.fs, "out"), 0);
        tested_start(&t, TO(", sync: true, size_max: 4KiB"));
        uint64_t fed = 0, kept = 0;
        for (int i = 0; i < 40; i++) {
            tested_feed(&t, "f", samples("a", (int64_t)fed, 50));
            fed += 50;
            tested_run(&t, LITTLE);
        }
        uint64_t acknowledged = input_of(&t, "f", "input").consumed;
        assert_int_equal(acknowledged, fed);
        tested_crash(&t);
        char last[32];
        (void)snprintf(last, sizeof last, "\n%d\n", (int)fed - 1);
        static const char *const paths[] = {"out/a.txt.1", "out/a.txt"};
        for (int i = 0; i < 2; i++) {
            char *data;
            size_t size;
            assert_int_equal(yd_fs_read_all(t.fs, paths[i], 1 << 20, &data, &size), 0);
            for (size_t at = 0; at < size; at++) kept += data[at] == '\n';
            if (i == 1) assert_non_null(strstr(data, last));
            free(data);
        }
        assert_true(kept >= 800 && kept <= fed); /* both files, as far as they reach back */
        tested_close(&t);
    }
}

static void a_failed_sync_is_said_and_final_and_a_cursor_stays_in_front_of_it(void **state)
{
    (void)state;
    struct tested t;
    open_with_folder(&t);
    tested_start(&t, FROM_LOG(", sync: true"));
    tested_feed(&t, "l", samples("a", 1, 2));
    tested_run(&t, YD_NS_PER_S);
    assert_int_equal(input_of(&t, "f", "input").consumed, 2);
    tested_feed(&t, "l", samples("a", 3, 2));
    /* The Log has synced what it hands out: the next sync is the file's. */
    while (input_of(&t, "f", "input").received < 4) tested_run(&t, 50 * YD_NS_PER_US);
    yd_sim_fs_faults(t.fs)->sync_fails = 1;
    for (uint64_t failed = yd_sim_fs_counts(t.fs)->syncs_failed; yd_sim_fs_counts(t.fs)->syncs_failed == failed;)
        tested_run(&t, 50 * YD_NS_PER_US);
    yd_sim_fs_faults(t.fs)->sync_fails = 0; /* a later success means nothing */
    tested_run(&t, LITTLE);
    expect_said(&t, "f: out/a.txt: a sync failed (input/output error): nothing more is acknowledged until a restart");
    tested_feed(&t, "l", samples("a", 5, 2));
    tested_run(&t, YD_NS_PER_S);
    assert_int_equal(input_of(&t, "f", "input").consumed, 2);
    tested_drain(&t);
    tested_stop(&t);
    tested_start(&t, FROM_LOG(", sync: true, append: false"));
    tested_run(&t, YD_NS_PER_S);
    expect_file(&t, "out/a.txt", "3\n4\n5\n6\n"); /* nothing is left out */
    tested_close(&t);
}

static void a_full_disk_holds_senders_back_and_loses_nothing(void **state)
{
    (void)state;
    struct tested t;
    open_with_folder(&t);
    tested_start(&t, TO(""));
    tested_feed(&t, "f", samples("a", 1, 1));
    tested_run(&t, LITTLE);
    yd_sim_fs_capacity(t.fs, 0);
    for (int i = 2; i <= 4; i++) tested_feed(&t, "f", samples("a", i * 1000, 1000));
    tested_run(&t, 10 * YD_NS_PER_S);
    expect_said(&t, "f: out/a.txt: no space left on the device; it is tried again every second, senders wait");
    assert_int_equal(input_of(&t, "f", "input").queued, 3000);
    assert_int_equal(input_of(&t, "f", "input").dropped, 0);
    yd_sim_fs_capacity(t.fs, 1 << 30);
    tested_run(&t, 2 * YD_NS_PER_S);
    expect_said(&t, "out/a.txt: can be written again");
    assert_int_equal(input_of(&t, "f", "input").consumed, 3001);
    char *data;
    size_t size;
    int expect = 1;
    assert_int_equal(yd_fs_read_all(t.fs, "out/a.txt", 1 << 20, &data, &size), 0);
    for (char *at = data; *at; at = strchr(at, '\n') + 1) {
        assert_int_equal(atoi(at), expect);
        expect = expect == 1 ? 2000 : expect + 1;
    }
    assert_int_equal(expect, 5000);
    free(data);
    tested_close(&t);
}

static void a_write_that_fails_in_the_middle_leaves_no_half_line(void **state)
{
    (void)state;
    struct tested t;
    open_with_folder(&t);
    tested_start(&t, TO(""));
    for (int i = 0; i < 20; i++) {
        yd_sim_fs_faults(t.fs)->write_fails = 1;
        tested_feed(&t, "f", samples("a", 1000000 + i, 1));
        tested_run(&t, LITTLE);
        struct yd_stat stat;
        assert_int_equal(yd_fs_stat(t.fs, "out/a.txt", &stat), 0);
        assert_int_equal(stat.size, i * 8);
        yd_sim_fs_faults(t.fs)->write_fails = 0;
        tested_run(&t, 2 * YD_NS_PER_S);
        assert_int_equal(yd_fs_stat(t.fs, "out/a.txt", &stat), 0);
        assert_int_equal(stat.size, (i + 1) * 8);
    }
    tested_close(&t);
}

static void a_file_that_reaches_size_max_is_kept_once_beside_a_new_one(void **state)
{
    (void)state;
    struct tested t;
    open_with_folder(&t);
    tested_start(&t, TO(", size_max: 4KiB"));
    for (int i = 0; i < 3; i++) { /* of 5-byte lines: 500 are 2500 bytes */
        tested_feed(&t, "f", samples("a", 1000 * (i + 1), 500));
        tested_run(&t, LITTLE);
    }
    char *data;
    size_t size;
    assert_int_equal(yd_fs_read_all(t.fs, "out/a.txt", 1 << 20, &data, &size), 0);
    assert_int_equal(size, 2500);
    assert_int_equal(atoi(data), 3000);
    free(data);
    assert_int_equal(yd_fs_read_all(t.fs, "out/a.txt.1", 1 << 20, &data, &size), 0);
    assert_int_equal(size, 2500);
    assert_int_equal(atoi(data), 2000);
    free(data);
    tested_close(&t);
}

static void a_new_file_that_cannot_be_made_at_once_is_made_later(void **state)
{
    (void)state;
    struct tested t;
    open_with_folder(&t);
    tested_start(&t, TO(", size_max: 4KiB"));
    tested_feed(&t, "f", samples("a", 1000, 700));
    tested_run(&t, LITTLE);
    for (uint32_t chance = 1; chance <= 3; chance++) { /* of the rename, or of making the new one */
        yd_sim_fs_faults(t.fs)->meta_fails = chance;
        tested_feed(&t, "f", samples("a", 1000 + 1000 * chance, 700));
        tested_run(&t, LITTLE);
        yd_sim_fs_faults(t.fs)->meta_fails = 0;
        tested_run(&t, 3 * YD_NS_PER_S);
        assert_int_equal(input_of(&t, "f", "input").queued, 0);
        assert_int_equal(input_of(&t, "f", "input").dropped, 0);
    }
    assert_true(has_file(&t, "out/a.txt.1"));
    tested_close(&t);
}

static void a_drain_writes_what_is_there(void **state)
{
    (void)state;
    struct tested t;
    open_with_folder(&t);
    tested_start(&t, TO(", sync: true"));
    for (int i = 0; i < 100; i++) tested_feed(&t, "f", samples("a", i, 1));
    tested_drain(&t);
    assert_int_equal(t.exit_code, 0);
    assert_int_equal(input_of(&t, "f", "input").consumed, 100);
    tested_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_form_is_one_line_a_record),
        cmocka_unit_test(a_file_that_is_there_goes_on_or_begins_anew),
        cmocka_unit_test(a_path_that_cannot_be_written_is_refused_with_the_reason),
        cmocka_unit_test(an_idle_file_sleeps),
        cmocka_unit_test(sync_acknowledges_a_run_of_batches_with_one_sync),
        cmocka_unit_test(what_was_acknowledged_by_sync_survives_a_power_cut),
        cmocka_unit_test(a_failed_sync_is_said_and_final_and_a_cursor_stays_in_front_of_it),
        cmocka_unit_test(a_full_disk_holds_senders_back_and_loses_nothing),
        cmocka_unit_test(a_write_that_fails_in_the_middle_leaves_no_half_line),
        cmocka_unit_test(a_file_that_reaches_size_max_is_kept_once_beside_a_new_one),
        cmocka_unit_test(a_new_file_that_cannot_be_made_at_once_is_made_later),
        cmocka_unit_test(a_drain_writes_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
