/* Memory and descriptors run out at every place in turn: an error, no crash, nothing left behind, and the next attempt,
 * with enough of both, is as good as any. */
#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include <yarder/live.h>

#include "io/pass.h"
#include "live/door.h"
#include "live/feed.h"
#include "live/table_write.h"

#include "door_folder.h"

/* ---- what fails ---- */

static unsigned calls, fail_at; /* the nth and all after it; 0: none. Atomic */
static _Thread_local bool is_spared;
static int out; /* pieces of memory that were not given back. Atomic */

static bool fails(void)
{
    unsigned at = __atomic_load_n(&fail_at, __ATOMIC_RELAXED);
    return at && !is_spared && __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED) >= at;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *ptr, size_t size);
void __real_free(void *ptr);
void *__real_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);
int __real_memfd_create(const char *name, unsigned flags);
int __real_eventfd(unsigned value, int flags);
int __real_epoll_create1(int flags);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *ptr, size_t size);
void __wrap_free(void *ptr);
void *__wrap_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);
int __wrap_memfd_create(const char *name, unsigned flags);
int __wrap_eventfd(unsigned value, int flags);
int __wrap_epoll_create1(int flags);

static void *counted(void *ptr)
{
    if (ptr) (void)__atomic_add_fetch(&out, 1, __ATOMIC_RELAXED);
    return ptr;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : counted(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : counted(__real_calloc(count, size));
}

void *__wrap_realloc(void *ptr, size_t size)
{
    if (fails()) return NULL;
    return ptr ? __real_realloc(ptr, size) : counted(__real_realloc(ptr, size));
}

void __wrap_free(void *ptr)
{
    if (ptr) (void)__atomic_sub_fetch(&out, 1, __ATOMIC_RELAXED);
    __real_free(ptr);
}

void *__wrap_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
    errno = ENOMEM;
    return fails() ? MAP_FAILED : __real_mmap(at, size, prot, flags, fd, offset);
}

int __wrap_memfd_create(const char *name, unsigned flags)
{
    errno = EMFILE;
    return fails() ? -1 : __real_memfd_create(name, flags);
}

int __wrap_eventfd(unsigned value, int flags)
{
    errno = EMFILE;
    return fails() ? -1 : __real_eventfd(value, flags);
}

int __wrap_epoll_create1(int flags)
{
    errno = EMFILE;
    return fails() ? -1 : __real_epoll_create1(flags);
}

static unsigned descriptors(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 256; fd++) count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* body: false: something failed. Each place fails once; at last nothing does. */
static void at_every_place(bool (*body)(void))
{
    bool whole = false;
    for (unsigned at = 1; !whole; at++) {
        unsigned open_before = descriptors();
        int out_before = __atomic_load_n(&out, __ATOMIC_RELAXED);
        __atomic_store_n(&calls, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&fail_at, at, __ATOMIC_RELAXED);
        (void)body();
        whole = __atomic_load_n(&calls, __ATOMIC_RELAXED) < at;
        __atomic_store_n(&fail_at, 0, __ATOMIC_RELAXED);
        for (int i = 0; i < 20000 && descriptors() != open_before; i++) usleep(500); /* the door sees a hang-up later */
        assert_int_equal(descriptors(), open_before);
        assert_int_equal(__atomic_load_n(&out, __ATOMIC_RELAXED), out_before);
        assert_true(at < 2000);
        if (whole) assert_true(body());
    }
}

/* ---- feeds ---- */

static bool put(struct yd_live_source *source, const char *name, uint64_t bits)
{
    uint32_t index;
    return yd_live_source_declare(source, yd_str_of(name), YD_U64, 8, &index) >= 0 &&
           yd_live_source_put(source, index, 1, YD_U64, 0, &bits, 8) == 0;
}

static void close_grant(const struct yd_live_feed_grant *grant)
{
    close(grant->table_fd);
    close(grant->bell_fd);
    if (grant->ring_fd >= 0) close(grant->ring_fd);
}

static bool use_feed(void)
{
    struct yd_live_source_options options = {
        .generation = 1, .id = 2, .now_ns = 1, .measurements = 100, .value_max = 16, .ring_size = 4096};
    struct yd_live_source *source;
    struct yd_live_feed *feed;
    if (yd_live_source_create(&options, &source)) return false;
    if (yd_live_feed_create(source, 3, &feed)) {
        yd_live_source_destroy(source);
        return false;
    }
    bool good = put(source, "a", 1);
    for (int i = 0; i < 2; i++) {
        struct yd_live_feed_request request = {.pattern = YD_STR("*"), .every = i == 0};
        struct yd_live_feed_grant grant;
        if (yd_live_feed_subscribe(feed, &request, 1, 1, &grant) == 0)
            close_grant(&grant);
        else
            good = false;
    }
    uint64_t sent = 0;
    for (uint64_t i = 0; i < 40; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%u", (unsigned)i);
        bool is_put = put(source, name, i);
        good &= is_put;
        sent += is_put;
        (void)yd_live_feed_run(feed, (int64_t)i, 100);
    }
    /* Whatever failed: all of what is subscribed is accounted for. */
    __atomic_store_n(&fail_at, 0, __ATOMIC_RELAXED);
    while (yd_live_feed_run(feed, 100, 100)) continue;
    struct yd_live_feed_counts counts = yd_live_feed_total(feed);
    uint64_t each = counts.passed + counts.paced + counts.overrun + counts.unplaced;
    if (good) assert_int_equal(each, 2 * sent + 1);
    assert_true(each <= 2 * sent + 2);
    yd_live_feed_destroy(feed);
    yd_live_source_destroy(source);
    return good;
}

static void feeds_survive_every_failure(void **state)
{
    (void)state;
    at_every_place(use_feed);
}

/* ---- doors, and those who come ---- */

struct keeper {
    pthread_t thread;
    struct yd_live_table *table;
    struct yd_live_bell bell;
    struct yd_live_access access;
    struct yd_live_door *door;
    int end;
};

static int open_door(struct keeper *keeper)
{
    struct yd_live_door_options options = {.path = path,
                                           .access = &keeper->access,
                                           .access_count = 1,
                                           .clients_max = 4,
                                           .table = yd_live_table_region(keeper->table)};
    struct yd_trail trail = {0};
    return yd_live_door_open(&options, &keeper->door, &trail);
}

static void make_memory(struct keeper *keeper)
{
    struct yd_live_table_options options = {.generation = 1, .id = 2, .now_ns = 1, .capacity = 16};
    uint32_t index;
    uint64_t bits = 7;
    assert_int_equal(yd_live_table_create(&options, NULL, &keeper->table), 0);
    assert_int_equal(yd_live_bell_create(2, 1, 1, &keeper->bell), 0);
    assert_true(yd_live_table_declare(keeper->table, YD_STR("a"), YD_U64, 8, &index) >= 0);
    assert_int_equal(yd_live_table_publish(keeper->table, index, 1, YD_U64, 0, &bits, 8), 0);
    yd_live_table_set_state(keeper->table, YD__LIVE_READY);
    keeper->access = (struct yd_live_access){.id = geteuid(), .bell = &keeper->bell};
}

static void put_memory_away(struct keeper *keeper)
{
    yd_live_table_destroy(keeper->table);
    yd_live_bell_destroy(&keeper->bell);
}

static struct keeper kept;

static bool use_door(void)
{
    if (open_door(&kept)) return false;
    yd_live_door_close(kept.door);
    return true;
}

static void a_door_survives_every_failure(void **state)
{
    (void)state;
    make_memory(&kept);
    at_every_place(use_door);
    put_memory_away(&kept);
}

static void *keep(void *arg)
{
    struct keeper *keeper = arg;
    struct pollfd polls[2] = {{yd_live_door_fd(keeper->door), POLLIN, 0}, {keeper->end, POLLIN, 0}};
    is_spared = true;
    while (poll(polls, 2, -1) > 0 && !polls[1].revents) yd_live_door_run(keeper->door);
    return NULL;
}

static bool use_library(void)
{
    struct yd_live *live;
    struct yd_live_item *item;
    struct yd_live_set *set;
    struct yd_live_value value;
    uint64_t bits;
    int fd;
    if (yd_live_open(path, NULL, &live, NULL)) return false;
    bool good = yd_live_follow(live, "a", &item) == 0;
    good = good && yd_live_get(item, &bits, sizeof bits, &value) == 1 && value.bits == 7;
    good = yd_live_follow_matching(live, "*", &set) == 0 && good;
    good = good && yd_live_set_ready(set, &item) == 1 && yd_live_next(item, &bits, sizeof bits, &value) == 1;
    good = yd_live_descriptor(live, &fd) == 0 && good;
    yd_live_close(live);
    return good;
}

static void the_library_survives_every_failure(void **state)
{
    (void)state;
    make_memory(&kept);
    assert_int_equal(open_door(&kept), 0);
    kept.end = eventfd(0, EFD_CLOEXEC);
    assert_int_equal(pthread_create(&kept.thread, NULL, keep, &kept), 0);
    at_every_place(use_library);
    assert_int_equal(eventfd_write(kept.end, 1), 0);
    assert_int_equal(pthread_join(kept.thread, NULL), 0);
    close(kept.end);
    yd_live_door_close(kept.door);
    put_memory_away(&kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(feeds_survive_every_failure),
        cmocka_unit_test(a_door_survives_every_failure),
        cmocka_unit_test(the_library_survives_every_failure),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
