/* The simulated loops: the virtual clock, streams, datagrams, what keeps nodes apart, file threads without threads. */
#include "io/sim_net.h"
#include "base/hash.h"
#include "io/pool.h"
#include "io/sim_file.h"
#include "tap.h"

static struct yd_sim *sim;
static struct yd_loop *here, *there; /* nodes "a" and "b" */

static void begin(uint64_t seed)
{
    assert_error(0, yd_sim_create(seed, &sim));
    assert_error(0, yd_sim_loop_create(sim, "a", &here));
    assert_error(0, yd_sim_loop_create(sim, "b", &there));
}
static void end_sim(void)
{
    yd_loop_destroy(here);
    yd_loop_destroy(there);
    yd_sim_destroy(sim);
}
static int with_sim(void **state)
{
    (void)state;
    begin(1);
    return 0;
}
static int without_sim(void **state)
{
    (void)state;
    end_sim();
    return 0;
}

static void pass(int64_t ns)
{
    yd_sim_run_until(sim, yd_sim_now(sim) + ns);
}

static struct yd_address address_of(const char *text)
{
    struct yd_address address;
    assert_error(0, yd_address_parse(yd_str_of(text), &address, NULL));
    return address;
}

/* ---- clock, timers, posts ---- */

static int64_t rang_at[100];
static int rang;
static struct yd_loop *ringing;
static void ring(void *arg)
{
    (void)arg;
    rang_at[rang++] = yd_loop_mono(ringing);
}

static void the_clock_jumps_from_timer_to_timer_and_they_are_exact(void **state)
{
    struct yd_timer *timers[20];
    int64_t start = yd_sim_now(sim);
    (void)state;
    rang = 0, ringing = here;
    for (int i = 0; i < 20; i++) {
        assert_error(0, yd_timer_create(i % 2 ? here : there, ring, NULL, &timers[i]));
        yd_timer_start(timers[i], start + (int64_t)((i * 7) % 20) * YD_NS_PER_S + 1);
    }
    assert_int_equal(yd_sim_next(sim), start + 1);
    pass(30 * YD_NS_PER_S);
    assert_int_equal(rang, 20);
    for (int i = 0; i < 20; i++) assert_int_equal(rang_at[i], start + i * YD_NS_PER_S + 1);
    assert_int_equal(yd_sim_now(sim), start + 30 * YD_NS_PER_S);
    assert_int_equal(yd_loop_mono(here), yd_sim_now(sim));
    assert_false(yd_sim_step(sim));
    assert_int_equal(yd_sim_next(sim), INT64_MAX);
    for (int i = 0; i < 20; i++) yd_timer_close(timers[i]);
}

static void the_wall_clock_steps_and_the_monotonic_one_does_not(void **state)
{
    int64_t mono = yd_loop_mono(here), wall = yd_loop_wall(here);
    (void)state;
    yd_sim_step_wall(here, -3600 * YD_NS_PER_S);
    assert_int_equal(yd_loop_mono(here), mono);
    assert_int_equal(yd_loop_wall(here), wall - 3600 * YD_NS_PER_S);
    assert_int_equal(yd_loop_wall(there), wall);
    pass(5);
    assert_int_equal(yd_loop_wall(here), wall - 3600 * YD_NS_PER_S + 5);
}

static int posted[100], posted_count;
static void note_posted(void *arg)
{
    posted[posted_count++] = *(int *)arg;
}

static void posts_keep_their_order_and_run_at_destroy_at_the_latest(void **state)
{
    static int numbers[60];
    (void)state;
    posted_count = 0;
    for (int i = 0; i < 60; i++) {
        numbers[i] = i;
        assert_error(0, yd_loop_post(here, note_posted, &numbers[i]));
        yd_loop_wake(here);
        if (i == 30) pass(YD_NS_PER_MS);
        if (i == 30) assert_int_equal(posted_count, 31);
    }
    yd_loop_destroy(here);
    assert_int_equal(posted_count, 60);
    for (int i = 0; i < 60; i++) assert_int_equal(posted[i], i);
    assert_error(0, yd_sim_loop_create(sim, "a", &here));
}

static void running_one_loop_runs_the_simulation_until_something_happens_there(void **state)
{
    struct yd_timer *ours, *theirs;
    int64_t start = yd_sim_now(sim);
    (void)state;
    rang = 0, ringing = here;
    assert_error(0, yd_timer_create(here, ring, NULL, &ours));
    assert_error(0, yd_timer_create(there, ring, NULL, &theirs));
    yd_timer_start(theirs, start + 10);
    yd_timer_start(ours, start + 20);
    assert_int_equal(yd_loop_run(here, 15), 0);
    assert_int_equal(yd_sim_now(sim), start + 15);
    assert_int_equal(yd_loop_run(here, -1), 1);
    assert_int_equal(yd_sim_now(sim), start + 20);
    assert_int_equal(yd_loop_run(here, -1), 0); /* nothing will ever happen */
    assert_int_equal(rang, 2);
    yd_timer_close(ours);
    yd_timer_close(theirs);
}

/* ---- streams ---- */

struct end {
    struct yd_stream *stream;
    char room[4096];
    size_t received;
    uint32_t crc;
    int connected, drained, ended, calls, echo;
    char last[64];
};
static void end_room(void *arg, char **ret_to, size_t *ret_size)
{
    struct end *end = arg;
    *ret_to = end->room;
    *ret_size = sizeof end->room;
}
static void end_data(void *arg, size_t size)
{
    struct end *end = arg;
    end->received += size;
    end->calls++;
    end->crc = yd_crc32c(end->crc, end->room, size);
    snprintf(end->last, sizeof end->last, "%.*s", (int)size, end->room);
    if (end->echo) assert_error(0, yd_stream_write(end->stream, (struct yd_str){end->room, size}));
}
static void end_ended(void *arg, int error)
{
    struct end *end = arg;
    assert_int_equal(end->ended, 0);
    end->ended = error;
}
static void end_drained(void *arg)
{
    ((struct end *)arg)->drained++;
}
static void end_connected(void *arg)
{
    ((struct end *)arg)->connected++;
}
static const struct yd_stream_ops end_ops = {end_room, end_data, end_ended, end_drained, end_connected};

struct door {
    struct yd_listener *listener;
    struct end end; /* of the first who comes */
    struct yd_stream *raw;
    int count, keep_raw;
};
static void door_accept(void *arg, struct yd_stream *stream, const struct yd_address *peer)
{
    struct door *door = arg;
    (void)peer;
    door->count++;
    if (door->keep_raw) {
        door->raw = stream;
        return;
    }
    door->end.stream = stream;
    yd_stream_start(stream, &end_ops, &door->end);
}
static const struct yd_listener_ops door_ops = {door_accept};

/* A door on node b at 10.0.0.2:7000, and a connection to it from node a. */
static void join(struct door *door, struct end *client)
{
    struct yd_address at = address_of("10.0.0.2:7000");
    memset(door, 0, sizeof *door);
    memset(client, 0, sizeof *client);
    assert_error(0, yd_listen(there, &at, &door_ops, door, &door->listener, NULL));
    assert_error(0, yd_connect(here, &at, &end_ops, client, &client->stream, NULL));
}
static void leave(struct door *door, struct end *client)
{
    yd_stream_close(client->stream);
    yd_stream_close(door->end.stream);
    yd_stream_close(door->raw);
    yd_listener_close(door->listener);
}

static void a_connection_carries_bytes_both_ways_and_ends_one_side_at_a_time(void **state)
{
    struct door door;
    struct end client;
    (void)state;
    join(&door, &client);
    assert_error(0, yd_stream_write(client.stream, YD_STR("hello")));
    assert_int_equal(door.count, 0); /* nothing happens in a call */
    pass(YD_NS_PER_S);
    assert_int_equal(client.connected, 1);
    assert_int_equal(client.drained, 1);
    assert_string_equal(door.end.last, "hello");
    yd_stream_shutdown(client.stream);
    assert_error(YD_ECLOSED, yd_stream_write(client.stream, YD_STR("more")));
    pass(YD_NS_PER_S);
    assert_int_equal(door.end.ended, YD_EEOF);
    assert_error(0, yd_stream_write(door.end.stream, YD_STR("world")));
    pass(YD_NS_PER_S);
    assert_string_equal(client.last, "world");
    yd_stream_close(door.end.stream);
    door.end.stream = NULL;
    pass(YD_NS_PER_S);
    assert_int_equal(client.ended, YD_EEOF);
    leave(&door, &client);
}

static uint64_t run_echo(uint64_t seed, struct yd_sim_net_counts *ret_counts)
{
    enum { SIZE = 300000 };
    static char bytes[SIZE];
    struct yd_rng rng;
    struct door door;
    struct end client;
    size_t done = 0;
    begin(seed);
    yd_rng_init(&rng, seed);
    for (size_t i = 0; i < SIZE; i++) bytes[i] = (char)yd_rng_next(&rng);
    yd_sim_net_faults(sim)->small_read = 3;
    join(&door, &client);
    door.end.echo = 1;
    while (done < SIZE) {
        size_t piece = 1 + yd_rng_below(&rng, 50000), size = YD_MIN(SIZE - done, piece);
        assert_error(0, yd_stream_write(client.stream, (struct yd_str){bytes + done, size}));
        done += size;
        pass((int64_t)yd_rng_below(&rng, 3 * YD_NS_PER_MS));
    }
    pass(100 * YD_NS_PER_S);
    assert_int_equal(client.received, SIZE);
    assert_int_equal(client.crc, yd_crc32c(0, bytes, SIZE));
    assert_int_equal(yd_stream_backlog(client.stream), 0);
    leave(&door, &client);
    pass(YD_NS_PER_S);
    uint64_t trace = yd_sim_trace(sim);
    *ret_counts = *yd_sim_net_counts(sim);
    end_sim();
    return trace;
}

static void bytes_come_back_through_an_echo_as_they_were_in_pieces(void **state)
{
    struct yd_sim_net_counts counts;
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) (void)run_echo(seed, &counts);
    assert_true(counts.small_reads > 10 && counts.stream_bytes == 600000);
}

static void the_same_seed_is_the_same_run_and_another_is_not(void **state)
{
    struct yd_sim_net_counts one, two;
    (void)state;
    uint64_t first = run_echo(5, &one), second = run_echo(5, &two);
    assert_int_equal(first, second);
    assert_memory_equal(&one, &two, sizeof one);
    assert_int_not_equal(first, run_echo(6, &two));
}

static void a_peer_that_does_not_read_fills_the_limit_and_no_more(void **state)
{
    static char block[100000];
    struct door door;
    struct end client;
    size_t sent = 0;
    int error = 0;
    (void)state;
    join(&door, &client);
    pass(YD_NS_PER_S);
    yd_stream_pause(door.end.stream, true);
    yd_stream_limit(client.stream, 1000000);
    while (!error) {
        error = yd_stream_write(client.stream, (struct yd_str){block, sizeof block});
        if (!error) sent += sizeof block;
        pass(10 * YD_NS_PER_MS);
        assert_true(sent < 10000000);
    }
    assert_error(YD_EFULL, error);
    assert_true(yd_stream_backlog(client.stream) <= 1000000);
    assert_int_equal(door.end.received, 0);
    int drained = client.drained;
    yd_stream_pause(door.end.stream, false);
    pass(100 * YD_NS_PER_S);
    assert_int_equal(door.end.received, sent);
    assert_int_equal(client.drained, drained + 1);
    leave(&door, &client);
}

static void nodes_apart_stall_and_go_on_when_they_are_together_again(void **state)
{
    struct door door;
    struct end client;
    (void)state;
    join(&door, &client);
    pass(YD_NS_PER_S);
    yd_sim_apart(sim, "b", "a", true);
    assert_error(0, yd_stream_write(client.stream, YD_STR("one ")));
    pass(60 * YD_NS_PER_S);
    assert_error(0, yd_stream_write(client.stream, YD_STR("two")));
    pass(60 * YD_NS_PER_S);
    assert_int_equal(door.end.received, 0);
    assert_int_equal(door.end.ended, 0);
    yd_sim_apart(sim, "a", "b", false);
    pass(YD_NS_PER_S);
    assert_int_equal(door.end.received, 7);
    assert_int_equal(door.end.crc, yd_crc32c(0, "one two", 7));
    assert_true(yd_sim_net_counts(sim)->stalls > 0);
    yd_sim_lose(sim, "b", "a", true); /* the other direction */
    assert_error(0, yd_stream_write(client.stream, YD_STR("and")));
    pass(YD_NS_PER_S);
    assert_int_equal(door.end.received, 10);
    yd_sim_lose(sim, "b", "a", false);
    yd_sim_lose(sim, "a", "b", true);
    assert_error(0, yd_stream_write(client.stream, YD_STR("!")));
    pass(YD_NS_PER_S);
    assert_int_equal(door.end.received, 10);
    yd_sim_lose(sim, "a", "b", false);
    pass(YD_NS_PER_S);
    assert_int_equal(door.end.received, 11);
    yd_sim_apart(sim, "a", NULL, true); /* from everybody */
    assert_error(0, yd_stream_write(client.stream, YD_STR("x")));
    pass(YD_NS_PER_S);
    assert_int_equal(door.end.received, 11);
    yd_stream_close(client.stream); /* and dies there: silence, until they meet again */
    client.stream = NULL;
    pass(10 * YD_NS_PER_S);
    assert_int_equal(door.end.ended, 0);
    yd_sim_apart(sim, "a", NULL, false);
    pass(YD_NS_PER_S);
    assert_int_equal(door.end.received, 12);
    assert_int_equal(door.end.ended, YD_EEOF);
    leave(&door, &client);
}

static void connecting_to_a_node_that_is_apart_gives_up(void **state)
{
    struct door door;
    struct end client;
    (void)state;
    yd_sim_apart(sim, "a", "b", true);
    join(&door, &client);
    pass(2 * YD_NS_PER_S);
    assert_int_equal(client.ended, 0);
    pass(2 * YD_NS_PER_S);
    assert_int_equal(client.ended, YD_ETIMEOUT);
    assert_int_equal(door.count, 0);
    leave(&door, &client);
}

static void a_cut_resets_both_ends_once(void **state)
{
    struct door door;
    struct end client;
    (void)state;
    join(&door, &client);
    pass(YD_NS_PER_S);
    yd_sim_cut(sim, "b", "a");
    yd_sim_cut(sim, "a", "b");
    pass(YD_NS_PER_S);
    assert_int_equal(client.ended, YD_ECONNRESET);
    assert_int_equal(door.end.ended, YD_ECONNRESET);
    assert_error(YD_ECLOSED, yd_stream_write(client.stream, YD_STR("x")));
    leave(&door, &client);
}

static void chance_cuts_and_refuses_connections(void **state)
{
    struct door door;
    struct end client;
    (void)state;
    yd_sim_net_faults(sim)->refuse = 1;
    join(&door, &client);
    pass(YD_NS_PER_S);
    assert_int_equal(client.ended, YD_ECONNREFUSED);
    leave(&door, &client);
    *yd_sim_net_faults(sim) = (struct yd_sim_net_faults){.cut = 1};
    join(&door, &client);
    assert_error(0, yd_stream_write(client.stream, YD_STR("x")));
    pass(YD_NS_PER_S);
    assert_int_equal(client.ended, YD_ECONNRESET);
    assert_int_equal(yd_sim_net_counts(sim)->cuts, 1);
    assert_int_equal(yd_sim_net_counts(sim)->connects_failed, 1);
    leave(&door, &client);
}

static void closing_with_bytes_unread_resets_the_peer(void **state)
{
    struct door door;
    struct end client;
    (void)state;
    join(&door, &client);
    pass(YD_NS_PER_S);
    yd_stream_pause(door.end.stream, true);
    assert_error(0, yd_stream_write(client.stream, YD_STR("unread")));
    pass(YD_NS_PER_S);
    yd_stream_close(door.end.stream);
    door.end.stream = NULL;
    pass(YD_NS_PER_S);
    assert_int_equal(client.ended, YD_ECONNRESET);
    leave(&door, &client);
}

static void who_leaves_before_he_is_connected_is_noticed(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct door door;
        struct end client;
        begin(seed);
        join(&door, &client);
        for (uint64_t i = 0; i < seed % 4; i++) (void)yd_sim_step(sim);
        yd_stream_close(client.stream);
        client.stream = NULL;
        pass(YD_NS_PER_S);
        assert_true(door.count == 0 || door.end.ended);
        leave(&door, &client);
        end_sim();
    }
    begin(1);
}

static void loopback_and_unix_addresses_belong_to_their_node(void **state)
{
    static const char *const local[] = {"127.0.0.1:7000", ":7000", "unix:/run/y"};
    (void)state;
    for (size_t i = 0; i < YD_COUNT(local); i++) {
        struct yd_address at = address_of(local[i]);
        struct door ours = {0}, theirs = {0};
        struct end client = {0}, stranger = {0};
        assert_error(0, yd_listen(there, &at, &door_ops, &theirs, &theirs.listener, NULL));
        assert_error(0, yd_connect(here, &at, &end_ops, &stranger, &stranger.stream, NULL));
        pass(YD_NS_PER_S);
        assert_int_equal(stranger.ended, i == 2 ? YD_ENOENT : YD_ECONNREFUSED);
        assert_error(0, yd_listen(here, &at, &door_ops, &ours, &ours.listener, NULL)); /* the same, elsewhere */
        assert_error(YD_EADDRINUSE, yd_listen(here, &at, &door_ops, &ours, &ours.listener, NULL));
        struct yd_address to = i == 1 ? address_of("127.0.0.1:7000") : at;
        assert_error(0, yd_connect(here, &to, &end_ops, &client, &client.stream, NULL));
        pass(YD_NS_PER_S);
        assert_int_equal(ours.count, 1);
        assert_int_equal(theirs.count, 0);
        uint32_t uid = 5;
        assert_int_equal(yd_stream_peer_user(client.stream, &uid), i == 2);
        yd_stream_close(stranger.stream);
        yd_listener_close(theirs.listener);
        leave(&ours, &client);
    }
}

static char peeked_bytes[100];
static int peeked_error, peeked_count;
static void note_peeked(void *arg, struct yd_str bytes, int error)
{
    (void)arg;
    snprintf(peeked_bytes, sizeof peeked_bytes, "%.*s", YD_STR_FMT(bytes));
    peeked_error = error;
    peeked_count++;
}

static void the_first_bytes_can_be_seen_without_being_taken(void **state)
{
    struct door door;
    struct end client;
    int fd;
    (void)state;
    peeked_count = 0;
    join(&door, &client);
    door.keep_raw = 1;
    pass(YD_NS_PER_S);
    assert_error(0, yd_stream_peek(door.raw, note_peeked, NULL));
    assert_error(YD_ENOTSUP, yd_stream_detach(door.raw, &fd));
    assert_error(0, yd_stream_write(client.stream, YD_STR("GET")));
    pass(YD_NS_PER_S);
    assert_int_equal(peeked_count, 1);
    assert_string_equal(peeked_bytes, "GET");
    door.end.stream = door.raw;
    door.raw = NULL;
    yd_stream_start(door.end.stream, &end_ops, &door.end);
    pass(YD_NS_PER_S);
    assert_string_equal(door.end.last, "GET");
    leave(&door, &client);
}

static void a_paused_listener_keeps_connections_waiting(void **state)
{
    struct door door;
    struct end client;
    (void)state;
    join(&door, &client);
    yd_listener_pause(door.listener, true);
    pass(10 * YD_NS_PER_S);
    assert_int_equal(door.count, 0);
    yd_listener_pause(door.listener, false);
    pass(YD_NS_PER_S);
    assert_int_equal(door.count, 1);
    leave(&door, &client);
}

/* ---- datagrams ---- */

struct mailbox {
    struct yd_datagrams *socket;
    int count, out_of_order, highest, turns;
    uint64_t drops;
    int64_t time_ns;
};
static void mail_received(void *arg, const struct yd_datagram *datagrams, size_t count, uint64_t drops)
{
    struct mailbox *mailbox = arg;
    for (size_t i = 0; i < count; i++) {
        char text[16] = "";
        memcpy(text, datagrams[i].bytes.data, YD_MIN(datagrams[i].bytes.size, sizeof text - 1));
        int number = atoi(text);
        mailbox->out_of_order += number < mailbox->highest;
        mailbox->highest = YD_MAX(mailbox->highest, number);
        mailbox->time_ns = datagrams[i].time_ns;
    }
    mailbox->count += (int)count;
    mailbox->drops = drops;
}
static void mail_turn_ends(void *arg)
{
    ((struct mailbox *)arg)->turns++;
}
static const struct yd_datagrams_ops mail_ops = {mail_received, mail_turn_ends};

static void send_numbers(struct mailbox *from, const char *to, int count)
{
    struct yd_address address = address_of(to);
    for (int i = 1; i <= count; i++) {
        char text[16] = "";
        snprintf(text, sizeof text, "%d", i);
        assert_error(0, yd_datagrams_send(from->socket, &address, (struct yd_str){text, sizeof text}));
        pass(50 * YD_NS_PER_US);
    }
    pass(YD_NS_PER_S);
}

static void datagrams_are_lost_doubled_and_overtaken_and_each_is_counted(void **state)
{
    struct mailbox one = {0}, two = {0};
    struct yd_address at_one = address_of("10.0.0.1:8125"), at_two = address_of("10.0.0.2:8125");
    const struct yd_sim_net_counts *counts = yd_sim_net_counts(sim);
    static char large[70000];
    (void)state;
    assert_error(0, yd_datagrams_open(here, &at_one, &mail_ops, &one, &one.socket, NULL));
    assert_error(0, yd_datagrams_open(there, &at_two, &mail_ops, &two, &two.socket, NULL));
    assert_error(YD_EADDRINUSE, yd_datagrams_open(there, &at_two, &mail_ops, &two, &two.socket, NULL));
    send_numbers(&one, "10.0.0.2:8125", 300);
    assert_int_equal(two.count, 300);
    assert_int_equal(two.out_of_order, 0);
    assert_in_range(yd_loop_wall(there) - two.time_ns, 0, 2 * YD_NS_PER_S);
    yd_sim_net_faults(sim)->lose = 5;
    yd_sim_net_faults(sim)->duplicate = 7;
    yd_sim_net_faults(sim)->reorder = 4;
    two.highest = 0;
    send_numbers(&one, "10.0.0.2:8125", 300);
    assert_true(counts->lost > 20 && counts->duplicated > 10 && counts->reordered > 20 && two.out_of_order > 10);
    assert_int_equal((uint64_t)two.count, 600 - counts->lost + counts->duplicated);
    *yd_sim_net_faults(sim) = (struct yd_sim_net_faults){0};
    yd_sim_apart(sim, "a", "b", true);
    uint64_t lost = counts->lost;
    send_numbers(&one, "10.0.0.2:8125", 10);
    send_numbers(&one, "10.0.0.3:8125", 10); /* nobody is there */
    assert_int_equal(counts->lost, lost + 20);
    assert_error(YD_ETOOBIG, yd_datagrams_send(one.socket, &at_two, (struct yd_str){large, sizeof large}));
    yd_datagrams_close(one.socket);
    yd_datagrams_close(two.socket);
}

static void sockets_share_an_address_and_each_sender_has_one_of_them(void **state)
{
    struct mailbox first = {0}, second = {0}, third = {0}, senders[16] = {0};
    struct yd_address at = address_of("10.0.0.2:8125");
    struct yd_datagrams_options one = {.share = YD_DATAGRAMS_FIRST}, join = {.share = YD_DATAGRAMS_JOIN};
    struct yd_loop *other;
    (void)state;
    assert_error(0, yd_sim_loop_create(sim, "b", &other));
    assert_error(0, yd_datagrams_open_with(there, &at, &one, &mail_ops, &first, &first.socket, NULL));
    assert_error(0, yd_datagrams_open_with(other, &at, &join, &mail_ops, &second, &second.socket, NULL));
    assert_error(YD_EADDRINUSE, yd_datagrams_open_with(other, &at, &one, &mail_ops, &third, &third.socket, NULL));
    assert_error(YD_EADDRINUSE, yd_datagrams_open(there, &at, &mail_ops, &third, &third.socket, NULL));
    for (int i = 0; i < 16; i++) {
        struct yd_address from = address_of("10.0.0.1:0");
        assert_error(0, yd_datagrams_open(here, &from, &mail_ops, &senders[i], &senders[i].socket, NULL));
        send_numbers(&senders[i], "10.0.0.2:8125", 5);
    }
    assert_int_equal(first.count + second.count, 80);
    assert_true(first.count > 0 && second.count > 0);
    assert_int_equal(first.count % 5, 0);
    for (int i = 0; i < 16; i++) yd_datagrams_close(senders[i].socket);
    yd_datagrams_close(first.socket);
    yd_datagrams_close(second.socket);
    yd_loop_destroy(other);
}

static void keep_moved(void *arg, struct yd_stream *stream)
{
    struct end *end = arg;
    end->stream = stream;
    yd_stream_start(stream, &end_ops, end);
}

static void a_fresh_stream_moves_to_another_loop(void **state)
{
    struct yd_address at = address_of("10.0.0.2:7000");
    struct door door = {.keep_raw = 1};
    struct end client = {0};
    struct yd_loop *other;
    (void)state;
    assert_error(0, yd_sim_loop_create(sim, "b", &other));
    assert_error(0, yd_listen(there, &at, &door_ops, &door, &door.listener, NULL));
    assert_error(0, yd_connect(here, &at, &end_ops, &client, &client.stream, NULL));
    assert_error(0, yd_stream_write(client.stream, YD_STR("hello")));
    pass(YD_NS_PER_S);
    assert_int_equal(door.count, 1);
    assert_error(0, yd_stream_move(door.raw, other, keep_moved, &door.end));
    door.raw = NULL;
    assert_null(door.end.stream); /* nothing happens in a call */
    pass(YD_NS_PER_S);
    assert_string_equal(door.end.last, "hello");
    leave(&door, &client);
    yd_loop_destroy(other);
}

static void a_paused_socket_keeps_what_fits_and_counts_the_rest(void **state)
{
    struct mailbox one = {0};
    struct yd_address at = address_of("127.0.0.1:8125");
    static char block[50000];
    (void)state;
    assert_error(0, yd_datagrams_open(here, &at, &mail_ops, &one, &one.socket, NULL));
    yd_datagrams_pause(one.socket, true);
    for (int i = 0; i < 10; i++)
        assert_error(0, yd_datagrams_send(one.socket, &at, (struct yd_str){block, sizeof block}));
    pass(YD_NS_PER_S);
    assert_int_equal(one.count, 0);
    yd_datagrams_pause(one.socket, false);
    pass(YD_NS_PER_S);
    assert_int_equal(one.count, 4);
    assert_int_equal(one.drops, 6);
    assert_int_equal(yd_datagrams_drops(one.socket), 6);
    assert_int_equal(one.turns, 1);
    yd_datagrams_pause(one.socket, true);
    assert_error(0, yd_datagrams_send(one.socket, &at, YD_STR("left")));
    pass(YD_NS_PER_S);
    yd_datagrams_pause(one.socket, false);
    yd_datagrams_close(one.socket); /* what was on its way to us is nobody's */
    pass(YD_NS_PER_S);
    assert_int_equal(one.count, 4);
}

static void a_socket_that_finishes_gives_out_what_it_has(void **state)
{
    struct mailbox one = {0};
    struct yd_address at = address_of("127.0.0.1:8125"), group = address_of("239.1.2.3:8125");
    struct yd_datagrams_options small = {.receive_buffer = 10};
    (void)state;
    assert_error(YD_ENOTSUP, yd_datagrams_open(here, &group, &mail_ops, &one, &one.socket, NULL));
    assert_error(0, yd_datagrams_open_with(here, &at, &small, &mail_ops, &one, &one.socket, NULL));
    assert_int_equal(yd_datagrams_buffer(one.socket), 10);
    yd_datagrams_pause(one.socket, true);
    for (int i = 0; i < 3; i++) assert_error(0, yd_datagrams_send(one.socket, &at, YD_STR("1234")));
    pass(YD_NS_PER_S);
    assert_int_equal(yd_datagrams_drops(one.socket), 1);
    yd_datagrams_finish(one.socket);
    assert_int_equal(one.count, 2);
    assert_int_equal(one.turns, 1);
    yd_datagrams_close(one.socket);
}

/* ---- what needs Linux ---- */

static void watches_children_and_signals_are_refused(void **state)
{
    const char *argv[] = {"/bin/true", NULL};
    static const struct yd_child_ops ops = {0};
    struct yd_watch *watch;
    struct yd_child *child;
    struct yd_signal *signal;
    (void)state;
    assert_error(YD_ENOTSUP, yd_watch_open(here, 0, ring, NULL, &watch));
    assert_error(YD_ENOTSUP, yd_child_start(here, argv, &ops, NULL, &child, NULL));
    assert_error(YD_ENOTSUP, yd_signal_open(here, 15, NULL, NULL, &signal));
}

/* ---- file threads ---- */

static int worked[3], done[3], switches, last_lane;
static void work_lane(void *arg)
{
    int lane = *(int *)arg;
    worked[lane]++;
    switches += lane != last_lane;
    last_lane = lane;
}
static void lane_done(void *arg)
{
    int lane = *(int *)arg;
    assert_true(++done[lane] <= worked[lane]);
}

static void lanes_keep_their_order_and_mix_with_others(void **state)
{
    static int numbers[3] = {0, 1, 2};
    struct yd_lane *lanes[3];
    struct yd_pools *pools;
    struct yd_pool *pool, *same;
    (void)state;
    memset(worked, 0, sizeof worked);
    memset(done, 0, sizeof done);
    switches = 0;
    assert_error(0, yd_pools_create_sim(here, &pools));
    assert_error(0, yd_pools_for(pools, yd_fs_linux(), "/any/path", &pool));
    assert_error(0, yd_pools_for(pools, yd_fs_linux(), "/other", &same));
    assert_ptr_equal(pool, same);
    for (int l = 0; l < 3; l++) assert_error(0, yd_lane_open(pool, &lanes[l]));
    for (int i = 0; i < 50; i++)
        for (int l = 0; l < 3; l++) assert_error(0, yd_lane_submit(lanes[l], work_lane, here, lane_done, &numbers[l]));
    assert_int_equal(worked[0], 0); /* nothing runs in submit */
    pass(YD_NS_PER_S);
    for (int l = 0; l < 3; l++) assert_int_equal(done[l], 50);
    assert_in_range(switches, 20, 149);
    for (int i = 0; i < 5; i++) assert_error(0, yd_lane_submit(lanes[0], work_lane, here, lane_done, &numbers[0]));
    for (int l = 0; l < 3; l++) yd_lane_close(lanes[l]);
    assert_int_equal(worked[0], 55); /* closing waits for the work */
    pass(YD_NS_PER_S);
    assert_int_equal(done[0], 55);
    yd_pools_destroy(pools);
}

#define SIM(test) cmocka_unit_test_setup_teardown(test, with_sim, without_sim)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIM(the_clock_jumps_from_timer_to_timer_and_they_are_exact),
        SIM(the_wall_clock_steps_and_the_monotonic_one_does_not),
        SIM(posts_keep_their_order_and_run_at_destroy_at_the_latest),
        SIM(running_one_loop_runs_the_simulation_until_something_happens_there),
        SIM(a_connection_carries_bytes_both_ways_and_ends_one_side_at_a_time),
        cmocka_unit_test(bytes_come_back_through_an_echo_as_they_were_in_pieces),
        cmocka_unit_test(the_same_seed_is_the_same_run_and_another_is_not),
        SIM(a_peer_that_does_not_read_fills_the_limit_and_no_more),
        SIM(nodes_apart_stall_and_go_on_when_they_are_together_again),
        SIM(connecting_to_a_node_that_is_apart_gives_up),
        SIM(a_cut_resets_both_ends_once),
        SIM(chance_cuts_and_refuses_connections),
        SIM(closing_with_bytes_unread_resets_the_peer),
        cmocka_unit_test_teardown(who_leaves_before_he_is_connected_is_noticed, without_sim),
        SIM(loopback_and_unix_addresses_belong_to_their_node),
        SIM(the_first_bytes_can_be_seen_without_being_taken),
        SIM(a_paused_listener_keeps_connections_waiting),
        SIM(datagrams_are_lost_doubled_and_overtaken_and_each_is_counted),
        SIM(a_socket_that_finishes_gives_out_what_it_has),
        SIM(sockets_share_an_address_and_each_sender_has_one_of_them),
        SIM(a_fresh_stream_moves_to_another_loop),
        SIM(a_paused_socket_keeps_what_fits_and_counts_the_rest),
        SIM(watches_children_and_signals_are_refused),
        SIM(lanes_keep_their_order_and_mix_with_others),
    };
    return cmocka_run_group_tests_name("simulated_loops", tests, NULL, NULL);
}
