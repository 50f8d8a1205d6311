/* A Broker's processes, its door, its publisher and the library of those who subscribe, as threads of one process: so
 * that the sanitizers see both ends. */
#include "testing.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "elements/brokers.h"
#include "io/loop.h"
#include "io/pass.h"
#include "live/bell_wait.h"
#include "live/door_format.h"

#include "../live/door_folder.h"

#define S         INT64_C(1000000000)
#define VALUE_MAX 64
#define CLIENTS   64

/* ---- the daemon's side ---- */

struct daemon {
    struct yd_system *system;
    struct yd_live_source *source; /* the broker's */
    struct yd_broker *broker;
    struct yd_live_table *empty;
    struct yd_live_bell bell;
    struct yd_live_access access;
    struct yd_live_door *door;
    struct yd_broker_member *members[CLIENTS];
    pthread_t thread;
    int end;
};

static bool on_ask(void *arg, const struct yd_live_client *client, const void *message, size_t size)
{
    struct daemon *daemon = arg;
    struct yd_broker_member **member = &daemon->members[(uint32_t)client->id];
    if (!*member) *member = yd_broker_enter(daemon->broker, client, 0);
    return *member && yd_broker_ask(*member, message, size) == 0;
}

static void on_left(void *arg, uint64_t client_id)
{
    struct daemon *daemon = arg;
    struct yd_broker_member **member = &daemon->members[(uint32_t)client_id];
    if (*member) yd_broker_leave(*member);
    *member = NULL;
}

static void *keep_door(void *arg)
{
    struct daemon *daemon = arg;
    struct pollfd polls[2] = {{yd_live_door_fd(daemon->door), POLLIN, 0}, {daemon->end, POLLIN, 0}};
    while (poll(polls, 2, -1) > 0 && !polls[1].revents) yd_live_door_run(daemon->door);
    return NULL;
}

static struct daemon *start(uint64_t generation, uint64_t ring_size)
{
    struct daemon *daemon = calloc(1, sizeof *daemon);
    assert_non_null(daemon);
    struct yd_system_options system = {.executors = 2, .compute = 1};
    assert_int_equal(yd_system_create(&system, &daemon->system), 0);
    assert_int_equal(yd_system_start(daemon->system), 0);
    struct yd_live_source_options options = {.generation = generation,
                                             .id = generation * 10,
                                             .now_ns = 1,
                                             .measurements = 1000,
                                             .value_max = VALUE_MAX,
                                             .ring_size = ring_size};
    assert_int_equal(yd_live_source_create(&options, &daemon->source), 0);
    daemon->broker = yd_broker_create(daemon->system, daemon->source);
    assert_non_null(daemon->broker);
    assert_int_equal(yd_broker_start(daemon->broker), 0);
    struct yd_live_table_options empty = {.generation = generation, .id = options.id, .now_ns = 1, .capacity = 16};
    assert_int_equal(yd_live_table_create(&empty, NULL, &daemon->empty), 0);
    yd_live_table_set_state(daemon->empty, YD__LIVE_READY);
    assert_int_equal(yd_live_bell_create(options.id, generation, 1, &daemon->bell), 0);
    daemon->access = (struct yd_live_access){.id = geteuid(), .bell = &daemon->bell};
    struct yd_live_door_options door = {.path = path,
                                        .access = &daemon->access,
                                        .access_count = 1,
                                        .clients_max = CLIENTS,
                                        .table = yd_live_table_region(daemon->empty),
                                        .ask = on_ask,
                                        .left = on_left,
                                        .arg = daemon};
    struct yd_trail trail = {0};
    assert_int_equal(yd_live_door_open(&door, &daemon->door, &trail), 0);
    daemon->end = eventfd(0, EFD_CLOEXEC);
    assert_true(daemon->end >= 0);
    assert_int_equal(pthread_create(&daemon->thread, NULL, keep_door, daemon), 0);
    return daemon;
}

static void stop(struct daemon *daemon)
{
    assert_int_equal(eventfd_write(daemon->end, 1), 0);
    assert_int_equal(pthread_join(daemon->thread, NULL), 0);
    yd_live_door_close(daemon->door);
    yd_broker_stop(daemon->broker);
    yd_broker_unref(daemon->broker);
    yd_system_stop(daemon->system);
    yd_system_destroy(daemon->system);
    yd_live_table_destroy(daemon->empty);
    yd_live_bell_destroy(&daemon->bell);
    close(daemon->end);
    free(daemon);
}

static void put_bytes(struct daemon *daemon, const char *name, enum yd_type type, const void *bytes, uint32_t size)
{
    uint32_t index;
    assert_true(yd_live_source_declare(daemon->source, yd_str_of(name), type, VALUE_MAX, &index) >= 0);
    assert_int_equal(yd_live_source_put(daemon->source, index, 5, type, 0, bytes, size), 0);
    if (yd_broker_is_asleep(daemon->broker)) yd_broker_call(daemon->broker);
}

static void put(struct daemon *daemon, const char *name, uint64_t value)
{
    put_bytes(daemon, name, YD_U64, &value, 8);
}

/* ---- the applications' side ---- */

static struct yd_live *come(void)
{
    struct yd_live *live;
    struct yd_trail trail = {0};
    if (yd_live_open(path, NULL, &live, &trail)) fail_msg("%s", yd_trail_text(&trail));
    return live;
}

static struct yd_live_subscription *subscribe(struct yd_live *live, const char *pattern, bool every, double rate)
{
    struct yd_live_subscribe_options options = {.every = every, .rate = rate, .ring_size = 1 << 20};
    struct yd_live_subscription *subscription;
    struct yd_trail trail = {0};
    if (yd_live_subscribe(live, pattern, &options, &subscription, &trail)) fail_msg("%s", yd_trail_text(&trail));
    return subscription;
}

static bool is_name(const struct yd_live_update *update, const char *name)
{
    return yd_str_eq(update->name, yd_str_of(name));
}

/* Waits for the next one. */
static struct yd_live_update get(struct yd_live_subscription *subscription)
{
    struct yd_live_update update;
    int got;
    while ((got = yd_live_subscription_next(subscription, NULL, 0, &update)) == 0)
        assert_int_equal(yd_live_subscription_wait(subscription, 30 * S), 1);
    assert_int_equal(got, 1);
    return update;
}

static struct yd_live_counts counts_of(struct yd_live_subscription *subscription)
{
    struct yd_live_counts counts;
    assert_int_equal(yd_live_subscription_counts(subscription, &counts), 0);
    return counts;
}

/* Until the daemon's side has dealt with so many values for it. */
static struct yd_live_counts settled(struct yd_live_subscription *subscription, uint64_t published)
{
    for (;;) {
        struct yd_live_counts counts = counts_of(subscription);
        if (counts.passed + counts.paced + counts.overrun + counts.unplaced >= published) return counts;
        usleep(500);
    }
}

/* ---- tests ---- */

static void the_latest_of_each_name_comes_through_the_library(void **state)
{
    (void)state;
    struct daemon *daemon = start(1, 65536);
    struct yd_live *live = come();
    for (uint64_t i = 1; i <= 3; i++) put(daemon, "engine.rpm", i);
    struct yd_live_subscription *latest = subscribe(live, "engine.*", false, 0);
    struct yd_live_update update = get(latest); /* the newest is there from the beginning */
    assert_true(is_name(&update, "engine.rpm"));
    assert_int_equal(update.value.bits, 3);
    assert_int_equal(update.value.seq, 3);
    assert_int_equal(update.value.missed, 0); /* what was before it subscribed is none of its */
    assert_int_equal(yd_live_subscription_next(latest, NULL, 0, &update), 0);
    assert_int_equal(yd_live_subscription_wait(latest, 1000000), YD_ETIMEOUT);
    put(daemon, "cabin.rpm", 7);
    put_bytes(daemon, "engine.name", YD_TEXT, "merlin", 6); /* a name that comes later */
    char text[VALUE_MAX] = "";
    while (yd_live_subscription_next(latest, text, sizeof text, &update) != 1)
        assert_int_equal(yd_live_subscription_wait(latest, 30 * S), 1);
    assert_true(is_name(&update, "engine.name"));
    assert_int_equal(update.value.type, YD_TEXT);
    assert_int_equal(update.value.size, 6);
    assert_string_equal(text, "merlin");
    /* Whatever is left out in between: the newest comes, and what was missed is counted exactly. */
    uint64_t got = 3, seen = 0;
    for (uint64_t i = 4; i <= 20000; i++) put(daemon, "engine.rpm", i);
    while (got != 20000) {
        update = get(latest);
        assert_true(is_name(&update, "engine.rpm"));
        assert_int_equal(update.value.seq, update.value.bits);
        assert_int_equal(update.value.seq, got + 1 + update.value.missed);
        got = update.value.seq;
        seen++;
    }
    struct yd_live_counts counts = settled(latest, 19999);
    assert_int_equal(counts.names, 2);
    assert_int_equal(counts.passed + counts.paced, 19997 + 2); /* and the first one, and the text */
    assert_int_equal(counts.overrun + counts.unplaced + counts.lost, 0);
    assert_int_equal(counts.got, seen + 2);
    yd_live_unsubscribe(latest);
    yd_live_close(live);
    stop(daemon);
}

static void the_latest_changes_no_faster_than_its_rate_and_ends_with_the_newest(void **state)
{
    (void)state;
    struct daemon *daemon = start(1, 65536);
    struct yd_live *live = come();
    struct yd_live_subscription *latest = subscribe(live, "*", false, 50);
    int64_t begun = yd_clock_mono();
    uint64_t got = 0, seen = 0, sent = 0;
    while (yd_clock_mono() - begun < S / 5 || got != sent) {
        if (yd_clock_mono() - begun < S / 5) put(daemon, "a", ++sent);
        struct yd_live_update update;
        if (yd_live_subscription_next(latest, NULL, 0, &update) != 1) continue;
        got = update.value.bits;
        seen++;
    }
    int64_t took = yd_clock_mono() - begun;
    assert_true(seen <= (uint64_t)(took / (S / 50)) + 1);
    assert_int_equal(settled(latest, sent).overrun, 0);
    yd_live_close(live);
    stop(daemon);
}

static void a_descriptor_tells_of_subscriptions(void **state)
{
    (void)state;
    struct daemon *daemon = start(1, 1 << 20);
    struct yd_live *live = come();
    struct yd_live_subscription *every = subscribe(live, "e.*", true, 0), *latest = subscribe(live, "l.*", false, 0);
    int fd, epoll = epoll_create1(0);
    assert_int_equal(yd_live_descriptor(live, &fd), 0);
    struct epoll_event event = {.events = EPOLLIN};
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
    uint64_t got = 0, newest = 0;
    bool late = false;
    struct yd_live_subscription *third = NULL;
    for (uint64_t round = 1; round <= 300; round++) {
        put(daemon, "e.a", round);
        put(daemon, "l.a", round);
        if (third) put(daemon, "third", round);
        late = !third;
        while (got != round || newest != round || !late) {
            struct yd_live_update update;
            assert_int_equal(epoll_wait(epoll, &event, 1, 30000), 1);
            yd_live_woken(live);
            for (; yd_live_subscription_next(every, NULL, 0, &update) == 1; got++)
                assert_int_equal(update.value.bits, got + 1);
            while (yd_live_subscription_next(latest, NULL, 0, &update) == 1) newest = update.value.bits;
            while (third && yd_live_subscription_next(third, NULL, 0, &update) == 1) late = update.value.bits == round;
        }
        if (round == 150) third = subscribe(live, "third", false, 0); /* while the waker sleeps */
    }
    stop(daemon);
    assert_int_equal(epoll_wait(epoll, &event, 1, 30000), 1); /* that the daemon has gone */
    daemon = start(2, 1 << 20);
    for (got = 0; got == 0;) { /* comes in again by itself */
        struct yd_live_update update;
        put(daemon, "l.a", 1);
        if (epoll_wait(epoll, &event, 1, 10) == 1) yd_live_woken(live);
        while (yd_live_subscription_next(latest, NULL, 0, &update) == 1) got = update.value.bits;
    }
    close(epoll);
    yd_live_close(live);
    stop(daemon);
}

#define NAMES 20

struct reader {
    pthread_t thread;
    atomic_bool *ends;
    atomic_uint *ready;
    uint64_t published; /* known when it ends */
    bool every;
    double rate;
    uint64_t broken, got_missed;
};

static void *read_all(void *arg)
{
    struct reader *reader = arg;
    struct yd_live *live = come();
    struct yd_live_subscription *subscription = subscribe(live, "n.*", reader->every, reader->rate);
    struct yd_live_update update;
    uint64_t last[NAMES] = {0};
    atomic_fetch_add(reader->ready, 1);
    for (;;) {
        bool ends = atomic_load(reader->ends); /* before: what was published by then is waited for */
        if (ends) (void)settled(subscription, reader->published);
        int got;
        while ((got = yd_live_subscription_next(subscription, NULL, 0, &update)) == 1) {
            unsigned name = (unsigned)(update.name.data[2] - 'a');
            if (name >= NAMES || update.value.seq != update.value.bits || update.value.seq <= last[name] ||
                (last[name] && update.value.seq != last[name] + 1 + update.value.missed))
                reader->broken++;
            else
                last[name] = update.value.seq;
        }
        if (got < 0) reader->broken++;
        if (ends) break;
        (void)yd_live_subscription_wait(subscription, S / 100);
    }
    struct yd_live_counts counts = settled(subscription, reader->published);
    if (counts.passed + counts.paced + counts.overrun + counts.unplaced != reader->published) reader->broken++;
    if (reader->every && counts.passed != counts.got + counts.lost) reader->broken++;
    yd_live_close(live);
    return NULL;
}

/* Comes, subscribes, reads a little or not at all, and goes. */
static void *churn(void *arg)
{
    struct reader *reader = arg;
    uint64_t seed = 1;
    while (!atomic_load(reader->ends)) {
        struct yd_live *live = come();
        for (int i = 0; i < 5; i++) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
            struct yd_live_subscription *subscription =
                subscribe(live, seed >> 60 & 1 ? "*" : "n.a", seed >> 61 & 1, 0);
            struct yd_live_update update;
            for (int n = 0; n < (int)(seed >> 40 & 31); n++)
                if (yd_live_subscription_next(subscription, NULL, 0, &update) < 0) reader->broken++;
            if (seed >> 59 & 1) yd_live_unsubscribe(subscription);
        }
        yd_live_close(live);
    }
    return NULL;
}

/* Comes in without the library; the descriptors that came with its subscription. */
static int intrude(int fds[3])
{
    struct yd__door_hello hello = {.head = {YD__DOOR_MAGIC, YD__DOOR_VERSION, YD__DOOR_HELLO, 0}};
    struct yd__door_subscribe question = {
        .head = {YD__DOOR_MAGIC, YD__DOOR_VERSION, YD__DOOR_SUBSCRIBE, 7}, .mode = YD__DOOR_EVERY, .pattern = "*"};
    char answer[YD__DOOR_MESSAGE_MAX];
    size_t size;
    unsigned count = 0;
    int door;
    while (yd_pass_connect(path, &door) == YD_EAGAIN) usleep(1000);
    assert_int_equal(yd_pass_send(door, &hello, sizeof hello, NULL, 0), 0);
    for (int i = 0; i < 2; i++) { /* welcomed; subscribed */
        struct pollfd in = {door, POLLIN, 0};
        assert_int_equal(poll(&in, 1, 30000), 1);
        assert_int_equal(yd_pass_recv(door, answer, sizeof answer, &size, fds, 3, &count), 0);
        if (i == 0)
            while (count) close(fds[--count]);
        if (i == 0) assert_int_equal(yd_pass_send(door, &question, sizeof question, NULL, 0), 0);
    }
    assert_int_equal(count, 3);
    return door;
}

/* Whatever may be written of a page that is its own. */
static void *scribble(void *arg)
{
    struct reader *reader = arg;
    int fds[3], door = intrude(fds);
    struct yd__bell_page *page = mmap(NULL, YD__BELL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fds[1], 0);
    if (page == MAP_FAILED) reader->broken++;
    /* All else it was given cannot be written. */
    for (int i = 0; i < 3; i += 2)
        if (mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fds[i], 0) != MAP_FAILED) reader->broken++;
    uint64_t seed = 3;
    while (page != MAP_FAILED && !atomic_load(reader->ends)) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        uint32_t *words = (uint32_t *)page;
        __atomic_store_n(&words[(seed >> 33) % (YD__BELL_SIZE / 4)], (uint32_t)(seed >> 20), __ATOMIC_RELAXED);
        if ((seed >> 50) % 512 == 0) usleep(100);
    }
    if (page != MAP_FAILED) munmap(page, YD__BELL_SIZE);
    for (int i = 0; i < 3; i++) close(fds[i]);
    close(door);
    return NULL;
}

static void threads_on_both_ends_lose_nothing_uncounted(void **state)
{
    (void)state;
    enum { READERS = 4, ALL = READERS + 3 };
    struct daemon *daemon = start(1, 1 << 16);
    atomic_bool ends = false;
    atomic_uint ready = 0;
    struct reader readers[ALL] = {
        {.every = true}, {.every = false}, {.every = true, .rate = 100}, {.every = false, .rate = 200}};
    void *(*const bodies[])(void *) = {read_all, read_all, read_all, read_all, churn, churn, scribble};
    char name[4] = "n.a";
    uint64_t sent[NAMES] = {0}, total = 0, seed = test_seed();
    for (int i = 0; i < ALL; i++) {
        readers[i].ends = &ends;
        readers[i].ready = &ready;
        assert_int_equal(pthread_create(&readers[i].thread, NULL, bodies[i], &readers[i]), 0);
    }
    while (atomic_load(&ready) < READERS) usleep(1000); /* from the first value on */
    int64_t begun = yd_clock_mono();
    while (total < 200000 && yd_clock_mono() - begun < 4 * S) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        unsigned which = (unsigned)(seed >> 33) % NAMES;
        name[2] = (char)('a' + which);
        put(daemon, name, ++sent[which]);
        total++;
        if ((seed >> 20) % 1000 == 0) usleep(200);
        if ((seed >> 20) % 997 == 0) { /* as one who looks with top does */
            yd_lock_take(&daemon->broker->lock);
            for (struct yd_broker_member *m = daemon->broker->members; m; m = m->next)
                if (m->watch.page) (void)yd_live_feed_said(&m->watch);
            yd_lock_give(&daemon->broker->lock);
        }
    }
    for (int i = 0; i < READERS; i++) readers[i].published = total;
    atomic_store(&ends, true);
    for (int i = 0; i < ALL; i++) assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
    for (int i = 0; i < ALL; i++) assert_int_equal(readers[i].broken, 0);
    stop(daemon);
}

static void who_asks_faster_than_he_is_answered_is_shown_out(void **state)
{
    (void)state;
    struct daemon *daemon = start(1, 65536);
    struct yd_live *live = come();
    struct yd_live_subscription *every = subscribe(live, "*", true, 0);
    int fds[3], door = intrude(fds);
    struct yd__door_subscription question = {.head = {YD__DOOR_MAGIC, YD__DOOR_VERSION, YD__DOOR_COUNT, 9}, .id = 1};
    int error = 0;
    for (uint64_t i = 0; error == 0 || error == YD_EAGAIN; i++) { /* he never reads an answer */
        if (error == YD_EAGAIN) sched_yield();
        error = yd_pass_send(door, &question, sizeof question, NULL, 0);
    }
    for (int i = 0; i < 3; i++) close(fds[i]);
    close(door);
    put(daemon, "a", 1);
    struct yd_live_update update = get(every);
    assert_int_equal(update.value.bits, 1);
    yd_live_close(live);
    stop(daemon);
}

static void subscriptions_survive_many_daemons(void **state)
{
    (void)state;
    struct yd_live_options options = {.absent = true};
    struct yd_live *live;
    struct yd_live_subscription *every, *latest;
    assert_int_equal(yd_live_open(path, &options, &live, NULL), 0);
    assert_int_equal(yd_live_subscribe(live, "*", &(struct yd_live_subscribe_options){.every = true}, &every, NULL), 0);
    assert_int_equal(yd_live_subscribe(live, "*", NULL, &latest, NULL), 0);
    for (uint64_t generation = 1; generation <= 10; generation++) {
        struct daemon *daemon = start(generation, 65536);
        uint64_t sent = 0;
        for (bool one = false, other = false; !one || !other;) { /* it comes in by itself: sent until both have one */
            struct yd_live_update update;
            put(daemon, "a", generation * 1000000 + ++sent);
            while (yd_live_subscription_next(every, NULL, 0, &update) == 1)
                one |= update.value.bits / 1000000 == generation;
            while (yd_live_subscription_next(latest, NULL, 0, &update) == 1)
                other |= update.value.bits / 1000000 == generation;
            (void)yd_live_subscription_wait(every, S / 1000);
        }
        stop(daemon);
    }
    yd_live_close(live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_latest_of_each_name_comes_through_the_library),
        cmocka_unit_test(the_latest_changes_no_faster_than_its_rate_and_ends_with_the_newest),
        cmocka_unit_test(a_descriptor_tells_of_subscriptions),
        cmocka_unit_test(threads_on_both_ends_lose_nothing_uncounted),
        cmocka_unit_test(who_asks_faster_than_he_is_answered_is_shown_out),
        cmocka_unit_test(subscriptions_survive_many_daemons),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
