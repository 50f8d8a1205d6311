/* The table of file operations, as its header promises it: the same sentences for Linux and for the simulator. */
#include "io/file.h"
#include "base/base.h"
#include "io/sim_file.h"
#include "tap.h"

struct place {
    struct yd_fs *fs;
    char *folder; /* of Linux: a temporary one */
};

static int on_linux(void **state)
{
    static struct place place;
    place = (struct place){yd_fs_linux(), make_folder()};
    *state = &place;
    return 0;
}
static int leave_linux(void **state)
{
    remove_folder(((struct place *)*state)->folder);
    return 0;
}

static int on_sim(void **state)
{
    static struct place place;
    place.folder = strdup("data/here");
    assert_error(0, yd_sim_fs_create(1, &place.fs));
    assert_error(0, yd_fs_make_dirs(place.fs, place.folder));
    *state = &place;
    return 0;
}
static int leave_sim(void **state)
{
    struct place *place = *state;
    yd_sim_fs_destroy(place->fs);
    free(place->folder);
    return 0;
}

static char *in(struct place *place, const char *name)
{
    static char paths[8][400];
    static unsigned turn;
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", place->folder, name);
    return path;
}

static struct yd_file *opened(struct place *place, const char *name, unsigned flags)
{
    struct yd_file *file = NULL;
    assert_error(0, yd_fs_open(place->fs, in(place, name), flags, &file));
    return file;
}

#define ALL (YD_OPEN_READ | YD_OPEN_WRITE | YD_OPEN_CREATE)

static void what_was_written_is_read_back_from_any_offset(void **state)
{
    struct place *place = *state;
    struct yd_file *file = opened(place, "a", ALL);
    char got[16] = "";
    size_t size = 99;
    assert_error(0, yd_file_write(file, "hello world", 11, 0));
    assert_error(0, yd_file_read(file, got, 5, 6, &size));
    assert_int_equal(size, 5);
    assert_memory_equal(got, "world", 5);
    assert_error(0, yd_file_read(file, got, sizeof got, 6, &size));
    assert_int_equal(size, 5); /* less only at the end */
    assert_error(0, yd_file_read(file, got, sizeof got, 11, &size));
    assert_int_equal(size, 0);
    assert_error(0, yd_file_read(file, got, sizeof got, 1000, &size));
    assert_int_equal(size, 0);
    assert_error(0, yd_file_sync(file));
    yd_file_close(file);
}

static void a_gap_before_a_write_reads_as_zeros(void **state)
{
    struct place *place = *state;
    struct yd_file *file = opened(place, "a", ALL);
    char got[5000], zeros[5000] = {0};
    size_t size = 0;
    assert_error(0, yd_file_write(file, "x", 1, 5000));
    assert_error(0, yd_file_read(file, got, sizeof got, 0, &size));
    assert_int_equal(size, 5000);
    assert_memory_equal(got, zeros, sizeof got);
    yd_file_close(file);
}

static void two_hundred_parts_some_empty_arrive_in_order(void **state)
{
    struct place *place = *state;
    struct yd_file *file = opened(place, "a", ALL);
    struct iovec parts[200];
    char bytes[200], want[400], got[400];
    size_t count = 0, size = 0;
    for (int i = 0; i < 200; i++) {
        bytes[i] = (char)i;
        parts[i] = (struct iovec){&bytes[i], i % 3 ? 1 : 0};
        if (i % 3) want[count++] = (char)i;
    }
    assert_error(0, yd_file_writev(file, parts, 200, 7));
    assert_error(0, yd_file_read(file, got, sizeof got, 7, &size));
    assert_int_equal(size, count);
    assert_memory_equal(got, want, count);
    yd_file_close(file);
}

static void opening_refuses_what_its_flags_exclude(void **state)
{
    struct place *place = *state;
    struct yd_file *file = NULL;
    assert_error(YD_ENOENT, yd_fs_open(place->fs, in(place, "no"), YD_OPEN_READ, &file));
    assert_error(YD_ENOENT, yd_fs_open(place->fs, in(place, "no/file"), ALL, &file));
    assert_error(YD_EINVAL, yd_fs_open(place->fs, in(place, "no"), 0, &file));
    yd_file_close(opened(place, "a", ALL | YD_OPEN_EXCLUSIVE));
    assert_error(YD_EEXIST, yd_fs_open(place->fs, in(place, "a"), ALL | YD_OPEN_EXCLUSIVE, &file));
    assert_error(YD_ENOENT, yd_fs_open(place->fs, in(place, "a/below"), ALL, &file));
    assert_null(file);
    file = opened(place, "a", ALL);
    assert_error(0, yd_file_write(file, "abc", 3, 0));
    yd_file_close(file);
    struct yd_stat now;
    yd_file_close(opened(place, "a", ALL | YD_OPEN_TRUNCATE));
    assert_error(0, yd_fs_stat(place->fs, in(place, "a"), &now));
    assert_int_equal(now.size, 0);
}

static void a_handle_for_reading_does_not_write(void **state)
{
    struct place *place = *state;
    yd_file_close(opened(place, "a", ALL));
    struct yd_file *file = opened(place, "a", YD_OPEN_READ);
    assert_true(yd_file_write(file, "x", 1, 0) < 0);
    assert_true(yd_file_truncate(file, 10) < 0);
    yd_file_close(file);
}

static void allocate_grows_the_file_with_zeros_and_keeps_what_is_there(void **state)
{
    struct place *place = *state;
    struct yd_file *file = opened(place, "a", ALL);
    struct yd_stat now;
    char got[16];
    size_t size = 0;
    assert_error(0, yd_file_write(file, "keep", 4, 0));
    assert_error(0, yd_file_allocate(file, 0, 1 << 20));
    assert_error(0, yd_file_stat(file, &now));
    assert_int_equal(now.size, 1 << 20);
    assert_true(now.allocated >= 1 << 20);
    assert_int_equal(now.node, YD_NODE_FILE);
    assert_error(0, yd_file_read(file, got, 8, 0, &size));
    assert_memory_equal(got, "keep\0\0\0\0", 8);
    yd_file_close(file);
}

static void truncate_cuts_and_what_grows_again_is_zero(void **state)
{
    struct place *place = *state;
    struct yd_file *file = opened(place, "a", ALL);
    char got[16];
    size_t size = 0;
    assert_error(0, yd_file_write(file, "0123456789", 10, 0));
    assert_error(0, yd_file_truncate(file, 3));
    assert_error(0, yd_file_truncate(file, 6));
    assert_error(0, yd_file_read(file, got, sizeof got, 0, &size));
    assert_int_equal(size, 6);
    assert_memory_equal(got, "012\0\0\0", 6);
    yd_file_close(file);
}

static void stores_through_a_mapping_are_seen_by_reads_and_by_other_mappings(void **state)
{
    struct place *place = *state;
    struct yd_file *file = opened(place, "a", ALL);
    char *map = NULL, *second = NULL, got[4];
    size_t size = 0;
    void *address = NULL;
    assert_error(YD_EINVAL, yd_file_map(file, 0, 4096, true, &address)); /* nothing there: SIGBUS refused */
    assert_error(0, yd_file_allocate(file, 0, 8192));
    assert_error(YD_EINVAL, yd_file_map(file, 100, 4096, true, &address));
    assert_error(YD_EINVAL, yd_file_map(file, 4096, 8192, true, &address));
    assert_null(address);
    assert_error(0, yd_file_map(file, 4096, 4096, true, &address));
    map = address;
    assert_error(0, yd_file_map(file, 0, 8192, false, &address));
    second = address;
    memcpy(map + 10, "abcd", 4);
    assert_memory_equal(second + 4096 + 10, "abcd", 4);
    assert_error(0, yd_file_read(file, got, 4, 4096 + 10, &size));
    assert_memory_equal(got, "abcd", 4);
    assert_error(0, yd_file_write(file, "efgh", 4, 4096 + 10));
    assert_memory_equal(map + 10, "efgh", 4);
    assert_error(0, yd_fs_sync_map(place->fs, map + 10, 4)); /* any bytes inside the mapping */
    yd_fs_unmap(place->fs, map, 4096);
    yd_file_close(file);
    assert_memory_equal(second + 4096 + 10, "efgh", 4); /* a mapping outlives its handle */
    yd_fs_unmap(place->fs, second, 8192);
}

static void a_second_handle_cannot_lock_until_the_first_is_closed(void **state)
{
    struct place *place = *state;
    struct yd_file *first = opened(place, "a", ALL), *second = opened(place, "a", ALL);
    assert_error(0, yd_file_lock(first));
    assert_error(YD_ELOCKED, yd_file_lock(second));
    yd_file_close(opened(place, "a", ALL)); /* closing another handle must not drop it, as POSIX locks would */
    assert_error(YD_ELOCKED, yd_file_lock(second));
    yd_file_close(first);
    assert_error(0, yd_file_lock(second));
    yd_file_close(second);
}

static void what_was_just_written_is_resident(void **state)
{
    struct place *place = *state;
    struct yd_file *file = opened(place, "a", ALL);
    char block[9000] = {1};
    bool resident = false;
    assert_error(0, yd_file_write(file, block, sizeof block, 0));
    assert_error(0, yd_file_resident(file, 100, 8000, &resident));
    assert_true(resident);
    assert_error(0, yd_file_resident(file, 0, 1 << 20, &resident)); /* beyond the end: what there is */
    assert_true(resident);
    yd_file_close(file);
}

static void rename_replaces_and_the_old_name_is_gone(void **state)
{
    struct place *place = *state;
    struct yd_stat now;
    char *data = NULL;
    size_t size = 0;
    assert_error(0, yd_fs_replace(place->fs, in(place, "a"), "old", 3));
    assert_error(0, yd_fs_replace(place->fs, in(place, "b"), "newer", 5));
    assert_error(0, yd_fs_rename(place->fs, in(place, "b"), in(place, "a")));
    assert_error(YD_ENOENT, yd_fs_stat(place->fs, in(place, "b"), &now));
    assert_error(YD_ENOENT, yd_fs_rename(place->fs, in(place, "b"), in(place, "a")));
    assert_error(0, yd_fs_read_all(place->fs, in(place, "a"), 100, &data, &size));
    assert_int_equal(size, 5);
    assert_string_equal(data, "newer");
    free(data);
}

static void an_unlinked_file_lives_on_for_who_has_it_open(void **state)
{
    struct place *place = *state;
    struct yd_file *file = opened(place, "a", ALL);
    char got[3];
    size_t size = 0;
    assert_error(0, yd_file_write(file, "abc", 3, 0));
    assert_error(0, yd_fs_unlink(place->fs, in(place, "a")));
    assert_error(YD_ENOENT, yd_fs_unlink(place->fs, in(place, "a")));
    assert_error(0, yd_file_read(file, got, 3, 0, &size));
    assert_memory_equal(got, "abc", 3);
    yd_file_close(file);
}

static void a_folder_with_something_in_it_is_not_removed(void **state)
{
    struct place *place = *state;
    struct yd_stat now;
    assert_error(0, yd_fs_mkdir(place->fs, in(place, "d")));
    assert_error(YD_EEXIST, yd_fs_mkdir(place->fs, in(place, "d")));
    assert_error(YD_ENOENT, yd_fs_mkdir(place->fs, in(place, "no/d")));
    yd_file_close(opened(place, "d/x", ALL));
    assert_error(YD_EEXIST, yd_fs_rmdir(place->fs, in(place, "d")));
    assert_error(0, yd_fs_unlink(place->fs, in(place, "d/x")));
    assert_error(0, yd_fs_stat(place->fs, in(place, "d"), &now));
    assert_int_equal(now.node, YD_NODE_DIR);
    assert_error(0, yd_fs_rmdir(place->fs, in(place, "d")));
    assert_error(YD_ENOENT, yd_fs_rmdir(place->fs, in(place, "d")));
    assert_error(YD_ENOENT, yd_fs_sync_dir(place->fs, in(place, "d")));
}

static int count_nodes(void *arg, const char *name, enum yd_file_type node)
{
    int *counts = arg;
    assert_true(name[0] != '.');
    counts[node]++;
    return 0;
}
static int stop_at_once(void *arg, const char *name, enum yd_file_type node)
{
    (void)arg, (void)name, (void)node;
    return 7;
}

static void list_names_every_entry_once_and_stops_when_told(void **state)
{
    struct place *place = *state;
    int counts[4] = {0};
    assert_error(0, yd_fs_make_dirs(place->fs, in(place, "d/sub/deep")));
    yd_file_close(opened(place, "d/x", ALL));
    yd_file_close(opened(place, "d/y", ALL));
    assert_error(0, yd_fs_list(place->fs, in(place, "d"), count_nodes, counts));
    assert_int_equal(counts[YD_NODE_FILE], 2);
    assert_int_equal(counts[YD_NODE_DIR], 1);
    assert_int_equal(yd_fs_list(place->fs, in(place, "d"), stop_at_once, NULL), 7);
    assert_error(YD_ENOENT, yd_fs_list(place->fs, in(place, "none"), count_nodes, counts));
}

static void make_dirs_makes_all_levels_and_refuses_a_file_in_the_way(void **state)
{
    struct place *place = *state;
    struct yd_stat now;
    assert_error(0, yd_fs_make_dirs(place->fs, in(place, "a/b//c/")));
    assert_error(0, yd_fs_make_dirs(place->fs, in(place, "a/b/c")));
    assert_error(0, yd_fs_stat(place->fs, in(place, "a/b/c"), &now));
    assert_int_equal(now.node, YD_NODE_DIR);
    yd_file_close(opened(place, "a/file", ALL));
    assert_error(YD_EEXIST, yd_fs_make_dirs(place->fs, in(place, "a/file")));
    assert_true(yd_fs_make_dirs(place->fs, in(place, "a/file/below")) < 0);
}

static void read_all_keeps_to_its_limit(void **state)
{
    struct place *place = *state;
    char *data = NULL;
    size_t size = 0;
    assert_error(0, yd_fs_replace(place->fs, in(place, "a"), "12345", 5));
    assert_error(YD_ETOOBIG, yd_fs_read_all(place->fs, in(place, "a"), 4, &data, &size));
    assert_null(data);
    assert_error(0, yd_fs_read_all(place->fs, in(place, "a"), 5, &data, &size));
    assert_string_equal(data, "12345");
    free(data);
    assert_error(0, yd_fs_replace(place->fs, in(place, "a"), "", 0));
    assert_error(0, yd_fs_read_all(place->fs, in(place, "a"), 5, &data, &size));
    assert_int_equal(size, 0);
    assert_string_equal(data, "");
    free(data);
}

static void read_all_reads_files_that_lie_about_their_size(void **state)
{
    char *data = NULL;
    size_t size = 0;
    (void)state;
    assert_error(0, yd_fs_read_all(yd_fs_linux(), "/proc/self/maps", 1 << 20, &data, &size));
    assert_true(size > 500 && strlen(data) == size);
    free(data);
    assert_error(YD_ETOOBIG, yd_fs_read_all(yd_fs_linux(), "/proc/self/maps", 100, &data, &size));
}

/* This program uses the file half only. */
static void a_program_of_files_alone_loads_no_libuv(void **state)
{
    char *data = NULL;
    size_t size = 0;
    (void)state;
    assert_error(0, yd_fs_read_all(yd_fs_linux(), "/proc/self/maps", 1 << 20, &data, &size));
    assert_non_null(strstr(data, "libc"));
    assert_null(strstr(data, "libuv"));
    free(data);
}

static void space_says_what_is_there(void **state)
{
    struct place *place = *state;
    struct yd_space space = {0};
    assert_error(0, yd_fs_space(place->fs, in(place, ""), &space));
    assert_true(space.total >= space.available && space.available > 0);
}

static void the_parent_of_a_path_is_the_folder_its_name_stands_in(void **state)
{
    static const char *const cases[][2] = {{"a/b/c", "a/b"}, {"c", "."},    {"/c", "/"},  {"/", "/"},
                                           {"a/b/", "a"},    {"a//b", "a"}, {"./a", "."}, {"/a/b", "/a"}};
    (void)state;
    for (size_t i = 0; i < YD_COUNT(cases); i++) {
        char *parent = yd_fs_parent(cases[i][0]);
        assert_string_equal(parent, cases[i][1]);
        free(parent);
    }
}

/* Each sentence holds for both. */
#define BOTH(test)                                                                                                     \
    {#test "_on_linux", test, on_linux, leave_linux, NULL},                                                            \
    {                                                                                                                  \
#test "_in_the_simulator", test, on_sim, leave_sim, NULL                                                       \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(what_was_written_is_read_back_from_any_offset),
        BOTH(a_gap_before_a_write_reads_as_zeros),
        BOTH(two_hundred_parts_some_empty_arrive_in_order),
        BOTH(opening_refuses_what_its_flags_exclude),
        BOTH(a_handle_for_reading_does_not_write),
        BOTH(allocate_grows_the_file_with_zeros_and_keeps_what_is_there),
        BOTH(truncate_cuts_and_what_grows_again_is_zero),
        BOTH(stores_through_a_mapping_are_seen_by_reads_and_by_other_mappings),
        BOTH(a_second_handle_cannot_lock_until_the_first_is_closed),
        BOTH(what_was_just_written_is_resident),
        BOTH(rename_replaces_and_the_old_name_is_gone),
        BOTH(an_unlinked_file_lives_on_for_who_has_it_open),
        BOTH(a_folder_with_something_in_it_is_not_removed),
        BOTH(list_names_every_entry_once_and_stops_when_told),
        BOTH(make_dirs_makes_all_levels_and_refuses_a_file_in_the_way),
        BOTH(read_all_keeps_to_its_limit),
        BOTH(space_says_what_is_there),
        cmocka_unit_test(read_all_reads_files_that_lie_about_their_size),
        cmocka_unit_test(a_program_of_files_alone_loads_no_libuv),
        cmocka_unit_test(the_parent_of_a_path_is_the_folder_its_name_stands_in),
    };
    return cmocka_run_group_tests_name("files", tests, NULL, NULL);
}
