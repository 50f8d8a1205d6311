/* Streams, listeners and datagrams of the Linux loop, over loopback and Unix sockets. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "../skip.h"
#include "base/hash.h"
#include "io/file.h"
#include "io/loop.h"
#include "tap.h"

static struct yd_loop *loop;
static char *folder;

static int with_loop(void **state)
{
    (void)state;
    folder = make_folder();
    assert_error(0, yd_loop_create_uv(&loop));
    return 0;
}
static int without_loop(void **state)
{
    (void)state;
    yd_loop_destroy(loop);
    remove_folder(folder);
    return 0;
}

static struct yd_address address_of(const char *text)
{
    struct yd_address address;
    assert_error(0, yd_address_parse(yd_str_of(text), &address, NULL));
    return address;
}
static struct yd_address socket_in_folder(void)
{
    char text[200];
    snprintf(text, sizeof text, "unix:%s/socket", folder);
    return address_of(text);
}

#define RUN_UNTIL(condition)                                                                                           \
    do {                                                                                                               \
        int64_t end = yd_clock_mono() + 10 * YD_NS_PER_S;                                                              \
        while (!(condition) && yd_clock_mono() < end) (void)yd_loop_run(loop, 100 * YD_NS_PER_MS);                     \
        assert_true(condition);                                                                                        \
    } while (0)

/* ---- one end of a connection, that counts and keeps what comes ---- */

struct end {
    struct yd_stream *stream;
    char room[4096];
    size_t room_size, received, sent;
    uint32_t crc, sent_crc;
    int connected, drained, ended;
    int close_in_data, no_room, echo;
    char last[64]; /* what came last, as text */
};

static void end_room(void *arg, char **ret_to, size_t *ret_size)
{
    struct end *end = arg;
    *ret_to = end->no_room ? NULL : end->room;
    *ret_size = end->room_size;
}
static void end_data(void *arg, size_t size)
{
    struct end *end = arg;
    end->received += size;
    end->crc = yd_crc32c(end->crc, end->room, size);
    snprintf(end->last, sizeof end->last, "%.*s", (int)size, end->room);
    if (end->echo) assert_error(0, yd_stream_write(end->stream, (struct yd_str){end->room, size}));
    if (end->close_in_data) {
        yd_stream_close(end->stream);
        end->stream = NULL;
    }
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

static struct end *new_end(void)
{
    struct end *end = calloc(1, sizeof *end);
    end->room_size = sizeof end->room;
    return end;
}

/* A listener that starts what comes, or keeps it for the test. */
struct door {
    struct yd_listener *listener;
    struct end *ends[4];
    struct yd_stream *raw;
    int count, keep_raw;
    struct yd_address peer;
};
static void door_accept(void *arg, struct yd_stream *stream, const struct yd_address *peer)
{
    struct door *door = arg;
    door->peer = *peer;
    door->count++;
    if (door->keep_raw) {
        door->raw = stream;
        return;
    }
    struct end *end = door->ends[door->count - 1] = new_end();
    end->stream = stream;
    yd_stream_start(stream, &end_ops, end);
}
static const struct yd_listener_ops door_ops = {door_accept};

static struct yd_address open_door(struct door *door, struct yd_address at)
{
    struct yd_address real;
    struct yd_trail trail;
    yd_trail_clear(&trail);
    if (yd_listen(loop, &at, &door_ops, door, &door->listener, &trail)) fail_msg("%s", yd_trail_text(&trail));
    yd_listener_address(door->listener, &real);
    return real;
}
static void close_door(struct door *door)
{
    for (int i = 0; i < 4; i++) {
        if (door->ends[i]) yd_stream_close(door->ends[i]->stream);
        free(door->ends[i]);
    }
    yd_stream_close(door->raw);
    yd_listener_close(door->listener);
}
static struct end *connect_to(struct yd_address at)
{
    struct end *end = new_end();
    assert_error(0, yd_connect(loop, &at, &end_ops, end, &end->stream, NULL));
    return end;
}
static void close_end(struct end *end)
{
    yd_stream_close(end->stream);
    (void)yd_loop_run(loop, 0);
    free(end);
}

/* ---- streams ---- */

static void exchange(struct yd_address at)
{
    struct door door = {0};
    struct yd_address real = open_door(&door, at);
    struct end *client = connect_to(real);
    assert_error(0, yd_stream_write(client->stream, YD_STR("hel"))); /* before it is connected */
    assert_error(0, yd_stream_write(client->stream, YD_STR("lo")));
    RUN_UNTIL(door.count == 1 && door.ends[0]->received == 5);
    assert_string_equal(door.ends[0]->last, "hello"); /* two writes of one turn left together */
    assert_int_equal(client->connected, 1);
    assert_int_equal(client->drained, 1);
    assert_int_equal(yd_stream_backlog(client->stream), 0);
    assert_error(0, yd_stream_write(door.ends[0]->stream, YD_STR("world")));
    RUN_UNTIL(client->received == 5);
    assert_string_equal(client->last, "world");
    yd_stream_shutdown(client->stream); /* our side only: theirs still speaks */
    RUN_UNTIL(door.ends[0]->ended);
    assert_int_equal(door.ends[0]->ended, YD_EEOF);
    assert_error(YD_ECLOSED, yd_stream_write(client->stream, YD_STR("more")));
    assert_error(0, yd_stream_write(door.ends[0]->stream, YD_STR("last words")));
    RUN_UNTIL(client->received == 15);
    close_end(client);
    close_door(&door);
}

static void tcp_connections_carry_bytes_both_ways_and_end_one_side_at_a_time(void **state)
{
    (void)state;
    exchange(address_of("127.0.0.1:0"));
}
static void connections_to_all_interfaces_take_ipv4_and_name_the_peer_so(void **state)
{
    char text[100];
    struct door door = {0};
    (void)state;
    struct yd_address real = open_door(&door, address_of(":0"));
    yd_address_put(&real, text, sizeof text);
    char *port = strrchr(text, ':'), there[100];
    snprintf(there, sizeof there, "127.0.0.1%s", port);
    struct end *client = connect_to(address_of(there));
    RUN_UNTIL(door.count == 1);
    yd_address_put(&door.peer, text, sizeof text);
    assert_int_equal(strncmp(text, "127.0.0.1:", 10), 0);
    assert_true(yd_address_loopback(&door.peer));
    close_end(client);
    close_door(&door);
}
static void unix_sockets_do_the_same(void **state)
{
    (void)state;
    exchange(socket_in_folder());
}

static void eight_mebibytes_come_back_through_an_echo_as_they_were(void **state)
{
    enum { SIZE = 8 << 20 };
    char *bytes = malloc(SIZE);
    struct door door = {0};
    struct yd_rng rng;
    (void)state;
    yd_rng_init(&rng, 4);
    for (size_t i = 0; i < SIZE; i += 8) {
        uint64_t random = yd_rng_next(&rng);
        memcpy(bytes + i, &random, 8);
    }
    struct end *client = connect_to(open_door(&door, address_of("127.0.0.1:0")));
    RUN_UNTIL(door.count == 1);
    door.ends[0]->echo = 1;
    for (size_t done = 0; done < SIZE;) {
        size_t piece = 1 + yd_rng_below(&rng, 300000), size = YD_MIN(SIZE - done, piece);
        int error = yd_stream_write(client->stream, (struct yd_str){bytes + done, size});
        if (error == 0) done += size;
        if (error || yd_rng_chance(&rng, 3)) (void)yd_loop_run(loop, 0);
        if (error) assert_error(YD_EFULL, error);
    }
    RUN_UNTIL(client->received == SIZE);
    assert_int_equal(client->crc, yd_crc32c(0, bytes, SIZE));
    close_end(client);
    close_door(&door);
    free(bytes);
}

static unsigned released;

static void release_one(void *arg)
{
    assert_ptr_equal(arg, &released);
    released++;
}

/* Writes, shared bytes and runs of a file, mixed by a seed: they leave in their order, whoever is slow. */
static void mixed_pieces(struct yd_address at)
{
    enum { SIZE = 6 << 20 };
    char *bytes = malloc(SIZE), path[300];
    struct door door = {0};
    struct yd_rng rng;
    struct yd_file *file;
    yd_rng_init(&rng, 9);
    for (size_t i = 0; i < SIZE; i += 8) {
        uint64_t random = yd_rng_next(&rng);
        memcpy(bytes + i, &random, 8);
    }
    snprintf(path, sizeof path, "%s/file", folder);
    assert_error(0, yd_fs_open(yd_fs_linux(), path, YD_OPEN_READ | YD_OPEN_WRITE | YD_OPEN_CREATE, &file));
    assert_error(0, yd_file_write(file, bytes, SIZE, 0));
    struct end *client = connect_to(open_door(&door, at));
    unsigned shared = 0;
    released = 0;
    for (size_t done = 0; done < SIZE;) { /* the first ones before it is connected */
        size_t piece = 1 + yd_rng_below(&rng, yd_rng_chance(&rng, 2) ? 300 : 400000), size = YD_MIN(SIZE - done, piece);
        struct yd_str some = {bytes + done, size};
        unsigned how = (unsigned)yd_rng_below(&rng, 3);
        int error = how == 0   ? yd_stream_write(client->stream, some)
                    : how == 1 ? yd_stream_write_shared(client->stream, some, release_one, &released)
                               : yd_stream_send_file(client->stream, file, done, size);
        shared += how == 1 && !error;
        if (!error) done += size;
        if (yd_rng_chance(&rng, 8)) (void)yd_loop_run(loop, 0);
        if (error) assert_error(YD_EFULL, error);
    }
    yd_file_close(file); /* the stream has its own */
    RUN_UNTIL(door.count == 1 && door.ends[0]->received == SIZE);
    assert_int_equal(door.ends[0]->crc, yd_crc32c(0, bytes, SIZE));
    RUN_UNTIL(released == shared);
    assert_int_equal(yd_stream_backlog(client->stream), 0);
    close_end(client);
    close_door(&door);
    free(bytes);
}

static void shared_bytes_and_runs_of_files_leave_in_their_order(void **state)
{
    (void)state;
    mixed_pieces(address_of("127.0.0.1:0"));
    mixed_pieces(socket_in_folder());
}

static void shared_bytes_are_released_by_closing_and_files_that_shrank_end_it(void **state)
{
    static char block[1 << 20];
    struct door door = {0};
    struct yd_file *file;
    char path[300];
    (void)state;
    released = 0;
    struct end *client = connect_to(open_door(&door, socket_in_folder()));
    RUN_UNTIL(door.count == 1);
    yd_stream_pause(door.ends[0]->stream, true);
    yd_stream_limit(client->stream, 3 << 20);
    unsigned taken = 0;
    while (yd_stream_write_shared(client->stream, (struct yd_str){block, sizeof block}, release_one, &released) == 0)
        taken++;
    assert_in_range(taken, 2, 5);
    assert_true(released < taken);
    yd_stream_close(client->stream);
    assert_int_equal(released, taken);
    free(client);
    close_door(&door);

    door = (struct door){0};
    snprintf(path, sizeof path, "%s/short", folder);
    assert_error(0, yd_fs_open(yd_fs_linux(), path, YD_OPEN_READ | YD_OPEN_WRITE | YD_OPEN_CREATE, &file));
    assert_error(0, yd_file_write(file, block, 1000, 0));
    client = connect_to(open_door(&door, address_of("127.0.0.1:0")));
    RUN_UNTIL(door.count == 1);
    assert_error(0, yd_stream_send_file(client->stream, file, 0, 2000));
    RUN_UNTIL(client->ended);
    assert_error(YD_EIO, client->ended);
    yd_file_close(file);
    close_end(client);
    close_door(&door);
}

static void a_peer_that_does_not_read_fills_the_limit_and_no_more(void **state)
{
    static char block[100000];
    struct door door = {0};
    size_t sent = 0;
    int error = 0;
    (void)state;
    struct end *client = connect_to(open_door(&door, socket_in_folder()));
    RUN_UNTIL(door.count == 1);
    yd_stream_pause(door.ends[0]->stream, true);
    yd_stream_limit(client->stream, 1000000);
    while (!error && sent < 100000000) {
        error = yd_stream_write(client->stream, (struct yd_str){block, sizeof block});
        if (!error) sent += sizeof block;
        (void)yd_loop_run(loop, 0);
    }
    assert_error(YD_EFULL, error);
    assert_in_range(yd_stream_backlog(client->stream), 900000, 1000000);
    assert_int_equal(yd_loop_run(loop, 0), 0); /* it does not spin */
    int drained = client->drained;
    yd_stream_pause(door.ends[0]->stream, false);
    RUN_UNTIL(door.ends[0]->received == sent);
    RUN_UNTIL(client->drained == drained + 1);
    assert_int_equal(yd_stream_backlog(client->stream), 0);
    assert_error(0, yd_stream_write(client->stream, (struct yd_str){block, 10}));
    close_end(client);
    close_door(&door);
}

static void no_room_pauses_the_stream_until_it_is_unpaused(void **state)
{
    struct door door = {0};
    (void)state;
    struct end *client = connect_to(open_door(&door, socket_in_folder()));
    client->no_room = 1;
    RUN_UNTIL(door.count == 1);
    assert_error(0, yd_stream_write(door.ends[0]->stream, YD_STR("hello")));
    for (int i = 0; i < 5; i++) (void)yd_loop_run(loop, 0);
    assert_int_equal(client->received, 0);
    assert_int_equal(yd_loop_run(loop, 0), 0);
    client->no_room = 0;
    yd_stream_pause(client->stream, false);
    RUN_UNTIL(client->received == 5);
    close_end(client);
    close_door(&door);
}

static void a_refused_connection_ends_with_its_reason(void **state)
{
    struct door door = {0};
    (void)state;
    struct yd_address tcp = open_door(&door, address_of("127.0.0.1:0")), nowhere = socket_in_folder();
    close_door(&door);
    struct end *one = connect_to(tcp), *two = connect_to(nowhere);
    assert_error(0, yd_stream_write(one->stream, YD_STR("x")));
    RUN_UNTIL(one->ended && two->ended);
    assert_int_equal(one->ended, YD_ECONNREFUSED);
    assert_int_equal(two->ended, YD_ENOENT);
    assert_error(YD_ECLOSED, yd_stream_write(one->stream, YD_STR("x")));
    close_end(one);
    close_end(two);
}

static void a_reset_ends_both_reading_and_writing(void **state)
{
    static char block[200000];
    struct door door = {0};
    (void)state;
    struct end *client = connect_to(open_door(&door, address_of("127.0.0.1:0")));
    RUN_UNTIL(door.count == 1);
    yd_stream_pause(door.ends[0]->stream, true);
    assert_error(0, yd_stream_write(client->stream, (struct yd_str){block, sizeof block}));
    for (int i = 0; i < 3; i++) (void)yd_loop_run(loop, 0);
    yd_stream_close(door.ends[0]->stream); /* with bytes unread: a reset */
    door.ends[0]->stream = NULL;
    RUN_UNTIL(client->ended);
    assert_int_equal(client->ended, YD_ECONNRESET);
    assert_error(YD_ECLOSED, yd_stream_write(client->stream, YD_STR("x")));
    close_end(client);
    close_door(&door);
}

static void a_stream_may_be_closed_in_its_own_callback(void **state)
{
    struct door door = {0};
    (void)state;
    struct end *client = connect_to(open_door(&door, socket_in_folder()));
    client->close_in_data = 1, client->room_size = 2; /* more is waiting behind it */
    RUN_UNTIL(door.count == 1);
    assert_error(0, yd_stream_write(door.ends[0]->stream, YD_STR("hello")));
    RUN_UNTIL(client->received == 2);
    RUN_UNTIL(door.ends[0]->ended);
    assert_int_equal(client->received, 2);
    close_end(client);
    close_door(&door);
}

static void what_was_written_just_before_close_still_leaves(void **state)
{
    struct door door = {0};
    (void)state;
    struct end *client = connect_to(open_door(&door, socket_in_folder()));
    RUN_UNTIL(door.count == 1);
    assert_error(0, yd_stream_write(client->stream, YD_STR("goodbye")));
    close_end(client);
    RUN_UNTIL(door.ends[0]->ended);
    assert_string_equal(door.ends[0]->last, "goodbye");
    close_door(&door);
}

/* ---- peeking, detaching, credentials ---- */

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
    struct door door = {.keep_raw = 1};
    (void)state;
    peeked_count = 0;
    struct end *client = connect_to(open_door(&door, address_of("127.0.0.1:0"))), *server = new_end();
    RUN_UNTIL(door.count == 1);
    assert_error(0, yd_stream_peek(door.raw, note_peeked, NULL));
    assert_error(YD_EINVAL, yd_stream_peek(door.raw, note_peeked, NULL));
    (void)yd_loop_run(loop, 0);
    assert_int_equal(peeked_count, 0);
    assert_error(0, yd_stream_write(client->stream, YD_STR("GET / HTTP/1.1")));
    RUN_UNTIL(peeked_count);
    assert_string_equal(peeked_bytes, "GET / HTTP/1.1");
    assert_int_equal(yd_loop_run(loop, 0), 0); /* said once */
    server->stream = door.raw;
    door.raw = NULL;
    yd_stream_start(server->stream, &end_ops, server);
    RUN_UNTIL(server->received == 14);
    close_end(client);
    RUN_UNTIL(server->ended);
    close_end(server);
    close_door(&door);
}

static void a_peek_at_a_peer_that_leaves_says_so(void **state)
{
    struct door door = {.keep_raw = 1};
    (void)state;
    peeked_count = 0;
    struct end *client = connect_to(open_door(&door, socket_in_folder()));
    RUN_UNTIL(door.count == 1);
    assert_error(0, yd_stream_peek(door.raw, note_peeked, NULL));
    close_end(client);
    RUN_UNTIL(peeked_count);
    assert_int_equal(peeked_error, YD_EEOF);
    close_door(&door);
}

static void a_detached_descriptor_lives_on_with_all_its_bytes(void **state)
{
    struct door door = {.keep_raw = 1};
    char got[10];
    int fd = -1;
    (void)state;
    peeked_count = 0;
    struct end *client = connect_to(open_door(&door, socket_in_folder()));
    assert_error(0, yd_stream_write(client->stream, YD_STR("hello")));
    RUN_UNTIL(door.count == 1);
    assert_error(0, yd_stream_peek(door.raw, note_peeked, NULL));
    RUN_UNTIL(peeked_count);
    assert_error(0, yd_stream_detach(door.raw, &fd));
    door.raw = NULL;
    (void)yd_loop_run(loop, 0);
    assert_int_equal(read(fd, got, sizeof got), 5);
    assert_memory_equal(got, "hello", 5);
    assert_int_equal(write(fd, "back", 4), 4);
    RUN_UNTIL(client->received == 4);
    close(fd);
    RUN_UNTIL(client->ended);
    close_end(client);
    close_door(&door);
}

static void keep_moved(void *arg, struct yd_stream *stream)
{
    *(struct yd_stream **)arg = stream;
}

static void a_fresh_stream_moves_to_another_loop_with_all_that_was_sent(void **state)
{
    struct door door = {.keep_raw = 1};
    struct yd_loop *other;
    struct yd_stream *moved = NULL;
    (void)state;
    assert_error(0, yd_loop_create_uv(&other));
    struct end *client = connect_to(open_door(&door, address_of("127.0.0.1:0"))), *there = new_end();
    assert_error(0, yd_stream_write(client->stream, YD_STR("hello")));
    RUN_UNTIL(door.count == 1);
    peeked_count = 0;
    assert_error(0, yd_stream_peek(door.raw, note_peeked, NULL));
    RUN_UNTIL(peeked_count);
    assert_error(0, yd_stream_move(door.raw, other, keep_moved, &moved));
    door.raw = NULL;
    (void)yd_loop_run(loop, 0);
    assert_null(moved); /* it is for the other loop to say */
    for (int i = 0; !moved && i < 100; i++) (void)yd_loop_run(other, 10 * YD_NS_PER_MS);
    assert_non_null(moved);
    there->stream = moved;
    there->echo = 1;
    yd_stream_start(moved, &end_ops, there);
    assert_error(YD_EINVAL, yd_stream_move(moved, loop, keep_moved, &door.raw)); /* no longer fresh */
    for (int i = 0; there->received < 5 && i < 100; i++) (void)yd_loop_run(other, 10 * YD_NS_PER_MS);
    assert_int_equal(there->received, 5);
    (void)yd_loop_run(other, 0);
    RUN_UNTIL(client->received == 5);
    close_end(client);
    for (int i = 0; !there->ended && i < 100; i++) (void)yd_loop_run(other, 10 * YD_NS_PER_MS);
    assert_int_equal(there->ended, YD_EEOF);
    yd_stream_close(there->stream);
    free(there);
    close_door(&door);
    yd_loop_destroy(other);
}

/* A peer whose power is cut says nothing: a side that only reads would wait for ever. */
static void expect_asked(int fd)
{
    int on = 0, idle = 0, every = 0, times = 0;
    socklen_t size = sizeof on;
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, &size), 0);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, &size), 0);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, &size), 0);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &times, &size), 0);
    assert_true(on);
    assert_true(idle + every * times <= 120);
}

static int tcp_descriptor_of_port(uint16_t port, bool peer)
{
    for (int fd = 3; fd < 1024; fd++) {
        struct sockaddr_in at;
        socklen_t size = sizeof at;
        int listens = 0;
        socklen_t listens_size = sizeof listens;
        if ((peer ? getpeername : getsockname)(fd, (struct sockaddr *)&at, &size) || at.sin_family != AF_INET ||
            ntohs(at.sin_port) != port)
            continue;
        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &listens_size) == 0 && !listens) return fd;
    }
    return -1;
}

static void a_tcp_peer_that_vanished_is_asked_for(void **state)
{
    struct door door = {.keep_raw = 1};
    (void)state;
    struct yd_address at = open_door(&door, address_of("127.0.0.1:0"));
    struct end *client = connect_to(at);
    RUN_UNTIL(door.count == 1);
    uint16_t port = ntohs(((const struct sockaddr_in *)&at.storage)->sin_port);
    expect_asked(tcp_descriptor_of_port(port, false)); /* who was connected to */
    expect_asked(tcp_descriptor_of_port(port, true));  /* who connects */
    yd_stream_close(door.raw);
    door.raw = NULL;
    RUN_UNTIL(client->ended);
    close_end(client);
    close_door(&door);
}

static void a_unix_peer_is_known_by_its_user_and_a_tcp_peer_is_not(void **state)
{
    struct door local = {0}, remote = {0};
    uint32_t uid = 12345;
    (void)state;
    struct end *one = connect_to(open_door(&local, socket_in_folder()));
    struct end *two = connect_to(open_door(&remote, address_of("127.0.0.1:0")));
    RUN_UNTIL(local.count && remote.count);
    assert_true(yd_stream_peer_user(local.ends[0]->stream, &uid));
    assert_int_equal(uid, getuid());
    assert_false(yd_stream_peer_user(remote.ends[0]->stream, &uid));
    close_end(one);
    close_end(two);
    close_door(&local);
    close_door(&remote);
}

/* ---- listeners ---- */

static void a_port_in_use_is_refused_with_its_address(void **state)
{
    struct door door = {0}, second = {0};
    struct yd_trail trail;
    (void)state;
    struct yd_address real = open_door(&door, address_of("127.0.0.1:0"));
    yd_trail_clear(&trail);
    assert_error(YD_EADDRINUSE, yd_listen(loop, &real, &door_ops, &second, &second.listener, &trail));
    assert_non_null(strstr(yd_trail_text(&trail), "127.0.0.1:"));
    close_door(&door);
    open_door(&second, real); /* at once, though the old one's connections linger */
    close_door(&second);
}

static void a_stale_unix_socket_is_replaced_and_a_live_one_or_a_file_is_not(void **state)
{
    struct yd_address at = socket_in_folder();
    struct door door = {0}, second = {0};
    struct stat now;
    const char *path = ((struct sockaddr_un *)&at.storage)->sun_path;
    (void)state;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at.storage, at.size), 0);
    close(fd); /* the file stays */
    open_door(&door, at);
    assert_error(YD_EADDRINUSE, yd_listen(loop, &at, &door_ops, &second, &second.listener, NULL));
    close_door(&door);
    assert_int_equal(lstat(path, &now), -1);
    fclose(fopen(path, "w"));
    assert_error(YD_EADDRINUSE, yd_listen(loop, &at, &door_ops, &second, &second.listener, NULL));
    assert_int_equal(lstat(path, &now), 0);
}

static void a_paused_listener_accepts_nobody_until_it_goes_on(void **state)
{
    struct door door = {0};
    (void)state;
    struct yd_address real = open_door(&door, address_of("127.0.0.1:0"));
    yd_listener_pause(door.listener, true);
    struct end *client = connect_to(real);
    RUN_UNTIL(client->connected); /* by the kernel */
    assert_int_equal(yd_loop_run(loop, 0), 0);
    assert_int_equal(door.count, 0);
    yd_listener_pause(door.listener, false);
    RUN_UNTIL(door.count == 1);
    close_end(client);
    close_door(&door);
}

static void without_descriptors_it_waits_and_accepts_when_there_are_some(void **state)
{
    struct door door = {0};
    struct rlimit limit, low;
    (void)state;
    struct yd_address real = open_door(&door, socket_in_folder());
    int client = socket(AF_UNIX, SOCK_STREAM, 0), next = dup(client);
    close(next);
    getrlimit(RLIMIT_NOFILE, &limit);
    low = limit;
    low.rlim_cur = (rlim_t)next;
    assert_int_equal(connect(client, (struct sockaddr *)&real.storage, real.size), 0);
    setrlimit(RLIMIT_NOFILE, &low);
    int turns = 0;
    for (int64_t end = yd_clock_mono() + 50 * YD_NS_PER_MS; yd_clock_mono() < end; turns++)
        (void)yd_loop_run(loop, 10 * YD_NS_PER_MS);
    assert_int_equal(door.count, 0);
    assert_in_range(turns, 1, 12); /* it does not spin */
    setrlimit(RLIMIT_NOFILE, &limit);
    RUN_UNTIL(door.count == 1);
    close(client);
    close_door(&door);
}

static int idle_count;
static struct yd_stream *idle[20000];
static void idle_accept(void *arg, struct yd_stream *stream, const struct yd_address *peer)
{
    static struct end end;
    (void)arg, (void)peer;
    yd_stream_start(stream, &end_ops, &end);
    idle[idle_count++] = stream;
}

static size_t resident_kib(void)
{
    char line[200];
    size_t kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof line, file))
        if (strncmp(line, "VmRSS:", 6) == 0) kib = strtoul(line + 6, NULL, 10);
    fclose(file);
    return kib;
}

static void ten_thousand_idle_connections_are_held_in_little_memory(void **state)
{
    static const struct yd_listener_ops ops = {idle_accept};
    struct yd_address at = socket_in_folder();
    struct yd_listener *listener;
    struct rlimit limit;
    (void)state;
    int wanted = 10000, *fds = calloc((size_t)wanted, sizeof *fds);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < 20100) wanted = (int)(limit.rlim_cur - 100) / 2;
    assert_error(0, yd_listen(loop, &at, &ops, NULL, &listener, NULL));
    size_t before = resident_kib();
    idle_count = 0;
    for (int i = 0; i < wanted; i++) {
        fds[i] = socket(AF_UNIX, SOCK_STREAM, 0);
        assert_int_equal(connect(fds[i], (struct sockaddr *)&at.storage, at.size), 0);
        if (i % 500 == 0) RUN_UNTIL(idle_count == i + 1);
    }
    RUN_UNTIL(idle_count == wanted);
    size_t each = (resident_kib() - before) * 1024 / (size_t)wanted;
    print_message("# %d connections, %zu bytes of ours each\n", wanted, each);
    assert_true(each < 4096);
    assert_int_equal(yd_loop_run(loop, 0), 0);
    for (int i = 0; i < wanted; i++) {
        close(fds[i]);
        yd_stream_close(idle[i]);
    }
    yd_listener_close(listener);
    free(fds);
}

/* ---- datagrams ---- */

struct mailbox {
    struct yd_datagrams *socket;
    int count, calls, turns;
    size_t bytes;
    struct yd_address from;
    int64_t time_ns;
    uint64_t drops;
};
static void mail_received(void *arg, const struct yd_datagram *datagrams, size_t count, uint64_t drops)
{
    struct mailbox *mailbox = arg;
    assert_in_range(count, 1, 64);
    for (size_t i = 0; i < count; i++) mailbox->bytes += datagrams[i].bytes.size;
    mailbox->count += (int)count;
    mailbox->calls++;
    mailbox->from = datagrams[count - 1].from;
    mailbox->time_ns = datagrams[count - 1].time_ns;
    mailbox->drops = drops;
}
static void mail_turn_ends(void *arg)
{
    ((struct mailbox *)arg)->turns++;
}
static const struct yd_datagrams_ops mail_ops = {mail_received, mail_turn_ends};

static void two_hundred_datagrams_come_in_few_calls_with_the_kernels_stamp(void **state)
{
    struct mailbox one = {0}, two = {0};
    struct yd_address at = address_of("127.0.0.1:0"), all = address_of(":0"), to, from;
    char text[100], there[100];
    (void)state;
    assert_error(0, yd_datagrams_open(loop, &all, &mail_ops, &one, &one.socket, NULL));
    assert_error(0, yd_datagrams_open(loop, &at, &mail_ops, &two, &two.socket, NULL));
    yd_datagrams_address(one.socket, &to);
    yd_address_put(&to, text, sizeof text);
    snprintf(there, sizeof there, "127.0.0.1%s", strrchr(text, ':'));
    to = address_of(there);
    int64_t before = yd_clock_wall();
    for (int i = 0; i < 200; i++) assert_error(0, yd_datagrams_send(two.socket, &to, YD_STR("12345")));
    RUN_UNTIL(one.count == 200);
    assert_true(one.calls <= 8);
    assert_int_equal(one.bytes, 1000);
    /* The kernel begins to stamp on arrival only some time after the first socket asked for it; until then it stamps
     * on reading. */
    assert_in_range(one.time_ns, before, yd_clock_wall() + 1);
    yd_datagrams_address(two.socket, &from);
    assert_int_equal(one.from.size, from.size);
    assert_memory_equal(&one.from.storage, &from.storage, from.size); /* IPv4, though by a socket for both */
    assert_error(0, yd_datagrams_send(one.socket, &one.from, YD_STR("back")));
    RUN_UNTIL(two.count == 1);
    assert_int_equal(two.bytes, 4);
    yd_datagrams_close(one.socket);
    yd_datagrams_close(two.socket);
}

static void what_the_kernel_drops_is_counted(void **state)
{
    struct mailbox one = {0}, two = {0};
    static char block[60000];
    struct yd_address at = address_of("127.0.0.1:0"), to;
    int sent = 0;
    (void)state;
    assert_error(0, yd_datagrams_open(loop, &at, &mail_ops, &one, &one.socket, NULL));
    assert_error(0, yd_datagrams_open(loop, &at, &mail_ops, &two, &two.socket, NULL));
    yd_datagrams_address(one.socket, &to);
    yd_datagrams_pause(one.socket, true);
    for (; sent < 1000; sent++)
        assert_error(0, yd_datagrams_send(two.socket, &to, (struct yd_str){block, sizeof block}));
    (void)yd_loop_run(loop, 0);
    assert_int_equal(one.count, 0);
    yd_datagrams_pause(one.socket, false);
    int before = -1;
    while (one.count != before) {
        before = one.count;
        (void)yd_loop_run(loop, 0);
    }
    assert_error(0, yd_datagrams_send(two.socket, &to, YD_STR("x"))); /* it carries the count so far */
    RUN_UNTIL(one.count == before + 1);
    assert_true(one.count < sent);
    assert_int_equal((uint64_t)one.count + one.drops, (uint64_t)sent + 1);
    yd_datagrams_close(one.socket);
    yd_datagrams_close(two.socket);
}

static void drops_are_known_without_a_further_datagram_and_the_rest_is_given_out_at_the_end(void **state)
{
    struct mailbox one = {0}, two = {0};
    static char block[60000];
    struct yd_address at = address_of("127.0.0.1:0"), to;
    struct yd_datagrams_options small = {.receive_buffer = 1 << 20};
    uint64_t sent = 1000;
    (void)state;
    assert_error(0, yd_datagrams_open_with(loop, &at, &small, &mail_ops, &one, &one.socket, NULL));
    assert_error(0, yd_datagrams_open(loop, &at, &mail_ops, &two, &two.socket, NULL));
    assert_in_range(yd_datagrams_buffer(one.socket), 1 << 16, 1 << 20);
    assert_int_equal(yd_datagrams_drops(one.socket), 0);
    yd_datagrams_address(one.socket, &to);
    yd_datagrams_pause(one.socket, true);
    for (uint64_t i = 0; i < sent; i++)
        assert_error(0, yd_datagrams_send(two.socket, &to, (struct yd_str){block, sizeof block}));
    uint64_t drops = yd_datagrams_drops(one.socket);
    assert_true(drops > 0 && drops < sent);
    yd_datagrams_finish(one.socket);
    assert_int_equal(one.count + drops, sent);
    assert_int_equal(one.drops, drops); /* the datagrams' own, older counts took nothing back */
    assert_int_equal(one.turns, 1);
    (void)yd_datagrams_send(two.socket, &to, YD_STR("late"));
    (void)yd_loop_run(loop, 0);
    assert_int_equal(one.count + drops, sent); /* nobody gets in any more */
    yd_datagrams_close(one.socket);
    yd_datagrams_close(two.socket);
}

static void sockets_share_an_address_that_nobody_else_gets(void **state)
{
    struct mailbox first = {0}, second = {0}, third = {0}, senders[64] = {0};
    struct yd_address at = address_of("127.0.0.1:0"), there, own;
    struct yd_datagrams_options one = {.share = YD_DATAGRAMS_FIRST}, join = {.share = YD_DATAGRAMS_JOIN};
    struct yd_trail trail = {0};
    (void)state;
    assert_error(0, yd_datagrams_open_with(loop, &at, &one, &mail_ops, &first, &first.socket, NULL));
    yd_datagrams_address(first.socket, &there);
    assert_error(0, yd_datagrams_open_with(loop, &there, &join, &mail_ops, &second, &second.socket, NULL));
    assert_error(YD_EADDRINUSE, yd_datagrams_open_with(loop, &there, &one, &mail_ops, &third, &third.socket, &trail));
    assert_non_null(strstr(yd_trail_text(&trail), "cannot listen on 127.0.0.1:"));
    assert_error(YD_EADDRINUSE, yd_datagrams_open(loop, &there, &mail_ops, &third, &third.socket, NULL));
    for (int i = 0; i < 64; i++) {
        assert_error(0, yd_datagrams_open(loop, &at, &mail_ops, &senders[i], &senders[i].socket, NULL));
        for (int k = 0; k < 5; k++) assert_error(0, yd_datagrams_send(senders[i].socket, &there, YD_STR("x")));
    }
    RUN_UNTIL(first.count + second.count == 320);
    assert_true(first.count > 0 && second.count > 0);
    assert_int_equal(first.count % 5, 0); /* each sender's come to one of them */
    for (int i = 0; i < 64; i++) yd_datagrams_close(senders[i].socket);
    yd_datagrams_close(first.socket);
    yd_datagrams_close(second.socket);
    /* An address that somebody has alone is not joined. */
    assert_error(0, yd_datagrams_open(loop, &there, &mail_ops, &first, &first.socket, NULL));
    assert_error(YD_EADDRINUSE, yd_datagrams_open_with(loop, &there, &join, &mail_ops, &third, &third.socket, NULL));
    own = socket_in_folder();
    assert_error(YD_EINVAL, yd_datagrams_open_with(loop, &own, &one, &mail_ops, &third, &third.socket, NULL));
    yd_datagrams_close(first.socket);
}

static bool hears_a_group(const char *group)
{
    struct mailbox one = {0}, other = {0}, two = {0};
    struct yd_address at = address_of(group), there, from = address_of(strchr(group, '[') ? "[::1]:0" : "127.0.0.1:0");
    struct yd_datagrams_options lo = {.interface = "lo"};
    struct yd_trail trail = {0};
    if (yd_datagrams_open_with(loop, &at, &lo, &mail_ops, &one, &one.socket, &trail)) {
        print_message("# no multicast here: %s\n", yd_trail_text(&trail));
        return false;
    }
    yd_datagrams_address(one.socket, &there);
    assert_error(0, yd_datagrams_open_with(loop, &there, &lo, &mail_ops, &other, &other.socket, NULL));
    assert_error(0, yd_datagrams_open(loop, &from, &mail_ops, &two, &two.socket, NULL));
    int sent = yd_datagrams_send(two.socket, &there, YD_STR("all of you"));
    if (sent == 0) RUN_UNTIL(one.count == 1 && other.count == 1);
    yd_datagrams_close(one.socket);
    yd_datagrams_close(other.socket);
    yd_datagrams_close(two.socket);
    return sent == 0;
}

static void all_who_joined_a_group_hear_it(void **state)
{
    struct yd_address at = address_of("239.255.77.1:0");
    struct yd_datagrams_options nowhere = {.interface = "nosuch0"};
    struct mailbox one = {0};
    struct yd_trail trail = {0};
    (void)state;
    assert_true(yd_address_multicast(&at));
    at = address_of("[ff15::7]:5000");
    assert_true(yd_address_multicast(&at));
    assert_error(YD_ENOENT, yd_datagrams_open_with(loop, &at, &nowhere, &mail_ops, &one, &one.socket, &trail));
    assert_non_null(strstr(yd_trail_text(&trail), "nosuch0"));
    at = address_of("127.0.0.1:5000");
    assert_false(yd_address_multicast(&at));
    (void)hears_a_group("[ff12::77]:0");
    if (!hears_a_group("239.255.77.1:0")) skip_because("no group can be joined on the loopback interface");
}

static void sending_to_nobody_does_not_stop_receiving(void **state)
{
    struct mailbox one = {0}, gone = {0};
    struct yd_address at = address_of("127.0.0.1:0"), to, own;
    static char block[70000];
    (void)state;
    assert_error(0, yd_datagrams_open(loop, &at, &mail_ops, &gone, &gone.socket, NULL));
    assert_error(0, yd_datagrams_open(loop, &at, &mail_ops, &one, &one.socket, NULL));
    yd_datagrams_address(gone.socket, &to);
    yd_datagrams_address(one.socket, &own);
    yd_datagrams_close(gone.socket);
    for (int i = 0; i < 3; i++) {
        (void)yd_datagrams_send(one.socket, &to, YD_STR("hello"));
        (void)yd_loop_run(loop, 0);
    }
    assert_error(YD_ETOOBIG, yd_datagrams_send(one.socket, &to, (struct yd_str){block, sizeof block}));
    assert_error(0, yd_datagrams_send(one.socket, &own, YD_STR("me")));
    RUN_UNTIL(one.count == 1);
    yd_datagrams_close(one.socket);
    assert_error(0, yd_datagrams_open(loop, &own, &mail_ops, &one, &one.socket, NULL));
    assert_error(YD_EADDRINUSE, yd_datagrams_open(loop, &own, &mail_ops, &gone, &gone.socket, NULL));
    yd_datagrams_close(one.socket);
}

#define LOOP(test) cmocka_unit_test_setup_teardown(test, with_loop, without_loop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP(tcp_connections_carry_bytes_both_ways_and_end_one_side_at_a_time),
        LOOP(connections_to_all_interfaces_take_ipv4_and_name_the_peer_so),
        LOOP(unix_sockets_do_the_same),
        LOOP(eight_mebibytes_come_back_through_an_echo_as_they_were),
        LOOP(shared_bytes_and_runs_of_files_leave_in_their_order),
        LOOP(shared_bytes_are_released_by_closing_and_files_that_shrank_end_it),
        LOOP(a_peer_that_does_not_read_fills_the_limit_and_no_more),
        LOOP(no_room_pauses_the_stream_until_it_is_unpaused),
        LOOP(a_refused_connection_ends_with_its_reason),
        LOOP(a_reset_ends_both_reading_and_writing),
        LOOP(a_stream_may_be_closed_in_its_own_callback),
        LOOP(what_was_written_just_before_close_still_leaves),
        LOOP(the_first_bytes_can_be_seen_without_being_taken),
        LOOP(a_peek_at_a_peer_that_leaves_says_so),
        LOOP(a_detached_descriptor_lives_on_with_all_its_bytes),
        LOOP(a_fresh_stream_moves_to_another_loop_with_all_that_was_sent),
        LOOP(a_tcp_peer_that_vanished_is_asked_for),
        LOOP(a_unix_peer_is_known_by_its_user_and_a_tcp_peer_is_not),
        LOOP(a_port_in_use_is_refused_with_its_address),
        LOOP(a_stale_unix_socket_is_replaced_and_a_live_one_or_a_file_is_not),
        LOOP(a_paused_listener_accepts_nobody_until_it_goes_on),
        LOOP(without_descriptors_it_waits_and_accepts_when_there_are_some),
        LOOP(ten_thousand_idle_connections_are_held_in_little_memory),
        LOOP(two_hundred_datagrams_come_in_few_calls_with_the_kernels_stamp),
        LOOP(what_the_kernel_drops_is_counted),
        LOOP(sockets_share_an_address_that_nobody_else_gets),
        LOOP(drops_are_known_without_a_further_datagram_and_the_rest_is_given_out_at_the_end),
        LOOP(all_who_joined_a_group_hear_it),
        LOOP(sending_to_nobody_does_not_stop_receiving),
    };
    return cmocka_run_group_tests_name("streams", tests, NULL, NULL);
}
