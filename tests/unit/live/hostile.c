/* Whoever reads trusts nobody: neither what stands in shared memory, nor what the door says and hands out. */
#include "testing.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "io/pass.h"
#include "live/bell.h"
#include "live/door_format.h"

#include "../../fuzz/live_region.c" /* the same changes as the fuzzer's, at random */
#include "door_folder.h"

static uint64_t step(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return *seed >> 33;
}

static void damaged_regions_crash_no_reader(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (int round = 0; round < 20000; round++) {
        uint8_t bytes[1 + 7 * 24];
        size_t size = 1 + step(&seed) % (sizeof bytes - 1);
        for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)step(&seed);
        (void)LLVMFuzzerTestOneInput(bytes, size);
    }
    assert_true(seen != 0);
}

/* ---- a door that lies ---- */

struct liar {
    pthread_t thread;
    struct yd_pass_listener listener;
    int end;
    uint64_t seed, rounds;
};

static int sealed(const void *bytes, size_t size, bool writable)
{
    int fd = memfd_create("liar", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || write(fd, bytes, size) != (ssize_t)size ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | (writable ? 0 : F_SEAL_FUTURE_WRITE)))
        abort();
    return fd;
}

/* Memory of some kind, whole or with a few words changed; or no such memory at all. */
static int something(uint64_t *seed, unsigned which)
{
    if (step(seed) % 8 == 0) which = (unsigned)(step(seed) % 5);
    if (which == 3) return open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (which == 4) return memfd_create("open", MFD_CLOEXEC); /* not sealed, and empty */
    if (which == 1) {
        struct yd_live_bell bell;
        int fd;
        if (yd_live_bell_create(1, 1, 1, &bell) || yd_live_region_reader_fd(&bell.region, &fd)) abort();
        yd_live_bell_destroy(&bell);
        return fd;
    }
    const struct base *base = &bases[which == 2 ? RING : step(seed) % 2 ? TABLE : DENSE];
    uint8_t *bytes = copy_of(base->bytes, base->size);
    for (uint64_t n = step(seed) % 3 == 0 ? step(seed) % 20 : 0; n; n--) {
        uint32_t word = (uint32_t)step(seed);
        memcpy(bytes + step(seed) % (base->size / 4) * 4, &word, 4);
    }
    int fd = sealed(bytes, base->size, false);
    free(bytes);
    return fd;
}

static void say(uint64_t *seed, int fd, enum yd__door_type type, uint64_t correlation)
{
    union {
        struct yd__door_head head;
        struct yd__door_subscribed subscribed;
        struct yd__door_refused refused;
        unsigned char bytes[300];
    } message;
    static const size_t sizes[] = {[YD__DOOR_WELCOME] = sizeof(struct yd__door_regions),
                                   [YD__DOOR_REPLACED] = sizeof(struct yd__door_regions),
                                   [YD__DOOR_REFUSED] = sizeof(struct yd__door_refused),
                                   [YD__DOOR_SUBSCRIBED] = sizeof(struct yd__door_subscribed),
                                   [YD__DOOR_COUNTS] = sizeof(struct yd__door_counts),
                                   [YD__DOOR_LOOKED] = sizeof(struct yd__door_looked)};
    static const unsigned wanted[] = {
        [YD__DOOR_WELCOME] = 2, [YD__DOOR_REPLACED] = 1, [YD__DOOR_SUBSCRIBED] = 2, [YD__DOOR_LOOKED] = 0};
    for (size_t i = 0; i < sizeof message.bytes; i++) message.bytes[i] = (unsigned char)step(seed);
    size_t size = sizes[type];
    if (step(seed) % 16 == 0) size = 1 + step(seed) % sizeof message.bytes;
    message.head = (struct yd__door_head){YD__DOOR_MAGIC, YD__DOOR_VERSION, (uint16_t)type, correlation};
    if (step(seed) % 16 == 0) message.bytes[step(seed) % 8] ^= (unsigned char)step(seed);
    unsigned count = wanted[type];
    if (type == YD__DOOR_SUBSCRIBED && step(seed) % 8) {
        message.subscribed.word %= 80;
        message.subscribed.mode = (uint32_t)(step(seed) % 2);
        count += message.subscribed.mode == YD__DOOR_EVERY;
    }
    if (step(seed) % 16 == 0) count = (unsigned)(step(seed) % 5);
    int fds[5] = {-1, -1, -1, -1, -1};
    for (unsigned i = 0; i < count; i++) fds[i] = something(seed, i);
    (void)yd_pass_send(fd, &message, size, fds, count);
    for (unsigned i = 0; i < count; i++) close(fds[i]);
}

static void talk(struct liar *liar, int fd)
{
    uint64_t *seed = &liar->seed;
    static const enum yd__door_type types[] = {YD__DOOR_SUBSCRIBED, YD__DOOR_SUBSCRIBED, YD__DOOR_SUBSCRIBED,
                                               YD__DOOR_REFUSED,    YD__DOOR_REPLACED,   YD__DOOR_COUNTS,
                                               YD__DOOR_LOOKED};
    say(seed, fd, step(seed) % 12 ? YD__DOOR_WELCOME : types[step(seed) % YD_COUNT(types)], 0);
    for (uint64_t n = 1 + step(seed) % 12; n; n--) {
        unsigned char asked[YD__DOOR_MESSAGE_MAX];
        struct yd__door_head head = {0};
        size_t size;
        unsigned count;
        struct pollfd in = {fd, POLLIN, 0};
        (void)poll(&in, 1, 2);
        int error = yd_pass_recv(fd, asked, sizeof asked, &size, NULL, 0, &count);
        if (error && error != YD_EAGAIN) return;
        if (error == 0 && size >= sizeof head) memcpy(&head, asked, sizeof head);
        enum yd__door_type type = types[step(seed) % YD_COUNT(types)];
        if (head.type == YD__DOOR_LOOK && step(seed) % 2) type = YD__DOOR_LOOKED;
        say(seed, fd, type, step(seed) % 4 ? head.correlation : step(seed) % 8);
    }
}

static void *lie(void *arg)
{
    struct liar *liar = arg;
    struct pollfd polls[2] = {{liar->listener.fd, POLLIN, 0}, {liar->end, POLLIN, 0}};
    while (poll(polls, 2, -1) > 0 && !polls[1].revents) {
        struct yd_pass_peer peer;
        int fd;
        if (yd_pass_accept(liar->listener.fd, &fd, &peer)) continue;
        talk(liar, fd);
        close(fd);
        liar->rounds++;
    }
    return NULL;
}

/* Whatever a program may do with a handle; errors are all right. */
static void use(struct yd_live *live, uint64_t *seed)
{
    struct yd_live_subscription *subscriptions[2] = {NULL, NULL};
    struct yd_live_item *item = NULL;
    struct yd_live_set *set = NULL;
    struct yd_live_readers readers;
    struct yd_live_update update;
    struct yd_live_value value;
    struct yd_str name;
    char bytes[64], text[64];
    uint32_t position = 0;
    for (unsigned i = 0; i < 2; i++) {
        struct yd_live_subscribe_options options = {.every = step(seed) % 2};
        if (yd_live_subscribe(live, "*", &options, &subscriptions[i], NULL)) subscriptions[i] = NULL;
    }
    if (yd_live_follow(live, "engine.oil", &item) || yd_live_follow_matching(live, "*", &set)) abort();
    for (int n = 0; n < 20; n++) {
        for (unsigned i = 0; i < 2; i++) {
            struct yd_live_subscription *s = subscriptions[i];
            if (!s) continue;
            for (int k = 0; k < 100 && yd_live_subscription_next(s, bytes, sizeof bytes, &update) == 1; k++)
                look_at(update.name.data, update.name.size);
            (void)yd_live_subscription_wait(s, 100000);
        }
        if (yd_live_get(item, bytes, sizeof bytes, &value) == 1) look_at(bytes, sizeof bytes);
        (void)yd_live_next(item, NULL, 0, &value);
        (void)yd_live_get_text(item, text, sizeof text);
        struct yd_live_item *ready;
        for (int k = 0; k < 20 && yd_live_set_ready(set, &ready) == 1; k++)
            (void)yd_live_next(ready, bytes, sizeof bytes, &value);
        if (yd_live_names(live, NULL, &position, &name) == 1) look_at(name.data, name.size);
    }
    if (step(seed) % 8 == 0) (void)yd_live_readers(live, &readers);
    for (unsigned i = 0; i < 2; i++)
        if (step(seed) % 2) yd_live_unsubscribe(subscriptions[i]);
}

static void a_door_that_lies_harms_no_program(void **state)
{
    (void)state;
    struct liar liar = {.seed = test_seed(), .end = eventfd(0, EFD_CLOEXEC)};
    struct yd_trail trail = {0};
    uint64_t seed = liar.seed ^ 0x5555, came = 0;
    struct timespec begun, now;
    make_bases();
    assert_int_equal(yd_pass_listen(path, 0600, &liar.listener, &trail), 0);
    assert_int_equal(pthread_create(&liar.thread, NULL, lie, &liar), 0);
    (void)clock_gettime(CLOCK_MONOTONIC, &begun);
    now = begun;
    for (int round = 0; round < 300 && now.tv_sec - begun.tv_sec < 3; round++) {
        struct yd_live *live;
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        int fd;
        if (yd_live_open(path, NULL, &live, NULL)) continue;
        came++;
        if (step(&seed) % 2 && yd_live_descriptor(live, &fd) == 0) yd_live_woken(live);
        use(live, &seed);
        yd_live_close(live);
    }
    assert_int_equal(eventfd_write(liar.end, 1), 0);
    assert_int_equal(pthread_join(liar.thread, NULL), 0);
    yd_pass_unlisten(path, &liar.listener);
    close(liar.end);
    printf("# %llu came in, of %llu tries\n", (unsigned long long)came, (unsigned long long)liar.rounds);
    assert_true(came > 0 && liar.rounds >= came);
}

/* ---- a writer that stands still between two stores ---- */

struct still {
    struct yd_pass_listener listener;
    struct yd_live_table *table;
    struct yd_live_ring ring;
    struct yd_live_bell bell;
};

static void hand_over(int fd, const void *message, size_t size, const struct yd_live_region *const *regions, unsigned n)
{
    int fds[3];
    for (unsigned i = 0; i < n; i++) assert_int_equal(yd_live_region_reader_fd(regions[i], &fds[i]), 0);
    assert_int_equal(yd_pass_send(fd, message, size, fds, n), 0);
    while (n) close(fds[--n]);
}

static void hear(int fd, void *to)
{
    size_t size;
    unsigned count;
    struct pollfd in = {fd, POLLIN, 0};
    assert_int_equal(poll(&in, 1, 60000), 1);
    assert_int_equal(yd_pass_recv(fd, to, YD__DOOR_MESSAGE_MAX, &size, NULL, 0, &count), 0);
}

/* Hands out a ring whose first records are overwritten already. */
static void *hand_out(void *arg)
{
    struct still *still = arg;
    struct pollfd in = {still->listener.fd, POLLIN, 0};
    struct yd_pass_peer peer;
    union {
        struct yd__door_head head;
        unsigned char bytes[YD__DOOR_MESSAGE_MAX];
    } asked;
    int fd;
    assert_int_equal(poll(&in, 1, 60000), 1);
    assert_int_equal(yd_pass_accept(still->listener.fd, &fd, &peer), 0);
    hear(fd, &asked);
    const struct yd_live_region *regions[] = {yd_live_table_region(still->table), &still->bell.region,
                                              &still->ring.region};
    struct yd__door_regions welcome = {
        .head = {YD__DOOR_MAGIC, YD__DOOR_VERSION, YD__DOOR_WELCOME, 0}, .generation = 7, .id = 9};
    hand_over(fd, &welcome, sizeof welcome, regions, 2);
    hear(fd, &asked);
    assert_int_equal(asked.head.type, YD__DOOR_SUBSCRIBE);
    struct yd__door_subscribed message = {
        .head = {YD__DOOR_MAGIC, YD__DOOR_VERSION, YD__DOOR_SUBSCRIBED, asked.head.correlation},
        .id = 1,
        .generation = 7,
        .mode = YD__DOOR_EVERY};
    hand_over(fd, &message, sizeof message, regions, 3);
    hear(fd, &asked); /* given up */
    close(fd);
    return NULL;
}

static void what_was_lost_before_the_first_record_is_counted_wherever_the_writer_stood(void **state)
{
    (void)state;
    enum { PUT = 1000 };
    struct still still;
    struct yd_live_table_options options = {.generation = 7, .id = 9, .now_ns = 1, .capacity = 16, .is_names = true};
    struct yd_trail trail = {0};
    uint32_t index;
    assert_int_equal(yd_live_table_create(&options, NULL, &still.table), 0);
    assert_int_equal(yd_live_table_declare(still.table, YD_STR("a"), YD_U64, 8, &index), 1);
    yd_live_table_set_state(still.table, YD__LIVE_READY);
    assert_int_equal(yd_live_bell_create(9, 7, 1, &still.bell), 0);
    yd_live_region_set_state(&still.bell.region, YD__LIVE_READY);
    struct yd_live_ring_options ring = {.generation = 7, .id = 9, .now_ns = 1, .size = 4096};
    assert_int_equal(yd_live_ring_create(&ring, &still.ring), 0);
    for (uint64_t i = 1; i <= PUT; i++) {
        uint64_t words[2] = {i, i};
        assert_int_equal(yd_live_ring_put(&still.ring, index, 1, YD_U64, 0, words, sizeof words), 0);
        yd_live_ring_commit(&still.ring);
    }
    still.ring.shared->after--; /* the last store is yet to come */
    yd_live_ring_set_state(&still.ring, YD__LIVE_READY);
    assert_int_equal(yd_pass_listen(path, 0600, &still.listener, &trail), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, hand_out, &still), 0);
    struct yd_live *live;
    struct yd_live_subscription *subscription;
    struct yd_live_update update;
    assert_int_equal(yd_live_open(path, NULL, &live, NULL), 0);
    struct yd_live_subscribe_options every = {.every = true};
    assert_int_equal(yd_live_subscribe(live, "*", &every, &subscription, NULL), 0);
    uint64_t got = 0, lost = 0;
    while (yd_live_subscription_next(subscription, NULL, 0, &update) == 1) {
        got++;
        lost += update.lost;
        assert_int_equal(update.value.bits, got + lost);
    }
    assert_true(got > 10 && got + lost == PUT);
    yd_live_unsubscribe(subscription);
    assert_int_equal(pthread_join(thread, NULL), 0);
    yd_live_close(live);
    yd_pass_unlisten(path, &still.listener);
    yd_live_table_destroy(still.table);
    yd_live_bell_destroy(&still.bell);
    yd_live_ring_destroy(&still.ring);
}

/* ---- a successor that has not answered yet ---- */

struct successor {
    struct still still;
    sem_t asked;              /* both questions are with the successor */
    uint16_t said;            /* what came before its answers */
    uint64_t given, given_up; /* correlation of the one that was given up, its id there; what was said of it */
};

union said {
    struct yd__door_head head;
    struct yd__door_subscription subscription;
    unsigned char bytes[YD__DOOR_MESSAGE_MAX];
};

static int welcome_one(const struct still *still)
{
    struct pollfd in = {still->listener.fd, POLLIN, 0};
    struct yd_pass_peer peer;
    union said said;
    int fd;
    assert_int_equal(poll(&in, 1, 60000), 1);
    assert_int_equal(yd_pass_accept(still->listener.fd, &fd, &peer), 0);
    hear(fd, &said);
    const struct yd_live_region *regions[] = {yd_live_table_region(still->table), &still->bell.region};
    struct yd__door_regions welcome = {
        .head = {YD__DOOR_MAGIC, YD__DOOR_VERSION, YD__DOOR_WELCOME, 0}, .generation = 7, .id = 9};
    hand_over(fd, &welcome, sizeof welcome, regions, 2);
    return fd;
}

static void grant_one(const struct still *still, int fd, uint64_t correlation, uint64_t id)
{
    const struct yd_live_region *regions[] = {yd_live_table_region(still->table), &still->bell.region};
    struct yd__door_subscribed message = {.head = {YD__DOOR_MAGIC, YD__DOOR_VERSION, YD__DOOR_SUBSCRIBED, correlation},
                                          .id = id,
                                          .generation = 7,
                                          .mode = YD__DOOR_LATEST};
    hand_over(fd, &message, sizeof message, regions, 2);
}

/* The first one answers and goes; the second one hears both questions, in the other order, and answers late. */
static void *succeed(void *arg)
{
    struct successor *successor = arg;
    union said said;
    uint64_t asked[2];
    int fd = welcome_one(&successor->still);
    for (unsigned i = 0; i < 2; i++) {
        hear(fd, &said);
        grant_one(&successor->still, fd, said.head.correlation, i + 1);
    }
    close(fd);
    fd = welcome_one(&successor->still);
    for (unsigned i = 0; i < 2; i++) {
        hear(fd, &said);
        asked[i] = said.head.correlation;
    }
    sem_post(&successor->asked);
    hear(fd, &said);
    successor->said = said.head.type;
    struct yd__door_looked looked = {.head = {YD__DOOR_MAGIC, YD__DOOR_VERSION, YD__DOOR_LOOKED, said.head.correlation},
                                     .clients = 1};
    assert_int_equal(yd_pass_send(fd, &looked, sizeof looked, NULL, 0), 0);
    for (unsigned i = 0; i < 2; i++) {
        if (asked[i] == successor->given) successor->given = i + 1;
        grant_one(&successor->still, fd, asked[i], i + 1);
    }
    hear(fd, &said);
    successor->given_up = said.head.type == YD__DOOR_UNSUBSCRIBE ? said.subscription.id : 0;
    close(fd);
    return NULL;
}

static void nothing_is_said_to_a_successor_of_what_its_predecessor_gave(void **state)
{
    (void)state;
    struct successor successor = {.given = 1}; /* the library counts its questions */
    struct still *still = &successor.still;
    struct yd_live_table_options options = {.generation = 7, .id = 9, .now_ns = 1, .capacity = 16};
    struct yd_trail trail = {0};
    sem_init(&successor.asked, 0, 0);
    assert_int_equal(yd_live_table_create(&options, NULL, &still->table), 0);
    yd_live_table_set_state(still->table, YD__LIVE_READY);
    assert_int_equal(yd_live_bell_create(9, 7, 1, &still->bell), 0);
    assert_int_equal(yd_pass_listen(path, 0600, &still->listener, &trail), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, succeed, &successor), 0);
    struct yd_live *live;
    struct yd_live_subscription *one, *other;
    struct yd_live_readers readers;
    struct yd_live_counts counts;
    assert_int_equal(yd_live_open(path, NULL, &live, NULL), 0);
    assert_int_equal(yd_live_subscribe(live, "one", NULL, &one, NULL), 0);
    assert_int_equal(yd_live_subscribe(live, "other", NULL, &other, NULL), 0);
    while (sem_wait(&successor.asked)) continue;
    /* The successor's numbers are its own: this one's there is the other's here. */
    assert_int_equal(yd_live_subscription_counts(other, &counts), YD_ECLOSED);
    yd_live_unsubscribe(one);
    assert_int_equal(yd_live_readers(live, &readers), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(successor.said, YD__DOOR_LOOK);
    assert_int_equal(successor.given, 2);
    assert_int_equal(successor.given_up, 2);
    yd_live_unsubscribe(other);
    yd_live_close(live);
    yd_pass_unlisten(path, &still->listener);
    yd_live_table_destroy(still->table);
    yd_live_bell_destroy(&still->bell);
    sem_destroy(&successor.asked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damaged_regions_crash_no_reader),
        cmocka_unit_test(a_door_that_lies_harms_no_program),
        cmocka_unit_test(what_was_lost_before_the_first_record_is_counted_wherever_the_writer_stood),
        cmocka_unit_test(nothing_is_said_to_a_successor_of_what_its_predecessor_gave),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
