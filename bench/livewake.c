/* bench live: what a publication costs whoever is asleep for it, and what it costs in a Broker's source. */
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/base.h"
#include "live.h"
#include "live/bell_wait.h"
#include "live/feed.h"
#include "live/table_write.h"

#define SLEEPERS 32
#define SAMPLES  10
#define FEEDS    200

static struct yd_live_table *table;
static struct yd_live_bell bell;
static struct yd_live_mapping bell_mapping;
static uint32_t word; /* of the only name */

static void make_table(void)
{
    uint32_t index;
    struct yd_live_mapping mapping;
    struct yd_live_table_view view;
    struct yd_live_cell cell;
    must(yd_live_table_create(&(struct yd_live_table_options){.capacity = 16}, NULL, &table), "table");
    must(yd_live_table_declare(table, YD_STR("v"), YD_BLOB, 64, &index), "declare");
    must(yd_live_bell_create(0, 0, 0, &bell), "bell");
    must(yd_live_table_add_bell(table, &bell), "bell");
    yd_live_table_set_state(table, YD__LIVE_READY);
    must(yd_live_mapping_open(yd_live_table_region(table)->fd, YD__LIVE_TABLE, &mapping), "map");
    must(yd_live_mapping_open(bell.region.fd, YD__LIVE_BELL, &bell_mapping), "map");
    must(yd_live_table_view_open(&mapping, &view), "view");
    must(yd_live_table_view_cell(&view, 0, &cell), "cell");
    word = cell.bell;
}

/* `count`: how often anybody went to sleep. */
static void sleep_at_word(void *raw)
{
    uint32_t *at = raw ? (uint32_t *)&shared->a : yd_live_bell_word(&bell_mapping, word);
    __atomic_fetch_add(&shared->ready, 1, __ATOMIC_RELEASE);
    for (;;) {
        uint32_t seen = raw ? __atomic_load_n(at, __ATOMIC_ACQUIRE) : yd_live_bell_arm(&bell_mapping, word).seen;
        __atomic_fetch_add(&shared->count, 1, __ATOMIC_RELEASE);
        (void)syscall(SYS_futex, at, FUTEX_WAIT, seen, NULL, NULL, 0);
    }
}

/* us: the one call that wakes all of them. */
static void wake_all_us(struct series *to, bool raw)
{
    pid_t pids[SLEEPERS];
    uint64_t bytes[8] = {0};
    shared->a = shared->count = 0;
    for (int i = 0; i < SLEEPERS; i++) {
        pids[i] = beside(sleep_at_word, raw ? shared : NULL);
        wait_ready(1);
    }
    for (uint64_t sample = 0; sample < SAMPLES; sample++) {
        while (__atomic_load_n(&shared->count, __ATOMIC_ACQUIRE) < (sample + 1) * SLEEPERS) usleep(100);
        usleep(1000); /* and until the last one sleeps */
        double began = now_ns();
        if (raw) {
            (void)__atomic_fetch_add((uint32_t *)&shared->a, 1, __ATOMIC_RELEASE);
            (void)syscall(SYS_futex, &shared->a, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
        } else {
            (void)yd_live_table_publish(table, 0, 0, YD_BLOB, 0, bytes, 64);
        }
        bench_add(to, (now_ns() - began) / 1e3);
    }
    for (int i = 0; i < SLEEPERS; i++) (void)end(pids[i]);
}

void wake_us(struct series *ours, struct series *raw)
{
    if (!table) make_table();
    wake_all_us(ours, false);
    wake_all_us(raw, true);
}

/* 64 bytes into what a Broker publishes to: an event in order, and the value; alone, and with feeds that have
 * subscribed to it. */
static struct yd_live_source *source;
static struct yd_live_feed *feeds[FEEDS];

static double put_ns(uint64_t count)
{
    uint64_t bytes[8] = {0};
    double began = now_ns();
    for (uint64_t i = 0; i < count; i++) {
        bytes[0] = i;
        (void)yd_live_source_put(source, 0, (int64_t)i, YD_BLOB, 0, bytes, 64);
    }
    return (now_ns() - began) / (double)count;
}

static void subscribe_all(void)
{
    struct yd_live_feed_request request = {.pattern = YD_STR("*"), .every = true, .ring_size = 4096};
    for (int i = 0; i < FEEDS; i++) {
        struct yd_live_feed_grant grant;
        must(yd_live_feed_create(source, 1, &feeds[i]), "feed");
        must(yd_live_feed_subscribe(feeds[i], &request, 0, 0, &grant), "subscribe");
        (void)close(grant.table_fd), (void)close(grant.bell_fd), (void)close(grant.ring_fd);
    }
}

void source_ns(struct series *alone, struct series *subscribed)
{
    uint32_t index;
    struct yd_live_source_options options = {.measurements = 16, .value_max = 64, .ring_size = 1 << 18};
    must(yd_live_source_create(&options, &source), "source");
    must(yd_live_source_declare(source, YD_STR("v"), YD_BLOB, 64, &index), "declare");
    (void)put_ns(10000);
    for (int sample = 0; sample < 20; sample++) bench_add(alone, put_ns(5000));
    subscribe_all();
    for (int sample = 0; sample < 20; sample++) bench_add(subscribed, put_ns(5000));
    for (int i = 0; i < FEEDS; i++) yd_live_feed_destroy(feeds[i]);
    yd_live_source_destroy(source);
}
