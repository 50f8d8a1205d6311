/* The native server, each message and each refusal, in a simulation: small reads, cuts, silence, other people's lies.
 */
#include "native_world.h"

#include "log/mend.h"

static int setup(void **state)
{
    struct world *world = world_create(11);
    yd_sim_net_faults(world->sim)->small_read = 3;
    world_start(world);
    *state = world;
    return 0;
}

static int setup_bare(void **state)
{
    *state = world_create(12);
    return 0;
}

static int teardown(void **state)
{
    world_destroy(*state);
    return 0;
}

/* ---- the session ---- */

static void hello_is_welcomed_and_everything_else_first_is_not(void **state)
{
    struct world *world = *state;
    struct client *client = client_open(world);
    const struct yd_msg_welcome *welcome = (const void *)client->body;
    assert_int_equal(welcome->version, 1);
    assert_int_equal(welcome->frame_max, YD_PROTOCOL_FRAME_MAX);
    assert_memory_equal(client->body + sizeof *welcome, "yarder ", 7);
    client_send(client, YD_MSG_PING, 5, "12345678abcdefgh", 16, (struct yd_str){0});
    client_expect(client, YD_MSG_PONG, 5);
    assert_memory_equal(client->body, "12345678abcdefgh", 16);
    client_send(client, 999, 6, NULL, 0, (struct yd_str){0});
    (void)client_refused(client, 6, YD_ENOTSUP);
    client_say_hello(client, ""); /* again */
    client_goodbye(client, YD_EFORMAT);
    client_close(client);

    client = client_connect(world);
    client_send(client, YD_MSG_PING, 1, NULL, 0, (struct yd_str){0});
    client_goodbye(client, YD_EFORMAT);
    client_close(client);

    client = client_connect(world);
    struct yd_msg_hello hello = {.magic = YD_PROTOCOL_MAGIC, .version_min = 2, .version_max = 9};
    client_send(client, YD_MSG_HELLO, 1, &hello, sizeof hello, (struct yd_str){0});
    client_goodbye(client, YD_EVERSION);
    client_close(client);

    client = client_connect(world);
    hello = (struct yd_msg_hello){.magic = 1, .version_min = 1, .version_max = 1};
    client_send(client, YD_MSG_HELLO, 1, &hello, sizeof hello, (struct yd_str){0});
    client_goodbye(client, YD_EFORMAT);
    client_close(client);
}

static void tokens_are_compared(void **state)
{
    struct world *world = *state;
    world->options.token = "secret";
    world_start(world);
    static const char *const wrong[] = {"", "secre", "secret2", "Secret"};
    for (size_t i = 0; i < YD_COUNT(wrong); i++) {
        struct client *client = client_connect(world);
        client_say_hello(client, wrong[i]);
        client_goodbye(client, YD_EPERM);
        client_close(client);
    }
    assert_non_null(strstr(world->said, "token"));
    struct client *client = client_connect(world);
    client_say_hello(client, "secret");
    client_expect(client, YD_MSG_WELCOME, 1);
    client_close(client);
}

static void strangers_are_not_let_in_by_default(void **state)
{
    struct world *world = *state;
    struct yd_trail trail = {0};
    world->options.open = false;
    assert_int_equal(yd_native_start(&world->options, &world->native, &trail), YD_EPERM);
    assert_non_null(strstr(yd_trail_text(&trail), "token"));
    world->native = NULL;
    world->options.token = "x";
    world_start(world);
}

static void silence_ends_what_was_begun(void **state)
{
    struct world *world = *state;
    struct client *mute = client_connect(world), *half = client_open(world), *idle = client_open(world);
    int64_t began = yd_sim_now(world->sim);
    struct yd_frame frame = {4096, YD_MSG_PING, 0, 9};
    client_raw(half, &frame, sizeof frame);
    client_goodbye(mute, YD_ETIMEOUT);
    assert_in_range(yd_sim_now(world->sim) - began, 9 * YD_NS_PER_S, 13 * YD_NS_PER_S);
    client_goodbye(half, YD_ETIMEOUT);
    assert_in_range(yd_sim_now(world->sim) - began, 29 * YD_NS_PER_S, 34 * YD_NS_PER_S);
    world_run(world, 700 * YD_NS_PER_S); /* pinged, and does not answer */
    assert_true(client_take(idle));
    assert_int_equal(idle->frame.type, YD_MSG_PING);
    client_goodbye(idle, YD_ETIMEOUT);
    struct yd_native_stat stat;
    yd_native_stat(world->native, &stat);
    assert_int_equal(stat.connections, 0);
    assert_int_equal(world->reasons[YD_NATIVE_BAD_FRAME], 1);
    client_close(mute);
    client_close(half);
    client_close(idle);
}

static void frames_that_cannot_be_end_the_connection(void **state)
{
    struct world *world = *state;
    const struct {
        struct yd_frame frame;
        int error;
    } bad[] = {
        {{512u << 20, YD_MSG_APPEND, 0, 1}, YD_ETOOBIG},
        {{YD_PROTOCOL_FRAME_MAX + 8, YD_MSG_APPEND, 0, 1}, YD_ETOOBIG},
        {{2u << 20, YD_MSG_QUERY, 0, 1}, YD_ETOOBIG},
        {{8, YD_MSG_PING, 0, 1}, YD_EFORMAT},
        {{0, YD_MSG_PING, 0, 1}, YD_EFORMAT},
        {{20, YD_MSG_PING, 0, 1}, YD_EFORMAT},
        {{16, YD_MSG_OPEN, 0, 1}, YD_EFORMAT},
        {{16, YD_MSG_SUBSCRIBE, 0, 1}, YD_EFORMAT},
        {{16, YD_MSG_APPEND, 0, 1}, YD_EFORMAT},
        {{16, YD_MSG_CREDIT, 0, 1}, YD_EFORMAT},
    };
    for (size_t i = 0; i < YD_COUNT(bad); i++) {
        struct client *client = client_open(world);
        client_raw(client, &bad[i].frame, sizeof bad[i].frame);
        client_goodbye(client, bad[i].error);
        client_close(client);
    }
    assert_int_equal(world->reasons[YD_NATIVE_BAD_FRAME], YD_COUNT(bad));
    struct yd_native_stat stat;
    yd_native_stat(world->native, &stat);
    assert_int_equal(stat.receiving_bytes, 0);
}

static void texts_beyond_the_frame_are_refused(void **state)
{
    struct world *world = *state;
    struct client *client = client_open(world);
    struct yd_msg_open open = {.stream_size = 100};
    client_send(client, YD_MSG_OPEN, 2, &open, sizeof open, YD_STR("short"));
    client_goodbye(client, YD_EFORMAT);
    client_close(client);
    client = client_open(world);
    open.stream_size = 4;
    client_send(client, YD_MSG_OPEN, 2, &open, sizeof open, YD_STR("a\xff\xfe!"));
    client_goodbye(client, YD_EFORMAT);
    client_close(client);
}

static void too_many_connections_are_refused(void **state)
{
    struct world *world = *state;
    world->options.connections_max = 2;
    world_start(world);
    struct client *first = client_open(world), *second = client_open(world), *third = client_connect(world);
    client_say_hello(third, "");
    assert_int_equal(client_next(third), 0);
    client_close(first);
    client_close(third);
    world_run(world, YD_NS_PER_S);
    third = client_open(world);
    client_close(second);
    client_close(third);
    struct yd_native_stat stat;
    yd_native_stat(world->native, &stat);
    assert_int_equal(stat.refused, 1);
}

/* ---- streams ---- */

static void names_of_streams_cannot_leave_the_folder(void **state)
{
    struct world *world = *state;
    struct client *client = client_open(world);
    static const char *const bad[] = {"",        "..", "../x",    "a/..", "/etc", "a/b",  "a/0/1",    "a/00", "a/-1",
                                      "a/65536", "a/", ".hidden", "a b",  "a/1x", "a\\b", "a/999999", "a:b"};
    for (size_t i = 0; i < YD_COUNT(bad); i++) {
        client_ask_open(client, 3, bad[i], true, 0);
        (void)client_refused(client, 3, YD_EINVAL);
    }
    client_ask_open(client, 3, "absent", false, 0);
    (void)client_refused(client, 3, YD_ENOENT);
    struct yd_msg_opened opened = client_stream(client, "made");
    assert_int_equal(opened.handle, 0);
    assert_int_equal(opened.partitions, 1);
    assert_int_equal(client_stream(client, "made/0").handle, 1);
    client_close(client);
    world_stop(world);
    world->options.create = false;
    world_start(world);
    client = client_open(world);
    client_ask_open(client, 3, "other", true, 0);
    const struct yd_msg_refused *refused = client_refused(client, 3, YD_ENOENT);
    assert_non_null(strstr((const char *)(refused + 1), "create: true"));
    client_ask_open(client, 5, "other", false, 0);
    refused = client_refused(client, 5, YD_ENOENT);
    assert_null(strstr((const char *)(refused + 1), "create: true"));
    client_ask_open(client, 4, "made", false, 0);
    client_expect(client, YD_MSG_OPENED, 4);
    client_close(client);
}

static void opened_tells_a_producer_where_it_is(void **state)
{
    struct world *world = *state;
    struct client *client = client_open(world);
    uint32_t handle = client_stream(client, "s").handle;
    (void)client_put(client, handle, of_producer(make_batch(0, 2, 0), 77, 3, 40));
    client_ask_open(client, 5, "s", false, 77);
    client_expect(client, YD_MSG_OPENED, 5);
    const struct yd_msg_opened *opened = (const void *)client->body;
    assert_int_equal(opened->producer_seq, 40);
    assert_int_equal(opened->producer_epoch, 3);
    client_close(client);
}

/* ---- APPEND ---- */

static void appends_are_answered_at_their_level(void **state)
{
    struct world *world = *state;
    struct client *client = client_open(world);
    uint32_t handle = client_stream(client, "s").handle;
    for (uint8_t level = YD_ACK_MEMORY; level <= YD_ACK_REPLICATED; level++) {
        struct yd_batch *batches[3] = {make_batch(0, 1, 0), make_batch(1, 2, 0), make_batch(3, 3, 100000)};
        client_append(client, level, (struct yd_msg_append){.handle = handle, .level = level}, batches, 3);
        struct yd_msg_appended appended = client_appended(client, level);
        assert_int_equal(appended.next - appended.first, 7);
        assert_int_equal(appended.level, level == YD_ACK_REPLICATED ? YD_ACK_DURABLE : level); /* of no replicas */
    }
    assert_int_equal(world->counts[YD_NATIVE_TAKEN], 28);
    client_close(client);
}

static void producers_ranges_are_written_once(void **state)
{
    struct world *world = *state;
    struct client *client = client_open(world);
    uint32_t handle = client_stream(client, "s").handle;
    struct yd_msg_append message = {.handle = handle, .flags = YD_APPEND_EXPECT_PREV};
    for (int i = 0; i < 2; i++) { /* twice the same */
        struct yd_batch *batches[2] = {of_producer(make_batch(0, 2, 0), 5, 1, 2),
                                       of_producer(make_batch(2, 2, 0), 5, 1, 4)};
        client_append(client, 3, message, batches, 2);
        struct yd_msg_appended appended = client_appended(client, 3);
        assert_int_equal(appended.next, 4);
        assert_int_equal(appended.duplicates, i ? 2 : 0);
    }
    assert_int_equal(world->counts[YD_NATIVE_FOLDED], 4);

    message.expect_prev_seq = 9;
    struct yd_batch *batch = of_producer(make_batch(4, 1, 0), 5, 1, 10);
    client_append(client, 4, message, &batch, 1);
    assert_int_equal(client_refused(client, 4, YD_EGAP)->detail, 4);

    /* The second of two has a gap before it: the first was taken, and it is said. */
    message.expect_prev_seq = 4;
    struct yd_batch *two[2] = {of_producer(make_batch(4, 1, 0), 5, 2, 5), of_producer(make_batch(5, 1, 0), 5, 1, 6)};
    client_append(client, 5, message, two, 2);
    const struct yd_msg_refused *refused = client_refused(client, 5, YD_EEPOCH);
    assert_int_equal(refused->detail, 2);
    assert_int_equal(refused->detail2, 1);

    message = (struct yd_msg_append){.handle = handle, .flags = YD_APPEND_EXPECT_SEQNO, .expect_seqno = 99};
    batch = make_batch(5, 1, 0);
    client_append(client, 6, message, &batch, 1);
    assert_int_equal(client_refused(client, 6, YD_EGAP)->detail, 5);
    message.expect_seqno = 5;
    struct yd_batch *sole[2] = {make_batch(5, 1, 0), make_batch(6, 1, 0)};
    client_append(client, 7, message, sole, 2);
    assert_int_equal(client_appended(client, 7).next, 7);
    assert_int_equal(world->reasons[YD_NATIVE_GAP], 2);
    assert_int_equal(world->reasons[YD_NATIVE_EPOCH], 1);
    client_close(client);
}

static void batches_are_checked_before_any_is_taken(void **state)
{
    struct world *world = *state;
    struct client *client = client_open(world);
    uint32_t handle = client_stream(client, "s").handle;
    struct yd_msg_append message = {.handle = handle, .level = YD_ACK_DURABLE, .count = 2};
    struct yd_batch *good = make_batch(0, 30, 0);
    char bytes[4096] = {0};
    size_t size = good->header.size;
    yd_batch_to_bytes(good, bytes);
    yd_batch_to_bytes(good, bytes + size);

    bytes[size + sizeof(struct yd_header) + 5] ^= 1; /* the body of the second */
    client_send(client, YD_MSG_APPEND, 3, &message, sizeof message, (struct yd_str){bytes, 2 * size});
    (void)client_refused(client, 3, YD_ECORRUPT);
    bytes[size + sizeof(struct yd_header) + 5] ^= 1;
    message.count = 3; /* claims one more */
    client_send(client, YD_MSG_APPEND, 4, &message, sizeof message, (struct yd_str){bytes, 2 * size});
    (void)client_refused(client, 4, YD_EFORMAT);
    message.count = 1; /* hides one */
    client_send(client, YD_MSG_APPEND, 5, &message, sizeof message, (struct yd_str){bytes, 2 * size});
    (void)client_refused(client, 5, YD_EFORMAT);
    message.count = 0;
    client_send(client, YD_MSG_APPEND, 6, &message, sizeof message, (struct yd_str){0});
    (void)client_refused(client, 6, YD_EINVAL);
    message.count = 1;
    message.level = 9;
    client_send(client, YD_MSG_APPEND, 7, &message, sizeof message, (struct yd_str){bytes, size});
    (void)client_refused(client, 7, YD_EINVAL);
    message.level = 3;
    message.handle = 55;
    client_send(client, YD_MSG_APPEND, 8, &message, sizeof message, (struct yd_str){bytes, size});
    (void)client_refused(client, 8, YD_EINVAL);
    message.handle = handle;
    struct yd_batch *mixed[2] = {of_producer(make_batch(0, 1, 0), 1, 1, 1), of_producer(make_batch(0, 1, 0), 2, 1, 1)};
    client_append(client, 9, message, mixed, 2);
    (void)client_refused(client, 9, YD_EINVAL);
    message.count = 60000; /* more than the frame could hold */
    client_send(client, YD_MSG_APPEND, 10, &message, sizeof message, (struct yd_str){bytes, size});
    client_goodbye(client, YD_EFORMAT);
    client_close(client);

    client = client_open(world);
    assert_int_equal(client_stream(client, "s").durable, 0);
    yd_batch_unref(good);
    client_close(client);
}

static void large_batches_arrive_in_small_pieces(void **state)
{
    struct world *world = *state;
    struct client *client = client_open(world);
    uint32_t handle = client_stream(client, "s").handle;
    uint64_t at = 0;
    for (int i = 0; i < 4; i++) {
        struct yd_batch *batches[2] = {make_batch(at, 3, 3000000), make_batch(at + 4, 2, 100)};
        client_append(client, 3, (struct yd_msg_append){.handle = handle}, batches, 2);
        struct yd_msg_appended appended = client_appended(client, 3);
        assert_int_equal(appended.next - appended.first, 7);
        at = appended.next;
    }
    client_subscribe(client, 9, (struct yd_msg_subscribe){.handle = handle, .flags = YD_SUBSCRIBE_STOP}, "", "");
    struct got got = client_to_end(client, 9);
    assert_int_equal(got.records, at);
    assert_int_equal(got.next, at);
    struct yd_native_stat stat;
    yd_native_stat(world->native, &stat);
    assert_int_equal(stat.receiving_bytes, 0);
    client_close(client);
}

static void a_full_log_holds_its_senders_and_no_others(void **state)
{
    struct world *world = *state;
    struct yd_log_options options = {.fs = world->fs,
                                     .dir = "data/streams/small/0",
                                     .stream = "small/0",
                                     .random = world_random,
                                     .wall = world_wall,
                                     .clock_arg = world,
                                     .queue_bytes_max = 20000};
    struct yd_log *log;
    assert_int_equal(yd_log_open(&options, &log, NULL, NULL), 0);
    assert_int_equal(yd_streams_put(world->streams, "small/0", log), 0);
    struct client *client = client_open(world), *other = client_open(world);
    uint32_t handle = client_stream(client, "small").handle, free_handle = client_stream(other, "roomy").handle;
    for (uint64_t i = 0; i < 100; i++) {
        struct yd_batch *batch = make_batch(2 * i, 1, 3000);
        client_append(client, 100 + i, (struct yd_msg_append){.handle = handle}, &batch, 1);
    }
    assert_int_equal(client_put(other, free_handle, make_batch(0, 1, 0)).next, 1);
    for (uint64_t i = 0; i < 100; i++) {
        struct yd_msg_appended appended = client_appended(client, 100 + i);
        assert_int_equal(appended.first, 2 * i); /* in order */
    }
    client_close(client);
    client_close(other);
    yd_streams_remove(world->streams, "small/0");
    assert_int_equal(yd_log_close(log), 0);
}

static void closing_a_log_is_told_to_all_who_use_it(void **state)
{
    struct world *world = *state;
    struct yd_log_options options = {.fs = world->fs,
                                     .dir = "data/streams/own/0",
                                     .stream = "own/0",
                                     .random = world_random,
                                     .wall = world_wall,
                                     .clock_arg = world};
    struct yd_log *log;
    assert_int_equal(yd_log_open(&options, &log, NULL, NULL), 0);
    assert_int_equal(yd_streams_put(world->streams, "own/0", log), 0);
    struct client *client = client_open(world);
    uint32_t handle = client_stream(client, "own").handle;
    (void)client_put(client, handle, make_batch(0, 2, 0));
    client_subscribe(client, 9, (struct yd_msg_subscribe){.handle = handle, .from = YD_FROM_TAIL}, "", "");
    client_expect(client, YD_MSG_BATCHES, 9);
    yd_streams_remove(world->streams, "own/0");
    assert_int_equal(yd_log_close(log), 0);
    struct got got = client_to_end(client, 9);
    assert_int_equal(got.error, YD_ECLOSED);
    assert_int_equal(got.next, 2);
    struct yd_batch *batch = make_batch(2, 1, 0);
    client_append(client, 10, (struct yd_msg_append){.handle = handle}, &batch, 1);
    (void)client_refused(client, 10, YD_ECLOSED);
    client_subscribe(client, 11, (struct yd_msg_subscribe){.handle = handle}, "", "");
    (void)client_refused(client, 11, YD_ECLOSED);
    /* The server opens it itself now, and goes on where it was. */
    uint32_t again = client_stream(client, "own").handle;
    assert_int_equal(client_put(client, again, make_batch(2, 1, 0)).first, 2);
    client_close(client);
}

/* ---- SUBSCRIBE ---- */

static void put_many(struct client *client, uint32_t handle, uint64_t count, size_t fill)
{
    for (uint64_t i = 0; i < count; i++) {
        struct yd_msg_appended appended = client_put(client, handle, make_batch(i * (fill ? 3 : 2), 2, fill));
        assert_int_equal(appended.first, i * (fill ? 3 : 2));
    }
}

static void subscriptions_begin_where_they_are_told(void **state)
{
    struct world *world = *state;
    struct client *client = client_open(world);
    uint32_t handle = client_stream(client, "s").handle;
    put_many(client, handle, 50, 0);
    const struct {
        struct yd_msg_subscribe message;
        uint64_t records, next;
    } cases[] = {
        {{.from = YD_FROM_OLDEST}, 100, 100},
        {{.from = YD_FROM_SEQNO, .seqno = 40}, 60, 100},
        {{.from = YD_FROM_SEQNO, .seqno = 41}, 60, 100}, /* whole batches */
        {{.from = YD_FROM_TAIL}, 0, 100},
        {{.from = YD_FROM_TIME, .time_ns = 90 * YD_NS_PER_S}, 10, 100},
        {{.from = YD_FROM_OLDEST, .until = 20}, 20, 20},
        {{.from = YD_FROM_OLDEST, .count = 7}, 8, 8},
        {{.from = YD_FROM_OLDEST, .kinds = YD_KIND_BIT(YD_FACT)}, 0, 100},
    };
    for (size_t i = 0; i < YD_COUNT(cases); i++) {
        struct yd_msg_subscribe message = cases[i].message;
        message.handle = handle;
        message.flags = YD_SUBSCRIBE_STOP;
        client_subscribe(client, 20 + i, message, "", "");
        struct got got = client_to_end(client, 20 + i);
        assert_int_equal(got.error, 0);
        assert_int_equal(got.records, cases[i].records);
        assert_int_equal(got.next, cases[i].next);
        assert_int_equal(got.gaps, 0);
    }
    client_subscribe(client, 60, (struct yd_msg_subscribe){.handle = handle, .from = YD_FROM_SEQNO, .seqno = 500}, "",
                     "");
    client_expect(client, YD_MSG_BATCHES, 60);
    client_expect(client, YD_MSG_GAP, 60);
    assert_int_equal(((const struct yd_msg_gap *)(const void *)client->body)->to, 100);
    client_send(client, YD_MSG_CANCEL, 60, NULL, 0, (struct yd_str){0});
    assert_int_equal(client_to_end(client, 60).error, 0);
    client_close(client);
}

static void bad_subscriptions_are_refused(void **state)
{
    struct world *world = *state;
    struct client *client = client_open(world);
    uint32_t handle = client_stream(client, "s").handle;
    client_subscribe(client, 3, (struct yd_msg_subscribe){.handle = 9}, "", "");
    (void)client_refused(client, 3, YD_EINVAL);
    client_subscribe(client, 4, (struct yd_msg_subscribe){.handle = handle, .from = 7}, "", "");
    (void)client_refused(client, 4, YD_EINVAL);
    client_subscribe(client, 5, (struct yd_msg_subscribe){.handle = handle, .level = 9}, "", "");
    (void)client_refused(client, 5, YD_EINVAL);
    client_subscribe(client, 6, (struct yd_msg_subscribe){.handle = handle, .kinds = 1u << 30}, "", "");
    (void)client_refused(client, 6, YD_EINVAL);
    client_subscribe(client, 7, (struct yd_msg_subscribe){.handle = handle}, "a [b", "");
    assert_int_equal(client_next(client), YD_MSG_REFUSED);
    client_subscribe(client, 8, (struct yd_msg_subscribe){.handle = handle}, "", "");
    client_expect(client, YD_MSG_BATCHES, 8);
    client_subscribe(client, 8, (struct yd_msg_subscribe){.handle = handle}, "", "");
    (void)client_refused(client, 8, YD_EINVAL);
    client_send(client, YD_MSG_CANCEL, 99, NULL, 0, (struct yd_str){0}); /* quiet */
    struct yd_msg_credit credit = {UINT64_MAX};
    client_send(client, YD_MSG_CREDIT, 8, &credit, sizeof credit, (struct yd_str){0});
    client_send(client, YD_MSG_CREDIT, 8, &credit, sizeof credit, (struct yd_str){0});
    client_send(client, YD_MSG_CREDIT, 99, &credit, sizeof credit, (struct yd_str){0});
    assert_int_equal(client_put(client, handle, make_batch(0, 1, 0)).next, 1);
    client_expect(client, YD_MSG_BATCHES, 8);
    client_close(client);
}

static void names_choose_batches(void **state)
{
    struct world *world = *state;
    struct client *client = client_open(world);
    uint32_t handle = client_stream(client, "s").handle;
    for (uint64_t i = 0; i < 30; i++)
        (void)client_put(client, handle, make_named(i % 3 ? "other" : "cpu host=a", i, 1, 0));
    client_subscribe(client, 9, (struct yd_msg_subscribe){.handle = handle, .flags = YD_SUBSCRIBE_STOP}, "cpu *", "");
    struct got got = client_to_end(client, 9);
    assert_int_equal(got.records, 10);
    assert_int_equal(got.next, 30);
    client_subscribe(client, 10, (struct yd_msg_subscribe){.handle = handle, .count = 4}, "cpu *", "");
    got = client_to_end(client, 10);
    assert_int_equal(got.records, 4);
    assert_int_equal(got.next, 10);
    client_close(client);
}

static void credit_bounds_what_is_sent(void **state)
{
    struct world *world = *state;
    struct client *client = client_open(world);
    uint32_t handle = client_stream(client, "s").handle;
    put_many(client, handle, 20, 1000);
    client_subscribe(client, 9, (struct yd_msg_subscribe){.handle = handle, .credit = 4000}, "", "");
    uint64_t at = 0, bytes = 0;
    world_run(world, YD_NS_PER_S);
    while (client_take(client)) {
        assert_int_equal(client->frame.type, YD_MSG_BATCHES);
        bytes += client->frame.size - sizeof client->frame;
        (void)client_batches(client, &at);
    }
    assert_in_range(bytes, 4000, 4000 + 1500); /* one is always allowed while any is left */
    struct yd_msg_credit credit = {1};
    for (int i = 0; i < 2; i++) client_send(client, YD_MSG_CREDIT, 9, &credit, sizeof credit, (struct yd_str){0});
    world_run(world, YD_NS_PER_S);
    assert_false(client_take(client)); /* still overdrawn */
    credit.bytes = 2000;
    client_send(client, YD_MSG_CREDIT, 9, &credit, sizeof credit, (struct yd_str){0});
    client_expect(client, YD_MSG_BATCHES, 9);
    client_close(client);
}

static void cold_batches_come_from_the_files(void **state)
{
    struct world *world = *state;
    struct client *client = client_open(world);
    uint32_t handle = client_stream(client, "s").handle;
    put_many(client, handle, 60, 50000);
    client_close(client);
    world_stop(world); /* memory forgets */
    world_start(world);
    client = client_open(world);
    handle = client_stream(client, "s").handle;
    client_subscribe(client, 9, (struct yd_msg_subscribe){.handle = handle, .flags = YD_SUBSCRIBE_STOP}, "", "");
    struct got got = client_to_end(client, 9);
    assert_int_equal(got.records, 180);
    assert_int_equal(got.next, 180);
    assert_int_equal(got.gaps, 0);
    client_subscribe(client, 10,
                     (struct yd_msg_subscribe){.handle = handle, .until = 90, .from = YD_FROM_SEQNO, .seqno = 30}, "",
                     "");
    got = client_to_end(client, 10);
    assert_int_equal(got.records, 60);
    client_subscribe(client, 11, (struct yd_msg_subscribe){.handle = handle, .flags = YD_SUBSCRIBE_STOP}, "mark", "");
    assert_int_equal(client_to_end(client, 11).records, 180);
    client_close(client);
}

static uint64_t put_tombstone(struct client *client, uint32_t handle, const char *match, uint64_t until)
{
    struct yd_tombstone tombstone = {
        .names = yd_str_of(match), .until_seqno = until, .until_time = INT64_MAX, .reason = YD_STR("asked for")};
    struct yd_batch *batch;
    assert_int_equal(yd_tombstone_batch(&tombstone, 1, &batch), 0);
    return client_put(client, handle, batch).first;
}

/* 60 batches of three, "mark" each, the 40th of another name; the first ten and a part of the eleventh are covered. */
static void check_what_is_covered(struct client *client, uint32_t handle, uint64_t correlation)
{
    struct yd_native_stat before, after;
    yd_native_stat(client->world->native, &before);
    const struct {
        struct yd_msg_subscribe message;
        const char *names;
        uint64_t records, next;
    } cases[] = {
        {{.from = YD_FROM_OLDEST}, "", 182 - 31 - 3, 182},
        {{.from = YD_FROM_OLDEST, .flags = YD_SUBSCRIBE_ALL}, "", 182, 182},
        {{.from = YD_FROM_SEQNO, .seqno = 30}, "", 152 - 1 - 3, 182},
        {{.from = YD_FROM_SEQNO, .seqno = 120}, "", 62 - 3, 182},
        {{.from = YD_FROM_OLDEST}, "other", 0, 182},
        {{.from = YD_FROM_OLDEST, .flags = YD_SUBSCRIBE_ALL}, "other", 3, 182},
        {{.from = YD_FROM_OLDEST, .count = 4}, "mark", 5, 0}, /* two of a batch, and a whole one */
        {{.from = YD_FROM_TIME, .time_ns = 0}, "", 182 - 31 - 3, 182},
        {{.from = YD_FROM_OLDEST, .until = 120}, "", 120 - 31, 120},
        {{.from = YD_FROM_OLDEST}, "yarder.*", 2, 182},
    };
    for (size_t i = 0; i < YD_COUNT(cases); i++) {
        struct yd_msg_subscribe message = cases[i].message;
        message.handle = handle;
        message.flags |= YD_SUBSCRIBE_STOP;
        client_subscribe(client, correlation + i, message, cases[i].names, "");
        struct got got = client_to_end(client, correlation + i);
        assert_int_equal(got.error, 0);
        assert_int_equal(got.gaps, 0);
        bool right = cases[i].message.count || got.next == cases[i].next; /* files are read ahead */
        if (got.records != cases[i].records || !right)
            fail_msg("case %zu: %llu records, next %llu", i, (unsigned long long)got.records,
                     (unsigned long long)got.next);
    }
    yd_native_stat(client->world->native, &after);
    assert_true(after.hidden_records >= before.hidden_records + 2 * 34);
}

static void what_tombstones_cover_is_not_sent(void **state)
{
    struct world *world = *state;
    struct client *client = client_open(world);
    uint32_t handle = client_stream(client, "s").handle;
    for (uint64_t i = 0; i < 60; i++)
        (void)client_put(client, handle, make_named(i == 40 ? "other" : "mark", i * 3, 2, 20000));
    assert_int_equal(put_tombstone(client, handle, "mark", 31), 180);
    assert_int_equal(put_tombstone(client, handle, "other", UINT64_MAX), 181);
    check_what_is_covered(client, handle, 20); /* out of memory */
    client_close(client);
    world_stop(world); /* memory forgets */
    world_start(world);
    client = client_open(world);
    handle = client_stream(client, "s").handle;
    struct yd_native_stat before, all, after;
    yd_native_stat(world->native, &before);
    client_subscribe(
        client, 8, (struct yd_msg_subscribe){.handle = handle, .flags = YD_SUBSCRIBE_STOP | YD_SUBSCRIBE_ALL}, "", "");
    assert_int_equal(client_to_end(client, 8).records, 182);
    yd_native_stat(world->native, &all);
    client_subscribe(client, 9, (struct yd_msg_subscribe){.handle = handle, .flags = YD_SUBSCRIBE_STOP}, "", "");
    assert_int_equal(client_to_end(client, 9).records, 182 - 34);
    yd_native_stat(world->native, &after);
    /* All but the twelve batches with covered records, and one behind each run of them, goes straight out of files. */
    struct yd_batch *like = make_named("mark", 0, 2, 20000);
    uint64_t less = (all.file_bytes - before.file_bytes) - (after.file_bytes - all.file_bytes);
    assert_in_range(less, 12 * like->header.size, 14 * like->header.size);
    yd_batch_unref(like);
    check_what_is_covered(client, handle, 40);
    (void)client_put(client, handle, make_batch(182, 1, 0)); /* later than the tombstone */
    client_subscribe(client, 60, (struct yd_msg_subscribe){.handle = handle, .flags = YD_SUBSCRIBE_STOP}, "mark", "");
    assert_int_equal(client_to_end(client, 60).next, 183);
    client_close(client);
}

/* Every other record is left out: as many slices as records stay, each with its seqno, in more than one turn. */
static void a_batch_with_many_holes_is_sent_in_slices(void **state)
{
    struct world *world = *state;
    struct client *client = client_open(world);
    uint32_t handle = client_stream(client, "s").handle, even, odd;
    struct yd_builder *builder;
    struct yd_batch *batch;
    assert_int_equal(yd_builder_create(NULL, &builder), 0);
    assert_int_equal(yd_builder_name(builder, YD_STR("even"), &even), 0);
    assert_int_equal(yd_builder_name(builder, YD_STR("odd"), &odd), 0);
    for (uint64_t i = 0; i < 1000; i++)
        assert_int_equal(yd_builder_add(builder, 1, i % 2 ? odd : even, YD_SAMPLE, YD_U64, 0, (union yd_value){i}), 0);
    assert_int_equal(yd_builder_seal(builder, &batch), 0);
    yd_builder_destroy(builder);
    (void)client_put(client, handle, batch);
    (void)put_tombstone(client, handle, "even", UINT64_MAX);
    for (int turn = 0; turn < 2; turn++) {
        client_subscribe(client, 9, (struct yd_msg_subscribe){.handle = handle, .flags = YD_SUBSCRIBE_STOP}, "", "");
        struct got got = client_to_end(client, 9);
        assert_int_equal(got.records, 501);
        assert_int_equal(got.next, 1001);
        client_subscribe(client, 10,
                         (struct yd_msg_subscribe){.handle = handle, .from = YD_FROM_SEQNO, .seqno = 500, .count = 3},
                         "", "");
        got = client_to_end(client, 10);
        assert_int_equal(got.records, 3);
        client_close(client);
        if (turn == 1) break;
        world_stop(world);
        world_start(world);
        client = client_open(world);
        handle = client_stream(client, "s").handle;
    }
}

/* ---- when nobody can say what is left out ---- */

int __real_yd_log_hidden(struct yd_log *log, enum yd_ack level, const struct yd_batch *batch, uint8_t **ret_keep,
                         uint32_t *ret_hidden);
int __real_yd_log_hidden_load(struct yd_log *log, uint64_t from);
int __wrap_yd_log_hidden(struct yd_log *log, enum yd_ack level, const struct yd_batch *batch, uint8_t **ret_keep,
                         uint32_t *ret_hidden);
int __wrap_yd_log_hidden_load(struct yd_log *log, uint64_t from);

static uint64_t hidden_fails_at = UINT64_MAX, hidden_load_fails_at = UINT64_MAX; /* from this seqno on */

int __wrap_yd_log_hidden(struct yd_log *log, enum yd_ack level, const struct yd_batch *batch, uint8_t **ret_keep,
                         uint32_t *ret_hidden)
{
    if (batch->header.base_seqno >= hidden_fails_at) return YD_ENOMEM;
    return __real_yd_log_hidden(log, level, batch, ret_keep, ret_hidden);
}

int __wrap_yd_log_hidden_load(struct yd_log *log, uint64_t from)
{
    return from >= hidden_load_fails_at ? YD_ENOMEM : __real_yd_log_hidden_load(log, from);
}

/* Fails at the batch [30, 33); who goes on where END says has it all. */
static void check_end_is_before(struct client *client, uint32_t handle, uint64_t *fails_at, const char *names)
{
    struct yd_msg_subscribe message = {.handle = handle, .from = YD_FROM_OLDEST, .flags = YD_SUBSCRIBE_STOP};
    for (uint64_t place = 0; place < 60; place += 31) { /* also from within that batch */
        message.from = place ? YD_FROM_SEQNO : YD_FROM_OLDEST;
        message.seqno = place;
        *fails_at = 30;
        client_subscribe(client, 20, message, names, "");
        struct got got = client_to_end(client, 20);
        *fails_at = UINT64_MAX;
        assert_int_equal(got.error, YD_ENOMEM);
        assert_int_equal(got.records, place ? 0 : 30 - 3);
        assert_int_equal(got.next, place ? place : 30);
        message.from = YD_FROM_SEQNO;
        message.seqno = got.next;
        client_subscribe(client, 21, message, names, "");
        got = client_to_end(client, 21);
        assert_int_equal(got.error, 0);
        assert_int_equal(got.records, 30);
        assert_int_equal(got.next, 61);
    }
}

static void end_is_before_what_could_not_be_looked_at(void **state)
{
    struct world *world = *state;
    struct client *client = client_open(world);
    uint32_t handle = client_stream(client, "s").handle;
    for (uint64_t i = 0; i < 20; i++)
        (void)client_put(client, handle, make_named(i == 3 ? "other" : "mark", i * 3, 3, 0));
    assert_int_equal(put_tombstone(client, handle, "other", UINT64_MAX), 60);
    check_end_is_before(client, handle, &hidden_fails_at, "mark");
    client_close(client);
    world_stop(world); /* memory forgets: in a job */
    world_start(world);
    client = client_open(world);
    handle = client_stream(client, "s").handle;
    check_end_is_before(client, handle, &hidden_load_fails_at, "mark");
    check_end_is_before(client, handle, &hidden_fails_at, "mark");
    client_close(client);
}

static void a_reader_that_stops_reading_stops_itself_alone(void **state)
{
    struct world *world = *state;
    struct client *slow = client_open(world), *quick = client_open(world), *writer = client_open(world);
    uint32_t slow_handle = client_stream(slow, "s").handle, handle = client_stream(quick, "s").handle,
             writer_handle = client_stream(writer, "s").handle;
    client_subscribe(slow, 9, (struct yd_msg_subscribe){.handle = slow_handle, .from = YD_FROM_TAIL}, "", "");
    client_expect(slow, YD_MSG_BATCHES, 9);
    yd_stream_pause(slow->stream, true);
    client_subscribe(quick, 9, (struct yd_msg_subscribe){.handle = handle, .from = YD_FROM_TAIL}, "", "");
    client_expect(quick, YD_MSG_BATCHES, 9);
    put_many(writer, writer_handle, 60, 200000); /* 12 MB */
    uint64_t at = 0, records = 0;
    while (records < 180) {
        client_expect(quick, YD_MSG_BATCHES, 9);
        records += client_batches(quick, &at);
    }
    struct yd_native_stat stat;
    yd_native_stat(world->native, &stat);
    assert_true(stat.sent_bytes < 12000000u + 8000000u); /* the slow one got a part */
    yd_stream_pause(slow->stream, false);
    at = records = 0;
    while (records < 180) {
        client_expect(slow, YD_MSG_BATCHES, 9);
        records += client_batches(slow, &at);
    }
    client_close(slow);
    client_close(quick);
    client_close(writer);
}

static void notifiers_are_told_positions_and_not_more_often_than_asked(void **state)
{
    struct world *world = *state;
    struct client *client = client_open(world), *writer = client_open(world);
    uint32_t handle = client_stream(client, "s").handle, writer_handle = client_stream(writer, "s").handle;
    client_subscribe(client, 9,
                     (struct yd_msg_subscribe){.handle = handle, .flags = YD_SUBSCRIBE_NOTIFY, .interval_ms = 1000}, "",
                     "");
    client_expect(client, YD_MSG_POSITION, 9);
    int64_t began = yd_sim_now(world->sim);
    put_many(writer, writer_handle, 100, 0);
    world_run(world, 3 * YD_NS_PER_S);
    int told = 0;
    struct yd_msg_position position = {0};
    while (client_take(client)) {
        assert_int_equal(client->frame.type, YD_MSG_POSITION);
        memcpy(&position, client->body, sizeof position);
        told++;
    }
    assert_int_equal(position.durable, 200);
    assert_int_equal(position.segment, 0);
    assert_true(position.offset > 4096 && position.offset % 8 == 0);
    assert_in_range(told, 1, (yd_sim_now(world->sim) - began) / YD_NS_PER_S + 1);
    client_send(client, YD_MSG_CANCEL, 9, NULL, 0, (struct yd_str){0});
    client_expect(client, YD_MSG_END, 9);
    client_close(client);
    client_close(writer);
}

static void a_notifier_that_did_not_read_is_told_the_last_position_when_it_does(void **state)
{
    struct world *world = *state;
    struct client *slow = client_open(world), *writer = client_open(world);
    uint32_t handle = client_stream(slow, "s").handle, writer_handle = client_stream(writer, "s").handle;
    client_subscribe(slow, 9, (struct yd_msg_subscribe){.handle = handle, .from = YD_FROM_TAIL}, "", "");
    client_expect(slow, YD_MSG_BATCHES, 9);
    client_subscribe(slow, 10, (struct yd_msg_subscribe){.handle = handle, .flags = YD_SUBSCRIBE_NOTIFY}, "", "");
    client_expect(slow, YD_MSG_POSITION, 10);
    yd_stream_pause(slow->stream, true);
    put_many(writer, writer_handle, 60, 200000); /* 12 MB, of which it leaves too much unread to be told more */
    world_run(world, YD_NS_PER_S);
    yd_stream_pause(slow->stream, false);
    struct yd_msg_position position = {0};
    uint64_t at = 0, records = 0;
    for (int i = 0; i < 100; i++) {
        world_run(world, 100 * YD_NS_PER_MS);
        while (client_take(slow)) {
            if (slow->frame.type == YD_MSG_POSITION)
                memcpy(&position, slow->body, sizeof position);
            else
                records += client_batches(slow, &at);
        }
    }
    assert_int_equal(records, 180);
    assert_int_equal(position.durable, 180);
    client_close(slow);
    client_close(writer);
}

/* ---- QUERY ---- */

struct arg {
    const char *key;
    const char *text;
    uint64_t number;
};

static void ask(struct client *client, uint64_t correlation, const char *op, const struct arg *args, size_t count)
{
    struct yd_builder *builder;
    struct yd_batch *batch;
    uint32_t name;
    char bytes[8192];
    assert_int_equal(yd_builder_create(NULL, &builder), 0);
    assert_int_equal(yd_builder_name(builder, YD_STR("query"), &name), 0);
    assert_int_equal(yd_builder_begin(builder, 0, name, YD_ROW, 0, YD_MAP), 0);
    assert_int_equal(yd_builder_cell_bytes(builder, YD_STR("op"), YD_TEXT, yd_str_of(op)), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(
            args[i].text
                ? yd_builder_cell_bytes(builder, yd_str_of(args[i].key), YD_TEXT, yd_str_of(args[i].text))
                : yd_builder_cell(builder, yd_str_of(args[i].key), YD_U64, (union yd_value){.u64 = args[i].number}),
            0);
    assert_int_equal(yd_builder_end(builder), 0);
    assert_int_equal(yd_builder_seal(builder, &batch), 0);
    yd_builder_destroy(builder);
    yd_batch_to_bytes(batch, bytes);
    client_send(client, YD_MSG_QUERY, correlation, bytes, batch->header.size, (struct yd_str){0});
    yd_batch_unref(batch);
}

static struct yd_batch *reply(struct client *client, uint64_t correlation)
{
    struct yd_batch *batch = NULL;
    client_expect(client, YD_MSG_REPLY, correlation);
    if (client->frame.size > sizeof client->frame)
        assert_int_equal(yd_batch_from_bytes(client->body, client->frame.size - sizeof client->frame, &batch), 0);
    return batch;
}

static uint64_t value(const struct yd_batch *batch, uint32_t row, const char *key)
{
    const struct yd_cell *cell = yd_view_find(&batch->view, batch->view.records[row].value, yd_str_of(key));
    assert_non_null(cell);
    return cell->value.u64;
}

static void questions_about_streams_are_answered(void **state)
{
    struct world *world = *state;
    struct client *client = client_open(world);
    ask(client, 2, "streams", NULL, 0);
    assert_null(reply(client, 2));
    uint32_t handle = client_stream(client, "b").handle;
    (void)client_stream(client, "a");
    put_many(client, handle, 5, 0);

    ask(client, 3, "streams", NULL, 0);
    struct yd_batch *rows = reply(client, 3);
    assert_int_equal(rows->view.count, 2);
    for (uint32_t i = 0; i < 2; i++) {
        bool b = yd_str_eq(yd_view_name(&rows->view, rows->view.records[i].name), YD_STR("b/0"));
        assert_int_equal(value(rows, i, "durable"), b ? 10 : 0);
        assert_int_equal(value(rows, i, "partitions"), 1);
    }
    yd_batch_unref(rows);
    ask(client, 4, "streams", &(struct arg){"match", "a*", 0}, 1);
    rows = reply(client, 4);
    assert_int_equal(rows->view.count, 1);
    yd_batch_unref(rows);
    ask(client, 5, "stat", &(struct arg){"stream", "b", 0}, 1);
    rows = reply(client, 5);
    assert_int_equal(value(rows, 0, "written"), 10);
    yd_batch_unref(rows);
    ask(client, 6, "stat", &(struct arg){"stream", "nobody", 0}, 1);
    assert_int_equal(client_next(client), YD_MSG_REFUSED);
    ask(client, 7, "dance", NULL, 0);
    (void)client_refused(client, 7, YD_EINVAL);
    ask(client, 8, "stat", NULL, 0);
    (void)client_refused(client, 8, YD_EINVAL);
    client_send(client, YD_MSG_QUERY, 9, "nonsense", 8, (struct yd_str){0});
    assert_int_equal(client_next(client), YD_MSG_REFUSED);
    client_close(client);
}

static uint64_t asked;

static int note_ask(void *arg, uint64_t number, struct yd_batch *query)
{
    (void)arg;
    asked = number;
    yd_batch_unref(query);
    return 0;
}

static struct yd_batch *rows_of(uint32_t size)
{
    struct yd_builder *builder;
    struct yd_batch *batch;
    uint32_t name;
    char *text = malloc(size);
    memset(text, 'x', size);
    assert_int_equal(yd_builder_create(NULL, &builder), 0);
    assert_int_equal(yd_builder_name(builder, YD_STR("row"), &name), 0);
    assert_int_equal(yd_builder_add_bytes(builder, 0, name, YD_FACT, YD_TEXT, 0, (struct yd_str){text, size}), 0);
    assert_int_equal(yd_builder_seal(builder, &batch), 0);
    yd_builder_destroy(builder);
    free(text);
    return batch;
}

/* Of an element: in pieces, refused, for one who has gone, and left unread. */
static void questions_to_elements_are_passed_on_and_answers_are_bounded(void **state)
{
    struct world *world = *state;
    const struct arg element = {"element", "states", 0};
    struct client *client = client_open(world);
    world_stop(world);
    client_close(client);
    world->options.ask = note_ask;
    world_start(world);
    client = client_open(world);
    struct yd_batch *batch = rows_of(100), *large = rows_of(60000);
    ask(client, 2, "states", &element, 1);
    world_run(world, YD_NS_PER_S);
    yd_native_answer(world->native, asked, batch, true, 0, NULL);
    yd_native_answer(world->native, asked, batch, false, 0, NULL);
    yd_native_answer(world->native, asked, batch, false, 0, NULL); /* nobody waits for it */
    for (int i = 0; i < 2; i++) {
        struct yd_batch *rows = reply(client, 2);
        assert_int_equal(client->frame.flags, i ? 0 : YD_FRAME_MORE);
        assert_int_equal(rows->view.count, 1);
        yd_batch_unref(rows);
    }
    ask(client, 3, "elements", NULL, 0);
    world_run(world, YD_NS_PER_S);
    yd_native_answer(world->native, asked, NULL, false, YD_ENOENT, "none such");
    (void)client_refused(client, 3, YD_ENOENT);

    struct client *leaving = client_open(world);
    ask(leaving, 4, "states", &element, 1);
    world_run(world, YD_NS_PER_S);
    client_close(leaving);
    world_run(world, YD_NS_PER_S);
    yd_native_answer(world->native, asked, batch, false, 0, NULL);

    ask(client, 5, "states", &element, 1);
    world_run(world, YD_NS_PER_S);
    for (int i = 0; i < 3000; i++) yd_native_answer(world->native, asked, large, true, 0, NULL); /* 180 MB, unread */
    uint64_t bytes = 0;
    unsigned type;
    while ((type = client_next(client)) == YD_MSG_REPLY) bytes += client->frame.size;
    assert_int_equal(type, YD_MSG_REFUSED);
    assert_int_equal(((const struct yd_msg_refused *)client->body)->error, YD_EBUSY);
    assert_in_range(bytes, 60 << 20, 70 << 20);
    ask(client, 6, "streams", NULL, 0); /* the connection goes on */
    assert_null(reply(client, 6));
    yd_batch_unref(batch);
    yd_batch_unref(large);
    client_close(client);
}

static void streams_are_made_with_their_layout(void **state)
{
    struct world *world = *state;
    struct client *client = client_open(world);
    const struct arg args[] = {{"stream", "wide", 0}, {"partitions", NULL, 3}, {"by", "producer", 0}};
    ask(client, 2, "create", args, 3);
    struct yd_batch *rows = reply(client, 2);
    assert_int_equal(rows->view.count, 3);
    assert_int_equal(value(rows, 2, "partitions"), 3);
    yd_batch_unref(rows);
    struct yd_msg_opened opened = client_stream(client, "wide/2");
    assert_int_equal(opened.partitions, 3);
    assert_int_equal(opened.flags, YD_OPENED_BY_PRODUCER);
    ask(client, 3, "create", args, 3);
    (void)client_refused(client, 3, YD_EEXIST);
    const struct arg none[] = {{"stream", "none", 0}, {"partitions", NULL, 0}};
    ask(client, 4, "create", none, 2);
    (void)client_refused(client, 4, YD_ERANGE);
    const struct arg odd[] = {{"stream", "none", 0}, {"by", "colour", 0}};
    ask(client, 5, "create", odd, 2);
    (void)client_refused(client, 5, YD_EINVAL);
    client_close(client);
}

/* The text of a refusal; the body of a frame is terminated. */
static const char *refusal(struct client *client, uint64_t correlation, int error)
{
    return (const char *)(client_refused(client, correlation, error) + 1);
}

static void several_partitions_want_one_to_be_named(void **state)
{
    struct world *world = *state;
    struct client *client = client_open(world);
    const struct arg args[] = {{"stream", "many", 0}, {"partitions", NULL, 3}};
    ask(client, 2, "create", args, 2);
    yd_batch_unref(reply(client, 2));
    struct yd_msg_opened whole = client_stream(client, "many"), one = client_stream(client, "many/1");
    assert_int_equal(whole.partitions, 3);
    assert_int_equal(whole.dir_size, 0); /* whoever reads the files reads more than one folder */

    struct yd_batch *batches[2] = {make_batch(0, 5, 0), make_batch(0, 5, 0)};
    client_append(client, 3, (struct yd_msg_append){.handle = whole.handle}, batches, 1);
    const char *why = refusal(client, 3, YD_EINVAL);
    assert_non_null(strstr(why, "many has 3 partitions, chosen by the hash of each record's name: append to "
                                "many/0 to many/2"));
    client_subscribe(client, 4, (struct yd_msg_subscribe){.handle = whole.handle}, "", "");
    why = refusal(client, 4, YD_EINVAL);
    assert_non_null(strstr(why, "subscribe to each of many/0 to many/2"));
    client_append(client, 5, (struct yd_msg_append){.handle = one.handle, .level = YD_ACK_DURABLE}, batches + 1, 1);
    assert_int_equal(client_appended(client, 5).next, 5);
    assert_int_equal(world->counts[YD_NATIVE_REJECTED], 5);

    ask(client, 6, "stat", args, 1);
    struct yd_batch *rows = reply(client, 6);
    assert_int_equal(rows->view.count, 3);
    assert_int_equal(value(rows, 0, "durable"), 0);
    assert_int_equal(value(rows, 1, "durable"), 5);
    yd_batch_unref(rows);
    const struct arg save[] = {{"stream", "many", 0}, {"cursor", "mine", 0}, {"seqno", NULL, 2}};
    ask(client, 7, "cursor_save", save, 3);
    why = refusal(client, 7, YD_EINVAL);
    assert_non_null(strstr(why, "many has 3 partitions: name one, many/0 to many/2"));
    const struct arg save_one[] = {{"stream", "many/1", 0}, {"cursor", "mine", 0}, {"seqno", NULL, 2}};
    ask(client, 8, "cursor_save", save_one, 3);
    yd_batch_unref(reply(client, 8));
    ask(client, 9, "cursors", args, 1);
    rows = reply(client, 9);
    assert_int_equal(rows->view.count, 1);
    assert_int_equal(value(rows, 0, "lag"), 3);
    yd_batch_unref(rows);
    ask(client, 10, "cursor_remove", save, 2);
    assert_null(reply(client, 10));
    ask(client, 11, "cursors", args, 1);
    assert_null(reply(client, 11));

    struct yd_msg_open open = {.stream_size = 6, .flags = YD_OPEN_CREATE_STREAM};
    client_send(client, YD_MSG_OPEN, 12, &open, sizeof open, YD_STR("many/3"));
    why = refusal(client, 12, YD_ENOENT);
    assert_non_null(strstr(why, "there is no such partition: many has 3"));
    client_close(client);
}

static void cursors_are_kept_at_the_server(void **state)
{
    struct world *world = *state;
    struct client *client = client_open(world);
    uint32_t handle = client_stream(client, "s").handle;
    put_many(client, handle, 10, 0);
    const struct arg save[] = {{"stream", "s", 0}, {"cursor", "mine", 0}, {"seqno", NULL, 12}};
    ask(client, 2, "cursor_save", save, 3);
    struct yd_batch *rows = reply(client, 2);
    assert_int_equal(value(rows, 0, "seqno"), 12);
    yd_batch_unref(rows);
    ask(client, 3, "cursors", save, 1);
    rows = reply(client, 3);
    assert_int_equal(rows->view.count, 1);
    assert_int_equal(value(rows, 0, "lag"), 8);
    yd_batch_unref(rows);
    client_subscribe(client, 4, (struct yd_msg_subscribe){.handle = handle, .flags = YD_SUBSCRIBE_STOP}, "", "mine");
    struct got got = client_to_end(client, 4);
    assert_int_equal(got.records, 8);
    client_subscribe(client, 5, (struct yd_msg_subscribe){.handle = handle, .flags = YD_SUBSCRIBE_STOP}, "", "nobodys");
    assert_int_equal(client_to_end(client, 5).records, 20);
    client_subscribe(client, 6, (struct yd_msg_subscribe){.handle = handle}, "", "../control");
    assert_int_equal(client_to_end(client, 6).error, YD_EINVAL);
    ask(client, 7, "cursor_remove", save, 2);
    assert_null(reply(client, 7));
    ask(client, 8, "cursors", save, 1);
    assert_null(reply(client, 8));
    ask(client, 9, "cursor_remove", save, 2);
    (void)client_refused(client, 9, YD_ENOENT);
    ask(client, 10, "cursor_save", save, 1);
    (void)client_refused(client, 10, YD_EINVAL);
    client_close(client);
}

/* ---- worse worlds ---- */

static void cut_connections_lose_nothing_acknowledged(void **state)
{
    struct world *world = *state;
    world_start(world);
    yd_sim_net_faults(world->sim)->small_read = 2;
    uint64_t acknowledged = 0, cuts = 0;
    uint32_t seq = 0;
    struct client *client = NULL;
    uint32_t handle = 0;
    while (acknowledged < 300) {
        if (!client) {
            yd_sim_net_faults(world->sim)->cut = 0;
            client = client_open(world);
            handle = client_stream(client, "s").handle;
            client_ask_open(client, 3, "s", false, 9);
            client_expect(client, YD_MSG_OPENED, 3);
            seq = (uint32_t)((const struct yd_msg_opened *)(const void *)client->body)->producer_seq;
            yd_sim_net_faults(world->sim)->cut = 40;
        }
        struct yd_msg_append message = {.handle = handle, .flags = YD_APPEND_EXPECT_PREV, .expect_prev_seq = seq};
        struct yd_batch *batch = of_producer(make_batch(seq, 1, 50), 9, 1, seq + 2);
        client_append(client, 4, message, &batch, 1);
        if (client_next(client) == YD_MSG_APPENDED) {
            acknowledged = ((const struct yd_msg_appended *)(const void *)client->body)->next;
            seq += 2;
            assert_int_equal(acknowledged, seq);
        } else {
            client_close(client);
            client = NULL;
            cuts++;
        }
    }
    assert_true(cuts > 2);
    yd_sim_net_faults(world->sim)->cut = 0;
    client_close(client);
    world_run(world, 5 * YD_NS_PER_S);
    client = client_open(world);
    handle = client_stream(client, "s").handle;
    client_subscribe(client, 9, (struct yd_msg_subscribe){.handle = handle, .flags = YD_SUBSCRIBE_STOP}, "", "");
    assert_true(client_to_end(client, 9).records >= acknowledged);
    client_close(client);
}

static void random_frames_harm_nobody(void **state)
{
    struct world *world = *state;
    struct client *good = client_open(world);
    uint32_t handle = client_stream(good, "s").handle;
    struct yd_rng rng;
    yd_rng_init(&rng, 77);
    for (int round = 0; round < 300; round++) {
        struct client *bad = client_open(world);
        if (yd_rng_chance(&rng, 2)) (void)client_stream(bad, "s");
        for (int i = 0; i < 20; i++) {
            char body[600];
            size_t size = (size_t)yd_rng_below(&rng, 75) * 8;
            for (size_t at = 0; at < size; at++)
                body[at] = yd_rng_chance(&rng, 3) ? (char)yd_rng_next(&rng) : (char)yd_rng_below(&rng, 3);
            client_send(bad, (unsigned)yd_rng_below(&rng, 52), yd_rng_below(&rng, 5), body, size, (struct yd_str){0});
            if (yd_rng_chance(&rng, 20)) client_raw(bad, body, yd_rng_below(&rng, 16));
        }
        world_run(world, (int64_t)yd_rng_below(&rng, 20) * YD_NS_PER_MS);
        client_close(bad);
        if (round % 20) continue;
        (void)client_put(good, handle, make_batch(0, 1, 0));
    }
    world_run(world, 60 * YD_NS_PER_S);
    struct yd_native_stat stat;
    yd_native_stat(world->native, &stat);
    assert_int_equal(stat.connections, 1);
    assert_int_equal(stat.subscriptions, 0);
    assert_int_equal(stat.receiving_bytes, 0);
    client_close(good);
}

static void claims_of_large_frames_take_little_memory(void **state)
{
    struct world *world = *state;
    world->options.receive_max = 8 << 20;
    world_start(world);
    struct client *claimers[20];
    struct yd_frame frame = {64u << 20, YD_MSG_APPEND, 0, 2};
    for (size_t i = 0; i < YD_COUNT(claimers); i++) {
        claimers[i] = client_open(world);
        client_raw(claimers[i], &frame, sizeof frame);
    }
    world_run(world, YD_NS_PER_S);
    struct yd_native_stat stat;
    yd_native_stat(world->native, &stat);
    assert_true(stat.receiving_bytes <= 8 << 20);
    unsigned refused = 0;
    for (size_t i = 0; i < YD_COUNT(claimers); i++) {
        while (client_take(claimers[i])) refused += claimers[i]->frame.type == YD_MSG_GOODBYE;
        client_close(claimers[i]);
    }
    assert_int_equal(refused, 12);
    world_run(world, YD_NS_PER_S);
    yd_native_stat(world->native, &stat);
    assert_int_equal(stat.receiving_bytes, 0);
}

static void stopping_says_goodbye_and_closes_what_it_opened(void **state)
{
    struct world *world = *state;
    struct client *client = client_open(world);
    uint32_t handle = client_stream(client, "s").handle;
    client_subscribe(client, 9, (struct yd_msg_subscribe){.handle = handle}, "", "");
    struct yd_batch *batch = make_batch(0, 1, 0);
    client_append(client, 10, (struct yd_msg_append){.handle = handle}, &batch, 1);
    world_stop(world);
    unsigned type;
    while ((type = client_next(client)) != 0 && type != YD_MSG_GOODBYE) continue;
    client_close(client);
    assert_null(yd_streams_find(world->streams, "s/0"));
    struct yd_log_stat stat;
    assert_int_equal(yd_log_stat_dir(world->fs, "data/streams/s/0", &stat, NULL), 0);
    assert_false(stat.live);
}

#define TEST(name)      cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_BARE(name) cmocka_unit_test_setup_teardown(name, setup_bare, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(hello_is_welcomed_and_everything_else_first_is_not),
        TEST_BARE(tokens_are_compared),
        TEST_BARE(strangers_are_not_let_in_by_default),
        TEST(silence_ends_what_was_begun),
        TEST(frames_that_cannot_be_end_the_connection),
        TEST(texts_beyond_the_frame_are_refused),
        TEST_BARE(too_many_connections_are_refused),
        TEST(names_of_streams_cannot_leave_the_folder),
        TEST(opened_tells_a_producer_where_it_is),
        TEST(appends_are_answered_at_their_level),
        TEST(producers_ranges_are_written_once),
        TEST(batches_are_checked_before_any_is_taken),
        TEST(large_batches_arrive_in_small_pieces),
        TEST(a_full_log_holds_its_senders_and_no_others),
        TEST(closing_a_log_is_told_to_all_who_use_it),
        TEST(subscriptions_begin_where_they_are_told),
        TEST(bad_subscriptions_are_refused),
        TEST(names_choose_batches),
        TEST(credit_bounds_what_is_sent),
        TEST(cold_batches_come_from_the_files),
        TEST(what_tombstones_cover_is_not_sent),
        TEST(a_batch_with_many_holes_is_sent_in_slices),
        TEST(end_is_before_what_could_not_be_looked_at),
        TEST(a_reader_that_stops_reading_stops_itself_alone),
        TEST(notifiers_are_told_positions_and_not_more_often_than_asked),
        TEST(a_notifier_that_did_not_read_is_told_the_last_position_when_it_does),
        TEST(questions_about_streams_are_answered),
        TEST(questions_to_elements_are_passed_on_and_answers_are_bounded),
        TEST(streams_are_made_with_their_layout),
        TEST(several_partitions_want_one_to_be_named),
        TEST(cursors_are_kept_at_the_server),
        TEST_BARE(cut_connections_lose_nothing_acknowledged),
        TEST(random_frames_harm_nobody),
        TEST_BARE(claims_of_large_frames_take_little_memory),
        TEST(stopping_says_goodbye_and_closes_what_it_opened),
    };
    return cmocka_run_group_tests_name("serve / native", tests, NULL, NULL);
}
