/* The chain: each batch holds the checksum of the one before. What another history has at the same seqnos is refused by
 * repair, by followers and by leaders, wherever it diverges. */
#include "image.h"
#include "pump.h"

/* ---- repair ---- */

struct heard {
    char what[200];
    uint32_t count;
};

static void hear_mended(void *arg, const struct yd_log_mended *what)
{
    struct heard *heard = arg;
    (void)snprintf(heard->what, sizeof heard->what, "%s", what->what);
    heard->count++;
}

static struct yd_log_repair_report repair(struct world *world, const char *from, int expected, const char *wanted)
{
    struct heard heard = {.count = 0};
    struct yd_log_repair how = {
        .fs = world->fs, .dir = world->dir, .from_dir = from, .told = hear_mended, .told_arg = &heard};
    struct yd_log_repair_report report;
    assert_int_equal(yd_log_repair_dir(&how, &report, NULL), expected);
    if (wanted && !strstr(heard.what, wanted)) fail_msg("told: %s", heard.what);
    return report;
}

static void assert_image(struct world *world, uint64_t base, const struct image *wanted)
{
    struct image now = image_of(world, world->dir, base, ".ylog");
    assert_int_equal(now.size, wanted->size);
    assert_memory_equal(now.bytes, wanted->bytes, now.size);
    free(now.bytes);
}

static uint64_t second_base(struct world *world)
{
    uint64_t *bases;
    uint32_t count;
    assert_int_equal(yd__list_segments(world->fs, world->dir, &bases, &count), 0);
    assert_true(count > 3);
    uint64_t base = bases[1];
    free(bases);
    return base;
}

/* What a copy of another history has at the damaged place: it follows what is before and does not lead to what is
 * behind, which another frame, the next segment or the checkpoint says. */
static void repair_takes_nothing_that_diverges_where_the_damage_is(void **state)
{
    struct world *world = *state;
    make_stream(world, "d/copy/0", "aa", 0, false);
    make_stream(world, "d/s/0", "aa", 0, false);
    uint64_t base = second_base(world), *bases;
    uint32_t count;
    assert_int_equal(yd__list_segments(world->fs, world->dir, &bases, &count), 0);
    uint64_t places[][2] = {{0, 0}, {0, 3}, {0, base / RECORDS - 1}, {bases[count - 1], 0}};
    places[3][1] = BATCHES - 1 - bases[count - 1] / RECORDS; /* the last of all */
    free(bases);
    for (size_t i = 0; i < YD_COUNT(places); i++) {
        struct making making = {.tag = "aa", .other = "bb", .other_from = (int)(places[i][0] / RECORDS + places[i][1])};
        making.other_to = making.other_from + 1;
        char other[32];
        (void)snprintf(other, sizeof other, "d/other%zu/0", i);
        make_like(world, other, &making);
        (void)snprintf(world->dir, sizeof world->dir, "d/s/0");
        struct image good = image_of(world, world->dir, places[i][0], ".ylog");
        struct yd_header header;
        uint64_t frame = frame_at(&good, (unsigned)places[i][1], &header);
        for (int body = 0; body < 2; body++) {
            flip(world, places[i][0], ".ylog", frame + (body ? 300 : 40));
            struct image damaged = image_of(world, world->dir, places[i][0], ".ylog");
            struct yd_log_repair_report report = repair(world, other, YD_ECORRUPT, "another history");
            assert_int_equal(report.mended, 0);
            assert_int_equal(report.lost_records, RECORDS);
            assert_image(world, places[i][0], &damaged);
            report = repair(world, "d/copy/0", 0, NULL);
            assert_int_equal(report.mended, 1);
            assert_image(world, places[i][0], &good);
            free(damaged.bytes);
        }
        free(good.bytes);
    }
}

/* A copy whose segments begin elsewhere (a leader of the past sealed sooner) moves no edge of ours: its bases are no
 * places of our files, whatever is damaged. */
static void repair_keeps_our_edges_when_the_other_copy_has_others(void **state)
{
    struct world *world = *state;
    make_stream(world, "d/other/0", "aa", 0, false);
    struct making making = {.tag = "aa", .segment_size = 128 << 10};
    make_like(world, "d/s/0", &making);
    uint64_t *bases, base, inside = 0;
    uint32_t count;
    assert_int_equal(yd__list_segments(world->fs, world->dir, &bases, &count), 0);
    assert_true(count >= 2 && count <= 3);
    base = bases[1];
    free(bases);
    assert_int_equal(yd__list_segments(world->fs, "d/other/0", &bases, &count), 0);
    for (uint32_t i = 0; i < count; i++) inside += bases[i] > 0 && bases[i] < base;
    free(bases);
    assert_true(inside >= 2);
    struct image good = image_of(world, world->dir, 0, ".ylog");
    struct yd_log_repair_report report = repair(world, "d/other/0", 0, NULL);
    assert_int_equal(report.mended + report.lost + report.later, 0);
    assert_image(world, 0, &good);
    struct yd_header header;
    uint64_t frame = frame_at(&good, 5, &header);
    flip(world, 0, ".ylog", frame + 40);
    report = repair(world, "d/other/0", 0, NULL);
    assert_int_equal(report.lost + report.later, 0);
    assert_image(world, 0, &good);
    flip(world, 0, ".ylog", good.size - 20); /* our footer: now the frames alone say how far it goes */
    (void)repair(world, "d/other/0", 0, NULL);
    struct image after = image_of(world, world->dir, 0, ".ylog");
    frame = frame_at(&good, (unsigned)(base / RECORDS) - 1, &header);
    assert_memory_equal(after.bytes, good.bytes, frame + header.size);
    free(after.bytes);
    free(good.bytes);
    assert_int_equal(yd_log_verify_dir(world->fs, world->dir, NULL, NULL, NULL), 0);
}

struct source {
    struct world *world;
    const char *dir;
    bool forged;
};

static int fetch_batch(void *arg, uint64_t seqno, struct yd_batch **ret_batch)
{
    struct source *source = arg;
    struct yd_log_start start = {.from = YD_FROM_SEQNO, .seqno = seqno};
    struct yd_log_reader *reader;
    assert_int_equal(yd_log_reader_open_dir(source->world->fs, source->dir, &start, &reader, NULL), 0);
    int error = yd_log_reader_next(reader, ret_batch, NULL);
    yd_log_reader_close(reader);
    if (!error && source->forged) (*ret_batch)->header.append_time ^= 1; /* ours alone: nobody else has it */
    return error ? YD_ENOENT : 0;
}

/* One that does not follow what is before is no reason not to ask the next source. */
static void repair_asks_the_next_source_when_one_is_of_another_history(void **state)
{
    struct world *world = *state;
    make_stream(world, "d/copy/0", "aa", 0, false);
    make_stream(world, "d/other/0", "bb", 0, false);
    make_stream(world, "d/s/0", "aa", 0, false);
    struct image good = image_of(world, world->dir, 0, ".ylog");
    struct yd_header header;
    uint64_t frame = frame_at(&good, 3, &header);
    for (int forged = 1; forged >= 0; forged--) {
        flip(world, 0, ".ylog", frame + 40);
        struct image damaged = image_of(world, world->dir, 0, ".ylog");
        struct source source = {world, "d/copy/0", forged};
        struct yd_log_repair how = {
            .fs = world->fs, .dir = world->dir, .from_dir = "d/other/0", .fetch = fetch_batch, .fetch_arg = &source};
        struct yd_log_repair_report report;
        /* A batch whose header is not what its checksum says is not taken either. */
        assert_int_equal(yd_log_repair_dir(&how, &report, NULL), forged ? YD_ECORRUPT : 0);
        assert_int_equal(report.mended, !forged);
        assert_int_equal(report.lost, forged);
        assert_image(world, 0, forged ? &damaged : &good);
        put_image(world, 0, ".ylog", &good);
        free(damaged.bytes);
    }
    free(good.bytes);
}

/* A block as it was before a cut: whole, with the right seqno and the right chain before it. Only the frame behind
 * tells.
 */
static void repair_finds_a_stale_frame_by_the_one_behind_it(void **state)
{
    struct world *world = *state;
    struct making stale = {.tag = "aa", .other = "bb", .other_from = 3, .other_to = 4};
    make_stream(world, "d/copy/0", "aa", 0, false);
    make_like(world, "d/stale/0", &stale);
    stale.other = "cc";
    make_like(world, "d/third/0", &stale);
    make_stream(world, "d/s/0", "aa", 0, false);
    struct image good = image_of(world, world->dir, 0, ".ylog"), mixed = image_of(world, world->dir, 0, ".ylog");
    struct image other = image_of(world, "d/stale/0", 0, ".ylog");
    take_frame(&mixed, &other, 3);
    put_image(world, 0, ".ylog", &mixed);
    struct told told = {.wanted = "the chain to the batch before is broken"};
    assert_int_equal(yd_log_verify_dir(world->fs, world->dir, NULL, hear, &told), YD_ECORRUPT);
    assert_int_equal(told.wanted_times, 1);
    /* The copy's is no better: it is told, and nothing is said to be lost that readers are given. */
    struct yd_log_repair_report report = repair(world, "d/third/0", YD_ECORRUPT, "the chain breaks here");
    assert_int_equal(report.mended, 0);
    assert_int_equal(report.lost_records, 0);
    assert_image(world, 0, &mixed);
    report = repair(world, "d/copy/0", 0, NULL);
    assert_int_equal(report.mended, 1);
    assert_image(world, 0, &good);
    assert_whole(world);
    free(good.bytes);
    free(mixed.bytes);
    free(other.bytes);
}

/* Of a whole segment: a head, and the file itself, that follow another one; or lead to another. */
static void repair_takes_no_head_and_no_file_of_another_history(void **state)
{
    struct world *world = *state;
    make_stream(world, "d/copy/0", "aa", 0, false);
    make_stream(world, "d/s/0", "aa", 0, false);
    uint64_t base = second_base(world);
    struct making before = {.tag = "aa", .other = "bb", .other_to = 1};
    make_like(world, "d/before/0", &before);
    struct making inside = {.tag = "aa", .other = "bb", .other_from = (int)(base / RECORDS) + 1};
    inside.other_to = inside.other_from + 1;
    make_like(world, "d/inside/0", &inside);
    (void)snprintf(world->dir, sizeof world->dir, "d/s/0");
    struct image good = image_of(world, world->dir, base, ".ylog");
    flip(world, base, ".ylog", 20);
    struct image damaged = image_of(world, world->dir, base, ".ylog");
    assert_int_equal(repair(world, "d/before/0", YD_ECORRUPT, NULL).mended, 0);
    assert_image(world, base, &damaged);
    assert_int_equal(repair(world, "d/copy/0", 0, "the head").mended, 1);
    assert_image(world, base, &good);
    char path[512];
    path_in(world->dir, base, ".ylog", path);
    assert_int_equal(yd_fs_unlink(world->fs, path), 0);
    assert_int_equal(repair(world, "d/before/0", YD_ECORRUPT, NULL).mended, 0);
    assert_int_equal(repair(world, "d/inside/0", YD_ECORRUPT, NULL).mended, 0);
    assert_false(there(world, base, ".ylog"));
    assert_int_equal(repair(world, "d/copy/0", 0, "the whole file").mended, 1);
    assert_image(world, base, &good);
    assert_whole(world);
    /* A file of another history that somebody has put there. */
    struct image other = image_of(world, "d/before/0", base, ".ylog");
    put_image(world, base, ".ylog", &other);
    assert_int_equal(repair(world, NULL, YD_ECORRUPT, "the chain breaks here").mended, 0);
    free(good.bytes);
    free(damaged.bytes);
    free(other.bytes);
}

/* ---- following ---- */

/* Where a follower may stand: the leader compares the chain at each of these places. */
static void a_leader_refuses_a_place_with_another_chain_wherever_it_is(void **state)
{
    struct world *world = *state;
    char leader_dir[300], follower_dir[300];
    (void)snprintf(leader_dir, sizeof leader_dir, "%s/leader", world->dir);
    (void)snprintf(follower_dir, sizeof follower_dir, "%s/follower", world->dir);
    struct yd_log_options options = world_options(world);
    options.segment_size_min = options.segment_size_max = 64 << 10;
    options.dir = leader_dir;
    struct yd_log *leader = world_open(world, &options, NULL);
    options.dir = follower_dir;
    options.follower = true;
    struct yd_log *follower = world_open(world, &options, NULL);
    struct making making = {.tag = "aa"};
    for (int i = 0; i < BATCHES; i++) append_tagged(leader, &making, i);
    assert_int_equal(yd_log_maintain(leader), 0); /* seals */
    struct pump pump;
    uint64_t common;
    unsigned between = 0, inside = 0, at_end = 0;
    assert_int_equal(pump_open(&pump, leader, follower, "f", &common), 0);
    for (;;) {
        struct yd_log_place place;
        assert_int_equal(yd_log_flush(follower), 0);
        yd_log_place(follower, &place);
        if (place.log_id != 0 && place.seqno > 0) {
            struct yd_log_position position;
            yd_log_position(leader, &position);
            if (place.segment == YD__NO_SEGMENT)
                between++;
            else if (place.seqno < position.written)
                inside++;
            else
                at_end++;
            assert_int_equal(yd_log_follow_check(leader, &place, &common), 0);
            place.last_crc ^= 1;
            assert_int_equal(yd_log_follow_check(leader, &place, &common), YD_EGAP);
            assert_true(common <= place.seqno);
        }
        /* One batch at a time. */
        if (!pump.pending) {
            const void *bytes;
            int error = yd_log_source_next(pump.source, &pump.part, &pump.base, &pump.segment_size, &bytes, &pump.size);
            if (error == YD_EAGAIN) break;
            assert_int_equal(error, 0);
            pump.bytes = bytes;
            pump.at = 0;
            pump.pending = true;
        }
        if (pump.part == YD_LOG_FRAMES) {
            struct yd_batch *batch;
            assert_int_equal(yd_batch_from_bytes(pump.bytes + pump.at, pump.size - pump.at, &batch), 0);
            assert_int_equal(yd_log_follow_batch(follower, batch), 0);
            pump.at += batch->header.size;
            yd_batch_unref(batch);
            pump.pending = pump.at < pump.size;
        } else {
            assert_int_equal(pump_give(&pump), 0);
            pump.pending = false;
        }
    }
    print_message("# %u between segments, %u inside, %u at the end\n", between, inside, at_end);
    assert_true(between >= 2 && inside > 20 && at_end >= 1);
    pump_close(&pump);
    assert_int_equal(world_close(world, follower), 0);
    assert_int_equal(world_close(world, leader), 0);
}

/* A leader that was promoted right behind a sealed segment, before it has begun the next one. */
static void a_leader_without_an_open_segment_compares_the_chain_too(void **state)
{
    struct world *world = *state;
    char leader_dir[300], follower_dir[300];
    (void)snprintf(leader_dir, sizeof leader_dir, "%s/leader", world->dir);
    (void)snprintf(follower_dir, sizeof follower_dir, "%s/follower", world->dir);
    struct yd_log_options options = world_options(world);
    options.segment_size_min = options.segment_size_max = 64 << 10;
    options.dir = leader_dir;
    struct yd_log *leader = world_open(world, &options, NULL);
    options.dir = follower_dir;
    options.follower = true;
    struct yd_log *follower = world_open(world, &options, NULL);
    struct making making = {.tag = "aa"};
    for (int i = 0; i < BATCHES; i++) append_tagged(leader, &making, i);
    assert_int_equal(yd_log_maintain(leader), 0);
    struct pump pump;
    uint64_t common;
    assert_int_equal(pump_open(&pump, leader, follower, "f", &common), 0);
    do assert_int_equal(pump_step(&pump), 0);
    while (pump.part != YD_LOG_SEAL);
    struct yd_log_place place;
    yd_log_place(follower, &place);
    assert_true(place.segment == YD__NO_SEGMENT && place.seqno > 0);
    pump_close(&pump);
    assert_int_equal(world_close(world, follower), 0);
    assert_int_equal(world_close(world, leader), 0);
    uint32_t epoch;
    assert_int_equal(yd_log_promote_dir(world->fs, follower_dir, 0, 2, &epoch, NULL), 0);
    options.follower = false;
    struct yd_log *promoted = world_open(world, &options, NULL);
    assert_int_equal(yd_log_follow_check(promoted, &place, &common), 0);
    place.last_crc ^= 1;
    assert_int_equal(yd_log_follow_check(promoted, &place, &common), YD_EGAP);
    assert_true(common < place.seqno);
    assert_int_equal(world_close(world, promoted), 0);
}

#define SIM(test) cmocka_unit_test_setup_teardown(test, world_setup_sim, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIM(repair_takes_nothing_that_diverges_where_the_damage_is),
        SIM(repair_keeps_our_edges_when_the_other_copy_has_others),
        SIM(repair_asks_the_next_source_when_one_is_of_another_history),
        SIM(repair_finds_a_stale_frame_by_the_one_behind_it),
        SIM(repair_takes_no_head_and_no_file_of_another_history),
        SIM(a_leader_refuses_a_place_with_another_chain_wherever_it_is),
        SIM(a_leader_without_an_open_segment_compares_the_chain_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
