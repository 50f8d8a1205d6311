/* The reader's library against a writer in a process of its own, that publishes, is replaced, is killed, comes back. */
#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "io/loop.h"
#include "io/pass.h"
#include "live/door.h"
#include "live/door_format.h"
#include "live/library/internal.h"
#include "live/table_write.h"

#define S INT64_C(1000000000)

static char folder[64], path[80];

/* ---- a writer ---- */

struct order {
    enum { PUBLISH = 1, REPLACE, COPY, REOPEN } op;
    char name[32];
    enum yd_type type;
    int64_t time;
    uint64_t bits;
    char text[64];
    uint32_t times;
};
struct writer {
    pid_t pid;
    int to;
};

struct inside {
    struct yd_live_table *table;
    struct yd_live_bell bell;
    struct yd_live_door *door;
    struct yd_live_door_options options;
};

static struct yd_live_table *table_of(uint64_t id, uint64_t generation, struct yd_live_bell *bell)
{
    struct yd_live_table_options options = {.generation = generation, .id = id, .now_ns = 1, .capacity = 1000};
    struct yd_live_table *table;
    if (yd_live_table_create(&options, NULL, &table) || yd_live_table_add_bell(table, bell)) _exit(10);
    yd_live_table_set_state(table, YD__LIVE_READY);
    return table;
}

static void take_over(struct inside *inside, struct yd_live_table *next)
{
    const struct yd_live_region *region = yd_live_table_region(next);
    int fd;
    if (yd_live_region_reader_fd(region, &fd)) _exit(11);
    yd_live_door_replace(inside->door, fd, region->header->generation, region->header->id);
    yd_live_table_set_state(inside->table, YD__LIVE_REPLACED);
    yd_live_table_destroy(inside->table);
    inside->table = next;
}

/* A later table with the names and newest values of the one in use, but without `gone`. */
static struct yd_live_table *copy_of(struct inside *inside, const char *gone)
{
    const struct yd_live_region *region = yd_live_table_region(inside->table);
    struct yd_live_mapping mapping = {region->header, region->size, false};
    struct yd_live_table_options options = {
        .generation = region->header->generation + 1, .id = region->header->id, .now_ns = 1, .capacity = 1000};
    struct yd_live_table_view view;
    struct yd_live_table *table;
    if (yd_live_table_create(&options, NULL, &table) || yd_live_table_add_bell(table, &inside->bell)) _exit(19);
    if (yd_live_table_view_open(&mapping, &view)) _exit(20);
    for (uint32_t i = 0; i < yd_live_table_count(inside->table); i++) {
        struct yd_live_cell cell;
        struct yd_live_cursor cursor = {0};
        struct yd_live_value value;
        struct yd_str name;
        uint32_t size, index;
        char bytes[64];
        if (yd_live_table_view_cell(&view, i, &cell) || yd_live_table_view_name(&view, i, &name.data, &size)) _exit(21);
        name.size = size;
        if (yd_str_eq(name, yd_str_of(gone))) continue;
        if (yd_live_table_declare(table, name, cell.type, cell.value_size, &index) != 1) _exit(22);
        if (yd_live_cell_get(&cell, &cursor, bytes, sizeof bytes, &value) == 1 &&
            yd_live_table_set(table, index, value.time_ns, value.type, value.flags, bytes, value.size))
            _exit(23);
    }
    yd_live_table_set_copied(table, region->header->generation);
    yd_live_table_set_state(table, YD__LIVE_READY);
    return table;
}

static void reopen(struct inside *inside)
{
    struct yd_trail trail = {0};
    yd_live_door_close(inside->door);
    inside->options.table = yd_live_table_region(inside->table);
    if (yd_live_door_open(&inside->options, &inside->door, &trail)) _exit(24);
}

static void obey(struct inside *inside, const struct order *order)
{
    uint32_t index;
    struct yd_str name = yd_str_of(order->name);
    if (order->op == REPLACE)
        take_over(inside, table_of(10, yd_live_table_region(inside->table)->header->generation + 1, &inside->bell));
    if (order->op == COPY) take_over(inside, copy_of(inside, order->name));
    if (order->op == REOPEN) reopen(inside);
    if (order->op != PUBLISH) return;
    if (yd_live_table_declare(inside->table, name, order->type, 64, &index) < 0) _exit(12);
    for (uint32_t i = 0; i < order->times; i++) {
        uint64_t bits = order->bits + i;
        int error = order->type == YD_TEXT
                        ? yd_live_table_publish(inside->table, index, order->time, YD_TEXT, 0, order->text,
                                                (uint32_t)strlen(order->text))
                        : yd_live_table_publish(inside->table, index, order->time + i, order->type, 0, &bits, 8);
        if (error) _exit(13);
    }
}

static void writer_body(int orders, int said, uint64_t generation, const struct yd_live_access *others, unsigned count)
{
    struct inside inside = {0};
    struct yd_live_access access[4] = {{.id = getuid(), .bell = &inside.bell}};
    struct yd_trail trail = {0};
    if (yd_live_bell_create(9, generation, 1, &inside.bell)) _exit(14);
    yd_live_region_set_state(&inside.bell.region, YD__LIVE_READY);
    inside.table = table_of(9, generation, &inside.bell);
    if (others) {
        memcpy(access, others, count * sizeof *others);
        for (unsigned i = 0; i < count; i++) access[i].bell = &inside.bell;
    }
    inside.options = (struct yd_live_door_options){.path = path,
                                                   .access = access,
                                                   .access_count = others ? count : 1,
                                                   .clients_max = 8,
                                                   .table = yd_live_table_region(inside.table)};
    if (yd_live_door_open(&inside.options, &inside.door, &trail)) _exit(15);
    if (write(said, "r", 1) != 1) _exit(16);
    for (;;) {
        struct order order;
        struct pollfd polls[2] = {{orders, POLLIN, 0}, {yd_live_door_fd(inside.door), POLLIN, 0}};
        if (poll(polls, 2, -1) < 0) _exit(17);
        if (polls[1].revents) yd_live_door_run(inside.door);
        if (!polls[0].revents) continue;
        if (read(orders, &order, sizeof order) != sizeof order) _exit(0);
        obey(&inside, &order);
        if (write(said, "d", 1) != 1) _exit(18);
    }
}

static int said_fd;

static void wait_said(void)
{
    char c;
    assert_int_equal(read(said_fd, &c, 1), 1);
}

static struct writer start_with(uint64_t generation, const struct yd_live_access *access, unsigned count)
{
    int orders[2], said[2];
    assert_int_equal(pipe(orders), 0);
    assert_int_equal(pipe(said), 0);
    struct writer writer = {.to = orders[1]};
    writer.pid = fork();
    assert_true(writer.pid >= 0);
    if (writer.pid == 0) {
        close(orders[1]);
        writer_body(orders[0], said[1], generation, access, count);
    }
    close(orders[0]);
    close(said[1]);
    if (said_fd) close(said_fd);
    said_fd = said[0];
    wait_said();
    return writer;
}

static struct writer start(uint64_t generation)
{
    return start_with(generation, NULL, 0);
}

static void tell(struct writer *writer, const struct order *order)
{
    assert_int_equal(write(writer->to, order, sizeof *order), sizeof *order);
    wait_said();
}

static void publish(struct writer *writer, const char *name, uint64_t first, uint32_t times)
{
    struct order order = {.op = PUBLISH, .type = YD_U64, .time = 1000, .bits = first, .times = times};
    strcpy(order.name, name);
    tell(writer, &order);
}

static void publish_text(struct writer *writer, const char *name, const char *text)
{
    struct order order = {.op = PUBLISH, .type = YD_TEXT, .time = 1000, .times = 1};
    strcpy(order.name, name);
    strcpy(order.text, text);
    tell(writer, &order);
}

static void kill_writer(struct writer *writer)
{
    int status;
    kill(writer->pid, SIGKILL);
    waitpid(writer->pid, &status, 0);
    close(writer->to);
}

static struct yd_live *attach(void)
{
    struct yd_live *live;
    struct yd_trail trail = {0};
    int error = yd_live_open(path, NULL, &live, &trail);
    if (error) print_message("# %s\n", yd_trail_text(&trail));
    assert_int_equal(error, 0);
    return live;
}

static struct yd_live_item *follow(struct yd_live *live, const char *name)
{
    struct yd_live_item *item;
    assert_int_equal(yd_live_follow(live, name, &item), 0);
    return item;
}

/* ---- tests ---- */

static void values_are_got_by_name_with_time_sequence_and_what_was_missed(void **state)
{
    (void)state;
    struct writer writer = start(1);
    struct yd_live_value value;
    publish(&writer, "speed", 10, 3);
    struct yd_live *live = attach();
    struct yd_live_item *speed = follow(live, "speed");
    assert_int_equal(yd_live_get(speed, NULL, 0, &value), 1);
    assert_int_equal(value.bits, 12);
    assert_int_equal(value.seq, 3);
    assert_int_equal(value.time_ns, 1002);
    assert_int_equal(value.missed, 0);
    assert_int_equal(yd_live_get(speed, NULL, 0, &value), 0);
    publish(&writer, "speed", 20, 5);
    assert_int_equal(yd_live_get(speed, NULL, 0, &value), 1);
    assert_int_equal(value.missed, 4);
    publish(&writer, "speed", 30, 6);
    for (uint64_t i = 0; i < 4; i++) {
        assert_int_equal(yd_live_next(speed, NULL, 0, &value), 1);
        assert_int_equal(value.bits, 32 + i);
        assert_int_equal(value.missed, i == 0 ? 2 : 0);
    }
    assert_int_equal(yd_live_next(speed, NULL, 0, &value), 0);
    yd_live_close(live);
    kill_writer(&writer);
}

static void typed_getters_keep_the_last_value_and_refuse_what_does_not_fit(void **state)
{
    (void)state;
    struct writer writer = start(1);
    struct yd_live *live = attach();
    struct yd_live_item *count = follow(live, "count"), *mode = follow(live, "mode");
    double f64;
    int64_t i64;
    uint64_t u64;
    bool boolean;
    char text[64];
    assert_int_equal(yd_live_get_f64(count, &f64), YD_EAGAIN);
    publish(&writer, "count", UINT64_MAX, 1);
    publish_text(&writer, "mode", "ASCENT");
    assert_int_equal(yd_live_get_u64(count, &u64), 0);
    assert_true(u64 == UINT64_MAX);
    assert_int_equal(yd_live_get_u64(count, &u64), 0);
    assert_int_equal(yd_live_get_i64(count, &i64), YD_ERANGE);
    assert_int_equal(yd_live_get_bool(count, &boolean), 0);
    assert_true(boolean);
    assert_int_equal(yd_live_get_text(count, text, sizeof text), 0);
    assert_string_equal(text, "18446744073709551615");
    assert_int_equal(yd_live_get_text(mode, text, sizeof text), 0);
    assert_string_equal(text, "ASCENT");
    assert_int_equal(yd_live_get_text(mode, text, 4), 0);
    assert_string_equal(text, "ASC");
    assert_int_equal(yd_live_get_f64(mode, &f64), YD_EINVAL);
    yd_live_close(live);
    kill_writer(&writer);
}

static void waiting_ends_with_a_value_a_timeout_a_signal_or_the_writers_end(void **state)
{
    (void)state;
    struct writer writer = start(1);
    struct yd_live *live = attach();
    struct yd_live_item *items[2] = {follow(live, "one"), follow(live, "two")};
    struct yd_live_value value;
    size_t index = 9;
    int64_t before = yd_clock_mono();
    assert_int_equal(yd_live_wait(items[0], 20 * S / 1000), YD_ETIMEOUT);
    assert_true(yd_clock_mono() - before >= 20 * S / 1000);
    assert_int_equal(yd_live_wait(items[0], 0), YD_ETIMEOUT);
    pid_t helper = fork(); /* a value while we sleep */
    if (helper == 0) {
        usleep(50000);
        struct order order = {.op = PUBLISH, .type = YD_U64, .name = "two", .bits = 5, .times = 1};
        _exit(write(writer.to, &order, sizeof order) != sizeof order);
    }
    assert_int_equal(yd_live_wait_any(live, items, 2, 20 * S, &index), 1);
    assert_int_equal(index, 1);
    assert_int_equal(yd_live_get(items[1], NULL, 0, &value), 1);
    assert_int_equal(value.bits, 5);
    wait_said();
    waitpid(helper, NULL, 0);
    kill_writer(&writer);
    before = yd_clock_mono();
    assert_int_equal(yd_live_wait_any(live, items, 2, 20 * S, &index), YD_ECLOSED);
    assert_true(yd_clock_mono() - before < S / 10); /* within 100 ms */
    assert_false(yd_live_attached(live));
    assert_int_equal(yd_live_wait_any(live, items, 2, 10 * S / 1000, &index), YD_ETIMEOUT); /* told once */
    uint64_t last;
    assert_int_equal(yd_live_get_u64(items[1], &last), 0);
    assert_int_equal(last, 5);
    yd_live_close(live);
}

static void on_alarm(int number)
{
    (void)number;
}

static void a_signal_interrupts_waiting(void **state)
{
    (void)state;
    struct writer writer = start(1);
    struct yd_live *live = attach();
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    ualarm(30000, 0);
    assert_int_equal(yd_live_wait(follow(live, "x"), 20 * S), YD_ECANCELED);
    yd_live_close(live);
    kill_writer(&writer);
}

static void a_killed_writer_that_comes_back_is_followed_into_its_new_memory(void **state)
{
    (void)state;
    struct writer writer = start(1);
    publish_text(&writer, "other", "x");
    publish(&writer, "speed", 1, 9);
    struct yd_live *live = attach();
    struct yd_live_item *speed = follow(live, "speed");
    struct yd_live_value value;
    assert_int_equal(yd_live_get(speed, NULL, 0, &value), 1);
    for (uint64_t generation = 2; generation < 6; generation++) {
        uint64_t last;
        kill_writer(&writer);
        assert_int_equal(yd_live_wait(speed, 20 * S), YD_ECLOSED);
        assert_int_equal(yd_live_get(speed, NULL, 0, &value), 0);
        assert_int_equal(yd_live_get_u64(speed, &last), 0);
        writer = start(generation);
        publish(&writer, "speed", 100 * generation, 1); /* another index than before */
        assert_int_equal(yd_live_wait(speed, 20 * S), 1);
        assert_int_equal(yd_live_generation(live), generation);
        assert_int_equal(yd_live_get(speed, NULL, 0, &value), 1);
        assert_int_equal(value.bits, 100 * generation);
        assert_int_equal(value.seq, 1);
        assert_int_equal(value.missed, 0);
    }
    yd_live_close(live);
    kill_writer(&writer);
}

static void what_was_left_unread_in_other_memory_is_counted_as_missed(void **state)
{
    (void)state;
    struct writer writer = start(1);
    publish(&writer, "speed", 1, 1);
    struct yd_live *live = attach();
    struct yd_live_item *speed = follow(live, "speed");
    struct yd_live_value value;
    assert_int_equal(yd_live_get(speed, NULL, 0, &value), 1);
    publish(&writer, "speed", 2, 5); /* nobody reads them */
    kill_writer(&writer);
    writer = start(2);
    publish(&writer, "speed", 100, 3);
    for (int tries = 0; yd_live_generation(live) != 2 && tries < 20000; tries++) usleep(1000);
    assert_int_equal(yd_live_get(speed, NULL, 0, &value), 1);
    assert_int_equal(value.bits, 102);
    assert_int_equal(value.missed, 5 + 2);
    /* Another table that has no copies: all there is new. */
    struct order order = {.op = REPLACE};
    tell(&writer, &order);
    publish(&writer, "speed", 200, 1);
    for (int tries = 0; yd_live_generation(live) != 3 && tries < 20000; tries++) usleep(1000);
    assert_int_equal(yd_live_get(speed, NULL, 0, &value), 1);
    assert_int_equal(value.bits, 200);
    assert_int_equal(value.missed, 0);
    yd_live_close(live);
    kill_writer(&writer);
}

/* Another generation with copies; its reader has heard of it, and has not looked. */
static void copy(struct writer *writer, const char *gone, struct yd_live *live, uint64_t generation)
{
    struct order order = {.op = COPY};
    strcpy(order.name, gone);
    tell(writer, &order);
    for (int tries = 0; tries < 20000; tries++) {
        (void)pthread_mutex_lock(&live->lock);
        bool heard = live->pending && live->pending->generation == generation;
        (void)pthread_mutex_unlock(&live->lock);
        if (heard) return;
        usleep(1000);
    }
    fail_msg("generation %llu was not heard of", (unsigned long long)generation);
}

static void expect(struct yd_live_item *item, uint64_t bits, uint64_t missed)
{
    struct yd_live_value value;
    assert_int_equal(yd_live_wait(item, 0), 1);
    assert_int_equal(yd_live_get(item, NULL, 0, &value), 1);
    assert_int_equal(value.bits, bits);
    assert_int_equal(value.missed, missed);
    assert_int_equal(yd_live_wait(item, 0), YD_ETIMEOUT);
    assert_int_equal(yd_live_get(item, NULL, 0, &value), 0);
}

static void expect_nothing(struct yd_live_item *item)
{
    struct yd_live_value value;
    assert_int_equal(yd_live_wait(item, 0), YD_ETIMEOUT);
    assert_int_equal(yd_live_get(item, NULL, 0, &value), 0);
}

static void what_was_got_is_not_given_again_by_a_table_that_grew(void **state)
{
    (void)state;
    struct writer writer = start(1);
    publish(&writer, "read", 1, 3);
    publish(&writer, "unread", 1, 1);
    publish(&writer, "silent", 1, 1);
    struct yd_live *live = attach();
    struct yd_live_item *got = follow(live, "read"), *left = follow(live, "unread");
    expect(got, 3, 0);
    expect(left, 1, 0);
    publish(&writer, "unread", 2, 4);
    copy(&writer, "", live, 2);
    expect_nothing(got);
    expect(left, 5, 3); /* the newest comes again, and is not counted as missed */
    publish(&writer, "read", 10, 2);
    copy(&writer, "", live, 3);
    publish(&writer, "read", 20,
            6); /* more than there are slots: the copy is gone, and is known to be one all the same */
    expect(got, 25, 1 + 6);
    expect_nothing(left);
    yd_live_close(live);
    kill_writer(&writer);
}

static void a_value_of_memory_that_came_and_went_unseen_is_not_hidden(void **state)
{
    (void)state;
    struct writer writer = start(1);
    publish(&writer, "state", 1, 1);
    publish(&writer, "same", 5, 1);
    publish(&writer, "behind", 1, 1);
    publish_text(&writer, "mode", "a long name of a mode: ASCENT");
    publish_text(&writer, "text", "one that stays as long as it was");
    struct yd_live *live = attach();
    struct yd_live_item *item = follow(live, "state"), *same = follow(live, "same"), *behind = follow(live, "behind");
    struct yd_live_item *mode = follow(live, "mode"), *text = follow(live, "text");
    struct yd_live_value value;
    char bytes[64];
    expect(item, 1, 0);
    expect(same, 5, 0);
    expect(behind, 1, 0);
    assert_int_equal(yd_live_get_text(mode, bytes, sizeof bytes), 0);
    assert_int_equal(yd_live_get_text(text, bytes, sizeof bytes), 0);
    publish(&writer, "behind", 2, 2);
    copy(&writer, "", live, 2);
    publish(&writer, "state", 2, 1);
    publish_text(&writer, "mode", "a long name of a mode: LANDED"); /* at the same time, with the same first bytes */
    copy(&writer, "", live, 3);
    expect(item, 2, 0);
    expect_nothing(same); /* nor does what did not change come twice */
    expect(behind, 3, 1);
    assert_int_equal(yd_live_wait(mode, 0), 1);
    assert_int_equal(yd_live_get(mode, bytes, sizeof bytes, &value), 1);
    assert_memory_equal(bytes, "a long name of a mode: LANDED", value.size);
    assert_int_equal(value.missed, 0);
    assert_int_equal(yd_live_wait(text, 0), YD_ETIMEOUT);
    assert_int_equal(yd_live_get(text, bytes, sizeof bytes, &value), 0);
    publish(&writer, "state", 3, 1);
    expect(item, 3, 0);
    yd_live_close(live);
    kill_writer(&writer);
}

static void a_name_that_was_dropped_and_comes_back_is_given_from_its_first_value(void **state)
{
    (void)state;
    struct writer writer = start(1);
    publish(&writer, "read", 1, 2);
    publish(&writer, "unread", 1, 1);
    publish(&writer, "other", 1, 1);
    struct yd_live *live = attach();
    struct yd_live_item *got = follow(live, "read"), *left = follow(live, "unread"), *other = follow(live, "other");
    expect(got, 2, 0);
    expect(left, 1, 0);
    expect(other, 1, 0);
    publish(&writer, "unread", 2, 4);
    copy(&writer, "read", live, 2);
    expect_nothing(got);
    copy(&writer, "unread", live, 3);
    expect_nothing(other);
    publish(&writer, "read", 7, 1);
    expect(got, 7, 0);
    publish(&writer, "unread", 8, 1);
    expect(left, 8, 4); /* the newest was copied, and nobody looked before it was dropped */
    copy(&writer, "other", live, 4);
    publish(&writer, "other", 9, 1); /* is there when the reader goes over, and is no copy */
    expect(other, 9, 0);
    yd_live_close(live);
    kill_writer(&writer);
}

static void a_door_that_opens_again_with_the_same_table_gives_nothing_twice(void **state)
{
    (void)state;
    struct writer writer = start(1);
    publish(&writer, "speed", 1, 3);
    struct yd_live *live = attach();
    struct yd_live_item *speed = follow(live, "speed");
    struct order order = {.op = REOPEN};
    expect(speed, 3, 0);
    publish(&writer, "speed", 4, 2);
    tell(&writer, &order);
    for (int tries = 0; !yd__load(&live->pending, ACQUIRE) && tries < 20000; tries++) usleep(1000);
    expect(speed, 5, 1);
    yd_live_close(live);
    kill_writer(&writer);
}

static void a_table_that_is_replaced_takes_its_readers_along(void **state)
{
    (void)state;
    struct writer writer = start(1);
    publish(&writer, "speed", 1, 1);
    struct yd_live *live = attach();
    struct yd_live_item *speed = follow(live, "speed");
    struct yd_live_value value;
    assert_int_equal(yd_live_get(speed, NULL, 0, &value), 1);
    struct order order = {.op = REPLACE};
    tell(&writer, &order);
    publish(&writer, "speed", 7, 1);
    assert_int_equal(yd_live_wait(speed, 20 * S), 1);
    assert_int_equal(yd_live_get(speed, NULL, 0, &value), 1);
    assert_int_equal(value.bits, 7);
    assert_int_equal(yd_live_generation(live), 2);
    assert_true(yd_live_attached(live));
    yd_live_close(live);
    kill_writer(&writer);
}

static void a_set_finds_names_that_come_later_also_after_a_restart(void **state)
{
    (void)state;
    struct writer writer = start(1);
    publish(&writer, "tank.a", 1, 1);
    publish(&writer, "other", 1, 1);
    struct yd_live *live = attach();
    struct yd_live_set *set;
    struct yd_live_item *item, *const *items;
    struct yd_live_value value;
    assert_int_equal(yd_live_follow_matching(live, "tank.*", &set), 0);
    assert_int_equal(yd_live_set_items(set, &items), 1);
    assert_int_equal(yd_live_set_ready(set, &item), 1);
    assert_string_equal(yd_live_name(item), "tank.a");
    assert_int_equal(yd_live_get(item, NULL, 0, &value), 1);
    assert_int_equal(yd_live_set_ready(set, &item), 0);
    assert_int_equal(yd_live_set_wait(set, 0), YD_ETIMEOUT);
    publish(&writer, "tank.b", 2, 1);
    assert_int_equal(yd_live_set_wait(set, 20 * S), 1);
    assert_int_equal(yd_live_set_ready(set, &item), 1);
    assert_string_equal(yd_live_name(item), "tank.b");
    assert_int_equal(yd_live_get(item, NULL, 0, &value), 1);
    kill_writer(&writer);
    assert_int_equal(yd_live_set_wait(set, 20 * S), YD_ECLOSED);
    writer = start(2);
    publish(&writer, "tank.c", 3, 1);
    publish(&writer, "tank.a", 4, 1);
    unsigned seen = 0;
    while (seen < 2) {
        assert_int_equal(yd_live_set_wait(set, 20 * S), 1);
        while (yd_live_set_ready(set, &item) == 1) {
            assert_int_equal(yd_live_get(item, NULL, 0, &value), 1);
            seen++;
        }
    }
    assert_int_equal(yd_live_set_items(set, &items), 3);
    yd_live_close(live);
    kill_writer(&writer);
}

/* Names are looked at as far as there are any; in other memory they begin anew, whoever takes it over. */
static void a_set_that_only_looks_finds_the_names_of_a_successor(void **state)
{
    (void)state;
    struct writer writer = start(1);
    publish(&writer, "tank.a", 1, 1);
    publish(&writer, "tank.b", 1, 1);
    struct yd_live *live = attach();
    struct yd_live_set *set;
    struct yd_live_item *item;
    struct yd_live_value value;
    assert_int_equal(yd_live_follow_matching(live, "tank.*", &set), 0);
    while (yd_live_set_ready(set, &item) == 1) assert_int_equal(yd_live_get(item, NULL, 0, &value), 1);
    kill_writer(&writer);
    writer = start(2);
    publish(&writer, "tank.c", 3, 1);
    publish(&writer, "tank.d", 4, 1);
    unsigned seen = 0;
    for (int tries = 0; seen < 2 && tries < 10000; tries++) {
        if (yd_live_set_ready(set, &item) != 1) {
            usleep(1000);
            continue;
        }
        assert_int_equal(yd_live_get(item, NULL, 0, &value), 1);
        seen++;
    }
    assert_int_equal(seen, 2);
    yd_live_close(live);
    kill_writer(&writer);
}

static void a_descriptor_is_readable_when_something_came(void **state)
{
    (void)state;
    struct writer writer = start(1);
    struct yd_live *live = attach();
    struct yd_live_item *item = follow(live, "x");
    struct yd_live_value value;
    int fd;
    assert_int_equal(yd_live_descriptor(live, &fd), 0);
    struct pollfd polled = {fd, POLLIN, 0};
    assert_int_equal(poll(&polled, 1, 20000), 1); /* what may be there from the beginning */
    uint64_t got = 0;
    yd_live_woken(live);
    for (uint64_t i = 1; i <= 200; i++) {
        publish(&writer, "x", i, 1);
        while (got != i) {
            assert_int_equal(poll(&polled, 1, 20000), 1);
            yd_live_woken(live);
            if (yd_live_get(item, NULL, 0, &value) == 1) got = value.bits;
        }
    }
    while (poll(&polled, 1, 50) == 1) yd_live_woken(live); /* quiet in the end */
    struct order order = {.op = REPLACE};                  /* and the first value in other memory wakes as well */
    tell(&writer, &order);
    while (yd_live_generation(live) != 2) {
        assert_int_equal(poll(&polled, 1, 20000), 1);
        yd_live_woken(live);
    }
    while (poll(&polled, 1, 50) == 1) yd_live_woken(live);
    publish(&writer, "x", 999, 1);
    assert_int_equal(poll(&polled, 1, 20000), 1);
    yd_live_woken(live);
    kill_writer(&writer);
    assert_int_equal(poll(&polled, 1, 20000), 1);
    yd_live_close(live);
}

static void a_child_closes_its_copy_and_the_parent_goes_on(void **state)
{
    (void)state;
    struct writer writer = start(1);
    publish(&writer, "a", 1, 1);
    struct yd_live *live = attach();
    struct yd_live_item *item;
    struct yd_live_value value;
    int fd, status;
    assert_int_equal(yd_live_follow(live, "a", &item), 0);
    assert_int_equal(yd_live_get(item, NULL, 0, &value), 1);
    assert_int_equal(yd_live_descriptor(live, &fd), 0);
    pid_t child = fork();
    if (child == 0) {
        alarm(20); /* a child that waits for threads it does not have is ended */
        yd_live_close(live);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    kill_writer(&writer);
    assert_int_equal(yd_live_wait(item, 20 * S), YD_ECLOSED); /* its helper is still there */
    writer = start(2);
    publish(&writer, "a", 7, 1);
    assert_int_equal(yd_live_wait(item, 20 * S), 1);
    assert_int_equal(yd_live_get(item, NULL, 0, &value), 1);
    assert_int_equal(value.bits, 7);
    yd_live_close(live);
    kill_writer(&writer);
}

static void who_is_not_on_the_list_is_refused_with_the_reason(void **state)
{
    (void)state;
    struct yd_live_access nobody = {.id = 54321}, groups[2] = {{.id = 54321}, {.group = true, .id = getgid()}};
    struct writer writer = start_with(1, &nobody, 1);
    struct yd_live *live;
    struct yd_trail trail = {0};
    assert_int_equal(yd_live_open(path, NULL, &live, &trail), YD_EPERM);
    assert_non_null(strstr(yd_trail_text(&trail), "list"));
    kill_writer(&writer);
    writer = start_with(2, groups, 2);
    live = attach();
    yd_live_close(live);
    kill_writer(&writer);
}

static void too_many_readers_are_refused_and_room_comes_back(void **state)
{
    (void)state;
    struct writer writer = start(1);
    struct yd_live *lives[9];
    struct yd_trail trail = {0};
    for (int i = 0; i < 8; i++) lives[i] = attach();
    assert_int_equal(yd_live_open(path, NULL, &lives[8], &trail), YD_EFULL);
    yd_live_close(lives[3]);
    for (int tries = 0;; tries++) { /* his hang-up has to be heard first */
        int error = yd_live_open(path, NULL, &lives[3], NULL);
        if (error == 0) break;
        assert_int_equal(error, YD_EFULL);
        assert_true(tries < 10000);
    }
    for (int i = 0; i < 8; i++) yd_live_close(lives[i]);
    kill_writer(&writer);
}

static void who_is_at_the_door_is_told_to_who_is_inside(void **state)
{
    (void)state;
    struct writer writer = start(1);
    struct yd_live *live = attach(), *other = attach();
    struct yd_live_readers readers;
    assert_int_equal(yd_live_readers(live, &readers), 0);
    assert_int_equal(readers.attached, 2);
    assert_int_equal(readers.welcomed, 2);
    assert_int_equal(readers.refused, 0);
    assert_int_equal(readers.shown_out, 0);
    yd_live_close(other);
    do assert_int_equal(yd_live_readers(live, &readers), 0);
    while (readers.attached != 1); /* he hangs up, which the door sees after us perhaps */
    assert_int_equal(readers.welcomed, 2);
    kill_writer(&writer);
    int error;
    while ((error = yd_live_readers(live, &readers)) == 0) continue; /* an answer may still lie there */
    assert_int_equal(error, YD_ECLOSED);
    yd_live_close(live);
}

union answer {
    struct yd__door_head head;
    struct yd__door_refused refused;
    char bytes[512];
};

static void nonsense_at_the_door_harms_nobody(void **state)
{
    (void)state;
    struct writer writer = start(1);
    struct yd_live *live = attach();
    uint64_t seed = test_seed();
    for (int i = 0; i < 200; i++) {
        unsigned char bytes[300];
        int fd;
        for (size_t at = 0; at < sizeof bytes; at++)
            bytes[at] = (unsigned char)((seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407) >> 56);
        struct yd__door_head head = {YD__DOOR_MAGIC, (uint16_t)(seed >> 33 & 1 ? YD__DOOR_VERSION : 77),
                                     (uint16_t)(seed >> 40), 0};
        if (seed >> 34 & 1) memcpy(bytes, &head, sizeof head);
        while (yd_pass_connect(path, &fd) == YD_EAGAIN) usleep(1000);
        (void)yd_pass_send(fd, bytes, 1 + (seed >> 20) % sizeof bytes, &fd, seed >> 35 & 1 ? 1 : 0);
        close(fd);
    }
    publish(&writer, "x", 3, 1);
    assert_int_equal(yd_live_wait(follow(live, "x"), 20 * S), 1);
    yd_live_close(live);
    kill_writer(&writer);
}

static void who_waits_for_an_absent_writer_gets_it_when_it_comes(void **state)
{
    (void)state;
    struct yd_live_options options = {.absent = true};
    struct yd_live *live;
    unlink(path);
    assert_int_equal(yd_live_open(path, NULL, &live, NULL), YD_ENOENT);
    assert_int_equal(yd_live_open(path, &options, &live, NULL), 0);
    struct yd_live_item *item = follow(live, "x");
    assert_int_equal(yd_live_wait(item, 10 * S / 1000), YD_ETIMEOUT);
    struct writer writer = start(4);
    publish(&writer, "x", 1, 1);
    assert_int_equal(yd_live_wait(item, 20 * S), 1);
    yd_live_close(live);
    kill_writer(&writer);
}

static void an_address_in_use_is_refused_and_a_dead_ones_is_taken(void **state)
{
    (void)state;
    struct writer writer = start(1);
    struct yd_trail trail = {0};
    struct yd_pass_listener listener;
    assert_int_equal(yd_pass_listen(path, 0600, &listener, &trail), YD_EADDRINUSE);
    kill_writer(&writer);
    assert_int_equal(access(path, F_OK), 0); /* left behind */
    assert_int_equal(yd_pass_listen(path, 0600, &listener, &trail), 0);
    struct stat stat_;
    assert_int_equal(stat(path, &stat_), 0);
    assert_int_equal(stat_.st_mode & 0777, 0600);
    yd_pass_unlisten(path, &listener);
    assert_int_not_equal(access(path, F_OK), 0);
}

static unsigned open_descriptors(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 1024; fd++) count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void a_message_with_more_descriptors_than_wanted_is_gone_with_all_of_them(void **state)
{
    (void)state;
    int ends[2], fds[4];
    unsigned count;
    size_t size;
    char to[16];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    const int sent[3] = {ends[0], ends[0], ends[0]};
    unsigned before = open_descriptors();
    assert_int_equal(yd_pass_send(ends[0], "x", 1, sent, 3), 0);
    assert_int_equal(yd_pass_recv(ends[1], to, sizeof to, &size, fds, 2, &count), YD_ETOOBIG);
    assert_int_equal(yd_pass_send(ends[0], "x", 1, sent, 1), 0);
    assert_int_equal(yd_pass_recv(ends[1], to, sizeof to, &size, NULL, 0, &count), YD_ETOOBIG);
    assert_int_equal(open_descriptors(), before);
    assert_int_equal(yd_pass_send(ends[0], "seventeen letters", 17, sent, 1),
                     0); /* and one that is larger than wanted */
    assert_int_equal(yd_pass_recv(ends[1], to, sizeof to, &size, fds, 3, &count), YD_ETOOBIG);
    assert_int_equal(open_descriptors(), before);
    assert_int_equal(yd_pass_send(ends[0], "x", 1, sent, 3), 0);
    assert_int_equal(yd_pass_recv(ends[1], to, sizeof to, &size, fds, 3, &count), 0);
    assert_int_equal(count, 3);
    assert_int_equal(open_descriptors(), before + 3);
    while (count) close(fds[--count]);
    close(ends[0]), close(ends[1]);
}

/* Nobody but us may take a name away: what is there and is no socket of ours that died stays. */
static void what_lies_at_the_address_and_is_no_dead_socket_stays(void **state)
{
    (void)state;
    struct yd_trail trail = {0};
    struct stat before, after;
    struct yd_pass_listener listener;
    int file = open(path, O_CREAT | O_WRONLY | O_EXCL, 0600);
    assert_true(file >= 0);
    assert_int_equal(write(file, "dear", 4), 4);
    close(file);
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(yd_pass_listen(path, 0600, &listener, &trail), YD_EEXIST);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    unlink(path);
    /* Another service that listens there, of another type of socket. */
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    int other = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(other, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(other, 1), 0);
    assert_int_equal(stat(path, &before), 0);
    yd_trail_clear(&trail);
    assert_int_equal(yd_pass_listen(path, 0600, &listener, &trail), YD_EADDRINUSE);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    close(other);
    unlink(path);
}

/* Who stops must not take a successor's name along: it is his only as long as he answers. */
static void a_name_that_was_taken_over_is_left_to_its_new_owner(void **state)
{
    (void)state;
    struct yd_trail trail = {0};
    struct yd_pass_listener first, second;
    int fd;
    assert_int_equal(yd_pass_listen(path, 0600, &first, &trail), 0);
    unlink(path); /* somebody cleans up */
    assert_int_equal(yd_pass_listen(path, 0600, &second, &trail), 0);
    yd_pass_unlisten(path, &first);
    assert_int_equal(yd_pass_connect(path, &fd), 0);
    close(fd);
    yd_pass_unlisten(path, &second);
    assert_int_not_equal(access(path, F_OK), 0);
}

/* Two who open one address at once: each has a name of its own until it is the address, whatever lies beside. */
static void *listen_at_once(void *arg)
{
    struct yd_pass_listener *listener = arg;
    struct yd_trail trail = {0};
    if (yd_pass_listen(path, 0600, listener, &trail)) listener->fd = -1;
    return NULL;
}

static void those_who_open_one_address_at_once_do_not_take_each_others(void **state)
{
    (void)state;
    char beside[sizeof path + 8];
    snprintf(beside, sizeof beside, "%s.new", path);
    int other = open(beside, O_CREAT | O_WRONLY, 0600); /* somebody's, who is about to rename it */
    assert_true(other >= 0);
    close(other);
    for (int round = 0; round < 200; round++) {
        enum { AT_ONCE = 3 };
        struct yd_pass_listener listeners[AT_ONCE];
        pthread_t threads[AT_ONCE];
        int fd;
        for (int i = 0; i < AT_ONCE; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, listen_at_once, &listeners[i]), 0);
        for (int i = 0; i < AT_ONCE; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(yd_pass_connect(path, &fd), 0);
        close(fd);
        for (int i = 0; i < AT_ONCE; i++)
            if (listeners[i].fd >= 0) yd_pass_unlisten(path, &listeners[i]);
        assert_int_not_equal(access(path, F_OK), 0); /* its owner was one of them */
    }
    assert_int_equal(unlink(beside), 0); /* it is there */
}

/* ---- a door in this process ---- */

struct asked {
    unsigned count;
    char application[200];
};

static bool note_asked(void *arg, const struct yd_live_client *client, const void *message, size_t size)
{
    struct asked *asked = arg;
    (void)message, (void)size;
    asked->count++;
    snprintf(asked->application, sizeof asked->application, "%s", client->application);
    return true;
}

struct here {
    struct yd_live_table *table;
    struct yd_live_bell bell;
    struct yd_live_access access;
    struct yd_live_door *door;
    struct asked asked;
};

static void open_here(struct here *here)
{
    struct yd_trail trail = {0};
    memset(here, 0, sizeof *here);
    assert_int_equal(yd_live_bell_create(9, 1, 1, &here->bell), 0);
    yd_live_region_set_state(&here->bell.region, YD__LIVE_READY);
    here->table = table_of(9, 1, &here->bell);
    here->access = (struct yd_live_access){.id = getuid(), .bell = &here->bell};
    struct yd_live_door_options options = {.path = path,
                                           .access = &here->access,
                                           .access_count = 1,
                                           .table = yd_live_table_region(here->table),
                                           .ask = note_asked,
                                           .arg = &here->asked};
    assert_int_equal(yd_live_door_open(&options, &here->door, &trail), 0);
}

static void close_here(struct here *here)
{
    yd_live_door_close(here->door);
    yd_live_table_destroy(here->table);
    yd_live_bell_destroy(&here->bell);
}

/* What the door answers: its type, 0: nothing, -1: it hung up. Descriptors are closed. */
static int answer_of(struct here *here, int fd, union answer *ret)
{
    int fds[3];
    unsigned count = 0;
    size_t size;
    for (int i = 0; i < 3; i++) yd_live_door_run(here->door);
    int error = yd_pass_recv(fd, ret, sizeof *ret, &size, fds, 3, &count);
    while (count) close(fds[--count]);
    return error == YD_EAGAIN ? 0 : error ? -1 : ret->head.type;
}

static int come(void)
{
    int fd;
    assert_int_equal(yd_pass_connect(path, &fd), 0);
    return fd;
}

static void a_door_takes_each_message_for_what_it_is(void **state)
{
    (void)state;
    struct here here;
    union answer answer;
    struct yd__door_hello hello = {.head = {YD__DOOR_MAGIC, YD__DOOR_VERSION, YD__DOOR_HELLO, 0}};
    open_here(&here);
    /* Its name is not terminated, and it introduces itself twice. */
    int fd = come();
    memset(hello.application, 'x', sizeof hello.application);
    assert_int_equal(yd_pass_send(fd, &hello, sizeof hello, NULL, 0), 0);
    assert_int_equal(answer_of(&here, fd, &answer), YD__DOOR_WELCOME);
    assert_int_equal(yd_pass_send(fd, &hello, sizeof hello, NULL, 0), 0);
    assert_int_equal(answer_of(&here, fd, &answer), 0);
    assert_int_equal(yd_live_door_counts(here.door).welcomed, 1);
    assert_int_equal(here.asked.count, 1); /* to the door's owner it is a message like others */
    assert_int_equal(strlen(here.asked.application), YD__DOOR_APPLICATION - 1);
    close(fd);
    /* Shorter than a head: nothing behind it is taken for its own. */
    fd = come();
    assert_int_equal(yd_pass_send(fd, &hello, 6, NULL, 0), 0);
    assert_int_equal(answer_of(&here, fd, &answer), -1);
    close(fd);
    /* Of another version: told so. */
    fd = come();
    hello.head.version = YD__DOOR_VERSION + 1;
    assert_int_equal(yd_pass_send(fd, &hello, sizeof hello, NULL, 0), 0);
    assert_int_equal(answer_of(&here, fd, &answer), YD__DOOR_REFUSED);
    assert_int_equal(answer.refused.error, YD_EVERSION);
    assert_int_equal(answer_of(&here, fd, &answer), -1);
    close(fd);
    /* Nobody asks before he was welcomed. */
    fd = come();
    hello.head = (struct yd__door_head){YD__DOOR_MAGIC, YD__DOOR_VERSION, YD__DOOR_COUNT, 1};
    assert_int_equal(yd_pass_send(fd, &hello, sizeof hello, NULL, 0), 0);
    assert_int_equal(answer_of(&here, fd, &answer), 0);
    assert_int_equal(here.asked.count, 1);
    close(fd);
    close_here(&here);
}

static void without_descriptors_who_comes_is_told_so(void **state)
{
    (void)state;
    struct here here;
    struct rlimit before, now;
    union answer answer;
    open_here(&here);
    int fd = come(), probe = dup(0);
    close(probe);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    now = before;
    now.rlim_cur = (rlim_t)probe; /* not one more */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
    int told = answer_of(&here, fd, &answer);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(told, YD__DOOR_REFUSED);
    assert_int_equal(answer.refused.error, YD_EFULL);
    close(fd);
    close_here(&here);
}

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/yarder-live-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/live.sock", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_got_by_name_with_time_sequence_and_what_was_missed),
        cmocka_unit_test(typed_getters_keep_the_last_value_and_refuse_what_does_not_fit),
        cmocka_unit_test(waiting_ends_with_a_value_a_timeout_a_signal_or_the_writers_end),
        cmocka_unit_test(a_signal_interrupts_waiting),
        cmocka_unit_test(a_killed_writer_that_comes_back_is_followed_into_its_new_memory),
        cmocka_unit_test(what_was_left_unread_in_other_memory_is_counted_as_missed),
        cmocka_unit_test(what_was_got_is_not_given_again_by_a_table_that_grew),
        cmocka_unit_test(a_value_of_memory_that_came_and_went_unseen_is_not_hidden),
        cmocka_unit_test(a_name_that_was_dropped_and_comes_back_is_given_from_its_first_value),
        cmocka_unit_test(a_door_that_opens_again_with_the_same_table_gives_nothing_twice),
        cmocka_unit_test(a_table_that_is_replaced_takes_its_readers_along),
        cmocka_unit_test(a_set_finds_names_that_come_later_also_after_a_restart),
        cmocka_unit_test(a_set_that_only_looks_finds_the_names_of_a_successor),
        cmocka_unit_test(a_descriptor_is_readable_when_something_came),
        cmocka_unit_test(a_child_closes_its_copy_and_the_parent_goes_on),
        cmocka_unit_test(who_is_not_on_the_list_is_refused_with_the_reason),
        cmocka_unit_test(too_many_readers_are_refused_and_room_comes_back),
        cmocka_unit_test(who_is_at_the_door_is_told_to_who_is_inside),
        cmocka_unit_test(nonsense_at_the_door_harms_nobody),
        cmocka_unit_test(who_waits_for_an_absent_writer_gets_it_when_it_comes),
        cmocka_unit_test(an_address_in_use_is_refused_and_a_dead_ones_is_taken),
        cmocka_unit_test(a_door_takes_each_message_for_what_it_is),
        cmocka_unit_test(without_descriptors_who_comes_is_told_so),
        cmocka_unit_test(a_message_with_more_descriptors_than_wanted_is_gone_with_all_of_them),
        cmocka_unit_test(what_lies_at_the_address_and_is_no_dead_socket_stays),
        cmocka_unit_test(a_name_that_was_taken_over_is_left_to_its_new_owner),
        cmocka_unit_test(those_who_open_one_address_at_once_do_not_take_each_others),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
