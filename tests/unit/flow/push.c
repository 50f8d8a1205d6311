/* Push wires, END, pumps and queries, on the simulated system. */
#include "classes.h"

static void small_source(struct world *w, uint32_t source, int64_t batches, int64_t records)
{
    world_int(w, source, "batches", batches);
    world_int(w, source, "records", records);
}

static void all_arrives_in_order_and_the_run_ends_by_itself(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1, false);
    uint32_t a = world_node(&w, "a", &source_class), b = world_node(&w, "b", &pass_class),
             c = world_node(&w, "c", &sink_class);
    small_source(&w, a, 100, 10);
    world_wire(&w, a, 0, b, 0);
    world_wire(&w, b, 1, c, 0);
    assert_int_equal(world_start(&w, NULL), 0);
    assert_true(world_until_finished(&w, YD_NS_PER_S));
    assert_int_equal(world_exit_code(&w), 0);
    struct seen *seen = seen_of("c");
    assert_int_equal(seen->count, 1000);
    assert_false(seen->out_of_order);
    assert_int_equal(seen->values[999], 999);
    world_check_identity(&w);
    assert_int_equal(world_input(&w, c, "in").consumed, 1000);
    for (uint32_t wire = 0; wire < 2; wire++) { /* nearly all of the window, and no credit came back for it */
        assert_int_equal(world_wire_stat(&w, wire).in_flight_records, 0);
        assert_int_equal(world_wire_stat(&w, wire).in_flight_bytes, 0);
    }
    world_fini(&w);
    seen_clear();
}

static void block_loses_nothing_and_never_exceeds_the_credit(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 2, false);
    uint32_t a = world_node(&w, "a", &source_class), c = world_node(&w, "c", &sink_class);
    small_source(&w, a, 200, 10);
    world_int(&w, c, "hold", 5 * YD_NS_PER_MS);
    struct yd_wire *wire = world_wire(&w, a, 0, c, 0);
    wire->queue_records = 35;
    assert_int_equal(world_start(&w, NULL), 0);
    uint64_t most = 0;
    for (int i = 0; i < 2000 && !atomic_load(&w.finished); i++) {
        world_step(&w, YD_NS_PER_MS);
        struct yd_input_stat in = world_input(&w, c, "in");
        if (in.queued > most) most = in.queued;
        world_check_identity(&w);
    }
    assert_int_equal(world_exit_code(&w), 0);
    assert_int_equal(most, 30);
    assert_int_equal(seen_of("c")->count, 2000);
    assert_false(seen_of("c")->out_of_order);
    assert_true(seen_of("a")->blocked > 10);
    assert_int_equal(seen_of("a")->blocked, seen_of("a")->unblocked);
    world_fini(&w);
    seen_clear();
}

static void a_batch_larger_than_the_queue_is_admitted_when_it_is_empty(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 3, false);
    uint32_t a = world_node(&w, "a", &source_class), c = world_node(&w, "c", &sink_class);
    small_source(&w, a, 20, 100);
    world_int(&w, c, "hold", YD_NS_PER_MS);
    struct yd_wire *wire = world_wire(&w, a, 0, c, 0);
    wire->queue_bytes = 64;
    wire->queue_records = 1;
    assert_int_equal(world_start(&w, NULL), 0);
    assert_true(world_until_finished(&w, YD_NS_PER_S));
    assert_int_equal(seen_of("c")->count, 2000);
    world_fini(&w);
    seen_clear();
}

static void drop_new_keeps_the_oldest_and_drop_old_the_newest(void **state)
{
    (void)state;
    for (int old = 0; old < 2; old++) {
        struct world w;
        world_init(&w, 4, false);
        uint32_t a = world_node(&w, "a", &source_class), c = world_node(&w, "c", &sink_class);
        small_source(&w, a, 100, 10);
        world_int(&w, a, "level", 1);
        world_int(&w, c, "hold", 100 * YD_NS_PER_MS);
        struct yd_wire *wire = world_wire(&w, a, 0, c, 0);
        wire->queue_records = 100;
        wire->full = old ? YD_FULL_DROP_OLD : YD_FULL_DROP_NEW;
        assert_int_equal(world_start(&w, NULL), 0);
        assert_true(world_until_finished(&w, 10 * YD_NS_PER_S));
        struct seen *seen = seen_of("c");
        assert_int_equal(seen->count, 100);
        assert_int_equal(seen->values[49], 49); /* what was on its way */
        assert_int_equal(seen->values[50], old ? 950 : 50);
        assert_int_equal(seen->values[99], old ? 999 : 99);
        assert_int_equal(seen_of("a")->acks, 10);
        assert_int_equal(seen_of("a")->acks_failed, 90);
        assert_int_equal(seen_of("a")->last_error, YD_EFULL);
        assert_int_equal(world_wire_stat(&w, 0).dropped, 900);
        world_check_identity(&w);
        world_fini(&w);
        seen_clear();
    }
}

static void fan_out_copies_to_each_and_the_worst_answer_wins(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 5, false);
    uint32_t a = world_node(&w, "a", &source_class), b = world_node(&w, "b", &pass_class),
             c = world_node(&w, "c", &sink_class), d = world_node(&w, "d", &sink_class);
    small_source(&w, a, 10, 5);
    world_int(&w, a, "level", 3);
    world_int(&w, d, "hold", YD_NS_PER_MS);
    world_int(&w, d, "error", YD_EIO);
    world_wire(&w, a, 0, b, 0);
    world_wire(&w, b, 1, c, 0);
    world_wire(&w, b, 1, d, 0);
    assert_int_equal(world_start(&w, NULL), 0);
    assert_true(world_until_finished(&w, YD_NS_PER_S));
    assert_int_equal(seen_of("c")->count, 50);
    assert_int_equal(seen_of("d")->count, 50);
    assert_int_equal(seen_of("a")->acks, 0);
    assert_int_equal(seen_of("a")->acks_failed, 10);
    assert_int_equal(seen_of("a")->last_error, YD_EIO);
    assert_int_equal(world_input(&w, d, "in").dropped, 50); /* let go of with an error */
    world_check_identity(&w);
    world_fini(&w);
    seen_clear();
}

static void an_unwired_port_answers_and_is_counted(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 6, false);
    uint32_t a = world_node(&w, "a", &source_class), b = world_node(&w, "b", &pass_class);
    small_source(&w, a, 10, 5);
    world_int(&w, a, "level", 3);
    world_wire(&w, a, 0, b, 0);
    assert_int_equal(world_start(&w, NULL), 0);
    assert_true(world_until_finished(&w, YD_NS_PER_S));
    assert_int_equal(seen_of("a")->acks, 10);
    struct yd_element_stat stat = world_element(&w, b);
    assert_int_equal(stat.outputs[0].unwired, 50);
    world_fini(&w);
    seen_clear();
}

static void rejects_and_drops_are_counted_with_reason_and_sample(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 7, false);
    uint32_t a = world_node(&w, "a", &source_class), c = world_node(&w, "c", &sink_class);
    small_source(&w, a, 10, 5);
    world_int(&w, c, "reject", 2);
    world_wire(&w, a, 0, c, 0);
    assert_int_equal(world_start(&w, NULL), 0);
    assert_true(world_until_finished(&w, YD_NS_PER_S));
    struct yd_input_stat in = world_input(&w, c, "in");
    assert_int_equal(in.received, 50);
    assert_int_equal(in.rejected, 20);
    assert_int_equal(in.dropped, 10);
    assert_int_equal(in.consumed, 20);
    assert_int_equal(in.folded, 10);
    struct yd_element_stat stat = world_element(&w, c);
    assert_int_equal(stat.reasons[0].rejected, 20);
    assert_int_equal(stat.reasons[1].dropped, 10);
    assert_int_equal(stat.sample_count, 10);
    world_fini(&w);
    seen_clear();
}

static void a_blocked_element_still_gets_timers_and_replies(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 8, false);
    uint32_t a = world_node(&w, "a", &source_class), b = world_node(&w, "b", &asker_class),
             c = world_node(&w, "c", &sink_class), d = world_node(&w, "d", &sink_class);
    small_source(&w, a, 100, 10);
    world_int(&w, b, "every", YD_NS_PER_MS);
    world_int(&w, b, "questions", 50);
    world_int(&w, c, "hold", YD_NS_PER_S);
    world_wire(&w, a, 0, b, 2);
    world_wire(&w, b, 1, c, 0)->queue_records = 10;
    world_wire(&w, b, 0, d, 1);
    assert_int_equal(world_start(&w, NULL), 0);
    world_step(&w, 100 * YD_NS_PER_MS);
    assert_true(world_element(&w, b).blocked);
    assert_int_equal(seen_of("c")->count, 10);
    assert_int_equal(seen_of("b")->timers, 50);
    assert_int_equal(seen_of("b")->replies, 50);
    assert_true(world_input(&w, b, "in").queued > 0);
    world_check_identity(&w);
    assert_true(world_until_finished(&w, 200 * YD_NS_PER_S));
    assert_int_equal(seen_of("c")->count, 1000);
    assert_false(seen_of("c")->out_of_order);
    world_fini(&w);
    seen_clear();
}

static void a_long_answer_comes_whole_and_no_faster_than_it_is_taken(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 9, false);
    uint32_t b = world_node(&w, "b", &asker_class), d = world_node(&w, "d", &sink_class);
    world_int(&w, b, "every", YD_NS_PER_MS);
    world_int(&w, b, "questions", 2);
    world_int(&w, d, "batches", 100);
    world_int(&w, d, "records", 20000);
    world_wire(&w, b, 0, d, 1);
    assert_int_equal(world_start(&w, NULL), 0);
    assert_true(world_until_finished(&w, YD_NS_PER_S));
    assert_int_equal(seen_of("b")->replies + seen_of("b")->errors, 2);
    assert_true(seen_of("b")->count >= 2000000);
    world_fini(&w);
    seen_clear();
}

static void a_long_query_lets_batches_and_other_queries_pass(void **state)
{
    (void)state;
    for (int real = 0; real < 2; real++) {
        struct world w;
        world_init(&w, 9, real);
        uint32_t a = world_node(&w, "a", &source_class), b = world_node(&w, "b", &asker_class),
                 d = world_node(&w, "d", &sink_class);
        small_source(&w, a, 200, 10);
        world_int(&w, b, "every", 1000);
        world_int(&w, b, "questions", 3);
        world_int(&w, d, "until", 200);
        world_wire(&w, a, 0, d, 0)->queue_records = 20;
        world_wire(&w, b, 0, d, 1);
        assert_int_equal(world_start(&w, NULL), 0);
        assert_true(world_until_finished(&w, 10 * YD_NS_PER_S));
        assert_int_equal(seen_of("d")->count, 2000);
        assert_false(seen_of("d")->out_of_order);
        assert_int_equal(seen_of("b")->replies, 3);
        assert_int_equal(seen_of("d")->fails, 0); /* it was not given up */
        world_fini(&w);
        seen_clear();
    }
}

static void a_query_put_aside_goes_on_when_it_is_said_and_keeps_its_pace(void **state)
{
    (void)state;
    for (int real = 0; real < 2; real++) {
        struct world w;
        world_init(&w, 9, real);
        uint32_t b = world_node(&w, "b", &asker_class), d = world_node(&w, "d", &sink_class);
        world_int(&w, b, "every", YD_NS_PER_MS);
        world_int(&w, b, "questions", 1);
        world_int(&w, d, "asides", 3);
        world_int(&w, d, "batches", 100); /* the answer counts on from there */
        world_int(&w, d, "records", 20000);
        world_wire(&w, b, 0, d, 1);
        assert_int_equal(world_start(&w, NULL), 0);
        assert_true(world_until_finished(&w, 10 * YD_NS_PER_S));
        assert_int_equal(seen_of("b")->replies, 1);
        assert_int_equal(seen_of("b")->errors, 0);
        assert_int_equal(seen_of("d")->timers, 3);
        assert_int_equal(seen_of("b")->count, 97 * 20000);
        world_fini(&w);
        seen_clear();
    }
}

static void a_query_gets_exactly_one_last_word(void **state)
{
    (void)state;
    static const char *const how[] = {"silent", "deaf", "stopped", "unwired"};
    static const int errors[] = {YD_EFAIL, YD_ETIMEOUT, YD_EUNDELIVERABLE, YD_EUNDELIVERABLE};
    for (int i = 0; i < 4; i++) {
        struct world w;
        world_init(&w, 10, false);
        uint32_t b = world_node(&w, "b", &asker_class), d = world_node(&w, "d", &sink_class),
                 s = world_node(&w, "s", &source_class);
        world_int(&w, b, "every", 60 * YD_NS_PER_MS);
        world_int(&w, b, "questions", 5);
        world_int(&w, b, "timeout", 10 * YD_NS_PER_MS);
        world_int(&w, d, how[i], 1);
        if (i == 2) {
            small_source(&w, s, 1, 1);
            world_int(&w, d, "fail_at", 0);
            w.nodes[d].options = (struct yd_node_options){.restart_max = 1, .on_crash = YD_CRASH_STOP};
        }
        world_wire(&w, s, 0, d, 0);
        if (i != 3) world_wire(&w, b, 0, d, 1);
        assert_int_equal(world_start(&w, NULL), 0);
        if (!world_until_finished(&w, 10 * YD_NS_PER_S))
            fail_msg("%s: %s, %d errors", how[i], w.said, (int)seen_of("b")->errors);
        assert_int_equal(seen_of("b")->errors, 5);
        assert_int_equal(seen_of("b")->replies, 0);
        assert_int_equal(seen_of("b")->last_error, errors[i]);
        assert_int_equal(world_exit_code(&w), i == 2);
        world_fini(&w);
        seen_clear();
    }
}

static void a_pump_is_paused_while_its_element_is_blocked(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 11, false);
    uint32_t a = world_node(&w, "a", &pumped_class), c = world_node(&w, "c", &sink_class);
    small_source(&w, a, 100, 10);
    world_int(&w, a, "every", 100 * YD_NS_PER_US);
    world_int(&w, c, "hold", 2 * YD_NS_PER_MS);
    world_wire(&w, a, 0, c, 0)->queue_records = 20;
    assert_int_equal(world_start(&w, NULL), 0);
    assert_true(world_until_finished(&w, 10 * YD_NS_PER_S));
    assert_int_equal(seen_of("c")->count, 1000);
    assert_false(seen_of("c")->out_of_order);
    assert_false(seen_of("a")->out_of_order); /* never paused twice alike */
    assert_true(seen_of("a")->unblocked > 5);
    struct yd_input_stat in = world_input(&w, a, "pump");
    assert_int_equal(in.received, 1200);
    assert_int_equal(in.rejected, 200);
    assert_int_equal(in.consumed, 1000);
    world_fini(&w);
    seen_clear();
}

static void a_pump_that_was_told_enough_is_always_told_to_go_on(void **state)
{
    (void)state;
    for (int real = 0; real < 2; real++) {
        struct world w;
        world_init(&w, 17, real);
        uint32_t a = world_node(&w, "a", &pumped_class), c = world_node(&w, "c", &sink_class);
        small_source(&w, a, 100, 10000);
        world_int(&w, a, "every", YD_NS_PER_MS);
        world_int(&w, a, "burst", 1);
        world_wire(&w, a, 0, c, 0)->queue_bytes = 64 << 20;
        assert_int_equal(world_start(&w, NULL), 0);
        assert_true(world_until_finished(&w, 20 * YD_NS_PER_S));
        world_check_identity(&w);
        assert_int_equal(seen_of("c")->count, 1000000);
        assert_true(seen_of("a")->blocked >= 2);
        assert_false(seen_of("a")->out_of_order);
        world_fini(&w);
        seen_clear();
    }
}

static void a_files_pump_brings_all_and_ends(void **state)
{
    (void)state;
    for (int real = 0; real < 2; real++) {
        struct world w;
        world_init(&w, 12, real);
        uint32_t a = world_node(&w, "a", &file_pumped_class), c = world_node(&w, "c", &sink_class);
        small_source(&w, a, 1000, 100);
        world_wire(&w, a, 0, c, 0)->queue_bytes = 100000;
        assert_int_equal(world_start(&w, NULL), 0);
        assert_true(world_until_finished(&w, 20 * YD_NS_PER_S));
        assert_int_equal(seen_of("c")->count, 100000);
        assert_false(seen_of("c")->out_of_order);
        world_check_identity(&w);
        world_fini(&w);
        seen_clear();
    }
}

static void a_pump_that_cannot_start_is_an_error_for_people(void **state)
{
    (void)state;
    for (int real = 0; real < 2; real++) {
        struct world w;
        struct yd_trail trail = {0};
        world_init(&w, 13, real);
        uint32_t a = world_node(&w, "a", &pumped_class), b = world_node(&w, "b", &pumped_class),
                 c = world_node(&w, "c", &sink_class);
        world_int(&w, b, "refuse", 1);
        world_int(&w, a, "every", YD_NS_PER_MS);
        world_wire(&w, a, 0, c, 0);
        world_wire(&w, b, 0, c, 0);
        assert_int_equal(world_start(&w, &trail), YD_EADDRINUSE);
        assert_non_null(strstr(yd_trail_text(&trail), "b (Pumped)"));
        assert_non_null(strstr(yd_trail_text(&trail), "port 1 is taken"));
        world_fini(&w);
        seen_clear();
    }
}

static void the_pumps_of_a_spread_element_are_one_to_everybody_else(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 6; seed++) { /* the last one with real executors */
        struct world w;
        memset(&spread_seen, 0, sizeof spread_seen);
        world_init(&w, 40 + seed, seed == 5);
        w.executors = 2;
        uint32_t a = world_node(&w, "a", &spread_class), c = world_node(&w, "c", &sink_class);
        small_source(&w, a, 100, 10);
        world_int(&w, c, "hold", YD_NS_PER_MS);
        world_wire(&w, a, 0, c, 0)->queue_records = 40;
        assert_int_equal(world_start(&w, NULL), 0);
        assert_true(world_until_finished(&w, 20 * YD_NS_PER_S));
        assert_int_equal(seen_of("c")->count, 2000); /* the end came behind the last of both */
        assert_int_equal(spread_seen.starts, 2);
        assert_int_equal(spread_seen.stops, 2);
        assert_int_equal(spread_seen.wrong, 0);
        assert_true(spread_seen.pauses >= 2 && spread_seen.pauses % 2 == 0);
        struct yd_input_stat in = world_input(&w, a, "pump");
        assert_int_equal(in.received, 2200);
        assert_int_equal(in.rejected, 200);
        struct yd_element_stat stat = world_element(&w, a);
        assert_int_equal(stat.pump_count, 2);
        world_check_identity(&w);
        world_fini(&w);
        seen_clear();
    }
}

static void a_spread_element_that_crashes_starts_all_its_pumps_again(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 6; seed++) {
        struct world w;
        memset(&spread_seen, 0, sizeof spread_seen);
        world_init(&w, 50 + seed, seed == 5);
        w.executors = 2;
        uint32_t a = world_node(&w, "a", &spread_class), c = world_node(&w, "c", &sink_class);
        small_source(&w, a, 100, 10);
        world_int(&w, a, "crash", 3 * YD_NS_PER_MS);
        world_wire(&w, a, 0, c, 0);
        assert_int_equal(world_start(&w, NULL), 0);
        assert_true(world_until_finished(&w, 20 * YD_NS_PER_S));
        assert_int_equal(world_element(&w, a).crashes, 1);
        assert_int_equal(spread_seen.starts, 4);
        assert_int_equal(spread_seen.stops, 4);
        assert_in_range(seen_of("c")->count, 2000, 4000); /* what was emitted before the crash has arrived, too */
        world_check_identity(&w);
        world_fini(&w);
        seen_clear();
    }
}

static void a_spread_element_of_which_one_pump_cannot_start_does_not_start(void **state)
{
    (void)state;
    for (int real = 0; real < 2; real++) {
        struct world w;
        struct yd_trail trail = {0};
        memset(&spread_seen, 0, sizeof spread_seen);
        world_init(&w, 60, real);
        w.executors = 2;
        uint32_t a = world_node(&w, "a", &spread_class), c = world_node(&w, "c", &sink_class);
        small_source(&w, a, 100, 10);
        world_int(&w, a, "refuse", 1);
        world_wire(&w, a, 0, c, 0);
        assert_int_equal(world_start(&w, &trail), YD_EADDRINUSE);
        assert_non_null(strstr(yd_trail_text(&trail), "its port is taken"));
        assert_int_equal(spread_seen.starts, 2);
        assert_int_equal(spread_seen.stops, 1); /* the one that had started */
        world_fini(&w);
        seen_clear();
    }
}

/* A class that crashes with its first word, twice; its pump cannot start the second time. */
static struct {
    int words, starts, stops;
    bool up, wrong;
} unlucky;

static int unlucky_start(struct yd_pump *pump, void *state, void *element_state)
{
    (void)element_state;
    *(struct yd_pump **)state = pump;
    if (unlucky.up) unlucky.wrong = true;
    if (++unlucky.starts == 2) return yd_pump_fail(pump, YD_EIO, "not now");
    unlucky.up = true;
    return 0;
}

static void unlucky_stop(void *state)
{
    if (!unlucky.up) unlucky.wrong = true;
    unlucky.up = false;
    unlucky.stops++;
    yd_pump_stopped(*(struct yd_pump **)state);
}

static enum yd_turn_result unlucky_receive(void *state, struct yd_input *input, struct yd_out *out)
{
    (void)state, (void)out;
    return input->type == YD_INPUT_START && ++unlucky.words <= 2 ? YD_FAIL : YD_DONE;
}

static const struct yd_pump_class unlucky_pump = {
    .state_size = sizeof(struct yd_pump *), .files = true, .start = unlucky_start, .stop = unlucky_stop};
static const struct yd_port_class no_ports[] = {{0}};
static const struct yd_element_class unlucky_class = {.abi = YD_ELEMENT_ABI,
                                                      .flags = YD_CLASS_SOURCE,
                                                      .name = "Unlucky",
                                                      .ports = no_ports,
                                                      .receive = unlucky_receive,
                                                      .pump = &unlucky_pump};

static void a_pump_that_did_not_start_is_not_stopped(void **state)
{
    (void)state;
    for (int real = 0; real < 2; real++) {
        struct world w;
        memset(&unlucky, 0, sizeof unlucky);
        world_init(&w, 17, real);
        uint32_t a = world_node(&w, "a", &unlucky_class);
        assert_int_equal(world_start(&w, NULL), 0);
        for (int i = 0; i < 1000; i++) {
            struct yd_element_stat stat = world_element(&w, a);
            if (stat.crashes >= 2 && stat.life == YD_LIFE_UP) break;
            world_step(&w, 10 * YD_NS_PER_MS);
        }
        yd_run_drain(w.run, 10 * YD_NS_PER_S);
        assert_true(world_until_finished(&w, 10 * YD_NS_PER_S));
        assert_int_equal(world_element(&w, a).crashes, 2);
        world_fini(&w);
        assert_int_equal(unlucky.starts, 3);
        assert_int_equal(unlucky.stops, 2);
        assert_false(unlucky.wrong);
    }
}

static void a_drain_stops_the_sources_and_all_that_came_arrives(void **state)
{
    (void)state;
    for (int real = 0; real < 2; real++) {
        struct world w;
        world_init(&w, 14, real);
        uint32_t a = world_node(&w, "a", &pumped_class), s = world_node(&w, "s", &source_class),
                 b = world_node(&w, "b", &pass_class), c = world_node(&w, "c", &sink_class);
        small_source(&w, a, 100000, 10);
        world_int(&w, a, "every", 50 * YD_NS_PER_US);
        small_source(&w, s, 5, 10);
        world_int(&w, s, "endless", 1);
        world_wire(&w, a, 0, b, 0);
        world_wire(&w, s, 0, b, 0);
        world_wire(&w, b, 1, c, 0);
        assert_int_equal(world_start(&w, NULL), 0);
        world_step(&w, 50 * YD_NS_PER_MS);
        yd_run_drain(w.run, 10 * YD_NS_PER_S);
        assert_true(world_until_finished(&w, 5 * YD_NS_PER_S));
        assert_int_equal(world_exit_code(&w), 0);
        assert_true(seen_of("c")->count > 50);
        assert_int_equal(seen_of("c")->count, world_input(&w, a, "pump").consumed + 50);
        world_check_identity(&w);
        world_fini(&w);
        seen_clear();
    }
}

static void a_drain_that_takes_too_long_is_forced_and_said(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 15, false);
    uint32_t a = world_node(&w, "a", &source_class), c = world_node(&w, "c", &sink_class);
    small_source(&w, a, 100, 10);
    world_int(&w, c, "hold", 3600 * YD_NS_PER_S);
    world_wire(&w, a, 0, c, 0)->queue_records = 20;
    assert_int_equal(world_start(&w, NULL), 0);
    world_step(&w, 50 * YD_NS_PER_MS);
    yd_run_drain(w.run, YD_NS_PER_S);
    assert_true(world_until_finished(&w, 2 * YD_NS_PER_S));
    assert_int_equal(world_exit_code(&w), 1);
    assert_non_null(strstr(w.said, "did not finish in time"));
    world_check_identity(&w);
    world_fini(&w);
    seen_clear();
}

static void a_drain_that_is_asked_to_end_now_is_forced_now(void **state)
{
    (void)state;
    for (int real = 0; real < 2; real++) {
        struct world w;
        world_init(&w, 15, real);
        uint32_t a = world_node(&w, "a", &source_class), c = world_node(&w, "c", &sink_class);
        small_source(&w, a, 100, 10);
        world_int(&w, c, "hold", 3600 * YD_NS_PER_S);
        world_wire(&w, a, 0, c, 0)->queue_records = 20;
        assert_int_equal(world_start(&w, NULL), 0);
        world_step(&w, 50 * YD_NS_PER_MS);
        yd_run_drain(w.run, 3600 * YD_NS_PER_S);
        world_step(&w, 50 * YD_NS_PER_MS);
        yd_run_drain(w.run, 60 * YD_NS_PER_S); /* more time is no less: it stays */
        assert_false(world_until_finished(&w, 100 * YD_NS_PER_MS));
        yd_run_drain(w.run, 0);
        assert_true(world_until_finished(&w, 10 * YD_NS_PER_S));
        assert_int_equal(world_exit_code(&w), 1);
        assert_non_null(strstr(w.said, "did not finish in time"));
        world_check_identity(&w);
        world_fini(&w);
        seen_clear();
    }
}

static void real_executors_carry_all_in_order(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 16, true);
    uint32_t a = world_node(&w, "a", &source_class), a2 = world_node(&w, "a2", &file_pumped_class),
             b = world_node(&w, "b", &pass_class), b2 = world_node(&w, "b2", &pass_class),
             c = world_node(&w, "c", &sink_class), d = world_node(&w, "d", &sink_class);
    small_source(&w, a, 2000, 50);
    small_source(&w, a2, 2000, 50);
    world_int(&w, a, "level", 1);
    world_wire(&w, a, 0, b, 0)->queue_bytes = 20000;
    world_wire(&w, a2, 0, b2, 0)->queue_bytes = 20000;
    world_wire(&w, b, 1, c, 0)->queue_bytes = 10000;
    world_wire(&w, b, 1, d, 0)->queue_bytes = 30000;
    world_wire(&w, b2, 1, d, 0)->queue_bytes = 30000;
    assert_int_equal(world_start(&w, NULL), 0);
    assert_true(world_until_finished(&w, 20 * YD_NS_PER_S));
    world_check_identity(&w); /* and with that, all that the processes did is seen here */
    assert_int_equal(seen_of("c")->count, 100000);
    assert_int_equal(seen_of("d")->count, 200000);
    assert_false(seen_of("c")->out_of_order);
    for (int i = 0; i < 5000 && world_element(&w, a).life && seen_of("a")->acks < 2000; i++)
        world_step(&w, YD_NS_PER_MS);
    assert_int_equal(seen_of("a")->acks, 2000);
    world_fini(&w);
    seen_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_arrives_in_order_and_the_run_ends_by_itself),
        cmocka_unit_test(block_loses_nothing_and_never_exceeds_the_credit),
        cmocka_unit_test(a_batch_larger_than_the_queue_is_admitted_when_it_is_empty),
        cmocka_unit_test(drop_new_keeps_the_oldest_and_drop_old_the_newest),
        cmocka_unit_test(fan_out_copies_to_each_and_the_worst_answer_wins),
        cmocka_unit_test(an_unwired_port_answers_and_is_counted),
        cmocka_unit_test(rejects_and_drops_are_counted_with_reason_and_sample),
        cmocka_unit_test(a_blocked_element_still_gets_timers_and_replies),
        cmocka_unit_test(a_long_answer_comes_whole_and_no_faster_than_it_is_taken),
        cmocka_unit_test(a_long_query_lets_batches_and_other_queries_pass),
        cmocka_unit_test(a_query_put_aside_goes_on_when_it_is_said_and_keeps_its_pace),
        cmocka_unit_test(a_query_gets_exactly_one_last_word),
        cmocka_unit_test(a_pump_is_paused_while_its_element_is_blocked),
        cmocka_unit_test(a_pump_that_was_told_enough_is_always_told_to_go_on),
        cmocka_unit_test(a_files_pump_brings_all_and_ends),
        cmocka_unit_test(a_pump_that_cannot_start_is_an_error_for_people),
        cmocka_unit_test(the_pumps_of_a_spread_element_are_one_to_everybody_else),
        cmocka_unit_test(a_spread_element_that_crashes_starts_all_its_pumps_again),
        cmocka_unit_test(a_spread_element_of_which_one_pump_cannot_start_does_not_start),
        cmocka_unit_test(a_pump_that_did_not_start_is_not_stopped),
        cmocka_unit_test(a_drain_stops_the_sources_and_all_that_came_arrives),
        cmocka_unit_test(a_drain_that_takes_too_long_is_forced_and_said),
        cmocka_unit_test(a_drain_that_is_asked_to_end_now_is_forced_now),
        cmocka_unit_test(real_executors_carry_all_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
