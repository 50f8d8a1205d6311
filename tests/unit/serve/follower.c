/* A follower and its leader's server in a simulation: names that move, a lying or silent leader, stopping meanwhile. */
#include "serve/follower.h"
#include "native_world.h"

struct copy {
    struct world *world;
    struct yd_log *leader, *log;
    struct yd_pool *pool;
    struct yd_follower *follower;
    char said[4096];
    bool stopped;
};

static void said(void *arg, int level, const char *text)
{
    struct copy *copy = arg;
    size_t at = strlen(copy->said);
    (void)snprintf(copy->said + at, sizeof copy->said - at, "%d %s\n", level, text);
}
static void stopped(void *arg)
{
    ((struct copy *)arg)->stopped = true;
}

static struct yd_log *open_log(struct world *world, const char *dir, bool follower)
{
    struct yd_log *log;
    struct yd_log_options options = {.fs = world->fs,
                                     .dir = dir,
                                     .stream = "s/0",
                                     .random = world_random,
                                     .wall = world_wall,
                                     .clock_arg = world,
                                     .segment_size_min = 1 << 20,
                                     .segment_size_max = 1 << 20,
                                     .follower = follower};
    assert_int_equal(yd_log_open(&options, &log, NULL, NULL), 0);
    return log;
}

static void add(struct copy *copy, uint64_t mark, uint32_t count)
{
    struct yd_log_appended appended;
    struct yd_batch *batch = make_batch(mark, count, 0);
    assert_int_equal(yd_log_append(copy->leader, batch, -1, UINT64_MAX, &appended), 0);
    yd_batch_unref(batch);
    assert_int_equal(yd_log_flush(copy->leader), 0);
}

static void copy_open(struct copy *copy, uint64_t seed)
{
    struct world *world = world_create(seed);
    *copy = (struct copy){.world = world};
    copy->leader = open_log(world, "leader/s/0", false);
    copy->log = open_log(world, "copy/s/0", true);
    assert_int_equal(yd_streams_put(world->streams, "s/0", copy->leader), 0);
    assert_int_equal(yd_pool_create_sim(world->client_loop, &copy->pool), 0);
    world_start(world);
    add(copy, 0, 100);
}

static int start(struct copy *copy, const char *from)
{
    struct yd_trail trail = {0};
    struct yd_follower_options options = {.loop = copy->world->client_loop,
                                          .pool = copy->pool,
                                          .log = copy->log,
                                          .from = from,
                                          .stream = "s/0",
                                          .id = "copy",
                                          .said = said,
                                          .arg = copy};
    return yd_follower_start(&options, &copy->follower, &trail);
}

static uint64_t durable(struct copy *copy)
{
    struct yd_log_position position;
    yd_log_position(copy->log, &position);
    return position.durable;
}

static void wait_for(struct copy *copy, uint64_t seqno)
{
    for (int i = 0; i < 100 && durable(copy) < seqno; i++) world_run(copy->world, YD_NS_PER_S / 2);
    if (durable(copy) != seqno) fail_msg("it is at %llu: %s", (unsigned long long)durable(copy), copy->said);
}

static void stop(struct copy *copy)
{
    if (!copy->follower) return;
    copy->stopped = false;
    yd_follower_stop(copy->follower, stopped, copy);
    for (int i = 0; i < 100000 && !copy->stopped; i++) (void)yd_sim_step(copy->world->sim);
    assert_true(copy->stopped);
    copy->follower = NULL;
}

static void copy_close(struct copy *copy)
{
    stop(copy);
    world_run(copy->world, YD_NS_PER_S);
    yd_streams_remove(copy->world->streams, "s/0");
    world_stop(copy->world);
    assert_int_equal(yd_log_close(copy->log), 0);
    assert_int_equal(yd_log_close(copy->leader), 0);
    yd_pool_destroy(copy->pool);
    world_destroy(copy->world);
}

static void a_leader_is_found_by_its_name_and_again_when_the_name_moves(void **state)
{
    struct copy copy;
    (void)state;
    copy_open(&copy, 1);
    assert_int_equal(start(&copy, "leader.example:4280"), 0);
    world_run(copy.world, 5 * YD_NS_PER_S);
    assert_int_equal(durable(&copy), 0);
    assert_non_null(strstr(copy.said, "looking up leader.example"));
    yd_sim_host(copy.world->sim, "leader.example", "10.0.0.7:0"); /* nobody is there */
    world_run(copy.world, 5 * YD_NS_PER_S);
    assert_int_equal(durable(&copy), 0);
    yd_sim_host(copy.world->sim, "leader.example", NULL);
    yd_sim_host(copy.world->sim, "leader.example", "10.0.0.1:0");
    wait_for(&copy, 100);
    add(&copy, 100, 50);
    wait_for(&copy, 150);
    copy_close(&copy);
}

static void each_address_of_a_name_is_tried(void **state)
{
    struct copy copy;
    (void)state;
    copy_open(&copy, 2);
    yd_sim_host(copy.world->sim, "leader", "10.0.0.8:0");
    yd_sim_host(copy.world->sim, "leader", "10.0.0.9:0");
    yd_sim_host(copy.world->sim, "leader", "10.0.0.1:0");
    assert_int_equal(start(&copy, "leader:4280"), 0);
    wait_for(&copy, 100);
    copy_close(&copy);
}

static void stopping_while_a_name_is_looked_up_waits_for_the_answer_only(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct copy copy;
        copy_open(&copy, seed);
        yd_sim_host(copy.world->sim, "leader", "10.0.0.1:0");
        assert_int_equal(start(&copy, "leader:4280"), 0);
        for (uint64_t i = 0; i < seed; i++) (void)yd_sim_step(copy.world->sim);
        stop(&copy);
        copy_close(&copy);
    }
}

static void what_is_no_address_is_refused_at_the_start(void **state)
{
    struct copy copy;
    (void)state;
    copy_open(&copy, 3);
    assert_true(start(&copy, "leader") < 0);
    assert_true(start(&copy, "1.2.3:4280") < 0);
    assert_true(start(&copy, "a b:4280") < 0);
    copy_close(&copy);
}

static void cut_and_apart_it_goes_on_where_it_was(void **state)
{
    struct copy copy;
    (void)state;
    copy_open(&copy, 4);
    assert_int_equal(start(&copy, "10.0.0.1:4280"), 0);
    yd_sim_net_faults(copy.world->sim)->small_read = 4;
    for (uint64_t i = 0; i < 10; i++) {
        add(&copy, 100 + i * 30, 30);
        yd_sim_cut(copy.world->sim, "server", "client");
        if (i == 5) yd_sim_apart(copy.world->sim, "server", "client", true);
        world_run(copy.world, 20 * YD_NS_PER_S);
        if (i == 5) yd_sim_apart(copy.world->sim, "server", "client", false);
    }
    wait_for(&copy, 400);
    struct yd_follower_stat stat;
    yd_follower_stat(copy.follower, &stat);
    assert_true(stat.connects > 5);
    assert_int_equal(stat.cuts + stat.begun_anew, 0);
    copy_close(&copy);
}

/* ---- a leader that is none ---- */

struct liar {
    const char *answer;
    size_t size;
    struct yd_listener *listener;
    struct yd_stream *stream;
    char room[4096];
};
static void liar_room(void *arg, char **ret_to, size_t *ret_size)
{
    *ret_to = ((struct liar *)arg)->room;
    *ret_size = sizeof((struct liar *)arg)->room;
}
static void liar_data(void *arg, size_t size)
{
    struct liar *liar = arg;
    (void)size;
    (void)yd_stream_write(liar->stream, (struct yd_str){liar->answer, liar->size});
}
static void liar_ended(void *arg, int error)
{
    struct liar *liar = arg;
    (void)error;
    yd_stream_close(liar->stream);
    liar->stream = NULL;
}
static void liar_accept(void *arg, struct yd_stream *stream, const struct yd_address *peer)
{
    static const struct yd_stream_ops ops = {.room = liar_room, .data = liar_data, .ended = liar_ended};
    struct liar *liar = arg;
    (void)peer;
    yd_stream_close(liar->stream);
    liar->stream = stream;
    yd_stream_start(stream, &ops, liar);
}

static void leaders_that_answer_nonsense_are_left_with_a_reason(void **state)
{
    static const struct {
        const char *answer;
        size_t size;
        const char *want;
    } cases[] = {
        {"\x15\x03\x03\x00\x02\x02\x0a", 7, "speaks TLS"}, /* an alert */
        {"HTTP/1.1 400 Bad Request\r\n\r\n", 28, "frames that cannot be"},
        {"\x18\0\0\0\x21\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24, ""}, /* a frame nobody asked for, or too short */
        {"", 0, "is silent"},
    };
    (void)state;
    for (size_t i = 0; i < YD_COUNT(cases); i++) {
        static const struct yd_listener_ops ops = {liar_accept};
        struct liar liar = {.answer = cases[i].answer, .size = cases[i].size};
        struct yd_address at;
        struct copy copy;
        copy_open(&copy, 10 + i);
        assert_int_equal(yd_address_parse(YD_STR("10.0.0.2:4280"), &at, NULL), 0);
        assert_int_equal(yd_listen(copy.world->server_loop, &at, &ops, &liar, &liar.listener, NULL), 0);
        assert_int_equal(start(&copy, "10.0.0.2:4280"), 0);
        world_run(copy.world, 40 * YD_NS_PER_S);
        if (!strstr(copy.said, cases[i].want)) fail_msg("%zu: %s", i, copy.said);
        assert_int_equal(durable(&copy), 0);
        stop(&copy);
        yd_stream_close(liar.stream);
        yd_listener_close(liar.listener);
        copy_close(&copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_leader_is_found_by_its_name_and_again_when_the_name_moves),
        cmocka_unit_test(each_address_of_a_name_is_tried),
        cmocka_unit_test(stopping_while_a_name_is_looked_up_waits_for_the_answer_only),
        cmocka_unit_test(what_is_no_address_is_refused_at_the_start),
        cmocka_unit_test(cut_and_apart_it_goes_on_where_it_was),
        cmocka_unit_test(leaders_that_answer_nonsense_are_left_with_a_reason),
    };
    return cmocka_run_group_tests_name("serve / follower", tests, NULL, NULL);
}
