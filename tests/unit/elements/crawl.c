/* Crawl: a tree on the simulated disk, and what only a real one has: links, modes, names that are not text. */
#include "tested.h"

#include <sys/stat.h>
#include <unistd.h>

static int by_line(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The rows' paths in the order of the bytes, with what `cell` says of each behind it: "a/b=file a/c=link ". */
static char *rows_of(struct tested *t, const char *cell, struct yd_buf *to)
{
    char *lines[1000], key[32], *copy = strdup(tested_out(t));
    size_t count = 0;
    yd_buf_init(to, NULL);
    for (char *line = strtok(copy, "\n"); line; line = strtok(NULL, "\n")) lines[count++] = line;
    qsort(lines, count, sizeof *lines, by_line);
    (void)snprintf(key, sizeof key, "\"%s\":", cell);
    for (size_t i = 0; i < count; i++) {
        char *path = strstr(lines[i], "\"path\":\"") + 8, *value = strstr(lines[i], key) + strlen(key);
        if (*value == '"') value++;
        yd_buf_printf(to, "%.*s=%.*s ", (int)strcspn(path, "\""), path, (int)strcspn(value, "\",}"), value);
    }
    free(copy);
    yd_buf_char(to, 0);
    return to->data;
}

static void crawl(struct tested *t, const char *args)
{
    char text[512];
    t->listen_to = "c";
    (void)snprintf(text, sizeof text, "c :: Crawl(%s) -> Null()\n", args);
    tested_start(t, text);
    tested_end(t);
    assert_int_equal(t->exit_code, 0);
}

static void expect_crawl(const char *args, const char *cell, const char *wanted)
{
    static const char *const files[] = {"top/a.c",     "top/b.tar.gz", "top/.hidden",    "top/Makefile", "top/x/d.c",
                                        "top/x/y/e.h", "top/.git/f",   "top/.git/g/h.c", "top/x/dot."};
    struct tested t;
    struct yd_buf buf;
    tested_open(&t);
    for (size_t i = 0; i < YD_COUNT(files); i++) put_file(&t, files[i], "12345");
    crawl(&t, args);
    assert_string_equal(rows_of(&t, cell, &buf), wanted);
    yd_buf_fini(&buf);
    tested_close(&t);
}

static void every_file_of_a_tree_is_a_row_and_then_it_ends(void **state)
{
    (void)state;
    expect_crawl("path: \"top\"", "extension",
                 "top/.git/f= top/.git/g/h.c=c top/.hidden= top/Makefile= top/a.c=c top/b.tar.gz=gz top/x/d.c=c "
                 "top/x/dot.= top/x/y/e.h=h ");
    expect_crawl("path: \"top/x/y/\"", "size", "top/x/y/e.h=5 ");
    expect_crawl("path: \"top/x/y\"", "node", "top/x/y/e.h=file ");
}

static void folders_are_rows_when_asked_for(void **state)
{
    (void)state;
    expect_crawl("path: \"top/x\", folders: true", "node",
                 "top/x/d.c=file top/x/dot.=file top/x/y=dir top/x/y/e.h=file ");
}

static void match_picks_names_and_does_not_stop_the_way_down(void **state)
{
    (void)state;
    expect_crawl("path: \"top\", match: \"*.{h,c}\", folders: true", "base",
                 "top/.git/g/h.c=h.c top/a.c=a.c top/x/d.c=d.c top/x/y/e.h=e.h ");
}

static void skip_passes_over_files_and_whole_folders(void **state)
{
    (void)state;
    expect_crawl("path: \"top\", skip: [\".*\", \"y\"]", "base",
                 "top/Makefile=Makefile top/a.c=a.c top/b.tar.gz=b.tar.gz top/x/d.c=d.c top/x/dot.=dot. ");
}

static void depth_max_says_how_deep(void **state)
{
    (void)state;
    expect_crawl("path: \"top\", depth_max: 0, skip: [\".*\"]", "node",
                 "top/Makefile=file top/a.c=file top/b.tar.gz=file ");
    expect_crawl("path: \"top\", depth_max: 1, skip: [\".*\"], match: \"*.?\"", "node", "top/a.c=file top/x/d.c=file ");
}

static void a_folder_of_many_files_is_whole(void **state)
{
    (void)state;
    enum { COUNT = 5000 };
    struct tested t;
    char path[300], name[200];
    uint32_t rows = 0;
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = 0;
    tested_open(&t);
    assert_int_equal(yd_fs_make_dirs(t.fs, "top"), 0);
    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(path, sizeof path, "top/%s%d", name, i);
        add_file(&t, path, "");
    }
    crawl(&t, "path: \"top\"");
    assert_true(t.emitted > 1); /* more than a batch holds */
    for (const char *at = tested_out(&t); *at; at = strchr(at, '\n') + 1) rows++;
    assert_int_equal(rows, COUNT);
    tested_close(&t);
}

static void what_is_no_folder_is_refused(void **state)
{
    (void)state;
    struct tested t;
    struct yd_trail trail = {0};
    tested_open(&t);
    put_file(&t, "a", "");
    assert_int_equal(tested_try(&t, "Crawl(path: \"none\") -> Null()\n", &trail), YD_ENOENT);
    assert_non_null(strstr(yd_trail_text(&trail), "cannot crawl none: not found"));
    tested_stop(&t);
    assert_int_equal(tested_try(&t, "Crawl(path: \"a\") -> Null()\n", NULL), YD_EINVAL);
    tested_stop(&t);
    tested_close(&t);
    expect_refused("Crawl(skip: [1]) -> Null()\n", "skip: a list of globs in quotes");
    expect_refused("Crawl(name: \"a b\") -> Null()\n", "name: 'a b' is not a name");
}

/* ---- on a real disk, by the simulated loop ---- */

static void real_open(struct tested *t, char *folder)
{
    tested_open(t);
    yd_sim_fs_destroy(t->fs);
    t->fs = yd_fs_linux();
    strcpy(folder, "/tmp/yd_crawl_XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
}

static void real_close(struct tested *t, const char *folder)
{
    char command[128];
    tested_stop(t);
    yd_buf_fini(&t->out);
    assert_int_equal(chdir("/"), 0);
    (void)snprintf(command, sizeof command, "chmod -R u+rwx %s; rm -rf %s", folder, folder);
    assert_int_equal(system(command), 0);
}

static void make(const char *path)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
}

static void links_are_reported_and_not_followed(void **state)
{
    (void)state;
    struct tested t;
    struct yd_buf buf;
    char folder[64];
    real_open(&t, folder);
    assert_int_equal(mkdir("top", 0700), 0);
    make("top/file");
    assert_int_equal(symlink("../top", "top/ring"), 0);
    assert_int_equal(symlink("nowhere", "top/dangling"), 0);
    assert_int_equal(mkfifo("top/pipe", 0600), 0);
    crawl(&t, "path: \"top\"");
    assert_string_equal(rows_of(&t, "node", &buf), "top/dangling=link top/file=file top/pipe=other top/ring=link ");
    yd_buf_fini(&buf);
    real_close(&t, folder);
}

static void the_folder_to_begin_in_may_be_a_link(void **state)
{
    (void)state;
    struct tested t;
    struct yd_buf buf;
    char folder[64];
    real_open(&t, folder);
    assert_int_equal(mkdir("top", 0700), 0);
    make("top/file");
    assert_int_equal(symlink("top", "way"), 0);
    crawl(&t, "path: \"way\"");
    assert_string_equal(rows_of(&t, "node", &buf), "way/file=file ");
    yd_buf_fini(&buf);
    real_close(&t, folder);
}

static void names_that_are_no_text_are_rejected_alone(void **state)
{
    (void)state;
    struct tested t;
    struct yd_buf buf;
    char folder[64];
    real_open(&t, folder);
    assert_int_equal(mkdir("top", 0700), 0);
    make("top/good");
    make("top/b\xff"
         "d");
    assert_int_equal(mkdir("top/\xfe", 0700), 0);
    make("top/\xfe/in it");
    make("top/\xc3\xa4\n");
    crawl(&t, "path: \"top\"");
    assert_string_equal(rows_of(&t, "size", &buf), "top/good=0 top/\xc3\xa4\\n=0 ");
    assert_int_equal(reason_of(&t, "c", "path is not text"), 2);
    yd_buf_fini(&buf);
    real_close(&t, folder);
}

/* A folder that goes bad between being seen and being listed: the disk says so for one path. */
static struct yd_fs_ops bad_ops;
static const struct yd_fs_ops *good_ops;

static int bad_list(struct yd_fs *fs, const char *path, int (*visit)(void *, const char *, enum yd_file_type),
                    void *arg)
{
    return strcmp(path, "top/bad") ? good_ops->list(fs, path, visit, arg) : YD_EPERM;
}

static void a_folder_that_cannot_be_read_is_counted_said_and_left_out(void **state)
{
    (void)state;
    struct tested t;
    struct yd_buf buf;
    char folder[64];
    real_open(&t, folder);
    assert_int_equal(mkdir("top", 0700), 0);
    assert_int_equal(mkdir("top/bad", 0700), 0);
    make("top/bad/hidden");
    make("top/good");
    good_ops = t.fs->ops;
    bad_ops = *good_ops;
    bad_ops.list = bad_list;
    struct yd_fs bad = {&bad_ops};
    t.fs = &bad;
    crawl(&t, "path: \"top\"");
    assert_string_equal(rows_of(&t, "node", &buf), "top/good=file ");
    assert_int_equal(reason_of(&t, "c", "cannot be read"), 1);
    expect_said(&t, "c: top/bad: not permitted; left out");
    yd_buf_fini(&buf);
    real_close(&t, folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_file_of_a_tree_is_a_row_and_then_it_ends),
        cmocka_unit_test(folders_are_rows_when_asked_for),
        cmocka_unit_test(match_picks_names_and_does_not_stop_the_way_down),
        cmocka_unit_test(skip_passes_over_files_and_whole_folders),
        cmocka_unit_test(depth_max_says_how_deep),
        cmocka_unit_test(a_folder_of_many_files_is_whole),
        cmocka_unit_test(what_is_no_folder_is_refused),
        cmocka_unit_test(links_are_reported_and_not_followed),
        cmocka_unit_test(the_folder_to_begin_in_may_be_a_link),
        cmocka_unit_test(names_that_are_no_text_are_rejected_alone),
        cmocka_unit_test(a_folder_that_cannot_be_read_is_counted_said_and_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
