/* The simulated disk against models: what was synced is there after a crash, what was not is old or new, and nothing
 * else ever is. Each seed is one life of a disk; a failing one is printed. */
#include "io/sim_file.h"
#include "base/hash.h"
#include "io/file.h"
#include "tap.h"

#define ALL   (YD_OPEN_READ | YD_OPEN_WRITE | YD_OPEN_CREATE)
#define SEEDS 400

static struct yd_fs *disk_with(uint64_t seed)
{
    struct yd_fs *fs = NULL;
    assert_error(0, yd_sim_fs_create(seed, &fs));
    return fs;
}

static struct yd_file *opened(struct yd_fs *fs, const char *path)
{
    struct yd_file *file = NULL;
    assert_error(0, yd_fs_open(fs, path, ALL, &file));
    return file;
}

/* A file "a" whose name lasts and that holds `text`, synced. */
static struct yd_file *durable_file(struct yd_fs *fs, const char *text)
{
    struct yd_file *file = opened(fs, "a");
    assert_error(0, yd_file_write(file, text, strlen(text), 0));
    assert_error(0, yd_file_sync(file));
    assert_error(0, yd_fs_sync_dir(fs, "."));
    return file;
}

static bool holds(struct yd_fs *fs, const char *path, const char *text)
{
    char *data = NULL;
    size_t size = 0;
    if (yd_fs_read_all(fs, path, 1 << 20, &data, &size)) return false;
    bool same = size == strlen(text) && memcmp(data, text, size) == 0;
    free(data);
    return same;
}

/* ---- contents against a model: each 8-byte word is one of the values it had since it was last surely durable ---- */

#define WORDS  3072 /* six pages */
#define FILES  3
#define VALUES 40

struct word {
    uint64_t values[VALUES]; /* values[count - 1] is what processes see */
    int count;
    bool doubt; /* a sync failed since it was written: no later sync makes it sure */
};
struct model {
    struct yd_fs *fs;
    struct yd_rng rng;
    struct yd_file *files[FILES];
    uint64_t *maps[FILES];
    struct word words[FILES][WORDS];
    uint64_t next;
};

static void model_open(struct model *model, bool fresh)
{
    for (int f = 0; f < FILES; f++) {
        char path[8] = {(char)('a' + f), 0};
        void *address = NULL;
        model->files[f] = opened(model->fs, path);
        if (fresh) assert_error(0, yd_file_allocate(model->files[f], 0, WORDS * 8));
        if (fresh) assert_error(0, yd_file_sync(model->files[f]));
        if (f > 0) assert_error(0, yd_file_map(model->files[f], 4096, 8192, true, &address));
        model->maps[f] = address;
    }
    if (fresh) assert_error(0, yd_fs_sync_dir(model->fs, "/"));
}

static void model_close(struct model *model)
{
    for (int f = 0; f < FILES; f++) {
        yd_fs_unmap(model->fs, model->maps[f], 8192);
        yd_file_close(model->files[f]);
    }
}

static void model_set(struct model *model, int f, size_t index, uint64_t value)
{
    struct word *word = &model->words[f][index];
    if (word->count == VALUES) { /* forget nothing: make it sure instead */
        assert_error(0, yd_file_sync(model->files[f]));
        fail_msg("a word has more values than the model holds");
    }
    word->values[word->count++] = value;
    word->doubt = false;
}

static void model_write(struct model *model)
{
    int f = (int)yd_rng_below(&model->rng, FILES);
    size_t from = yd_rng_below(&model->rng, WORDS - 1), count = 1 + yd_rng_below(&model->rng, 200);
    uint64_t words[200];
    bool mapped = f > 0 && from >= 512 && from < 1536 && yd_rng_chance(&model->rng, 2);
    count = YD_MIN(count, mapped ? 1536 - from : WORDS - from);
    for (size_t i = 0; i < count; i++) {
        words[i] = ++model->next;
        model_set(model, f, from + i, words[i]);
    }
    if (mapped)
        memcpy(model->maps[f] + from - 512, words, count * 8);
    else
        assert_error(0, yd_file_write(model->files[f], words, count * 8, from * 8));
}

static void model_sync(struct model *model)
{
    int f = (int)yd_rng_below(&model->rng, FILES);
    bool map = f > 0 && yd_rng_chance(&model->rng, 2);
    size_t from = map ? 512 : 0, to = map ? 1536 : WORDS;
    int error = map ? yd_fs_sync_map(model->fs, model->maps[f], 8192) : yd_file_sync(model->files[f]);
    for (size_t i = from; i < to; i++) {
        struct word *word = &model->words[f][i];
        if (error && word->count > 1) word->doubt = true;
        if (error || word->doubt) continue;
        word->values[0] = word->values[word->count - 1];
        word->count = 1;
    }
}

/* What there is now is one of what there may be, and from now on it is sure. */
static void model_check(struct model *model, uint64_t seed, bool crashed)
{
    uint64_t got[WORDS];
    size_t size = 0;
    for (int f = 0; f < FILES; f++) {
        assert_error(0, yd_file_read(model->files[f], got, sizeof got, 0, &size));
        assert_int_equal(size, sizeof got);
        for (size_t i = 0; i < WORDS; i++) {
            struct word *word = &model->words[f][i];
            bool known = got[i] == word->values[word->count - 1];
            for (int v = 0; crashed && v < word->count; v++) known |= got[i] == word->values[v];
            if (!known) fail_msg("seed %llu: file %d word %zu is invented", (unsigned long long)seed, f, i);
            if (crashed) *word = (struct word){.values = {got[i]}, .count = 1};
        }
    }
}

static void run_contents(uint64_t seed, bool with_failures, uint64_t *ret_trace, struct yd_sim_fs_counts *ret_counts)
{
    static struct model model;
    memset(&model, 0, sizeof model);
    yd_rng_init(&model.rng, seed * 77);
    model.fs = disk_with(seed);
    model_open(&model, true);
    for (int f = 0; f < FILES; f++)
        for (int i = 0; i < WORDS; i++) model.words[f][i].count = 1;
    if (with_failures) yd_sim_fs_faults(model.fs)->sync_fails = 4;
    for (int step = 0; step < 60; step++) {
        uint64_t what = yd_rng_below(&model.rng, 20);
        if (what < 12) model_write(&model);
        if (what >= 12 && what < 17) model_sync(&model);
        if (what == 17) model_check(&model, seed, false);
        if (what < 18) continue;
        if (what == 18) yd_sim_fs_crash(model.fs);
        if (what == 19) yd_sim_fs_kill(model.fs);
        model_close(&model);
        model_open(&model, false);
        model_check(&model, seed, what == 18);
    }
    model_close(&model);
    *ret_trace = yd_sim_fs_trace(model.fs);
    *ret_counts = *yd_sim_fs_counts(model.fs);
    yd_sim_fs_destroy(model.fs);
}

static void after_a_crash_each_word_is_durable_or_one_of_its_later_values(void **state)
{
    struct yd_sim_fs_counts counts, sum = {0};
    uint64_t trace;
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        run_contents(seed, false, &trace, &counts);
        sum.sectors_kept += counts.sectors_kept, sum.sectors_lost += counts.sectors_lost;
        sum.sectors_torn += counts.sectors_torn, sum.write_backs += counts.write_backs;
    }
    assert_true(sum.sectors_kept > 1000 && sum.sectors_lost > 1000 && sum.sectors_torn > 100 && sum.write_backs > 100);
}

static void after_failed_syncs_it_still_invents_nothing(void **state)
{
    struct yd_sim_fs_counts counts;
    uint64_t trace, abandoned = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        run_contents(seed, true, &trace, &counts);
        abandoned += counts.sectors_abandoned;
    }
    assert_true(abandoned > 1000);
}

static void the_same_seed_is_the_same_run_and_another_is_not(void **state)
{
    struct yd_sim_fs_counts one, two;
    uint64_t trace_one, trace_two, trace_three;
    (void)state;
    run_contents(7, true, &trace_one, &one);
    run_contents(7, true, &trace_two, &two);
    assert_int_equal(trace_one, trace_two);
    assert_memory_equal(&one, &two, sizeof one);
    run_contents(8, true, &trace_three, &two);
    assert_int_not_equal(trace_one, trace_three);
}

/* ---- names against a model: each name is one of the files it meant since its folder was last synced ---- */

#define NAMES   4
#define FOLDERS 2

struct name {
    int meant[60]; /* 0: nobody. The last is what processes see */
    struct {
        int from, to; /* the folders of the change that made it mean this: a rename has two */
        bool left, reached;
    } how[60];
    int count;
};
struct names {
    struct yd_fs *fs;
    struct yd_rng rng;
    struct name names[FOLDERS][NAMES];
    bool lasting[200]; /* file by number: its name was synced and it was never unlinked or replaced since */
    bool doomed[200];  /* it was */
    int next;
};

static const char *path_of(int folder, int name)
{
    static char paths[4][16];
    static int turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "d%d/n%d", folder, name);
    return path;
}

static int seen(const struct name *name)
{
    return name->meant[name->count - 1];
}
static void mean(struct name *name, int file, int from, int to)
{
    name->how[name->count].from = from;
    name->how[name->count].to = to;
    name->how[name->count].left = name->how[name->count].reached = false;
    name->meant[name->count++] = file;
}

/* What it meant before a change whose folders were both synced since is over. */
static void sync_name(struct name *name, int folder)
{
    int over = 0;
    for (int i = 1; i < name->count; i++) {
        name->how[i].left |= name->how[i].from == folder;
        name->how[i].reached |= name->how[i].to == folder;
        if (name->how[i].left && name->how[i].reached) over = i;
    }
    name->count -= over;
    memmove(name->meant, name->meant + over, (size_t)name->count * sizeof name->meant[0]);
    memmove(name->how, name->how + over, (size_t)name->count * sizeof name->how[0]);
}

static void names_step(struct names *names)
{
    int folder = (int)yd_rng_below(&names->rng, FOLDERS), index = (int)yd_rng_below(&names->rng, NAMES);
    int to_folder = (int)yd_rng_below(&names->rng, FOLDERS), to_index = (int)yd_rng_below(&names->rng, NAMES);
    struct name *name = &names->names[folder][index], *to = &names->names[to_folder][to_index];
    uint64_t what = yd_rng_below(&names->rng, 8);
    if (what < 3 && !seen(name)) {
        struct yd_file *file = opened(names->fs, path_of(folder, index));
        int number = ++names->next;
        assert_error(0, yd_file_write(file, &number, sizeof number, 0));
        assert_error(0, yd_file_sync(file));
        yd_file_close(file);
        mean(name, number, folder, folder);
    } else if (what == 3 && seen(name)) {
        assert_error(0, yd_fs_unlink(names->fs, path_of(folder, index)));
        names->doomed[seen(name)] = true;
        mean(name, 0, folder, folder);
    } else if (what < 6 && seen(name) && name != to) {
        assert_error(0, yd_fs_rename(names->fs, path_of(folder, index), path_of(to_folder, to_index)));
        names->doomed[seen(to)] = true;
        mean(to, seen(name), folder, to_folder);
        mean(name, 0, folder, to_folder);
    } else if (what == 7) {
        assert_error(0, yd_fs_sync_dir(names->fs, folder ? "d1" : "d0/"));
        for (int f = 0; f < FOLDERS; f++)
            for (int i = 0; i < NAMES; i++) {
                struct name *synced = &names->names[f][i];
                sync_name(synced, folder);
                if (synced->count == 1 && !names->doomed[seen(synced)]) names->lasting[seen(synced)] = true;
            }
    }
}

static int count_names(void *arg, const char *name, enum yd_file_type node)
{
    (void)name, (void)node;
    ++*(int *)arg;
    return 0;
}

static void names_check(struct names *names, uint64_t seed)
{
    bool there[200] = {false};
    int listed = 0, found = 0;
    for (int f = 0; f < FOLDERS; f++) {
        assert_error(0, yd_fs_list(names->fs, f ? "d1" : "d0", count_names, &listed));
        for (int i = 0; i < NAMES; i++) {
            struct name *name = &names->names[f][i];
            char *data = NULL;
            size_t size = 0;
            int now = 0;
            bool known = false;
            if (yd_fs_read_all(names->fs, path_of(f, i), 100, &data, &size) == 0) {
                assert_int_equal(size, sizeof now); /* its data was synced, so its data is there */
                memcpy(&now, data, sizeof now);
                free(data);
                found++;
            }
            for (int m = 0; m < name->count; m++) known |= name->meant[m] == now;
            if (!known) fail_msg("seed %llu: %s is file %d", (unsigned long long)seed, path_of(f, i), now);
            if (now && there[now]) fail_msg("seed %llu: file %d has two names", (unsigned long long)seed, now);
            there[now] = true;
            *name = (struct name){.meant = {now}, .count = 1};
        }
    }
    assert_int_equal(listed, found);
    for (int n = 1; n <= names->next; n++) {
        if (names->lasting[n] && !names->doomed[n] && !there[n])
            fail_msg("seed %llu: file %d was renamed away into nothing", (unsigned long long)seed, n);
        names->lasting[n] = there[n];
        names->doomed[n] = !there[n];
    }
}

static void after_a_crash_each_name_is_old_or_new_and_no_rename_is_half(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct names names = {.fs = disk_with(seed)};
        yd_rng_init(&names.rng, seed * 13);
        for (int f = 0; f < FOLDERS; f++)
            for (int i = 0; i < NAMES; i++) names.names[f][i].count = 1;
        assert_error(0, yd_fs_make_dirs(names.fs, "d0"));
        assert_error(0, yd_fs_make_dirs(names.fs, "d1"));
        for (int round = 0; round < 3; round++) {
            for (int step = 0; step < 40; step++) names_step(&names);
            yd_sim_fs_crash(names.fs);
            names_check(&names, seed);
        }
        yd_sim_fs_destroy(names.fs);
    }
}

/* ---- single promises ---- */

static void the_size_of_a_grown_file_is_between_until_a_sync(void **state)
{
    struct yd_stat now;
    bool old = false, new = false, between = false;
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct yd_fs *fs = disk_with(seed);
        struct yd_file *file = durable_file(fs, "0123456789");
        assert_error(0, yd_file_allocate(file, 0, 100000));
        yd_sim_fs_crash(fs);
        yd_file_close(file);
        assert_error(0, yd_fs_stat(fs, "a", &now));
        assert_in_range(now.size, 10, 100000);
        old |= now.size == 10, new |= now.size == 100000, between |= now.size > 10 && now.size < 100000;
        file = opened(fs, "a");
        assert_error(0, yd_file_truncate(file, 50000));
        assert_error(0, yd_file_sync(file));
        yd_sim_fs_crash(fs);
        yd_file_close(file);
        assert_error(0, yd_fs_stat(fs, "a", &now));
        assert_int_equal(now.size, 50000);
        yd_sim_fs_destroy(fs);
    }
    assert_true(old && new &&between);
}

static void a_synced_file_without_a_synced_name_may_be_gone(void **state)
{
    int gone = 0, there = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct yd_fs *fs = disk_with(seed);
        struct yd_file *file = opened(fs, "a");
        assert_error(0, yd_file_write(file, "abc", 3, 0));
        assert_error(0, yd_file_sync(file));
        yd_sim_fs_crash(fs);
        yd_file_close(file);
        if (holds(fs, "a", "abc"))
            there++;
        else
            gone++;
        yd_sim_fs_destroy(fs);
    }
    assert_true(gone && there);
}

/* Replaces "old" by "new" with the power cut at a random call; then looks whether the promise of replace was kept. */
static bool replace_keeps_its_promise(uint64_t seed, unsigned ignored)
{
    struct yd_fs *fs = disk_with(seed);
    yd_file_close(durable_file(fs, "old"));
    yd_sim_fs_ignore(fs, ignored, NULL);
    yd_sim_fs_cut_after(fs, seed % 9);
    int error = yd_fs_replace(fs, "a", "new", 3);
    yd_sim_fs_crash(fs);
    bool kept = holds(fs, "a", "new") || (error && holds(fs, "a", "old"));
    yd_sim_fs_destroy(fs);
    return kept;
}

static void replace_shows_the_old_or_the_new_and_each_of_its_syncs_is_needed(void **state)
{
    int broken_without_sync = 0, broken_without_dir = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        if (!replace_keeps_its_promise(seed, 0)) fail_msg("seed %llu", (unsigned long long)seed);
        broken_without_sync += !replace_keeps_its_promise(seed, YD_SIM_SYNC_FILE);
        broken_without_dir += !replace_keeps_its_promise(seed, YD_SIM_SYNC_DIR);
    }
    assert_true(broken_without_sync > 10);
    assert_true(broken_without_dir > 10);
}

static void syncs_are_ignored_only_where_the_path_matches(void **state)
{
    struct yd_fs *fs = disk_with(3);
    struct yd_file *file = durable_file(fs, "old");
    (void)state;
    yd_sim_fs_faults(fs)->write_back = 0;
    yd_sim_fs_ignore(fs, YD_SIM_SYNC_FILE, "cursors/");
    assert_error(0, yd_file_write(file, "new", 3, 0));
    assert_int_not_equal(yd_sim_fs_unsynced(fs), 0);
    assert_error(0, yd_file_sync(file));
    assert_int_equal(yd_sim_fs_unsynced(fs), 0);
    yd_sim_fs_ignore(fs, YD_SIM_SYNC_FILE, "a");
    assert_error(0, yd_file_write(file, "abc", 3, 0));
    assert_error(0, yd_file_sync(file));
    assert_int_not_equal(yd_sim_fs_unsynced(fs), 0);
    assert_int_equal(yd_sim_fs_counts(fs)->ignored_syncs, 1);
    yd_file_close(file);
    yd_sim_fs_destroy(fs);
}

static void what_a_failed_sync_lost_stays_lost_though_the_next_one_succeeds(void **state)
{
    int lost = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct yd_fs *fs = disk_with(seed);
        struct yd_file *file = durable_file(fs, "old");
        yd_sim_fs_faults(fs)->write_back = 0;
        assert_error(0, yd_file_write(file, "new", 3, 0));
        yd_sim_fs_faults(fs)->sync_fails = 1;
        assert_error(YD_EIO, yd_file_sync(file));
        yd_sim_fs_faults(fs)->sync_fails = 0;
        assert_error(0, yd_file_sync(file));
        yd_sim_fs_crash(fs);
        yd_file_close(file);
        assert_true(holds(fs, "a", "new") || holds(fs, "a", "old"));
        lost += holds(fs, "a", "old");
        assert_int_equal(yd_sim_fs_counts(fs)->syncs_failed, 1);
        yd_sim_fs_destroy(fs);
    }
    assert_true(lost > 5);
}

static void the_cache_may_forget_what_a_failed_sync_lost_even_without_a_crash(void **state)
{
    int forgotten = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct yd_fs *fs = disk_with(seed);
        struct yd_file *file = durable_file(fs, "old");
        *yd_sim_fs_faults(fs) = (struct yd_sim_faults){.evict = 1, .sync_fails = 1};
        assert_error(0, yd_file_write(file, "new", 3, 0));
        assert_error(YD_EIO, yd_file_sync(file));
        yd_file_close(file);
        forgotten += holds(fs, "a", "old");
        yd_sim_fs_destroy(fs);
    }
    assert_true(forgotten > 5);
}

static void each_fault_fails_its_calls_and_is_counted(void **state)
{
    struct yd_fs *fs = disk_with(1);
    struct yd_file *file = durable_file(fs, "hello"), *other = NULL;
    struct yd_sim_faults *faults = yd_sim_fs_faults(fs), none = {0};
    const struct yd_sim_fs_counts *counts = yd_sim_fs_counts(fs);
    char got[8], text[2000];
    size_t size = 0;
    bool resident = true;
    (void)state;
    *faults = (struct yd_sim_faults){.write_fails = 1,
                                     .read_fails = 1,
                                     .allocate_fails = 1,
                                     .meta_fails = 1,
                                     .cold = 1,
                                     .sync_dir_fails = 1,
                                     .sync_fails = 1};
    assert_error(YD_EIO, yd_file_write(file, "x", 1, 0));
    assert_error(YD_EIO, yd_file_read(file, got, 5, 0, &size));
    assert_error(YD_ENOSPC, yd_file_allocate(file, 0, 1 << 20));
    assert_error(YD_EIO, yd_fs_open(fs, "b", ALL, &other));
    assert_error(YD_EIO, yd_fs_rename(fs, "a", "b"));
    assert_error(YD_EIO, yd_fs_unlink(fs, "a"));
    assert_error(YD_EIO, yd_fs_mkdir(fs, "d"));
    assert_error(YD_EIO, yd_fs_sync_dir(fs, "."));
    assert_error(YD_EIO, yd_file_sync(file));
    assert_error(0, yd_file_resident(file, 0, 5, &resident));
    assert_false(resident);
    assert_int_equal(counts->writes_failed, 1);
    assert_int_equal(counts->reads_failed, 1);
    assert_int_equal(counts->allocates_failed, 1);
    assert_int_equal(counts->metas_failed, 4);
    assert_int_equal(counts->dir_syncs_failed, 1);
    assert_int_equal(counts->syncs_failed, 1);
    assert_int_equal(counts->cold_answers, 1);
    *faults = none;
    assert_true(yd_sim_fs_put_counts(fs, text, sizeof text) > 0);
    assert_non_null(strstr(text, "metas_failed 4"));
    assert_int_equal(yd_sim_fs_put_counts(fs, text, 10), 9);
    yd_file_close(file);
    yd_sim_fs_destroy(fs);
}

static void a_failed_write_leaves_a_prefix_and_never_more(void **state)
{
    bool part = false;
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct yd_fs *fs = disk_with(seed);
        struct yd_file *file = durable_file(fs, "0000000000");
        char got[10];
        size_t size = 0, new = 0;
        yd_sim_fs_faults(fs)->write_fails = 1;
        struct iovec parts[2] = {{(char[]){"11111"}, 5}, {(char[]){"11111"}, 5}};
        assert_error(YD_EIO, yd_file_writev(file, parts, 2, 0));
        assert_error(0, yd_file_read(file, got, 10, 0, &size));
        while (new < 10 && got[new] == '1') new ++;
        for (size_t i = new; i < 10; i++) assert_int_equal(got[i], '0');
        part |= new > 0 && new < 10;
        yd_file_close(file);
        yd_sim_fs_destroy(fs);
    }
    assert_true(part);
}

static void a_full_disk_refuses_and_takes_again_when_there_is_room(void **state)
{
    struct yd_fs *fs = disk_with(1);
    struct yd_file *file = opened(fs, "a"), *other = opened(fs, "b");
    struct yd_space space;
    static char block[40960];
    (void)state;
    yd_sim_fs_capacity(fs, 65536);
    assert_error(0, yd_file_allocate(other, 0, 40960));
    assert_error(0, yd_fs_space(fs, "/", &space));
    assert_int_equal(space.available, 65536 - 40960);
    assert_error(YD_ENOSPC, yd_file_write(file, block, sizeof block, 0));
    assert_error(YD_ENOSPC, yd_file_allocate(file, 0, 40960));
    assert_error(0, yd_file_write(other, block, sizeof block, 0)); /* its space is taken already */
    assert_error(0, yd_fs_unlink(fs, "b"));
    assert_error(YD_ENOSPC, yd_file_write(file, block, sizeof block, 0)); /* still open */
    yd_file_close(other);
    assert_error(0, yd_file_write(file, block, sizeof block, 0));
    assert_int_equal(yd_sim_fs_counts(fs)->no_space, 3);
    assert_error(0, yd_file_truncate(file, 100));
    assert_error(0, yd_fs_space(fs, "/", &space));
    assert_int_equal(space.available, 65536 - 4096);
    yd_file_close(file);
    yd_sim_fs_destroy(fs);
}

static void bad_sectors_refuse_reads_that_touch_them_and_no_others(void **state)
{
    struct yd_fs *fs = disk_with(1);
    struct yd_file *file = durable_file(fs, "0123456789");
    char got[10];
    size_t size = 0;
    (void)state;
    assert_error(0, yd_sim_fs_bad(fs, "a", 4, 2));
    assert_error(0, yd_file_read(file, got, 4, 0, &size));
    assert_error(0, yd_file_read(file, got, 4, 6, &size));
    assert_error(YD_EIO, yd_file_read(file, got, 5, 0, &size));
    assert_error(YD_EIO, yd_file_read(file, got, 1, 5, &size));
    assert_int_equal(yd_sim_fs_counts(fs)->bad_reads, 2);
    assert_error(0, yd_sim_fs_bad(fs, "a", 0, 0));
    assert_error(0, yd_file_read(file, got, 10, 0, &size));
    assert_error(YD_ENOENT, yd_sim_fs_bad(fs, "none", 0, 1));
    yd_file_close(file);
    yd_sim_fs_destroy(fs);
}

static void rot_flips_bits_in_its_range_only(void **state)
{
    struct yd_fs *fs = disk_with(5);
    struct yd_file *file = opened(fs, "a");
    static char block[8192], got[8192];
    size_t size = 0, bits = 0;
    (void)state;
    assert_error(0, yd_file_write(file, block, sizeof block, 0));
    assert_error(0, yd_file_sync(file));
    assert_error(0, yd_sim_fs_rot(fs, "a", 5000, 10, 1));
    assert_error(YD_EINVAL, yd_sim_fs_rot(fs, "a", 8000, 1000, 1));
    assert_error(0, yd_file_read(file, got, sizeof got, 0, &size));
    for (size_t i = 0; i < size; i++) {
        if (got[i]) assert_in_range(i, 5000, 5009);
        bits += (size_t)__builtin_popcount((unsigned char)got[i]);
    }
    assert_int_equal(bits, 1);
    yd_file_close(file);
    yd_sim_fs_destroy(fs);
}

static void a_kill_loses_nothing_but_handles_and_locks(void **state)
{
    struct yd_fs *fs = disk_with(1);
    struct yd_file *file = durable_file(fs, "old");
    void *address = NULL;
    (void)state;
    assert_error(0, yd_file_lock(file));
    assert_error(0, yd_file_map(file, 0, 3, true, &address));
    memcpy(address, "map", 3);
    yd_sim_fs_kill(fs);
    assert_error(YD_ECLOSED, yd_file_sync(file));
    assert_error(YD_ECLOSED, yd_fs_sync_map(fs, address, 3));
    memcpy(address, "bad", 3); /* reaches nobody */
    assert_true(holds(fs, "a", "map"));
    struct yd_file *next = opened(fs, "a");
    assert_error(0, yd_file_lock(next));
    yd_fs_unmap(fs, address, 3);
    yd_file_close(file);
    assert_error(0, yd_file_lock(next));
    yd_file_close(next);
    yd_sim_fs_destroy(fs);
}

static void after_the_cut_nothing_reaches_the_disk(void **state)
{
    struct yd_fs *fs = disk_with(1);
    struct yd_file *file = durable_file(fs, "old"), *other = NULL;
    void *address = NULL;
    struct yd_stat now;
    (void)state;
    assert_error(0, yd_file_map(file, 0, 3, true, &address));
    yd_sim_fs_cut_after(fs, 1);
    assert_error(0, yd_file_stat(file, &now));
    assert_error(YD_ECLOSED, yd_file_write(file, "new", 3, 0));
    assert_error(YD_ECLOSED, yd_fs_open(fs, "b", ALL, &other));
    assert_error(YD_ECLOSED, yd_fs_sync_map(fs, address, 3));
    memcpy(address, "new", 3);
    yd_sim_fs_crash(fs);
    assert_true(holds(fs, "a", "old"));
    yd_fs_unmap(fs, address, 3);
    yd_file_close(file);
    yd_sim_fs_destroy(fs);
}

static void a_clone_has_a_future_of_its_own(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct yd_fs *fs = disk_with(seed), *one = NULL, *two = NULL;
        struct yd_file *file = durable_file(fs, "old");
        void *address = NULL;
        assert_error(0, yd_file_map(file, 0, 3, true, &address));
        memcpy(address, "new", 3);
        yd_file_close(opened(fs, "fresh"));
        assert_error(0, yd_fs_unlink(fs, "fresh"));
        assert_error(0, yd_sim_fs_clone(fs, seed, &one));
        assert_error(0, yd_sim_fs_clone(fs, seed, &two));
        yd_sim_fs_crash(one);
        yd_sim_fs_crash(two);
        assert_int_equal(yd_sim_fs_trace(one), yd_sim_fs_trace(two));
        assert_true(holds(one, "a", "new") == holds(two, "a", "new"));
        assert_true(holds(fs, "a", "new"));
        assert_error(0, yd_file_sync(file));
        yd_sim_fs_crash(fs);
        assert_true(holds(fs, "a", "new"));
        yd_fs_unmap(fs, address, 3);
        yd_file_close(file);
        yd_sim_fs_destroy(fs);
        yd_sim_fs_destroy(one);
        yd_sim_fs_destroy(two);
    }
}

static void a_folder_is_not_renamed_into_itself(void **state)
{
    struct yd_fs *fs = disk_with(1);
    (void)state;
    assert_error(0, yd_fs_make_dirs(fs, "a/b/c"));
    assert_error(YD_EINVAL, yd_fs_rename(fs, "a", "a/b/c/d"));
    assert_error(YD_EEXIST, yd_fs_rename(fs, "a/b/c", "a"));
    assert_error(YD_EINVAL, yd_fs_mkdir(fs, "a/../x"));
    assert_error(YD_ENOENT, yd_fs_rename(fs, "x", "y"));
    yd_sim_fs_destroy(fs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_a_crash_each_word_is_durable_or_one_of_its_later_values),
        cmocka_unit_test(after_failed_syncs_it_still_invents_nothing),
        cmocka_unit_test(the_same_seed_is_the_same_run_and_another_is_not),
        cmocka_unit_test(after_a_crash_each_name_is_old_or_new_and_no_rename_is_half),
        cmocka_unit_test(the_size_of_a_grown_file_is_between_until_a_sync),
        cmocka_unit_test(a_synced_file_without_a_synced_name_may_be_gone),
        cmocka_unit_test(replace_shows_the_old_or_the_new_and_each_of_its_syncs_is_needed),
        cmocka_unit_test(syncs_are_ignored_only_where_the_path_matches),
        cmocka_unit_test(what_a_failed_sync_lost_stays_lost_though_the_next_one_succeeds),
        cmocka_unit_test(the_cache_may_forget_what_a_failed_sync_lost_even_without_a_crash),
        cmocka_unit_test(each_fault_fails_its_calls_and_is_counted),
        cmocka_unit_test(a_failed_write_leaves_a_prefix_and_never_more),
        cmocka_unit_test(a_full_disk_refuses_and_takes_again_when_there_is_room),
        cmocka_unit_test(bad_sectors_refuse_reads_that_touch_them_and_no_others),
        cmocka_unit_test(rot_flips_bits_in_its_range_only),
        cmocka_unit_test(a_kill_loses_nothing_but_handles_and_locks),
        cmocka_unit_test(after_the_cut_nothing_reaches_the_disk),
        cmocka_unit_test(a_clone_has_a_future_of_its_own),
        cmocka_unit_test(a_folder_is_not_renamed_into_itself),
    };
    return cmocka_run_group_tests_name("simulated_disk", tests, NULL, NULL);
}
