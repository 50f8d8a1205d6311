/* Cursor wires, saved states, crashes of elements and of the machine, spills: on the simulated system. */
#include "classes.h"
#include "log/mend.h"

static void small_source(struct world *w, uint32_t source, int64_t batches, int64_t records)
{
    world_int(w, source, "batches", batches);
    world_int(w, source, "records", records);
}

/* a (asks for durable) -> log -> c */
static void chain(struct world *w, uint64_t seed, int64_t batches, const struct yd_element_class *reader)
{
    world_init(w, seed, false);
    uint32_t a = world_node(w, "a", &source_class), l = world_node(w, "l", &log_class), c = world_node(w, "c", reader);
    small_source(w, a, batches, 10);
    world_int(w, a, "level", 3);
    world_wire(w, a, 0, l, 0);
    world_wire(w, l, 1, c, 0);
}

static void a_cursor_brings_everything_then_end(void **state)
{
    (void)state;
    struct world w;
    chain(&w, 1, 500, &sink_class);
    assert_int_equal(world_start(&w, NULL), 0);
    assert_true(world_until_finished(&w, 20 * YD_NS_PER_S));
    assert_int_equal(world_exit_code(&w), 0);
    assert_int_equal(seen_of("a")->acks, 500);
    assert_int_equal(seen_of("c")->count, 5000);
    assert_false(seen_of("c")->out_of_order);
    struct yd_wire_stat stat = world_wire_stat(&w, 1);
    assert_int_equal(stat.acknowledged, 5000);
    assert_int_equal(stat.saved, 5000);
    assert_int_equal(stat.in_flight_records, 0);
    assert_int_equal(world_wire_stat(&w, 0).in_flight_records, 0);
    assert_true(stat.ended);
    world_check_identity(&w);
    world_fini(&w);
    seen_clear();
}

static void a_restarted_cursor_goes_on_where_it_had_acknowledged(void **state)
{
    (void)state;
    struct world w;
    chain(&w, 2, 300, &sink_class);
    assert_int_equal(world_start(&w, NULL), 0);
    assert_true(world_until_finished(&w, 20 * YD_NS_PER_S));
    world_stop(&w);
    assert_int_equal(seen_of("c")->count, 3000);
    assert_int_equal(world_start(&w, NULL), 0); /* 3000 more of the same values */
    assert_true(world_until_finished(&w, 20 * YD_NS_PER_S));
    assert_int_equal(seen_of("c")->count, 6000);
    assert_int_equal(seen_of("c")->values[3000], 0);
    world_fini(&w);
    seen_clear();
}

static void after_a_power_cut_nothing_acknowledged_is_missing(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 20; seed++) {
        struct world w;
        chain(&w, seed, 1000, &sink_class);
        world_int(&w, 0, "every", 100 * YD_NS_PER_US);
        assert_int_equal(world_start(&w, NULL), 0);
        world_step(&w, (int64_t)(10 + seed) * YD_NS_PER_MS);
        uint64_t acks = seen_of("a")->acks, seen = seen_of("c")->count;
        world_crash(&w);
        assert_int_equal(seen_of("a")->acks, acks);
        small_source(&w, 0, 0, 0);
        assert_int_equal(world_start(&w, NULL), 0);
        assert_true(world_until_finished(&w, 20 * YD_NS_PER_S));
        /* What came before the cut and was not saved came again; together it is all that was acknowledged. */
        struct seen *c = seen_of("c");
        uint64_t top = 0;
        for (uint64_t i = 0; i < c->count; i++) {
            assert_true(c->values[i] <= (int64_t)top);
            if (c->values[i] == (int64_t)top) top++;
        }
        assert_true(top >= acks * 10);
        assert_true(top >= seen);
        world_fini(&w);
        seen_clear();
    }
}

static void a_rebuilding_reader_starts_at_the_oldest_always(void **state)
{
    (void)state;
    struct yd_element_class rebuilds = sink_class;
    rebuilds.flags |= YD_CLASS_REBUILDS;
    struct world w;
    chain(&w, 3, 50, &rebuilds);
    world_int(&w, 2, "fail_at", 200);
    world_int(&w, 2, "fails", 1);
    assert_int_equal(world_start(&w, NULL), 0);
    assert_true(world_until_finished(&w, 20 * YD_NS_PER_S));
    world_stop(&w);
    struct seen *c = seen_of("c");
    assert_int_equal(c->opens, 2);
    assert_int_equal(c->values[c->count - 1], 499);
    /* After its crash it got everything from 0 again. */
    uint64_t zeros = 0;
    for (uint64_t i = 0; i < c->count; i++) zeros += c->values[i] == 0;
    assert_int_equal(zeros, 2);
    small_source(&w, 0, 0, 0);
    uint64_t before = c->count;
    assert_int_equal(world_start(&w, NULL), 0);
    assert_true(world_until_finished(&w, 20 * YD_NS_PER_S));
    assert_int_equal(c->count - before, 500);
    world_fini(&w);
    seen_clear();
}

static void a_drain_leaves_what_a_slow_reader_has_not_read(void **state)
{
    (void)state;
    struct world w;
    chain(&w, 4, 200, &sink_class);
    world_int(&w, 2, "hold", 20 * YD_NS_PER_MS);
    w.wires[1].queue_records = 10;
    assert_int_equal(world_start(&w, NULL), 0);
    world_step(&w, 500 * YD_NS_PER_MS);
    yd_run_drain(w.run, YD_NS_PER_S);
    assert_true(world_until_finished(&w, 2 * YD_NS_PER_S));
    assert_int_equal(world_exit_code(&w), 0);
    struct seen *c = seen_of("c");
    assert_true(c->count < 2000);
    world_stop(&w);
    small_source(&w, 0, 0, 0);
    world_int(&w, 2, "hold", 0);
    assert_int_equal(world_start(&w, NULL), 0);
    assert_true(world_until_finished(&w, 20 * YD_NS_PER_S));
    assert_int_equal(c->count, 2000); /* each once */
    assert_int_equal(c->values[1999], 1999);
    world_fini(&w);
    seen_clear();
}

static void a_damaged_cursor_is_refused_by_name(void **state)
{
    (void)state;
    struct world w;
    struct yd_trail trail = {0};
    char path[128];
    chain(&w, 15, 20, &sink_class);
    assert_int_equal(world_start(&w, NULL), 0);
    assert_true(world_until_finished(&w, 20 * YD_NS_PER_S));
    world_stop(&w);
    snprintf(path, sizeof path, "%s/streams/l/0/cursors/c", w.data);
    assert_int_equal(yd_sim_fs_rot(w.fs, path, 0, 64, 1), 0);
    assert_int_equal(world_start(&w, &trail), YD_ECORRUPT); /* to begin anywhere else would lose or repeat unasked */
    assert_non_null(strstr(yd_trail_text(&trail), "the cursor of"));
    world_fini(&w);
    seen_clear();
}

static void rot_in_a_stream_is_told_to_its_reader_and_counted(void **state)
{
    (void)state;
    struct world w;
    chain(&w, 16, 200, &sink_class);
    world_int(&w, 2, "hold", 20 * YD_NS_PER_MS);
    w.wires[1].queue_records = 10;
    assert_int_equal(world_start(&w, NULL), 0);
    world_step(&w, 200 * YD_NS_PER_MS);
    yd_run_drain(w.run, YD_NS_PER_S);
    assert_true(world_until_finished(&w, 2 * YD_NS_PER_S));
    uint64_t before = seen_of("c")->count;
    assert_true(before > 0 && before < 1900);
    world_stop(&w);
    struct yd_batch *like = world_batch(0, 10);
    char path[128];
    snprintf(path, sizeof path, "%s/streams/l/0/00000000000000000000.ylog", w.data);
    assert_int_equal(yd_sim_fs_rot(w.fs, path, 4096 + 195 * like->header.size + 200, 4, 1), 0);
    yd_batch_unref(like);
    small_source(&w, 0, 0, 0);
    world_int(&w, 2, "hold", 0);
    assert_int_equal(world_start(&w, NULL), 0);
    assert_true(world_until_finished(&w, 20 * YD_NS_PER_S));
    struct seen *c = seen_of("c");
    assert_int_equal(c->count, 1990); /* but for that one batch, each once, in order */
    assert_int_equal(c->values[1949], 1949);
    assert_int_equal(c->values[1950], 1960);
    struct yd_wire_stat stat = world_wire_stat(&w, 1);
    assert_int_equal(stat.gaps, 1);
    assert_int_equal(stat.gap_records, 10);
    assert_non_null(strstr(w.said, "10 records (1950 to 1960) are missing"));
    world_fini(&w);
    seen_clear();
}

/* ---- what tombstones cover ---- */

static void put_tombstone(struct world *w, uint64_t until)
{
    char dir[128];
    snprintf(dir, sizeof dir, "%s/streams/l/0", w->data);
    struct yd_log_options options = {.fs = w->fs, .dir = dir, .stream = "l"};
    struct yd_tombstone tombstone = {.names = YD_STR("x"), .until_seqno = until, .until_time = INT64_MAX};
    struct yd_log *log;
    struct yd_batch *batch;
    struct yd_log_appended appended;
    assert_int_equal(yd_log_open(&options, &log, NULL, NULL), 0);
    assert_int_equal(yd_tombstone_batch(&tombstone, 1, &batch), 0);
    assert_int_equal(yd_log_append(log, batch, -1, UINT64_MAX, &appended), 0);
    yd_batch_unref(batch);
    assert_int_equal(yd_log_close(log), 0);
}

static void what_a_tombstone_covers_is_left_out_of_a_wire_and_counted(void **state)
{
    (void)state;
    struct yd_element_class rebuilds = sink_class;
    rebuilds.flags |= YD_CLASS_REBUILDS;
    struct world w;
    chain(&w, 17, 50, &rebuilds);
    assert_int_equal(world_start(&w, NULL), 0);
    assert_true(world_until_finished(&w, 20 * YD_NS_PER_S));
    world_stop(&w);
    struct seen *c = seen_of("c");
    assert_int_equal(c->count, 500);
    put_tombstone(&w, 105); /* ten batches, and a part of one */
    small_source(&w, 0, 0, 0);
    assert_int_equal(world_start(&w, NULL), 0);
    assert_true(world_until_finished(&w, 20 * YD_NS_PER_S));
    assert_int_equal(c->count, 500 + 395 + 1); /* the tombstone passes */
    assert_int_equal(c->values[500], 105);
    assert_int_equal(c->values[894], 499);
    struct yd_wire_stat stat = world_wire_stat(&w, 1);
    assert_int_equal(stat.forgotten, 105);
    assert_int_equal(stat.records, 396);
    assert_int_equal(stat.acknowledged, 501);
    assert_true(stat.ended);
    world_check_identity(&w);
    world_fini(&w);
    seen_clear();
}

static void a_cursor_passes_what_was_forgotten_before_it_was_read(void **state)
{
    (void)state;
    struct world w;
    chain(&w, 18, 200, &sink_class);
    world_int(&w, 2, "hold", 20 * YD_NS_PER_MS);
    w.wires[1].queue_records = 10;
    assert_int_equal(world_start(&w, NULL), 0);
    world_step(&w, 200 * YD_NS_PER_MS);
    yd_run_drain(w.run, YD_NS_PER_S);
    assert_true(world_until_finished(&w, 2 * YD_NS_PER_S));
    struct seen *c = seen_of("c");
    uint64_t before = c->count;
    assert_true(before > 0 && before < 1900);
    world_stop(&w);
    put_tombstone(&w, UINT64_MAX);
    small_source(&w, 0, 0, 0);
    world_int(&w, 2, "hold", 0);
    assert_int_equal(world_start(&w, NULL), 0);
    assert_true(world_until_finished(&w, 20 * YD_NS_PER_S));
    assert_int_equal(c->count, before + 1); /* the tombstone alone */
    struct yd_wire_stat stat = world_wire_stat(&w, 1);
    assert_int_equal(stat.forgotten, 2000 - before);
    assert_int_equal(stat.acknowledged, 2001);
    assert_int_equal(stat.saved, 2001);
    assert_int_equal(stat.gaps, 0);
    world_stop(&w);
    small_source(&w, 0, 10, 10); /* what comes later is given, over a tombstone that is in the files */
    assert_int_equal(world_start(&w, NULL), 0);
    assert_true(world_until_finished(&w, 20 * YD_NS_PER_S));
    assert_int_equal(c->count, before + 101);
    world_fini(&w);
    seen_clear();
}

/* ---- crashes of elements ---- */

static void a_crashed_element_gets_its_batch_again(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 5, false);
    uint32_t a = world_node(&w, "a", &source_class), b = world_node(&w, "b", &pass_class),
             c = world_node(&w, "c", &sink_class);
    small_source(&w, a, 100, 10);
    world_int(&w, a, "level", 1);
    world_int(&w, b, "fail_at", 500);
    world_int(&w, b, "fails", 3);
    world_wire(&w, a, 0, b, 0);
    world_wire(&w, b, 1, c, 0);
    assert_int_equal(world_start(&w, NULL), 0);
    assert_true(world_until_finished(&w, 20 * YD_NS_PER_S));
    assert_int_equal(world_exit_code(&w), 0);
    assert_int_equal(seen_of("b")->opens, 4);
    assert_int_equal(seen_of("b")->starts, 4);
    assert_int_equal(seen_of("c")->count, 1000);
    assert_false(seen_of("c")->out_of_order);
    assert_int_equal(seen_of("a")->acks, 100);
    assert_int_equal(world_element(&w, b).crashes, 3);
    world_check_identity(&w);
    world_fini(&w);
    seen_clear();
}

static int count_records(void *arg, struct yd_log_reader *reader)
{
    uint64_t *count = arg;
    struct yd_batch *batch;
    struct yd_log_gap gap;
    while (yd_log_reader_next(reader, &batch, &gap) == 0) {
        *count += batch->header.count;
        yd_batch_unref(batch);
    }
    return 0;
}

static uint64_t records_in(struct world *w, const char *dir)
{
    char path[128];
    struct yd_log_reader *reader;
    struct yd_log_start start = {.level = YD_ACK_WRITTEN};
    uint64_t count = 0;
    snprintf(path, sizeof path, "%s/%s", w->data, dir);
    assert_int_equal(yd_log_reader_open_dir(w->fs, path, &start, &reader, NULL), 0);
    (void)count_records(&count, reader);
    yd_log_reader_close(reader);
    return count;
}

static void poison_is_parked_and_the_rest_goes_on(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 6, false);
    uint32_t a = world_node(&w, "a", &source_class), b = world_node(&w, "b", &pass_class),
             c = world_node(&w, "c", &sink_class);
    small_source(&w, a, 100, 10);
    world_int(&w, a, "level", 1);
    world_int(&w, b, "fail_at", 500);
    w.nodes[b].options.restart_max = 2;
    world_wire(&w, a, 0, b, 0);
    world_wire(&w, b, 1, c, 0);
    assert_int_equal(world_start(&w, NULL), 0);
    assert_true(world_until_finished(&w, 60 * YD_NS_PER_S));
    assert_int_equal(world_exit_code(&w), 1);
    assert_int_equal(seen_of("c")->count, 990);
    assert_int_equal(seen_of("a")->acks, 99);
    assert_int_equal(seen_of("a")->last_error, YD_EFAIL);
    assert_int_equal(world_element(&w, b).parked, 10);
    assert_int_equal(world_input(&w, b, "in").dropped, 10);
    assert_non_null(strstr(w.said, "were parked in"));
    world_check_identity(&w);
    world_stop(&w);
    assert_int_equal(records_in(&w, "parked/b"), 10);
    world_fini(&w);
    seen_clear();
}

static void a_stopped_element_drops_counted_but_a_cursor_keeps_its_place(void **state)
{
    (void)state;
    for (int cursor = 0; cursor < 2; cursor++) {
        struct world w;
        world_init(&w, 7, false);
        uint32_t a = world_node(&w, "a", &source_class), l = world_node(&w, "l", &log_class),
                 c = world_node(&w, "c", &sink_class);
        small_source(&w, a, 100, 10);
        world_int(&w, a, "level", 1);
        world_int(&w, c, "fail_at", 500);
        w.nodes[c].options = (struct yd_node_options){.restart_max = 1, .on_crash = YD_CRASH_STOP};
        world_wire(&w, a, 0, cursor ? l : c, 0);
        if (cursor) world_wire(&w, l, 1, c, 0);
        assert_int_equal(world_start(&w, NULL), 0);
        assert_true(world_until_finished(&w, 60 * YD_NS_PER_S));
        assert_int_equal(world_exit_code(&w), 1);
        assert_int_equal(seen_of("c")->count, 500);
        world_check_identity(&w);
        if (cursor) {
            assert_int_equal(world_wire_stat(&w, 1).acknowledged, 500);
            world_stop(&w);
            world_int(&w, c, "fail_at", -1);
            small_source(&w, a, 0, 0);
            assert_int_equal(world_start(&w, NULL), 0);
            assert_true(world_until_finished(&w, 60 * YD_NS_PER_S));
            assert_int_equal(seen_of("c")->count, 1000);
        } else {
            assert_int_equal(world_input(&w, c, "in").dropped, 500);
            assert_int_equal(seen_of("a")->last_error, YD_EUNDELIVERABLE);
        }
        world_fini(&w);
        seen_clear();
    }
}

static void on_crash_exit_ends_the_run(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 8, false);
    uint32_t a = world_node(&w, "a", &source_class), c = world_node(&w, "c", &sink_class);
    small_source(&w, a, 100, 10);
    world_int(&w, a, "endless", 1);
    world_int(&w, c, "fail_at", 500);
    w.nodes[c].options = (struct yd_node_options){.restart_max = 1, .on_crash = YD_CRASH_EXIT};
    world_wire(&w, a, 0, c, 0);
    assert_int_equal(world_start(&w, NULL), 0);
    assert_true(world_until_finished(&w, 60 * YD_NS_PER_S));
    assert_int_equal(world_exit_code(&w), 1);
    world_fini(&w);
    seen_clear();
}

static void a_crash_of_a_log_is_survived_by_its_readers(void **state)
{
    (void)state;
    struct world w;
    chain(&w, 9, 200, &sink_class);
    world_int(&w, 1, "fail_at", 1000);
    world_int(&w, 1, "fails", 2);
    assert_int_equal(world_start(&w, NULL), 0);
    assert_true(world_until_finished(&w, 60 * YD_NS_PER_S));
    assert_int_equal(seen_of("l")->opens, 3);
    struct seen *c = seen_of("c");
    int64_t top = 0;
    for (uint64_t i = 0; i < c->count; i++) {
        assert_true(c->values[i] <= top);
        if (c->values[i] == top) top++;
    }
    assert_int_equal(top, 2000);
    assert_int_equal(seen_of("a")->acks + seen_of("a")->acks_failed, 200);
    world_check_identity(&w);
    world_fini(&w);
    seen_clear();
}

/* Its readers have let go of it once, and are asked again before each further attempt. */
static void a_log_that_cannot_be_opened_again_at_once_is_opened_later(void **state)
{
    (void)state;
    struct world w;
    chain(&w, 11, 200, &sink_class);
    world_int(&w, 1, "fail_at", 1000);
    world_int(&w, 1, "fails", 1);
    world_int(&w, 1, "reopen_fails", 3);
    assert_int_equal(world_start(&w, NULL), 0);
    assert_true(world_until_finished(&w, 60 * YD_NS_PER_S));
    assert_int_equal(seen_of("l")->opens, 5);
    struct seen *c = seen_of("c");
    int64_t top = 0;
    for (uint64_t i = 0; i < c->count; i++)
        if (c->values[i] == top) top++;
    assert_int_equal(top, 2000);
    world_check_identity(&w);
    world_fini(&w);
    seen_clear();
}

/* ---- saved state ---- */

static void a_counter_counts_each_once_whatever_crashes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 25; seed++) {
        struct world w;
        world_init(&w, seed, false);
        uint32_t a = world_node(&w, "a", &source_class), l = world_node(&w, "l", &log_class),
                 h = world_node(&w, "h", &halves_class), c = world_node(&w, "c", &counter_class),
                 m = world_node(&w, "m", &log_class);
        small_source(&w, a, 600, 10);
        world_int(&w, a, "level", 3);
        world_int(&w, a, "every", 200 * YD_NS_PER_US);
        world_int(&w, c, "fail_at", (int64_t)(seed * 100));
        world_int(&w, c, "fails", 1 + (int64_t)(seed % 3));
        world_wire(&w, a, 0, l, 0);
        world_wire(&w, l, 1, h, 0);
        world_wire(&w, h, 1, c, 0);
        world_wire(&w, c, 1, m, 0);
        w.options.save_interval_ns = 20 * YD_NS_PER_MS;
        assert_int_equal(world_start(&w, NULL), 0);
        uint64_t acks = 0;
        for (int crash = 0; crash < 3; crash++) { /* the power goes, three times */
            world_step(&w, (int64_t)(10 + seed * 7 % 50) * YD_NS_PER_MS);
            acks = seen_of("a")->acks;
            world_crash(&w);
            small_source(&w, a, 0, 0); /* only the first life makes records */
            assert_int_equal(world_start(&w, NULL), 0);
        }
        assert_true(world_until_finished(&w, 60 * YD_NS_PER_S));
        assert_int_equal(world_exit_code(&w), 0);
        world_check_identity(&w);
        world_stop(&w);
        uint64_t in = records_in(&w, "streams/l/0");
        assert_true(in >= acks * 10);
        /* The state has counted what the log holds, each once, and its last result says so. */
        if (seen_of("c")->answered) assert_int_equal(seen_of("c")->answered, in);
        assert_int_equal(records_in(&w, "streams/m/0"), in / 5); /* two halves of each batch: one result each, once */
        world_fini(&w);
        seen_clear();
    }
}

/* In front of it a source that cannot send again: what came since the last save is gone with the crash, and whoever
 * asked is told; what was acknowledged is in the state. */
static void a_counter_behind_a_source_keeps_what_it_acknowledged(void **state)
{
    (void)state;
    for (int64_t fail_at = 100; fail_at < 3000; fail_at += 370) {
        struct world w;
        world_init(&w, (uint64_t)fail_at, false);
        uint32_t a = world_node(&w, "a", &source_class), c = world_node(&w, "c", &counter_class);
        small_source(&w, a, 300, 10);
        world_int(&w, a, "level", 1);
        world_int(&w, a, "every", YD_NS_PER_MS);
        world_int(&w, c, "fail_at", fail_at / 10 * 10);
        world_int(&w, c, "fails", 1);
        world_wire(&w, a, 0, c, 0);
        w.options.save_interval_ns = 20 * YD_NS_PER_MS;
        assert_int_equal(world_start(&w, NULL), 0);
        assert_true(world_until_finished(&w, 20 * YD_NS_PER_S));
        assert_int_equal(world_exit_code(&w), 0);
        struct seen *source = seen_of("a");
        assert_int_equal(source->acks + source->acks_failed, 300);
        assert_true(source->acks_failed > 0 && source->acks_failed <= 25); /* a save's time, and a little */
        assert_int_equal(source->last_error, YD_ECANCELED);
        assert_int_equal(seen_of("c")->answered, source->acks * 10); /* the state: exactly what was acknowledged */
        world_check_identity(&w);
        world_fini(&w);
        seen_clear();
    }
}

static void poison_of_a_counter_is_parked_once(void **state)
{
    (void)state;
    struct world w;
    chain(&w, 11, 100, &counter_class);
    world_int(&w, 2, "fail_at", 500);
    w.nodes[2].options.restart_max = 2;
    assert_int_equal(world_start(&w, NULL), 0);
    assert_true(world_until_finished(&w, 120 * YD_NS_PER_S));
    assert_int_equal(world_exit_code(&w), 1);
    assert_int_equal(seen_of("c")->answered, 990);
    world_check_identity(&w);
    world_stop(&w);
    assert_int_equal(records_in(&w, "parked/c"), 10);
    world_fini(&w);
    seen_clear();
}

static void a_damaged_state_is_refused_by_name(void **state)
{
    (void)state;
    struct world w;
    struct yd_trail trail = {0};
    chain(&w, 12, 10, &counter_class);
    assert_int_equal(world_start(&w, NULL), 0);
    assert_true(world_until_finished(&w, 20 * YD_NS_PER_S));
    world_stop(&w);
    char *data;
    size_t size;
    assert_int_equal(yd_fs_read_all(w.fs, "data/state/c.state", 1 << 20, &data, &size), 0);
    data[size - 1] ^= 1;
    assert_int_equal(yd_fs_replace(w.fs, "data/state/c.state", data, size), 0);
    free(data);
    assert_int_equal(world_start(&w, &trail), YD_ECORRUPT);
    assert_non_null(strstr(yd_trail_text(&trail), "c.state"));
    world_fini(&w);
    seen_clear();
}

/* ---- a log behind a log ---- */

static void a_range_sent_again_is_written_once(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 25; seed++) {
        struct world w;
        world_init(&w, seed, false);
        uint32_t a = world_node(&w, "a", &source_class), l = world_node(&w, "l", &log_class),
                 h = world_node(&w, "h", &halves_class), b = world_node(&w, "b", &pass_class),
                 m = world_node(&w, "m", &log_class);
        small_source(&w, a, 300, 10);
        world_int(&w, a, "every", 100 * YD_NS_PER_US);
        world_wire(&w, a, 0, l, 0);
        world_wire(&w, l, 1, h, 0);
        world_wire(&w, l, 1, b, 0);
        world_wire(&w, h, 1, m, 0);
        world_wire(&w, b, 1, m, 0); /* the same records by two ways: both are kept */
        assert_int_equal(world_start(&w, NULL), 0);
        for (int crash = 0; crash < 3; crash++) {
            world_step(&w, (int64_t)(8 + seed * 5 % 30) * YD_NS_PER_MS);
            world_crash(&w);
            small_source(&w, a, 0, 0);
            assert_int_equal(world_start(&w, NULL), 0);
        }
        assert_true(world_until_finished(&w, 60 * YD_NS_PER_S));
        assert_int_equal(world_exit_code(&w), 0);
        world_stop(&w);
        assert_int_equal(records_in(&w, "streams/m/0"), 2 * records_in(&w, "streams/l/0"));
        world_fini(&w);
        seen_clear();
    }
}

/* ---- spills ---- */

static void a_spill_keeps_the_sender_going_and_loses_nothing(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 13, false);
    uint32_t a = world_node(&w, "a", &source_class), c = world_node(&w, "c", &sink_class);
    small_source(&w, a, 200, 10);
    world_int(&w, a, "level", 3);
    world_int(&w, a, "every", 100 * YD_NS_PER_US);
    world_int(&w, c, "hold", 5 * YD_NS_PER_MS);
    struct yd_wire *wire = world_wire(&w, a, 0, c, 0);
    wire->queue_records = 20;
    wire->full = YD_FULL_SPILL;
    assert_int_equal(world_start(&w, NULL), 0);
    world_step(&w, 60 * YD_NS_PER_MS);
    assert_true(world_element(&w, a).blocked == false);
    assert_int_equal(seen_of("a")->blocked, 0);
    assert_true(world_until_finished(&w, 60 * YD_NS_PER_S));
    assert_int_equal(world_exit_code(&w), 0);
    assert_int_equal(seen_of("c")->count, 2000);
    assert_false(seen_of("c")->out_of_order);
    assert_int_equal(seen_of("a")->acks, 200);
    assert_true(world_wire_stat(&w, 0).spilled > 1000);
    world_check_identity(&w);
    world_fini(&w);
    seen_clear();
}

static void a_spill_on_a_full_disk_loses_nothing(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 17, false);
    uint32_t a = world_node(&w, "a", &source_class), c = world_node(&w, "c", &sink_class);
    small_source(&w, a, 1000, 150);
    world_int(&w, a, "level", 3);
    world_int(&w, a, "every", 100 * YD_NS_PER_US);
    world_int(&w, c, "hold", 5 * YD_NS_PER_MS);
    struct yd_wire *wire = world_wire(&w, a, 0, c, 0);
    wire->queue_records = 300;
    wire->full = YD_FULL_SPILL;
    assert_int_equal(world_start(&w, NULL), 0);
    world_step(&w, 5 * YD_NS_PER_MS);
    yd_sim_fs_capacity(w.fs, 1);
    world_step(&w, 500 * YD_NS_PER_MS);
    assert_true(yd_sim_fs_counts(w.fs)->no_space > 0);
    uint64_t acks = seen_of("a")->acks;
    world_step(&w, 500 * YD_NS_PER_MS);
    assert_true(acks < 1000 && seen_of("a")->acks_failed == 0);
    world_check_identity(&w);
    yd_sim_fs_capacity(w.fs, UINT64_C(1) << 40);
    assert_true(world_until_finished(&w, 60 * YD_NS_PER_S));
    assert_int_equal(world_exit_code(&w), 0);
    assert_int_equal(seen_of("c")->count, 150000);
    assert_false(seen_of("c")->out_of_order);
    assert_int_equal(seen_of("a")->acks, 1000);
    world_check_identity(&w);
    world_fini(&w);
    seen_clear();
}

static void what_is_left_in_a_spill_goes_first_next_time(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct world w;
        world_init(&w, seed, false);
        uint32_t a = world_node(&w, "a", &source_class), c = world_node(&w, "c", &sink_class);
        small_source(&w, a, 200, 10);
        world_int(&w, a, "level", 3);
        world_int(&w, c, "hold", 5 * YD_NS_PER_MS);
        struct yd_wire *wire = world_wire(&w, a, 0, c, 0);
        wire->queue_records = 20;
        wire->full = YD_FULL_SPILL;
        assert_int_equal(world_start(&w, NULL), 0);
        world_step(&w, (int64_t)(seed * 10) * YD_NS_PER_MS);
        uint64_t acks = seen_of("a")->acks;
        world_crash(&w);
        small_source(&w, a, 0, 0);
        assert_int_equal(world_start(&w, NULL), 0);
        assert_true(world_until_finished(&w, 60 * YD_NS_PER_S));
        struct seen *seen = seen_of("c");
        int64_t top = 0;
        for (uint64_t i = 0; i < seen->count; i++) top += seen->values[i] == top;
        assert_true((uint64_t)top >= acks * 10);
        world_fini(&w);
        seen_clear();
    }
}

static void real_executors_keep_every_promise_too(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 14, true);
    uint32_t a = world_node(&w, "a", &source_class), l = world_node(&w, "l", &log_class),
             h = world_node(&w, "h", &halves_class), c = world_node(&w, "c", &counter_class),
             m = world_node(&w, "m", &log_class), s = world_node(&w, "s", &sink_class);
    small_source(&w, a, 2000, 10);
    world_int(&w, a, "level", 3);
    world_int(&w, c, "fail_at", 5000);
    world_int(&w, c, "fails", 2);
    world_wire(&w, a, 0, l, 0)->queue_bytes = 100000;
    world_wire(&w, l, 1, h, 0);
    world_wire(&w, h, 1, c, 0)->queue_bytes = 50000;
    world_wire(&w, c, 1, m, 0);
    world_wire(&w, l, 1, s, 0)->read_level = 1;
    w.options.save_interval_ns = 10 * YD_NS_PER_MS;
    assert_int_equal(world_start(&w, NULL), 0);
    assert_true(world_until_finished(&w, 60 * YD_NS_PER_S));
    assert_int_equal(world_exit_code(&w), 0);
    world_check_identity(&w); /* and with that, all that the processes did is seen here */
    assert_int_equal(seen_of("c")->answered, 20000);
    assert_int_equal(seen_of("s")->count, 20000);
    world_stop(&w);
    assert_int_equal(records_in(&w, "streams/m/0"), 4000);
    world_fini(&w);
    seen_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cursor_brings_everything_then_end),
        cmocka_unit_test(a_restarted_cursor_goes_on_where_it_had_acknowledged),
        cmocka_unit_test(after_a_power_cut_nothing_acknowledged_is_missing),
        cmocka_unit_test(a_rebuilding_reader_starts_at_the_oldest_always),
        cmocka_unit_test(a_drain_leaves_what_a_slow_reader_has_not_read),
        cmocka_unit_test(a_damaged_cursor_is_refused_by_name),
        cmocka_unit_test(rot_in_a_stream_is_told_to_its_reader_and_counted),
        cmocka_unit_test(what_a_tombstone_covers_is_left_out_of_a_wire_and_counted),
        cmocka_unit_test(a_cursor_passes_what_was_forgotten_before_it_was_read),
        cmocka_unit_test(a_crashed_element_gets_its_batch_again),
        cmocka_unit_test(poison_is_parked_and_the_rest_goes_on),
        cmocka_unit_test(a_stopped_element_drops_counted_but_a_cursor_keeps_its_place),
        cmocka_unit_test(on_crash_exit_ends_the_run),
        cmocka_unit_test(a_crash_of_a_log_is_survived_by_its_readers),
        cmocka_unit_test(a_log_that_cannot_be_opened_again_at_once_is_opened_later),
        cmocka_unit_test(a_counter_counts_each_once_whatever_crashes),
        cmocka_unit_test(a_counter_behind_a_source_keeps_what_it_acknowledged),
        cmocka_unit_test(poison_of_a_counter_is_parked_once),
        cmocka_unit_test(a_damaged_state_is_refused_by_name),
        cmocka_unit_test(a_range_sent_again_is_written_once),
        cmocka_unit_test(a_spill_keeps_the_sender_going_and_loses_nothing),
        cmocka_unit_test(a_spill_on_a_full_disk_loses_nothing),
        cmocka_unit_test(what_is_left_in_a_spill_goes_first_next_time),
        cmocka_unit_test(real_executors_keep_every_promise_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
