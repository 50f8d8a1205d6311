/* Following: a leader and a follower as two folders in one process, without a wire. */
#include "log/mend.h"
#include "log_test.h"

#include "log/footer_format.h"
#include "log/internal.h"
#include "log/segment_format.h"
#include "pump.h"

struct pair {
    struct world *world;
    struct yd_log *leader, *follower;
    struct pump pump;
    char leader_dir[300], follower_dir[300];
};

static struct yd_log_options pair_options(struct pair *pair, bool follower)
{
    struct yd_log_options options = world_options(pair->world);
    options.dir = follower ? pair->follower_dir : pair->leader_dir;
    options.follower = follower;
    options.replicas = follower ? 0 : 1;
    options.segment_size_min = options.segment_size_max = 64 << 10;
    return options;
}

static void open_leader(struct pair *pair)
{
    struct yd_log_options options = pair_options(pair, false);
    pair->leader = world_open(pair->world, &options, NULL);
}

static void open_follower(struct pair *pair)
{
    struct yd_log_options options = pair_options(pair, true);
    pair->follower = world_open(pair->world, &options, NULL);
}

static void pair_open(struct pair *pair, struct world *world)
{
    *pair = (struct pair){.world = world};
    (void)snprintf(pair->leader_dir, sizeof pair->leader_dir, "%s/leader", world->dir);
    (void)snprintf(pair->follower_dir, sizeof pair->follower_dir, "%s/follower", world->dir);
    open_leader(pair);
    open_follower(pair);
}

static void pair_close(struct pair *pair)
{
    pump_close(&pair->pump);
    if (pair->leader) assert_int_equal(world_close(pair->world, pair->leader), 0);
    if (pair->follower) assert_int_equal(world_close(pair->world, pair->follower), 0);
}

static void fill_log(struct pair *pair, struct yd_log *log, uint64_t from, uint64_t count)
{
    (void)pair;
    for (uint64_t i = 0; i < count; i++) {
        struct yd_batch *batch = make_batch(from + i, 3, 700, (int64_t)(from + i));
        struct yd_log_appended appended;
        assert_int_equal(yd_log_append(log, batch, -1, UINT64_MAX, &appended), 0);
        yd_batch_unref(batch);
    }
    assert_int_equal(yd_log_flush(log), 0);
    assert_int_equal(yd_log_maintain(log), 0);
}

static void link_up(struct pair *pair)
{
    uint64_t common;
    assert_int_equal(pump_open(&pair->pump, pair->leader, pair->follower, "f", &common), 0);
}

static void catch_up(struct pair *pair)
{
    int error;
    while ((error = pump_step(&pair->pump)) == 0) continue;
    assert_int_equal(error, YD_EAGAIN);
    assert_int_equal(yd_log_flush(pair->follower), 0);
    struct yd_log_position position;
    yd_log_position(pair->follower, &position);
    yd_log_replica_durable(pair->pump.replica, position.durable);
}

struct same {
    struct pair *pair;
    uint32_t files;
};

/* Byte for byte, but for the zeros behind the end of the active one, which may be more or fewer. */
static int compare_file(void *arg, const char *name, enum yd_file_type node)
{
    struct same *same = arg;
    if (node != YD_NODE_FILE || !strstr(name, ".ylog")) return 0;
    char path[600];
    char *bytes[2];
    size_t sizes[2];
    for (int i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", i ? same->pair->follower_dir : same->pair->leader_dir, name);
        assert_int_equal(yd_fs_read_all(same->pair->world->fs, path, 64 << 20, &bytes[i], &sizes[i]), 0);
        while (sizes[i] > 0 && bytes[i][sizes[i] - 1] == 0) sizes[i]--;
    }
    assert_int_equal(sizes[0], sizes[1]);
    assert_memory_equal(bytes[0], bytes[1], sizes[0]);
    free(bytes[0]);
    free(bytes[1]);
    same->files++;
    return 0;
}

static uint32_t assert_same(struct pair *pair)
{
    struct same same = {.pair = pair};
    assert_int_equal(yd_fs_list(pair->world->fs, pair->leader_dir, compare_file, &same), 0);
    uint32_t files = same.files;
    assert_int_equal(yd_fs_list(pair->world->fs, pair->follower_dir, compare_file, &same), 0);
    assert_int_equal(same.files, 2 * files);
    return files;
}

static void follower_has_the_leaders_files_byte_for_byte(void **state)
{
    struct pair pair;
    pair_open(&pair, *state);
    link_up(&pair);
    for (uint64_t i = 0; i < 8; i++) {
        fill_log(&pair, pair.leader, i * 40, 40);
        catch_up(&pair);
    }
    assert_true(assert_same(&pair) > 3);
    struct yd_log_position leader, follower;
    yd_log_position(pair.leader, &leader);
    yd_log_position(pair.follower, &follower);
    assert_int_equal(leader.durable, follower.durable);
    assert_int_equal(leader.log_id, follower.log_id);
    assert_int_equal(leader.replicated, leader.durable);
    assert_int_equal(leader.in_sync, 1);
    pair_close(&pair);
}

static void follower_takes_no_appends_and_does_not_lead_unpromoted(void **state)
{
    struct pair pair;
    pair_open(&pair, *state);
    link_up(&pair);
    fill_log(&pair, pair.leader, 0, 5);
    catch_up(&pair);
    struct yd_batch *batch = make_batch(1, 1, 0, 1);
    struct yd_log_appended appended;
    assert_int_equal(yd_log_append(pair.follower, batch, -1, UINT64_MAX, &appended), YD_EPERM);
    yd_batch_unref(batch);
    pump_close(&pair.pump);
    assert_int_equal(world_close(pair.world, pair.follower), 0);
    struct yd_log_options options = pair_options(&pair, true);
    options.follower = false;
    struct yd_trail trail = {0};
    assert_int_equal(yd_log_open(&options, &pair.follower, NULL, &trail), YD_EPERM);
    assert_non_null(strstr(yd_trail_text(&trail), "yarder log promote"));
    pair.follower = NULL;
    pair_close(&pair);
}

static void follower_goes_on_after_closing_inside_a_segment(void **state)
{
    struct pair pair;
    pair_open(&pair, *state);
    for (uint64_t i = 0; i < 6; i++) {
        link_up(&pair);
        fill_log(&pair, pair.leader, i * 30, 30);
        catch_up(&pair);
        pump_close(&pair.pump);
        assert_int_equal(world_close(pair.world, pair.follower), 0);
        open_follower(&pair);
    }
    assert_true(assert_same(&pair) > 2);
    pair_close(&pair);
}

static void follower_refuses_what_does_not_continue_it(void **state)
{
    struct pair pair;
    pair_open(&pair, *state);
    link_up(&pair);
    fill_log(&pair, pair.leader, 0, 3);
    fill_log(&pair, pair.leader, 3, 3);
    struct yd_log_reader *reader;
    struct yd_log_start start = {.from = YD_FROM_OLDEST};
    assert_int_equal(yd_log_reader_open(pair.leader, &start, &reader), 0);
    struct yd_batch *batches[6];
    for (int i = 0; i < 6; i++) assert_int_equal(yd_log_reader_next(reader, &batches[i], NULL), 0);
    yd_log_reader_close(reader);
    assert_int_equal(yd_log_follow_batch(pair.follower, batches[0]), YD_EGAP); /* before any segment */
    assert_int_equal(pump_step(&pair.pump), 0);                                /* the head */
    assert_int_equal(yd_log_follow_batch(pair.follower, batches[1]), YD_EGAP);
    assert_int_equal(yd_log_follow_batch(pair.follower, batches[0]), 0);
    assert_int_equal(yd_log_follow_batch(pair.follower, batches[0]), YD_EGAP);
    struct yd_header header = batches[1]->header;
    struct yd_batch *forged;
    header.prev_crc ^= 1;
    assert_int_equal(yd_batch_restamp(batches[1], &header, &forged), 0);
    assert_int_equal(yd_log_follow_batch(pair.follower, forged), YD_EGAP);
    yd_batch_unref(forged);
    header = batches[1]->header;
    header.log_id ^= 2;
    assert_int_equal(yd_batch_restamp(batches[1], &header, &forged), 0);
    assert_int_equal(yd_log_follow_batch(pair.follower, forged), YD_EINVAL);
    yd_batch_unref(forged);
    header = batches[1]->header;
    header.epoch += 1;
    assert_int_equal(yd_batch_restamp(batches[1], &header, &forged), 0);
    assert_int_equal(yd_log_follow_batch(pair.follower, forged), YD_EEPOCH);
    yd_batch_unref(forged);
    char seal[512] = {0};
    assert_int_equal(yd_log_follow_seal(pair.follower, 0, seal, sizeof seal), YD_ECORRUPT);
    for (int i = 0; i < 6; i++) yd_batch_unref(batches[i]);
    pair_close(&pair);
}

/* With the part at hand: a copy whose word at `at` is another one, its checksum of `size` bytes at `crc` made right. */
static char *lie(const struct pump *pump, size_t at, size_t begin, size_t size)
{
    char *bytes = malloc(pump->size);
    assert_non_null(bytes);
    memcpy(bytes, pump->bytes, pump->size);
    bytes[at] ^= 1;
    if (size == 0) return bytes;
    uint32_t crc = 0;
    memcpy(bytes + begin + 8, &crc, sizeof crc); /* head and footer have theirs at the same place */
    crc = yd_crc32c(0, bytes + begin, size);
    memcpy(bytes + begin + 8, &crc, sizeof crc);
    return bytes;
}

static void lying_seal_is_refused(struct pair *pair)
{
    const struct pump *pump = &pair->pump;
    size_t footer = pump->size - sizeof(struct yd__footer);
    const struct {
        size_t at;
        bool signed_;
        int error;
    } lies[] = {
        {0, false, YD_ECORRUPT},            /* the index */
        {footer + 200, false, YD_ECORRUPT}, /* the footer */
        {footer + offsetof(struct yd__footer, last_crc), true, YD_EGAP},
        {footer + offsetof(struct yd__footer, headers_crc), true, YD_EGAP},
        {footer + offsetof(struct yd__footer, next_seqno), true, YD_EGAP},
    };
    for (size_t i = 0; i < YD_COUNT(lies); i++) {
        char *bytes = lie(pump, lies[i].at, footer, lies[i].signed_ ? sizeof(struct yd__footer) : 0);
        assert_int_equal(yd_log_follow_seal(pair->follower, pump->base, bytes, pump->size), lies[i].error);
        free(bytes);
    }
}

static void lying_head_is_refused(struct pair *pair)
{
    const struct pump *pump = &pair->pump;
    char *bytes = lie(pump, 300, 0, 0);
    assert_int_equal(yd_log_follow_segment(pair->follower, bytes, pump->size, pump->segment_size), YD_ECORRUPT);
    free(bytes);
    bytes = lie(pump, offsetof(struct yd__segment_head, prev_crc), 0, pump->size);
    assert_int_equal(yd_log_follow_segment(pair->follower, bytes, pump->size, pump->segment_size), YD_EGAP);
    free(bytes);
}

/* Each part that a leader sends is taken only after each of its checksums and each word of the chain was looked at. */
static void follower_refuses_parts_that_lie(void **state)
{
    struct pair pair;
    pair_open(&pair, *state);
    link_up(&pair);
    fill_log(&pair, pair.leader, 0, 200);
    unsigned seals = 0, heads = 0;
    for (;;) {
        struct pump *pump = &pair.pump;
        const void *bytes;
        int error =
            yd_log_source_next(pump->source, &pump->part, &pump->base, &pump->segment_size, &bytes, &pump->size);
        if (error == YD_EAGAIN) break;
        assert_int_equal(error, 0);
        pump->bytes = bytes;
        pump->at = 0;
        if (pump->part == YD_LOG_SEAL && ++seals) {
            assert_int_equal(yd_log_flush(pair.follower), 0);
            lying_seal_is_refused(&pair);
        } else if (pump->part == YD_LOG_HEAD && ++heads > 1) {
            lying_head_is_refused(&pair);
        } else if (pump->part == YD_LOG_FRAMES) {
            struct yd_batch *batch;
            assert_int_equal(yd_batch_from_bytes(pump->bytes, pump->size, &batch), 0);
            struct yd_batch forged = *batch;
            forged.header.header_crc ^= 1;
            assert_int_equal(yd_log_follow_batch(pair.follower, &forged), YD_ECORRUPT);
            yd_batch_unref(batch);
        }
        assert_int_equal(pump_give(pump), 0);
    }
    assert_true(seals > 1 && heads > 2);
    assert_int_equal(yd_log_flush(pair.follower), 0);
    assert_same(&pair);
    pair_close(&pair);
}

static void promoted_follower_leads_and_the_deposed_one_cuts_back(void **state)
{
    struct pair pair;
    pair_open(&pair, *state);
    link_up(&pair);
    fill_log(&pair, pair.leader, 0, 100);
    catch_up(&pair);
    struct yd_log_position before;
    yd_log_position(pair.leader, &before);
    fill_log(&pair, pair.leader, 100, 150); /* nobody has these */
    pump_close(&pair.pump);
    assert_int_equal(world_close(pair.world, pair.follower), 0);
    uint32_t epoch;
    assert_int_equal(yd_log_promote_dir(pair.world->fs, pair.follower_dir, 0, 3, &epoch, NULL), 0);
    assert_int_equal(epoch, 1 << 16 | 3 << 12);

    yd_log_fence(pair.leader, epoch);
    struct yd_batch *batch = make_batch(1, 1, 0, 1);
    struct yd_log_appended appended;
    assert_int_equal(yd_log_append(pair.leader, batch, -1, UINT64_MAX, &appended), YD_EEPOCH);
    yd_batch_unref(batch);
    assert_int_equal(world_close(pair.world, pair.leader), 0);
    struct yd_log_options options = pair_options(&pair, false);
    struct yd_trail trail = {0};
    assert_int_equal(yd_log_open(&options, &pair.leader, NULL, &trail), YD_EEPOCH);

    /* They change places. */
    options.dir = pair.follower_dir;
    pair.leader = world_open(pair.world, &options, NULL);
    fill_log(&pair, pair.leader, 1000, 60);
    options = pair_options(&pair, true);
    options.dir = pair.leader_dir;
    pair.follower = world_open(pair.world, &options, NULL);
    uint64_t common, edge;
    assert_int_equal(pump_open(&pair.pump, pair.leader, pair.follower, "old", &common), YD_EGAP);
    assert_int_equal(common, before.durable);
    pump_close(&pair.pump);
    assert_int_equal(world_close(pair.world, pair.follower), 0);
    assert_int_equal(yd_log_cut_dir(pair.world->fs, pair.leader_dir, common, &edge, NULL), 0);
    assert_int_equal(edge, common);
    pair.follower = world_open(pair.world, &options, NULL);
    link_up(&pair);
    catch_up(&pair);
    assert_same(&pair);
    pair_close(&pair);
}

/* Who has the longer copy is not further, when what it ends with is of an older epoch. */
static void end_of_a_newer_epoch_is_further_than_a_longer_copy(void **state)
{
    struct pair pair;
    pair_open(&pair, *state);
    link_up(&pair);
    fill_log(&pair, pair.leader, 0, 100);
    catch_up(&pair);
    pump_close(&pair.pump);
    fill_log(&pair, pair.leader, 100, 150); /* nobody has these */
    assert_int_equal(world_close(pair.world, pair.follower), 0);
    struct yd_log_end old, ours, again;
    yd_log_end(pair.leader, &old);
    uint32_t epoch;
    assert_int_equal(yd_log_end_dir(pair.world->fs, pair.follower_dir, &ours, NULL), 0);
    assert_int_equal(ours.log_id, old.log_id);
    assert_int_equal(ours.last_epoch, old.last_epoch);
    assert_true(yd_log_end_compare(&old, &ours) > 0); /* both of one leader: the longer one has all */
    assert_true(yd_log_end_compare(&ours, &old) < 0);
    assert_int_equal(yd_log_promote_dir(pair.world->fs, pair.follower_dir, 5 << 16 | 9, 3, &epoch, NULL), 0);
    assert_int_equal(epoch, 6 << 16 | 3 << 12); /* above what another knows, too */
    struct yd_log_options options = pair_options(&pair, false);
    options.dir = pair.follower_dir;
    pair.follower = world_open(pair.world, &options, NULL);
    yd_log_end(pair.follower, &again);
    assert_int_equal(again.known_epoch, epoch); /* what is known says nothing of what is there */
    assert_int_equal(again.last_epoch, old.last_epoch);
    assert_int_equal(yd_log_end_compare(&again, &ours), 0);
    fill_log(&pair, pair.follower, 1000, 1);
    yd_log_end(pair.follower, &again);
    assert_true(again.durable < old.durable);
    assert_true(yd_log_end_compare(&again, &old) > 0);
    pair_close(&pair);
}

/* A copy whose node lost power says where it ends after recovery, not what its last checkpoint knew. */
/* ---- the end of a copy, asked for in the middle of a cut: whenever the clock is read ---- */

static struct {
    struct yd_log *log;
    struct yd_log_end ends[16];
    unsigned count;
} peek;

static int64_t peek_wall(void *arg)
{
    if (peek.log && peek.count < YD_COUNT(peek.ends)) yd_log_end(peek.log, &peek.ends[peek.count++]);
    return world_wall(arg);
}

static void end_of_a_copy_that_is_being_cut_is_in_the_epoch_of_its_last_batch(void **state)
{
    struct pair pair;
    pair_open(&pair, *state);
    link_up(&pair);
    fill_log(&pair, pair.leader, 0, 100);
    catch_up(&pair);
    pump_close(&pair.pump);
    struct yd_log_end old, now;
    uint32_t epoch;
    uint64_t edge;
    yd_log_end(pair.follower, &old);
    assert_int_equal(world_close(pair.world, pair.leader), 0);
    assert_int_equal(world_close(pair.world, pair.follower), 0);
    assert_int_equal(yd_log_promote_dir(pair.world->fs, pair.leader_dir, 0, 0, &epoch, NULL), 0);
    open_leader(&pair);
    struct yd_log_options options = pair_options(&pair, true);
    options.wall = peek_wall;
    pair.follower = world_open(pair.world, &options, NULL);
    link_up(&pair);
    fill_log(&pair, pair.leader, 100, 100);
    catch_up(&pair);
    pump_close(&pair.pump);
    yd_log_end(pair.follower, &now);
    assert_int_equal(now.last_epoch, epoch);
    assert_true(epoch > old.last_epoch);
    peek.log = pair.follower;
    assert_int_equal(yd_log_follow_cut(pair.follower, 150, &edge), 0);
    peek.log = NULL;
    assert_int_equal(edge, 150);
    assert_true(peek.count >= 2); /* both checkpoints */
    for (unsigned i = 0; i < peek.count; i++)
        assert_int_equal(peek.ends[i].last_epoch, peek.ends[i].durable > old.durable ? epoch : old.last_epoch);
    assert_int_equal(peek.ends[peek.count - 1].durable, 150);
    pair_close(&pair);
}

static void end_of_a_crashed_copy_is_what_recovery_finds(void **state)
{
    struct pair pair;
    pair_open(&pair, *state);
    link_up(&pair);
    fill_log(&pair, pair.leader, 0, 100);
    catch_up(&pair);
    struct yd_log_end alive, found;
    yd_log_end(pair.follower, &alive);
    pump_close(&pair.pump);
    yd_sim_fs_crash(pair.world->fs);
    (void)world_close(pair.world, pair.follower);
    (void)world_close(pair.world, pair.leader);
    struct yd_log_stat stat;
    assert_int_equal(yd_log_stat_dir(pair.world->fs, pair.follower_dir, &stat, NULL), 0);
    assert_false(stat.exact);
    assert_int_equal(stat.role, YD_LOG_FOLLOWER);
    assert_int_equal(yd_log_end_dir(pair.world->fs, pair.follower_dir, &found, NULL), 0);
    assert_int_equal(found.durable, alive.durable);
    assert_int_equal(found.last_epoch, alive.last_epoch);
    assert_int_equal(yd_log_stat_dir(pair.world->fs, pair.follower_dir, &stat, NULL), 0);
    assert_true(stat.exact);
    assert_int_equal(stat.role, YD_LOG_FOLLOWER); /* asking does not make it lead */
    assert_int_equal(stat.last_epoch, alive.last_epoch);
    pair.follower = pair.leader = NULL;
    pair_close(&pair);
}

/* What an earlier term left counts once a batch of the one who leads now does: see the top of replica.c. */
static void batches_of_an_earlier_term_are_replicated_with_the_first_of_the_new_one(void **state)
{
    struct pair pair;
    pair_open(&pair, *state);
    link_up(&pair);
    fill_log(&pair, pair.leader, 0, 50);
    catch_up(&pair);
    pump_close(&pair.pump);
    assert_int_equal(world_close(pair.world, pair.follower), 0);
    assert_int_equal(world_close(pair.world, pair.leader), 0);
    uint32_t epoch;
    assert_int_equal(yd_log_promote_dir(pair.world->fs, pair.leader_dir, 0, 0, &epoch, NULL), 0);
    struct yd_log_options options = pair_options(&pair, false);
    options.replicas = 1;
    options.replica_lag_ns = INT64_MAX;
    pair.leader = world_open(pair.world, &options, NULL);
    struct yd_log_replica *replica;
    struct yd_log_position position;
    assert_int_equal(yd_log_replica_join(pair.leader, "f", 1, &replica), 0);
    yd_log_position(pair.leader, &position);
    uint64_t before = position.durable;
    yd_log_replica_durable(replica, before);
    yd_log_position(pair.leader, &position);
    assert_int_equal(position.in_sync, 1);
    assert_int_equal(position.replicated, position.first);
    fill_log(&pair, pair.leader, 50, 1);
    yd_log_position(pair.leader, &position);
    assert_true(position.durable > before);
    yd_log_replica_durable(replica, position.durable);
    yd_log_position(pair.leader, &position);
    assert_int_equal(position.replicated, position.durable);
    /* A restart is no new term. */
    yd_log_replica_leave(replica);
    assert_int_equal(world_close(pair.world, pair.leader), 0);
    pair.leader = world_open(pair.world, &options, NULL);
    assert_int_equal(yd_log_replica_join(pair.leader, "f", 1, &replica), 0);
    yd_log_position(pair.leader, &position);
    yd_log_replica_durable(replica, position.durable);
    yd_log_position(pair.leader, &position);
    assert_int_equal(position.replicated, position.durable);
    yd_log_replica_leave(replica);
    options = pair_options(&pair, true);
    options.dir = pair.follower_dir;
    pair.follower = world_open(pair.world, &options, NULL);
    pair_close(&pair);
}

/* B was promoted and wrote nothing; then A, which has more, of older epochs, is promoted over B. */
static void one_promoted_in_vain_follows_a_leader_whose_past_is_older(void **state)
{
    struct pair pair;
    pair_open(&pair, *state);
    link_up(&pair);
    fill_log(&pair, pair.leader, 0, 20);
    catch_up(&pair);
    fill_log(&pair, pair.leader, 20, 200);
    pump_close(&pair.pump);
    assert_int_equal(world_close(pair.world, pair.follower), 0);
    uint32_t epoch, newer;
    assert_int_equal(yd_log_promote_dir(pair.world->fs, pair.follower_dir, 0, 1, &epoch, NULL), 0);
    assert_int_equal(yd_log_fence(pair.leader, epoch), 0);
    assert_int_equal(world_close(pair.world, pair.leader), 0);
    assert_int_equal(yd_log_promote_dir(pair.world->fs, pair.leader_dir, 0, 0, &newer, NULL), 0);
    assert_true(newer > epoch);
    open_leader(&pair);
    open_follower(&pair);
    link_up(&pair);
    assert_int_equal(pump_step(&pair.pump), 0);
    /* What it has taken, and what is still to come, is of the first epoch; so it is after a restart. */
    pump_close(&pair.pump);
    assert_int_equal(world_close(pair.world, pair.follower), 0);
    open_follower(&pair);
    link_up(&pair);
    catch_up(&pair);
    fill_log(&pair, pair.leader, 220, 10);
    catch_up(&pair);
    assert_same(&pair);
    pair_close(&pair);
}

/* Who has no more than the head of the first segment that the leader still has, and is promoted, goes on from there. */
static void promoted_with_a_head_alone_leads_from_where_it_begins(void **state)
{
    struct pair pair;
    pair_open(&pair, *state);
    fill_log(&pair, pair.leader, 0, 200);
    assert_int_equal(world_close(pair.world, pair.leader), 0);
    struct yd_log_options options = pair_options(&pair, false);
    options.retain_bytes = 1;
    pair.leader = world_open(pair.world, &options, NULL);
    for (int i = 0; i < 4; i++) assert_int_equal(yd_log_maintain(pair.leader), 0);
    uint64_t common;
    assert_int_equal(pump_open(&pair.pump, pair.leader, pair.follower, "f", &common), 0);
    assert_int_equal(pump_step(&pair.pump), 0); /* the head */
    pump_close(&pair.pump);
    struct yd_log_position position;
    yd_log_position(pair.follower, &position);
    assert_true(position.first > 0 && position.first == position.memory);
    assert_int_equal(world_close(pair.world, pair.leader), 0);
    yd_sim_fs_kill(pair.world->fs);
    (void)world_close(pair.world, pair.follower);
    uint32_t epoch;
    assert_int_equal(yd_log_promote_dir(pair.world->fs, pair.follower_dir, 0, 1, &epoch, NULL), 0);
    options = pair_options(&pair, false);
    options.dir = pair.follower_dir;
    pair.leader = world_open(pair.world, &options, NULL);
    fill_log(&pair, pair.leader, 1000, 10);
    (void)snprintf(pair.leader_dir, sizeof pair.leader_dir, "%s/third", pair.world->dir);
    options = pair_options(&pair, true);
    options.dir = pair.leader_dir;
    pair.follower = world_open(pair.world, &options, NULL);
    link_up(&pair);
    catch_up(&pair);
    assert_same(&pair);
    pair_close(&pair);
}

/* Half of what a deposed leader wrote is everybody's: it keeps that half, as it may be the only other one that has it.
 */
static void deposed_leader_cuts_no_further_than_where_its_own_epoch_begins(void **state)
{
    struct pair pair;
    pair_open(&pair, *state);
    link_up(&pair);
    fill_log(&pair, pair.leader, 0, 20);
    catch_up(&pair);
    struct yd_log_position shared;
    yd_log_position(pair.follower, &shared);
    fill_log(&pair, pair.leader, 20, 30);
    pump_close(&pair.pump);
    /* The follower leads, and writes what nobody has; then the old leader is promoted over it. */
    assert_int_equal(world_close(pair.world, pair.follower), 0);
    uint32_t epoch;
    assert_int_equal(yd_log_promote_dir(pair.world->fs, pair.follower_dir, 0, 1, &epoch, NULL), 0);
    struct yd_log_options options = pair_options(&pair, false);
    options.dir = pair.follower_dir;
    pair.follower = world_open(pair.world, &options, NULL);
    fill_log(&pair, pair.follower, 1000, 50);
    assert_int_equal(world_close(pair.world, pair.follower), 0);
    assert_int_equal(yd_log_fence(pair.leader, epoch), 0);
    assert_int_equal(world_close(pair.world, pair.leader), 0);
    assert_int_equal(yd_log_promote_dir(pair.world->fs, pair.leader_dir, 0, 0, &epoch, NULL), 0);
    open_leader(&pair);
    open_follower(&pair);
    uint64_t common;
    assert_int_equal(pump_open(&pair.pump, pair.leader, pair.follower, "old", &common), YD_EGAP);
    assert_int_equal(common, shared.memory);
    pump_close(&pair.pump);
    uint64_t edge;
    assert_int_equal(yd_log_follow_cut(pair.follower, common, &edge), 0);
    assert_int_equal(edge, common);
    link_up(&pair);
    catch_up(&pair);
    assert_same(&pair);
    pair_close(&pair);
}

/* The connection of a follower that has gone may stay for a while: it is no second follower. */
static void one_copy_on_two_connections_counts_once(void **state)
{
    struct pair pair;
    pair_open(&pair, *state);
    assert_int_equal(world_close(pair.world, pair.leader), 0);
    struct yd_log_options options = pair_options(&pair, false);
    options.replicas = 2;
    pair.leader = world_open(pair.world, &options, NULL);
    link_up(&pair);
    fill_log(&pair, pair.leader, 0, 10);
    catch_up(&pair);
    struct pump old = pair.pump;
    struct yd_log_position position;
    yd_log_position(pair.leader, &position);
    assert_int_equal(position.in_sync, 1);
    link_up(&pair);
    fill_log(&pair, pair.leader, 10, 10);
    catch_up(&pair);
    yd_log_replica_durable(old.replica, position.durable);
    yd_log_position(pair.leader, &position);
    assert_int_equal(position.in_sync, 1);
    assert_int_equal(position.replicated, 0);
    /* Another one of the same name is another follower. */
    struct yd_log_place place;
    struct yd_log_replica *other;
    yd_log_place(pair.follower, &place);
    assert_true(place.copy != 0);
    assert_int_equal(yd_log_replica_join(pair.leader, "f", place.copy + 2, &other), 0);
    yd_log_replica_durable(other, position.durable);
    yd_log_position(pair.leader, &position);
    assert_int_equal(position.in_sync, 2);
    assert_int_equal(position.replicated, position.durable);
    yd_log_replica_leave(other);
    pump_close(&old);
    /* It is the same one after a restart. */
    pump_close(&pair.pump);
    assert_int_equal(world_close(pair.world, pair.follower), 0);
    open_follower(&pair);
    struct yd_log_place again;
    yd_log_place(pair.follower, &again);
    assert_int_equal(again.copy, place.copy);
    pair_close(&pair);
}

static void follower_cut_back_while_open_tells_its_readers_and_goes_on(void **state)
{
    struct world *world = *state;
    struct pair pair;
    pair_open(&pair, world);
    link_up(&pair);
    fill_log(&pair, pair.leader, 0, 200);
    catch_up(&pair);
    struct yd_log_reader *reader = open_reader(pair.follower, YD_FROM_OLDEST, 0, YD_ACK_DURABLE);
    struct yd_batch *batch;
    struct yd_log_gap gap;
    while (yd_log_reader_next(reader, &batch, &gap) == 0) yd_batch_unref(batch);
    assert_int_equal(yd_log_reader_seqno(reader), 600);
    uint64_t edges[] = {301, 90, 0}; /* in a batch's middle, further back, all of it */
    for (size_t i = 0; i < YD_COUNT(edges); i++) {
        uint64_t edge, common;
        pump_close(&pair.pump);
        assert_int_equal(yd_log_follow_cut(pair.follower, edges[i], &edge), 0);
        assert_int_equal(edge, edges[i] / 3 * 3);
        uint64_t at = yd_log_reader_seqno(reader);
        assert_int_equal(yd_log_reader_next(reader, &batch, &gap), YD_EGAP);
        assert_string_equal(gap.reason, "cut back");
        assert_int_equal(gap.from, at);
        assert_int_equal(gap.to, edge);
        assert_int_equal(yd_log_reader_next(reader, &batch, &gap), YD_EAGAIN);
        assert_int_equal(pump_open(&pair.pump, pair.leader, pair.follower, "f", &common), 0);
        catch_up(&pair);
        while (yd_log_reader_next(reader, &batch, &gap) == 0) yd_batch_unref(batch);
        assert_int_equal(yd_log_reader_seqno(reader), 600);
        assert_same(&pair);
    }
    yd_log_reader_close(reader);
    pair_close(&pair);
}

/* ---- the helper's turn in the midst of a cut: it seals what is full and unsealed, holding nothing of what a cut
 * holds. The clock is read at each checkpoint. */

static struct {
    struct yd_log *log;
    unsigned turns;
} helper;

static int64_t seal_wall(void *arg)
{
    struct yd_log *log = helper.log;
    helper.log = NULL; /* once */
    if (log) {
        helper.turns++;
        assert_int_equal(yd__seal_leftovers(log), 0);
    }
    return world_wall(arg);
}

static void segments_that_are_being_cut_are_not_sealed_by_the_helper(void **state)
{
    struct pair pair;
    pair_open(&pair, *state);
    assert_int_equal(world_close(pair.world, pair.follower), 0);
    struct yd_log_options options = pair_options(&pair, true);
    options.wall = seal_wall;
    pair.follower = world_open(pair.world, &options, NULL);
    link_up(&pair);
    fill_log(&pair, pair.leader, 0, 200);
    catch_up(&pair);
    struct yd_log_position before, now;
    yd_log_position(pair.follower, &before);
    assert_true(before.segments >= 3);
    uint64_t edge, common;
    pump_close(&pair.pump);
    helper.log = pair.follower;
    assert_int_equal(yd_log_follow_cut(pair.follower, 90, &edge), 0);
    assert_int_equal(helper.turns, 1);
    assert_int_equal(edge, 90);
    yd_log_position(pair.follower, &now);
    assert_int_equal(now.failed, 0);
    assert_int_equal(now.segments, 1);
    assert_int_equal(pump_open(&pair.pump, pair.leader, pair.follower, "f", &common), 0);
    catch_up(&pair);
    assert_same(&pair);
    pair_close(&pair);
}

/* ---- a reader's turn when what is cut has become zeros, and nobody has been told yet ---- */

static struct {
    const struct yd_fs_ops *ops;
    struct yd_log_reader *reader;
    unsigned turns, given;
    int error;
} meanwhile;

static int sync_and_read(struct yd_file *file)
{
    struct yd_batch *batch;
    struct yd_log_gap gap;
    int error = meanwhile.ops->sync(file);
    if (++meanwhile.turns != 2) return error; /* of the copy; then of the zeros */
    while ((meanwhile.error = yd_log_reader_next(meanwhile.reader, &batch, &gap)) == 0) {
        meanwhile.given++;
        yd_batch_unref(batch);
    }
    return error;
}

static void what_is_being_cut_is_not_told_as_rotten(void **state)
{
    struct pair pair;
    pair_open(&pair, *state);
    assert_int_equal(world_close(pair.world, pair.follower), 0);
    struct yd_log_options options = pair_options(&pair, true);
    options.memory_bytes_max = 1;
    options.segment_size_min = options.segment_size_max = 1 << 20;
    pair.follower = world_open(pair.world, &options, NULL);
    link_up(&pair);
    fill_log(&pair, pair.leader, 0, 20);
    catch_up(&pair);
    pump_close(&pair.pump);
    struct yd_log_reader *reader = open_reader(pair.follower, YD_FROM_SEQNO, 45, YD_ACK_WRITTEN);
    struct yd_batch *batch;
    struct yd_log_gap gap;
    struct yd_log_position now;
    uint64_t edge;
    struct yd_fs_ops ops = *pair.world->fs->ops;
    meanwhile.ops = pair.world->fs->ops;
    meanwhile.reader = reader;
    ops.sync = sync_and_read;
    pair.world->fs->ops = &ops;
    assert_int_equal(yd_log_follow_cut(pair.follower, 30, &edge), 0);
    pair.world->fs->ops = meanwhile.ops;
    assert_int_equal(meanwhile.turns, 2);
    assert_int_equal(meanwhile.error, YD_EAGAIN);
    yd_log_position(pair.follower, &now);
    assert_int_equal(now.rotten, 0);
    assert_int_equal(yd_log_reader_next(reader, &batch, &gap), YD_EGAP);
    assert_string_equal(gap.reason, "cut back");
    assert_int_equal(gap.to, 30);
    yd_log_reader_close(reader);
    pair_close(&pair);
}

static uint32_t hidden_of_first(struct yd_log *log)
{
    struct yd_log_reader *reader = open_reader(log, YD_FROM_OLDEST, 0, YD_ACK_DURABLE);
    struct yd_batch *batch;
    uint32_t hidden;
    uint8_t *keep;
    assert_int_equal(yd_log_reader_next(reader, &batch, NULL), 0);
    assert_int_equal(yd_log_hidden_load(log, 0), 0);
    assert_int_equal(yd_log_hidden(log, YD_ACK_DURABLE, batch, &keep, &hidden), 0);
    free(keep);
    yd_batch_unref(batch);
    yd_log_reader_close(reader);
    return hidden;
}

/* The leader's bytes, tombstones and all; who reads the copy is not given what they cover, until it is cut behind. */
static void follower_has_what_is_forgotten_and_gives_it_to_nobody(void **state)
{
    struct world *world = *state;
    struct pair pair;
    struct yd_batch *batch;
    struct yd_log_appended appended;
    uint64_t edge, common;
    pair_open(&pair, world);
    link_up(&pair);
    fill_log(&pair, pair.leader, 0, 20);
    struct yd_tombstone tombstone = {.names = YD_STR("*"), .until_seqno = UINT64_MAX, .until_time = INT64_MAX};
    assert_int_equal(yd_tombstone_batch(&tombstone, 1, &batch), 0);
    assert_int_equal(yd_log_append(pair.leader, batch, -1, UINT64_MAX, &appended), 0);
    yd_batch_unref(batch);
    assert_int_equal(yd_log_flush(pair.leader), 0);
    catch_up(&pair);
    assert_same(&pair);
    assert_int_equal(hidden_of_first(pair.follower), 3);
    pump_close(&pair.pump);
    assert_int_equal(yd_log_follow_cut(pair.follower, appended.first, &edge), 0);
    assert_int_equal(hidden_of_first(pair.follower), 0);
    assert_int_equal(pump_open(&pair.pump, pair.leader, pair.follower, "f", &common), 0);
    catch_up(&pair);
    assert_same(&pair);
    assert_int_equal(hidden_of_first(pair.follower), 3);
    pump_close(&pair.pump);
    assert_int_equal(world_close(world, pair.follower), 0);
    open_follower(&pair); /* and out of its files */
    assert_int_equal(hidden_of_first(pair.follower), 3);
    link_up(&pair);
    pair_close(&pair);
}

static void slow_follower_leaves_the_set_and_comes_back(void **state)
{
    struct world *world = *state;
    struct pair pair;
    pair_open(&pair, world);
    link_up(&pair);
    fill_log(&pair, pair.leader, 0, 10);
    catch_up(&pair);
    struct yd_log_position position;
    yd_log_position(pair.leader, &position);
    assert_int_equal(position.in_sync, 1);
    uint64_t replicated = position.replicated;
    fill_log(&pair, pair.leader, 10, 10);
    world->now += 11 * YD_NS_PER_S;
    assert_int_equal(yd_log_maintain(pair.leader), 0);
    yd_log_position(pair.leader, &position);
    assert_int_equal(position.in_sync, 0);
    assert_int_equal(position.replicated, replicated);
    catch_up(&pair);
    yd_log_position(pair.leader, &position);
    assert_int_equal(position.in_sync, 1);
    assert_int_equal(position.replicated, position.durable);
    pair_close(&pair);
}

static void follower_behind_retention_begins_anew(void **state)
{
    struct world *world = *state;
    struct pair pair;
    pair_open(&pair, world);
    link_up(&pair);
    fill_log(&pair, pair.leader, 0, 10);
    catch_up(&pair);
    pump_close(&pair.pump);
    assert_int_equal(world_close(world, pair.leader), 0);
    struct yd_log_options options = pair_options(&pair, false);
    options.retain_bytes = 100 << 10;
    pair.leader = world_open(world, &options, NULL);
    for (uint64_t i = 0; i < 10; i++) fill_log(&pair, pair.leader, 100 + i * 40, 40);
    uint64_t common;
    assert_int_equal(pump_open(&pair.pump, pair.leader, pair.follower, "f", &common), YD_ENOENT);
    pump_close(&pair.pump);
    assert_int_equal(world_close(world, pair.follower), 0);
    assert_int_equal(yd_log_anew_dir(world->fs, pair.follower_dir, NULL), 0);
    open_follower(&pair);
    link_up(&pair);
    catch_up(&pair);
    assert_same(&pair);
    pair_close(&pair);
}

/* Its last segment is full, and the next one not yet begun. */
static void a_leader_between_two_segments_compares_the_chain_too(void **state)
{
    struct pair pair;
    pair_open(&pair, *state);
    fill_log(&pair, pair.leader, 0, 10);
    for (uint64_t i = 10; pair.leader->active; i++) {
        assert_true(i < 500);
        fill_log(&pair, pair.leader, i, 1);
        const struct yd__segment *active = pair.leader->active;
        if (active->data_end + YD__SEGMENT_ALIGN <= active->file_size) continue;
        assert_int_equal(world_close(pair.world, pair.leader), 0);
        open_leader(&pair);
    }
    struct yd_log_place place;
    uint64_t common;
    yd_log_place(pair.leader, &place);
    assert_int_equal(place.segment, YD__NO_SEGMENT);
    assert_int_equal(yd_log_follow_check(pair.leader, &place, &common), 0);
    place.last_crc ^= 1;
    assert_int_equal(yd_log_follow_check(pair.leader, &place, &common), YD_EGAP);
    pair_close(&pair);
}

/* What a seal says is final, and the checkpoint behind it relies on it: right after, the power may go. */
static void a_seal_that_was_taken_is_there_after_a_crash(void **state)
{
    struct world *world = *state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct pair pair;
        yd_sim_fs_destroy(world->fs);
        assert_int_equal(yd_sim_fs_create(seed, &world->fs), 0);
        yd_sim_fs_faults(world->fs)->write_back = 0;
        pair_open(&pair, world);
        link_up(&pair);
        fill_log(&pair, pair.leader, 0, 80);
        do assert_int_equal(pump_step(&pair.pump), 0);
        while (pair.pump.part != YD_LOG_SEAL);
        yd_sim_fs_crash(world->fs);
        pump_close(&pair.pump);
        (void)world_close(world, pair.leader);
        (void)world_close(world, pair.follower);
        char path[400], *bytes[2];
        size_t sizes[2];
        for (int i = 0; i < 2; i++) {
            (void)snprintf(path, sizeof path, "%s/%020d.ylog", i ? pair.follower_dir : pair.leader_dir, 0);
            assert_int_equal(yd_fs_read_all(world->fs, path, 64 << 20, &bytes[i], &sizes[i]), 0);
        }
        assert_int_equal(sizes[0], sizes[1]);
        assert_memory_equal(bytes[0], bytes[1], sizes[0]);
        free(bytes[0]);
        free(bytes[1]);
    }
}

#define SIM(f) cmocka_unit_test_setup_teardown(f, world_setup_sim, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIM(follower_has_the_leaders_files_byte_for_byte),
        SIM(follower_takes_no_appends_and_does_not_lead_unpromoted),
        SIM(follower_goes_on_after_closing_inside_a_segment),
        SIM(follower_refuses_what_does_not_continue_it),
        SIM(follower_refuses_parts_that_lie),
        SIM(promoted_follower_leads_and_the_deposed_one_cuts_back),
        SIM(end_of_a_newer_epoch_is_further_than_a_longer_copy),
        SIM(end_of_a_copy_that_is_being_cut_is_in_the_epoch_of_its_last_batch),
        SIM(end_of_a_crashed_copy_is_what_recovery_finds),
        SIM(batches_of_an_earlier_term_are_replicated_with_the_first_of_the_new_one),
        SIM(one_promoted_in_vain_follows_a_leader_whose_past_is_older),
        SIM(promoted_with_a_head_alone_leads_from_where_it_begins),
        SIM(deposed_leader_cuts_no_further_than_where_its_own_epoch_begins),
        SIM(one_copy_on_two_connections_counts_once),
        SIM(follower_cut_back_while_open_tells_its_readers_and_goes_on),
        SIM(segments_that_are_being_cut_are_not_sealed_by_the_helper),
        cmocka_unit_test_setup_teardown(what_is_being_cut_is_not_told_as_rotten, world_setup_linux, world_teardown),
        SIM(follower_has_what_is_forgotten_and_gives_it_to_nobody),
        SIM(slow_follower_leaves_the_set_and_comes_back),
        SIM(follower_behind_retention_begins_anew),
        SIM(a_leader_between_two_segments_compares_the_chain_too),
        SIM(a_seal_that_was_taken_is_there_after_a_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
