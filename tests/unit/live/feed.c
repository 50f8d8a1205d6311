/* What a broker feeds its applications: in order, by rate, by priority, and every loss counted exactly. */
#include "testing.h"

#include <pthread.h>
#include <sched.h>

#include "live/atomic.h"
#include "live/bell_format.h"
#include "live/feed.h"

#define S INT64_C(1000000000)

/* ---- both ends ---- */

static struct yd_live_source *make_source(uint64_t ring_size)
{
    struct yd_live_source_options options = {
        .generation = 7, .id = 9, .now_ns = 1, .measurements = 1000, .value_max = 64, .ring_size = ring_size};
    struct yd_live_source *source;
    assert_int_equal(yd_live_source_create(&options, &source), 0);
    return source;
}

static struct yd_live_feed *make_feed(struct yd_live_source *source)
{
    struct yd_live_feed *feed;
    assert_int_equal(yd_live_feed_create(source, 5, &feed), 0);
    return feed;
}

static void put(struct yd_live_source *source, const char *name, uint64_t bits)
{
    uint32_t index;
    assert_true(yd_live_source_declare(source, yd_str_of(name), YD_U64, 8, &index) >= 0);
    assert_int_equal(yd_live_source_put(source, index, (int64_t)bits, YD_U64, 0, &bits, 8), 0);
}

struct client {
    struct yd_live_mapping table, ring, bell;
    struct yd_live_table_view view;
    struct yd_live_ring_reader reader;
    uint64_t id;
};

static struct client subscribe(struct yd_live_feed *feed, struct yd_live_feed_request request)
{
    struct client client = {0};
    struct yd_live_feed_grant grant;
    assert_int_equal(yd_live_feed_subscribe(feed, &request, 1, 1, &grant), 0);
    client.id = grant.id;
    assert_int_equal(grant.generation, 7);
    assert_int_equal(yd_live_mapping_open(grant.table_fd, YD__LIVE_TABLE, &client.table), 0);
    assert_int_equal(yd_live_mapping_open(grant.bell_fd, YD__LIVE_BELL, &client.bell), 0);
    assert_int_equal(yd_live_table_view_open(&client.table, &client.view), 0);
    assert_int_equal(grant.ring_fd >= 0, request.every);
    if (request.every) {
        assert_int_equal(yd_live_mapping_open(grant.ring_fd, YD__LIVE_RING, &client.ring), 0);
        assert_int_equal(yd_live_ring_reader_open(&client.ring, NULL, &client.reader), 0);
        close(grant.ring_fd);
    }
    close(grant.table_fd);
    close(grant.bell_fd);
    return client;
}

static void go(struct client *client)
{
    yd_live_mapping_close(&client->table);
    yd_live_mapping_close(&client->ring);
    yd_live_mapping_close(&client->bell);
}

/* The next value of an `every`: its name, sequence and value. */
static bool next(struct client *client, char name[64], uint64_t *seq, uint64_t *value, uint64_t *lost)
{
    uint64_t words[2];
    struct yd_live_event event;
    const char *at;
    uint32_t size;
    int got = yd_live_ring_next(&client->reader, words, sizeof words, &event);
    if (got == 0) return false;
    assert_int_equal(got, 1);
    assert_int_equal(event.size, 16);
    assert_int_equal(yd_live_table_view_name(&client->view, event.index, &at, &size), 0);
    snprintf(name, 64, "%.*s", (int)size, at);
    *seq = words[0];
    *value = words[1];
    if (lost) *lost = event.lost;
    return true;
}

static void expect(struct client *client, const char *name, uint64_t seq, uint64_t value)
{
    char got[64];
    uint64_t got_seq, got_value;
    assert_true(next(client, got, &got_seq, &got_value, NULL));
    assert_string_equal(got, name);
    assert_int_equal(got_seq, seq);
    assert_int_equal(got_value, value);
}

static void expect_nothing(struct client *client)
{
    char got[64];
    uint64_t seq, value;
    assert_false(next(client, got, &seq, &value, NULL));
}

/* The newest value of a `latest`; 0: none. */
static uint64_t newest(struct client *client, const char *name, uint64_t *ret_seq)
{
    uint32_t index;
    uint64_t words[2];
    struct yd_live_cell cell;
    struct yd_live_cursor cursor = {0};
    struct yd_live_value value;
    if (yd_live_table_view_find(&client->view, name, (uint32_t)strlen(name), 0, &index)) return 0;
    assert_int_equal(yd_live_table_view_cell(&client->view, index, &cell), 0);
    if (yd_live_cell_get(&cell, &cursor, words, sizeof words, &value) != 1) return 0;
    assert_int_equal(value.type, YD_U64);
    if (ret_seq) *ret_seq = words[0];
    return words[1];
}

static struct yd_live_feed_counts counts(struct yd_live_feed *feed, const struct client *client)
{
    struct yd_live_feed_counts counts;
    assert_int_equal(yd_live_feed_counts(feed, client->id, &counts), 0);
    return counts;
}

static struct yd_live_feed_request every(const char *pattern)
{
    return (struct yd_live_feed_request){.pattern = yd_str_of(pattern), .every = true};
}

static struct yd_live_feed_request latest(const char *pattern, double rate)
{
    return (struct yd_live_feed_request){.pattern = yd_str_of(pattern), .rate = rate};
}

/* ---- tests ---- */

static void every_value_that_matches_comes_in_order_and_nothing_else(void **state)
{
    (void)state;
    struct yd_live_source *source = make_source(65536);
    struct yd_live_feed *feed = make_feed(source);
    put(source, "engine.rpm", 1); /* before it subscribed */
    struct client client = subscribe(feed, every("engine.*"));
    put(source, "engine.rpm", 2);
    put(source, "cabin.rpm", 3);
    put(source, "engine.oil", 4); /* a name that is new */
    put(source, "engine.rpm", 5);
    assert_false(yd_live_feed_run(feed, 1, 100));
    expect(&client, "engine.rpm", 2, 2);
    expect(&client, "engine.oil", 1, 4);
    expect(&client, "engine.rpm", 3, 5);
    expect_nothing(&client);
    assert_int_equal(yd_live_table_view_count(&client.view), 2); /* it sees no other names either */
    assert_int_equal(counts(feed, &client).passed, 3);
    assert_int_equal(counts(feed, &client).overrun, 0);
    go(&client);
    yd_live_feed_destroy(feed);
    yd_live_source_destroy(source);
}

static void a_budget_ends_a_turn_and_the_next_one_goes_on(void **state)
{
    (void)state;
    struct yd_live_source *source = make_source(65536);
    struct yd_live_feed *feed = make_feed(source);
    struct client client = subscribe(feed, every("*"));
    for (uint64_t i = 1; i <= 10; i++) put(source, "a", i);
    assert_true(yd_live_feed_run(feed, 1, 4));
    for (uint64_t i = 1; i <= 4; i++) expect(&client, "a", i, i);
    expect_nothing(&client);
    assert_false(yd_live_feed_run(feed, 1, 100));
    for (uint64_t i = 5; i <= 10; i++) expect(&client, "a", i, i);
    go(&client);
    yd_live_feed_destroy(feed);
    yd_live_source_destroy(source);
}

static void what_is_due_goes_by_priority_when_a_turn_is_short(void **state)
{
    (void)state;
    static const unsigned priorities[] = {3, 9, 0, 9, 5}, order[] = {1, 3, 4, 0, 2};
    struct yd_live_source *source = make_source(65536);
    struct yd_live_feed *feed = make_feed(source);
    struct client clients[5];
    put(source, "a", 1);
    for (int i = 0; i < 5; i++) { /* at most one a second; the first at once */
        struct yd_live_feed_request request = latest("a", 1);
        request.priority = priorities[i];
        clients[i] = subscribe(feed, request);
        assert_int_equal(newest(&clients[i], "a", NULL), 1);
    }
    put(source, "a", 2);
    assert_false(yd_live_feed_run(feed, 2, 100)); /* all have had theirs in this second */
    for (int i = 0; i < 5; i++) assert_int_equal(newest(&clients[i], "a", NULL), 1);
    for (int served = 1; served <= 5; served++) {
        (void)yd_live_feed_run(feed, 1 + S, 1); /* one value a turn */
        for (int i = 0; i < 5; i++) assert_int_equal(newest(&clients[order[i]], "a", NULL), i < served ? 2 : 1);
    }
    for (int i = 0; i < 5; i++) go(&clients[i]);
    yd_live_feed_destroy(feed);
    yd_live_source_destroy(source);
}

static void names_that_are_not_allowed_are_not_fed(void **state)
{
    (void)state;
    struct yd_live_source *source = make_source(65536);
    struct yd_live_feed *feed = make_feed(source);
    struct yd_pattern *allowed;
    assert_int_equal(yd_pattern_compile(YD_STR("public.*"), &allowed), 0);
    struct yd_live_feed_request request = every("*");
    request.allowed = allowed;
    put(source, "secret.a", 1);
    struct client client = subscribe(feed, request);
    request.every = false;
    struct client other = subscribe(feed, request);
    put(source, "secret.a", 1);
    put(source, "public.a", 2);
    put(source, "secret.b", 3);
    (void)yd_live_feed_run(feed, 1, 100);
    expect(&client, "public.a", 1, 2);
    expect_nothing(&client);
    assert_int_equal(newest(&other, "public.a", NULL), 2);
    assert_int_equal(yd_live_table_view_count(&other.view), 1);
    go(&client);
    go(&other);
    yd_live_feed_destroy(feed);
    yd_pattern_destroy(allowed);
    yd_live_source_destroy(source);
}

static void an_application_that_does_not_read_is_overrun_alone_and_knows_by_how_much(void **state)
{
    (void)state;
    struct yd_live_source *source = make_source(65536);
    struct yd_live_feed *feed = make_feed(source), *other = make_feed(source);
    struct yd_live_feed_request request = every("a");
    request.ring_size = 4096;
    struct client sleeper = subscribe(feed, request), reader = subscribe(other, request);
    char name[64];
    uint64_t seq = 0, value, lost = 0, got = 0, gone = 0, total = 0;
    for (uint64_t i = 1; i <= 5000; i++) {
        put(source, "a", i);
        (void)yd_live_feed_run(feed, 1, 100);
        (void)yd_live_feed_run(other, 1, 100);
        expect(&reader, "a", i, i);
    }
    assert_int_equal(counts(feed, &sleeper).passed, 5000);
    while (next(&sleeper, name, &seq, &value, &lost)) {
        got++;
        gone += lost;
        assert_int_equal(seq, got + gone);
        total = seq;
    }
    assert_int_equal(total, 5000);
    assert_int_equal(got + gone, 5000);
    assert_true(gone > 4000);
    go(&sleeper);
    go(&reader);
    yd_live_feed_destroy(feed);
    yd_live_feed_destroy(other);
    yd_live_source_destroy(source);
}

static void a_feed_that_is_overrun_counts_what_it_lost_of_each_subscription_exactly(void **state)
{
    (void)state;
    struct yd_live_source *source = make_source(4096);
    struct yd_live_feed *feed = make_feed(source);
    uint64_t seed = test_seed(), sent[3] = {0};
    static const char *const names[] = {"a", "b", "c"};
    struct client one = subscribe(feed, every("a")), all = subscribe(feed, every("*"));
    struct yd_live_feed_counts of_one = {0}, of_all = {0};
    for (int round = 0; round < 300; round++) {
        unsigned burst = (unsigned)((seed >> 20) % 400), run = (unsigned)((seed >> 40) % 80);
        for (unsigned i = 0; i < burst; i++) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
            unsigned which = (unsigned)(seed >> 33) % 3;
            put(source, names[which], ++sent[which]);
        }
        (void)yd_live_feed_run(feed, 1, run);
        seed = seed * UINT64_C(6364136223846793005) + 1;
    }
    while (yd_live_feed_run(feed, 1, 64)) continue;
    of_one = counts(feed, &one);
    of_all = counts(feed, &all);
    assert_true(of_one.overrun > 0);
    assert_int_equal(of_one.passed + of_one.overrun, sent[0]);
    assert_int_equal(of_all.passed + of_all.overrun, sent[0] + sent[1] + sent[2]);
    go(&one);
    go(&all);
    yd_live_feed_destroy(feed);
    yd_live_source_destroy(source);
}

static void what_is_lost_at_the_end_is_counted_though_nothing_follows(void **state)
{
    (void)state;
    struct yd_live_source *source = make_source(4096);
    struct yd_live_feed *feed = make_feed(source);
    struct client rare = subscribe(feed, every("rare")), newest_of = subscribe(feed, latest("rare", 0));
    put(source, "rare", 1);
    (void)yd_live_feed_run(feed, 1, 100);
    put(source, "rare", 2);
    put(source, "rare", 3);
    for (uint64_t i = 0; i < 1000; i++) put(source, "often", i);
    while (yd_live_feed_run(feed, 1, 64)) continue;
    assert_int_equal(counts(feed, &rare).passed, 1);
    assert_int_equal(counts(feed, &rare).overrun, 2);
    assert_int_equal(newest(&newest_of, "rare", NULL), 3); /* of the newest none is lost */
    go(&rare);
    go(&newest_of);
    yd_live_feed_destroy(feed);
    yd_live_source_destroy(source);
}

static void latest_has_the_newest_at_once_and_changes_at_its_rate(void **state)
{
    (void)state;
    struct yd_live_source *source = make_source(65536);
    struct yd_live_feed *feed = make_feed(source);
    uint64_t seq = 0;
    put(source, "a", 1);
    put(source, "a", 2);
    struct client client = subscribe(feed, latest("*", 10));
    assert_int_equal(newest(&client, "a", &seq), 2);
    assert_int_equal(seq, 2);
    for (uint64_t i = 3; i <= 9; i++) put(source, "a", i);
    put(source, "b", 1);
    (void)yd_live_feed_run(feed, 2, 100);
    assert_int_equal(newest(&client, "a", NULL), 2);
    assert_int_equal(newest(&client, "b", NULL), 1);
    assert_int_equal(yd_live_feed_due(feed), 1 + S / 10);
    (void)yd_live_feed_run(feed, 1 + S / 10, 100);
    assert_int_equal(newest(&client, "a", &seq), 9);
    assert_int_equal(seq, 9);
    struct yd_live_feed_counts c = counts(feed, &client);
    assert_int_equal(c.passed, 3);
    assert_int_equal(c.paced, 6); /* 3 … 8 */
    (void)yd_live_feed_run(feed, S, 100);
    assert_int_equal(yd_live_feed_due(feed), INT64_MAX); /* nothing came: nothing is due, nobody wakes */
    go(&client);
    yd_live_feed_destroy(feed);
    yd_live_source_destroy(source);
}

static void every_with_a_rate_passes_so_many_a_second_of_each_name_and_counts_the_rest(void **state)
{
    (void)state;
    struct yd_live_source *source = make_source(65536);
    struct yd_live_feed *feed = make_feed(source);
    struct yd_live_feed_request request = every("*");
    request.rate = 3;
    struct client client = subscribe(feed, request);
    for (int64_t second = 1; second <= 4; second++)
        for (uint64_t i = 0; i < 5; i++) {
            put(source, "a", i);
            if (i < 2) put(source, "b", i);
            (void)yd_live_feed_run(feed, second * S + (int64_t)i * S / 5, 100);
        }
    struct yd_live_feed_counts c = counts(feed, &client);
    assert_int_equal(c.passed, 4 * 3 + 4 * 2);
    assert_int_equal(c.paced, 4 * 2);
    go(&client);
    yd_live_feed_destroy(feed);
    yd_live_source_destroy(source);
}

static void names_beyond_the_bound_are_counted_not_placed(void **state)
{
    (void)state;
    struct yd_live_source *source = make_source(65536);
    struct yd_live_feed *feed = make_feed(source);
    struct yd_live_feed_request request = every("*");
    request.names_max = 2;
    struct client client = subscribe(feed, request);
    put(source, "a", 1);
    put(source, "b", 1);
    put(source, "c", 1);
    put(source, "c", 2);
    put(source, "a", 2);
    (void)yd_live_feed_run(feed, 1, 100);
    expect(&client, "a", 1, 1);
    expect(&client, "b", 1, 1);
    expect(&client, "a", 2, 2);
    expect_nothing(&client);
    assert_int_equal(counts(feed, &client).unplaced, 2);
    go(&client);
    yd_live_feed_destroy(feed);
    yd_live_source_destroy(source);
}

static void what_makes_no_sense_is_refused_and_leaves_nothing(void **state)
{
    (void)state;
    struct yd_live_source *source = make_source(65536);
    struct yd_live_feed *feed = make_feed(source);
    struct yd_live_feed_grant grant;
    struct yd_live_feed_request request = {.pattern = YD_STR("a"), .rate = -1};
    assert_int_equal(yd_live_feed_subscribe(feed, &request, 1, 1, &grant), YD_EINVAL);
    request.rate = 1.0 / 0.0;
    assert_int_equal(yd_live_feed_subscribe(feed, &request, 1, 1, &grant), YD_EINVAL);
    request = (struct yd_live_feed_request){.pattern = YD_STR("a"), .priority = YD_LIVE_PRIORITIES};
    assert_int_equal(yd_live_feed_subscribe(feed, &request, 1, 1, &grant), YD_EINVAL);
    request = (struct yd_live_feed_request){.pattern = YD_STR("")};
    assert_true(yd_live_feed_subscribe(feed, &request, 1, 1, &grant) < 0);
    assert_int_equal(yd_live_feed_size(feed), 0);
    assert_int_equal(yd_live_feed_unsubscribe(feed, 1), YD_ENOENT);
    yd_live_feed_destroy(feed);
    yd_live_source_destroy(source);
}

static void subscriptions_end_alone_and_their_counts_stay(void **state)
{
    (void)state;
    struct yd_live_source *source = make_source(65536);
    struct yd_live_feed *feed = make_feed(source);
    struct yd_live_feed_request request = every("*");
    request.priority = 4;
    struct client one = subscribe(feed, request), two = subscribe(feed, every("a"));
    assert_int_equal(yd_live_feed_priority(feed), 4);
    put(source, "a", 1);
    (void)yd_live_feed_run(feed, 1, 100);
    assert_int_equal(yd_live_feed_unsubscribe(feed, one.id), 0);
    assert_int_equal(yd_live_mapping_state(&one.ring), YD__LIVE_CLOSED);
    put(source, "a", 2);
    (void)yd_live_feed_run(feed, 1, 100);
    expect(&one, "a", 1, 1); /* what was there can be read */
    expect_nothing(&one);
    expect(&two, "a", 1, 1);
    expect(&two, "a", 2, 2);
    assert_int_equal(yd_live_feed_total(feed).passed, 3);
    assert_int_equal(yd_live_feed_priority(feed), 0);
    assert_int_equal(yd_live_feed_unsubscribe(feed, two.id), 0);
    for (uint64_t i = 0; i < 5000; i++) put(source, "a", i);
    struct client three = subscribe(feed, every("a")); /* from now on: not what came while there was none */
    put(source, "a", 77);
    (void)yd_live_feed_run(feed, 1, 100);
    expect(&three, "a", 5003, 77);
    assert_int_equal(counts(feed, &three).overrun, 0);
    go(&one);
    go(&two);
    go(&three);
    yd_live_feed_destroy(feed);
    yd_live_source_destroy(source);
}

static void what_an_application_says_of_itself_is_bounded_and_by_what_it_was_given_once_it_ended(void **state)
{
    (void)state;
    struct yd_live_source *source = make_source(65536);
    struct yd_live_feed *feed = make_feed(source);
    struct client one = subscribe(feed, every("*")), two = subscribe(feed, every("*"));
    struct client *clients[] = {&one, &two};
    put(source, "a", 1);
    (void)yd_live_feed_run(feed, 1, 100);
    for (unsigned i = 0; i < 2; i++) { /* one page: both see it */
        struct yd__bell_page *page = (struct yd__bell_page *)(uintptr_t)clients[i]->bell.header;
        page->said[i] = (struct yd__bell_said){UINT64_MAX, i == 0 ? UINT64_MAX : UINT64_MAX - 7};
    }
    struct yd_live_feed_watch watch = yd_live_feed_watch(feed);
    struct yd_live_feed_said said = yd_live_feed_said(&watch);
    assert_true(said.got == YD_LIVE_SAID_MAX && said.lost == YD_LIVE_SAID_MAX);
    assert_true(said.ordered == 4 * YD_LIVE_SAID_MAX); /* not wrapped around: nothing is unread */
    assert_int_equal(yd_live_feed_unsubscribe(feed, one.id), 0);
    assert_int_equal(yd_live_feed_unsubscribe(feed, two.id), 0);
    watch = yd_live_feed_watch(feed);
    said = yd_live_feed_said(&watch);
    assert_true(said.got == 2 && said.lost == 2 && said.ordered == 0);
    go(&one);
    go(&two);
    yd_live_feed_destroy(feed);
    yd_live_source_destroy(source);
}

/* Of one measurement an application may want every value and, more urgently, the newest: the one is not in the way of
 * the other. */
static void every_and_latest_of_one_name_do_not_mix(void **state)
{
    (void)state;
    struct yd_live_source *source = make_source(65536);
    struct yd_live_feed *feed = make_feed(source);
    struct yd_live_feed_request urgent = latest("a", 0);
    urgent.priority = 5;
    struct client now = subscribe(feed, urgent), all = subscribe(feed, every("a"));
    for (uint64_t i = 1; i <= 3; i++) put(source, "a", 10 + i);
    (void)yd_live_feed_run(feed, 1, 100);
    assert_int_equal(newest(&now, "a", NULL), 13);
    for (uint64_t i = 1; i <= 3; i++) expect(&all, "a", i, 10 + i);
    expect_nothing(&all);
    go(&now);
    go(&all);
    yd_live_feed_destroy(feed);
    yd_live_source_destroy(source);
}

static void what_latest_does_not_hand_on_is_counted_from_its_beginning_on(void **state)
{
    (void)state;
    struct yd_live_source *source = make_source(65536);
    struct yd_live_feed *feed = make_feed(source);
    struct yd_live_feed_request request = latest("*", 0);
    for (uint64_t i = 1; i <= 100; i++) put(source, "old", i);
    struct client client = subscribe(feed, request);
    request.names_max = 1;
    struct client narrow = subscribe(feed, request);
    put(source, "old", 101);
    for (uint64_t i = 1; i <= 5; i++) put(source, "new", i); /* four of them are not the newest any more */
    (void)yd_live_feed_run(feed, 1, 100);
    struct yd_live_feed_counts wide_counts = counts(feed, &client), narrow_counts = counts(feed, &narrow);
    assert_int_equal(wide_counts.passed + wide_counts.paced, 1 + 1 + 5);
    assert_int_equal(wide_counts.passed, 3);
    assert_int_equal(wide_counts.unplaced, 0);
    assert_int_equal(narrow_counts.passed, 2);
    assert_int_equal(narrow_counts.unplaced, 5);
    assert_int_equal(narrow_counts.paced, 0);
    go(&client);
    go(&narrow);
    request.pattern = yd_str_of("o*");
    request.names_max = 0;
    struct client late = subscribe(feed, request);
    assert_int_equal(counts(feed, &late).passed, 1); /* the newest, and not what was before */
    assert_int_equal(counts(feed, &late).paced, 0);
    go(&late);
    yd_live_feed_destroy(feed);
    yd_live_source_destroy(source);
}

/* ---- beside a writer that does not wait ---- */

struct race {
    struct yd_live_source *source;
    uint32_t ended;
    uint64_t got;
};

static void *write_all(void *arg)
{
    struct race *race = arg;
    char name[16];
    for (uint64_t i = 1; i <= 60000; i++) {
        snprintf(name, sizeof name, "n%u", (unsigned)(i % 50));
        put(race->source, name, i / 50);
    }
    yd__store(&race->ended, 1, RELEASE);
    return NULL;
}

static void a_writer_that_never_waits_and_feeds_beside_it_lose_nothing_uncounted(void **state)
{
    (void)state;
    struct race race = {.source = make_source(32768)};
    struct yd_live_feed *feeds[2] = {make_feed(race.source), make_feed(race.source)};
    struct client clients[2] = {subscribe(feeds[0], every("*")), subscribe(feeds[1], every("n7"))};
    struct client last = subscribe(feeds[0], latest("n7", 0));
    pthread_t thread;
    uint64_t got = 0, lost, lost_all = 0, seq, value, before = 0;
    char name[64];
    assert_int_equal(pthread_create(&thread, NULL, write_all, &race), 0);
    bool ended;
    do {
        ended = yd__load(&race.ended, ACQUIRE);
        (void)yd_live_feed_run(feeds[0], 1, 256);
        while (yd_live_feed_run(feeds[1], 1, 256)) continue;
        while (next(&clients[1], name, &seq, &value, &lost)) {
            assert_true(seq > before);
            assert_int_equal(value, seq - 1);
            before = seq;
            got++;
            lost_all += lost;
        }
    } while (!ended);
    while (yd_live_feed_run(feeds[0], 1, 256)) continue;
    while (yd_live_feed_run(feeds[1], 1, 256)) continue;
    while (next(&clients[1], name, &seq, &value, &lost)) {
        got++;
        lost_all += lost;
    }
    (void)pthread_join(thread, NULL);
    struct yd_live_feed_counts all = counts(feeds[0], &clients[0]), one = counts(feeds[1], &clients[1]);
    assert_int_equal(all.passed + all.overrun, 60000);
    assert_int_equal(one.passed + one.overrun, 1200);
    assert_int_equal(got + lost_all, one.passed);
    assert_int_equal(newest(&last, "n7", NULL), 1199);
    for (int i = 0; i < 2; i++) {
        go(&clients[i]);
        yd_live_feed_destroy(feeds[i]);
    }
    go(&last);
    yd_live_source_destroy(race.source);
}

/* The event lies in the ring a moment before the table has its value: who comes in that moment must not lose it. */
static void *write_one_at_a_time(void *arg)
{
    struct race *race = arg;
    for (uint64_t i = 1; i <= 20000; i++) {
        put(race->source, "a", i);
        while (yd__load(&race->got, ACQUIRE) < i && !yd__load(&race->ended, ACQUIRE)) sched_yield();
    }
    return NULL;
}

static void the_latest_arrives_though_nothing_follows_it(void **state)
{
    (void)state;
    struct race race = {.source = make_source(32768)};
    struct yd_live_feed *feed = make_feed(race.source);
    struct client client = subscribe(feed, latest("a", 0));
    pthread_t thread;
    uint64_t idle = 0;
    assert_int_equal(pthread_create(&thread, NULL, write_one_at_a_time, &race), 0);
    while (race.got < 20000 && idle < 10000000) {
        (void)yd_live_feed_run(feed, 1, 256);
        uint64_t value = newest(&client, "a", NULL);
        idle = value > race.got ? 0 : idle + 1;
        if (value > race.got) yd__store(&race.got, value, RELEASE);
        if (idle % 1024 == 1023) sched_yield();
    }
    yd__store(&race.ended, 1, RELEASE);
    (void)pthread_join(thread, NULL);
    assert_int_equal(race.got, 20000);
    go(&client);
    yd_live_feed_destroy(feed);
    yd_live_source_destroy(race.source);
}

/* Who subscribes while a value is being published reads the one before in the table, and may not meet its event. */
static void who_subscribes_between_an_event_and_its_value_gets_the_value(void **state)
{
    (void)state;
    for (int turn = 0; turn < 4; turn++) {
        bool walks = turn & 1; /* the feed does, and has read the event already */
        double rate = turn & 2 ? 10 : 0;
        struct yd_live_source *source = make_source(4096);
        struct yd_live_feed *feed = make_feed(source);
        struct client other = {0};
        uint64_t bits = 2, seq;
        uint32_t index;
        put(source, "a", 1);
        if (walks) other = subscribe(feed, (struct yd_live_feed_request){.pattern = YD_STR("b"), .every = true});
        assert_int_equal(yd_live_source_find(source, YD_STR("a"), &index), 0);
        assert_int_equal(yd__source_event(source, index, 2, YD_U64, 0, &bits, 8), 0);
        assert_false(yd_live_feed_run(feed, 1, 100));
        struct client client = subscribe(feed, (struct yd_live_feed_request){.pattern = YD_STR("a"), .rate = rate});
        assert_int_equal(newest(&client, "a", &seq), 1);
        assert_false(yd_live_feed_run(feed, 2, 100)); /* there is nothing to do until it is called */
        assert_int_equal(newest(&client, "a", &seq), 1);
        assert_int_equal(yd__source_value(source, index, 2, YD_U64, 0, &bits, 8), 0);
        assert_false(yd_live_feed_run(feed, 3, 100));
        if (rate > 0) assert_false(yd_live_feed_run(feed, yd_live_feed_due(feed), 100));
        assert_int_equal(newest(&client, "a", &seq), 2);
        assert_int_equal(seq, 2);
        struct yd_live_feed_counts counts;
        assert_int_equal(yd_live_feed_counts(feed, client.id, &counts), 0);
        assert_int_equal(counts.passed, 2);
        assert_int_equal(counts.paced + counts.overrun + counts.unplaced, 0);
        go(&client);
        if (walks) go(&other);
        yd_live_feed_destroy(feed);
        yd_live_source_destroy(source);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_value_that_matches_comes_in_order_and_nothing_else),
        cmocka_unit_test(a_budget_ends_a_turn_and_the_next_one_goes_on),
        cmocka_unit_test(what_is_due_goes_by_priority_when_a_turn_is_short),
        cmocka_unit_test(names_that_are_not_allowed_are_not_fed),
        cmocka_unit_test(an_application_that_does_not_read_is_overrun_alone_and_knows_by_how_much),
        cmocka_unit_test(a_feed_that_is_overrun_counts_what_it_lost_of_each_subscription_exactly),
        cmocka_unit_test(what_is_lost_at_the_end_is_counted_though_nothing_follows),
        cmocka_unit_test(latest_has_the_newest_at_once_and_changes_at_its_rate),
        cmocka_unit_test(every_with_a_rate_passes_so_many_a_second_of_each_name_and_counts_the_rest),
        cmocka_unit_test(names_beyond_the_bound_are_counted_not_placed),
        cmocka_unit_test(what_makes_no_sense_is_refused_and_leaves_nothing),
        cmocka_unit_test(subscriptions_end_alone_and_their_counts_stay),
        cmocka_unit_test(what_an_application_says_of_itself_is_bounded_and_by_what_it_was_given_once_it_ended),
        cmocka_unit_test(what_latest_does_not_hand_on_is_counted_from_its_beginning_on),
        cmocka_unit_test(every_and_latest_of_one_name_do_not_mix),
        cmocka_unit_test(a_writer_that_never_waits_and_feeds_beside_it_lose_nothing_uncounted),
        cmocka_unit_test(the_latest_arrives_though_nothing_follows_it),
        cmocka_unit_test(who_subscribes_between_an_event_and_its_value_gets_the_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
