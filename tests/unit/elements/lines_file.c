/* Lines: from files as they are, and as they grow, move and shrink. */
#include "tested.h"

#include <unistd.h>

#define READ(args)   "l :: Lines(path: \"a.log\"" args ") -> Null()\n"
#define FOLLOW(args) READ(", follow: true, every: 1s" args)
#define LOOK         (1500 * YD_NS_PER_MS) /* it looks once in this time */

static void expect_lines(struct tested *t, const char *joined) /* "one|two|" */
{
    struct yd_buf wanted;
    yd_buf_init(&wanted, NULL);
    for (const char *at = joined; *at; at = strchr(at, '|') + 1)
        yd_buf_printf(&wanted, "l.output EVENT line %.*s\n", (int)(strchr(at, '|') - at), at);
    expect_out(t, text_of(&wanted));
    yd_buf_fini(&wanted);
}

static void read_whole(const char *text, const char *args, const char *joined, uint64_t too_long, uint64_t not_text)
{
    struct tested t;
    char topology[256];
    tested_open(&t);
    t.listen_to = "l";
    put_file(&t, "a.log", text);
    (void)snprintf(topology, sizeof topology, READ("%s"), args);
    tested_start(&t, topology);
    tested_end(&t);
    assert_int_equal(t.exit_code, 0);
    expect_lines(&t, joined);
    assert_int_equal(reason_of(&t, "l", "line too long"), too_long);
    assert_int_equal(reason_of(&t, "l", "not UTF-8"), not_text);
    tested_close(&t);
}

static void each_line_is_an_event_and_the_end_is_the_end(void **state)
{
    (void)state;
    read_whole("", "", "", 0, 0);
    read_whole("one\ntwo\n", "", "one|two|", 0, 0);
    read_whole("one\r\ntwo\r\n\r\n\nx", "", "one|two|||x|", 0, 0);
    read_whole("no newline\nat the end", "", "no newline|at the end|", 0, 0);
    read_whole("\r in \rthe middle\n", "", "\r in \rthe middle|", 0, 0);
}

static void a_line_over_the_limit_is_rejected_and_the_next_one_good(void **state)
{
    (void)state;
    read_whole("0123456789abcdef\n0123456789abcdefg\ngood\n", ", line_max: 16B", "0123456789abcdef|good|", 1, 0);
    read_whole("0123456789abcdef\r\n0123456789abcdef\r", ", line_max: 16B", "0123456789abcdef|0123456789abcdef|", 0, 0);
    read_whole("good\n0123456789abcdefg", ", line_max: 16B", "good|", 1, 0);
    read_whole("0123456789abcdefg0123456789abcdefg\n\nx\n", ", line_max: 16B", "|x|", 1, 0);
}

static void a_line_longer_than_a_block_is_one_reject(void **state)
{
    (void)state;
    enum { SIZE = 1 << 20 };
    char *text = malloc(SIZE + 32);
    memset(text, 'x', SIZE);
    strcpy(text + SIZE, "\ngood\n");
    read_whole(text, "", "good|", 1, 0);
    text[SIZE] = 0; /* and one that never ends */
    read_whole(text, "", "", 1, 0);
    free(text);
}

static void a_line_as_long_as_the_limit_allows_passes_across_blocks(void **state)
{
    (void)state;
    enum { SIZE = 500000 };
    struct tested t;
    char *text = malloc(2 * SIZE + 32);
    memset(text, 'x', 2 * SIZE + 1);
    text[SIZE] = '\n';
    strcpy(text + 2 * SIZE + 1, "\r\n");
    tested_open(&t);
    t.listen_to = "l";
    put_file(&t, "a.log", text);
    tested_start(&t, READ(", line_max: 500000B"));
    tested_end(&t);
    assert_int_equal(strlen(tested_out(&t)), 2 * (SIZE + strlen("l.output EVENT line \n")));
    assert_int_equal(reason_of(&t, "l", "line too long"), 0);
    tested_close(&t);
    free(text);
}

static void what_is_not_utf8_is_rejected_alone(void **state)
{
    (void)state;
    read_whole("a\n\xff\xfe\nb\n\xc3\xa4\n\xc3\n", "", "a|b|\xc3\xa4|", 0, 2);
}

static void many_lines_come_in_order(void **state)
{
    (void)state;
    enum { COUNT = 100000 };
    struct tested t;
    struct yd_buf text;
    yd_buf_init(&text, NULL);
    for (int i = 0; i < COUNT; i++) yd_buf_printf(&text, "line number %d\n", i);
    tested_open(&t);
    t.listen_to = "l";
    put_file(&t, "a.log", text_of(&text));
    yd_buf_fini(&text);
    tested_start(&t, READ(""));
    tested_end(&t);
    const char *at = tested_out(&t);
    for (int i = 0; i < COUNT; i++, at = strchr(at, '\n') + 1)
        assert_int_equal(atoi(at + strlen("l.output EVENT line line number ")), i);
    assert_int_equal(*at, 0);
    tested_close(&t);
}

static void a_file_that_is_not_there_is_refused_unless_it_is_followed(void **state)
{
    (void)state;
    struct tested t;
    struct yd_trail trail = {0};
    tested_open(&t);
    t.listen_to = "l";
    assert_int_equal(tested_try(&t, READ(""), &trail), YD_ENOENT);
    assert_non_null(strstr(yd_trail_text(&trail), "cannot read a.log: not found; give a file that exists, or follow"));
    tested_stop(&t);
    tested_start(&t, FOLLOW(", from: \"end\""));
    tested_run(&t, LOOK);
    put_file(&t, "a.log", "all of it is new\n");
    tested_run(&t, LOOK);
    expect_lines(&t, "all of it is new|");
    tested_close(&t);
}

static void a_folder_is_refused(void **state)
{
    (void)state;
    struct tested t;
    struct yd_trail trail = {0};
    tested_open(&t);
    put_file(&t, "a.log/x", "");
    assert_int_equal(tested_try(&t, READ(""), &trail), YD_EINVAL);
    tested_stop(&t);
    tested_close(&t);
}

static void a_followed_file_brings_what_is_added_in_whole_lines(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    t.listen_to = "l";
    put_file(&t, "a.log", "one\ntw");
    tested_start(&t, FOLLOW(""));
    tested_run(&t, LOOK);
    expect_lines(&t, "one|");
    add_file(&t, "a.log", "o\nthree\r");
    tested_run(&t, LOOK);
    expect_lines(&t, "two|");
    add_file(&t, "a.log", "\n");
    tested_run(&t, LOOK);
    expect_lines(&t, "three|");
    tested_drain(&t);
    tested_close(&t);
}

static void from_end_leaves_out_what_is_there(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    t.listen_to = "l";
    put_file(&t, "a.log", "old\nolder\n");
    tested_start(&t, FOLLOW(", from: \"end\""));
    tested_run(&t, LOOK);
    expect_lines(&t, "");
    add_file(&t, "a.log", "new\n");
    tested_run(&t, LOOK);
    expect_lines(&t, "new|");
    tested_close(&t);
}

static void a_file_rotated_by_renaming_is_read_to_its_end_first(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    t.listen_to = "l";
    put_file(&t, "a.log", "one\n");
    tested_start(&t, FOLLOW(""));
    tested_run(&t, LOOK);
    add_file(&t, "a.log", "two\nthe last, cut");
    assert_int_equal(yd_fs_rename(t.fs, "a.log", "a.log.1"), 0);
    tested_run(&t, LOOK); /* no new one yet */
    add_file(&t, "a.log.1", " short");
    add_file(&t, "a.log", "three\n");
    tested_run(&t, 2 * LOOK);
    expect_lines(&t, "one|two|the last, cut short|three|");
    tested_close(&t);
}

static void a_file_cut_to_nothing_is_read_from_its_start(void **state)
{
    (void)state;
    struct tested t;
    struct yd_file *file;
    tested_open(&t);
    t.listen_to = "l";
    put_file(&t, "a.log", "one\ntwo\nhalf");
    tested_start(&t, FOLLOW(""));
    tested_run(&t, LOOK);
    assert_int_equal(yd_fs_open(t.fs, "a.log", YD_OPEN_WRITE, &file), 0);
    assert_int_equal(yd_file_truncate(file, 0), 0);
    yd_file_close(file);
    add_file(&t, "a.log", "new\n");
    tested_run(&t, 2 * LOOK);
    expect_lines(&t, "one|two|half|new|");
    tested_close(&t);
}

static void an_over_long_line_at_a_rotation_does_not_take_the_next_file_along(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    t.listen_to = "l";
    put_file(&t, "a.log", "this is much too long and has no end");
    tested_start(&t, FOLLOW(", line_max: 16B"));
    tested_run(&t, LOOK);
    assert_int_equal(yd_fs_rename(t.fs, "a.log", "a.log.1"), 0);
    put_file(&t, "a.log", "first\n");
    tested_run(&t, 2 * LOOK);
    expect_lines(&t, "first|");
    assert_int_equal(reason_of(&t, "l", "line too long"), 1);
    tested_close(&t);
}

static void a_file_that_goes_bad_ends_it_and_is_said(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    t.listen_to = "l";
    put_file(&t, "a.log", "one\npart");
    tested_start(&t, FOLLOW(""));
    tested_run(&t, LOOK);
    yd_sim_fs_faults(t.fs)->read_fails = 1;
    tested_end(&t);
    expect_said(&t, "l: a.log: input/output error; reading stops here");
    expect_lines(&t, "one|part|");
    tested_close(&t);
}

static void fed_text_is_taken_as_a_file_would_be(void **state)
{
    (void)state;
    expect_passes("l :: Lines(name: \"my.line\", line_max: 16B) -> Null()\n"
                  "test \"t\" {\n  feed l \"one\\r\\n0123456789abcdefg\\ntwo\\n\\nend\"\n"
                  "  expect l == [ { name: \"my.line\", value: \"one\", kind: event }, { value: \"two\" }, "
                  "{ value: \"\" }, { value: \"end\" } ]\n}\n");
    struct tested t;
    tested_open(&t);
    t.listen_to = "l";
    tested_start(&t, "l :: Lines(path: \"none\", follow: true, line_max: 16B) -> Null()\n");
    tested_text(&t, "l", "good\n\xff\n0123456789abcdefg\ngood too");
    expect_lines(&t, "good|good too|");
    assert_int_equal(reason_of(&t, "l", "not UTF-8"), 1);
    assert_int_equal(reason_of(&t, "l", "line too long"), 1);
    struct yd_buf text;
    yd_buf_init(&text, NULL);
    for (int i = 0; i < 100000; i++) yd_buf_printf(&text, "0123456789 %d\n", i % 1000);
    tested_text(&t, "l", text_of(&text));
    assert_int_equal(input_of(&t, "Null@1", "input").received, 100002);
    yd_buf_fini(&text);
    tested_close(&t);
}

static void a_name_that_is_none_is_refused(void **state)
{
    (void)state;
    expect_refused("Lines(name: \"a b\") -> Null()\n", "name: 'a b' is not a name");
    expect_refused("Lines(name: \"a c=1,b=2\") -> Null()\n", "name: write it as 'a b=2,c=1'");
    expect_refused("Lines(name: \"\") -> Null()\n", "name: '' is not a name");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_line_is_an_event_and_the_end_is_the_end),
        cmocka_unit_test(a_line_over_the_limit_is_rejected_and_the_next_one_good),
        cmocka_unit_test(a_line_longer_than_a_block_is_one_reject),
        cmocka_unit_test(a_line_as_long_as_the_limit_allows_passes_across_blocks),
        cmocka_unit_test(what_is_not_utf8_is_rejected_alone),
        cmocka_unit_test(many_lines_come_in_order),
        cmocka_unit_test(a_file_that_is_not_there_is_refused_unless_it_is_followed),
        cmocka_unit_test(a_folder_is_refused),
        cmocka_unit_test(a_followed_file_brings_what_is_added_in_whole_lines),
        cmocka_unit_test(from_end_leaves_out_what_is_there),
        cmocka_unit_test(a_file_rotated_by_renaming_is_read_to_its_end_first),
        cmocka_unit_test(a_file_cut_to_nothing_is_read_from_its_start),
        cmocka_unit_test(an_over_long_line_at_a_rotation_does_not_take_the_next_file_along),
        cmocka_unit_test(a_file_that_goes_bad_ends_it_and_is_said),
        cmocka_unit_test(fed_text_is_taken_as_a_file_would_be),
        cmocka_unit_test(a_name_that_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
