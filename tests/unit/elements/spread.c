/* Connections dealt out to the pumps of one input, in the simulator: who gets them, how many there may be, and what
 * becomes of those that are on their way to one that ends. */
#include <netinet/in.h>

#include "testing.h"

#include "elements/spread.h"
#include "io/loop.h"
#include "io/sim_net.h"

struct member {
    struct yd_spread *spread;
    unsigned index, taken;
    struct yd_stream *streams[8];
    struct yd_address from;
    bool parted;
};
struct door {
    struct member *first;
    unsigned max, refused;
};

static struct yd_sim *sim;
static struct yd_loop *client, *loops[2];
static struct yd_spread spread;
static struct member members[2];
static struct yd_listener *listener;
static struct door door;

static void take(void *arg, struct yd_stream *stream, const struct yd_address *from)
{
    struct member *member = arg;
    member->streams[member->taken++] = stream;
    member->from = *from;
}

static void parted(void *arg)
{
    ((struct member *)arg)->parted = true;
}

static void on_accept(void *arg, struct yd_stream *stream, const struct yd_address *from)
{
    struct door *at = arg;
    unsigned open;
    if (!yd_spread_admit(&spread, 0, at->max, &open)) {
        assert_int_equal(open, at->max);
        at->refused++;
        yd_stream_close(stream);
    } else if (!yd_spread_hand(&spread, 0, stream, from)) {
        take(at->first, stream, from);
    }
}

static void pass(void)
{
    for (int i = 0; i < 2000; i++) (void)yd_loop_run(client, YD_NS_PER_MS);
}

static void none_room(void *arg, char **ret_to, size_t *ret_size)
{
    (void)arg;
    *ret_to = NULL;
    *ret_size = 0;
}
static void none_data(void *arg, size_t size)
{
    (void)arg, (void)size;
}
static void none_ended(void *arg, int error)
{
    (void)error;
    ++*(int *)arg;
}
static const struct yd_stream_ops client_ops = {.room = none_room, .data = none_data, .ended = none_ended};

static struct yd_address here(void)
{
    struct yd_address at;
    assert_int_equal(yd_address_parse(YD_STR("127.0.0.1:2003"), &at, NULL), 0);
    return at;
}

static int open_world(void **state)
{
    static const struct yd_listener_ops ops = {.accept = on_accept};
    struct yd_address at = here();
    (void)state;
    memset(&spread, 0, sizeof spread);
    memset(members, 0, sizeof members);
    assert_int_equal(yd_sim_create(7, &sim), 0);
    assert_int_equal(yd_sim_loop_create(sim, "a", &client), 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(yd_sim_loop_create(sim, "a", &loops[i]), 0);
        members[i].spread = &spread;
        members[i].index = i;
        yd_spread_join(&spread, i, loops[i], take, &members[i]);
    }
    door = (struct door){.first = &members[0], .max = 5};
    assert_int_equal(yd_listen(loops[0], &at, &ops, &door, &listener, NULL), 0);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    yd_listener_close(listener);
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned k = 0; k < members[i].taken; k++) yd_stream_close(members[i].streams[k]);
        yd_loop_destroy(loops[i]);
    }
    yd_loop_destroy(client);
    yd_sim_destroy(sim);
    return 0;
}

static void connect_all(struct yd_stream **streams, unsigned count, int *ended)
{
    struct yd_address at = here();
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(yd_connect(client, &at, &client_ops, &ended[i], &streams[i], NULL), 0);
}

static void the_fewest_get_the_next_and_the_limit_is_of_all(void **state)
{
    struct yd_stream *streams[7], *late;
    int ended[8] = {0};
    (void)state;
    connect_all(streams, 7, ended);
    pass();
    assert_int_equal(members[0].taken, 3);
    assert_int_equal(members[1].taken, 2);
    assert_int_equal(door.refused, 2);
    assert_int_equal(yd_spread_connections(&spread), 5);
    assert_int_equal(members[1].from.size, sizeof(struct sockaddr_in)); /* who it is comes along */
    yd_stream_close(members[0].streams[--members[0].taken]);
    yd_spread_leave(&spread, 0);
    yd_stream_close(members[0].streams[--members[0].taken]);
    yd_spread_leave(&spread, 0);
    connect_all(&late, 1, &ended[7]);
    pass();
    assert_int_equal(members[0].taken, 2); /* the one with fewer */
    assert_int_equal(members[1].taken, 2);
    assert_int_equal(yd_spread_connections(&spread), 4);
    for (int i = 0; i < 7; i++) yd_stream_close(streams[i]);
    yd_stream_close(late);
}

static void a_pump_that_ends_waits_for_what_is_on_its_way_and_closes_it(void **state)
{
    struct yd_stream *streams[2];
    int ended[2] = {0};
    (void)state;
    connect_all(streams, 2, ended);
    while (yd_spread_connections(&spread) < 2)
        (void)yd_loop_run(client, YD_NS_PER_US); /* admitted: one is on its way */
    assert_int_equal(members[1].taken, 0);
    assert_false(yd_spread_part(&spread, 1, parted));
    assert_false(members[1].parted);
    pass();
    assert_true(members[1].parted);
    assert_int_equal(members[1].taken, 0);
    assert_int_equal(yd_spread_connections(&spread), 1); /* its place is free again */
    struct yd_stream *more[3];
    int more_ended[3] = {0};
    connect_all(more, 3, more_ended);
    pass();
    assert_int_equal(members[1].taken, 0); /* all stay with the one that is left */
    assert_int_equal(members[0].taken, 4);
    assert_true(yd_spread_part(&spread, 0, parted));
    for (int i = 0; i < 2; i++) yd_stream_close(streams[i]);
    for (int i = 0; i < 3; i++) yd_stream_close(more[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_fewest_get_the_next_and_the_limit_is_of_all, open_world, close_world),
        cmocka_unit_test_setup_teardown(a_pump_that_ends_waits_for_what_is_on_its_way_and_closes_it, open_world,
                                        close_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
