/* The processes behind a Broker, in a simulated system: whoever of them has his turn first. */
#include "testing.h"

#include <sys/socket.h>
#include <unistd.h>

#include "elements/brokers.h"
#include "io/pass.h"
#include "io/sim_net.h"
#include "live/door_format.h"

struct world {
    struct yd_sim *sim;
    struct yd_loop *loop;
    struct yd_system *system;
    struct yd_live_source *source;
    struct yd_broker *broker;
    struct yd_broker_member *member;
    int ours;
};

static void open_world(struct world *w, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    assert_int_equal(yd_sim_create(seed, &w->sim), 0);
    assert_int_equal(yd_sim_loop_create(w->sim, "test", &w->loop), 0);
    struct yd_system_options system = {.executors = 1, .sim_loops = &w->loop, .sim_seed = seed};
    assert_int_equal(yd_system_create(&system, &w->system), 0);
    struct yd_live_source_options source = {
        .generation = 1, .id = 2, .now_ns = 1, .measurements = 64, .value_max = 8, .ring_size = 65536};
    assert_int_equal(yd_live_source_create(&source, &w->source), 0);
    w->broker = yd_broker_create(w->system, w->source);
    assert_non_null(w->broker);
    assert_int_equal(yd_broker_start(w->broker), 0);
}

static void settle(struct world *w)
{
    while (yd_system_step(w->system) > 0) continue;
}

static void close_world(struct world *w)
{
    if (w->member) yd_broker_leave(w->member);
    yd_broker_stop(w->broker);
    settle(w);
    yd_broker_unref(w->broker);
    yd_system_stop(w->system);
    yd_system_destroy(w->system);
    yd_loop_destroy(w->loop);
    yd_sim_destroy(w->sim);
    if (w->ours) close(w->ours);
}

static void enter_by(struct world *w, unsigned access)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    struct yd_live_client client = {.fd = ends[1], .application = "test"};
    w->member = yd_broker_enter(w->broker, &client, access);
    assert_non_null(w->member);
    w->ours = ends[0];
    close(ends[1]); /* it has a copy */
}

static void enter(struct world *w)
{
    enter_by(w, 0);
}

static void publish_name(struct world *w, const char *name, uint64_t bits)
{
    uint32_t index;
    assert_true(yd_live_source_declare(w->source, yd_str_of(name), YD_U64, 8, &index) >= 0);
    assert_int_equal(yd_live_source_put(w->source, index, 1, YD_U64, 0, &bits, 8), 0);
    if (yd_broker_is_asleep(w->broker)) yd_broker_call(w->broker);
}

static void publish(struct world *w, uint64_t bits)
{
    publish_name(w, "a", bits);
}

static int ask_for(struct world *w, const char *pattern)
{
    struct yd__door_subscribe message = {.head = {YD__DOOR_MAGIC, YD__DOOR_VERSION, YD__DOOR_SUBSCRIBE, 5},
                                         .mode = YD__DOOR_EVERY};
    snprintf(message.pattern, sizeof message.pattern, "%s", pattern);
    return yd_broker_ask(w->member, &message, sizeof message);
}

static int ask(struct world *w)
{
    return ask_for(w, "a");
}

static bool answered(struct world *w)
{
    struct yd__door_subscribed message;
    int fds[3];
    unsigned count = 0;
    size_t size;
    if (yd_pass_recv(w->ours, &message, sizeof message, &size, fds, 3, &count)) return false;
    while (count) close(fds[--count]);
    return message.head.type == YD__DOOR_SUBSCRIBED;
}

/* Who subscribes while the caller has a walk before it that it began without him. */
static void what_is_published_behind_a_subscription_is_called_for(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct world w;
        open_world(&w, seed);
        enter(&w); /* somebody is there: publishing calls */
        settle(&w);
        publish(&w, 1);
        struct yd_broker_member *first = w.member;
        int first_end = w.ours;
        enter(&w);
        assert_int_equal(ask(&w), 0);
        while (!answered(&w)) assert_int_equal(yd_system_step(w.system), 1);
        publish(&w, 2);
        settle(&w);
        if (atomic_load(&w.member->passed) != 1)
            fail_msg("seed %llu: what was published behind the subscription waits for the next value",
                     (unsigned long long)seed);
        yd_broker_leave(first);
        close(first_end);
        close_world(&w);
    }
}

static void who_asks_faster_than_he_is_answered_is_shown_out(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 1);
    enter(&w);
    unsigned asked = 0;
    int error;
    while ((error = ask(&w)) == 0 && asked < 100000) asked++;
    assert_int_equal(error, YD_EBUSY);
    assert_true(asked >= YD_LIVE_PRIORITIES * 10 && asked <= 1024); /* a program's 60 subscriptions at once fit */
    settle(&w);
    while (answered(&w)) continue;
    static const struct yd__door_subscribe wrong = {.head = {YD__DOOR_MAGIC, YD__DOOR_VERSION, YD__DOOR_SUBSCRIBE, 5}};
    assert_int_equal(yd_broker_ask(w.member, &wrong, sizeof wrong - 1), YD_EFORMAT);
    assert_int_equal(yd_broker_ask(w.member, &wrong, sizeof wrong.head), YD_EFORMAT);
    close_world(&w);
}

static void nobody_gets_names_that_his_entry_of_the_list_does_not_allow(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 3);
    assert_int_equal(yd_pattern_compile(YD_STR("public.*"), &w.broker->allowed[1]), 0);
    enter_by(&w, 1);
    assert_int_equal(ask_for(&w, "*"), 0);
    settle(&w);
    assert_true(answered(&w));
    publish_name(&w, "public.a", 1);
    publish_name(&w, "secret.a", 2);
    settle(&w);
    assert_int_equal(atomic_load(&w.member->passed), 1);
    assert_int_equal(atomic_load(&w.member->names), 1);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_published_behind_a_subscription_is_called_for),
        cmocka_unit_test(nobody_gets_names_that_his_entry_of_the_list_does_not_allow),
        cmocka_unit_test(who_asks_faster_than_he_is_answered_is_shown_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
