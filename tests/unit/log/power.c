/* The power goes at each call of what mends, copies and cuts, and right after it said "done": what it said is so, what
 * it replaced is kept, and what it was not to touch is whole. */
#include "../sparse.h"
#include "log_test.h"

#include "log/internal.h"
#include "log/mend.h"
#include "log/twin.h"

#define BATCHES 12
#define RECORDS 3
#define SEEDS   3  /* of crashes at each call */
#define AFTER   24 /* of crashes after the last one */
#define OLD_MAX 16

/* ---- a disk on which everything is durable ---- */

struct walk {
    struct yd_fs *fs;
    const char *dir;
    void (*file)(void *arg, const char *path, const char *name);
    void *arg;
};

static void each_file(struct yd_fs *fs, const char *dir, void (*file)(void *arg, const char *path, const char *name),
                      void *arg);

static int visit(void *arg, const char *name, enum yd_file_type node)
{
    struct walk *walk = arg;
    char path[600];
    (void)snprintf(path, sizeof path, "%s/%s", walk->dir, name);
    if (node == YD_NODE_DIR)
        each_file(walk->fs, path, walk->file, walk->arg);
    else
        walk->file(walk->arg, path, name);
    return 0;
}

static void each_file(struct yd_fs *fs, const char *dir, void (*file)(void *arg, const char *path, const char *name),
                      void *arg)
{
    struct walk walk = {fs, dir, file, arg};
    int error = yd_fs_list(fs, dir, visit, &walk);
    assert_true(error == 0 || error == YD_ENOENT);
}

static void sync_one(void *arg, const char *path, const char *name)
{
    struct yd_fs *fs = arg;
    struct yd_file *file;
    (void)name;
    assert_int_equal(yd_fs_open(fs, path, YD_OPEN_READ | YD_OPEN_WRITE, &file), 0);
    assert_int_equal(yd_file_sync(file), 0);
    yd_file_close(file);
    char *parent = yd_fs_parent(path);
    assert_int_equal(yd_fs_sync_dir(fs, parent), 0);
    free(parent);
}

static void make_all_durable(struct world *world)
{
    each_file(world->fs, "d", sync_one, world->fs);
    assert_int_equal(yd_sim_fs_unsynced(world->fs), 0);
}

/* ---- cutting the power ---- */

struct scene {
    int (*work)(struct world *world, void *arg);
    void (*check)(struct world *world, void *arg, bool done);
    void *arg;
};

static bool run_once(struct world *world, const struct scene *scene, struct yd_fs *before, uint64_t seed,
                     uint64_t calls)
{
    assert_int_equal(yd_sim_fs_clone(before, seed, &world->fs), 0);
    *yd_sim_fs_faults(world->fs) = (struct yd_sim_faults){.tear = 8};
    yd_sim_fs_cut_after(world->fs, calls);
    bool done = scene->work(world, scene->arg) == 0;
    yd_sim_fs_crash(world->fs);
    yd_sim_fs_cut_after(world->fs, UINT64_MAX);
    scene->check(world, scene->arg, done);
    yd_sim_fs_destroy(world->fs);
    world->fs = before;
    return done;
}

static void cut_the_power_everywhere(struct world *world, const struct scene *scene)
{
    make_all_durable(world);
    struct yd_fs *before = world->fs;
    for (uint64_t seed = 0; seed < AFTER; seed++) assert_true(run_once(world, scene, before, seed, UINT64_MAX));
    uint64_t most = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        for (uint64_t calls = 0; !run_once(world, scene, before, seed * 7919 + calls, calls);
             calls += YD_MIN(UNIT_SPARSE, 4))
            most = YD_MAX(most, calls);
    assert_true(most > 3);
}

/* ---- what was there before ---- */

struct old {
    char name[64]; /* NAME.ylog, NAME.yzst */
    char *bytes;
    size_t size;
};
struct past {
    struct yd_fs *fs;
    struct old files[OLD_MAX];
    uint32_t count;
};

static void keep_one(void *arg, const char *path, const char *name)
{
    struct past *past = arg;
    if (!strstr(name, ".ylog") && !strstr(name, ".yzst")) return;
    assert_true(past->count < OLD_MAX);
    struct old *old = &past->files[past->count++];
    (void)snprintf(old->name, sizeof old->name, "%.60s", name);
    assert_int_equal(yd_fs_read_all(past->fs, path, 64 << 20, &old->bytes, &old->size), 0);
}

static void past_take(struct past *past, struct world *world)
{
    *past = (struct past){.fs = world->fs};
    each_file(world->fs, world->dir, keep_one, past);
}

static void past_free(struct past *past)
{
    for (uint32_t i = 0; i < past->count; i++) free(past->files[i].bytes);
}

struct cover {
    struct world *world;
    const struct old *old;
    bool *have; /* of each byte of it */
};

/* BASE-OFFSET-why…: what stood there. A whole twin: BASE….yzst…. */
static void cover_from(void *arg, const char *path, const char *name)
{
    struct cover *cover = arg;
    const char *dash = strchr(name, '-');
    bool twin = strstr(name, ".yzst") != NULL;
    if (strncmp(name, cover->old->name, 20) != 0 || !dash || twin != (strstr(cover->old->name, ".yzst") != NULL))
        return;
    if (strstr(name, ".part")) return;
    char *bytes;
    size_t size, from = twin ? 0 : (size_t)strtoull(dash + 1, NULL, 10);
    assert_int_equal(yd_fs_read_all(cover->world->fs, path, 64 << 20, &bytes, &size), 0);
    for (size_t i = 0; i < size && from + i < cover->old->size; i++)
        if (bytes[i] == cover->old->bytes[from + i]) cover->have[from + i] = true;
    free(bytes);
}

/* Every byte that was not zero is where it was, or in quarantine. */
static void assert_nothing_of_it_is_lost(struct world *world, const struct past *past)
{
    char path[600], dir[600];
    (void)snprintf(dir, sizeof dir, "%s/quarantine", world->dir);
    for (uint32_t i = 0; i < past->count; i++) {
        const struct old *old = &past->files[i];
        struct cover cover = {world, old, calloc(1, old->size)};
        assert_non_null(cover.have);
        char *bytes = NULL;
        size_t size = 0;
        (void)snprintf(path, sizeof path, "%s/%s", world->dir, old->name);
        int error = yd_fs_read_all(world->fs, path, 64 << 20, &bytes, &size);
        assert_true(error == 0 || error == YD_ENOENT);
        for (size_t at = 0; at < old->size; at++)
            cover.have[at] = old->bytes[at] == 0 || (at < size && bytes[at] == old->bytes[at]);
        free(bytes);
        each_file(world->fs, dir, cover_from, &cover);
        for (size_t at = 0; at < old->size; at++)
            if (!cover.have[at]) fail_msg("byte %zu of %s is nowhere", at, old->name);
        free(cover.have);
    }
}

/* ---- streams ---- */

static struct yd_log_options small_segments(struct world *world)
{
    struct yd_log_options options = world_options(world);
    options.segment_size_min = options.segment_size_max = 16384;
    return options;
}

/* Several sealed segments and the active one, closed in order; all but the last compressed, when `twins`; and a cursor.
 */
static void make_stream(struct world *world, bool twins)
{
    struct yd_log_options options = small_segments(world);
    if (twins) options.compress_after_ns = 1;
    struct yd_log *log = world_open(world, &options, NULL);
    for (int i = 0; i < BATCHES; i++) {
        append(log, RECORDS, 3000);
        assert_int_equal(yd_log_flush(log), 0);
        world->now += YD_NS_PER_S;
        for (int round = 0; round < (twins ? 4 : 1); round++) assert_int_equal(yd_log_maintain(log), 0);
    }
    assert_int_equal(yd_log_cursor_save(log, "reader", 7), 0);
    assert_int_equal(world_close(world, log), 0);
    char path[300];
    struct yd_stat now;
    segment_path(world, 0, twins ? ".yzst" : ".ylog", path, sizeof path);
    assert_int_equal(yd_fs_stat(world->fs, path, &now), 0);
}

struct copying {
    struct yd_fs *fs;
    const char *to;
};

static void copy_one(void *arg, const char *path, const char *name)
{
    struct copying *copying = arg;
    char to[600], *bytes;
    size_t size;
    struct yd_file *file;
    (void)snprintf(to, sizeof to, "%s/%s%s", copying->to, strstr(path, "/cursors/") ? "cursors/" : "", name);
    assert_int_equal(yd_fs_read_all(copying->fs, path, 64 << 20, &bytes, &size), 0);
    assert_int_equal(yd_fs_open(copying->fs, to, YD_OPEN_WRITE | YD_OPEN_CREATE | YD_OPEN_TRUNCATE, &file), 0);
    assert_int_equal(yd_file_write(file, bytes, size, 0), 0);
    yd_file_close(file);
    free(bytes);
}

#define COPY "d/copy/0"

static void copy_stream(struct world *world)
{
    struct copying copying = {world->fs, COPY};
    assert_int_equal(yd_fs_make_dirs(world->fs, COPY "/cursors"), 0);
    each_file(world->fs, world->dir, copy_one, &copying);
}

/* What it holds, opened once more: all of it, and the cursor. */
static void assert_whole(struct world *world, const char *dir)
{
    char kept[sizeof world->dir];
    memcpy(kept, world->dir, sizeof kept);
    if (dir != world->dir) (void)snprintf(world->dir, sizeof world->dir, "%s", dir);
    struct yd_log *log = world_open(world, NULL, NULL);
    uint64_t missing;
    struct yd_cursor cursor;
    assert_int_equal(read_from_oldest(log, &missing), BATCHES * RECORDS);
    assert_int_equal(missing, 0);
    assert_int_equal(yd_log_cursor_load(log, "reader", &cursor), 0);
    assert_int_equal(cursor.seqno, 7);
    assert_int_equal(world_close(world, log), 0);
    memcpy(world->dir, kept, sizeof kept);
}

/* ---- backup, restore, salvage ---- */

static int back_up(struct world *world, void *arg)
{
    (void)arg;
    return yd_log_backup_dir(world->fs, world->dir, "d/backup", NULL, NULL);
}

static void a_backup_can_be_restored(struct world *world, void *arg, bool done)
{
    (void)arg;
    int error = yd_log_restore_dir(world->fs, "d/backup", "d/back/0", NULL, NULL);
    assert_true(error == 0 || (!done && error == YD_ENOENT));
    if (!error) assert_whole(world, "d/back/0");
}

static void a_backup_that_was_said_to_be_done_is_there(void **state)
{
    struct world *world = *state;
    make_stream(world, false);
    cut_the_power_everywhere(world, &(struct scene){back_up, a_backup_can_be_restored, NULL});
}

static int restore(struct world *world, void *arg)
{
    (void)arg;
    return yd_log_restore_dir(world->fs, "d/backup", "d/back/0", NULL, NULL);
}

static void what_was_restored_is_whole(struct world *world, void *arg, bool done)
{
    (void)arg;
    struct yd_stat now;
    int error = yd_fs_stat(world->fs, "d/back/0", &now);
    assert_true(error == 0 || (!done && error == YD_ENOENT));
    if (error) assert_int_equal(restore(world, NULL), 0); /* what it left is in nobody's way */
    assert_whole(world, "d/back/0");
}

static void a_restored_stream_has_its_name_only_when_it_is_whole_and_keeps_it(void **state)
{
    struct world *world = *state;
    make_stream(world, false);
    assert_int_equal(back_up(world, NULL), 0);
    cut_the_power_everywhere(world, &(struct scene){restore, what_was_restored_is_whole, NULL});
}

static int salvage(struct world *world, void *arg)
{
    char path[300];
    (void)arg;
    segment_path(world, 0, ".ylog", path, sizeof path);
    return yd_log_salvage_dir(world->fs, path, 0, "d/out/0", "s/0", NULL, NULL);
}

static void what_was_salvaged_can_be_read(struct world *world, void *arg, bool done)
{
    if (!done) return; /* it is told, and made anew */
    char kept[sizeof world->dir];
    memcpy(kept, world->dir, sizeof kept);
    (void)snprintf(world->dir, sizeof world->dir, "d/out/0");
    struct yd_log *log = world_open(world, NULL, NULL);
    uint64_t missing;
    assert_int_equal(read_from_oldest(log, &missing), *(uint64_t *)arg);
    assert_int_equal(missing, 0);
    assert_int_equal(world_close(world, log), 0);
    memcpy(world->dir, kept, sizeof kept);
}

static void what_was_said_to_be_salvaged_is_there(void **state)
{
    struct world *world = *state;
    char path[300];
    struct yd_log_salvage_report report;
    make_stream(world, false);
    segment_path(world, 0, ".ylog", path, sizeof path);
    assert_int_equal(yd_log_salvage_dir(world->fs, path, 0, "d/first/0", "s/0", &report, NULL), 0);
    assert_true(report.records > RECORDS);
    cut_the_power_everywhere(world, &(struct scene){salvage, what_was_salvaged_can_be_read, &report.records});
}

/* ---- repair ---- */

static void flip(struct world *world, const char *path, uint64_t offset)
{
    struct yd_file *file;
    size_t have;
    char byte;
    assert_int_equal(yd_fs_open(world->fs, path, YD_OPEN_READ | YD_OPEN_WRITE, &file), 0);
    assert_int_equal(yd_file_read(file, &byte, 1, offset, &have), 0);
    byte ^= 8;
    assert_int_equal(yd_file_write(file, &byte, 1, offset), 0);
    yd_file_close(file);
}

static int repair(struct world *world, void *arg)
{
    (void)arg;
    struct yd_log_repair how = {.fs = world->fs, .dir = world->dir, .from_dir = COPY};
    return yd_log_repair_dir(&how, NULL, NULL);
}

/* Of what both have. */
static void same_as_the_copy(void *arg, const char *path, const char *name)
{
    struct world *world = arg;
    char ours[600], *bytes, *wanted;
    size_t size, wanted_size;
    (void)snprintf(ours, sizeof ours, "%s/%s", world->dir, name);
    if (!strstr(name, ".ylog") || yd_fs_read_all(world->fs, ours, 64 << 20, &bytes, &size)) return;
    assert_int_equal(yd_fs_read_all(world->fs, path, 64 << 20, &wanted, &wanted_size), 0);
    assert_int_equal(size, wanted_size);
    assert_memory_equal(bytes, wanted, size);
    free(bytes);
    free(wanted);
}

static bool is_there(struct world *world, const char *suffix)
{
    char path[300];
    struct yd_stat now;
    segment_path(world, 0, suffix, path, sizeof path);
    return yd_fs_stat(world->fs, path, &now) == 0;
}

static void what_was_mended_is_whole_and_the_old_is_kept(struct world *world, void *arg, bool done)
{
    struct past *past = arg;
    assert_nothing_of_it_is_lost(world, past);
    if (past->count && strncmp(past->files[0].name, "00000000000000000000", 20) == 0)
        assert_true(is_there(world, ".ylog") || is_there(world, ".yzst"));
    if (!done) assert_int_equal(repair(world, NULL), 0);
    assert_int_equal(yd_log_verify_dir(world->fs, world->dir, NULL, NULL, NULL), 0);
    each_file(world->fs, COPY, same_as_the_copy, world);
    assert_nothing_of_it_is_lost(world, past);
    assert_whole(world, world->dir);
}

static void repair_and_cut(struct world *world)
{
    struct past past;
    past_take(&past, world);
    cut_the_power_everywhere(world, &(struct scene){repair, what_was_mended_is_whole_and_the_old_is_kept, &past});
    past_free(&past);
}

static void damaged_batches_and_heads_once_mended_stay_so(void **state)
{
    struct world *world = *state;
    char path[300];
    make_stream(world, false);
    copy_stream(world);
    segment_path(world, 0, ".ylog", path, sizeof path);
    flip(world, path, 150);  /* the head */
    flip(world, path, 5000); /* a batch */
    repair_and_cut(world);
}

static void a_file_that_was_brought_back_stays(void **state)
{
    struct world *world = *state;
    char path[300];
    make_stream(world, false);
    copy_stream(world);
    segment_path(world, 0, ".ylog", path, sizeof path);
    assert_int_equal(yd_fs_unlink(world->fs, path), 0);
    repair_and_cut(world);
}

static void an_index_that_was_mended_stays_at_the_end_and_what_was_behind_it_is_kept(void **state)
{
    struct world *world = *state;
    char path[300], garbage[5000];
    struct yd_stat now;
    struct yd_file *file;
    make_stream(world, false);
    copy_stream(world);
    segment_path(world, 0, ".ylog", path, sizeof path);
    assert_int_equal(yd_fs_stat(world->fs, path, &now), 0);
    memset(garbage, 'g', sizeof garbage);
    assert_int_equal(yd_fs_open(world->fs, path, YD_OPEN_WRITE, &file), 0);
    assert_int_equal(yd_file_write(file, garbage, sizeof garbage, now.size), 0);
    yd_file_close(file);
    repair_and_cut(world);
}

static void a_segment_is_made_of_its_damaged_twin_before_that_goes(void **state)
{
    struct world *world = *state;
    char path[300];
    make_stream(world, true);
    copy_stream(world);
    segment_path(world, 0, ".yzst", path, sizeof path);
    struct yd_stat now;
    assert_int_equal(yd_fs_stat(world->fs, path, &now), 0);
    flip(world, path, now.size / 4);
    repair_and_cut(world);
}

static void a_damaged_twin_that_was_put_away_stays_there(void **state)
{
    struct world *world = *state;
    char path[300], twin[300];
    make_stream(world, true);
    segment_path(world, 0, ".ylog", path, sizeof path);
    segment_path(world, 0, ".yzst", twin, sizeof twin);
    copy_stream(world);
    struct yd_file *file;
    struct yd__twin_about about;
    struct yd_stat now;
    assert_int_equal(yd__twin_open(world->fs, twin, &about, &file), 0); /* the segment beside it */
    assert_int_equal(yd_file_stat(file, &now), 0);
    assert_int_equal(yd__copy_range(world->fs, file, 0, now.size, path, NULL), 0);
    yd_file_close(file);
    assert_int_equal(yd_fs_stat(world->fs, twin, &now), 0);
    flip(world, twin, now.size / 4);
    repair_and_cut(world);
}

static void a_mended_cursor_stays_and_the_old_one_is_kept(void **state)
{
    struct world *world = *state;
    char path[300];
    make_stream(world, false);
    copy_stream(world);
    (void)snprintf(path, sizeof path, "%s/cursors/reader", world->dir);
    flip(world, path, 12);
    repair_and_cut(world);
}

/* ---- cutting back ---- */

struct cutting {
    struct past past;
    uint64_t seqno;
};

static int cut_back(struct world *world, void *arg)
{
    struct cutting *cutting = arg;
    uint64_t edge;
    int error = cutting->seqno ? yd_log_cut_dir(world->fs, world->dir, cutting->seqno, &edge, NULL)
                               : yd_log_anew_dir(world->fs, world->dir, NULL);
    if (!error && cutting->seqno) assert_int_equal(edge, cutting->seqno);
    return error;
}

/* Done, it ends where it was cut. Else it may end anywhere behind; and there is no hole in it. */
static void it_ends_where_it_was_cut_and_the_rest_is_kept(struct world *world, void *arg, bool done)
{
    struct cutting *cutting = arg;
    if (cutting->past.count) assert_nothing_of_it_is_lost(world, &cutting->past);
    struct yd_log_options options = small_segments(world);
    options.follower = true;
    struct yd_log *log = world_open(world, &options, NULL);
    uint64_t missing;
    struct yd_log_position position;
    yd_log_position(log, &position);
    uint64_t got = read_from_oldest(log, &missing);
    assert_int_equal(missing, 0);
    assert_int_equal(got, position.durable - position.first);
    assert_true(got <= BATCHES * RECORDS && position.durable >= cutting->seqno);
    if (cutting->seqno) assert_int_equal(position.first, 0);
    if (done) assert_int_equal(position.durable, cutting->seqno);
    assert_int_equal(world_close(world, log), 0);
}

static void cut_back_and_cut(struct world *world, uint64_t seqno, bool twins)
{
    struct cutting cutting = {.seqno = seqno};
    make_stream(world, twins);
    if (!twins) past_take(&cutting.past, world); /* a twin-only segment is cut in its plain form */
    cut_the_power_everywhere(world, &(struct scene){cut_back, it_ends_where_it_was_cut_and_the_rest_is_kept, &cutting});
    past_free(&cutting.past);
}

static void cut_inside_a_segment_it_stays_cut(void **state)
{
    cut_back_and_cut(*state, RECORDS * 2, false);
}

static void cut_inside_the_last_segment_it_stays_cut(void **state)
{
    cut_back_and_cut(*state, RECORDS * (BATCHES - 1), false);
}

static void cut_inside_a_compressed_segment_nothing_before_it_is_lost(void **state)
{
    cut_back_and_cut(*state, RECORDS * 2, true);
}

static void cut_between_segments_it_stays_cut(void **state)
{
    struct world *world = *state;
    uint64_t *bases;
    uint32_t count;
    make_stream(world, false);
    assert_int_equal(yd__list_segments(world->fs, world->dir, &bases, &count), 0);
    assert_true(count >= 4);
    struct cutting cutting = {.seqno = bases[1]};
    free(bases);
    past_take(&cutting.past, world);
    cut_the_power_everywhere(world, &(struct scene){cut_back, it_ends_where_it_was_cut_and_the_rest_is_kept, &cutting});
    past_free(&cutting.past);
}

/* Killed in the middle, opened again, told where it ends, and only then the power goes: no name comes back behind. */
static void a_cut_that_was_killed_and_opened_again_ends_where_it_said(void **state)
{
    struct world *world = *state;
    struct cutting cutting = {.seqno = RECORDS * 2};
    make_stream(world, false);
    make_all_durable(world);
    struct yd_fs *before = world->fs;
    for (uint64_t seed = 0; seed < 2 * SEEDS; seed++) {
        bool done = false;
        for (uint64_t calls = 0; !done; calls++) {
            assert_int_equal(yd_sim_fs_clone(before, seed * 7919 + calls, &world->fs), 0);
            *yd_sim_fs_faults(world->fs) = (struct yd_sim_faults){.tear = 8};
            yd_sim_fs_cut_after(world->fs, calls);
            done = cut_back(world, &cutting) == 0;
            yd_sim_fs_kill(world->fs);
            struct yd_log_options options = small_segments(world);
            options.follower = true;
            struct yd_log_position told, position;
            struct yd_log *log = world_open(world, &options, NULL);
            yd_log_position(log, &told);
            assert_int_equal(world_close(world, log), 0);
            yd_sim_fs_crash(world->fs);
            log = world_open(world, &options, NULL);
            yd_log_position(log, &position);
            assert_int_equal(position.durable, told.durable);
            assert_int_equal(world_close(world, log), 0);
            yd_sim_fs_destroy(world->fs);
        }
    }
    world->fs = before;
}

static void begun_anew_it_stays_empty_and_what_it_was_is_kept(void **state)
{
    cut_back_and_cut(*state, 0, false);
}

#define WORLD(test) cmocka_unit_test_setup_teardown(test, world_setup_sim, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(a_backup_that_was_said_to_be_done_is_there),
        WORLD(a_restored_stream_has_its_name_only_when_it_is_whole_and_keeps_it),
        WORLD(what_was_said_to_be_salvaged_is_there),
        WORLD(damaged_batches_and_heads_once_mended_stay_so),
        WORLD(a_file_that_was_brought_back_stays),
        WORLD(an_index_that_was_mended_stays_at_the_end_and_what_was_behind_it_is_kept),
        WORLD(a_segment_is_made_of_its_damaged_twin_before_that_goes),
        WORLD(a_damaged_twin_that_was_put_away_stays_there),
        WORLD(a_mended_cursor_stays_and_the_old_one_is_kept),
        WORLD(cut_inside_a_segment_it_stays_cut),
        WORLD(cut_inside_the_last_segment_it_stays_cut),
        WORLD(cut_inside_a_compressed_segment_nothing_before_it_is_lost),
        WORLD(cut_between_segments_it_stays_cut),
        WORLD(a_cut_that_was_killed_and_opened_again_ends_where_it_said),
        WORLD(begun_anew_it_stays_empty_and_what_it_was_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
